/* connection.h - what every client of an AWS service begins with: the settings of environment and files, credentials,
 * and the thread that drives its transfers. */
#ifndef GM_AWS_CONNECTION_H
#define GM_AWS_CONNECTION_H

#include "aws/call.h"

struct gm_aws_options { /* of the job file; NULL, 0: as the environment and the user's files say */
	const char *profile, *region, *ca_file;
	int64_t timeout_us; /* after which a transfer that stands still is broken off */
};
struct gm_aws_connection {
	struct gm_aws_config *config;
	struct gm_http *http;
	struct gm_provider *provider;
	const char *region;    /* the options', or the config's; "us-east-1" where nobody says any */
	bool region_known;     /* somebody said it */
	unsigned max_attempts; /* 0: not said */
};
/* USAGE, DENIED: as gm_aws_config_load and gm_provider_new. To be closed in any case. */
enum gm_code gm_aws_connect(const struct gm_aws_options *options, struct gm_aws_connection *out,
                            struct gm_error *err) GM_CHECK;
/* One that was zeroed and not opened is allowed. */
void gm_aws_disconnect(struct gm_aws_connection *connection);

#endif
