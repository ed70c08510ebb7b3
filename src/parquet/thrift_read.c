#include "parquet/thrift_read.h"

#include <stdarg.h>
#include <stdio.h>

/* What is open while a value is skipped. */
enum { SKIP_DEPTH = 32 };

void gm_thrift_open(struct gm_thrift_in *in, const char *what, const uint8_t *bytes, size_t n, uint64_t offset,
                    struct gm_error *err)
{
	*in = (struct gm_thrift_in){
	    .start = bytes, .at = bytes, .end = bytes + n, .offset = offset, .what = what, .err = err, .rc = GM_OK};
}

enum gm_code gm_thrift_close(const struct gm_thrift_in *in)
{
	return in->rc;
}

void gm_thrift_bad(struct gm_thrift_in *in, const char *format, ...)
{
	char text[256];
	va_list args;
	if (in->rc != GM_OK) return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	in->rc = gm_error_set(in->err, GM_CORRUPT, "the %s is damaged: %s", in->what, text);
	if (in->err != NULL) in->err->offset = in->offset + (uint64_t)(in->at - in->start);
	in->at = in->end;
}

static void bytes_end(struct gm_thrift_in *in)
{
	if (in->rc != GM_OK) return;
	gm_thrift_bad(in, "it ends in the middle of a value");
	in->cut = true;
}

static uint8_t get_byte(struct gm_thrift_in *in)
{
	if (in->at < in->end) return *in->at++;
	bytes_end(in);
	return 0;
}

static uint64_t get_varint(struct gm_thrift_in *in)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t byte = get_byte(in);
		if (shift == 63 && byte > 1) break;
		value |= (uint64_t)(byte & 0x7F) << shift;
		if (byte < 0x80) return value;
	}
	gm_thrift_bad(in, "a number takes more than 64 bits");
	return 0;
}

static int64_t get_zigzag(struct gm_thrift_in *in)
{
	uint64_t value = get_varint(in);
	return (int64_t)(value >> 1 ^ (~(value & 1) + 1));
}

static void pass(struct gm_thrift_in *in, uint64_t bytes)
{
	if (bytes <= (uint64_t)(in->end - in->at))
		in->at += bytes;
	else
		bytes_end(in);
}

bool gm_thrift_next(struct gm_thrift_in *in, struct gm_thrift_field *field)
{
	uint8_t byte = get_byte(in);
	if (byte == 0 || in->rc != GM_OK) return false;
	int64_t id = byte >> 4 != 0 ? field->id + (byte >> 4) : get_zigzag(in);
	field->type = byte & 0x0F;
	if (id < INT16_MIN || id > INT16_MAX) gm_thrift_bad(in, "there is a field %lld", (long long)id);
	field->id = (int16_t)id;
	return in->rc == GM_OK;
}

static bool has_type(struct gm_thrift_in *in, const struct gm_thrift_field *field, enum gm_thrift_type type)
{
	if (in->rc != GM_OK) return false;
	if (field->type == type) return true;
	gm_thrift_bad(in, "field %d has type %d instead of %d", field->id, (int)field->type, (int)type);
	return false;
}

bool gm_thrift_get_bool(struct gm_thrift_in *in, const struct gm_thrift_field *field)
{
	if (field->type == GM_THRIFT_FALSE) return false;
	return has_type(in, field, GM_THRIFT_TRUE);
}

int8_t gm_thrift_get_i8(struct gm_thrift_in *in, const struct gm_thrift_field *field)
{
	return has_type(in, field, GM_THRIFT_I8) ? (int8_t)get_byte(in) : 0;
}

int32_t gm_thrift_get_i32(struct gm_thrift_in *in, const struct gm_thrift_field *field)
{
	if (!has_type(in, field, GM_THRIFT_I32)) return 0;
	int64_t value = get_zigzag(in);
	if (value >= INT32_MIN && value <= INT32_MAX) return (int32_t)value;
	gm_thrift_bad(in, "field %d exceeds 32 bits", field->id);
	return 0;
}

int64_t gm_thrift_get_i64(struct gm_thrift_in *in, const struct gm_thrift_field *field)
{
	return has_type(in, field, GM_THRIFT_I64) ? get_zigzag(in) : 0;
}

struct gm_bytes gm_thrift_get_binary(struct gm_thrift_in *in, const struct gm_thrift_field *field)
{
	if (!has_type(in, field, GM_THRIFT_BINARY)) return (struct gm_bytes){0};
	uint64_t len = get_varint(in);
	if (len > UINT32_MAX) gm_thrift_bad(in, "field %d has %llu bytes", field->id, (unsigned long long)len);
	const uint8_t *data = in->at;
	pass(in, len);
	return in->rc == GM_OK ? (struct gm_bytes){data, (uint32_t)len} : (struct gm_bytes){0};
}

