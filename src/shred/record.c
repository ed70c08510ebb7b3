#include "shred/record.h"

#include <stdlib.h>

struct gm_frame {
	struct gm_node *node;
	struct gm_key **guess; /* where to go on guessing in that object */
};

enum gm_code gm_parser_init(struct gm_parser *parser, const struct gm_shred_leaf *leaves, size_t count,
                            size_t dict_bytes_max, struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	*parser = (struct gm_parser){.serial = 0};
	gm_json_init(&parser->json);
	gm_buf_init(&parser->mended, SIZE_MAX / 4);
	struct gm_node **node_of = calloc(count + 1, sizeof *node_of);
	parser->c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (node_of == NULL || parser->c == (locale_t)0) {
		rc = gm_error_set(err, GM_NOMEM, "out of memory for a parser");
		goto out;
	}
	GM_TRY_OUT(gm_keys_build(&parser->keys, leaves, count, node_of, err));
	GM_TRY_OUT(gm_columns_init(&parser->columns, leaves, count, dict_bytes_max, err));
	parser->stack = malloc((parser->keys.depth + 1) * sizeof *parser->stack);
	if (parser->stack == NULL) {
		rc = gm_error_set(err, GM_NOMEM, "out of memory for a parser");
		goto out;
	}
	for (size_t i = count; i-- > 0;) {
		struct gm_leaf *leaf = &parser->columns.leaves[i];
		leaf->same = node_of[i]->leaf;
		node_of[i]->leaf = leaf;
		node_of[i]->single = leaf->same == NULL && node_of[i]->child == NULL;
	}
out:
	free(node_of);
	return rc;
}

void gm_parser_release(struct gm_parser *parser)
{
	gm_json_release(&parser->json);
	gm_keys_release(&parser->keys);
	gm_columns_release(&parser->columns);
	gm_buf_release(&parser->mended);
	free(parser->stack);
	if (parser->c != (locale_t)0) freelocale(parser->c);
	*parser = (struct gm_parser){.serial = 0};
}

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
	if (escaped) {
		uint8_t *copy = gm_arena_alloc(&parser->columns.text, n);
		if (copy == NULL) {
			parser->no_memory = true;
			return NULL;
		}
		n = gm_json_decode(name, end, copy);
		name = copy;
	}
	*key = gm_keys_find(&parser->keys, node, name, n, !escaped);
	return end + 1;
}

/* Any value for a node that is more than one leaf of the value's own kind. */
static const uint8_t *read_value(struct gm_parser *parser, struct gm_node *node, const uint8_t *p)
{
	const uint8_t *end = gm_json_skip(&parser->json, p);
	return end == NULL ? NULL : gm_parser_store(parser, node, p, end);
}

static inline const uint8_t *read_string(struct gm_parser *parser, struct gm_leaf *leaf, const uint8_t *p)
{
	uint32_t flags;
	const uint8_t *start = p + 1, *end = gm_json_string(&parser->json, start, &flags);
	if (__builtin_expect(end == NULL, 0)) return NULL;
	if (__builtin_expect(flags != 0, 0)) return gm_parser_text(parser, leaf, start, end, flags) ? end + 1 : NULL;
	leaf->refs[parser->columns.at] = (struct gm_ref){start, (uint32_t)(end - start)};
	return end + 1;
}

/* Digits that surely fit, nothing else: what nearly every number is. Returns NULL for all others. */
static inline const uint8_t *read_digits(struct gm_leaf *leaf, uint32_t row, const uint8_t *p)
{
	const uint8_t *start = p;
	int64_t value = 0;
	for (; (uint8_t)(*p - '0') <= 9; p++) {
		if (p - start == 18) return NULL;
		value = value * 10 + (*p - '0');
	}
	bool plain = p > start && (*start != '0' || p == start + 1) && *p != '.' && (*p | 0x20) != 'e';
	if (!plain || value < leaf->low || value > leaf->high) return NULL;
	leaf->i64[row] = leaf->divide == 1 ? value * leaf->multiply : value / leaf->divide;
	leaf->null[row] = 0;
	return p;
}

static inline bool is_null(const uint8_t *p)
{
	return memcmp(p, "null", 4) == 0;
}

/* The value of a single leaf. */
static inline const uint8_t *read_leaf(struct gm_parser *parser, struct gm_node *node, const uint8_t *p)
{
	struct gm_leaf *leaf = node->leaf;
	if (*p == '"') {
		if (leaf->kind == GM_KIND_STRING) return read_string(parser, leaf, p);
	} else if (is_null(p)) {
		return p + 4;
	} else if (leaf->kind == GM_KIND_INTEGER) {
		const uint8_t *end = read_digits(leaf, parser->columns.rows, p);
		if (end != NULL) return end;
	}
	return read_value(parser, node, p);
}

/* Not wanted: strings and nulls are the usual. */
static inline const uint8_t *skip_value(struct gm_parser *parser, const uint8_t *p)
{
	if (*p == '"') {
		uint32_t flags;
		p = gm_json_string(&parser->json, p + 1, &flags);
		return p == NULL ? NULL : p + 1;
	}
	return is_null(p) ? p + 4 : gm_json_skip(&parser->json, p);
}

/* One pass, no recursion: an object that is wanted for what is below it opens a frame, and there are as many of those
 * as the longest path has keys; all others are skipped as values. */
const uint8_t *gm_parser_read(struct gm_parser *parser, const uint8_t *p)
{
	struct gm_json *json = &parser->json;
	struct gm_frame *top = parser->stack;
	struct gm_node *node = parser->keys.root;
	struct gm_key **guess;
	uint64_t serial = ++parser->serial;
	parser->duplicates = 0;

object: /* p is at '{' */
	guess = &node->first;
	p++;
	if (*p == '"') goto key;
	p = gm_skip_space(p);
	if (*p == '}') goto close;
key : {
	struct gm_key *key = *guess;
	if (__builtin_expect(gm_match_key(p, key->text, key->len, key->mask), 1)) {
		p += key->len;
	} else {
		p = read_key(parser, node, p, &key);
		if (p == NULL) return NULL;
		if (key != NULL) *guess = key;
	}
	if (*p != ':') {
		p = gm_skip_space(p);
		if (*p != ':') return gm_json_fail(json, p, "':' was expected behind a key");
	}
	p++;
	if (*p <= ' ') p = gm_skip_space(p);
	struct gm_node *to = NULL;
	if (key != NULL) {
		guess = &key->next;
		to = key->node;
	}
	if (to == NULL) {
		p = skip_value(parser, p);
	} else {
		if (__builtin_expect(to->seen == serial, 0)) forget_subtree(parser, to);
		to->seen = serial;
		if (to->single) {
			p = read_leaf(parser, to, p);
		} else {
			const uint8_t *start = p;
			if (to->leaf != NULL || *p != '{') p = read_value(parser, to, p);
			if (p != NULL && *start == '{' && to->child != NULL) {
				top->node = node;
				top->guess = guess;
				top++;
				node = to;
				p = start;
				goto object;
			}
		}
	}
	if (__builtin_expect(p == NULL, 0)) return NULL;
}
after: /* p is behind a value */
	if (*p != ',' && *p != '}') p = gm_skip_space(p);
	if (*p == ',') {
		p++;
		if (*p == '"') goto key;
		p = gm_skip_space(p);
		if (*p == '"') goto key;
		return gm_json_fail(json, p, "a key was expected");
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
