/*
 * The search: every state that can be reached from the first one, breadth first, each stored whole (no hashing away).
 *
 * A move is a step of an actor (as it should go, or a put whose answer is lost and that took effect, did not, or will
 * later), a death, a new start, or something that happens to the store. Deaths, starts, delays and lost answers are not
 * limited in number; what a scenario lists is. In every state that is found
 *   - what must hold at any time is checked;
 *   - everybody dies, and one fault-free runner of each job and engine runs: it must finish in a bounded number of
 *     steps, and then what must hold at rest is checked;
 *   - each actor that is alive runs on alone, without faults, and must finish.
 * Last, with -l, the graph of fault-free steps of all actors together must have no cycle: so any schedule of them ends.
 */
#include "model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOLO_STEPS = 400, GROUPS = (sizeof(struct state) + 7) / 8, MASK = (GROUPS + 7) / 8 };
enum { PACKED_MAX = MASK + GROUPS * 9 };

enum move_type { ENV_SOURCE = ACTORS, ENV_LIFECYCLE, ENV_FOREIGN, ENV_CLEAN, ENV_LAND };
enum { MOVE_DEATH = FAULTS, MOVE_START = 8 };
#define MOVE(type, arg) ((uint16_t)((type) << 12 | (arg)))
#define MOVE_TYPE(m)    ((m) >> 12)
#define MOVE_ARG(m)     ((m)&0xfff)

#define A       KIND(0, 0, DO_RUN)
#define B       KIND(0, 1, DO_RUN)
#define JOB1    KIND(1, 0, DO_RUN)
#define REWIND  KIND(0, 0, DO_REWIND)
#define REWRITE KIND(0, 0, DO_REWRITE)

/* Keys are bits: 1 and 2. An object that arrives may be there from the start, later or never. */
static const struct scenario scenarios[] = {
#include "scenarios.h"
};

/* ---- A set of states, each with a number ---- */

struct set {
	uint8_t *bytes;
	uint64_t *at;
	uint32_t *slot, *parent;
	uint16_t *move;
	uint64_t used, room, mask;
	uint32_t count, most;
};

static void *need(void *p)
{
	if (!p) {
		fputs("explore: out of memory\n", stderr);
		exit(2);
	}
	return p;
}

static void set_init(struct set *set, uint32_t most)
{
	uint64_t slots = 1024;

	while (slots < (uint64_t)most * 2) slots *= 2;
	*set = (struct set){.mask = slots - 1, .most = most};
	set->slot = need(calloc(slots, sizeof *set->slot));
	set->at = need(malloc(((uint64_t)most + 1) * sizeof *set->at));
	set->parent = need(malloc((uint64_t)most * sizeof *set->parent));
	set->move = need(malloc((uint64_t)most * sizeof *set->move));
	set->at[0] = 0;
}

static void set_free(struct set *set)
{
	free(set->bytes);
	free(set->at);
	free(set->slot);
	free(set->parent);
	free(set->move);
}

static uint32_t pack(const struct state *s, uint8_t *out)
{
	uint8_t raw[GROUPS * 8] = {0};
	uint32_t n = MASK;

	memcpy(raw, s, sizeof *s);
	memset(out, 0, MASK);
	for (uint32_t g = 0; g < GROUPS; g++) {
		uint64_t word;
		uint32_t head = n;
		memcpy(&word, raw + g * 8, 8);
		if (!word) continue;
		out[g / 8] |= (uint8_t)(1 << g % 8);
		out[n++] = 0;
		for (uint32_t i = 0; i < 8; i++)
			if (raw[g * 8 + i]) {
				out[head] |= (uint8_t)(1 << i);
				out[n++] = raw[g * 8 + i];
			}
	}
	return n;
}

static void unpack(const uint8_t *in, struct state *s)
{
	uint8_t raw[GROUPS * 8] = {0};
	uint32_t n = MASK;

	for (uint32_t g = 0; g < GROUPS; g++) {
		uint8_t head;
		if (!(in[g / 8] & 1 << g % 8)) continue;
		head = in[n++];
		for (uint32_t i = 0; i < 8; i++)
			if (head & 1 << i) raw[g * 8 + i] = in[n++];
	}
	memcpy(s, raw, sizeof *s);
}

