/* What the run hears of nodes: the timeline's lines, the coverage, and events that no healthy node
 * causes. */
#include <string.h>

#include "core/base/say.h"
#include "core/chaos/sim/sim_int.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"

/* --- lines ------------------------------------------------------------------------------------ */

static struct buf *member_line(struct sim *s, const struct simmember *m, const char *text)
{
    struct buf *line = sim_line(s);

    if (line != NULL) {
        say(line, m->name);
        say(line, " ");
        say(line, text);
    }
    return line;
}

static void say_end_of(struct sim *s, struct buf *line)
{
    if (line != NULL) {
        sim_line_end(s);
    }
}

void sim_injected(void *ctx, const struct fault *row, enum inject_outcome outcome,
                  const struct simmember *struck)
{
    struct sim *s = ctx;

    if (struck != NULL && struck->node != NULL) {
        oracle_struck(s->oracle, struck->i, s->inject.damage[struck->i].lost);
    }
    struct buf *line = sim_line(s);
    if (line == NULL) {
        return;
    }
    say(line, "FAULT ");
    fault_print(row, line);
    if (outcome == INJECT_DONE && struck != NULL) {
        say(line, " -> ");
        say(line, struck->name);
        if (s->inject.spot.path[0] != '\0') {
            say(line, " ");
            say(line, s->inject.spot.path);
            say(line, " at ");
            say_u64(line, s->inject.spot.offset);
        }
    } else if (outcome != INJECT_DONE) {
        say(line, outcome == INJECT_SPARED ? " (spared)" : " (nobody fits)");
    }
    sim_line_end(s);
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void on_opened(void *ctx, struct simmember *m)
{
    struct sim *s = ctx;

    if (!m->is_agent) {
        tla_trace_opened(&s->tla, m->i);
        oracle_opened(s->oracle, m->i, m->node, s->inject.damage[m->i].lost);
    }
    struct buf *line = member_line(s, m, "starts, life ");
    if (line != NULL) {
        say_u64(line, m->life);
        sim_line_end(s);
    }
}

static void on_closing(void *ctx, struct simmember *m)
{
    struct sim *s = ctx;

    if (!m->is_agent) {
        oracle_closed(s->oracle, m->i);
    }
    simclients_member_gone(&s->clients, m->i);
    simwatches_member_gone(&s->watches, m->i);
    simlessees_member_gone(&s->lessees, m->i);
    say_end_of(s, member_line(s, m, "dies"));
}

static void on_ready(void *ctx, struct simmember *m)
{
    static const enum reached verdicts[RECOVERY_VERDICTS] = {
        [RECOVERY_EMPTY] = REACHED_VERDICT_EMPTY,     [RECOVERY_CLEAN] = REACHED_VERDICT_CLEAN,
        [RECOVERY_TORN_TAIL] = REACHED_VERDICT_TORN,  [RECOVERY_HEALED] = REACHED_VERDICT_HEALED,
        [RECOVERY_DAMAGED] = REACHED_VERDICT_DAMAGED, [RECOVERY_WIPED] = REACHED_VERDICT_WIPED,
    };
    struct sim *s = ctx;

    sim_reach(s, verdicts[m->verdict]);
    struct buf *line = member_line(s, m, "is ready: ");
    if (line != NULL) {
        say(line, recovery_verdict_name(m->verdict));
        sim_line_end(s);
    }
}

static void on_halted(void *ctx, struct simmember *m)
{
    struct sim *s = ctx;

    sim_reach(s, REACHED_HALTED);
    struct buf *line = member_line(s, m, "halts: ");
    if (line != NULL) {
        say(line, m->halt_why);
        sim_line_end(s);
    }
    if (!inject_explains_halt(&s->inject, m)) {
        struct buf text;
        buf_init(&text);
        say(&text, m->name);
        say(&text, " halted though nothing was wrong with its disk: ");
        say(&text, m->halt_why);
        sim_fail(s, SIM_UNSAFE, "halt", say_end(&text));
        buf_deinit(&text);
    }
}

static void say_field(struct buf *line, const char *name, uint64_t number)
{
    if (number != 0) {
        say(line, name);
        say_u64(line, number);
    }
}

static void on_stepping(void *ctx, struct simmember *m, const struct raft_event *e)
{
    struct sim *s = ctx;
    tla_trace_stepping(&s->tla, m->i, m->node, e);
}

static void on_sent(void *ctx, struct simmember *m, const struct raft_message *message)
{
    struct sim *s = ctx;

    tla_trace_sent(&s->tla, m->i, m->node, message);
    oracle_sent(s->oracle, m->i, message);
    struct buf *line = s->options->traces_network ? member_line(s, m, "-> ") : NULL;
    if (line != NULL) {
        say(line, message->to <= s->cluster.n ? s->cluster.member[message->to - 1].name : "nobody");
        say(line, " ");
        say(line, raft_message_name(message->type));
        say_field(line, " term ", message->term);
        say_field(line, " index ", message->index);
        say_field(line, " log term ", message->log_term);
        say_field(line, " commit ", message->commit);
        say_field(line, " entries ", message->entry_count);
        say_field(line, " context ", message->context);
        say(line, message->reject ? " rejects" : "");
        sim_line_end(s);
    }
}

/* What the network and the hosts do; the lines of nodes say the rest. */
static void on_traced(void *ctx, nanos at, const struct simhost *host, enum simtrace kind,
                      const struct simhost *other, uint64_t number)
{
    struct sim *s = ctx;
    struct buf *line = sim_line(s);

    (void)at;
    if (line == NULL) {
        return;
    }
    say(line, simhost_name(host));
    say(line, " . ");
    say(line, simtrace_text(kind));
    if (other != NULL) {
        say(line, " ");
        say(line, simhost_name(other));
    }
    say(line, " ");
    say_u64(line, number);
    sim_line_end(s);
}

void sim_trace_network(struct sim *s)
{
    simworld_trace(s->world, on_traced, s);
}

static void on_applied(void *ctx, struct simmember *m, const struct raft_entry *entry)
{
    struct sim *s = ctx;
    oracle_applied_entry(s->oracle, m->i, entry, node_status(m->node).term);
    if (!m->node->is_witness) { /* which has no payloads */
        simtruth_applied(&s->truth, entry, simworld_now(s->world));
        if (s->truth.broken != NULL) {
            sim_fail(s, SIM_UNSAFE, s->truth.broken, s->truth.records.text);
        }
    }
}

static void on_led(void *ctx, struct simmember *m, enum raft_role role, raft_term term)
{
    struct sim *s = ctx;

    if (role == RAFT_LEADER && s->seen.roles[m->i] != RAFT_LEADER) {
        sim_reach(s, s->seen.leaders++ == 0 ? REACHED_ELECTION : REACHED_REELECTION);
    } else if (role != RAFT_LEADER && s->seen.roles[m->i] == RAFT_LEADER) {
        sim_reach(s, REACHED_STEP_DOWN);
    }
    if (role == s->seen.roles[m->i] && role == RAFT_FOLLOWER) {
        return;
    }
    s->seen.roles[m->i] = (uint8_t)role;
    struct buf *line = member_line(s, m, "is ");
    if (line != NULL) {
        say(line, raft_role_name(role));
        say(line, " in term ");
        say_u64(line, term);
        sim_line_end(s);
    }
}

static void on_alarmed(void *ctx, struct simmember *m, enum raft_alarm alarm)
{
    static const struct {
        enum raft_alarm alarm;
        const char *text;
        int reached; /* -1: nothing of its own */
    } alarms[] = {
        {RAFT_ALARM_IMPAIRED, "cannot vouch for its log", REACHED_IMPAIRED},
        {RAFT_ALARM_REPAIRED, "is repaired", REACHED_REPAIRED},
        {RAFT_ALARM_STALLED, "gives up the lead: its disk stands", REACHED_STALLED},
        {RAFT_ALARM_EXPOSED, "says that the in-sync set shrank", REACHED_EXPOSED},
        {RAFT_ALARM_PROTOCOL, "says that a peer broke the protocol", -1},
        {RAFT_ALARM_QUORUM_FORCED, "forced a quorum", -1},
        {RAFT_ALARM_LOST_ACKED, "lacks what it acknowledged", -1},
    };
    struct sim *s = ctx;

    for (size_t i = 0; i < COUNT_OF(alarms); i++) {
        if (alarms[i].alarm == alarm) {
            if (alarms[i].reached >= 0) {
                sim_reach(s, (enum reached)alarms[i].reached);
            }
            say_end_of(s, member_line(s, m, alarms[i].text));
        }
    }
    if (alarm == RAFT_ALARM_PROTOCOL) {
        sim_fail(s, SIM_UNSAFE, "protocol", "a node took another's message for a broken protocol");
    }
    if (alarm == RAFT_ALARM_LOST_ACKED && s->inject.damage[m->i].lost == 0) {
        sim_fail(s, SIM_UNSAFE, "I24", "a node lacks what it acknowledged, on a whole disk");
    }
}

static void on_diverged(void *ctx, struct simmember *m, node_id who)
{
    struct sim *s = ctx;
    (void)m;
    (void)who;
    sim_fail(s, SIM_UNSAFE, "I32", "the members found that their states differ");
}

struct simcluster_events sim_observers(void)
{
    return (struct simcluster_events){
        .opened = on_opened,
        .closing = on_closing,
        .ha_said = sim_ha_said,
        .served = sim_ha_served,
        .ready = on_ready,
        .halted = on_halted,
        .stepping = on_stepping,
        .sent = on_sent,
        .applied = on_applied,
        .led = on_led,
        .alarmed = on_alarmed,
        .diverged = on_diverged,
        .cut = sim_hosts_cut,
    };
}

/* --- states ----------------------------------------------------------------------------------- */

static void look_at_member(struct sim *s, const struct simmember *m)
{
    struct raft_status status = node_status(m->node);

    if (status.snapshot > s->seen.snapshot[m->i]) {
        bool is_own = m->node->snap_name.index == status.snapshot;
        if (status.snapshot > 1) {
            sim_reach(s, is_own ? REACHED_SNAPSHOT_TAKEN : REACHED_INSTALLED);
        }
        s->seen.snapshot[m->i] = status.snapshot;
    }
    if (node_lacks_space(m->node)) {
        sim_reach(s, REACHED_NO_SPACE);
    } else if (s->seen.had_no_space[m->i]) {
        sim_reach(s, REACHED_SPACE_AGAIN);
    }
    s->seen.had_no_space[m->i] = node_lacks_space(m->node);
    if (store_compact_revision(m->node->store) > 0) {
        sim_reach(s, REACHED_COMPACTED);
    }
    if (store_feature_level(m->node->store) > s->settings.feature_level) {
        sim_reach(s, REACHED_RAISED);
    }
}

static void look_at_leader(struct sim *s, const struct simmember *leader)
{
    struct raft_status status = node_status(leader->node);
    const struct raft_membership *ms = status.membership;

    if (raft_membership_is_joint(ms)) {
        sim_reach(s, REACHED_JOINT);
    }
    if (raft_membership_count(ms, RAFT_LEARNER) > 0) {
        sim_reach(s, REACHED_LEARNER);
    }
    if (raft_membership_count(ms, RAFT_VOTER) >= 5) {
        sim_reach(s, REACHED_FIVE_VOTERS);
    }
    if (raft_membership_has_witness(ms)) {
        sim_reach(s, REACHED_WITNESS);
        if (status.exposed) {
            sim_reach(s, REACHED_EXPOSED);
        } else if (s->seen.was_exposed) {
            sim_reach(s, REACHED_IN_SYNC_GREW);
        }
        s->seen.was_exposed = status.exposed;
    }
    if (raft_lease_holds(leader->node->raft, world_now(leader->node->world))) {
        sim_reach(s, REACHED_LEASE_READS);
    }
    for (uint32_t i = 0; i < s->cluster.n; i++) {
        const struct simmember *m = &s->cluster.member[i];
        const struct raft_member *member = raft_membership_lookup(ms, m->id);
        uint8_t roles = member != NULL ? member->roles : 0;
        if (m->was_ready && (s->seen.member[i] & RAFT_LEARNER) && (roles & RAFT_VOTER)) {
            sim_reach(s, REACHED_PROMOTED);
        }
        if (s->seen.member[i] != 0 && roles == 0) {
            sim_reach(s, REACHED_REMOVED);
        }
        s->seen.member[i] = roles;
    }
    if (s->seen.leader != NODE_NONE && s->seen.transferee == leader->id) {
        sim_reach(s, REACHED_TRANSFER);
    }
    s->seen.transferee = status.transferee;
    s->seen.leader = leader->id;
}

void sim_look(struct sim *s)
{
    const struct simmember *leader = simcluster_leader(&s->cluster);
    nanos now = simworld_now(s->world);
    uint32_t up = 0;

    for (uint32_t i = 0; i < s->cluster.n; i++) {
        const struct simmember *m = &s->cluster.member[i];
        up += m->state == MEMBER_UP;
        if (simmember_serves(m)) {
            look_at_member(s, m);
        }
    }
    if (up == 0) {
        sim_reach(s, REACHED_ALL_DOWN);
    }
    if (leader != NULL) {
        s->seen.led = now;
        look_at_leader(s, leader);
    } else if (now > s->seen.led + 2 * NANOS_PER_S && s->seen.led > 0) {
        sim_reach(s, REACHED_QUORUM_LOST);
    }
}
