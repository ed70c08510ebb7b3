/*
 * The steps of the protocol.
 *
 * A runner is a program counter and what it remembers. Its steps follow the words of the protocol: plan (P), work (W),
 * claim (C), re-read after the claim (F), publish (X), commit (K), after (A), end (E), close (L), sweep (S); a rewind
 * (Z) and a rewrite such as compaction (M) are actors of their own. A rule that is switched off is a line that asks OFF().
 */
#include "model.h"

#include <string.h>

#define OFF(rule) (off[RULE_##rule])
#define KEYS      2

bool off[RULE_COUNT];
const struct scenario *scene;
uint8_t cap_plan, cap_log, cap_claim;
const char *violation;

const char *const pc_names[PCS] = {
    "idle",
    "read the log",
    "read the last claim",
    "list plans and source",
    "put the plan",
    "read the manifest, stage",
    "put the manifest",
    "read the manifest back",
    "look at the last claim",
    "put the claim",
    "re-read the log after the claim",
    "publish",
    "look for the file again",
    "look at the log, staging gone",
    "put runs",
    "re-read the log, commit follows",
    "put the version",
    "put the bookmark",
    "remove staged files of the committed plan",
    "end: read the log",
    "end: list plans",
    "end: put the ending plan",
    "end: put the version",
    "end: settle",
    "close: remove staged",
    "close: delete published",
    "close: put .closed",
    "sweep: list plans",
    "rewind: list plans",
    "rewind: put the plan",
    "rewind: put the version",
    "rewind: settle",
    "rewrite: publish",
    "rewrite: put the version",
    "rewrite: settle",
    "rewrite: remove staged",
    "rewrite: delete replaced files",
};

void model_broken(const char *what)
{
	if (!violation) violation = what;
}

/* ---- Reading the log: the first V versions of it ---- */

static uint8_t txn(const struct state *s, uint8_t v, uint8_t job)
{
	for (int i = v - 1; i >= 0; i--)
		if (s->log[i].type == VER_RUN && s->log[i].job == job) return s->log[i].n;
	return 0;
}

enum verdict model_verdict(const struct state *s, uint8_t v, uint8_t job, uint8_t n)
{
	const struct plan *plan = s->plan[job];
	uint8_t last = txn(s, v, job), parent = plan[n].parent;
	bool committed = false, dead = false, behind = parent == 0 && last != 0;

	for (uint8_t m = last, left = MAX_PLAN; m && left; m = plan[m].parent, left--) {
		committed = committed || m == n;
		dead = dead || (m != n && plan[m].parent == parent);
		behind = behind || (m == parent && m != last);
	}
	if (OFF(DEAD_FIRST) && behind) return DEAD;
	if (committed) return COMMITTED;
	if (OFF(DEAD_PARENT)) return parent == last ? ALIVE : DEAD;
	return dead ? DEAD : ALIVE;
}

/* The last rewrite below version V, or -1: what came before it is replaced by its file. */
int model_last_rewrite(const struct state *s, uint8_t v)
{
	int i = v - 1;

	while (i >= 0 && s->log[i].type != VER_REWRITE) i--;
	return i;
}

uint8_t model_unit_rows(uint8_t rows, int u)
{
	return rows >> (2 * u) & 3;
}

static uint8_t version_keys(const struct version *ver)
{
	uint8_t keys = ver->rows;

	if (ver->type == VER_RUN)
		keys = model_unit_rows(ver->rows, 0) | model_unit_rows(ver->rows, 1) | model_unit_rows(ver->rows, 2);
	return keys;
}

uint8_t model_table_keys(const struct state *s, uint8_t v)
{
	uint8_t keys = 0;
	int first = model_last_rewrite(s, v);

	for (int i = first < 0 ? 0 : first; i < v; i++) keys |= version_keys(&s->log[i]);
	return keys;
}

/* The keys in files of snapshot V that can still be read. */
static uint8_t readable_keys(const struct state *s, uint8_t v, bool *complete)
{
	uint8_t keys = 0;
	int first = model_last_rewrite(s, v);

	*complete = true;
	for (int i = first < 0 ? 0 : first; i < v; i++) {
		const struct version *ver = &s->log[i];
		if (ver->type == VER_REWRITE && s->rewritten) keys |= ver->rows;
		if (ver->type == VER_FOREIGN && s->foreign) keys |= ver->rows;
		for (int u = 0; ver->type == VER_RUN && u < OBJECTS; u++)
			if (s->plan[ver->job][ver->n].u[u].pub & PUB_EXISTS) keys |= model_unit_rows(ver->rows, u);
	}
	*complete = keys == model_table_keys(s, v);
	return keys;
}

