/* Derived columns over chunks: memos against evaluation row by row, policies, filters, partitions. */
#include <setjmp.h>
#include <stdarg.h>

#include "expr_fixture.h"

#include <cmocka.h>

/* --- Memos -------------------------------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static const char *const words[] = {"",  "a",     "b",   "GET", "POST", "/repo/v1/entity/syn123/bundle",
                                    "%", "12",    "-7",  "é",   "0012", "/repo/v1/entity/456",
                                    "x", "Hello", "a,b", "µ_",  "z",    "python-requests/2.1 synapseclient/4.0.0 x"};
enum { WORDS = sizeof words / sizeof words[0] };

/* Few distinct values where `few`, else mostly new ones. */
static void random_rows(struct fx_row *rows, char (*texts)[2][24], uint32_t count, bool few, uint64_t *seed)
{
	static const char *const nulls[] = {"", "i", "n", "d", "b", "T", "indbT", ""};
	for (uint32_t r = 0; r < count; r++) {
		const char *strings[2];
		for (size_t k = 0; k < 2; k++) {
			uint64_t pick = next_random(seed);
			strings[k] = words[pick % WORDS];
			if (!few && pick % 3 == 0) {
				(void)snprintf(texts[r][k], sizeof texts[r][k], "w%" PRIu64, next_random(seed) % 100000);
				strings[k] = texts[r][k];
			}
			if (pick % 11 == 0) strings[k] = NULL;
		}
		uint64_t pick = next_random(seed);
		rows[r] = (struct fx_row){.s = strings[0],
		                          .t = strings[1],
		                          .i = (int64_t)(pick % 7) - 3,
		                          .n = (int32_t)(pick >> 8 & 15) - 8,
		                          .d = (double)(pick >> 16 & 7) / 2 - 1,
		                          .b = (pick >> 24 & 1) != 0,
		                          .ts = (int64_t)(pick >> 32 & 31) * 40000000000000 - 400000000000001,
		                          .nulls = nulls[pick >> 40 & 7]};
		if (pick % 97 == 0) rows[r].i = pick % 2 == 0 ? INT64_MAX : INT64_MIN;
	}
}

static const struct {
	const char *type, *expr;
} expressions[] = {
    {"string", "s || ' ' || synapse_normalize_url(t)"},
    {"string", "lower(s)"},
    {"string", "synapse_client(t)"},
    {"string", "CASE WHEN b THEN s WHEN i > 0 THEN t ELSE CAST(n AS string) END"},
    {"bigint", "CAST(s AS bigint)"},
    {"bigint", "COALESCE(TRY_CAST(s AS bigint), i, n)"},
    {"bigint", "i + n * 2 - CAST(t AS bigint)"},
    {"bigint", "i / n"},
    {"double", "d / i + n"},
    {"boolean", "i > n AND b OR s = t"},
    {"boolean", "s IN ('a', t, 'GET') OR i IN (1, n)"},
    {"boolean", "s < t"},
    {"boolean", "i / 0 = 1 OR s IS NULL"},
    {"string", "date_format(ts, '%Y-%m') || s"},
    {"string", "date_format(ts, '%Y-%m-%d')"},
    {"string", "date_format(ts, '%H:%i')"},
    {"bigint", "year(ts) * 100 + month(ts)"},
    {"date", "date(ts)"},
    {"timestamp", "date_trunc('hour', ts)"},
    {"timestamp", "COALESCE(ts, from_unixtime(i))"},
    {"bigint", "day(COALESCE(ts, from_unixtime(i * 100000)))"},
    {"string", "'constant'"},
    {"bigint", "1 / 0"},
    {"string", "upper('x' || 'y')"},
    {"string", "NULLIF(s, t)"},
    {"string", "greatest(s, t, 'k')"},
    {"string", "regexp_replace(s || t, '[a-z]+', '<$0>')"},
    {"boolean", "regexp_like(s, '^\\w+$')"},
    {"string", "CAST(d AS string) || s"},
    {"boolean", "s LIKE '%' || t || '%'"},
    {"string", "TRY(CAST(CAST(s AS bigint) AS string)) || t"},
    {"string", "strip_leading_zeros(s) || strip_leading_zeros(t)"},
    {"bigint", "length(s) + length(s || t)"},
    {"double", "CAST(s AS bigint) + d"},
};
enum { EXPRESSIONS = sizeof expressions / sizeof expressions[0], ROWS = 600, TEXT_BYTES = 160 };

/* What each row gives alone, in a deriver that has seen nothing: no memo has a part in it. */
static void reference(size_t e, const struct fx_row *rows, char (*out)[TEXT_BYTES], bool *failed)
{
	struct fx fx;
	assert_int_equal(fx_open_expr(&fx, expressions[e].type, expressions[e].expr, 0), GM_OK);
	for (uint32_t r = 0; r < ROWS; r++) {
		uint64_t nulled = gm_deriver_nulled(fx.deriver);
		struct gm_chunk *chunk = fx_chunk(&fx, &rows[r], 1, FX_PLAIN);
		if (fx_run(&fx, chunk) != GM_OK) fail_msg("%s: %s", expressions[e].expr, fx.err.message);
		fx_text(&fx, chunk, "x", 0, out[r], TEXT_BYTES);
		failed[r] = gm_deriver_nulled(fx.deriver) > nulled;
		gm_chunk_unref(chunk);
	}
	fx_close(&fx);
}

