#include "core/chaos/detect/labview.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/monitoring/health/cut.h"

enum { LABEL_FAULTY = 40 };

/* DETECTION P6 and P7. */
#define FLIP_SPAN  (20 * NANOS_PER_S)
#define HEAVY_LOSS (LABNET_CERTAIN / 100 * 80)

/* The leader leads for so long before anything happens. */
#define LEADS_BEFORE (10 * NANOS_PER_S)

/* How often it is looked whether the leader has something to do. */
#define LOOK_EVERY (20 * NANOS_PER_MS)

struct labview {
    const struct labview_cell *cell;
    struct labswim swim;
    struct labview_result *result;
    bool is_faulty[LABNET_HOSTS_MAX];
    uint32_t size[LABNET_HOSTS_MAX]; /* of the view of each */
    uint32_t changes[LABNET_HOSTS_MAX];
    bool size_seen[LABNET_HOSTS_MAX + 1];
    nanos began;
    /* The leader of ours as shipped. */
    bool has_leader;
    uint32_t leader;
    struct cut cut;
    struct cut_update update;
    bool was_cut[LABNET_HOSTS_MAX];
};

static double labview_seconds(const struct labview *v)
{
    return (double)(labnet_now(v->swim.net) - v->began) / (double)NANOS_PER_S;
}

/* --- The leader --------------------------------------------------------------------------------*/

static void leader_note_lost(struct labview *v, node_id id)
{
    struct labview_result *r = v->result;
    uint32_t host = labswim_host_of(id);

    r->cut_healthy += !v->is_faulty[host];
    r->cut_faulty += v->is_faulty[host] && !v->was_cut[host];
    v->was_cut[host] = true;
    r->cut_last_s = labview_seconds(v);
    r->cut_first_s = r->cut_first_s > 0 ? r->cut_first_s : r->cut_last_s;
}

static void labview_lead(struct labview *v, struct cut_event *event)
{
    bool is_cut = false;

    event->now = labnet_now(v->swim.net);
    cut_step(&v->cut, event, &v->update);
    for (size_t i = 0; i < v->update.n_changes; i++) {
        const struct cut_change *change = &v->update.changes[i];
        if (change->kind == CUT_LOST) {
            leader_note_lost(v, change->id);
            is_cut = true;
        }
        v->result->cut_back += change->kind == CUT_BACK;
    }
    v->result->cuts += is_cut;
}

static void leader_hears_change(struct labview *v, const struct swim_change *change)
{
    struct cut_event event = {
        .kind = CUT_EVENT_ALIVE, .id = change->id, .incarnation = change->incarnation};
    if (change->kind == SWIM_SUSPECTED) {
        return;
    }
    if (change->kind == SWIM_DIED) {
        event.kind = CUT_EVENT_DEAD;
        event.since = labnet_now(v->swim.net);
    }
    labview_lead(v, &event);
}

static void labview_reported(void *ctx, uint32_t observer, const struct swim_report *report)
{
    struct labview *v = ctx;
    if (v->has_leader && observer == v->leader) {
        labview_lead(v, &(struct cut_event){.kind = CUT_EVENT_REPORT, .report = *report});
    }
}

/* The first member that is and stays healthy leads, and is told who there is. */
static void leader_begin(struct labview *v)
{
    struct cut_config config;

    v->has_leader = true;
    while (v->is_faulty[v->leader]) {
        v->leader++;
    }
    cut_config_default(&config);
    cut_init(&v->cut, &config, labnet_now(v->swim.net));
    cut_update_init(&v->update);
    for (uint32_t i = 0; i < v->cell->hosts; i++) {
        const struct swim_member *m = swim_find(&v->swim.hosts[v->leader].swim, labswim_id(i));
        labview_lead(v, &(struct cut_event){.kind = CUT_EVENT_ALIVE,
                                            .id = labswim_id(i),
                                            .incarnation = m->incarnation});
        labswim_lead(&v->swim, i, labswim_id(v->leader));
    }
}

/* Runs, and gives the leader its turns. */
static void labview_run_until(struct labview *v, nanos end)
{
    while (labnet_now(v->swim.net) < end) {
        nanos due = v->has_leader ? u64_min(v->update.deadline, end) : end;
        /* A report that comes before then may bring the deadline forward: look often. */
        nanos step = v->has_leader ? u64_min(due, labnet_now(v->swim.net) + LOOK_EVERY) : end;
        labswim_run(&v->swim, u64_max(step, labnet_now(v->swim.net) + 1));
        if (v->has_leader && v->update.deadline <= labnet_now(v->swim.net)) {
            labview_lead(v, &(struct cut_event){.kind = CUT_EVENT_TIME});
        }
    }
}

/* --- The members ------------------------------------------------------------------------------ */

