/* json_text.h - JSON values of the control plane as text. */
#ifndef GM_BASE_JSON_TEXT_H
#define GM_BASE_JSON_TEXT_H

#include "base/arena.h"

#include <jansson.h>

/* Appends the value: members sorted, no white space, so that equal values are equal bytes. NULL is NOMEM: what could
 * not be built. (Not json_dumps: jansson 2.14 gives damaged text and no error when memory ends while it writes a sorted
 * key.) */
enum gm_code gm_json_text(const json_t *value, struct gm_buf *out, struct gm_error *err) GM_CHECK;
/* The same in another form: flags are those of json_dumps. */
enum gm_code gm_json_text_as(const json_t *value, size_t flags, struct gm_buf *out, struct gm_error *err) GM_CHECK;

/* json_loadb, which must not be called itself: jansson damages values and more when memory ends. *why is filled on
 * failure, then with json_error_out_of_memory. */
json_t *gm_json_load(const char *text, size_t bytes, size_t flags, json_error_t *why);
/* And back. CORRUPT says what is wrong with the text; flags are jansson's. */
enum gm_code gm_json_parse(const char *text, size_t bytes, size_t flags, json_t **out, struct gm_error *err) GM_CHECK;

#endif
