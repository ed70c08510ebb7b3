/* sync.c - makes the catalog's entries say what the table's log says.
 *
 * Several runners may do so at once, and one may sleep for as long as it likes between any two steps. The order is
 *
 *     1  read the entry, with its version, and what is registered with it
 *     2  read the log
 *     3  write what differs, if the entry has still that version; else start over
 *
 * What is written never falls behind what was written before it. Say A writes from its log L(A) over version v, which
 * A read in step 1, before it read L(A). Whoever wrote v had read its log before it wrote v, so before A read v, so
 * before A read L(A): and a log that is read later knows at least as much. Whoever writes after v and before A makes
 * A's version stale, and A starts over. Had A read the log first, it could have slept through another's run and sync,
 * then read the newer entry and put its old ranges over it, with the newest version in its hand.
 *
 * Registered partitions have no version, and nothing keeps a sleeper from putting its older columns and figures over
 * newer ones, or from deleting what it has listed and not found in its log, and what another has committed since and
 * found registered. So a runner that has updated or deleted any starts over, and its step 2 comes after what it did:
 * who was overwritten had committed before it listed or wrote, which was before that, so its commit is now in the log,
 * and what is wrong is seen and made right. Creating needs none of this: what is there is not created.
 *
 * A runner that dies leaves the entry as it was or as it should be, partitions in between; the next run finds what
 * differs. The statistics follow from the log, so where nothing was committed nothing differs. */
#include "catalog/work.h"

#include "base/clock.h"
#include "base/flag.h"
#include "base/time.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
	ROUNDS = 8,           /* how often the entry may move under our hands */
	LOOKS_MOST = 2,       /* how often what was done to partitions is looked at again: a service may not keep it */
	DELAY_FIRST_MS = 100, /* before the second round at most so long; twice as long before each further one */
	DELAY_MOST_MS = 5000,
};
static const int64_t rounds_us = 60 * GM_US_PER_SECOND; /* after so long no round is begun but the last one */

struct sync {
	const struct gm_catalog_env *env;
	struct gm_catalog_result *result;
	struct gm_work works[GM_WORK_ENTRIES];
	size_t count;
	struct gm_shape shape;
	bool told;             /* what is odd about the table has been told */
	struct gm_error first; /* what went wrong with an entry that is given up; code OK: nothing */
};

/* --- Telling ------------------------------------------------------------------------------------------------------ */

