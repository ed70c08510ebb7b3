#include "table/existing.h"

#include "base/flag.h"
#include "table/key_filter.h"

#include <stdlib.h>
#include <string.h>

enum {
	CACHE = 256, /* codes of a chunk's partitions remembered at a time */
	NO_ROW = UINT32_MAX,
};

struct group {
	const struct gm_delta_file *file;
	struct gm_key_filter *filter; /* NULL: not kept */
	uint64_t key_bytes;           /* stored bytes of its key columns */
	uint64_t spent;               /* bytes of filters read for it that were not kept */
	uint32_t partition, number;
	bool loaded;
};

struct partition {
	const char *path;
	struct gm_hash128 hash;
	size_t first_group, group_count, pending; /* pending: not loaded yet */
	bool opened;
	uint32_t first_row, last_row; /* of the chunk at hand, a list through `next_row`; NO_ROW: none */
};

struct gm_existing {
	struct gm_existing_options options;
	struct gm_key_hasher *hasher;
	struct gm_arena arena; /* paths */
	struct gm_dict *paths; /* code - 1 is the index into partitions */
	struct partition *partitions;
	size_t partition_count, partition_room;
	struct group *groups;
	size_t group_count, group_room;
	size_t filter_bytes; /* kept */
	/* The file opened last. */
	const struct gm_delta_file *file_of;
	struct gm_rows_file *file;
	struct gm_existing_counts counts;
	/* The chunk at hand. */
	uint32_t next_row[GM_CHUNK_ROWS];
	uint32_t touched[GM_CHUNK_ROWS]; /* partitions with rows, in the order of their first ones */
	size_t touched_count;
	/* Scratch of loading. */
	struct gm_hash128 keys[GM_CHUNK_ROWS];
	uint8_t no_key[GM_CHUNK_ROWS];
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the keys of the table");
}

/* --- life --------------------------------------------------------------------------------------------------------- */

enum gm_code gm_existing_new(const struct gm_existing_options *options, struct gm_existing **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_existing *existing = calloc(1, sizeof *existing);
	if (existing == NULL) return out_of_memory(err);
	existing->options = *options;
	gm_arena_init(&existing->arena, 16 * 1024);
	existing->paths = gm_dict_new();
	enum gm_code rc = existing->paths != NULL ? GM_OK : out_of_memory(err);
	if (rc == GM_OK) rc = gm_key_hasher_new(options->key_secret, NULL, options->key_count, &existing->hasher, err);
	if (rc != GM_OK) {
		gm_existing_free(existing);
		return rc;
	}
	*out = existing;
	return GM_OK;
}

void gm_existing_free(struct gm_existing *existing)
{
	if (existing == NULL) return;
	for (size_t i = 0; i < existing->group_count; i++) gm_key_filter_free(existing->groups[i].filter);
	free(existing->groups);
	free(existing->partitions);
	gm_rows_file_close(existing->file);
	gm_key_hasher_free(existing->hasher);
	gm_dict_unref(existing->paths);
	gm_arena_release(&existing->arena);
	free(existing);
}

struct gm_existing_place gm_existing_place(const struct gm_existing *existing, uint64_t value)
{
	const struct group *group = &existing->groups[value];
	return (struct gm_existing_place){.path = group->file->path,
	                                  .partition = existing->partitions[group->partition].path,
	                                  .bytes = group->file->bytes,
	                                  .group = group->number};
}

struct gm_existing_counts gm_existing_counts(const struct gm_existing *existing)
{
	return existing->counts;
}

/* --- which rows of a chunk belong to which partition -------------------------------------------------------------- */

static enum gm_code add_partition(struct gm_existing *existing, const uint8_t *path, uint32_t len, struct gm_error *err)
{
	void *grown = gm_grow(existing->partitions, existing->partition_count, &existing->partition_room,
	                      sizeof *existing->partitions);
	char *copy = gm_arena_strndup(&existing->arena, (const char *)path, len);
	if (grown != NULL) existing->partitions = grown;
	if (grown == NULL || copy == NULL) return out_of_memory(err);
	existing->partitions[existing->partition_count++] =
	    (struct partition){.path = copy,
	                       .hash = gm_key_hasher_partition(existing->hasher, copy, len),
	                       .first_row = NO_ROW,
	                       .last_row = NO_ROW};
	return GM_OK;
}

static enum gm_code find_partition(struct gm_existing *existing, const struct gm_vec *paths, uint32_t row,
                                   uint32_t *out, struct gm_error *err)
{
	uint32_t len;
	const uint8_t *path = gm_vec_string(paths, row, &len);
	uint32_t code = gm_dict_put(existing->paths, path, len, gm_dict_hash(path, len));
	if (code == GM_DICT_NULL) return out_of_memory(err);
	if (code > existing->partition_count) GM_TRY(add_partition(existing, path, len, err));
	*out = code - 1;
	return GM_OK;
}

