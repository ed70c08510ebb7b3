/* bookmark.c - the state itself: the base file and, in memory, what came after it.
 *
 * Of each key that was added or forgotten since the base the last word is kept, sorted by key, with the place in the
 * order of events at which it was said. Rewinds are kept beside them and judge when an entry comes by: it is dropped if
 * a rewind that came after it goes to an earlier time than the entry's own. Entries of the base came before all. So no
 * event touches more than itself, and a merge of the base with the sorted keys gives the state. */
#include "table/bookmark_file.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { ARENA_BLOCK = 64 << 10 };

/* The last word on a key; the entry's run is 0 if it was forgotten. */
struct word {
	struct gm_bookmark_entry entry;
	uint64_t order; /* of the event, from 1; 0 is the base's */
};
struct rewind {
	uint64_t order;
	int64_t to_us;
};

struct gm_bookmark {
	struct gm_bookmark_reader *base; /* NULL: none */
	uint64_t base_run, events;
	int64_t full_us;
	struct gm_bookmark_range *ranges; /* all runs on the chain */
	size_t range_count, range_room;
	struct gm_arena keys;
	/* The first `settled` are sorted, with one for each key; the others wait in the order they came. */
	struct word *words;
	size_t word_count, word_room, settled;
	/* Ascending in order and in time: a rewind to an earlier time makes those before it that go less far needless. */
	struct rewind *rewinds;
	size_t rewind_count, rewind_room;
	/* A pass over the state. */
	bool running;
	const struct gm_bookmark_entry *of_base; /* the base's next, NULL at its end */
	size_t next_word;
	bool took_base;                          /* of_base is current or passed by, but lives until the next step */
	const struct gm_bookmark_entry *current; /* NULL at the end */
	char asked[GM_BOOKMARK_KEY_MAX + 1];
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the bookmark");
}

uint64_t gm_bookmark_etag_hash(const char *etag)
{
	if (etag[0] == '\0') return 0;
	uint64_t hash = XXH3_64bits(etag, strlen(etag));
	return hash != 0 ? hash : 1;
}

/* --- Opening ------------------------------------------------------------------------------------------------------ */

static enum gm_code take_base(struct gm_bookmark *bookmark, struct gm_error *err)
{
	const struct gm_bookmark_head *head = gm_bookmark_reader_head(bookmark->base);
	bookmark->ranges = malloc(head->range_count * sizeof *bookmark->ranges);
	if (bookmark->ranges == NULL) return out_of_memory(err);
	memcpy(bookmark->ranges, head->ranges, head->range_count * sizeof *bookmark->ranges);
	bookmark->range_count = bookmark->range_room = head->range_count;
	bookmark->base_run = head->ranges[head->range_count - 1].last;
	bookmark->full_us = head->full_us;
	return GM_OK;
}

enum gm_code gm_bookmark_open(struct gm_store *table, const char *key, struct gm_bookmark **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_bookmark *bookmark = calloc(1, sizeof *bookmark);
	if (bookmark == NULL) return out_of_memory(err);
	gm_arena_init(&bookmark->keys, ARENA_BLOCK);
	enum gm_code rc = GM_OK;
	if (key != NULL) rc = gm_bookmark_reader_open(table, key, &bookmark->base, err);
	if (rc == GM_OK && key != NULL) rc = take_base(bookmark, err);
	if (rc == GM_OK)
		*out = bookmark;
	else
		gm_bookmark_free(bookmark);
	return rc;
}

void gm_bookmark_free(struct gm_bookmark *bookmark)
{
	if (bookmark == NULL) return;
	gm_bookmark_reader_close(bookmark->base);
	gm_arena_release(&bookmark->keys);
	free(bookmark->ranges);
	free(bookmark->words);
	free(bookmark->rewinds);
	free(bookmark);
}

uint64_t gm_bookmark_base(const struct gm_bookmark *bookmark)
{
	return bookmark->base_run;
}

/* --- Runs --------------------------------------------------------------------------------------------------------- */

static uint64_t newest_run(const struct gm_bookmark *bookmark)
{
	return bookmark->range_count > 0 ? bookmark->ranges[bookmark->range_count - 1].last : 0;
}

