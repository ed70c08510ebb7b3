#include "job/expr_eval.h"

#include "base/time.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	STRING_BYTES_MIN = 16 << 20, /* what a string result may have at least, however small records must be */
	WORK_KEPT_BYTES = 64 * 1024,
};
/* Comparisons of one LIKE, after which its cost is taken for an attack. */
static const uint64_t like_steps_max = (uint64_t)1 << 28;

/* --- Machine ------------------------------------------------------------------------------------------------------ */

static enum gm_code no_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory for expressions");
}

/* A failure of preparing or calling that ends the run, with the place of the call: `as` unless the fault is ours. */
static enum gm_code fail_at(const struct gm_expr_node *node, enum gm_code code, enum gm_code as, struct gm_error *err)
{
	char message[sizeof err->message] = "";
	if (code == GM_NOMEM || code == GM_BUG) return code;
	if (err == NULL) return as;
	memcpy(message, err->message, sizeof message);
	message[400] = '\0';
	return gm_expr_fail_code(node->source, node->offset, as, err, message);
}

static enum gm_code prepare_node(struct gm_expr_machine *m, const struct gm_expr_node *node, struct gm_error *err)
{
	if (node->op == GM_EXPR_CONST) m->scalars[node->index].value = node->value;
	if (node->op == GM_EXPR_SQL) {
		if (m->sqlite == NULL) GM_TRY(gm_sqlite_open(&m->sqlite, err));
		enum gm_code code = gm_sqlite_prepare(m->sqlite, node->sql, &m->statements[node->index], err);
		return code == GM_OK ? GM_OK : fail_at(node, code, GM_JOB, err);
	}
	if (node->op != GM_EXPR_CALL || node->function->site == NULL) return GM_OK;
	struct gm_value values[GM_FUNCTION_MAX_ARGS] = {0};
	for (size_t i = 0; i < node->argc; i++)
		if (node->args[i]->op == GM_EXPR_CONST) values[i] = node->args[i]->value;
	bool day_grain;
	enum gm_code code = node->function->site->prepare(values, node->argc, &m->states[node->index], &day_grain, err);
	return code == GM_OK ? GM_OK : fail_at(node, code, GM_JOB, err);
}

enum gm_code gm_expr_machine_init(struct gm_expr_machine *m, const struct gm_program *program, struct gm_error *err)
{
	size_t count = program->node_count + 1, args = 1;
	for (size_t i = 0; i < program->node_count; i++)
		if (program->nodes[i]->argc > args) args = program->nodes[i]->argc;
	size_t twice = 2 * program->job->source.max_record_bytes;
	*m = (struct gm_expr_machine){.program = program,
	                              .lender = (uint32_t)program->node_count,
	                              .string_bytes_max = twice > STRING_BYTES_MIN ? twice : STRING_BYTES_MIN};
	if (m->string_bytes_max > UINT32_MAX / 2) m->string_bytes_max = UINT32_MAX / 2;
	m->scalars = calloc(count, sizeof *m->scalars);
	m->outs = calloc(count, sizeof *m->outs);
	m->states = calloc(count, sizeof *m->states);
	m->statements = calloc(count, sizeof(struct gm_sqlite_statement *));
	m->args = calloc(args, sizeof *m->args);
	m->messages = gm_dict_new();
	gm_buf_init(&m->scratch.out, m->string_bytes_max);
	gm_buf_init(&m->scratch.work, m->string_bytes_max);
	bool have = m->scalars != NULL && m->outs != NULL && m->states != NULL && m->statements != NULL &&
	            m->args != NULL && m->messages != NULL;
	enum gm_code code = have ? GM_OK : no_memory(err);
	for (size_t i = 0; have && i < program->node_count; i++) gm_buf_init(&m->outs[i], m->string_bytes_max);
	for (size_t i = 0; code == GM_OK && i < program->node_count; i++) code = prepare_node(m, program->nodes[i], err);
	if (code != GM_OK) gm_expr_machine_release(m);
	return code;
}

