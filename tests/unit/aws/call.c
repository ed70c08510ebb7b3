/* What is asked again, when, and where; what callers are told; and that nothing secret gets into it. */
#include "aws/call.h"
#include "base/flag.h"
#include "../alloc_faults.h"
#include "server.h"

#include <stdatomic.h>
#include <time.h>

static const char secret_key[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", access_key[] = "AKIDEXAMPLE";
static const int64_t noon_us = INT64_C(1700000000000000); /* 2023-11-14T22:13:20Z */

static struct server server;

/* --- A client of the server --------------------------------------------------------------------------------------- */

struct scene {
	struct gm_http *http;
	struct gm_aws_config *config;
	struct gm_provider *provider;
	struct gm_client *client;
	char endpoint[64], elsewhere[64];
	const char *env[8][2];
	struct gm_call *call;
	struct gm_call_response *response;
	int moves, leaving;
};

static const char *get_env(void *context, const char *name)
{
	const struct scene *scene = context;
	for (size_t i = 0; i < 8 && scene->env[i][0] != NULL; i++)
		if (strcmp(scene->env[i][0], name) == 0) return scene->env[i][1];
	return NULL;
}

static int64_t stopped_clock(void *unused)
{
	(void)unused;
	return noon_us;
}

static enum gm_code move(void *context, const char *region, char endpoint[GM_ENDPOINT_BYTES], struct gm_error *err)
{
	struct scene *scene = context;
	scene->moves++;
	if (strcmp(region, "nowhere-1") == 0) GM_FAIL(err, GM_USAGE, "no such region");
	(void)snprintf(endpoint, GM_ENDPOINT_BYTES, "%s", scene->elsewhere);
	return GM_OK;
}

/* What the next client is to have besides. */
static int64_t patience_us;
static volatile int stop;

static enum gm_code open_client(struct scene *scene, unsigned attempts, struct gm_error *err)
{
	const struct gm_aws_config_options files = {.env = get_env, .env_context = scene};
	GM_TRY(gm_aws_config_load(&files, &scene->config, err));
	GM_TRY(gm_http_new(&(struct gm_http_options){.stall_us = 1000000}, &scene->http, err));
	const struct gm_provider_options who = {.config = scene->config, .http = scene->http};
	GM_TRY(gm_provider_new(&who, &scene->provider, err));
	const struct gm_client_options options = {.service = "s3",
	                                          .region = "us-east-1",
	                                          .endpoint = scene->endpoint,
	                                          .move = move,
	                                          .move_context = scene,
	                                          .http = scene->http,
	                                          .provider = scene->provider,
	                                          .max_attempts = attempts,
	                                          .retry_budget = 500,
	                                          .patience_us = patience_us,
	                                          .stop = &stop,
	                                          .leaving = &scene->leaving,
	                                          .now_us = stopped_clock};
	return gm_client_new(&options, &scene->client, err);
}

static void close_client(struct scene *scene)
{
	gm_call_end(scene->call);
	gm_client_free(scene->client);
	gm_provider_free(scene->provider);
	gm_http_free(scene->http);
	gm_aws_config_free(scene->config);
	scene->call = NULL;
	scene->client = NULL;
	scene->provider = NULL;
	scene->http = NULL;
	scene->config = NULL;
}

static int begin(void **state)
{
	struct scene *scene = calloc(1, sizeof *scene);
	assert_non_null(scene);
	server_start(&server);
	(void)snprintf(scene->endpoint, sizeof scene->endpoint, "http://127.0.0.1:%d", server.port);
	(void)snprintf(scene->elsewhere, sizeof scene->elsewhere, "http://localhost:%d", server.port);
	scene->env[0][0] = "AWS_ACCESS_KEY_ID", scene->env[0][1] = access_key;
	scene->env[1][0] = "AWS_SECRET_ACCESS_KEY", scene->env[1][1] = secret_key;
	scene->env[2][0] = "HOME", scene->env[2][1] = "/nonexistent";
	must(open_client(scene, 3, &failure));
	*state = scene;
	return 0;
}

static int end(void **state)
{
	struct scene *scene = *state;
	close_client(scene);
	free(scene);
	server_stop(&server);
	return 0;
}

static const struct gm_call_request put = {
    .kind = GM_CALL_PUT, .method = "PUT", .path = "/b/k", .body = "hello", .body_bytes = 5};

/* One call; the one before is ended. */
static enum gm_code perform(struct scene *scene, const struct gm_call_request *request)
{
	gm_call_end(scene->call);
	scene->call = NULL;
	must(gm_call_start(scene->client, request, &scene->call, &failure));
	enum gm_code rc = gm_call_wait(scene->call, &scene->response, &failure);
	if (rc != GM_OK) {
		assert_null(strstr(failure.message, secret_key));
		assert_null(strpbrk(failure.message, "\r\n"));
	}
	return rc;
}

static size_t asked(struct server *of)
{
	return seen_count(of);
}

static const char *sent(size_t i, const char *name)
{
	const char *value = head_value(seen_at(&server, i)->head, name);
	assert_non_null(value);
	return value;
}

/* --- Asked again -------------------------------------------------------------------------------------------------- */

static void a_request_is_signed(void **state)
{
	struct scene *scene = *state;
	answer(&server, NULL, 200, "x-amz-request-id: R1\r\n", "");
	struct gm_call_request request = put;
	request.headers[request.header_count++] = (struct gm_sign_pair){"If-None-Match", "*"};
	request.query[request.query_count++] = (struct gm_sign_pair){"z", "a b"};
	request.query[request.query_count++] = (struct gm_sign_pair){"partNumber", "1"};
	must(perform(scene, &request));
	assert_int_equal(scene->response->http.status, 200);
	assert_int_equal(scene->response->attempts, 1);
	assert_false(scene->response->unclear);
	assert_memory_equal(seen_at(&server, 0)->head, "PUT /b/k?partNumber=1&z=a%20b HTTP/1.1\r\n", 40);
	assert_string_equal(sent(0, "X-Amz-Date"), "20231114T221320Z");
	assert_string_equal(sent(0, "X-Amz-Content-Sha256"),
	                    "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"); /* of "hello" */
	const char *authorization = sent(0, "Authorization");
	assert_non_null(strstr(authorization, "Credential=AKIDEXAMPLE/20231114/us-east-1/s3/aws4_request"));
	assert_non_null(strstr(authorization, "SignedHeaders=host;if-none-match;x-amz-content-sha256;x-amz-date,"));
	assert_null(strstr(seen_at(&server, 0)->head, secret_key));
	struct gm_call_counts counts = {{0}, 0, 0, 0};
	gm_client_counts(scene->client, &counts);
	assert_int_equal(counts.requests[GM_CALL_PUT], 1);
	assert_int_equal(counts.bytes_out, 5);
	assert_int_equal(counts.retries, 0);
}

#define XML(code) \
	"<?xml version=\"1.0\"?>\n<Error><Code>" code "</Code><Message>Why so</Message><RequestId>R</RequestId></Error>"

/* What is asked again, as often as it may be and not more; and whether it may have taken effect. */
static void passing_faults_are_tried_again(void **state)
{
	static const struct {
		int status;
		const char *body;
		bool unclear;
	} cases[] = {
	    {500, XML("InternalError"), true},
	    {500, "", true},
	    {502, "<html>Bad gateway</html>", true},
	    {504, "", true},
	    {503, XML("ServiceUnavailable"), true},
	    {408, "", true},
	    {400, XML("RequestTimeout"), true},
	    {400, XML("BadDigest"), false},
	    {400, XML("XAmzContentSHA256Mismatch"), false},
	    {400, XML("IncompleteBody"), false},
	    {409, XML("ConditionalRequestConflict"), false},
	    {409, XML("OperationAborted"), false},
	};
	struct scene *scene = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		answer(&server, NULL, cases[i].status, "", cases[i].body);
		answer(&server, NULL, 200, "ETag: \"x\"\r\n", "");
		must(perform(scene, &put));
		assert_int_equal(scene->response->http.status, 200);
		assert_int_equal(scene->response->attempts, 2);
		assert_int_equal(scene->response->unclear, cases[i].unclear);
		assert_string_equal(scene->response->error, "");
		assert_int_equal(asked(&server), 2);
		assert_memory_equal(seen_at(&server, 1)->body, "hello", 5);
		server_forget(&server);
	}
	answer(&server, NULL, 500, "", XML("InternalError"))->times = 3;
	must(perform(scene, &put));
	assert_int_equal(scene->response->http.status, 500);
	assert_int_equal(scene->response->attempts, 3);
	assert_true(scene->response->unclear);
	assert_int_equal(gm_call_fail(scene->response, "put the object", &failure), GM_TRANSIENT);
	assert_string_equal(failure.message, "could not put the object: status 500 InternalError: Why so, request R");
	struct gm_call_counts counts = {{0}, 0, 0, 0};
	gm_client_counts(scene->client, &counts);
	assert_int_equal(counts.requests[GM_CALL_PUT], 12 * 2 + 3);
	assert_int_equal(counts.retries, 12 + 2);
}

