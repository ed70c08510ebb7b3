/* sim.h - the real run code on a store in memory, with a scheduler that a seed drives.
 *
 * A schedule is one small life of a table: runners of one or two jobs, of two versions of a job file, of two engines,
 * which start, are delayed, fail and die, while objects come, change and go. Each call a runner makes on a store is one
 * step; between two steps anybody may act. All choices come from one seed, so the seed is the schedule.
 *
 *   scenario.c what may happen, drawn from the seed
 *   play.c     a schedule: gives turns, in the end lets everybody die and one clean run a job finish
 *   runner.c   the processes: what they are sent for, how they may end
 *   turns.c    threads that take turns
 *   store.c    a runner's view of a store: its steps, and what goes wrong in them
 *   effects.c  what calls do to the table, at once, late, or again
 *   world.c    the jobs, and the objects of their sources
 *   others.c   other writers of the table
 *   rows.c     which rows a data file holds
 *   oracle.c   what must be true of the table after every effect, and at the end
 *   commits.c  what must be true of a commit
 *   books.c    what a committed run says about itself
 *   reader.c   a reader of the log */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "job/job.h"
#include "run/run.h"
#include "sim/random.h"
#include "sim/turns.h"
#include "store/store.h"

enum {
	SIM_SLOTS = 4,    /* runners at once */
	SIM_JOBS = 2,     /* ids of jobs */
	SIM_EDITIONS = 2, /* of a job's file */
	SIM_ENGINES = 2,
	SIM_PARTS = 3, /* partitions */
	SIM_KEYS = 2048,
	SIM_ROWS = SIM_KEYS * SIM_PARTS, /* a row is a key in a partition */
	SIM_OBJECTS = 256,
	SIM_OBJECT_ROWS = 8,
	SIM_KEY_ROOM = 1024, /* of a store's key */
};

/* --- What may happen ---------------------------------------------------------------------------------------------- */

enum sim_errand {
	SIM_RUN,
	SIM_READ, /* no runner of a job: a reader of the log */
	SIM_DRY_RUN,
	SIM_ABANDON,
	SIM_REWIND,
	SIM_FORGET,
	SIM_STEPS,  /* a run in pieces: plan, keys, files, commit */
	SIM_WORK,   /* a unit of some plan, alone */
	SIM_COMMIT, /* of some plan, alone */
	SIM_ERRANDS,
};

/* Does the second job read the first one's source? */
enum sim_shared {
	SIM_SHARED_NOT,
	SIM_SHARED_NEW,     /* and processes everything itself */
	SIM_SHARED_ADOPTED, /* and takes over what the first has processed */
};

/* Chances are per mille: of each step (the first two lines), each turn (the third), each start (errands), each
 * record. */
struct sim_scenario {
	unsigned die_before, die_after, fail, lose, late, repeat;
	unsigned doze; /* of each write: the runner stands still right before it */
	unsigned sleep, deliver, arrive, overwrite, vanish, intrude, append, delete, expire, interrupt;
	unsigned errand[SIM_ERRANDS]; /* other than a run */
	unsigned bad, redelivered;
	unsigned slots, starts, jobs, editions, engines, parts;
	unsigned longest_sleep, burst;  /* steps */
	unsigned objects, most_objects; /* at the start, in all */
	uint64_t file_bytes;
	enum gm_on_change on_change;
	enum sim_shared shared;
	bool paged;       /* listings are cut, and others act between the pages */
	bool consuming;   /* publishing consumes what was staged, as completing an upload does */
	bool fresh_table; /* no hash key yet */
	bool strict;      /* some runners have a quarantine limit that they will exceed */
	bool foreign;     /* another writer made the table, and wants checkpoints more often */
	bool old;         /* the clocks say that everything is old enough to be cleaned away */
};

/* How the store may lie, to show that the oracle sees what comes of it. */
#define SIM_LIES(X)                                                                         \
	X(NONE, "none", "")                                                                     \
	X(OVERWRITE_CLAIMS, "overwrite-claims", "put-if-absent of a claim overwrites")          \
	X(OVERWRITE_PLANS, "overwrite-plans", "put-if-absent of a plan overwrites")             \
	X(OVERWRITE_LOG, "overwrite-log", "put-if-absent of the log's next version overwrites") \
	X(FORGET_CLAIMS, "forget-claims", "some claims are answered and not kept")              \
	X(FORGET_LOG, "forget-log", "some versions of the log are answered and not kept")       \
	X(FORGET_MANIFESTS, "forget-manifests", "some manifests are answered and not kept")     \
	X(FORGET_BOOKS, "forget-books", "some books of runs are answered and not kept")         \
	X(FORGET_DATA, "forget-data", "some files are published by the answer alone")           \
	X(FORGET_CLOSED, "forget-closed", "marks of closed plans are answered and not kept")    \
	X(KEEP_DATA, "keep-data", "removals of published files are answered and not done")      \
	X(KEEP_WORK, "keep-work", "removals of staged files are answered and not done")
