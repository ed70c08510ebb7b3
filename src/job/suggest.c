#include "job/suggest.h"

#include <string.h>

/* Distance: Damerau-Levenshtein in its "optimal string alignment" form (insert, delete, replace, swap neighbours), over
 * bytes, ASCII case ignored. A word may be wrong in a third of its letters; longer words than this are not compared. */
enum { LONGEST = 64 };

static unsigned char folded(const char *text, size_t i)
{
	unsigned char c = (unsigned char)text[i];
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][LONGEST + 1];
	size_t *before = rows[0], *last = rows[1], *now = rows[2];
	for (size_t j = 0; j <= b_len; j++) last[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		now[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t change = folded(a, i - 1) != folded(b, j - 1);
			size_t cost = least(last[j - 1] + change, least(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && folded(a, i - 1) == folded(b, j - 2) && folded(a, i - 2) == folded(b, j - 1))
				cost = least(cost, before[j - 2] + 1);
			now[j] = cost;
		}
		size_t *recycled = before;
		before = last;
		last = now;
		now = recycled;
	}
	return last[b_len];
}

void gm_suggest_init(struct gm_suggest *suggest, const char *wanted, size_t bytes)
{
	*suggest = (struct gm_suggest){.wanted = wanted, .bytes = bytes};
	suggest->distance = (bytes < 3 ? 1 : bytes / 3) + 1;
}

void gm_suggest_offer(struct gm_suggest *suggest, const char *word)
{
	size_t bytes = strlen(word);
	if (bytes > LONGEST || suggest->bytes > LONGEST || suggest->bytes == 0) return;
	size_t found = distance(suggest->wanted, suggest->bytes, word, bytes);
	if (found >= suggest->distance || found >= bytes) return;
	suggest->distance = found;
	suggest->best = word;
}

const char *gm_suggest_best(const struct gm_suggest *suggest)
{
	return suggest->best;
}
