/* gristmill.h - the public interface of libgristmill.
 *
 * Gristmill turns raw JSON logs into a partitioned Parquet table. A program loads a job file, then runs, checks or
 * previews it. Nothing here prints, exits or keeps global state; every fallible function returns an `enum gm_code`
 * and fills the caller's `struct gm_error`.
 *
 * Strings are UTF-8 and NUL-terminated unless a length stands beside them. Sizes are bytes, times are microseconds
 * since 1970 UTC. Unless said otherwise an object may be used by one thread at a time. */
#ifndef GRISTMILL_H
#define GRISTMILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GM_API   __attribute__((visibility("default")))
#define GM_CHECK __attribute__((warn_unused_result))
#else
#define GM_API
#define GM_CHECK
#endif

/* What can go wrong, and the class of what the caller should do about it:
 *   retry   the same call may succeed later            reload  the world moved: start over from the table
 *   tell    the user can mend it: show the message     give_up nothing helps here (memory, disk, signal)
 *   bug     an invariant of gristmill itself is broken
 * X(name, class, one factual line) */
#define GM_CODES(X)                                                                    \
	X(OK, none, "success")                                                             \
	X(NOMEM, give_up, "memory could not be had")                                       \
	X(IO, give_up, "reading or writing failed")                                        \
	X(NOSPACE, give_up, "no space left for writing")                                   \
	X(TRANSIENT, retry, "a passing fault")                                             \
	X(NOT_FOUND, tell, "the object does not exist")                                    \
	X(EXISTS, reload, "the object exists already")                                     \
	X(DENIED, tell, "access was denied")                                               \
	X(CHANGED, reload, "an input changed while it was in use")                         \
	X(CORRUPT, tell, "stored bytes are damaged or not what they should be")            \
	X(UNSUPPORTED, tell, "a format or feature this version does not know")             \
	X(USAGE, tell, "wrong usage")                                                      \
	X(JOB, tell, "the job file is wrong")                                              \
	X(VALUE, tell, "a value breaks the job's on_error: fail or an expression's limit") \
	X(QUARANTINE, tell, "more records were rejected than the quarantine limit allows") \
	X(UNBALANCED, bug, "the books do not balance")                                     \
	X(INTERRUPTED, give_up, "stopped by a signal or by the caller")                    \
	X(LOST, reload, "another runner was first")                                        \
	X(BUG, bug, "an internal invariant is broken")

enum gm_code {
#define X(name, class_, text) GM_##name,
	GM_CODES(X)
#undef X
};

/* A failure, filled by the callee, owned by the caller, without allocation. `object` is the file, key, or expression
 * concerned ("" if none); `line` and `column` count from 1, 0 when they have no meaning; `offset` is a byte offset
 * or UINT64_MAX. `message` is one factual line in lower case, `hint` says what to do ("" if there is nothing to say).
 */
struct gm_error {
	enum gm_code code;
	int line, column;
	uint64_t offset;
	char object[512];
	char message[512];
	char hint[256];
};

/* The name of a code ("NOT_FOUND"); never NULL. */
GM_API const char *gm_code_name(enum gm_code code);

/* --- Job files ---------------------------------------------------------------------------------------------------- */

struct gm_job; /* a job file, read, resolved and checked; immutable, may be shared by threads */

struct gm_setting { /* --set NAME=VALUE */
	const char *name, *value;
};
struct gm_job_options {
	const char *source, *table; /* override the locations; NULL: as the file says */
	const struct gm_setting *settings;
	size_t setting_count;
};

/* Reads and checks a job file. Errors carry file, line and column. The job is freed with gm_job_free (NULL allowed). */
GM_API enum gm_code gm_job_load(const char *path, const struct gm_job_options *options, struct gm_job **out,
                                struct gm_error *err) GM_CHECK;
GM_API void gm_job_free(struct gm_job *job);
/* The resolved job: schema, expressions and how each is evaluated, as text for people or as one JSON object. The string
 * is the caller's to free(). */
GM_API enum gm_code gm_job_describe(const struct gm_job *job, bool json, char **text, struct gm_error *err) GM_CHECK;
/* The page that explains every key of a job file and every function of expressions, made from the tables that
 * drive the parser. free() it. */
GM_API enum gm_code gm_job_help(char **text, struct gm_error *err) GM_CHECK;

/* --- Running ------------------------------------------------------------------------------------------------------ */

struct gm_progress {
	const char *phase; /* "plan", "work", "publish" */
	uint64_t objects_done, objects;
	uint64_t bytes_done, bytes; /* as stored, compressed or not */
	uint64_t bytes_raw, records;
	double seconds;
};
typedef void gm_progress_fn(void *context, const struct gm_progress *progress);
/* A line for people about something that did not stop the run (a swept leftover, a resumed plan). */
typedef void gm_notice_fn(void *context, const char *line);

