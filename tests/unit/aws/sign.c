/* Unit tests of aws/sign. The signatures are those of AWS: its Signature Version 4 test suite, and the four examples of
 * the S3 API Reference, "Authenticating Requests: Using the Authorization Header". */
#include "aws/sign.h"

#include "../must.h"

#include <stdlib.h>
#include <string.h>

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define UNRESERVED   "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define STS_TOKEN                                                                                                \
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD" \
	"8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6" \
	"q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJa" \
	"bIQwj2ICCR/oLxBA=="
static const int64_t suite_us = INT64_C(1440938160) * 1000000; /* 2015-08-30T12:36:00Z */
static const int64_t s3_us = INT64_C(1369353600) * 1000000;    /* 2013-05-24T00:00:00Z */

struct request {
	const char *name, *method, *path;
	struct gm_sign_pair query[4], headers[6]; /* up to the first without a name; beside Host and X-Amz-Date */
	const char *body, *names, *signature;
};

static size_t count_pairs(const struct gm_sign_pair *pairs, size_t room)
{
	size_t n = 0;
	while (n < room && pairs[n].name != NULL) n++;
	return n;
}

/* Service "service" in us-east-1, key AKIDEXAMPLE. */
static const struct request suite[] = {
    {"get-vanilla",
     "GET",
     "/",
     {{0}},
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"no path",
     "GET",
     "",
     {{0}},
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-header-key-duplicate",
     "GET",
     "/",
     {{0}},
     {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
     "",
     "host;my-header1;x-amz-date",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-header-value-multiline",
     "GET",
     "/",
     {{0}},
     {{"My-Header1", "value1\n  value2\n     value3"}},
     "",
     "host;my-header1;x-amz-date",
     "cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd"},
    {"get-header-value-order",
     "GET",
     "/",
     {{0}},
     {{"My-Header1", "value4"}, {"My-Header1", "value1"}, {"My-Header1", "value3"}, {"My-Header1", "value2"}},
     "",
     "host;my-header1;x-amz-date",
     "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
    {"get-header-value-trim",
     "GET",
     "/",
     {{0}},
     {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
     "",
     "host;my-header1;my-header2;x-amz-date",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"trim at both ends",
     "GET",
     "/",
     {{0}},
     {{"my-header2", "\t \"a \t b   c\" \r\n "}, {"MY-HEADER1", "value1 "}},
     "",
     "host;my-header1;my-header2;x-amz-date",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-relative-normalized",
     "GET",
     "/example/..",
     {{0}},
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-relative-relative-normalized",
     "GET",
     "/example1/example2/../..",
     {{0}},
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash-dot-slash-normalized",
     "GET",
     "/./",
     {{0}},
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash-normalized",
     "GET",
     "//",
     {{0}},
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"above the root",
     "GET",
     "/../../x/../",
     {{0}},
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash-pointless-dot-normalized",
     "GET",
     "/./example",
     {{0}},
     {{0}},
     "",
     "host;x-amz-date",
     "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"},
    {"get-slashes-normalized",
     "GET",
     "//example//",
     {{0}},
     {{0}},
     "",
     "host;x-amz-date",
     "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
    {"get-space-normalized",
     "GET",
     "/example space/",
     {{0}},
     {{0}},
     "",
     "host;x-amz-date",
     "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
    {"get-unreserved",
     "GET",
     "/" UNRESERVED,
     {{0}},
     {{0}},
     "",
     "host;x-amz-date",
     "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"get-utf8",
     "GET",
     "/\xE1\x88\xB4",
     {{0}},
     {{0}},
     "",
     "host;x-amz-date",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-vanilla-empty-query-key",
     "GET",
     "/",
     {{"Param1", "value1"}},
     {{0}},
     "",
     "host;x-amz-date",
     "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
    {"get-vanilla-query-order-encoded",
     "GET",
     "/",
     {{"Param-3", "Value3"}, {"Param", "Value2"}, {"\xE1\x88\xB4", "Value1"}},
     {{0}},
     "",
     "host;x-amz-date",
     "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
    {"get-vanilla-query-order-key-case",
     "GET",
     "/",
     {{"Param2", "value2"}, {"Param1", "value1"}},
     {{0}},
     "",
     "host;x-amz-date",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-query-unreserved",
     "GET",
     "/",
     {{UNRESERVED, UNRESERVED}},
     {{0}},
     "",
     "host;x-amz-date",
     "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
    {"get-vanilla-utf8-query",
     "GET",
     "/",
     {{"\xE1\x88\xB4", "bar"}},
     {{0}},
     "",
     "host;x-amz-date",
     "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    {"get-vanilla-with-session-token",
     "GET",
     "/",
     {{0}},
     {{"X-Amz-Security-Token", "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"}},
     "",
     "host;x-amz-date;x-amz-security-token",
     "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
    {"post-vanilla",
     "POST",
     "/",
     {{0}},
     {{0}},
     "",
     "host;x-amz-date",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"post-header-key-sort",
     "POST",
     "/",
     {{0}},
     {{"My-Header1", "value1"}},
     "",
     "host;my-header1;x-amz-date",
     "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
    {"post-header-value-case",
     "POST",
     "/",
     {{0}},
     {{"My-Header1", "VALUE1"}},
     "",
     "host;my-header1;x-amz-date",
     "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
    {"post-sts-header-before",
     "POST",
     "/",
     {{0}},
     {{"X-Amz-Security-Token", STS_TOKEN}},
     "",
     "host;x-amz-date;x-amz-security-token",
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
    {"post-vanilla-query",
     "POST",
     "/",
     {{"Param1", "value1"}},
     {{0}},
     "",
     "host;x-amz-date",
     "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
    {"post-x-www-form-urlencoded",
     "POST",
     "/",
     {{0}},
     {{"Content-Type", "application/x-www-form-urlencoded"},
      {"Content-Length", "13"},
      {"x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"}},
     "Param1=value1",
     "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
     "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"},
    {"post-x-www-form-urlencoded-parameters",
     "POST",
     "/",
     {{0}},
     {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"},
      {"Content-Length", "13"},
      {"x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"}},
     "Param1=value1",
     "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
     "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422"},
};

/* Bucket examplebucket in us-east-1, key AKIAIOSFODNN7EXAMPLE. */
static const struct request s3[] = {
    {"GET Object",
     "GET",
     "/test.txt",
     {{0}},
     {{"Range", "bytes=0-9"}, {"x-amz-content-sha256", EMPTY_SHA256}},
     "",
     "host;range;x-amz-content-sha256;x-amz-date",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT Object",
     "PUT",
     "/test%24file.text",
     {{0}},
     {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
      {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
      {"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"}},
     "Welcome to Amazon S3.",
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GET Bucket Lifecycle",
     "GET",
     "/",
     {{"lifecycle", ""}},
     {{"x-amz-content-sha256", EMPTY_SHA256}},
     "",
     "host;x-amz-content-sha256;x-amz-date",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"Get Bucket (List Objects)",
     "GET",
     "/",
     {{"prefix", "J"}, {"max-keys", "2"}},
     {{"x-amz-content-sha256", EMPTY_SHA256}},
     "",
     "host;x-amz-content-sha256;x-amz-date",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

static void sign_one(const struct request *request, bool is_s3, struct gm_arena *arena, const char **authorization,
                     const char **canonical)
{
	struct gm_sign_pair headers[8];
	char sha256[GM_SHA256_HEX_BYTES], date[GM_SIGN_DATE_BYTES];
	size_t n = count_pairs(request->headers, 6);
	memcpy(headers, request->headers, n * sizeof headers[0]);
	gm_sign_date(is_s3 ? s3_us : suite_us, date);
	headers[n] = (struct gm_sign_pair){"Host", is_s3 ? "examplebucket.s3.amazonaws.com" : "example.amazonaws.com"};
	headers[n + 1] = (struct gm_sign_pair){"X-Amz-Date", date};
	must(gm_sha256_hex(request->body, strlen(request->body), sha256, &failure));
	struct gm_sign_request full = {
	    .service = is_s3 ? "s3" : "service",
	    .region = "us-east-1",
	    .method = request->method,
	    .path = request->path,
	    .query = request->query,
	    .query_count = count_pairs(request->query, 4),
	    .headers = headers,
	    .header_count = n + 2,
	    .payload_sha256 = sha256,
	    .now_us = is_s3 ? s3_us : suite_us,
	};
	const struct gm_signer signer = {
	    .access_key = is_s3 ? "AKIAIOSFODNN7EXAMPLE" : "AKIDEXAMPLE",
	    .secret_key = is_s3 ? "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" : "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	    .session_token = "",
	};
	must(gm_sign(&full, &signer, arena, authorization, canonical, &failure));
}

static void check_vectors(const struct request *requests, size_t count, bool is_s3)
{
	struct gm_arena arena;
	gm_arena_init(&arena, 4096);
	for (size_t i = 0; i < count; i++) {
		const char *authorization, *canonical;
		const char *scope =
		    is_s3 ? "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3" : "AKIDEXAMPLE/20150830/us-east-1/service";
		sign_one(&requests[i], is_s3, &arena, &authorization, &canonical);
		char *expected =
		    gm_arena_printf(&arena, "AWS4-HMAC-SHA256 Credential=%s/aws4_request, SignedHeaders=%s, Signature=%s",
		                    scope, requests[i].names, requests[i].signature);
		if (strcmp(authorization, expected) != 0) fail_msg("%s: %s\n%s", requests[i].name, authorization, canonical);
		gm_arena_reset(&arena);
	}
	gm_arena_release(&arena);
}

static void test_suite(void **state)
{
	(void)state;
	check_vectors(suite, sizeof suite / sizeof suite[0], false);
}

static void test_s3_examples(void **state)
{
	(void)state;
	check_vectors(s3, sizeof s3 / sizeof s3[0], true);
}

/* The hashes of the canonical requests are AWS's, too. Without the text the signature is the same. */
static void test_canonical_request(void **state)
{
	(void)state;
	static const char *const hashes[] = {
	    "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
	    "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
	    "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
	    "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
	};
	struct gm_arena arena;
	gm_arena_init(&arena, 4096);
	for (size_t i = 0; i < sizeof s3 / sizeof s3[0]; i++) {
		const char *with, *without, *canonical;
		char hex[GM_SHA256_HEX_BYTES];
		sign_one(&s3[i], true, &arena, &with, &canonical);
		sign_one(&s3[i], true, &arena, &without, NULL);
		must(gm_sha256_hex(canonical, strlen(canonical), hex, &failure));
		assert_string_equal(hex, hashes[i]);
		assert_string_equal(with, without);
	}
	gm_arena_release(&arena);
}

/* Of S3 the path is not touched, of others it is normalized and encoded again. */
static void test_paths(void **state)
{
	(void)state;
	static const struct {
		const char *service, *path, *signed_path;
	} cases[] = {
	    {"s3", "/a//b/./../c%20d", "/a//b/./../c%20d"},
	    {"s3", "", "/"},
	    {"s3", "/..", "/.."},
	    {"glue", "/a//b/./../c%20d", "/a/c%2520d"},
	    {"glue", "", "/"},
	    {"glue", "a/./b", "/a/b"},
	    {"glue", "/...", "/..."},
	    {"glue", "/..a/.b/c./", "/..a/.b/c./"},
	    {"glue", "/a/b/..", "/a"},
	    {"glue", "/a/b/../", "/a/"},
	};
	struct gm_arena arena;
	gm_arena_init(&arena, 4096);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *authorization, *canonical;
		const struct gm_sign_request request = {
		    .service = cases[i].service,
		    .region = "eu-west-1",
		    .method = "GET",
		    .path = cases[i].path,
		    .payload_sha256 = "UNSIGNED-PAYLOAD",
		};
		must(gm_sign(&request, &(struct gm_signer){"A", "s", ""}, &arena, &authorization, &canonical, &failure));
		assert_string_equal(canonical,
		                    gm_arena_printf(&arena, "GET\n%s\n\n\n\nUNSIGNED-PAYLOAD", cases[i].signed_path));
	}
	gm_arena_release(&arena);
}

static void test_encoding(void **state)
{
	(void)state;
	struct gm_arena arena;
	gm_arena_init(&arena, 4096);
	assert_string_equal(gm_uri_encode(&arena, UNRESERVED, strlen(UNRESERVED), false), UNRESERVED);
	assert_string_equal(gm_uri_encode(&arena, "a/b \xFF\0%+", 8, true), "a/b%20%FF%00%25%2B");
	assert_string_equal(gm_uri_encode(&arena, "a/b", 3, false), "a%2Fb");
	assert_string_equal(gm_uri_encode(&arena, "", 0, false), "");
	assert_null(gm_uri_encode(&arena, "", SIZE_MAX / 2, false));
	/* By name first: '-' stands before '=', and yet "a" comes before "a-b". Then by value, encoded: '%' before '0'. */
	const struct gm_sign_pair query[] = {{"a-b", "2"}, {"a", "0"}, {"B", ""}, {"a", "\xC3\xA9"}, {"a", ""}};
	assert_string_equal(gm_uri_query(&arena, query, 5), "B=&a=&a=%C3%A9&a=0&a-b=2");
	assert_string_equal(gm_uri_query(&arena, NULL, 0), "");
	gm_arena_release(&arena);
}

static void test_dates(void **state)
{
	(void)state;
	char date[GM_SIGN_DATE_BYTES];
	gm_sign_date(s3_us + 999999, date);
	assert_string_equal(date, "20130524T000000Z");
	gm_sign_date(INT64_MAX, date);
	assert_string_equal(date, "99991231T235959Z");
	gm_sign_date(INT64_MIN, date);
	assert_string_equal(date, "00010101T000000Z");
}

static void test_limits(void **state)
{
	(void)state;
	struct gm_arena arena;
	const char *authorization;
	char *large = malloc((2 << 20) + 1);
	assert_non_null(large);
	memset(large, 'x', 2 << 20);
	large[2 << 20] = '\0';
	gm_arena_init(&arena, 4096);
	const struct gm_signer signer = {"A", "s", ""}, secretive = {"A", large, ""};
	struct gm_sign_request request = {"s3", "r", "GET", "/", NULL, 0, NULL, 0, EMPTY_SHA256, 0};
	assert_int_equal(gm_sign(&request, &secretive, &arena, &authorization, NULL, &failure), GM_USAGE);
	assert_null(strstr(failure.message, "xx"));
	request.region = large;
	assert_int_equal(gm_sign(&request, &signer, &arena, &authorization, NULL, &failure), GM_USAGE);
	request.region = "r";
	request.path = large;
	assert_int_equal(gm_sign(&request, &signer, &arena, &authorization, NULL, &failure), GM_USAGE);
	request.path = "/";
	request.query_count = 100000;
	assert_int_equal(gm_sign(&request, &signer, &arena, &authorization, NULL, &failure), GM_USAGE);
	gm_arena_release(&arena);
	free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_suite),  cmocka_unit_test(test_s3_examples), cmocka_unit_test(test_canonical_request),
	    cmocka_unit_test(test_paths),  cmocka_unit_test(test_encoding),    cmocka_unit_test(test_dates),
	    cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests_name("sign", tests, NULL, NULL);
}
