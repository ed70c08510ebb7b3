/* quarantined.c - what committed runs rejected, counted and shown. Nothing is written, and nothing is held in memory
 * but the names of the files. */
#include "base/flag.h"
#include "run/quarantine_files.h"
#include "run/runner.h"
#include "table/quarantine_reader.h"

#include <inttypes.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	REASONS = GM_REASON_EXPRESSION + 1,
	PIECE_BYTES = GM_QUARANTINE_TEXT_BYTES / 3 * 3 + 3, /* a whole text, and a multiple of three */
};
static const size_t log_bytes = (size_t)64 << 20, set_bytes = (size_t)8 << 20;

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for reading the quarantine");
}

struct kept {
	const char *key;
	uint64_t run, replayed_by;
};

/* A reading of the quarantine. */
struct reading {
	const struct gm_quarantine_filter *filter;
	struct gm_opened opened;
	struct gm_store *table; /* NULL: there is none */
	struct gm_layout layout;
	struct gm_history history;
	struct gm_arena arena; /* keys */
	struct kept *files;    /* in plan order */
	size_t count, room;
	struct gm_quarantine_reader *reader;
	struct gm_store_reader *object;
	uint8_t *piece;
	bool stopped; /* by whoever is told */
};

/* --- Files -------------------------------------------------------------------------------------------------------- */

static enum gm_code note_file(void *context, const struct gm_quarantine_file *file, struct gm_error *err)
{
	struct reading *reading = context;
	if (reading->filter->run != 0 && file->run != reading->filter->run) return GM_OK;
	struct kept *grown = gm_grow(reading->files, reading->count, &reading->room, sizeof *grown);
	if (grown == NULL) return out_of_memory(err);
	reading->files = grown;
	const char *key = gm_arena_strndup(&reading->arena, file->info->key, strlen(file->info->key));
	if (key == NULL) return out_of_memory(err);
	reading->files[reading->count++] = (struct kept){key, file->run, file->replayed_by};
	return GM_OK;
}

static enum gm_code check_filter(const struct reading *reading, struct gm_error *err)
{
	enum gm_reason reason;
	const struct gm_quarantine_filter *filter = reading->filter;
	if (filter->reason != NULL && !gm_reason_of(filter->reason, &reason)) {
		(void)gm_error_set(err, GM_USAGE, "'%s' is no reason for which records are rejected", filter->reason);
		return gm_error_hint(err, GM_USAGE,
		                     "docs/quarantine.md lists them; 'gristmill quarantine JOB list' those that occur");
	}
	if (filter->run == 0 || gm_bookmark_has_run(reading->history.bookmark, filter->run)) return GM_OK;
	GM_FAIL(err, GM_USAGE, "run %" PRIu64 " of this job is not committed", filter->run);
}

/* Close it also on failure. */
static enum gm_code open_reading(struct reading *reading, const struct gm_job *job,
                                 const struct gm_quarantine_filter *filter, struct gm_error *err)
{
	*reading = (struct reading){.filter = filter};
	gm_arena_init(&reading->arena, 16 * 1024);
	GM_TRY(gm_env_open(&reading->opened, job, NULL, 0, err));
	reading->table = reading->opened.env.table;
	GM_TRY(gm_layout_init(&reading->layout, job->id, err));
	if (reading->table == NULL)
		GM_TRY(gm_history_empty(&reading->history, err));
	else
		GM_TRY(gm_history_load(reading->table, job->id, log_bytes, NULL, &reading->history, err));
	GM_TRY(check_filter(reading, err));
	GM_TRY(gm_quarantine_reader_new(&reading->reader, err));
	reading->piece = malloc(PIECE_BYTES);
	if (reading->piece == NULL) return out_of_memory(err);
	if (reading->table == NULL) return GM_OK;
	return gm_quarantine_files_each(reading->table, &reading->layout, reading->history.bookmark, note_file, reading,
	                                err);
}

static void close_reading(struct reading *reading)
{
	gm_store_reader_close(reading->object);
	gm_quarantine_reader_free(reading->reader);
	gm_history_release(&reading->history);
	gm_arena_release(&reading->arena);
	free(reading->files);
	free(reading->piece);
	gm_env_close(&reading->opened);
}

