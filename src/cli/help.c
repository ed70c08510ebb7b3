/* help.c - help texts, made from the tables that parse. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum { HELP_WIDTH = 96 };

/* Named in the design and still to come. */
static const char *const planned[] = {"compact", "vacuum", "reprocess", "query", "report", "lambda", "infer", "diff"};

/* Prints text, wrapped, with every line after the first indented; "\n" in the text begins a line. The caller has
 * printed `at` characters of the first line. */
static void print_wrapped(FILE *out, const char *text, size_t indent, size_t at)
{
	while (*text != '\0') {
		size_t n = strcspn(text, " \n");
		if (at > indent && at + 1 + n > HELP_WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			at = indent;
		} else if (at > indent) {
			fputc(' ', out);
			at++;
		}
		fwrite(text, 1, n, out);
		at += n;
		text += n;
		if (*text == '\n') {
			fprintf(out, "\n%*s", (int)indent, "");
			at = indent;
		}
		if (*text != '\0') text++;
	}
	fputc('\n', out);
}

void gm_cli_print_help(FILE *out)
{
	fputs("gristmill turns raw JSON logs into a partitioned Parquet table.\n\nusage: gristmill COMMAND ...\n\n", out);
	for (const struct gm_cli_command *command = gm_cli_commands; command->name != NULL; command++) {
		char usage[40];
		(void)snprintf(usage, sizeof usage, "%s %s%s%s", command->name, command->operand_optional ? "[" : "",
		               command->operand != NULL ? command->operand : "", command->operand_optional ? "]" : "");
		int n = fprintf(out, "  %-16s  ", usage);
		print_wrapped(out, command->brief, 20, n > 0 ? (size_t)n : 20);
	}
	fputs("\n'gristmill help COMMAND' or 'gristmill COMMAND --help' explains a command and its flags,\n"
	      "'gristmill help job' the job file. 'gristmill --version' tells the versions in use.\n\n"
	      "exit status: 0 done; 1 failed; 2 wrong usage or job file; 3 stopped by the quarantine limit;\n"
	      "130 and 143 stopped by SIGINT or SIGTERM\n",
	      out);
}

static void print_usage(FILE *out, const struct gm_cli_command *command)
{
	const char *word = gm_cli_word(command);
	bool second = word != command->name; /* behind the operand, which then is never optional */
	fprintf(out, "usage: gristmill %.*s", (int)strcspn(command->name, " "), command->name);
	if (command->operand != NULL) fprintf(out, command->operand_optional ? " [%s]" : " %s", command->operand);
	if (second) fprintf(out, " %s", word);
	if (command->words != NULL) fputs(" WORD ...", out);
	if (command->more != NULL) fprintf(out, command->more_optional ? " [%s]" : " %s", command->more);
	fprintf(out, "%s\n\n", command->flag_count > 0 ? " [FLAGS]" : "");
}

static void print_words(FILE *out, const struct gm_cli_command *command)
{
	fputc('\n', out);
	for (const struct gm_cli_command *row = command->words; row->name != NULL; row++) {
		int n = fprintf(out, "  %-16s  ", gm_cli_word(row));
		print_wrapped(out, row->brief, 20, n > 0 ? (size_t)n : 20);
	}
	fprintf(out, "\n'gristmill help %s WORD' explains one and its flags\n", command->name);
}

static void print_flags(FILE *out, const struct gm_cli_command *command)
{
	if (command->flag_count > 0) fputc('\n', out);
	for (size_t i = 0; i < command->flag_count; i++) {
		const struct gm_cli_flag *flag = &command->flags[i];
		char usage[48];
		(void)snprintf(usage, sizeof usage, "--%s%s%s", flag->name, flag->value != NULL ? " " : "",
		               flag->value != NULL ? flag->value : "");
		int n = fprintf(out, "  %-24s  ", usage);
		print_wrapped(out, flag->text, 28, n > 0 ? (size_t)n : 28);
	}
}

void gm_cli_print_command_help(FILE *out, const struct gm_cli_command *command)
{
	print_usage(out, command);
	print_wrapped(out, command->text != NULL ? command->text : command->brief, 0, 0);
	if (command->words != NULL) print_words(out, command);
	print_flags(out, command);
}

const struct gm_cli_command *gm_cli_find_command(const char *name)
{
	for (const struct gm_cli_command *command = gm_cli_commands; command->name != NULL; command++) {
		if (strcmp(command->name, name) == 0) return command;
	}
	return NULL;
}

int gm_cli_unknown_command(const char *name)
{
	const char *words[32];
	char hint[128];
	size_t count = 0;
	for (size_t i = 0; i < sizeof planned / sizeof planned[0]; i++) {
		if (strcmp(name, planned[i]) == 0)
			return gm_cli_usage("'gristmill help' lists the commands that there are",
			                    "'%s' is not part of this version (%s)", name, gm_version());
	}
	for (const struct gm_cli_command *command = gm_cli_commands; command->name != NULL && count < 32; command++)
		words[count++] = command->name;
	const char *near = gm_cli_nearest(name, words, count);
	if (near != NULL)
		(void)snprintf(hint, sizeof hint, "did you mean '%s'?", near);
	else
		(void)snprintf(hint, sizeof hint, "'gristmill help' lists the commands");
	return gm_cli_usage(hint, "unknown command '%s'", name);
}

static int print_job_help(void)
{
	struct gm_error err;
	char *text = NULL;
	enum gm_code code = gm_job_help(&text, &err);
	if (code != GM_OK) {
		gm_cli_print_error(&err);
		return gm_cli_status_of(code);
	}
	fputs(text, stdout);
	free(text);
	return gm_cli_finish(GM_CLI_DONE, true);
}

/* `help bookmark rewind`: one of a command's words. */
static int help_on(const char *topic, const char *word)
{
	const struct gm_cli_command *about = gm_cli_find_command(topic);
	if (about == NULL) return gm_cli_unknown_command(topic);
	if (word != NULL && about->words == NULL)
		return gm_cli_usage("'gristmill help' shows the usage", "help: unexpected argument '%s'", word);
	if (word != NULL) {
		const struct gm_cli_command *row = gm_cli_find_word(about, word);
		if (row == NULL) return gm_cli_unknown_word(about, word);
		about = row;
	}
	gm_cli_print_command_help(stdout, about);
	return gm_cli_finish(GM_CLI_DONE, true);
}

int gm_cli_help(const struct gm_cli_command *command, char **arguments)
{
	struct gm_cli_operands topics;
	int status = gm_cli_parse_all(command, arguments, NULL, &topics);
	if (status != GM_CLI_GO_ON) return status;
	if (topics.count > 2)
		return gm_cli_usage("'gristmill help' shows the usage", "help: unexpected argument '%s'", topics.at[2]);
	if (topics.count == 0) {
		gm_cli_print_help(stdout);
		return gm_cli_finish(GM_CLI_DONE, true);
	}
	if (topics.count == 1 && strcmp(topics.at[0], "job") == 0) return print_job_help();
	return help_on(topics.at[0], topics.count > 1 ? topics.at[1] : NULL);
}
