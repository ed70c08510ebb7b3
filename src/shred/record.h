/* record.h - one JSON object into one row. */
#ifndef GM_SHRED_RECORD_H
#define GM_SHRED_RECORD_H

#include "shred/columns.h"
#include "shred/json.h"
#include "shred/keys.h"

#include <locale.h>

/* An object that is open around the one being read. */
struct gm_frame {
	struct gm_node *node;
	struct gm_key **guess; /* where to go on guessing in that object */
};

struct gm_parser {
	const uint8_t *(*read)(struct gm_parser *parser, const uint8_t *p); /* gm_parser_read at the level in use */
	struct gm_json json;                                                /* where and why the last record was no JSON */
	struct gm_keys keys;
	struct gm_columns columns;
	struct gm_frame *stack;
	struct gm_buf mended;
	locale_t c;
	uint64_t serial;     /* of the record being read */
	uint64_t duplicates; /* wanted keys that came again in the record being read */
	bool no_memory;      /* set beside a failure that is not the text's fault */
};

enum gm_code gm_parser_init(struct gm_parser *parser, const struct gm_shred_leaf *leaves, size_t count,
                            size_t dict_bytes_max, struct gm_error *err) GM_CHECK;
void gm_parser_release(struct gm_parser *parser);

/* Reads the object whose '{' is at p into the row columns.rows, which must be clear. Returns the byte behind its '}',
 * or NULL: no_memory, or json says what is wrong (a fault at the end of the text means that there is not enough of it).
 * The row may be half filled then. Values that do not fit their column are marked as faults of their leaves and left
 * null. */
const uint8_t *gm_parser_read(struct gm_parser *parser, const uint8_t *p);
#define GM_PARSER_DECLARE(level, name) \
	const uint8_t *gm_parser_read_##level(struct gm_parser *parser, const uint8_t *p);
GM_CPU_LEVELS(GM_PARSER_DECLARE)
#undef GM_PARSER_DECLARE

/* Takes the valid JSON value p..end for every leaf of the node. Returns end, or NULL without memory. */
const uint8_t *gm_parser_store(struct gm_parser *parser, struct gm_node *node, const uint8_t *p, const uint8_t *end);
/* Takes the string that begins at start (behind its quote), decoded and mended, for a string leaf. `stop` and high are
 * what gm_scan_string gave. Returns the byte behind its closing quote; NULL as gm_parser_read. */
const uint8_t *gm_parser_text(struct gm_parser *parser, struct gm_leaf *leaf, const uint8_t *start, const uint8_t *stop,
                              uint32_t high);

#endif
