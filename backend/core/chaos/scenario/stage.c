#include "core/chaos/scenario/stage.h"

#include <string.h>

#include "core/base/say.h"
#include "core/chaos/scenario/stage_machines.h"
#include "core/chaos/simfile.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"
#include "core/store/store_limits.h"

/* A group on whole links has its first leader, whom all follow, after this. */
#define FOUND_BOUND (4 * SCENARIO_TIMEOUT)

/* --- life ------------------------------------------------------------------------------------ */

struct sim_settings stage_plain(uint32_t founders)
{
    struct sim_settings s = {
        .founders = founders,
        .feature_level = STORE_FEATURE_LEVEL_MAX,
        .heal_bound = 60 * NANOS_PER_S,
        .latency = 100 * NANOS_PER_US,
        .spread = 50 * NANOS_PER_US,
        .disk_bytes = 512ULL * 1024 * 1024,
        .segment_bytes = 384 * 1024,
        .batch_bytes = 256 * 1024,
        .reserve_bytes = 64 * 1024,
        .raft = raft_config_default(1, 0),
        .snapshot_entries = 1000000,
        .request_timeout = 3 * NANOS_PER_S,
        .keys = 8,
        .value_bytes = 16,
        .large_bytes = 2048,
        .think_time = 20 * NANOS_PER_MS,
        .weight_put = 1,
        .weight_get = 1,
    };
    for (size_t i = 0; i < SIM_HOSTS_MAX; i++) {
        s.priority[i] = RAFT_PRIORITY_DEFAULT;
    }
    s.raft.election_timeout = SCENARIO_TIMEOUT;
    return s;
}

/* Keeps a copy of what the script wants; then the simulator's own. */
static void stage_sent(void *ctx, struct simmember *m, const struct raft_message *message)
{
    struct stage *st = ctx;
    node_id from = st->catching.from;
    node_id to = st->catching.to;

    if (st->catching.is_on && st->catching.type == message->type &&
        (from == NODE_NONE || from == message->from) && (to == NODE_NONE || to == message->to)) {
        struct stage_caught *c = &st->caught[st->caught_count++ % STAGE_CAUGHT_MAX];
        buf_clear(&c->bytes);
        raft_message_encode(message, &c->bytes);
        c->from = message->from;
        c->to = message->to;
        c->type = message->type;
        c->at = stage_now(st);
    }
    st->heard.sent(ctx, m, message);
}

void stage_raise(struct stage *st, const struct sim_settings *settings)
{
    st->sim.settings = *settings;
    sim_begin(&st->sim);
    st->heard = st->sim.cluster.events;
    st->sim.cluster.events.sent = stage_sent;
}

static bool all_follow(struct stage *st)
{
    const struct simmember *leader = simcluster_leader(&st->sim.cluster);

    if (leader == NULL || !stage_leads_firmly(leader)) {
        return false;
    }
    for (uint32_t i = 0; i < st->sim.settings.founders; i++) {
        if (stage_status(stage_member(st, i)).leader != leader->id) {
            return false;
        }
    }
    return true;
}

void stage_found(struct stage *st, const struct sim_settings *settings)
{
    stage_raise(st, settings);
    for (uint32_t i = 0; i < settings->founders; i++) {
        stage_start(st, stage_member(st, i));
    }
    simcluster_start_agents(&st->sim.cluster);
    STAGE_UNTIL(st, FOUND_BOUND, all_follow(st), "the founders elect a leader, and all follow it");
}

void stage_heal(struct stage *st)
{
    if (stage_is_over(st)) {
        return;
    }
    for (uint32_t i = 0; i < st->sim.cluster.n; i++) {
        struct simhost *host = stage_member(st, i)->host;
        simhost_pause(host, stage_now(st));
        simhost_slow(host, 0, 0);
    }
    stage_link_all(st, true);
    stage_mend_hosts(st);
    sim_heal(&st->sim);
}

bool stage_is_over(const struct stage *st)
{
    return st->sim.is_over;
}

/* --- time and expectations ------------------------------------------------------------------- */

nanos stage_now(const struct stage *st)
{
    return simworld_now(st->sim.world);
}

void stage_pass(struct stage *st, nanos span)
{
    sim_pass(&st->sim, stage_now(st) + span);
}

