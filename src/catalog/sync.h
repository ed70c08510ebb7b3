/* sync.h - the catalog's entries of a job: made right, looked at, deleted. sync.c says why runners that do so at once
 * come to no harm. */
#ifndef GM_CATALOG_SYNC_H
#define GM_CATALOG_SYNC_H

#include "catalog/glue.h"
#include "store/store.h"

/* What a call works with and does not own. */
struct gm_catalog_env {
	const struct gm_job *job;
	struct gm_glue *glue;
	struct gm_store *table; /* NULL: it does not exist yet */
	size_t log_bytes;       /* memory for the log */
	const struct gm_catalog_options *options;
};
/* As those of the public interface, on what is open; result is added to. err is not NULL. */
enum gm_code gm_catalog_sync_on(const struct gm_catalog_env *env, struct gm_catalog_result *result,
                                struct gm_error *err) GM_CHECK;
enum gm_code gm_catalog_drop_on(const struct gm_catalog_env *env, struct gm_catalog_result *result,
                                struct gm_error *err) GM_CHECK;
enum gm_code gm_catalog_read_on(const struct gm_catalog_env *env, struct gm_catalog_view *out,
                                struct gm_error *err) GM_CHECK;

#endif
