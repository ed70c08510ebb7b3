/* HTTP over curl, against a server that answers as it is told: which answers are whole and which are not, what is sent,
 * and how a transfer is ended early. */
#include "aws/http.h"
#include "../alloc_faults.h"
#include "server.h"

static struct server server;

struct exchange {
	struct gm_http *http;
	struct gm_http_request request;
	struct gm_http_response response;
	char url[256];
};

static void set_url(struct exchange *exchange, const char *path)
{
	(void)snprintf(exchange->url, sizeof exchange->url, "http://127.0.0.1:%d%s", server.port, path);
	exchange->request = (struct gm_http_request){.method = "GET", .url = exchange->url};
}

static int begin(void **state)
{
	static const struct gm_http_options options = {.connect_us = 300000, .stall_us = 1000000};
	struct exchange *exchange = calloc(1, sizeof *exchange);
	assert_non_null(exchange);
	server_start(&server);
	must(gm_http_new(&options, &exchange->http, &failure));
	gm_http_response_init(&exchange->response);
	set_url(exchange, "/");
	*state = exchange;
	return 0;
}

static int end(void **state)
{
	struct exchange *exchange = *state;
	gm_http_response_release(&exchange->response);
	gm_http_free(exchange->http);
	free(exchange);
	server_stop(&server);
	return 0;
}

static enum gm_http_end perform(struct exchange *exchange)
{
	must(gm_http_perform(exchange->http, &exchange->request, &exchange->response, &failure));
	const struct gm_http_response *response = &exchange->response;
	assert_int_equal(response->message[0] == '\0', response->end == GM_HTTP_DONE);
	assert_null(strpbrk(response->message, "\r\n"));
	return response->end;
}

static void assert_body(const struct exchange *exchange, const char *text)
{
	assert_int_equal(exchange->response.body.len, strlen(text));
	if (text[0] != '\0') assert_memory_equal(exchange->response.body.data, text, strlen(text));
}

/* --- Whole answers ------------------------------------------------------------------------------------------------ */

static void an_answer_is_read(void **state)
{
	struct exchange *exchange = *state;
	struct gm_http_response *response = &exchange->response;
	answer(&server, NULL, 404, "ETag:  \"x\" \r\nX-AMZ-Thing:\r\nTwice: 1\r\nTwice: 2\r\n", "hello");
	assert_int_equal(perform(exchange), GM_HTTP_DONE);
	assert_int_equal(response->status, 404);
	assert_body(exchange, "hello");
	assert_string_equal(gm_http_header(response, "etag"), "\"x\"");
	assert_string_equal(gm_http_header(response, "x-amz-thing"), "");
	assert_string_equal(gm_http_header(response, "twice"), "1");
	assert_string_equal(gm_http_header(response, "content-length"), "5");
	assert_null(gm_http_header(response, "ETag"));
	assert_int_equal(response->received_bytes, 5);
	answer(&server, NULL, 200, "", ""); /* nothing of it is left in the next */
	assert_int_equal(perform(exchange), GM_HTTP_DONE);
	assert_int_equal(response->status, 200);
	assert_body(exchange, "");
	assert_null(gm_http_header(response, "etag"));
	assert_int_equal(response->received_bytes, 0);
}

static void answers_of_every_form_are_whole(void **state)
{
	static const struct {
		const char *bytes, *body;
		int status;
	} cases[] = {
	    {"HTTP/1.1 100 Continue\r\nX-First: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", 200},
	    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n",
	     "abcde", 200},
	    {"HTTP/1.1 204 No Content\r\n\r\n", "", 204},
	    {"HTTP/1.1 304\r\nContent-Length: 7\r\n\r\n", "", 304},
	    {"HTTP/1.0 503 Away\r\nConnection: close\r\n\r\nup to the end", "up to the end", 503},
	    {"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "ok", 200},
	};
	struct exchange *exchange = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		answer_raw(&server, NULL, cases[i].bytes)->closes = strstr(cases[i].bytes, "close") != NULL;
		if (perform(exchange) != GM_HTTP_DONE) fail_msg("%s: %s", cases[i].bytes, exchange->response.message);
		assert_int_equal(exchange->response.status, cases[i].status);
		assert_body(exchange, cases[i].body);
		assert_null(gm_http_header(&exchange->response, "x-first"));
		assert_null(gm_http_header(&exchange->response, "x-trailer"));
	}
}

