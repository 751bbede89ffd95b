/* Which transaction may follow which, of one owner's record: the phases of docs/ha.md as a table,
 * and what never goes back. */
#include "core/ha/ha_restart.h"

#include <string.h>

#define TO(phase) (1U << (phase))

/* From each phase, the phases that one transaction may lead to. */
static const uint32_t next_phases[HA_PHASES] = {
    [HA_WAITING] = TO(HA_WAITING) | TO(HA_STARTING) | TO(HA_STOPPED) | TO(HA_FAILED),
    [HA_STARTING] = TO(HA_STARTING) | TO(HA_RUNNING) | TO(HA_STOPPING) | TO(HA_STOPPED) |
                    TO(HA_RESTARTING) | TO(HA_RECOVERING) | TO(HA_WAITING) | TO(HA_FAILED),
    [HA_RUNNING] = TO(HA_RUNNING) | TO(HA_MOVING) | TO(HA_STOPPING) | TO(HA_STOPPED) |
                   TO(HA_RESTARTING) | TO(HA_RECOVERING) | TO(HA_WAITING) | TO(HA_FAILED),
    [HA_MOVING] = TO(HA_MOVING) | TO(HA_STARTING) | TO(HA_RUNNING) | TO(HA_STOPPING) |
                  TO(HA_STOPPED) | TO(HA_RESTARTING) | TO(HA_RECOVERING) | TO(HA_WAITING) |
                  TO(HA_FAILED),
    [HA_STOPPING] = TO(HA_STOPPING) | TO(HA_STOPPED) | TO(HA_STARTING) | TO(HA_RESTARTING) |
                    TO(HA_RECOVERING) | TO(HA_WAITING) | TO(HA_FAILED),
    [HA_STOPPED] = TO(HA_STOPPED) | TO(HA_STARTING) | TO(HA_WAITING),
    [HA_RESTARTING] = TO(HA_RESTARTING) | TO(HA_STARTING) | TO(HA_STOPPED) | TO(HA_RECOVERING) |
                      TO(HA_WAITING) | TO(HA_FAILED),
    [HA_RECOVERING] = TO(HA_RECOVERING) | TO(HA_STARTING) | TO(HA_RUNNING) | TO(HA_STOPPING) |
                      TO(HA_STOPPED) | TO(HA_RESTARTING) | TO(HA_WAITING) | TO(HA_FAILED),
    [HA_FAILED] = TO(HA_FAILED) | TO(HA_STARTING) | TO(HA_WAITING) | TO(HA_STOPPED),
};

/* The phase is about the host and the epoch of the phase before. */
static bool keeps_host(enum ha_phase phase)
{
    return phase == HA_RUNNING || phase == HA_MOVING || phase == HA_STOPPING ||
           phase == HA_RESTARTING || phase == HA_RECOVERING;
}

static bool is_same_disk(const struct ha_owner *before, const struct ha_owner *after)
{
    return strcmp(before->volume, after->volume) == 0 &&
           strcmp(before->storage, after->storage) == 0 && strcmp(before->path, after->path) == 0;
}

/* A guest goes on where it was moved to, in the epoch in which a machine has waited for it there,
 * and without a proof of anything else. */
static bool is_switch_over(const struct ha_owner *before, const struct ha_owner *after)
{
    return before->phase == HA_MOVING && after->phase == HA_STARTING &&
           after->epoch == before->issued && ha_owner_issued(after) == before->issued &&
           strcmp(after->host, before->to) == 0 && before->port != 0 &&
           after->proof == HA_PROOF_MOVED;
}

/* A move begins with an epoch of its own, for the machine that waits; where it waits is told once,
 * and nothing else of it ever changes. */
