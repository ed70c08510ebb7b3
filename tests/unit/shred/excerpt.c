/* excerpt.c - spans that were rejected, read again. What a job could not use and another one can is what the other one
 * would have read at once: the same rows at the same offsets, and the same rejects of what it cannot use either.
 *
 * A failing seed is printed; give it as the only argument to repeat it. */
#include "harness.h"

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

/* --- Reading into lines ------------------------------------------------------------------------------------------- */

enum { LINES = 4096, LEAVES = 2 };

/* A row or reject as text, by where it stands. */
struct line {
	uint64_t offset;
	bool row;
	struct text text;
	struct text raw; /* of a reject */
	uint64_t record;
};
struct reading {
	struct object object; /* first: the context is for source and rejects alike */
	struct line lines[LINES];
	size_t count;
	bool open;
	struct gm_shred_books books; /* of all that was read */
};

static struct line *add_line(struct reading *reading, uint64_t offset, uint64_t record, bool row)
{
	assert_true(reading->count < LINES);
	struct line *line = &reading->lines[reading->count++];
	text_clear(&line->text);
	text_clear(&line->raw);
	line->offset = offset;
	line->record = record;
	line->row = row;
	return line;
}

static enum gm_code on_reject(void *context, const struct gm_reject *reject, const void *data, size_t bytes, bool last,
                              struct gm_error *err)
{
	(void)err;
	struct reading *reading = context;
	struct line *line = &reading->lines[reading->count - (reading->open ? 1 : 0)];
	if (!reading->open) {
		line = add_line(reading, reject->offset, reject->record, false);
		text_reject(&line->text, reject);
	}
	text_bytes(&line->text, data, bytes);
	for (size_t i = 0; i < bytes; i++) text_add(&line->raw, "%c", ((const char *)data)[i]);
	reading->open = !last;
	return GM_OK;
}

static void add_rows(struct reading *reading, const struct gm_chunk *chunk)
{
	for (uint32_t row = 0; row < chunk->rows; row++) {
		struct line *line = add_line(reading, chunk->offset[row], chunk->record[row], true);
		text_row(&line->text, chunk->record[row], chunk->offset[row], chunk->length[row], chunk->weight[row]);
		for (size_t i = 0; i < LEAVES; i++) {
			if (gm_vec_is_null(&chunk->vec[i], row))
				text_add(&line->text, "|null");
			else
				text_add(&line->text, "|%lld", (long long)chunk->vec[i].i64[row]);
		}
	}
}

static void add_books(struct gm_shred_books *total, const struct gm_shred_books *more)
{
	assert_true(more->bytes_raw == more->record_bytes + more->separator_bytes + more->quarantined_bytes);
	total->read += more->read;
	total->quarantined += more->quarantined;
	total->bytes_raw += more->bytes_raw;
}

/* excerpt NULL: a whole object. */
static void read_all(struct gm_shredder *shredder, const struct gm_excerpt *excerpt, const void *bytes, size_t n,
                     struct reading *reading)
{
	struct gm_error err;
	struct gm_chunk *chunk;
	enum gm_code rc;
	reading->object = (struct object){bytes, n, 0, 7};
	if (excerpt != NULL)
		gm_shredder_begin_excerpt(shredder, excerpt, object_source, on_reject, reading);
	else
		gm_shredder_begin(shredder, object_source, on_reject, reading);
	while ((rc = gm_shredder_next(shredder, 0, &chunk, &err)) == GM_OK && chunk != NULL) {
		add_rows(reading, chunk);
		gm_chunk_unref(chunk);
	}
	if (rc != GM_OK) fail_msg("%s", err.message);
	assert_false(reading->open);
	add_books(&reading->books, gm_shredder_books(shredder));
}

static int by_offset(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
	return x->row - y->row;
}

/* RAW: of a reject only where it is and its bytes. A document that was broken is cut where reading went on, and may
 * have been broken by what comes behind. */
enum telling { EVERYTHING, RAW, ROWS };

static char *all_lines(struct reading *reading, enum telling telling)
{
	struct text out = {0};
	text_clear(&out);
	qsort(reading->lines, reading->count, sizeof *reading->lines, by_offset);
	for (size_t i = 0; i < reading->count; i++) {
		const struct line *line = &reading->lines[i];
		if (line->row || telling == EVERYTHING)
			text_add(&out, "%s\n", line->text.data);
		else if (telling == RAW)
			text_add(&out, "reject at %llu: %s\n", (unsigned long long)line->offset, line->raw.data);
	}
	return out.data;
}

static void forget(struct reading *reading)
{
	for (size_t i = 0; i < LINES; i++) {
		free(reading->lines[i].text.data);
		free(reading->lines[i].raw.data);
	}
	*reading = (struct reading){0};
}

/* --- Two jobs ----------------------------------------------------------------------------------------------------- */

struct jobs {
	struct gm_chunk_pool *pool;
	struct gm_shredder *strict, *mended;
};

