/* catalog.c - the table as others see it: what the public interface offers of it. */
#include "catalog/ddl.h"
#include "run/run.h"

#include <stdlib.h>

enum { STATEMENT_BYTES_MAX = 256 << 20 };
static const size_t log_bytes = (size_t)256 << 20;

const char *gm_dialect_name(enum gm_dialect dialect)
{
	static const char *const names[] = {
#define X(name, text) text,
	    GM_DIALECTS(X)
#undef X
	};
	return (size_t)dialect < sizeof names / sizeof names[0] ? names[dialect] : NULL;
}

/* The table's store; NULL: the table does not exist yet. */
static enum gm_code open_table(const struct gm_job *job, struct gm_store **out, struct gm_error *err)
{
	*out = NULL;
	enum gm_code rc = gm_env_open_store(job->table.location, &job->table.access, NULL, false, out, err);
	return rc == GM_NOT_FOUND ? GM_OK : rc;
}

enum gm_code gm_catalog_ddl(const struct gm_job *job, enum gm_dialect dialect, char **text, struct gm_error *err)
{
	struct gm_store *table;
	struct gm_shape shape;
	struct gm_buf out;
	*text = NULL;
	GM_TRY(open_table(job, &table, err));
	gm_buf_init(&out, STATEMENT_BYTES_MAX);
	enum gm_code rc = gm_shape_read(job, table, false, log_bytes, &shape, err);
	if (rc == GM_OK) rc = gm_ddl_write(job, &shape, dialect, &out, err);
	if (rc == GM_OK) rc = gm_buf_append(&out, "", 1, err);
	if (rc == GM_OK) {
		*text = (char *)out.data;
		out.data = NULL;
	}
	gm_shape_release(&shape);
	gm_store_close(table);
	gm_buf_release(&out);
	return rc;
}
