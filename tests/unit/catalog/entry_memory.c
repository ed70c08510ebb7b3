/* Every allocation of making, checking and merging entries fails once: NOMEM, and nothing leaks. The allocators of our
 * code are wrapped by the linker (see meson.build), that of jansson is replaced. */
#include "shape_by_hand.h"
#include "../alloc_faults.h"
#include "catalog/registered.h"

static const char theirs[] = "{\"Name\":\"t\",\"Owner\":\"them\",\"Parameters\":{\"k\":\"v\",\"projection.year.range\":"
                             "\"1\"},\"PartitionKeys\":["
                             "{\"Name\":\"year\",\"Type\":\"string\"},{\"Name\":\"month\",\"Type\":\"string\"},{"
                             "\"Name\":\"day\",\"Type\":\"date\"}],"
                             "\"StorageDescriptor\":{\"Location\":\"s3://lake/"
                             "t\",\"Columns\":[{\"Name\":\"id\",\"Type\":null}],\"SerdeInfo\":null}}";

static enum gm_code use_partitions(const struct gm_shape *shape, const json_t *input, struct gm_error *err)
{
	struct gm_registered *none;
	struct gm_registered_counts counts;
	const json_t *of_table = json_object_get(json_object_get(input, "StorageDescriptor"), "Columns");
	enum gm_code rc = gm_registered_none(&none, err);
	if (rc == GM_OK) rc = gm_registered_compare(none, &registered, shape, of_table, &counts, err);
	if (rc == GM_OK) assert_int_equal(counts.missing, 1);
	gm_registered_free(none);
	return rc;
}

static enum gm_code use(const struct gm_entry *entry, struct gm_error *err)
{
	struct gm_shape shape = shape_by_hand();
	struct gm_differences differences;
	json_t *wanted = NULL, *found = NULL, *input = NULL;
	must(gm_json_parse(theirs, strlen(theirs), 0, &found, &failure));
	armed = true;
	gm_differences_init(&differences);
	enum gm_code rc = gm_glue_check_table(found, err);
	if (rc == GM_OK) rc = gm_entry_table(entry, &shape, &wanted, err);
	if (rc == GM_OK) rc = gm_merge_table(found, wanted, entry, &shape, &input, &differences, err);
	if (rc == GM_OK) rc = use_partitions(&shape, input, err);
	if (rc == GM_OK) assert_true(differences.count > 5);
	gm_differences_release(&differences);
	json_decref(wanted);
	json_decref(found);
	json_decref(input);
	return rc;
}

static void every_allocation_fails_once(void **state)
{
	const struct gm_entry *const entries[] = {&hive, &registered};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		for (fail_at = 1;; fail_at++) {
			struct gm_error err = {0};
			arm();
			armed = false; /* until the answer is parsed */
			enum gm_code code = use(entries[i], &err);
			armed = false;
			if (!fired) {
				assert_int_equal(code, GM_OK);
				break;
			}
			if (code != GM_NOMEM) fail_msg("allocation %d: %s: %s", (int)fail_at, gm_code_name(code), err.message);
		}
		assert_true(fail_at > 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails_once)};
	json_set_alloc_funcs(malloc, free); /* ours, as the linker has it */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
