/* Messages as the AWS documentation shows them, and as nobody should send them. */
#include "../must.h"

#include "watch/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct gm_event_scope scope = {.bucket = "amzn-s3-demo-bucket", .prefix = "in/"};

/* S3 User Guide, "Event message structure" and "Examples", with another key. */
#define RECORD(name, bucket, key)                                                                                     \
	"{\"eventVersion\":\"2.1\",\"eventSource\":\"aws:s3\",\"awsRegion\":\"us-west-2\","                               \
	"\"eventTime\":\"1970-01-01T00:00:00.500Z\",\"eventName\":\"" name "\","                                          \
	"\"userIdentity\":{\"principalId\":\"AIDAJDPLRKLG7UEXAMPLE\"},"                                                   \
	"\"requestParameters\":{\"sourceIPAddress\":\"172.16.0.1\"},"                                                     \
	"\"responseElements\":{\"x-amz-request-id\":\"C3D13FE58DE4C810\"},"                                               \
	"\"s3\":{\"s3SchemaVersion\":\"1.0\",\"configurationId\":\"testConfigRule\",\"bucket\":{\"name\":\"" bucket "\"," \
	"\"ownerIdentity\":{\"principalId\":\"A3NL1KOZZKExample\"},\"arn\":\"arn:aws:s3:::" bucket "\"},\"object\":{"     \
	"\"key\":\"" key "\",\"size\":1024,\"eTag\":\"d41d8cd98f00b204e9800998ecf8427e\","                                \
	"\"versionId\":\"096fKKXTRTtl3on89fVO.nfljtsv6qko\",\"sequencer\":\"0055AED6DCD90281E5\"}}}"
#define OURS            "amzn-s3-demo-bucket"
#define DIRECT(records) "{\"Records\":[" records "]}"
#define CREATED(key)    RECORD("ObjectCreated:Put", OURS, key)
/* "EventBridge event message structure" */
#define BRIDGED(type, key)                                                                                            \
	"{\"version\":\"0\",\"id\":\"17793124-05d4-b198-2fde-7ededc63b103\",\"detail-type\":\"" type "\","                \
	"\"source\":\"aws.s3\",\"account\":\"111122223333\",\"time\":\"1970-01-01T00:00:01Z\",\"region\":\"ca-central-"   \
	"1\","                                                                                                            \
	"\"resources\":[\"arn:aws:s3:::amzn-s3-demo-bucket\"],\"detail\":{\"version\":\"0\",\"bucket\":{\"name\":\"" OURS \
	"\"},\"object\":{\"key\":\"" key "\",\"size\":5,\"etag\":\"b1946ac92492d2347c6235b4d2611184\","                   \
	"\"sequencer\":\"00617F08299329D189\"},\"request-id\":\"N4N7GDK58NMKJ12R\",\"reason\":\"PutObject\"}}"
#define TEST_EVENT                                                                                 \
	"{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\",\"Time\":\"2014-10-13T15:57:02.089Z\"," \
	"\"Bucket\":\"amzn-s3-demo-bucket\",\"RequestId\":\"5582815E1AEA5ADF\",\"HostId\":"            \
	"\"8cLeGAmw098X5cv4Zkwcmo8vvZa3e\"}"

static struct gm_event read_body(const char *body)
{
	struct gm_event event;
	must(gm_event_read(body, strlen(body), &scope, &event, &failure));
	return event;
}

/* As SNS wraps it: SNS Developer Guide, "HTTP/HTTPS notification JSON format". */
static struct gm_event read_wrapped(const char *message)
{
	static char body[8192];
	size_t n = (size_t)snprintf(body, sizeof body,
	                            "{\"Type\":\"Notification\",\"MessageId\":\"22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324\","
	                            "\"TopicArn\":\"arn:aws:sns:us-west-2:123456789012:MyTopic\",\"Message\":\"");
	for (; *message != '\0'; message++) {
		if (*message == '"' || *message == '\\') body[n++] = '\\';
		body[n++] = *message;
	}
	(void)snprintf(body + n, sizeof body - n, "\",\"Timestamp\":\"2012-05-02T00:54:06.655Z\"}");
	return read_body(body);
}

