/* Listing and reading S3, when it answers what real servers do not, or seldom: damaged, of another object, or from a
 * machine that speaks something else. What real servers do, contract.c asks of them. */
#include "s3_bucket.h"

static int begin_small(void **state)
{
	return open_bucket(state, 4 * MIB, NULL); /* segments of 1 MiB */
}

/* --- Listing ------------------------------------------------------------------------------------------------------ */

#define MORE(token, items)                                                                                            \
	"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>" token "</NextContinuationToken>" items \
	"</ListBucketResult>"

static enum gm_code list_all(struct gm_store *store, gm_prune_fn *prune, char text[1024])
{
	struct gm_buf keys;
	gm_buf_init(&keys, 1023);
	enum gm_code rc = gm_store_list_pruned(store, "", prune, join_keys, &keys, &failure);
	if (keys.len > 0) memcpy(text, keys.data, keys.len);
	text[keys.len] = '\0';
	gm_buf_release(&keys);
	return rc;
}

static void listings_are_read(void **state)
{
	static const struct {
		const char *pages[5];
		enum gm_code code;
		const char *keys;
	} cases[] = {
	    {{"200 " LISTED("")}, GM_OK, ""},
	    {{"200 " LISTED(ITEM("p/", "0") ITEM("p/a", "1") ITEM("p/b/c", "2"))}, GM_OK, "a|b/c"},
	    {{"200 " LISTED(ITEM("p/a%2Bb", "1"))}, GM_OK, "a%2Bb"}, /* it does not say that it is encoded */
	    {{"200 " LISTED(ITEM("p/a%01%0a", "1") ITEM("p/a+b", "1") ITEM("p/a%2Bb%25", "1") ITEM("p%2Fc%c3%a4", "1")
	                        URL)},
	     GM_OK,
	     "a\x01\n|a b|a+b%|c\xc3\xa4"},
	    {{"200 " MORE("t/1", ITEM("p/a", "1")), "200 " MORE("t+2", ITEM("p/b", "1")), "200 " LISTED(ITEM("p/c", "1"))},
	     GM_OK,
	     "a|b|c"},
	    {{"200 <html><body>Sign in</body></html>", "200 ", "200 <ListBucketResult>", "200 " LISTED(ITEM("p/a", "1"))},
	     GM_OK,
	     "a"},
	    {{"200 " ERROR("InternalError"), "200 " LISTED(ITEM("p/a", "1"))}, GM_OK, "a"},
	    {{"200 " LISTED(ITEM("p/b", "1") ITEM("p/a", "1"))}, GM_UNSUPPORTED, "b"},
	    {{"200 " LISTED(ITEM("p/b", "1") ITEM("p/b", "1"))}, GM_UNSUPPORTED, "b"},
	    {{"200 " LISTED(ITEM("q/a", "1"))}, GM_CORRUPT, ""},
	    {{"200 " MORE("t", ITEM("p/b", "1")), "200 " LISTED(ITEM("p/a", "1"))}, GM_UNSUPPORTED, "b"},
	    {{"404 " ERROR("NoSuchBucket")}, GM_USAGE, ""},
	    {{"404 nothing here"}, GM_USAGE, ""}, /* no empty folder */
	    {{"403 " ERROR("AccessDenied")}, GM_DENIED, ""},
	};
	char keys[1024];
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		server_forget(&server);
		play("GET /bucket?", cases[i].pages);
		enum gm_code code = list_all(*state, NULL, keys);
		if (code != cases[i].code) fail_msg("case %zu: %s, %s", i, gm_code_name(code), failure.message);
		assert_string_equal(keys, cases[i].keys);
		find_seen("GET /bucket?encoding-type=url&list-type=2&prefix=p%2F ");
		if (strcmp(keys, "a|b|c") != 0) continue;
		find_seen("?continuation-token=t%2F1&");
		find_seen("?continuation-token=t%2B2&");
	}
}