static void what_is_sent_is_what_was_given(void **state)
{
	struct exchange *exchange = *state;
	struct gm_http_request *request = &exchange->request;
	answer(&server, "PUT", 200, "", "");
	answer(&server, "POST", 200, "", "");
	answer(&server, "DELETE", 204, "", "");
	answer_raw(&server, "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
	set_url(exchange, "/b//./..%2F/a%20b?x=&y=%7E");
	*request = (struct gm_http_request){.method = "PUT",
	                                    .url = exchange->url,
	                                    .headers = {{"Host", "example"}, {"Accept-Thing", "1"}, {"X-Empty", ""}},
	                                    .header_count = 3,
	                                    .body = "a\0b",
	                                    .body_bytes = 3};
	assert_int_equal(perform(exchange), GM_HTTP_DONE);
	assert_int_equal(exchange->response.sent_bytes, 3);
	assert_string_equal(seen_at(&server, 0)->head,
	                    "PUT /b//./..%2F/a%20b?x=&y=%7E HTTP/1.1\r\nHost: example\r\n"
	                    "User-Agent: gristmill\r\nAccept-Thing: 1\r\nX-Empty:\r\nContent-Length: 3\r\n\r\n");
	assert_int_equal(seen_at(&server, 0)->body_bytes, 3);
	assert_memory_equal(seen_at(&server, 0)->body, "a\0b", 3);
	static const char *const methods[] = {"POST", "DELETE", "HEAD"};
	for (size_t i = 0; i < 3; i++) {
		*request = (struct gm_http_request){.method = methods[i], .url = exchange->url};
		assert_int_equal(perform(exchange), GM_HTTP_DONE);
		assert_memory_equal(seen_at(&server, i + 1)->head, methods[i], strlen(methods[i]));
		assert_null(strstr(seen_at(&server, i + 1)->head, "Accept"));
		assert_null(strstr(seen_at(&server, i + 1)->head, "Content-Type"));
	}
	assert_string_equal(head_value(seen_at(&server, 1)->head, "content-length"), "0");
	assert_string_equal(gm_http_header(&exchange->response, "content-length"), "12345");
	assert_body(exchange, "");
	assert_int_equal(seen_at(&server, 3)->connection, 0); /* one for all of them */
}

/* Bodies of success go where the caller wants them; what an error says goes to the response. */
static void a_body_goes_into_the_callers_memory(void **state)
{
	struct exchange *exchange = *state;
	uint8_t room[6] = "......";
	exchange->request.into = room;
	exchange->request.into_bytes = 5;
	answer(&server, NULL, 206, "", "hello");
	assert_int_equal(perform(exchange), GM_HTTP_DONE);
	assert_int_equal(exchange->response.got, 5);
	assert_memory_equal(room, "hello.", 6);
	assert_body(exchange, "");
	answer(&server, NULL, 404, "", "not there");
	assert_int_equal(perform(exchange), GM_HTTP_DONE);
	assert_int_equal(exchange->response.got, 0);
	assert_body(exchange, "not there");
	answer(&server, NULL, 200, "", "HELLO!");
	assert_int_equal(perform(exchange), GM_HTTP_TOO_LARGE);
	assert_int_equal(room[5], '.');
}

/* --- Answers that are none ---------------------------------------------------------------------------------------- */

static void a_cut_answer_is_broken_wherever_it_is_cut(void **state)
{
	static const struct {
		const char *bytes;
		size_t whole; /* from where on it is an answer, which ends with the connection */
	} cases[] = {
	    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\nhello", 0},
	    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n", 67},
	    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0},
	    {"HTTP/1.1 200 OK\r\nETag: \"x\"\r\n\r\nhello", 30},
	};
	struct exchange *exchange = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		size_t n = strlen(cases[i].bytes), whole = cases[i].whole > 0 ? cases[i].whole : n;
		for (size_t cut = 0; cut <= n; cut++) {
			struct answer *part = answer_raw(&server, NULL, cases[i].bytes);
			part->cuts = true;
			part->cut = cut;
			part->resets = cut % 7 == 3;
			enum gm_http_end how = perform(exchange);
			bool right = how == (cut < whole ? GM_HTTP_BROKEN : GM_HTTP_DONE) || (cut >= whole && part->resets);
			if (!right) fail_msg("%s, cut behind %zu bytes, ended as %d", cases[i].bytes, cut, (int)how);
			assert_int_equal(seen_count(&server), cut + 1);
			if (cut < n) continue;
			server_forget(&server);
		}
	}
}

static void what_is_not_http_is_broken(void **state)
{
	static const char *const answers[] = {
	    "hello\r\n\r\n",
	    "SSH-2.0-OpenSSH_9.2p1\r\n",
	    "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
	    "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
	    "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
	    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\nhello",
	};
	struct exchange *exchange = *state;
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		answer_raw(&server, NULL, answers[i])->closes = true;
		if (perform(exchange) != GM_HTTP_BROKEN) fail_msg("an answer was taken: %s", answers[i]);
	}
}

