/* store.c - a runner's view of a store. Each call is a step: the runner waits for its turn, then the call happens at
 * once, or goes wrong as a process or a network would let it:
 *   dies before or after the effect    every further call fails and does nothing; the runner's memory is thrown away
 *   fails                              no effect, an error
 *   is lost                            the effect, and an error in place of the answer
 *   is late                            an error, and the effect at some later time
 *   is repeated                        the effect and its answer, and the effect once more at some later time
 * Reading on in an object that is open and appending to a staged one are no steps: nobody else sees them. They can
 * fail. A folder is removed name by name, in any order, and a listing may be made page by page, as real stores do. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct view {
	struct gm_store store;
	struct sim_runner *runner;
	struct gm_store *inner;
	char reading[SIM_KEY_ROOM]; /* the object that the last call read a part of; "" if it was another call */
};

struct view_reader {
	struct gm_store_reader reader;
	struct gm_store_reader *inner;
};

enum {
	SHAKY_CALLS = 12,
	SHAKY_FAILS = 250, /* per mille */
};

enum fate { DONE, DEAD, DIES, FAILS, LOST, LATE, REPEATED };

static struct view *of(struct gm_store *store)
{
	return (struct view *)store; /* its first member */
}

/* --- Fate --------------------------------------------------------------------------------------------------------- */

/* Failures come in groups, as when a network is away for a moment: what must be handled after one meets the next. */
static bool fails(struct sim_runner *runner)
{
	struct sim *sim = runner->sim;
	bool shaky = runner->shaky > 0 && runner->shaky-- > 0;
	if (!sim_chance(&sim->random, shaky ? SHAKY_FAILS : sim->scenario.fail)) return false;
	if (!shaky && sim_chance(&sim->random, 300)) runner->shaky = SHAKY_CALLS;
	sim->counts.failures++;
	return true;
}

static enum fate draw(struct sim_runner *runner, bool writes)
{
	struct sim *sim = runner->sim;
	const struct sim_scenario *scenario = &sim->scenario;
	if (!sim->faults) return DONE;
	if (sim_chance(&sim->random, scenario->die_before)) return sim->counts.crashes++, DEAD;
	if (fails(runner)) return FAILS;
	if (!writes) return DONE;
	if (sim_chance(&sim->random, scenario->die_after)) return sim->counts.crashes++, DIES;
	if (sim_chance(&sim->random, scenario->lose)) return sim->counts.lost++, LOST;
	if (sim_chance(&sim->random, scenario->late)) return sim->counts.late++, LATE;
	if (sim_chance(&sim->random, scenario->repeat)) return sim->counts.repeated++, REPEATED;
	return DONE;
}

static void tell(const struct view *view, const char *call, const char *key, const char *outcome)
{
	const struct sim_runner *runner = view->runner;
	sim_trace(runner->sim, "%s%u: %s%s %s: %s", sim_job_id(runner->job), runner->number,
	          view->inner == runner->sim->table ? "" : "source ", call, key, outcome);
}

/* A step: waits for the turn and says what becomes of the call. */
static enum fate step(struct view *view, bool writes)
{
	view->reading[0] = '\0';
	struct sim_runner *runner = view->runner;
	struct sim *sim = runner->sim;
	if (runner->dead) return DEAD;
	if (writes && sim->faults && sim_chance(&sim->random, sim->scenario.doze)) {
		runner->drowsy = true;
		runner->actor.burst = 0;
	}
	sim_actor_step(&runner->actor);
	if (runner->dead) return DEAD; /* killed while it waited */
	sim->counts.steps++;
	enum fate fate = draw(runner, writes);
	if (fate == DEAD) runner->dead = true;
	return fate;
}

/* The error in place of an answer. */
static enum gm_code refuse(const struct view *view, enum fate fate, const char *call, const char *key,
                           struct gm_error *err)
{
	struct sim_runner *runner = view->runner;
	if (fate == DEAD || fate == DIES) {
		runner->dead = true;
		return gm_error_set(err, GM_IO, "the process is dead");
	}
	runner->hurt = true;
	enum gm_code code = sim_chance(&runner->sim->random, 500) ? GM_TRANSIENT : GM_IO;
	(void)gm_error_set(err, code, "the simulation lets %s fail", call);
	return gm_error_object(err, code, key, strlen(key));
}

static const char *fate_name(enum fate fate)
{
	static const char *const names[] = {"done", "dies before it", "dies behind it",      "fails",
	                                    "lost", "late",           "done, to be repeated"};
	return names[fate];
}

