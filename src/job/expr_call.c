/* Calls: special forms, native functions, and what SQLite computes. */
#include "job/expr_node.h"

#include "job/suggest.h"

#include <string.h>
#include <strings.h>

/* --- What SQLite computes ----------------------------------------------------------------------------------------- */

/* Functions that are arithmetic. Left out is what SQLite has but cannot be vouched for: its text and date functions
 * (neither Unicode- nor NUL-safe), and whatever depends on the C library's rounding (exp, ln, pow, sin, ...). Names and
 * meanings are Trino's. `format` may use an argument twice: ?, or ?2 for the second. */
static const struct sql_function {
	const char *name, *signature, *help;
	uint8_t args;
	enum gm_type type; /* of arguments and result */
	bool apart;
	const char *format;
} sql_functions[] = {
    {"abs", "abs(double) -> double", "The absolute value.", 1, GM_TYPE_DOUBLE, false, "abs(?1)"},
    {"ceil", "ceil(double) -> double", "The next integer up.", 1, GM_TYPE_DOUBLE, false, "ceil(?1)"},
    {"ceiling", "ceiling(double) -> double", "The same as ceil.", 1, GM_TYPE_DOUBLE, false, "ceil(?1)"},
    {"floor", "floor(double) -> double", "The next integer down.", 1, GM_TYPE_DOUBLE, false, "floor(?1)"},
    {"truncate", "truncate(double) -> double", "The integer part.", 1, GM_TYPE_DOUBLE, false, "trunc(?1)"},
    {"round", "round(double) -> double", "The nearest integer, halves away from zero.", 1, GM_TYPE_DOUBLE, true,
     "(trunc(?1) + ((?1 - trunc(?1)) >= 0.5) - ((?1 - trunc(?1)) <= -0.5))"},
    {"sqrt", "sqrt(double) -> double", "The square root.", 1, GM_TYPE_DOUBLE, false, "sqrt(?1)"},
    {"mod", "mod(bigint, bigint) -> bigint", "The remainder, of the sign of the first.", 2, GM_TYPE_BIGINT, true,
     "(?1 % ?2)"},
    {"mod", "mod(double, double) -> double", "The remainder, of the sign of the first.", 2, GM_TYPE_DOUBLE, true,
     "mod(?1, ?2)"},
    {"bitwise_and", "bitwise_and(bigint, bigint) -> bigint", "The bits set in both.", 2, GM_TYPE_BIGINT, true,
     "(?1 & ?2)"},
    {"bitwise_or", "bitwise_or(bigint, bigint) -> bigint", "The bits set in either.", 2, GM_TYPE_BIGINT, true,
     "(?1 | ?2)"},
    {"bitwise_not", "bitwise_not(bigint) -> bigint", "Every bit the other way.", 1, GM_TYPE_BIGINT, true, "(~ ?1)"},
};
enum {
	SQL_FUNCTION_COUNT = sizeof sql_functions / sizeof sql_functions[0],
	SQL_PARAMETERS_MAX = 100,
	SQL_BYTES_MAX = 8000
};

/* Built in, not called. */
static const char *const special_forms[] = {"coalesce", "nullif", "if", "try", "greatest", "least", "concat"};
static const char *const special_signatures[] = {
    "coalesce(any, any, ...) -> any",        "nullif(any, any) -> any",
    "if(boolean, any[, any]) -> any",        "try(any) -> any",
    "greatest(any, any, ...) -> any",        "least(any, any, ...) -> any",
    "concat(string, string, ...) -> string",
};

/* For the help page; concat is in the table of native functions. */
static const char *const special_helps[] = {
    "The first argument that is not null.",
    "The first argument, or null if it equals the second.",
    "The second argument where the first is true, else the third, or null.",
    "The argument, or null where computing it fails.",
    "The largest argument; null if one is null.",
    "The smallest argument; null if one is null.",
};
enum { SPECIAL_HELPS = sizeof special_helps / sizeof special_helps[0] };

bool gm_expr_builtin(size_t i, const char **signature, const char **help)
{
	if (i >= SPECIAL_HELPS + SQL_FUNCTION_COUNT) return false;
	*signature = i < SPECIAL_HELPS ? special_signatures[i] : sql_functions[i - SPECIAL_HELPS].signature;
	*help = i < SPECIAL_HELPS ? special_helps[i] : sql_functions[i - SPECIAL_HELPS].help;
	return true;
}

struct statement {
	struct gm_buf text;
	struct gm_expr_node *params[SQL_PARAMETERS_MAX];
	size_t count;
};