static void throttling_is_tried_again(void **state)
{
	struct scene *scene = *state;
	answer(&server, NULL, 503, "", XML("SlowDown"));
	answer(&server, NULL, 429, "", "");
	answer(&server, NULL, 200, "", "");
	must(perform(scene, &put));
	assert_int_equal(scene->response->attempts, 3);
	assert_true(scene->response->unclear); /* the 503 */
}

static void broken_transfers_are_tried_again(void **state)
{
	static const char *const cut[] = {"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nETag: \"x\"\r\n", "hello\r\n",
	                                  "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"};
	struct scene *scene = *state;
	for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
		struct answer *part = answer_raw(&server, NULL, cut[i]);
		part->cuts = true;
		part->cut = part->n;
		part->resets = i == 0;
		answer(&server, NULL, 200, "", "");
		must(perform(scene, &put));
		assert_int_equal(scene->response->attempts, 2);
		assert_true(scene->response->unclear);
		server_forget(&server);
	}
	struct answer *part = answer_raw(&server, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
	part->cuts = true;
	part->cut = part->n;
	part->times = 3;
	assert_int_equal(perform(scene, &put), GM_TRANSIENT);
	assert_true(scene->response->unclear);
	assert_non_null(strstr(failure.message, "no answer from http://127.0.0.1:"));
	assert_non_null(strstr(failure.message, "after 3 attempts: "));
	assert_int_equal(asked(&server), 3);
}

