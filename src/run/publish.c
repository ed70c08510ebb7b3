#include "run/publish.h"

#include "base/parallel.h"

#include <inttypes.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { READ_BYTES = 256 * 1024 };

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
	(void)gm_error_set(err, GM_CORRUPT, "a file of this name exists and holds other bytes than the run made");
	(void)gm_error_hint(
	    err, GM_CORRUPT,
	    "nothing is overwritten; if the file was damaged, or is not gristmill's, remove it and run again");
	return gm_error_object(err, GM_CORRUPT, file->path, strlen(file->path));
}

/* Is a staged file what the manifest says? Who has just written it asks for the size alone, and so does who cannot read
 * it: nobody can change it either. NOT_FOUND is for publishing to judge: it may be published already. */
static enum gm_code check_staged(struct gm_store *table, const struct gm_manifest_file *file, bool found,
                                 struct gm_error *err)
{
	uint64_t bytes = file->bytes, hash[2] = {file->hash[0], file->hash[1]};
	enum gm_code rc = found && gm_token_is_key(file->token) ? hash_object(table, file->token, &bytes, hash, err)
	                                                        : gm_store_staged_size(table, file->token, &bytes, err);
	if (rc == GM_NOT_FOUND) return GM_OK;
	GM_TRY(rc);
	if (bytes == file->bytes && hash[0] == file->hash[0] && hash[1] == file->hash[1]) return GM_OK;
	(void)gm_error_set(err, GM_CHANGED, "a staged file was changed before it was published");
	return gm_error_object(err, GM_CHANGED, file->token, strlen(file->token));
}

static enum gm_code publish_file(struct gm_store *table, const struct gm_manifest_file *file, bool found,
                                 struct gm_error *err)
{
	GM_TRY(check_staged(table, file, found, err));
	enum gm_code rc = gm_store_publish(table, file->token, file->path, err);
	if (rc != GM_EXISTS && rc != GM_NOT_FOUND) return rc;
	rc = compare_published(table, file, err);
	if (rc != GM_NOT_FOUND) return rc;
	(void)gm_error_set(err, GM_CHANGED, "a staged file is gone before it was published");
	return gm_error_object(err, GM_CHANGED, file->path, strlen(file->path));
}

/* --- Publish ------------------------------------------------------------------------------------------------------ */

struct publishing {
	struct gm_store *table;
	struct {
		const struct gm_manifest_file *file;
		bool found; /* its manifest was */
	} * files;
	size_t count;
};

static enum gm_code publish_at(void *context, size_t index, struct gm_error *err)
{
	const struct publishing *publishing = context;
	return publish_file(publishing->table, publishing->files[index].file, publishing->files[index].found, err);
}

enum gm_code gm_publish(struct gm_store *table, const struct gm_manifest *manifests, size_t count, struct gm_error *err)
{
	struct publishing publishing = {.table = table};
	size_t total = 0;
	for (size_t i = 0; i < count; i++) total += manifests[i].file_count;
	publishing.files = calloc(total + 1, sizeof *publishing.files);
	if (publishing.files == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for publishing a run");
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < manifests[i].file_count; k++) {
			publishing.files[publishing.count].file = &manifests[i].files[k];
			publishing.files[publishing.count++].found = manifests[i].found;
		}
	enum gm_code rc = gm_parallel(total, table->parallel, publish_at, &publishing, err);
	free(publishing.files);
	return rc;
}

/* --- Manifests ---------------------------------------------------------------------------------------------------- */

static void manifest_key(const struct gm_layout *layout, uint64_t number, size_t unit, char key[GM_KEY_BYTES])
{
	char suffix[32];
	(void)snprintf(suffix, sizeof suffix, "/%05zu.json", unit);
	gm_layout_key(layout, key, "work", number, suffix);
}

/* Whatever plan of that number it is of. */
static enum gm_code read_manifest(struct gm_store *table, const char *key, struct gm_manifest *manifest,
                                  struct gm_error *err)
{
	json_t *json = NULL;
	GM_TRY(gm_json_read(table, key, &json, err));
	enum gm_code rc = gm_manifest_parse(json, manifest, err);
	json_decref(json);
	if (rc == GM_OK) manifest->found = true;
	return rc == GM_CORRUPT ? gm_error_object(err, rc, key, strlen(key)) : rc;
}

/* Plans of one number there are when somebody removes one. */
static bool is_of(const struct gm_plan *plan, size_t number, const struct gm_manifest *manifest)
{
	const struct gm_plan_unit *unit = &plan->units[number];
	if (manifest->planned_us != INT64_MIN && manifest->planned_us != plan->created_us) return false;
	if (manifest->object_count != unit->count) return false;
	for (size_t i = 0; i < unit->count; i++)
		if (strcmp(manifest->objects[i].key, unit->inputs[i].key) != 0) return false;
	return true;
}

