/* output.h - the Parquet files of a unit: opened when a partition's first row group is appended, closed at the target
 * size or with the partition's last group, staged and not visible. */
#ifndef GM_RUN_OUTPUT_H
#define GM_RUN_OUTPUT_H

#include "job/job.h"
#include "parquet/writer.h"
#include "run/pending.h"
#include "run/version.h"
#include "store/store.h"

#include <pthread.h>

/* A finished, staged file: what the unit's manifest says of it. Strings live in the outputs' arena. */
struct gm_staged_file {
	const char *path;      /* its key in the table */
	const char *partition; /* Hive path */
	const char *token;     /* to publish it with; "" in a dry run */
	uint64_t rows, bytes;
	uint64_t hash[2];                              /* XXH3-128 of the whole file */
	uint64_t content_hash[2];                      /* of what stands before the footer */
	const struct gm_parquet_column_stats *columns; /* per job column */
};

/* What names and shapes the files of a unit. */
struct gm_output_plan {
	const struct gm_job *job;
	struct gm_store *table;  /* NULL: a dry run */
	const char *work_prefix; /* of gm_layout; ends in "/" */
	const char *job8, *h16;
	const char *engine; /* id, for the footer */
	uint64_t run, unit, file_bytes;
};

struct gm_outputs {
	const struct gm_output_plan *plan;
	struct gm_parquet_node *nodes;
	size_t node_count;
	struct gm_parquet_options options;
	struct gm_parquet_writer *model; /* writes nothing: the schema that encoders read */
	pthread_mutex_t lock;            /* of what follows */
	struct gm_arena arena;
	struct gm_staged_file *files;
	size_t file_count, file_room;
};

enum gm_code gm_outputs_init(struct gm_outputs *outputs, const struct gm_output_plan *plan,
                             struct gm_error *err) GM_CHECK;
void gm_outputs_release(struct gm_outputs *outputs);
/* Appends an encoded row group to its partition's file; takes the group's columns. One thread at a time per partition.
 */
enum gm_code gm_outputs_append(struct gm_outputs *outputs, struct gm_row_group *group, struct gm_error *err) GM_CHECK;
/* Drops the partition's open file, if any: for runs that fail. */
void gm_output_abandon(struct gm_partition *partition);
/* In the order of their paths. */
void gm_outputs_sort(struct gm_outputs *outputs);

#endif
