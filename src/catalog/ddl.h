/* ddl.h - statements that make the table known to an engine. */
#ifndef GM_CATALOG_DDL_H
#define GM_CATALOG_DDL_H

#include "catalog/shape.h"

/* Appends the statements of one dialect, each ended by ";\n": the table as Hive folders, as a Delta table, or both,
 * with partitions projected or registered, as the job's catalog section says. Lines that begin with "-- " tell what a
 * reader should know. A table without a name is called by its job's, a database without one is "default". */
enum gm_code gm_ddl_write(const struct gm_job *job, const struct gm_shape *shape, enum gm_dialect dialect,
                          struct gm_buf *out, struct gm_error *err) GM_CHECK;

/* --- Between the files of this subject ---------------------------------------------------------------------------- */

enum { GM_DDL_NAME_BYTES = 160 };
struct gm_ddl {
	const struct gm_shape *shape;
	struct gm_buf *out;
	bool hive, delta;                  /* which of the two is wanted */
	bool directory;                    /* the table lies in one */
	bool wants_projection, projection; /* does the job want it, and is it possible; else partitions are registered */
	char database[GM_DDL_NAME_BYTES], name[GM_DDL_NAME_BYTES], delta_name[GM_DDL_NAME_BYTES];
};
/* Appends a text as it is. */
enum gm_code gm_ddl_put(const struct gm_ddl *ddl, const char *text, struct gm_error *err) GM_CHECK;
/* "name", or "database"."name" with the quotes of the dialect. */
enum gm_code gm_ddl_put_name(const struct gm_ddl *ddl, char quote, const char *name, struct gm_error *err) GM_CHECK;
/* What a reader of the Hive form should know. */
enum gm_code gm_ddl_put_remarks(const struct gm_ddl *ddl, struct gm_error *err) GM_CHECK;
/* Of a table without a log: that the statements of a Delta table must wait. */
enum gm_code gm_ddl_put_no_log(const struct gm_ddl *ddl, struct gm_error *err) GM_CHECK;
/* Where an engine could project and does not: why, and what that means. */
enum gm_code gm_ddl_put_registered(const struct gm_ddl *ddl, struct gm_error *err) GM_CHECK;
static inline bool gm_ddl_has_folders(const struct gm_ddl *ddl)
{
	return ddl->shape->partition_column_count > 0;
}

enum gm_code gm_ddl_athena(const struct gm_ddl *ddl, struct gm_error *err) GM_CHECK;
enum gm_code gm_ddl_spark(const struct gm_ddl *ddl, struct gm_error *err) GM_CHECK;
enum gm_code gm_ddl_trino(const struct gm_ddl *ddl, struct gm_error *err) GM_CHECK;
enum gm_code gm_ddl_duckdb(const struct gm_ddl *ddl, struct gm_error *err) GM_CHECK;

#endif
