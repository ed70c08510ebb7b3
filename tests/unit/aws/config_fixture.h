/* config_fixture.h - AWS's two files in a folder of their own, and an environment that holds what a test says. */
#ifndef GM_TEST_AWS_CONFIG_FIXTURE_H
#define GM_TEST_AWS_CONFIG_FIXTURE_H

#include "aws/config.h"

#include "../must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	char home[64], config[96], credentials[96]; /* folder and files */
	const char *env[16][2];                     /* up to the first without a name; HOME is `home` */
};
static struct fixture fx;

static void write_file(const char *path, const char *text, size_t n)
{
	FILE *out = fopen(path, "wb");
	assert_non_null(out);
	assert_int_equal(fwrite(text, 1, n, out), n);
	assert_int_equal(fclose(out), 0);
}

/* NULL: no such file. */
static void set_files(const char *config, const char *credentials)
{
	(void)unlink(fx.config);
	(void)unlink(fx.credentials);
	if (config != NULL) write_file(fx.config, config, strlen(config));
	if (credentials != NULL) write_file(fx.credentials, credentials, strlen(credentials));
}

static void set_env(const char *name, const char *value)
{
	size_t i = 0;
	while (fx.env[i][0] != NULL && strcmp(fx.env[i][0], name) != 0) i++;
	assert_true(i < 15);
	fx.env[i][0] = name;
	fx.env[i][1] = value;
}

static const char *get_env(void *context, const char *name)
{
	const struct fixture *fixture = context;
	for (size_t i = 0; fixture->env[i][0] != NULL; i++) {
		if (strcmp(fixture->env[i][0], name) == 0) return fixture->env[i][1];
	}
	return strcmp(name, "HOME") == 0 ? fixture->home : NULL;
}

static enum gm_code load(const char *profile, struct gm_aws_config **config)
{
	const struct gm_aws_config_options options = {.profile = profile, .env = get_env, .env_context = &fx};
	return gm_aws_config_load(&options, config, &failure);
}

static int set_up(void **state)
{
	(void)state;
	memset(&fx, 0, sizeof fx);
	(void)strcpy(fx.home, "/tmp/gm-aws-XXXXXX");
	if (mkdtemp(fx.home) == NULL) return -1;
	(void)snprintf(fx.config, sizeof fx.config, "%s/.aws", fx.home);
	if (mkdir(fx.config, 0700) != 0) return -1;
	(void)snprintf(fx.config, sizeof fx.config, "%s/.aws/config", fx.home);
	(void)snprintf(fx.credentials, sizeof fx.credentials, "%s/.aws/credentials", fx.home);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	char folder[96];
	(void)unlink(fx.config);
	(void)unlink(fx.credentials);
	(void)snprintf(folder, sizeof folder, "%s/.aws", fx.home);
	return rmdir(folder) == 0 && rmdir(fx.home) == 0 ? 0 : -1;
}

#endif
