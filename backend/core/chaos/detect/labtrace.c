#include "core/chaos/detect/labtrace.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/sort.h"
#include "core/chaos/detect/labdraw.h"

#define MS 1e6 /* in nanoseconds, as a real number */

/* A delay is never longer than this: who waits so long sends again. */
#define DELAY_MAX (30 * NANOS_PER_S)

/* The state of one trace while it is made. */
struct maker {
    const struct labtrace_options *options;
    struct prng prng;
    uint32_t number;
    /* Loss in bursts: so many heartbeats of this state are left. */
    uint64_t state_left;
    bool is_bad;
    double level;     /* STEPS: the delay of the route; QUEUE: what waits */
    double level_to;  /* QUEUE: the load */
    size_t pair_from; /* MEASURED */
    size_t pair_to;
};

const char *labtrace_name(enum labtrace_kind kind)
{
    static const char *const names[] = {
#define LABTRACE_NAME(kind, name) name,
        LABTRACE_TABLE(LABTRACE_NAME)
#undef LABTRACE_NAME
    };
    CHECK(kind < LABTRACE_KINDS);
    return names[kind];
}

/* How many heartbeats a state lasts, about `mean` of them. */
static uint64_t draw_span(struct maker *m, double mean)
{
    return 1 + (uint64_t)(mean * labdraw_exponential(&m->prng));
}

static bool is_lost_by_chance(struct maker *m, uint64_t in_million)
{
    return in_million > 0 && prng_chance(&m->prng, in_million, 1000000);
}

static bool is_lost_in_burst(struct maker *m)
{
    if (m->state_left == 0) {
        m->is_bad = !m->is_bad;
        /* Most bursts are short; one in twenty is a hundred times as long. */
        double bad = prng_chance(&m->prng, 1, 20) ? 100 : 3;
        m->state_left = draw_span(m, m->is_bad ? bad : 1000);
    }
    m->state_left--;
    return m->is_bad;
}

static bool beat_is_lost(struct maker *m)
{
    switch (m->options->kind) {
    case LABTRACE_LAN:
    case LABTRACE_PAUSES:
    case LABTRACE_DRIFT:
        return is_lost_by_chance(m, 10);
    case LABTRACE_NORMAL:
        return is_lost_by_chance(m, 1000);
    case LABTRACE_EXPONENTIAL:
    case LABTRACE_HEAVY:
    case LABTRACE_DIURNAL:
    case LABTRACE_STEPS:
    case LABTRACE_QUEUE:
    case LABTRACE_MEASURED:
        return is_lost_by_chance(m, 4000);
    case LABTRACE_LOSS:
        return is_lost_by_chance(m, 100000);
    case LABTRACE_BURSTS:
        return is_lost_in_burst(m);
    case LABTRACE_KINDS:
        break;
    }
    CHECK(false);
    return false;
}

static double delay_exponential(struct maker *m)
{
    return 20 * MS + 10 * MS * labdraw_exponential(&m->prng);
}

/* The day is a tenth of the trace; it rises and falls in straight lines. */
static double delay_diurnal(struct maker *m)
{
    double day = (double)m->options->beats / 10;
    double hour = (double)m->number / day;
    hour -= (double)(uint64_t)hour;
    double busy = hour < 0.5 ? 2 * hour : 2 - 2 * hour;
    return 20 * MS + 60 * MS * busy + (2 + 20 * busy) * MS * labdraw_exponential(&m->prng);
}

static double delay_steps(struct maker *m)
{
    static const double routes[] = {20 * MS, 60 * MS, 150 * MS};
    if (m->state_left == 0) {
        m->level = routes[prng_below(&m->prng, COUNT_OF(routes))];
        m->state_left = draw_span(m, 5000);
    }
    m->state_left--;
    return m->level + 3 * MS * labdraw_exponential(&m->prng);
}

/* Lindley's recursion: what waits grows by the work that came and shrinks by the time that passed.
 * In a rush more comes than is done. */
static double delay_queue(struct maker *m)
{
    if (m->state_left == 0) {
        m->is_bad = !m->is_bad;
        m->state_left = draw_span(m, m->is_bad ? 20 : 2000);
        m->level_to = m->is_bad ? 1.2 : 0.6;
    }
    m->state_left--;
    double step = (double)m->options->interval;
    m->level += step * (m->level_to * labdraw_exponential(&m->prng) - 1);
    m->level = m->level < 0 ? 0 : m->level;
    double cap = 500 * MS; /* the buffer */
    m->level = m->level > cap ? cap : m->level;
    return 20 * MS + m->level + MS * labdraw_exponential(&m->prng);
}

