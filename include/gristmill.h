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
	/* A job without state on a table where another has processed the same source is refused until one of these decides.
	 * adopt: the id of a job whose state is taken over first; as_new: process all objects, beside the other job. */
	const char *adopt; /* may be NULL */
	bool as_new;
	const char *reason; /* why: kept in the commit that abandons or adopts; may be NULL */
	/* A local folder for what does not fit into memory. NULL: the table's own where that is a directory, else $TMPDIR
	 * or /var/tmp. */
	const char *scratch;
	/* In place of the source's objects, what earlier runs rejected and no run has replayed yet: of all committed runs,
	 * or of replay_runs alone. */
	bool replay;
	const uint64_t *replay_runs;
	size_t replay_run_count;
	/* More than max(quarantine_records, quarantine_percent of the records read) rejected records stop the run. With
	 * quarantine_set false the limit is 1 % and at least 100; else whichever of the two is not 0 counts alone. */
	bool quarantine_set;
	uint64_t quarantine_records;
	double quarantine_percent;
	bool profile;             /* fill gm_run_result.profile: for gm_run and gm_run_work */
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
	/* Relative to the source; of a replay '/' and the quarantine file's path in the table: "/_gristmill/...". */
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
/* What was asked of the services where source and table lie, both together; all 0 where they are directories. */
struct gm_requests {
	uint64_t list, get, head, put, delete_, multipart, other; /* requests, by kind */
	uint64_t retries;                                         /* of these: made again after a fault */
	uint64_t bytes_in, bytes_out;                             /* of bodies, towards us and away from us */
};
/* What was done to the catalog that describes the table. */
enum gm_catalog_state {
	GM_CATALOG_NOT_ASKED, /* the job has no catalog, or nothing was to be stored */
	GM_CATALOG_SYNCED,    /* it says what the table's log says */
	GM_CATALOG_SKIPPED,   /* the table lies in a directory, of which a catalog is told nothing */
	GM_CATALOG_FAILED,    /* the table is as it should be, and the catalog may not be: gm_catalog_sync repairs it */
};
struct gm_catalog_result {
	enum gm_catalog_state state;
	uint64_t created, updated, unchanged, dropped; /* entries */
	uint64_t partitions_created, partitions_updated, partitions_removed;
	uint64_t requests, retries; /* to the catalog; how many of them were made again */
};

/* Where a run's CPU time goes, in the order in which a record passes; docs/performance.md says how each stage works.
 * X(NAME, "name", what it does) */
#define GM_STAGES(X)                                                                                \
	X(PLAN, "plan", "read the log, list the source, write the plan")                                \
	X(READ, "read", "take objects from the source")                                                 \
	X(INFLATE, "inflate", "decompress them, check their sums")                                      \
	X(SHRED, "shred", "parse JSON into typed columns")                                              \
	X(INTERN, "intern", "look strings up in the columns' dictionaries")                             \
	X(DERIVE, "derive", "evaluate expressions, once per distinct value")                            \
	X(HASH, "hash", "hash keys, and rows to tell conflicts by")                                     \
	X(DEDUPE, "dedupe", "look for keys among those of the run and of the table")                    \
	X(ROUTE, "route", "sort rows into partitions and row groups, rejected records into quarantine") \
	X(RENUMBER, "renumber", "number the values of each row group's columns")                        \
	X(ENCODE, "encode", "pack values and levels into pages")                                        \
	X(STATISTICS, "statistics", "bounds and bloom filters")                                         \
	X(COMPRESS, "compress", "compress pages")                                                       \
	X(CHECKSUM, "checksum", "of pages and of files")                                                \
	X(WRITE, "write", "hand files to the table's store")                                            \
	X(SYNC, "sync", "make files durable, write each unit's lists and manifest")                     \
	X(PUBLISH, "publish", "make files appear, remove what was staged")                              \
	X(COMMIT, "commit", "write the books and the log's next version")                               \
	X(CATALOG, "catalog", "tell the catalog")                                                       \
	X(TRANSFER, "transfer", "the thread that talks HTTP and TLS")                                   \
	X(IDLE, "idle", "workers that have nothing to do, or wait for another")                         \
	X(REST, "rest", "everything else: memory, scheduling, progress, threads that libraries start")
