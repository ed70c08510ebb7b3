/* provider_sts.c - roles, assumed at the Security Token Service.
 *
 * Source: AWS Security Token Service API Reference, AssumeRole and AssumeRoleWithWebIdentity, and "Common errors"; the
 * AWS Query protocol. A form is posted to the root of the service's endpoint,
 *
 *     Action=AssumeRole&Version=2011-06-15&RoleArn=...&RoleSessionName=...[&DurationSeconds=...][&ExternalId=...]
 *     Action=AssumeRoleWithWebIdentity&...&WebIdentityToken=...
 *
 * signed with the keys that may assume the role, or, for a token, not signed at all. The answer is
 *
 *     <AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
 *       <AssumeRoleResult>
 *         <Credentials>
 *           <AccessKeyId>..</AccessKeyId> <SecretAccessKey>..</SecretAccessKey> <SessionToken>..</SessionToken>
 *           <Expiration>2024-03-10T22:01:24Z</Expiration>
 *
 * with the name of the action in the first two, or <ErrorResponse><Error><Code>..</Code><Message>..</Message>. */
#include "aws/providers.h"

#include "aws/xml.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS = 4, DURATION_MIN = 900, DURATION_MAX = 43200, FORM_BYTES_MAX = 256 << 10 };
static const int64_t timeout_us = 10 * GM_US_PER_SECOND;
/* Signatures are good for five minutes before and after. */
static const int64_t skew_us = 4 * 60 * GM_US_PER_SECOND;

/* One role assumed. */
struct assuming {
	const struct gm_sts *sts;
	const struct gm_role *role;
	const struct gm_keys *with; /* NULL: the request is not signed */
	const char *secret;         /* that is sent */
	const char *whom;
	struct gm_secret_memory memory;
	struct gm_arena arena; /* nothing secret */
	struct gm_error *err;
	char *form; /* in memory */
	size_t form_bytes;
};

static enum gm_code no_memory(const struct assuming *assuming)
{
	GM_FAIL(assuming->err, GM_NOMEM, "out of memory for assuming a role");
}

/* --- The form ----------------------------------------------------------------------------------------------------- */

static bool is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-._~", c) != NULL);
}

/* Appends "&name=value", encoded. */
static enum gm_code add_field(struct assuming *assuming, const char *name, const char *value)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t most = strlen(name) + 2 + 3 * strlen(value);
	if (most > FORM_BYTES_MAX - assuming->form_bytes) GM_FAIL(assuming->err, GM_DENIED, "%s is too long", name);
	char *to = assuming->form + assuming->form_bytes;
	if (assuming->form_bytes > 0) *to++ = '&';
	to = stpcpy(to, name);
	*to++ = '=';
	for (; *value != '\0'; value++) {
		unsigned char c = (unsigned char)*value;
		if (is_unreserved(c)) {
			*to++ = (char)c;
			continue;
		}
		*to++ = '%';
		*to++ = digits[c >> 4];
		*to++ = digits[c & 15];
	}
	assuming->form_bytes = (size_t)(to - assuming->form);
	return GM_OK;
}

/* Names the session by time, if the user has not: CloudTrail shows it. */
static enum gm_code add_session_name(struct assuming *assuming)
{
	char name[48];
	const struct gm_asker *asker = assuming->sts->asker;
	const char *given = assuming->role->session_name;
	(void)snprintf(name, sizeof name, "gristmill-%lld", (long long)(asker->now_us(asker->clock) / GM_US_PER_SECOND));
	return add_field(assuming, "RoleSessionName", given != NULL ? given : name);
}

static enum gm_code add_duration(struct assuming *assuming)
{
	const char *seconds = assuming->role->duration_seconds;
	if (seconds == NULL) return GM_OK;
	char *end = NULL;
	long number = strtol(seconds, &end, 10);
	if (seconds[0] < '0' || seconds[0] > '9' || *end != '\0' || number < DURATION_MIN || number > DURATION_MAX)
		GM_FAIL(assuming->err, GM_USAGE, "profile '%s': duration_seconds is no number from %d to %d",
		        assuming->role->profile, DURATION_MIN, DURATION_MAX);
	return add_field(assuming, "DurationSeconds", seconds);
}

