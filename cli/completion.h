/*
 * Completion of command lines by bash, made from a program's table of commands: what `--help`
 * knows, TAB knows. The script that is printed needs bash alone.
 *
 * Of a value or an argument the script knows what it is called. Files and directories are bash's;
 * for other names a program may bring a source of words. Words that come from a cluster are quoted
 * before they are offered, and never evaluated: a key may be called `$(reboot)`.
 */
#ifndef NOVACRON_CLI_COMPLETION_H
#define NOVACRON_CLI_COMPLETION_H

#include <stdio.h>

#include "cli/command.h"

/* Where the words of values and arguments of one name come from: one of the two. */
struct cli_source {
    const char *value; /* "MEMBER", as the table calls it, without brackets and ",..." */
    /* Prints one word a line, when the script is made. */
    void (*list)(FILE *out);
    /* A command of the program, asked when TAB is pressed. Of each line that does not begin with a
     * blank, what is before two blanks is offered, and the rest is what it means. It is given those
     * options of the line that it knows. "%": the word that is being completed. */
    const char *ask;
};

/* Prints the script. `sources` ends with a NULL value. */
void cli_completion_print(FILE *out, const struct cli_program *program,
                          const struct cli_source *sources);

/* What `completion SHELL` does: CLI_USAGE for any shell but bash. */
enum cli_exit cli_completion_run(const struct cli_call *call, const struct cli_program *program,
                                 const struct cli_source *sources);

/* The words of SHELL. */
void cli_completion_shells(FILE *out);

#endif
