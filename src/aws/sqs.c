/* sqs.c - the operations of Amazon SQS in its JSON protocol (Amazon SQS API Reference, version 2012-11-05; shapes as
 * botocore's model has them): POST of {"QueueUrl": ..., ...} to the endpoint, with the operation in x-amz-target.
 *
 * Batches answer 200 with an entry for each message, under Successful or under Failed, and may answer for less than all
 * of them: what is not named has not been done. */
#include "aws/sqs.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
	ATTEMPTS = 2,           /* of one request: whoever asks does so for ever, and more slowly when it fails */
	STALL_SECONDS_MIN = 10, /* an answer that is waited for stands still; also the default: who stops waits for it */
};

struct gm_sqs {
	struct gm_service *service;
	char *url;
};

/* --- Where it is -------------------------------------------------------------------------------------------------- */

struct address {
	char origin[GM_ENDPOINT_BYTES]; /* scheme, host, port */
	char region[GM_REGION_BYTES];   /* "": the host says none */
	bool aws;
};

static bool ends_with(const char *text, const char *with)
{
	size_t n = strlen(text), m = strlen(with);
	return n >= m && strcmp(text + n - m, with) == 0;
}

/* "sqs.eu-west-1.amazonaws.com", "eu-west-1.queue.amazonaws.com" */
static void read_region(const char *host, char region[GM_REGION_BYTES])
{
	static const char modern[] = "sqs.", legacy[] = ".queue.amazonaws.com";
	size_t n = 0;
	if (strncmp(host, modern, sizeof modern - 1) == 0) {
		host += sizeof modern - 1;
		n = strcspn(host, ".");
	} else if (ends_with(host, legacy)) {
		n = strlen(host) - (sizeof legacy - 1);
	}
	if (n == 0 || n >= GM_REGION_BYTES) return;
	memcpy(region, host, n);
	region[n] = '\0';
}

static enum gm_code read_address(const char *url, struct address *out, struct gm_error *err)
{
	*out = (struct address){.aws = false};
	bool secure = strncmp(url, "https://", 8) == 0;
	const char *host = secure ? url + 8 : strncmp(url, "http://", 7) == 0 ? url + 7 : NULL;
	size_t n = host != NULL ? strcspn(host, "/") : 0;
	bool printable = true;
	for (const char *at = url; *at != '\0'; at++) printable = printable && isgraph((unsigned char)*at);
	if (n == 0 || host[n] == '\0' || host[n + 1] == '\0' || !printable || host + n - url >= GM_ENDPOINT_BYTES) {
		(void)gm_error_set(err, GM_USAGE, "not the URL of a queue");
		(void)gm_error_hint(err, GM_USAGE, "such as https://sqs.eu-west-1.amazonaws.com/123456789012/new-objects");
		return gm_error_object(err, GM_USAGE, url, strlen(url));
	}
	char name[GM_ENDPOINT_BYTES];
	(void)snprintf(name, sizeof name, "%.*s", (int)n, host);
	(void)snprintf(out->origin, sizeof out->origin, "%.*s", (int)(host + n - url), url);
	out->aws = ends_with(name, ".amazonaws.com") || ends_with(name, ".amazonaws.com.cn");
	if (out->aws) read_region(name, out->region);
	return GM_OK;
}

/* ACCOUNT/NAME, behind the host: "Alphanumeric characters plus hyphens and underscores", and a suffix. What is in it
 * else would be a pattern in a policy. */
bool gm_sqs_arn(const char *url, const char *region, char arn[GM_SQS_ARN_BYTES])
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
	struct address address;
	if (read_address(url, &address, NULL) != GM_OK) return false;
	const char *account = url + strlen(address.origin) + 1, *name = strchr(account, '/');
	if (name == NULL || name == account || (size_t)(name - account) != strspn(account, plain) || name[1] == '\0' ||
	    strlen(name + 1) != strspn(name + 1, plain))
		return false;
	if (region == NULL && address.region[0] != '\0') region = address.region;
	const char *partition = gm_aws_partition(region != NULL ? region : "");
	int n = snprintf(arn, GM_SQS_ARN_BYTES, "arn:%s:sqs:%s:%.*s:%s", partition, region != NULL ? region : "*",
	                 (int)(name - account), account, name + 1);
	return n > 0 && n < GM_SQS_ARN_BYTES;
}

