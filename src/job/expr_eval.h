/* expr_eval.h - a node's value from the values of its arguments. One machine per thread. */
#ifndef GM_JOB_EXPR_EVAL_H
#define GM_JOB_EXPR_EVAL_H

#include "job/expr_node.h"
#include "job/sqlite.h"

/* A value, or a failure that on_error will decide about: the code of its message in gm_expr_machine.messages, 0: none.
 */
struct gm_expr_scalar {
	struct gm_value value;
	uint32_t error;
};

struct gm_expr_machine {
	const struct gm_program *program;
	struct gm_expr_scalar *scalars; /* one per node */
	struct gm_buf *outs;            /* where a node builds its string; one more than nodes */
	void **states;                  /* of functions with a site */
	struct gm_sqlite_statement **statements;
	struct gm_sqlite *sqlite;
	struct gm_value *args; /* of the call at hand; as many as any node has */
	struct gm_function_scratch scratch;
	uint32_t lender; /* whose buffer of `outs` is in the scratch; node_count: nobody's */
	struct gm_dict *messages;
	size_t string_bytes_max;
};

enum gm_code gm_expr_machine_init(struct gm_expr_machine *machine, const struct gm_program *program,
                                  struct gm_error *err) GM_CHECK;
void gm_expr_machine_release(struct gm_expr_machine *machine);
/* Forgets messages and large buffers. No failure handed out before means anything afterwards. */
enum gm_code gm_expr_machine_reset(struct gm_expr_machine *machine, struct gm_error *err) GM_CHECK;
size_t gm_expr_machine_memory_bytes(const struct gm_expr_machine *machine);

/* Sets scalars[node->index]. A failure of the value is in the scalar; what is returned ends the run. Strings live until
 * the node is evaluated again. */
enum gm_code gm_expr_eval(struct gm_expr_machine *machine, const struct gm_expr_node *node,
                          struct gm_error *err) GM_CHECK;

/* VALUE: this is no pattern of LIKE. escape may be NULL. */
enum gm_code gm_expr_like_check(const struct gm_value *pattern, const struct gm_value *escape,
                                struct gm_error *err) GM_CHECK;

/* --- expr_cast.c -------------------------------------------------------------------------------------------------- */

/* CAST of a value that is not null. VALUE: it does not fit. Strings are built in scratch->out, which is empty. */
enum gm_code gm_expr_cast(const struct gm_value *value, enum gm_type type, struct gm_function_scratch *scratch,
                          struct gm_value *result, struct gm_error *err) GM_CHECK;

/* --- hive.c ------------------------------------------------------------------------------------------------------- */

enum {
	GM_HIVE_VALUE_BYTES_MAX = 200, /* escaped: with its name it must fit a file name on any file system */
	GM_HIVE_PATH_BYTES_MAX = 900,
};
/* Appends "name=value", a slash in front unless *out is empty. VALUE: too long. */
enum gm_code gm_hive_append(struct gm_buf *out, const char *name, const struct gm_value *value,
                            struct gm_error *err) GM_CHECK;

#endif
