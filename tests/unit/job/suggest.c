/* The nearest word, and when there is none. */
#include "job/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *best(const char *wanted, const char *const *words)
{
	struct gm_suggest suggest;
	gm_suggest_init(&suggest, wanted, strlen(wanted));
	for (; *words != NULL; words++) gm_suggest_offer(&suggest, *words);
	return gm_suggest_best(&suggest);
}

static void nearest(void **state)
{
	(void)state;
	static const char *const words[] = {"columns", "comment", "source", "table", "where", "id", NULL};
	assert_string_equal(best("colums", words), "columns");   /* one left out */
	assert_string_equal(best("collumns", words), "columns"); /* one too many */
	assert_string_equal(best("columms", words), "columns");  /* one wrong */
	assert_string_equal(best("oclumns", words), "columns");  /* neighbours swapped count as one */
	assert_string_equal(best("cmomnet", words), "comment");  /* twice */
	assert_string_equal(best("SOURCE", words), "source");    /* letter case counts for nothing */
	assert_string_equal(best("tabel", words), "table");
	assert_string_equal(best("di", words), "id");
}

static void none(void **state)
{
	(void)state;
	static const char *const words[] = {"columns", "id", "a", NULL};
	assert_null(best("zebra", words));
	assert_null(best("", words));
	assert_null(best("xy", words)); /* every letter wrong */
	assert_null(best("b", words));
	assert_null(best("0123456789012345678901234567890123456789012345678901234567890123456789", words));
}

static void first_of_equals(void **state)
{
	(void)state;
	static const char *const words[] = {"cat", "car", "can", NULL};
	assert_string_equal(best("cab", words), "cat");
	assert_string_equal(best("can", words), "can");
}

/* A word of exactly the longest length is compared, against one as long. */
static void longest(void **state)
{
	(void)state;
	char a[65], b[65];
	memset(a, 'x', 64);
	a[64] = '\0';
	memcpy(b, a, sizeof a);
	b[0] = 'y';
	const char *const words[] = {b, NULL};
	assert_ptr_equal(best(a, words), b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nearest),
	    cmocka_unit_test(none),
	    cmocka_unit_test(first_of_equals),
	    cmocka_unit_test(longest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
