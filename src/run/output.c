#include "run/output.h"

#include "base/stopwatch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct gm_output {
	struct gm_staged *staged;
	struct gm_store *table;
	struct gm_parquet_writer *writer;
	char *path;
	XXH3_state_t *hash;
	uint64_t bytes;
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for an output file");
}

static enum gm_code sink_nothing(void *context, const void *data, size_t bytes, struct gm_error *err)
{
	(void)context, (void)data, (void)bytes, (void)err;
	return GM_OK;
}

static enum gm_code sink_file(void *context, const void *data, size_t bytes, struct gm_error *err)
{
	struct gm_output *output = context;
	enum gm_stage outer = gm_stage_enter(GM_STAGE_CHECKSUM);
	(void)XXH3_128bits_update(output->hash, data, bytes);
	output->bytes += bytes;
	(void)gm_stage_enter(GM_STAGE_WRITE);
	gm_stage_bytes(GM_STAGE_WRITE, bytes);
	enum gm_code rc =
	    output->table != NULL ? gm_store_stage_append(output->table, output->staged, data, bytes, err) : GM_OK;
	(void)gm_stage_enter(outer);
	return rc;
}

static enum gm_codec codec_of(const struct gm_job *job)
{
	switch (job->table.compression) {
	case GM_COMPRESSION_SNAPPY: return GM_CODEC_SNAPPY;
	case GM_COMPRESSION_NONE: return GM_CODEC_NONE;
	default: return GM_CODEC_ZSTD;
	}
}

static const char *extension_of(const struct gm_job *job)
{
	switch (job->table.compression) {
	case GM_COMPRESSION_SNAPPY: return ".snappy.parquet";
	case GM_COMPRESSION_NONE: return ".parquet";
	default: return ".zstd.parquet";
	}
}

enum gm_code gm_outputs_init(struct gm_outputs *outputs, const struct gm_output_plan *plan, struct gm_error *err)
{
	const struct gm_job *job = plan->job;
	*outputs = (struct gm_outputs){.plan = plan, .node_count = job->column_count};
	gm_arena_init(&outputs->arena, 16 * 1024);
	if (pthread_mutex_init(&outputs->lock, NULL) != 0) return out_of_memory(err);
	outputs->nodes = gm_arena_zalloc(&outputs->arena, job->column_count * sizeof *outputs->nodes);
	if (outputs->nodes == NULL) {
		gm_outputs_release(outputs);
		return out_of_memory(err);
	}
	for (size_t i = 0; i < job->column_count; i++)
		outputs->nodes[i] = (struct gm_parquet_node){.name = job->columns[i].name,
		                                             .repetition = GM_OPTIONAL,
		                                             .type = job->columns[i].type,
		                                             .bloom = gm_job_is_key(job, i)};
	bool compact = job->table.encoding == GM_ENCODING_COMPACT;
	outputs->options = (struct gm_parquet_options){.codec = codec_of(job),
	                                               .level = job->table.compression_level,
	                                               .profile = compact ? GM_PROFILE_COMPACT : GM_PROFILE_STANDARD,
	                                               .page_rows = 20000,
	                                               .page_bytes = 1024 * 1024,
	                                               .dict_bytes = 8 * 1024 * 1024,
	                                               .created_by = gm_created_by()};
	enum gm_code rc = gm_parquet_writer_new(outputs->nodes, outputs->node_count, &outputs->options, sink_nothing, NULL,
	                                        &outputs->model, err);
	if (rc != GM_OK) gm_outputs_release(outputs);
	return rc;
}

void gm_outputs_release(struct gm_outputs *outputs)
{
	gm_parquet_writer_free(outputs->model);
	free(outputs->files);
	gm_arena_release(&outputs->arena);
	(void)pthread_mutex_destroy(&outputs->lock);
}

static void output_free(struct gm_output *output)
{
	if (output == NULL) return;
	if (output->table != NULL) gm_store_stage_abandon(output->table, output->staged);
	gm_parquet_writer_free(output->writer);
	(void)XXH3_freeState(output->hash);
	free(output->path);
	free(output);
}

void gm_output_abandon(struct gm_partition *partition)
{
	output_free(partition->output);
	partition->output = NULL;
}

static char *file_path(const struct gm_output_plan *plan, const struct gm_partition *partition)
{
	char *path = NULL;
	const char *slash = partition->path[0] != '\0' ? "/" : "";
	int n = asprintf(&path, "%s%s%s-%08" PRIu64 "-%05" PRIu64 "-%04" PRIu32 "-%s%s", partition->path, slash, plan->job8,
	                 plan->run, plan->unit, partition->sequence, plan->h16, extension_of(plan->job));
	return n >= 0 ? path : NULL;
}

/* The footer says where the file comes from; the writer adds the content hash. */
static enum gm_code add_meta(struct gm_parquet_writer *writer, const struct gm_output_plan *plan, struct gm_error *err)
{
	char hash[33], run[24], unit[24];
	(void)snprintf(hash, sizeof hash, "%016" PRIx64 "%016" PRIx64, plan->job->hash[1], plan->job->hash[0]);
	(void)snprintf(run, sizeof run, "%" PRIu64, plan->run);
	(void)snprintf(unit, sizeof unit, "%" PRIu64, plan->unit);
	GM_TRY(gm_parquet_writer_meta(writer, "gristmill.job", plan->job->id, err));
	GM_TRY(gm_parquet_writer_meta(writer, "gristmill.job_hash", hash, err));
	GM_TRY(gm_parquet_writer_meta(writer, "gristmill.engine", plan->engine, err));
	GM_TRY(gm_parquet_writer_meta(writer, "gristmill.run", run, err));
	return gm_parquet_writer_meta(writer, "gristmill.unit", unit, err);
}

