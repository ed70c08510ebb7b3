/* Reading entries: JSON lines, streamed, so that an entry of any size takes the memory of its longest line. And what an
 * entry says as a whole, for whoever asks what happened since a version. */
#include "table/delta_internal.h"

#include "base/parallel.h"

#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 64 * 1024 };

/* --- Lines -------------------------------------------------------------------------------------------------------- */

struct lines {
	struct gm_store_reader *reader;
	struct gm_buf buf;
	size_t start, scanned; /* of the line at hand; up to where there is no newline */
	bool end;
};

static enum gm_code read_more(struct lines *lines, struct gm_error *err)
{
	size_t got;
	if (lines->start > 0) {
		lines->buf.len -= lines->start;
		lines->scanned -= lines->start;
		memmove(lines->buf.data, lines->buf.data + lines->start, lines->buf.len);
		lines->start = 0;
	}
	enum gm_code code = gm_buf_reserve(&lines->buf, READ_BYTES, err);
	if (code == GM_VALUE) {
		code = gm_error_set(err, GM_NOMEM, "a line is longer than the %zu bytes that the memory given allows",
		                    lines->buf.max_bytes - READ_BYTES);
		return gm_error_hint(err, code, "give more memory (--memory)");
	}
	GM_TRY(code);
	GM_TRY(gm_store_reader_read(lines->reader, lines->buf.data + lines->buf.len, READ_BYTES, &got, err));
	lines->buf.len += got;
	lines->end = got < READ_BYTES;
	return GM_OK;
}

/* The next line without its newline; *line NULL: there is no more. */
static enum gm_code next_line(struct lines *lines, const char **line, size_t *bytes, struct gm_error *err)
{
	for (;;) {
		size_t rest = lines->buf.len - lines->scanned;
		const uint8_t *newline = rest > 0 ? memchr(lines->buf.data + lines->scanned, '\n', rest) : NULL;
		lines->scanned = lines->buf.len;
		if (newline == NULL && !lines->end) {
			GM_TRY(read_more(lines, err));
			continue;
		}
		size_t stop = newline != NULL ? (size_t)(newline - lines->buf.data) : lines->buf.len;
		bool last = newline == NULL && stop == lines->start;
		*line = last ? NULL : (const char *)lines->buf.data + lines->start;
		*bytes = stop - lines->start;
		lines->start = lines->scanned = newline != NULL ? stop + 1 : stop;
		return GM_OK;
	}
}

static bool is_blank(const char *line, size_t bytes)
{
	while (bytes > 0 && (line[bytes - 1] == ' ' || line[bytes - 1] == '\t' || line[bytes - 1] == '\r')) bytes--;
	return bytes == 0;
}

/* Can the line be passed over unread? Only when metaData and protocol alone are wanted, of which most entries have
 * none: what does not even hold the word is no such action. */
static bool is_unwanted(const char *line, size_t bytes, unsigned wanted)
{
	static const char metadata[] = "\"metaData\"", protocol[] = "\"protocol\"";
	return (wanted & ~(unsigned)GM_DELTA_WANT_HEAD) == 0 &&
	       memmem(line, bytes, metadata, sizeof metadata - 1) == NULL &&
	       memmem(line, bytes, protocol, sizeof protocol - 1) == NULL;
}

static enum gm_code read_lines(struct lines *lines, unsigned wanted, int *number, gm_delta_action_fn *each,
                               void *context, struct gm_error *err)
{
	struct gm_arena arena;
	const char *line;
	size_t bytes;
	enum gm_code rc = GM_OK;
	bool empty = true;
	gm_arena_init(&arena, 4096);
	for (*number = 1;; ++*number) {
		GM_TRY_OUT(next_line(lines, &line, &bytes, err));
		if (line == NULL) break;
		if (is_blank(line, bytes)) continue;
		empty = false;
		if (is_unwanted(line, bytes, wanted)) continue;
		struct gm_delta_action action;
		json_t *document = NULL;
		gm_arena_reset(&arena);
		rc = gm_delta_action_parse(line, bytes, wanted, &arena, &action, &document, err);
		if (rc == GM_OK && action.kind != GM_DELTA_NOTHING) rc = each(context, &action, err);
		json_decref(document);
		if (rc != GM_OK) goto out;
	}
	*number = 0;
	if (empty) rc = gm_error_set(err, GM_CORRUPT, "the entry is empty");
out:
	gm_arena_release(&arena);
	return rc;
}

