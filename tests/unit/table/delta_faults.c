/* Every store call, and every allocation, of a table's life fails once. What comes out is that failure; the log can be
 * read afterwards and holds whole commits, in order, and none twice; and whoever goes on ends where one without
 * failures does. The allocators of our code are wrapped by the linker (see meson.build), that of jansson is
 * replaced. */
#include "delta_fixture.h"
#include "../alloc_faults.h"

enum { VERSIONS = 3, FILES = 3 };
static const char *const one[] = {"p"};
static const struct gm_delta_field columns[] = {{"id", "a number", GM_TYPE_BIGINT}, {"p", "", GM_TYPE_STRING}};

static enum gm_code count_file(void *context, const struct gm_delta_file *file, struct gm_error *err)
{
	(void)err;
	*(uint64_t *)context += file->bytes;
	return GM_OK;
}

static enum gm_code count_entry(void *context, const struct gm_delta_entry *entry, struct gm_error *err)
{
	(void)err;
	*(uint64_t *)context += entry->add_count;
	return GM_OK;
}

static uint64_t bytes_of(int64_t version)
{
	return UINT64_C(1) << version;
}

/* One more commit, with statistics, to a table that may be new. */
static enum gm_code commit(struct gm_store *store, int64_t version, struct gm_error *err)
{
	struct gm_delta_metadata first = metadata(one, 1);
	struct gm_delta_column_stats stats = {.name = "id", .type = GM_TYPE_BIGINT, .has_bounds = true, .max_i64 = 9};
	struct gm_delta_file files[FILES];
	char paths[FILES][64], *schema = NULL;
	struct gm_buf text;
	gm_buf_init(&text, 10000);
	enum gm_code code = gm_delta_stats(9, &stats, 1, &text, err);
	if (code == GM_OK) code = gm_buf_append(&text, "", 1, err);
	if (code == GM_OK && version == 0) code = gm_delta_schema(columns, 2, &schema, err);
	for (int i = 0; i < FILES; i++) {
		(void)snprintf(paths[i], sizeof paths[i], "p=%d/%" PRId64 ".parquet", i, version);
		files[i] = add(paths[i], i == 0 ? "p=__HIVE_DEFAULT_PARTITION__" : "p=1", bytes_of(version));
		files[i].stats = (const char *)text.data;
	}
	first.schema = schema;
	if (code == GM_OK) code = put_adds(store, version, version == 0 ? &first : NULL, files, FILES, err);
	free(schema);
	gm_buf_release(&text);
	return code;
}

/* All that is asked of a snapshot. */
static enum gm_code use(const struct gm_delta_log *log, struct gm_store *store, struct gm_error *err)
{
	const struct gm_delta_file *files;
	size_t count;
	bool changed;
	char *schema;
	uint64_t bytes = 0, adds = 0;
	int64_t versions = gm_delta_version(log) + 1, txn = -1;
	GM_TRY(gm_delta_check_writable(log, err));
	GM_TRY(gm_delta_partition(log, "p=1", &files, &count, err));
	assert_int_equal(count, 2 * versions);
	GM_TRY(gm_delta_each_file(log, count_file, &bytes, err));
	assert_int_equal(bytes, FILES * (bytes_of(versions) - 1));
	GM_TRY(gm_delta_entries(store, gm_delta_version(log), count_entry, &adds, err));
	assert_int_equal(adds, FILES);
	assert_true(gm_delta_txn(log, "app", &txn) && txn == gm_delta_version(log));
	GM_TRY(gm_delta_schema_merge(gm_delta_metadata(log), columns, 2, one, 1, &changed, &schema, err));
	assert_false(changed);
	struct gm_delta_field more[] = {columns[0], {"new", "c", GM_TYPE_DATE}};
	GM_TRY(gm_delta_schema_merge(gm_delta_metadata(log), more, 2, one, 1, &changed, &schema, err));
	assert_true(changed);
	free(schema);
	return GM_OK;
}

/* From wherever the log stands to its last version, with a checkpoint at the second, and what is before it cleaned
 * away. */
static enum gm_code live(struct gm_store *store, struct gm_error *err)
{
	int64_t version = -1;
	while (version < VERSIONS - 1) {
		struct gm_delta_log *log = NULL;
		enum gm_code code = gm_delta_open(store, GM_DELTA_NEWEST, MEMORY, &log, err);
		if (code == GM_OK) {
			version = gm_delta_version(log);
			code = use(log, store, err);
			if (code == GM_OK && version == 1) code = gm_delta_checkpoint(log, 0, err);
			if (code == GM_OK && version == VERSIONS - 1) code = gm_delta_clean(log, INT64_C(1) << 40, err);
		} else if (code == GM_NOT_FOUND) {
			code = GM_OK;
		}
		gm_delta_free(log);
		if (code == GM_OK && version < VERSIONS - 1) code = commit(store, version + 1, err);
		GM_TRY(code);
	}
	return GM_OK;
}

/* Whole commits, each once; and the life can go on to its end. */
static void check_after(struct gm_store *store)
{
	struct gm_delta_log *log;
	enum gm_code code = gm_delta_open(store, GM_DELTA_NEWEST, MEMORY, &log, &failure);
	if (code == GM_OK) {
		must(use(log, store, &failure));
		gm_delta_free(log);
	} else {
		assert_int_equal(code, GM_NOT_FOUND);
	}
	must(live(store, &failure));
	log = open_log(store, GM_DELTA_NEWEST);
	assert_int_equal(gm_delta_version(log), VERSIONS - 1);
	must(use(log, store, &failure));
	gm_delta_free(log);
	assert_true(is_there(store, "00000000000000000001.checkpoint.parquet"));
	assert_true(is_there(store, "_last_checkpoint"));
}

static void each_store_call(enum gm_code injected, bool after)
{
	uint64_t calls = 0, call = 1;
	for (;; call++) {
		struct gm_store *store;
		struct gm_error err = {0};
		must(gm_store_open_faulty(open_memory(), call, injected, after, &calls, &store, &failure));
		enum gm_code code = live(store, &err);
		bool done = calls < call;
		/* A failure after which the very same is found: an entry that vanished and was there again. */
		bool told = code == injected || (code == GM_OK && (injected == GM_NOT_FOUND || injected == GM_CHANGED)) ||
		            (code == GM_CHANGED && injected == GM_NOT_FOUND);
		if (done ? code != GM_OK : !told) fail_msg("call %d: %s: %s", (int)call, gm_code_name(code), err.message);
		if (!done) check_after(store);
		gm_store_close(store);
		if (done) break;
	}
	assert_true(call > 40);
}

static void every_store_call_fails_once(void **state)
{
	(void)state;
	each_store_call(GM_TRANSIENT, false);
	each_store_call(GM_TRANSIENT, true);
	each_store_call(GM_NOSPACE, false);
}

static void every_allocation_fails_once(void **state)
{
	(void)state;
	for (fail_at = 1;; fail_at++) {
		struct gm_error err = {0};
		struct gm_store *store = open_memory();
		arm();
		enum gm_code code = live(store, &err);
		armed = false;
		/* Some memory can be done without. */
		if (code != GM_NOMEM && code != GM_OK)
			fail_msg("allocation %d: %s: %s", (int)fail_at, gm_code_name(code), err.message);
		if (code == GM_OK || fail_at % 16 == 0) check_after(store);
		gm_store_close(store);
		if (!fired) break;
	}
	assert_true(fail_at > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_store_call_fails_once),
	                                   cmocka_unit_test(every_allocation_fails_once)};
	json_set_alloc_funcs(malloc, free); /* ours, as the linker has it */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