void gm_expr_machine_release(struct gm_expr_machine *m)
{
	size_t count = m->program != NULL ? m->program->node_count : 0;
	for (size_t i = 0; i < count; i++) {
		const struct gm_expr_node *node = m->program->nodes[i];
		if (m->outs != NULL) gm_buf_release(&m->outs[i]);
		if (m->states != NULL && m->states[i] != NULL) node->function->site->release(m->states[i]);
		if (m->statements != NULL) gm_sqlite_finalize(m->statements[i]);
	}
	gm_sqlite_close(m->sqlite);
	free(m->scalars);
	free(m->outs);
	free(m->states);
	free(m->statements);
	free(m->args);
	gm_dict_unref(m->messages);
	gm_buf_release(&m->scratch.out);
	gm_buf_release(&m->scratch.work);
	*m = (struct gm_expr_machine){0};
}

enum gm_code gm_expr_machine_reset(struct gm_expr_machine *m, struct gm_error *err)
{
	struct gm_dict *messages = gm_dict_new();
	if (messages == NULL) return no_memory(err);
	gm_dict_unref(m->messages);
	m->messages = messages;
	for (size_t i = 0; i < m->program->node_count; i++)
		if (m->outs[i].cap > WORK_KEPT_BYTES) gm_buf_release(&m->outs[i]);
	if (m->scratch.out.cap > WORK_KEPT_BYTES) gm_buf_release(&m->scratch.out);
	if (m->scratch.work.cap > WORK_KEPT_BYTES) gm_buf_release(&m->scratch.work);
	return GM_OK;
}

size_t gm_expr_machine_memory_bytes(const struct gm_expr_machine *m)
{
	size_t bytes = gm_dict_memory_bytes(m->messages) + m->scratch.out.cap + m->scratch.work.cap;
	for (size_t i = 0; i < m->program->node_count; i++) bytes += m->outs[i].cap;
	return bytes;
}

/* --- Values ------------------------------------------------------------------------------------------------------- */

static enum gm_code note_failure(struct gm_expr_machine *m, struct gm_expr_scalar *out, const struct gm_error *failure,
                                 struct gm_error *err)
{
	const uint8_t *text = (const uint8_t *)failure->message;
	uint32_t len = (uint32_t)strlen(failure->message);
	out->value.null = true;
	out->error = gm_dict_put(m->messages, text, len, gm_dict_hash(text, len));
	return out->error != 0 ? GM_OK : no_memory(err);
}

static int compare_strings(const struct gm_value *a, const struct gm_value *b)
{
	uint32_t n = a->len < b->len ? a->len : b->len;
	int order = n > 0 ? memcmp(a->bytes, b->bytes, n) : 0;
	if (order != 0) return order;
	return (a->len > b->len) - (a->len < b->len);
}

/* Of two values of one type that are not null. NaN is above all others and equal to itself. */
static int compare(const struct gm_value *a, const struct gm_value *b)
{
	switch (a->type) {
	case GM_TYPE_STRING: return compare_strings(a, b);
	case GM_TYPE_BOOLEAN: return (int)a->boolean - (int)b->boolean;
	case GM_TYPE_DOUBLE:
		if (a->f64 != a->f64 || b->f64 != b->f64) return (a->f64 != a->f64) - (b->f64 != b->f64);
		return (a->f64 > b->f64) - (a->f64 < b->f64);
	default: return (a->i64 > b->i64) - (a->i64 < b->i64);
	}
}

static bool holds(enum gm_ast_kind operator, int order)
{
	switch (operator) {
	case GM_AST_EQ: return order == 0;
	case GM_AST_NE: return order != 0;
	case GM_AST_LT: return order < 0;
	case GM_AST_LE: return order <= 0;
	case GM_AST_GT: return order > 0;
	default: return order >= 0;
	}
}

static void set_boolean(struct gm_expr_scalar *out, bool value)
{
	*out = (struct gm_expr_scalar){.value = {.type = GM_TYPE_BOOLEAN, .boolean = value}};
}

static void set_null(struct gm_expr_scalar *out, enum gm_type type)
{
	*out = (struct gm_expr_scalar){.value = {.type = type, .null = true}};
}

/* --- Operators that look at their arguments one by one -------------------------------------------------------------
 */

