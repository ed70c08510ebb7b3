#include "aws/http.h"

#include "aws/secret_memory.h"
#include "base/stopwatch.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
	CONNECTION_MAX = 32,
	RECEIVE_BYTES = 128 * 1024, /* of each transfer; curl's own 16 KiB cost a system call for every so many */
	STALL_BYTES_PER_SECOND = 1024,
	FIRST_BODY_BYTES = 16 * 1024, /* what holds secrets fits without being copied about */
};
static const int64_t default_connect_us = 5000000, default_stall_us = 20000000;

struct gm_http {
	CURLM *multi;
	struct gm_http_options options;
	char *ca_file;
	pthread_t thread;
	struct gm_stopwatch *watch; /* that the thread takes part in: of who made this; NULL: none */
	pthread_mutex_t lock;       /* of all below, and of each transfer's state */
	bool stop;
	struct gm_http_transfer *first, *last; /* wait for a connection */
	size_t active, cancelled;              /* transfers in curl's hands; those of them to be taken out of them */
	struct gm_http_transfer *in_hand;      /* list of them */
	CURL *idle[CONNECTION_MAX];
	size_t idle_count;
};

enum state { QUEUED, RUNNING, ENDED };

struct gm_http_transfer {
	struct gm_http *http;
	struct gm_http_transfer *next, *before; /* before: only while in hand */
	const struct gm_http_request *request;
	struct gm_http_response *response;
	CURL *easy;
	struct curl_slist *headers;
	pthread_cond_t ended;
	enum state state;
	bool cancel;
	size_t header_bytes;
	bool headers_whole; /* the empty line was seen */
	bool too_large, no_memory;
	bool asked; /* the request is being sent, or was */
	char why[CURL_ERROR_SIZE];
};

/* --- curl's memory ------------------------------------------------------------------------------------------------ */

/* Answers of metadata and token services pass through curl's buffers with secrets in them: what curl frees is wiped.
 * Who has initialised curl before us keeps its own memory functions. */
static void init_curl(void)
{
	(void)curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, gm_wiping_free, gm_wiping_realloc, strdup, calloc);
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT; /* curl_global_init is the process's, not ours */

/* --- What comes in ------------------------------------------------------------------------------------------------ */

static bool has_into(const struct gm_http_transfer *transfer)
{
	int status = transfer->response->status;
	return transfer->request->into != NULL && status >= 200 && status < 300;
}

static size_t keep_body(struct gm_http_transfer *transfer, const char *bytes, size_t n)
{
	struct gm_http_response *response = transfer->response;
	response->received_bytes += n;
	if (has_into(transfer)) {
		transfer->too_large = n > transfer->request->into_bytes - response->got;
		if (transfer->too_large) return 0;
		memcpy(transfer->request->into + response->got, bytes, n);
		response->got += n;
		return n;
	}
	struct gm_buf *body = &response->body;
	transfer->too_large = n > body->max_bytes - body->len;
	if (transfer->too_large) return 0;
	size_t more = n < FIRST_BODY_BYTES && body->len == 0 ? FIRST_BODY_BYTES : n;
	transfer->no_memory = gm_buf_reserve(body, more, NULL) != GM_OK;
	if (transfer->no_memory) return 0;
	memcpy(body->data + body->len, bytes, n);
	body->len += n;
	return n;
}

/* curl keeps its buffer for the next transfer of this handle, so what is freed wiped is not enough. */
static size_t take_body(char *bytes, size_t one, size_t n, void *context)
{
	struct gm_http_transfer *transfer = context;
	size_t taken = keep_body(transfer, bytes, n);
	(void)one;
	if (transfer->request->secret) explicit_bzero(bytes, n);
	return taken;
}

static char *trimmed(struct gm_arena *arena, const char *bytes, size_t n)
{
	while (n > 0 && (*bytes == ' ' || *bytes == '\t')) bytes++, n--;
	while (n > 0 && strchr(" \t\r\n", bytes[n - 1]) != NULL) n--;
	return gm_arena_strndup(arena, bytes, n);
}

