/* registered.c - see the header. What a catalog says of a partition is mostly what it says of all others: columns and
 * formats are held once and compared by reference, so that a partition costs some hundred bytes. */
#include "catalog/registered.h"

#include "base/flag.h"
#include "base/hive.h"
#include "catalog/merge.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { KEY_BYTES_MAX = 64 << 10 };
static const char null_partition[] = "__HIVE_DEFAULT_PARTITION__";

struct item {
	char *key;            /* its values, spelt as one text that is the same for the same values */
	const char *location; /* "" if it has none */
	json_t *values;
	json_t *columns, *rest;    /* of its storage; perhaps shared; NULL: none */
	json_t *parameters;        /* NULL: none */
	json_t *access, *analyzed; /* times, to be kept; mostly NULL */
	bool wanted;               /* the log has it, too */
};
struct gm_registered {
	struct gm_arena arena;
	struct item *items; /* sorted by key, once all are listed */
	size_t count, room;
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the catalog's partitions");
}

/* --- Keys --------------------------------------------------------------------------------------------------------- */

/* What Hive calls null is null, and nothing else is. */
static enum gm_code append_key(struct gm_buf *key, const char *value, struct gm_error *err)
{
	if (value != NULL && strcmp(value, null_partition) == 0) value = NULL;
	return gm_hive_append_text(key, "", value, value != NULL ? strlen(value) : 0, err);
}

static enum gm_code end_key(struct gm_buf *key, struct gm_error *err)
{
	return gm_buf_append(key, "", 1, err);
}

static enum gm_code key_of_item(const json_t *values, struct gm_buf *key, struct gm_error *err)
{
	key->len = 0;
	for (size_t i = 0; i < json_array_size(values); i++)
		GM_TRY(append_key(key, json_string_value(json_array_get(values, i)), err));
	return end_key(key, err);
}

static enum gm_code key_of_partition(const struct gm_shape *shape, const struct gm_shape_partition *partition,
                                     struct gm_buf *key, struct gm_error *err)
{
	key->len = 0;
	for (size_t i = 0; i < shape->partition_column_count; i++) {
		const char *value = partition->values[i].value;
		GM_TRY(gm_hive_append_text(key, "", value, value != NULL ? strlen(value) : 0, err));
	}
	return end_key(key, err);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->key, ((const struct item *)b)->key);
}

/* --- Listing ------------------------------------------------------------------------------------------------------ */

/* A member of an object, taken out of it; shared with `same` where the two are equal. NULL: none. */
static json_t *take_shared(json_t *of, const char *name, json_t *same)
{
	json_t *value = json_incref(json_object_get(of, name));
	if (value != NULL && same != NULL && json_equal(value, same) != 0) {
		json_decref(value);
		value = json_incref(same);
	}
	(void)json_object_del(of, name);
	return value;
}

static void drop_item(struct item *item)
{
	json_decref(item->values);
	json_decref(item->columns);
	json_decref(item->rest);
	json_decref(item->parameters);
	json_decref(item->access);
	json_decref(item->analyzed);
}

/* Fills an item with what is kept of a partition. */
static enum gm_code fill_item(struct gm_registered *registered, json_t *partition, const struct item *before,
                              struct item *item, struct gm_error *err)
{
	json_t *storage = json_object_get(partition, "StorageDescriptor");
	const char *location = json_string_value(json_object_get(storage, "Location"));
	if (location == NULL) location = "";
	item->location = gm_arena_strndup(&registered->arena, location, strlen(location));
	(void)json_object_del(storage, "Location");
	item->columns = take_shared(storage, "Columns", before != NULL ? before->columns : NULL);
	item->rest = take_shared(partition, "StorageDescriptor", before != NULL ? before->rest : NULL);
	item->values = json_incref(json_object_get(partition, "Values"));
	item->parameters = json_incref(json_object_get(partition, "Parameters"));
	item->access = json_incref(json_object_get(partition, "LastAccessTime"));
	item->analyzed = json_incref(json_object_get(partition, "LastAnalyzedTime"));
	return item->location != NULL ? GM_OK : out_of_memory(err);
}

