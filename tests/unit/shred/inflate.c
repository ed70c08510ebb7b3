/* inflate.c - tests of shred/inflate: every cut, every damaged byte, every way to hand the bytes over. */
#include "shred/inflate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

/* A source that gives at most `step` bytes a call, and fails at byte fail_at if that is not SIZE_MAX. */
struct memory {
	const uint8_t *bytes;
	size_t n, pos, step, fail_at;
};

static enum gm_code from_memory(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	struct memory *m = context;
	if (m->pos >= m->fail_at) return gm_error_set(err, GM_IO, "the disk is gone");
	size_t n = m->n - m->pos;
	if (n > bytes) n = bytes;
	if (n > m->step) n = m->step;
	memcpy(into, m->bytes + m->pos, n);
	m->pos += n;
	*got = n;
	return GM_OK;
}

struct bytes {
	uint8_t *data;
	size_t n;
};

static void append(struct bytes *to, const void *data, size_t n)
{
	to->data = realloc(to->data, to->n + n + 1);
	assert_non_null(to->data);
	memcpy(to->data + to->n, data, n);
	to->n += n;
}

static void append_gzip(struct bytes *to, const void *data, size_t n, int level, gz_header *header)
{
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	if (header != NULL) assert_int_equal(deflateSetHeader(&z, header), Z_OK);
	size_t room = deflateBound(&z, n) + 256;
	uint8_t *out = malloc(room);
	assert_non_null(out);
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)n;
	z.next_out = out;
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	append(to, out, z.total_out);
	(void)deflateEnd(&z);
	free(out);
}

static void append_zstd(struct bytes *to, const void *data, size_t n, bool checksum)
{
	size_t room = ZSTD_compressBound(n);
	uint8_t *out = malloc(room);
	ZSTD_CCtx *context = ZSTD_createCCtx();
	assert_non_null(out);
	assert_non_null(context);
	(void)ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum);
	size_t used = ZSTD_compress2(context, out, room, data, n);
	assert_false(ZSTD_isError(used));
	append(to, out, used);
	(void)ZSTD_freeCCtx(context);
	free(out);
}

/* Inflates all of it in reads of `room` bytes. Returns the code of the end; *out is what came before. */
static enum gm_code inflate_all(struct gm_inflate *inflate, const void *stored, size_t n, size_t step, size_t room,
                                struct bytes *out, struct gm_error *err)
{
	struct memory m = {stored, n, 0, step, SIZE_MAX};
	uint8_t *piece = malloc(room);
	assert_non_null(piece);
	out->n = 0;
	gm_inflate_begin(inflate, from_memory, &m);
	enum gm_code rc;
	for (;;) {
		size_t got;
		rc = gm_inflate_read(inflate, piece, room, &got, err);
		if (rc != GM_OK || got == 0) break;
		append(out, piece, got);
	}
	assert_int_equal(gm_inflate_bytes_out(inflate), out->n);
	if (rc == GM_OK) assert_int_equal(gm_inflate_bytes_in(inflate), n);
	assert_int_equal(gm_inflate_damaged(inflate), rc == GM_CORRUPT);
	if (rc != GM_OK) { /* the end stays the end */
		size_t got = 1;
		assert_int_equal(gm_inflate_read(inflate, piece, room, &got, err), rc);
		assert_int_equal(got, 0);
	}
	free(piece);
	return rc;
}

static void expect(struct gm_inflate *inflate, const struct bytes *stored, const void *raw, size_t n,
                   const char *format)
{
	static const size_t steps[] = {1, 2, 3, 5, 7, 8, 13, 64, 1000, SIZE_MAX};
	static const size_t rooms[] = {1, 2, 7, 100, 4096, 1 << 20};
	struct bytes out = {0};
	struct gm_error err = {0};
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		for (size_t j = 0; j < sizeof rooms / sizeof *rooms; j++) {
			enum gm_code rc = inflate_all(inflate, stored->data, stored->n, steps[i], rooms[j], &out, &err);
			if (rc != GM_OK) fail_msg("step %zu room %zu: %s", steps[i], rooms[j], err.message);
			assert_int_equal(out.n, n);
			if (n > 0) assert_memory_equal(out.data, raw, n);
			assert_string_equal(gm_inflate_format(inflate), format);
		}
	}
	free(out.data);
}

/* Text that repeats, then noise: deflate uses coded and stored blocks. */
static void make_text(uint8_t *text, size_t n)
{
	uint32_t state = 1;
	for (size_t i = 0; i < n; i++) {
		state = state * 1664525u + 1013904223u;
		text[i] = i < n / 2 ? (uint8_t)("{\"a\":1234}\n"[(i + (state >> 30)) % 11]) : (uint8_t)(state >> 24);
	}
}

