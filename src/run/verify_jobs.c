/* verify_jobs.c - who has state on the table, and whose a file is. */
#include "run/verify_internal.h"

#include <stdlib.h>

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the table's jobs");
}

struct gm_verify_job *gm_verify_find_job(const struct gm_verifier *verifier, const char *id)
{
	for (size_t i = 0; i < verifier->job_count; i++)
		if (strcmp(verifier->jobs[i].id, id) == 0) return &verifier->jobs[i];
	return NULL;
}

enum gm_code gm_verify_add_job(struct gm_verifier *verifier, const char *id, struct gm_verify_job **out,
                               struct gm_error *err)
{
	struct gm_verify_job *grown = gm_grow(verifier->jobs, verifier->job_count, &verifier->job_room, sizeof *grown);
	if (grown == NULL) return out_of_memory(err);
	verifier->jobs = grown;
	struct gm_verify_job *job = &verifier->jobs[verifier->job_count];
	*job = (struct gm_verify_job){.id = gm_arena_strndup(&verifier->arena, id, strlen(id))};
	if (job->id == NULL) return out_of_memory(err);
	GM_TRY(gm_layout_init(&job->layout, id, err));
	verifier->job_count++;
	*out = job;
	return GM_OK;
}

/* --- Folders of _gristmill ---------------------------------------------------------------------------------------- */

static int hex(char c)
{
	if (c >= '0' && c <= '9') return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The id that gm_layout_init made a folder of; false if it would have made another one. */
static bool read_id(const char *folder, size_t bytes, char id[GM_APP_BYTES])
{
	struct gm_layout layout;
	struct gm_error ignored;
	size_t n = 0;
	for (size_t i = 0; i < bytes; i++) {
		bool escape = folder[i] == '%' && bytes - i > 2 && hex(folder[i + 1]) >= 0 && hex(folder[i + 2]) >= 0;
		if (n + 1 >= GM_APP_BYTES) return false;
		id[n++] = escape ? (char)(hex(folder[i + 1]) * 16 + hex(folder[i + 2])) : folder[i];
		if (escape) i += 2;
	}
	id[n] = '\0';
	if (strlen(id) != n || gm_layout_init(&layout, id, &ignored) != GM_OK) return false;
	size_t prefix = strlen("_gristmill/");
	return strlen(layout.job) == prefix + bytes + 1 && memcmp(layout.job + prefix, folder, bytes) == 0;
}

/* A job is known by its plans. */
static enum gm_code note_object(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct gm_verifier *verifier = context;
	char id[GM_APP_BYTES];
	struct gm_verify_job *job;
	const char *folder = info->key + strlen("_gristmill/"), *slash = strchr(folder, '/');
	if (slash == NULL || strncmp(slash, "/plans/", 7) != 0) return GM_OK;
	if (gm_layout_number(info->key, ".json") == 0 || !read_id(folder, (size_t)(slash - folder), id)) return GM_OK;
	if (gm_verify_find_job(verifier, id) != NULL) return GM_OK;
	return gm_verify_add_job(verifier, id, &job, err);
}

enum gm_code gm_verify_jobs(struct gm_verifier *verifier, struct gm_error *err)
{
	return gm_store_list(verifier->table, "_gristmill/", note_object, verifier, err);
}

/* --- Commits and doubts ------------------------------------------------------------------------------------------- */

static int compare_commits(const void *a, const void *b)
{
	uint64_t x = ((const struct gm_verify_commit *)a)->run, y = ((const struct gm_verify_commit *)b)->run;
	return x < y ? -1 : x > y;
}

const struct gm_verify_commit *gm_verify_find_commit(const struct gm_verify_job *job, uint64_t run)
{
	struct gm_verify_commit wanted = {.run = run};
	if (job->commit_count == 0) return NULL;
	return bsearch(&wanted, job->commits, job->commit_count, sizeof wanted, compare_commits);
}

bool gm_verify_is_doubtful(const struct gm_verify_job *job, uint64_t run)
{
	if (job->is_old || run <= job->broken_at) return true;
	for (size_t i = 0; i < job->doubtful_count; i++)
		if (job->doubtful[i] == run) return true;
	return false;
}

enum gm_code gm_verify_doubt(struct gm_verify_job *job, uint64_t run, struct gm_error *err)
{
	uint64_t *grown = gm_grow(job->doubtful, job->doubtful_count, &job->doubtful_room, sizeof *grown);
	if (grown == NULL) return out_of_memory(err);
	job->doubtful = grown;
	job->doubtful[job->doubtful_count++] = run;
	return GM_OK;
}

/* --- Names of files ----------------------------------------------------------------------------------------------- */

bool gm_verify_name(const struct gm_verifier *verifier, const char *path, const struct gm_verify_job **job,
                    uint64_t *run)
{
	struct gm_file_name name;
	*job = NULL;
	if (!gm_file_name_parse(path, &name)) return false;
	*run = name.run;
	for (size_t i = 0; i < verifier->job_count; i++)
		if (strcmp(verifier->jobs[i].layout.job8, name.job8) == 0) *job = &verifier->jobs[i];
	return true;
}
