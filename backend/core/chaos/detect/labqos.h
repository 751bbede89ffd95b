/*
 * How good a failure detector is on a trace: the metrics of [Chen02].
 *
 * Up to the crash every suspicion is a mistake. lambda_M is their rate, T_M how long they last, P_A
 * the part of the time in which the answer was right. T_D is the time from a crash to the suspicion
 * that nothing ends: the sender is taken to crash at a random moment after each heartbeat in turn,
 * so that a trace of n heartbeats gives n detection times for the price of one run.
 *
 * Where a heartbeat overtook another one, a crash between the two would have been seen a little
 * otherwise than the whole trace shows it: the later one's effect is counted for both.
 */
#ifndef NOVACRON_CHAOS_DETECT_LABQOS_H
#define NOVACRON_CHAOS_DETECT_LABQOS_H

#include "core/chaos/detect/labtrace.h"
#include "core/monitoring/health/detector.h"

struct labqos {
    double seconds; /* of the trace that were judged */
    double mistakes;
    double mistake_s;        /* all of them together */
    double detection_mean_s; /* T_D */
    double detection_max_s;
};

/* Mistakes a second; the length of one; the part of the time that was right. */
double labqos_mistake_rate(const struct labqos *q);
double labqos_mistake_length(const struct labqos *q);
double labqos_accuracy(const struct labqos *q);

/* The first `warmup` heartbeats teach the detector and are not judged. */
void labqos_measure(const struct labtrace *t, const struct detector_config *config, uint32_t warmup,
                    uint64_t seed, struct labqos *ret);

/* The free parameter of a kind of detector, by which it is swift or sure: margin or threshold.
 * `part` in [0, 1] spans what is of use, evenly on a logarithmic scale; detection times rise with
 * it. */
void labqos_tune(struct detector_config *config, double part);

/* Tunes a kind until its mean T_D is `at_s`, within LABQOS_TUNED of it, or as near below as its
 * steps allow; false: it cannot be so swift, or so slow. */
#define LABQOS_TUNED 0.001

bool labqos_measure_at(const struct labtrace *t, enum detector_kind kind, uint32_t warmup,
                       uint64_t seed, double at_s, struct labqos *ret);

#endif
