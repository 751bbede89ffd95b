/*
 * ha_proof: what proves that a lost host runs a machine no more.
 *
 * The bound. With drift rho, lease L, watchdog W (time-out and tolerance) and I/O in flight D, a
 * machine may start elsewhere by time alone once
 *
 *     P = (1 + rho) * (L / (1 - rho) + W + D)
 *
 * has passed on the leader's clock since its receipt of the last renewal that it granted, or, for a
 * leader that knows of none, since its first commit in its own term. All is in whole numbers of
 * nanoseconds and parts per million, and rounded up.
 *
 * The table is that of docs/ha.md. `ha_proof_rule` is all of it; whatever is not in it proves
 * nothing: time-outs, "unknown", "already off" by a device that nobody reached, silence.
 */
#ifndef NOVACRON_HA_PROOF_H
#define NOVACRON_HA_PROOF_H

#include "core/ha/ha_record.h"

/* The largest drift: ten per cent. A clock that is worse is broken. */
#define HA_DRIFT_PPM_MAX 100000

/* L, W and D, at most: an hour each, so that no sum of them overflows. */
#define HA_SPAN_MAX (3600 * NANOS_PER_S)

struct ha_bound {
    nanos lease;
    nanos watchdog;
    nanos flight;
    uint32_t drift_ppm;
};

/* P. ERR_INVALID: one of the spans is above HA_SPAN_MAX, the drift above HA_DRIFT_PPM_MAX, or the
 * lease 0. */
MUST_USE enum err ha_proof_bound(const struct ha_bound *bound, nanos *ret);

/* What is left, at most, on the host's clock of a lease that began so long ago on the leader's. A
 * drift above HA_DRIFT_PPM_MAX leaves all of it. */
nanos ha_proof_lease_left(nanos lease, nanos passed, uint32_t drift_ppm);

/* (1 + rho) D: how long a fence has to be followed by nothing. NANOS_FOREVER where D is beyond all
 * reason (some hours). */
nanos ha_proof_flight(nanos flight, uint32_t drift_ppm);

/* What is known of a host, and of one machine on it. Zeroed: nothing. */
struct ha_evidence {
    /* The fence: every device of one level was told OFF and was reached, STATUS, read back
     * afterwards, said off by each, and so long ago (on the leader's clock). */
    bool is_read_back_off;
    nanos since_off;

    /* The lease: the fate `lost` or `fencing` is committed, so that nothing is granted any more;
     * so long ago is the last granted renewal, or the leader's first commit. */
    bool is_barred;
    nanos since_renewal;
    enum world_watchdog watchdog; /* attested with it, as is its time-out */
    nanos watchdog_timeout;
    bool is_bare_metal;

    /* An operator has confirmed, for this incident, with name and reason. */
    bool is_confirmed;

    /* The agent's report says "stopped" for this epoch, over its authenticated session. */
    uint64_t stopped_epoch; /* 0: no such report */

    /* A majority of the volume's replicas refuses the old epoch. */
    bool is_volume_raised;
};

/* The machine in question. */
struct ha_claim {
    enum ha_policy policy;
    uint64_t epoch; /* of its owner's record */
    nanos lease;    /* L */
    nanos flight;   /* D of its storage; NANOS_FOREVER: not known, and no fence proves anything */
    uint32_t drift_ppm;
};

/* Why there is no proof; the first that holds in this order is the one told. All but FLIGHT and
 * TIME are nothing that waiting would mend. */
enum ha_missing {
    HA_MISSING_NOTHING,
    HA_MISSING_FLIGHT,     /* off, and I/O in flight may still land */
    HA_MISSING_BAR,        /* no fate is committed that ends its leases */
    HA_MISSING_KEEP,       /* P says nothing: its policy is `keep` */
    HA_MISSING_BARE_METAL, /* P says nothing: the host may be paused as a whole */
    HA_MISSING_WATCHDOG,   /* P says nothing: no armed hardware watchdog was attested */
    HA_MISSING_BOUND,      /* P cannot be told: a span is out of range, or not known */
    HA_MISSING_TIME,       /* P has not passed */
    HA_MISSINGS
};

struct ha_ruling {
    enum ha_proof proof; /* NONE: no start elsewhere */
    bool may_open;       /* the volume, elsewhere */
    bool may_start;      /* the machine, elsewhere; implies may_open */
    enum ha_missing missing;
    nanos
        left; /* FLIGHT, TIME: so long until there is a proof; else NANOS_FOREVER, or 0 with one */
};

/* The strongest proof there is: stopped, fenced, confirmed, expired. A volume whose replicas refuse
 * the old epoch may be opened without one, and needs no wait for I/O in flight behind a fence. */
void ha_proof_rule(const struct ha_evidence *evidence, const struct ha_claim *claim,
                   struct ha_ruling *ret);

/* What is missing, and what would resolve it: whole sentences. Static strings. */
const char *ha_missing_text(enum ha_missing missing);
const char *ha_missing_remedy(enum ha_missing missing);

/* May the fate `after` follow `before` in one transaction? NULL: yes; else what was broken: a host
 * that is gone without having been barred first, or by a proof for another incident; a fence that
 * was taken back to `lost`; losses or a quarantine that vanish while the host is not up; an older
 * leader. For checks and for the simulator's oracle. Either may be NULL: no record. */
const char *ha_fate_may_follow(const struct ha_fate *before, const struct ha_fate *after);

/* Are the settings such that the cluster can keep its promises, with the longest watchdog and the
 * longest flight that it has? ERR_INVALID, and `why` says which and what would do; the same with OK
 * where something is merely unwise, as a warning. Beyond the ranges of single fields: P is within
 * expiry_max_ms. */
MUST_USE enum err ha_settings_check(const struct ha_settings *settings, nanos watchdog,
                                    nanos flight, struct buf *why);

#endif
