/* Unit tests of aws/config, aws/endpoint and aws/sign without memory: each allocation fails once, ours, libcrypto's and
 * the mappings for secrets; what comes is the right answer or NOMEM. And what is secret lies where secrets belong. */
#include "../alloc_faults.h"

#include "config_fixture.h"

#include "aws/sign.h"

#include <openssl/crypto.h>
#include <sys/mman.h>

static const uint8_t *mapped[8]; /* by the last load */
static size_t mapped_bytes[8], mapped_count;

void *__real_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	if (fails()) return MAP_FAILED;
	uint8_t *got = __real_mmap64(at, bytes, protection, flags, fd, offset);
	if (mapped_count < 8) {
		mapped[mapped_count] = got;
		mapped_bytes[mapped_count++] = bytes;
	}
	return got;
}

static bool is_mapped(const char *text)
{
	const uint8_t *at = (const uint8_t *)text;
	for (size_t i = 0; i < mapped_count; i++) {
		if (at >= mapped[i] && at < mapped[i] + mapped_bytes[i]) return true;
	}
	return false;
}

static void *crypto_malloc(size_t bytes, const char *file, int line)
{
	(void)file, (void)line;
	return fails() ? NULL : __real_malloc(bytes);
}

static void *crypto_realloc(void *old, size_t bytes, const char *file, int line)
{
	(void)file, (void)line;
	return fails() ? NULL : __real_realloc(old, bytes);
}

static void crypto_free(void *old, const char *file, int line)
{
	(void)file, (void)line;
	free(old);
}

static enum gm_code use_config(void)
{
	struct gm_aws_config *config;
	struct gm_aws_endpoint endpoint;
	enum gm_code rc = load(NULL, &config);
	if (rc != GM_OK) return rc;
	rc = gm_aws_endpoint(config, "s3", gm_aws_config_region(config), NULL, &endpoint, &failure);
	if (rc == GM_OK) {
		assert_string_equal(endpoint.url, "http://x:9000");
		assert_string_equal(gm_aws_config_get(config, "a b", "aws_secret_access_key"), "S3CRET");
	}
	gm_aws_config_free(config);
	return rc;
}

static void fail_each(enum gm_code (*use)(void), uint64_t least)
{
	for (fail_at = 1;; fail_at++) {
		arm();
		enum gm_code rc = use();
		armed = false;
		if (!fired) {
			assert_int_equal(rc, GM_OK);
			break;
		}
		if (rc != GM_OK && rc != GM_NOMEM)
			fail_msg("allocation %ju: %s: %s", (uintmax_t)fail_at, gm_code_name(rc), failure.message);
	}
	assert_true(fail_at > least);
}

static void test_config(void **state)
{
	(void)state;
	set_files("[profile 'a b']\nregion = r\nservices = s\n[services s]\ns3 =\n  endpoint_url = http://x:9000\n",
	          "[a b]\naws_access_key_id = A\naws_secret_access_key = S3CRET\n");
	set_env("AWS_PROFILE", "a b");
	fail_each(use_config, 8);
}

static enum gm_code miss_profile(void)
{
	struct gm_aws_config *config;
	enum gm_code rc = load("c", &config);
	assert_null(config);
	return rc == GM_USAGE ? GM_OK : rc;
}

static void test_missing_profile(void **state)
{
	(void)state;
	set_files("[default]\n", "[a]\n");
	fail_each(miss_profile, 8);
}

static void test_secrets_are_apart(void **state)
{
	(void)state;
	struct gm_aws_config *config;
	set_files("[default]\naws_session_token = T\n", "[default]\naws_access_key_id = A\naws_secret_access_key =  S  \n");
	mapped_count = 0;
	must(load(NULL, &config));
	assert_true(is_mapped(gm_aws_config_get(config, "default", "aws_access_key_id")));
	assert_true(is_mapped(gm_aws_config_get(config, "default", "aws_secret_access_key")));
	gm_aws_config_free(config);
}

static enum gm_code sign(void)
{
	static const char *const known = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
	                                 "SignedHeaders=host;x-amz-date, Signature="
	                                 "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
	static const struct gm_sign_pair headers[] = {{"Host", "example.amazonaws.com"},
	                                              {"X-Amz-Date", "20150830T123600Z"}};
	const char *authorization, *canonical;
	char sha256[GM_SHA256_HEX_BYTES];
	struct gm_arena arena;
	enum gm_code rc = gm_sha256_hex("", 0, sha256, &failure);
	if (rc != GM_OK) return rc;
	gm_arena_init(&arena, 64);
	const struct gm_sign_request request = {"service", "us-east-1", "GET", "/",    NULL,
	                                        0,         headers,     2,     sha256, INT64_C(1440938160) * 1000000};
	const struct gm_signer signer = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""};
	rc = gm_sign(&request, &signer, &arena, &authorization, &canonical, &failure);
	if (rc == GM_OK) assert_string_equal(authorization, known);
	gm_arena_release(&arena);
	return rc;
}

static void test_sign(void **state)
{
	(void)state;
	must(sign()); /* what libcrypto sets up once for the process it never tries again */
	fail_each(sign, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_config, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_missing_profile, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_secrets_are_apart, set_up, tear_down),
	    cmocka_unit_test(test_sign),
	};
	if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1) return 1;
	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
