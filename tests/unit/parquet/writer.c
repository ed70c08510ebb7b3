/* The writer as a whole: bytes depend on values alone, failures leave nothing behind, the summary tells the truth.
 * Whether other engines read the files right is the business of tests/test_parquet_readers.py. */
#include "model.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <xxhash.h>

#include <cmocka.h>

/* --- Failing allocations: linked with --wrap ---------------------------------------------------------------------- */

static uint64_t calls_until_failure; /* 0: never */
static _Thread_local uint64_t fresh_calls, resize_calls;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

static bool fails(void)
{
	return calls_until_failure > 0 && --calls_until_failure == 0;
}

void *__wrap_malloc(size_t bytes)
{
	fresh_calls++;
	return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	fresh_calls++;
	return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	resize_calls++;
	return fails() ? NULL : __real_realloc(old, bytes);
}

/* --- Help --------------------------------------------------------------------------------------------------------- */

static struct gm_buf write_model(const struct model *model, enum presentation_style style, uint64_t seed,
                                 struct gm_parquet_summary *summary)
{
	struct gm_error err = {0};
	struct gm_buf file;
	struct presentation p;
	struct gm_parquet_writer *writer = NULL;
	struct gm_parquet_summary ignored;
	gm_buf_init(&file, SIZE_MAX / 2);
	presentation_init(&p, style, seed);
	enum gm_code rc =
	    model_write(model, &p, model_sink_buf, &file, &writer, summary != NULL ? summary : &ignored, &err);
	if (rc != GM_OK) print_error("%s: %s\n", gm_code_name(rc), err.message);
	assert_int_equal(rc, GM_OK);
	gm_parquet_writer_free(writer);
	presentation_release(&p);
	return file;
}

static void assert_same(const struct gm_buf *a, const struct gm_buf *b, uint64_t seed, enum presentation_style style)
{
	if (a->len == b->len && memcmp(a->data, b->data, a->len) == 0) return;
	size_t at = 0;
	while (at < a->len && at < b->len && a->data[at] == b->data[at]) at++;
	fail_msg("seed %llu, style %d: files differ at byte %zu of %zu and %zu", (unsigned long long)seed, (int)style, at,
	         a->len, b->len);
}

/* --- Tests -------------------------------------------------------------------------------------------------------- */

static void test_bytes_depend_on_values_alone(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 150; seed++) {
		struct model model;
		model_random(&model, seed);
		struct gm_buf plain = write_model(&model, PRESENT_PLAINLY, seed, NULL);
		for (enum presentation_style style = PRESENT_MIXED; style < PRESENT_STYLES; style++) {
			struct gm_buf other = write_model(&model, style, seed * 31, NULL);
			assert_same(&plain, &other, seed, style);
			gm_buf_release(&other);
		}
		gm_buf_release(&plain);
		model_release(&model);
	}
}

/* A larger table: dictionaries beyond the first verdict, several pages of each kind. */
static void add_columns(struct model *model, uint64_t *random)
{
	static const uint64_t distinct[] = {5, 400, 20000, UINT64_MAX};
	for (size_t i = 0; i < 7; i++) {
		for (size_t k = 0; k < 4; k++) {
			char name[16];
			(void)snprintf(name, sizeof name, "t%zu_%zu", i, k);
			model_add(model, name, (enum gm_type)i, k % 2 == 0 ? GM_OPTIONAL : GM_REQUIRED);
			model_fill(model, model->column_count - 1,
			           (struct model_fill){.distinct = distinct[k], .null_permille = 100, .max_len = 40, .wide = true},
			           random);
		}
	}
}

static void test_large(void **state)
{
	(void)state;
	struct model model;
	uint64_t random = 7;
	model_init(&model, 70000);
	add_columns(&model, &random);
	struct gm_buf plain = write_model(&model, PRESENT_PLAINLY, 1, NULL);
	for (enum presentation_style style = PRESENT_MIXED; style < PRESENT_STYLES; style++) {
		struct gm_buf other = write_model(&model, style, 99, NULL);
		assert_same(&plain, &other, 7, style);
		gm_buf_release(&other);
	}
	gm_buf_release(&plain);
	model_release(&model);
}

