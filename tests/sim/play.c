/* play.c - one schedule. First everybody lives: runners start, take turns, fall asleep, fail and die, objects come and
 * go. Then those that are left die or stand still, and one clean run of each job must finish what is there; whoever
 * stood still wakes up and goes on, what was late arrives, and again a clean run must be enough. */
#include "sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	LIVE_STEPS = 60000,  /* of a schedule; more is a circle */
	CLEAN_STEPS = 30000, /* of a run that nobody disturbs */
	MEMORY_BYTES = 32 << 20,
};

static const int64_t day_us = INT64_C(86400) * 1000000;

/* --- Telling ------------------------------------------------------------------------------------------------------ */

void sim_trace(struct sim *sim, const char *format, ...)
{
	char line[2 * SIM_KEY_ROOM];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	size_t bytes = n < (int)sizeof line ? (size_t)n : sizeof line - 1;
	sim->trace = XXH3_64bits_withSeed(line, bytes, sim->trace);
	if (sim->verbose) (void)printf("%6llu  %s\n", (unsigned long long)sim->counts.steps, line);
}

void sim_violation(struct sim *sim, const char *format, ...)
{
	char text[sizeof sim->violation];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	sim_trace(sim, "VIOLATION: %s", text);
	if (sim->violation[0] == '\0') memcpy(sim->violation, text, sizeof text);
}

static void note(void *context, const char *line)
{
	struct sim_runner *runner = context;
	sim_trace(runner->sim, "%s%u says: %s", sim_job_id(runner->job), runner->number, line);
}

/* --- Scenarios ---------------------------------------------------------------------------------------------------- */

