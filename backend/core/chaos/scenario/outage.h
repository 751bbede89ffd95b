/*
 * How long a machine is away when something fails: measured on whole nodes in the simulated world,
 * and what that makes of a year.
 *
 * outage_measure plays one failure on a stage (stage_machines.h) and watches the machine's volume:
 * the outage is the longest time without a write, less the period at which it writes. It takes all
 * of the code in, from detection to the start elsewhere; the guest's own boot is not in it, for
 * simulated guests have none worth the name.
 *
 * outage_year puts such means together with declared rates of failure. It assumes what is written
 * there, and docs/availability.md says what it leaves out.
 */
#ifndef NOVACRON_CHAOS_SCENARIO_OUTAGE_H
#define NOVACRON_CHAOS_SCENARIO_OUTAGE_H

#include "core/chaos/sim/sim.h"

/* enumerator, name, what fails */
#define OUTAGE_TABLE(X)                                                                            \
    X(OUTAGE_HOST_OFF, "host-off", "its host is off; the controller answers")                      \
    X(OUTAGE_LEADER_OFF, "leader-off", "the same, and the host led")                               \
    X(OUTAGE_HOST_HANGS, "host-hangs", "its host stands still, with its machines and its guard")   \
    X(OUTAGE_NO_CONTROLLER, "no-controller", "its host is off, and its controller is dead")        \
    X(OUTAGE_NO_DEVICE, "no-device", "its host is off, and no fence device answers: P passes")     \
    X(OUTAGE_NETWORK, "network", "its host is cut off from the others")                            \
    X(OUTAGE_DAEMON, "daemon", "the daemon of its host dies, and is started again")                \
    X(OUTAGE_LEADER_DAEMON, "leader-daemon", "the leader's daemon dies, and is started again")     \
    X(OUTAGE_DAEMON_GONE, "daemon-gone", "the daemon of its host cannot start: its disk is gone")  \
    X(OUTAGE_VM_CRASH, "vm-crash", "the machine's own process dies")                               \
    X(OUTAGE_OTHER_HOST, "other-host", "another host is off")

enum outage_kind {
#define OUTAGE_ENUM(kind, name, text) kind,
    OUTAGE_TABLE(OUTAGE_ENUM)
#undef OUTAGE_ENUM
        OUTAGE_KINDS
};

const char *outage_name(enum outage_kind kind);
const char *outage_text(enum outage_kind kind);

/* How many hosts a measurement may have. */
#define OUTAGE_HOSTS_MIN 3
#define OUTAGE_HOSTS_MAX 7

struct outage {
    nanos span;         /* without the machine */
    bool was_restarted; /* its guest has to boot */
};

/* False: an invariant was broken, or the machine did not come back within two minutes; the result
 * says which. */
bool outage_measure(enum outage_kind kind, uint32_t hosts, uint64_t seed, struct outage *ret,
                    struct sim_result *result);

/* --- a year ----------------------------------------------------------------------------------- */

#define HOURS_A_YEAR   8766.0
#define MINUTES_A_YEAR (60.0 * HOURS_A_YEAR)

/* name, default, what it is. A mean time between failures of 0: never. */
#define OUTAGE_RATE_TABLE(X)                                                                       \
    X(hosts, 3, "hosts, all voters; one can be lost, or two of five, with room for its machines")  \
    X(host_mtbf_h, 8766, "hours between losses of one host: hardware, kernel, power supply")       \
    X(host_repair_h, 4, "hours until it is back")                                                  \
    X(hang_share, 0.2, "of these losses, those that leave it hanging with its power on")           \
    X(mains_share, 0.1, "of these losses, those that take its controller and outlet along")        \
    X(network_mtbf_h, 87660, "hours until a host's own network is lost: card, cable, port")        \
    X(network_repair_h, 4, "hours until it is back")                                               \
    X(disk_mtbf_h, 87660, "hours until the disk of a host's daemon is lost")                       \
    X(disk_repair_h, 8, "hours until it is replaced")                                              \
    X(controller_mtbf_h, 43830, "hours until a management controller is dead")                     \
    X(controller_repair_h, 24, "hours until it is back")                                           \
    X(outlet_mtbf_h, 175320, "hours until a switched outlet is dead")                              \
    X(outlet_repair_h, 24, "hours until it is back")                                               \
    X(daemon_mtbf_h, 2190, "hours until a daemon crashes")                                         \
    X(vm_mtbf_h, 8766, "hours until a machine's process crashes")                                  \
    X(guest_boot_s, 20, "seconds from a started process to a guest that serves")                   \
    X(storage_mtbf_h, 0, "hours until the shared storage is lost; 0: not counted")                 \
    X(storage_repair_h, 1, "hours until it is back")

struct outage_rates {
#define OUTAGE_RATE_FIELD(name, value, text) double name;
    OUTAGE_RATE_TABLE(OUTAGE_RATE_FIELD)
#undef OUTAGE_RATE_FIELD
};

struct outage_rates outage_rates_default(void);

/* The field of a name, or NULL; names and texts by number, NULL behind the last. */
double *outage_rate_find(struct outage_rates *rates, const char *name, size_t length);
const char *outage_rate_name(size_t i);
const char *outage_rate_text(size_t i);

/* NULL, or what makes no sense. */
const char *outage_rates_check(const struct outage_rates *rates);

/* Means over seeds, in seconds, of each kind; with the share of runs that restarted the machine. */
struct outage_mean {
    double mean_s;
    double worst_s;
    double restarted; /* 0 to 1 */
    uint64_t seeds;
};

/* One cause, for one machine: how often a year, how long each time, and what that costs. */
struct outage_cause {
    const char *name;
    double times; /* a year */
    double each_s;
    double minutes; /* a year */
};

#define OUTAGE_CAUSES_MAX 12

struct outage_sum {
    struct outage_cause causes[OUTAGE_CAUSES_MAX];
    size_t n;
    double minutes; /* a year */
    double availability;
};

void outage_year(const struct outage_rates *rates, const struct outage_mean means[OUTAGE_KINDS],
                 struct outage_sum *ret);

#endif
