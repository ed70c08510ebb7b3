/* load_vars.c - ${NAME} in values.
 *
 *   ${NAME}            the value of --set NAME=VALUE, else of the environment variable NAME; neither: an error
 *   ${NAME:-default}   default when NAME has no value or an empty one
 *   $$                 one $
 * A $ before anything else stands for itself, so regular expressions need no care. This happens to values after YAML
 * has been read: what a variable holds can become part of a value, never a key, list or mapping; it is not scanned
 * again. */
#include "job/load.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

struct use {                                  /* one ${...} */
	const char *name, *fallback;              /* fallback NULL: none */
	size_t name_bytes, fallback_bytes, bytes; /* bytes: of the whole, from $ to } */
};

static bool name_start(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool name_part(char c)
{
	return name_start(c) || (c >= '0' && c <= '9');
}

/* Reads the ${...} at text[at]. */
static enum gm_code read_use(struct gm_loader *loader, const struct gm_node *node, size_t at, struct use *use)
{
	const char *text = node->text + at, *end = memchr(text, '}', node->bytes - at);
	struct gm_place place = gm_place_at(node->text_place, node->text, at);
	if (end == NULL) {
		enum gm_code rc = gm_load_fail(loader, place, "'${' has no closing '}'");
		return gm_error_hint(loader->err, rc, "write $${ for a literal ${");
	}
	const char *name = text + 2, *p = name;
	if (name_start(*p))
		while (name_part(*p)) p++;
	*use = (struct use){.name = name, .name_bytes = (size_t)(p - name), .bytes = (size_t)(end - text) + 1};
	if (p > name && *p == ':' && p[1] == '-') {
		use->fallback = p + 2;
		use->fallback_bytes = (size_t)(end - use->fallback);
		if (memmem(use->fallback, use->fallback_bytes, "${", 2) != NULL)
			return gm_load_fail(loader, place, "a default inside ${...} cannot hold another ${...}");
	} else if (p == name || p != end) {
		enum gm_code rc = gm_load_fail(loader, place, "%s is not a variable", gm_load_quote(text, use->bytes).text);
		return gm_error_hint(loader->err, rc, "write ${NAME} or ${NAME:-default}, and $${ for a literal ${");
	}
	return GM_OK;
}

static enum gm_code note(struct gm_loader *loader, const struct use *use)
{
	for (struct gm_load_name *known = loader->names; known != NULL; known = known->next)
		if (strlen(known->name) == use->name_bytes && memcmp(known->name, use->name, use->name_bytes) == 0)
			return GM_OK;
	struct gm_load_name *fresh = gm_arena_zalloc(&loader->job->arena, sizeof *fresh);
	if (fresh == NULL) return gm_load_nomem(loader);
	fresh->name = gm_arena_strndup(&loader->job->arena, use->name, use->name_bytes);
	if (fresh->name == NULL) return gm_load_nomem(loader);
	fresh->next = loader->names;
	loader->names = fresh;
	return GM_OK;
}

/* NULL if neither --set nor the environment has it. Of several --set of one name the last one counts. This is the only
 * place of the library that reads the environment. */
static const char *value_of(const struct gm_loader *loader, const char *name)
{
	for (size_t i = loader->options->setting_count; i-- > 0;)
		if (strcmp(loader->options->settings[i].name, name) == 0) return loader->options->settings[i].value;
	return getenv(name);
}

static enum gm_code append(struct gm_loader *loader, struct gm_buf *out, const char *bytes, size_t n)
{
	return gm_buf_append(out, bytes, n, loader->err);
}

/* The default's text, with its $$ made $. */
static enum gm_code append_fallback(struct gm_loader *loader, const struct use *use, struct gm_buf *out)
{
	for (size_t i = 0; i < use->fallback_bytes; i++) {
		if (use->fallback[i] == '$' && i + 1 < use->fallback_bytes && use->fallback[i + 1] == '$') i++;
		GM_TRY(append(loader, out, use->fallback + i, 1));
	}
	return GM_OK;
}

static enum gm_code append_use(struct gm_loader *loader, const struct gm_node *node, size_t at, const struct use *use,
                               struct gm_buf *out)
{
	char *name = gm_arena_strndup(&loader->job->arena, use->name, use->name_bytes);
	if (name == NULL) return gm_load_nomem(loader);
	const char *value = value_of(loader, name);
	if (use->fallback != NULL && (value == NULL || *value == '\0')) return append_fallback(loader, use, out);
	struct gm_place place = gm_place_at(node->text_place, node->text, at);
	if (value == NULL) {
		enum gm_code rc = gm_load_fail(loader, place, "${%.100s} has no value", name);
		return gm_error_hint(loader->err, rc,
		                     "give --set %.100s=..., set it in the environment, or write ${%.60s:-default}", name,
		                     name);
	}
	size_t n = strlen(value);
	if (gm_utf8_valid_prefix((const uint8_t *)value, n) < n)
		return gm_load_fail(loader, place, "the value of ${%.100s} is not valid UTF-8", name);
	return append(loader, out, value, n);
}

static enum gm_code expand(struct gm_loader *loader, const struct gm_node *node, bool names_only, struct gm_buf *out)
{
	for (size_t i = 0; i < node->bytes;) {
		struct use use = {0};
		const char *dollar = memchr(node->text + i, '$', node->bytes - i);
		size_t plain = dollar == NULL ? node->bytes - i : (size_t)(dollar - node->text) - i;
		GM_TRY(append(loader, out, node->text + i, plain));
		i += plain;
		if (dollar == NULL) break;
		if (dollar[1] == '{') {
			GM_TRY(read_use(loader, node, i, &use));
			GM_TRY(note(loader, &use));
			if (!names_only) GM_TRY(append_use(loader, node, i, &use, out));
			i += use.bytes;
		} else {
			GM_TRY(append(loader, out, "$", 1));
			i += dollar[1] == '$' ? 2 : 1;
		}
	}
	return GM_OK;
}

/* Gives a failure of the buffer the place of the value: it has grown beyond its limit. */
static enum gm_code place_failure(struct gm_loader *loader, const struct gm_node *node, enum gm_code rc)
{
	if (rc != GM_VALUE) return rc;
	return gm_load_fail(loader, node->place, "the value has more than %d bytes after ${...} were replaced",
	                    GM_LOAD_VALUE_MAX);
}

static enum gm_code keep(struct gm_loader *loader, const struct gm_node *scalar, const struct gm_buf *buf,
                         const struct gm_node **out)
{
	struct gm_node *node = gm_arena_alloc(&loader->job->arena, sizeof *node);
	if (node == NULL) return gm_load_nomem(loader);
	loader->expanded_bytes += buf->len;
	if (loader->expanded_bytes > GM_LOAD_EXPANDED_MAX)
		return gm_load_fail(loader, scalar->place, "the values that ${...} made have more than %d MiB in all",
		                    GM_LOAD_EXPANDED_MAX >> 20);
	*node = *scalar;
	node->text = gm_arena_strndup(&loader->job->arena, buf->len == 0 ? "" : (const char *)buf->data, buf->len);
	if (node->text == NULL) return gm_load_nomem(loader);
	node->bytes = buf->len;
	node->plain = false; /* a variable that holds "null" or nothing holds a text */
	node->text_place = node->place;
	node->text_place.whole = true;
	*out = node;
	return GM_OK;
}

enum gm_code gm_load_expand(struct gm_loader *loader, const struct gm_node *scalar, const struct gm_node **out)
{
	struct gm_buf buf;
	*out = scalar;
	if (memchr(scalar->text, '$', scalar->bytes) == NULL) return GM_OK;
	gm_buf_init(&buf, GM_LOAD_VALUE_MAX);
	enum gm_code rc = place_failure(loader, scalar, expand(loader, scalar, false, &buf));
	bool same = buf.len == scalar->bytes && memcmp(buf.data, scalar->text, buf.len) == 0;
	if (rc == GM_OK && !same) rc = keep(loader, scalar, &buf, out);
	gm_buf_release(&buf);
	return rc;
}

enum gm_code gm_load_note_names(struct gm_loader *loader, const struct gm_node *scalar)
{
	struct gm_buf buf;
	gm_buf_init(&buf, GM_LOAD_VALUE_MAX);
	enum gm_code rc = place_failure(loader, scalar, expand(loader, scalar, true, &buf));
	gm_buf_release(&buf);
	return rc;
}

enum gm_code gm_load_check_settings(struct gm_loader *loader)
{
	for (size_t i = 0; i < loader->options->setting_count; i++) {
		const char *name = loader->options->settings[i].name;
		struct gm_suggest suggest;
		const struct gm_load_name *used = loader->names;
		while (used != NULL && strcmp(used->name, name) != 0) used = used->next;
		if (used != NULL) continue;
		gm_suggest_init(&suggest, name, strlen(name));
		for (used = loader->names; used != NULL; used = used->next) gm_suggest_offer(&suggest, used->name);
		enum gm_code rc = gm_error_set(loader->err, GM_USAGE, "--set names %s, which the job file never uses",
		                               gm_load_quote(name, strlen(name)).text);
		rc = gm_error_object(loader->err, rc, loader->job->path, strlen(loader->job->path));
		if (gm_suggest_best(&suggest) != NULL)
			return gm_error_hint(loader->err, rc, "did you mean '%s'?", gm_suggest_best(&suggest));
		return gm_error_hint(loader->err, rc, "%s",
		                     loader->names == NULL ? "the file uses no ${NAME}"
		                                           : "names are told apart by letter case");
	}
	return GM_OK;
}
