#include "core/monitoring/health/gray.h"

#include "core/base/check.h"
#include "core/base/sort.h"
#include "core/monitoring/health/health_math.h"

#include <string.h>

/* The past follows a few thousand answers, the present a dozen or two, shares about a thousand. */
#define PAST_GAIN   0.0005
#define RECENT_GAIN 0.08
#define SHARE_GAIN  0.001

/* A bin weighs at most this part of the threshold. */
#define BIN_PARTS 5

/* Sums end here, in thresholds, so that what has become well is seen to be in a bounded time. */
#define SUM_MAX 1.5

/* The past is not learned while a sum is above this part of the threshold. */
#define LEARN_BELOW 0.25

/* Against the others: usual is up to half more than theirs, bad from five times that. */
#define OTHERS_USUAL 1.5
#define OTHERS_BAD   5.0
#define SHARE_MAX    0.9

static const char *const gray_texts[GRAY_SYMPTOMS] = {
#define GRAY_TEXT(symptom, text) [symptom] = text,
    GRAY_TABLE(GRAY_TEXT)
#undef GRAY_TEXT
};

const char *gray_symptom_text(enum gray_symptom symptom)
{
    CHECK(symptom < GRAY_SYMPTOMS);
    return gray_texts[symptom];
}

struct gray_config gray_config_of(nanos slow_min)
{
    return (struct gray_config){
        .usual = {[GRAY_LOSS] = 0.001, [GRAY_SLOW] = 0.02},
        .bad = {[GRAY_LOSS] = 0.02, [GRAY_SLOW] = 0.3},
        .slow_factor = 4,
        .slow_min = slow_min,
        .threshold = 12,
        .bin = {[GRAY_LOSS] = 200 * NANOS_PER_MS, [GRAY_SLOW] = 400 * NANOS_PER_MS},
    };
}

void gray_init(struct gray_signal *s, const struct gray_config *config, nanos now)
{
    for (int i = 0; i < GRAY_SYMPTOMS; i++) {
        CHECK(config->usual[i] > 0 && config->usual[i] < config->bad[i] && config->bad[i] < 1);
        CHECK(config->bin[i] > 0);
    }
    CHECK(config->slow_factor > 1 && config->threshold > 0);
    memset(s, 0, sizeof *s);
    s->config = *config;
    s->others.slowdown = 1;
    s->bin_from[GRAY_LOSS] = now;
    s->bin_from[GRAY_SLOW] = now;
}

/* --- Evidence ------------------------------------------------------------------------------------
 */

static double larger_real(double a, double b)
{
    return a > b ? a : b;
}

static double smaller_real(double a, double b)
{
    return a < b ? a : b;
}

/* How much one request speaks for "bad": ln of the ratio of its chances under both. */
static double weigh_request(const struct gray_signal *s, enum gray_symptom symptom, bool is_bad)
{
    double usual = larger_real(s->config.usual[symptom], s->others.shares[symptom] * OTHERS_USUAL);
    usual = smaller_real(usual, SHARE_MAX / 2);
    double bad = smaller_real(larger_real(s->config.bad[symptom], usual * OTHERS_BAD), SHARE_MAX);

    return is_bad ? health_ln(bad / usual) : health_ln((1 - bad) / (1 - usual));
}

/* The evidence with that of the running bin, within its bounds. */
static double sum_with_bin(const struct gray_signal *s, enum gray_symptom symptom)
{
    double most = s->config.threshold / BIN_PARTS;
    double weight = larger_real(smaller_real(s->binned[symptom], most), -most);
    double sum = s->sums[symptom] + weight;

    return larger_real(0, smaller_real(sum, s->config.threshold * SUM_MAX));
}

/* The bin is over. */
static void close_bin(struct gray_signal *s, enum gray_symptom symptom)
{
    s->sums[symptom] = sum_with_bin(s, symptom);
    s->binned[symptom] = 0;
    if (!(s->sums[symptom] > 0)) {
        s->is_degraded[symptom] = false;
        memset(&s->evidence[symptom], 0, sizeof s->evidence[symptom]);
    }
}

static void pass_bins(struct gray_signal *s, nanos now)
{
    for (enum gray_symptom i = 0; i < GRAY_SYMPTOMS; i++) {
        if (now >= s->bin_from[i] && now - s->bin_from[i] >= s->config.bin[i]) {
            close_bin(s, i);
            s->bin_from[i] = now;
        }
    }
}

