#include "model.h"

#include <inttypes.h>
#include <stdlib.h>

uint64_t model_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

uint64_t model_below(uint64_t *state, uint64_t limit)
{
	return limit == 0 ? 0 : model_next(state) % limit;
}

static void *must(void *memory)
{
	if (memory == NULL) abort();
	return memory;
}

void model_init(struct model *model, uint64_t rows)
{
	*model = (struct model){.rows = rows};
	gm_arena_init(&model->arena, 1 << 20);
	model->options = (struct gm_parquet_options){
	    .codec = GM_CODEC_ZSTD, .level = 1, .created_by = "gristmill version 0.1.0 (build test)"};
	if (rows > 0) model_group(model, rows);
}

void model_release(struct model *model)
{
	gm_arena_release(&model->arena);
}

struct model_value *model_add(struct model *model, const char *name, enum gm_type type,
                              enum gm_parquet_repetition repetition)
{
	if (model->column_count == MODEL_COLUMNS_MAX) abort();
	size_t i = model->column_count++;
	model->nodes[i] = (struct gm_parquet_node){
	    .name = must(gm_arena_strndup(&model->arena, name, strlen(name))), .repetition = repetition, .type = type};
	struct model_value *values = must(gm_arena_zalloc(&model->arena, (model->rows + 1) * sizeof *values));
	for (uint64_t row = 0; row < model->rows; row++) values[row].null = true;
	model->columns[i].values = values;
	return values;
}

struct model_value model_string(struct model *model, const void *bytes, size_t len)
{
	uint8_t *copy = must(gm_arena_alloc(&model->arena, len + 1));
	if (len > 0) memcpy(copy, bytes, len);
	return (struct model_value){.bytes = copy, .len = (uint32_t)len};
}

static struct model_value random_string(struct model *model, uint64_t *random, unsigned max_len)
{
	static const char *const pieces[] = {"a",
	                                     "B",
	                                     "7",
	                                     "/",
	                                     " ",
	                                     "\"",
	                                     "\\",
	                                     "\n",
	                                     "é",
	                                     "ß",
	                                     "Ж",
	                                     "€",
	                                     "\xed\x9f\xbf",
	                                     "\xee\x80\x80",
	                                     "𝄞",
	                                     "\x7f",
	                                     "\xef\xbf\xbf",
	                                     "\xf4\x8f\xbf\xbf",
	                                     "repo/v1/entity",
	                                     "0"};
	char text[4096];
	size_t len = 0, limit = model_below(random, (max_len < 4000 ? max_len : 4000) + 1u);
	while (len < limit) {
		const char *piece = pieces[model_below(random, model_below(random, 3) == 0 ? 20 : 4)];
		size_t n = strlen(piece);
		if (len + n > limit) break;
		memcpy(text + len, piece, n);
		len += n;
	}
	return model_string(model, text, len);
}

static struct model_value random_double(uint64_t *random, bool wide)
{
	static const double special[] = {
	    0.0, -0.0, __builtin_nan(""), __builtin_inf(), -__builtin_inf(), 5e-324, 1.7976931348623157e308};
	struct model_value value = {.f64 = (double)(int64_t)model_below(random, 2000001) / 8 - 100000};
	if (wide && model_below(random, 4) == 0) value.f64 = special[model_below(random, 7)];
	return value;
}

static struct model_value random_value(struct model *model, enum gm_type type, struct model_fill how, uint64_t *random)
{
	uint64_t bits = model_next(random);
	switch (type) {
	case GM_TYPE_BOOLEAN: return (struct model_value){.i64 = (int64_t)(bits & 1)};
	case GM_TYPE_INT: return (struct model_value){.i64 = how.wide ? (int32_t)bits : (int64_t)(bits % 100000)};
	case GM_TYPE_BIGINT: return (struct model_value){.i64 = how.wide ? (int64_t)bits : (int64_t)(bits % 1000000000000)};
	case GM_TYPE_DOUBLE: return random_double(random, how.wide);
	case GM_TYPE_STRING: return random_string(model, random, how.max_len);
	/* 1970 to 2100, or the years 1 to 9999 */
	case GM_TYPE_DATE:
		return (struct model_value){.i64 = how.wide ? (int64_t)(bits % 3652059) - 719162 : (int64_t)(bits % 47482)};
	case GM_TYPE_TIMESTAMP:
		return (struct model_value){.i64 = how.wide ? (int64_t)(bits % UINT64_C(315537897600000000)) - 62135596800000000
		                                            : (int64_t)(bits % UINT64_C(4102444800000000))};
	}
	abort();
}

