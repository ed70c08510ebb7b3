/* The native functions of text and of the access log, by hand-made cases, by the recorded answers of the production
 * job, and each fast way against its general one. tests/fuzz_functions.py compares them with Python. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/unicode.h"
#include "job/functions/normalize_url.h"
#include "job/functions/functions.h"
#include "job/functions/text.h"

enum { LIMIT = 1 << 20 };

static struct gm_function_scratch new_scratch(void)
{
	struct gm_function_scratch scratch;
	gm_buf_init(&scratch.out, LIMIT);
	gm_buf_init(&scratch.work, LIMIT);
	return scratch;
}

static void release(struct gm_function_scratch *scratch)
{
	gm_buf_release(&scratch->out);
	gm_buf_release(&scratch->work);
}

static struct gm_value string(const void *bytes, size_t n)
{
	return (struct gm_value){.type = GM_TYPE_STRING, .len = (uint32_t)n, .bytes = bytes};
}

static struct gm_value text(const char *text)
{
	return string(text, strlen(text));
}

static struct gm_value bigint(int64_t value)
{
	return (struct gm_value){.type = GM_TYPE_BIGINT, .i64 = value};
}

static bool equal(const struct gm_value *a, const struct gm_value *b)
{
	if (a->null || b->null) return a->null && b->null;
	if (a->type != b->type) return false;
	if (a->type == GM_TYPE_STRING) return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
	return a->type == GM_TYPE_BOOLEAN ? a->boolean == b->boolean : a->i64 == b->i64;
}

/* Calls with arguments in blocks of their exact size, so that a sanitizer sees what reads past them. */
static enum gm_code call(gm_function_fn *function, struct gm_function_scratch *scratch, const struct gm_value *args,
                         size_t count, struct gm_value *result)
{
	struct gm_value copies[GM_FUNCTION_MAX_ARGS];
	struct gm_error err = {0};
	memcpy(copies, args, count * sizeof *args);
	for (size_t i = 0; i < count; i++) {
		if (args[i].null || args[i].type != GM_TYPE_STRING) continue;
		uint8_t *copy = malloc(args[i].len + (args[i].len == 0));
		assert_non_null(copy);
		memcpy(copy, args[i].bytes, args[i].len);
		copies[i].bytes = copy;
	}
	scratch->out.len = 0;
	*result = (struct gm_value){0};
	enum gm_code rc = function(scratch, copies, count, result, &err);
	if (rc != GM_OK) assert_int_equal(err.code, rc);
	for (size_t i = 0; i < count; i++) {
		if (args[i].null || args[i].type != GM_TYPE_STRING) continue;
		const uint8_t *copy = copies[i].bytes;
		bool inside = rc == GM_OK && !result->null && result->type == GM_TYPE_STRING && result->bytes >= copy &&
		              result->bytes <= copy + args[i].len;
		if (inside) result->bytes = args[i].bytes + (result->bytes - copy);
		free((void *)(uintptr_t)copy);
	}
	return rc;
}

/* --- The recorded answers ----------------------------------------------------------------------------------------- */

static struct gm_value of_json(const json_t *json, enum gm_type type)
{
	if (json_is_string(json)) return string(json_string_value(json), json_string_length(json));
	if (json_is_integer(json)) return bigint(json_integer_value(json));
	assert_true(json_is_null(json));
	return (struct gm_value){.type = type, .null = true};
}

static void check_vector(const json_t *row, gm_function_fn *function, const char *input, const char *output,
                         enum gm_type type, struct gm_function_scratch *scratch)
{
	struct gm_value arg = of_json(json_object_get(row, input), GM_TYPE_STRING), result;
	struct gm_value expected = of_json(json_object_get(row, output), type);
	if (arg.null && function != gm_fn_synapse_client) return;
	assert_int_equal(call(function, scratch, &arg, 1, &result), GM_OK);
	if (!equal(&result, &expected)) fail_msg("%s of %.*s", output, (int)arg.len, (const char *)arg.bytes);
}

