/* The contract of commands, held against the simulated world. */
#include "core/chaos/simprogram.h"
#include "core/chaos/simworld.h"
#include "tests/support/test.h"
#include "tests/world/command_contract.h"

static const char *const *sim_arguments(enum command_program program)
{
    static const char *const table[PROGRAMS][2] = {
        [PROGRAM_SUCCEEDS] = {"/bin/succeeds"}, [PROGRAM_FAILS] = {"/bin/fails"},
        [PROGRAM_DIES] = {"/bin/dies"},         [PROGRAM_ECHOES] = {"/bin/echoes"},
        [PROGRAM_HANGS] = {"/bin/hangs"},       [PROGRAM_FLOODS] = {"/bin/floods"},
        [PROGRAM_LEAVES] = {"/bin/leaves"},     [PROGRAM_IS_NONE] = {"/bin/none"},
    };
    return table[program];
}

static void command_sim_open(struct command_bench *bench)
{
    static const struct simprogram_conduct conducts[PROGRAMS] = {
        [PROGRAM_SUCCEEDS] = {.output = "well\n"},
        [PROGRAM_FAILS] = {.status = 3, .errors = "no route\n"},
        [PROGRAM_DIES] = {.manner = SIMPROGRAM_DIES, .status = 15},
        [PROGRAM_ECHOES] = {.manner = SIMPROGRAM_ECHOES},
        [PROGRAM_HANGS] = {.manner = SIMPROGRAM_HANGS},
        [PROGRAM_FLOODS] = {.flood = COMMAND_FLOOD_BYTES},
        [PROGRAM_LEAVES] = {.status = 0},
    };
    struct simworld *sim = simworld_new(1);
    struct simhost *host = simhost_new(sim, "a", 0);

    for (enum command_program i = 0; i < PROGRAM_IS_NONE; i++) {
        simprogram_install(host, sim_arguments(i)[0], &conducts[i]);
    }
    bench->world = simhost_world(host);
    bench->own = sim;
}

static void command_sim_close(struct command_bench *bench)
{
    simworld_free(bench->own);
}

static void command_sim_step(struct command_bench *bench)
{
    (void)simworld_step(bench->own);
}

int main(void)
{
    struct command_place place = {"simulated commands", command_sim_open, command_sim_close,
                                  command_sim_step, sim_arguments};
    return command_contract_run(&place);
}
