/* http_server.c - GNU libmicrohttpd, driven by a thread of ours.
 *
 * The library reads and writes HTTP; when to stop listening to somebody is decided here. A time limit on silence, which
 * the library has, does not help against who sends a byte each second. So every connection has an age limit, answers
 * one request, and when there are many the oldest is closed to let a new one in: an honest request is answered as soon
 * as it is there, so it is never the oldest for long. */
#include "watch/http_server.h"

#include "base/clock.h"
#include "base/time.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 64,
	CONNECTIONS_KEPT = 48, /* above these the oldest are closed */
	AGE_SECONDS_MAX = 5,
	MEMORY_BYTES = 16 << 10,    /* of a connection: the head of a request, ours, and what is on its way */
	PAGE_BYTES_MAX = 256 << 10, /* of an answer */
	SWEEP_MS = 500
};

struct connection {
	int socket; /* -1: there is none */
	bool closing;
	int64_t since_us;
};
struct gm_http_server {
	struct gm_http_server_options options;
	struct MHD_Daemon *daemon;
	pthread_t thread;
	int wake; /* an eventfd: stop */
	uint16_t port;
	bool loopback;
	char url[INET6_ADDRSTRLEN + 32];
	struct connection connections[CONNECTIONS_MAX]; /* of the thread */
	size_t count;
};

/* --- Addresses ---------------------------------------------------------------------------------------------------- */

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} at;
	socklen_t bytes;
};

static bool read_port(const char *text, uint16_t *port)
{
	unsigned long number = 0;
	size_t n = strspn(text, "0123456789");
	if (n == 0 || n > 5 || text[n] != '\0') return false;
	for (size_t i = 0; i < n; i++) number = number * 10 + (unsigned long)(text[i] - '0');
	*port = (uint16_t)number;
	return number <= UINT16_MAX;
}

/* host without brackets, "" for our own machine. */
static bool set_host(struct address *address, const char *host, bool bracketed, uint16_t port)
{
	if (host[0] == '\0' || strcmp(host, "localhost") == 0) host = bracketed ? host : "127.0.0.1";
	*address = (struct address){0};
	if (bracketed) {
		address->at.v6.sin6_family = AF_INET6;
		address->at.v6.sin6_port = htons(port);
		address->bytes = sizeof address->at.v6;
		return inet_pton(AF_INET6, host, &address->at.v6.sin6_addr) == 1;
	}
	address->at.v4.sin_family = AF_INET;
	address->at.v4.sin_port = htons(port);
	address->bytes = sizeof address->at.v4;
	return inet_pton(AF_INET, host, &address->at.v4.sin_addr) == 1;
}

static bool read_address(const char *text, struct address *address)
{
	char host[INET6_ADDRSTRLEN + 2];
	uint16_t port;
	const char *colon = strrchr(text, ':');
	size_t n = colon != NULL ? (size_t)(colon - text) : 0;
	if (n >= sizeof host || !read_port(colon != NULL ? colon + 1 : text, &port)) return false;
	memcpy(host, text, n);
	host[n] = '\0';
	if (host[0] != '[') return set_host(address, host, false, port);
	if (host[n - 1] != ']') return false;
	host[n - 1] = '\0';
	return set_host(address, host + 1, true, port);
}

static enum gm_code parse_address(const char *text, struct address *address, struct gm_error *err)
{
	if (read_address(text, address)) return GM_OK;
	(void)gm_error_set(err, GM_USAGE, "'%s' is not an address to listen on", text);
	return gm_error_hint(err, GM_USAGE, "write an IP address and a port, such as 127.0.0.1:9847 or [::1]:9847");
}

