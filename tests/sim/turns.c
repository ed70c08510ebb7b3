#include "turns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { HANGS_AFTER_SECONDS = 180 };

void sim_turns_init(struct sim_turns *turns)
{
	pthread_condattr_t monotonic;
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&turns->lock, NULL);
	(void)pthread_cond_init(&turns->back, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
}

void sim_turns_release(struct sim_turns *turns)
{
	(void)pthread_cond_destroy(&turns->back);
	(void)pthread_mutex_destroy(&turns->lock);
}

/* With the lock. */
static void wait_for_turn(struct sim_actor *actor)
{
	while (!actor->has_turn) (void)pthread_cond_wait(&actor->go, &actor->turns->lock);
}

static void *main_of(void *context)
{
	struct sim_actor *actor = context;
	(void)pthread_mutex_lock(&actor->turns->lock);
	wait_for_turn(actor);
	(void)pthread_mutex_unlock(&actor->turns->lock);
	actor->act(actor->context);
	(void)pthread_mutex_lock(&actor->turns->lock);
	actor->ended = true;
	actor->has_turn = false;
	(void)pthread_cond_signal(&actor->turns->back);
	(void)pthread_mutex_unlock(&actor->turns->lock);
	return NULL;
}

void sim_actor_start(struct sim_actor *actor, struct sim_turns *turns, void (*act)(void *context), void *context)
{
	*actor = (struct sim_actor){.turns = turns, .act = act, .context = context};
	(void)pthread_cond_init(&actor->go, NULL);
	if (pthread_create(&actor->thread, NULL, main_of, actor) == 0) return;
	(void)fprintf(stderr, "sim: a thread could not be started\n");
	abort();
}

void sim_actor_step(struct sim_actor *actor)
{
	if (actor->burst > 0) { /* only this actor runs: nobody else looks at it */
		actor->burst--;
		return;
	}
	(void)pthread_mutex_lock(&actor->turns->lock);
	actor->has_turn = false;
	(void)pthread_cond_signal(&actor->turns->back);
	wait_for_turn(actor);
	(void)pthread_mutex_unlock(&actor->turns->lock);
}

void sim_actor_turn(struct sim_actor *actor, unsigned burst)
{
	struct sim_turns *turns = actor->turns;
	struct timespec until;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += HANGS_AFTER_SECONDS;
	(void)pthread_mutex_lock(&turns->lock);
	actor->burst = burst;
	actor->has_turn = true;
	(void)pthread_cond_signal(&actor->go);
	while (actor->has_turn) {
		if (pthread_cond_timedwait(&turns->back, &turns->lock, &until) != ETIMEDOUT) continue;
		(void)fprintf(stderr, "sim: a runner neither ended nor called its store for %d s\n", HANGS_AFTER_SECONDS);
		abort();
	}
	(void)pthread_mutex_unlock(&turns->lock);
}

void sim_actor_join(struct sim_actor *actor)
{
	(void)pthread_join(actor->thread, NULL);
	(void)pthread_cond_destroy(&actor->go);
}
