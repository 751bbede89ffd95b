#include "core/chaos/sim/inject.h"

#include <string.h>

#include "core/base/check.h"
#include "core/chaos/oracle/oracle.h"
#include "core/chaos/sim/inject_int.h"
#include "core/node/node_int.h"

/* A process that halted is started again after this: what a supervisor does. */
#define SUPERVISOR_DELAY (500 * NANOS_PER_MS)

bool inject_is_up(const struct simmember *m)
{
    return m->state == MEMBER_UP;
}

bool inject_serves(const struct simmember *m)
{
    return simmember_serves(m);
}

static bool is_there(const struct simmember *m)
{
    return m->state != MEMBER_BLANK;
}

static bool is_follower(const struct simmember *m)
{
    return simmember_serves(m) && node_status(m->node).role != RAFT_LEADER;
}

/* --- processes -------------------------------------------------------------------------------- */

void inject_kill(struct inject *inject, struct simmember *m, bool power, uint64_t num)
{
    if (m->state != MEMBER_UP) {
        return;
    }
    if (inject->ordered_at == m) {
        inject->ordered_at = NULL; /* its answer will never come */
        inject->is_ordering = false;
    }
    /* What a lying disk loses is the lie's to say, which asks the atlas at its end. */
    simmember_kill(m, power, inject->damage[m->i].is_lying ? 4 : num);
    inject->touched(inject->ctx, m->i);
}

void inject_restart(struct inject *inject, struct simmember *m)
{
    if (m->state == MEMBER_UP || m->stays_down) {
        return;
    }
    if (simmember_switch_on(m) && m->state != MEMBER_UP) {
        simmember_start(m);
    }
    inject->touched(inject->ctx, m->i);
}

/* --- rows ------------------------------------------------------------------------------------- */

static struct simmember *row_target(struct inject *inject, const struct fault *row)
{
    struct simcluster *c = inject->cluster;
    struct simmember *leader = simcluster_leader(c);

    switch (row->target) {
    case TARGET_LEADER:
        if (leader != NULL) {
            return leader;
        }
        break;
    case TARGET_FOLLOWER:
        return simcluster_pick(c, row->pick, is_follower);
    case TARGET_HOST:
        return row->pick < c->n ? &c->member[row->pick] : NULL;
    case TARGET_ANY:
    case TARGET_KINDS:
        break;
    }
    struct simmember *m = simcluster_pick(c, row->pick, inject_is_up);
    return m != NULL ? m : simcluster_pick(c, row->pick, is_there);
}

static enum inject_outcome row_begin(struct inject_active *a)
{
    if (a->at == NULL) {
        return INJECT_NO_TARGET;
    }
    switch (fault_family_of(a->row.kind)) {
    case FAMILY_CUT:
    case FAMILY_LOSS:
    case FAMILY_DELAY:
    case FAMILY_CLOG:
    case FAMILY_STREAM:
    case FAMILY_DATAGRAM:
        return inject_begin_net(a);
    case FAMILY_CRASH:
    case FAMILY_POWER:
    case FAMILY_PAUSE:
    case FAMILY_CPU:
    case FAMILY_CLOCK:
    case FAMILY_DISK_SLOW:
    case FAMILY_DISK_ERROR:
    case FAMILY_DISK_FULL:
    case FAMILY_APP:
        return inject_begin_host(a);
    case FAMILY_DISK_LOSS:
        return inject_begin_loss(a);
    case FAMILY_MEMBER:
    case FAMILY_OPERATE:
        return inject_begin_member(a);
    case FAMILY_MACHINE:
    case FAMILY_FENCE:
    case FAMILY_GUARD:
    case FAMILY_STORAGE:
    case FAMILY_MAINS:
        return inject_begin_vm(a);
    case FAULT_FAMILIES:
        break;
    }
    CHECK_UNREACHABLE("a fault of no family");
}

static void row_end(struct inject_active *a)
{
    world_timer_cancel(a->inject->world, &a->timer);
    a->is_used = false;
    inject_end_net(a);
    inject_end_host(a);
    inject_end_loss(a);
    inject_end_member(a);
    inject_end_vm(a);
}

static void row_timer(struct world_timer *timer)
{
    struct inject_active *a = timer->owner;
    struct inject *inject = a->inject;

    if (world_now(inject->world) >= a->ends) {
        row_end(a);
    } else {
        inject_step_net(a);
        inject_step_host(a);
        inject_step_member(a);
    }
}

void inject_wait(struct inject_active *a, nanos span)
{
    nanos next = world_now(a->inject->world) + u64_max(span, 1);
    world_timer_set(a->inject->world, &a->timer, u64_min(next, a->ends));
}

static struct inject_active *active_take(struct inject *inject, const struct fault *row)
{
    for (size_t i = 0; i < INJECT_ACTIVE_MAX; i++) {
        struct inject_active *a = &inject->active[i];
        if (!a->is_used) {
            *a = (struct inject_active){.inject = inject, .row = *row};
            a->timer = (struct world_timer){.fire = row_timer, .owner = a};
            prng_init(&a->prng, row->draw);
            return a;
        }
    }
    return NULL;
}

void inject_now(struct inject *inject, const struct fault *row)
{
    struct inject_active *a = active_take(inject, row);
    inject->spot.path[0] = '\0';
    enum inject_outcome outcome = INJECT_SPARED;
    const struct simmember *struck = NULL;

    if (a != NULL) {
        a->at = row_target(inject, row);
        a->is_used = true;
        a->is_on = true;
        a->ends = world_now(inject->world) + row->span;
        outcome = row_begin(a);
        struck = a->at;
        if (outcome != INJECT_DONE || row->span == 0) {
            a->is_used = false;
        } else if (!a->timer.is_set) {
            inject_wait(a, row->span);
        }
    }
    inject->counts[row->kind][outcome]++;
    inject->injected(inject->ctx, row, outcome, struck);
}

