/* The program `novacron`. */
#include <stdio.h>

#include "cli/command.h"
#include "core/base/check.h"

void check_report(const char *file, int line, const char *cond)
{
    (void)fprintf(stderr, "novacron: a bug: %s:%d: %s does not hold; please report it\n", file,
                  line, cond);
}

int main(int argc, char **argv)
{
    return (int)cli_main(&cli_novacron, argc, argv);
}
