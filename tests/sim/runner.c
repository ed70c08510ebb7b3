/* runner.c - the processes of a schedule: what each is sent for, and how it may end. */
#include "sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum {
	MEMORY_BYTES = 32 << 20,
	PLANS_TRIED = 4, /* the newest */
	UNITS_TRIED = 3,
};
static const int64_t day_us = INT64_C(86400) * 1000000;

static void note(void *context, const char *line)
{
	struct sim_runner *runner = context;
	sim_trace(runner->sim, "%s%u says: %s", sim_job_id(runner->job), runner->number, line);
}

/* A clock of its own, that now and then goes backwards. */
static int64_t clock_of(void *context)
{
	struct sim_runner *runner = context;
	int64_t second = 1000000;
	runner->clock_us += sim_chance(&runner->sim->random, 200) ? -3600 * second : second;
	return runner->clock_us;
}

/* --- Errands ------------------------------------------------------------------------------------------------------ */

static const char *const errand_names[SIM_ERRANDS] = {
    [SIM_RUN] = "a run",       [SIM_DRY_RUN] = "a dry run", [SIM_ABANDON] = "abandon",
    [SIM_READ] = "a reader",   [SIM_REWIND] = "rewind",     [SIM_FORGET] = "forget",
    [SIM_STEPS] = "all steps", [SIM_WORK] = "one unit",     [SIM_COMMIT] = "one commit",
};

/* Some moment or some keys of the job's source: whatever, as a user who mistypes. */
static enum gm_code edit(struct sim_runner *runner, const struct gm_job *job, const struct gm_run_env *env)
{
	struct sim *sim = runner->sim;
	struct gm_bookmark_edited edited;
	const char *keys[2];
	struct gm_bookmark_edit change = {.rewind = runner->errand == SIM_REWIND, .keys = keys};
	const struct sim_object *object = sim_object_any(sim, sim_source_of(sim, runner->job));
	if (object == NULL) return GM_OK;
	change.to_us = object->mtime_us - (int64_t)sim_below(&sim->random, 2);
	if (!change.rewind) {
		keys[change.key_count++] = object->key;
		if (sim_chance(&sim->random, 300)) keys[change.key_count++] = sim_object_any(sim, object->source)->key;
	}
	return gm_bookmark_change_on(job, env, &change, &runner->options, &edited, &runner->error);
}

static enum gm_code work(struct sim_runner *runner, const struct gm_job *job, const struct gm_run_env *env,
                         uint64_t plan, uint64_t unit, enum gm_work_part part, enum gm_step *step)
{
	struct gm_run_result result;
	enum gm_code rc = gm_run_work_on(job, env, &runner->options, plan, unit, part, step, &result, &runner->error);
	gm_run_result_clear(&result);
	return rc;
}

/* Makes a plan, or takes one up, and carries it out as a driver of many machines does: all keys, then all files, in any
 * order, then the commit. */
static enum gm_code all_steps(struct sim_runner *runner, const struct gm_job *job, const struct gm_run_env *env)
{
	struct gm_planned planned;
	enum gm_step step = GM_STEP_DONE;
	enum gm_code rc = gm_run_plan_on(job, env, &runner->options, &planned, &runner->error);
	uint64_t units = planned.unit_count, plan = planned.plan, first;
	if (rc != GM_OK) return rc;
	gm_planned_clear(&planned);
	if (plan == 0) return GM_OK;
	for (enum gm_work_part part = GM_WORK_KEYS; part <= GM_WORK_WRITE; part++) {
		first = sim_below(&runner->sim->random, (unsigned)units);
		for (uint64_t i = 0; rc == GM_OK && i < units; i++) {
			rc = work(runner, job, env, plan, (first + i) % units, part, &step);
			if (step == GM_STEP_COMMITTED || step == GM_STEP_DEAD) return rc;
		}
	}
	if (rc == GM_OK) rc = gm_run_commit_on(job, env, &runner->options, plan, &step, &runner->result, &runner->error);
	return rc;
}

