/* registered.h - the partitions that are registered with a table in the catalog, beside those that the log has. */
#ifndef GM_CATALOG_REGISTERED_H
#define GM_CATALOG_REGISTERED_H

#include "catalog/entry.h"

struct gm_registered;
/* Lists those of a table with so many partition columns. */
enum gm_code gm_registered_read(struct gm_glue *glue, const char *table, size_t values, struct gm_registered **out,
                                struct gm_error *err) GM_CHECK;
/* None: of a table that is to be created. */
enum gm_code gm_registered_none(struct gm_registered **out, struct gm_error *err) GM_CHECK;
void gm_registered_free(struct gm_registered *registered); /* NULL is allowed */

/* How they differ. */
struct gm_registered_counts {
	uint64_t missing; /* in the log, not registered */
	uint64_t stale;   /* registered with other columns, another folder of ours, or other statistics */
	uint64_t extra;   /* registered in our location, and not in the log */
	uint64_t foreign; /* in the log, and registered with a folder of somebody else's: left alone */
};
/* columns: of the table's entry as it will be. Goes through both; may be called again with another shape. */
enum gm_code gm_registered_compare(struct gm_registered *registered, const struct gm_entry *entry,
                                   const struct gm_shape *shape, const json_t *columns,
                                   struct gm_registered_counts *counts, struct gm_error *err) GM_CHECK;
/* Compares, and does what is to be done. done: what was; foreign as above. */
enum gm_code gm_registered_sync(struct gm_registered *registered, struct gm_glue *glue, const struct gm_entry *entry,
                                const struct gm_shape *shape, const json_t *columns, const volatile int *stop,
                                struct gm_registered_counts *done, struct gm_glue_refusal *refusal,
                                struct gm_error *err) GM_CHECK;

#endif