/* Who is to stop does not wait for a service that is silent; one that answers is asked again, for a commit may hang on
 * it. */
static void silence_is_not_asked_again_at_the_end(void **state)
{
	struct scene *scene = *state;
	scene->leaving = 1;
	answer(&server, NULL, 500, "", "");
	answer(&server, NULL, 200, "", "");
	must(perform(scene, &put));
	assert_int_equal(scene->response->attempts, 2);
	server_forget(&server);
	struct answer *part = answer_raw(&server, NULL, "HTTP/1.1 200");
	part->cuts = true;
	part->cut = part->n;
	assert_int_equal(perform(scene, &put), GM_TRANSIENT);
	assert_true(scene->response->unclear);
	assert_int_equal(asked(&server), 1);
}

/* A body that is not as long as was asked for, or longer. */
static void a_body_of_another_length_is_broken(void **state)
{
	struct scene *scene = *state;
	uint8_t room[5];
	const struct gm_call_request get = {
	    .kind = GM_CALL_GET, .method = "GET", .path = "/b/k", .into = room, .into_bytes = 5, .into_exact = 5};
	answer(&server, NULL, 206, "", "hell");
	answer(&server, NULL, 206, "", "hello");
	must(perform(scene, &get));
	assert_int_equal(scene->response->attempts, 2);
	assert_memory_equal(room, "hello", 5);
	answer(&server, NULL, 206, "", "hello!");
	assert_int_equal(perform(scene, &get), GM_IO);
	assert_int_equal(scene->response->http.end, GM_HTTP_TOO_LARGE);
	assert_int_equal(scene->response->attempts, 1);
}

/* The page of a proxy, say. */
static void what_has_no_tag_is_not_of_the_store(void **state)
{
	struct scene *scene = *state;
	struct gm_call_request request = put;
	request.tagged = true;
	answer(&server, NULL, 200, "", "<html>Welcome</html>");
	answer(&server, NULL, 200, "ETag: \"x\"\r\n", "");
	must(perform(scene, &request));
	assert_int_equal(scene->response->attempts, 2);
	assert_true(scene->response->unclear);
	uint8_t room[5];
	request = (struct gm_call_request){
	    .kind = GM_CALL_GET, .method = "GET", .path = "/b/k", .into = room, .into_bytes = 5, .tagged = true};
	answer(&server, NULL, 200, "", "<html>Welcome</html>");
	answer(&server, NULL, 200, "ETag: \"x\"\r\n", "hello");
	must(perform(scene, &request));
	assert_int_equal(scene->response->attempts, 2);
	assert_memory_equal(room, "hello", 5);
}