static enum gm_code make_form(struct assuming *assuming, const char *action, const char *token)
{
	const struct gm_role *role = assuming->role;
	assuming->form = gm_secret_alloc(&assuming->memory, FORM_BYTES_MAX);
	if (assuming->form == NULL) return no_memory(assuming);
	GM_TRY(add_field(assuming, "Action", action));
	GM_TRY(add_field(assuming, "Version", "2011-06-15"));
	GM_TRY(add_field(assuming, "RoleArn", role->arn));
	GM_TRY(add_session_name(assuming));
	GM_TRY(add_duration(assuming));
	if (role->external_id != NULL && token == NULL) GM_TRY(add_field(assuming, "ExternalId", role->external_id));
	return token != NULL ? add_field(assuming, "WebIdentityToken", token) : GM_OK;
}

/* --- The request -------------------------------------------------------------------------------------------------- */

static void add_header(struct gm_http_request *request, const char *name, const char *value)
{
	request->headers[request->header_count++] = (struct gm_http_header){name, value};
}

/* Adds date, token and signature. */
static enum gm_code sign(struct assuming *assuming, int64_t now_us, struct gm_http_request *request)
{
	const struct gm_keys *with = assuming->with;
	const struct gm_signer signer = {with->access_key, with->secret_key, with->session_token};
	char sha256[GM_SHA256_HEX_BYTES];
	const char *authorization;
	struct gm_sign_pair headers[4];
	size_t count = 0;
	char *date = gm_arena_alloc(&assuming->arena, GM_SIGN_DATE_BYTES);
	if (date == NULL) return no_memory(assuming);
	gm_sign_date(now_us, date);
	GM_TRY(gm_sha256_hex(assuming->form, assuming->form_bytes, sha256, assuming->err));
	add_header(request, "X-Amz-Date", date);
	if (with->session_token[0] != '\0') add_header(request, "X-Amz-Security-Token", with->session_token);
	headers[count++] = (struct gm_sign_pair){"Host", strstr(assuming->sts->url, "://") + 3};
	for (size_t i = 0; i < request->header_count; i++)
		headers[count++] = (struct gm_sign_pair){request->headers[i].name, request->headers[i].value};
	const struct gm_sign_request signing = {.service = "sts",
	                                        .region = assuming->sts->region,
	                                        .method = "POST",
	                                        .path = "/",
	                                        .headers = headers,
	                                        .header_count = count,
	                                        .payload_sha256 = sha256,
	                                        .now_us = now_us};
	GM_TRY(gm_sign(&signing, &signer, &assuming->arena, &authorization, NULL, assuming->err));
	add_header(request, "Authorization", authorization);
	return GM_OK;
}

/* --- The answer --------------------------------------------------------------------------------------------------- */

/* The last element of the path, if the rest of it is what the answer's should be. */
static const char *leaf_in(const char *path, const char *begins, const char *rest)
{
	const char *slash = strrchr(path, '/');
	if (slash == NULL || strncmp(path, begins, strlen(begins)) != 0) return NULL;
	size_t n = strlen(rest), before = (size_t)(slash - path);
	return before >= n && memcmp(slash - n, rest, n) == 0 ? slash + 1 : NULL;
}

struct reading {
	struct gm_secret_memory *memory;
	struct gm_sts_answer *answer;
};

static enum gm_code keep(const struct reading *reading, const char **part, const char *text, size_t bytes,
                         struct gm_error *err)
{
	if (*part != NULL) GM_FAIL(err, GM_CORRUPT, "it says a thing twice");
	while (bytes > 0 && strchr(" \t\r\n", *text) != NULL) text++, bytes--;
	while (bytes > 0 && strchr(" \t\r\n", text[bytes - 1]) != NULL) bytes--;
	*part = gm_secret_strndup(reading->memory, text, bytes);
	return *part != NULL ? GM_OK : gm_error_set(err, GM_NOMEM, "out of memory for an answer");
}

