/* cpu.c - levels of processor: which there are, and forcing one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/cpu.h"

static void test_each_level_by_name(void **state)
{
	(void)state;
	struct gm_error err;
	for (enum gm_cpu_level level = 0; level < GM_CPU_COUNT; level++) {
		const char *name = gm_cpu_level_name(level);
		enum gm_code rc = gm_set_cpu(name, &err);
		assert_int_equal(rc, gm_cpu_supports(level) ? GM_OK : GM_UNSUPPORTED);
		if (rc != GM_OK) continue;
		assert_int_equal(gm_cpu_level(), level);
		assert_string_equal(gm_cpu(), name);
	}
}

static void test_the_best_by_default(void **state)
{
	(void)state;
	static const char *const no_choice[] = {NULL, ""};
	struct gm_error err;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(gm_set_cpu("scalar", &err), GM_OK);
		assert_int_equal(gm_cpu_level(), GM_CPU_scalar);
		assert_int_equal(gm_set_cpu(no_choice[i], &err), GM_OK);
		assert_true(gm_cpu_supports(gm_cpu_level()));
		for (enum gm_cpu_level level = gm_cpu_level() + 1; level < GM_CPU_COUNT; level++)
			assert_false(gm_cpu_supports(level));
	}
}

static void test_unknown_names(void **state)
{
	(void)state;
	static const char *const unknown[] = {
	    "SCALAR", "avx", "avx2 ", "native", "avx512", "a name that is much too long to be any level of processor"};
	struct gm_error err;
	assert_int_equal(gm_set_cpu("scalar", &err), GM_OK);
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		assert_int_equal(gm_set_cpu(unknown[i], &err), GM_USAGE);
		assert_non_null(strstr(err.hint, "scalar"));
		assert_int_equal(gm_cpu_level(), GM_CPU_scalar); /* as it was */
	}
	assert_int_equal(gm_set_cpu("x", NULL), GM_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_level_by_name),
	    cmocka_unit_test(test_the_best_by_default),
	    cmocka_unit_test(test_unknown_names),
	};
	return cmocka_run_group_tests_name("cpu", tests, NULL, NULL);
}
