/* commits.c - what must be true of a commit: a new version of the Delta log, read with jansson alone.
 *
 * Versions follow one another and never change. A commit moves its job's transaction from the plan's parent to the
 * plan, and the claims' transaction forward. Its books are those of the run, hash and all; they name inputs that
 * existed, each once in the job's life, and the numbers that follow from what these hold. Its files are there, and hold
 * the rows that are new in the inputs, no others. */
#include "sim/oracle.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* What a commit says. */
struct entry {
	json_t *info, *metadata, *adds; /* metadata NULL: unchanged; adds: an array */
	uint64_t txn[SIM_JOBS], claim;
	bool has_txn[SIM_JOBS];
	json_t *removes; /* an array, too */
};

/* --- Reading ------------------------------------------------------------------------------------------------------ */

static void read_txn(const json_t *txn, struct entry *entry)
{
	char app[64];
	const char *id = json_string_value(json_object_get(txn, "appId"));
	uint64_t version = (uint64_t)json_integer_value(json_object_get(txn, "version"));
	if (id == NULL) return;
	if (strcmp(id, "gristmill") == 0) entry->claim = version;
	for (unsigned job = 0; job < SIM_JOBS; job++) {
		(void)snprintf(app, sizeof app, "gristmill/%s", sim_job_id(job));
		if (strcmp(id, app) != 0) continue;
		entry->txn[job] = version;
		entry->has_txn[job] = true;
	}
}

static void read_action(json_t *action, struct entry *entry)
{
	json_t *part;
	if ((part = json_object_get(action, "commitInfo")) != NULL) entry->info = json_incref(part);
	if ((part = json_object_get(action, "metaData")) != NULL) entry->metadata = json_incref(part);
	if ((part = json_object_get(action, "add")) != NULL) (void)json_array_append(entry->adds, part);
	if ((part = json_object_get(action, "txn")) != NULL) read_txn(part, entry);
	if ((part = json_object_get(action, "remove")) != NULL) (void)json_array_append(entry->removes, part);
}

static void entry_release(struct entry *entry)
{
	json_decref(entry->info);
	json_decref(entry->metadata);
	json_decref(entry->adds);
	json_decref(entry->removes);
}

static bool read_entry(struct sim *sim, const char *key, struct entry *entry)
{
	struct gm_buf bytes;
	json_error_t problem;
	bool good = true;
	*entry = (struct entry){.adds = json_array(), .removes = json_array()};
	if (!sim_object_bytes(sim->table, key, &bytes)) good = false;
	for (size_t at = 0; good && at < bytes.len;) {
		const char *line = (const char *)bytes.data + at, *end = memchr(line, '\n', bytes.len - at);
		size_t length = end != NULL ? (size_t)(end - line) : bytes.len - at;
		json_t *action = json_loadb(line, length, 0, &problem);
		good = action != NULL;
		if (good) read_action(action, entry);
		json_decref(action);
		at += length + 1;
	}
	gm_buf_release(&bytes);
	if (!good || entry->info == NULL) {
		sim_violation(sim, "%s cannot be read", key);
		entry_release(entry);
		return false;
	}
	return true;
}

static const char *parameter(const struct entry *entry, const char *name)
{
	const char *text = json_string_value(json_object_get(json_object_get(entry->info, "operationParameters"), name));
	return text != NULL ? text : "";
}

static uint64_t metric(const struct entry *entry, const char *name)
{
	const char *text = json_string_value(json_object_get(json_object_get(entry->info, "operationMetrics"), name));
	return text != NULL ? strtoull(text, NULL, 10) : UINT64_MAX;
}

/* --- Rows --------------------------------------------------------------------------------------------------------- */

/* What the rows of an object come to, given what the table and the inputs before it hold. New ones get true in
 * fresh. */