enum gm_stage {
#define X(name, text, what) GM_STAGE_##name,
	GM_STAGES(X)
#undef X
};
enum { GM_STAGE_COUNT = GM_STAGE_REST + 1 };
/* "inflate", and what it does; never NULL. */
GM_API const char *gm_stage_name(enum gm_stage stage);
GM_API const char *gm_stage_text(enum gm_stage stage);

/* Of all threads together. Waiting is time that threads spent in the stage without a processor: asleep, or because
 * others had it; of TRANSFER and REST it is not told. Bytes are those that came out of READ, INFLATE and WRITE, and
 * that went into SHRED and COMPRESS; 0 of other stages. */
struct gm_stage_time {
	double cpu_seconds, wait_seconds;
	uint64_t bytes;
};
struct gm_profile {
	bool taken;         /* gm_run_options.profile was set */
	double cpu_seconds; /* of the process, while the call lasted: the sum of all stages */
	struct gm_stage_time stages[GM_STAGE_COUNT];
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
	/* Of these: what was read and then not published, since too much of it was rejected (QUARANTINE). */
	uint64_t refused_inputs;
	struct gm_balance refused;
	const struct gm_object_balance *objects;
	size_t object_count;
	const struct gm_file *files;
	size_t file_count;
	double seconds;
	bool remote; /* source or table is no directory: requests were made */
	struct gm_requests requests;
	struct gm_catalog_result catalog; /* after all else: a catalog that fails makes no run fail */
	struct gm_error catalog_error;    /* code OK unless it failed */
	struct gm_profile profile;
	void *memory;
};

/* Plans, works and publishes until nothing is new. result is filled as far as things went, also on failure. */
GM_API enum gm_code gm_run(const struct gm_job *job, const struct gm_run_options *options, struct gm_run_result *result,
                           struct gm_error *err) GM_CHECK;
GM_API void gm_run_result_clear(struct gm_run_result *result);

/* --- After a run -------------------------------------------------------------------------------------------------- */

/* Writes what a run did, and how it ended, as metrics for the textfile collector of Prometheus's node exporter: path is
 * a file of its folder, "/var/lib/.../NAME.prom", that is replaced whole. When the job last succeeded and last
 * committed is taken over from the file as it was, where this run did not. code is what gm_run has returned. Not for a
 * dry run, of which nothing is to be told. docs/metrics.md lists the metrics. */
GM_API enum gm_code gm_metrics_write(const struct gm_job *job, const struct gm_run_result *result, enum gm_code code,
                                     const char *path, struct gm_error *err) GM_CHECK;

/* Runs a command of the user's because a run has failed: `/bin/sh -c command` (NULL: watch.on_failure of the job, if it
 * has any). It finds in its environment what happened: GRISTMILL_JOB (the job's id), GRISTMILL_STATUS (the name of
 * why->code), GRISTMILL_MESSAGE (one line), GRISTMILL_TABLE (its location), GRISTMILL_VERSION (the table's, "" if
 * not known). Returns when it has ended, at the latest after 60 seconds: then it is killed with all that it started;
 * also when *stop is not 0. A code other than OK tells how the command failed, which changes nothing of how the run
 * did. job NULL: it could not be loaded, and job_file stands for it. result and stop may be NULL. */
GM_API enum gm_code gm_on_failure(const char *command, const struct gm_job *job, const char *job_file,
                                  const struct gm_run_result *result, const struct gm_error *why,
                                  const volatile int *stop, struct gm_error *err) GM_CHECK;

/* --- Watching ----------------------------------------------------------------------------------------------------- */

/* A run of gm_watch that has ended; lives during the call. */
struct gm_watch_run {
	const char *woke; /* by what: "start", "message", "directory", "interval", "full_listing", "retry" */
	const struct gm_run_result *result;
	const struct gm_error *failed; /* NULL: it succeeded */
	uint64_t failures;             /* in a row: with this one, or before it if it succeeded */
	double retry_seconds;          /* after a failure: when it is tried again; 0: not */
};
typedef void gm_watch_run_fn(void *context, const struct gm_watch_run *run);
struct gm_watch_options {
	/* How each run is made: threads, memory_bytes, scratch and the quarantine's limit count; *stop ends the watch,
	 * notice and progress are called as by gm_run, and context is that of all functions. */
	const struct gm_run_options *run;
	const char *queue;          /* these four: NULL or 0 for what the job file says */
	int64_t every_us;           /* at least a second */
	const char *metrics;        /* "HOST:PORT", "off" */
	const char *on_failure;     /* a command, as of gm_on_failure */
	gm_watch_run_fn *run_ended; /* may be NULL */
};
/* Runs the job at once, and again whenever something new is told of, or `every` is over, until *stop is not 0: then a
 * run that goes on is finished or left for the next, and OK is returned. A run that fails is tried again and ends
 * nothing. USAGE, JOB: of the options, or of the first run, which time would not mend; NOT_FOUND, DENIED: the queue is
 * not there; IO: the address of the metrics, which was given, cannot be had. docs/watch.md says more. */