/* Lists the rows of each partition that may have something to load. */
static enum gm_code list_rows(struct gm_existing *existing, const struct gm_chunk *chunk, const uint8_t *skip,
                              struct gm_error *err)
{
	struct {
		uint32_t code, partition; /* code 0: nothing */
	} cache[CACHE] = {0};
	existing->touched_count = 0;
	for (uint32_t row = 0; row < chunk->rows; row++) {
		if (skip[row] != 0) continue;
		uint32_t code = chunk->partition.codes[row], slot = code % CACHE;
		if (cache[slot].code != code) {
			GM_TRY(find_partition(existing, &chunk->partition, row, &cache[slot].partition, err));
			cache[slot].code = code;
		}
		struct partition *partition = &existing->partitions[cache[slot].partition];
		if (partition->opened && partition->pending == 0) continue;
		existing->next_row[row] = NO_ROW;
		if (partition->first_row == NO_ROW) {
			partition->first_row = row;
			existing->touched[existing->touched_count++] = cache[slot].partition;
		} else {
			existing->next_row[partition->last_row] = row;
		}
		partition->last_row = row;
	}
	return GM_OK;
}

static void forget_rows(struct gm_existing *existing)
{
	for (size_t i = 0; i < existing->touched_count; i++) existing->partitions[existing->touched[i]].first_row = NO_ROW;
	existing->touched_count = 0;
}

/* --- row groups --------------------------------------------------------------------------------------------------- */

static enum gm_code open_file(struct gm_existing *existing, const struct gm_delta_file *file, struct gm_error *err)
{
	const struct gm_existing_options *options = &existing->options;
	if (existing->file_of == file) return GM_OK;
	gm_rows_file_close(existing->file);
	existing->file = NULL;
	existing->file_of = NULL;
	GM_TRY(gm_rows_file_open(options->table, file->path, file->bytes, options->keys, options->key_count,
	                         options->read_bytes, &existing->file, err));
	existing->file_of = file;
	existing->counts.files_opened++;
	return GM_OK;
}

static enum gm_code check_stop(const struct gm_existing *existing, struct gm_error *err)
{
	if (gm_flag_is_set(existing->options.stop)) GM_FAIL(err, GM_INTERRUPTED, "stopped before the run was complete");
	return GM_OK;
}

static enum gm_code load_group(struct gm_existing *existing, size_t index, struct gm_keyset *set, struct gm_error *err)
{
	struct group *group = &existing->groups[index];
	struct partition *partition = &existing->partitions[group->partition];
	const struct gm_vec_rows *columns;
	struct gm_rows *rows;
	uint32_t count;
	enum gm_code rc = open_file(existing, group->file, err);
	if (rc == GM_OK) rc = gm_rows_open(existing->file, group->number, 0, existing->options.key_count, &rows, err);
	GM_TRY(rc);
	do {
		GM_TRY_OUT(check_stop(existing, err));
		GM_TRY_OUT(gm_rows_next(rows, &count, &columns, err));
		gm_key_hasher_rows(existing->hasher, columns, count, partition->hash, existing->keys, existing->no_key);
		GM_TRY_OUT(gm_keyset_put(set, existing->keys, existing->no_key, count, index, err));
		existing->counts.rows_loaded += count;
	} while (count > 0);
	group->loaded = true;
	partition->pending--;
	existing->counts.groups_loaded++;
out:
	gm_rows_close(rows);
	return rc;
}

static bool may_have_any(const struct gm_existing *existing, const struct partition *partition,
                         const struct gm_key_filter *filter, const struct gm_vec_rows *columns)
{
	for (uint32_t row = partition->first_row; row != NO_ROW; row = existing->next_row[row])
		if (gm_key_filter_may_have(filter, columns, row)) return true;
	return false;
}

/* Keeps a filter that was read for a chunk and excluded all of its keys, if there is room. If not it will be read
 * again: until that has cost as much as the keys themselves would have. */
static void keep_filter(struct gm_existing *existing, struct group *group, struct gm_key_filter *filter)
{
	size_t bytes = gm_key_filter_bytes(filter);
	if (bytes <= existing->options.filter_bytes - existing->filter_bytes) {
		existing->filter_bytes += bytes;
		group->filter = filter;
		return;
	}
	group->spent += bytes;
	gm_key_filter_free(filter);
}

/* Bounds are at hand; bloom filters are read, once, when these do not exclude all of the chunk's keys. */
static enum gm_code ask_filter(struct gm_existing *existing, const struct group *group, struct gm_key_filter *filter,
                               const struct gm_vec_rows *columns, bool *may, struct gm_error *err)
{
	const struct partition *partition = &existing->partitions[group->partition];
	*may = may_have_any(existing, partition, filter, columns);
	if (!*may || !gm_key_filter_has_more(filter)) return GM_OK;
	GM_TRY(open_file(existing, group->file, err));
	GM_TRY(gm_key_filter_read_more(filter, existing->file, group->number, err));
	*may = may_have_any(existing, partition, filter, columns);
	return GM_OK;
}

