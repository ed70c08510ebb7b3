/* folder.h - a source that is a directory, watched by inotify(7) with all folders in it. */
#ifndef GM_WATCH_FOLDER_H
#define GM_WATCH_FOLDER_H

#include "watch/schedule.h"

/* So many folders are watched; beyond, changes are found by the timer alone. (fs.inotify.max_user_watches may allow
 * fewer; each costs the kernel about 1 KiB and us the length of its path.) */
enum { GM_FOLDERS_MAX = 16384 };

struct gm_folder; /* one thread at a time */
/* Watches path and every folder below it; a symbolic link to a folder is followed, as listing it does. NOT_FOUND,
 * DENIED, NOSPACE: it cannot be watched, and why. That not all of it is watched is no failure. */
enum gm_code gm_folder_open(const char *path, struct gm_folder **out, struct gm_error *err) GM_CHECK;
void gm_folder_close(struct gm_folder *folder); /* NULL is allowed */
/* For poll(): readable when something has happened. */
int gm_folder_fd(const struct gm_folder *folder);
/* Takes in what has happened. A failure: the folder is gone, or cannot be watched any more; close it, and open it anew
 * when it is there again. */
enum gm_code gm_folder_read(struct gm_folder *folder, int64_t now_us, struct gm_error *err) GM_CHECK;
/* What was written since the last gm_folder_begin. It is quiet when nothing has been written for SETTLE seconds;
 * *until_us: when it will be, INT64_MAX if nothing waits. */
enum { GM_FOLDER_SETTLE_SECONDS = 1 };
void gm_folder_told(const struct gm_folder *folder, int64_t now_us, struct gm_told *told, int64_t *until_us);
/* A run begins now. If it fails, gm_folder_told tells nothing of what it should have taken: the schedule tries it
 * again by itself. */
void gm_folder_begin(struct gm_folder *folder);
/* A line for people about what is not watched: once for each; NULL: nothing new. */
const char *gm_folder_notice(struct gm_folder *folder);

#endif
