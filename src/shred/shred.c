/* shred.c - the documents of an object, one after the other: where one begins, what becomes of it, and where to go on
 * when it is broken.
 *
 * Between documents there is white space or nothing. A '[' opens a top-level array, whose elements are read like
 * documents of their own; its brackets and commas count as separators. A document that is no JSON or is cut off by the
 * object's end makes everything from its start to the next line break that is followed by '{' or '[' one rejected span.
 * Of one that is too large the bytes that the limit allows are known to belong together, so the search begins behind
 * them. The span is handed out as it passes through the window, however long it is. In an array reading then goes on
 * loosely: commas, a closing bracket, or nothing may come between what follows, for nobody knows what the span has
 * swallowed.
 *
 * Every byte of the object is counted exactly once, as part of a record, a separator, or a rejected span. */
#include "shred/record.h"
#include "shred/unclosed.h"
#include "shred/window.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	MIN_WINDOW_BYTES = 16,
	MAX_WINDOW_BYTES = 256 * 1024 * 1024,
	MAX_RECORD_BYTES = 1024 * 1024 * 1024, /* three times this, and a window, still fit the ends of a plain column */
};

enum place {
	PLACE_TOP,   /* outside of arrays */
	PLACE_FIRST, /* behind '[' */
	PLACE_NEXT,  /* behind a comma of an array */
	PLACE_AFTER, /* behind an element */
	PLACE_LOOSE, /* in an array that had a broken element */
	PLACE_CUT,   /* at the start of an excerpt: a value stands here, and a '[' is one */
};

struct gm_shredder {
	struct gm_parser parser;
	struct gm_window window;
	struct gm_blocks *blocks;
	struct gm_chunk_pool *pool;
	gm_reject_fn *reject;
	void *context;
	size_t max_record_bytes;
	struct gm_shred_books books;
	enum place place;
	bool excerpt; /* not a whole object: its records have all the number `number` */
	uint64_t number;
	bool begun;    /* the object's first bytes have been looked at */
	bool ended;    /* nothing more comes from this object */
	bool skipping; /* inside a rejected span, `entry` */
	size_t sure;   /* bytes at pos that belong to that span, whatever they are */
	bool damage_told;
	struct gm_reject entry;
	char detail[512];
	struct gm_unclosed unclosed; /* of the last broken document that reading resumed in */
	struct gm_leaf **required;   /* NULL-terminated */
};

static const char *const reason_codes[] = {
#define X(name, code, text) [GM_REASON_##name] = (code),
    GM_REASONS(X)
#undef X
};

const char *gm_reason_code(enum gm_reason reason)
{
	return reason_codes[reason];
}

bool gm_reason_of(const char *code, enum gm_reason *reason)
{
	for (size_t i = 0; i < sizeof reason_codes / sizeof *reason_codes; i++) {
		*reason = (enum gm_reason)i;
		if (strcmp(reason_codes[i], code) == 0) return true;
	}
	return false;
}

