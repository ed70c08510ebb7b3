/* The server for those who watch: right answers, and clients of the bad kind. */
#include "../must.h"

#include "watch/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS = 200 };

struct world { /* the server's thread looks at it, too */
	atomic_bool sick, broken;
	_Atomic size_t page_bytes; /* 0: a line */
};
static struct world world;
static struct gm_http_server *server;
static char answer[1 << 20];
static size_t answer_bytes;

static enum gm_code give_page(void *context, struct gm_buf *page, struct gm_error *err)
{
	struct world *w = context;
	if (w->broken) GM_FAIL(err, GM_NOMEM, "out of memory for the page");
	size_t bytes = w->page_bytes;
	GM_TRY(gm_buf_reserve(page, bytes, err));
	if (bytes > 0) memset(page->data, 'x', bytes);
	page->len = bytes;
	return gm_buf_printf(page, err, "up 1\n");
}

static bool is_well(void *context, char why[GM_HTTP_WHY_BYTES])
{
	struct world *w = context;
	if (w->sick) (void)snprintf(why, GM_HTTP_WHY_BYTES, "the last run failed:\r\nHeader: no");
	return !w->sick;
}

static void start(const char *address)
{
	const struct gm_http_server_options options = {address, give_page, is_well, &world};
	world.sick = world.broken = false;
	world.page_bytes = 0;
	must(gm_http_server_start(&options, &server, &failure));
}

static int dial(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	                         .sin_port = htons(gm_http_server_port(server)),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) fail_msg("connect: %s", strerror(errno));
	return fd;
}

