/* The order of a dictionary's entries against a plain sort of the same values; and that every value keeps its entry. */
#include "parquet/arrange.h"

#include "model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COMMON_SHARE = 2048, LIMIT = 64 << 20 };

struct entry {
	struct model_value value;
	uint64_t uses;
};

static int compare_values(const struct model_value *a, const struct model_value *b)
{
	uint32_t common = a->len < b->len ? a->len : b->len;
	if (a->bytes == NULL) return (a->i64 > b->i64) - (a->i64 < b->i64);
	int order = common > 0 ? memcmp(a->bytes, b->bytes, common) : 0;
	return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static int by_value(const void *a, const void *b)
{
	return compare_values(&((const struct entry *)a)->value, &((const struct entry *)b)->value);
}

static struct model_value entry_value(const struct gm_distinct *distinct, uint32_t entry)
{
	if (distinct->size != 0) return (struct model_value){.i64 = gm_distinct_number(distinct, entry)};
	uint32_t from = distinct->start[entry], end = distinct->start[entry + 1], len;
	memcpy(&len, distinct->plain.data + from, sizeof len);
	assert_int_equal(len, end - from - sizeof len);
	return (struct model_value){.bytes = distinct->plain.data + from + sizeof len, .len = len};
}

/* How often each value occurs, in the order of values. */
static size_t count_values(const struct model_value *values, uint64_t rows, struct entry *out)
{
	size_t n = 0;
	for (uint64_t i = 0; i < rows; i++) out[i] = (struct entry){values[i], 1};
	qsort(out, rows, sizeof *out, by_value);
	for (uint64_t i = 0; i < rows; i++) {
		if (n > 0 && by_value(&out[n - 1], &out[i]) == 0)
			out[n - 1].uses++;
		else
			out[n++] = out[i];
	}
	return n;
}

static void check(struct model *model, struct gm_distinct *distinct, struct gm_arrange *arrange)
{
	struct gm_error err = {0};
	struct presentation p;
	bool pays;
	const struct model_value *values = model->columns[0].values;
	const struct gm_distinct_limits limits = {LIMIT, true};
	presentation_init(&p, PRESENT_MIXED, 3);
	struct gm_parquet_column_data data = model_present(model, 0, 0, model->rows, &p);
	assert_int_equal(gm_distinct_build(distinct, model->nodes[0].type, data.slices, data.slice_count, model->rows,
	                                   &limits, &pays, &err),
	                 GM_OK);
	assert_true(pays);
	assert_int_equal(gm_arrange_entries(arrange, distinct, &err), GM_OK);
	for (uint64_t i = 0; i < model->rows; i++) {
		struct model_value value = entry_value(distinct, distinct->index[i]);
		assert_int_equal(compare_values(&value, &values[i]), 0);
	}
	struct entry *sorted = calloc(model->rows, sizeof *sorted);
	size_t n = count_values(values, model->rows, sorted), common = 0, other = 0;
	assert_int_equal(distinct->entries, n);
	for (size_t i = 0; i < n; i++) common += sorted[i].uses > 1 && sorted[i].uses > model->rows / COMMON_SHARE;
	uint64_t before = UINT64_MAX;
	for (uint32_t i = 0; i < n; i++) {
		struct entry wanted = {entry_value(distinct, i), 0};
		if (i < common) {
			const struct entry *found = bsearch(&wanted, sorted, n, sizeof *sorted, by_value);
			assert_true(found->uses <= before);
			before = found->uses;
			continue;
		}
		while (sorted[other].uses > 1 && sorted[other].uses > model->rows / COMMON_SHARE) other++;
		assert_int_equal(compare_values(&sorted[other++].value, &wanted.value), 0);
	}
	free(sorted);
	presentation_release(&p);
}

/* Strings that differ late, or only by their length, or by zero bytes; numbers over their whole range. */
static void fill(struct model *model, uint64_t shape, uint64_t *random)
{
	struct model_value *values = model->columns[0].values;
	for (uint64_t row = 0; row < model->rows; row++) {
		char bytes[600];
		uint64_t n = model_below(random, 1 + model_below(random, model->rows / 2));
		if (shape == 0) {
			values[row] = (struct model_value){.i64 = (int64_t)(n * UINT64_C(0x9E3779B97F4A7C15))};
			continue;
		}
		memset(bytes, shape == 1 ? 0 : 'x', sizeof bytes);
		size_t len = shape == 1 ? n % 20 : shape == 2 ? n % 600 : n % 3 * 100 + 7;
		if (shape == 1 && len > 0) bytes[len - 1] = (char)(n % 3);
		if (shape == 3) len += (size_t)snprintf(bytes + len, 40, "/%llu", (unsigned long long)n);
		values[row] = model_string(model, bytes, len);
	}
}

static void test_order(void **state)
{
	(void)state;
	struct gm_distinct distinct;
	struct gm_arrange arrange;
	gm_distinct_init(&distinct);
	gm_arrange_init(&arrange);
	uint64_t random = 11;
	for (uint64_t turn = 0; turn < 24; turn++) {
		struct model model;
		model_init(&model, turn < 12 ? 1 + model_below(&random, 200) : 20000);
		model_add(&model, "c", turn % 4 == 0 ? GM_TYPE_BIGINT : GM_TYPE_STRING, GM_REQUIRED);
		fill(&model, turn % 4, &random);
		check(&model, &distinct, &arrange);
		model_release(&model);
	}
	gm_arrange_release(&arrange);
	gm_distinct_release(&distinct);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_order)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
