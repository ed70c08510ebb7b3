/* What lies in _delta_log/, by its names alone:
 *
 *     <v>.json                                 the entry (commit) of version v
 *     <v>.checkpoint.parquet                   the whole state at version v
 *     <v>.checkpoint.<part>.<parts>.parquet    the same in parts, of 10 digits each, counting from 1
 *     <v>.checkpoint.<uuid>.parquet, .json     a checkpoint of the second kind, which needs reader version 3
 *     <v>.crc, <v>.<w>.compacted.json          helps of other writers, which nothing depends on
 *     _last_checkpoint                         says where a checkpoint is, and may be wrong
 *
 * v has 20 digits. The folder is listed, so the newest checkpoint is found without _last_checkpoint: that file is a
 * help for whoever cannot list, and reading it could only mislead. Who knows of a version lists from there, less a few.
 * What has another name is not the log's. */
#include "table/delta_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	VERSION_DIGITS = 20,
	PART_DIGITS = 10,
	FILES_MAX = 1 << 22, /* of one log; a listing takes 40 bytes for each */
	NEAR_VERSIONS = 64,  /* the usual distance of checkpoints is 10 */
};

void gm_delta_entry_key(int64_t version, char key[GM_DELTA_KEY_BYTES])
{
	(void)snprintf(key, GM_DELTA_KEY_BYTES, GM_DELTA_FOLDER "%020" PRId64 ".json", version);
}

void gm_delta_checkpoint_key(int64_t version, uint32_t part, uint32_t parts, char key[GM_DELTA_KEY_BYTES])
{
	if (parts == 0)
		(void)snprintf(key, GM_DELTA_KEY_BYTES, GM_DELTA_FOLDER "%020" PRId64 ".checkpoint.parquet", version);
	else
		(void)snprintf(key, GM_DELTA_KEY_BYTES, GM_DELTA_FOLDER "%020" PRId64 ".checkpoint.%010u.%010u.parquet",
		               version, part, parts);
}

void gm_delta_listed_key(const struct gm_delta_listed *file, char key[GM_DELTA_KEY_BYTES])
{
	switch (file->kind) {
	case GM_DELTA_LISTED_CHECKPOINT:
	case GM_DELTA_LISTED_PART: gm_delta_checkpoint_key(file->version, file->part, file->parts, key); break;
	case GM_DELTA_LISTED_SUM:
		(void)snprintf(key, GM_DELTA_KEY_BYTES, GM_DELTA_FOLDER "%020" PRId64 ".crc", file->version);
		break;
	case GM_DELTA_LISTED_COMPACTED:
		(void)snprintf(key, GM_DELTA_KEY_BYTES, GM_DELTA_FOLDER "%020" PRId64 ".%020" PRId64 ".compacted.json",
		               file->version, file->end);
		break;
	default: gm_delta_entry_key(file->version, key);
	}
}

/* Takes `digits` digits off *text; false if they are not there or too large. */
static bool take_number(const char **text, int digits, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;
	for (int i = 0; i < digits; i++) {
		uint64_t digit = (uint64_t)(*text)[i] - '0';
		if (digit > 9 || n > (max - digit) / 10) return false;
		n = n * 10 + digit;
	}
	*text += digits;
	*out = n;
	return true;
}

static bool take_word(const char **text, const char *word)
{
	size_t n = strlen(word);
	if (strncmp(*text, word, n) != 0) return false;
	*text += n;
	return true;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);
	return n >= k && strcmp(text + n - k, end) == 0;
}

/* The rest of a name behind "<v>.checkpoint". */
static bool parse_checkpoint(const char *rest, struct gm_delta_listed *file)
{
	uint64_t part, parts;
	const char *at = rest;
	file->kind = GM_DELTA_LISTED_CHECKPOINT;
	if (strcmp(rest, ".parquet") == 0) return true;
	file->kind = GM_DELTA_LISTED_PART;
	if (take_word(&at, ".") && take_number(&at, PART_DIGITS, UINT32_MAX, &part) && take_word(&at, ".") &&
	    take_number(&at, PART_DIGITS, UINT32_MAX, &parts) && strcmp(at, ".parquet") == 0) {
		file->part = (uint32_t)part;
		file->parts = (uint32_t)parts;
		return part >= 1 && part <= parts;
	}
	file->kind = GM_DELTA_LISTED_UUID;
	return ends_with(rest, ".parquet") || ends_with(rest, ".json");
}

