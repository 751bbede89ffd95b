/*
 * ha_lease: the lease of a host, both sides as step functions (docs/ha.md, "The lease of a host").
 *
 *     agent (lessee)                                leader (lessor)
 *     notes its clock
 *     RENEW boot, number, what its guard says ----> notes its own clock at the arrival
 *                                                   a quorum confirms it as leader, by a read that
 *                                                   began after the arrival
 *          boot, number, L, revision <------- GRANT if the host's fate is `up` then
 *     the lease ends at (what was noted) + L
 *
 * THE LESSEE counts on its own clock, which runs on while the machine sleeps: a sleep is lost time.
 * A host that has slept since its agent began says so in each renewal, and attests no watchdog: its
 * watchdog may stand still while its clock runs, and machines run again before a guard does
 * (docs/models.md, HOST_SLEEPS).
 *
 * ORDER. Notes may be doubled, and overtake each other: a voter that an agent has left may relay
 * late. Of one boot the numbers say which is newer, and never the order in which they come. Of two
 * boots the record of the host's agent says which is the present one: callers hand on no renewal of
 * another.
 *
 * THE LESSOR knows, in its term, of each host when the last renewal arrived that it granted, and
 * what that attested. Of others it knows nothing, and `since`, the beginning of its term, counts:
 * whatever an older leader granted had been confirmed, and so had arrived, before that.
 *
 * Notes are of docs/formats/ha-lease.md, and are decoded here and nowhere else.
 */
#ifndef NOVACRON_HA_LEASE_H
#define NOVACRON_HA_LEASE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/types.h"
#include "core/ha/ha_record.h"
#include "core/ha/ha_store.h"

/* --- notes ------------------------------------------------------------------------------------ */

#define HA_LEASE_VERSION 1

struct ha_renew {
    char host[HA_NAME_BYTES];
    uint64_t boot;
    uint64_t number;
    enum world_watchdog watchdog;
    uint32_t watchdog_ms;
    bool has_slept;
};

struct ha_grant {
    uint64_t boot; /* of the renewal, as is the number */
    uint64_t number;
    uint64_t term;
    uint64_t revision; /* of the store, when it was granted */
    uint32_t lease_ms; /* L */
};

/* X(enumerator, text): why a renewal was not granted. */
#define HA_REFUSAL_TABLE(X)                                                                        \
    X(HA_REFUSED_STRANGER, "the leader has no agent's record of this host, boot and member")       \
    X(HA_REFUSED_FATE, "the cluster holds this host for lost")

enum ha_refusal {
#define HA_REFUSAL_ENUM(name, text) name,
    HA_REFUSAL_TABLE(HA_REFUSAL_ENUM)
#undef HA_REFUSAL_ENUM
        HA_REFUSALS
};

/* Of the same boot, and sent before that one? */
bool ha_renew_is_older(const struct ha_renew *renew, uint64_t boot, uint64_t number);

const char *ha_refusal_text(enum ha_refusal refusal);

struct ha_refuse {
    uint64_t boot;
    uint64_t number;
    uint64_t term;
    enum ha_refusal why;
};

struct ha_note {
    enum ha_note_kind kind;
    union {
        struct ha_renew renew;
        struct ha_grant grant;
        struct ha_refuse refuse;
    } as;
};

void ha_note_encode(const struct ha_note *note, struct buf *ret);

/* ERR_UNSUPPORTED: of a later version; ERR_CORRUPT: nobody writes that. */
MUST_USE enum err ha_note_decode(struct bytes bytes, struct ha_note *ret);

/* --- the lessee ------------------------------------------------------------------------------- */

/* Renewals whose answer may still come; older ones are forgotten. */
#define HA_RENEWALS_KEPT 16

/* Of a lease of L, a renewal is sent each ... */
#define HA_RENEW_SHARE 16
#define HA_RENEW_MIN   (50 * NANOS_PER_MS)
#define HA_RENEW_MAX   (NANOS_PER_S / 2)

struct ha_lessee {
    char host[HA_NAME_BYTES];
    uint64_t boot;
    uint64_t number; /* of the newest renewal */
    struct {
        uint64_t number;
        nanos noted;
    } sent[HA_RENEWALS_KEPT];
    nanos until;       /* 0: there was none yet */
    nanos renewed_at;  /* when the newest renewal was noted */
    uint64_t revision; /* of the newest grant: act on no older view */
    uint64_t term;     /* of the newest grant */
    nanos lease;       /* L, as the newest grant has it; 0: never */
    nanos slept;       /* in all, since it began */
    nanos gap;         /* between the two clocks, when it was looked at last */
    bool has_gap;
    uint64_t answered; /* the newest renewal that has an answer, and ... */
    bool is_refused;   /* ... it is a refusal, and ... */
    enum ha_refusal refusal;
};

