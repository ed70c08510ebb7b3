/* vec.h - column vectors and chunks: what every stage hands to the next.
 *
 * A vec is one column of some rows in one of five representations. A chunk is the rows that came out of one window of
 * one input object: a vec per slot (first the leaves the shredder reads, then what expressions derive), and per row
 * its record number, size and fate. How rows are cut into chunks, and whether strings are a dictionary or plain, is a
 * matter of speed alone: no output byte may depend on it. */
#ifndef GM_COLUMN_VEC_H
#define GM_COLUMN_VEC_H

#include "column/dict.h"

enum gm_type {
	GM_TYPE_BOOLEAN,
	GM_TYPE_INT,
	GM_TYPE_BIGINT,
	GM_TYPE_DOUBLE,
	GM_TYPE_STRING,
	GM_TYPE_DATE,      /* days since 1970-01-01 */
	GM_TYPE_TIMESTAMP, /* microseconds since 1970-01-01T00:00:00Z */
};
const char *gm_type_name(enum gm_type type);

enum gm_repr {
	GM_REPR_NULL, /* every row is null, nothing stored */
	GM_REPR_BOOL, /* u8: 0 or 1 */
	GM_REPR_I64,  /* int, bigint, date, timestamp */
	GM_REPR_F64,
	GM_REPR_DICT,  /* codes into a dictionary; null is code 0, and `null` is not used */
	GM_REPR_PLAIN, /* strings side by side: value i is bytes[ends[i-1] .. ends[i]) */
};

struct gm_vec {
	enum gm_type type;
	enum gm_repr repr;
	uint8_t *null; /* per row 1 = null, 0 = value; NULL when there is no null, and always for NULL and DICT */
	union {
		uint8_t *boolean;
		int64_t *i64;
		double *f64;
		struct {
			uint32_t *codes;
			struct gm_dict *dict; /* a reference, dropped by gm_chunk_unref */
		};
		struct {
			uint8_t *bytes;
			uint32_t *ends;
		};
	};
};

static inline bool gm_vec_is_null(const struct gm_vec *vec, uint32_t row)
{
	if (vec->repr == GM_REPR_DICT) return vec->codes[row] == GM_DICT_NULL;
	if (vec->repr == GM_REPR_NULL) return true;
	return vec->null != NULL && vec->null[row] != 0;
}
/* A non-null string value of a DICT or PLAIN vec. */
static inline const uint8_t *gm_vec_string(const struct gm_vec *vec, uint32_t row, uint32_t *len)
{
	if (vec->repr == GM_REPR_DICT) return gm_dict_get(vec->dict, vec->codes[row], len);
	uint32_t start = row == 0 ? 0 : vec->ends[row - 1];
	*len = vec->ends[row] - start;
	return vec->bytes + start;
}

/* What becomes of a row before deduplication. */
enum gm_fate {
	GM_FATE_KEEP,
	GM_FATE_FILTERED,    /* `where` was false or null */
	GM_FATE_QUARANTINED, /* an expression's or column's on_error: the entry was queued by whoever decided */
};

struct gm_hash128 {
	uint64_t low, high;
};

enum { GM_CHUNK_ROWS = 4096 }; /* at most so many rows a chunk */

struct gm_chunk {
	int references; /* atomic */
	uint32_t rows;
	uint32_t slots; /* vecs in `vec` */
	struct gm_vec *vec;
	uint64_t first_record;   /* of the object, counting from 0; see record */
	uint64_t *record;        /* record number within the object */
	uint64_t *offset;        /* where the record starts in the inflated object */
	uint32_t *length;        /* its bytes */
	uint32_t *weight;        /* deterministic size of the row's values, see shred.h */
	uint8_t *fate;           /* enum gm_fate */
	struct gm_vec partition; /* DICT of Hive paths such as "year=2024/month=03/day=10"; never null where fate is KEEP */
	struct gm_hash128 *key;  /* hash of partition and unique key, or NULL when the table has none */
	uint8_t *no_key;         /* 1: some key column is null or empty: never a duplicate */
	uint64_t *content;       /* fingerprint of what a row says apart from its key (table/content.h), or NULL as key */
	struct gm_arena arena;   /* the vecs and what they point to */
	struct gm_arena passing; /* record .. fate, key .. content: of no use once the rows are with their partitions */
	size_t dictionary_bytes; /* what its rows added to dictionaries, which live as long as a chunk refers to them */
	struct gm_chunk_pool *pool;
	struct gm_chunk *next; /* for whoever holds it in a list */
	/* Of the collecting thread: */
	uint32_t waiting; /* segments of partitions that hold rows of this chunk */
	uint32_t kept;    /* its rows that went to partitions */
};

/* Recycles chunks, so that a steady state allocates nothing. Thread-safe. */
struct gm_chunk_pool;
struct gm_chunk_pool *gm_chunk_pool_new(void);
void gm_chunk_pool_free(struct gm_chunk_pool *pool); /* all chunks must have come back */
/* An empty chunk for so many rows, with one reference and `slots` vecs of repr NULL; arrays are the taker's to allocate
 * from chunk->arena. rows is a hint: what is left of an object at its end does not get the memory of a whole window. */
struct gm_chunk *gm_chunk_take(struct gm_chunk_pool *pool, uint32_t slots, uint32_t rows);
/* Everything is in the chunk: the pool learns how large chunks are. */
void gm_chunk_built(const struct gm_chunk *chunk);
struct gm_chunk *gm_chunk_ref(struct gm_chunk *chunk);
void gm_chunk_unref(struct gm_chunk *chunk);
/* The rows have found their partitions: what lies in `passing` goes to the next chunk. What waits for its row group is
 * most of a run's memory, and smaller by this. */
void gm_chunk_passed(struct gm_chunk *chunk);
/* What the chunk occupies, with its part of the dictionaries; and what of that it will when it has passed. */
size_t gm_chunk_memory_bytes(const struct gm_chunk *chunk);
size_t gm_chunk_lasting_bytes(const struct gm_chunk *chunk);

/* Some rows of a vec, in order: what the Parquet writer and the spill file take. rows is NULL for first ..
 * first+count-1. */
struct gm_slice {
	const struct gm_vec *vec;
	const uint32_t *rows;
	uint32_t first, count;
};

#endif
