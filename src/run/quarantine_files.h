/* quarantine_files.h - which quarantine files count: those of committed runs, and what became of them.
 *
 * A file is published before its run is committed, so the folder alone says nothing. What is replayed stays where it
 * is; the bookmark knows it, under the file's key with '/' before it. */
#ifndef GM_RUN_QUARANTINE_FILES_H
#define GM_RUN_QUARANTINE_FILES_H

#include "run/layout.h"
#include "table/bookmark.h"

struct gm_quarantine_file {
	const struct gm_object_info *info; /* its key is the table's */
	uint64_t run;
	uint64_t replayed_by; /* the run that took it up; 0: none did */
	const char *input;    /* its key as a plan's input */
};

/* Calls `each` for every file, in plan order; what it is given is valid during the call. */
typedef enum gm_code gm_quarantine_file_fn(void *context, const struct gm_quarantine_file *file, struct gm_error *err);
enum gm_code gm_quarantine_files_each(struct gm_store *table, const struct gm_layout *layout,
                                      struct gm_bookmark *bookmark, gm_quarantine_file_fn *each, void *context,
                                      struct gm_error *err) GM_CHECK;

#endif
