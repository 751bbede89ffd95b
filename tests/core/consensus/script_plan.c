#include "tests/core/consensus/script_plan.h"

#include <string.h>

#include "tests/support/text.h"

#define ETCD_INFLIGHT_MAX (1 << 20)
#define ETCD_UNLIMITED    (UINT64_MAX / 2)

static struct raft_config etcd_config(void)
{
    struct raft_config c = raft_config_default(1, 1);
    c.election_timeout = ETCD_ELECTION_TICKS * SCRIPT_TICK;
    c.heartbeat_interval = ETCD_HEARTBEAT_TICKS * SCRIPT_TICK;
    c.pre_vote = false;
    c.check_quorum = false;
    c.stall_timeout = 0;
    c.priority_hold = 0;
    c.max_append_bytes = RAFT_MESSAGE_BYTES_MAX / 2;
    c.max_inflight_messages = ETCD_INFLIGHT_MAX;
    c.max_inflight_bytes = 0;
    c.max_uncommitted_bytes = 0;
    c.max_applying_bytes = ETCD_UNLIMITED;
    c.max_cached_bytes = ETCD_UNLIMITED;
    c.strict_changes = false;
    c.require_caught_up = false;
    c.follower_snapshots = false;
    c.removal = RAFT_REMOVAL_STAY;
    return c;
}

static bool plan_members(const struct script_arg *arg, uint8_t roles, struct script_plan *plan,
                         struct buf *error)
{
    struct raft_membership *ms = &plan->snapshot.membership;
    for (size_t i = 0; i < arg->n; i++) {
        uint64_t id = 0;
        if (!script_number(arg->values[i], &id) || id == NODE_NONE || ms->n == RAFT_MEMBERS_MAX ||
            raft_membership_slot(ms, id) >= 0) {
            text_add(error, "cannot add member %s", arg->values[i]);
            return false;
        }
        raft_membership_insert(ms, id, roles);
    }
    return true;
}

static bool plan_priorities(const struct script_arg *arg, struct script_plan *plan,
                            struct buf *error)
{
    struct raft_membership *ms = &plan->snapshot.membership;
    for (size_t i = 0; i < arg->n; i++) {
        uint64_t priority = 0;
        if (i >= ms->n || !script_number(arg->values[i], &priority) || priority > UINT8_MAX) {
            text_add(error, "cannot give anybody the priority %s", arg->values[i]);
            return false;
        }
        ms->member[i].priority = (uint8_t)priority;
    }
    return true;
}

/* Options that take a list. `ret_is_list` tells whether this is one. */
static bool plan_list(const struct script_arg *arg, struct script_plan *plan, struct buf *error,
                      bool *ret_is_list)
{
    static const struct {
        const char *key;
        uint8_t roles;
    } members[] = {{"voters", RAFT_VOTER},
                   {"learners", RAFT_LEARNER},
                   {"witnesses", RAFT_VOTER | RAFT_WITNESS}};
    *ret_is_list = true;
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        if (strcmp(arg->key, members[i].key) == 0) {
            return plan_members(arg, members[i].roles, plan, error);
        }
    }
    if (strcmp(arg->key, "priorities") == 0) {
        return plan_priorities(arg, plan, error);
    }
    *ret_is_list = false;
    return true;
}

/* true, false, a number, or a time in ms; times are numbers of nanoseconds. */
static bool plan_value(const char *text, uint64_t *ret)
{
    char digits[24];
    size_t n = strlen(text);
    bool time = n > 2 && n < sizeof(digits) && strcmp(text + n - 2, "ms") == 0;
    if (time) {
        memcpy(digits, text, n - 2);
        digits[n - 2] = '\0';
        if (!script_number(digits, ret)) {
            return false;
        }
        *ret *= NANOS_PER_MS;
        return true;
    }
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        *ret = text[0] == 't';
        return true;
    }
    return script_number(text, ret);
}