static const struct gm_expr_scalar *arg_of(const struct gm_expr_machine *m, const struct gm_expr_node *node, size_t i)
{
	return &m->scalars[node->args[i]->index];
}

/* AND (stop = false) and OR (stop = true): the first argument that decides, decides; a failure before it is one. */
static void eval_logic(struct gm_expr_machine *m, const struct gm_expr_node *node, bool stop)
{
	struct gm_expr_scalar *out = &m->scalars[node->index];
	bool null = false;
	for (size_t i = 0; i < node->argc; i++) {
		const struct gm_expr_scalar *arg = arg_of(m, node, i);
		if (arg->error != 0 || (!arg->value.null && arg->value.boolean == stop)) {
			*out = *arg;
			return;
		}
		null = null || arg->value.null;
	}
	if (null)
		set_null(out, GM_TYPE_BOOLEAN);
	else
		set_boolean(out, !stop);
}

static void eval_in(struct gm_expr_machine *m, const struct gm_expr_node *node)
{
	struct gm_expr_scalar *out = &m->scalars[node->index];
	const struct gm_expr_scalar *wanted = arg_of(m, node, 0);
	bool null = wanted->value.null;
	for (size_t i = 0; i < node->argc; i++) {
		const struct gm_expr_scalar *arg = arg_of(m, node, i);
		if (arg->error != 0) {
			set_null(out, GM_TYPE_BOOLEAN);
			out->error = arg->error;
			return;
		}
		if (i == 0 || wanted->value.null) continue;
		null = null || arg->value.null;
		if (arg->value.null || compare(&wanted->value, &arg->value) != 0) continue;
		set_boolean(out, true);
		return;
	}
	if (null)
		set_null(out, GM_TYPE_BOOLEAN);
	else
		set_boolean(out, false);
}

static void eval_case(struct gm_expr_machine *m, const struct gm_expr_node *node)
{
	struct gm_expr_scalar *out = &m->scalars[node->index];
	size_t i = 0;
	for (; i + 1 < node->argc; i += 2) {
		const struct gm_expr_scalar *condition = arg_of(m, node, i);
		if (condition->error != 0) {
			set_null(out, node->type);
			out->error = condition->error;
			return;
		}
		if (!condition->value.null && condition->value.boolean) break;
	}
	*out = *arg_of(m, node, i + 1 < node->argc ? i + 1 : i);
}

static void eval_coalesce(struct gm_expr_machine *m, const struct gm_expr_node *node)
{
	for (size_t i = 0; i < node->argc; i++) {
		const struct gm_expr_scalar *arg = arg_of(m, node, i);
		m->scalars[node->index] = *arg;
		if (arg->error != 0 || !arg->value.null) return;
	}
}

static void eval_distinct(struct gm_expr_machine *m, const struct gm_expr_node *node)
{
	const struct gm_expr_scalar *a = arg_of(m, node, 0), *b = arg_of(m, node, 1);
	uint32_t error = a->error != 0 ? a->error : b->error;
	bool nulls = a->value.null || b->value.null;
	bool distinct = nulls ? a->value.null != b->value.null : compare(&a->value, &b->value) != 0;
	set_boolean(&m->scalars[node->index], distinct);
	if (error == 0) return;
	set_null(&m->scalars[node->index], GM_TYPE_BOOLEAN);
	m->scalars[node->index].error = error;
}

static void eval_is_null(struct gm_expr_machine *m, const struct gm_expr_node *node)
{
	const struct gm_expr_scalar *arg = arg_of(m, node, 0);
	uint32_t error = arg->error;
	set_boolean(&m->scalars[node->index], arg->value.null);
	m->scalars[node->index].error = error;
	if (error != 0) m->scalars[node->index].value.null = true;
}

static void eval_try(struct gm_expr_machine *m, const struct gm_expr_node *node)
{
	const struct gm_expr_scalar *arg = arg_of(m, node, 0);
	m->scalars[node->index] = *arg;
	if (arg->error != 0) set_null(&m->scalars[node->index], node->type);
}

