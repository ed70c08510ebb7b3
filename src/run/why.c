#include "base/flag.h"
#include "job/load.h"
#include "run/run.h"
#include "run/why_internal.h"

#include <stdlib.h>

static const uint64_t default_memory_bytes = (uint64_t)256 << 20;
static const uint64_t least_memory_bytes = (uint64_t)32 << 20;
static const uint64_t program_bytes = (uint64_t)20 << 20;
static const double tell_seconds = 0.1;
static const char secret_key[] = "_gristmill/hash-key";

enum { LOG_SHARE = 4 }; /* of memory */

static const struct {
	const char *name, *text;
} fates[] = {
#define X(name, text) {#name, text},
    GM_ARRIVALS(X)
#undef X
};

const char *gm_arrival_name(enum gm_arrival_fate fate)
{
	return (size_t)fate < sizeof fates / sizeof fates[0] ? fates[fate].name : "UNKNOWN";
}

const char *gm_arrival_text(enum gm_arrival_fate fate)
{
	return (size_t)fate < sizeof fates / sizeof fates[0] ? fates[fate].text : "unknown";
}

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for looking for a key");
}

/* --- Progress ----------------------------------------------------------------------------------------------------- */

static double seconds_since(const struct timespec *start)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

enum gm_code gm_why_pulse(struct gm_why *why, struct gm_error *err)
{
	if (gm_flag_is_set(why->options->stop)) GM_FAIL(err, GM_INTERRUPTED, "stopped before the key was found everywhere");
	if (why->options->progress == NULL || seconds_since(&why->told) < tell_seconds) return GM_OK;
	(void)clock_gettime(CLOCK_MONOTONIC, &why->told);
	struct gm_progress progress = {.phase = why->phase,
	                               .objects_done = why->objects_done,
	                               .objects = why->objects,
	                               .seconds = seconds_since(&why->start)};
	why->options->progress(why->options->context, &progress);
	return GM_OK;
}

static void begin_phase(struct gm_why *why, const char *phase)
{
	why->phase = phase;
	why->objects_done = why->objects = 0;
}

/* --- The key ------------------------------------------------------------------------------------------------------ */

/* A text as a value of a column, in a vec of one row. */
static enum gm_code read_value(struct gm_why *why, const struct gm_column *column, const char *text, struct gm_vec *vec,
                               struct gm_error *err)
{
	struct gm_column value = *column;
	value.fallback = text;
	value.fallback_bytes = strlen(text);
	if (!gm_load_fallback(&value)) {
		bool timed = column->type == GM_TYPE_DATE || column->type == GM_TYPE_TIMESTAMP;
		(void)gm_error_set(err, GM_USAGE, "'%.100s' is no %s, which column %s of the key is", text,
		                   gm_type_name(column->type), column->name);
		if (!timed) return GM_USAGE;
		return gm_error_hint(err, GM_USAGE, "it is written 2024-03-10%s",
		                     column->type == GM_TYPE_DATE ? "" : "T22:00:00Z");
	}
	void *data = gm_arena_zalloc(why->arena, value.fallback_bytes + 16);
	uint32_t *ends = gm_arena_alloc(why->arena, sizeof *ends);
	if (data == NULL || ends == NULL) return out_of_memory(err);
	*vec = (struct gm_vec){.type = column->type, .repr = GM_REPR_I64, .i64 = data};
	switch (column->type) {
	case GM_TYPE_STRING:
		vec->repr = GM_REPR_PLAIN;
		memcpy(data, text, value.fallback_bytes);
		*ends = (uint32_t)value.fallback_bytes;
		vec->bytes = data;
		vec->ends = ends;
		return GM_OK;
	case GM_TYPE_DOUBLE:
		vec->repr = GM_REPR_F64;
		vec->f64 = data;
		*vec->f64 = value.fallback_value.f64;
		return GM_OK;
	case GM_TYPE_BOOLEAN:
		vec->repr = GM_REPR_BOOL;
		vec->boolean = data;
		*vec->boolean = value.fallback_value.i64 != 0;
		return GM_OK;
	default: *vec->i64 = value.fallback_value.i64; return GM_OK;
	}
}