GM_API enum gm_code gm_watch(const struct gm_job *job, const struct gm_watch_options *options,
                             struct gm_error *err) GM_CHECK;

/* --- A run in pieces ---------------------------------------------------------------------------------------------- */

/* gm_run as three steps for whoever spreads a run over processes or machines: one makes a plan, many work its units,
 * one commits. They share nothing but source and table. Each may die anywhere and be repeated, by anyone, at the same
 * time as others; the files are those of a plain run, byte for byte. docs/distributed.md says more. */

struct gm_planned_unit {
	uint64_t objects, bytes;
	bool keys, done; /* its key list is there; it has been worked */
};
/* Owned by the caller: gm_planned_clear. */
struct gm_planned {
	uint64_t plan, parent; /* plan 0: nothing is new */
	int64_t version;       /* of the table, that the plan's rows are compared with; -1: it has no commit */
	bool resumed;          /* it was there already, unfinished */
	uint64_t objects, bytes;
	struct gm_planned_unit *units;
	size_t unit_count;
	bool remote; /* as of a run */
	struct gm_requests requests;
};
/* Finds the unfinished plan that a run would take up, or makes one. Of options, limit_objects counts for one that is
 * made; adopt, as_new and reason count as for gm_run. */
GM_API enum gm_code gm_run_plan(const struct gm_job *job, const struct gm_run_options *options, struct gm_planned *out,
                                struct gm_error *err) GM_CHECK;
GM_API void gm_planned_clear(struct gm_planned *planned);

/* How a step ended that did not fail. */
enum gm_step {
	GM_STEP_DONE,      /* by this call */
	GM_STEP_BEFORE,    /* the unit had been worked before */
	GM_STEP_COMMITTED, /* another call committed the plan: there is nothing left to do */
	GM_STEP_DEAD       /* another plan was committed in its place: what it has not processed is planned again */
};
enum gm_work_part {
	GM_WORK_WHOLE, /* the key list and the files of the unit; needs the key lists of all units before it */
	GM_WORK_KEYS,  /* its key list alone, which needs nothing */
	GM_WORK_WRITE  /* its files; needs its own key list, too */
};
/* Works one unit of a plan, numbered from 0. result (its books and files; nothing is visible yet) is the caller's:
 * gm_run_result_clear. NOT_FOUND: there is no such plan, or key lists are missing, which the message names. CHANGED: an
 * input is not what the plan says; the plan has been given up, make another. */
GM_API enum gm_code gm_run_work(const struct gm_job *job, const struct gm_run_options *options, uint64_t plan,
                                uint64_t unit, enum gm_work_part part, enum gm_step *step, struct gm_run_result *result,
                                struct gm_error *err) GM_CHECK;
/* Checks the books of all units and the quarantine limit, publishes and commits. NOT_FOUND: units are not worked yet,
 * which the message names. CHANGED: what others committed meanwhile is at odds with it, and QUARANTINE: the plan has
 * been given up, make another. result as of gm_run. */
GM_API enum gm_code gm_run_commit(const struct gm_job *job, const struct gm_run_options *options, uint64_t plan,
                                  enum gm_step *step, struct gm_run_result *result, struct gm_error *err) GM_CHECK;

/* --- The bookmark ------------------------------------------------------------------------------------------------- */

/* An object that a job has processed, as it was then. */
struct gm_processed {
	const char *key; /* relative to the source */
	uint64_t bytes;
	int64_t modified_us;
	uint64_t run; /* that processed it */
};
/* Return false to stop. The entry lives during the call. */
typedef bool gm_processed_fn(void *context, const struct gm_processed *entry);
/* Every processed object whose key begins with prefix (NULL: all), in bytewise order of the keys. Writes nothing. */
GM_API enum gm_code gm_bookmark_list(const struct gm_job *job, const char *prefix, gm_processed_fn *each, void *context,
                                     struct gm_error *err) GM_CHECK;