/* The filter of a row group, to be kept or freed; *out NULL: there is none. */
static enum gm_code take_filter(struct gm_existing *existing, struct group *group, struct gm_key_filter **out,
                                struct gm_error *err)
{
	*out = group->filter;
	if (*out != NULL) {
		existing->filter_bytes -= gm_key_filter_bytes(*out);
		group->filter = NULL;
		return GM_OK;
	}
	if (group->spent > group->key_bytes) return GM_OK;
	GM_TRY(open_file(existing, group->file, err));
	return gm_key_filter_read(existing->file, group->number, existing->options.key_count, out, err);
}

/* Loads a row group, unless it has nothing that the chunk's rows ask for. */
static enum gm_code ask_group(struct gm_existing *existing, size_t index, const struct gm_vec_rows *columns,
                              struct gm_keyset *set, struct gm_error *err)
{
	struct group *group = &existing->groups[index];
	struct gm_key_filter *filter;
	bool may = true;
	if (group->loaded) return GM_OK;
	GM_TRY(take_filter(existing, group, &filter, err));
	enum gm_code rc = filter != NULL ? ask_filter(existing, group, filter, columns, &may, err) : GM_OK;
	if (rc == GM_OK && !may) {
		keep_filter(existing, group, filter);
		return GM_OK;
	}
	gm_key_filter_free(filter);
	GM_TRY(rc);
	return load_group(existing, index, set, err);
}

/* --- partitions --------------------------------------------------------------------------------------------------- */

/* A file that lacks a key column has no keys, and a row group without rows neither. */
static enum gm_code add_groups(struct gm_existing *existing, uint32_t partition, const struct gm_delta_file *file,
                               struct gm_error *err)
{
	const struct gm_parquet_file_info *info = gm_rows_file_info(existing->file);
	for (size_t key = 0; key < existing->options.key_count; key++)
		if (gm_rows_file_leaf(existing->file, key) == SIZE_MAX) return GM_OK;
	for (size_t i = 0; i < info->group_count; i++) {
		if (info->groups[i].rows == 0) continue;
		void *grown = gm_grow(existing->groups, existing->group_count, &existing->group_room, sizeof *existing->groups);
		if (grown == NULL) return out_of_memory(err);
		existing->groups = grown;
		struct group *group = &existing->groups[existing->group_count++];
		*group = (struct group){.file = file, .partition = partition, .number = (uint32_t)i};
		for (size_t key = 0; key < existing->options.key_count; key++)
			group->key_bytes += info->groups[i].chunks[gm_rows_file_leaf(existing->file, key)].compressed_bytes;
	}
	return GM_OK;
}

/* Meets the files of a partition: in the order of their paths, which is that of the numbers of their row groups. Each
 * is asked while it is open. */
static enum gm_code open_partition(struct gm_existing *existing, uint32_t number, const struct gm_vec_rows *columns,
                                   struct gm_keyset *set, struct gm_error *err)
{
	const struct gm_delta_file *files;
	size_t count;
	struct partition *partition = &existing->partitions[number];
	partition->first_group = existing->group_count;
	GM_TRY(gm_delta_partition(existing->options.log, partition->path, &files, &count, err));
	for (size_t i = 0; i < count; i++) {
		size_t first = existing->group_count;
		GM_TRY(check_stop(existing, err));
		GM_TRY(open_file(existing, &files[i], err));
		GM_TRY(add_groups(existing, number, &files[i], err));
		partition->pending += existing->group_count - first;
		for (size_t k = first; k < existing->group_count; k++) GM_TRY(ask_group(existing, k, columns, set, err));
	}
	partition->group_count = existing->group_count - partition->first_group;
	partition->opened = true;
	existing->counts.groups_met += partition->group_count;
	return GM_OK;
}

static enum gm_code ask_partition(struct gm_existing *existing, uint32_t number, const struct gm_vec_rows *columns,
                                  struct gm_keyset *set, struct gm_error *err)
{
	struct partition *partition = &existing->partitions[number];
	if (!partition->opened) return open_partition(existing, number, columns, set, err);
	for (size_t i = 0; i < partition->group_count; i++)
		GM_TRY(ask_group(existing, partition->first_group + i, columns, set, err));
	return GM_OK;
}

enum gm_code gm_existing_load(struct gm_existing *existing, const struct gm_chunk *chunk,
                              const struct gm_vec_rows *columns, const uint8_t *skip, struct gm_keyset *set,
                              struct gm_error *err)
{
	enum gm_code rc = list_rows(existing, chunk, skip, err);
	for (size_t i = 0; rc == GM_OK && i < existing->touched_count; i++)
		rc = ask_partition(existing, existing->touched[i], columns, set, err);
	forget_rows(existing);
	return rc;
}