/* An error that came behind the 200 is one, however it begins, and whatever it says. */
static void an_error_inside_a_success_is_one(void **state)
{
	static const struct {
		const char *body;
		int status;
		enum gm_code code;
	} cases[] = {
	    {"   \n" XML("InternalError"), 500, GM_TRANSIENT},
	    {"<Error xmlns=\"http://s3.amazonaws.com/\"><Code>Strange</Code></Error>", 500, GM_TRANSIENT},
	    {XML("PreconditionFailed"), 412, GM_EXISTS},
	    {XML("NoSuchUpload"), 404, GM_NOT_FOUND},
	    {XML("AccessDenied"), 403, GM_DENIED},
	    {"<Error", 500, GM_TRANSIENT},
	};
	struct scene *scene = *state;
	struct gm_call_request complete = put;
	complete.body_may_be_error = true;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		answer(&server, NULL, 200, "", cases[i].body)->times = 3;
		must(perform(scene, &complete));
		assert_int_equal(scene->response->http.status, cases[i].status);
		assert_int_equal(gm_call_fail(scene->response, "x", &failure), cases[i].code);
		assert_int_equal(scene->response->attempts, cases[i].status == 500 ? 3 : 1);
		server_forget(&server);
	}
	answer(&server, NULL, 200, "", XML("InternalError"));
	answer(&server, NULL, 200, "",
	       "<CompleteMultipartUploadResult><Key>&lt;Error&gt;</Key></CompleteMultipartUploadResult>");
	must(perform(scene, &complete));
	assert_int_equal(scene->response->http.status, 200);
	assert_int_equal(scene->response->attempts, 2);
}

static void nobody_listens(void **state)
{
	struct scene *scene = *state;
	int closed = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof at;
	assert_int_equal(bind(closed, (struct sockaddr *)&at, bytes), 0);
	assert_int_equal(getsockname(closed, (struct sockaddr *)&at, &bytes), 0);
	close_client(scene);
	(void)snprintf(scene->endpoint, sizeof scene->endpoint, "http://127.0.0.1:%d", ntohs(at.sin_port));
	must(open_client(scene, 3, &failure));
	assert_int_equal(perform(scene, &put), GM_TRANSIENT);
	assert_int_equal(scene->response->attempts, 3);
	assert_false(scene->response->unclear); /* nothing was sent */
	(void)close(closed);
}

/* An outage ends in an error soon: of many calls only the first few are tried again. */
static void retries_have_a_budget(void **state)
{
	struct scene *scene = *state;
	close_client(scene);
	must(open_client(scene, 2, &failure));
	struct answer *none = answer_raw(&server, NULL, "");
	none->cuts = true;
	none->times = SERVER_REQUESTS;
	for (int i = 0; i < 60; i++) assert_int_equal(perform(scene, &put), GM_TRANSIENT);
	assert_int_equal(asked(&server), 60 + 50); /* 500 tokens, 10 for a retry */
	assert_int_equal(scene->response->attempts, 1);
	server_forget(&server);
	answer(&server, NULL, 200, "", "")->times = 10;
	none = answer_raw(&server, NULL, "");
	none->cuts = true;
	answer(&server, NULL, 200, "", "");
	for (int i = 0; i < 11; i++) must(perform(scene, &put));
	assert_int_equal(scene->response->http.status, 200); /* what is answered well gives some back */
	assert_int_equal(scene->response->attempts, 2);
}

/* --- Asked again with something learnt ---------------------------------------------------------------------------- */