/* The same rows in chunks of every form, through one deriver, its dictionaries replaced now and then. */
static void compare(size_t e, const struct fx_row *rows, char (*want)[TEXT_BYTES], const bool *failed,
                    size_t memory_bytes, uint64_t *seed)
{
	struct fx fx;
	assert_int_equal(fx_open_expr(&fx, expressions[e].type, expressions[e].expr, memory_bytes), GM_OK);
	struct gm_chunk *held = NULL;
	for (int turn = 0; turn < 5; turn++) {
		for (uint32_t first = 0; first < ROWS;) {
			uint32_t count = (uint32_t)(next_random(seed) % (next_random(seed) % 4 == 0 ? ROWS : 90) + 1);
			if (count > ROWS - first) count = ROWS - first;
			uint64_t nulled = gm_deriver_nulled(fx.deriver), expected = 0;
			enum fx_form form = (enum fx_form)(next_random(seed) % FX_FORMS);
			if (next_random(seed) % 5 == 0) fx_forget_dicts(&fx);
			struct gm_chunk *chunk = fx_chunk(&fx, rows + first, count, form);
			if (fx_run(&fx, chunk) != GM_OK) fail_msg("%s: %s", expressions[e].expr, fx.err.message);
			for (uint32_t r = 0; r < count; r++) {
				char text[TEXT_BYTES];
				fx_text(&fx, chunk, "x", r, text, sizeof text);
				if (strcmp(text, want[first + r]) != 0)
					fail_msg("%s: row %u gives '%s', alone '%s'", expressions[e].expr, first + r, text,
					         want[first + r]);
				expected += failed[first + r];
			}
			assert_int_equal(gm_deriver_nulled(fx.deriver) - nulled, expected);
			/* One chunk outlives the next run, as it does when it waits to be written. */
			gm_chunk_unref(held);
			held = chunk;
			first += count;
		}
	}
	gm_chunk_unref(held);
	fx_close(&fx);
}

static void memos_change_nothing(void **state)
{
	(void)state;
	static struct fx_row rows[ROWS];
	static char texts[ROWS][2][24], want[ROWS][TEXT_BYTES];
	static bool failed[ROWS];
	uint64_t seed = 88172645463325252U;
	for (size_t e = 0; e < EXPRESSIONS; e++) {
		random_rows(rows, texts, ROWS, e % 2 == 0, &seed);
		reference(e, rows, want, failed);
		compare(e, rows, want, failed, 16 << 20, &seed);
		compare(e, rows, want, failed, 0, &seed); /* starts afresh with every chunk */
		compare(e, rows, want, failed, 150000, &seed);
	}
}

/* All expressions over the same inputs in one job, whose memos are shared: what a step remembers is not another's. */
static void steps_share_memos(void **state)
{
	(void)state;
	static struct fx_row rows[ROWS];
	static char texts[ROWS][2][24], want[EXPRESSIONS][ROWS][TEXT_BYTES], more[EXPRESSIONS * 200];
	static bool failed[EXPRESSIONS][ROWS];
	uint64_t seed = 1181783497276652981U;
	char *at = more;
	random_rows(rows, texts, ROWS, false, &seed);
	for (size_t e = 0; e < EXPRESSIONS; e++) {
		reference(e, rows, want[e], failed[e]);
		at += sprintf(at, "  - {name: x%zu, type: %s, expr: '", e, expressions[e].type);
		for (const char *from = expressions[e].expr; *from != '\0'; from++) {
			if (*from == '\'') *at++ = '\'';
			*at++ = *from;
		}
		at += sprintf(at, "'}\n");
	}
	for (size_t memory = 0; memory <= 16 << 20; memory = memory == 0 ? 400000 : memory * 41) {
		struct fx fx;
		assert_int_equal(fx_open(&fx, "", "", more, memory), GM_OK);
		for (uint32_t first = 0, count, turn = 0; turn < 40; turn++, first = (first + count) % ROWS) {
			count = (uint32_t)(next_random(&seed) % (ROWS - first) + 1);
			if (turn % 5 == 4) fx_forget_dicts(&fx);
			struct gm_chunk *chunk = fx_chunk(&fx, rows + first, count, (enum fx_form)(next_random(&seed) % FX_FORMS));
			assert_int_equal(fx_run(&fx, chunk), GM_OK);
			for (size_t e = 0; e < EXPRESSIONS; e++) {
				char name[24], text[TEXT_BYTES];
				(void)snprintf(name, sizeof name, "x%zu", e);
				for (uint32_t r = 0; r < count; r++) {
					fx_text(&fx, chunk, name, r, text, sizeof text);
					if (strcmp(text, want[e][first + r]) != 0)
						fail_msg("%s: row %u gives '%s', alone '%s'", expressions[e].expr, first + r, text,
						         want[e][first + r]);
				}
			}
			gm_chunk_unref(chunk);
		}
		fx_close(&fx);
	}
}

