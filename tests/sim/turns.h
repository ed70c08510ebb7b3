/* turns.h - threads that take turns: of all actors at most one runs, and only from the moment it is given a turn until
 * it asks for the next one. So what they do to each other follows from the order of the turns alone.
 *
 * An actor may have threads of its own, as long as only one of them at a time asks for turns and the others do nothing
 * that counts meanwhile. */
#ifndef SIM_TURNS_H
#define SIM_TURNS_H

#include <pthread.h>
#include <stdbool.h>

struct sim_turns {
	pthread_mutex_t lock;
	pthread_cond_t back; /* the turn was given back */
};

struct sim_actor {
	struct sim_turns *turns;
	pthread_cond_t go;
	pthread_t thread;
	bool has_turn, ended;
	unsigned burst; /* steps it may still make before it must give the turn back */
	void (*act)(void *context);
	void *context;
};

void sim_turns_init(struct sim_turns *turns);
void sim_turns_release(struct sim_turns *turns);
/* Starts the actor's thread, which waits for its first turn. */
void sim_actor_start(struct sim_actor *actor, struct sim_turns *turns, void (*act)(void *context), void *context);
/* From one of the actor's threads: waits for the next turn, unless the last one covers this step, too. */
void sim_actor_step(struct sim_actor *actor);
/* From outside: gives the actor a turn of 1 + burst steps and waits until it is over. An actor that keeps it for
 * minutes hangs: the program aborts. */
void sim_actor_turn(struct sim_actor *actor, unsigned burst);
/* Of an actor that has ended. */
void sim_actor_join(struct sim_actor *actor);

#endif