static void damaged_listings_are_refused(void **state)
{
	static const char *const damaged[] = {
	    "<html/>",
	    "<ListBucketResult/>",
	    "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
	    MORE("", ITEM("p/a", "1")),
	    LISTED(ITEM("p/a", "")),
	    LISTED(ITEM("p/a", "1x")),
	    LISTED(ITEM("p/a", "99999999999999999999")),
	    LISTED("<Contents><Key>p/a</Key><LastModified>2024-03-10T11:12:13Z</LastModified></Contents>"),
	    LISTED("<Contents><Key>p/a</Key><Size>1</Size></Contents>"),
	    LISTED("<Contents><Key>p/a</Key><Size>1</Size><LastModified>now</LastModified></Contents>"),
	    LISTED("<Contents><LastModified>2024-03-10T11:12:13Z</LastModified><Size>1</Size></Contents>"),
	    LISTED(ITEM("p/%", "1") URL),
	    LISTED(ITEM("p/%4", "1") URL),
	    LISTED(ITEM("p/%00", "1") URL),
	    "<!DOCTYPE x>" LISTED(""),
	};
	char keys[1024];
	for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
		server_forget(&server);
		answer(&server, "GET", 200, "", damaged[i])->times = 4;
		enum gm_code code = list_all(*state, NULL, keys);
		if (code != GM_CORRUPT) fail_msg("%s: %s", damaged[i], gm_code_name(code));
		assert_int_equal(seen_count(&server), 4);
	}
}

static bool is_b(void *context, const char *folder)
{
	(void)context;
	return strcmp(folder, "b/") == 0;
}

/* What is left out costs the rest of its page, and a request that starts behind it. */
static void a_folder_is_skipped(void **state)
{
	char keys[1024];
	answer(&server, "start-after=p%2Fb%2F%F4%8F%BF%BF%F4", 200, "", LISTED(ITEM("p/b0", "1") ITEM("p/c", "1")));
	answer(&server, "continuation-token", 200, "", LISTED(ITEM("p/b/3", "1"))); /* asked for too early */
	answer(&server, "GET", 200, "", MORE("t", ITEM("p/a", "1") ITEM("p/b/1", "1") ITEM("p/b/2", "1")));
	must(list_all(*state, is_b, keys));
	assert_string_equal(keys, "a|b0|c");
	assert_int_equal(count_seen("start-after"), 1);
}

/* --- One object --------------------------------------------------------------------------------------------------- */

/* Opens what a listing told of, reads it to its end, and asks whether it was the same to the end. */
static enum gm_code read_as(struct gm_store *store, const struct gm_object_info *info, char into[64])
{
	struct gm_store_reader *reader;
	size_t got = 0;
	into[0] = '\0';
	GM_TRY(gm_store_reader_open_as(store, info, &reader, &failure));
	enum gm_code rc = gm_store_reader_read(reader, into, 63, &got, &failure);
	into[got] = '\0';
	if (rc == GM_OK) rc = gm_store_reader_check(reader, &failure);
	if (rc != GM_OK) { /* it stays so */
		struct gm_error again;
		assert_int_equal(gm_store_reader_read(reader, into, 1, &got, &again), rc);
		assert_int_equal(gm_store_reader_check(reader, &again), rc);
	}
	gm_store_reader_close(reader);
	return rc;
}

static void another_object_is_told(void **state)
{
	static const struct {
		uint64_t size;
		const char *etag;
		int status;
		const char *headers, *body;
		enum gm_code code;
	} cases[] = {
	    {5, "e", 200, TAG, "hello", GM_OK},
	    {5, "e", 412, "", "", GM_CHANGED},
	    {5, "e", 404, "", ERROR("NoSuchKey"), GM_NOT_FOUND},
	    {5, "e", 416, "", "", GM_CHANGED},
	    {5, "e", 200, "ETag: \"f\"\r\n", "hello", GM_CHANGED}, /* a store that does not know If-Match */
	    {5, "e", 200, TAG, "hell", GM_CHANGED},
	    {5, "e", 200, TAG, "hello!", GM_CHANGED},
	    {5, "e", 206, TAG "Content-Range: bytes 0-4/5\r\n", "hello", GM_OK},
	    {5, "e", 206, TAG "Content-Range: bytes 0-4/6\r\n", "hello", GM_CHANGED},
	    {5, "e", 206, TAG "Content-Range: bytes 1-5/6\r\n", "ello!", GM_IO},
	    {5, "e", 206, TAG "Content-Range: bytes 0-4/*\r\n", "hello", GM_IO},
	    {5, "e", 206, TAG, "hello", GM_IO},
	    {5, "e", 204, TAG, "", GM_IO},
	    {5, "e", 403, "", ERROR("AccessDenied"), GM_DENIED},
	    {0, "e", 200, TAG, "", GM_OK},
	    {0, "e", 412, "", "", GM_CHANGED},
	    {0, "e", 404, "", "", GM_NOT_FOUND},
	    {0, "e", 200, TAG, "x", GM_CHANGED},
	    {5, "", 200, TAG "Last-Modified: Sun, 10 Mar 2024 11:12:13 GMT\r\n", "hello", GM_OK},
	    {5, "", 200, TAG "Last-Modified: Sun, 10 Mar 2024 11:12:14 GMT\r\n", "hello", GM_CHANGED},
	};
	char text[64];
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		/* 2024-03-10T11:12:13Z */
		const struct gm_object_info info = {"k", cases[i].size, INT64_C(1710069133000000), cases[i].etag};
		server_forget(&server);
		if (cases[i].status == 204)
			answer_raw(&server, "GET", "HTTP/1.1 204 None\r\n" TAG "\r\n");
		else
			answer(&server, "GET", cases[i].status, cases[i].headers, cases[i].body);
		enum gm_code code = read_as(*state, &info, text);
		if (code != cases[i].code) fail_msg("case %zu: %s, %s", i, gm_code_name(code), failure.message);
		if (code == GM_OK) assert_string_equal(text, cases[i].body);
		if (cases[i].etag[0] != '\0') find_seen("If-Match: \"e\"\r\n");
		assert_int_equal(seen_count(&server), 1);
	}
}

