/* sorter.c - see sorter.h.
 *
 * A buffer that is full is sorted and appended to the file as a run. When there are RUNS_MAX of them they are merged to
 * one at the file's end. In the end the buffer is divided among the runs and they are merged while they are read. */
#include "table/sorter.h"

#include "base/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUNS_MAX = 64, RECORDS_MIN = 1024 };

struct run {
	uint64_t at, left; /* in the file: first record not read yet, and how many there are */
	uint8_t *buffer;
	size_t next, have;
};

struct gm_sorter {
	size_t record_bytes, room; /* records of the buffer */
	gm_sorter_fn *compare;
	void *context;
	char *spill_directory;
	int fd; /* -1: nothing is spilled */
	uint64_t count, written;
	uint8_t *buffer;
	size_t used;
	struct run runs[RUNS_MAX];
	size_t run_count;
	bool reading;
	size_t capacity;  /* records of a run's buffer while merging */
	struct run *last; /* whose record was handed out */
};

enum gm_code gm_sorter_new(size_t record_bytes, gm_sorter_fn *compare, void *context, size_t memory_bytes,
                           const char *spill_directory, struct gm_sorter **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_sorter *sorter = calloc(1, sizeof *sorter);
	if (sorter != NULL) sorter->spill_directory = strdup(spill_directory);
	if (sorter == NULL || sorter->spill_directory == NULL) {
		free(sorter);
		GM_FAIL(err, GM_NOMEM, "out of memory for sorting");
	}
	sorter->record_bytes = record_bytes;
	sorter->compare = compare;
	sorter->context = context;
	sorter->room = memory_bytes / record_bytes;
	if (sorter->room < RECORDS_MIN) sorter->room = RECORDS_MIN;
	sorter->fd = -1;
	*out = sorter;
	return GM_OK;
}

void gm_sorter_free(struct gm_sorter *sorter)
{
	if (sorter == NULL) return;
	if (sorter->fd >= 0) (void)close(sorter->fd);
	free(sorter->buffer);
	free(sorter->spill_directory);
	free(sorter);
}

uint64_t gm_sorter_count(const struct gm_sorter *sorter)
{
	return sorter->count;
}

/* --- merging ------------------------------------------------------------------------------------------------------ */

static enum gm_code refill(struct gm_sorter *sorter, struct run *run, struct gm_error *err)
{
	size_t got, count = run->left < sorter->capacity ? (size_t)run->left : sorter->capacity;
	size_t bytes = count * sorter->record_bytes;
	if (count > 0 && !gm_io_pread(sorter->fd, run->buffer, bytes, run->at * sorter->record_bytes, &got))
		return gm_error_errno(err, errno, "temporary file", "reading what was spilled for sorting");
	if (count > 0 && got != bytes) GM_FAIL(err, GM_IO, "a temporary file for sorting has become shorter");
	run->at += count;
	run->left -= count;
	run->have = count;
	run->next = 0;
	return GM_OK;
}

/* Divides memory among the runs and reads the beginning of each. */
static enum gm_code start_merge(struct gm_sorter *sorter, uint8_t *memory, size_t records, struct gm_error *err)
{
	sorter->capacity = records / sorter->run_count;
	for (size_t i = 0; i < sorter->run_count; i++) {
		sorter->runs[i].buffer = memory + i * sorter->capacity * sorter->record_bytes;
		GM_TRY(refill(sorter, &sorter->runs[i], err));
	}
	return GM_OK;
}

/* The smallest of the runs' next records: they are a few dozen, so they are simply compared. NULL at the end. */
static struct run *smallest(struct gm_sorter *sorter, const uint8_t **record)
{
	struct run *best = NULL;
	for (size_t i = 0; i < sorter->run_count; i++) {
		struct run *run = &sorter->runs[i];
		if (run->next == run->have) continue;
		const uint8_t *first = run->buffer + run->next * sorter->record_bytes;
		if (best != NULL && sorter->compare(first, *record, sorter->context) >= 0) continue;
		best = run;
		*record = first;
	}
	return best;
}

