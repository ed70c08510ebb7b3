/* Unit tests of aws/endpoint: where a service is spoken to. tests/test_aws_config.py compares the names that are made
 * from service and region with botocore's. */
#include "config_fixture.h"

static const char *endpoint(const char *service, const char *region, const char *given)
{
	static struct gm_aws_endpoint out;
	struct gm_aws_config *config;
	must(load(NULL, &config));
	enum gm_code rc = gm_aws_endpoint(config, service, region, given, &out, &failure);
	gm_aws_config_free(config);
	if (rc == GM_OK) return out.url;
	assert_int_equal(rc, GM_USAGE);
	return "wrong";
}

static void test_precedence(void **state)
{
	(void)state;
	set_files("[default]\nregion = r\n", NULL);
	assert_string_equal(endpoint("sts", "eu-west-1", NULL), "https://sts.eu-west-1.amazonaws.com");
	set_files("[default]\nendpoint_url = http://profile\n", NULL);
	assert_string_equal(endpoint("sts", "r", NULL), "http://profile");
	set_files("[default]\nendpoint_url = http://profile\nservices = dev\n"
	          "[services dev]\nsts =\n  endpoint_url = http://services:81/\ns3 =\n  other = x\n",
	          NULL);
	assert_string_equal(endpoint("sts", "r", NULL), "http://services:81");
	assert_string_equal(endpoint("s3", "r", NULL), "http://profile");
	set_env("AWS_ENDPOINT_URL", "http://all");
	assert_string_equal(endpoint("sts", "r", NULL), "http://all");
	set_env("AWS_ENDPOINT_URL_STS", "http://mine");
	assert_string_equal(endpoint("sts", "r", NULL), "http://mine");
	assert_string_equal(endpoint("s3", "r", NULL), "http://all");
	assert_string_equal(endpoint("sts", "r", "https://given"), "https://given");
	set_env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True");
	assert_string_equal(endpoint("sts", "r", NULL), "https://sts.r.amazonaws.com");
	assert_string_equal(endpoint("sts", "r", "https://given"), "https://given");
	set_env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "yes");
	assert_string_equal(endpoint("sts", "r", NULL), "http://mine");
	set_env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", NULL);
	set_env("AWS_ENDPOINT_URL_STS", "");
	set_env("AWS_ENDPOINT_URL", NULL);
	set_files("[default]\nignore_configured_endpoint_urls = true\nendpoint_url = http://profile\n", NULL);
	assert_string_equal(endpoint("sts", "r", NULL), "https://sts.r.amazonaws.com");
	set_files("[default]\nservices = gone\n", NULL);
	assert_string_equal(endpoint("sts", "r", NULL), "wrong");
	assert_string_equal(failure.message, "there is no section [services gone], which the profile names");
	assert_string_equal(failure.object, "profile 'default'");
}

static void test_urls(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
	    {"http://localhost", "http://localhost"},
	    {"http://localhost:9000", "http://localhost:9000"},
	    {"HTTPS://Example.com/", "https://Example.com"},
	    {"https://example.com:443", "https://example.com"},
	    {"http://example.com:80/", "http://example.com"},
	    {"http://example.com:443", "http://example.com:443"},
	    {"https://example.com:80", "https://example.com:80"},
	    {"http://[::1]:9000", "http://[::1]:9000"},
	    {"http://[::ffff:127.0.0.1]", "http://[::ffff:127.0.0.1]"},
	    {"http://a_b.c-d:65535", "http://a_b.c-d:65535"},
	};
	static const char *const wrong[] = {
	    "localhost:9000",
	    "ftp://x",
	    "http:/x",
	    "http://",
	    "http://:90",
	    "http://x:",
	    "http://x:0",
	    "http://x:65536",
	    "http://x:99999999999",
	    "http://u:p@x",
	    "http://x?q",
	    "http://x#f",
	    "http://x/path",
	    "http://x//",
	    "http://x/?q",
	    "http://x y",
	    "http://x\n",
	    " http://x",
	    "http://x\r\nHost: y",
	    "http://[::1",
	    "http://[]",
	    "http://[::1]x",
	    "http://\xC3\xA9",
	    "http://x:8a",
	    "http://x:-1",
	    "http://x%2Fy",
	    "http://[fe80::1%25eth0]",
	};
	set_files(NULL, NULL);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_string_equal(endpoint("s3", "r", cases[i][0]), cases[i][1]);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		if (strcmp(endpoint("s3", "r", wrong[i]), "wrong") != 0) fail_msg("'%s' was taken", wrong[i]);
		assert_string_equal(failure.object, "endpoint of the job file");
	}
	char large[1000] = "http://";
	memset(large + 7, 'x', sizeof large - 8);
	assert_string_equal(endpoint("s3", "r", large), "wrong");
	/* The longest that is taken is not cut. */
	for (size_t n = GM_ENDPOINT_BYTES; n > GM_ENDPOINT_BYTES - 40; n--) {
		large[n] = '\0';
		const char *url = endpoint("s3", "r", large);
		if (strcmp(url, "wrong") != 0) assert_string_equal(url, large);
	}
	assert_string_not_equal(endpoint("s3", "r", large), "wrong");
}

