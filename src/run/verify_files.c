/* verify_files.c - every live file: is it there, where it belongs, and what the log and the books say? */
#include "base/hive.h"
#include "run/verify_internal.h"

#include <inttypes.h>
#include <stdlib.h>

struct files {
	struct gm_verifier *verifier;
	struct gm_verify_traces missing;
	struct gm_arena arena; /* of one file */
};

/* --- Missing files ------------------------------------------------------------------------------------------------ */

/* Those that a later commit has removed may be gone. */
static enum gm_code report_missing(struct files *files, struct gm_error *err)
{
	struct gm_verify_traces *missing = &files->missing;
	int64_t proved = gm_delta_version(files->verifier->log);
	GM_TRY(gm_verify_traces_ask(missing, files->verifier, err));
	for (size_t i = 0; i < missing->count; i++) {
		const struct gm_verify_trace *trace = &missing->at[i];
		const struct gm_verify_job *job;
		uint64_t run;
		if (trace->version > proved && !trace->added) continue;
		struct gm_finding about = gm_verify_about(GM_FINDING_FILE_MISSING, trace->path);
		about.version = trace->version;
		if (gm_verify_name(files->verifier, trace->path, &job, &run) && job != NULL) {
			about.job = job->id;
			about.run = run;
			gm_verify_report(files->verifier, &about,
			                 "the file is gone; run %" PRIu64 " of job %s wrote its %" PRIu64 " bytes", run, job->id,
			                 trace->bytes);
		} else {
			gm_verify_report(files->verifier, &about, "the file is gone; it had %" PRIu64 " bytes", trace->bytes);
		}
	}
	gm_verify_traces_empty(missing);
	return GM_OK;
}

/* *there: it has the size that the log says. */
static enum gm_code check_size(struct files *files, const struct gm_verify_file *file, bool *there,
                               struct gm_error *err)
{
	struct gm_object_info info;
	bool full;
	const struct gm_delta_file *log = file->file;
	*there = false;
	enum gm_code rc = gm_store_stat(files->verifier->table, log->path, &info, &files->arena, err);
	if (rc == GM_NOT_FOUND) {
		GM_TRY(gm_verify_traces_add(&files->missing, log->path, log->bytes, &full, err));
		return full ? report_missing(files, err) : GM_OK;
	}
	struct gm_finding about = gm_verify_about(GM_FINDING_FILE_SIZE, log->path);
	about.job = file->about.job;
	about.run = file->about.run;
	if (gm_verify_is_finding(rc)) {
		about.code = GM_FINDING_FILE_DAMAGED;
		gm_verify_report(files->verifier, &about, "%s", err->message);
		return GM_OK;
	}
	GM_TRY(rc);
	*there = info.size == log->bytes;
	if (!*there)
		gm_verify_report(files->verifier, &about, "it has %" PRIu64 " bytes, the log says %" PRIu64, info.size,
		                 log->bytes);
	return GM_OK;
}

/* --- Partition ---------------------------------------------------------------------------------------------------- */

/* Null and the empty string are the same partition. */
static const char *text_of(const struct gm_partition_value *value)
{
	return value->value != NULL ? value->value : "";
}

static bool same_values(const struct gm_partition_value *a, size_t a_count, const struct gm_partition_value *b,
                        size_t b_count)
{
	if (a_count != b_count) return false;
	for (size_t i = 0; i < a_count; i++)
		if (strcmp(a[i].name, b[i].name) != 0 || strcmp(text_of(&a[i]), text_of(&b[i])) != 0) return false;
	return true;
}

/* The folder, as a reader of folders takes it, against the values in the log; spellings may differ. */
static enum gm_code check_partition(struct files *files, const struct gm_verify_file *file, struct gm_error *err)
{
	const char *path = file->file->path, *slash = strrchr(path, '/');
	struct gm_partition_value *folder, *log;
	size_t folder_count, log_count;
	enum gm_code rc = gm_partition_parse(path, slash != NULL ? (size_t)(slash - path) : 0, &files->arena, &folder,
	                                     &folder_count, err);
	if (rc != GM_CORRUPT) GM_TRY(rc);
	GM_TRY(
	    gm_partition_parse(file->file->partition, strlen(file->file->partition), &files->arena, &log, &log_count, err));
	if (rc == GM_OK && same_values(folder, folder_count, log, log_count)) return GM_OK;
	struct gm_finding about = gm_verify_about(GM_FINDING_FILE_PARTITION, path);
	about.job = file->about.job;
	about.run = file->about.run;
	gm_verify_report(files->verifier, &about, "the log says that it belongs to partition %s",
	                 file->file->partition[0] != '\0' ? file->file->partition : "(none)");
	return GM_OK;
}

