/* plan_list.c - which objects of the source a plan takes: new ones, and changed ones if the job wants them again, up to
 * the limits of a plan. */
#include "run/plan_internal.h"

#include "base/time.h"

#include <inttypes.h>
#include <strings.h>

enum { PACKED_BY = 8 };

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the plan");
}

static bool ends_with(const char *name, const char *suffix)
{
	size_t n = strlen(name), k = strlen(suffix);
	return n >= k && strcasecmp(name + n - k, suffix) == 0;
}

uint64_t gm_plan_raw_estimate(const struct gm_input *input)
{
	bool packed = ends_with(input->key, ".gz") || ends_with(input->key, ".gzip") || ends_with(input->key, ".zst") ||
	              ends_with(input->key, ".zstd");
	return packed && input->size < UINT64_MAX / PACKED_BY ? input->size * PACKED_BY : input->size;
}

struct listing {
	const struct gm_plan_request *request;
	struct gm_plan_intake intake;
	struct gm_plan_listing sums;
	bool ended; /* early, because the plan is full */
	/* on_change: fail. The first of the changed objects, which the failure will be about. */
	char first[GM_KEY_FREE_BYTES + 1], how[256];
	uint64_t processed_by;
};

/* --- Inputs ------------------------------------------------------------------------------------------------------- */

enum gm_code gm_plan_append(struct gm_plan_intake *intake, const char *key, const struct gm_object_info *info,
                            struct gm_error *err)
{
	struct gm_plan *plan = intake->plan;
	if (plan->input_count == intake->room) {
		size_t room = intake->room == 0 ? 64 : intake->room * 2;
		struct gm_input *grown = gm_arena_alloc(&plan->arena, room * sizeof *grown);
		if (grown == NULL) return out_of_memory(err);
		if (plan->input_count > 0) memcpy(grown, plan->inputs, plan->input_count * sizeof *grown);
		plan->inputs = grown;
		intake->room = room;
	}
	struct gm_input *input = &plan->inputs[plan->input_count];
	*input = (struct gm_input){.key = gm_arena_strndup(&plan->arena, key, strlen(key)),
	                           .size = info->size,
	                           .mtime_us = info->mtime_us,
	                           .etag = gm_arena_strndup(&plan->arena, info->etag, strlen(info->etag))};
	if (input->key == NULL || input->etag == NULL) return out_of_memory(err);
	intake->raw_bytes += gm_plan_raw_estimate(input);
	plan->bytes += input->size;
	plan->input_count++;
	return GM_OK;
}

bool gm_plan_is_full(const struct gm_plan_intake *intake)
{
	const struct gm_job *job = intake->request->job;
	size_t count = intake->plan->input_count;
	return (job->source.plan_objects > 0 && count >= (size_t)job->source.plan_objects) ||
	       (job->source.plan_bytes > 0 && intake->raw_bytes >= job->source.plan_bytes) ||
	       (intake->request->limit_objects > 0 && count >= intake->request->limit_objects);
}

/* Objects are taken in order: none behind one that had no room. */
static enum gm_code take(struct listing *listing, const struct gm_object_info *info, bool changed, struct gm_error *err)
{
	if (listing->sums.left > 0 || gm_plan_is_full(&listing->intake)) {
		listing->sums.left++;
		return GM_OK;
	}
	listing->sums.reprocessed += changed;
	return gm_plan_append(&listing->intake, info->key, info, err);
}

/* --- Objects that have changed ------------------------------------------------------------------------------------ */

static void describe_change(const struct gm_object_info *info, const struct gm_bookmark_entry *known, char *to,
                            size_t room)
{
	char then[GM_TIME_TEXT_BYTES], now[GM_TIME_TEXT_BYTES];
	if (info->size != known->size) {
		(void)snprintf(to, room, "it had %" PRIu64 " bytes and has %" PRIu64, known->size, info->size);
		return;
	}
	(void)gm_time_format_iso(known->mtime_us, 6, then);
	(void)gm_time_format_iso(info->mtime_us, 6, now);
	if (info->mtime_us != known->mtime_us)
		(void)snprintf(to, room, "it was last modified at %s and now is at %s", then, now);
	else
		(void)snprintf(to, room, "it has another ETag");
}

