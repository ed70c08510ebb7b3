/*
 * The model of the run protocol: what is in the store, who is at work, and what may happen next.
 *
 * The store is a handful of small numbers: two keys, up to three source objects per job, two jobs. An object is one
 * unit, a unit writes at most one file, a file is the set of keys in it. Every access to the store is one step; between
 * two steps anybody else may act, for as long as he likes. protocol.c holds the steps, explore.c the search.
 */
#ifndef GRISTMILL_MODEL_H
#define GRISTMILL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

enum { JOBS = 2, OBJECTS = 3, MAX_PLAN = 15, MAX_LOG = 24, MAX_CLAIM = 24, ACTORS = 3 };

/* A unit of a plan: its manifest (token, rows, engine; 0 is none), the stagings that exist, the published file. */
struct unit {
	uint8_t man;
	uint8_t staged;
	uint8_t pub;
};

#define MAN(token, rows, engine) ((uint8_t)((token) | (rows) << 3 | (engine) << 5))
#define MAN_TOKEN(m)             ((m)&7)
#define MAN_ROWS(m)              ((m) >> 3 & 3)
#define MAN_CONTENT(m)           ((m) >> 3 & 7) /* rows and engine: the bytes of the file */
enum { PUB_EXISTS = 8, PUB_GONE = 16 };         /* beside the content; GONE: a rewrite has deleted it */

enum plan_kind { PLAN_NONE, PLAN_WORK, PLAN_END, PLAN_REWIND };

struct plan {
	uint8_t kind, parent, v, engine, inputs, closed, runs, bookmark;
	struct unit u[OBJECTS];
};

enum version_type { VER_NONE, VER_RUN, VER_FOREIGN, VER_REWRITE };

struct version { /* rows: two bits per unit, or the keys of the foreign or rewritten file */
	uint8_t type, job, n, rows;
};

enum op_type { OP_NONE, OP_PLAN, OP_MANIFEST, OP_CLAIM, OP_PUBLISH, OP_RUNS, OP_COMMIT, OP_CLOSED, OP_BOOKMARK };

struct op { /* a put-if-absent, as it travels */
	uint8_t type, job, n, u, x[5];
};

enum pc {
	IDLE,
	START,
	P_CLAIMED,
	P_LIST,
	P_PUT,
	W_UNIT,
	W_PUT,
	W_BACK,
	C_READ,
	C_PUT,
	F_LOG,
	X_PUBLISH,
	X_LOOK,
	X_LOG,
	X_RUNS,
	K_LOG,
	K_PUT,
	A_BOOKMARK,
	A_CLEAN,
	E_LOG,
	E_LIST,
	E_PUT,
	E_COMMIT,
	E_SETTLE,
	L_STAGED,
	L_PUBLISHED,
	L_PUT,
	S_SWEEP,
	Z_LIST,
	Z_PUT,
	Z_COMMIT,
	Z_SETTLE,
	M_PUBLISH,
	M_COMMIT,
	M_SETTLE,
	M_STAGED,
	M_DELETE,
	PCS
};

enum context { CTX_OWN, CTX_FIRST, CTX_CLAIM, CTX_SWEEP };

struct actor {
	uint8_t pc, kind;    /* kind: what it does, see KIND */
	uint8_t lv;          /* the log in hand: how many versions of it */
	uint8_t own;         /* the plan it works on for itself */
	uint8_t job, n, ctx; /* the plan in focus, and why */
	uint8_t m, u, k;     /* number to put, unit at hand, claim to put */
	uint8_t token;       /* staging that it made and that no manifest names yet */
	uint8_t inputs;
	uint8_t man[OBJECTS]; /* the manifests as it has read them */
};

enum operation { DO_RUN, DO_REWIND, DO_REWRITE };
#define KIND(job, engine, operation) ((uint8_t)(1 + (job) + 2 * (engine) + 4 * (operation)))
#define KIND_JOB(k)                  (((k)-1) & 1)
#define KIND_ENGINE(k)               (((k)-1) >> 1 & 1)
#define KIND_OPERATION(k)            (((k)-1) >> 2)

struct state {
	struct plan plan[JOBS][MAX_PLAN + 1];
	struct version log[MAX_LOG];
	uint8_t claim[MAX_CLAIM]; /* job << 4 | plan */
	uint8_t nlog, nclaim;
	uint8_t present[JOBS];
	uint8_t cleaned;            /* versions below this one lie only in a checkpoint */
	uint8_t rewritten, foreign; /* the file of the rewrite, of the foreign writer: exists */
	uint8_t lifecycle, foreigners, rewinds, rewrites, vanished, zombies; /* budgets used */
	struct op flight;                                                    /* a put whose sender no longer waits for it */
	struct actor a[ACTORS];
};

struct scenario {
	const char *name, *what;
	uint8_t kinds[ACTORS][6]; /* what each actor may be, ended by 0 */
	uint8_t keys[JOBS][OBJECTS];
	uint8_t present[JOBS], arrives[JOBS], vanishes[JOBS];
	uint8_t per_plan; /* objects a plan takes at most */
	bool s3;          /* publishing consumes the staging */
	uint8_t lifecycle, foreigners, foreign_keys, rewinds, rewrites, clean, zombies;
	uint8_t plans, versions, claims; /* the search goes no further than these */
	bool quick;
};

