/* A job's expressions as one program: names are resolved, columns ordered by what they refer to, defaults applied. */
#include "job/expr_eval.h"
#include "job/suggest.h"

#include <string.h>
#include <strings.h>

enum { CHAIN_MAX = 20 }; /* columns that refer to columns that refer to ... */

static enum gm_code no_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory for the job's expressions");
}

static enum gm_code compile_column(struct gm_program *program, struct gm_program_column *column, int chain,
                                   struct gm_error *err);

/* --- Names -------------------------------------------------------------------------------------------------------- */

static struct gm_program_column *find_column(struct gm_program *program, const char *name)
{
	for (size_t i = 0; i < program->job->column_count; i++)
		if (strcasecmp(program->columns[i].column->name, name) == 0) return &program->columns[i];
	return NULL;
}

static enum gm_code unknown_name(struct gm_expr_typer *typer, const struct gm_ast *ast)
{
	struct gm_program *program = typer->program;
	struct gm_suggest suggest;
	gm_suggest_init(&suggest, ast->text, ast->text_bytes);
	for (size_t i = 0; i < program->job->column_count; i++)
		gm_suggest_offer(&suggest, program->columns[i].column->name);
	enum gm_code code = gm_expr_fail(typer->source, ast->offset, typer->err, "there is no column '%.60s'", ast->text);
	const char *best = gm_suggest_best(&suggest);
	if (best != NULL) return gm_error_hint(typer->err, code, "did you mean '%s'?", best);
	if (ast->quoted) return gm_error_hint(typer->err, code, "texts stand in single quotes: '%.60s'", ast->text);
	if (gm_function_find(ast->text, ast->text_bytes) != NULL)
		return gm_error_hint(typer->err, code, "%s is a function: %s(...)", ast->text, ast->text);
	return gm_error_hint(typer->err, code, "a value of the source is written with its path, such as payload.%.60s",
	                     ast->text);
}

/* The value that a column's `from` reads. With an expression over it, a date column reads a timestamp in its unit. */
static enum gm_code column_leaf(struct gm_program *program, struct gm_program_column *column, struct gm_expr_node **out,
                                struct gm_error *err)
{
	const struct gm_column *c = column->column;
	bool plain = c->expr == NULL;
	struct gm_shred_leaf leaf = {.path = c->from,
	                             .path_bytes = c->from_bytes,
	                             .path_len = c->from_len,
	                             .type = !plain && c->type == GM_TYPE_DATE ? GM_TYPE_TIMESTAMP : c->type,
	                             .unit = c->unit,
	                             .required = plain && c->required && c->fallback == NULL,
	                             .on_error = c->on_error,
	                             .name = c->name};
	return gm_expr_leaf(program, &leaf, &column->source, 0, out, err);
}

enum gm_code gm_expr_resolve_name(struct gm_expr_typer *typer, const struct gm_ast *ast, struct gm_expr_node **out)
{
	struct gm_program_column *own = typer->column;
	bool self = own != NULL && strcasecmp(own->column->name, ast->text) == 0;
	if (self && own->column->from_len > 0) return column_leaf(typer->program, own, out, typer->err);
	struct gm_program_column *column = find_column(typer->program, ast->text);
	if (column == NULL) return unknown_name(typer, ast);
	if (column->state == GM_PROGRAM_BUSY)
		return gm_expr_fail(typer->source, ast->offset, typer->err, "column '%s' refers to itself%s",
		                    column->column->name, self ? "" : " by way of other columns");
	if (typer->chain == CHAIN_MAX)
		return gm_expr_fail(typer->source, ast->offset, typer->err, "columns refer to each other more than %d deep",
		                    CHAIN_MAX);
	GM_TRY(compile_column(typer->program, column, typer->chain + 1, typer->err));
	*out = column->seen;
	return GM_OK;
}

/* --- Columns ------------------------------------------------------------------------------------------------------ */

static enum gm_code compile_text(struct gm_expr_typer *typer, struct gm_expr_node **out)
{
	struct gm_ast *ast;
	GM_TRY(gm_expr_parse(typer->source, &typer->program->job->arena, &ast, typer->err));
	return gm_expr_type(typer, ast, out);
}

static enum gm_code check_type(struct gm_expr_typer *typer, const struct gm_column *column, struct gm_expr_node **node)
{
	if (!gm_expr_widens(*node, column->type)) {
		enum gm_code code = gm_expr_fail(typer->source, 0, typer->err, "the column is %s, its expression gives %s",
		                                 gm_type_name(column->type), gm_type_name((*node)->type));
		return gm_error_hint(typer->err, code, "write CAST(... AS %s), or change the type", gm_type_name(column->type));
	}
	return gm_expr_widen(typer->program, *node, column->type, node, typer->err);
}

