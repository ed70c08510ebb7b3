/* content.c - see content.h.
 *
 * fingerprint = the sum over the columns of mix(value + column), 2^64 being 0, with the top bit set
 *   column    XXH3-64 of the column's name, plus a number for what kind of value it is
 *   value     of a string its XXH3-64; of a number its 64 bits; null adds nothing
 * Both hashes are keyed by the table's secret: who writes records cannot make two that differ look the same. The value
 * of each code of a dictionary is remembered, so that a string is hashed once for all rows that have it. */
#include "table/content.h"

#include "table/hash.h"

#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	SECRET_PART = XXH3_SECRET_SIZE_MIN,
	MEMO_MAX = 1 << 17, /* codes of a dictionary remembered: what takes a fraction of what the dictionary does */
	MEMO_MIN = 256,
};

struct column {
	uint64_t name; /* its hash */
	uint32_t slot;
	/* What a row with the code adds, memo[0] being 0, for codes up to memo_last. The reference keeps the dictionary, so
	 * that another one cannot come to live at its address with other strings under the same codes. */
	struct gm_dict *dict;
	uint64_t *memo;
	uint32_t memo_last, memo_room;
	bool idle; /* the last chunk had no dictionary here */
};

struct gm_content_hasher {
	uint8_t secret[SECRET_PART];
	size_t column_count;
	struct column columns[];
};

enum gm_code gm_content_hasher_new(const uint8_t secret[GM_KEY_SECRET_BYTES], const struct gm_content_column *columns,
                                   size_t column_count, struct gm_content_hasher **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_content_hasher *hasher = calloc(1, sizeof *hasher + column_count * sizeof *hasher->columns);
	if (hasher == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for comparing rows");
	memcpy(hasher->secret, secret, sizeof hasher->secret);
	hasher->column_count = column_count;
	for (size_t i = 0; i < column_count; i++) {
		size_t n = strlen(columns[i].name);
		hasher->columns[i].name = XXH3_64bits_withSecret(columns[i].name, n, secret, SECRET_PART);
		hasher->columns[i].slot = columns[i].slot;
	}
	*out = hasher;
	return GM_OK;
}

static void forget(struct column *column)
{
	gm_dict_unref(column->dict);
	free(column->memo);
	column->dict = NULL;
	column->memo = NULL;
	column->memo_last = column->memo_room = 0;
}

void gm_content_hasher_free(struct gm_content_hasher *hasher)
{
	if (hasher == NULL) return;
	for (size_t i = 0; i < hasher->column_count; i++) forget(&hasher->columns[i]);
	free(hasher);
}

/* --- values ------------------------------------------------------------------------------------------------------- */

/* Every bit of the result depends on every bit of x. */
static inline uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93U;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93U;
	return x ^ x >> 32;
}

/* Kinds of value that are never equal to one of another. */
static uint64_t kind_of(enum gm_type type)
{
	uint64_t kind = type == GM_TYPE_INT ? GM_TYPE_BIGINT : type;
	return (kind + 1) * 0x9e3779b97f4a7c15U;
}

static uint64_t hash_string(const struct gm_content_hasher *hasher, uint64_t name, const uint8_t *text, uint32_t len)
{
	return mix(XXH3_64bits_withSecret(text, len, hasher->secret, SECRET_PART) + name);
}

uint64_t gm_content_value(const struct gm_content_hasher *hasher, size_t column, const struct gm_vec *vec, uint32_t row)
{
	uint64_t name = hasher->columns[column].name + kind_of(vec->type);
	uint32_t len;
	if (gm_vec_is_null(vec, row)) return 0;
	switch (vec->repr) {
	case GM_REPR_BOOL: return mix(vec->boolean[row] + name);
	case GM_REPR_I64: return mix((uint64_t)vec->i64[row] + name);
	case GM_REPR_F64: return mix(gm_double_bits(vec->f64[row]) + name);
	case GM_REPR_DICT:
	case GM_REPR_PLAIN: {
		const uint8_t *text = gm_vec_string(vec, row, &len);
		return hash_string(hasher, name, text, len);
	}
	default: return 0;
	}
}

/* --- chunks ------------------------------------------------------------------------------------------------------- */

/* Lets go of a dictionary that neither this chunk has nor the one before: its column may never have one again. */
static void forget_idle(struct column *column, const struct gm_vec *vec)
{
	bool idle = vec->repr != GM_REPR_DICT;
	if (idle && column->idle) forget(column);
	column->idle = idle;
}

