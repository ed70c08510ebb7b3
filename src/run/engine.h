/* engine.h - the work on one unit: its objects become staged files, a quarantine file and books. Nothing it does is
 * visible.
 *
 * Threads and order. Every worker owns a shredder, a deriver and an encoder, and does whatever is most useful next:
 *   encode   one column of a row group that has been cut          (any number at once; frees memory, so it comes first)
 *   collect  take the finished chunks of the oldest object, drop duplicates, route rows, cut row groups
 *            (one worker at a time, in plan order: this alone decides what the files hold)
 *   shred    turn the next half megabyte of its object into a chunk    (any number at once)
 *   inflate  the next half megabyte of another worker's object, which that one will shred (see shred/blocks.h)
 * Objects are shredded out of order and collected in order, so the bytes do not depend on the number of threads. A
 * worker whose object is not the oldest stops shredding while too much waits to be collected; the oldest never does, so
 * there is always progress. Where the source is far away, objects are opened before a worker is free for them: the
 * store fetches what comes next while this is worked.
 *
 * While there are objects for all workers, each inflates its own. When there are fewer, at the end of a unit or because
 * there is but one large object, reading the objects is what all wait for: a worker that has one goes on with it before
 * all else, as long as the queue has room, and the others inflate for it first, then collect and encode. Inflated
 * blocks wait in front of the shredder, chunks in the queue behind it, and both have an end, so that memory is
 * bounded and a reader that is too far ahead turns to encoding. Who inflates a block decides nothing: blocks are cut
 * by their number of bytes, a record that straddles two is read by the one shredder that has the object, and its
 * rejects and their offsets come from there. */
#ifndef GM_RUN_ENGINE_H
#define GM_RUN_ENGINE_H

#include "job/derive.h"
#include "run/output.h"
#include "table/delta.h"
#include "table/keyset.h"
#include "table/ndjson.h"
#include "table/quarantine.h"

struct gm_input {    /* an object as the plan saw it */
	const char *key; /* relative to the source; or a quarantine file of the table: see replay.h */
	uint64_t size;
	int64_t mtime_us;
	const char *etag;
};

struct gm_engine_options {
	const struct gm_job *job;
	struct gm_store *source, *table; /* table NULL: a dry run */
	int threads;
	uint64_t memory_bytes;
	int64_t now_us;            /* when the plan was made */
	const char *scratch;       /* local folder for spill files */
	const uint8_t *key_secret; /* GM_KEY_SECRET_BYTES */
	/* What the table held at the version that the plan was made at (NULL: nothing), and where its files and quarantine
	 * files are, in a dry run too. Both must outlive the engine. */
	const struct gm_delta_log *log;
	struct gm_store *log_store;
	const volatile int *stop; /* may be NULL */
};

struct gm_unit_spec {
	uint64_t number;
	const struct gm_input *inputs;
	size_t input_count;
	struct gm_output_plan output;
	uint64_t group_rows, group_weight;
	/* Final keys in the table of what is kept beside the data files. The last three are of tables with a unique key;
	 * NULL: not to be kept. */
	const char *quarantine_key;
	const char *keys_key;       /* the unit's keys, for later units and for the commit: see table/keyfile.h */
	const char *conflicts_key;  /* see table/conflicts.h */
	const char *duplicates_key; /* see table/duplicates.h */
	/* Make nothing but the list of the unit's keys, each once, without a look at the table or at other units: so that
	 * later units need not wait for this one. Whoever works units for their keys does so with an engine of its own. */
	bool keys_only;
};

struct gm_unit_result {
	struct gm_outputs outputs;             /* files */
	struct gm_balance *objects;            /* one per input */
	char quarantine_token[GM_TOKEN_BYTES]; /* "" if nothing was rejected */
	uint64_t quarantine_bytes, quarantine_hash[2];
	char keys_token[GM_TOKEN_BYTES]; /* "": none */
	struct gm_kept_file conflicts, duplicates;
	const char *const *partitions; /* that records of the unit belong to, kept or not: Hive paths in bytewise order */
	size_t partition_count;
};

/* Counters for progress, read from any thread. */
struct gm_engine_progress {
	uint64_t objects, bytes, bytes_raw, records;
};

struct gm_engine;
enum gm_code gm_engine_new(const struct gm_engine_options *options, struct gm_engine **out,
                           struct gm_error *err) GM_CHECK;
void gm_engine_free(struct gm_engine *engine);
/* Loads the keys a finished unit left, so that later units see them; in the order of the units. */
enum gm_code gm_engine_load_keys(struct gm_engine *engine, const char *key, struct gm_error *err) GM_CHECK;
/* Works the unit; tick is called from this thread every tenth of a second. The result is the caller's to release, only
 * after OK. CHANGED: an input is not what the plan says. */
typedef void gm_tick_fn(void *context);
enum gm_code gm_engine_work(struct gm_engine *engine, const struct gm_unit_spec *unit, gm_tick_fn *tick, void *context,
                            struct gm_unit_result *result, struct gm_error *err) GM_CHECK;
void gm_unit_result_release(struct gm_unit_result *result);
/* Drops what the unit staged, as far as that can be done: for one whose manifest could not be written, or whose twin
 * was first. */
void gm_unit_result_discard(const struct gm_unit_result *result, struct gm_store *table);
/* The first few rejected spans of the units worked so far, a line for people each; NULL past the last. */
enum { GM_ENGINE_SAMPLES = 5 };
const char *gm_engine_sample(const struct gm_engine *engine, size_t i);
/* The same of conflicts: duplicates that say something else than the row that was kept. */
const char *gm_engine_conflict(const struct gm_engine *engine, size_t i);
void gm_engine_progress(const struct gm_engine *engine, struct gm_engine_progress *progress);

#endif
