/* A bookmark's state against a naive model, and what its calls promise. Its file: bookmark_file.c. */
#include "table/bookmark.h"
#include "../must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gm_bookmark *empty(void)
{
	struct gm_bookmark *bookmark;
	must(gm_bookmark_open(NULL, NULL, &bookmark, &failure));
	return bookmark;
}

static void add(struct gm_bookmark *bookmark, const char *key, int64_t mtime_us, uint64_t run)
{
	const struct gm_bookmark_entry entry = {
	    .key = key, .size = strlen(key), .mtime_us = mtime_us, .etag_hash = run * 3, .run = run};
	must(gm_bookmark_add(bookmark, &entry, &failure));
}

static enum gm_code join(void *context, const struct gm_bookmark_entry *entry, struct gm_error *error)
{
	return gm_buf_printf(context, error, "%s@%lld/%llu ", entry->key, (long long)entry->mtime_us,
	                     (unsigned long long)entry->run);
}

/* "key@mtime/run " for each entry, in a static buffer. */
static const char *text_of(struct gm_bookmark *bookmark)
{
	static char text[4096];
	struct gm_buf buf;
	gm_buf_init(&buf, sizeof text - 1);
	must(gm_bookmark_each(bookmark, join, &buf, &failure));
	if (buf.len > 0) memcpy(text, buf.data, buf.len);
	text[buf.len] = '\0';
	gm_buf_release(&buf);
	return text;
}

static bool knows(struct gm_bookmark *bookmark, const char *key)
{
	const struct gm_bookmark_entry *entry;
	must(gm_bookmark_find(bookmark, key, &entry, &failure));
	if (entry != NULL) assert_string_equal(entry->key, key);
	return entry != NULL;
}

static enum gm_code count_keys(void *context, const struct gm_object_info *info, struct gm_error *error)
{
	(void)info;
	(void)error;
	++*(int *)context;
	return GM_OK;
}

static int objects_in(struct gm_store *store)
{
	int count = 0;
	must(gm_store_list(store, "", count_keys, &count, &failure));
	return count;
}

/* --- What is promised --------------------------------------------------------------------------------------------- */

static void nothing_is_known_at_first(void **state)
{
	(void)state;
	struct gm_bookmark *bookmark = empty();
	struct gm_bookmark_summary summary;
	struct gm_store *store;
	must(gm_store_open_memory(&store, &failure));
	assert_false(knows(bookmark, "a"));
	assert_string_equal(text_of(bookmark), "");
	assert_int_equal(gm_bookmark_base(bookmark), 0);
	assert_false(gm_bookmark_has_run(bookmark, 0));
	assert_false(gm_bookmark_has_run(bookmark, 1));
	must(gm_bookmark_summarize(bookmark, &summary, &failure));
	assert_true(summary.objects == 0 && summary.runs == 0 && summary.since_base == 0 && summary.newest_us == 0);
	must(gm_bookmark_forget(bookmark, "a", &failure));
	must(gm_bookmark_rewind(bookmark, 0, &failure));
	assert_false(knows(bookmark, "a"));
	assert_int_equal(gm_bookmark_write(bookmark, store, "b", "w/", &failure), GM_BUG);
	assert_int_equal(objects_in(store), 0);
	gm_store_close(store);
	gm_bookmark_free(bookmark);
	gm_bookmark_free(NULL);
}

static void the_last_word_on_a_key_counts(void **state)
{
	(void)state;
	struct gm_bookmark *bookmark = empty();
	must(gm_bookmark_run(bookmark, 1, &failure));
	add(bookmark, "b", 10, 1);
	add(bookmark, "a", 20, 1);
	assert_int_equal(gm_bookmark_since_base(bookmark), 2);
	assert_string_equal(text_of(bookmark), "a@20/1 b@10/1 ");
	must(gm_bookmark_run(bookmark, 2, &failure));
	add(bookmark, "b", 30, 2);
	add(bookmark, "b", 31, 2);
	assert_string_equal(text_of(bookmark), "a@20/1 b@31/2 ");
	must(gm_bookmark_run(bookmark, 5, &failure));
	must(gm_bookmark_forget(bookmark, "b", &failure));
	assert_string_equal(text_of(bookmark), "a@20/1 ");
	add(bookmark, "b", 9, 5);
	assert_string_equal(text_of(bookmark), "a@20/1 b@9/5 ");
	gm_bookmark_free(bookmark);
}

