/* why_find.c - which objects to look into for a key, and what became of the records that have it. */
#include "run/replay.h"
#include "run/source.h"
#include "run/why_internal.h"

#include <stdlib.h>

struct find {
	struct gm_why *why;
	struct gm_why_scan *scan;
	const struct gm_input *input;
	uint64_t run, unit; /* that processed it; run 0: none */
	uint64_t known;     /* objects that the bookmark knows */
	uint64_t timed;     /* the run by whose time the scan judges; 0: none yet */
};

/* --- Fates -------------------------------------------------------------------------------------------------------- */

/* The row of a partition; *number: its place. NULL: the table has none there. */
static const struct gm_why_row *row_of(const struct gm_why *why, const char *partition, size_t *number)
{
	for (size_t i = 0; i < why->row_count; i++) {
		*number = i;
		if (strcmp(why->rows[i].partition, partition) == 0) return &why->rows[i];
	}
	return NULL;
}

/* Of a record that a run kept, or would keep. The first in plan order, of those that came with the run that wrote the
 * row and are not in its list of duplicates, is the row. */
static enum gm_arrival_fate judge(struct find *find, const struct gm_why_match *match)
{
	size_t number;
	struct gm_why *why = find->why;
	if (find->run == 0) return GM_ARRIVAL_PENDING;
	const struct gm_why_row *row = row_of(why, match->partition, &number);
	if (row == NULL) return GM_ARRIVAL_NOT_THERE;
	bool of_run = row->run == find->run && row->unit == find->unit && strcmp(row->job, why->job->id) == 0;
	if (!of_run || why->won[number]) return GM_ARRIVAL_DUPLICATE;
	why->won[number] = true;
	return GM_ARRIVAL_WRITTEN;
}

static enum gm_code note_match(void *context, const struct gm_why_match *match, struct gm_error *err)
{
	struct find *find = context;
	struct gm_why_found *found;
	GM_TRY(gm_why_find(find->why, match->object, match->record, &found, err));
	if (found == NULL) return GM_OK;
	struct gm_why_arrival *arrival = &found->arrival;
	arrival->offset = match->offset;
	GM_TRY(gm_why_keep(find->why, match->partition, strlen(match->partition), &arrival->partition, err));
	/* By what its run kept, or by a look before; but a record that was rejected and is replayed comes once more. */
	bool again = gm_replay_key(find->input->key) != NULL && arrival->fate == GM_ARRIVAL_QUARANTINED;
	if (found->told && !again) return GM_OK;
	found->told = true;
	arrival->run = find->run;
	switch (match->fate) {
	case GM_FATE_KEEP: arrival->fate = judge(find, match); break;
	case GM_FATE_FILTERED: arrival->fate = GM_ARRIVAL_FILTERED; break;
	case GM_FATE_QUARANTINED: arrival->fate = GM_ARRIVAL_QUARANTINED; break;
	}
	if (find->run == 0) arrival->fate = GM_ARRIVAL_PENDING;
	return gm_why_keep(find->why, match->reason, strlen(match->reason), &arrival->detail, err);
}

/* --- Looking ------------------------------------------------------------------------------------------------------ */

static void mark_gone(struct gm_why *why, const char *object)
{
	for (size_t i = 0; i < why->found_count; i++)
		if (strcmp(why->found[i].arrival.object, object) == 0) why->found[i].arrival.gone = true;
}

/* A record is judged again by the time of the run that judged it. */
static enum gm_code set_time(struct find *find, uint64_t run, struct gm_error *err)
{
	struct gm_plan *plan;
	if (run == 0 || run == find->timed) return GM_OK;
	GM_TRY(gm_plan_read(find->why->table, &find->why->layout, run, &plan, err));
	find->timed = run;
	gm_why_scan_set_now(find->scan, plan->created_us);
	gm_plan_free(plan);
	return GM_OK;
}

static enum gm_code look(struct find *find, const struct gm_input *input, uint64_t run, uint64_t unit,
                         struct gm_error *err)
{
	bool read;
	struct gm_why *why = find->why;
	GM_TRY(set_time(find, run, err));
	find->input = input;
	find->run = run;
	find->unit = unit;
	GM_TRY(gm_why_scan_object(find->scan, input, note_match, find, &read, err));
	why->objects_done++;
	if (read) {
		why->result->objects_read++;
	} else {
		why->result->objects_gone++;
		mark_gone(why, input->key);
	}
	return GM_OK;
}

/* --- The objects of units ----------------------------------------------------------------------------------------- */

