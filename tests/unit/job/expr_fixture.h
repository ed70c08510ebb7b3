/* expr_fixture.h - jobs made of one expression, and chunks to run them over, for the tests of expressions. */
#ifndef GM_TEST_EXPR_FIXTURE_H
#define GM_TEST_EXPR_FIXTURE_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "base/utf8.h"
#include "job/derive.h"

/* One record. A string is null where its pointer is; `nulls` has a letter for each other column that is null. */
struct fx_row {
	const char *s, *t;
	int64_t i;
	int32_t n;
	double d;
	bool b;
	int64_t ts; /* microseconds */
	const char *nulls;
};

/* How strings come: as a dictionary, side by side, or s the one and t the other way. */
enum fx_form { FX_DICT, FX_PLAIN, FX_MIXED, FX_FORMS };

struct fx {
	struct gm_job *job;
	struct gm_deriver *deriver;
	struct gm_chunk_pool *pool;
	struct gm_dict *dicts[2]; /* of s and t; the caller may unref and clear them to start afresh */
	struct gm_error err;
	/* what was rejected in the last chunk */
	struct {
		uint32_t row;
		enum gm_reason reason;
		char column[64], detail[256];
	} rejects[64];
	size_t reject_count;
};

static const char fx_columns[] = "columns:\n"
                                 "  - {name: s, type: string, from: s}\n"
                                 "  - {name: t, type: string, from: t}\n"
                                 "  - {name: i, type: bigint, from: i}\n"
                                 "  - {name: n, type: int, from: n}\n"
                                 "  - {name: d, type: double, from: d}\n"
                                 "  - {name: b, type: boolean, from: b}\n"
                                 "  - {name: ts, type: timestamp, from: ts, unit: us}\n";

static inline enum gm_code fx_open_yaml(struct fx *fx, const char *yaml, size_t memory_bytes)
{
	memset(fx, 0, sizeof *fx);
	struct gm_job_options options = {0};
	enum gm_code code = gm_job_parse("t.yaml", yaml, strlen(yaml), &options, &fx->job, &fx->err);
	if (code != GM_OK) return code;
	fx->pool = gm_chunk_pool_new();
	if (fx->pool == NULL) return GM_NOMEM;
	return gm_deriver_new(fx->job, memory_bytes, &fx->deriver, &fx->err);
}

/* A job with the columns above and `more` behind them (lines of YAML); `head` goes into the table's mapping. */
static inline enum gm_code fx_open(struct fx *fx, const char *head, const char *where, const char *more,
                                   size_t memory_bytes)
{
	size_t room = strlen(head) + strlen(where) + strlen(more) + sizeof fx_columns + 256;
	char *yaml = malloc(room);
	memset(fx, 0, sizeof *fx);
	if (yaml == NULL) return GM_NOMEM;
	(void)snprintf(yaml, room,
	               "version: 1\njob: t\nsource: {location: /in, format: json}\n"
	               "table:\n  location: /out\n  database: d\n  name: t\n%s%s%s%s",
	               head, where, fx_columns, more);
	enum gm_code code = fx_open_yaml(fx, yaml, memory_bytes);
	free(yaml);
	return code;
}

/* One more column, x, of an expression, quoted for YAML. */
static inline enum gm_code fx_open_expr(struct fx *fx, const char *type, const char *expr, size_t memory_bytes)
{
	char *more = malloc(strlen(expr) * 2 + 128), *at = more;
	memset(fx, 0, sizeof *fx);
	if (more == NULL) return GM_NOMEM;
	at += sprintf(at, "  - {name: x, type: %s, expr: '", type);
	for (; *expr != '\0'; expr++) {
		if (*expr == '\'') *at++ = '\'';
		*at++ = *expr;
	}
	strcpy(at, "'}\n");
	enum gm_code code = fx_open(fx, "", "", more, memory_bytes);
	free(more);
	return code;
}

static inline void fx_forget_dicts(struct fx *fx)
{
	gm_dict_unref(fx->dicts[0]);
	gm_dict_unref(fx->dicts[1]);
	fx->dicts[0] = fx->dicts[1] = NULL;
}

static inline void fx_close(struct fx *fx)
{
	fx_forget_dicts(fx);
	gm_deriver_free(fx->deriver);
	gm_chunk_pool_free(fx->pool);
	gm_job_free(fx->job);
}

static inline void fx_fill_string(struct fx *fx, struct gm_chunk *chunk, struct gm_vec *vec, const struct fx_row *rows,
                                  bool second, bool plain)
{
	struct gm_dict **dict = &fx->dicts[second];
	size_t bytes = 0;
	for (uint32_t i = 0; i < chunk->rows; i++) {
		const char *value = second ? rows[i].t : rows[i].s;
		bytes += value != NULL ? strlen(value) : 0;
	}
	uint32_t *codes = gm_arena_alloc(&chunk->arena, (chunk->rows + 1) * sizeof *codes);
	uint8_t *text = gm_arena_alloc(&chunk->arena, bytes + 1), *null = gm_arena_zalloc(&chunk->arena, chunk->rows + 1);
	if (!plain && *dict == NULL) *dict = gm_dict_new();
	bytes = 0;
	for (uint32_t i = 0; i < chunk->rows; i++) {
		const char *value = second ? rows[i].t : rows[i].s;
		uint32_t len = value != NULL ? (uint32_t)strlen(value) : 0;
		null[i] = value == NULL;
		if (plain) {
			memcpy(text + bytes, value != NULL ? value : "", len);
			bytes += len;
			codes[i] = (uint32_t)bytes;
		} else {
			const uint8_t *raw = (const uint8_t *)value;
			codes[i] = value != NULL ? gm_dict_put(*dict, raw, len, gm_dict_hash(raw, len)) : 0;
		}
	}
	vec->repr = plain ? GM_REPR_PLAIN : GM_REPR_DICT;
	if (plain) {
		vec->null = null;
		vec->bytes = text;
		vec->ends = codes;
		return;
	}
	vec->codes = codes;
	vec->dict = gm_dict_ref(*dict);
}

