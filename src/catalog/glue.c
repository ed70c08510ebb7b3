/* glue.c - the client, databases and tables. */
#include "catalog/glue.h"

#include "base/time.h"
#include "catalog/glue_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gm_glue {
	struct gm_service *service;
	const struct gm_job *job;
};

/* --- The client --------------------------------------------------------------------------------------------------- */

/* The job's, then what the environment and the profile say, then where the table is. */
static enum gm_code find_region(const struct gm_job *job, char region[GM_REGION_BYTES], struct gm_error *err)
{
	const struct gm_aws_config_options options = {.profile = job->catalog.access.profile};
	struct gm_aws_config *config = NULL;
	const char *found = job->catalog.access.region;
	GM_TRY(gm_aws_config_load(&options, &config, err));
	if (found == NULL) found = gm_aws_config_region(config);
	if (found == NULL) found = job->table.access.region;
	(void)snprintf(region, GM_REGION_BYTES, "%s", found != NULL ? found : "");
	gm_aws_config_free(config);
	return GM_OK;
}

enum gm_code gm_glue_place(const struct gm_job *job, struct gm_glue_place *out, struct gm_error *err)
{
	GM_TRY(find_region(job, out->region, err));
	out->partition = gm_aws_partition(out->region);
	return GM_OK;
}

/* A catalog that is down must not hold up each run for long: what was committed waits, and the next run tries again. */
static const int64_t patience_us = 20 * GM_US_PER_SECOND;

