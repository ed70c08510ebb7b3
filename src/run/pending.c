#include "run/pending.h"

#include "parquet/writer.h"

#include <stdlib.h>

/* From the codes of one deriver's partition dictionary to our partitions. */
struct path_map {
	struct gm_dict *dict;            /* a reference */
	struct gm_partition **partition; /* by code; NULL: not asked yet */
	uint32_t room;
};

enum {
	MAX_MAPS = 64,
	LARGE_CHUNK_SHARE = 4,               /* of the memory for waiting chunks: one that takes more does not wait there */
	AMPLE_SHARE = 4,                     /* of that memory: while there is no more in use, late rows may wait */
	LATE_SHARE = 8,                      /* of all rows: where more are scattered, they are no late ones */
	SCATTERED_ROWS = GM_CHUNK_ROWS / 16, /* of a chunk, on average: fewer are too few to wait for */
};

struct gm_pending {
	struct gm_pending_limits limits;
	struct gm_spill *spill;
	gm_group_fn *cut;
	void *context;
	struct gm_arena arena; /* partitions and their paths */
	struct gm_dict *paths; /* code - 1 is the index into partitions */
	struct gm_partition **partitions;
	size_t partition_count, partition_room;
	struct path_map maps[MAX_MAPS];
	size_t map_count;
	struct gm_partition **touched; /* of the chunk in hand */
	uint32_t *target;              /* per row of the chunk: code of its path, or NOWHERE */
	uint32_t *lists;               /* the rows of each partition touched, one list behind the other */
	uint32_t stamp;
	size_t memory_bytes;  /* of chunks that wait */
	uint64_t recent_rows; /* since late ones were spilled */
	struct gm_spill_source *sources;
	size_t source_room;
};

static const uint32_t nowhere = UINT32_MAX;

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for waiting rows");
}

enum gm_code gm_pending_new(const struct gm_pending_limits *limits, struct gm_spill *spill, gm_group_fn *cut,
                            void *context, struct gm_pending **out, struct gm_error *err)
{
	struct gm_pending *pending = calloc(1, sizeof *pending);
	if (pending == NULL) return out_of_memory(err);
	pending->limits = *limits;
	pending->spill = spill;
	pending->cut = cut;
	pending->context = context;
	gm_arena_init(&pending->arena, 16 * 1024);
	pending->paths = gm_dict_new();
	pending->touched = malloc(GM_CHUNK_ROWS * sizeof *pending->touched);
	pending->target = malloc(GM_CHUNK_ROWS * sizeof *pending->target);
	pending->lists = malloc(GM_CHUNK_ROWS * sizeof *pending->lists);
	if (pending->paths == NULL || pending->touched == NULL || pending->target == NULL || pending->lists == NULL) {
		gm_pending_free(pending);
		return out_of_memory(err);
	}
	*out = pending;
	return GM_OK;
}

static void release_segments(struct gm_segment *segments, size_t count)
{
	for (size_t i = 0; i < count; i++) gm_chunk_unref(segments[i].chunk);
	free(segments);
}

static void release_map(struct path_map *map)
{
	gm_dict_unref(map->dict);
	free(map->partition);
	*map = (struct path_map){0};
}

void gm_pending_free(struct gm_pending *pending)
{
	if (pending == NULL) return;
	for (size_t i = 0; i < pending->partition_count; i++)
		release_segments(pending->partitions[i]->segments, pending->partitions[i]->segment_count);
	for (size_t i = 0; i < pending->map_count; i++) release_map(&pending->maps[i]);
	free(pending->partitions);
	free(pending->touched);
	free(pending->target);
	free(pending->lists);
	free(pending->sources);
	gm_dict_unref(pending->paths);
	gm_arena_release(&pending->arena);
	free(pending);
}

void gm_row_group_free(struct gm_row_group *group)
{
	if (group == NULL) return;
	release_segments(group->segments, group->segment_count);
	free(group->columns);
	free(group);
}

struct gm_partition **gm_pending_partitions(const struct gm_pending *pending, size_t *count)
{
	*count = pending->partition_count;
	return pending->partitions;
}

size_t gm_pending_memory_bytes(const struct gm_pending *pending)
{
	return pending->memory_bytes;
}