static enum gm_code check_count(const struct gm_why *why, struct gm_error *err)
{
	const struct gm_job *job = why->job;
	if (job->table.unique_count == 0) {
		(void)gm_error_set(err, GM_USAGE, "the job has no unique_by, so its rows have no key");
		return gm_error_object(err, GM_USAGE, job->path, strlen(job->path));
	}
	if (why->options->key_count == job->table.unique_count) return GM_OK;
	GM_FAIL(err, GM_USAGE, "the key has %zu columns, the first is %s; %zu values were given", job->table.unique_count,
	        job->columns[job->table.unique_by[0]].name, why->options->key_count);
}

static enum gm_code read_secret(const struct gm_why *why, uint8_t secret[GM_KEY_SECRET_BYTES], struct gm_error *err)
{
	size_t got;
	enum gm_code rc = gm_store_read(why->table, secret_key, 0, secret, GM_KEY_SECRET_BYTES, &got, err);
	if (rc == GM_OK && got == GM_KEY_SECRET_BYTES) return GM_OK;
	if (rc != GM_OK && rc != GM_NOT_FOUND) return rc;
	(void)gm_error_set(err, GM_CORRUPT, "the table's hash key is gone, or cut short");
	return gm_error_object(err, GM_CORRUPT, secret_key, sizeof secret_key - 1);
}

static enum gm_code read_key(struct gm_why *why, struct gm_error *err)
{
	uint8_t secret[GM_KEY_SECRET_BYTES], no_key;
	const struct gm_job *job = why->job;
	size_t count = job->table.unique_count;
	why->key_count = count;
	why->columns = gm_arena_alloc(why->arena, (count + 1) * sizeof *why->columns);
	why->key = gm_arena_alloc(why->arena, (count + 1) * sizeof *why->key);
	struct gm_vec *vecs = gm_arena_alloc(why->arena, (count + 1) * sizeof *vecs);
	if (why->columns == NULL || why->key == NULL || vecs == NULL) return out_of_memory(err);
	for (size_t i = 0; i < count; i++) {
		const struct gm_column *column = &job->columns[job->table.unique_by[i]];
		why->columns[i] = (struct gm_rows_column){column->name, column->type};
		why->key[i] = (struct gm_vec_rows){&vecs[i], 0};
		GM_TRY(read_value(why, column, why->options->key[i], &vecs[i], err));
	}
	GM_TRY(read_secret(why, secret, err));
	enum gm_code rc = gm_key_hasher_new(secret, NULL, count, &why->hasher, err);
	explicit_bzero(secret, sizeof secret);
	GM_TRY(rc);
	gm_key_hasher_rows(why->hasher, why->key, 1, (struct gm_hash128){0}, &why->hash, &no_key);
	if (no_key == 0) return GM_OK;
	GM_FAIL(err, GM_USAGE, "a key with an empty part is none: such rows are never duplicates");
}

bool gm_why_compare(struct gm_why *why, const struct gm_vec_rows *columns, uint32_t rows)
{
	bool any = false;
	gm_key_hasher_rows(why->hasher, columns, rows, (struct gm_hash128){0}, why->hashes, why->match);
	for (uint32_t row = 0; row < rows; row++) {
		const struct gm_hash128 *hash = &why->hashes[row];
		why->match[row] = why->match[row] == 0 && hash->low == why->hash.low && hash->high == why->hash.high;
		any |= why->match[row] != 0;
	}
	return any;
}

/* --- What was found ----------------------------------------------------------------------------------------------- */

enum gm_code gm_why_keep(struct gm_why *why, const char *text, size_t bytes, const char **out, struct gm_error *err)
{
	*out = gm_arena_strndup(why->arena, text, bytes);
	return *out != NULL ? GM_OK : out_of_memory(err);
}

enum gm_code gm_why_find(struct gm_why *why, const char *object, uint64_t record, struct gm_why_found **out,
                         struct gm_error *err)
{
	for (size_t i = 0; i < why->found_count; i++) {
		*out = &why->found[i];
		if ((*out)->arrival.record == record && strcmp((*out)->arrival.object, object) == 0) return GM_OK;
	}
	*out = NULL;
	if (why->found_count == GM_WHY_ARRIVALS) {
		why->result->more++;
		return GM_OK;
	}
	struct gm_why_found *found = &why->found[why->found_count];
	*found = (struct gm_why_found){.arrival = {.record = record, .offset = UINT64_MAX, .partition = "", .detail = ""}};
	GM_TRY(gm_why_keep(why, object, strlen(object), &found->arrival.object, err));
	why->found_count++;
	*out = found;
	return GM_OK;
}

