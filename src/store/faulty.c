/* faulty.c - a store in front of another that lets one call go wrong: before it had any effect, or after the whole of
 * it, as when an answer is lost. "Fail every operation once" loops over the number of that call until none fires. */
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

struct faulty {
	struct gm_store store;
	struct gm_store *inner;
	uint64_t fail_at, made; /* made: calls so far, atomic */
	enum gm_code code;
	bool after;
	uint64_t *calls;
};

struct faulty_reader {
	struct gm_store_reader reader;
	struct gm_store_reader *inner;
};

static struct faulty *of(struct gm_store *store)
{
	return (struct faulty *)store; /* its first member */
}

/* Counts a call and says whether it is the one to fail. */
static bool due(struct faulty *faulty)
{
	uint64_t number = __atomic_add_fetch(&faulty->made, 1, __ATOMIC_RELAXED);
	if (faulty->calls != NULL) __atomic_store_n(faulty->calls, number, __ATOMIC_RELAXED);
	return number == faulty->fail_at;
}

static enum gm_code injected(const struct faulty *faulty, const char *call, struct gm_error *err)
{
	return gm_error_set(err, faulty->code, "injected fault in %s, %s", call,
	                    faulty->after ? "its answer lost" : "not done");
}

/* One call: not made at all, or made and its answer thrown away, or just made. */
#define MAKE(store, name, function, ...)                                                              \
	do {                                                                                              \
		struct faulty *faulty_ = of(store);                                                           \
		bool due_ = due(faulty_);                                                                     \
		enum gm_code code_ = due_ && !faulty_->after ? GM_OK : function(faulty_->inner, __VA_ARGS__); \
		return due_ ? injected(faulty_, name, err) : code_;                                           \
	} while (0)
#define CALL(store, name, ...) MAKE(store, #name, faulty_->inner->ops->name, __VA_ARGS__)

static enum gm_code faulty_list(struct gm_store *store, const char *prefix, const char *after, gm_prune_fn *prune,
                                gm_list_fn *each, void *context, struct gm_error *err)
{
	CALL(store, list, prefix, after, prune, each, context, err);
}

static enum gm_code faulty_stat(struct gm_store *store, const char *key, struct gm_object_info *info,
                                struct gm_arena *arena, struct gm_error *err)
{
	CALL(store, stat, key, info, arena, err);
}

static enum gm_code faulty_read(struct gm_store *store, const char *key, uint64_t offset, void *into, size_t bytes,
                                size_t *got, struct gm_error *err)
{
	CALL(store, read, key, offset, into, bytes, got, err);
}

static enum gm_code faulty_put(struct gm_store *store, const char *key, const void *data, size_t bytes, bool if_absent,
                               struct gm_error *err)
{
	CALL(store, put, key, data, bytes, if_absent, err);
}

static enum gm_code faulty_remove(struct gm_store *store, const char *key, struct gm_error *err)
{
	CALL(store, remove, key, err);
}

/* Where the store has no one call for it, each key is a call. */
static enum gm_code faulty_remove_many(struct gm_store *store, const char *const *keys, size_t count,
                                       struct gm_error *err)
{
	if (of(store)->inner->ops->remove_many != NULL) CALL(store, remove_many, keys, count, err);
	for (size_t i = 0; i < count; i++) GM_TRY(faulty_remove(store, keys[i], err));
	return GM_OK;
}

static enum gm_code faulty_remove_tree(struct gm_store *store, const char *prefix, struct gm_error *err)
{
	CALL(store, remove_tree, prefix, err);
}

static enum gm_code faulty_publish(struct gm_store *store, const char *token, const char *final_key,
                                   struct gm_error *err)
{
	CALL(store, publish, token, final_key, err);
}

static enum gm_code faulty_discard(struct gm_store *store, const char *token, struct gm_error *err)
{
	CALL(store, discard, token, err);
}

static enum gm_code faulty_staged_size(struct gm_store *store, const char *token, uint64_t *bytes, struct gm_error *err)
{
	MAKE(store, "staged_size", gm_store_staged_size, token, bytes, err);
}

static enum gm_code faulty_settle(struct gm_store *store, struct gm_error *err)
{
	MAKE(store, "settle", gm_store_settle, err);
}

static enum gm_code faulty_probe(struct gm_store *store, const char *prefix, struct gm_error *err)
{
	MAKE(store, "probe", gm_store_probe, prefix, err);
}

static enum gm_code faulty_sweep(struct gm_store *store, int64_t age_us, gm_wanted_fn *wanted, void *context,
                                 uint64_t *swept, struct gm_error *err)
{
	MAKE(store, "sweep", gm_store_sweep, age_us, wanted, context, swept, err);
}

static void faulty_counts(struct gm_store *store, struct gm_store_counts *add_to)
{
	gm_store_add_counts(of(store)->inner, add_to);
}

/* --- calls that make or end a handle: it must not leak ------------------------------------------------------------ */