enum gm_code gm_bookmark_run(struct gm_bookmark *bookmark, uint64_t run, struct gm_error *err)
{
	uint64_t newest = newest_run(bookmark);
	if (run <= newest) GM_FAIL(err, GM_BUG, "committed runs do not come in the order of their chain");
	if (newest > 0 && run == newest + 1) {
		bookmark->ranges[bookmark->range_count - 1].last = run;
		return GM_OK;
	}
	struct gm_bookmark_range *ranges =
	    gm_grow(bookmark->ranges, bookmark->range_count, &bookmark->range_room, sizeof *ranges);
	if (ranges == NULL) return out_of_memory(err);
	bookmark->ranges = ranges;
	ranges[bookmark->range_count++] = (struct gm_bookmark_range){run, run};
	return GM_OK;
}

void gm_bookmark_set_full(struct gm_bookmark *bookmark, int64_t full_us)
{
	bookmark->full_us = full_us;
}

uint64_t gm_bookmark_since_base(const struct gm_bookmark *bookmark)
{
	return bookmark->word_count;
}

int64_t gm_bookmark_full(const struct gm_bookmark *bookmark)
{
	return bookmark->full_us;
}

bool gm_bookmark_has_run(const struct gm_bookmark *bookmark, uint64_t run)
{
	return gm_bookmark_in_ranges(bookmark->ranges, bookmark->range_count, run);
}

/* --- Events since the base ---------------------------------------------------------------------------------------- */

static enum gm_code add_word(struct gm_bookmark *bookmark, const struct gm_bookmark_entry *entry, struct gm_error *err)
{
	if (!gm_bookmark_key_valid(entry->key)) GM_FAIL(err, GM_BUG, "a bookmark cannot hold this key");
	struct word *words = gm_grow(bookmark->words, bookmark->word_count, &bookmark->word_room, sizeof *words);
	if (words == NULL) return out_of_memory(err);
	bookmark->words = words;
	struct word *word = &words[bookmark->word_count];
	*word = (struct word){.entry = *entry, .order = bookmark->events + 1};
	word->entry.key = gm_arena_strndup(&bookmark->keys, entry->key, strlen(entry->key));
	if (word->entry.key == NULL) return out_of_memory(err);
	bookmark->running = false;
	bookmark->events++;
	bookmark->word_count++;
	return GM_OK;
}

enum gm_code gm_bookmark_add(struct gm_bookmark *bookmark, const struct gm_bookmark_entry *entry, struct gm_error *err)
{
	if (entry->run == 0 || entry->run != newest_run(bookmark))
		GM_FAIL(err, GM_BUG, "an entry is of another run than the one announced");
	return add_word(bookmark, entry, err);
}

enum gm_code gm_bookmark_forget(struct gm_bookmark *bookmark, const char *key, struct gm_error *err)
{
	return add_word(bookmark, &(struct gm_bookmark_entry){.key = key}, err);
}

enum gm_code gm_bookmark_rewind(struct gm_bookmark *bookmark, int64_t to_us, struct gm_error *err)
{
	struct rewind *rewinds =
	    gm_grow(bookmark->rewinds, bookmark->rewind_count, &bookmark->rewind_room, sizeof *rewinds);
	if (rewinds == NULL) return out_of_memory(err);
	bookmark->rewinds = rewinds;
	while (bookmark->rewind_count > 0 && rewinds[bookmark->rewind_count - 1].to_us >= to_us) bookmark->rewind_count--;
	rewinds[bookmark->rewind_count++] = (struct rewind){++bookmark->events, to_us};
	bookmark->running = false;
	return GM_OK;
}

/* Does a rewind that came after the event drop the entry? The first of them goes furthest. */
static bool is_rewound(const struct gm_bookmark *bookmark, const struct gm_bookmark_entry *entry, uint64_t order)
{
	size_t low = 0, high = bookmark->rewind_count;
	if (high == 0 || !gm_bookmark_is_object(entry)) return false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (bookmark->rewinds[middle].order < order)
			low = middle + 1;
		else
			high = middle;
	}
	return low < bookmark->rewind_count && entry->mtime_us > bookmark->rewinds[low].to_us;
}

/* --- Sorting ------------------------------------------------------------------------------------------------------ */

