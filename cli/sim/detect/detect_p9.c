/*
 * P9: detectors on the same traces of heartbeats. Each has one free parameter, by which it is swift
 * or sure, and is tuned until its mean detection time is a given one; then mistakes are compared.
 *
 * The detection times of a trace are that of ours by detector_config_of, and a ladder of
 * multiples of the swiftest that ours can be. Ours is no worse than another detector on a
 * trace where the mean of ln((1 + m) / (1 + m')) over those that both reach is at most that of
 * NO_WORSE: the one that is added keeps a single mistake in a long trace from deciding anything.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cli/sim/detect/detect.h"
#include "cli/sim/detect/detect_plot.h"
#include "cli/sim/detect/detect_pool.h"
#include "cli/sim/detect/detect_table.h"
#include "core/base/check.h"
#include "core/chaos/detect/labqos.h"

#define POINTS      32
#define NO_WORSE    1.02
#define WARMUP      1000
#define BEATS_QUICK 3000
#define BEATS_FULL  100000

/* Times the swiftest; the first one stands for the figures of detector_config_of. */
static const double LADDER[] = {0, 1.05, 1.2, 1.5, 2, 2.5, 3, 4, 6};

#define RUNGS        COUNT_OF(LADDER)
#define RUNG_SHIPPED 0

/* The first alone with --quick. */
static const nanos INTERVALS[] = {100 * NANOS_PER_MS, 20 * NANOS_PER_MS, NANOS_PER_S};

struct p9_plan {
    const struct detect_call *call;
    uint32_t kinds;
    uint32_t intervals;
    uint32_t seeds;
    uint32_t beats;
};

struct p9_result {
    struct labqos curves[DETECTOR_KINDS][POINTS]; /* for the eye */
    double interval_s;
    double at_s[RUNGS];
    bool reaches[DETECTOR_KINDS][RUNGS];
    struct labqos rungs[DETECTOR_KINDS][RUNGS];
};

struct p9_key {
    enum labtrace_kind kind;
    size_t interval;
    uint32_t seed;
};

static struct p9_key p9_key_of(const struct p9_plan *plan, size_t index)
{
    return (struct p9_key){(enum labtrace_kind)(index / plan->seeds / plan->intervals),
                           index / plan->seeds % plan->intervals,
                           (uint32_t)(index % plan->seeds) + 1};
}

static void p9_one(const void *ctx, size_t index, void *result)
{
    const struct p9_plan *plan = ctx;
    struct p9_result *r = result;
    const struct p9_key key = p9_key_of(plan, index);
    struct labtrace trace;

    labtrace_make(&trace, &(struct labtrace_options){.kind = key.kind,
                                                     .interval = INTERVALS[key.interval],
                                                     .beats = plan->beats,
                                                     .seed = key.seed,
                                                     .latency = plan->call->latency});
    struct detector_config own = detector_config_of(DETECTOR_DEFAULT, trace.interval);
    struct labqos swiftest;
    struct labqos shipped;
    r->interval_s = (double)trace.interval / NANOS_PER_S;
    labqos_measure(&trace, &own, WARMUP, key.seed, &shipped);
    labqos_tune(&own, 0);
    labqos_measure(&trace, &own, WARMUP, key.seed, &swiftest);
    for (size_t i = 0; i < RUNGS; i++) {
        r->at_s[i] =
            i == RUNG_SHIPPED ? shipped.detection_mean_s : LADDER[i] * swiftest.detection_mean_s;
    }
    for (int kind = 0; kind < DETECTOR_KINDS; kind++) {
        struct detector_config config =
            detector_config_of((enum detector_kind)kind, trace.interval);
        for (size_t i = 0; i < POINTS && plan->call->svg != NULL; i++) {
            labqos_tune(&config, (double)i / (POINTS - 1));
            labqos_measure(&trace, &config, WARMUP, key.seed, &r->curves[kind][i]);
        }
        for (size_t i = 0; i < RUNGS; i++) {
            r->reaches[kind][i] = labqos_measure_at(&trace, (enum detector_kind)kind, WARMUP,
                                                    key.seed, r->at_s[i], &r->rungs[kind][i]);
        }
    }
    r->rungs[DETECTOR_DEFAULT][RUNG_SHIPPED] = shipped;
    labtrace_free(&trace);
}

/* What is compared: how often a detector was wrong, or how long, in intervals. A detector that
 * never trusts makes one mistake, which lasts. */
enum p9_by { P9_BY_MISTAKES, P9_BY_TIME };

static double p9_wrong(const struct p9_result *r, int kind, size_t rung, enum p9_by by)
{
    const struct labqos *q = &r->rungs[kind][rung];
    return by == P9_BY_TIME ? q->mistake_s / r->interval_s : q->mistakes;
}