static uint8_t plan_keys(const struct plan *p)
{
	uint8_t keys = 0;

	for (int u = 0; u < OBJECTS; u++) keys |= MAN_ROWS(p->u[u].man);
	return keys;
}

static bool conflict(const struct state *s, uint8_t v, uint8_t job, uint8_t n)
{
	const struct plan *p = &s->plan[job][n];

	if (OFF(NO_CONFLICT)) return false;
	for (int i = p->v; i < v; i++) {
		if (s->log[i].type == VER_REWRITE && OFF(REWRITE_OK)) continue;
		if (version_keys(&s->log[i]) & plan_keys(p)) return true;
		if (s->log[i].type == VER_REWRITE && model_table_keys(s, p->v)) return true;
	}
	return false;
}

uint8_t model_processed(const struct state *s, uint8_t v, uint8_t job, uint8_t up_to)
{
	const struct plan *plan = s->plan[job];
	uint8_t inputs = 0;

	if (OFF(SUBTRACT_ALL)) {
		for (int n = 1; n <= MAX_PLAN; n++) inputs |= plan[n].inputs;
		return inputs;
	}
	if (OFF(BOOKMARK_EARLY))
		for (int n = MAX_PLAN; n > 0; n--)
			if (plan[n].bookmark) return plan[n].bookmark;
	for (uint8_t m = up_to ? up_to : txn(s, v, job), left = MAX_PLAN; m && left; m = plan[m].parent, left--) {
		if (plan[m].kind == PLAN_REWIND) break;
		if (plan[m].bookmark) return inputs | plan[m].bookmark;
		inputs |= plan[m].inputs;
	}
	return inputs;
}

/* ---- Writing ---- */

enum answer { OK, EXISTS, GONE, LOST, NO_ROOM };

static enum answer arrive(struct state *s, const struct op *o)
{
	struct plan *p = &s->plan[o->job][o->n];
	struct unit *unit = &p->u[o->u];

	switch ((enum op_type)o->type) {
	case OP_PLAN:
		if (p->kind && !OFF(OVER_PLAN)) return EXISTS;
		p->kind = o->x[0];
		p->parent = o->x[1];
		p->v = o->x[2];
		p->engine = o->x[3];
		p->inputs = o->x[4];
		return OK;
	case OP_MANIFEST:
		if (unit->man && !OFF(OVER_MANIFEST)) return EXISTS;
		unit->man = o->x[0];
		return OK;
	case OP_CLAIM:
		if (o->x[0] <= s->nclaim && !OFF(OVER_CLAIM)) return EXISTS;
		s->claim[o->x[0] - 1] = (uint8_t)(o->job << 4 | o->n);
		if (s->nclaim < o->x[0]) s->nclaim = o->x[0];
		return OK;
	case OP_PUBLISH:
		if (!(unit->staged & 1 << MAN_TOKEN(o->x[0]))) return GONE;
		if ((unit->pub & PUB_EXISTS) && !OFF(OVER_PUBLISH)) return EXISTS;
		unit->pub = (uint8_t)((unit->pub & PUB_GONE) | PUB_EXISTS | MAN_CONTENT(o->x[0]));
		if (scene->s3) unit->staged &= (uint8_t) ~(1 << MAN_TOKEN(o->x[0]));
		return OK;
	case OP_RUNS: p->runs = 1; return OK;
	case OP_COMMIT:
		if (o->x[0] < s->cleaned)
			return OK; /* the name is free again, but it lies below history: nobody will read it */
		if (o->x[0] < s->nlog && !OFF(OVER_COMMIT)) return EXISTS;
		s->log[o->x[0]] = (struct version){o->x[1], o->job, o->n, o->x[2]};
		if (s->nlog == o->x[0]) s->nlog++;
		return OK;
	case OP_CLOSED: p->closed = 1; return OK;
	case OP_BOOKMARK:
		if (p->bookmark) return EXISTS;
		p->bookmark = o->x[0];
		return OK;
	case OP_NONE: break;
	}
	return OK;
}

