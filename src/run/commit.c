#include "run/commit.h"

#include "base/time.h"

#include <inttypes.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { LOST_ANSWERS = 4 }; /* puts whose answer did not come, before giving up */

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for a commit");
}

/* --- Partitions of ours ------------------------------------------------------------------------------------------- */

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_ours(const struct gm_commit *commit, const char *partition)
{
	return partition == NULL || bsearch(&partition, commit->partitions, commit->partition_count,
	                                    sizeof *commit->partitions, compare_texts) != NULL;
}

/* Or does it change the state alone? */
static bool has_files(const struct gm_plan *plan)
{
	return plan->unit_count > 0 || plan->kind == GM_PLAN_IMPORT;
}

enum gm_code gm_commit_init(struct gm_commit *commit, struct gm_error *err)
{
	size_t total = 0, count = 0;
	/* What changes the state alone is at odds with nothing, and must go through also when the entries that came after
	 * the plan that it ends have been cleaned away. */
	commit->checked = has_files(commit->plan) ? commit->plan->version : commit->tip->version;
	for (size_t i = 0; i < commit->plan->unit_count; i++) total += commit->manifests[i].partition_count;
	commit->partitions = malloc((total + 1) * sizeof *commit->partitions);
	if (commit->partitions == NULL) return out_of_memory(err);
	for (size_t i = 0; i < commit->plan->unit_count; i++)
		for (size_t k = 0; k < commit->manifests[i].partition_count; k++)
			commit->partitions[count++] = commit->manifests[i].partitions[k];
	if (count > 1) qsort(commit->partitions, count, sizeof *commit->partitions, compare_texts);
	commit->partition_count = count;
	return GM_OK;
}

void gm_commit_release(struct gm_commit *commit)
{
	free(commit->partitions);
	commit->partitions = NULL;
	gm_commit_forget_keys(commit);
}

/* --- What came in between ----------------------------------------------------------------------------------------- */

static enum gm_code at_odds(const struct gm_delta_entry *entry, const char *what, const char *object,
                            struct gm_error *err)
{
	(void)gm_error_set(err, GM_CHANGED, "version %" PRId64 " of the table, committed meanwhile, %s", entry->version,
	                   what);
	return object != NULL ? gm_error_object(err, GM_CHANGED, object, strlen(object)) : GM_CHANGED;
}

static int compare_path(const void *path, const void *file)
{
	return strcmp(path, ((const struct gm_delta_file *)file)->path);
}

static bool is_import(const struct gm_plan *plan, const char *path)
{
	return bsearch(path, plan->imports, plan->import_count, sizeof *plan->imports, compare_path) != NULL;
}

/* Files that were found to be unknown to the log: others may have added them since, and even removed them again. */
static enum gm_code compare_imports(const struct gm_plan *plan, const struct gm_delta_entry *entry,
                                    struct gm_error *err)
{
	for (size_t i = 0; i < entry->add_count; i++)
		if (is_import(plan, entry->adds[i].path))
			return at_odds(entry, "adds a file that was to be imported", entry->adds[i].path, err);
	for (size_t i = 0; i < entry->remove_count; i++)
		if (is_import(plan, entry->removes[i].path))
			return at_odds(entry, "removes a file that was to be imported", entry->removes[i].path, err);
	return GM_OK;
}

static enum gm_code compare_entry(void *context, const struct gm_delta_entry *entry, struct gm_error *err)
{
	struct gm_commit *commit = context;
	const struct gm_plan *plan = commit->plan;
	if (entry->version <= commit->checked) return GM_OK;
	if (gm_tip_head(commit->tip, commit->job_id) != plan->parent)
		return GM_OK; /* decided: ours, or another of our job */
	if (plan->kind == GM_PLAN_IMPORT) return compare_imports(plan, entry, err);
	if (entry->metadata || entry->protocol) return at_odds(entry, "changes its columns or protocol", NULL, err);
	if (plan->unique_count == 0) return GM_OK;
	for (size_t i = 0; i < entry->remove_count; i++)
		if (is_ours(commit, entry->removes[i].partition))
			return at_odds(entry, "removes a file that ours were compared with", entry->removes[i].path, err);
	for (size_t i = 0; i < entry->add_count; i++) {
		const struct gm_delta_file *file = &entry->adds[i];
		bool overlaps = false;
		if (!is_ours(commit, file->partition)) continue;
		GM_TRY(gm_commit_overlaps(commit, file, &overlaps, err));
		if (overlaps) return at_odds(entry, "holds a key of ours", file->path, err);
	}
	commit->checked = entry->version;
	return GM_OK;
}