/* A rewind concerns what came before it, and what it dropped does not come back. */
static void a_rewind_drops_what_is_newer(void **state)
{
	(void)state;
	struct gm_bookmark *bookmark = empty();
	must(gm_bookmark_run(bookmark, 1, &failure));
	for (char key[] = "a"; key[0] <= 'e'; key[0]++) add(bookmark, key, (key[0] - 'a') * 10, 1);
	add(bookmark, "/_gristmill/q", 1000, 1);
	must(gm_bookmark_run(bookmark, 2, &failure));
	must(gm_bookmark_rewind(bookmark, 20, &failure));
	assert_string_equal(text_of(bookmark), "/_gristmill/q@1000/1 a@0/1 b@10/1 c@20/1 ");
	must(gm_bookmark_run(bookmark, 3, &failure));
	add(bookmark, "d", 30, 3);
	add(bookmark, "b", 50, 3); /* replaced, then rewound: the earlier b does not come back */
	must(gm_bookmark_run(bookmark, 4, &failure));
	must(gm_bookmark_rewind(bookmark, 40, &failure));
	assert_string_equal(text_of(bookmark), "/_gristmill/q@1000/1 a@0/1 c@20/1 d@30/3 ");
	must(gm_bookmark_rewind(bookmark, INT64_MIN, &failure));
	assert_string_equal(text_of(bookmark), "/_gristmill/q@1000/1 ");
	must(gm_bookmark_forget(bookmark, "/_gristmill/q", &failure));
	assert_string_equal(text_of(bookmark), "");
	gm_bookmark_free(bookmark);
}

static void runs_and_entries_come_in_the_order_of_the_chain(void **state)
{
	(void)state;
	struct gm_bookmark *bookmark = empty();
	struct gm_bookmark_entry entry = {.key = "a", .run = 3};
	char longest[GM_BOOKMARK_KEY_MAX + 2];
	memset(longest, 'x', sizeof longest);
	assert_int_equal(gm_bookmark_run(bookmark, 0, &failure), GM_BUG);
	must(gm_bookmark_run(bookmark, 3, &failure));
	assert_int_equal(gm_bookmark_run(bookmark, 3, &failure), GM_BUG);
	assert_int_equal(gm_bookmark_run(bookmark, 2, &failure), GM_BUG);
	must(gm_bookmark_add(bookmark, &entry, &failure));
	entry.run = 2;
	assert_int_equal(gm_bookmark_add(bookmark, &entry, &failure), GM_BUG);
	must(gm_bookmark_run(bookmark, 4, &failure));
	entry.run = 3;
	assert_int_equal(gm_bookmark_add(bookmark, &entry, &failure), GM_BUG);
	static const char *const bad[] = {"", "\xff", "a\xc3"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		entry = (struct gm_bookmark_entry){.key = bad[i], .run = 4};
		assert_int_equal(gm_bookmark_add(bookmark, &entry, &failure), GM_BUG);
		assert_int_equal(gm_bookmark_forget(bookmark, bad[i], &failure), GM_BUG);
	}
	longest[GM_BOOKMARK_KEY_MAX + 1] = '\0';
	entry.key = longest;
	assert_int_equal(gm_bookmark_add(bookmark, &entry, &failure), GM_BUG);
	longest[GM_BOOKMARK_KEY_MAX] = '\0';
	must(gm_bookmark_add(bookmark, &entry, &failure));
	assert_true(knows(bookmark, "a") && knows(bookmark, longest));
	assert_true(gm_bookmark_has_run(bookmark, 3) && gm_bookmark_has_run(bookmark, 4));
	assert_false(gm_bookmark_has_run(bookmark, 2) || gm_bookmark_has_run(bookmark, 5));
	gm_bookmark_free(bookmark);
}

static void keys_are_asked_in_order(void **state)
{
	(void)state;
	const struct gm_bookmark_entry *entry;
	struct gm_bookmark *bookmark = empty();
	must(gm_bookmark_run(bookmark, 1, &failure));
	for (char key[] = "b"; key[0] <= 'h'; key[0] = (char)(key[0] + 2)) add(bookmark, key, 0, 1);
	assert_false(knows(bookmark, "a"));
	assert_true(knows(bookmark, "b"));
	assert_true(knows(bookmark, "b"));
	assert_false(knows(bookmark, "b!"));
	assert_true(knows(bookmark, "f"));
	assert_int_equal(gm_bookmark_find(bookmark, "d", &entry, &failure), GM_BUG);
	assert_null(entry);
	assert_true(knows(bookmark, "d")); /* after a failure a pass begins anew */
	gm_bookmark_restart(bookmark);
	assert_true(knows(bookmark, "b"));
	assert_false(knows(bookmark, "z"));
	must(gm_bookmark_forget(bookmark, "d", &failure)); /* ends the pass */
	assert_true(knows(bookmark, "b"));
	assert_false(knows(bookmark, "d"));
	gm_bookmark_free(bookmark);
}