static enum gm_code carry_out(struct sim_runner *runner, const struct gm_job *job, const struct gm_run_env *env)
{
	struct sim_random *random = &runner->sim->random;
	enum gm_step step;
	uint64_t newest = runner->sim->newest_plan[runner->job], unit = sim_below(random, UNITS_TRIED);
	uint64_t plan = newest + 1 - sim_below(random, newest < PLANS_TRIED ? (unsigned)newest + 1 : PLANS_TRIED);
	switch (runner->errand) {
	case SIM_READ: return sim_read_log(runner, &runner->error);
	case SIM_REWIND:
	case SIM_FORGET: return edit(runner, job, env);
	case SIM_STEPS: return all_steps(runner, job, env);
	case SIM_WORK: return work(runner, job, env, plan, unit, (enum gm_work_part)sim_below(random, 3), &step);
	case SIM_COMMIT: return gm_run_commit_on(job, env, &runner->options, plan, &step, &runner->result, &runner->error);
	default: return gm_run_on(job, env, &runner->options, &runner->result, &runner->error);
	}
}

static void act(void *context)
{
	struct sim_runner *runner = context;
	struct gm_run_env env = {.source = runner->source,
	                         .table = runner->table,
	                         .engine_id = sim_engine_id(runner->engine),
	                         .scratch = "/tmp",
	                         .now_us = clock_of,
	                         .clock = runner};
	runner->code = carry_out(runner, sim_job(runner->sim, runner->job, runner->edition), &env);
}

/* --- Starting ----------------------------------------------------------------------------------------------------- */

static void choose_errand(struct sim_runner *runner)
{
	struct sim *sim = runner->sim;
	for (enum sim_errand errand = SIM_RUN; errand < SIM_ERRANDS && runner->errand == SIM_RUN; errand++)
		if (sim_chance(&sim->random, sim->scenario.errand[errand])) runner->errand = errand;
	runner->options.abandon = runner->errand == SIM_ABANDON;
	runner->options.dry_run = runner->errand == SIM_DRY_RUN;
	runner->strict = sim->scenario.strict && sim_chance(&sim->random, 500);
	if (runner->strict) runner->options.quarantine_records = 1;
	if (sim_chance(&sim->random, 200)) runner->options.limit_objects = 1 + sim_below(&sim->random, 3);
}

void sim_runner_start(struct sim *sim, struct sim_runner *runner, unsigned job, struct sim_who who)
{
	*runner = (struct sim_runner){.sim = sim,
	                              .number = (unsigned)++sim->counts.runs,
	                              .job = job,
	                              .edition = who.edition,
	                              .engine = who.engine,
	                              .clock_us = (sim->scenario.old ? 100 : 3) * day_us + sim_below(&sim->random, 1000000),
	                              .cleaned_then = sim->counts.cleaned,
	                              .expired_then = sim->counts.expired,
	                              .adoptable = sim_oracle_has_state(sim, 0),
	                              .active = true};
	runner->options = (struct gm_run_options){.threads = 1,
	                                          .memory_bytes = MEMORY_BYTES,
	                                          .quarantine_set = true,
	                                          .quarantine_records = 1000000,
	                                          .as_new = sim->scenario.shared == SIM_SHARED_NEW,
	                                          .notice = note,
	                                          .stop = &runner->stop,
	                                          .context = runner};
	if (sim->scenario.shared == SIM_SHARED_ADOPTED && job == 1) runner->options.adopt = sim_job_id(0);
	if (sim->faults) choose_errand(runner);
	runner->table = sim_store_new(runner, sim->table);
	runner->source = sim_store_new(runner, sim->sources[sim_source_of(sim, job)]);
	sim_trace(sim, "%s%u starts: %s, edition %u, engine %u, at most %u objects%s", sim_job_id(job), runner->number,
	          errand_names[runner->errand], runner->edition, runner->engine, (unsigned)runner->options.limit_objects,
	          runner->strict ? ", strict" : "");
	sim_actor_start(&runner->actor, &sim->turns, act, runner);
}

