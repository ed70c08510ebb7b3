/* edit.c - the bookmark listed, and changed: rewound, or made to forget objects.
 *
 * A change is a plan without units, committed like any other. What is forgotten is processed again by the next run, and
 * its rows are told from those that the table holds by their unique key. */
#include "run/runner.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <stdlib.h>

/* --- Listing ------------------------------------------------------------------------------------------------------ */

struct show {
	const char *prefix;
	size_t prefix_bytes;
	gm_processed_fn *each;
	void *context;
	bool ended;
};

static enum gm_code end_listing(struct show *show, struct gm_error *err)
{
	show->ended = true;
	return gm_error_set(err, GM_INTERRUPTED, "the listing of the bookmark was ended");
}

static enum gm_code show_entry(void *context, const struct gm_bookmark_entry *entry, struct gm_error *err)
{
	struct show *show = context;
	int order = strncmp(entry->key, show->prefix, show->prefix_bytes);
	if (order < 0 || gm_bookmark_quarantine(entry->key) != NULL)
		return GM_OK; /* the latter is no object of the source */
	if (order > 0) return end_listing(show, err);
	struct gm_processed processed = {entry->key, entry->size, entry->mtime_us, entry->run};
	return show->each(show->context, &processed) ? GM_OK : end_listing(show, err);
}

static enum gm_code list(const struct gm_job *job, struct gm_store *table, struct show *show, struct gm_error *err)
{
	struct gm_history history;
	if (table == NULL) return GM_OK;
	GM_TRY(gm_history_load(table, job->id, (size_t)64 << 20, NULL, &history, err));
	enum gm_code rc = gm_bookmark_each(history.bookmark, show_entry, show, err);
	gm_history_release(&history);
	return show->ended ? GM_OK : rc;
}

enum gm_code gm_bookmark_list(const struct gm_job *job, const char *prefix, gm_processed_fn *each, void *context,
                              struct gm_error *err)
{
	struct gm_opened opened;
	struct show show = {.prefix = prefix != NULL ? prefix : "", .each = each, .context = context};
	show.prefix_bytes = strlen(show.prefix);
	enum gm_code rc = gm_env_open(&opened, job, NULL, 0, err);
	if (rc == GM_OK) rc = list(job, opened.env.table, &show, err);
	gm_env_close(&opened);
	return rc;
}

/* --- What a change would forget ----------------------------------------------------------------------------------- */

struct newer {
	int64_t than_us;
	uint64_t count;
};

static enum gm_code count_newer(void *context, const struct gm_bookmark_entry *entry, struct gm_error *err)
{
	struct newer *newer = context;
	(void)err;
	newer->count += gm_bookmark_quarantine(entry->key) == NULL && entry->mtime_us > newer->than_us;
	return GM_OK;
}

/* Is it a key that a bookmark can hold, and so be asked for? */
static bool may_be_known(const char *key)
{
	size_t n = strlen(key);
	return n > 0 && n <= GM_BOOKMARK_KEY_MAX && gm_utf8_valid_prefix((const uint8_t *)key, n) == n;
}

static enum gm_code check_known(struct gm_bookmark *bookmark, const char *const *keys, size_t count,
                                struct gm_error *err)
{
	gm_bookmark_restart(bookmark);
	for (size_t i = 0; i < count; i++) {
		const struct gm_bookmark_entry *known = NULL;
		if (may_be_known(keys[i])) GM_TRY(gm_bookmark_find(bookmark, keys[i], &known, err));
		if (known != NULL) continue;
		(void)gm_error_set(err, GM_NOT_FOUND, "this object is not among those processed; nothing was forgotten");
		(void)gm_error_hint(err, GM_NOT_FOUND, "keys are relative to the source, as 'bookmark JOB show' prints them");
		return gm_error_object(err, GM_NOT_FOUND, keys[i], strlen(keys[i]));
	}
	return GM_OK;
}

/* The keys of edit must be in order, each once. */
static enum gm_code count_objects(struct gm_runner *runner, const struct gm_bookmark_edit *edit, uint64_t *objects,
                                  struct gm_error *err)
{
	struct newer newer = {.than_us = edit->to_us};
	*objects = edit->key_count;
	if (!edit->rewind) return check_known(runner->history.bookmark, edit->keys, edit->key_count, err);
	GM_TRY(gm_bookmark_each(runner->history.bookmark, count_newer, &newer, err));
	*objects = newer.count;
	return GM_OK;
}