static enum gm_code stop_at_b(void *context, const struct gm_bookmark_entry *entry, struct gm_error *error)
{
	(void)context;
	if (strcmp(entry->key, "b") == 0) GM_FAIL(error, GM_INTERRUPTED, "enough");
	return GM_OK;
}

static void a_pass_ends_when_told_to(void **state)
{
	(void)state;
	struct gm_bookmark *bookmark = empty();
	must(gm_bookmark_run(bookmark, 1, &failure));
	for (char key[] = "a"; key[0] <= 'c'; key[0]++) add(bookmark, key, 0, 1);
	assert_int_equal(gm_bookmark_each(bookmark, stop_at_b, NULL, &failure), GM_INTERRUPTED);
	assert_string_equal(text_of(bookmark), "a@0/1 b@0/1 c@0/1 ");
	gm_bookmark_free(bookmark);
}

static void it_is_written_once(void **state)
{
	(void)state;
	struct gm_store *store;
	struct gm_bookmark *bookmark = empty(), *back;
	must(gm_store_open_memory(&store, &failure));
	must(gm_bookmark_run(bookmark, 7, &failure));
	add(bookmark, "a", -5, 7);
	must(gm_bookmark_write(bookmark, store, "b/7", "w/7/", &failure));
	must(gm_bookmark_run(bookmark, 8, &failure));
	assert_int_equal(gm_bookmark_write(bookmark, store, "b/7", "w/8/", &failure), GM_EXISTS);
	assert_int_equal(objects_in(store), 1); /* and nothing staged is left */
	must(gm_bookmark_open(store, "b/7", &back, &failure));
	assert_int_equal(gm_bookmark_base(back), 7);
	assert_string_equal(text_of(back), "a@-5/7 ");
	gm_bookmark_free(back);
	assert_int_equal(gm_bookmark_open(store, "b/8", &back, &failure), GM_NOT_FOUND);
	assert_null(back);
	gm_bookmark_free(bookmark);
	gm_store_close(store);
}

static void etags_are_told_apart(void **state)
{
	(void)state;
	assert_true(gm_bookmark_etag_hash("") == 0);
	assert_true(gm_bookmark_etag_hash("a") != 0);
	assert_true(gm_bookmark_etag_hash("\"9b2cf535f27731c974343645a3985328\"") !=
	            gm_bookmark_etag_hash("\"9b2cf535f27731c974343645a3985329\""));
}

/* --- A naive model ------------------------------------------------------------------------------------------------ */

enum { KEYS = 60, LONG_KEYS = 6 };

struct model {
	char keys[KEYS][GM_BOOKMARK_KEY_MAX + 1]; /* all there are, sorted */
	struct gm_bookmark_entry known[KEYS];     /* run 0: not known */
	bool run[4096];
	uint64_t last_run, since_base, runs;
	bool touched[KEYS]; /* since the base */
	uint64_t random;
};

