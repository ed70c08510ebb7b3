/* random.h - numbers that follow from a seed (splitmix64). */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
	uint64_t state;
};

static inline uint64_t sim_next(struct sim_random *random)
{
	uint64_t x = random->state += UINT64_C(0x9E3779B97F4A7C15);
	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return x ^ x >> 31;
}

/* 0 .. n - 1; 0 if n is 0. */
static inline unsigned sim_below(struct sim_random *random, unsigned n)
{
	return n == 0 ? 0 : (unsigned)(sim_next(random) % n);
}

static inline bool sim_chance(struct sim_random *random, unsigned per_mille)
{
	return per_mille > 0 && sim_below(random, 1000) < per_mille;
}

#endif
