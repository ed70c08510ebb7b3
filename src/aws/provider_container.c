/* provider_container.c - the endpoint that ECS and EKS give to a container.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Container credential provider"; Amazon ECS Developer Guide, "Task IAM
 * role". GET of the URL, with an Authorization header if the environment has a token for it, gives
 *
 *     {"AccessKeyId": "...", "SecretAccessKey": "...", "Token": "...", "Expiration": "2024-03-10T22:01:24Z", ...}
 *
 * and a refusal may be {"code": "...", "message": "..."}.
 *
 *     AWS_CONTAINER_CREDENTIALS_RELATIVE_URI     path at http://169.254.170.2
 *     AWS_CONTAINER_CREDENTIALS_FULL_URI         URL; plain HTTP only to the machine itself and to the addresses of ECS
 *                                                and EKS, since what is sent and what comes back is secret
 *     AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE     the token in a file, which is replaced from time to time
 *     AWS_CONTAINER_AUTHORIZATION_TOKEN          the token */
#include "aws/providers.h"

#include "aws/credential_json.h"
#include "base/time.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <string.h>
#include <strings.h>

enum { ATTEMPTS = 4 };
static const int64_t timeout_us = 2 * GM_US_PER_SECOND;
static const char ecs[] = "http://169.254.170.2";

/* --- The URL ------------------------------------------------------------------------------------------------------ */