enum gm_code gm_commit_check(struct gm_commit *commit, struct gm_error *err)
{
	const struct gm_plan *plan = commit->plan;
	struct gm_error odds;
	enum gm_plan_state state;
	int64_t first = commit->checked < commit->tip->version ? commit->checked : commit->tip->version;
	/* A plan without units and files has nothing that could be at odds with anything, and may be the end of one whose
	 * version is long gone. */
	enum gm_code compared = has_files(plan) ? gm_tip_read(commit->tip, first + 1, compare_entry, commit, &odds)
	                                        : gm_tip_advance(commit->tip, &odds);
	if (compared != GM_OK && compared != GM_CHANGED) {
		*err = odds;
		return compared;
	}
	/* What is committed stays so, whatever else came: asked first. An entry at odds ends the reading early, so read on.
	 */
	if (compared == GM_CHANGED && gm_tip_advance(commit->tip, err) == GM_NOMEM) return GM_NOMEM;
	uint64_t head = gm_tip_head(commit->tip, commit->job_id);
	GM_TRY(gm_plan_state(commit->table, commit->layout, head, plan->number, plan->parent, &state, err));
	if (state == GM_PLAN_COMMITTED) GM_FAIL(err, GM_EXISTS, "run %" PRIu64 " is committed", plan->number);
	if (state == GM_PLAN_AHEAD) return gm_history_forgotten(commit->job_id, plan->parent, err);
	if (state == GM_PLAN_DEAD)
		GM_FAIL(err, GM_LOST, "another run was committed in place of run %" PRIu64, plan->number);
	if (compared == GM_OK) commit->checked = commit->tip->version;
	if (compared != GM_OK) *err = odds;
	return compared;
}

/* --- Books -------------------------------------------------------------------------------------------------------- */

