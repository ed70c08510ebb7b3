/* expr_node.h - typed expressions: a graph of nodes in which equal sub-expressions are one node, and the plan that says
 * how the graph is evaluated over a chunk.
 *
 * Base of a node: the one input on whose value alone it depends: a leaf, the UTC day of a timestamp, or a "pivot".
 * A pivot is a node whose arguments have different bases: where several inputs meet. Only some nodes become vectors:
 * outputs, arguments of pivots, timestamps whose day is a base. Each such node is a step, which maps the distinct
 * values of its inputs to its result through a memo; what lies between the inputs and the step's node (its region) is
 * evaluated on plain values, and only when the memo does not know the answer. */
#ifndef GM_JOB_EXPR_NODE_H
#define GM_JOB_EXPR_NODE_H

#include "job/derive.h"
#include "job/expr.h"
#include "job/function.h"

enum gm_expr_op {
	GM_EXPR_LEAF,
	GM_EXPR_CONST,
	GM_EXPR_CALL,   /* of a native function */
	GM_EXPR_SQL,    /* by SQLite: a strict function of its arguments, ?1, ?2, ... */
	GM_EXPR_CONCAT, /* strict */
	GM_EXPR_COMPARE,
	GM_EXPR_DISTINCT,
	GM_EXPR_IS_NULL,
	GM_EXPR_NOT,
	GM_EXPR_AND,
	GM_EXPR_OR,
	GM_EXPR_IN,
	GM_EXPR_LIKE,
	GM_EXPR_CASE, /* (condition, result)..., else */
	GM_EXPR_COALESCE,
	GM_EXPR_GREATEST,
	GM_EXPR_LEAST,
	GM_EXPR_TRY, /* a failure becomes null */
	GM_EXPR_CAST,
	GM_EXPR_WIDEN, /* int to bigint or double, bigint to double, date to timestamp */
	GM_EXPR_FAILS, /* whether any argument failed or is null */
	GM_EXPR_PATH,  /* the Hive path of the partition values */
};

struct gm_expr_node {
	enum gm_expr_op op;
	enum gm_type type;
	enum gm_ast_kind compare; /* COMPARE: EQ .. GE */
	bool untyped;             /* CONST: NULL that has not met a type yet */
	bool day_grain;           /* CALL: over its argument's UTC day */
	bool uses_sqlite;         /* it or an argument of an argument ... is SQL */
	uint32_t index;           /* in the program; arguments have smaller ones */
	uint32_t slot;            /* LEAF: of the chunk */
	size_t argc;
	struct gm_expr_node **args;
	struct gm_value value;              /* CONST */
	const struct gm_function *function; /* CALL */
	const char *sql;                    /* SQL: "(?1 + ?2)" */
	const struct gm_expr_source *source;
	size_t offset;                   /* in source->text */
	struct gm_expr_node *next_alike; /* of the same hash */

	/* the plan */
	struct gm_expr_node *base; /* NULL: constant; itself: a leaf or pivot */
	bool base_day;             /* base's UTC day, not base */
	bool vector;
	bool lazy;           /* a vector only for chunks in which a partition value failed */
	uint32_t first_step; /* the first step (from 1) whose one input it is; 0: none */
};

struct gm_expr_step {
	struct gm_expr_node *node;
	struct gm_expr_node **inputs;
	size_t input_count;           /* 0: a constant */
	bool day;                     /* the one input's UTC day */
	bool lazy;                    /* as its node says */
	bool cheap;                   /* evaluating costs hardly more than remembering */
	struct gm_expr_node **region; /* in order of evaluation; the last is `node` */
	size_t region_count;
	uint32_t slot; /* where the vector goes, UINT32_MAX: nowhere */
	/* The memo by codes: of which step, which of a code's refs are this step's, and how many a code of its own memo
	 * has. */
	size_t by_code;
	uint32_t place, places;
};

struct gm_program_column {
	const struct gm_column *column;
	struct gm_expr_source source;
	enum { GM_PROGRAM_NEW, GM_PROGRAM_BUSY, GM_PROGRAM_DONE } state;
	struct gm_expr_node *result; /* of the expression; NULL for a plain leaf */
	struct gm_expr_node *output; /* result or leaf, with the default applied: what the table gets */
	struct gm_expr_node *seen;   /* what other expressions see: output, or failure where on_error is not null */
	const char *how;
};

