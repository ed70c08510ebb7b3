/* load_tree.c - YAML text to a tree of nodes.
 *
 * libyaml gives events; a stack of open collections makes a tree of them. Of YAML we take what a job file needs: one
 * document of mappings, lists and scalars. Anchors, aliases, tags and merge keys are refused by name, so that what is
 * read is what stands there and no file can grow in memory. Numbers, words and nulls are told apart later, by the key
 * they belong to: here a scalar is text. */
#include "job/load.h"

#include "base/utf8.h"

#include <string.h>
#include <yaml.h>

struct reader {
	struct gm_loader *loader;
	yaml_parser_t parser;
	const char *bytes;
	size_t n;
	struct gm_node *open[GM_LOAD_DEPTH_MAX];
	size_t depth, nodes;
	struct gm_node *root;
};

static struct gm_place place_of(yaml_mark_t mark)
{
	return (struct gm_place){.line = (int)mark.line + 1, .column = (int)mark.column + 1};
}

/* Line and column of a byte offset. */
static struct gm_place place_of_offset(const char *bytes, size_t offset)
{
	struct gm_place place = {.line = 1, .column = 1};
	for (size_t i = 0; i < offset; i++) {
		if (bytes[i] == '\n') {
			place.line++;
			place.column = 1;
		} else if (((unsigned char)bytes[i] & 0xC0) != 0x80)
			place.column++;
	}
	return place;
}

/* The byte a mark points at; marks count characters. Only used on the way to an error. */
static char byte_at(const struct reader *r, yaml_mark_t mark)
{
	size_t line = 0, column = 0;
	for (size_t i = 0; i < r->n; i++) {
		if (line == mark.line && column == mark.column) return r->bytes[i];
		if (r->bytes[i] == '\n') {
			line++;
			column = 0;
		} else if (i + 1 < r->n && ((unsigned char)r->bytes[i + 1] & 0xC0) != 0x80)
			column++;
	}
	return '\0';
}

static enum gm_code syntax_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	if (p->error == YAML_MEMORY_ERROR) return gm_load_nomem(r->loader);
	const char *problem = p->problem != NULL ? p->problem : "unreadable";
	if (p->error == YAML_READER_ERROR) {
		size_t offset = p->problem_offset < r->n ? p->problem_offset : r->n;
		return gm_load_fail(r->loader, place_of_offset(r->bytes, offset), "not valid YAML: %s", problem);
	}
	enum gm_code rc = gm_load_fail(r->loader, place_of(p->problem_mark), "not valid YAML: %s%s%s", problem,
	                               p->context != NULL ? ", " : "", p->context != NULL ? p->context : "");
	char at = byte_at(r, p->problem_mark);
	if (at == '\t') return gm_error_hint(r->loader->err, rc, "indent with spaces, not with tabs");
	if (strstr(problem, "mapping values are not allowed") != NULL)
		return gm_error_hint(r->loader->err, rc, "a value with ': ' in it must be quoted");
	if (at == '@' || at == '`' || at == '%' || at == '*' || at == '&')
		return gm_error_hint(r->loader->err, rc, "a value that begins with '%c' must be quoted", at);
	return rc;
}

static enum gm_code attach(struct reader *r, struct gm_node *node)
{
	if (r->depth == 0) {
		r->root = node;
		return GM_OK;
	}
	struct gm_node *parent = r->open[r->depth - 1];
	if (parent->kind == GM_NODE_MAPPING && parent->count % 2 == 0 && node->kind != GM_NODE_SCALAR)
		return gm_load_fail(r->loader, node->place, "a key must be a word, not a list or mapping");
	if (parent->last == NULL)
		parent->first = node;
	else
		parent->last->next = node;
	parent->last = node;
	parent->count++;
	return GM_OK;
}

static enum gm_code new_node(struct reader *r, enum gm_node_kind kind, const yaml_event_t *event,
                             const yaml_char_t *anchor, const yaml_char_t *tag, struct gm_node **out)
{
	struct gm_place place = place_of(event->start_mark);
	if (anchor != NULL)
		return gm_load_fail(r->loader, place, "YAML anchors such as '&%.60s' are not supported", (const char *)anchor);
	if (tag != NULL)
		return gm_load_fail(r->loader, place, "YAML tags such as '%.60s' are not supported", (const char *)tag);
	if (++r->nodes > GM_LOAD_NODES_MAX)
		return gm_load_fail(r->loader, place, "the file has more than %d values", GM_LOAD_NODES_MAX);
	struct gm_node *node = gm_arena_zalloc(&r->loader->job->arena, sizeof *node);
	if (node == NULL) return gm_load_nomem(r->loader);
	node->kind = kind;
	node->place = node->text_place = place;
	*out = node;
	return attach(r, node);
}