static void an_unknown_object_is_read(void **state)
{
	char text[64];
	answer(&server, "bytes=0-1048575\r\n", 206, TAG "Content-Range: bytes 0-4/5\r\n", "hello");
	must(get_as_text(*state, text));
	assert_string_equal(text, "hello");
	answer(&server, "GET", 200, TAG, "whole"); /* a store without ranges */
	must(get_as_text(*state, text));
	assert_string_equal(text, "whole");
	answer(&server, "GET", 416, "", ERROR("InvalidRange")); /* it is empty */
	answer_raw(&server, "HEAD", "HTTP/1.1 200 OK\r\n" TAG "Content-Length: 0\r\n\r\n");
	must(get_as_text(*state, text));
	assert_string_equal(text, "");
	answer(&server, "GET", 416, "", ERROR("InvalidRange")); /* it was */
	answer_raw(&server, "HEAD", "HTTP/1.1 200 OK\r\n" TAG "Content-Length: 7\r\n\r\n");
	assert_int_equal(get_as_text(*state, text), GM_CHANGED);
	answer_raw(&server, "GET", "HTTP/1.1 200 OK\r\n" TAG "\r\nhello")->closes = true; /* is that all? */
	assert_int_equal(get_as_text(*state, text), GM_IO);
	answer(&server, "GET", 206, TAG "Content-Range: bytes 0-3/5\r\n", "hell");
	assert_int_equal(get_as_text(*state, text), GM_IO);
}

static void one_look_sees_the_bytes_asked_for(void **state)
{
	static const struct {
		int status;
		const char *headers, *body;
		enum gm_code code;
	} cases[] = {
	    {206, TAG "Content-Range: bytes 2-5/9\r\n", "llo ", GM_OK},
	    {206, TAG "Content-Range: bytes 2-4/5\r\n", "llo", GM_OK},
	    {206, TAG "Content-Range: bytes 0-3/9\r\n", "hell", GM_IO},
	    {206, TAG "Content-Range: bytes 2-4/9\r\n", "llo", GM_IO},
	    {206, TAG "Content-Range: bytes 4-2/9\r\n", "llo", GM_IO},
	    {206, TAG "Content-Range: bytes 2-9/9\r\n", "llo", GM_IO},
	    {206, TAG "Content-Range: octets 2-5/9\r\n", "llo ", GM_IO},
	    {206, TAG, "llo ", GM_IO},
	    {200, TAG, "hell", GM_IO},
	    {416, "", "", GM_OK},
	    {404, "", "", GM_NOT_FOUND},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[8] = "";
		size_t got;
		server_forget(&server);
		answer(&server, "bytes=2-5\r\n", cases[i].status, cases[i].headers, cases[i].body);
		assert_int_equal(gm_store_read(*state, "k", 2, text, 4, &got, &failure), cases[i].code);
		if (cases[i].code != GM_OK) continue;
		assert_int_equal(got, strlen(cases[i].body));
		assert_memory_equal(text, cases[i].body, got);
	}
}

/* --- Large ones, and many ----------------------------------------------------------------------------------------- */

