/* Which files a partition has. The Hive path of each partition is made once the table's partition columns are known;
 * the files are sorted by partition when the first one is asked for, and a partition's files by path when it is. */
#include "table/delta_internal.h"

#include <stdlib.h>

struct gm_delta_index {
	struct gm_dict *groups;       /* Hive paths, with their NUL */
	uint32_t *group_of;           /* of a partition's code - 1: its group's code - 1 */
	uint32_t *ends;               /* where the files of each group end in `files`; NULL until one is asked for */
	uint32_t *files;              /* indices of live records, group by group */
	struct gm_delta_file **lists; /* of each group that was asked for */
	size_t memory_bytes;          /* of ends, files and lists */
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the partitions of the Delta log");
}

static enum gm_code name_groups(const struct gm_delta_log *log, struct gm_delta_index *index, struct gm_error *err)
{
	struct gm_buf path;
	enum gm_code rc = GM_OK;
	const struct gm_delta_metadata *metadata = &log->head.public;
	gm_buf_init(&path, log->memory_bytes);
	for (uint32_t i = 0; i < log->state.partitions->count; i++) {
		uint32_t bytes;
		const char *canonical = (const char *)gm_dict_get(log->state.partitions, i + 1, &bytes);
		GM_TRY_OUT(
		    gm_delta_partition_hive(canonical, metadata->partition_columns, metadata->partition_count, &path, err));
		GM_TRY_OUT(gm_buf_append(&path, "", 1, err));
		uint32_t code = gm_delta_text_put(index->groups, (const char *)path.data);
		if (code == 0) GM_TRY_OUT(out_of_memory(err));
		index->group_of[i] = code - 1;
	}
out:
	gm_buf_release(&path);
	return rc;
}

enum gm_code gm_delta_index_new(const struct gm_delta_log *log, struct gm_delta_index **out, struct gm_error *err)
{
	struct gm_delta_index *index = calloc(1, sizeof *index);
	*out = index;
	if (index == NULL) return out_of_memory(err);
	index->groups = gm_dict_new();
	index->group_of = malloc((log->state.partitions->count + 1) * sizeof *index->group_of);
	if (index->groups == NULL || index->group_of == NULL) return out_of_memory(err);
	GM_TRY(name_groups(log, index, err));
	return gm_delta_state_check(&log->state, gm_dict_memory_bytes(index->groups), err);
}

void gm_delta_index_free(struct gm_delta_index *index)
{
	if (index == NULL) return;
	for (uint32_t i = 0; index->lists != NULL && i < index->groups->count; i++) free(index->lists[i]);
	free(index->lists);
	free(index->files);
	free(index->ends);
	free(index->group_of);
	gm_dict_unref(index->groups);
	free(index);
}

const char *gm_delta_index_hive(const struct gm_delta_index *index, const struct gm_delta_record *record)
{
	uint32_t bytes;
	return (const char *)gm_dict_get(index->groups, index->group_of[record->partition - 1] + 1, &bytes);
}

/* --- Files by partition ------------------------------------------------------------------------------------------- */

static bool is_live(const struct gm_delta_record *record)
{
	return record->partition != 0;
}

/* Counts, then places: ends[g] moves from where group g begins to where it ends. */
static void sort_files(const struct gm_delta_state *state, const struct gm_delta_index *index, uint32_t *ends,
                       uint32_t *files)
{
	uint32_t total = 0;
	for (uint32_t i = 0; i < state->paths->count; i++)
		if (is_live(&state->records[i])) ends[index->group_of[state->records[i].partition - 1]]++;
	for (uint32_t g = 0; g < index->groups->count; g++) {
		uint32_t count = ends[g];
		ends[g] = total;
		total += count;
	}
	for (uint32_t i = 0; i < state->paths->count; i++)
		if (is_live(&state->records[i])) files[ends[index->group_of[state->records[i].partition - 1]]++] = i;
}