static enum gm_code note_partition(void *context, json_t *partition, struct gm_error *err)
{
	struct gm_registered *registered = context;
	void *grown = gm_grow(registered->items, registered->count, &registered->room, sizeof *registered->items);
	if (grown == NULL) return out_of_memory(err);
	registered->items = grown;
	struct item *item = &registered->items[registered->count];
	const struct item *before = registered->count > 0 ? item - 1 : NULL;
	*item = (struct item){.key = NULL};
	struct gm_buf key;
	gm_buf_init(&key, KEY_BYTES_MAX);
	enum gm_code rc = fill_item(registered, partition, before, item, err);
	if (rc == GM_OK) rc = key_of_item(item->values, &key, err);
	if (rc == GM_OK) {
		item->key = gm_arena_strndup(&registered->arena, (const char *)key.data, key.len - 1);
		if (item->key == NULL) rc = out_of_memory(err);
	}
	gm_buf_release(&key);
	if (rc == GM_OK)
		registered->count++;
	else
		drop_item(item);
	return rc;
}

enum gm_code gm_registered_none(struct gm_registered **out, struct gm_error *err)
{
	struct gm_registered *registered = calloc(1, sizeof *registered);
	*out = registered;
	if (registered == NULL) return out_of_memory(err);
	gm_arena_init(&registered->arena, 32 << 10);
	return GM_OK;
}

enum gm_code gm_registered_read(struct gm_glue *glue, const json_t *table, struct gm_registered **out,
                                struct gm_error *err)
{
	GM_TRY(gm_registered_none(out, err));
	struct gm_registered *registered = *out;
	enum gm_code rc = gm_glue_list_partitions(glue, table, note_partition, registered, err);
	if (rc == GM_OK && registered->count > 0)
		qsort(registered->items, registered->count, sizeof *registered->items, by_key);
	if (rc == GM_OK) return GM_OK;
	gm_registered_free(registered);
	*out = NULL;
	return rc;
}

void gm_registered_free(struct gm_registered *registered)
{
	if (registered == NULL) return;
	for (size_t i = 0; i < registered->count; i++) drop_item(&registered->items[i]);
	free(registered->items);
	gm_arena_release(&registered->arena);
	free(registered);
}

/* --- One partition ------------------------------------------------------------------------------------------------ */

static bool same_text(const json_t *a, const json_t *b, const char *name)
{
	return json_equal(json_object_get(a, name), json_object_get(b, name)) != 0;
}

/* Names and types, in their order. */
static bool same_columns(const json_t *has, const json_t *should)
{
	size_t count = json_array_size(should);
	if (json_array_size(has) != count) return false;
	for (size_t i = 0; i < count; i++) {
		const json_t *a = json_array_get(has, i), *b = json_array_get(should, i);
		const char *name = json_string_value(json_object_get(a, "Name")),
		           *type = json_string_value(json_object_get(a, "Type"));
		if (name == NULL || type == NULL) return false;
		if (strcasecmp(name, json_string_value(json_object_get(b, "Name"))) != 0) return false;
		if (strcasecmp(type, json_string_value(json_object_get(b, "Type"))) != 0) return false;
	}
	return true;
}

static bool is_stale(const struct item *item, const json_t *input)
{
	const json_t *storage = json_object_get(input, "StorageDescriptor");
	const char *name;
	json_t *value;
	if (!gm_entry_same_place(item->location, json_string_value(json_object_get(storage, "Location")))) return true;
	if (!same_columns(item->columns, json_object_get(storage, "Columns"))) return true;
	if (!same_text(item->rest, storage, "InputFormat") || !same_text(item->rest, storage, "OutputFormat")) return true;
	if (!same_text(json_object_get(item->rest, "SerdeInfo"), json_object_get(storage, "SerdeInfo"),
	               "SerializationLibrary"))
		return true;
	json_object_foreach(json_object_get(input, "Parameters"), name, value)
	{
		if (!json_equal(value, json_object_get(item->parameters, name))) return true;
	}
	return false;
}