/* What is to be processed again by the next run, whose unique key (table.unique_by, without which this is refused:
 * USAGE) then tells which rows the table holds already. */
struct gm_bookmark_edit {
	bool rewind;   /* all objects modified later than to_us, by the time recorded when they were processed */
	int64_t to_us; /* else the objects `keys` */
	const char *const *keys;
	size_t key_count;
};
struct gm_bookmark_edited {
	uint64_t objects; /* forgotten, or with options.dry_run to be forgotten */
	uint64_t run;     /* number of the commit; 0: none was made */
	int64_t version;  /* of the table; -1: it has no commit */
};
/* Commits the change, with options.reason and who it was; a commit of its own. No object is newer: nothing is
 * committed. NOT_FOUND: one of the keys is not processed; nothing is committed. */
GM_API enum gm_code gm_bookmark_change(const struct gm_job *job, const struct gm_bookmark_edit *edit,
                                       const struct gm_run_options *options, struct gm_bookmark_edited *result,
                                       struct gm_error *err) GM_CHECK;

/* --- The quarantine ----------------------------------------------------------------------------------------------- */

/* What committed runs rejected. It is replayed by gm_run with options.replay. */
struct gm_quarantine_filter {
	uint64_t run;             /* 0: all */
	const char *object;       /* NULL: all */
	const char *reason;       /* a code such as "not_json"; NULL: all */
	const volatile int *stop; /* may be NULL; not 0: INTERRUPTED */
};
/* The entries of one run with one reason. */
struct gm_quarantine_group {
	uint64_t run;
	const char *reason;
	uint64_t entries, bytes, objects;
	uint64_t replayed_by; /* the run that took them up; 0: none has yet */
};
/* Return false to stop. */
typedef bool gm_quarantine_group_fn(void *context, const struct gm_quarantine_group *group);
/* Newest run first. Reads all entries that it counts. USAGE: filter->run is not committed, or there is no such reason.
 * CORRUPT: a quarantine file is damaged; it is named. */
GM_API enum gm_code gm_quarantine_list(const struct gm_job *job, const struct gm_quarantine_filter *filter,
                                       gm_quarantine_group_fn *each, void *context, struct gm_error *err) GM_CHECK;

struct gm_quarantine_entry {
	uint64_t run, replayed_by; /* as above */
	const char *object;        /* relative to the source */
	uint64_t offset, record;   /* where it stands: in the inflated object; records are counted from 0 */
	const char *reason;
	const char *column, *detail; /* "" if none */
	bool text;                   /* the bytes are UTF-8 and come in one piece */
};
/* The next piece of an entry's bytes, which may be larger than memory: pieces but for the last have a multiple of three
 * bytes. `first` and `last` may both be true. Return false to stop. */
typedef bool gm_quarantine_entry_fn(void *context, const struct gm_quarantine_entry *entry, const void *bytes, size_t n,
                                    bool first, bool last);
/* Newest run first, and in it as the records stood. Errors as above. */
GM_API enum gm_code gm_quarantine_show(const struct gm_job *job, const struct gm_quarantine_filter *filter,
                                       gm_quarantine_entry_fn *each, void *context, struct gm_error *err) GM_CHECK;

/* --- Permissions -------------------------------------------------------------------------------------------------- */

/* The least that AWS's IAM must allow for a job to run: policies as JSON texts, NULL where none is needed. Owned by the
 * caller: gm_policy_clear. */
struct gm_policy {
	char *both;           /* for whoever reaches source and table, as far as they lie in S3 */
	char *source, *table; /* in place of it, where both lie in S3 and each has a profile or an endpoint of its own */
	char *catalog; /* for whoever reaches the catalog, where it has a profile or endpoint other than the table's */
};
/* one_line: without line ends, else indented. Asks no service; ~/.aws/config and the environment are read for the
 * region, if the job does not say it. USAGE: they are wrong, or a location is. */
GM_API enum gm_code gm_policy(const struct gm_job *job, bool one_line, struct gm_policy *out,
                              struct gm_error *err) GM_CHECK;
GM_API void gm_policy_clear(struct gm_policy *policy);

/* --- Status ------------------------------------------------------------------------------------------------------- */