static enum gm_code append_parameter(struct gm_expr_typer *typer, struct statement *st, struct gm_expr_node *node)
{
	size_t i = 0;
	while (i < st->count && st->params[i] != node) i++;
	if (i == SQL_PARAMETERS_MAX) GM_FAIL(typer->err, GM_BUG, "an SQL statement has too many parameters");
	if (i == st->count) st->params[st->count++] = node;
	GM_TRY(gm_buf_printf(&st->text, typer->err, "?%zu", i + 1));
	return GM_OK;
}

/* An argument's own SQL, its parameters renumbered. */
static enum gm_code append_nested(struct gm_expr_typer *typer, struct statement *st, const struct gm_expr_node *node)
{
	for (const char *at = node->sql; *at != '\0';) {
		size_t plain = strcspn(at, "?");
		GM_TRY(gm_buf_append(&st->text, at, plain, typer->err));
		at += plain;
		if (*at == '\0') break;
		size_t number = 0;
		for (at++; *at >= '0' && *at <= '9'; at++) number = number * 10 + (size_t)(*at - '0');
		GM_TRY(append_parameter(typer, st, node->args[number - 1]));
	}
	return GM_OK;
}

/* Whether an argument's statement may become part of its user's: it stands there itself (what a column's name stands
 * for is checked by itself) and the user would notice its failure. */
static bool may_nest(const struct gm_ast *ast, const struct gm_expr_node *node, enum gm_type type,
                     const struct statement *st)
{
	return ast->kind != GM_AST_NAME && node->op == GM_EXPR_SQL && node->type == type &&
	       st->count + node->argc < SQL_PARAMETERS_MAX / 2 && st->text.len + strlen(node->sql) < SQL_BYTES_MAX / 4;
}

static enum gm_code write_statement(struct gm_expr_typer *typer, const struct gm_ast *ast, const char *format,
                                    struct gm_expr_node **args, enum gm_type type, bool apart, struct statement *st)
{
	size_t turn = 0;
	for (const char *at = format; *at != '\0';) {
		size_t plain = strcspn(at, "?");
		GM_TRY(gm_buf_append(&st->text, at, plain, typer->err));
		at += plain;
		if (*at == '\0') break;
		at++;
		size_t n = *at >= '1' && *at <= '9' ? (size_t)(*at++ - '1') : turn++;
		const struct gm_ast *arg = ast->args;
		for (size_t i = 0; i < n; i++) arg = arg->next;
		if (!apart && may_nest(arg, args[n], type, st))
			GM_TRY(append_nested(typer, st, args[n]));
		else
			GM_TRY(append_parameter(typer, st, args[n]));
	}
	return GM_OK;
}

enum gm_code gm_expr_type_sql(struct gm_expr_typer *typer, const struct gm_ast *ast, const char *format,
                              struct gm_expr_node **args, size_t count, enum gm_type type, bool apart,
                              struct gm_expr_node **out)
{
	(void)count;
	struct statement st = {.count = 0};
	gm_buf_init(&st.text, SQL_BYTES_MAX);
	enum gm_code rc = write_statement(typer, ast, format, args, type, apart, &st);
	if (rc == GM_OK) {
		char *sql = gm_arena_strndup(&typer->program->job->arena, (const char *)st.text.data, st.text.len);
		struct gm_expr_node node = {.op = GM_EXPR_SQL,
		                            .type = type,
		                            .sql = sql,
		                            .args = st.params,
		                            .argc = st.count,
		                            .source = typer->source,
		                            .offset = ast->offset};
		rc = sql != NULL ? gm_expr_intern(typer->program, &node, out, typer->err)
		                 : gm_error_set(typer->err, GM_NOMEM, "out of memory for an expression");
	}
	gm_buf_release(&st.text);
	return rc;
}

/* --- Special forms ------------------------------------------------------------------------------------------------ */

static enum gm_code wrong_count(struct gm_expr_typer *typer, const struct gm_ast *ast, const char *signature)
{
	enum gm_code code = gm_expr_fail(typer->source, ast->offset, typer->err, "%s cannot take %zu argument%s", ast->text,
	                                 ast->count, ast->count == 1 ? "" : "s");
	return gm_error_hint(typer->err, code, "%s", signature);
}

/* COALESCE, GREATEST, LEAST: any number of arguments of one type. */
static enum gm_code type_same(struct gm_expr_typer *typer, const struct gm_ast *ast, enum gm_expr_op op,
                              struct gm_expr_node **out)
{
	struct gm_expr_node **args;
	enum gm_type type;
	GM_TRY(gm_expr_type_args(typer, ast, &args));
	GM_TRY(gm_expr_unify(typer, ast, args, ast->count, ast->text, &type));
	return gm_expr_make(typer, ast, op, type, args, ast->count, out);
}