/* False: no memory. What is not "name: value" is left out. */
static bool keep_header(struct gm_http_response *response, const char *line, size_t n)
{
	const char *colon = memchr(line, ':', n);
	if (colon == NULL) return true;
	struct gm_http_header *grown =
	    gm_grow(response->headers, response->header_count, &response->header_room, sizeof *grown);
	if (grown == NULL) return false;
	response->headers = grown;
	char *name = trimmed(&response->arena, line, (size_t)(colon - line));
	char *value = trimmed(&response->arena, colon + 1, n - (size_t)(colon + 1 - line));
	if (name == NULL || value == NULL) return false;
	for (char *c = name; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z') *c = (char)(*c + ('a' - 'A'));
	response->headers[response->header_count++] = (struct gm_http_header){name, value};
	return true;
}

/* Of a status line, which need not end with a NUL; 0: it has none. */
static int status_of(const char *line, size_t n)
{
	const char *space = memchr(line, ' ', n), *end = line + n;
	int status = 0;
	if (space == NULL || end - space < 4) return 0;
	for (int i = 1; i <= 3; i++) {
		if (space[i] < '0' || space[i] > '9') return 0;
		status = 10 * status + (space[i] - '0');
	}
	return status;
}

static size_t take_header(char *line, size_t one, size_t n, void *context)
{
	struct gm_http_transfer *transfer = context;
	struct gm_http_response *response = transfer->response;
	(void)one;
	transfer->header_bytes += n;
	if (transfer->header_bytes > GM_HTTP_HEADER_MAX) return 0;
	if (transfer->headers_whole) return n;         /* trailers */
	if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* also after an interim answer (100) */
		response->status = status_of(line, n);
		response->header_count = 0;
		return n;
	}
	if (line[0] == '\n' || (n == 2 && line[0] == '\r' && line[1] == '\n')) {
		transfer->headers_whole = response->status >= 200;
		return n;
	}
	transfer->no_memory = !keep_header(response, line, n);
	return transfer->no_memory ? 0 : n;
}

/* --- What goes out ------------------------------------------------------------------------------------------------ */

static void free_headers(struct curl_slist *headers)
{
	for (struct curl_slist *at = headers; at != NULL; at = at->next) explicit_bzero(at->data, strlen(at->data));
	curl_slist_free_all(headers);
}

static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
	char small[512], *line = small;
	size_t room = strlen(name) + strlen(value) + 3;
	if (room > sizeof small && (line = malloc(room)) == NULL) return false;
	/* "Name;" is how curl is told to send a header without a value. */
	(void)snprintf(line, room, value[0] != '\0' ? "%s: %s" : "%s;", name, value);
	struct curl_slist *grown = curl_slist_append(*list, line);
	explicit_bzero(line, line == small ? sizeof small : room);
	if (line != small) free(line);
	if (grown != NULL) *list = grown;
	return grown != NULL;
}

static bool make_headers(struct gm_http_transfer *transfer)
{
	const struct gm_http_request *request = transfer->request;
	struct curl_slist **list = &transfer->headers;
	/* What curl would add by itself, unless the request has it. */
	static const char *const unwanted[] = {"Accept:", "Expect:", "Content-Type:"};
	for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++) {
		bool given = false;
		size_t n = strlen(unwanted[i]) - 1;
		for (size_t k = 0; k < request->header_count; k++) {
			const char *name = request->headers[k].name;
			given |= strlen(name) == n && strncasecmp(name, unwanted[i], n) == 0;
		}
		struct curl_slist *grown = given ? *list : curl_slist_append(*list, unwanted[i]);
		if (grown == NULL && !given) return false;
		*list = grown;
	}
	for (size_t i = 0; i < request->header_count; i++)
		if (!add_header(list, request->headers[i].name, request->headers[i].value)) return false;
	return true;
}

/* curl sends a request again by itself when a connection that it had kept was closed before a byte of the answer came.
 * That the first has not arrived is not certain: whether a request is made again is decided by who knows what it
 * does. */
