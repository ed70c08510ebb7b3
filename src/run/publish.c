#include "run/publish.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { READ_BYTES = 256 * 1024 };

static enum gm_code size_of(struct gm_store *table, const char *key, uint64_t *bytes, struct gm_error *err)
{
	struct gm_object_info info;
	struct gm_arena arena;
	gm_arena_init(&arena, 1024);
	enum gm_code rc = gm_store_stat(table, key, &info, &arena, err);
	gm_arena_release(&arena);
	*bytes = info.size;
	return rc;
}

/* The size and hash of an object as it lies there. */
static enum gm_code hash_object(struct gm_store *table, const char *key, uint64_t *bytes, uint64_t hash[2],
                                struct gm_error *err)
{
	struct gm_store_reader *reader = NULL;
	XXH3_state_t *state = XXH3_createState();
	uint8_t *buffer = malloc(READ_BYTES);
	enum gm_code rc = GM_OK;
	if (state == NULL || buffer == NULL) {
		rc = gm_error_set(err, GM_NOMEM, "out of memory for comparing a file");
		goto out;
	}
	(void)XXH3_128bits_reset(state);
	GM_TRY_OUT(gm_store_reader_open(table, key, &reader, err));
	*bytes = 0;
	for (size_t got = 1; got > 0;) {
		GM_TRY_OUT(gm_store_reader_read(reader, buffer, READ_BYTES, &got, err));
		(void)XXH3_128bits_update(state, buffer, got);
		*bytes += got;
	}
	XXH128_hash_t digest = XXH3_128bits_digest(state);
	hash[0] = digest.low64;
	hash[1] = digest.high64;
out:
	gm_store_reader_close(reader);
	free(buffer);
	(void)XXH3_freeState(state);
	return rc;
}

/* Does the table hold what the manifest says under the file's name? NOT_FOUND if there is nothing. */
static enum gm_code compare_published(struct gm_store *table, const struct gm_manifest_file *file, struct gm_error *err)
{
	uint64_t bytes = 0, hash[2] = {0};
	GM_TRY(hash_object(table, file->path, &bytes, hash, err));
	if (bytes == file->bytes && hash[0] == file->hash[0] && hash[1] == file->hash[1]) return GM_OK;
	(void)gm_error_set(err, GM_BUG, "a file of this name exists and holds other bytes than the run made");
	(void)gm_error_hint(err, GM_BUG, "nothing is overwritten; find out who wrote the file");
	return gm_error_object(err, GM_BUG, file->path, strlen(file->path));
}

static enum gm_code publish_file(struct gm_store *table, const struct gm_manifest_file *file, struct gm_error *err)
{
	uint64_t bytes;
	if (size_of(table, file->token, &bytes, err) == GM_OK && bytes != file->bytes) {
		(void)gm_error_set(err, GM_CHANGED, "a staged file was changed before it was published");
		return gm_error_object(err, GM_CHANGED, file->token, strlen(file->token));
	}
	enum gm_code rc = gm_store_publish(table, file->token, file->path, err);
	if (rc != GM_EXISTS && rc != GM_NOT_FOUND) return rc;
	rc = compare_published(table, file, err);
	if (rc != GM_NOT_FOUND) return rc;
	(void)gm_error_set(err, GM_CHANGED, "a staged file is gone before it was published");
	return gm_error_object(err, GM_CHANGED, file->path, strlen(file->path));
}

/* --- Claim -------------------------------------------------------------------------------------------------------- */

enum gm_code gm_claim(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                      struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	uint64_t number;
	gm_layout_key(layout, key, "claims", plan->parent, ".json");
	json_t *claim = json_pack("{s:i, s:I}", "format", GM_FORMAT, "plan", (json_int_t)plan->number);
	enum gm_code rc = gm_json_write(table, key, claim, err);
	json_decref(claim);
	if (rc != GM_EXISTS) return rc;
	GM_TRY(gm_history_claim(table, layout, plan->parent, &number, err));
	if (number == plan->number) return GM_OK;
	GM_FAIL(err, GM_LOST, "another run was claimed first");
}

static enum gm_code is_committed(struct gm_store *table, const struct gm_layout *layout, uint64_t number,
                                 struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	uint64_t bytes;
	gm_layout_key(layout, key, "runs", number, ".json.zst");
	return size_of(table, key, &bytes, err);
}

bool gm_plan_is_over(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan)
{
	struct gm_error ignored;
	uint64_t claimed;
	if (is_committed(table, layout, plan->number, &ignored) == GM_OK) return true;
	return gm_history_claim(table, layout, plan->parent, &claimed, &ignored) == GM_OK && claimed != 0 &&
	       claimed != plan->number;
}

/* --- Publish ------------------------------------------------------------------------------------------------------ */

enum gm_code gm_publish(struct gm_store *table, const struct gm_manifest *manifests, size_t count, struct gm_error *err)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < manifests[i].file_count; k++) GM_TRY(publish_file(table, &manifests[i].files[k], err));
	return GM_OK;
}

/* --- Commit ------------------------------------------------------------------------------------------------------- */

static json_t *inputs_json(const struct gm_plan *plan, const struct gm_manifest *manifests, struct gm_balance *total)
{
	json_t *list = json_array();
	const struct gm_input *input = plan->inputs;
	for (size_t i = 0; i < plan->unit_count; i++) {
		for (size_t k = 0; k < manifests[i].object_count; k++, input++) {
			gm_balance_add(total, &manifests[i].objects[k].balance);
			json_t *balance = gm_balance_json(&manifests[i].objects[k].balance);
			json_t *object =
			    json_pack("{s:s, s:I, s:I, s:s, s:o}", "key", input->key, "size", (json_int_t)input->size, "mtime_us",
			              (json_int_t)input->mtime_us, "etag", input->etag, "balance", balance);
			if (object == NULL || json_array_append_new(list, object) != 0) {
				json_decref(list);
				return NULL;
			}
		}
	}
	return list;
}