/* NULLIF(a, b) is CASE WHEN a = b THEN NULL ELSE a END. */
static enum gm_code type_nullif(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	struct gm_expr_node **args, *equal, *first;
	enum gm_type type;
	GM_TRY(gm_expr_type_args(typer, ast, &args));
	first = args[0];
	GM_TRY(gm_expr_unify(typer, ast, args, 2, "nullif", &type));
	struct gm_expr_node compare = {.op = GM_EXPR_COMPARE,
	                               .compare = GM_AST_EQ,
	                               .type = GM_TYPE_BOOLEAN,
	                               .args = args,
	                               .argc = 2,
	                               .source = typer->source,
	                               .offset = ast->offset};
	GM_TRY(gm_expr_intern(typer->program, &compare, &equal, typer->err));
	struct gm_expr_node null = {.op = GM_EXPR_CONST,
	                            .type = first->type,
	                            .value = {.type = first->type, .null = true},
	                            .untyped = first->untyped,
	                            .source = typer->source,
	                            .offset = ast->offset};
	struct gm_expr_node *parts[3] = {equal, NULL, first};
	GM_TRY(gm_expr_intern(typer->program, &null, &parts[1], typer->err));
	return gm_expr_make(typer, ast, GM_EXPR_CASE, first->type, parts, 3, out);
}

static enum gm_code type_if(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	struct gm_ast as_case = *ast; /* IF(c, a[, b]) is CASE WHEN c THEN a [ELSE b] END */
	as_case.kind = GM_AST_CASE;
	as_case.has_else = ast->count == 3;
	return gm_expr_type(typer, &as_case, out);
}

static enum gm_code type_concat(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	struct gm_ast joined = *ast;
	joined.kind = GM_AST_CONCAT;
	return gm_expr_type(typer, &joined, out);
}

static enum gm_code type_special(struct gm_expr_typer *typer, const struct gm_ast *ast, size_t form,
                                 struct gm_expr_node **out)
{
	static const size_t fewest[] = {2, 2, 2, 1, 1, 1, 2};
	static const size_t most[] = {GM_EXPR_ARGS_MAX, 2, 3, 1, GM_EXPR_ARGS_MAX, GM_EXPR_ARGS_MAX, GM_EXPR_ARGS_MAX};
	if (ast->count < fewest[form] || ast->count > most[form]) return wrong_count(typer, ast, special_signatures[form]);
	switch (form) {
	case 0: return type_same(typer, ast, GM_EXPR_COALESCE, out);
	case 1: return type_nullif(typer, ast, out);
	case 2: return type_if(typer, ast, out);
	case 3: return type_same(typer, ast, GM_EXPR_TRY, out);
	case 4: return type_same(typer, ast, GM_EXPR_GREATEST, out);
	case 5: return type_same(typer, ast, GM_EXPR_LEAST, out);
	default: return type_concat(typer, ast, out);
	}
}

/* --- Functions ---------------------------------------------------------------------------------------------------- */

static enum gm_code unknown_function(struct gm_expr_typer *typer, const struct gm_ast *ast)
{
	struct gm_suggest suggest;
	gm_suggest_init(&suggest, ast->text, ast->text_bytes);
	for (size_t i = 0; i < gm_function_count; i++) gm_suggest_offer(&suggest, gm_functions[i].name);
	for (size_t i = 0; i < SQL_FUNCTION_COUNT; i++) gm_suggest_offer(&suggest, sql_functions[i].name);
	for (size_t i = 0; i < sizeof special_forms / sizeof special_forms[0]; i++)
		gm_suggest_offer(&suggest, special_forms[i]);
	enum gm_code code = gm_expr_fail(typer->source, ast->offset, typer->err, "there is no function '%.60s'", ast->text);
	const char *best = gm_suggest_best(&suggest);
	if (best != NULL) return gm_error_hint(typer->err, code, "did you mean '%s'?", best);
	return gm_error_hint(typer->err, code, "docs/functions.md lists all functions");
}

/* Checks the literals of a function that prepares them, and learns its grain. */
static enum gm_code check_site(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node *node)
{
	const struct gm_function_site *site = node->function->site;
	struct gm_value values[GM_FUNCTION_MAX_ARGS] = {0};
	const struct gm_ast *arg = ast->args, *literal = ast->args;
	for (size_t i = 0; i < node->argc; i++, arg = arg->next) {
		if ((site->constant_args >> i & 1) == 0) continue;
		literal = arg;
		bool constant = node->args[i]->op == GM_EXPR_CONST && !node->args[i]->value.null;
		if (!constant)
			return gm_expr_fail(typer->source, arg->offset, typer->err, "argument %zu of %s must be a literal", i + 1,
			                    ast->text);
		values[i] = node->args[i]->value;
	}
	void *state = NULL;
	enum gm_code code = site->prepare(values, node->argc, &state, &node->day_grain, typer->err);
	if (code == GM_OK) site->release(state);
	if ((code != GM_JOB && code != GM_VALUE) || literal == NULL) return code;
	for (arg = ast->args; typer->err != NULL && arg != NULL && typer->err->column > 0; arg = arg->next)
		if (--typer->err->column == 0) literal = arg;
	/* Offsets within the literal are those of the expression only where no quote was doubled. */
	size_t offset = literal->offset;
	bool exact = literal->kind == GM_AST_STRING && literal->end - literal->offset == literal->text_bytes + 2;
	if (exact && typer->err != NULL && typer->err->offset <= literal->text_bytes) offset += 1 + typer->err->offset;
	char message[400] = "a literal cannot be used";
	if (typer->err != NULL) memcpy(message, typer->err->message, sizeof message - 1);
	message[sizeof message - 1] = '\0';
	char hint[sizeof typer->err->hint] = "";
	if (typer->err != NULL) memcpy(hint, typer->err->hint, sizeof hint);
	code = gm_expr_fail_code(typer->source, offset, GM_JOB, typer->err, message);
	return gm_error_hint(typer->err, code, "%s", hint);
}

