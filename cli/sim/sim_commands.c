/* The table of `novacron-sim`'s commands. */
#include "cli/sim/sim_commands.h"

#include "cli/completion.h"
#include "cli/sim/sim_mutants.h"

static void list_profiles(FILE *out)
{
    for (size_t i = 0; i < SIM_PROFILES; i++) {
        (void)fprintf(out, "%s\n", sim_profile_name((enum sim_profile)i));
    }
}

static void list_mutants(FILE *out)
{
    for (size_t i = MUTANT_NONE + 1; i < MUTANTS; i++) {
        (void)fprintf(out, "%s\n", sim_mutant_get((enum mutant)i)->name);
    }
}

/* What TAB offers for arguments and values of these names. */
static const struct cli_source sources[] = {
    {.value = "PROFILE", .list = list_profiles},
    {.value = "MUTANT", .list = list_mutants},
    {.value = "SCENARIO", .ask = "scenario --list"},
    {.value = "SHELL", .list = cli_completion_shells},
    {.value = NULL},
};

static enum cli_exit cmd_sim_completion(const struct cli_call *call)
{
    return cli_completion_run(call, &cli_novacron_sim, sources);
}

static const struct cli_command sim_commands[] = {
    {
        .name = "run",
        .options = {{"--seeds", "A..B", "these; 1..100 unless given"},
                    {"--jobs", "N", "processes; as many as there are processors"},
                    {"--profile", "PROFILE",
                     "what is drawn: default, or one that --profile ? lists"},
                    {"--hours", "H", "ends after so long; without --seeds, as many as fit"},
                    {"--twice", NULL, "every seed twice, to see that it gives the same hash"},
                    {"--hashes", NULL, "print each seed's hash, and no table"}},
        .summary = "run many seeds, and say what they reached and which failed",
        .help = "Runs simulated clusters of real nodes under faults that each seed draws, checks "
                "every\ninvariant after every event, and then that they heal. Of 20 seeds one is "
                "run twice.\nExit status: 0 all passed, 1 some failed; each comes with the "
                "command that replays it.",
        .run = cmd_run,
    },
    {
        .name = "replay",
        .options = {{"--seed", "N", "which"},
                    {"--profile", "PROFILE", "of which profile; default unless given"},
                    {"--trace", NULL, "also what the network does"},
                    {"--json", NULL, "one JSON object a line"},
                    {"--plan", "FILE", "these faults, and not the seed's own"},
                    {"--mutant", "MUTANT", "with this bug switched on"},
                    {"--tla-trace", "FILE", "also in the words of etcd-raft's trace validation"}},
        .summary = "run one seed again, and print its timeline",
        .help = "Prints who led, died, started, was repaired, and each fault, by virtual time, "
                "then the\nverdict. Exit status: 0 it passes, 1 it fails.",
        .run = cmd_replay,
    },
    {
        .name = "shrink",
        .options = {{"--seed", "N", "which"},
                    {"--profile", "PROFILE", "of which profile; default unless given"},
                    {"--output", "FILE", "where to write the plan; else it is printed"}},
        .summary = "find the smallest fault schedule with which a seed still fails",
        .help = "Leaves out faults for as long as the run fails the same way. The plan that is "
                "left can be\nreplayed with replay --plan, and edited.\nExit status: 0 done, 1 "
                "the seed does not fail.",
        .run = cmd_shrink,
    },
    {
        .name = "scenario",
        .arguments = {"[SCENARIO]"},
        .options = {{"--list", NULL, "what there is: name, story, bound, where it was seen"},
                    {"--all", NULL, "run every one, with one line each"},
                    {"--seed", "N", "what the script leaves open; 1 unless given"},
                    {"--jobs", "N", "processes, with --all; 1 unless given"},
                    {"--trace", NULL, "also what the network does"},
                    {"--json", NULL, "one JSON object a line"},
                    {"--mutants", NULL, "with --all: each with the bug it names, and must fail"},
                    {"--mutant", "MUTANT", "with this known bug switched on"}},
        .summary = "run a failure that a real system met, by its name",
        .help =
            "Puts whole nodes through a script, with the oracle watching, and holds them to the "
            "bound of\nthe scenario. With a SCENARIO, prints the timeline and the verdict.\n"
            "Exit status: 0 all passed, 1 some failed.",
        .run = cmd_scenario,
    },
    {
        .name = "mutants",
        .options = {{"--only", "MUTANT,...", "these; all unless given"},
                    {"--seeds-max", "N", "seeds that each is given; 500 unless given"},
                    {"--jobs", "N", "processes; as many as there are processors"},
                    {"--json", NULL, "one JSON object a line"},
                    {"--markdown", NULL, "the table of docs/mutants.md"}},
        .summary = "switch known bugs on, one at a time, and count the seeds until each is caught",
        .help =
            "The proof that the simulator finds bugs: each is one that a real system had, "
            "built into\nthis program's copy of the core. replay --mutant shows how one fails.\n"
            "Exit status: 0 all were caught, 1 some were not.",
        .run = cmd_mutants,
    },
    {
        .name = "availability",
        .options = {{"--model", "FILE", "rates of failure, a line each: NAME: NUMBER"},
                    {"--set", "NAME=NUMBER,...", "the same, after the file"},
                    {"--seeds", "N", "runs of each kind of failure; 20 unless given"},
                    {"--goal", "G", "0.99999 unless given"},
                    {"--json", NULL, "one JSON object a line"}},
        .summary = "measure what each failure costs a machine, and what that makes of a year",
        .help =
            "Plays each kind of failure on whole nodes in virtual time, and combines how long a "
            "machine\nwas away with declared rates of failure: its expected availability, and "
            "the budget by cause.\nExit status: 0 the goal is reached, 1 it is not, or a run "
            "failed.",
        .run = cmd_availability,
    },
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
    {
        .name = "completion",
        .arguments = {"SHELL"},
        .summary = "print the completion of command lines for bash",
        .help = "Made from the same table as this help. For this shell:\n"
                "  source <(novacron-sim completion bash)",
        .run = cmd_sim_completion,
    },
    {
        .name = "detect",
        .arguments = {"EXPERIMENT"},
        .options = {{"--seeds", "N", "runs of each cell; the experiment's own number unless given"},
                    {"--jobs", "N", "processes; as many as there are processors"},
                    {"--quick", NULL, "a subset that takes seconds"},
                    {"--csv", "FILE", "also write the tables there"},
                    {"--svg", "FILE", "also draw the curves there"},
                    {"--latency", "DIR",
                     "with round-trip times that were measured: NAME.txt, "
                     "squares of seconds"}},
        .summary = "measure failure detectors and membership gossip in virtual time",
        .help = "Runs one of the experiments of docs/detection.md (`detect ?` lists them), prints "
                "tables with\nmedians and 95 % intervals, and ends with its figures, each a line "
                "`name: value unit`.\nThe same seeds give the same figures.\n"
                "Exit status: 0 done, 1 a run crashed, 2 a file could not be read or written.",
        .run = cmd_detect,
    },
};

const struct cli_program cli_novacron_sim = {
    .name = "novacron-sim",
    .summary = "runs clusters in a simulated world, and judges what their clients saw",
    .commands = sim_commands,
    .command_count = sizeof sim_commands / sizeof sim_commands[0],
};
