/* What the rules of the detectors share: one table of functions a kind, and the window. */
#ifndef NOVACRON_HEALTH_DETECTOR_INT_H
#define NOVACRON_HEALTH_DETECTOR_INT_H

#include "core/monitoring/health/detector.h"

/* What a fresh heartbeat shows, in nanoseconds. */
struct detector_sample {
    int64_t gap;     /* since the last fresh one */
    int64_t offset;  /* how much later than on the schedule of the first heartbeat */
    uint64_t step;   /* by how much its number is higher */
    bool is_mistake; /* the peer was suspected, wrongly as it turns out */
    bool is_excused; /* the observer did not listen all the while: it teaches nothing */
};

struct detector_rule {
    /* After the configuration was set: solves the threshold. */
    void (*prepare)(struct detector *d);
    /* The first heartbeat arrived. */
    void (*begin)(struct detector *d);
    /* A further one. d->offset is still that of the one before. */
    void (*learn)(struct detector *d, const struct detector_sample *sample);
    /* The silence allowed after the last arrival; negative: it came too late already. */
    double (*allowed)(const struct detector *d);
    /* Phi of a silence; NULL: no such thing. */
    double (*phi)(const struct detector *d, double silence);
};

extern const struct detector_rule detector_rule_timeout;
extern const struct detector_rule detector_rule_phi_normal;
extern const struct detector_rule detector_rule_phi_exponential;
extern const struct detector_rule detector_rule_akka;
extern const struct detector_rule detector_rule_chen;
extern const struct detector_rule detector_rule_bertier;
extern const struct detector_rule detector_rule_two_window;
extern const struct detector_rule detector_rule_own;

/* |sample| is at most this: 2^52 ns are 52 days, and a window of them sums up in 64 bits. */
#define DETECTOR_SAMPLE_MAX (INT64_C(1) << 52)

void detector_window_init(struct detector_window *w, uint32_t size);

/* Forgets the oldest one where the window is full. */
void detector_window_push(struct detector_window *w, int64_t sample);

/* Of the samples kept, or of the last `n` of them; n is in [1, count]. */
double detector_window_mean(const struct detector_window *w);
double detector_window_mean_of_last(const struct detector_window *w, uint32_t n);

/* The standard deviation of the population, from exact sums: never of a negative variance. */
double detector_window_deviation(const struct detector_window *w);

#endif
