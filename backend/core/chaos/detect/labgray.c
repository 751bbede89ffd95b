#include "core/chaos/detect/labgray.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/detect/labdraw.h"
#include "core/monitoring/health/gray.h"
#include "core/monitoring/health/gray_map.h"
#include "core/monitoring/health/health_math.h"

#define N LABGRAY_HOSTS

/* The host that fails, and the one whose path to it does. */
#define SICK  3
#define OTHER 7

/* In millionths: what is lost everywhere, on the bad path, and by half a network card. */
#define LOSS_USUAL 100
#define LOSS_PATH  20000
#define LOSS_NIC   500000

#define SLOW_FACTOR 10
#define SLOW_MIN    (2 * NANOS_PER_MS)

/* Envoy's defaults. */
#define ENVOY_SWEEP        (10 * NANOS_PER_S)
#define ENVOY_IN_A_ROW     5
#define ENVOY_REQUESTS_MIN 100
#define ENVOY_HOSTS_MIN    5
#define ENVOY_DEVIATIONS   1.9

/* What one host knows of another. */
struct labgray_pair {
    struct gray_signal signal;
    nanos usual; /* its latency */
    bool was_degraded;
    uint32_t envoy_requests;
    uint32_t envoy_failures;
    uint32_t envoy_in_a_row;
};

struct labgray {
    const struct labgray_cell *cell;
    struct labgray_result *result;
    struct prng prng;
    struct labgray_pair pairs[N][N];
    struct gray_map map;
    nanos now;
    nanos fault_at;
};

const char *labgray_name(enum labgray_fault fault)
{
    static const char *const names[] = {
#define LABGRAY_NAME(fault, name) name,
        LABGRAY_TABLE(LABGRAY_NAME)
#undef LABGRAY_NAME
    };
    CHECK(fault < LABGRAY_FAULTS);
    return names[fault];
}

/* Does the fault touch what `observer` sees of `subject`? */
static bool is_touched(const struct labgray *g, uint32_t observer, uint32_t subject)
{
    if (g->now < g->fault_at) {
        return false;
    }
    switch (g->cell->fault) {
    case LABGRAY_NONE:
    case LABGRAY_FAULTS:
        return false;
    case LABGRAY_SLOW_DISK:
    case LABGRAY_STUCK:
        return subject == SICK;
    case LABGRAY_LOSSY_PATH:
        return observer == OTHER && subject == SICK;
    case LABGRAY_HALF_NIC:
        return subject == SICK || observer == SICK;
    }
    return false;
}

static double since_fault(const struct labgray *g, nanos more)
{
    return (double)(g->now + more - g->fault_at) / (double)NANOS_PER_S;
}

/* --- Envoy ------------------------------------------------------------------------------------ */

static void envoy_ejects(struct labgray *g, uint32_t observer, uint32_t subject)
{
    if (!is_touched(g, observer, subject)) {
        g->result->envoy_false++;
    } else if (!(g->result->envoy_s > 0)) {
        g->result->envoy_s = since_fault(g, LABGRAY_TIMEOUT);
    }
}

static void envoy_hears(struct labgray *g, uint32_t observer, uint32_t subject, bool is_failure)
{
    struct labgray_pair *pair = &g->pairs[observer][subject];
    pair->envoy_requests++;
    pair->envoy_failures += is_failure;
    pair->envoy_in_a_row = is_failure ? pair->envoy_in_a_row + 1 : 0;
    if (pair->envoy_in_a_row == ENVOY_IN_A_ROW) {
        envoy_ejects(g, observer, subject);
        pair->envoy_in_a_row = 0;
    }
}

static void envoy_sweeps(struct labgray *g, uint32_t observer)
{
    double rates[N];
    double sum = 0;
    double squares = 0;
    uint32_t count = 0;

    for (uint32_t k = 0; k < N; k++) {
        const struct labgray_pair *pair = &g->pairs[observer][k];
        if (k != observer && pair->envoy_requests >= ENVOY_REQUESTS_MIN) {
            rates[k] = 1 - (double)pair->envoy_failures / pair->envoy_requests;
            sum += rates[k];
            squares += rates[k] * rates[k];
            count++;
        }
    }
    double mean = count > 0 ? sum / count : 0;
    double variance = count > 0 ? squares / count - mean * mean : 0;
    double limit = mean - ENVOY_DEVIATIONS * health_sqrt(variance > 0 ? variance : 0);
    for (uint32_t k = 0; k < N; k++) {
        struct labgray_pair *pair = &g->pairs[observer][k];
        bool has_rate = k != observer && pair->envoy_requests >= ENVOY_REQUESTS_MIN;
        if (count >= ENVOY_HOSTS_MIN && has_rate && variance > 1e-12 && rates[k] < limit) {
            envoy_ejects(g, observer, k);
        }
        pair->envoy_requests = 0;
        pair->envoy_failures = 0;
    }
}

/* --- Ours ------------------------------------------------------------------------------------- */

static void note_signal(struct labgray *g, uint32_t observer, uint32_t subject, nanos waited)
{
    struct labgray_pair *pair = &g->pairs[observer][subject];
    bool is_degraded = gray_is_degraded(&pair->signal);

    if (is_degraded && !pair->was_degraded) {
        if (!is_touched(g, observer, subject)) {
            g->result->signals_false++;
        } else if (!(g->result->signal_s > 0)) {
            g->result->signal_s = since_fault(g, waited);
        }
    }
    pair->was_degraded = is_degraded;
}

