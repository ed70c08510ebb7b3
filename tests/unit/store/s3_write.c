/* Writing to S3, when answers are lost, or are such as real servers give seldom. */
#include "s3_bucket.h"

static int begin_small(void **state)
{
	return open_bucket(state, 4 * MIB, NULL);
}

static int begin_without_scratch(void **state)
{
	return open_bucket(state, MIB, "/nonexistent");
}

/* --- Put if absent ------------------------------------------------------------------------------------------------ */

static void lost_puts_are_found_again(void **state)
{
	static const struct {
		const char *puts[5], *heads[2];
		enum there there;
		enum gm_code code;
		size_t puts_sent, heads_sent;
	} cases[] = {
	    {{"200"}, {NULL}, NOTHING, GM_OK, 1, 0},
	    {{"412"}, {NULL}, OTHERS, GM_EXISTS, 1, 1},
	    {{"cut", "412"}, {NULL}, OURS, GM_OK, 2, 1},
	    {{"500", "412"}, {NULL}, OTHERS, GM_EXISTS, 2, 1},
	    {{"412", "200"}, {NULL}, NOTHING, GM_OK, 2, 1}, /* it was there, and went */
	    {{"412", "412", "412", "412"}, {NULL}, NOTHING, GM_EXISTS, 4, 4},
	    {{"cut", "cut", "cut"}, {NULL}, OURS, GM_OK, 3, 1},
	    {{"cut", "cut", "cut"}, {NULL}, OTHERS, GM_EXISTS, 3, 1},
	    {{"cut", "cut", "cut"}, {NULL}, NOTHING, GM_TRANSIENT, 3, 1},
	    {{"cut", "403 " ERROR("AccessDenied")}, {NULL}, OURS, GM_OK, 2, 1},
	    {{"cut", "403 " ERROR("AccessDenied")}, {NULL}, NOTHING, GM_DENIED, 2, 1},
	    {{"403 " ERROR("AccessDenied")}, {NULL}, OURS, GM_DENIED, 1, 0},
	    {{"412"}, {"403"}, OURS, GM_DENIED, 1, 1}, /* nobody knows whose it is */
	    {{"409 " ERROR("ConditionalRequestConflict"), "200"}, {NULL}, NOTHING, GM_OK, 2, 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		server_forget(&server);
		bucket.there = cases[i].there;
		play("PUT /bucket/p/a/k ", cases[i].puts);
		play("HEAD", cases[i].heads);
		enum gm_code code = gm_store_put(*state, "a/k", "hello", 5, true, &failure);
		if (code != cases[i].code) fail_msg("case %zu: %s, %s", i, gm_code_name(code), failure.message);
		if (code != GM_OK) assert_string_equal(failure.object, "s3://bucket/p/a/k");
		assert_int_equal(count_seen("PUT /bucket/p/a/k "), cases[i].puts_sent);
		assert_int_equal(count_seen("HEAD /bucket/p/a/k "), cases[i].heads_sent);
		assert_int_equal(count_seen("If-None-Match: *\r\n"), cases[i].puts_sent);
	}
}

/* --- Completing uploads ------------------------------------------------------------------------------------------- */

static void completions_are_found_again(void **state)
{
	static const struct {
		const char *posts[5];
		enum there there;
		enum gm_code code;
	} cases[] = {
	    {{"200 <CompleteMultipartUploadResult/>"}, NOTHING, GM_OK},
	    {{"200 " ERROR("InternalError"), "200 <CompleteMultipartUploadResult/>"}, NOTHING, GM_OK},
	    {{"200 " ERROR("InternalError"), "404 " ERROR("NoSuchUpload")}, OURS, GM_OK},
	    {{"200 " ERROR("InternalError"), "200 " ERROR("InternalError"), "200 " ERROR("InternalError")},
	     NOTHING,
	     GM_TRANSIENT},
	    {{"200 " ERROR("PreconditionFailed")}, OTHERS, GM_EXISTS},
	    {{"404 " ERROR("NoSuchUpload")}, OURS, GM_OK},
	    {{"404 " ERROR("NoSuchUpload")}, OTHERS, GM_EXISTS},
	    {{"404 " ERROR("NoSuchUpload")}, NOTHING, GM_NOT_FOUND},
	    {{"409 " ERROR("ConditionalRequestConflict"), "409 " ERROR("ConditionalRequestConflict"), "409"},
	     NOTHING,
	     GM_NOT_FOUND},
	    {{"409 " ERROR("ConditionalRequestConflict"), "404 " ERROR("NoSuchUpload")}, OURS, GM_OK},
	    {{"412"}, OURS, GM_OK},
	    {{"412"}, OTHERS, GM_EXISTS},
	    {{"412", "200"}, NOTHING, GM_OK},
	    {{"cut", "cut", "cut"}, OURS, GM_OK},
	    {{"cut", "cut", "cut"}, NOTHING, GM_TRANSIENT},
	    {{"403 " ERROR("AccessDenied")}, OURS, GM_DENIED},
	    {{"404 " ERROR("NoSuchBucket")}, OURS, GM_USAGE},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		server_forget(&server);
		bucket.there = cases[i].there;
		answer(&server, "GET", 200, "", PARTS("false", PART("1", "&quot;e1&quot;", "8388608") PART("2", "e2", "1")));
		play("POST", cases[i].posts);
		enum gm_code code = gm_store_publish(*state, upload_token, "y/f", &failure);
		if (code != cases[i].code) fail_msg("case %zu: %s, %s", i, gm_code_name(code), failure.message);
		const struct seen *post = find_seen("POST /bucket/p/y/f?uploadId=U1 ");
		assert_string_equal((const char *)post->body,
		                    "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
		                    "<Part><PartNumber>1</PartNumber><ETag>\"e1\"</ETag></Part>"
		                    "<Part><PartNumber>2</PartNumber><ETag>\"e2\"</ETag></Part></CompleteMultipartUpload>");
		assert_string_equal(head_value(post->head, "if-none-match"), "*");
	}
}

static void lists_of_parts_are_read(void **state)
{
	static const struct {
		const char *pages[5];
		enum gm_code code;
		uint64_t bytes;
	} cases[] = {
	    {{"200 " PARTS("true", PART("1", "e1", "5")), "200 " PARTS("true", PART("2", "e2", "6")),
	      "200 " PARTS("false", PART("3", "e3", "7"))},
	     GM_OK,
	     18},
	    {{"200 <html>busy</html>", "200 <ListPartsResult>", "200 " PARTS("false", PART("1", "e1", "5"))}, GM_OK, 5},
	    {{"200 " PARTS("true", PART("1", "e1", "5")), "200 " PARTS("true", PART("1", "e1", "5")),
	      "200 " PARTS("false", PART("2", "e2", "6"))},
	     GM_OK,
	     11},
	    {{"200 " PARTS("true", ""), "200 " PARTS("true", ""), "200 " PARTS("true", ""), "200 " PARTS("true", "")},
	     GM_CORRUPT,
	     0},
	    {{"404 " ERROR("NoSuchUpload")}, GM_NOT_FOUND, 0},
	    {{"403 " ERROR("AccessDenied")}, GM_DENIED, 0},
	};
	uint64_t bytes;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		server_forget(&server);
		play("GET", cases[i].pages);
		enum gm_code code = gm_store_staged_size(*state, upload_token, &bytes, &failure);
		if (code != cases[i].code) fail_msg("case %zu: %s, %s", i, gm_code_name(code), failure.message);
		if (code == GM_OK) assert_int_equal(bytes, cases[i].bytes);
		if (i == 0) find_seen("GET /bucket/p/y/f?part-number-marker=2&uploadId=U1 ");
	}
}