static void assert_new(struct gm_event event, uint64_t objects, uint64_t bytes, int64_t oldest_us)
{
	assert_int_equal(event.kind, GM_EVENT_NEW);
	assert_int_equal(event.objects, objects);
	assert_int_equal(event.bytes, bytes);
	assert_int_equal(event.oldest_us, oldest_us);
}

static void assert_foreign(struct gm_event event, const char *why)
{
	assert_int_equal(event.kind, GM_EVENT_FOREIGN);
	assert_string_equal(event.why, why);
}

static void test_forms(void **state)
{
	(void)state;
	static const char direct[] = DIRECT(CREATED("in/a"));
	assert_new(read_body(direct), 1, 1024, 500000);
	assert_new(read_wrapped(direct), 1, 1024, 500000);
	assert_new(read_body(BRIDGED("Object Created", "in/a b+%41")), 1, 5, 1000000);
	assert_new(read_wrapped(BRIDGED("Object Created", "in/a")), 1, 5, 1000000);
	assert_new(read_body(DIRECT(CREATED("in/a") "," CREATED("in/b") "," CREATED("out/c"))), 2, 2048, 500000);
	assert_new(read_body(DIRECT(RECORD("s3:ObjectCreated:CompleteMultipartUpload", OURS, "in/a"))), 1, 1024, 500000);
}

static void test_idle(void **state)
{
	(void)state;
	assert_int_equal(read_body(TEST_EVENT).kind, GM_EVENT_IDLE);
	assert_int_equal(read_wrapped(TEST_EVENT).kind, GM_EVENT_IDLE);
	assert_int_equal(read_body(DIRECT(RECORD("ObjectRemoved:Delete", OURS, "in/a"))).kind, GM_EVENT_IDLE);
	assert_int_equal(read_body(BRIDGED("Object Deleted", "in/a")).kind, GM_EVENT_IDLE);
	assert_new(read_body(DIRECT(RECORD("ObjectRemoved:Delete", OURS, "in/a") "," CREATED("in/b"))), 1, 1024, 500000);
}

/* What the job writes itself, where its table lies in the same bucket, or another. */
static void test_own_table(void **state)
{
	static const struct gm_event_scope beside = {
	    .bucket = OURS, .prefix = "in/", .table_bucket = OURS, .table_prefix = "la ke/"};
	static const struct gm_event_scope apart = {
	    .bucket = "b", .prefix = "in/", .table_bucket = OURS, .table_prefix = "la ke/"};
	static const char written[] = DIRECT(CREATED("la+ke/_gristmill/j/watch/1.json")),
	                  other[] = DIRECT(CREATED("lake/1")),
	                  bridged[] = BRIDGED("Object Created", "la ke/_delta_log/0.json"),
	                  mixed[] = DIRECT(CREATED("la+ke/1") "," CREATED("in/b"));
	struct gm_event event;
	(void)state;
	must(gm_event_read(written, sizeof written - 1, &beside, &event, &failure));
	assert_int_equal(event.kind, GM_EVENT_IDLE);
	must(gm_event_read(written, sizeof written - 1, &apart, &event, &failure));
	assert_int_equal(event.kind, GM_EVENT_IDLE);
	must(gm_event_read(bridged, sizeof bridged - 1, &beside, &event, &failure));
	assert_int_equal(event.kind, GM_EVENT_IDLE);
	must(gm_event_read(mixed, sizeof mixed - 1, &beside, &event, &failure));
	assert_new(event, 1, 1024, 500000);
	must(gm_event_read(other, sizeof other - 1, &beside, &event, &failure));
	assert_foreign(event, "it tells of no object of the source");
}