static void test_vectors(void **state)
{
	(void)state;
	struct gm_function_scratch scratch = new_scratch();
	char line[1 << 16];
	size_t count = 0;
	FILE *file = fopen(GM_TEST_VECTORS, "r");
	assert_non_null(file);
	for (; fgets(line, sizeof line, file) != NULL; count++) {
		json_t *row = json_loads(line, JSON_ALLOW_NUL, NULL);
		assert_non_null(row);
		if (json_object_get(row, "request_url") != NULL) {
			check_vector(row, gm_fn_synapse_normalize_url, "request_url", "normalized", GM_TYPE_STRING, &scratch);
			check_vector(row, gm_fn_synapse_entity_id, "request_url", "entity_id", GM_TYPE_BIGINT, &scratch);
		} else {
			check_vector(row, gm_fn_synapse_client, "user_agent", "client", GM_TYPE_STRING, &scratch);
			check_vector(row, gm_fn_synapse_client_version, "user_agent", "client_version", GM_TYPE_STRING, &scratch);
		}
		json_decref(row);
	}
	assert_int_equal(fclose(file), 0);
	assert_int_equal(count, 3316);
	release(&scratch);
}

/* --- Cases by hand ------------------------------------------------------------------------------------------------ */

static const struct {
	const char *url, *normalized;
} urls[] = {
    {"", "INVALID URL"},
    {"/v1", "INVALID URL"},
    {"/v1/", "/"},
    {"/v1/1", "/#"},
    {"/v1/12/", "/#/"},
    {"/V1/A", "/a"},
    {"/repo/v1/entity/syn123/bundle2", "/entity/#/bundle2"},
    {"/repo/v1/entity/syn123.45", "/entity/#"},
    {"/repo/v1/entity/syn123a", "/entity/syn123a"},
    {"/repo/v1/entity/syn", "/entity/syn"},
    {"/repo/v1/entity/xsyn1/fh7/fhx", "/entity/xsyn1/#/fhx"},
    {"/repo/v1/entity/12a/a12/_1/1_", "/entity/#/a12/_1/#"},
    {"/repo/v1/entity/md5x", "/entity/md5/#"},
    {"/repo/v1/2fa/X;y-1", "/2fa/x;y-1"},
    {"/repo/v1/user/bundle/1", "/user/bundle"},
    {"/repo/v1/a/access", "/a/access"},
    {"/repo/v1/a/access/", "/objects/#/access/#"},
    {"/repo/v1/schema/type/registered/a/access/", "/objects/#/access/#"},
    {"/repo/v1/schema/type/registered", "/schema/type/registered"},
    {"/repo/v1/schema/type/registered/", "/schema/type/registered/#"},
    {"/v1/a;b/c;/d;;e/;", "/a/c/d/"},
    {"/v1/a%2f1", "/a/#"},
    {"/v1/%73yn1/%53yn1", "/#/Syn1"},   /* decoded after lower-casing, and not lower-cased again */
    {"/v1/%2541/%4/%/%%41", "/#/#//A"}, /* decoded once; what is no escape stays, and % is no word */
    {"/v\t1/\x1C"
     "a b\n",
     "/ab"},
    {"/%761/x", "/x"},
    {"/v1/a%C3%A9/%C3/%E2%80%A8x", "/a\xC3\xA9//x"},
    {"/v1/\xD9\xA3\xD9\xA4/syn\xD9\xA3/\xC2\xB2x", "/#/#/\xC2\xB2x"},
    {"/v1/\xC4\xB0/A\xCE\xA3", "/i/a\xCF\x82"},
};

static void test_urls(void **state)
{
	(void)state;
	struct gm_function_scratch scratch = new_scratch();
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		struct gm_value url = text(urls[i].url), expected = text(urls[i].normalized), result;
		assert_int_equal(call(gm_fn_synapse_normalize_url, &scratch, &url, 1, &result), GM_OK);
		if (!equal(&result, &expected))
			fail_msg("%s gives %.*s", urls[i].url, (int)result.len, (const char *)result.bytes);
	}
	release(&scratch);
}

struct text_case {
	gm_function_fn *function;
	size_t count;
	struct gm_value args[3], result;
};

#define T(literal)                                                                              \
	{                                                                                           \
		.type = GM_TYPE_STRING, .len = sizeof(literal) - 1, .bytes = (const uint8_t *)(literal) \
	}
#define I(value)                               \
	{                                          \
		.type = GM_TYPE_BIGINT, .i64 = (value) \
	}
#define B(value)                                    \
	{                                               \
		.type = GM_TYPE_BOOLEAN, .boolean = (value) \
	}
#define NONE         \
	{                \
		.null = true \
	}

