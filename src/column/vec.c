#include "column/vec.h"

#include <pthread.h>
#include <stdlib.h>

/* A chunk is one block as large as chunks have been lately; what does not fit goes into small ones, a sixteenth of
 * that: the chunks of small objects are many, and more waste than contents would fill the memory that rows may wait in.
 */
enum {
	FIRST_CHUNK_BYTES = 160 * 1024,
	OVERFLOW_SHARE = 16,
	OVERFLOW_BYTES_MIN = 1024,
	OVERFLOW_BYTES_MAX = 8 * 1024,
	PASSING_BLOCK_BYTES = 64 * 1024,
	PASSING_KEEP_BYTES = 512 * 1024,
};

/* A chunk that has grown beyond this (a huge record) is not kept for reuse. */
static const size_t keep_bytes = (size_t)4 * 1024 * 1024;

const char *gm_type_name(enum gm_type type)
{
	static const char *const names[] = {"boolean", "int", "bigint", "double", "string", "date", "timestamp"};
	return names[type];
}

struct gm_chunk_pool {
	pthread_mutex_t lock;
	struct gm_chunk *spare;
	size_t typical_bytes;     /* of a chunk: grows at once, shrinks slowly */
	uint32_t typical_rows;    /* likewise */
	struct gm_arena *passing; /* spare ones */
	size_t passing_count, passing_room;
};

struct gm_chunk_pool *gm_chunk_pool_new(void)
{
	struct gm_chunk_pool *pool = calloc(1, sizeof *pool);
	if (pool == NULL) return NULL;
	if (pthread_mutex_init(&pool->lock, NULL) != 0) {
		free(pool);
		return NULL;
	}
	pool->typical_bytes = FIRST_CHUNK_BYTES;
	return pool;
}

static void chunk_free(struct gm_chunk *chunk)
{
	gm_arena_release(&chunk->arena);
	gm_arena_release(&chunk->passing);
	free(chunk);
}

void gm_chunk_pool_free(struct gm_chunk_pool *pool)
{
	if (pool == NULL) return;
	for (struct gm_chunk *chunk = pool->spare, *next; chunk != NULL; chunk = next) {
		next = chunk->next;
		chunk_free(chunk);
	}
	for (size_t i = 0; i < pool->passing_count; i++) gm_arena_release(&pool->passing[i]);
	free(pool->passing);
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool);
}

/* A chunk for few rows is not worth a block for many, which would wait with it for its row group. */
static bool is_small(const struct gm_chunk_pool *pool, uint32_t rows)
{
	return rows < pool->typical_rows / 2;
}

/* A spare chunk, or NULL and how large the block of a new one should be. */
static struct gm_chunk *take_spare(struct gm_chunk_pool *pool, uint32_t rows, struct gm_arena *passing,
                                   size_t *block_bytes)
{
	struct gm_chunk *chunk = NULL;
	(void)pthread_mutex_lock(&pool->lock);
	*block_bytes = pool->typical_bytes;
	if (is_small(pool, rows)) {
		*block_bytes = pool->typical_bytes / pool->typical_rows * rows + OVERFLOW_BYTES_MAX / 2;
	} else if (pool->spare != NULL) {
		chunk = pool->spare;
		pool->spare = chunk->next;
	}
	if (pool->passing_count > 0)
		*passing = pool->passing[--pool->passing_count];
	else
		gm_arena_init(passing, PASSING_BLOCK_BYTES);
	(void)pthread_mutex_unlock(&pool->lock);
	return chunk;
}

static size_t overflow_bytes(size_t block_bytes)
{
	size_t bytes = block_bytes / OVERFLOW_SHARE;
	if (bytes < OVERFLOW_BYTES_MIN) return OVERFLOW_BYTES_MIN;
	return bytes > OVERFLOW_BYTES_MAX ? OVERFLOW_BYTES_MAX : bytes;
}

struct gm_chunk *gm_chunk_take(struct gm_chunk_pool *pool, uint32_t slots, uint32_t rows)
{
	size_t block_bytes;
	struct gm_arena arena, passing;
	struct gm_chunk *chunk = take_spare(pool, rows, &passing, &block_bytes);
	if (chunk != NULL) {
		arena = chunk->arena;
	} else {
		chunk = malloc(sizeof *chunk);
		if (chunk == NULL) {
			gm_arena_release(&passing);
			return NULL;
		}
		gm_arena_init(&arena, block_bytes);
	}
	*chunk = (struct gm_chunk){.references = 1, .slots = slots, .pool = pool, .arena = arena, .passing = passing};
	chunk->vec = gm_arena_zalloc(&chunk->arena, slots * sizeof *chunk->vec);
	if (chunk->vec == NULL) {
		chunk_free(chunk);
		return NULL;
	}
	chunk->arena.block_bytes = overflow_bytes(block_bytes);
	return chunk;
}