/* The mean of ln((1 + ours) / (1 + theirs)) at equal detection times; false: there are none. */
static bool p9_compare(const struct p9_result *r, int kind, enum p9_by by, double *ret)
{
    double sum = 0;
    size_t count = 0;

    for (size_t i = 0; i < RUNGS; i++) {
        if (r->reaches[kind][i] && r->reaches[DETECTOR_DEFAULT][i]) {
            sum += log((1 + p9_wrong(r, DETECTOR_DEFAULT, i, by)) / (1 + p9_wrong(r, kind, i, by)));
            count++;
        }
    }
    *ret = count > 0 ? sum / (double)count : 0;
    return count > 0;
}

/* Against each other detector, over all traces. */
struct p9_score {
    uint64_t compared;
    uint64_t no_worse;
    uint64_t better; /* the other one makes at least NO_WORSE times as many */
    double sum;
};

static void p9_score_trace(const struct p9_result *r, enum p9_by by, struct p9_score *scores,
                           bool *ret_no_worse)
{
    *ret_no_worse = true;
    for (int kind = 0; kind < DETECTOR_KINDS; kind++) {
        double ratio;
        if (kind == DETECTOR_DEFAULT || !p9_compare(r, kind, by, &ratio)) {
            continue;
        }
        scores[kind].compared++;
        scores[kind].no_worse += ratio <= log(NO_WORSE);
        scores[kind].better += ratio < -log(NO_WORSE);
        scores[kind].sum += ratio;
        *ret_no_worse = *ret_no_worse && ratio <= log(NO_WORSE);
    }
}

/* How many mistakes the others make at the detection time of ours by detector_config_of. */
static void p9_table_of_traces(const struct p9_plan *plan, const struct p9_result *results,
                               uint64_t *ret_good, uint64_t *ret_all)
{
    static const char *const columns[] = {
        "trace",   "interval_ms", "seed", "T_D_s",   "novacron", "timeout",    "phi",
        "phi_exp", "akka",        "chen", "bertier", "two_win",  "worse_than", NULL};
    struct detect_table table;
    struct p9_score unused[DETECTOR_KINDS];
    bool is_good;

    detect_table_init(&table, "Mistakes at the detection time of the default as shipped", columns);
    for (size_t i = 0; i < (size_t)plan->kinds * plan->intervals * plan->seeds; i++) {
        const struct p9_key key = p9_key_of(plan, i);
        const struct p9_result *r = &results[i];
        char worse[DETECT_CELL_BYTES] = "";
        static const enum detector_kind order[] = {
            DETECTOR_TIMEOUT, DETECTOR_PHI_NORMAL, DETECTOR_PHI_EXPONENTIAL, DETECTOR_AKKA,
            DETECTOR_CHEN,    DETECTOR_BERTIER,    DETECTOR_TWO_WINDOW};
        memset(unused, 0, sizeof unused);
        p9_score_trace(r, P9_BY_MISTAKES, unused, &is_good);
        *ret_good += is_good;
        ++*ret_all;
        detect_table_text(&table, labtrace_name(key.kind));
        detect_table_number(&table, (double)INTERVALS[key.interval] / NANOS_PER_MS, 0);
        detect_table_number(&table, key.seed, 0);
        detect_table_number(&table, r->at_s[RUNG_SHIPPED], 3);
        detect_table_number(&table, r->rungs[DETECTOR_DEFAULT][RUNG_SHIPPED].mistakes, 0);
        for (size_t k = 0; k < COUNT_OF(order); k++) {
            if (r->reaches[order[k]][RUNG_SHIPPED]) {
                detect_table_number(&table, r->rungs[order[k]][RUNG_SHIPPED].mistakes, 0);
            } else {
                detect_table_text(&table, "-");
            }
            if (unused[order[k]].compared > unused[order[k]].no_worse) {
                size_t used = strlen(worse);
                (void)snprintf(worse + used, sizeof worse - used, "%s%s", used > 0 ? " " : "",
                               detector_kind_name(order[k]));
            }
        }
        detect_table_text(&table, worse[0] == '\0' ? "none" : worse);
    }
    detect_table_end(&table, plan->call);
}

