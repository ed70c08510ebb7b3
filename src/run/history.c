#include "run/history.h"

#include <stdlib.h>

struct numbers {
	uint64_t *value;
	size_t count, room;
	const char *suffix;
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the table's history");
}

static enum gm_code push(struct numbers *numbers, uint64_t n, struct gm_error *err)
{
	if (numbers->count == numbers->room) {
		size_t room = numbers->room == 0 ? 64 : numbers->room * 2;
		uint64_t *grown = realloc(numbers->value, room * sizeof *grown);
		if (grown == NULL) return out_of_memory(err);
		numbers->value = grown;
		numbers->room = room;
	}
	numbers->value[numbers->count++] = n;
	return GM_OK;
}

static enum gm_code note_number(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct numbers *numbers = context;
	uint64_t n = gm_layout_number(info->key, numbers->suffix);
	return n > 0 ? push(numbers, n, err) : GM_OK;
}

/* The files of one work folder are listed one after the other. */
static enum gm_code note_work(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct numbers *numbers = context;
	uint64_t n = strtoull(info->key + strlen(numbers->suffix), NULL, 10);
	if (n == 0 || (numbers->count > 0 && numbers->value[numbers->count - 1] == n)) return GM_OK;
	return push(numbers, n, err);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static enum gm_code list_numbers(struct gm_store *table, const struct gm_layout *layout, const char *folder,
                                 const char *suffix, struct numbers *numbers, struct gm_error *err)
{
	char prefix[GM_KEY_BYTES];
	numbers->suffix = suffix;
	(void)snprintf(prefix, sizeof prefix, "%s%s/", layout->job, folder);
	GM_TRY(gm_store_list(table, prefix, note_number, numbers, err));
	if (numbers->count > 1) qsort(numbers->value, numbers->count, sizeof *numbers->value, compare);
	return GM_OK;
}

static bool contains(const struct numbers *numbers, uint64_t n)
{
	return numbers->count > 0 && bsearch(&n, numbers->value, numbers->count, sizeof n, compare) != NULL;
}

static enum gm_code add_known(struct gm_history *history, const char *key, struct gm_known_object object,
                              struct gm_error *err)
{
	uint32_t len = (uint32_t)strlen(key);
	uint32_t code = gm_dict_put(history->keys, (const uint8_t *)key, len, gm_dict_hash((const uint8_t *)key, len));
	if (code == 0) return out_of_memory(err);
	if (code > history->known_room) {
		size_t room = history->known_room == 0 ? 256 : history->known_room * 2;
		struct gm_known_object *grown = realloc(history->known, room * sizeof *grown);
		if (grown == NULL) return out_of_memory(err);
		history->known = grown;
		history->known_room = room;
	}
	history->known[code - 1] = object;
	return GM_OK;
}

static enum gm_code add_inputs(struct gm_history *history, const json_t *run, struct gm_error *err)
{
	const json_t *inputs;
	GM_TRY(gm_member_array(run, "inputs", &inputs, err));
	for (size_t i = 0; i < json_array_size(inputs); i++) {
		const json_t *input = json_array_get(inputs, i);
		const char *key;
		uint64_t size;
		int64_t mtime;
		GM_TRY(gm_member_string(input, "key", &key, err));
		GM_TRY(gm_member_number(input, "size", &size, err));
		GM_TRY(gm_member_time(input, "mtime_us", &mtime, err));
		GM_TRY(add_known(history, key, (struct gm_known_object){size, mtime}, err));
	}
	return GM_OK;
}

static enum gm_code read_runs(struct gm_store *table, const struct gm_layout *layout, const struct numbers *runs,
                              struct gm_history *history, struct gm_error *err)
{
	for (size_t i = 0; i < runs->count; i++) {
		char key[GM_KEY_BYTES];
		json_t *run;
		gm_layout_key(layout, key, "runs", runs->value[i], ".json.zst");
		GM_TRY(gm_json_read(table, key, &run, err));
		enum gm_code rc = add_inputs(history, run, err);
		json_decref(run);
		if (rc == GM_CORRUPT) return gm_error_object(err, rc, key, strlen(key));
		GM_TRY(rc);
		history->last_run = runs->value[i];
	}
	return GM_OK;
}

static enum gm_code find_open(const struct numbers *plans, const struct numbers *closed, const struct numbers *runs,
                              struct gm_history *history, struct gm_error *err)
{
	struct numbers open = {0};
	enum gm_code rc = GM_OK;
	for (size_t i = 0; i < plans->count; i++) {
		uint64_t n = plans->value[i];
		history->last_plan = n;
		if (contains(closed, n) || contains(runs, n)) continue;
		rc = push(&open, n, err);
		if (rc != GM_OK) break;
	}
	history->open = open.value;
	history->open_count = open.count;
	return rc;
}

/* A runner that dies right after its commit, or that worked on when others had finished its plan, leaves files. */
static enum gm_code find_stray(struct gm_store *table, const struct gm_layout *layout, const struct numbers *closed,
                               const struct numbers *runs, struct gm_history *history, struct gm_error *err)
{
	char prefix[GM_KEY_BYTES];
	struct numbers work = {.suffix = prefix};
	(void)snprintf(prefix, sizeof prefix, "%swork/", layout->job);
	enum gm_code rc = gm_store_list(table, prefix, note_work, &work, err);
	history->stray = work.value;
	for (size_t i = 0; rc == GM_OK && i < work.count; i++)
		if (contains(closed, work.value[i]) || contains(runs, work.value[i]))
			history->stray[history->stray_count++] = work.value[i];
	return rc;
}

enum gm_code gm_history_claim(struct gm_store *table, const struct gm_layout *layout, uint64_t parent, uint64_t *number,
                              struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	json_t *claim;
	*number = 0;
	gm_layout_key(layout, key, "claims", parent, ".json");
	enum gm_code rc = gm_json_read(table, key, &claim, err);
	if (rc == GM_NOT_FOUND) return GM_OK;
	GM_TRY(rc);
	rc = gm_member_number(claim, "plan", number, err);
	if (rc == GM_OK && *number == 0) rc = gm_error_set(err, GM_CORRUPT, "it names no plan");
	json_decref(claim);
	return rc == GM_OK ? rc : gm_error_object(err, rc, key, strlen(key));
}

enum gm_code gm_history_load(struct gm_store *table, const struct gm_layout *layout, struct gm_history *history,
                             struct gm_error *err)
{
	struct numbers plans = {0}, closed = {0}, runs = {0};
	enum gm_code rc = GM_OK;
	*history = (struct gm_history){.keys = gm_dict_new()};
	if (history->keys == NULL) return out_of_memory(err);
	/* Plans first: a plan that is committed between the listings must not look open. */
	GM_TRY_OUT(list_numbers(table, layout, "plans", ".json", &plans, err));
	GM_TRY_OUT(list_numbers(table, layout, "plans", ".closed", &closed, err));
	GM_TRY_OUT(list_numbers(table, layout, "runs", ".json.zst", &runs, err));
	GM_TRY_OUT(read_runs(table, layout, &runs, history, err));
	GM_TRY_OUT(find_open(&plans, &closed, &runs, history, err));
	GM_TRY_OUT(find_stray(table, layout, &closed, &runs, history, err));
	GM_TRY_OUT(gm_history_claim(table, layout, history->last_run, &history->claimed, err));
out:
	free(plans.value);
	free(closed.value);
	free(runs.value);
	if (rc != GM_OK) gm_history_release(history);
	return rc;
}

void gm_history_release(struct gm_history *history)
{
	gm_dict_unref(history->keys);
	free(history->known);
	free(history->open);
	free(history->stray);
	*history = (struct gm_history){0};
}

const struct gm_known_object *gm_history_find(const struct gm_history *history, const char *key)
{
	uint32_t len = (uint32_t)strlen(key);
	uint32_t code = gm_dict_find(history->keys, (const uint8_t *)key, len, gm_dict_hash((const uint8_t *)key, len));
	return code != 0 ? &history->known[code - 1] : NULL;
}
