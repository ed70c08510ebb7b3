#include "run/quarantine_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct listing {
	const struct gm_layout *layout;
	struct gm_bookmark *bookmark;
	size_t prefix_bytes;
	gm_quarantine_file_fn *each;
	void *context;
};

/* The run of a key that a unit's quarantine file has; 0: it is no file of ours. */
static uint64_t run_of(const struct listing *listing, const char *key)
{
	static const char digits[] = "0123456789";
	char made[GM_KEY_BYTES];
	const char *name = key + listing->prefix_bytes, *unit = name + strspn(name, digits);
	size_t unit_digits = *unit == '/' ? strspn(unit + 1, digits) : 0;
	if (unit_digits == 0 || unit_digits > 20 || strcmp(unit + 1 + unit_digits, ".ndjson.gz") != 0) return 0;
	uint64_t run = strtoull(name, NULL, 10);
	gm_layout_key(listing->layout, made, "quarantine", run, unit);
	return strcmp(made, key) == 0 ? run : 0;
}

static enum gm_code note_file(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct listing *listing = context;
	char input[GM_KEY_BYTES + 1];
	const struct gm_bookmark_entry *known;
	uint64_t run = run_of(listing, info->key);
	if (run == 0 || !gm_bookmark_has_run(listing->bookmark, run)) return GM_OK;
	(void)snprintf(input, sizeof input, "/%s", info->key);
	GM_TRY(gm_bookmark_find(listing->bookmark, input, &known, err));
	struct gm_quarantine_file file = {
	    .info = info, .run = run, .replayed_by = known != NULL ? known->run : 0, .input = input};
	return listing->each(listing->context, &file, err);
}

enum gm_code gm_quarantine_files_each(struct gm_store *table, const struct gm_layout *layout,
                                      struct gm_bookmark *bookmark, gm_quarantine_file_fn *each, void *context,
                                      struct gm_error *err)
{
	char prefix[GM_KEY_BYTES];
	(void)snprintf(prefix, sizeof prefix, "%squarantine/", layout->job);
	struct listing listing = {layout, bookmark, strlen(prefix), each, context};
	gm_bookmark_restart(bookmark);
	return gm_store_list(table, prefix, note_file, &listing, err);
}
