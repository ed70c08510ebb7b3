#include "aws/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUEST_BYTES_MAX = 16 << 20, TARGET_BYTES = 64, TYPE_BYTES = 48 };

struct gm_service {
	struct gm_aws_connection connection;
	struct gm_client *client;
	char region[GM_REGION_BYTES];
	char target[TARGET_BYTES], content_type[TYPE_BYTES];
};

static enum gm_code open_client(struct gm_service *service, const struct gm_service_options *options,
                                struct gm_error *err)
{
	struct gm_aws_connection *connection = &service->connection;
	struct gm_aws_endpoint endpoint;
	GM_TRY(gm_aws_connect(&options->aws, connection, err));
	GM_TRY(gm_aws_endpoint(connection->config, options->name, connection->region, options->endpoint, &endpoint, err));
	if (!connection->region_known && !endpoint.custom) {
		(void)gm_error_set(err, GM_USAGE, "the region of %s is not known", options->name);
		return gm_error_hint(err, GM_USAGE, "set AWS_REGION, or region in the profile or the job file");
	}
	(void)snprintf(service->region, sizeof service->region, "%s", connection->region);
	(void)snprintf(service->target, sizeof service->target, "%s", options->target);
	(void)snprintf(service->content_type, sizeof service->content_type, "application/x-amz-json-%s", options->json);
	struct gm_client_options client = {.service = options->name,
	                                   .region = connection->region,
	                                   .endpoint = endpoint.url,
	                                   .http = connection->http,
	                                   .provider = connection->provider,
	                                   .max_attempts = options->max_attempts != 0 ? options->max_attempts
	                                                                              : connection->max_attempts,
	                                   .patience_us = options->patience_us,
	                                   .stop = options->stop};
	return gm_client_new(&client, &service->client, err);
}

enum gm_code gm_service_open(const struct gm_service_options *options, struct gm_service **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_service *service = calloc(1, sizeof *service);
	if (service == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a client of %s", options->name);
	enum gm_code rc = open_client(service, options, err);
	if (rc == GM_OK)
		*out = service;
	else
		gm_service_close(service);
	return rc;
}

void gm_service_close(struct gm_service *service)
{
	if (service == NULL) return;
	gm_client_free(service->client);
	gm_aws_disconnect(&service->connection);
	free(service);
}

const char *gm_service_region(const struct gm_service *service)
{
	return service->region;
}

const char *gm_service_describe(const struct gm_service *service)
{
	return gm_provider_describe(service->connection.provider);
}

void gm_service_counts(const struct gm_service *service, struct gm_call_counts *add_to)
{
	gm_client_counts(service->client, add_to);
}

/* --- Calls -------------------------------------------------------------------------------------------------------- */

/* These services refuse nearly everything with status 400; what they mean is in the name. */
static enum gm_code code_of(const char *name, enum gm_code by_status)
{
	static const struct {
		const char *name;
		enum gm_code code;
	} known[] = {
	    {"AccessDenied", GM_DENIED},
	    {"AccessDeniedException", GM_DENIED},
	    {"UnrecognizedClientException", GM_DENIED},
	    {"InvalidSignatureException", GM_DENIED},
	    {"MissingAuthenticationTokenException", GM_DENIED},
	    {"IncompleteSignature", GM_DENIED},
	    {"InvalidClientTokenId", GM_DENIED},
	    {"InvalidSecurity", GM_DENIED},
	    {"KmsAccessDenied", GM_DENIED},
	    {"EntityNotFoundException", GM_NOT_FOUND},
	    {"QueueDoesNotExist", GM_NOT_FOUND},
	    {"AWS.SimpleQueueService.NonExistentQueue", GM_NOT_FOUND},
	    {"AlreadyExistsException", GM_EXISTS},
	    {"ConcurrentModificationException", GM_CHANGED},
	    {"VersionMismatchException", GM_CHANGED},
	    {"OperationTimeoutException", GM_TRANSIENT},
	    {"ResourceNotReadyException", GM_TRANSIENT},
	    {"FederationSourceRetryableException", GM_TRANSIENT},
	};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strcmp(name, known[i].name) == 0) return known[i].code;
	return by_status;
}

static enum gm_code read_answer(const struct gm_call_response *response, const char *doing, json_t **answer,
                                struct gm_error *err)
{
	const struct gm_buf *body = &response->http.body;
	json_t *json = NULL;
	enum gm_code rc = gm_json_parse((const char *)body->data, body->len, 0, &json, err);
	if (rc == GM_NOMEM) return rc;
	if (rc != GM_OK || !json_is_object(json)) {
		json_decref(json);
		GM_FAIL(err, GM_CORRUPT, "could not %s: the answer is no JSON object", doing);
	}
	*answer = json;
	return GM_OK;
}

static enum gm_code judge(const struct gm_call_response *response, const char *doing,
                          struct gm_service_refusal *refusal, json_t **answer, struct gm_error *err)
{
	int status = response->http.status;
	if (status == 200 && answer == NULL) return GM_OK;
	if (status == 200) return read_answer(response, doing, answer, err);
	if (refusal != NULL) {
		*refusal = (struct gm_service_refusal){.status = status, .attempts = response->attempts};
		(void)snprintf(refusal->code, sizeof refusal->code, "%s", response->error);
	}
	enum gm_code by_status = gm_call_fail(response, doing, err), code = code_of(response->error, by_status);
	if (code != by_status && err != NULL) err->code = code;
	if (code == GM_DENIED && by_status != GM_DENIED)
		return gm_error_hint(err, code, "'gristmill policy JOB' prints what these credentials must be allowed");
	return code;
}

static enum gm_code call_with(struct gm_service *service, const char *operation, const struct gm_buf *body,
                              json_t **answer, const char *doing, struct gm_service_refusal *refusal,
                              struct gm_error *err)
{
	char target[TARGET_BYTES + 64];
	(void)snprintf(target, sizeof target, "%s.%s", service->target, operation);
	struct gm_call_request request = {.kind = GM_CALL_OTHER,
	                                  .method = "POST",
	                                  .path = "/",
	                                  .headers = {{"content-type", service->content_type}, {"x-amz-target", target}},
	                                  .header_count = 2,
	                                  .body = body->data,
	                                  .body_bytes = body->len};
	struct gm_call *call = NULL;
	struct gm_call_response *response;
	GM_TRY(gm_call_start(service->client, &request, &call, err));
	enum gm_code rc = gm_call_wait(call, &response, err);
	if (rc == GM_OK) rc = judge(response, doing, refusal, answer, err);
	gm_call_end(call);
	return rc;
}

enum gm_code gm_service_call(struct gm_service *service, const char *operation, const json_t *request, json_t **answer,
                             const char *doing, struct gm_service_refusal *refusal, struct gm_error *err)
{
	struct gm_buf body;
	if (answer != NULL) *answer = NULL;
	if (refusal != NULL) *refusal = (struct gm_service_refusal){.status = 0};
	gm_buf_init(&body, REQUEST_BYTES_MAX);
	enum gm_code rc = gm_json_text(request, &body, err);
	if (rc == GM_OK) rc = call_with(service, operation, &body, answer, doing, refusal, err);
	gm_buf_release(&body);
	return rc;
}