/* An encoder that has seen other columns gives the same bytes as a new one: model_write uses one for all; here each
 * column of each row group gets its own. */
static void test_encoder_has_no_memory(void **state)
{
	(void)state;
	for (uint64_t seed = 1000; seed < 1030; seed++) {
		struct model model;
		struct presentation p;
		struct gm_error err;
		struct gm_buf file;
		struct gm_parquet_writer *writer;
		struct gm_parquet_summary summary;
		model_random(&model, seed);
		presentation_init(&p, PRESENT_MIXED, seed);
		gm_buf_init(&file, SIZE_MAX / 2);
		assert_int_equal(gm_parquet_writer_new(model.nodes, model.column_count, &model.options, model_sink_buf, &file,
		                                       &writer, &err),
		                 GM_OK);
		assert_int_equal(gm_parquet_writer_meta(writer, "gristmill.job", "test", &err), GM_OK);
		uint64_t from = 0;
		for (size_t g = 0; g < model.group_count; g++) {
			struct gm_parquet_column_chunk *chunks[MODEL_COLUMNS_MAX];
			for (size_t i = 0; i < model.column_count; i++) {
				struct gm_parquet_encoder *encoder = gm_parquet_encoder_new(SIZE_MAX);
				struct gm_parquet_column_data data = model_present(&model, i, from, model.group_rows[g], &p);
				assert_int_equal(gm_parquet_encode(encoder, writer, i, &data, &chunks[i], &err), GM_OK);
				gm_parquet_encoder_free(encoder);
			}
			assert_int_equal(gm_parquet_append(writer, model.group_rows[g], chunks, &err), GM_OK);
			from += model.group_rows[g];
		}
		assert_int_equal(gm_parquet_finish(writer, &summary, &err), GM_OK);
		gm_parquet_writer_free(writer);
		struct gm_buf whole = write_model(&model, PRESENT_PLAINLY, seed, NULL);
		assert_same(&whole, &file, seed, PRESENT_MIXED);
		gm_buf_release(&whole);
		gm_buf_release(&file);
		presentation_release(&p);
		model_release(&model);
	}
}

/* The summary against the model, value by value. */
static bool is_nan(const struct model *model, size_t column, const struct model_value *value)
{
	return model->nodes[column].type == GM_TYPE_DOUBLE && __builtin_isnan(value->f64);
}

static int compare(enum gm_type type, const struct gm_vec_value *bound, const struct model_value *value)
{
	if (type == GM_TYPE_DOUBLE) return (bound->f64 > value->f64) - (bound->f64 < value->f64);
	if (type != GM_TYPE_STRING) return (bound->i64 > value->i64) - (bound->i64 < value->i64);
	uint32_t common = bound->len < value->len ? bound->len : value->len;
	int order = common > 0 ? memcmp(bound->bytes, value->bytes, common) : 0;
	return order != 0 ? order : (bound->len > value->len) - (bound->len < value->len);
}

static void check_stats(const struct model *model, size_t column, const struct gm_parquet_column_stats *stats)
{
	enum gm_type type = model->nodes[column].type;
	uint64_t nulls = 0, nans = 0;
	bool min_met = false, max_met = false;
	for (uint64_t row = 0; row < model->rows; row++) {
		const struct model_value *value = &model->columns[column].values[row];
		nulls += value->null;
		if (value->null) continue;
		nans += is_nan(model, column, value);
		if (is_nan(model, column, value) || !stats->has_bounds) continue;
		int min = compare(type, &stats->min, value), max = compare(type, &stats->max, value);
		assert_true(min <= 0 && max >= 0);
		min_met = min_met || min == 0;
		max_met = max_met || max == 0;
	}
	assert_int_equal(stats->nulls, nulls);
	assert_int_equal(stats->nans, nans);
	if (stats->has_bounds && stats->min.exact) assert_true(min_met);
	if (stats->has_bounds && stats->max.exact) assert_true(max_met);
	if (type != GM_TYPE_STRING) assert_int_equal(stats->has_bounds, nulls + nans < model->rows);
	if (type != GM_TYPE_STRING && stats->has_bounds) assert_true(stats->min.exact && stats->max.exact);
}