static enum gm_code add_partition(struct gm_pending *pending, const uint8_t *path, uint32_t len, struct gm_error *err)
{
	if (pending->partition_count == pending->limits.partitions) {
		gm_error_set(err, GM_VALUE, "the records fall into more than %zu partitions", pending->limits.partitions);
		return gm_error_hint(err, GM_VALUE,
		                     "partition_by should give one value for many records; check its expressions");
	}
	struct gm_partition **grown =
	    gm_grow(pending->partitions, pending->partition_count, &pending->partition_room, sizeof(struct gm_partition *));
	if (grown == NULL) return out_of_memory(err);
	pending->partitions = grown;
	struct gm_partition *partition = gm_arena_zalloc(&pending->arena, sizeof *partition);
	if (partition == NULL) return out_of_memory(err);
	partition->path = gm_arena_strndup(&pending->arena, (const char *)path, len);
	if (partition->path == NULL) return out_of_memory(err);
	pending->partitions[pending->partition_count++] = partition;
	return GM_OK;
}

static enum gm_code find_partition(struct gm_pending *pending, const struct gm_dict *dict, uint32_t code,
                                   struct gm_partition **out, struct gm_error *err)
{
	uint32_t len;
	const uint8_t *path = gm_dict_get(dict, code, &len);
	uint32_t ours = gm_dict_put(pending->paths, path, len, gm_dict_hash(path, len));
	if (ours == 0) return out_of_memory(err);
	if (ours > pending->partition_count) GM_TRY(add_partition(pending, path, len, err));
	*out = pending->partitions[ours - 1];
	return GM_OK;
}

/* The map of the dictionary of some paths, with room for all their codes. The oldest goes when there are too many: only
 * speed is lost. */
static enum gm_code find_map(struct gm_pending *pending, const struct gm_vec *paths, uint32_t rows,
                             struct path_map **out, struct gm_error *err)
{
	/* Not dict->count: its owner may be adding at this moment. What the chunk refers to is ours to read. */
	struct gm_dict *dict = paths->dict;
	uint32_t highest = 0;
	for (uint32_t row = 0; row < rows; row++) highest = paths->codes[row] > highest ? paths->codes[row] : highest;
	size_t i = 0;
	while (i < pending->map_count && pending->maps[i].dict != dict) i++;
	if (i == pending->map_count) {
		if (i == MAX_MAPS) {
			release_map(&pending->maps[0]);
			memmove(&pending->maps[0], &pending->maps[1], (MAX_MAPS - 1) * sizeof pending->maps[0]);
			i = --pending->map_count;
		}
		pending->maps[i] = (struct path_map){.dict = gm_dict_ref(dict)};
		pending->map_count++;
	}
	struct path_map *map = &pending->maps[i];
	*out = map;
	uint32_t need = highest + 1;
	if (map->partition != NULL && map->room >= need) return GM_OK;
	uint32_t room = need < 64 ? 64 : need * 2;
	struct gm_partition **grown = realloc(map->partition, room * sizeof(struct gm_partition *));
	if (grown == NULL) return out_of_memory(err);
	memset(grown + map->room, 0, (room - map->room) * sizeof(struct gm_partition *));
	map->partition = grown;
	map->room = room;
	return GM_OK;
}

/* Gives each kept row its partition, lists the partitions touched, and counts. */
static enum gm_code route(struct gm_pending *pending, struct path_map *map, struct gm_chunk *chunk,
                          const uint8_t *duplicate, uint32_t *touched_count, struct gm_error *err)
{
	pending->stamp++;
	*touched_count = 0;
	for (uint32_t row = 0; row < chunk->rows; row++) {
		pending->target[row] = nowhere;
		if (chunk->fate[row] != GM_FATE_KEEP) continue;
		uint32_t code = chunk->partition.codes[row];
		struct gm_partition *partition = map->partition[code];
		if (partition == NULL) {
			GM_TRY(find_partition(pending, map->dict, code, &partition, err));
			map->partition[code] = partition;
		}
		if (duplicate != NULL && duplicate[row] != 0) continue;
		if (partition->stamp != pending->stamp) {
			partition->stamp = pending->stamp;
			partition->in_chunk = 0;
			pending->touched[(*touched_count)++] = partition;
		}
		partition->in_chunk++;
		pending->target[row] = code;
	}
	return GM_OK;
}

/* Where most rows follow one another, a run of them is a segment: those that read it then have no list to follow. */
enum { RUN_ROWS_MIN = 32 };

static bool is_run(const uint32_t *rows, uint32_t count)
{
	return rows[count - 1] - rows[0] == count - 1;
}

/* The rows of one partition in a chunk, as they will be pushed: a list of them that is kept, or runs out of a list that
 * is not. */
