/* s3_place.c - what a location says: bucket, prefix, and where that is. Asks nobody. */
#include "store/s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool bucket_valid(const char *name, size_t bytes)
{
	/* What a host name or a path can carry; the rest of the rules the service knows. */
	if (bytes < 3 || bytes > 255) return false;
	for (size_t i = 0; i < bytes; i++) {
		char c = name[i];
		bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
		            c == '.' || c == '_';
		if (!fine) return false;
	}
	return name[0] != '.' && name[0] != '-';
}

enum gm_code gm_s3_split(const char *location, char **bucket, char **prefix, struct gm_error *err)
{
	const char *name = location + strlen("s3://"), *rest = strchr(name, '/');
	size_t bucket_bytes = rest != NULL ? (size_t)(rest - name) : strlen(name);
	*bucket = *prefix = NULL;
	if (rest == NULL) rest = "";
	if (rest[0] == '/') rest++;
	size_t n = strlen(rest);
	while (n > 0 && rest[n - 1] == '/') n--;
	if (!bucket_valid(name, bucket_bytes) || n > GM_S3_KEY_MAX_BYTES - 64) {
		(void)gm_error_set(err, GM_USAGE, "not a location of S3");
		(void)gm_error_hint(err, GM_USAGE, "give s3://bucket/prefix/");
		return gm_error_object(err, GM_USAGE, location, strlen(location));
	}
	*bucket = strndup(name, bucket_bytes);
	*prefix = malloc(n + 2);
	if (*bucket != NULL && *prefix != NULL) {
		(void)snprintf(*prefix, n + 2, "%.*s%s", (int)n, rest, n > 0 ? "/" : "");
		return GM_OK;
	}
	free(*bucket);
	free(*prefix);
	*bucket = *prefix = NULL;
	GM_FAIL(err, GM_NOMEM, "out of memory for a location of S3");
}

bool gm_store_is_s3(const char *location)
{
	return strncmp(location, "s3://", strlen("s3://")) == 0;
}

/* The region that was said, by whomever; "" if by nobody. */
static enum gm_code find_region(const struct gm_store_options *options, char out[GM_STORE_REGION_BYTES],
                                struct gm_error *err)
{
	struct gm_aws_config *config = NULL;
	const struct gm_aws_config_options files = {.profile = options->profile};
	const char *region = options->region;
	enum gm_code rc = region == NULL ? gm_aws_config_load(&files, &config, err) : GM_OK;
	if (rc == GM_OK && region == NULL) region = gm_aws_config_region(config);
	if (rc == GM_OK) {
		int n = snprintf(out, GM_STORE_REGION_BYTES, "%s", region != NULL ? region : "");
		if (n >= GM_STORE_REGION_BYTES) rc = gm_error_set(err, GM_USAGE, "the AWS region is no name of one");
	}
	gm_aws_config_free(config);
	return rc;
}

enum gm_code gm_store_place(const char *location, const struct gm_store_options *options, struct gm_store_place *out,
                            struct gm_error *err)
{
	*out = (struct gm_store_place){.partition = "aws"};
	GM_TRY(gm_s3_split(location, &out->bucket, &out->prefix, err));
	enum gm_code rc = find_region(options, out->region, err);
	if (rc != GM_OK)
		gm_store_place_clear(out);
	else
		out->partition = gm_aws_partition(out->region);
	return rc;
}

void gm_store_place_clear(struct gm_store_place *place)
{
	free(place->bucket);
	free(place->prefix);
	*place = (struct gm_store_place){.partition = "aws"};
}