/* Expected values from the documentation of Trino. */
static const struct text_case text_cases[] = {
    {gm_fn_strip_leading_zeros, 1, {T("000000490")}, T("490")},
    {gm_fn_strip_leading_zeros, 1, {T("000")}, T("")},
    {gm_fn_strip_leading_zeros, 1, {T("")}, T("")},
    {gm_fn_synapse_entity_id, 1, {T("/entity/9223372036854775807")}, I(INT64_MAX)},
    {gm_fn_synapse_entity_id, 1, {T("/entity/9223372036854775808")}, NONE},
    {gm_fn_synapse_entity_id, 1, {T("/Entity/syn/entity/SYN007x")}, I(7)},
    {gm_fn_synapse_entity_id,
     1,
     {T("\x0F"
        "entity\x0F"
        "1")},
     NONE},
    {gm_fn_lower, 1, {T("A\xC4\xB0\xCE\xA3")}, T("ai\xCF\x83")},
    {gm_fn_upper, 1, {T("a\xC3\x9F\xC3\xBF")}, T("A\xC3\x9F\xC5\xB8")},
    {gm_fn_trim,
     1,
     {T(" \t\xE3\x80\x80"
        "a b\x1C ")},
     T("a b")},
    {gm_fn_trim, 1, {T("\xC2\xA0x\xC2\xA0")}, T("\xC2\xA0x\xC2\xA0")},
    {gm_fn_trim, 1, {T("   ")}, T("")},
    {gm_fn_ltrim, 2, {T("\xC3\xA9xxa"), T("x\xC3\xA9")}, T("a")},
    {gm_fn_rtrim, 2, {T("axx"), T("")}, T("axx")},
    {gm_fn_replace, 3, {T("aXbXc"), T("X"), T("--")}, T("a--b--c")},
    {gm_fn_replace, 2, {T("aXbXc"), T("X")}, T("abc")},
    {gm_fn_replace, 3, {T("a\xC3\xA9"), T(""), T("-")}, T("-a-\xC3\xA9-")},
    {gm_fn_length, 1, {T("a\xC3\xA9\xF0\x9F\x98\x80")}, I(3)},
    {gm_fn_substr,
     3,
     {T("a\xC3\xA9"
        "bc"),
      I(2), I(2)},
     T("\xC3\xA9"
       "b")},
    {gm_fn_substr,
     2,
     {T("a\xC3\xA9"
        "bc"),
      I(-3)},
     T("\xC3\xA9"
       "bc")},
    {gm_fn_substr, 2, {T("abc"), I(-4)}, T("")},
    {gm_fn_substr, 2, {T("abc"), I(0)}, T("")},
    {gm_fn_substr, 3, {T("abc"), I(INT64_MIN), I(INT64_MAX)}, T("")},
    {gm_fn_strpos, 2, {T("\xC3\xA9high"), T("h")}, I(2)},
    {gm_fn_strpos, 3, {T("\xC3\xA9high"), T("h"), I(2)}, I(5)},
    {gm_fn_strpos, 3, {T("aaaa"), T("aa"), I(-1)}, I(3)},
    {gm_fn_strpos, 2, {T("abc"), T("abcd")}, I(0)},
    {gm_fn_split_part, 3, {T("a,b,"), T(","), I(3)}, T("")},
    {gm_fn_split_part, 3, {T("a,b,"), T(","), I(4)}, NONE},
    {gm_fn_split_part, 3, {T("a\xC3\xA9"), T(""), I(2)}, T("\xC3\xA9")},
    {gm_fn_concat, 3, {T("a"), T(""), T("b")}, T("ab")},
    {gm_fn_url_decode, 1, {T("a+b%20%c3%A9%FF")}, T("a b \xC3\xA9\xEF\xBF\xBD")},
    {gm_fn_reverse,
     1,
     {T("a\xC3\xA9\xF0\x9F\x98\x80")},
     T("\xF0\x9F\x98\x80\xC3\xA9"
       "a")},
    {gm_fn_starts_with, 2, {T("abc"), T("ab")}, B(true)},
    {gm_fn_starts_with, 2, {T("ab"), T("abc")}, B(false)},
    {gm_fn_lpad,
     3,
     {T("7"), I(4), T("\xC3\xA9x")},
     T("\xC3\xA9x\xC3\xA9"
       "7")},
    {gm_fn_rpad,
     3,
     {T("\xC3\xA9"
        "abc"),
      I(2), T("x")},
     T("\xC3\xA9"
       "a")},
    {gm_fn_chr, 1, {I(0x1F600)}, T("\xF0\x9F\x98\x80")},
    {gm_fn_chr, 1, {I(0)}, T("\0")},
    {gm_fn_codepoint, 1, {T("\xF0\x9F\x98\x80")}, I(0x1F600)},
    {gm_fn_abs, 1, {I(-5)}, I(5)},
};