struct gm_run_options {
	int threads;            /* 0: one per processor; at most one for each 40 MiB of memory_bytes */
	uint64_t memory_bytes;  /* 0: 256 MiB */
	uint64_t limit_objects; /* 0: all; else the first N in plan order */
	bool dry_run;           /* everything but storing */
	bool abandon;           /* give up the unfinished run that stands in the way, and do nothing else */
	const char *reason;     /* why: kept in the commit; may be NULL */
	/* More than max(quarantine_records, quarantine_percent of the records read) rejected records stop the run. With
	 * quarantine_set false the limit is 1 % and at least 100; else whichever of the two is not 0 counts alone. */
	bool quarantine_set;
	uint64_t quarantine_records;
	double quarantine_percent;
	const volatile int *stop; /* may be NULL; not 0: stop cleanly, INTERRUPTED */
	gm_progress_fn *progress; /* may be NULL; called from the thread that called gm_run, a few times a second */
	gm_notice_fn *notice;     /* may be NULL */
	void *context;
};

struct gm_balance {
	uint64_t records_read, rows_written, duplicates, filtered, quarantined;
	uint64_t conflicts;                                        /* of the duplicates: other content than the row kept */
	uint64_t bytes_in, bytes_raw;                              /* stored, inflated */
	uint64_t record_bytes, separator_bytes, quarantined_bytes; /* add up to bytes_raw */
	uint64_t duplicate_keys, invalid_utf8, converted_null;
};
struct gm_object_balance {
	const char *key;
	struct gm_balance balance;
};
struct gm_partition_value {
	const char *name, *value; /* value NULL: null */
};
struct gm_file {
	const char *path; /* relative to the table */
	uint64_t rows, bytes;
	const struct gm_partition_value *partition;
	size_t partition_count;
};
/* What a run did. Owned by the caller: gm_run_result_clear. */
struct gm_run_result {
	bool committed;
	int64_t version;    /* of the table, as last seen; -1: it has no commit */
	uint64_t abandoned; /* the run that was given up; 0: none */
	uint64_t runs[64];  /* the first of the plans this call committed; run_count may be larger */
	uint64_t run_count;
	uint64_t inputs;
	struct gm_balance total;
	const struct gm_object_balance *objects;
	size_t object_count;
	const struct gm_file *files;
	size_t file_count;
	double seconds;
	void *memory;
};

/* Plans, works and publishes until nothing is new. result is filled as far as things went, also on failure. */
GM_API enum gm_code gm_run(const struct gm_job *job, const struct gm_run_options *options, struct gm_run_result *result,
                           struct gm_error *err) GM_CHECK;
GM_API void gm_run_result_clear(struct gm_run_result *result);

/* Rows as text, for people: one call per row, values[i] NULL for null. names are the table's columns, then the
 * partition columns. Return false to stop. */
typedef bool gm_row_fn(void *context, const char *const *names, const char *const *values, const size_t *bytes,
                       size_t count);
GM_API enum gm_code gm_preview(const struct gm_job *job, uint64_t rows, const struct gm_run_options *options,
                               gm_row_fn *row, void *context, struct gm_balance *balance,
                               struct gm_error *err) GM_CHECK;

/* --- Sample input ------------------------------------------------------------------------------------------------- */

/* What was written. Duplicates are among the records; a bad record is never duplicated. `rejected` of the bad ones have
 * no usable timestamp, the others lose a value or are mended. */
struct gm_generate_result {
	uint64_t objects, records, duplicates, late, bad, rejected;
	uint64_t bytes, bytes_raw; /* compressed, inflated */
};
struct gm_generate_options {
	uint64_t records;            /* duplicates come on top */
	uint64_t records_per_object; /* at most 1,000,000; 0: what 15 minutes bring, at most 85,000 */
	uint64_t seed;
	int64_t start_us;             /* first record's time, 1970 .. 9000 */
	double hours;                 /* that the records span */
	double duplicates, late, bad; /* shares, 0 .. 1 */
	int level;                    /* of gzip, 0 .. 9 */
	const volatile int *stop;     /* may be NULL; not 0: stop after the object at hand, INTERRUPTED */
	gm_progress_fn *progress;     /* may be NULL */
	void *context;
};
/* 200,000 records over two days from 2024-03-10, a duplicate in 1,000, a late one in 500, a bad one in 2,000. */
GM_API void gm_generate_defaults(struct gm_generate_options *options);
/* Writes access records in Firehose layout below directory, which is made if it is missing. Same options, same JSON;
 * with the same zlib, same files. Never overwrites: EXISTS, also when the same sample is there already. result may be
 * NULL; it is filled as far as things went. */
GM_API enum gm_code gm_generate(const char *directory, const struct gm_generate_options *options,
                                struct gm_generate_result *result, struct gm_error *err) GM_CHECK;

/* "0.1.0" and the versions of the libraries in use that can change bytes: the engine id. */
GM_API const char *gm_version(void);
GM_API const char *gm_engine_id(void);

#ifdef __cplusplus
}
#endif
#endif