static bool sends(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
		if (sent <= 0) return false;
		bytes += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* Until the connection ends, or for so long; false: it has not ended. */
static bool receive(int fd, int ms)
{
	answer_bytes = 0;
	for (;;) {
		struct pollfd watched = {.fd = fd, .events = POLLIN};
		if (poll(&watched, 1, ms) == 0) return false;
		ssize_t got = recv(fd, answer + answer_bytes, sizeof answer - 1 - answer_bytes, 0);
		if (got <= 0) break;
		answer_bytes += (size_t)got;
	}
	answer[answer_bytes] = '\0';
	return true;
}

static void ask(const char *request)
{
	int fd = dial();
	assert_true(sends(fd, request, strlen(request)));
	assert_true(receive(fd, 5000)); /* it closes by itself */
	(void)close(fd);
}

static double seconds(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* An honest client gets what it wants, at once. */
static void assert_serves(void)
{
	double before = seconds();
	ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(strncmp(answer, "HTTP/1.1 200 ", 13), 0);
	assert_string_equal(answer + answer_bytes - 5, "up 1\n");
	assert_true(seconds() - before < 2);
}

/* --- Answers ------------------------------------------------------------------------------------------------------ */

static void test_answers(void **state)
{
	(void)state;
	start("127.0.0.1:0");
	assert_serves();
	assert_non_null(strstr(answer, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(answer, "\r\nContent-Length: 5\r\n"));
	ask("GET /metrics?x=1 HTTP/1.0\r\n\r\n");
	assert_non_null(strstr(answer, "up 1\n"));
	ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(strncmp(answer, "HTTP/1.1 200 ", 13), 0);
	assert_non_null(strstr(answer, "\r\nContent-Length: 5\r\n"));
	assert_string_equal(answer + answer_bytes - 4, "\r\n\r\n");
	ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(strncmp(answer, "HTTP/1.1 200 ", 13), 0);
	assert_string_equal(strstr(answer, "\r\n\r\n") + 4, "ok\n");
	gm_http_server_stop(server);
}

static void test_what_is_not_well(void **state)
{
	(void)state;
	start("127.0.0.1:0");
	world.sick = world.broken = true;
	ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(strncmp(answer, "HTTP/1.1 503 ", 13), 0);
	assert_string_equal(strstr(answer, "\r\n\r\n") + 4, "the last run failed:  Header: no\n");
	ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(strncmp(answer, "HTTP/1.1 500 ", 13), 0);
	assert_string_equal(strstr(answer, "\r\n\r\n") + 4, "out of memory for the page\n");
	world.broken = false;
	world.page_bytes = 100000; /* several writes */
	ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_non_null(strstr(answer, "\r\nContent-Length: 100005\r\n"));
	assert_int_equal(strlen(strstr(answer, "\r\n\r\n") + 4), 100005);
	world.page_bytes = 300000; /* more than it takes */
	ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(strncmp(answer, "HTTP/1.1 500 ", 13), 0);
	gm_http_server_stop(server);
}

static void test_everything_else_is_refused(void **state)
{
	static const struct {
		const char *request, *status;
	} cases[] = {
	    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404"},
	    {"GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n", "404"},
	    {"GET /../metrics HTTP/1.1\r\nHost: x\r\n\r\n", "404"},
	    {"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "404"},
	    {"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "405"},
	    {"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "405"},
	    {"PUT /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", "405"},
	    {"DELETE /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "405"},
	    {"get /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "405"},
	};
	(void)state;
	start("127.0.0.1:0");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		ask(cases[i].request);
		if (strncmp(answer, "HTTP/1.1 ", 9) != 0 || strncmp(answer + 9, cases[i].status, 3) != 0)
			fail_msg("%s: %s", cases[i].request, answer);
		if (strcmp(cases[i].status, "405") == 0) assert_non_null(strstr(answer, "\r\nAllow: GET, HEAD\r\n"));
	}
	assert_serves();
	gm_http_server_stop(server);
}

/* --- Addresses ---------------------------------------------------------------------------------------------------- */

static void test_addresses(void **state)
{
	static const struct {
		const char *address, *url;
		bool loopback;
	} cases[] = {
	    {"127.0.0.1:0", "http://127.0.0.1:", true}, {":0", "http://127.0.0.1:", true},
	    {"0", "http://127.0.0.1:", true},           {"localhost:0", "http://127.0.0.1:", true},
	    {"127.5.6.7:0", "http://127.5.6.7:", true}, {"0.0.0.0:0", "http://0.0.0.0:", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char url[64];
		start(cases[i].address);
		(void)snprintf(url, sizeof url, "%s%u", cases[i].url, gm_http_server_port(server));
		assert_string_equal(gm_http_server_url(server), url);
		assert_true(gm_http_server_port(server) > 0);
		assert_int_equal(gm_http_server_is_loopback(server), cases[i].loopback);
		gm_http_server_stop(server);
	}
}

static void test_ipv6(void **state)
{
	const struct gm_http_server_options options = {"[::1]:0", give_page, is_well, &world};
	struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	char url[64];
	(void)state;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
		(void)close(fd);
		skip(); /* this machine has none */
	}
	must(gm_http_server_start(&options, &server, &failure));
	(void)snprintf(url, sizeof url, "http://[::1]:%u", gm_http_server_port(server));
	assert_string_equal(gm_http_server_url(server), url);
	assert_true(gm_http_server_is_loopback(server));
	gm_http_server_stop(server);
	start("[::]:0"); /* also reached by IPv4 */
	assert_false(gm_http_server_is_loopback(server));
	assert_serves();
	gm_http_server_stop(server);
	(void)close(fd);
}

static void test_wrong_addresses(void **state)
{
	static const char *const wrong[] = {"",
	                                    ":",
	                                    "x",
	                                    "127.0.0.1",
	                                    "127.0.0.1:",
	                                    "127.0.0.1:x",
	                                    "1.2.3:80",
	                                    "example:80",
	                                    "127.0.0.1:65536",
	                                    "127.0.0.1:000080",
	                                    "[::1]",
	                                    "::1:80",
	                                    "[::1:80",
	                                    "[]:80",
	                                    "[127.0.0.1]:80",
	                                    "127.0.0.1:-1",
	                                    "127.0.0.1:80 ",
	                                    "http://127.0.0.1:80",
	                                    "[:80",
	                                    "]:80",
	                                    "1111111111111111111111111111111111111111111111111111111111111111111:80"};
	struct gm_http_server_options options = {NULL, give_page, is_well, &world};
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		options.address = wrong[i];
		enum gm_code rc = gm_http_server_start(&options, &server, &failure);
		if (rc != GM_USAGE) fail_msg("'%s': %s", wrong[i], gm_code_name(rc));
		assert_null(server);
		assert_string_not_equal(failure.hint, "");
	}
}

static void test_a_port_that_is_taken(void **state)
{
	char address[64];
	struct gm_http_server_options options = {address, give_page, is_well, &world};
	struct gm_http_server *other;
	(void)state;
	start("127.0.0.1:0");
	(void)snprintf(address, sizeof address, "127.0.0.1:%u", gm_http_server_port(server));
	assert_int_equal(gm_http_server_start(&options, &other, &failure), GM_IO);
	assert_string_equal(failure.object, address);
	assert_non_null(strstr(failure.message, "Address already in use"));
	assert_serves();
	/* At once after it was stopped, also with a connection that was open. */
	int open = dial();
	gm_http_server_stop(server);
	assert_true(receive(open, 1000));
	(void)close(open);
	must(gm_http_server_start(&options, &server, &failure));
	assert_serves();
	gm_http_server_stop(server);
	gm_http_server_stop(NULL);
}

/* --- Bad clients -------------------------------------------------------------------------------------------------- */

static void send_garbage(int fd, uint32_t *seed)
{
	static char bytes[4000];
	size_t n = *seed % 3000 + 1;
	for (size_t i = 0; i < n; i++) {
		*seed = *seed * 1664525 + 1013904223;
		bytes[i] = (char)(*seed >> 24);
	}
	(void)sends(fd, bytes, n);
	(void)shutdown(fd, SHUT_WR);
}

/* Whatever a client sends, and however diligently: its time is bounded. */
static void test_garbage_and_age(void **state)
{
	enum { GARBAGE = 40 };
	const struct timespec pause = {.tv_nsec = 250000000};
	int clients[GARBAGE];
	uint32_t seed = 20240310;
	double before = seconds();
	(void)state;
	start("127.0.0.1:0");
	int slow = dial(), silent = dial();
	assert_true(sends(slow, "GET /metrics HTTP/1.1\r\nX: ", 26));
	for (size_t i = 0; i < GARBAGE; i++) {
		clients[i] = dial();
		send_garbage(clients[i], &seed);
	}
	assert_serves();
	while (sends(slow, "y", 1) && seconds() - before < 20) (void)nanosleep(&pause, NULL);
	double lived = seconds() - before;
	if (lived < 4 || lived > 9) fail_msg("it lived %.1f s", lived);
	assert_true(receive(silent, 3000));
	for (size_t i = 0; i < GARBAGE; i++) assert_true(receive(clients[i], 3000));
	for (size_t i = 0; i < GARBAGE; i++) (void)close(clients[i]);
	(void)close(slow);
	(void)close(silent);
	assert_serves();
	gm_http_server_stop(server);
}

/* A head without an end, a line without an end, and a body that nobody wants. */
static void test_too_much(void **state)
{
	static char huge[200000];
	static const char *const starts[] = {"GET /metrics HTTP/1.1\r\nX: ", "", "GET /",
	                                     "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"};
	(void)state;
	start("127.0.0.1:0");
	memset(huge, 'a', sizeof huge);
	for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
		int fd = dial();
		(void)sends(fd, starts[i], strlen(starts[i]));
		(void)sends(fd, huge, sizeof huge);
		assert_true(receive(fd, 5000));
		(void)close(fd);
	}
	int fd = dial();
	(void)sends(fd, "GET /metrics HTTP/1.1\r\n", 23);
	for (int i = 0; i < 20000 && sends(fd, "X: y\r\n", 6); i++) continue;
	assert_true(receive(fd, 5000));
	(void)close(fd);
	assert_serves();
	gm_http_server_stop(server);
}

static size_t count_open(const int *clients)
{
	size_t count = 0;
	char byte;
	for (size_t i = 0; i < CLIENTS; i++) {
		ssize_t got = recv(clients[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK);
		count += got < 0 && errno == EAGAIN;
	}
	return count;
}

/* Many that begin a request and never end it: an honest one is served all the while, and they are not kept. */
static void test_many_slow_clients(void **state)
{
	int clients[CLIENTS];
	const struct timespec pause = {.tv_nsec = 300000000};
	(void)state;
	start("127.0.0.1:0");
	for (size_t i = 0; i < CLIENTS; i++) {
		clients[i] = dial();
		assert_true(sends(clients[i], "GET /metrics HTTP/1.1\r\nX", 24));
		if (i % 50 == 0) assert_serves();
	}
	assert_serves();
	for (int round = 0; round < 3; round++) { /* they go on, byte by byte */
		for (size_t i = 0; i < CLIENTS; i++) (void)sends(clients[i], "y", 1);
		assert_serves();
		(void)nanosleep(&pause, NULL);
	}
	assert_true(count_open(clients) <= 64);
	for (size_t i = 0; i < CLIENTS; i++) (void)close(clients[i]);
	assert_serves();
	gm_http_server_stop(server);
}

/* One that does not read its answer. */
static void test_a_client_that_does_not_read(void **state)
{
	int clients[CLIENTS];
	const int small = 2048;
	(void)state;
	start("127.0.0.1:0");
	world.page_bytes = 250000;
	for (size_t i = 0; i < CLIENTS; i++) {
		clients[i] = dial();
		(void)setsockopt(clients[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
		assert_true(sends(clients[i], "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 34));
	}
	assert_serves();
	for (size_t i = 0; i < CLIENTS; i++) (void)close(clients[i]);
	assert_serves();
	gm_http_server_stop(server);
}

static int count_files(void)
{
	int count = 0;
	for (int fd = 0; fd < 1024; fd++) count += fcntl(fd, F_GETFD) != -1;
	return count;
}

static void test_nothing_is_left_behind(void **state)
{
	int before = count_files();
	(void)state;
	for (int i = 0; i < 20; i++) {
		start("127.0.0.1:0");
		int idle = dial();
		assert_serves();
		gm_http_server_stop(server);
		(void)close(idle);
	}
	assert_int_equal(count_files(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_what_is_not_well),
	    cmocka_unit_test(test_everything_else_is_refused),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_ipv6),
	    cmocka_unit_test(test_wrong_addresses),
	    cmocka_unit_test(test_a_port_that_is_taken),
	    cmocka_unit_test(test_garbage_and_age),
	    cmocka_unit_test(test_too_much),
	    cmocka_unit_test(test_many_slow_clients),
	    cmocka_unit_test(test_a_client_that_does_not_read),
	    cmocka_unit_test(test_nothing_is_left_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
