/* What happened since a version: entries, each as a whole.
 *
 * An entry tells partitionValues as a map, a partition's Hive path needs the table's partition columns: those are read
 * from the snapshot at the first version asked for, and then followed from entry to entry. */
#include "table/delta_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const size_t entry_bytes_max = (size_t)1 << 30; /* what one entry may take in memory */

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for an entry of the Delta log");
}

struct files {
	struct gm_delta_file *file;
	size_t count, room;
};
struct changes {
	struct gm_arena arena;   /* of one entry */
	struct gm_arena scratch; /* of one action */
	struct gm_buf text;
	struct gm_delta_head head;
	struct gm_delta_entry entry;
	struct files adds, removes;
	struct gm_delta_txn_action *txns;
	size_t txn_room;
};

static enum gm_code keep(struct changes *changes, const char *text, const char **out, struct gm_error *err)
{
	*out = text != NULL ? gm_arena_strndup(&changes->arena, text, strlen(text)) : NULL;
	return *out != NULL || text == NULL ? GM_OK : out_of_memory(err);
}

/* Room for one more element of an array. */
static enum gm_code grow(void **array, size_t count, size_t *room, size_t size, struct gm_error *err)
{
	void *grown = gm_grow(*array, count, room, size);
	if (grown == NULL) return out_of_memory(err);
	*array = grown;
	return GM_OK;
}

/* The partition is canonical until the whole entry is known, which may change the partition columns. */
static enum gm_code take_file(struct changes *changes, const struct gm_delta_file_action *from, struct files *files,
                              struct gm_error *err)
{
	void *array = files->file;
	GM_TRY(grow(&array, files->count, &files->room, sizeof *files->file, err));
	files->file = array;
	struct gm_delta_file *file = &files->file[files->count];
	*file = (struct gm_delta_file){.bytes = from->bytes, .mtime_ms = from->time_ms, .data_change = from->data_change};
	/* A path that is no key of the store stands as the log spells it. */
	GM_TRY(keep(changes, from->path[0] == '/' ? from->uri : from->path, &file->path, err));
	GM_TRY(keep(changes, from->stats, &file->stats, err));
	GM_TRY(gm_delta_pairs_text(&from->tags, &changes->arena, &file->tags, err));
	if (from->partition.present) {
		GM_TRY(gm_delta_partition_canonical(&from->partition, &changes->scratch, &changes->text, err));
		GM_TRY(keep(changes, (const char *)changes->text.data, &file->partition, err));
	}
	files->count++;
	return GM_OK;
}

static enum gm_code take_txn(struct changes *changes, const struct gm_delta_app *app, struct gm_error *err)
{
	struct gm_delta_entry *entry = &changes->entry;
	void *array = changes->txns;
	GM_TRY(grow(&array, entry->txn_count, &changes->txn_room, sizeof *changes->txns, err));
	changes->txns = array;
	struct gm_delta_txn_action *txn = &changes->txns[entry->txn_count++];
	txn->version = app->version;
	return keep(changes, app->id, &txn->app_id, err);
}

static enum gm_code take_info(struct changes *changes, const json_t *info, struct gm_error *err)
{
	struct gm_delta_entry *entry = &changes->entry;
	changes->text.len = 0;
	GM_TRY(gm_json_text(info, &changes->text, err));
	entry->commit_info = gm_arena_strndup(&changes->arena, (const char *)changes->text.data, changes->text.len);
	if (entry->commit_info == NULL) return out_of_memory(err);
	/* It is whatever its writer liked: a timestamp that is none is none. */
	entry->timestamp_ms = json_integer_value(json_object_get(info, "timestamp"));
	return GM_OK;
}

static enum gm_code take_action(void *context, const struct gm_delta_action *action, struct gm_error *err)
{
	struct changes *changes = context;
	if (changes->arena.taken_bytes > entry_bytes_max)
		GM_FAIL(err, GM_NOMEM, "the entry takes more than %zu bytes of memory", entry_bytes_max);
	gm_arena_reset(&changes->scratch);
	switch (action->kind) {
	case GM_DELTA_ADD: return take_file(changes, &action->file, &changes->adds, err);
	case GM_DELTA_REMOVE: return take_file(changes, &action->file, &changes->removes, err);
	case GM_DELTA_TXN: return take_txn(changes, &action->app, err);
	case GM_DELTA_COMMIT_INFO: return take_info(changes, action->json, err);
	case GM_DELTA_METADATA: changes->entry.metadata = true; break;
	case GM_DELTA_PROTOCOL: changes->entry.protocol = true; break;
	default: break;
	}
	gm_delta_head_note(&changes->head, action);
	return GM_OK;
}

static enum gm_code name_partitions(struct changes *changes, struct files *files, struct gm_error *err)
{
	const struct gm_delta_metadata *metadata = &changes->head.public;
	for (size_t i = 0; i < files->count; i++) {
		struct gm_delta_file *file = &files->file[i];
		if (file->partition == NULL) continue;
		GM_TRY(gm_delta_partition_hive(file->partition, metadata->partition_columns, metadata->partition_count,
		                               &changes->text, err));
		file->partition = gm_arena_strndup(&changes->arena, (const char *)changes->text.data, changes->text.len);
		if (file->partition == NULL) return out_of_memory(err);
	}
	return GM_OK;
}

