/* listing_bench.c - what it costs to find out what is new: listing a directory, its bookmark, and a plan made of both.
 *
 *     listing_bench [-d FOLDER] OBJECTS ...
 *
 * For each number of objects a source in Firehose layout, twelve files an hour, is made below FOLDER ($TMPDIR or /tmp)
 * and removed again. Each step runs in a process of its own: CPU seconds, and the peak of its memory. */
#include "run/plan.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { AN_HOUR = 12, PATH_BYTES = 4096, PLAN_OBJECTS = 5000 };
static const time_t first_hour = 1704067200; /* 2024 */

static char folder[PATH_BYTES]; /* of a size, with source/ and table/ in it */
static struct gm_error err;

static void die(const char *what)
{
	(void)fprintf(stderr, "listing_bench: %s\n", what);
	exit(1);
}

static void must(enum gm_code rc)
{
	if (rc != GM_OK) die(err.message);
}

static double cpu_seconds(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint64_t draw(void)
{
	static uint64_t state = UINT64_C(88172645463325252);
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* --- The source --------------------------------------------------------------------------------------------------- */

/* Makes the folder of the hour, and those above it; the descriptor of it. */
static int open_hour(time_t hour)
{
	static const char *const formats[] = {"/source/%Y", "/source/%Y/%m", "/source/%Y/%m/%d", "/source/%Y/%m/%d/%H"};
	char below[64], path[PATH_BYTES + 64];
	struct tm tm;
	(void)gmtime_r(&hour, &tm);
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
		(void)strftime(below, sizeof below, formats[i], &tm);
		(void)snprintf(path, sizeof path, "%s%s", folder, below);
		(void)mkdir(path, 0777);
	}
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) die("cannot make the source");
	return fd;
}

