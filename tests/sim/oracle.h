/* oracle.h - what the oracle knows of the table, from looking at every effect on it. */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "sim/sim.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct sim_file { /* visible in a partition folder */
	char *path;
	XXH128_hash_t hash;
	uint64_t bytes;
	struct sim_row *rows;
	size_t row_count;
	char engine[64], job_hash[40]; /* as its footer says */
	bool twice;                    /* it has the second edition's column */
	unsigned job;                  /* its name says that it is of this job and run; SIM_JOBS: of others */
	uint64_t run;
	bool committed, removed;     /* removed: from the log, by others */
	int64_t version, removed_at; /* of the commits */
};

struct sim_commit {
	int64_t version;
	unsigned job; /* SIM_JOBS: another writer's */
	uint64_t run, parent;
	bool empty;              /* of a plan without units */
	bool cleaned;            /* its entry was removed when it was old */
	bool known[SIM_OBJECTS]; /* the job's bookmark after it */
};

struct sim_claim {
	unsigned job;
	uint64_t plan;
};

struct sim_closed {
	unsigned job;
	uint64_t plan;
};

struct sim_oracle {
	struct sim_file *files;
	size_t file_count, file_room;
	struct sim_commit *commits; /* by version: all are ours */
	size_t commit_count, commit_room;
	struct sim_claim *claims; /* claim k is claims[k - 1] */
	size_t claim_count, claim_room;
	struct sim_closed *closed;
	size_t closed_count, closed_room;
	char **named; /* files that committed runs name beside their data: quarantine */
	size_t named_count;
	int64_t checkpoint;                /* the newest; -1: none */
	bool twice;                        /* the table has the second edition's column */
	uint64_t head[SIM_JOBS];           /* the last committed plan: the job's transaction */
	uint64_t claim_committed;          /* the claims' transaction */
	bool known[SIM_JOBS][SIM_OBJECTS]; /* the bookmarks: as which content an object was processed last */
	uint8_t shown[SIM_ROWS];           /* in how many visible files */
	bool held[SIM_ROWS];               /* in a committed one */
	bool other[SIM_ROWS];              /* with which content */
	bool deleted[SIM_ROWS];            /* others have removed it at some time */
	uint8_t theirs[SIM_ROWS];          /* in how many visible files of others */
};

void *sim_grow(void *array, size_t *room, size_t count, size_t bytes_each);
struct sim_file *sim_file_find(struct sim_oracle *oracle, const char *path);
const struct sim_commit *sim_commit_find(const struct sim_oracle *oracle, unsigned job, uint64_t run);
bool sim_plan_closed(const struct sim_oracle *oracle, unsigned job, uint64_t plan);
/* Everything that a Hive reader sees may be seen. */
void sim_check_readers(struct sim *sim);
/* Is the key there? */
bool sim_exists(struct sim *sim, const char *key);
bool sim_is_data(const char *key);
/* "_gristmill/<job>/<folder>/<n><suffix>": job and n, or false. suffix NULL: any. */
bool sim_is_state(const char *key, const char *folder, const char *suffix, unsigned *job, uint64_t *n);
void sim_state_key(char key[SIM_KEY_ROOM], unsigned job, const char *folder, uint64_t n, const char *suffix);
/* A member of a plan: a number. */
uint64_t sim_plan_number(struct sim *sim, unsigned job, uint64_t plan, const char *member);

/* commits.c: _delta_log/<version>.json or <version>.checkpoint.parquet appeared, or was removed. */
void sim_commit_saw(struct sim *sim, int64_t version, const char *key);
void sim_checkpoint_saw(struct sim *sim, int64_t version, const char *key);

#endif