static const char *move_may_follow(const struct ha_owner *before, const struct ha_owner *after)
{
    if (ha_owner_issued(after) < ha_owner_issued(before)) {
        return "an epoch that was given out is to be given out again";
    }
    if (after->phase == HA_MOVING && before->phase != HA_MOVING) {
        return after->issued == ha_owner_issued(before) + 1 && after->port == 0
                   ? NULL
                   : "a move began with another epoch than the next";
    }
    if (after->phase == HA_MOVING) {
        bool is_same = after->issued == before->issued && strcmp(after->to, before->to) == 0 &&
                       (before->port == 0 || (before->port == after->port &&
                                              strcmp(before->address, after->address) == 0));
        return is_same ? NULL : "a move has changed its end";
    }
    if (before->phase == HA_MOVING && after->phase == HA_STARTING) {
        if (!is_switch_over(before, after)) {
            return "a machine left its host in a move's middle";
        }
        return is_same_disk(before, after) ? NULL : "a guest was moved to another disk";
    }
    bool is_new = after->proof == HA_PROOF_MOVED &&
                  (before->proof != HA_PROOF_MOVED ||
                   (after->phase == HA_STARTING && after->epoch != before->epoch));
    return is_new ? "a machine was moved that was not moving" : NULL;
}

static const char *epoch_may_follow(const struct ha_owner *before, const struct ha_owner *after)
{
    /* A host that is back, and has not said whether it has started the epoch, may still: its agent
     * starts an epoch once. */
    bool is_same_start = after->epoch == before->epoch && after->epoch > 0 &&
                         (before->phase == HA_STARTING || before->phase == HA_RECOVERING) &&
                         strcmp(before->host, after->host) == 0;
    /* The first of this record: above those of an earlier machine of its name. */
    bool is_first = before->epoch == 0 && after->epoch > 0;

    if (after->epoch < before->epoch) {
        return "the epoch went back";
    }
    if (after->epoch == before->epoch && !is_same_disk(before, after)) {
        return "the disk changed without a start";
    }
    if (after->phase == HA_STARTING) {
        return is_same_start || is_first || after->epoch == ha_owner_issued(before) + 1 ||
                       is_switch_over(before, after)
                   ? NULL
                   : "a start has another epoch than the next, or one that was used";
    }
    if (after->epoch != before->epoch) {
        return "the epoch was raised without a start";
    }
    if (after->policy != before->policy && before->epoch > 0) {
        return "the policy changed without a start";
    }
    if (keeps_host(after->phase) && strcmp(before->host, after->host) != 0) {
        return "the host changed without a start";
    }
    return NULL;
}

/* A machine that may run somewhere leaves that place by a proof alone. */
static const char *proof_may_follow(const struct ha_owner *before, const struct ha_owner *after)
{
    bool is_new_start = after->phase == HA_STARTING && after->epoch != before->epoch;
    bool leaves = is_new_start || after->phase == HA_WAITING;

    return ha_phase_may_run(before->phase) && leaves && after->proof == HA_PROOF_NONE
               ? "it left a host that may still run it, without a proof"
               : NULL;
}

static const char *counters_may_follow(const struct ha_owner *before, const struct ha_owner *after)
{
    bool was_asked = after->start_count > before->start_count;
    bool is_stable = before->phase == HA_RUNNING && after->phase == HA_RUNNING;

    if (after->restarts < before->restarts || after->restarts - before->restarts > 1) {
        return "the restarts went back, or more than one was counted";
    }
    if (after->moves < before->moves || after->moves - before->moves > 1) {
        return "the moves went back, or more than one was counted";
    }
    if (after->start_count < before->start_count) {
        return "an operator's start was forgotten";
    }
    if (after->term < before->term) {
        return "a leader of an older term wrote it";
    }
    if (after->failures < before->failures && !was_asked && !(is_stable && after->failures == 0) &&
        after->failures + 1 != before->failures) {
        return "failures vanished";
    }
    if (before->phase == HA_FAILED && !was_asked &&
        (after->phase == HA_STARTING || after->phase == HA_WAITING)) {
        return "a machine that has failed was started without an operator";
    }
    return NULL;
}

const char *ha_owner_may_follow(const struct ha_owner *before, const struct ha_owner *after)
{
    if (before == NULL) {
        return after == NULL || !keeps_host(after->phase) ? NULL
                                                          : "it began in the middle of a life";
    }
    if (after == NULL) {
        return NULL; /* the machine was deleted; by which proof, no record says any more */
    }
    if ((next_phases[before->phase] & TO(after->phase)) == 0) {
        return "this phase does not follow that one";
    }
    const char *fault = epoch_may_follow(before, after);
    fault = fault != NULL ? fault : proof_may_follow(before, after);
    fault = fault != NULL ? fault : move_may_follow(before, after);
    return fault != NULL ? fault : counters_may_follow(before, after);
}
