#include "core/ha/ha_proof.h"

#include "core/base/check.h"
#include "core/base/mutant.h"
#include "core/base/say.h"

#define PPM 1000000U

/* No sum or product below leaves 64 bits: three spans, the lease a ninth longer, times 1.1 million.
 */
_Static_assert(HA_DRIFT_PPM_MAX <= PPM / 10 &&
                   HA_SPAN_MAX <= UINT64_MAX / (PPM + HA_DRIFT_PPM_MAX) / 4,
               "the bound is worked out in 64 bits");

/* a / b, rounded up; a + b fits. */
static nanos divide_up(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

enum err ha_proof_bound(const struct ha_bound *bound, nanos *ret)
{
    if (bound->lease == 0 || bound->lease > HA_SPAN_MAX || bound->watchdog > HA_SPAN_MAX ||
        bound->flight > HA_SPAN_MAX || bound->drift_ppm > HA_DRIFT_PPM_MAX) {
        return ERR_INVALID;
    }
    nanos lease = divide_up(bound->lease * PPM, PPM - bound->drift_ppm);
    nanos sum = lease + bound->watchdog + bound->flight;
    *ret = divide_up(sum * (PPM + bound->drift_ppm), PPM);
    return OK;
}

nanos ha_proof_lease_left(nanos lease, nanos passed, uint32_t drift_ppm)
{
    if (drift_ppm > HA_DRIFT_PPM_MAX) {
        return lease;
    }
    /* No lease is above HA_SPAN_MAX, and the product stays within 64 bits. */
    nanos counted = u64_min(passed, 4 * HA_SPAN_MAX);
    return u64_sub_sat(lease, counted * (PPM - drift_ppm) / (PPM + drift_ppm));
}

nanos ha_proof_flight(nanos flight, uint32_t drift_ppm)
{
    uint64_t factor = (uint64_t)PPM + drift_ppm;

    return flight > (UINT64_MAX - PPM) / factor ? NANOS_FOREVER : divide_up(flight * factor, PPM);
}

/* --- the table -------------------------------------------------------------------------------- */

static void rule_grants(struct ha_ruling *r, enum ha_proof proof)
{
    *r = (struct ha_ruling){
        .proof = proof,
        .may_open = true,
        .may_start = true,
        .missing = HA_MISSING_NOTHING,
        .left = 0,
    };
}

/* What hinders the proof by time, and how long until it is there. */
static enum ha_missing rule_time(const struct ha_evidence *e, const struct ha_claim *c, nanos *left)
{
    const struct ha_bound bound = {
        .lease = c->lease,
        .watchdog = e->watchdog_timeout,
        .flight = c->flight,
        .drift_ppm = c->drift_ppm,
    };
    nanos wait;

    *left = NANOS_FOREVER;
    if (!e->is_barred) {
        return HA_MISSING_BAR;
    }
    if (c->policy == HA_POLICY_KEEP && !MUTANT(HA_KEEP_EXPIRES)) {
        return HA_MISSING_KEEP;
    }
    if (!e->is_bare_metal) {
        return HA_MISSING_BARE_METAL;
    }
    if (e->watchdog != WORLD_WATCHDOG_ARMED || e->watchdog_timeout == 0) {
        return HA_MISSING_WATCHDOG;
    }
    if (ha_proof_bound(&bound, &wait) != OK) {
        return HA_MISSING_BOUND;
    }
    *left = u64_sub_sat(wait, e->since_renewal);
    return *left > 0 ? HA_MISSING_TIME : HA_MISSING_NOTHING;
}

void ha_proof_rule(const struct ha_evidence *e, const struct ha_claim *c, struct ha_ruling *ret)
{
    nanos flight = e->is_volume_raised ? 0 : ha_proof_flight(c->flight, c->drift_ppm);
    bool is_known = flight != NANOS_FOREVER;
    bool has_landed = (e->is_read_back_off && is_known && e->since_off >= flight) ||
                      (e->is_barred && MUTANT(HA_START_UNPROVED));
    nanos left;
    enum ha_missing missing = rule_time(e, c, &left);

    if (c->epoch != 0 &&
        (e->stopped_epoch == c->epoch || (e->stopped_epoch != 0 && MUTANT(HA_STALE_REPORT)))) {
        rule_grants(ret, HA_PROOF_STOPPED);
    } else if (has_landed) {
        rule_grants(ret, HA_PROOF_FENCED);
    } else if (e->is_confirmed) {
        rule_grants(ret, HA_PROOF_CONFIRMED);
    } else if (missing == HA_MISSING_NOTHING) {
        rule_grants(ret, HA_PROOF_EXPIRED);
    } else {
        *ret = (struct ha_ruling){
            .proof = HA_PROOF_NONE,
            .may_open = e->is_volume_raised,
            .missing = !e->is_read_back_off ? missing
                       : is_known           ? HA_MISSING_FLIGHT
                                            : HA_MISSING_BOUND,
            .left = e->is_read_back_off && is_known ? u64_min(left, flight - e->since_off) : left,
        };
    }
}

/* missing, what is missing, what would resolve it */
#define MISSING_TABLE(X)                                                                           \
    X(HA_MISSING_NOTHING, "It is proved that the host runs it no more.", "Nothing is needed.")     \
    X(HA_MISSING_FLIGHT, "The host is off; what it had sent to its storage may still land.",       \
      "Wait; it takes no longer than the storage's flight_ms.")                                    \
    X(HA_MISSING_BAR, "The host may still be granted a lease.",                                    \
      "The leader bars it first; without a leader, see to it that a majority of members runs.")    \
    X(HA_MISSING_KEEP,                                                                             \
      "Its policy is `keep`: it runs on without a lease, so that time proves nothing.",            \
      "Make a fence device of the host work, or see that it is off and say so: "                   \
      "`novacron host confirm-off`.")                                                              \
    X(HA_MISSING_BARE_METAL,                                                                       \
      "The host is not declared bare metal: it may be paused as a whole, so that time proves "     \
      "nothing.",                                                                                  \
      "Make a fence device of the host work, or see that it is off and say so: "                   \
      "`novacron host confirm-off`.")                                                              \
    X(HA_MISSING_WATCHDOG,                                                                         \
      "The host has attested no armed hardware watchdog, so that time proves nothing.",            \
      "Make a fence device of the host work, or see that it is off and say so: "                   \
      "`novacron host confirm-off`.")                                                              \
    X(HA_MISSING_BOUND,                                                                            \
      "The lease, the watchdog or the storage's flight is out of range, or not known.",            \
      "Correct lease_ms and drift_ppm in the settings, or the storage's record and its "           \
      "flight_ms.")                                                                                \
    X(HA_MISSING_TIME, "The host's lease, and its watchdog behind it, may still hold.",            \
      "Wait; a fence device that works, or `novacron host confirm-off`, would be sooner.")

static const struct {
    const char *text;
    const char *remedy;
} missing_rows[HA_MISSINGS] = {
#define MISSING_ROW(missing, text, remedy) [missing] = {text, remedy},
    MISSING_TABLE(MISSING_ROW)
#undef MISSING_ROW
};

const char *ha_missing_text(enum ha_missing missing)
{
    CHECK(missing < HA_MISSINGS);
    return missing_rows[missing].text;
}

const char *ha_missing_remedy(enum ha_missing missing)
{
    CHECK(missing < HA_MISSINGS);
    return missing_rows[missing].remedy;
}

/* --- settings --------------------------------------------------------------------------------- */

/* "9.000 s" */
static void say_span(struct buf *why, nanos span)
{
    nanos ms = (span + NANOS_PER_MS - 1) / NANOS_PER_MS;

    say_u64(why, ms / 1000);
    say(why, ".");
    say_u64(why, ms % 1000 / 100);
    say_u64(why, ms % 100 / 10);
    say_u64(why, ms % 10);
    say(why, " s");
}

static void say_bound(struct buf *why, const struct ha_bound *bound, nanos wait, nanos most)
{
    say(why, "expiry_max_ms: without a fence a machine comes back after up to ");
    say_span(why, wait);
    say(why, " (lease ");
    say_span(why, bound->lease);
    say(why, ", watchdog ");
    say_span(why, bound->watchdog);
    say(why, ", I/O in flight ");
    say_span(why, bound->flight);
    say(why, "), and ");
    say_span(why, most);
    say(why, " is tolerated: lower lease_ms, the watchdogs' time-out or flight_ms of the storages, "
             "or raise expiry_max_ms");
}

/* Below this a change of leaders ends leases of hosts that are well. */
#define LEASE_WISE_MS 3000

/* What clocks drift that are left alone, or corrected by NTP: 500 ppm. */
#define DRIFT_WISE_PPM 500

enum err ha_settings_check(const struct ha_settings *settings, nanos watchdog, nanos flight,
                           struct buf *why)
{
    const struct ha_bound bound = {
        .lease = settings->lease_ms * NANOS_PER_MS,
        .watchdog = watchdog,
        .flight = flight,
        .drift_ppm = settings->drift_ppm,
    };
    nanos most = settings->expiry_max_ms * NANOS_PER_MS;
    nanos wait;
    struct buf ignored;
    struct buf *text = why != NULL ? why : &ignored;

    TRY(HA_CHECK_RECORD(settings, why));
    buf_init(&ignored);
    enum err error = ha_proof_bound(&bound, &wait);
    if (error != OK) {
        say(text, "a watchdog or flight_ms of a storage is above one hour");
    } else if (wait > most) {
        say_bound(text, &bound, wait, most);
        error = ERR_INVALID;
    } else if (settings->lease_ms < LEASE_WISE_MS) {
        say(text, "lease_ms: below 3000 a change of leaders may end the leases of hosts that are "
                  "well, and so stop their machines");
    } else if (settings->drift_ppm < DRIFT_WISE_PPM) {
        say(text,
            "drift_ppm: clocks that NTP corrects drift up to 500; a bound that a clock breaks "
            "proves nothing");
    }
    buf_deinit(&ignored);
    return error;
}
