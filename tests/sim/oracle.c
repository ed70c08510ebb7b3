/* oracle.c - what must be true of the table after each effect on it, whoever caused it.
 *
 * A plain Hive reader sees all files in the partition folders. Each must be one of a committed run, or of the one plan
 * that is claimed to be the next; no row may be in two of them; a committed file stays what it was when it was
 * committed. A run's books name inputs that existed, each once in the job's life, and the numbers that follow from
 * what these hold; its files hold the rows that are new in them, no others. Runs follow one another along `parent`. */
#include "run/layout.h"
#include "sim/sim.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct file { /* visible */
	char *path;
	XXH128_hash_t hash;
	uint64_t bytes;
	uint16_t *rows;
	size_t row_count;
	unsigned job;
	uint64_t run;
	bool committed;
};

struct commit {
	unsigned job;
	uint64_t run, parent;
	bool empty;
};

struct claim {
	unsigned job;
	uint64_t plan;
};

struct sim_oracle {
	struct file *files;
	size_t file_count, file_room;
	struct commit *commits;
	size_t commit_count, commit_room;
	char **named; /* files that committed runs name beside their data: quarantine */
	size_t named_count;
	uint64_t head[SIM_JOBS];    /* the last committed run */
	uint64_t claimed[SIM_JOBS]; /* the plan that is to follow it; 0: not decided */
	struct claim *ended;        /* plans that were claimed, and given up: closing them removes their files */
	size_t ended_count, ended_room;
	bool processed[SIM_JOBS][SIM_OBJECTS];
	uint8_t shown[SIM_ROWS]; /* in how many visible files */
	bool held[SIM_ROWS];     /* in a committed one */
};

static void *grow(void *array, size_t *room, size_t count, size_t bytes_each)
{
	if (count < *room) return array;
	*room = *room == 0 ? 16 : *room * 2;
	void *grown = realloc(array, *room * bytes_each);
	if (grown == NULL) abort();
	return grown;
}

struct sim_oracle *sim_oracle_new(void)
{
	struct sim_oracle *oracle = calloc(1, sizeof *oracle);
	if (oracle == NULL) abort();
	return oracle;
}

static void free_file(struct file *file)
{
	free(file->path);
	free(file->rows);
}

void sim_oracle_free(struct sim_oracle *oracle)
{
	for (size_t i = 0; i < oracle->file_count; i++) free_file(&oracle->files[i]);
	for (size_t i = 0; i < oracle->named_count; i++) free(oracle->named[i]);
	free(oracle->files);
	free(oracle->commits);
	free(oracle->ended);
	free(oracle->named);
	free(oracle);
}

uint64_t sim_oracle_commits(const struct sim *sim)
{
	return sim->oracle->commit_count;
}

static const struct commit *find_commit(const struct sim_oracle *oracle, unsigned job, uint64_t run)
{
	for (size_t i = 0; i < oracle->commit_count; i++)
		if (oracle->commits[i].job == job && oracle->commits[i].run == run) return &oracle->commits[i];
	return NULL;
}

bool sim_oracle_committed(const struct sim *sim, unsigned job, uint64_t run)
{
	const struct commit *commit = find_commit(sim->oracle, job, run);
	return commit != NULL && !commit->empty;
}

/* --- Names -------------------------------------------------------------------------------------------------------- */

/* "_gristmill/<job>/<folder>/<n><suffix>", where folder/ and suffix are the caller's: job and n, or false. */
static bool is_state(const char *key, const char *folder, const char *suffix, unsigned *job, uint64_t *n)
{
	char prefix[64], *end;
	for (*job = 0; *job < SIM_JOBS; ++*job) {
		int length = snprintf(prefix, sizeof prefix, "_gristmill/%s/%s/", sim_job_id(*job), folder);
		if (strncmp(key, prefix, (size_t)length) != 0) continue;
		*n = strtoull(key + length, &end, 10);
		return end != key + length && (suffix == NULL || strcmp(end, suffix) == 0);
	}
	return false;
}

static void state_key(char key[SIM_KEY_ROOM], unsigned job, const char *folder, uint64_t n, const char *suffix)
{
	(void)snprintf(key, SIM_KEY_ROOM, "_gristmill/%s/%s/%08" PRIu64 "%s", sim_job_id(job), folder, n, suffix);
}

static bool is_data(const char *key)
{
	return key[0] != '_';
}

/* Job and run stand in a file's name: <job8>-<run>-<unit>-<seq>-<h16>.parquet */
static bool whose_file(const char *path, unsigned *job, uint64_t *run)
{
	char job8[GM_JOB8_BYTES];
	const char *name = strrchr(path, '/');
	name = name != NULL ? name + 1 : path;
	for (*job = 0; *job < SIM_JOBS; ++*job) {
		gm_job8(sim_job_id(*job), job8);
		if (strncmp(name, job8, GM_JOB8_BYTES - 1) != 0) continue;
		*run = strtoull(name + GM_JOB8_BYTES, NULL, 10);
		return true;
	}
	return false;
}

