/* main.c - the table of commands, and the way to them. */
#include "cli/cli.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct gm_cli_command gm_cli_commands[] = {
    {.name = "run",
     .operand = "JOB",
     .brief = "turn the source's new objects into table files",
     .text =
         "Reads every object of the job's source, writes its records to the table, and prints the balance: "
         "records read = written + duplicates + filtered + quarantined. Nothing becomes visible before all of it is "
         "written and the books balance.",
     .flags = gm_cli_run_flags,
     .flag_count = GM_CLI_RUN_FLAGS,
     .main = gm_cli_run},
    {.name = "watch",
     .operand = "JOB",
     .brief = "run the job whenever something is new",
     .text =
         "Runs the job at once, and again when a queue or the source's directory tells of new objects, or when "
         "--every is over; until it is stopped by SIGTERM or SIGINT. What is told only wakes it: each run lists the "
         "source. A run that fails is tried again, ever more slowly. docs/watch.md explains the queue, metrics and "
         "health. The exit status is 0 when it was stopped.",
     .flags = gm_cli_watch_flags,
     .flag_count = GM_CLI_WATCH_FLAGS,
     .main = gm_cli_watch},
    {.name = "check",
     .operand = "JOB",
     .brief = "validate a job file and print what it means",
     .text =
         "Reads and checks a job file, and prints the resolved schema: every column with its type, where its values "
         "come from, and how its expression is evaluated. Touches neither source nor table.",
     .flags = gm_cli_check_flags,
     .flag_count = GM_CLI_CHECK_FLAGS,
     .main = gm_cli_check},
    {.name = "preview",
     .operand = "JOB",
     .brief = "show the first rows that a run would write",
     .text = "Reads as much of the source as the rows wanted need, and prints them. Writes nothing.",
     .flags = gm_cli_preview_flags,
     .flag_count = GM_CLI_PREVIEW_FLAGS,
     .main = gm_cli_preview},
    {.name = "plan",
     .operand = "JOB",
     .brief = "first step of a run that is spread over machines: plan it",
     .text = "Finds the unfinished plan that a run would take up, or makes one, and prints its number and units. Then "
             "'gristmill work' works each unit, on any machine that sees source and table, and 'gristmill commit' "
             "publishes all of it. A plain run does the three in one.",
     .flags = gm_cli_plan_flags,
     .flag_count = GM_CLI_PLAN_FLAGS,
     .main = gm_cli_plan},
    {.name = "work",
     .operand = "JOB",
     .brief = "second step: work one unit of a plan",
     .text =
         "Works one unit of a plan and leaves its files where nobody sees them yet. Duplicates are decided in plan "
         "order, so a unit needs the key lists of all units before it: either work the units one after the other, or "
         "first make all key lists with --keys and then write all units with --write, each in any order and on any "
         "number of machines. May be repeated; a unit that is done is told so.",
     .flags = gm_cli_work_flags,
     .flag_count = GM_CLI_WORK_FLAGS,
     .main = gm_cli_work},
    {.name = "commit",
     .operand = "JOB",
     .brief = "third step: publish and commit a plan that is worked",
     .text =
         "Checks that the books of all units balance and that the quarantine limit is held, publishes the files and "
         "commits them. A plan that is committed already, or dead because another was committed in its place, is "
         "told so and is no failure.",
     .flags = gm_cli_commit_flags,
     .flag_count = GM_CLI_COMMIT_FLAGS,
     .main = gm_cli_commit},
    {.name = "status",
     .operand = "JOB",
     .brief = "tell what is processed, what waits, and what stands in the way",
     .text = "Tells the table's version, the job's last commits, how many objects of the source are processed and how "
             "many are not, and every run that is not finished: whose it is, how far it has come, and what to do about "
             "it. Writes nothing.",
     .flags = gm_cli_status_flags,
     .flag_count = GM_CLI_STATUS_FLAGS,
     .main = gm_cli_status},
    {.name = "doctor",
     .operand = "JOB",
     .brief = "try what a run needs of source and table, and say what to mend",
     .text =
         "Tries, step by step, what a run of the job needs: whose credentials are used and where they come from, "
         "whether "
         "the source can be listed and read, whether the table can be listed, read and written, whether the store "
         "keeps put-if-absent, and whether abandoned uploads are swept. Each step that fails says what to do. Writes a "
         "few small objects below the table's _gristmill folder, and removes them. 'gristmill policy' prints what "
         "must be allowed.",
     .flags = gm_cli_doctor_flags,
     .flag_count = GM_CLI_DOCTOR_FLAGS,
     .main = gm_cli_doctor},
    {.name = "bookmark",
     .operand = "JOB",
     .brief = "show what is processed, or have some of it processed again",
     .text = "The bookmark of a job says which objects of its source are processed. It lies with the table; a run "
             "processes what is not in it.",
     .words = gm_cli_bookmark_words,
     .main = gm_cli_by_word},
    {.name = "quarantine",
     .operand = "JOB",
     .brief = "list, show and replay records that could not be used",
     .text =
         "What a run could not use is kept with its commit: the bytes, where they stood, and why. Once the job file "
         "is mended it can be replayed.",
     .words = gm_cli_quarantine_words,
     .main = gm_cli_by_word},
    {.name = "catalog",
     .operand = "JOB",
     .brief = "make the table known to those who query it",
     .text =
         "A catalog tells engines where the table lies, what columns it has and how its partitions are found. The "
         "job's section 'catalog' says which one. Each run leaves its entries as the table's log wants them; by hand "
         "they are made right, compared, and deleted. docs/catalog.md says what is whose in an entry.",
     .words = gm_cli_catalog_words,
     .main = gm_cli_by_word},
    {.name = "verify",
     .operand = "JOB|TABLE",
     .brief = "prove that the table is what its runs made",
     .text = "Proves that the log is whole, that the books of every committed run balance and are those that were "
             "committed, that every file is there, byte by byte what its run wrote, that no unique key occurs twice, "
             "that readers of the folders see nothing else, and that the source's processed objects are what they "
             "were. Prints a line for each finding; the exit status is 1 if one of them is a fault. Writes nothing. "
             "docs/verify.md explains the findings.",
     .flags = gm_cli_verify_flags,
     .flag_count = GM_CLI_VERIFY_FLAGS,
     .main = gm_cli_verify},
    {.name = "why",
     .operand = "JOB",
     .more = "KEY...",
     .brief = "tell where a unique key came from, which record won, and where its row is",
     .text =
         "Takes the values of the unique_by columns, in their order; times and dates as ISO 8601. Finds the rows by "
         "statistics, bloom filters and key columns; the arrivals in what each run kept of duplicates and rejected "
         "records, and in the objects of the units that wrote the rows. A key without a row is looked for in every "
         "object of the source. Writes nothing.",
     .flags = gm_cli_why_flags,
     .flag_count = GM_CLI_WHY_FLAGS,
     .main = gm_cli_why},
    {.name = "policy",
     .operand = "JOB",
     .brief = "print the least IAM policy with which the job can run",
     .text =
         "Prints a policy in AWS's syntax: what must be allowed, and on which bucket and prefix, for whoever runs the "
         "job. If source, table or catalog have profiles or endpoints of their own, it prints one policy for each, and "
         "on standard error which is which. A directory needs none. Asks no service.",
     .flags = gm_cli_policy_flags,
     .flag_count = GM_CLI_POLICY_FLAGS,
     .main = gm_cli_policy},
    {.name = "generate",
     .operand = "DIR",
     .brief = "write realistic sample input",
     .text = "Writes access records of a REST service as gzip objects in the layout of Amazon Data Firehose: "
             "DIR/year=YYYY/month=MM/day=DD/prodAccessRecord-1-YYYY-MM-DD-HH-MM-SS-UUID.gz, by date of arrival, with "
             "duplicates, late records and some that cannot be used. The same flags give the same input. Never "
             "overwrites.",
     .flags = gm_cli_generate_flags,
     .flag_count = GM_CLI_GENERATE_FLAGS,
     .main = gm_cli_generate},
    {.name = "help",
     .operand = "COMMAND",
     .more = "WORD",
     .operand_optional = true,
     .more_optional = true,
     .brief = "explain a command; 'help job': the job file",
     .main = gm_cli_help},
    {.name = NULL},
};