static bool is_loopback(const struct address *address)
{
	static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
	const struct in6_addr *v6 = &address->at.v6.sin6_addr;
	if (address->at.any.sa_family == AF_INET) return ntohl(address->at.v4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(v6) || (memcmp(v6, mapped, sizeof mapped) == 0 && v6->s6_addr[12] == 127);
}

/* Notes the address as it was bound. */
static void note_address(struct gm_http_server *server, const struct address *address)
{
	char host[INET6_ADDRSTRLEN] = "?";
	bool v6 = address->at.any.sa_family == AF_INET6;
	const void *number = v6 ? (const void *)&address->at.v6.sin6_addr : &address->at.v4.sin_addr;
	(void)inet_ntop(address->at.any.sa_family, number, host, sizeof host);
	server->port = ntohs(v6 ? address->at.v6.sin6_port : address->at.v4.sin_port);
	server->loopback = is_loopback(address);
	(void)snprintf(server->url, sizeof server->url, v6 ? "http://[%s]:%u" : "http://%s:%u", host, server->port);
}

static enum gm_code listen_on(struct gm_http_server *server, int *listener, struct gm_error *err)
{
	struct address address;
	const char *text = server->options.address;
	const int yes = 1, no = 0;
	GM_TRY(parse_address(text, &address, err));
	int fd = socket(address.at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) return gm_error_errno(err, errno, text, "listening");
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	/* "[::]" is all addresses, also those of IPv4. */
	if (address.at.any.sa_family == AF_INET6) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
	if (bind(fd, &address.at.any, address.bytes) != 0 || listen(fd, CONNECTIONS_MAX) != 0 ||
	    getsockname(fd, &address.at.any, &address.bytes) != 0) {
		int failed = errno;
		(void)close(fd);
		return gm_error_errno(err, failed, text, "listening");
	}
	note_address(server, &address);
	*listener = fd;
	return GM_OK;
}

/* --- Answers ------------------------------------------------------------------------------------------------------ */

struct answer {
	unsigned status;
	const char *type;  /* of the content */
	const char *allow; /* header of that name, or NULL */
	struct gm_buf page;
};

static void set_text(struct answer *answer, unsigned status, const char *text)
{
	answer->status = status;
	answer->type = "text/plain; charset=utf-8";
	answer->page.len = 0;
	if (gm_buf_printf(&answer->page, NULL, "%s\n", text) != GM_OK) answer->page.len = 0;
}

static void answer_metrics(const struct gm_http_server *server, struct answer *answer)
{
	struct gm_error err;
	answer->status = MHD_HTTP_OK;
	answer->type = "text/plain; version=0.0.4; charset=utf-8";
	if (server->options.metrics(server->options.context, &answer->page, &err) == GM_OK) return;
	set_text(answer, MHD_HTTP_INTERNAL_SERVER_ERROR, err.message);
}

static void answer_health(const struct gm_http_server *server, struct answer *answer)
{
	char why[GM_HTTP_WHY_BYTES] = "";
	if (server->options.health(server->options.context, why)) {
		set_text(answer, MHD_HTTP_OK, "ok");
		return;
	}
	for (char *at = why; *at != '\0'; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7F) *at = ' ';
	set_text(answer, MHD_HTTP_SERVICE_UNAVAILABLE, why);
}

static void make_answer(const struct gm_http_server *server, const char *path, const char *method,
                        struct answer *answer)
{
	bool metrics = strcmp(path, "/metrics") == 0, health = strcmp(path, "/healthz") == 0;
	if (!metrics && !health) {
		set_text(answer, MHD_HTTP_NOT_FOUND, "there are /metrics and /healthz");
	} else if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		set_text(answer, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD");
		answer->allow = "GET, HEAD";
	} else if (metrics) {
		answer_metrics(server, answer);
	} else {
		answer_health(server, answer);
	}
}

/* The page's memory goes to the response. */
static enum MHD_Result queue_answer(struct MHD_Connection *connection, struct answer *answer)
{
	struct MHD_Response *response =
	    MHD_create_response_from_buffer(answer->page.len, answer->page.data, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) return MHD_NO;
	answer->page.data = NULL;
	bool good = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type) == MHD_YES &&
	            MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES &&
	            MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES;
	if (good && answer->allow != NULL)
		good = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow) == MHD_YES;
	enum MHD_Result done = good ? MHD_queue_response(connection, answer->status, response) : MHD_NO;
	MHD_destroy_response(response);
	return done;
}

/* Called when the head of a request is there; a body is not waited for. MHD_NO: close the connection. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *body, size_t *body_bytes, void **state)
{
	struct answer answer = {.status = 0};
	(void)version;
	(void)body;
	(void)body_bytes;
	(void)state;
	gm_buf_init(&answer.page, PAGE_BYTES_MAX);
	make_answer(context, url, method, &answer);
	enum MHD_Result done = answer.page.len > 0 ? queue_answer(connection, &answer) : MHD_NO;
	gm_buf_release(&answer.page);
	return done;
}

/* --- Connections -------------------------------------------------------------------------------------------------- */

static void on_connection(void *context, struct MHD_Connection *connection, void **mine,
                          enum MHD_ConnectionNotificationCode what)
{
	struct gm_http_server *server = context;
	struct connection *at = *mine;
	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (at == NULL) return;
		at->socket = -1;
		server->count--;
		return;
	}
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	size_t i = 0;
	while (i < CONNECTIONS_MAX && server->connections[i].socket >= 0) i++;
	if (info == NULL || i == CONNECTIONS_MAX) return;
	server->connections[i] = (struct connection){.socket = info->connect_fd, .since_us = gm_clock_steady_us()};
	server->count++;
	*mine = &server->connections[i];
}

