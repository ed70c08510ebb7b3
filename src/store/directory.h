/* directory.h - what the files of the directory store share. */
#ifndef GM_STORE_DIRECTORY_H
#define GM_STORE_DIRECTORY_H

#include "store/store.h"

#include <sys/stat.h>

enum { GM_DIRECTORY_SYNCED = 1024 };

struct gm_directory {
	struct gm_store store;
	int root; /* descriptor of the folder: a store stays where it was opened, even if that is renamed */
	/* Hashes of folders whose own entry in their parent is known to be on disk; a table that forgets. */
	uint64_t synced[GM_DIRECTORY_SYNCED];
};

static inline int64_t gm_directory_mtime_us(const struct stat *info)
{
	return (int64_t)info->st_mtim.tv_sec * 1000000 + info->st_mtim.tv_nsec / 1000;
}
/* An error about a key (or prefix) of the store, named by its whole path. */
enum gm_code gm_directory_fail(const struct gm_directory *dir, const char *key, int number, const char *doing,
                               struct gm_error *err);
/* In directory_walk.c. */
enum gm_code gm_directory_list(struct gm_store *store, const char *prefix, const char *after, gm_prune_fn *prune,
                               gm_list_fn *each, void *context, struct gm_error *err);
enum gm_code gm_directory_remove_tree(struct gm_store *store, const char *prefix, struct gm_error *err);

/* In directory_doctor.c. */
bool gm_directory_diagnose(struct gm_store *store, const char *work_prefix, gm_step_fn *step, void *context);

/* The folder of a key, entered part by part without following symbolic links: an open descriptor, and the key's last
 * part. create: what is missing is made, durably. *fd is -1 on failure. NOT_FOUND only if create is false. */
enum gm_code gm_directory_enter(struct gm_directory *dir, const char *key, bool create, int *fd, const char **leaf,
                                struct gm_error *err);

#endif