bool gm_thrift_get_struct(struct gm_thrift_in *in, const struct gm_thrift_field *field)
{
	return has_type(in, field, GM_THRIFT_STRUCT);
}

/* Every element takes at least one byte, so there are no more of them than bytes. */
static uint32_t get_count(struct gm_thrift_in *in, uint64_t count)
{
	if (count > (uint64_t)(in->end - in->at) || count > UINT32_MAX) {
		bytes_end(in);
		return 0;
	}
	return (uint32_t)count;
}

static uint32_t get_list_header(struct gm_thrift_in *in, enum gm_thrift_type *type)
{
	uint8_t byte = get_byte(in);
	*type = byte & 0x0F;
	return get_count(in, byte >> 4 == 15 ? get_varint(in) : byte >> 4);
}

uint32_t gm_thrift_get_list(struct gm_thrift_in *in, const struct gm_thrift_field *field, enum gm_thrift_type type,
                            struct gm_thrift_field *element)
{
	element->id = field->id;
	element->type = type;
	if (!has_type(in, field, GM_THRIFT_LIST)) return 0;
	uint32_t count = get_list_header(in, &element->type);
	if (count > 0 && !has_type(in, element, type)) return 0;
	return count;
}

int16_t gm_thrift_get_choice(struct gm_thrift_in *in, const struct gm_thrift_field *field)
{
	struct gm_thrift_field member = {0};
	int16_t choice = 0;
	if (!gm_thrift_get_struct(in, field)) return 0;
	while (gm_thrift_next(in, &member)) {
		choice = member.id;
		gm_thrift_skip(in, &member);
	}
	return choice;
}

/* A collection that is being skipped: a struct, or the values left of a list, set or map (keys and values in turn). */
struct skipped {
	bool is_struct;
	uint64_t left;
	enum gm_thrift_type type[2]; /* of the values with an even, an odd number left */
};

/* Passes over a value that holds no others, or gives what it holds. */
static bool skip_value(struct gm_thrift_in *in, enum gm_thrift_type type, bool in_list, struct skipped *inner)
{
	switch ((int)type) {
	case GM_THRIFT_TRUE:
	case GM_THRIFT_FALSE: /* a field's type says all */
		if (in_list) (void)get_byte(in);
		return false;
	case GM_THRIFT_I8: (void)get_byte(in); return false;
	case GM_THRIFT_I16:
	case GM_THRIFT_I32:
	case GM_THRIFT_I64: (void)get_varint(in); return false;
	case GM_THRIFT_DOUBLE: pass(in, 8); return false;
	case GM_THRIFT_UUID: pass(in, 16); return false;
	case GM_THRIFT_BINARY: pass(in, get_varint(in)); return false;
	case GM_THRIFT_LIST:
	case GM_THRIFT_SET:
		*inner = (struct skipped){0};
		inner->left = get_list_header(in, &inner->type[0]);
		inner->type[1] = inner->type[0];
		return inner->left > 0;
	case GM_THRIFT_MAP:
		*inner = (struct skipped){0};
		inner->left = 2 * (uint64_t)get_count(in, get_varint(in));
		if (inner->left == 0) return false;
		uint8_t types = get_byte(in);
		inner->type[0] = types >> 4; /* keys come while an even number is left */
		inner->type[1] = types & 0x0F;
		return true;
	case GM_THRIFT_STRUCT: *inner = (struct skipped){.is_struct = true}; return true;
	default: gm_thrift_bad(in, "there is a value of type %d", (int)type); return false;
	}
}

void gm_thrift_skip(struct gm_thrift_in *in, const struct gm_thrift_field *field)
{
	struct skipped open[SKIP_DEPTH];
	unsigned depth = skip_value(in, field->type, false, &open[0]) ? 1 : 0;
	while (depth > 0 && in->rc == GM_OK) {
		struct skipped *inner = &open[depth - 1];
		struct gm_thrift_field next = {0};
		if (inner->is_struct ? !gm_thrift_next(in, &next) : inner->left == 0) {
			depth--;
			continue;
		}
		if (!inner->is_struct) next.type = inner->type[inner->left-- % 2];
		if (depth == SKIP_DEPTH)
			gm_thrift_bad(in, "values are nested more than %d deep", SKIP_DEPTH);
		else if (skip_value(in, next.type, !inner->is_struct, &open[depth]))
			depth++;
	}
}