/* A closed standard stream would give its number to the next file that is opened: a message could end up in a table.
 * Opened the wrong way round, so that using it still fails. */
static void occupy_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) != -1) continue;
		if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) _exit(GM_CLI_FAILED);
	}
}

/* --memory is a promise about the process: freed blocks of some size go back to the system at once, and threads share
 * one heap. The hot loops keep what they need, so this costs no time. */
static void keep_heap_small(void)
{
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_MMAP_THRESHOLD, 512 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
}

static int print_version(void)
{
	printf("gristmill %s\n%s\ncpu %s\n", gm_version(), gm_engine_id(), gm_cpu());
	return gm_cli_finish(GM_CLI_DONE, true);
}

/* The variable is read here and nowhere else. */
static int choose_cpu(void)
{
	struct gm_error err;
	if (gm_set_cpu(getenv("GRISTMILL_CPU"), &err) == GM_OK) return GM_CLI_DONE;
	return gm_cli_usage(err.hint, "GRISTMILL_CPU: %s", err.message);
}

int main(int argc, char **argv)
{
	occupy_standard_streams();
	keep_heap_small();
	(void)signal(SIGPIPE, SIG_IGN);
	if (choose_cpu() != GM_CLI_DONE) return GM_CLI_USAGE;
	if (argc < 2) {
		gm_cli_print_help(stderr);
		return GM_CLI_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) return print_version();
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		gm_cli_print_help(stdout);
		return gm_cli_finish(GM_CLI_DONE, true);
	}
	if (argv[1][0] == '-') return gm_cli_usage("'gristmill help' shows the usage", "unknown flag %s", argv[1]);
	const struct gm_cli_command *command = gm_cli_find_command(argv[1]);
	return command != NULL ? command->main(command, argv + 2) : gm_cli_unknown_command(argv[1]);
}