static void open_jobs(struct jobs *jobs, size_t strict_max, size_t mended_max, size_t window)
{
	static struct leaves strict, mended;
	static const struct wanted asked[] = {{"a", GM_TYPE_BIGINT, 0, true, GM_ON_ERROR_NULL},
	                                      {"b", GM_TYPE_BIGINT, 0, false, GM_ON_ERROR_QUARANTINE}};
	static const struct wanted asked_less[] = {{"a", GM_TYPE_BIGINT, 0, false, GM_ON_ERROR_NULL},
	                                           {"b", GM_TYPE_BIGINT, 0, false, GM_ON_ERROR_NULL}};
	struct gm_error err;
	struct gm_shred_options options = {.window_bytes = window, .dict_bytes_max = 1 << 20};
	leaves_init(&strict, asked, LEAVES);
	leaves_init(&mended, asked_less, LEAVES);
	jobs->pool = gm_chunk_pool_new();
	assert_non_null(jobs->pool);
	options.max_record_bytes = strict_max;
	assert_int_equal(gm_shredder_new(strict.leaf, LEAVES, &options, jobs->pool, &jobs->strict, &err), GM_OK);
	options.max_record_bytes = mended_max;
	assert_int_equal(gm_shredder_new(mended.leaf, LEAVES, &options, jobs->pool, &jobs->mended, &err), GM_OK);
}

static void close_jobs(struct jobs *jobs)
{
	gm_shredder_free(jobs->strict);
	gm_shredder_free(jobs->mended);
	gm_chunk_pool_free(jobs->pool);
}

/* The mended job over the strict one's rejects, with the strict one's rows. */
static void read_again(const struct jobs *jobs, const struct reading *first, struct reading *again)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < first->count; i++) {
		const struct line *line = &first->lines[i];
		struct gm_excerpt excerpt = {line->record, line->offset};
		if (line->row) {
			text_add(&add_line(again, line->offset, line->record, true)->text, "%s", line->text.data);
			continue;
		}
		bytes += line->raw.n;
		read_all(jobs->mended, &excerpt, line->raw.data, line->raw.n, again);
	}
	assert_int_equal(again->books.bytes_raw, bytes);
}

static struct reading at_once, first, again;

/* What the mended job reads in the object at once, and in the end. The caller frees both. */
static void compare_ways(const struct jobs *jobs, const char *object, size_t n, enum telling telling, char **once,
                         char **twice)
{
	read_all(jobs->mended, NULL, object, n, &at_once);
	read_all(jobs->strict, NULL, object, n, &first);
	read_again(jobs, &first, &again);
	*once = all_lines(&at_once, telling);
	*twice = all_lines(&again, telling);
	forget(&at_once);
	forget(&first);
	forget(&again);
}

/* --- Random objects ----------------------------------------------------------------------------------------------- */

static const char *const documents[] = {
    "{\"a\":1}",
    "{\"a\":2,\"b\":3}",
    "{\"b\":1}",
    "{}",
    "{\"a\":\"x\"}",
    "{\"a\":4,\"b\":[]}",
    "{\"a\":",
    "{\"a\":}",
    "{\"a\":5,\n\"c\":{\n\"d\":[1,\n{\"a\":6}\n]}}",
    "{\"c\":{\n\"d\":[1,\n{\"a\":6}\n]}}",
    "{\"a\":7,\"long\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}",
    "{\"long\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}",
    "garbage",
    "12",
    "\"text\"",
    "null",
    "}",
    "]",
    ",",
    "\x1f\x8b\x08",
    "\xEF\xBB\xBF{\"a\":8}",
    "{\"a\":\"\xff\"}"};
static const char *const between[] = {"\n", "\n", "\n", "\n", "\r\n", "", " ", "\n\n"};

static size_t make_object(char *object, size_t room)
{
	size_t n = 1;
	object[0] = '\n'; /* one of the documents would make it a gzip file */
	for (uint32_t left = rnd(30); left > 0; left--) {
		const char *document = documents[rnd(sizeof documents / sizeof *documents)];
		const char *space = between[rnd(sizeof between / sizeof *between)];
		int added = snprintf(object + n, room - n, "%s%s", document, space);
		assert_true(added >= 0 && (size_t)added < room - n);
		n += (size_t)added;
	}
	return n;
}

/* An array of sound elements, many of which the strict job cannot use. */
static size_t make_array(char *object, size_t room)
{
	static const char *const elements[] = {"{\"a\":1}", "{\"b\":1}",   "{\"a\":2,\"b\":[]}",
	                                       "12",        "[{\"a\":3}]", "{\"c\":[{\"a\":1}]}"};
	static const char *const commas[] = {",", " ,\n", ",\n"};
	size_t n = (size_t)snprintf(object, room, "[");
	uint32_t left = 1 + rnd(20);
	for (; left > 0; left--)
		n += (size_t)snprintf(object + n, room - n, "%s%s", elements[rnd(sizeof elements / sizeof *elements)],
		                      left > 1 ? commas[rnd(3)] : "]\n");
	return n;
}

