/* main.c - plays schedules of consecutive seeds, counts, and stops at the first that violates something. */
#include "sim/sim.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: sim [--schedules N] [--seed S] [--seconds T] [--lie NAME] [--go-on] [-v]\n"
    "       sim --lies\n"
    "Plays N schedules (1) with the seeds S, S + 1, ... (1), or as many as T seconds allow, and checks each. Exit "
    "status 1:\n"
    "one of them violates something; it is told, with its seed. `sim --seed S -v` plays it again and shows every "
    "step.\n"
    "Every hundredth schedule is played twice and must come out the same.\n"
    "--go-on: do not stop at the first violation.\n"
    "--lie NAME: the store lies, and a violation must be found; the exit status is then 1 if none is. --lies prints "
    "the\n"
    "names, which are\n";

struct request {
	uint64_t seed, schedules;
	double seconds; /* 0: no limit */
	enum sim_lie lie;
	bool verbose, go_on;
};

static const char *const lie_names[] = {
#define X(name, word, text) word,
    SIM_LIES(X)
#undef X
};
enum { LIES = sizeof lie_names / sizeof lie_names[0] };

static void explain(FILE *to)
{
	(void)fputs(usage, to);
#define X(name, word, text) (void)fprintf(to, "    %-20s %s\n", word, text);
	SIM_LIES(X)
#undef X
}

static bool parse_lie(const char *word, enum sim_lie *lie)
{
	for (unsigned i = 0; i < LIES; i++) {
		if (strcmp(word, lie_names[i]) != 0) continue;
		*lie = (enum sim_lie)i;
		return true;
	}
	return false;
}

static bool parse(int argc, char **argv, struct request *request)
{
	*request = (struct request){.seed = 1, .schedules = 1};
	for (int i = 1; i < argc; i++) {
		const char *flag = argv[i], *value = argv[i + 1];
		if (strcmp(flag, "-v") == 0) {
			request->verbose = true;
			continue;
		}
		if (strcmp(flag, "--go-on") == 0) {
			request->go_on = true;
			continue;
		}
		if (strcmp(flag, "--lies") == 0) {
			for (unsigned lie = 1; lie < LIES; lie++) (void)puts(lie_names[lie]);
			exit(0);
		}
		if (value == NULL) return false;
		i++;
		if (strcmp(flag, "--seed") == 0)
			request->seed = strtoull(value, NULL, 10);
		else if (strcmp(flag, "--schedules") == 0)
			request->schedules = strtoull(value, NULL, 10);
		else if (strcmp(flag, "--seconds") == 0)
			request->seconds = strtod(value, NULL), request->schedules = UINT64_MAX;
		else if (strcmp(flag, "--lie") != 0 || !parse_lie(value, &request->lie))
			return false;
	}
	return true;
}

/* --- Playing ------------------------------------------------------------------------------------------------------ */

static uint64_t seed_in_hand; /* for the handler below */

static void tell_seed(int signal_number)
{
	char text[64];
	int n = snprintf(text, sizeof text, "sim: signal %d, seed %llu\n", signal_number, (unsigned long long)seed_in_hand);
	if (write(STDERR_FILENO, text, (size_t)n) < 0) _exit(3);
	(void)signal(signal_number, SIG_DFL);
	(void)raise(signal_number);
}

static bool play(struct sim *sim, const struct request *request, uint64_t seed, bool verbose)
{
	seed_in_hand = seed;
	memset(sim, 0, sizeof *sim);
	sim->seed = seed;
	sim->lie = request->lie;
	sim->verbose = verbose;
	return sim_play(sim);
}

static void add(struct sim_counts *total, const struct sim_counts *more)
{
	uint64_t *to = (uint64_t *)total;
	const uint64_t *from = (const uint64_t *)more;
	for (size_t i = 0; i < sizeof *total / sizeof *to; i++) to[i] += from[i];
}

static double now(void)
{
	struct timespec time;
	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

#define N(field) ((unsigned long long)total->field)
static void tell(const struct sim_counts *total, double seconds)
{
	(void)printf(
	    "%llu schedules: %llu runs, %llu steps, %llu crashes, %llu failed calls, %llu lost answers, %llu late and "
	    "%llu repeated calls, %llu stale wake-ups, %llu commits, %llu dead plans, %llu checkpoints, %llu versions "
	    "cleaned away, %llu commits below "
	    "history; %.0f s\n",
	    N(schedules), N(runs), N(steps), N(crashes), N(failures), N(lost), N(late), N(repeated), N(stale), N(commits),
	    N(dead_plans), N(checkpoints), N(cleaned), N(ghosts), seconds);
	(void)fflush(stdout);
}

/* Plays the seed; false: a violation, or not the same twice. */
static bool check_seed(struct sim *sim, const struct request *request, uint64_t seed, bool twice)
{
	bool good = play(sim, request, seed, request->verbose);
	uint64_t trace = sim->trace;
	if (!good) {
		(void)printf("seed %llu: %s\n", (unsigned long long)seed, sim->violation);
		return false;
	}
	if (!twice) return true;
	(void)play(sim, request, seed, false);
	if (sim->trace == trace) return true;
	(void)printf("seed %llu: played twice, it came out differently\n", (unsigned long long)seed);
	return false;
}

int main(int argc, char **argv)
{
	struct request request;
	struct sim_counts total = {0};
	if (!parse(argc, argv, &request)) {
		explain(stderr);
		return 2;
	}
	struct sim *sim = malloc(sizeof *sim);
	if (sim == NULL) abort();
	static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE};
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) (void)signal(signals[i], tell_seed);
	double start = now();
	bool good = true;
	for (uint64_t i = 0; (good || request.go_on) && i < request.schedules; i++) {
		if (request.seconds > 0 && now() - start > request.seconds) break;
		good &= check_seed(sim, &request, request.seed + i, i % 100 == 0);
		add(&total, &sim->counts);
		if (total.schedules % 1000 == 0) tell(&total, now() - start);
	}
	tell(&total, now() - start);
	free(sim);
	return request.lie == SIM_LIE_NONE ? !good : good;
}
