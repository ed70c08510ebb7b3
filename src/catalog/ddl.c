#include "catalog/ddl.h"

#include "catalog/sql_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum gm_code gm_ddl_put(const struct gm_ddl *ddl, const char *text, struct gm_error *err)
{
	return gm_buf_append(ddl->out, text, strlen(text), err);
}

enum gm_code gm_ddl_put_name(const struct gm_ddl *ddl, char quote, const char *name, struct gm_error *err)
{
	GM_TRY(gm_sql_name(ddl->out, quote, ddl->database, err));
	GM_TRY(gm_ddl_put(ddl, ".", err));
	return gm_sql_name(ddl->out, quote, name, err);
}

enum gm_code gm_ddl_put_remarks(const struct gm_ddl *ddl, struct gm_error *err)
{
	const struct gm_shape *shape = ddl->shape;
	if (shape->note[0] != '\0' && ddl->projection) GM_TRY(gm_sql_remark(ddl->out, shape->note, err));
	if (shape->misplaced > 0)
		GM_TRY(gm_buf_printf(
		    ddl->out, err, "-- %" PRIu64 " %s not lie in the folder of the partition: only a Delta table shows %s\n",
		    shape->misplaced, shape->misplaced == 1 ? "file does" : "files do", shape->misplaced == 1 ? "it" : "them"));
	if (shape->left_out > 0)
		GM_TRY(gm_buf_printf(ddl->out, err, "-- %" PRIu64 " column%s left out, of a type that Hive has not\n",
		                     shape->left_out, shape->left_out == 1 ? " is" : "s are"));
	return GM_OK;
}

enum gm_code gm_ddl_put_registered(const struct gm_ddl *ddl, struct gm_error *err)
{
	if (!gm_ddl_has_folders(ddl) || ddl->projection) return GM_OK;
	if (ddl->wants_projection && ddl->shape->unprojectable[0] != '\0')
		GM_TRY(gm_sql_remark(ddl->out, ddl->shape->unprojectable, err));
	else if (ddl->wants_projection)
		GM_TRY(gm_ddl_put(ddl, "-- not projected: of a directory every projected folder would have to exist\n", err));
	return gm_ddl_put(
	    ddl, "-- partitions are registered: the last statement is to be repeated when there are new ones\n", err);
}

enum gm_code gm_ddl_put_no_log(const struct gm_ddl *ddl, struct gm_error *err)
{
	if (ddl->shape->version >= 0) return GM_OK;
	return gm_ddl_put(ddl, "-- there is no Delta table yet: to be run after the first run\n", err);
}

/* --- Names -------------------------------------------------------------------------------------------------------- */

/* What engines take without quotes, of another name. */
static void plain_name(const char *name, char out[GM_DDL_NAME_BYTES])
{
	size_t n = 0;
	for (; *name != '\0' && n < GM_DDL_NAME_BYTES - 1; name++) {
		bool digit = *name >= '0' && *name <= '9', small = *name >= 'a' && *name <= 'z',
		     big = *name >= 'A' && *name <= 'Z';
		out[n++] = digit || small ? *name : big ? (char)(*name - 'A' + 'a') : '_';
	}
	out[n] = '\0';
}

static void name_it(struct gm_ddl *ddl, const struct gm_job *job)
{
	const char *database = ddl->shape->database, *name = ddl->shape->name;
	(void)snprintf(ddl->database, sizeof ddl->database, "%s", database[0] != '\0' ? database : "default");
	if (name[0] != '\0')
		(void)snprintf(ddl->name, sizeof ddl->name, "%s", name);
	else
		plain_name(job->name, ddl->name);
	if (job->catalog.delta_name != NULL)
		(void)snprintf(ddl->delta_name, sizeof ddl->delta_name, "%s", job->catalog.delta_name);
	else
		(void)snprintf(ddl->delta_name, sizeof ddl->delta_name, "%.150s%s", ddl->name, ddl->hive ? "_delta" : "");
}

enum gm_code gm_ddl_write(const struct gm_job *job, const struct gm_shape *shape, enum gm_dialect dialect,
                          struct gm_buf *out, struct gm_error *err)
{
	struct gm_ddl ddl = {.shape = shape,
	                     .out = out,
	                     .hive = job->catalog.format != GM_CATALOG_DELTA,
	                     .delta = job->catalog.format != GM_CATALOG_HIVE,
	                     .directory = !gm_store_is_s3(shape->location),
	                     .wants_projection = job->catalog.partitions == GM_CATALOG_PROJECTION};
	ddl.projection = ddl.wants_projection && gm_ddl_has_folders(&ddl) && shape->unprojectable[0] == '\0';
	/* In S3 there are no folders, and what is not there is empty. Athena's form stands for that of S3. */
	if (ddl.directory && dialect == GM_DIALECT_TRINO) ddl.projection = false;
	name_it(&ddl, job);
	switch (dialect) {
	case GM_DIALECT_ATHENA: return gm_ddl_athena(&ddl, err);
	case GM_DIALECT_SPARK: return gm_ddl_spark(&ddl, err);
	case GM_DIALECT_TRINO: return gm_ddl_trino(&ddl, err);
	case GM_DIALECT_DUCKDB: return gm_ddl_duckdb(&ddl, err);
	}
	GM_FAIL(err, GM_USAGE, "there is no such dialect");
}