static void test_random(void **s)
{
	(void)s;
	static char object[16384];
	static const size_t windows[] = {16, 40, 4096};
	uint64_t seed = *s != NULL ? *(uint64_t *)*s : 0;
	for (uint64_t round = 0; round < (seed != 0 ? 1 : 3000); round++) {
		uint64_t this = seed != 0 ? seed : round + 1;
		state = this;
		struct jobs jobs;
		char *once, *twice;
		open_jobs(&jobs, 200, 200, windows[rnd(3)]);
		size_t n = rnd(4) == 0 ? make_array(object, sizeof object) : make_object(object, sizeof object);
		compare_ways(&jobs, object, n, RAW, &once, &twice);
		if (strcmp(once, twice) != 0)
			fail_msg("seed %llu\n%.*s\nat once:\n%s\nagain:\n%s", (unsigned long long)this, (int)n, object, once,
			         twice);
		free(once);
		free(twice);
		close_jobs(&jobs);
	}
}

/* --- Case by case ------------------------------------------------------------------------------------------------- */

static void expect_excerpt(size_t max, const char *bytes, const char *expected)
{
	struct jobs jobs;
	struct gm_excerpt excerpt = {.record = 7, .offset = UINT64_C(1) << 40};
	open_jobs(&jobs, max, max, 16);
	read_all(jobs.strict, &excerpt, bytes, strlen(bytes), &first);
	char *got = all_lines(&first, EVERYTHING);
	assert_string_equal(got, expected);
	free(got);
	forget(&first);
	close_jobs(&jobs);
}

static void test_one_record(void **s)
{
	(void)s;
	expect_excerpt(100, "{\"a\":1}", "row 7 at 1099511627776+7 weighs 24:|1|null\n");
	expect_excerpt(100, "{\"b\":1}", "reject 7 at 1099511627776 missing_required fault 1099511627776 [a] {\"b\":1}\n");
	expect_excerpt(100, "{\"a\":1", "reject 7 at 1099511627776 truncated fault 1099511627782 [] {\"a\":1\n");
}

static void test_nothing_in_it(void **s)
{
	(void)s;
	expect_excerpt(100, "", "");
	expect_excerpt(100, " \n", "");
}

/* Told by the object's first bytes, which these are not. */
static void test_neither_compressed_nor_marked(void **s)
{
	(void)s;
	expect_excerpt(100, "\x1f\x8b\x08", "reject 7 at 1099511627776 not_json fault 1099511627776 [] \\1f\\8b\\08\n");
	expect_excerpt(100, "\xEF\xBB\xBF{\"a\":1}",
	               "reject 7 at 1099511627776 not_json fault 1099511627776 [] \\ef\\bb\\bf{\"a\":1}\n");
}

/* What the span had swallowed comes out, wherever it was: between commas of an array as well. */
static void test_swallowed_records(void **s)
{
	(void)s;
	expect_excerpt(100, "{\"a\":1}, {\"a\":2}{\"b\":0},]\n",
	               "row 7 at 1099511627776+7 weighs 24:|1|null\n"
	               "row 7 at 1099511627785+7 weighs 24:|2|null\n"
	               "reject 7 at 1099511627792 missing_required fault 1099511627792 [a] {\"b\":0}\n");
	expect_excerpt(100, "[{\"a\":1}]", "reject 7 at 1099511627776 not_an_object fault 1099511627776 [] [{\"a\":1}]\n");
	expect_excerpt(100, ",{\"a\":1}]", "reject 7 at 1099511627776 not_json fault 1099511627776 [] ,{\"a\":1}]\n");
}

/* A limit that is raised: lines, and an array in one line, whose rest was one span. */
static void test_raised_limit(void **s)
{
	(void)s;
	static const char *const objects[] = {
	    "{\"a\":1}\n{\"long\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxx\",\"a\":2} {\"a\":3}\n{\"a\":4}\n",
	    "[{\"a\":1},{\"long\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxx\",\"a\":2},{\"a\":3},{\"b\":4}]",
	    "{\"a\":1}{\"long\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxx\",\"a\":2}{\"a\":3}{\"a\":4}"};
	for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
		struct jobs jobs;
		char *once, *twice;
		open_jobs(&jobs, 30, 1000, 16);
		read_all(jobs.strict, NULL, objects[i], strlen(objects[i]), &first);
		assert_true(first.books.quarantined == 1);
		forget(&first);
		compare_ways(&jobs, objects[i], strlen(objects[i]), ROWS, &once, &twice);
		/* Records that a span swallowed have its number. */
		assert_int_equal(strlen(once), strlen(twice));
		assert_non_null(strstr(twice, "|2|null\n"));
		assert_non_null(strstr(twice, "|3|null\n"));
		free(once);
		free(twice);
		close_jobs(&jobs);
	}
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	void *given = argc > 1 ? &seed : NULL;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_prestate(test_random, given), cmocka_unit_test(test_one_record),
	    cmocka_unit_test(test_nothing_in_it),          cmocka_unit_test(test_neither_compressed_nor_marked),
	    cmocka_unit_test(test_swallowed_records),      cmocka_unit_test(test_raised_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
