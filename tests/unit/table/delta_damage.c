/* Delta logs that are damaged, hostile, or change while they are read. */
#include "delta_fixture.h"

/* The entry after a good first one; what opening then says. */
static void check_entry(const char *text, enum gm_code code, const char *message, int line)
{
	struct gm_store *store = open_memory();
	put_text(store, 0, HEAD ADD("a", "\"1\""));
	put_text(store, 1, text);
	enum gm_code got = open_fails(store);
	if (got != code || strstr(failure.message, message) == NULL || failure.line != line)
		fail_msg("%s: %s: %s, line %d", text, gm_code_name(got), failure.message, failure.line);
	assert_string_equal(failure.object, "_delta_log/00000000000000000001.json");
	gm_store_close(store);
}

static void a_bad_entry_is_named_with_its_line(void **state)
{
	(void)state;
	static const char good[] = ADD("b", "\"1\"");
	char text[1000];
	check_entry("", GM_CORRUPT, "empty", 0);
	check_entry("\n \r\n", GM_CORRUPT, "empty", 0);
	check_entry("garbage", GM_CORRUPT, "not JSON", 1);
	check_entry("[1]\n", GM_CORRUPT, "not an object", 1);
	check_entry("{\"add\":{}}", GM_CORRUPT, "\"path\" is missing", 1);
	check_entry("{\"add\":3}", GM_CORRUPT, "\"add\" is not an object", 1);
	check_entry("{\"add\":{\"path\":7}}", GM_CORRUPT, "\"path\" is not a string", 1);
	check_entry("{\"add\":{\"path\":\"a\\u0000b\"}}", GM_CORRUPT, "NUL", 1);
	check_entry("{\"add\":{\"path\":\"a\",\"path\":\"b\"}}", GM_CORRUPT, "not JSON", 1);
	check_entry("{\"txn\":{\"appId\":\"a\",\"version\":1.5}}", GM_CORRUPT, "\"version\" is not a 64-bit integer", 1);
	check_entry("{\"txn\":{\"appId\":\"a\"},\"remove\":{\"path\":\"b\"}}", GM_CORRUPT, "two actions", 1);
	check_entry("\xff\xfe", GM_CORRUPT, "not JSON", 1);
	(void)snprintf(text, sizeof text, "%s\n%.*s", good, (int)sizeof good - 10, good);
	check_entry(text, GM_CORRUPT, "not JSON", 3);
	(void)snprintf(text, sizeof text, "%s%s", good, good);
	check_entry(text, GM_CORRUPT, "second action for the file b", 2);
	check_entry(ADD("b", "\"1\"") REMOVE("%62"), GM_CORRUPT, "second action for the file b", 2);
	check_entry("{\"remove\":{\"path\":\"a\",\"partitionValues\":[]}}", GM_CORRUPT, "not a map", 1);
	check_entry(ADD("b", "3"), GM_CORRUPT, "not a map of strings", 1);
	check_entry(METADATA("[\"p\",\"p\"]", "{}"), GM_CORRUPT, "names \"p\" twice", 0);
	check_entry(METADATA("{}", "{}"), GM_CORRUPT, "not a list", 0);
	check_entry(METADATA("[1]", "{}"), GM_CORRUPT, "not a list of names", 0);
	check_entry(METADATA("[]", "{\"a\":1}"), GM_CORRUPT, "\"configuration\" is not a map of strings", 0);
	check_entry("{\"metaData\":{\"id\":\"x\"}}", GM_CORRUPT, "\"schemaString\" is missing", 0);
	check_entry("{\"protocol\":{\"minReaderVersion\":1}}", GM_CORRUPT, "\"minWriterVersion\" is missing", 0);
}

static void numbers_that_do_not_fit_are_refused_where_they_count(void **state)
{
	(void)state;
#define SIZE(n) "{\"add\":{\"path\":\"b\",\"partitionValues\":{},\"size\":" n ",\"modificationTime\":0}}"
	check_entry(SIZE("9223372036854775808"), GM_CORRUPT, "\"size\" is not a 64-bit integer", 1);
	check_entry(SIZE("-1"), GM_CORRUPT, "negative", 1);
	check_entry(SIZE("1e3"), GM_CORRUPT, "\"size\" is not a 64-bit integer", 1);
	check_entry(SIZE("1e999"), GM_CORRUPT, "not JSON", 1);
	struct gm_store *store = open_memory();
	put_text(store, 0, HEAD SIZE("9223372036854775807") "\n{\"commitInfo\":{\"x\":[9223372036854775808,-1e300]}}");
	struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
	assert_int_equal(gm_delta_file_count(log), 1);
	gm_delta_free(log);
	gm_store_close(store);
}

