/* shred.c - the shredder's rules, case by case: what is a record, what is rejected and with which span, what values
 * become. */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

static const struct gm_shred_options usual = {
    .max_record_bytes = 1 << 20, .window_bytes = 1 << 16, .dict_bytes_max = 16 << 20};

/* One leaf, "a" bigint, unless a test says otherwise. */
static const struct wanted one[] = {{"a", GM_TYPE_BIGINT, 0, false, GM_ON_ERROR_NULL}};

static void expect_of(const struct wanted *wanted, size_t count, const struct gm_shred_options *options,
                      const char *object, size_t n, const char *expected)
{
	static struct leaves leaves;
	struct text got = {0};
	leaves_init(&leaves, wanted, count);
	static const size_t windows[] = {16, 23, 100, 1 << 16};
	for (size_t i = 0; i < 4; i++) {
		for (size_t step = 1; step < n + 2; step = step * 2 + 1) {
			struct gm_shred_options these = *options;
			these.window_bytes = windows[i];
			shred_with(&leaves, &these, object, n, step, &got);
			char *books = strstr(got.data, "books ");
			if (books != NULL) *books = '\0';
			if (strcmp(got.data, expected) != 0)
				fail_msg("window %zu, step %zu\nobject: %s\nexpected:\n%s\ngot:\n%s", windows[i], step, object,
				         expected, got.data);
		}
	}
	free(got.data);
}

static void expect(const char *object, const char *expected)
{
	expect_of(one, 1, &usual, object, strlen(object), expected);
}

static void test_documents(void **state)
{
	(void)state;
	expect("", "");
	expect(" \r\n\t", "");
	expect("\xEF\xBB\xBF", "");
	expect("{}", "row 0 at 0+2 weighs 16:|null\n");
	expect("{\"a\":1}", "row 0 at 0+7 weighs 24:|1\n");
	expect("{\"a\":1}{\"a\":2}", "row 0 at 0+7 weighs 24:|1\nrow 1 at 7+7 weighs 24:|2\n");
	expect("\xEF\xBB\xBF{\"a\":1}\r\n\r\n {\"a\":2}\n", "row 0 at 3+7 weighs 24:|1\nrow 1 at 15+7 weighs 24:|2\n");
	expect("{\n\t\"a\" : 1 ,\r\n  \"b\" : [ { } , [ ] ]\n}", "row 0 at 0+37 weighs 24:|1\n");
	expect("{\"b\":{\"a\":7},\"a\":1}", "row 0 at 0+19 weighs 24:|1\n");
	expect("{\"\\u0061\":1}", "row 0 at 0+12 weighs 24:|1\n");
}

static void test_arrays(void **state)
{
	(void)state;
	expect("[]", "");
	expect("[ ]\n[\n]", "");
	expect("[{\"a\":1}]", "row 0 at 1+7 weighs 24:|1\n");
	expect("[{\"a\":1} , {\"a\":2}][{\"a\":3}]{\"a\":4}", "row 0 at 1+7 weighs 24:|1\nrow 1 at 11+7 weighs 24:|2\nrow "
	                                                      "2 at 20+7 weighs 24:|3\nrow 3 at 28+7 weighs 24:|4\n");
	/* other elements than objects */
	expect("[1,{\"a\":1},\"x\",[{\"a\":2}],null]", "row 1 at 3+7 weighs 24:|1\n"
	                                               "reject 0 at 1 not_an_object fault 1 [] 1\n"
	                                               "reject 2 at 11 not_an_object fault 11 [] \"x\"\n"
	                                               "reject 3 at 15 not_an_object fault 15 [] [{\"a\":2}]\n"
	                                               "reject 4 at 25 not_an_object fault 25 [] null\n");
	/* never closed */
	expect("[", "reject 0 at 1 truncated fault 1 [] \n");
	expect("[{\"a\":1}", "row 0 at 1+7 weighs 24:|1\nreject 1 at 8 truncated fault 8 [] \n");
	expect("[{\"a\":1},\n", "row 0 at 1+7 weighs 24:|1\nreject 1 at 10 truncated fault 10 [] \n");
	expect("[{\"a\":1},{\"a\"", "row 0 at 1+7 weighs 24:|1\nreject 1 at 9 truncated fault 13 [] {\"a\"\n");
	/* commas and brackets where they must not be */
	expect("[,{\"a\":1}]", "reject 0 at 1 not_json fault 1 [] ,{\"a\":1}]\n");
	expect("[{\"a\":1},]", "row 0 at 1+7 weighs 24:|1\nreject 1 at 9 not_json fault 9 [] ]\n");
	expect("[{\"a\":1}{\"a\":2}]", "row 0 at 1+7 weighs 24:|1\nreject 1 at 8 not_json fault 8 [] {\"a\":2}]\n");
	expect("{\"a\":1},{\"a\":2}", "row 0 at 0+7 weighs 24:|1\nreject 1 at 7 not_json fault 7 [] ,{\"a\":2}\n");
	expect("]\n{\"a\":1}", "row 1 at 2+7 weighs 24:|1\nreject 0 at 0 not_json fault 0 [] ]\n");
}