static int by_key(const void *a, const void *b)
{
	const struct word *left = a, *right = b;
	int order = strcmp(left->entry.key, right->entry.key);
	if (order != 0) return order;
	return left->order < right->order ? -1 : left->order > right->order;
}

/* The last word on each key: of equal keys, which are in the order of events, the last. Returns how many there are. */
static size_t drop_superseded(struct word *words, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++)
		if (i + 1 == count || strcmp(words[i].entry.key, words[i + 1].entry.key) != 0) words[kept++] = words[i];
	return kept;
}

/* Merges old and new words, each with one for a key; a new one replaces an old one. */
static size_t merge_words(struct word *to, const struct word *old, size_t old_count, const struct word *new,
                          size_t new_count)
{
	size_t count = 0, i = 0, k = 0;
	while (i < old_count && k < new_count) {
		int order = strcmp(old[i].entry.key, new[k].entry.key);
		to[count++] = order < 0 ? old[i] : new[k];
		if (order <= 0) i++;
		if (order >= 0) k++;
	}
	while (i < old_count) to[count++] = old[i++];
	while (k < new_count) to[count++] = new[k++];
	return count;
}

/* Sorts what waits in among the words. */
static enum gm_code settle(struct gm_bookmark *bookmark, struct gm_error *err)
{
	size_t settled = bookmark->settled, waiting = bookmark->word_count - settled;
	if (waiting == 0) return GM_OK;
	struct word *tail = bookmark->words + settled;
	qsort(tail, waiting, sizeof *tail, by_key);
	waiting = drop_superseded(tail, waiting);
	bookmark->word_count = settled + waiting;
	if (settled > 0) {
		struct word *merged = malloc(bookmark->word_count * sizeof *merged);
		if (merged == NULL) return out_of_memory(err); /* what waits is sorted already, which does no harm */
		bookmark->word_room = bookmark->word_count;
		bookmark->word_count = merge_words(merged, bookmark->words, settled, tail, waiting);
		free(bookmark->words);
		bookmark->words = merged;
	}
	bookmark->settled = bookmark->word_count;
	return GM_OK;
}

/* --- A pass ------------------------------------------------------------------------------------------------------- */

static enum gm_code next_of_base(struct gm_bookmark *bookmark, struct gm_error *err)
{
	bookmark->of_base = NULL;
	bookmark->took_base = false;
	return bookmark->base != NULL ? gm_bookmark_reader_next(bookmark->base, &bookmark->of_base, err) : GM_OK;
}

/* Takes the lesser of the next two, or the word of two that are of one key. Words that say "forgotten" are taken, too.
 */
static const struct gm_bookmark_entry *take_next(struct gm_bookmark *bookmark, uint64_t *event)
{
	const struct gm_bookmark_entry *of_base = bookmark->of_base;
	const struct word *word = bookmark->next_word < bookmark->word_count ? &bookmark->words[bookmark->next_word] : NULL;
	int order = 0;
	if (of_base == NULL || word == NULL)
		order = of_base != NULL ? -1 : 1;
	else
		order = strcmp(of_base->key, word->entry.key);
	bookmark->took_base = of_base != NULL && order <= 0;
	*event = 0;
	if (order < 0) return of_base;
	if (word == NULL) return NULL;
	bookmark->next_word++;
	*event = word->order;
	return &word->entry;
}

/* Makes the next entry of the state the current one. */
static enum gm_code step(struct gm_bookmark *bookmark, struct gm_error *err)
{
	uint64_t event;
	for (;;) {
		if (bookmark->took_base) GM_TRY(next_of_base(bookmark, err));
		bookmark->current = take_next(bookmark, &event);
		if (bookmark->current == NULL) return GM_OK;
		if (bookmark->current->run != 0 && !is_rewound(bookmark, bookmark->current, event)) return GM_OK;
	}
}

/* Begins a pass: the first entry is current. */
static enum gm_code begin(struct gm_bookmark *bookmark, struct gm_error *err)
{
	GM_TRY(settle(bookmark, err));
	if (bookmark->base != NULL) GM_TRY(gm_bookmark_reader_restart(bookmark->base, err));
	GM_TRY(next_of_base(bookmark, err));
	bookmark->next_word = 0;
	bookmark->asked[0] = '\0';
	return step(bookmark, err);
}

