#include "tests/core/consensus/etcd_verbs.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "core/consensus/raft/raft_int.h"
#include "tests/core/consensus/script_plan.h"
#include "tests/support/text.h"

/* --- add-nodes ------------------------------------------------------------------------------- */

static void run_add_nodes(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    uint64_t n = 0;
    if (c->arg_count == 0 || !script_number(c->args[0].key, &n) || env->n + n > SCRIPT_NODES_MAX) {
        script_env_fail(env, "how many nodes?");
        return;
    }
    struct script_plan plan;
    if (!script_plan_parse(c, &plan, &env->error)) {
        return;
    }
    plan.asks_at_once = env->asks_at_once;
    for (uint64_t i = 0; i < n; i++) {
        plan.config.id = env->n + 1;
        env->nodes[env->n++] = script_node_new(&plan);
    }
}

/* --- requests to one node -------------------------------------------------------------------- */

/* Requests of this kind return no error there, whatever becomes of them. */
static void run_silent_event(struct script_env *env, const struct script_command *c,
                             enum raft_event_type type)
{
    struct script_node *n = script_env_node(env, c, 0);
    if (n) {
        (void)script_node_step(n, (struct raft_event){.type = type});
    }
}

static void run_campaign(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    run_silent_event(env, c, RAFT_EVENT_CAMPAIGN);
}

static void run_forget_leader(struct script_env *env, const struct script_command *c,
                              struct buf *out)
{
    (void)out;
    run_silent_event(env, c, RAFT_EVENT_FORGET_LEADER);
}

/* A change that is refused while leading is no error there: an empty entry takes its place. */
static void fail_if_dropped(struct script_env *env, enum err e)
{
    if (e != OK && e != ERR_REFUSED && e != ERR_PENDING) {
        script_env_fail(env, "raft proposal dropped");
    }
}

static void run_propose(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    struct script_node *n = script_env_node(env, c, 0);
    if (!n) {
        return;
    }
    if (c->arg_count != 2 || c->args[1].n > 0) {
        script_env_fail(env, "propose what?");
        return;
    }
    struct bytes payload = {(const uint8_t *)c->args[1].key, strlen(c->args[1].key)};
    enum err e =
        script_node_step(n, (struct raft_event){.type = RAFT_EVENT_PROPOSE,
                                                .propose = {.payloads = &payload, .n = 1}});
    fail_if_dropped(env, e);
}

static bool parse_transition(struct script_env *env, const struct script_command *c,
                             struct raft_conf_change *change)
{
    static const struct {
        const char *name;
        enum raft_transition transition;
    } transitions[] = {{"auto", RAFT_TRANSITION_AUTO},
                       {"implicit", RAFT_TRANSITION_JOINT_IMPLICIT},
                       {"explicit", RAFT_TRANSITION_JOINT_EXPLICIT}};
    const struct script_arg *arg = script_arg_find(c, "transition");
    const char *name = arg && arg->n == 1 ? arg->values[0] : "auto";
    for (size_t i = 0; i < COUNT_OF(transitions); i++) {
        if (strcmp(transitions[i].name, name) == 0) {
            change->transition = transitions[i].transition;
            return true;
        }
    }
    script_env_fail(env, "unknown transition %s", name);
    return false;
}

/* etcd-raft's first kind of change is our simple one. */
static bool parse_first_kind(struct script_env *env, const struct script_command *c,
                             struct raft_conf_change *change)
{
    const struct script_arg *arg = script_arg_find(c, "v1");
    if (!arg || arg->n != 1 || strcmp(arg->values[0], "true") != 0) {
        return true;
    }
    if (change->n != 1 || change->transition != RAFT_TRANSITION_AUTO) {
        script_env_fail(env, "v1 conf change can only have one operation and no transition");
        return false;
    }
    change->transition = RAFT_TRANSITION_SIMPLE;
    return true;
}

bool etcd_parse_change(struct script_env *env, const struct script_command *c,
                       struct raft_conf_change *ret)
{
    memset(ret, 0, sizeof(*ret));
    return parse_transition(env, c, ret) && etcd_conf_changes_parse(c->input, ret, &env->error) &&
           parse_first_kind(env, c, ret);
}

static void run_propose_conf_change(struct script_env *env, const struct script_command *c,
                                    struct buf *out)
{
    (void)out;
    struct script_node *n = script_env_node(env, c, 0);
    struct raft_conf_change change;
    if (n && etcd_parse_change(env, c, &change)) {
        struct raft_event e = {.type = RAFT_EVENT_CHANGE, .change = &change};
        fail_if_dropped(env, script_node_step(n, e));
    }
}

static void run_transfer_leadership(struct script_env *env, const struct script_command *c,
                                    struct buf *out)
{
    (void)out;
    const struct script_arg *from = script_arg_find(c, "from");
    const struct script_arg *to = script_arg_find(c, "to");
    uint64_t ids[2] = {0};
    if (!from || from->n != 1 || !script_number(from->values[0], &ids[0]) || ids[0] == 0 ||
        ids[0] > env->n || !to || to->n != 1 || !script_number(to->values[0], &ids[1])) {
        script_env_fail(env, "from where to where?");
        return;
    }
    (void)script_node_step(env->nodes[ids[0] - 1],
                           (struct raft_event){.type = RAFT_EVENT_TRANSFER, .node = ids[1]});
}

