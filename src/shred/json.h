/* json.h - the tokens of JSON (RFC 8259, nothing more lenient), read in place.
 *
 * Every function reads text that is followed by a NUL and GM_SLACK readable bytes and needs no end: the NUL is no valid
 * byte anywhere, so what runs into it is a fault *at* the end, which the caller knows as "there is more to come". */
#ifndef GM_SHRED_JSON_H
#define GM_SHRED_JSON_H

#include "base/error.h"
#include "shred/level.h"
#include "shred/simd.h"

enum gm_text_flags {
	GM_TEXT_HIGH = 1,    /* has bytes that are not ASCII: not known to be UTF-8 */
	GM_TEXT_ESCAPED = 2, /* has escapes */
};

struct gm_json {
	const uint8_t *fault_at; /* the first byte that cannot be */
	const char *fault;       /* what was expected; NULL: memory is gone */
	uint64_t *bits;          /* per open bracket: 1 = object; grows with the nesting */
	size_t bit_words;
};

void gm_json_init(struct gm_json *json);
void gm_json_release(struct gm_json *json);

static inline const uint8_t *gm_json_fail(struct gm_json *json, const uint8_t *at, const char *what)
{
	json->fault_at = at;
	json->fault = what;
	return NULL;
}

/* The closing quote of the string whose first byte (behind the opening quote) is p, or NULL with the fault set. */
const uint8_t *gm_json_string_slow(struct gm_json *json, const uint8_t *p, uint32_t *flags);
static inline const uint8_t *gm_json_string(struct gm_json *json, const uint8_t *p, uint32_t *flags)
{
	uint32_t high = 0;
	p = gm_scan_string(p, &high);
	*flags = high != 0 ? GM_TEXT_HIGH : 0;
	return __builtin_expect(*p == '"', 1) ? p : gm_json_string_slow(json, p, flags);
}

/* The byte behind the number, literal, or whole value that begins at p, or NULL with the fault set. */
const uint8_t *gm_json_number(struct gm_json *json, const uint8_t *p);
const uint8_t *gm_json_literal(struct gm_json *json, const uint8_t *p);
const uint8_t *gm_json_skip(struct gm_json *json, const uint8_t *p);

/* Where a decoded string goes. */
struct gm_json_text {
	uint8_t *to;          /* its next byte */
	const uint8_t *limit; /* GM_JSON_SLACK bytes behind it may be written, too */
	uint32_t high;        /* other than 0: a byte that was copied is not ASCII: not known to be UTF-8 */
};
enum { GM_JSON_SLACK = GM_COPY_SLACK + 4 };

/* Reads on in a string, from p on, which is no byte within an escape, and writes what its escapes stand for; a lone
 * surrogate becomes U+FFFD, other bytes are copied as they are. Returns the closing quote, or NULL with the fault set,
 * or, when text->to has passed the limit, some byte before the quote: where to go on. What is written is no longer than
 * what is read. */
const uint8_t *gm_json_decode(struct gm_json *json, const uint8_t *p, struct gm_json_text *text);
/* Copies the valid value p..end without white space outside strings. Returns the length. */
size_t gm_json_compact(const uint8_t *p, const uint8_t *end, uint8_t *out);

#endif
