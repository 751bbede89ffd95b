/* The table of `novacron`'s commands. */
#include "cli/command.h"

static const struct cli_command novacron_commands[] = {
    {
        .group = "ca",
        .name = "init",
        .arguments = {"DIR"},
        .options = {{"--name", "NAME", "what the authority is called, for people"},
                    {"--days", "N", "how long it is valid, 3650 days otherwise"}},
        .summary = "make the cluster's own certificate authority",
        .help = "Makes ca.crt and ca.key in DIR, which is made if it is missing.\n"
                "Do it once a cluster, off the members: ca.key lets anybody in.\n"
                "Nothing that exists is replaced.",
        .run = cmd_ca_init,
    },
    {
        .group = "ca",
        .name = "issue",
        .arguments = {"DIR", "NAME"},
        .options = {{"--host", "ADDRESS,...", "names and addresses at which it is reached"},
                    {"--days", "N", "how long it is valid, 730 days otherwise"}},
        .summary = "make the certificate of a member",
        .help = "Makes NAME.crt and NAME.key in DIR, signed by the authority there. NAME is the "
                "member's\nname in the cluster's configuration: peers refuse a certificate that "
                "does not bear it.\nThe certificate ends with the authority's at the latest. "
                "Nothing that exists is replaced.",
        .run = cmd_ca_issue,
    },
    {
        .group = "wal",
        .name = "inspect",
        .arguments = {"DIR"},
        .options = {{"--json", NULL, "one JSON object a line"},
                    {"--snapshots", "DIR", "where the node's snapshots are"}},
        .summary = "list the records of a node's log",
        .help = "Lists every record of the log in DIR in its order, then what recovery would make "
                "of it.\n"
                "Reads only. The node should be stopped: the end of a log in use is in motion.",
        .run = cmd_wal_inspect,
    },
    {
        .group = "wal",
        .name = "verify",
        .arguments = {"DIR"},
        .options = {{"--json", NULL, "one JSON object"},
                    {"--snapshots", "DIR", "where the node's snapshots are"}},
        .summary = "say what recovery would make of a node's log",
        .help = "Checks every sector of the log in DIR and prints the verdict.\n"
                "Exit status: 0 clean, 1 damaged, 2 unreadable.\n"
                "Without --snapshots, the snapshot that the log names is taken to be whole.",
        .run = cmd_wal_verify,
    },
};

const struct cli_program cli_novacron = {
    .name = "novacron",
    .summary = "keeps virtual machines running through the loss of hosts",
    .commands = novacron_commands,
    .command_count = sizeof novacron_commands / sizeof novacron_commands[0],
};