static void what_cannot_be_read_is_refused_by_name(void **state)
{
	(void)state;
	check_entry("{\"protocol\":{\"minReaderVersion\":2,\"minWriterVersion\":5}}", GM_UNSUPPORTED, "reader version 2",
	            0);
	check_entry("{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[\"deletionVectors\"],"
	            "\"writerFeatures\":[\"deletionVectors\"]}}",
	            GM_UNSUPPORTED, "deletionVectors", 0);
	check_entry(
	    "{\"add\":{\"path\":\"b\",\"size\":1,\"modificationTime\":1,\"deletionVector\":{\"storageType\":\"u\"}}}",
	    GM_UNSUPPORTED, "deletion vector", 1);
	check_entry("{\"remove\":{\"path\":\"b\",\"deletionVector\":{\"storageType\":\"u\"}}}", GM_UNSUPPORTED,
	            "deletion vector", 1);
	check_entry(ADD("s3://bucket/f", "\"1\""), GM_UNSUPPORTED, "outside its own folder: s3://bucket/f", 0);
	check_entry(ADD("/data/f", "\"1\""), GM_UNSUPPORTED, "outside", 0);
	check_entry(ADD("a/../../f", "\"1\""), GM_UNSUPPORTED, "outside", 0);
	check_entry(ADD("a%00b", "\"1\""), GM_UNSUPPORTED, "outside", 0);
}

/* Files elsewhere do no harm once they are removed, and are no reason to forget that. */
static void files_elsewhere_may_have_been(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	put_text(store, 0, HEAD ADD("s3://bucket/f", "\"1\"") ADD("s3%3A//bucket/f", "\"1\""));
	put_text(store, 1, REMOVE("s3://bucket/f"));
	assert_int_equal(open_fails(store), GM_UNSUPPORTED);
	assert_non_null(strstr(failure.message, "s3%3A//bucket/f"));
	put_text(store, 2, REMOVE("s3%3A//bucket/f") ADD("a:b", "\"1\"") REMOVE("a:c"));
	assert_int_equal(open_fails(store), GM_UNSUPPORTED);
	put_text(store, 2, REMOVE("s3%3A//bucket/f") ADD("a%3Ab", "\"1\""));
	assert_int_equal(open_fails(store), GM_OK);
	gm_store_close(store);
}

static void a_log_needs_its_head(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	put_text(store, 0, PROTOCOL);
	assert_int_equal(open_fails(store), GM_CORRUPT);
	assert_non_null(strstr(failure.message, "no metaData"));
	put_text(store, 0, METADATA("[]", "{}"));
	assert_int_equal(open_fails(store), GM_CORRUPT);
	assert_non_null(strstr(failure.message, "no protocol"));
	gm_store_close(store);
}

/* Every cut of an entry is damage, unless it is between its lines, where nobody could tell. */
static void an_entry_cut_anywhere_is_damage(void **state)
{
	(void)state;
	static const char text[] = ADD("b", "\"1\"") "{\"txn\":{\"appId\":\"a\",\"version\":1}}\n" REMOVE("c");
	size_t refused = 0;
	for (size_t n = 0; n < sizeof text - 1; n++) {
		char cut[sizeof text];
		struct gm_store *store = open_memory();
		memcpy(cut, text, n);
		cut[n] = 0;
		put_text(store, 0, HEAD);
		put_text(store, 1, cut);
		enum gm_code code = open_fails(store);
		bool between = n > 0 && (text[n - 1] == '\n' || text[n] == '\n');
		assert_int_equal(code, between ? GM_OK : GM_CORRUPT);
		refused += code != GM_OK;
		gm_store_close(store);
	}
	assert_true(refused > 150);
}

