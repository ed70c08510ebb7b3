#include "base/hive.h"

#include <string.h>

#define HIVE_DEFAULT "__HIVE_DEFAULT_PARTITION__"

static bool is_escaped(uint8_t byte)
{
	return byte < 0x20 || byte == 0x7F || strchr("\"#%'*/:=?\\{[]^", byte) != NULL;
}

static enum gm_code append_escaped(struct gm_buf *out, const uint8_t *bytes, size_t n, struct gm_error *err)
{
	static const char digits[] = "0123456789ABCDEF";
	bool dots = n > 0 && n <= 2 && bytes[0] == '.' && bytes[n - 1] == '.';
	bool default_name = n == strlen(HIVE_DEFAULT) && memcmp(bytes, HIVE_DEFAULT, n) == 0;
	for (size_t i = 0; i < n; i++) {
		char escaped[3] = {'%', digits[bytes[i] >> 4], digits[bytes[i] & 15]};
		if (is_escaped(bytes[i]) || dots || (default_name && i == 0))
			GM_TRY(gm_buf_append(out, escaped, sizeof escaped, err));
		else
			GM_TRY(gm_buf_append(out, &bytes[i], 1, err));
	}
	return GM_OK;
}

enum gm_code gm_hive_append_text(struct gm_buf *out, const char *name, const void *value, size_t bytes,
                                 struct gm_error *err)
{
	if (out->len > 0) GM_TRY(gm_buf_append(out, "/", 1, err));
	GM_TRY(append_escaped(out, (const uint8_t *)name, strlen(name), err));
	GM_TRY(gm_buf_append(out, "=", 1, err));
	if (value == NULL || bytes == 0) return gm_buf_append(out, HIVE_DEFAULT, strlen(HIVE_DEFAULT), err);
	return append_escaped(out, value, bytes, err);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'A' && c <= 'F') return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A NUL-terminated copy of an escaped text without its escapes; NULL when memory is gone. */
static char *unescape(const char *text, size_t n, struct gm_arena *arena)
{
	char *out = gm_arena_alloc(arena, n + 1);
	size_t len = 0;
	if (out == NULL) return NULL;
	for (size_t i = 0; i < n; i++) {
		bool escape = text[i] == '%' && n - i > 2 && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0;
		out[len++] = escape ? (char)(hex(text[i + 1]) * 16 + hex(text[i + 2])) : text[i];
		if (escape) i += 2;
	}
	out[len] = '\0';
	return out;
}

enum gm_code gm_partition_parse(const char *path, size_t bytes, struct gm_arena *arena,
                                struct gm_partition_value **values, size_t *count, struct gm_error *err)
{
	size_t parts = bytes > 0;
	for (size_t i = 0; i < bytes; i++) parts += path[i] == '/';
	*count = 0;
	*values = gm_arena_alloc(arena, (parts + 1) * sizeof **values);
	if (*values == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a partition's values");
	for (const char *at = path, *end = path + bytes; at < end;) {
		const char *stop = memchr(at, '/', (size_t)(end - at));
		if (stop == NULL) stop = end;
		const char *equals = memchr(at, '=', (size_t)(stop - at));
		if (equals == NULL) GM_FAIL(err, GM_CORRUPT, "a partition's path holds a part without '='");
		size_t n = (size_t)(stop - equals - 1);
		bool null = n == strlen(HIVE_DEFAULT) && memcmp(equals + 1, HIVE_DEFAULT, n) == 0;
		struct gm_partition_value *value = &(*values)[(*count)++];
		value->name = unescape(at, (size_t)(equals - at), arena);
		value->value = null ? NULL : unescape(equals + 1, n, arena);
		if (value->name == NULL || (!null && value->value == NULL))
			GM_FAIL(err, GM_NOMEM, "out of memory for a partition's values");
		at = stop < end ? stop + 1 : end;
	}
	return GM_OK;
}
