/* job.h - a job file in memory: what source, table and columns are, resolved and checked. */
#ifndef GM_JOB_JOB_H
#define GM_JOB_JOB_H

#include "shred/shred.h"

struct gm_place { /* where in the job file something stands, for messages; both count from 1, columns in characters */
	int line, column;
	/* The text that starts here was written with escapes, line breaks or ${NAME}: offsets into it say nothing about
	 * the file. */
	bool whole;
};
/* The place of text[offset], where `place` is that of text[0]: for messages that point into an expression. */
static inline struct gm_place gm_place_at(struct gm_place place, const char *text, size_t offset)
{
	if (!place.whole)
		for (size_t i = 0; i < offset; i++)
			if (((unsigned char)text[i] & 0xC0) != 0x80) place.column++;
	return place;
}

struct gm_column {
	const char *name, *comment; /* comment "" if none */
	enum gm_type type;
	const char *const *from; /* path of keys; from_len 0: none */
	const size_t *from_bytes;
	size_t from_len;
	const char *expr; /* NULL: none. With `from` too, the column's own name in expr is the value read. */
	enum gm_time_unit unit;
	bool required;
	enum gm_on_error on_error;
	int64_t not_after_us; /* a value further beyond the run's time goes to quarantine; 0: any will do */
	const char *fallback; /* `default:` as text, NULL: none; it fits the type, and the next two hold its value */
	size_t fallback_bytes;
	union {
		int64_t i64; /* int, bigint, boolean (0, 1), date, timestamp: as in a vec */
		double f64;
	} fallback_value;
	struct gm_place place, expr_place;
};

/* What becomes of an object that has other content than when it was processed. */
enum gm_on_change { GM_ON_CHANGE_FAIL, GM_ON_CHANGE_IGNORE, GM_ON_CHANGE_REPROCESS };

/* How a location is reached that is not a directory; what is not said here, the environment and the user's AWS files
 * say. It changes no row and no byte, so it is no part of the job's hash. Texts: NULL if not given. */
enum gm_path_style { GM_PATH_STYLE_AUTO, GM_PATH_STYLE_TRUE, GM_PATH_STYLE_FALSE };
enum gm_encryption { GM_ENCRYPTION_BUCKET, GM_ENCRYPTION_NONE, GM_ENCRYPTION_AES256, GM_ENCRYPTION_KMS };
struct gm_job_access {
	const char *profile, *region, *endpoint, *ca_file;
	enum gm_path_style path_style;
	int64_t timeout_us; /* 0: not given */
	/* Of a source: */
	bool requester_pays, version_ids;
	/* Of a table: */
	enum gm_encryption encryption;
	const char *kms_key;
	bool single_writer; /* nobody else writes to it: put-if-absent need not hold */
};

enum gm_catalog_type { GM_CATALOG_NONE, GM_CATALOG_GLUE };
enum gm_catalog_format { GM_CATALOG_HIVE, GM_CATALOG_DELTA, GM_CATALOG_BOTH };
enum gm_catalog_partitions { GM_CATALOG_PROJECTION, GM_CATALOG_REGISTER };

struct gm_job {
	struct gm_arena arena;
	const char *path; /* of the job file, for messages */
	const char *id;   /* `id`, else `job` */
	const char *name;
	struct {
		const char *location;
		size_t max_record_bytes;
		enum gm_on_change on_change;
		int64_t lookback_us; /* 0: the source is listed in full each time */
		int plan_objects;    /* that a run takes at most, */
		uint64_t plan_bytes; /* or that have so many bytes, inflated */
		struct gm_job_access access;
	} source;
	struct {
		const char *location;
		const char *database, *name, *comment; /* "" if none */
		struct gm_column *partitions; /* of partition_by: expr is set, from is not; none: one unpartitioned folder */
		size_t partition_count;
		size_t *unique_by; /* indices of columns */
		size_t unique_count;
		enum { GM_COMPRESSION_ZSTD, GM_COMPRESSION_SNAPPY, GM_COMPRESSION_NONE } compression;
		int compression_level;
		enum { GM_ENCODING_STANDARD, GM_ENCODING_COMPACT } encoding;
		uint64_t file_bytes; /* target size, 128 MiB */
		struct gm_job_access access;
	} table;
	struct { /* how the table is described to those who query it; with glue, table.database and table.name are given */
		enum gm_catalog_type type;
		enum gm_catalog_format format;
		enum gm_catalog_partitions partitions;
		const char *delta_name; /* of the second entry where format is both; NULL: the table's with "_delta" */
		const char *id;         /* of the AWS account; NULL: the caller's */
		struct gm_job_access access;
	} catalog;
	struct {                              /* what `watch` waits for; flags go before it */
		const char *queue;                /* URL; NULL: none */
		int64_t every_us;                 /* 0: not given */
		int batch_objects;                /* as many events, */
		uint64_t batch_bytes;             /* or events of objects of so many bytes, */
		int64_t batch_age_us;             /* or one so old: then a run begins */
		const char *metrics, *on_failure; /* NULL: not given */
		struct gm_job_access access;      /* of the queue */
	} watch;
	const char *where; /* NULL: none */
	struct gm_place where_place;
	struct gm_column *columns;
	size_t column_count;
	const char *resolved;       /* canonical JSON of everything that can change a row or a byte; locations left out */
	uint64_t hash[2];           /* XXH3-128 of `resolved`, low half first: high, low */
	struct gm_program *program; /* the compiled expressions */
};

/* gm_job_load over bytes in memory; `path` is for messages alone. */
enum gm_code gm_job_parse(const char *path, const void *bytes, size_t n, const struct gm_job_options *options,
                          struct gm_job **out, struct gm_error *err) GM_CHECK;
/* Is the column, by its index, part of the unique key? */
bool gm_job_is_key(const struct gm_job *job, size_t column);

#endif
