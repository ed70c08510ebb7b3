/* inflate.h - the bytes of an object, decompressed as they stream: gzip (every member, CRC and length checked), zstd
 * (every frame), or plain, told by the first bytes. */
#ifndef GM_SHRED_INFLATE_H
#define GM_SHRED_INFLATE_H

#include "base/arena.h"

/* Gives up to `bytes` raw bytes of the object at its current position; *got == 0 is the end. */
typedef enum gm_code gm_source_fn(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err);

struct gm_inflate; /* reusable from object to object */
struct gm_inflate *gm_inflate_new(void);
void gm_inflate_free(struct gm_inflate *inflate);
/* Starts an object. */
void gm_inflate_begin(struct gm_inflate *inflate, gm_source_fn *source, void *context);
/* The same for bytes that are plain, whatever they begin with. */
void gm_inflate_begin_plain(struct gm_inflate *inflate, gm_source_fn *source, void *context);
/* Up to `bytes` inflated bytes; *got == 0 with OK is the end of a sound object. CORRUPT: the stream is damaged or cut
 * (err->message says how and at which compressed offset); everything given before stays valid, nothing more comes. */
enum gm_code gm_inflate_read(struct gm_inflate *inflate, void *into, size_t bytes, size_t *got,
                             struct gm_error *err) GM_CHECK;
/* Whether the last failure lies in the object's bytes (CORRUPT by our own judgement) and not in its source. */
bool gm_inflate_damaged(const struct gm_inflate *inflate);
/* Compressed bytes taken from the source so far, and inflated bytes given. */
uint64_t gm_inflate_bytes_in(const struct gm_inflate *inflate);
uint64_t gm_inflate_bytes_out(const struct gm_inflate *inflate);
const char *gm_inflate_format(const struct gm_inflate *inflate); /* "gzip", "zstd", "plain" */

#endif
