/* result.c - what a run did, gathered for whoever called it. */
#include "run/runner.h"

#include <stdlib.h>

struct result_memory {
	struct gm_arena arena;
	struct gm_file *files;
	size_t file_room;
	struct gm_object_balance *objects;
	size_t object_room;
};

enum gm_code gm_result_init(struct gm_run_result *result, struct gm_error *err)
{
	struct result_memory *memory = calloc(1, sizeof *memory);
	*result = (struct gm_run_result){.memory = memory, .version = -1};
	if (memory == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a run");
	gm_arena_init(&memory->arena, 16 * 1024);
	return GM_OK;
}

static enum gm_code add_file(struct gm_run_result *result, const struct gm_manifest_file *file, struct gm_error *err)
{
	struct result_memory *memory = result->memory;
	void *grown = gm_grow(memory->files, result->file_count, &memory->file_room, sizeof *memory->files);
	if (grown == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the result");
	memory->files = grown;
	result->files = memory->files;
	struct gm_partition_value *values;
	struct gm_file *to = &memory->files[result->file_count];
	*to = (struct gm_file){.path = gm_arena_strndup(&memory->arena, file->path, strlen(file->path)),
	                       .rows = file->rows,
	                       .bytes = file->bytes};
	if (to->path == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the result");
	GM_TRY(gm_partition_parse(file->partition, strlen(file->partition), &memory->arena, &values, &to->partition_count,
	                          err));
	to->partition = values;
	result->file_count++;
	return GM_OK;
}

static enum gm_code add_object(struct gm_run_result *result, const struct gm_object_balance *object,
                               struct gm_error *err)
{
	struct result_memory *memory = result->memory;
	void *grown = gm_grow(memory->objects, result->object_count, &memory->object_room, sizeof *memory->objects);
	if (grown == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the result");
	memory->objects = grown;
	result->objects = memory->objects;
	memory->objects[result->object_count] = (struct gm_object_balance){
	    .key = gm_arena_strndup(&memory->arena, object->key, strlen(object->key)), .balance = object->balance};
	if (memory->objects[result->object_count].key == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the result");
	result->object_count++;
	gm_balance_add(&result->total, &object->balance);
	return GM_OK;
}

enum gm_code gm_result_add_books(struct gm_run_result *result, const struct gm_manifest *manifests, size_t count,
                                 struct gm_error *err)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < manifests[i].object_count; k++)
			GM_TRY(add_object(result, &manifests[i].objects[k], err));
	result->inputs = result->object_count;
	return GM_OK;
}

enum gm_code gm_result_add_refused(struct gm_run_result *result, const struct gm_manifest *manifests, size_t count,
                                   struct gm_error *err)
{
	size_t before = result->object_count;
	enum gm_code rc = gm_result_add_books(result, manifests, count, err);
	for (size_t i = before; i < result->object_count; i++)
		gm_balance_add(&result->refused, &result->objects[i].balance);
	result->refused_inputs += result->object_count - before;
	return rc;
}

enum gm_code gm_result_add_files(struct gm_run_result *result, const struct gm_manifest *manifests, size_t count,
                                 struct gm_error *err)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < manifests[i].file_count; k++)
			if (manifests[i].files[k].partition != NULL) GM_TRY(add_file(result, &manifests[i].files[k], err));
	return GM_OK;
}

void gm_result_add_run(struct gm_run_result *result, uint64_t run)
{
	if (result->run_count < sizeof result->runs / sizeof result->runs[0]) result->runs[result->run_count] = run;
	result->run_count++;
	result->committed = true;
}

void gm_result_add_requests(struct gm_run_result *result, struct gm_store *store)
{
	struct gm_store_counts counts = {0};
	struct gm_requests *requests = &result->requests;
	if (store == NULL || !gm_store_is_remote(store)) return;
	gm_store_add_counts(store, &counts);
	result->remote = true;
	requests->list += counts.list;
	requests->get += counts.get;
	requests->head += counts.head;
	requests->put += counts.put;
	requests->delete_ += counts.delete_;
	requests->multipart += counts.multipart;
	requests->other += counts.other;
	requests->retries += counts.retries;
	requests->bytes_in += counts.bytes_in;
	requests->bytes_out += counts.bytes_out;
}

void gm_run_result_clear(struct gm_run_result *result)
{
	struct result_memory *memory = result->memory;
	if (memory != NULL) {
		gm_arena_release(&memory->arena);
		free(memory->files);
		free(memory->objects);
		free(memory);
	}
	*result = (struct gm_run_result){0};
}
