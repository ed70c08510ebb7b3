#include "shred/record.h"

/* A wanted key came again in its object: nothing of what it and the keys below it had given stays. */
static void forget_subtree(struct gm_parser *parser, struct gm_node *top)
{
	parser->duplicates++;
	for (struct gm_node *node = top; node != NULL; node = gm_keys_walk(top, node)) {
		if (node != top) node->seen = 0;
		for (struct gm_leaf *leaf = node->leaf; leaf != NULL; leaf = leaf->same)
			gm_columns_clear_leaf(&parser->columns, leaf);
	}
}

/* A key that was not guessed: p is at its quote. *key is its entry, or NULL if it is not wanted. Returns the byte
 * behind it. */
static const uint8_t *read_key(struct gm_parser *parser, struct gm_node *node, const uint8_t *p, struct gm_key **key)
{
	uint32_t flags;
	if (*p != '"') return gm_json_fail(&parser->json, p, "a key was expected");
	const uint8_t *name = p + 1, *end = gm_json_string(&parser->json, name, &flags);
	if (end == NULL) return NULL;
	size_t n = (size_t)(end - name);
	bool escaped = (flags & GM_TEXT_ESCAPED) != 0;
	if (escaped) { /* into room that is not taken: the name is looked up, and not needed any more */
		size_t room;
		uint8_t *copy = gm_arena_room(&parser->columns.text, n + GM_JSON_SLACK, &room);
		if (copy == NULL) {
			parser->no_memory = true;
			return NULL;
		}
		struct gm_json_text text = {.to = copy, .limit = copy + n};
		(void)gm_json_decode(&parser->json, name, &text);
		n = (size_t)(text.to - copy);
		name = copy;
	}
	*key = gm_keys_find(&parser->keys, node, name, n, !escaped);
	return end + 1;
}

/* Any value for any node. */
static const uint8_t *read_value(struct gm_parser *parser, struct gm_node *node, const uint8_t *p)
{
	const uint8_t *end = gm_json_skip(&parser->json, p);
	return end == NULL ? NULL : gm_parser_store(parser, node, p, end);
}

static inline bool is_null(const uint8_t *p)
{
	return memcmp(p, "null", 4) == 0;
}

static inline const uint8_t *read_string(struct gm_parser *parser, const struct gm_key *key, const uint8_t *p)
{
	if (*p != '"') return is_null(p) ? p + 4 : read_value(parser, key->node, p);
	uint32_t high = 0;
	const uint8_t *start = p + 1, *end = gm_scan_string(start, &high);
	if (__builtin_expect(*end != '"' || high != 0, 0)) return gm_parser_text(parser, key->leaf, start, end, high);
	key->leaf->refs[parser->columns.at] = (struct gm_ref){start, (uint32_t)(end - start)};
	return end + 1;
}

/* Up to sixteen digits and nothing else is what nearly every number is; all others go the general way. */
static inline const uint8_t *read_integer(struct gm_parser *parser, const struct gm_key *key, const uint8_t *p)
{
	struct gm_leaf *leaf = key->leaf;
	uint64_t word = gm_load8(p);
	uint32_t n = gm_count_digits(word);
	if (n == 0) return is_null(p) ? p + 4 : read_value(parser, key->node, p);
	int64_t value = (int64_t)gm_digits_value(word, n);
	const uint8_t *end = p + n;
	if (n == 8) {
		static const int64_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
		word = gm_load8(end);
		n = gm_count_digits(word);
		if (n > 0) value = value * powers[n] + (int64_t)gm_digits_value(word, n);
		end += n;
	}
	/* A digit or letter here means more of a number, or none at all. */
	bool plain = (*end == ',' || *end == '}' || gm_is_space(*end)) && (*p != '0' || end == p + 1);
	if (!plain || value < leaf->low || value > leaf->high) return read_value(parser, key->node, p);
	uint32_t row = parser->columns.rows;
	leaf->i64[row] = leaf->divide == 1 ? value * leaf->multiply : value / leaf->divide;
	leaf->null[row] = 0;
	return end;
}

