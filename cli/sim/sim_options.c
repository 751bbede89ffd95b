#include "cli/sim/sim_options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/sim/sim_pool.h"

static bool parse_number(const char **text, uint64_t *ret)
{
    char *end;

    if (**text < '0' || **text > '9') {
        return false;
    }
    errno = 0;
    *ret = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0;
}

bool sim_option_seeds(const char *command, const char *text, uint64_t *ret_first,
                      uint64_t *ret_last)
{
    const char *at = text;
    uint64_t first;
    uint64_t last;

    if (text == NULL) {
        return true;
    }
    bool is_good = parse_number(&at, &first);
    last = is_good ? first : 0;
    if (is_good && strncmp(at, "..", 2) == 0) {
        at += 2;
        is_good = parse_number(&at, &last);
    }
    if (!is_good || *at != '\0' || last < first || last == UINT64_MAX) {
        (void)fprintf(stderr,
                      "novacron-sim %s: --seeds %s: give one seed, or the first and the last as "
                      "1..1000\n",
                      command, text);
        return false;
    }
    *ret_first = first;
    *ret_last = last;
    return true;
}

bool sim_option_number(const char *command, const char *option, const char *text, uint64_t lo,
                       uint64_t hi, uint64_t *ret)
{
    const char *at = text;
    uint64_t number;

    if (text == NULL) {
        return true;
    }
    if (!parse_number(&at, &number) || *at != '\0' || number < lo || number > hi) {
        (void)fprintf(stderr,
                      "novacron-sim %s: %s %s: give a number from %" PRIu64 " to %" PRIu64 "\n",
                      command, option, text, lo, hi);
        return false;
    }
    *ret = number;
    return true;
}

bool sim_option_profile(const char *command, const char *text, enum sim_profile *ret)
{
    if (text == NULL || sim_profile_find(text, ret)) {
        return true;
    }
    (void)fprintf(stderr, "novacron-sim %s: --profile %s: there is no such profile; these are:\n",
                  command, text);
    for (size_t i = 0; i < SIM_PROFILES; i++) {
        (void)fprintf(stderr, "  %-10s %s\n", sim_profile_name((enum sim_profile)i),
                      sim_profile_help((enum sim_profile)i));
    }
    return false;
}

bool sim_option_hours(const char *command, const char *text, double *ret_seconds)
{
    char *end;

    if (text == NULL) {
        return true;
    }
    double hours = strtod(text, &end);
    if (end == text || *end != '\0' || !(hours > 0) || hours > 10000) {
        (void)fprintf(stderr, "novacron-sim %s: --hours %s: give hours, as 8 or 0.5\n", command,
                      text);
        return false;
    }
    *ret_seconds = hours * 3600;
    return true;
}

uint64_t sim_option_cores(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > SIM_JOBS_MAX ? SIM_JOBS_MAX : (uint64_t)cores;
}
