/* event.c - what S3 tells of its objects, in the forms in which it reaches a queue.
 *
 *     directly         {"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","eventTime":"2024-...Z",
 *                       "s3":{"bucket":{"name":"b"},"object":{"key":"a/sp+ace%2B.gz","size":1024}}}, ...]}
 *     on setting up    {"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b", ...}
 *     by EventBridge   {"source":"aws.s3","detail-type":"Object Created","time":"2024-...Z",
 *                       "detail":{"bucket":{"name":"b"},"object":{"key":"a/sp ace+.gz","size":1024}}}
 *     by SNS           {"Type":"Notification","Message":"<one of the above, as a string>", ...}; not so where the
 *                      subscription delivers raw messages
 *
 * The key of a record is encoded as in a form ('+' is a blank, %XX a byte), that of EventBridge is not. Sources: S3
 * User Guide, "Event message structure" and "EventBridge event message structure"; SNS Developer Guide, "HTTP/HTTPS
 * notification JSON format".
 *
 * An event is a hint to look, never an instruction: the source's listing says what there is. So only what is needed to
 * tell ours from others' is read, and nothing here is trusted: the body is bounded, JSON is read no deeper than jansson
 * does (2,048), and of the envelopes one is opened. */
#include "watch/event.h"

#include "base/json_text.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

struct reading {
	const struct gm_event_scope *scope;
	struct gm_event *out;
	uint64_t idle; /* records of ours from which nothing follows */
	struct gm_error *err;
};

static enum gm_code foreign(struct gm_event *out, const char *why)
{
	out->kind = GM_EVENT_FOREIGN;
	(void)snprintf(out->why, sizeof out->why, "%s", why);
	return GM_OK;
}

/* The text of a member; NULL if it has none. */
static const char *text_of(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

static bool begins_with(const char *text, const char *with)
{
	return text != NULL && strncmp(text, with, strlen(with)) == 0;
}

/* --- Keys --------------------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'A' && c <= 'F') return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next byte of a key encoded as in a form; -1: it is damaged, or at its end. */
static int next_byte(const char **at)
{
	const char *text = *at;
	if (*text == '\0') return -1;
	*at = text + 1;
	if (*text == '+') return ' ';
	if (*text != '%') return (unsigned char)*text;
	int high = hex_digit(text[1]), low = high < 0 ? -1 : hex_digit(text[2]);
	*at = low < 0 ? text : text + 3;
	return low < 0 ? -1 : high << 4 | low;
}

static bool is_below(const char *key, bool encoded, const char *prefix)
{
	if (!encoded) return begins_with(key, prefix);
	for (; *prefix != '\0'; prefix++)
		if (next_byte(&key) != (unsigned char)*prefix) return false;
	return true;
}

/* --- One object --------------------------------------------------------------------------------------------------- */

/* `where` holds bucket and object, in both forms. */
static bool is_in(const json_t *where, bool encoded, const char *bucket, const char *prefix)
{
	const char *name = text_of(json_object_get(where, "bucket"), "name");
	const char *key = text_of(json_object_get(where, "object"), "key");
	return bucket != NULL && name != NULL && key != NULL && strcmp(name, bucket) == 0 && is_below(key, encoded, prefix);
}

/* False: nothing follows from it, or it is not of the source. */
static bool is_ours(struct reading *r, const json_t *where, bool encoded)
{
	const struct gm_event_scope *scope = r->scope;
	if (is_in(where, encoded, scope->bucket, scope->prefix)) return true;
	if (is_in(where, encoded, scope->table_bucket, scope->table_prefix)) r->idle++;
	return false;
}

static void count(struct reading *r, const json_t *where, const char *time)
{
	int64_t time_us, size = json_integer_value(json_object_get(json_object_get(where, "object"), "size"));
	struct gm_event *out = r->out;
	out->objects++;
	if (size > 0 && __builtin_add_overflow(out->bytes, (uint64_t)size, &out->bytes)) out->bytes = UINT64_MAX;
	if (time != NULL && gm_time_parse_iso(time, strlen(time), &time_us) && time_us < out->oldest_us)
		out->oldest_us = time_us;
}

static void read_record(struct reading *r, const json_t *record)
{
	const json_t *where = json_object_get(record, "s3");
	const char *name = text_of(record, "eventName");
	if (name == NULL || !is_ours(r, where, true)) return;
	if (begins_with(name, "ObjectCreated:") || begins_with(name, "s3:ObjectCreated:"))
		count(r, where, text_of(record, "eventTime"));
	else
		r->idle++;
}

static void read_bridged(struct reading *r, const json_t *event)
{
	const json_t *where = json_object_get(event, "detail");
	if (!is_ours(r, where, false)) return;
	if (strcmp(text_of(event, "detail-type"), "Object Created") == 0)
		count(r, where, text_of(event, "time"));
	else
		r->idle++;
}

/* --- The message -------------------------------------------------------------------------------------------------- */

static enum gm_code conclude(struct reading *r)
{
	if (r->out->objects == 0 && r->idle == 0) return foreign(r->out, "it tells of no object of the source");
	r->out->kind = r->out->objects > 0 ? GM_EVENT_NEW : GM_EVENT_IDLE;
	return GM_OK;
}

/* S3 sends one to every target when notifications are set up, before anything has happened. */
static bool is_test(const json_t *message)
{
	const char *event = text_of(message, "Event");
	return event != NULL && strcmp(event, "s3:TestEvent") == 0;
}

static enum gm_code read_message(struct reading *r, const json_t *message)
{
	const json_t *records = json_object_get(message, "Records");
	const char *source = text_of(message, "source");
	if (is_test(message)) {
		r->idle++;
	} else if (json_is_array(records)) {
		for (size_t i = 0; i < json_array_size(records); i++) read_record(r, json_array_get(records, i));
	} else if (source != NULL && strcmp(source, "aws.s3") == 0 && text_of(message, "detail-type") != NULL) {
		read_bridged(r, message);
	} else {
		return foreign(r->out, "it is no event of S3");
	}
	return conclude(r);
}

/* OK with *message NULL: it is none, and the reading knows why. */
static enum gm_code parse(struct reading *r, const char *text, size_t bytes, json_t **message)
{
	enum gm_code rc = gm_json_parse(text, bytes, 0, message, r->err);
	if (rc == GM_NOMEM) return rc;
	if (rc != GM_OK) *message = NULL;
	if (rc == GM_OK && json_is_object(*message)) return GM_OK;
	json_decref(*message);
	*message = NULL;
	return foreign(r->out, "it is no JSON object");
}

enum gm_code gm_event_read(const char *body, size_t bytes, const struct gm_event_scope *scope, struct gm_event *out,
                           struct gm_error *err)
{
	struct reading reading = {.scope = scope, .out = out, .err = err};
	json_t *message = NULL, *inner = NULL;
	*out = (struct gm_event){.oldest_us = INT64_MAX};
	if (bytes > GM_EVENT_BYTES_MAX) return foreign(out, "it is larger than any message of SQS");
	GM_TRY(parse(&reading, body, bytes, &message));
	if (message == NULL) return GM_OK;
	const char *type = text_of(message, "Type"), *wrapped = text_of(message, "Message");
	bool enveloped = type != NULL && wrapped != NULL && strcmp(type, "Notification") == 0;
	enum gm_code rc = GM_OK;
	if (enveloped) rc = parse(&reading, wrapped, strlen(wrapped), &inner);
	if (rc == GM_OK && (!enveloped || inner != NULL)) rc = read_message(&reading, enveloped ? inner : message);
	json_decref(inner);
	json_decref(message);
	return rc;
}
