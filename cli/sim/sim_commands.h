/*
 * cli/sim: the program `novacron-sim`, which runs and judges simulated clusters.
 *
 * What lives here: its table of commands (sim_commands.c), one file a command, and the laboratory
 * of failure detection (detect/). How a command line becomes a call is cli/command.h's matter.
 */
#ifndef NOVACRON_CLI_SIM_COMMANDS_H
#define NOVACRON_CLI_SIM_COMMANDS_H

#include "cli/command.h"

extern const struct cli_program cli_novacron_sim;

enum cli_exit cmd_availability(const struct cli_call *call);
enum cli_exit cmd_check(const struct cli_call *call);
enum cli_exit cmd_detect(const struct cli_call *call);
enum cli_exit cmd_mutants(const struct cli_call *call);
enum cli_exit cmd_replay(const struct cli_call *call);
enum cli_exit cmd_run(const struct cli_call *call);
enum cli_exit cmd_scenario(const struct cli_call *call);
enum cli_exit cmd_shrink(const struct cli_call *call);

#endif