enum gm_code gm_shredder_new(const struct gm_shred_leaf *leaves, size_t leaf_count,
                             const struct gm_shred_options *options, struct gm_chunk_pool *pool,
                             struct gm_shredder **out, struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	size_t window_bytes = options->window_bytes < MIN_WINDOW_BYTES ? MIN_WINDOW_BYTES : options->window_bytes;
	*out = NULL;
	if (options->max_record_bytes == 0 || options->max_record_bytes > MAX_RECORD_BYTES ||
	    window_bytes > MAX_WINDOW_BYTES)
		GM_FAIL(err, GM_USAGE, "records may be limited to 1 .. %d bytes, the window to %d", (int)MAX_RECORD_BYTES,
		        (int)MAX_WINDOW_BYTES);
	struct gm_shredder *shredder = calloc(1, sizeof *shredder);
	if (shredder == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a shredder");
	shredder->pool = pool;
	shredder->ended = true;
	shredder->max_record_bytes = options->max_record_bytes;
	/* A few bytes more than the largest record, to see that it ends. */
	gm_window_init(&shredder->window, window_bytes, options->max_record_bytes + MIN_WINDOW_BYTES);
	shredder->window.room = options->room;
	shredder->window.room_context = options->room_context;
	GM_TRY_OUT(gm_parser_init(&shredder->parser, leaves, leaf_count, options->dict_bytes_max, err));
	shredder->blocks = gm_blocks_new(window_bytes);
	shredder->required = calloc(leaf_count + 1, sizeof *shredder->required);
	if (shredder->blocks == NULL || shredder->required == NULL) {
		rc = gm_error_set(err, GM_NOMEM, "out of memory for a shredder");
		goto out;
	}
	for (size_t i = 0, at = 0; i < leaf_count; i++)
		if (leaves[i].required) shredder->required[at++] = &shredder->parser.columns.leaves[i];
	*out = shredder;
out:
	if (rc != GM_OK) gm_shredder_free(shredder);
	return rc;
}

void gm_shredder_free(struct gm_shredder *shredder)
{
	if (shredder == NULL) return;
	gm_parser_release(&shredder->parser);
	gm_window_release(&shredder->window);
	gm_unclosed_release(&shredder->unclosed);
	gm_blocks_free(shredder->blocks);
	free(shredder->required);
	free(shredder);
}

static void begin(struct gm_shredder *shredder, uint64_t base, gm_reject_fn *reject, void *context)
{
	gm_window_begin(&shredder->window, base);
	gm_unclosed_clear(&shredder->unclosed);
	shredder->reject = reject;
	shredder->context = context;
	shredder->books = (struct gm_shred_books){0};
	shredder->place = PLACE_TOP;
	shredder->excerpt = false;
	shredder->begun = shredder->ended = shredder->skipping = shredder->damage_told = false;
}

void gm_shredder_begin(struct gm_shredder *shredder, gm_source_fn *source, gm_reject_fn *reject, void *context)
{
	gm_blocks_begin(shredder->blocks, false, source, context);
	begin(shredder, 0, reject, context);
}

void gm_shredder_begin_excerpt(struct gm_shredder *shredder, const struct gm_excerpt *excerpt, gm_source_fn *source,
                               gm_reject_fn *reject, void *context)
{
	gm_blocks_begin(shredder->blocks, true, source, context);
	begin(shredder, excerpt->offset, reject, context);
	shredder->place = PLACE_CUT;
	shredder->excerpt = true;
	shredder->number = excerpt->record;
}

const struct gm_shred_books *gm_shredder_books(const struct gm_shredder *shredder)
{
	return &shredder->books;
}

const uint8_t *gm_shredder_raw(const struct gm_shredder *shredder, const struct gm_chunk *chunk, uint32_t row)
{
	return shredder->window.data + (chunk->offset[row] - shredder->window.base);
}

bool gm_shredder_claim_ahead(struct gm_shredder *shredder)
{
	return gm_blocks_claim(shredder->blocks);
}

void gm_shredder_inflate_ahead(struct gm_shredder *shredder)
{
	gm_blocks_inflate(shredder->blocks);
}

bool gm_shredder_busy(const struct gm_shredder *shredder)
{
	return gm_blocks_busy(shredder->blocks);
}

static uint64_t offset_of(const struct gm_shredder *shredder, const uint8_t *p)
{
	return shredder->window.base + (uint64_t)(p - shredder->window.data);
}

/* Of the next record. */
static uint64_t record_number(const struct gm_shredder *shredder)
{
	return shredder->excerpt ? shredder->number : shredder->books.read;
}

/* --- Rejected spans ----------------------------------------------------------------------------------------------- */

/* Opens an entry for a record that begins at pos. */
static void open_entry(struct gm_shredder *shredder, enum gm_reason reason, uint64_t damage_offset, const char *column)
{
	shredder->entry = (struct gm_reject){.reason = reason,
	                                     .record = record_number(shredder),
	                                     .offset = shredder->window.base + shredder->window.pos,
	                                     .damage_offset = damage_offset,
	                                     .column = column,
	                                     .detail = shredder->detail};
	shredder->books.read++;
	shredder->books.quarantined++;
}

/* Hands out the next `bytes` of the window as part of the entry. */
static enum gm_code pass_on(struct gm_shredder *shredder, size_t bytes, bool last, struct gm_error *err)
{
	struct gm_window *window = &shredder->window;
	const uint8_t *data = window->data != NULL ? window->data + window->pos : (const uint8_t *)"";
	window->pos += bytes;
	shredder->books.quarantined_bytes += bytes;
	return shredder->reject(shredder->context, &shredder->entry, data, bytes, last, err);
}

/* The record at pos cannot be read: skip what must be skipped. */
static void open_broken(struct gm_shredder *shredder, enum gm_reason reason, uint64_t damage_offset)
{
	open_entry(shredder, reason, damage_offset, "");
	shredder->skipping = true;
	shredder->sure = 0;
	if (shredder->place != PLACE_TOP) shredder->place = PLACE_LOOSE;
}

/* Looks for the first line break that is followed by '{' or '['. *end is where the span ends, or how far it is known to
 * go on: a line break at the end of the window may be one, depending on what comes. The first `sure` bytes are not
 * looked at. */
static bool find_resumption(const struct gm_window *window, size_t sure, const uint8_t **end)
{
	const uint8_t *limit = window->data + window->len, *p = window->data + window->pos + sure;
	for (;;) {
		p = gm_scan_line(p, limit);
		*end = p;
		if (p == limit) return false;
		p += p[0] == '\r' && p[1] == '\n' ? 2 : 1; /* behind the limit there is a NUL */
		if (p == limit) {
			if (window->ended) *end = limit;
			return false;
		}
		if (*p == '{' || *p == '[') return true;
	}
}

/* Reading resumes at `at`: if that is inside the broken document at pos, what will be read next is broken, too,
 * wherever a bracket stands that the document never closed. */
static enum gm_code note_unclosed(struct gm_shredder *shredder, const uint8_t *at, struct gm_error *err)
{
	const struct gm_reject *entry = &shredder->entry;
	const struct gm_window *window = &shredder->window;
	uint64_t start = window->base + window->pos;
	if (entry->offset != start || entry->damage_offset <= offset_of(shredder, at)) return GM_OK;
	if (gm_unclosed_at(&shredder->unclosed, start)) return GM_OK; /* known from the list itself */
	const uint8_t *p = window->data + window->pos;
	return gm_unclosed_list(&shredder->unclosed, p, p + (entry->damage_offset - start), start,
	                        entry->reason == GM_REASON_NOT_JSON ? shredder->parser.json.fault : NULL, err);
}

/* Passes on what the window holds of the span. A span that goes on behind the window begins only when the rows before
 * it are gone: deriving may reject some of them, and entries come one after the other. */
static enum gm_code skip_broken(struct gm_shredder *shredder, struct gm_error *err)
{
	const struct gm_window *window = &shredder->window;
	const uint8_t *end;
	bool found = find_resumption(window, shredder->sure, &end);
	if (found) GM_TRY(note_unclosed(shredder, end, err));
	if (!found && !window->ended && shredder->parser.columns.rows > 0) return GM_OK;
	size_t bytes = (size_t)(end - (window->data + window->pos));
	shredder->skipping = !found && !window->ended;
	shredder->sure = 0;
	return bytes > 0 || !shredder->skipping ? pass_on(shredder, bytes, !shredder->skipping, err) : GM_OK;
}

/* --- Records ------------------------------------------------------------------------------------------------------ */

static enum gm_reason reason_of(const struct gm_leaf *leaf)
{
	if (leaf->fault == GM_FAULT_RANGE) return GM_REASON_OUT_OF_RANGE;
	return leaf->spec.required ? GM_REASON_REQUIRED : GM_REASON_CONVERSION;
}

/* The first leaf, in their order, that forbids the row; NULL: none. A fault under on_error: fail goes before all
 * others. */
static const struct gm_leaf *forbidding_leaf(const struct gm_shredder *shredder)
{
	const struct gm_columns *columns = &shredder->parser.columns;
	if (columns->faults == 0) {
		for (struct gm_leaf **leaf = shredder->required; *leaf != NULL; leaf++)
			if (gm_leaf_is_null(columns, *leaf)) return *leaf;
		return NULL;
	}
	const struct gm_leaf *first = NULL;
	for (size_t i = 0; i < columns->count; i++) {
		const struct gm_leaf *leaf = &columns->leaves[i];
		bool fault = leaf->fault != GM_FAULT_NONE;
		if (fault && leaf->spec.on_error == GM_ON_ERROR_FAIL) return leaf;
		bool forbids = leaf->spec.required ? gm_leaf_is_null(columns, leaf)
		                                   : fault && leaf->spec.on_error == GM_ON_ERROR_QUARANTINE;
		if (forbids && first == NULL) first = leaf;
	}
	return first;
}

static enum gm_code fail_value(const struct gm_shredder *shredder, const struct gm_leaf *leaf, uint64_t offset,
                               struct gm_error *err)
{
	(void)gm_error_set(err, GM_VALUE, "column %s: %s (record %" PRIu64 ", at byte %" PRIu64 " of the inflated object)",
	                   leaf->spec.name,
	                   leaf->fault == GM_FAULT_RANGE ? "the timestamp is outside the years 0001 to 9999"
	                                                 : "the value cannot be converted",
	                   record_number(shredder), offset);
	if (err != NULL) err->offset = offset;
	return gm_error_hint(err, GM_VALUE, "on_error: null or quarantine lets the run go on");
}

/* The record p .. p + length is whole, but a column rejects it. */
static enum gm_code reject_row(struct gm_shredder *shredder, const struct gm_leaf *leaf, const uint8_t *p,
                               size_t length, struct gm_error *err)
{
	if (leaf->fault != GM_FAULT_NONE && leaf->spec.on_error == GM_ON_ERROR_FAIL)
		return fail_value(shredder, leaf, offset_of(shredder, p), err);
	const char *what = "is null or absent";
	if (leaf->fault == GM_FAULT_RANGE) what = "has a timestamp outside the years 0001 to 9999";
	if (leaf->fault == GM_FAULT_VALUE) what = "has a value that cannot be converted";
	(void)snprintf(shredder->detail, sizeof shredder->detail, "column %s %s (%s)", leaf->spec.name, what,
	               gm_type_name(leaf->spec.type));
	open_entry(shredder, reason_of(leaf), offset_of(shredder, p), leaf->spec.name);
	gm_columns_clear_row(&shredder->parser.columns);
	return pass_on(shredder, length, true, err);
}

/* Counts what was lost or mended in a row that is kept. */
static void count_faults(struct gm_shredder *shredder)
{
	struct gm_columns *columns = &shredder->parser.columns;
	if (columns->faults == 0 && !columns->mended) return;
	for (size_t i = 0; i < columns->count; i++) {
		struct gm_leaf *leaf = &columns->leaves[i];
		if (leaf->fault != GM_FAULT_NONE) shredder->books.converted_null++;
		shredder->books.invalid_utf8 += leaf->mended;
		leaf->fault = GM_FAULT_NONE;
		leaf->mended = 0;
	}
	columns->faults = 0;
	columns->mended = false;
}

static enum gm_code take_row(struct gm_shredder *shredder, const uint8_t *p, size_t length, struct gm_error *err)
{
	const struct gm_leaf *leaf = forbidding_leaf(shredder);
	if (__builtin_expect(leaf != NULL, 0)) return reject_row(shredder, leaf, p, length, err);
	struct gm_shred_books *books = &shredder->books;
	count_faults(shredder);
	books->duplicate_keys += shredder->parser.duplicates;
	uint64_t number = record_number(shredder);
	if (!gm_columns_advance(&shredder->parser.columns, number, offset_of(shredder, p), (uint32_t)length))
		GM_FAIL(err, GM_NOMEM, "out of memory for a dictionary");
	books->read++;
	books->record_bytes += length;
	shredder->window.pos += length;
	return GM_OK;
}

/* --- Documents ---------------------------------------------------------------------------------------------------- */

/* The end of the value at p that is no object, or NULL with json's fault set. What follows a number or literal must not
 * look like more of it. */
static const uint8_t *read_other(struct gm_shredder *shredder, const uint8_t *p)
{
	struct gm_json *json = &shredder->parser.json;
	const struct gm_window *window = &shredder->window;
	const uint8_t *end = gm_json_skip(json, p);
	if (end == NULL || *p == '"' || *p == '[' || gm_is_space(*end)) return end;
	if (end == window->data + window->len) return window->ended ? end : gm_json_fail(json, end, "");
	return strchr("{[\"],}", *end) != NULL && *end != '\0' ? end : gm_json_fail(json, end, "a value must end here");
}

static enum gm_code out_of_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory while reading a record");
}