static void take_request(struct gray_signal *s, enum gray_symptom symptom, bool is_bad,
                         double ratio, nanos now)
{
    struct gray_evidence *e = &s->evidence[symptom];

    s->binned[symptom] += weigh_request(s, symptom, is_bad);
    s->shares[symptom] += SHARE_GAIN * ((is_bad ? 1.0 : 0.0) - s->shares[symptom]);
    if (is_bad && e->bad == 0) {
        e->since = now;
    }
    if (!s->is_degraded[symptom] && sum_with_bin(s, symptom) >= s->config.threshold * (1 - 1e-9)) {
        s->is_degraded[symptom] = true;
        s->degraded_at[symptom] = now;
    }
    if (is_bad || e->bad > 0) {
        e->requests++;
        e->bad += is_bad;
        e->worst_ratio = larger_real(e->worst_ratio, ratio);
    }
}

static bool has_past(const struct gray_signal *s)
{
    return s->answers >= GRAY_PAST_MIN;
}

/* Smoothed, and a plain mean while there is little to smooth. */
static void follow_latency(struct gray_signal *s, double ln_took)
{
    double share = 1 / (double)(s->answers + 1);
    bool is_suspected = s->sums[GRAY_SLOW] > s->config.threshold * LEARN_BELOW;

    s->recent += larger_real(share, RECENT_GAIN) * (ln_took - s->recent);
    if (!has_past(s) || !is_suspected) {
        s->past += larger_real(share, PAST_GAIN) * (ln_took - s->past);
    }
    s->answers++;
}

void gray_answered(struct gray_signal *s, nanos took, nanos now)
{
    pass_bins(s, now);
    take_request(s, GRAY_LOSS, false, 0, now);
    double ln_took = health_ln(health_real(u64_max(took, 1)));

    if (has_past(s)) {
        bool is_slow = took >= gray_slow_after(s);

        take_request(s, GRAY_SLOW, is_slow, health_exp(ln_took - s->past), now);
    }
    follow_latency(s, ln_took);
}

void gray_came(struct gray_signal *s, nanos now)
{
    pass_bins(s, now);
    take_request(s, GRAY_LOSS, false, 0, now);
}

void gray_lost(struct gray_signal *s, nanos now)
{
    pass_bins(s, now);
    take_request(s, GRAY_LOSS, true, 0, now);
}

nanos gray_slow_after(const struct gray_signal *s)
{
    if (!has_past(s)) {
        return NANOS_FOREVER;
    }
    double usual = health_exp(s->past) * larger_real(s->others.slowdown, 1);

    return u64_max(health_nanos(usual * s->config.slow_factor), s->config.slow_min);
}

bool gray_is_degraded(const struct gray_signal *s)
{
    return s->is_degraded[GRAY_LOSS] || s->is_degraded[GRAY_SLOW];
}

void gray_accept(struct gray_signal *s, nanos now)
{
    struct gray_config config = s->config;
    double recent = s->recent;
    uint64_t answers = s->answers;

    gray_init(s, &config, now);
    s->past = recent;
    s->recent = recent;
    s->answers = answers;
}

/* --- The others ----------------------------------------------------------------------------------
 */

static int order_reals(const void *a, const void *b)
{
    double x = 0;
    double y = 0;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

static double lower_median(double *values, uint32_t n)
{
    sort_items(values, n, sizeof *values, order_reals);
    return values[(n - 1) / 2];
}

void gray_compare(struct gray_signal *const *signals, uint32_t n)
{
    CHECK(n <= GRAY_COHORT_MAX);
    double values[GRAY_SYMPTOMS + 1][GRAY_COHORT_MAX];
    struct gray_others others = {.slowdown = 1};
    uint32_t known = 0;

    for (uint32_t i = 0; i < n; i++) {
        const struct gray_signal *s = signals[i];

        if (has_past(s)) {
            values[GRAY_LOSS][known] = s->shares[GRAY_LOSS];
            values[GRAY_SLOW][known] = s->shares[GRAY_SLOW];
            values[GRAY_SYMPTOMS][known++] = s->recent - s->past;
        }
    }
    if (known >= GRAY_COHORT_MIN) {
        others.is_known = true;
        others.shares[GRAY_LOSS] = lower_median(values[GRAY_LOSS], known);
        others.shares[GRAY_SLOW] = lower_median(values[GRAY_SLOW], known);
        others.slowdown = larger_real(1, health_exp(lower_median(values[GRAY_SYMPTOMS], known)));
    }
    for (uint32_t i = 0; i < n; i++) {
        signals[i]->others = others;
    }
}

void gray_check(const struct gray_signal *s)
{
    for (int i = 0; i < GRAY_SYMPTOMS; i++) {
        CHECK(s->sums[i] >= 0 && s->sums[i] <= s->config.threshold * SUM_MAX);
        CHECK(s->shares[i] >= 0 && s->shares[i] <= 1);
        CHECK(!s->is_degraded[i] || s->evidence[i].bad > 0);
        CHECK(s->evidence[i].bad <= s->evidence[i].requests);
    }
    CHECK(s->others.slowdown >= 1);
    CHECK(s->past - s->past < 1 && s->recent - s->recent < 1);
}
