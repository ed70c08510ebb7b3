/* runner.h - what the steps of a run share: run.c decides what to do next, work.c does a plan's units, settle.c brings
 * plans to their end, result.c tells; steps.c does the same in pieces, for whoever spreads a run over machines. */
#ifndef GM_RUN_RUNNER_H
#define GM_RUN_RUNNER_H

#include "base/stopwatch.h"
#include "run/commit.h"
#include "run/publish.h"
#include "run/run.h"

#include <time.h>

struct gm_runner {
	const struct gm_job *job;
	struct gm_run_options options;
	struct gm_run_result *result;
	struct gm_layout layout;
	const struct gm_run_env *env;
	struct gm_store *source, *table; /* those of env */
	struct gm_history history;       /* as it was when the plan in hand was found */
	struct gm_plan_shelf shelf;      /* the plans that it was read from */
	struct gm_engine *engine;        /* of the plan in hand */
	struct gm_delta_log *plan_log;   /* its table's, where that is not the history's any more */
	uint8_t secret[GM_KEY_SECRET_BYTES];
	bool has_secret;
	struct timespec start;
	uint64_t objects_total, bytes_total;
	struct gm_engine_progress done; /* of the plan in hand */
	const char *phase;
	bool resumed;         /* the plan in hand was there, unfinished */
	uint64_t fresh;       /* a plan that this process has just written: nobody can have worked on it; 0: none */
	bool upgraded;        /* was it looked for runs of an older format? */
	bool left_alone_told; /* what others put into the folders and the log does not take: told once */
	struct gm_replay_choice replay;
	/* The last object of the plan before, which left some for the next: that goes on behind it. "": list all. */
	char after[GM_KEY_FREE_BYTES + 1];
	uint64_t left;         /* new objects that the last listing found and its plan did not take */
	bool looked_for_files; /* of others, to be imported: once, where that is a long journey */
};

/* run.c */
/* Fills a runner; close it also after a failure. It owns its history, not the stores. result is cleared first. */
enum gm_code gm_runner_open(struct gm_runner *runner, const struct gm_job *job, const struct gm_run_env *env,
                            const struct gm_run_options *options, struct gm_run_result *result,
                            struct gm_error *err) GM_CHECK;
