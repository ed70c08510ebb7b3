/* secret_memory.h - memory for keys, tokens and whatever they were read from: pages of their own that core dumps leave
 * out and that are wiped before they go back to the system.
 *
 * Works as an arena (base/arena.h): handed out bit by bit, given back all at once. Of the promises the system may break
 * two: pages are locked against swapping as far as RLIMIT_MEMLOCK allows, and a kernel without MADV_DONTDUMP dumps
 * them. Wiping is certain, unless the process is killed. Secrets must not be moved by realloc() or printed into
 * ordinary buffers: neither is wiped. */
#ifndef GM_AWS_SECRET_MEMORY_H
#define GM_AWS_SECRET_MEMORY_H

#include "base/error.h"

struct gm_secret_pages;
struct gm_secret_memory {
	struct gm_secret_pages *first; /* the newest; what is handed out comes from it */
	size_t total_bytes, max_bytes; /* mapped, and how much may be */
};

/* Nothing is mapped yet. */
void gm_secret_init(struct gm_secret_memory *memory, size_t max_bytes);
/* Wipes and unmaps all of it; it can be used again. */
void gm_secret_release(struct gm_secret_memory *memory);
/* Zeroed, 16-byte aligned; NULL when memory is gone or max_bytes is reached. */
void *gm_secret_alloc(struct gm_secret_memory *memory, size_t bytes);
/* A NUL-terminated copy of bytes[0..n); NULL as above. */
char *gm_secret_strndup(struct gm_secret_memory *memory, const char *bytes, size_t n);

/* realloc() and free() for libraries through whose ordinary memory secrets pass: what they let go of is wiped. */
void *gm_wiping_realloc(void *block, size_t bytes);
void gm_wiping_free(void *block);

#endif
