/* endpoint.c - where a service is spoken to: what the user says, else a name made from service, region and the region's
 * partition. Source: AWS SDKs and Tools Reference Guide, "Service-specific endpoints", "Dual-stack and FIPS endpoints";
 * the names are those of the endpoint rules that botocore ships. */
#include "aws/config.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* --- Partitions --------------------------------------------------------------------------------------------------- */

struct partition {
	const char *region_prefix, *name, *suffix, *dualstack_suffix;
};
/* The last is for all other regions, those of no AWS ("garage") among them. */
static const struct partition partitions[] = {
    {"cn-", "aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
    {"us-gov-", "aws-us-gov", "amazonaws.com", "api.aws"},
    {"us-iso-", "aws-iso", "c2s.ic.gov", "api.aws.ic.gov"},
    {"us-isob-", "aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud"},
    {"eu-isoe-", "aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
    {"us-isof-", "aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
    {"eusc-", "aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu"},
    {"", "aws", "amazonaws.com", "api.aws"},
};

static const struct partition *find_partition(const char *region)
{
	const struct partition *partition = partitions;
	while (strncmp(region, partition->region_prefix, strlen(partition->region_prefix)) != 0) partition++;
	return partition;
}

const char *gm_aws_partition(const char *region)
{
	return find_partition(region)->name;
}

/* --- What the user says ------------------------------------------------------------------------------------------- */

struct saying {
	const char *url;
	char where[256]; /* for errors: it may hold a password, so that it is not shown itself */
};

static bool is_true(const char *text)
{
	return text != NULL && strcasecmp(text, "true") == 0;
}

/* The environment goes before the profile. */
static bool switched_on(const struct gm_aws_config *config, const char *variable, const char *name)
{
	const char *value = gm_aws_config_env(config, variable);
	if (value == NULL) value = gm_aws_config_get(config, gm_aws_config_profile(config), name);
	return is_true(value);
}

static bool found_in_environment(const struct gm_aws_config *config, const char *service, struct saying *saying)
{
	char upper[32];
	size_t n = 0;
	for (; service[n] != '\0' && n < sizeof upper - 1; n++)
		upper[n] = (char)(service[n] >= 'a' && service[n] <= 'z' ? service[n] - 'a' + 'A' : service[n]);
	upper[n] = '\0';
	(void)snprintf(saying->where, sizeof saying->where, "AWS_ENDPOINT_URL_%s", upper);
	saying->url = gm_aws_config_env(config, saying->where);
	if (saying->url != NULL) return true;
	(void)snprintf(saying->where, sizeof saying->where, "AWS_ENDPOINT_URL");
	saying->url = gm_aws_config_env(config, saying->where);
	return saying->url != NULL;
}

static enum gm_code find_in_profile(const struct gm_aws_config *config, const char *service, struct saying *saying,
                                    struct gm_error *err)
{
	const char *profile = gm_aws_config_profile(config), *services = gm_aws_config_get(config, profile, "services");
	(void)snprintf(saying->where, sizeof saying->where, "profile '%.80s'", profile);
	if (services != NULL && !gm_aws_config_has_services(config, services)) {
		(void)gm_error_set(err, GM_USAGE, "there is no section [services %.100s], which the profile names", services);
		return gm_error_object(err, GM_USAGE, saying->where, strlen(saying->where));
	}
	saying->url = gm_aws_config_service(config, service, "endpoint_url");
	if (saying->url != NULL && saying->url[0] != '\0') {
		(void)snprintf(saying->where, sizeof saying->where, "endpoint_url of %s in [services %.80s]", service,
		               services);
		return GM_OK;
	}
	(void)snprintf(saying->where, sizeof saying->where, "endpoint_url of profile '%.80s'", profile);
	saying->url = gm_aws_config_get(config, profile, "endpoint_url");
	if (saying->url != NULL && saying->url[0] == '\0') saying->url = NULL;
	return GM_OK;
}

/* url NULL: nobody says anything. */
static enum gm_code find_saying(const struct gm_aws_config *config, const char *service, const char *given,
                                struct saying *saying, struct gm_error *err)
{
	saying->url = given != NULL && given[0] != '\0' ? given : NULL;
	(void)snprintf(saying->where, sizeof saying->where, "endpoint of the job file");
	if (saying->url != NULL) return GM_OK;
	if (switched_on(config, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls")) return GM_OK;
	return found_in_environment(config, service, saying) ? GM_OK : find_in_profile(config, service, saying, err);
}

/* --- URLs --------------------------------------------------------------------------------------------------------- */

static bool is_host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == '_';
}

/* The end of a host name or an IPv6 address in brackets; NULL: it is none. */
static const char *skip_host(const char *at)
{
	const char *from = at;
	if (*at == '[') {
		at += 1 + strspn(at + 1, "0123456789abcdefABCDEF:.");
		return *at == ']' && at > from + 1 ? at + 1 : NULL;
	}
	while (is_host_char(*at)) at++;
	return at > from ? at : NULL;
}

/* The end of ":PORT"; *port 0: there is none. NULL: it is no number of a port. */
static const char *skip_port(const char *at, unsigned *port)
{
	*port = 0;
	if (*at != ':') return at;
	size_t digits = strspn(at + 1, "0123456789");
	if (digits == 0 || digits > 5) return NULL;
	for (size_t i = 1; i <= digits; i++) *port = *port * 10 + (unsigned)(at[i] - '0');
	return *port > 0 && *port <= 65535 ? at + 1 + digits : NULL;
}

/* What is wrong with the URL, without a word of it; NULL: nothing, and out->url is it. */
static const char *take_url(const char *url, struct gm_aws_endpoint *out)
{
	bool https = strncasecmp(url, "https://", 8) == 0;
	if (!https && strncasecmp(url, "http://", 7) != 0) return "the endpoint does not begin with http:// or https://";
	const char *host = url + (https ? 8 : 7);
	unsigned port;
	size_t n = strcspn(host, "/?#");
	if (memchr(host, '@', n) != NULL) return "the endpoint has a user in it";
	const char *host_end = skip_host(host);
	const char *end = host_end != NULL ? skip_port(host_end, &port) : NULL;
	if (end == NULL || end != host + n) return "the endpoint has no proper host and port";
	if (*end == '/') end++;
	if (*end != '\0') return "the endpoint has a path or a query";
	if (n > GM_ENDPOINT_BYTES - 16) return "the endpoint is too long";
	const char *scheme = https ? "https" : "http";
	(void)snprintf(out->url, sizeof out->url, "%s://%.*s", scheme, (int)(host_end - host), host);
	n = strlen(out->url);
	/* The scheme's own port is in no Host header, and so must not be in what is signed. */
	if (port != 0 && port != (https ? 443 : 80)) (void)snprintf(out->url + n, sizeof out->url - n, ":%u", port);
	return NULL;
}

static bool is_region(const char *region)
{
	size_t n = strspn(region, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
	return n > 0 && n < GM_REGION_BYTES && region[n] == '\0';
}

/* In the US government's regions these two need no name of their own for FIPS. */
static bool is_always_fips(const struct partition *partition, const char *service)
{
	return strcmp(partition->name, "aws-us-gov") == 0 && (strcmp(service, "sts") == 0 || strcmp(service, "sqs") == 0);
}

static void make_url(const char *service, const char *region, bool fips, bool dualstack, struct gm_aws_endpoint *out)
{
	const struct partition *partition = find_partition(region);
	bool s3 = strcmp(service, "s3") == 0;
	const char *suffix = dualstack && !s3 ? partition->dualstack_suffix : partition->suffix;
	const char *mark = fips && (dualstack || !is_always_fips(partition, service)) ? "-fips" : "";
	(void)snprintf(out->url, sizeof out->url, "https://%s%s%s.%s.%s", service, mark,
	               dualstack && s3 ? ".dualstack" : "", region, suffix);
}

/* --- Both --------------------------------------------------------------------------------------------------------- */

static enum gm_code fail_setting(struct gm_error *err, const char *where, const char *text, const char *hint)
{
	(void)gm_error_set(err, GM_USAGE, "%s", text);
	(void)gm_error_hint(err, GM_USAGE, "%s", hint);
	return gm_error_object(err, GM_USAGE, where, strlen(where));
}

/* path, virtual, or auto, which leaves it to us. */
static enum gm_code choose_style(const struct gm_aws_config *config, struct gm_aws_endpoint *out, struct gm_error *err)
{
	const char *style = gm_aws_config_get(config, gm_aws_config_profile(config), "s3.addressing_style");
	out->path_style = out->custom;
	if (style == NULL || strcmp(style, "auto") == 0) return GM_OK;
	if (strcmp(style, "path") != 0 && strcmp(style, "virtual") != 0)
		return fail_setting(err, "s3.addressing_style", "the addressing style is none of auto, path, virtual", "");
	out->path_style = strcmp(style, "path") == 0;
	return GM_OK;
}

enum gm_code gm_aws_endpoint(const struct gm_aws_config *config, const char *service, const char *region,
                             const char *given, struct gm_aws_endpoint *out, struct gm_error *err)
{
	struct saying saying;
	bool s3 = strcmp(service, "s3") == 0;
	bool fips = switched_on(config, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint");
	bool dualstack =
	    switched_on(config, "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint") ||
	    (s3 && is_true(gm_aws_config_get(config, gm_aws_config_profile(config), "s3.use_dualstack_endpoint")));
	*out = (struct gm_aws_endpoint){.custom = false};
	GM_TRY(find_saying(config, service, given, &saying, err));
	out->custom = saying.url != NULL;
	if (out->custom) {
		const char *wrong = take_url(saying.url, out);
		if (wrong != NULL)
			return fail_setting(err, saying.where, wrong,
			                    "scheme, host and perhaps a port: https://s3.example.com:9000");
		if (fips || dualstack)
			return fail_setting(err, saying.where,
			                    "FIPS and dual-stack endpoints cannot be had of an endpoint of your own",
			                    "unset use_fips_endpoint and use_dualstack_endpoint, or the endpoint");
	} else {
		if (region == NULL || !is_region(region))
			return fail_setting(err, "region", "the AWS region is missing, or is no name of one",
			                    "set AWS_REGION, or region in the profile or the job file");
		make_url(service, region, fips, dualstack, out);
	}
	return s3 ? choose_style(config, out, err) : GM_OK;
}
