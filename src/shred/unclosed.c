#include "shred/unclosed.h"

#include "shred/json.h"

#include <stdlib.h>

enum { FIRST_ROOM = 256, MOST_BRACKETS = 512 * 1024 };

void gm_unclosed_release(struct gm_unclosed *unclosed)
{
	free(unclosed->brackets);
	*unclosed = (struct gm_unclosed){0};
}

void gm_unclosed_clear(struct gm_unclosed *unclosed)
{
	unclosed->next = unclosed->count = 0;
}

/* A full list takes no more: what it lacks lies deeper than all it has. */
static bool push(struct gm_unclosed *unclosed, size_t offset, uint32_t depth)
{
	if (unclosed->count == MOST_BRACKETS) return true;
	if (unclosed->count == unclosed->room) {
		size_t room = unclosed->room == 0 ? FIRST_ROOM : unclosed->room * 2;
		struct gm_unclosed_bracket *brackets = realloc(unclosed->brackets, room * sizeof *brackets);
		if (brackets == NULL) return false;
		unclosed->brackets = brackets;
		unclosed->room = room;
	}
	unclosed->brackets[unclosed->count++] = (struct gm_unclosed_bracket){(uint32_t)offset, depth};
	return true;
}

static void pop(struct gm_unclosed *unclosed, uint32_t depth)
{
	if (unclosed->count > 0 && unclosed->brackets[unclosed->count - 1].depth == depth) unclosed->count--;
}

enum gm_code gm_unclosed_list(struct gm_unclosed *unclosed, const uint8_t *p, const uint8_t *fault, uint64_t start,
                              const char *what, struct gm_error *err)
{
	const uint8_t *first = p;
	struct gm_json json = {.fault = ""};
	uint32_t depth = 0, flags;
	gm_unclosed_clear(unclosed);
	unclosed->start = start;
	unclosed->fault = start + (uint64_t)(fault - p);
	unclosed->what = what;
	for (; p != NULL && p < fault; p++) {
		if (*p == '{' || *p == '[') {
			if (!push(unclosed, (size_t)(p - first), depth++))
				GM_FAIL(err, GM_NOMEM, "out of memory for the brackets of a broken document");
		} else if (*p == '}' || *p == ']') {
			pop(unclosed, --depth);
		} else if (*p == '"') {
			p = gm_json_string(&json, p + 1, &flags); /* NULL: the fault is in this string */
			if (p == NULL) break;
		}
	}
	return GM_OK;
}