/* Or an upload would be completed without its end. */
static void damaged_lists_of_parts_are_refused(void **state)
{
	static const char *const damaged[] = {
	    PARTS("false", PART("2", "e1", "5")),
	    PARTS("false", PART("1", "", "5")),
	    PARTS("false", PART("1", "e1", "-5")),
	    PARTS("false", PART("1", "e1", "")),
	    PARTS("false", "<Part><ETag>e</ETag><Size>5</Size></Part>"),
	    "<ListPartsResult>" PART("1", "e1", "5") "</ListPartsResult>",
	    PARTS("false", PART("1", "e1", "5")) "x",
	};
	for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
		server_forget(&server);
		answer(&server, "GET", 200, "", damaged[i])->times = 4;
		assert_int_equal(gm_store_publish(*state, upload_token, "y/f", &failure), GM_CORRUPT);
		assert_int_equal(count_seen("POST"), 0);
	}
	server_forget(&server);
	answer(&server, "GET", 200, "", PARTS("false", ""));
	assert_int_equal(gm_store_publish(*state, upload_token, "y/f", &failure), GM_CORRUPT);
	assert_int_equal(gm_store_publish(*state, upload_token, "y/g", &failure), GM_CORRUPT); /* it is to another key */
	assert_int_equal(count_seen("POST"), 0);
}

