/* Sorting in bounded memory, against qsort. */
#include "table/sorter.h"
#include "../must.h"
#include "../mix.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct record {
	uint64_t key, number;
};

static int compare(const void *a, const void *b, void *context)
{
	const struct record *x = a, *y = b;
	(*(uint64_t *)context)++;
	if (x->key != y->key) return x->key < y->key ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

static int plainly(const void *a, const void *b)
{
	uint64_t ignored;
	return compare(a, b, &ignored);
}

/* Memory for 1,024 records: the largest is merged twice on its way. */
static void whatever_is_added_comes_out_in_order(void **state)
{
	(void)state;
	static const size_t counts[] = {0, 1, 2, 1023, 1024, 1025, 5000, 64 * 1024, 64 * 1024 + 1, 200000};
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		uint64_t calls = 0, random = i;
		struct gm_sorter *sorter;
		const void *record;
		struct record *expected = malloc((counts[i] + 1) * sizeof *expected);
		assert_non_null(expected);
		must(gm_sorter_new(sizeof(struct record), compare, &calls, 0, "/tmp", &sorter, &failure));
		for (size_t k = 0; k < counts[i]; k++) {
			expected[k] = (struct record){(random = mix(random)) % 1000, k};
			must(gm_sorter_add(sorter, &expected[k], &failure));
		}
		assert_int_equal(gm_sorter_count(sorter), counts[i]);
		qsort(expected, counts[i], sizeof *expected, plainly);
		for (size_t k = 0; k < counts[i]; k++) {
			must(gm_sorter_next(sorter, &record, &failure));
			assert_non_null(record);
			assert_memory_equal(record, &expected[k], sizeof *expected);
		}
		for (int twice = 0; twice < 2; twice++) {
			must(gm_sorter_next(sorter, &record, &failure));
			assert_null(record);
		}
		gm_sorter_free(sorter);
		free(expected);
	}
	gm_sorter_free(NULL);
}

static void a_failing_disk_is_told(void **state)
{
	(void)state;
	uint64_t calls = 0;
	struct gm_sorter *sorter;
	struct record record = {0};
	enum gm_code code = GM_OK;
	must(gm_sorter_new(sizeof record, compare, &calls, 0, "/nonexistent", &sorter, &failure));
	for (int i = 0; i < 2000 && code == GM_OK; i++) code = gm_sorter_add(sorter, &record, &failure);
	assert_int_equal(code, GM_NOT_FOUND);
	assert_string_equal(failure.object, "/nonexistent");
	gm_sorter_free(sorter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whatever_is_added_comes_out_in_order),
	    cmocka_unit_test(a_failing_disk_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
