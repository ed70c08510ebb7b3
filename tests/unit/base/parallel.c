/* Calls at once: each is made once, the failure with the lowest index is told, and nothing is begun behind one. */
#include "base/parallel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { CALLS = 200 };

struct calls {
	int made[CALLS];
	int at_once, most; /* atomic */
	size_t fails[2];   /* these do, the first of them late; SIZE_MAX: none */
};

static void doze(long microseconds)
{
	struct timespec time = {.tv_nsec = microseconds * 1000};
	(void)nanosleep(&time, NULL);
}

static enum gm_code call(void *context, size_t index, struct gm_error *err)
{
	struct calls *calls = context;
	int now = __atomic_add_fetch(&calls->at_once, 1, __ATOMIC_SEQ_CST);
	int most = __atomic_load_n(&calls->most, __ATOMIC_SEQ_CST);
	while (now > most &&
	       !__atomic_compare_exchange_n(&calls->most, &most, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	__atomic_add_fetch(&calls->made[index], 1, __ATOMIC_SEQ_CST);
	doze(index == calls->fails[0] ? 20000 : 200);
	__atomic_sub_fetch(&calls->at_once, 1, __ATOMIC_SEQ_CST);
	if (index != calls->fails[0] && index != calls->fails[1]) return GM_OK;
	GM_FAIL(err, index == calls->fails[0] ? GM_IO : GM_DENIED, "call %zu", index);
}

static void each_is_made_once(void **state)
{
	static const unsigned threads[] = {0, 1, 2, 7, 1000};
	(void)state;
	for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
		struct calls calls = {.fails = {SIZE_MAX, SIZE_MAX}};
		struct gm_error err;
		assert_int_equal(gm_parallel(CALLS, threads[t], call, &calls, &err), GM_OK);
		for (size_t i = 0; i < CALLS; i++) assert_int_equal(calls.made[i], 1);
		assert_true(calls.most <= (int)(threads[t] > 1 ? threads[t] : 1));
		if (threads[t] > 1) assert_true(calls.most > 1);
		assert_int_equal(gm_parallel(0, threads[t], call, &calls, &err), GM_OK);
	}
}

/* Number 11 fails at once, number 10 only after a while: it is told all the same. */
static void the_first_failure_is_told(void **state)
{
	static const unsigned threads[] = {1, 2, 8};
	(void)state;
	for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
		struct calls calls = {.fails = {10, 11}};
		struct gm_error err;
		assert_int_equal(gm_parallel(CALLS, threads[t], call, &calls, &err), GM_IO);
		assert_string_equal(err.message, "call 10");
		for (size_t i = 0; i <= 10; i++) assert_int_equal(calls.made[i], 1);
		assert_int_equal(calls.made[CALLS - 1], 0);
		if (threads[t] == 1) assert_int_equal(calls.made[11], 0);
		struct calls again = {.fails = {10, 11}};
		assert_int_equal(gm_parallel(CALLS, threads[t], call, &again, NULL), GM_IO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_is_made_once),
	                                   cmocka_unit_test(the_first_failure_is_told)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
