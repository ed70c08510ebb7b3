/* thrift.h - writes Thrift's compact protocol, as far as Parquet's structures need it.
 *
 * A struct is its fields in ascending order: one byte (difference to the last field's number << 4 | type), or the type
 * and the number when the difference does not fit 4 bits, then the value; a zero byte ends it. Integers are zigzag
 * varints, a bool lives in its field's type, binaries have a varint length, a list has (length << 4 | type), or 0xF0 |
 * type and a varint length from 15 elements on.
 *
 * The first failure sticks: the calls return nothing, gm_thrift_finish tells how it went. */
#ifndef GM_PARQUET_THRIFT_H
#define GM_PARQUET_THRIFT_H

#include "base/arena.h"

enum gm_thrift_type {
	GM_THRIFT_TRUE = 1, /* also the element type of a list of bools */
	GM_THRIFT_FALSE = 2,
	GM_THRIFT_I8 = 3,
	GM_THRIFT_I16 = 4,
	GM_THRIFT_I32 = 5,
	GM_THRIFT_I64 = 6,
	GM_THRIFT_DOUBLE = 7, /* as SET, MAP and UUID: only to be skipped */
	GM_THRIFT_BINARY = 8,
	GM_THRIFT_LIST = 9,
	GM_THRIFT_SET = 10,
	GM_THRIFT_MAP = 11,
	GM_THRIFT_STRUCT = 12,
	GM_THRIFT_UUID = 13,
};

enum { GM_THRIFT_DEPTH = 16 };

struct gm_thrift {
	struct gm_buf *out;
	struct gm_error *err;
	enum gm_code rc;
	int depth;
	int16_t last[GM_THRIFT_DEPTH]; /* number of the last field of each open struct */
};

/* Starts a struct at the end of out. */
void gm_thrift_begin(struct gm_thrift *thrift, struct gm_buf *out, struct gm_error *err);
/* Ends it. */
enum gm_code gm_thrift_finish(struct gm_thrift *thrift) GM_CHECK;

/* Fields of the open struct; field numbers ascend. */
void gm_thrift_bool(struct gm_thrift *thrift, int16_t field, bool value);
void gm_thrift_i8(struct gm_thrift *thrift, int16_t field, int8_t value);
void gm_thrift_i16(struct gm_thrift *thrift, int16_t field, int16_t value);
void gm_thrift_i32(struct gm_thrift *thrift, int16_t field, int32_t value);
void gm_thrift_i64(struct gm_thrift *thrift, int16_t field, int64_t value);
void gm_thrift_binary(struct gm_thrift *thrift, int16_t field, const void *bytes, size_t n);
void gm_thrift_string(struct gm_thrift *thrift, int16_t field, const char *text);
void gm_thrift_struct(struct gm_thrift *thrift, int16_t field);
void gm_thrift_end(struct gm_thrift *thrift);
/* A union or struct of which only the choice of the field matters: field { choice {} }. */
void gm_thrift_choice(struct gm_thrift *thrift, int16_t field, int16_t choice);

/* A list is followed by exactly `count` elements of its type. */
void gm_thrift_list(struct gm_thrift *thrift, int16_t field, enum gm_thrift_type type, size_t count);
void gm_thrift_element_bool(struct gm_thrift *thrift, bool value);
void gm_thrift_element_int(struct gm_thrift *thrift, int64_t value); /* i32 and i64 alike */
void gm_thrift_element_binary(struct gm_thrift *thrift, const void *bytes, size_t n);
void gm_thrift_element_struct(struct gm_thrift *thrift); /* ended by gm_thrift_end */

#endif