/* A prefix that has to be encoded, and is in one of two ways. */
static void test_keys(void **state)
{
	static const struct gm_event_scope odd = {.bucket = OURS, .prefix = "a b+c/\xC3\xA9/"};
	static const char *const same[] = {"a+b%2Bc/%C3%A9/x", "a%20b%2bc%2F%c3%a9/x", "a+b%2Bc/\xC3\xA9/x"};
	static const char *const other[] = {"a b+c/%C3%A9/x", "a+b%2Bc/%C3", "a+b%2Bc/%C", "a+b%2Bc/%", "a+b", "", "%00a"};
	struct gm_event event;
	char body[2048];
	(void)state;
	for (size_t i = 0; i < 10; i++) {
		bool ours = i < 3;
		int n = snprintf(body, sizeof body, DIRECT(CREATED("%s")), ours ? same[i] : other[i - 3]);
		must(gm_event_read(body, (size_t)n, &odd, &event, &failure));
		assert_int_equal(event.kind, ours ? GM_EVENT_NEW : GM_EVENT_FOREIGN);
	}
	static const char plain[] = BRIDGED("Object Created", "a b+c/\xC3\xA9/x");
	must(gm_event_read(plain, sizeof plain - 1, &odd, &event, &failure));
	assert_int_equal(event.kind, GM_EVENT_NEW);
}

static void test_foreign(void **state)
{
	static const char nothing[] = "it tells of no object of the source", none[] = "it is no event of S3",
	                  text[] = "it is no JSON object";
	(void)state;
	assert_foreign(read_body(DIRECT(RECORD("ObjectCreated:Put", "another", "in/a"))), nothing);
	assert_foreign(read_body(DIRECT(CREATED("other/a"))), nothing);
	assert_foreign(read_body(DIRECT(RECORD("ObjectRemoved:Delete", OURS, "other/a"))), nothing);
	assert_foreign(read_body(DIRECT("")), nothing);
	assert_foreign(read_body(DIRECT("5,null,[],{},{\"eventName\":\"ObjectCreated:Put\",\"s3\":[]}")), nothing);
	assert_foreign(read_body("{}"), none);
	assert_foreign(read_body("{\"Records\":{}}"), none);
	assert_foreign(read_body("{\"source\":\"aws.ec2\",\"detail-type\":\"Object Created\"}"), none);
	assert_foreign(read_body("{\"source\":\"aws.s3\",\"detail-type\":{}}"), none);
	assert_foreign(read_body(""), text);
	assert_foreign(read_body("[]"), text);
	assert_foreign(read_body(DIRECT(CREATED("in/a")) "x"), text);
	assert_foreign(read_body("{\"Records\":[\xFF]}"), text);
	assert_foreign(read_wrapped("no json"), text);
	/* Of envelopes one is opened. */
	assert_foreign(read_wrapped("{\"Type\":\"Notification\",\"Message\":\"{}\"}"), none);
}

static void test_bounds(void **state)
{
	struct gm_event event;
	(void)state;
	char *large = malloc(GM_EVENT_BYTES_MAX + 1);
	assert_non_null(large);
	memset(large, '[', GM_EVENT_BYTES_MAX + 1);
	must(gm_event_read(large, GM_EVENT_BYTES_MAX, &scope, &event, &failure));
	assert_foreign(event, "it is no JSON object");
	must(gm_event_read(large, GM_EVENT_BYTES_MAX + 1, &scope, &event, &failure));
	assert_foreign(event, "it is larger than any message of SQS");
	free(large);
	/* Sizes that are none, or add up to more than there is. */
	assert_new(read_body("{\"Records\":[{\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"" OURS
	                     "\"},\"object\":{\"key\":\"in/a\",\"size\":-5}}}]}"),
	           1, 0, INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_forms), cmocka_unit_test(test_idle),    cmocka_unit_test(test_own_table),
	    cmocka_unit_test(test_keys),  cmocka_unit_test(test_foreign), cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