static void test_sound(void **state)
{
	(void)state;
	struct gm_inflate *inflate = gm_inflate_new();
	assert_non_null(inflate);
	static uint8_t text[5000];
	make_text(text, sizeof text);
	static const int levels[] = {0, 1, 6, 9};
	for (size_t i = 0; i < 4; i++) {
		struct bytes stored = {0};
		append_gzip(&stored, text, sizeof text, levels[i], NULL);
		expect(inflate, &stored, text, sizeof text, "gzip");
		free(stored.data);
	}
	struct bytes stored = {0};
	append_zstd(&stored, text, sizeof text, true);
	expect(inflate, &stored, text, sizeof text, "zstd");
	free(stored.data);
	struct bytes plain = {text, sizeof text};
	expect(inflate, &plain, text, sizeof text, "plain");
	gm_inflate_free(inflate);
}

static void test_members_and_frames(void **state)
{
	(void)state;
	struct gm_inflate *inflate = gm_inflate_new();
	assert_non_null(inflate);
	static uint8_t text[900], twice[1800];
	make_text(text, sizeof text);
	memcpy(twice, text, 900);
	memcpy(twice + 900, text, 900);
	gz_header header = {.extra = (Bytef *)(uintptr_t) "some extra", .extra_len = 10, .hcrc = 1};
	header.name = (Bytef *)(uintptr_t) "a name";
	header.comment = (Bytef *)(uintptr_t) "a comment";
	struct bytes gzip = {0};
	append_gzip(&gzip, "", 0, 6, NULL); /* empty members are fine */
	append_gzip(&gzip, text, 900, 6, &header);
	append_gzip(&gzip, "", 0, 6, &header);
	for (size_t i = 0; i < 9; i++) append_gzip(&gzip, text + i * 100, 100, (int)i, NULL);
	expect(inflate, &gzip, twice, sizeof twice, "gzip");
	append(&gzip, "\0\0\0\0\0\0\0\0\0", 9);
	expect(inflate, &gzip, twice, sizeof twice, "gzip");
	free(gzip.data);

	struct bytes zstd = {0};
	append(&zstd, "\x53\x2A\x4D\x18\x03\0\0\0abc", 11);
	append_zstd(&zstd, text, 900, true);
	append(&zstd, "\x50\x2A\x4D\x18\x00\0\0\0", 8);
	append_zstd(&zstd, "", 0, false);
	append_zstd(&zstd, text, 450, false);
	append_zstd(&zstd, text + 450, 450, true);
	append(&zstd, "\x5F\x2A\x4D\x18\x01\0\0\0x", 9);
	expect(inflate, &zstd, twice, sizeof twice, "zstd");
	free(zstd.data);
	gm_inflate_free(inflate);
}

static void test_short_plain(void **state)
{
	(void)state;
	struct gm_inflate *inflate = gm_inflate_new();
	assert_non_null(inflate);
	static const char *const texts[] = {"", "{", "{}", "\x1F", "\x28\xB5\x2F", "\x50\x2A\x4D", "\x1Fx{}"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct bytes stored = {(uint8_t *)(uintptr_t)texts[i], strlen(texts[i])};
		expect(inflate, &stored, texts[i], stored.n, "plain");
	}
	gm_inflate_free(inflate);
}

/* Every prefix but those that end a member or frame is damage, and gives nothing but a prefix of the raw bytes. */
static void expect_cuts_noticed(const struct bytes *stored, const uint8_t *raw, size_t n, const size_t *ends,
                                size_t end_count)
{
	struct gm_inflate *inflate = gm_inflate_new();
	assert_non_null(inflate);
	struct bytes out = {0};
	struct gm_error err = {0};
	for (size_t cut = 4; cut < stored->n; cut++) {
		bool sound = false;
		for (size_t i = 0; i < end_count; i++) sound |= ends[i] == cut;
		for (size_t step = 1; step <= stored->n; step = step * 5 + 1) {
			enum gm_code rc = inflate_all(inflate, stored->data, cut, step, step == 1 ? 3 : 8192, &out, &err);
			assert_int_equal(rc, sound ? GM_OK : GM_CORRUPT);
			assert_true(out.n <= n);
			if (out.n > 0) assert_memory_equal(out.data, raw, out.n);
			/* (half a magic number is no member: the offset is that of its first byte) */
			if (!sound) assert_true(err.offset == cut || (err.offset + 1 == cut && err.offset == ends[0]));
		}
	}
	free(out.data);
	gm_inflate_free(inflate);
}

static void test_cuts(void **state)
{
	(void)state;
	static uint8_t text[600];
	make_text(text, sizeof text);
	struct bytes stored = {0};
	append_gzip(&stored, text, 400, 6, NULL);
	size_t end = stored.n;
	append_gzip(&stored, text + 400, 200, 0, NULL);
	expect_cuts_noticed(&stored, text, sizeof text, &end, 1);
	stored.n = 0;
	append_zstd(&stored, text, 400, true);
	size_t ends[2] = {stored.n, 0};
	append_zstd(&stored, text + 400, 200, false);
	ends[1] = stored.n;
	append(&stored, "\x50\x2A\x4D\x18\x05\0\0\0tail!", 13);
	expect_cuts_noticed(&stored, text, sizeof text, ends, 2);
	free(stored.data);
}

