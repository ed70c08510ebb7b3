#include "harness.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum gm_code object_source(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	(void)err;
	struct object *object = context;
	size_t n = object->n - object->pos;
	if (n > bytes) n = bytes;
	if (n > object->step) n = object->step;
	if (n > 0) memcpy(into, object->bytes + object->pos, n);
	object->pos += n;
	*got = n;
	return GM_OK;
}

static void text_room(struct text *text, size_t more)
{
	if (text->cap - text->n > more) return;
	text->cap = (text->cap + more + 256) * 2;
	text->data = realloc(text->data, text->cap);
	if (text->data == NULL) abort();
}

void text_clear(struct text *text)
{
	text_room(text, 1);
	text->n = 0;
	text->data[0] = '\0';
}

void text_add(struct text *text, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0) abort();
	text_room(text, (size_t)n + 1);
	va_start(args, format);
	(void)vsnprintf(text->data + text->n, (size_t)n + 1, format, args);
	va_end(args);
	text->n += (size_t)n;
}

void text_bytes(struct text *text, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool plain = bytes[i] >= 0x20 && bytes[i] < 0x7F && bytes[i] != '\\' && bytes[i] != '|';
		text_add(text, plain ? "%c" : "\\%02x", bytes[i]);
	}
}

void text_row(struct text *text, uint64_t record, uint64_t offset, uint64_t length, uint64_t weight)
{
	text_add(text, "row %" PRIu64 " at %" PRIu64 "+%" PRIu64 " weighs %" PRIu64 ":", record, offset, length, weight);
}

void text_reject(struct text *text, const struct gm_reject *reject)
{
	text_add(text, "reject %" PRIu64 " at %" PRIu64 " %s fault %" PRIu64 " [%s] ", reject->record, reject->offset,
	         gm_reason_code(reject->reason), reject->damage_offset, reject->column);
}

void text_books(struct text *text, const struct gm_shred_books *b)
{
	text_add(text,
	         "books read %" PRIu64 " quarantined %" PRIu64 " bytes %" PRIu64 "+%" PRIu64 "+%" PRIu64 "=%" PRIu64
	         " duplicates %" PRIu64 " mended %" PRIu64 " nulled %" PRIu64 "\n",
	         b->read, b->quarantined, b->record_bytes, b->separator_bytes, b->quarantined_bytes, b->bytes_raw,
	         b->duplicate_keys, b->invalid_utf8, b->converted_null);
}

void leaves_init(struct leaves *leaves, const struct wanted *wanted, size_t count)
{
	char *memory = leaves->memory;
	leaves->count = count;
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(wanted[i].path) + 1, parts = 0;
		if (memory + n > leaves->memory + sizeof leaves->memory) abort();
		memcpy(memory, wanted[i].path, n);
		for (char *part = memory; part != NULL;) {
			char *slash = strchr(part, '/');
			if (slash != NULL) *slash++ = '\0';
			leaves->parts[i][parts] = part;
			leaves->part_bytes[i][parts++] = strlen(part);
			part = slash;
		}
		memory += n;
		leaves->leaf[i] = (struct gm_shred_leaf){.path = leaves->parts[i],
		                                         .path_bytes = leaves->part_bytes[i],
		                                         .path_len = parts,
		                                         .type = wanted[i].type,
		                                         .unit = wanted[i].unit,
		                                         .required = wanted[i].required,
		                                         .on_error = wanted[i].on_error,
		                                         .name = wanted[i].path};
	}
}

struct reading {
	struct object object; /* first: the shredder's context is for source and rejects alike */
	struct text *rejects;
	bool open;
};

static enum gm_code on_reject(void *context, const struct gm_reject *reject, const void *data, size_t bytes, bool last,
                              struct gm_error *err)
{
	(void)err;
	struct reading *reading = context;
	if (!reading->open) text_reject(reading->rejects, reject);
	text_bytes(reading->rejects, data, bytes);
	if (last) text_add(reading->rejects, "\n");
	reading->open = !last;
	return GM_OK;
}

static void add_value(struct text *out, const struct gm_vec *vec, uint32_t row)
{
	uint32_t len;
	text_add(out, "|");
	if (gm_vec_is_null(vec, row)) {
		text_add(out, "null");
		return;
	}
	switch (vec->repr) {
	case GM_REPR_BOOL:
		text_add(out, "%s", vec->boolean[row] == 1 ? "true" : vec->boolean[row] == 0 ? "false" : "?");
		break;
	case GM_REPR_I64: text_add(out, "%" PRId64, vec->i64[row]); break;
	case GM_REPR_F64: text_add(out, "%a", vec->f64[row]); break;
	default:
		text_add(out, "'");
		const uint8_t *bytes = gm_vec_string(vec, row, &len);
		text_bytes(out, bytes, len);
	}
}

static void add_chunk(struct text *out, const struct gm_shredder *shredder, const struct leaves *leaves,
                      const struct gm_chunk *chunk, const struct reading *reading)
{
	for (uint32_t row = 0; row < chunk->rows; row++) {
		if (chunk->fate[row] != GM_FATE_KEEP) text_add(out, "strange fate\n");
		const uint8_t *raw = gm_shredder_raw(shredder, chunk, row);
		if (raw[0] != '{' || raw[chunk->length[row] - 1] != '}') text_add(out, "strange raw bytes\n");
		text_row(out, chunk->record[row], chunk->offset[row], chunk->length[row], chunk->weight[row]);
		for (size_t i = 0; i < leaves->count; i++) {
			if (chunk->vec[i].type != leaves->leaf[i].type) text_add(out, "strange type\n");
			add_value(out, &chunk->vec[i], row);
		}
		text_add(out, "\n");
	}
	if (chunk->first_record != chunk->record[0]) text_add(out, "strange first record\n");
	(void)reading;
}

void shred_object(struct gm_shredder *shredder, const struct leaves *leaves, const void *bytes, size_t n, size_t step,
                  struct text *out)
{
	struct text rejects = {0};
	struct reading reading = {{bytes, n, 0, step}, &rejects, false};
	struct gm_error err = {0};
	struct gm_chunk *chunk;
	enum gm_code rc;
	text_clear(&rejects);
	text_clear(out);
	gm_shredder_begin(shredder, object_source, on_reject, &reading);
	while ((rc = gm_shredder_next(shredder, 3, &chunk, &err)) == GM_OK && chunk != NULL) {
		if (chunk->slots != leaves->count + 3 || chunk->vec[leaves->count].repr != GM_REPR_NULL)
			text_add(out, "strange slots\n");
		add_chunk(out, shredder, leaves, chunk, &reading);
		gm_chunk_unref(chunk);
	}
	if (reading.open) text_add(&rejects, "(never ended)\n");
	text_add(out, "%s", rejects.data);
	if (rc != GM_OK)
		text_add(out, "error %s %s\n", gm_code_name(rc), err.message);
	else
		text_books(out, gm_shredder_books(shredder));
	free(rejects.data);
}

void shred_with(const struct leaves *leaves, const struct gm_shred_options *options, const void *bytes, size_t n,
                size_t step, struct text *out)
{
	struct gm_chunk_pool *pool = gm_chunk_pool_new();
	struct gm_shredder *shredder;
	struct gm_error err;
	if (pool == NULL || gm_shredder_new(leaves->leaf, leaves->count, options, pool, &shredder, &err) != GM_OK) abort();
	shred_object(shredder, leaves, bytes, n, step, out);
	gm_shredder_free(shredder);
	gm_chunk_pool_free(pool);
}
