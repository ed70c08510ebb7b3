/* Drives credentials for tests/test_aws_credentials.py: reads commands, one a line, and answers each with one JSON
 * object, in which secrets are told by their SHA-256 alone.
 *
 *     describe        get        force        threads N (as get, N at once)
 *     clock SECONDS   from now on the clock is so much ahead of the machine's
 *     abort           ends by SIGABRT
 *
 * usage: credentials_tool [PROFILE [REGION]], "-" for none; the first answer is that of gm_provider_new */
#include "aws/credentials.h"
#include "base/json_text.h"
#include "base/time.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS_MAX = 32 };

struct attempt {
	pthread_t thread;
	struct gm_provider *provider;
	json_t *answer;
};

static int64_t ahead_us; /* of the clock */

static int64_t shifted_clock(void *unused)
{
	struct timespec now;
	(void)unused;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * GM_US_PER_SECOND + now.tv_nsec / 1000 + ahead_us;
}

static json_t *failed(const struct gm_error *err)
{
	return json_pack("{s:s,s:s,s:s,s:s}", "code", gm_code_name(err->code), "object", err->object, "message",
	                 err->message, "hint", err->hint);
}

static json_t *hash_of(const char *secret)
{
	char hex[GM_SHA256_HEX_BYTES];
	if (gm_sha256_hex(secret, strlen(secret), hex, NULL) != GM_OK) abort();
	return json_string(hex);
}

static json_t *get(struct gm_provider *provider, bool force)
{
	struct gm_credentials credentials;
	struct gm_error err;
	if (gm_provider_get(provider, force, &credentials, &err) != GM_OK) return failed(&err);
	json_t *answer = json_pack("{s:s,s:s,s:o,s:o,s:I}", "code", "OK", "access_key", credentials.access_key,
	                           "secret_sha256", hash_of(credentials.secret_key), "token_sha256",
	                           hash_of(credentials.session_token), "expires_us", (json_int_t)credentials.expires_us);
	gm_credentials_wipe(&credentials);
	return answer;
}

static void *get_in_thread(void *context)
{
	struct attempt *attempt = context;
	attempt->answer = get(attempt->provider, false);
	return NULL;
}

static json_t *get_at_once(struct gm_provider *provider, size_t count)
{
	struct attempt attempts[THREADS_MAX];
	json_t *answers = json_array();
	if (count > THREADS_MAX) abort();
	for (size_t i = 0; i < count; i++) {
		attempts[i].provider = provider;
		if (pthread_create(&attempts[i].thread, NULL, get_in_thread, &attempts[i]) != 0) abort();
	}
	for (size_t i = 0; i < count; i++) {
		(void)pthread_join(attempts[i].thread, NULL);
		(void)json_array_append_new(answers, attempts[i].answer);
	}
	return json_pack("{s:s,s:o}", "code", "OK", "answers", answers);
}

static json_t *obey(struct gm_provider *provider, const char *line)
{
	if (strcmp(line, "get") == 0) return get(provider, false);
	if (strcmp(line, "force") == 0) return get(provider, true);
	if (strncmp(line, "threads ", 8) == 0) return get_at_once(provider, (size_t)atoi(line + 8));
	if (strncmp(line, "clock ", 6) == 0) ahead_us = atoll(line + 6) * GM_US_PER_SECOND;
	if (strcmp(line, "abort") == 0) abort();
	return json_pack("{s:s,s:s}", "code", "OK", "description", gm_provider_describe(provider));
}

static void answer(json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII);
	if (text == NULL) abort();
	(void)puts(text);
	(void)fflush(stdout);
	free(text);
	json_decref(value);
}

static const char *argument(int argc, char **argv, int n)
{
	return n < argc && strcmp(argv[n], "-") != 0 ? argv[n] : NULL;
}

int main(int argc, char **argv)
{
	char line[100];
	const struct gm_aws_config_options settings = {.profile = argument(argc, argv, 1)};
	const struct gm_http_options limits = {.connect_us = 0};
	struct gm_aws_config *config = NULL;
	struct gm_http *http = NULL;
	struct gm_provider *provider = NULL;
	struct gm_error err;
	enum gm_code code = gm_aws_config_load(&settings, &config, &err);
	if (code == GM_OK) code = gm_http_new(&limits, &http, &err);
	if (code == GM_OK) {
		const struct gm_provider_options options = {
		    .config = config, .http = http, .region = argument(argc, argv, 2), .now_us = shifted_clock};
		code = gm_provider_new(&options, &provider, &err);
	}
	answer(code == GM_OK ? obey(provider, "describe") : failed(&err));
	while (code == GM_OK && fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		answer(obey(provider, line));
	}
	gm_provider_free(provider);
	gm_http_free(http);
	gm_aws_config_free(config);
	return 0;
}