static int ask_once(void *context, char *their_ip, char *our_ip, int their_port, int our_port)
{
	struct gm_http_transfer *transfer = context;
	(void)their_ip;
	(void)our_ip;
	(void)their_port;
	(void)our_port;
	if (transfer->asked) return CURL_PREREQFUNC_ABORT;
	transfer->asked = true;
	return CURL_PREREQFUNC_OK;
}

/* Plain text that TLS has read is wiped after use. */
static CURLcode set_up_tls(CURL *easy, void *context, void *unused)
{
	(void)easy;
	(void)unused;
	(void)SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT);
	return CURLE_OK;
}

static bool is_link_local(const char *url)
{
	const char *host = strstr(url, "://");
	if (host == NULL) return false;
	host += 3;
	return strncmp(host, "169.254.", 8) == 0 || strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0 ||
	       strncmp(host, "[fd00:ec2:", 10) == 0 || strncmp(host, "localhost", 9) == 0;
}

static void set_method(const struct gm_http_transfer *transfer)
{
	CURL *easy = transfer->easy;
	const struct gm_http_request *request = transfer->request;
	bool sends = strcmp(request->method, "PUT") == 0 || strcmp(request->method, "POST") == 0;
	if (strcmp(request->method, "HEAD") == 0) {
		(void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (sends || request->body_bytes > 0) {
		(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
		(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body_bytes > 0 ? request->body : "");
		(void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	} else {
		(void)curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
		(void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	}
}

static long whole_ms(int64_t us, int64_t fallback_us)
{
	return (long)((us > 0 ? us : fallback_us) + 999) / 1000;
}

static void set_limits(const struct gm_http_transfer *transfer)
{
	CURL *easy = transfer->easy;
	const struct gm_http_options *options = &transfer->http->options;
	long stall = (whole_ms(options->stall_us, default_stall_us) + 999) / 1000;
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, whole_ms(options->connect_us, default_connect_us));
	(void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES_PER_SECOND);
	(void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, stall);
	if (transfer->request->timeout_us > 0)
		(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, whole_ms(transfer->request->timeout_us, 0));
}

static bool set_up(struct gm_http_transfer *transfer)
{
	CURL *easy = transfer->easy;
	const struct gm_http *http = transfer->http;
	if (!make_headers(transfer)) return false;
	if (curl_easy_setopt(easy, CURLOPT_URL, transfer->request->url) != CURLE_OK) return false;
	set_method(transfer);
	set_limits(transfer);
	(void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
	(void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "gristmill");
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
	(void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, set_up_tls);
	if (http->ca_file != NULL) (void)curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file);
	if (is_link_local(transfer->request->url)) (void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's answer is not the service's */
	(void)curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, ask_once);
	(void)curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->why);
	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	return true;
}

/* --- How it ended ------------------------------------------------------------------------------------------------- */

/* curl takes a length that it cannot read for none, and what comes until the end of the connection for the body. */
static bool length_agrees(const struct gm_http_transfer *transfer)
{
	const struct gm_http_response *response = transfer->response;
	const char *text = gm_http_header(response, "content-length");
	bool bodiless =
	    response->status == 204 || response->status == 304 || strcmp(transfer->request->method, "HEAD") == 0;
	if (text == NULL || bodiless || gm_http_header(response, "transfer-encoding") != NULL) return true;
	size_t n = strspn(text, "0123456789");
	return n > 0 && n < 20 && text[n] == '\0' && strtoull(text, NULL, 10) == response->received_bytes;
}

static enum gm_http_end end_of(const struct gm_http_transfer *transfer, CURLcode code)
{
	if (transfer->no_memory) return GM_HTTP_NOMEM;
	if (transfer->too_large) return GM_HTTP_TOO_LARGE;
	/* Also where it could not connect or trust the server: curl does that once more when a connection that it had kept
	 * breaks, to ask again, which is not let it do. */
	if (transfer->asked && code != CURLE_OK && code != CURLE_OUT_OF_MEMORY) return GM_HTTP_BROKEN;
	switch (code) {
	case CURLE_OK: return transfer->headers_whole && length_agrees(transfer) ? GM_HTTP_DONE : GM_HTTP_BROKEN;
	case CURLE_OUT_OF_MEMORY: /* also said of a header line without end */
		return transfer->asked && !transfer->headers_whole ? GM_HTTP_BROKEN : GM_HTTP_NOMEM;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL: return GM_HTTP_TLS;
	default: return GM_HTTP_UNREACHABLE;
	}
}

static const char *text_of(const struct gm_http_transfer *transfer, CURLcode code)
{
	if (transfer->no_memory) return "out of memory for an answer";
	if (transfer->too_large) return "the answer is larger than it may be";
	if (code == CURLE_OK && !transfer->headers_whole) return "the header block of the answer is cut off";
	if (code == CURLE_OK) return "the body of the answer has another length than its header says";
	if (code == CURLE_ABORTED_BY_CALLBACK) return "the connection was closed before the answer came";
	if (transfer->header_bytes > GM_HTTP_HEADER_MAX) return "the header block of the answer is too large";
	return transfer->why[0] != '\0' ? transfer->why : curl_easy_strerror(code);
}

/* With the lock. */
static void end(struct gm_http_transfer *transfer, enum gm_http_end how, const char *why)
{
	struct gm_http_response *response = transfer->response;
	response->end = how;
	if (how == GM_HTTP_DONE)
		response->sent_bytes = transfer->request->body_bytes;
	else
		(void)snprintf(response->message, sizeof response->message, "%s", why);
	transfer->state = ENDED;
	(void)pthread_cond_signal(&transfer->ended);
}

/* --- The thread --------------------------------------------------------------------------------------------------- */

/* It forgets the transfer now, since that goes before it is used again. */
static void keep_idle(struct gm_http *http, CURL *easy)
{
	curl_easy_reset(easy);
	if (http->idle_count < CONNECTION_MAX)
		http->idle[http->idle_count++] = easy;
	else
		curl_easy_cleanup(easy);
}

/* With the lock: into curl's hands. */
static void begin(struct gm_http *http, struct gm_http_transfer *transfer)
{
	transfer->easy = http->idle_count > 0 ? http->idle[--http->idle_count] : curl_easy_init();
	if (transfer->easy != NULL && set_up(transfer) && curl_multi_add_handle(http->multi, transfer->easy) == CURLM_OK) {
		transfer->state = RUNNING;
		transfer->before = NULL;
		transfer->next = http->in_hand;
		if (http->in_hand != NULL) http->in_hand->before = transfer;
		http->in_hand = transfer;
		http->active++;
		return;
	}
	if (transfer->easy != NULL) curl_easy_cleanup(transfer->easy);
	end(transfer, GM_HTTP_NOMEM, "out of memory for a request");
}

/* With the lock: out of curl's hands. */
static void take_back(struct gm_http *http, struct gm_http_transfer *transfer, enum gm_http_end how, const char *why)
{
	(void)curl_multi_remove_handle(http->multi, transfer->easy);
	*(transfer->before != NULL ? &transfer->before->next : &http->in_hand) = transfer->next;
	if (transfer->next != NULL) transfer->next->before = transfer->before;
	http->active--;
	if (transfer->cancel) http->cancelled--;
	keep_idle(http, transfer->easy);
	end(transfer, how, why);
}

static void end_cancelled(struct gm_http *http)
{
	struct gm_http_transfer *next;
	for (struct gm_http_transfer *at = http->in_hand; at != NULL && http->cancelled > 0; at = next) {
		next = at->next;
		if (at->cancel) take_back(http, at, GM_HTTP_BROKEN, "cancelled");
	}
}

/* With the lock. False: no more to do for ever. */
static bool take_orders(struct gm_http *http)
{
	end_cancelled(http);
	while (http->first != NULL && http->active < http->options.connection_max) {
		struct gm_http_transfer *transfer = http->first;
		http->first = transfer->next;
		if (http->first == NULL) http->last = NULL;
		begin(http, transfer);
	}
	return !http->stop;
}

static void collect_ended(struct gm_http *http)
{
	CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
		struct gm_http_transfer *transfer = NULL;
		if (message->msg != CURLMSG_DONE) continue;
		CURLcode code = message->data.result;
		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		enum gm_http_end how = end_of(transfer, code);
		const char *why = text_of(transfer, code);
		(void)pthread_mutex_lock(&http->lock);
		take_back(http, transfer, how, why);
		(void)pthread_mutex_unlock(&http->lock);
	}
}

/* Here, and not by who calls gm_http_free: to say goodbye on a TLS connection that is gone raises a signal. */
static void clean_up(struct gm_http *http)
{
	for (size_t i = 0; i < http->idle_count; i++) curl_easy_cleanup(http->idle[i]);
	(void)curl_multi_cleanup(http->multi);
}

static void *drive(void *context)
{
	struct gm_http *http = context;
	struct gm_stopwatch_hand hand;
	gm_stopwatch_join(http->watch, &hand, GM_STAGE_TRANSFER);
	for (;;) {
		int running;
		(void)pthread_mutex_lock(&http->lock);
		bool on = take_orders(http);
		(void)pthread_mutex_unlock(&http->lock);
		if (!on) break;
		(void)curl_multi_perform(http->multi, &running);
		collect_ended(http);
		(void)pthread_mutex_lock(&http->lock);
		bool more = http->first != NULL && http->active < http->options.connection_max;
		(void)pthread_mutex_unlock(&http->lock);
		if (!more) (void)curl_multi_poll(http->multi, NULL, 0, 1000, NULL);
	}
	clean_up(http);
	gm_stopwatch_leave(&hand);
	return NULL;
}

/* No signal is for this thread: the program's are for others, and SIGPIPE would end the process. */
static bool start_thread(struct gm_http *http)
{
	sigset_t all, before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	bool started = pthread_create(&http->thread, NULL, drive, http) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

/* --- The interface ------------------------------------------------------------------------------------------------ */

enum gm_code gm_http_new(const struct gm_http_options *options, struct gm_http **out, struct gm_error *err)
{
	*out = NULL;
	(void)pthread_once(&curl_once, init_curl);
	struct gm_http *http = calloc(1, sizeof *http);
	if (http == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for HTTP");
	http->options = *options;
	http->watch = gm_stopwatch_mine();
	if (http->options.connection_max == 0 || http->options.connection_max > CONNECTION_MAX)
		http->options.connection_max = CONNECTION_MAX;
	http->ca_file = options->ca_file != NULL ? strdup(options->ca_file) : NULL;
	http->multi = curl_multi_init();
	if (http->multi == NULL || (options->ca_file != NULL && http->ca_file == NULL)) goto failed;
	(void)curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)http->options.connection_max);
	(void)pthread_mutex_init(&http->lock, NULL);
	if (!start_thread(http)) {
		(void)pthread_mutex_destroy(&http->lock);
		goto failed;
	}
	*out = http;
	return GM_OK;
failed:
	(void)curl_multi_cleanup(http->multi);
	free(http->ca_file);
	free(http);
	GM_FAIL(err, GM_NOMEM, "out of memory for HTTP");
}

void gm_http_free(struct gm_http *http)
{
	if (http == NULL) return;
	(void)pthread_mutex_lock(&http->lock);
	http->stop = true;
	(void)curl_multi_wakeup(http->multi); /* with the lock: the thread takes it before it lets go of the handle */
	(void)pthread_mutex_unlock(&http->lock);
	(void)pthread_join(http->thread, NULL);
	(void)pthread_mutex_destroy(&http->lock);
	free(http->ca_file);
	free(http);
}

void gm_http_response_init(struct gm_http_response *response)
{
	*response = (struct gm_http_response){.end = GM_HTTP_BROKEN};
	gm_buf_init(&response->body, GM_HTTP_BODY_MAX);
	gm_arena_init(&response->arena, 1024);
}

static void empty(struct gm_http_response *response)
{
	if (response->body.data != NULL) explicit_bzero(response->body.data, response->body.len);
	response->body.len = 0;
	gm_arena_reset(&response->arena);
	response->end = GM_HTTP_BROKEN;
	response->status = 0;
	response->got = response->header_count = 0;
	response->sent_bytes = response->received_bytes = 0;
	response->message[0] = '\0';
}

void gm_http_response_release(struct gm_http_response *response)
{
	empty(response);
	gm_buf_release(&response->body);
	gm_arena_release(&response->arena);
	free(response->headers);
	response->headers = NULL;
	response->header_room = 0;
}

const char *gm_http_header(const struct gm_http_response *response, const char *name)
{
	for (size_t i = 0; i < response->header_count; i++)
		if (strcmp(response->headers[i].name, name) == 0) return response->headers[i].value;
	return NULL;
}

/* Whose time limits no change of the wall clock moves. */
static void init_ended(pthread_cond_t *ended)
{
	pthread_condattr_t attributes;
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(ended, &attributes);
	(void)pthread_condattr_destroy(&attributes);
}

enum gm_code gm_http_start(struct gm_http *http, const struct gm_http_request *request,
                           struct gm_http_response *response, struct gm_http_transfer **out, struct gm_error *err)
{
	*out = NULL;
	empty(response);
	struct gm_http_transfer *transfer = calloc(1, sizeof *transfer);
	if (transfer == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a request");
	transfer->http = http;
	transfer->request = request;
	transfer->response = response;
	init_ended(&transfer->ended);
	(void)pthread_mutex_lock(&http->lock);
	if (http->last != NULL)
		http->last->next = transfer;
	else
		http->first = transfer;
	http->last = transfer;
	(void)pthread_mutex_unlock(&http->lock);
	(void)curl_multi_wakeup(http->multi);
	*out = transfer;
	return GM_OK;
}

void gm_http_wait(struct gm_http_transfer *transfer)
{
	struct gm_http *http = transfer->http;
	(void)pthread_mutex_lock(&http->lock);
	while (transfer->state != ENDED) (void)pthread_cond_wait(&transfer->ended, &http->lock);
	(void)pthread_mutex_unlock(&http->lock);
	(void)pthread_cond_destroy(&transfer->ended);
	free_headers(transfer->headers);
	free(transfer);
}

bool gm_http_wait_some(struct gm_http_transfer *transfer, int64_t us)
{
	struct gm_http *http = transfer->http;
	struct timespec end;
	int waited = 0;
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	us += end.tv_nsec / 1000;
	end.tv_sec += (time_t)(us / 1000000);
	end.tv_nsec = (long)(us % 1000000) * 1000;
	(void)pthread_mutex_lock(&http->lock);
	while (transfer->state != ENDED && waited == 0)
		waited = pthread_cond_timedwait(&transfer->ended, &http->lock, &end);
	bool ended = transfer->state == ENDED;
	(void)pthread_mutex_unlock(&http->lock);
	return ended;
}

/* With the lock: out of the queue. */
static void leave_queue(struct gm_http *http, struct gm_http_transfer *transfer)
{
	struct gm_http_transfer **link = &http->first, *before = NULL;
	while (*link != transfer) {
		before = *link;
		link = &before->next;
	}
	*link = transfer->next;
	if (http->last == transfer) http->last = before;
	end(transfer, GM_HTTP_BROKEN, "cancelled");
}

void gm_http_cancel(struct gm_http_transfer *transfer)
{
	struct gm_http *http = transfer->http;
	(void)pthread_mutex_lock(&http->lock);
	if (transfer->state == QUEUED) {
		leave_queue(http, transfer);
	} else if (transfer->state == RUNNING) {
		transfer->cancel = true;
		http->cancelled++;
		(void)curl_multi_wakeup(http->multi);
	}
	(void)pthread_mutex_unlock(&http->lock);
	gm_http_wait(transfer);
}

enum gm_code gm_http_perform(struct gm_http *http, const struct gm_http_request *request,
                             struct gm_http_response *response, struct gm_error *err)
{
	struct gm_http_transfer *transfer;
	GM_TRY(gm_http_start(http, request, response, &transfer, err));
	gm_http_wait(transfer);
	return GM_OK;
}