static void what_is_not_of_the_log_is_passed_over(void **state)
{
	(void)state;
	static const char *const names[] = {
	    "1.json",
	    "00000000000000000002.json.tmp",
	    "99999999999999999999.json",
	    "00000000000000000002.crc",
	    "00000000000000000000.00000000000000000009.compacted.json",
	    "00000000000000000009.checkpoint.0000000001.0000000002.parquet",
	    "00000000000000000009.checkpoint.0000000003.0000000002.parquet",
	    "00000000000000000009.checkpointer",
	    "0000000000000000000x.json",
	    "_last_checkpoint",
	    "_staged_commits/00000000000000000001.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.json",
	    "_sidecars/x.parquet",
	    ".00000000000000000000.json.crc"};
	struct gm_store *store = open_memory();
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) put_bytes(store, names[i], "{", 1);
	put_text(store, 0, HEAD);
	struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
	assert_int_equal(gm_delta_version(log), 0);
	gm_delta_free(log);
	gm_store_close(store);
}

/* --- Holes -------------------------------------------------------------------------------------------------------- */

static enum gm_code count_entry(void *context, const struct gm_delta_entry *entry, struct gm_error *err)
{
	(void)entry, (void)err;
	++*(int *)context;
	return GM_OK;
}

static void entries_must_follow_each_other(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	struct gm_delta_log *log;
	int64_t oldest;
	int calls = 0;
	for (int64_t v = 0; v <= 6; v++) put_text(store, v, v == 0 ? HEAD : "{}");
	remove_entry(store, 3);
	assert_int_equal(open_fails(store), GM_CORRUPT);
	assert_non_null(strstr(failure.message, "the last 3 are there"));
	must_fail(gm_delta_open(store, 3, MEMORY, &log, &failure), GM_CHANGED, "cleaned away");
	gm_delta_free(open_log(store, 2));
	must(gm_delta_oldest(store, &oldest, &failure));
	assert_int_equal(oldest, 4);
	must_fail(gm_delta_entries(store, 1, count_entry, &calls, &failure), GM_NOT_FOUND, "entry 1");
	must_fail(gm_delta_entries(store, 3, count_entry, &calls, &failure), GM_NOT_FOUND, "entry 3");
	assert_int_equal(calls, 0);
	gm_store_close(store);
}

/* --- Meanwhile ---------------------------------------------------------------------------------------------------- */

/* A store in which something happens before its nth call of list or reader_open. */
struct meddler {
	struct gm_store store;
	struct gm_store_ops ops;
	struct gm_store *inner;
	void (*happens)(struct gm_store *inner, int n);
	int lists, opens;
	bool at_list;
};

static struct meddler *of(struct gm_store *store)
{
	return (struct meddler *)store;
}

static enum gm_code meddle_list(struct gm_store *store, const char *prefix, const char *after, gm_prune_fn *prune,
                                gm_list_fn *each, void *context, struct gm_error *err)
{
	struct meddler *meddler = of(store);
	meddler->lists++;
	if (meddler->at_list) meddler->happens(meddler->inner, meddler->lists);
	return meddler->inner->ops->list(meddler->inner, prefix, after, prune, each, context, err);
}

static enum gm_code meddle_open(struct gm_store *store, const char *key, const struct gm_object_info *expected,
                                struct gm_store_reader **out, struct gm_error *err)
{
	struct meddler *meddler = of(store);
	meddler->opens++;
	if (!meddler->at_list) meddler->happens(meddler->inner, meddler->opens);
	return meddler->inner->ops->reader_open(meddler->inner, key, expected, out, err);
}

static enum gm_code pass_stat(struct gm_store *store, const char *key, struct gm_object_info *info,
                              struct gm_arena *arena, struct gm_error *err)
{
	struct gm_store *inner = of(store)->inner;
	return inner->ops->stat(inner, key, info, arena, err);
}

static struct gm_store *meddle(struct meddler *meddler, struct gm_store *inner, bool at_list,
                               void (*happens)(struct gm_store *, int))
{
	*meddler = (struct meddler){.inner = inner, .at_list = at_list, .happens = happens};
	meddler->ops = *inner->ops;
	meddler->ops.list = meddle_list;
	meddler->ops.stat = pass_stat;
	meddler->ops.reader_open = meddle_open; /* readers belong to the inner store */
	meddler->store = (struct gm_store){.ops = &meddler->ops, .location = inner->location, .parallel = 1};
	return &meddler->store;
}

/* A listing that had passed the place of entry 2 when that was put, and saw entry 3. */
static void put_the_missing(struct gm_store *inner, int n)
{
	if (n == 2) put_text(inner, 2, "{}");
}