static enum gm_code find(struct gm_bookmark *bookmark, const char *key, const struct gm_bookmark_entry **entry,
                         struct gm_error *err)
{
	if (!bookmark->running) GM_TRY(begin(bookmark, err));
	bookmark->running = true;
	if (strcmp(key, bookmark->asked) < 0) GM_FAIL(err, GM_BUG, "a bookmark is not asked in order");
	(void)strcpy(bookmark->asked, key);
	int order = 1;
	while (bookmark->current != NULL && (order = strcmp(bookmark->current->key, key)) < 0) GM_TRY(step(bookmark, err));
	*entry = order == 0 ? bookmark->current : NULL;
	return GM_OK;
}

enum gm_code gm_bookmark_find(struct gm_bookmark *bookmark, const char *key, const struct gm_bookmark_entry **entry,
                              struct gm_error *err)
{
	*entry = NULL;
	if (strlen(key) > GM_BOOKMARK_KEY_MAX) GM_FAIL(err, GM_BUG, "a bookmark cannot hold this key");
	enum gm_code rc = find(bookmark, key, entry, err);
	if (rc != GM_OK) bookmark->running = false; /* the base may stand anywhere */
	return rc;
}

void gm_bookmark_restart(struct gm_bookmark *bookmark)
{
	bookmark->running = false;
}

enum gm_code gm_bookmark_each(struct gm_bookmark *bookmark, gm_bookmark_fn *each, void *context, struct gm_error *err)
{
	bookmark->running = false;
	GM_TRY(begin(bookmark, err));
	while (bookmark->current != NULL) {
		GM_TRY(each(context, bookmark->current, err));
		GM_TRY(step(bookmark, err));
	}
	return GM_OK;
}

/* --- The whole ---------------------------------------------------------------------------------------------------- */

static enum gm_code count(void *context, const struct gm_bookmark_entry *entry, struct gm_error *err)
{
	(void)err;
	gm_bookmark_count(context, entry);
	return GM_OK;
}

/* The base's header knows its own; a pass must be made over anything else. */
static enum gm_code count_all(struct gm_bookmark *bookmark, struct gm_bookmark_counts *counts, struct gm_error *err)
{
	*counts = (struct gm_bookmark_counts){0};
	if (bookmark->events > 0) return gm_bookmark_each(bookmark, count, counts, err);
	if (bookmark->base != NULL) *counts = gm_bookmark_reader_head(bookmark->base)->counts;
	return GM_OK;
}

enum gm_code gm_bookmark_summarize(struct gm_bookmark *bookmark, struct gm_bookmark_summary *summary,
                                   struct gm_error *err)
{
	struct gm_bookmark_counts counts;
	*summary = (struct gm_bookmark_summary){0};
	GM_TRY(settle(bookmark, err));
	GM_TRY(count_all(bookmark, &counts, err));
	summary->objects = counts.objects;
	summary->replayed = counts.replayed;
	summary->newest_us = counts.newest_us;
	summary->since_base = bookmark->word_count;
	for (size_t i = 0; i < bookmark->range_count; i++)
		summary->runs += bookmark->ranges[i].last - bookmark->ranges[i].first + 1;
	return GM_OK;
}

static enum gm_code write_entry(void *context, const struct gm_bookmark_entry *entry, struct gm_error *err)
{
	return gm_bookmark_writer_add(context, entry, err);
}

enum gm_code gm_bookmark_write(struct gm_bookmark *bookmark, struct gm_store *table, const char *key,
                               const char *work_prefix, struct gm_error *err)
{
	struct gm_bookmark_writer *writer;
	struct gm_bookmark_head head = {
	    .full_us = bookmark->full_us, .ranges = bookmark->ranges, .range_count = bookmark->range_count};
	if (head.range_count == 0) GM_FAIL(err, GM_BUG, "a bookmark is of a run, and none is committed");
	GM_TRY(count_all(bookmark, &head.counts, err));
	GM_TRY(gm_bookmark_writer_open(table, key, work_prefix, &head, &writer, err));
	enum gm_code rc = gm_bookmark_each(bookmark, write_entry, writer, err);
	if (rc == GM_OK) rc = gm_bookmark_writer_finish(writer, err);
	gm_bookmark_writer_free(writer);
	return rc;
}