/* --- Readers ------------------------------------------------------------------------------------------------------ */

static struct file *find_file(struct sim_oracle *oracle, const char *path)
{
	for (size_t i = 0; i < oracle->file_count; i++)
		if (strcmp(oracle->files[i].path, path) == 0) return &oracle->files[i];
	return NULL;
}

static bool is_ended(const struct sim_oracle *oracle, unsigned job, uint64_t plan)
{
	for (size_t i = 0; i < oracle->ended_count; i++)
		if (oracle->ended[i].job == job && oracle->ended[i].plan == plan) return true;
	return false;
}

/* Everything a Hive reader sees belongs to a committed run, to the claimed plan, or to one that was claimed and is being
 * swept. */
static void check_readers(struct sim *sim)
{
	const struct sim_oracle *oracle = sim->oracle;
	for (size_t i = 0; i < oracle->file_count; i++) {
		const struct file *file = &oracle->files[i];
		if (file->committed || file->run == oracle->claimed[file->job]) continue;
		if (is_ended(oracle, file->job, file->run)) continue;
		sim_violation(sim, "readers see %s, which is neither committed nor of the claimed plan %" PRIu64, file->path,
		              oracle->claimed[file->job]);
	}
}

static void file_appears(struct sim *sim, const char *path, const struct gm_buf *bytes)
{
	struct sim_oracle *oracle = sim->oracle;
	char row[32];
	struct file file = {.hash = XXH3_128bits(bytes->data, bytes->len), .bytes = bytes->len};
	if (!whose_file(path, &file.job, &file.run)) {
		sim_violation(sim, "%s is of no job", path);
		return;
	}
	if (!sim_rows_read(sim, path, bytes->data, bytes->len, &file.rows, &file.row_count)) return;
	file.path = strdup(path);
	oracle->files = grow(oracle->files, &oracle->file_room, oracle->file_count, sizeof file);
	oracle->files[oracle->file_count++] = file;
	for (size_t i = 0; i < file.row_count; i++) {
		if (++oracle->shown[file.rows[i]] == 1) continue;
		sim_row_name(file.rows[i], row);
		sim_violation(sim, "readers see %s twice, once in %s", row, path);
	}
	check_readers(sim);
}

static void file_vanishes(struct sim *sim, struct file *file)
{
	struct sim_oracle *oracle = sim->oracle;
	if (file->committed) sim_violation(sim, "%s is removed, and committed", file->path);
	for (size_t i = 0; i < file->row_count; i++) oracle->shown[file->rows[i]]--;
	free_file(file);
	*file = oracle->files[--oracle->file_count];
}

static void saw_data(struct sim *sim, const char *path)
{
	struct gm_buf bytes;
	struct file *file = find_file(sim->oracle, path);
	if (!sim_object_bytes(sim->table, path, &bytes)) {
		if (file != NULL) file_vanishes(sim, file);
	} else if (file == NULL) {
		file_appears(sim, path, &bytes);
	} else if (bytes.len != file->bytes || !XXH128_isEqual(XXH3_128bits(bytes.data, bytes.len), file->hash)) {
		sim_violation(sim, "%s is replaced by other bytes", path);
	}
	gm_buf_release(&bytes);
}

/* --- Commits ------------------------------------------------------------------------------------------------------ */

/* The balance of each input, from what it holds and what the table and the inputs before it held. Rows that are new
 * get true in fresh. */
static void check_inputs(struct sim *sim, unsigned job, const struct sim_books *books, bool fresh[SIM_ROWS])
{
	struct sim_oracle *oracle = sim->oracle;
	for (size_t i = 0; i < books->input_count; i++) {
		const struct sim_books_input *input = &books->inputs[i];
		const struct sim_object *object = input->object;
		uint64_t written = 0;
		size_t at = (size_t)(object - sim->objects);
		if (oracle->processed[job][at])
			sim_violation(sim, "%s is processed by run %" PRIu64 " and by another", object->key, books->run);
		oracle->processed[job][at] = true;
		for (unsigned k = 0; k < object->row_count; k++) {
			if (oracle->held[object->rows[k]]) continue;
			oracle->held[object->rows[k]] = fresh[object->rows[k]] = true;
			written++;
		}
		if (input->read != object->row_count + object->bad || input->written != written ||
		    input->duplicates != object->row_count - written || input->quarantined != object->bad ||
		    input->filtered != 0)
			sim_violation(sim,
			              "run %s/%" PRIu64 ", %s: the books say read %" PRIu64 ", written %" PRIu64
			              ", duplicates %" PRIu64 ", quarantined %" PRIu64 "; it holds %u rows, %" PRIu64
			              " of them new, and %u bad records",
			              sim_job_id(job), books->run, object->key, input->read, input->written, input->duplicates,
			              input->quarantined, object->row_count, written, object->bad);
	}
}

