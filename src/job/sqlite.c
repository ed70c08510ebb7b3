#include "job/sqlite.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum {
	STEPS_BETWEEN_CHECKS = 1000, /* virtual machine instructions */
	CHECKS_MAX = 100,
};

struct gm_sqlite {
	sqlite3 *db;
	int checks; /* since the statement began */
};

struct gm_sqlite_statement {
	struct gm_sqlite *sqlite;
	sqlite3_stmt *stmt;
};

static int authorize(void *context, int action, const char *first, const char *name, const char *database,
                     const char *trigger)
{
	static const char *const functions[] = {"abs", "ceil", "floor", "mod", "sqrt", "trunc"};
	(void)context, (void)first, (void)database, (void)trigger;
	if (action == SQLITE_SELECT) return SQLITE_OK;
	if (action != SQLITE_FUNCTION || name == NULL) return SQLITE_DENY;
	for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
		if (strcmp(name, functions[i]) == 0) return SQLITE_OK;
	return SQLITE_DENY;
}

static int count_steps(void *context)
{
	struct gm_sqlite *sqlite = context;
	return ++sqlite->checks > CHECKS_MAX;
}

static enum gm_code fail(struct gm_sqlite *sqlite, int code, enum gm_code otherwise, struct gm_error *err)
{
	if (code == SQLITE_NOMEM) GM_FAIL(err, GM_NOMEM, "out of memory in SQLite");
	GM_FAIL(err, otherwise, "SQLite: %s", sqlite3_errmsg(sqlite->db));
}

static void set_limits(sqlite3 *db)
{
	static const struct {
		int id, value;
	} limits[] = {
	    {SQLITE_LIMIT_LENGTH, 1000000},      {SQLITE_LIMIT_SQL_LENGTH, 100000}, {SQLITE_LIMIT_COLUMN, 4},
	    {SQLITE_LIMIT_EXPR_DEPTH, 400},      {SQLITE_LIMIT_COMPOUND_SELECT, 1}, {SQLITE_LIMIT_VDBE_OP, 100000},
	    {SQLITE_LIMIT_FUNCTION_ARG, 4},      {SQLITE_LIMIT_ATTACHED, 0},        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1},
	    {SQLITE_LIMIT_VARIABLE_NUMBER, 128}, {SQLITE_LIMIT_TRIGGER_DEPTH, 0},   {SQLITE_LIMIT_WORKER_THREADS, 0},
	};
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
		(void)sqlite3_limit(db, limits[i].id, limits[i].value);
}