/* What is refused. */
static const struct text_case refused_cases[] = {
    {gm_fn_strpos, 3, {T("a"), T("a"), I(0)}, NONE},
    {gm_fn_split_part, 3, {T("a"), T(","), I(0)}, NONE},
    {gm_fn_url_decode, 1, {T("%2")}, NONE},
    {gm_fn_url_decode, 1, {T("%zz")}, NONE},
    {gm_fn_lpad, 3, {T("a"), I(3), T("")}, NONE},
    {gm_fn_rpad, 3, {T("a"), I(-1), T("x")}, NONE},
    {gm_fn_rpad, 3, {T("a"), I(1 << 30), T("x")}, NONE},
    {gm_fn_chr, 1, {I(0xD800)}, NONE},
    {gm_fn_chr, 1, {I(0x110000)}, NONE},
    {gm_fn_chr, 1, {I(-1)}, NONE},
    {gm_fn_codepoint, 1, {T("")}, NONE},
    {gm_fn_codepoint, 1, {T("ab")}, NONE},
    {gm_fn_abs, 1, {I(INT64_MIN)}, NONE},
};

static void test_text(void **state)
{
	(void)state;
	struct gm_function_scratch scratch = new_scratch();
	struct gm_value result;
	for (size_t i = 0; i < sizeof text_cases / sizeof text_cases[0]; i++) {
		const struct text_case *test = &text_cases[i];
		assert_int_equal(call(test->function, &scratch, test->args, test->count, &result), GM_OK);
		if (!equal(&result, &test->result)) fail_msg("case %zu", i);
	}
	for (size_t i = 0; i < sizeof refused_cases / sizeof refused_cases[0]; i++) {
		const struct text_case *test = &refused_cases[i];
		if (call(test->function, &scratch, test->args, test->count, &result) != GM_VALUE) fail_msg("case %zu", i);
	}
	release(&scratch);
}

static void test_unknown_client(void **state)
{
	(void)state;
	struct gm_function_scratch scratch = new_scratch();
	struct gm_value null = {.type = GM_TYPE_STRING, .null = true}, expected = text("UNKNOWN"), result;
	assert_int_equal(call(gm_fn_synapse_client, &scratch, &null, 1, &result), GM_OK);
	assert_true(equal(&result, &expected));
	release(&scratch);
}

/* --- Two ways ----------------------------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* ASCII made of pieces that matter and of stray bytes. */
static size_t random_url(uint64_t *seed, char *out)
{
	static const char *const pieces[] = {
	    "/v1/",
	    "/repo/v1/",
	    "/V1/",
	    "/",
	    "//",
	    ";",
	    ";a",
	    "%2F",
	    "%3b",
	    "%",
	    "%%",
	    "%4",
	    "%41",
	    "%7E",
	    "%20",
	    "syn",
	    "SYN",
	    "fh",
	    "1",
	    "12",
	    "123456",
	    "12a",
	    "_",
	    "entity",
	    "/entity/",
	    "/access/",
	    "/access",
	    "/schema/type/registered/",
	    "/user/bundle",
	    "/2fa",
	    "/entity/md5",
	    " ",
	    "\t",
	    "\x1F",
	    ".",
	    "-",
	    "bundle",
	    "/entity/alias",
	    "/evaluation/name",
	    "\x7F",
	};
	size_t n = 0, count = next_random(seed) % 14;
	if (next_random(seed) % 4 > 0) n = (size_t)(stpcpy(out, "/repo/v1/") - out);
	for (size_t i = 0; i < count; i++) {
		uint64_t draw = next_random(seed);
		if (draw % 5 == 0) {
			out[n++] = (char)(draw >> 32 & 0x7F);
		} else {
			const char *piece = pieces[(draw >> 32) % (sizeof pieces / sizeof pieces[0])];
			memcpy(out + n, piece, strlen(piece));
			n += strlen(piece);
		}
	}
	return n;
}

static bool short_done;
static gm_function_fn normalize_short;

static enum gm_code normalize_short(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                    struct gm_value *result, struct gm_error *err)
{
	(void)count;
	return gm_normalize_url_short(scratch, args, result, &short_done, err);
}