static enum gm_code step(struct gm_sorter *sorter, struct run *run, struct gm_error *err)
{
	run->next++;
	return run->next == run->have && run->left > 0 ? refill(sorter, run, err) : GM_OK;
}

/* --- spilling ----------------------------------------------------------------------------------------------------- */

static enum gm_code append(struct gm_sorter *sorter, const uint8_t *records, size_t count, struct gm_error *err)
{
	uint64_t offset = sorter->written * sorter->record_bytes;
	if (!gm_io_pwrite(sorter->fd, records, count * sorter->record_bytes, offset))
		return gm_error_errno(err, errno, "temporary file", "spilling what is to be sorted");
	sorter->written += count;
	return GM_OK;
}

/* Makes one run of all. The file grows by as much again, which is the price of there being one file. */
static enum gm_code merge_runs(struct gm_sorter *sorter, struct gm_error *err)
{
	uint64_t first = sorter->written;
	const uint8_t *record;
	size_t half = sorter->room / 2, filled = 0;
	uint8_t *out = sorter->buffer + half * sorter->record_bytes;
	GM_TRY(start_merge(sorter, sorter->buffer, half, err));
	for (struct run *run; (run = smallest(sorter, &record)) != NULL;) {
		memcpy(out + filled++ * sorter->record_bytes, record, sorter->record_bytes);
		GM_TRY(step(sorter, run, err));
		if (filled < sorter->room - half) continue;
		GM_TRY(append(sorter, out, filled, err));
		filled = 0;
	}
	GM_TRY(append(sorter, out, filled, err));
	sorter->runs[0] = (struct run){.at = first, .left = sorter->written - first};
	sorter->run_count = 1;
	return GM_OK;
}

static enum gm_code spill(struct gm_sorter *sorter, struct gm_error *err)
{
	if (sorter->fd < 0) sorter->fd = gm_io_temporary(sorter->spill_directory);
	if (sorter->fd < 0)
		return gm_error_errno(err, errno, sorter->spill_directory, "making a temporary file for sorting");
	qsort_r(sorter->buffer, sorter->used, sorter->record_bytes, sorter->compare, sorter->context);
	sorter->runs[sorter->run_count] = (struct run){.at = sorter->written, .left = sorter->used};
	GM_TRY(append(sorter, sorter->buffer, sorter->used, err));
	sorter->used = 0;
	return ++sorter->run_count == RUNS_MAX ? merge_runs(sorter, err) : GM_OK;
}

enum gm_code gm_sorter_add(struct gm_sorter *sorter, const void *record, struct gm_error *err)
{
	if (sorter->buffer == NULL) sorter->buffer = malloc(sorter->room * sorter->record_bytes);
	if (sorter->buffer == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for sorting");
	if (sorter->used == sorter->room) GM_TRY(spill(sorter, err));
	memcpy(sorter->buffer + sorter->used++ * sorter->record_bytes, record, sorter->record_bytes);
	sorter->count++;
	return GM_OK;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static enum gm_code start_reading(struct gm_sorter *sorter, struct gm_error *err)
{
	sorter->reading = true;
	if (sorter->run_count > 0) {
		if (sorter->used > 0) GM_TRY(spill(sorter, err));
		return start_merge(sorter, sorter->buffer, sorter->room, err);
	}
	if (sorter->used > 0) qsort_r(sorter->buffer, sorter->used, sorter->record_bytes, sorter->compare, sorter->context);
	sorter->runs[0] = (struct run){.buffer = sorter->buffer, .have = sorter->used};
	sorter->run_count = 1;
	return GM_OK;
}

enum gm_code gm_sorter_next(struct gm_sorter *sorter, const void **record, struct gm_error *err)
{
	const uint8_t *first = NULL;
	if (!sorter->reading) GM_TRY(start_reading(sorter, err));
	if (sorter->last != NULL) GM_TRY(step(sorter, sorter->last, err));
	sorter->last = smallest(sorter, &first);
	*record = sorter->last != NULL ? first : NULL;
	return GM_OK;
}