/* The content hash is in the footer's metadata, as text, and is that of everything before the footer. */
static void check_hash(const struct gm_buf *file, const struct gm_parquet_summary *summary)
{
	uint32_t footer_len;
	char text[64];
	memcpy(&footer_len, file->data + file->len - 8, sizeof footer_len);
	size_t before = file->len - 8 - footer_len;
	XXH128_hash_t hash = XXH3_128bits(file->data, before);
	assert_true(hash.high64 == summary->content_hash[0] && hash.low64 == summary->content_hash[1]);
	(void)snprintf(text, sizeof text, "gristmill.content_hash\x18 %016llx%016llx", (unsigned long long)hash.high64,
	               (unsigned long long)hash.low64);
	assert_non_null(memmem(file->data + before, footer_len, text, strlen(text)));
}

static void test_summary(void **state)
{
	(void)state;
	for (uint64_t seed = 2000; seed < 2060; seed++) {
		struct model model;
		struct presentation p;
		struct gm_error err;
		struct gm_buf file;
		struct gm_parquet_writer *writer;
		struct gm_parquet_summary summary;
		model_random(&model, seed);
		presentation_init(&p, PRESENT_MIXED, seed);
		gm_buf_init(&file, SIZE_MAX / 2);
		assert_int_equal(model_write(&model, &p, model_sink_buf, &file, &writer, &summary, &err), GM_OK);
		assert_int_equal(summary.rows, model.rows);
		assert_int_equal(summary.bytes, file.len);
		assert_int_equal(gm_parquet_bytes(writer), file.len);
		assert_int_equal(summary.column_count, model.column_count);
		check_hash(&file, &summary);
		for (size_t i = 0; i < model.column_count; i++) check_stats(&model, i, &summary.columns[i]);
		gm_parquet_writer_free(writer);
		gm_buf_release(&file);
		presentation_release(&p);
		model_release(&model);
	}
}

/* Presents the model once, so that only the writer allocates; then fails each of its allocations in turn. */
struct scenario {
	struct model model;
	struct presentation p;
	struct gm_parquet_column_data data[2][MODEL_COLUMNS_MAX];
	struct gm_buf file;
	uint64_t sink_calls, fail_sink_at;
};

static enum gm_code scenario_sink(void *context, const void *data, size_t bytes, struct gm_error *err)
{
	struct scenario *scenario = context;
	if (++scenario->sink_calls == scenario->fail_sink_at) return gm_error_set(err, GM_NOSPACE, "no space");
	if (scenario->file.cap - scenario->file.len < bytes) abort();
	return gm_buf_append(&scenario->file, data, bytes, err);
}

static void scenario_init(struct scenario *scenario, enum gm_parquet_profile profile)
{
	uint64_t random = 5;
	struct gm_error err;
	*scenario = (struct scenario){0};
	model_init(&scenario->model, 6000);
	scenario->model.options.page_rows = 1000;
	scenario->model.options.profile = profile;
	for (size_t i = 0; i < 7; i++) {
		char name[8];
		(void)snprintf(name, sizeof name, "c%zu", i);
		model_add(&scenario->model, name, (enum gm_type)i, GM_OPTIONAL);
		scenario->model.nodes[i].bloom = i % 2 == 0;
		model_fill(&scenario->model, i,
		           (struct model_fill){.distinct = i == 4 ? 3000 : 100, .null_permille = 100, .max_len = 300}, &random);
	}
	presentation_init(&scenario->p, PRESENT_MIXED, 3);
	for (size_t g = 0; g < 2; g++)
		for (size_t i = 0; i < 7; i++)
			scenario->data[g][i] = model_present(&scenario->model, i, g * 3000, 3000, &scenario->p);
	gm_buf_init(&scenario->file, SIZE_MAX / 2);
	assert_int_equal(gm_buf_reserve(&scenario->file, 4 << 20, &err), GM_OK);
}

