/*
 * Fault plans as text: one row a line, its numbers first, and what it means to a person behind a
 * '#'. What `shrink` writes and `replay --plan` reads.
 *
 *     AT_NS SPAN_NS KIND TARGET PICK MODE NUMBER DRAW   # 3.210000s kill leader0 for 0.400000s
 */
#ifndef NOVACRON_CLI_SIM_PLAN_FILE_H
#define NOVACRON_CLI_SIM_PLAN_FILE_H

#include <stdio.h>

#include "core/chaos/sim/fault.h"

/* False: it could not be read, or a line is no row; stderr says which, and why. */
bool sim_plan_file_read(const char *path, struct fault_plan *ret);

void sim_plan_file_write(FILE *out, const struct fault_plan *plan);

#endif
