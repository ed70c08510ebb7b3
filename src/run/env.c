/* env.c - what a call of the public interface works with: the job's stores, a clock, a place for spill files. */
#include "run/runner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

static const uint64_t default_memory_bytes = (uint64_t)256 << 20;
static const uint64_t worker_bytes = (uint64_t)40 << 20;
static const uint64_t least_memory_bytes = (uint64_t)32 << 20;

enum gm_code gm_run_check_options(struct gm_run_options *options, struct gm_error *err)
{
	if (options->threads <= 0) {
		long processors = sysconf(_SC_NPROCESSORS_ONLN);
		options->threads = processors < 1 ? 1 : processors > 256 ? 256 : (int)processors;
	}
	if (options->memory_bytes == 0) options->memory_bytes = default_memory_bytes;
	/* A worker's windows and scratch do not shrink with the budget: a small one gets fewer workers. */
	uint64_t most = options->memory_bytes / worker_bytes;
	if (most < (uint64_t)options->threads) options->threads = most < 1 ? 1 : (int)most;
	if (options->memory_bytes >= least_memory_bytes) return GM_OK;
	(void)gm_error_set(err, GM_USAGE, "%" PRIu64 " bytes of memory are too few", options->memory_bytes);
	return gm_error_hint(err, GM_USAGE, "give at least 32M");
}

static bool is_inside(const char *path, const char *folder)
{
	size_t n = strlen(folder);
	return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0' || (n > 0 && folder[n - 1] == '/'));
}

/* A table below its own source would be read as input; a source below its table would be taken for data. */
static enum gm_code check_apart(const struct gm_job *job, struct gm_error *err)
{
	char *source = gm_store_canonical(job->source.location), *table = gm_store_canonical(job->table.location);
	bool known = source != NULL && table != NULL;
	bool nested = known && (is_inside(source, table) || is_inside(table, source));
	free(source);
	free(table);
	if (!known) GM_FAIL(err, GM_NOMEM, "out of memory for the paths of source and table");
	if (!nested) return GM_OK;
	(void)gm_error_set(err, GM_USAGE, "source and table must not lie one inside the other");
	return gm_error_object(err, GM_USAGE, job->table.location, strlen(job->table.location));
}

static int64_t wall_clock_us(void *context)
{
	struct timespec now;
	(void)context;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static enum gm_code open_stores(struct gm_run_env *env, const struct gm_job *job, unsigned wanted, struct gm_error *err)
{
	if ((wanted & GM_ENV_SOURCE) != 0) GM_TRY(gm_store_open(job->source.location, NULL, false, &env->source, err));
	enum gm_code rc = gm_store_open(job->table.location, NULL, (wanted & GM_ENV_CREATE) != 0, &env->table, err);
	if (rc == GM_NOT_FOUND && (wanted & GM_ENV_TABLE) == 0) rc = GM_OK;
	GM_TRY(rc);
	return check_apart(job, err);
}

static enum gm_code name_scratch(struct gm_opened *opened, unsigned wanted, struct gm_error *err)
{
	const struct gm_store *table = opened->env.table;
	int n;
	if (table != NULL && (wanted & (GM_ENV_CREATE | GM_ENV_TABLE)) != 0)
		n = snprintf(opened->scratch, sizeof opened->scratch, "%s/_gristmill", table->location);
	else
		n = snprintf(opened->scratch, sizeof opened->scratch, "/var/tmp");
	if (n >= (int)sizeof opened->scratch) GM_FAIL(err, GM_USAGE, "the table's path is too long");
	return GM_OK;
}

enum gm_code gm_env_open(struct gm_opened *opened, const struct gm_job *job, unsigned wanted, struct gm_error *err)
{
	*opened = (struct gm_opened){.env = {.engine_id = gm_engine_id(), .now_us = wall_clock_us}};
	opened->env.scratch = opened->scratch;
	GM_TRY(open_stores(&opened->env, job, wanted, err));
	return name_scratch(opened, wanted, err);
}

void gm_env_close(struct gm_opened *opened)
{
	gm_store_close(opened->env.source);
	gm_store_close(opened->env.table);
	opened->env.source = opened->env.table = NULL;
}
