/* The table of a key set's newest keys, against an array of what was added, with keys of several shapes. */
#include "table/keytable.h"
#include "../mix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* How number i becomes a key: at random; as hashes never look; all with one tag; all at home in one group. */
enum shape { RANDOM, COUNTING_LOW, COUNTING_HIGH, ONE_TAG, ONE_HOME, SHAPES };

static struct gm_hash128 key_of(uint64_t i, enum shape shape)
{
	switch (shape) {
	case COUNTING_LOW: return (struct gm_hash128){.low = i};
	case COUNTING_HIGH: return (struct gm_hash128){.high = i};
	case ONE_TAG: return (struct gm_hash128){.low = mix(2 * i) << 8 | 42, .high = mix(2 * i + 1)};
	case ONE_HOME: return (struct gm_hash128){.low = mix(i), .high = ~mix(i)};
	default: return (struct gm_hash128){.low = mix(2 * i), .high = mix(2 * i + 1)};
	}
}

enum { NUMBERS = 20000, MOST = 1500 };
static struct {
	enum shape shape;
	size_t count; /* numbers that are there */
	uint8_t seen[NUMBERS];
	uint64_t value[NUMBERS];
} model;

static struct gm_hash128 keys[MOST];
static uint64_t numbers[MOST], values[MOST], found[MOST];
static uint8_t skip[MOST], duplicate[MOST], was_duplicate[MOST];

static void check_answer(size_t i, bool lower, uint64_t value)
{
	uint64_t number = numbers[i];
	if (skip[i] || was_duplicate[i]) {
		assert_int_equal(duplicate[i], was_duplicate[i]);
		assert_int_equal(found[i], 77);
		return;
	}
	assert_int_equal(duplicate[i], model.seen[number]);
	if (model.seen[number] && lower && value < model.value[number]) model.value[number] = value;
	if (model.seen[number]) assert_int_equal(found[i], model.value[number]);
	if (!model.seen[number]) model.value[number] = lower ? value : values[i];
	model.count += !model.seen[number];
	model.seen[number] = 1;
}

static void add(struct gm_keytable *table, size_t count, uint64_t distinct, uint64_t random)
{
	const bool lower = random % 3 == 0;
	const uint64_t value = random >> 33;
	for (size_t i = 0; i < count; i++) {
		random = mix(random);
		numbers[i] = random % distinct;
		keys[i] = key_of(numbers[i], model.shape);
		values[i] = random >> 32;
		skip[i] = random >> 59 == 0;
		duplicate[i] = was_duplicate[i] = random >> 59 == 1;
		found[i] = 77;
	}
	struct gm_key_batch batch = {.keys = keys,
	                             .values = lower ? NULL : values,
	                             .skip = skip,
	                             .count = count,
	                             .duplicate = duplicate,
	                             .found = found,
	                             .value = value,
	                             .lower = lower};
	gm_keytable_add(table, &batch);
	for (size_t i = 0; i < count; i++) check_answer(i, lower, value);
	assert_int_equal(table->used, model.count);
}

static uint64_t fold(struct gm_hash128 key, uint64_t value)
{
	return mix(key.low ^ mix(key.high ^ mix(value)));
}

/* All that was added is there once, in order. */
static void check_sorted(struct gm_keytable *table)
{
	uint64_t sum = 0;
	for (uint64_t i = 0; i < NUMBERS; i++)
		if (model.seen[i]) sum += fold(key_of(i, model.shape), model.value[i]);
	gm_keytable_sort(table);
	assert_int_equal(table->used, model.count);
	for (size_t i = 0; i < table->used; i++) {
		if (i > 0) assert_true(gm_key_less(table->entries[i - 1].key, table->entries[i].key));
		sum -= fold(table->entries[i].key, table->entries[i].value);
	}
	assert_int_equal(sum, 0);
}

static void forget(struct gm_keytable *table, size_t bytes)
{
	gm_keytable_clear(table, bytes);
	memset(model.seen, 0, sizeof model.seen);
	model.count = 0;
	assert_int_equal(table->used, 0);
}

static void compare(size_t bytes, uint64_t distinct, int calls, enum shape shape)
{
	struct gm_keytable table;
	size_t left = bytes, full = 0;
	uint64_t random = mix(bytes ^ distinct << 20 ^ shape);
	assert_true(gm_keytable_init(&table, bytes));
	model.shape = shape;
	forget(&table, bytes);
	for (int call = 0; call < calls; call++) {
		random = mix(random);
		size_t count = random % 5 == 0 ? random / 5 % 30 : random / 5 % MOST;
		if (!gm_keytable_reserve(&table, count)) {
			check_sorted(&table);
			if (left > bytes / 8 * 5) left -= left / 16;
			forget(&table, left);
			full++;
			assert_true(gm_keytable_reserve(&table, count));
		}
		add(&table, count, distinct, ~random);
		assert_true(table.used * sizeof *table.entries + table.group_count * sizeof *table.groups <= left);
		if (random >> 60 != 0) continue;
		check_sorted(&table);
		gm_keytable_index(&table);
	}
	check_sorted(&table);
	assert_int_equal(full > 0, distinct * 40 > bytes); /* of 30 bytes each: some were filled, and some were not */
	gm_keytable_release(&table);
}

static void answers_are_exact(void **state)
{
	(void)state;
	for (enum shape shape = RANDOM; shape < ONE_HOME; shape++) {
		compare(128 << 10, 30, 50, shape);
		compare(128 << 10, NUMBERS, 100, shape);
		compare(1 << 20, NUMBERS, 200, shape); /* it grows */
	}
	compare(128 << 10, 1500, 50, ONE_HOME);
}

static void sizes_are_sane(void **state)
{
	(void)state;
	struct gm_keytable table;
	static const size_t sizes[] = {64 << 10, 100000, 1 << 20, 10000000, (size_t)1 << 30};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		assert_true(gm_keytable_init(&table, sizes[i]));
		assert_true(table.group_count >= 128 && table.group_count < 1024); /* it begins small */
		assert_false(gm_keytable_reserve(&table, sizes[i] / 30));
		assert_true(gm_keytable_reserve(&table, sizes[i] / 32));
		assert_true(table.group_count <= table.group_max);
		assert_true(table.memory_bytes <= sizes[i] + 8192);
		gm_keytable_release(&table);
	}
	gm_keytable_release(&table); /* twice is allowed */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_are_exact),
	    cmocka_unit_test(sizes_are_sane),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
