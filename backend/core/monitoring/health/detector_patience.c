#include "core/monitoring/health/detector_patience.h"

#include "core/base/check.h"
#include "core/monitoring/health/health_math.h"

#include <string.h>

#define STATES  DETECTOR_PATIENCE_STATES
#define BUCKETS DETECTOR_PATIENCE_BUCKETS

/* Needs are counted in units of a 2048th of an interval: below 8 units each has a bucket of its
 * own, above it each octave has 8. */
#define UNITS       2048.0
#define OCTAVE      8
#define OCTAVE_BITS 3

/* The state follows the last dozen heartbeats: long enough to see a burst, short enough to be in it
 * still. */
#define LATELY_GAIN 0.08

/* One heartbeat's need counts for the state as 4 intervals at most. */
#define LATELY_NEED_MAX 4.0

/* A state's own tail weighs as much as that of all states once it was seen this often. */
#define POOLED_WEIGHT 300.0

/* Divided anew after so many heartbeats, from the first time on. */
#define DIVIDE_EVERY 128
#define DIVIDE_FIRST 512

/* At this many all counts are halved: the past fades, at 10 a second in some hours. */
#define TOTAL_MAX (1U << 17)

_Static_assert(BUCKETS == 14 * OCTAVE, "up to 2^16 units, which are 32 intervals");

static uint32_t octave_of(uint64_t value)
{
    return 63 - (uint32_t)__builtin_clzll(value);
}

static uint32_t bucket_of_need(const struct detector_patience *p, double need)
{
    uint64_t units = health_nanos(need / p->interval * UNITS);

    if (units < OCTAVE) {
        return (uint32_t)units;
    }
    uint32_t octave = octave_of(units);
    uint32_t within = (uint32_t)(units >> (octave - OCTAVE_BITS)) & (OCTAVE - 1);
    uint32_t bucket = (octave - OCTAVE_BITS + 1) * OCTAVE + within;

    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/* The least need of a bucket: a margin of this much covers all buckets below it. */
static double need_of_bucket(const struct detector_patience *p, uint32_t bucket)
{
    uint64_t units = bucket;

    if (bucket >= OCTAVE) {
        units = (uint64_t)(OCTAVE + bucket % OCTAVE) << (bucket / OCTAVE - 1);
    }
    return (double)units / UNITS * p->interval;
}

static uint32_t state_lately(const struct detector_patience *p)
{
    uint64_t units = health_nanos(p->lately / p->interval * 1024);
    uint32_t state = units == 0 ? 0 : 1 + octave_of(units);

    return state < STATES ? state : STATES - 1;
}

void detector_patience_init(struct detector_patience *p, nanos interval, nanos margin)
{
    memset(p, 0, sizeof *p);
    p->interval = health_real(interval);
    p->margin = health_real(margin);
    for (uint32_t s = 0; s < STATES; s++) {
        p->margins[s] = p->margin;
    }
}

double detector_patience_margin(const struct detector_patience *p)
{
    return p->margins[state_lately(p)];
}

/* --- Dividing the average ------------------------------------------------------------------------
 */

/* tails[s][b]: the chance that a margin of need_of_bucket(b) is too little in state s. `known`: the
 * buckets whose tails were seen often enough. */
struct patience_tails {
    double chance[STATES][BUCKETS];
    uint32_t known;
};

static void tails_count(const struct detector_patience *p, struct patience_tails *tails)
{
    uint64_t pooled[BUCKETS];
    uint64_t sum = 0;

    for (uint32_t b = BUCKETS; b-- > 0;) {
        for (uint32_t s = 0; s < STATES; s++) {
            sum += p->needs[s][b];
        }
        pooled[b] = sum;
    }
    tails->known = 0;
    while (tails->known < BUCKETS && pooled[tails->known] >= DETECTOR_PATIENCE_EVIDENCE) {
        tails->known++;
    }
    for (uint32_t s = 0; s < STATES; s++) {
        uint64_t own = 0;

        for (uint32_t b = BUCKETS; b-- > 0;) {
            own += p->needs[s][b];
            double shared = POOLED_WEIGHT * (double)pooled[b] / p->total;
            tails->chance[s][b] = ((double)own + shared) / (p->seen[s] + POOLED_WEIGHT);
        }
    }
}

/* The next vertex of a state's hull behind `from`, and the mistakes that it prevents for each
 * nanosecond of margin; `from` itself where none is left. */
static uint32_t next_vertex(const struct detector_patience *p, const struct patience_tails *tails,
                            uint32_t state, uint32_t from, double *gain)
{
    const double *chance = tails->chance[state];
    double start = need_of_bucket(p, from);
    uint32_t best = from;

    *gain = 0;
    for (uint32_t b = from + 1; b < tails->known; b++) {
        double need = need_of_bucket(p, b);
        double slope = (chance[from] - chance[b]) / (need - start);

        if (need > p->margin * DETECTOR_PATIENCE_FACTOR_MAX) {
            break;
        }
        if (slope >= *gain) {
            *gain = slope;
            best = b;
        }
    }
    return best;
}

/* Gives the states their margins: step by step to whichever gains the most, until nothing is left
 * of the average or nothing more is known. */
static void divide_margin(struct detector_patience *p)
{
    struct patience_tails tails;
    uint32_t at[STATES] = {0};
    uint32_t next[STATES];
    double gain[STATES];
    double left = p->margin;

    tails_count(p, &tails);
    for (uint32_t s = 0; s < STATES; s++) {
        next[s] = next_vertex(p, &tails, s, 0, &gain[s]);
        p->margins[s] = 0;
    }
    while (left > 0) {
        uint32_t best = STATES;

        for (uint32_t s = 0; s < STATES; s++) {
            bool is_better = best == STATES || gain[s] > gain[best];

            if (p->seen[s] > 0 && next[s] > at[s] && is_better) {
                best = s;
            }
        }
        if (best == STATES) {
            break;
        }
        double step = need_of_bucket(p, next[best]) - need_of_bucket(p, at[best]);
        double cost = step * p->seen[best] / p->total;
        double part = cost <= left ? 1 : left / cost;

        p->margins[best] += step * part;
        left -= cost * part;
        at[best] = next[best];
        next[best] = next_vertex(p, &tails, best, at[best], &gain[best]);
        if (part < 1) {
            break;
        }
    }
    for (uint32_t s = 0; s < STATES; s++) {
        p->margins[s] = p->seen[s] == 0 ? p->margin : p->margins[s] + (left > 0 ? left : 0);
    }
}

static void fade_counts(struct detector_patience *p)
{
    p->total = 0;
    for (uint32_t s = 0; s < STATES; s++) {
        p->seen[s] = 0;
        for (uint32_t b = 0; b < BUCKETS; b++) {
            p->needs[s][b] /= 2;
            p->seen[s] += p->needs[s][b];
        }
        p->total += p->seen[s];
    }
}

void detector_patience_learn(struct detector_patience *p, double need)
{
    CHECK(need >= 0);
    uint32_t state = state_lately(p);
    double counted = need < p->interval * LATELY_NEED_MAX ? need : p->interval * LATELY_NEED_MAX;

    p->needs[state][bucket_of_need(p, need)]++;
    p->seen[state]++;
    p->total++;
    p->lately += LATELY_GAIN * (counted - p->lately);
    if (p->total >= TOTAL_MAX) {
        fade_counts(p);
    }
    if (p->total >= DIVIDE_FIRST && p->total % DIVIDE_EVERY == 0) {
        divide_margin(p);
    }
}