static double beat_delay(struct maker *m)
{
    switch (m->options->kind) {
    case LABTRACE_LAN:
    case LABTRACE_PAUSES:
    case LABTRACE_DRIFT:
        return (double)lablatency_draw(NULL, &m->prng, 0, 1);
    case LABTRACE_NORMAL: {
        double delay = 100 * MS + 10 * MS * labdraw_normal(&m->prng);
        return delay < MS ? MS : delay;
    }
    case LABTRACE_EXPONENTIAL:
    case LABTRACE_LOSS:
    case LABTRACE_BURSTS:
        return delay_exponential(m);
    case LABTRACE_HEAVY:
        return 20 * MS + 3 * MS * labdraw_pareto(&m->prng, 1.5);
    case LABTRACE_DIURNAL:
        return delay_diurnal(m);
    case LABTRACE_STEPS:
        return delay_steps(m);
    case LABTRACE_QUEUE:
        return delay_queue(m);
    case LABTRACE_MEASURED:
        return (double)lablatency_draw(m->options->latency, &m->prng, m->pair_from, m->pair_to);
    case LABTRACE_KINDS:
        break;
    }
    CHECK(false);
    return 0;
}

/* When the next heartbeat leaves, after one that left at `last`, of which the timer said `due`. */
static nanos beat_sent(struct maker *m, nanos due, nanos last)
{
    switch (m->options->kind) {
    case LABTRACE_PAUSES:
        if (prng_chance(&m->prng, 1, 1000)) {
            double pause = 50 * MS * labdraw_pareto(&m->prng, 1.2);
            return u64_max(due, last) + u64_min((nanos)pause, 10 * NANOS_PER_S);
        }
        break;
    case LABTRACE_DRIFT:
        return due + (nanos)(MS * labdraw_exponential(&m->prng));
    case LABTRACE_LAN:
    case LABTRACE_NORMAL:
    case LABTRACE_EXPONENTIAL:
    case LABTRACE_HEAVY:
    case LABTRACE_LOSS:
    case LABTRACE_BURSTS:
    case LABTRACE_DIURNAL:
    case LABTRACE_STEPS:
    case LABTRACE_QUEUE:
    case LABTRACE_MEASURED:
    case LABTRACE_KINDS:
        break;
    }
    /* The timer itself is late by a little. */
    return u64_max(due, last) + prng_below(&m->prng, 50 * NANOS_PER_US);
}

static int arrival_order(const void *a, const void *b)
{
    const struct labtrace_arrival *x = a;
    const struct labtrace_arrival *y = b;
    if (x->at != y->at) {
        return x->at < y->at ? -1 : 1;
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

static void maker_begin(struct maker *m)
{
    const struct labtrace_options *o = m->options;
    struct prng seed;
    prng_init(&seed, o->seed);
    /* Each kind and interval draws its own, whatever the others draw. */
    m->prng = prng_fork(&seed, (uint64_t)o->kind << 48 ^ o->interval);
    if (o->kind == LABTRACE_MEASURED) {
        CHECK(o->latency != NULL && o->latency->hosts > 1);
        m->pair_from = (size_t)prng_below(&m->prng, o->latency->hosts);
        m->pair_to = (m->pair_from + 1 + (size_t)prng_below(&m->prng, o->latency->hosts - 1)) %
                     o->latency->hosts;
    }
    m->is_bad = true; /* the first turn makes it good */
}

void labtrace_make(struct labtrace *t, const struct labtrace_options *options)
{
    CHECK(options->beats > 0 && options->beats <= LABTRACE_BEATS_MAX && options->interval > 0);
    struct maker m = {.options = options};
    maker_begin(&m);
    *t = (struct labtrace){.interval = options->interval, .beats = options->beats};
    t->sent = mem_alloc(options->beats * sizeof *t->sent);
    t->arrivals = mem_alloc(options->beats * sizeof *t->arrivals);

    nanos step = options->interval;
    if (options->kind == LABTRACE_DRIFT) {
        step += step / 2000;
    }
    nanos due = NANOS_PER_S;
    nanos last = 0;
    for (uint32_t i = 0; i < options->beats; i++, due += step) {
        m.number = i;
        last = beat_sent(&m, due, last);
        /* Who was late by an interval or more goes on from there, as a timer does that is set anew.
         */
        due = last > due + step ? last : due;
        t->sent[i] = last;
        bool is_lost = beat_is_lost(&m);
        nanos delay = u64_min((nanos)beat_delay(&m), DELAY_MAX);
        if (!is_lost) {
            t->arrivals[t->arrival_count++] = (struct labtrace_arrival){last + delay, i};
        }
    }
    sort_items(t->arrivals, t->arrival_count, sizeof *t->arrivals, arrival_order);
}

void labtrace_free(struct labtrace *t)
{
    mem_free(t->sent);
    mem_free(t->arrivals);
    *t = (struct labtrace){0};
}
