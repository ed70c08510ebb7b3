/* cli.h - the command line: what commands and flags are, and what they share.
 *
 * A command is a row of the table in main.c; its flags are rows of a table in its own file. Both drive parsing, help
 * and the "did you mean" of wrong words. The command line sees the library through gristmill.h alone, as any program
 * would. */
#ifndef GM_CLI_CLI_H
#define GM_CLI_CLI_H

#include <stdio.h>

#include "gristmill.h"

/* Exit statuses. A command stopped by a signal exits with 128 + its number (130, 143). */
enum gm_cli_status {
	GM_CLI_DONE = 0,
	GM_CLI_FAILED = 1,
	GM_CLI_USAGE = 2,      /* wrong usage, or a wrong job file */
	GM_CLI_QUARANTINE = 3, /* stopped by the quarantine limit */
	GM_CLI_GO_ON = -1      /* from gm_cli_parse: the command may start */
};

/* What a flag takes, and the type at its offset. */
enum gm_cli_kind {
	GM_CLI_SWITCH,   /* nothing; bool */
	GM_CLI_TEXT,     /* const char * */
	GM_CLI_COUNT,    /* an integer within low .. high; uint64_t */
	GM_CLI_COUNTS,   /* the same, repeatable; struct gm_cli_counts */
	GM_CLI_SIZE,     /* bytes, "256M"; uint64_t */
	GM_CLI_DECIMAL,  /* a number within low .. high; double */
	GM_CLI_TIME,     /* ISO 8601, UTC; int64_t microseconds */
	GM_CLI_DURATION, /* "30s", "15m", "6h", "7d"; int64_t microseconds, more than 0 */
	GM_CLI_SETTING,  /* NAME=VALUE, repeatable; struct gm_cli_settings */
	GM_CLI_REJECTS   /* N or P%; struct gm_cli_rejects */
};
struct gm_cli_settings {
	struct gm_setting *at;
	size_t count;
};
struct gm_cli_counts {
	uint64_t *at;
	size_t count;
};
struct gm_cli_rejects {
	bool set;
	uint64_t records;
	double percent;
};

struct gm_cli_flag {
	const char *name;  /* without dashes */
	const char *value; /* what help calls its value; NULL for a switch */
	enum gm_cli_kind kind;
	size_t offset; /* of its field in the command's options */
	const char *text;
	double low, high;
};
/* What every command that loads a job takes: the rows of these three flags, for a command whose options have a member
 * `job` of the struct below and whose FIELD(x) is the offset of member x. */
/* clang-format off */
#define GM_CLI_JOB_FLAGS \
	{"source", "URL", GM_CLI_TEXT, FIELD(job.source), \
	 "where the raw objects lie, instead of the job's source.location", 0, 0}, \
	{"table", "URL", GM_CLI_TEXT, FIELD(job.table), \
	 "where the table lies, instead of the job's table.location", 0, 0}, \
	{"set", "NAME=VALUE", GM_CLI_SETTING, FIELD(job.settings), \
	 "what ${NAME} in the job file stands for; may be repeated", 0, 0}
/* clang-format on */
enum { GM_CLI_JOB_FLAG_COUNT = 3 };
struct gm_cli_job_flags {
	const char *source, *table;
	struct gm_cli_settings settings; /* settings.at is freed by the command */
};

/* A command, or one of the words that a command takes behind its operand: `gristmill bookmark JOB rewind`. The latter's
 * name is both words, "bookmark rewind"; its operand is the command's. */
struct gm_cli_command {
	const char *name;
	const char *operand; /* its one operand, NULL: none */
	const char *more;    /* what may follow it any number of times, as help writes it ("KEY..."); NULL: nothing */
	bool operand_optional, more_optional;
	const char *brief; /* a line in the list of commands */
	const char *text;  /* paragraphs for its own help; NULL: brief does */
	const struct gm_cli_flag *flags;
	size_t flag_count;
	const struct gm_cli_command *words;                                  /* ended by a row without a name; or NULL */
	int (*main)(const struct gm_cli_command *command, char **arguments); /* returns the exit status */
};

