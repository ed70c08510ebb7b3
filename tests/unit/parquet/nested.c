#include "nested.h"

#include <stdlib.h>

/* Depth first, as the writer takes them. */
static const struct gm_parquet_node schema[] = {
    {.name = "id", .repetition = GM_REQUIRED, .type = GM_TYPE_BIGINT},
    {.name = "tags", .repetition = GM_OPTIONAL, .logical = GM_LOGICAL_LIST, .children = 1},
    {.name = "list", .repetition = GM_REPEATED, .children = 1},
    {.name = "element", .repetition = GM_OPTIONAL, .type = GM_TYPE_STRING},
    {.name = "items", .repetition = GM_OPTIONAL, .logical = GM_LOGICAL_LIST, .children = 1},
    {.name = "list", .repetition = GM_REPEATED, .children = 1},
    {.name = "element", .repetition = GM_OPTIONAL, .children = 3},
    {.name = "key", .repetition = GM_REQUIRED, .type = GM_TYPE_STRING},
    {.name = "number", .repetition = GM_OPTIONAL, .type = GM_TYPE_BIGINT},
    {.name = "good", .repetition = GM_OPTIONAL, .type = GM_TYPE_BOOLEAN},
    {.name = "point", .repetition = GM_OPTIONAL, .children = 3},
    {.name = "x", .repetition = GM_OPTIONAL, .type = GM_TYPE_DOUBLE},
    {.name = "label", .repetition = GM_OPTIONAL, .type = GM_TYPE_STRING},
    {.name = "inner", .repetition = GM_REQUIRED, .children = 1},
    {.name = "n", .repetition = GM_REQUIRED, .type = GM_TYPE_INT},
    {.name = "attrs", .repetition = GM_OPTIONAL, .logical = GM_LOGICAL_MAP, .children = 1},
    {.name = "key_value", .repetition = GM_REPEATED, .children = 2},
    {.name = "key", .repetition = GM_REQUIRED, .type = GM_TYPE_STRING},
    {.name = "value", .repetition = GM_OPTIONAL, .type = GM_TYPE_BIGINT},
    {.name = "matrix", .repetition = GM_OPTIONAL, .logical = GM_LOGICAL_LIST, .children = 1},
    {.name = "list", .repetition = GM_REPEATED, .children = 1},
    {.name = "element", .repetition = GM_OPTIONAL, .logical = GM_LOGICAL_LIST, .children = 1},
    {.name = "list", .repetition = GM_REPEATED, .children = 1},
    {.name = "element", .repetition = GM_REQUIRED, .type = GM_TYPE_INT},
};
enum { NODES = sizeof schema / sizeof schema[0], LEAVES = 11 };

/* What the levels of one leaf become; values one behind the other. */
struct leaf {
	enum gm_type type;
	uint8_t *definition, *repetition;
	struct model_value *values;
	uint64_t count, value_count, cap;
};
struct table {
	struct model strings; /* for its arena */
	uint64_t random;
	struct leaf leaves[LEAVES];
	bool compact; /* the profile */
	FILE *json;
};

static void *must(void *memory)
{
	if (memory == NULL) abort();
	return memory;
}

static void put(struct leaf *leaf, uint8_t repetition, uint8_t definition, const struct model_value *value)
{
	if (leaf->count == leaf->cap) {
		leaf->cap = leaf->cap * 2 + 64;
		leaf->definition = must(realloc(leaf->definition, leaf->cap));
		leaf->repetition = must(realloc(leaf->repetition, leaf->cap));
		leaf->values = must(realloc(leaf->values, leaf->cap * sizeof *leaf->values));
	}
	leaf->definition[leaf->count] = definition;
	leaf->repetition[leaf->count++] = repetition;
	if (value != NULL) leaf->values[leaf->value_count++] = *value;
}

/* Position in the schema: the node and the number of leaves before it. */
struct place {
	int node, leaf;
};

static struct place skip(struct place at)
{
	int children = schema[at.node].children;
	if (children == 0) return (struct place){at.node + 1, at.leaf + 1};
	at.node++;
	while (children-- > 0) at = skip(at);
	return at;
}

/* Nothing below here in this row (or in this element): one slot for each leaf. */
static struct place put_nothing(struct table *table, struct place at, uint8_t repetition, uint8_t definition)
{
	struct place end = skip(at);
	for (int leaf = at.leaf; leaf < end.leaf; leaf++) put(&table->leaves[leaf], repetition, definition, NULL);
	return end;
}

static struct model_value random_leaf(struct table *table, enum gm_type type, uint64_t number)
{
	char text[32];
	switch (type) {
	case GM_TYPE_STRING:
		return model_string(&table->strings, text,
		                    (size_t)snprintf(text, sizeof text, "s%llu", (unsigned long long)number));
	case GM_TYPE_DOUBLE: return (struct model_value){.f64 = (double)number / 4};
	case GM_TYPE_BOOLEAN: return (struct model_value){.i64 = (int64_t)(number & 1)};
	default: return (struct model_value){.i64 = (int64_t)number};
	}
}

static struct place put_node(struct table *table, struct place at, uint8_t repetition, uint8_t definition,
                             uint8_t depth, uint64_t number);

static struct place put_children(struct table *table, struct place at, uint8_t repetition, uint8_t definition,
                                 uint8_t depth, uint64_t number)
{
	const struct gm_parquet_node *group = &schema[at.node];
	bool braces = group->logical == GM_LOGICAL_NONE && group->repetition != GM_REPEATED;
	bool pair = group->repetition == GM_REPEATED && group->children == 2;
	at.node++;
	if (braces) (void)fputc('{', table->json);
	if (pair) (void)fputc('[', table->json);
	for (int i = 0; i < group->children; i++) {
		if (i > 0) (void)fputc(',', table->json);
		if (braces) (void)fprintf(table->json, "\"%s\":", schema[at.node].name);
		at = put_node(table, at, repetition, definition, depth, number + (uint64_t)i);
	}
	if (pair) (void)fputc(']', table->json);
	if (braces) (void)fputc('}', table->json);
	return at;
}

