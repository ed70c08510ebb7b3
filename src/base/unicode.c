#include "base/unicode.h"

#include <string.h>

static const struct gm_unicode_case *case_of(uint32_t code_point)
{
	uint32_t block = gm_unicode_case_index[code_point >> GM_UNICODE_CASE_SHIFT];
	uint32_t within = code_point & ((1u << GM_UNICODE_CASE_SHIFT) - 1);
	return &gm_unicode_cases[gm_unicode_case_blocks[block << GM_UNICODE_CASE_SHIFT | within]];
}

uint32_t gm_unicode_simple_lower(uint32_t code_point)
{
	return code_point + (uint32_t)case_of(code_point)->lower;
}

uint32_t gm_unicode_simple_upper(uint32_t code_point)
{
	return code_point + (uint32_t)case_of(code_point)->upper;
}

/* Plain loops: compilers make 16 or 32 bytes a step of them. */
static inline __attribute__((always_inline)) bool ascii_swap(uint8_t *to, const uint8_t *from, size_t n, uint8_t first)
{
	uint8_t seen = 0;
	for (size_t i = 0; i < n; i++) {
		uint8_t byte = from[i];
		seen |= byte;
		to[i] = (uint8_t)(byte ^ ((uint8_t)(byte - first) < 26 ? 0x20 : 0));
	}
	return seen < 0x80;
}

bool gm_ascii_lower(uint8_t *to, const uint8_t *from, size_t n)
{
	return ascii_swap(to, from, n, 'A');
}

bool gm_ascii_upper(uint8_t *to, const uint8_t *from, size_t n)
{
	return ascii_swap(to, from, n, 'a');
}

/* The code point that ends before bytes[*end], *end > 0; moves *end to its start. The text is well-formed. */
static uint32_t decode_before(const uint8_t *bytes, size_t *end)
{
	size_t start = *end - 1, used;
	while (start > 0 && (bytes[start] & 0xC0) == 0x80) start--;
	uint32_t code_point = gm_utf8_decode(bytes + start, *end - start, &used);
	*end = start;
	return code_point;
}

static bool cased_before(const uint8_t *bytes, size_t end)
{
	while (end > 0) {
		uint8_t properties = gm_unicode_properties(decode_before(bytes, &end));
		if ((properties & GM_UNICODE_IGNORABLE) == 0) return (properties & GM_UNICODE_CASED) != 0;
	}
	return false;
}

static bool cased_behind(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0, used; i < n; i += used) {
		uint8_t properties = gm_unicode_properties(gm_utf8_decode(bytes + i, n - i, &used));
		if ((properties & GM_UNICODE_IGNORABLE) == 0) return (properties & GM_UNICODE_CASED) != 0;
	}
	return false;
}

enum { CAPITAL_I_DOT = 0x130, CAPITAL_SIGMA = 0x3A3, SMALL_SIGMA = 0x3C3, FINAL_SIGMA = 0x3C2 };

enum gm_code gm_unicode_lower_general(const uint8_t *bytes, size_t n, struct gm_buf *out, struct gm_error *err)
{
	static const uint8_t i_dot[3] = {'i', 0xCC, 0x87};
	for (size_t i = 0, used; i < n; i += used) {
		uint32_t code_point = gm_utf8_decode(bytes + i, n - i, &used);
		if (code_point == CAPITAL_I_DOT) {
			GM_TRY(gm_buf_append(out, i_dot, sizeof i_dot, err));
			continue;
		}
		uint32_t lower = gm_unicode_simple_lower(code_point);
		if (code_point == CAPITAL_SIGMA) {
			bool final = cased_before(bytes, i) && !cased_behind(bytes + i + used, n - i - used);
			lower = final ? FINAL_SIGMA : SMALL_SIGMA;
		}
		uint8_t encoded[4];
		GM_TRY(gm_buf_append(out, encoded, gm_utf8_encode(lower, encoded), err));
	}
	return GM_OK;
}

enum gm_code gm_unicode_lower(const uint8_t *bytes, size_t n, struct gm_buf *out, struct gm_error *err)
{
	GM_TRY(gm_buf_reserve(out, n, err));
	if (n == 0) return GM_OK;
	if (gm_ascii_lower(out->data + out->len, bytes, n)) {
		out->len += n;
		return GM_OK;
	}
	return gm_unicode_lower_general(bytes, n, out, err);
}

size_t gm_utf8_length(const uint8_t *bytes, size_t n)
{
	size_t count = 0;
	if (gm_utf8_valid_prefix(bytes, n) == n) {
		for (size_t i = 0; i < n; i++) count += (bytes[i] & 0xC0) != 0x80;
		return count;
	}
	for (size_t i = 0, used; i < n; i += used, count++) (void)gm_utf8_decode(bytes + i, n - i, &used);
	return count;
}
