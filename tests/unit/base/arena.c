/* Arenas: what they hand out is aligned, apart, and kept; a turn repeated allocates nothing. Buffers: they never exceed
 * their limit. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* AddressSanitizer asks this program: an impossible malloc gives NULL, as without it. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static struct gm_error failure;

struct piece {
	uint8_t *at;
	size_t bytes;
	uint8_t mark;
};

static unsigned next_random(unsigned *seed)
{
	return *seed = *seed * 1664525U + 1013904223U;
}

/* Takes `count` pieces of random sizes, fills each, and finds all of them untouched at the end. */
static void take_turn(struct gm_arena *arena, unsigned seed, size_t count)
{
	struct piece *pieces = calloc(count, sizeof *pieces);
	assert_non_null(pieces);
	for (size_t i = 0; i < count; i++) {
		unsigned random = next_random(&seed) >> 8;
		pieces[i].bytes = random % 50 == 0 ? random % 5000 : random % 100;
		pieces[i].mark = (uint8_t)i;
		size_t room;
		uint8_t *there = random % 5 == 0 ? gm_arena_room(arena, pieces[i].bytes, &room) : NULL;
		if (there != NULL) {
			assert_true(room >= pieces[i].bytes);
			memset(there, 0xFF, room); /* nobody's yet */
		}
		pieces[i].at =
		    random % 3 == 0 ? gm_arena_zalloc(arena, pieces[i].bytes) : gm_arena_alloc(arena, pieces[i].bytes);
		assert_non_null(pieces[i].at);
		if (there != NULL) assert_ptr_equal(pieces[i].at, there);
		assert_int_equal((uintptr_t)pieces[i].at % 16, 0);
		for (size_t j = 0; random % 3 == 0 && j < pieces[i].bytes; j++) assert_int_equal(pieces[i].at[j], 0);
		memset(pieces[i].at, pieces[i].mark, pieces[i].bytes);
	}
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < pieces[i].bytes; j++) assert_int_equal(pieces[i].at[j], pieces[i].mark);
	}
	free(pieces);
}

static void pieces_are_aligned_and_apart(void **state)
{
	(void)state;
	static const size_t blocks[] = {0, 1, 64, 1000, 1 << 16};
	for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
		struct gm_arena arena;
		gm_arena_init(&arena, blocks[i]);
		assert_int_equal(arena.total_bytes, 0);
		for (unsigned seed = 0; seed < 20; seed++) {
			take_turn(&arena, seed, 300);
			gm_arena_reset(&arena);
		}
		gm_arena_release(&arena);
		assert_int_equal(arena.total_bytes, 0);
		take_turn(&arena, 7, 10); /* released is as good as new */
		gm_arena_release(&arena);
	}
}

static void a_turn_repeated_allocates_nothing(void **state)
{
	(void)state;
	struct gm_arena arena;
	gm_arena_init(&arena, 4096);
	take_turn(&arena, 1, 1000);
	size_t bytes = arena.total_bytes;
	for (int i = 0; i < 5; i++) {
		gm_arena_reset(&arena);
		take_turn(&arena, 1, 1000);
		assert_int_equal(arena.total_bytes, bytes);
	}
	gm_arena_release(&arena);
}

static void impossible_sizes_are_refused(void **state)
{
	(void)state;
	struct gm_arena arena;
	gm_arena_init(&arena, 100);
	uint8_t *before = gm_arena_alloc(&arena, 10);
	assert_non_null(before);
	memset(before, 1, 10);
	for (size_t less = 0; less < 64; less++) assert_null(gm_arena_alloc(&arena, SIZE_MAX - less));
	assert_null(gm_arena_alloc(&arena, SIZE_MAX / 2));
	assert_null(gm_arena_zalloc(&arena, SIZE_MAX));
	assert_null(gm_arena_strndup(&arena, "x", SIZE_MAX));
	assert_non_null(gm_arena_alloc(&arena, 10)); /* and the arena is as it was */
	assert_int_equal(before[9], 1);
	gm_arena_release(&arena);
}

static void texts_are_copied(void **state)
{
	(void)state;
	struct gm_arena arena;
	gm_arena_init(&arena, 64);
	char *copy = gm_arena_strndup(&arena, "ab\0cd", 5), *empty = gm_arena_strndup(&arena, "", 0);
	char *text = gm_arena_printf(&arena, "%0200d|%s", 7, "end");
	assert_memory_equal(copy, "ab\0cd", 6);
	assert_string_equal(empty, "");
	assert_int_equal(strlen(text), 204);
	assert_string_equal(text + 199, "7|end");
	assert_string_equal(gm_arena_printf(&arena, "%s", ""), "");
	gm_arena_release(&arena);
}

