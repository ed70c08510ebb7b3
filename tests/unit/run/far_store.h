/* far_store.h - a store in memory that behaves as one far away does, where the engine can tell: several calls pay to be
 * in flight; what is staged is an upload that no listing shows and nobody can read, that is there only behind the next
 * gm_store_settle, and that publishing uses up; many keys are removed by one call; keys of others are free. It counts
 * its calls by kind, and how many readers were open at once. */
#ifndef GM_TEST_RUN_FAR_STORE_H
#define GM_TEST_RUN_FAR_STORE_H

#include "store/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct far_store {
	struct gm_store store;
	struct gm_store *objects, *uploads; /* in memory */
	pthread_mutex_t lock;
	char (*unsettled)[GM_TOKEN_BYTES];
	size_t unsettled_count, unsettled_room;
	struct gm_store_counts counts;
	uint64_t probes, settles, listed; /* listed: keys that listings gave */
	const char *trace;                /* not NULL: every call is told, by this name */
	bool refuses;                     /* the probe finds that put-if-absent does not hold */
	int open, most_open;              /* readers */
};

struct far_reader {
	struct gm_store_reader reader;
	struct gm_store_reader *inner;
};

static struct far_store *far_of(struct gm_store *store)
{
	return (struct far_store *)store;
}

static void far_count(uint64_t *count)
{
	__atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
}

static void far_tell(const struct far_store *self, const char *call, const char *key)
{
	if (self->trace != NULL) fprintf(stderr, "  %s %s %s\n", self->trace, call, key);
}

struct far_listing {
	struct far_store *self;
	gm_list_fn *each;
	gm_prune_fn *prune;
	void *context;
};

static bool far_prune(void *context, const char *folder)
{
	const struct far_listing *listing = context;
	return listing->prune(listing->context, folder);
}

static enum gm_code far_give(void *context, const struct gm_object_info *info, struct gm_error *error)
{
	const struct far_listing *listing = context;
	far_count(&listing->self->listed);
	return listing->each(listing->context, info, error);
}

static enum gm_code far_list(struct gm_store *store, const char *prefix, const char *after, gm_prune_fn *prune,
                             gm_list_fn *each, void *context, struct gm_error *error)
{
	struct far_store *self = far_of(store);
	struct far_listing listing = {self, each, prune, context};
	far_tell(self, "list", prefix);
	far_count(&self->counts.list);
	return self->objects->ops->list(self->objects, prefix, after, prune != NULL ? far_prune : NULL, far_give, &listing,
	                                error);
}

static enum gm_code far_stat(struct gm_store *store, const char *key, struct gm_object_info *info,
                             struct gm_arena *arena, struct gm_error *error)
{
	struct far_store *self = far_of(store);
	far_tell(self, "stat", key);
	far_count(&self->counts.head);
	return self->objects->ops->stat(self->objects, key, info, arena, error);
}

static enum gm_code far_read(struct gm_store *store, const char *key, uint64_t offset, void *into, size_t bytes,
                             size_t *got, struct gm_error *error)
{
	struct far_store *self = far_of(store);
	far_tell(self, "read", key);
	far_count(&self->counts.get);
	return self->objects->ops->read(self->objects, key, offset, into, bytes, got, error);
}

static enum gm_code far_reader_open(struct gm_store *store, const char *key, const struct gm_object_info *expected,
                                    struct gm_store_reader **out, struct gm_error *error)
{
	struct far_store *self = far_of(store);
	struct far_reader *reader = malloc(sizeof *reader);
	if (reader == NULL) abort();
	far_tell(self, "reader_open", key);
	far_count(&self->counts.get);
	enum gm_code code = self->objects->ops->reader_open(self->objects, key, expected, &reader->inner, error);
	if (code != GM_OK) {
		free(reader);
		return code;
	}
	reader->reader = (struct gm_store_reader){.store = store, .info = reader->inner->info};
	(void)pthread_mutex_lock(&self->lock);
	if (++self->open > self->most_open) self->most_open = self->open;
	(void)pthread_mutex_unlock(&self->lock);
	*out = &reader->reader;
	return GM_OK;
}

static enum gm_code far_reader_read(struct gm_store_reader *reader, void *into, size_t bytes, size_t *got,
                                    struct gm_error *error)
{
	return gm_store_reader_read(((struct far_reader *)reader)->inner, into, bytes, got, error);
}

