/* Leases: while a leader may answer reads alone, nobody else may commit. Clocks drift as far as the
 * configuration allows. */
#include "core/chaos/scenario/stage.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"

#define T SCENARIO_TIMEOUT

/* How often an operator tries to have somebody elected. */
#define CAMPAIGN_EVERY (5 * NANOS_PER_MS)

static bool lease_holds(const struct simmember *m)
{
    return stage_leads(m) && raft_lease_holds(m->node->raft, world_now(m->node->world));
}

static struct sim_settings lease_settings(uint32_t founders)
{
    struct sim_settings s = stage_plain(founders);

    s.raft.lease_reads = true;
    return s;
}

/* The leader's clock is as slow as may be, the others' as fast. */
static void drift_apart(struct stage *st, const struct simmember *leader)
{
    int64_t ppm = (int64_t)st->sim.settings.raft.clock_drift_ppm;

    for (uint32_t i = 0; i < st->sim.settings.founders; i++) {
        struct simmember *m = stage_member(st, i);
        simhost_clock_drift(m->host, m == leader ? -ppm : ppm);
    }
}

/* Until somebody else leads; one of the others campaigns again and again (if both did, each would
 * begin its waiting anew). At no instant may the old one hold its lease while another leads. */
static struct simmember *replace_leader(struct stage *st, const struct simmember *old, nanos bound)
{
    nanos until = stage_now(st) + bound;
    nanos next = 0;

    while (!stage_is_over(st) && stage_now(st) < until) {
        struct simmember *leader = simcluster_leader(&st->sim.cluster);
        if (leader != NULL && leader != old) {
            stage_expect(st, !lease_holds(old), "nobody else leads while the lease holds");
            return leader;
        }
        if (stage_now(st) >= next) {
            enum err refused = stage_campaign(st, stage_member(st, old->i == 0 ? 1 : 0));
            (void)refused; /* as long as it has to wait */
            next = stage_now(st) + CAMPAIGN_EVERY;
        }
        (void)stage_step(st, u64_min(next, until));
    }
    stage_expect(st, false, "another member is elected once the lease is over");
    return stage_member(st, 0);
}

/* A write at the new leader, and the old one does not answer from before it. */
static void read_at_old(struct stage *st, struct simmember *old, struct simmember *leader)
{
    size_t write = stage_ask(st, leader, SIMCALL_PUT, 0);

    STAGE_UNTIL(st, T, stage_is_ok(st, write) || lease_holds(old), "the new leader commits");
    stage_expect(st, !lease_holds(old), "the lease is over when another leader commits");
    size_t read = stage_ask(st, old, SIMCALL_GET, 0);
    stage_pass(st, T / 10);
    stage_expect(st, !stage_is_ok(st, read), "the old leader answers no read alone");
}

void scenario_lease_vs_timer(struct stage *st)
{
    const struct sim_settings s = lease_settings(3);

    stage_found(st, &s);
    struct simmember *old = stage_leader(st);
    drift_apart(st, old);
    stage_put(st, old, 0, T);
    stage_pass(st, 2 * T);
    stage_expect(st, lease_holds(old), "the leader has a lease");
    stage_isolate(st, old, true);
    size_t read = stage_ask(st, old, SIMCALL_GET, 0);
    stage_pass(st, NANOS_PER_MS);
    stage_expect(st, stage_is_ok(st, read), "under its lease it answers alone");
    read_at_old(st, old, replace_leader(st, old, 3 * T));
}

/* A voter that dies and starts again must keep the promise that it does not remember. */
void scenario_lease_not_renewed_on_vote(struct stage *st)
{
    const struct sim_settings s = lease_settings(3);

    stage_found(st, &s);
    struct simmember *old = stage_leader(st);
    struct simmember *voters[] = {stage_follower(st, 0), stage_follower(st, 1)};
    drift_apart(st, old);
    stage_put(st, old, 0, T);
    stage_pass(st, 2 * T);
    stage_isolate(st, old, true);
    for (size_t i = 0; i < 2; i++) {
        stage_kill(st, voters[i]);
        stage_start(st, voters[i]);
    }
    stage_expect(st, lease_holds(old), "the lease holds while the voters start again");
    struct simmember *leader = replace_leader(st, old, 4 * T);
    stage_expect(st, !lease_holds(leader), "votes begin no lease");
    read_at_old(st, old, leader);
}

/* The voters keep their promise to the leader, but not against its own successor. */
void scenario_lease_blocks_transfer(struct stage *st)
{
    const struct sim_settings s = lease_settings(5);

    stage_found(st, &s);
    struct simmember *old = stage_leader(st);
    struct simmember *to = stage_follower(st, 2);
    stage_put(st, old, 0, T);
    stage_pass(st, 2 * T);
    stage_expect(st, lease_holds(old), "the leader has a lease");
    stage_expect(st, stage_transfer(st, old, to) == OK, "it is told to hand over");
    nanos until = stage_now(st) + T / 4;
    while (!stage_leads_firmly(to) && stage_step(st, until)) {
        stage_expect(st, !lease_holds(old), "from then on it has no lease");
    }
    stage_expect(st, stage_leads_firmly(to), "within T / 4 the other one leads");
    stage_put(st, to, 0, T);
}