/* The commands, ended by a row without a name. */
extern const struct gm_cli_command gm_cli_commands[];
int gm_cli_run(const struct gm_cli_command *command, char **arguments);
int gm_cli_check(const struct gm_cli_command *command, char **arguments);
int gm_cli_preview(const struct gm_cli_command *command, char **arguments);
int gm_cli_generate(const struct gm_cli_command *command, char **arguments);
int gm_cli_policy(const struct gm_cli_command *command, char **arguments);
int gm_cli_status(const struct gm_cli_command *command, char **arguments);
int gm_cli_plan(const struct gm_cli_command *command, char **arguments);
int gm_cli_work(const struct gm_cli_command *command, char **arguments);
int gm_cli_commit(const struct gm_cli_command *command, char **arguments);
int gm_cli_verify(const struct gm_cli_command *command, char **arguments);
int gm_cli_watch(const struct gm_cli_command *command, char **arguments);
int gm_cli_doctor(const struct gm_cli_command *command, char **arguments);
int gm_cli_why(const struct gm_cli_command *command, char **arguments);
int gm_cli_help(const struct gm_cli_command *command, char **arguments);
/* The main of a command with words: goes to the one that is given behind the operand. */
int gm_cli_by_word(const struct gm_cli_command *command, char **arguments);
/* The words of bookmark, catalog and quarantine. */
extern const struct gm_cli_command gm_cli_bookmark_words[], gm_cli_catalog_words[], gm_cli_quarantine_words[];
/* command_catalog_glue.c */
int gm_cli_catalog_sync(const struct gm_cli_command *command, char **arguments);
int gm_cli_catalog_show(const struct gm_cli_command *command, char **arguments);
int gm_cli_catalog_drop(const struct gm_cli_command *command, char **arguments);
int gm_cli_replay(const struct gm_cli_command *command, char **arguments);
/* Their flags. */
enum { GM_CLI_RUN_FLAGS = 18, GM_CLI_CHECK_FLAGS = 4, GM_CLI_PREVIEW_FLAGS = 6, GM_CLI_GENERATE_FLAGS = 11 };
enum {
	GM_CLI_POLICY_FLAGS = GM_CLI_JOB_FLAG_COUNT + 1,
	GM_CLI_STATUS_FLAGS = GM_CLI_JOB_FLAG_COUNT + 3,
	GM_CLI_PLAN_FLAGS = GM_CLI_JOB_FLAG_COUNT + 7,
	GM_CLI_WORK_FLAGS = GM_CLI_JOB_FLAG_COUNT + 10,
	GM_CLI_COMMIT_FLAGS = GM_CLI_JOB_FLAG_COUNT + 6,
	GM_CLI_VERIFY_FLAGS = GM_CLI_JOB_FLAG_COUNT + 4,
	GM_CLI_WHY_FLAGS = GM_CLI_JOB_FLAG_COUNT + 4,
	GM_CLI_REPLAY_FLAGS = GM_CLI_JOB_FLAG_COUNT + 8,
	GM_CLI_WATCH_FLAGS = GM_CLI_JOB_FLAG_COUNT + 8,
	GM_CLI_DOCTOR_FLAGS = GM_CLI_JOB_FLAG_COUNT + 2,
	GM_CLI_CATALOG_CHANGE_FLAGS = GM_CLI_JOB_FLAG_COUNT + 3,
	GM_CLI_CATALOG_SHOW_FLAGS = GM_CLI_JOB_FLAG_COUNT + 2
};
extern const struct gm_cli_flag gm_cli_run_flags[GM_CLI_RUN_FLAGS], gm_cli_check_flags[GM_CLI_CHECK_FLAGS],
    gm_cli_preview_flags[GM_CLI_PREVIEW_FLAGS], gm_cli_policy_flags[GM_CLI_POLICY_FLAGS],
    gm_cli_generate_flags[GM_CLI_GENERATE_FLAGS], gm_cli_status_flags[GM_CLI_STATUS_FLAGS],
    gm_cli_plan_flags[GM_CLI_PLAN_FLAGS], gm_cli_work_flags[GM_CLI_WORK_FLAGS],
    gm_cli_commit_flags[GM_CLI_COMMIT_FLAGS], gm_cli_verify_flags[GM_CLI_VERIFY_FLAGS],
    gm_cli_why_flags[GM_CLI_WHY_FLAGS], gm_cli_replay_flags[GM_CLI_REPLAY_FLAGS],
    gm_cli_watch_flags[GM_CLI_WATCH_FLAGS], gm_cli_doctor_flags[GM_CLI_DOCTOR_FLAGS],
    gm_cli_catalog_change_flags[GM_CLI_CATALOG_CHANGE_FLAGS], gm_cli_catalog_show_flags[GM_CLI_CATALOG_SHOW_FLAGS];

/* --- flags.c ------------------------------------------------------------------------------------------------------ */

/* Reads arguments (NULL-terminated, without the command's name) into options, which holds the defaults, and *operand.
 * GM_CLI_GO_ON, or the status to exit with: help was asked for and printed, or the usage is wrong and was explained. */
int gm_cli_parse(const struct gm_cli_command *command, char **arguments, void *options, const char **operand);
/* The same for a command with more operands: all of them, the first included, in the order given. They lie in
 * arguments. */
struct gm_cli_operands {
	char **at;
	size_t count;
};
int gm_cli_parse_all(const struct gm_cli_command *command, char **arguments, void *options,
                     struct gm_cli_operands *operands);