static void check_data_file(struct sim *sim, const struct sim_books_file *named, bool fresh[SIM_ROWS])
{
	char row[32], hash[40];
	struct file *file = find_file(sim->oracle, named->path);
	if (file == NULL) {
		sim_violation(sim, "%s is committed and not there", named->path);
		return;
	}
	(void)snprintf(hash, sizeof hash, "%016" PRIx64 "%016" PRIx64, (uint64_t)file->hash.high64,
	               (uint64_t)file->hash.low64);
	if (file->bytes != named->bytes || strcmp(hash, named->hash) != 0)
		sim_violation(sim, "%s is not what its commit says", named->path);
	if (file->row_count != named->rows)
		sim_violation(sim, "%s holds %zu keys in %" PRIu64 " rows", named->path, file->row_count, named->rows);
	for (size_t i = 0; i < file->row_count; i++) {
		sim_row_name(file->rows[i], row);
		if (!fresh[file->rows[i]]) sim_violation(sim, "%s holds %s, which is none of its run's", named->path, row);
		fresh[file->rows[i]] = false;
	}
	file->committed = true;
}

static void remember_name(struct sim_oracle *oracle, const char *path)
{
	char **grown = realloc(oracle->named, (oracle->named_count + 1) * sizeof *grown);
	if (grown == NULL) abort();
	oracle->named = grown;
	oracle->named[oracle->named_count++] = strdup(path);
}

/* The run's files hold the rows that are new in its inputs. */
static void check_files(struct sim *sim, const struct sim_books *books, bool fresh[SIM_ROWS])
{
	char row[32];
	for (size_t i = 0; i < books->file_count; i++) {
		if (is_data(books->files[i].path))
			check_data_file(sim, &books->files[i], fresh);
		else
			remember_name(sim->oracle, books->files[i].path);
	}
	for (unsigned i = 0; i < SIM_ROWS; i++) {
		if (!fresh[i]) continue;
		sim_row_name(i, row);
		sim_violation(sim, "run %" PRIu64 " lost %s", books->run, row);
	}
}

/* The plan that claims/<head> names. */
static void look_at_claim(struct sim *sim, unsigned job)
{
	char key[SIM_KEY_ROOM];
	state_key(key, job, "claims", sim->oracle->head[job], ".json");
	json_t *json = sim_json_read(sim, key);
	sim->oracle->claimed[job] = (uint64_t)json_integer_value(json_object_get(json, "plan"));
	json_decref(json);
	check_readers(sim);
}

static bool exists(struct sim *sim, const char *key)
{
	struct gm_buf ignored;
	bool there = sim_object_bytes(sim->table, key, &ignored);
	gm_buf_release(&ignored);
	return there;
}

/* The run is committed in place of a plan that was claimed. */
static void note_end(struct sim *sim, unsigned job, uint64_t run)
{
	struct sim_oracle *oracle = sim->oracle;
	if (oracle->claimed[job] == 0 || oracle->claimed[job] == run) return;
	oracle->ended = grow(oracle->ended, &oracle->ended_room, oracle->ended_count, sizeof *oracle->ended);
	oracle->ended[oracle->ended_count++] = (struct claim){job, oracle->claimed[job]};
}

static void saw_books(struct sim *sim, unsigned job, uint64_t run, const char *key)
{
	struct sim_oracle *oracle = sim->oracle;
	struct sim_books books;
	bool fresh[SIM_ROWS] = {false};
	char closed[SIM_KEY_ROOM];
	if (find_commit(oracle, job, run) != NULL) {
		if (!exists(sim, key)) sim_violation(sim, "%s is removed", key);
		return;
	}
	if (sim->lie == SIM_LIE_FORGET_BOOKS && !exists(sim, key)) return;
	if (!sim_books_read(sim, job, key, &books)) return;
	state_key(closed, job, "plans", run, ".closed");
	if (exists(sim, closed)) sim_violation(sim, "run %s/%" PRIu64 " is committed, and closed", sim_job_id(job), run);
	if (books.run != run || books.parent != oracle->head[job])
		sim_violation(sim, "run %s/%" PRIu64 " has the parent %" PRIu64 "; the last run is %" PRIu64, sim_job_id(job),
		              run, books.parent, oracle->head[job]);
	oracle->commits = grow(oracle->commits, &oracle->commit_room, oracle->commit_count, sizeof *oracle->commits);
	oracle->commits[oracle->commit_count++] =
	    (struct commit){.job = job, .run = run, .parent = books.parent, .empty = books.input_count == 0};
	oracle->head[job] = run;
	note_end(sim, job, run);
	check_inputs(sim, job, &books, fresh);
	check_files(sim, &books, fresh);
	sim_books_release(&books);
	look_at_claim(sim, job);
}

