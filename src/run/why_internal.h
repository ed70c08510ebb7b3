/* why_internal.h - what the parts of gm_why share; nobody else includes it.
 *
 *   why.c        the key as the job's types have it; the order of everything
 *   why_rows.c   the rows of the table that have it
 *   why_kept.c   what the runs kept of records they dropped: duplicates and rejected ones
 *   why_scan.c   looks for the key in an object, with the job as it is now
 *   why_find.c   which objects to look into, and what their records became
 */
#ifndef GM_RUN_WHY_INTERNAL_H
#define GM_RUN_WHY_INTERNAL_H

#include "job/derive.h"
#include "run/history.h"
#include "table/parquet_rows.h"

#include <time.h>

enum {
	GM_WHY_ARRIVALS = 1000, /* told one by one */
	GM_WHY_ROWS = 1000,
};

struct gm_why_found {
	struct gm_why_arrival arrival;
	bool told; /* what became of it is known */
	/* Of a rejected record: its quarantine file as a plan's input, and the run that replayed it; 0: none has. */
	const char *replay;
	uint64_t replayed_by;
};

struct gm_why {
	const struct gm_job *job;
	const struct gm_why_options *options;
	struct gm_why_result *result;
	struct gm_arena *arena; /* of the result */
	struct gm_store *table, *source;
	struct gm_layout layout;
	size_t memory_bytes;
	struct gm_history history;
	/* The key: one row of as many columns. */
	struct gm_rows_column *columns;
	size_t key_count;
	struct gm_vec_rows *key;
	struct gm_key_hasher *hasher;
	struct gm_hash128 hash; /* without a partition */
	struct gm_hash128 hashes[GM_CHUNK_ROWS];
	uint8_t match[GM_CHUNK_ROWS];
	/* Found so far. */
	struct gm_why_row rows[GM_WHY_ROWS];
	bool won[GM_WHY_ROWS]; /* the record that is the row has been found */
	size_t row_count;
	struct gm_why_found found[GM_WHY_ARRIVALS];
	size_t found_count;
	const char *phase;
	uint64_t objects_done, objects;
	struct timespec start, told;
};

/* --- why.c -------------------------------------------------------------------------------------------------------- */

enum gm_code gm_why_pulse(struct gm_why *why, struct gm_error *err) GM_CHECK;
/* Is the key among these rows, at most GM_CHUNK_ROWS, of the key's columns? why->match[row] says which have it. */
bool gm_why_compare(struct gm_why *why, const struct gm_vec_rows *columns, uint32_t rows);
enum gm_code gm_why_keep(struct gm_why *why, const char *text, size_t bytes, const char **out,
                         struct gm_error *err) GM_CHECK;
/* An arrival as it is known by now, to be filled in; one that is known already, or a new one; NULL: there is no more
 * room, and it is counted. */
enum gm_code gm_why_find(struct gm_why *why, const char *object, uint64_t record, struct gm_why_found **out,
                         struct gm_error *err) GM_CHECK;

/* --- why_rows.c --------------------------------------------------------------------------------------------------- */

enum gm_code gm_why_find_rows(struct gm_why *why, struct gm_error *err) GM_CHECK;

/* --- why_kept.c --------------------------------------------------------------------------------------------------- */

struct gm_why_scan;
enum gm_code gm_why_find_kept(struct gm_why *why, struct gm_why_scan *scan, struct gm_error *err) GM_CHECK;

/* --- why_scan.c --------------------------------------------------------------------------------------------------- */

struct gm_why_match {   /* a record with the key */
	const char *object; /* of the source, also where it was read from quarantine */
	uint64_t record, offset;
	enum gm_fate fate;
	const char *partition; /* "" unless it is to be kept */
	const char *reason;    /* of a rejected one; else "" */
};
typedef enum gm_code gm_why_match_fn(void *context, const struct gm_why_match *match, struct gm_error *err);

enum gm_code gm_why_scan_new(struct gm_why *why, struct gm_why_scan **out, struct gm_error *err) GM_CHECK;
void gm_why_scan_free(struct gm_why_scan *scan); /* NULL is allowed */
/* The time by which what is scanned from here on was judged: when the plan of its run was made. */
void gm_why_scan_set_now(struct gm_why_scan *scan, int64_t now_us);
/* Of an object, or of a quarantine file that is an input, in the order of its records. *read false: it is gone, or has
 * changed since it was processed as the input says; what was found until that was noticed has been told. */
enum gm_code gm_why_scan_object(struct gm_why_scan *scan, const struct gm_input *input, gm_why_match_fn *each,
                                void *context, bool *read, struct gm_error *err) GM_CHECK;
/* Do these bytes, which were rejected, hold a record with the key? */
enum gm_code gm_why_scan_span(struct gm_why_scan *scan, const void *bytes, size_t n, bool *found,
                              struct gm_error *err) GM_CHECK;

/* --- why_find.c --------------------------------------------------------------------------------------------------- */

/* Looks into the objects of the units that wrote the rows, and those of duplicates. */
enum gm_code gm_why_find_arrivals(struct gm_why *why, struct gm_why_scan *scan, struct gm_error *err) GM_CHECK;
/* Looks into all objects of the source. */
enum gm_code gm_why_find_everywhere(struct gm_why *why, struct gm_why_scan *scan, struct gm_error *err) GM_CHECK;

#endif
