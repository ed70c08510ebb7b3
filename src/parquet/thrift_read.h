/* thrift_read.h - reads Thrift's compact protocol (thrift.h describes it) out of bytes that nobody vouches for.
 *
 * A struct is read by a loop over its fields:
 *
 *	struct gm_thrift_field field = {0};
 *	while (gm_thrift_next(in, &field)) {
 *		switch (field.id) {
 *		case 1: out->rows = gm_thrift_get_i64(in, &field); break;
 *		default: gm_thrift_skip(in, &field);
 *		}
 *	}
 *
 * and an element of a list by the same calls, with a field of the list's element type. The first failure sticks: from
 * then on every loop ends and every call gives zero, and gm_thrift_close tells how it went. A field of another type
 * than asked for is CORRUPT, one that is not asked for is skipped, and a count never exceeds the bytes left. */
#ifndef GM_PARQUET_THRIFT_READ_H
#define GM_PARQUET_THRIFT_READ_H

#include "parquet/thrift.h"

struct gm_thrift_in {
	const uint8_t *start, *at, *end;
	uint64_t offset;  /* of start in the file: for messages */
	const char *what; /* is read: "footer" */
	struct gm_error *err;
	enum gm_code rc;
	bool cut; /* failed because the bytes end: more of them may help */
};
struct gm_thrift_field {
	int16_t id;
	enum gm_thrift_type type;
};
struct gm_bytes {
	const uint8_t *data; /* NULL: not there */
	uint32_t len;
};

void gm_thrift_open(struct gm_thrift_in *in, const char *what, const uint8_t *bytes, size_t n, uint64_t offset,
                    struct gm_error *err);
enum gm_code gm_thrift_close(const struct gm_thrift_in *in) GM_CHECK;
/* Something about the values read is wrong: CORRUPT, unless something was before. */
void gm_thrift_bad(struct gm_thrift_in *in, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The next field of the struct; its value must be got or skipped. False: the struct has ended. */
bool gm_thrift_next(struct gm_thrift_in *in, struct gm_thrift_field *field);
/* Passes over a value of any type. */
void gm_thrift_skip(struct gm_thrift_in *in, const struct gm_thrift_field *field);
bool gm_thrift_get_bool(struct gm_thrift_in *in, const struct gm_thrift_field *field);
int8_t gm_thrift_get_i8(struct gm_thrift_in *in, const struct gm_thrift_field *field);
int32_t gm_thrift_get_i32(struct gm_thrift_in *in, const struct gm_thrift_field *field);
int64_t gm_thrift_get_i64(struct gm_thrift_in *in, const struct gm_thrift_field *field);
/* Points into the bytes that are read. */
struct gm_bytes gm_thrift_get_binary(struct gm_thrift_in *in, const struct gm_thrift_field *field);
/* Whether the value is a struct, whose fields come next. */
bool gm_thrift_get_struct(struct gm_thrift_in *in, const struct gm_thrift_field *field);
/* The number of elements, which come next and are of this type; `element` is made ready for them. */
uint32_t gm_thrift_get_list(struct gm_thrift_in *in, const struct gm_thrift_field *field, enum gm_thrift_type type,
                            struct gm_thrift_field *element);
/* Of a union whose members are empty structs, or do not matter: the field that is set; 0 if none is. */
int16_t gm_thrift_get_choice(struct gm_thrift_in *in, const struct gm_thrift_field *field);

#endif
