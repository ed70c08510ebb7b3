/* differential.c - random objects, sound and mutated, read by the shredder and by the plain reference: same rows, same
 * rejects, same books, for every level of processor, every window size and every way to hand the bytes over. A failing
 * seed is printed; give it as the only argument to repeat it. */
#include "harness.h"

#include "base/cpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t state;

static uint32_t rnd(uint32_t below)
{
	state += UINT64_C(0x9E3779B97F4A7C15);
	uint64_t z = (state ^ (state >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return (uint32_t)((z ^ (z >> 31)) >> 32) % below;
}

static const struct wanted wanted[] = {
    {"a", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
    {"b", GM_TYPE_BIGINT, 0, false, GM_ON_ERROR_NULL},
    {"p/a", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
    {"p/t", GM_TYPE_TIMESTAMP, GM_UNIT_MS, false, GM_ON_ERROR_NULL},
    {"p/q/x", GM_TYPE_DOUBLE, 0, false, GM_ON_ERROR_NULL},
    {"p/q", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
    {"p/b", GM_TYPE_BOOLEAN, 0, false, GM_ON_ERROR_QUARANTINE},
    {"b", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
    {"d", GM_TYPE_DATE, 0, false, GM_ON_ERROR_NULL},
    {"i", GM_TYPE_INT, 0, false, GM_ON_ERROR_NULL},
    {"s", GM_TYPE_TIMESTAMP, GM_UNIT_S, false, GM_ON_ERROR_QUARANTINE},
    {"n", GM_TYPE_TIMESTAMP, GM_UNIT_NS, false, GM_ON_ERROR_NULL},
    {"a long key that does not fit into one comparison", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
    {"", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
    {"k\n\"\\", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
    {"\xC3\xA9", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
    {"r", GM_TYPE_BIGINT, 0, true, GM_ON_ERROR_NULL},
};
enum { WANTED = sizeof wanted / sizeof *wanted };

static const char *const keys[] = {"a",
                                   "b",
                                   "p",
                                   "q",
                                   "x",
                                   "t",
                                   "d",
                                   "i",
                                   "s",
                                   "n",
                                   "r",
                                   "r",
                                   "z",
                                   "unknown",
                                   "another unknown key that is rather long",
                                   "a long key that does not fit into one comparison",
                                   "",
                                   "k\\n\\\"\\\\",
                                   "\xC3\xA9",
                                   "\\u00e9",
                                   "\\u0061",
                                   "\\u0070",
                                   "\xFF"};

static const char *const scalars[] = {"null",
                                      "true",
                                      "false",
                                      "0",
                                      "-0",
                                      "1",
                                      "-1",
                                      "12",
                                      "1.5",
                                      "-1.5",
                                      "12.0",
                                      "1.2e1",
                                      "120e-1",
                                      "1e400",
                                      "-1E+400",
                                      "1e-400",
                                      "9223372036854775807",
                                      "9223372036854775808",
                                      "-9223372036854775808",
                                      "-9223372036854775809",
                                      "922337203685477580.7e1",
                                      "2147483647",
                                      "2147483648",
                                      "-2147483648",
                                      "-2147483649",
                                      "253402300799999",
                                      "253402300800000",
                                      "-62135596800000",
                                      "-62135596800001",
                                      "253402300799",
                                      "253402300800",
                                      "-0.5",
                                      "0.1",
                                      "1e22",
                                      "1e23",
                                      "123456789012345678",
                                      "1234567890123456789",
                                      "0.000000000000000000000000000000000000001e39",
                                      "100000000000000000000000e-22",
                                      "5e-324",
                                      "1.7976931348623157e308",
                                      "1.8e308",
                                      "\"\"",
                                      "\"a\"",
                                      "\"true\"",
                                      "\"FALSE\"",
                                      "\" 12 \"",
                                      "\"+7\"",
                                      "\"-\"",
                                      "\"1.5\"",
                                      "\"1e3\"",
                                      "\"2024-02-29\"",
                                      "\"2023-02-29\"",
                                      "\"0001-01-01\"",
                                      "\"9999-12-31\"",
                                      "\"0000-12-31\"",
                                      "\"2024-1-01\"",
                                      "\"1710108000084\"",
                                      "\"\\u0031\\u0032\"",
                                      "\"0x10\"",
                                      "\"\xC3\xA9\"",
                                      "\"\xFF\"",
                                      "\"\xE2\x82\"",
                                      "\"\xED\xA0\x80\"",
                                      "\"\\ud83d\\ude00\"",
                                      "\"\\ud83d\"",
                                      "\"\\ude00x\"",
                                      "\"\\ud83d\\u0041\"",
                                      "\"\\u0000\"",
                                      "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
                                      "\"a value that is longer than sixteen bytes, and than thirty-two\"",
                                      "\"{[,]}\"",
                                      "\"\xF0\x9F\x98\x80 \xC3(\\u00e9\"",
                                      "{}",
                                      "[]",
                                      "\" true\"",
                                      "\"12\\u0000\"",
                                      "\"\\u000b12\\f\""};
#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof *(array)))

static void add_space(struct text *out)
{
	static const char *const spaces[] = {" ", "\n", "\r\n", "\t", "  ", "\r"};
	if (rnd(6) == 0) text_add(out, "%s", spaces[rnd(COUNT(spaces))]);
}

static void add_value(struct text *out, int depth)
{
	uint32_t what = rnd(depth > 0 ? 10 : 7);
	if (what < 7) {
		text_add(out, "%s", scalars[rnd(COUNT(scalars))]);
		return;
	}
	bool object = what < 9;
	text_add(out, object ? "{" : "[");
	add_space(out);
	for (uint32_t i = 0, n = rnd(5); i < n; i++) {
		if (i > 0) {
			text_add(out, ",");
			add_space(out);
		}
		if (object) {
			text_add(out, "\"%s\"", keys[rnd(COUNT(keys))]);
			add_space(out);
			text_add(out, ":");
			add_space(out);
		}
		add_value(out, depth - 1);
		add_space(out);
	}
	text_add(out, object ? "}" : "]");
}

/* A record that is mostly good: wanted keys in order, now and then something else. */
static void add_record(struct text *out)
{
	text_add(out, "{\"r\":%u", rnd(1000));
	for (uint32_t i = 0, n = rnd(8); i < n; i++) {
		text_add(out, ",");
		add_space(out);
		if (rnd(4) == 0) {
			text_add(out, "\"p\":{\"a\":\"v%u\",\"t\":%u,\"b\":true", rnd(30), rnd(1000000));
			for (uint32_t j = 0, m = rnd(4); j < m; j++) {
				text_add(out, ",\"%s\":", keys[rnd(COUNT(keys))]);
				add_value(out, 2);
			}
			text_add(out, "}");
			continue;
		}
		text_add(out, "\"%s\":", keys[rnd(COUNT(keys))]);
		add_value(out, 3);
	}
	text_add(out, "}");
}

static void add_documents(struct text *out)
{
	static const char *const between[] = {"\n", "\n", "\n", "\r\n", "", " ", "\n\n", "\r", "\t"};
	bool array = rnd(4) == 0;
	if (array) text_add(out, rnd(2) ? "[" : "[\n");
	for (uint32_t i = 0, n = rnd(12); i < n; i++) {
		if (i > 0 && array && rnd(40) != 0) text_add(out, rnd(2) ? "," : ",\n");
		if (rnd(12) == 0)
			add_value(out, 2);
		else
			add_record(out);
		text_add(out, "%s", between[rnd(COUNT(between))]);
	}
	if (array && rnd(10) != 0) text_add(out, "]\n");
}

static void mutate(struct text *object)
{
	static const char bytes[] = "{}[],:\"\\\n\r 0-.e\0\xFF"
	                            "truen";
	for (uint32_t i = 0, n = rnd(4); i < n && object->n > 0; i++) {
		size_t at = rnd((uint32_t)object->n);
		switch (rnd(5)) {
		case 0: object->data[at] = bytes[rnd(sizeof bytes - 1)]; break;
		case 1: /* cut a piece */
		{
			size_t piece = rnd(20) + 1;
			if (piece > object->n - at) piece = object->n - at;
			memmove(object->data + at, object->data + at + piece, object->n - at - piece);
			object->n -= piece;
			break;
		}
		case 2: /* put a byte in */
		{
			char byte = bytes[rnd(sizeof bytes - 1)];
			text_add(object, " ");
			memmove(object->data + at + 1, object->data + at, object->n - at - 1);
			object->data[at] = byte;
			break;
		}
		case 3: object->data[at] = (char)rnd(256); break;
		default:
			if (rnd(4) == 0) object->n = at;
		}
	}
}

static void explain(uint64_t seed, size_t window, size_t step, const struct text *object, const char *expected,
                    const char *got)
{
	struct text shown = {0};
	text_clear(&shown);
	text_bytes(&shown, (const uint8_t *)object->data, object->n);
	fail_msg("seed %llu, window %zu, step %zu, %s\nobject: %s\nreference:\n%s\nshredder:\n%s", (unsigned long long)seed,
	         window, step, gm_cpu(), shown.data, expected, got);
}

/* The n-th of the levels that this processor has, over and over. */
static void use_level(unsigned n)
{
	for (enum gm_cpu_level level = 0;; level = (level + 1) % GM_CPU_COUNT) {
		if (!gm_cpu_supports(level) || n-- > 0) continue;
		gm_cpu_force(level);
		return;
	}
}

static void compare(uint64_t seed, const struct leaves *leaves)
{
	static const size_t windows[] = {16, 17, 31, 64, 100, 257, 1000, 65536};
	static const size_t steps[] = {1, 7, 64, SIZE_MAX};
	static const size_t limits[] = {20, 60, 200, 1 << 20, 1 << 20, 1 << 20};
	struct text object = {0}, expected = {0}, got = {0};
	state = seed;
	text_clear(&object);
	if (rnd(10) == 0) text_add(&object, "\xEF\xBB\xBF");
	for (uint32_t i = 0, n = rnd(3) + 1; i < n; i++) add_documents(&object);
	if (rnd(2) == 0) mutate(&object);
	size_t max = limits[rnd(COUNT(limits))];
	reference_read(leaves, max, (const uint8_t *)object.data, object.n, &expected);
	for (unsigned i = 0; i < 3 || i < GM_CPU_COUNT; i++) {
		use_level(i);
		size_t window = windows[rnd(COUNT(windows))], step = steps[rnd(COUNT(steps))];
		struct gm_shred_options options = {.max_record_bytes = max, .window_bytes = window, .dict_bytes_max = 1 << 20};
		shred_with(leaves, &options, object.data, object.n, step, &got);
		if (strcmp(expected.data, got.data) != 0) explain(seed, window, step, &object, expected.data, got.data);
	}
	free(object.data);
	free(expected.data);
	free(got.data);
}

static uint64_t only_seed;

static void test_random(void **unused)
{
	(void)unused;
	static struct leaves leaves;
	leaves_init(&leaves, wanted, WANTED);
	if (only_seed != 0) {
		compare(only_seed, &leaves);
		return;
	}
	for (uint64_t seed = 1; seed <= 2500; seed++) compare(seed, &leaves);
}

/* Text of a string, up to its quote: as long as a message or a dump, with escapes, other scripts and faults. */
static void add_long_text(struct text *out)
{
	static const char *const pieces[] = {"\\n",
	                                     "\\\"",
	                                     "\\\\",
	                                     "\\u0416",
	                                     "\\u00fc\\u20ac",
	                                     "\\ud83d\\ude00",
	                                     "\\udc00",
	                                     "\xC3\xA9",
	                                     "\xE4\xB8\xAD\xE6\x96\x87",
	                                     "\xF0\x9F\x98\x80",
	                                     "the answer was late",
	                                     "a ",
	                                     " "};
	static const uint32_t lengths[] = {3, 100, 3000, 3000, 60000, 140000};
	size_t want = out->n + rnd(lengths[rnd(COUNT(lengths))]);
	uint32_t rare = rnd(3) == 0 ? 200 : 100000, run = rnd(4) == 0 ? 5000 : 40;
	while (out->n < want) {
		if (rnd(rare) == 0) text_add(out, "%s", rnd(3) == 0 ? "\xC3" : "\\ud800");
		if (rnd(rare * 100) == 0) text_add(out, "%s", rnd(2) == 0 ? "\\u12" : "\x01");
		if (rnd(8) == 0)
			text_add(out, "%*s", (int)rnd(run), "x");
		else
			text_add(out, "%s", pieces[rnd(COUNT(pieces))]);
	}
}

static void test_long_texts(void **unused)
{
	(void)unused;
	static const size_t windows[] = {100, 20000, 1 << 20};
	static struct leaves leaves;
	leaves_init(&leaves, wanted, WANTED);
	struct text object = {0}, expected = {0}, got = {0};
	for (uint64_t seed = 200001; seed <= 200040; seed++) {
		state = seed;
		text_clear(&object);
		for (uint32_t i = 0, n = rnd(8) + 1; i < n; i++) {
			static const char *const where[] = {"a", "p", "d", "none"};
			text_add(&object, "{\"r\":%u,\"%s\":\"", i, where[rnd(COUNT(where))]);
			add_long_text(&object);
			text_add(&object, "\",\"a\":\"");
			add_long_text(&object);
			text_add(&object, "\"}\n");
		}
		reference_read(&leaves, 1 << 20, (const uint8_t *)object.data, object.n, &expected);
		for (unsigned i = 0; i < GM_CPU_COUNT; i++) {
			use_level(i);
			size_t window = windows[(seed + i) % COUNT(windows)];
			struct gm_shred_options options = {
			    .max_record_bytes = 1 << 20, .window_bytes = window, .dict_bytes_max = 1 << 20};
			shred_with(&leaves, &options, object.data, object.n, SIZE_MAX, &got);
			if (strcmp(expected.data, got.data) != 0)
				fail_msg("long texts, seed %llu, window %zu, %s", (unsigned long long)seed, window, gm_cpu());
		}
	}
	free(object.data);
	free(expected.data);
	free(got.data);
}

/* One shredder for many objects: what it has learnt from one must not change what comes of the next. */
static void test_learnt_state(void **unused)
{
	(void)unused;
	static struct leaves leaves;
	leaves_init(&leaves, wanted, WANTED);
	struct gm_shred_options options = {.max_record_bytes = 1 << 20, .window_bytes = 200, .dict_bytes_max = 40000};
	struct gm_chunk_pool *pool = gm_chunk_pool_new();
	struct gm_shredder *shredders[GM_CPU_COUNT];
	struct gm_error err;
	assert_non_null(pool);
	for (unsigned i = 0; i < GM_CPU_COUNT; i++) {
		use_level(i);
		assert_int_equal(gm_shredder_new(leaves.leaf, leaves.count, &options, pool, &shredders[i], &err), GM_OK);
	}
	struct text object = {0}, expected = {0}, got = {0};
	for (uint64_t seed = 100001; seed <= 101000; seed++) {
		state = seed;
		text_clear(&object);
		add_documents(&object);
		if (rnd(3) == 0) mutate(&object);
		reference_read(&leaves, 1 << 20, (const uint8_t *)object.data, object.n, &expected);
		for (unsigned i = 0; i < GM_CPU_COUNT; i++) {
			shred_object(shredders[i], &leaves, object.data, object.n, 50, &got);
			use_level(i); /* for the message */
			if (strcmp(expected.data, got.data) != 0) explain(seed, 200, 50, &object, expected.data, got.data);
		}
	}
	free(object.data);
	free(expected.data);
	free(got.data);
	for (unsigned i = 0; i < GM_CPU_COUNT; i++) gm_shredder_free(shredders[i]);
	gm_chunk_pool_free(pool);
}

int main(int argc, char **argv)
{
	if (argc > 1) only_seed = strtoull(argv[1], NULL, 10);
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_long_texts),
	                                   cmocka_unit_test(test_learnt_state)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
