/* doubts.c - see doubts.h.
 *
 * Up to SLAB doubts of a row group are settled together, however much memory there is: so the order in which conflicts
 * are told does not depend on it. A slab's keys are in a small table while the key columns are read; each has the first
 * row that has it, and the fingerprint of that row, which the columns to compare are added up to. */
#include "table/doubts.h"

#include "base/flag.h"
#include "table/keyrun.h"
#include "table/sorter.h"

#include <stdlib.h>
#include <string.h>

enum {
	SLAB = 16384,
	SLOTS = 2 * SLAB,
};
static const uint64_t no_row = UINT64_MAX;
static const uint32_t no_doubt = UINT32_MAX;

/* A key of the slab. */
struct winner {
	struct gm_hash128 key;
	uint64_t row; /* of the row group */
	uint64_t content;
	uint32_t first; /* of its doubts: a list through `next`, in their order */
	bool conflict;  /* some doubt says something else */
};

struct gm_doubts {
	struct gm_doubts_options options;
	struct gm_sorter *sorter;
	struct gm_key_hasher *keys;
	struct gm_content_hasher *contents;
	uint64_t next_ordinal;
	const char *file_path; /* of the file that is open */
	struct gm_rows_file *file;
	/* The slab at hand. */
	struct gm_doubt *doubts;
	uint32_t *winner_of, *next; /* per doubt */
	size_t count;
	struct winner *winners;
	size_t winner_count;
	uint32_t *slots;  /* 1 + index into winners, by key; 0: free */
	uint32_t *by_row; /* winners in the order of their rows */
	struct gm_hash128 hashes[GM_CHUNK_ROWS];
	uint8_t no_key[GM_CHUNK_ROWS];
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for comparing duplicates");
}

/* --- order -------------------------------------------------------------------------------------------------------- */