static bool parse_name(const char *name, struct gm_delta_listed *file)
{
	uint64_t version;
	*file = (struct gm_delta_listed){0};
	if (!take_number(&name, VERSION_DIGITS, INT64_MAX, &version)) return false;
	file->version = (int64_t)version;
	file->kind = GM_DELTA_LISTED_ENTRY;
	if (strcmp(name, ".json") == 0) return true;
	if (take_word(&name, ".checkpoint")) return parse_checkpoint(name, file);
	file->kind = GM_DELTA_LISTED_SUM;
	if (strcmp(name, ".crc") == 0) return true;
	file->kind = GM_DELTA_LISTED_COMPACTED;
	if (!take_word(&name, ".") || !take_number(&name, VERSION_DIGITS, INT64_MAX, &version)) return false;
	file->end = (int64_t)version;
	return strcmp(name, ".compacted.json") == 0;
}

static enum gm_code note(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct gm_delta_listing *listing = context;
	struct gm_delta_listed file;
	if (!parse_name(info->key + strlen(GM_DELTA_FOLDER), &file)) return GM_OK;
	file.mtime_us = info->mtime_us;
	if (listing->count >= FILES_MAX) GM_FAIL(err, GM_UNSUPPORTED, "the Delta log has more than %d files", FILES_MAX);
	struct gm_delta_listed *grown = gm_grow(listing->files, listing->count, &listing->room, sizeof *grown);
	if (grown == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the list of the Delta log");
	listing->files = grown;
	listing->files[listing->count++] = file;
	return GM_OK;
}

/* Others' folders in the log's: _sidecars, _staged_commits. */
static bool is_deeper(void *context, const char *folder)
{
	(void)context;
	return strlen(folder) > strlen(GM_DELTA_FOLDER);
}

static int compare(const void *a, const void *b)
{
	const struct gm_delta_listed *x = a, *y = b;
	if (x->version != y->version) return x->version < y->version ? -1 : 1;
	if (x->parts != y->parts) return x->parts < y->parts ? -1 : 1;
	return x->part < y->part ? -1 : x->part > y->part;
}

/* A checkpoint in parts is one if all of them are there; the first then stands for it. Names order parts before their
 * number, so that sets of several sizes lie interleaved until they are sorted. */
static void join_parts(struct gm_delta_listing *listing)
{
	if (listing->count > 1) qsort(listing->files, listing->count, sizeof *listing->files, compare);
	for (size_t i = 0; i < listing->count; i++) {
		struct gm_delta_listed *first = &listing->files[i];
		if (first->kind != GM_DELTA_LISTED_PART || first->part != 1 || listing->count - i < first->parts) continue;
		const struct gm_delta_listed *last = &first[first->parts - 1];
		if (last->version == first->version && last->parts == first->parts && last->part == first->parts)
			first->kind = GM_DELTA_LISTED_CHECKPOINT;
	}
}

static enum gm_code list_from(struct gm_store *table, int64_t from, struct gm_delta_listing *out, struct gm_error *err)
{
	char after[GM_DELTA_KEY_BYTES] = "";
	*out = (struct gm_delta_listing){.from = from};
	if (from > 0)
		(void)snprintf(after, sizeof after, GM_DELTA_FOLDER "%020" PRId64, from); /* before all of its files */
	enum gm_code code = gm_store_list_after(table, GM_DELTA_FOLDER, after, is_deeper, note, out, err);
	if (code == GM_OK) out->entries = malloc((out->count + 1) * sizeof *out->entries);
	if (code == GM_OK && out->entries == NULL)
		code = gm_error_set(err, GM_NOMEM, "out of memory for the list of the Delta log");
	if (code != GM_OK) {
		gm_delta_listing_release(out);
		return code;
	}
	join_parts(out);
	for (size_t i = 0; i < out->count; i++)
		if (out->files[i].kind == GM_DELTA_LISTED_ENTRY) out->entries[out->entry_count++] = i;
	return GM_OK;
}

enum gm_code gm_delta_list(struct gm_store *table, struct gm_delta_listing *out, struct gm_error *err)
{
	return list_from(table, 0, out, err);
}

enum gm_code gm_delta_list_near(struct gm_store *table, int64_t near, struct gm_delta_listing *out,
                                struct gm_error *err)
{
	return list_from(table, near > NEAR_VERSIONS ? near - NEAR_VERSIONS : 0, out, err);
}

void gm_delta_listing_release(struct gm_delta_listing *listing)
{
	free(listing->files);
	free(listing->entries);
	*listing = (struct gm_delta_listing){0};
}

int64_t gm_delta_listing_entry(const struct gm_delta_listing *listing, size_t i)
{
	return listing->files[listing->entries[i]].version;
}

int64_t gm_delta_listing_newest(const struct gm_delta_listing *listing)
{
	const struct gm_delta_listed *checkpoint = gm_delta_listing_checkpoint(listing, INT64_MAX);
	int64_t newest = checkpoint != NULL ? checkpoint->version : -1;
	if (listing->entry_count == 0) return newest;
	int64_t entry = gm_delta_listing_entry(listing, listing->entry_count - 1);
	return entry > newest ? entry : newest;
}

bool gm_delta_listing_unbroken(const struct gm_delta_listing *listing, int64_t first, int64_t last)
{
	size_t low = 0, high = listing->entry_count;
	if (first > last) return true;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (gm_delta_listing_entry(listing, middle) < first)
			low = middle + 1;
		else
			high = middle;
	}
	/* Versions are distinct and ascending: the run has no hole if it is as long as it must be. */
	uint64_t more = (uint64_t)(last - first);
	return low < listing->entry_count && more < listing->entry_count - low &&
	       gm_delta_listing_entry(listing, low) == first && gm_delta_listing_entry(listing, low + (size_t)more) == last;
}

