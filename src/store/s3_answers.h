/* s3_answers.h - what S3 answers, as structs: pages of a listing, lists of parts, ids of uploads, ranges.
 *
 * All of it comes from outside: what is not as the API Reference says is CORRUPT, and nothing is guessed. An answer
 * that is another document (an error, the page of a proxy) is CORRUPT, too, however good its status was. */
#ifndef GM_STORE_S3_ANSWERS_H
#define GM_STORE_S3_ANSWERS_H

#include "base/arena.h"

enum { GM_S3_ETAG_BYTES = 128, GM_S3_UPLOAD_ID_BYTES = 1024 };

/* --- ListObjectsV2 ------------------------------------------------------------------------------------------------ */

struct gm_s3_entry {
	const char *key; /* whole, decoded */
	const char *etag;
	uint64_t size;
	int64_t mtime_us; /* in whole seconds, as headers tell it */
};
struct gm_s3_page {
	struct gm_arena arena; /* of the strings */
	struct gm_s3_entry *entries;
	size_t count, room;
	char *token; /* of the page that follows; NULL: this is the last */
};

void gm_s3_page_init(struct gm_s3_page *page);
void gm_s3_page_release(struct gm_s3_page *page);
/* In place of what the page held. */
enum gm_code gm_s3_page_read(struct gm_s3_page *page, const void *xml, size_t bytes, struct gm_error *err) GM_CHECK;

/* --- Uploads ------------------------------------------------------------------------------------------------------ */

struct gm_s3_part {
	char etag[GM_S3_ETAG_BYTES]; /* "" before its answer */
	uint64_t bytes;
};
struct gm_s3_parts {
	struct gm_s3_part *parts; /* numbers 1, 2, ... without a gap */
	size_t count, room;
	bool truncated; /* there are more */
};

void gm_s3_parts_release(struct gm_s3_parts *parts);
/* Adds an answer of ListParts; on failure the list is as before. */
enum gm_code gm_s3_parts_read(struct gm_s3_parts *parts, const void *xml, size_t bytes, struct gm_error *err) GM_CHECK;
/* CreateMultipartUpload. free() the id, which has no blank in it. */
enum gm_code gm_s3_upload_id_read(const void *xml, size_t bytes, char **id, struct gm_error *err) GM_CHECK;

/* --- Other -------------------------------------------------------------------------------------------------------- */

/* Does the answer of DeleteObjects, which was told to be quiet, say that nothing is left? */
bool gm_s3_is_all_removed(const void *xml, size_t bytes);
/* Digits and nothing else; up to INT64_MAX. */
bool gm_s3_number(const char *text, uint64_t *out);
/* "bytes 0-99/1234": of a Content-Range header. */
struct gm_s3_range {
	uint64_t first, bytes, size;
};
bool gm_s3_range_read(const char *text, struct gm_s3_range *out);
/* Without quotes, and without the mark of a weak one. "": it is longer than any store's. */
void gm_s3_etag(const char *text, size_t bytes, char out[GM_S3_ETAG_BYTES]);

#endif