/* Whether the way for short URLs takes the URL: if so, it must give what is expected. */
static bool check_short(const struct gm_value *url, const struct gm_value *expected)
{
	struct gm_function_scratch scratch = new_scratch();
	struct gm_value result;
	assert_int_equal(call(normalize_short, &scratch, url, 1, &result), GM_OK);
	if (short_done && !equal(&result, expected))
		fail_msg("%.*s gives %.*s", (int)url->len, (const char *)url->bytes, (int)result.len,
		         (const char *)result.bytes);
	release(&scratch);
	return short_done;
}

/* Every length and every place of a word, around the limits of what is looked at in one step. */
static void test_short_way_is_the_general_way(void **state)
{
	(void)state;
	static const char *const words[] = {"syn1",    "fh12",   "syn12x", "a1",   "1-2",   "b.c-d",       "X;y/1",
	                                    "access/", "access", "_",      "//",   "/v1/2", "Syn345",      "entity/",
	                                    "s.yn9",   "fhsyn1", "f-h7",   "\x7F", "{1}",   "/user/bundle"};
	static const char *const heads[] = {"/v1/", "/repo/v1/", "/v/V1/", "//v1/", "", "/v1", "/v1/v1/"};
	struct gm_function_scratch general = new_scratch();
	for (size_t i = 0; i < sizeof words / sizeof words[0] * (sizeof heads / sizeof heads[0]); i++) {
		const char *word = words[i / (sizeof heads / sizeof heads[0])],
		           *head = heads[i % (sizeof heads / sizeof heads[0])];
		for (int before = 0; before < 60; before++) {
			for (int after = 0; after < 70; after++) {
				char bytes[256];
				int n = sprintf(bytes, "%s%.*s/%s%s%.*s", head, before,
				                "Ab/cdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", word,
				                after % 2 == 0 ? "/" : "", after / 2, "z9/yxwvutsrqponmlkjihgfedcba_0123456789");
				struct gm_value url = string(bytes, (size_t)n), expected;
				general.out.len = 0;
				assert_int_equal(gm_normalize_url_general(&general, &url, &expected, NULL), GM_OK);
				bool taken = check_short(&url, &expected);
				assert_true(taken == (n < 64));
			}
		}
	}
	release(&general);
}

/* What the rule says: the first /entity/, in any case, that syn or nothing and a number follow. */
static struct gm_value entity_by_the_rule(const char *text)
{
	for (const char *at = text; *at != '\0'; at++) {
		if (strncasecmp(at, "/entity/", 8) != 0) continue;
		const char *id = at + 8;
		if (strncasecmp(id, "syn", 3) == 0) id += 3;
		if (*id < '0' || *id > '9') continue;
		errno = 0;
		int64_t number = strtoll(id, NULL, 10);
		return errno != 0 ? (struct gm_value){.type = GM_TYPE_BIGINT, .null = true} : bigint(number);
	}
	return (struct gm_value){.type = GM_TYPE_BIGINT, .null = true};
}

static void test_entities(void **state)
{
	(void)state;
	static const char *const pieces[] = {"/entity/",
	                                     "/ENTITY/",
	                                     "/Entity",
	                                     "/entity/syn",
	                                     "syn",
	                                     "SYN",
	                                     "s",
	                                     "y",
	                                     "7",
	                                     "12",
	                                     "00",
	                                     "123456789012345678",
	                                     "9223372036854775807",
	                                     "/",
	                                     "entity/",
	                                     "\x0F"
	                                     "entity/",
	                                     "/entit\x19/",
	                                     "x",
	                                     "E",
	                                     "\x10",
	                                     "9223372036854775808",
	                                     "1234567890123456789"};
	struct gm_function_scratch scratch = new_scratch();
	uint64_t seed = 3;
	size_t found = 0;
	for (int i = 0; i < 200000; i++) {
		char bytes[512] = "";
		for (uint64_t count = next_random(&seed) % 8; count > 0; count--)
			strcat(bytes, pieces[next_random(&seed) % (sizeof pieces / sizeof pieces[0])]);
		struct gm_value url = text(bytes), expected = entity_by_the_rule(bytes), result;
		assert_int_equal(call(gm_fn_synapse_entity_id, &scratch, &url, 1, &result), GM_OK);
		if (!equal(&result, &expected)) fail_msg("%s gives %" PRId64, bytes, result.null ? -1 : result.i64);
		found += !expected.null;
	}
	assert_true(found > 10000);
	release(&scratch);
}

