/* The program `novacron-sim`. */
#include <stdio.h>

#include "cli/sim/sim_commands.h"
#include "cli/sim/sim_pool.h"
#include "core/base/check.h"

void check_report(const char *file, int line, const char *cond)
{
    char text[256];

    (void)snprintf(text, sizeof text, "%s:%d: %s", file, line, cond);
    if (sim_pool_report(text)) {
        (void)fprintf(stderr, "novacron-sim: a bug: %s does not hold; please report it\n", text);
    }
}

int main(int argc, char **argv)
{
    return (int)cli_main(&cli_novacron_sim, argc, argv);
}
