/* command_verify.c - gristmill verify JOB|TABLE */
#include "cli/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct options {
	struct gm_cli_job_flags job;
	uint64_t memory_bytes;
	bool quick, json, quiet;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_verify_flags[GM_CLI_VERIFY_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"quick", NULL, GM_CLI_SWITCH, FIELD(quick),
     "leave out what needs the data read: content hashes, pages, statistics, unique keys", 0, 0},
    {"memory", "SIZE", GM_CLI_SIZE, FIELD(memory_bytes),
     "the memory to stay within, such as 256M, 1GiB or bytes; default 256M", 0, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object: the findings, and what was looked at", 0, 0},
    {"quiet", NULL, GM_CLI_SWITCH, FIELD(quiet), "print nothing but findings that are faults, and errors", 0, 0},
};

struct proof {
	struct gm_cli_progress progress; /* first: it is the context of gm_cli_progress_show */
	const struct options *options;
	uint64_t told;
};

/* --- Findings ----------------------------------------------------------------------------------------------------- */

static bool set_text(json_t *object, const char *key, const char *text)
{
	return json_object_set_new(object, key, gm_cli_json_text(text, strlen(text))) == 0;
}

static json_t *finding_json(const struct gm_finding *finding)
{
	json_t *object = json_object();
	bool ok = object != NULL && set_text(object, "code", gm_finding_name(finding->code)) &&
	          json_object_set_new(object, "fault", json_boolean(gm_finding_is_fault(finding->code))) == 0 &&
	          set_text(object, "object", finding->object) && set_text(object, "detail", finding->detail) &&
	          set_text(object, "advice", finding->advice);
	if (ok && finding->job[0] != '\0') ok = set_text(object, "job", finding->job);
	if (ok && finding->run > 0) ok = json_object_set_new(object, "run", json_integer((json_int_t)finding->run)) == 0;
	if (ok && finding->version >= 0) ok = json_object_set_new(object, "version", json_integer(finding->version)) == 0;
	if (ok) return object;
	json_decref(object);
	return NULL;
}

/* The object is printed while the proof goes on, so that any number of findings takes no memory. */
static void print_json(struct proof *proof, const struct gm_finding *finding)
{
	json_t *object = finding_json(finding);
	fputs(proof->told == 0 ? "" : ",", stdout);
	if (object == NULL || json_dumpf(object, stdout, JSON_COMPACT) != 0) fputs("null", stdout);
	json_decref(object);
}

static void print_text(const struct gm_finding *finding)
{
	printf("%-4s  %s", gm_finding_is_fault(finding->code) ? "FAIL" : "note", gm_finding_name(finding->code));
	if (finding->object[0] != '\0') {
		fputs("  ", stdout);
		gm_cli_print_safe(stdout, finding->object, strlen(finding->object));
	}
	fputs(": ", stdout);
	gm_cli_print_safe(stdout, finding->detail, strlen(finding->detail));
	if (finding->advice[0] != '\0') {
		fputs("; ", stdout);
		gm_cli_print_safe(stdout, finding->advice, strlen(finding->advice));
	}
	fputc('\n', stdout);
}

static void show_finding(void *context, const struct gm_finding *finding)
{
	struct proof *proof = context;
	if (proof->options->json) {
		print_json(proof, finding);
	} else if (!proof->options->quiet || gm_finding_is_fault(finding->code)) {
		gm_cli_progress_pause(&proof->progress);
		print_text(finding);
		fflush(stdout);
	}
	proof->told++;
}

/* --- The end ------------------------------------------------------------------------------------------------------ */

static void print_end_json(const struct gm_verify_result *r, const struct gm_error *err)
{
	json_t *error = err != NULL ? gm_cli_json_error(err) : NULL;
	printf("],\"version\":");
	if (r->version >= 0)
		printf("%lld", (long long)r->version);
	else
		fputs("null", stdout);
	printf(",\"faults\":%llu,\"notes\":%llu,\"complete\":%s", (unsigned long long)r->faults,
	       (unsigned long long)r->notes, r->complete && err == NULL ? "true" : "false");
	const struct {
		const char *name;
		uint64_t value;
	} counts[] = {{"commits", r->commits},
	              {"checkpoints", r->checkpoints},
	              {"runs", r->runs},
	              {"files", r->files},
	              {"foreign_files", r->foreign_files},
	              {"rows", r->rows},
	              {"bytes", r->bytes},
	              {"keys", r->keys},
	              {"objects", r->objects},
	              {"processed", r->processed},
	              {"pending", r->pending},
	              {"unprocessed", r->unprocessed},
	              {"gone", r->gone}};
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
		printf(",\"%s\":%llu", counts[i].name, (unsigned long long)counts[i].value);
	printf(",\"seconds\":%.3f", r->seconds);
	if (error != NULL) {
		fputs(",\"error\":", stdout);
		(void)json_dumpf(error, stdout, JSON_COMPACT);
	}
	fputs("}\n", stdout);
	json_decref(error);
}