static bool configure(sqlite3 *db)
{
	static const struct {
		int id, value;
	} settings[] = {
	    {SQLITE_DBCONFIG_DQS_DDL, 0},
	    {SQLITE_DBCONFIG_DQS_DML, 0},
	    {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
	    {SQLITE_DBCONFIG_DEFENSIVE, 1},
	    {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
	    {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
	    {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
	};
	for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
		if (sqlite3_db_config(db, settings[i].id, settings[i].value, NULL) != SQLITE_OK) return false;
	return true;
}

enum gm_code gm_sqlite_open(struct gm_sqlite **out, struct gm_error *err)
{
	struct gm_sqlite *sqlite = calloc(1, sizeof *sqlite);
	*out = NULL;
	if (sqlite == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for SQLite");
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	int code = sqlite3_open_v2(":memory:", &sqlite->db, flags, NULL);
	enum gm_code rc = GM_OK;
	if (sqlite->db == NULL)
		rc = gm_error_set(err, GM_NOMEM, "out of memory for SQLite");
	else if (code != SQLITE_OK)
		rc = fail(sqlite, code, GM_BUG, err);
	else if (!configure(sqlite->db) || sqlite3_set_authorizer(sqlite->db, authorize, NULL) != SQLITE_OK)
		rc = gm_error_set(err, GM_UNSUPPORTED, "this SQLite library cannot be fenced");
	if (rc != GM_OK) {
		gm_sqlite_close(sqlite);
		return rc;
	}
	set_limits(sqlite->db);
	sqlite3_progress_handler(sqlite->db, STEPS_BETWEEN_CHECKS, count_steps, sqlite);
	*out = sqlite;
	return GM_OK;
}

void gm_sqlite_close(struct gm_sqlite *sqlite)
{
	if (sqlite == NULL) return;
	(void)sqlite3_close(sqlite->db);
	free(sqlite);
}

enum gm_code gm_sqlite_prepare(struct gm_sqlite *sqlite, const char *sql, struct gm_sqlite_statement **out,
                               struct gm_error *err)
{
	*out = NULL;
	struct gm_buf text;
	gm_buf_init(&text, (size_t)100000);
	struct gm_sqlite_statement *statement = calloc(1, sizeof *statement);
	enum gm_code rc = GM_OK;
	if (statement == NULL) rc = gm_error_set(err, GM_NOMEM, "out of memory for an SQL statement");
	if (rc == GM_OK) rc = gm_buf_printf(&text, err, "SELECT %s", sql);
	if (rc == GM_OK) {
		const char *rest = NULL;
		statement->sqlite = sqlite;
		sqlite->checks = 0;
		int code = sqlite3_prepare_v3(sqlite->db, (const char *)text.data, (int)text.len, SQLITE_PREPARE_PERSISTENT,
		                              &statement->stmt, &rest);
		if (code != SQLITE_OK)
			rc = fail(sqlite, code, GM_JOB, err);
		else if (statement->stmt == NULL || *rest != '\0')
			rc = gm_error_set(err, GM_JOB, "SQLite: more than one statement");
	}
	gm_buf_release(&text);
	if (rc != GM_OK) {
		gm_sqlite_finalize(statement);
		return rc;
	}
	*out = statement;
	return GM_OK;
}

void gm_sqlite_finalize(struct gm_sqlite_statement *statement)
{
	if (statement == NULL) return;
	(void)sqlite3_finalize(statement->stmt);
	free(statement);
}

static int bind(sqlite3_stmt *stmt, int number, const struct gm_value *arg)
{
	if (arg->type == GM_TYPE_DOUBLE) return sqlite3_bind_double(stmt, number, arg->f64);
	return sqlite3_bind_int64(stmt, number, arg->i64);
}

static enum gm_code take(sqlite3_stmt *stmt, enum gm_type type, struct gm_value *result, struct gm_error *err)
{
	int class = sqlite3_column_type(stmt, 0);
	*result = (struct gm_value){.type = type};
	if (class == SQLITE_NULL) GM_FAIL(err, GM_VALUE, "division by zero, or no number is the result");
	if (type == GM_TYPE_DOUBLE) {
		if (class != SQLITE_FLOAT) GM_FAIL(err, GM_VALUE, "the result is not a double");
		result->f64 = sqlite3_column_double(stmt, 0);
		return GM_OK;
	}
	if (class != SQLITE_INTEGER) GM_FAIL(err, GM_VALUE, "the result exceeds 64 bits");
	result->i64 = sqlite3_column_int64(stmt, 0);
	if (type == GM_TYPE_INT && (result->i64 < INT32_MIN || result->i64 > INT32_MAX))
		GM_FAIL(err, GM_VALUE, "the result exceeds 32 bits");
	return GM_OK;
}

enum gm_code gm_sqlite_eval(struct gm_sqlite_statement *statement, const struct gm_value *args, size_t count,
                            enum gm_type type, struct gm_value *result, struct gm_error *err)
{
	struct gm_sqlite *sqlite = statement->sqlite;
	int code = SQLITE_OK;
	enum gm_code rc;
	for (size_t i = 0; i < count && code == SQLITE_OK; i++) code = bind(statement->stmt, (int)i + 1, &args[i]);
	sqlite->checks = 0;
	if (code == SQLITE_OK) code = sqlite3_step(statement->stmt);
	if (code == SQLITE_ROW)
		rc = take(statement->stmt, type, result, err);
	else if (code == SQLITE_INTERRUPT)
		rc = gm_error_set(err, GM_JOB, "the calculation takes too many steps");
	else
		rc = fail(sqlite, code, code == SQLITE_ERROR ? GM_VALUE : GM_BUG, err);
	(void)sqlite3_reset(statement->stmt);
	return rc;
}
