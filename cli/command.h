/*
 * cli: the program `novacron`, by which people and scripts speak to nodes and look at their disks,
 * and what it shares with `novacron-sim` (cli/sim): how a command line becomes a call.
 *
 * What lives here: the table of commands (commands.c), from which `--help` is made, and one file a
 * group of commands (cmd_ca.c, cmd_wal.c). A command parses nothing that the table can say: its
 * arguments arrive counted and its options recognised. Another program brings a table of its own.
 */
#ifndef NOVACRON_CLI_COMMAND_H
#define NOVACRON_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

/* What the program's exit status says, for all commands. */
enum cli_exit {
    CLI_OK = 0,
    CLI_DAMAGED = 1,    /* it was found to be damaged, or a check failed */
    CLI_UNREADABLE = 2, /* it could not be read or done at all */
    CLI_USAGE = 64      /* the command line was wrong; nothing was done */
};

#define CLI_OPTIONS_MAX   20
#define CLI_ARGUMENTS_MAX 10

struct cli_option {
    const char *name;  /* "--json"; NULL ends the list */
    const char *value; /* what its value is called; NULL: it has none */
    const char *help;
};

/* What the command line said. Values are borrowed from argv; option i of the table is options[i],
 * NULL where it was not given, "" where it has no value. */
struct cli_call {
    const char *arguments[CLI_ARGUMENTS_MAX];
    const char *options[CLI_OPTIONS_MAX];
};

struct cli_command {
    const char *group; /* "wal"; NULL: the command is its name alone */
    const char *name;  /* "inspect" */
    /* What each is called; "[NAME]" may be left out, as may those behind it; NULL ends the list. */
    const char *arguments[CLI_ARGUMENTS_MAX];
    struct cli_option options[CLI_OPTIONS_MAX];
    const char *summary; /* one line */
    const char *help;    /* a paragraph */
    enum cli_exit (*run)(const struct cli_call *call);
};

struct cli_program {
    const char *name;    /* as it is typed */
    const char *summary; /* one line */
    const struct cli_command *commands;
    size_t command_count;
};

extern const struct cli_program cli_novacron; /* commands.c */

/* Parses the line, runs the command of `program` that it names or prints help. */
enum cli_exit cli_main(const struct cli_program *program, int argc, char **argv);

/* The commands of `novacron`. */
enum cli_exit cmd_ca_init(const struct cli_call *call);
enum cli_exit cmd_ca_issue(const struct cli_call *call);
enum cli_exit cmd_cluster_init(const struct cli_call *call);
enum cli_exit cmd_cluster_recover(const struct cli_call *call);
enum cli_exit cmd_cluster_survivors(const struct cli_call *call);
enum cli_exit cmd_snapshot_restore(const struct cli_call *call);
enum cli_exit cmd_wal_inspect(const struct cli_call *call);
enum cli_exit cmd_wal_verify(const struct cli_call *call);

#endif
