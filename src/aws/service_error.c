#include "aws/service_error.h"

#include "aws/xml.h"
#include "base/json_text.h"

#include <stdio.h>
#include <string.h>

enum { BODY_BYTES_MAX = 64 * 1024 };

static void take(char *to, size_t room, const char *text)
{
	(void)snprintf(to, room, "%s", text);
}

static enum gm_code note_error(void *context, const char *path, const char *text, size_t bytes, struct gm_error *err)
{
	struct gm_service_error *error = context;
	const char *name = strrchr(path, '/');
	name = name != NULL ? name + 1 : path;
	(void)err;
	(void)bytes;
	if (strcmp(name, "Code") == 0) take(error->code, sizeof error->code, text);
	if (strcmp(name, "Message") == 0) take(error->text, sizeof error->text, text);
	if (strcmp(name, "Region") == 0) take(error->region, sizeof error->region, text);
	if (strcmp(name, "RequestId") == 0) take(error->request_id, sizeof error->request_id, text);
	return GM_OK;
}

/* {"__type":"prefix#Code","message":TEXT} */
static void read_json(const char *body, size_t bytes, struct gm_service_error *error)
{
	json_error_t why;
	json_t *json = gm_json_load(body, bytes, 0, &why);
	const char *type = json_string_value(json_object_get(json, "__type"));
	const char *text = json_string_value(json_object_get(json, "message"));
	if (text == NULL) text = json_string_value(json_object_get(json, "Message"));
	if (type != NULL && strchr(type, '#') != NULL) type = strchr(type, '#') + 1;
	if (type != NULL) take(error->code, sizeof error->code, type);
	if (text != NULL) take(error->text, sizeof error->text, text);
	json_decref(json);
}

static void clean(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f) *text = ' ';
}

void gm_service_error_read(const void *body, size_t bytes, struct gm_service_error *out)
{
	const char *at = body;
	*out = (struct gm_service_error){.code = ""};
	/* A service that takes long sends blanks ahead of its answer. */
	for (; bytes > 0 && memchr(" \t\r\n", *at, 4) != NULL; bytes--) at++;
	if (bytes == 0 || bytes > BODY_BYTES_MAX) return;
	if (*at == '<') (void)!gm_xml_parse(at, bytes, note_error, out, NULL);
	if (*at == '{') read_json(at, bytes, out);
	clean(out->code);
	clean(out->text);
	clean(out->region);
	clean(out->request_id);
}
