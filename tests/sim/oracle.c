/* oracle.c - what must be true of the table after each effect on it, whoever caused it.
 *
 * A plain Hive reader sees all files in the partition folders. Each must be one of a committed run, or of the one plan
 * that is claimed and not settled; no row may be in two of them; a committed file stays what it was when it was
 * committed. One plan of the whole table is between publish and commit: the next claim is put only when the plan of
 * the last one is committed or closed. Only dead plans are closed, and nothing that was closed is committed. */
#include "sim/oracle.h"

#include "run/layout.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

void *sim_grow(void *array, size_t *room, size_t count, size_t bytes_each)
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
	oracle->checkpoint = -1;
	return oracle;
}

static void free_file(struct sim_file *file)
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
	free(oracle->claims);
	free(oracle->closed);
	free(oracle->named);
	free(oracle);
}

bool sim_oracle_holds(const struct sim *sim, unsigned row)
{
	return sim->oracle->held[row];
}

const char *sim_oracle_any_file(struct sim *sim)
{
	const struct sim_oracle *oracle = sim->oracle;
	const struct sim_file *chosen = NULL;
	unsigned seen = 0;
	for (size_t i = 0; i < oracle->file_count; i++)
		if (oracle->files[i].committed && !oracle->files[i].removed && sim_below(&sim->random, ++seen) == 0)
			chosen = &oracle->files[i];
	return chosen != NULL ? chosen->path : NULL;
}

uint64_t sim_oracle_commits(const struct sim *sim)
{
	return sim->oracle->commit_count;
}

const struct sim_commit *sim_commit_find(const struct sim_oracle *oracle, unsigned job, uint64_t run)
{
	for (size_t i = 0; i < oracle->commit_count; i++)
		if (oracle->commits[i].job == job && oracle->commits[i].run == run) return &oracle->commits[i];
	return NULL;
}

bool sim_oracle_has_state(const struct sim *sim, unsigned job)
{
	return sim->oracle->head[job] != 0;
}

bool sim_oracle_committed(const struct sim *sim, unsigned job, uint64_t run)
{
	const struct sim_commit *commit = sim_commit_find(sim->oracle, job, run);
	return commit != NULL && !commit->empty;
}

bool sim_plan_closed(const struct sim_oracle *oracle, unsigned job, uint64_t plan)
{
	for (size_t i = 0; i < oracle->closed_count; i++)
		if (oracle->closed[i].job == job && oracle->closed[i].plan == plan) return true;
	return false;
}

/* --- Names -------------------------------------------------------------------------------------------------------- */

bool sim_is_state(const char *key, const char *folder, const char *suffix, unsigned *job, uint64_t *n)
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

void sim_state_key(char key[SIM_KEY_ROOM], unsigned job, const char *folder, uint64_t n, const char *suffix)
{
	(void)snprintf(key, SIM_KEY_ROOM, "_gristmill/%s/%s/%08" PRIu64 "%s", sim_job_id(job), folder, n, suffix);
}

/* "<folder><n><suffix>" at the top of the table or its state. */
static bool is_numbered(const char *key, const char *folder, const char *suffix, uint64_t *n)
{
	char *end;
	size_t length = strlen(folder);
	if (strncmp(key, folder, length) != 0) return false;
	*n = strtoull(key + length, &end, 10);
	return end != key + length && strcmp(end, suffix) == 0;
}

bool sim_is_data(const char *key)
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

bool sim_oracle_work_of(const char *path, char work[SIM_KEY_ROOM])
{
	unsigned job;
	uint64_t run;
	if (!whose_file(path, &job, &run)) return false;
	sim_state_key(work, job, "work", run, "/");
	return true;
}

bool sim_exists(struct sim *sim, const char *key)
{
	struct gm_buf ignored;
	bool there = sim_object_bytes(sim->table, key, &ignored);
	gm_buf_release(&ignored);
	return there;
}

uint64_t sim_plan_number(struct sim *sim, unsigned job, uint64_t plan, const char *member)
{
	char key[SIM_KEY_ROOM];
	sim_state_key(key, job, "plans", plan, ".json");
	json_t *json = sim_json_read(sim, key);
	if (json == NULL) sim_violation(sim, "plan %s/%" PRIu64 " is not there", sim_job_id(job), plan);
	uint64_t value = (uint64_t)json_integer_value(json_object_get(json, member));
	json_decref(json);
	return value;
}

/* --- Readers ------------------------------------------------------------------------------------------------------ */

struct sim_file *sim_file_find(struct sim_oracle *oracle, const char *path)
{
	for (size_t i = 0; i < oracle->file_count; i++)
		if (strcmp(oracle->files[i].path, path) == 0) return &oracle->files[i];
	return NULL;
}