/* Results get their codes in the order of their first use, whatever is evaluated and interned together. */
static void codes_come_in_order(void **state)
{
	(void)state;
	struct fx fx;
	enum { COUNT = 3000 };
	static struct fx_row rows[COUNT];
	static char texts[COUNT][24], text[8192];
	assert_int_equal(fx_open(&fx, "", "",
	                         "  - {name: x, type: string, expr: \"CASE WHEN s LIKE '%7' THEN lpad(s, 900 + i * 30, 'x')"
	                         " WHEN s LIKE '%3' THEN NULL ELSE upper(s) END\"}\n"
	                         "  - {name: y, type: bigint, expr: \"CAST(s AS bigint)\"}\n"
	                         "  - {name: z, type: string, expr: \"lpad(s, length(s) * length(s) * 60, 'z')\"}\n"
	                         "  - {name: l, type: bigint, expr: \"length(s)\"}\n",
	                         64 << 20),
	                 GM_OK);
	for (uint32_t turn = 0; turn < 3; turn++) {
		for (uint32_t r = 0; r < COUNT; r++) {
			/* Half of the rows repeat one that is near, in the same block or the one before. */
			uint32_t number = (r % 2 == 0 ? r : r - r % 200) + turn * COUNT / 2;
			(void)snprintf(texts[r], sizeof texts[r], r % 13 == 0 ? "v%u" : "%u", number);
			rows[r] = (struct fx_row){.s = r % 100 == 7 ? NULL : texts[r], .i = r % 9};
		}
		struct gm_chunk *chunk = fx_chunk(&fx, rows, COUNT, FX_DICT);
		assert_int_equal(fx_run(&fx, chunk), GM_OK);
		for (uint32_t r = 0; r < COUNT; r++) {
			const char *s = rows[r].s;
			char want[64];
			size_t n = s != NULL ? strlen(s) : 0;
			fx_text(&fx, chunk, "z", r, text, sizeof text);
			assert_int_equal(strlen(text), s != NULL ? n * n * 60 : 4);
			if (s != NULL) assert_string_equal(text + n * n * 60 - n, s);
			fx_text(&fx, chunk, "y", r, text, sizeof text);
			assert_string_equal(text, s == NULL || s[0] == 'v' ? "null" : s);
			fx_text(&fx, chunk, "l", r, text, sizeof text);
			(void)snprintf(want, sizeof want, "%zu", n);
			assert_string_equal(text, s != NULL ? want : "null");
			fx_text(&fx, chunk, "x", r, text, sizeof text);
			if (s == NULL || s[n - 1] == '3') assert_string_equal(text, "null");
			if (s != NULL && s[n - 1] == '7') assert_int_equal(strlen(text), 900 + rows[r].i * 30);
		}
		for (int c = 0; c < 2; c++) {
			const struct gm_vec *vec =
			    &chunk->vec[gm_program_column_slot(fx.job->program, fx_column(&fx, c == 0 ? "x" : "z"))];
			static uint32_t last[2];
			if (turn == 0) last[c] = 0;
			for (uint32_t r = 0; r < COUNT; r++) {
				assert_true(vec->codes[r] <= last[c] + 1);
				if (vec->codes[r] > last[c]) last[c] = vec->codes[r];
			}
			assert_int_equal(last[c], vec->dict->count);
		}
		gm_chunk_unref(chunk);
	}
	fx_close(&fx);
}

/* Results of plain inputs that hardly repeat become plain themselves. */
static void many_distinct_plain_results(void **state)
{
	(void)state;
	struct fx fx;
	enum { COUNT = 4000 };
	static struct fx_row rows[COUNT];
	static char texts[COUNT][24];
	assert_int_equal(fx_open_expr(&fx, "string", "upper(s)", 64 << 20), GM_OK);
	bool plain = false;
	for (uint32_t turn = 0; turn < 6; turn++) {
		for (uint32_t r = 0; r < COUNT; r++) {
			(void)snprintf(texts[r], sizeof texts[r], "v%u", turn * COUNT + r);
			rows[r].s = r % 100 == 7 ? NULL : texts[r];
		}
		struct gm_chunk *chunk = fx_chunk(&fx, rows, COUNT, FX_PLAIN);
		assert_int_equal(fx_run(&fx, chunk), GM_OK);
		for (uint32_t r = 0; r < COUNT; r++) {
			char text[64], want[64];
			fx_text(&fx, chunk, "x", r, text, sizeof text);
			(void)snprintf(want, sizeof want, "V%u", turn * COUNT + r);
			assert_string_equal(text, r % 100 == 7 ? "null" : want);
		}
		plain = chunk->vec[gm_program_column_slot(fx.job->program, fx_column(&fx, "x"))].repr == GM_REPR_PLAIN;
		gm_chunk_unref(chunk);
	}
	assert_true(plain);
	fx_close(&fx);
}

