/* verify_internal.h - what the checks of gm_verify share; nobody else includes it.
 *
 * A check is a function that reports findings and returns OK; what it returns otherwise is why the proof could not be
 * made at all: no memory, a store that fails, a signal. They run in this order, each on what those before it left:
 *   log      (table/delta_prove.c, verify_log.c)  is the log whole, do its checkpoints agree; then it is opened
 *   jobs     (verify_jobs.c)     who has state on the table
 *   entries  (verify_log.c)      the log entry by entry: order of transactions; what commits say of their books
 *   chains   (verify_chain.c)    of each job, from its head along the parents: plans, books (verify_books.c), bookmark
 *                                (verify_bookmark.c), source (verify_source.c)
 *   files    (verify_files.c)    every live file; unless quick, its bytes, pages and statistics (verify_data.c,
 *                                verify_stats.c), and keys (verify_keys.c)
 *   strays   (verify_strays.c)   what else a reader of the folders sees
 *
 * The table goes on living meanwhile. What looks wrong of a file's path only because of a commit that came later is
 * asked of the log once more (verify_trace.c) before it is reported. */
#ifndef GM_RUN_VERIFY_INTERNAL_H
#define GM_RUN_VERIFY_INTERNAL_H

#include "parquet/reader.h"
#include "run/bounds.h"
#include "run/commit.h"
#include "run/verify.h"
#include "table/keyset.h"

#include <time.h>

/* --- What is known ------------------------------------------------------------------------------------------------ */

struct gm_verify_commit { /* of a run, as an entry of the log has it */
	uint64_t run, parent;
	int64_t version;
	bool has_books, seen;                                                          /* seen: the run is on the chain */
	uint64_t books[2];                                                             /* hash of the books' text */
	uint64_t files, rows, bytes, read, duplicates, filtered, quarantined, objects; /* as commitInfo tells */
	uint64_t adds, add_bytes;                                                      /* as its adds are */
};

struct gm_verify_job { /* a job with state on the table */
	const char *id;
	struct gm_layout layout;
	uint64_t head;                    /* its last committed run */
	bool is_old;                      /* it has runs of format 1 that the log does not know */
	struct gm_verify_commit *commits; /* ascending by run */
	size_t commit_count, commit_room;
	uint64_t last_txn;  /* while entries are read */
	uint64_t broken_at; /* the run whose plan ended the way down the chain; 0: it was followed to its beginning */
	uint64_t *doubtful; /* runs whose books cannot be used: their files are not compared with them */
	size_t doubtful_count, doubtful_room;
};

struct gm_book_file { /* a live file, as the books of its run have it */
	struct gm_hash128 path;
	uint64_t bytes, rows, hash[2];
};
struct gm_book_index { /* open addressing, by path */
	struct gm_book_file *slots;
	size_t count, room, max_room;
	uint64_t seed;
};

struct gm_verify_keys; /* verify_keys.c */

struct gm_verifier {
	const struct gm_job *job; /* NULL: a table alone */
	struct gm_verify_options options;
	struct gm_verify_result *result;
	struct gm_store *table, *source;
	struct gm_arena arena;    /* as long as the proof */
	size_t memory_bytes;      /* that checks share */
	struct gm_delta_log *log; /* NULL: the table has no commit */
	int64_t first_entry;      /* of the log's unbroken end; -1: none */
	struct gm_verify_job *jobs;
	size_t job_count, job_room;
	struct gm_book_index books;
	struct gm_verify_keys *keys;
	const char *phase;
	uint64_t files_done, files_total, bytes_done, bytes_total;
	struct timespec start, told;
};

/* What the checks may take of memory_bytes, as divisors. That of the bookmark, and a second log beside it, are given
 * back before files are read. */
enum {
	GM_VERIFY_LOG_SHARE = 4,
	GM_VERIFY_BOOKS_SHARE = 4,
	GM_VERIFY_BOOKMARK_SHARE = 4,
	GM_VERIFY_KEYS_SHARE = 4,
	GM_VERIFY_READER_SHARE = 4,
};

/* --- verify.c ----------------------------------------------------------------------------------------------------- */

