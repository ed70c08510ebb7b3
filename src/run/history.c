/* history.c - what a run begins with: listings of the job's bookmarks, plans and work folders, the log, and what the
 * plans since the bookmark's base did.
 *
 * Which plans are listed. Plans and manifests are never removed, so that listing all of them would cost more with every
 * run that ever was. They are listed from the oldest bookmark on that is there (its number is that of a committed run):
 * - a plan that may be resumed or planned upon has the head for its parent, and so a higher number than any bookmark;
 * - numbers have no gaps, so nobody writes a plan with a lower number any more;
 * - of the plans below, one that has published anything was claimed, and before another claim is put it is committed or
 *   closed (settle.c finds it by its claim, and needs no listing).
 * What can be left below is a dead plan that could not be closed, and what a runner staged that slept: of no harm, and
 * seen by nobody. Both are looked for when a new bookmark is written, which is one run in ten. */
#include "run/history.h"

#include "base/parallel.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
	LOADS = 8,      /* how often others may be faster while the history is read */
	ADOPTIONS = 32, /* of jobs that had adopted others themselves: damaged plans could make a circle */
};

struct numbers {
	uint64_t *value;
	size_t count, room;
	const char *suffix;
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the table's history");
}

static enum gm_code push(struct numbers *numbers, uint64_t n, struct gm_error *err)
{
	uint64_t *grown = gm_grow(numbers->value, numbers->count, &numbers->room, sizeof *grown);
	if (grown == NULL) return out_of_memory(err);
	numbers->value = grown;
	numbers->value[numbers->count++] = n;
	return GM_OK;
}

static enum gm_code note_number(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct numbers *numbers = context;
	uint64_t n = gm_layout_number(info->key, numbers->suffix);
	return n > 0 ? push(numbers, n, err) : GM_OK;
}

/* The names of plans, and of those that are closed: one folder holds both. */
struct plan_numbers {
	struct numbers plans, closed;
};

static enum gm_code note_plan(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct plan_numbers *numbers = context;
	GM_TRY(note_number(&numbers->plans, info, err));
	return note_number(&numbers->closed, info, err);
}

