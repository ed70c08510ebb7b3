/* verify.c - the proof of a table, from its log to the folders: which checks there are stands in verify_internal.h. */
#include "base/flag.h"
#include "run/run.h"
#include "run/verify_internal.h"

#include <stdarg.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const uint64_t default_memory_bytes = (uint64_t)256 << 20;
static const uint64_t least_memory_bytes = (uint64_t)32 << 20;
static const uint64_t program_bytes = (uint64_t)20 << 20; /* code, libraries, and scratch that no share covers */
static const double tell_seconds = 0.1;                   /* between two reports of progress */

/* --- Findings ----------------------------------------------------------------------------------------------------- */

enum { KIND_fault, KIND_note };
struct finding_kind {
	const char *name, *text;
	int kind;
};
static const struct finding_kind kinds[] = {
#define X(name, kind, text) {#name, text, KIND_##kind},
    GM_FINDINGS(X)
#undef X
};
enum { FINDING_CODES = sizeof kinds / sizeof kinds[0] };

const char *gm_finding_name(enum gm_finding_code code)
{
	return (size_t)code < FINDING_CODES ? kinds[code].name : "UNKNOWN";
}

bool gm_finding_is_fault(enum gm_finding_code code)
{
	return (size_t)code >= FINDING_CODES || kinds[code].kind == KIND_fault;
}

/* What to do where the check knows nothing better. */
static const char *usual_advice(enum gm_finding_code code)
{
	switch (code) {
	case GM_FINDING_LOG_DAMAGED:
	case GM_FINDING_LOG_GAP:
	case GM_FINDING_LOG_ORDER:
	case GM_FINDING_LOG_FORGOT: return "restore _delta_log from a copy that is no older than the last run";
	case GM_FINDING_CHECKPOINT_DAMAGED:
	case GM_FINDING_CHECKPOINT_WRONG:
		return "if all entries before it are there, remove the checkpoint and _last_checkpoint: a later run writes "
		       "another";
	case GM_FINDING_PLAN_DAMAGED: return "restore the file from a copy: runs of the job cannot go on without it";
	case GM_FINDING_BOOKS_DAMAGED:
	case GM_FINDING_BOOKS_HASH:
	case GM_FINDING_KEPT_FILE: return "restore the file from a copy; the table's rows do not depend on it";
	case GM_FINDING_BALANCE: return "please report it, with the version that wrote the run";
	case GM_FINDING_BOOKMARK: return "remove the bookmark file: the next run makes it anew from the plans";
	case GM_FINDING_FILE_LOST: return "mend the checkpoint that lost it; until then readers of the log miss its rows";
	case GM_FINDING_FILE_MISSING:
	case GM_FINDING_FILE_SIZE:
	case GM_FINDING_FILE_HASH:
	case GM_FINDING_FILE_DAMAGED:
	case GM_FINDING_PAGE_DAMAGED: return "restore the file from a copy, or rewind the job and make its rows anew";
	case GM_FINDING_FILE_PARTITION:
		return "readers of folders see its rows in another partition than the log's readers";
	case GM_FINDING_FILE_STATS: return "queries may leave its rows out; rewrite the file, or have it added anew";
	case GM_FINDING_KEY_TWICE: return "remove one of the rows, through a commit of the engine that wrote it";
	case GM_FINDING_STRAY_DEAD: return "the next run of its job removes it";
	case GM_FINDING_STRAY_CLAIMED:
		return "if no run is at work, start one of any job on the table: it finishes or sweeps this one";
	case GM_FINDING_STRAY_REMOVED: return "remove the file; vacuum of the engine that removed it does so, too";
	case GM_FINDING_STRAY_FOREIGN:
		return "if its rows belong to the table, the next run adds a file of its columns to the log; else move it out";
	case GM_FINDING_OBJECT_CHANGED:
		return "the table holds the rows of the old content; put what is new under a new name";
	case GM_FINDING_OLD_FORMAT: return "run the job once";
	case GM_FINDING_NEWER_FORMAT: return "prove it with the gristmill that wrote it";
	default: return "";
	}
}

struct gm_finding gm_verify_about(enum gm_finding_code code, const char *object)
{
	return (struct gm_finding){
	    .code = code, .object = object, .detail = "", .advice = usual_advice(code), .job = "", .version = -1};
}

void gm_verify_report(struct gm_verifier *verifier, const struct gm_finding *about, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (gm_finding_is_fault(about->code))
		verifier->result->faults++;
	else
		verifier->result->notes++;
	if (verifier->options.finding == NULL) return;
	struct gm_finding finding = *about;
	finding.detail = text;
	verifier->options.finding(verifier->options.context, &finding);
}

bool gm_verify_is_finding(enum gm_code code)
{
	switch (code) {
	case GM_CORRUPT:
	case GM_UNSUPPORTED:
	case GM_NOT_FOUND:
	case GM_CHANGED:
	case GM_DENIED:
	case GM_IO:
	case GM_VALUE: return true;
	default: return false;
	}
}

struct gm_hash128 gm_verify_hash(const struct gm_verifier *verifier, const char *text)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(text, strlen(text), verifier->books.seed);
	return (struct gm_hash128){hash.low64, hash.high64 | 1}; /* never that of a free slot */
}

/* --- Progress ----------------------------------------------------------------------------------------------------- */

