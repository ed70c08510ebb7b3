/* expr_probe.c - a shared module through which tests/test_expressions.py evaluates expressions. Not part of what is
 * installed. */
#include "expr_fixture.h"
#include "job/expr.h"
#include "job/function.h"

enum { PROBE_BYTES = 256 };

/* The value of `expr` for each row, as text ("null", "failed"); form as enum fx_form. 0, or 1 with the message in
 * out[0]. */
GM_API int probe_expr(const char *type, const char *expr, const struct fx_row *rows, uint32_t count, int form,
                      char (*out)[PROBE_BYTES]);

/* The signature of the function of that number, from 0; NULL behind the last. */
GM_API const char *probe_function(size_t number);

const char *probe_function(size_t number)
{
	const char *signature = NULL, *help;
	if (number < gm_function_count) return gm_functions[number].signature;
	return gm_expr_builtin(number - gm_function_count, &signature, &help) ? signature : NULL;
}

int probe_expr(const char *type, const char *expr, const struct fx_row *rows, uint32_t count, int form,
               char (*out)[PROBE_BYTES])
{
	struct fx fx;
	struct gm_chunk *chunk = NULL;
	int status = fx_open_expr(&fx, type, expr, 8 << 20) != GM_OK;
	if (status == 0) {
		fx.job->columns[fx_column(&fx, "x")].on_error = GM_ON_ERROR_QUARANTINE; /* so that failures show */
		status = gm_program_compile(fx.job, &fx.err) != GM_OK;
	}
	if (status == 0) {
		chunk = fx_chunk(&fx, rows, count, (enum fx_form)form);
		status = fx_run(&fx, chunk) != GM_OK;
	}
	for (uint32_t row = 0; status == 0 && row < count; row++) {
		fx_text(&fx, chunk, "x", row, out[row], PROBE_BYTES);
		if (chunk->fate[row] == GM_FATE_QUARANTINED) (void)snprintf(out[row], PROBE_BYTES, "failed");
	}
	if (status != 0) (void)snprintf(out[0], PROBE_BYTES, "%.250s", fx.err.message);
	gm_chunk_unref(chunk);
	fx_close(&fx);
	return status;
}
