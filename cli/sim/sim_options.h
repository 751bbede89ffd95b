/* What the options of several commands of `novacron-sim` mean. A text that cannot be read is
 * reported on stderr with what it should be; NULL, an option that was not given, changes nothing.
 */
#ifndef NOVACRON_CLI_SIM_OPTIONS_H
#define NOVACRON_CLI_SIM_OPTIONS_H

#include "core/chaos/sim/profile.h"

/* "7" or "1..1000". */
bool sim_option_seeds(const char *command, const char *text, uint64_t *ret_first,
                      uint64_t *ret_last);

/* A whole number from `lo` to `hi`. */
bool sim_option_number(const char *command, const char *option, const char *text, uint64_t lo,
                       uint64_t hi, uint64_t *ret);

bool sim_option_profile(const char *command, const char *text, enum sim_profile *ret);

/* Hours, with decimals, as seconds. */
bool sim_option_hours(const char *command, const char *text, double *ret_seconds);

/* Processors of this machine, as far as workers go. */
uint64_t sim_option_cores(void);

#endif
