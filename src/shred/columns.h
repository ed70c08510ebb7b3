/* columns.h - the rows being read, column by column, until they become a chunk.
 *
 * Values go to row `rows` of arrays that are used again for every chunk; a record counts once the row number is
 * advanced, so a bad one is undone by clearing its row. A string is first kept as a reference to where it stands
 * (window or arena): every ROWS_A_BATCH rows, column by column, the references are turned into dictionary codes, with
 * hashes computed for all of them and cache lines asked for ahead of their use (gm_dict_put_all).
 *
 * A string column whose values are mostly distinct goes without dictionary: its references are kept until the chunk
 * ends and the bytes put side by side. That is looked at again now and then. Nobody may depend on which of the two it
 * is. */
#ifndef GM_SHRED_COLUMNS_H
#define GM_SHRED_COLUMNS_H

#include "shred/shred.h"

enum gm_kind { GM_KIND_STRING, GM_KIND_INTEGER, GM_KIND_DOUBLE, GM_KIND_BOOLEAN, GM_KIND_DATE };
enum gm_fault { GM_FAULT_NONE, GM_FAULT_VALUE, GM_FAULT_RANGE };

struct gm_leaf {
	enum gm_kind kind;
	enum gm_fault fault; /* of the row being read */
	uint32_t mended;     /* ill-formed parts replaced in the row being read */
	/* INTEGER: the value read must lie in low..high and is then multiplied, or divided toward minus infinity. */
	int64_t low, high, multiply, divide;
	bool floor; /* fractions are cut */
	union {
		int64_t *i64;
		double *f64;
		uint8_t *boolean;
		/* Of this batch only: indexed by gm_columns.at. GM_DICT_SLACK bytes can be read behind each. */
		struct gm_ref *refs;
		void *values;
	};
	uint8_t *null; /* per row; not of strings */
	struct gm_shred_leaf spec;
	struct gm_leaf *same; /* the next leaf that wants the same value */

	/* Strings only. */
	struct gm_ref *kept;  /* without dictionary: of all rows of the chunk; NULL until it is needed */
	struct gm_dict *dict; /* NULL until it is needed */
	uint32_t *codes;
	uint32_t any_code;      /* other than 0: some row of the chunk is not null */
	bool plain, plain_once; /* no dictionary: from now on; for this chunk */
	bool full;              /* the dictionary took no more */
	uint64_t values_seen;   /* since the verdict on the dictionary was last considered */
	uint32_t count_then;    /* entries at that time */
};

struct gm_columns {
	struct gm_leaf *leaves;
	size_t count;
	uint32_t rows;        /* complete rows; the row being read is number `rows` */
	uint32_t at;          /* the row being read within its batch: rows - batch_start */
	uint32_t batch_start; /* rows before it have been looked up */
	uint32_t faults;      /* leaves with a fault in the row being read */
	bool mended;          /* some leaf has mended parts in the row being read */
	size_t dict_bytes_max;
	size_t dict_bytes; /* of all of them, when the last chunk was finished */
	uint64_t hash_seed;
	struct gm_arena text; /* strings that do not stand in the window as they are meant, until the chunk ends */
	uint64_t *weight, *record, *offset;
	uint32_t *length;
};

enum gm_code gm_columns_init(struct gm_columns *columns, const struct gm_shred_leaf *leaves, size_t count,
                             size_t dict_bytes_max, struct gm_error *err) GM_CHECK;
void gm_columns_release(struct gm_columns *columns);

/* Forgets all rows and the texts they refer to. */
void gm_columns_begin(struct gm_columns *columns);
/* The row being read is complete. False when memory is gone. */
bool gm_columns_advance(struct gm_columns *columns, uint64_t record, uint64_t offset, uint32_t length);
/* Makes one leaf, or all, of the row being read null again. */
void gm_columns_clear_leaf(struct gm_columns *columns, struct gm_leaf *leaf);
void gm_columns_clear_row(struct gm_columns *columns);
/* Copies the rows to the chunk, whose vecs 0 .. count-1 they become. */
enum gm_code gm_columns_finish(struct gm_columns *columns, struct gm_chunk *chunk, struct gm_error *err) GM_CHECK;

/* Whether the row being read has no value there (yet). */
static inline bool gm_leaf_is_null(const struct gm_columns *columns, const struct gm_leaf *leaf)
{
	return leaf->kind == GM_KIND_STRING ? leaf->refs[columns->at].bytes == NULL : leaf->null[columns->rows] != 0;
}

#endif