/* The document at pos broke `good` bytes behind its start; what == NULL: there the object ends. */
static void open_not_json(struct gm_shredder *shredder, uint64_t good, const char *what)
{
	if (what == NULL)
		(void)snprintf(shredder->detail, sizeof shredder->detail, "the object ends inside a document");
	else
		(void)snprintf(shredder->detail, sizeof shredder->detail, "%s, %" PRIu64 " bytes into the document", what,
		               good);
	open_broken(shredder, what == NULL ? GM_REASON_TRUNCATED : GM_REASON_NOT_JSON,
	            shredder->window.base + shredder->window.pos + good);
}

/* The document at pos has more bytes than it may have, all of them in the window. They are one value or the start of
 * one: none of them can be a document. */
static void open_too_large(struct gm_shredder *shredder)
{
	size_t max = shredder->max_record_bytes;
	(void)snprintf(shredder->detail, sizeof shredder->detail, "the record is larger than %zu bytes", max);
	open_broken(shredder, GM_REASON_TOO_LARGE, shredder->window.base + shredder->window.pos + max);
	shredder->sure = max;
}

/* The document at p is not whole in the window. *more: it may be, with more of the object. */
static enum gm_code take_cut(struct gm_shredder *shredder, const uint8_t *p, bool *more, struct gm_error *err)
{
	struct gm_window *window = &shredder->window;
	size_t have = window->len - window->pos;
	if (have > shredder->max_record_bytes) {
		open_too_large(shredder);
	} else if (!window->ended) {
		*more = true;
	} else if (window->damaged) {
		(void)snprintf(shredder->detail, sizeof shredder->detail, "%s", window->damage.message);
		open_entry(shredder, GM_REASON_DAMAGED, offset_of(shredder, p) + have, "");
		shredder->damage_told = true;
		return pass_on(shredder, have, true, err);
	} else {
		open_not_json(shredder, have, NULL);
	}
	return GM_OK;
}