/* Bytes behind an answer are not the next one. */
static void what_comes_behind_an_answer_is_not_the_next(void **state)
{
	struct exchange *exchange = *state;
	answer_raw(&server, "/first",
	           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	           "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
	answer(&server, "/second", 404, "", "good");
	set_url(exchange, "/first");
	assert_int_equal(perform(exchange), GM_HTTP_DONE);
	assert_body(exchange, "hello");
	set_url(exchange, "/second");
	if (perform(exchange) == GM_HTTP_DONE) assert_body(exchange, "good");
}

static void endless_answers_end(void **state)
{
	struct exchange *exchange = *state;
	answer_raw(&server, NULL, "HTTP/1.1 200 OK\r\n")->forever = "X-Again: and again\r\n";
	assert_int_equal(perform(exchange), GM_HTTP_BROKEN);
	answer_raw(&server, NULL, "HTTP/1.1 200 OK\r\nX: ")->forever = "and again ";
	assert_int_equal(perform(exchange), GM_HTTP_BROKEN);
	answer_raw(&server, NULL, "")->forever = "HTTP/1.1 100 Continue\r\n\r\n";
	assert_int_equal(perform(exchange), GM_HTTP_BROKEN);
	answer_raw(&server, NULL, "HTTP/1.1 500 Oh\r\n\r\n")->forever =
	    "and again and again and again and again and again ";
	assert_int_equal(perform(exchange), GM_HTTP_TOO_LARGE);
	assert_true(exchange->response.body.len <= GM_HTTP_BODY_MAX);
	answer_raw(&server, NULL, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")->forever = "5\r\nagain\r\n";
	assert_int_equal(perform(exchange), GM_HTTP_TOO_LARGE);
}

static void nobody_is_unreachable(void **state)
{
	struct exchange *exchange = *state;
	int closed = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof at;
	assert_int_equal(bind(closed, (struct sockaddr *)&at, bytes), 0);
	assert_int_equal(getsockname(closed, (struct sockaddr *)&at, &bytes), 0);
	(void)snprintf(exchange->url, sizeof exchange->url, "http://127.0.0.1:%d/", ntohs(at.sin_port));
	assert_int_equal(perform(exchange), GM_HTTP_UNREACHABLE); /* it is bound, but nobody listens */
	(void)close(closed);
	(void)snprintf(exchange->url, sizeof exchange->url, "https://127.0.0.1:%d/", server.port);
	assert_int_equal(perform(exchange), GM_HTTP_UNREACHABLE); /* which does not speak TLS */
	(void)snprintf(exchange->url, sizeof exchange->url, "gopher://127.0.0.1/");
	assert_int_equal(perform(exchange), GM_HTTP_TLS);
}

/* That a connection is closed before the answer does not say that the request was not carried out. */
static void a_request_is_made_once(void **state)
{
	struct exchange *exchange = *state;
	answer(&server, "/first", 200, "", "");
	struct answer *none = answer_raw(&server, "/second", "");
	none->cuts = true;
	set_url(exchange, "/first");
	assert_int_equal(perform(exchange), GM_HTTP_DONE);
	set_url(exchange, "/second");
	exchange->request.method = "PUT";
	assert_int_equal(perform(exchange), GM_HTTP_BROKEN);
	assert_int_equal(seen_count(&server), 2);
	assert_int_equal(seen_at(&server, 1)->connection, seen_at(&server, 0)->connection);
	answer(&server, "/third", 200, "", "");
	set_url(exchange, "/third");
	assert_int_equal(perform(exchange), GM_HTTP_DONE);
}

static void who_says_nothing_is_given_up(void **state)
{
	struct exchange *exchange = *state;
	answer_raw(&server, NULL, "")->stalls = true;
	exchange->request.timeout_us = 100000;
	assert_int_equal(perform(exchange), GM_HTTP_BROKEN);
	exchange->request.timeout_us = 0;
	answer_raw(&server, NULL, "")->stalls = true;
	assert_int_equal(perform(exchange), GM_HTTP_BROKEN); /* after a second without a byte, or two */
}

/* --- Ended early, and many at once -------------------------------------------------------------------------------- */

static void transfers_are_cancelled_in_every_state(void **state)
{
	static const struct gm_http_options one = {.connection_max = 1};
	struct exchange *exchange = *state;
	struct gm_http *http;
	struct gm_http_response responses[4];
	struct gm_http_transfer *transfers[4];
	must(gm_http_new(&one, &http, &failure));
	for (size_t i = 0; i < 4; i++) gm_http_response_init(&responses[i]);
	answer_raw(&server, NULL, "")->stalls = true;
	answer(&server, NULL, 200, "", "last")->times = 3;
	for (size_t i = 0; i < 4; i++)
		must(gm_http_start(http, &exchange->request, &responses[i], &transfers[i], &failure));
	server_await(&server, 1);
	gm_http_cancel(transfers[2]); /* queued, in the middle */
	gm_http_cancel(transfers[3]); /* at the end */
	gm_http_cancel(transfers[0]); /* running */
	gm_http_wait(transfers[1]);
	for (size_t i = 0; i < 4; i++) assert_int_equal(responses[i].end, i == 1 ? GM_HTTP_DONE : GM_HTTP_BROKEN);
	assert_string_equal(responses[2].message, "cancelled");
	must(gm_http_start(http, &exchange->request, &responses[0], &transfers[0], &failure));
	server_await(&server, 3);
	(void)usleep(20000);
	gm_http_cancel(transfers[0]); /* ended, or about to */
	must(gm_http_start(http, &exchange->request, &responses[0], &transfers[0], &failure));
	gm_http_cancel(transfers[0]); /* hardly begun */
	for (size_t i = 0; i < 4; i++) gm_http_response_release(&responses[i]);
	gm_http_free(http);
}

static void echo(struct server *to, const struct seen *request, char **bytes, size_t *n)
{
	(void)to;
	*bytes = whole_answer(200, "", request->body, request->body_bytes, n);
}

enum { THREADS = 6, ROUNDS = 12, AT_ONCE = 5 };

static void *talk(void *context)
{
	const struct exchange *exchange = context;
	for (size_t round = 0; round < ROUNDS; round++) {
		struct gm_http_request requests[AT_ONCE];
		struct gm_http_response responses[AT_ONCE];
		struct gm_http_transfer *transfers[AT_ONCE];
		char bodies[AT_ONCE][64];
		for (size_t i = 0; i < AT_ONCE; i++) {
			int n = snprintf(bodies[i], sizeof bodies[i], "%p %zu %zu", (void *)bodies, round, i);
			requests[i] = (struct gm_http_request){
			    .method = "PUT", .url = exchange->url, .body = bodies[i], .body_bytes = (size_t)n};
			gm_http_response_init(&responses[i]);
			if (gm_http_start(exchange->http, &requests[i], &responses[i], &transfers[i], NULL) != GM_OK) abort();
		}
		for (size_t i = 0; i < AT_ONCE; i++) {
			bool early = (round + i) % 4 == 0;
			if (early)
				gm_http_cancel(transfers[i]);
			else
				gm_http_wait(transfers[i]);
			bool good = responses[i].end == GM_HTTP_DONE && responses[i].body.len == strlen(bodies[i]) &&
			            memcmp(responses[i].body.data, bodies[i], strlen(bodies[i])) == 0;
			if (!good && !early) abort();
			gm_http_response_release(&responses[i]);
		}
	}
	return NULL;
}

static void many_are_in_flight(void **state)
{
	pthread_t threads[THREADS];
	server.serve = echo;
	for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, talk, *state), 0);
	for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* --- Memory ------------------------------------------------------------------------------------------------------- */

/* Also curl's own, which has its memory from here. */
static void each_allocation_may_fail(void **state)
{
	struct exchange *exchange = *state;
	answer(&server, NULL, 200, "ETag: \"x\"\r\n", "hello")->times = SERVER_REQUESTS;
	unsigned done = 0;
	fired = true;
	for (fail_at = 1; fired; fail_at++) {
		struct gm_http *http = NULL;
		struct gm_http_response response;
		gm_http_response_init(&response);
		arm();
		enum gm_code rc = gm_http_new(&(struct gm_http_options){.ca_file = "/none"}, &http, &failure);
		if (rc == GM_OK) rc = gm_http_perform(http, &exchange->request, &response, &failure);
		armed = false;
		assert_true(rc == GM_OK || rc == GM_NOMEM);
		bool good = rc == GM_OK && response.end == GM_HTTP_DONE;
		if (good) assert_memory_equal(response.body.data, "hello", 5);
		if (!fired) assert_true(good);
		done += good;
		gm_http_response_release(&response);
		gm_http_free(http);
		if (seen_count(&server) > SERVER_REQUESTS / 2 || connection_count(&server) > SERVER_CONNECTIONS - 8) break;
	}
	assert_true(done > 0 && fail_at > 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_answer_is_read),
	    TEST(answers_of_every_form_are_whole),
	    TEST(what_is_sent_is_what_was_given),
	    TEST(a_body_goes_into_the_callers_memory),
	    TEST(a_cut_answer_is_broken_wherever_it_is_cut),
	    TEST(what_is_not_http_is_broken),
	    TEST(what_comes_behind_an_answer_is_not_the_next),
	    TEST(endless_answers_end),
	    TEST(nobody_is_unreachable),
	    TEST(a_request_is_made_once),
	    TEST(who_says_nothing_is_given_up),
	    TEST(transfers_are_cancelled_in_every_state),
	    TEST(many_are_in_flight),
	    TEST(each_allocation_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
