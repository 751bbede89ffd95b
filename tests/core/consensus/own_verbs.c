#include "tests/core/consensus/own_verbs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/core/consensus/etcd_raft_text.h"
#include "tests/core/consensus/etcd_verbs.h"
#include "tests/support/text.h"

/* Time passes in steps of this: half a heartbeat. */
#define RUN_STEP (SCRIPT_TICK / 2)

/* The number behind `key`, or `otherwise` where it is absent; a malformed one fails the command. */
static uint64_t number_of(struct script_env *env, const struct script_command *c, const char *key,
                          uint64_t otherwise)
{
    const struct script_arg *arg = script_arg_find(c, key);
    uint64_t v = otherwise;
    if (arg && (arg->n != 1 || !script_number(arg->values[0], &v))) {
        script_env_fail(env, "%s is not a number", key);
    }
    return v;
}

static bool flag_of(const struct script_command *c, const char *key)
{
    const struct script_arg *arg = script_arg_find(c, key);
    return arg && arg->n == 1 && strcmp(arg->values[0], "true") == 0;
}

/* The named nodes, or all of them. */
static bool nodes_or_all(struct script_env *env, const struct script_command *c,
                         struct script_node_list *ret)
{
    if (!script_env_nodes(env, c, ret)) {
        return false;
    }
    if (ret->n == 0) {
        memcpy(ret->nodes, env->nodes, env->n * sizeof(struct script_node *));
        ret->n = env->n;
    }
    return true;
}

/* --- time ------------------------------------------------------------------------------------ */

static void advance_nodes(const struct script_node_list *list, nanos span)
{
    for (size_t i = 0; i < list->n; i++) {
        script_node_advance(list->nodes[i], span);
    }
}

static void run_advance(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    struct script_node_list list;
    nanos left = number_of(env, c, "ms", 0) * NANOS_PER_MS;
    if (!nodes_or_all(env, c, &list)) {
        return;
    }
    while (left > 0) {
        nanos step = u64_min(left, RUN_STEP);
        advance_nodes(&list, step);
        left -= step;
    }
}

static void print_all_news(struct script_env *env, struct buf *out)
{
    for (size_t i = 0; i < env->n; i++) {
        struct script_node *n = env->nodes[i];
        if (out) {
            buf_put(out, n->news.data, n->news.len);
        }
        buf_clear(&n->news);
    }
}

static void run_run(struct script_env *env, const struct script_command *c, struct buf *out)
{
    struct script_node_list list;
    nanos left = number_of(env, c, "ms", 0) * NANOS_PER_MS;
    if (!nodes_or_all(env, c, &list)) {
        return;
    }
    struct buf unseen;
    buf_init(&unseen);
    print_all_news(env, NULL);
    script_env_stabilize(env, &list, &unseen);
    print_all_news(env, out);
    while (left > 0) {
        nanos step = u64_min(left, RUN_STEP);
        advance_nodes(&list, step);
        left -= step;
        script_env_stabilize(env, &list, &unseen);
        print_all_news(env, out);
        buf_clear(&unseen);
    }
    buf_deinit(&unseen);
}

static void run_suspend(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    struct script_node *n = script_env_node(env, c, 0);
    if (n) {
        (void)script_node_step(n, (struct raft_event){.type = RAFT_EVENT_SUSPENDED});
    }
}

/* --- faults ---------------------------------------------------------------------------------- */

static void run_cut(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    struct script_node_list list;
    if (!script_env_nodes(env, c, &list)) {
        return;
    }
    env->cut = 0;
    for (size_t i = 0; i < list.n; i++) {
        env->cut |= UINT32_C(1) << (list.nodes[i]->id - 1);
    }
}

static void run_heal(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)c;
    (void)out;
    env->cut = 0;
}

/* Only a node whose storage is work that waits can be made to stand still. */
static struct script_node *node_with_work(struct script_env *env, const struct script_command *c)
{
    struct script_node *n = script_env_node(env, c, 0);
    if (n && !n->plan.async) {
        script_env_fail(env, "add it with async-storage-writes=true");
        return NULL;
    }
    return n;
}

static void run_disk_stall(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    struct script_node *n = node_with_work(env, c);
    if (n) {
        n->disk_stalled = n->now;
    }
}

static void run_disk_ok(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    struct script_node *n = node_with_work(env, c);
    if (n) {
        n->disk_stalled = 0;
        (void)script_node_step(n, (struct raft_event){.type = RAFT_EVENT_DISK, .stalled = 0});
    }
}

static void run_apply_stall(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    struct script_node *n = node_with_work(env, c);
    if (n) {
        n->apply_stalled = true;
    }
}

static void run_apply_ok(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    struct script_node *n = node_with_work(env, c);
    if (n) {
        n->apply_stalled = false;
    }
}

static void run_restart(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    struct script_node *n = script_env_node(env, c, 0);
    struct script_loss loss = {.vote = flag_of(c, "lost-vote"),
                               .from = number_of(env, c, "lost-log", 0)};
    if (!n) {
        return;
    }
    if (loss.from != 0 && loss.from <= n->disk.base) {
        script_env_fail(env, "the log begins behind that");
        return;
    }
    script_env_forget_local(env, n->id);
    enum err e = script_node_restart(n, &loss);
    if (e != OK) {
        script_env_fail(env, "%s", err_text(e));
    }
}