/* A commit of the job. */
struct gm_status_run {
	uint64_t run;
	const char *what;         /* "run", "end", "rewind", "forget", "adopt", "import", "upgrade" */
	const char *detail;       /* of a change of state: what it changed; "" for a run */
	const char *who, *reason; /* "" if not told */
	int64_t version;          /* of the table; -1: the log entry was cleaned away */
	int64_t time_us;          /* of the commit; where the entry is gone, of the plan */
	/* What it processed and what became of it; 0 for a change of state. */
	uint64_t objects, files;
	uint64_t records_read, rows_written, duplicates, filtered, quarantined;
};
/* A plan that is neither committed nor dead. */
struct gm_status_plan {
	uint64_t plan;
	const char *job;    /* whose it is */
	const char *engine; /* that made it; "" if it cannot be read */
	int64_t created_us;
	bool claimed; /* it is between publish and commit: no job can commit before it is finished */
	bool ours;    /* this engine and job file may finish it */
	uint64_t objects, bytes, units, units_done;
	const char *state, *advice; /* a line each: how it stands, and what to do about it */
};
/* How a job stands with its table. Owned by the caller: gm_status_clear. */
struct gm_status {
	bool table_exists;
	int64_t version, version_us; /* of the table, when it was committed (0: not known); -1: it has no commit */
	uint64_t last_run;           /* of the job; 0: none */
	/* What stands in the way of a run, and what to do; "" if nothing does. */
	const char *blocked, *blocked_advice;
	const struct gm_status_run *runs; /* newest first */
	size_t run_count;
	/* The bookmark: objects processed; changes since it was written down last, which are what it takes in memory. */
	uint64_t objects, changes, bookmark_run, bookmark_bytes; /* bookmark_run 0: it has not been written down yet */
	int64_t newest_us;                                       /* modified, of the objects processed; 0: none */
	/* Objects of the source that a run would process. source_error.code not OK: it could not be listed. */
	uint64_t waiting, waiting_bytes, changed; /* changed: processed, and overwritten since */
	int64_t waiting_oldest_us;                /* modified; 0: none */
	int64_t listed_since_us;                  /* folders named by an earlier time were not looked at; 0: all were */
	struct gm_error source_error;
	const struct gm_status_plan *plans;
	size_t plan_count;
	void *memory;
};
struct gm_status_options {
	uint64_t runs;         /* how many commits to tell; 0: 10 */
	uint64_t memory_bytes; /* 0: 256 MiB */
};
/* Reads how things stand; writes nothing. options may be NULL. */
GM_API enum gm_code gm_status_read(const struct gm_job *job, const struct gm_status_options *options,
                                   struct gm_status *out, struct gm_error *err) GM_CHECK;
GM_API void gm_status_clear(struct gm_status *status);

/* Rows as text, for people: one call per row, values[i] NULL for null. names are the table's columns, then the
 * partition columns. Return false to stop. */
typedef bool gm_row_fn(void *context, const char *const *names, const char *const *values, const size_t *bytes,
                       size_t count);
GM_API enum gm_code gm_preview(const struct gm_job *job, uint64_t rows, const struct gm_run_options *options,
                               gm_row_fn *row, void *context, struct gm_balance *balance,
                               struct gm_error *err) GM_CHECK;

/* --- Doctor ------------------------------------------------------------------------------------------------------- */

enum gm_health { GM_HEALTHY, GM_HEALTH_HINT, GM_HEALTH_FAULT };
/* What one step of gm_doctor found; texts live during the call. */
struct gm_health_step {
	const char *place, *location; /* "source", "table", "catalog" or "queue", and where that is */
	const char *what;             /* the step: "credentials", "list", "put-if-absent", ... */
	enum gm_health health;
	const char *text;   /* one factual line */
	const char *advice; /* what to do; "" if nothing */
};
typedef void gm_health_fn(void *context, const struct gm_health_step *step);
/* Tries what a run of the job needs of its source and its table, of its catalog and the queue that is watched, step by
 * step: with whose credentials, to list, to read; of the table also to write, put if absent, begin and abort an upload,
 * and remove, below its _gristmill folder, where nothing is left; of its catalog, to read the database and the entries;
 * of the queue, to look at it. Makes no table. options (may be NULL): of these memory_bytes and scratch count. *faults:
 * how many steps failed. OK unless the looking itself was not possible. */
