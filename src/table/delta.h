/* delta.h - the table's Delta log: the sequence of commits that says which files are the table.
 *
 * Reader version 1, writer version 2 of the Delta protocol. Version v is _delta_log/<v as 20 digits>.json, put if
 * absent, one JSON action a line; every tenth or so is also a Parquet checkpoint of the whole state, which
 * _last_checkpoint points near to. What a table asks for and we cannot honour is refused by name (UNSUPPORTED). The
 * log is foreign input: Spark, delta-rs and others write it, too.
 *
 * Paths are keys in the table's store: unescaped, relative. Partitions are Hive paths as our own folders have them
 * ("year=2024/month=03", see gm_partition_parse), made from partitionValues and not from the file's path. */
#ifndef GM_TABLE_DELTA_H
#define GM_TABLE_DELTA_H

#include "column/vec.h"
#include "store/store.h"

struct gm_delta_field {
	const char *name, *comment; /* "" if none */
	enum gm_type type;
};

/* The table's metaData. Text is owned by whoever made it. */
struct gm_delta_metadata {
	const char *id;                 /* a UUID */
	const char *name, *description; /* "" if none */
	const char *schema;             /* schemaString: JSON */
	const char *const *partition_columns;
	size_t partition_count;
	const char *configuration; /* JSON object of strings */
	int64_t created_ms;
};

/* A data file as the log has it. */
struct gm_delta_file {
	const char *path, *partition;
	uint64_t bytes;
	int64_t mtime_ms;
	const char *stats; /* JSON; NULL: none */
	const char *tags;  /* JSON object of strings; NULL: none */
	bool data_change;
};

/* --- Reading ------------------------------------------------------------------------------------------------------ */

/* The state at one version. Memory grows with the files of the table, and with those removed that the log still
 * remembers, by about a hundred bytes each: statistics and tags are left where they are and read again by
 * gm_delta_each_file. One thread at a time. */
struct gm_delta_log;

enum { GM_DELTA_NEWEST = -1 };
/* Opens the newest version, or that one. NOT_FOUND: there is no log, or no such version yet. CHANGED: that version can
 * no longer be read, its log entries are gone. CORRUPT and UNSUPPORTED name the entry or checkpoint; a checkpoint that
 * cannot be read is done without if older entries are there. NOMEM: memory_bytes do not do. The store must outlive the
 * log. */
enum gm_code gm_delta_open(struct gm_store *table, int64_t version, size_t memory_bytes, struct gm_delta_log **out,
                           struct gm_error *err) GM_CHECK;
/* The newest version of a log that is known to have had version `had` (below 0: nothing is known of it). The answer is
 * that of gm_delta_open; but for what lies far below it is not listed, which a log of very many entries may need. */
enum gm_code gm_delta_open_since(struct gm_store *table, int64_t had, size_t memory_bytes, struct gm_delta_log **out,
                                 struct gm_error *err) GM_CHECK;
void gm_delta_free(struct gm_delta_log *log); /* NULL is allowed */
int64_t gm_delta_version(const struct gm_delta_log *log);
const struct gm_delta_metadata *gm_delta_metadata(const struct gm_delta_log *log);
/* A value of the table's configuration; NULL: not set. */
const char *gm_delta_property(const struct gm_delta_log *log, const char *name);
/* May we append to it? UNSUPPORTED names the protocol version, feature or property that forbids it. */
enum gm_code gm_delta_check_writable(const struct gm_delta_log *log, struct gm_error *err) GM_CHECK;
/* The version of an application's newest txn; false: it has none. */
bool gm_delta_txn(const struct gm_delta_log *log, const char *app_id, int64_t *version);
/* Every application's newest txn, by index; ids live as long as the log. */
struct gm_delta_txn_action {
	const char *app_id;
	int64_t version;
};
size_t gm_delta_txn_count(const struct gm_delta_log *log);
struct gm_delta_txn_action gm_delta_txn_at(const struct gm_delta_log *log, size_t index);
uint64_t gm_delta_file_count(const struct gm_delta_log *log);
/* The live files of a partition, in the order of their paths; valid as long as the log. Only path, partition, bytes and
 * mtime_ms are filled. */
enum gm_code gm_delta_partition(const struct gm_delta_log *log, const char *partition,
                                const struct gm_delta_file **files, size_t *count, struct gm_error *err) GM_CHECK;