void ha_lessee_init(struct ha_lessee *l, const char *host, uint64_t boot);

/* From now on under this boot: numbers begin anew, and what was granted before is not known any
 * more. That the host has slept is. */
void ha_lessee_begin(struct ha_lessee *l, uint64_t boot);

/* The two clocks of the world, whenever they are read: sees sleeps. */
void ha_lessee_clocks(struct ha_lessee *l, nanos now, nanos awake);

/* Notes the clock, and fills the renewal that is to be sent now. */
void ha_lessee_renew(struct ha_lessee *l, nanos now, enum world_watchdog watchdog, nanos timeout,
                     struct ha_renew *ret);

/* An answer. True: the lease ends later than before, at l->until; it is relied on once the guard
 * knows. */
bool ha_lessee_granted(struct ha_lessee *l, const struct ha_grant *grant);
void ha_lessee_refused(struct ha_lessee *l, const struct ha_refuse *refuse);

/* How long between two renewals. */
nanos ha_lessee_pace(const struct ha_lessee *l);

/* --- the lessor ------------------------------------------------------------------------------- */

/* A renewal that arrived so long before the term began is of before whatever led to that. */
#define HA_RENEW_EARLY NANOS_PER_S

struct ha_lease_row {
    char host[HA_NAME_BYTES];
    nanos heard_at; /* when its newest renewal arrived, granted or not; 0: none in this term */
    uint64_t heard_boot;
    uint64_t heard_number; /* of that one */
    nanos granted_at;      /* when the last one arrived that was granted; 0: none in this term */
    nanos lease;           /* the longest that was granted in this term and may still hold */
    enum world_watchdog watchdog; /* attested by that one */
    nanos watchdog_timeout;
    uint64_t boot;
    node_id member;
    uint64_t grants;

    /* The renewal that waits: for a confirmation to begin, or for the one under way. */
    bool waits;
    bool is_confirming;
    nanos arrived_at;
    struct ha_renew renewal;
};

struct ha_lessor {
    bool leads;
    uint64_t term;
    nanos since;
    bool is_confirming;
    struct ha_lease_row *rows; /* owned, by name */
    size_t n;
    size_t cap;
};

void ha_lessor_init(struct ha_lessor *l);
void ha_lessor_deinit(struct ha_lessor *l);

/* This member's term began no later than now; what an earlier one knew is forgotten. What has
 * arrived since that ended, within HA_RENEW_EARLY, counts as arrived now. */
void ha_lessor_begin(struct ha_lessor *l, uint64_t term, nanos now);
void ha_lessor_end(struct ha_lessor *l);

/* A renewal has arrived, of the boot that its host's agent has by now. One of a host replaces an
 * older one that waits; one that is older than what has arrived is no word of its host. Nothing is
 * confirmed while this member does not lead. */
void ha_lessor_arrived(struct ha_lessor *l, nanos now, node_id from, const struct ha_renew *renew);

/* Is there a renewal for which a confirmation should begin, and none under way? */
bool ha_lessor_wants_confirmation(const struct ha_lessor *l);

/* One begins now: it is for all that have arrived. */
void ha_lessor_confirm_begun(struct ha_lessor *l);

/* It is over. `is_confirmed`: this member led, in l->term, after it had begun. Then each renewal it
 * was for is judged: NULL from `judge` refuses it with the reason that `judge` gives. Answers are
 * told through `answer`, in the order of the hosts' names. Renewals of a confirmation that failed
 * are dropped: their agents will send others. */
struct ha_lessor_court {
    void *ctx;
    /* OK: granted. `*refusal` otherwise. */
    bool (*judge)(void *ctx, node_id from, const struct ha_renew *renew, enum ha_refusal *refusal);
    void (*answer)(void *ctx, node_id to, const struct ha_note *note);
    uint64_t revision; /* that the view has which judges */
    nanos lease;       /* L */
    uint32_t drift_ppm;
};
void ha_lessor_confirm_over(struct ha_lessor *l, bool is_confirmed,
                            const struct ha_lessor_court *court);

/* NULL: nothing was heard of it in this term. */
const struct ha_lease_row *ha_lessor_find(const struct ha_lessor *l, const char *host);

/* The time from which the silence of a host, and P, count: of its last granted renewal, or the
 * beginning of the term. */
nanos ha_lessor_granted(const struct ha_lessor *l, const char *host);

/* ... and when it was heard last at all, granted or not. */
nanos ha_lessor_heard(const struct ha_lessor *l, const char *host);

#endif
