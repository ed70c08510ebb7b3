/* key_hasher.c - from the columns of a table's unique key to 128 bits.
 *
 * hash = key + partition, both halves added apart:
 *   partition   XXH3-128 of the partition's path under one part of the secret
 *   key         one column:   XXH3-128 of the value's bytes under another part of the secret
 *               several:      XXH3-128 of [type, 128-bit hash of the value] of each column, in order
 * A value's bytes are those of a string, or the 8 (boolean: 1) little-endian bytes of a number, with one bit pattern
 * each for zero and for NaN. Tuples of hashes have a fixed form, so that no two tuples of values share one, and a value
 * of any length is hashed where it lies. The secret is the table's: nobody who only writes records can make hashes
 * collide. How strings are held (dictionary or plain) changes nothing. */
#include "table/keyset.h"

#include "table/hash.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	SECRET_PART = XXH3_SECRET_SIZE_MIN,                   /* 136 */
	PARTITION_SECRET = GM_KEY_SECRET_BYTES - SECRET_PART, /* where the partition's part begins */
	MEMO_MAX = 1 << 16,                                   /* partitions remembered */
	TUPLE_BYTES = 1 + sizeof(struct gm_hash128),
};

struct gm_key_hasher {
	uint8_t secret[GM_KEY_SECRET_BYTES];
	/* Hashes of the partitions with codes 1 .. memo_count. The reference keeps the dictionary, so that another one
	 * cannot come to live at its address with other strings under the same codes. */
	struct gm_dict *memo_dict;
	struct gm_hash128 *memo;
	uint32_t memo_count, memo_room;
	size_t slot_count;
	uint8_t *tuple;              /* slot_count * TUPLE_BYTES */
	struct gm_vec_rows *columns; /* of the chunk in hand */
	uint32_t slots[];
};

uint64_t gm_key_secret_tag(const uint8_t secret[GM_KEY_SECRET_BYTES])
{
	return XXH3_64bits(secret, GM_KEY_SECRET_BYTES);
}

static struct gm_hash128 hash_bytes(const uint8_t *secret, const void *bytes, size_t n)
{
	XXH128_hash_t hash = XXH3_128bits_withSecret(bytes, n, secret, SECRET_PART);
	return (struct gm_hash128){.low = hash.low64, .high = hash.high64};
}

enum gm_code gm_key_hasher_new(const uint8_t secret[GM_KEY_SECRET_BYTES], const uint32_t *slots, size_t slot_count,
                               struct gm_key_hasher **out, struct gm_error *err)
{
	*out = NULL;
	if (slot_count == 0 || slot_count > UINT16_MAX) GM_FAIL(err, GM_BUG, "a unique key of %zu columns", slot_count);
	struct gm_key_hasher *hasher = calloc(1, sizeof *hasher + slot_count * sizeof *slots);
	if (hasher != NULL) hasher->tuple = malloc(slot_count * TUPLE_BYTES);
	if (hasher != NULL) hasher->columns = malloc(slot_count * sizeof *hasher->columns);
	if (hasher == NULL || hasher->tuple == NULL || hasher->columns == NULL) {
		gm_key_hasher_free(hasher);
		GM_FAIL(err, GM_NOMEM, "out of memory for hashing keys");
	}
	memcpy(hasher->secret, secret, sizeof hasher->secret);
	if (slots != NULL) memcpy(hasher->slots, slots, slot_count * sizeof *slots);
	hasher->slot_count = slot_count;
	*out = hasher;
	return GM_OK;
}

void gm_key_hasher_free(struct gm_key_hasher *hasher)
{
	if (hasher == NULL) return;
	gm_dict_unref(hasher->memo_dict);
	free(hasher->memo);
	free(hasher->tuple);
	free(hasher->columns);
	free(hasher);
}

/* --- partitions --------------------------------------------------------------------------------------------------- */

struct gm_hash128 gm_key_hasher_partition(const struct gm_key_hasher *hasher, const char *path, size_t bytes)
{
	return hash_bytes(hasher->secret + PARTITION_SECRET, path, bytes);
}

static struct gm_hash128 hash_partition(const struct gm_key_hasher *hasher, const struct gm_dict *dict, uint32_t code)
{
	uint32_t len;
	const uint8_t *path = gm_dict_get(dict, code, &len);
	return gm_key_hasher_partition(hasher, (const char *)path, len);
}

static void remember_dict(struct gm_key_hasher *hasher, struct gm_dict *dict)
{
	if (hasher->memo_dict == dict) return;
	gm_dict_unref(hasher->memo_dict);
	hasher->memo_dict = gm_dict_ref(dict);
	hasher->memo_count = 0;
}

