/* work.h - a job's entries in its catalog while they are looked at: what sync, read and drop share. */
#ifndef GM_CATALOG_WORK_H
#define GM_CATALOG_WORK_H

#include "catalog/merge.h"
#include "catalog/registered.h"
#include "catalog/sync.h"

enum { GM_WORK_ENTRIES = 2, GM_WORK_NAME_BYTES = 256 };

/* What came of an entry; what comes later goes before. */
enum gm_work_outcome { GM_WORK_NOTHING, GM_WORK_UNCHANGED, GM_WORK_UPDATED, GM_WORK_CREATED };

struct gm_work {
	struct gm_entry entry;
	char name[GM_WORK_NAME_BYTES];
	json_t *found;                       /* as Glue has it; NULL: there is none */
	char version[GM_GLUE_VERSION_BYTES]; /* of it; "" if Glue did not say */
	struct gm_registered *registered;    /* NULL unless partitions are registered */
	bool done;
	unsigned looks; /* at what was done to its partitions */
	enum gm_work_outcome outcome;
};
/* The entries of a job, by its format; returns how many. */
enum gm_code gm_work_list(const struct gm_job *job, struct gm_work works[GM_WORK_ENTRIES], size_t *count,
                          struct gm_error *err) GM_CHECK;
void gm_work_release(struct gm_work *work); /* what was found */
/* Puts the entry's name before an error, as what it is about. */
void gm_work_name_error(const struct gm_work *work, const struct gm_job *job, struct gm_error *err);
/* Asks Glue for the entry, and for what is registered with it, in place of what was found before. Errors name it. */
enum gm_code gm_work_find(struct gm_work *work, const struct gm_catalog_env *env, struct gm_error *err) GM_CHECK;

#endif
