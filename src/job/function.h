/* function.h - native functions: what expressions call directly, once per distinct input.
 *
 * One table (functions/table.c) holds name, argument types, result type and a line of help; the parser, the type
 * checker, `check`, the help page and SQLite's registration all read it. */
#ifndef GM_JOB_FUNCTION_H
#define GM_JOB_FUNCTION_H

#include "column/vec.h"

struct gm_value {
	enum gm_type type;
	bool null;
	uint32_t len;
	union {
		bool boolean;
		int64_t i64;
		double f64;
		const uint8_t *bytes; /* len bytes, UTF-8 */
	};
};

/* Scratch of one thread: `out` is where a function builds its string result (cleared by the caller before each call).
 */
struct gm_function_scratch {
	struct gm_buf out;  /* max_bytes is the length limit of results */
	struct gm_buf work; /* for intermediate text */
};

/* VALUE: there is no usable value for these arguments (the column's on_error decides). Any other failure ends the run.
 */
enum { GM_FUNCTION_MAX_ARGS = 8 };
typedef enum gm_code gm_function_fn(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                    struct gm_value *result, struct gm_error *err);
/* What a function does once per place it is called from, and per thread: compile a pattern, read a date format.
 * `constant_args` has bit i set where argument i must be a literal; prepare sees those arguments alone (the others have
 * no value) and sets *state, which it may keep beyond the call, and *day_grain (see below) where that depends on a
 * literal. It fails with JOB, err->column being the argument's number (from 1) and err->offset the fault's place
 * within the literal. `call` then does what gm_function's
 * own `call` does, faster. */
struct gm_function_site {
	uint8_t constant_args;
	enum gm_code (*prepare)(const struct gm_value *args, size_t count, void **state, bool *day_grain,
	                        struct gm_error *err);
	enum gm_code (*call)(void *state, struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
	                     struct gm_value *result, struct gm_error *err);
	void (*release)(void *state);
};
struct gm_function {
	const char *name;
	const char *signature; /* "synapse_client(string) -> string", for help */
	const char *help;      /* one line */
	uint8_t min_args, max_args;
	enum gm_type args[GM_FUNCTION_MAX_ARGS];
	enum gm_type result;
	bool takes_null; /* false: any null argument gives null without a call */
	bool day_grain;  /* over a timestamp: the result depends on its UTC day alone */
	gm_function_fn *call;
	const struct gm_function_site *site; /* NULL: none */
};
extern const struct gm_function gm_functions[];
extern const size_t gm_function_count;
/* NULL if there is none of that name (ASCII case-insensitive). */
const struct gm_function *gm_function_find(const char *name, size_t bytes);

#endif