/* Has an earlier row the same unit? Then its objects have been looked into. */
static bool is_first_of_unit(const struct gm_why *why, size_t number)
{
	const struct gm_why_row *row = &why->rows[number];
	for (size_t i = 0; i < number; i++)
		if (why->rows[i].run == row->run && why->rows[i].unit == row->unit && strcmp(why->rows[i].job, row->job) == 0)
			return false;
	return true;
}

static enum gm_code look_into_unit(struct find *find, uint64_t run, uint64_t unit, struct gm_error *err)
{
	struct gm_plan *plan;
	struct gm_why *why = find->why;
	GM_TRY(gm_plan_read(why->table, &why->layout, run, &plan, err));
	enum gm_code rc = GM_OK;
	for (size_t i = 0; unit < plan->unit_count && rc == GM_OK && i < plan->units[unit].count; i++) {
		why->objects = why->objects_done + plan->units[unit].count - i;
		rc = look(find, &plan->units[unit].inputs[i], run, unit, err);
	}
	gm_plan_free(plan);
	return rc;
}

/* An input of a run, with the unit it was in. */
static enum gm_code look_into_input(struct find *find, const char *key, uint64_t run, struct gm_error *err)
{
	struct gm_plan *plan;
	struct gm_why *why = find->why;
	GM_TRY(gm_plan_read(why->table, &why->layout, run, &plan, err));
	enum gm_code rc = GM_OK;
	for (size_t unit = 0; rc == GM_OK && unit < plan->unit_count; unit++)
		for (size_t i = 0; rc == GM_OK && i < plan->units[unit].count; i++)
			if (strcmp(plan->units[unit].inputs[i].key, key) == 0)
				rc = look(find, &plan->units[unit].inputs[i], run, unit, err);
	gm_plan_free(plan);
	return rc;
}

/* A list of duplicates tells object and record, not where that begins. What was rejected may have been replayed since.
 */
static enum gm_code look_into_arrival(struct find *find, const struct gm_why_found *found, struct gm_error *err)
{
	const struct gm_why_arrival *arrival = &found->arrival;
	if (arrival->offset == UINT64_MAX && !arrival->gone && arrival->run > 0)
		GM_TRY(look_into_input(find, arrival->object, arrival->run, err));
	if (found->replayed_by == 0 || arrival->fate != GM_ARRIVAL_QUARANTINED) return GM_OK;
	return look_into_input(find, found->replay, found->replayed_by, err);
}

enum gm_code gm_why_find_arrivals(struct gm_why *why, struct gm_why_scan *scan, struct gm_error *err)
{
	struct find find = {.why = why, .scan = scan};
	for (size_t i = 0; i < why->row_count; i++) {
		const struct gm_why_row *row = &why->rows[i];
		if (row->run == 0 || strcmp(row->job, why->job->id) != 0 || !is_first_of_unit(why, i)) continue;
		GM_TRY(look_into_unit(&find, row->run, row->unit, err));
	}
	for (size_t i = 0; i < why->found_count; i++) GM_TRY(look_into_arrival(&find, &why->found[i], err));
	return GM_OK;
}

/* --- Everywhere --------------------------------------------------------------------------------------------------- */

static enum gm_code note_object(void *context, const struct gm_object_info *info, const struct gm_bookmark_entry *known,
                                struct gm_error *err)
{
	struct find *find = context;
	struct gm_why *why = find->why;
	struct gm_input input = {.key = info->key, .size = info->size, .mtime_us = info->mtime_us, .etag = info->etag};
	bool changed = known != NULL && gm_source_is_changed(info, known);
	find->known += known != NULL;
	why->objects = why->objects_done + 1;
	why->result->objects_gone += changed;
	/* The unit does not matter: without a row there is no run that wrote it, and with one its unit was looked into. */
	GM_TRY(look(find, &input, known != NULL && !changed ? known->run : 0, UINT64_MAX, err));
	if (changed) mark_gone(why, info->key);
	return GM_OK;
}

enum gm_code gm_why_find_everywhere(struct gm_why *why, struct gm_why_scan *scan, struct gm_error *err)
{
	struct find find = {.why = why, .scan = scan};
	struct gm_bookmark_summary summary;
	struct gm_bookmark *bookmark = why->history.bookmark;
	why->result->everywhere = true;
	why->result->objects_read = why->result->objects_gone = 0; /* those of units are among them */
	GM_TRY(gm_source_list(why->source, bookmark, NULL, note_object, &find, err));
	GM_TRY(gm_bookmark_summarize(bookmark, &summary, err));
	why->result->objects_gone += summary.objects > find.known ? summary.objects - find.known : 0;
	return GM_OK;
}