/* Of a code that was handed out, so that all codes below it exist. */
static struct gm_hash128 partition_of(struct gm_key_hasher *hasher, uint32_t code)
{
	if (code <= hasher->memo_count) return hasher->memo[code - 1];
	if (code > hasher->memo_room && code <= MEMO_MAX) {
		uint32_t room = hasher->memo_room == 0 ? 64 : hasher->memo_room;
		while (room < code) room *= 2;
		struct gm_hash128 *memo = realloc(hasher->memo, room * sizeof *memo);
		if (memo != NULL) {
			hasher->memo = memo;
			hasher->memo_room = room;
		}
	}
	if (code > hasher->memo_room) return hash_partition(hasher, hasher->memo_dict, code); /* it is a memo, no more */
	while (hasher->memo_count < code) {
		uint32_t next = ++hasher->memo_count;
		hasher->memo[next - 1] = hash_partition(hasher, hasher->memo_dict, next);
	}
	return hasher->memo[code - 1];
}

/* --- values ------------------------------------------------------------------------------------------------------- */

/* The hash of a non-null value; false if it is an empty string. */
static inline bool hash_value(const struct gm_key_hasher *hasher, const struct gm_vec *vec, uint32_t row,
                              struct gm_hash128 *hash)
{
	uint8_t bytes[8];
	size_t n = sizeof bytes;
	uint64_t bits;
	switch (vec->repr) {
	case GM_REPR_DICT:
	case GM_REPR_PLAIN: {
		uint32_t len;
		const uint8_t *text = gm_vec_string(vec, row, &len);
		if (len == 0) return false;
		*hash = hash_bytes(hasher->secret, text, len);
		return true;
	}
	case GM_REPR_BOOL:
		bits = vec->boolean[row];
		n = 1;
		break;
	case GM_REPR_I64: bits = (uint64_t)vec->i64[row]; break;
	case GM_REPR_F64: bits = gm_double_bits(vec->f64[row]); break;
	default: return false;
	}
	for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(bits >> (8 * i));
	*hash = hash_bytes(hasher->secret, bytes, n);
	return true;
}

/* The key of a row, without its partition; false if a part of it is null or empty. */
static inline bool hash_row(const struct gm_key_hasher *hasher, const struct gm_vec_rows *columns, uint32_t row,
                            struct gm_hash128 *hash)
{
	const size_t parts = hasher->slot_count;
	for (size_t i = 0; i < parts; i++) {
		const struct gm_vec *vec = columns[i].vec;
		uint32_t at = columns[i].first + row;
		if (gm_vec_is_null(vec, at) || !hash_value(hasher, vec, at, hash)) return false;
		if (parts == 1) return true;
		uint8_t *part = hasher->tuple + i * TUPLE_BYTES;
		part[0] = (uint8_t)vec->type;
		memcpy(part + 1, hash, sizeof *hash);
	}
	*hash = hash_bytes(hasher->secret, hasher->tuple, parts * TUPLE_BYTES);
	return true;
}

static void add_partition(struct gm_hash128 *hash, struct gm_hash128 partition)
{
	hash->low += partition.low;
	hash->high += partition.high;
}

void gm_key_hasher_rows(struct gm_key_hasher *hasher, const struct gm_vec_rows *columns, uint32_t rows,
                        struct gm_hash128 partition, struct gm_hash128 *keys, uint8_t *no_key)
{
	for (uint32_t row = 0; row < rows; row++) {
		struct gm_hash128 hash = {0};
		no_key[row] = !hash_row(hasher, columns, row, &hash);
		if (no_key[row] == 0) add_partition(&hash, partition);
		keys[row] = no_key[row] == 0 ? hash : (struct gm_hash128){0};
	}
}

static enum gm_code find_columns(struct gm_key_hasher *hasher, const struct gm_chunk *chunk, struct gm_error *err)
{
	for (size_t i = 0; i < hasher->slot_count; i++) {
		if (hasher->slots[i] >= chunk->slots) GM_FAIL(err, GM_BUG, "a key column that no chunk has");
		hasher->columns[i] = (struct gm_vec_rows){.vec = &chunk->vec[hasher->slots[i]]};
	}
	return GM_OK;
}

enum gm_code gm_key_hasher_run(struct gm_key_hasher *hasher, struct gm_chunk *chunk, struct gm_error *err)
{
	chunk->key = gm_arena_alloc(&chunk->passing, (size_t)chunk->rows * sizeof *chunk->key);
	chunk->no_key = gm_arena_alloc(&chunk->passing, chunk->rows);
	if (chunk->key == NULL || chunk->no_key == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for hashing keys");
	GM_TRY(find_columns(hasher, chunk, err));
	bool partitioned = chunk->partition.repr == GM_REPR_DICT;
	if (partitioned) remember_dict(hasher, chunk->partition.dict);
	for (uint32_t row = 0; row < chunk->rows; row++) {
		struct gm_hash128 hash = {0};
		bool has_key = chunk->fate[row] == GM_FATE_KEEP && hash_row(hasher, hasher->columns, row, &hash);
		uint32_t code = has_key && partitioned ? chunk->partition.codes[row] : GM_DICT_NULL;
		if (code != GM_DICT_NULL) add_partition(&hash, partition_of(hasher, code));
		chunk->key[row] = has_key ? hash : (struct gm_hash128){0};
		chunk->no_key[row] = !has_key;
	}
	return GM_OK;
}