enum gm_code gm_sqs_open(const char *url, const struct gm_aws_options *options, const char *endpoint,
                         struct gm_sqs **out, struct gm_error *err)
{
	static const int64_t stall_least_us = INT64_C(1000000) * STALL_SECONDS_MIN;
	struct address address;
	*out = NULL;
	GM_TRY(read_address(url, &address, err));
	struct gm_service_options service = {.aws = *options,
	                                     .endpoint = endpoint != NULL || address.aws ? endpoint : address.origin,
	                                     .name = "sqs",
	                                     .target = "AmazonSQS",
	                                     .json = "1.0",
	                                     .max_attempts = ATTEMPTS};
	if (service.aws.region == NULL && address.region[0] != '\0') service.aws.region = address.region;
	if (service.aws.timeout_us < stall_least_us) service.aws.timeout_us = stall_least_us;
	struct gm_sqs *sqs = calloc(1, sizeof *sqs);
	if (sqs != NULL) sqs->url = strdup(url);
	enum gm_code rc = GM_OK;
	if (sqs == NULL || sqs->url == NULL) rc = gm_error_set(err, GM_NOMEM, "out of memory for a queue");
	if (rc == GM_OK) rc = gm_service_open(&service, &sqs->service, err);
	if (rc == GM_OK)
		*out = sqs;
	else
		gm_sqs_close(sqs);
	return rc;
}

void gm_sqs_close(struct gm_sqs *sqs)
{
	if (sqs == NULL) return;
	gm_service_close(sqs->service);
	free(sqs->url);
	free(sqs);
}

const char *gm_sqs_describe(const struct gm_sqs *sqs)
{
	return gm_service_describe(sqs->service);
}

uint64_t gm_sqs_retries(const struct gm_sqs *sqs)
{
	struct gm_call_counts counts = {.retries = 0};
	gm_service_counts(sqs->service, &counts);
	return counts.retries;
}

/* --- Calls -------------------------------------------------------------------------------------------------------- */

/* Takes over the request, which is NULL when memory is gone. The queue is what a failure is about. */
static enum gm_code call(struct gm_sqs *sqs, const char *operation, json_t *request, const char *doing, json_t **answer,
                         struct gm_error *err)
{
	enum gm_code rc = gm_service_call(sqs->service, operation, request, answer, doing, NULL, err);
	json_decref(request);
	return rc == GM_OK ? rc : gm_error_object(err, rc, sqs->url, strlen(sqs->url));
}

static uint64_t number_of(const json_t *attributes, const char *name)
{
	const char *text = json_string_value(json_object_get(attributes, name));
	return text != NULL ? strtoull(text, NULL, 10) : 0;
}

enum gm_code gm_sqs_look(struct gm_sqs *sqs, struct gm_sqs_queue *out, struct gm_error *err)
{
	json_t *answer = NULL;
	json_t *request = json_pack("{s:s, s:[s, s]}", "QueueUrl", sqs->url, "AttributeNames", "VisibilityTimeout",
	                            "ApproximateNumberOfMessages");
	*out = (struct gm_sqs_queue){.visibility_seconds = 0};
	GM_TRY(call(sqs, "GetQueueAttributes", request, "look at the queue", &answer, err));
	const json_t *attributes = json_object_get(answer, "Attributes");
	uint64_t visibility = number_of(attributes, "VisibilityTimeout");
	out->visibility_seconds = visibility < GM_SQS_HOLD_SECONDS_MAX ? (unsigned)visibility : GM_SQS_HOLD_SECONDS_MAX;
	out->waiting = number_of(attributes, "ApproximateNumberOfMessages");
	json_decref(answer);
	return GM_OK;
}

static enum gm_code tell_messages(const json_t *messages, gm_sqs_message_fn *fn, void *context, struct gm_error *err)
{
	for (size_t i = 0; i < json_array_size(messages); i++) {
		const json_t *message = json_array_get(messages, i), *body = json_object_get(message, "Body");
		struct gm_sqs_message told = {.id = json_string_value(json_object_get(message, "MessageId")),
		                              .receipt = json_string_value(json_object_get(message, "ReceiptHandle")),
		                              .body = json_string_value(body),
		                              .body_bytes = json_string_length(body)};
		if (told.id == NULL || told.receipt == NULL || told.body == NULL)
			GM_FAIL(err, GM_CORRUPT, "could not receive messages: one lacks its id, receipt handle or body");
		GM_TRY(fn(context, &told, err));
	}
	return GM_OK;
}

