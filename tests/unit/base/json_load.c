/* Parsing JSON when memory ends, at each allocation, once or for good: the value, or the news that there is no memory;
 * never another value, and nothing left behind. */
#include "base/json_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t made, fail_at;
static int live;
static bool for_good, fired;

static void *failing_malloc(size_t bytes)
{
	bool fails = ++made == fail_at || (for_good && fail_at > 0 && made > fail_at);
	fired = fired || fails;
	void *block = fails ? NULL : malloc(bytes);
	live += block != NULL;
	return block;
}

static void counting_free(void *block)
{
	live -= block != NULL;
	free(block);
}

/* Tokens longer than jansson's first buffer of 16 bytes, whose growth it does not check. */
static const char *const texts[] = {
    "[1234567890123456, 1732594000000000, -1732594000000001]",
    "[12345678901234567890.25e-3, 0.000000000000000001]",
    "{\"a key of more than sixteen bytes\": \"a text that is rather longer than that, and \\u00e4 \\ud83d\\ude00\"}",
    "{\"a\":{\"b\":{\"c\":[true,false,null,[],{},\"x\",1,2,3,4,5,6,7,8,9,10,11,12]}},\"d\":1,\"e\":2,\"f\":3,\"g\":4,"
    "\"h\":5}",
    "[\"\\u0000\"]",
};

static void load_with_failures(const char *text, const json_t *expected)
{
	for (fail_at = 1;; fail_at++) {
		json_error_t why;
		made = 0;
		fired = false;
		int before = live;
		json_t *value = gm_json_load(text, strlen(text), JSON_ALLOW_NUL, &why);
		if (value == NULL) {
			assert_true(fired);
			assert_int_equal(json_error_code(&why), json_error_out_of_memory);
			assert_int_equal(live, before);
		} else {
			assert_true(json_equal(value, expected));
			json_decref(value);
		}
		if (!fired) break;
	}
	assert_true(fail_at > 3);
	fail_at = 0;
}

static void each_allocation_fails(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		json_error_t why;
		json_t *expected = gm_json_load(texts[i], strlen(texts[i]), JSON_ALLOW_NUL, &why);
		assert_non_null(expected);
		load_with_failures(texts[i], expected);
		for_good = true;
		load_with_failures(texts[i], expected);
		for_good = false;
		json_decref(expected);
	}
	assert_int_equal(live, 0);
}

static void what_is_wrong_is_said(void **state)
{
	(void)state;
	json_error_t why;
	json_t *value = NULL;
	struct gm_error err;
	assert_null(gm_json_load("{\"a\":", 5, 0, &why));
	assert_int_equal(json_error_code(&why), json_error_premature_end_of_input);
	assert_int_equal(gm_json_parse("[1,]", 4, 0, &value, &err), GM_CORRUPT);
	assert_null(value);
	assert_int_equal(err.column, 4);
	assert_int_equal(gm_json_parse("[\"as invalid as can be, and so long that it grows]", 50, 0, &value, &err),
	                 GM_CORRUPT);
	fail_at = 2;
	made = 0;
	assert_int_equal(gm_json_parse("[1234567890123456]", 18, 0, &value, &err), GM_NOMEM);
	fail_at = 0;
	assert_int_equal(live, 0);
}

/* Values that others make with jansson are theirs: what was replaced hands everything on. */
static void others_are_not_touched(void **state)
{
	(void)state;
	json_t *value = json_pack("{s:[s, i]}", "key", "text", 1);
	assert_non_null(value);
	assert_true(live > 0);
	fail_at = 1;
	made = 0;
	assert_null(json_string("text"));
	fail_at = 0;
	json_decref(value);
	assert_int_equal(live, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_allocation_fails),
	    cmocka_unit_test(what_is_wrong_is_said),
	    cmocka_unit_test(others_are_not_touched),
	};
	json_set_alloc_funcs(failing_malloc, counting_free);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
