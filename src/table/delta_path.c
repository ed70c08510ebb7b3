/* Paths and partitions of files in the log.
 *
 * A path is a URI relative to the table: percent-encoded UTF-8, so that a folder "day=2024-03-10T22%3A00" (Hive's
 * escape of a colon) stands in the log as "day=2024-03-10T22%253A00". What must not be escaped is not: letters,
 * digits, "-._~", and of the rest '/' and '='. Writers differ in what else they escape, so paths are compared
 * unescaped.
 *
 * partitionValues is a map. Its Hive path depends on the order of the table's partition columns, which the log may
 * tell after the file: so a partition is kept as a canonical path, with all names in bytewise order, until the whole
 * log has been read. */
#include "table/delta_internal.h"

#include "base/hive.h"

#include <stdlib.h>
#include <string.h>

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-._~/=", c) != NULL);
}

enum gm_code gm_delta_uri_escape(const char *key, struct gm_buf *out, struct gm_error *err)
{
	static const char digits[] = "0123456789ABCDEF";
	for (const char *c = key; *c != '\0'; c++) {
		uint8_t byte = (uint8_t)*c;
		char escaped[3] = {'%', digits[byte >> 4], digits[byte & 15]};
		bool plain = is_unreserved(*c);
		GM_TRY(gm_buf_append(out, plain ? c : escaped, plain ? 1 : sizeof escaped, err));
	}
	return GM_OK;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'A' && c <= 'F') return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *gm_delta_uri_unescape(const char *uri, struct gm_arena *arena, size_t *bytes)
{
	char *out = gm_arena_alloc(arena, strlen(uri) + 1);
	size_t len = 0;
	if (out == NULL) return NULL;
	while (*uri != '\0') {
		/* A lone '%' stands for itself, as other readers have it. */
		bool escape = uri[0] == '%' && hex(uri[1]) >= 0 && hex(uri[2]) >= 0;
		out[len++] = escape ? (char)(hex(uri[1]) * 16 + hex(uri[2])) : uri[0];
		uri += escape ? 3 : 1;
	}
	out[len] = '\0';
	*bytes = len;
	return out;
}

/* --- Partitions --------------------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
	const struct gm_delta_pair *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

enum gm_code gm_delta_partition_canonical(const struct gm_delta_pairs *partition, struct gm_arena *arena,
                                          struct gm_buf *out, struct gm_error *err)
{
	const struct gm_delta_pair **sorted = gm_arena_alloc(arena, (partition->count + 1) * sizeof *sorted);
	if (sorted == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a file's partition");
	for (size_t i = 0; i < partition->count; i++) sorted[i] = &partition->pair[i];
	if (partition->count > 1) qsort(sorted, partition->count, sizeof *sorted, compare_names);
	out->len = 0;
	for (size_t i = 0; i < partition->count; i++) {
		if (i > 0 && strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
			GM_FAIL(err, GM_CORRUPT, "a file has two values for the partition column \"%s\"", sorted[i]->name);
		GM_TRY(gm_hive_append_text(out, sorted[i]->name, sorted[i]->value, sorted[i]->bytes, err));
	}
	return gm_buf_append(out, "", 1, err);
}

/* The part of a canonical path that begins with this escaped "name="; NULL: none. */
static const char *find_part(const char *canonical, const char *name, size_t bytes)
{
	for (const char *at = canonical; *at != '\0';) {
		if (strncmp(at, name, bytes) == 0) return at;
		at = strchrnul(at, '/');
		if (*at == '/') at++;
	}
	return NULL;
}

enum gm_code gm_delta_partition_hive(const char *canonical, const char *const *columns, size_t count,
                                     struct gm_buf *out, struct gm_error *err)
{
	out->len = 0;
	for (size_t i = 0; i < count; i++) {
		size_t start = out->len + (i > 0);
		GM_TRY(gm_hive_append_text(out, columns[i], NULL, 0, err));
		/* Names hold no bare '='. */
		const uint8_t *equals = memchr(out->data + start, '=', out->len - start);
		size_t name = (size_t)(equals + 1 - (out->data + start));
		const char *part = find_part(canonical, (const char *)out->data + start, name);
		if (part == NULL) continue;
		out->len = start;
		GM_TRY(gm_buf_append(out, part, strcspn(part, "/"), err));
	}
	return GM_OK;
}
