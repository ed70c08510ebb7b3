#include "job/expr_node.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static enum gm_code no_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory for an expression");
}

static bool is_bytes(const struct gm_value *value)
{
	return value->type == GM_TYPE_STRING && !value->null;
}

static bool equal_values(const struct gm_value *a, const struct gm_value *b)
{
	if (a->type != b->type || a->null != b->null) return false;
	if (a->null) return true;
	if (is_bytes(a)) return a->len == b->len && (a->len == 0 || memcmp(a->bytes, b->bytes, a->len) == 0);
	if (a->type == GM_TYPE_BOOLEAN) return a->boolean == b->boolean;
	return a->i64 == b->i64; /* doubles by their bits: -0.0 is not 0.0 */
}

static bool equal_nodes(const struct gm_expr_node *a, const struct gm_expr_node *b)
{
	if (a->op != b->op || a->type != b->type || a->compare != b->compare || a->untyped != b->untyped ||
	    a->slot != b->slot || a->function != b->function || a->argc != b->argc)
		return false;
	for (size_t i = 0; i < a->argc; i++)
		if (a->args[i] != b->args[i]) return false;
	if (a->op == GM_EXPR_SQL) return strcmp(a->sql, b->sql) == 0;
	return a->op != GM_EXPR_CONST || equal_values(&a->value, &b->value);
}

static uint32_t hash_node(const struct gm_expr_node *node)
{
	uint32_t head[6] = {(uint32_t)node->op, (uint32_t)node->type, (uint32_t)node->compare, node->slot};
	XXH64_hash_t hash = XXH3_64bits_withSeed(head, sizeof head, node->argc);
	for (size_t i = 0; i < node->argc; i++)
		hash = XXH3_64bits_withSeed(&node->args[i]->index, sizeof node->args[i]->index, hash);
	if (node->op == GM_EXPR_CONST && is_bytes(&node->value))
		hash = XXH3_64bits_withSeed(node->value.bytes, node->value.len, hash);
	else if (node->op == GM_EXPR_CONST && !node->value.null && node->type != GM_TYPE_BOOLEAN)
		hash = XXH3_64bits_withSeed(&node->value.i64, sizeof node->value.i64, hash);
	return (uint32_t)(hash % GM_PROGRAM_BUCKETS);
}

static enum gm_code grow_nodes(struct gm_program *program, struct gm_error *err)
{
	size_t cap = program->node_cap == 0 ? 64 : program->node_cap * 2;
	struct gm_expr_node **nodes = gm_arena_alloc(&program->job->arena, cap * sizeof *nodes);
	if (nodes == NULL) return no_memory(err);
	if (program->node_count > 0) memcpy(nodes, program->nodes, program->node_count * sizeof *nodes);
	program->nodes = nodes;
	program->node_cap = cap;
	return GM_OK;
}

enum gm_code gm_expr_intern(struct gm_program *program, const struct gm_expr_node *node, struct gm_expr_node **out,
                            struct gm_error *err)
{
	struct gm_expr_node **bucket = &program->buckets[hash_node(node)];
	for (struct gm_expr_node *old = *bucket; old != NULL; old = old->next_alike) {
		if (!equal_nodes(old, node)) continue;
		*out = old;
		return GM_OK;
	}
	if (program->node_count >= GM_EXPR_NODES_MAX)
		return gm_expr_fail(node->source, node->offset, err, "all expressions together have more than %d parts",
		                    GM_EXPR_NODES_MAX);
	if (program->node_count == program->node_cap) GM_TRY(grow_nodes(program, err));
	struct gm_arena *arena = &program->job->arena;
	struct gm_expr_node *copy = gm_arena_alloc(arena, sizeof *copy);
	if (copy == NULL) return no_memory(err);
	*copy = *node;
	copy->args = NULL;
	if (node->argc > 0) {
		copy->args = gm_arena_alloc(arena, node->argc * sizeof(struct gm_expr_node *));
		if (copy->args == NULL) return no_memory(err);
		memcpy(copy->args, node->args, node->argc * sizeof(struct gm_expr_node *));
	}
	copy->index = (uint32_t)program->node_count;
	copy->uses_sqlite = node->op == GM_EXPR_SQL;
	for (size_t i = 0; i < node->argc; i++) copy->uses_sqlite = copy->uses_sqlite || node->args[i]->uses_sqlite;
	copy->next_alike = *bucket;
	*bucket = copy;
	program->nodes[program->node_count++] = copy;
	*out = copy;
	return GM_OK;
}

