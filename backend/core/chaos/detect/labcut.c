#include "core/chaos/detect/labcut.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/prng.h"
#include "core/base/sort.h"

/* Nothing in an experiment waits longer. */
#define LABCUT_END (300 * NANOS_PER_S)

struct labcut_report {
    nanos at;
    uint64_t tie; /* of equal times the order is drawn, too */
    struct swim_report report;
};

struct labcut {
    const struct labcut_cell *cell;
    struct labcut_result *result;
    struct cut cut;
    struct cut_update update;
    bool *is_faulty; /* owned */
    uint32_t lost;   /* faulty ones so far */
};

static int report_order(const void *a, const void *b)
{
    const struct labcut_report *x = a;
    const struct labcut_report *y = b;
    if (x->at != y->at) {
        return x->at < y->at ? -1 : 1;
    }
    return x->tie < y->tie ? -1 : x->tie > y->tie;
}

static void labcut_step(struct labcut *l, struct cut_event *event, nanos now)
{
    uint32_t lost = 0;

    event->now = now;
    cut_step(&l->cut, event, &l->update);
    for (size_t i = 0; i < l->update.n_changes; i++) {
        const struct cut_change *change = &l->update.changes[i];
        if (change->kind == CUT_LOST) {
            bool is_faulty = l->is_faulty[change->id - 1];
            l->result->wronged += !is_faulty;
            lost += is_faulty;
        }
    }
    if (lost > 0) {
        l->result->is_conflict = l->result->is_conflict || (l->lost == 0 && lost < l->cell->faulty);
        l->lost += lost;
        l->result->cuts++;
        l->result->last_s = (double)now / (double)NANOS_PER_S;
    }
}

/* Deadlines up to `now`. */
static void labcut_wait(struct labcut *l, nanos now)
{
    while (l->update.deadline <= now) {
        labcut_step(l, &(struct cut_event){.kind = CUT_EVENT_TIME}, l->update.deadline);
    }
}

static void make_reports(struct labcut *l, struct prng *p, struct labcut_report *reports)
{
    const struct labcut_cell *cell = l->cell;
    size_t count = 0;

    for (uint32_t left = cell->faulty; left > 0;) {
        uint32_t host = (uint32_t)prng_below(p, cell->hosts);
        if (!l->is_faulty[host]) {
            l->is_faulty[host] = true;
            left--;
        }
    }
    for (uint32_t host = 0; host < cell->hosts; host++) {
        struct swim_report report = {
            .subject = host + 1, .incarnation = 1, .down = true, .n_observers = LABCUT_OBSERVERS};
        if (!l->is_faulty[host]) {
            continue;
        }
        /* Its observers, none of whom failed: they would be other hosts in another order. */
        for (uint32_t k = 0; k < LABCUT_OBSERVERS;) {
            uint32_t observer = (uint32_t)prng_below(p, cell->hosts);
            bool is_taken = l->is_faulty[observer];
            for (uint32_t i = 0; i < k; i++) {
                is_taken = is_taken || report.observers[i] == observer + 1;
            }
            if (!is_taken) {
                report.observers[k++] = observer + 1;
            }
        }
        for (uint32_t k = 0; k < LABCUT_OBSERVERS; k++) {
            report.observer = report.observers[k];
            nanos at = NANOS_PER_S + prng_below(p, cell->spread);
            reports[count++] = (struct labcut_report){at, prng_u64(p), report};
        }
    }
    sort_items(reports, count, sizeof *reports, report_order);
}

void labcut_run(const struct labcut_cell *cell, struct labcut_result *ret)
{
    CHECK(cell->faulty + LABCUT_OBSERVERS < cell->hosts && cell->spread > 0);
    struct labcut l = {.cell = cell, .result = ret};
    size_t count = (size_t)cell->faulty * LABCUT_OBSERVERS;
    struct labcut_report *reports = mem_alloc(count * sizeof *reports);
    struct cut_config config;
    struct prng p;

    memset(ret, 0, sizeof *ret);
    prng_init(&p, cell->seed);
    l.is_faulty = mem_alloc_zero(cell->hosts);
    cut_config_default(&config);
    config.high_percent = 100 * cell->high / LABCUT_OBSERVERS;
    config.low_percent = 100 * cell->low / LABCUT_OBSERVERS;
    config.settle = cell->settle;
    cut_init(&l.cut, &config, 0);
    cut_update_init(&l.update);
    for (uint32_t i = 0; i < cell->hosts; i++) {
        labcut_step(&l, &(struct cut_event){.kind = CUT_EVENT_ALIVE, .id = i + 1, .incarnation = 1},
                    0);
    }
    make_reports(&l, &p, reports);
    for (size_t i = 0; i < count; i++) {
        labcut_wait(&l, reports[i].at);
        labcut_step(&l, &(struct cut_event){.kind = CUT_EVENT_REPORT, .report = reports[i].report},
                    reports[i].at);
    }
    while (l.lost < cell->faulty && l.update.deadline < LABCUT_END) {
        labcut_wait(&l, l.update.deadline);
    }
    cut_deinit(&l.cut);
    cut_update_deinit(&l.update);
    mem_free(l.is_faulty);
    mem_free(reports);
}
