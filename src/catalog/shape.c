#include "catalog/shape.h"

#include "base/hive.h"
#include "base/json_text.h"
#include "catalog/projection.h"
#include "table/delta.h"

#include <stdlib.h>
#include <string.h>

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the table's description");
}

static const char *copy(struct gm_shape *shape, const char *text)
{
	return gm_arena_strndup(&shape->arena, text, strlen(text));
}

/* ASCII alone, as the engines do it that compare bytes. */
static const char *lower(struct gm_shape *shape, const char *text)
{
	char *out = gm_arena_strndup(&shape->arena, text, strlen(text));
	for (char *at = out; at != NULL && *at != '\0'; at++)
		if (*at >= 'A' && *at <= 'Z') *at = (char)(*at - 'A' + 'a');
	return out;
}

/* --- Columns ------------------------------------------------------------------------------------------------------ */

static const struct gm_column *job_column(const struct gm_job *job, const char *name)
{
	for (size_t i = 0; i < job->column_count; i++)
		if (strcmp(job->columns[i].name, name) == 0) return &job->columns[i];
	for (size_t i = 0; i < job->table.partition_count; i++)
		if (strcmp(job->table.partitions[i].name, name) == 0) return &job->table.partitions[i];
	return NULL;
}

/* No run would write with that job: what it says of the table is not to be told to others. */
static enum gm_code check_type(const struct gm_column *of_job, const struct gm_delta_column *column,
                               struct gm_error *err)
{
	const char *wanted = gm_type_name(of_job->type);
	if (strcmp(column->hive_type, wanted) == 0) return GM_OK;
	(void)gm_error_set(err, GM_UNSUPPORTED, "the column %s is %s in the table and %s in the job",
	                   gm_catalog_show(column->name).text, column->hive_type, wanted);
	return gm_error_hint(err, GM_UNSUPPORTED, "write to another table, or give the column another name");
}

/* The job's comment goes before the log's, which the next run will replace by it. */
static enum gm_code take_column(struct gm_shape *shape, const struct gm_job *job, const struct gm_delta_column *column,
                                struct gm_shape_column *out, struct gm_error *err)
{
	const struct gm_column *of_job = job_column(job, column->name);
	if (of_job != NULL) GM_TRY(check_type(of_job, column, err));
	bool told = of_job != NULL && of_job->comment[0] != '\0';
	*out = (struct gm_shape_column){.name = lower(shape, column->name),
	                                .spelt = copy(shape, column->name),
	                                .comment = copy(shape, told ? of_job->comment : column->comment),
	                                .type = column->type,
	                                .ours = column->ours,
	                                .hive_type = copy(shape, column->hive_type)};
	bool whole = out->name != NULL && out->spelt != NULL && out->comment != NULL && out->hive_type != NULL;
	return whole ? GM_OK : out_of_memory(err);
}

static const struct gm_delta_column *find_column(const struct gm_delta_column *columns, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(columns[i].name, name) == 0) return &columns[i];
	return NULL;
}

static bool is_named(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0) return true;
	return false;
}

static enum gm_code check_names(const struct gm_shape *shape, struct gm_error *err)
{
	size_t all = shape->column_count + shape->partition_column_count;
	for (size_t i = 0; i < all; i++)
		for (size_t k = 0; k < i; k++) {
			const struct gm_shape_column *a = &shape->columns[i], *b = &shape->columns[k];
			if (strcmp(a->name, b->name) != 0) continue;
			(void)gm_error_set(err, GM_UNSUPPORTED, "the table's columns %s and %s differ in case alone",
			                   gm_catalog_show(b->spelt).text, gm_catalog_show(a->spelt).text);
			return gm_error_hint(err, GM_UNSUPPORTED, "no catalog can hold both: rename one of them");
		}
	return GM_OK;
}

