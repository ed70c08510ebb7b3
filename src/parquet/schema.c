#include "parquet/schema.h"

#include <string.h>

/* The groups that are open at a place in the list of nodes. */
struct open_groups {
	const char *name[GM_SCHEMA_DEPTH];
	int left[GM_SCHEMA_DEPTH]; /* children still to come */
	uint8_t definition[GM_SCHEMA_DEPTH], repetition[GM_SCHEMA_DEPTH];
	uint8_t depth;
};

static enum gm_code copy_node(struct gm_parquet_node *to, const struct gm_parquet_node *from, struct gm_arena *arena,
                              struct gm_error *err)
{
	if (from->name == NULL || from->name[0] == '\0' || from->children < 0)
		GM_FAIL(err, GM_BUG, "a column of the schema has no name or a wrong number of children");
	*to = *from;
	to->name = gm_arena_strndup(arena, from->name, strlen(from->name));
	if (to->name == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a schema");
	return GM_OK;
}

static enum gm_code add_leaf(struct gm_schema *schema, const struct gm_parquet_node *node,
                             const struct open_groups *open, uint8_t definition, uint8_t repetition,
                             struct gm_arena *arena, struct gm_error *err)
{
	const char **path = gm_arena_alloc(arena, (open->depth + 1u) * sizeof *path);
	if (path == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a schema");
	memcpy(path, open->name, open->depth * sizeof *path);
	path[open->depth] = node->name;
	schema->leaves[schema->leaf_count++] = (struct gm_schema_leaf){.node = node,
	                                                               .path = path,
	                                                               .depth = (uint8_t)(open->depth + 1),
	                                                               .max_definition = definition,
	                                                               .max_repetition = repetition};
	return GM_OK;
}

/* Opens a group below the ones open, or adds a leaf to them; then closes the groups that are complete. */
static enum gm_code place_node(struct gm_schema *schema, const struct gm_parquet_node *node, struct open_groups *open,
                               struct gm_arena *arena, struct gm_error *err)
{
	uint8_t definition = 0, repetition = 0;
	if (open->depth > 0) {
		definition = open->definition[open->depth - 1];
		repetition = open->repetition[open->depth - 1];
		open->left[open->depth - 1]--;
	} else {
		schema->top_count++;
	}
	definition = (uint8_t)(definition + (node->repetition != GM_REQUIRED));
	repetition = (uint8_t)(repetition + (node->repetition == GM_REPEATED));
	if (node->children == 0) {
		GM_TRY(add_leaf(schema, node, open, definition, repetition, arena, err));
	} else {
		if (open->depth + 1 == GM_SCHEMA_DEPTH) GM_FAIL(err, GM_BUG, "the schema is nested too deeply");
		open->name[open->depth] = node->name;
		open->left[open->depth] = node->children;
		open->definition[open->depth] = definition;
		open->repetition[open->depth++] = repetition;
	}
	while (open->depth > 0 && open->left[open->depth - 1] == 0) open->depth--;
	return GM_OK;
}

enum gm_code gm_schema_build(struct gm_schema *schema, const struct gm_parquet_node *nodes, size_t node_count,
                             struct gm_arena *arena, struct gm_error *err)
{
	struct open_groups open = {.depth = 0};
	*schema = (struct gm_schema){.node_count = node_count};
	if (node_count == 0) GM_FAIL(err, GM_BUG, "a Parquet file needs at least one column");
	schema->nodes = gm_arena_alloc(arena, node_count * sizeof *schema->nodes);
	schema->leaves = gm_arena_alloc(arena, node_count * sizeof *schema->leaves);
	if (schema->nodes == NULL || schema->leaves == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a schema");
	for (size_t i = 0; i < node_count; i++) {
		GM_TRY(copy_node(&schema->nodes[i], &nodes[i], arena, err));
		GM_TRY(place_node(schema, &schema->nodes[i], &open, arena, err));
	}
	if (open.depth != 0) GM_FAIL(err, GM_BUG, "the schema ends inside the group %s", open.name[open.depth - 1]);
	return GM_OK;
}