enum sim_lie {
#define X(name, word, text) SIM_LIE_##name,
	SIM_LIES(X)
#undef X
};

struct sim_counts {
	uint64_t schedules, steps, runs, crashes, failures, lost, late, repeated, stale, commits, dead_plans, checkpoints,
	    cleaned, ghosts, expired;
};

/* --- The world ---------------------------------------------------------------------------------------------------- */

struct sim_row {
	uint16_t row;
	bool other; /* its content is not that of the first record with this key */
};

struct sim_object { /* one content that a source's object had at some time */
	unsigned source;
	char key[32];
	uint64_t size;
	int64_t mtime_us;
	bool present, changed;                /* changed: overwritten or removed by now */
	struct sim_row rows[SIM_OBJECT_ROWS]; /* in order, duplicates included */
	unsigned row_count, bad;              /* bad: records that will be rejected */
};

struct sim_who { /* works: which edition of the job's file, which engine */
	unsigned edition, engine;
};

struct sim;
struct sim_runner {
	struct sim_actor actor;
	struct sim *sim;
	unsigned number; /* of this start */
	enum sim_errand errand;
	unsigned job, edition, engine;
	struct gm_store *source, *table;
	struct gm_run_options options;
	struct gm_run_result result;
	struct gm_error error;
	enum gm_code code;
	int64_t clock_us;
	bool active, strict;
	bool adoptable;                      /* when it started the first job had state */
	bool dead;                           /* every further call fails and does nothing */
	bool drowsy;                         /* it is about to write, and will stand still first */
	bool hurt;                           /* it has seen a failure that the scheduler made */
	volatile int stop;                   /* somebody pressed Ctrl-C */
	unsigned shaky;                      /* calls that fail more often than others */
	uint64_t wake_at;                    /* step; 0: awake */
	uint64_t commits_then;               /* when it fell asleep */
	uint64_t cleaned_then, expired_then; /* when it started */
};

struct sim_late; /* an effect that is still to come */
struct sim_oracle;

struct sim {
	uint64_t seed;
	struct sim_random random;
	struct sim_scenario scenario;
	enum sim_lie lie;
	bool verbose;
	bool faults; /* may anything go wrong now? */
	struct gm_store *table, *sources[SIM_JOBS];
	struct sim_turns turns;
	struct sim_runner runners[SIM_SLOTS + 1]; /* the last is for clean runs */
	struct sim_late *late;
	size_t late_count;
	struct sim_object objects[SIM_OBJECTS];
	size_t object_count;
	unsigned key_count;
	uint8_t part_of[SIM_KEYS]; /* where each key came first */
	bool apart[SIM_KEYS];      /* in a file of others that is not in the log yet: no object has it */
	uint64_t newest_plan[SIM_JOBS];
	unsigned others; /* files and commits of other writers so far */
	struct sim_oracle *oracle;
	struct sim_counts counts;
	uint64_t writes;      /* effects on the table so far */
	uint64_t trace;       /* hash of all lines of the trace */
	char violation[1024]; /* the first one; "" if none */
};