static void test_broken_elements(void **state)
{
	(void)state;
	/* inside an array, reading goes on loosely */
	expect("[\n{\"a\":1},\n{\"a\":},\n{\"a\":3},\n{\"a\":4}\n]\n",
	       "row 0 at 2+7 weighs 24:|1\nrow 2 at 19+7 weighs 24:|3\nrow 3 at 28+7 weighs 24:|4\n"
	       "reject 1 at 11 not_json fault 16 [] {\"a\":},\n");
	/* the bracket was lost with the garbage: lines go on, and a bracket in column 0 is a new array */
	expect("[{\"a\":1},{\"a\":]\n{\"a\":2}\n{\"a\":3}\n[{\"a\":4},{\"a\":5}]\n",
	       "row 0 at 1+7 weighs 24:|1\nrow 2 at 16+7 weighs 24:|2\nrow 3 at 24+7 weighs 24:|3\n"
	       "row 4 at 33+7 weighs 24:|4\nrow 5 at 41+7 weighs 24:|5\n"
	       "reject 1 at 9 not_json fault 14 [] {\"a\":]\n");
	/* resuming at a bracket is a new array, which must be closed */
	expect("[x\n[{\"a\":1}", "row 1 at 4+7 weighs 24:|1\n"
	                         "reject 0 at 1 not_json fault 1 [] x\nreject 2 at 11 truncated fault 11 [] \n");
	/* two brackets on end: the inner is an element */
	expect("[[{\"a\":1}]]", "reject 0 at 1 not_an_object fault 1 [] [{\"a\":1}]\n");
}

static void test_resuming(void **state)
{
	(void)state;
	/* at a line break, of any kind, after the start of the broken document, if '{' or '[' follows in column 0 */
	expect("x\n{\"a\":1}", "row 1 at 2+7 weighs 24:|1\nreject 0 at 0 not_json fault 0 [] x\n");
	expect("x\r\n{\"a\":1}", "row 1 at 3+7 weighs 24:|1\nreject 0 at 0 not_json fault 0 [] x\n");
	expect("x\r{\"a\":1}", "row 1 at 2+7 weighs 24:|1\nreject 0 at 0 not_json fault 0 [] x\n");
	expect("x\n\r{\"a\":1}", "row 1 at 3+7 weighs 24:|1\nreject 0 at 0 not_json fault 0 [] x\\0a\n");
	expect("x\r\r\n{\"a\":1}", "row 1 at 4+7 weighs 24:|1\nreject 0 at 0 not_json fault 0 [] x\\0d\n");
	expect("x {\"a\":1}\n {\"a\":2}\ny\n{\"a\":3}",
	       "row 1 at 21+7 weighs 24:|3\n"
	       "reject 0 at 0 not_json fault 0 [] x {\"a\":1}\\0a {\"a\":2}\\0ay\n");
	expect("x\n[{\"a\":1}]", "row 1 at 3+7 weighs 24:|1\nreject 0 at 0 not_json fault 0 [] x\n");
	expect("x\n", "reject 0 at 0 not_json fault 0 [] x\\0a\n");
	expect("x\r", "reject 0 at 0 not_json fault 0 [] x\\0d\n");
	/* the start counts, not where the fault was seen */
	expect("{\"b\":\n{\"a\":1}\n{\"a\":2}\n", "row 1 at 6+7 weighs 24:|1\nrow 2 at 14+7 weighs 24:|2\n"
	                                          "reject 0 at 0 not_json fault 14 [] {\"b\":\n");
	/* two broken documents in column 0 are two entries */
	expect("{\"a\":\n{\"b\":,}\n{\"a\":3}", "row 2 at 14+7 weighs 24:|3\n"
	                                        "reject 0 at 0 not_json fault 11 [] {\"a\":\n"
	                                        "reject 1 at 6 not_json fault 11 [] {\"b\":,}\n");
	/* nothing separates documents: one costs the rest */
	expect("{\"a\":1}{\"a\":}{\"a\":3}",
	       "row 0 at 0+7 weighs 24:|1\nreject 1 at 7 not_json fault 12 [] {\"a\":}{\"a\":3}\n");
	/* values that are no objects end where they end */
	expect("12 \"x\"true{\"a\":1}null", "row 3 at 10+7 weighs 24:|1\n"
	                                    "reject 0 at 0 not_an_object fault 0 [] 12\n"
	                                    "reject 1 at 3 not_an_object fault 3 [] \"x\"\n"
	                                    "reject 2 at 6 not_an_object fault 6 [] true\n"
	                                    "reject 4 at 17 not_an_object fault 17 [] null\n");
	expect("12x\n{}", "row 1 at 4+2 weighs 16:|null\nreject 0 at 0 not_json fault 2 [] 12x\n");
	/* cut off by the end */
	expect("{\"a\":1}\n{\"a\":17", "row 0 at 0+7 weighs 24:|1\nreject 1 at 8 truncated fault 15 [] {\"a\":17\n");
	expect("tru", "reject 0 at 0 truncated fault 3 [] tru\n");
	expect("{\"b\":\n{\"a\":1}", "row 1 at 6+7 weighs 24:|1\nreject 0 at 0 truncated fault 13 [] {\"b\":\n");
	expect("\xEF\xBB", "reject 0 at 0 not_json fault 0 [] \\ef\\bb\n");
}

