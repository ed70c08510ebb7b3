/* service.h - a service of AWS that is spoken to in JSON (Glue, SQS): each operation is a POST of one JSON object,
 * named in a header, answered with another. Source: Smithy, "AWS JSON 1.0 and 1.1 protocols". */
#ifndef GM_AWS_SERVICE_H
#define GM_AWS_SERVICE_H

#include "aws/connection.h"
#include "base/json_text.h"

struct gm_service; /* may be used by several threads at once */
struct gm_service_options {
	struct gm_aws_options aws;
	const char *endpoint;  /* of the job file, may be NULL */
	const char *name;      /* as it is signed, and in host names: "glue" */
	const char *target;    /* before the operation's name: "AWSGlue" */
	const char *json;      /* the protocol's version: "1.1" */
	unsigned max_attempts; /* of one request; 0: as the environment says, or 8 */
	int64_t patience_us;   /* both as of gm_client_options */
	const volatile int *stop;
};
/* Strings are copied. */
enum gm_code gm_service_open(const struct gm_service_options *options, struct gm_service **out,
                             struct gm_error *err) GM_CHECK;
void gm_service_close(struct gm_service *service); /* NULL is allowed */
const char *gm_service_region(const struct gm_service *service);
/* For people, no secrets: whose credentials. */
const char *gm_service_describe(const struct gm_service *service);
void gm_service_counts(const struct gm_service *service, struct gm_call_counts *add_to);

/* What a service said when it refused. */
struct gm_service_refusal {
	int status;        /* 0: it said nothing */
	unsigned attempts; /* more than one: an earlier one may have taken effect */
	char code[64];     /* "EntityNotFoundException" */
};
/* Calls an operation; request is the caller's, *answer is to be freed with json_decref (NULL where not wanted). Retried
 * as call.h says, so that an operation may have been carried out more than once. When the service refuses: refusal
 * (may be NULL) says how, and err is filled, with `doing` ("update the catalog's table"). CORRUPT: a success without a
 * JSON object. */
enum gm_code gm_service_call(struct gm_service *service, const char *operation, const json_t *request, json_t **answer,
                             const char *doing, struct gm_service_refusal *refusal, struct gm_error *err) GM_CHECK;

#endif