/* The search ends where numbers run out; a solo run has more of them than the search. */
static bool no_room(const struct op *o)
{
	return (o->type == OP_PLAN && o->n > cap_plan) || (o->type == OP_COMMIT && o->x[0] >= cap_log) ||
	       (o->type == OP_CLAIM && o->x[0] > cap_claim);
}

static enum answer put(struct state *s, struct op o, enum fault fault)
{
	if (no_room(&o)) return NO_ROOM;
	switch (fault) {
	case FAULT_APPLIED_LOST: arrive(s, &o); return LOST;
	case FAULT_LATE:
		s->flight = o;
		s->zombies++;
		return LOST;
	case FAULT_LOST: return LOST;
	default: return arrive(s, &o);
	}
}

bool model_land(struct state *s)
{
	if (!s->flight.type) return false;
	arrive(s, &s->flight);
	memset(&s->flight, 0, sizeof s->flight);
	return true;
}

bool model_foreign(struct state *s, uint8_t key)
{
	if (s->nlog >= cap_log || s->foreign || (model_table_keys(s, s->nlog) & 1 << key)) return false;
	s->log[s->nlog++] = (struct version){VER_FOREIGN, 0, 0, (uint8_t)(1 << key)};
	s->foreign = 1;
	return true;
}

/* ---- The runner ---- */

static uint8_t free_number(const struct plan *plan)
{
	uint8_t n = MAX_PLAN;

	while (n > 0 && !plan[n].kind) n--;
	return (uint8_t)(n + 1);
}

static void go(struct actor *a, enum pc pc)
{
	a->pc = (uint8_t)pc;
}

static void restart(struct actor *a)
{
	*a = (struct actor){.pc = START, .kind = a->kind};
}

static void focus(struct actor *a, uint8_t job, uint8_t n, enum context ctx, enum pc pc)
{
	a->job = job;
	a->n = n;
	a->ctx = (uint8_t)ctx;
	a->u = a->m = a->k = 0;
	memset(a->man, 0, sizeof a->man);
	go(a, pc);
}

/* The plan in focus is done with: committed, or closed. */
static void leave(struct actor *a)
{
	switch ((enum context)a->ctx) {
	case CTX_OWN:
	case CTX_FIRST: restart(a); break;
	case CTX_CLAIM: focus(a, KIND_JOB(a->kind), a->own, CTX_OWN, C_READ); break;
	case CTX_SWEEP: focus(a, 0, 0, CTX_OWN, S_SWEEP); break;
	}
}

static void do_close(struct actor *a)
{
	a->u = a->m = 0;
	memset(a->man, 0, sizeof a->man);
	go(a, OFF(PUBLISHED_FIRST) ? L_PUBLISHED : OFF(CLOSED_FIRST) ? L_PUT : L_STAGED);
}

static void do_committed(struct actor *a)
{
	a->u = a->m = 0;
	memset(a->man, 0, sizeof a->man);
	go(a, A_BOOKMARK);
}

/* The plan in focus cannot be finished. */
static void do_end(struct state *s, struct actor *a, enum pc pc)
{
	a->u = a->token = 0;
	memset(a->man, 0, sizeof a->man);
	if (OFF(CLOSE_LIVE)) {
		do_close(a);
	} else if (OFF(REPLAN)) {
		uint8_t job = KIND_JOB(a->kind), inputs = s->present[job] & (uint8_t)~model_processed(s, a->lv, job, 0);
		if (a->pc == W_UNIT) a->lv = s->nlog;
		a->inputs = inputs;
		a->m = free_number(s->plan[job]);
		go(a, P_PUT);
	} else {
		go(a, pc);
	}
}

/* Which of the claims, the last, stands in the way: neither committed nor closed, as far as the log in hand tells. */
bool model_claim_open(const struct state *s, uint8_t lv, uint8_t *job, uint8_t *n)
{
	if (!s->nclaim) return false;
	*job = s->claim[s->nclaim - 1] >> 4;
	*n = s->claim[s->nclaim - 1] & 15;
	return !s->plan[*job][*n].closed && model_verdict(s, lv, *job, *n) != COMMITTED;
}