/* Manifests stay; whatever else lies in a work folder is noted once. */
static enum gm_code note_work(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct numbers *numbers = context;
	size_t bytes = strlen(info->key);
	if (bytes > 5 && strcmp(info->key + bytes - 5, ".json") == 0) return GM_OK;
	uint64_t n = strtoull(info->key + strlen(numbers->suffix), NULL, 10);
	if (n == 0 || (numbers->count > 0 && numbers->value[numbers->count - 1] == n)) return GM_OK;
	return push(numbers, n, err);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void sort(struct numbers *numbers)
{
	if (numbers->count > 1) qsort(numbers->value, numbers->count, sizeof *numbers->value, compare);
}

/* Of base files. */
static enum gm_code list_bookmarks(struct gm_store *table, const struct gm_layout *layout, struct numbers *written,
                                   struct gm_error *err)
{
	char prefix[GM_KEY_BYTES];
	written->suffix = "";
	(void)snprintf(prefix, sizeof prefix, "%sbookmark/", layout->job);
	GM_TRY(gm_store_list(table, prefix, note_number, written, err));
	sort(written);
	return GM_OK;
}

static enum gm_code list_plans(struct gm_store *table, const struct gm_layout *layout, uint64_t from,
                               struct plan_numbers *numbers, struct gm_error *err)
{
	char prefix[GM_KEY_BYTES], after[GM_KEY_BYTES];
	numbers->plans.suffix = ".json";
	numbers->closed.suffix = ".closed";
	(void)snprintf(prefix, sizeof prefix, "%splans/", layout->job);
	gm_layout_from(layout, after, "plans", from);
	GM_TRY(gm_store_list_after(table, prefix, after, NULL, note_plan, numbers, err));
	sort(&numbers->plans);
	sort(&numbers->closed);
	return GM_OK;
}

static bool contains(const struct numbers *numbers, uint64_t n)
{
	return numbers->count > 0 && bsearch(&n, numbers->value, numbers->count, sizeof n, compare) != NULL;
}

/* --- The log ------------------------------------------------------------------------------------------------------ */

enum gm_code gm_history_log(struct gm_store *table, int64_t had, size_t memory_bytes, struct gm_delta_log **out,
                            struct gm_error *err)
{
	*out = NULL;
	enum gm_code rc = gm_delta_open_since(table, had, memory_bytes, out, err);
	return rc == GM_NOT_FOUND ? GM_OK : rc;
}

uint64_t gm_history_head(const struct gm_delta_log *log, const char *job_id)
{
	char app[GM_APP_BYTES];
	int64_t head = 0;
	gm_app_id(app, job_id);
	return log != NULL && gm_delta_txn(log, app, &head) && head > 0 ? (uint64_t)head : 0;
}

/* --- States of plans ---------------------------------------------------------------------------------------------- */

static enum gm_code parent_of(struct gm_plan_shelf *shelf, struct gm_store *table, const struct gm_layout *layout,
                              uint64_t number, uint64_t *parent, struct gm_error *err)
{
	const struct gm_plan *plan;
	enum gm_code rc = gm_shelf_read(shelf, table, layout, number, &plan, err);
	if (rc == GM_NOT_FOUND) {
		char key[GM_KEY_BYTES];
		gm_layout_key(layout, key, "plans", number, ".json");
		rc = gm_error_set(err, GM_CORRUPT, "the plan of committed run %" PRIu64 " is gone", number);
		(void)gm_error_hint(err, rc, "restore it from a copy of the table: it says what the run has processed");
		return gm_error_object(err, rc, key, strlen(key));
	}
	GM_TRY(rc);
	*parent = plan->parent;
	return GM_OK;
}

enum gm_code gm_plan_state(struct gm_store *table, const struct gm_layout *layout, uint64_t head, uint64_t number,
                           uint64_t parent, enum gm_plan_state *state, struct gm_error *err)
{
	*state = parent > head ? GM_PLAN_AHEAD : GM_PLAN_OPEN;
	if (parent >= head) return GM_OK;
	uint64_t n = head;
	struct gm_plan_shelf shelf = {.count = 0};
	enum gm_code rc = GM_OK;
	while (rc == GM_OK && n > number) rc = parent_of(&shelf, table, layout, n, &n, err);
	gm_shelf_clear(&shelf);
	GM_TRY(rc);
	*state = n == number ? GM_PLAN_COMMITTED : GM_PLAN_DEAD;
	return GM_OK;
}

enum gm_code gm_plan_is_closed(struct gm_store *table, const struct gm_layout *layout, uint64_t number, bool *closed,
                               struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	gm_layout_key(layout, key, "plans", number, ".closed");
	return gm_store_has(table, key, closed, err);
}

/* --- The bookmark ------------------------------------------------------------------------------------------------- */

static enum gm_code add_inputs(struct gm_bookmark *bookmark, const struct gm_plan *plan, struct gm_error *err)
{
	for (size_t i = 0; i < plan->input_count; i++) {
		const struct gm_input *input = &plan->inputs[i];
		struct gm_bookmark_entry entry = {.key = input->key,
		                                  .size = input->size,
		                                  .mtime_us = input->mtime_us,
		                                  .etag_hash = gm_bookmark_etag_hash(input->etag),
		                                  .run = plan->number};
		GM_TRY(gm_bookmark_add(bookmark, &entry, err));
	}
	return GM_OK;
}

static enum gm_code load_bookmark(struct gm_plan_shelf *shelf, struct gm_store *table, const struct gm_layout *layout,
                                  uint64_t head, const struct numbers *written, int depth, struct gm_bookmark **out,
                                  int64_t *full_us, uint64_t *runs, struct gm_error *err);

struct adoption {
	struct gm_bookmark *bookmark;
	uint64_t run;
};

static enum gm_code adopt_entry(void *context, const struct gm_bookmark_entry *entry, struct gm_error *err)
{
	struct adoption *adoption = context;
	struct gm_bookmark_entry copy = *entry;
	if (gm_bookmark_quarantine(entry->key) != NULL) return GM_OK; /* its quarantine stays its own */
	copy.run = adoption->run;
	return gm_bookmark_add(adoption->bookmark, &copy, err);
}

/* What a job had processed up to a run of its own. */
static enum gm_code bookmark_of(struct gm_store *table, const char *job_id, uint64_t run, int depth,
                                struct gm_bookmark **out, struct gm_error *err)
{
	struct gm_layout layout;
	struct gm_plan_shelf shelf = {.count = 0};
	struct numbers written = {0};
	int64_t full_us;
	uint64_t runs;
	*out = NULL;
	if (depth > ADOPTIONS) GM_FAIL(err, GM_CORRUPT, "jobs adopt one another without end: %s among them", job_id);
	GM_TRY(gm_layout_init(&layout, job_id, err));
	enum gm_code rc = list_bookmarks(table, &layout, &written, err);
	if (rc == GM_OK) rc = load_bookmark(&shelf, table, &layout, run, &written, depth + 1, out, &full_us, &runs, err);
	gm_shelf_clear(&shelf);
	free(written.value);
	return rc;
}

static enum gm_code adopt(struct gm_store *table, const struct gm_plan *plan, int depth, struct gm_bookmark *bookmark,
                          struct gm_error *err)
{
	struct gm_bookmark *other;
	struct adoption adoption = {bookmark, plan->number};
	GM_TRY(bookmark_of(table, plan->adopts, plan->ends, depth, &other, err));
	enum gm_code rc = gm_bookmark_each(other, adopt_entry, &adoption, err);
	gm_bookmark_free(other);
	return rc;
}

static enum gm_code apply(struct gm_plan_shelf *shelf, struct gm_store *table, const struct gm_layout *layout,
                          uint64_t number, int depth, struct gm_bookmark *bookmark, struct gm_error *err)
{
	const struct gm_plan *plan;
	GM_TRY(gm_shelf_read(shelf, table, layout, number, &plan, err));
	enum gm_code rc = gm_bookmark_run(bookmark, number, err);
	if (rc == GM_OK) {
		switch (plan->kind) {
		case GM_PLAN_RUN: rc = add_inputs(bookmark, plan, err); break;
		case GM_PLAN_REWIND: rc = gm_bookmark_rewind(bookmark, plan->to_us, err); break;
		case GM_PLAN_FORGET:
			for (size_t i = 0; rc == GM_OK && i < plan->key_count; i++)
				rc = gm_bookmark_forget(bookmark, plan->keys[i], err);
			break;
		case GM_PLAN_ADOPT: rc = adopt(table, plan, depth, bookmark, err); break;
		case GM_PLAN_IMPORT:
		case GM_PLAN_END: break;
		}
	}
	gm_bookmark_set_full(bookmark, plan->full_us);
	return rc;
}

/* The newest base file that is not beyond the head: 0 if there is none. */
static uint64_t base_below(const struct numbers *written, uint64_t head)
{
	size_t i = written->count;
	while (i > 0 && written->value[i - 1] > head) i--;
	return i > 0 ? written->value[i - 1] : 0;
}

/* The committed runs after the base, newest first. */
static enum gm_code walk_chain(struct gm_plan_shelf *shelf, struct gm_store *table, const struct gm_layout *layout,
                               uint64_t head, uint64_t base, struct numbers *chain, struct gm_error *err)
{
	uint64_t n = head;
	while (n > base) {
		GM_TRY(push(chain, n, err));
		GM_TRY(parent_of(shelf, table, layout, n, &n, err));
	}
	if (n == base) return GM_OK;
	char key[GM_KEY_BYTES];
	gm_layout_key(layout, key, "bookmark", base, "");
	(void)gm_error_set(err, GM_CORRUPT, "the bookmark is of run %" PRIu64 ", which was not committed", base);
	(void)gm_error_hint(err, GM_CORRUPT,
	                    "the table's log was changed or restored from a copy; restore all of the table");
	return gm_error_object(err, GM_CORRUPT, key, strlen(key));
}

static enum gm_code load_bookmark(struct gm_plan_shelf *shelf, struct gm_store *table, const struct gm_layout *layout,
                                  uint64_t head, const struct numbers *written, int depth, struct gm_bookmark **out,
                                  int64_t *full_us, uint64_t *runs, struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	struct numbers chain = {0};
	struct gm_bookmark *bookmark = NULL;
	uint64_t base = base_below(written, head);
	gm_layout_key(layout, key, "bookmark", base, "");
	enum gm_code rc = walk_chain(shelf, table, layout, head, base, &chain, err);
	if (rc == GM_OK) rc = gm_bookmark_open(table, base > 0 ? key : NULL, &bookmark, err);
	for (size_t i = chain.count; rc == GM_OK && i > 0; i--)
		rc = apply(shelf, table, layout, chain.value[i - 1], depth, bookmark, err);
	*runs = chain.count;
	free(chain.value);
	if (rc == GM_OK) {
		*out = bookmark;
		*full_us = gm_bookmark_full(bookmark);
	} else {
		gm_bookmark_free(bookmark);
	}
	return rc;
}

enum gm_code gm_history_bookmark(struct gm_store *table, const char *job_id, uint64_t run, struct gm_bookmark **out,
                                 struct gm_error *err)
{
	return bookmark_of(table, job_id, run, 1, out, err);
}

/* --- Everything --------------------------------------------------------------------------------------------------- */

static enum gm_code find_open(const struct numbers *plans, const struct numbers *closed, struct gm_history *history,
                              struct gm_error *err)
{
	history->open = malloc((plans->count + 1) * sizeof *history->open);
	if (history->open == NULL) return out_of_memory(err);
	history->last_plan = history->head;
	for (size_t i = 0; i < plans->count; i++) {
		uint64_t n = plans->value[i];
		if (n > history->last_plan) history->last_plan = n;
		if (contains(closed, n) || gm_bookmark_has_run(history->bookmark, n)) continue;
		history->open[history->open_count++] = n;
	}
	return GM_OK;
}

/* A runner that dies right after its commit, or that worked on when others had finished its plan, leaves files. */
static enum gm_code list_work(struct gm_store *table, const struct gm_layout *layout, uint64_t from,
                              struct numbers *work, struct gm_error *err)
{
	char prefix[GM_KEY_BYTES], after[GM_KEY_BYTES];
	(void)snprintf(prefix, sizeof prefix, "%swork/", layout->job);
	work->suffix = prefix;
	gm_layout_from(layout, after, "work", from);
	enum gm_code rc = gm_store_list_after(table, prefix, after, NULL, note_work, work, err);
	work->suffix = NULL;
	return rc;
}

/* Of the plans that have left files: those that are over. Takes the numbers. */
static void find_stray(struct numbers *work, const struct numbers *closed, struct gm_history *history)
{
	history->stray = work->value;
	for (size_t i = 0; i < work->count; i++)
		if (contains(closed, work->value[i]) || gm_bookmark_has_run(history->bookmark, work->value[i]))
			history->stray[history->stray_count++] = work->value[i];
	*work = (struct numbers){0};
}

enum gm_code gm_history_forgotten(const char *job_id, uint64_t run, struct gm_error *err)
{
	(void)gm_error_set(err, GM_CORRUPT, "the log does not know run %" PRIu64 " of job %s, which was committed", run,
	                   job_id);
	(void)gm_error_hint(err, GM_CORRUPT,
	                    "the log was removed, changed or put back to an older state; restore it, for "
	                    "otherwise everything would be processed again");
	return gm_error_object(err, GM_CORRUPT, "_delta_log", strlen("_delta_log"));
}

/* The newest run that a plan or a bookmark says to be committed. The log is read after both were listed, so it must
 * know that run. What cannot be read says nothing here; whoever needs it tells. */
static enum gm_code newest_known(struct gm_plan_shelf *shelf, struct gm_store *table, const struct gm_layout *layout,
                                 const struct numbers *plans, const struct numbers *written, uint64_t head,
                                 uint64_t *newest, struct gm_error *err)
{
	*newest = written->count > 0 ? written->value[written->count - 1] : 0;
	for (size_t i = plans->count; i > 0 && plans->value[i - 1] > head; i--) {
		uint64_t parent = 0;
		enum gm_code rc = parent_of(shelf, table, layout, plans->value[i - 1], &parent, err);
		if (rc != GM_OK && rc != GM_CORRUPT && rc != GM_UNSUPPORTED) return rc;
		if (rc == GM_OK && parent > *newest) *newest = parent;
	}
	return GM_OK;
}

/* Our transactions vanish when somebody puts the log back to an older state: going on would process everything
 * again. */
static enum gm_code check_not_forgotten(struct gm_plan_shelf *shelf, struct gm_store *table,
                                        const struct gm_layout *layout, const char *job_id, const struct numbers *plans,
                                        const struct numbers *written, uint64_t head, struct gm_error *err)
{
	uint64_t newest;
	GM_TRY(newest_known(shelf, table, layout, plans, written, head, &newest, err));
	if (newest <= head) return GM_OK;
	(void)!gm_history_forgotten(job_id, newest, err);
	err->code = GM_LOST; /* for now: look again */
	return GM_LOST;
}

/* Of the plans since the newest bookmark most are on the chain, and all are asked for: at once. */
static void fetch_plans(struct gm_plan_shelf *shelf, struct gm_store *table, const struct gm_layout *layout,
                        const struct numbers *plans, const struct numbers *written)
{
	uint64_t base = written->count > 0 ? written->value[written->count - 1] : 0;
	size_t first = plans->count;
	if (first == 0) return;
	while (first > 0 && plans->value[first - 1] > base) first--;
	gm_shelf_fetch(shelf, table, layout, plans->value + first, plans->count - first);
}

/* A version that the log is known to have had: the newest plan was made at it. That plan is read in any case, but for
 * one that cannot be: then nothing is known. */
static int64_t known_version(struct gm_plan_shelf *shelf, struct gm_store *table, const struct gm_layout *layout,
                             const struct numbers *plans)
{
	const struct gm_plan *plan;
	struct gm_error ignored;
	if (!gm_store_is_remote(table) || plans->count == 0) return -1;
	uint64_t newest = plans->value[plans->count - 1];
	return gm_shelf_read(shelf, table, layout, newest, &plan, &ignored) == GM_OK ? plan->version : -1;
}

/* What does not depend on each other, side by side where each is a journey: the log, then the work folders. */
struct look {
	struct gm_store *table;
	const struct gm_layout *layout;
	uint64_t from;
	int64_t had;
	size_t memory_bytes;
	struct gm_delta_log *log;
	struct numbers work;
};

static enum gm_code look(void *context, size_t i, struct gm_error *err)
{
	struct look *look = context;
	return i == 0 ? gm_history_log(look->table, look->had, look->memory_bytes, &look->log, err)
	              : list_work(look->table, look->layout, look->from, &look->work, err);
}

static enum gm_code load_once(struct gm_store *table, const struct gm_layout *layout, const char *job_id,
                              size_t memory_bytes, struct gm_plan_shelf *shelf, struct gm_history *history,
                              struct gm_error *err)
{
	struct plan_numbers numbers = {0};
	struct numbers written = {0};
	struct look looking = {.table = table, .layout = layout, .memory_bytes = memory_bytes};
	enum gm_code rc = GM_OK;
	*history = (struct gm_history){0};
	/* The log last: what is committed between the listings and it must not look open, or beyond it. */
	GM_TRY_OUT(list_bookmarks(table, layout, &written, err));
	bool far = gm_store_is_remote(table); /* near, all of it costs less than to sweep what is below later */
	history->listed_from = far && written.count > 0 ? written.value[0] : 0;
	GM_TRY_OUT(list_plans(table, layout, history->listed_from, &numbers, err));
	fetch_plans(shelf, table, layout, &numbers.plans, &written);
	looking.from = history->listed_from;
	looking.had = known_version(shelf, table, layout, &numbers.plans);
	rc = gm_parallel(2, table->parallel, look, &looking, err);
	history->log = looking.log;
	if (rc != GM_OK) goto out;
	history->head = gm_history_head(history->log, job_id);
	GM_TRY_OUT(check_not_forgotten(shelf, table, layout, job_id, &numbers.plans, &written, history->head, err));
	GM_TRY_OUT(load_bookmark(shelf, table, layout, history->head, &written, 0, &history->bookmark, &history->full_us,
	                         &history->runs_since_base, err));
	history->bookmark_base = base_below(&written, history->head);
	GM_TRY_OUT(find_open(&numbers.plans, &numbers.closed, history, err));
	find_stray(&looking.work, &numbers.closed, history);
out:
	free(looking.work.value);
	free(numbers.plans.value);
	free(numbers.closed.value);
	free(written.value);
	if (rc != GM_OK) gm_history_release(history);
	return rc;
}

enum gm_code gm_history_load(struct gm_store *table, const char *job_id, size_t memory_bytes,
                             struct gm_plan_shelf *shelf, struct gm_history *history, struct gm_error *err)
{
	struct gm_layout layout;
	struct gm_plan_shelf none = {.count = 0};
	enum gm_code rc = GM_OK;
	*history = (struct gm_history){0};
	GM_TRY(gm_layout_init(&layout, job_id, err));
	for (int i = 0; i < LOADS; i++) {
		rc = load_once(table, &layout, job_id, memory_bytes, shelf != NULL ? shelf : &none, history, err);
		if (rc != GM_LOST && rc != GM_NOT_FOUND && rc != GM_CHANGED) break;
	}
	gm_shelf_clear(&none);
	if (rc != GM_LOST) return rc;
	err->code = GM_CORRUPT;
	return GM_CORRUPT;
}

/* The numbers that are less, of an ascending list. */
static size_t count_below(const uint64_t *numbers, size_t count, uint64_t below)
{
	size_t n = 0;
	while (n < count && numbers[n] < below) n++;
	return n;
}

enum gm_code gm_history_look_below(struct gm_store *table, const char *job_id, struct gm_history *history,
                                   struct gm_error *err)
{
	struct gm_layout layout;
	struct plan_numbers numbers = {0};
	struct numbers work = {0};
	free(history->open);
	free(history->stray);
	history->open = history->stray = NULL;
	history->open_count = history->stray_count = 0;
	if (history->listed_from == 0) return GM_OK;
	uint64_t last_plan = history->last_plan;
	enum gm_code rc = gm_layout_init(&layout, job_id, err);
	if (rc == GM_OK) rc = list_plans(table, &layout, 0, &numbers, err);
	if (rc == GM_OK) rc = find_open(&numbers.plans, &numbers.closed, history, err);
	if (rc == GM_OK) rc = list_work(table, &layout, 0, &work, err);
	if (rc == GM_OK) find_stray(&work, &numbers.closed, history);
	history->open_count = count_below(history->open, history->open_count, history->listed_from);
	history->stray_count = count_below(history->stray, history->stray_count, history->listed_from);
	history->last_plan = last_plan;
	free(work.value);
	free(numbers.plans.value);
	free(numbers.closed.value);
	return rc;
}

enum gm_code gm_history_note_run(struct gm_history *history, const struct gm_plan *plan, struct gm_error *err)
{
	GM_TRY(gm_bookmark_run(history->bookmark, plan->number, err));
	history->head = plan->number;
	return add_inputs(history->bookmark, plan, err);
}

enum gm_code gm_history_empty(struct gm_history *history, struct gm_error *err)
{
	*history = (struct gm_history){0};
	return gm_bookmark_open(NULL, NULL, &history->bookmark, err);
}

void gm_history_release(struct gm_history *history)
{
	gm_delta_free(history->log);
	gm_bookmark_free(history->bookmark);
	free(history->open);
	free(history->stray);
	memset(history, 0, sizeof *history);
}