enum gm_code gm_sqs_receive(struct gm_sqs *sqs, unsigned count, unsigned wait_seconds, unsigned visibility_seconds,
                            gm_sqs_message_fn *fn, void *context, struct gm_error *err)
{
	json_t *answer = NULL;
	json_t *request = json_pack("{s:s, s:i, s:i, s:i}", "QueueUrl", sqs->url, "MaxNumberOfMessages", (int)count,
	                            "WaitTimeSeconds", (int)wait_seconds, "VisibilityTimeout", (int)visibility_seconds);
	GM_TRY(call(sqs, "ReceiveMessage", request, "receive messages", &answer, err));
	enum gm_code rc = tell_messages(json_object_get(answer, "Messages"), fn, context, err);
	json_decref(answer);
	return rc;
}

/* --- Batches ------------------------------------------------------------------------------------------------------ */

/* The place of an entry by its Id, which is its number; GM_SQS_BATCH: none of ours. */
static size_t entry_number(const json_t *entry)
{
	const char *id = json_string_value(json_object_get(entry, "Id"));
	bool digit = id != NULL && isdigit((unsigned char)id[0]) && id[1] == '\0';
	return digit ? (size_t)(id[0] - '0') : GM_SQS_BATCH;
}

/* A receipt that is no longer valid is told in several ways: by names of their own, or as a parameter that is wrong
 * ("... Reason: The receipt handle has expired"). All are the sender's fault, and so is nothing else that we send. */
static void read_fates(const json_t *answer, size_t count, enum gm_sqs_fate *fates)
{
	const json_t *done = json_object_get(answer, "Successful"), *failed = json_object_get(answer, "Failed");
	for (size_t i = 0; i < json_array_size(done); i++) {
		size_t n = entry_number(json_array_get(done, i));
		if (n < count) fates[n] = GM_SQS_DONE;
	}
	for (size_t i = 0; i < json_array_size(failed); i++) {
		const json_t *entry = json_array_get(failed, i);
		size_t n = entry_number(entry);
		if (n < count) fates[n] = json_is_true(json_object_get(entry, "SenderFault")) ? GM_SQS_GONE : GM_SQS_AGAIN;
	}
}

/* seconds below 0: entries have none. */
static json_t *make_entries(const char *const *receipts, size_t count, int seconds)
{
	json_t *entries = json_array();
	for (size_t i = 0; i < count; i++) {
		char id[] = {(char)('0' + i), '\0'};
		json_t *entry = json_pack("{s:s, s:s}", "Id", id, "ReceiptHandle", receipts[i]);
		bool whole = seconds < 0 || json_object_set_new(entry, "VisibilityTimeout", json_integer(seconds)) == 0;
		if (json_array_append_new(entries, entry) == 0 && whole) continue;
		json_decref(entries);
		return NULL;
	}
	return entries;
}

static enum gm_code batch(struct gm_sqs *sqs, const char *operation, const char *doing, const char *const *receipts,
                          size_t count, int seconds, enum gm_sqs_fate *fates, struct gm_error *err)
{
	json_t *answer = NULL;
	for (size_t i = 0; i < count; i++) fates[i] = GM_SQS_AGAIN;
	json_t *entries = make_entries(receipts, count, seconds);
	json_t *request = entries != NULL ? json_pack("{s:s, s:o}", "QueueUrl", sqs->url, "Entries", entries) : NULL;
	GM_TRY(call(sqs, operation, request, doing, &answer, err));
	read_fates(answer, count, fates);
	json_decref(answer);
	return GM_OK;
}

enum gm_code gm_sqs_delete(struct gm_sqs *sqs, const char *const *receipts, size_t count, enum gm_sqs_fate *fates,
                           struct gm_error *err)
{
	return batch(sqs, "DeleteMessageBatch", "delete messages", receipts, count, -1, fates, err);
}

enum gm_code gm_sqs_extend(struct gm_sqs *sqs, const char *const *receipts, size_t count, unsigned seconds,
                           enum gm_sqs_fate *fates, struct gm_error *err)
{
	return batch(sqs, "ChangeMessageVisibilityBatch", "hide messages for longer", receipts, count, (int)seconds, fates,
	             err);
}