static void the_servers_clock_counts(void **state)
{
	struct scene *scene = *state;
	answer(&server, NULL, 403, "Date: Tue, 14 Nov 2023 23:13:25 GMT\r\n", XML("RequestTimeTooSkewed"));
	answer(&server, NULL, 200, "", "")->times = 2;
	must(perform(scene, &put));
	assert_int_equal(scene->response->attempts, 2);
	assert_string_equal(sent(0, "X-Amz-Date"), "20231114T221320Z");
	assert_string_equal(sent(1, "X-Amz-Date"), "20231114T231325Z");
	must(perform(scene, &put)); /* it is remembered */
	assert_string_equal(sent(2, "X-Amz-Date"), "20231114T231325Z");
	server_forget(&server);
	answer(&server, NULL, 403, "Date: Tue, 14 Nov 2023 23:13:25 GMT\r\n", XML("RequestTimeTooSkewed"))->times = 2;
	must(perform(scene, &put)); /* once is enough */
	assert_int_equal(scene->response->attempts, 2);
	assert_int_equal(gm_call_fail(scene->response, "put", &failure), GM_DENIED);
	assert_non_null(strstr(failure.hint, "clock"));
	answer(&server, NULL, 403, "Date: yesterday\r\n", XML("RequestTimeTooSkewed"));
	must(perform(scene, &put));
	assert_int_equal(scene->response->attempts, 1);
}

/* Its credentials come from a container's endpoint, the server's too. */
static void serve_credentials(struct scene *scene, char uri[128])
{
	close_client(scene);
	(void)snprintf(uri, 128, "http://127.0.0.1:%d/credentials", server.port);
	scene->env[0][0] = "AWS_CONTAINER_CREDENTIALS_FULL_URI", scene->env[0][1] = uri;
	scene->env[1][0] = "X", scene->env[1][1] = "";
	must(open_client(scene, 3, &failure));
}

#define KEYS(id)                                                                         \
	"{\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"s-" id "\",\"Token\":\"token/" id \
	"\",\"Expiration\":\"2999-01-01T00:00:00Z\"}"

static void expired_credentials_are_renewed(void **state)
{
	struct scene *scene = *state;
	char uri[128];
	serve_credentials(scene, uri);
	answer(&server, "/credentials", 200, "", KEYS("FIRST"));
	answer(&server, "/credentials", 200, "", KEYS("SECOND"));
	answer(&server, "/b/k", 400, "", XML("ExpiredToken"));
	answer(&server, "/b/k", 500, "", "");
	answer(&server, "/b/k", 200, "", "");
	must(perform(scene, &put));
	assert_int_equal(scene->response->attempts, 3);
	assert_int_equal(asked(&server), 5); /* the third attempt asks nobody for others */
	assert_string_equal(sent(1, "X-Amz-Security-Token"), "token/FIRST");
	assert_string_equal(sent(3, "X-Amz-Security-Token"), "token/SECOND");
	assert_non_null(strstr(sent(4, "Authorization"), "Credential=SECOND/"));
	assert_non_null(strstr(sent(4, "Authorization"), ";x-amz-security-token,"));
	server_forget(&server);
	answer(&server, "/credentials", 200, "", KEYS("THIRD"));
	answer(&server, "/b/k", 403, "", XML("ExpiredTokenException"))->times = 2;
	must(perform(scene, &put));
	assert_int_equal(scene->response->attempts, 2);
	assert_int_equal(gm_call_fail(scene->response, "put", &failure), GM_DENIED);
	assert_non_null(strstr(failure.hint, "expired"));
}

/* Of several calls that are told so at once, one asks. */
static void credentials_are_renewed_once(void **state)
{
	enum { CALLS = 6 };
	struct scene *scene = *state;
	struct gm_call *calls[CALLS];
	char uri[128];
	serve_credentials(scene, uri);
	answer(&server, "/credentials", 200, "", KEYS("FIRST"));
	answer(&server, "/credentials", 200, "", KEYS("SECOND"));
	answer(&server, "Credential=FIRST/", 400, "", XML("ExpiredToken"))->times = CALLS;
	answer(&server, "Credential=SECOND/", 200, "", "")->times = CALLS;
	for (size_t i = 0; i < CALLS; i++) must(gm_call_start(scene->client, &put, &calls[i], &failure));
	for (size_t i = 0; i < CALLS; i++) {
		struct gm_call_response *response;
		must(gm_call_wait(calls[i], &response, &failure));
		assert_int_equal(response->http.status, 200);
		gm_call_end(calls[i]);
	}
	assert_int_equal(asked(&server), 2 * CALLS + 2);
}

