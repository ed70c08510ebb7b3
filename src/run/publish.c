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

/* --- Publish ------------------------------------------------------------------------------------------------------ */

enum gm_code gm_publish(struct gm_store *table, const struct gm_manifest *manifests, size_t count, struct gm_error *err)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < manifests[i].file_count; k++) GM_TRY(publish_file(table, &manifests[i].files[k], err));
	return GM_OK;
}

/* --- Manifests ---------------------------------------------------------------------------------------------------- */

static bool is_of(const struct gm_plan_unit *unit, const struct gm_manifest *manifest)
{
	if (manifest->object_count != unit->count) return false;
	for (size_t i = 0; i < unit->count; i++)
		if (strcmp(manifest->objects[i].key, unit->inputs[i].key) != 0) return false;
	return true;
}

enum gm_code gm_manifest_read(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                              size_t unit, struct gm_manifest *manifest, struct gm_error *err)
{
	char key[GM_KEY_BYTES], suffix[32];
	json_t *json = NULL;
	(void)snprintf(suffix, sizeof suffix, "/%05zu.json", unit);
	gm_layout_key(layout, key, "work", plan->number, suffix);
	GM_TRY(gm_json_read(table, key, &json, err));
	enum gm_code rc = gm_manifest_parse(json, manifest, err);
	json_decref(json);
	if (rc == GM_OK && !is_of(&plan->units[unit], manifest)) {
		gm_manifest_release(manifest);
		rc = gm_error_set(err, GM_CORRUPT, "the manifest does not match its plan");
	}
	return rc == GM_CORRUPT ? gm_error_object(err, rc, key, strlen(key)) : rc;
}

/* --- Close and tidy ----------------------------------------------------------------------------------------------- */

static enum gm_code remove_leftover(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	size_t n = strlen(info->key);
	if (n > 5 && strcmp(info->key + n - 5, ".json") == 0) return GM_OK;
	return gm_store_remove(context, info->key, err);
}

enum gm_code gm_plan_tidy(struct gm_store *table, const struct gm_layout *layout, uint64_t number, struct gm_error *err)
{
	char prefix[GM_KEY_BYTES];
	gm_layout_key(layout, prefix, "work", number, "/");
	return gm_store_list(table, prefix, remove_leftover, table, err);
}

enum undo { UNDO_STAGED, UNDO_PUBLISHED };

static enum gm_code undo_unit(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                              size_t unit, enum undo what, struct gm_error *err)
{
	struct gm_manifest manifest;
	enum gm_code rc = gm_manifest_read(table, layout, plan, unit, &manifest, err);
	if (rc == GM_NOT_FOUND) return GM_OK;
	GM_TRY(rc);
	for (size_t i = 0; rc == GM_OK && i < manifest.file_count; i++)
		rc = what == UNDO_STAGED ? gm_store_discard(table, manifest.files[i].token, err)
		                         : gm_store_remove(table, manifest.files[i].path, err);
	gm_manifest_release(&manifest);
	return rc;
}

enum gm_code gm_plan_close(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                           struct gm_error *err)
{
	static const char text[] = "{\"format\":2}\n";
	char key[GM_KEY_BYTES];
	for (size_t i = 0; i < plan->unit_count; i++) GM_TRY(undo_unit(table, layout, plan, i, UNDO_STAGED, err));
	for (size_t i = 0; i < plan->unit_count; i++) GM_TRY(undo_unit(table, layout, plan, i, UNDO_PUBLISHED, err));
	gm_layout_key(layout, key, "plans", plan->number, ".closed");
	enum gm_code rc = gm_store_put(table, key, text, sizeof text - 1, true, err);
	return rc == GM_OK || rc == GM_EXISTS ? gm_plan_tidy(table, layout, plan->number, err) : rc;
}
