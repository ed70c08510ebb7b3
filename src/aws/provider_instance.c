/* provider_instance.c - the metadata service of an EC2 instance, version 2.
 *
 * Source: Amazon EC2 User Guide, "Use the Instance Metadata Service to access instance metadata" and "Retrieve security
 * credentials from instance metadata"; AWS SDKs and Tools Reference Guide, "IMDS credential provider".
 *
 *     PUT /latest/api/token                                             the body is a token
 *         X-aws-ec2-metadata-token-ttl-seconds: 60
 *     GET /latest/meta-data/iam/security-credentials/                   the body is the role's name
 *         X-aws-ec2-metadata-token: TOKEN
 *     GET /latest/meta-data/iam/security-credentials/ROLE               {"Code": "Success", "AccessKeyId": "...",
 *         X-aws-ec2-metadata-token: TOKEN                                "SecretAccessKey": "...", "Token": "...",
 *                                                                        "Expiration": "2024-03-10T22:01:24Z", ...}
 *
 * Version 1, which needs no token, is not fallen back to: a program that can be made to send a GET anywhere could be
 * made to fetch credentials. Elsewhere than on EC2 nobody answers at that address, and often nobody even refuses: so
 * the first request has a second, and one more attempt. */
#include "aws/providers.h"

#include "aws/credential_json.h"
#include "base/time.h"

#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { ATTEMPTS = 4, REACH_ATTEMPTS = 2, NUMBER_MAX = 100, ROLE_MAX = 128, REFUSAL_NO_ROLE = 404 };
static const char folder[] = "/latest/meta-data/iam/security-credentials/";

struct asking {
	const struct gm_source *source;
	const struct gm_asker *asker;
	struct gm_secret_memory memory;
	const char *token;
	struct gm_error *err;
};

/* --- Settings ----------------------------------------------------------------------------------------------------- */

static const char *setting(const struct gm_aws_config *config, const char *variable, const char *name)
{
	const char *value = gm_aws_config_env(config, variable);
	return value != NULL ? value : gm_aws_config_get(config, gm_aws_config_profile(config), name);
}

static enum gm_code read_number(const struct gm_aws_config *config, const char *variable, const char *name,
                                unsigned fallback, unsigned *out, struct gm_error *err)
{
	const char *value = setting(config, variable, name);
	*out = fallback;
	if (value == NULL || value[0] == '\0') return GM_OK;
	char *end = NULL;
	unsigned long number = strtoul(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end != '\0' || number < 1 || number > NUMBER_MAX)
		GM_FAIL(err, GM_USAGE, "%s (or %s in a profile) is no whole number from 1 to %d", variable, name, NUMBER_MAX);
	*out = (unsigned)number;
	return GM_OK;
}

