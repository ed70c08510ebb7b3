/* load.c - a job file, read, checked and resolved: the table of keys (load_keys.c) applied to the tree (load_tree.c).
 *
 * For each mapping: every key must be in the table and appear once, its value is read as the table says, what is
 * missing gets its default or is reported. The calls go as deep as the table does, whatever the file holds. The first
 * fault ends the loading. */
#include "job/load.h"

#include "base/utf8.h"
#include "job/derive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- Errors ----------------------------------------------------------------------------------------------------- */

void gm_load_report(struct gm_loader *loader, struct gm_place place, const char *format, ...)
{
	char text[sizeof loader->err->message];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	(void)gm_error_set(loader->err, GM_JOB, "%s", text);
	(void)gm_error_object(loader->err, GM_JOB, loader->job->path, strlen(loader->job->path));
	if (loader->err == NULL) return;
	loader->err->line = place.line;
	loader->err->column = place.column;
}

enum gm_code gm_load_hint_words(struct gm_loader *loader, enum gm_code code, const char *wanted, size_t bytes,
                                const char *what, const char *const *words)
{
	struct gm_suggest suggest;
	char list[sizeof loader->err->hint] = "";
	size_t len = 0;
	gm_suggest_init(&suggest, wanted, bytes);
	for (; *words != NULL; words++) {
		gm_suggest_offer(&suggest, *words);
		int n = snprintf(list + len, sizeof list - len, "%s%s", len == 0 ? "" : ", ", *words);
		if (n > 0 && (size_t)n < sizeof list - len) len += (size_t)n;
	}
	list[len] = '\0';
	if (gm_suggest_best(&suggest) != NULL)
		return gm_error_hint(loader->err, code, "did you mean '%s'?", gm_suggest_best(&suggest));
	return gm_error_hint(loader->err, code, "%s: %s", what, list);
}

/* --- Mappings --------------------------------------------------------------------------------------------------- */

/* "source" or "an entry of columns", for messages. */
static const char *section_words(enum gm_key_section section)
{
	switch (section) {
	case GM_SECTION_JOB: return "the job file";
	case GM_SECTION_PARTITION: return "an entry of 'partition_by'";
	case GM_SECTION_COLUMN: return "an entry of 'columns'";
	default: return gm_section_name(section);
	}
}

static enum gm_code unknown_key(struct gm_loader *loader, enum gm_key_section section, const struct gm_node *mapping,
                                const struct gm_node *key, const struct gm_node *value)
{
	const char *names[GM_KEYS_MAX + 1];
	size_t count = 0;
	struct gm_quoted word = gm_load_quote(key->text, key->bytes);
	for (size_t i = 0; i < gm_key_count; i++)
		if (gm_keys[i].section == section) names[count++] = gm_keys[i].name;
	names[count] = NULL;
	if (key->plain && strcmp(key->text, "<<") == 0)
		return gm_load_fail(loader, key->place, "YAML merge keys ('<<') are not supported");
	enum gm_code rc = gm_load_fail(loader, key->place, "unknown key %s in %s", word.text, section_words(section));
	if (mapping->flow && value->kind == GM_NODE_SCALAR && value->plain && value->bytes == 0)
		return gm_error_hint(loader->err, rc, "inside { } a value that contains a comma must be quoted");
	return gm_load_hint_words(loader, rc, key->text, key->bytes, "keys there", names);
}

/* Index into gm_keys; gm_key_count if there is none. */
static size_t find_key(enum gm_key_section section, const struct gm_node *key)
{
	size_t i = 0;
	while (i < gm_key_count && (gm_keys[i].section != section || strcmp(gm_keys[i].name, key->text) != 0)) i++;
	return i;
}

static enum gm_code collect(struct gm_loader *loader, enum gm_key_section section, const struct gm_node *mapping,
                            struct gm_seen *seen)
{
	const struct gm_node *keys[GM_KEYS_MAX] = {NULL};
	if (mapping->kind != GM_NODE_MAPPING)
		return gm_load_fail(loader, mapping->place, "%s must be a mapping, lines of 'key: value'",
		                    section_words(section));
	for (const struct gm_node *key = mapping->first; key != NULL; key = key->next->next) {
		size_t i = find_key(section, key);
		if (i == gm_key_count) return unknown_key(loader, section, mapping, key, key->next);
		if (keys[i] != NULL)
			return gm_load_fail(loader, key->place, "the key '%s' is given twice, first in line %d", key->text,
			                    keys[i]->place.line);
		keys[i] = key;
		seen->value[i] = key->next;
	}
	return GM_OK;
}

static enum gm_code read_section(struct gm_loader *loader, enum gm_key_section section, const struct gm_node *mapping,
                                 char *base);

/* --- Lists of columns ------------------------------------------------------------------------------------------- */

