/* Hosts that run machines and never vote, and the voters that serve them. */
#include "core/chaos/scenario/stage_machines.h"
#include "core/ha/ha_session.h"

/* Three voters, and so many others behind them. */
static struct sim_settings agent_hosts(uint32_t agents, uint32_t machines)
{
    struct sim_settings s = stage_hosts(3, machines);

    s.agents = agents;
    return s;
}

/* The first host that never votes; it has the machine. */
static struct simmember *agent_with(struct stage *st, uint32_t machine)
{
    struct simmember *m = stage_member(st, st->sim.settings.founders);

    stage_move(st, machine, m);
    return m;
}

/* Who serves it; NULL: nobody. */
static struct simmember *agent_voter(struct stage *st, const struct simmember *m)
{
    struct ha_session_status status;

    if (m->session == NULL) {
        return NULL;
    }
    ha_session_status(m->session, &status);
    for (uint32_t i = 0; status.is_served && i < st->sim.settings.founders; i++) {
        if (strcmp(stage_member(st, i)->name, status.voter) == 0) {
            return stage_member(st, i);
        }
    }
    return NULL;
}

void scenario_agent_host_lost(struct stage *st)
{
    const struct sim_settings s = agent_hosts(2, 4);

    stage_found_hosts(st, &s);
    struct simmember *m = agent_with(st, 0);
    stage_switch_off(st, m);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_runs_off(st, 0, m), "it runs elsewhere");
    stage_switch_on(st, m);
    STAGE_UNTIL(st, 60 * NANOS_PER_S, stage_fate(st, m) == HA_HOST_UP, "the host is back");
    stage_pass(st, 120 * NANOS_PER_S); /* until it is believed to stay */
    stage_move(st, 0, m);
}

/* The machine stays where it is, in its epoch, whoever serves the host. */
static void agent_keeps(struct stage *st, const struct simmember *m, const struct simmember *lost,
                        uint64_t epoch)
{
    STAGE_UNTIL(st, 5 * NANOS_PER_S, agent_voter(st, m) != NULL && agent_voter(st, m) != lost,
                "another voter serves the host");
    stage_pass(st, 2 * STAGE_EXPIRED_WITHIN);
    stage_expect(st, stage_home(st, 0) == m && stage_owner(st, 0)->epoch == epoch,
                 "its machine runs on, in its epoch");
    stage_expect(st, stage_offs(st, m) == 0, "nobody has fenced it");
}

void scenario_agent_voter_dies(struct stage *st)
{
    const struct sim_settings s = agent_hosts(1, 1);

    stage_found_hosts(st, &s);
    struct simmember *m = agent_with(st, 0);
    const uint64_t epoch = stage_owner(st, 0)->epoch;
    struct simmember *voter = agent_voter(st, m);
    stage_expect(st, voter != NULL, "a voter serves the host");
    if (!stage_is_over(st)) {
        stage_switch_off(st, voter);
        agent_keeps(st, m, voter, epoch);
    }
}

/* Its voter is there, and knows nobody who leads. */
void scenario_agent_voter_cut_off(struct stage *st)
{
    const struct sim_settings s = agent_hosts(1, 1);

    stage_found_hosts(st, &s);
    struct simmember *m = agent_with(st, 0);
    const uint64_t epoch = stage_owner(st, 0)->epoch;
    struct simmember *voter = agent_voter(st, m);
    stage_expect(st, voter != NULL, "a voter serves the host");
    for (uint32_t i = 0; i < s.founders && !stage_is_over(st); i++) {
        if (stage_member(st, i) != voter) {
            stage_link(st, voter, stage_member(st, i), false);
        }
    }
    if (!stage_is_over(st)) {
        agent_keeps(st, m, voter, epoch);
    }
}

/* Its daemon is killed, and comes back within the lease; then all voters, at once. */
void scenario_agent_daemons_restart(struct stage *st)
{
    const struct sim_settings s = agent_hosts(1, 1);

    stage_found_hosts(st, &s);
    struct simmember *m = agent_with(st, 0);
    const uint64_t epoch = stage_owner(st, 0)->epoch;
    stage_kill(st, m);
    stage_pass(st, NANOS_PER_S);
    stage_start(st, m);
    stage_pass(st, STAGE_EXPIRED_WITHIN);
    for (uint32_t i = 0; i < s.founders; i++) {
        stage_kill(st, stage_member(st, i));
    }
    stage_pass(st, NANOS_PER_S);
    for (uint32_t i = 0; i < s.founders; i++) {
        stage_start(st, stage_member(st, i));
    }
    stage_pass(st, STAGE_EXPIRED_WITHIN);
    stage_expect(st, stage_home(st, 0) == m && stage_owner(st, 0)->epoch == epoch,
                 "its machine has run on, in its epoch");
}
