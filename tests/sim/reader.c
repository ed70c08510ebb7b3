/* reader.c - a reader of the log. It opens the newest version while others write, clean up and die around it; what it
 * sees must be what was committed at that version, and the files must be there as long as it looks at them. */
#include "sim/oracle.h"

#include "table/delta.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MEMORY_BYTES = 1 << 20 };

struct look {
	struct sim_runner *runner;
	int64_t version;
	size_t files;
};

static bool is_live(const struct sim_file *file, int64_t version)
{
	return file->committed && file->version <= version && !(file->removed && file->removed_at <= version);
}

static enum gm_code see_file(void *context, const struct gm_delta_file *file, struct gm_error *err)
{
	struct look *look = context;
	struct sim *sim = look->runner->sim;
	struct gm_object_info info;
	struct gm_arena arena;
	const struct sim_file *known = sim_file_find(sim->oracle, file->path);
	look->files++;
	if (known == NULL || !is_live(known, look->version) || known->bytes != file->bytes)
		sim_violation(sim, "a reader of version %" PRId64 " sees %s, which is not in it", look->version, file->path);
	gm_arena_init(&arena, 1024);
	enum gm_code rc = gm_store_stat(look->runner->table, file->path, &info, &arena, err);
	gm_arena_release(&arena);
	if (rc != GM_NOT_FOUND) return rc;
	if (known == NULL || !known->removed)
		sim_violation(sim, "a reader of version %" PRId64 " misses %s", look->version, file->path);
	return GM_OK;
}

static size_t files_at(const struct sim_oracle *oracle, int64_t version)
{
	size_t count = 0;
	for (size_t i = 0; i < oracle->file_count; i++) count += is_live(&oracle->files[i], version);
	return count;
}

static void compare_txns(const struct sim_runner *runner, const struct gm_delta_log *log, int64_t version)
{
	char app[64];
	const struct sim_oracle *oracle = runner->sim->oracle;
	for (unsigned job = 0; job < SIM_JOBS; job++) {
		uint64_t head = 0;
		int64_t seen = 0;
		for (int64_t v = 0; v <= version; v++)
			if (oracle->commits[v].job == job) head = oracle->commits[v].run;
		(void)snprintf(app, sizeof app, "gristmill/%s", sim_job_id(job));
		if (!gm_delta_txn(log, app, &seen)) seen = 0;
		if ((uint64_t)seen != head)
			sim_violation(runner->sim, "a reader of version %" PRId64 " sees run %" PRId64 " of job %s, not %" PRIu64,
			              version, seen, sim_job_id(job), head);
	}
}

static enum gm_code look_at(struct look *look, const struct gm_delta_log *log, struct gm_error *err)
{
	struct sim *sim = look->runner->sim;
	if (look->version >= (int64_t)sim->oracle->commit_count) {
		sim_violation(sim, "a reader sees version %" PRId64 " before it is committed", look->version);
		return GM_OK;
	}
	compare_txns(look->runner, log, look->version);
	GM_TRY(gm_delta_each_file(log, see_file, look, err));
	if (look->files != files_at(sim->oracle, look->version))
		sim_violation(sim, "a reader of version %" PRId64 " sees %zu files of %zu", look->version, look->files,
		              files_at(sim->oracle, look->version));
	return GM_OK;
}

enum gm_code sim_read_log(struct sim_runner *runner, struct gm_error *err)
{
	struct gm_delta_log *log;
	uint64_t before = runner->sim->oracle->commit_count;
	enum gm_code rc = gm_delta_open(runner->table, GM_DELTA_NEWEST, MEMORY_BYTES, &log, err);
	if (rc == GM_NOT_FOUND && before == 0) return GM_OK;
	GM_TRY(rc);
	struct look look = {.runner = runner, .version = gm_delta_version(log)};
	if (look.version + 1 < (int64_t)before)
		sim_violation(runner->sim, "a reader sees version %" PRId64 " after version %" PRIu64 " was committed",
		              look.version, before - 1);
	rc = look_at(&look, log, err);
	gm_delta_free(log);
	return rc;
}
