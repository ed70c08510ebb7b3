#include "run/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static const char secret_key[] = "_gristmill/hash-key";

static enum gm_code damaged(const char *how, struct gm_error *err)
{
	(void)gm_error_set(err, GM_CORRUPT, "the table's hash key is damaged: %s", how);
	(void)gm_error_hint(
	    err, GM_CORRUPT,
	    "restore it from a copy, or remove it: then a new one is made, and unfinished runs begin again");
	return gm_error_object(err, GM_CORRUPT, secret_key, sizeof secret_key - 1);
}

enum gm_code gm_secret_read(struct gm_store *table, uint8_t secret[GM_KEY_SECRET_BYTES], struct gm_error *err)
{
	static const uint8_t zeros[GM_KEY_SECRET_BYTES];
	uint8_t bytes[GM_KEY_SECRET_BYTES + 1];
	size_t got = 0;
	GM_TRY(gm_store_read(table, secret_key, 0, bytes, sizeof bytes, &got, err));
	if (got != GM_KEY_SECRET_BYTES)
		return damaged(got < GM_KEY_SECRET_BYTES ? "it is cut short" : "it is too long", err);
	/* What a power cut can leave. Hashes made with it would collide. */
	if (memcmp(bytes, zeros, sizeof zeros) == 0) return damaged("it is all zeros", err);
	memcpy(secret, bytes, GM_KEY_SECRET_BYTES);
	explicit_bzero(bytes, sizeof bytes);
	return GM_OK;
}

enum gm_code gm_secret_get(struct gm_store *table, bool writable, bool single_writer,
                           uint8_t secret[GM_KEY_SECRET_BYTES], struct gm_error *err)
{
	enum gm_code rc = table != NULL ? gm_secret_read(table, secret, err) : GM_NOT_FOUND;
	if (rc != GM_NOT_FOUND) return rc;
	if (getrandom(secret, GM_KEY_SECRET_BYTES, 0) != GM_KEY_SECRET_BYTES)
		return gm_error_errno(err, errno, "getrandom", "cannot get random bytes");
	if (table == NULL || !writable) return GM_OK;
	if (!single_writer) GM_TRY(gm_store_probe(table, "_gristmill/probe/", err));
	rc = gm_store_put(table, secret_key, secret, GM_KEY_SECRET_BYTES, true, err);
	return rc == GM_EXISTS ? gm_secret_read(table, secret, err) : rc;
}
