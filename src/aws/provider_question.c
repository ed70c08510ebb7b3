/* provider_question.c - a question to a service that gives out credentials, repeated with full jitter while it fails in
 * passing. Whoever asks has a run waiting behind it, so all attempts together take seconds.
 *
 * The answer goes into memory for secrets, whatever its status: what refuses may repeat what it was asked. */
#include "aws/providers.h"

#include "base/clock.h"
#include "base/time.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { ANSWER_MAX = 64 << 10, TOO_MANY_REQUESTS = 429 };
/* The delay before attempt n + 1 is up to pause_us * 2^n. No attempt begins after enough_us. */
static const int64_t pause_us = 200000, enough_us = 10 * GM_US_PER_SECOND;

void gm_question_pause(unsigned attempt)
{
	uint64_t bits = 0;
	uint64_t most = (uint64_t)pause_us << (attempt < 6 ? attempt : 6);
	(void)getrandom(&bits, sizeof bits, 0); /* no randomness: no pause, which is within the bounds, too */
	uint64_t us = bits % (most + 1);
	struct timespec left = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
	while (nanosleep(&left, &left) != 0) continue;
}

static bool fails_in_passing(const struct gm_http_response *response)
{
	return response->status >= 500 || response->status == TOO_MANY_REQUESTS;
}

/* Is another attempt worth it? */
static bool try_again(const struct gm_question *question, const struct gm_http_response *response, unsigned attempt)
{
	switch (response->end) {
	case GM_HTTP_DONE: return fails_in_passing(response) && attempt < question->attempts;
	case GM_HTTP_UNREACHABLE:
	case GM_HTTP_BROKEN: return attempt < question->reach_attempts;
	default: return false;
	}
}

static enum gm_code fail(const struct gm_question *question, const struct gm_http_response *response,
                         struct gm_error *err)
{
	const char *whom = question->whom;
	switch (response->end) {
	case GM_HTTP_UNREACHABLE: GM_FAIL(err, GM_TRANSIENT, "%s cannot be reached: %s", whom, response->message);
	case GM_HTTP_BROKEN: GM_FAIL(err, GM_TRANSIENT, "%s did not answer: %s", whom, response->message);
	case GM_HTTP_TLS: GM_FAIL(err, GM_IO, "%s: %s", whom, response->message);
	case GM_HTTP_TOO_LARGE: GM_FAIL(err, GM_DENIED, "%s: the answer is longer than credentials can be", whom);
	case GM_HTTP_NOMEM: GM_FAIL(err, GM_NOMEM, "out of memory for the answer of %s", whom);
	case GM_HTTP_DONE: break;
	}
	GM_FAIL(err, GM_TRANSIENT, "%s answered %d", whom, response->status);
}

static void take_reply(const struct gm_http_response *response, char *room, struct gm_reply *out)
{
	const char *date = gm_http_header(response, "date");
	time_t seconds = date != NULL ? curl_getdate(date, NULL) : -1;
	bool good = response->status >= 200 && response->status < 300;
	out->status = response->status;
	out->bytes = good ? response->got : response->body.len;
	if (out->bytes > ANSWER_MAX) out->bytes = ANSWER_MAX; /* of an error page the beginning will do */
	if (!good && out->bytes > 0) memcpy(room, response->body.data, out->bytes);
	room[out->bytes] = '\0';
	out->text = room;
	out->server_us = seconds > 0 ? (int64_t)seconds * GM_US_PER_SECOND : 0;
}

enum gm_code gm_question_ask(const struct gm_question *question, const struct gm_asker *asker,
                             struct gm_secret_memory *memory, struct gm_reply *out, struct gm_error *err)
{
	struct gm_http_request request = *question->request;
	struct gm_http_response response;
	enum gm_code rc = GM_OK;
	int64_t began_us = gm_clock_steady_us();
	char *room = gm_secret_alloc(memory, ANSWER_MAX + 1);
	if (room == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the answer of %s", question->whom);
	request.timeout_us = question->timeout_us;
	request.into = (uint8_t *)room;
	request.into_bytes = ANSWER_MAX;
	request.secret = true;
	gm_http_response_init(&response);
	for (unsigned attempt = 1;; attempt++) {
		GM_TRY_OUT(gm_http_perform(asker->http, &request, &response, err));
		if (!try_again(question, &response, attempt) || gm_clock_steady_us() - began_us > enough_us) break;
		gm_question_pause(attempt);
	}
	if (response.end == GM_HTTP_DONE && !fails_in_passing(&response))
		take_reply(&response, room, out);
	else
		rc = fail(question, &response, err);
out:
	gm_http_response_release(&response);
	return rc;
}

/* --- Why it refuses ----------------------------------------------------------------------------------------------- */

/* Do they have a run of bytes in common that is too long for chance? */
static bool repeats(const char *text, const char *secret)
{
	enum { RUN = 12 };
	size_t n = strlen(text);
	if (secret == NULL || strlen(secret) < RUN) return false;
	for (size_t i = 0; i + RUN <= n; i++)
		if (memmem(secret, strlen(secret), text + i, RUN) != NULL) return true;
	return false;
}

void gm_reply_text(const char *code, const char *message, const char *sent, char out[GM_REPLY_TEXT_BYTES])
{
	const char *colon = code != NULL && message != NULL ? ": " : "";
	out[0] = '\0';
	if (code == NULL && message == NULL) return;
	(void)snprintf(out, GM_REPLY_TEXT_BYTES, ": %s%s%s", code != NULL ? code : "", colon,
	               message != NULL ? message : "");
	size_t line = strcspn(out, "\r\n"); /* STS goes on with what it had expected to be signed, token and all */
	out[line] = '\0';
	for (char *c = out; *c != '\0'; c++)
		if (*c < ' ' || *c > '~') *c = '?';
	if (repeats(out, sent)) out[0] = '\0';
}
