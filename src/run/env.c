/* env.c - what a call of the public interface works with: the job's stores, a clock, a place for spill files. */
#include "base/clock.h"
#include "run/runner.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STORE_SHARE = 32 }; /* of memory, for each store that is far away */
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

int64_t gm_env_wall_clock_us(void *unused)
{
	(void)unused;
	return gm_clock_wall_us();
}

/* --- Stores ------------------------------------------------------------------------------------------------------- */

/* What a store that is far away may hold of objects on their way: its share of the memory. */
static uint64_t store_share(const struct gm_run_options *options)
{
	uint64_t memory = options != NULL && options->memory_bytes > 0 ? options->memory_bytes : default_memory_bytes;
	return memory / STORE_SHARE;
}

uint64_t gm_env_memory_bytes(const struct gm_run_env *env, const struct gm_run_options *options)
{
	uint64_t bytes = 0;
	if (env->source != NULL && gm_store_is_remote(env->source)) bytes += store_share(options);
	if (env->table != NULL && gm_store_is_remote(env->table)) bytes += store_share(options);
	return bytes;
}

static const char *scratch_of(const struct gm_run_options *options)
{
	const char *temporary = getenv("TMPDIR");
	if (options != NULL && options->scratch != NULL) return options->scratch;
	return temporary != NULL && temporary[0] != '\0' ? temporary : "/var/tmp";
}

enum gm_code gm_env_open_store(const char *location, const struct gm_job_access *access,
                               const struct gm_run_options *options, bool create, struct gm_store **out,
                               struct gm_error *err)
{
	static const int styles[] = {[GM_PATH_STYLE_AUTO] = -1, [GM_PATH_STYLE_TRUE] = 1, [GM_PATH_STYLE_FALSE] = 0};
	static const char *const encryptions[] = {[GM_ENCRYPTION_BUCKET] = NULL,
	                                          [GM_ENCRYPTION_NONE] = "none",
	                                          [GM_ENCRYPTION_AES256] = "AES256",
	                                          [GM_ENCRYPTION_KMS] = "aws:kms"};
	static const struct gm_job_access nothing_said;
	if (access == NULL) access = &nothing_said;
	const struct gm_store_options store = {.profile = access->profile,
	                                       .region = access->region,
	                                       .endpoint = access->endpoint,
	                                       .encryption = encryptions[access->encryption],
	                                       .kms_key = access->kms_key,
	                                       .ca_file = access->ca_file,
	                                       .requester_pays = access->requester_pays,
	                                       .version_ids = access->version_ids,
	                                       .single_writer = access->single_writer,
	                                       .path_style = styles[access->path_style],
	                                       .timeout_us = access->timeout_us,
	                                       .leaving = options != NULL ? options->stop : NULL,
	                                       .memory_bytes = store_share(options),
	                                       .scratch = scratch_of(options)};
	return gm_store_open(location, &store, create, out, err);
}

static enum gm_code open_stores(struct gm_run_env *env, const struct gm_job *job, const struct gm_run_options *options,
                                unsigned wanted, struct gm_error *err)
{
	if ((wanted & GM_ENV_SOURCE) != 0)
		GM_TRY(gm_env_open_store(job->source.location, &job->source.access, options, false, &env->source, err));
	bool create = (wanted & GM_ENV_CREATE) != 0;
	enum gm_code rc = gm_env_open_store(job->table.location, &job->table.access, options, create, &env->table, err);
	if (rc == GM_NOT_FOUND && (wanted & (GM_ENV_TABLE | GM_ENV_CREATE)) == 0) rc = GM_OK;
	GM_TRY(rc);
	return check_apart(job, err);
}

/* Beside a table that is a directory and written to, where there is room for what a run makes; else where the user or
 * the system keeps what is temporary. */
static enum gm_code name_scratch(struct gm_opened *opened, const struct gm_run_options *options, unsigned wanted,
                                 struct gm_error *err)
{
	const struct gm_store *table = opened->env.table;
	bool given = options != NULL && options->scratch != NULL;
	bool writes = table != NULL && (wanted & (GM_ENV_CREATE | GM_ENV_TABLE)) != 0;
	int n;
	if (!given && writes && !gm_store_is_remote(table))
		n = snprintf(opened->scratch, sizeof opened->scratch, "%s/_gristmill", table->location);
	else if (!given && !writes)
		n = snprintf(opened->scratch, sizeof opened->scratch, "/var/tmp");
	else
		n = snprintf(opened->scratch, sizeof opened->scratch, "%s", scratch_of(options));
	if (n >= (int)sizeof opened->scratch) GM_FAIL(err, GM_USAGE, "the path of the folder for spill files is too long");
	if (given && access(opened->scratch, W_OK | X_OK) != 0)
		return gm_error_errno(err, errno, opened->scratch, "using it for spill files");
	return GM_OK;
}

enum gm_code gm_env_open(struct gm_opened *opened, const struct gm_job *job, const struct gm_run_options *options,
                         unsigned wanted, struct gm_error *err)
{
	*opened = (struct gm_opened){.env = {.engine_id = gm_engine_id(), .now_us = gm_env_wall_clock_us}};
	opened->env.scratch = opened->scratch;
	GM_TRY(open_stores(&opened->env, job, options, wanted, err));
	return name_scratch(opened, options, wanted, err);
}

void gm_env_close(struct gm_opened *opened)
{
	gm_store_close(opened->env.source);
	gm_store_close(opened->env.table);
	opened->env.source = opened->env.table = NULL;
}
