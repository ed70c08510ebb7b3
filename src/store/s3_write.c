/* s3_write.c - objects put and removed, and whether this store keeps its word about put-if-absent. */
#include "store/s3.h"

#include "base/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PUT_ROUNDS = 4,        /* of a put that is told EXISTS by a key that is gone when it is looked at */
	REMOVE_AT_ONCE = 1000, /* DeleteObjects takes no more */
	PROBE_KEYS = 4,        /* one after the other, */
	PROBE_KEYS_MAX = 12,   /* and further ones where answers were lost */
	PROBE_WRITERS = 8,
	PROBE_BYTES = 64 * 1024,
};

/* --- Put ---------------------------------------------------------------------------------------------------------- */

/* One PUT, with its retries. *unclear: it may have taken effect although it failed, or another's may be ours. */
static enum gm_code put_once(struct gm_s3 *s3, const char *key, const void *data, size_t bytes, bool if_absent,
                             const char *token, bool *unclear, struct gm_error *err)
{
	struct gm_s3_exchange exchange;
	struct gm_call_request *request = &exchange.request;
	char checksum[GM_S3_CHECKSUM_BYTES];
	enum gm_code rc;
	*unclear = false;
	GM_TRY_OUT(gm_s3_begin(s3, &exchange, GM_CALL_PUT, "PUT", key, err));
	gm_s3_object_headers(s3, request, token);
	if (if_absent) gm_s3_header(request, "If-None-Match", "*");
	gm_s3_checksum(data, bytes, checksum);
	gm_s3_header(request, "x-amz-checksum-crc32c", checksum);
	request->body = data;
	request->body_bytes = bytes;
	rc = gm_s3_ask(&exchange, err);
	const struct gm_call_response *response = exchange.response;
	if (response == NULL || (rc == GM_OK && gm_s3_good(response))) goto out;
	if (rc == GM_OK) rc = gm_s3_fail(s3, response, key, "put the object", err);
	*unclear = rc == GM_EXISTS || rc == GM_TRANSIENT || response->unclear;
out:
	return gm_s3_end(&exchange, rc, err);
}

/* 412 says that there is an object. Whether it is ours, which an attempt made whose answer was lost, the object itself
 * says. */
enum gm_code gm_s3_look_back(struct gm_s3 *s3, const char *key, const char *put_token, enum gm_code rc, bool *again,
                             struct gm_error *err)
{
	struct gm_object_info info;
	struct gm_error look;
	char etag[GM_S3_ETAG_BYTES], there[GM_S3_PUT_TOKEN_BYTES];
	*again = false;
	enum gm_code looked = gm_s3_head(s3, key, &info, etag, there, &look);
	if (looked == GM_OK) {
		if (strcmp(there, put_token) == 0) return GM_OK;
		(void)gm_error_set(err, GM_EXISTS, "the object exists already");
		return gm_s3_name(s3, GM_EXISTS, key, err);
	}
	*again = looked == GM_NOT_FOUND && rc == GM_EXISTS;
	if (looked == GM_NOT_FOUND || rc != GM_EXISTS) return rc; /* what failed is still unclear, and not more */
	if (err != NULL) *err = look;
	return looked; /* nobody knows whose it is */
}

enum gm_code gm_s3_put_as(struct gm_s3 *s3, const char *key, const void *data, size_t bytes, const char *put_token,
                          struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	bool again = true;
	for (int i = 0; again && i < PUT_ROUNDS; i++) {
		bool unclear;
		rc = put_once(s3, key, data, bytes, true, put_token, &unclear, err);
		if (!unclear) return rc;
		rc = gm_s3_look_back(s3, key, put_token, rc, &again, err);
	}
	return rc;
}

enum gm_code gm_s3_put(struct gm_store *store, const char *key, const void *data, size_t bytes, bool if_absent,
                       struct gm_error *err)
{
	char token[GM_S3_PUT_TOKEN_BYTES];
	bool unclear;
	if (!gm_io_random_hex(token)) GM_FAIL(err, GM_IO, "the system gives no random bytes");
	if (if_absent) return gm_s3_put_as(gm_s3_of(store), key, data, bytes, token, err);
	return put_once(gm_s3_of(store), key, data, bytes, false, NULL, &unclear, err);
}

/* --- Remove ------------------------------------------------------------------------------------------------------- */

enum gm_code gm_s3_remove(struct gm_store *store, const char *key, struct gm_error *err)
{
	return gm_s3_delete(gm_s3_of(store), key, NULL, err);
}

