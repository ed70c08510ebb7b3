/* fuzz_event.c - any bytes as a message that came through a queue.
 *
 * It is of one of the three kinds; a foreign one says why and tells of nothing; what is new has an object at least. The
 * same bytes in SNS's envelope say the same, unless they are an envelope themselves. */
#include "base/json_text.h"
#include "watch/event.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct gm_event_scope scope = {.bucket = "bucket", .prefix = "in/"};

static void check(bool right)
{
	if (!right) abort();
}

static struct gm_event read_checked(const char *body, size_t bytes)
{
	struct gm_error err;
	struct gm_event event;
	check(gm_event_read(body, bytes, &scope, &event, &err) == GM_OK);
	check((event.kind == GM_EVENT_NEW) == (event.objects > 0));
	check((event.kind == GM_EVENT_FOREIGN) == (event.why[0] != '\0'));
	check(event.objects > 0 || (event.bytes == 0 && event.oldest_us == INT64_MAX));
	return event;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gm_event event = read_checked((const char *)data, size), inner;
	json_t *text = json_stringn((const char *)data, size); /* NULL: not UTF-8 */
	json_t *envelope = json_pack("{s:s, s:o}", "Type", "Notification", "Message", text);
	struct gm_buf body;
	gm_buf_init(&body, 8 << 20);
	if (envelope != NULL && memchr(data, '\0', size) == NULL) {
		struct gm_error err;
		check(gm_json_text(envelope, &body, &err) == GM_OK);
		inner = read_checked((const char *)body.data, body.len);
		bool same = inner.kind == event.kind && inner.objects == event.objects && inner.bytes == event.bytes;
		bool enveloped = memmem(data, size, "Message", 7) != NULL || memmem(data, size, "\\u", 2) != NULL;
		check(same || enveloped || body.len > GM_EVENT_BYTES_MAX);
	}
	gm_buf_release(&body);
	json_decref(envelope);
	return 0;
}