static void notice(const struct sync *sync, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void notice(const struct sync *sync, const char *format, ...)
{
	const struct gm_catalog_options *options = sync->env->options;
	char line[1024];
	va_list args;
	if (options == NULL || options->notice == NULL) return;
	va_start(args, format);
	(void)vsnprintf(line, sizeof line, format, args);
	va_end(args);
	options->notice(options->context, line);
}

static bool is_stopped(const struct sync *sync)
{
	const struct gm_catalog_options *options = sync->env->options;
	return options != NULL && gm_flag_is_set(options->stop);
}

/* What readers of a hive entry will not find, once. */
static void tell_oddities(struct sync *sync)
{
	const struct gm_shape *shape = &sync->shape;
	if (sync->told || sync->works[0].entry.kind != GM_ENTRY_HIVE) return;
	sync->told = true;
	if (shape->misplaced > 0)
		notice(sync,
		       "files that do not lie in their partition's folder, and that readers of the entry %s do not find: "
		       "%" PRIu64,
		       sync->works[0].name, shape->misplaced);
	if (shape->left_out > 0)
		notice(sync, "columns of types that the catalog cannot express are left out of it: %" PRIu64, shape->left_out);
	if (shape->note[0] != '\0' && sync->works[0].entry.projection) notice(sync, "%s", shape->note);
}

/* --- The log ------------------------------------------------------------------------------------------------------ */

static bool is_number(const json_t *parameters, const char *name, uint64_t number)
{
	char text[24];
	const char *has = json_string_value(json_object_get(parameters, name));
	(void)snprintf(text, sizeof text, "%" PRIu64, number);
	return has != NULL && strcmp(has, text) == 0;
}

/* Counting rows reads the log a second time. Where files and bytes are what the catalog says, rows are, too. */
static enum gm_code wants_rows(const struct sync *sync, const struct gm_work *work, bool *wants, struct gm_error *err)
{
	const json_t *parameters = json_object_get(work->found, "Parameters");
	struct gm_registered_counts counts;
	*wants = false;
	if (work->done || work->entry.kind == GM_ENTRY_DELTA) return GM_OK;
	*wants = !is_number(parameters, "numFiles", sync->shape.files) ||
	         !is_number(parameters, "totalSize", sync->shape.bytes) || json_object_get(parameters, "numRows") == NULL;
	if (*wants || work->registered == NULL) return GM_OK;
	const json_t *columns = json_object_get(json_object_get(work->found, "StorageDescriptor"), "Columns");
	GM_TRY(gm_registered_compare(work->registered, &work->entry, &sync->shape, columns, &counts, err));
	*wants = counts.missing + counts.stale > 0;
	return GM_OK;
}

static enum gm_code read_log(struct sync *sync, struct gm_error *err)
{
	const struct gm_catalog_env *env = sync->env;
	bool rows = false;
	for (size_t i = 0; i < sync->count; i++) sync->works[i].entry.rows = false;
	GM_TRY(gm_shape_read(env->job, env->table, false, env->log_bytes, &sync->shape, err));
	for (size_t i = 0; i < sync->count && !rows; i++) GM_TRY(wants_rows(sync, &sync->works[i], &rows, err));
	for (size_t i = 0; i < sync->count; i++) sync->works[i].entry.rows = rows;
	if (!rows) return GM_OK;
	gm_shape_release(&sync->shape);
	return gm_shape_read(env->job, env->table, true, env->log_bytes, &sync->shape, err);
}

/* --- One entry ---------------------------------------------------------------------------------------------------- */

static void note_outcome(struct gm_work *work, enum gm_work_outcome outcome)
{
	if (outcome > work->outcome) work->outcome = outcome;
}

/* Without asking first whether the database is there: mostly it is. */
static enum gm_code create_entry(struct sync *sync, struct gm_work *work, const json_t *input,
                                 struct gm_glue_refusal *refusal, struct gm_error *err)
{
	struct gm_glue *glue = sync->env->glue;
	enum gm_code rc = gm_glue_create_table(glue, input, refusal, err);
	if (rc == GM_NOT_FOUND) {
		GM_TRY(gm_glue_create_database(glue, err));
		rc = gm_glue_create_table(glue, input, refusal, err);
	}
	/* A request that was made again may find what it did itself. */
	if (rc == GM_OK || (rc == GM_EXISTS && refusal->unclear)) note_outcome(work, GM_WORK_CREATED);
	return rc;
}

static enum gm_code update_entry(struct sync *sync, struct gm_work *work, const json_t *wanted, json_t **input,
                                 struct gm_glue_refusal *refusal, struct gm_error *err)
{
	struct gm_differences differences;
	gm_differences_init(&differences);
	enum gm_code rc = gm_merge_table(work->found, wanted, &work->entry, &sync->shape, input, &differences, err);
	bool differs = gm_differences_any(&differences);
	gm_differences_release(&differences);
	GM_TRY(rc);
	if (!differs) {
		note_outcome(work, GM_WORK_UNCHANGED);
		return GM_OK;
	}
	rc = gm_glue_update_table(sync->env->glue, *input, work->version, refusal, err);
	if (rc == GM_OK || (rc == GM_CHANGED && refusal->unclear)) note_outcome(work, GM_WORK_UPDATED);
	if (rc == GM_NOT_FOUND) refusal->again = true; /* dropped meanwhile */
	return rc;
}

static enum gm_code sync_partitions(struct sync *sync, struct gm_work *work, const json_t *input,
                                    struct gm_glue_refusal *refusal, struct gm_error *err)
{
	struct gm_registered_counts done = {.missing = 0};
	const struct gm_catalog_options *options = sync->env->options;
	const json_t *columns = json_object_get(json_object_get(input, "StorageDescriptor"), "Columns");
	enum gm_code rc = gm_registered_sync(work->registered, sync->env->glue, &work->entry, &sync->shape, columns,
	                                     options != NULL ? options->stop : NULL, &done, refusal, err);
	sync->result->partitions_created += done.missing;
	sync->result->partitions_updated += done.stale;
	sync->result->partitions_removed += done.extra;
	if (rc == GM_NOT_FOUND) refusal->again = true;
	GM_TRY(rc);
	if (done.foreign > 0)
		notice(sync, "partitions of %s that somebody has registered with folders elsewhere are left alone: %" PRIu64,
		       work->name, done.foreign);
	if (done.extra + done.stale == 0 || ++work->looks > LOOKS_MOST) return GM_OK;
	refusal->again = true;
	GM_FAIL(err, GM_CHANGED, "partitions in the catalog were changed by others at the same time");
}

static enum gm_code write_entry(struct sync *sync, struct gm_work *work, struct gm_glue_refusal *refusal,
                                struct gm_error *err)
{
	json_t *wanted, *input = NULL;
	GM_TRY(gm_entry_table(&work->entry, &sync->shape, &wanted, err));
	enum gm_code rc;
	if (work->found == NULL)
		rc = create_entry(sync, work, wanted, refusal, err);
	else
		rc = update_entry(sync, work, wanted, &input, refusal, err);
	if (rc == GM_OK && work->registered != NULL)
		rc = sync_partitions(sync, work, input != NULL ? input : wanted, refusal, err);
	json_decref(wanted);
	json_decref(input);
	return rc;
}

/* --- Rounds ------------------------------------------------------------------------------------------------------- */

/* An entry that cannot be mended is given up, and the other one is not. */
static enum gm_code finish_entry(struct sync *sync, struct gm_work *work, bool last, struct gm_error *err)
{
	struct gm_glue_refusal refusal = {.again = false};
	enum gm_code rc = write_entry(sync, work, &refusal, err);
	bool again = rc != GM_OK && refusal.again && !last;
	if (rc == GM_NOMEM || rc == GM_INTERRUPTED) return rc;
	if (rc != GM_OK) gm_work_name_error(work, sync->env->job, err);
	work->done = !again;
	if (rc != GM_OK && !again && sync->first.code == GM_OK) sync->first = *err;
	return GM_OK;
}

static enum gm_code go_round(struct sync *sync, bool last, struct gm_error *err)
{
	for (size_t i = 0; i < sync->count; i++)
		if (!sync->works[i].done) GM_TRY(gm_work_find(&sync->works[i], sync->env, err));
	enum gm_code rc = read_log(sync, err);
	if (rc == GM_OK) tell_oddities(sync);
	for (size_t i = 0; rc == GM_OK && i < sync->count; i++)
		if (!sync->works[i].done) rc = finish_entry(sync, &sync->works[i], last, err);
	gm_shape_release(&sync->shape);
	return rc;
}

/* Those who met must not meet again. */
static void wait_before(int round)
{
	uint64_t random = 0, most = (uint64_t)DELAY_FIRST_MS << round;
	(void)!getrandom(&random, sizeof random, 0);
	if (most > DELAY_MOST_MS) most = DELAY_MOST_MS;
	uint64_t ms = random % (most + 1);
	struct timespec pause = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
	(void)nanosleep(&pause, NULL);
}

static bool is_done(const struct sync *sync)
{
	for (size_t i = 0; i < sync->count; i++)
		if (!sync->works[i].done) return false;
	return true;
}

static void count_outcome(struct gm_catalog_result *result, enum gm_work_outcome outcome)
{
	result->created += outcome == GM_WORK_CREATED;
	result->updated += outcome == GM_WORK_UPDATED;
	result->unchanged += outcome == GM_WORK_UNCHANGED;
}

enum gm_code gm_catalog_sync_on(const struct gm_catalog_env *env, struct gm_catalog_result *result,
                                struct gm_error *err)
{
	struct sync sync = {.env = env, .result = result};
	int64_t start_us = gm_clock_steady_us();
	enum gm_code rc = gm_work_list(env->job, sync.works, &sync.count, err);
	for (int round = 0; rc == GM_OK && !is_done(&sync); round++) {
		if (round > 0) wait_before(round - 1);
		if (is_stopped(&sync))
			rc = gm_error_set(err, GM_INTERRUPTED, "stopped");
		else
			rc = go_round(&sync, round >= ROUNDS - 1 || gm_clock_steady_us() - start_us >= rounds_us, err);
	}
	for (size_t i = 0; i < sync.count; i++) {
		count_outcome(result, sync.works[i].outcome);
		gm_work_release(&sync.works[i]);
	}
	if (rc != GM_OK || sync.first.code == GM_OK) return rc;
	*err = sync.first;
	return sync.first.code;
}