static enum gm_code note_change(struct listing *listing, const struct gm_object_info *info,
                                const struct gm_bookmark_entry *known, struct gm_error *err)
{
	enum gm_on_change on_change = listing->request->job->source.on_change;
	listing->sums.changed++;
	if (on_change == GM_ON_CHANGE_REPROCESS) return take(listing, info, true, err);
	if (on_change == GM_ON_CHANGE_IGNORE || listing->sums.changed > 1) return GM_OK;
	(void)snprintf(listing->first, sizeof listing->first, "%s", info->key);
	describe_change(info, known, listing->how, sizeof listing->how);
	listing->processed_by = known->run;
	return GM_OK;
}

/* All of the source has been listed, so that the message can say how many there are. */
static enum gm_code fail_changed(const struct listing *listing, struct gm_error *err)
{
	char others[64] = "";
	uint64_t count = listing->sums.changed - 1;
	if (count > 0)
		(void)snprintf(others, sizeof others, "; %" PRIu64 " other%s", count,
		               count == 1 ? " has changed, too" : "s have changed, too");
	(void)gm_error_set(err, GM_CHANGED, "the object has changed since run %" PRIu64 " processed it: %s%s",
	                   listing->processed_by, listing->how, others);
	(void)gm_error_hint(err, GM_CHANGED,
	                    "put corrected data under a new name; source.on_change: ignore leaves changed objects alone, "
	                    "reprocess reads them again");
	return gm_error_object(err, GM_CHANGED, listing->first, strlen(listing->first));
}

/* --- The listing -------------------------------------------------------------------------------------------------- */

enum { PAGE_OBJECTS = 1000 }; /* what S3 lists at a time */

static enum gm_code note_object(void *context, const struct gm_object_info *info, const struct gm_bookmark_entry *known,
                                struct gm_error *err)
{
	struct listing *listing = context;
	const struct gm_plan_request *request = listing->request;
	if (++listing->sums.objects % PAGE_OBJECTS == 0 && request->go_on != NULL)
		GM_TRY(request->go_on(request->go_on_context, err));
	if (known == NULL)
		GM_TRY(take(listing, info, false, err));
	else if (gm_source_is_changed(info, known))
		GM_TRY(note_change(listing, info, known, err));
	listing->ended = listing->request->after != NULL && listing->sums.left > 0;
	return listing->ended ? GM_EXISTS : GM_OK;
}

static enum gm_code list_range(struct listing *listing, const struct gm_source_range *range, struct gm_error *err)
{
	const struct gm_plan_request *request = listing->request;
	enum gm_code rc = gm_source_list(request->source, request->bookmark, range, note_object, listing, err);
	return listing->ended && rc == GM_EXISTS ? GM_OK : rc;
}

/* The times of objects and folders are the source's own; that the listings in full are a day apart is a matter of two
 * plans' clocks, and decides only when late objects are found. */
enum gm_code gm_plan_listed_since(const struct gm_plan_request *request, int64_t *since_us, struct gm_error *err)
{
	struct gm_bookmark_summary summary;
	int64_t lookback = request->job->source.lookback_us, age;
	*since_us = INT64_MIN;
	if (lookback <= 0 || request->full_us == 0) return GM_OK;
	if (__builtin_sub_overflow(request->now_us, request->full_us, &age) || age < 0 || age >= GM_US_PER_DAY)
		return GM_OK;
	GM_TRY(gm_bookmark_summarize(request->bookmark, &summary, err));
	if (summary.objects == 0 || __builtin_sub_overflow(summary.newest_us, lookback, since_us)) *since_us = INT64_MIN;
	return GM_OK;
}

/* What was left lies anywhere, and the newest object that the plan takes may be newer than all of it. */
static int64_t full_us_after(const struct gm_plan_request *request, const struct gm_plan_listing *listing)
{
	if (listing->left > 0) return 0;
	return listing->full ? request->now_us : request->full_us;
}

enum gm_code gm_plan_list(struct gm_plan *plan, const struct gm_plan_request *request, struct gm_error *err)
{
	struct listing listing = {.request = request, .intake = {.request = request, .plan = plan}};
	struct gm_source_range range = {.after = request->after};
	GM_TRY(gm_plan_listed_since(request, &range.since_us, err));
	listing.sums.full = range.since_us == INT64_MIN && range.after == NULL;
	GM_TRY(list_range(&listing, &range, err));
	if (request->listing != NULL) *request->listing = listing.sums;
	plan->full_us = full_us_after(request, &listing.sums);
	bool fails = listing.sums.changed > 0 && request->job->source.on_change == GM_ON_CHANGE_FAIL;
	return fails ? fail_changed(&listing, err) : GM_OK;
}