/* As curl takes the URL apart, since curl will go there. */
static bool is_near(const char *host)
{
	static const char *const hosts[] = {"localhost", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "[::1]"};
	struct in_addr address;
	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
		if (strcasecmp(host, hosts[i]) == 0) return true;
	return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static const char *judge(const char *scheme, const char *host, bool has_user)
{
	if (has_user) return "it has a user name in it";
	if (strcasecmp(scheme, "https") == 0) return NULL;
	if (strcasecmp(scheme, "http") != 0) return "it is neither https nor http";
	return is_near(host) ? NULL : "plain HTTP is for loopback, 169.254.170.2, 169.254.170.23 and [fd00:ec2::23] only";
}

/* The endpoint without path and query, which may be secret; NULL: no memory. */
static const char *name_of(struct gm_arena *arena, const char *scheme, const char *host, const char *port)
{
	const char *colon = port != NULL ? ":" : "";
	return gm_arena_printf(arena, "the container's endpoint at %s://%s%s%s", scheme, host, colon,
	                       port != NULL ? port : "");
}

static enum gm_code check_url(struct gm_arena *arena, struct gm_source *out, struct gm_error *err)
{
	char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL;
	enum gm_code rc = GM_OK;
	CURLU *url = curl_url();
	CURLUcode bad = url != NULL ? curl_url_set(url, CURLUPART_URL, out->container.url, CURLU_NON_SUPPORT_SCHEME)
	                            : CURLUE_OUT_OF_MEMORY;
	if (bad == CURLUE_OK) bad = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
	if (bad == CURLUE_OK) bad = curl_url_get(url, CURLUPART_HOST, &host, 0);
	if (bad == CURLUE_OK) {
		bool has_user = curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK;
		(void)curl_url_get(url, CURLUPART_PORT, &port, 0);
		const char *why = judge(scheme, host, has_user);
		if (why != NULL) rc = gm_error_set(err, GM_USAGE, "AWS_CONTAINER_CREDENTIALS_FULL_URI: %s", why);
		out->name = rc == GM_OK ? name_of(arena, scheme, host, port) : NULL;
		if (rc == GM_OK && out->name == NULL) bad = CURLUE_OUT_OF_MEMORY;
	}
	if (bad == CURLUE_OUT_OF_MEMORY)
		rc = gm_error_set(err, GM_NOMEM, "out of memory for a URL");
	else if (bad != CURLUE_OK)
		rc = gm_error_set(err, GM_USAGE, "AWS_CONTAINER_CREDENTIALS_FULL_URI is not a URL");
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(user);
	curl_url_cleanup(url);
	return rc;
}

static enum gm_code use_relative(const char *path, struct gm_arena *arena, struct gm_source *out, struct gm_error *err)
{
	/* Anything else would go on with the address: "169.254.170.2" and ".example.com". */
	if (path[0] != '/') GM_FAIL(err, GM_USAGE, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with '/'");
	out->container.url = gm_arena_printf(arena, "%s%s", ecs, path);
	out->name = gm_arena_printf(arena, "the container's endpoint at %s", ecs);
	if (out->container.url == NULL || out->name == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a URL");
	return GM_OK;
}

enum gm_code gm_container_configure(const struct gm_aws_config *config, struct gm_arena *arena, struct gm_source *out,
                                    bool *is_there, struct gm_error *err)
{
	const char *relative = gm_aws_config_env(config, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = gm_aws_config_env(config, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	*is_there = relative != NULL || full != NULL;
	if (!*is_there) return GM_OK;
	out->kind = GM_SOURCE_CONTAINER;
	out->container.url = full;
	out->container.token = gm_aws_config_env(config, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
	out->container.token_file = gm_aws_config_env(config, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	return relative != NULL ? use_relative(relative, arena, out, err) : check_url(arena, out, err);
}

/* --- Asking ------------------------------------------------------------------------------------------------------- */

static enum gm_code find_token(const struct gm_source *source, struct gm_secret_memory *memory, const char **out,
                               struct gm_error *err)
{
	*out = source->container.token;
	if (source->container.token_file != NULL)
		return gm_token_file_read(source->container.token_file, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", memory, out,
		                          err);
	/* A header's value: white space and more could make it two. */
	if (*out != NULL && !gm_token_is_plain(*out))
		GM_FAIL(err, GM_DENIED, "AWS_CONTAINER_AUTHORIZATION_TOKEN holds characters that no token has");
	return GM_OK;
}

static enum gm_code refuse(const struct gm_source *source, const struct gm_reply *reply, struct gm_error *err)
{
	struct gm_json_member why[] = {{.name = "code"}, {.name = "message"}};
	char text[GM_REPLY_TEXT_BYTES] = "";
	if (gm_credential_json_read(reply->text, reply->bytes, why, 2, NULL) == GM_OK)
		gm_reply_text(why[0].text, why[1].text, source->container.token, text);
	GM_FAIL(err, GM_DENIED, "%s answered %d%s", source->name, reply->status, text);
}

static enum gm_code take_answer(const struct gm_source *source, const struct gm_reply *reply, struct gm_keys **out,
                                struct gm_error *err)
{
	struct gm_json_member members[] = {
	    {.name = "AccessKeyId"}, {.name = "SecretAccessKey"}, {.name = "Token"}, {.name = "Expiration"}};
	struct gm_error why;
	if (reply->status != 200) return refuse(source, reply, err);
	if (gm_credential_json_read(reply->text, reply->bytes, members, 4, &why) != GM_OK)
		GM_FAIL(err, GM_DENIED, "the answer of %s is of no use: %s", source->name, why.message);
	const struct gm_given_keys given = {members[0].text, members[1].text, members[2].text, members[3].text};
	return gm_keys_new(&given, source->name, out, err);
}

enum gm_code gm_container_ask(const struct gm_source *source, const struct gm_asker *asker, struct gm_keys **out,
                              struct gm_error *err)
{
	struct gm_http_request request = {.method = "GET", .url = source->container.url};
	const struct gm_question question = {&request, source->name, timeout_us, ATTEMPTS, ATTEMPTS};
	struct gm_secret_memory memory;
	struct gm_reply reply;
	const char *token;
	enum gm_code rc;
	gm_secret_init(&memory, GM_ASKING_BYTES_MAX);
	GM_TRY_OUT(find_token(source, &memory, &token, err));
	if (token != NULL) request.headers[request.header_count++] = (struct gm_http_header){"Authorization", token};
	GM_TRY_OUT(gm_question_ask(&question, asker, &memory, &reply, err));
	rc = take_answer(source, &reply, out, err);
out:
	gm_secret_release(&memory);
	return rc;
}