enum gm_code gm_delta_blame(enum gm_code code, int64_t version, int line, struct gm_error *err)
{
	char key[GM_DELTA_KEY_BYTES];
	if (err == NULL || (code != GM_CORRUPT && code != GM_UNSUPPORTED && code != GM_NOMEM) || err->object[0] != '\0')
		return code;
	gm_delta_entry_key(version, key);
	err->line = line;
	if (code == GM_CORRUPT && err->hint[0] == '\0')
		(void)gm_error_hint(err, code, "restore it from a copy of the table; until then nothing is written to it");
	return gm_error_object(err, code, key, strlen(key));
}

enum gm_code gm_delta_read_entry(struct gm_store *table, int64_t version, unsigned wanted, size_t line_bytes_max,
                                 gm_delta_action_fn *each, void *context, struct gm_error *err)
{
	char key[GM_DELTA_KEY_BYTES];
	struct gm_store_reader *reader;
	gm_delta_entry_key(version, key);
	GM_TRY(gm_delta_blame(gm_store_reader_open(table, key, &reader, err), version, 0, err));
	return gm_delta_read_opened(reader, version, wanted, line_bytes_max, each, context, err);
}

enum gm_code gm_delta_read_opened(struct gm_store_reader *reader, int64_t version, unsigned wanted,
                                  size_t line_bytes_max, gm_delta_action_fn *each, void *context, struct gm_error *err)
{
	struct lines lines = {.reader = reader};
	int line = 0;
	gm_buf_init(&lines.buf, line_bytes_max + READ_BYTES);
	enum gm_code code = read_lines(&lines, wanted, &line, each, context, err);
	if (code == GM_OK) code = gm_store_reader_check(reader, err);
	code = gm_delta_blame(code, version, line, err);
	gm_store_reader_close(reader);
	gm_buf_release(&lines.buf);
	return code;
}

/* --- Entries ahead of need ---------------------------------------------------------------------------------------- */

static enum gm_code open_ahead(void *context, size_t i, struct gm_error *err)
{
	struct gm_delta_ahead *ahead = context;
	char key[GM_DELTA_KEY_BYTES];
	(void)err;
	gm_delta_entry_key(ahead->first + (int64_t)i, key);
	/* What fails is asked for again when its turn comes, and told then. */
	if (gm_store_reader_open(ahead->table, key, &ahead->readers[i], NULL) != GM_OK) ahead->readers[i] = NULL;
	return GM_OK;
}

static enum gm_code fill(struct gm_delta_ahead *ahead, int64_t version, struct gm_error *err)
{
	uint64_t left = (uint64_t)(ahead->last - version) + 1;
	ahead->first = version;
	ahead->count = left < GM_DELTA_AHEAD ? (size_t)left : GM_DELTA_AHEAD;
	if (ahead->count > ahead->table->parallel) ahead->count = ahead->table->parallel;
	return gm_parallel(ahead->count, ahead->table->parallel, open_ahead, ahead, err);
}

void gm_delta_ahead_release(struct gm_delta_ahead *ahead)
{
	for (size_t i = 0; i < ahead->count; i++) gm_store_reader_close(ahead->readers[i]);
	ahead->count = 0;
}

enum gm_code gm_delta_ahead_read(struct gm_delta_ahead *ahead, int64_t version, unsigned wanted, size_t line_bytes_max,
                                 gm_delta_action_fn *each, void *context, struct gm_error *err)
{
	uint64_t at = (uint64_t)(version - ahead->first);
	if (ahead->table->parallel > 1 && (version < ahead->first || at >= ahead->count)) {
		gm_delta_ahead_release(ahead);
		GM_TRY(fill(ahead, version, err));
		at = 0;
	}
	struct gm_store_reader *reader = at < ahead->count ? ahead->readers[at] : NULL;
	if (reader == NULL) return gm_delta_read_entry(ahead->table, version, wanted, line_bytes_max, each, context, err);
	ahead->readers[at] = NULL;
	return gm_delta_read_opened(reader, version, wanted, line_bytes_max, each, context, err);
}