static void run_report_unreachable(struct script_env *env, const struct script_command *c,
                                   struct buf *out)
{
    (void)out;
    struct script_node_list list;
    if (!script_env_nodes(env, c, &list)) {
        return;
    }
    if (list.n != 2) {
        script_env_fail(env, "must specify exactly two node indexes: node on which to report, and "
                             "reported node");
        return;
    }
    (void)script_node_step(list.nodes[0], (struct raft_event){.type = RAFT_EVENT_UNREACHABLE,
                                                              .node = list.nodes[1]->id});
}

static void run_set_election_timeout(struct script_env *env, const struct script_command *c,
                                     struct buf *out)
{
    (void)out;
    struct script_node *n = script_env_node(env, c, 0);
    const struct script_arg *arg = script_arg_find(c, "timeout");
    uint64_t ticks = 0;
    if (!n || !arg || arg->n != 1 || !script_number(arg->values[0], &ticks) || ticks == 0) {
        script_env_fail(env, "which timeout?");
        return;
    }
    n->raft->election_timeout_drawn = ticks * SCRIPT_TICK;
}

/* --- time ------------------------------------------------------------------------------------ */

static void run_ticks(struct script_env *env, const struct script_command *c, unsigned ticks)
{
    struct script_node *n = script_env_node(env, c, 0);
    for (unsigned i = 0; n && i < ticks; i++) {
        script_node_advance(n, SCRIPT_TICK);
    }
}

static void run_tick_election(struct script_env *env, const struct script_command *c,
                              struct buf *out)
{
    (void)out;
    run_ticks(env, c, ETCD_ELECTION_TICKS);
}

static void run_tick_heartbeat(struct script_env *env, const struct script_command *c,
                               struct buf *out)
{
    (void)out;
    run_ticks(env, c, ETCD_HEARTBEAT_TICKS);
}

/* --- updates and messages -------------------------------------------------------------------- */

typedef void script_part(struct script_node *n, struct script_queue *network, struct buf *out);

/* Runs one part of each named node; where there are several, each behind a title. */
static void run_for_each(struct script_env *env, const struct script_command *c, const char *title,
                         script_part *part, struct buf *out)
{
    struct script_node_list list;
    if (!script_env_nodes(env, c, &list)) {
        return;
    }
    struct buf text;
    buf_init(&text);
    for (size_t i = 0; i < list.n; i++) {
        part(list.nodes[i], &env->network, &text);
        if (list.n > 1) {
            text_add(out, "> %" PRIu64 " %s\n", list.nodes[i]->id, title);
        }
        if (list.n > 1) {
            text_add_indented(out, "  ", buf_view(&text));
        } else {
            buf_put(out, text.data, text.len);
        }
        buf_clear(&text);
    }
    buf_deinit(&text);
}

static void run_process_ready(struct script_env *env, const struct script_command *c,
                              struct buf *out)
{
    run_for_each(env, c, "handling Ready", script_node_ready, out);
}

static void run_process_append_thread(struct script_env *env, const struct script_command *c,
                                      struct buf *out)
{
    run_for_each(env, c, "processing append thread", script_node_append_thread, out);
}

static void run_process_apply_thread(struct script_env *env, const struct script_command *c,
                                     struct buf *out)
{
    run_for_each(env, c, "processing apply thread", script_node_apply_thread, out);
}

static void run_deliver_msgs(struct script_env *env, const struct script_command *c,
                             struct buf *out)
{
    const struct script_arg *type = script_arg_find(c, "type");
    const char *only = type && type->n == 1 ? type->values[0] : NULL;
    size_t n = 0;
    for (size_t i = 0; i < c->arg_count; i++) {
        const struct script_arg *arg = &c->args[i];
        uint64_t id = 0;
        if (arg->n == 0 && script_env_node(env, c, i)) {
            (void)script_number(arg->key, &id);
            n += script_env_deliver(env, id, only, false, out);
        }
        for (size_t v = 0; strcmp(arg->key, "drop") == 0 && v < arg->n; v++) {
            if (script_number(arg->values[v], &id)) {
                n += script_env_deliver(env, id, only, true, out);
            }
        }
    }
    if (n == 0) {
        text_add(out, "no messages\n");
    }
}

static void run_send_snapshot(struct script_env *env, const struct script_command *c,
                              struct buf *out)
{
    struct script_node_list list;
    if (!script_env_nodes(env, c, &list) || list.n != 2) {
        script_env_fail(env, "from which node to which?");
        return;
    }
    const struct script_node *from = list.nodes[0];
    struct raft_message m = {
        .type = RAFT_MSG_SNAP,
        .from = from->id,
        .to = list.nodes[1]->id,
        .term = raft_status(from->raft).term,
        .source = from->id,
        .snapshot = &from->applied,
    };
    struct script_message *sent = script_message_of_raft(&m);
    etcd_describe_message(&sent->shown, out);
    script_queue_push(&env->network, sent);
}

