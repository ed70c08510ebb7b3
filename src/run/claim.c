#include "run/claim.h"

static enum gm_code parse(const json_t *json, struct gm_claim *claim, struct gm_error *err)
{
	const char *job;
	GM_TRY(gm_member_string(json, "job", &job, err));
	GM_TRY(gm_member_number(json, "plan", &claim->plan, err));
	if (claim->plan == 0) GM_FAIL(err, GM_CORRUPT, "it names no plan");
	if (job[0] == '\0' || strlen(job) >= sizeof claim->job) GM_FAIL(err, GM_CORRUPT, "it names no job");
	memcpy(claim->job, job, strlen(job) + 1);
	return GM_OK;
}

/* A run is being published, and which one is not known. Its own job takes it up again, if it can be. */
static enum gm_code damaged(const char *key, struct gm_error *err)
{
	(void)gm_error_hint(
	    err, GM_CORRUPT,
	    "restore it from a copy of the table; without one, remove it while nothing runs, and run each job of "
	    "the table once");
	return gm_error_object(err, GM_CORRUPT, key, strlen(key));
}

enum gm_code gm_claim_last(const struct gm_tip *tip, struct gm_claim *claim, struct gm_error *err)
{
	*claim = (struct gm_claim){.k = gm_tip_txn(tip, GM_CLAIM_APP)};
	for (;;) {
		char key[GM_KEY_BYTES];
		json_t *json;
		gm_claim_key(key, claim->k + 1);
		enum gm_code rc = gm_json_read(tip->table, key, &json, err);
		if (rc == GM_NOT_FOUND) return GM_OK;
		if (rc == GM_OK) {
			rc = parse(json, claim, err);
			json_decref(json);
		}
		if (rc == GM_CORRUPT) return damaged(key, err);
		GM_TRY(rc);
		claim->k++;
	}
}

enum gm_code gm_claim_put(struct gm_store *table, uint64_t k, const char *job_id, uint64_t plan, struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	gm_claim_key(key, k);
	json_t *claim = json_pack("{s:i, s:I, s:s, s:I}", "format", GM_FORMAT, "claim", (json_int_t)k, "job", job_id,
	                          "plan", (json_int_t)plan);
	if (claim == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a claim");
	enum gm_code rc = gm_json_write(table, key, claim, err);
	json_decref(claim);
	return rc;
}