/* A call that reads: `true` if it is to be made. */
static bool reads(struct view *view, const char *call, const char *key, enum gm_code *rc, struct gm_error *err)
{
	if (view->runner->dead) {
		*rc = refuse(view, DEAD, call, key, err);
		return false;
	}
	enum fate fate = step(view, false);
	if (fate == DONE) return true;
	tell(view, call, key, fate_name(fate));
	*rc = refuse(view, fate, call, key, err);
	return false;
}

static enum gm_code writes(struct view *view, const struct sim_effect *effect, struct gm_error *err)
{
	struct sim *sim = view->runner->sim;
	const char *call = sim_effect_name(effect->kind), *key = effect->key != NULL ? effect->key : effect->token;
	enum gm_code rc = GM_OK;
	if (view->runner->dead) return refuse(view, DEAD, call, key, err);
	if (view->runner->errand == SIM_DRY_RUN || view->runner->errand == SIM_READ)
		sim_violation(sim, "a dry run or reader writes: %s %s", call, key);
	enum fate fate = step(view, true);
	bool now = fate != DEAD && fate != FAILS && fate != LATE;
	if (fate == LATE || fate == REPEATED) sim_effect_later(sim, effect);
	if (now) rc = sim_effect_apply(sim, effect, err);
	if (now && rc == GM_OK && effect->kind == SIM_PUT_IF_ABSENT) sim_oracle_check_claim(view->runner, key);
	char outcome[64];
	(void)snprintf(outcome, sizeof outcome, "%s%s%s", now ? gm_code_name(rc) : "", now ? ", " : "", fate_name(fate));
	tell(view, call, key, outcome);
	return fate == DONE || fate == REPEATED ? rc : refuse(view, fate, call, key, err);
}

/* --- Listing ------------------------------------------------------------------------------------------------------ */

struct names {
	gm_prune_fn *prune; /* the caller's, with its context */
	void *context;
	struct gm_arena arena;
	struct gm_object_info *infos;
	size_t count, room;
};

static enum gm_code note_name(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct names *names = context;
	(void)err;
	if (names->count == names->room) {
		names->room = names->room == 0 ? 64 : names->room * 2;
		names->infos = realloc(names->infos, names->room * sizeof *names->infos);
		if (names->infos == NULL) abort();
	}
	struct gm_object_info *to = &names->infos[names->count++];
	*to = *info;
	to->key = gm_arena_strndup(&names->arena, info->key, strlen(info->key));
	return GM_OK;
}

static void names_release(struct names *names)
{
	gm_arena_release(&names->arena);
	free(names->infos);
}

static bool prune_name(void *context, const char *folder)
{
	const struct names *names = context;
	return names->prune != NULL && names->prune(names->context, folder);
}

/* All names below prefix at this moment. */
static enum gm_code take_names(struct gm_store *inner, const char *prefix, gm_prune_fn *prune, void *context,
                               struct names *names, struct gm_error *err)
{
	*names = (struct names){.prune = prune, .context = context};
	gm_arena_init(&names->arena, 4096);
	enum gm_code rc = gm_store_list_pruned(inner, prefix, prune_name, note_name, names, err);
	if (rc != GM_OK) names_release(names);
	return rc;
}

/* One page: the names behind `after`. The caller's calls on the store come between pages, too. */
static enum gm_code list_page(struct view *view, const char *prefix, char after[SIM_KEY_ROOM], bool *more,
                              gm_prune_fn *prune, gm_list_fn *each, void *context, struct gm_error *err)
{
	struct names names;
	struct sim *sim = view->runner->sim;
	GM_TRY(take_names(view->inner, prefix, prune, context, &names, err));
	enum gm_code rc = GM_OK;
	size_t first = 0, most = SIZE_MAX;
	if (sim->scenario.paged && sim->faults)
		most = 1 + sim_below(&sim->random, names.count < 12 ? 6 : (unsigned)names.count / 2);
	while (first < names.count && after[0] != '\0' && strcmp(names.infos[first].key, after) <= 0) first++;
	*more = names.count - first > most;
	if (*more) names.count = first + most;
	if (names.count > 0) (void)snprintf(after, SIM_KEY_ROOM, "%s", names.infos[names.count - 1].key);
	char outcome[32];
	(void)snprintf(outcome, sizeof outcome, "%zu", names.count - first);
	tell(view, "list", prefix, outcome);
	for (size_t i = first; rc == GM_OK && i < names.count; i++) rc = each(context, &names.infos[i], err);
	names_release(&names);
	return rc;
}