/* Puts what others have said of the partition into the input that is to replace it: members that the input lacks. (Not
 * json_object_update_missing, which loses members when memory ends, and tells nobody.) */
static bool keep(json_t *input, const char *name, json_t *kept)
{
	json_t *members = json_object_get(input, name), *value;
	const char *member;
	if (kept == NULL) return true;
	if (members == NULL) return json_object_set(input, name, kept) == 0;
	json_object_foreach(kept, member, value)
	{
		if (json_object_get(members, member) == NULL && json_object_set(members, member, value) != 0) return false;
	}
	return true;
}

static enum gm_code keep_foreign(json_t *input, const struct item *item, struct gm_error *err)
{
	json_t *storage = json_object_get(input, "StorageDescriptor");
	json_t *serde = json_object_get(item->rest, "SerdeInfo");
	bool kept = keep(input, "Parameters", item->parameters) && keep(input, "StorageDescriptor", item->rest) &&
	            keep(storage, "SerdeInfo", serde) &&
	            keep(json_object_get(storage, "SerdeInfo"), "Parameters", json_object_get(serde, "Parameters"));
	if (kept && item->access != NULL) kept = json_object_set(input, "LastAccessTime", item->access) == 0;
	if (kept && item->analyzed != NULL) kept = json_object_set(input, "LastAnalyzedTime", item->analyzed) == 0;
	return kept ? GM_OK : out_of_memory(err);
}

/* --- All of them -------------------------------------------------------------------------------------------------- */

enum { CREATE, UPDATE, DELETE, BATCHES };
/* A walk over both: what is done with a partition is counted, and, with a client, gathered in batches and sent. */
struct walk {
	struct gm_registered *registered;
	const struct gm_entry *entry;
	const struct gm_shape *shape;
	json_t *columns;
	size_t fitting; /* into one request */
	struct gm_registered_counts *counts;
	struct gm_glue *glue; /* NULL: count alone */
	const volatile int *stop;
	struct gm_glue_refusal *refusal;
	json_t *batches[BATCHES];
};

static enum gm_code send(struct walk *walk, int which, struct gm_error *err)
{
	typedef enum gm_code send_fn(struct gm_glue *, const char *, const json_t *, size_t *, struct gm_glue_refusal *,
	                             struct gm_error *);
	static send_fn *const sends[BATCHES] = {gm_glue_create_partitions, gm_glue_update_partitions,
	                                        gm_glue_delete_partitions};
	uint64_t *const counts[BATCHES] = {&walk->counts->missing, &walk->counts->stale, &walk->counts->extra};
	size_t done;
	if (json_array_size(walk->batches[which]) == 0) return GM_OK;
	if (gm_flag_is_set(walk->stop)) GM_FAIL(err, GM_INTERRUPTED, "stopped");
	GM_TRY(sends[which](walk->glue, walk->entry->name, walk->batches[which], &done, walk->refusal, err));
	*counts[which] += done;
	return json_array_clear(walk->batches[which]) == 0 ? GM_OK : out_of_memory(err);
}

/* Takes over the value. */
static enum gm_code gather(struct walk *walk, int which, json_t *value, struct gm_error *err)
{
	size_t most = which == DELETE ? GM_GLUE_DELETE_BATCH : walk->fitting;
	if (walk->batches[which] == NULL) walk->batches[which] = json_array();
	if (json_array_append_new(walk->batches[which], value) != 0) return out_of_memory(err);
	return json_array_size(walk->batches[which]) >= most ? send(walk, which, err) : GM_OK;
}

