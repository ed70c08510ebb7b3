#include "shred/window.h"

#include "shred/simd.h"

#include <stdlib.h>

/* Refills that a grown buffer outlives its use, so that a run of big records does not allocate for each. */
enum { KEEP_REFILLS = 16, SPARE_SHARE = 8 };

void gm_window_init(struct gm_window *window, size_t size, size_t max)
{
	*window = (struct gm_window){.size = size, .max = max < size ? size : max};
	gm_window_begin(window, 0);
}

void gm_window_release(struct gm_window *window)
{
	free(window->data);
	window->data = NULL;
	window->cap = 0;
}

static void give_back(struct gm_window *window)
{
	struct gm_error never;
	if (window->room != NULL) (void)!window->room(window->room_context, 0, &never);
}

/* What a window may have without being asked for: what was left of a block, and the next. */
static size_t usual_bytes(const struct gm_window *window)
{
	return 2 * window->size + window->size / SPARE_SHARE;
}

void gm_window_rest(struct gm_window *window)
{
	if (window->cap <= usual_bytes(window)) return;
	gm_window_release(window);
	window->len = window->pos = 0;
	give_back(window);
}

void gm_window_begin(struct gm_window *window, uint64_t base)
{
	gm_window_rest(window);
	window->len = window->pos = 0;
	window->base = base;
	window->before = '\n';
	window->ended = window->damaged = false;
	window->target = window->size;
}

/* Slides and makes the allocation fit the target. What is large is moved by the page, not copied: there are never two.
 */
static enum gm_code resize(struct gm_window *window, size_t cap, struct gm_error *err)
{
	size_t tail = window->len - window->pos;
	size_t usual = usual_bytes(window);
	bool large = window->cap > usual;
	if (cap > window->cap && cap > usual && window->room != NULL) GM_TRY(window->room(window->room_context, cap, err));
	if (window->pos > 0) {
		window->before = window->data[window->pos - 1];
		memmove(window->data, window->data + window->pos, tail);
	}
	window->base += window->pos;
	window->len = tail;
	window->pos = 0;
	if (cap == window->cap) return GM_OK;
	uint8_t *data = realloc(window->data, cap + GM_SLACK);
	if (data == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a window of %zu bytes", cap);
	window->data = data;
	window->cap = cap;
	if (large && cap <= usual) give_back(window);
	return GM_OK;
}

/* How much the window is to hold: a block more than what is left, unless the record at its start needs more. */
static size_t next_target(const struct gm_window *window)
{
	size_t tail = window->len - window->pos;
	if (window->pos == 0 && tail >= window->target) return tail > window->max / 2 ? window->max : tail * 2;
	return tail < window->size ? window->size : window->target;
}

/* Room for the blocks until the target is reached: at least one, and the last one may go beyond it. */
static enum gm_code make_room(struct gm_window *window, struct gm_error *err)
{
	size_t tail = window->len - window->pos, missing = window->target > tail ? window->target - tail : 1;
	size_t need = tail + (missing + window->size - 1) / window->size * window->size;
	window->unused = window->target > window->size ? 0 : window->unused + 1;
	size_t cap = window->cap;
	/* What is left of a block is mostly less than a record; a little more than needed spares allocations. */
	if (cap < need || (window->unused > KEEP_REFILLS && cap / 2 > need)) cap = need + window->size / SPARE_SHARE;
	return resize(window, cap, err);
}

enum gm_code gm_window_refill(struct gm_window *window, struct gm_blocks *blocks, struct gm_error *err)
{
	window->target = next_target(window);
	if (window->pos == 0 && window->len >= window->target && window->len > 0)
		GM_FAIL(err, GM_BUG, "a full window cannot grow");
	GM_TRY(make_room(window, err));
	do {
		size_t got;
		enum gm_code rc = gm_blocks_read(blocks, window->data + window->len, &got, &window->damage);
		if (rc != GM_OK && !gm_blocks_damaged(blocks)) {
			if (err != NULL) *err = window->damage;
			return rc;
		}
		window->damaged = rc != GM_OK;
		window->len += got;
		window->ended = rc != GM_OK || got < window->size;
	} while (window->len < window->target && !window->ended);
	memset(window->data + window->len, 0, GM_SLACK);
	return GM_OK;
}