static enum gm_code view_list(struct gm_store *store, const char *prefix, const char *from, gm_prune_fn *prune,
                              gm_list_fn *each, void *context, struct gm_error *err)
{
	struct view *view = of(store);
	enum gm_code rc = GM_OK;
	char after[SIM_KEY_ROOM];
	(void)snprintf(after, sizeof after, "%s", from);
	for (bool more = true; rc == GM_OK && more;) {
		if (!reads(view, "list", prefix, &rc, err)) return rc;
		rc = list_page(view, prefix, after, &more, prune, each, context, err);
	}
	return rc;
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

static enum gm_code view_stat(struct gm_store *store, const char *key, struct gm_object_info *info,
                              struct gm_arena *arena, struct gm_error *err)
{
	enum gm_code rc;
	if (!reads(of(store), "stat", key, &rc, err)) return rc;
	rc = gm_store_stat(of(store)->inner, key, info, arena, err);
	tell(of(store), "stat", key, gm_code_name(rc));
	return rc;
}

static enum gm_code view_read(struct gm_store *store, const char *key, uint64_t offset, void *into, size_t bytes,
                              size_t *got, struct gm_error *err)
{
	struct view *view = of(store);
	struct sim *sim = view->runner->sim;
	enum gm_code rc;
	/* Who reads an object part by part is mostly let go on. */
	bool goes_on = strcmp(view->reading, key) == 0 && !sim_chance(&sim->random, 50);
	if (goes_on && !view->runner->dead) return gm_store_read(view->inner, key, offset, into, bytes, got, err);
	if (!reads(view, "read", key, &rc, err)) return rc;
	(void)snprintf(view->reading, sizeof view->reading, "%s", key);
	rc = gm_store_read(of(store)->inner, key, offset, into, bytes, got, err);
	tell(of(store), "read", key, gm_code_name(rc));
	return rc;
}

static enum gm_code view_reader_open(struct gm_store *store, const char *key, const struct gm_object_info *expected,
                                     struct gm_store_reader **out, struct gm_error *err)
{
	enum gm_code rc;
	struct gm_store_reader *inner;
	if (!reads(of(store), "open", key, &rc, err)) return rc;
	rc = of(store)->inner->ops->reader_open(of(store)->inner, key, expected, &inner, err);
	tell(of(store), "open", key, gm_code_name(rc));
	GM_TRY(rc);
	struct view_reader *self = malloc(sizeof *self);
	if (self == NULL) abort();
	*self = (struct view_reader){.reader = {.store = store, .info = inner->info}, .inner = inner};
	*out = &self->reader;
	return GM_OK;
}

static enum gm_code view_reader_read(struct gm_store_reader *reader, void *into, size_t bytes, size_t *got,
                                     struct gm_error *err)
{
	const struct view *view = of(reader->store);
	struct sim *sim = view->runner->sim;
	if (view->runner->dead) return refuse(view, DEAD, "read on", reader->info.key, err);
	if (sim->faults && fails(view->runner)) {
		tell(view, "read on", reader->info.key, fate_name(FAILS));
		return refuse(view, FAILS, "read on", reader->info.key, err);
	}
	return gm_store_reader_read(((struct view_reader *)reader)->inner, into, bytes, got, err);
}

static enum gm_code view_reader_check(struct gm_store_reader *reader, struct gm_error *err)
{
	enum gm_code rc;
	if (!reads(of(reader->store), "check", reader->info.key, &rc, err)) return rc;
	rc = gm_store_reader_check(((struct view_reader *)reader)->inner, err);
	tell(of(reader->store), "check", reader->info.key, gm_code_name(rc));
	return rc;
}

static void view_reader_close(struct gm_store_reader *reader)
{
	gm_store_reader_close(((struct view_reader *)reader)->inner);
	free(reader);
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

static enum gm_code view_put(struct gm_store *store, const char *key, const void *data, size_t bytes, bool if_absent,
                             struct gm_error *err)
{
	struct sim_effect effect = {
	    .kind = if_absent ? SIM_PUT_IF_ABSENT : SIM_PUT, .key = key, .data = data, .bytes = bytes};
	return writes(of(store), &effect, err);
}

static enum gm_code view_remove(struct gm_store *store, const char *key, struct gm_error *err)
{
	struct sim_effect effect = {.kind = SIM_REMOVE, .key = key};
	return writes(of(store), &effect, err);
}

static enum gm_code view_publish(struct gm_store *store, const char *token, const char *final_key, struct gm_error *err)
{
	struct sim_effect effect = {.kind = SIM_PUBLISH, .key = final_key, .token = token};
	return writes(of(store), &effect, err);
}

static enum gm_code view_discard(struct gm_store *store, const char *token, struct gm_error *err)
{
	struct sim_effect effect = {.kind = SIM_DISCARD, .token = token};
	return writes(of(store), &effect, err);
}

static enum gm_code view_remove_tree(struct gm_store *store, const char *prefix, struct gm_error *err)
{
	struct view *view = of(store);
	struct names names;
	enum gm_code rc = GM_OK;
	if (!reads(view, "list to remove", prefix, &rc, err)) return rc;
	GM_TRY(take_names(view->inner, prefix, NULL, NULL, &names, err));
	tell(view, "list to remove", prefix, "done");
	while (rc == GM_OK && names.count > 0) {
		unsigned at = sim_below(&view->runner->sim->random, (unsigned)names.count);
		rc = view_remove(store, names.infos[at].key, err);
		names.infos[at] = names.infos[--names.count];
	}
	names_release(&names);
	return rc;
}

static enum gm_code view_stage_open(struct gm_store *store, const char *final_key, const char *work_prefix,
                                    struct gm_staged **out, struct gm_error *err)
{
	enum gm_code rc;
	if (!reads(of(store), "stage", final_key, &rc, err)) return rc;
	rc = gm_store_stage_open(of(store)->inner, final_key, work_prefix, out, err);
	tell(of(store), "stage", final_key, gm_code_name(rc));
	return rc;
}

static enum gm_code view_stage_append(struct gm_store *store, struct gm_staged *staged, const void *data, size_t bytes,
                                      struct gm_error *err)
{
	const struct view *view = of(store);
	struct sim *sim = view->runner->sim;
	if (view->runner->dead) return refuse(view, DEAD, "append", "", err);
	if (sim->faults && fails(view->runner)) {
		tell(view, "append", "", fate_name(FAILS));
		return refuse(view, FAILS, "append", "", err);
	}
	return gm_store_stage_append(view->inner, staged, data, bytes, err);
}

static enum gm_code view_stage_finish(struct gm_store *store, struct gm_staged *staged, char *token, size_t token_bytes,
                                      struct gm_error *err)
{
	struct view *view = of(store);
	(void)token_bytes; /* GM_TOKEN_BYTES, always */
	enum fate fate = view->runner->dead ? DEAD : step(view, true);
	if (fate == LATE || fate == REPEATED) fate = LOST; /* a staged object has no name before the answer */
	if (fate == DEAD || fate == FAILS) {
		gm_store_stage_abandon(view->inner, staged);
		return refuse(view, fate, "finish", "", err);
	}
	enum gm_code rc = gm_store_stage_finish(view->inner, staged, token, err);
	view->runner->sim->writes += rc == GM_OK;
	tell(view, "finish", token, fate_name(fate));
	if (fate == DONE) return rc;
	token[0] = '\0';
	return refuse(view, fate, "finish", "", err);
}

static void view_stage_abandon(struct gm_store *store, struct gm_staged *staged)
{
	gm_store_stage_abandon(of(store)->inner, staged);
}

static void view_close(struct gm_store *store)
{
	free(store->location);
	free(store);
}

static const struct gm_store_ops view_ops = {
    .list = view_list,
    .stat = view_stat,
    .read = view_read,
    .reader_open = view_reader_open,
    .reader_read = view_reader_read,
    .reader_check = view_reader_check,
    .reader_close = view_reader_close,
    .put = view_put,
    .remove = view_remove,
    .stage_open = view_stage_open,
    .stage_append = view_stage_append,
    .stage_finish = view_stage_finish,
    .stage_abandon = view_stage_abandon,
    .publish = view_publish,
    .discard = view_discard,
    .remove_tree = view_remove_tree,
    .close = view_close,
};

struct gm_store *sim_store_new(struct sim_runner *runner, struct gm_store *inner)
{
	struct view *view = malloc(sizeof *view);
	char *location = strdup(inner->location);
	if (view == NULL || location == NULL) abort();
	*view = (struct view){
	    .store = {.ops = &view_ops, .location = location, .parallel = 1}, .runner = runner, .inner = inner};
	return &view->store;
}
