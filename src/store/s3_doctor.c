/* s3_doctor.c - what these credentials may do with this bucket, found by doing it: one step after the other, each told
 * with what to do when it fails. Writes only where a table is to be, below its work folder, and leaves nothing. */
#include "store/s3.h"

#include "aws/xml.h"
#include "base/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct doctor {
	struct gm_s3 *s3;
	gm_step_fn *tell;
	void *context;
	bool healthy, no_bucket;
};

static void tell(struct doctor *doctor, enum gm_store_health health, const char *what, const char *text,
                 const char *advice)
{
	struct gm_store_step step = {.what = what, .health = health, .text = text, .advice = advice};
	if (health == GM_HEALTH_BAD) doctor->healthy = false;
	doctor->tell(doctor->context, &step);
}

/* Of a call: that it went well, or its error and what the error advises, or else `advice`. */
static void tell_call(struct doctor *doctor, enum gm_code rc, const struct gm_error *err, const char *what,
                      const char *well, const char *advice)
{
	if (rc == GM_OK)
		tell(doctor, GM_HEALTH_GOOD, what, well, "");
	else
		tell(doctor, GM_HEALTH_BAD, what, err->message, err->hint[0] != '\0' ? err->hint : advice);
}

/* --- Whose, where ------------------------------------------------------------------------------------------------- */

static bool check_credentials(struct doctor *doctor)
{
	struct gm_credentials credentials;
	struct gm_error err;
	enum gm_code rc = gm_provider_get(doctor->s3->connection.provider, false, &credentials, &err);
	if (rc == GM_OK) gm_credentials_wipe(&credentials);
	tell_call(doctor, rc, &err, "credentials", gm_provider_describe(doctor->s3->connection.provider),
	          "say whose requests these are: AWS_PROFILE, 'profile' in the job file, or a role of the machine");
	return rc == GM_OK;
}