static double seconds_since(const struct timespec *start)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void tell(struct gm_verifier *verifier)
{
	(void)clock_gettime(CLOCK_MONOTONIC, &verifier->told);
	if (verifier->options.progress == NULL) return;
	struct gm_progress progress = {.phase = verifier->phase,
	                               .objects_done = verifier->files_done,
	                               .objects = verifier->files_total,
	                               .bytes_done = verifier->bytes_done,
	                               .bytes = verifier->bytes_total,
	                               .bytes_raw = verifier->bytes_done,
	                               .records = verifier->files_total > 0 ? verifier->result->keys : 0,
	                               .seconds = seconds_since(&verifier->start)};
	verifier->options.progress(verifier->options.context, &progress);
}

enum gm_code gm_verify_pulse(struct gm_verifier *verifier, struct gm_error *err)
{
	if (gm_flag_is_set(verifier->options.stop)) GM_FAIL(err, GM_INTERRUPTED, "stopped before the proof was complete");
	if (verifier->options.progress != NULL && seconds_since(&verifier->told) >= tell_seconds) tell(verifier);
	return GM_OK;
}

enum gm_code gm_verify_phase(struct gm_verifier *verifier, const char *phase, struct gm_error *err)
{
	verifier->phase = phase;
	verifier->files_done = verifier->files_total = verifier->bytes_done = verifier->bytes_total = 0;
	tell(verifier);
	return gm_verify_pulse(verifier, err);
}

const char *gm_verify_scratch(const struct gm_verifier *verifier)
{
	return verifier->options.scratch != NULL ? verifier->options.scratch : "/var/tmp";
}

/* --- The proof ---------------------------------------------------------------------------------------------------- */

static enum gm_code check_options(struct gm_verifier *verifier, struct gm_error *err)
{
	uint64_t memory = verifier->options.memory_bytes > 0 ? verifier->options.memory_bytes : default_memory_bytes;
	verifier->memory_bytes = (size_t)(memory - program_bytes);
	if (memory >= least_memory_bytes) return GM_OK;
	(void)gm_error_set(err, GM_USAGE, "%llu bytes of memory are too few", (unsigned long long)memory);
	return gm_error_hint(err, GM_USAGE, "give at least 32M");
}

static enum gm_code check_is_table(const struct gm_verifier *verifier, struct gm_error *err)
{
	if (verifier->log != NULL || verifier->job_count > 0) return GM_OK;
	(void)gm_error_set(err, GM_NOT_FOUND, "there is no table here: neither a log nor a run of gristmill");
	return gm_error_object(err, GM_NOT_FOUND, verifier->table->location, strlen(verifier->table->location));
}

static enum gm_code prove(struct gm_verifier *verifier, struct gm_error *err)
{
	GM_TRY(gm_verify_phase(verifier, "log", err));
	GM_TRY(gm_verify_log(verifier, err));
	if (!verifier->result->complete) return GM_OK; /* nothing else is known but by the log */
	GM_TRY(gm_verify_jobs(verifier, err));
	GM_TRY(check_is_table(verifier, err));
	GM_TRY(gm_verify_entries(verifier, err));
	GM_TRY(gm_verify_phase(verifier, "runs", err));
	GM_TRY(gm_verify_chains(verifier, err));
	GM_TRY(gm_verify_phase(verifier, "files", err));
	GM_TRY(gm_verify_files(verifier, err));
	GM_TRY(gm_verify_phase(verifier, "strays", err));
	return gm_verify_strays(verifier, err);
}

static void release(struct gm_verifier *verifier)
{
	for (size_t i = 0; i < verifier->job_count; i++) {
		free(verifier->jobs[i].commits);
		free(verifier->jobs[i].doubtful);
	}
	free(verifier->jobs);
	gm_verify_keys_free(verifier->keys);
	gm_book_index_release(&verifier->books);
	gm_delta_free(verifier->log);
	gm_arena_release(&verifier->arena);
}

enum gm_code gm_verify_on(const struct gm_job *job, struct gm_store *table, struct gm_store *source,
                          const struct gm_verify_options *options, struct gm_verify_result *result,
                          struct gm_error *err)
{
	struct gm_verifier verifier = {
	    .job = job, .options = *options, .result = result, .table = table, .source = source, .first_entry = -1};
	*result = (struct gm_verify_result){.version = -1, .complete = true};
	GM_TRY(check_options(&verifier, err));
	(void)clock_gettime(CLOCK_MONOTONIC, &verifier.start);
	gm_arena_init(&verifier.arena, 16 * 1024);
	gm_book_index_init(&verifier.books, verifier.memory_bytes / GM_VERIFY_BOOKS_SHARE);
	verifier.books.seed = gm_dict_seed(&verifier);
	enum gm_code rc = prove(&verifier, err);
	result->seconds = seconds_since(&verifier.start);
	release(&verifier);
	return rc;
}

enum gm_code gm_verify(const struct gm_job *job, const char *table, const struct gm_verify_options *options,
                       struct gm_verify_result *result, struct gm_error *err)
{
	struct gm_store *table_store = NULL, *source = NULL;
	const struct gm_run_options sizes = {.memory_bytes = options->memory_bytes, .scratch = options->scratch};
	*result = (struct gm_verify_result){.version = -1};
	enum gm_code rc = gm_env_open_store(job != NULL ? job->table.location : table,
	                                    job != NULL ? &job->table.access : NULL, &sizes, false, &table_store, err);
	if (rc == GM_OK && job != NULL)
		rc = gm_env_open_store(job->source.location, &job->source.access, &sizes, false, &source, err);
	if (rc == GM_OK) rc = gm_verify_on(job, table_store, source, options, result, err);
	gm_store_close(table_store);
	gm_store_close(source);
	return rc;
}