/* --- Changing ----------------------------------------------------------------------------------------------------- */

/* LOST: another plan of the job was committed meanwhile. */
static enum gm_code commit_edit(struct gm_runner *runner, const struct gm_bookmark_edit *edit,
                                struct gm_bookmark_edited *result, struct gm_error *err)
{
	char who[GM_WHO_BYTES];
	struct gm_plan_request request = gm_runner_request(runner);
	struct gm_plan *plan;
	gm_runner_who(who);
	GM_TRY(gm_plan_empty(&request, edit->rewind ? GM_PLAN_REWIND : GM_PLAN_FORGET, &plan, err));
	plan->to_us = edit->to_us;
	plan->keys = edit->keys;
	plan->key_count = edit->key_count;
	plan->reason = runner->options.reason != NULL ? runner->options.reason : "";
	plan->who = who;
	enum gm_code rc = gm_runner_change(runner, &runner->layout, plan, err);
	if (rc == GM_OK) result->run = plan->number;
	gm_plan_free(plan);
	return rc;
}

static enum gm_code change(struct gm_runner *runner, const struct gm_bookmark_edit *edit,
                           struct gm_bookmark_edited *result, struct gm_error *err)
{
	enum gm_code rc;
	do {
		GM_TRY(gm_runner_look_around(runner, err));
		GM_TRY(count_objects(runner, edit, &result->objects, err));
		if (result->objects == 0 || runner->options.dry_run) return GM_OK;
		rc = commit_edit(runner, edit, result, err);
	} while (rc == GM_LOST);
	return rc;
}

static enum gm_code check_edit(const struct gm_job *job, struct gm_error *err)
{
	if (job->table.unique_count > 0) return GM_OK;
	(void)gm_error_set(err, GM_USAGE, "without table.unique_by, what is processed again would be in the table twice");
	(void)gm_error_hint(err, GM_USAGE, "name the columns whose values tell one record from another in unique_by");
	return gm_error_object(err, GM_USAGE, job->path, strlen(job->path));
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A copy of the keys in order, each once; free() it. */
static enum gm_code sort_keys(const struct gm_bookmark_edit *edit, const char ***out, size_t *count,
                              struct gm_error *err)
{
	const char **keys = malloc((edit->key_count + 1) * sizeof *keys);
	size_t n = 0;
	if (keys == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the keys to forget");
	if (edit->key_count > 0) {
		memcpy(keys, edit->keys, edit->key_count * sizeof *keys);
		qsort(keys, edit->key_count, sizeof *keys, compare_keys);
	}
	for (size_t i = 0; i < edit->key_count; i++)
		if (n == 0 || strcmp(keys[n - 1], keys[i]) != 0) keys[n++] = keys[i];
	*out = keys;
	*count = n;
	return GM_OK;
}

enum gm_code gm_bookmark_change_on(const struct gm_job *job, const struct gm_run_env *env,
                                   const struct gm_bookmark_edit *edit, const struct gm_run_options *options,
                                   struct gm_bookmark_edited *result, struct gm_error *err)
{
	struct gm_bookmark_edit sorted = *edit;
	struct gm_run_result run;
	struct gm_runner runner;
	const char **keys = NULL;
	*result = (struct gm_bookmark_edited){.version = -1};
	GM_TRY(check_edit(job, err));
	GM_TRY(sort_keys(edit, &keys, &sorted.key_count, err));
	sorted.keys = keys;
	enum gm_code rc = gm_runner_open(&runner, job, env, options, &run, err);
	if (rc == GM_OK) rc = change(&runner, &sorted, result, err);
	gm_runner_close(&runner);
	if (rc != GM_OK) result->objects = 0;
	result->version = run.version;
	gm_run_result_clear(&run);
	free(keys);
	return rc;
}

enum gm_code gm_bookmark_change(const struct gm_job *job, const struct gm_bookmark_edit *edit,
                                const struct gm_run_options *options, struct gm_bookmark_edited *result,
                                struct gm_error *err)
{
	struct gm_opened opened;
	*result = (struct gm_bookmark_edited){.version = -1};
	enum gm_code rc = gm_env_open(&opened, job, options, GM_ENV_TABLE, err);
	if (rc == GM_OK) rc = gm_bookmark_change_on(job, &opened.env, edit, options, result, err);
	gm_env_close(&opened);
	return rc;
}