GM_API enum gm_code gm_doctor(const struct gm_job *job, const struct gm_run_options *options, gm_health_fn *step,
                              void *context, uint64_t *faults, struct gm_error *err) GM_CHECK;

/* --- Proof -------------------------------------------------------------------------------------------------------- */

/* What gm_verify can find; docs/verify.md says what to do about each. Codes stay what they are. A fault makes the proof
 * fail, a note does not. X(NAME, kind, one factual line) */
#define GM_FINDINGS(X)                                                                         \
	X(LOG_DAMAGED, fault, "an entry of the table's log cannot be read")                        \
	X(LOG_GAP, fault, "entries of the table's log are missing")                                \
	X(LOG_ORDER, fault, "the log's transactions of a job are out of order")                    \
	X(LOG_FORGOT, fault, "the log does not know a run that was committed")                     \
	X(CHECKPOINT_DAMAGED, fault, "a checkpoint of the log cannot be read")                     \
	X(CHECKPOINT_WRONG, fault, "a checkpoint of the log is not what the entries say")          \
	X(PLAN_DAMAGED, fault, "the plan of a committed run is missing or damaged")                \
	X(BOOKS_DAMAGED, fault, "the books of a committed run are missing or damaged")             \
	X(BOOKS_HASH, fault, "the books of a run are not those that were committed")               \
	X(BALANCE, fault, "the books of a run do not balance")                                     \
	X(KEPT_FILE, fault, "a file kept with a run is missing, or not what the books say")        \
	X(BOOKMARK, fault, "the bookmark is not what the committed runs make it")                  \
	X(FILE_MISSING, fault, "a file of the table is gone")                                      \
	X(FILE_SIZE, fault, "a file of the table has another size")                                \
	X(FILE_HASH, fault, "a file of the table holds other bytes than were written")             \
	X(FILE_DAMAGED, fault, "a file of the table is no readable Parquet file")                  \
	X(PAGE_DAMAGED, fault, "a page of a file cannot be read, or its CRC is wrong")             \
	X(FILE_ROWS, fault, "the numbers of a file's rows do not agree")                           \
	X(FILE_STATS, fault, "the log's statistics of a file do not hold")                         \
	X(FILE_PARTITION, fault, "a file lies in the folder of another partition")                 \
	X(FILE_UNKNOWN, fault, "no books name a file that claims to be a run's")                   \
	X(FILE_LOST, fault, "the table does not have a file that a commit added and none removed") \
	X(FILE_NOT_CHECKED, note, "a file or column cannot be read by this version")               \
	X(KEY_TWICE, fault, "a unique key occurs twice in a partition")                            \
	X(KEY_IN_PARTITIONS, note, "a unique key occurs in more than one partition")               \
	X(STRAY_CLAIMED, fault, "a file is visible whose run is being published, or died of it")   \
	X(STRAY_DEAD, fault, "a file is visible of a run that was never committed")                \
	X(STRAY_REMOVED, fault, "a file is visible that a commit removed")                         \
	X(STRAY_FOREIGN, fault, "a file is visible that the table does not have")                  \
	X(OBJECT_CHANGED, fault, "an object of the source was changed after it was processed")     \
	X(OLD_FORMAT, note, "a job's runs are of a format that the next run takes over")           \
	X(NEWER_FORMAT, note, "a file is of a newer gristmill and was not checked")
enum gm_finding_code {
#define X(name, kind, text) GM_FINDING_##name,
	GM_FINDINGS(X)
#undef X
};
/* "FILE_MISSING"; never NULL. */
GM_API const char *gm_finding_name(enum gm_finding_code code);
/* Is it a fault, or a note? */
GM_API bool gm_finding_is_fault(enum gm_finding_code code);

struct gm_finding { /* texts live during the call that tells it */
	enum gm_finding_code code;
	const char *object; /* the file in the table or the object of the source concerned; "" if none */
	const char *detail; /* one factual line */
	const char *advice; /* what to do; "" if there is nothing to say here */
	const char *job;    /* whose run it is about; "" if of none */
	uint64_t run;       /* 0: none */
	int64_t version;    /* of the table, that it is about; -1: none */
};
typedef void gm_finding_fn(void *context, const struct gm_finding *finding);