static void p9_table_of_scores(const struct p9_plan *plan, const struct p9_result *results)
{
    static const char *const columns[] = {"detector",
                                          "traces",
                                          "ours_no_worse_percent",
                                          "ours_fewer_percent",
                                          "ours_to_its_mistakes",
                                          "no_worse_time_percent",
                                          "ours_to_its_time",
                                          NULL};
    struct p9_score scores[DETECTOR_KINDS] = {{0}};
    struct p9_score times[DETECTOR_KINDS] = {{0}};
    struct detect_table table;
    bool unused;

    for (size_t i = 0; i < (size_t)plan->kinds * plan->intervals * plan->seeds; i++) {
        p9_score_trace(&results[i], P9_BY_MISTAKES, scores, &unused);
        p9_score_trace(&results[i], P9_BY_TIME, times, &unused);
    }
    detect_table_init(&table, "Our default against each, at equal detection times", columns);
    for (int kind = 0; kind < DETECTOR_KINDS; kind++) {
        const struct p9_score *s = &scores[kind];
        if (kind == DETECTOR_DEFAULT || s->compared == 0) {
            continue;
        }
        double n = (double)s->compared;
        detect_table_text(&table, detector_kind_name((enum detector_kind)kind));
        detect_table_number(&table, n, 0);
        detect_table_number(&table, 100 * (double)s->no_worse / n, 1);
        detect_table_number(&table, 100 * (double)s->better / n, 1);
        detect_table_number(&table, exp(s->sum / n), 3);
        detect_table_number(&table, 100 * (double)times[kind].no_worse / n, 1);
        detect_table_number(&table, exp(times[kind].sum / n), 3);
    }
    detect_table_end(&table, plan->call);
}

/* Seeds are other traces of the same kinds: how much of the figure is chance. */
static void p9_table_of_seeds(const struct p9_plan *plan, const struct p9_result *results)
{
    static const char *const columns[] = {"seed", "traces", "no_worse", "percent", NULL};
    struct p9_score unused[DETECTOR_KINDS];
    struct detect_table table;

    detect_table_init(&table, "Traces on which ours is no worse than all others, by seed", columns);
    for (uint32_t seed = 1; seed <= plan->seeds; seed++) {
        uint32_t good = 0;
        uint32_t all = 0;

        for (size_t i = 0; i < (size_t)plan->kinds * plan->intervals * plan->seeds; i++) {
            bool is_good;
            if (p9_key_of(plan, i).seed == seed) {
                memset(unused, 0, sizeof unused);
                p9_score_trace(&results[i], P9_BY_MISTAKES, unused, &is_good);
                good += is_good;
                all++;
            }
        }
        detect_table_number(&table, seed, 0);
        detect_table_number(&table, all, 0);
        detect_table_number(&table, good, 0);
        detect_table_number(&table, 100.0 * good / all, 1);
    }
    detect_table_end(&table, plan->call);
}

static void p9_plot(const struct p9_plan *plan, const struct p9_result *results)
{
    static struct plot plot;
    static const enum labtrace_kind shown[] = {LABTRACE_EXPONENTIAL, LABTRACE_HEAVY,
                                               LABTRACE_BURSTS,      LABTRACE_STEPS,
                                               LABTRACE_QUEUE,       LABTRACE_PAUSES};

    plot = (struct plot){.title =
                             "Mistakes against detection time, heartbeats each 100 ms (open: none)",
                         .x_label = "mean detection time, s",
                         .y_label = "mistakes a second",
                         .x_is_log = true,
                         .y_is_log = true};
    for (size_t p = 0; p < COUNT_OF(shown); p++) {
        struct plot_panel *panel = &plot.panels[plot.count++];
        panel->title = labtrace_name(shown[p]);
        const struct p9_result *r = &results[((size_t)shown[p] * plan->intervals) * plan->seeds];
        for (int kind = 0; kind < DETECTOR_KINDS; kind++) {
            struct plot_series *series =
                plot_series_of(panel, detector_kind_name((enum detector_kind)kind));
            for (size_t i = 0; i < POINTS; i++) {
                const struct labqos *q = &r->curves[kind][i];
                if (q->detection_mean_s > 0.07 && q->detection_mean_s < 10) {
                    plot_add(series, q->detection_mean_s, labqos_mistake_rate(q));
                }
            }
        }
    }
    plot_write(&plot, plan->call->svg);
}

bool detect_run_p9(const struct detect_call *call)
{
    struct p9_plan plan = {.call = call,
                           .kinds = call->latency != NULL ? LABTRACE_KINDS : LABTRACE_MEASURED,
                           .intervals = call->is_quick ? 1 : COUNT_OF(INTERVALS),
                           .seeds = detect_seeds(call, 3, 1),
                           .beats = call->is_quick ? BEATS_QUICK : BEATS_FULL};
    struct detect_work work = {.runs = (size_t)plan.kinds * plan.intervals * plan.seeds,
                               .result_bytes = sizeof(struct p9_result),
                               .run = p9_one,
                               .ctx = &plan,
                               .jobs = call->jobs};
    struct p9_result *results = detect_pool_run(&work);
    uint64_t good = 0;
    uint64_t all = 0;

    if (results == NULL) {
        return false;
    }
    p9_table_of_traces(&plan, results, &good, &all);
    p9_table_of_scores(&plan, results);
    p9_table_of_seeds(&plan, results);
    if (call->svg != NULL) {
        p9_plot(&plan, results);
    }
    detect_figure("p9_traces", (double)all, "traces");
    detect_figure("p9_no_worse_percent", 100 * (double)good / (double)all, "%");
    detect_pool_free(results, &work);
    return true;
}
