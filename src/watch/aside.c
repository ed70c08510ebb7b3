#include "watch/aside.h"

#include "base/time.h"
#include "run/layout.h"
#include "run/run.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { ID_BYTES_MAX = 100 }; /* "An identifier can be up to 100 characters": SQS Developer Guide */

struct gm_aside {
	const struct gm_job *job;
	const struct gm_run_options *run;
	struct gm_layout layout;
	struct gm_store *table; /* NULL until the first is kept */
	unsigned count;
};

enum gm_code gm_aside_new(const struct gm_job *job, const struct gm_run_options *run, struct gm_aside **out,
                          struct gm_error *err)
{
	struct gm_aside *aside = calloc(1, sizeof *aside);
	*out = NULL;
	if (aside == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for messages kept aside");
	aside->job = job;
	aside->run = run;
	enum gm_code rc = gm_layout_init(&aside->layout, job->id, err);
	if (rc == GM_OK)
		*out = aside;
	else
		free(aside);
	return rc;
}

void gm_aside_free(struct gm_aside *aside)
{
	if (aside == NULL) return;
	gm_store_close(aside->table);
	free(aside);
}

/* It becomes part of a key. */
static bool is_plain(const char *id)
{
	size_t n = strlen(id);
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)id[i]) && id[i] != '-' && id[i] != '_') return false;
	return n > 0 && n <= ID_BYTES_MAX;
}

static enum gm_code write_message(struct gm_aside *aside, const struct gm_sqs_message *message, const char *why,
                                  struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	(void)snprintf(key, sizeof key, "%swatch/%s.json", aside->layout.job, message->id);
	json_t *value = json_pack("{s:i, s:s, s:s, s:s%}", "format", GM_FORMAT, "id", message->id, "why", why, "body",
	                          message->body, message->body_bytes);
	enum gm_code rc = gm_json_write(aside->table, key, value, err);
	json_decref(value);
	return rc == GM_EXISTS ? GM_OK : rc; /* it was kept, and came again: deleting it had failed */
}

/* Small objects: a store that stands still for so long does not answer, and whoever puts has other things to do. */
static enum gm_code open_table(struct gm_aside *aside, struct gm_error *err)
{
	static const int64_t patience_us = 5 * GM_US_PER_SECOND;
	struct gm_job_access access = aside->job->table.access;
	access.timeout_us = patience_us;
	return gm_env_open_store(aside->job->table.location, &access, aside->run, true, &aside->table, err);
}

enum gm_code gm_aside_put(struct gm_aside *aside, const struct gm_sqs_message *message, const char *why,
                          struct gm_error *err)
{
	if (aside->count >= GM_ASIDE_MAX)
		GM_FAIL(err, GM_VALUE, "%d messages that are of no use are kept already", GM_ASIDE_MAX);
	if (!is_plain(message->id)) GM_FAIL(err, GM_VALUE, "the id of a message is none of SQS's");
	if (aside->table == NULL) GM_TRY(open_table(aside, err));
	GM_TRY(write_message(aside, message, why, err));
	aside->count++;
	return GM_OK;
}
