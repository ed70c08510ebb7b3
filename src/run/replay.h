/* replay.h - a quarantine file as an input: its entries are read again, each by itself, as the spans they are.
 *
 * A plan's input whose key begins with "/_gristmill/" is not an object of the source but a quarantine file of the
 * table, under the key behind the '/'. Its books are those of its entries: records_read counts what the shredder finds
 * in them now, which may be several records to an entry, and at least one; bytes_raw are the bytes of the entries, not
 * of the file around them. What is rejected again keeps the object, offset and record number that it had. */
#ifndef GM_RUN_REPLAY_H
#define GM_RUN_REPLAY_H

#include "table/bookmark.h"
#include "table/quarantine_reader.h"

/* The key in the table of an input that is a quarantine file; NULL: it is an object of the source. */
static inline const char *gm_replay_key(const char *input_key)
{
	return gm_bookmark_quarantine(input_key);
}

struct gm_replay; /* one thread's */
enum gm_code gm_replay_new(struct gm_replay **out, struct gm_error *err) GM_CHECK;
void gm_replay_free(struct gm_replay *replay); /* NULL is allowed */
/* Starts a file: the source gives its stored bytes. Rejects go to `reject`, with the same context; what is rejected
 * belongs to the object that gm_replay_object names meanwhile. The shredder is used until the file's end. */
void gm_replay_begin(struct gm_replay *replay, struct gm_shredder *shredder, gm_source_fn *source, gm_reject_fn *reject,
                     void *context);
/* The next chunk, all of one entry; *out NULL: the end of the file. CORRUPT: the file is damaged. */
enum gm_code gm_replay_next(struct gm_replay *replay, uint32_t extra_slots, struct gm_chunk **out,
                            struct gm_error *err) GM_CHECK;
/* Of the entry in hand; NULL: none is. */
const char *gm_replay_object(const struct gm_replay *replay);
/* Of the entries that are done. */
const struct gm_shred_books *gm_replay_books(const struct gm_replay *replay);

#endif
