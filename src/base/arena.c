#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 16 };

struct gm_arena_block {
	struct gm_arena_block *next;
	size_t bytes; /* room behind this header */
	_Alignas(ALIGNMENT) uint8_t data[];
};

void gm_arena_init(struct gm_arena *arena, size_t block_bytes)
{
	*arena = (struct gm_arena){.block_bytes = block_bytes};
}

void gm_arena_release(struct gm_arena *arena)
{
	for (struct gm_arena_block *block = arena->first, *next; block != NULL; block = next) {
		next = block->next;
		free(block);
	}
	gm_arena_init(arena, arena->block_bytes);
}

void gm_arena_reset(struct gm_arena *arena)
{
	arena->current = arena->first;
	arena->used = arena->taken_bytes = 0;
}

/* Puts a block with room for `bytes` behind the current one and makes it current: a kept one if it fits, else new. */
static bool next_block(struct gm_arena *arena, size_t bytes)
{
	struct gm_arena_block *kept = arena->current != NULL ? arena->current->next : arena->first;
	if (kept != NULL && kept->bytes >= bytes) {
		arena->current = kept;
		arena->used = 0;
		return true;
	}
	size_t room = bytes > arena->block_bytes ? bytes : arena->block_bytes;
	if (room > SIZE_MAX - sizeof(struct gm_arena_block)) return false;
	struct gm_arena_block *block = malloc(sizeof *block + room);
	if (block == NULL) return false;
	block->bytes = room;
	block->next = kept;
	if (arena->current != NULL)
		arena->current->next = block;
	else
		arena->first = block;
	arena->current = block;
	arena->used = 0;
	arena->total_bytes += room;
	return true;
}

void *gm_arena_room(struct gm_arena *arena, size_t least, size_t *bytes)
{
	if (least > SIZE_MAX - ALIGNMENT) return NULL;
	least = (least + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (arena->current == NULL || arena->current->bytes - arena->used < least) {
		if (!next_block(arena, least)) return NULL;
	}
	*bytes = (arena->current->bytes - arena->used) & ~(size_t)(ALIGNMENT - 1);
	return arena->current->data + arena->used;
}

void *gm_arena_alloc(struct gm_arena *arena, size_t bytes)
{
	size_t room;
	void *at = gm_arena_room(arena, bytes, &room);
	if (at == NULL) return NULL;
	bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	arena->used += bytes;
	arena->taken_bytes += bytes;
	return at;
}

void *gm_arena_zalloc(struct gm_arena *arena, size_t bytes)
{
	void *at = gm_arena_alloc(arena, bytes);
	return at != NULL ? memset(at, 0, bytes) : NULL;
}

char *gm_arena_strndup(struct gm_arena *arena, const char *bytes, size_t n)
{
	char *copy = n < SIZE_MAX ? gm_arena_alloc(arena, n + 1) : NULL;
	if (copy == NULL) return NULL;
	memcpy(copy, bytes, n);
	copy[n] = '\0';
	return copy;
}

char *gm_arena_printf(struct gm_arena *arena, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *text = n >= 0 ? gm_arena_alloc(arena, (size_t)n + 1) : NULL;
	if (text == NULL) return NULL;
	va_start(args, format);
	(void)vsnprintf(text, (size_t)n + 1, format, args);
	va_end(args);
	return text;
}

void *gm_grow(void *array, size_t count, size_t *room, size_t bytes_each)
{
	if (count < *room) return array;
	size_t more = *room == 0 ? 8 : *room * 2;
	void *grown = realloc(array, more * bytes_each);
	if (grown != NULL) *room = more;
	return grown;
}

void gm_buf_init(struct gm_buf *buf, size_t max_bytes)
{
	*buf = (struct gm_buf){.max_bytes = max_bytes};
}

void gm_buf_release(struct gm_buf *buf)
{
	free(buf->data);
	gm_buf_init(buf, buf->max_bytes);
}

enum gm_code gm_buf_reserve(struct gm_buf *buf, size_t more, struct gm_error *err)
{
	if (more <= buf->cap - buf->len) return GM_OK;
	if (more > buf->max_bytes || buf->len > buf->max_bytes - more)
		GM_FAIL(err, GM_VALUE, "a buffer would exceed its limit of %zu bytes", buf->max_bytes);
	size_t cap = buf->cap < 64 ? 64 : buf->cap;
	if (cap > buf->max_bytes) cap = buf->max_bytes;
	while (cap < buf->len + more) cap = cap <= buf->max_bytes / 2 ? cap * 2 : buf->max_bytes;
	uint8_t *data = realloc(buf->data, cap);
	if (data == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a buffer of %zu bytes", cap);
	buf->data = data;
	buf->cap = cap;
	return GM_OK;
}

enum gm_code gm_buf_append(struct gm_buf *buf, const void *bytes, size_t n, struct gm_error *err)
{
	if (n == 0) return GM_OK;
	GM_TRY(gm_buf_reserve(buf, n, err));
	memcpy(buf->data + buf->len, bytes, n);
	buf->len += n;
	return GM_OK;
}

enum gm_code gm_buf_printf(struct gm_buf *buf, struct gm_error *err, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0) GM_FAIL(err, GM_BUG, "a format string is invalid");
	GM_TRY(gm_buf_reserve(buf, (size_t)n + 1, err));
	va_start(args, format);
	(void)vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, format, args);
	va_end(args);
	buf->len += (size_t)n;
	return GM_OK;
}
