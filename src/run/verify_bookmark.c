/* verify_bookmark.c - is the bookmark what the plans on a job's chain make it?
 *
 * The plans are gone through from the newest to the oldest, so the first that speaks of an object speaks last: what
 * older ones say of it no longer counts. A plan that forgets makes objects of older plans unknown; one that rewinds
 * does so with all that were modified later than its time. Then every entry of the bookmark must be known, with its
 * run, and there must be as many. Objects are told apart by a hash, in a set that spills. */
#include "run/verify_internal.h"

#include <inttypes.h>
#include <stdlib.h>

enum { FORGOTTEN_BIT = 1 }; /* of a value: the run above it */

enum gm_code gm_verify_objects_init(struct gm_verify_objects *objects, struct gm_verifier *verifier,
                                    struct gm_error *err)
{
	*objects = (struct gm_verify_objects){.verifier = verifier, .rewound_to_us = INT64_MAX};
	return gm_keyset_new(verifier->memory_bytes / GM_VERIFY_BOOKMARK_SHARE, gm_verify_scratch(verifier), &objects->set,
	                     err);
}

void gm_verify_objects_release(struct gm_verify_objects *objects)
{
	gm_keyset_free(objects->set);
	objects->set = NULL;
}

/* What is said of an object first counts. */
static enum gm_code say(struct gm_verify_objects *objects, const char *key, uint64_t run, bool forgotten,
                        struct gm_error *err)
{
	struct gm_hash128 hash = gm_verify_hash(objects->verifier, key);
	uint64_t value = run << 1 | (forgotten ? FORGOTTEN_BIT : 0), found;
	uint8_t duplicate = 0;
	GM_TRY(gm_keyset_add(objects->set, &hash, &value, NULL, 1, &duplicate, &found, err));
	objects->known += duplicate == 0 && !forgotten;
	return GM_OK;
}

/* Times of replayed quarantine files are those of another clock: rewinding leaves them. */
static enum gm_code say_input(struct gm_verify_objects *objects, const char *key, int64_t mtime_us, uint64_t run,
                              struct gm_error *err)
{
	return say(objects, key, run, gm_bookmark_quarantine(key) == NULL && mtime_us > objects->rewound_to_us, err);
}

struct adoption {
	struct gm_verify_objects *objects;
	uint64_t run;
};

static enum gm_code adopt_entry(void *context, const struct gm_bookmark_entry *entry, struct gm_error *err)
{
	struct adoption *adoption = context;
	if (gm_bookmark_quarantine(entry->key) != NULL) return GM_OK; /* its quarantine stays its own */
	return say_input(adoption->objects, entry->key, entry->mtime_us, adoption->run, err);
}

/* What another job had processed; its own bookmark is proved with its own chain. */
static enum gm_code adopt(struct gm_verify_objects *objects, const struct gm_plan *plan, struct gm_error *err)
{
	struct gm_bookmark *other;
	struct adoption adoption = {objects, plan->number};
	GM_TRY(gm_history_bookmark(objects->verifier->table, plan->adopts, plan->ends, &other, err));
	enum gm_code rc = gm_bookmark_each(other, adopt_entry, &adoption, err);
	gm_bookmark_free(other);
	return rc;
}

enum gm_code gm_verify_objects_plan(struct gm_verify_objects *objects, const struct gm_plan *plan, struct gm_error *err)
{
	switch (plan->kind) {
	case GM_PLAN_RUN:
		for (size_t i = 0; i < plan->input_count; i++)
			GM_TRY(say_input(objects, plan->inputs[i].key, plan->inputs[i].mtime_us, plan->number, err));
		return GM_OK;
	case GM_PLAN_REWIND:
		if (plan->to_us < objects->rewound_to_us) objects->rewound_to_us = plan->to_us;
		return GM_OK;
	case GM_PLAN_FORGET:
		for (size_t i = 0; i < plan->key_count; i++) GM_TRY(say(objects, plan->keys[i], plan->number, true, err));
		return GM_OK;
	case GM_PLAN_ADOPT: return adopt(objects, plan, err);
	default: return GM_OK;
	}
}

/* --- Comparing ---------------------------------------------------------------------------------------------------- */

static void note_wrong(struct gm_verify_objects *objects, const char *key, const char *how)
{
	if (objects->wrong++ > 0) return;
	(void)snprintf(objects->first, sizeof objects->first, "%s", key);
	objects->how = how;
}

static enum gm_code compare_entry(void *context, const struct gm_bookmark_entry *entry, struct gm_error *err)
{
	struct gm_verify_objects *objects = context;
	struct gm_hash128 hash = gm_verify_hash(objects->verifier, entry->key);
	uint64_t nothing = FORGOTTEN_BIT, found;
	uint8_t known = 0;
	GM_TRY(gm_keyset_add(objects->set, &hash, &nothing, NULL, 1, &known, &found, err));
	objects->compared++;
	if (known == 0)
		note_wrong(objects, entry->key, "no committed run has processed it");
	else if ((found & FORGOTTEN_BIT) != 0)
		note_wrong(objects, entry->key, "it was forgotten");
	else if (found >> 1 != entry->run)
		note_wrong(objects, entry->key, "another run has processed it");
	return GM_OK;
}

enum gm_code gm_verify_objects_compare(struct gm_verify_objects *objects, const struct gm_verify_job *job,
                                       const struct gm_history *history, struct gm_error *err)
{
	char folder[GM_KEY_BYTES];
	(void)snprintf(folder, sizeof folder, "%sbookmark/", job->layout.job);
	struct gm_finding about = gm_verify_about(GM_FINDING_BOOKMARK, folder);
	about.job = job->id;
	about.run = job->head;
	enum gm_code rc = gm_bookmark_each(history->bookmark, compare_entry, objects, err);
	if (gm_verify_is_finding(rc)) {
		if (err->object[0] != '\0') about.object = err->object;
		gm_verify_report(objects->verifier, &about, "%s", err->message);
		return GM_OK;
	}
	GM_TRY(rc);
	if (objects->wrong > 0)
		gm_verify_report(objects->verifier, &about, "it has %" PRIu64 " objects that it should not have so; of %s, %s",
		                 objects->wrong, objects->first, objects->how);
	else if (objects->compared != objects->known)
		gm_verify_report(objects->verifier, &about,
		                 "it has %" PRIu64 " objects, the committed runs have processed %" PRIu64, objects->compared,
		                 objects->known);
	return GM_OK;
}
