/* merge.h - an entry that the catalog has, beside what it should say: what differs, and the entry to write.
 *
 * Ours are: the columns that the log knows, the partition columns' comments, location, formats and SerDe, and the
 * parameters that gm_entry_owns. Everything else in an entry, parameters, columns, SerDe parameters, owner, retention,
 * is somebody's and stays. Columns are never moved: new ones stand behind the last one of ours. */
#ifndef GM_CATALOG_MERGE_H
#define GM_CATALOG_MERGE_H

#include "catalog/entry.h"

/* What differs, one line each; many are counted and not told. */
struct gm_differences {
	struct gm_arena arena;
	const char *lines[64];
	size_t count; /* of lines */
	uint64_t more;
};
void gm_differences_init(struct gm_differences *differences);
void gm_differences_release(struct gm_differences *differences);
enum gm_code gm_differences_add(struct gm_differences *differences, struct gm_error *err, const char *format,
                                ...) GM_CHECK __attribute__((format(printf, 3, 4)));
static inline bool gm_differences_any(const struct gm_differences *differences)
{
	return differences->count > 0;
}

/* May the entry be ours: a table, no view or link, of a kind that we make, at this location? USAGE: no, and why. */
enum gm_code gm_merge_check(const json_t *found, const char *location, struct gm_error *err) GM_CHECK;
/* found: as gm_glue_check_table left it; may be changed. wanted: by gm_entry_table. *input: the TableInput that makes
 * the entry right, to be written if there are differences. USAGE: it is none of ours. UNSUPPORTED: a column has another
 * type, or the partition columns are others. */
enum gm_code gm_merge_table(json_t *found, const json_t *wanted, const struct gm_entry *entry,
                            const struct gm_shape *shape, json_t **input, struct gm_differences *differences,
                            struct gm_error *err) GM_CHECK;

#endif
