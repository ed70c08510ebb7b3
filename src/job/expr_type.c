/* Syntax tree to typed nodes: every operator's rule for its operands' types. There are no conversions but widening
 * (int, bigint, double; date, timestamp): what a reader of the job file must not guess is written as a CAST. */
#include "job/expr_eval.h"

#include "base/time.h"

#include <string.h>

static const char *type_of(const struct gm_expr_node *node)
{
	return node->untyped ? "null" : gm_type_name(node->type);
}

enum gm_code gm_expr_make(struct gm_expr_typer *typer, const struct gm_ast *ast, enum gm_expr_op op, enum gm_type type,
                          struct gm_expr_node **args, size_t count, struct gm_expr_node **out)
{
	struct gm_expr_node node = {
	    .op = op, .type = type, .args = args, .argc = count, .source = typer->source, .offset = ast->offset};
	return gm_expr_intern(typer->program, &node, out, typer->err);
}

static enum gm_code make_const(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_value value,
                               struct gm_expr_node **out)
{
	struct gm_expr_node node = {.op = GM_EXPR_CONST,
	                            .type = value.type,
	                            .value = value,
	                            .untyped = ast->kind == GM_AST_NULL,
	                            .source = typer->source,
	                            .offset = ast->offset};
	return gm_expr_intern(typer->program, &node, out, typer->err);
}

static enum gm_code negate_if(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	if (!ast->negated) return GM_OK;
	struct gm_expr_node *arg = *out;
	return gm_expr_make(typer, ast, GM_EXPR_NOT, GM_TYPE_BOOLEAN, &arg, 1, out);
}

enum gm_code gm_expr_type_args(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node ***args)
{
	*args = gm_arena_alloc(&typer->program->job->arena, (ast->count + 1) * sizeof **args);
	if (*args == NULL) GM_FAIL(typer->err, GM_NOMEM, "out of memory for an expression");
	size_t i = 0;
	for (const struct gm_ast *arg = ast->args; arg != NULL; arg = arg->next, i++)
		GM_TRY(gm_expr_type(typer, arg, &(*args)[i]));
	return GM_OK;
}

static const struct gm_ast *nth(const struct gm_ast *ast, size_t n)
{
	const struct gm_ast *arg = ast->args;
	while (n-- > 0) arg = arg->next;
	return arg;
}

enum gm_code gm_expr_unify(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **args,
                           size_t count, const char *what, enum gm_type *type)
{
	if (count == 0) GM_FAIL(typer->err, GM_BUG, "nothing to unify");
	struct gm_expr_node common = *args[0];
	for (size_t i = 1; i < count; i++) {
		if (!gm_expr_common_type(&common, args[i], &common.type)) {
			enum gm_code code =
			    gm_expr_fail(typer->source, args[i]->source == typer->source ? args[i]->offset : ast->offset,
			                 typer->err, "%s mixes %s and %s", what, type_of(&common), type_of(args[i]));
			return gm_error_hint(typer->err, code, "write CAST(... AS %s) around one of them", type_of(&common));
		}
		common.untyped = common.untyped && args[i]->untyped;
	}
	for (size_t i = 0; i < count && !common.untyped; i++)
		GM_TRY(gm_expr_widen(typer->program, args[i], common.type, &args[i], typer->err));
	*type = common.type;
	return GM_OK;
}

static enum gm_code want(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **node,
                         enum gm_type type, const char *what)
{
	if (!gm_expr_widens(*node, type)) {
		enum gm_code code = gm_expr_fail(typer->source, ast->offset, typer->err, "%s takes %s, not %s", what,
		                                 gm_type_name(type), type_of(*node));
		return gm_error_hint(typer->err, code, "write CAST(... AS %s) if that is meant", gm_type_name(type));
	}
	return gm_expr_widen(typer->program, *node, type, node, typer->err);
}

static enum gm_code want_all(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **args,
                             enum gm_type type, const char *what)
{
	size_t i = 0;
	for (const struct gm_ast *arg = ast->args; arg != NULL; arg = arg->next, i++)
		GM_TRY(want(typer, arg, &args[i], type, what));
	return GM_OK;
}

/* --- Literals ----------------------------------------------------------------------------------------------------- */

static enum gm_code type_time_literal(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_value *value)
{
	if (ast->kind == GM_AST_DATE) {
		value->type = GM_TYPE_DATE;
		if (gm_date_parse_iso(ast->text, ast->text_bytes, &value->i64)) return GM_OK;
		return gm_expr_fail(typer->source, ast->offset, typer->err, "'%.40s' is not a date such as 2024-03-10",
		                    ast->text);
	}
	value->type = GM_TYPE_TIMESTAMP;
	bool known = gm_time_parse_iso(ast->text, ast->text_bytes, &value->i64);
	if (known && value->i64 >= GM_TIME_MIN && value->i64 <= GM_TIME_MAX) return GM_OK;
	return gm_expr_fail(typer->source, ast->offset, typer->err,
	                    "'%.40s' is not a timestamp such as 2024-03-10 22:01:24.084", ast->text);
}