static uint64_t draw(struct model *model, uint64_t below)
{
	model->random ^= model->random << 13;
	model->random ^= model->random >> 7;
	model->random ^= model->random << 17;
	return model->random % below;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Keys that share much, little and nothing; some are quarantine files, some are as long as can be. */
static void make_keys(struct model *model)
{
	static const char *const stems[] = {"2024/03/10/", "2024/03/1", "/_gristmill/j/quarantine/", "/", "//a", "x",
	                                    "x/",          "\xc3\xa4"};
	for (size_t i = 0; i < KEYS; i++) {
		char *key = model->keys[i];
		size_t n = (size_t)snprintf(key, 100, "%s%02zu", stems[draw(model, sizeof stems / sizeof stems[0])], i);
		if (i < LONG_KEYS) {
			memset(key + n, 'k', GM_BOOKMARK_KEY_MAX - n);
			n = GM_BOOKMARK_KEY_MAX - draw(model, 3);
		}
		key[n] = '\0';
	}
	qsort(model->keys, KEYS, sizeof model->keys[0], by_text);
}

static void next_run(struct model *model, struct gm_bookmark *bookmark)
{
	model->last_run += 1 + (draw(model, 3) == 0 ? draw(model, 5) : 0);
	assert_true(model->last_run < 4096);
	model->run[model->last_run] = true;
	model->runs++;
	must(gm_bookmark_run(bookmark, model->last_run, &failure));
}

static void do_add(struct model *model, struct gm_bookmark *bookmark)
{
	size_t i = draw(model, KEYS);
	struct gm_bookmark_entry entry = {.key = model->keys[i],
	                                  .size = model->random >> draw(model, 64),
	                                  .mtime_us = (int64_t)draw(model, 100) - 20,
	                                  .etag_hash = draw(model, 2) == 0 ? 0 : model->random,
	                                  .run = model->last_run};
	if (draw(model, 20) == 0) entry.mtime_us = draw(model, 2) == 0 ? INT64_MAX : INT64_MIN;
	must(gm_bookmark_add(bookmark, &entry, &failure));
	model->known[i] = entry;
	model->touched[i] = true;
}

static void do_rewind(struct model *model, struct gm_bookmark *bookmark)
{
	int64_t to = (int64_t)draw(model, 120) - 20;
	must(gm_bookmark_rewind(bookmark, to, &failure));
	for (size_t i = 0; i < KEYS; i++)
		if (gm_bookmark_quarantine(model->keys[i]) == NULL && model->known[i].run != 0 && model->known[i].mtime_us > to)
			model->known[i].run = 0;
}

static void do_forget(struct model *model, struct gm_bookmark *bookmark)
{
	size_t i = draw(model, KEYS);
	must(gm_bookmark_forget(bookmark, model->keys[i], &failure));
	model->known[i].run = 0;
	model->touched[i] = true;
}

static void assert_same(const struct gm_bookmark_entry *a, const struct gm_bookmark_entry *b)
{
	assert_string_equal(a->key, b->key);
	assert_true(a->size == b->size && a->mtime_us == b->mtime_us && a->etag_hash == b->etag_hash && a->run == b->run);
}

struct walk {
	const struct model *model;
	size_t next;
};

static enum gm_code expect_next(void *context, const struct gm_bookmark_entry *entry, struct gm_error *error)
{
	(void)error;
	struct walk *walk = context;
	while (walk->next < KEYS && walk->model->known[walk->next].run == 0) walk->next++;
	assert_true(walk->next < KEYS);
	assert_same(entry, &walk->model->known[walk->next++]);
	return GM_OK;
}

static void check_each(struct model *model, struct gm_bookmark *bookmark)
{
	struct walk walk = {model, 0};
	must(gm_bookmark_each(bookmark, expect_next, &walk, &failure));
	for (; walk.next < KEYS; walk.next++) assert_true(model->known[walk.next].run == 0);
}

/* Asks for some of the keys, and for some that are not there; sometimes not to the end. */
static void check_find(struct model *model, struct gm_bookmark *bookmark)
{
	const struct gm_bookmark_entry *entry;
	size_t end = draw(model, 3) == 0 ? draw(model, KEYS) : KEYS;
	gm_bookmark_restart(bookmark);
	for (size_t i = draw(model, 10); i < end; i += 1 + (draw(model, 3) == 0 ? draw(model, 10) : 0)) {
		char near[GM_BOOKMARK_KEY_MAX + 1];
		(void)strcpy(near, model->keys[i]);
		near[strlen(near) - 1]--; /* just before it, and no key: they differ in their numbers */
		if (strlen(near) < 100 && (i == 0 || strcmp(near, model->keys[i - 1]) > 0)) {
			must(gm_bookmark_find(bookmark, near, &entry, &failure));
			assert_null(entry);
		}
		must(gm_bookmark_find(bookmark, model->keys[i], &entry, &failure));
		assert_true((entry != NULL) == (model->known[i].run != 0));
		if (entry != NULL) assert_same(entry, &model->known[i]);
	}
}

static void check_summary(struct model *model, struct gm_bookmark *bookmark)
{
	struct gm_bookmark_summary summary, expected = {.runs = model->runs};
	must(gm_bookmark_summarize(bookmark, &summary, &failure));
	for (size_t i = 0; i < KEYS; i++) {
		const struct gm_bookmark_entry *known = &model->known[i];
		if (model->touched[i]) expected.since_base++;
		if (known->run == 0) continue;
		if (gm_bookmark_quarantine(known->key) != NULL) {
			expected.replayed++;
			continue;
		}
		if (expected.objects++ == 0 || known->mtime_us > expected.newest_us) expected.newest_us = known->mtime_us;
	}
	assert_true(summary.objects == expected.objects && summary.replayed == expected.replayed);
	assert_true(summary.since_base == expected.since_base && summary.runs == expected.runs);
	assert_true(summary.newest_us == expected.newest_us);
	for (uint64_t run = 0; run <= model->last_run + 2; run++)
		assert_int_equal(gm_bookmark_has_run(bookmark, run), model->run[run]);
}

/* The bytes under the key, freed by the caller. */
static uint8_t *bytes_of(struct gm_store *store, const char *key, size_t *n)
{
	struct gm_buf buf;
	gm_buf_init(&buf, 16 << 20);
	must(gm_store_get(store, key, &buf, &failure));
	*n = buf.len;
	return buf.data;
}

/* What the whole state is written as when it is told from scratch, in any order that gives it. */
static void check_bytes(struct model *model, struct gm_store *store, const char *key)
{
	struct gm_bookmark *bookmark = empty();
	size_t n, other_n;
	for (uint64_t run = 1; run <= model->last_run; run++) {
		if (model->run[run]) must(gm_bookmark_run(bookmark, run, &failure));
		for (size_t i = KEYS; i-- > 0;)
			if (model->known[i].run == run) must(gm_bookmark_add(bookmark, &model->known[i], &failure));
	}
	must(gm_bookmark_write(bookmark, store, "other", "w/", &failure));
	gm_bookmark_free(bookmark);
	uint8_t *bytes = bytes_of(store, key, &n), *other = bytes_of(store, "other", &other_n);
	assert_int_equal(n, other_n);
	assert_memory_equal(bytes, other, n);
	free(bytes);
	free(other);
	must(gm_store_remove(store, "other", &failure));
}

static struct gm_bookmark *write_and_reopen(struct model *model, struct gm_bookmark *bookmark, struct gm_store *store)
{
	char key[64];
	(void)snprintf(key, sizeof key, "b/%llu", (unsigned long long)model->last_run);
	must(gm_bookmark_write(bookmark, store, key, "w/", &failure));
	check_bytes(model, store, key);
	gm_bookmark_free(bookmark);
	must(gm_bookmark_open(store, key, &bookmark, &failure));
	assert_true(gm_bookmark_base(bookmark) == model->last_run);
	memset(model->touched, 0, sizeof model->touched);
	return bookmark;
}

static void play(struct model *model, uint64_t seed)
{
	struct gm_store *store;
	struct gm_bookmark *bookmark = empty();
	must(gm_store_open_memory(&store, &failure));
	memset(model, 0, sizeof *model);
	model->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	make_keys(model);
	next_run(model, bookmark);
	for (uint64_t steps = 5 + draw(model, 25); steps > 0; steps--) {
		uint64_t what = draw(model, 16);
		if (what < 5) next_run(model, bookmark);
		if (what < 10)
			for (uint64_t i = draw(model, 30); i > 0; i--) do_add(model, bookmark);
		if (what == 10) do_rewind(model, bookmark);
		if (what == 11) do_forget(model, bookmark);
		if (what == 12) {
			next_run(model, bookmark);
			bookmark = write_and_reopen(model, bookmark, store);
		}
		if (what == 13) check_find(model, bookmark);
		if (what == 14) check_each(model, bookmark);
		if (what == 15) check_summary(model, bookmark);
	}
	check_find(model, bookmark);
	check_each(model, bookmark);
	check_summary(model, bookmark);
	gm_bookmark_free(bookmark);
	gm_store_close(store);
}

static uint64_t seed_in_hand;

static void random_histories_are_as_a_naive_model_says(void **state)
{
	enum { HISTORIES = 4000 };
	(void)state;
	struct model *model = malloc(sizeof *model);
	assert_non_null(model);
	const char *given = getenv("GM_SEED");
	uint64_t first = given != NULL ? strtoull(given, NULL, 10) : 1;
	uint64_t end = given != NULL ? first + 1 : first + HISTORIES;
	for (seed_in_hand = first; seed_in_hand < end; seed_in_hand++) play(model, seed_in_hand);
	seed_in_hand = 0;
	free(model);
}

static int tell_seed(void **state)
{
	(void)state;
	if (seed_in_hand != 0) print_message("failed: GM_SEED=%llu\n", (unsigned long long)seed_in_hand);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_known_at_first),
	    cmocka_unit_test(the_last_word_on_a_key_counts),
	    cmocka_unit_test(a_rewind_drops_what_is_newer),
	    cmocka_unit_test(runs_and_entries_come_in_the_order_of_the_chain),
	    cmocka_unit_test(keys_are_asked_in_order),
	    cmocka_unit_test(a_pass_ends_when_told_to),
	    cmocka_unit_test(it_is_written_once),
	    cmocka_unit_test(etags_are_told_apart),
	    cmocka_unit_test_teardown(random_histories_are_as_a_naive_model_says, tell_seed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
