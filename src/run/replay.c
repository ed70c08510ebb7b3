#include "run/replay.h"

#include <stdlib.h>

struct gm_replay {
	struct gm_quarantine_reader *reader;
	struct gm_shredder *shredder;
	gm_reject_fn *reject;
	void *context;
	const struct gm_quarantine_head *head; /* of the entry in hand; NULL: none */
	struct gm_shred_books books;
};

enum gm_code gm_replay_new(struct gm_replay **out, struct gm_error *err)
{
	struct gm_replay *replay = calloc(1, sizeof *replay);
	*out = NULL;
	if (replay == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a replay");
	enum gm_code rc = gm_quarantine_reader_new(&replay->reader, err);
	if (rc != GM_OK) {
		gm_replay_free(replay);
		return rc;
	}
	*out = replay;
	return GM_OK;
}

void gm_replay_free(struct gm_replay *replay)
{
	if (replay == NULL) return;
	gm_quarantine_reader_free(replay->reader);
	free(replay);
}

void gm_replay_begin(struct gm_replay *replay, struct gm_shredder *shredder, gm_source_fn *source, gm_reject_fn *reject,
                     void *context)
{
	gm_quarantine_reader_begin(replay->reader, source, context);
	replay->shredder = shredder;
	replay->reject = reject;
	replay->context = context;
	replay->head = NULL;
	replay->books = (struct gm_shred_books){0};
}

const char *gm_replay_object(const struct gm_replay *replay)
{
	return replay->head != NULL ? replay->head->object : NULL;
}

const struct gm_shred_books *gm_replay_books(const struct gm_replay *replay)
{
	return &replay->books;
}

/* --- Entries ------------------------------------------------------------------------------------------------------ */

static enum gm_code read_entry(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	struct gm_replay *replay = context;
	return gm_quarantine_reader_read(replay->reader, into, bytes, got, err);
}

static enum gm_code pass_reject(void *context, const struct gm_reject *reject, const void *data, size_t bytes,
                                bool last, struct gm_error *err)
{
	struct gm_replay *replay = context;
	return replay->reject(replay->context, reject, data, bytes, last, err);
}

/* An entry that holds no record, such as the notice that an object is damaged: it stays what it was. */
static enum gm_code keep_notice(struct gm_replay *replay, struct gm_error *err)
{
	const struct gm_quarantine_head *head = replay->head;
	struct gm_reject reject = {.reason = head->reason,
	                           .record = head->record,
	                           .offset = head->offset,
	                           .damage_offset = head->offset,
	                           .column = head->column,
	                           .detail = head->detail};
	replay->books.read++;
	replay->books.quarantined++;
	return replay->reject(replay->context, &reject, "", 0, true, err);
}

static enum gm_code end_entry(struct gm_replay *replay, struct gm_error *err)
{
	const struct gm_shred_books *entry = gm_shredder_books(replay->shredder);
	struct gm_shred_books *books = &replay->books;
	books->read += entry->read;
	books->quarantined += entry->quarantined;
	books->record_bytes += entry->record_bytes;
	books->separator_bytes += entry->separator_bytes;
	books->quarantined_bytes += entry->quarantined_bytes;
	books->bytes_raw += entry->bytes_raw;
	books->duplicate_keys += entry->duplicate_keys;
	books->invalid_utf8 += entry->invalid_utf8;
	books->converted_null += entry->converted_null;
	return entry->read == 0 ? keep_notice(replay, err) : GM_OK;
}

static enum gm_code begin_entry(struct gm_replay *replay, struct gm_error *err)
{
	GM_TRY(gm_quarantine_reader_next(replay->reader, &replay->head, err));
	replay->books.bytes_in = gm_quarantine_reader_bytes_in(replay->reader);
	if (replay->head == NULL) return GM_OK;
	struct gm_excerpt excerpt = {.record = replay->head->record, .offset = replay->head->offset};
	gm_shredder_begin_excerpt(replay->shredder, &excerpt, read_entry, pass_reject, replay);
	return GM_OK;
}

enum gm_code gm_replay_next(struct gm_replay *replay, uint32_t extra_slots, struct gm_chunk **out, struct gm_error *err)
{
	*out = NULL;
	if (replay->head == NULL) GM_TRY(begin_entry(replay, err));
	while (replay->head != NULL) {
		GM_TRY(gm_shredder_next(replay->shredder, extra_slots, out, err));
		if (*out != NULL) return GM_OK;
		GM_TRY(end_entry(replay, err));
		GM_TRY(begin_entry(replay, err));
	}
	return GM_OK;
}