/* By run, those that are not processed last; then in plan order, which is that of names. */
static int compare_arrivals(const void *a, const void *b)
{
	const struct gm_why_arrival *x = a, *y = b;
	if (x->run != y->run) return x->run - 1 < y->run - 1 ? -1 : 1; /* 0 becomes the largest */
	int order = strcmp(x->object, y->object);
	return order != 0 ? order : x->record < y->record ? -1 : x->record > y->record;
}

static enum gm_code give_result(struct gm_why *why, struct gm_error *err)
{
	struct gm_why_row *rows = gm_arena_alloc(why->arena, (why->row_count + 1) * sizeof *rows);
	struct gm_why_arrival *arrivals = gm_arena_alloc(why->arena, (why->found_count + 1) * sizeof *arrivals);
	if (rows == NULL || arrivals == NULL) return out_of_memory(err);
	memcpy(rows, why->rows, why->row_count * sizeof *rows);
	for (size_t i = 0; i < why->found_count; i++) arrivals[i] = why->found[i].arrival;
	if (why->found_count > 1) qsort(arrivals, why->found_count, sizeof *arrivals, compare_arrivals);
	why->result->rows = rows;
	why->result->row_count = why->row_count;
	why->result->arrivals = arrivals;
	why->result->arrival_count = why->found_count;
	return GM_OK;
}

void gm_why_result_clear(struct gm_why_result *result)
{
	if (result->memory != NULL) gm_arena_release(result->memory);
	free(result->memory);
	*result = (struct gm_why_result){0};
}

/* --- The call ----------------------------------------------------------------------------------------------------- */

static enum gm_code look(struct gm_why *why, struct gm_error *err)
{
	struct gm_why_scan *scan = NULL;
	GM_TRY(gm_layout_init(&why->layout, why->job->id, err));
	GM_TRY(gm_history_load(why->table, why->job->id, why->memory_bytes / LOG_SHARE, NULL, &why->history, err));
	begin_phase(why, "rows");
	GM_TRY(gm_why_find_rows(why, err));
	GM_TRY(gm_why_scan_new(why, &scan, err));
	begin_phase(why, "runs");
	enum gm_code rc = gm_why_find_kept(why, scan, err);
	begin_phase(why, "objects");
	if (rc == GM_OK) rc = gm_why_find_arrivals(why, scan, err);
	if (rc == GM_OK && (why->options->all || why->row_count == 0)) rc = gm_why_find_everywhere(why, scan, err);
	gm_why_scan_free(scan);
	return rc == GM_OK ? give_result(why, err) : rc;
}

static enum gm_code check_options(struct gm_why *why, struct gm_error *err)
{
	uint64_t memory = why->options->memory_bytes > 0 ? why->options->memory_bytes : default_memory_bytes;
	GM_TRY(check_count(why, err));
	why->memory_bytes = (size_t)(memory - program_bytes);
	if (memory >= least_memory_bytes) return GM_OK;
	(void)gm_error_set(err, GM_USAGE, "%llu bytes of memory are too few", (unsigned long long)memory);
	return gm_error_hint(err, GM_USAGE, "give at least 32M");
}

static enum gm_code look_on(struct gm_why *why, struct gm_error *err)
{
	struct gm_opened opened;
	GM_TRY(check_options(why, err));
	enum gm_code rc = gm_env_open(&opened, why->job, NULL, GM_ENV_SOURCE | GM_ENV_TABLE, err);
	why->table = opened.env.table;
	why->source = opened.env.source;
	if (rc == GM_OK) rc = read_key(why, err);
	if (rc == GM_OK) rc = look(why, err);
	gm_history_release(&why->history);
	gm_key_hasher_free(why->hasher);
	gm_env_close(&opened);
	return rc;
}

enum gm_code gm_why(const struct gm_job *job, const struct gm_why_options *options, struct gm_why_result *result,
                    struct gm_error *err)
{
	struct gm_why *why = calloc(1, sizeof *why);
	*result = (struct gm_why_result){.memory = calloc(1, sizeof(struct gm_arena))};
	if (why == NULL || result->memory == NULL) {
		free(why);
		return out_of_memory(err);
	}
	why->job = job;
	why->options = options;
	why->result = result;
	why->arena = result->memory;
	gm_arena_init(why->arena, 16 * 1024);
	(void)clock_gettime(CLOCK_MONOTONIC, &why->start);
	enum gm_code rc = look_on(why, err);
	result->seconds = seconds_since(&why->start);
	free(why);
	return rc;
}