struct gm_chunk *gm_chunk_ref(struct gm_chunk *chunk)
{
	__atomic_add_fetch(&chunk->references, 1, __ATOMIC_RELAXED);
	return chunk;
}

static void drop_dictionary(struct gm_vec *vec)
{
	if (vec->repr == GM_REPR_DICT) gm_dict_unref(vec->dict);
}

void gm_chunk_built(const struct gm_chunk *chunk)
{
	struct gm_chunk_pool *pool = chunk->pool;
	size_t taken = chunk->arena.taken_bytes;
	if (taken > keep_bytes) return; /* it says nothing of the others */
	(void)pthread_mutex_lock(&pool->lock);
	if (taken > pool->typical_bytes)
		pool->typical_bytes = taken + taken / 32;
	else if (!is_small(pool, chunk->rows))
		pool->typical_bytes -= (pool->typical_bytes - taken) / 16;
	if (chunk->rows > pool->typical_rows)
		pool->typical_rows = chunk->rows;
	else
		pool->typical_rows -= (pool->typical_rows - chunk->rows) / 16;
	(void)pthread_mutex_unlock(&pool->lock);
}

/* Keeps the chunk for the next one, unless it is one of the small ones. */
static void give_spare(struct gm_chunk_pool *pool, struct gm_chunk *chunk)
{
	(void)pthread_mutex_lock(&pool->lock);
	size_t total = chunk->arena.total_bytes, typical = pool->typical_bytes;
	bool keep = total >= typical / 2;
	if (keep) {
		/* Blocks that do not fit what chunks are like now make way for one that does. */
		if (total < typical - typical / 8 || total > typical + typical / 4) {
			gm_arena_release(&chunk->arena);
			chunk->arena.block_bytes = typical;
		} else {
			gm_arena_reset(&chunk->arena);
		}
		chunk->next = pool->spare;
		pool->spare = chunk;
	}
	(void)pthread_mutex_unlock(&pool->lock);
	if (!keep) chunk_free(chunk);
}

void gm_chunk_passed(struct gm_chunk *chunk)
{
	struct gm_chunk_pool *pool = chunk->pool;
	if (chunk->passing.first == NULL) return;
	gm_arena_reset(&chunk->passing);
	(void)pthread_mutex_lock(&pool->lock);
	struct gm_arena *grown = gm_grow(pool->passing, pool->passing_count, &pool->passing_room, sizeof *grown);
	if (grown != NULL) pool->passing = grown;
	bool keep = grown != NULL && chunk->passing.total_bytes <= PASSING_KEEP_BYTES;
	if (keep) pool->passing[pool->passing_count++] = chunk->passing;
	(void)pthread_mutex_unlock(&pool->lock);
	if (!keep) gm_arena_release(&chunk->passing);
	gm_arena_init(&chunk->passing, PASSING_BLOCK_BYTES);
	chunk->record = chunk->offset = chunk->content = NULL;
	chunk->length = chunk->weight = NULL;
	chunk->fate = chunk->no_key = NULL;
	chunk->key = NULL;
}

void gm_chunk_unref(struct gm_chunk *chunk)
{
	if (chunk == NULL || __atomic_sub_fetch(&chunk->references, 1, __ATOMIC_ACQ_REL) != 0) return;
	for (uint32_t i = 0; i < chunk->slots; i++) drop_dictionary(&chunk->vec[i]);
	drop_dictionary(&chunk->partition);
	gm_chunk_passed(chunk);
	if (chunk->arena.total_bytes > keep_bytes) {
		chunk_free(chunk);
		return;
	}
	give_spare(chunk->pool, chunk);
}

size_t gm_chunk_memory_bytes(const struct gm_chunk *chunk)
{
	return gm_chunk_lasting_bytes(chunk) + chunk->passing.total_bytes;
}

size_t gm_chunk_lasting_bytes(const struct gm_chunk *chunk)
{
	return sizeof *chunk + chunk->arena.total_bytes + chunk->dictionary_bytes;
}