static void scenario_release(struct scenario *scenario)
{
	gm_buf_release(&scenario->file);
	presentation_release(&scenario->p);
	model_release(&scenario->model);
}

static enum gm_code run_groups(struct scenario *scenario, struct gm_parquet_encoder *encoder,
                               struct gm_parquet_writer *writer, struct gm_error *err)
{
	for (size_t g = 0; g < 2; g++) {
		struct gm_parquet_column_chunk *chunks[7] = {0};
		enum gm_code rc = GM_OK;
		for (size_t i = 0; rc == GM_OK && i < 7; i++)
			rc = gm_parquet_encode(encoder, writer, i, &scenario->data[g][i], &chunks[i], err);
		if (rc == GM_OK) {
			rc = gm_parquet_append(writer, 3000, chunks, err);
		} else {
			for (size_t i = 0; i < 7; i++) gm_parquet_column_chunk_free(chunks[i]);
		}
		if (rc != GM_OK) return rc;
	}
	return GM_OK;
}

static enum gm_code run_scenario(struct scenario *scenario, struct gm_error *err)
{
	struct gm_parquet_writer *writer;
	struct gm_parquet_summary summary;
	scenario->file.len = 0;
	scenario->sink_calls = 0;
	struct gm_parquet_encoder *encoder = gm_parquet_encoder_new(SIZE_MAX);
	if (encoder == NULL) return gm_error_set(err, GM_NOMEM, "no encoder");
	enum gm_code rc = gm_parquet_writer_new(scenario->model.nodes, 7, &scenario->model.options, scenario_sink, scenario,
	                                        &writer, err);
	if (rc == GM_OK) rc = run_groups(scenario, encoder, writer, err);
	if (rc == GM_OK) rc = gm_parquet_finish(writer, &summary, err);
	gm_parquet_writer_free(writer);
	gm_parquet_encoder_free(encoder);
	return rc;
}

static void fail_every_allocation_once(enum gm_parquet_profile profile)
{
	struct scenario scenario;
	struct gm_error err;
	scenario_init(&scenario, profile);
	assert_int_equal(run_scenario(&scenario, &err), GM_OK);
	size_t len = scenario.file.len;
	uint8_t *good = __real_malloc(len);
	memcpy(good, scenario.file.data, len);
	uint64_t n = 1;
	for (;; n++) {
		calls_until_failure = n;
		enum gm_code rc = run_scenario(&scenario, &err);
		bool fired = calls_until_failure == 0;
		calls_until_failure = 0;
		if (!fired) break;
		/* Giving back unused room may fail unnoticed. */
		if (rc == GM_OK) {
			assert_int_equal(scenario.file.len, len);
			assert_memory_equal(scenario.file.data, good, len);
		} else {
			assert_int_equal(rc, GM_NOMEM);
			assert_int_equal(err.code, GM_NOMEM);
		}
	}
	assert_true(n > 50);
	free(good);
	scenario_release(&scenario);
}

static void test_every_allocation_fails_once(void **state)
{
	(void)state;
	fail_every_allocation_once(GM_PROFILE_STANDARD);
	fail_every_allocation_once(GM_PROFILE_COMPACT);
}

static void test_every_sink_call_fails_once(void **state)
{
	(void)state;
	struct scenario scenario;
	struct gm_error err;
	scenario_init(&scenario, GM_PROFILE_STANDARD);
	for (scenario.fail_sink_at = 1;; scenario.fail_sink_at++) {
		enum gm_code rc = run_scenario(&scenario, &err);
		if (scenario.sink_calls < scenario.fail_sink_at) break;
		assert_int_equal(rc, GM_NOSPACE);
		assert_string_equal(err.message, "no space");
	}
	assert_true(scenario.fail_sink_at > 20);
	scenario_release(&scenario);
}