static void plan_next(const struct state *s, struct actor *a)
{
	uint8_t job = KIND_JOB(a->kind), last = txn(s, a->lv, job), inputs, taken = 0;
	const struct plan *plan = s->plan[job];

	for (uint8_t n = 1; n <= MAX_PLAN; n++)
		if (plan[n].kind == PLAN_WORK && plan[n].parent == last &&
		    (plan[n].engine == KIND_ENGINE(a->kind) || OFF(ANY_ENGINE))) {
			if ((OFF(CLOSE_LIVE) || OFF(REPLAN)) && plan[n].closed) continue;
			a->own = n;
			focus(a, job, n, CTX_OWN, W_UNIT);
			return;
		}
	inputs = s->present[job] & (uint8_t)~model_processed(s, a->lv, job, 0);
	for (int i = 0; i < OBJECTS; i++)
		if ((inputs & 1 << i) && taken++ >= scene->per_plan) inputs &= (uint8_t) ~(1 << i);
	a->inputs = inputs;
	a->m = free_number(plan);
	go(a, inputs ? P_PUT : S_SWEEP);
	if (!inputs) a->m = 0;
}

static uint8_t other_tokens(const struct state *s, uint8_t job, uint8_t n, uint8_t u)
{
	uint8_t held = 0;

	for (int i = 0; i < ACTORS; i++) {
		const struct actor *a = &s->a[i];
		if (a->job != job || a->n != n) continue;
		if (a->token && a->u == u) held |= (uint8_t)(1 << a->token);
		held |= (uint8_t)(1 << MAN_TOKEN(a->man[u]));
	}
	if ((s->flight.type == OP_MANIFEST || s->flight.type == OP_PUBLISH) && s->flight.job == job && s->flight.n == n &&
	    s->flight.u == u)
		held |= (uint8_t)(1 << MAN_TOKEN(s->flight.x[0]));
	return held & 0xfe;
}

void model_normalise(struct state *s)
{
	for (uint8_t job = 0; job < JOBS; job++)
		for (uint8_t n = 1; n <= MAX_PLAN; n++)
			for (uint8_t u = 0; u < OBJECTS; u++) {
				struct unit *unit = &s->plan[job][n].u[u];
				uint8_t named = (uint8_t)(1 << MAN_TOKEN(unit->man));
				if (unit->staged & (uint8_t)~named) unit->staged &= named | other_tokens(s, job, n, u);
			}
}

/* What the unit holds: engine 0 lets the first of equal keys win, engine 1 the last. */
static uint8_t unit_content(const struct state *s, uint8_t engine, const struct plan *p, uint8_t job, int u,
                            uint8_t table)
{
	uint8_t rows = scene->keys[job][u] & (uint8_t)~table;

	for (int i = 0; i < OBJECTS; i++)
		if ((p->inputs & 1 << i) && (engine ? i > u : i < u)) rows &= (uint8_t)~scene->keys[job][i];
	(void)s;
	return rows;
}

static void work_unit(struct state *s, struct actor *a)
{
	struct plan *p = &s->plan[a->job][a->n];
	struct unit *unit;
	bool complete;
	uint8_t table, held, token = 1;

	while (a->u < OBJECTS && (!(p->inputs & 1 << a->u) || (p->u[a->u].man && !OFF(RESTAGE)))) a->u++;
	if (a->u == OBJECTS) {
		a->u = 0;
		if (!OFF(OWN_STAGING)) memset(a->man, 0, sizeof a->man);
		go(a, OFF(NO_CLAIM) ? F_LOG : C_READ);
		return;
	}
	unit = &p->u[a->u];
	table = readable_keys(s, p->v, &complete);
	if (!(s->present[a->job] & 1 << a->u) || (!complete && !OFF(UNREADABLE))) {
		do_end(s, a, E_LOG);
		return;
	}
	held = unit->staged | other_tokens(s, a->job, a->n, a->u) | (uint8_t)(1 << MAN_TOKEN(unit->man));
	while (token < 7 && (held & 1 << token)) token++;
	unit->staged |= (uint8_t)(1 << token);
	a->token = token;
	a->inputs = MAN(token, unit_content(s, KIND_ENGINE(a->kind), p, a->job, a->u, table), KIND_ENGINE(a->kind));
	go(a, W_PUT);
}

static void unit_done(struct state *s, struct actor *a, bool ours)
{
	if (!ours) {
		if (OFF(OWN_STAGING))
			a->man[a->u] = a->inputs;
		else
			s->plan[a->job][a->n].u[a->u].staged &= (uint8_t) ~(1 << a->token);
	}
	a->token = a->inputs = 0;
	a->u++;
	go(a, W_UNIT);
}