/* The document at p could not be read: json says why. */
static enum gm_code take_broken(struct gm_shredder *shredder, const uint8_t *p, bool *more, struct gm_error *err)
{
	const struct gm_json *json = &shredder->parser.json;
	if (shredder->parser.no_memory || json->fault == NULL) return out_of_memory(err);
	gm_columns_clear_row(&shredder->parser.columns);
	if (json->fault_at >= shredder->window.data + shredder->window.len) return take_cut(shredder, p, more, err);
	size_t good = (size_t)(json->fault_at - p);
	if (good >= shredder->max_record_bytes)
		open_too_large(shredder);
	else
		open_not_json(shredder, good, json->fault);
	return GM_OK;
}

/* The value at pos, whatever it is. *more: the window holds too little of it, and nothing was done. */
static enum gm_code take_value(struct gm_shredder *shredder, bool *more, struct gm_error *err)
{
	const uint8_t *p = shredder->window.data + shredder->window.pos;
	bool object = *p == '{';
	if (gm_unclosed_at(&shredder->unclosed, offset_of(shredder, p))) {
		const struct gm_unclosed *unclosed = &shredder->unclosed;
		open_not_json(shredder, unclosed->fault - offset_of(shredder, p), unclosed->what);
		return GM_OK;
	}
	const uint8_t *end = object ? shredder->parser.read(&shredder->parser, p) : read_other(shredder, p);
	if (__builtin_expect(end == NULL, 0)) return take_broken(shredder, p, more, err);
	size_t length = (size_t)(end - p);
	if (__builtin_expect(length > shredder->max_record_bytes, 0)) {
		gm_columns_clear_row(&shredder->parser.columns);
		open_too_large(shredder);
		return GM_OK;
	}
	if (shredder->place == PLACE_FIRST || shredder->place == PLACE_NEXT) shredder->place = PLACE_AFTER;
	if (shredder->place == PLACE_CUT) shredder->place = PLACE_LOOSE;
	if (object) return take_row(shredder, p, length, err);
	(void)snprintf(shredder->detail, sizeof shredder->detail, "an object was expected");
	open_entry(shredder, GM_REASON_NOT_OBJECT, offset_of(shredder, p), "");
	return pass_on(shredder, length, true, err);
}