static enum gm_code fallback_node(struct gm_program *program, const struct gm_program_column *column,
                                  struct gm_expr_node **out, struct gm_error *err)
{
	const struct gm_column *c = column->column;
	struct gm_expr_node node = {.op = GM_EXPR_CONST, .type = c->type, .source = &column->source};
	node.value.type = c->type;
	switch (c->type) {
	case GM_TYPE_STRING:
		node.value.bytes = (const uint8_t *)c->fallback;
		node.value.len = (uint32_t)c->fallback_bytes;
		break;
	case GM_TYPE_BOOLEAN: node.value.boolean = c->fallback_value.i64 != 0; break;
	case GM_TYPE_DOUBLE: node.value.f64 = c->fallback_value.f64; break;
	default: node.value.i64 = c->fallback_value.i64; break;
	}
	return gm_expr_intern(program, &node, out, err);
}

static enum gm_code make(struct gm_program *program, enum gm_expr_op op, struct gm_expr_node **args, size_t count,
                         struct gm_expr_node **out, struct gm_error *err)
{
	struct gm_expr_node node = {.op = op,
	                            .type = args[0]->type,
	                            .args = args,
	                            .argc = count,
	                            .source = args[0]->source,
	                            .offset = args[0]->offset};
	return gm_expr_intern(program, &node, out, err);
}

/* output = COALESCE(TRY(result), default). Others see a failure as one unless on_error makes it null: a record that
 * will be rejected for it must not be filtered or changed by what its null would have meant. */
static enum gm_code apply_policies(struct gm_program *program, struct gm_program_column *column,
                                   struct gm_expr_node *value, struct gm_error *err)
{
	const struct gm_column *c = column->column;
	struct gm_expr_node *tried = value, *args[2];
	if (column->result != NULL) GM_TRY(make(program, GM_EXPR_TRY, &value, 1, &tried, err));
	column->output = value;
	column->seen = c->on_error == GM_ON_ERROR_NULL ? tried : value;
	if (c->fallback == NULL) return GM_OK;
	args[0] = tried;
	GM_TRY(fallback_node(program, column, &args[1], err));
	GM_TRY(make(program, GM_EXPR_COALESCE, args, 2, &column->output, err));
	args[0] = column->seen;
	return make(program, GM_EXPR_COALESCE, args, 2, &column->seen, err);
}

static enum gm_code compile_column(struct gm_program *program, struct gm_program_column *column, int chain,
                                   struct gm_error *err)
{
	const struct gm_column *c = column->column;
	if (column->state == GM_PROGRAM_DONE) return GM_OK;
	struct gm_expr_node *value;
	column->state = GM_PROGRAM_BUSY;
	column->how = "leaf";
	if (c->expr != NULL) {
		struct gm_expr_typer typer = {
		    .program = program, .source = &column->source, .column = column, .chain = chain, .err = err};
		GM_TRY(compile_text(&typer, &value));
		GM_TRY(check_type(&typer, c, &value));
		column->result = value;
		column->how = value->uses_sqlite ? "sqlite" : "native";
	} else if (c->from_len > 0) {
		GM_TRY(column_leaf(program, column, &value, err));
	} else {
		return gm_expr_fail(&column->source, 0, err, "the column has neither `from` nor `expr`");
	}
	GM_TRY(apply_policies(program, column, value, err));
	column->state = GM_PROGRAM_DONE;
	return GM_OK;
}

/* A value's own failure goes by its column's policy; so the path is made of what is left, and `check` tells the rare
 * chunks in which there is something to report. */
static enum gm_code compile_partition(struct gm_program *program, struct gm_program_column *column,
                                      struct gm_expr_node **value, struct gm_expr_node **check, struct gm_error *err)
{
	enum gm_type type = column->column->type;
	if (type == GM_TYPE_DOUBLE || type == GM_TYPE_TIMESTAMP)
		return gm_expr_fail(&column->source, 0, err, "a table cannot be partitioned by a %s", gm_type_name(type));
	GM_TRY(compile_column(program, column, 0, err));
	*value = *check = column->output;
	if (column->result == NULL) return GM_OK;
	GM_TRY(make(program, GM_EXPR_TRY, &column->output, 1, value, err));
	if (column->column->required) return GM_OK;
	struct gm_expr_node node = {
	    .op = GM_EXPR_IS_NULL, .type = GM_TYPE_BOOLEAN, .args = &column->result, .argc = 1, .source = &column->source};
	return gm_expr_intern(program, &node, check, err); /* never null, failed where the result is */
}