static void read_manifests(const struct state *s, struct actor *a)
{
	for (int u = 0; u < OBJECTS; u++)
		if (!a->man[u]) a->man[u] = s->plan[a->job][a->n].u[u].man;
}

static void compare(struct state *s, struct actor *a)
{
	if ((s->plan[a->job][a->n].u[a->u].pub & 7) != MAN_CONTENT(a->man[a->u]))
		model_broken("a name that exists has other bytes than ours");
	a->u++;
	go(a, X_PUBLISH);
}

/* After the log was read again, with the plan claimed: NEXT if it may go on. */
static void settle(struct state *s, struct actor *a, enum pc next)
{
	enum verdict is;

	a->lv = s->nlog;
	is = model_verdict(s, a->lv, a->job, a->n);
	if (is == DEAD && next == K_PUT && OFF(NO_PARENT)) is = ALIVE;
	if (is == COMMITTED) {
		do_committed(a);
	} else if (is == DEAD) {
		do_close(a);
	} else if (conflict(s, a->lv, a->job, a->n)) {
		do_end(s, a, E_LIST);
	} else {
		if (next == X_PUBLISH) read_manifests(s, a);
		go(a, next);
	}
}

static enum moved publish_unit(struct state *s, struct actor *a, enum fault fault)
{
	while (a->u < OBJECTS && !MAN_ROWS(a->man[a->u])) a->u++;
	if (a->u == OBJECTS) {
		if (fault) return MOVED_NO;
		a->u = 0;
		memset(a->man, 0, sizeof a->man);
		go(a, X_RUNS);
		return MOVED;
	}
	if (OFF(MANIFEST_GONE)) {
		a->man[a->u] = s->plan[a->job][a->n].u[a->u].man;
		if (!a->man[a->u]) {
			go(a, X_LOG);
			return fault ? MOVED_NO : MOVED;
		}
	}
	switch (put(s, (struct op){OP_PUBLISH, a->job, a->n, a->u, {a->man[a->u]}}, fault)) {
	case OK: a->u++; break;
	case EXISTS: compare(s, a); break;
	case GONE:
		if (OFF(NO_LOOK))
			do_end(s, a, E_LOG);
		else
			go(a, X_LOOK);
		break;
	default: /* lost: once more */ break;
	}
	return MOVED;
}

static enum moved commit_put(struct state *s, struct actor *a, enum fault fault)
{
	const struct plan *p = &s->plan[a->job][a->n];
	uint8_t rows = 0;
	enum answer answer;

	for (int u = 0; u < OBJECTS; u++) rows |= (uint8_t)(MAN_ROWS(p->u[u].man) << (2 * u));
	answer = put(s, (struct op){OP_COMMIT, a->job, a->n, 0, {a->lv, VER_RUN, rows}}, fault);
	if (answer == NO_ROOM) return MOVED_CUT;
	go(a, K_LOG);
	if (answer == OK && OFF(TRUST_PUT)) do_committed(a);
	return MOVED;
}

static enum moved put_bookmark(struct state *s, struct actor *a, enum fault fault)
{
	uint8_t inputs = model_processed(s, s->nlog, a->job, a->n);

	if (model_verdict(s, s->nlog, a->job, a->n) != COMMITTED && !OFF(DEAD_FIRST))
		model_broken("a run was reported as committed and is not");
	if (put(s, (struct op){OP_BOOKMARK, a->job, a->n, 0, {inputs}}, fault) != LOST) go(a, A_CLEAN);
	return MOVED;
}

/* End and close. ANY of the units that still has something to remove, one a step. */
static bool remove_staged(struct state *s, uint8_t job, uint8_t n)
{
	for (int u = 0; u < OBJECTS; u++) {
		struct unit *unit = &s->plan[job][n].u[u];
		uint8_t named = (uint8_t)(1 << MAN_TOKEN(unit->man));
		if (unit->man && (unit->staged & named)) {
			unit->staged &= (uint8_t)~named;
			return true;
		}
	}
	return false;
}

static bool delete_published(struct state *s, uint8_t job, uint8_t n)
{
	for (int u = 0; u < OBJECTS; u++) {
		struct unit *unit = &s->plan[job][n].u[u];
		if (unit->man && (unit->pub & PUB_EXISTS)) {
			unit->pub = unit->pub & PUB_GONE;
			return true;
		}
	}
	return false;
}