/* Every partition with live files, as gm_delta_partition tells it, in no order that counts; the files are valid during
 * the call. */
typedef enum gm_code gm_delta_partition_fn(void *context, const char *partition, const struct gm_delta_file *files,
                                           size_t count, struct gm_error *err);
enum gm_code gm_delta_each_partition(const struct gm_delta_log *log, gm_delta_partition_fn *each, void *context,
                                     struct gm_error *err) GM_CHECK;
/* Is the file live? */
bool gm_delta_has(const struct gm_delta_log *log, const char *path);
/* A small number for a path that the log names, and the path again: for whoever must remember many files. */
bool gm_delta_number(const struct gm_delta_log *log, const char *path, uint32_t *number);
const char *gm_delta_numbered(const struct gm_delta_log *log, uint32_t number);
/* Does the log speak of the file at all: live, or removed and not yet forgotten? */
bool gm_delta_knows(const struct gm_delta_log *log, const char *path);
/* How long the log remembers removed files: delta.deletedFileRetentionDuration. */
int64_t gm_delta_removed_retention_ms(const struct gm_delta_log *log);
/* All live files with everything the log says of them, each valid during its call; streamed, in no order that counts.
 * CHANGED: what the log was read from has been cleaned away. */
typedef enum gm_code gm_delta_file_fn(void *context, const struct gm_delta_file *file, struct gm_error *err);
enum gm_code gm_delta_each_file(const struct gm_delta_log *log, gm_delta_file_fn *each, void *context,
                                struct gm_error *err) GM_CHECK;

/* What one commit says. Arrays live during the call. */
struct gm_delta_entry {
	int64_t version;
	int64_t timestamp_ms;    /* of commitInfo; 0: none */
	const char *commit_info; /* JSON; NULL: none */
	bool metadata, protocol; /* does it change them? */
	const struct gm_delta_txn_action *txns;
	size_t txn_count;
	const struct gm_delta_file *adds, *removes; /* a remove's partition is NULL where the log does not tell it */
	size_t add_count, remove_count;
};
typedef enum gm_code gm_delta_entry_fn(void *context, const struct gm_delta_entry *entry, struct gm_error *err);
/* The commits with first <= version, ascending, up to the newest; none if first is newer. NOT_FOUND: entry `first`
 * does not exist but later ones do, or there is a hole behind it: it was cleaned away. CHANGED: a later one was,
 * meanwhile. A path that is no key of the table's store stands as the log spells it. */
enum gm_code gm_delta_entries(struct gm_store *table, int64_t first, gm_delta_entry_fn *each, void *context,
                              struct gm_error *err) GM_CHECK;
/* The oldest version whose JSON entry still exists, with all after it up to the newest; NOT_FOUND: none. */
enum gm_code gm_delta_oldest(struct gm_store *table, int64_t *version, struct gm_error *err) GM_CHECK;

/* --- Writing ------------------------------------------------------------------------------------------------------ */

struct gm_delta_text { /* an entry of a map of strings */
	const char *name, *value;
};
struct gm_delta_commit {
	int64_t timestamp_ms;
	const char *operation;   /* "WRITE" */
	const char *engine_info; /* "gristmill/0.1.0" */
	const struct gm_delta_text *parameters, *metrics;
	size_t parameter_count, metric_count;
	bool blind_append;
	bool protocol;                            /* with the first version */
	const struct gm_delta_metadata *metadata; /* NULL: unchanged */
	const struct gm_delta_txn_action *txns;   /* lastUpdated is timestamp_ms */
	size_t txn_count;
	const struct gm_delta_file *adds;
	size_t add_count;
};
/* Puts the version's entry if absent; EXISTS is passed on. The partition values of adds come from their Hive path. */
enum gm_code gm_delta_put(struct gm_store *table, int64_t version, const struct gm_delta_commit *commit,
                          struct gm_error *err) GM_CHECK;

/* After a put that succeeded: is it certain that the newest state builds on that entry? It is not if a checkpoint of
 * that version or a later one is there: who slept while the log went on and was cleaned finds the name free again. */
enum gm_code gm_delta_is_history(struct gm_store *table, int64_t version, bool *certain, struct gm_error *err) GM_CHECK;

