#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool gm_store_name_hidden(const char *name, size_t bytes)
{
	return bytes >= 5 && name[0] == '.' && memcmp(name + bytes - 4, ".tmp", 4) == 0;
}

static bool part_valid(const char *part, size_t bytes)
{
	if (bytes == 0 || gm_store_name_hidden(part, bytes)) return false;
	return !(part[0] == '.' && (bytes == 1 || (bytes == 2 && part[1] == '.')));
}

bool gm_store_key_valid(const char *key)
{
	if (strlen(key) > GM_KEY_MAX_BYTES) return false;
	for (;;) {
		size_t bytes = strcspn(key, "/");
		if (!part_valid(key, bytes)) return false;
		if (key[bytes] == '\0') return true;
		key += bytes + 1;
	}
}

static enum gm_code check_key(const char *key, struct gm_error *err)
{
	if (gm_store_key_valid(key)) return GM_OK;
	enum gm_code code = gm_error_set(err, GM_USAGE, "not a valid object key");
	return gm_error_object(err, code, key, strlen(key));
}

/* A key to read by, which others may have chosen. */
static enum gm_code check_read(const struct gm_store *store, const char *key, struct gm_error *err)
{
	if (store->free_keys && key[0] != '\0' && strlen(key) <= GM_KEY_FREE_BYTES) return GM_OK;
	return check_key(key, err);
}

/* A prefix that ends in '/' and names a folder, never the store itself. */
static enum gm_code check_folder(const char *prefix, struct gm_error *err)
{
	char key[GM_KEY_MAX_BYTES + 1];
	size_t bytes = strlen(prefix);
	if (bytes >= 2 && bytes <= GM_KEY_MAX_BYTES && prefix[bytes - 1] == '/') {
		memcpy(key, prefix, bytes - 1);
		key[bytes - 1] = '\0';
		if (gm_store_key_valid(key)) return GM_OK;
	}
	enum gm_code code = gm_error_set(err, GM_USAGE, "not a valid prefix of a folder");
	return gm_error_object(err, code, prefix, bytes);
}