/* Several segments are on their way at once, and come in order. */
static void segments_come_in_order(void **state)
{
	const size_t piece = 300001;
	const struct gm_object_info info = {"k", 64 * MIB, 0, "e"};
	struct gm_store_reader *reader;
	uint8_t *into = malloc(piece);
	size_t at = 0, got;
	bucket.pause_us = 1000;
	must(gm_store_reader_open_as(*state, &info, &reader, &failure));
	for (; at < 13 * MIB; at += got) {
		must(gm_store_reader_read(reader, into, piece, &got, &failure));
		assert_int_equal(got, piece);
		for (size_t i = 0; i < got; i++)
			if (into[i] != pattern(at + i)) fail_msg("byte %zu is wrong", at + i);
	}
	must(gm_store_reader_check(reader, &failure));
	gm_store_reader_close(reader);
	free(into);
	assert_true(bucket.most_flying > 1 && bucket.most_flying <= 4);
	assert_true(seen_count(&server) <= 13 + 5);
	for (size_t i = 0; i < seen_count(&server); i++) {
		unsigned long first, last;
		assert_int_equal(sscanf(head_value(seen_at(&server, i)->head, "range"), "bytes=%lu-%lu", &first, &last), 2);
		assert_int_equal(last + 1 - first, MIB);
	}
}

static void what_failed_is_not_delivered(void **state)
{
	const struct gm_object_info other = {"k", 8 * MIB, 0, "e"}, right = {"k", 64 * MIB, 0, "e"};
	struct gm_store_reader *reader;
	uint8_t *into = malloc(8 * MIB);
	size_t got;
	must(gm_store_reader_open_as(*state, &other, &reader, &failure));
	assert_int_equal(gm_store_reader_read(reader, into, 8 * MIB, &got, &failure), GM_CHANGED);
	assert_int_equal(got, 0); /* the answers tell of 64 MiB */
	gm_store_reader_close(reader);
	/* Twice: what the closed reader had asked for may come to the server only now. */
	answer(&server, "bytes=2097152-", 403, "", ERROR("AccessDenied"))->times = 2;
	must(gm_store_reader_open_as(*state, &right, &reader, &failure));
	assert_int_equal(gm_store_reader_read(reader, into, 8 * MIB, &got, &failure), GM_DENIED);
	assert_int_equal(got, 2 * MIB);
	assert_int_equal(gm_store_reader_read(reader, into, 1, &got, &failure), GM_DENIED);
	assert_int_equal(got, 0);
	assert_string_equal(failure.object, "s3://bucket/p/k");
	assert_int_equal(gm_store_reader_check(reader, &failure), GM_DENIED);
	gm_store_reader_close(reader);
	free(into);
}

enum { READERS = 10 };

static void open_ahead(struct gm_store *store, struct gm_store_reader *readers[READERS])
{
	for (size_t i = 0; i < READERS; i++) {
		char key[32];
		(void)snprintf(key, sizeof key, "%zu/whole-1048576", i);
		const struct gm_object_info info = {key, MIB, 0, "e"};
		must(gm_store_reader_open_as(store, &info, &readers[i], &failure));
	}
}

/* What is opened ahead is fetched ahead as far as there is room, in the order in which it was opened. */
static void reading_ahead_has_a_limit(void **state)
{
	struct gm_store_reader *readers[READERS];
	uint8_t *into = malloc(MIB);
	open_ahead(*state, readers);
	server_await(&server, 4);
	(void)usleep(30000);
	assert_int_equal(seen_count(&server), 4); /* 4 MiB */
	for (size_t i = 0; i < READERS; i++) {
		size_t got;
		must(gm_store_reader_read(readers[i], into, MIB, &got, &failure));
		assert_int_equal(got, MIB);
		assert_int_equal(into[12345], pattern(12345));
		must(gm_store_reader_read(readers[i], into, 1, &got, &failure));
		assert_int_equal(got, 0);
		must(gm_store_reader_check(readers[i], &failure));
		gm_store_reader_close(readers[i]);
	}
	assert_int_equal(seen_count(&server), READERS);
	free(into);
}

/* One that waits in line does not say that it is the same without having looked. */
static void who_waits_is_checked(void **state)
{
	struct gm_store_reader *readers[READERS];
	bucket.pause_us = 2000;
	open_ahead(*state, readers);
	answer(&server, "/9/whole", 412, "", "");
	assert_int_equal(gm_store_reader_check(readers[READERS - 1], &failure), GM_CHANGED);
	must(gm_store_reader_check(readers[READERS - 2], &failure));
	for (size_t i = 0; i < READERS; i++) gm_store_reader_close(readers[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(listings_are_read, begin),
	    TEST(damaged_listings_are_refused, begin),
	    TEST(a_folder_is_skipped, begin),
	    TEST(another_object_is_told, begin),
	    TEST(an_unknown_object_is_read, begin),
	    TEST(one_look_sees_the_bytes_asked_for, begin),
	    TEST(segments_come_in_order, begin_small),
	    TEST(what_failed_is_not_delivered, begin_small),
	    TEST(reading_ahead_has_a_limit, begin_small),
	    TEST(who_waits_is_checked, begin_small),
	};
	set_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
