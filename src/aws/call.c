#include "aws/call.h"

#include "aws/service_error.h"
#include "base/clock.h"
#include "base/flag.h"
#include "base/time.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
	MAX_ATTEMPTS = 8,
	/* The budget of retries, as in the AWS SDKs' standard mode, but for several dozen requests in flight at once. */
	TOKENS = 2000,
	RETRY_TOKENS = 5,
	BROKEN_TOKENS = 10,
	ACCESS_KEY_BYTES = 129,
};
static const int64_t base_us = 50000, throttle_base_us = 500000, longest_us = 20000000, stop_look_us = 100000;
static const char empty_sha256[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct gm_client {
	struct gm_client_options options;
	char service[32];
	pthread_mutex_t lock; /* of what follows */
	char region[GM_REGION_BYTES], endpoint[GM_ENDPOINT_BYTES];
	int64_t skew_us; /* the server's clock less ours */
	int tokens;
	struct gm_call_counts counts;
};

/* What an answer, or the want of one, is to be answered with. */
enum verdict { FINAL, CONNECT, BROKEN, SERVER, THROTTLE, CHECKSUM, SKEW, EXPIRED, REGION, CONFLICT };

struct gm_call {
	struct gm_client *client;
	struct gm_call_request request;
	struct gm_call_response response;
	struct gm_arena arena; /* of an attempt */
	struct gm_http_request http;
	struct gm_http_transfer *transfer;
	char sha256[GM_SHA256_HEX_BYTES];
	char named_region[GM_REGION_BYTES]; /* by an error answer */
	char region[GM_REGION_BYTES];       /* of the attempt */
	char access_key[ACCESS_KEY_BYTES];  /* the same; this much of it */
	char *session_token;                /* in the arena; NULL: none */
	bool skewed, renewed, moved;        /* each is done once */
	bool renew;                         /* the next attempt's credentials are to be others than the last one's */
	int taken_tokens;                   /* for the last retry */
	int64_t start_us;                   /* by a clock that is never set */
};

/* --- Clients ------------------------------------------------------------------------------------------------------ */

static int64_t wall_clock_us(void *unused)
{
	(void)unused;
	return gm_clock_wall_us();
}

static bool fits(char *to, size_t room, const char *from)
{
	return (size_t)snprintf(to, room, "%s", from) < room;
}

enum gm_code gm_client_new(const struct gm_client_options *options, struct gm_client **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_client *client = calloc(1, sizeof *client);
	if (client == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a client of %s", options->service);
	client->options = *options;
	if (client->options.max_attempts == 0) client->options.max_attempts = MAX_ATTEMPTS;
	if (client->options.now_us == NULL) client->options.now_us = wall_clock_us;
	if (client->options.retry_budget == 0) client->options.retry_budget = TOKENS;
	client->tokens = client->options.retry_budget;
	if (!fits(client->service, sizeof client->service, options->service) ||
	    !fits(client->region, sizeof client->region, options->region) ||
	    !fits(client->endpoint, sizeof client->endpoint, options->endpoint)) {
		free(client);
		GM_FAIL(err, GM_USAGE, "the region or the endpoint is too long");
	}
	(void)pthread_mutex_init(&client->lock, NULL);
	*out = client;
	return GM_OK;
}

void gm_client_free(struct gm_client *client)
{
	if (client == NULL) return;
	(void)pthread_mutex_destroy(&client->lock);
	free(client);
}

void gm_client_counts(const struct gm_client *client, struct gm_call_counts *add_to)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&client->lock;
	(void)pthread_mutex_lock(lock);
	for (size_t i = 0; i < GM_CALL_KINDS; i++) add_to->requests[i] += client->counts.requests[i];
	add_to->retries += client->counts.retries;
	add_to->bytes_out += client->counts.bytes_out;
	add_to->bytes_in += client->counts.bytes_in;
	(void)pthread_mutex_unlock(lock);
}

static int64_t now_of(struct gm_client *client)
{
	(void)pthread_mutex_lock(&client->lock);
	int64_t skew_us = client->skew_us;
	(void)pthread_mutex_unlock(&client->lock);
	return client->options.now_us(client->options.clock) + skew_us;
}

/* --- One attempt -------------------------------------------------------------------------------------------------- */

/* An attempt's place: copies, since another thread may move the client meanwhile. */
struct place {
	char region[GM_REGION_BYTES];
	const char *scheme_end; /* in endpoint: behind "https://" */
	char endpoint[GM_ENDPOINT_BYTES];
};

static void place_of(struct gm_client *client, struct place *place)
{
	(void)pthread_mutex_lock(&client->lock);
	memcpy(place->region, client->region, sizeof place->region);
	memcpy(place->endpoint, client->endpoint, sizeof place->endpoint);
	(void)pthread_mutex_unlock(&client->lock);
	const char *colon = strstr(place->endpoint, "://");
	place->scheme_end = colon != NULL ? colon + 3 : place->endpoint;
}

/* What the Host header says: without the port that the scheme implies. */
static char *host_of(struct gm_call *call, const struct place *place)
{
	const char *host = place->scheme_end, *before = call->request.host;
	size_t n = strlen(host);
	bool https = strncmp(place->endpoint, "https:", 6) == 0;
	const char *implied = https ? ":443" : ":80";
	size_t port = strlen(implied);
	if (n > port && strcmp(host + n - port, implied) == 0) n -= port;
	return gm_arena_printf(&call->arena, "%s%s%.*s", before != NULL ? before : "", before != NULL ? "." : "", (int)n,
	                       host);
}

static char *url_of(struct gm_call *call, const struct place *place, const char *host)
{
	const struct gm_call_request *request = &call->request;
	char *query = gm_uri_query(&call->arena, request->query, request->query_count);
	if (query == NULL) return NULL;
	return gm_arena_printf(&call->arena, "%.*s%s%s%s%s", (int)(place->scheme_end - place->endpoint), place->endpoint,
	                       host, request->path, query[0] != '\0' ? "?" : "", query);
}

struct headers {
	struct gm_sign_pair at[GM_HTTP_HEADERS_MAX];
	size_t count;
};

static void add(struct headers *headers, const char *name, const char *value)
{
	headers->at[headers->count++] = (struct gm_sign_pair){name, value};
}

/* Of many calls in flight that are told the same, the first asks for new credentials; the others take those. */
static enum gm_code get_credentials(struct gm_call *call, struct gm_credentials *out, struct gm_error *err)
{
	struct gm_provider *provider = call->client->options.provider;
	GM_TRY(gm_provider_get(provider, false, out, err));
	bool same = strncmp(out->access_key, call->access_key, sizeof call->access_key - 1) == 0;
	if (call->renew && same) {
		gm_credentials_wipe(out);
		GM_TRY(gm_provider_get(provider, true, out, err));
	}
	call->renew = false;
	(void)fits(call->access_key, sizeof call->access_key, out->access_key);
	return GM_OK;
}

static enum gm_code sign(struct gm_call *call, const struct place *place, struct headers *headers, struct gm_error *err)
{
	struct gm_client *client = call->client;
	struct gm_credentials credentials;
	const char *authorization;
	int64_t now_us = now_of(client);
	char *date = gm_arena_alloc(&call->arena, GM_SIGN_DATE_BYTES), *token = NULL;
	if (date == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a request");
	GM_TRY(get_credentials(call, &credentials, err));
	gm_sign_date(now_us, date);
	add(headers, "X-Amz-Date", date);
	enum gm_code rc = GM_OK;
	if (credentials.session_token != NULL && credentials.session_token[0] != '\0') {
		token = gm_arena_strndup(&call->arena, credentials.session_token, strlen(credentials.session_token));
		if (token == NULL) rc = gm_error_set(err, GM_NOMEM, "out of memory for a request");
		call->session_token = token;
		add(headers, "X-Amz-Security-Token", token);
	}
	struct gm_signer signer = {credentials.access_key, credentials.secret_key, token != NULL ? token : ""};
	struct gm_sign_request request = {.service = client->service,
	                                  .region = place->region,
	                                  .method = call->request.method,
	                                  .path = call->request.path,
	                                  .query = call->request.query,
	                                  .query_count = call->request.query_count,
	                                  .headers = headers->at,
	                                  .header_count = headers->count,
	                                  .payload_sha256 = call->sha256,
	                                  .now_us = now_us};
	if (rc == GM_OK) rc = gm_sign(&request, &signer, &call->arena, &authorization, NULL, err);
	gm_credentials_wipe(&credentials);
	if (rc == GM_OK) add(headers, "Authorization", authorization);
	return rc;
}

/* A line break in a header's value would begin a header of its own. */
static enum gm_code check_headers(const struct gm_call_request *request, struct gm_error *err)
{
	for (size_t i = 0; i < request->header_count; i++)
		if (strpbrk(request->headers[i].value, "\r\n") != NULL)
			GM_FAIL(err, GM_USAGE, "the value of a header %s has a line break", request->headers[i].name);
	return GM_OK;
}

static enum gm_code make_request(struct gm_call *call, struct gm_error *err)
{
	const struct gm_call_request *request = &call->request;
	struct headers headers = {.count = 0};
	struct place place;
	GM_TRY(check_headers(request, err));
	place_of(call->client, &place);
	memcpy(call->region, place.region, sizeof call->region);
	char *host = host_of(call, &place);
	char *url = host != NULL ? url_of(call, &place, host) : NULL;
	if (url == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a request");
	add(&headers, "Host", host);
	for (size_t i = 0; i < request->header_count; i++)
		add(&headers, request->headers[i].name, request->headers[i].value);
	add(&headers, "X-Amz-Content-Sha256", call->sha256);
	if (call->client->options.provider != NULL) GM_TRY(sign(call, &place, &headers, err));
	call->http = (struct gm_http_request){.method = request->method,
	                                      .url = url,
	                                      .header_count = headers.count,
	                                      .body = request->body,
	                                      .body_bytes = request->body_bytes,
	                                      .into = request->into,
	                                      .into_bytes = request->into_bytes};
	for (size_t i = 0; i < headers.count; i++)
		call->http.headers[i] = (struct gm_http_header){headers.at[i].name, headers.at[i].value};
	return GM_OK;
}

static void forget_secrets(struct gm_call *call)
{
	if (call->session_token != NULL) explicit_bzero(call->session_token, strlen(call->session_token));
	call->session_token = NULL;
}

static void count_request(struct gm_call *call)
{
	struct gm_client *client = call->client;
	(void)pthread_mutex_lock(&client->lock);
	client->counts.requests[call->request.kind]++;
	client->counts.retries += call->response.attempts > 1;
	(void)pthread_mutex_unlock(&client->lock);
}

static void count_bytes(struct gm_call *call)
{
	struct gm_client *client = call->client;
	(void)pthread_mutex_lock(&client->lock);
	client->counts.bytes_out += call->response.http.sent_bytes;
	client->counts.bytes_in += call->response.http.received_bytes;
	(void)pthread_mutex_unlock(&client->lock);
}

static enum gm_code start_attempt(struct gm_call *call, struct gm_error *err)
{
	forget_secrets(call);
	gm_arena_reset(&call->arena);
	GM_TRY(make_request(call, err));
	GM_TRY(gm_http_start(call->client->options.http, &call->http, &call->response.http, &call->transfer, err));
	call->response.attempts++;
	count_request(call);
	return GM_OK;
}

/* --- What the answer says ----------------------------------------------------------------------------------------- */

static void read_error(struct gm_call *call)
{
	const struct gm_http_response *http = &call->response.http;
	struct gm_call_response *response = &call->response;
	const char *region = gm_http_header(http, "x-amz-bucket-region"), *id = gm_http_header(http, "x-amz-request-id");
	struct gm_service_error said;
	gm_service_error_read(http->body.data, http->body.len, &said);
	if (id == NULL) id = gm_http_header(http, "x-amzn-requestid");
	(void)fits(response->error, sizeof response->error, said.code);
	(void)fits(response->text, sizeof response->text, said.text);
	(void)fits(response->request_id, sizeof response->request_id, id != NULL ? id : said.request_id);
	(void)fits(call->named_region, sizeof call->named_region, region != NULL ? region : said.region);
}

struct known {
	const char *code;
	enum verdict verdict;
};

static enum verdict class_of_code(const char *code)
{
	static const struct known known[] = {
	    {"SlowDown", THROTTLE},
	    {"Throttling", THROTTLE},
	    {"ThrottlingException", THROTTLE},
	    {"ThrottledException", THROTTLE},
	    {"RequestThrottled", THROTTLE},
	    {"RequestThrottledException", THROTTLE},
	    {"RequestLimitExceeded", THROTTLE},
	    {"TooManyRequestsException", THROTTLE},
	    {"ProvisionedThroughputExceededException", THROTTLE},
	    {"BandwidthLimitExceeded", THROTTLE},
	    {"LimitExceededException", THROTTLE},
	    {"InternalError", SERVER},
	    {"InternalFailure", SERVER},
	    {"ServiceUnavailable", SERVER},
	    {"RequestTimeout", SERVER},
	    {"RequestTimeoutException", SERVER},
	    {"BadDigest", CHECKSUM},
	    {"XAmzContentSHA256Mismatch", CHECKSUM},
	    {"IncompleteBody", CHECKSUM},
	    {"RequestTimeTooSkewed", SKEW},
	    {"RequestExpired", SKEW},
	    {"RequestInTheFuture", SKEW},
	    {"ExpiredToken", EXPIRED},
	    {"ExpiredTokenException", EXPIRED},
	    {"TokenRefreshRequired", EXPIRED},
	    {"AuthorizationHeaderMalformed", REGION},
	    {"PermanentRedirect", REGION},
	    {"TemporaryRedirect", REGION},
	    {"ConditionalRequestConflict", CONFLICT},
	    {"OperationAborted", CONFLICT},
	};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strcmp(code, known[i].code) == 0) return known[i].verdict;
	return FINAL;
}

static enum verdict class_of_status(const struct gm_call *call, int status)
{
	if (status == 429) return THROTTLE;
	if (status == 503) return THROTTLE;
	if (status == 501 || status == 505 || status == 507) return FINAL; /* it cannot, or is full */
	if (status == 408 || status >= 500) return SERVER;
	if ((status == 301 || status == 307 || status == 400) && call->named_region[0] != '\0') return REGION;
	/* The answer to a HEAD has no room for a code; of those that S3 gives with 400, this one is expected. */
	if (status == 400 && strcmp(call->request.method, "HEAD") == 0) return EXPIRED;
	return FINAL;
}

/* A 200 that holds an error: the server had begun to answer before it knew. */
static bool holds_error(const struct gm_call *call)
{
	const struct gm_buf *body = &call->response.http.body;
	return call->request.body_may_be_error && body->len > 0 &&
	       memmem(body->data, body->len, "<Error", strlen("<Error")) != NULL;
}

/* The status that such an answer would have had. */
static int status_of_error(const char *code)
{
	if (strcmp(code, "PreconditionFailed") == 0) return 412;
	if (strcmp(code, "NoSuchUpload") == 0 || strcmp(code, "NoSuchKey") == 0) return 404;
	if (strcmp(code, "ConditionalRequestConflict") == 0) return 409;
	if (strcmp(code, "AccessDenied") == 0) return 403;
	return 500;
}

static void told_broken(struct gm_call *call, const char *what)
{
	call->response.http.end = GM_HTTP_BROKEN;
	(void)fits(call->response.http.message, sizeof call->response.http.message, what);
}

/* Good news about an object, but not the store's: however long it is. */
static bool is_foreign(const struct gm_call *call)
{
	const struct gm_http_response *http = &call->response.http;
	if (http->end != GM_HTTP_DONE && http->end != GM_HTTP_TOO_LARGE) return false;
	return call->request.tagged && http->status >= 200 && http->status < 300 && gm_http_header(http, "etag") == NULL;
}

static enum verdict classify(struct gm_call *call)
{
	struct gm_call_response *response = &call->response;
	const struct gm_call_request *request = &call->request;
	int status = response->http.status;
	response->error[0] = response->text[0] = response->request_id[0] = call->named_region[0] = '\0';
	if (response->http.end == GM_HTTP_UNREACHABLE) return CONNECT;
	if (response->http.end == GM_HTTP_BROKEN) return BROKEN;
	if (is_foreign(call)) {
		told_broken(call, "the answer has no ETag, so it is not the store's");
		return BROKEN;
	}
	/* What is larger than was asked for is so again; an error's endless text may be a passing fault. */
	if (response->http.end == GM_HTTP_TOO_LARGE) return request->into != NULL ? FINAL : BROKEN;
	if (response->http.end != GM_HTTP_DONE) return FINAL;
	bool good = status >= 200 && status < 300, hidden = good && holds_error(call);
	if (good && !hidden) {
		if (request->into == NULL || request->into_exact == 0 || response->http.got == request->into_exact)
			return FINAL;
		told_broken(call, "the answer has another length than was asked for");
		return BROKEN;
	}
	read_error(call);
	if (hidden) response->http.status = status_of_error(response->error);
	enum verdict verdict = class_of_code(response->error);
	return verdict != FINAL ? verdict : class_of_status(call, response->http.status);
}

/* --- Again? ------------------------------------------------------------------------------------------------------- */

/* The first retry of these has a reason to go better, and no other has. */
static bool may_once(bool *done)
{
	bool first = !*done;
	*done = true;
	return first;
}

static bool learn_clock(struct gm_call *call)
{
	struct gm_client *client = call->client;
	const char *date = gm_http_header(&call->response.http, "date");
	int64_t server_us;
	if (date == NULL || !gm_time_parse_http(date, &server_us)) return false;
	int64_t ours_us = client->options.now_us(client->options.clock);
	(void)pthread_mutex_lock(&client->lock);
	client->skew_us = server_us - ours_us;
	(void)pthread_mutex_unlock(&client->lock);
	return true;
}

static bool is_region(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
	return n > 0 && name[n] == '\0';
}

static bool learn_region(struct gm_call *call)
{
	struct gm_client *client = call->client;
	char endpoint[GM_ENDPOINT_BYTES];
	bool moves = client->options.move != NULL;
	/* Where it has been asked already, it is not to be found. */
	if (!is_region(call->named_region) || strcmp(call->named_region, call->region) == 0) return false;
	if (moves && client->options.move(client->options.move_context, call->named_region, endpoint, NULL) != GM_OK)
		return false;
	(void)pthread_mutex_lock(&client->lock);
	memcpy(client->region, call->named_region, sizeof client->region);
	if (moves) memcpy(client->endpoint, endpoint, sizeof client->endpoint);
	(void)pthread_mutex_unlock(&client->lock);
	return true;
}

/* Takes what a retry costs out of the budget. False: it is spent. */
static bool take_tokens(struct gm_call *call, enum verdict verdict)
{
	struct gm_client *client = call->client;
	int cost = verdict == BROKEN ? BROKEN_TOKENS : RETRY_TOKENS;
	(void)pthread_mutex_lock(&client->lock);
	bool enough = client->tokens >= cost;
	if (enough) client->tokens -= cost;
	(void)pthread_mutex_unlock(&client->lock);
	call->taken_tokens = enough ? cost : 0;
	return enough;
}

/* An answer that is an answer. */
static void give_tokens(struct gm_call *call)
{
	struct gm_client *client = call->client;
	(void)pthread_mutex_lock(&client->lock);
	client->tokens += call->taken_tokens > 0 ? call->taken_tokens : 1;
	if (client->tokens > client->options.retry_budget) client->tokens = client->options.retry_budget;
	(void)pthread_mutex_unlock(&client->lock);
}

static bool is_stopped(const struct gm_call *call)
{
	return gm_flag_is_set(call->client->options.stop);
}

static bool is_old(const struct gm_call *call)
{
	int64_t patience_us = call->client->options.patience_us;
	return patience_us > 0 && gm_clock_steady_us() - call->start_us >= patience_us;
}

static bool is_again(struct gm_call *call, enum verdict verdict)
{
	bool silent = verdict == CONNECT || verdict == BROKEN;
	if (silent && gm_flag_is_set(call->client->options.leaving)) return false;
	if (is_stopped(call)) return false;
	switch (verdict) {
	case FINAL: return false;
	case SKEW: return may_once(&call->skewed) && learn_clock(call);
	case EXPIRED: return call->client->options.provider != NULL && (call->renew = may_once(&call->renewed));
	case REGION: return may_once(&call->moved) && learn_region(call);
	default: break;
	}
	return call->response.attempts < call->client->options.max_attempts && !is_old(call) && take_tokens(call, verdict);
}

/* Full jitter: uniform in [0, what doubling allows]. Who is to stop waits no longer. */
static void back_off(const struct gm_call *call, enum verdict verdict)
{
	uint64_t random = 0;
	if (verdict == SKEW || verdict == EXPIRED || verdict == REGION) return;
	int64_t limit_us = verdict == THROTTLE ? throttle_base_us : base_us;
	for (unsigned i = 1; i < call->response.attempts && limit_us < longest_us; i++) limit_us *= 2;
	if (limit_us > longest_us) limit_us = longest_us;
	(void)!getrandom(&random, sizeof random, 0);
	int64_t us = (int64_t)(random % (uint64_t)limit_us);
	for (int64_t end_us = gm_clock_steady_us() + us; !is_stopped(call) && us > 0; us = end_us - gm_clock_steady_us()) {
		int64_t step_us = us < stop_look_us ? us : stop_look_us;
		const struct timespec pause = {0, (long)(step_us * 1000)};
		(void)nanosleep(&pause, NULL);
	}
}

/* May the attempt have done what was asked although nobody says so? */
static bool is_unclear(const struct gm_call *call, enum verdict verdict)
{
	return verdict == BROKEN || verdict == SERVER || (verdict == THROTTLE && call->response.http.status != 429);
}

/* --- The interface ------------------------------------------------------------------------------------------------ */

enum gm_code gm_call_start(struct gm_client *client, const struct gm_call_request *request, struct gm_call **out,
                           struct gm_error *err)
{
	*out = NULL;
	struct gm_call *call = calloc(1, sizeof *call);
	if (call == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a request");
	call->client = client;
	call->request = *request;
	call->start_us = gm_clock_steady_us();
	gm_arena_init(&call->arena, 4096);
	gm_http_response_init(&call->response.http);
	enum gm_code rc = GM_OK;
	if (request->body_bytes > 0)
		rc = gm_sha256_hex(request->body, request->body_bytes, call->sha256, err);
	else
		memcpy(call->sha256, empty_sha256, sizeof empty_sha256);
	if (rc == GM_OK) rc = start_attempt(call, err);
	if (rc != GM_OK) {
		gm_call_end(call);
		return rc;
	}
	*out = call;
	return GM_OK;
}

static enum gm_code no_answer(const struct gm_call *call, struct gm_error *err)
{
	const struct gm_http_response *http = &call->response.http;
	struct place place;
	enum gm_code code = GM_TRANSIENT;
	if (is_stopped(call)) return gm_error_set(err, GM_INTERRUPTED, "stopped");
	place_of(call->client, &place);
	if (http->end == GM_HTTP_NOMEM) code = GM_NOMEM;
	if (http->end == GM_HTTP_TLS || http->end == GM_HTTP_TOO_LARGE) code = GM_IO;
	(void)gm_error_set(err, code, "no answer from %.200s after %u attempts: %s", place.endpoint,
	                   call->response.attempts, http->message);
	if (http->end == GM_HTTP_TLS)
		return gm_error_hint(err, code,
		                     "the server's certificate must be good for this name; AWS_CA_BUNDLE or ca_file "
		                     "names the authority of your own servers");
	return gm_error_hint(err, code, "look at the endpoint, the network and the service's health; then run again");
}

/* Until it has ended, or we are to stop. */
static void await(struct gm_call *call)
{
	struct gm_http_transfer *transfer = call->transfer;
	call->transfer = NULL;
	while (call->client->options.stop != NULL && !gm_http_wait_some(transfer, stop_look_us)) {
		if (!is_stopped(call)) continue;
		gm_http_cancel(transfer);
		return;
	}
	gm_http_wait(transfer);
}

enum gm_code gm_call_wait(struct gm_call *call, struct gm_call_response **response, struct gm_error *err)
{
	*response = &call->response;
	while (call->transfer != NULL) {
		await(call);
		count_bytes(call);
		enum verdict verdict = classify(call);
		if (verdict == FINAL && call->response.http.end == GM_HTTP_DONE) give_tokens(call);
		call->response.unclear |= is_unclear(call, verdict);
		if (!is_again(call, verdict)) break;
		back_off(call, verdict);
		if (is_stopped(call)) return gm_error_set(err, GM_INTERRUPTED, "stopped");
		GM_TRY(start_attempt(call, err));
	}
	return call->response.http.end == GM_HTTP_DONE ? GM_OK : no_answer(call, err);
}

void gm_call_end(struct gm_call *call)
{
	if (call == NULL) return;
	if (call->transfer != NULL) {
		gm_http_cancel(call->transfer);
		count_bytes(call);
	}
	forget_secrets(call);
	gm_http_response_release(&call->response.http);
	gm_arena_release(&call->arena);
	free(call);
}

/* --- Errors for people -------------------------------------------------------------------------------------------- */

static enum gm_code code_of(int status, const char *error)
{
	switch (class_of_code(error)) {
	case SERVER:
	case THROTTLE:
	case CHECKSUM:
	case CONFLICT: return GM_TRANSIENT;
	case EXPIRED:
	case SKEW: return GM_DENIED;
	default: break;
	}
	if (status == 404) return GM_NOT_FOUND;
	if (status == 412) return GM_EXISTS;
	if (status == 401 || status == 403 || status == 407) return GM_DENIED;
	if (status == 501) return GM_UNSUPPORTED;
	if (status == 507) return GM_NOSPACE;
	if (status == 408 || status == 409 || status == 429 || (status >= 500 && status != 505)) return GM_TRANSIENT;
	return status == 400 || status == 301 || status == 307 ? GM_USAGE : GM_IO;
}

static void hint(const struct gm_call_response *response, enum gm_code code, struct gm_error *err)
{
	enum verdict verdict = class_of_code(response->error);
	const char *text = NULL;
	if (verdict == SKEW) text = "the clock of this machine is wrong: set it";
	if (verdict == EXPIRED) text = "the credentials have expired: get new ones";
	if (verdict == REGION) text = "name the right region: AWS_REGION, or 'region' in the profile or the job file";
	if (verdict == FINAL && code == GM_DENIED && strcmp(response->error, "SignatureDoesNotMatch") == 0)
		text = "the secret key is not that of this access key, or something on the way changes requests";
	else if (verdict == FINAL && code == GM_DENIED && strcmp(response->error, "InvalidAccessKeyId") == 0)
		text = "there is no such access key here: these credentials are of another service, or were deleted";
	else if (verdict == FINAL && code == GM_DENIED)
		text = "'gristmill policy JOB' prints what these credentials must be allowed, 'gristmill doctor JOB' looks "
		       "what they are not";
	if (code == GM_TRANSIENT) text = "it was tried several times; run again later";
	if (text != NULL) (void)gm_error_hint(err, code, "%s", text);
}

enum gm_code gm_call_fail(const struct gm_call_response *response, const char *doing, struct gm_error *err)
{
	int status = response->http.status;
	enum gm_code code = code_of(status, response->error);
	const char *dot = response->text[0] != '\0' ? ": " : "";
	const char *id = response->request_id[0] != '\0' ? ", request " : "";
	(void)gm_error_set(err, code, "could not %s: status %d%s%s%s%s%s%s", doing, status,
	                   response->error[0] != '\0' ? " " : "", response->error, dot, response->text, id,
	                   response->request_id);
	if (err != NULL) hint(response, code, err);
	return code;
}