static enum gm_code make_groups(const struct gm_delta_log *log, struct gm_delta_index *index, struct gm_error *err)
{
	size_t groups = index->groups->count + 1, live = log->state.live + 1;
	size_t bytes = groups * (sizeof *index->ends + sizeof(void *)) + live * sizeof *index->files;
	if (index->ends != NULL) return GM_OK;
	GM_TRY(gm_delta_state_check(&log->state, bytes, err));
	if (index->lists == NULL) index->lists = calloc(groups, sizeof *index->lists);
	if (index->files == NULL) index->files = malloc(live * sizeof *index->files);
	uint32_t *ends = calloc(groups, sizeof *ends);
	if (index->lists == NULL || index->files == NULL || ends == NULL) {
		free(ends);
		return out_of_memory(err);
	}
	sort_files(&log->state, index, ends, index->files);
	index->ends = ends;
	index->memory_bytes = bytes;
	return GM_OK;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct gm_delta_file *)a)->path, ((const struct gm_delta_file *)b)->path);
}

static enum gm_code make_list(const struct gm_delta_log *log, struct gm_delta_index *index, uint32_t group,
                              const char *partition, struct gm_error *err)
{
	uint32_t first = group == 0 ? 0 : index->ends[group - 1], count = index->ends[group] - first;
	size_t bytes = (size_t)count * sizeof(struct gm_delta_file);
	GM_TRY(gm_delta_state_check(&log->state, index->memory_bytes + bytes, err));
	struct gm_delta_file *list = malloc(bytes + 1);
	if (list == NULL) return out_of_memory(err);
	for (uint32_t i = 0; i < count; i++) {
		const struct gm_delta_record *record = &log->state.records[index->files[first + i]];
		list[i] = (struct gm_delta_file){.path = gm_delta_state_path(&log->state, index->files[first + i]),
		                                 .partition = partition,
		                                 .bytes = record->bytes,
		                                 .mtime_ms = record->mtime_ms};
	}
	if (count > 1) qsort(list, count, sizeof *list, compare_paths);
	index->lists[group] = list;
	index->memory_bytes += bytes;
	return GM_OK;
}

enum gm_code gm_delta_partition(const struct gm_delta_log *log, const char *partition,
                                const struct gm_delta_file **files, size_t *count, struct gm_error *err)
{
	struct gm_delta_index *index = log->index;
	uint32_t code = gm_delta_text_find(index->groups, partition), bytes;
	*files = NULL;
	*count = 0;
	if (code == 0) return GM_OK;
	GM_TRY(make_groups(log, index, err));
	uint32_t group = code - 1, first = group == 0 ? 0 : index->ends[group - 1];
	const char *hive = (const char *)gm_dict_get(index->groups, code, &bytes);
	if (index->lists[group] == NULL) GM_TRY(make_list(log, index, group, hive, err));
	*files = index->lists[group];
	*count = index->ends[group] - first;
	return GM_OK;
}

enum gm_code gm_delta_each_partition(const struct gm_delta_log *log, gm_delta_partition_fn *each, void *context,
                                     struct gm_error *err)
{
	struct gm_delta_index *index = log->index;
	GM_TRY(make_groups(log, index, err));
	for (uint32_t group = 0; group < index->groups->count; group++) {
		uint32_t first = group == 0 ? 0 : index->ends[group - 1], count = index->ends[group] - first, bytes;
		const char *hive = (const char *)gm_dict_get(index->groups, group + 1, &bytes);
		bool known = index->lists[group] != NULL;
		if (count == 0) continue;
		if (!known) GM_TRY(make_list(log, index, group, hive, err));
		enum gm_code rc = each(context, hive, index->lists[group], count, err);
		if (!known) {
			free(index->lists[group]);
			index->lists[group] = NULL;
			index->memory_bytes -= (size_t)count * sizeof(struct gm_delta_file);
		}
		GM_TRY(rc);
	}
	return GM_OK;
}