enum gm_code gm_glue_open(const struct gm_job *job, const volatile int *stop, struct gm_glue **out,
                          struct gm_error *err)
{
	const struct gm_job_access *access = &job->catalog.access;
	char region[GM_REGION_BYTES];
	*out = NULL;
	GM_TRY(find_region(job, region, err));
	const struct gm_service_options options = {.aws = {.profile = access->profile,
	                                                   .region = region[0] != '\0' ? region : NULL,
	                                                   .ca_file = access->ca_file,
	                                                   .timeout_us = access->timeout_us},
	                                           .endpoint = access->endpoint,
	                                           .name = "glue",
	                                           .target = "AWSGlue",
	                                           .json = "1.1",
	                                           .patience_us = patience_us,
	                                           .stop = stop};
	struct gm_glue *glue = calloc(1, sizeof *glue);
	if (glue == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a client of Glue");
	glue->job = job;
	enum gm_code rc = gm_service_open(&options, &glue->service, err);
	if (rc == GM_OK)
		*out = glue;
	else
		gm_glue_close(glue);
	return rc;
}

void gm_glue_close(struct gm_glue *glue)
{
	if (glue == NULL) return;
	gm_service_close(glue->service);
	free(glue);
}

const char *gm_glue_region(const struct gm_glue *glue)
{
	return gm_service_region(glue->service);
}

const char *gm_glue_describe(const struct gm_glue *glue)
{
	return gm_service_describe(glue->service);
}

void gm_glue_counts(const struct gm_glue *glue, uint64_t *requests, uint64_t *retries)
{
	struct gm_call_counts counts = {.retries = 0};
	gm_service_counts(glue->service, &counts);
	*requests = 0;
	for (size_t i = 0; i < GM_CALL_KINDS; i++) *requests += counts.requests[i];
	*retries = counts.retries;
}

/* --- Calls -------------------------------------------------------------------------------------------------------- */

json_t *gm_glue_with(json_t *request, const char *name, json_t *value)
{
	if (json_object_set_new(request, name, value) == 0) return request;
	json_decref(request);
	return NULL;
}

json_t *gm_glue_request(const struct gm_glue *glue)
{
	const char *id = glue->job->catalog.id;
	json_t *request = json_object();
	return id != NULL ? gm_glue_with(request, "CatalogId", json_string(id)) : request;
}

json_t *gm_glue_request_in_database(const struct gm_glue *glue)
{
	return gm_glue_with(gm_glue_request(glue), "DatabaseName", json_string(glue->job->table.database));
}

enum gm_code gm_glue_call(struct gm_glue *glue, const char *operation, json_t *request, json_t **answer,
                          const char *doing, struct gm_glue_refusal *refusal, struct gm_error *err)
{
	struct gm_service_refusal said;
	if (refusal != NULL) *refusal = (struct gm_glue_refusal){.again = false};
	if (request == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a request to Glue");
	enum gm_code rc = gm_service_call(glue->service, operation, request, answer, doing, &said, err);
	json_decref(request);
	if (rc == GM_OK || refusal == NULL) return rc;
	/* What is busy and was asked several times has had its chance. */
	bool busy = rc == GM_TRANSIENT && said.attempts == 1;
	refusal->again = said.status != 0 && (busy || rc == GM_CHANGED || rc == GM_EXISTS);
	refusal->unclear = said.attempts > 1;
	return rc;
}

/* --- Databases ---------------------------------------------------------------------------------------------------- */

enum gm_code gm_glue_get_database(struct gm_glue *glue, struct gm_error *err)
{
	json_t *request = gm_glue_with(gm_glue_request(glue), "Name", json_string(glue->job->table.database));
	return gm_glue_call(glue, "GetDatabase", request, NULL, "read the catalog's database", NULL, err);
}

enum gm_code gm_glue_create_database(struct gm_glue *glue, struct gm_error *err)
{
	json_t *input = json_pack("{s:s}", "Name", glue->job->table.database);
	json_t *request = gm_glue_with(gm_glue_request(glue), "DatabaseInput", input);
	enum gm_code rc = gm_glue_call(glue, "CreateDatabase", request, NULL, "create the catalog's database", NULL, err);
	return rc == GM_EXISTS ? GM_OK : rc;
}

/* --- Tables ------------------------------------------------------------------------------------------------------- */

enum gm_code gm_glue_get_table(struct gm_glue *glue, const char *name, json_t **table, struct gm_error *err)
{
	json_t *answer = NULL;
	json_t *request = gm_glue_with(gm_glue_request_in_database(glue), "Name", json_string(name));
	*table = NULL;
	GM_TRY(gm_glue_call(glue, "GetTable", request, &answer, "read the table's entry in the catalog", NULL, err));
	json_t *found = json_incref(json_object_get(answer, "Table"));
	json_decref(answer);
	enum gm_code rc = gm_glue_check_table(found, err);
	if (rc == GM_OK)
		*table = found;
	else
		json_decref(found);
	return rc;
}

enum gm_code gm_glue_create_table(struct gm_glue *glue, const json_t *input, struct gm_glue_refusal *refusal,
                                  struct gm_error *err)
{
	json_t *request = gm_glue_with(gm_glue_request_in_database(glue), "TableInput", json_incref((json_t *)input));
	return gm_glue_call(glue, "CreateTable", request, NULL, "create the table's entry in the catalog", refusal, err);
}

enum gm_code gm_glue_update_table(struct gm_glue *glue, const json_t *input, const char *version,
                                  struct gm_glue_refusal *refusal, struct gm_error *err)
{
	json_t *request = gm_glue_with(gm_glue_request_in_database(glue), "TableInput", json_incref((json_t *)input));
	request = gm_glue_with(request, "SkipArchive", json_true());
	if (version[0] != '\0') request = gm_glue_with(request, "VersionId", json_string(version));
	return gm_glue_call(glue, "UpdateTable", request, NULL, "update the table's entry in the catalog", refusal, err);
}

enum gm_code gm_glue_delete_table(struct gm_glue *glue, const char *name, struct gm_error *err)
{
	json_t *request = gm_glue_with(gm_glue_request_in_database(glue), "Name", json_string(name));
	enum gm_code rc =
	    gm_glue_call(glue, "DeleteTable", request, NULL, "delete the table's entry in the catalog", NULL, err);
	return rc == GM_NOT_FOUND ? GM_OK : rc;
}