/* A partition of the log; input is taken over. */
static enum gm_code walk_partition(struct walk *walk, struct item *item, json_t *input, struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	bool count = walk->glue == NULL;
	if (item == NULL) {
		walk->counts->missing += count;
		if (!count) return gather(walk, CREATE, input, err);
	} else if (!gm_entry_is_inside(item->location, walk->shape->location)) {
		walk->counts->foreign++;
	} else if (is_stale(item, input)) {
		walk->counts->stale += count;
		if (!count) rc = keep_foreign(input, item, err);
		if (rc == GM_OK && !count) return gather(walk, UPDATE, input, err);
	}
	json_decref(input);
	return rc;
}

static enum gm_code walk_log(struct walk *walk, struct gm_buf *key, struct gm_error *err)
{
	const struct gm_shape *shape = walk->shape;
	struct gm_registered *registered = walk->registered;
	for (size_t i = 0; i < shape->partition_count; i++) {
		json_t *input;
		GM_TRY(key_of_partition(shape, &shape->partitions[i], key, err));
		const struct item wanted = {.key = (char *)key->data};
		struct item *item = registered->count == 0
		                        ? NULL
		                        : bsearch(&wanted, registered->items, registered->count, sizeof wanted, by_key);
		if (item != NULL) item->wanted = true;
		GM_TRY(gm_entry_partition(walk->entry, shape, &shape->partitions[i], walk->columns, &input, err));
		GM_TRY(walk_partition(walk, item, input, err));
	}
	return GM_OK;
}

/* What is registered in our folder and is not in the log. */
static enum gm_code walk_rest(struct walk *walk, struct gm_error *err)
{
	struct gm_registered *registered = walk->registered;
	for (size_t i = 0; i < registered->count; i++) {
		struct item *item = &registered->items[i];
		if (item->wanted || !gm_entry_is_inside(item->location, walk->shape->location)) continue;
		if (walk->glue == NULL)
			walk->counts->extra++;
		else
			GM_TRY(gather(walk, DELETE, json_incref(item->values), err));
	}
	return GM_OK;
}

static enum gm_code walk_all(struct walk *walk, const json_t *columns, struct gm_error *err)
{
	struct gm_buf key;
	*walk->counts = (struct gm_registered_counts){.missing = 0};
	for (size_t i = 0; i < walk->registered->count; i++) walk->registered->items[i].wanted = false;
	walk->columns = gm_entry_partition_columns(columns);
	if (walk->columns == NULL) return out_of_memory(err);
	gm_buf_init(&key, KEY_BYTES_MAX);
	enum gm_code rc = gm_glue_fitting(walk->columns, GM_GLUE_CREATE_BATCH, &walk->fitting, err);
	if (rc == GM_OK) rc = walk_log(walk, &key, err);
	if (rc == GM_OK) rc = walk_rest(walk, err);
	for (int i = 0; rc == GM_OK && i < BATCHES; i++) rc = send(walk, i, err);
	for (int i = 0; i < BATCHES; i++) json_decref(walk->batches[i]);
	gm_buf_release(&key);
	json_decref(walk->columns);
	return rc;
}

enum gm_code gm_registered_compare(struct gm_registered *registered, const struct gm_entry *entry,
                                   const struct gm_shape *shape, const json_t *columns,
                                   struct gm_registered_counts *counts, struct gm_error *err)
{
	struct walk walk = {.registered = registered, .entry = entry, .shape = shape, .counts = counts};
	return walk_all(&walk, columns, err);
}

enum gm_code gm_registered_sync(struct gm_registered *registered, struct gm_glue *glue, const struct gm_entry *entry,
                                const struct gm_shape *shape, const json_t *columns, const volatile int *stop,
                                struct gm_registered_counts *done, struct gm_glue_refusal *refusal,
                                struct gm_error *err)
{
	struct walk walk = {.registered = registered,
	                    .entry = entry,
	                    .shape = shape,
	                    .counts = done,
	                    .glue = glue,
	                    .stop = stop,
	                    .refusal = refusal};
	*refusal = (struct gm_glue_refusal){.again = false};
	return walk_all(&walk, columns, err);
}