void model_fill(struct model *model, size_t column, struct model_fill how, uint64_t *random)
{
	const struct gm_parquet_node *node = &model->nodes[column];
	struct model_value *values = model->columns[column].values;
	uint64_t pool_count = how.distinct < 1 ? 1 : how.distinct < model->rows + 1 ? how.distinct : model->rows + 1;
	struct model_value *pool = must(gm_arena_alloc(&model->arena, pool_count * sizeof *pool));
	for (uint64_t i = 0; i < pool_count; i++) pool[i] = random_value(model, node->type, how, random);
	for (uint64_t row = 0; row < model->rows; row++) {
		if (row > 0 && model_below(random, 1000) < how.repeat_permille)
			values[row] = values[row - 1];
		else if (node->repetition == GM_OPTIONAL && model_below(random, 1000) < how.null_permille)
			values[row] = (struct model_value){.null = true};
		else
			values[row] = pool[model_below(random, pool_count)];
	}
}

void model_group(struct model *model, uint64_t rows)
{
	model->group_count = 0;
	for (uint64_t left = model->rows; left > 0;) {
		if (model->group_count == MODEL_GROUPS_MAX) abort();
		uint64_t n = left < rows || model->group_count + 1 == MODEL_GROUPS_MAX ? left : rows;
		model->group_rows[model->group_count++] = n;
		left -= n;
	}
}

void model_random(struct model *model, uint64_t seed)
{
	static const uint64_t distinct[] = {1, 2, 3, 10, 17, 300, 3000, UINT64_MAX};
	static const unsigned shares[] = {0, 0, 10, 500, 990, 1000};
	static const unsigned lens[] = {0, 4, 12, 40, 90, 300};
	uint64_t random = seed;
	uint64_t rows = model_below(&random, 4) == 0 ? model_below(&random, 30000) : model_below(&random, 600);
	model_init(model, rows);
	model->options.codec = (enum gm_codec)model_below(&random, 3);
	model->options.level = (int)model_below(&random, 4);
	model->options.profile = seed % 2 == 0 ? GM_PROFILE_STANDARD : GM_PROFILE_COMPACT;
	if (model_below(&random, 2) == 0) {
		model->options.page_rows = 1 + (uint32_t)model_below(&random, 700);
		model->options.page_bytes = 1 + (uint32_t)model_below(&random, 5000);
		model->options.dict_bytes = 1 + (uint32_t)model_below(&random, 20000);
	}
	size_t columns = 1 + model_below(&random, 8);
	for (size_t i = 0; i < columns; i++) {
		char name[16];
		(void)snprintf(name, sizeof name, "c%zu", i);
		enum gm_type type = (enum gm_type)model_below(&random, 7);
		model_add(model, name, type, model_below(&random, 4) == 0 ? GM_REQUIRED : GM_OPTIONAL);
		model->nodes[i].bloom = model_below(&random, 4) == 0;
		model_fill(model, i,
		           (struct model_fill){.distinct = distinct[model_below(&random, 8)],
		                               .null_permille = shares[model_below(&random, 6)],
		                               .repeat_permille = shares[model_below(&random, 5)],
		                               .max_len = lens[model_below(&random, 6)],
		                               .wide = model_below(&random, 2) == 0},
		           &random);
	}
	if (rows > 0) model_group(model, model_below(&random, 2) == 0 ? rows : 1 + rows / (1 + model_below(&random, 6)));
}

/* --- Presenting --------------------------------------------------------------------------------------------------- */

void presentation_init(struct presentation *p, enum presentation_style style, uint64_t seed)
{
	*p = (struct presentation){.style = style, .random = seed};
	gm_arena_init(&p->arena, 1 << 20);
}

void presentation_release(struct presentation *p)
{
	for (size_t i = 0; i < PRESENTATION_DICTS; i++) gm_dict_unref(p->dicts[i]);
	gm_arena_release(&p->arena);
}

/* Where row i of the slice lies in a vec of `room` rows; rest is noise. */
static uint32_t *place_rows(struct presentation *p, uint32_t rows, uint32_t *room, bool scatter)
{
	uint32_t *at = must(gm_arena_alloc(&p->arena, (rows + 1) * sizeof *at));
	uint32_t next = 0;
	for (uint32_t i = 0; i < rows; i++) {
		if (scatter) next += (uint32_t)model_below(&p->random, 3);
		at[i] = next++;
	}
	*room = next;
	return at;
}

