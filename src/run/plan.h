/* plan.h - what a run will do, written down before it does it.
 *
 * A plan names its parent (the job's plan that was committed last), the version of the table it was made at, the engine
 * and the job it was made with, the sizes that decide where files and row groups end, and its units: lists of source
 * objects in plan order, the bytewise order of their keys. Everything that decides an output byte is in it, so whoever
 * resumes it makes the same bytes; and everything that a commit says of the table, so that whoever finds the plan
 * claimed can finish it without its job file.
 *
 * A plan without units changes the job's state and nothing else: it ends another plan with the same parent, or moves
 * the bookmark. It is committed under the same rules. */
#ifndef GM_RUN_PLAN_H
#define GM_RUN_PLAN_H

#include "run/engine.h"
#include "run/layout.h"
#include "run/source.h"
#include "table/delta.h"

struct gm_plan_unit {
	const struct gm_input *inputs;
	size_t count;
	char h16[17]; /* in the names of its files: engine, job, parent and the unit's inputs with their sizes */
};

enum gm_plan_kind {
	GM_PLAN_RUN,    /* processes its inputs */
	GM_PLAN_END,    /* ends plan number `ends`: it could not be finished, or was given up */
	GM_PLAN_REWIND, /* forgets the objects modified later than to_us */
	GM_PLAN_FORGET, /* forgets the objects `keys` */
	GM_PLAN_ADOPT,  /* takes over what job `adopts` has processed up to its run `ends` */
	GM_PLAN_IMPORT, /* puts files into the log that others put into the table's folders */
};

/* The word for it in plans and reports. */
const char *gm_plan_kind_name(enum gm_plan_kind kind);

struct gm_plan {
	struct gm_arena arena;
	enum gm_plan_kind kind;
	uint64_t number, parent;           /* parent 0: no run before */
	int64_t version;                   /* of the table, whose rows its own are compared with; -1: it had no commit */
	int64_t created_us;                /* stands for "now" in every decision */
	int64_t full_us;                   /* when the source was last listed in full, this plan included; 0: it must be */
	const char *engine, *source, *job; /* job: its id */
	char job_hash[GM_HEX128_BYTES];
	/* What its commit says of the table. metadata NULL: what the log has stays. */
	const struct gm_delta_metadata *metadata;
	const struct gm_delta_field *unique_by; /* names and types */
	size_t unique_count;
	/* Of plans without units. */
	uint64_t ends;
	int64_t to_us;
	const char *const *keys;
	size_t key_count;
	const struct gm_delta_file *imports; /* in the order of their paths */
	size_t import_count;
	const char *adopts, *reason, *who; /* "" if not told */
	uint64_t file_bytes, group_rows, group_weight;
	struct gm_plan_unit *units;
	size_t unit_count;
	struct gm_input *inputs; /* of all units */
	size_t input_count;
	uint64_t bytes; /* stored bytes of all inputs */
};

/* Quarantine files that a plan takes in place of the source's objects. */
struct gm_replay_choice {
	struct gm_store *table;
	const struct gm_layout *layout;
	uint64_t until;       /* of runs up to this one: what a replay itself rejects again is not its own input */
	const uint64_t *runs; /* of these alone */
	size_t run_count;     /* 0: of all */
};

struct gm_plan_request {
	const struct gm_job *job;
	struct gm_store *source;
	struct gm_bookmark *bookmark;
	const struct gm_delta_log *log; /* NULL: the table has no commit */
	uint64_t parent, limit_objects; /* limit 0: all */
	const char *engine;
	/* full_us: of the plan that was committed last; 0: none, or it is not known. With source.lookback the source is
	 * listed in full when that is a day ago. */
	int64_t now_us, full_us;
	const char *after; /* list only what comes after this key, and no more than fills the plan; NULL: all */
	const struct gm_replay_choice *replay; /* NULL: an ordinary run */
	struct gm_plan_listing *listing;       /* filled, also when nothing is new; may be NULL */
	/* Called now and then while the source is listed, which may take long; a failure ends the listing. May be NULL. */
	enum gm_code (*go_on)(void *context, struct gm_error *err);
	void *go_on_context;
};

/* What the listing of the source came to. */
struct gm_plan_listing {
	bool full;            /* all of the source was listed */
	uint64_t objects;     /* that were listed and not skipped */
	uint64_t left;        /* new ones that the plan has no room for; with `after` the first one ends the listing */
	uint64_t changed;     /* processed with other content than they have now: */
	uint64_t reprocessed; /* of these, inputs of the plan again; the others are ignored */
};

/* Lists the source, leaves out what is processed, hidden or temporary, and cuts units. *out == NULL: nothing is new.
 * The plan's number is not given yet. CHANGED: an object that was processed has other content now, and the job does
 * not say what to do (source.on_change). */
enum gm_code gm_plan_make(const struct gm_plan_request *request, struct gm_plan **out, struct gm_error *err) GM_CHECK;
/* Since when the source is to be listed: folders named by an earlier time are left out; INT64_MIN: none are. */
enum gm_code gm_plan_listed_since(const struct gm_plan_request *request, int64_t *since_us,
                                  struct gm_error *err) GM_CHECK;
/* A plan without units, to be filled in. */
enum gm_code gm_plan_empty(const struct gm_plan_request *request, enum gm_plan_kind kind, struct gm_plan **out,
                           struct gm_error *err) GM_CHECK;
/* Gives the plan the number and writes it; EXISTS: the number is taken. */
enum gm_code gm_plan_write(struct gm_plan *plan, uint64_t number, struct gm_store *table,
                           const struct gm_layout *layout, struct gm_error *err) GM_CHECK;
enum gm_code gm_plan_read(struct gm_store *table, const struct gm_layout *layout, uint64_t number, struct gm_plan **out,
                          struct gm_error *err) GM_CHECK;
void gm_plan_free(struct gm_plan *plan); /* NULL is allowed */
/* Was it made by this engine for this job? */
bool gm_plan_is_ours(const struct gm_plan *plan, const struct gm_job *job, const char *engine);
/* Are its inputs quarantine files? */
bool gm_plan_is_replay(const struct gm_plan *plan);

#endif
