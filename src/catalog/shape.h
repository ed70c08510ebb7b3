/* shape.h - the table as those who query it must see it: what catalog entries and CREATE TABLE statements are made of.
 *
 * Made from the table's log as it is now, which knows every column any job has written, and from the job file, which
 * knows names and comments. A table without a log has the job's columns and no partitions. */
#ifndef GM_CATALOG_SHAPE_H
#define GM_CATALOG_SHAPE_H

#include "job/job.h"
#include "store/store.h"

/* How an engine computes the values of a partition column instead of being told each partition (Athena User Guide,
 * "Supported types for partition projection"; Trino's hive connector reads the same properties). */
enum gm_projection_type {
	GM_PROJECTION_ENUM,    /* values: "2024,2025" */
	GM_PROJECTION_INTEGER, /* range: "1,12", with digits where values are padded with zeroes */
	GM_PROJECTION_DATE,    /* range: "2024-03-10,2024-04-01", format yyyy-MM-dd, of days */
};
struct gm_projection {
	enum gm_projection_type type;
	const char *values; /* ENUM */
	const char *range;  /* INTEGER, DATE: "first,last" */
	unsigned digits;    /* INTEGER: 0: not padded */
	const char *format; /* DATE: as Java writes it */
	uint64_t count;     /* how many values that makes */
};

struct gm_shape_column {
	const char *name, *comment; /* the name in lower case; comment "" if none */
	const char *spelt;          /* the name as the table has it, also in its folders */
	enum gm_type type;          /* if ours: the type of a column that a job can have; else another engine added it */
	bool ours;
	const char *hive_type;                  /* "bigint", "array<string>": never NULL */
	const struct gm_projection *projection; /* of a partition column that can be projected; else NULL */
};
struct gm_shape_partition {
	const char *path;                        /* relative to the table: "year=2024/month=03" */
	const struct gm_partition_value *values; /* as many as there are partition columns, in their order */
	uint64_t files, bytes, rows;
};
struct gm_shape {
	struct gm_arena arena;                 /* of everything below */
	const char *database, *name, *comment; /* "" if none; the first two in lower case */
	const char *location; /* with a slash at its end: "s3://bucket/prefix/", or the absolute path of a directory */
	struct gm_shape_column *columns, *partition_columns;
	size_t column_count, partition_column_count;
	struct gm_shape_partition *partitions; /* with live files, sorted by path */
	size_t partition_count;
	uint64_t files, bytes, rows; /* rows: 0 unless they were asked for */
	int64_t version;             /* of the log; -1: there is none */
	uint64_t rows_unknown;       /* files without statistics, whose rows are not among `rows` */
	/* Live files that do not lie in the folder of their partition, as others may write them: who goes by folders
	 * does not find them, who reads the log does. */
	uint64_t misplaced;
	uint64_t left_out; /* columns of a type that Hive has not */
	/* Why not every partition can be found by projection, in one line with what to do ("partition column 'x' is null in
	 * some rows: ..."); "" if all can. A table without files says so here where values would have to be known. */
	const char *unprojectable;
	const char *note; /* "", or one line about a projection that works and costs */
};

/* table: the opened store, NULL where the table does not exist yet. rows: count them, by the statistics of all files,
 * for which the log is read a second time. Memory is bounded by memory_bytes for the log and grows with the number of
 * partitions. To be released in any case. */
enum gm_code gm_shape_read(const struct gm_job *job, struct gm_store *table, bool rows, size_t memory_bytes,
                           struct gm_shape *out, struct gm_error *err) GM_CHECK;
void gm_shape_release(struct gm_shape *shape);

#endif
