/* The program `novacron-sim`. */
#include <stdio.h>

#include "cli/sim/sim_commands.h"
#include "core/base/check.h"

void check_report(const char *file, int line, const char *cond)
{
    (void)fprintf(stderr, "novacron-sim: a bug: %s:%d: %s does not hold; please report it\n", file,
                  line, cond);
}

int main(int argc, char **argv)
{
    return (int)cli_main(&cli_novacron_sim, argc, argv);
}