static enum gm_code find_endpoint(const struct gm_aws_config *config, const char **out, struct gm_error *err)
{
	const char *mode = setting(config, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode");
	*out = setting(config, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint");
	if (*out != NULL && (*out)[0] != '\0') {
		if (strncasecmp(*out, "http://", 7) == 0 || strncasecmp(*out, "https://", 8) == 0) return GM_OK;
		GM_FAIL(err, GM_USAGE, "AWS_EC2_METADATA_SERVICE_ENDPOINT is no URL that begins with http:// or https://");
	}
	*out = "http://169.254.169.254";
	if (mode == NULL || mode[0] == '\0' || strcasecmp(mode, "IPv4") == 0) return GM_OK;
	*out = "http://[fd00:ec2::254]";
	if (strcasecmp(mode, "IPv6") == 0) return GM_OK;
	GM_FAIL(err, GM_USAGE, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is neither IPv4 nor IPv6");
}

enum gm_code gm_instance_configure(const struct gm_aws_config *config, struct gm_arena *arena, struct gm_source *out,
                                   struct gm_error *err)
{
	const char *endpoint;
	unsigned seconds, attempts;
	GM_TRY(read_number(config, "AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout", 1, &seconds, err));
	GM_TRY(read_number(config, "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "metadata_service_num_attempts", REACH_ATTEMPTS,
	                   &attempts, err));
	GM_TRY(find_endpoint(config, &endpoint, err));
	size_t n = strlen(endpoint);
	while (n > 0 && endpoint[n - 1] == '/') n--;
	out->kind = GM_SOURCE_INSTANCE;
	out->instance.endpoint = gm_arena_strndup(arena, endpoint, n);
	out->instance.timeout_us = (int64_t)seconds * GM_US_PER_SECOND;
	out->instance.attempts = attempts;
	out->instance.others = NULL;
	if (out->instance.endpoint != NULL)
		out->name = gm_arena_printf(arena, "the instance's metadata service at %s", out->instance.endpoint);
	if (out->instance.endpoint == NULL || out->name == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a URL");
	return GM_OK;
}

/* --- Asking ------------------------------------------------------------------------------------------------------- */

static enum gm_code ask(struct asking *asking, const char *method, const char *path, const char *more,
                        struct gm_reply *reply)
{
	char url[1024];
	const struct gm_source *source = asking->source;
	struct gm_http_request request = {.method = method, .url = url, .header_count = 1};
	unsigned attempts = source->instance.attempts;
	const struct gm_question question = {&request, source->name, source->instance.timeout_us,
	                                     attempts > ATTEMPTS ? attempts : ATTEMPTS, attempts};
	int n = snprintf(url, sizeof url, "%s%s%s", source->instance.endpoint, path, more);
	if (n < 0 || (size_t)n >= sizeof url) GM_FAIL(asking->err, GM_USAGE, "the URL of %s is too long", source->name);
	request.headers[0] = asking->token != NULL ? (struct gm_http_header){"X-aws-ec2-metadata-token", asking->token}
	                                           : (struct gm_http_header){"X-aws-ec2-metadata-token-ttl-seconds", "60"};
	return gm_question_ask(&question, asking->asker, &asking->memory, reply, asking->err);
}

static enum gm_code fetch_token(struct asking *asking)
{
	struct gm_reply reply;
	const char *name = asking->source->name;
	GM_TRY(ask(asking, "PUT", "/latest/api/token", "", &reply));
	if (reply.status == 200) {
		if (strlen(reply.text) != reply.bytes || !gm_token_is_plain(reply.text))
			GM_FAIL(asking->err, GM_DENIED, "%s gave a token that cannot be one", name);
		asking->token = reply.text;
		return GM_OK;
	}
	(void)gm_error_set(asking->err, GM_DENIED, "%s answered %d when asked for a token (IMDSv2)", name, reply.status);
	return gm_error_hint(asking->err, GM_DENIED,
	                     reply.status == 403
	                         ? "the service is switched off for this instance (HttpEndpoint), or blocked"
	                         : "IMDSv1 is not used: it lets any GET request fetch credentials");
}

/* The first line: there is one, but the service promises a list. */
static enum gm_code fetch_role(struct asking *asking, const char **out)
{
	struct gm_reply reply;
	const char *name = asking->source->name;
	GM_TRY(ask(asking, "GET", folder, "", &reply));
	if (reply.status == REFUSAL_NO_ROLE) {
		(void)gm_error_set(asking->err, GM_DENIED, "%s: the instance has no role", name);
		return gm_error_hint(asking->err, GM_DENIED, "attach an instance profile with an IAM role to the instance");
	}
	if (reply.status != 200)
		GM_FAIL(asking->err, GM_DENIED, "%s answered %d when asked for the role's name", name, reply.status);
	reply.text[strcspn(reply.text, "\r\n")] = '\0';
	size_t n = strlen(reply.text);
	/* What an IAM role's name is made of. */
	if (n == 0 || n > ROLE_MAX ||
	    strspn(reply.text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+=,.@_-") != n)
		GM_FAIL(asking->err, GM_DENIED, "%s gave a role's name that cannot be one", name);
	*out = reply.text;
	return GM_OK;
}

static enum gm_code fetch_keys(struct asking *asking, const char *role, struct gm_keys **out)
{
	enum { CODE, MESSAGE, ACCESS_KEY, SECRET_KEY, TOKEN, EXPIRATION, MEMBERS };
	struct gm_json_member members[MEMBERS] = {{.name = "Code"},        {.name = "Message"},
	                                          {.name = "AccessKeyId"}, {.name = "SecretAccessKey"},
	                                          {.name = "Token"},       {.name = "Expiration"}};
	struct gm_reply reply;
	struct gm_error why;
	char text[GM_REPLY_TEXT_BYTES];
	const char *name = asking->source->name, *code;
	GM_TRY(ask(asking, "GET", folder, role, &reply));
	if (reply.status != 200)
		GM_FAIL(asking->err, GM_DENIED, "%s answered %d when asked for the keys of role %s", name, reply.status, role);
	if (gm_credential_json_read(reply.text, reply.bytes, members, MEMBERS, &why) != GM_OK)
		GM_FAIL(asking->err, GM_DENIED, "the answer of %s is of no use: %s", name, why.message);
	code = members[CODE].text;
	if (code != NULL && strcmp(code, "Success") != 0) {
		gm_reply_text(code, members[MESSAGE].text, asking->token, text);
		GM_FAIL(asking->err, GM_DENIED, "%s has no keys for role %s%s", name, role, text);
	}
	const struct gm_given_keys given = {members[ACCESS_KEY].text, members[SECRET_KEY].text, members[TOKEN].text,
	                                    members[EXPIRATION].text};
	return gm_keys_new(&given, name, out, asking->err);
}

/* It was asked because nothing else is configured, and has no tokens, either: what was looked for is the news. */
static enum gm_code tell_nothing_found(const struct gm_source *source, enum gm_code code, struct gm_error *err)
{
	char why[sizeof err->message];
	if (source->instance.others == NULL || (code != GM_TRANSIENT && code != GM_DENIED) || err == NULL) return code;
	(void)snprintf(why, sizeof why, "%s", err->message);
	(void)gm_error_set(err, GM_DENIED, "no credentials: %s; and %s", source->instance.others, why);
	return gm_error_hint(err, GM_DENIED, GM_CREDENTIALS_HINT);
}

enum gm_code gm_instance_ask(const struct gm_source *source, const struct gm_asker *asker, struct gm_keys **out,
                             struct gm_error *err)
{
	struct asking asking = {.source = source, .asker = asker, .err = err};
	const char *role = NULL;
	enum gm_code rc;
	gm_secret_init(&asking.memory, GM_ASKING_BYTES_MAX);
	rc = fetch_token(&asking);
	if (rc != GM_OK) {
		rc = tell_nothing_found(source, rc, err);
		goto out;
	}
	GM_TRY_OUT(fetch_role(&asking, &role));
	rc = fetch_keys(&asking, role, out);
out:
	gm_secret_release(&asking.memory);
	return rc;
}