enum { GM_PROGRAM_BUCKETS = 1024 };
struct gm_program {
	struct gm_job *job;
	struct gm_shred_leaf *leaves;
	size_t leaf_count, leaf_cap;
	struct gm_expr_node **nodes;
	size_t node_count, node_cap;
	struct gm_expr_node *buckets[GM_PROGRAM_BUCKETS];
	struct gm_program_column *columns; /* the job's columns, then its partitions */
	size_t column_count;
	struct gm_expr_source where_source;
	struct gm_expr_node *where; /* NULL: none */
	struct gm_expr_node *path;  /* NULL: no partitions */
	struct gm_expr_node *check; /* NULL: no partitions; whether any of their values failed or is null and must not */
	struct gm_expr_step *steps;
	size_t step_count;
	uint32_t extra_slots;
};

enum { GM_EXPR_NODES_MAX = 50000 };

/* --- expr_graph.c: nodes ------------------------------------------------------------------------------------------ */

/* A copy of *node in the program, or the node that equals it. args are copied. */
enum gm_code gm_expr_intern(struct gm_program *program, const struct gm_expr_node *node, struct gm_expr_node **out,
                            struct gm_error *err) GM_CHECK;
/* The common type of two, by widening; false if there is none. */
bool gm_expr_common_type(const struct gm_expr_node *a, const struct gm_expr_node *b, enum gm_type *type);
/* `node` as `type`, to which it widens. */
enum gm_code gm_expr_widen(struct gm_program *program, struct gm_expr_node *node, enum gm_type type,
                           struct gm_expr_node **out, struct gm_error *err) GM_CHECK;
bool gm_expr_widens(const struct gm_expr_node *node, enum gm_type type);
/* The leaf for a path, made if need be. */
enum gm_code gm_expr_leaf(struct gm_program *program, const struct gm_shred_leaf *leaf,
                          const struct gm_expr_source *source, size_t offset, struct gm_expr_node **out,
                          struct gm_error *err) GM_CHECK;

/* --- expr_type.c: syntax tree to nodes ---------------------------------------------------------------------------- */

struct gm_expr_typer {
	struct gm_program *program;
	const struct gm_expr_source *source;
	struct gm_program_column *column; /* whose expression this is; NULL for `where` */
	int chain;                        /* columns in the middle of being resolved */
	struct gm_error *err;
};
enum gm_code gm_expr_type(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out) GM_CHECK;
/* expr_call.c: the functions */
enum gm_code gm_expr_type_call(struct gm_expr_typer *typer, const struct gm_ast *ast,
                               struct gm_expr_node **out) GM_CHECK;
/* Types all arguments of ast. The array lives in the job's arena. */
enum gm_code gm_expr_type_args(struct gm_expr_typer *typer, const struct gm_ast *ast,
                               struct gm_expr_node ***args) GM_CHECK;
/* Widens args[0], args[stride], ... to their common type; `what` for the message. */
enum gm_code gm_expr_unify(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **args,
                           size_t count, const char *what, enum gm_type *type) GM_CHECK;
/* Arithmetic and functions that SQLite evaluates: `format` holds ? where an argument goes. Unless `apart`, arguments
 * that are themselves SQL of the same type become part of the same statement. */
enum gm_code gm_expr_type_sql(struct gm_expr_typer *typer, const struct gm_ast *ast, const char *format,
                              struct gm_expr_node **args, size_t count, enum gm_type type, bool apart,
                              struct gm_expr_node **out) GM_CHECK;
enum gm_code gm_expr_make(struct gm_expr_typer *typer, const struct gm_ast *ast, enum gm_expr_op op, enum gm_type type,
                          struct gm_expr_node **args, size_t count, struct gm_expr_node **out) GM_CHECK;

/* --- expr_program.c, expr_plan.c ---------------------------------------------------------------------------------- */

/* The node that a column's name stands for in typer's expression. */
enum gm_code gm_expr_resolve_name(struct gm_expr_typer *typer, const struct gm_ast *ast,
                                  struct gm_expr_node **out) GM_CHECK;
/* Fills bases, steps and slots once all nodes are there. */
enum gm_code gm_expr_plan(struct gm_program *program, struct gm_error *err) GM_CHECK;

#endif