static int compare_doubts(const void *a, const void *b, void *context)
{
	const struct gm_doubts *doubts = context;
	const struct gm_doubt *x = a, *y = b;
	if (x->winner != y->winner) {
		struct gm_existing_place p = gm_existing_place(doubts->options.existing, x->winner);
		struct gm_existing_place q = gm_existing_place(doubts->options.existing, y->winner);
		int order = strcmp(p.path, q.path);
		if (order != 0) return order;
		if (p.group != q.group) return p.group < q.group ? -1 : 1;
	}
	return (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static enum gm_code make_parts(struct gm_doubts *doubts, struct gm_error *err)
{
	const struct gm_doubts_options *options = &doubts->options;
	size_t count = options->column_count - options->key_count;
	struct gm_content_column *columns = calloc(count + 1, sizeof *columns);
	if (columns == NULL) return out_of_memory(err);
	for (size_t i = 0; i < count; i++) columns[i].name = options->columns[options->key_count + i].name;
	enum gm_code rc = gm_content_hasher_new(options->key_secret, columns, count, &doubts->contents, err);
	free(columns);
	GM_TRY(rc);
	GM_TRY(gm_key_hasher_new(options->key_secret, NULL, options->key_count, &doubts->keys, err));
	return gm_sorter_new(sizeof(struct gm_doubt), compare_doubts, doubts, options->memory_bytes,
	                     options->spill_directory, &doubts->sorter, err);
}

enum gm_code gm_doubts_new(const struct gm_doubts_options *options, struct gm_doubts **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_doubts *doubts = calloc(1, sizeof *doubts);
	if (doubts == NULL) return out_of_memory(err);
	doubts->options = *options;
	enum gm_code rc = make_parts(doubts, err);
	if (rc != GM_OK) {
		gm_doubts_free(doubts);
		return rc;
	}
	*out = doubts;
	return GM_OK;
}

void gm_doubts_free(struct gm_doubts *doubts)
{
	if (doubts == NULL) return;
	gm_sorter_free(doubts->sorter);
	gm_key_hasher_free(doubts->keys);
	gm_content_hasher_free(doubts->contents);
	gm_rows_file_close(doubts->file);
	free(doubts->doubts);
	free(doubts->winner_of);
	free(doubts->next);
	free(doubts->winners);
	free(doubts->slots);
	free(doubts->by_row);
	free(doubts);
}

enum gm_code gm_doubts_add(struct gm_doubts *doubts, const struct gm_doubt *doubt, struct gm_error *err)
{
	struct gm_doubt copy;
	memset(&copy, 0, sizeof copy); /* padding too: it is written to a file */
	copy.key = doubt->key;
	copy.content = doubt->content;
	copy.winner = doubt->winner;
	copy.ordinal = doubts->next_ordinal++;
	copy.record = doubt->record;
	copy.offset = doubt->offset;
	copy.object = doubt->object;
	return gm_sorter_add(doubts->sorter, &copy, err);
}

/* --- the keys of a slab ------------------------------------------------------------------------------------------- */

/* The slot of the key: where it is, or where it would be. Keys are hashes already. */
static uint32_t slot_of(const struct gm_doubts *doubts, struct gm_hash128 key)
{
	uint32_t slot = (uint32_t)(key.low % SLOTS);
	while (doubts->slots[slot] != 0 && !gm_key_equal(doubts->winners[doubts->slots[slot] - 1].key, key))
		slot = (slot + 1) % SLOTS;
	return slot;
}

static void index_slab(struct gm_doubts *doubts)
{
	memset(doubts->slots, 0, SLOTS * sizeof *doubts->slots);
	doubts->winner_count = 0;
	for (size_t i = doubts->count; i-- > 0;) { /* from behind, so that each list is in order */
		uint32_t slot = slot_of(doubts, doubts->doubts[i].key);
		if (doubts->slots[slot] == 0) {
			struct winner winner = {.key = doubts->doubts[i].key, .row = no_row, .first = no_doubt};
			doubts->winners[doubts->winner_count++] = winner;
			doubts->slots[slot] = (uint32_t)doubts->winner_count;
		}
		uint32_t number = doubts->slots[slot] - 1;
		doubts->winner_of[i] = number;
		doubts->next[i] = doubts->winners[number].first;
		doubts->winners[number].first = (uint32_t)i;
	}
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static enum gm_code open_file(struct gm_doubts *doubts, const struct gm_existing_place *place, struct gm_error *err)
{
	const struct gm_doubts_options *options = &doubts->options;
	if (doubts->file != NULL && strcmp(doubts->file_path, place->path) == 0) return GM_OK;
	gm_rows_file_close(doubts->file);
	doubts->file = NULL;
	doubts->file_path = place->path;
	return gm_rows_file_open(options->table, place->path, place->bytes, options->columns, options->column_count,
	                         options->read_bytes, &doubts->file, err);
}

static enum gm_code check_stop(const struct gm_doubts *doubts, struct gm_error *err)
{
	if (gm_flag_is_set(doubts->options.stop)) GM_FAIL(err, GM_INTERRUPTED, "stopped before the run was complete");
	return GM_OK;
}

/* Finds the first row of each key, and lists the keys in the order of these. */
static enum gm_code find_rows(struct gm_doubts *doubts, const struct gm_existing_place *place, struct gm_error *err)
{
	const struct gm_vec_rows *columns;
	struct gm_rows *rows;
	uint64_t first = 0;
	uint32_t count;
	size_t found = 0;
	struct gm_hash128 partition = gm_key_hasher_partition(doubts->keys, place->partition, strlen(place->partition));
	enum gm_code rc = gm_rows_open(doubts->file, place->group, 0, doubts->options.key_count, &rows, err);
	GM_TRY(rc);
	do {
		GM_TRY_OUT(check_stop(doubts, err));
		GM_TRY_OUT(gm_rows_next(rows, &count, &columns, err));
		gm_key_hasher_rows(doubts->keys, columns, count, partition, doubts->hashes, doubts->no_key);
		for (uint32_t i = 0; i < count; i++) {
			if (doubts->no_key[i] != 0) continue;
			uint32_t slot = slot_of(doubts, doubts->hashes[i]);
			if (doubts->slots[slot] == 0) continue;
			struct winner *winner = &doubts->winners[doubts->slots[slot] - 1];
			if (winner->row != no_row) continue;
			winner->row = first + i;
			doubts->by_row[found++] = doubts->slots[slot] - 1;
		}
		first += count;
	} while (count > 0);
	if (found < doubts->winner_count) {
		(void)gm_error_set(err, GM_CHANGED, "a file of the table no longer has the keys that it had");
		rc = gm_error_object(err, GM_CHANGED, place->path, strlen(place->path));
	}
out:
	gm_rows_close(rows);
	return rc;
}

/* Adds a column's values to the contents of the winners. */
static enum gm_code add_column(struct gm_doubts *doubts, const struct gm_existing_place *place, size_t column,
                               struct gm_error *err)
{
	const struct gm_vec_rows *columns;
	struct gm_rows *rows;
	uint64_t first = 0;
	uint32_t count;
	size_t at = 0;
	size_t leaf = doubts->options.key_count + column;
	if (gm_rows_file_leaf(doubts->file, leaf) == SIZE_MAX) return GM_OK; /* null in every row */
	enum gm_code rc = gm_rows_open(doubts->file, place->group, leaf, 1, &rows, err);
	GM_TRY(rc);
	do {
		GM_TRY_OUT(check_stop(doubts, err));
		GM_TRY_OUT(gm_rows_next(rows, &count, &columns, err));
		for (; at < doubts->winner_count && doubts->winners[doubts->by_row[at]].row - first < count; at++) {
			struct winner *winner = &doubts->winners[doubts->by_row[at]];
			uint32_t row = columns[0].first + (uint32_t)(winner->row - first);
			winner->content += gm_content_value(doubts->contents, column, columns[0].vec, row);
		}
		first += count;
	} while (count > 0 && at < doubts->winner_count);
out:
	gm_rows_close(rows);
	return rc;
}

/* --- settling ----------------------------------------------------------------------------------------------------- */

static enum gm_code tell_settled(struct gm_doubts *doubts, const struct gm_doubts_told *told, bool *any,
                                 struct gm_error *err)
{
	*any = false;
	for (size_t i = 0; i < doubts->count; i++) {
		const struct gm_doubt *doubt = &doubts->doubts[i];
		struct winner *winner = &doubts->winners[doubts->winner_of[i]];
		bool conflict = doubt->content != gm_content_finish(winner->content);
		winner->conflict |= conflict;
		*any |= conflict;
		GM_TRY(told->settled(told->context, doubt, conflict, err));
	}
	return GM_OK;
}

static enum gm_code tell_conflicts_of(struct gm_doubts *doubts, const struct winner *winner,
                                      const struct gm_doubts_told *told, const struct gm_existing_place *place,
                                      const struct gm_vec_rows *key, uint32_t row, struct gm_error *err)
{
	for (uint32_t i = winner->first; i != no_doubt && told->wanted(told->context); i = doubts->next[i]) {
		const struct gm_doubt *doubt = &doubts->doubts[i];
		if (doubt->content == gm_content_finish(winner->content)) continue;
		GM_TRY(told->conflict(told->context, doubt, place, key, row, err));
	}
	return GM_OK;
}

/* Reads the key columns once more, for the conflicts alone. */
static enum gm_code tell_conflicts(struct gm_doubts *doubts, const struct gm_doubts_told *told,
                                   const struct gm_existing_place *place, struct gm_error *err)
{
	const struct gm_vec_rows *columns;
	struct gm_rows *rows;
	uint64_t first = 0;
	uint32_t count;
	size_t at = 0;
	enum gm_code rc = gm_rows_open(doubts->file, place->group, 0, doubts->options.key_count, &rows, err);
	GM_TRY(rc);
	do {
		GM_TRY_OUT(check_stop(doubts, err));
		GM_TRY_OUT(gm_rows_next(rows, &count, &columns, err));
		for (; at < doubts->winner_count && doubts->winners[doubts->by_row[at]].row - first < count; at++) {
			const struct winner *winner = &doubts->winners[doubts->by_row[at]];
			uint32_t row = (uint32_t)(winner->row - first);
			if (winner->conflict) GM_TRY_OUT(tell_conflicts_of(doubts, winner, told, place, columns, row, err));
		}
		first += count;
	} while (count > 0 && at < doubts->winner_count && told->wanted(told->context));
out:
	gm_rows_close(rows);
	return rc;
}

static enum gm_code settle_slab(struct gm_doubts *doubts, const struct gm_doubts_told *told, struct gm_error *err)
{
	bool any;
	if (doubts->count == 0) return GM_OK;
	struct gm_existing_place place = gm_existing_place(doubts->options.existing, doubts->doubts[0].winner);
	index_slab(doubts);
	GM_TRY(open_file(doubts, &place, err));
	GM_TRY(find_rows(doubts, &place, err));
	for (size_t i = 0; i < doubts->options.column_count - doubts->options.key_count; i++)
		GM_TRY(add_column(doubts, &place, i, err));
	GM_TRY(tell_settled(doubts, told, &any, err));
	if (any && told->wanted(told->context)) GM_TRY(tell_conflicts(doubts, told, &place, err));
	doubts->count = 0;
	return GM_OK;
}

static enum gm_code make_slab(struct gm_doubts *doubts, struct gm_error *err)
{
	doubts->doubts = calloc(SLAB, sizeof *doubts->doubts);
	doubts->winner_of = calloc(SLAB, sizeof *doubts->winner_of);
	doubts->next = calloc(SLAB, sizeof *doubts->next);
	doubts->winners = calloc(SLAB, sizeof *doubts->winners);
	doubts->slots = calloc(SLOTS, sizeof *doubts->slots);
	doubts->by_row = calloc(SLAB, sizeof *doubts->by_row);
	if (doubts->doubts == NULL || doubts->winner_of == NULL || doubts->next == NULL || doubts->winners == NULL ||
	    doubts->slots == NULL || doubts->by_row == NULL)
		return out_of_memory(err);
	return GM_OK;
}

enum gm_code gm_doubts_settle(struct gm_doubts *doubts, const struct gm_doubts_told *told, struct gm_error *err)
{
	const void *record;
	if (gm_sorter_count(doubts->sorter) == 0) return GM_OK;
	GM_TRY(make_slab(doubts, err));
	for (;;) {
		GM_TRY(gm_sorter_next(doubts->sorter, &record, err));
		if (record == NULL) return settle_slab(doubts, told, err);
		const struct gm_doubt *doubt = record;
		bool other = doubts->count > 0 && doubts->doubts[0].winner != doubt->winner;
		if (other || doubts->count == SLAB) GM_TRY(settle_slab(doubts, told, err));
		doubts->doubts[doubts->count++] = *doubt;
	}
}