bool stage_step(struct stage *st, nanos until)
{
    if (stage_is_over(st)) {
        return false;
    }
    if (simworld_next(st->sim.world) > until) {
        sim_pass(&st->sim, until);
        return false;
    }
    return sim_step(&st->sim);
}

void stage_say(struct stage *st, const char *text)
{
    struct buf *line = stage_is_over(st) ? NULL : sim_line(&st->sim);

    if (line != NULL) {
        say(line, "-- ");
        say(line, text);
        sim_line_end(&st->sim);
    }
}

static void say_of_member(struct stage *st, const struct simmember *m, const char *text)
{
    struct buf *line = stage_is_over(st) ? NULL : sim_line(&st->sim);

    if (line != NULL) {
        say(line, m->name);
        say(line, " ");
        say(line, text);
        sim_line_end(&st->sim);
    }
}

void stage_expect(struct stage *st, bool is_so, const char *text)
{
    struct buf failed;

    if (is_so || stage_is_over(st)) {
        return;
    }
    buf_init(&failed);
    say(&failed, "this was expected, and is not so: ");
    say(&failed, text);
    sim_fail(&st->sim, SIM_STUCK, "script", say_end(&failed));
    buf_deinit(&failed);
}

/* --- members --------------------------------------------------------------------------------- */

struct simmember *stage_member(struct stage *st, uint32_t i)
{
    return &st->sim.cluster.member[i];
}

struct raft_status stage_status(const struct simmember *m)
{
    return simmember_serves(m) ? node_status(m->node) : (struct raft_status){0};
}

raft_index stage_applied(const struct simmember *m)
{
    return simmember_serves(m) ? node_applied(m->node) : 0;
}

bool stage_leads(const struct simmember *m)
{
    return simmember_serves(m) && stage_status(m).role == RAFT_LEADER;
}

bool stage_leads_firmly(const struct simmember *m)
{
    return stage_leads(m) && raft_committed_in_term(m->node->raft);
}

bool stage_is_asked(const struct simmember *voter, const struct simmember *candidate)
{
    return stage_status(voter).term == stage_status(candidate).term;
}

struct simmember *stage_leader(struct stage *st)
{
    struct simmember *leader = simcluster_leader(&st->sim.cluster);

    stage_expect(st, leader != NULL, "somebody leads");
    return leader != NULL ? leader : stage_member(st, 0);
}

struct simmember *stage_follower(struct stage *st, uint32_t k)
{
    const struct simmember *leader = simcluster_leader(&st->sim.cluster);

    for (uint32_t i = 0; i < st->sim.cluster.n; i++) {
        struct simmember *m = stage_member(st, i);
        if (simmember_serves(m) && m != leader && k-- == 0) {
            return m;
        }
    }
    stage_expect(st, false, "there are enough followers");
    return stage_member(st, 0);
}

static struct simmember *firm_leader(struct stage *st, const struct simmember *but)
{
    struct simmember *leader = simcluster_leader(&st->sim.cluster);

    return leader != NULL && leader != but && stage_leads_firmly(leader) ? leader : NULL;
}

struct simmember *stage_await_leader(struct stage *st, const struct simmember *but, nanos bound)
{
    STAGE_UNTIL(st, bound, firm_leader(st, but) != NULL,
                but != NULL ? "another member leads, and commits" : "somebody leads, and commits");
    return stage_leader(st);
}

static bool stage_caught_up(struct stage *st, const struct simmember *m)
{
    const struct simmember *leader = simcluster_leader(&st->sim.cluster);

    return leader != NULL && simmember_serves(m) &&
           node_applied(m->node) >= stage_status(leader).committed;
}

void stage_await_caught_up(struct stage *st, const struct simmember *m, nanos bound)
{
    STAGE_UNTIL(st, bound, stage_caught_up(st, m), "the member that lagged has caught up");
}

void stage_leaders_begin(struct stage *st)
{
    st->leaders_before = st->sim.seen.leaders;
}

uint64_t stage_leaders(const struct stage *st)
{
    return st->sim.seen.leaders - st->leaders_before;
}

static void touch(struct stage *st, const struct simmember *m)
{
    st->sim.touched |= 1U << m->i;
}

