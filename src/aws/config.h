/* config.h - what the environment and the shared files ~/.aws/config and ~/.aws/credentials say, as every AWS tool
 * understands them.
 *
 * Read once, when a store is opened; nothing is written. AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name other
 * files. Sources: AWS SDKs and Tools Reference Guide, "Shared config and credentials files", "Settings reference",
 * "Service-specific endpoints". A file that is not there is empty; one that cannot be read or parsed is an error that
 * names file and line, never the value. */
#ifndef GM_AWS_CONFIG_H
#define GM_AWS_CONFIG_H

#include "base/arena.h"

struct
    gm_aws_config; /* both files merged by profile; immutable; may be shared by threads. Holds secrets: wiped when freed */

/* Where settings come from; replaceable for tests. NULL for getenv(). */
typedef const char *gm_env_fn(void *context, const char *name);

struct gm_aws_config_options {
	const char *profile; /* of the job file; NULL: AWS_PROFILE, AWS_DEFAULT_PROFILE, "default" */
	gm_env_fn *env;
	void *env_context;
};
/* USAGE: a profile that was asked for by name is in neither file. */
enum gm_code gm_aws_config_load(const struct gm_aws_config_options *options, struct gm_aws_config **out,
                                struct gm_error *err) GM_CHECK;
void gm_aws_config_free(struct gm_aws_config *config); /* NULL is allowed */
/* The profile in use; "default" if none was named. */
const char *gm_aws_config_profile(const struct gm_aws_config *config);
/* Was the profile named by the job or the environment? Then it goes before keys in the environment (as --profile does
 * in the AWS CLI) only if it was named by the job. */
bool gm_aws_config_profile_is_explicit(const struct gm_aws_config *config);
/* A setting of a profile, NULL: not set. Nested settings are "s3.addressing_style". */
const char *gm_aws_config_get(const struct gm_aws_config *config, const char *profile, const char *name);
bool gm_aws_config_has_profile(const struct gm_aws_config *config, const char *profile);
/* A setting of a [services NAME] section, for the profile's `services = NAME`; service in lower case: "s3", "sts". */
const char *gm_aws_config_service(const struct gm_aws_config *config, const char *service, const char *name);
/* An environment variable; NULL if unset or empty. */
const char *gm_aws_config_env(const struct gm_aws_config *config, const char *name);

/* AWS_REGION, AWS_DEFAULT_REGION, the profile's region; NULL: not given. */
const char *gm_aws_config_region(const struct gm_aws_config *config);

enum { GM_ENDPOINT_BYTES = 512, GM_REGION_BYTES = 64 };
/* Where a service is spoken to. */
struct gm_aws_endpoint {
	char url
	    [GM_ENDPOINT_BYTES]; /* scheme, host and port, without a slash at its end: "https://s3.eu-west-1.amazonaws.com" */
	bool custom;             /* given by the user, not made from service and region */
	bool
	    path_style; /* S3 only: bucket in the path. Addressing style of the user if given; else true for custom endpoints */
};
/* given: of the job file, may be NULL. Then AWS_IGNORE_CONFIGURED_ENDPOINT_URLS; AWS_ENDPOINT_URL_<SERVICE>,
 * AWS_ENDPOINT_URL, the profile's services section, the profile's endpoint_url; else made from region (partitions aws,
 * aws-cn, aws-us-gov, and the iso ones by region prefix), with use_fips_endpoint and use_dualstack_endpoint. USAGE: the
 * URL has another scheme than http or https, a user, a query, or a path. */
enum gm_code gm_aws_endpoint(const struct gm_aws_config *config, const char *service, const char *region,
                             const char *given, struct gm_aws_endpoint *out, struct gm_error *err) GM_CHECK;

#endif