/* play.c: one schedule; false: a violation, told in sim->violation. The caller gives seed, lie and verbose. */
bool sim_play(struct sim *sim);
void sim_trace(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_violation(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* scenario.c */
void sim_scenario_draw(struct sim *sim);

/* runner.c */
void sim_runner_start(struct sim *sim, struct sim_runner *runner, unsigned job, struct sim_who who);
/* Gives it a turn of 1 + burst steps; buries it if that was its last. */
void sim_runner_turn(struct sim_runner *runner, unsigned burst);
/* It has ended: well? */
void sim_runner_bury(struct sim_runner *runner);
void sim_runner_kill(struct sim_runner *runner);

/* world.c */
void sim_world_open(struct sim *sim);
void sim_world_close(struct sim *sim);
const struct gm_job *sim_job(const struct sim *sim, unsigned job, unsigned edition);
const char *sim_job_id(unsigned job);
unsigned sim_source_of(const struct sim *sim, unsigned job);
const char *sim_engine_id(unsigned engine);
void sim_object_arrives(struct sim *sim);
void sim_object_is_overwritten(struct sim *sim);
void sim_object_vanishes(struct sim *sim);

/* others.c: other writers of the table, who know the log or do not, and what clears up after uploads. */
/* A data file appears in a partition's folder, with keys that nobody else has. */
void sim_file_intrudes(struct sim *sim);
/* Others commit a file, perhaps with keys that a run of ours is about to commit, but none that the table has. */
void sim_others_append(struct sim *sim);
/* Others remove a file from the log, and from its folder. */
void sim_others_delete(struct sim *sim);
/* What somebody staged is cleared away as an upload that was never completed. */
void sim_staged_expires(struct sim *sim);
/* What an operator does about an object that was overwritten after it had been processed: gives it a new name. */
bool sim_object_is_renamed(struct sim *sim, unsigned source, const char *key);
/* Any that ever was; NULL: none. */
const struct sim_object *sim_object_any(struct sim *sim, unsigned source);
/* The object as it was with that mtime; NULL: never. */
const struct sim_object *sim_object_find(const struct sim *sim, unsigned source, const char *key, int64_t mtime_us);
bool sim_object_was_changed(const struct sim *sim, unsigned source, const char *key);
void sim_row_name(unsigned row, char out[32]);
/* A key that nobody has had, in a partition. */
unsigned sim_key_new(struct sim *sim);

/* store.c: the runner's view of a store; closing it leaves `inner` alone. */
struct gm_store *sim_store_new(struct sim_runner *runner, struct gm_store *inner);

/* effects.c: what a call that writes does to the table. Texts and bytes are the caller's. */
enum sim_effect_kind { SIM_PUT, SIM_PUT_IF_ABSENT, SIM_REMOVE, SIM_PUBLISH, SIM_DISCARD };
struct sim_effect {
	enum sim_effect_kind kind;
	const char *key, *token; /* token: of publish and discard */
	const void *data;
	size_t bytes;
};
const char *sim_effect_name(enum sim_effect_kind kind);
enum gm_code sim_effect_apply(struct sim *sim, const struct sim_effect *effect, struct gm_error *err);
void sim_effect_later(struct sim *sim, const struct sim_effect *effect);
/* Lets one of them happen. */
void sim_effect_deliver(struct sim *sim);
void sim_effects_drop(struct sim *sim);

/* rows.c: the rows of a data file, in the partition that its path says; free() them. False: a violation. */
struct sim_rows {
	struct sim_row *rows;
	size_t count;
	char engine[64], job_hash[40]; /* whose work it is, as its footer says */
	bool twice;                    /* it has the second edition's column */
};
bool sim_rows_read(struct sim *sim, const char *path, const uint8_t *data, size_t bytes, struct sim_rows *out);

/* oracle.c */
struct sim_oracle *sim_oracle_new(void);
void sim_oracle_free(struct sim_oracle *oracle);
/* The object `key` of the table was written or removed. */
void sim_oracle_saw(struct sim *sim, const char *key);
/* Everybody is gone, a clean run of every job has ended: is everything there, and nothing else? */
void sim_oracle_end(struct sim *sim);
bool sim_oracle_has_state(const struct sim *sim, unsigned job);
bool sim_oracle_committed(const struct sim *sim, unsigned job, uint64_t run);
uint64_t sim_oracle_commits(const struct sim *sim);
/* May the runner have put this claim? It must not, if more was rejected than it allows. */
void sim_oracle_check_claim(struct sim_runner *runner, const char *key);
/* For others.c: is the row in a committed file? The path of any committed file; NULL: there is none. */
bool sim_oracle_holds(const struct sim *sim, unsigned row);
const char *sim_oracle_any_file(struct sim *sim);
/* The work folder of the plan that made the data file; false: it is of others. */
bool sim_oracle_work_of(const char *path, char work[SIM_KEY_ROOM]);

/* reader.c: reads the log as a Delta reader does, in steps, and compares what it sees with what was committed. */
enum gm_code sim_read_log(struct sim_runner *runner, struct gm_error *err);

/* books.c: what runs/<n>.json.zst says. */
struct sim_books_file {
	char path[SIM_KEY_ROOM];
	uint64_t bytes, rows;
	char hash[40];
};
struct sim_books_input {
	const struct sim_object *object;
	uint64_t read, written, duplicates, conflicts, filtered, quarantined;
};
struct sim_books {
	uint64_t run, parent;
	char own_hash[40]; /* of its text */
	char engine[64], job_hash[40];
	struct sim_books_file *files;
	size_t file_count;
	struct sim_books_input *inputs;
	size_t input_count;
};
/* False: a violation. */
bool sim_books_read(struct sim *sim, unsigned job, const char *key, struct sim_books *books);
void sim_books_release(struct sim_books *books);
/* A JSON file of the table, plain or zstd; NULL: it is not there, or a violation. */
struct json_t *sim_json_read(struct sim *sim, const char *key);
/* Whole content of an object; false: it is not there. */
bool sim_object_bytes(struct gm_store *store, const char *key, struct gm_buf *buf);

#endif
