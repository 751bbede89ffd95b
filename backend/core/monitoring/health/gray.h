/*
 * Gray failures: what answers heartbeats and is of no use all the same. A disk that has become ten
 * times slower, a path that loses two packets of a hundred, a guest whose I/O is stuck, half a
 * network card: the detector sees health and the application suffers [Huang17].
 *
 * So requests are judged, not heartbeats: each tells how long it took, or that it was lost. One
 * gray_signal holds what one observer knows of one subject by one kind of request. It asks two
 * questions of each, whether it was lost and whether it was slow, and adds the answers up as
 * evidence for "bad" against "usual", never below zero [Page54]: the sum stays small while all is
 * usual, whatever the traffic, and climbs in proportion to how bad it is. At the threshold the
 * signal is degraded, and it is well again when the sum is back at zero.
 *
 *   slow     longer than `slow_factor` times the subject's own past, and longer by that factor than
 *            what has happened to all the others at the same time: a far host is not a slow one,
 *            and where everything is slow it is not this subject
 *   usual    a share of `usual`, or half more than the others' share
 *   bad      a share of `bad`, or five times what is usual
 *
 * What happens within one `bin` of time is one piece of evidence, and weighs at most a fifth of the
 * threshold: a blip that stalls fifty requests is still one blip. So it takes at least five bad
 * bins to degrade, with one bad request in each.
 *
 * While a signal is suspected it does not learn its past anew: a disk that stays slow stays
 * degraded, until somebody says that this is how it is now (gray_accept).
 *
 * Limits: evidence needs requests. Two per cent of loss against one in a thousand needs some 300
 * requests; a disk that is ten times slower, five.
 */
#ifndef NOVACRON_HEALTH_GRAY_H
#define NOVACRON_HEALTH_GRAY_H

#include "core/base/types.h"

/* symptom, text for people: "it ...". */
#define GRAY_TABLE(X)                                                                              \
    X(GRAY_LOSS, "loses requests")                                                                 \
    X(GRAY_SLOW, "is slow")

enum gray_symptom {
#define GRAY_ENUM(symptom, text) symptom,
    GRAY_TABLE(GRAY_ENUM)
#undef GRAY_ENUM
        GRAY_SYMPTOMS
};

/* Signals that gray_compare takes at once, and how many it needs to speak of "the others". */
#define GRAY_COHORT_MAX 512
#define GRAY_COHORT_MIN 3

/* Answers from which a past is known. */
#define GRAY_PAST_MIN 32

struct gray_config {
    double usual[GRAY_SYMPTOMS]; /* shares of requests; in (0, 1) */
    double bad[GRAY_SYMPTOMS];   /* above `usual` */
    double slow_factor;          /* > 1 */
    nanos slow_min;              /* nothing shorter is slow */
    double threshold;            /* in natural logarithms of odds; > 0 */
    nanos bin[GRAY_SYMPTOMS];    /* > 0 */
};

/* What happened to the others, by gray_compare. */
struct gray_others {
    double slowdown;              /* of the median one: how much slower than its past; >= 1 */
    double shares[GRAY_SYMPTOMS]; /* of the median one */
    bool is_known;                /* there are enough of them */
};

/* What speaks against a subject, kept from the first bad request of a climb on. */
struct gray_evidence {
    nanos since;
    uint64_t requests;
    uint64_t bad;
    double worst_ratio; /* GRAY_SLOW: of a latency to the usual one */
};

struct gray_signal {
    struct gray_config config;
    struct gray_others others;
    double past;   /* ln of the usual latency in nanoseconds */
    double recent; /* the same of the last dozen or two */
    uint64_t answers;
    double shares[GRAY_SYMPTOMS]; /* smoothed over the last thousand or so */
    double sums[GRAY_SYMPTOMS];   /* the evidence, up to the last bin */
    double binned[GRAY_SYMPTOMS]; /* that of the running bin */
    nanos bin_from[GRAY_SYMPTOMS];
    bool is_degraded[GRAY_SYMPTOMS];
    nanos degraded_at[GRAY_SYMPTOMS];
    struct gray_evidence evidence[GRAY_SYMPTOMS];
};

/* Loss: 1 in 1000 usual, 2 in 100 bad. Slow: four times and above `slow_min`; 2 in 100 usual, 3 in
 * 10 bad. Odds of e^12, in bins of 0.2 s, and 0.4 s for what is slow: longer
 * than the others need to be compared. */
struct gray_config gray_config_of(nanos slow_min);

void gray_init(struct gray_signal *s, const struct gray_config *config, nanos now);

/* A request was answered after `took`; or was not, in its time. */
void gray_answered(struct gray_signal *s, nanos took, nanos now);
void gray_lost(struct gray_signal *s, nanos now);

/* Something came that others like it may not have: an answer whose time tells nothing. */
void gray_came(struct gray_signal *s, nanos now);

/* A request that is still waiting counts as slow from this age on; its caller may give it up then
 * with gray_answered. NANOS_FOREVER: the past is not known. */
nanos gray_slow_after(const struct gray_signal *s);

/* Tells each of the `n` signals (one observer, one kind of request, one each subject) what happened
 * to the others; to be called every second or so. At most GRAY_COHORT_MAX. */
void gray_compare(struct gray_signal *const *signals, uint32_t n);

bool gray_is_degraded(const struct gray_signal *s);

/* What is now is usual from now on. */
void gray_accept(struct gray_signal *s, nanos now);

const char *gray_symptom_text(enum gray_symptom symptom);

void gray_check(const struct gray_signal *s);

#endif