/* The names that etcd-raft has for what we call otherwise. */
static bool plan_etcd_option(const char *key, uint64_t v, struct script_plan *plan)
{
    struct raft_config *c = &plan->config;
    if (strcmp(key, "index") == 0) {
        plan->snapshot.index = v;
    } else if (strcmp(key, "async-storage-writes") == 0) {
        plan->async = v != 0;
    } else if (strcmp(key, "prevote") == 0) {
        c->pre_vote = v != 0;
    } else if (strcmp(key, "checkquorum") == 0) {
        c->check_quorum = v != 0;
    } else if (strcmp(key, "inflight") == 0) {
        c->max_inflight_messages = (uint32_t)v;
    } else if (strcmp(key, "max-committed-size-per-ready") == 0) {
        c->max_applying_bytes = v;
    } else if (strcmp(key, "disable-conf-change-validation") == 0) {
        c->validate_changes = v == 0;
    } else if (strcmp(key, "step-down-on-removal") == 0) {
        c->removal = v != 0 ? RAFT_REMOVAL_STEP_DOWN : RAFT_REMOVAL_STAY;
    } else {
        return false;
    }
    return true;
}

/* Is `key` the name of this field, with dashes for underscores? */
static bool key_names(const char *key, const char *field)
{
    for (; *key != '\0' && *key == (*field == '_' ? '-' : *field); key++, field++) {
    }
    return *key == *field;
}

static bool plan_own_option(const char *key, uint64_t v, struct script_plan *plan)
{
    if (strcmp(key, "snapshot-bytes") == 0) {
        plan->takes_snapshots = true;
        plan->snapshot_bytes = v;
        return true;
    }
#define PLAN_CONFIG_OPTION(field, type, unit, preset, lo, hi, doc)                                 \
    if (key_names(key, #field)) {                                                                  \
        plan->config.field = (type)v;                                                              \
        return true;                                                                               \
    }
    RAFT_CONFIG_TABLE(PLAN_CONFIG_OPTION)
#undef PLAN_CONFIG_OPTION
    return false;
}

static bool plan_option(const struct script_arg *arg, struct script_plan *plan, struct buf *error)
{
    bool is_list = false;
    bool understood = plan_list(arg, plan, error, &is_list);
    if (is_list) {
        return understood;
    }
    const char *value = arg->n == 1 ? arg->values[0] : "";
    if (strcmp(arg->key, "content") == 0) {
        return true; /* of the state machine: never printed */
    }
    if (strcmp(arg->key, "read-only") == 0) {
        plan->config.lease_reads = strcmp(value, "lease-based") == 0;
        if (plan->config.lease_reads || strcmp(value, "safe") == 0) {
            return true;
        }
        text_add(error, "invalid read-only option \"%s\"", value);
        return false;
    }
    uint64_t v = 0;
    if (plan_value(value, &v) &&
        (plan_etcd_option(arg->key, v, plan) || plan_own_option(arg->key, v, plan))) {
        return true;
    }
    text_add(error, "cannot understand %s=%s", arg->key, value);
    return false;
}

bool script_plan_parse(const struct script_command *c, struct script_plan *ret, struct buf *error)
{
    memset(ret, 0, sizeof(*ret));
    ret->config = etcd_config();
    for (size_t i = 1; i < c->arg_count; i++) {
        if (!plan_option(&c->args[i], ret, error)) {
            return false;
        }
    }
    bool bootstrap = ret->snapshot.index != 0 || ret->snapshot.membership.n > 0;
    if (bootstrap && ret->snapshot.index <= 1) {
        text_add(error, "index must be specified as > 1 due to bootstrap");
        return false;
    }
    ret->snapshot.term = bootstrap ? 1 : 0;
    ret->config.apply_before_durable = !ret->async;
    const char *why = NULL;
    if (raft_config_check(&ret->config, &why) != OK) {
        text_add(error, "%s", why);
        return false;
    }
    return true;
}