static bool in_column_zero(const struct gm_window *window)
{
	uint8_t before = window->pos > 0 ? window->data[window->pos - 1] : window->before;
	return before == '\n' || before == '\r';
}

/* Whether the byte at pos stands between values; the place changes accordingly. *bad: it must not stand here. */
static bool take_separator(struct gm_shredder *shredder, bool *bad)
{
	struct gm_window *window = &shredder->window;
	uint8_t byte = window->data[window->pos];
	enum place place = shredder->place;
	bool taken = false;
	switch (byte) {
	case '[':
		taken = place == PLACE_TOP || (place == PLACE_LOOSE && in_column_zero(window));
		if (taken) shredder->place = PLACE_FIRST;
		break;
	case ']':
		taken = place == PLACE_FIRST || place == PLACE_AFTER || place == PLACE_LOOSE;
		if (taken) shredder->place = PLACE_TOP;
		break;
	case ',':
		taken = place == PLACE_AFTER || place == PLACE_LOOSE;
		if (place == PLACE_AFTER) shredder->place = PLACE_NEXT;
		break;
	default: break;
	}
	*bad = !taken && (byte == ']' || byte == ',' || place == PLACE_AFTER);
	return taken;
}

/* Moves pos to the next value. False: the window is used up, or *bad: something else stands there. */
static bool skip_separators(struct gm_shredder *shredder, bool *bad)
{
	struct gm_window *window = &shredder->window;
	size_t start = window->pos;
	bool taken = true;
	*bad = false;
	while (taken) {
		window->pos = (size_t)(gm_skip_space(window->data + window->pos) - window->data);
		taken = window->pos < window->len && take_separator(shredder, bad);
		window->pos += taken;
	}
	shredder->books.separator_bytes += window->pos - start;
	return window->pos < window->len && !*bad;
}