static enum gm_code type_literal(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	struct gm_value value = {.null = ast->kind == GM_AST_NULL};
	switch (ast->kind) {
	case GM_AST_BOOLEAN:
		value.type = GM_TYPE_BOOLEAN;
		value.boolean = ast->boolean;
		break;
	case GM_AST_INTEGER:
		value.type = ast->integer >= INT32_MIN && ast->integer <= INT32_MAX ? GM_TYPE_INT : GM_TYPE_BIGINT;
		value.i64 = ast->integer;
		break;
	case GM_AST_DOUBLE:
		value.type = GM_TYPE_DOUBLE;
		value.f64 = ast->real;
		break;
	case GM_AST_DATE:
	case GM_AST_TIMESTAMP: GM_TRY(type_time_literal(typer, ast, &value)); break;
	case GM_AST_STRING:
		value.bytes = (const uint8_t *)ast->text;
		value.len = (uint32_t)ast->text_bytes;
		__attribute__((fallthrough));
	default: value.type = GM_TYPE_STRING; break;
	}
	return make_const(typer, ast, value, out);
}

/* a.b.c: a string read from the source. */
static enum gm_code type_path(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	struct gm_arena *arena = &typer->program->job->arena;
	const char **keys = gm_arena_alloc(arena, ast->count * sizeof *keys);
	size_t *bytes = gm_arena_alloc(arena, ast->count * sizeof *bytes), i = 0;
	char *name = gm_arena_strndup(arena, typer->source->text + ast->offset, ast->end - ast->offset);
	if (keys == NULL || bytes == NULL || name == NULL) GM_FAIL(typer->err, GM_NOMEM, "out of memory for an expression");
	for (const struct gm_ast *key = ast->args; key != NULL; key = key->next, i++) {
		keys[i] = key->text;
		bytes[i] = key->text_bytes;
	}
	struct gm_shred_leaf leaf = {
	    .path = keys, .path_bytes = bytes, .path_len = ast->count, .type = GM_TYPE_STRING, .name = name};
	return gm_expr_leaf(typer->program, &leaf, typer->source, ast->offset, out, typer->err);
}

/* --- Operators ---------------------------------------------------------------------------------------------------- */

static bool is_number(const struct gm_expr_node *node)
{
	return node->type == GM_TYPE_INT || node->type == GM_TYPE_BIGINT || node->type == GM_TYPE_DOUBLE;
}

static enum gm_code type_arithmetic(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	static const char *const formats[] = {
	    [GM_AST_NEGATE] = "(- ?)",   [GM_AST_MULTIPLY] = "(? * ?)", [GM_AST_DIVIDE] = "(? / ?)",
	    [GM_AST_MODULO] = "(? % ?)", [GM_AST_ADD] = "(? + ?)",      [GM_AST_SUBTRACT] = "(? - ?)",
	};
	struct gm_expr_node **args;
	enum gm_type type;
	GM_TRY(gm_expr_type_args(typer, ast, &args));
	for (size_t i = 0; i < ast->count; i++) {
		if (is_number(args[i]) && !args[i]->untyped) continue;
		enum gm_code code = gm_expr_fail(typer->source, nth(ast, i)->offset, typer->err,
		                                 "arithmetic takes numbers, not %s", type_of(args[i]));
		bool text = args[i]->type == GM_TYPE_STRING && !args[i]->untyped && ast->kind == GM_AST_ADD;
		return text ? gm_error_hint(typer->err, code, "texts are joined with ||") : code;
	}
	GM_TRY(gm_expr_unify(typer, ast, args, ast->count, "arithmetic", &type));
	if (ast->kind != GM_AST_MODULO)
		return gm_expr_type_sql(typer, ast, formats[ast->kind], args, ast->count, type, false, out);
	/* SQLite's % turns its operands into integers, and would make one of a sum that had overflowed. */
	const char *format = type == GM_TYPE_DOUBLE ? "mod(?, ?)" : formats[ast->kind];
	return gm_expr_type_sql(typer, ast, format, args, ast->count, type, true, out);
}