static enum gm_code read_changes(struct changes *changes, struct gm_store *table, int64_t version, struct gm_error *err)
{
	gm_arena_reset(&changes->arena);
	changes->entry = (struct gm_delta_entry){.version = version};
	changes->adds.count = changes->removes.count = 0;
	GM_TRY(gm_delta_read_entry(table, version, GM_DELTA_WANT_ALL | GM_DELTA_WANT_DETAILS,
	                           gm_delta_line_bytes_max(entry_bytes_max), take_action, changes, err));
	if (changes->entry.metadata)
		GM_TRY(gm_delta_blame(gm_delta_head_read_metadata(&changes->head, err), version, 0, err));
	GM_TRY(name_partitions(changes, &changes->adds, err));
	GM_TRY(name_partitions(changes, &changes->removes, err));
	changes->entry.adds = changes->adds.file;
	changes->entry.add_count = changes->adds.count;
	changes->entry.removes = changes->removes.file;
	changes->entry.remove_count = changes->removes.count;
	changes->entry.txns = changes->txns;
	return GM_OK;
}

static void changes_init(struct changes *changes)
{
	*changes = (struct changes){0};
	gm_arena_init(&changes->arena, 64 * 1024);
	gm_arena_init(&changes->scratch, 4096);
	gm_buf_init(&changes->text, entry_bytes_max);
	gm_delta_head_init(&changes->head);
}

static void changes_release(struct changes *changes)
{
	free(changes->adds.file);
	free(changes->removes.file);
	free(changes->txns);
	gm_delta_head_release(&changes->head);
	gm_buf_release(&changes->text);
	gm_arena_release(&changes->scratch);
	gm_arena_release(&changes->arena);
}

/* metaData as it is at a version. */
static enum gm_code read_head(struct gm_store *table, const struct gm_delta_listing *listing, int64_t version,
                              struct changes *changes, struct gm_error *err)
{
	struct gm_delta_log *log;
	GM_TRY(gm_delta_load(table, listing, version, GM_DELTA_WANT_HEAD, entry_bytes_max, &log, err));
	changes->head.metadata = json_incref(log->head.metadata);
	gm_delta_free(log);
	return gm_delta_head_read_metadata(&changes->head, err);
}

static enum gm_code cleaned(int64_t version, struct gm_error *err)
{
	return gm_error_set(err, GM_NOT_FOUND, "entry %" PRId64 " of the Delta log was cleaned away", version);
}

static enum gm_code vanished(int64_t version, struct gm_error *err)
{
	return gm_error_set(err, GM_CHANGED, "entry %" PRId64 " of the Delta log was cleaned away while it was read",
	                    version);
}

/* *headless: the metaData before the first entry cannot be had by this listing; nothing was given. */
static enum gm_code give_entries(struct gm_store *table, const struct gm_delta_listing *listing, int64_t first,
                                 gm_delta_entry_fn *each, void *context, bool *headless, struct gm_error *err)
{
	struct changes changes;
	int64_t newest = gm_delta_listing_newest(listing), version = first;
	*headless = false;
	if (first > newest) return GM_OK;
	if (!gm_delta_listing_unbroken(listing, first, newest)) return cleaned(first, err);
	changes_init(&changes);
	enum gm_code code = read_head(table, listing, first, &changes, err);
	*headless = code != GM_OK;
	/* Cleaning starts at the oldest: if that is gone while we look, it is as if it had never been listed. */
	if (code == GM_NOT_FOUND || code == GM_CHANGED) code = cleaned(first, err);
	for (; code == GM_OK && version <= newest; version++) {
		code = read_changes(&changes, table, version, err);
		if (code == GM_NOT_FOUND) code = version == first ? cleaned(first, err) : vanished(version, err);
		if (code == GM_OK) code = each(context, &changes.entry, err);
	}
	changes_release(&changes);
	if (code != GM_OK) return code;
	bool there;
	GM_TRY(gm_delta_still_there(table, gm_delta_listing_base(listing, first), &there, err));
	return there ? GM_OK : cleaned(first, err);
}

enum gm_code gm_delta_entries(struct gm_store *table, int64_t first, gm_delta_entry_fn *each, void *context,
                              struct gm_error *err)
{
	struct gm_delta_listing listing;
	bool headless;
	if (first < 0) first = 0;
	GM_TRY(gm_delta_list_near(table, first, &listing, err));
	enum gm_code code = give_entries(table, &listing, first, each, context, &headless, err);
	if (headless && code != GM_NOMEM && listing.from > 0) {
		gm_delta_listing_release(&listing);
		GM_TRY(gm_delta_list(table, &listing, err));
		code = give_entries(table, &listing, first, each, context, &headless, err);
	}
	gm_delta_listing_release(&listing);
	return code;
}

enum gm_code gm_delta_oldest(struct gm_store *table, int64_t *version, struct gm_error *err)
{
	struct gm_delta_listing listing;
	GM_TRY(gm_delta_list(table, &listing, err));
	*version = gm_delta_listing_oldest(&listing);
	gm_delta_listing_release(&listing);
	if (*version < 0) GM_FAIL(err, GM_NOT_FOUND, "the Delta log has no entries");
	return GM_OK;
}