/* A rule switched off. */
#define RULES(X)                                                                                           \
	X(NO_CLAIM, "no-claim", "publish without a claim")                                                     \
	X(STEAL, "steal-claim", "claim though the last claimed plan is neither committed nor closed")          \
	X(NO_REREAD, "no-reread-after-claim", "publish on the log read before the claim")                      \
	X(NOT_FIRST, "claimed-plan-not-first", "do not finish the claimed plan before planning")               \
	X(NO_PARENT, "no-parent-check", "commit though txn is no longer the parent")                           \
	X(END_NO_PARENT, "end-no-parent-check", "commit an ending plan though txn is no longer the parent")    \
	X(NO_CONFLICT, "no-conflict-check", "commit whatever came after V")                                    \
	X(REWRITE_OK, "rewrite-no-conflict", "a removed file of snapshot V is no conflict")                    \
	X(UNREADABLE, "unreadable-snapshot", "dedupe against what is left of snapshot V")                      \
	X(DEAD_PARENT, "dead-is-parent-not-txn", "take a plan for dead when its parent is not txn")            \
	X(DEAD_FIRST, "dead-asked-first", "ask `parent behind txn' before `committed'")                        \
	X(SUBTRACT_ALL, "subtract-all-plans", "subtract the inputs of every plan, committed or not")           \
	X(BOOKMARK_EARLY, "bookmark-uncommitted", "write the bookmark before the commit and believe any")      \
	X(ANY_ENGINE, "resume-any-engine", "resume another engine's plan")                                     \
	X(REPLAN, "replan-not-end", "plan anew with the same parent, without ending")                          \
	X(CLOSE_LIVE, "close-not-end", "close a plan that cannot be finished, without ending it")              \
	X(STUCK, "no-end-on-missing", "retry for ever when a staging is gone")                                 \
	X(NO_LOOK, "no-second-look", "staging gone: end at once, do not look for the file")                    \
	X(PUBLISHED_FIRST, "close-published-first", "close: delete the published files, then the staged ones") \
	X(CLOSED_FIRST, "closed-first", "close: put .closed, then delete")                                     \
	X(NO_SWEEP, "no-sweep", "runs do not close dead plans")                                                \
	X(OWN_STAGING, "publish-own-staging", "publish what we staged though the manifest names another")      \
	X(MANIFEST_GONE, "remove-manifests", "remove manifests after commit and close")                        \
	X(RESTAGE, "restage", "stage a unit that has a manifest")                                              \
	X(KEEP_STAGED, "rewrite-keeps-staged", "a rewrite deletes files before the stagings")                  \
	X(GIVE_UP, "rewrite-gives-up",                                                                         \
	  "a rewrite drops its file when its commit is not in the log, though it may still arrive")            \
	X(TRUST_PUT, "trust-commit-put", "believe the answer to the commit without reading again")             \
	X(OVER_PLAN, "overwrite-plan", "a plan's put overwrites")                                              \
	X(OVER_MANIFEST, "overwrite-manifest", "a manifest's put overwrites")                                  \
	X(OVER_CLAIM, "overwrite-claim", "a claim's put overwrites")                                           \
	X(OVER_PUBLISH, "overwrite-file", "publishing overwrites")                                             \
	X(OVER_COMMIT, "overwrite-commit", "a version's put overwrites")

enum rule {
#define X(id, name, what) RULE_##id,
	RULES(X)
#undef X
	    RULE_COUNT
};

extern bool off[RULE_COUNT]; /* rules that are switched off */
extern const struct scenario *scene;
extern uint8_t cap_plan, cap_log, cap_claim;
extern const char *violation; /* the first property broken, or NULL */
extern const char *const pc_names[PCS];

enum fault { FAULT_NONE, FAULT_APPLIED_LOST, FAULT_LOST, FAULT_LATE, FAULTS };
enum moved { MOVED_NO, MOVED, MOVED_CUT };

/* What the first V versions of the log tell. */
enum verdict { ALIVE, COMMITTED, DEAD };
enum verdict model_verdict(const struct state *s, uint8_t v, uint8_t job, uint8_t n);
int model_last_rewrite(const struct state *s, uint8_t v);
uint8_t model_unit_rows(uint8_t rows, int u);
uint8_t model_table_keys(const struct state *s, uint8_t v);
uint8_t model_processed(const struct state *s, uint8_t v, uint8_t job, uint8_t up_to);
bool model_claim_open(const struct state *s, uint8_t lv, uint8_t *job, uint8_t *n);

/* A property is broken; the first one counts. */
void model_broken(const char *what);

/* One step of an actor. FAULT other than NONE is possible at a put alone. */
enum moved model_step(struct state *s, int actor, enum fault fault);
/* The put in flight arrives. */
bool model_land(struct state *s);
/* The foreign writer commits KEY. */
bool model_foreign(struct state *s, uint8_t key);
/* Forget what nobody can ever find again, so that equal states look equal. */
void model_normalise(struct state *s);
/* What must hold at any time; sets `violation'. */
void model_check(const struct state *s);
/* What must hold when a run, of whichever job, has ended without faults and alone. */
void model_check_claim(const struct state *s);
/* What must hold when every job has run to its end. */
void model_check_quiet(const struct state *s);
void model_initial(struct state *s);

#endif
