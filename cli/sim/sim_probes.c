#include "cli/sim/sim_probes.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

static const struct {
    const char *name;
    const char *excuse; /* why the default profile does not pass it; "": it must */
} probe_rows[PROBES] = {
#define PROBE_ROW(probe, name, excuse) [PROBE_##probe] = {name, excuse},
    PROBE_TABLE(PROBE_ROW)
#undef PROBE_ROW
};

void sim_probes_add(struct sim_probes *sum, const uint64_t counts[PROBES])
{
    for (size_t i = 0; i < PROBES; i++) {
        sum->counts[i] += counts[i];
    }
}

void sim_probes_print(const struct sim_probes *sum)
{
    (void)printf("\n%10s  %s\n", "passed", "probe");
    for (size_t i = 0; i < PROBES; i++) {
        (void)printf("%10" PRIu64 "  %s\n", sum->counts[i], probe_rows[i].name);
    }
}

size_t sim_probes_print_missing(const struct sim_probes *sum)
{
    size_t missing = 0;

    for (size_t i = 0; i < PROBES; i++) {
        if (sum->counts[i] > 0) {
            continue;
        }
        bool is_excused = probe_rows[i].excuse[0] != '\0';
        (void)printf("never passed: %s%s%s\n", probe_rows[i].name, is_excused ? ": " : "",
                     probe_rows[i].excuse);
        missing += is_excused ? 0 : 1;
    }
    return missing;
}
