/* config.h - what the environment and the shared files ~/.aws/config and ~/.aws/credentials say, as every AWS tool
 * understands them.
 *
 * Read once, when a store is opened; nothing is written. AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name other
 * files; "~/" at their beginning is the home folder. A profile's setting in the credentials file goes before the same
 * of the config file. Sources: AWS SDKs and Tools Reference Guide, "Shared config and credentials files", "Settings
 * reference", "Service-specific endpoints"; where that leaves things open, botocore. A file that is not there is empty;
 * one that cannot be read, has more than 1 MiB, or is wrong is an error that names file and line, never the value. */
#ifndef GM_AWS_CONFIG_H
#define GM_AWS_CONFIG_H

#include "base/arena.h"

/* Both files and the environment; immutable; may be shared by threads. Holds secrets: wiped when freed. */
struct gm_aws_config;

/* Where settings come from; replaceable for tests. NULL for getenv(). */
typedef const char *gm_env_fn(void *context, const char *name);

struct gm_aws_config_options {
	const char *profile; /* of the job file; NULL: AWS_PROFILE, AWS_DEFAULT_PROFILE, "default" */
	gm_env_fn *env;
	void *env_context;
};
/* USAGE: a profile that was asked for by name is in neither file, or a file is wrong. */
enum gm_code gm_aws_config_load(const struct gm_aws_config_options *options, struct gm_aws_config **out,
                                struct gm_error *err) GM_CHECK;
void gm_aws_config_free(struct gm_aws_config *config); /* NULL is allowed */
/* The profile in use; "default" if none was named. */
const char *gm_aws_config_profile(const struct gm_aws_config *config);
/* Was the profile named by the job? Then it goes before keys in the environment, as --profile does in the AWS CLI; one
 * that the environment names does not. */
bool gm_aws_config_profile_is_explicit(const struct gm_aws_config *config);
/* A setting of a profile, NULL: not set; "" if nothing stands behind its "=". Nested settings are
 * "s3.addressing_style". The parts of a key (aws_access_key_id, aws_secret_access_key, aws_session_token) are taken
 * from one file, the credentials file if the key is there, so that parts of two keys never meet. */
const char *gm_aws_config_get(const struct gm_aws_config *config, const char *profile, const char *name);
bool gm_aws_config_has_profile(const struct gm_aws_config *config, const char *profile);
/* A setting of a service in the [services NAME] section that the profile in use names by `services = NAME`; service in
 * lower case: "s3", "sts". NULL: not set. */
const char *gm_aws_config_service(const struct gm_aws_config *config, const char *service, const char *name);
/* Is there a section [services NAME]? */
bool gm_aws_config_has_services(const struct gm_aws_config *config, const char *name);
/* An environment variable; NULL if unset or empty. */
const char *gm_aws_config_env(const struct gm_aws_config *config, const char *name);

/* AWS_REGION, AWS_DEFAULT_REGION, the profile's region; NULL: not given. */
const char *gm_aws_config_region(const struct gm_aws_config *config);

/* Where a service is spoken to. */
enum { GM_ENDPOINT_BYTES = 512, GM_REGION_BYTES = 64 };
struct gm_aws_endpoint {
	/* Scheme, host and port, without the scheme's own port and without a slash: "https://s3.eu-west-1.amazonaws.com" */
	char url[GM_ENDPOINT_BYTES];
	bool custom;     /* given by the user, not made from service and region */
	bool path_style; /* S3 only: bucket in the path. The user's s3.addressing_style if it is path or virtual; else true
	                  * for custom endpoints */
};
/* given: of the job file, may be NULL. Then, unless AWS_IGNORE_CONFIGURED_ENDPOINT_URLS says otherwise,
 * AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's services section, the profile's endpoint_url; else made
 * from region, with use_fips_endpoint and use_dualstack_endpoint. The error's object says where the setting stands.
 * USAGE: the URL has another scheme than http or https, a user, a query, or a path; the region is no part of a host
 * name; FIPS or dual-stack together with an endpoint of the user's; a services section that is not there. */
enum gm_code gm_aws_endpoint(const struct gm_aws_config *config, const char *service, const char *region,
                             const char *given, struct gm_aws_endpoint *out, struct gm_error *err) GM_CHECK;
/* The partition of a region, for ARNs: "aws", "aws-cn", "aws-us-gov", ...; "aws" for regions that are not known. */
const char *gm_aws_partition(const char *region);

#endif
