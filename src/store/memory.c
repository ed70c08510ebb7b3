/* memory.c - a store in memory, for tests: an ordered array of objects behind one lock. Staged objects lie in it under
 * their tokens, as they do in a directory. Bytes are shared and never change once they are in. */
#include "store/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct blob {
	int references; /* atomic */
	size_t bytes;
	uint8_t data[];
};

struct object {
	char *key;
	struct blob *blob;
	int64_t mtime_us;
};

struct memory {
	struct gm_store store;
	pthread_mutex_t lock;
	struct object *objects; /* in bytewise order of their keys */
	size_t count, room;
	uint64_t clock, tokens; /* mtimes and names of staged objects: no two are alike, and runs of a test are */
};

struct gm_staged {
	struct gm_buf bytes;
	char token[GM_TOKEN_BYTES];
};

struct memory_reader {
	struct gm_store_reader reader;
	struct blob *blob;
	size_t position;
	char key[];
};

static struct memory *of(struct gm_store *store)
{
	return (struct memory *)store; /* its first member */
}

static enum gm_code fail(const char *key, enum gm_code code, const char *text, struct gm_error *err)
{
	return gm_error_object(err, gm_error_set(err, code, "%s", text), key, strlen(key));
}

static struct blob *blob_new(const void *data, size_t bytes)
{
	struct blob *blob = bytes <= SIZE_MAX - sizeof *blob ? malloc(sizeof *blob + bytes) : NULL;
	if (blob == NULL) return NULL;
	blob->references = 1;
	blob->bytes = bytes;
	if (bytes > 0) memcpy(blob->data, data, bytes);
	return blob;
}

static void blob_unref(struct blob *blob)
{
	if (blob != NULL && __atomic_sub_fetch(&blob->references, 1, __ATOMIC_ACQ_REL) == 0) free(blob);
}

/* --- the ordered array; the lock is held -------------------------------------------------------------------------- */

