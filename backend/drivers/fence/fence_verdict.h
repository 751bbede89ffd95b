/*
 * What the run of a fence agent proves, as functions of how it ended and what it wrote.
 *
 * THE API says that `status` exits with 0 for on and with 2 for off, and with 1 where it cannot
 * tell. But 2 is also what the agents' library exits with for bad arguments, and what an
 * interpreter exits with that does not find its program. So off counts only where the agent also
 * writes it: a line "Status: OFF", as all agents of the library do. Whatever contradicts itself is
 * unknown, and unknown is never off.
 *
 * "ALREADY OFF". There are agents that say that a machine is off where they have reached nothing:
 * fence_dummy does, with a state file that it cannot read, both when told to switch off and when
 * asked. What can say nothing but "off" proves nothing by it. So a device's "off" counts only once
 * the same device, in the same configuration, has said "on" (is_seen_on): then it is known to tell
 * one from the other.
 *
 * A SWITCH, whatever the agent says of it, is judged by what is read back after it, each time by
 * another run of `status`:
 *
 *     read back         agent said OK    agent failed      agent was cut off by our deadline
 *     what was wanted   done             done              done
 *     the opposite      read again       its failure       read again
 *     nothing           read again       its failure       read again
 *
 * Off that was read from a device which has never been seen on ends it as a failure (ERR_IO).
 */
#ifndef NOVACRON_DRIVERS_FENCE_FENCE_VERDICT_H
#define NOVACRON_DRIVERS_FENCE_FENCE_VERDICT_H

#include "core/world/world.h"

struct fence_reading {
    enum err result;              /* as of world_power_request */
    enum world_power_state state; /* UNKNOWN with any error */
    bool is_unproven;             /* it says off, and has never been seen on */
    const char *why;              /* a static string; NULL: nothing to say */
};

/* Of a run of any action: OK where the agent says that it succeeded (exit status 0). */
enum err fence_result_of(const struct world_command_request *run);

/* Of a run of `status`. `run->output.buffer` holds run->output.kept bytes. */
struct fence_reading fence_reading_of(const struct world_command_request *run, bool is_seen_on);

enum fence_next {
    FENCE_DONE,  /* the power is as wanted */
    FENCE_AGAIN, /* read once more */
    FENCE_FAILED /* with the error at `ret` */
};

/* After a read-back. `switched` is how the agent's own run ended. */
enum fence_next fence_after_reading(enum world_power_state wanted, enum err switched,
                                    const struct fence_reading *reading, enum err *ret);

/* The text of an exit status, for people. */
const char *fence_exit_text(int status);

#endif