static unsigned one_of(struct sim *sim, const unsigned *choices, unsigned count)
{
	return choices[sim_below(&sim->random, count)];
}
#define ONE_OF(sim, ...) \
	one_of(sim, (const unsigned[]){__VA_ARGS__}, sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

static void draw_scenario(struct sim *sim)
{
	struct sim_random *random = &sim->random;
	sim->scenario = (struct sim_scenario){
	    .slots = 1 + sim_below(random, SIM_SLOTS),
	    .starts = sim_chance(random, 100) ? 20 + sim_below(random, 20) : 2 + sim_below(random, 9),
	    .jobs = ONE_OF(sim, 1, 1, 2),
	    .editions = 1 + sim_below(random, SIM_EDITIONS),
	    .engines = 1 + sim_below(random, SIM_ENGINES),
	    .die_before = ONE_OF(sim, 0, 2, 10, 30),
	    .die_after = ONE_OF(sim, 0, 2, 20, 60),
	    .fail = ONE_OF(sim, 0, 0, 2, 10),
	    .lose = ONE_OF(sim, 0, 0, 10, 50),
	    .late = ONE_OF(sim, 0, 0, 10, 50),
	    .repeat = ONE_OF(sim, 0, 0, 20, 100),
	    .doze = ONE_OF(sim, 0, 10, 50, 200),
	    .sleep = ONE_OF(sim, 0, 5, 20, 60),
	    .deliver = ONE_OF(sim, 2, 20, 100),
	    .arrive = ONE_OF(sim, 2, 10, 30),
	    .overwrite = ONE_OF(sim, 0, 0, 0, 2),
	    .vanish = ONE_OF(sim, 0, 0, 0, 3),
	    .interrupt = ONE_OF(sim, 0, 0, 5),
	    .dry = ONE_OF(sim, 0, 0, 100),
	    .abandon = ONE_OF(sim, 0, 0, 100),
	    .read = ONE_OF(sim, 0, 100, 300),
	    .longest_sleep = ONE_OF(sim, 10, 100, 1000, 3000),
	    .burst = ONE_OF(sim, 0, 2, 10, 50),
	    .objects = sim_below(random, 7),
	    .parts = 1 + sim_below(random, SIM_PARTS),
	    .bad = ONE_OF(sim, 0, 0, 50),
	    .file_bytes = ONE_OF(sim, 4, 16, 1000),
	    .paged = sim_chance(random, 500),
	    .consuming = sim_chance(random, 400),
	    .fresh_table = sim_chance(random, 300),
	    .strict = sim_chance(random, 200),
	    .foreign = sim_chance(random, 300),
	    .old = sim_chance(random, 500),
	};
}

/* --- Runners ------------------------------------------------------------------------------------------------------ */

/* A clock of its own, that now and then goes backwards. */
static int64_t clock_of(void *context)
{
	struct sim_runner *runner = context;
	int64_t second = 1000000;
	runner->clock_us += sim_chance(&runner->sim->random, 200) ? -3600 * second : second;
	return runner->clock_us;
}

static void run(void *context)
{
	struct sim_runner *runner = context;
	struct gm_run_env env = {.source = runner->source,
	                         .table = runner->table,
	                         .engine_id = sim_engine_id(runner->engine),
	                         .scratch = "/tmp",
	                         .now_us = clock_of,
	                         .clock = runner};
	if (runner->errand == SIM_READ) {
		runner->code = sim_read_log(runner, &runner->error);
		return;
	}
	runner->code = gm_run_on(sim_job(runner->sim, runner->job, runner->edition), &env, &runner->options,
	                         &runner->result, &runner->error);
}

static void choose_errand(struct sim_runner *runner)
{
	struct sim *sim = runner->sim;
	if (sim_chance(&sim->random, sim->scenario.read))
		runner->errand = SIM_READ;
	else if (sim_chance(&sim->random, sim->scenario.abandon))
		runner->errand = SIM_ABANDON;
	else if (sim_chance(&sim->random, sim->scenario.dry))
		runner->errand = SIM_DRY_RUN;
	runner->options.abandon = runner->errand == SIM_ABANDON;
	runner->options.dry_run = runner->errand == SIM_DRY_RUN;
}

struct who { /* works: which edition of the job's file, which engine */
	unsigned edition, engine;
};

static struct who any(struct sim *sim)
{
	struct who who = {.edition = sim_below(&sim->random, sim->scenario.editions)};
	who.engine = sim_below(&sim->random, sim->scenario.engines);
	return who;
}

static void start(struct sim *sim, struct sim_runner *runner, unsigned job, struct who who)
{
	struct sim_random *random = &sim->random;
	*runner = (struct sim_runner){.sim = sim,
	                              .slot = (unsigned)(runner - sim->runners),
	                              .number = (unsigned)++sim->counts.runs,
	                              .job = job,
	                              .edition = who.edition,
	                              .engine = who.engine,
	                              .clock_us = (sim->scenario.old ? 100 : 3) * day_us + sim_below(random, 1000000),
	                              .cleaned_then = sim->counts.cleaned,
	                              .active = true};
	runner->options = (struct gm_run_options){.threads = 1,
	                                          .memory_bytes = MEMORY_BYTES,
	                                          .quarantine_set = true,
	                                          .quarantine_records = 1000000,
	                                          .notice = note,
	                                          .stop = &runner->stop,
	                                          .context = runner};
	if (sim->faults) choose_errand(runner);
	if (sim->faults) {
		runner->strict = sim->scenario.strict && sim_chance(random, 500);
		if (runner->strict) runner->options.quarantine_records = 1;
		if (sim_chance(random, 200)) runner->options.limit_objects = 1 + sim_below(random, 3);
	}
	runner->table = sim_store_new(runner, sim->table);
	runner->source = sim_store_new(runner, sim->sources[job]);
	static const char *const errands[] = {"a run", "a dry run", "abandon", "a reader"};
	sim_trace(sim, "%s%u starts: %s, edition %u, engine %u, at most %u objects%s", sim_job_id(job), runner->number,
	          errands[runner->errand], runner->edition, runner->engine, (unsigned)runner->options.limit_objects,
	          runner->strict ? ", strict" : "");
	sim_actor_start(&runner->actor, &sim->turns, run, runner);
}

/* May a run end like this? */
static bool is_expected(const struct sim_runner *runner)
{
	switch (runner->code) {
	case GM_OK: return true;
	case GM_IO:
	case GM_TRANSIENT: return runner->hurt;
	case GM_QUARANTINE: return runner->strict;
	case GM_INTERRUPTED: return runner->stop != 0;
	case GM_LOST: return runner->errand == SIM_ABANDON;
	case GM_CHANGED: /* an input, or the log: who slept for so long may say so */
		return sim_object_was_changed(runner->sim, runner->job, runner->error.object) ||
		       runner->sim->counts.cleaned > runner->cleaned_then;
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
		sim_violation(sim, "a run fails with %s: %s %s", gm_code_name(runner->code), runner->error.object,
		              runner->error.message);
	for (uint64_t i = 0; i < result->run_count && i < sizeof result->runs / sizeof result->runs[0]; i++)
		if (!sim_oracle_committed(sim, runner->job, result->runs[i]))
			sim_violation(sim, "run %s/%llu is reported as committed and is not", sim_job_id(runner->job),
			              (unsigned long long)result->runs[i]);
}

static void bury(struct sim_runner *runner)
{
	sim_actor_join(&runner->actor);
	judge(runner);
	gm_run_result_clear(&runner->result);
	gm_store_close(runner->source);
	gm_store_close(runner->table);
	runner->active = false;
}

static void give_turn(struct sim_runner *runner, unsigned burst)
{
	sim_actor_turn(&runner->actor, burst);
	if (runner->actor.ended) bury(runner);
}

static void kill_runner(struct sim_runner *runner)
{
	runner->dead = true;
	while (runner->active) give_turn(runner, 0);
}

/* --- Life --------------------------------------------------------------------------------------------------------- */

static void wake(struct sim_runner *runner)
{
	struct sim *sim = runner->sim;
	runner->wake_at = 0;
	bool stale = sim_oracle_commits(sim) > runner->commits_then;
	sim->counts.stale += stale;
	sim_trace(sim, "%s%u wakes up%s", sim_job_id(runner->job), runner->number, stale ? ", stale" : "");
}

static void fall_asleep(struct sim_runner *runner)
{
	struct sim *sim = runner->sim;
	runner->wake_at = sim->counts.steps + 1 + sim_below(&sim->random, sim->scenario.longest_sleep);
	runner->commits_then = sim_oracle_commits(sim);
	sim_trace(sim, "%s%u stands still", sim_job_id(runner->job), runner->number);
}

/* One that is awake; NULL: none. */
static struct sim_runner *pick(struct sim *sim)
{
	struct sim_runner *awake[SIM_SLOTS];
	unsigned count = 0;
	for (unsigned i = 0; i < SIM_SLOTS; i++) {
		struct sim_runner *runner = &sim->runners[i];
		if (!runner->active) continue;
		if (runner->wake_at != 0 && runner->wake_at <= sim->counts.steps) wake(runner);
		if (runner->wake_at == 0) awake[count++] = runner;
	}
	return count > 0 ? awake[sim_below(&sim->random, count)] : NULL;
}

static struct sim_runner *first_asleep(struct sim *sim)
{
	struct sim_runner *first = NULL;
	for (unsigned i = 0; i < SIM_SLOTS; i++) {
		struct sim_runner *runner = &sim->runners[i];
		if (runner->active && (first == NULL || runner->wake_at < first->wake_at)) first = runner;
	}
	return first;
}

static struct sim_runner *free_slot(struct sim *sim)
{
	for (unsigned i = 0; i < sim->scenario.slots; i++)
		if (!sim->runners[i].active) return &sim->runners[i];
	return NULL;
}

/* What happens around the runners. */
static void happen(struct sim *sim)
{
	const struct sim_scenario *scenario = &sim->scenario;
	if (sim_chance(&sim->random, scenario->deliver)) sim_effect_deliver(sim);
	if (sim_chance(&sim->random, scenario->arrive)) sim_object_arrives(sim);
	if (sim_chance(&sim->random, scenario->overwrite)) sim_object_is_overwritten(sim);
	if (sim_chance(&sim->random, scenario->vanish)) sim_object_vanishes(sim);
	if (sim_chance(&sim->random, scenario->interrupt)) sim->runners[sim_below(&sim->random, SIM_SLOTS)].stop = 1;
}

static bool start_another(struct sim *sim, unsigned *left)
{
	struct sim_runner *slot = *left > 0 ? free_slot(sim) : NULL;
	if (slot == NULL) return false;
	--*left;
	start(sim, slot, sim_below(&sim->random, sim->scenario.jobs), any(sim));
	return true;
}

static void live(struct sim *sim)
{
	unsigned left = sim->scenario.starts;
	sim->faults = true;
	while (sim->violation[0] == '\0') {
		happen(sim);
		if (sim_chance(&sim->random, 100)) (void)start_another(sim, &left);
		struct sim_runner *runner = pick(sim);
		if (runner == NULL) {
			if (start_another(sim, &left)) continue;
			runner = first_asleep(sim);
			if (runner == NULL || sim_chance(&sim->random, 300)) return;
			wake(runner);
		}
		give_turn(runner, sim_below(&sim->random, sim->scenario.burst + 1));
		if (runner->active && (runner->drowsy || sim_chance(&sim->random, sim->scenario.sleep))) fall_asleep(runner);
		runner->drowsy = false;
		if (sim->counts.steps > LIVE_STEPS) sim_violation(sim, "%u steps, and no end", LIVE_STEPS);
	}
}

/* --- The end ------------------------------------------------------------------------------------------------------ */

/* A run that nobody disturbs: it ends, and well. */
static void clean_run(struct sim *sim, unsigned job, struct who who, uint64_t *runs)
{
	struct sim_runner *runner = &sim->runners[SIM_SLOTS];
	char object[sizeof runner->error.object];
	do {
		if (sim->violation[0] != '\0') return;
		start(sim, runner, job, who);
		sim_actor_turn(&runner->actor, CLEAN_STEPS);
		if (!runner->actor.ended) {
			sim_violation(sim, "a clean run has not ended after %u steps", CLEAN_STEPS);
			kill_runner(runner);
			return;
		}
		*runs += runner->result.run_count;
		memcpy(object, runner->error.object, sizeof object);
		bury(runner);
	} while (runner->code == GM_CHANGED && sim_object_is_renamed(sim, job, object));
}

static void clean_runs(struct sim *sim, struct who who, uint64_t *runs)
{
	unsigned first = sim_below(&sim->random, sim->scenario.jobs);
	*runs = 0;
	for (unsigned i = 0; i < sim->scenario.jobs; i++) clean_run(sim, (first + i) % sim->scenario.jobs, who, runs);
}

/* A clean run of each job makes everything right, and the next one finds nothing to do. */
static void settle(struct sim *sim)
{
	uint64_t runs;
	struct who who = any(sim);
	sim->faults = false;
	clean_runs(sim, who, &runs);
	if (sim->violation[0] == '\0') sim_oracle_end(sim);
	uint64_t writes = sim->writes;
	clean_runs(sim, who, &runs);
	if (sim->violation[0] == '\0' && (runs > 0 || sim->writes != writes))
		sim_violation(sim, "with nothing new, %llu runs were committed and %llu effects made", (unsigned long long)runs,
		              (unsigned long long)(sim->writes - writes));
}

static bool anybody_left(const struct sim *sim)
{
	for (unsigned i = 0; i < SIM_SLOTS; i++)
		if (sim->runners[i].active) return true;
	return false;
}

/* Those that stood still all the time go on, and what was late arrives. */
static void wake_all(struct sim *sim)
{
	for (unsigned i = 0; i < SIM_SLOTS; i++)
		if (sim->runners[i].active) wake(&sim->runners[i]);
	while (sim->violation[0] == '\0' && (anybody_left(sim) || sim->late_count > 0)) {
		struct sim_runner *runner = pick(sim);
		if (runner != NULL) give_turn(runner, sim_below(&sim->random, sim->scenario.burst + 1));
		if (runner == NULL || sim_chance(&sim->random, 50)) sim_effect_deliver(sim);
	}
}

static void kill_some(struct sim *sim, unsigned per_mille)
{
	for (unsigned i = 0; i < SIM_SLOTS; i++)
		if (sim->runners[i].active && sim_chance(&sim->random, per_mille)) kill_runner(&sim->runners[i]);
}

bool sim_play(struct sim *sim)
{
	sim->random.state = sim->seed;
	sim_turns_init(&sim->turns);
	sim->oracle = sim_oracle_new();
	draw_scenario(sim);
	sim_world_open(sim);
	live(sim);
	kill_some(sim, sim_chance(&sim->random, 500) ? 1000 : 300);
	settle(sim);
	if (anybody_left(sim) || sim->late_count > 0) {
		wake_all(sim);
		settle(sim);
	}
	kill_some(sim, 1000);
	sim_effects_drop(sim);
	sim->counts.schedules = 1;
	sim->counts.commits = sim_oracle_commits(sim);
	sim_world_close(sim);
	sim_oracle_free(sim->oracle);
	sim_turns_release(&sim->turns);
	return sim->violation[0] == '\0';
}