/* The schema that a table of these columns has (partition columns last), as schemaString; free() it. */
enum gm_code gm_delta_schema(const struct gm_delta_field *fields, size_t count, char **out,
                             struct gm_error *err) GM_CHECK;
/* Does the table's metadata allow these columns and partitions? *changed: it must be rewritten first, with *schema
 * (NULL otherwise; free() it): new columns are added behind the table's, comments follow the job where it has one,
 * columns that the job no longer has stay. UNSUPPORTED: a type differs, both are named; another partitioning; a column
 * that must not be null. */
enum gm_code gm_delta_schema_merge(const struct gm_delta_metadata *metadata, const struct gm_delta_field *fields,
                                   size_t count, const char *const *partition_columns, size_t partition_count,
                                   bool *changed, char **schema, struct gm_error *err) GM_CHECK;

/* A column of a table's schema, which another engine may have given a type that no job can have. */
struct gm_delta_column {
	const char *name, *comment; /* "" if none */
	bool ours;
	enum gm_type type;     /* if ours */
	const char *hive_type; /* as Hive writes it: "bigint", "array<string>"; NULL: Hive has nothing like it */
};
/* The columns of the schema in its order, partition columns among them; all in the arena. */
enum gm_code gm_delta_columns(const struct gm_delta_metadata *metadata, struct gm_arena *arena,
                              struct gm_delta_column **columns, size_t *count, struct gm_error *err) GM_CHECK;

/* Statistics of an add from our Parquet files. */
struct gm_delta_column_stats {
	const char *name;
	enum gm_type type;
	uint64_t nulls;
	bool has_bounds; /* not beside a NaN; what is inexact lies below and above every value */
	int64_t min_i64, max_i64;
	double min_f64, max_f64;
	const uint8_t *min_bytes, *max_bytes;
	size_t min_len, max_len;
};
/* The "stats" text of an add: numRecords, and bounds and null counts of the first 32 columns, which are the table's
 * without its partition columns. Appends to out. */
enum gm_code gm_delta_stats(uint64_t rows, const struct gm_delta_column_stats *columns, size_t count,
                            struct gm_buf *out, struct gm_error *err) GM_CHECK;

/* Writes the checkpoint of the log's version, if it is not there, and moves _last_checkpoint forward to it (never
 * back, unless it points to nothing). Streams: memory as for opening. now_ms decides which removes are expired.
 * CHANGED: what the log was read from has been cleaned away. */
enum gm_code gm_delta_checkpoint(const struct gm_delta_log *log, int64_t now_ms, struct gm_error *err) GM_CHECK;
/* Have ten versions, or delta.checkpointInterval, come since the last checkpoint? */
bool gm_delta_checkpoint_due(const struct gm_delta_log *log);
/* Removes log entries older than the table's retention (30 days; never under 7) by the times of their files in the
 * store, always leaving a checkpoint that can be read and every entry from it on. Honours
 * delta.enableExpiredLogCleanup. */
enum gm_code gm_delta_clean(const struct gm_delta_log *log, int64_t now_ms, struct gm_error *err) GM_CHECK;

/* --- Proof -------------------------------------------------------------------------------------------------------- */

enum gm_delta_fault {
	GM_DELTA_HOLE,               /* entries are missing between others */
	GM_DELTA_CHECKPOINT_DAMAGED, /* it cannot be read */
	GM_DELTA_CHECKPOINT_WRONG,   /* it is not what the entries and the checkpoint before it say */
};
/* object: the file's key; what: one line. */
typedef enum gm_code gm_delta_fault_fn(void *context, enum gm_delta_fault fault, const char *object, const char *what,
                                       struct gm_error *err);
struct gm_delta_proof {
	uint64_t entries, checkpoints; /* that are there and can be read */
	uint64_t compared;             /* checkpoints for which all that they are made of is still there */
	int64_t first;                 /* where to begin with gm_delta_entries to see all that can be seen; -1: nowhere */
};
/* Do the log's files agree with each other? Looks at all checkpoints, or at the newest version's alone, two states in
 * memory_bytes. What it finds it reports; failures are those of the store, of memory, and of report. */
enum gm_code gm_delta_prove(struct gm_store *table, bool all, size_t memory_bytes, gm_delta_fault_fn *report,
                            void *context, struct gm_delta_proof *proof, struct gm_error *err) GM_CHECK;

#endif
