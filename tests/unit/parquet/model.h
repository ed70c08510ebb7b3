/* model.h - a table as plain as can be, and ways to hand it to the Parquet writer: the same rows cut into slices and
 * represented differently each time. */
#ifndef GM_TEST_PARQUET_MODEL_H
#define GM_TEST_PARQUET_MODEL_H

#include "parquet/writer.h"

#include <stdio.h>

struct model_value {
	bool null;
	int64_t i64;
	double f64;
	const uint8_t *bytes;
	uint32_t len;
};
enum { MODEL_COLUMNS_MAX = 40, MODEL_GROUPS_MAX = 64 };
struct model_column {
	struct model_value *values;
};
struct model {
	struct gm_arena arena;
	struct gm_parquet_options options;
	struct gm_parquet_node nodes[MODEL_COLUMNS_MAX]; /* leaves */
	struct model_column columns[MODEL_COLUMNS_MAX];
	size_t column_count;
	uint64_t rows;
	uint64_t group_rows[MODEL_GROUPS_MAX]; /* adding up to rows */
	size_t group_count;
};

/* splitmix64 */
uint64_t model_next(uint64_t *state);
uint64_t model_below(uint64_t *state, uint64_t limit);

void model_init(struct model *model, uint64_t rows);
void model_release(struct model *model);
/* A column of nulls, to be filled. */
struct model_value *model_add(struct model *model, const char *name, enum gm_type type,
                              enum gm_parquet_repetition repetition);
struct model_value model_string(struct model *model, const void *bytes, size_t len);
/* Fills a column with random values: about `distinct` different ones, null and repeating its predecessor with the given
 * per-mille probabilities; strings of up to max_len bytes. */
struct model_fill {
	uint64_t distinct;
	unsigned null_permille, repeat_permille, max_len;
	bool wide; /* the whole range of the type, NaN, infinities; else values that every reader can show */
};
void model_fill(struct model *model, size_t column, struct model_fill how, uint64_t *random);
/* Row groups of so many rows. */
void model_group(struct model *model, uint64_t rows);
/* Random schema, values, options and row groups. */
void model_random(struct model *model, uint64_t seed);

/* One row group's column for the writer. Everything lives in the presentation. */
enum presentation_style {
	PRESENT_PLAINLY,    /* one slice, a byte per row for nulls, strings side by side */
	PRESENT_MIXED,      /* random slices, representations and row selections, a few dictionaries */
	PRESENT_ONE_DICT,   /* the same, all strings in one dictionary */
	PRESENT_MANY_DICTS, /* more than the writer has maps for */
	PRESENT_STYLES,
};
enum { PRESENTATION_DICTS = 64 };
struct presentation {
	struct gm_arena arena;
	struct gm_dict *dicts[PRESENTATION_DICTS]; /* shared by slices, columns and row groups */
	uint64_t random;
	enum presentation_style style;
};
void presentation_init(struct presentation *p, enum presentation_style style, uint64_t seed);
void presentation_release(struct presentation *p);
struct gm_parquet_column_data model_present(const struct model *model, size_t column, uint64_t from, uint64_t rows,
                                            struct presentation *p);

/* Writes the whole file to the sink; *summary may point into *writer, which is the caller's to free. */
enum gm_code model_write(const struct model *model, struct presentation *p, gm_sink_fn *sink, void *context,
                         struct gm_parquet_writer **writer, struct gm_parquet_summary *summary, struct gm_error *err);
enum gm_code model_sink_buf(void *buf, const void *data, size_t bytes, struct gm_error *err);

/* One JSON object a line. Doubles are strings: their bits in hexadecimal, or "nan"; dates are days, timestamps
 * microseconds. */
void model_print(const struct model *model, FILE *out);
void model_print_value(FILE *out, enum gm_type type, const struct model_value *value);
void model_print_string(FILE *out, const uint8_t *bytes, size_t len);

#endif