struct gm_verify_options {
	uint64_t memory_bytes;    /* 0: 256 MiB */
	bool quick;               /* leave out what needs the data read: content hashes, pages, statistics, keys */
	const char *scratch;      /* local folder for spill files; NULL: /var/tmp */
	const volatile int *stop; /* may be NULL; not 0: stop, INTERRUPTED */
	gm_finding_fn *finding;   /* may be NULL */
	gm_progress_fn *progress; /* may be NULL; called from the thread that called, a few times a second */
	void *context;
};
struct gm_verify_result {
	int64_t version; /* of the table that was proved; -1: it has no commit, or its log cannot be read */
	uint64_t faults, notes;
	bool complete;                 /* false: the log is so damaged that what follows from it was not looked at */
	uint64_t commits, checkpoints; /* entries of the log that were read; checkpoints that were */
	uint64_t runs;                 /* whose books were added up */
	uint64_t files, foreign_files; /* live ones; those that no run wrote */
	uint64_t rows, bytes;          /* of the live files, as the log says */
	uint64_t keys;                 /* that were compared */
	/* Objects of the source; 0 without a job file. */
	uint64_t objects, processed, pending, unprocessed;
	uint64_t gone; /* processed, and no longer in the source */
	double seconds;
};

/* Proves a table: that its log is whole, every committed run's books balance and are those that were committed, every
 * file is what the books say, no key occurs twice, no other file is visible, and the source's processed objects are
 * what they were. Writes nothing. job may be NULL: then `table` says where the table lies, and there is no source to
 * compare with; else table may be NULL. OK: the proof was made, and result->faults tells how it went. NOT_FOUND: there
 * is no table. result is filled as far as things went. */
GM_API enum gm_code gm_verify(const struct gm_job *job, const char *table, const struct gm_verify_options *options,
                              struct gm_verify_result *result, struct gm_error *err) GM_CHECK;

/* --- The catalog -------------------------------------------------------------------------------------------------- */

/* Engines that are told of the table in SQL. X(NAME, how it is called) */
#define GM_DIALECTS(X)  \
	X(ATHENA, "Athena") \
	X(SPARK, "Spark")   \
	X(TRINO, "Trino")   \
	X(DUCKDB, "DuckDB")
enum gm_dialect {
#define X(name, text) GM_DIALECT_##name,
	GM_DIALECTS(X)
#undef X
};
/* "Athena"; NULL behind the last. */
GM_API const char *gm_dialect_name(enum gm_dialect dialect);
/* The statements that make the job's table known to an engine, each ended by a semicolon and a line break, and remarks
 * in lines that begin with "-- ": columns, comments and partitions as the table's log has them now, or, before the
 * first run, as the job says. Writes nothing. *text is the caller's to free(). */
GM_API enum gm_code gm_catalog_ddl(const struct gm_job *job, enum gm_dialect dialect, char **text,
                                   struct gm_error *err) GM_CHECK;

struct gm_catalog_options {
	uint64_t memory_bytes;    /* 0: 256 MiB */
	const volatile int *stop; /* may be NULL; not 0: INTERRUPTED */
	gm_notice_fn *notice;     /* may be NULL */
	void *context;
};
/* Makes the entries of the job's catalog say what the table's log says; gm_run does it at its end. An entry is written
 * only if it differs, and of it only what is ours (docs/catalog.md). options may be NULL; result is filled as far as
 * things went. USAGE: the job has no catalog, its table lies in a directory, or an entry of that name is another
 * table's, also by its location. UNSUPPORTED: a column's type or the partition columns differ, or the partitions cannot
 * be projected. */
GM_API enum gm_code gm_catalog_sync(const struct gm_job *job, const struct gm_catalog_options *options,
                                    struct gm_catalog_result *result, struct gm_error *err) GM_CHECK;
/* Deletes the entries, and what is registered with them; never data. USAGE: one of them is another table's. */
GM_API enum gm_code gm_catalog_drop(const struct gm_job *job, const struct gm_catalog_options *options,
                                    struct gm_catalog_result *result, struct gm_error *err) GM_CHECK;