static enum gm_code keep_list(struct gm_partition *partition, struct gm_chunk *chunk, struct gm_error *err)
{
	uint32_t count = partition->in_chunk, runs = 1;
	for (uint32_t i = 1; i < count; i++) runs += partition->fill[i] != partition->fill[i - 1] + 1;
	partition->by_runs = runs <= count / RUN_ROWS_MIN + 1;
	if (partition->by_runs) return GM_OK;
	uint32_t *kept = gm_arena_alloc(&chunk->arena, count * sizeof *kept);
	if (kept == NULL) return out_of_memory(err);
	partition->fill = memcpy(kept, partition->fill, count * sizeof *kept);
	return GM_OK;
}

/* A chunk waits as often as segments hold it: see stop_waiting. */
static enum gm_code push_segment(struct gm_pending *pending, struct gm_partition *partition, struct gm_chunk *chunk,
                                 const uint32_t *rows, uint32_t count, struct gm_error *err)
{
	struct gm_segment *grown =
	    gm_grow(partition->segments, partition->segment_count, &partition->segment_room, sizeof *grown);
	if (grown == NULL) return out_of_memory(err);
	partition->segments = grown;
	partition->segments[partition->segment_count++] = (struct gm_segment){
	    .chunk = gm_chunk_ref(chunk), .rows = is_run(rows, count) ? NULL : rows, .first = rows[0], .count = count};
	if (chunk->waiting++ == 0) pending->memory_bytes += gm_chunk_lasting_bytes(chunk);
	return GM_OK;
}

static enum gm_code push_segments(struct gm_pending *pending, struct gm_partition *partition, struct gm_chunk *chunk,
                                  const uint32_t *rows, uint32_t count, struct gm_error *err)
{
	uint32_t from = 0;
	for (uint32_t i = 1; partition->by_runs && i < count; i++) {
		if (rows[i] == rows[i - 1] + 1) continue;
		GM_TRY(push_segment(pending, partition, chunk, rows + from, i - from, err));
		from = i;
	}
	return push_segment(pending, partition, chunk, rows + from, count - from, err);
}

static void stop_waiting(struct gm_pending *pending, const struct gm_segment *segments, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct gm_chunk *chunk = segments[i].chunk;
		if (chunk != NULL && --chunk->waiting == 0) pending->memory_bytes -= gm_chunk_lasting_bytes(chunk);
	}
}

/* A segment's share of its chunk: of a chunk, only what was kept keeps it in memory. */
static size_t segment_bytes(const struct gm_segment *segment)
{
	if (segment->chunk == NULL) return 0;
	return (size_t)((uint64_t)gm_chunk_lasting_bytes(segment->chunk) * segment->count / segment->chunk->kept);
}

/* Hands the partition's waiting rows on as a row group. */
static enum gm_code cut_group(struct gm_pending *pending, struct gm_partition *partition, bool last,
                              struct gm_error *err)
{
	struct gm_row_group *group = calloc(1, sizeof *group);
	if (group == NULL) return out_of_memory(err);
	*group = (struct gm_row_group){.partition = partition,
	                               .segments = partition->segments,
	                               .segment_count = partition->segment_count,
	                               .rows = partition->rows,
	                               .weight = partition->weight,
	                               .last = last};
	for (size_t i = 0; i < group->segment_count; i++) group->bytes += segment_bytes(&group->segments[i]);
	if (group->bytes < group->weight) group->bytes = (size_t)group->weight;
	stop_waiting(pending, partition->segments, partition->segment_count);
	partition->segments = NULL;
	partition->segment_count = partition->segment_room = 0;
	partition->rows = partition->weight = 0;
	return pending->cut(pending->context, group, err);
}

/* Appends rows to a partition, cutting row groups where the limits say. A row group has at least one row. */
static enum gm_code append_rows(struct gm_pending *pending, struct gm_partition *partition, struct gm_chunk *chunk,
                                const uint32_t *rows, uint32_t count, struct gm_error *err)
{
	while (count > 0) {
		uint32_t n = 0;
		uint64_t weight = partition->weight;
		while (n < count && partition->rows + n < pending->limits.group_rows) {
			uint64_t more = weight + chunk->weight[rows[n]];
			if (more > pending->limits.group_weight && partition->rows + n > 0) break;
			weight = more;
			n++;
		}
		if (n > 0) {
			GM_TRY(push_segments(pending, partition, chunk, rows, n, err));
			partition->rows += n;
			partition->weight = weight;
			rows += n;
			count -= n;
		}
		if (count > 0) GM_TRY(cut_group(pending, partition, false, err));
	}
	return GM_OK;
}

