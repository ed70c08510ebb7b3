/* schema.h - the nodes of a schema, checked, and its leaves: what they are called and how deep they lie. */
#ifndef GM_PARQUET_SCHEMA_H
#define GM_PARQUET_SCHEMA_H

#include "parquet/writer.h"

enum { GM_SCHEMA_DEPTH = 32 };

struct gm_schema_leaf {
	const struct gm_parquet_node *node;
	const char *const *path; /* names from below the root down to the leaf */
	uint8_t depth;           /* names in path */
	uint8_t max_definition, max_repetition;
};
struct gm_schema {
	struct gm_parquet_node *nodes; /* without the root */
	size_t node_count;
	int top_count; /* children of the root */
	struct gm_schema_leaf *leaves;
	size_t leaf_count;
};

/* Copies the nodes into arena. Errors: BUG for a tree that does not add up, NOMEM. */
enum gm_code gm_schema_build(struct gm_schema *schema, const struct gm_parquet_node *nodes, size_t node_count,
                             struct gm_arena *arena, struct gm_error *err) GM_CHECK;

#endif