/* A prefix to list by: all of its parts but the last, which may be empty or the beginning of a name. */
static enum gm_code check_prefix(const struct gm_store *store, const char *prefix, struct gm_error *err)
{
	if (store->free_keys && strlen(prefix) <= GM_KEY_FREE_BYTES) return GM_OK;
	const char *slash = strrchr(prefix, '/');
	if (slash == NULL && strlen(prefix) <= GM_KEY_MAX_BYTES) return GM_OK;
	char key[GM_KEY_MAX_BYTES + 1];
	size_t bytes = slash != NULL ? (size_t)(slash - prefix) : SIZE_MAX;
	if (bytes < sizeof key && strlen(prefix) <= GM_KEY_MAX_BYTES) {
		memcpy(key, prefix, bytes);
		key[bytes] = '\0';
		if (gm_store_key_valid(key)) return GM_OK;
	}
	enum gm_code code = gm_error_set(err, GM_USAGE, "not a valid prefix of object keys");
	return gm_error_object(err, code, prefix, strlen(prefix));
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static enum gm_code unsupported(const char *location, struct gm_error *err)
{
	enum gm_code code = gm_error_set(err, GM_UNSUPPORTED, "this version stores in directories only");
	(void)gm_error_hint(err, code, "give a path, or file:///path");
	return gm_error_object(err, code, location, strlen(location));
}

enum gm_code gm_store_open(const char *location, const struct gm_store_options *options, bool create,
                           struct gm_store **out, struct gm_error *err)
{
	static const struct gm_store_options defaults = {.path_style = -1};
	*out = NULL;
	if (options == NULL) options = &defaults;
	if (strncmp(location, "s3://", 5) == 0) return gm_store_open_s3(location, options, out, err);
	if (strncmp(location, "file://", 7) == 0) return gm_store_open_directory(location + 7, create, out, err);
	if (strstr(location, "://") == NULL) return gm_store_open_directory(location, create, out, err);
	return unsupported(location, err);
}

/* "<folder>/<name>", and `name` alone if it is absolute; NULL when memory is gone. */
static char *join(const char *folder, const char *name)
{
	size_t bytes = strlen(folder) + strlen(name) + 2;
	char *path = malloc(bytes);
	if (path != NULL) (void)snprintf(path, bytes, "%s%s%s", folder, folder[0] != '\0' ? "/" : "", name);
	return path;
}

static char *canonical_path(const char *path)
{
	char *real = realpath(path, NULL), *folder = NULL;
	if (real != NULL || errno == ENOMEM) return real;
	if (path[0] != '/') {
		folder = getcwd(NULL, 0);
		if (folder == NULL && errno == ENOMEM) return NULL;
	}
	char *joined = join(folder != NULL ? folder : "", path);
	free(folder);
	return joined;
}

char *gm_store_canonical(const char *location)
{
	bool file = strncmp(location, "file://", 7) == 0, url = !file && strstr(location, "://") != NULL;
	char *text = url ? strdup(location) : canonical_path(location + (file ? 7 : 0));
	size_t least = url ? (size_t)(strstr(location, "://") - location) + 3 : 1;
	for (size_t n = text != NULL ? strlen(text) : 0; n > least && text[n - 1] == '/'; n--) text[n - 1] = '\0';
	return text;
}

void gm_store_close(struct gm_store *store)
{
	if (store != NULL) store->ops->close(store);
}

void gm_store_add_counts(struct gm_store *store, struct gm_store_counts *add_to)
{
	if (store->ops->counts != NULL) store->ops->counts(store, add_to);
}

enum gm_code gm_store_probe(struct gm_store *store, const char *prefix, struct gm_error *err)
{
	GM_TRY(check_folder(prefix, err));
	return store->ops->probe != NULL ? store->ops->probe(store, prefix, err) : GM_OK;
}

enum gm_code gm_store_sweep(struct gm_store *store, int64_t age_us, gm_wanted_fn *wanted, void *context,
                            uint64_t *swept, struct gm_error *err)
{
	*swept = 0;
	return store->ops->sweep != NULL ? store->ops->sweep(store, age_us, wanted, context, swept, err) : GM_OK;
}

bool gm_store_diagnose(struct gm_store *store, const char *work_prefix, gm_step_fn *step, void *context)
{
	return store->ops->diagnose == NULL || store->ops->diagnose(store, work_prefix, step, context);
}

/* --- objects ------------------------------------------------------------------------------------------------------ */

enum gm_code gm_store_list(struct gm_store *store, const char *prefix, gm_list_fn *each, void *context,
                           struct gm_error *err)
{
	return gm_store_list_after(store, prefix, "", NULL, each, context, err);
}

enum gm_code gm_store_list_pruned(struct gm_store *store, const char *prefix, gm_prune_fn *prune, gm_list_fn *each,
                                  void *context, struct gm_error *err)
{
	return gm_store_list_after(store, prefix, "", prune, each, context, err);
}

enum gm_code gm_store_list_after(struct gm_store *store, const char *prefix, const char *after, gm_prune_fn *prune,
                                 gm_list_fn *each, void *context, struct gm_error *err)
{
	GM_TRY(check_prefix(store, prefix, err));
	if (strlen(after) > GM_KEY_FREE_BYTES) GM_FAIL(err, GM_USAGE, "no key is as long as the one to list from");
	return store->ops->list(store, prefix, after, prune, each, context, err);
}

enum gm_code gm_store_stat(struct gm_store *store, const char *key, struct gm_object_info *info, struct gm_arena *arena,
                           struct gm_error *err)
{
	*info = (struct gm_object_info){.key = "", .etag = ""};
	GM_TRY(check_read(store, key, err));
	return store->ops->stat(store, key, info, arena, err);
}

enum gm_code gm_store_has(struct gm_store *store, const char *key, bool *there, struct gm_error *err)
{
	struct gm_object_info info;
	struct gm_arena arena;
	gm_arena_init(&arena, 1024);
	enum gm_code rc = gm_store_stat(store, key, &info, &arena, err);
	gm_arena_release(&arena);
	*there = rc == GM_OK;
	return rc == GM_NOT_FOUND ? GM_OK : rc;
}

enum gm_code gm_store_read(struct gm_store *store, const char *key, uint64_t offset, void *into, size_t bytes,
                           size_t *got, struct gm_error *err)
{
	*got = 0;
	GM_TRY(check_read(store, key, err));
	if (offset > INT64_MAX) return GM_OK; /* behind the end of whatever it is */
	return store->ops->read(store, key, offset, into, bytes, got, err);
}

enum gm_code gm_store_reader_open(struct gm_store *store, const char *key, struct gm_store_reader **out,
                                  struct gm_error *err)
{
	*out = NULL;
	GM_TRY(check_read(store, key, err));
	return store->ops->reader_open(store, key, NULL, out, err);
}

enum gm_code gm_store_reader_open_as(struct gm_store *store, const struct gm_object_info *expected,
                                     struct gm_store_reader **out, struct gm_error *err)
{
	*out = NULL;
	GM_TRY(check_read(store, expected->key, err));
	return store->ops->reader_open(store, expected->key, expected, out, err);
}

bool gm_object_same(const struct gm_object_info *a, const struct gm_object_info *b)
{
	if (a->etag[0] != '\0' && b->etag[0] != '\0') return strcmp(a->etag, b->etag) == 0;
	return a->size == b->size && a->mtime_us == b->mtime_us;
}

enum gm_code gm_store_reader_read(struct gm_store_reader *reader, void *into, size_t bytes, size_t *got,
                                  struct gm_error *err)
{
	*got = 0;
	return reader->store->ops->reader_read(reader, into, bytes, got, err);
}

enum gm_code gm_store_reader_check(struct gm_store_reader *reader, struct gm_error *err)
{
	return reader->store->ops->reader_check(reader, err);
}

void gm_store_reader_close(struct gm_store_reader *reader)
{
	if (reader != NULL) reader->store->ops->reader_close(reader);
}

/* Reads the whole of an open object behind buf->len, without moving that: the caller does when all is well. */
static enum gm_code read_all(struct gm_store_reader *reader, struct gm_buf *buf, size_t *bytes, struct gm_error *err)
{
	if (reader->info.size > buf->max_bytes - buf->len)
		GM_FAIL(err, GM_VALUE, "it has %llu bytes, more than the %zu that are allowed here",
		        (unsigned long long)reader->info.size, buf->max_bytes - buf->len);
	size_t got = 0;
	*bytes = (size_t)reader->info.size;
	GM_TRY(gm_buf_reserve(buf, *bytes, err));
	if (*bytes > 0) GM_TRY(gm_store_reader_read(reader, buf->data + buf->len, *bytes, &got, err));
	GM_TRY(gm_store_reader_check(reader, err));
	if (got != *bytes) GM_FAIL(err, GM_CHANGED, "it became shorter while it was read");
	return GM_OK;
}

enum gm_code gm_store_get(struct gm_store *store, const char *key, struct gm_buf *buf, struct gm_error *err)
{
	struct gm_store_reader *reader;
	size_t bytes = 0;
	GM_TRY(gm_store_reader_open(store, key, &reader, err));
	enum gm_code rc = read_all(reader, buf, &bytes, err);
	if (rc == GM_OK)
		buf->len += bytes;
	else if (err != NULL && err->object[0] == '\0')
		rc = gm_error_object(err, rc, key, strlen(key));
	gm_store_reader_close(reader);
	return rc;
}

enum gm_code gm_store_put(struct gm_store *store, const char *key, const void *data, size_t bytes, bool if_absent,
                          struct gm_error *err)
{
	GM_TRY(check_key(key, err));
	return store->ops->put(store, key, data, bytes, if_absent, err);
}

enum gm_code gm_store_remove(struct gm_store *store, const char *key, struct gm_error *err)
{
	GM_TRY(check_key(key, err));
	return store->ops->remove(store, key, err);
}

enum gm_code gm_store_remove_many(struct gm_store *store, const char *const *keys, size_t count, struct gm_error *err)
{
	for (size_t i = 0; i < count; i++) GM_TRY(check_key(keys[i], err));
	if (count > 0 && store->ops->remove_many != NULL) return store->ops->remove_many(store, keys, count, err);
	for (size_t i = 0; i < count; i++) GM_TRY(store->ops->remove(store, keys[i], err));
	return GM_OK;
}

void gm_removal_init(struct gm_removal *removal, struct gm_store *store)
{
	removal->store = store;
	removal->count = 0;
	gm_arena_init(&removal->arena, 16 * 1024);
}

static enum gm_code remove_collected(struct gm_removal *removal, struct gm_error *err)
{
	enum gm_code rc = gm_store_remove_many(removal->store, removal->keys, removal->count, err);
	removal->count = 0;
	gm_arena_reset(&removal->arena);
	return rc;
}

enum gm_code gm_removal_add(struct gm_removal *removal, const char *key, struct gm_error *err)
{
	if (removal->count == GM_REMOVAL_KEYS) GM_TRY(remove_collected(removal, err));
	const char *copy = gm_arena_strndup(&removal->arena, key, strlen(key));
	if (copy == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for removing objects");
	removal->keys[removal->count++] = copy;
	return GM_OK;
}

enum gm_code gm_removal_finish(struct gm_removal *removal, enum gm_code rc, struct gm_error *err)
{
	if (rc == GM_OK) rc = remove_collected(removal, err);
	gm_arena_release(&removal->arena);
	return rc;
}

static enum gm_code note_removal(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	return gm_removal_add(context, info->key, err);
}

enum gm_code gm_store_remove_tree(struct gm_store *store, const char *prefix, struct gm_error *err)
{
	struct gm_removal removal;
	GM_TRY(check_folder(prefix, err));
	if (store->ops->remove_tree != NULL) return store->ops->remove_tree(store, prefix, err);
	gm_removal_init(&removal, store);
	return gm_removal_finish(&removal, gm_store_list(store, prefix, note_removal, &removal, err), err);
}

/* --- staging ------------------------------------------------------------------------------------------------------ */

enum gm_code gm_store_stage_open(struct gm_store *store, const char *final_key, const char *work_prefix,
                                 struct gm_staged **out, struct gm_error *err)
{
	*out = NULL;
	GM_TRY(check_key(final_key, err));
	GM_TRY(check_folder(work_prefix, err));
	return store->ops->stage_open(store, final_key, work_prefix, out, err);
}

enum gm_code gm_store_stage_append(struct gm_store *store, struct gm_staged *staged, const void *data, size_t bytes,
                                   struct gm_error *err)
{
	return bytes == 0 ? GM_OK : store->ops->stage_append(store, staged, data, bytes, err);
}

enum gm_code gm_store_stage_finish(struct gm_store *store, struct gm_staged *staged, char token[GM_TOKEN_BYTES],
                                   struct gm_error *err)
{
	token[0] = '\0';
	return store->ops->stage_finish(store, staged, token, GM_TOKEN_BYTES, err);
}

void gm_store_stage_abandon(struct gm_store *store, struct gm_staged *staged)
{
	if (staged != NULL) store->ops->stage_abandon(store, staged);
}

enum gm_code gm_store_settle(struct gm_store *store, struct gm_error *err)
{
	return store->ops->settle != NULL ? store->ops->settle(store, err) : GM_OK;
}

bool gm_token_is_key(const char *token)
{
	return strncmp(token, "upload:", 7) != 0;
}

/* The size of an object that can be looked at. */
static enum gm_code size_of(struct gm_store *store, const char *key, uint64_t *bytes, struct gm_error *err)
{
	struct gm_object_info info;
	struct gm_arena arena;
	gm_arena_init(&arena, 1024);
	enum gm_code rc = gm_store_stat(store, key, &info, &arena, err);
	gm_arena_release(&arena);
	*bytes = info.size;
	return rc;
}

enum gm_code gm_store_staged_size(struct gm_store *store, const char *token, uint64_t *bytes, struct gm_error *err)
{
	*bytes = 0;
	if (store->ops->staged_size != NULL) return store->ops->staged_size(store, token, bytes, err);
	return size_of(store, token, bytes, err);
}

enum gm_code gm_store_publish(struct gm_store *store, const char *token, const char *final_key, struct gm_error *err)
{
	GM_TRY(check_key(final_key, err));
	return store->ops->publish(store, token, final_key, err);
}

enum gm_code gm_store_discard(struct gm_store *store, const char *token, struct gm_error *err)
{
	return store->ops->discard(store, token, err);
}