static void the_region_is_found_out(void **state)
{
	static const struct {
		int status;
		const char *headers, *body;
	} cases[] = {
	    {301, "x-amz-bucket-region: eu-west-3\r\n", ""},
	    {307, "x-amz-bucket-region: eu-west-3\r\n", XML("TemporaryRedirect")},
	    {400, "", "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>"},
	    {400, "x-amz-bucket-region: eu-west-3\r\n", ""}, /* HEAD has no more to say */
	};
	struct scene *scene = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		answer(&server, "Host: 127.0.0.1", cases[i].status, cases[i].headers, cases[i].body);
		answer(&server, "Host: localhost", 200, "", "")->times = 2;
		for (int call = 0; call < 2; call++) {
			must(perform(scene, &put));
			assert_int_equal(scene->response->http.status, 200);
			assert_int_equal(scene->response->attempts, 2 - call);
		}
		assert_non_null(strstr(sent(0, "Authorization"), "/us-east-1/s3/"));
		assert_non_null(strstr(sent(1, "Authorization"), "/eu-west-3/s3/"));
		assert_non_null(strstr(sent(2, "Authorization"), "/eu-west-3/s3/")); /* it is remembered */
		assert_int_equal(scene->moves, 1);
		server_forget(&server);
		close_client(scene);
		scene->moves = 0;
		must(open_client(scene, 3, &failure));
	}
}

/* A region that is the same, none, or none at all is no reason to ask again. */
static void a_region_may_not_help(void **state)
{
	static const struct {
		int status;
		const char *headers, *body;
	} cases[] = {
	    {400, "x-amz-bucket-region: us-east-1\r\n", XML("InvalidArgument")},
	    {301, "", XML("PermanentRedirect")},
	    {400, "", "<Error><Code>AuthorizationHeaderMalformed</Code><Region>x/../y</Region></Error>"},
	    {400, "", "<Error><Code>AuthorizationHeaderMalformed</Code><Region>nowhere-1</Region></Error>"},
	};
	struct scene *scene = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		answer(&server, NULL, cases[i].status, cases[i].headers, cases[i].body);
		must(perform(scene, &put));
		assert_int_equal(scene->response->attempts, 1);
		assert_int_equal(gm_call_fail(scene->response, "put", &failure), GM_USAGE);
		assert_int_equal(strstr(failure.hint, "region") != NULL, i > 0);
	}
}

/* --- Final answers ------------------------------------------------------------------------------------------------ */

static void final_answers_are_told(void **state)
{
	static const struct {
		int status;
		const char *body, *error;
		enum gm_code code;
	} cases[] = {
	    {403, XML("AccessDenied"), "AccessDenied", GM_DENIED},
	    {401, "", "", GM_DENIED},
	    {404, XML("NoSuchKey"), "NoSuchKey", GM_NOT_FOUND},
	    {404, "<html><p>nothing here</p></html>", "", GM_NOT_FOUND},
	    {412, XML("PreconditionFailed"), "PreconditionFailed", GM_EXISTS},
	    {400, XML("InvalidArgument"), "InvalidArgument", GM_USAGE},
	    {400, "{\"__type\":\"com.amazon#EntityNotFoundException\",\"Message\":\"m\"}", "EntityNotFoundException",
	     GM_USAGE},
	    {400, "{\"__type\":", "", GM_USAGE},
	    {400, "<Error><Code>Cut", "", GM_USAGE},
	    {400, "<!DOCTYPE Error [<!ENTITY e \"x\">]><Error><Code>&e;</Code></Error>", "", GM_USAGE},
	    {400, "<Error><Code>A&#10;B\x7f</Code></Error>", "A B ", GM_USAGE},
	    {501, XML("NotImplemented"), "NotImplemented", GM_UNSUPPORTED},
	    {507, XML("StorageFull"), "StorageFull", GM_NOSPACE},
	    {405, XML("MethodNotAllowed"), "MethodNotAllowed", GM_IO},
	    {304, "", "", GM_IO},
	};
	struct scene *scene = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		answer(&server, NULL, cases[i].status, "", cases[i].status == 304 ? "" : cases[i].body);
		must(perform(scene, &put));
		assert_int_equal(scene->response->http.status, cases[i].status);
		assert_int_equal(scene->response->attempts, 1);
		assert_string_equal(scene->response->error, cases[i].error);
		assert_int_equal(gm_call_fail(scene->response, "put", &failure), cases[i].code);
		assert_int_equal(gm_call_fail(scene->response, "put", NULL), cases[i].code);
	}
}

