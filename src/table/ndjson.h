/* ndjson.h - lines of JSON in a gzip file that is staged: what a unit lists for people and for commands to come.
 *
 * The same text gives the same bytes, however it is cut into pieces on its way here: deflate is fed from a buffer that
 * is always full. gzip: level 6, no name, no time, operating system "unknown". */
#ifndef GM_TABLE_NDJSON_H
#define GM_TABLE_NDJSON_H

#include "table/kept_file.h"

struct gm_ndjson;
/* Nothing is staged before the first text. */
enum gm_code gm_ndjson_new(struct gm_store *store, const char *final_key, const char *work_prefix,
                           struct gm_ndjson **out, struct gm_error *err) GM_CHECK;
void gm_ndjson_free(struct gm_ndjson *file); /* abandons what is not finished; NULL is allowed */
/* JSON text, as it is. */
enum gm_code gm_ndjson_add(struct gm_ndjson *file, const void *text, size_t bytes, struct gm_error *err) GM_CHECK;
enum gm_code gm_ndjson_word(struct gm_ndjson *file, const char *text, struct gm_error *err) GM_CHECK;
/* A JSON string, with its quotes, of well-formed UTF-8. */
enum gm_code gm_ndjson_string(struct gm_ndjson *file, const uint8_t *bytes, size_t n, struct gm_error *err) GM_CHECK;
/* The same of anything: what is ill-formed becomes U+FFFD. */
enum gm_code gm_ndjson_mended(struct gm_ndjson *file, const uint8_t *bytes, size_t n, struct gm_error *err) GM_CHECK;
/* base64 digits; n is a multiple of three but at the end of a value. */
enum gm_code gm_ndjson_base64(struct gm_ndjson *file, const uint8_t *bytes, size_t n, struct gm_error *err) GM_CHECK;
/* "object":KEY, and ,"object_base64":... when the key is not UTF-8: the name itself is not lost. */
enum gm_code gm_ndjson_object(struct gm_ndjson *file, const char *key, struct gm_error *err) GM_CHECK;
/* No token when there was no text. Only once; then free. */
enum gm_code gm_ndjson_finish(struct gm_ndjson *file, struct gm_kept_file *kept, struct gm_error *err) GM_CHECK;

#endif