static struct sim_books_input take_rows(struct sim_oracle *oracle, const struct sim_object *object,
                                        bool fresh[SIM_ROWS])
{
	struct sim_books_input sums = {
	    .object = object, .read = object->row_count + object->bad, .quarantined = object->bad};
	for (unsigned k = 0; k < object->row_count; k++) {
		uint16_t row = object->rows[k].row;
		if (oracle->held[row]) {
			sums.duplicates++;
			sums.conflicts += oracle->other[row] != object->rows[k].other;
			continue;
		}
		oracle->held[row] = fresh[row] = true;
		oracle->other[row] = object->rows[k].other;
		sums.written++;
	}
	return sums;
}

/* The bookmark: an object is processed once, unless it was forgotten; again with other content only if that is
 * wanted. */
static void note_processed(struct sim *sim, unsigned job, uint64_t run, const struct sim_object *object)
{
	bool *known = sim->oracle->known[job];
	for (size_t i = 0; i < sim->object_count; i++) {
		const struct sim_object *each = &sim->objects[i];
		if (!known[i] || each->source != object->source || strcmp(each->key, object->key) != 0) continue;
		if (each == object || sim->scenario.on_change != GM_ON_CHANGE_REPROCESS)
			sim_violation(sim, "%s is processed by run %s/%" PRIu64 ", and was before", object->key, sim_job_id(job),
			              run);
		known[i] = false;
	}
	known[object - sim->objects] = true;
}

static void check_inputs(struct sim *sim, unsigned job, const struct sim_books *books, bool fresh[SIM_ROWS])
{
	for (size_t i = 0; i < books->input_count; i++) {
		const struct sim_books_input *input = &books->inputs[i];
		note_processed(sim, job, books->run, input->object);
		struct sim_books_input sums = take_rows(sim->oracle, input->object, fresh);
		if (input->read == sums.read && input->written == sums.written && input->duplicates == sums.duplicates &&
		    input->conflicts == sums.conflicts && input->quarantined == sums.quarantined && input->filtered == 0)
			continue;
		sim_violation(sim,
		              "run %s/%" PRIu64 ", %s: the books say read %" PRIu64 ", written %" PRIu64 ", duplicates %" PRIu64
		              ", conflicts %" PRIu64 ", quarantined %" PRIu64 "; it holds %" PRIu64 " records, %" PRIu64
		              " new rows, %" PRIu64 " duplicates, %" PRIu64 " conflicts and %" PRIu64 " bad ones",
		              sim_job_id(job), books->run, input->object->key, input->read, input->written, input->duplicates,
		              input->conflicts, input->quarantined, sums.read, sums.written, sums.duplicates, sums.conflicts,
		              sums.quarantined);
	}
}

static void check_row(struct sim *sim, const char *path, struct sim_row row, bool fresh[SIM_ROWS])
{
	char name[32];
	sim_row_name(row.row, name);
	if (!fresh[row.row])
		sim_violation(sim, "%s holds %s, which is none of its run's", path, name);
	else if (row.other != sim->oracle->other[row.row])
		sim_violation(sim, "%s holds %s as another record has it than the first", path, name);
	fresh[row.row] = false;
}

static void check_data_file(struct sim *sim, const struct sim_books *books, const struct sim_books_file *named,
                            bool fresh[SIM_ROWS])
{
	char hash[40];
	struct sim_file *file = sim_file_find(sim->oracle, named->path);
	if (file == NULL) {
		sim_violation(sim, "%s is committed and not there", named->path);
		return;
	}
	(void)snprintf(hash, sizeof hash, "%016" PRIx64 "%016" PRIx64, (uint64_t)file->hash.high64,
	               (uint64_t)file->hash.low64);
	if (file->bytes != named->bytes || strcmp(hash, named->hash) != 0)
		sim_violation(sim, "%s is not what its books say", named->path);
	if (file->row_count != named->rows)
		sim_violation(sim, "%s holds %zu keys in %" PRIu64 " rows", named->path, file->row_count, named->rows);
	if (file->twice && !sim->oracle->twice) sim_violation(sim, "%s has a column that the table has not", named->path);
	if (strcmp(file->engine, books->engine) != 0 || strcmp(file->job_hash, books->job_hash) != 0)
		sim_violation(sim, "%s was made by another engine or edition than its plan", named->path);
	for (size_t i = 0; i < file->row_count; i++) check_row(sim, named->path, file->rows[i], fresh);
	file->committed = true;
	file->version = (int64_t)sim->oracle->commit_count - 1;
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
		if (sim_is_data(books->files[i].path)) {
			check_data_file(sim, books, &books->files[i], fresh);
			continue;
		}
		remember_name(sim->oracle, books->files[i].path);
		if (!sim_exists(sim, books->files[i].path))
			sim_violation(sim, "%s is committed and not there", books->files[i].path);
	}
	for (unsigned i = 0; i < SIM_ROWS; i++) {
		if (!fresh[i]) continue;
		sim_row_name(i, row);
		sim_violation(sim, "run %" PRIu64 " lost %s", books->run, row);
	}
}

