#include "aws/connection.h"

#include <stdlib.h>

static const char *setting(const struct gm_aws_config *config, const char *variable, const char *name)
{
	const char *value = gm_aws_config_env(config, variable);
	return value != NULL ? value : gm_aws_config_get(config, gm_aws_config_profile(config), name);
}

static unsigned attempts_of(const struct gm_aws_config *config)
{
	const char *text = setting(config, "AWS_MAX_ATTEMPTS", "max_attempts");
	unsigned long n = text != NULL ? strtoul(text, NULL, 10) : 0;
	return n > 100 ? 100 : (unsigned)n;
}

enum gm_code gm_aws_connect(const struct gm_aws_options *options, struct gm_aws_connection *out, struct gm_error *err)
{
	struct gm_aws_config_options files = {.profile = options->profile};
	*out = (struct gm_aws_connection){.config = NULL};
	GM_TRY(gm_aws_config_load(&files, &out->config, err));
	const char *region = options->region != NULL ? options->region : gm_aws_config_region(out->config);
	out->region_known = region != NULL;
	out->region = region != NULL ? region : "us-east-1";
	out->max_attempts = attempts_of(out->config);
	const char *ca_file = options->ca_file;
	if (ca_file == NULL) ca_file = setting(out->config, "AWS_CA_BUNDLE", "ca_bundle");
	struct gm_http_options http = {.ca_file = ca_file, .stall_us = options->timeout_us};
	GM_TRY(gm_http_new(&http, &out->http, err));
	struct gm_provider_options credentials = {.config = out->config, .http = out->http, .region = out->region};
	return gm_provider_new(&credentials, &out->provider, err);
}

void gm_aws_disconnect(struct gm_aws_connection *connection)
{
	gm_provider_free(connection->provider);
	gm_http_free(connection->http);
	gm_aws_config_free(connection->config);
	*connection = (struct gm_aws_connection){.config = NULL};
}
