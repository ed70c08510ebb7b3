/* source.h - the objects of the source as the bookmark sees them: new, processed, or changed since. */
#ifndef GM_RUN_SOURCE_H
#define GM_RUN_SOURCE_H

#include "table/bookmark.h"

/* Is an object of a source hidden or temporary: a part of its key begins with '.' or '_', or its name says that it is
 * unfinished? Or is it what consoles put where they show a folder: an empty one whose key ends in '/'? */
bool gm_plan_skips(const struct gm_object_info *info);

/* The end of the hour, day, month or year that a folder is named by: "2024/03/10/22/", "a/2024/03/", or with names
 * before the numbers, "year=2024/month=03/". False if it is named by none. In microseconds since 1970, UTC. */
bool gm_source_folder_end(const char *folder, int64_t *end_us);

/* Is this other content than what was processed? By ETag and size where both sides have one, else by size and mtime. */
bool gm_source_is_changed(const struct gm_object_info *info, const struct gm_bookmark_entry *known);

/* Called for each object that is not skipped, in the order of keys. known: what was recorded when it was processed;
 * NULL: it is new. Both live until it returns. */
typedef enum gm_code gm_source_object_fn(void *context, const struct gm_object_info *info,
                                         const struct gm_bookmark_entry *known, struct gm_error *err);
/* Which part of the source. */
struct gm_source_range {
	int64_t since_us;  /* folders named by a time that ended then or before are left out; INT64_MIN: none are */
	const char *after; /* and all keys up to this one; NULL: none are */
};
/* Lists the source beside the bookmark; range NULL: all of it. UNSUPPORTED: a key that is not UTF-8. */
enum gm_code gm_source_list(struct gm_store *source, struct gm_bookmark *bookmark, const struct gm_source_range *range,
                            gm_source_object_fn *each, void *context, struct gm_error *err) GM_CHECK;

#endif