static inline const uint8_t *read_boolean(struct gm_parser *parser, const struct gm_key *key, const uint8_t *p)
{
	bool yes = memcmp(p, "true", 4) == 0;
	if (!yes && memcmp(p, "false", 5) != 0) return is_null(p) ? p + 4 : read_value(parser, key->node, p);
	uint32_t row = parser->columns.rows;
	key->leaf->boolean[row] = yes;
	key->leaf->null[row] = 0;
	return p + 5 - yes;
}

/* Not wanted: strings, nulls and numbers are the usual. */
static inline const uint8_t *skip_value(struct gm_parser *parser, const uint8_t *p)
{
	if (*p == '"') {
		uint32_t flags;
		p = gm_json_string(&parser->json, p + 1, &flags);
		return p == NULL ? NULL : p + 1;
	}
	if (is_null(p)) return p + 4;
	bool number = (uint8_t)(*p - '0') <= 9 || *p == '-';
	return number ? gm_json_number(&parser->json, p) : gm_json_skip(&parser->json, p);
}

/* A key that does not stand where and how it was guessed; p is where its quote must be. *key was the guess and becomes
 * what it is, NULL if it is not wanted. Returns the first byte of the value. */
static const uint8_t *find_key(struct gm_parser *parser, struct gm_node *node, const uint8_t *p, struct gm_key **key)
{
	if (gm_match_key(p, (*key)->text + 1, (*key)->name_mask))
		p += (*key)->name_bytes + 2;
	else if ((p = read_key(parser, node, p, key)) == NULL)
		return NULL;
	p = gm_skip_space(p);
	if (*p != ':') return gm_json_fail(&parser->json, p, "':' was expected behind a key");
	return gm_skip_space(p + 1);
}

/* One pass, no recursion: an object that is wanted for what is below it opens a frame, and there are as many of those
 * as the longest path has keys; all others are skipped as values. */
const uint8_t *gm_parser_read(struct gm_parser *parser, const uint8_t *p)
{
	struct gm_json *json = &parser->json;
	struct gm_frame *top = parser->stack;
	struct gm_node *node = parser->keys.root;
	struct gm_key **guess, *key;
	uint64_t serial = ++parser->serial;
	parser->duplicates = 0;

object: /* p is at '{' */
	guess = &node->first;
	key = *guess;
	if (gm_match_key(p + 1, key->text + 1, key->mask >> 1)) {
		p += key->len;
		goto value;
	}
	p = gm_skip_space(p + 1);
	if (*p == '}') goto close;
key: /* p is where a key must be */
	p = find_key(parser, node, p, &key);
	if (p == NULL) return NULL;
	if (key == NULL) {
		p = skip_value(parser, p);
		if (p == NULL) return NULL;
		goto after;
	}
	*guess = key;
value: /* of `key`; p is at it, or at white space before it */
	if (*p <= ' ') p = gm_skip_space(p);
	guess = &key->next;
	if (key->action == GM_ACTION_SKIP) {
		p = skip_value(parser, p);
	} else {
		struct gm_node *to = key->node;
		if (__builtin_expect(to->seen == serial, 0)) forget_subtree(parser, to);
		to->seen = serial;
		if (key->action == GM_ACTION_STRING) {
			p = read_string(parser, key, p);
		} else if (key->action == GM_ACTION_INTEGER) {
			p = read_integer(parser, key, p);
		} else if (key->action == GM_ACTION_BOOLEAN) {
			p = read_boolean(parser, key, p);
		} else {
			const uint8_t *start = p;
			if (to->leaf != NULL || *p != '{' || to->child == NULL) p = read_value(parser, to, p);
			if (p != NULL && *start == '{' && to->child != NULL) {
				*top++ = (struct gm_frame){node, guess};
				node = to;
				p = start;
				goto object;
			}
		}
	}
	if (__builtin_expect(p == NULL, 0)) return NULL;
after: /* p is behind a value */
	key = *guess;
	if (__builtin_expect(gm_match_key(p, key->text, key->mask), 1)) {
		p += key->len;
		goto value;
	}
	p = gm_skip_space(p);
	if (*p == ',') {
		p = gm_skip_space(p + 1);
		goto key;
	}
	if (*p != '}') return gm_json_fail(json, p, "',' or '}' was expected");
close: /* p is at '}' */
	p++;
	if (top == parser->stack) return p;
	top--;
	node = top->node;
	guess = top->guess;
	goto after;
}
