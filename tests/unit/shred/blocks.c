/* blocks.c - tests of shred/blocks: whoever inflates, and when, the reader gets the same blocks and the same end. */
#include "shred/blocks.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>
#include <zlib.h>

enum { TEXT_BYTES = 150000, OBJECT_BYTES = 2 * TEXT_BYTES, HELPERS = 3, AT_MOST_AHEAD = 64 };

static uint64_t random_state;

static size_t rnd(size_t below)
{
	random_state = random_state * 6364136223846793005U + 1442695040888963407U;
	return (size_t)(random_state >> 33) % below;
}

/* An object in memory. Its source gives pieces of any size, is never called twice at once, and may fail. */
struct object {
	uint8_t text[TEXT_BYTES], bytes[OBJECT_BYTES];
	size_t text_bytes, n, pos, fail_at;
	bool altered; /* the bytes are not those of the text */
	int inside;   /* calls of the source that are under way */
};

static enum gm_code source(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	struct object *object = context;
	assert_int_equal(__atomic_add_fetch(&object->inside, 1, __ATOMIC_RELAXED), 1);
	size_t end = object->fail_at < object->n ? object->fail_at : object->n, n = end - object->pos;
	bool fails = n == 0 && end < object->n;
	if (n > bytes) n = bytes;
	if (n > 1000) n = 1000;
	memcpy(into, object->bytes + object->pos, n);
	object->pos += n;
	*got = n;
	__atomic_sub_fetch(&object->inside, 1, __ATOMIC_RELAXED);
	return fails ? gm_error_set(err, GM_IO, "the disk is gone") : GM_OK;
}

static void add_member(struct object *object, const uint8_t *text, size_t n)
{
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)text;
	z.avail_in = (uInt)n;
	z.next_out = object->bytes + object->n;
	z.avail_out = (uInt)(OBJECT_BYTES - object->n);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	object->n += z.total_out;
	(void)deflateEnd(&z);
}

/* Words, in one to three members; text_bytes 0: any length. */
static void make_object(struct object *object, size_t text_bytes)
{
	*object = (struct object){.text_bytes = text_bytes > 0 ? text_bytes : rnd(TEXT_BYTES), .fail_at = SIZE_MAX};
	for (size_t i = 0; i < object->text_bytes; i++)
		object->text[i] = (uint8_t)(rnd(5) == 0 || i < 9 ? 'a' + rnd(26) : object->text[i - 1 - rnd(8)]);
	size_t done = 0;
	for (size_t left = 1 + rnd(3); left > 0; left--) {
		size_t n = left == 1 ? object->text_bytes - done : (object->text_bytes - done) / (1 + rnd(4));
		add_member(object, object->text + done, n);
		done += n;
	}
}

/* What the reader saw: a line for each block. */
struct report {
	char text[1 << 18];
	size_t n, blocks;
	bool sound;
};

static void read_all(struct gm_blocks *blocks, size_t block_bytes, const struct object *object, struct report *report)
{
	uint8_t *into = malloc(block_bytes);
	assert_non_null(into);
	size_t got = block_bytes, done = 0;
	enum gm_code rc = GM_OK;
	for (; rc == GM_OK && got == block_bytes; report->blocks++) {
		struct gm_error err = {.code = GM_OK};
		rc = gm_blocks_read(blocks, into, &got, &err);
		assert_true(got <= block_bytes);
		done += got;
		assert_int_equal(gm_blocks_bytes_out(blocks), done);
		assert_true(!gm_blocks_damaged(blocks) || rc == GM_CORRUPT);
		report->n +=
		    (size_t)snprintf(report->text + report->n, sizeof report->text - report->n,
		                     "%zu %016llx from %llu: %d %s\n", got, (unsigned long long)XXH3_64bits(into, got),
		                     (unsigned long long)gm_blocks_bytes_in(blocks), (int)rc, rc != GM_OK ? err.message : "");
		assert_true(report->n < sizeof report->text);
		(void)sched_yield(); /* a chance for helpers */
		if (rc == GM_OK && !object->altered) assert_memory_equal(into, object->text + done - got, got);
	}
	report->sound = rc == GM_OK && !object->altered && done == object->text_bytes;
	free(into);
}

struct help {
	struct gm_blocks *blocks;
	pthread_barrier_t ready;
	bool ended;
	size_t inflated;
};

static void *help(void *context)
{
	struct help *help = context;
	(void)pthread_barrier_wait(&help->ready);
	while (!__atomic_load_n(&help->ended, __ATOMIC_RELAXED)) {
		if (gm_blocks_claim(help->blocks)) {
			gm_blocks_inflate(help->blocks);
			__atomic_add_fetch(&help->inflated, 1, __ATOMIC_RELAXED);
		}
		(void)sched_yield();
	}
	return NULL;
}

static void begin(struct gm_blocks *blocks, struct object *object)
{
	object->pos = 0;
	gm_blocks_begin(blocks, false, source, object);
}

/* Sound objects, cut ones, damaged ones, and those whose source fails, read alone and with helpers that come and go as
 * they like. */