/* Each bit of the trailers of both members, and of a checked zstd frame's checksum. */
static void test_checksums(void **state)
{
	(void)state;
	struct gm_inflate *inflate = gm_inflate_new();
	assert_non_null(inflate);
	static uint8_t text[600];
	make_text(text, sizeof text);
	struct bytes stored = {0}, out = {0};
	struct gm_error err = {0};
	append_gzip(&stored, text, 400, 6, NULL);
	size_t first = stored.n;
	append_gzip(&stored, text + 400, 200, 6, NULL);
	for (size_t bit = 0; bit < 16 * 8; bit++) {
		size_t at = bit < 64 ? first - 8 + bit / 8 : stored.n - 16 + bit / 8;
		for (size_t step = 1; step <= stored.n; step = step * 3) {
			stored.data[at] ^= (uint8_t)(1u << bit % 8);
			assert_int_equal(inflate_all(inflate, stored.data, stored.n, step, 8192, &out, &err), GM_CORRUPT);
			stored.data[at] ^= (uint8_t)(1u << bit % 8);
			assert_int_equal(out.n, bit < 64 ? 400 : 600);
			assert_non_null(strstr(err.message, "checksum"));
		}
	}
	stored.n = 0;
	append_zstd(&stored, text, 600, true);
	for (size_t at = stored.n - 4; at < stored.n; at++) {
		stored.data[at] ^= 1;
		assert_int_equal(inflate_all(inflate, stored.data, stored.n, SIZE_MAX, 100, &out, &err), GM_CORRUPT);
		stored.data[at] ^= 1;
	}
	free(stored.data);
	free(out.data);
	gm_inflate_free(inflate);
}

static void test_trailing_bytes(void **state)
{
	(void)state;
	struct gm_inflate *inflate = gm_inflate_new();
	assert_non_null(inflate);
	static const struct {
		const char *tail;
		size_t n, fault; /* offset behind the member */
	} cases[] = {{"x", 1, 0}, {"\x1F", 1, 0}, {"\x1Fx", 2, 0}, {"\0\0x", 3, 2}, {"\0\x1F\x8B", 3, 1}, {"\n", 1, 0}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bytes stored = {0}, out = {0};
		struct gm_error err = {0};
		append_gzip(&stored, "{\"a\":1}", 7, 6, NULL);
		size_t end = stored.n;
		append(&stored, cases[i].tail, cases[i].n);
		for (size_t step = 1; step < 40; step++) {
			assert_int_equal(inflate_all(inflate, stored.data, stored.n, step, 100, &out, &err), GM_CORRUPT);
			assert_int_equal(out.n, 7);
			assert_int_equal(err.offset, end + cases[i].fault);
		}
		free(stored.data);
		free(out.data);
	}
	gm_inflate_free(inflate);
}

/* Flipped bits anywhere: never a crash, and a sound end only with the right bytes (header fields may differ freely). */
static void test_flips(void **state)
{
	(void)state;
	struct gm_inflate *inflate = gm_inflate_new();
	assert_non_null(inflate);
	static uint8_t text[500];
	make_text(text, sizeof text);
	struct bytes stored = {0}, out = {0};
	struct gm_error err = {0};
	append_gzip(&stored, text, sizeof text, 6, NULL);
	for (size_t bit = 16; bit < stored.n * 8; bit++) {
		stored.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		enum gm_code rc = inflate_all(inflate, stored.data, stored.n, bit % 50 + 1, 300, &out, &err);
		stored.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (rc == GM_OK) {
			assert_int_equal(out.n, sizeof text);
			assert_memory_equal(out.data, text, sizeof text);
		}
	}
	free(stored.data);
	free(out.data);
	gm_inflate_free(inflate);
}

static void test_source_fails(void **state)
{
	(void)state;
	struct gm_inflate *inflate = gm_inflate_new();
	assert_non_null(inflate);
	struct bytes stored = {0};
	append_gzip(&stored, "0123456789", 10, 6, NULL);
	for (size_t at = 0; at < stored.n; at++) {
		struct memory m = {stored.data, stored.n, 0, 1, at};
		struct gm_error err = {0};
		uint8_t out[100];
		size_t got;
		enum gm_code rc;
		gm_inflate_begin(inflate, from_memory, &m);
		do rc = gm_inflate_read(inflate, out, sizeof out, &got, &err);
		while (rc == GM_OK && got > 0);
		assert_int_equal(rc, GM_IO);
		assert_false(gm_inflate_damaged(inflate));
	}
	free(stored.data);
	gm_inflate_free(inflate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sound), cmocka_unit_test(test_members_and_frames), cmocka_unit_test(test_short_plain),
	    cmocka_unit_test(test_cuts),  cmocka_unit_test(test_checksums),          cmocka_unit_test(test_trailing_bytes),
	    cmocka_unit_test(test_flips), cmocka_unit_test(test_source_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