static void labview_changed(void *ctx, uint32_t observer, const struct swim_change *change)
{
    struct labview *v = ctx;
    bool is_dead = change->kind == SWIM_DIED || change->kind == SWIM_WENT;
    bool is_back = change->kind == SWIM_JOINED;

    if (v->has_leader && observer == v->leader) {
        leader_hears_change(v, change);
    }
    if ((!is_dead && !is_back) || v->is_faulty[observer]) {
        return;
    }
    v->result->false_deaths += is_dead && !v->is_faulty[labswim_host_of(change->id)];
    v->size[observer] = is_dead ? v->size[observer] - 1 : v->size[observer] + 1;
    CHECK(v->size[observer] <= v->cell->hosts);
    v->size_seen[v->size[observer]] = true;
    v->changes[observer]++;
    v->result->agreed_s = (double)(labnet_now(v->swim.net) - v->began) / (double)NANOS_PER_S;
}

static void choose_faulty(struct labview *v)
{
    struct prng p = labnet_fork(v->swim.net, LABEL_FAULTY);
    for (uint32_t left = v->cell->faulty; left > 0;) {
        uint32_t host = (uint32_t)prng_below(&p, v->cell->hosts);
        if (!v->is_faulty[host]) {
            v->is_faulty[host] = true;
            left--;
        }
    }
}

static void strike(struct labview *v, uint32_t host)
{
    const struct labnet_span always = {v->began, NANOS_FOREVER, 0, 0};
    const struct labnet_span flips = {v->began, NANOS_FOREVER, FLIP_SPAN, FLIP_SPAN};

    switch (v->cell->fault) {
    case LABVIEW_CRASH:
        labswim_crash(&v->swim, host);
        break;
    case LABVIEW_FLIP_IN:
        labnet_lose_in(v->swim.net, host, &(struct labnet_loss){LABNET_CERTAIN, flips, 0});
        break;
    case LABVIEW_LOSS_OUT:
        labnet_lose_out(v->swim.net, host, &(struct labnet_loss){HEAVY_LOSS, always, 0});
        break;
    case LABVIEW_LOSS_IN:
        labnet_lose_in(v->swim.net, host, &(struct labnet_loss){HEAVY_LOSS, always, 0});
        break;
    }
}

static void labview_judge(struct labview *v)
{
    const struct labview_cell *cell = v->cell;
    struct labview_result *r = v->result;

    for (uint32_t k = 0; k < cell->hosts; k++) {
        bool is_held_alive = false;
        for (uint32_t i = 0; i < cell->hosts && v->is_faulty[k]; i++) {
            enum swim_state state = labswim_state(&v->swim, i, k);
            is_held_alive = is_held_alive ||
                            (!v->is_faulty[i] && (state == SWIM_ALIVE || state == SWIM_SUSPECT));
        }
        r->missed += is_held_alive;
        if (!v->is_faulty[k] && v->changes[k] > r->changes_most) {
            r->changes_most = v->changes[k];
        }
    }
    for (uint32_t size = 0; size <= cell->hosts; size++) {
        r->sizes += v->size_seen[size];
    }
}

void labview_run(const struct labview_cell *cell, struct labview_result *ret)
{
    CHECK(cell->faulty < cell->hosts);
    struct labview *v = mem_alloc_zero(sizeof *v);
    memset(ret, 0, sizeof *ret);
    v->cell = cell;
    v->result = ret;
    labswim_open(&v->swim, &(struct labswim_config){.protocol = cell->protocol,
                                                    .hosts = cell->hosts,
                                                    .seed = cell->seed,
                                                    .latency = cell->latency});
    choose_faulty(v);
    labswim_run(&v->swim, labnet_now(v->swim.net) + cell->quiet);
    for (uint32_t i = 0; i < cell->hosts; i++) {
        v->size[i] = cell->hosts;
    }
    v->size_seen[cell->hosts] = true;
    v->began = labnet_now(v->swim.net);
    v->swim.config.changed = labview_changed;
    v->swim.config.reported = labview_reported;
    v->swim.config.ctx = v;
    if (cell->protocol == LABSWIM_SHIPPED) {
        leader_begin(v);
        labview_run_until(v, labnet_now(v->swim.net) + LEADS_BEFORE);
        v->began = labnet_now(v->swim.net);
    }
    for (uint32_t i = 0; i < cell->hosts; i++) {
        if (v->is_faulty[i]) {
            strike(v, i);
        }
    }
    labview_run_until(v, v->began + cell->span);
    labview_judge(v);
    if (v->has_leader) {
        cut_deinit(&v->cut);
        cut_update_deinit(&v->update);
    }
    labswim_close(&v->swim);
    mem_free(v);
}