static void test_helpers_change_nothing(void **state)
{
	(void)state;
	static const size_t sizes[] = {1, 17, 1000, 4096, 1 << 16};
	static struct object object;
	static struct report alone, helped;
	size_t sound = 0, others = 0, inflated = 0;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		random_state = seed;
		size_t block_bytes = sizes[rnd(5)];
		make_object(&object, block_bytes < 100 ? 1 + rnd(300) : rnd(3) == 0 ? block_bytes * (1 + rnd(2)) : 0);
		size_t fault = rnd(6), at = rnd(object.n);
		if (fault == 0) object.n = at;
		object.altered = fault == 1;
		if (object.altered) object.bytes[at] ^= (uint8_t)(1 + rnd(255));
		if (fault == 2) object.fail_at = at;
		struct gm_blocks *blocks = gm_blocks_new(block_bytes);
		assert_non_null(blocks);
		alone.n = helped.n = alone.blocks = helped.blocks = 0;
		alone.text[0] = helped.text[0] = '\0';
		begin(blocks, &object);
		read_all(blocks, block_bytes, &object, &alone);
		struct help helping = {.blocks = blocks};
		pthread_t helpers[HELPERS];
		begin(blocks, &object);
		(void)pthread_barrier_init(&helping.ready, NULL, HELPERS + 1);
		for (int i = 0; i < HELPERS; i++) assert_int_equal(pthread_create(&helpers[i], NULL, help, &helping), 0);
		(void)pthread_barrier_wait(&helping.ready);
		read_all(blocks, block_bytes, &object, &helped);
		__atomic_store_n(&helping.ended, true, __ATOMIC_RELAXED);
		for (int i = 0; i < HELPERS; i++) (void)pthread_join(helpers[i], NULL);
		(void)pthread_barrier_destroy(&helping.ready);
		gm_blocks_free(blocks);
		if (strcmp(alone.text, helped.text) != 0)
			fail_msg("seed %d\nalone:\n%s\nhelped:\n%s", (int)seed, alone.text, helped.text);
		if (fault > 2) assert_true(alone.sound);
		*(alone.sound ? &sound : &others) += 1;
		inflated += helping.inflated;
	}
	assert_true(sound > 10 && others > 10 && inflated > 10);
}

/* As many blocks as there is room for, and no more; then one for each that is read. */
static void test_ahead(void **state)
{
	(void)state;
	enum { BLOCK_BYTES = 1000 };
	static struct object object;
	static uint8_t into[BLOCK_BYTES];
	struct gm_blocks *blocks = gm_blocks_new(BLOCK_BYTES);
	struct gm_error err;
	size_t got, ahead = 0;
	assert_non_null(blocks);
	random_state = 1;
	make_object(&object, TEXT_BYTES);
	assert_false(gm_blocks_claim(blocks)); /* no object */
	begin(blocks, &object);
	assert_false(gm_blocks_claim(blocks)); /* the first block is the reader's */
	assert_int_equal(gm_blocks_read(blocks, into, &got, &err), GM_OK);
	while (gm_blocks_claim(blocks)) {
		assert_false(gm_blocks_claim(blocks)); /* one at a time */
		assert_int_equal(gm_blocks_busy(blocks), ahead == 0);
		gm_blocks_inflate(blocks);
		assert_false(gm_blocks_busy(blocks));
		assert_true(++ahead <= AT_MOST_AHEAD);
	}
	assert_true(ahead > 1);
	size_t taken = object.pos;
	for (size_t i = 1; i <= ahead; i++) {
		assert_int_equal(gm_blocks_read(blocks, into, &got, &err), GM_OK);
		assert_int_equal(got, BLOCK_BYTES);
		assert_memory_equal(into, object.text + i * BLOCK_BYTES, BLOCK_BYTES);
	}
	assert_int_equal(object.pos, taken); /* all of them came from memory */
	assert_true(gm_blocks_claim(blocks));
	gm_blocks_inflate(blocks);
	gm_blocks_free(blocks);
}

/* Excerpts are worked by their reader, whatever they begin with; and nothing is left of the object before. */
static void test_plain_and_again(void **state)
{
	(void)state;
	enum { BLOCK_BYTES = 100 };
	static struct object object;
	static uint8_t into[BLOCK_BYTES];
	struct gm_blocks *blocks = gm_blocks_new(BLOCK_BYTES);
	struct gm_error err;
	size_t got;
	assert_non_null(blocks);
	random_state = 2;
	make_object(&object, 10000);
	object.fail_at = 150;
	for (int i = 0; i < 2; i++) {
		object.pos = 0;
		gm_blocks_begin(blocks, true, source, &object);
		assert_int_equal(gm_blocks_read(blocks, into, &got, &err), GM_OK);
		assert_int_equal(got, BLOCK_BYTES);
		assert_memory_equal(into, object.bytes, BLOCK_BYTES);
		assert_false(gm_blocks_claim(blocks));
		assert_int_equal(gm_blocks_read(blocks, into, &got, &err), GM_IO);
		assert_false(gm_blocks_damaged(blocks));
	}
	gm_blocks_free(blocks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_helpers_change_nothing),
	    cmocka_unit_test(test_ahead),
	    cmocka_unit_test(test_plain_and_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
