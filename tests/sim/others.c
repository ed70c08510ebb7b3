/* others.c - who else touches the table: writers who put files into its folders, with or without the log, writers who
 * remove files, and the rule of a bucket that clears uploads away that are never completed. */
#include "sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 6, ROWS = 3 };

/* --- Data files --------------------------------------------------------------------------------------------------- */

static int64_t no_clock(void *context)
{
	(void)context;
	return 1;
}

/* A table of one object, made on the side: as good a writer as any. */
static void write_elsewhere(struct sim *sim, const char *text, struct gm_store **table)
{
	struct gm_store *source;
	struct gm_run_result result;
	struct gm_error err;
	struct gm_run_options options = {.threads = 1, .memory_bytes = 32 << 20};
	if (gm_store_open_memory(&source, &err) != GM_OK || gm_store_open_memory(table, &err) != GM_OK ||
	    gm_store_put(source, "object", text, strlen(text), true, &err) != GM_OK)
		abort();
	struct gm_run_env env = {
	    .source = source, .table = *table, .engine_id = "another", .scratch = "/tmp", .now_us = no_clock};
	if (gm_run_on(sim_job(sim, 0, 0), &env, &options, &result, &err) != GM_OK) abort();
	gm_run_result_clear(&result);
	gm_store_close(source);
}

static enum gm_code take_path(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	(void)err;
	(void)snprintf(context, SIM_KEY_ROOM, "%s", info->key);
	return GM_OK;
}

/* Puts a file with these rows of one partition under the name. Returns its size. */
static size_t put_file(struct sim *sim, const char *name, const unsigned *rows, unsigned count)
{
	char text[256], path[SIM_KEY_ROOM] = "";
	struct gm_store *elsewhere;
	struct gm_buf bytes;
	struct gm_error err;
	size_t n = 0;
	for (unsigned i = 0; i < count; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "{\"k\":\"k%06u\",\"p\":\"%c\",\"n\":%u}\n",
		                      rows[i] / SIM_PARTS, (char)('a' + rows[i] % SIM_PARTS), 2 * rows[i]);
	write_elsewhere(sim, text, &elsewhere);
	if (gm_store_list(elsewhere, "part=", take_path, path, &err) != GM_OK || !sim_object_bytes(elsewhere, path, &bytes))
		abort();
	struct sim_effect effect = {.kind = SIM_PUT_IF_ABSENT, .key = name, .data = bytes.data, .bytes = bytes.len};
	if (sim_effect_apply(sim, &effect, &err) != GM_OK) abort();
	size_t size = bytes.len;
	gm_buf_release(&bytes);
	gm_store_close(elsewhere);
	return size;
}

void sim_file_intrudes(struct sim *sim)
{
	char name[64];
	unsigned rows[ROWS], count = 1 + sim_below(&sim->random, ROWS);
	unsigned part = sim_below(&sim->random, sim->scenario.parts);
	if (sim->others == MOST) return;
	for (unsigned i = 0; i < count; i++) {
		unsigned key = sim_key_new(sim);
		sim->part_of[key] = (uint8_t)part;
		sim->apart[key] = true;
		rows[i] = key * SIM_PARTS + part;
	}
	(void)snprintf(name, sizeof name, "part=%c/of-others-%u.parquet", (char)('a' + part), ++sim->others);
	sim_trace(sim, "%s appears, with %u rows", name, count);
	(void)put_file(sim, name, rows, count);
}

/* --- Commits ------------------------------------------------------------------------------------------------------ */

/* The next version of the log; text has one action a line. */
static void commit(struct sim *sim, const char *operation, const char *action)
{
	char key[64], text[2 * SIM_KEY_ROOM];
	struct gm_error err;
	(void)snprintf(key, sizeof key, "_delta_log/%020" PRIu64 ".json", sim_oracle_commits(sim));
	int n = snprintf(text, sizeof text,
	                 "{\"commitInfo\":{\"timestamp\":0,\"operation\":\"%s\",\"operationParameters\":{}}}\n%s\n",
	                 operation, action);
	struct sim_effect effect = {.kind = SIM_PUT_IF_ABSENT, .key = key, .data = text, .bytes = (size_t)n};
	sim_trace(sim, "others commit %s: %s", key, action);
	if (sim_effect_apply(sim, &effect, &err) != GM_OK) abort();
}