/* Reads what the window holds, until the chunk is full or *more is needed. */
static enum gm_code read_window(struct gm_shredder *shredder, bool *more, struct gm_error *err)
{
	struct gm_window *window = &shredder->window;
	*more = false;
	while (!*more && shredder->parser.columns.rows < GM_CHUNK_ROWS) {
		bool bad;
		if (shredder->skipping) {
			GM_TRY(skip_broken(shredder, err));
			*more = shredder->skipping;
		} else if (skip_separators(shredder, &bad)) {
			GM_TRY(take_value(shredder, more, err));
		} else if (bad) {
			(void)snprintf(shredder->detail, sizeof shredder->detail, "%s",
			               shredder->place == PLACE_AFTER ? "',' or ']' was expected" : "a value was expected");
			open_broken(shredder, GM_REASON_NOT_JSON, window->base + window->pos);
		} else {
			*more = true;
		}
	}
	return GM_OK;
}

/* All bytes are read: is there something to be said about the end? */
static enum gm_code finish_object(struct gm_shredder *shredder, struct gm_error *err)
{
	struct gm_window *window = &shredder->window;
	uint64_t end = window->base + window->len;
	if (window->damaged && !shredder->damage_told) {
		(void)snprintf(shredder->detail, sizeof shredder->detail, "%s", window->damage.message);
		open_entry(shredder, GM_REASON_DAMAGED, end, "");
		return pass_on(shredder, 0, true, err);
	}
	bool inside = shredder->place != PLACE_TOP && shredder->place != PLACE_LOOSE;
	if (inside && !window->damaged && !shredder->excerpt) {
		(void)snprintf(shredder->detail, sizeof shredder->detail, "the object ends inside an array");
		open_entry(shredder, GM_REASON_TRUNCATED, end, "");
		return pass_on(shredder, 0, true, err);
	}
	return GM_OK;
}

