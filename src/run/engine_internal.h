/* engine_internal.h - what engine.c, worker.c and collect.c share: see engine.h for the picture. */
#ifndef GM_RUN_ENGINE_INTERNAL_H
#define GM_RUN_ENGINE_INTERNAL_H

#include "base/stopwatch.h"
#include "run/dedupe.h"
#include "run/replay.h"

/* What a worker hands to the collector: a chunk, or a piece of a rejected span. */
struct gm_item {
	struct gm_item *next;
	struct gm_chunk *chunk;
	size_t bytes; /* what it counts against the queue's limit */
	/* of a rejected piece: */
	struct gm_reject reject;
	bool last;
	char column[128], detail[256];
	const char *object; /* that it comes from, behind the data; NULL: the input */
	size_t data_bytes;
	uint8_t data[];
};

struct gm_object_work {
	struct gm_item *first, *last;
	bool ended;                     /* its worker has read all of it */
	bool opening;                   /* ahead of need, by a worker that is at it */
	struct gm_store_reader *reader; /* that was opened ahead and is not taken yet */
	struct gm_balance balance;      /* the worker's part until ended, then the collector's */
	uint64_t collected_rows;
	struct gm_dedupe_counts counts;
};

struct gm_worker {
	struct gm_engine *engine;
	pthread_t thread;
	struct gm_shredder *shredder;
	struct gm_deriver *deriver;
	struct gm_key_hasher *hasher; /* NULL, both: the table has no unique key */
	struct gm_content_hasher *content;
	struct gm_parquet_encoder *encoder;
	struct gm_spill_reader *spilled;
	struct gm_slice *slices;
	void **loaded; /* memory of spilled columns behind the slices */
	struct gm_vec *loaded_vecs;
	size_t slice_room;
	struct gm_store_reader *reader;
	struct gm_replay *replay; /* NULL until a quarantine file comes */
	bool replaying;           /* the object in hand is one */
	size_t object;            /* in hand; NO_OBJECT */
	size_t large_bytes;       /* what its window takes for a large record; under the engine's lock */
	uint64_t nulled_before;
	struct gm_balance rejected; /* derive's rejects of the object in hand: rows and bytes */
};

enum { GM_NO_OBJECT = -1 };

struct gm_engine {
	struct gm_engine_options options;
	int threads;
	struct gm_worker *workers;
	struct gm_chunk_pool *pool;
	struct gm_parquet_spare *spare;
	struct gm_dedupe *dedupe; /* NULL: the table has no unique key */
	uint32_t *column_slots;
	size_t column_count;
	size_t queue_limit, pending_limit, groups_limit, large_limit;
	size_t ahead_limit; /* readers that are opened before they are needed */

	/* The unit in hand. */
	const struct gm_unit_spec *unit;
	struct gm_unit_result *result;
	struct gm_spill *spill;
	struct gm_pending *pending;
	struct gm_quarantine *quarantine;
	struct gm_stopwatch *watch; /* that the workers take part in; NULL: none */
	struct gm_object_work *objects;
	char samples[GM_ENGINE_SAMPLES][768]; /* of rejected spans */
	size_t sample_count;

	/* Under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* there may be something to do */
	pthread_cond_t idle;    /* running became 0 */
	size_t next_object;     /* to be taken */
	size_t next_ahead;      /* to be opened before it is taken */
	size_t head;            /* the oldest not collected */
	int reading;            /* workers that have an object in hand */
	size_t queued_bytes;
	bool collecting, flushed;
	struct gm_row_group *first_group, *last_group; /* with leaves that no worker has taken */
	size_t group_bytes;                            /* of the chunks they hold */
	size_t groups;                                 /* cut and not yet appended */
	uint64_t encoding_weight;                      /* of those with a leaf that was taken and is not done */
	size_t large_bytes;                            /* of all workers' windows for large records */
	size_t running;                                /* workers */
	bool stopped;                                  /* the first failure, or a signal */
	enum gm_code code;
	struct gm_error error;

	/* Atomic. */
	struct gm_engine_progress progress;
};

/* worker.c */
void *gm_worker_main(void *context);
enum gm_code gm_worker_init(struct gm_worker *worker, struct gm_engine *engine, struct gm_error *err) GM_CHECK;
void gm_worker_release(struct gm_worker *worker);
/* Remembers the first failure and stops everybody. Call without the lock. */
void gm_engine_fail(struct gm_engine *engine, enum gm_code code, const struct gm_error *err);

/* collect.c: with `collecting` held by the caller. Takes what the oldest object has ready; at the end of the unit,
 * flushes. */
enum gm_code gm_collect(struct gm_engine *engine, struct gm_error *err) GM_CHECK;
enum gm_code gm_collect_cut(void *context, struct gm_row_group *group, struct gm_error *err) GM_CHECK;
/* Is there anything to collect, and room for what comes of it? With the lock. */
bool gm_collect_ready(const struct gm_engine *engine);

/* encode.c */
enum gm_code gm_encode_leaf(struct gm_worker *worker, struct gm_row_group *group, size_t leaf,
                            struct gm_error *err) GM_CHECK;
/* All leaves of one of the partition's groups are encoded: append what is complete and first in line. The group itself
 * may be gone by now: whoever was appending has seen that it was complete. */
enum gm_code gm_encode_finish(struct gm_engine *engine, struct gm_partition *partition, struct gm_error *err) GM_CHECK;

#endif