/* --- The entry ---------------------------------------------------------------------------------------------------- */

static void decode(const char *escaped, char path[SIM_KEY_ROOM])
{
	size_t n = 0;
	for (const char *c = escaped; *c != '\0' && n + 1 < SIM_KEY_ROOM; c++) {
		char hex[3] = {0};
		if (*c == '%' && c[1] != '\0' && c[2] != '\0') {
			memcpy(hex, c + 1, 2);
			path[n++] = (char)strtoul(hex, NULL, 16);
			c += 2;
		} else {
			path[n++] = *c;
		}
	}
	path[n] = '\0';
}

static const struct sim_books_file *find_named(const struct sim_books *books, const char *path)
{
	for (size_t i = 0; i < books->file_count; i++)
		if (strcmp(books->files[i].path, path) == 0) return &books->files[i];
	return NULL;
}

/* Path, size and rows of an add, whose partition is that of its path; rows UINT64_MAX if not. */
static struct sim_books_file describe_add(const json_t *add, char path[SIM_KEY_ROOM])
{
	char folder[64];
	json_error_t problem;
	const char *escaped = json_string_value(json_object_get(add, "path"));
	const char *stats = json_string_value(json_object_get(add, "stats"));
	const char *part = json_string_value(json_object_get(json_object_get(add, "partitionValues"), "part"));
	struct sim_books_file file = {.bytes = (uint64_t)json_integer_value(json_object_get(add, "size"))};
	json_t *parsed = json_loads(stats != NULL ? stats : "", 0, &problem);
	file.rows = (uint64_t)json_integer_value(json_object_get(parsed, "numRecords"));
	json_decref(parsed);
	decode(escaped != NULL ? escaped : "", path);
	(void)snprintf(folder, sizeof folder, "part=%s/", part != NULL ? part : "");
	if (strncmp(path, folder, strlen(folder)) != 0) file.rows = UINT64_MAX;
	return file;
}

/* The adds are the data files of the books, in the partition that their path says, with their size and rows. */
static void check_adds(struct sim *sim, const struct entry *entry, const struct sim_books *books)
{
	size_t data = 0;
	for (size_t i = 0; i < books->file_count; i++) data += sim_is_data(books->files[i].path);
	if (json_array_size(entry->adds) != data)
		sim_violation(sim, "run %" PRIu64 " adds %zu files; its books name %zu", books->run,
		              json_array_size(entry->adds), data);
	for (size_t i = 0; i < json_array_size(entry->adds); i++) {
		char path[SIM_KEY_ROOM];
		struct sim_books_file add = describe_add(json_array_get(entry->adds, i), path);
		const struct sim_books_file *named = find_named(books, path);
		if (named == NULL || add.bytes != named->bytes || add.rows != named->rows)
			sim_violation(sim, "run %" PRIu64 " adds %s otherwise than its books say", books->run, path);
	}
}

