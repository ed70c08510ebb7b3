/* The key set against a bitmap of what was added: random keys, tiny budgets, crowded keys, failing disks. */
#include "table/keyset.h"
#include "../must.h"
#include "../mix.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* How number i becomes a key: at random, or in the ways that hashes never look. */
enum shape { RANDOM, COUNTING_LOW, COUNTING_HIGH, AT_THE_END, SHAPES };

static struct gm_hash128 key_of(uint64_t i, enum shape shape)
{
	switch (shape) {
	case COUNTING_LOW: return (struct gm_hash128){.low = i};
	case COUNTING_HIGH: return (struct gm_hash128){.high = i};
	case AT_THE_END: return (struct gm_hash128){.high = UINT64_MAX, .low = UINT64_MAX - i};
	default: return (struct gm_hash128){.low = mix(2 * i), .high = mix(2 * i + 1)};
	}
}

struct order {
	struct gm_hash128 last;
	uint64_t count, values; /* values: which key has which, in any order */
};

static enum gm_code check_order(void *context, const struct gm_key_entry *entries, size_t count, struct gm_error *err)
{
	struct order *order = context;
	for (size_t i = 0; i < count; i++) {
		struct gm_hash128 key = entries[i].key, last = order->last;
		bool above = key.high != last.high ? key.high > last.high : key.low > last.low;
		if (order->count > 0 && !above) GM_FAIL(err, GM_BUG, "out of order at %llu", (unsigned long long)order->count);
		order->last = key;
		order->count++;
		order->values += mix(key.low ^ mix(key.high ^ mix(entries[i].value)));
	}
	return GM_OK;
}

/* What the set must hold: of each number whether it is there, and its value. */
struct model {
	enum shape shape;
	uint64_t distinct, added;
	uint8_t *seen;
	uint64_t *value;
};

enum { MOST = 4096 };
static struct gm_hash128 keys[MOST];
static uint64_t values[MOST], found[MOST], expected_found[MOST];
static uint8_t skip[MOST], duplicate[MOST], expected[MOST];

static void model_add(struct model *model, uint64_t number, uint32_t i)
{
	expected[i] = !skip[i] && model->seen[number] != 0;
	expected_found[i] = expected[i] ? model->value[number] : 0;
	if (skip[i] || model->seen[number] != 0) return;
	model->seen[number] = 1;
	model->value[number] = values[i];
	model->added++;
}

static void model_put(struct model *model, uint64_t number, uint64_t value)
{
	if (model->seen[number] == 0 || value < model->value[number]) model->value[number] = value;
	model->added += model->seen[number] == 0;
	model->seen[number] = 1;
}

/* One call with `count` numbers around `at`, some skipped. */
static void call(struct gm_keyset *set, struct model *model, uint64_t at, uint32_t count, uint64_t random, bool put)
{
	bool skipping = random >> 63 != 0;
	uint64_t value = random >> 40;
	for (uint32_t i = 0; i < count; i++) {
		random = mix(random);
		/* Mostly new numbers in their turn, now and then an old one. */
		uint64_t number = random % 4 != 0 ? (at + i) % model->distinct : random / 4 % model->distinct;
		keys[i] = key_of(number, model->shape);
		values[i] = random >> 39; /* half of them above those that are put */
		skip[i] = skipping && random >> 60 == 0;
		found[i] = 0;
		if (!put) model_add(model, number, i);
		if (put && !skip[i]) model_put(model, number, value);
	}
	const uint8_t *skipped = skipping ? skip : NULL;
	if (put) {
		must(gm_keyset_put(set, keys, skipped, count, value, &failure));
		return;
	}
	must(gm_keyset_add(set, keys, values, skipped, count, duplicate, found, &failure));
	assert_memory_equal(duplicate, expected, count);
	for (uint32_t i = 0; i < count; i++)
		if (duplicate[i]) assert_int_equal(found[i], expected_found[i]);
}

static void check_all(struct gm_keyset *set, const struct model *model)
{
	uint64_t sum = 0;
	for (uint64_t i = 0; i < model->distinct; i++) {
		struct gm_hash128 key = key_of(i, model->shape);
		if (model->seen[i]) sum += mix(key.low ^ mix(key.high ^ mix(model->value[i])));
	}
	for (int twice = 0; twice < 2; twice++) {
		struct order order = {0};
		must(gm_keyset_each(set, check_order, &order, &failure));
		assert_int_equal(order.count, model->added);
		assert_int_equal(order.values, sum);
	}
}

/* Adds `total` draws from `distinct` numbers in batches of varying size, every eighth of them put, and compares every
 * answer. */
static void compare(size_t memory_bytes, uint64_t distinct, uint64_t total, enum shape shape)
{
	struct model model = {.shape = shape, .distinct = distinct};
	struct gm_keyset *set;
	uint64_t random = memory_bytes ^ distinct;
	model.seen = calloc(1, distinct);
	model.value = calloc(distinct, sizeof *model.value);
	assert_true(model.seen != NULL && model.value != NULL);
	must(gm_keyset_new(memory_bytes, "/tmp", &set, &failure));
	for (uint64_t done = 0; done < total;) {
		random = mix(random);
		uint32_t count = (uint32_t)(random % 7 == 0 ? random / 7 % 20 : random / 7 % MOST);
		if (count > total - done) count = (uint32_t)(total - done);
		call(set, &model, done, count, random, random / 7 / MOST % 8 == 0);
		assert_int_equal(gm_keyset_count(set), model.added);
		done += count;
	}
	check_all(set, &model);
	gm_keyset_free(set);
	free(model.seen);
	free(model.value);
}

