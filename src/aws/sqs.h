/* sqs.h - a queue of Amazon SQS: what a reader of messages asks of it. */
#ifndef GM_AWS_SQS_H
#define GM_AWS_SQS_H

#include "aws/service.h"

enum {
	GM_SQS_BATCH = 10,                   /* messages in one request, at most */
	GM_SQS_HOLD_SECONDS_MAX = 12 * 3600, /* a message comes back after so long, whatever is done */
};

struct gm_sqs; /* thread-safe */
/* url: of the queue, as AWS shows it. It says the region where options do not, and, if it is no URL of AWS, the
 * endpoint where that is NULL. Asks nothing yet. USAGE: it is no such URL, or as gm_service_open. */
enum gm_code gm_sqs_open(const char *url, const struct gm_aws_options *options, const char *endpoint,
                         struct gm_sqs **out, struct gm_error *err) GM_CHECK;
/* The ARN that policies name the queue by; region NULL: as the URL says, or any. False: the URL does not tell. */
enum { GM_SQS_ARN_BYTES = 512 };
bool gm_sqs_arn(const char *url, const char *region, char arn[GM_SQS_ARN_BYTES]);
void gm_sqs_close(struct gm_sqs *sqs); /* NULL is allowed */
const char *gm_sqs_describe(const struct gm_sqs *sqs);
/* Requests that were made again after a fault, so far. */
uint64_t gm_sqs_retries(const struct gm_sqs *sqs);

/* What is known of the queue itself. */
struct gm_sqs_queue {
	unsigned visibility_seconds; /* for which a message that was received stays hidden */
	uint64_t waiting;            /* messages, about */
};
/* NOT_FOUND: there is no such queue. */
enum gm_code gm_sqs_look(struct gm_sqs *sqs, struct gm_sqs_queue *out, struct gm_error *err) GM_CHECK;

struct gm_sqs_message { /* lives during the call that tells of it */
	const char *id, *receipt, *body;
	size_t body_bytes;
};
typedef enum gm_code gm_sqs_message_fn(void *context, const struct gm_sqs_message *message, struct gm_error *err);
/* Up to `count` messages (at most GM_SQS_BATCH), which stay hidden from others for so long; waits up to wait_seconds
 * (at most 20) for the first. A code of fn other than OK ends it: what was not told comes back by itself. */
enum gm_code gm_sqs_receive(struct gm_sqs *sqs, unsigned count, unsigned wait_seconds, unsigned visibility_seconds,
                            gm_sqs_message_fn *fn, void *context, struct gm_error *err) GM_CHECK;

/* What became of one message of a batch. */
enum gm_sqs_fate {
	GM_SQS_DONE,
	GM_SQS_GONE, /* its receipt is no longer valid: the message is with somebody else, or deleted */
	GM_SQS_AGAIN /* not done, and worth trying again */
};
/* Both take up to GM_SQS_BATCH receipts; fates[i] is always filled. A failure of the whole is AGAIN for each, and
 * told. */
enum gm_code gm_sqs_delete(struct gm_sqs *sqs, const char *const *receipts, size_t count, enum gm_sqs_fate *fates,
                           struct gm_error *err) GM_CHECK;
/* seconds: from now on; 0: others may have them at once. */
enum gm_code gm_sqs_extend(struct gm_sqs *sqs, const char *const *receipts, size_t count, unsigned seconds,
                           enum gm_sqs_fate *fates, struct gm_error *err) GM_CHECK;

#endif