/* --- Ending ------------------------------------------------------------------------------------------------------- */

static bool is_step(enum sim_errand errand)
{
	return errand == SIM_STEPS || errand == SIM_WORK || errand == SIM_COMMIT;
}

/* An input has changed; or the log or a staged file is gone, which who slept for so long may say; or, where that is not
 * tried again, others have committed something that is at odds with the plan. */
static bool may_find_change(const struct sim_runner *runner)
{
	const struct sim *sim = runner->sim;
	bool once = is_step(runner->errand) || runner->errand == SIM_DRY_RUN; /* does not try again */
	return sim_object_was_changed(sim, sim_source_of(sim, runner->job), runner->error.object) ||
	       sim->counts.cleaned > runner->cleaned_then || sim->counts.expired > runner->expired_then ||
	       (once && (sim->scenario.jobs > 1 || sim->others > 0 || sim->counts.expired > 0));
}

/* May it end like this? */
static bool is_expected(const struct sim_runner *runner)
{
	switch (runner->code) {
	case GM_OK: return true;
	case GM_IO:
	case GM_TRANSIENT: return runner->hurt;
	case GM_QUARANTINE: return runner->strict;
	case GM_INTERRUPTED: return runner->stop != 0;
	case GM_LOST: return runner->errand == SIM_ABANDON;
	case GM_CHANGED: return may_find_change(runner);
	case GM_NOT_FOUND:
		return is_step(runner->errand) || runner->errand == SIM_FORGET ||
		       runner->sim->counts.expired > runner->expired_then;
	case GM_UNSUPPORTED: return is_step(runner->errand);
	case GM_USAGE: /* nothing to adopt yet, or not in a dry run; a plan or unit that is none */
		return is_step(runner->errand) ||
		       (runner->options.adopt != NULL && (!runner->adoptable || runner->errand == SIM_DRY_RUN));
	default: return false;
	}
}

static void judge(struct sim_runner *runner)
{
	struct sim *sim = runner->sim;
	const struct gm_run_result *result = &runner->result;
	if (runner->dead) {
		sim_trace(sim, "%s%u is dead", sim_job_id(runner->job), runner->number);
		return;
	}
	sim_trace(sim, "%s%u ends: %s %s %s, %llu runs", sim_job_id(runner->job), runner->number,
	          gm_code_name(runner->code), runner->code != GM_OK ? runner->error.object : "",
	          runner->code != GM_OK ? runner->error.message : "", (unsigned long long)result->run_count);
	if (!is_expected(runner))
		sim_violation(sim, "%s fails with %s: %s %s", errand_names[runner->errand], gm_code_name(runner->code),
		              runner->error.object, runner->error.message);
	for (uint64_t i = 0; i < result->run_count && i < sizeof result->runs / sizeof result->runs[0]; i++)
		if (!sim_oracle_committed(sim, runner->job, result->runs[i]))
			sim_violation(sim, "run %s/%llu is reported as committed and is not", sim_job_id(runner->job),
			              (unsigned long long)result->runs[i]);
}

void sim_runner_bury(struct sim_runner *runner)
{
	sim_actor_join(&runner->actor);
	judge(runner);
	gm_run_result_clear(&runner->result);
	gm_store_close(runner->source);
	gm_store_close(runner->table);
	runner->active = false;
}

void sim_runner_turn(struct sim_runner *runner, unsigned burst)
{
	sim_actor_turn(&runner->actor, burst);
	if (runner->actor.ended) sim_runner_bury(runner);
}

void sim_runner_kill(struct sim_runner *runner)
{
	runner->dead = true;
	while (runner->active) sim_runner_turn(runner, 0);
}
