#include "run/verify_internal.h"

#include <stdlib.h>

enum { LEAST_ROOM = 1024 };

void gm_book_index_init(struct gm_book_index *index, size_t memory_bytes)
{
	*index = (struct gm_book_index){.max_room = LEAST_ROOM};
	while (index->max_room * 2 * sizeof *index->slots <= memory_bytes) index->max_room *= 2;
}

void gm_book_index_release(struct gm_book_index *index)
{
	free(index->slots);
	*index = (struct gm_book_index){0};
}

static bool is_free(const struct gm_book_file *slot)
{
	return slot->path.low == 0 && slot->path.high == 0;
}

static struct gm_book_file *find_slot(const struct gm_book_index *index, struct gm_hash128 path)
{
	size_t i = (size_t)path.low & (index->room - 1);
	while (!is_free(&index->slots[i]) &&
	       (index->slots[i].path.low != path.low || index->slots[i].path.high != path.high))
		i = (i + 1) & (index->room - 1);
	return &index->slots[i];
}

static enum gm_code grow(struct gm_book_index *index, struct gm_error *err)
{
	struct gm_book_index larger = *index;
	larger.room = index->room == 0 ? LEAST_ROOM : index->room * 2;
	if (larger.room > index->max_room) {
		(void)gm_error_set(err, GM_NOMEM, "the table has more files than the memory given can hold (%zu so far)",
		                   index->count);
		return gm_error_hint(err, GM_NOMEM, "give more memory (--memory)");
	}
	larger.slots = calloc(larger.room, sizeof *larger.slots);
	if (larger.slots == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a proof");
	for (size_t i = 0; i < index->room; i++)
		if (!is_free(&index->slots[i])) *find_slot(&larger, index->slots[i].path) = index->slots[i];
	free(index->slots);
	*index = larger;
	return GM_OK;
}

enum gm_code gm_book_index_add(struct gm_book_index *index, const struct gm_book_file *file, struct gm_error *err)
{
	if (index->count * 4 >= index->room * 3) GM_TRY(grow(index, err));
	struct gm_book_file *slot = find_slot(index, file->path);
	index->count += is_free(slot);
	*slot = *file;
	return GM_OK;
}

const struct gm_book_file *gm_book_index_find(const struct gm_book_index *index, struct gm_hash128 path)
{
	if (index->room == 0) return NULL;
	const struct gm_book_file *slot = find_slot(index, path);
	return is_free(slot) ? NULL : slot;
}
