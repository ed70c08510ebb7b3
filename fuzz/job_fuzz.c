/* Job files: whatever the bytes are, loading ends with a job or with an error that says what and where.
 *
 * Corpus: jobs, tests/jobs, tests/cases/job-errors. */
#include "job/job.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition) abort();
}

static void check_error(enum gm_code rc, const struct gm_error *err)
{
	must(rc == GM_JOB || rc == GM_USAGE || rc == GM_UNSUPPORTED);
	must(err->code == rc && err->message[0] != '\0');
	must(rc != GM_JOB || strcmp(err->object, "fuzz.yaml") == 0);
	must(err->line >= 0 && err->column >= 0);
}

static void check_job(const struct gm_job *job)
{
	struct gm_error err;
	char *text;
	must(job->column_count > 0 && job->name[0] != '\0' && job->id[0] != '\0');
	must(job->source.location[0] != '\0' && job->table.location[0] != '\0');
	for (size_t i = 0; i < job->column_count; i++)
		must(job->columns[i].name[0] != '\0' && (job->columns[i].from_len > 0 || job->columns[i].expr != NULL));
	must(gm_job_describe(job, false, &text, &err) == GM_OK);
	free(text);
	must(gm_job_describe(job, true, &text, &err) == GM_OK);
	json_t *json = json_loads(text, 0, NULL);
	must(json_is_object(json));
	json_decref(json);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct gm_setting settings[] = {{"SOURCE", "a: [b"}, {"TABLE", "}"}};
	const struct gm_job_options options = {.settings = settings, .setting_count = size % 3};
	struct gm_error err = {0};
	struct gm_job *job = NULL;
	enum gm_code rc = gm_job_parse("fuzz.yaml", data, size, &options, &job, &err);
	must((rc == GM_OK) == (job != NULL));
	if (rc == GM_OK)
		check_job(job);
	else
		check_error(rc, &err);
	gm_job_free(job);
	return 0;
}