/* The library notices and closes it. */
static void shut(struct connection *connection)
{
	connection->closing = true;
	(void)shutdown(connection->socket, SHUT_RDWR);
}

static struct connection *oldest(struct gm_http_server *server)
{
	struct connection *found = NULL;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *at = &server->connections[i];
		if (at->socket < 0 || at->closing) continue;
		if (found == NULL || at->since_us < found->since_us) found = at;
	}
	return found;
}

static void sweep(struct gm_http_server *server)
{
	size_t closing = 0;
	int64_t since_us = gm_clock_steady_us() - AGE_SECONDS_MAX * GM_US_PER_SECOND;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *at = &server->connections[i];
		if (at->socket >= 0 && !at->closing && at->since_us < since_us) shut(at);
		closing += at->socket >= 0 && at->closing;
	}
	for (; server->count - closing > CONNECTIONS_KEPT; closing++) {
		struct connection *at = oldest(server);
		if (at == NULL) return;
		shut(at);
	}
}

/* --- The thread --------------------------------------------------------------------------------------------------- */

/* How long nothing need be done while nobody sends anything; -1: for ever. */
static int patience_ms(struct gm_http_server *server)
{
	MHD_UNSIGNED_LONG_LONG ms;
	if (MHD_get_timeout(server->daemon, &ms) != MHD_YES) return server->count > 0 ? SWEEP_MS : -1;
	return ms < SWEEP_MS ? (int)ms : SWEEP_MS;
}

static void *serve(void *context)
{
	struct gm_http_server *server = context;
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct pollfd watched[2] = {{.fd = info->epoll_fd, .events = POLLIN}, {.fd = server->wake, .events = POLLIN}};
	for (;;) {
		int ready = poll(watched, 2, patience_ms(server));
		if (ready > 0 && watched[1].revents != 0) return NULL;
		if (ready < 0 && errno != EINTR) return NULL;
		(void)MHD_run(server->daemon);
		sweep(server);
	}
}

/* Signals are for the threads that wait for them. */
static int start_thread(struct gm_http_server *server)
{
	sigset_t all, before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&server->thread, NULL, serve, server);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed;
}

static enum gm_code start_daemon(struct gm_http_server *server, struct gm_error *err)
{
	int listener = -1;
	GM_TRY(listen_on(server, &listener, err));
	server->daemon =
	    MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, listener,
	                     MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
	                     (unsigned)AGE_SECONDS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_BYTES,
	                     MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_END);
	/* Without a daemon it may have closed the socket or not; a descriptor too many does less harm than a foreign one
	 * that is closed. */
	if (server->daemon == NULL) GM_FAIL(err, GM_NOMEM, "the HTTP server cannot be started");
	return GM_OK;
}

enum gm_code gm_http_server_start(const struct gm_http_server_options *options, struct gm_http_server **out,
                                  struct gm_error *err)
{
	struct gm_http_server *server = calloc(1, sizeof *server);
	enum gm_code rc;
	*out = NULL;
	if (server == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the HTTP server");
	server->options = *options;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) server->connections[i].socket = -1;
	server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->wake < 0) {
		rc = gm_error_errno(err, errno, options->address, "starting the HTTP server");
		goto out;
	}
	GM_TRY_OUT(start_daemon(server, err));
	if (start_thread(server) == 0) {
		*out = server;
		return GM_OK;
	}
	rc = gm_error_set(err, GM_NOMEM, "no thread can be had for the HTTP server");
out:
	if (server->daemon != NULL) MHD_stop_daemon(server->daemon);
	if (server->wake >= 0) (void)close(server->wake);
	free(server);
	return rc;
}

const char *gm_http_server_url(const struct gm_http_server *server)
{
	return server->url;
}

uint16_t gm_http_server_port(const struct gm_http_server *server)
{
	return server->port;
}

bool gm_http_server_is_loopback(const struct gm_http_server *server)
{
	return server->loopback;
}

void gm_http_server_stop(struct gm_http_server *server)
{
	const uint64_t one = 1;
	if (server == NULL) return;
	while (write(server->wake, &one, sizeof one) < 0 && errno == EINTR) continue;
	(void)pthread_join(server->thread, NULL);
	MHD_stop_daemon(server->daemon);
	(void)close(server->wake);
	free(server);
}