static enum gm_code read_object(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	const struct reading *reading = context;
	if (gm_flag_is_set(reading->filter->stop))
		GM_FAIL(err, GM_INTERRUPTED, "stopped before all of the quarantine was read");
	return gm_store_reader_read(reading->object, into, bytes, got, err);
}

typedef enum gm_code entry_fn(void *context, struct reading *reading, const struct kept *file,
                              const struct gm_quarantine_head *head, struct gm_error *err);

static bool is_wanted(const struct gm_quarantine_filter *filter, const struct gm_quarantine_head *head)
{
	return (filter->object == NULL || strcmp(filter->object, head->object) == 0) &&
	       (filter->reason == NULL || strcmp(filter->reason, gm_reason_code(head->reason)) == 0);
}

static enum gm_code read_entries(struct reading *reading, const struct kept *file, entry_fn *each, void *context,
                                 struct gm_error *err)
{
	const struct gm_quarantine_head *head;
	gm_quarantine_reader_begin(reading->reader, read_object, reading);
	GM_TRY(gm_quarantine_reader_next(reading->reader, &head, err));
	while (head != NULL && !reading->stopped) {
		if (is_wanted(reading->filter, head)) GM_TRY(each(context, reading, file, head, err));
		if (!reading->stopped) GM_TRY(gm_quarantine_reader_next(reading->reader, &head, err));
	}
	return GM_OK;
}

static enum gm_code read_file(struct reading *reading, const struct kept *file, entry_fn *each, void *context,
                              struct gm_error *err)
{
	enum gm_code rc = gm_store_reader_open(reading->table, file->key, &reading->object, err);
	if (rc == GM_OK) rc = read_entries(reading, file, each, context, err);
	gm_store_reader_close(reading->object);
	reading->object = NULL;
	if (rc == GM_OK || err->object[0] != '\0') return rc;
	return gm_error_object(err, rc, file->key, strlen(file->key));
}

/* The files of the newest run among the first `end`: files[*first .. end). */
static void find_run(const struct reading *reading, size_t end, size_t *first)
{
	*first = end - 1;
	while (*first > 0 && reading->files[*first - 1].run == reading->files[end - 1].run) (*first)--;
}

/* --- List --------------------------------------------------------------------------------------------------------- */

struct list {
	gm_quarantine_group_fn *each;
	void *context;
	const char *scratch;
	struct gm_keyset *objects;          /* of the run at hand */
	struct gm_quarantine_group *groups; /* REASONS for each run that replayed some of it */
	size_t count, room;
};

/* The groups of a run's files that one run replayed, or none. */
static struct gm_quarantine_group *find_groups(struct list *list, const struct kept *file)
{
	for (size_t i = 0; i < list->count; i += REASONS)
		if (list->groups[i].replayed_by == file->replayed_by) return &list->groups[i];
	if (list->count == list->room) {
		size_t room = list->room == 0 ? REASONS : list->room * 2;
		struct gm_quarantine_group *grown = realloc(list->groups, room * sizeof *grown);
		if (grown == NULL) return NULL;
		list->groups = grown;
		list->room = room;
	}
	struct gm_quarantine_group *groups = &list->groups[list->count];
	for (int i = 0; i < REASONS; i++)
		groups[i] = (struct gm_quarantine_group){
		    .run = file->run, .reason = gm_reason_code((enum gm_reason)i), .replayed_by = file->replayed_by};
	list->count += REASONS;
	return groups;
}

static enum gm_code count_object(struct list *list, const struct kept *file, const struct gm_quarantine_head *head,
                                 uint64_t *count, struct gm_error *err)
{
	uint8_t known = 0;
	XXH3_state_t state;
	uint64_t group[2] = {file->replayed_by, head->reason};
	XXH3_INITSTATE(&state);
	(void)XXH3_128bits_reset(&state);
	(void)XXH3_128bits_update(&state, group, sizeof group);
	(void)XXH3_128bits_update(&state, head->object, strlen(head->object));
	XXH128_hash_t digest = XXH3_128bits_digest(&state);
	struct gm_hash128 key = {digest.low64, digest.high64};
	GM_TRY(gm_keyset_add(list->objects, &key, NULL, NULL, 1, &known, NULL, err));
	*count += known == 0;
	return GM_OK;
}