void stage_start(struct stage *st, struct simmember *m)
{
    if (!stage_is_over(st) && m->state != MEMBER_UP) {
        simmember_start(m);
        touch(st, m);
    }
}

void stage_kill(struct stage *st, struct simmember *m)
{
    if (!stage_is_over(st) && m->state == MEMBER_UP) {
        simmember_kill(m, false, 0);
        touch(st, m);
    }
}

void stage_cut_power(struct stage *st, struct simmember *m, uint64_t num)
{
    if (!stage_is_over(st) && m->state == MEMBER_UP) {
        say_of_member(st, m, "loses its power");
        simmember_kill(m, true, num);
        touch(st, m);
    }
}

void stage_freeze(struct stage *st, struct simmember *m, nanos span)
{
    say_of_member(st, m, "is frozen");
    simhost_pause(m->host, stage_now(st) + span);
}

void stage_stall_disk(struct stage *st, struct simmember *m, nanos span)
{
    say_of_member(st, m, "has a disk that stands");
    simhost_stall(m->host, WORLD_LANE_LOG, stage_now(st) + span);
}

void stage_slow_disk(struct stage *st, struct simmember *m, nanos operation, nanos sync)
{
    say_of_member(st, m, sync > 0 ? "has a slow disk" : "has a good disk again");
    simhost_slow(m->host, operation, sync);
}

void stage_damaged(struct stage *st, struct simmember *m, enum oracle_lost lost)
{
    say_of_member(st, m, "has a disk that lost something");
    st->sim.inject.damage[m->i].life = m->life;
    st->sim.inject.damage[m->i].passes = m->node != NULL ? m->node->counted.scrub_passes : 0;
    st->sim.inject.damage[m->i].lost |= (uint32_t)lost;
    st->sim.inject.damage[m->i].needs_start = true;
    st->sim.inject.damage[m->i].is_silent = (lost & ORACLE_LOST_ALL) != 0;
}

void stage_snapshot(struct stage *st, struct simmember *m, nanos bound)
{
    raft_index applied = simmember_serves(m) ? node_applied(m->node) : 0;

    if (stage_is_over(st)) {
        return;
    }
    stage_expect(st, simmember_serves(m), "who shall take a snapshot serves");
    if (simmember_serves(m)) {
        node_take_snapshot(m->node);
        touch(st, m);
    }
    STAGE_UNTIL(st, bound, stage_status(m).snapshot >= applied, "a snapshot is taken");
}

enum err stage_change(struct stage *st, struct simmember *at, const struct raft_conf_change *change)
{
    if (stage_is_over(st) || !simmember_serves(at)) {
        return ERR_CLOSED;
    }
    touch(st, at);
    return node_change(at->node, change);
}

struct raft_conf_change stage_one_change(enum raft_conf_op op, const struct simmember *m)
{
    return (struct raft_conf_change){
        .transition = RAFT_TRANSITION_AUTO,
        .n = 1,
        .single = {{.op = op, .node = m->id, .priority = RAFT_PRIORITY_DEFAULT}}};
}

enum err stage_transfer(struct stage *st, struct simmember *at, const struct simmember *to)
{
    if (stage_is_over(st) || !simmember_serves(at)) {
        return ERR_CLOSED;
    }
    touch(st, at);
    return node_transfer(at->node, to->id);
}

void stage_make_leader(struct stage *st, struct simmember *m, nanos bound)
{
    nanos until = stage_now(st) + bound;

    while (!stage_leads_firmly(m) && !stage_is_over(st) && stage_now(st) < until) {
        struct simmember *leader = simcluster_leader(&st->sim.cluster);
        if (leader != NULL && leader != m) {
            enum err refused = stage_transfer(st, leader, m);
            (void)refused; /* one is under way */
        }
        nanos again = u64_min(stage_now(st) + SCENARIO_TIMEOUT / 2, until);
        while (!stage_leads_firmly(m) && stage_step(st, again)) {
        }
    }
    stage_expect(st, stage_leads_firmly(m), "it leads whom the lead was handed to");
}

enum err stage_campaign(struct stage *st, struct simmember *m)
{
    if (stage_is_over(st) || !simmember_serves(m)) {
        return ERR_CLOSED;
    }
    touch(st, m);
    return node_campaign(m->node);
}