static void test_failed_writer_stays_failed(void **state)
{
	(void)state;
	struct scenario scenario;
	struct gm_error err;
	struct gm_parquet_writer *writer;
	struct gm_parquet_summary summary;
	scenario_init(&scenario, GM_PROFILE_STANDARD);
	scenario.fail_sink_at = 3;
	struct gm_parquet_encoder *encoder = gm_parquet_encoder_new(SIZE_MAX);
	assert_int_equal(gm_parquet_writer_new(scenario.model.nodes, 7, &scenario.model.options, scenario_sink, &scenario,
	                                       &writer, &err),
	                 GM_OK);
	assert_int_equal(run_groups(&scenario, encoder, writer, &err), GM_NOSPACE);
	assert_int_equal(run_groups(&scenario, encoder, writer, &err), GM_BUG);
	assert_int_equal(gm_parquet_finish(writer, &summary, &err), GM_BUG);
	gm_parquet_writer_free(writer);
	gm_parquet_encoder_free(encoder);
	scenario_release(&scenario);
}

/* Once warm, a column chunk costs itself, its buffer (which grows by doubling), its pages and their bounds. */
static void check_warm_encoder(enum gm_parquet_profile profile)
{
	struct scenario scenario;
	struct gm_error err;
	struct gm_parquet_writer *writer;
	scenario_init(&scenario, profile);
	struct gm_parquet_encoder *encoder = gm_parquet_encoder_new(SIZE_MAX);
	assert_int_equal(gm_parquet_writer_new(scenario.model.nodes, 7, &scenario.model.options, scenario_sink, &scenario,
	                                       &writer, &err),
	                 GM_OK);
	for (int turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < 7; i++) {
			struct gm_parquet_column_chunk *chunk;
			fresh_calls = resize_calls = 0;
			assert_int_equal(gm_parquet_encode(encoder, writer, i, &scenario.data[0][i], &chunk, &err), GM_OK);
			gm_parquet_column_chunk_free(chunk);
			if (turn == 0) continue;
			assert_int_equal(fresh_calls, 1 + (uint64_t)(scenario.model.nodes[i].bloom &&
			                                             scenario.model.nodes[i].type != GM_TYPE_BOOLEAN));
			assert_true(resize_calls < 30);
		}
	}
	gm_parquet_writer_free(writer);
	gm_parquet_encoder_free(encoder);
	scenario_release(&scenario);
}

static void test_warm_encoder_allocates_output_only(void **state)
{
	(void)state;
	check_warm_encoder(GM_PROFILE_STANDARD);
	check_warm_encoder(GM_PROFILE_COMPACT);
}

/* Columns of one row group encoded at once, by a writer shared for reading, from dictionaries that grow meanwhile. */
struct encoding {
	struct scenario *scenario;
	struct gm_parquet_writer *writer;
	struct gm_parquet_column_chunk *chunks[7];
	size_t first;
	enum gm_code rc;
};

static void *encode_every_second(void *context)
{
	struct encoding *encoding = context;
	struct gm_error err;
	struct gm_parquet_encoder *encoder = gm_parquet_encoder_new(SIZE_MAX);
	for (size_t i = encoding->first; encoding->rc == GM_OK && i < 7; i += 2)
		encoding->rc = gm_parquet_encode(encoder, encoding->writer, i, &encoding->scenario->data[0][i],
		                                 &encoding->chunks[i], &err);
	gm_parquet_encoder_free(encoder);
	return NULL;
}

static void test_columns_are_encoded_at_once(void **state)
{
	(void)state;
	struct scenario scenario;
	struct gm_error err;
	struct gm_parquet_writer *writer;
	struct gm_parquet_column_chunk *chunks[7];
	pthread_t threads[2];
	scenario_init(&scenario, GM_PROFILE_STANDARD);
	assert_int_equal(gm_parquet_writer_new(scenario.model.nodes, 7, &scenario.model.options, scenario_sink, &scenario,
	                                       &writer, &err),
	                 GM_OK);
	struct encoding encodings[2] = {{.scenario = &scenario, .writer = writer, .first = 0},
	                                {.scenario = &scenario, .writer = writer, .first = 1}};
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, encode_every_second, &encodings[i]), 0);
	for (unsigned i = 0; i < 20000; i++) {
		char text[32];
		uint32_t len = (uint32_t)snprintf(text, sizeof text, "later-%u", i);
		struct gm_dict *dict = scenario.p.dicts[i % 2];
		if (dict != NULL)
			assert_int_not_equal(gm_dict_put(dict, (uint8_t *)text, len, gm_dict_hash((uint8_t *)text, len)), 0);
	}
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(encodings[i].rc, GM_OK);
	}
	for (size_t i = 0; i < 7; i++) chunks[i] = encodings[i % 2].chunks[i];
	assert_int_equal(gm_parquet_append(writer, 3000, chunks, &err), GM_OK);
	gm_parquet_writer_free(writer);
	scenario_release(&scenario);
}