static enum gm_code count_entry(void *context, struct reading *reading, const struct kept *file,
                                const struct gm_quarantine_head *head, struct gm_error *err)
{
	struct list *list = context;
	struct gm_quarantine_group *group = find_groups(list, file);
	if (group == NULL) return out_of_memory(err);
	group += head->reason;
	group->entries++;
	for (size_t got = 1; got > 0; group->bytes += got)
		GM_TRY(gm_quarantine_reader_read(reading->reader, reading->piece, PIECE_BYTES, &got, err));
	return count_object(list, file, head, &group->objects, err);
}

static enum gm_code list_run(struct reading *reading, struct list *list, const struct kept *files, size_t count,
                             struct gm_error *err)
{
	list->count = 0;
	GM_TRY(gm_keyset_new(set_bytes, list->scratch, &list->objects, err));
	enum gm_code rc = GM_OK;
	for (size_t i = 0; rc == GM_OK && i < count; i++) rc = read_file(reading, &files[i], count_entry, list, err);
	gm_keyset_free(list->objects);
	for (size_t i = 0; rc == GM_OK && i < list->count && !reading->stopped; i++)
		if (list->groups[i].entries > 0) reading->stopped = !list->each(list->context, &list->groups[i]);
	return rc;
}

static enum gm_code list_all(struct reading *reading, struct list *list, struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	for (size_t end = reading->count, first; rc == GM_OK && end > 0 && !reading->stopped; end = first) {
		find_run(reading, end, &first);
		rc = list_run(reading, list, &reading->files[first], end - first, err);
	}
	free(list->groups);
	return rc;
}

/* --- Show --------------------------------------------------------------------------------------------------------- */

struct show {
	gm_quarantine_entry_fn *each;
	void *context;
};

/* Fills the piece, so that only the last one is short. */
static enum gm_code read_piece(struct reading *reading, size_t *bytes, struct gm_error *err)
{
	*bytes = 0;
	for (size_t got = 1; got > 0 && *bytes < PIECE_BYTES; *bytes += got)
		GM_TRY(gm_quarantine_reader_read(reading->reader, reading->piece + *bytes, PIECE_BYTES - *bytes, &got, err));
	return GM_OK;
}

static enum gm_code show_entry(void *context, struct reading *reading, const struct kept *file,
                               const struct gm_quarantine_head *head, struct gm_error *err)
{
	const struct show *show = context;
	const struct gm_quarantine_entry entry = {.run = file->run,
	                                          .replayed_by = file->replayed_by,
	                                          .object = head->object,
	                                          .offset = head->offset,
	                                          .record = head->record,
	                                          .reason = gm_reason_code(head->reason),
	                                          .column = head->column,
	                                          .detail = head->detail,
	                                          .text = head->text};
	bool first = true, last = false;
	while (!last && !reading->stopped) {
		size_t bytes;
		GM_TRY(read_piece(reading, &bytes, err));
		last = bytes < PIECE_BYTES;
		reading->stopped = !show->each(show->context, &entry, reading->piece, bytes, first, last);
		first = false;
	}
	return GM_OK;
}

static enum gm_code show_all(struct reading *reading, struct show *show, struct gm_error *err)
{
	for (size_t end = reading->count, first; end > 0; end = first) {
		find_run(reading, end, &first);
		for (size_t i = first; i < end && !reading->stopped; i++)
			GM_TRY(read_file(reading, &reading->files[i], show_entry, show, err));
	}
	return GM_OK;
}

/* --- The calls ---------------------------------------------------------------------------------------------------- */

enum gm_code gm_quarantine_list(const struct gm_job *job, const struct gm_quarantine_filter *filter,
                                gm_quarantine_group_fn *each, void *context, struct gm_error *err)
{
	struct reading reading;
	enum gm_code rc = open_reading(&reading, job, filter, err);
	struct list list = {.each = each, .context = context, .scratch = reading.opened.env.scratch};
	if (rc == GM_OK) rc = list_all(&reading, &list, err);
	close_reading(&reading);
	return rc;
}

enum gm_code gm_quarantine_show(const struct gm_job *job, const struct gm_quarantine_filter *filter,
                                gm_quarantine_entry_fn *each, void *context, struct gm_error *err)
{
	struct reading reading;
	struct show show = {each, context};
	enum gm_code rc = open_reading(&reading, job, filter, err);
	if (rc == GM_OK) rc = show_all(&reading, &show, err);
	close_reading(&reading);
	return rc;
}