/* A finding about nothing in particular, to be filled in. */
struct gm_finding gm_verify_about(enum gm_finding_code code, const char *object);
/* Counts and tells it; its detail is the text. What to do, if `about` does not say, follows from the code. */
void gm_verify_report(struct gm_verifier *verifier, const struct gm_finding *about, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Shows how far the proof is; INTERRUPTED if it is to stop. Cheap. */
enum gm_code gm_verify_pulse(struct gm_verifier *verifier, struct gm_error *err) GM_CHECK;
enum gm_code gm_verify_phase(struct gm_verifier *verifier, const char *phase, struct gm_error *err) GM_CHECK;
const char *gm_verify_scratch(const struct gm_verifier *verifier);
/* Does the failure lie in what was read, so that it is a finding and the proof goes on? */
bool gm_verify_is_finding(enum gm_code code);
/* The hash that sets of paths and of object keys hold; no secret, but another one in each process. */
struct gm_hash128 gm_verify_hash(const struct gm_verifier *verifier, const char *text);

/* --- verify_log.c ------------------------------------------------------------------------------------------------- */

enum gm_code gm_verify_log(struct gm_verifier *verifier, struct gm_error *err) GM_CHECK;
enum gm_code gm_verify_entries(struct gm_verifier *verifier, struct gm_error *err) GM_CHECK;

/* --- verify_jobs.c ------------------------------------------------------------------------------------------------ */

enum gm_code gm_verify_jobs(struct gm_verifier *verifier, struct gm_error *err) GM_CHECK;
struct gm_verify_job *gm_verify_find_job(const struct gm_verifier *verifier, const char *id);
enum gm_code gm_verify_add_job(struct gm_verifier *verifier, const char *id, struct gm_verify_job **out,
                               struct gm_error *err) GM_CHECK;
/* Whose run a file's name says that wrote it: <job8>-<run>-<unit>-<seq>-<h16>. False: it is no such name. *job NULL: of
 * a job that has no state here. */
bool gm_verify_name(const struct gm_verifier *verifier, const char *path, const struct gm_verify_job **job,
                    uint64_t *run);
const struct gm_verify_commit *gm_verify_find_commit(const struct gm_verify_job *job, uint64_t run);
bool gm_verify_is_doubtful(const struct gm_verify_job *job, uint64_t run);
enum gm_code gm_verify_doubt(struct gm_verify_job *job, uint64_t run, struct gm_error *err) GM_CHECK;

/* --- verify_chain.c ----------------------------------------------------------------------------------------------- */

enum gm_code gm_verify_chains(struct gm_verifier *verifier, struct gm_error *err) GM_CHECK;
/* verify_books.c: of a committed run; commit NULL: its entry is gone. */
enum gm_code gm_verify_books(struct gm_verifier *verifier, struct gm_verify_job *job, const struct gm_plan *plan,
                             const struct gm_verify_commit *commit, struct gm_error *err) GM_CHECK;
/* verify_kept.c: a file that a run keeps beside its data: quarantine, conflicts, duplicates; as its books say.
 * entries: how many it must hold; UINT64_MAX: any number. */
struct gm_kept_claim {
	const char *path;
	uint64_t bytes, hash[2], entries;
};
enum gm_code gm_verify_kept(struct gm_verifier *verifier, const struct gm_verify_job *job, uint64_t run,
                            const struct gm_kept_claim *claim, struct gm_error *err) GM_CHECK;
/* verify_source.c */
enum gm_code gm_verify_source(struct gm_verifier *verifier, struct gm_verify_job *job, const struct gm_history *history,
                              struct gm_error *err) GM_CHECK;

/* verify_bookmark.c: what the plans on a chain make of the objects, gathered from the newest to the oldest. */
struct gm_verify_objects {
	struct gm_verifier *verifier;
	struct gm_keyset *set; /* object -> run, and whether it was forgotten later */
	uint64_t known;        /* not forgotten */
	int64_t rewound_to_us; /* objects of older plans that were modified later are forgotten */
	uint64_t wrong;        /* in the bookmark otherwise */
	uint64_t compared;
	char first[GM_KEY_FREE_BYTES + 1]; /* of those that are wrong */
	const char *how;
};
enum gm_code gm_verify_objects_init(struct gm_verify_objects *objects, struct gm_verifier *verifier,
                                    struct gm_error *err) GM_CHECK;
void gm_verify_objects_release(struct gm_verify_objects *objects);
enum gm_code gm_verify_objects_plan(struct gm_verify_objects *objects, const struct gm_plan *plan,
                                    struct gm_error *err) GM_CHECK;
enum gm_code gm_verify_objects_compare(struct gm_verify_objects *objects, const struct gm_verify_job *job,
                                       const struct gm_history *history, struct gm_error *err) GM_CHECK;

/* --- verify_index.c: live files as books have them ---------------------------------------------------------------- */

void gm_book_index_init(struct gm_book_index *index, size_t memory_bytes);
void gm_book_index_release(struct gm_book_index *index);
enum gm_code gm_book_index_add(struct gm_book_index *index, const struct gm_book_file *file,
                               struct gm_error *err) GM_CHECK;
const struct gm_book_file *gm_book_index_find(const struct gm_book_index *index, struct gm_hash128 path);

/* --- verify_files.c ----------------------------------------------------------------------------------------------- */

enum gm_code gm_verify_files(struct gm_verifier *verifier, struct gm_error *err) GM_CHECK;
/* What is known of a file that is looked at. */
struct gm_verify_file {
	const struct gm_delta_file *file;
	const struct gm_book_file *book; /* NULL: none */
	const json_t *stats;             /* NULL: none */
	struct gm_finding about;         /* object, job, run are filled in */
	uint32_t number;                 /* in the order of the proof, from 0 */
	bool damaged;                    /* its bytes have been reported as wrong */
	bool unread;                     /* that some of it was not read has been reported */
};
/* verify_data.c: the bytes. */
enum gm_code gm_verify_data(struct gm_verifier *verifier, struct gm_verify_file *file, struct gm_error *err) GM_CHECK;

/* --- verify_stats.c ----------------------------------------------------------------------------------------------- */

struct gm_verify_column {        /* a flat column while it is read */
	struct gm_bounds log, group; /* what the log says of the file, what the footer says of the row group */
	uint64_t nulls, group_nulls;
	const char *wrong; /* the first that does not hold, as words; NULL: none yet */
	char value[128];   /* that lies outside */
	bool unread;       /* some of it could not be read: its sums say nothing */
};
/* The next rows of a column; vec has its type. */
void gm_verify_column_rows(struct gm_verify_column *column, const struct gm_vec *vec, uint32_t rows);
void gm_verify_column_end_group(struct gm_verify_column *column);
void gm_verify_column_end(struct gm_verify_column *column);

/* --- verify_keys.c ------------------------------------------------------------------------------------------------ */

/* The keys that plans name, each way of telling rows apart once. fields live in the verifier's arena. */
enum gm_code gm_verify_keys_note(struct gm_verifier *verifier, const struct gm_delta_field *fields, size_t count,
                                 struct gm_error *err) GM_CHECK;
enum gm_code gm_verify_keys_begin(struct gm_verifier *verifier, struct gm_error *err) GM_CHECK;
void gm_verify_keys_free(struct gm_verify_keys *keys); /* NULL is allowed */
/* Compares the keys of a file with those before it, and reports what it finds. */
enum gm_code gm_verify_keys_file(struct gm_verifier *verifier, struct gm_verify_file *file,
                                 struct gm_error *err) GM_CHECK;

/* --- verify_trace.c ----------------------------------------------------------------------------------------------- */

enum { GM_VERIFY_TRACES = 4096 };
/* Paths that look wrong, and what the log says of them last: gathered, then asked all at once. */
struct gm_verify_trace {
	const char *path;
	uint64_t bytes;  /* for whoever asks */
	int64_t version; /* of the last entry that names it; -1: none does */
	bool added;      /* by it; else removed */
};
struct gm_verify_traces {
	struct gm_arena arena;
	struct gm_verify_trace *at;
	size_t count;
};
enum gm_code gm_verify_traces_init(struct gm_verify_traces *traces, struct gm_error *err) GM_CHECK;
void gm_verify_traces_release(struct gm_verify_traces *traces);
/* *full: ask, and empty it, before the next. */
enum gm_code gm_verify_traces_add(struct gm_verify_traces *traces, const char *path, uint64_t bytes, bool *full,
                                  struct gm_error *err) GM_CHECK;
void gm_verify_traces_empty(struct gm_verify_traces *traces);
/* Reads the entries that are there, up to the newest, also those after the version that is proved. Orders the traces by
 * their paths. */
enum gm_code gm_verify_traces_ask(struct gm_verify_traces *traces, const struct gm_verifier *verifier,
                                  struct gm_error *err) GM_CHECK;

/* --- verify_strays.c ---------------------------------------------------------------------------------------------- */

enum gm_code gm_verify_strays(struct gm_verifier *verifier, struct gm_error *err) GM_CHECK;

#endif
