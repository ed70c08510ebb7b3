/* arena.h - memory that ends together, and buffers that grow up to a limit given at their birth.
 *
 * An arena hands out memory from blocks and gives it back all at once. gm_arena_reset keeps the blocks, so that a
 * loop which resets its arena allocates nothing once it has seen its largest turn. */
#ifndef GM_BASE_ARENA_H
#define GM_BASE_ARENA_H

#include "base/error.h"

struct gm_arena_block;
struct gm_arena {
	struct gm_arena_block *first, *current;
	size_t used;        /* bytes taken from `current` */
	size_t block_bytes; /* size of a fresh block */
	size_t taken_bytes; /* handed out since the last reset */
	size_t total_bytes; /* of all blocks: what this arena costs */
};

/* `block_bytes` is the size of an ordinary block; larger requests get a block of their own. Nothing is allocated yet.
 */
void gm_arena_init(struct gm_arena *arena, size_t block_bytes);
void gm_arena_release(struct gm_arena *arena);
/* Forgets the contents, keeps the blocks. */
void gm_arena_reset(struct gm_arena *arena);
/* 16-byte aligned, not zeroed; NULL when memory is gone. */
void *gm_arena_alloc(struct gm_arena *arena, size_t bytes);
/* Room of at least `least` bytes that is not taken yet: *bytes of it. What is allocated next stands there if it fits.
 * For what is written before its length is known. NULL when memory is gone. */
void *gm_arena_room(struct gm_arena *arena, size_t least, size_t *bytes);
void *gm_arena_zalloc(struct gm_arena *arena, size_t bytes);
/* A NUL-terminated copy of bytes[0..n). */
char *gm_arena_strndup(struct gm_arena *arena, const char *bytes, size_t n);
char *gm_arena_printf(struct gm_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Room for one element more behind `count`, for an array of malloc() that grows by doubling; *room is in elements, 0 at
 * first. Gives where the array is now; NULL when memory is gone: then it is where it was. */
void *gm_grow(void *array, size_t count, size_t *room, size_t bytes_each);

/* A growable run of bytes that never exceeds max_bytes. */
struct gm_buf {
	uint8_t *data;
	size_t len, cap, max_bytes;
};

void gm_buf_init(struct gm_buf *buf, size_t max_bytes);
void gm_buf_release(struct gm_buf *buf);
/* Room for `more` bytes behind len. NOMEM, or VALUE when max_bytes would be exceeded. */
enum gm_code gm_buf_reserve(struct gm_buf *buf, size_t more, struct gm_error *err) GM_CHECK;
enum gm_code gm_buf_append(struct gm_buf *buf, const void *bytes, size_t n, struct gm_error *err) GM_CHECK;
enum gm_code gm_buf_printf(struct gm_buf *buf, struct gm_error *err, const char *format, ...) GM_CHECK
    __attribute__((format(printf, 3, 4)));

#endif
