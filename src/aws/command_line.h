/* command_line.h - a command line taken apart as a POSIX shell would, as far as words and quotation go: nothing is
 * expanded, there are no operators and no comments. What the AWS CLI does with credential_process (Python's shlex). */
#ifndef GM_AWS_COMMAND_LINE_H
#define GM_AWS_COMMAND_LINE_H

#include "aws/secret_memory.h"

/* The words of the line and a NULL, in memory (a command line may hold secrets). USAGE: a quotation does not end, a
 * backslash stands last, or there is no word; the line is not in the message. */
enum gm_code gm_command_line_split(const char *line, struct gm_secret_memory *memory, char ***out,
                                   struct gm_error *err) GM_CHECK;

#endif
