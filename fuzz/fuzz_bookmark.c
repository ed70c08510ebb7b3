/* fuzz_bookmark.c - any bytes as the base file of a bookmark: it is read to its end, or refused by name. What is read
 * is in order, is found when it is asked for, and is the same after it has been written and read again.
 *
 * The first byte says what the others are: a file as it is; a file whose checks are to be made right, so that what
 * lies behind them is reached; or the columns of a block, for the same reason. */
#include "table/bookmark_file.h"

#include "../tests/unit/table/bookmark_build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition) abort();
}

static uint32_t number_at(const struct build *file, size_t at)
{
	return file->bytes[at] | (uint32_t)file->bytes[at + 1] << 8 | (uint32_t)file->bytes[at + 2] << 16 |
	       (uint32_t)file->bytes[at + 3] << 24;
}

static void mend(struct build *file, size_t from, size_t at)
{
	uint64_t check = XXH3_64bits(file->bytes + from, at - from);
	for (size_t i = 0; i < 8; i++) file->bytes[at + i] = (uint8_t)(check >> (8 * i));
}

/* Makes the checks of the header, the blocks and the trailer right, as far as they can be told apart. */
static void mend_checks(struct build *file)
{
	if (file->n < 24) return;
	size_t at = 16 + (size_t)number_at(file, 12);
	if (at + 8 > file->n) return;
	mend(file, 0, at);
	for (at += 8; at + 24 <= file->n && number_at(file, at) != 0;) {
		size_t from = at;
		if (at + 60 > file->n) return;
		at += 52;
		for (size_t i = 0; i < 6; i++) at += number_at(file, from + 8 + 8 * i);
		if (at + 8 > file->n) return;
		mend(file, from, at);
		at += 8;
	}
	if (at + 24 <= file->n) mend(file, 0, at + 16);
}

/* A file of one or two blocks: how many entries each has and how long its columns are say single bytes. */
static void build_columns(struct build *file, const uint8_t *data, size_t size)
{
	static const uint64_t runs[][2] = {{1, 3}, {5, 9}};
	struct build columns[6];
	uint64_t entries = 0;
	uint32_t blocks = 0;
	size_t at = size < 3 ? size : 3;
	build_head(file, size > 0 ? data[0] : 0, size > 1 ? data[1] : 0, size > 2 ? (int8_t)data[2] : 0, 0, runs, 2);
	for (; at + 7 <= size && blocks < 2; blocks++) {
		const uint8_t *sizes = data + at;
		at += 7;
		memset(columns, 0, sizeof columns);
		for (size_t i = 0; i < 6; i++) {
			size_t n = i < 5 ? sizes[i + 1] : 8 * (size_t)sizes[0];
			for (size_t k = 0; k < n; k++) build_bytes(&columns[i], at < size ? &data[at++] : (const uint8_t *)"", 1);
		}
		build_block(file, sizes[0], columns);
		entries += sizes[0];
		for (size_t i = 0; i < 6; i++) free(columns[i].bytes);
	}
	build_trailer(file, blocks, entries);
}

struct walk {
	char last[GM_BOOKMARK_KEY_MAX + 1];
	uint64_t entries, hash;
	struct gm_bookmark *ask; /* another that holds the same */
};

static enum gm_code look(void *context, const struct gm_bookmark_entry *entry, struct gm_error *err)
{
	struct walk *walk = context;
	must(gm_bookmark_key_valid(entry->key) && strcmp(entry->key, walk->last) > 0 && entry->run > 0);
	(void)strcpy(walk->last, entry->key);
	walk->entries++;
	walk->hash = XXH3_64bits_withSeed(entry->key, strlen(entry->key), walk->hash);
	const uint64_t rest[] = {entry->size, (uint64_t)entry->mtime_us, entry->etag_hash, entry->run};
	walk->hash = XXH3_64bits_withSeed(rest, sizeof rest, walk->hash);
	if (walk->ask == NULL) return GM_OK;
	const struct gm_bookmark_entry *found;
	GM_TRY(gm_bookmark_find(walk->ask, entry->key, &found, err));
	must(found != NULL && found->mtime_us == entry->mtime_us && found->run == entry->run);
	return GM_OK;
}

static void check_sound(struct gm_store *store, struct gm_bookmark *bookmark, const struct walk *first)
{
	struct gm_error err;
	struct gm_bookmark *again;
	struct gm_bookmark_summary summary;
	struct walk walk = {.ask = bookmark};
	must(gm_bookmark_summarize(bookmark, &summary, &err) == GM_OK);
	must(summary.objects + summary.replayed == first->entries &&
	     gm_bookmark_has_run(bookmark, gm_bookmark_base(bookmark)));
	must(gm_bookmark_write(bookmark, store, "b/again", "w/", &err) == GM_OK);
	must(gm_bookmark_open(store, "b/again", &again, &err) == GM_OK);
	must(gm_bookmark_each(again, look, &walk, &err) == GM_OK);
	must(walk.entries == first->entries && walk.hash == first->hash);
	gm_bookmark_free(again);
}

static void use_file(struct gm_store *store)
{
	struct gm_error err = {0};
	struct gm_bookmark *bookmark;
	struct walk walk = {.entries = 0};
	enum gm_code rc = gm_bookmark_open(store, "b/file", &bookmark, &err);
	if (rc == GM_OK) rc = gm_bookmark_each(bookmark, look, &walk, &err);
	if (rc == GM_OK)
		check_sound(store, bookmark, &walk);
	else
		must((rc == GM_CORRUPT || rc == GM_UNSUPPORTED) && strcmp(err.object, "b/file") == 0);
	gm_bookmark_free(bookmark);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gm_error err;
	struct gm_store *store;
	struct build file = {0};
	if (size == 0 || gm_store_open_memory(&store, &err) != GM_OK) return 0;
	if (data[0] % 3 == 2)
		build_columns(&file, data + 1, size - 1);
	else
		build_bytes(&file, data + 1, size - 1);
	if (data[0] % 3 == 1) mend_checks(&file);
	must(gm_store_put(store, "b/file", file.n > 0 ? file.bytes : (const uint8_t *)"", file.n, true, &err) == GM_OK);
	use_file(store);
	free(file.bytes);
	gm_store_close(store);
	return 0;
}
