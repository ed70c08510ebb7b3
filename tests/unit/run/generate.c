/* The random numbers of the sample generator against published ones, and the shape of what it writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "run/generate_record.h"

/* splitmix64's first numbers for the seed 1234567, as its authors' reference code prints them. */
static void test_seeding_is_splitmix64(void **state)
{
	(void)state;
	struct gm_random random;
	gm_random_seed(&random, 1234567);
	assert_true(random.state[0] == UINT64_C(6457827717110365317));
	assert_true(random.state[1] == UINT64_C(3203168211198807973));
	assert_true(random.state[2] == UINT64_C(9817491932198370423));
	assert_true(random.state[3] == UINT64_C(4593380528125082431));
}

/* xoshiro256** from the state 1, 2, 3, 4, as other implementations pin it. */
static void test_numbers_are_xoshiro256ss(void **state)
{
	(void)state;
	static const uint64_t expected[] = {UINT64_C(11520),
	                                    UINT64_C(0),
	                                    UINT64_C(1509978240),
	                                    UINT64_C(1215971899390074240),
	                                    UINT64_C(1216172134540287360),
	                                    UINT64_C(607988272756665600)};
	struct gm_random random = {{1, 2, 3, 4}};
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
		assert_true(gm_random_next(&random) == expected[i]);
}

static void test_bounds_and_chances(void **state)
{
	(void)state;
	struct gm_random random;
	gm_random_seed(&random, 7);
	int seen[6] = {0}, hits = 0;
	for (int i = 0; i < 60000; i++) seen[gm_random_below(&random, 6)]++;
	for (int i = 0; i < 6; i++) assert_in_range(seen[i], 9500, 10500);
	for (int i = 0; i < 100000; i++) hits += gm_random_chance(&random, 0.01);
	assert_in_range(hits, 850, 1150);
	for (int i = 0; i < 1000; i++) {
		assert_false(gm_random_chance(&random, 0));
		assert_true(gm_random_chance(&random, 1));
	}
}

/* Whether a record is a JSON object with an integer timestamp within four-digit years: what a job can use. */
static bool is_usable(const char *text, size_t n, int64_t *timestamp)
{
	json_t *document = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	json_t *payload = json_object_get(document, "payload");
	json_t *time = json_object_get(payload, "timestamp");
	bool usable = json_is_integer(time) && json_integer_value(time) < INT64_C(253402300800000);
	*timestamp = usable ? json_integer_value(time) : 0;
	json_decref(document);
	return usable;
}

static void test_records_are_as_good_or_bad_as_asked(void **state)
{
	(void)state;
	const int64_t time_ms = INT64_C(1710108000084);
	struct gm_random random;
	struct gm_arena arena;
	struct gm_population *population;
	char text[GM_RECORD_MAX_BYTES];
	int64_t timestamp;
	gm_arena_init(&arena, 4096);
	gm_random_seed(&random, 1);
	assert_int_equal(gm_population_new(&random, &arena, &population, NULL), GM_OK);
	for (int i = 0; i < 20000; i++) {
		enum gm_bad bad = i % 2 == 0 ? GM_GOOD : (enum gm_bad)(i / 2 % GM_BAD_COUNT);
		size_t n = gm_record_write(population, &random, time_ms, bad, text);
		assert_in_range(n, 1, GM_RECORD_MAX_BYTES / 2);
		assert_null(memchr(text, '\n', n));
		/* jansson refuses what we tolerate in strings; the others must be as usable as they say. */
		if (bad == GM_BAD_UTF8 || bad == GM_BAD_SURROGATE) continue;
		assert_int_equal(is_usable(text, n, &timestamp), bad >= GM_BAD_TOLERATED);
		if (bad >= GM_BAD_TOLERATED) assert_true(timestamp == time_ms);
	}
	gm_arena_release(&arena);
}

static void test_options_are_checked(void **state)
{
	(void)state;
	static const struct {
		double hours, share;
		int level;
		uint64_t per_object;
		int64_t start_us;
	} wrong[] = {{0, 0, 6, 0, 0},   {-1, 0, 6, 0, 0},       {1e9, 0, 6, 0, 0}, {1, -0.1, 6, 0, 0},
	             {1, 1.1, 6, 0, 0}, {1, 0, -1, 0, 0},       {1, 0, 10, 0, 0},  {1, 0, 6, 1000001, 0},
	             {1, 0, 6, 0, -1},  {1, 0, 6, 0, INT64_MAX}};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct gm_generate_options options;
		struct gm_error err;
		gm_generate_defaults(&options);
		options.hours = wrong[i].hours;
		options.bad = wrong[i].share;
		options.level = wrong[i].level;
		options.records_per_object = wrong[i].per_object;
		options.start_us = wrong[i].start_us;
		assert_int_equal(gm_generate("/nonexistent/gristmill", &options, NULL, &err), GM_USAGE);
		assert_true(err.message[0] != '\0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_seeding_is_splitmix64), cmocka_unit_test(test_numbers_are_xoshiro256ss),
	    cmocka_unit_test(test_bounds_and_chances),    cmocka_unit_test(test_records_are_as_good_or_bad_as_asked),
	    cmocka_unit_test(test_options_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
