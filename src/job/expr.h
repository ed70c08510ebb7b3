/* expr.h - the text of an expression and its syntax tree.
 *
 *   expression  := or                                  names are case-insensitive, and so are words
 *   or          := and (OR and)*                       and := not (AND not)*          not := NOT not | predicate
 *   predicate   := value [compare value | IS [NOT] NULL | IS [NOT] DISTINCT FROM value | [NOT] IN (value, ...)
 *                         | [NOT] BETWEEN value AND value | [NOT] LIKE value [ESCAPE value]]
 *   value       := sum (|| sum)*                       sum := product ((+|-) product)*
 *   product     := sign ((*|/|%) sign)*                sign := (+|-) sign | primary
 *   primary     := NULL | TRUE | FALSE | 12 | 1.5e3 | 'text' | DATE 'text' | TIMESTAMP 'text' | name | path
 *                | name ( [expression, ...] ) | CAST ( expression AS type ) | TRY_CAST ( ... ) | ( expression )
 *                | CASE [expression] (WHEN expression THEN expression)+ [ELSE expression] END
 *   name        := [A-Za-z_][A-Za-z0-9_]* | "text"     path := name (. name)+
 *
 * There is nothing else: no sub-selects, no parameters, no comments, no aggregates. Texts, depth and size are limited,
 * so that every later pass may recurse over the tree. */
#ifndef GM_JOB_EXPR_H
#define GM_JOB_EXPR_H

#include "job/job.h"

enum {
	GM_EXPR_BYTES_MAX = 64 * 1024,
	GM_EXPR_DEPTH_MAX = 100, /* of the tree */
	GM_EXPR_ARGS_MAX = 1000, /* of one call or list */
};

/* One expression of a job file, for messages: "columns.client: ...". */
struct gm_expr_source {
	const char *text;
	size_t bytes;
	const char *job_path; /* the job file */
	const char *what;     /* "column client", "where" */
	struct gm_place place;
};

enum gm_ast_kind {
	GM_AST_NULL,
	GM_AST_BOOLEAN,
	GM_AST_INTEGER,
	GM_AST_DOUBLE,
	GM_AST_STRING,
	GM_AST_DATE,      /* text is what stood in quotes */
	GM_AST_TIMESTAMP, /* the same */
	GM_AST_NAME,
	GM_AST_PATH, /* args are NAMEs */
	GM_AST_CALL,
	GM_AST_CASE, /* [operand,] (condition, result)..., [else]: see has_operand, has_else */
	GM_AST_CAST, /* or TRY_CAST: see negated */
	GM_AST_NEGATE,
	GM_AST_MULTIPLY,
	GM_AST_DIVIDE,
	GM_AST_MODULO,
	GM_AST_ADD,
	GM_AST_SUBTRACT,
	GM_AST_CONCAT, /* two or more args */
	GM_AST_EQ,
	GM_AST_NE,
	GM_AST_LT,
	GM_AST_LE,
	GM_AST_GT,
	GM_AST_GE,
	GM_AST_IS_NULL,  /* negated: IS NOT NULL */
	GM_AST_DISTINCT, /* IS DISTINCT FROM, or negated */
	GM_AST_IN,
	GM_AST_BETWEEN,
	GM_AST_LIKE, /* args[2], if there, is the escape */
	GM_AST_NOT,
	GM_AST_AND, /* two or more args */
	GM_AST_OR,  /* the same */
};

struct gm_ast {
	enum gm_ast_kind kind;
	bool negated; /* NOT IN, NOT LIKE, IS NOT NULL, ...; of CAST: failure is null (TRY_CAST) */
	bool quoted;  /* a NAME that stood in double quotes */
	bool has_operand, has_else;
	bool enclosed; /* stood in parentheses */
	int depth;
	enum gm_type type;  /* of CAST */
	size_t offset, end; /* in the source's text */
	const char *text;   /* NAME, CALL, STRING, DATE, TIMESTAMP: NUL-terminated; may hold no NUL itself */
	size_t text_bytes;
	union {
		bool boolean;
		int64_t integer;
		double real;
	};
	struct gm_ast *args, *last; /* a list by `next` */
	struct gm_ast *next;
	size_t count; /* of args */
};

/* Fails with JOB at text[offset], naming what the expression belongs to. A macro, so that compilers and analyzers see
 * that it never is OK. */
#define gm_expr_fail(...) (gm_expr_set_error(__VA_ARGS__), GM_JOB)
void gm_expr_set_error(const struct gm_expr_source *source, size_t offset, struct gm_error *err, const char *format,
                       ...) __attribute__((format(printf, 4, 5)));
/* The same with a code of the caller's choice. */
enum gm_code gm_expr_fail_code(const struct gm_expr_source *source, size_t offset, enum gm_code code,
                               struct gm_error *err, const char *message);

/* Parses the whole text into a tree in `arena`. `source` and its text must live as long as the tree. */
enum gm_code gm_expr_parse(const struct gm_expr_source *source, struct gm_arena *arena, struct gm_ast **out,
                           struct gm_error *err) GM_CHECK;
/* The type of that name ("bigint", "varchar", ...): the names of job files and those of SQL. */
bool gm_expr_type_named(const char *name, size_t bytes, enum gm_type *type);
/* Entry i of what expressions can call beside gm_functions, for the help page; false behind the last. */
bool gm_expr_builtin(size_t i, const char **signature, const char **help);

#endif