/* A password in the URL is in no message. */
static void test_errors_tell_where(void **state)
{
	(void)state;
	static const char *const variables[][2] = {{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL"},
	                                           {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_S3"}};
	for (size_t i = 0; i < 2; i++) {
		set_env(variables[i][0], "http://user:S3CRET@x");
		assert_string_equal(endpoint("s3", "r", NULL), "wrong");
		assert_string_equal(failure.object, variables[i][1]);
		assert_string_equal(failure.message, "the endpoint has a user in it");
		assert_null(strstr(failure.hint, "S3CRET"));
	}
	set_env("AWS_ENDPOINT_URL", NULL);
	set_env("AWS_ENDPOINT_URL_S3", NULL);
	set_files("[default]\nendpoint_url = S3CRET\n", NULL);
	assert_string_equal(endpoint("s3", "r", NULL), "wrong");
	assert_string_equal(failure.object, "endpoint_url of profile 'default'");
	set_files("[default]\nservices = a b\n[services 'a b']\ns3 =\n  endpoint_url = S3CRET\n", NULL);
	assert_string_equal(endpoint("s3", "r", NULL), "wrong");
	assert_string_equal(failure.object, "endpoint_url of s3 in [services a b]");
	assert_null(strstr(failure.message, "S3CRET"));
}

static void test_regions(void **state)
{
	(void)state;
	set_files(NULL, NULL);
	assert_string_equal(endpoint("s3", "garage", NULL), "https://s3.garage.amazonaws.com");
	static const char *const wrong[] = {NULL, "", "eu west", "x.evil.example/", "x\n", "\xC3\xA9"};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_string_equal(endpoint("s3", wrong[i], NULL), "wrong");
	assert_string_equal(failure.object, "region");
	assert_string_equal(endpoint("s3", NULL, "http://x"), "http://x");
	static const char *const partitions[][2] = {
	    {"eu-west-1", "aws"},
	    {"cn-north-1", "aws-cn"},
	    {"us-gov-west-1", "aws-us-gov"},
	    {"us-iso-east-1", "aws-iso"},
	    {"us-isob-east-1", "aws-iso-b"},
	    {"eu-isoe-west-1", "aws-iso-e"},
	    {"us-isof-south-1", "aws-iso-f"},
	    {"eusc-de-east-1", "aws-eusc"},
	    {"us-east-1", "aws"},
	};
	for (size_t i = 0; i < sizeof partitions / sizeof partitions[0]; i++)
		assert_string_equal(gm_aws_partition(partitions[i][0]), partitions[i][1]);
}

/* An endpoint of the user's is not FIPS because a setting says so: to be silent about it would be a lie. */
static void test_fips_and_dualstack(void **state)
{
	(void)state;
	set_files("[default]\nuse_fips_endpoint = true\ns3 =\n  use_dualstack_endpoint = true\n", NULL);
	assert_string_equal(endpoint("s3", "us-east-1", NULL), "https://s3-fips.dualstack.us-east-1.amazonaws.com");
	assert_string_equal(endpoint("glue", "us-east-1", NULL), "https://glue-fips.us-east-1.amazonaws.com");
	set_env("AWS_USE_FIPS_ENDPOINT", "false");
	set_env("AWS_USE_DUALSTACK_ENDPOINT", "true");
	assert_string_equal(endpoint("glue", "us-east-1", NULL), "https://glue.us-east-1.api.aws");
	set_env("AWS_ENDPOINT_URL", "http://x");
	assert_string_equal(endpoint("glue", "us-east-1", NULL), "wrong");
	assert_non_null(strstr(failure.message, "dual-stack"));
	set_env("AWS_USE_DUALSTACK_ENDPOINT", "false");
	assert_string_equal(endpoint("glue", "us-east-1", NULL), "http://x");
	set_env("AWS_USE_FIPS_ENDPOINT", "TRUE");
	assert_string_equal(endpoint("glue", "us-east-1", NULL), "wrong");
}

static void test_addressing_style(void **state)
{
	(void)state;
	static const struct {
		const char *style, *given;
		int path_style; /* -1: wrong */
	} cases[] = {
	    {NULL, NULL, 0},   {NULL, "http://x", 1},   {"auto", NULL, 0},    {"auto", "http://x", 1},
	    {"path", NULL, 1}, {"path", "http://x", 1}, {"virtual", NULL, 0}, {"virtual", "http://x", 0},
	    {"dns", NULL, -1}, {"", NULL, -1},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct gm_aws_config *config;
		struct gm_aws_endpoint out;
		char text[100] = "";
		if (cases[i].style != NULL)
			(void)snprintf(text, sizeof text, "[default]\ns3 =\n  addressing_style = %s\n", cases[i].style);
		set_files(text, NULL);
		must(load(NULL, &config));
		enum gm_code rc = gm_aws_endpoint(config, "s3", "r", cases[i].given, &out, &failure);
		assert_int_equal(rc, cases[i].path_style < 0 ? GM_USAGE : GM_OK);
		if (rc == GM_OK) assert_int_equal(out.path_style, cases[i].path_style);
		if (rc == GM_OK) assert_int_equal(out.custom, cases[i].given != NULL);
		must(gm_aws_endpoint(config, "glue", "r", cases[i].given, &out, &failure));
		assert_false(out.path_style);
		gm_aws_config_free(config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_precedence, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_urls, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_errors_tell_where, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_regions, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_fips_and_dualstack, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_addressing_style, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