/* --- log level, stabilize -------------------------------------------------------------------- */

static bool parse_log_level(struct script_env *env, const char *name, enum script_log_level *ret)
{
    static const char *const names[SCRIPT_LOG_LEVELS] = {"DEBUG", "INFO",  "WARN",
                                                         "ERROR", "FATAL", "NONE"};
    for (int i = 0; i < SCRIPT_LOG_LEVELS; i++) {
        if (strcasecmp(names[i], name) == 0) {
            *ret = (enum script_log_level)i;
            return true;
        }
    }
    script_env_fail(env, "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]");
    return false;
}

static void run_log_level(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    (void)parse_log_level(env, c->arg_count == 1 ? c->args[0].key : "", &env->log_level);
}

static void run_stabilize(struct script_env *env, const struct script_command *c, struct buf *out)
{
    struct script_node_list list;
    enum script_log_level level = env->log_level;
    const struct script_arg *arg = script_arg_find(c, "log-level");
    if (!script_env_nodes(env, c, &list) ||
        (arg && !parse_log_level(env, arg->n == 1 ? arg->values[0] : "", &level))) {
        return;
    }
    if (list.n == 0) {
        memcpy(list.nodes, env->nodes, env->n * sizeof(struct script_node *));
        list.n = env->n;
    }
    script_env_stabilize(env, &list, out);
    if (level == SCRIPT_LOG_NONE) {
        buf_clear(out);
    }
}

/* --- looking in ------------------------------------------------------------------------------ */

static void print_disk_log(const struct script_disk *d, struct buf *out)
{
    if (d->entries.n == 0) {
        text_add(out, "log is empty: first index=%" PRIu64 ", last index=%" PRIu64, d->base + 1,
                 d->base);
        return;
    }
    etcd_describe_entries(d->entries.entries, (uint32_t)d->entries.n, out);
}

static void run_raft_log(struct script_env *env, const struct script_command *c, struct buf *out)
{
    const struct script_node *n = script_env_node(env, c, 0);
    if (n) {
        print_disk_log(&n->disk, out);
    }
}

static void run_compact(struct script_env *env, const struct script_command *c, struct buf *out)
{
    struct script_node *n = script_env_node(env, c, 0);
    uint64_t index = 0;
    if (!n || c->arg_count != 2 || !script_number(c->args[1].key, &index)) {
        script_env_fail(env, "up to which index?");
        return;
    }
    if (!script_node_compact(n, index)) {
        script_env_fail(env, "requested index is unavailable due to compaction");
        return;
    }
    print_disk_log(&n->disk, out);
}

static void run_raft_state(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)c;
    for (size_t i = 0; i < env->n; i++) {
        struct raft_status st = raft_status(env->nodes[i]->raft);
        const struct raft_member *m = raft_membership_lookup(st.membership, st.id);
        text_add(out, "%" PRIu64 ": %s %s Term:%" PRIu64 " Lead:%" PRIu64 "\n", st.id,
                 etcd_role_name(st.role), m && raft_member_votes(m) ? "(Voter)" : "(Non-Voter)",
                 st.term, st.leader);
    }
}

static void run_status(struct script_env *env, const struct script_command *c, struct buf *out)
{
    const struct script_node *n = script_env_node(env, c, 0);
    if (!n) {
        return;
    }
    const struct raft_membership *ms = raft_status(n->raft).membership;
    for (uint32_t i = 0; i < ms->n; i++) {
        const struct raft_progress *pr = raft_peer_progress(n->raft, i);
        if (pr) {
            etcd_describe_progress(&ms->member[i], pr, out);
        }
    }
}

static void run_breakpoint(struct script_env *env, const struct script_command *c, struct buf *out)
{
    /* A place where a person may stop a debugger. */
    (void)env;
    (void)c;
    (void)out;
}

const struct script_verb etcd_verbs[] = {
    {"_breakpoint", run_breakpoint},
    {"add-nodes", run_add_nodes},
    {"campaign", run_campaign},
    {"compact", run_compact},
    {"deliver-msgs", run_deliver_msgs},
    {"forget-leader", run_forget_leader},
    {"log-level", run_log_level},
    {"process-append-thread", run_process_append_thread},
    {"process-apply-thread", run_process_apply_thread},
    {"process-ready", run_process_ready},
    {"propose", run_propose},
    {"propose-conf-change", run_propose_conf_change},
    {"raft-log", run_raft_log},
    {"raft-state", run_raft_state},
    {"report-unreachable", run_report_unreachable},
    {"send-snapshot", run_send_snapshot},
    {"set-randomized-election-timeout", run_set_election_timeout},
    {"stabilize", run_stabilize},
    {"status", run_status},
    {"tick-election", run_tick_election},
    {"tick-heartbeat", run_tick_heartbeat},
    {"transfer-leadership", run_transfer_leadership},
};
const size_t etcd_verb_count = COUNT_OF(etcd_verbs);
