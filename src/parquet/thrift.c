#include "parquet/thrift.h"

#include <string.h>

static void put(struct gm_thrift *thrift, const void *bytes, size_t n)
{
	if (thrift->rc == GM_OK) thrift->rc = gm_buf_append(thrift->out, bytes, n, thrift->err);
}

static void put_byte(struct gm_thrift *thrift, uint8_t byte)
{
	put(thrift, &byte, 1);
}

static void put_varint(struct gm_thrift *thrift, uint64_t value)
{
	uint8_t bytes[10];
	size_t n = 0;
	for (; value >= 0x80; value >>= 7) bytes[n++] = (uint8_t)(value | 0x80);
	bytes[n++] = (uint8_t)value;
	put(thrift, bytes, n);
}

static void put_zigzag(struct gm_thrift *thrift, int64_t value)
{
	put_varint(thrift, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

static void put_binary(struct gm_thrift *thrift, const void *bytes, size_t n)
{
	put_varint(thrift, n);
	put(thrift, bytes, n);
}

static void put_field(struct gm_thrift *thrift, int16_t field, enum gm_thrift_type type)
{
	int16_t *last = &thrift->last[thrift->depth];
	int step = field - *last;
	*last = field;
	if (step > 0 && step <= 15) {
		put_byte(thrift, (uint8_t)((unsigned)step << 4 | type));
		return;
	}
	put_byte(thrift, (uint8_t)type);
	put_zigzag(thrift, field);
}

static void open_struct(struct gm_thrift *thrift)
{
	if (thrift->depth + 1 == GM_THRIFT_DEPTH) {
		if (thrift->rc == GM_OK) thrift->rc = gm_error_set(thrift->err, GM_BUG, "metadata is nested too deeply");
		return;
	}
	thrift->last[++thrift->depth] = 0;
}

void gm_thrift_begin(struct gm_thrift *thrift, struct gm_buf *out, struct gm_error *err)
{
	*thrift = (struct gm_thrift){.out = out, .err = err, .rc = GM_OK};
}

enum gm_code gm_thrift_finish(struct gm_thrift *thrift)
{
	put_byte(thrift, 0);
	if (thrift->rc == GM_OK && thrift->depth != 0)
		thrift->rc = gm_error_set(thrift->err, GM_BUG, "metadata was left unfinished");
	return thrift->rc;
}

void gm_thrift_bool(struct gm_thrift *thrift, int16_t field, bool value)
{
	put_field(thrift, field, value ? GM_THRIFT_TRUE : GM_THRIFT_FALSE);
}

void gm_thrift_i8(struct gm_thrift *thrift, int16_t field, int8_t value)
{
	put_field(thrift, field, GM_THRIFT_I8);
	put_byte(thrift, (uint8_t)value);
}

void gm_thrift_i16(struct gm_thrift *thrift, int16_t field, int16_t value)
{
	put_field(thrift, field, GM_THRIFT_I16);
	put_zigzag(thrift, value);
}

void gm_thrift_i32(struct gm_thrift *thrift, int16_t field, int32_t value)
{
	put_field(thrift, field, GM_THRIFT_I32);
	put_zigzag(thrift, value);
}

void gm_thrift_i64(struct gm_thrift *thrift, int16_t field, int64_t value)
{
	put_field(thrift, field, GM_THRIFT_I64);
	put_zigzag(thrift, value);
}

void gm_thrift_binary(struct gm_thrift *thrift, int16_t field, const void *bytes, size_t n)
{
	put_field(thrift, field, GM_THRIFT_BINARY);
	put_binary(thrift, bytes, n);
}

void gm_thrift_string(struct gm_thrift *thrift, int16_t field, const char *text)
{
	gm_thrift_binary(thrift, field, text, strlen(text));
}

void gm_thrift_struct(struct gm_thrift *thrift, int16_t field)
{
	put_field(thrift, field, GM_THRIFT_STRUCT);
	open_struct(thrift);
}

void gm_thrift_end(struct gm_thrift *thrift)
{
	put_byte(thrift, 0);
	if (thrift->depth > 0) thrift->depth--;
}

void gm_thrift_choice(struct gm_thrift *thrift, int16_t field, int16_t choice)
{
	gm_thrift_struct(thrift, field);
	gm_thrift_struct(thrift, choice);
	gm_thrift_end(thrift);
	gm_thrift_end(thrift);
}

void gm_thrift_list(struct gm_thrift *thrift, int16_t field, enum gm_thrift_type type, size_t count)
{
	put_field(thrift, field, GM_THRIFT_LIST);
	if (count < 15) {
		put_byte(thrift, (uint8_t)((unsigned)count << 4 | type));
		return;
	}
	put_byte(thrift, (uint8_t)(0xF0 | type));
	put_varint(thrift, count);
}

void gm_thrift_element_bool(struct gm_thrift *thrift, bool value)
{
	put_byte(thrift, value ? GM_THRIFT_TRUE : GM_THRIFT_FALSE);
}

void gm_thrift_element_int(struct gm_thrift *thrift, int64_t value)
{
	put_zigzag(thrift, value);
}

void gm_thrift_element_binary(struct gm_thrift *thrift, const void *bytes, size_t n)
{
	put_binary(thrift, bytes, n);
}

void gm_thrift_element_struct(struct gm_thrift *thrift)
{
	open_struct(thrift);
}
