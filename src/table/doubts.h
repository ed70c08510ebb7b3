/* doubts.h - duplicates whose winner lies in the table, until it is known whether they say the same.
 *
 * What the winner says must be read from its file, so it is read once for all at the end of a unit: of each row group
 * that has such winners the key columns, to find their rows, then the columns to compare. Doubts wait in bounded
 * memory, beyond that in a temporary file. They are settled by the file's path, row group and ordinal: an order that
 * does not depend on what else was worked before or on memory. */
#ifndef GM_TABLE_DOUBTS_H
#define GM_TABLE_DOUBTS_H

#include "table/existing.h"

struct gm_doubt {
	struct gm_hash128 key;
	uint64_t content; /* fingerprint of the duplicate */
	uint64_t winner;  /* the set's value: a row group of gm_existing */
	uint64_t ordinal; /* counts the doubts of the unit, in plan order */
	uint64_t record, offset;
	uint32_t object;
};

struct gm_doubts_options {
	struct gm_store *table;
	const struct gm_existing *existing;
	const uint8_t *key_secret;
	/* The columns of the unique key, in its order, then those that the fingerprint is over. */
	const struct gm_rows_column *columns;
	size_t key_count, column_count;
	size_t memory_bytes, read_bytes; /* of waiting doubts; of a footer, a page */
	const char *spill_directory;
	const volatile int *stop; /* may be NULL */
};

/* Told of each doubt in the order they are settled in, then, for those of some dozen thousand at a time that are
 * conflicts, where the key's columns say which key it is: row `row` of `key`. */
struct gm_doubts_told {
	enum gm_code (*settled)(void *context, const struct gm_doubt *doubt, bool conflict, struct gm_error *err);
	/* False: no more of them are wanted, so the keys need not be read. */
	bool (*wanted)(void *context);
	enum gm_code (*conflict)(void *context, const struct gm_doubt *doubt, const struct gm_existing_place *place,
	                         const struct gm_vec_rows *key, uint32_t row, struct gm_error *err);
	void *context;
};

struct gm_doubts; /* of one unit */
enum gm_code gm_doubts_new(const struct gm_doubts_options *options, struct gm_doubts **out,
                           struct gm_error *err) GM_CHECK;
void gm_doubts_free(struct gm_doubts *doubts); /* NULL is allowed */
/* The ordinal is given here. */
enum gm_code gm_doubts_add(struct gm_doubts *doubts, const struct gm_doubt *doubt, struct gm_error *err) GM_CHECK;
/* After the last; only once. */
enum gm_code gm_doubts_settle(struct gm_doubts *doubts, const struct gm_doubts_told *told,
                              struct gm_error *err) GM_CHECK;

#endif
