/* pending.h - rows between deduplication and encoding: which partition each goes to, and where a row group ends.
 *
 * Rows arrive in plan order, a chunk at a time, and wait per partition as segments: a chunk and the rows of it that
 * belong here. A row group is cut when the next row would carry it over the plan's limits of rows or weight, so its
 * rows follow from the input alone. When the waiting chunks exceed their share of memory, the partitions' segments go
 * to a spill file, the smallest partitions first: one late record must not hold a whole chunk in memory. Where all
 * partitions have a few rows of every chunk, all of them go; late rows go before memory is short.
 *
 * All calls come from one thread at a time: the one that collects. */
#ifndef GM_RUN_PENDING_H
#define GM_RUN_PENDING_H

#include "run/spill.h"

struct gm_segment {
	struct gm_chunk *chunk; /* a reference; NULL: spilled */
	const uint32_t *rows;   /* in chunk->arena; NULL: first .. first + count - 1 */
	uint32_t first, count;
	uint64_t spill_offset;
};

struct gm_partition;
struct gm_row_group {
	struct gm_partition *partition;
	struct gm_segment *segments;
	size_t segment_count;
	uint64_t rows, weight;
	size_t bytes; /* its share of the chunks it holds, or what its columns take when they are read back: what is more */
	bool last;    /* of its partition in this unit: the file ends with it */
	size_t next_leaf, done_leaves;
	struct gm_parquet_column_chunk **columns;
	struct gm_row_group *next;  /* in the encode queue */
	struct gm_row_group *later; /* of the same partition */
};

struct gm_partition {
	const char *path; /* Hive path, "" for an unpartitioned table */
	struct gm_segment *segments;
	size_t segment_count, segment_room;
	uint64_t rows, weight;    /* waiting */
	uint32_t stamp, in_chunk; /* scratch of gm_pending_add */
	uint32_t *fill;
	bool by_runs;
	struct gm_output *output;                      /* see output.h */
	struct gm_row_group *first_group, *last_group; /* cut, not yet appended */
	bool appending, finished;
	uint32_t sequence; /* of its next file */
};

struct gm_pending_limits {
	uint64_t group_rows, group_weight; /* pinned in the plan */
	size_t memory_bytes;               /* of waiting chunks */
	size_t partitions;
};

/* Takes a row group that has been cut; it owns the group from then on. */
typedef enum gm_code gm_group_fn(void *context, struct gm_row_group *group, struct gm_error *err);

struct gm_pending;
enum gm_code gm_pending_new(const struct gm_pending_limits *limits, struct gm_spill *spill, gm_group_fn *cut,
                            void *context, struct gm_pending **out, struct gm_error *err) GM_CHECK;
void gm_pending_free(struct gm_pending *pending);
/* Adds the rows of a chunk whose fate is KEEP and that are no duplicates (duplicate may be NULL); takes no reference of
 * the caller's. *kept is how many that were. */
enum gm_code gm_pending_add(struct gm_pending *pending, struct gm_chunk *chunk, const uint8_t *duplicate,
                            uint64_t *kept, struct gm_error *err) GM_CHECK;
/* Cuts what is left: one last group for each partition, in the order of their paths. */
enum gm_code gm_pending_flush(struct gm_pending *pending, struct gm_error *err) GM_CHECK;
/* All partitions that rows were meant for so far, those of duplicates included; in the order of their paths once
 * flushed. */
struct gm_partition **gm_pending_partitions(const struct gm_pending *pending, size_t *count);
size_t gm_pending_memory_bytes(const struct gm_pending *pending);
void gm_row_group_free(struct gm_row_group *group); /* NULL is allowed */

#endif