static void buffers_keep_what_was_appended(void **state)
{
	(void)state;
	enum { LIMIT = 100000 };
	struct gm_buf buf;
	uint8_t *model = malloc(LIMIT);
	assert_non_null(model);
	for (unsigned seed = 0; seed < 10; seed++) {
		size_t len = 0;
		unsigned random = seed;
		gm_buf_init(&buf, LIMIT);
		for (;;) {
			size_t n = next_random(&random) >> 8;
			uint8_t piece[3000];
			n %= random >> 30 == 0 ? sizeof piece : 20;
			memset(piece, (int)(random >> 16), n);
			if (n > LIMIT - len) {
				assert_int_equal(gm_buf_append(&buf, piece, n, &failure), GM_VALUE);
				break;
			}
			assert_int_equal(gm_buf_append(&buf, piece, n, &failure), GM_OK);
			memcpy(model + len, piece, n);
			len += n;
		}
		assert_int_equal(buf.len, len);
		assert_true(buf.cap <= LIMIT);
		assert_memory_equal(buf.data, model, len);
		gm_buf_release(&buf);
		assert_null(buf.data);
		assert_int_equal(buf.max_bytes, LIMIT);
	}
	free(model);
}

/* The limit holds to the byte, however small or large it is. */
static void buffers_never_exceed_their_limit(void **state)
{
	(void)state;
	static const size_t limits[] = {0, 1, 5, 63, 64, 65, 100, 1000, 4097};
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		struct gm_buf buf;
		gm_buf_init(&buf, limits[i]);
		for (size_t n = 0; n < limits[i]; n++) assert_int_equal(gm_buf_append(&buf, "x", 1, &failure), GM_OK);
		assert_int_equal(gm_buf_append(&buf, "x", 1, &failure), GM_VALUE);
		assert_int_equal(gm_buf_append(&buf, "", 0, &failure), GM_OK);
		assert_int_equal(gm_buf_reserve(&buf, 1, &failure), GM_VALUE);
		assert_int_equal(gm_buf_reserve(&buf, SIZE_MAX, &failure), GM_VALUE);
		assert_int_equal(buf.len, limits[i]);
		gm_buf_release(&buf);
		assert_int_equal(gm_buf_reserve(&buf, limits[i] + 1, &failure), GM_VALUE);
		assert_int_equal(gm_buf_reserve(&buf, limits[i], &failure), GM_OK);
		gm_buf_release(&buf);
	}
	struct gm_buf endless;
	gm_buf_init(&endless, SIZE_MAX);
	assert_int_equal(gm_buf_append(&endless, "x", 1, &failure), GM_OK);
	assert_int_equal(gm_buf_reserve(&endless, SIZE_MAX, &failure), GM_VALUE);
	assert_int_equal(gm_buf_reserve(&endless, SIZE_MAX - 1, &failure), GM_NOMEM);
	assert_memory_equal(endless.data, "x", 1);
	gm_buf_release(&endless);
}

static void buffers_are_printed_to(void **state)
{
	(void)state;
	struct gm_buf buf;
	gm_buf_init(&buf, 100);
	assert_int_equal(gm_buf_printf(&buf, &failure, "%s-%d", "a", 5), GM_OK);
	assert_int_equal(gm_buf_printf(&buf, &failure, "%s", ""), GM_OK);
	assert_int_equal(gm_buf_printf(&buf, &failure, "%020d", 1), GM_OK);
	assert_int_equal(buf.len, 23);
	assert_string_equal((char *)buf.data, "a-500000000000000000001");
	assert_int_equal(gm_buf_printf(&buf, &failure, "%0100d", 1), GM_VALUE);
	assert_int_equal(buf.len, 23);
	gm_buf_release(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pieces_are_aligned_and_apart),   cmocka_unit_test(a_turn_repeated_allocates_nothing),
	    cmocka_unit_test(impossible_sizes_are_refused),   cmocka_unit_test(texts_are_copied),
	    cmocka_unit_test(buffers_keep_what_was_appended), cmocka_unit_test(buffers_never_exceed_their_limit),
	    cmocka_unit_test(buffers_are_printed_to),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