static void check_totals(struct sim *sim, const struct entry *entry, const struct sim_books *books)
{
	uint64_t read = 0, written = 0, duplicates = 0, quarantined = 0;
	for (size_t i = 0; i < books->input_count; i++) {
		read += books->inputs[i].read;
		written += books->inputs[i].written;
		duplicates += books->inputs[i].duplicates;
		quarantined += books->inputs[i].quarantined;
	}
	if (metric(entry, "recordsRead") != read || metric(entry, "numOutputRows") != written ||
	    metric(entry, "duplicates") != duplicates || metric(entry, "quarantined") != quarantined ||
	    metric(entry, "objects") != books->input_count || read != written + duplicates + quarantined)
		sim_violation(sim, "the totals of run %" PRIu64 " do not add up", books->run);
}

static void check_run(struct sim *sim, unsigned job, uint64_t run, const struct entry *entry)
{
	struct sim_oracle *oracle = sim->oracle;
	struct sim_books books;
	bool fresh[SIM_ROWS] = {false};
	char key[SIM_KEY_ROOM];
	sim_state_key(key, job, "runs", run, ".json.zst");
	if (!sim_books_read(sim, job, key, &books)) return;
	if (books.run != run || strcmp(books.own_hash, parameter(entry, "books")) != 0)
		sim_violation(sim, "the books of run %s/%" PRIu64 " are not those that its commit names", sim_job_id(job), run);
	if (entry->claim <= oracle->claim_committed || entry->claim > oracle->claim_count ||
	    oracle->claims[entry->claim - 1].job != job || oracle->claims[entry->claim - 1].plan != run)
		sim_violation(sim, "run %s/%" PRIu64 " is committed under claim %" PRIu64 ", which is not its own",
		              sim_job_id(job), run, entry->claim);
	oracle->claim_committed = entry->claim;
	check_inputs(sim, job, &books, fresh);
	check_files(sim, &books, fresh);
	check_adds(sim, entry, &books);
	check_totals(sim, entry, &books);
	sim_books_release(&books);
}

static struct sim_commit *add_commit(struct sim_oracle *oracle, struct sim_commit commit)
{
	commit.version = (int64_t)oracle->commit_count;
	oracle->commits = sim_grow(oracle->commits, &oracle->commit_room, oracle->commit_count, sizeof commit);
	oracle->commits[oracle->commit_count] = commit;
	return &oracle->commits[oracle->commit_count++];
}

/* --- Changes of the bookmark -------------------------------------------------------------------------------------- */

static json_t *read_plan(struct sim *sim, unsigned job, uint64_t plan)
{
	char key[SIM_KEY_ROOM];
	sim_state_key(key, job, "plans", plan, ".json");
	json_t *json = sim_json_read(sim, key);
	if (json == NULL) sim_violation(sim, "%s is not there", key);
	return json;
}

static void rewind_to(const struct sim *sim, bool known[SIM_OBJECTS], int64_t to_us)
{
	for (size_t i = 0; i < sim->object_count; i++)
		if (sim->objects[i].mtime_us > to_us) known[i] = false;
}

static void forget(const struct sim *sim, bool known[SIM_OBJECTS], const json_t *keys)
{
	for (size_t k = 0; k < json_array_size(keys); k++) {
		const char *key = json_string_value(json_array_get(keys, k));
		for (size_t i = 0; i < sim->object_count; i++)
			if (key != NULL && strcmp(sim->objects[i].key, key) == 0) known[i] = false;
	}
}

/* The first job's bookmark as it was after that run. */
static void adopt(struct sim *sim, bool known[SIM_OBJECTS], uint64_t run)
{
	const struct sim_commit *commit = sim_commit_find(sim->oracle, 0, run);
	if (commit == NULL) {
		sim_violation(sim, "run %" PRIu64 " is adopted, which was never committed", run);
		return;
	}
	for (size_t i = 0; i < SIM_OBJECTS; i++) known[i] |= commit->known[i];
}