/* How an entry stands. Texts of JSON are in the shapes of AWS Glue's API. */
struct gm_catalog_entry {
	const char *database, *name;
	const char *format;           /* "hive", "delta" */
	const char *has, *should;     /* its Table, NULL: there is none; the TableInput that a sync would write */
	const char *refused, *advice; /* why a sync would not touch it, and what to do; "" */
	const char *const *differences;
	size_t difference_count;
	uint64_t more_differences; /* beyond those */
	/* Of registered partitions: not there; with other columns or figures; there, but not in the table; of the table,
	 * but registered with another folder, which is left alone. */
	uint64_t partitions_missing, partitions_stale, partitions_extra, partitions_foreign;
	bool current; /* there is nothing to do */
};
/* Owned by the caller: gm_catalog_view_clear. */
struct gm_catalog_view {
	struct gm_catalog_entry entries[2];
	size_t entry_count;
	bool current; /* all are */
	uint64_t requests, retries;
	void *memory;
};
/* What the catalog has beside what it should have. Writes nothing. */
GM_API enum gm_code gm_catalog_read(const struct gm_job *job, const struct gm_catalog_options *options,
                                    struct gm_catalog_view *out, struct gm_error *err) GM_CHECK;
GM_API void gm_catalog_view_clear(struct gm_catalog_view *view);

/* --- Where a key came from ---------------------------------------------------------------------------------------- */

/* What became of a record that brought a key. X(NAME, how it is told) */
#define GM_ARRIVALS(X)                                                   \
	X(WRITTEN, "written: it is the row")                                 \
	X(DUPLICATE, "duplicate, dropped")                                   \
	X(CONFLICT, "duplicate with other content, dropped")                 \
	X(FILTERED, "filtered: the job's where does not hold")               \
	X(QUARANTINED, "rejected, in quarantine")                            \
	X(NOT_THERE, "kept when it came, and the table has no such row now") \
	X(PENDING, "not processed yet")
enum gm_arrival_fate {
#define X(name, text) GM_ARRIVAL_##name,
	GM_ARRIVALS(X)
#undef X
};
/* "WRITTEN", and how it is told; never NULL. */
GM_API const char *gm_arrival_name(enum gm_arrival_fate fate);
GM_API const char *gm_arrival_text(enum gm_arrival_fate fate);

struct gm_why_row { /* a row of the table with the key */
	const char *path, *partition;
	uint64_t group, row; /* the row group, and the row in it; both from 0 */
	const char *job;     /* that wrote it; "": no job of gristmill did */
	uint64_t run, unit;
	int64_t version; /* whose commit added the file; -1: the log no longer tells */
};
struct gm_why_arrival {
	const char *object; /* of the source */
	uint64_t record;    /* its number in the object, from 0 */
	uint64_t offset;    /* where it begins in the inflated object; UINT64_MAX: not known, for the object is gone */
	enum gm_arrival_fate fate;
	const char *partition; /* "" if not known */
	const char *detail;    /* why it was rejected; "" otherwise */
	uint64_t run;          /* that processed it; 0: none yet */
	bool gone;             /* the object is gone, or has other content now */
};
struct gm_why_options {
	const char *const *key; /* as text, in the order of unique_by: times and dates as ISO 8601 */
	size_t key_count;
	bool all;                 /* look into every object of the source, also when there is a row */
	uint64_t memory_bytes;    /* 0: 256 MiB */
	const volatile int *stop; /* may be NULL; not 0: stop, INTERRUPTED */
	gm_progress_fn *progress; /* may be NULL */
	void *context;
};
/* Owned by the caller: gm_why_result_clear. */
struct gm_why_result {
	const struct gm_why_row *rows;
	size_t row_count;
	const struct gm_why_arrival *arrivals; /* by run, then in plan order */
	size_t arrival_count;
	uint64_t more;         /* arrivals beyond those */
	uint64_t objects_read; /* objects that were looked into */
	uint64_t objects_gone; /* objects that should have been, and are gone or changed */
	bool everywhere;       /* every object of the source was looked into, or tried */
	double seconds;
	void *memory;
};
/* Says in which objects a key arrived, which record won and where its row is. Rows are found by statistics, bloom
 * filters and key columns; arrivals in the lists of duplicates and rejected records that are kept with each run, and
 * in the objects of the units that wrote the rows. If there is no row, and with options->all, every object of the
 * source is looked into: only so a filtered record is found. Writes nothing. USAGE: the job has no unique_by, or the
 * key does not fit it. */
GM_API enum gm_code gm_why(const struct gm_job *job, const struct gm_why_options *options, struct gm_why_result *result,
                           struct gm_error *err) GM_CHECK;
GM_API void gm_why_result_clear(struct gm_why_result *result);

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