static struct place put_repeated(struct table *table, struct place at, uint8_t repetition, uint8_t definition,
                                 uint8_t depth)
{
	uint64_t count = model_below(&table->random, 5), first = model_below(&table->random, 40);
	struct place end = skip(at);
	if (model_below(&table->random, 200) == 0) count = 300;
	(void)fputc('[', table->json);
	if (count == 0) (void)put_nothing(table, at, repetition, definition);
	for (uint64_t i = 0; i < count; i++) {
		if (i > 0) (void)fputc(',', table->json);
		(void)put_children(table, at, i == 0 ? repetition : (uint8_t)(depth + 1), (uint8_t)(definition + 1),
		                   (uint8_t)(depth + 1), first + i);
	}
	(void)fputc(']', table->json);
	return end;
}

/* One field of a row or element: random, printed and taken apart at once. depth: repeated nodes above. */
static struct place put_node(struct table *table, struct place at, uint8_t repetition, uint8_t definition,
                             uint8_t depth, uint64_t number)
{
	const struct gm_parquet_node *node = &schema[at.node];
	if (node->repetition == GM_REPEATED) return put_repeated(table, at, repetition, definition, depth);
	if (node->repetition == GM_OPTIONAL) {
		if (model_below(&table->random, 5) == 0) {
			(void)fputs("null", table->json);
			return put_nothing(table, at, repetition, definition);
		}
		definition++;
	}
	if (node->children > 0) return put_children(table, at, repetition, definition, depth, number);
	struct model_value value = random_leaf(table, node->type, number);
	model_print_value(table->json, node->type, &value);
	put(&table->leaves[at.leaf], repetition, definition, &value);
	return (struct place){at.node + 1, at.leaf + 1};
}

static void make_rows(struct table *table, uint64_t rows)
{
	for (uint64_t row = 0; row < rows; row++) {
		struct place at = {0, 0};
		while (at.node < NODES) {
			(void)fprintf(table->json, "%s\"%s\":", at.node == 0 ? "{" : ",", schema[at.node].name);
			at = put_node(table, at, 0, 0, 0, row);
		}
		(void)fputs("}\n", table->json);
	}
}

static enum gm_code encode_leaf(struct table *table, size_t i, struct gm_parquet_encoder *encoder,
                                struct gm_parquet_writer *writer, struct gm_parquet_column_chunk **chunk,
                                struct gm_error *err)
{
	struct leaf *leaf = &table->leaves[i];
	struct presentation p;
	struct model one = {.rows = leaf->value_count, .column_count = 1};
	one.nodes[0].type = leaf->type;
	one.columns[0].values = leaf->values;
	presentation_init(&p, PRESENT_MIXED, i);
	struct gm_parquet_column_data data = model_present(&one, 0, 0, leaf->value_count, &p);
	data.levels = (struct gm_parquet_levels){leaf->definition, leaf->repetition, leaf->count};
	enum gm_code rc = gm_parquet_encode(encoder, writer, i, &data, chunk, err);
	presentation_release(&p);
	return rc;
}

static enum gm_code write_table(struct table *table, uint64_t rows, uint32_t page_rows, gm_sink_fn *sink, void *context,
                                struct gm_error *err)
{
	struct gm_parquet_options options = {.codec = GM_CODEC_ZSTD,
	                                     .level = 1,
	                                     .profile = table->compact ? GM_PROFILE_COMPACT : GM_PROFILE_STANDARD,
	                                     .page_rows = page_rows,
	                                     .created_by = "gristmill version 0.1.0 (build test)"};
	struct gm_parquet_writer *writer;
	struct gm_parquet_summary summary;
	struct gm_parquet_column_chunk *chunks[LEAVES] = {0};
	struct gm_parquet_encoder *encoder = must(gm_parquet_encoder_new(SIZE_MAX));
	enum gm_code rc = gm_parquet_writer_new(schema, NODES, &options, sink, context, &writer, err);
	for (size_t i = 0; rc == GM_OK && i < LEAVES; i++) rc = encode_leaf(table, i, encoder, writer, &chunks[i], err);
	if (rc == GM_OK) rc = gm_parquet_append(writer, rows, chunks, err);
	if (rc == GM_OK) rc = gm_parquet_finish(writer, &summary, err);
	for (size_t i = 0; i < LEAVES; i++) gm_parquet_column_chunk_free(chunks[i]);
	gm_parquet_encoder_free(encoder);
	gm_parquet_writer_free(writer);
	return rc;
}

enum gm_code nested_write(uint64_t rows, uint32_t page_rows, uint64_t seed, gm_sink_fn *sink, void *context, FILE *json,
                          struct gm_error *err)
{
	struct table table = {.random = seed, .compact = seed % 2 == 0, .json = json};
	size_t leaf = 0;
	model_init(&table.strings, 0);
	for (size_t i = 0; i < NODES; i++)
		if (schema[i].children == 0) table.leaves[leaf++].type = schema[i].type;
	make_rows(&table, rows);
	enum gm_code rc = write_table(&table, rows, page_rows, sink, context, err);
	for (size_t i = 0; i < LEAVES; i++) {
		free(table.leaves[i].definition);
		free(table.leaves[i].repetition);
		free(table.leaves[i].values);
	}
	model_release(&table.strings);
	return rc;
}
