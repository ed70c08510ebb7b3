/* overlap.c - whether what others committed meanwhile holds keys of ours.
 *
 * Where it cannot be told, the answer is yes: the plan is ended and made again, and whoever reads the file then says
 * what is wrong with it. Ours are in the key files of the units, which stay until the commit. */
#include "run/commit.h"
#include "run/secret.h"
#include "table/overlap.h"

#include <inttypes.h>
#include <stdlib.h>

/* Failures that say nothing about the file or the keys. */
static bool is_of_the_moment(enum gm_code rc)
{
	return rc == GM_NOMEM || rc == GM_IO || rc == GM_NOSPACE || rc == GM_TRANSIENT || rc == GM_DENIED ||
	       rc == GM_INTERRUPTED || rc == GM_BUG;
}

static enum gm_code load_keys(const struct gm_commit *commit, struct gm_overlap *overlap, struct gm_error *err)
{
	for (size_t i = 0; i < commit->plan->unit_count; i++) {
		char key[GM_KEY_BYTES], suffix[64];
		(void)snprintf(suffix, sizeof suffix, "/%05zu.keys", i);
		gm_layout_key(commit->layout, key, "work", commit->plan->number, suffix);
		GM_TRY(gm_overlap_load(overlap, key, err));
	}
	return GM_OK;
}

static enum gm_code make_overlap(struct gm_commit *commit, struct gm_error *err)
{
	const struct gm_plan *plan = commit->plan;
	uint8_t secret[GM_KEY_SECRET_BYTES];
	GM_TRY(gm_secret_read(commit->table, secret, err));
	commit->key_columns = malloc(plan->unique_count * sizeof *commit->key_columns);
	if (commit->key_columns == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for comparing keys");
	for (size_t i = 0; i < plan->unique_count; i++)
		commit->key_columns[i] = (struct gm_rows_column){plan->unique_by[i].name, plan->unique_by[i].type};
	struct gm_overlap_options options = {.table = commit->table,
	                                     .key_secret = secret,
	                                     .keys = commit->key_columns,
	                                     .key_count = plan->unique_count,
	                                     .memory_bytes = commit->memory_bytes,
	                                     .spill_directory = commit->scratch};
	enum gm_code rc = gm_overlap_new(&options, &commit->overlap, err);
	explicit_bzero(secret, sizeof secret);
	GM_TRY(rc);
	return load_keys(commit, commit->overlap, err);
}

void gm_commit_forget_keys(struct gm_commit *commit)
{
	gm_overlap_free(commit->overlap);
	free(commit->key_columns);
	commit->overlap = NULL;
	commit->key_columns = NULL;
}

enum gm_code gm_commit_overlaps(struct gm_commit *commit, const struct gm_delta_file *file, bool *overlaps,
                                struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	*overlaps = true;
	if (file->partition == NULL) return GM_OK;
	if (commit->overlap == NULL) {
		rc = make_overlap(commit, err);
		if (rc != GM_OK) gm_commit_forget_keys(commit);
	}
	if (rc == GM_OK) rc = gm_overlap_ask(commit->overlap, file->path, file->partition, file->bytes, overlaps, err);
	if (rc == GM_OK) return GM_OK;
	*overlaps = true;
	return is_of_the_moment(rc) ? rc : GM_OK;
}
