/* history.h - what the table's past says to a job: which of its plans are committed, which are not settled, and which
 * objects are processed.
 *
 * A plan is *committed* when it is on the chain: the job's newest txn in the log, that plan's parent, and so on. It is
 * *dead* when another plan with its parent is on the chain. Both stay true for ever. Parents are older than their
 * plans, so the chain falls strictly, and a plan whose parent lies below the chain's head and which is not on it is
 * dead: the plan that stands on the chain above that parent is the other one. A parent above the head means that the
 * log in hand is older than the plan: look again. */
#ifndef GM_RUN_HISTORY_H
#define GM_RUN_HISTORY_H

#include "run/plan_shelf.h"

struct gm_history {
	struct gm_delta_log *log; /* the newest version when it was read; NULL: the table has no commit */
	uint64_t head;            /* the job's last committed plan; 0: none */
	uint64_t last_plan;       /* the highest number of any plan of the job */
	struct gm_bookmark *bookmark;
	uint64_t bookmark_base;   /* the run of the bookmark's base file; 0: there is none */
	uint64_t runs_since_base; /* committed and not in the bookmark's base file */
	int64_t full_us;          /* when the source was last listed in full, as far as commits tell; 0: never */
	uint64_t *open;           /* numbers of plans neither committed nor closed, ascending; from listed_from on */
	size_t open_count;
	uint64_t *stray; /* numbers of settled plans with more than manifests in their work folders; the same */
	size_t stray_count;
	uint64_t listed_from; /* the oldest base of a bookmark: why those below do not matter stands in history.c */
};

/* shelf: for the job's plans; NULL: they are not kept. */
enum gm_code gm_history_load(struct gm_store *table, const char *job_id, size_t memory_bytes,
                             struct gm_plan_shelf *shelf, struct gm_history *history, struct gm_error *err) GM_CHECK;
/* The open plans and strays below history->listed_from, in place of those from there on. */
enum gm_code gm_history_look_below(struct gm_store *table, const char *job_id, struct gm_history *history,
                                   struct gm_error *err) GM_CHECK;
/* A run of the plan has been committed: its inputs are processed now. The log stays as it was read, so that this
 * history serves but for asking whether the source has more. */
enum gm_code gm_history_note_run(struct gm_history *history, const struct gm_plan *plan, struct gm_error *err) GM_CHECK;
/* Of a table that does not exist yet. */
enum gm_code gm_history_empty(struct gm_history *history, struct gm_error *err) GM_CHECK;
void gm_history_release(struct gm_history *history);
/* What a job had processed up to a committed run of its. */
enum gm_code gm_history_bookmark(struct gm_store *table, const char *job_id, uint64_t run, struct gm_bookmark **out,
                                 struct gm_error *err) GM_CHECK;

/* The newest log; *out NULL: none. had: a version that it is known to have had, as for gm_delta_open_since; -1. */
enum gm_code gm_history_log(struct gm_store *table, int64_t had, size_t memory_bytes, struct gm_delta_log **out,
                            struct gm_error *err) GM_CHECK;
/* The job's head in a log, which may be NULL. */
uint64_t gm_history_head(const struct gm_delta_log *log, const char *job_id);

enum gm_plan_state {
	GM_PLAN_OPEN,
	GM_PLAN_COMMITTED,
	GM_PLAN_DEAD,
	GM_PLAN_AHEAD, /* its parent is newer than the head: the log in hand is old, look again */
};
/* The state of a job's plan, where `head` is the job's. */
enum gm_code gm_plan_state(struct gm_store *table, const struct gm_layout *layout, uint64_t head, uint64_t number,
                           uint64_t parent, enum gm_plan_state *state, struct gm_error *err) GM_CHECK;
/* CORRUPT: the log does not know a run that a plan says to be committed: it was removed, or put back to an older
 * state. */
enum gm_code gm_history_forgotten(const char *job_id, uint64_t run, struct gm_error *err) GM_CHECK;
/* Is plans/<n>.closed there? */
enum gm_code gm_plan_is_closed(struct gm_store *table, const struct gm_layout *layout, uint64_t number, bool *closed,
                               struct gm_error *err) GM_CHECK;

#endif