/* --- Books -------------------------------------------------------------------------------------------------------- */

/* Whose the file is, and what its books say. */
static void identify(struct files *files, struct gm_verify_file *file)
{
	const struct gm_verify_job *job = NULL;
	struct gm_verifier *verifier = files->verifier;
	const char *path = file->file->path;
	file->about = gm_verify_about(GM_FINDING_FILE_UNKNOWN, path);
	file->book = gm_book_index_find(&verifier->books, gm_verify_hash(verifier, path));
	bool named = gm_verify_name(verifier, path, &job, &file->about.run) && job != NULL;
	if (named) file->about.job = job->id;
	if (!named) file->about.run = 0;
	bool claims = named || (file->file->tags != NULL && strstr(file->file->tags, "\"gristmill.run\"") != NULL);
	if (file->book == NULL && !claims) verifier->result->foreign_files++;
	if (file->book != NULL || !claims || (job != NULL && gm_verify_is_doubtful(job, file->about.run))) return;
	gm_verify_report(verifier, &file->about,
	                 "the log has it as a file of a run, and no books of a committed run name it");
}

static void check_books(struct files *files, const struct gm_verify_file *file)
{
	struct gm_verifier *verifier = files->verifier;
	const json_t *told = json_object_get(file->stats, "numRecords");
	uint64_t rows = json_is_integer(told) ? (uint64_t)json_integer_value(told) : 0;
	verifier->result->rows += rows;
	verifier->result->bytes += file->file->bytes;
	if (file->book == NULL) return;
	struct gm_finding about = gm_verify_about(GM_FINDING_FILE_SIZE, file->file->path);
	about.job = file->about.job;
	about.run = file->about.run;
	if (file->book->bytes != file->file->bytes)
		gm_verify_report(verifier, &about, "the log says %" PRIu64 " bytes, the books %" PRIu64, file->file->bytes,
		                 file->book->bytes);
	about.code = GM_FINDING_FILE_ROWS;
	/* With the data read, its rows are part of the comparison: see verify_data.c. */
	if (verifier->options.quick && told != NULL && file->book->rows != rows)
		gm_verify_report(verifier, &about, "the log says %" PRIu64 " rows, the books %" PRIu64, rows, file->book->rows);
}

/* --- All files ---------------------------------------------------------------------------------------------------- */

static enum gm_code check_file(struct files *files, struct gm_verify_file *file, struct gm_error *err)
{
	bool there;
	identify(files, file);
	check_books(files, file);
	GM_TRY(check_partition(files, file, err));
	GM_TRY(check_size(files, file, &there, err));
	if (!there || files->verifier->options.quick) return GM_OK;
	return gm_verify_data(files->verifier, file, err);
}

static enum gm_code note_file(void *context, const struct gm_delta_file *log, struct gm_error *err)
{
	struct files *files = context;
	struct gm_verifier *verifier = files->verifier;
	struct gm_verify_file file = {.file = log};
	gm_arena_reset(&files->arena);
	json_t *stats = NULL;
	enum gm_code rc = log->stats != NULL ? gm_json_parse(log->stats, strlen(log->stats), 0, &stats, err) : GM_OK;
	if (rc == GM_CORRUPT) {
		struct gm_finding about = gm_verify_about(GM_FINDING_FILE_STATS, log->path);
		gm_verify_report(verifier, &about, "they are no JSON: %s", err->message);
		rc = GM_OK;
	}
	file.stats = stats;
	(void)gm_delta_number(verifier->log, log->path, &file.number);
	if (rc == GM_OK) rc = check_file(files, &file, err);
	json_decref(stats);
	verifier->files_done++;
	GM_TRY(rc);
	return gm_verify_pulse(verifier, err);
}

enum gm_code gm_verify_files(struct gm_verifier *verifier, struct gm_error *err)
{
	struct files files = {.verifier = verifier};
	if (verifier->log == NULL) return GM_OK;
	verifier->files_total = verifier->result->files;
	GM_TRY(gm_verify_keys_begin(verifier, err));
	GM_TRY(gm_verify_traces_init(&files.missing, err));
	gm_arena_init(&files.arena, 4096);
	enum gm_code rc = gm_delta_each_file(verifier->log, note_file, &files, err);
	if (rc == GM_OK) rc = report_missing(&files, err);
	gm_verify_traces_release(&files.missing);
	gm_arena_release(&files.arena);
	return rc;
}
