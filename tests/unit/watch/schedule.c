/* When runs begin, by a clock of the test's own. */
#include "base/time.h"
#include "watch/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const int64_t second = GM_US_PER_SECOND, hour = GM_US_PER_HOUR;

/* batches: 10 objects, 1,000 bytes, 60 s */
static struct gm_schedule make(int64_t every_us, uint64_t seed)
{
	struct gm_schedule schedule;
	gm_schedule_init(&schedule, every_us, 10, 1000, 60 * second, seed);
	return schedule;
}

static enum gm_wake look(const struct gm_schedule *schedule, struct gm_told told, int64_t now_us, int64_t *until_us)
{
	return gm_schedule_look(schedule, &told, now_us, until_us);
}

static const struct gm_told nothing = {.first_us = INT64_MAX};

static void test_start(void **state)
{
	struct gm_schedule s = make(hour, 1);
	int64_t until;
	(void)state;
	assert_int_equal(look(&s, nothing, 5, &until), GM_WAKE_START);
	assert_int_equal(gm_schedule_ended(&s, GM_RUN_SUCCEEDED, 5), 0);
	assert_int_equal(look(&s, nothing, 5, &until), GM_WAKE_NOT);
}

static void test_batches(void **state)
{
	struct gm_schedule s = make(hour, 1);
	int64_t until, now = 100 * second;
	(void)state;
	(void)gm_schedule_ended(&s, GM_RUN_SUCCEEDED, now);
	const struct gm_told few = {.objects = 9, .bytes = 999, .first_us = now};
	assert_int_equal(look(&s, few, now, &until), GM_WAKE_NOT);
	assert_int_equal(until, now + 60 * second);
	assert_int_equal(look(&s, few, now + 60 * second - 1, &until), GM_WAKE_NOT);
	assert_int_equal(look(&s, few, now + 60 * second, &until), GM_WAKE_TOLD);
	struct gm_told told = few;
	told.objects = 10;
	assert_int_equal(look(&s, told, now, &until), GM_WAKE_TOLD);
	told = few;
	told.bytes = 1000;
	assert_int_equal(look(&s, told, now, &until), GM_WAKE_TOLD);
	told = few;
	told.full = true;
	assert_int_equal(look(&s, told, now, &until), GM_WAKE_TOLD);
	told = few;
	told.quiet = true;
	assert_int_equal(look(&s, told, now, &until), GM_WAKE_TOLD);
	told = (struct gm_told){.full = true, .quiet = true, .first_us = INT64_MAX}; /* held, and none of it waits */
	assert_int_equal(look(&s, told, now, &until), GM_WAKE_NOT);
}

/* Within a tenth, both ways, and spread over it; another for each process. */
static void test_timer(void **state)
{
	struct gm_schedule s = make(hour, 7), other = make(hour, 8);
	int64_t until, until_other, least = INT64_MAX, most = 0;
	(void)state;
	(void)gm_schedule_ended(&s, GM_RUN_SUCCEEDED, 0);
	(void)gm_schedule_ended(&other, GM_RUN_SUCCEEDED, 0);
	assert_int_equal(look(&s, nothing, 0, &until), GM_WAKE_NOT);
	assert_int_equal(look(&other, nothing, 0, &until_other), GM_WAKE_NOT);
	assert_true(until != until_other);
	assert_int_equal(look(&s, nothing, until - 1, &until_other), GM_WAKE_NOT);
	assert_int_equal(look(&s, nothing, until, &until_other), GM_WAKE_TIMER);
	for (int i = 0; i < 1000; i++) {
		(void)gm_schedule_ended(&s, GM_RUN_SUCCEEDED, 0);
		(void)look(&s, nothing, 0, &until);
		if (until < least) least = until;
		if (until > most) most = until;
	}
	assert_true(least >= hour / 10 * 9 && least < hour / 100 * 92);
	assert_true(most <= hour / 10 * 11 && most > hour / 100 * 108);
}

static void test_failures(void **state)
{
	static const int64_t seconds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300};
	struct gm_schedule s = make(hour, 3), often = make(5 * second, 3);
	int64_t until, now = 0;
	(void)state;
	const struct gm_told much = {.objects = 100, .bytes = 5000, .full = true};
	for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
		int64_t delay = gm_schedule_ended(&s, GM_RUN_FAILED, now);
		assert_in_range(delay, (uint64_t)(seconds[i] * second / 10 * 9), (uint64_t)(seconds[i] * second / 10 * 11));
		assert_int_equal(look(&s, much, now + delay - 1, &until), GM_WAKE_NOT); /* whatever is told */
		assert_int_equal(until, now + delay);
		now += delay;
		assert_int_equal(look(&s, nothing, now, &until), GM_WAKE_RETRY);
	}
	(void)gm_schedule_ended(&s, GM_RUN_SUCCEEDED, now);
	assert_int_equal(look(&s, much, now, &until), GM_WAKE_TOLD);
	assert_true(gm_schedule_ended(&s, GM_RUN_FAILED, now) < 2 * second); /* from the beginning */
	for (int i = 0; i < 100; i++) assert_true(gm_schedule_ended(&often, GM_RUN_FAILED, 0) <= 5 * second / 10 * 11);
	assert_true(gm_schedule_ended(&s, GM_RUN_HOPELESS, now) >= hour / 10 * 9);
	gm_schedule_hurry(&s, now + 2 * hour); /* it would have been tried before */
	assert_int_equal(look(&s, nothing, now + hour / 10 * 11, &until), GM_WAKE_RETRY);
	gm_schedule_hurry(&s, now + second);
	assert_int_equal(look(&s, nothing, now + second - 1, &until), GM_WAKE_NOT);
	assert_int_equal(look(&s, nothing, now + second, &until), GM_WAKE_RETRY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_start),
	    cmocka_unit_test(test_batches),
	    cmocka_unit_test(test_timer),
	    cmocka_unit_test(test_failures),
	};
	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