/* Texts of services are cut, not trusted. */
static void long_errors_are_cut(void **state)
{
	struct scene *scene = *state;
	static char body[8000];
	int n = snprintf(body, sizeof body, "<Error><Code>");
	memset(body + n, 'c', 1000);
	n += 1000 + snprintf(body + n + 1000, 100, "</Code><Message>");
	memset(body + n, 'm', 4000);
	(void)snprintf(body + n + 4000, 100, "</Message></Error>");
	answer(&server, NULL, 403, "x-amz-request-id: R2\r\n", body);
	must(perform(scene, &put));
	assert_int_equal(strlen(scene->response->error), sizeof scene->response->error - 1);
	assert_int_equal(strlen(scene->response->text), sizeof scene->response->text - 1);
	assert_string_equal(scene->response->request_id, "R2");
	assert_int_equal(gm_call_fail(scene->response, "put", &failure), GM_DENIED);
}

static void header_injection_is_refused(void **state)
{
	struct scene *scene = *state;
	struct gm_call_request request = put;
	request.headers[request.header_count++] = (struct gm_sign_pair){"If-Match", "x\r\nX-Evil: 1"};
	assert_int_equal(gm_call_start(scene->client, &request, &scene->call, &failure), GM_USAGE);
	assert_null(scene->call);
	assert_int_equal(asked(&server), 0);
}

static void hosts_are_made_of_endpoint_and_bucket(void **state)
{
	static const struct {
		const char *endpoint, *bucket, *host;
	} cases[] = {
	    {"http://localhost:%d", NULL, "localhost:%d"},
	    {"http://localhost:%d", "bucket", "bucket.localhost:%d"},
	    {"http://127.0.0.1:%d", NULL, "127.0.0.1:%d"},
	};
	struct scene *scene = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char host[64];
		struct gm_call_request request = put;
		close_client(scene);
		(void)snprintf(scene->endpoint, sizeof scene->endpoint, cases[i].endpoint, server.port);
		(void)snprintf(host, sizeof host, cases[i].host, server.port);
		must(open_client(scene, 1, &failure));
		request.host = cases[i].bucket;
		answer(&server, NULL, 200, "", "");
		must(perform(scene, &request));
		assert_string_equal(sent(i, "Host"), host);
	}
	server_forget(&server);
}

/* --- Ended early, and many at once -------------------------------------------------------------------------------- */

static void calls_are_ended_in_every_state(void **state)
{
	struct scene *scene = *state;
	struct gm_call *calls[3];
	struct gm_call_response *response;
	gm_call_end(NULL);
	answer_raw(&server, NULL, "")->stalls = true;
	answer(&server, NULL, 200, "", "")->times = 2;
	for (size_t i = 0; i < 3; i++) {
		must(gm_call_start(scene->client, &put, &calls[i], &failure));
		server_await(&server, i + 1);
	}
	gm_call_end(calls[0]); /* on its way */
	must(gm_call_wait(calls[2], &response, &failure));
	gm_call_end(calls[2]); /* waited for */
	gm_call_end(calls[1]); /* answered, not waited for */
	struct gm_call_counts counts = {{0}, 0, 0, 0};
	gm_client_counts(scene->client, &counts);
	assert_int_equal(counts.requests[GM_CALL_PUT], 3);
}

enum { THREADS = 4, ROUNDS = 8, AT_ONCE = 4 };
static atomic_uint turn;

static void fail_sometimes(struct server *to, const struct seen *request, char **bytes, size_t *n)
{
	(void)to;
	bool fails = atomic_fetch_add(&turn, 1) % 9 == 8;
	*bytes = whole_answer(fails ? 500 : 200, "", request->body, request->body_bytes, n);
}

static void *talk(void *context)
{
	struct scene *scene = context;
	for (size_t round = 0; round < ROUNDS; round++) {
		struct gm_call *calls[AT_ONCE];
		char bodies[AT_ONCE][64];
		for (size_t i = 0; i < AT_ONCE; i++) {
			struct gm_call_request request = put;
			request.body_bytes = (size_t)snprintf(bodies[i], sizeof bodies[i], "%p %zu %zu", (void *)bodies, round, i);
			request.body = bodies[i];
			if (gm_call_start(scene->client, &request, &calls[i], NULL) != GM_OK) abort();
		}
		for (size_t i = 0; i < AT_ONCE; i++) {
			struct gm_call_response *response;
			if ((round + i) % 5 != 0) {
				if (gm_call_wait(calls[i], &response, NULL) != GM_OK) abort();
				if (response->http.status != 200 || response->http.body.len != strlen(bodies[i])) abort();
				if (memcmp(response->http.body.data, bodies[i], strlen(bodies[i])) != 0) abort();
			}
			gm_call_end(calls[i]);
		}
	}
	return NULL;
}

