/* Which source of credentials is chosen, as far as it cannot be seen without a network of one's own, and what comes of
 * it when memory ends. What each gives is in tests/test_aws_credentials.py. */
#include "aws/providers.h"
#include "../alloc_faults.h"
#include "../must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

WRAP(void *, mmap64, (void *at, size_t bytes, int how, int flags, int fd, off_t offset),
     (at, bytes, how, flags, fd, offset), MAP_FAILED)

struct variable {
	const char *name, *value;
};

static const char *look_up(void *context, const char *name)
{
	for (const struct variable *at = context; at->name != NULL; at++)
		if (strcmp(at->name, name) == 0) return at->value;
	return NULL;
}

static char config_path[] = "/tmp/gm-providers-XXXXXX";

/* With variables[0] and [1] for the files. */
static enum gm_code choose(struct variable *variables, struct gm_arena *arena, struct gm_aws_config **config,
                           struct gm_sources *out, struct gm_error *err)
{
	const struct gm_aws_config_options options = {.env = look_up, .env_context = variables};
	variables[0] = (struct variable){"AWS_CONFIG_FILE", config_path};
	variables[1] = (struct variable){"AWS_SHARED_CREDENTIALS_FILE", "/dev/null/none"};
	gm_arena_init(arena, 1000);
	GM_TRY(gm_aws_config_load(&options, config, err));
	return gm_sources_choose(*config, NULL, arena, out, err);
}

static void addresses_of_containers_and_instances(void **state)
{
	static const struct {
		struct variable variable;
		const char *url, *name;
	} cases[] = {
	    {{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/123"},
	     "http://169.254.170.2/v2/credentials/123",
	     "the container's endpoint at http://169.254.170.2"},
	    {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"},
	     "http://169.254.170.23/v1/credentials",
	     "the container's endpoint at http://169.254.170.23"},
	    {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "https://h:8443/x?y"},
	     "https://h:8443/x?y",
	     "the container's endpoint at https://h:8443"},
	    {{"AWS_REGION", "eu-west-1"},
	     "http://169.254.169.254",
	     "the instance's metadata service at http://169.254.169.254"},
	    {{"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ipv6"},
	     "http://[fd00:ec2::254]",
	     "the instance's metadata service at http://[fd00:ec2::254]"},
	    {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://h/base//"},
	     "http://h/base",
	     "the instance's metadata service at http://h/base"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct variable variables[] = {{NULL, NULL}, {NULL, NULL}, cases[i].variable, {NULL, NULL}};
		struct gm_aws_config *config = NULL;
		struct gm_arena arena;
		struct gm_sources sources;
		must(choose(variables, &arena, &config, &sources, &failure));
		bool container = sources.first.kind == GM_SOURCE_CONTAINER;
		assert_string_equal(container ? sources.first.container.url : sources.first.instance.endpoint, cases[i].url);
		assert_string_equal(sources.description, cases[i].name);
		gm_arena_release(&arena);
		gm_aws_config_free(config);
	}
}

/* Asks for a role of a role with keys, where nobody listens. */
static enum gm_code use_roles(struct gm_error *err)
{
	struct variable variables[] = {
	    {NULL, NULL}, {NULL, NULL}, {"AWS_PROFILE", "a"}, {"AWS_REGION", "xx-test-1"}, {NULL, NULL}};
	struct gm_aws_config *config = NULL;
	struct gm_provider *provider = NULL;
	const struct gm_aws_config_options settings = {.env = look_up, .env_context = variables};
	variables[0] = (struct variable){"AWS_CONFIG_FILE", config_path};
	variables[1] = (struct variable){"AWS_SHARED_CREDENTIALS_FILE", "/dev/null/none"};
	enum gm_code code = gm_aws_config_load(&settings, &config, err);
	if (code == GM_OK) {
		const struct gm_provider_options options = {.config = config};
		code = gm_provider_new(&options, &provider, err);
	}
	if (code == GM_OK)
		assert_non_null(strstr(gm_provider_describe(provider), "'a': role A by way of profile 'b': role B by"));
	gm_provider_free(provider);
	gm_aws_config_free(config);
	return code;
}

static enum gm_code use_keys(struct gm_error *err)
{
	struct variable variables[] = {{"AWS_CONFIG_FILE", config_path}, {"AWS_PROFILE", "keys"}, {NULL, NULL}};
	struct gm_aws_config *config = NULL;
	struct gm_provider *provider = NULL;
	struct gm_credentials credentials = {.held = NULL};
	const struct gm_aws_config_options settings = {.env = look_up, .env_context = variables};
	enum gm_code code = gm_aws_config_load(&settings, &config, err);
	if (code == GM_OK) {
		const struct gm_provider_options options = {.config = config};
		code = gm_provider_new(&options, &provider, err);
	}
	if (code == GM_OK) code = gm_provider_get(provider, false, &credentials, err);
	if (code == GM_OK) assert_string_equal(credentials.secret_key, "secret");
	gm_provider_free(provider);
	if (code == GM_OK) assert_string_equal(credentials.secret_key, "secret"); /* held longer than the provider lives */
	gm_credentials_wipe(&credentials);
	gm_aws_config_free(config);
	return code;
}

static void each_allocation_fails(void **state)
{
	enum gm_code (*const uses[])(struct gm_error *) = {use_roles, use_keys};
	(void)state;
	for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
		for (fail_at = 1;; fail_at++) {
			struct gm_error err = {0};
			arm();
			enum gm_code code = uses[i](&err);
			armed = false;
			if (!fired) {
				if (code != GM_OK) fail_msg("%s: %s", gm_code_name(code), err.message);
				break;
			}
			if (code != GM_NOMEM) fail_msg("%zu, %d: %s: %s", i, (int)fail_at, gm_code_name(code), err.message);
		}
		assert_true(fail_at > 3);
	}
}

static int write_config(void **state)
{
	static const char text[] =
	    "[profile a]\nrole_arn = A\nsource_profile = b\n[profile b]\nrole_arn = B\nsource_profile = keys\n"
	    "[profile keys]\naws_access_key_id = AKID\naws_secret_access_key = secret\n";
	(void)state;
	int fd = mkstemp(config_path);
	FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (out == NULL || fputs(text, out) < 0 || fclose(out) != 0) return -1;
	return 0;
}

static int remove_config(void **state)
{
	(void)state;
	return remove(config_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(addresses_of_containers_and_instances),
	    cmocka_unit_test(each_allocation_fails),
	};
	return cmocka_run_group_tests(tests, write_config, remove_config);
}