/* A file of no blocks, with a size and a time as objects have them. */
static void make_object(int hour, time_t at)
{
	char time[64], name[256];
	struct tm tm;
	uint64_t a = draw(), b = draw();
	(void)gmtime_r(&at, &tm);
	(void)strftime(time, sizeof time, "%Y-%m-%d-%H-%M-%S", &tm);
	(void)snprintf(name, sizeof name, "stream-1-%s-%08x-%04x-4%03x-a%03x-%012llx.gz", time, (unsigned)a,
	               (unsigned)(a >> 32) & 0xffffU, (unsigned)(a >> 48) & 0xfffU, (unsigned)(b >> 48) & 0xfffU,
	               (unsigned long long)(b & 0xffffffffffffU));
	int fd = openat(hour, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	const struct timespec times[2] = {{at, 0}, {at + 300 + (time_t)(draw() % 20), (long)(draw() % 1000000) * 1000}};
	if (fd < 0 || ftruncate(fd, (off_t)(30000000 + draw() % 30000000)) != 0 || futimens(fd, times) != 0)
		die("cannot make an object");
	(void)close(fd);
}

static void make_source(uint64_t objects)
{
	char path[PATH_BYTES + 16];
	int hour = -1;
	(void)snprintf(path, sizeof path, "%s/source", folder);
	if (mkdir(folder, 0777) != 0 || mkdir(path, 0777) != 0) die("cannot make the folder");
	for (uint64_t i = 0; i < objects; i++) {
		time_t at = first_hour + (time_t)(i * (3600 / AN_HOUR));
		if (i % AN_HOUR == 0) {
			if (hour >= 0) (void)close(hour);
			hour = open_hour(at);
		}
		make_object(hour, at);
	}
	(void)close(hour);
}

static struct gm_store *open_store(const char *name)
{
	struct gm_store *store;
	char path[PATH_BYTES + 16];
	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	must(gm_store_open_directory(path, true, &store, &err));
	return store;
}

/* --- Steps -------------------------------------------------------------------------------------------------------- */

struct cost {
	double seconds;
	uint64_t result;
	double peak_mib;
};
typedef uint64_t step(double *start); /* what is to be told; *start: when what is measured begins */

/* In a child, so that the peak is the step's own. */
static struct cost measure(step *run)
{
	int ends[2], status;
	struct rusage usage;
	struct cost cost;
	if (pipe(ends) != 0) die("cannot make a pipe");
	pid_t child = fork();
	if (child < 0) die("cannot fork");
	if (child == 0) {
		double start = cpu_seconds();
		cost.result = run(&start);
		cost.seconds = cpu_seconds() - start;
		_exit(write(ends[1], &cost, sizeof cost) == sizeof cost ? 0 : 1);
	}
	(void)close(ends[1]);
	bool told = read(ends[0], &cost, sizeof cost) == sizeof cost;
	(void)close(ends[0]);
	if (wait4(child, &status, 0, &usage) != child || status != 0 || !told) die("a step failed");
	cost.peak_mib = (double)usage.ru_maxrss / 1024;
	return cost;
}

static enum gm_code count_object(void *context, const struct gm_object_info *info, struct gm_error *error)
{
	(void)info;
	(void)error;
	++*(uint64_t *)context;
	return GM_OK;
}

static uint64_t list(double *start)
{
	uint64_t count = 0;
	struct gm_store *source = open_store("source");
	(void)start;
	must(gm_store_list(source, "", count_object, &count, &err));
	return count;
}

struct filling {
	struct gm_bookmark *bookmark;
	uint64_t objects, run;
};

static enum gm_code add_object(void *context, const struct gm_object_info *info, struct gm_error *error)
{
	struct filling *filling = context;
	if (filling->objects++ % PLAN_OBJECTS == 0) GM_TRY(gm_bookmark_run(filling->bookmark, ++filling->run, error));
	const struct gm_bookmark_entry entry = {
	    .key = info->key, .size = info->size, .mtime_us = info->mtime_us, .run = filling->run};
	return gm_bookmark_add(filling->bookmark, &entry, error);
}

/* Writes the first base file; told: its bytes. */
static uint64_t fill(double *start)
{
	struct gm_store *source = open_store("source"), *table = open_store("table");
	struct filling filling = {0};
	struct gm_arena arena;
	struct gm_object_info info;
	must(gm_bookmark_open(NULL, NULL, &filling.bookmark, &err));
	must(gm_store_list(source, "", add_object, &filling, &err));
	*start = cpu_seconds();
	must(gm_bookmark_write(filling.bookmark, table, "base", "work/", &err));
	gm_arena_init(&arena, 1024);
	must(gm_store_stat(table, "base", &info, &arena, &err));
	return info.size;
}

static struct gm_bookmark *open_base(void)
{
	struct gm_bookmark *bookmark;
	must(gm_bookmark_open(open_store("table"), "base", &bookmark, &err));
	return bookmark;
}

static enum gm_code count_entry(void *context, const struct gm_bookmark_entry *entry, struct gm_error *error)
{
	(void)entry;
	(void)error;
	++*(uint64_t *)context;
	return GM_OK;
}

static uint64_t read_base(double *start)
{
	uint64_t count = 0;
	(void)start;
	must(gm_bookmark_each(open_base(), count_entry, &count, &err));
	return count;
}

/* A plan's objects come after the base, and a new base is written. */
static uint64_t renew(double *start)
{
	struct gm_bookmark *bookmark = open_base();
	uint64_t run = gm_bookmark_base(bookmark) + 1;
	must(gm_bookmark_run(bookmark, run, &err));
	for (int i = 0; i < PLAN_OBJECTS; i++) {
		char key[64];
		(void)snprintf(key, sizeof key, "2024/01/01/%02d/late-%08d.gz", i % 24, i);
		const struct gm_bookmark_entry entry = {.key = key, .run = run};
		must(gm_bookmark_add(bookmark, &entry, &err));
	}
	*start = cpu_seconds();
	must(gm_bookmark_write(bookmark, open_store("table"), "renewed", "work/", &err));
	return 0;
}

static uint64_t plan(struct gm_bookmark *bookmark)
{
	struct gm_plan *made;
	struct gm_job job = {.id = "bench"};
	job.source.location = "source";
	job.source.plan_objects = PLAN_OBJECTS;
	job.source.plan_bytes = UINT64_C(1) << 50;
	job.table.name = job.table.comment = "";
	job.table.file_bytes = 128 << 20;
	const struct gm_plan_request request = {
	    .job = &job, .source = open_store("source"), .bookmark = bookmark, .engine = "bench", .now_us = 1};
	must(gm_plan_make(&request, &made, &err));
	return made != NULL ? made->input_count : 0;
}

static uint64_t plan_nothing(double *start)
{
	(void)start;
	return plan(open_base());
}

static uint64_t plan_first(double *start)
{
	struct gm_bookmark *bookmark;
	(void)start;
	must(gm_bookmark_open(NULL, NULL, &bookmark, &err));
	return plan(bookmark);
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */

static void bench(uint64_t objects)
{
	char command[PATH_BYTES + 32];
	make_source(objects);
	(void)measure(list); /* so that the kernel knows the names */
	const struct cost listed = measure(list), filled = measure(fill), read = measure(read_base),
	                  renewed = measure(renew), nothing = measure(plan_nothing), first = measure(plan_first);
	if (listed.result != objects || read.result != objects || nothing.result != 0)
		die("something is not as it was made");
	(void)printf("| %9llu | %7.2f | %6.1f | %5.2f / %3.0f | %5.2f / %3.0f | %5.2f / %3.0f | %5.2f / %3.0f |\n",
	             (unsigned long long)objects, listed.seconds, (double)filled.result / (double)objects, read.seconds,
	             read.peak_mib, renewed.seconds, renewed.peak_mib, nothing.seconds, nothing.peak_mib, first.seconds,
	             first.peak_mib);
	(void)fflush(stdout);
	(void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
	if (system(command) != 0) die("cannot remove the folder");
}

int main(int argc, char **argv)
{
	const char *base = getenv("TMPDIR");
	int option;
	if (base == NULL || base[0] == '\0') base = "/tmp";
	while ((option = getopt(argc, argv, "d:")) != -1) {
		if (option != 'd') die("usage: listing_bench [-d FOLDER] OBJECTS ...");
		base = optarg;
	}
	if (optind == argc) die("usage: listing_bench [-d FOLDER] OBJECTS ...");
	(void)printf("|           | listing | bytes an | reading it  | renewing it | nothing new | all is new  |\n"
	             "|   objects |   CPU s |   object | CPU s / MiB | CPU s / MiB | CPU s / MiB | CPU s / MiB |\n"
	             "|----------:|--------:|---------:|------------:|------------:|------------:|------------:|\n");
	for (int i = optind; i < argc; i++) {
		if (snprintf(folder, sizeof folder, "%s/listing-bench-%ld", base, (long)getpid()) >= (int)sizeof folder)
			die("the folder's path is too long");
		bench(strtoull(argv[i], NULL, 10));
	}
	return 0;
}