static bool is_verdict_right(const struct labgray *g, const struct gray_verdict *v)
{
    const node_id sick = SICK + 1;
    if (g->now < g->fault_at) {
        return false;
    }
    switch (g->cell->fault) {
    case LABGRAY_NONE:
    case LABGRAY_FAULTS:
        return false;
    case LABGRAY_SLOW_DISK:
    case LABGRAY_STUCK:
        /* Before all observers see it, it may be taken for paths to that host. */
        return v->host == sick || v->other == sick;
    case LABGRAY_LOSSY_PATH:
        return v->blame == GRAY_BLAME_PATH && (v->host == sick || v->other == sick) &&
               (v->host == OTHER + 1 || v->other == OTHER + 1);
    case LABGRAY_HALF_NIC:
        return v->host == sick || v->other == sick;
    }
    return false;
}

static bool names_the_cause(const struct labgray *g, const struct gray_verdict *v)
{
    return g->cell->fault == LABGRAY_LOSSY_PATH ||
           (v->blame != GRAY_BLAME_PATH && v->host == SICK + 1);
}

/* Once a second all tell what they see, and the others' fate is taken into account. */
static void join_reports(struct labgray *g)
{
    struct gray_verdict verdicts[N * N];

    gray_map_init(&g->map);
    for (uint32_t i = 0; i < N; i++) {
        struct gray_signal *signals[N];
        uint32_t count = 0;
        for (uint32_t k = 0; k < N; k++) {
            if (k != i) {
                signals[count++] = &g->pairs[i][k].signal;
                CHECK(gray_map_add(&g->map, i + 1, k + 1, g->pairs[i][k].was_degraded) == OK);
            }
        }
        gray_compare(signals, count);
    }
    uint32_t n = gray_map_join(&g->map, verdicts, COUNT_OF(verdicts));
    for (uint32_t i = 0; i < n; i++) {
        if (!is_verdict_right(g, &verdicts[i])) {
            g->result->verdicts_false++;
        } else if (names_the_cause(g, &verdicts[i]) && !(g->result->verdict_s > 0)) {
            g->result->verdict_s = since_fault(g, LABGRAY_TIMEOUT);
        }
    }
}

/* --- Requests --------------------------------------------------------------------------------- */

/* Most take one to two times the usual; one of a hundred up to six times, and one of ten thousand
 * fifty. */
static nanos labgray_latency(struct labgray *g, const struct labgray_pair *pair)
{
    uint64_t word = prng_below(&g->prng, 10000);
    uint64_t spread = word == 0 ? 5000 : word < 100 ? 500 : 100;
    return pair->usual * (100 + prng_below(&g->prng, spread)) / 100;
}

static uint32_t loss_of(const struct labgray *g, uint32_t observer, uint32_t subject)
{
    if (!is_touched(g, observer, subject)) {
        return LOSS_USUAL;
    }
    return g->cell->fault == LABGRAY_LOSSY_PATH ? LOSS_PATH
           : g->cell->fault == LABGRAY_HALF_NIC ? LOSS_NIC
                                                : LOSS_USUAL;
}

static void labgray_ask(struct labgray *g, uint32_t observer, uint32_t subject)
{
    struct labgray_pair *pair = &g->pairs[observer][subject];
    bool is_bad = is_touched(g, observer, subject);
    bool is_lost = prng_below(&g->prng, 1000000) < loss_of(g, observer, subject);
    nanos took = labgray_latency(g, pair);
    nanos patience = u64_min(gray_slow_after(&pair->signal), LABGRAY_TIMEOUT);

    if (is_bad && g->cell->fault == LABGRAY_SLOW_DISK) {
        took *= SLOW_FACTOR;
    }
    if (is_bad && g->cell->fault == LABGRAY_STUCK) {
        /* It hangs: slow as soon as it waits too long, and lost in the end. */
        envoy_hears(g, observer, subject, true);
        if (patience < LABGRAY_TIMEOUT) {
            gray_answered(&pair->signal, patience, g->now);
        } else {
            gray_lost(&pair->signal, g->now);
        }
        note_signal(g, observer, subject, patience);
        return;
    }
    envoy_hears(g, observer, subject, is_lost);
    if (is_lost) {
        gray_lost(&pair->signal, g->now);
        note_signal(g, observer, subject, LABGRAY_TIMEOUT);
    } else {
        gray_answered(&pair->signal, took, g->now);
        note_signal(g, observer, subject, took);
    }
}

void labgray_run(const struct labgray_cell *cell, struct labgray_result *ret)
{
    struct labgray *g = mem_alloc_zero(sizeof *g);
    struct gray_config config = gray_config_of(SLOW_MIN);
    nanos joined = 0;
    nanos swept = 0;

    memset(ret, 0, sizeof *ret);
    config.threshold *= cell->threshold_factor;
    g->cell = cell;
    g->result = ret;
    g->fault_at = cell->quiet;
    prng_init(&g->prng, cell->seed);
    for (uint32_t i = 0; i < N; i++) {
        for (uint32_t k = 0; k < N; k++) {
            gray_init(&g->pairs[i][k].signal, &config, 0);
            /* Hosts are 0.5 to 5 ms away, and answer from a disk. */
            g->pairs[i][k].usual = prng_range(&g->prng, 500, 5000) * NANOS_PER_US;
        }
    }
    for (; g->now < cell->quiet + cell->span; g->now += cell->gap) {
        for (uint32_t i = 0; i < N; i++) {
            for (uint32_t k = 0; k < N; k++) {
                if (i != k) {
                    labgray_ask(g, i, k);
                }
            }
        }
        if (g->now - joined >= NANOS_PER_S) {
            joined = g->now;
            join_reports(g);
        }
        for (uint32_t i = 0; i < N && g->now - swept >= ENVOY_SWEEP; i++) {
            envoy_sweeps(g, i);
        }
        swept = g->now - swept >= ENVOY_SWEEP ? g->now : swept;
    }
    mem_free(g);
}
