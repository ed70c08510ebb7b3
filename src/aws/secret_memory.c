#include "aws/secret_memory.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALIGNMENT = 16, SMALLEST_BYTES = 16 << 10 /* of one mapping: keys and a token of each kind fit in it */ };

struct gm_secret_pages {
	struct gm_secret_pages *next;
	size_t bytes, used; /* of the whole mapping, this header included */
};
static const size_t header_bytes = (sizeof(struct gm_secret_pages) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);

void gm_secret_init(struct gm_secret_memory *memory, size_t max_bytes)
{
	*memory = (struct gm_secret_memory){.max_bytes = max_bytes};
}

void gm_secret_release(struct gm_secret_memory *memory)
{
	for (struct gm_secret_pages *pages = memory->first, *next; pages != NULL; pages = next) {
		size_t bytes = pages->bytes;
		next = pages->next;
		explicit_bzero(pages, bytes);
		(void)munmap(pages, bytes); /* unlocks them, too */
	}
	gm_secret_init(memory, memory->max_bytes);
}

/* Puts a mapping with room for `bytes` in front. */
static bool map_pages(struct gm_secret_memory *memory, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t wanted = header_bytes + bytes < SMALLEST_BYTES ? SMALLEST_BYTES : header_bytes + bytes;
	wanted = (wanted + page - 1) / page * page;
	if (wanted > memory->max_bytes - memory->total_bytes) return false;
	void *at = mmap(NULL, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED) return false;
	(void)madvise(at, wanted, MADV_DONTDUMP);
	(void)mlock(at, wanted);
	struct gm_secret_pages *pages = at;
	*pages = (struct gm_secret_pages){.next = memory->first, .bytes = wanted, .used = header_bytes};
	memory->first = pages;
	memory->total_bytes += wanted;
	return true;
}

void *gm_secret_alloc(struct gm_secret_memory *memory, size_t bytes)
{
	if (bytes > memory->max_bytes || bytes > SIZE_MAX / 2) return NULL;
	bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	struct gm_secret_pages *pages = memory->first;
	if (pages == NULL || pages->bytes - pages->used < bytes) {
		if (!map_pages(memory, bytes)) return NULL;
		pages = memory->first;
	}
	void *at = (char *)pages + pages->used;
	pages->used += bytes;
	return at;
}

char *gm_secret_strndup(struct gm_secret_memory *memory, const char *bytes, size_t n)
{
	char *copy = n < SIZE_MAX ? gm_secret_alloc(memory, n + 1) : NULL;
	if (copy == NULL) return NULL;
	memcpy(copy, bytes, n);
	copy[n] = '\0';
	return copy;
}

void gm_wiping_free(void *block)
{
	if (block != NULL) explicit_bzero(block, malloc_usable_size(block));
	free(block);
}

void *gm_wiping_realloc(void *block, size_t bytes)
{
	if (bytes == 0) bytes = 1;
	if (block == NULL) return malloc(bytes);
	size_t old = malloc_usable_size(block);
	if (bytes <= old) return block;
	void *moved = malloc(bytes);
	if (moved == NULL) return NULL;
	memcpy(moved, block, old < bytes ? old : bytes);
	gm_wiping_free(block);
	return moved;
}