static void an_entry_that_appears_while_listing_is_no_hole(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	struct meddler meddler;
	put_text(store, 0, HEAD);
	put_text(store, 1, "{}");
	put_text(store, 3, "{}");
	struct gm_delta_log *log = open_log(meddle(&meddler, store, true, put_the_missing), GM_DELTA_NEWEST);
	assert_int_equal(gm_delta_version(log), 3);
	assert_int_equal(meddler.lists, 2);
	gm_delta_free(log);
	gm_store_close(store);
}

static void remove_at_second(struct gm_store *inner, int n)
{
	if (n == 2) remove_entry(inner, 1);
}

static void what_vanishes_while_it_is_read_is_a_change(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	struct gm_delta_log *log;
	struct meddler meddler;
	int calls = 0;
	for (int64_t v = 0; v <= 2; v++) put_text(store, v, v == 0 ? HEAD : "{}");
	must_fail(gm_delta_open(meddle(&meddler, store, false, remove_at_second), 1, MEMORY, &log, &failure), GM_CHANGED,
	          "can no longer be read");
	assert_null(log);
	put_text(store, 1, "{}");
	/* The head first, then the entries: the fourth is entry 1. */
	must(gm_delta_entries(store, 0, count_entry, &calls, &failure));
	assert_int_equal(calls, 3);
	gm_store_close(store);
}

static void remove_oldest(struct gm_store *inner, int n)
{
	if (n == 2) {
		remove_entry(inner, 0);
		remove_entry(inner, 1);
	}
}

static void changes_that_vanish_are_told_apart(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	struct meddler meddler;
	int calls = 0;
	for (int64_t v = 0; v <= 3; v++) put_text(store, v, v == 0 ? HEAD : "{}");
	/* Entry 0 is read for its metaData, then both are gone. */
	must_fail(gm_delta_entries(meddle(&meddler, store, false, remove_oldest), 0, count_entry, &calls, &failure),
	          GM_NOT_FOUND, "entry 0");
	assert_int_equal(calls, 0);
	put_text(store, 0, HEAD);
	put_text(store, 1, "{}");
	must_fail(gm_delta_entries(meddle(&meddler, store, false, remove_at_second), 0, count_entry, &calls, &failure),
	          GM_CHANGED, "entry 1");
	assert_int_equal(calls, 1);
	gm_store_close(store);
}

/* Before entry 1 is read, the first two are cleaned away, and a commit of someone who slept takes the name of one. */
static void replace_cleaned(struct gm_store *inner, int n)
{
	if (n != 3) return; /* the head is of entry 0, too */
	remove_entry(inner, 0);
	remove_entry(inner, 1);
	put_text(inner, 1, "{\"txn\":{\"appId\":\"ghost\",\"version\":9}}");
}

static void what_takes_the_place_of_a_cleaned_entry_is_no_history(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	struct gm_delta_log *log;
	struct meddler meddler;
	int calls = 0;
	int64_t seen;
	for (int64_t v = 0; v <= 3; v++) put_text(store, v, v == 0 ? HEAD : "{}");
	log = open_log(store, 2);
	must(gm_delta_checkpoint(log, 0, &failure));
	gm_delta_free(log);
	must_fail(gm_delta_entries(meddle(&meddler, store, false, replace_cleaned), 0, count_entry, &calls, &failure),
	          GM_NOT_FOUND, "entry 0");
	must_fail(gm_delta_open(store, 1, MEMORY, &log, &failure), GM_CHANGED, "can no longer be read");
	log = open_log(store, GM_DELTA_NEWEST);
	assert_int_equal(gm_delta_version(log), 3);
	assert_false(gm_delta_txn(log, "ghost", &seen));
	gm_delta_free(log);
	gm_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_bad_entry_is_named_with_its_line),
	    cmocka_unit_test(numbers_that_do_not_fit_are_refused_where_they_count),
	    cmocka_unit_test(what_cannot_be_read_is_refused_by_name),
	    cmocka_unit_test(files_elsewhere_may_have_been),
	    cmocka_unit_test(a_log_needs_its_head),
	    cmocka_unit_test(an_entry_cut_anywhere_is_damage),
	    cmocka_unit_test(what_is_not_of_the_log_is_passed_over),
	    cmocka_unit_test(entries_must_follow_each_other),
	    cmocka_unit_test(an_entry_that_appears_while_listing_is_no_hole),
	    cmocka_unit_test(what_vanishes_while_it_is_read_is_a_change),
	    cmocka_unit_test(changes_that_vanish_are_told_apart),
	    cmocka_unit_test(what_takes_the_place_of_a_cleaned_entry_is_no_history),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
