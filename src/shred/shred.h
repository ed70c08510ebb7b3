/* shred.h - JSON bytes straight into typed columns.
 *
 * A shredder reads the documents of one object after the other and fills chunks. It knows the leaves it wants (a path
 * of keys and a type each) and skips everything else without building anything. Records it cannot use go to the
 * quarantine callback, in the order in which they stand in the object.
 *
 * Format and rules: strict RFC 8259; documents separated by nothing or white space; top-level arrays are sequences of
 * records; a BOM at the start is skipped (a separator); conversions as docs/input.md says, reasons as
 * docs/quarantine.md. */
#ifndef GM_SHRED_SHRED_H
#define GM_SHRED_SHRED_H

#include "column/vec.h"
#include "shred/inflate.h"

enum gm_on_error { GM_ON_ERROR_NULL, GM_ON_ERROR_QUARANTINE, GM_ON_ERROR_FAIL };
enum gm_time_unit { GM_UNIT_S, GM_UNIT_MS, GM_UNIT_US, GM_UNIT_NS };

/* The path is copied, the name must outlive the shredder. Two leaves may have the same path, and a leaf's path may lead
 * on to other leaves: each takes the value by its own rules. */
struct gm_shred_leaf {
	const char *const *path; /* keys from the document's root, UTF-8 */
	const size_t *path_bytes;
	size_t path_len; /* at least 1 */
	enum gm_type type;
	enum gm_time_unit unit;    /* of a timestamp given as a number */
	bool required;             /* null, absent or unreadable: quarantine "missing_required" */
	enum gm_on_error on_error; /* what a value that cannot be converted, or a timestamp out of range, does */
	const char *name;          /* the column's, for messages */
};

/* Reasons, stable codes: written to the quarantine as text. X(NAME, "code", "sentence") */
#define GM_REASONS(X)                                                                  \
	X(NOT_JSON, "not_json", "the text is not valid JSON")                              \
	X(TRUNCATED, "truncated", "the object ends inside a document")                     \
	X(NOT_OBJECT, "not_an_object", "the value is not a JSON object")                   \
	X(TOO_LARGE, "record_too_large", "the record is larger than the limit")            \
	X(DAMAGED, "damaged_stream", "the compressed stream is damaged or cut short")      \
	X(REQUIRED, "missing_required", "a required column is null, absent or unreadable") \
	X(CONVERSION, "bad_value", "a value cannot be converted to its column's type")     \
	X(OUT_OF_RANGE, "out_of_range", "a timestamp lies outside the years 0001 to 9999") \
	X(EXPRESSION, "expression_failed", "an expression gave no usable value")           \
	X(NOT_AFTER, "not_after", "a timestamp lies further beyond the run than the job allows")
enum gm_reason {
#define X(name, code, text) GM_REASON_##name,
	GM_REASONS(X)
#undef X
};
const char *gm_reason_code(enum gm_reason reason);
/* The reason that the code stands for; false: none. */
bool gm_reason_of(const char *code, enum gm_reason *reason);

/* One rejected span. It may be larger than memory, so its bytes come in pieces: data is called one or more times with
 * last = true at the end. offset is in the inflated object; record counts every record read, from 0; detail may be "".
 */
struct gm_reject {
	enum gm_reason reason;
	uint64_t record, offset;
	uint64_t damage_offset; /* where the fault was seen, in the inflated object */
	const char *column;     /* "" unless a column is to blame */
	const char *detail;     /* a sentence, lower case, no secrets, may quote a few bytes of the input escaped */
};
typedef enum gm_code gm_reject_fn(void *context, const struct gm_reject *reject, const void *data, size_t bytes,
                                  bool last, struct gm_error *err);

/* The books of one object so far. read == rows given out + quarantined; bytes_out == record + separator + quarantined
 * bytes. */
struct gm_shred_books {
	uint64_t read, quarantined;
	uint64_t record_bytes, separator_bytes, quarantined_bytes;
	uint64_t bytes_in, bytes_raw;
	/* In the rows given out only: */
	uint64_t duplicate_keys; /* of wanted keys: the last one won, and nothing of the others is left */
	uint64_t invalid_utf8;   /* ill-formed parts in wanted strings, each now U+FFFD */
	uint64_t converted_null; /* values that could not be converted and became null */
};

/* Asked before something is made larger than usual, which is to take so many bytes; it may wait until they can be had.
 * 0: all of that is given back; the answer is OK then. */
typedef enum gm_code gm_room_fn(void *context, size_t bytes, struct gm_error *err);

struct gm_shred_options {
	size_t max_record_bytes; /* 32 MiB; at most 1 GiB */
	size_t window_bytes;     /* 256 KiB .. 1 MiB: raw bytes a chunk is made of, when records are small; a block */
	size_t dict_bytes_max;   /* of all dictionaries of this shredder together, before they are started afresh */
	gm_room_fn *room;        /* asked before a large record grows the window; NULL: nobody is */
	void *room_context;
};

struct gm_shredder; /* one thread's; its dictionaries live from object to object */
enum gm_code gm_shredder_new(const struct gm_shred_leaf *leaves, size_t leaf_count,
                             const struct gm_shred_options *options, struct gm_chunk_pool *pool,
                             struct gm_shredder **out, struct gm_error *err) GM_CHECK;
void gm_shredder_free(struct gm_shredder *shredder);
/* Starts an object, whatever became of the one before. `context` is given to both functions. */
void gm_shredder_begin(struct gm_shredder *shredder, gm_source_fn *source, gm_reject_fn *reject, void *context);
/* Starts a span that was cut out of an object's inflated bytes: where a record could not be used. It is read like what
 * follows a broken document of an array: first a value, then more of them, with commas, a closing bracket or nothing in
 * between. All its records have the number `record`, and offsets are those in the object. */
struct gm_excerpt {
	uint64_t record, offset;
};
void gm_shredder_begin_excerpt(struct gm_shredder *shredder, const struct gm_excerpt *excerpt, gm_source_fn *source,
                               gm_reject_fn *reject, void *context);
/* The next chunk, with vec[0 .. leaf_count) filled, room for extra_slots more, record, offset, length, weight and fate
 * (KEEP) set; *out == NULL at the end of the object. All rejects that come before the chunk's end have been reported.
 * The raw bytes of its records stay readable through gm_shredder_raw until the next call.
 *
 * A row's weight is 16, plus the bytes of each string value (decoded), plus 8 for each other value that is not null;
 * UINT32_MAX if that is more.
 *
 * Which rows make a chunk depends on the object's bytes and the options alone. Errors: those of the source and of the
 * reject function; VALUE with column and offset for on_error: fail; NOMEM. The object cannot be continued after one. */
enum gm_code gm_shredder_next(struct gm_shredder *shredder, uint32_t extra_slots, struct gm_chunk **out,
                              struct gm_error *err) GM_CHECK;
/* Inflating ahead, by other threads than the one that reads the object; see blocks.h. True: there is something to be
 * inflated, and the caller must call gm_shredder_inflate_ahead, which calls the source; what fails, fails for the
 * reader. Never of an excerpt. */
bool gm_shredder_claim_ahead(struct gm_shredder *shredder);
void gm_shredder_inflate_ahead(struct gm_shredder *shredder);
/* Another thread is inflating what gm_shredder_next may have to wait for. */
bool gm_shredder_busy(const struct gm_shredder *shredder);
const uint8_t *gm_shredder_raw(const struct gm_shredder *shredder, const struct gm_chunk *chunk, uint32_t row);
const struct gm_shred_books *gm_shredder_books(const struct gm_shredder *shredder);

#endif
