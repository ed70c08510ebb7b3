/*
 * What must hold: for a reader of the Delta log, for a reader of the folders, for the state, and at rest.
 */
#include "model.h"

static void check_log(const struct state *s)
{
	uint8_t last[JOBS] = {0}, inputs[JOBS] = {0};

	for (int i = 0; i < s->nlog; i++) {
		const struct version *ver = &s->log[i];
		const struct plan *p = &s->plan[ver->job][ver->n];
		if (ver->type != VER_RUN) continue;
		if (ver->n <= last[ver->job]) model_broken("state moved back");
		if (p->parent != last[ver->job]) model_broken("state moved aside: the plan's parent was not txn");
		if (p->closed) model_broken("a committed plan is closed");
		if (p->kind == PLAN_REWIND) inputs[ver->job] = 0;
		if (inputs[ver->job] & p->inputs) model_broken("an object was processed twice");
		if (p->kind == PLAN_WORK && !p->runs) model_broken("a committed run has no runs file");
		inputs[ver->job] |= p->inputs;
		last[ver->job] = ver->n;
	}
}

/* Is the unit's file in the newest snapshot? REPLACED: it was, and a rewrite took its place. */
static bool live(const struct state *s, uint8_t job, uint8_t n, int u, bool *replaced)
{
	int rewrite = model_last_rewrite(s, s->nlog);

	*replaced = false;
	for (int i = 0; i < s->nlog; i++)
		if (s->log[i].type == VER_RUN && s->log[i].job == job && s->log[i].n == n &&
		    model_unit_rows(s->log[i].rows, u)) {
			*replaced = i < rewrite;
			return i > rewrite;
		}
	return false;
}

static void check_delta(const struct state *s)
{
	uint8_t seen = 0;
	int rewrite = model_last_rewrite(s, s->nlog);

	for (int i = rewrite < 0 ? 0 : rewrite; i < s->nlog; i++) {
		const struct version *ver = &s->log[i];
		if (ver->type == VER_REWRITE && !s->rewritten) model_broken("Delta: a file is gone");
		if (ver->type == VER_FOREIGN && !s->foreign) model_broken("Delta: a file is gone");
		if (ver->type != VER_RUN) {
			if (seen & ver->rows) model_broken("Delta: a key twice");
			seen |= ver->rows;
			continue;
		}
		for (int u = 0; u < OBJECTS; u++) {
			uint8_t rows = model_unit_rows(ver->rows, u), pub = s->plan[ver->job][ver->n].u[u].pub;
			if (rows && !(pub & PUB_EXISTS))
				model_broken("Delta: a file is gone");
			else if (rows && (pub & 3) != rows)
				model_broken("Delta: a file is changed");
			if (seen & rows) model_broken("Delta: a key twice");
			seen |= rows;
		}
	}
}

/* Keys that a foreign writer committed after the plan's V: excused until the plan is ended. */
static uint8_t foreign_after(const struct state *s, uint8_t v)
{
	uint8_t keys = 0;

	for (int i = v; i < s->nlog; i++)
		if (s->log[i].type == VER_FOREIGN) keys |= s->log[i].rows;
	return keys;
}

static void check_hive(const struct state *s)
{
	uint8_t seen = 0, claimed = s->nclaim ? s->claim[s->nclaim - 1] : 0;
	bool replaced;

	for (int i = model_last_rewrite(s, s->nlog) < 0 ? 0 : model_last_rewrite(s, s->nlog); i < s->nlog; i++)
		if (s->log[i].type == VER_FOREIGN || s->log[i].type == VER_REWRITE) seen |= s->log[i].rows;
	for (uint8_t job = 0; job < JOBS; job++)
		for (uint8_t n = 1; n <= MAX_PLAN; n++)
			for (int u = 0; u < OBJECTS; u++) {
				uint8_t pub = s->plan[job][n].u[u].pub, rows = pub & 3;
				if (!(pub & PUB_EXISTS)) continue;
				if (pub & PUB_GONE) model_broken("Hive: a file that a rewrite had deleted is back");
				if (live(s, job, n, u, &replaced)) {
					/* committed */
				} else if (replaced) {
					continue; /* until the rewrite has deleted it */
				} else if (claimed != (job << 4 | n) || s->plan[job][n].closed) {
					model_broken("Hive: a row that is neither committed nor of the claimed plan");
				} else {
					rows &= (uint8_t)~foreign_after(s, s->plan[job][n].v);
				}
				if (seen & rows) model_broken("Hive: a row twice");
				seen |= rows;
			}
}

void model_check(const struct state *s)
{
	check_delta(s);
	check_hive(s);
	check_log(s);
	for (uint8_t job = 0; job < JOBS && !violation; job++)
		for (uint8_t n = 1; n <= MAX_PLAN; n++) {
			const struct plan *p = &s->plan[job][n];
			bool dead = false;
			if (!p->closed) continue;
			for (int i = 0; i < s->nlog; i++)
				dead = dead || (s->log[i].type == VER_RUN && s->log[i].job == job && s->log[i].n != n &&
				                s->plan[job][s->log[i].n].parent == p->parent);
			if (!dead) model_broken("a plan is closed that is not dead");
		}
}

void model_check_claim(const struct state *s)
{
	uint8_t job = 0, n = 0;

	if (model_claim_open(s, s->nlog, &job, &n))
		model_broken("after a run: the claimed plan is neither committed nor closed");
}

void model_check_quiet(const struct state *s)
{
	uint8_t keys = model_table_keys(s, s->nlog), job, n;
	bool replaced;

	model_check(s);
	for (job = 0; job < JOBS; job++)
		for (int u = 0; u < OBJECTS; u++)
			if ((s->present[job] & 1 << u) && (scene->keys[job][u] & (uint8_t)~keys))
				model_broken("at rest: a key of the source is not in the table");
	for (job = 0; job < JOBS; job++)
		if (s->present[job] & (uint8_t)~model_processed(s, s->nlog, job, 0))
			model_broken("at rest: an object is not processed");
	for (job = 0; job < JOBS; job++)
		for (n = 1; n <= MAX_PLAN; n++) {
			const struct plan *p = &s->plan[job][n];
			if (p->kind == PLAN_WORK && !p->closed && model_verdict(s, s->nlog, job, n) == DEAD)
				model_broken("at rest: a dead plan is not closed");
			for (int u = 0; u < OBJECTS; u++)
				if ((p->u[u].pub & PUB_EXISTS) && !live(s, job, n, u, &replaced) && !replaced)
					model_broken("at rest: a stray file");
		}
}