static uint64_t hash(const uint8_t *p, uint32_t n)
{
	uint64_t h = 0x9e3779b97f4a7c15u + n;

	for (uint32_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
	h ^= h >> 32;
	return h * 0xff51afd7ed558ccdu;
}

enum { FULL = UINT32_MAX };

/* The number of S; NEW tells whether it had none. With ADD false an unknown state is FULL. */
static uint32_t set_find(struct set *set, const struct state *s, bool add, bool *fresh)
{
	uint8_t packed[PACKED_MAX];
	uint32_t n = pack(s, packed);
	uint64_t i = hash(packed, n) >> 20 & set->mask;

	*fresh = false;
	for (; set->slot[i]; i = (i + 1) & set->mask) {
		uint32_t id = set->slot[i] - 1;
		if (set->at[id + 1] - set->at[id] == n && !memcmp(set->bytes + set->at[id], packed, n)) return id;
	}
	if (!add || set->count == set->most) return FULL;
	if (set->used + n > set->room) {
		set->room = set->room ? set->room * 3 / 2 : 1u << 20;
		set->bytes = need(realloc(set->bytes, set->room));
	}
	memcpy(set->bytes + set->used, packed, n);
	set->used += n;
	set->at[set->count + 1] = set->used;
	set->slot[i] = set->count + 1;
	*fresh = true;
	return set->count++;
}

static void set_get(const struct set *set, uint32_t id, struct state *s)
{
	unpack(set->bytes + set->at[id], s);
}

/* ---- Moves ---- */

/* Actors of the same kinds are interchangeable. */
static void sort_actors(struct state *s)
{
	for (int i = 0; i + 1 < ACTORS; i++)
		for (int j = i; j >= 0; j--)
			if (!memcmp(scene->kinds[j], scene->kinds[j + 1], sizeof scene->kinds[j]) &&
			    memcmp(&s->a[j], &s->a[j + 1], sizeof s->a[j]) > 0) {
				struct actor a = s->a[j];
				s->a[j] = s->a[j + 1];
				s->a[j + 1] = a;
			}
}

static enum moved move_actor(struct state *s, int i, int arg)
{
	struct actor *a = &s->a[i];

	if (arg >= MOVE_START) {
		uint8_t kind = arg - MOVE_START < 6 ? scene->kinds[i][arg - MOVE_START] : 0;
		if (a->pc != IDLE || !kind || (KIND_OPERATION(kind) == DO_REWIND && s->rewinds >= scene->rewinds) ||
		    (KIND_OPERATION(kind) == DO_REWRITE && s->rewrites >= scene->rewrites))
			return MOVED_NO;
		*a = (struct actor){.pc = START, .kind = kind};
		return MOVED;
	}
	if (a->pc == IDLE) return MOVED_NO;
	if (arg == MOVE_DEATH) {
		memset(a, 0, sizeof *a);
		return MOVED;
	}
	if (arg == FAULT_LATE && (s->flight.type || s->zombies >= scene->zombies)) return MOVED_NO;
	return model_step(s, i, (enum fault)arg);
}

static bool move_source(struct state *s, int arg)
{
	uint8_t job = arg >> 3 & 1, bit = (uint8_t)(1 << (arg & 3));

	if ((arg & 3) == 3) return false;
	if (arg & 4) {
		if (s->vanished || !(s->present[job] & scene->vanishes[job] & bit)) return false;
		s->present[job] &= (uint8_t)~bit;
		s->vanished = 1;
		return true;
	}
	if ((s->present[job] & bit) || !(scene->arrives[job] & bit)) return false;
	s->present[job] |= bit;
	return true;
}

static bool move_lifecycle(struct state *s, int arg)
{
	int job = arg >> 9 & 1, n = arg >> 5 & 15, u = arg >> 3 & 3, token = arg & 7;

	if (s->lifecycle >= scene->lifecycle || n > MAX_PLAN || u >= OBJECTS || !(s->plan[job][n].u[u].staged & 1 << token))
		return false;
	s->plan[job][n].u[u].staged &= (uint8_t) ~(1 << token);
	s->lifecycle++;
	return true;
}

static enum moved move_make(struct state *s, uint16_t move)
{
	int arg = MOVE_ARG(move);
	enum moved moved = MOVED_NO;

	switch (MOVE_TYPE(move)) {
	case ENV_SOURCE: moved = move_source(s, arg) ? MOVED : MOVED_NO; break;
	case ENV_LIFECYCLE: moved = move_lifecycle(s, arg) ? MOVED : MOVED_NO; break;
	case ENV_FOREIGN:
		if (s->foreigners < scene->foreigners && (scene->foreign_keys & 1 << arg) && model_foreign(s, (uint8_t)arg)) {
			s->foreigners++;
			moved = MOVED;
		}
		break;
	case ENV_CLEAN:
		if (scene->clean && s->cleaned < s->nlog) {
			s->cleaned = s->nlog;
			moved = MOVED;
		}
		break;
	case ENV_LAND: moved = model_land(s) ? MOVED : MOVED_NO; break;
	default: moved = move_actor(s, MOVE_TYPE(move), arg);
	}
	if (moved == MOVED) {
		model_normalise(s);
		sort_actors(s);
	}
	return moved;
}

/* All moves worth trying in S; there is room for 256. */
static int moves(const struct state *s, uint16_t *out)
{
	int n = 0;

	for (int i = 0; i < ACTORS; i++) {
		if (s->a[i].pc == IDLE)
			for (int k = 0; k < 6 && scene->kinds[i][k]; k++) out[n++] = MOVE(i, MOVE_START + k);
		else
			for (int f = 0; f <= MOVE_DEATH; f++) out[n++] = MOVE(i, f);
	}
	for (int i = 0; i < 16; i++) out[n++] = MOVE(ENV_SOURCE, i);
	for (int job = 0; s->lifecycle < scene->lifecycle && job < JOBS; job++)
		for (int p = 1; p <= MAX_PLAN; p++)
			for (int u = 0; u < OBJECTS; u++)
				for (int t = 1; t < 8 && n < 250; t++)
					if (s->plan[job][p].u[u].staged & 1 << t)
						out[n++] = MOVE(ENV_LIFECYCLE, job << 9 | p << 5 | u << 3 | t);
	for (int key = 0; key < 2; key++) out[n++] = MOVE(ENV_FOREIGN, key);
	out[n++] = MOVE(ENV_CLEAN, 0);
	out[n++] = MOVE(ENV_LAND, 0);
	return n;
}

static void move_print(const struct state *s, uint16_t move)
{
	static const char *const faults[] = {"", " [took effect, answer lost]", " [no effect, answer lost]",
	                                     " [sent, still under way]"};
	static const char *const kinds[] = {"run", "rewind", "rewrite"};
	int type = MOVE_TYPE(move), arg = MOVE_ARG(move);

	switch (type) {
	case ENV_SOURCE:
		printf("  object %d of job %d %s\n", arg & 3, arg >> 3 & 1, arg & 4 ? "vanishes" : "arrives");
		return;
	case ENV_LIFECYCLE:
		printf("  a lifecycle rule removes staging %d of job %d plan %d unit %d\n", arg & 7, arg >> 9 & 1,
		       arg >> 5 & 15, arg >> 3 & 3);
		return;
	case ENV_FOREIGN: printf("  the foreign writer commits key %d\n", arg); return;
	case ENV_CLEAN: printf("  checkpoint, log cleaned\n"); return;
	case ENV_LAND: printf("  the put under way arrives\n"); return;
	default: break;
	}
	const struct actor *a = &s->a[type];
	if (arg >= MOVE_START) {
		uint8_t k = scene->kinds[type][arg - MOVE_START];
		printf("  #%d starts: %s, job %d, engine %d\n", type, kinds[KIND_OPERATION(k)], KIND_JOB(k), KIND_ENGINE(k));
	} else if (arg == MOVE_DEATH) {
		printf("  #%d dies\n", type);
	} else {
		printf("  #%d job %d: %s (plan %d of job %d, unit %d, log %d)%s\n", type, KIND_JOB(a->kind), pc_names[a->pc],
		       a->n ? a->n : a->m, a->n ? a->job : KIND_JOB(a->kind), a->u, a->lv, faults[arg]);
	}
}

static void state_print(const struct state *s)
{
	printf("  log:");
	for (int i = 0; i < s->nlog; i++)
		printf(" %s%d.%d",
		       s->log[i].type == VER_RUN       ? "run "
		       : s->log[i].type == VER_FOREIGN ? "foreign "
		                                       : "rewrite ",
		       s->log[i].job, s->log[i].n);
	printf("; claims:");
	for (int i = 0; i < s->nclaim; i++) printf(" %d.%d", s->claim[i] >> 4, s->claim[i] & 15);
	printf("\n");
	for (int j = 0; j < JOBS; j++)
		for (int n = 1; n <= MAX_PLAN; n++) {
			const struct plan *p = &s->plan[j][n];
			if (!p->kind) continue;
			printf("  plan %d.%d %s parent %d V %d engine %d inputs %d%s:", j, n,
			       p->kind == PLAN_WORK  ? "work"
			       : p->kind == PLAN_END ? "end"
			                             : "rewind",
			       p->parent, p->v, p->engine, p->inputs, p->closed ? " closed" : "");
			for (int u = 0; u < OBJECTS; u++)
				printf(" [manifest %d rows %d, staged %x, file %s rows %d]", p->u[u].man & 7, p->u[u].man >> 3 & 3,
				       p->u[u].staged, p->u[u].pub & PUB_EXISTS ? "yes" : "no", p->u[u].pub & 3);
			printf("\n");
		}
}

/* ---- Alone ---- */

static void caps(bool solo)
{
	cap_plan = solo ? MAX_PLAN : scene->plans;
	cap_log = solo ? MAX_LOG : scene->versions;
	cap_claim = solo ? MAX_CLAIM : scene->claims;
}

/* Actor I goes on, without faults and with nobody else about, until it is done. */
static void run_alone(struct state *s, int i, bool check, bool print)
{
	enum moved moved = MOVED;
	int steps = 0;

	caps(true);
	while (s->a[i].pc != IDLE && !violation && moved == MOVED && steps++ < SOLO_STEPS) {
		if (print) move_print(s, MOVE(i, 0));
		moved = model_step(s, i, FAULT_NONE);
		model_normalise(s);
		if (check) model_check(s);
	}
	caps(false);
	if (!violation && s->a[i].pc != IDLE) violation = "a runner without faults does not finish";
}

/* Everybody is dead; a runner of each job comes, with this engine where it has the choice. */
static void rest(struct state *s, int engine, bool print)
{
	memset(s->a, 0, sizeof s->a);
	memset(&s->flight, 0, sizeof s->flight);
	model_normalise(s);
	for (int round = 0; round < 3; round++) {
		int job = round & 1;
		if (round && !scene->keys[1][0]) break;
		if (print) printf("  - everybody is dead; a runner of job %d, engine %d, comes\n", job, engine);
		s->a[0] = (struct actor){.pc = START, .kind = KIND(job, engine, DO_RUN)};
		run_alone(s, 0, true, print);
		if (!violation) model_check_claim(s);
		if (violation) return;
	}
	model_check_quiet(s);
}

static bool two_engines(void)
{
	for (int i = 0; i < ACTORS; i++)
		for (int k = 0; k < 6; k++)
			if (scene->kinds[i][k] && KIND_ENGINE(scene->kinds[i][k])) return true;
	return false;
}

/* 0 if all is well; otherwise which of the solo runs broke: 1 + engine, or 8 + actor; or 32: the state itself. */
static int check_state(const struct state *s, struct set *rested, uint64_t *solos)
{
	struct state copy = *s;
	bool fresh;

	model_check(s);
	if (violation) return 32;
	memset(copy.a, 0, sizeof copy.a);
	memset(&copy.flight, 0, sizeof copy.flight);
	model_normalise(&copy);
	set_find(rested, &copy, true, &fresh);
	for (int engine = 0; fresh && engine <= (two_engines() ? 1 : 0); engine++) {
		struct state solo = copy;
		++*solos;
		rest(&solo, engine, false);
		if (violation) return 1 + engine;
	}
	for (int i = 0; i < ACTORS; i++) {
		if (s->a[i].pc == IDLE) continue;
		copy = *s;
		++*solos;
		run_alone(&copy, i, false, false);
		if (violation) return 8 + i;
	}
	return 0;
}

/* ---- The search ---- */

struct search {
	struct set seen, rested;
	uint64_t steps, cuts, solos;
	uint32_t depth;
	bool full;
};

static void print_path(const struct set *set, uint32_t id)
{
	uint32_t path[4096], n = 0;
	struct state s;

	for (; id; id = set->parent[id]) path[n++] = id;
	while (n--) {
		set_get(set, set->parent[path[n]], &s);
		move_print(&s, set->move[path[n]]);
	}
}

static void report(struct search *x, uint32_t parent, uint16_t move, const struct state *s, int how)
{
	const char *what = violation;
	struct state copy = *s, before;

	printf("violation: %s\n", what);
	print_path(&x->seen, parent);
	set_get(&x->seen, parent, &before);
	move_print(&before, move);
	violation = NULL;
	if (how >= 1 && how <= 2) {
		rest(&copy, how - 1, true);
	} else if (how >= 8 && how < 32) {
		printf("  - actor %d goes on alone\n", how - 8);
		run_alone(&copy, how - 8, false, true);
	}
	state_print(&copy);
	violation = what;
}

static void search_run(struct search *x, uint32_t most, bool verbose)
{
	struct state s, next;
	uint16_t list[256];
	uint32_t level = 1;
	bool fresh;

	set_init(&x->seen, most);
	set_init(&x->rested, most / 2 + 1);
	caps(false);
	model_initial(&s);
	set_find(&x->seen, &s, true, &fresh);
	for (uint32_t id = 0; id < x->seen.count && !violation; id++) {
		int n;
		if (id == level) {
			level = x->seen.count;
			x->depth++;
		}
		set_get(&x->seen, id, &s);
		n = moves(&s, list);
		for (int i = 0; i < n && !violation; i++) {
			enum moved moved;
			uint32_t to;
			int how;
			next = s;
			moved = move_make(&next, list[i]);
			x->cuts += moved == MOVED_CUT;
			if (moved != MOVED) continue;
			x->steps++;
			to = set_find(&x->seen, &next, true, &fresh);
			if (to == FULL) {
				x->full = true;
				return;
			}
			if (!fresh && !violation) continue;
			x->seen.parent[to] = id;
			x->seen.move[to] = list[i];
			how = violation ? 32 : check_state(&next, &x->rested, &x->solos);
			if (how && verbose) report(x, id, list[i], &next, how);
		}
	}
}

/* A cycle of fault-free steps: a schedule in which somebody works for ever and nothing comes of it. */
static void search_cycles(struct search *x, bool verbose)
{
	struct set *set = &x->seen;
	uint8_t *colour = need(calloc(set->count, 1)); /* 0 unseen, 1 + next actor to try while open, 9 done */
	uint32_t *stack = need(malloc((uint64_t)set->count * sizeof *stack));

	for (uint32_t root = 0; root < set->count && !violation; root++) {
		uint32_t depth = 0;
		if (colour[root]) continue;
		stack[depth++] = root;
		colour[root] = 1;
		while (depth && !violation) {
			uint32_t id = stack[depth - 1], to;
			struct state s;
			int i = colour[id] - 1;
			bool fresh;
			if (i == ACTORS) {
				colour[id] = 9;
				depth--;
				continue;
			}
			colour[id]++;
			set_get(set, id, &s);
			if (s.a[i].pc == IDLE || move_make(&s, MOVE(i, FAULT_NONE)) != MOVED) continue;
			to = set_find(set, &s, false, &fresh);
			if (to == FULL || colour[to] == 9) continue;
			if (colour[to]) {
				violation = "a cycle of fault-free steps";
				if (verbose) print_path(set, to);
				for (uint32_t d = depth; verbose && d-- > 0;) {
					set_get(set, stack[d], &s);
					printf("  cycle, backwards:");
					move_print(&s, MOVE(colour[stack[d]] - 2, 0));
					if (stack[d] == to) break;
				}
				break;
			}
			colour[to] = 1;
			stack[depth++] = to;
		}
	}
	free(colour);
	free(stack);
}

/* Random walks: deeper and with more actors than the search can follow. */
static uint64_t random_next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static uint64_t walk(uint32_t walks, uint64_t seed, bool verbose)
{
	uint64_t steps = 0, solos = 0;
	struct set rested;
	uint16_t list[256], made[400];

	set_init(&rested, 3000000);
	for (uint32_t w = 0; w < walks && !violation; w++) {
		uint64_t rng = (seed + w) * 0x9e3779b97f4a7c15u + 1;
		struct state s, next;
		int n, length = 0, how = 0;
		model_initial(&s);
		caps(false);
		while (length < 400 && !violation) {
			int tries = 0;
			enum moved moved = MOVED_NO;
			n = moves(&s, list);
			while (moved != MOVED && tries++ < 64) {
				uint16_t m = list[random_next(&rng) % (uint64_t)n];
				/* faults and deaths one time in four of those drawn, so that walks come far */
				if (MOVE_TYPE(m) < ACTORS && MOVE_ARG(m) && MOVE_ARG(m) < MOVE_START && random_next(&rng) % 4)
					m = MOVE(MOVE_TYPE(m), 0);
				next = s;
				moved = move_make(&next, m);
				made[length] = m;
			}
			if (moved != MOVED) break;
			s = next;
			length++;
			steps++;
			how = violation ? 32 : check_state(&s, &rested, &solos);
		}
		if (violation && verbose) {
			const char *what = violation;
			printf("violation: %s (walk %u of seed %" PRIu64 ")\n", what, w, seed);
			model_initial(&s);
			violation = NULL;
			for (int i = 0; i < length; i++) {
				move_print(&s, made[i]);
				move_make(&s, made[i]);
			}
			violation = NULL;
			if (how == 1 || how == 2)
				rest(&s, how - 1, true);
			else if (how >= 8 && how < 32)
				run_alone(&s, how - 8, false, true);
			state_print(&s);
			violation = what;
		}
	}
	set_free(&rested);
	return steps;
}

static int usage(void)
{
	fputs("usage: explore [-D RULE]... [-l] [-v] [-n STATES] [-w WALKS [-s SEED]] SCENARIO\n"
	      "       explore -L    list scenarios and rules\n",
	      stderr);
	return 2;
}

static const char *const rule_names[] = {
#define X(id, name, what) name,
    RULES(X)
#undef X
};
static const char *const rule_words[] = {
#define X(id, name, what) what,
    RULES(X)
#undef X
};

static int list_all(void)
{
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
		printf("scenario\t%s\t%s\t%s\n", scenarios[i].name, scenarios[i].quick ? "quick" : "long", scenarios[i].what);
	for (int i = 0; i < RULE_COUNT; i++) printf("rule\t%s\t%s\n", rule_names[i], rule_words[i]);
	return 0;
}

static bool switch_off(const char *name)
{
	for (int i = 0; i < RULE_COUNT; i++)
		if (!strcmp(rule_names[i], name)) return off[i] = true;
	return false;
}

static bool choose(const char *name)
{
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
		if (!strcmp(scenarios[i].name, name)) scene = &scenarios[i];
	return scene;
}

int main(int argc, char **argv)
{
	struct search x = {0};
	bool verbose = false, cycles = false;
	uint32_t most = 6000000, walks = 0;
	uint64_t seed = 1, steps;

	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
		if (!strcmp(arg, "-L")) return list_all();
		if (!strcmp(arg, "-v"))
			verbose = true;
		else if (!strcmp(arg, "-l"))
			cycles = true;
		else if (!strcmp(arg, "-D") && value && switch_off(value))
			i++;
		else if (!strcmp(arg, "-n") && value)
			most = (uint32_t)strtoul(argv[++i], NULL, 10);
		else if (!strcmp(arg, "-w") && value)
			walks = (uint32_t)strtoul(argv[++i], NULL, 10);
		else if (!strcmp(arg, "-s") && value)
			seed = strtoull(argv[++i], NULL, 10);
		else if (scene || !choose(arg))
			return usage();
	}
	if (!scene || !most) return usage();
	if (walks) {
		steps = walk(walks, seed, verbose);
		printf("%s\twalks %u\tsteps %" PRIu64 "\t%s\n", scene->name, walks, steps, violation ? violation : "ok");
		return violation != NULL;
	}
	search_run(&x, most, verbose);
	if (!violation && cycles) search_cycles(&x, verbose);
	printf("%s\tstates %u\tsteps %" PRIu64 "\tdepth %u\tsolo %" PRIu64 "\tcut %" PRIu64 "\t%s\n", scene->name,
	       x.seen.count, x.steps, x.depth, x.solos, x.cuts,
	       violation ? violation
	       : x.full  ? "ok so far, INCOMPLETE"
	                 : "ok");
	set_free(&x.seen);
	set_free(&x.rested);
	return violation != NULL;
}