enum gm_code gm_manifest_read(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                              size_t unit, struct gm_manifest *manifest, struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	manifest_key(layout, plan->number, unit, key);
	GM_TRY(read_manifest(table, key, manifest, err));
	if (is_of(plan, unit, manifest)) return GM_OK;
	gm_manifest_release(manifest);
	(void)gm_error_set(err, GM_CORRUPT, "the manifest does not match its plan");
	return gm_error_object(err, GM_CORRUPT, key, strlen(key));
}

/* --- Tidy --------------------------------------------------------------------------------------------------------- */

static enum gm_code remove_leftover(struct gm_removal *removal, const char *key, struct gm_error *err)
{
	size_t n = strlen(key);
	if (n > 5 && strcmp(key + n - 5, ".json") == 0) return GM_OK;
	if (gm_store_is_remote(removal->store)) return gm_removal_add(removal, key, err);
	/* What is staged need not be gone for good: who finds it again removes it again. */
	if (n > 7 && strcmp(key + n - 7, ".staged") == 0) return gm_store_discard(removal->store, key, err);
	return gm_store_remove(removal->store, key, err);
}

static enum gm_code remove_listed(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	return remove_leftover(context, info->key, err);
}

enum gm_code gm_plan_tidy(struct gm_store *table, const struct gm_layout *layout, uint64_t number, struct gm_error *err)
{
	char prefix[GM_KEY_BYTES];
	struct gm_removal removal;
	gm_layout_key(layout, prefix, "work", number, "/");
	gm_removal_init(&removal, table);
	return gm_removal_finish(&removal, gm_store_list(table, prefix, remove_listed, &removal, err), err);
}

/* Tokens come back from manifests: one that was tampered with must not name anything else. */
static enum gm_code remove_named(struct gm_removal *removal, const struct gm_layout *layout, const struct gm_plan *plan,
                                 const struct gm_manifest *manifests, struct gm_error *err)
{
	char work[GM_KEY_BYTES], key[GM_KEY_BYTES], suffix[32];
	gm_layout_key(layout, work, "work", plan->number, "/");
	for (size_t i = 0; i < plan->unit_count; i++) {
		(void)snprintf(suffix, sizeof suffix, "/%05zu.keys", i);
		gm_layout_key(layout, key, "work", plan->number, suffix);
		if (plan->unique_count > 0) GM_TRY(remove_leftover(removal, key, err));
		for (size_t k = 0; k < manifests[i].file_count; k++) {
			const char *token = manifests[i].files[k].token;
			bool staged = gm_token_is_key(token) && strncmp(token, work, strlen(work)) == 0;
			if (staged) GM_TRY(remove_leftover(removal, token, err));
		}
	}
	return GM_OK;
}

enum gm_code gm_plan_tidy_named(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                                const struct gm_manifest *manifests, struct gm_error *err)
{
	struct gm_removal removal;
	if (!gm_store_is_remote(table)) return gm_plan_tidy(table, layout, plan->number, err);
	gm_removal_init(&removal, table);
	return gm_removal_finish(&removal, remove_named(&removal, layout, plan, manifests, err), err);
}

/* --- Close -------------------------------------------------------------------------------------------------------- */

/* The manifests in a plan's work folder, by the numbers of their units. */
struct units {
	uint64_t *number;
	size_t count, room;
};

