/* sqlite.h - SQLite as a calculator behind a fence.
 *
 * It sees statements of the form SELECT <arithmetic over ?1, ?2, ...>, written by us and never by the user, and
 * numbers. The fence stands nevertheless: an authorizer that knows SELECT and six functions, no tables, no extensions,
 * small limits, a bound on steps. A result whose storage class is not the one asked for (an integer that overflowed
 * into a double, a division by zero) is a failure, never a value. */
#ifndef GM_JOB_SQLITE_H
#define GM_JOB_SQLITE_H

#include "job/function.h"

struct gm_sqlite; /* a connection, of one thread */
enum gm_code gm_sqlite_open(struct gm_sqlite **out, struct gm_error *err) GM_CHECK;
void gm_sqlite_close(struct gm_sqlite *sqlite); /* after its statements */

struct gm_sqlite_statement;
/* JOB: SQLite or the fence refuses it. `sql` is an expression. */
enum gm_code gm_sqlite_prepare(struct gm_sqlite *sqlite, const char *sql, struct gm_sqlite_statement **out,
                               struct gm_error *err) GM_CHECK;
void gm_sqlite_finalize(struct gm_sqlite_statement *statement); /* NULL is allowed */
/* args are numbers and not null; type is int, bigint or double. VALUE: there is no such value. */
enum gm_code gm_sqlite_eval(struct gm_sqlite_statement *statement, const struct gm_value *args, size_t count,
                            enum gm_type type, struct gm_value *result, struct gm_error *err) GM_CHECK;

#endif