static enum gm_code read_element(void *context, const char *path, const char *text, size_t bytes, struct gm_error *err)
{
	const struct reading *reading = context;
	struct gm_sts_answer *answer = reading->answer;
	const struct {
		const char *folder, *below, *name;
		const char **part;
	} elements[] = {
	    {"AssumeRole", "Result/Credentials", "AccessKeyId", &answer->keys.access_key},
	    {"AssumeRole", "Result/Credentials", "SecretAccessKey", &answer->keys.secret_key},
	    {"AssumeRole", "Result/Credentials", "SessionToken", &answer->keys.session_token},
	    {"AssumeRole", "Result/Credentials", "Expiration", &answer->keys.expiration},
	    {"ErrorResponse/", "/Error", "Code", &answer->code},
	    {"ErrorResponse/", "/Error", "Message", &answer->message},
	};
	for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++) {
		const char *leaf = leaf_in(path, elements[i].folder, elements[i].below);
		if (leaf != NULL && strcmp(leaf, elements[i].name) == 0)
			return keep(reading, elements[i].part, text, bytes, err);
	}
	return GM_OK;
}

enum gm_code gm_sts_answer_read(const char *text, size_t bytes, struct gm_secret_memory *memory,
                                struct gm_sts_answer *out, struct gm_error *err)
{
	struct reading reading = {memory, out};
	*out = (struct gm_sts_answer){.code = NULL};
	return gm_xml_parse(text, bytes, read_element, &reading, err);
}

/* Errors that another attempt may not meet, though their status is 4xx. */
static bool is_passing(const char *code)
{
	static const char *const codes[] = {"Throttling", "ThrottlingException", "RequestLimitExceeded",
	                                    "IDPCommunicationError", "PriorRequestNotComplete"};
	for (size_t i = 0; code != NULL && i < sizeof codes / sizeof codes[0]; i++)
		if (strcmp(code, codes[i]) == 0) return true;
	return false;
}

static const char *advice(const char *code, bool by_token)
{
	if (code == NULL) return "";
	if (strcmp(code, "AccessDenied") == 0)
		return by_token ? "the role's trust policy must allow sts:AssumeRoleWithWebIdentity for this token's issuer "
		                  "and subject"
		                : "the role's trust policy and the caller's own policy must both allow sts:AssumeRole";
	if (strcmp(code, "ExpiredTokenException") == 0 && by_token)
		return "the token file is not renewed by what should renew it";
	if (strcmp(code, "InvalidClientTokenId") == 0 || strcmp(code, "SignatureDoesNotMatch") == 0)
		return "the access key does not exist any more, or its secret is another one";
	if (strcmp(code, "RegionDisabledException") == 0) return "switch STS on for this region, or use another one";
	return "";
}

static enum gm_code refuse(const struct assuming *assuming, const struct gm_sts_answer *answer,
                           const struct gm_reply *reply)
{
	char text[GM_REPLY_TEXT_BYTES];
	enum gm_code code = is_passing(answer->code) ? GM_TRANSIENT : GM_DENIED;
	gm_reply_text(answer->code, answer->message, assuming->secret, text);
	(void)gm_error_set(assuming->err, code, "%s answered %d for role %s%s", assuming->whom, reply->status,
	                   assuming->role->arn, text);
	return gm_error_hint(assuming->err, code, "%s", advice(answer->code, assuming->with == NULL));
}

static enum gm_code take_answer(struct assuming *assuming, const struct gm_reply *reply, struct gm_sts_answer *answer,
                                struct gm_keys **out)
{
	struct gm_error why;
	enum gm_code code = gm_sts_answer_read(reply->text, reply->bytes, &assuming->memory, answer, &why);
	if (code == GM_NOMEM) return no_memory(assuming);
	if (reply->status != 200) return refuse(assuming, answer, reply);
	if (code != GM_OK)
		GM_FAIL(assuming->err, GM_DENIED, "the answer of %s is of no use: %s", assuming->whom, why.message);
	return gm_keys_new(&answer->keys, assuming->whom, out, assuming->err);
}