static bool is_claimed(const struct sim_oracle *oracle, unsigned job, uint64_t plan)
{
	const struct sim_claim *last = oracle->claim_count > 0 ? &oracle->claims[oracle->claim_count - 1] : NULL;
	return last != NULL && last->job == job && last->plan == plan && !sim_plan_closed(oracle, job, plan);
}

void sim_check_readers(struct sim *sim)
{
	const struct sim_oracle *oracle = sim->oracle;
	for (size_t i = 0; i < oracle->file_count; i++) {
		const struct sim_file *file = &oracle->files[i];
		if (file->committed || file->job == SIM_JOBS || is_claimed(oracle, file->job, file->run)) continue;
		sim_violation(sim, "readers see %s, which is neither committed nor of the claimed plan", file->path);
	}
}

static void file_appears(struct sim *sim, const char *path, const struct gm_buf *bytes)
{
	struct sim_oracle *oracle = sim->oracle;
	char row[32];
	struct sim_file file = {.hash = XXH3_128bits(bytes->data, bytes->len), .bytes = bytes->len};
	if (!whose_file(path, &file.job, &file.run) && strstr(path, "/of-others-") == NULL) {
		sim_violation(sim, "%s is of no job", path);
		return;
	}
	struct sim_rows read;
	if (!sim_rows_read(sim, path, bytes->data, bytes->len, &read)) return;
	file.rows = read.rows;
	file.row_count = read.count;
	file.twice = read.twice;
	memcpy(file.engine, read.engine, sizeof file.engine);
	memcpy(file.job_hash, read.job_hash, sizeof file.job_hash);
	file.path = strdup(path);
	oracle->files = sim_grow(oracle->files, &oracle->file_room, oracle->file_count, sizeof file);
	oracle->files[oracle->file_count++] = file;
	for (size_t i = 0; i < file.row_count; i++) {
		uint16_t number = file.rows[i].row;
		if (file.job == SIM_JOBS) oracle->theirs[number]++;
		/* Others can commit a key of ours between our last look at the log and our publishing it. */
		if (++oracle->shown[number] == 1 || oracle->theirs[number] > 0) continue;
		sim_row_name(number, row);
		sim_violation(sim, "readers see %s twice, once in %s", row, path);
	}
	sim_check_readers(sim);
}

static void file_vanishes(struct sim *sim, struct sim_file *file)
{
	struct sim_oracle *oracle = sim->oracle;
	if (file->committed && !file->removed) sim_violation(sim, "%s is removed, and committed", file->path);
	for (size_t i = 0; i < file->row_count; i++) {
		oracle->shown[file->rows[i].row]--;
		if (file->job == SIM_JOBS) oracle->theirs[file->rows[i].row]--;
	}
	if (file->removed) return; /* readers of older versions know it */
	free_file(file);
	*file = oracle->files[--oracle->file_count];
}

static void saw_data(struct sim *sim, const char *path)
{
	struct gm_buf bytes;
	struct sim_file *file = sim_file_find(sim->oracle, path);
	if (!sim_object_bytes(sim->table, path, &bytes)) {
		if (file != NULL) file_vanishes(sim, file);
	} else if (file != NULL && file->removed) {
		sim_violation(sim, "%s is published again after others removed it", path);
	} else if (file == NULL) {
		file_appears(sim, path, &bytes);
	} else if (bytes.len != file->bytes || !XXH128_isEqual(XXH3_128bits(bytes.data, bytes.len), file->hash)) {
		sim_violation(sim, "%s is replaced by other bytes", path);
	}
	gm_buf_release(&bytes);
}

/* --- Claims and closed plans -------------------------------------------------------------------------------------- */

static bool read_claim(struct sim *sim, const char *key, struct sim_claim *claim)
{
	json_t *json = sim_json_read(sim, key);
	const char *job = json_string_value(json_object_get(json, "job"));
	claim->plan = (uint64_t)json_integer_value(json_object_get(json, "plan"));
	for (claim->job = 0; claim->job < SIM_JOBS; claim->job++)
		if (job != NULL && strcmp(job, sim_job_id(claim->job)) == 0) break;
	json_decref(json);
	return claim->job < SIM_JOBS;
}

static void saw_claim(struct sim *sim, uint64_t k, const char *key)
{
	struct sim_oracle *oracle = sim->oracle;
	struct sim_claim claim;
	if (!read_claim(sim, key, &claim)) {
		sim_violation(sim, "claim %" PRIu64 " is gone, or names no job", k);
		return;
	}
	if (k <= oracle->claim_count) { /* only a store that lies lets that happen */
		oracle->claims[k - 1] = claim;
		sim_check_readers(sim);
		return;
	}
	if (k != oracle->claim_count + 1) {
		sim_violation(sim, "claim %" PRIu64 " follows claim %zu", k, oracle->claim_count);
		return;
	}
	const struct sim_claim *last = k > 1 ? &oracle->claims[k - 2] : NULL;
	if (last != NULL && sim_commit_find(oracle, last->job, last->plan) == NULL &&
	    !sim_plan_closed(oracle, last->job, last->plan))
		sim_violation(sim, "plan %s/%" PRIu64 " is claimed before plan %s/%" PRIu64 " is settled",
		              sim_job_id(claim.job), claim.plan, sim_job_id(last->job), last->plan);
	oracle->claims = sim_grow(oracle->claims, &oracle->claim_room, oracle->claim_count, sizeof claim);
	oracle->claims[oracle->claim_count++] = claim;
	sim_check_readers(sim);
}