static enum gm_code compile_partitions(struct gm_program *program, struct gm_error *err)
{
	size_t first = program->job->column_count, count = program->job->table.partition_count;
	if (count == 0) return GM_OK;
	struct gm_expr_node **values = gm_arena_alloc(&program->job->arena, count * sizeof(struct gm_expr_node *));
	struct gm_expr_node **checks = gm_arena_alloc(&program->job->arena, count * sizeof(struct gm_expr_node *));
	if (values == NULL || checks == NULL) return no_memory(err);
	for (size_t i = 0; i < count; i++)
		GM_TRY(compile_partition(program, &program->columns[first + i], &values[i], &checks[i], err));
	const struct gm_expr_source *source = &program->columns[first].source;
	struct gm_expr_node path = {
	    .op = GM_EXPR_PATH, .type = GM_TYPE_STRING, .args = values, .argc = count, .source = source};
	struct gm_expr_node check = {
	    .op = GM_EXPR_FAILS, .type = GM_TYPE_BOOLEAN, .args = checks, .argc = count, .source = source};
	GM_TRY(gm_expr_intern(program, &path, &program->path, err));
	return gm_expr_intern(program, &check, &program->check, err);
}

static enum gm_code compile_where(struct gm_program *program, struct gm_error *err)
{
	if (program->job->where == NULL) return GM_OK;
	struct gm_expr_typer typer = {.program = program, .source = &program->where_source, .err = err};
	GM_TRY(compile_text(&typer, &program->where));
	if (!gm_expr_widens(program->where, GM_TYPE_BOOLEAN))
		return gm_expr_fail(typer.source, 0, err, "`where` must give boolean, not %s",
		                    gm_type_name(program->where->type));
	return gm_expr_widen(program, program->where, GM_TYPE_BOOLEAN, &program->where, err);
}

/* --- Program ------------------------------------------------------------------------------------------------------ */

static void set_source(struct gm_program *program, struct gm_expr_source *source, const char *text, const char *what,
                       struct gm_place place)
{
	*source = (struct gm_expr_source){.text = text != NULL ? text : "",
	                                  .bytes = text != NULL ? strlen(text) : 0,
	                                  .job_path = program->job->path != NULL ? program->job->path : "",
	                                  .what = what,
	                                  .place = place};
}

static enum gm_code set_columns(struct gm_program *program, struct gm_error *err)
{
	struct gm_job *job = program->job;
	program->column_count = job->column_count + job->table.partition_count;
	program->columns = gm_arena_zalloc(&job->arena, (program->column_count + 1) * sizeof *program->columns);
	if (program->columns == NULL) return no_memory(err);
	for (size_t i = 0; i < program->column_count; i++) {
		bool partition = i >= job->column_count;
		const struct gm_column *c = partition ? &job->table.partitions[i - job->column_count] : &job->columns[i];
		char *what = gm_arena_printf(&job->arena, "%s %s", partition ? "partition" : "column", c->name);
		if (what == NULL) return no_memory(err);
		program->columns[i].column = c;
		set_source(program, &program->columns[i].source, c->expr, what, c->expr != NULL ? c->expr_place : c->place);
	}
	set_source(program, &program->where_source, job->where, "where", job->where_place);
	return GM_OK;
}

/* What only the libraries themselves can tell: whether SQLite takes every statement. */
static enum gm_code check_machine(struct gm_program *program, struct gm_error *err)
{
	struct gm_expr_machine machine;
	GM_TRY(gm_expr_machine_init(&machine, program, err));
	gm_expr_machine_release(&machine);
	return GM_OK;
}

enum gm_code gm_program_compile(struct gm_job *job, struct gm_error *err)
{
	struct gm_program *program = gm_arena_zalloc(&job->arena, sizeof *program);
	if (program == NULL) return no_memory(err);
	program->job = job;
	GM_TRY(set_columns(program, err));
	for (size_t i = 0; i < job->column_count; i++) GM_TRY(compile_column(program, &program->columns[i], 0, err));
	GM_TRY(compile_where(program, err));
	GM_TRY(compile_partitions(program, err));
	GM_TRY(gm_expr_plan(program, err));
	GM_TRY(check_machine(program, err));
	job->program = program;
	return GM_OK;
}

void gm_program_release(struct gm_program *program)
{
	(void)program; /* all of it lies in the job's arena */
}

const struct gm_shred_leaf *gm_program_leaves(const struct gm_program *program, size_t *count)
{
	*count = program->leaf_count;
	return program->leaves;
}

uint32_t gm_program_extra_slots(const struct gm_program *program)
{
	return program->extra_slots;
}

uint32_t gm_program_column_slot(const struct gm_program *program, size_t column)
{
	return program->columns[column].output->slot;
}

const char *gm_program_how(const struct gm_program *program, size_t column)
{
	return program->columns[column].how;
}
