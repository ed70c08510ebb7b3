/* manifest.h - what a worked unit left behind: its staged files, its quarantine file, its books.
 *
 * The manifest is the only thing that publishing, resuming and sweeping work from. It is written put-if-absent, so of
 * several runners that work a unit one is heard; a unit that has a manifest is never staged again. */
#ifndef GM_RUN_MANIFEST_H
#define GM_RUN_MANIFEST_H

#include "run/plan.h"

struct gm_manifest_file { /* to be published: staged under token, to appear as path */
	const char *path, *token;
	const char *partition; /* Hive path; NULL: not a data file */
	const char *stats;     /* as the log wants them, JSON text */
	uint64_t rows, bytes;
	uint64_t hash[2];
};

struct gm_manifest {
	struct gm_arena arena;
	int64_t planned_us; /* when its plan was made, which tells plans apart that had one number; INT64_MIN: not told */
	bool found;         /* it was read from the table: what it names may have been staged long ago */
	/* Data files in the order of their paths, then what is kept beside them: rejected records, conflicts, duplicates.
	 */
	struct gm_manifest_file *files;
	size_t file_count;
	struct gm_object_balance *objects;
	size_t object_count;
	const char **partitions; /* that the unit's rows belong to, also those that were all duplicates; in order */
	size_t partition_count;
};

/* As JSON; NULL when memory is gone. */
json_t *gm_manifest_json(const struct gm_job *job, const struct gm_plan *plan, const struct gm_unit_spec *unit,
                         const struct gm_unit_result *result);
enum gm_code gm_manifest_parse(const json_t *json, struct gm_manifest *manifest, struct gm_error *err) GM_CHECK;
void gm_manifest_release(struct gm_manifest *manifest);
/* A balance as JSON and back. */
json_t *gm_balance_json(const struct gm_balance *balance);
enum gm_code gm_balance_parse(const json_t *json, struct gm_balance *balance, struct gm_error *err) GM_CHECK;
/* UNBALANCED unless read = written + duplicates + filtered + quarantined, and the bytes add up. */
enum gm_code gm_balance_check(const struct gm_balance *balance, const char *what, struct gm_error *err) GM_CHECK;
void gm_balance_add(struct gm_balance *total, const struct gm_balance *more);

#endif