static void eval_fails(struct gm_expr_machine *m, const struct gm_expr_node *node)
{
	bool fails = false;
	for (size_t i = 0; i < node->argc; i++) {
		const struct gm_expr_scalar *arg = arg_of(m, node, i);
		fails = fails || arg->error != 0 || arg->value.null;
	}
	set_boolean(&m->scalars[node->index], fails);
}

static enum gm_code eval_path(struct gm_expr_machine *m, const struct gm_expr_node *node, struct gm_error *err)
{
	struct gm_expr_scalar *out = &m->scalars[node->index];
	struct gm_buf *buf = &m->outs[node->index];
	const struct gm_program *program = m->program;
	const struct gm_program_column *partitions = program->columns + program->job->column_count;
	set_null(out, GM_TYPE_STRING);
	buf->len = 0;
	for (size_t i = 0; i < node->argc; i++) {
		const struct gm_expr_scalar *arg = arg_of(m, node, i);
		struct gm_error failure;
		out->error = arg->error;
		if (arg->error != 0) return GM_OK;
		enum gm_code code = gm_hive_append(buf, partitions[i].column->name, &arg->value, &failure);
		if (code == GM_VALUE) return note_failure(m, out, &failure, err);
		if (code != GM_OK) {
			if (err != NULL) *err = failure;
			return code;
		}
	}
	out->value = (struct gm_value){.type = GM_TYPE_STRING, .len = (uint32_t)buf->len, .bytes = buf->data};
	return GM_OK;
}

/* --- Strict operators: an argument that failed or is null is the result --------------------------------------------
 */

static size_t character_bytes(const uint8_t *bytes, size_t n)
{
	size_t used = 1;
	while (used < n && (bytes[used] & 0xC0) == 0x80) used++;
	return used;
}

/* One element of a LIKE pattern: its bytes, and whether it is %, _ or a character. */
struct like_element {
	enum { LIKE_END, LIKE_ANY, LIKE_ONE, LIKE_CHARACTER } kind;
	const uint8_t *bytes;
	size_t len, next; /* next: where the following element begins */
};

static bool like_element(const struct gm_value *pattern, const struct gm_value *escape, size_t at,
                         struct like_element *out)
{
	*out = (struct like_element){.kind = LIKE_END, .next = at};
	if (at == pattern->len) return true;
	out->bytes = pattern->bytes + at;
	out->len = character_bytes(out->bytes, pattern->len - at);
	out->next = at + out->len;
	bool escaped = escape != NULL && out->len == escape->len && memcmp(out->bytes, escape->bytes, out->len) == 0;
	if (!escaped) {
		out->kind = *out->bytes == '%' ? LIKE_ANY : *out->bytes == '_' ? LIKE_ONE : LIKE_CHARACTER;
		return true;
	}
	if (out->next == pattern->len) return false;
	at = out->next;
	out->bytes = pattern->bytes + at;
	out->len = character_bytes(out->bytes, pattern->len - at);
	out->next = at + out->len;
	out->kind = LIKE_CHARACTER;
	return *out->bytes == '%' || *out->bytes == '_' ||
	       (out->len == escape->len && memcmp(out->bytes, escape->bytes, out->len) == 0);
}

enum gm_code gm_expr_like_check(const struct gm_value *pattern, const struct gm_value *escape, struct gm_error *err)
{
	if (escape == NULL) return GM_OK;
	if (escape->len == 0 || character_bytes(escape->bytes, escape->len) != escape->len)
		GM_FAIL(err, GM_VALUE, "LIKE: the escape must be one character");
	for (struct like_element element = {.next = 0}; element.next < pattern->len;)
		if (!like_element(pattern, escape, element.next, &element))
			GM_FAIL(err, GM_VALUE, "LIKE: the escape stands before something else than %%, _ or itself");
	return GM_OK;
}