/* Files of others become the table's: their rows are held from now on, and may come again. */
static void import(struct sim *sim, uint64_t run, const struct entry *entry)
{
	struct sim_oracle *oracle = sim->oracle;
	for (size_t i = 0; i < json_array_size(entry->adds); i++) {
		char path[SIM_KEY_ROOM];
		const json_t *add = json_array_get(entry->adds, i);
		struct sim_books_file named = describe_add(add, path);
		struct sim_file *file = sim_file_find(oracle, path);
		if (file == NULL || file->job != SIM_JOBS || file->bytes != named.bytes || file->row_count != named.rows) {
			sim_violation(sim, "run %" PRIu64 " imports %s, which is not there, or otherwise", run, path);
			continue;
		}
		for (size_t k = 0; k < file->row_count; k++) {
			oracle->held[file->rows[k].row] = true;
			oracle->other[file->rows[k].row] = file->rows[k].other;
			sim->apart[file->rows[k].row / SIM_PARTS] = false;
		}
		if (!file->committed) file->version = (int64_t)oracle->commit_count - 1;
		file->committed = true;
	}
}

static void check_change(struct sim *sim, unsigned job, uint64_t run, const struct entry *entry, const char *operation)
{
	bool *known = sim->oracle->known[job];
	json_t *plan = read_plan(sim, job, run);
	if (strcmp(operation, "gristmill rewind") == 0)
		rewind_to(sim, known, json_integer_value(json_object_get(plan, "to_us")));
	else if (strcmp(operation, "gristmill forget") == 0)
		forget(sim, known, json_object_get(plan, "keys"));
	else if (strcmp(operation, "gristmill adopt") == 0)
		adopt(sim, known, (uint64_t)json_integer_value(json_object_get(plan, "ends")));
	else if (strcmp(operation, "gristmill import") == 0)
		import(sim, run, entry);
	else if (strcmp(operation, "gristmill end") != 0)
		sim_violation(sim, "run %s/%" PRIu64 " is the unknown operation %s", sim_job_id(job), run, operation);
	if ((json_array_size(entry->adds) > 0 && strcmp(operation, "gristmill import") != 0) || entry->claim != 0)
		sim_violation(sim, "run %s/%" PRIu64 " changes the state alone, and adds files", sim_job_id(job), run);
	json_decref(plan);
}

/* --- Commits ------------------------------------------------------------------------------------------------------ */

static void check_commit(struct sim *sim, int64_t version, unsigned job, const struct entry *entry)
{
	struct sim_oracle *oracle = sim->oracle;
	uint64_t run = entry->txn[job], parent = sim_plan_number(sim, job, run, "parent");
	const char *operation = json_string_value(json_object_get(entry->info, "operation"));
	bool empty = operation == NULL || strcmp(operation, "WRITE") != 0;
	if (run <= oracle->head[job] || parent != oracle->head[job])
		sim_violation(sim,
		              "version %" PRId64 " commits plan %s/%" PRIu64 " with the parent %" PRIu64 " after plan %" PRIu64,
		              version, sim_job_id(job), run, parent, oracle->head[job]);
	if (sim_plan_closed(oracle, job, run))
		sim_violation(sim, "plan %s/%" PRIu64 " is committed, and closed", sim_job_id(job), run);
	if (json_array_size(entry->removes) > 0) sim_violation(sim, "version %" PRId64 " removes files", version);
	struct sim_commit *commit =
	    add_commit(oracle, (struct sim_commit){.job = job, .run = run, .parent = parent, .empty = empty});
	oracle->head[job] = run;
	if (empty)
		check_change(sim, job, run, entry, operation != NULL ? operation : "");
	else
		check_run(sim, job, run, entry);
	memcpy(commit->known, oracle->known[job], sizeof commit->known);
	sim_check_readers(sim);
}

static void take_away(struct sim *sim, const json_t *remove)
{
	struct sim_oracle *oracle = sim->oracle;
	const char *path = json_string_value(json_object_get(remove, "path"));
	struct sim_file *file = sim_file_find(oracle, path);
	file->removed = true;
	file->removed_at = (int64_t)oracle->commit_count - 1;
	for (size_t i = 0; i < file->row_count; i++) {
		oracle->held[file->rows[i].row] = false;
		oracle->deleted[file->rows[i].row] = true;
	}
}

