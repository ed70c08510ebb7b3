/* words.c - commands that take a word behind their operand: `gristmill bookmark JOB rewind`.
 *
 * The operand and the word come in this order. Flags belong to the word and may stand anywhere. Those of one name take
 * a value for all words of a command or for none: so the word is found before it is known whose they are. */
#include "cli/cli.h"

#include <string.h>

enum { WORDS_MAX = 16 };

const char *gm_cli_word(const struct gm_cli_command *command)
{
	const char *space = strchr(command->name, ' ');
	return space != NULL ? space + 1 : command->name;
}

const struct gm_cli_command *gm_cli_find_word(const struct gm_cli_command *command, const char *word)
{
	for (const struct gm_cli_command *row = command->words; row != NULL && row->name != NULL; row++) {
		if (strcmp(gm_cli_word(row), word) == 0) return row;
	}
	return NULL;
}

static size_t list_words(const struct gm_cli_command *command, const char *words[WORDS_MAX])
{
	size_t count = 0;
	for (const struct gm_cli_command *row = command->words; row->name != NULL && count < WORDS_MAX; row++)
		words[count++] = gm_cli_word(row);
	return count;
}

/* "show, rewind or forget" */
static void spell_words(const struct gm_cli_command *command, char *text, size_t bytes)
{
	const char *words[WORDS_MAX];
	size_t count = list_words(command, words), used = 0;
	text[0] = '\0';
	for (size_t i = 0; i < count && used < bytes; i++) {
		const char *before = i == 0 ? "" : i + 1 < count ? ", " : " or ";
		int n = snprintf(text + used, bytes - used, "%s%s", before, words[i]);
		used += n > 0 ? (size_t)n : 0;
	}
}

int gm_cli_unknown_word(const struct gm_cli_command *command, const char *word)
{
	const char *words[WORDS_MAX];
	char list[128], hint[160];
	const char *near = gm_cli_nearest(word, words, list_words(command, words));
	spell_words(command, list, sizeof list);
	if (near != NULL)
		(void)snprintf(hint, sizeof hint, "did you mean '%s'?", near);
	else
		(void)snprintf(hint, sizeof hint, "'gristmill help %s' shows the usage", command->name);
	return gm_cli_usage(hint, "%s: '%s' is not one of %s", command->name, word, list);
}

/* The operand or the word is missing; somebody may have written the word first. */
static int incomplete(const struct gm_cli_command *command, const char *first)
{
	char list[128], hint[160];
	spell_words(command, list, sizeof list);
	(void)snprintf(hint, sizeof hint, "the order is: gristmill %s %s %s", command->name, command->operand,
	               first != NULL && gm_cli_find_word(command, first) != NULL ? first : "WORD");
	if (first == NULL)
		return gm_cli_usage(hint, "%s: %s and then one of %s are missing", command->name, command->operand, list);
	return gm_cli_usage(hint, "%s: one of %s must follow %s", command->name, list, command->operand);
}

static bool takes_value(const struct gm_cli_command *command, const char *argument)
{
	const char *name = argument + 2;
	if (strncmp(argument, "--", 2) != 0 || strchr(name, '=') != NULL) return false;
	for (const struct gm_cli_command *row = command->words; row->name != NULL; row++) {
		const struct gm_cli_flag *flag = gm_cli_find_flag(row, name, strlen(name));
		if (flag != NULL) return flag->kind != GM_CLI_SWITCH;
	}
	return false;
}

/* The argument from arguments on that is no flag and no flag's value: where the list ends if there is none. */
static char **next_operand(const struct gm_cli_command *command, char **arguments)
{
	for (; *arguments != NULL; arguments++) {
		if ((*arguments)[0] != '-') return arguments;
		if (takes_value(command, *arguments) && arguments[1] != NULL) arguments++;
	}
	return arguments;
}

static bool asks_help(char **from, char **to)
{
	for (; from < to; from++) {
		if (strcmp(*from, "--help") == 0 || strcmp(*from, "-h") == 0) return true;
	}
	return false;
}

int gm_cli_by_word(const struct gm_cli_command *command, char **arguments)
{
	char **operand = next_operand(command, arguments);
	char **word = *operand != NULL ? next_operand(command, operand + 1) : operand;
	if (asks_help(arguments, word)) {
		gm_cli_print_command_help(stdout, command);
		return gm_cli_finish(GM_CLI_DONE, true);
	}
	if (*operand == NULL || *word == NULL) return incomplete(command, *operand);
	const struct gm_cli_command *row = gm_cli_find_word(command, *word);
	if (row == NULL && gm_cli_find_word(command, *operand) != NULL) return incomplete(command, *operand);
	if (row == NULL) return gm_cli_unknown_word(command, *word);
	for (; *word != NULL; word++) word[0] = word[1];
	return row->main(row, arguments);
}