static enum gm_code read_list(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *list,
                              char *base)
{
	size_t count = list->count;
	if (list->kind != GM_NODE_LIST) {
		enum gm_code rc = gm_load_fail(loader, list->place, "'%s' must be a list", key->name);
		return gm_error_hint(loader->err, rc, "begin each entry with '- '");
	}
	if ((int64_t)count < key->min) return gm_load_fail(loader, list->place, "'%s' is empty", key->name);
	if ((int64_t)count > key->max)
		return gm_load_fail(loader, list->place, "'%s' has %zu entries, at most %lld are allowed", key->name, count,
		                    (long long)key->max);
	struct gm_column *columns = gm_arena_zalloc(&loader->job->arena, (count + 1) * sizeof *columns);
	if (columns == NULL) return gm_load_nomem(loader);
	size_t i = 0;
	for (const struct gm_node *item = list->first; item != NULL; item = item->next)
		GM_TRY(read_section(loader, key->child, item, (char *)&columns[i++]));
	memcpy(base + key->offset, &columns, sizeof columns);
	memcpy(base + key->offset + sizeof columns, &count, sizeof count);
	return GM_OK;
}

/* --- Values ----------------------------------------------------------------------------------------------------- */

static enum gm_code read_scalar(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *node,
                                char *base)
{
	const struct gm_node *text;
	if (node->kind != GM_NODE_SCALAR) {
		enum gm_code rc = gm_load_fail(loader, node->place, "'%s' must be a single value, not a %s", key->name,
		                               node->kind == GM_NODE_LIST ? "list" : "mapping");
		return node->flow ? gm_error_hint(loader->err, rc, "a value that begins with a bracket must be quoted") : rc;
	}
	GM_TRY(gm_load_expand(loader, node, &text));
	return gm_load_value(loader, key, text, base);
}

/* --source and --table stand in for the two locations. */
static const char *override_of(const struct gm_loader *loader, const struct gm_key *key)
{
	if (strcmp(key->name, "location") != 0) return NULL;
	return key->section == GM_SECTION_SOURCE ? loader->options->source : loader->options->table;
}

static enum gm_code read_override(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *node,
                                  const char *value, char *base)
{
	size_t bytes = strlen(value);
	const char *section = gm_section_name(key->section);
	if (bytes == 0) GM_FAIL(loader->err, GM_USAGE, "--%s is empty", section);
	if (gm_utf8_valid_prefix((const uint8_t *)value, bytes) < bytes)
		GM_FAIL(loader->err, GM_USAGE, "--%s is not valid UTF-8", section);
	if (node != NULL && node->kind == GM_NODE_SCALAR) GM_TRY(gm_load_note_names(loader, node));
	const char *copy = gm_arena_strndup(&loader->job->arena, value, bytes);
	if (copy == NULL) return gm_load_nomem(loader);
	memcpy(base + key->offset, &copy, sizeof copy);
	return GM_OK;
}

static enum gm_code read_default(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *mapping,
                                 char *base)
{
	struct gm_node node = {.kind = GM_NODE_SCALAR, .place = mapping->place, .text_place = mapping->place};
	if (key->kind == GM_KEY_SECTION && key->required) {
		node.kind = GM_NODE_MAPPING;
		return read_section(loader, key->child, &node, base);
	}
	if (key->required)
		return gm_load_fail(loader, mapping->place, "the key '%s' is missing in %s", key->name,
		                    section_words(key->section));
	if (key->fallback == NULL) return GM_OK;
	node.text = key->fallback;
	node.bytes = strlen(key->fallback);
	return gm_load_value(loader, key, &node, base);
}

static enum gm_code read_value(struct gm_loader *loader, const struct gm_key *key, const struct gm_node *mapping,
                               const struct gm_node *node, char *base)
{
	const char *override = override_of(loader, key);
	if (override != NULL) return read_override(loader, key, node, override, base);
	if (node == NULL) return read_default(loader, key, mapping, base);
	switch (key->kind) {
	case GM_KEY_SECTION: return read_section(loader, key->child, node, base);
	case GM_KEY_LIST: return read_list(loader, key, node, base);
	case GM_KEY_PATH: return gm_load_path(loader, key, node, base);
	case GM_KEY_NAMES: loader->unique_by = node; return GM_OK;
	default: return read_scalar(loader, key, node, base);
	}
}

