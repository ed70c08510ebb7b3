/* quarantine.h - writes rejected records as <unit>.ndjson.gz; quarantine_reader.h reads them back.
 *
 * One JSON object a line: {"object":KEY,"offset":N,"record":N,"reason":CODE,"column":..,"detail":SENTENCE,
 * "encoding":"utf-8"|"base64","raw":...,"bytes":N}. Written in plan order, deterministic bytes (zlib, fixed level, no
 * time); a span larger than 256 KiB is streamed as base64, whatever it holds. An object whose name is not UTF-8 has
 * "object_base64" after "object", which has U+FFFD for what is ill-formed. */
#ifndef GM_TABLE_QUARANTINE_H
#define GM_TABLE_QUARANTINE_H

#include "shred/shred.h"
#include "store/store.h"

enum { GM_QUARANTINE_TEXT_BYTES = 256 << 10 }; /* at most so many bytes of an entry are text */

struct gm_quarantine;
/* Nothing is staged before the first entry. */
enum gm_code gm_quarantine_new(struct gm_store *store, const char *final_key, const char *work_prefix,
                               struct gm_quarantine **out, struct gm_error *err) GM_CHECK;
void gm_quarantine_free(struct gm_quarantine *quarantine); /* abandons what is not finished */
/* The arguments of gm_reject_fn, and the object's key. */
enum gm_code gm_quarantine_add(struct gm_quarantine *quarantine, const char *object, const struct gm_reject *reject,
                               const void *data, size_t bytes, bool last, struct gm_error *err) GM_CHECK;
/* token "" when there was no entry. bytes and hash (XXH3-128: low, high) are of the file as stored. Only once; then
 * free. */
enum gm_code gm_quarantine_finish(struct gm_quarantine *quarantine, char token[GM_TOKEN_BYTES], uint64_t *bytes,
                                  uint64_t hash[2], struct gm_error *err) GM_CHECK;

#endif