/* Loads the job that a command names; the exit status, GM_CLI_GO_ON if it is loaded. A failure is printed, with `json`
 * also as an object on standard output. */
int gm_cli_load_job(const struct gm_cli_job_flags *flags, const char *path, bool json, struct gm_job **job);
/* The row of a flag by name[0..bytes); NULL if the command has none. */
const struct gm_cli_flag *gm_cli_find_flag(const struct gm_cli_command *command, const char *name, size_t bytes);
/* Says that a flag which the command cannot do without was not given; returns GM_CLI_USAGE. */
int gm_cli_missing(const struct gm_cli_command *command, const char *flag);
/* The word of words[0..count) that `wrong` may stand for; NULL if none is near. */
const char *gm_cli_nearest(const char *wrong, const char *const *words, size_t count);
/* Reads "256M", "1GiB", "1GB", "1000000". */
bool gm_cli_read_size(const char *text, uint64_t *bytes);
/* Reads "30s", "15m", "6h", "7d", as the job file does. */
bool gm_cli_read_duration(const char *text, int64_t *us);
/* Reads "2024-03-10", "2024-03-10T22:00:00", with a fraction, with Z. */
bool gm_cli_read_time(const char *text, int64_t *time_us);

/* --- words.c ------------------------------------------------------------------------------------------------------ */

/* The second word of a name such as "bookmark rewind"; the whole name of any other command. */
const char *gm_cli_word(const struct gm_cli_command *command);
/* The row for a word; NULL if there is none. */
const struct gm_cli_command *gm_cli_find_word(const struct gm_cli_command *command, const char *word);
/* Says why `word` is none of the command's; returns GM_CLI_USAGE. */
int gm_cli_unknown_word(const struct gm_cli_command *command, const char *word);

/* --- help.c ------------------------------------------------------------------------------------------------------- */

void gm_cli_print_help(FILE *out);
void gm_cli_print_command_help(FILE *out, const struct gm_cli_command *command);
const struct gm_cli_command *gm_cli_find_command(const char *name);
/* Says why `name` is no command; returns GM_CLI_USAGE. */
int gm_cli_unknown_command(const char *name);

/* --- print.c ------------------------------------------------------------------------------------------------------ */

