/* quarantine_reader.h - reads a quarantine file back, entry by entry, in bounded memory: the file is input like any
 * other, and a span may be larger than memory.
 *
 * The format is quarantine.h's. An entry of text is one line that is parsed whole; the bytes of one in base64 are
 * decoded while they stream. Anything that gristmill would not have written is CORRUPT and says in which line; the
 * caller adds the name of the file. */
#ifndef GM_TABLE_QUARANTINE_READER_H
#define GM_TABLE_QUARANTINE_READER_H

#include "table/quarantine.h"

/* An entry but for its bytes. Texts live until the next one is asked for. */
struct gm_quarantine_head {
	const char *object, *column, *detail;
	uint64_t offset, record; /* below 2^62 */
	enum gm_reason reason;
	bool text; /* its bytes are UTF-8, and at most GM_QUARANTINE_TEXT_BYTES */
};

struct gm_quarantine_reader;
enum gm_code gm_quarantine_reader_new(struct gm_quarantine_reader **out, struct gm_error *err) GM_CHECK;
void gm_quarantine_reader_free(struct gm_quarantine_reader *reader); /* NULL is allowed */
/* Starts a file, whatever became of the one before; the source gives its bytes as they are stored. */
void gm_quarantine_reader_begin(struct gm_quarantine_reader *reader, gm_source_fn *source, void *context);
/* The next entry; *head NULL: the file has no more. What was not read of the one before is read over, and checked.
 * CORRUPT: the file is damaged, cut, or not one of ours. UNSUPPORTED: a reason that only a newer version knows. */
enum gm_code gm_quarantine_reader_next(struct gm_quarantine_reader *reader, const struct gm_quarantine_head **head,
                                       struct gm_error *err) GM_CHECK;
/* Up to `bytes` more of the entry's bytes; *got == 0 is their end. Those of a text come whole if `bytes` allow. */
enum gm_code gm_quarantine_reader_read(struct gm_quarantine_reader *reader, void *into, size_t bytes, size_t *got,
                                       struct gm_error *err) GM_CHECK;
/* Stored bytes read so far. */
uint64_t gm_quarantine_reader_bytes_in(const struct gm_quarantine_reader *reader);

#endif