void gm_runner_close(struct gm_runner *runner);
void gm_runner_tick(void *context); /* a struct gm_runner */
/* A phase is a stage of the calling thread, too: while the units are worked, it waits for those who do it. */
enum gm_phase { GM_PHASE_PLAN, GM_PHASE_WORK, GM_PHASE_PUBLISH };
void gm_runner_phase(struct gm_runner *runner, enum gm_phase phase);
void gm_runner_notice(const struct gm_runner *runner, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t gm_runner_log_bytes(const struct gm_runner *runner); /* the log's share of memory */
/* The history anew, with everything that others left brought to its end. */
enum gm_code gm_runner_look_around(struct gm_runner *runner, struct gm_error *err) GM_CHECK;
/* The plan to work on: an unfinished one, or a new one that is written; NULL: nothing is new. */
enum gm_code gm_runner_next_plan(struct gm_runner *runner, struct gm_plan **out, struct gm_error *err) GM_CHECK;
/* Is it of no use to try the plan again after this failure? */
bool gm_runner_is_hopeless(const struct gm_plan *plan, enum gm_code rc);
/* Ends a plan after such a failure. */
void gm_runner_give_up(struct gm_runner *runner, const struct gm_plan *plan, const struct gm_error *why);
/* After a failure with a plan: LOST or EXISTS if it came from another runner's having settled it. Where that cannot be
 * told, and the failure may come from it, the reason of that is told instead. */
enum gm_code gm_runner_look_behind(struct gm_runner *runner, const struct gm_plan *plan, enum gm_code rc,
                                   struct gm_error *err) GM_CHECK;

/* What a plan is made from, by the history in hand. */
struct gm_plan_request gm_runner_request(const struct gm_runner *runner);

/* identity.c: may the job plan on this table? USAGE: it has no state, and another job has some of the same source. With
 * options.adopt that is taken over; *acted: so look around again. */
enum gm_code gm_runner_identify(struct gm_runner *runner, bool *acted, struct gm_error *err) GM_CHECK;

/* work.c: works the units of a plan that have no manifest yet, and checks the limits. manifests: room for one per unit;
 * *done of them are filled, also on failure. */
enum gm_code gm_runner_work(struct gm_runner *runner, const struct gm_plan *plan, struct gm_manifest *manifests,
                            size_t *done, struct gm_error *err) GM_CHECK;
/* Reads the table's secret, or makes it, once. Before the first put into a table: that is refused where the store would
 * let two writers win. */
enum gm_code gm_runner_secret(struct gm_runner *runner, struct gm_error *err) GM_CHECK;
/* Has nothing been put into the table yet, as far as the history in hand tells? */
static inline bool gm_runner_begins_table(const struct gm_runner *runner)
{
	return runner->history.log == NULL && runner->history.last_plan == 0;
}
/* What a plan that nobody publishes yet has worked, and cannot be read, is worth nothing: CORRUPT becomes CHANGED, on
 * which the plan is ended and made again. Other codes are passed on. */
enum gm_code gm_runner_unusable(enum gm_code rc, struct gm_error *err) GM_CHECK;
/* Do the books of all units balance, and is the quarantine limit held? */
enum gm_code gm_runner_check_limits(const struct gm_runner *runner, const struct gm_manifest *manifests, size_t count,
                                    struct gm_error *err) GM_CHECK;
/* What is there of each unit of a plan, by number; free() it. */
struct gm_unit_state {
	bool keys, done; /* its key list; its manifest */
};
enum gm_code gm_units_list(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                           struct gm_unit_state **out, struct gm_error *err) GM_CHECK;
/* The first of units [0, count) that lack that, as text for a message; returns how many do. */
enum gm_unit_part { GM_UNIT_KEYS, GM_UNIT_MANIFEST };
enum { GM_LACKING_BYTES = 448 };
size_t gm_units_lacking(const struct gm_unit_state *states, size_t count, enum gm_unit_part part,
                        char text[GM_LACKING_BYTES]);
/* Works one unit, or the part of it that is asked for; *before: it was done before, by whomever. manifest is filled
 * unless only the keys were asked for. NOT_FOUND: key lists are missing, which the message names. */
enum gm_code gm_runner_work_unit(struct gm_runner *runner, const struct gm_plan *plan, size_t number,
                                 enum gm_work_part part, struct gm_manifest *manifest, bool *before,
                                 struct gm_error *err) GM_CHECK;

/* settle.c */
/* Claims, publishes and commits a plan whose units are done. OK: we committed it. EXISTS: another runner did. LOST:
 * it is dead, another was committed in its place. CHANGED: it cannot be finished any more; it is still to be ended. */
enum gm_code gm_runner_finish(struct gm_runner *runner, const struct gm_plan *plan, const struct gm_manifest *manifests,
                              struct gm_error *err) GM_CHECK;
/* Finishes the plan that is claimed and not settled, whosever it is; *acted: there was one, so look again. */
enum gm_code gm_runner_settle(struct gm_runner *runner, bool *acted, struct gm_error *err) GM_CHECK;
/* Commits a plan without units and with the same parent, and closes the plan. LOST: it was settled otherwise. */
enum gm_code gm_runner_end(struct gm_runner *runner, const struct gm_layout *layout, const struct gm_plan *plan,
                           const char *reason, struct gm_error *err) GM_CHECK;
/* Commits a plan without units, under the next free number: OK also when another runner did. LOST: another plan with
 * its parent is committed. */
enum gm_code gm_runner_change(struct gm_runner *runner, const struct gm_layout *layout, struct gm_plan *plan,
                              struct gm_error *err) GM_CHECK;
/* Who is at work, for the commits that say so: "user@host". */
enum { GM_WHO_BYTES = 256 };
void gm_runner_who(char who[GM_WHO_BYTES]);
/* The last claim, and whether its plan is still to be finished. */
enum gm_code gm_runner_claimed(struct gm_runner *runner, struct gm_claim *claim, bool *claimed,
                               struct gm_error *err) GM_CHECK;
/* The plan that the next run will have to finish first. */
struct gm_pending_plan {
	uint64_t number; /* 0: none */
	char job[160];
	bool claimed; /* being published: it blocks all jobs */
};
enum gm_code gm_runner_pending(struct gm_runner *runner, struct gm_pending_plan *pending,
                               struct gm_error *err) GM_CHECK;
/* Closes the plans that the history has overtaken and tidies what settled ones left. What cannot be swept now is told
 * and left for the next run. */
void gm_runner_sweep(struct gm_runner *runner, const struct gm_history *history);
/* Has the plan been settled meanwhile, so that a failure with it means nothing? */
enum gm_code gm_runner_is_over(struct gm_runner *runner, const struct gm_plan *plan, bool *over,
                               struct gm_error *err) GM_CHECK;

/* import.c: puts files into the log that others put into the partitions' folders. *imported: some were; look again. */
enum gm_code gm_runner_import(struct gm_runner *runner, bool *imported, struct gm_error *err) GM_CHECK;

/* result.c: the books and files of a plan's manifests go into the result. */
enum gm_code gm_result_init(struct gm_run_result *result, struct gm_error *err) GM_CHECK;
enum gm_code gm_result_add_books(struct gm_run_result *result, const struct gm_manifest *manifests, size_t count,
                                 struct gm_error *err) GM_CHECK;
/* The same of a plan that is not published, since too much was rejected. */
enum gm_code gm_result_add_refused(struct gm_run_result *result, const struct gm_manifest *manifests, size_t count,
                                   struct gm_error *err) GM_CHECK;
enum gm_code gm_result_add_files(struct gm_run_result *result, const struct gm_manifest *manifests, size_t count,
                                 struct gm_error *err) GM_CHECK;
void gm_result_add_run(struct gm_run_result *result, uint64_t run);
/* What was asked of the store since it was opened; NULL: nothing. */
void gm_result_add_requests(struct gm_run_result *result, struct gm_store *store);

#endif