static json_t *files_json(const struct gm_plan *plan, const struct gm_manifest *manifests)
{
	json_t *list = json_array();
	for (size_t i = 0; i < plan->unit_count; i++) {
		for (size_t k = 0; k < manifests[i].file_count; k++) {
			const struct gm_manifest_file *file = &manifests[i].files[k];
			char hex[GM_HEX128_BYTES];
			gm_hex128(file->hash, hex);
			json_t *object =
			    json_pack("{s:s, s:I, s:s, s:s*, s:I}", "path", file->path, "bytes", (json_int_t)file->bytes, "hash",
			              hex, "partition", file->partition, "rows", (json_int_t)file->rows);
			if (object == NULL || json_array_append_new(list, object) != 0) {
				json_decref(list);
				return NULL;
			}
		}
	}
	return list;
}

enum gm_code gm_commit(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                       const struct gm_manifest *manifests, struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	struct gm_balance total = {0};
	json_t *inputs = inputs_json(plan, manifests, &total);
	json_t *files = files_json(plan, manifests);
	json_t *balance = gm_balance_json(&total);
	json_t *run = json_pack("{s:i, s:I, s:I, s:s, s:s, s:o, s:o, s:o}", "format", GM_FORMAT, "run",
	                        (json_int_t)plan->number, "parent", (json_int_t)plan->parent, "engine", plan->engine,
	                        "job_hash", plan->job_hash, "inputs", inputs, "files", files, "total", balance);
	gm_layout_key(layout, key, "runs", plan->number, ".json.zst");
	enum gm_code rc = gm_json_write(table, key, run, err);
	json_decref(run);
	return rc;
}

/* --- Giving up and sweeping --------------------------------------------------------------------------------------- */

/* A plan without units has none; the pointer is for the reader's and the analyzer's peace. */
static const struct gm_manifest no_manifest;

enum gm_code gm_end_plan(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                         bool claimed, uint64_t *number, struct gm_error *err)
{
	struct gm_history history;
	struct gm_plan empty = *plan;
	enum gm_code rc;
	empty.unit_count = 0;
	do {
		GM_TRY(gm_history_load(table, layout, &history, err));
		uint64_t last = history.last_plan, head = history.last_run;
		gm_history_release(&history);
		if (head != plan->parent) GM_FAIL(err, GM_LOST, "another run was committed meanwhile");
		rc = gm_plan_write(&empty, last + 1, table, layout, err);
		*number = empty.number;
	} while (rc == GM_EXISTS);
	GM_TRY(rc);
	if (!claimed) GM_TRY(gm_claim(table, layout, &empty, err));
	rc = gm_commit(table, layout, &empty, &no_manifest, err);
	return rc == GM_EXISTS ? GM_OK : rc; /* another runner found our claim and finished for us */
}

static void work_prefix(const struct gm_layout *layout, uint64_t number, char prefix[GM_KEY_BYTES])
{
	gm_layout_key(layout, prefix, "work", number, "/");
}

enum gm_code gm_clear_work(struct gm_store *table, const struct gm_layout *layout, uint64_t number,
                           struct gm_error *err)
{
	char prefix[GM_KEY_BYTES];
	work_prefix(layout, number, prefix);
	return gm_store_remove_tree(table, prefix, err);
}

static enum gm_code undo_manifest(struct gm_store *table, const char *key, struct gm_error *err)
{
	json_t *json;
	struct gm_manifest manifest;
	GM_TRY(gm_json_read(table, key, &json, err));
	enum gm_code rc = gm_manifest_parse(json, &manifest, err);
	json_decref(json);
	GM_TRY(rc);
	for (size_t i = 0; rc == GM_OK && i < manifest.file_count; i++)
		rc = gm_store_discard(table, manifest.files[i].token, err);
	for (size_t i = 0; rc == GM_OK && i < manifest.file_count; i++)
		rc = gm_store_remove(table, manifest.files[i].path, err);
	gm_manifest_release(&manifest);
	return rc;
}

struct undo {
	struct gm_store *table;
};

static enum gm_code undo_if_manifest(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct undo *undo = context;
	size_t n = strlen(info->key);
	if (n < 5 || strcmp(info->key + n - 5, ".json") != 0) return GM_OK;
	return undo_manifest(undo->table, info->key, err);
}

enum gm_code gm_close_plan(struct gm_store *table, const struct gm_layout *layout, uint64_t number,
                           struct gm_error *err)
{
	static const char text[] = "{\"format\":1}\n";
	char prefix[GM_KEY_BYTES], key[GM_KEY_BYTES];
	struct undo undo = {table};
	enum gm_code rc = is_committed(table, layout, number, err);
	if (rc == GM_OK) GM_FAIL(err, GM_LOST, "it was committed meanwhile");
	if (rc != GM_NOT_FOUND) return rc;
	work_prefix(layout, number, prefix);
	GM_TRY(gm_store_list(table, prefix, undo_if_manifest, &undo, err));
	GM_TRY(gm_clear_work(table, layout, number, err));
	gm_layout_key(layout, key, "plans", number, ".closed");
	rc = gm_store_put(table, key, text, sizeof text - 1, true, err);
	return rc == GM_EXISTS ? GM_OK : rc;
}
