/*
 * etcd-raft-confchange: runs etcd-raft's data-driven tests of membership changes against our
 * raft_membership.h, printing as that project does.
 *
 *     simple | enter-joint [autoleave=true] | leave-joint
 *     v1 l2 r3 u4
 *
 * v: add or promote a voter; l: add a learner or demote to one; r: remove; u: update. Printed are
 * the membership and what a leader would know of each member. A new member is probed from the last
 * index on, which here is the number of commands before this one.
 */
#include <inttypes.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/consensus/raft/raft_membership.h"
#include "core/consensus/raft/raft_progress.h"
#include "tests/core/consensus/etcd_raft_text.h"
#include "tests/support/script_main.h"
#include "tests/support/text.h"

#define INFLIGHT_MAX 10

struct changer {
    struct raft_membership membership;
    struct raft_progress progress[RAFT_MEMBERS_MAX]; /* by the slots of `membership` */
    raft_index last_index;
};

static bool wants_auto_leave(const struct script_command *c)
{
    const struct script_arg *arg = script_arg_find(c, "autoleave");
    return arg && arg->n == 1 && strcmp(arg->values[0], "true") == 0;
}

/* What a leader does with its progress when the membership changes: who stays keeps it, who left
 * loses it, who joined starts anew. */
static void changer_switch(struct changer *s, const struct raft_membership *next)
{
    struct raft_progress kept[RAFT_MEMBERS_MAX];
    memset(kept, 0, sizeof(kept));
    for (uint32_t i = 0; i < next->n; i++) {
        const struct raft_member *m = &next->member[i];
        int slot = raft_membership_slot(&s->membership, m->id);
        if (slot < 0 || (m->roles & RAFT_FRESH)) {
            raft_progress_init(&kept[i], u64_max(s->last_index, 1), INFLIGHT_MAX, 0);
            kept[i].recent_active = true;
        } else {
            kept[i] = s->progress[slot];
        }
    }
    memcpy(s->progress, kept, sizeof(kept));
    s->membership = *next;
}

static void run_change(struct changer *s, const struct script_command *c, struct buf *out)
{
    struct raft_conf_change change = {0};
    if (!etcd_conf_changes_parse(c->input, &change, out)) {
        return;
    }
    struct raft_membership next;
    enum raft_change_result result = RAFT_CHANGE_OK;
    if (strcmp(c->name, "simple") == 0) {
        result = raft_membership_simple(&s->membership, change.single, change.n, &next);
    } else if (strcmp(c->name, "enter-joint") == 0) {
        result = raft_membership_enter_joint(&s->membership, wants_auto_leave(c), change.single,
                                             change.n, &next);
    } else if (strcmp(c->name, "leave-joint") == 0) {
        result = raft_membership_leave_joint(&s->membership, &next);
    } else {
        text_add(out, "unknown command\n");
        return;
    }
    if (result != RAFT_CHANGE_OK) {
        text_add(out, "%s\n", raft_change_text(result));
        return;
    }
    changer_switch(s, &next);
    etcd_describe_membership(&next, out);
    text_add(out, "\n");
    for (uint32_t i = 0; i < next.n; i++) {
        etcd_describe_progress(&next.member[i], &s->progress[i], out);
    }
}

static void run_confchange_command(void *state, const struct script_command *c, struct buf *out)
{
    struct changer *s = state;
    run_change(s, c, out);
    s->last_index++;
}

static void *begin_confchange_script(void)
{
    return mem_alloc_zero(sizeof(struct changer));
}

static void end_confchange_script(void *state)
{
    mem_free(state);
}

int main(int argc, char **argv)
{
    static const struct script_level levels[] = {{NULL, {.run = run_confchange_command}}};
    static const struct script_program program = {
        .name = "etcd-raft-confchange",
        .summary = "Runs scripts of membership changes and compares what they print.",
        .conformance = "etcd-raft/confchange",
        .levels = levels,
        .level_count = COUNT_OF(levels),
        .begin = begin_confchange_script,
        .end = end_confchange_script,
    };
    return script_main(&program, argc, argv);
}