static void test_strictness(void **state)
{
	(void)state;
	static const char *const bad[] = {"{\"a\":01}",
	                                  "{\"a\":-}",
	                                  "{\"a\":+1}",
	                                  "{\"a\":.5}",
	                                  "{\"a\":1.}",
	                                  "{\"a\":1e}",
	                                  "{\"a\":1e+}",
	                                  "{\"a\":-01}",
	                                  "{\"a\":0x10}",
	                                  "{\"a\":1 2}",
	                                  "{\"a\":NaN}",
	                                  "{\"a\":Infinity}",
	                                  "{\"a\":True}",
	                                  "{\"a\":nul}",
	                                  "{\"a\":truex}",
	                                  "{\"a\":'x'}",
	                                  "{a:1}",
	                                  "{'a':1}",
	                                  "{\"a\" 1}",
	                                  "{\"a\"::1}",
	                                  "{\"a\":1,}",
	                                  "{,\"a\":1}",
	                                  "{\"a\":1,,\"b\":2}",
	                                  "{\"a\":1 \"b\":2}",
	                                  "{\"a\"}",
	                                  "{\"a\":}",
	                                  "{\"a\":\"\t\"}",
	                                  "{\"b\":\"\x01\"}",
	                                  "{\"b\":\"\\x\"}",
	                                  "{\"b\":\"\\u12G4\"}",
	                                  "{\"b\":\"\\u12\"}",
	                                  "{\"b\":\"\\'\"}",
	                                  "{\"b\":[1,]}",
	                                  "{\"b\":[,1]}",
	                                  "{\"b\":[1 2]}",
	                                  "{\"b\":[1}",
	                                  "{\"b\":{\"c\":1]}",
	                                  "{\"b\":[}]}",
	                                  "{\"b\":{1:2}}",
	                                  "{\"b\":{\"c\"}}",
	                                  "{\"b\":/**/1}",
	                                  "{\"b\":1\v}",
	                                  "{\"b\":1\f}",
	                                  "{\"b\":\302\2401}",
	                                  "{\"\\q\":1}",
	                                  "{\"b\":--1}",
	                                  "{\"b\":1.5.5}",
	                                  "{\"b\":1ee5}",
	                                  "{\"b\":[01]}",
	                                  "{\"b\":[-]}",
	                                  "{\"b\":[\"\\u00\"]}",
	                                  "{]",
	                                  "{\"a\":1]",
	                                  "{\"b\":\\u0031}",
	                                  "{\"b\":undefined}",
	                                  "{\"b\":1,2}"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		static struct leaves leaves;
		struct text got = {0}, object = {0};
		leaves_init(&leaves, one, 1);
		text_clear(&object);
		text_add(&object, "{\"a\":5}\n%s\n{\"a\":6}\n", bad[i]);
		shred_with(&leaves, &usual, object.data, object.n, SIZE_MAX, &got);
		if (strstr(got.data, "|5\n") == NULL || strstr(got.data, "|6\n") == NULL ||
		    strstr(got.data, "reject 1 at 8 not_json") == NULL || strstr(got.data, "reject 2") != NULL)
			fail_msg("%s\n%s", bad[i], got.data);
		free(got.data);
		free(object.data);
	}
	/* NUL is no white space */
	expect_of(one, 1, &usual, "{\"a\":1}\0{\"a\":2}", 15,
	          "row 0 at 0+7 weighs 24:|1\nreject 1 at 7 not_json fault 7 [] \\00{\"a\":2}\n");
	expect_of(one, 1, &usual, "{\"a\":\0}", 7, "reject 0 at 0 not_json fault 5 [] {\"a\":\\00}\n");
}

