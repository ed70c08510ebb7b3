/* Unit tests of aws/config and aws/config_file: what the files mean, and what is wrong with them. The expected values
 * are what botocore makes of the same files; tests/test_aws_config.py compares more of them with it. */
#include "config_fixture.h"

static const char *get(const struct gm_aws_config *config, const char *profile, const char *name)
{
	const char *value = gm_aws_config_get(config, profile, name);
	return value != NULL ? value : "(none)";
}

static void test_format(void **state)
{
	(void)state;
	static const char text[] = "\xEF\xBB\xBF# a comment\r\n"
	                           "; another\r\n"
	                           "[default] behind it\r\n"
	                           "Region=eu-west-1   \r\n"
	                           "output : json\r\n"
	                           "  indented = is a continuation\r\n"
	                           "empty =\n"
	                           "hash = a # b ; c\n"
	                           "  # not of the value\n"
	                           "\n"
	                           "\t goes on \n"
	                           "\n"
	                           "equals = a=b:c = d\n"
	                           "colon: x = y\n"
	                           "space\xC2\xA0=\xC2\xA0 x\xC2\xA0\n"
	                           "s3 =\r"
	                           "    addressing_style = path\r"
	                           "  # a comment\r"
	                           "      use_dualstack_endpoint=true\r"
	                           "    Twice = 1\r"
	                           "    Twice = 2 = 3\r"
	                           "[profile 'a b']\n"
	                           "   region = 1\n"
	                           "   output = 2\n"
	                           "[profile \"c\\\"d\"]\n"
	                           "region = 3\n"
	                           "[profile e\\ f]\n"
	                           "region = 4\n"
	                           "[profile 'open]\n"
	                           "region = 5\n"
	                           "[profile two words]\n"
	                           "region = 6\n"
	                           "[profile]\n"
	                           "region = 7\n"
	                           "[other]\n"
	                           "region = 8\n"
	                           "[sso-session x]\n"
	                           "region = 9\n"
	                           "[profile ]]\n"
	                           "last = without a line end";
	struct gm_aws_config *config;
	set_files(text, NULL);
	must(load(NULL, &config));
	assert_string_equal(gm_aws_config_profile(config), "default");
	static const char *const expected[][3] = {
	    {"default", "region", "eu-west-1"},
	    {"default", "output", "json\nindented = is a continuation"},
	    {"default", "empty", ""},
	    {"default", "hash", "a # b ; c\n\ngoes on"},
	    {"default", "equals", "a=b:c = d"},
	    {"default", "colon", "x = y"},
	    {"default", "space", "x"},
	    {"default", "s3", "(none)"},
	    {"default", "s3.addressing_style", "path"},
	    {"default", "s3.use_dualstack_endpoint", "true"},
	    {"default", "s3.Twice", "2 = 3"},
	    {"default", "s3.twice", "(none)"},
	    {"default", "addressing_style", "(none)"},
	    {"default", "region.x", "(none)"},
	    {"default", "last", "(none)"},
	    {"a b", "region", "1"},
	    {"a b", "output", "2"},
	    {"c\"d", "region", "3"},
	    {"e f", "region", "4"},
	    {"'open", "region", "(none)"},
	    {"open", "region", "(none)"},
	    {"two", "region", "(none)"},
	    {"words", "region", "(none)"},
	    {"other", "region", "(none)"},
	    {"x", "region", "(none)"},
	    {"]", "last", "without a line end"},
	};
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
		const char *value = get(config, expected[i][0], expected[i][1]);
		if (strcmp(value, expected[i][2]) != 0) fail_msg("%s %s: '%s'", expected[i][0], expected[i][1], value);
	}
	assert_true(gm_aws_config_has_profile(config, "a b"));
	assert_false(gm_aws_config_has_profile(config, "other"));
	gm_aws_config_free(config);
}