static enum gm_code append_escaped(struct gm_buf *out, const char *text, struct gm_error *err)
{
	for (; *text != '\0'; text++) {
		const char *entity = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : NULL;
		if (*text == '\r') entity = "&#13;";
		if (entity != NULL)
			GM_TRY(gm_buf_append(out, entity, strlen(entity), err));
		else
			GM_TRY(gm_buf_append(out, text, 1, err));
	}
	return GM_OK;
}

static enum gm_code make_list(struct gm_s3 *s3, const char *const *keys, size_t count, struct gm_buf *out,
                              struct gm_error *err)
{
	static const char head[] = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>";
	GM_TRY(gm_buf_append(out, head, sizeof head - 1, err));
	for (size_t i = 0; i < count; i++) {
		GM_TRY(gm_buf_printf(out, err, "<Object><Key>"));
		GM_TRY(append_escaped(out, s3->prefix, err));
		GM_TRY(append_escaped(out, keys[i], err));
		GM_TRY(gm_buf_printf(out, err, "</Key></Object>"));
	}
	return gm_buf_printf(out, err, "</Delete>");
}

/* *all: everything is gone. False: one by one is the way. */
static enum gm_code remove_batch(struct gm_s3 *s3, const char *const *keys, size_t count, bool *all,
                                 struct gm_error *err)
{
	struct gm_s3_exchange exchange;
	struct gm_call_request *request = &exchange.request;
	struct gm_buf body;
	char md5[GM_S3_MD5_BYTES];
	enum gm_code rc;
	*all = false;
	gm_buf_init(&body, 16 << 20);
	GM_TRY_OUT(gm_s3_begin(s3, &exchange, GM_CALL_DELETE, "POST", NULL, err));
	GM_TRY_OUT(make_list(s3, keys, count, &body, err));
	if (!gm_s3_content_md5(body.data, body.len, md5)) goto out;
	gm_s3_query(request, "delete", "");
	gm_s3_header(request, "Content-MD5", md5);
	gm_s3_header(request, "Content-Type", "application/xml");
	request->body = body.data;
	request->body_bytes = body.len;
	GM_TRY_OUT(gm_s3_ask(&exchange, err));
	const struct gm_buf *answer = &exchange.response->http.body;
	*all = gm_s3_good(exchange.response) && gm_s3_is_all_removed(answer->data, answer->len);
out:
	rc = gm_s3_end(&exchange, rc, err); /* the request points to the body */
	gm_buf_release(&body);
	return rc;
}

/* Can XML hold it? */
static bool is_plain(const char *key)
{
	for (; *key != '\0'; key++)
		if ((unsigned char)*key < ' ' && *key != '\t' && *key != '\n' && *key != '\r') return false;
	return true;
}

enum gm_code gm_s3_remove_many(struct gm_store *store, const char *const *keys, size_t count, struct gm_error *err)
{
	for (size_t i = 0; i < count;) {
		size_t n = 0;
		bool all = false;
		while (i + n < count && n < REMOVE_AT_ONCE && is_plain(keys[i + n])) n++;
		if (n > 1) GM_TRY(remove_batch(gm_s3_of(store), keys + i, n, &all, err));
		if (n == 0) n = 1;
		for (size_t k = 0; k < n && !all; k++) GM_TRY(gm_s3_remove(store, keys[i + k], err));
		i += n;
	}
	return GM_OK;
}

/* --- Probe -------------------------------------------------------------------------------------------------------- */

/* Writers that put the same absent key at once, their requests all on their way before any is answered, each with some
 * bytes to send, so that a store that looks first and writes then is caught between the two. Of one that keeps its word
 * one writer is told yes, and all others no; and what is there carries the winner's token. */
struct writer {
	char token[GM_S3_PUT_TOKEN_BYTES];
	struct gm_arena arena;
	struct gm_call *call;
	bool won, unclear;
};

struct probe {
	struct gm_s3 *s3;
	char key[GM_KEY_MAX_BYTES + 1], checksum[GM_S3_CHECKSUM_BYTES];
	uint8_t bytes[PROBE_BYTES];
	struct writer writers[PROBE_WRITERS];
};

static enum gm_code refused(struct gm_s3 *s3, const char *what, struct gm_error *err)
{
	(void)gm_error_set(err, GM_UNSUPPORTED, "the store at %.200s does not keep put-if-absent: %s", s3->endpoint.url,
	                   what);
	(void)gm_error_hint(
	    err, GM_UNSUPPORTED,
	    "two runs at once could lose or double records there; use another store, or say 'single_writer: "
	    "true' in the job file's table if nothing else ever writes");
	return gm_s3_name(s3, GM_UNSUPPORTED, NULL, err);
}