static enum gm_code type_native(struct gm_expr_typer *typer, const struct gm_ast *ast,
                                const struct gm_function *function, struct gm_expr_node **args,
                                struct gm_expr_node **out)
{
	if (ast->count < function->min_args || ast->count > function->max_args)
		return wrong_count(typer, ast, function->signature);
	const struct gm_ast *arg = ast->args;
	for (size_t i = 0; i < ast->count; i++, arg = arg->next) {
		if (!gm_expr_widens(args[i], function->args[i])) {
			enum gm_code code =
			    gm_expr_fail(typer->source, arg->offset, typer->err, "argument %zu of %s is %s, not %s", i + 1,
			                 ast->text, gm_type_name(args[i]->type), gm_type_name(function->args[i]));
			return gm_error_hint(typer->err, code, "%s", function->signature);
		}
		GM_TRY(gm_expr_widen(typer->program, args[i], function->args[i], &args[i], typer->err));
	}
	struct gm_expr_node node = {.op = GM_EXPR_CALL,
	                            .type = function->result,
	                            .function = function,
	                            .args = args,
	                            .argc = ast->count,
	                            .day_grain = function->day_grain,
	                            .source = typer->source,
	                            .offset = ast->offset};
	if (function->site != NULL) GM_TRY(check_site(typer, ast, &node));
	return gm_expr_intern(typer->program, &node, out, typer->err);
}

/* The first of that name whose argument types fit. */
static const struct sql_function *find_sql(const struct gm_ast *ast, struct gm_expr_node *const *args)
{
	for (size_t i = 0; i < SQL_FUNCTION_COUNT; i++) {
		const struct sql_function *function = &sql_functions[i];
		if (strcasecmp(function->name, ast->text) != 0) continue;
		bool fits = ast->count == function->args;
		for (size_t j = 0; fits && j < ast->count; j++) fits = gm_expr_widens(args[j], function->type);
		if (fits) return function;
	}
	return NULL;
}

static const struct sql_function *named_sql(const char *name)
{
	for (size_t i = 0; i < SQL_FUNCTION_COUNT; i++)
		if (strcasecmp(sql_functions[i].name, name) == 0) return &sql_functions[i];
	return NULL;
}

static bool native_fits(const struct gm_function *function, const struct gm_ast *ast, struct gm_expr_node *const *args)
{
	bool fits = ast->count >= function->min_args && ast->count <= function->max_args;
	for (size_t i = 0; fits && i < ast->count; i++) fits = gm_expr_widens(args[i], function->args[i]);
	return fits;
}

enum gm_code gm_expr_type_call(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	for (size_t i = 0; i < sizeof special_forms / sizeof special_forms[0]; i++)
		if (strcasecmp(special_forms[i], ast->text) == 0) return type_special(typer, ast, i, out);
	const struct gm_function *native = gm_function_find(ast->text, ast->text_bytes);
	const struct sql_function *known = named_sql(ast->text);
	if (native == NULL && known == NULL) return unknown_function(typer, ast);
	struct gm_expr_node **args;
	GM_TRY(gm_expr_type_args(typer, ast, &args));
	const struct sql_function *sql = find_sql(ast, args);
	if (native != NULL && (sql == NULL || native_fits(native, ast, args)))
		return type_native(typer, ast, native, args, out);
	if (sql == NULL) {
		if (ast->count != known->args) return wrong_count(typer, ast, known->signature);
		enum gm_code code = gm_expr_fail(typer->source, ast->offset, typer->err, "%s takes numbers", ast->text);
		return gm_error_hint(typer->err, code, "%s", known->signature);
	}
	for (size_t i = 0; i < ast->count; i++)
		GM_TRY(gm_expr_widen(typer->program, args[i], sql->type, &args[i], typer->err));
	return gm_expr_type_sql(typer, ast, sql->format, args, ast->count, sql->type, sql->apart, out);
}
