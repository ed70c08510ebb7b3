#include "aws/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct gm_aws_config {
	int x;
};
enum gm_code gm_aws_config_load(const struct gm_aws_config_options *o, struct gm_aws_config **out, struct gm_error *err)
{
	(void)o;
	(void)err;
	*out = calloc(1, 8);
	return GM_OK;
}
void gm_aws_config_free(struct gm_aws_config *c)
{
	free(c);
}
const char *gm_aws_config_profile(const struct gm_aws_config *c)
{
	(void)c;
	return "default";
}
bool gm_aws_config_profile_is_explicit(const struct gm_aws_config *c)
{
	(void)c;
	return false;
}
const char *gm_aws_config_get(const struct gm_aws_config *c, const char *p, const char *n)
{
	(void)c;
	(void)p;
	(void)n;
	return NULL;
}
bool gm_aws_config_has_profile(const struct gm_aws_config *c, const char *p)
{
	(void)c;
	(void)p;
	return false;
}
const char *gm_aws_config_service(const struct gm_aws_config *c, const char *p, const char *n)
{
	(void)c;
	(void)p;
	(void)n;
	return NULL;
}
const char *gm_aws_config_env(const struct gm_aws_config *c, const char *n)
{
	(void)c;
	const char *v = getenv(n);
	return v && v[0] ? v : NULL;
}
const char *gm_aws_config_region(const struct gm_aws_config *c)
{
	return gm_aws_config_env(c, "AWS_REGION");
}
enum gm_code gm_aws_endpoint(const struct gm_aws_config *c, const char *s, const char *r, const char *g,
                             struct gm_aws_endpoint *o, struct gm_error *err)
{
	(void)s;
	(void)r;
	(void)err;
	const char *e = g ? g : gm_aws_config_env(c, "AWS_ENDPOINT_URL");
	snprintf(o->url, sizeof o->url, "%s", e ? e : "");
	o->custom = true;
	o->path_style = true;
	return GM_OK;
}