static void forget_manifests(struct state *s, uint8_t job, uint8_t n)
{
	for (int u = 0; OFF(MANIFEST_GONE) && u < OBJECTS; u++) s->plan[job][n].u[u].man = 0;
}

static void end_settle(struct state *s, struct actor *a)
{
	enum verdict is;

	a->lv = s->nlog;
	is = model_verdict(s, a->lv, a->job, a->n);
	if (is == COMMITTED)
		do_committed(a);
	else if (a->pc == E_SETTLE && OFF(END_NO_PARENT) && model_verdict(s, a->lv, a->job, a->m) != COMMITTED)
		go(a, E_COMMIT);
	else if (is == DEAD)
		do_close(a);
	else
		go(a, a->pc == E_SETTLE ? E_COMMIT : E_LIST);
}

static void close_step(struct state *s, struct actor *a)
{
	if (a->pc == L_STAGED) {
		if (!remove_staged(s, a->job, a->n)) go(a, OFF(PUBLISHED_FIRST) ? L_PUT : L_PUBLISHED);
	} else if (!delete_published(s, a->job, a->n)) {
		if (OFF(CLOSED_FIRST)) {
			leave(a);
			return;
		}
		go(a, OFF(PUBLISHED_FIRST) ? L_STAGED : L_PUT);
		if (!OFF(PUBLISHED_FIRST)) forget_manifests(s, a->job, a->n);
	}
}

static enum moved put_closed(struct state *s, struct actor *a, enum fault fault)
{
	if (put(s, (struct op){OP_CLOSED, a->job, a->n, 0, {0}}, fault) == LOST) return MOVED;
	if (OFF(CLOSED_FIRST))
		go(a, L_STAGED);
	else
		leave(a);
	return MOVED;
}

static void sweep(const struct state *s, struct actor *a)
{
	uint8_t job = KIND_JOB(a->kind);

	for (uint8_t n = 1; n <= MAX_PLAN; n++) {
		const struct plan *p = &s->plan[job][n];
		if (p->kind != PLAN_WORK || p->closed || OFF(NO_SWEEP) || model_verdict(s, a->lv, job, n) != DEAD) continue;
		focus(a, job, n, CTX_SWEEP, L_STAGED);
		do_close(a);
		return;
	}
	memset(a, 0, sizeof *a);
}

static enum moved put_claim(struct state *s, struct actor *a, enum fault fault)
{
	enum answer answer = put(s, (struct op){OP_CLAIM, a->job, a->n, 0, {a->k}}, fault);

	if (answer == NO_ROOM) return MOVED_CUT;
	a->k = 0;
	go(a, answer == OK ? F_LOG : C_READ);
	if (answer == OK && OFF(NO_REREAD)) {
		read_manifests(s, a);
		go(a, X_PUBLISH);
	}
	return MOVED;
}

static void look_at_claim(const struct state *s, struct actor *a)
{
	uint8_t job = 0, n = 0;
	bool open = model_claim_open(s, a->lv, &job, &n);

	if (s->nclaim && job == a->job && n == a->n && s->claim[s->nclaim - 1] == (uint8_t)(job << 4 | n)) {
		go(a, F_LOG);
	} else if (open && !OFF(STEAL)) {
		focus(a, job, n, CTX_CLAIM, F_LOG);
	} else {
		a->k = (uint8_t)(s->nclaim + 1);
		go(a, C_PUT);
	}
}

static enum moved put_plan(struct state *s, struct actor *a, uint8_t job, enum plan_kind kind, uint8_t parent,
                           uint8_t inputs, enum fault fault, bool *ok)
{
	enum answer answer =
	    put(s, (struct op){OP_PLAN, job, a->m, 0, {(uint8_t)kind, parent, a->lv, KIND_ENGINE(a->kind), inputs}}, fault);

	if (answer == NO_ROOM) return MOVED_CUT;
	*ok = answer == OK;
	return MOVED;
}

static enum moved put_end(struct state *s, struct actor *a, enum fault fault, uint8_t job, enum pc next)
{
	if (put(s, (struct op){OP_COMMIT, job, a->m, 0, {a->lv, VER_RUN, 0}}, fault) == NO_ROOM) return MOVED_CUT;
	go(a, next);
	return MOVED;
}

/* The steps that put something, and so know faults. */
static enum moved put_step(struct state *s, struct actor *a, enum fault fault)
{
	uint8_t job = KIND_JOB(a->kind);
	enum moved moved;
	enum answer answer;
	bool ok = false;