/* Rejected records of a unit, as its manifest has them; UINT64_MAX: there is none. */
static uint64_t rejected_in(struct sim *sim, unsigned job, uint64_t plan, unsigned unit)
{
	char key[SIM_KEY_ROOM], suffix[32];
	uint64_t sum = 0;
	(void)snprintf(suffix, sizeof suffix, "/%05u.json", unit);
	sim_state_key(key, job, "work", plan, suffix);
	json_t *json = sim_json_read(sim, key);
	if (json == NULL) return UINT64_MAX;
	const json_t *objects = json_object_get(json, "objects");
	for (size_t i = 0; i < json_array_size(objects); i++)
		sum += (uint64_t)json_integer_value(
		    json_object_get(json_object_get(json_array_get(objects, i), "balance"), "quarantined"));
	json_decref(json);
	return sum;
}

void sim_oracle_check_claim(struct sim_runner *runner, const char *key)
{
	struct sim *sim = runner->sim;
	struct sim_claim claim;
	uint64_t k, sum = 0, more;
	if (!runner->strict || !is_numbered(key, "_gristmill/claims/", ".json", &k) || !read_claim(sim, key, &claim))
		return;
	for (unsigned unit = 0; (more = rejected_in(sim, claim.job, claim.plan, unit)) != UINT64_MAX; unit++) sum += more;
	if (sum > runner->options.quarantine_records)
		sim_violation(sim,
		              "plan %s/%" PRIu64 " is claimed by one who allows fewer than the %" PRIu64 " rejected records",
		              sim_job_id(claim.job), claim.plan, sum);
}

static void saw_closed(struct sim *sim, unsigned job, uint64_t plan, const char *key)
{
	struct sim_oracle *oracle = sim->oracle;
	if (!sim_exists(sim, key)) {
		sim_violation(sim, "%s is removed", key);
		return;
	}
	if (sim_commit_find(oracle, job, plan) != NULL)
		sim_violation(sim, "plan %s/%" PRIu64 " is closed, and committed", sim_job_id(job), plan);
	if (sim_plan_number(sim, job, plan, "parent") >= oracle->head[job])
		sim_violation(sim, "plan %s/%" PRIu64 " is closed, and not dead", sim_job_id(job), plan);
	oracle->closed = sim_grow(oracle->closed, &oracle->closed_room, oracle->closed_count, sizeof *oracle->closed);
	oracle->closed[oracle->closed_count++] = (struct sim_closed){job, plan};
	sim->counts.dead_plans++;
	sim_check_readers(sim);
}

void sim_oracle_saw(struct sim *sim, const char *key)
{
	unsigned job;
	uint64_t n;
	if (sim_is_data(key)) {
		saw_data(sim, key);
	} else if (is_numbered(key, "_delta_log/", ".json", &n)) {
		sim_commit_saw(sim, (int64_t)n, key);
	} else if (is_numbered(key, "_delta_log/", ".checkpoint.parquet", &n)) {
		sim_checkpoint_saw(sim, (int64_t)n, key);
	} else if (is_numbered(key, "_gristmill/claims/", ".json", &n)) {
		saw_claim(sim, n, key);
	} else if (sim_is_state(key, "plans", ".closed", &job, &n)) {
		saw_closed(sim, job, n, key);
	} else if (sim_is_state(key, "plans", ".json", &job, &n)) {
		if (!sim_exists(sim, key)) sim_violation(sim, "%s is removed", key);
		if (n > sim->newest_plan[job]) sim->newest_plan[job] = n;
	} else if (sim_is_state(key, "runs", ".json.zst", &job, &n)) {
		if (!sim_exists(sim, key)) sim_violation(sim, "%s is removed", key);
	} else if (sim_is_state(key, "bookmark", "", &job, &n)) {
		if (sim_commit_find(sim->oracle, job, n) == NULL) sim_violation(sim, "%s is of no committed run", key);
	}
}

/* --- The end ------------------------------------------------------------------------------------------------------ */

static bool is_manifest(const char *key)
{
	size_t n = strlen(key);
	return n > 5 && strcmp(key + n - 5, ".json") == 0;
}