/* Whether a scalar stands in the file character by character as it reads, so that offsets can be mapped. */
static bool verbatim(const yaml_event_t *event, size_t quotes)
{
	if (event->start_mark.line != event->end_mark.line) return false;
	size_t characters = 0;
	for (size_t i = 0; i < event->data.scalar.length; i++) characters += (event->data.scalar.value[i] & 0xC0) != 0x80;
	return event->end_mark.index - event->start_mark.index == characters + quotes;
}

static enum gm_code add_scalar(struct reader *r, const yaml_event_t *event)
{
	struct gm_node *node;
	yaml_scalar_style_t style = event->data.scalar.style;
	const char *text = (const char *)event->data.scalar.value;
	size_t bytes = event->data.scalar.length;
	GM_TRY(new_node(r, GM_NODE_SCALAR, event, event->data.scalar.anchor, event->data.scalar.tag, &node));
	if (bytes > GM_LOAD_VALUE_MAX)
		return gm_load_fail(r->loader, node->place, "the value has more than %d bytes", GM_LOAD_VALUE_MAX);
	if (memchr(text, '\0', bytes) != NULL)
		return gm_load_fail(r->loader, node->place, "the value contains a NUL character");
	node->text = gm_arena_strndup(&r->loader->job->arena, text, bytes);
	if (node->text == NULL) return gm_load_nomem(r->loader);
	node->bytes = bytes;
	node->plain = style == YAML_PLAIN_SCALAR_STYLE;
	node->block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
	bool quoted = !node->plain && !node->block;
	node->text_place.whole = node->block || !verbatim(event, quoted ? 2 : 0);
	if (quoted) node->text_place.column++;
	return GM_OK;
}

static enum gm_code push(struct reader *r, enum gm_node_kind kind, const yaml_event_t *event, const yaml_char_t *anchor,
                         const yaml_char_t *tag, bool flow)
{
	struct gm_node *node;
	GM_TRY(new_node(r, kind, event, anchor, tag, &node));
	node->flow = flow;
	if (r->depth == GM_LOAD_DEPTH_MAX)
		return gm_load_fail(r->loader, node->place, "lists and mappings are nested more than %d deep",
		                    GM_LOAD_DEPTH_MAX);
	r->open[r->depth++] = node;
	return GM_OK;
}

static enum gm_code take_event(struct reader *r, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (r->root == NULL) return GM_OK;
		return gm_load_fail(r->loader, place_of(event->start_mark), "the file holds more than one YAML document");
	case YAML_ALIAS_EVENT:
		return gm_load_fail(r->loader, place_of(event->start_mark), "YAML aliases such as '*%.60s' are not supported",
		                    (const char *)event->data.alias.anchor);
	case YAML_SCALAR_EVENT: return add_scalar(r, event);
	case YAML_SEQUENCE_START_EVENT:
		return push(r, GM_NODE_LIST, event, event->data.sequence_start.anchor, event->data.sequence_start.tag,
		            event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE);
	case YAML_MAPPING_START_EVENT:
		return push(r, GM_NODE_MAPPING, event, event->data.mapping_start.anchor, event->data.mapping_start.tag,
		            event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT: r->depth--; return GM_OK;
	default: return GM_OK;
	}
}

static enum gm_code read_events(struct reader *r)
{
	for (;;) {
		yaml_event_t event;
		if (!yaml_parser_parse(&r->parser, &event)) return syntax_error(r);
		bool end = event.type == YAML_STREAM_END_EVENT;
		enum gm_code rc = take_event(r, &event);
		yaml_event_delete(&event);
		if (rc != GM_OK || end) return rc;
	}
}

enum gm_code gm_load_tree(struct gm_loader *loader, const void *bytes, size_t n, struct gm_node **root)
{
	struct reader r = {.loader = loader, .bytes = bytes, .n = n};
	size_t valid = gm_utf8_valid_prefix(bytes, n);
	if (n > GM_LOAD_FILE_MAX)
		return gm_load_fail(loader, (struct gm_place){0}, "a job file has at most %d MiB", GM_LOAD_FILE_MAX >> 20);
	if (valid < n)
		return gm_load_fail(loader, place_of_offset(bytes, valid), "byte 0x%02X is not valid UTF-8",
		                    ((const unsigned char *)bytes)[valid]);
	if (!yaml_parser_initialize(&r.parser)) return gm_load_nomem(loader);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, bytes, n);
	enum gm_code rc = read_events(&r);
	yaml_parser_delete(&r.parser);
	if (rc != GM_OK) return rc;
	if (r.root == NULL) return gm_load_fail(loader, place_of_offset(bytes, 0), "the file is empty");
	*root = r.root;
	return GM_OK;
}