/* How many segments from `first` on make up a quarter of the memory for waiting rows: of a large partition that is
 * about to make a row group, no more than has to should take the way through the file. */
static size_t segments_to_spill(const struct gm_pending *pending, const struct gm_partition *partition, size_t first)
{
	size_t end = first, bytes = 0;
	while (end < partition->segment_count && bytes <= pending->limits.memory_bytes / 4)
		bytes += segment_bytes(&partition->segments[end++]);
	return end - first;
}

static enum gm_code spill_partition(struct gm_pending *pending, struct gm_partition *partition, struct gm_error *err)
{
	/* What is spilled already stays in front: rows keep their order. */
	size_t first = 0;
	while (first < partition->segment_count && partition->segments[first].chunk == NULL) first++;
	size_t count = segments_to_spill(pending, partition, first);
	if (count == 0) return GM_OK;
	if (count > pending->source_room) {
		struct gm_spill_source *grown = realloc(pending->sources, count * sizeof *grown);
		if (grown == NULL) return out_of_memory(err);
		pending->sources = grown;
		pending->source_room = count;
	}
	struct gm_segment merged = {.count = 0};
	for (size_t i = 0; i < count; i++) {
		const struct gm_segment *segment = &partition->segments[first + i];
		pending->sources[i] = (struct gm_spill_source){segment->chunk, segment->rows, segment->first, segment->count};
		merged.count += segment->count;
	}
	GM_TRY(gm_spill_write(pending->spill, pending->sources, count, &merged.spill_offset, err));
	stop_waiting(pending, partition->segments + first, count);
	for (size_t i = 0; i < count; i++) gm_chunk_unref(partition->segments[first + i].chunk);
	struct gm_segment *segments = partition->segments;
	segments[first] = merged;
	memmove(segments + first + 1, segments + first + count,
	        (partition->segment_count - first - count) * sizeof *segments);
	partition->segment_count -= count - 1;
	return GM_OK;
}

/* How many rows a partition has in memory if it holds many chunks by a few rows of each; 0: it does not. */
static uint64_t scattered_rows(const struct gm_partition *partition)
{
	uint64_t rows = 0, chunks = 0;
	const struct gm_chunk *last = NULL; /* a chunk's segments follow one another: there may be many runs in it */
	for (size_t i = partition->segment_count; i > 0 && partition->segments[i - 1].chunk != NULL; i--) {
		rows += partition->segments[i - 1].count;
		chunks += partition->segments[i - 1].chunk != last;
		last = partition->segments[i - 1].chunk;
	}
	return rows < chunks * SCATTERED_ROWS ? rows : 0;
}

/* Late rows are few, and lie in nearly every chunk. Each keeps a whole one after the others have gone, and with it all
 * its dictionaries, of which only what grew then is in the chunk's books: so they go each time that a row group's worth
 * of rows has come. Where nearly all rows are scattered they are no late ones, and may wait. */
static enum gm_code spill_late(struct gm_pending *pending, struct gm_error *err)
{
	uint64_t late = 0;
	for (size_t i = 0; i < pending->partition_count; i++) late += scattered_rows(pending->partitions[i]);
	if (late > pending->recent_rows / LATE_SHARE) return GM_OK;
	for (size_t i = 0; i < pending->partition_count; i++)
		if (scattered_rows(pending->partitions[i]) > 0) GM_TRY(spill_partition(pending, pending->partitions[i], err));
	return gm_spill_flush(pending->spill, err);
}

static int compare_rows(const void *a, const void *b)
{
	const struct gm_partition *const *x = a, *const *y = b;
	return ((*x)->rows > (*y)->rows) - ((*x)->rows < (*y)->rows);
}

/* Frees memory, the partitions with the fewest rows first, until there is some room again. In a log most chunks wait
 * only because a few late rows of theirs do, and a main partition that soon makes a row group should not take the way
 * through the file. When some of the partitions that are scattered over the chunks are spilled all are: no chunk goes
 * before its last row does, and what is spilled a few rows at a time costs by the time, not by the row. */