/* Matches with one place to come back to: behind the last %, whose earlier matches need never be tried again. */
static enum gm_code like(const struct gm_value *text, const struct gm_value *pattern, const struct gm_value *escape,
                         bool *match, struct gm_error *err)
{
	size_t at = 0, in_pattern = 0, retry_at = 0, retry_pattern = 0;
	bool retry = false;
	*match = false;
	GM_TRY(gm_expr_like_check(pattern, escape, err));
	for (uint64_t steps = 0;; steps++) {
		struct like_element element;
		if (steps == like_steps_max) GM_FAIL(err, GM_JOB, "LIKE takes more than %" PRIu64 " steps", like_steps_max);
		(void)like_element(pattern, escape, in_pattern, &element);
		if (element.kind == LIKE_ANY) {
			in_pattern = element.next;
			retry = true;
			retry_at = at;
			retry_pattern = in_pattern;
			continue;
		}
		size_t left = text->len - at;
		size_t taken = 0;
		if (element.kind == LIKE_ONE && left > 0) taken = character_bytes(text->bytes + at, left);
		if (element.kind == LIKE_CHARACTER && left >= element.len &&
		    memcmp(text->bytes + at, element.bytes, element.len) == 0)
			taken = element.len;
		if (element.kind == LIKE_END && left == 0) {
			*match = true;
			return GM_OK;
		}
		if (taken > 0) {
			at += taken;
			in_pattern = element.next;
			continue;
		}
		if (!retry || retry_at == text->len) return GM_OK;
		retry_at += character_bytes(text->bytes + retry_at, text->len - retry_at);
		at = retry_at;
		in_pattern = retry_pattern;
	}
}

static enum gm_code concat(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                           struct gm_value *result, struct gm_error *err)
{
	for (size_t i = 0; i < count; i++) GM_TRY(gm_buf_append(&scratch->out, args[i].bytes, args[i].len, err));
	*result = (struct gm_value){.type = GM_TYPE_STRING, .len = (uint32_t)scratch->out.len};
	result->bytes = scratch->out.data != NULL ? scratch->out.data : (const uint8_t *)"";
	return GM_OK;
}

static void widen(const struct gm_value *value, enum gm_type type, struct gm_value *result)
{
	*result = *value;
	result->type = type;
	if (type == GM_TYPE_DOUBLE && value->type != GM_TYPE_DOUBLE) result->f64 = (double)value->i64;
	if (type == GM_TYPE_TIMESTAMP && value->type == GM_TYPE_DATE) result->i64 = value->i64 * GM_US_PER_DAY;
}

static void extreme(const struct gm_expr_node *node, const struct gm_value *args, struct gm_value *result)
{
	size_t best = 0;
	for (size_t i = 1; i < node->argc; i++) {
		int order = compare(&args[i], &args[best]);
		if (node->op == GM_EXPR_GREATEST ? order > 0 : order < 0) best = i;
	}
	*result = args[best];
}

static enum gm_code call(struct gm_expr_machine *m, const struct gm_expr_node *node, const struct gm_value *args,
                         struct gm_value *result, struct gm_error *err)
{
	const struct gm_function *function = node->function;
	if (function->site == NULL) return function->call(&m->scratch, args, node->argc, result, err);
	return function->site->call(m->states[node->index], &m->scratch, args, node->argc, result, err);
}

static enum gm_code eval_strict(struct gm_expr_machine *m, const struct gm_expr_node *node, const struct gm_value *args,
                                struct gm_value *result, struct gm_error *err)
{
	*result = (struct gm_value){.type = node->type};
	switch (node->op) {
	case GM_EXPR_CALL: return call(m, node, args, result, err);
	case GM_EXPR_SQL: return gm_sqlite_eval(m->statements[node->index], args, node->argc, node->type, result, err);
	case GM_EXPR_CONCAT: return concat(&m->scratch, args, node->argc, result, err);
	case GM_EXPR_COMPARE: result->boolean = holds(node->compare, compare(&args[0], &args[1])); return GM_OK;
	case GM_EXPR_NOT: result->boolean = !args[0].boolean; return GM_OK;
	case GM_EXPR_LIKE: return like(&args[0], &args[1], node->argc > 2 ? &args[2] : NULL, &result->boolean, err);
	case GM_EXPR_GREATEST:
	case GM_EXPR_LEAST: extreme(node, args, result); return GM_OK;
	case GM_EXPR_CAST: return gm_expr_cast(&args[0], node->type, &m->scratch, result, err);
	case GM_EXPR_WIDEN: widen(&args[0], node->type, result); return GM_OK;
	default: GM_FAIL(err, GM_BUG, "operator %d cannot be evaluated", (int)node->op);
	}
}