static enum gm_code start_writer(struct probe *probe, struct writer *writer, struct gm_error *err)
{
	struct gm_call_request request;
	if (!gm_io_random_hex(writer->token)) GM_FAIL(err, GM_IO, "the system gives no random bytes");
	GM_TRY(gm_s3_request(probe->s3, &writer->arena, GM_CALL_PUT, "PUT", probe->key, &request, err));
	gm_s3_object_headers(probe->s3, &request, writer->token);
	gm_s3_header(&request, "If-None-Match", "*");
	gm_s3_header(&request, "x-amz-checksum-crc32c", probe->checksum);
	request.body = probe->bytes;
	request.body_bytes = sizeof probe->bytes;
	return gm_call_start(probe->s3->client, &request, &writer->call, err);
}

static enum gm_code end_writer(struct probe *probe, struct writer *writer, struct gm_error *err)
{
	struct gm_call_response *response;
	GM_TRY(gm_call_wait(writer->call, &response, err));
	writer->won = gm_s3_good(response);
	writer->unclear = response->unclear;
	if (writer->won || response->http.status == 412) return GM_OK;
	return gm_s3_fail(probe->s3, response, probe->key, "put the object", err);
}

/* The store keeps its word if one writer was told yes, and what is there is its object. Where nobody was told yes,
 * because the winner's answer was lost, nothing is proven, but that it was not the store's fault: *sure false. */
static enum gm_code judge(struct probe *probe, bool *sure, struct gm_error *err)
{
	struct gm_object_info info;
	char etag[GM_S3_ETAG_BYTES], there[GM_S3_PUT_TOKEN_BYTES];
	const struct writer *winner = NULL;
	bool unclear = false;
	GM_TRY(gm_s3_head(probe->s3, probe->key, &info, etag, there, err));
	for (size_t i = 0; i < PROBE_WRITERS; i++) {
		const struct writer *writer = &probe->writers[i];
		unclear |= writer->unclear;
		if (!writer->won) continue;
		if (winner != NULL) return refused(probe->s3, "two were told to be the first", err);
		winner = writer;
	}
	*sure = winner != NULL;
	if (winner != NULL && strcmp(winner->token, there) != 0)
		return refused(probe->s3, "what is there is not what was put first", err);
	if (winner == NULL && !unclear) return refused(probe->s3, "nobody was told to be the first", err);
	return GM_OK;
}

static enum gm_code probe_once(struct probe *probe, bool *sure, struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	for (size_t i = 0; i < PROBE_WRITERS; i++) {
		probe->writers[i] = (struct writer){.call = NULL};
		gm_arena_init(&probe->writers[i].arena, 2048);
	}
	for (size_t i = 0; rc == GM_OK && i < PROBE_WRITERS; i++) rc = start_writer(probe, &probe->writers[i], err);
	for (size_t i = 0; rc == GM_OK && i < PROBE_WRITERS; i++) rc = end_writer(probe, &probe->writers[i], err);
	for (size_t i = 0; i < PROBE_WRITERS; i++) {
		gm_call_end(probe->writers[i].call);
		gm_arena_release(&probe->writers[i].arena);
	}
	return rc == GM_OK ? judge(probe, sure, err) : rc;
}

static enum gm_code probe_keys(struct probe *probe, const char *prefix, struct gm_error *err)
{
	char keys[PROBE_KEYS_MAX][GM_KEY_MAX_BYTES + 1];
	const char *made[PROBE_KEYS_MAX];
	enum gm_code rc = GM_OK;
	size_t count = 0, kept = 0;
	while (rc == GM_OK && kept < PROBE_KEYS && count < PROBE_KEYS_MAX) {
		bool sure = false;
		char random[33];
		if (!gm_io_random_hex(random)) GM_FAIL(err, GM_IO, "the system gives no random bytes");
		(void)snprintf(keys[count], sizeof keys[count], "%sprobe-%s", prefix, random);
		memcpy(probe->key, keys[count], sizeof probe->key);
		made[count] = keys[count];
		count++;
		rc = probe_once(probe, &sure, err);
		kept += sure;
	}
	if (rc == GM_OK && kept == 0)
		rc = gm_error_set(err, GM_TRANSIENT,
		                  "whether the store keeps put-if-absent could not be found out: too many "
		                  "of its answers were lost");
	enum gm_code removed = gm_s3_remove_many(&probe->s3->store, made, count, rc == GM_OK ? err : NULL);
	return rc != GM_OK ? rc : removed;
}

enum gm_code gm_s3_probe(struct gm_store *store, const char *prefix, struct gm_error *err)
{
	struct probe *probe = calloc(1, sizeof *probe);
	if (probe == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a probe");
	probe->s3 = gm_s3_of(store);
	gm_s3_checksum(probe->bytes, sizeof probe->bytes, probe->checksum);
	enum gm_code rc = probe_keys(probe, prefix, err);
	free(probe);
	return rc;
}