static enum gm_code spill_waiting(struct gm_pending *pending, struct gm_error *err)
{
	size_t count = pending->partition_count, enough = pending->limits.memory_bytes / 16 * 15;
	struct gm_partition **order = malloc(count * sizeof(struct gm_partition *));
	if (order == NULL) return out_of_memory(err);
	memcpy(order, pending->partitions, count * sizeof(struct gm_partition *)); /* whose order the codes rely on */
	qsort(order, count, sizeof(struct gm_partition *), compare_rows);
	enum gm_code rc = GM_OK;
	for (size_t i = 0; i < count && rc == GM_OK; i++)
		if (pending->memory_bytes > enough || scattered_rows(order[i]) > 0)
			rc = spill_partition(pending, order[i], err);
	free(order);
	return rc == GM_OK ? gm_spill_flush(pending->spill, err) : rc;
}

/* Spills what waits of the chunk in hand, with all that stands before it: it has a huge record, and what is encoded
 * next will need the memory. */
static enum gm_code spill_chunk(struct gm_pending *pending, const struct gm_chunk *chunk, uint32_t touched_count,
                                struct gm_error *err)
{
	for (uint32_t i = 0; i < touched_count; i++) {
		struct gm_partition *partition = pending->touched[i];
		while (partition->segment_count > 0 && partition->segments[partition->segment_count - 1].chunk == chunk)
			GM_TRY(spill_partition(pending, partition, err));
	}
	return gm_spill_flush(pending->spill, err);
}

/* Lists each touched partition's rows. */
static enum gm_code list_rows(struct gm_pending *pending, const struct path_map *map, struct gm_chunk *chunk,
                              uint32_t touched_count, struct gm_error *err)
{
	uint32_t *list = pending->lists;
	for (uint32_t i = 0; i < touched_count; i++) {
		struct gm_partition *partition = pending->touched[i];
		partition->fill = list;
		list += partition->in_chunk;
		partition->in_chunk = 0;
	}
	chunk->kept = (uint32_t)(list - pending->lists);
	for (uint32_t row = 0; row < chunk->rows; row++) {
		if (pending->target[row] == nowhere) continue;
		struct gm_partition *partition = map->partition[pending->target[row]];
		partition->fill[partition->in_chunk++] = row;
	}
	for (uint32_t i = 0; i < touched_count; i++) GM_TRY(keep_list(pending->touched[i], chunk, err));
	return GM_OK;
}

enum gm_code gm_pending_add(struct gm_pending *pending, struct gm_chunk *chunk, const uint8_t *duplicate,
                            uint64_t *kept, struct gm_error *err)
{
	uint32_t touched_count;
	struct path_map *map;
	*kept = 0;
	GM_TRY(find_map(pending, &chunk->partition, chunk->rows, &map, err));
	GM_TRY(route(pending, map, chunk, duplicate, &touched_count, err));
	GM_TRY(list_rows(pending, map, chunk, touched_count, err)); /* from here on the chunk takes no more memory */
	for (uint32_t i = 0; i < touched_count; i++) {
		struct gm_partition *partition = pending->touched[i];
		*kept += partition->in_chunk;
		GM_TRY(append_rows(pending, partition, chunk, partition->fill, partition->in_chunk, err));
	}
	if (gm_chunk_memory_bytes(chunk) > pending->limits.memory_bytes / LARGE_CHUNK_SHARE)
		GM_TRY(spill_chunk(pending, chunk, touched_count, err));
	pending->recent_rows += chunk->kept;
	if (pending->recent_rows >= pending->limits.group_rows &&
	    pending->memory_bytes > pending->limits.memory_bytes / AMPLE_SHARE) {
		GM_TRY(spill_late(pending, err));
		pending->recent_rows = 0;
	}
	return pending->memory_bytes > pending->limits.memory_bytes ? spill_waiting(pending, err) : GM_OK;
}

static int compare_paths(const void *a, const void *b)
{
	const struct gm_partition *const *x = a, *const *y = b;
	return strcmp((*x)->path, (*y)->path);
}

enum gm_code gm_pending_flush(struct gm_pending *pending, struct gm_error *err)
{
	/* From here on no partition is looked up by code, so their order is free. */
	if (pending->partition_count == 0) return GM_OK;
	qsort(pending->partitions, pending->partition_count, sizeof(struct gm_partition *), compare_paths);
	for (size_t i = 0; i < pending->partition_count; i++) /* one that had rows has rows: see append_rows */
		if (pending->partitions[i]->rows > 0) GM_TRY(cut_group(pending, pending->partitions[i], true, err));
	return GM_OK;
}