/* A plan of another engine or edition may be unfinished for good, until the job's next commit makes it dead. */
static bool is_alive(struct sim *sim, unsigned job, uint64_t plan)
{
	return sim_commit_find(sim->oracle, job, plan) == NULL &&
	       sim_plan_number(sim, job, plan, "parent") == sim->oracle->head[job];
}

/* What lies below a job's oldest bookmark is swept when the next bookmark is written, not by every run. Keys come in
 * order: bookmarks before plans and work folders. */
struct check {
	struct sim *sim;
	uint64_t oldest[SIM_JOBS]; /* bookmarks; 0: none */
};

static enum gm_code check_key(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct check *check = context;
	struct sim *sim = check->sim;
	const struct sim_oracle *oracle = sim->oracle;
	unsigned job;
	uint64_t n;
	(void)err;
	if (sim_is_state(info->key, "bookmark", "", &job, &n)) {
		if (check->oldest[job] == 0) check->oldest[job] = n;
		return GM_OK;
	}
	if (sim_is_data(info->key)) {
		const struct sim_file *file = sim_file_find(sim->oracle, info->key);
		/* What is old may be anything, and is left alone. */
		bool left_alone = file != NULL && file->job == SIM_JOBS && sim->scenario.old;
		if (file == NULL || (!file->committed && !left_alone)) sim_violation(sim, "%s is stray", info->key);
	} else if (sim_is_state(info->key, "work", NULL, &job, &n)) {
		if (n < check->oldest[job]) return GM_OK;
		if (!is_manifest(info->key) && !is_alive(sim, job, n)) sim_violation(sim, "%s is left over", info->key);
	} else if (sim_is_state(info->key, "plans", ".json", &job, &n)) {
		if (n < check->oldest[job]) return GM_OK;
		if (sim_commit_find(oracle, job, n) == NULL && !sim_plan_closed(oracle, job, n) && !is_alive(sim, job, n))
			sim_violation(sim, "plan %s/%" PRIu64 " is dead, and not closed", sim_job_id(job), n);
	} else if (sim_is_state(info->key, "quarantine", NULL, &job, &n)) {
		for (size_t i = 0; i < oracle->named_count; i++)
			if (strcmp(oracle->named[i], info->key) == 0) return GM_OK;
		sim_violation(sim, "%s is stray", info->key);
	}
	return GM_OK;
}

/* Is the object known to the job, in this content or, where changes are ignored, in another? */
static bool is_known(const struct sim *sim, unsigned job, size_t object)
{
	const struct sim_object *objects = sim->objects;
	if (sim->oracle->known[job][object]) return true;
	for (size_t i = 0; sim->scenario.on_change == GM_ON_CHANGE_IGNORE && i < sim->object_count; i++)
		if (sim->oracle->known[job][i] && objects[i].source == objects[object].source &&
		    strcmp(objects[i].key, objects[object].key) == 0)
			return true;
	return false;
}

static void check_rows(struct sim *sim, const struct sim_object *object)
{
	char row[32];
	for (unsigned k = 0; k < object->row_count; k++) {
		unsigned shown = sim->oracle->shown[object->rows[k].row];
		sim_row_name(object->rows[k].row, row);
		if (shown != 1 && !sim->oracle->deleted[object->rows[k].row])
			sim_violation(sim, "%s of %s is in %u files", row, object->key, shown);
	}
}

static void check_objects(struct sim *sim, unsigned job)
{
	for (size_t i = 0; i < sim->object_count; i++) {
		const struct sim_object *object = &sim->objects[i];
		if (!object->present || object->source != sim_source_of(sim, job)) continue;
		if (!is_known(sim, job, i)) sim_violation(sim, "job %s never processed %s", sim_job_id(job), object->key);
		if (sim->oracle->known[job][i]) check_rows(sim, object);
	}
}

void sim_oracle_end(struct sim *sim)
{
	struct gm_error err;
	const struct sim_oracle *oracle = sim->oracle;
	struct check check = {.sim = sim};
	const struct sim_claim *last = oracle->claim_count > 0 ? &oracle->claims[oracle->claim_count - 1] : NULL;
	if (last != NULL && sim_commit_find(oracle, last->job, last->plan) == NULL &&
	    !sim_plan_closed(oracle, last->job, last->plan))
		sim_violation(sim, "plan %s/%" PRIu64 " is claimed, and nobody settles it", sim_job_id(last->job), last->plan);
	for (unsigned job = 0; job < sim->scenario.jobs; job++) {
		bool adopts = sim->scenario.shared == SIM_SHARED_ADOPTED && job == 1;
		if (!adopts || oracle->head[0] != 0) check_objects(sim, job); /* else there is nothing to adopt */
	}
	if (gm_store_list(sim->table, "", check_key, &check, &err) != GM_OK)
		sim_violation(sim, "the table cannot be listed");
}
