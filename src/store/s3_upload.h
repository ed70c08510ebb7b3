/* s3_upload.h - what a process knows of what it has staged, or is staging: shared by s3_stage.c, which sends it, and
 * s3_publish.c.
 *
 * Once it is staged, an upload is found by its token, by any thread: who has found it holds it, and it is freed when it
 * is forgotten and nobody holds it. Its lock is held while its requests are waited for; the store's (`staging`) never
 * is. */
#ifndef GM_STORE_S3_UPLOAD_H
#define GM_STORE_S3_UPLOAD_H

#include "store/s3.h"

enum { GM_S3_PARTS_IN_FLIGHT = 2 /* of one object */ };

/* A request with the bytes it sends. */
struct gm_s3_sending {
	struct gm_call *call; /* NULL: it is over */
	struct gm_arena arena;
	uint8_t *data;
	size_t bytes, part;
};

struct gm_s3_upload {
	/* With the store's lock: */
	struct gm_s3_upload *next;          /* of those with a token like its */
	struct gm_s3_upload *newer, *older; /* of those that may be on their way, or have failed */
	bool in_flight;                     /* it is one of them */
	bool forgotten;
	unsigned holders;
	size_t count; /* of its sendings; changed with both locks */

	/* Never changed once it is staged: */
	char *token, *final_key;
	char random[GM_S3_PUT_TOKEN_BYTES];
	char *id; /* of a multipart upload; NULL: one small object */

	/* With its own lock once it is staged, before that by who stages it: */
	pthread_mutex_t lock;
	struct gm_s3_parts parts;
	struct gm_s3_sending sending[GM_S3_PARTS_IN_FLIGHT];
	size_t first;
	uint8_t *kept; /* the small object's bytes; NULL: they were let go */
	size_t kept_bytes;
	bool completed;
	enum gm_code failed; /* sending did */
	struct gm_error why;
};

/* NULL: this process knows nothing of it. */
struct gm_s3_upload *gm_s3_upload_find(struct gm_s3 *s3, const char *token);
void gm_s3_upload_let_go(struct gm_s3 *s3, struct gm_s3_upload *upload); /* NULL is allowed */
/* It is not found any more. */
void gm_s3_upload_forget(struct gm_s3 *s3, struct gm_s3_upload *upload);
/* Waits until all of it has been answered; what failed, fails here each time. */
enum gm_code gm_s3_upload_land(struct gm_s3 *s3, struct gm_s3_upload *upload, struct gm_error *err) GM_CHECK;
/* The bytes of a small object, if they were kept: taken out, to be freed by gm_s3_kept_free or given back. */
bool gm_s3_kept_take(struct gm_s3_upload *upload, uint8_t **data, size_t *bytes);
void gm_s3_kept_give(struct gm_s3_upload *upload, uint8_t *data, size_t bytes);
void gm_s3_kept_free(struct gm_s3 *s3, uint8_t *data, size_t bytes);

#endif
