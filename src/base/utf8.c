#include "base/utf8.h"

#include <string.h>

enum { QUICK_BYTES = 32 }; /* shorter text is not worth the call */

/* Length of the run of ASCII bytes at the start of bytes[0..n): 32 bytes a step, which compilers turn into vectors. */
static size_t ascii_prefix(const uint8_t *bytes, size_t n)
{
	const uint64_t high_bits = 0x8080808080808080u;
	size_t i = 0;
	uint64_t word[4];
	for (; n - i >= sizeof word; i += sizeof word) {
		memcpy(word, bytes + i, sizeof word);
		if (((word[0] | word[1] | word[2] | word[3]) & high_bits) != 0) break;
	}
	for (; n - i >= sizeof word[0]; i += sizeof word[0]) {
		memcpy(word, bytes + i, sizeof word[0]);
		if ((word[0] & high_bits) != 0) break;
	}
	while (i < n && bytes[i] < 0x80) i++;
	return i;
}

static bool continues(uint8_t byte)
{
	return (byte & 0xC0) == 0x80;
}

/* What a lead byte asks for (Unicode, table 3-7): the length of the sequence, 0 for a byte that cannot begin one, and
 * the range of the second byte, which is narrower where overlong forms, surrogates and values past U+10FFFF begin. */
static size_t sequence_of(uint8_t lead, uint8_t *low, uint8_t *high)
{
	*low = 0x80;
	*high = 0xBF;
	if (lead < 0x80) return 1;
	if (lead < 0xC2) return 0;
	if (lead < 0xE0) return 2;
	if (lead < 0xF0) {
		if (lead == 0xE0) *low = 0xA0;
		if (lead == 0xED) *high = 0x9F;
		return 3;
	}
	if (lead > 0xF4) return 0;
	if (lead == 0xF0) *low = 0x90;
	if (lead == 0xF4) *high = 0x8F;
	return 4;
}

/* Length of the well-formed sequence, or of the maximal ill-formed part (*good false), at the start. */
static size_t sequence_length(const uint8_t *bytes, size_t n, bool *good)
{
	uint8_t low, high;
	size_t want = sequence_of(bytes[0], &low, &high);
	*good = want == 1;
	if (want <= 1 || n < 2 || bytes[1] < low || bytes[1] > high) return 1;
	size_t have = 2;
	while (have < want && have < n && continues(bytes[have])) have++;
	*good = have == want;
	return have;
}

size_t gm_utf8_valid_prefix(const uint8_t *bytes, size_t n)
{
	static size_t (*const quick_prefix[GM_CPU_COUNT])(const uint8_t *, size_t) = {
#define ENTRY(level, name) gm_utf8_quick_prefix_##level,
	    GM_CPU_LEVELS(ENTRY)
#undef ENTRY
	};
	size_t i = ascii_prefix(bytes, n);
	if (n - i >= QUICK_BYTES) i += quick_prefix[gm_cpu_level()](bytes + i, n - i);
	while (i < n) {
		if (bytes[i] < 0x80) {
			i += ascii_prefix(bytes + i, n - i);
			continue;
		}
		bool good;
		size_t used = sequence_length(bytes + i, n - i, &good);
		if (!good) return i;
		i += used;
	}
	return n;
}

uint32_t gm_utf8_decode(const uint8_t *bytes, size_t n, size_t *used)
{
	bool good;
	*used = sequence_length(bytes, n, &good);
	if (!good) return GM_REPLACEMENT;
	if (*used == 1) return bytes[0];
	uint32_t code_point = bytes[0] & (0x7Fu >> *used);
	for (size_t i = 1; i < *used; i++) code_point = code_point << 6 | (bytes[i] & 0x3Fu);
	return code_point;
}

enum gm_code gm_utf8_mend(const uint8_t *bytes, size_t n, struct gm_buf *out, uint64_t *replaced, struct gm_error *err)
{
	static const uint8_t replacement[3] = {0xEF, 0xBF, 0xBD};
	if (n == 0) return GM_OK; /* bytes may be NULL */
	size_t i = 0;
	for (;;) {
		size_t good_bytes = gm_utf8_valid_prefix(bytes + i, n - i);
		GM_TRY(gm_buf_append(out, bytes + i, good_bytes, err));
		i += good_bytes;
		if (i == n) return GM_OK;
		bool good;
		i += sequence_length(bytes + i, n - i, &good);
		GM_TRY(gm_buf_append(out, replacement, sizeof replacement, err));
		if (replaced != NULL) ++*replaced;
	}
}