/* Cheap steps remember a few thousand inputs, then evaluate each row. */
static void many_distinct_numbers(void **state)
{
	(void)state;
	struct fx fx;
	enum { COUNT = 4000 };
	static struct fx_row rows[COUNT];
	assert_int_equal(fx_open(&fx, "", "",
	                         "  - {name: x, type: boolean, expr: 'i > 5000'}\n"
	                         "  - {name: y, type: bigint, expr: 'CASE WHEN b OR n = 0 THEN i ELSE NULL END'}\n"
	                         "  - {name: z, type: double, expr: 'i'}\n",
	                         64 << 20),
	                 GM_OK);
	for (int64_t turn = 0; turn < 4; turn++) {
		for (uint32_t r = 0; r < COUNT; r++)
			rows[r] = (struct fx_row){.i = turn * COUNT + r, .n = (int32_t)r % 3, .nulls = r % 50 == 1 ? "i" : NULL};
		struct gm_chunk *chunk = fx_chunk(&fx, rows, COUNT, FX_DICT);
		assert_int_equal(fx_run(&fx, chunk), GM_OK);
		for (uint32_t r = 0; r < COUNT; r++) {
			char text[64], number[64];
			bool null = r % 50 == 1;
			(void)snprintf(number, sizeof number, "%" PRId64, rows[r].i);
			fx_text(&fx, chunk, "x", r, text, sizeof text);
			assert_string_equal(text, null ? "null" : rows[r].i > 5000 ? "true" : "false");
			fx_text(&fx, chunk, "y", r, text, sizeof text);
			assert_string_equal(text, null || r % 3 != 0 ? "null" : number);
			fx_text(&fx, chunk, "z", r, text, sizeof text);
			assert_string_equal(text, null ? "null" : number);
		}
		gm_chunk_unref(chunk);
	}
	fx_close(&fx);
}

/* What is remembered is forgotten before it outgrows the memory given. */
static void memory_stays_within_bounds(void **state)
{
	(void)state;
	struct fx fx;
	static struct fx_row rows[ROWS];
	static char texts[ROWS][2][24];
	uint64_t seed = 42;
	assert_int_equal(fx_open_expr(&fx, "string", "lpad(s, 2000, 'x') || t", 4 << 20), GM_OK);
	for (int turn = 0; turn < 100; turn++) {
		random_rows(rows, texts, ROWS, false, &seed);
		struct gm_chunk *chunk = fx_chunk(&fx, rows, ROWS, FX_DICT);
		assert_int_equal(fx_run(&fx, chunk), GM_OK);
		const struct gm_vec *vec = &chunk->vec[gm_program_column_slot(fx.job->program, fx_column(&fx, "x"))];
		assert_true(gm_dict_memory_bytes(vec->dict) < 6 << 20);
		gm_chunk_unref(chunk);
	}
	fx_close(&fx);
}

/* Memos by code are as long as the dictionary, and each step has one: what they may not take is evaluated each time. */
static void memos_stay_within_bounds(void **state)
{
	(void)state;
	struct fx fx;
	enum { STEPS = 20, CODES = 300000, MEMORY = 4 << 20, ROWS_HERE = 3 };
	char more[STEPS * 96], *at = more, texts[ROWS_HERE][24], text[64], want[64];
	struct fx_row rows[ROWS_HERE] = {{.s = texts[0]}, {.s = texts[1]}, {.s = NULL}};
	for (int i = 0; i < STEPS; i++)
		at += sprintf(at, "  - {name: x%d, type: bigint, expr: \"length(s) * %d\"}\n", i, i + 2);
	assert_int_equal(fx_open(&fx, "", "", more, MEMORY), GM_OK);
	fx.dicts[0] = gm_dict_new();
	for (uint32_t i = 0; i < CODES; i++)
		assert_int_not_equal(gm_dict_put(fx.dicts[0], (uint8_t *)&i, 4, gm_dict_hash((uint8_t *)&i, 4)), 0);
	for (int turn = 0; turn < 4; turn++) {
		(void)snprintf(texts[0], sizeof texts[0], "text%d", turn);
		(void)snprintf(texts[1], sizeof texts[1], "another%d", turn / 2);
		struct gm_chunk *chunk = fx_chunk(&fx, rows, ROWS_HERE, FX_DICT);
		assert_int_equal(fx_run(&fx, chunk), GM_OK);
		assert_in_range(chunk->dictionary_bytes, 0, MEMORY);
		for (int i = 0; i < STEPS; i++) {
			char name[16];
			(void)snprintf(name, sizeof name, "x%d", i);
			for (uint32_t r = 0; r < ROWS_HERE; r++) {
				fx_text(&fx, chunk, name, r, text, sizeof text);
				(void)snprintf(want, sizeof want, "%d", r == 0 ? 5 * (i + 2) : 8 * (i + 2));
				assert_string_equal(text, r == 2 ? "null" : want);
			}
		}
		gm_chunk_unref(chunk);
	}
	fx_close(&fx);
}