/* The columns in their order, then the partition columns in theirs, in one array. */
static enum gm_code take_columns(struct gm_shape *shape, const struct gm_job *job,
                                 const struct gm_delta_column *columns, size_t count, const char *const *partitions,
                                 size_t partition_count, struct gm_error *err)
{
	struct gm_shape_column *out = gm_arena_zalloc(&shape->arena, (count + partition_count + 1) * sizeof *out);
	if (out == NULL) return out_of_memory(err);
	shape->columns = out;
	for (size_t i = 0; i < count; i++) {
		if (is_named(partitions, partition_count, columns[i].name)) continue;
		if (columns[i].hive_type == NULL)
			shape->left_out++;
		else
			GM_TRY(take_column(shape, job, &columns[i], &out[shape->column_count++], err));
	}
	shape->partition_columns = &out[shape->column_count];
	for (size_t i = 0; i < partition_count; i++) {
		const struct gm_delta_column *column = find_column(columns, count, partitions[i]);
		if (column == NULL || column->hive_type == NULL)
			GM_FAIL(err, GM_CORRUPT, "the table's partition column %s has no type in its schema",
			        gm_catalog_show(partitions[i]).text);
		GM_TRY(take_column(shape, job, column, &shape->partition_columns[i], err));
		shape->partition_column_count = i + 1;
	}
	return check_names(shape, err);
}

static struct gm_delta_column of_job(const struct gm_column *column)
{
	return (struct gm_delta_column){.name = column->name,
	                                .comment = column->comment,
	                                .ours = true,
	                                .type = column->type,
	                                .hive_type = gm_type_name(column->type)};
}

static enum gm_code take_job_columns(struct gm_shape *shape, const struct gm_job *job, struct gm_error *err)
{
	size_t partitions = job->table.partition_count, all = job->column_count + partitions;
	struct gm_delta_column *columns = gm_arena_alloc(&shape->arena, (all + 1) * sizeof *columns);
	const char **names = gm_arena_alloc(&shape->arena, (partitions + 1) * sizeof *names);
	if (columns == NULL || names == NULL) return out_of_memory(err);
	for (size_t i = 0; i < job->column_count; i++) columns[i] = of_job(&job->columns[i]);
	for (size_t i = 0; i < partitions; i++) {
		columns[job->column_count + i] = of_job(&job->table.partitions[i]);
		names[i] = job->table.partitions[i].name;
	}
	return take_columns(shape, job, columns, all, names, partitions, err);
}

/* --- Partitions --------------------------------------------------------------------------------------------------- */

struct partitions {
	struct gm_shape *shape;
	struct gm_shape_partition *list;
	size_t room;
};

/* Does the file lie where whoever lists the partition's folder looks for it? */
static bool is_in_folder(const char *path, const char *partition)
{
	size_t n = strlen(partition);
	if (strncmp(path, partition, n) != 0) return false;
	if (n > 0 && path[n++] != '/') return false;
	return strchr(path + n, '/') == NULL && path[n] != '_' && path[n] != '.';
}

static enum gm_code take_partition(void *context, const char *path, const struct gm_delta_file *files, size_t count,
                                   struct gm_error *err)
{
	struct partitions *partitions = context;
	struct gm_shape *shape = partitions->shape;
	struct gm_partition_value *values;
	size_t value_count;
	void *grown = gm_grow(partitions->list, shape->partition_count, &partitions->room, sizeof *partitions->list);
	if (grown == NULL) return out_of_memory(err);
	partitions->list = grown;
	GM_TRY(gm_partition_parse(path, strlen(path), &shape->arena, &values, &value_count, err));
	if (value_count != shape->partition_column_count)
		GM_FAIL(err, GM_CORRUPT, "a partition has %zu values, and the table %zu partition columns", value_count,
		        shape->partition_column_count);
	struct gm_shape_partition *partition = &partitions->list[shape->partition_count];
	*partition = (struct gm_shape_partition){.path = copy(shape, path), .values = values, .files = count};
	if (partition->path == NULL) return out_of_memory(err);
	for (size_t i = 0; i < count; i++) {
		partition->bytes += files[i].bytes;
		shape->misplaced += !is_in_folder(files[i].path, path);
	}
	shape->files += count;
	shape->bytes += partition->bytes;
	shape->partition_count++;
	return GM_OK;
}

static int compare_partitions(const void *a, const void *b)
{
	return strcmp(((const struct gm_shape_partition *)a)->path, ((const struct gm_shape_partition *)b)->path);
}