/* Remembers the dictionary's codes, as far as there is memory: it is a memo, no more. */
static void remember(const struct gm_content_hasher *hasher, struct column *column, uint64_t name, struct gm_dict *dict)
{
	if (column->dict != dict) {
		forget(column);
		column->dict = gm_dict_ref(dict);
	}
	uint32_t last = dict->count < MEMO_MAX ? dict->count : MEMO_MAX - 1;
	if (last >= column->memo_room) {
		uint32_t room = column->memo_room == 0 ? MEMO_MIN : column->memo_room;
		while (room <= last) room *= 2;
		uint64_t *memo = realloc(column->memo, room * sizeof *memo);
		if (memo == NULL) return;
		memo[0] = 0;
		column->memo = memo;
		column->memo_room = room;
	}
	for (uint32_t code = column->memo_last + 1; code <= last; code++) {
		uint32_t len;
		const uint8_t *text = gm_dict_get(dict, code, &len);
		column->memo[code] = hash_string(hasher, name, text, len);
		column->memo_last = code;
	}
}

/* A code that is not remembered is one of a large dictionary, or of a row that is not kept and may hold anything. */
static void add_codes(struct gm_content_hasher *hasher, size_t index, const struct gm_vec *vec, const uint8_t *fate,
                      uint32_t rows, uint64_t *sums)
{
	static const uint64_t nothing[1];
	struct column *column = &hasher->columns[index];
	if (vec->dict->count == 0) return;
	remember(hasher, column, column->name + kind_of(vec->type), vec->dict);
	const uint64_t *memo = column->memo != NULL ? column->memo : nothing;
	const uint32_t known = column->memo_last, *codes = vec->codes;
	for (uint32_t row = 0; row < rows; row++) {
		if (codes[row] <= known)
			sums[row] += memo[codes[row]];
		else if (fate[row] == GM_FATE_KEEP)
			sums[row] += gm_content_value(hasher, index, vec, row);
	}
}

static void add_texts(const struct gm_content_hasher *hasher, uint64_t name, const struct gm_vec *vec,
                      const uint8_t *fate, uint32_t rows, uint64_t *sums)
{
	for (uint32_t row = 0; row < rows; row++) {
		uint32_t len;
		if (fate[row] != GM_FATE_KEEP || (vec->null != NULL && vec->null[row] != 0)) continue;
		const uint8_t *text = gm_vec_string(vec, row, &len);
		sums[row] += hash_string(hasher, name, text, len);
	}
}

/* All bits of a value that counts, none of null. */
static inline uint64_t counts(const struct gm_vec *vec, uint32_t row)
{
	return vec->null == NULL || vec->null[row] == 0 ? UINT64_MAX : 0;
}

static void add_column(struct gm_content_hasher *hasher, size_t index, const struct gm_vec *vec, const uint8_t *fate,
                       uint32_t rows, uint64_t *sums)
{
	const uint64_t name = hasher->columns[index].name + kind_of(vec->type), truths[2] = {mix(name), mix(1 + name)};
	switch (vec->repr) {
	case GM_REPR_NULL: return;
	case GM_REPR_DICT: add_codes(hasher, index, vec, fate, rows, sums); return;
	case GM_REPR_PLAIN: add_texts(hasher, name, vec, fate, rows, sums); return;
	case GM_REPR_BOOL:
		for (uint32_t row = 0; row < rows; row++) sums[row] += truths[vec->boolean[row] & 1] & counts(vec, row);
		return;
	case GM_REPR_I64:
		for (uint32_t row = 0; row < rows; row++) sums[row] += mix((uint64_t)vec->i64[row] + name) & counts(vec, row);
		return;
	case GM_REPR_F64:
		for (uint32_t row = 0; row < rows; row++)
			sums[row] += mix(gm_double_bits(vec->f64[row]) + name) & counts(vec, row);
		return;
	}
}

enum gm_code gm_content_hasher_run(struct gm_content_hasher *hasher, struct gm_chunk *chunk, struct gm_error *err)
{
	chunk->content = gm_arena_zalloc(&chunk->passing, (size_t)chunk->rows * sizeof *chunk->content);
	if (chunk->content == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for comparing rows");
	for (size_t i = 0; i < hasher->column_count; i++) {
		uint32_t slot = hasher->columns[i].slot;
		if (slot >= chunk->slots) GM_FAIL(err, GM_BUG, "a column to compare that no chunk has");
		forget_idle(&hasher->columns[i], &chunk->vec[slot]);
		add_column(hasher, i, &chunk->vec[slot], chunk->fate, chunk->rows, chunk->content);
	}
	for (uint32_t row = 0; row < chunk->rows; row++) chunk->content[row] = gm_content_finish(chunk->content[row]);
	return GM_OK;
}