/* "12-14", or "12". */
static bool parse_range(const char *text, raft_index *ret_first, raft_index *ret_last)
{
    char *end = NULL;
    *ret_first = strtoull(text, &end, 10);
    *ret_last = *end == '-' ? strtoull(end + 1, &end, 10) : *ret_first;
    return *end == '\0' && *ret_first > 0 && *ret_first <= *ret_last;
}

static void run_damage(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    struct script_node *n = script_env_node(env, c, 0);
    raft_index first = 0;
    raft_index last = 0;
    if (!n || c->arg_count != 2 || !parse_range(c->args[1].key, &first, &last) ||
        first <= n->disk.base || last > script_disk_last(&n->disk)) {
        script_env_fail(env, "which entries of its log?");
        return;
    }
    n->disk.damaged_first = first;
    n->disk.damaged_last = last;
    (void)script_node_step(n, (struct raft_event){.type = RAFT_EVENT_DAMAGED,
                                                  .damaged = {.first = first, .last = last}});
}

static void run_stream_reset(struct script_env *env, const struct script_command *c,
                             struct buf *out)
{
    (void)out;
    struct script_node *n = script_env_node(env, c, 0);
    struct script_node *peer = script_env_node(env, c, 1);
    if (n && peer) {
        (void)script_node_step(
            n, (struct raft_event){.type = RAFT_EVENT_STREAM_RESET, .node = peer->id});
    }
}

/* --- requests -------------------------------------------------------------------------------- */

static void fail_if_refused(struct script_env *env, enum err e)
{
    if (e != OK) {
        script_env_fail(env, "%s: %s", err_name(e), err_text(e));
    }
}

static void run_own_change(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    struct script_node *n = script_env_node(env, c, 0);
    struct raft_conf_change change;
    if (n && etcd_parse_change(env, c, &change)) {
        struct raft_event e = {.type = RAFT_EVENT_CHANGE, .change = &change};
        fail_if_refused(env, script_node_step(n, e));
    }
}

static void run_snapshot(struct script_env *env, const struct script_command *c, struct buf *out)
{
    struct script_node *n = script_env_node(env, c, 0);
    if (n) {
        script_node_take_snapshot(n);
        etcd_describe_snapshot(&n->disk.snapshot, out);
    }
}

static void run_read(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    struct script_node *n = script_env_node(env, c, 0);
    if (n) {
        struct raft_event e = {.type = RAFT_EVENT_READ, .read = {.id = ++env->reads}};
        fail_if_refused(env, script_node_step(n, e));
    }
}

static void run_stop(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)out;
    struct script_node *n = script_env_node(env, c, 0);
    if (n) {
        fail_if_refused(env, script_node_step(n, (struct raft_event){.type = RAFT_EVENT_STOP}));
    }
}

static void run_recover_quorum(struct script_env *env, const struct script_command *c,
                               struct buf *out)
{
    (void)out;
    struct script_node *n = script_env_node(env, c, 0);
    if (n) {
        struct raft_event e = {.type = RAFT_EVENT_RECOVER_QUORUM,
                               .recover = {.consent = RAFT_RECOVER_CONSENT}};
        fail_if_refused(env, script_node_step(n, e));
    }
}

/* --- looking in ------------------------------------------------------------------------------ */

static void run_members(struct script_env *env, const struct script_command *c, struct buf *out)
{
    const struct script_node *n = script_env_node(env, c, 0);
    if (n) {
        struct raft_status st = raft_status(n->raft);
        etcd_describe_membership(st.membership, out);
        text_add(out, "%s%s%s\n", st.exposed ? " exposed" : "", st.impaired ? " impaired" : "",
                 st.stalled ? " stalled" : "");
    }
}

static void run_indexes(struct script_env *env, const struct script_command *c, struct buf *out)
{
    (void)c;
    for (size_t i = 0; i < env->n; i++) {
        struct raft_status st = raft_status(env->nodes[i]->raft);
        text_add(out,
                 "%" PRIu64 ": first=%" PRIu64 " last=%" PRIu64 " durable=%" PRIu64
                 " committed=%" PRIu64 " applied=%" PRIu64 "\n",
                 st.id, st.first, st.last, st.durable, st.committed, st.applied);
    }
}

static void run_lease(struct script_env *env, const struct script_command *c, struct buf *out)
{
    const struct script_node *n = script_env_node(env, c, 0);
    if (n) {
        text_add(out, "%s", raft_lease_holds(n->raft, n->now) ? "holds" : "does not hold");
    }
}

const struct script_verb own_verbs[] = {
    {"advance", run_advance},
    {"apply-ok", run_apply_ok},
    {"apply-stall", run_apply_stall},
    {"change", run_own_change},
    {"cut", run_cut},
    {"damage", run_damage},
    {"disk-ok", run_disk_ok},
    {"disk-stall", run_disk_stall},
    {"heal", run_heal},
    {"indexes", run_indexes},
    {"lease", run_lease},
    {"members", run_members},
    {"read", run_read},
    {"recover-quorum", run_recover_quorum},
    {"restart", run_restart},
    {"run", run_run},
    {"snapshot", run_snapshot},
    {"stop", run_stop},
    {"stream-reset", run_stream_reset},
    {"suspend", run_suspend},
};
const size_t own_verb_count = COUNT_OF(own_verbs);
