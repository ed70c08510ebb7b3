/* scenario.c - what may happen in a schedule, and how often: drawn from its seed. */
#include "sim/sim.h"

static unsigned one_of(struct sim *sim, const unsigned *choices, unsigned count)
{
	return choices[sim_below(&sim->random, count)];
}
#define ONE_OF(sim, ...) \
	one_of(sim, (const unsigned[]){__VA_ARGS__}, sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

static void draw_faults(struct sim *sim)
{
	struct sim_scenario *scenario = &sim->scenario;
	scenario->die_before = ONE_OF(sim, 0, 2, 10, 30);
	scenario->die_after = ONE_OF(sim, 0, 2, 20, 60);
	scenario->fail = ONE_OF(sim, 0, 0, 2, 10);
	scenario->lose = ONE_OF(sim, 0, 0, 10, 50);
	scenario->late = ONE_OF(sim, 0, 0, 10, 50);
	scenario->repeat = ONE_OF(sim, 0, 0, 20, 100);
	scenario->doze = ONE_OF(sim, 0, 10, 50, 200);
	scenario->sleep = ONE_OF(sim, 0, 5, 20, 60);
	scenario->longest_sleep = ONE_OF(sim, 10, 100, 1000, 3000);
	scenario->deliver = ONE_OF(sim, 2, 20, 100);
	scenario->interrupt = ONE_OF(sim, 0, 0, 5);
	scenario->burst = ONE_OF(sim, 0, 2, 10, 50);
	scenario->paged = sim_chance(&sim->random, 500);
	scenario->consuming = sim_chance(&sim->random, 400);
}

static void draw_runners(struct sim *sim)
{
	struct sim_scenario *scenario = &sim->scenario;
	struct sim_random *random = &sim->random;
	scenario->slots = 1 + sim_below(random, SIM_SLOTS);
	scenario->starts = sim_chance(random, 70) ? 15 + sim_below(random, 15) : 2 + sim_below(random, 9);
	scenario->jobs = ONE_OF(sim, 1, 1, 2);
	scenario->editions = 1 + sim_below(random, SIM_EDITIONS);
	scenario->engines = 1 + sim_below(random, SIM_ENGINES);
	scenario->strict = sim_chance(random, 200);
	scenario->errand[SIM_READ] = ONE_OF(sim, 0, 100, 300);
	scenario->errand[SIM_DRY_RUN] = ONE_OF(sim, 0, 0, 100);
	scenario->errand[SIM_ABANDON] = ONE_OF(sim, 0, 0, 100);
	scenario->errand[SIM_REWIND] = ONE_OF(sim, 0, 0, 150);
	scenario->errand[SIM_FORGET] = ONE_OF(sim, 0, 0, 150);
	scenario->errand[SIM_STEPS] = ONE_OF(sim, 0, 0, 200);
	scenario->errand[SIM_WORK] = ONE_OF(sim, 0, 0, 200);
	scenario->errand[SIM_COMMIT] = ONE_OF(sim, 0, 0, 200);
}

static void draw_world(struct sim *sim)
{
	struct sim_scenario *scenario = &sim->scenario;
	struct sim_random *random = &sim->random;
	scenario->objects = sim_below(random, 7);
	scenario->arrive = ONE_OF(sim, 2, 10, 30);
	scenario->most_objects = scenario->objects + 2 * scenario->starts;
	scenario->overwrite = ONE_OF(sim, 0, 0, 0, 2);
	scenario->vanish = ONE_OF(sim, 0, 0, 0, 3);
	scenario->intrude = ONE_OF(sim, 0, 0, 0, 3);
	scenario->append = ONE_OF(sim, 0, 0, 0, 5);
	scenario->delete = ONE_OF(sim, 0, 0, 0, 3);
	scenario->expire = ONE_OF(sim, 0, 0, 0, 5);
	scenario->parts = 1 + sim_below(random, SIM_PARTS);
	scenario->bad = ONE_OF(sim, 0, 0, 50);
	scenario->redelivered = ONE_OF(sim, 0, 50, 300);
	scenario->file_bytes = ONE_OF(sim, 4, 16, 1000);
	scenario->on_change =
	    (enum gm_on_change)ONE_OF(sim, GM_ON_CHANGE_FAIL, GM_ON_CHANGE_IGNORE, GM_ON_CHANGE_REPROCESS);
	scenario->fresh_table = sim_chance(random, 300);
	scenario->foreign = sim_chance(random, 300);
	scenario->old = sim_chance(random, 500);
	scenario->shared = (enum sim_shared)ONE_OF(sim, SIM_SHARED_NOT, SIM_SHARED_NOT, SIM_SHARED_NEW, SIM_SHARED_ADOPTED);
}

/* What chance alone puts together too seldom: somebody falls asleep right before he writes, for so long that the others
 * finish his work, go on, and clean the log away under him. */
static void sleep_long(struct sim_scenario *scenario)
{
	scenario->old = scenario->foreign = true;
	scenario->slots = SIM_SLOTS;
	scenario->starts = 30;
	scenario->errand[SIM_ABANDON] = 300;
	scenario->doze = 200;
	scenario->longest_sleep = 3000;
	scenario->arrive = 30;
	scenario->die_before = scenario->die_after = 2;
}

void sim_scenario_draw(struct sim *sim)
{
	sim->scenario = (struct sim_scenario){0};
	draw_faults(sim);
	draw_runners(sim);
	draw_world(sim);
	if (sim_chance(&sim->random, 100)) sleep_long(&sim->scenario);
}
