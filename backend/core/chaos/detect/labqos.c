#include "core/chaos/detect/labqos.h"

#include "core/base/check.h"
#include "core/monitoring/health/health_math.h"

/* What labqos_tune spans: margins from 100 us to 100 s, thresholds from 0.001 to 1000. */
#define TUNE_RANGE         1e6
#define TUNE_MARGIN_MIN    1e5
#define TUNE_THRESHOLD_MIN 0.001

/* Steps, of which a third are halvings of that: they end below one part in 10,000. */
#define TUNE_STEPS_MAX 48

double labqos_mistake_rate(const struct labqos *q)
{
    return q->seconds > 0 ? q->mistakes / q->seconds : 0;
}

double labqos_mistake_length(const struct labqos *q)
{
    return q->mistakes > 0 ? q->mistake_s / q->mistakes : 0;
}

double labqos_accuracy(const struct labqos *q)
{
    return q->seconds > 0 ? 1 - q->mistake_s / q->seconds : 1;
}

static double real_seconds(nanos span)
{
    return (double)span / (double)NANOS_PER_S;
}

/* The sender crashes after each heartbeat from `first` up to before `end`, of which the observer
 * will have heard nothing newer than what made it wait until `deadline`. */
static void count_detections(const struct labtrace *t, uint32_t first, uint32_t end, nanos deadline,
                             struct prng *p, struct labqos *q, double *ret_sum)
{
    for (uint32_t i = first; i < end; i++) {
        nanos gap = i + 1 < t->beats ? t->sent[i + 1] - t->sent[i] : t->interval;
        nanos crash = t->sent[i] + prng_below(p, u64_max(gap, 1));
        double took = real_seconds(u64_sub_sat(deadline, crash));
        *ret_sum += took;
        q->detection_max_s = took > q->detection_max_s ? took : q->detection_max_s;
    }
}

void labqos_measure(const struct labtrace *t, const struct detector_config *config, uint32_t warmup,
                    uint64_t seed, struct labqos *ret)
{
    CHECK(t->arrival_count > 0 && warmup < t->beats);
    static const struct labqos nothing;
    struct detector d;
    struct prng p;
    struct labqos q = nothing;
    double detection_sum = 0;
    uint64_t detections = 0;
    uint32_t newest = 0; /* the highest number heard */
    bool is_judged = false;
    nanos judged_from = 0;

    prng_init(&p, seed);
    detector_init(&d, config, u64_sub_sat(t->arrivals[0].at, t->interval));
    for (uint32_t i = 0; i < t->arrival_count; i++) {
        const struct labtrace_arrival *a = &t->arrivals[i];
        nanos deadline = detector_deadline(&d);
        if (is_judged && (a->number > newest)) {
            count_detections(t, newest, a->number, deadline, &p, &q, &detection_sum);
            detections += a->number - newest;
        }
        /* In the silence before this one. Where the last heartbeat did not restore trust, for its
         * deadline was no later than itself, the mistake before it goes on. */
        nanos silent_from = i > 0 ? t->arrivals[i - 1].at : a->at;
        if (is_judged && deadline < a->at) {
            q.mistakes += deadline > silent_from;
            q.mistake_s += real_seconds(a->at - u64_max(deadline, silent_from));
        }
        (void)detector_heartbeat(&d, a->number + 1, a->at);
        newest = a->number > newest ? a->number : newest;
        if (!is_judged && newest >= warmup) {
            is_judged = true;
            judged_from = a->at;
        }
    }
    q.seconds = real_seconds(t->arrivals[t->arrival_count - 1].at - judged_from);
    q.detection_mean_s = detections > 0 ? detection_sum / (double)detections : 0;
    *ret = q;
}

void labqos_tune(struct detector_config *config, double part)
{
    /* Margins reach from a LAN's jitter to the pauses of seconds on a slow path. */
    double factor = health_exp(part * health_ln(TUNE_RANGE));

    switch (config->kind) {
    case DETECTOR_TIMEOUT:
        config->margin = config->interval / 2 + health_nanos(TUNE_MARGIN_MIN * factor);
        break;
    case DETECTOR_CHEN:
    case DETECTOR_TWO_WINDOW:
    case DETECTOR_NOVACRON:
        config->margin = health_nanos(TUNE_MARGIN_MIN * factor);
        break;
    case DETECTOR_PHI_NORMAL:
    case DETECTOR_PHI_EXPONENTIAL:
    case DETECTOR_AKKA:
    case DETECTOR_BERTIER:
    case DETECTOR_KINDS:
        config->threshold = TUNE_THRESHOLD_MIN * factor;
        break;
    }
}

/* Where between two parts the time would be `at_s`, if it rose evenly with the margin or threshold,
 * as it does for most kinds; every third step it is the middle, so that they always come together.
 */
static double tune_guess(const struct labqos *swift, const struct labqos *slow, double lo,
                         double hi, double at_s, uint32_t step)
{
    double rise = slow->detection_mean_s - swift->detection_mean_s;
    double aim = at_s * (1 - LABQOS_TUNED / 2) - swift->detection_mean_s;

    if (step % 3 == 2 || !(aim > 0 && aim < rise)) {
        return (lo + hi) / 2;
    }
    double low = health_exp(lo * health_ln(TUNE_RANGE));
    double high = health_exp(hi * health_ln(TUNE_RANGE));
    return health_ln(low + (high - low) * aim / rise) / health_ln(TUNE_RANGE);
}

bool labqos_measure_at(const struct labtrace *t, enum detector_kind kind, uint32_t warmup,
                       uint64_t seed, double at_s, struct labqos *ret)
{
    struct detector_config config = detector_config_of(kind, t->interval);
    struct labqos swift;
    struct labqos slow;
    double lo = 0;
    double hi = 1;

    labqos_tune(&config, lo);
    labqos_measure(t, &config, warmup, seed, &swift);
    labqos_tune(&config, hi);
    labqos_measure(t, &config, warmup, seed, &slow);
    if (swift.detection_mean_s > at_s || slow.detection_mean_s < at_s) {
        return false;
    }
    for (uint32_t i = 0; i < TUNE_STEPS_MAX; i++) {
        struct labqos middle;
        double part = tune_guess(&swift, &slow, lo, hi, at_s, i);
        labqos_tune(&config, part);
        labqos_measure(t, &config, warmup, seed, &middle);
        if (middle.detection_mean_s > at_s) {
            hi = part;
            slow = middle;
        } else {
            lo = part;
            swift = middle;
            if (middle.detection_mean_s > at_s * (1 - LABQOS_TUNED)) {
                break;
            }
        }
    }
    *ret = swift;
    return true;
}
