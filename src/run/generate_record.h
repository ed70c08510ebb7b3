/* generate_record.h - one access record of the sample input, as JSON text. */
#ifndef GM_RUN_GENERATE_RECORD_H
#define GM_RUN_GENERATE_RECORD_H

#include "base/arena.h"
#include "run/generate_data.h"

/* xoshiro256** (Blackman and Vigna), seeded by splitmix64: the same numbers on every machine. */
struct gm_random {
	uint64_t state[4];
};
void gm_random_seed(struct gm_random *random, uint64_t seed);
uint64_t gm_random_next(struct gm_random *random);
/* 0 .. bound - 1; bound > 0. */
uint64_t gm_random_below(struct gm_random *random, uint64_t bound);
/* True in `share` of the cases, 0 .. 1. */
bool gm_random_chance(struct gm_random *random, double share);

/* What is wrong with a record. Those before GM_BAD_TOLERATED cannot be used by a job that requires the timestamp. */
enum gm_bad {
	GM_BAD_BROKEN,       /* a JSON error in the middle */
	GM_BAD_TRUNCATED,    /* cut off, then a line break */
	GM_BAD_NOT_OBJECT,   /* a string, a number, null */
	GM_BAD_NO_TIMESTAMP, /* the key is absent */
	GM_BAD_NULL_TIMESTAMP,
	GM_BAD_TEXT_TIMESTAMP, /* a date where milliseconds should be */
	GM_BAD_FAR_TIMESTAMP,  /* beyond the year 9999 */
	GM_BAD_TEXT_PAYLOAD,   /* the payload is text, not an object */
	GM_BAD_TOLERATED,
	GM_BAD_WRONG_TYPES = GM_BAD_TOLERATED, /* text where numbers should be: becomes null, counted */
	GM_BAD_UTF8,                           /* bytes that are no UTF-8 */
	GM_BAD_SURROGATE,                      /* half a surrogate pair, escaped */
	GM_BAD_COUNT,
	GM_GOOD = GM_BAD_COUNT
};

enum { GM_RECORD_MAX_BYTES = 4096, GM_UUID_BYTES = 36 };

/* The people, ids, addresses and agents of one sample; made once from the seed. */
struct gm_population;
enum gm_code gm_population_new(struct gm_random *random, struct gm_arena *arena, struct gm_population **out,
                               struct gm_error *err) GM_CHECK;

/* Writes the record of time_ms to text[0 .. GM_RECORD_MAX_BYTES) without a line break; returns its length. */
size_t gm_record_write(const struct gm_population *population, struct gm_random *random, int64_t time_ms,
                       enum gm_bad bad, char *text);
/* Writes a random UUID (version 4), 36 characters. */
void gm_uuid_write(struct gm_random *random, char *text);

#endif
