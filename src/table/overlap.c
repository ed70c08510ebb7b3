/* overlap.c - see overlap.h.
 *
 * Keys of units come with their fingerprints, whose top bit is set. Those of files asked about are added with 0: so a
 * key that is there already tells whose it is. */
#include "table/overlap.h"

#include "table/content.h"
#include "table/keyfile.h"

#include <stdlib.h>

enum { KEYS_SHARE = 2, READ_SHARE = 4 }; /* of the memory */

struct gm_overlap {
	struct gm_overlap_options options;
	uint64_t secret_tag;
	struct gm_key_hasher *hasher;
	struct gm_keyset *set;
	struct gm_hash128 keys[GM_CHUNK_ROWS];
	uint64_t values[GM_CHUNK_ROWS], found[GM_CHUNK_ROWS];
	uint8_t no_key[GM_CHUNK_ROWS], duplicate[GM_CHUNK_ROWS];
};

enum gm_code gm_overlap_new(const struct gm_overlap_options *options, struct gm_overlap **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_overlap *overlap = calloc(1, sizeof *overlap);
	if (overlap == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for comparing keys");
	overlap->options = *options;
	overlap->secret_tag = gm_key_secret_tag(options->key_secret);
	enum gm_code rc = gm_key_hasher_new(options->key_secret, NULL, options->key_count, &overlap->hasher, err);
	if (rc == GM_OK)
		rc = gm_keyset_new(options->memory_bytes / KEYS_SHARE, options->spill_directory, &overlap->set, err);
	if (rc != GM_OK) {
		gm_overlap_free(overlap);
		return rc;
	}
	*out = overlap;
	return GM_OK;
}

void gm_overlap_free(struct gm_overlap *overlap)
{
	if (overlap == NULL) return;
	gm_key_hasher_free(overlap->hasher);
	gm_keyset_free(overlap->set);
	free(overlap);
}

static enum gm_code load_entries(void *context, const struct gm_key_entry *entries, size_t count, struct gm_error *err)
{
	struct gm_overlap *overlap = context;
	for (size_t i = 0; i < count; i++) {
		overlap->keys[i] = entries[i].key;
		overlap->values[i] = gm_content_finish(entries[i].value);
	}
	return gm_keyset_add(overlap->set, overlap->keys, overlap->values, NULL, (uint32_t)count, overlap->duplicate, NULL,
	                     err);
}

enum gm_code gm_overlap_load(struct gm_overlap *overlap, const char *key_file, struct gm_error *err)
{
	return gm_keyfile_read(overlap->options.table, overlap->secret_tag, key_file, load_entries, overlap, err);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static enum gm_code ask_rows(struct gm_overlap *overlap, const struct gm_vec_rows *columns, uint32_t count,
                             struct gm_hash128 partition, bool *overlaps, struct gm_error *err)
{
	gm_key_hasher_rows(overlap->hasher, columns, count, partition, overlap->keys, overlap->no_key);
	GM_TRY(gm_keyset_add(overlap->set, overlap->keys, NULL, overlap->no_key, count, overlap->duplicate, overlap->found,
	                     err));
	for (uint32_t i = 0; i < count; i++) *overlaps |= overlap->duplicate[i] != 0 && overlap->found[i] != 0;
	return GM_OK;
}

static enum gm_code ask_group(struct gm_overlap *overlap, const struct gm_rows_file *file, size_t group,
                              struct gm_hash128 partition, bool *overlaps, struct gm_error *err)
{
	const struct gm_vec_rows *columns;
	struct gm_rows *rows;
	uint32_t count;
	enum gm_code rc = gm_rows_open(file, group, 0, overlap->options.key_count, &rows, err);
	GM_TRY(rc);
	do {
		GM_TRY_OUT(gm_rows_next(rows, &count, &columns, err));
		GM_TRY_OUT(ask_rows(overlap, columns, count, partition, overlaps, err));
	} while (count > 0 && !*overlaps);
out:
	gm_rows_close(rows);
	return rc;
}

enum gm_code gm_overlap_ask(struct gm_overlap *overlap, const char *path, const char *partition, uint64_t bytes,
                            bool *overlaps, struct gm_error *err)
{
	const struct gm_overlap_options *options = &overlap->options;
	struct gm_rows_file *file;
	struct gm_hash128 hash = gm_key_hasher_partition(overlap->hasher, partition, strlen(partition));
	*overlaps = false;
	GM_TRY(gm_rows_file_open(options->table, path, bytes, options->keys, options->key_count,
	                         options->memory_bytes / READ_SHARE, &file, err));
	const struct gm_parquet_file_info *info = gm_rows_file_info(file);
	enum gm_code rc = GM_OK;
	for (size_t i = 0; rc == GM_OK && i < info->group_count && !*overlaps; i++)
		rc = ask_group(overlap, file, i, hash, overlaps, err);
	gm_rows_file_close(file);
	return rc;
}