static enum gm_code take_partitions(struct gm_shape *shape, const struct gm_delta_log *log, struct gm_error *err)
{
	struct partitions partitions = {.shape = shape};
	enum gm_code rc = gm_delta_each_partition(log, take_partition, &partitions, err);
	size_t bytes = shape->partition_count * sizeof *partitions.list;
	if (rc == GM_OK && bytes > 0) {
		qsort(partitions.list, shape->partition_count, sizeof *partitions.list, compare_partitions);
		shape->partitions = gm_arena_alloc(&shape->arena, bytes);
		if (shape->partitions != NULL)
			memcpy(shape->partitions, partitions.list, bytes);
		else
			rc = out_of_memory(err);
	}
	free(partitions.list);
	return rc;
}

/* A file that does not tell how many rows it has is no failure: its statistics are another writer's affair. */
static enum gm_code count_rows(void *context, const struct gm_delta_file *file, struct gm_error *err)
{
	struct gm_shape *shape = context;
	const struct gm_shape_partition wanted = {.path = file->partition};
	struct gm_shape_partition *partition =
	    bsearch(&wanted, shape->partitions, shape->partition_count, sizeof *shape->partitions, compare_partitions);
	json_t *stats = NULL;
	enum gm_code rc =
	    file->stats != NULL ? gm_json_parse(file->stats, strlen(file->stats), JSON_ALLOW_NUL, &stats, err) : GM_OK;
	if (rc == GM_NOMEM) return rc;
	const json_t *rows = json_object_get(stats, "numRecords");
	bool known = partition != NULL && json_is_integer(rows) && json_integer_value(rows) >= 0;
	if (known) partition->rows += (uint64_t)json_integer_value(rows);
	if (known) shape->rows += (uint64_t)json_integer_value(rows);
	shape->rows_unknown += !known;
	json_decref(stats);
	return GM_OK;
}

/* --- The shape ---------------------------------------------------------------------------------------------------- */

static enum gm_code take_log(struct gm_shape *shape, const struct gm_job *job, const struct gm_delta_log *log,
                             bool rows, struct gm_error *err)
{
	const struct gm_delta_metadata *metadata = gm_delta_metadata(log);
	struct gm_delta_column *columns;
	size_t count;
	shape->version = gm_delta_version(log);
	if (shape->comment[0] == '\0') shape->comment = copy(shape, metadata->description);
	if (shape->comment == NULL) return out_of_memory(err);
	GM_TRY(gm_delta_columns(metadata, &shape->arena, &columns, &count, err));
	GM_TRY(take_columns(shape, job, columns, count, metadata->partition_columns, metadata->partition_count, err));
	GM_TRY(take_partitions(shape, log, err));
	return rows ? gm_delta_each_file(log, count_rows, shape, err) : GM_OK;
}

static enum gm_code name_table(struct gm_shape *shape, const struct gm_job *job, struct gm_error *err)
{
	char *canonical = gm_store_canonical(job->table.location);
	if (canonical == NULL) return out_of_memory(err);
	size_t n = strlen(canonical);
	shape->location = gm_arena_printf(&shape->arena, "%s%s", canonical, canonical[n - 1] == '/' ? "" : "/");
	free(canonical);
	shape->database = lower(shape, job->table.database);
	shape->name = lower(shape, job->table.name);
	shape->comment = copy(shape, job->table.comment);
	bool whole = shape->location != NULL && shape->database != NULL && shape->name != NULL && shape->comment != NULL;
	return whole ? GM_OK : out_of_memory(err);
}

enum gm_code gm_shape_read(const struct gm_job *job, struct gm_store *table, bool rows, size_t memory_bytes,
                           struct gm_shape *out, struct gm_error *err)
{
	struct gm_delta_log *log = NULL;
	*out = (struct gm_shape){.version = -1, .unprojectable = "", .note = ""};
	gm_arena_init(&out->arena, 64 << 10);
	GM_TRY(name_table(out, job, err));
	enum gm_code rc = table != NULL ? gm_delta_open(table, GM_DELTA_NEWEST, memory_bytes, &log, err) : GM_NOT_FOUND;
	if (rc == GM_NOT_FOUND)
		rc = take_job_columns(out, job, err);
	else if (rc == GM_OK)
		rc = take_log(out, job, log, rows, err);
	gm_delta_free(log);
	GM_TRY(rc);
	return gm_projection_find(job, out, err);
}

void gm_shape_release(struct gm_shape *shape)
{
	gm_arena_release(&shape->arena);
}