static void test_ascii_way_is_the_general_way(void **state)
{
	(void)state;
	struct gm_function_scratch fast = new_scratch(), general = new_scratch();
	uint64_t seed = 42;
	char bytes[1024];
	size_t declined = 0, short_ones = 0;
	for (int i = 0; i < 200000; i++) {
		struct gm_value url = string(bytes, random_url(&seed, bytes)), a, b;
		bool done;
		fast.out.len = general.out.len = 0;
		assert_int_equal(gm_normalize_url_ascii(&fast, &url, &a, &done, NULL), GM_OK);
		assert_int_equal(gm_normalize_url_general(&general, &url, &b, NULL), GM_OK);
		declined += !done;
		if (done && !equal(&a, &b)) fail_msg("round %d: %.*s", i, (int)url.len, bytes);
		short_ones += check_short(&url, &b);
		general.out.len = fast.out.len = 0;
		for (int upper = 0; upper < 2; upper++) {
			general.out.len = 0;
			assert_int_equal(gm_text_map(&url, upper != 0, &general.out, NULL), GM_OK);
			b = string(general.out.data, general.out.len);
			assert_int_equal(call(upper != 0 ? gm_fn_upper : gm_fn_lower, &fast, &url, 1, &a), GM_OK);
			if (url.len > 0) assert_true(equal(&a, &b));
		}
	}
	assert_true(short_ones > 20000);
	assert_true(declined < 2000); /* two pieces side by side, such as % and ac, can decode to more than ASCII */
	release(&fast);
	release(&general);
}

/* --- Memory ------------------------------------------------------------------------------------------------------- */

static void test_no_allocation_after_warm_up(void **state)
{
	(void)state;
	struct gm_function_scratch scratch = new_scratch();
	uint64_t seed = 7;
	char bytes[1024];
	struct gm_value result;
	memset(bytes, '%', sizeof bytes);
	bytes[0] = '\xC3';
	bytes[1] = '\xA9';
	struct gm_value longest = string(bytes, sizeof bytes);
	assert_int_equal(call(gm_fn_synapse_normalize_url, &scratch, &longest, 1, &result), GM_OK);
	const uint8_t *out = scratch.out.data, *work = scratch.work.data;
	for (int i = 0; i < 1000; i++) {
		struct gm_value url = string(bytes, random_url(&seed, bytes));
		assert_int_equal(call(gm_fn_synapse_normalize_url, &scratch, &url, 1, &result), GM_OK);
		assert_int_equal(call(gm_fn_synapse_client_version, &scratch, &url, 1, &result), GM_OK);
		assert_int_equal(call(gm_fn_lower, &scratch, &url, 1, &result), GM_OK);
	}
	assert_ptr_equal(out, scratch.out.data);
	assert_ptr_equal(work, scratch.work.data);
	release(&scratch);
}

/* Every function that builds text stops at the limit, whatever it was about to do. */
static void test_limit(void **state)
{
	(void)state;
	static const struct text_case cases[] = {
	    {gm_fn_synapse_normalize_url,
	     1,
	     {T("/v1/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")},
	     NONE},
	    {gm_fn_synapse_normalize_url,
	     1,
	     {T("/v1/%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF")},
	     NONE},
	    {gm_fn_lower,
	     1,
	     {T("\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA"
	        "\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA\xC8\xBA")},
	     NONE},
	    {gm_fn_replace, 3, {T("aaaaaaaaaa"), T("a"), T("bbbbbbbb")}, NONE},
	    {gm_fn_replace, 3, {T("aaaaaaaaaa"), T(""), T("bbbbbbbb")}, NONE},
	    {gm_fn_lpad, 3, {T("a"), I(65), T("x")}, NONE},
	    {gm_fn_rpad, 3, {T("a"), I(40), T("\xC3\xA9")}, NONE},
	};
	struct gm_function_scratch scratch = new_scratch();
	scratch.out.max_bytes = scratch.work.max_bytes = 64;
	struct gm_value result;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		if (call(cases[i].function, &scratch, cases[i].args, cases[i].count, &result) != GM_VALUE)
			fail_msg("case %zu", i);
		assert_true(scratch.out.len <= 64);
	}
	release(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_vectors),
	    cmocka_unit_test(test_urls),
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_unknown_client),
	    cmocka_unit_test(test_ascii_way_is_the_general_way),
	    cmocka_unit_test(test_short_way_is_the_general_way),
	    cmocka_unit_test(test_entities),
	    cmocka_unit_test(test_no_allocation_after_warm_up),
	    cmocka_unit_test(test_limit),
	};
	return cmocka_run_group_tests_name("functions", tests, NULL, NULL);
}
