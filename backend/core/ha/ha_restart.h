/*
 * ha_restart: what follows when a machine has ended that should run.
 *
 * The counters are in its owner's record and nowhere else, so they are the same for every leader
 * (I14). They are raised by a failure, and go down only by the two functions here that say so,
 * which a leader calls after quiet times that it has measured whole on its own clock.
 *
 *     failures   raised by each; down by one after window_s / limit without a failure; to zero
 * after a run of stable_s, and by an operator's start. At `limit`: FAILED. here       raised by
 * each; to zero with another host, and after a run of stable_s. At `here_max` another host is
 * tried, where one fits. restarts   raised by each restart, and never lowered.
 *
 * The delay before the n-th restart in a row is delay_ms * 2^(n-1), at most delay_max_ms, and drawn
 * between three quarters of that and the whole, so that machines that ended together do not start
 * together.
 */
#ifndef NOVACRON_HA_RESTART_H
#define NOVACRON_HA_RESTART_H

#include "core/base/prng.h"
#include "core/ha/ha_record.h"

enum ha_restart_course {
    HA_RESTART_HERE,
    HA_RESTART_ELSEWHERE, /* on another host where one fits, else here */
    HA_RESTART_GIVE_UP    /* FAILED */
};

/* A start, or a run, of the machine has failed in the epoch of `owner`, whose counters and reason
 * are brought up to date; phase, host and epoch are left to the caller. `how` completes "it ...":
 * "crashed", "could not be started: ERR_REFUSED". `is_bound`: it can run on this host alone. */
enum ha_restart_course ha_restart_after_failure(const struct ha_restart_rule *rule, const char *how,
                                                bool is_bound, struct ha_owner *owner);

/* How long to wait before the next start, by the counters of `owner`. 0 where it has not failed. */
nanos ha_restart_delay(const struct ha_restart_rule *rule, const struct ha_owner *owner,
                       struct prng *prng);

/* Without a failure for so long, one is forgiven. */
nanos ha_restart_forgive_after(const struct ha_restart_rule *rule);
void ha_restart_forgive(struct ha_owner *owner);

/* A run of one epoch for so long forgives all. */
nanos ha_restart_stable_after(const struct ha_restart_rule *rule);
void ha_restart_stable(struct ha_owner *owner);

/* A start with a new epoch, on `host`: counts it, unless it is the first, and, where that is
 * another host than before, begins to count failures there. Call it before host and epoch are
 * changed. */
void ha_restart_begun(struct ha_owner *owner, const char *host);

/* An operator has asked for it (start_count): nothing counts any more, and FAILED is over. */
void ha_restart_asked(struct ha_owner *owner, uint64_t start_count);

/* May `after` follow `before` in one transaction? NULL: yes; else what was broken (epochs and
 * restarts that go back, failures that vanish, an epoch used twice, a phase that does not follow
 * its predecessor). The first epoch may be any: it is above those of earlier machines of the name.
 * For checks and for the simulator's oracle. Either may be NULL: no record. */
const char *ha_owner_may_follow(const struct ha_owner *before, const struct ha_owner *after);

#endif