static enum gm_code far_reader_check(struct gm_store_reader *reader, struct gm_error *error)
{
	return gm_store_reader_check(((struct far_reader *)reader)->inner, error);
}

static void far_reader_close(struct gm_store_reader *reader)
{
	struct far_store *self = far_of(reader->store);
	gm_store_reader_close(((struct far_reader *)reader)->inner);
	(void)pthread_mutex_lock(&self->lock);
	self->open--;
	(void)pthread_mutex_unlock(&self->lock);
	free(reader);
}

static enum gm_code far_put(struct gm_store *store, const char *key, const void *data, size_t bytes, bool if_absent,
                            struct gm_error *error)
{
	struct far_store *self = far_of(store);
	far_tell(self, "put", key);
	far_count(&self->counts.put);
	return self->objects->ops->put(self->objects, key, data, bytes, if_absent, error);
}

static enum gm_code far_remove(struct gm_store *store, const char *key, struct gm_error *error)
{
	struct far_store *self = far_of(store);
	far_tell(self, "remove", key);
	far_count(&self->counts.delete_);
	return self->objects->ops->remove(self->objects, key, error);
}

static enum gm_code far_remove_many(struct gm_store *store, const char *const *keys, size_t count,
                                    struct gm_error *error)
{
	struct far_store *self = far_of(store);
	far_tell(self, "remove_many", count > 0 ? keys[0] : "");
	far_count(&self->counts.delete_);
	for (size_t i = 0; i < count; i++) GM_TRY(self->objects->ops->remove(self->objects, keys[i], error));
	return GM_OK;
}

static enum gm_code far_remove_tree(struct gm_store *store, const char *prefix, struct gm_error *error)
{
	return far_of(store)->objects->ops->remove_tree(far_of(store)->objects, prefix, error);
}

/* --- Uploads ------------------------------------------------------------------------------------------------------ */

/* NOT_FOUND: it is none, or not there yet. */
static enum gm_code far_upload(struct far_store *self, const char *token, const char **key, struct gm_error *error)
{
	bool there = strncmp(token, "upload:", 7) == 0;
	(void)pthread_mutex_lock(&self->lock);
	for (size_t i = 0; there && i < self->unsettled_count; i++) there = strcmp(self->unsettled[i], token) != 0;
	(void)pthread_mutex_unlock(&self->lock);
	*key = token + 7;
	if (!there) GM_FAIL(error, GM_NOT_FOUND, "there is no such upload");
	return GM_OK;
}

static enum gm_code far_stage_open(struct gm_store *store, const char *final_key, const char *work_prefix,
                                   struct gm_staged **out, struct gm_error *error)
{
	struct far_store *self = far_of(store);
	far_tell(self, "stage_open", final_key);
	far_count(&self->counts.multipart);
	return gm_store_stage_open(self->uploads, final_key, work_prefix, out, error);
}

static enum gm_code far_stage_append(struct gm_store *store, struct gm_staged *staged, const void *data, size_t bytes,
                                     struct gm_error *error)
{
	return gm_store_stage_append(far_of(store)->uploads, staged, data, bytes, error);
}

static enum gm_code far_stage_finish(struct gm_store *store, struct gm_staged *staged, char *token, size_t token_bytes,
                                     struct gm_error *error)
{
	struct far_store *self = far_of(store);
	char inner[GM_TOKEN_BYTES];
	GM_TRY(gm_store_stage_finish(self->uploads, staged, inner, error));
	(void)snprintf(token, token_bytes, "upload:%.1000s", inner);
	(void)pthread_mutex_lock(&self->lock);
	self->unsettled = gm_grow(self->unsettled, self->unsettled_count, &self->unsettled_room, sizeof *self->unsettled);
	if (self->unsettled == NULL) abort();
	(void)snprintf(self->unsettled[self->unsettled_count++], GM_TOKEN_BYTES, "%s", token);
	(void)pthread_mutex_unlock(&self->lock);
	return GM_OK;
}

static void far_stage_abandon(struct gm_store *store, struct gm_staged *staged)
{
	gm_store_stage_abandon(far_of(store)->uploads, staged);
}