/* A token that was tampered with names nothing. */
static void tokens_are_checked(void **state)
{
	static const char *const tokens[] = {"upload:",
	                                     "upload: " RANDOM " y/f",
	                                     "upload:U1  y/f",
	                                     "upload:U1 " RANDOM " ",
	                                     "upload:U1 " RANDOM " ../f",
	                                     "upload:U1 " RANDOM,
	                                     "upload:U1 " RANDOM "0 y/f",
	                                     "y/f",
	                                     "y/f.staged",
	                                     RANDOM ".staged",
	                                     "w/0123456789abcdef0123456789abcdeX.staged",
	                                     "../" RANDOM ".staged",
	                                     ""};
	uint64_t bytes;
	for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
		assert_int_equal(gm_store_publish(*state, tokens[i], "y/f", &failure), GM_CORRUPT);
		assert_int_equal(gm_store_discard(*state, tokens[i], &failure), GM_CORRUPT);
		assert_int_equal(gm_store_staged_size(*state, tokens[i], &bytes, &failure), GM_CORRUPT);
	}
	assert_int_equal(seen_count(&server), 0);
	must(gm_store_discard(*state, upload_token, &failure));
	assert_int_equal(count_seen("DELETE /bucket/p/y/f?uploadId=U1 "), 1);
	must(gm_store_discard(*state, "w/" RANDOM ".staged", &failure));
	assert_int_equal(count_seen("DELETE /bucket/p/w/" RANDOM ".staged "), 1);
}

/* --- Staging ------------------------------------------------------------------------------------------------------ */

static enum gm_code stage_pattern(struct gm_store *store, const char *key, size_t bytes, char token[GM_TOKEN_BYTES])
{
	struct gm_staged *staged;
	uint8_t piece[70001];
	GM_TRY(gm_store_stage_open(store, key, "w/", &staged, &failure));
	for (size_t at = 0, n; at < bytes; at += n) {
		n = bytes - at < sizeof piece ? bytes - at : sizeof piece;
		for (size_t i = 0; i < n; i++) piece[i] = pattern(at + i);
		enum gm_code rc = gm_store_stage_append(store, staged, piece, n, &failure);
		if (rc == GM_OK) continue;
		gm_store_stage_abandon(store, staged);
		return rc;
	}
	return gm_store_stage_finish(store, staged, token, &failure);
}

static void assert_pattern(const char *request, size_t from, size_t bytes)
{
	const struct seen *seen = find_seen(request);
	assert_int_equal(seen->body_bytes, bytes);
	for (size_t i = 0; i < bytes; i++)
		if (seen->body[i] != pattern(from + i)) fail_msg("byte %zu of %s is wrong", i, request);
}

/* The request that put the staged object. */
static const char *put_of(const char *token)
{
	static char line[GM_TOKEN_BYTES + 32];
	(void)snprintf(line, sizeof line, "PUT /bucket/p/%s ", token);
	return line;
}

