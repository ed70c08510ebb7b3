/* fuzz_inflate.c - any bytes as an object: what comes out, and how it ends, does not depend on how they are handed over
 * or taken. What ends well as gzip is what zlib makes of it. */
#include "shred/inflate.h"
#include "pieces.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 20 }; /* output looked at; a bomb is left alone behind it */

static size_t inflate_in(struct gm_inflate *inflate, const uint8_t *data, size_t n, size_t step, size_t room,
                         uint8_t *out, enum gm_code *rc)
{
	struct pieces p = {data, n, 0, step};
	struct gm_error err;
	size_t total = 0, got;
	gm_inflate_begin(inflate, give, &p);
	do {
		size_t left = MOST - total;
		*rc = gm_inflate_read(inflate, out + total, left < room ? left : room, &got, &err);
		total += got;
	} while (*rc == GM_OK && got > 0 && total < MOST);
	if (*rc != GM_OK && (*rc != GM_CORRUPT || !gm_inflate_damaged(inflate) || err.offset > n)) abort();
	return total;
}

/* The members of a sound gzip object by zlib. */
static void compare_with_zlib(const uint8_t *data, size_t n, const uint8_t *expected, size_t expected_n)
{
	static uint8_t out[MOST + 1];
	size_t total = 0;
	z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)n};
	while (z.avail_in > 0 && z.next_in[0] != 0) {
		if (inflateInit2(&z, 15 + 16) != Z_OK) abort();
		z.next_out = out + total;
		z.avail_out = (uInt)(sizeof out - total);
		if (inflate(&z, Z_FINISH) != Z_STREAM_END) abort();
		total = (size_t)(z.next_out - out);
		(void)inflateEnd(&z);
	}
	if (total != expected_n || memcmp(out, expected, total) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = {1, 2, 7, 64, 1000}, rooms[] = {1, 3, 100, 4096, 1 << 18};
	static uint8_t first[MOST], second[MOST];
	if (size < 1) return 0;
	size_t step = steps[data[0] % 5], room = rooms[data[0] / 5 % 5];
	enum gm_code rc, rc2;
	data++, size--;
	struct gm_inflate *inflate = gm_inflate_new();
	if (inflate == NULL) return 0;
	size_t n = inflate_in(inflate, data, size, SIZE_MAX, MOST, first, &rc);
	bool gzip = strcmp(gm_inflate_format(inflate), "gzip") == 0;
	size_t n2 = inflate_in(inflate, data, size, step, room, second, &rc2);
	gm_inflate_free(inflate);
	if (n == MOST || n2 == MOST) return 0;
	if (rc != rc2) abort();
	/* How much comes before damage inside a block depends on the room, but never what. */
	if (rc == GM_OK && n != n2) abort();
	if (memcmp(first, second, n < n2 ? n : n2) != 0) abort();
	if (rc == GM_OK && gzip) compare_with_zlib(data, size, first, n);
	return 0;
}