static void fill_strings(struct presentation *p, struct gm_vec *vec, const struct model_value *values,
                         const uint32_t *at, uint32_t rows, uint32_t room)
{
	size_t total = 0, used = 0;
	for (uint32_t i = 0; i < rows; i++) total += values[i].len;
	vec->repr = GM_REPR_PLAIN;
	vec->bytes = must(gm_arena_alloc(&p->arena, total));
	vec->ends = must(gm_arena_alloc(&p->arena, (room + 1) * sizeof *vec->ends));
	uint32_t row = 0;
	for (uint32_t i = 0; i < rows; i++) {
		for (; row < at[i]; row++) vec->ends[row] = (uint32_t)used;
		if (values[i].len > 0) memcpy(vec->bytes + used, values[i].bytes, values[i].len);
		used += values[i].len;
		vec->ends[row++] = (uint32_t)used;
	}
}

static void fill_codes(struct presentation *p, struct gm_vec *vec, const struct model_value *values, const uint32_t *at,
                       uint32_t rows, uint32_t room)
{
	uint64_t dicts = p->style == PRESENT_ONE_DICT ? 1 : p->style == PRESENT_MIXED ? 3 : PRESENTATION_DICTS;
	struct gm_dict **place = &p->dicts[model_below(&p->random, dicts)], *dict;
	if (*place == NULL) *place = must(gm_dict_new());
	dict = *place;
	vec->repr = GM_REPR_DICT;
	vec->dict = dict;
	vec->codes = must(gm_arena_zalloc(&p->arena, (room + 1) * sizeof *vec->codes));
	for (uint32_t i = 0; i < rows; i++) {
		/* Some strings of other columns and files in between. */
		if (model_below(&p->random, 16) == 0)
			(void)gm_dict_put(dict, (const uint8_t *)"noise", 5, gm_dict_hash((const uint8_t *)"noise", 5));
		if (values[i].null) continue;
		vec->codes[at[i]] =
		    gm_dict_put(dict, values[i].bytes, values[i].len, gm_dict_hash(values[i].bytes, values[i].len));
		if (vec->codes[at[i]] == 0) abort();
	}
}

static void fill_fixed(struct presentation *p, struct gm_vec *vec, const struct model_value *values, const uint32_t *at,
                       uint32_t rows, uint32_t room)
{
	void *memory = must(gm_arena_zalloc(&p->arena, (room + 1) * sizeof(int64_t)));
	vec->repr = vec->type == GM_TYPE_BOOLEAN ? GM_REPR_BOOL : vec->type == GM_TYPE_DOUBLE ? GM_REPR_F64 : GM_REPR_I64;
	if (vec->repr == GM_REPR_BOOL) vec->boolean = memory;
	if (vec->repr == GM_REPR_F64) vec->f64 = memory;
	if (vec->repr == GM_REPR_I64) vec->i64 = memory;
	for (uint32_t i = 0; i < rows; i++) {
		if (vec->repr == GM_REPR_BOOL) vec->boolean[at[i]] = (uint8_t)values[i].i64;
		if (vec->repr == GM_REPR_F64) vec->f64[at[i]] = values[i].f64;
		if (vec->repr == GM_REPR_I64) vec->i64[at[i]] = values[i].i64;
	}
}

static struct gm_slice present_slice(struct presentation *p, enum gm_type type, const struct model_value *values,
                                     uint32_t rows)
{
	bool scatter = p->style != PRESENT_PLAINLY && model_below(&p->random, 2) == 0, nulls = false, only_nulls = true;
	struct gm_vec *vec = must(gm_arena_zalloc(&p->arena, sizeof *vec));
	for (uint32_t i = 0; i < rows; i++) {
		nulls = nulls || values[i].null;
		only_nulls = only_nulls && values[i].null;
	}
	uint32_t room, *at = place_rows(p, rows, &room, scatter);
	vec->type = type;
	struct gm_slice slice = {.vec = vec, .rows = scatter ? at : NULL, .count = rows};
	if (p->style != PRESENT_PLAINLY && only_nulls && model_below(&p->random, 2) == 0) {
		vec->repr = GM_REPR_NULL;
		return slice;
	}
	if (p->style != PRESENT_PLAINLY && type == GM_TYPE_STRING &&
	    (p->style != PRESENT_MIXED || model_below(&p->random, 3) != 0)) {
		fill_codes(p, vec, values, at, rows, room);
		return slice;
	}
	if (p->style == PRESENT_PLAINLY || nulls || model_below(&p->random, 2) == 0) {
		vec->null = must(gm_arena_alloc(&p->arena, room + 1));
		memset(vec->null, 1, room + 1);
		for (uint32_t i = 0; i < rows; i++) vec->null[at[i]] = values[i].null;
	}
	(type == GM_TYPE_STRING ? fill_strings : fill_fixed)(p, vec, values, at, rows, room);
	return slice;
}