static enum gm_code type_comparison(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	struct gm_expr_node **args;
	enum gm_type type;
	GM_TRY(gm_expr_type_args(typer, ast, &args));
	GM_TRY(gm_expr_unify(typer, ast, args, ast->count, "the comparison", &type));
	struct gm_expr_node node = {.op = ast->kind == GM_AST_DISTINCT ? GM_EXPR_DISTINCT : GM_EXPR_COMPARE,
	                            .compare = ast->kind,
	                            .type = GM_TYPE_BOOLEAN,
	                            .args = args,
	                            .argc = 2,
	                            .source = typer->source,
	                            .offset = ast->offset};
	GM_TRY(gm_expr_intern(typer->program, &node, out, typer->err));
	return negate_if(typer, ast, out);
}

static enum gm_code compare(struct gm_expr_typer *typer, const struct gm_ast *ast, enum gm_ast_kind kind,
                            struct gm_expr_node *left, struct gm_expr_node *right, struct gm_expr_node **out)
{
	struct gm_expr_node *args[2] = {left, right};
	enum gm_type type;
	GM_TRY(gm_expr_unify(typer, ast, args, 2, "the comparison", &type));
	struct gm_expr_node node = {.op = GM_EXPR_COMPARE,
	                            .compare = kind,
	                            .type = GM_TYPE_BOOLEAN,
	                            .args = args,
	                            .argc = 2,
	                            .source = typer->source,
	                            .offset = ast->offset};
	return gm_expr_intern(typer->program, &node, out, typer->err);
}

static enum gm_code type_between(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	struct gm_expr_node **args, *both[2];
	GM_TRY(gm_expr_type_args(typer, ast, &args));
	GM_TRY(compare(typer, ast, GM_AST_GE, args[0], args[1], &both[0]));
	GM_TRY(compare(typer, ast, GM_AST_LE, args[0], args[2], &both[1]));
	GM_TRY(gm_expr_make(typer, ast, GM_EXPR_AND, GM_TYPE_BOOLEAN, both, 2, out));
	return negate_if(typer, ast, out);
}

/* CASE [x] WHEN ... THEN ...: conditions and results by turns, and a result for ELSE. */
static enum gm_code type_case(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	struct gm_expr_node **args, **first;
	GM_TRY(gm_expr_type_args(typer, ast, &args));
	size_t count = ast->count - ast->has_operand;
	first = args + ast->has_operand;
	for (size_t i = 0; i + 1 < count; i += 2) {
		if (ast->has_operand)
			GM_TRY(compare(typer, nth(ast, i + 1), GM_AST_EQ, args[0], first[i], &first[i]));
		else
			GM_TRY(want(typer, nth(ast, i), &first[i], GM_TYPE_BOOLEAN, "WHEN"));
	}
	if (!ast->has_else) {
		struct gm_ast null = {.kind = GM_AST_NULL, .offset = ast->offset};
		GM_TRY(type_literal(typer, &null, &first[count])); /* gm_expr_type_args left room for one more */
		count++;
	}
	size_t results = count / 2 + 1, n = 0;
	struct gm_expr_node **result = gm_arena_alloc(&typer->program->job->arena, results * sizeof(struct gm_expr_node *));
	if (result == NULL) GM_FAIL(typer->err, GM_NOMEM, "out of memory for an expression");
	for (size_t i = 1; i < count; i += 2) result[n++] = first[i];
	result[n++] = first[count - 1];
	enum gm_type type;
	GM_TRY(gm_expr_unify(typer, ast, result, n, "CASE", &type));
	for (size_t i = 0; i + 1 < n; i++) first[2 * i + 1] = result[i];
	first[count - 1] = result[n - 1];
	return gm_expr_make(typer, ast, GM_EXPR_CASE, type, first, count, out);
}

static bool can_cast(enum gm_type from, enum gm_type to)
{
	bool number = from == GM_TYPE_INT || from == GM_TYPE_BIGINT || from == GM_TYPE_DOUBLE || from == GM_TYPE_BOOLEAN;
	if (from == to || from == GM_TYPE_STRING || to == GM_TYPE_STRING) return true;
	if (number) return to != GM_TYPE_DATE && to != GM_TYPE_TIMESTAMP;
	return to == GM_TYPE_DATE || to == GM_TYPE_TIMESTAMP;
}

static enum gm_code type_cast(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	struct gm_expr_node *arg;
	GM_TRY(gm_expr_type(typer, ast->args, &arg));
	if (arg->untyped || arg->type == ast->type || gm_expr_widens(arg, ast->type))
		return gm_expr_widen(typer->program, arg, ast->type, out, typer->err);
	if (!can_cast(arg->type, ast->type)) {
		enum gm_code code = gm_expr_fail(typer->source, ast->offset, typer->err, "%s cannot be cast to %s",
		                                 type_of(arg), gm_type_name(ast->type));
		if (ast->type != GM_TYPE_TIMESTAMP && ast->type != GM_TYPE_DATE) return code;
		return gm_error_hint(typer->err, code, "from_unixtime(seconds) gives a timestamp");
	}
	GM_TRY(gm_expr_make(typer, ast, GM_EXPR_CAST, ast->type, &arg, 1, out));
	if (!ast->negated) return GM_OK;
	arg = *out;
	return gm_expr_make(typer, ast, GM_EXPR_TRY, ast->type, &arg, 1, out);
}