static void test_duplicate_keys(void **state)
{
	(void)state;
	static const struct wanted wanted[] = {{"p/a", GM_TYPE_BIGINT, 0, false, GM_ON_ERROR_QUARANTINE},
	                                       {"p/b", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
	                                       {"p", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL}};
	/* the second object is all there is; a fault in the first does not count */
	const char *object = "{\"p\":{\"a\":\"x\",\"b\":\"\xFF\"},\"p\":{\"a\":2}}";
	expect_of(wanted, 3, &usual, object, strlen(object), "row 0 at 0+35 weighs 31:|2|null|'{\"a\":2}\n");
	object = "{\"p\":{\"a\":1,\"b\":\"y\"},\"p\":null}";
	expect_of(wanted, 3, &usual, object, strlen(object), "row 0 at 0+30 weighs 16:|null|null|null\n");
	object = "{\"p\":{\"a\":1,\"\\u0061\":2,\"b\":\"y\",\"b\":null}}";
	expect_of(wanted, 3, &usual, object, strlen(object),
	          "row 0 at 0+41 weighs 59:|2|null|'{\"a\":1,\"\\5cu0061\":2,\"b\":\"y\",\"b\":null}\n");
	static struct leaves leaves;
	struct text got = {0};
	leaves_init(&leaves, wanted, 3);
	object = "{\"p\":{\"a\":1,\"a\":2},\"p\":{\"a\":3},\"z\":1,\"z\":2}";
	shred_with(&leaves, &usual, object, strlen(object), SIZE_MAX, &got);
	assert_non_null(strstr(got.data, "duplicates 2 mended 0 nulled 0"));
	free(got.data);
}

static void test_policies(void **state)
{
	(void)state;
	static const struct wanted wanted[] = {{"t", GM_TYPE_TIMESTAMP, GM_UNIT_MS, true, GM_ON_ERROR_NULL},
	                                       {"n", GM_TYPE_INT, 0, false, GM_ON_ERROR_NULL},
	                                       {"q", GM_TYPE_BOOLEAN, 0, false, GM_ON_ERROR_QUARANTINE},
	                                       {"u", GM_TYPE_TIMESTAMP, GM_UNIT_S, false, GM_ON_ERROR_QUARANTINE},
	                                       {"f", GM_TYPE_DATE, 0, false, GM_ON_ERROR_FAIL}};
	static const struct {
		const char *object, *expected;
	} cases[] = {
	    {"{\"t\":1.5}", "row 0 at 0+9 weighs 24:|1000|null|null|null|null\n"},
	    {"{\"t\":-1.5}", "row 0 at 0+10 weighs 24:|-2000|null|null|null|null\n"},
	    {"{\"t\":\" 7 \",\"n\":2147483648}", "row 0 at 0+26 weighs 24:|7000|null|null|null|null\n"},
	    {"{}", "reject 0 at 0 missing_required fault 0 [t] {}\n"},
	    {"{\"t\":null}", "reject 0 at 0 missing_required fault 0 [t] {\"t\":null}\n"},
	    {"{\"t\":\"1.5\"}", "reject 0 at 0 missing_required fault 0 [t] {\"t\":\"1.5\"}\n"},
	    {"{\"t\":253402300799999}", "row 0 at 0+21 weighs 24:|253402300799999000|null|null|null|null\n"},
	    {"{\"t\":253402300800000}", "reject 0 at 0 out_of_range fault 0 [t] {\"t\":253402300800000}\n"},
	    {"{\"t\":-62135596800000}", "row 0 at 0+21 weighs 24:|-62135596800000000|null|null|null|null\n"},
	    {"{\"t\":-62135596800000.1}", "reject 0 at 0 out_of_range fault 0 [t] {\"t\":-62135596800000.1}\n"},
	    {"{\"t\":1,\"q\":0}", "reject 0 at 0 bad_value fault 0 [q] {\"t\":1,\"q\":0}\n"},
	    {"{\"t\":1,\"q\":null,\"u\":253402300800}",
	     "reject 0 at 0 out_of_range fault 0 [u] {\"t\":1,\"q\":null,\"u\":253402300800}\n"},
	    {"{\"t\":1,\"q\":0,\"u\":1e400}", "reject 0 at 0 bad_value fault 0 [q] {\"t\":1,\"q\":0,\"u\":1e400}\n"},
	    {"{\"f\":\"2024-02-29\",\"t\":1}", "row 0 at 0+24 weighs 32:|1000|null|null|null|19782\n"},
	    {"{\"t\":1} {\"q\":1,\"f\":\"2023-02-29\"}",
	     "row 0 at 0+7 weighs 24:|1000|null|null|null|null\nerror VALUE column f: the value "
	     "cannot be converted (record 1, at byte 8 of the inflated object)\n"},
	};
	for (size_t i = 0; i + 1 < sizeof cases / sizeof *cases; i++)
		expect_of(wanted, 5, &usual, cases[i].object, strlen(cases[i].object), cases[i].expected);
	/* where the error falls decides whether rows before it were given: only the message is the same for all windows */
	static struct leaves leaves;
	struct text got = {0};
	leaves_init(&leaves, wanted, 5);
	const char *last = cases[sizeof cases / sizeof *cases - 1].object;
	shred_with(&leaves, &usual, last, strlen(last), SIZE_MAX, &got);
	assert_non_null(strstr(got.data, "error VALUE column f: the value cannot be converted (record 1, at byte 8 of"));
	free(got.data);
}

static void test_counts(void **state)
{
	(void)state;
	static const struct wanted wanted[] = {{"s", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
	                                       {"n", GM_TYPE_BIGINT, 0, false, GM_ON_ERROR_NULL}};
	static struct leaves leaves;
	struct text got = {0};
	const char *object = "\xEF\xBB\xBF{\"s\":\"\xFF\xE2\x82z\"}\n{\"n\":\"x\"}\n{\"n\":true,\"n\":1}\n{\"s\":"
	                     "\"\\ud800\",\"x\":\"\xFF\"}\ngarbage";
	leaves_init(&leaves, wanted, 2);
	shred_with(&leaves, &usual, object, strlen(object), SIZE_MAX, &got);
	assert_non_null(strstr(got.data, "|'\\ef\\bf\\bd\\ef\\bf\\bdz|null\n"));
	assert_non_null(strstr(got.data, "books read 5 quarantined 1 bytes 59+7+7=73 duplicates 1 mended 2 nulled 1\n"));
	free(got.data);
}

static void test_too_large(void **state)
{
	(void)state;
	struct gm_shred_options options = usual;
	options.max_record_bytes = 20;
	expect_of(one, 1, &options, "{\"a\":1,\"b\":\"1234567\"}", 21,
	          "reject 0 at 0 record_too_large fault 20 [] {\"a\":1,\"b\":\"1234567\"}\n");
	expect_of(one, 1, &options, "{\"a\":1,\"b\":\"123456\"}", 20, "row 0 at 0+20 weighs 24:|1\n");
	/* broken behind the limit: too large; broken before it: broken; cut off behind it: too large */
	expect_of(one, 1, &options, "{\"a\":1,\"b\":\"12345678x", 21,
	          "reject 0 at 0 record_too_large fault 20 [] {\"a\":1,\"b\":\"12345678x\n");
	expect_of(one, 1, &options, "{\"a\":1,\"b\":\"123456\"x}", 21,
	          "reject 0 at 0 not_json fault 19 [] {\"a\":1,\"b\":\"123456\"x}\n");
	expect_of(one, 1, &options, "{\"a\":1,\"b\":\"1234567", 19,
	          "reject 0 at 0 truncated fault 19 [] {\"a\":1,\"b\":\"1234567\n");
	const char *object = "{\"a\":1}\n{\"b\":\"01234567890123456789012345678901234567890123456789\"}\n{\"a\":2}";
	expect_of(
	    one, 1, &options, object, strlen(object),
	    "row 0 at 0+7 weighs 24:|1\nrow 2 at 67+7 weighs 24:|2\n"
	    "reject 1 at 8 record_too_large fault 28 [] {\"b\":\"01234567890123456789012345678901234567890123456789\"}\n");
}

/* 200,000 brackets, skipped, taken as text, and left open. */
static void test_nesting(void **state)
{
	(void)state;
	enum { DEPTH = 200000 };
	static const struct wanted wanted[] = {{"s", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL}};
	static struct leaves leaves;
	struct gm_shred_options options = usual;
	options.max_record_bytes = 8 << 20;
	for (int kind = 0; kind < 4; kind++) {
		const char *open = kind % 2 == 0 ? "[" : "{\"s\":", *close = kind % 2 == 0 ? "]" : "}";
		struct text object = {0}, got = {0};
		text_clear(&object);
		text_add(&object, "{\"%s\":", kind < 2 ? "x" : "s");
		for (int i = 0; i < DEPTH; i++) text_add(&object, "%s", open);
		if (kind % 2 == 1) text_add(&object, "1");
		size_t cut = object.n;
		for (int i = 0; i < DEPTH; i++) text_add(&object, "%s", close);
		text_add(&object, "}");
		leaves_init(&leaves, wanted, 1);
		shred_with(&leaves, &options, object.data, object.n, SIZE_MAX, &got);
		char expected[100];
		(void)snprintf(expected, sizeof expected, "row 0 at 0+%zu weighs %zu:|%s", object.n,
		               kind < 2 ? 16 : object.n - 6 + 16,
		               kind < 2        ? "null\n"
		               : kind % 2 == 0 ? "'[[[["
		                               : "'{\"s\":{\"s\":");
		assert_memory_equal(got.data, expected, strlen(expected));
		shred_with(&leaves, &options, object.data, cut, SIZE_MAX, &got);
		assert_memory_equal(got.data, "reject 0 at 0 truncated", 23);
		free(object.data);
		free(got.data);
	}
}

static size_t gzip(const void *data, size_t n, uint8_t *out, size_t room)
{
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)n;
	z.next_out = out;
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	(void)deflateEnd(&z);
	return z.total_out;
}

/* Every cut of a gzip object: the records before it, then one entry for what is left, and the books add up. */
static void test_damaged_streams(void **state)
{
	(void)state;
	static struct leaves leaves;
	struct text got = {0}, object = {0};
	leaves_init(&leaves, one, 1);
	text_clear(&object);
	for (int i = 0; i < 30; i++) text_add(&object, "{\"a\":%d,\"b\":\"%x\"}\n", i, (unsigned)i * 2654435761u);
	uint8_t stored[4096];
	size_t n = gzip(object.data, object.n, stored, sizeof stored);
	for (size_t cut = 4; cut < n; cut++) {
		shred_with(&leaves, &usual, stored, cut, 100, &got);
		char *reject = strstr(got.data, "reject ");
		assert_non_null(reject);
		assert_non_null(strstr(reject, "damaged_stream"));
		assert_null(strstr(reject + 1, "reject "));
	}
	stored[n - 5] ^= 1; /* the checksum: everything was given, and yet */
	shred_with(&leaves, &usual, stored, n, 100, &got);
	assert_non_null(strstr(got.data, "row 29 "));
	char expected[100];
	(void)snprintf(expected, sizeof expected, "reject 30 at %zu damaged_stream fault %zu [] \n", object.n, object.n);
	assert_non_null(strstr(got.data, expected));
	stored[n - 5] ^= 1;
	/* what is unfinished at the damage is one entry, whatever it looks like; so is an open array */
	n = gzip("{\"b\":\n{\"a\":1}\n", 14, stored, sizeof stored);
	shred_with(&leaves, &usual, stored, n - 1, 100, &got);
	assert_memory_equal(got.data, "reject 0 at 0 damaged_stream fault 14 [] {\"b\":\\0a{\"a\":1}\\0a\nbooks", 63);
	n = gzip("[{\"a\":1},", 9, stored, sizeof stored);
	shred_with(&leaves, &usual, stored, n - 1, 100, &got);
	assert_memory_equal(got.data, "row 0 at 1+7 weighs 24:|1\nreject 1 at 9 damaged_stream fault 9 [] \nbooks", 72);
	free(got.data);
	free(object.data);
}

/* --- Representations ---------------------------------------------------------------------------------------------- */

static const struct wanted strings[] = {{"id", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
                                        {"few", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL}};

static enum gm_code no_reject(void *context, const struct gm_reject *reject, const void *data, size_t bytes, bool last,
                              struct gm_error *err)
{
	(void)context, (void)data, (void)bytes, (void)last;
	return gm_error_set(err, GM_BUG, "rejected: %s", reject->detail);
}

/* Reads lines {"id":..,"few":..} whose values are known, and notes which representations were met. */
static void read_lines(struct gm_shredder *shredder, const struct text *object, uint64_t first, uint64_t count,
                       unsigned *reprs)
{
	struct object source = {(const uint8_t *)object->data, object->n, 0, SIZE_MAX};
	struct gm_chunk *chunk;
	struct gm_error err;
	uint64_t row = first;
	gm_shredder_begin(shredder, object_source, no_reject, &source);
	for (;;) {
		enum gm_code rc = gm_shredder_next(shredder, 0, &chunk, &err);
		if (rc != GM_OK) fail_msg("%s", err.message);
		if (chunk == NULL) break;
		assert_true(chunk->rows <= GM_CHUNK_ROWS);
		for (uint32_t i = 0; i < chunk->rows; i++, row++) {
			char id[40], few[40];
			uint32_t len;
			(void)snprintf(id, sizeof id, "id-%llu", (unsigned long long)row * 7919);
			(void)snprintf(few, sizeof few, "v%llu", (unsigned long long)row % 17);
			const uint8_t *bytes = gm_vec_string(&chunk->vec[0], i, &len);
			assert_false(gm_vec_is_null(&chunk->vec[0], i));
			assert_int_equal(len, strlen(id));
			assert_memory_equal(bytes, id, len);
			assert_int_equal(gm_vec_is_null(&chunk->vec[1], i), row % 17 == 3);
			if (row % 17 == 3) continue;
			bytes = gm_vec_string(&chunk->vec[1], i, &len);
			assert_int_equal(len, strlen(few));
			assert_memory_equal(bytes, few, len);
		}
		reprs[0] |= 1u << chunk->vec[0].repr;
		reprs[1] |= 1u << chunk->vec[1].repr;
		gm_chunk_unref(chunk);
	}
	assert_int_equal(row, first + count);
}

static void write_lines(struct text *object, uint64_t first, uint64_t count)
{
	text_clear(object);
	for (uint64_t row = first; row < first + count; row++) {
		text_add(object, "{\"id\":\"id-%llu\",\"few\":", (unsigned long long)row * 7919);
		text_add(object, row % 17 == 3 ? "null}\n" : "\"v%llu\"}\n", (unsigned long long)row % 17);
	}
}

/* Distinct values leave the dictionary, others stay; values are the same either way. */
static void test_dictionary_or_plain(void **state)
{
	(void)state;
	static struct leaves leaves;
	struct gm_chunk_pool *pool = gm_chunk_pool_new();
	struct gm_shredder *shredder;
	struct gm_error err;
	struct text object = {0};
	unsigned reprs[2] = {0, 0};
	leaves_init(&leaves, strings, 2);
	assert_int_equal(gm_shredder_new(leaves.leaf, 2, &usual, pool, &shredder, &err), GM_OK);
	write_lines(&object, 0, 30000);
	read_lines(shredder, &object, 0, 30000, reprs);
	assert_int_equal(reprs[0], 1u << GM_REPR_DICT | 1u << GM_REPR_PLAIN);
	assert_int_equal(reprs[1], 1u << GM_REPR_DICT);
	reprs[0] = reprs[1] = 0;
	write_lines(&object, 30000, 5000); /* remembered in the next object */
	read_lines(shredder, &object, 30000, 5000, reprs);
	assert_int_equal(reprs[0], 1u << GM_REPR_PLAIN);
	for (uint64_t i = 0; i < 12; i++) { /* and tried again some day */
		write_lines(&object, 35000 + i * 100000, 100000);
		read_lines(shredder, &object, 35000 + i * 100000, 100000, reprs);
	}
	assert_int_equal(reprs[0], 1u << GM_REPR_DICT | 1u << GM_REPR_PLAIN);
	gm_shredder_free(shredder);
	gm_chunk_pool_free(pool);
	free(object.data);
}

/* Dictionaries start afresh at their limit, while chunks that use the old ones are alive. */
static void test_dictionary_limit(void **state)
{
	(void)state;
	static struct leaves leaves;
	static const struct wanted wanted[] = {{"id", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL}};
	struct gm_chunk_pool *pool = gm_chunk_pool_new();
	struct gm_shred_options options = usual;
	struct gm_shredder *shredder;
	struct gm_error err;
	struct gm_chunk *chunks[400];
	size_t count = 0;
	options.dict_bytes_max = 1 << 20;
	leaves_init(&leaves, wanted, 1);
	assert_int_equal(gm_shredder_new(leaves.leaf, 1, &options, pool, &shredder, &err), GM_OK);
	struct text object = {0};
	text_clear(&object);
	/* each value comes twice: not distinct enough to go plain */
	for (unsigned i = 0; i < 100000; i++) text_add(&object, "{\"id\":\"a value of some length %u\"}\n", i / 2 * 7);
	struct object source = {(const uint8_t *)object.data, object.n, 0, SIZE_MAX};
	gm_shredder_begin(shredder, object_source, no_reject, &source);
	for (;; count++) {
		assert_true(count < 400);
		assert_int_equal(gm_shredder_next(shredder, 0, &chunks[count], &err), GM_OK);
		if (chunks[count] == NULL) break;
	}
	unsigned row = 0, dictionaries = 0;
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(chunks[i]->vec[0].repr, GM_REPR_DICT);
		dictionaries += i > 0 && chunks[i]->vec[0].dict != chunks[i - 1]->vec[0].dict;
		assert_true(gm_dict_memory_bytes(chunks[i]->vec[0].dict) < 2 << 20);
		for (uint32_t j = 0; j < chunks[i]->rows; j++, row++) {
			char expected[50];
			uint32_t len;
			(void)snprintf(expected, sizeof expected, "a value of some length %u", row / 2 * 7);
			const uint8_t *bytes = gm_vec_string(&chunks[i]->vec[0], j, &len);
			assert_int_equal(len, strlen(expected));
			assert_memory_equal(bytes, expected, len);
		}
	}
	assert_int_equal(row, 100000);
	assert_true(dictionaries >= 2);
	gm_shredder_free(shredder);
	for (size_t i = 0; i < count; i++) gm_chunk_unref(chunks[i]);
	gm_chunk_pool_free(pool);
	free(object.data);
}

/* A value of 100,000 bytes among small ones makes its chunk plain, in the middle of it, and no other. */
static void test_long_value(void **state)
{
	(void)state;
	static struct leaves leaves;
	static const struct wanted wanted[] = {{"few", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL}};
	struct text object = {0}, expected = {0}, got = {0};
	leaves_init(&leaves, wanted, 1);
	text_clear(&object);
	for (int i = 0; i < 3000; i++) {
		text_add(&object, i % 7 == 0 ? "{}\n" : "{\"few\":\"v%d\"}\n", i % 17);
		if (i != 1000 && i != 2900) continue;
		text_add(&object, "{\"few\":\"");
		for (int j = 0; j < 100000; j++) text_add(&object, "%c", 'a' + j % 26);
		text_add(&object, "\"}\n");
	}
	reference_read(&leaves, 1 << 20, (const uint8_t *)object.data, object.n, &expected);
	for (size_t window = 16; window < 1 << 22; window *= 8) {
		struct gm_shred_options options = usual;
		options.window_bytes = window;
		shred_with(&leaves, &options, object.data, object.n, 1000, &got);
		assert_string_equal(got.data, expected.data);
	}
	free(object.data);
	free(expected.data);
	free(got.data);
}

static void test_wants_nothing(void **state)
{
	(void)state;
	expect_of(one, 0, &usual, "{\"a\":1}{}\nx", 11,
	          "row 0 at 0+7 weighs 16:\nrow 1 at 7+2 weighs 16:\nreject 2 at 10 not_json fault 10 [] x\n");
}

/* More keys in an object than are remembered, in another order each time: the wanted one is found wherever it
 * stands. */
static void test_many_keys(void **state)
{
	(void)state;
	enum { KEYS = 700, RECORDS = 6 };
	static struct leaves leaves;
	struct text object = {0}, expected = {0}, got = {0};
	leaves_init(&leaves, one, 1);
	text_clear(&object);
	text_clear(&expected);
	for (unsigned record = 0; record < RECORDS; record++) {
		size_t start = object.n;
		text_add(&object, "{");
		for (unsigned i = 0; i < KEYS; i++) {
			unsigned key = record % 2 == 0 ? i : i * 11 % KEYS;
			if (i == record * 139) text_add(&object, "\"a\":%u,", record);
			text_add(&object, "\"key %u\":%s,", key, key % 3 == 0 ? "null" : key % 3 == 1 ? "\"x\"" : "-1.5e3");
		}
		text_add(&object, "\"\":0}");
		text_add(&expected, "row %u at %zu+%zu weighs 24:|%u\n", record, start, object.n - start, record);
		text_add(&object, "\n");
	}
	shred_with(&leaves, &usual, object.data, object.n, SIZE_MAX, &got);
	char *books = strstr(got.data, "books ");
	assert_non_null(books);
	*books = '\0';
	assert_string_equal(got.data, expected.data);
	free(object.data);
	free(expected.data);
	free(got.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_documents),        cmocka_unit_test(test_arrays),
	    cmocka_unit_test(test_broken_elements),  cmocka_unit_test(test_resuming),
	    cmocka_unit_test(test_strictness),       cmocka_unit_test(test_duplicate_keys),
	    cmocka_unit_test(test_policies),         cmocka_unit_test(test_counts),
	    cmocka_unit_test(test_too_large),        cmocka_unit_test(test_nesting),
	    cmocka_unit_test(test_damaged_streams),  cmocka_unit_test(test_dictionary_or_plain),
	    cmocka_unit_test(test_dictionary_limit), cmocka_unit_test(test_long_value),
	    cmocka_unit_test(test_wants_nothing),    cmocka_unit_test(test_many_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