static void print_end_text(const struct options *o, const struct gm_verify_result *r, bool of_job)
{
	char n[5][GM_CLI_NUMBER_BYTES];
	printf("%s", r->faults == 0 ? "proved" : "not proved");
	if (r->version >= 0) printf(": version %lld", (long long)r->version);
	printf(": %s files, %s rows, %s; %s commits, %s runs", gm_cli_count(n[0], r->files), gm_cli_count(n[1], r->rows),
	       gm_cli_bytes(n[2], (double)r->bytes), gm_cli_count(n[3], r->commits), gm_cli_count(n[4], r->runs));
	if (!o->quick) printf("; %s keys", gm_cli_count(n[0], r->keys));
	printf("; in %s\n", gm_cli_duration(n[0], r->seconds));
	if (of_job)
		printf("source: %s objects: %s processed, %s pending, %s not yet processed; %s processed are gone\n",
		       gm_cli_count(n[0], r->objects), gm_cli_count(n[1], r->processed), gm_cli_count(n[2], r->pending),
		       gm_cli_count(n[3], r->unprocessed), gm_cli_count(n[4], r->gone));
	if (!r->complete) printf("the log is damaged: runs, files and folders were not looked at\n");
	if (r->faults > 0 || r->notes > 0)
		printf("%s faults, %s notes; docs/verify.md says what each means\n", gm_cli_count(n[0], r->faults),
		       gm_cli_count(n[1], r->notes));
}

/* --- The command -------------------------------------------------------------------------------------------------- */

/* A job is a file; a table is a folder, or lies elsewhere. */
static bool is_table(const char *operand)
{
	struct stat info;
	return strstr(operand, "://") != NULL || (stat(operand, &info) == 0 && S_ISDIR(info.st_mode));
}

/* What is wanted of a job file has no meaning for a table. */
static int check_flags(const struct options *o)
{
	const struct gm_cli_job_flags *job = &o->job;
	const char *flag = job->source != NULL       ? "source"
	                   : job->table != NULL      ? "table"
	                   : job->settings.count > 0 ? "set"
	                                             : NULL;
	if (flag == NULL) return GM_CLI_GO_ON;
	return gm_cli_usage("give the job file instead of the table", "verify: --%s needs a job file", flag);
}

static enum gm_code verify(const struct options *o, const struct gm_job *job, const char *table,
                           struct gm_verify_result *result, struct gm_error *err)
{
	struct proof proof = {.options = o};
	gm_cli_progress_init(&proof.progress, o->quiet);
	struct gm_verify_options options = {.memory_bytes = o->memory_bytes,
	                                    .quick = o->quick,
	                                    .stop = gm_cli_catch_signals(),
	                                    .finding = show_finding,
	                                    .progress = gm_cli_progress_show,
	                                    .context = &proof};
	if (o->json) fputs("{\"findings\":[", stdout);
	enum gm_code code = gm_verify(job, table, &options, result, err);
	gm_cli_progress_end(&proof.progress);
	return code;
}

static int load_and_verify(const struct options *o, const char *operand)
{
	struct gm_job_options options = {o->job.source, o->job.table, o->job.settings.at, o->job.settings.count};
	struct gm_verify_result result = {.version = -1};
	struct gm_error err;
	struct gm_job *job = NULL;
	bool table = is_table(operand);
	enum gm_code code = table ? GM_OK : gm_job_load(operand, &options, &job, &err);
	int status = gm_cli_load_status(code);
	if (code != GM_OK) {
		gm_cli_print_error(&err);
		return gm_cli_finish(status, !o->json || gm_cli_report_error_json(stdout, &err));
	}
	code = verify(o, job, operand, &result, &err);
	gm_job_free(job);
	status = gm_cli_status_of(code);
	if (code != GM_OK) gm_cli_print_error(&err);
	if (o->json)
		print_end_json(&result, code != GM_OK ? &err : NULL);
	else if (code == GM_OK && !o->quiet)
		print_end_text(o, &result, !table);
	if (code == GM_OK && result.faults > 0) status = GM_CLI_FAILED;
	return gm_cli_finish(status, ferror(stdout) == 0);
}

int gm_cli_verify(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {0};
	const char *operand = NULL;
	int status = gm_cli_parse(command, arguments, &o, &operand);
	if (status == GM_CLI_GO_ON && is_table(operand)) status = check_flags(&o);
	if (status == GM_CLI_GO_ON) status = load_and_verify(&o, operand);
	free(o.job.settings.at);
	return status;
}