/* --- Policies ----------------------------------------------------------------------------------------------------- */

static const struct fx_row five[] = {
    {.s = "1", .t = "a", .i = 1, .ts = 0},           {.s = "no", .t = "b", .i = 2, .ts = 1},
    {.s = NULL, .t = "c", .i = 3, .ts = 2},          {.s = "4", .t = NULL, .i = 4, .ts = 86400000000},
    {.s = "x", .t = "e", .i = 5, .ts = 86400000001},
};

static void expect_column(struct fx *fx, const struct gm_chunk *chunk, const char *name, const char *want)
{
	char all[512] = "";
	for (uint32_t r = 0; r < chunk->rows; r++) {
		char text[64];
		fx_text(fx, chunk, name, r, text, sizeof text);
		(void)snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", r > 0 ? " " : "", text);
	}
	assert_string_equal(all, want);
}

static void expect_fates(const struct gm_chunk *chunk, const char *want)
{
	char all[64];
	for (uint32_t r = 0; r < chunk->rows; r++) all[r] = "kfq"[chunk->fate[r]];
	all[chunk->rows] = '\0';
	assert_string_equal(all, want);
}

static struct gm_chunk *run_five(struct fx *fx, const char *head, const char *where, const char *more,
                                 enum gm_code code)
{
	if (fx_open(fx, head, where, more, 1 << 20) != GM_OK) fail_msg("%s; %s", fx->err.message, fx->err.hint);
	struct gm_chunk *chunk = fx_chunk(fx, five, 5, FX_DICT);
	assert_int_equal(fx_run(fx, chunk), code);
	return chunk;
}

static void close_five(struct fx *fx, struct gm_chunk *chunk)
{
	gm_chunk_unref(chunk);
	fx_close(fx);
}

static void on_error_null_counts(void **state)
{
	(void)state;
	struct fx fx;
	struct gm_chunk *chunk = run_five(&fx, "", "", "  - {name: x, type: bigint, expr: cast(s as bigint)}\n", GM_OK);
	expect_column(&fx, chunk, "x", "1 null null 4 null");
	expect_fates(chunk, "kkkkk");
	assert_int_equal(gm_deriver_nulled(fx.deriver), 2);
	assert_string_equal(gm_program_how(fx.job->program, fx_column(&fx, "x")), "native");
	assert_string_equal(gm_program_how(fx.job->program, fx_column(&fx, "s")), "leaf");
	close_five(&fx, chunk);
}

static void a_default_stands_for_null_and_failure(void **state)
{
	(void)state;
	struct fx fx;
	struct gm_chunk *chunk = run_five(&fx, "", "",
	                                  "  - {name: x, type: bigint, expr: cast(s as bigint), default: -1}\n"
	                                  "  - {name: y, type: string, from: t, default: none}\n"
	                                  "  - {name: z, type: bigint, expr: x * 2}\n",
	                                  GM_OK);
	expect_column(&fx, chunk, "x", "1 -1 -1 4 -1");
	expect_column(&fx, chunk, "y", "a b c none e");
	expect_column(&fx, chunk, "z", "2 -2 -2 8 -2");
	expect_fates(chunk, "kkkkk");
	assert_int_equal(gm_deriver_nulled(fx.deriver), 2);
	assert_string_equal(gm_program_how(fx.job->program, fx_column(&fx, "z")), "sqlite");
	close_five(&fx, chunk);
}

static void on_error_quarantine_rejects_in_row_order(void **state)
{
	(void)state;
	struct fx fx;
	struct gm_chunk *chunk = run_five(&fx, "", "",
	                                  "  - {name: z, type: string, expr: 'lower(t)', required: true}\n"
	                                  "  - {name: x, type: bigint, expr: cast(s as bigint), on_error: quarantine}\n"
	                                  "  - {name: y, type: string, expr: 'cast(x as string)'}\n",
	                                  GM_OK);
	expect_fates(chunk, "kqkqq");
	assert_int_equal(fx.reject_count, 3);
	assert_int_equal(fx.rejects[0].row, 1);
	assert_int_equal(fx.rejects[0].reason, GM_REASON_EXPRESSION);
	assert_string_equal(fx.rejects[0].column, "x");
	assert_string_equal(fx.rejects[0].detail, "the text 'no' is not bigint");
	assert_int_equal(fx.rejects[1].row, 3);
	assert_int_equal(fx.rejects[1].reason, GM_REASON_REQUIRED);
	assert_string_equal(fx.rejects[1].column, "z");
	assert_int_equal(fx.rejects[2].row, 4);
	assert_int_equal(gm_deriver_nulled(fx.deriver), 0);
	close_five(&fx, chunk);
}

static void on_error_fail_ends_the_run(void **state)
{
	(void)state;
	struct fx fx;
	struct gm_chunk *chunk =
	    run_five(&fx, "", "", "  - {name: x, type: bigint, expr: '1 + cast(s as bigint)', on_error: fail}\n", GM_VALUE);
	assert_non_null(strstr(fx.err.message, "column x: the text 'no' is not bigint, in record 1"));
	assert_int_equal(fx.err.line, 16);
	close_five(&fx, chunk);
}

