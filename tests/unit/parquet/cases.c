/* Writes Parquet files for other engines to read, and beside each what must be read: NAME.parquet, NAME.jsonl (one
 * object a row, see model_print) and NAME.schema.json (type of each column). The expected rows are printed from the
 * model, never from what the writer made of it.
 *
 * usage: parquet_cases DIRECTORY [RANDOM_FILES [FIRST_SEED]] */
#include "model.h"
#include "nested.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static const char *directory;

static FILE *create(const char *name, const char *suffix)
{
	char path[4096];
	(void)snprintf(path, sizeof path, "%s/%s%s", directory, name, suffix);
	FILE *file = fopen(path, "wb");
	if (file == NULL) {
		(void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	return file;
}

static enum gm_code sink_file(void *file, const void *data, size_t bytes, struct gm_error *err)
{
	return fwrite(data, 1, bytes, file) == bytes ? GM_OK : gm_error_errno(err, errno, "file", "writing");
}

static void must(enum gm_code rc, const struct gm_error *err, const char *name)
{
	if (rc == GM_OK) return;
	(void)fprintf(stderr, "%s: %s: %s\n", name, gm_code_name(rc), err->message);
	exit(1);
}

static void write_schema(const char *name, const struct model *model)
{
	FILE *file = create(name, ".schema.json");
	for (size_t i = 0; i < model->column_count; i++) {
		(void)fputs(i == 0 ? "{" : ",", file);
		model_print_string(file, (const uint8_t *)model->nodes[i].name, strlen(model->nodes[i].name));
		(void)fprintf(file, ":\"%s\"", gm_type_name(model->nodes[i].type));
	}
	(void)fputs("}\n", file);
	(void)fclose(file);
}

/* Writes the case and forgets the model. */
static void finish(const char *name, struct model *model, enum presentation_style style)
{
	struct presentation p;
	struct gm_parquet_writer *writer;
	struct gm_parquet_summary summary;
	struct gm_error err;
	FILE *file = create(name, ".parquet");
	presentation_init(&p, style, 12345);
	must(model_write(model, &p, sink_file, file, &writer, &summary, &err), &err, name);
	gm_parquet_writer_free(writer);
	presentation_release(&p);
	(void)fclose(file);
	file = create(name, ".jsonl");
	model_print(model, file);
	(void)fclose(file);
	write_schema(name, model);
	model_release(model);
}

/* A column of every type, named after it. */
static void add_every_type(struct model *model, struct model_fill how, uint64_t *random)
{
	for (enum gm_type type = GM_TYPE_BOOLEAN; type <= GM_TYPE_TIMESTAMP; type++) {
		char name[32];
		(void)snprintf(name, sizeof name, "c_%s", gm_type_name(type));
		model_add(model, name, type, GM_OPTIONAL);
		model_fill(model, model->column_count - 1, how, random);
	}
}

static void every_type(const char *name, uint64_t rows, enum gm_codec codec, struct model_fill how, uint64_t group)
{
	struct model model;
	uint64_t random = rows;
	model_init(&model, rows);
	model.options.codec = codec;
	add_every_type(&model, how, &random);
	if (group > 0) model_group(&model, group);
	finish(name, &model, PRESENT_MIXED);
}

/* Repeats for a while, then only new values: the dictionary is given up far into the chunk. Both kinds of strings and
 * numbers. */
static void fallback(void)
{
	struct model model;
	model_init(&model, 60000);
	struct model_value *text = model_add(&model, "text", GM_TYPE_STRING, GM_OPTIONAL);
	struct model_value *number = model_add(&model, "number", GM_TYPE_BIGINT, GM_REQUIRED);
	struct model_value *kept = model_add(&model, "kept", GM_TYPE_STRING, GM_REQUIRED);
	for (uint64_t row = 0; row < model.rows; row++) {
		char bytes[64];
		uint64_t value = row < 20000 ? row % 50 : row;
		int len = snprintf(bytes, sizeof bytes, "value-%020llu", (unsigned long long)value);
		if (row % 97 != 0) text[row] = model_string(&model, bytes, (size_t)len);
		number[row] = (struct model_value){.i64 = (int64_t)value * 1000};
		len = snprintf(bytes, sizeof bytes, "kept-%u", (unsigned)(row % 1000));
		kept[row] = model_string(&model, bytes, (size_t)len);
	}
	finish("fallback", &model, PRESENT_MIXED);
}

static void empty_strings(void)
{
	struct model model;
	model_init(&model, 1000);
	struct model_value *all = model_add(&model, "all_empty", GM_TYPE_STRING, GM_REQUIRED);
	struct model_value *some = model_add(&model, "some_null", GM_TYPE_STRING, GM_OPTIONAL);
	for (uint64_t row = 0; row < model.rows; row++) {
		all[row] = model_string(&model, "", 0);
		if (row % 3 != 0) some[row] = model_string(&model, "x", row % 3 - 1);
	}
	finish("empty_strings", &model, PRESENT_MIXED);
}

/* A value larger than a page, between small ones; strings whose bounds must be cut. */
static void huge(void)
{
	enum { HUGE_BYTES = 5 << 20 };
	struct model model;
	model_init(&model, 3000);
	model.options.page_bytes = 64 << 10;
	struct model_value *text = model_add(&model, "text", GM_TYPE_STRING, GM_OPTIONAL);
	char *bytes = malloc(HUGE_BYTES);
	if (bytes == NULL) exit(1);
	for (size_t i = 0; i < HUGE_BYTES; i++) bytes[i] = (char)('a' + i * i % 26);
	for (uint64_t row = 0; row < model.rows; row++) {
		char small[64];
		int len = snprintf(small, sizeof small, "row %llu", (unsigned long long)row);
		text[row] = row == 1500 ? model_string(&model, bytes, HUGE_BYTES) : model_string(&model, small, (size_t)len);
	}
	free(bytes);
	finish("huge", &model, PRESENT_MIXED);
}

/* Pages that are all null, all NaN, zeros of both signs; sorted pages in both directions. */
static void pages(void)
{
	struct model model;
	model_init(&model, 4000);
	model.options.page_rows = 500;
	struct model_value *gaps = model_add(&model, "gaps", GM_TYPE_STRING, GM_OPTIONAL);
	struct model_value *nans = model_add(&model, "nans", GM_TYPE_DOUBLE, GM_OPTIONAL);
	struct model_value *zeros = model_add(&model, "zeros", GM_TYPE_DOUBLE, GM_OPTIONAL);
	struct model_value *up = model_add(&model, "up", GM_TYPE_BIGINT, GM_REQUIRED);
	struct model_value *down = model_add(&model, "down", GM_TYPE_TIMESTAMP, GM_OPTIONAL);
	struct model_value *same = model_add(&model, "same", GM_TYPE_INT, GM_OPTIONAL);
	struct model_value *mixed = model_add(&model, "mixed", GM_TYPE_INT, GM_OPTIONAL);
	struct model_value *prefix = model_add(&model, "prefix", GM_TYPE_STRING, GM_OPTIONAL);
	for (uint64_t row = 0; row < model.rows; row++) {
		char bytes[400];
		uint64_t page = row / 500;
		if (page % 2 == 1) gaps[row] = model_string(&model, "page", page % 4 + 1);
		nans[row] = (struct model_value){.f64 = page == 3 ? __builtin_nan("") : (double)row};
		zeros[row] = (struct model_value){.f64 = row % 2 == 0 ? 0.0 : -0.0};
		up[row] = (struct model_value){.i64 = (int64_t)row * 10};
		down[row] = (struct model_value){.null = page == 4, .i64 = INT64_C(1710000000000000) - (int64_t)row * 1000};
		same[row] = (struct model_value){.i64 = 42};
		mixed[row] = (struct model_value){.i64 = (int64_t)(row * 7919 % 4001) - 2000};
		memset(bytes, 'p', 300);
		int len = snprintf(bytes + 299, 100, "%05u", (unsigned)(row * 7919 % 4001));
		prefix[row] = model_string(&model, bytes, 299 + (size_t)len);
	}
	finish("pages", &model, PRESENT_MIXED);
}

/* Names that need care, many columns, bloom filters. */
static void names_and_blooms(void)
{
	static const char *const names[] = {"year", "select", "with space", "größe", "a.b",
	                                    "x-y",  "UPPER",  "_id",        "0",     "q\"uote"};
	struct model model;
	uint64_t random = 77;
	model_init(&model, 5000);
	for (size_t i = 0; i < 10; i++) {
		model_add(&model, names[i], i % 2 == 0 ? GM_TYPE_STRING : GM_TYPE_BIGINT, GM_OPTIONAL);
		model_fill(&model, i,
		           (struct model_fill){.distinct = i < 5 ? UINT64_MAX : 100, .null_permille = 50, .max_len = 30},
		           &random);
		model.nodes[i].bloom = true;
	}
	model_group(&model, 2000);
	finish("names", &model, PRESENT_MIXED);
}

static void keys(void)
{
	struct model model;
	model_init(&model, 40000);
	struct model_value *key = model_add(&model, "key", GM_TYPE_STRING, GM_OPTIONAL);
	struct model_value *number = model_add(&model, "number", GM_TYPE_BIGINT, GM_OPTIONAL);
	struct model_value *few = model_add(&model, "few", GM_TYPE_STRING, GM_OPTIONAL);
	for (uint64_t row = 0; row < model.rows; row++) {
		char bytes[64];
		int len = snprintf(bytes, sizeof bytes, "%08x-key-%llu", (unsigned)(row * UINT64_C(2654435761)),
		                   (unsigned long long)row);
		key[row] = model_string(&model, bytes, (size_t)len);
		number[row] = (struct model_value){.i64 = (int64_t)row * 1000003};
		len = snprintf(bytes, sizeof bytes, "few-%u", (unsigned)(row % 10));
		few[row] = model_string(&model, bytes, (size_t)len);
	}
	for (size_t i = 0; i < 3; i++) model.nodes[i].bloom = true;
	model_group(&model, 15000);
	finish("bloom", &model, PRESENT_MIXED);
}

/* What the encodings of the compact profile are for, each with what is hard about it: numbers that wrap around or jump
 * across their whole range, pages of nothing but nulls, prefixes, repeated strings. */
static void compact(void)
{
	enum { PAGE_ROWS = 700 };
	struct model model;
	uint64_t random = 4711;
	model_init(&model, 9000);
	model.options.profile = GM_PROFILE_COMPACT;
	model.options.page_rows = PAGE_ROWS;
	struct model_value *wrap = model_add(&model, "wrap", GM_TYPE_BIGINT, GM_REQUIRED);
	struct model_value *wrap32 = model_add(&model, "wrap32", GM_TYPE_INT, GM_REQUIRED);
	struct model_value *jump = model_add(&model, "jump", GM_TYPE_BIGINT, GM_OPTIONAL);
	struct model_value *jump32 = model_add(&model, "jump32", GM_TYPE_INT, GM_OPTIONAL);
	struct model_value *seen = model_add(&model, "seen", GM_TYPE_TIMESTAMP, GM_OPTIONAL);
	struct model_value *late = model_add(&model, "late", GM_TYPE_BIGINT, GM_OPTIONAL);
	struct model_value *day = model_add(&model, "day", GM_TYPE_DATE, GM_OPTIONAL);
	struct model_value *path = model_add(&model, "path", GM_TYPE_STRING, GM_OPTIONAL);
	struct model_value *uuid = model_add(&model, "uuid", GM_TYPE_STRING, GM_OPTIONAL);
	struct model_value *url = model_add(&model, "url", GM_TYPE_STRING, GM_OPTIONAL);
	struct model_value *skew = model_add(&model, "skew", GM_TYPE_STRING, GM_REQUIRED);
	struct model_value *flag = model_add(&model, "flag", GM_TYPE_BOOLEAN, GM_OPTIONAL);
	struct model_value *noise = model_add(&model, "noise", GM_TYPE_BIGINT, GM_REQUIRED);
	for (uint64_t row = 0; row < model.rows; row++) {
		char bytes[80];
		bool gap = row / PAGE_ROWS % 4 == 2;
		uint64_t far = row % 997 == 5 ? model_next(&random) : row % 997 == 6 ? UINT64_C(1) << 63 : 0;
		wrap[row] = (struct model_value){.i64 = (int64_t)((uint64_t)INT64_MAX - 3000 + row)};
		wrap32[row] = (struct model_value){.i64 = (int32_t)((uint32_t)INT32_MAX - 3000 + (uint32_t)row)};
		jump[row] = (struct model_value){.null = gap, .i64 = far != 0 ? (int64_t)far : (int64_t)row * 3};
		jump32[row] = (struct model_value){.null = gap, .i64 = far != 0 ? (int32_t)(far >> 32) : (int32_t)row * -3};
		seen[row] = (struct model_value){.null = row % 13 == 0,
		                                 .i64 = INT64_C(1710000000000000) + (int64_t)(row * 50 + row * 7 % 60) * 1000};
		late[row] = (struct model_value){.null = row % 4000 < PAGE_ROWS, .i64 = (int64_t)row};
		day[row] = (struct model_value){.i64 = (int64_t)(row / 2) - 3000};
		path[row] = model_string(&model, bytes,
		                         (size_t)snprintf(bytes, sizeof bytes, "/a/common/prefix/%08u", (unsigned)row * 17));
		path[row].null = gap;
		int len = snprintf(bytes, sizeof bytes, "%016" PRIx64 "%016" PRIx64, model_next(&random), model_next(&random));
		uuid[row] = model_string(&model, bytes, row % 301 == 0 ? 0 : (size_t)len);
		len = snprintf(bytes, sizeof bytes, "/repo/v1/entity/syn%u/größe", (unsigned)model_below(&random, 1500) * 7);
		url[row] = model_string(&model, bytes, (size_t)len);
		url[row].null = row % 11 == 3;
		uint64_t low = model_below(&random, 1 + model_below(&random, 1 + model_below(&random, 40)));
		skew[row] = model_string(&model, bytes, (size_t)snprintf(bytes, sizeof bytes, "value-%u", (unsigned)low));
		flag[row] = (struct model_value){.null = row % 5000 < 40, .i64 = row / 211 % 2 == 0};
		noise[row] = (struct model_value){.i64 = (int64_t)model_next(&random)};
	}
	model_group(&model, 4000);
	finish("compact", &model, PRESENT_MIXED);
}

static void random_files(unsigned count, uint64_t first_seed)
{
	for (unsigned i = 0; i < count; i++) {
		struct model model;
		char name[32];
		model_random(&model, first_seed + i);
		(void)snprintf(name, sizeof name, "random_%04llu", (unsigned long long)(first_seed + i));
		finish(name, &model, (enum presentation_style)(i % PRESENT_STYLES));
	}
}

static void nested(const char *name, uint64_t rows, uint32_t page_rows, uint64_t seed)
{
	struct gm_error err;
	FILE *parquet = create(name, ".parquet"), *json = create(name, ".jsonl"), *schema = create(name, ".schema.json");
	must(nested_write(rows, page_rows, seed, sink_file, parquet, json, &err), &err, name);
	(void)fputs("{}\n", schema);
	(void)fclose(parquet);
	(void)fclose(json);
	(void)fclose(schema);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		(void)fputs("usage: parquet_cases DIRECTORY [RANDOM_FILES [FIRST_SEED]]\n", stderr);
		return 2;
	}
	directory = argv[1];
	struct model_fill few = {.distinct = 20, .null_permille = 100, .max_len = 30};
	struct model_fill many = {.distinct = UINT64_MAX, .null_permille = 100, .repeat_permille = 10, .max_len = 30};
	struct model_fill wide = {.distinct = UINT64_MAX, .null_permille = 100, .max_len = 300, .wide = true};
	struct model_fill null = {.distinct = 1, .null_permille = 1000};
	struct model_fill full = {.distinct = 3000, .repeat_permille = 500, .max_len = 60};
	every_type("zero_rows", 0, GM_CODEC_ZSTD, few, 0);
	every_type("one_row", 1, GM_CODEC_ZSTD, full, 0);
	every_type("all_null", 25000, GM_CODEC_SNAPPY, null, 0);
	every_type("few_zstd", 45000, GM_CODEC_ZSTD, few, 0);
	every_type("few_snappy", 45000, GM_CODEC_SNAPPY, few, 0);
	every_type("many_none", 45000, GM_CODEC_NONE, many, 0);
	every_type("many_zstd", 45000, GM_CODEC_ZSTD, many, 17000);
	every_type("full_snappy", 45000, GM_CODEC_SNAPPY, full, 0);
	every_type("wide", 5000, GM_CODEC_ZSTD, wide, 0);
	every_type("groups", 6400, GM_CODEC_ZSTD, few, 100);
	fallback();
	empty_strings();
	huge();
	pages();
	names_and_blooms();
	keys();
	compact();
	nested("nested", 5000, 0, 1);
	nested("nested_pages", 3000, 7, 2);
	nested("nested_zero", 0, 0, 3);
	random_files(argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 20, argc > 3 ? strtoull(argv[3], NULL, 10) : 1);
	return 0;
}
