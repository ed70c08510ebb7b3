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
	LIVE_STEPS = 100000, /* of a schedule; more is a circle */
	CLEAN_STEPS = 30000, /* of a run that nobody disturbs */
};

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

/* --- Life --------------------------------------------------------------------------------------------------------- */

static struct sim_who anybody(struct sim *sim)
{
	struct sim_who who = {.edition = sim_below(&sim->random, sim->scenario.editions)};
	who.engine = sim_below(&sim->random, sim->scenario.engines);
	return who;
}

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
	if (sim_chance(&sim->random, scenario->intrude)) sim_file_intrudes(sim);
	if (sim_chance(&sim->random, scenario->append)) sim_others_append(sim);
	if (sim_chance(&sim->random, scenario->delete)) sim_others_delete(sim);
	if (sim_chance(&sim->random, scenario->expire)) sim_staged_expires(sim);
	if (sim_chance(&sim->random, scenario->interrupt)) sim->runners[sim_below(&sim->random, SIM_SLOTS)].stop = 1;
}

static bool start_another(struct sim *sim, unsigned *left)
{
	struct sim_runner *slot = *left > 0 ? free_slot(sim) : NULL;
	if (slot == NULL) return false;
	--*left;
	sim_runner_start(sim, slot, sim_below(&sim->random, sim->scenario.jobs), anybody(sim));
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
		sim_runner_turn(runner, sim_below(&sim->random, sim->scenario.burst + 1));
		if (runner->active && (runner->drowsy || sim_chance(&sim->random, sim->scenario.sleep))) fall_asleep(runner);
		runner->drowsy = false;
		if (sim->counts.steps > LIVE_STEPS) sim_violation(sim, "%u steps, and no end", LIVE_STEPS);
	}
}

/* --- The end ------------------------------------------------------------------------------------------------------ */

/* A run that nobody disturbs: it ends, and well. *renamed: not before an object had been given another name. */
static void clean_run(struct sim *sim, unsigned job, struct sim_who who, uint64_t *runs, bool *renamed)
{
	struct sim_runner *runner = &sim->runners[SIM_SLOTS];
	char object[sizeof runner->error.object];
	for (;;) {
		if (sim->violation[0] != '\0') return;
		sim_runner_start(sim, runner, job, who);
		sim_actor_turn(&runner->actor, CLEAN_STEPS);
		if (!runner->actor.ended) {
			sim_violation(sim, "a clean run has not ended after %u steps", CLEAN_STEPS);
			sim_runner_kill(runner);
			return;
		}
		*runs += runner->result.run_count;
		memcpy(object, runner->error.object, sizeof object);
		sim_runner_bury(runner);
		if (runner->code != GM_CHANGED || !sim_object_is_renamed(sim, sim_source_of(sim, job), object)) return;
		*renamed = true;
	}
}

/* Of each job; one that adopts another comes after that. */
static void clean_runs(struct sim *sim, struct sim_who who, uint64_t *runs)
{
	unsigned jobs = sim->scenario.jobs;
	bool ordered = sim->scenario.shared == SIM_SHARED_ADOPTED, renamed;
	unsigned first = ordered ? 0 : sim_below(&sim->random, jobs);
	*runs = 0;
	do { /* what is renamed is new to all */
		renamed = false;
		for (unsigned i = 0; i < jobs; i++) clean_run(sim, (first + i) % jobs, who, runs, &renamed);
	} while (renamed);
}

/* A clean run of each job makes everything right, and the next one finds nothing to do. */
static void settle(struct sim *sim)
{
	uint64_t runs;
	struct sim_who who = anybody(sim);
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
		if (runner != NULL) sim_runner_turn(runner, sim_below(&sim->random, sim->scenario.burst + 1));
		if (runner == NULL || sim_chance(&sim->random, 50)) sim_effect_deliver(sim);
	}
}

static void kill_some(struct sim *sim, unsigned per_mille)
{
	for (unsigned i = 0; i < SIM_SLOTS; i++)
		if (sim->runners[i].active && sim_chance(&sim->random, per_mille)) sim_runner_kill(&sim->runners[i]);
}

bool sim_play(struct sim *sim)
{
	sim->random.state = sim->seed;
	sim_turns_init(&sim->turns);
	sim->oracle = sim_oracle_new();
	sim_scenario_draw(sim);
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