/* They made the table, or add or remove a file. */
static void commit_of_others(struct sim *sim, const struct entry *entry)
{
	(void)add_commit(sim->oracle, (struct sim_commit){.job = SIM_JOBS, .empty = true});
	import(sim, 0, entry);
	for (size_t i = 0; i < json_array_size(entry->removes); i++) take_away(sim, json_array_get(entry->removes, i));
}

/* Columns come, and never go. */
static void check_columns(struct sim *sim, int64_t version, const struct entry *entry)
{
	static const char *const always[] = {"k", "p", "n", "part"};
	const char *schema = json_string_value(json_object_get(entry->metadata, "schemaString"));
	if (entry->metadata == NULL) return;
	bool lacks = schema == NULL, twice = schema != NULL && strstr(schema, "\"twice\"") != NULL;
	for (size_t i = 0; !lacks && i < sizeof always / sizeof always[0]; i++) {
		char name[16];
		(void)snprintf(name, sizeof name, "\"%s\"", always[i]);
		lacks = strstr(schema, name) == NULL;
	}
	if (lacks || (sim->oracle->twice && !twice)) sim_violation(sim, "version %" PRId64 " takes columns away", version);
	sim->oracle->twice = twice;
}

static void new_version(struct sim *sim, int64_t version, const char *key)
{
	struct entry entry;
	size_t jobs = 0;
	if (!read_entry(sim, key, &entry)) return;
	check_columns(sim, version, &entry);
	for (unsigned job = 0; job < SIM_JOBS; job++) {
		if (!entry.has_txn[job]) continue;
		check_commit(sim, version, job, &entry);
		jobs++;
	}
	if (jobs == 0)
		commit_of_others(sim, &entry);
	else if (jobs != 1)
		sim_violation(sim, "version %" PRId64 " is of %zu jobs", version, jobs);
	entry_release(&entry);
}

/* --- Versions ----------------------------------------------------------------------------------------------------- */

/* An entry of the past. It may be removed when it is old, once there is a checkpoint behind it. Then its name is free:
 * who slept all the while may put a commit there, and must find out that it is none. */
static void old_version(struct sim *sim, int64_t version, const char *key)
{
	struct sim_commit *commit = &sim->oracle->commits[version];
	bool there = sim_exists(sim, key);
	sim->counts.ghosts += there;
	if (there && !commit->cleaned) sim_violation(sim, "version %" PRId64 " is replaced", version);
	if (!there && version >= sim->oracle->checkpoint)
		sim_violation(sim, "version %" PRId64 " is removed; the newest checkpoint is of %" PRId64, version,
		              sim->oracle->checkpoint);
	sim->counts.cleaned += !there && !commit->cleaned;
	if (!there) commit->cleaned = true;
}

void sim_commit_saw(struct sim *sim, int64_t version, const char *key)
{
	int64_t next = (int64_t)sim->oracle->commit_count;
	if (version == next)
		new_version(sim, version, key);
	else if (version < next)
		old_version(sim, version, key);
	else
		sim_violation(sim, "version %" PRId64 " follows version %" PRId64, version, next - 1);
}

void sim_checkpoint_saw(struct sim *sim, int64_t version, const char *key)
{
	struct sim_oracle *oracle = sim->oracle;
	bool there = sim_exists(sim, key);
	if (version >= (int64_t)oracle->commit_count)
		sim_violation(sim, "version %" PRId64 " has a checkpoint, and is not committed", version);
	sim->counts.cleaned += !there;
	if (!there && version >= oracle->checkpoint)
		sim_violation(sim, "the newest checkpoint, of version %" PRId64 ", is removed", version);
	if (there && version > oracle->checkpoint) {
		oracle->checkpoint = version;
		sim->counts.checkpoints++;
	}
}
