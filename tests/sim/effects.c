/* effects.c - what calls that write do to the table: when they are made, or when the network delivers them later, or
 * again. The effect itself is one step of the store in memory. */
#include "sim/sim.h"

#include <stdlib.h>
#include <string.h>

struct sim_late {
	enum sim_effect_kind kind;
	char *key, *token;
	void *data;
	size_t bytes;
};

const char *sim_effect_name(enum sim_effect_kind kind)
{
	static const char *const names[] = {"put", "put-if-absent", "remove", "publish", "discard"};
	return names[kind];
}

static bool contains(const char *key, const char *part)
{
	return strstr(key, part) != NULL;
}

/* Does it lie in a folder of this name, at any depth? */
static bool is_in(const char *key, const char *folder)
{
	size_t n = strlen(folder);
	for (const char *at = strstr(key, folder); at != NULL; at = strstr(at + 1, folder))
		if (at > key && at[-1] == '/' && at[n] == '/') return true;
	return false;
}

static bool is_manifest(const char *key)
{
	size_t n = strlen(key);
	return is_in(key, "work") && n > 5 && strcmp(key + n - 5, ".json") == 0;
}

static bool exists(struct gm_store *store, const char *key)
{
	struct gm_error ignored;
	struct gm_object_info info;
	struct gm_arena arena;
	gm_arena_init(&arena, 1024);
	enum gm_code rc = gm_store_stat(store, key, &info, &arena, &ignored);
	gm_arena_release(&arena);
	return rc == GM_OK;
}

/* --- Lies --------------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *key, const char *suffix)
{
	size_t n = strlen(key), k = strlen(suffix);
	return n >= k && strcmp(key + n - k, suffix) == 0;
}

static bool is_version(const char *key)
{
	return contains(key, "_delta_log/") && ends_with(key, ".json");
}

static bool is_put_forgotten(struct sim *sim, const char *key)
{
	switch (sim->lie) {
	case SIM_LIE_FORGET_CLAIMS: return is_in(key, "claims") && sim_chance(&sim->random, 500);
	case SIM_LIE_FORGET_LOG: return is_version(key) && sim_chance(&sim->random, 500);
	case SIM_LIE_FORGET_MANIFESTS: return is_manifest(key) && sim_chance(&sim->random, 300);
	case SIM_LIE_FORGET_BOOKS: return is_in(key, "runs") && sim_chance(&sim->random, 100);
	case SIM_LIE_FORGET_CLOSED: return ends_with(key, ".closed");
	default: return false;
	}
}

/* Is the effect answered and not done? */
static bool is_forgotten(struct sim *sim, const struct sim_effect *effect)
{
	switch (effect->kind) {
	case SIM_PUBLISH: return sim->lie == SIM_LIE_FORGET_DATA && sim_chance(&sim->random, 100);
	case SIM_REMOVE:
		return (sim->lie == SIM_LIE_KEEP_DATA && effect->key[0] != '_') ||
		       (sim->lie == SIM_LIE_KEEP_WORK && is_in(effect->key, "work"));
	case SIM_DISCARD: return sim->lie == SIM_LIE_KEEP_WORK;
	default: return is_put_forgotten(sim, effect->key);
	}
}

static bool overwrites(const struct sim *sim, const char *key)
{
	switch (sim->lie) {
	case SIM_LIE_OVERWRITE_CLAIMS: return is_in(key, "claims");
	case SIM_LIE_OVERWRITE_PLANS: return contains(key, "/plans/") && !ends_with(key, ".closed");
	case SIM_LIE_OVERWRITE_LOG: return is_version(key);
	default: return false;
	}
}

/* --- Effects ------------------------------------------------------------------------------------------------------ */

static enum gm_code put(struct sim *sim, const struct sim_effect *effect, struct gm_error *err)
{
	bool if_absent = effect->kind == SIM_PUT_IF_ABSENT && !overwrites(sim, effect->key);
	if (effect->kind == SIM_PUT && strcmp(effect->key, "_delta_log/_last_checkpoint") != 0 &&
	    exists(sim->table, effect->key))
		sim_violation(sim, "%s is overwritten", effect->key);
	return gm_store_put(sim->table, effect->key, effect->data, effect->bytes, if_absent, err);
}

static enum gm_code publish(struct sim *sim, const struct sim_effect *effect, struct gm_error *err)
{
	GM_TRY(gm_store_publish(sim->table, effect->token, effect->key, err));
	return sim->scenario.consuming ? gm_store_discard(sim->table, effect->token, err) : GM_OK;
}

enum gm_code sim_effect_apply(struct sim *sim, const struct sim_effect *effect, struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	sim->writes++;
	if (is_forgotten(sim, effect)) return GM_OK;
	switch (effect->kind) {
	case SIM_PUT:
	case SIM_PUT_IF_ABSENT: rc = put(sim, effect, err); break;
	case SIM_REMOVE: rc = gm_store_remove(sim->table, effect->key, err); break;
	case SIM_PUBLISH: rc = publish(sim, effect, err); break;
	case SIM_DISCARD: rc = gm_store_discard(sim->table, effect->token, err); break;
	}
	if (rc == GM_OK && effect->key != NULL) sim_oracle_saw(sim, effect->key);
	return rc;
}

/* --- Later -------------------------------------------------------------------------------------------------------- */

static void *copy(const void *data, size_t bytes)
{
	void *to = malloc(bytes + 1);
	if (to == NULL) abort();
	if (bytes > 0) memcpy(to, data, bytes);
	return to;
}

static char *copy_text(const char *text)
{
	return text != NULL ? copy(text, strlen(text) + 1) : NULL;
}

void sim_effect_later(struct sim *sim, const struct sim_effect *effect)
{
	struct sim_late *grown = realloc(sim->late, (sim->late_count + 1) * sizeof *grown);
	if (grown == NULL) abort();
	sim->late = grown;
	sim->late[sim->late_count++] = (struct sim_late){.kind = effect->kind,
	                                                 .key = copy_text(effect->key),
	                                                 .token = copy_text(effect->token),
	                                                 .data = copy(effect->data, effect->bytes),
	                                                 .bytes = effect->bytes};
}

static void free_late(struct sim_late *late)
{
	free(late->key);
	free(late->token);
	free(late->data);
}

void sim_effect_deliver(struct sim *sim)
{
	struct gm_error err;
	if (sim->late_count == 0) return;
	unsigned at = sim_below(&sim->random, (unsigned)sim->late_count);
	struct sim_late late = sim->late[at];
	sim->late[at] = sim->late[--sim->late_count];
	struct sim_effect effect = {late.kind, late.key, late.token, late.data, late.bytes};
	enum gm_code rc = sim_effect_apply(sim, &effect, &err);
	sim_trace(sim, "late: %s %s: %s", sim_effect_name(late.kind), late.key != NULL ? late.key : late.token,
	          gm_code_name(rc));
	free_late(&late);
}

void sim_effects_drop(struct sim *sim)
{
	for (size_t i = 0; i < sim->late_count; i++) free_late(&sim->late[i]);
	free(sim->late);
	sim->late = NULL;
	sim->late_count = 0;
}
