/* service_error.h - what the body of an error answer says: XML of S3 and STS, JSON of the other services. */
#ifndef GM_AWS_SERVICE_ERROR_H
#define GM_AWS_SERVICE_ERROR_H

#include "aws/config.h"

/* Each "" if it is not said; cut if it is long; one line without control characters. */
struct gm_service_error {
	char code[64]; /* "NoSuchKey" */
	char text[256];
	char region[GM_REGION_BYTES];
	char request_id[80];
};
/* A body that is neither, or damaged, or very long says nothing. */
void gm_service_error_read(const void *body, size_t bytes, struct gm_service_error *out);

#endif