static void times_too_far_ahead_are_rejected(void **state)
{
	(void)state;
	struct fx fx;
	static const char *const more = "  - {name: u, type: timestamp, expr: 'ts', not_after: 1d, required: true}\n"
	                                "  - {name: v, type: timestamp, expr: 'ts', not_after: 2d}\n";
	struct gm_chunk *chunk = run_five(&fx, "", "", more, GM_OK);
	expect_fates(chunk, "kkkkk"); /* no time was told */
	gm_chunk_unref(chunk);
	chunk = fx_chunk(&fx, five, 5, FX_DICT);
	gm_deriver_set_now(fx.deriver, 0);
	assert_int_equal(fx_run(&fx, chunk), GM_OK);
	expect_fates(chunk, "kkkkq");
	assert_int_equal(fx.rejects[0].reason, GM_REASON_NOT_AFTER);
	assert_string_equal(fx.rejects[0].column, "u");
	assert_string_equal(fx.rejects[0].detail, "1970-01-02T00:00:00.000001Z is later than 1970-01-02T00:00:00.000000Z");
	gm_chunk_unref(chunk);
	chunk = fx_chunk(&fx, five, 5, FX_DICT);
	gm_deriver_set_now(fx.deriver, -INT64_C(86400000000));
	assert_int_equal(fx_run(&fx, chunk), GM_OK);
	expect_fates(chunk, "kqqqq");
	close_five(&fx, chunk);
}

static void where_comes_first(void **state)
{
	(void)state;
	struct fx fx;
	struct gm_chunk *chunk =
	    run_five(&fx, "", "where: \"t <> 'b'\"\n",
	             "  - {name: x, type: bigint, expr: cast(s as bigint), on_error: quarantine}\n", GM_OK);
	expect_fates(chunk, "kfkfq"); /* null: filtered, and so is not rejected */
	assert_int_equal(fx.reject_count, 1);
	close_five(&fx, chunk);
	chunk = run_five(&fx, "", "where: \"x > 1\"\n", "  - {name: x, type: bigint, expr: cast(s as bigint)}\n", GM_OK);
	expect_fates(chunk, "fffkf");
	assert_int_equal(gm_deriver_nulled(fx.deriver), 0);
	close_five(&fx, chunk);
	/* What `where` says of a record that is to be rejected is not known; and a failure of its own is one. */
	chunk = run_five(&fx, "", "where: \"x > 1\"\n",
	                 "  - {name: x, type: bigint, expr: cast(s as bigint), on_error: quarantine}\n", GM_OK);
	expect_fates(chunk, "fqfkq");
	assert_string_equal(fx.rejects[0].column, "where");
	close_five(&fx, chunk);
	chunk = run_five(&fx, "", "where: \"10 / (i - 2) > 0\"\n", "", GM_OK);
	expect_fates(chunk, "fqkkk");
	close_five(&fx, chunk);
	chunk = run_five(&fx, "", "where: \"NULL\"\n", "", GM_OK);
	expect_fates(chunk, "fffff");
	close_five(&fx, chunk);
}

static void own_name_is_the_value_read(void **state)
{
	(void)state;
	struct fx fx;
	struct gm_chunk *chunk = run_five(&fx, "", "",
	                                  "  - {name: x, type: string, from: t, expr: 'upper(x)'}\n"
	                                  "  - {name: y, type: string, expr: 'x || a.s'}\n"
	                                  "  - {name: z, type: date, from: ts, unit: us, expr: 'date(z)'}\n",
	                                  GM_OK);
	expect_column(&fx, chunk, "x", "A B C null E");
	expect_column(&fx, chunk, "y", "A1 Bno null null Ex");
	expect_column(&fx, chunk, "z", "1970-01-01 1970-01-01 1970-01-01 1970-01-02 1970-01-02");
	size_t leaves;
	(void)gm_program_leaves(fx.job->program, &leaves);
	assert_int_equal(leaves, 8); /* the seven, and a.s: t and ts are shared */
	close_five(&fx, chunk);
}

static void equal_expressions_are_one(void **state)
{
	(void)state;
	struct fx fx;
	struct gm_chunk *chunk = run_five(&fx, "", "",
	                                  "  - {name: x, type: string, expr: 'synapse_client(s)'}\n"
	                                  "  - {name: y, type: string, expr: 'SYNAPSE_CLIENT( s )'}\n",
	                                  GM_OK);
	assert_int_equal(gm_program_extra_slots(fx.job->program), 1);
	assert_int_equal(gm_program_column_slot(fx.job->program, fx_column(&fx, "x")),
	                 gm_program_column_slot(fx.job->program, fx_column(&fx, "y")));
	close_five(&fx, chunk);
}