static void plan_timer(struct world_timer *timer)
{
    struct inject *inject = timer->owner;
    const struct fault_plan *plan = inject->plan;

    while (inject->next < plan->count &&
           inject->from + plan->rows[inject->next].at <= world_now(inject->world)) {
        inject_now(inject, &plan->rows[inject->next++]);
    }
    if (inject->next < plan->count) {
        world_timer_set(inject->world, timer, inject->from + plan->rows[inject->next].at);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

void inject_init(struct inject *inject, struct simcluster *cluster, struct simclients *clients,
                 const struct fault_plan *plan)
{
    memset(inject, 0, sizeof *inject);
    inject->cluster = cluster;
    inject->clients = clients;
    inject->world = simhost_world(simhost_new(cluster->world, "operator", 0));
    inject->plan = plan;
    simatlas_init(&inject->atlas, &(struct simatlas_group){0});
    inject->timer = (struct world_timer){.fire = plan_timer, .owner = inject};
    buf_init(&inject->order_body);
    inject_links(inject);
}

void inject_deinit(struct inject *inject)
{
    buf_deinit(&inject->order_body);
}

void inject_start(struct inject *inject, nanos from)
{
    inject->from = from;
    if (inject->plan->count > 0) {
        world_timer_set(inject->world, &inject->timer, from + inject->plan->rows[0].at);
    }
}

void inject_end(struct inject *inject)
{
    inject->is_over = true;
    world_timer_cancel(inject->world, &inject->timer);
    for (size_t i = 0; i < INJECT_ACTIVE_MAX; i++) {
        if (inject->active[i].is_used) {
            row_end(&inject->active[i]);
        }
    }
}

void inject_heal(struct inject *inject, uint32_t core)
{
    struct simcluster *c = inject->cluster;

    for (uint32_t i = 0; i < c->n; i++) {
        struct simmember *m = &c->member[i];
        simdisk_heal(simhost_disk(m->host)); /* what waited for an operation, too */
        if ((core >> i & 1) == 0) {
            m->stays_down = true;
            inject_kill(inject, m, false, 0);
        } else if (m->state == MEMBER_DOWN) {
            inject_restart(inject, m);
        }
    }
}

/* Does it hold what its leader has committed? */
static bool has_caught_up(const struct inject *inject, const struct simmember *m)
{
    const struct simmember *leader = simcluster_leader(inject->cluster);
    struct raft_status status = node_status(m->node);

    return leader != NULL && status.term == node_status(leader->node).term &&
           status.durable >= node_status(leader->node).last;
}

/* A trick that waited has happened by now: what was read before proves nothing. */
static void note_tricks(struct inject *inject, const struct simmember *m)
{
    uint64_t played = 0;

    for (size_t trick = 0; trick < SIMDISK_TRICKS; trick++) {
        played += simdisk_played(simhost_disk(m->host), (enum simdisk_trick)trick);
    }
    if (played != inject->damage[m->i].played) {
        inject->damage[m->i].played = played;
        inject->damage[m->i].life = m->life;
        inject->damage[m->i].passes = m->node->counted.scrub_passes;
    }
}

/* Was its disk damaged, and does the node vouch for it again? A scrub that began after the damage
 * has read all of it; so has a start. What it cannot know to have lost, its leader does. A snapshot
 * that is being put in the place of the store is read back only after the node counts as repaired.
 */
static bool is_whole_again(const struct inject *inject, const struct simmember *m)
{
    bool read_again = m->life > inject->damage[m->i].life ||
                      (!inject->damage[m->i].needs_start &&
                       m->node->counted.scrub_passes >= inject->damage[m->i].passes + 2);

    return simmember_serves(m) && read_again && !node_status(m->node).impaired &&
           !m->node->snap_forced && !m->node->snap_lost && !m->node->snap_writer &&
           !m->node->is_loading && (!inject->damage[m->i].is_silent || has_caught_up(inject, m));
}

bool inject_is_beyond(const struct inject *inject)
{
    return !simatlas_has_held(&inject->atlas);
}

bool inject_explains_halt(const struct inject *inject, const struct simmember *m)
{
    return inject->damage[m->i].may_halt || inject->damage[m->i].lost != 0 ||
           (inject->damage[m->i].was_full && !m->is_ready);
}

void inject_watch(struct inject *inject, uint32_t i)
{
    struct simmember *m = &inject->cluster->member[i];

    if (m->state == MEMBER_UP && m->is_halted) {
        struct fault row = {.at = world_now(inject->world),
                            .span = SUPERVISOR_DELAY,
                            .kind = FAULT_KILL,
                            .target = TARGET_HOST,
                            .pick = i};
        inject_now(inject, &row);
    }
    inject_follow_group(inject, m);
    if (inject->damage[i].life != 0 && m->node != NULL) {
        note_tricks(inject, m);
    }
    if (inject->damage[i].life != 0 && m->node != NULL && is_whole_again(inject, m)) {
        inject->damage[i].life = 0;
        inject_end_tricks(
            m); /* what has not happened by now would strike a disk that counts as whole */
        simatlas_healed(&inject->atlas, i);
        inject->damage[i].lost = 0;
        inject->damage[i].needs_start = false;
        inject->damage[i].is_silent = false;
    }
}
