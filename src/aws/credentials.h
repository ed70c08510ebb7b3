/* credentials.h - whose requests these are: the chain of providers of every AWS tool, cached, refreshed before they
 * expire, and kept out of logs, error texts, plans and core dumps.
 *
 * Order: profile named by the job; keys in the environment; web identity of the environment (AWS_ROLE_ARN +
 * AWS_WEB_IDENTITY_TOKEN_FILE); the profile in use (role_arn with source_profile or credential_source,
 * web_identity_token_file, static keys, credential_process); the container endpoint (AWS_CONTAINER_CREDENTIALS_*); the
 * instance's metadata service (IMDSv2). The first that is configured decides: one that is configured and fails is an
 * error, not a reason to try the next. With a profile named by the job the environment's keys and web identity are not
 * looked at, even if it has no credentials in it.
 *
 * Secrets live in pages of their own that are not dumped (MADV_DONTDUMP) and are wiped before they are freed. */
#ifndef GM_AWS_CREDENTIALS_H
#define GM_AWS_CREDENTIALS_H

#include "aws/config.h"
#include "aws/http.h"
#include "aws/sign.h"

/* Credentials, held for one signing: the strings stay as they are, whatever the provider learns meanwhile, until
 * gm_credentials_wipe; there is one copy of them in the process. */
struct gm_credentials {
	const char *access_key, *secret_key, *session_token; /* token: "" if none */
	int64_t expires_us;                                  /* INT64_MAX: never */
	struct gm_keys *held;
};
/* Lets go of them: the last who does wipes them. Nothing is to be done if gm_provider_get has failed, or for zeroes. */
void gm_credentials_wipe(struct gm_credentials *credentials);

struct gm_provider; /* thread-safe */
struct gm_provider_options {
	const struct gm_aws_config *config; /* lives longer than the provider */
	struct gm_http *http;               /* the same */
	const char *region;                 /* for STS; NULL: as configured, else us-east-1 */
	int64_t (*now_us)(void *clock);     /* NULL: the wall clock */
	void *clock;
};
/* Decides which source of credentials is configured; asks nobody yet. With none configured the instance's metadata
 * service is the source, unless AWS_EC2_METADATA_DISABLED is true: DENIED with a hint then. USAGE: what is configured
 * contradicts itself, goes in a circle, lacks a part or wants what is not supported (MFA, SSO). */
enum gm_code gm_provider_new(const struct gm_provider_options *options, struct gm_provider **out,
                             struct gm_error *err) GM_CHECK;
void gm_provider_free(struct gm_provider *provider); /* NULL is allowed */
/* The credentials as of now: cached while they are valid for five minutes more (or forced is false and refreshing
 * failed while they are still valid). force: they were refused as expired, get new ones. Only one thread asks at a
 * time; meanwhile the others go on with what is valid, or wait for its answer and take that.
 * DENIED: they cannot be had; the message names the source and why, the hint what to do. TRANSIENT: a service did not
 * answer, although asked a few times. IO: TLS failed. NOMEM. */
enum gm_code gm_provider_get(struct gm_provider *provider, bool force, struct gm_credentials *out,
                             struct gm_error *err) GM_CHECK;
/* For people, no secrets: "profile 'etl': role arn:aws:iam::1:role/x by way of profile 'base': keys". */
const char *gm_provider_describe(const struct gm_provider *provider);

/* Anonymous requests: a provider is not needed; call.h signs nothing then. */
#endif