static int number_rank(enum gm_type type)
{
	return type == GM_TYPE_INT ? 1 : type == GM_TYPE_BIGINT ? 2 : type == GM_TYPE_DOUBLE ? 3 : 0;
}

static int time_rank(enum gm_type type)
{
	return type == GM_TYPE_DATE ? 1 : type == GM_TYPE_TIMESTAMP ? 2 : 0;
}

bool gm_expr_widens(const struct gm_expr_node *node, enum gm_type type)
{
	if (node->untyped || node->type == type) return true;
	int from = number_rank(node->type), to = number_rank(type);
	if (from > 0 && from < to) return true;
	return node->type == GM_TYPE_DATE && type == GM_TYPE_TIMESTAMP;
}

bool gm_expr_common_type(const struct gm_expr_node *a, const struct gm_expr_node *b, enum gm_type *type)
{
	bool numbers = number_rank(a->type) > 0 && number_rank(b->type) > 0;
	bool times = time_rank(a->type) > 0 && time_rank(b->type) > 0;
	if (a->untyped || (b->untyped && !a->untyped)) {
		*type = a->untyped ? b->type : a->type;
		return true;
	}
	if (numbers) *type = number_rank(a->type) > number_rank(b->type) ? a->type : b->type;
	if (times) *type = time_rank(a->type) > time_rank(b->type) ? a->type : b->type;
	if (a->type == b->type) *type = a->type;
	return numbers || times || a->type == b->type;
}

enum gm_code gm_expr_widen(struct gm_program *program, struct gm_expr_node *node, enum gm_type type,
                           struct gm_expr_node **out, struct gm_error *err)
{
	*out = node;
	if (node->type == type && !node->untyped) return GM_OK;
	struct gm_expr_node wide = {.source = node->source, .offset = node->offset, .type = type};
	if (node->op == GM_EXPR_CONST && (node->value.null || type == GM_TYPE_BIGINT || number_rank(type) == 3)) {
		wide.op = GM_EXPR_CONST;
		wide.value = node->value;
		wide.value.type = type;
		if (type == GM_TYPE_DOUBLE && !node->value.null) wide.value.f64 = (double)node->value.i64;
		return gm_expr_intern(program, &wide, out, err);
	}
	wide.op = GM_EXPR_WIDEN;
	wide.args = &node;
	wide.argc = 1;
	return gm_expr_intern(program, &wide, out, err);
}

static bool same_path(const struct gm_shred_leaf *a, const struct gm_shred_leaf *b)
{
	if (a->path_len != b->path_len) return false;
	for (size_t i = 0; i < a->path_len; i++)
		if (a->path_bytes[i] != b->path_bytes[i] || memcmp(a->path[i], b->path[i], a->path_bytes[i]) != 0) return false;
	return true;
}

/* A leaf of the program that gives what `leaf` asks for. A string that rejects or fails nothing by itself serves all.
 */
static bool serves(const struct gm_shred_leaf *old, const struct gm_shred_leaf *leaf)
{
	if (old->type != leaf->type || !same_path(old, leaf)) return false;
	if (leaf->type == GM_TYPE_STRING) return old->required == leaf->required;
	bool same_unit = old->unit == leaf->unit || leaf->type != GM_TYPE_TIMESTAMP;
	return same_unit && old->required == leaf->required && old->on_error == leaf->on_error;
}

enum gm_code gm_expr_leaf(struct gm_program *program, const struct gm_shred_leaf *leaf,
                          const struct gm_expr_source *source, size_t offset, struct gm_expr_node **out,
                          struct gm_error *err)
{
	size_t slot = 0;
	while (slot < program->leaf_count && !serves(&program->leaves[slot], leaf)) slot++;
	if (slot == program->leaf_count) {
		if (program->leaf_count == program->leaf_cap) {
			size_t cap = program->leaf_cap == 0 ? 32 : program->leaf_cap * 2;
			struct gm_shred_leaf *leaves = gm_arena_alloc(&program->job->arena, cap * sizeof *leaves);
			if (leaves == NULL) return no_memory(err);
			if (slot > 0) memcpy(leaves, program->leaves, slot * sizeof *leaves);
			program->leaves = leaves;
			program->leaf_cap = cap;
		}
		program->leaves[program->leaf_count++] = *leaf;
	}
	struct gm_expr_node node = {
	    .op = GM_EXPR_LEAF, .type = leaf->type, .slot = (uint32_t)slot, .source = source, .offset = offset};
	return gm_expr_intern(program, &node, out, err);
}