static enum gm_code far_settle(struct gm_store *store, struct gm_error *error)
{
	struct far_store *self = far_of(store);
	(void)error;
	far_count(&self->settles);
	(void)pthread_mutex_lock(&self->lock);
	self->unsettled_count = 0;
	(void)pthread_mutex_unlock(&self->lock);
	return GM_OK;
}

static enum gm_code far_staged_size(struct gm_store *store, const char *token, uint64_t *bytes, struct gm_error *error)
{
	struct far_store *self = far_of(store);
	const char *key;
	far_tell(self, "staged_size", token);
	far_count(&self->counts.multipart);
	GM_TRY(far_upload(self, token, &key, error));
	return gm_store_staged_size(self->uploads, key, bytes, error);
}

static enum gm_code far_publish(struct gm_store *store, const char *token, const char *final_key,
                                struct gm_error *error)
{
	struct far_store *self = far_of(store);
	const char *key;
	struct gm_buf bytes;
	far_tell(self, "publish", final_key);
	far_count(&self->counts.multipart);
	GM_TRY(far_upload(self, token, &key, error));
	gm_buf_init(&bytes, (size_t)1 << 24);
	enum gm_code code = gm_store_get(self->uploads, key, &bytes, error);
	if (code == GM_OK) code = gm_store_put(self->objects, final_key, bytes.data, bytes.len, true, error);
	if (code == GM_OK) code = gm_store_remove(self->uploads, key, error);
	gm_buf_release(&bytes);
	return code;
}

static enum gm_code far_discard(struct gm_store *store, const char *token, struct gm_error *error)
{
	struct far_store *self = far_of(store);
	far_tell(self, "discard", token);
	far_count(&self->counts.multipart);
	if (strncmp(token, "upload:", 7) != 0) GM_FAIL(error, GM_CORRUPT, "not the name of an upload");
	return gm_store_remove(self->uploads, token + 7, error);
}

/* --- The whole ---------------------------------------------------------------------------------------------------- */

static void far_counts(struct gm_store *store, struct gm_store_counts *add_to)
{
	const struct gm_store_counts *counts = &far_of(store)->counts;
	add_to->list += counts->list;
	add_to->get += counts->get;
	add_to->head += counts->head;
	add_to->put += counts->put;
	add_to->delete_ += counts->delete_;
	add_to->multipart += counts->multipart;
}

static enum gm_code far_probe(struct gm_store *store, const char *prefix, struct gm_error *error)
{
	(void)prefix;
	far_count(&far_of(store)->probes);
	if (far_of(store)->refuses) GM_FAIL(error, GM_UNSUPPORTED, "the store lets two writers win");
	return GM_OK;
}

static void far_close(struct gm_store *store)
{
	struct far_store *self = far_of(store);
	if (self->open != 0) abort();
	gm_store_close(self->objects);
	gm_store_close(self->uploads);
	(void)pthread_mutex_destroy(&self->lock);
	free(self->unsettled);
	free(self);
}

static const struct gm_store_ops far_ops = {
    .list = far_list,
    .stat = far_stat,
    .read = far_read,
    .reader_open = far_reader_open,
    .reader_read = far_reader_read,
    .reader_check = far_reader_check,
    .reader_close = far_reader_close,
    .put = far_put,
    .remove = far_remove,
    .remove_many = far_remove_many,
    .stage_open = far_stage_open,
    .stage_append = far_stage_append,
    .stage_finish = far_stage_finish,
    .stage_abandon = far_stage_abandon,
    .staged_size = far_staged_size,
    .settle = far_settle,
    .publish = far_publish,
    .discard = far_discard,
    .remove_tree = far_remove_tree,
    .counts = far_counts,
    .probe = far_probe,
    .close = far_close,
};

static struct far_store *far_open(unsigned parallel)
{
	static char location[] = "far";
	struct far_store *self = calloc(1, sizeof *self);
	if (self == NULL || pthread_mutex_init(&self->lock, NULL) != 0) abort();
	if (gm_store_open_memory(&self->objects, NULL) != GM_OK || gm_store_open_memory(&self->uploads, NULL) != GM_OK)
		abort();
	self->store = (struct gm_store){.ops = &far_ops, .location = location, .parallel = parallel, .free_keys = true};
	return self;
}

#endif