static json_t *inputs_json(const struct gm_plan *plan, const struct gm_manifest *manifests)
{
	json_t *list = json_array();
	const struct gm_input *input = plan->inputs;
	for (size_t i = 0; i < plan->unit_count; i++) {
		for (size_t k = 0; k < manifests[i].object_count; k++, input++) {
			json_t *balance = gm_balance_json(&manifests[i].objects[k].balance);
			json_t *object = json_pack("{s:s, s:I, s:I, s:s, s:I, s:o}", "key", input->key, "size",
			                           (json_int_t)input->size, "mtime_us", (json_int_t)input->mtime_us, "etag",
			                           input->etag, "unit", (json_int_t)i, "balance", balance);
			if (object != NULL && json_array_append_new(list, object) == 0) continue;
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* Of a kept file: it has no partition. (A member that may be left out is not packed with the others: jansson leaves it
 * out, too, when memory is gone.) */
static json_t *file_json(const struct gm_manifest_file *file, size_t unit)
{
	char hex[GM_HEX128_BYTES];
	gm_hex128(file->hash, hex);
	json_t *object = json_pack("{s:s, s:I, s:s, s:I, s:I}", "path", file->path, "bytes", (json_int_t)file->bytes,
	                           "hash", hex, "rows", (json_int_t)file->rows, "unit", (json_int_t)unit);
	if (file->partition == NULL || object == NULL) return object;
	if (json_object_set_new(object, "partition", json_string(file->partition)) == 0) return object;
	json_decref(object);
	return NULL;
}

static json_t *files_json(const struct gm_plan *plan, const struct gm_manifest *manifests)
{
	json_t *list = json_array();
	for (size_t i = 0; i < plan->unit_count; i++) {
		for (size_t k = 0; k < manifests[i].file_count; k++) {
			json_t *object = file_json(&manifests[i].files[k], i);
			if (object != NULL && json_array_append_new(list, object) == 0) continue;
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static void add_up(const struct gm_commit *commit, struct gm_balance *total, uint64_t *files, uint64_t *bytes)
{
	*total = (struct gm_balance){0};
	*files = *bytes = 0;
	for (size_t i = 0; i < commit->plan->unit_count; i++) {
		const struct gm_manifest *manifest = &commit->manifests[i];
		for (size_t k = 0; k < manifest->object_count; k++) gm_balance_add(total, &manifest->objects[k].balance);
		for (size_t k = 0; k < manifest->file_count; k++) {
			*files += manifest->files[k].partition != NULL;
			*bytes += manifest->files[k].partition != NULL ? manifest->files[k].bytes : 0;
		}
	}
}

static json_t *books_json(const struct gm_commit *commit)
{
	const struct gm_plan *plan = commit->plan;
	struct gm_balance total;
	uint64_t files, bytes;
	add_up(commit, &total, &files, &bytes);
	return json_pack("{s:i, s:I, s:I, s:I, s:s, s:s, s:s, s:o, s:o, s:o}", "format", GM_FORMAT, "run",
	                 (json_int_t)plan->number, "parent", (json_int_t)plan->parent, "version", (json_int_t)plan->version,
	                 "job", commit->job_id, "engine", plan->engine, "job_hash", plan->job_hash, "inputs",
	                 inputs_json(plan, commit->manifests), "files", files_json(plan, commit->manifests), "total",
	                 gm_balance_json(&total));
}

static const size_t max_books_bytes = (size_t)1 << 30;

static void hash_text(const struct gm_buf *text, char hex[GM_HEX128_BYTES])
{
	XXH128_hash_t hash = XXH3_128bits(text->data, text->len);
	const uint64_t halves[2] = {hash.low64, hash.high64};
	gm_hex128(halves, hex);
}

enum gm_code gm_books_hash(const json_t *books, char hex[GM_HEX128_BYTES], struct gm_error *err)
{
	struct gm_buf text;
	gm_buf_init(&text, max_books_bytes);
	enum gm_code rc = gm_json_text(books, &text, err);
	if (rc == GM_OK) hash_text(&text, hex);
	gm_buf_release(&text);
	return rc;
}

/* Books of that number that somebody left: the same, or damaged, or of another plan that had the number. Nobody relies
 * on them, since the run is not committed; what is not the same makes room. *same: nothing is to be put. */
static enum gm_code replace_books(struct gm_store *table, const char *key, const char *hex, bool *same,
                                  struct gm_error *err)
{
	char theirs[GM_HEX128_BYTES] = "";
	json_t *books = NULL;
	enum gm_code rc = gm_json_read(table, key, &books, err);
	if (rc == GM_OK) rc = gm_books_hash(books, theirs, err);
	json_decref(books);
	*same = rc == GM_OK && strcmp(theirs, hex) == 0;
	if (rc != GM_OK && rc != GM_CORRUPT && rc != GM_NOT_FOUND) return rc;
	return *same ? GM_OK : gm_store_remove(table, key, err);
}

static enum gm_code put_books(const struct gm_commit *commit, char hex[GM_HEX128_BYTES], struct gm_error *err)
{
	bool same = false;
	char key[GM_KEY_BYTES];
	json_t *books = books_json(commit);
	if (books == NULL) return out_of_memory(err);
	struct gm_buf text;
	gm_buf_init(&text, max_books_bytes);
	gm_layout_key(commit->layout, key, "runs", commit->plan->number, ".json.zst");
	enum gm_code rc = gm_json_text(books, &text, err);
	json_decref(books);
	if (rc == GM_OK) {
		hash_text(&text, hex);
		rc = gm_json_write_text(commit->table, key, text.data, text.len, err);
	}
	if (rc == GM_EXISTS) {
		rc = replace_books(commit->table, key, hex, &same, err);
		if (rc == GM_OK && !same) rc = gm_json_write_text(commit->table, key, text.data, text.len, err);
	}
	gm_buf_release(&text);
	return rc == GM_EXISTS ? GM_OK : rc; /* put by another meanwhile: the same */
}

/* --- The entry ---------------------------------------------------------------------------------------------------- */

/* What an entry is made of; texts live in the arena. */
struct entry {
	struct gm_arena arena;
	struct gm_delta_text parameters[16], metrics[16];
	size_t parameter_count, metric_count;
	struct gm_delta_txn_action txns[2];
	struct gm_delta_file *adds;
	size_t add_count;
};

static bool parameter(struct entry *entry, const char *name, const char *value)
{
	entry->parameters[entry->parameter_count++] = (struct gm_delta_text){name, value};
	return value != NULL;
}

static bool metric(struct entry *entry, const char *name, uint64_t value)
{
	const char *text = gm_arena_printf(&entry->arena, "%" PRIu64, value);
	entry->metrics[entry->metric_count++] = (struct gm_delta_text){name, text};
	return text != NULL;
}

static bool number(struct entry *entry, const char *name, uint64_t value)
{
	return parameter(entry, name, gm_arena_printf(&entry->arena, "%" PRIu64, value));
}

static const char *operation_of(const struct gm_plan *plan)
{
	switch (plan->kind) {
	case GM_PLAN_END: return "gristmill end";
	case GM_PLAN_REWIND: return "gristmill rewind";
	case GM_PLAN_FORGET: return "gristmill forget";
	case GM_PLAN_ADOPT: return "gristmill adopt";
	case GM_PLAN_IMPORT: return "gristmill import";
	default: return "WRITE";
	}
}

static bool describe(struct entry *entry, const struct gm_commit *commit, const char *books)
{
	const struct gm_plan *plan = commit->plan;
	bool ok = parameter(entry, "job", commit->job_id) && number(entry, "run", plan->number) &&
	          number(entry, "parent", plan->parent);
	if (plan->unit_count == 0) {
		char text[GM_TIME_TEXT_BYTES];
		ok = ok && parameter(entry, "reason", plan->reason) && parameter(entry, "who", plan->who);
		if (plan->kind == GM_PLAN_END) ok = ok && number(entry, "ends", plan->ends);
		if (plan->kind == GM_PLAN_ADOPT) ok = ok && parameter(entry, "adopts", plan->adopts);
		if (plan->kind == GM_PLAN_FORGET) ok = ok && number(entry, "keys", plan->key_count);
		if (plan->kind == GM_PLAN_REWIND) {
			size_t n = gm_time_format_iso(plan->to_us, 6, text);
			ok = ok && parameter(entry, "to", gm_arena_strndup(&entry->arena, text, n));
		}
		return ok;
	}
	if (gm_plan_is_replay(plan)) ok = ok && parameter(entry, "replay", "true");
	return ok && parameter(entry, "mode", "Append") && number(entry, "claim", commit->claim) &&
	       parameter(entry, "jobHash", plan->job_hash) && parameter(entry, "engine", plan->engine) &&
	       parameter(entry, "books", gm_arena_strndup(&entry->arena, books, strlen(books)));
}

static bool count(struct entry *entry, const struct gm_commit *commit)
{
	struct gm_balance total;
	uint64_t files, bytes;
	add_up(commit, &total, &files, &bytes);
	return commit->plan->unit_count == 0 ||
	       (metric(entry, "numFiles", files) && metric(entry, "numOutputRows", total.rows_written) &&
	        metric(entry, "numOutputBytes", bytes) && metric(entry, "recordsRead", total.records_read) &&
	        metric(entry, "duplicates", total.duplicates) && metric(entry, "filtered", total.filtered) &&
	        metric(entry, "quarantined", total.quarantined) && metric(entry, "objects", commit->plan->input_count) &&
	        metric(entry, "bytesIn", total.bytes_in) && metric(entry, "bytesRaw", total.bytes_raw));
}

static bool list_files(struct entry *entry, const struct gm_commit *commit)
{
	const struct gm_plan *plan = commit->plan;
	size_t total = plan->import_count;
	for (size_t i = 0; i < plan->unit_count; i++) total += commit->manifests[i].file_count;
	entry->adds = gm_arena_alloc(&entry->arena, (total + 1) * sizeof *entry->adds);
	bool ok = entry->adds != NULL;
	for (size_t i = 0; ok && i < plan->import_count; i++) entry->adds[entry->add_count++] = plan->imports[i];
	for (size_t i = 0; ok && i < plan->unit_count; i++) {
		const char *tags = gm_arena_printf(
		    &entry->arena, "{\"gristmill.job\":\"%s\",\"gristmill.run\":\"%" PRIu64 "\",\"gristmill.unit\":\"%zu\"}",
		    commit->job_id, plan->number, i);
		ok = tags != NULL;
		for (size_t k = 0; ok && k < commit->manifests[i].file_count; k++) {
			const struct gm_manifest_file *file = &commit->manifests[i].files[k];
			if (file->partition == NULL) continue;
			entry->adds[entry->add_count++] = (struct gm_delta_file){.path = file->path,
			                                                         .partition = file->partition,
			                                                         .bytes = file->bytes,
			                                                         .mtime_ms = plan->created_us / 1000,
			                                                         .stats = file->stats,
			                                                         .tags = tags,
			                                                         .data_change = true};
		}
	}
	return ok;
}

/* The transactions: the job's, and that of the claims. */
static size_t transactions(struct entry *entry, const struct gm_commit *commit, char app[GM_APP_BYTES])
{
	gm_app_id(app, commit->job_id);
	entry->txns[0] = (struct gm_delta_txn_action){app, (int64_t)commit->plan->number};
	entry->txns[1] = (struct gm_delta_txn_action){GM_CLAIM_APP, (int64_t)commit->claim};
	return commit->claim > 0 ? 2 : 1;
}

static enum gm_code put_version(const struct gm_commit *commit, const char *books, struct gm_error *err)
{
	char app[GM_APP_BYTES];
	struct entry entry = {0};
	const struct gm_plan *plan = commit->plan;
	int64_t version = commit->tip->version + 1;
	gm_arena_init(&entry.arena, 64 * 1024);
	if (!describe(&entry, commit, books) || !count(&entry, commit) || !list_files(&entry, commit)) {
		gm_arena_release(&entry.arena);
		return out_of_memory(err);
	}
	/* A plan without units says something of the table only where nothing stands yet. */
	bool describes = version == 0 || plan->unit_count > 0;
	struct gm_delta_commit action = {.timestamp_ms = commit->now_us / 1000,
	                                 .operation = operation_of(plan),
	                                 .engine_info = "gristmill/" GM_VERSION,
	                                 .parameters = entry.parameters,
	                                 .parameter_count = entry.parameter_count,
	                                 .metrics = entry.metrics,
	                                 .metric_count = entry.metric_count,
	                                 .blind_append = plan->unique_count == 0,
	                                 .protocol = version == 0,
	                                 .metadata = describes ? plan->metadata : NULL,
	                                 .txns = entry.txns,
	                                 .adds = entry.adds,
	                                 .add_count = entry.add_count};
	action.txn_count = transactions(&entry, commit, app);
	enum gm_code rc = gm_delta_put(commit->table, version, &action, err);
	gm_arena_release(&entry.arena);
	return rc;
}

/* The put has succeeded; but whoever sleeps while the log goes on and is cleaned finds a name free that lies below
 * history. OK: the plan is on the chain. */
static enum gm_code confirm(struct gm_commit *commit, struct gm_error *err)
{
	bool certain;
	struct gm_delta_log *log;
	enum gm_plan_state state;
	const struct gm_plan *plan = commit->plan;
	GM_TRY(gm_delta_is_history(commit->table, commit->tip->version + 1, &certain, err));
	if (certain) return GM_OK;
	GM_TRY(gm_history_log(commit->table, commit->tip->version, commit->tip->memory_bytes, &log, err));
	uint64_t head = gm_history_head(log, commit->job_id);
	gm_delta_free(log);
	GM_TRY(gm_plan_state(commit->table, commit->layout, head, plan->number, plan->parent, &state, err));
	if (state == GM_PLAN_COMMITTED) return GM_OK;
	if (state == GM_PLAN_DEAD)
		GM_FAIL(err, GM_LOST, "another run was committed in place of run %" PRIu64, plan->number);
	GM_FAIL(err, GM_CHANGED, "the log went on and was cleaned while run %" PRIu64 " was to be committed", plan->number);
}

enum gm_code gm_commit_put(struct gm_commit *commit, struct gm_error *err)
{
	char books[GM_HEX128_BYTES] = "";
	struct gm_error put;
	if (commit->plan->unit_count > 0) GM_TRY(put_books(commit, books, err));
	for (int lost = 0;;) {
		GM_TRY(gm_commit_check(commit, err));
		enum gm_code rc = put_version(commit, books, &put);
		if (rc == GM_OK) return confirm(commit, err);
		if (rc == GM_NOMEM) {
			*err = put;
			return rc;
		}
		if (rc == GM_EXISTS) continue; /* another's, or ours whose answer was lost: the log tells */
		/* The put may have been heard all the same. If nothing shows, whoever looks next settles it. */
		enum gm_code seen = gm_commit_check(commit, err);
		if (seen == GM_EXISTS) return GM_OK;
		if (seen != GM_OK) return seen;
		if (rc != GM_TRANSIENT || ++lost == LOST_ANSWERS) {
			*err = put;
			return rc;
		}
	}
}
