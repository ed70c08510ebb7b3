/* memory.c - allocations of the shredder: none once it is warm, and each of them failed once. The linker sends malloc,
 * calloc and realloc of everything in the program through the functions below. */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);

static bool watching;
static uint64_t allocations, fail_at; /* fail_at counts from 1; 0: never */
static uint64_t malloc_bytes;         /* while watching */

static bool fails(void)
{
	return watching && ++allocations == fail_at;
}

void *__wrap_malloc(size_t n)
{
	malloc_bytes += watching ? n : 0;
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t n)
{
	return fails() ? NULL : __real_calloc(count, n);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

static const struct wanted wanted[] = {
    {"id", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},   {"few", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL},
    {"text", GM_TYPE_STRING, 0, false, GM_ON_ERROR_NULL}, {"in/n", GM_TYPE_BIGINT, 0, false, GM_ON_ERROR_NULL},
    {"in/x", GM_TYPE_DOUBLE, 0, false, GM_ON_ERROR_NULL}, {"t", GM_TYPE_TIMESTAMP, GM_UNIT_MS, true, GM_ON_ERROR_NULL}};
enum { WANTED = sizeof wanted / sizeof *wanted };

/* Records with everything that takes a long way: escapes, ill-formed bytes, containers as text, unknown and nested
 * values, decimals, rejected and broken records. */
static void write_records(struct text *object, unsigned count)
{
	text_clear(object);
	for (unsigned i = 0; i < count; i++) {
		text_add(object, "{\"id\":\"%08x-%u\",\"few\":\"v%u\",\"t\":%u,", i * 2654435761u, i, i % 50, i);
		text_add(object, "\"in\":{\"n\":\"%u\",\"x\":%u.5e-3},\"unknown\":[{\"a\":[[]]},null],", i % 1000, i);
		text_add(object,
		         i % 3 == 0   ? "\"text\":\"a\\n\\u00e9 %u\"}\n"
		         : i % 3 == 1 ? "\"text\":[1, {\"k\" : %u}]}\n"
		                      : "\"text\":\"\xC3\xA9 \xFF %u\"}\n",
		         i % 40);
		if (i % 100 == 0) text_add(object, "{\"t\":null,\"text\":\"rejected \\n %u\"}\n", i % 7);
		if (i % 130 == 0) text_add(object, "{\"few\":\"\\n\",oops}\n");
	}
}

static enum gm_code ignore_reject(void *context, const struct gm_reject *reject, const void *data, size_t bytes,
                                  bool last, struct gm_error *err)
{
	(void)context, (void)reject, (void)data, (void)bytes, (void)last, (void)err;
	return GM_OK;
}

static size_t ahead; /* blocks that are inflated before the next chunk is asked for */

static enum gm_code read_all(struct gm_shredder *shredder, const struct text *object, uint64_t *rows,
                             struct gm_error *err)
{
	struct object source = {(const uint8_t *)object->data, object->n, 0, SIZE_MAX};
	gm_shredder_begin(shredder, object_source, ignore_reject, &source);
	for (;;) {
		struct gm_chunk *chunk;
		for (size_t i = 0; i < ahead && gm_shredder_claim_ahead(shredder); i++) gm_shredder_inflate_ahead(shredder);
		GM_TRY(gm_shredder_next(shredder, 2, &chunk, err));
		if (chunk == NULL) return GM_OK;
		*rows += chunk->rows;
		gm_chunk_unref(chunk);
	}
}

static void steady_state(size_t blocks_ahead)
{
	ahead = blocks_ahead;
	static struct leaves leaves;
	struct gm_chunk_pool *pool = gm_chunk_pool_new();
	struct gm_shred_options options = {
	    .max_record_bytes = 1 << 20, .window_bytes = 1 << 16, .dict_bytes_max = 64 << 20};
	struct gm_shredder *shredder;
	struct gm_error err;
	struct text object = {0};
	uint64_t rows = 0;
	leaves_init(&leaves, wanted, WANTED);
	write_records(&object, 20000);
	assert_int_equal(gm_shredder_new(leaves.leaf, WANTED, &options, pool, &shredder, &err), GM_OK);
	assert_int_equal(read_all(shredder, &object, &rows, &err), GM_OK);
	assert_int_equal(read_all(shredder, &object, &rows, &err), GM_OK);
	watching = true;
	allocations = fail_at = 0;
	rows = 0;
	enum gm_code rc = read_all(shredder, &object, &rows, &err);
	watching = false;
	assert_int_equal(rc, GM_OK);
	assert_int_equal(rows, 20000);
	assert_int_equal(allocations, 0);
	gm_shredder_free(shredder);
	gm_chunk_pool_free(pool);
	free(object.data);
}

static void test_steady_state(void **state)
{
	(void)state;
	steady_state(0);
	steady_state(3);
}

static enum gm_code run_once(const struct leaves *leaves, const struct text *object, uint64_t *rows)
{
	struct gm_shred_options options = {.max_record_bytes = 1 << 18, .window_bytes = 100, .dict_bytes_max = 1 << 20};
	struct gm_chunk_pool *pool = gm_chunk_pool_new();
	struct gm_shredder *shredder = NULL;
	struct gm_error err = {.code = GM_OK};
	if (pool == NULL) return GM_NOMEM;
	enum gm_code rc = gm_shredder_new(leaves->leaf, leaves->count, &options, pool, &shredder, &err);
	if (rc == GM_OK) rc = read_all(shredder, object, rows, &err);
	assert_int_equal(rc, err.code);
	gm_shredder_free(shredder);
	gm_chunk_pool_free(pool);
	return rc;
}

/* Out of memory is an ordinary error, wherever it strikes (or a detour: a dictionary that cannot grow makes a plain
 * chunk). */
static void every_allocation_fails_once(size_t blocks_ahead)
{
	ahead = blocks_ahead;
	static struct leaves leaves;
	struct text object = {0};
	leaves_init(&leaves, wanted, WANTED);
	write_records(&object, 200);
	text_add(&object, "{\"t\":1,\"few\":\"%01000d\",\"deep\":", 7);
	for (int i = 0; i < 3000; i++) text_add(&object, "[");
	for (int i = 0; i < 3000; i++) text_add(&object, "]");
	text_add(&object, "}\n");
	text_add(&object, "{\"t\":1,\"few\":\"\\n%0100000d\"}\n", 7); /* decoded, and more than an ordinary block */
	uint64_t failed = 0;
	for (uint64_t at = 1;; at++) {
		uint64_t rows = 0;
		watching = true;
		allocations = 0;
		fail_at = at;
		enum gm_code rc = run_once(&leaves, &object, &rows);
		watching = false;
		assert_true(rc == GM_OK || rc == GM_NOMEM);
		assert_true(rc == GM_NOMEM || rows == 202);
		failed += rc == GM_NOMEM;
		if (allocations < at) break;
	}
	printf("%llu failures\n", (unsigned long long)failed);
	assert_true(failed >= 30);
	free(object.data);
}

static void test_every_allocation_fails_once(void **state)
{
	(void)state;
	every_allocation_fails_once(0);
	every_allocation_fails_once(2);
}

/* Keys are decoded to be looked up, and nothing is kept of them: a record may have millions. */
static void test_escaped_keys_take_no_memory(void **state)
{
	(void)state;
	ahead = 0;
	static struct leaves leaves;
	struct gm_shred_options options = {
	    .max_record_bytes = 1 << 20, .window_bytes = 1 << 19, .dict_bytes_max = 64 << 20};
	struct gm_chunk_pool *pool = gm_chunk_pool_new();
	struct gm_shredder *shredder;
	struct gm_error err;
	struct text object = {0};
	uint64_t rows = 0;
	leaves_init(&leaves, wanted, WANTED);
	write_records(&object, 100);
	assert_int_equal(gm_shredder_new(leaves.leaf, WANTED, &options, pool, &shredder, &err), GM_OK);
	assert_int_equal(read_all(shredder, &object, &rows, &err), GM_OK);
	text_clear(&object);
	text_add(&object, "{\"t\":1");
	for (int i = 0; i < 40000; i++) text_add(&object, ",\"\\n\":%d", i % 10);
	text_add(&object, "}\n");
	fail_at = malloc_bytes = rows = 0;
	watching = true;
	enum gm_code rc = read_all(shredder, &object, &rows, &err);
	watching = false;
	assert_int_equal(rc, GM_OK);
	assert_int_equal(rows, 1);
	assert_true(malloc_bytes < object.n);
	gm_shredder_free(shredder);
	gm_chunk_pool_free(pool);
	free(object.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_steady_state),
	                                   cmocka_unit_test(test_escaped_keys_take_no_memory),
	                                   cmocka_unit_test(test_every_allocation_fails_once)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
