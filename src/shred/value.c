/* value.c - JSON values into columns, by the table of conversions in docs/input.md: the general way. The usual pairs of
 * value and column have shorter ways in record.c. */
#include "shred/record.h"

#include "base/utf8.h"
#include "shred/convert.h"

enum {
	MENDED_KEEP_BYTES = 1024 * 1024, /* what mending a large value needs is given back at once */
	TEXT_BEHIND = 1 + GM_DICT_SLACK, /* a NUL, and what may be read */
	TEXT_SLACK = GM_JSON_SLACK + TEXT_BEHIND,
	LONG_PLAIN_BYTES = 16 * 1024,
};

static bool out_of_memory(struct gm_parser *parser)
{
	parser->no_memory = true;
	return false;
}

static void set_fault(struct gm_parser *parser, struct gm_leaf *leaf, enum gm_fault fault)
{
	leaf->fault = fault;
	parser->columns.faults++;
}

/* Room for a text of n bytes until the chunk ends. NULL without memory. */
static uint8_t *text_room(struct gm_parser *parser, size_t n)
{
	uint8_t *room = gm_arena_alloc(&parser->columns.text, n + GM_DICT_SLACK);
	if (room == NULL) (void)out_of_memory(parser);
	return room;
}

/* Puts n bytes there, ill-formed UTF-8 replaced. */
static bool set_string(struct gm_parser *parser, struct gm_leaf *leaf, const uint8_t *bytes, size_t n, bool ascii)
{
	struct gm_columns *columns = &parser->columns;
	if (!ascii && gm_utf8_valid_prefix(bytes, n) < n) {
		uint64_t replaced = 0;
		parser->mended.len = 0;
		if (gm_utf8_mend(bytes, n, &parser->mended, &replaced, NULL) != GM_OK) return out_of_memory(parser);
		n = parser->mended.len;
		uint8_t *copy = text_room(parser, n);
		if (copy == NULL) return false;
		bytes = memcpy(copy, parser->mended.data, n);
		if (n > MENDED_KEEP_BYTES) gm_buf_release(&parser->mended);
		leaf->mended = (uint32_t)replaced;
		columns->mended = true;
	}
	leaf->refs[columns->at] = (struct gm_ref){bytes, (uint32_t)n};
	return true;
}

/* A string that was decoded into the arena; a NUL follows it. */
struct decoded {
	const uint8_t *bytes;
	size_t n;
	bool ascii;
};

/* Decodes the string from `start` on, of which all before `stop` is plain; high as of gm_scan_string. Returns the
 * closing quote, or NULL: no_memory, or json says what is wrong. How long it is nobody knows before, so it is tried
 * with what room there is; if that is too little, its end is looked for, and the second time there is enough. Of one
 * that is long already that is done at once: its end may not have been read yet, and then it takes no memory. */
static const uint8_t *decode(struct gm_parser *parser, const uint8_t *start, const uint8_t *stop, uint32_t high,
                             struct decoded *out)
{
	struct gm_arena *arena = &parser->columns.text;
	size_t plain = (size_t)(stop - start), room;
	uint32_t flags;
	const uint8_t *end = stop;
	if (*stop != '\\' || plain > LONG_PLAIN_BYTES) end = gm_json_string(&parser->json, stop, &flags);
	while (end != NULL) {
		uint8_t *at = gm_arena_room(arena, (size_t)(end - start) + TEXT_SLACK, &room);
		if (at == NULL) {
			(void)out_of_memory(parser);
			return NULL;
		}
		memcpy(at, start, plain);
		struct gm_json_text text = {.to = at + plain, .limit = at + room - TEXT_SLACK, .high = high};
		end = gm_json_decode(&parser->json, stop, &text);
		if (end == NULL) return NULL;
		if (*end == '"') {
			*out = (struct decoded){at, (size_t)(text.to - at), text.high == 0};
			at[out->n] = '\0';
			(void)gm_arena_alloc(arena, out->n + TEXT_BEHIND);
			return end;
		}
		end = gm_json_string(&parser->json, end, &flags);
	}
	return NULL;
}

const uint8_t *gm_parser_text(struct gm_parser *parser, struct gm_leaf *leaf, const uint8_t *start, const uint8_t *stop,
                              uint32_t high)
{
	if (*stop == '"') return set_string(parser, leaf, start, (size_t)(stop - start), high == 0) ? stop + 1 : NULL;
	struct decoded text;
	const uint8_t *end = decode(parser, start, stop, high, &text);
	if (end == NULL) return NULL;
	/* Escapes may have stood for anything, but what they decode to is well-formed. */
	return set_string(parser, leaf, text.bytes, text.n, text.ascii) ? end + 1 : NULL;
}

