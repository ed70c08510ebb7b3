/* The Delta log without checkpoints: entries that are written, replayed, damaged; on a store in memory. */
#include "delta_fixture.h"

static const char *const two[] = {"year", "month"};

static void a_table_begins(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	struct gm_delta_log *log;
	assert_int_equal(gm_delta_open(store, GM_DELTA_NEWEST, MEMORY, &log, &failure), GM_NOT_FOUND);
	assert_null(log);
	struct gm_delta_file files[] = {add("year=2024/month=03/a.parquet", "year=2024/month=03", 10)};
	put_first(store, two, 2, files, 1);
	log = open_log(store, GM_DELTA_NEWEST);
	assert_int_equal(gm_delta_version(log), 0);
	assert_int_equal(gm_delta_file_count(log), 1);
	assert_string_equal(gm_delta_metadata(log)->id, TABLE_ID);
	gm_delta_free(log);
	gm_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_table_begins)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