static void answers_are_exact_in_any_memory(void **state)
{
	(void)state;
	static const size_t budgets[] = {0, 200 << 10, 1 << 20, 64 << 20};
	for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
		compare(budgets[i], 1, 5000, RANDOM);
		compare(budgets[i], 100000, 200000, RANDOM);
		compare(budgets[i], 300000, 400000, RANDOM);
	}
}

static void crowded_keys_are_only_slow(void **state)
{
	(void)state;
	for (enum shape shape = COUNTING_LOW; shape < SHAPES; shape++) {
		compare(0, 30000, 50000, shape);
		compare(8 << 20, 10000, 20000, shape);
	}
}

static void an_empty_set_has_no_keys(void **state)
{
	(void)state;
	struct gm_keyset *set;
	struct order order = {0};
	must(gm_keyset_new(0, "/nonexistent", &set, &failure)); /* not needed before something is spilled */
	must(gm_keyset_each(set, check_order, &order, &failure));
	must(gm_keyset_add(set, NULL, NULL, NULL, 0, NULL, NULL, &failure));
	must(gm_keyset_put(set, NULL, NULL, 0, 1, &failure));
	assert_int_equal(order.count, 0);
	assert_int_equal(gm_keyset_count(set), 0);
	gm_keyset_free(set);
	gm_keyset_free(NULL);
}

static enum gm_code fill(const char *directory, uint64_t total)
{
	enum { BATCH = 1000 }; /* < MOST */
	struct gm_keyset *set;
	must(gm_keyset_new(0, directory, &set, &failure));
	enum gm_code code = GM_OK;
	for (uint64_t at = 0; at < total && code == GM_OK; at += BATCH) {
		for (uint64_t i = 0; i < BATCH; i++) keys[i] = key_of(at + i, RANDOM);
		code = gm_keyset_add(set, keys, NULL, NULL, BATCH, duplicate, NULL, &failure);
	}
	gm_keyset_free(set);
	return code;
}

static void failing_disks_are_told(void **state)
{
	(void)state;
	struct rlimit old, small;
	assert_int_equal(fill("/nonexistent", 100000), GM_NOT_FOUND);
	assert_string_equal(failure.object, "/nonexistent");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	small = (struct rlimit){.rlim_cur = 200000, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(fill("/tmp", 100000), GM_NOSPACE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(fill("/tmp", 100000), GM_OK);
}

static enum gm_code stop(void *context, const struct gm_key_entry *entries, size_t count, struct gm_error *err)
{
	(void)entries;
	(void)count;
	++*(int *)context;
	GM_FAIL(err, GM_INTERRUPTED, "enough");
}

static void each_can_be_stopped(void **state)
{
	(void)state;
	struct gm_keyset *set;
	int calls = 0;
	static const struct gm_hash128 three[3] = {{0, 0}, {1, 0}, {0, 1}};
	must(gm_keyset_new(0, "/tmp", &set, &failure));
	must(gm_keyset_add(set, three, NULL, NULL, 3, duplicate, NULL, &failure));
	assert_int_equal(gm_keyset_each(set, stop, &calls, &failure), GM_INTERRUPTED);
	assert_int_equal(calls, 1);
	gm_keyset_free(set);
}

static double seconds(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Not a judgement, a figure to look at; the answers are checked all the same. */
static void millions_of_keys(void **state)
{
	(void)state;
	enum { BATCH = MOST };
	static const size_t budgets[] = {4 << 20, 32 << 20, 256 << 20};
	static const uint64_t totals[] = {500000, 1500000, 3000000}; /* enough to be spilled, but for the last */
	for (size_t b = 0; b < sizeof budgets / sizeof budgets[0]; b++) {
		struct gm_keyset *set;
		const uint64_t total = totals[b];
		must(gm_keyset_new(budgets[b], "/tmp", &set, &failure));
		double spent[2] = {0};
		for (int twice = 0; twice < 2; twice++) {
			for (uint64_t at = 0; at < total; at += BATCH) {
				uint32_t count = total - at < BATCH ? (uint32_t)(total - at) : BATCH;
				for (uint64_t i = 0; i < count; i++) keys[i] = key_of(at + i, RANDOM);
				double from = seconds();
				must(gm_keyset_add(set, keys, values, NULL, count, duplicate, found, &failure));
				spent[twice] += seconds() - from;
				for (uint32_t i = 0; i < count; i++) assert_int_equal(duplicate[i], twice);
			}
		}
		print_message("%3zu MiB: %.0f ns for a new key, %.0f ns for an old one, of %d\n", budgets[b] >> 20,
		              spent[0] / (double)total * 1e9, spent[1] / (double)total * 1e9, (int)total);
		gm_keyset_free(set);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_are_exact_in_any_memory),
	    cmocka_unit_test(crowded_keys_are_only_slow),
	    cmocka_unit_test(an_empty_set_has_no_keys),
	    cmocka_unit_test(failing_disks_are_told),
	    cmocka_unit_test(each_can_be_stopped),
	    cmocka_unit_test(millions_of_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