/* "gristmill: FILE:LINE:COLUMN: message" and "  hint: ..." on standard error; control characters are escaped. */
void gm_cli_print_error(const struct gm_error *err);
/* A wrong usage, with a hint or "". Returns GM_CLI_USAGE. */
int gm_cli_usage(const char *hint, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes foreign text so that a terminal shows it and obeys none of it. */
void gm_cli_print_safe(FILE *out, const char *text, size_t bytes);
/* The exit status that a failure of the library stands for. */
int gm_cli_status_of(enum gm_code code);
/* The same for gm_job_load and gm_job_describe, where a file that is missing or unreadable is wrong usage. */
int gm_cli_load_status(enum gm_code code);
/* Flushes standard output; the exit status. What could not be reported or written turns success into failure. */
int gm_cli_finish(int status, bool reported);
/* The code point at text[0..n), n > 0, and its length; U+FFFD with *used 1 where the bytes are no UTF-8. */
uint32_t gm_cli_code_point(const char *text, size_t n, size_t *used);

enum { GM_CLI_NUMBER_BYTES = 32 };
/* "1,234,567"; "85.8 MB"; "3.2 s", "12 min 5 s". Return text. */
const char *gm_cli_count(char text[GM_CLI_NUMBER_BYTES], uint64_t number);
const char *gm_cli_bytes(char text[GM_CLI_NUMBER_BYTES], double bytes);
const char *gm_cli_duration(char text[GM_CLI_NUMBER_BYTES], double seconds);
/* "2024-03-10T22:00:00Z", with a fraction if there is one. */
const char *gm_cli_time(char text[GM_CLI_NUMBER_BYTES], int64_t time_us);

/* --- signals.c ---------------------------------------------------------------------------------------------------- */

/* From now on SIGINT and SIGTERM set the flag that is returned, to their number; a second one kills. */
const volatile int *gm_cli_catch_signals(void);
/* The signal caught, or 0. */
int gm_cli_signal(void);

/* --- after.c ------------------------------------------------------------------------------------------------------ */

/* What is wanted once a run has ended; NULL: not. */
struct gm_cli_after {
	const char *metrics_file, *on_failure;
};
struct gm_cli_ended {
	const struct gm_job *job; /* NULL: it could not be loaded */
	const char *job_file;
	const struct gm_run_result *result;
	enum gm_code code;
	const struct gm_error *error; /* unless code is OK */
	bool idle;                    /* it was not to process anything: there are no metrics of it */
};
/* Writes metrics, and runs the user's command if the run has failed and nobody has stopped it. What goes wrong with
 * either is told on standard error and changes nothing of how the run has ended. */
void gm_cli_after_run(const struct gm_cli_after *after, const struct gm_cli_ended *ended);

/* --- progress.c --------------------------------------------------------------------------------------------------- */

struct gm_cli_progress {
	bool quiet, terminal, bar, color, blocks;
	bool shown;            /* the bar stands on the screen; the first line has been printed */
	bool untold;           /* figures that no line has told yet */
	bool stopping;         /* the user has been told that we stop */
	const char *phase;     /* last seen */
	double started, drawn; /* by a monotonic clock, seconds */
	double phase_started;
	uint64_t phase_bytes; /* bytes_done when the phase began */
	struct gm_progress last;
};
/* Looks at standard error and the environment (TERM, NO_COLOR, LANG). */
void gm_cli_progress_init(struct gm_cli_progress *progress, bool quiet);
/* For gm_run_options and gm_generate_options: the context is a struct gm_cli_progress. */
void gm_cli_progress_show(void *context, const struct gm_progress *progress);
void gm_cli_progress_notice(void *context, const char *line);
/* Removes the bar, for something else to be printed; it comes back. */
void gm_cli_progress_pause(struct gm_cli_progress *progress);
/* Removes the bar, or prints the last line. */
void gm_cli_progress_end(struct gm_cli_progress *progress);
/* Columns of the terminal behind a file descriptor; `otherwise` if it is none. */
unsigned gm_cli_width(int fd, unsigned otherwise);

/* --- grid.c ------------------------------------------------------------------------------------------------------- */

/* Rows of text for people. {0} is an empty one. */
struct gm_cli_grid {
	size_t columns, rows;
	char **names;
	char **cells; /* row after row */
};
/* A row; values[i] NULL: null. False when memory is gone. */
bool gm_cli_grid_add(struct gm_cli_grid *grid, const char *const *names, const char *const *values, const size_t *bytes,
                     size_t count);
void gm_cli_grid_print(FILE *out, const struct gm_cli_grid *grid, size_t width);
void gm_cli_grid_release(struct gm_cli_grid *grid);

/* --- report.c ----------------------------------------------------------------------------------------------------- */

/* The one JSON object of `run --json`. err NULL: success. False when it could not be made. */
bool gm_cli_report_json(FILE *out, const struct gm_run_result *result, const struct gm_error *err);
struct json_t;
/* The same object, to be added to. NULL when memory is gone. */
struct json_t *gm_cli_json_result(const struct gm_run_result *result, const struct gm_error *err);
/* The same of a step of a run, with its plan and how it ended: "done", "before", "committed", "dead". */
struct json_t *gm_cli_json_step(const struct gm_run_result *result, uint64_t plan, enum gm_step step,
                                const struct gm_error *err);
/* The balance and the partitions, for people. */
void gm_cli_report_text(FILE *out, const struct gm_run_result *result, bool dry_run);
/* {"error": ...} for commands that failed before they had anything else to say. */
bool gm_cli_report_error_json(FILE *out, const struct gm_error *err);
/* The files by their partitions, for people. */
void gm_cli_print_partitions(FILE *out, const struct gm_run_result *result);
void gm_cli_print_catalog(FILE *out, const struct gm_catalog_result *catalog);
/* To stderr, if the run could not bring its catalog up to date: for who asked for no notices. */
void gm_cli_warn_catalog(const struct gm_run_result *result, const char *job);
void gm_cli_print_balance(FILE *out, const struct gm_balance *balance);

/* --- profile.c ---------------------------------------------------------------------------------------------------- */

/* Where the time of a run went, if that was asked for; as a table, and as the object `profile` of --json. */
void gm_cli_print_profile(FILE *out, const struct gm_run_result *result);
struct json_t *gm_cli_json_profile(const struct gm_run_result *result);

/* --- what reports of all commands are made of --------------------------------------------------------------------- */

/* NULL when memory is gone. Text that is no UTF-8 is mended: JSON cannot hold it. */
struct json_t *gm_cli_json_text(const char *text, size_t bytes);
/* A number, or null where there is none (below 0). */
struct json_t *gm_cli_json_number(int64_t number);
struct json_t *gm_cli_json_requests(const struct gm_requests *requests);
struct json_t *gm_cli_json_catalog(const struct gm_catalog_result *catalog, const struct gm_error *err);
struct json_t *gm_cli_json_error(const struct gm_error *err);
struct json_t *gm_cli_json_balance(const struct gm_balance *balance);
/* Prints and frees it; NULL is a failure. */
bool gm_cli_json_print(FILE *out, struct json_t *object);
/* The same, with the error as a member where there is one. */
bool gm_cli_json_print_with(FILE *out, struct json_t *object, const struct gm_error *err);

#endif