static void a_part_is_small_and_more_is_an_upload(void **state)
{
	const size_t part = 8 * MIB;
	char token[GM_TOKEN_BYTES];
	uint64_t bytes;
	must(stage_pattern(*state, "y/0", 0, token));
	must(gm_store_settle(*state, &failure));
	assert_pattern(put_of(token), 0, 0);
	must(stage_pattern(*state, "y/1", part, token));
	must(gm_store_settle(*state, &failure));
	assert_pattern(put_of(token), 0, part);
	assert_int_equal(count_seen("POST"), 0);
	must(gm_store_publish(*state, token, "y/1", &failure));
	assert_pattern("PUT /bucket/p/y/1 ", 0, part);
	must(gm_store_discard(*state, token, &failure));
	must(stage_pattern(*state, "y/2", part + 1, token));
	must(gm_store_settle(*state, &failure));
	assert_int_equal(count_seen("POST /bucket/p/y/2?uploads= "), 1);
	assert_pattern("PUT /bucket/p/y/2?partNumber=1&uploadId=U1 ", 0, part);
	assert_pattern("PUT /bucket/p/y/2?partNumber=2&uploadId=U1 ", part, 1);
	must(gm_store_staged_size(*state, token, &bytes, &failure));
	assert_int_equal(bytes, part + 1);
	must(gm_store_publish(*state, token, "y/2", &failure));
	assert_int_equal(count_seen("POST /bucket/p/y/2?uploadId=U1 "), 1);
	must(gm_store_discard(*state, token, &failure)); /* there is nothing to abort */
	assert_int_equal(count_seen("DELETE /bucket/p/y/2"), 0);
	must(stage_pattern(*state, "y/3", 3 * part + 5, token));
	must(gm_store_settle(*state, &failure));
	assert_pattern("PUT /bucket/p/y/3?partNumber=3&uploadId=U1 ", 2 * part, part);
	assert_pattern("PUT /bucket/p/y/3?partNumber=4&uploadId=U1 ", 3 * part, 5);
	must(gm_store_discard(*state, token, &failure));
	assert_int_equal(count_seen("DELETE /bucket/p/y/3?uploadId=U1 "), 1);
}

static void publishing_again_is_done(void **state)
{
	char token[GM_TOKEN_BYTES], get[GM_TOKEN_BYTES + 32];
	must(stage_pattern(*state, "y/f", 1000, token));
	must(gm_store_settle(*state, &failure));
	must(gm_store_publish(*state, token, "y/f", &failure)); /* of bytes that were kept */
	assert_int_equal(count_seen("GET"), 0);
	bucket.there = OURS;
	answer(&server, "PUT /bucket/p/y/f ", 412, "", "")->times = 2;
	(void)snprintf(get, sizeof get, "GET /bucket/p/%s ", token);
	answer(&server, get, 206, TAG "Content-Range: bytes 0-4/5\r\n", "hello")->times = 2;
	must(gm_store_publish(*state, token, "y/f", &failure));
	bucket.there = OTHERS;
	assert_int_equal(gm_store_publish(*state, token, "y/f", &failure), GM_EXISTS);
	/* What is staged under a key is never large; the bucket says that this has 64 MiB. */
	assert_int_equal(gm_store_publish(*state, "w/" RANDOM ".staged", "y/g", &failure), GM_CORRUPT);
}

/* More than there is room for goes to the scratch folder; one that is not there shows that it does. */
static void what_has_no_room_is_spilt(void **state)
{
	char token[GM_TOKEN_BYTES];
	must(stage_pattern(*state, "y/1", MIB / 2, token));
	assert_int_equal(stage_pattern(*state, "y/2", 3 * MIB, token), GM_NOT_FOUND);
	assert_non_null(strstr(failure.message, "what waits to be sent"));
	assert_string_equal(failure.object, "/nonexistent");
	must(stage_pattern(*state, "y/1", MIB / 2, token)); /* there is room again */
}

static void what_was_spilt_is_sent(void **state)
{
	char token[GM_TOKEN_BYTES];
	must(stage_pattern(*state, "y/1", 6 * MIB, token)); /* of 4 MiB */
	must(gm_store_settle(*state, &failure));
	assert_pattern(put_of(token), 0, 6 * MIB);
	must(stage_pattern(*state, "y/2", 17 * MIB, token));
	must(gm_store_settle(*state, &failure));
	assert_pattern("partNumber=2&", 8 * MIB, 8 * MIB);
	assert_pattern("partNumber=3&", 16 * MIB, MIB);
}