static void circles_are_refused(void **state)
{
	(void)state;
	struct fx fx;
	assert_int_equal(fx_open(&fx, "", "",
	                         "  - {name: x, type: string, expr: 'lower(y)'}\n"
	                         "  - {name: y, type: string, expr: 'upper(x)'}\n",
	                         0),
	                 GM_JOB);
	assert_non_null(strstr(fx.err.message, "column y: column 'x' refers to itself by way of other columns"));
	fx_close(&fx);
	char more[4096] = "";
	for (int i = 0; i < 40; i++)
		(void)snprintf(more + strlen(more), sizeof more - strlen(more),
		               "  - {name: c%d, type: string, expr: 'c%d || c%d'}\n", i, i + 1, i + 1);
	(void)snprintf(more + strlen(more), sizeof more - strlen(more), "  - {name: c40, type: string, from: s}\n");
	assert_int_equal(fx_open(&fx, "", "", more, 0), GM_JOB);
	assert_non_null(strstr(fx.err.message, "more than 20 deep"));
	fx_close(&fx);
}

/* --- Partitions --------------------------------------------------------------------------------------------------- */

static void expect_paths(struct fx *fx, const struct gm_chunk *chunk, const char *const *want)
{
	(void)fx;
	assert_int_equal(chunk->partition.repr, GM_REPR_DICT);
	for (uint32_t r = 0; r < chunk->rows; r++) {
		char text[1024];
		fx_vec_text(&chunk->partition, r, text, sizeof text);
		assert_string_equal(text, want[r]);
	}
}

static void partitions_have_hive_paths(void **state)
{
	(void)state;
	struct fx fx;
	struct gm_chunk *chunk = run_five(&fx,
	                                  "  partition_by:\n"
	                                  "    - {name: year, type: string, expr: \"date_format(ts, '%Y')\"}\n"
	                                  "    - {name: day, type: date, expr: date(ts)}\n",
	                                  "", "", GM_OK);
	static const char *const want[] = {"year=1970/day=1970-01-01", "year=1970/day=1970-01-01",
	                                   "year=1970/day=1970-01-01", "year=1970/day=1970-01-02",
	                                   "year=1970/day=1970-01-02"};
	expect_paths(&fx, chunk, want);
	assert_int_equal(chunk->partition.codes[0], chunk->partition.codes[2]);
	close_five(&fx, chunk);
	chunk = run_five(&fx, "", "", "", GM_OK);
	static const char *const root[] = {"", "", "", "", ""};
	expect_paths(&fx, chunk, root);
	close_five(&fx, chunk);
}

static void partition_values_are_escaped(void **state)
{
	(void)state;
	static const struct fx_row rows[] = {{.s = "a/b=c:d%e#'\"*?\\{[]^\x7f", .i = -5, .n = 1},
	                                     {.s = "", .i = 0, .n = 0},
	                                     {.s = NULL, .i = 7, .nulls = "in"},
	                                     {.s = "..", .i = 1},
	                                     {.s = ".", .i = 1},
	                                     {.s = "é\n\x01 &$~", .i = 1},
	                                     {.s = "__HIVE_DEFAULT_PARTITION__", .i = 1}};
	static const char *const want[] = {
	    "v=a%2Fb%3Dc%3Ad%25e%23%27%22%2A%3F%5C%7B%5B%5D%5E%7F/pi=-5/pb=1",
	    "v=__HIVE_DEFAULT_PARTITION__/pi=0/pb=0",
	    "v=__HIVE_DEFAULT_PARTITION__/pi=__HIVE_DEFAULT_PARTITION__/pb=__HIVE_DEFAULT_PARTITION__",
	    "v=%2E%2E/pi=1/pb=0",
	    "v=%2E/pi=1/pb=0",
	    "v=é%0A%01 &$~/pi=1/pb=0",
	    "v=%5F_HIVE_DEFAULT_PARTITION__/pi=1/pb=0"};
	for (enum fx_form form = FX_DICT; form < FX_MIXED; form++) {
		struct fx fx;
		assert_int_equal(fx_open(&fx,
		                         "  partition_by:\n    - {name: v, type: string, expr: s}\n"
		                         "    - {name: pi, type: bigint, expr: i}\n    - {name: pb, type: int, expr: n}\n",
		                         "", "", 1 << 20),
		                 GM_OK);
		struct gm_chunk *chunk = fx_chunk(&fx, rows, 7, form);
		assert_int_equal(fx_run(&fx, chunk), GM_OK);
		expect_paths(&fx, chunk, want);
		for (uint32_t r = 0; r < 7; r++) {
			struct gm_partition_value *values;
			size_t count;
			assert_int_equal(gm_partition_parse(want[r], strlen(want[r]), &chunk->arena, &values, &count, &fx.err),
			                 GM_OK);
			assert_int_equal(count, 3);
			assert_string_equal(values[0].name, "v");
			if (rows[r].s == NULL || *rows[r].s == '\0')
				assert_null(values[0].value);
			else
				assert_string_equal(values[0].value, rows[r].s);
		}
		gm_chunk_unref(chunk);
		fx_close(&fx);
	}
}

static const char by_number[] = "  partition_by: [{name: v, type: bigint, expr: cast(s as bigint)}]\n";