static void many_are_in_flight(void **state)
{
	pthread_t threads[THREADS];
	server.serve = fail_sometimes;
	close_client(*state);
	must(open_client(*state, 0, &failure));
	for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, talk, *state), 0);
	for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* --- Patience ----------------------------------------------------------------------------------------------------- */

/* A call that is old is not begun again, however many attempts there may be. */
static void patience_ends(void **state)
{
	struct scene *scene = *state;
	close_client(scene);
	patience_us = 200000;
	must(open_client(scene, 8, &failure));
	patience_us = 0;
	answer(&server, NULL, 503, "", XML("SlowDown"))->times = 8;
	must(perform(scene, &put));
	assert_int_equal(scene->response->http.status, 503);
	assert_in_range(scene->response->attempts, 1, 7); /* the delays double from half a second */
	assert_int_equal(gm_call_fail(scene->response, "put the object", &failure), GM_TRANSIENT);
}

static void *stop_soon(void *unused)
{
	(void)unused;
	server_await(&server, 1);
	gm_flag_set(&stop, 1);
	return NULL;
}

/* What is in flight is broken off long before it is seen to stand still, and nothing is begun again. */
static void who_is_to_stop_waits_for_no_answer(void **state)
{
	struct scene *scene = *state;
	pthread_t thread;
	struct timespec start, now;
	answer(&server, NULL, 200, "", "")->stalls = true;
	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	assert_int_equal(pthread_create(&thread, NULL, stop_soon, NULL), 0);
	enum gm_code rc = perform(scene, &put);
	(void)pthread_join(thread, NULL);
	stop = 0;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	assert_int_equal(rc, GM_INTERRUPTED);
	assert_int_equal(asked(&server), 1);
	assert_in_range(now.tv_sec - start.tv_sec, 0, 1); /* a stall is one of a second or two, thrice */
}

/* --- Memory ------------------------------------------------------------------------------------------------------- */

static void each_allocation_may_fail(void **state)
{
	struct scene *scene = *state;
	unsigned done = 0;
	answer(&server, "GET", 404, "ETag: \"x\"\r\n", XML("NoSuchKey"))->times = SERVER_REQUESTS;
	fired = true;
	for (fail_at = 1; fired; fail_at++) {
		const struct gm_call_request get = {.kind = GM_CALL_GET, .method = "GET", .path = "/b/k"};
		struct gm_call_response *response;
		arm();
		enum gm_code started = gm_call_start(scene->client, &get, &scene->call, &failure), rc = started;
		if (started == GM_OK) rc = gm_call_wait(scene->call, &response, &failure);
		armed = false;
		if (rc == GM_OK && response->http.status == 404)
			done++;
		else
			assert_true(rc == GM_NOMEM || rc == GM_TRANSIENT);
		if (!fired) assert_true(rc == GM_OK);
		if (started != GM_OK) assert_null(scene->call);
		gm_call_end(scene->call);
		scene->call = NULL;
	}
	assert_true(done > 0 && fail_at > 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_request_is_signed),
	    TEST(passing_faults_are_tried_again),
	    TEST(throttling_is_tried_again),
	    TEST(broken_transfers_are_tried_again),
	    TEST(silence_is_not_asked_again_at_the_end),
	    TEST(a_body_of_another_length_is_broken),
	    TEST(what_has_no_tag_is_not_of_the_store),
	    TEST(an_error_inside_a_success_is_one),
	    TEST(nobody_listens),
	    TEST(retries_have_a_budget),
	    TEST(the_servers_clock_counts),
	    TEST(expired_credentials_are_renewed),
	    TEST(credentials_are_renewed_once),
	    TEST(the_region_is_found_out),
	    TEST(a_region_may_not_help),
	    TEST(final_answers_are_told),
	    TEST(long_errors_are_cut),
	    TEST(header_injection_is_refused),
	    TEST(hosts_are_made_of_endpoint_and_bucket),
	    TEST(calls_are_ended_in_every_state),
	    TEST(many_are_in_flight),
	    TEST(patience_ends),
	    TEST(who_is_to_stop_waits_for_no_answer),
	    TEST(each_allocation_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
