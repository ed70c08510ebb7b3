#include "base/json_text.h"

struct text {
	struct gm_buf *out;
	enum gm_code code; /* the first failure: jansson does not always pass it on */
	struct gm_error *err;
};

static int append_text(const char *bytes, size_t n, void *context)
{
	struct text *text = context;
	if (text->code == GM_OK) text->code = gm_buf_append(text->out, bytes, n, text->err);
	return text->code == GM_OK ? 0 : -1;
}

enum gm_code gm_json_text_as(const json_t *value, size_t flags, struct gm_buf *out, struct gm_error *err)
{
	struct text text = {out, GM_OK, err};
	if (value == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for JSON");
	int failed = json_dump_callback(value, append_text, &text, flags);
	if (text.code != GM_OK) return text.code;
	if (failed != 0) GM_FAIL(err, GM_NOMEM, "out of memory for JSON");
	return GM_OK;
}

enum gm_code gm_json_text(const json_t *value, struct gm_buf *out, struct gm_error *err)
{
	return gm_json_text_as(value, JSON_SORT_KEYS | JSON_COMPACT, out, err);
}

enum gm_code gm_json_parse(const char *text, size_t bytes, size_t flags, json_t **out, struct gm_error *err)
{
	json_error_t why;
	*out = gm_json_load(text, bytes, flags, &why);
	if (*out != NULL) return GM_OK;
	if (json_error_code(&why) == json_error_out_of_memory) GM_FAIL(err, GM_NOMEM, "out of memory for JSON");
	(void)gm_error_set(err, GM_CORRUPT, "%s", why.text);
	if (err != NULL) err->column = why.column;
	return GM_CORRUPT;
}