	switch ((enum pc)a->pc) {
	case P_PUT:
		moved = put_plan(s, a, job, PLAN_WORK, txn(s, a->lv, job), a->inputs, fault, &ok);
		if (moved != MOVED) return moved;
		if (!ok) {
			restart(a);
			return MOVED;
		}
		a->own = a->m;
		a->inputs = 0;
		focus(a, job, a->own, CTX_OWN, W_UNIT);
		return MOVED;
	case W_PUT:
		answer = put(s, (struct op){OP_MANIFEST, a->job, a->n, a->u, {a->inputs}}, fault);
		if (answer == OK)
			unit_done(s, a, true);
		else
			go(a, W_BACK);
		return MOVED;
	case C_PUT: return put_claim(s, a, fault);
	case X_PUBLISH: return publish_unit(s, a, fault);
	case X_RUNS:
		if (put(s, (struct op){OP_RUNS, a->job, a->n, 0, {0}}, fault) != LOST) {
			go(a, K_LOG);
			if (OFF(BOOKMARK_EARLY)) s->plan[a->job][a->n].bookmark = model_processed(s, a->lv, a->job, a->n);
		}
		return MOVED;
	case K_PUT: return commit_put(s, a, fault);
	case A_BOOKMARK: return put_bookmark(s, a, fault);
	case E_PUT:
		moved = put_plan(s, a, a->job, PLAN_END, s->plan[a->job][a->n].parent, 0, fault, &ok);
		if (moved == MOVED) go(a, ok ? E_COMMIT : E_LOG);
		if (moved == MOVED && !ok) a->m = 0;
		return moved;
	case E_COMMIT: return put_end(s, a, fault, a->job, E_SETTLE);
	case L_PUT: return put_closed(s, a, fault);
	case Z_PUT:
		moved = put_plan(s, a, job, PLAN_REWIND, txn(s, a->lv, job), 0, fault, &ok);
		if (moved != MOVED) return moved;
		if (ok) {
			s->rewinds++;
			go(a, Z_COMMIT);
		} else {
			memset(a, 0, sizeof *a);
		}
		return MOVED;
	case Z_COMMIT: return put_end(s, a, fault, job, Z_SETTLE);
	default: return MOVED_NO;
	}
}

static bool is_put(uint8_t pc)
{
	return pc == P_PUT || pc == W_PUT || pc == C_PUT || pc == X_PUBLISH || pc == X_RUNS || pc == K_PUT ||
	       pc == A_BOOKMARK || pc == E_PUT || pc == E_COMMIT || pc == L_PUT || pc == Z_PUT || pc == Z_COMMIT;
}

/* ---- A rewrite: all files of the table become one ---- */

/* The next committed plan whose files the rewrite replaced and that still has a staging (or a file). */
static bool rewrite_remove(struct state *s, bool staged)
{
	int last = model_last_rewrite(s, s->nlog);

	for (int i = 0; i < last; i++) {
		const struct version *ver = &s->log[i];
		if (ver->type == VER_FOREIGN && !staged && s->foreign) {
			s->foreign = 0;
			return true;
		}
		if (ver->type != VER_RUN) continue;
		if (staged) {
			if (remove_staged(s, ver->job, ver->n)) return true;
			continue;
		}
		for (int u = 0; u < OBJECTS; u++) {
			struct unit *unit = &s->plan[ver->job][ver->n].u[u];
			if (model_unit_rows(ver->rows, u) && (unit->pub & PUB_EXISTS)) {
				unit->pub = PUB_GONE;
				return true;
			}
		}
	}
	return false;
}

static enum moved rewrite_step(struct state *s, struct actor *a, enum fault fault)
{
	struct op o = {OP_COMMIT, 0, 0, 0, {a->lv, VER_REWRITE, model_table_keys(s, a->lv)}};

