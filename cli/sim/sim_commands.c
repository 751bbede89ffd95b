/* The table of `novacron-sim`'s commands. */
#include "cli/sim/sim_commands.h"

static const struct cli_command sim_commands[] = {
    {
        .name = "check",
        .arguments = {"FILE"},
        .options = {{"--json", NULL, "one JSON object"}},
        .summary = "say whether a history of clients' operations is linearizable",
        .help =
            "Reads the history in FILE, of one register or of many keys, and looks for an order "
            "of its\noperations that explains every answer.\n"
            "Exit status: 0 linearizable, 1 not (the smallest failing part is printed), 2 too "
            "hard or\nunreadable.",
        .run = cmd_check,
    },
};

const struct cli_program cli_novacron_sim = {
    .name = "novacron-sim",
    .summary = "runs clusters in a simulated world, and judges what their clients saw",
    .commands = sim_commands,
    .command_count = sizeof sim_commands / sizeof sim_commands[0],
};