/* The credentials file goes first; of several sections the last; [DEFAULT] fills up. */
static void test_merging(void **state)
{
	(void)state;
	struct gm_aws_config *config;
	set_files("[default]\nregion = 1\noutput = 2\ns3 =\n a = 3\n b = 4\n"
	          "[profile default]\nregion = 5\n"
	          "[profile x]\nregion = 6\ns3 =\n a = 7\n b = 8\n"
	          "[DEFAULT]\ncolour = 9\nregion = 10\n",
	          "[x]\ns3 =\n a = 11\n[profile y]\nregion = 12\n[z]\nregion = 13\n");
	must(load("x", &config));
	assert_string_equal(get(config, "default", "region"), "5");
	assert_string_equal(get(config, "default", "output"), "(none)");
	assert_string_equal(get(config, "default", "colour"), "9");
	assert_string_equal(get(config, "x", "region"), "6");
	assert_string_equal(get(config, "x", "s3.a"), "11");
	assert_string_equal(get(config, "x", "s3.b"), "(none)");
	assert_string_equal(get(config, "profile y", "region"), "12");
	assert_string_equal(get(config, "y", "region"), "(none)");
	assert_string_equal(get(config, "z", "region"), "13");
	assert_string_equal(get(config, "z", "colour"), "(none)");
	assert_false(gm_aws_config_has_profile(config, "y"));
	assert_false(gm_aws_config_has_profile(config, "DEFAULT"));
	gm_aws_config_free(config);
}

/* A token of one file and a key of the other would be refused, or worse: taken for another's. */
static void test_keys_of_one_file(void **state)
{
	(void)state;
	struct gm_aws_config *config;
	set_files("[profile x]\naws_access_key_id = C\naws_secret_access_key = CS\naws_session_token = CT\nregion = r\n"
	          "[profile y]\naws_access_key_id = YC\naws_secret_access_key = YS\n",
	          "[x]\naws_access_key_id = K\naws_secret_access_key = KS\n[y]\naws_session_token = T\n");
	must(load("x", &config));
	assert_string_equal(get(config, "x", "aws_access_key_id"), "K");
	assert_string_equal(get(config, "x", "aws_secret_access_key"), "KS");
	assert_string_equal(get(config, "x", "aws_session_token"), "(none)");
	assert_string_equal(get(config, "x", "region"), "r");
	assert_string_equal(get(config, "y", "aws_access_key_id"), "YC");
	gm_aws_config_free(config);
}

static void test_choosing_a_profile(void **state)
{
	(void)state;
	struct gm_aws_config *config;
	set_files("[default]\nregion = 1\n[profile a]\nregion = 2\n", "[b]\nregion = 3\n");
	set_env("AWS_DEFAULT_PROFILE", "b");
	must(load(NULL, &config));
	assert_string_equal(gm_aws_config_profile(config), "b");
	assert_string_equal(gm_aws_config_region(config), "3");
	assert_false(gm_aws_config_profile_is_explicit(config));
	gm_aws_config_free(config);
	set_env("AWS_PROFILE", "a");
	must(load(NULL, &config));
	assert_string_equal(gm_aws_config_region(config), "2");
	gm_aws_config_free(config);
	must(load("default", &config));
	assert_string_equal(gm_aws_config_region(config), "1");
	assert_true(gm_aws_config_profile_is_explicit(config));
	set_env("AWS_DEFAULT_REGION", "4");
	assert_string_equal(gm_aws_config_region(config), "4");
	set_env("AWS_REGION", "5");
	assert_string_equal(gm_aws_config_region(config), "5");
	set_env("AWS_REGION", "");
	assert_string_equal(gm_aws_config_region(config), "4");
	assert_null(gm_aws_config_env(config, "AWS_REGION"));
	gm_aws_config_free(config);

	set_env("AWS_PROFILE", "");
	set_env("AWS_DEFAULT_PROFILE", "c");
	assert_int_equal(load(NULL, &config), GM_USAGE);
	assert_null(config);
	assert_non_null(strstr(failure.message, "there is no profile 'c'"));
	assert_string_equal(failure.hint, "the profiles there are: 'default' 'a' 'b'");
	assert_string_equal(failure.object, fx.config);
	set_files(NULL, NULL);
	assert_int_equal(load("default", &config), GM_USAGE);
	assert_non_null(strstr(failure.hint, "aws configure"));
	set_env("AWS_DEFAULT_PROFILE", NULL);
	must(load(NULL, &config));
	assert_string_equal(gm_aws_config_region(config), "4");
	assert_false(gm_aws_config_has_profile(config, "default"));
	gm_aws_config_free(config);
}

static void test_many_profiles(void **state)
{
	(void)state;
	struct gm_aws_config *config;
	char text[4096] = "";
	for (size_t i = 0; i < 100; i++) (void)sprintf(text + strlen(text), "[profile number-%zu]\n", i);
	set_files(text, NULL);
	assert_int_equal(load("x", &config), GM_USAGE);
	assert_non_null(strstr(failure.hint, "'number-0' 'number-1'"));
	assert_non_null(strstr(failure.hint, "..."));
}