static void tell_endpoint(struct doctor *doctor)
{
	const struct gm_s3 *s3 = doctor->s3;
	char text[GM_ENDPOINT_BYTES + 64];
	(void)snprintf(text, sizeof text, "%s, bucket in the %s%s", s3->endpoint.url,
	               s3->endpoint.path_style ? "path" : "host name",
	               strncmp(s3->endpoint.url, "http:", 5) == 0 ? ", not encrypted" : "");
	tell(doctor, GM_HEALTH_GOOD, "endpoint", text, "");
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

struct first {
	char *key;
};

/* Ends the listing at its first object. */
static enum gm_code note_first(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct first *first = context;
	first->key = strdup(info->key);
	(void)err;
	return first->key != NULL ? GM_INTERRUPTED : GM_NOMEM;
}

static bool check_listing(struct doctor *doctor, struct first *first)
{
	struct gm_error err;
	enum gm_code rc = gm_s3_list(&doctor->s3->store, "", "", NULL, note_first, first, &err);
	if (rc == GM_INTERRUPTED) rc = GM_OK;
	doctor->no_bucket = rc == GM_USAGE;
	tell_call(doctor, rc, &err, "list", first->key != NULL ? "there are objects" : "there is no object yet",
	          "allow s3:ListBucket on the bucket");
	return rc == GM_OK;
}

static void check_reading(struct doctor *doctor, const struct first *first)
{
	struct gm_error err;
	uint8_t byte;
	size_t got;
	if (first->key == NULL) {
		tell(doctor, GM_HEALTH_NOTE, "read", "not tried: there is no object to read", "");
		return;
	}
	enum gm_code rc = gm_s3_read(&doctor->s3->store, first->key, 0, &byte, 1, &got, &err);
	tell_call(doctor, rc, &err, "read", "the first object can be read",
	          "allow s3:GetObject, and kms:Decrypt where objects are encrypted with a key of KMS");
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

static bool check_writing(struct doctor *doctor, const char *key)
{
	static const char text[] = "a test that 'gristmill doctor' has made, to be removed\n";
	struct gm_error err;
	char there[sizeof text];
	size_t got = 0;
	struct gm_store *store = &doctor->s3->store;
	enum gm_code rc = gm_s3_put(store, key, text, sizeof text - 1, false, &err);
	tell_call(doctor, rc, &err, "write", "an object could be put", "allow s3:PutObject, and kms:GenerateDataKey");
	if (rc != GM_OK) return false;
	rc = gm_s3_read(store, key, 0, there, sizeof there, &got, &err);
	if (rc == GM_OK && (got != sizeof text - 1 || memcmp(there, text, got) != 0))
		rc = gm_error_set(&err, GM_CORRUPT, "an object that was put reads otherwise");
	tell_call(doctor, rc, &err, "read back", "it reads as it was put", "allow s3:GetObject, and kms:Decrypt");
	rc = gm_s3_remove(store, key, &err);
	tell_call(doctor, rc, &err, "delete", "and could be removed", "allow s3:DeleteObject");
	return true;
}

static void check_put_if_absent(struct doctor *doctor, const char *prefix)
{
	struct gm_error err;
	enum gm_code rc = gm_s3_probe(&doctor->s3->store, prefix, &err);
	tell_call(doctor, rc, &err, "put-if-absent", "of several writers at once exactly one is first",
	          "use a store that honours If-None-Match: *");
}

/* Something larger than a part is staged and given up. */
static void check_multipart(struct doctor *doctor, const char *key, const char *work_prefix)
{
	struct gm_store *store = &doctor->s3->store;
	struct gm_staged *staged = NULL;
	struct gm_error err;
	uint8_t *zeros = calloc(1, GM_S3_PART_BYTES + 1);
	enum gm_code rc = zeros != NULL ? GM_OK : gm_error_set(&err, GM_NOMEM, "out of memory for a test");
	if (rc == GM_OK) rc = gm_s3_stage_open(store, key, work_prefix, &staged, &err);
	if (rc == GM_OK) rc = gm_s3_stage_append(store, staged, zeros, GM_S3_PART_BYTES + 1, &err);
	gm_store_stage_abandon(store, staged);
	free(zeros);
	tell_call(doctor, rc, &err, "multipart", "an upload could be begun and aborted",
	          "allow s3:PutObject and s3:AbortMultipartUpload");
}

/* --- Lifecycle ---------------------------------------------------------------------------------------------------- */

struct rules {
	const char *prefix; /* of the table */
	bool enabled, aborts, narrow, found;
};

static enum gm_code note_rule(void *context, const char *path, const char *text, size_t bytes, struct gm_error *err)
{
	struct rules *rules = context;
	const char *name = strrchr(path, '/');
	(void)err;
	name = name != NULL ? name + 1 : path;
	if (strcmp(name, "Status") == 0) rules->enabled = strcmp(text, "Enabled") == 0;
	if (strcmp(name, "DaysAfterInitiation") == 0) rules->aborts = true;
	if (strcmp(name, "Prefix") == 0 && strncmp(rules->prefix, text, bytes) != 0) rules->narrow = true;
	if (strcmp(name, "Tag") == 0 || strcmp(name, "ObjectSizeGreaterThan") == 0) rules->narrow = true;
	if (strcmp(name, "Rule") != 0) return GM_OK;
	rules->found = rules->found || (rules->enabled && rules->aborts && !rules->narrow);
	rules->enabled = rules->aborts = rules->narrow = false;
	return GM_OK;
}

static enum gm_code read_rules(struct gm_s3 *s3, struct rules *rules, bool *known, struct gm_error *err)
{
	struct gm_s3_exchange exchange;
	enum gm_code rc;
	GM_TRY_OUT(gm_s3_begin(s3, &exchange, GM_CALL_OTHER, "GET", NULL, err));
	gm_s3_query(&exchange.request, "lifecycle", "");
	GM_TRY_OUT(gm_s3_ask(&exchange, err));
	const struct gm_call_response *response = exchange.response;
	*known = gm_s3_good(response) || strcmp(response->error, "NoSuchLifecycleConfiguration") == 0;
	if (gm_s3_good(response))
		rc = gm_xml_parse(response->http.body.data, response->http.body.len, note_rule, rules, err);
	else if (!*known)
		rc = gm_s3_fail(s3, response, NULL, "read the lifecycle rules", err);
out:
	return gm_s3_end(&exchange, rc, err);
}

static void check_lifecycle(struct doctor *doctor)
{
	static const char advice[] = "add a lifecycle rule to the bucket: AbortIncompleteMultipartUpload, "
	                             "DaysAfterInitiation 7; runs sweep what is older, but only while they run";
	struct rules rules = {.prefix = doctor->s3->prefix};
	struct gm_error err;
	bool known = false;
	enum gm_code rc = read_rules(doctor->s3, &rules, &known, &err);
	if (rc == GM_OK && rules.found)
		tell(doctor, GM_HEALTH_GOOD, "lifecycle", "a rule aborts uploads that were abandoned", "");
	else if (rc == GM_OK)
		tell(doctor, GM_HEALTH_NOTE, "lifecycle", "no rule aborts uploads that were abandoned", advice);
	else
		tell(doctor, GM_HEALTH_NOTE, "lifecycle", err.message,
		     "allow s3:GetLifecycleConfiguration to look, or see for yourself: a rule should abort incomplete uploads");
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */

bool gm_s3_diagnose(struct gm_store *store, const char *work_prefix, gm_step_fn *step, void *context)
{
	struct doctor doctor = {.s3 = gm_s3_of(store), .tell = step, .context = context, .healthy = true};
	struct first first = {NULL};
	tell_endpoint(&doctor);
	if (!check_credentials(&doctor)) return false;
	bool listed = check_listing(&doctor, &first);
	if (listed && work_prefix == NULL) check_reading(&doctor, &first);
	free(first.key);
	if (!listed && doctor.no_bucket) return false;
	char random[33], key[GM_KEY_MAX_BYTES + 1];
	if (work_prefix == NULL || !gm_io_random_hex(random)) return doctor.healthy;
	(void)snprintf(key, sizeof key, "%sdoctor-%s", work_prefix, random);
	if (check_writing(&doctor, key)) {
		check_put_if_absent(&doctor, work_prefix);
		check_multipart(&doctor, key, work_prefix);
	}
	check_lifecycle(&doctor);
	return doctor.healthy;
}