	if (fault && a->pc != M_COMMIT) return MOVED_NO;
	switch ((enum pc)a->pc) {
	case M_PUBLISH:
		if (s->rewrites >= scene->rewrites) { /* one file of a rewrite is all that the state has room for */
			memset(a, 0, sizeof *a);
			return MOVED;
		}
		s->rewritten = 1;
		s->rewrites++;
		go(a, M_COMMIT);
		return MOVED;
	case M_COMMIT:
		if (put(s, o, fault) == NO_ROOM) return MOVED_CUT;
		go(a, M_SETTLE);
		return MOVED;
	case M_SETTLE:
		if (model_last_rewrite(s, s->nlog) >= 0) {
			go(a, OFF(KEEP_STAGED) ? M_DELETE : M_STAGED);
		} else if (s->nlog == a->lv && !OFF(GIVE_UP)) {
			go(a, M_COMMIT); /* the version is still free: a put of ours may be under way to it */
		} else {
			s->rewritten = 0;
			memset(a, 0, sizeof *a);
		}
		return MOVED;
	case M_STAGED:
		if (!rewrite_remove(s, true)) go(a, M_DELETE);
		return MOVED;
	case M_DELETE:
		if (!rewrite_remove(s, false)) memset(a, 0, sizeof *a);
		return MOVED;
	default: return MOVED_NO;
	}
}

static void start(struct state *s, struct actor *a)
{
	a->lv = s->nlog;
	switch ((enum operation)KIND_OPERATION(a->kind)) {
	case DO_RUN: go(a, OFF(NO_CLAIM) || OFF(NOT_FIRST) ? P_LIST : P_CLAIMED); break;
	case DO_REWIND: go(a, Z_LIST); break;
	case DO_REWRITE:
		if (model_table_keys(s, a->lv) && model_last_rewrite(s, a->lv) < 0)
			go(a, M_PUBLISH);
		else
			memset(a, 0, sizeof *a);
		break;
	}
}

/* The steps that read, and those that remove. */
static enum moved read_step(struct state *s, struct actor *a)
{
	uint8_t job = 0, n = 0, man;

	switch ((enum pc)a->pc) {
	case START: start(s, a); break;
	case P_CLAIMED:
		if (model_claim_open(s, a->lv, &job, &n))
			focus(a, job, n, CTX_FIRST, F_LOG);
		else
			go(a, P_LIST);
		break;
	case P_LIST: plan_next(s, a); break;
	case W_UNIT: work_unit(s, a); break;
	case W_BACK:
		man = s->plan[a->job][a->n].u[a->u].man;
		if (man)
			unit_done(s, a, MAN_TOKEN(man) == a->token);
		else
			go(a, W_PUT);
		break;
	case C_READ: look_at_claim(s, a); break;
	case F_LOG: settle(s, a, X_PUBLISH); break;
	case X_LOOK:
		if (s->plan[a->job][a->n].u[a->u].pub & PUB_EXISTS)
			compare(s, a);
		else if (OFF(STUCK))
			go(a, X_PUBLISH);
		else
			go(a, X_LOG);
		break;
	case X_LOG: {
		enum verdict is;
		a->lv = s->nlog;
		is = model_verdict(s, a->lv, a->job, a->n);
		if (is == COMMITTED)
			do_committed(a);
		else if (is == DEAD)
			do_close(a);
		else
			do_end(s, a, E_LIST);
		break;
	}
	case K_LOG: settle(s, a, K_PUT); break;
	case A_CLEAN:
		while (remove_staged(s, a->job, a->n)) continue;
		forget_manifests(s, a->job, a->n);
		leave(a);
		break;
	case E_LOG:
	case E_SETTLE: end_settle(s, a); break;
	case E_LIST:
		a->m = free_number(s->plan[a->job]);
		go(a, E_PUT);
		break;
	case L_STAGED:
	case L_PUBLISHED: close_step(s, a); break;
	case S_SWEEP: sweep(s, a); break;
	case Z_LIST:
		a->m = free_number(s->plan[KIND_JOB(a->kind)]);
		go(a, Z_PUT);
		break;
	case Z_SETTLE:
		job = KIND_JOB(a->kind);
		a->lv = s->nlog;
		if (model_verdict(s, a->lv, job, a->m) == ALIVE)
			go(a, Z_COMMIT);
		else
			memset(a, 0, sizeof *a);
		break;
	default: return MOVED_NO;
	}
	return MOVED;
}

enum moved model_step(struct state *s, int actor, enum fault fault)
{
	struct actor *a = &s->a[actor];

	if (a->pc == IDLE) return MOVED_NO;
	if (a->pc >= M_PUBLISH) return rewrite_step(s, a, fault);
	if (is_put(a->pc)) return put_step(s, a, fault);
	return fault ? MOVED_NO : read_step(s, a);
}

void model_initial(struct state *s)
{
	memset(s, 0, sizeof *s);
	memcpy(s->present, scene->present, sizeof s->present);
}