/* Keys of a partition that the table does not hold: objects may have them, and runs of ours be about to commit them. */
static unsigned choose_rows(struct sim *sim, unsigned part, unsigned rows[ROWS])
{
	unsigned count = 0;
	for (unsigned tries = 0; tries < 20 && count < ROWS; tries++) {
		unsigned key = sim_below(&sim->random, sim->key_count), row = key * SIM_PARTS + part;
		bool chosen = sim_oracle_holds(sim, row) || sim->apart[key];
		for (unsigned i = 0; i < count; i++) chosen |= rows[i] == row;
		if (!chosen) rows[count++] = row;
	}
	return count;
}

void sim_others_append(struct sim *sim)
{
	char name[64], action[512];
	unsigned rows[ROWS], part = sim_below(&sim->random, sim->scenario.parts);
	/* Somebody made the table, and there is something to say. */
	if (sim->others == MOST || sim_oracle_commits(sim) == 0 || sim->key_count == 0) return;
	unsigned count = choose_rows(sim, part, rows);
	if (count == 0) return;
	(void)snprintf(name, sizeof name, "part=%c/of-others-%u.parquet", (char)('a' + part), ++sim->others);
	size_t size = put_file(sim, name, rows, count);
	(void)snprintf(
	    action, sizeof action,
	    "{\"add\":{\"path\":\"%s\",\"partitionValues\":{\"part\":\"%c\"},\"size\":%zu,\"modificationTime\":0,"
	    "\"dataChange\":true,\"stats\":\"{\\\"numRecords\\\":%u}\"}}",
	    name, (char)('a' + part), size, count);
	commit(sim, "WRITE", action);
}

static enum gm_code find_staged(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	size_t n = strlen(info->key);
	(void)err;
	if (n >= 7 && strcmp(info->key + n - 7, ".staged") == 0) *(bool *)context = true;
	return GM_OK;
}

/* Who removes files from their folders first removes what they were staged as: a runner that has slept since would
 * publish them again. */
static bool may_come_back(struct sim *sim, const char *path)
{
	char work[SIM_KEY_ROOM];
	struct gm_error err;
	bool staged = false;
	if (!sim_oracle_work_of(path, work)) return false;
	if (gm_store_list(sim->table, work, find_staged, &staged, &err) != GM_OK) abort();
	return staged;
}

void sim_others_delete(struct sim *sim)
{
	char action[SIM_KEY_ROOM + 256], path[SIM_KEY_ROOM];
	struct gm_error err;
	const char *chosen = sim_oracle_any_file(sim);
	if (sim->others == MOST || chosen == NULL || may_come_back(sim, chosen)) return;
	(void)snprintf(path, sizeof path, "%s", chosen);
	sim->others++;
	(void)snprintf(
	    action, sizeof action,
	    "{\"remove\":{\"path\":\"%s\",\"deletionTimestamp\":1,\"dataChange\":true,\"extendedFileMetadata\":true,"
	    "\"partitionValues\":{\"part\":\"%c\"},\"size\":1}}",
	    path, path[strlen("part=")]);
	commit(sim, "DELETE", action);
	struct sim_effect effect = {.kind = SIM_REMOVE, .key = path};
	if (sim_effect_apply(sim, &effect, &err) != GM_OK) abort();
}

/* --- Uploads ------------------------------------------------------------------------------------------------------ */

struct choice {
	struct sim *sim;
	unsigned seen;
	char key[SIM_KEY_ROOM];
};

/* Each of those seen is chosen with the same chance. */
static enum gm_code choose_staged(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct choice *choice = context;
	size_t n = strlen(info->key);
	(void)err;
	if (n < 7 || strcmp(info->key + n - 7, ".staged") != 0) return GM_OK;
	if (sim_below(&choice->sim->random, ++choice->seen) == 0)
		(void)snprintf(choice->key, sizeof choice->key, "%s", info->key);
	return GM_OK;
}

void sim_staged_expires(struct sim *sim)
{
	struct choice choice = {.sim = sim};
	struct gm_error err;
	if (gm_store_list(sim->table, "_gristmill/", choose_staged, &choice, &err) != GM_OK) abort();
	if (choice.seen == 0) return;
	if (gm_store_remove(sim->table, choice.key, &err) != GM_OK) abort();
	sim->counts.expired++;
	sim_trace(sim, "%s expires", choice.key);
}
