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

/* Scratch of one thread: `out` is where a function builds its string result (cleared by the caller before each call). */
struct gm_function_scratch {
	struct gm_buf out;  /* max_bytes is the length limit of results */
	struct gm_buf work; /* for intermediate text */
};

enum { GM_FUNCTION_MAX_ARGS = 8 };
typedef enum gm_code gm_function_fn(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                    struct gm_value *result, struct gm_error *err);
struct gm_function {
	const char *name;
	const char *signature;  /* "synapse_client(string) -> string", for help */
	const char *help;       /* one line */
	uint8_t min_args, max_args;
	enum gm_type args[GM_FUNCTION_MAX_ARGS];
	enum gm_type result;
	bool takes_null;        /* false: any null argument gives null without a call */
	bool day_grain;         /* over a timestamp: the result depends on its UTC day alone */
	gm_function_fn *call;
};
extern const struct gm_function gm_functions[];
extern const size_t gm_function_count;
/* NULL if there is none of that name (ASCII case-insensitive). */
const struct gm_function *gm_function_find(const char *name, size_t bytes);

#endif