static void test_misuse_is_refused(void **state)
{
	(void)state;
	struct gm_error err;
	struct gm_buf file;
	struct gm_parquet_writer *writer;
	struct gm_parquet_column_chunk *chunk;
	struct gm_parquet_options options = {.codec = GM_CODEC_NONE, .created_by = "gristmill version 0.1.0 (build test)"};
	struct gm_parquet_node nodes[] = {{.name = "a", .repetition = GM_REQUIRED, .type = GM_TYPE_INT},
	                                  {.name = "g", .repetition = GM_OPTIONAL, .children = 2},
	                                  {.name = "b", .repetition = GM_OPTIONAL, .type = GM_TYPE_STRING}};
	gm_buf_init(&file, 1 << 20);
	assert_int_equal(gm_parquet_writer_new(nodes, 0, &options, model_sink_buf, &file, &writer, &err), GM_BUG);
	assert_int_equal(gm_parquet_writer_new(nodes, 3, &options, model_sink_buf, &file, &writer, &err), GM_BUG);
	assert_null(writer);
	nodes[1].children = 1;
	assert_int_equal(gm_parquet_writer_new(nodes, 3, &options, model_sink_buf, &file, &writer, &err), GM_OK);
	struct gm_parquet_encoder *encoder = gm_parquet_encoder_new(SIZE_MAX);
	int64_t values[2] = {1, INT64_C(1) << 40};
	uint8_t null[2] = {0, 1};
	struct gm_vec vec = {.type = GM_TYPE_INT, .repr = GM_REPR_I64, .i64 = values};
	struct gm_slice slice = {.vec = &vec, .count = 2};
	struct gm_parquet_column_data data = {.slices = &slice, .slice_count = 1};
	assert_int_equal(gm_parquet_encode(encoder, writer, 0, &data, &chunk, &err), GM_BUG); /* beyond 32 bits */
	vec.null = null;
	assert_int_equal(gm_parquet_encode(encoder, writer, 0, &data, &chunk, &err),
	                 GM_BUG); /* null in a required column */
	vec.type = GM_TYPE_BIGINT;
	assert_int_equal(gm_parquet_encode(encoder, writer, 0, &data, &chunk, &err), GM_BUG); /* another type */
	assert_int_equal(gm_parquet_encode(encoder, writer, 2, &data, &chunk, &err), GM_BUG); /* no such leaf */
	uint8_t definition[2] = {2, 3};
	data.levels = (struct gm_parquet_levels){definition, NULL, 2};
	vec = (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_NULL};
	assert_int_equal(gm_parquet_encode(encoder, writer, 1, &data, &chunk, &err), GM_BUG); /* a level too high */
	definition[1] = 0;
	assert_int_equal(gm_parquet_encode(encoder, writer, 1, &data, &chunk, &err), GM_BUG); /* more rows than values */
	assert_null(chunk);
	gm_parquet_encoder_free(encoder);
	gm_parquet_writer_free(writer);
	gm_buf_release(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bytes_depend_on_values_alone), cmocka_unit_test(test_large),
	    cmocka_unit_test(test_encoder_has_no_memory),        cmocka_unit_test(test_summary),
	    cmocka_unit_test(test_every_allocation_fails_once),  cmocka_unit_test(test_every_sink_call_fails_once),
	    cmocka_unit_test(test_failed_writer_stays_failed),   cmocka_unit_test(test_warm_encoder_allocates_output_only),
	    cmocka_unit_test(test_columns_are_encoded_at_once),  cmocka_unit_test(test_misuse_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