static bool store_string(struct gm_parser *parser, struct gm_leaf *leaf, const uint8_t *p, const uint8_t *end)
{
	if (*p == '"') {
		uint32_t high = 0;
		const uint8_t *stop = gm_scan_string(p + 1, &high);
		return gm_parser_text(parser, leaf, p + 1, stop, high) != NULL;
	}
	size_t n = (size_t)(end - p);
	if (*p != '{' && *p != '[') return set_string(parser, leaf, p, n, true);
	uint8_t *copy = text_room(parser, n);
	if (copy == NULL) return false;
	n = gm_json_compact(p, end, copy);
	return set_string(parser, leaf, copy, n, false);
}

static void store_integer(struct gm_parser *parser, struct gm_leaf *leaf, int64_t value)
{
	uint32_t row = parser->columns.rows;
	if (value < leaf->low || value > leaf->high) {
		set_fault(parser, leaf, leaf->spec.type == GM_TYPE_TIMESTAMP ? GM_FAULT_RANGE : GM_FAULT_VALUE);
		return;
	}
	int64_t rest = value % leaf->divide;
	leaf->i64[row] = value * leaf->multiply / leaf->divide - (rest < 0);
	leaf->null[row] = 0;
}

/* The decoded bytes of a JSON string into a column that is not of strings. */
static void store_text(struct gm_parser *parser, struct gm_leaf *leaf, const uint8_t *p, const uint8_t *end)
{
	uint32_t row = parser->columns.rows;
	bool good = false, yes = false;
	int64_t value;
	switch (leaf->kind) {
	case GM_KIND_INTEGER:
		if (gm_text_to_integer(p, end, &value)) {
			store_integer(parser, leaf, value);
			return;
		}
		break;
	case GM_KIND_DOUBLE: good = gm_text_to_double(p, end, parser->c, &leaf->f64[row]); break;
	case GM_KIND_BOOLEAN:
		good = gm_text_to_boolean(p, end, &yes);
		if (good) leaf->boolean[row] = yes;
		break;
	case GM_KIND_DATE: good = gm_text_to_date(p, end, &leaf->i64[row]); break;
	default: break;
	}
	if (good)
		leaf->null[row] = 0;
	else
		set_fault(parser, leaf, GM_FAULT_VALUE);
}

static void store_number(struct gm_parser *parser, struct gm_leaf *leaf, const uint8_t *p, const uint8_t *end)
{
	uint32_t row = parser->columns.rows;
	int64_t value;
	if (leaf->kind == GM_KIND_INTEGER && gm_number_to_integer(p, end, leaf->floor, &value))
		store_integer(parser, leaf, value);
	else if (leaf->kind == GM_KIND_DOUBLE && gm_number_to_double(p, end, parser->c, &leaf->f64[row]))
		leaf->null[row] = 0;
	else
		set_fault(parser, leaf, GM_FAULT_VALUE);
}

static bool store_one(struct gm_parser *parser, struct gm_leaf *leaf, const uint8_t *p, const uint8_t *end)
{
	if (leaf->kind == GM_KIND_STRING) return store_string(parser, leaf, p, end);
	if (*p == '"') {
		struct decoded text = {.bytes = p + 1, .n = (size_t)(end - p) - 2};
		const uint8_t *escape = memchr(text.bytes, '\\', text.n);
		if (escape != NULL && decode(parser, text.bytes, escape, 0, &text) == NULL) return false;
		store_text(parser, leaf, text.bytes, text.bytes + text.n);
	} else if (*p == 't' || *p == 'f') {
		if (leaf->kind == GM_KIND_BOOLEAN) {
			leaf->boolean[parser->columns.rows] = *p == 't';
			leaf->null[parser->columns.rows] = 0;
		} else {
			set_fault(parser, leaf, GM_FAULT_VALUE);
		}
	} else if (*p == '{' || *p == '[') {
		set_fault(parser, leaf, GM_FAULT_VALUE);
	} else {
		store_number(parser, leaf, p, end);
	}
	return true;
}

const uint8_t *gm_parser_store(struct gm_parser *parser, struct gm_node *node, const uint8_t *p, const uint8_t *end)
{
	if (*p == 'n') return end;
	for (struct gm_leaf *leaf = node->leaf; leaf != NULL; leaf = leaf->same)
		if (!store_one(parser, leaf, p, end)) return NULL;
	return end;
}
