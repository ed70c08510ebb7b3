/* plan_list.c - which objects of the source a plan takes: what is listed, not processed, and neither hidden nor
 * unfinished, up to the limits of a plan. */
#include "run/plan_internal.h"

#include "base/utf8.h"

#include <strings.h>

enum { PACKED_BY = 8, MAX_OBJECTS = 5000 };
static const uint64_t max_plan_raw_bytes = (uint64_t)16 << 30;

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the plan");
}

static bool ends_with(const char *name, const char *suffix)
{
	size_t n = strlen(name), k = strlen(suffix);
	return n >= k && strcasecmp(name + n - k, suffix) == 0;
}

bool gm_plan_skips(const char *key)
{
	static const char *const unfinished[] = {".tmp",        ".temp", ".part",      ".partial", ".crdownload",
	                                         ".inprogress", ".swp",  "._copying_", "~",        "/"};
	const char *part = key;
	do {
		if (*part == '/') part++;
		if (*part == '.' || *part == '_') return true;
		part = strchr(part, '/');
	} while (part != NULL);
	for (size_t i = 0; i < sizeof unfinished / sizeof unfinished[0]; i++)
		if (ends_with(key, unfinished[i])) return true;
	return false;
}

struct listing {
	const struct gm_plan_request *request;
	struct gm_plan *plan;
	size_t room;
	uint64_t raw_bytes;
	bool full;
};

uint64_t gm_plan_raw_estimate(const struct gm_input *input)
{
	bool packed = ends_with(input->key, ".gz") || ends_with(input->key, ".gzip") || ends_with(input->key, ".zst") ||
	              ends_with(input->key, ".zstd");
	return packed && input->size < UINT64_MAX / PACKED_BY ? input->size * PACKED_BY : input->size;
}

static enum gm_code check_key(const char *key, struct gm_error *err)
{
	size_t n = strlen(key);
	if (gm_utf8_valid_prefix((const uint8_t *)key, n) == n) return GM_OK;
	(void)gm_error_set(err, GM_UNSUPPORTED, "the object's name is not UTF-8");
	(void)gm_error_hint(err, GM_UNSUPPORTED, "rename it");
	return gm_error_object(err, GM_UNSUPPORTED, key, n);
}

/* True if a committed run has processed it; CHANGED if it had other content then. */
static enum gm_code is_processed(struct gm_bookmark *bookmark, const struct gm_object_info *info, bool *processed,
                                 struct gm_error *err)
{
	const struct gm_bookmark_entry *known;
	GM_TRY(gm_bookmark_find(bookmark, info->key, &known, err));
	*processed = known != NULL;
	if (known == NULL || (known->size == info->size && known->mtime_us == info->mtime_us &&
	                      known->etag_hash == gm_bookmark_etag_hash(info->etag)))
		return GM_OK;
	(void)gm_error_set(err, GM_CHANGED, "the object was overwritten after it had been processed");
	(void)gm_error_hint(err, GM_CHANGED, "objects must not change: put corrected data under a new name");
	return gm_error_object(err, GM_CHANGED, info->key, strlen(info->key));
}

static enum gm_code append_input(struct listing *listing, const struct gm_object_info *info, struct gm_error *err)
{
	struct gm_plan *plan = listing->plan;
	if (plan->input_count == listing->room) {
		size_t room = listing->room == 0 ? 64 : listing->room * 2;
		struct gm_input *grown = gm_arena_alloc(&plan->arena, room * sizeof *grown);
		if (grown == NULL) return out_of_memory(err);
		if (plan->input_count > 0) memcpy(grown, plan->inputs, plan->input_count * sizeof *grown);
		plan->inputs = grown;
		listing->room = room;
	}
	struct gm_input *input = &plan->inputs[plan->input_count];
	*input = (struct gm_input){.key = gm_arena_strndup(&plan->arena, info->key, strlen(info->key)),
	                           .size = info->size,
	                           .mtime_us = info->mtime_us,
	                           .etag = gm_arena_strndup(&plan->arena, info->etag, strlen(info->etag))};
	if (input->key == NULL || input->etag == NULL) return out_of_memory(err);
	listing->raw_bytes += gm_plan_raw_estimate(input);
	plan->bytes += input->size;
	plan->input_count++;
	return GM_OK;
}

static enum gm_code note_object(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct listing *listing = context;
	const struct gm_plan *plan = listing->plan;
	bool processed;
	if (gm_plan_skips(info->key)) return GM_OK;
	GM_TRY(check_key(info->key, err));
	GM_TRY(is_processed(listing->request->bookmark, info, &processed, err));
	if (processed || listing->full) return GM_OK;
	if (plan->input_count >= MAX_OBJECTS || listing->raw_bytes >= max_plan_raw_bytes ||
	    (listing->request->limit_objects > 0 && plan->input_count >= listing->request->limit_objects)) {
		listing->full = true; /* goes on only to notice overwritten objects */
		return GM_OK;
	}
	return append_input(listing, info, err);
}

enum gm_code gm_plan_list(struct gm_plan *plan, const struct gm_plan_request *request, struct gm_error *err)
{
	struct listing listing = {.request = request, .plan = plan};
	gm_bookmark_restart(request->bookmark);
	return gm_store_list(request->source, "", note_object, &listing, err);
}