static void partitions_that_cannot_be_are_rejected(void **state)
{
	(void)state;
	struct fx fx;
	struct gm_chunk *chunk =
	    run_five(&fx, "  partition_by: [{name: v, type: string, expr: \"lpad('x', i * 50, 'é')\"}]\n", "", "", GM_OK);
	expect_fates(chunk, "kkqqq"); /* 50 and 100 characters of 2 bytes fit */
	assert_int_equal(fx.rejects[0].reason, GM_REASON_EXPRESSION);
	assert_string_equal(fx.rejects[0].detail, "the value of partition v is longer than 200 bytes");
	close_five(&fx, chunk);
	chunk = run_five(&fx, by_number, "", "", GM_OK);
	expect_fates(chunk, "kkkkk");
	assert_int_equal(gm_deriver_nulled(fx.deriver), 2);
	static const char *const want[] = {"v=1", "v=__HIVE_DEFAULT_PARTITION__", "v=__HIVE_DEFAULT_PARTITION__", "v=4",
	                                   "v=__HIVE_DEFAULT_PARTITION__"};
	expect_paths(&fx, chunk, want);
	close_five(&fx, chunk);
	assert_int_equal(fx_open(&fx, "  partition_by: [{name: v, type: timestamp, expr: ts}]\n", "", "", 0), GM_JOB);
	fx_close(&fx);
}

/* Job files give partitions no policy of their own, but a column is a column. */
static struct gm_chunk *run_policy(struct fx *fx, enum gm_on_error on_error, bool required, enum gm_code code)
{
	assert_int_equal(fx_open(fx, by_number, "", "", 0), GM_OK);
	fx->job->table.partitions[0].on_error = on_error;
	fx->job->table.partitions[0].required = required;
	gm_deriver_free(fx->deriver);
	assert_int_equal(gm_program_compile(fx->job, &fx->err), GM_OK);
	assert_int_equal(gm_deriver_new(fx->job, 1 << 20, &fx->deriver, &fx->err), GM_OK);
	struct gm_chunk *chunk = fx_chunk(fx, five, 5, FX_DICT);
	assert_int_equal(fx_run(fx, chunk), code);
	return chunk;
}

static void partitions_have_policies(void **state)
{
	(void)state;
	struct fx fx;
	struct gm_chunk *chunk = run_policy(&fx, GM_ON_ERROR_QUARANTINE, false, GM_OK);
	expect_fates(chunk, "kqkkq");
	assert_string_equal(fx.rejects[0].column, "v");
	close_five(&fx, chunk);
	chunk = run_policy(&fx, GM_ON_ERROR_NULL, true, GM_OK);
	expect_fates(chunk, "kqqkq");
	assert_int_equal(fx.rejects[1].reason, GM_REASON_REQUIRED);
	close_five(&fx, chunk);
	chunk = run_policy(&fx, GM_ON_ERROR_FAIL, false, GM_VALUE);
	assert_non_null(strstr(fx.err.message, "partition v: "));
	close_five(&fx, chunk);
}

static void damaged_paths_are_told(void **state)
{
	(void)state;
	struct gm_arena arena;
	struct gm_error err;
	struct gm_partition_value *values;
	size_t count;
	gm_arena_init(&arena, 1024);
	assert_int_equal(gm_partition_parse("", 0, &arena, &values, &count, &err), GM_OK);
	assert_int_equal(count, 0);
	assert_int_equal(gm_partition_parse("a=1/b", 5, &arena, &values, &count, &err), GM_CORRUPT);
	assert_int_equal(gm_partition_parse("a=%4", 4, &arena, &values, &count, &err), GM_OK);
	assert_string_equal(values[0].value, "%4");
	assert_int_equal(gm_partition_parse("a=%zz%41", 8, &arena, &values, &count, &err), GM_OK);
	assert_string_equal(values[0].value, "%zzA");
	gm_arena_release(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(memos_change_nothing),
	    cmocka_unit_test(steps_share_memos),
	    cmocka_unit_test(codes_come_in_order),
	    cmocka_unit_test(many_distinct_plain_results),
	    cmocka_unit_test(many_distinct_numbers),
	    cmocka_unit_test(memory_stays_within_bounds),
	    cmocka_unit_test(memos_stay_within_bounds),
	    cmocka_unit_test(on_error_null_counts),
	    cmocka_unit_test(a_default_stands_for_null_and_failure),
	    cmocka_unit_test(on_error_quarantine_rejects_in_row_order),
	    cmocka_unit_test(on_error_fail_ends_the_run),
	    cmocka_unit_test(times_too_far_ahead_are_rejected),
	    cmocka_unit_test(where_comes_first),
	    cmocka_unit_test(own_name_is_the_value_read),
	    cmocka_unit_test(equal_expressions_are_one),
	    cmocka_unit_test(circles_are_refused),
	    cmocka_unit_test(partitions_have_hive_paths),
	    cmocka_unit_test(partition_values_are_escaped),
	    cmocka_unit_test(partitions_that_cannot_be_are_rejected),
	    cmocka_unit_test(partitions_have_policies),
	    cmocka_unit_test(damaged_paths_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