/* Each holds a secret, which no error may show. */
static void test_errors(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t n; /* 0: strlen */
		int line;
		const char *message;
	} cases[] = {
	    {"# x\n\naws_secret_access_key = S3CRET\n[default]\n", 0, 3, "a setting stands before the first [section]"},
	    {"[default\nx = S3CRET\n", 0, 1, "a setting stands before the first [section]"},
	    {"[default]\naws_secret_access_key S3CRET\n", 0, 2, "a setting has no '='"},
	    {"[default]\r\n\r\n= S3CRET\r\n", 0, 3, "a setting has no name"},
	    {"[default]\n[]\nx = S3CRET\n", 0, 2, "a setting has no '='"},
	    {"[default]\naws_secret_access_key =\n# x\n\n  S3CRET\n", 0, 5, "a nested setting has no '='"},
	    {"[default]\nk = S3CRET\n[x]\n[default]\n[x]\n", 0, 4, "a section comes twice"},
	    {"[b]\n[a]\nk = S3CRET\nl = 1\nL = 1\nK = 2\n", 0, 5, "a setting comes twice in its section"},
	    {"[a]\rk = S3CRET\r\nl = \xFF\n", 0, 3, "the file is not UTF-8"},
	    {"[a]\nk = S3CRET\0\n", 16, 2, "the file contains a NUL character"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (size_t k = 0; k < 2; k++) {
			struct gm_aws_config *config;
			const char *path = k == 0 ? fx.config : fx.credentials;
			set_files(NULL, NULL);
			write_file(path, cases[i].text, cases[i].n > 0 ? cases[i].n : strlen(cases[i].text));
			assert_int_equal(load(NULL, &config), GM_USAGE);
			assert_null(config);
			assert_string_equal(failure.message, cases[i].message);
			assert_int_equal(failure.line, cases[i].line);
			assert_string_equal(failure.object, path);
			assert_null(strstr(failure.hint, "S3CRET"));
		}
	}
}

static void test_paths(void **state)
{
	(void)state;
	struct gm_aws_config *config;
	char other[128];
	(void)snprintf(other, sizeof other, "%s/other", fx.home);
	write_file(other, "[default]\nregion = 1\n", 21);
	set_files("[default]\nregion = 2\n", NULL);
	set_env("AWS_CONFIG_FILE", "~/other");
	must(load(NULL, &config));
	assert_string_equal(gm_aws_config_region(config), "1");
	gm_aws_config_free(config);
	set_env("AWS_CONFIG_FILE", "~nobody/other");
	set_env("AWS_SHARED_CREDENTIALS_FILE", other);
	must(load(NULL, &config));
	assert_string_equal(gm_aws_config_region(config), "1");
	gm_aws_config_free(config);
	set_env("AWS_CONFIG_FILE", "/dev/null");
	set_env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null/x");
	must(load(NULL, &config));
	assert_null(gm_aws_config_region(config));
	gm_aws_config_free(config);
	set_env("AWS_CONFIG_FILE", "~");
	assert_int_equal(load(NULL, &config), GM_IO);
	assert_string_equal(failure.object, fx.home);
	assert_int_equal(unlink(other), 0);
}

static void test_size(void **state)
{
	(void)state;
	struct gm_aws_config *config;
	size_t n = (1 << 20) + 1;
	char *text = malloc(n);
	assert_non_null(text);
	memset(text, '\n', n);
	memcpy(text, "[default]\nregion = 1\n", 21);
	set_files(NULL, NULL);
	write_file(fx.config, text, n);
	assert_int_equal(load(NULL, &config), GM_USAGE);
	assert_string_equal(failure.message, "the file has more than 1 MiB");
	write_file(fx.config, text, n - 1);
	must(load(NULL, &config));
	assert_string_equal(gm_aws_config_region(config), "1");
	gm_aws_config_free(config);
	/* As many sections as fit: nothing is quadratic in them. */
	for (size_t i = 0; i + 8 < n; i += 8) {
		char line[16];
		(void)snprintf(line, sizeof line, "[%05zx]\n", i / 8);
		memcpy(text + i, line, 8);
	}
	write_file(fx.config, text, (n - 1) / 8 * 8);
	must(load(NULL, &config));
	gm_aws_config_free(config);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_format, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_merging, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_keys_of_one_file, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_choosing_a_profile, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_many_profiles, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_paths, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_size, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