static enum gm_code faulty_reader_open(struct gm_store *store, const char *key, const struct gm_object_info *expected,
                                       struct gm_store_reader **out, struct gm_error *err)
{
	struct faulty *faulty = of(store);
	if (due(faulty)) return injected(faulty, "reader_open", err);
	struct faulty_reader *self = malloc(sizeof *self);
	if (self == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for opening an object");
	enum gm_code code = faulty->inner->ops->reader_open(faulty->inner, key, expected, &self->inner, err);
	if (code != GM_OK) {
		free(self);
		return code;
	}
	self->reader = (struct gm_store_reader){.store = store, .info = self->inner->info};
	*out = &self->reader;
	return GM_OK;
}

static enum gm_code faulty_reader_read(struct gm_store_reader *reader, void *into, size_t bytes, size_t *got,
                                       struct gm_error *err)
{
	struct gm_store_reader *inner = ((struct faulty_reader *)reader)->inner;
	if (due(of(reader->store))) return injected(of(reader->store), "reader_read", err);
	return inner->store->ops->reader_read(inner, into, bytes, got, err);
}

static enum gm_code faulty_reader_check(struct gm_store_reader *reader, struct gm_error *err)
{
	struct gm_store_reader *inner = ((struct faulty_reader *)reader)->inner;
	if (due(of(reader->store))) return injected(of(reader->store), "reader_check", err);
	return inner->store->ops->reader_check(inner, err);
}

static void faulty_reader_close(struct gm_store_reader *reader)
{
	struct faulty_reader *self = (struct faulty_reader *)reader;
	self->inner->store->ops->reader_close(self->inner);
	free(self);
}

static enum gm_code faulty_stage_open(struct gm_store *store, const char *final_key, const char *work_prefix,
                                      struct gm_staged **out, struct gm_error *err)
{
	struct faulty *faulty = of(store);
	if (due(faulty)) return injected(faulty, "stage_open", err);
	return faulty->inner->ops->stage_open(faulty->inner, final_key, work_prefix, out, err);
}

static enum gm_code faulty_stage_append(struct gm_store *store, struct gm_staged *staged, const void *data,
                                        size_t bytes, struct gm_error *err)
{
	CALL(store, stage_append, staged, data, bytes, err);
}

static enum gm_code faulty_stage_finish(struct gm_store *store, struct gm_staged *staged, char *token,
                                        size_t token_bytes, struct gm_error *err)
{
	struct faulty *faulty = of(store);
	bool fails = due(faulty);
	if (fails && !faulty->after) {
		faulty->inner->ops->stage_abandon(faulty->inner, staged);
		return injected(faulty, "stage_finish", err);
	}
	enum gm_code code = faulty->inner->ops->stage_finish(faulty->inner, staged, token, token_bytes, err);
	if (!fails) return code;
	token[0] = '\0';
	return injected(faulty, "stage_finish", err);
}

static void faulty_stage_abandon(struct gm_store *store, struct gm_staged *staged)
{
	of(store)->inner->ops->stage_abandon(of(store)->inner, staged);
}

static void faulty_close(struct gm_store *store)
{
	gm_store_close(of(store)->inner);
	free(store->location);
	free(store);
}

static const struct gm_store_ops faulty_ops = {
    .list = faulty_list,
    .stat = faulty_stat,
    .read = faulty_read,
    .reader_open = faulty_reader_open,
    .reader_read = faulty_reader_read,
    .reader_check = faulty_reader_check,
    .reader_close = faulty_reader_close,
    .put = faulty_put,
    .remove = faulty_remove,
    .remove_many = faulty_remove_many,
    .stage_open = faulty_stage_open,
    .stage_append = faulty_stage_append,
    .stage_finish = faulty_stage_finish,
    .stage_abandon = faulty_stage_abandon,
    .staged_size = faulty_staged_size,
    .settle = faulty_settle,
    .publish = faulty_publish,
    .discard = faulty_discard,
    .remove_tree = faulty_remove_tree,
    .counts = faulty_counts,
    .probe = faulty_probe,
    .sweep = faulty_sweep,
    .close = faulty_close,
};

enum gm_code gm_store_open_faulty(struct gm_store *inner, uint64_t fail_at, enum gm_code code, bool after,
                                  uint64_t *calls, struct gm_store **out, struct gm_error *err)
{
	*out = NULL;
	struct faulty *faulty = malloc(sizeof *faulty);
	char *location = strdup(inner->location);
	if (faulty == NULL || location == NULL) {
		free(faulty);
		free(location);
		GM_FAIL(err, GM_NOMEM, "out of memory for a store");
	}
	*faulty = (struct faulty){
	    .store = {.ops = &faulty_ops, .location = location, .parallel = inner->parallel, .free_keys = inner->free_keys},
	    .inner = inner,
	    .fail_at = fail_at,
	    .code = code,
	    .after = after,
	    .calls = calls,
	};
	if (calls != NULL) *calls = 0;
	*out = &faulty->store;
	return GM_OK;
}