struct gm_parquet_column_data model_present(const struct model *model, size_t column, uint64_t from, uint64_t rows,
                                            struct presentation *p)
{
	const struct model_value *values = model->columns[column].values + from;
	struct gm_slice *slices = must(gm_arena_alloc(&p->arena, (rows + 2) * sizeof *slices));
	size_t count = 0;
	uint64_t longest =
	    p->style == PRESENT_PLAINLY ? rows : 1 + model_below(&p->random, 1 + model_below(&p->random, rows));
	for (uint64_t done = 0; done < rows;) {
		uint64_t left = rows - done, n = p->style == PRESENT_PLAINLY ? rows : model_below(&p->random, longest + 1);
		if (n > left) n = left;
		if (n == 0 && count > done) n = 1;
		slices[count++] = present_slice(p, model->nodes[column].type, values + done, (uint32_t)n);
		done += n;
	}
	return (struct gm_parquet_column_data){.slices = slices, .slice_count = count};
}

static enum gm_code write_group(const struct model *model, struct presentation *p, uint64_t from, uint64_t rows,
                                struct gm_parquet_encoder *encoder, struct gm_parquet_writer *writer,
                                struct gm_error *err)
{
	struct gm_parquet_column_chunk *chunks[MODEL_COLUMNS_MAX] = {0};
	for (size_t i = 0; i < model->column_count; i++) {
		struct gm_parquet_column_data data = model_present(model, i, from, rows, p);
		enum gm_code rc = gm_parquet_encode(encoder, writer, i, &data, &chunks[i], err);
		if (rc == GM_OK) continue;
		for (size_t k = 0; k < i; k++) gm_parquet_column_chunk_free(chunks[k]);
		return rc;
	}
	return gm_parquet_append(writer, rows, chunks, err);
}

enum gm_code model_write(const struct model *model, struct presentation *p, gm_sink_fn *sink, void *context,
                         struct gm_parquet_writer **writer, struct gm_parquet_summary *summary, struct gm_error *err)
{
	GM_TRY(gm_parquet_writer_new(model->nodes, model->column_count, &model->options, sink, context, writer, err));
	struct gm_parquet_encoder *encoder = gm_parquet_encoder_new(64 * 1024); /* some columns leave more behind */
	enum gm_code rc = encoder == NULL ? gm_error_set(err, GM_NOMEM, "no encoder") : GM_OK;
	if (rc == GM_OK) rc = gm_parquet_writer_meta(*writer, "gristmill.job", "test", err);
	uint64_t from = 0;
	for (size_t i = 0; rc == GM_OK && i < model->group_count; i++) {
		rc = write_group(model, p, from, model->group_rows[i], encoder, *writer, err);
		from += model->group_rows[i];
	}
	if (rc == GM_OK) rc = gm_parquet_finish(*writer, summary, err);
	gm_parquet_encoder_free(encoder);
	return rc;
}

enum gm_code model_sink_buf(void *buf, const void *data, size_t bytes, struct gm_error *err)
{
	return gm_buf_append(buf, data, bytes, err);
}

/* --- Printing ----------------------------------------------------------------------------------------------------- */

void model_print_string(FILE *out, const uint8_t *bytes, size_t len)
{
	(void)fputc('"', out);
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '"' || bytes[i] == '\\')
			(void)fprintf(out, "\\%c", bytes[i]);
		else if (bytes[i] < 0x20)
			(void)fprintf(out, "\\u%04x", bytes[i]);
		else
			(void)fputc(bytes[i], out);
	}
	(void)fputc('"', out);
}

void model_print_value(FILE *out, enum gm_type type, const struct model_value *value)
{
	uint64_t bits;
	memcpy(&bits, &value->f64, sizeof bits);
	if (value->null)
		(void)fputs("null", out);
	else if (type == GM_TYPE_BOOLEAN)
		(void)fputs(value->i64 != 0 ? "true" : "false", out);
	else if (type == GM_TYPE_STRING)
		model_print_string(out, value->bytes, value->len);
	else if (type == GM_TYPE_DOUBLE && __builtin_isnan(value->f64))
		(void)fputs("\"nan\"", out);
	else if (type == GM_TYPE_DOUBLE)
		(void)fprintf(out, "\"%016" PRIx64 "\"", bits);
	else
		(void)fprintf(out, "%" PRId64, value->i64);
}

void model_print(const struct model *model, FILE *out)
{
	for (uint64_t row = 0; row < model->rows; row++) {
		for (size_t i = 0; i < model->column_count; i++) {
			(void)fputs(i == 0 ? "{" : ",", out);
			model_print_string(out, (const uint8_t *)model->nodes[i].name, strlen(model->nodes[i].name));
			(void)fputc(':', out);
			model_print_value(out, model->nodes[i].type, &model->columns[i].values[row]);
		}
		(void)fputs("}\n", out);
	}
}