static enum gm_code type_like(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	struct gm_expr_node **args;
	GM_TRY(gm_expr_type_args(typer, ast, &args));
	GM_TRY(want_all(typer, ast, args, GM_TYPE_STRING, "LIKE"));
	bool constant = ast->count > 2 && args[1]->op == GM_EXPR_CONST && args[2]->op == GM_EXPR_CONST;
	if (constant && !args[1]->value.null && !args[2]->value.null) {
		struct gm_error why;
		if (gm_expr_like_check(&args[1]->value, &args[2]->value, &why) != GM_OK)
			return gm_expr_fail(typer->source, nth(ast, 1)->offset, typer->err, "%.300s", why.message);
	}
	GM_TRY(gm_expr_make(typer, ast, GM_EXPR_LIKE, GM_TYPE_BOOLEAN, args, ast->count, out));
	return negate_if(typer, ast, out);
}

static enum gm_code type_in(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	struct gm_expr_node **args;
	enum gm_type type;
	GM_TRY(gm_expr_type_args(typer, ast, &args));
	GM_TRY(gm_expr_unify(typer, ast, args, ast->count, "IN", &type));
	GM_TRY(gm_expr_make(typer, ast, GM_EXPR_IN, GM_TYPE_BOOLEAN, args, ast->count, out));
	return negate_if(typer, ast, out);
}

/* Operators whose operands and result are all of one type. */
static enum gm_code type_uniform(struct gm_expr_typer *typer, const struct gm_ast *ast, enum gm_expr_op op,
                                 enum gm_type type, const char *what, struct gm_expr_node **out)
{
	struct gm_expr_node **args;
	GM_TRY(gm_expr_type_args(typer, ast, &args));
	GM_TRY(want_all(typer, ast, args, type, what));
	return gm_expr_make(typer, ast, op, type, args, ast->count, out);
}

static enum gm_code type_is_null(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	struct gm_expr_node *arg;
	GM_TRY(gm_expr_type(typer, ast->args, &arg));
	GM_TRY(gm_expr_make(typer, ast, GM_EXPR_IS_NULL, GM_TYPE_BOOLEAN, &arg, 1, out));
	return negate_if(typer, ast, out);
}

enum gm_code gm_expr_type(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	switch (ast->kind) {
	case GM_AST_NULL:
	case GM_AST_BOOLEAN:
	case GM_AST_INTEGER:
	case GM_AST_DOUBLE:
	case GM_AST_STRING:
	case GM_AST_DATE:
	case GM_AST_TIMESTAMP: return type_literal(typer, ast, out);
	case GM_AST_NAME: return gm_expr_resolve_name(typer, ast, out);
	case GM_AST_PATH: return type_path(typer, ast, out);
	case GM_AST_CALL: return gm_expr_type_call(typer, ast, out);
	case GM_AST_CASE: return type_case(typer, ast, out);
	case GM_AST_CAST: return type_cast(typer, ast, out);
	case GM_AST_NEGATE:
	case GM_AST_MULTIPLY:
	case GM_AST_DIVIDE:
	case GM_AST_MODULO:
	case GM_AST_ADD:
	case GM_AST_SUBTRACT: return type_arithmetic(typer, ast, out);
	case GM_AST_CONCAT: return type_uniform(typer, ast, GM_EXPR_CONCAT, GM_TYPE_STRING, "||", out);
	case GM_AST_EQ:
	case GM_AST_NE:
	case GM_AST_LT:
	case GM_AST_LE:
	case GM_AST_GT:
	case GM_AST_GE:
	case GM_AST_DISTINCT: return type_comparison(typer, ast, out);
	case GM_AST_IS_NULL: return type_is_null(typer, ast, out);
	case GM_AST_IN: return type_in(typer, ast, out);
	case GM_AST_BETWEEN: return type_between(typer, ast, out);
	case GM_AST_LIKE: return type_like(typer, ast, out);
	case GM_AST_NOT: return type_uniform(typer, ast, GM_EXPR_NOT, GM_TYPE_BOOLEAN, "NOT", out);
	case GM_AST_AND: return type_uniform(typer, ast, GM_EXPR_AND, GM_TYPE_BOOLEAN, "AND", out);
	case GM_AST_OR: return type_uniform(typer, ast, GM_EXPR_OR, GM_TYPE_BOOLEAN, "OR", out);
	}
	GM_FAIL(typer->err, GM_BUG, "an expression has a part of unknown kind %d", (int)ast->kind);
}