static void saw_closed(struct sim *sim, unsigned job, uint64_t plan, const char *key)
{
	if (!exists(sim, key)) {
		sim_violation(sim, "%s is removed", key);
		return;
	}
	if (find_commit(sim->oracle, job, plan) != NULL)
		sim_violation(sim, "plan %s/%" PRIu64 " is closed, and committed", sim_job_id(job), plan);
	sim->counts.dead_plans++;
	for (size_t i = 0; i < sim->oracle->ended_count; i++)
		if (sim->oracle->ended[i].job == job && sim->oracle->ended[i].plan == plan) sim->oracle->ended[i].plan = 0;
	check_readers(sim);
}

void sim_oracle_saw(struct sim *sim, const char *key)
{
	unsigned job;
	uint64_t n;
	if (is_data(key)) {
		saw_data(sim, key);
	} else if (is_state(key, "runs", ".json.zst", &job, &n)) {
		saw_books(sim, job, n, key);
	} else if (is_state(key, "plans", ".closed", &job, &n)) {
		saw_closed(sim, job, n, key);
	} else if (is_state(key, "plans", ".json", &job, &n)) {
		if (!exists(sim, key)) sim_violation(sim, "%s is removed", key);
	} else if (is_state(key, "claims", ".json", &job, &n) && n == sim->oracle->head[job]) {
		look_at_claim(sim, job);
	}
}

/* --- The end ------------------------------------------------------------------------------------------------------ */

static uint64_t parent_of(struct sim *sim, unsigned job, uint64_t plan)
{
	char key[SIM_KEY_ROOM];
	state_key(key, job, "plans", plan, ".json");
	json_t *json = sim_json_read(sim, key);
	uint64_t parent = (uint64_t)json_integer_value(json_object_get(json, "parent"));
	json_decref(json);
	return parent;
}

/* A plan of another engine or edition may be unfinished for good, until the job's next commit makes it dead. */
static bool may_have_work(struct sim *sim, unsigned job, uint64_t plan)
{
	char closed[SIM_KEY_ROOM];
	state_key(closed, job, "plans", plan, ".closed");
	return find_commit(sim->oracle, job, plan) == NULL && !exists(sim, closed) &&
	       parent_of(sim, job, plan) == sim->oracle->head[job];
}

static enum gm_code check_key(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct sim *sim = context;
	const struct sim_oracle *oracle = sim->oracle;
	unsigned job;
	uint64_t n;
	(void)err;
	if (is_data(info->key)) {
		const struct file *file = find_file(sim->oracle, info->key);
		if (file == NULL || !file->committed) sim_violation(sim, "%s is stray", info->key);
	} else if (is_state(info->key, "work", NULL, &job, &n)) {
		if (!may_have_work(sim, job, n)) sim_violation(sim, "%s is left over", info->key);
	} else if (is_state(info->key, "quarantine", NULL, &job, &n)) {
		for (size_t i = 0; i < oracle->named_count; i++)
			if (strcmp(oracle->named[i], info->key) == 0) return GM_OK;
		sim_violation(sim, "%s is stray", info->key);
	}
	return GM_OK;
}

static void check_objects(struct sim *sim)
{
	char row[32];
	for (size_t i = 0; i < sim->object_count; i++) {
		const struct sim_object *object = &sim->objects[i];
		if (!object->present) continue;
		if (!sim->oracle->processed[object->source][i])
			sim_violation(sim, "%s of source %s was never processed", object->key, sim_job_id(object->source));
		for (unsigned k = 0; k < object->row_count; k++) {
			sim_row_name(object->rows[k], row);
			if (sim->oracle->shown[object->rows[k]] != 1)
				sim_violation(sim, "%s of %s is in %u files", row, object->key, sim->oracle->shown[object->rows[k]]);
		}
	}
}

void sim_oracle_end(struct sim *sim)
{
	struct gm_error err;
	for (unsigned job = 0; job < sim->scenario.jobs; job++)
		if (sim->oracle->claimed[job] != 0)
			sim_violation(sim, "plan %s/%" PRIu64 " is claimed, and nobody finishes it", sim_job_id(job),
			              sim->oracle->claimed[job]);
	check_objects(sim);
	if (gm_store_list(sim->table, "", check_key, sim, &err) != GM_OK) sim_violation(sim, "the table cannot be listed");
}
