/* hive.h - partition paths as Hive and Spark write them: name=value/name=value, where bytes that mean something to a
 * path, a URL or a shell are %XX, and null and the empty string both are __HIVE_DEFAULT_PARTITION__ (so neither comes
 * back as empty). A value of dots alone would walk the directories, and one that spells the name of null would be it;
 * they are escaped too, which every reader undoes. */
#ifndef GM_BASE_HIVE_H
#define GM_BASE_HIVE_H

#include "base/arena.h"

/* Appends "name=value", a slash in front unless *out is empty. value NULL: null. */
enum gm_code gm_hive_append_text(struct gm_buf *out, const char *name, const void *value, size_t bytes,
                                 struct gm_error *err) GM_CHECK;
/* The values of such a path: unescaped, NULL for null. CORRUPT: a part without '='. */
enum gm_code gm_partition_parse(const char *path, size_t bytes, struct gm_arena *arena,
                                struct gm_partition_value **values, size_t *count, struct gm_error *err) GM_CHECK;

#endif