/* --- Assuming ----------------------------------------------------------------------------------------------------- */

/* One question, as of a time, and its answer. */
static enum gm_code ask_once(struct assuming *assuming, int64_t now_us, struct gm_sts_answer *answer,
                             int64_t *server_us, struct gm_keys **out)
{
	struct gm_http_request request = {.method = "POST", .body = assuming->form, .body_bytes = assuming->form_bytes};
	const struct gm_question question = {&request, assuming->whom, timeout_us, ATTEMPTS, ATTEMPTS};
	struct gm_reply reply;
	request.url = gm_arena_printf(&assuming->arena, "%s/", assuming->sts->url);
	if (request.url == NULL) return no_memory(assuming);
	add_header(&request, "Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
	if (assuming->with != NULL) GM_TRY(sign(assuming, now_us, &request));
	GM_TRY(gm_question_ask(&question, assuming->sts->asker, &assuming->memory, &reply, assuming->err));
	*server_us = reply.server_us;
	return take_answer(assuming, &reply, answer, out);
}

static bool clock_is_wrong(const struct assuming *assuming, enum gm_code code, int64_t now_us, int64_t server_us)
{
	if (assuming->with == NULL || code != GM_DENIED || server_us == 0) return false;
	return server_us > now_us ? server_us - now_us > skew_us : now_us - server_us > skew_us;
}

/* Repeats what fails in passing in a way that only the text of the answer tells, and once by the service's clock. */
static enum gm_code ask(struct assuming *assuming, struct gm_keys **out)
{
	const struct gm_asker *asker = assuming->sts->asker;
	int64_t now_us = asker->now_us(asker->clock), server_us = 0;
	bool corrected = false;
	struct gm_sts_answer answer;
	for (unsigned attempt = 1;; attempt++) {
		answer.code = NULL;
		enum gm_code code = ask_once(assuming, now_us, &answer, &server_us, out);
		if (!corrected && clock_is_wrong(assuming, code, now_us, server_us)) {
			corrected = true;
			now_us = server_us;
			continue;
		}
		if (code != GM_TRANSIENT || !is_passing(answer.code) || attempt >= ATTEMPTS) return code;
		gm_question_pause(attempt);
	}
}

static enum gm_code begin(struct assuming *assuming)
{
	gm_secret_init(&assuming->memory, GM_ASKING_BYTES_MAX);
	gm_arena_init(&assuming->arena, 4096);
	assuming->whom = gm_arena_printf(&assuming->arena, "STS at %s", assuming->sts->url);
	return assuming->whom != NULL ? GM_OK : no_memory(assuming);
}

static void end(struct assuming *assuming)
{
	gm_arena_release(&assuming->arena);
	gm_secret_release(&assuming->memory);
}

enum gm_code gm_sts_assume(const struct gm_sts *sts, const struct gm_role *role, const struct gm_keys *with,
                           struct gm_keys **out, struct gm_error *err)
{
	struct assuming assuming = {.sts = sts, .role = role, .with = with, .secret = with->session_token, .err = err};
	enum gm_code rc;
	*out = NULL;
	GM_TRY_OUT(begin(&assuming));
	GM_TRY_OUT(make_form(&assuming, "AssumeRole", NULL));
	rc = ask(&assuming, out);
out:
	end(&assuming);
	return rc;
}

enum gm_code gm_sts_assume_by_token(const struct gm_sts *sts, const struct gm_source *source, struct gm_keys **out,
                                    struct gm_error *err)
{
	struct assuming assuming = {.sts = sts, .role = &source->web.role, .err = err};
	enum gm_code rc;
	*out = NULL;
	GM_TRY_OUT(begin(&assuming));
	GM_TRY_OUT(
	    gm_token_file_read(source->web.token_file, "web_identity_token_file", &assuming.memory, &assuming.secret, err));
	GM_TRY_OUT(make_form(&assuming, "AssumeRoleWithWebIdentity", assuming.secret));
	rc = ask(&assuming, out);
out:
	end(&assuming);
	return rc;
}