static inline void fx_fill_number(struct gm_chunk *chunk, struct gm_vec *vec, const struct fx_row *rows, char name)
{
	uint8_t *null = gm_arena_zalloc(&chunk->arena, chunk->rows + 1);
	int64_t *i64 = gm_arena_alloc(&chunk->arena, (chunk->rows + 1) * sizeof *i64);
	for (uint32_t i = 0; i < chunk->rows; i++) {
		const struct fx_row *row = &rows[i];
		null[i] = row->nulls != NULL && strchr(row->nulls, name) != NULL;
		i64[i] = name == 'i' ? row->i : name == 'n' ? row->n : row->ts;
		if (name == 'd') memcpy(&i64[i], &row->d, sizeof row->d);
	}
	vec->null = null;
	vec->repr = name == 'd' ? GM_REPR_F64 : name == 'b' ? GM_REPR_BOOL : GM_REPR_I64;
	vec->i64 = i64;
	if (name != 'b') return;
	vec->boolean = gm_arena_alloc(&chunk->arena, chunk->rows + 1);
	for (uint32_t i = 0; i < chunk->rows; i++) vec->boolean[i] = rows[i].b;
}

static inline struct gm_chunk *fx_chunk(struct fx *fx, const struct fx_row *rows, uint32_t count, enum fx_form form)
{
	size_t leaves;
	const struct gm_shred_leaf *leaf = gm_program_leaves(fx->job->program, &leaves);
	uint32_t slots = (uint32_t)leaves + gm_program_extra_slots(fx->job->program);
	struct gm_chunk *chunk = gm_chunk_take(fx->pool, slots, count);
	chunk->rows = count;
	chunk->record = gm_arena_zalloc(&chunk->arena, (count + 1) * sizeof *chunk->record);
	chunk->fate = gm_arena_zalloc(&chunk->arena, count + 1);
	for (uint32_t i = 0; i < count; i++) chunk->record[i] = i;
	for (size_t i = 0; i < leaves; i++) {
		struct gm_vec *vec = &chunk->vec[i];
		const char *key = leaf[i].path[leaf[i].path_len - 1];
		vec->type = leaf[i].type;
		if (leaf[i].type == GM_TYPE_STRING)
			fx_fill_string(fx, chunk, vec, rows, key[0] == 't',
			               form == FX_PLAIN || (form == FX_MIXED && key[0] == 't'));
		else
			fx_fill_number(chunk, vec, rows, strcmp(key, "ts") == 0 ? 'T' : key[0]);
	}
	return chunk;
}

static inline enum gm_code fx_reject(void *context, struct gm_chunk *chunk, uint32_t row, enum gm_reason reason,
                                     const char *column, const char *detail, struct gm_error *err)
{
	struct fx *fx = context;
	(void)chunk, (void)err;
	if (fx->reject_count == sizeof fx->rejects / sizeof fx->rejects[0]) return GM_OK;
	fx->rejects[fx->reject_count].row = row;
	fx->rejects[fx->reject_count].reason = reason;
	(void)snprintf(fx->rejects[fx->reject_count].column, 64, "%s", column);
	(void)snprintf(fx->rejects[fx->reject_count++].detail, 256, "%s", detail);
	return GM_OK;
}

static inline enum gm_code fx_run(struct fx *fx, struct gm_chunk *chunk)
{
	fx->reject_count = 0;
	return gm_deriver_run(fx->deriver, chunk, fx_reject, fx, &fx->err);
}

static inline size_t fx_column(const struct fx *fx, const char *name)
{
	size_t i = 0;
	while (strcmp(fx->job->columns[i].name, name) != 0) i++;
	return i;
}

/* A value as text; "null" for null. */
static inline void fx_vec_text(const struct gm_vec *vec, uint32_t row, char *out, size_t room)
{
	char text[GM_TIME_TEXT_BYTES];
	if (gm_vec_is_null(vec, row)) {
		(void)snprintf(out, room, "null");
		return;
	}
	switch (vec->type) {
	case GM_TYPE_STRING: {
		uint32_t len;
		const uint8_t *value = gm_vec_string(vec, row, &len);
		(void)snprintf(out, room, "%.*s", (int)len, (const char *)value);
		break;
	}
	case GM_TYPE_BOOLEAN: (void)snprintf(out, room, "%s", vec->boolean[row] ? "true" : "false"); break;
	case GM_TYPE_DOUBLE: (void)snprintf(out, room, "%.17g", vec->f64[row]); break;
	case GM_TYPE_DATE:
		(void)gm_date_format_iso(vec->i64[row], text);
		(void)snprintf(out, room, "%s", text);
		break;
	case GM_TYPE_TIMESTAMP:
		(void)gm_time_format_iso(vec->i64[row], 6, text);
		(void)snprintf(out, room, "%s", text);
		break;
	default: (void)snprintf(out, room, "%" PRId64, vec->i64[row]); break;
	}
}

static inline void fx_text(const struct fx *fx, const struct gm_chunk *chunk, const char *column, uint32_t row,
                           char *out, size_t room)
{
	uint32_t slot = gm_program_column_slot(fx->job->program, fx_column(fx, column));
	fx_vec_text(&chunk->vec[slot], row, out, room);
}

#endif