static enum gm_code note_unit(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct units *units = context;
	const char *name = strrchr(info->key, '/') + 1;
	char *end;
	if (*name < '0' || *name > '9') return GM_OK;
	uint64_t number = strtoull(name, &end, 10);
	if (strcmp(end, ".json") != 0) return GM_OK;
	uint64_t *grown = gm_grow(units->number, units->count, &units->room, sizeof *grown);
	if (grown == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for sweeping a run");
	units->number = grown;
	units->number[units->count++] = number;
	return GM_OK;
}

/* What is asked for by name: files of a unit whose manifest cannot be read. */
struct wanted {
	char prefix[64]; /* of their names: see file_path in output.c */
	char found[GM_KEY_BYTES];
};

static enum gm_code note_published(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct wanted *wanted = context;
	const char *name = strrchr(info->key, '/');
	(void)err;
	name = name != NULL ? name + 1 : info->key;
	if (strncmp(name, wanted->prefix, strlen(wanted->prefix)) == 0)
		(void)snprintf(wanted->found, sizeof wanted->found, "%s", info->key);
	return GM_OK;
}

/* CORRUPT: files of the unit are published, and its manifest, which alone says that they are the unit's, is lost. */
static enum gm_code check_unpublished(struct gm_store *table, const struct gm_layout *layout, uint64_t number,
                                      uint64_t unit, struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	struct wanted wanted = {.found = ""};
	(void)snprintf(wanted.prefix, sizeof wanted.prefix, "%s-%08" PRIu64 "-%05" PRIu64 "-", layout->job8, number, unit);
	GM_TRY(gm_store_list(table, "", note_published, &wanted, err));
	if (wanted.found[0] == '\0') return GM_OK;
	manifest_key(layout, number, unit, key);
	(void)gm_error_set(err, GM_CORRUPT,
	                   "the manifest cannot be read, and a file that it should name is published: %.300s",
	                   wanted.found);
	(void)gm_error_hint(err, GM_CORRUPT,
	                    "restore the manifest from a copy; without one, remove by hand the files named %s*, and "
	                    "give the run up: gristmill run JOB --abandon",
	                    wanted.prefix);
	return gm_error_object(err, GM_CORRUPT, key, strlen(key));
}

enum undo { UNDO_NOTHING, UNDO_STAGED, UNDO_PUBLISHED };

struct undoing {
	struct gm_store *table;
	const struct gm_manifest *manifest;
};

static enum gm_code discard_at(void *context, size_t index, struct gm_error *err)
{
	const struct undoing *undoing = context;
	return gm_store_discard(undoing->table, undoing->manifest->files[index].token, err);
}

static enum gm_code remove_published(struct gm_store *table, const struct gm_manifest *manifest, struct gm_error *err)
{
	const char **paths = malloc((manifest->file_count + 1) * sizeof *paths);
	if (paths == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for sweeping a run");
	for (size_t i = 0; i < manifest->file_count; i++) paths[i] = manifest->files[i].path;
	enum gm_code rc = gm_store_remove_many(table, paths, manifest->file_count, err);
	free(paths);
	return rc;
}

static enum gm_code undo_files(struct gm_store *table, const struct gm_manifest *manifest, enum undo what,
                               struct gm_error *err)
{
	struct undoing undoing = {table, manifest};
	if (what == UNDO_STAGED) return gm_parallel(manifest->file_count, table->parallel, discard_at, &undoing, err);
	return what == UNDO_PUBLISHED ? remove_published(table, manifest, err) : GM_OK;
}

static enum gm_code undo_units(struct gm_store *table, const struct gm_layout *layout, uint64_t number,
                               const struct units *units, enum undo what, struct gm_error *err)
{
	for (size_t i = 0; i < units->count; i++) {
		char key[GM_KEY_BYTES];
		struct gm_manifest manifest;
		manifest_key(layout, number, units->number[i], key);
		enum gm_code rc = read_manifest(table, key, &manifest, err);
		/* It does not say what is staged: all of it goes, before it is asked what is published. */
		if (rc == GM_CORRUPT && what == UNDO_STAGED) GM_TRY(gm_plan_tidy(table, layout, number, err));
		if (rc == GM_CORRUPT && what != UNDO_STAGED)
			GM_TRY(check_unpublished(table, layout, number, units->number[i], err));
		if (rc == GM_CORRUPT || rc == GM_NOT_FOUND) continue;
		GM_TRY(rc);
		rc = undo_files(table, &manifest, what, err);
		gm_manifest_release(&manifest);
		GM_TRY(rc);
	}
	return GM_OK;
}

static enum gm_code find_units(struct gm_store *table, const struct gm_layout *layout, uint64_t number,
                               struct units *units, struct gm_error *err)
{
	char prefix[GM_KEY_BYTES];
	*units = (struct units){0};
	gm_layout_key(layout, prefix, "work", number, "/");
	return gm_store_list(table, prefix, note_unit, units, err);
}

static bool contains(const struct units *units, uint64_t number)
{
	size_t i = 0;
	while (i < units->count && units->number[i] != number) i++;
	return i < units->count;
}

enum gm_code gm_plan_check_closable(struct gm_store *table, const struct gm_layout *layout, uint64_t number,
                                    size_t worked, struct gm_error *err)
{
	struct units units;
	enum gm_code rc = find_units(table, layout, number, &units, err);
	if (rc == GM_OK) rc = undo_units(table, layout, number, &units, UNDO_NOTHING, err);
	for (size_t i = 0; rc == GM_OK && i < worked; i++)
		if (!contains(&units, i)) rc = check_unpublished(table, layout, number, i, err);
	free(units.number);
	return rc;
}

enum gm_code gm_plan_close(struct gm_store *table, const struct gm_layout *layout, uint64_t number,
                           struct gm_error *err)
{
	static const char text[] = "{\"format\":2}\n";
	char key[GM_KEY_BYTES];
	struct units units;
	enum gm_code rc;
	GM_TRY_OUT(find_units(table, layout, number, &units, err));
	GM_TRY_OUT(undo_units(table, layout, number, &units, UNDO_STAGED, err));
	GM_TRY_OUT(undo_units(table, layout, number, &units, UNDO_PUBLISHED, err));
	gm_layout_key(layout, key, "plans", number, ".closed");
	rc = gm_store_put(table, key, text, sizeof text - 1, true, err);
	if (rc == GM_OK || rc == GM_EXISTS) rc = gm_plan_tidy(table, layout, number, err);
out:
	free(units.number);
	return rc;
}