/* What a section as a whole must fulfil. */
static enum gm_code finish_section(struct gm_loader *loader, enum gm_key_section section, const struct gm_seen *seen,
                                   char *base)
{
	struct gm_job *job = loader->job;
	if (section == GM_SECTION_TABLE) {
		if (job->table.database == NULL) job->table.database = "";
		if (job->table.name == NULL) job->table.name = "";
		if (job->table.comment == NULL) job->table.comment = "";
		GM_TRY(gm_load_check_access(loader, section, job->table.location, &job->table.access, seen));
		return gm_load_check_table(loader, seen);
	}
	if (section == GM_SECTION_SOURCE) {
		loader->on_change = gm_seen_get(seen, section, "on_change");
		return gm_load_check_access(loader, section, job->source.location, &job->source.access, seen);
	}
	if (section == GM_SECTION_CATALOG) loader->catalog = gm_seen_get(seen, section, "type");
	if (section == GM_SECTION_CATALOG || section == GM_SECTION_WATCH) {
		gm_load_drop_empty(section == GM_SECTION_CATALOG ? &job->catalog.access : &job->watch.access);
		return GM_OK;
	}
	if (section == GM_SECTION_JOB) {
		static const struct gm_node nothing = {.kind = GM_NODE_MAPPING};
		loader->id = gm_seen_get(seen, section, "id");
		if (loader->id == NULL) loader->id = gm_seen_get(seen, section, "job");
		/* Its defaults are of use without it. */
		if (gm_seen_get(seen, section, "watch") == NULL) return read_section(loader, GM_SECTION_WATCH, &nothing, base);
	}
	if (section != GM_SECTION_COLUMN && section != GM_SECTION_PARTITION) return GM_OK;
	struct gm_column *column = (struct gm_column *)(void *)base;
	column->place = gm_seen_get(seen, section, "name")->place;
	if (column->comment == NULL) column->comment = "";
	return gm_load_check_column(loader, section, column, seen);
}

static enum gm_code read_section(struct gm_loader *loader, enum gm_key_section section, const struct gm_node *mapping,
                                 char *base)
{
	struct gm_seen seen = {0};
	GM_TRY(collect(loader, section, mapping, &seen));
	for (size_t i = 0; i < gm_key_count; i++)
		if (gm_keys[i].section == section) GM_TRY(read_value(loader, &gm_keys[i], mapping, seen.value[i], base));
	return finish_section(loader, section, &seen, base);
}

/* --- The whole -------------------------------------------------------------------------------------------------- */

static enum gm_code load(struct gm_loader *loader, const void *bytes, size_t n)
{
	struct gm_node *root;
	GM_TRY(gm_load_tree(loader, bytes, n, &root));
	GM_TRY(read_section(loader, GM_SECTION_JOB, root, (char *)loader->job));
	GM_TRY(gm_load_check_job(loader));
	GM_TRY(gm_load_check_settings(loader));
	GM_TRY(gm_load_resolve(loader));
	enum gm_code rc = gm_program_compile(loader->job, loader->err);
	if (rc == GM_OK || loader->err == NULL || loader->err->object[0] != '\0') return rc;
	return gm_error_object(loader->err, rc, loader->job->path, strlen(loader->job->path));
}

enum gm_code gm_job_parse(const char *path, const void *bytes, size_t n, const struct gm_job_options *options,
                          struct gm_job **out, struct gm_error *err)
{
	static const struct gm_job_options none;
	struct gm_job *job = calloc(1, sizeof *job);
	*out = NULL;
	if (job == NULL) GM_FAIL(err, GM_NOMEM, "no memory for the job file");
	gm_arena_init(&job->arena, 64 << 10);
	struct gm_loader loader = {.job = job, .options = options != NULL ? options : &none, .err = err};
	job->path = gm_arena_strndup(&job->arena, path, strlen(path));
	enum gm_code rc = job->path == NULL ? gm_load_nomem(&loader) : load(&loader, bytes, n);
	if (rc == GM_OK)
		*out = job;
	else
		gm_job_free(job);
	return rc;
}

/* The file's bytes, one more than allowed at most: the parser reports what is too large. */
static enum gm_code read_file(int fd, const char *path, struct gm_buf *buf, struct gm_error *err)
{
	for (;;) {
		GM_TRY(gm_buf_reserve(buf, 64 << 10, err));
		ssize_t n = read(fd, buf->data + buf->len, 64 << 10);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return gm_error_errno(err, errno, path, "reading the job file");
		buf->len += (size_t)n;
		if (n == 0 || buf->len > GM_LOAD_FILE_MAX) return GM_OK;
	}
}

enum gm_code gm_job_load(const char *path, const struct gm_job_options *options, struct gm_job **out,
                         struct gm_error *err)
{
	struct gm_buf buf;
	*out = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return gm_error_errno(err, errno, path, "opening the job file");
	gm_buf_init(&buf, GM_LOAD_FILE_MAX + (128 << 10));
	enum gm_code rc = read_file(fd, path, &buf, err);
	(void)close(fd);
	if (rc == GM_OK) rc = gm_job_parse(path, buf.len == 0 ? (const void *)"" : buf.data, buf.len, options, out, err);
	gm_buf_release(&buf);
	return rc;
}

void gm_job_free(struct gm_job *job)
{
	if (job == NULL) return;
	if (job->program != NULL) gm_program_release(job->program);
	gm_arena_release(&job->arena);
	free(job);
}

bool gm_job_is_key(const struct gm_job *job, size_t column)
{
	for (size_t i = 0; i < job->table.unique_count; i++)
		if (job->table.unique_by[i] == column) return true;
	return false;
}