/* Where the key is (*found), or would stand. */
static size_t place_of(const struct memory *memory, const char *key, bool *found)
{
	size_t low = 0, high = memory->count;
	*found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(memory->objects[middle].key, key);
		if (order == 0) {
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct object *find(const struct memory *memory, const char *key)
{
	bool found;
	size_t at = place_of(memory, key, &found);
	return found ? &memory->objects[at] : NULL;
}

static bool starts_with(const char *key, const char *prefix)
{
	return strncmp(key, prefix, strlen(prefix)) == 0;
}

/* Makes room for the key at its place. */
static struct object *make_place(struct memory *memory, size_t at, const char *key)
{
	struct object *objects = gm_grow(memory->objects, memory->count, &memory->room, sizeof *objects);
	if (objects == NULL) return NULL;
	memory->objects = objects;
	char *copy = strdup(key);
	if (copy == NULL) return NULL;
	struct object *place = &memory->objects[at];
	memmove(place + 1, place, (memory->count++ - at) * sizeof *place);
	*place = (struct object){.key = copy};
	return place;
}

/* Puts the blob (its own reference) under the key, replacing what is there. */
static bool insert(struct memory *memory, const char *key, struct blob *blob)
{
	bool found;
	size_t at = place_of(memory, key, &found);
	struct object *place = found ? &memory->objects[at] : make_place(memory, at, key);
	if (place == NULL) return false;
	blob_unref(place->blob);
	place->blob = blob;
	place->mtime_us = (int64_t)++memory->clock;
	return true;
}

static void remove_range(struct memory *memory, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++) {
		free(memory->objects[i].key);
		blob_unref(memory->objects[i].blob);
	}
	if (end > first)
		memmove(memory->objects + first, memory->objects + end, (memory->count - end) * sizeof *memory->objects);
	memory->count -= end - first;
}

/* --- operations --------------------------------------------------------------------------------------------------- */

/* If a folder of the key that is longer than `from` bytes is to be left out, puts the least key behind it in its place:
 * '0' follows '/'. */
static bool pass_by(char *key, size_t from, gm_prune_fn *prune, void *context)
{
	for (char *slash = key + from; (slash = strchr(slash, '/')) != NULL; slash++) {
		char next = slash[1];
		slash[1] = '\0';
		if (prune(context, key)) {
			*slash = '0';
			return true;
		}
		slash[1] = next;
	}
	return false;
}

static enum gm_code memory_list(struct gm_store *store, const char *prefix, const char *after, gm_prune_fn *prune,
                                gm_list_fn *each, void *context, struct gm_error *err)
{
	struct memory *memory = of(store);
	char key[GM_KEY_FREE_BYTES + 1];
	const char *slash = strrchr(prefix, '/');
	size_t folder = slash != NULL ? (size_t)(slash - prefix) + 1 : 0;
	bool found, given = strcmp(after, prefix) >= 0; /* is `key` one to go on behind, or the least that may be next? */
	(void)snprintf(key, sizeof key, "%s", given ? after : prefix);
	for (;;) {
		struct gm_object_info info = {.key = key, .etag = ""};
		(void)pthread_mutex_lock(&memory->lock);
		size_t at = place_of(memory, key, &found);
		if (found && given) at++;
		bool any = at < memory->count && starts_with(memory->objects[at].key, prefix);
		if (any) {
			(void)snprintf(key, sizeof key, "%s", memory->objects[at].key);
			info.size = memory->objects[at].blob->bytes;
			info.mtime_us = memory->objects[at].mtime_us;
		}
		(void)pthread_mutex_unlock(&memory->lock);
		if (!any) return GM_OK;
		given = prune == NULL || !pass_by(key, folder, prune, context);
		if (given) GM_TRY(each(context, &info, err)); /* without the lock: it may use the store */
	}
}

static enum gm_code memory_stat(struct gm_store *store, const char *key, struct gm_object_info *info,
                                struct gm_arena *arena, struct gm_error *err)
{
	(void)pthread_mutex_lock(&of(store)->lock);
	const struct object *object = find(of(store), key);
	if (object != NULL) {
		info->size = object->blob->bytes;
		info->mtime_us = object->mtime_us;
	}
	(void)pthread_mutex_unlock(&of(store)->lock);
	if (object == NULL) return fail(key, GM_NOT_FOUND, "it does not exist", err);
	info->key = gm_arena_strndup(arena, key, strlen(key));
	return info->key != NULL ? GM_OK : fail(key, GM_NOMEM, "out of memory for its name", err);
}

static enum gm_code memory_reader_open(struct gm_store *store, const char *key, const struct gm_object_info *expected,
                                       struct gm_store_reader **out, struct gm_error *err)
{
	size_t bytes = strlen(key) + 1;
	struct memory_reader *self = malloc(sizeof *self + bytes);
	if (self == NULL) return fail(key, GM_NOMEM, "out of memory for opening it", err);
	memcpy(self->key, key, bytes);
	self->position = 0;
	self->reader.store = store;
	(void)pthread_mutex_lock(&of(store)->lock);
	const struct object *object = find(of(store), key);
	if (object != NULL) {
		self->blob = object->blob;
		__atomic_add_fetch(&self->blob->references, 1, __ATOMIC_RELAXED);
		self->reader.info = (struct gm_object_info){
		    .key = self->key,
		    .size = object->blob->bytes,
		    .mtime_us = object->mtime_us,
		    .etag = "",
		};
	}
	(void)pthread_mutex_unlock(&of(store)->lock);
	bool same = object != NULL && (expected == NULL || gm_object_same(&self->reader.info, expected));
	if (same) {
		*out = &self->reader;
		return GM_OK;
	}
	if (object != NULL) blob_unref(self->blob);
	free(self);
	if (object == NULL) return fail(key, GM_NOT_FOUND, "it does not exist", err);
	return fail(key, GM_CHANGED, "it changed since it was listed", err);
}

static enum gm_code memory_reader_read(struct gm_store_reader *reader, void *into, size_t bytes, size_t *got,
                                       struct gm_error *err)
{
	(void)err;
	struct memory_reader *self = (struct memory_reader *)reader;
	size_t left = self->blob->bytes - self->position;
	*got = bytes < left ? bytes : left;
	if (*got > 0) memcpy(into, self->blob->data + self->position, *got);
	self->position += *got;
	return GM_OK;
}

static enum gm_code memory_reader_check(struct gm_store_reader *reader, struct gm_error *err)
{
	struct memory_reader *self = (struct memory_reader *)reader;
	struct memory *memory = of(reader->store);
	(void)pthread_mutex_lock(&memory->lock);
	const struct object *object = find(memory, self->key);
	bool same = object == NULL || object->mtime_us == reader->info.mtime_us; /* gone is not changed: all was read */
	(void)pthread_mutex_unlock(&memory->lock);
	return same ? GM_OK : fail(self->key, GM_CHANGED, "it changed while it was read", err);
}

static void memory_reader_close(struct gm_store_reader *reader)
{
	struct memory_reader *self = (struct memory_reader *)reader;
	blob_unref(self->blob);
	free(self);
}

static enum gm_code memory_read(struct gm_store *store, const char *key, uint64_t offset, void *into, size_t bytes,
                                size_t *got, struct gm_error *err)
{
	struct gm_store_reader *reader;
	GM_TRY(memory_reader_open(store, key, NULL, &reader, err));
	struct memory_reader *self = (struct memory_reader *)reader;
	self->position = offset < self->blob->bytes ? (size_t)offset : self->blob->bytes;
	enum gm_code code = memory_reader_read(reader, into, bytes, got, err);
	memory_reader_close(reader);
	return code;
}

static enum gm_code memory_put(struct gm_store *store, const char *key, const void *data, size_t bytes, bool if_absent,
                               struct gm_error *err)
{
	struct blob *blob = blob_new(data, bytes);
	if (blob == NULL) return fail(key, GM_NOMEM, "out of memory for an object", err);
	(void)pthread_mutex_lock(&of(store)->lock);
	bool taken = if_absent && find(of(store), key) != NULL;
	bool done = !taken && insert(of(store), key, blob);
	(void)pthread_mutex_unlock(&of(store)->lock);
	if (done) return GM_OK;
	blob_unref(blob);
	if (taken) return fail(key, GM_EXISTS, "it exists already", err);
	return fail(key, GM_NOMEM, "out of memory for an object", err);
}

static enum gm_code memory_remove(struct gm_store *store, const char *key, struct gm_error *err)
{
	(void)err;
	bool found;
	(void)pthread_mutex_lock(&of(store)->lock);
	size_t at = place_of(of(store), key, &found);
	if (found) remove_range(of(store), at, at + 1);
	(void)pthread_mutex_unlock(&of(store)->lock);
	return GM_OK;
}

static enum gm_code memory_remove_tree(struct gm_store *store, const char *prefix, struct gm_error *err)
{
	(void)err;
	bool found;
	struct memory *memory = of(store);
	(void)pthread_mutex_lock(&memory->lock);
	size_t first = place_of(memory, prefix, &found), end = first;
	while (end < memory->count && starts_with(memory->objects[end].key, prefix)) end++;
	remove_range(memory, first, end);
	(void)pthread_mutex_unlock(&memory->lock);
	return GM_OK;
}

/* --- staging ------------------------------------------------------------------------------------------------------ */

static enum gm_code memory_stage_open(struct gm_store *store, const char *final_key, const char *work_prefix,
                                      struct gm_staged **out, struct gm_error *err)
{
	(void)final_key;
	struct gm_staged *staged = malloc(sizeof *staged);
	if (staged == NULL) return fail(work_prefix, GM_NOMEM, "out of memory for a staged object", err);
	gm_buf_init(&staged->bytes, SIZE_MAX / 2);
	uint64_t number = __atomic_add_fetch(&of(store)->tokens, 1, __ATOMIC_RELAXED);
	int n = snprintf(staged->token, sizeof staged->token, "%s%032llx.staged", work_prefix, (unsigned long long)number);
	if (n > GM_KEY_MAX_BYTES) {
		free(staged);
		return fail(work_prefix, GM_USAGE, "the path of the work folder is too long", err);
	}
	*out = staged;
	return GM_OK;
}

static enum gm_code memory_stage_append(struct gm_store *store, struct gm_staged *staged, const void *data,
                                        size_t bytes, struct gm_error *err)
{
	(void)store;
	return gm_buf_append(&staged->bytes, data, bytes, err);
}

static void memory_stage_abandon(struct gm_store *store, struct gm_staged *staged)
{
	(void)store;
	gm_buf_release(&staged->bytes);
	free(staged);
}

static enum gm_code memory_stage_finish(struct gm_store *store, struct gm_staged *staged, char *token,
                                        size_t token_bytes, struct gm_error *err)
{
	enum gm_code code = memory_put(store, staged->token, staged->bytes.data, staged->bytes.len, true, err);
	if (code == GM_OK) (void)snprintf(token, token_bytes, "%s", staged->token);
	memory_stage_abandon(store, staged);
	return code;
}

static enum gm_code memory_publish(struct gm_store *store, const char *token, const char *final_key,
                                   struct gm_error *err)
{
	struct memory *memory = of(store);
	enum gm_code code = GM_OK;
	(void)pthread_mutex_lock(&memory->lock);
	const struct object *staged = find(memory, token), *taken = find(memory, final_key);
	struct blob *blob = staged != NULL ? staged->blob : NULL; /* insert() moves what `staged` points to */
	if (blob == NULL) {
		code = fail(token, GM_NOT_FOUND, "the staged object does not exist", err);
	} else if (taken != NULL) {
		if (taken->blob != blob) code = fail(final_key, GM_EXISTS, "it exists already", err);
	} else if (insert(memory, final_key, blob)) {
		__atomic_add_fetch(&blob->references, 1, __ATOMIC_RELAXED);
	} else {
		code = fail(final_key, GM_NOMEM, "out of memory for an object", err);
	}
	(void)pthread_mutex_unlock(&memory->lock);
	return code;
}

static enum gm_code memory_discard(struct gm_store *store, const char *token, struct gm_error *err)
{
	return memory_remove(store, token, err);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static void memory_close(struct gm_store *store)
{
	struct memory *memory = of(store);
	remove_range(memory, 0, memory->count);
	free(memory->objects);
	(void)pthread_mutex_destroy(&memory->lock);
	free(store->location);
	free(memory);
}

static const struct gm_store_ops memory_ops = {
    .list = memory_list,
    .stat = memory_stat,
    .read = memory_read,
    .reader_open = memory_reader_open,
    .reader_read = memory_reader_read,
    .reader_check = memory_reader_check,
    .reader_close = memory_reader_close,
    .put = memory_put,
    .remove = memory_remove,
    .stage_open = memory_stage_open,
    .stage_append = memory_stage_append,
    .stage_finish = memory_stage_finish,
    .stage_abandon = memory_stage_abandon,
    .publish = memory_publish,
    .discard = memory_discard,
    .remove_tree = memory_remove_tree,
    .close = memory_close,
};

enum gm_code gm_store_open_memory(struct gm_store **out, struct gm_error *err)
{
	*out = NULL;
	struct memory *memory = calloc(1, sizeof *memory);
	char *location = strdup("memory");
	if (memory == NULL || location == NULL || pthread_mutex_init(&memory->lock, NULL) != 0) {
		free(memory);
		free(location);
		GM_FAIL(err, GM_NOMEM, "out of memory for a store in memory");
	}
	memory->store.ops = &memory_ops;
	memory->store.parallel = 1;
	memory->store.location = location;
	*out = &memory->store;
	return GM_OK;
}