static enum gm_code refill(struct gm_shredder *shredder, struct gm_error *err)
{
	struct gm_window *window = &shredder->window;
	GM_TRY(gm_window_refill(window, shredder->blocks, err));
	gm_columns_begin(&shredder->parser.columns);
	if (!shredder->begun && !shredder->excerpt && window->len >= 3 && memcmp(window->data, "\xEF\xBB\xBF", 3) == 0) {
		window->pos = 3;
		shredder->books.separator_bytes = 3;
	}
	shredder->begun = true;
	return GM_OK;
}

/* Reads rows for one chunk: all that one window gives, at most GM_CHUNK_ROWS. None: the object is at its end. */
static enum gm_code read_rows(struct gm_shredder *shredder, struct gm_error *err)
{
	struct gm_window *window = &shredder->window;
	const struct gm_columns *columns = &shredder->parser.columns;
	gm_columns_begin(&shredder->parser.columns);
	for (;;) {
		bool more = true;
		if (shredder->begun) GM_TRY(read_window(shredder, &more, err));
		if (!more) return GM_OK;
		if (window->ended) break;
		if (columns->rows > 0) return GM_OK; /* before the bytes they stand in move */
		GM_TRY(refill(shredder, err));
	}
	shredder->ended = true;
	return finish_object(shredder, err);
}

enum gm_code gm_shredder_next(struct gm_shredder *shredder, uint32_t extra_slots, struct gm_chunk **out,
                              struct gm_error *err)
{
	struct gm_columns *columns = &shredder->parser.columns;
	*out = NULL;
	if (shredder->ended) {
		gm_window_rest(&shredder->window);
		return GM_OK;
	}
	enum gm_code rc = read_rows(shredder, err);
	shredder->books.bytes_in = gm_blocks_bytes_in(shredder->blocks);
	shredder->books.bytes_raw = gm_blocks_bytes_out(shredder->blocks);
	struct gm_chunk *chunk = NULL;
	if (rc == GM_OK && columns->rows > 0) {
		chunk = gm_chunk_take(shredder->pool, (uint32_t)columns->count + extra_slots, columns->rows);
		rc = chunk == NULL ? gm_error_set(err, GM_NOMEM, "out of memory for a chunk")
		                   : gm_columns_finish(columns, chunk, err);
	}
	if (rc != GM_OK) {
		shredder->ended = true;
		gm_chunk_unref(chunk);
		return rc;
	}
	if (chunk != NULL)
		chunk->first_record = chunk->record[0];
	else
		gm_window_rest(&shredder->window);
	*out = chunk;
	return GM_OK;
}
