/* What the parser, the help page and SQLite's registration rely on in the table of functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <string.h>

#include "job/function.h"

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < gm_function_count; i++) {
		const struct gm_function *function = &gm_functions[i];
		size_t n = strlen(function->name);
		for (size_t j = 0; j < n; j++) {
			char c = function->name[j];
			if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_') fail_msg("%s", function->name);
		}
		if (strncmp(function->signature, function->name, n) != 0 || function->signature[n] != '(')
			fail_msg("signature of %s", function->name);
		assert_non_null(strstr(function->signature, ") -> "));
		assert_string_equal(strstr(function->signature, ") -> ") + 5, gm_type_name(function->result));
		assert_true(strlen(function->help) > 10 && strchr(function->help, '\n') == NULL);
		assert_int_equal(function->help[strlen(function->help) - 1], '.');
		assert_in_range(function->max_args, 1, GM_FUNCTION_MAX_ARGS);
		assert_in_range(function->min_args, 1, function->max_args);
		assert_non_null(function->call);
		for (size_t j = 0; j < i; j++) assert_string_not_equal(function->name, gm_functions[j].name);
	}
}

static void test_find(void **state)
{
	(void)state;
	for (size_t i = 0; i < gm_function_count; i++) {
		char upper[64];
		size_t n = strlen(gm_functions[i].name);
		assert_true(n < sizeof upper);
		for (size_t j = 0; j < n; j++) upper[j] = (char)toupper((unsigned char)gm_functions[i].name[j]);
		assert_ptr_equal(gm_function_find(gm_functions[i].name, n), &gm_functions[i]);
		assert_ptr_equal(gm_function_find(upper, n), &gm_functions[i]);
		assert_ptr_not_equal(gm_function_find(upper, n - 1), &gm_functions[i]);
	}
	assert_null(gm_function_find("", 0));
	assert_null(gm_function_find("strftime", 8));
	assert_null(gm_function_find("lower\0", 6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_find)};
	return cmocka_run_group_tests_name("function_table", tests, NULL, NULL);
}
