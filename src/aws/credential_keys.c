#include "aws/providers.h"

#include "base/time.h"

#include <stdlib.h>
#include <string.h>

enum { ACCESS_KEY_MAX = 128, SECRET_KEY_MAX = 256, TOKEN_MAX = 32 << 10, MEMORY_MAX = 128 << 10 };

/* Access key and token become values of headers: nothing but visible ASCII, or whoever gave them could add headers. The
 * value is never shown. */
static enum gm_code check_part(const char *part, size_t most, const char *whose, const char *what, struct gm_error *err)
{
	size_t n = part != NULL ? strnlen(part, most + 1) : 0;
	if (n == 0) GM_FAIL(err, GM_DENIED, "%s: the %s is missing", whose, what);
	if (n > most) GM_FAIL(err, GM_DENIED, "%s: the %s has more than %zu characters", whose, what, most);
	for (size_t i = 0; i < n; i++)
		if (part[i] <= ' ' || part[i] > '~')
			GM_FAIL(err, GM_DENIED, "%s: character %zu of the %s is none that it can have", whose, i + 1, what);
	return GM_OK;
}

static enum gm_code check(const struct gm_given_keys *given, const char *whose, int64_t *expires_us,
                          struct gm_error *err)
{
	bool has_token = given->session_token != NULL && given->session_token[0] != '\0';
	GM_TRY(check_part(given->access_key, ACCESS_KEY_MAX, whose, "access key id", err));
	GM_TRY(check_part(given->secret_key, SECRET_KEY_MAX, whose, "secret access key", err));
	if (has_token) GM_TRY(check_part(given->session_token, TOKEN_MAX, whose, "session token", err));
	*expires_us = INT64_MAX;
	if (given->expiration == NULL) return GM_OK;
	if (!gm_time_parse_iso(given->expiration, strlen(given->expiration), expires_us))
		GM_FAIL(err, GM_DENIED, "%s: the time of expiry is not an ISO 8601 time", whose);
	return GM_OK;
}

static const char *keep(struct gm_keys *keys, const char *text)
{
	return text != NULL ? gm_secret_strndup(&keys->memory, text, strlen(text)) : "";
}

enum gm_code gm_keys_new(const struct gm_given_keys *given, const char *whose, struct gm_keys **out,
                         struct gm_error *err)
{
	int64_t expires_us;
	*out = NULL;
	GM_TRY(check(given, whose, &expires_us, err));
	struct gm_keys *keys = malloc(sizeof *keys);
	if (keys == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for credentials");
	*keys = (struct gm_keys){.holders = 1, .expires_us = expires_us};
	gm_secret_init(&keys->memory, MEMORY_MAX);
	keys->access_key = keep(keys, given->access_key);
	keys->secret_key = keep(keys, given->secret_key);
	keys->session_token = keep(keys, given->session_token);
	if (keys->access_key == NULL || keys->secret_key == NULL || keys->session_token == NULL) {
		gm_keys_drop(keys);
		GM_FAIL(err, GM_NOMEM, "out of memory for credentials");
	}
	*out = keys;
	return GM_OK;
}

struct gm_keys *gm_keys_hold(struct gm_keys *keys)
{
	(void)__atomic_add_fetch(&keys->holders, 1, __ATOMIC_RELAXED);
	return keys;
}

void gm_keys_drop(struct gm_keys *keys)
{
	if (keys == NULL || __atomic_sub_fetch(&keys->holders, 1, __ATOMIC_ACQ_REL) > 0) return;
	gm_secret_release(&keys->memory);
	free(keys);
}