static void settling_tells_what_failed(void **state)
{
	char good[GM_TOKEN_BYTES], bad[GM_TOKEN_BYTES];
	answer(&server, "PUT", 403, "", ERROR("AccessDenied"));
	must(stage_pattern(*state, "y/1", 10, bad));
	server_await(&server, 1);
	must(stage_pattern(*state, "y/2", 10, good));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(gm_store_settle(*state, &failure), GM_DENIED);
		assert_string_equal(failure.object, "s3://bucket/p/y/1");
	}
	assert_int_equal(gm_store_publish(*state, bad, "y/1", &failure), GM_DENIED);
	must(gm_store_publish(*state, good, "y/2", &failure));
	must(gm_store_discard(*state, bad, &failure));
	must(gm_store_settle(*state, &failure));
	must(gm_store_discard(*state, good, &failure));
}

static void what_fails_is_aborted(void **state)
{
	char token[GM_TOKEN_BYTES];
	struct gm_staged *staged;
	answer(&server, "partNumber=1", 403, "", ERROR("AccessDenied"));
	assert_int_equal(stage_pattern(*state, "y/1", 25 * MIB, token), GM_DENIED);
	assert_int_equal(count_seen("DELETE /bucket/p/y/1?uploadId=U1 "), 1);
	answer(&server, "partNumber=1", 200, "", "")->times = 3; /* and no ETag */
	assert_int_equal(stage_pattern(*state, "y/2", 25 * MIB, token), GM_TRANSIENT);
	assert_int_equal(count_seen("DELETE /bucket/p/y/2?uploadId=U1 "), 1);
	answer(&server, "?uploads=", 200, "", "<InitiateMultipartUploadResult/>");
	assert_int_equal(stage_pattern(*state, "y/3", 9 * MIB, token), GM_CORRUPT);
	assert_int_equal(count_seen("DELETE /bucket/p/y/3"), 0);
	uint8_t *data = calloc(9, MIB);
	must(gm_store_stage_open(*state, "y/4", "w/", &staged, &failure));
	must(gm_store_stage_append(*state, staged, data, 9 * MIB, &failure));
	gm_store_stage_abandon(*state, staged);
	free(data);
	assert_int_equal(count_seen("DELETE /bucket/p/y/4?uploadId=U1 "), 1);
}

/* --- Removing ----------------------------------------------------------------------------------------------------- */

static void removal_is_believed_if_it_is_told(void **state)
{
	static const struct {
		const char *answer[2];
		size_t deletes;
	} cases[] = {
	    {{"200 <DeleteResult/>"}, 0},
	    {{"200 <DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"></DeleteResult>"}, 0},
	    {{"200 <DeleteResult><Error><Key>p/b</Key><Code>InternalError</Code></Error></DeleteResult>"}, 2},
	    {{"200 "}, 2},
	    {{"200 <html>ok</html>"}, 2},
	    {{"501 "}, 2},
	};
	static const char *const keys[] = {"a&<", "b", "c\x01"};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		server_forget(&server);
		play("POST /bucket?delete= ", cases[i].answer);
		must(gm_store_remove_many(*state, keys, 3, &failure));
		const struct seen *post = find_seen("POST /bucket?delete= ");
		assert_non_null(strstr((const char *)post->body, "<Key>p/a&amp;&lt;</Key></Object><Object><Key>p/b</Key>"));
		assert_int_equal(count_seen("DELETE /bucket/p/"), cases[i].deletes + 1);
		find_seen("DELETE /bucket/p/c%01 ");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(lost_puts_are_found_again, begin),    TEST(completions_are_found_again, begin),
	    TEST(lists_of_parts_are_read, begin),      TEST(damaged_lists_of_parts_are_refused, begin),
	    TEST(tokens_are_checked, begin),           TEST(a_part_is_small_and_more_is_an_upload, begin),
	    TEST(publishing_again_is_done, begin),     TEST(what_has_no_room_is_spilt, begin_without_scratch),
	    TEST(what_was_spilt_is_sent, begin_small), TEST(settling_tells_what_failed, begin),
	    TEST(what_fails_is_aborted, begin),        TEST(removal_is_believed_if_it_is_told, begin),
	};
	set_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