/* Gathers the arguments; NULL when one of them is the result already. A copy that is read at once costs more than the
 * call of a small function: the argument of those with one, which most have, stays where it is. */
static const struct gm_value *gather(struct gm_expr_machine *m, const struct gm_expr_node *node)
{
	struct gm_expr_scalar *out = &m->scalars[node->index];
	bool takes_null = node->op == GM_EXPR_CALL && node->function->takes_null, null = false;
	for (size_t i = 0; i < node->argc; i++) {
		const struct gm_expr_scalar *arg = arg_of(m, node, i);
		if (arg->error != 0) {
			set_null(out, node->type);
			out->error = arg->error;
			return NULL;
		}
		null = null || arg->value.null;
		if (node->argc > 1) m->args[i] = arg->value;
	}
	if (null && !takes_null) {
		set_null(out, node->type);
		return NULL;
	}
	return node->argc == 1 ? &arg_of(m, node, 0)->value : m->args;
}

static bool well_typed(const struct gm_expr_node *node, const struct gm_value *value)
{
	if (value->null) return true;
	if (value->type != node->type) return false;
	return node->type != GM_TYPE_TIMESTAMP || (value->i64 >= GM_TIME_MIN && value->i64 <= GM_TIME_MAX);
}

/* Lends the node's buffer to the scratch, where it stays until another node needs it. */
static void lend_buffer(struct gm_expr_machine *m, const struct gm_expr_node *node)
{
	if (m->lender != node->index) {
		m->outs[m->lender] = m->scratch.out;
		m->scratch.out = m->outs[node->index];
		m->outs[node->index] = (struct gm_buf){0};
		m->lender = node->index;
	}
	m->scratch.out.len = 0;
	m->scratch.work.len = 0;
}

static enum gm_code eval_with_args(struct gm_expr_machine *m, const struct gm_expr_node *node, struct gm_error *err)
{
	struct gm_expr_scalar *out = &m->scalars[node->index];
	const struct gm_value *args = gather(m, node);
	if (args == NULL) return GM_OK;
	struct gm_error failure;
	lend_buffer(m, node);
	enum gm_code code = eval_strict(m, node, args, &out->value, &failure);
	out->error = 0;
	if (code == GM_OK && well_typed(node, &out->value)) {
		out->value.type = node->type;
		return GM_OK;
	}
	set_null(out, node->type);
	if (code == GM_OK)
		code = gm_error_set(&failure, GM_VALUE, "the result is not a valid %s", gm_type_name(node->type));
	if (code == GM_VALUE) return note_failure(m, out, &failure, err);
	if (err != NULL) *err = failure;
	return fail_at(node, code, GM_VALUE, err);
}

enum gm_code gm_expr_eval(struct gm_expr_machine *m, const struct gm_expr_node *node, struct gm_error *err)
{
	switch (node->op) {
	case GM_EXPR_LEAF:
	case GM_EXPR_CONST: return GM_OK;
	case GM_EXPR_AND: eval_logic(m, node, false); return GM_OK;
	case GM_EXPR_OR: eval_logic(m, node, true); return GM_OK;
	case GM_EXPR_IN: eval_in(m, node); return GM_OK;
	case GM_EXPR_CASE: eval_case(m, node); return GM_OK;
	case GM_EXPR_COALESCE: eval_coalesce(m, node); return GM_OK;
	case GM_EXPR_DISTINCT: eval_distinct(m, node); return GM_OK;
	case GM_EXPR_IS_NULL: eval_is_null(m, node); return GM_OK;
	case GM_EXPR_TRY: eval_try(m, node); return GM_OK;
	case GM_EXPR_FAILS: eval_fails(m, node); return GM_OK;
	case GM_EXPR_PATH: return eval_path(m, node, err);
	default: return eval_with_args(m, node, err);
	}
}