int64_t gm_delta_listing_oldest(const struct gm_delta_listing *listing)
{
	size_t i = listing->entry_count;
	if (i == 0) return -1;
	for (i--; i > 0; i--)
		if (gm_delta_listing_entry(listing, i - 1) != gm_delta_listing_entry(listing, i) - 1) break;
	return gm_delta_listing_entry(listing, i);
}

const struct gm_delta_listed *gm_delta_listing_checkpoint(const struct gm_delta_listing *listing, int64_t at_most)
{
	for (size_t i = listing->count; i > 0; i--) {
		const struct gm_delta_listed *file = &listing->files[i - 1];
		if (file->kind == GM_DELTA_LISTED_CHECKPOINT && file->version <= at_most) return file;
	}
	return NULL;
}

const struct gm_delta_listed *gm_delta_listing_base(const struct gm_delta_listing *listing, int64_t version)
{
	const struct gm_delta_listed *checkpoint = gm_delta_listing_checkpoint(listing, version);
	if (checkpoint != NULL) return checkpoint;
	return listing->entry_count > 0 ? &listing->files[listing->entries[0]] : NULL;
}

enum gm_code gm_delta_still_there(struct gm_store *table, const struct gm_delta_listed *file, bool *there,
                                  struct gm_error *err)
{
	char key[GM_DELTA_KEY_BYTES];
	struct gm_object_info info;
	struct gm_arena arena;
	gm_delta_listed_key(file, key);
	gm_arena_init(&arena, 1024);
	enum gm_code code = gm_store_stat(table, key, &info, &arena, err);
	gm_arena_release(&arena);
	*there = code == GM_OK && info.mtime_us == file->mtime_us;
	return code == GM_NOT_FOUND ? GM_OK : code;
}