static enum gm_code open_output(struct gm_outputs *outputs, struct gm_partition *partition, struct gm_error *err)
{
	struct gm_output *output = calloc(1, sizeof *output);
	enum gm_code rc = GM_OK;
	if (output == NULL) return out_of_memory(err);
	output->path = file_path(outputs->plan, partition);
	output->hash = XXH3_createState();
	if (output->path == NULL || output->hash == NULL) {
		rc = out_of_memory(err);
		goto out;
	}
	(void)XXH3_128bits_reset(output->hash);
	GM_TRY_OUT(gm_parquet_writer_new(outputs->nodes, outputs->node_count, &outputs->options, sink_file, output,
	                                 &output->writer, err));
	GM_TRY_OUT(add_meta(output->writer, outputs->plan, err));
	if (outputs->plan->table != NULL) {
		GM_TRY_OUT(
		    gm_store_stage_open(outputs->plan->table, output->path, outputs->plan->work_prefix, &output->staged, err));
		output->table = outputs->plan->table;
	}
	partition->output = output;
	output = NULL;
out:
	output_free(output);
	return rc;
}

/* Values of string bounds live in the writer; they are copied before it goes. */
static const struct gm_parquet_column_stats *copy_stats(struct gm_arena *arena,
                                                        const struct gm_parquet_summary *summary)
{
	struct gm_parquet_column_stats *copy = gm_arena_alloc(arena, summary->column_count * sizeof *copy);
	if (copy == NULL) return NULL;
	memcpy(copy, summary->columns, summary->column_count * sizeof *copy);
	for (size_t i = 0; i < summary->column_count; i++) {
		if (!copy[i].has_bounds || copy[i].min.bytes == NULL) continue;
		copy[i].min.bytes = (uint8_t *)gm_arena_strndup(arena, (const char *)copy[i].min.bytes, copy[i].min.len);
		copy[i].max.bytes = (uint8_t *)gm_arena_strndup(arena, (const char *)copy[i].max.bytes, copy[i].max.len);
		if (copy[i].min.bytes == NULL || copy[i].max.bytes == NULL) return NULL;
	}
	return copy;
}

static enum gm_code record_file(struct gm_outputs *outputs, const struct gm_partition *partition, const char *token,
                                const struct gm_parquet_summary *summary, struct gm_error *err)
{
	const struct gm_output *output = partition->output;
	XXH128_hash_t hash = XXH3_128bits_digest(output->hash);
	struct gm_staged_file *grown = gm_grow(outputs->files, outputs->file_count, &outputs->file_room, sizeof *grown);
	if (grown == NULL) return out_of_memory(err);
	outputs->files = grown;
	struct gm_staged_file *file = &outputs->files[outputs->file_count];
	*file = (struct gm_staged_file){
	    .path = gm_arena_strndup(&outputs->arena, output->path, strlen(output->path)),
	    .partition = gm_arena_strndup(&outputs->arena, partition->path, strlen(partition->path)),
	    .token = gm_arena_strndup(&outputs->arena, token, strlen(token)),
	    .rows = summary->rows,
	    .bytes = output->bytes,
	    .hash = {hash.low64, hash.high64},
	    .content_hash = {summary->content_hash[1], summary->content_hash[0]}, /* there the high half stands first */
	    .columns = copy_stats(&outputs->arena, summary),
	};
	if (file->path == NULL || file->partition == NULL || file->token == NULL || file->columns == NULL)
		return out_of_memory(err);
	outputs->file_count++;
	return GM_OK;
}

static enum gm_code close_output(struct gm_outputs *outputs, struct gm_partition *partition, struct gm_error *err)
{
	struct gm_output *output = partition->output;
	struct gm_parquet_summary summary;
	char token[GM_TOKEN_BYTES] = "";
	GM_TRY(gm_parquet_finish(output->writer, &summary, err));
	if (output->table != NULL) {
		struct gm_staged *staged = output->staged;
		output->staged = NULL;
		enum gm_stage outer = gm_stage_enter(GM_STAGE_SYNC);
		enum gm_code rc = gm_store_stage_finish(output->table, staged, token, err);
		(void)gm_stage_enter(outer);
		GM_TRY(rc);
	}
	(void)pthread_mutex_lock(&outputs->lock);
	enum gm_code rc = record_file(outputs, partition, token, &summary, err);
	(void)pthread_mutex_unlock(&outputs->lock);
	gm_output_abandon(partition);
	partition->sequence++;
	return rc;
}

enum gm_code gm_outputs_append(struct gm_outputs *outputs, struct gm_row_group *group, struct gm_error *err)
{
	struct gm_partition *partition = group->partition;
	if (partition->output == NULL) GM_TRY(open_output(outputs, partition, err));
	struct gm_parquet_writer *writer = partition->output->writer;
	struct gm_parquet_column_chunk **columns = group->columns;
	group->columns = NULL;
	enum gm_code rc = gm_parquet_append(writer, group->rows, columns, err);
	free(columns);
	GM_TRY(rc);
	if (group->last || gm_parquet_bytes(writer) >= outputs->plan->file_bytes)
		return close_output(outputs, partition, err);
	return GM_OK;
}

static int compare_files(const void *a, const void *b)
{
	const struct gm_staged_file *x = a, *y = b;
	return strcmp(x->path, y->path);
}

void gm_outputs_sort(struct gm_outputs *outputs)
{
	if (outputs->file_count > 1) qsort(outputs->files, outputs->file_count, sizeof *outputs->files, compare_files);
}
