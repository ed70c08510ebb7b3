/* Stages of threads: what each has computed and waited, by the kernel's own account of the thread. */
#include "base/parallel.h"
#include "base/stopwatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static double now_ns(clockid_t clock)
{
	struct timespec now;
	(void)clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Computes for so long, by the thread's own clock: whoever else has the processor meanwhile. */
static void compute(double ms)
{
	double end = now_ns(CLOCK_THREAD_CPUTIME_ID) + ms * 1e6;
	while (now_ns(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

static void doze(long ms)
{
	struct timespec time = {.tv_nsec = ms * 1000000};
	(void)nanosleep(&time, NULL);
}

static double sum_of(const struct gm_stopwatch *watch)
{
	double sum = 0;
	for (int i = 0; i < GM_STAGE_COUNT; i++) sum += watch->sums[i].cpu_ns;
	return sum;
}

static void near(double ns, double ms)
{
	if (ns < ms * 1e6 || ns > (ms + 2) * 1e6) fail_msg("%.3f ms where %.3f were spent", ns / 1e6, ms);
}

/* Stages that may sleep are charged to the nanosecond, so that these can be compared. */
static void inner_stages_are_taken_off_outer_ones(void **state)
{
	struct gm_stopwatch watch;
	struct gm_stopwatch_hand hand;
	(void)state;
	gm_stopwatch_init(&watch);
	gm_stopwatch_join(&watch, &hand, GM_STAGE_PLAN);
	compute(10);
	enum gm_stage outer = gm_stage_enter(GM_STAGE_COMMIT);
	assert_int_equal(outer, GM_STAGE_PLAN);
	compute(20);
	enum gm_stage middle = gm_stage_enter(GM_STAGE_SYNC);
	assert_int_equal(middle, GM_STAGE_COMMIT);
	compute(5);
	assert_int_equal(gm_stage_enter(middle), GM_STAGE_SYNC);
	compute(20);
	assert_int_equal(gm_stage_enter(outer), GM_STAGE_COMMIT);
	compute(10);
	gm_stopwatch_leave(&hand);
	near(watch.sums[GM_STAGE_PLAN].cpu_ns, 20);
	near(watch.sums[GM_STAGE_COMMIT].cpu_ns, 40);
	near(watch.sums[GM_STAGE_SYNC].cpu_ns, 5);
	gm_stopwatch_release(&watch);
}

static void sleeping_is_waiting(void **state)
{
	struct gm_stopwatch watch;
	struct gm_stopwatch_hand hand;
	(void)state;
	gm_stopwatch_init(&watch);
	gm_stopwatch_join(&watch, &hand, GM_STAGE_SHRED);
	compute(5);
	enum gm_stage outer = gm_stage_enter(GM_STAGE_READ);
	doze(30);
	(void)gm_stage_enter(outer);
	compute(5);
	gm_stopwatch_leave(&hand);
	near(watch.sums[GM_STAGE_READ].cpu_ns, 0);
	near(watch.sums[GM_STAGE_SHRED].cpu_ns, 10);
	assert_true(watch.sums[GM_STAGE_READ].wait_ns >= 29e6);
	gm_stopwatch_release(&watch);
}

/* Stages that only compute share what lies between two questions to the kernel. None of it is lost, and over many turns
 * each has its part. */
static void computing_stages_share_a_lap(void **state)
{
	enum { TURNS = 200 };
	struct gm_stopwatch watch;
	struct gm_stopwatch_hand hand;
	(void)state;
	gm_stopwatch_init(&watch);
	double began = now_ns(CLOCK_THREAD_CPUTIME_ID);
	gm_stopwatch_join(&watch, &hand, GM_STAGE_SHRED);
	for (int i = 0; i < TURNS; i++) {
		(void)gm_stage_enter(GM_STAGE_DERIVE);
		compute(0.3);
		(void)gm_stage_enter(GM_STAGE_SHRED);
		compute(0.1);
		(void)gm_stage_enter(GM_STAGE_READ);
		(void)gm_stage_enter(GM_STAGE_SHRED);
	}
	gm_stopwatch_leave(&hand);
	double spent = now_ns(CLOCK_THREAD_CPUTIME_ID) - began;
	assert_true(sum_of(&watch) <= spent && sum_of(&watch) > spent * 0.99);
	/* 60 and 20 ms; other processes' turns fall on both by chance. */
	double share = watch.sums[GM_STAGE_DERIVE].cpu_ns / spent;
	if (share < 0.5 || share > 0.9) fail_msg("%.2f of the time in a stage that took three quarters of it", share);
	gm_stopwatch_release(&watch);
}

static enum gm_code call(void *context, size_t index, struct gm_error *err)
{
	(void)context, (void)index, (void)err;
	compute(5);
	gm_stage_bytes(gm_stopwatch_stage(), 100);
	return GM_OK;
}

static void other_threads_take_part(void **state)
{
	struct gm_stopwatch watch;
	struct gm_stopwatch_hand hand;
	struct gm_error err;
	(void)state;
	gm_stopwatch_init(&watch);
	gm_stopwatch_join(&watch, &hand, GM_STAGE_PUBLISH);
	assert_ptr_equal(gm_stopwatch_mine(), &watch);
	assert_int_equal(gm_parallel(8, 4, call, NULL, &err), GM_OK);
	gm_stopwatch_leave(&hand);
	assert_null(gm_stopwatch_mine());
	assert_true(watch.sums[GM_STAGE_PUBLISH].cpu_ns >= 40e6);
	assert_int_equal(watch.sums[GM_STAGE_PUBLISH].bytes, 800);
	gm_stopwatch_release(&watch);
}

static void without_a_watch_nothing_is_measured(void **state)
{
	struct gm_stopwatch_hand hand;
	(void)state;
	gm_stopwatch_join(NULL, &hand, GM_STAGE_PLAN);
	assert_null(gm_stopwatch_mine());
	assert_int_equal(gm_stage_enter(GM_STAGE_READ), GM_STAGE_READ);
	gm_stage_bytes(GM_STAGE_READ, 1);
	gm_stopwatch_leave(&hand);
	for (int i = 0; i < GM_STAGE_COUNT; i++) assert_true(hand.sums[i].cpu_ns == 0 && hand.sums[i].bytes == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(inner_stages_are_taken_off_outer_ones), cmocka_unit_test(sleeping_is_waiting),
	    cmocka_unit_test(computing_stages_share_a_lap),          cmocka_unit_test(other_threads_take_part),
	    cmocka_unit_test(without_a_watch_nothing_is_measured),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
