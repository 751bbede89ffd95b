/*
 * Disks that lose what they promised to keep, as far as the fault model goes.
 *
 * The fault model is the atlas's (simatlas.h): before a disk is damaged it is asked, and the damage
 * counts until the node has read its disk again and vouches for it. While a disk is damaged the
 * operators do not change the membership, and while the membership changes no disk is damaged:
 * either could make one loss too many of it.
 */
#include "core/base/check.h"
#include "core/chaos/oracle/oracle.h"
#include "core/chaos/sim/inject_int.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"

static const enum simdisk_class rot_classes[] = {SIMDISK_LOG, SIMDISK_LOG, SIMDISK_SNAPSHOT,
                                                 SIMDISK_ANY};

static uint64_t member_bit(node_id id)
{
    return (uint64_t)1 << (id - 1);
}

/* The voters that durably have all that any member has appended, in the highest term that any
 * knows; none, while a voter is down and nobody can tell what its disk has. */
static uint64_t current_voters(struct simcluster *c, uint64_t voters)
{
    raft_term term = 0;
    raft_index last = 0;
    uint64_t current = 0;

    for (uint32_t i = 0; i < c->n; i++) {
        const struct simmember *m = &c->member[i];
        if ((voters >> i & 1) != 0 && !simmember_serves(m)) {
            return 0;
        }
        if (simmember_serves(m)) {
            struct raft_status status = node_status(m->node);
            term = u64_max(term, status.term);
            last = u64_max(last, status.last);
        }
    }
    for (uint32_t i = 0; i < c->n; i++) {
        const struct simmember *m = &c->member[i];
        if ((voters >> i & 1) != 0) {
            struct raft_status status = node_status(m->node);
            bool has_all = status.term == term && status.durable == last && !status.impaired;
            current |= has_all ? member_bit(m->id) : 0;
        }
    }
    return current;
}

static struct simatlas_group atlas_group_of(const struct raft_membership *ms)
{
    struct simatlas_group group = {0};

    for (uint32_t i = 0; i < ms->n; i++) {
        const struct raft_member *m = &ms->member[i];
        group.voters |= (m->roles & RAFT_VOTER) ? member_bit(m->id) : 0;
        group.outgoing |= (m->roles & RAFT_VOTER_OUTGOING) ? member_bit(m->id) : 0;
        group.learners |= (m->roles & RAFT_LEARNER) ? member_bit(m->id) : 0;
        group.witnesses |= (m->roles & RAFT_WITNESS) ? member_bit(m->id) : 0;
        group.in_sync |= (m->roles & RAFT_IN_SYNC) ? member_bit(m->id) : 0;
    }
    return group;
}

/* Who takes part, for the atlas. False: the membership is changing, or nobody knows it. */
static bool tell_atlas(struct inject *inject)
{
    struct simcluster *c = inject->cluster;
    struct simmember *leader = simcluster_leader(c);

    if (leader == NULL || simcluster_is_deposed(c, leader) || leader->node->raft->conf_count > 0) {
        return false;
    }
    struct simatlas_group group = atlas_group_of(node_status(leader->node).membership);
    if (group.outgoing != 0) {
        return false;
    }
    group.current = current_voters(c, group.voters);
    simatlas_set_group(&inject->atlas, &group);
    return true;
}

/* What the atlas calls it. */
static enum simatlas_kind atlas_kind(enum fault_kind kind)
{
    switch ((int)kind) {
    case FAULT_ROT:
        return SIMATLAS_ROT;
    case FAULT_SPOIL:
    case FAULT_FAIL_READ:
        return SIMATLAS_SPOILED; /* to whoever reads, an error that passes is damage, too */
    case FAULT_CUT_FILE:
        return SIMATLAS_TRUNCATED;
    case FAULT_LOSE_FILE:
        return SIMATLAS_VANISHED;
    case FAULT_MISDIRECT:
        return SIMATLAS_MISDIRECTED;
    case FAULT_LIE:
        return SIMATLAS_LYING;
    case FAULT_WIPE:
        return SIMATLAS_WIPED;
    case FAULT_OLD_DISK:
        return SIMATLAS_OLD_CLONE;
    default:
        CHECK_UNREACHABLE("no fault of a disk that loses");
    }
}

/* While there is a witness: would the in-sync set keep a member that is whole and runs? One that is
 * down leaves the set within a moment, and all would hang on the disk that is to be damaged. */
static bool stays_in_sync(const struct inject *inject, const struct simmember *struck)
{
    const struct simatlas_group *group = &inject->atlas.group;
    uint64_t left = group->in_sync & ~simatlas_damaged(&inject->atlas) & ~member_bit(struck->id);

    for (uint32_t i = 0; i < inject->cluster->n; i++) {
        const struct simmember *m = &inject->cluster->member[i];
        left &= simmember_serves(m) || m->is_agent ? UINT64_MAX : ~member_bit(m->id);
    }
    return group->witnesses == 0 || left != 0;
}

static bool may_lose(struct inject_active *a)
{
    return tell_atlas(a->inject) && stays_in_sync(a->inject, a->at) &&
           simatlas_may(&a->inject->atlas, a->at->i, atlas_kind(a->row.kind), SIMATLAS_WHOLE);
}

void inject_follow_group(struct inject *inject, const struct simmember *m)
{
    struct raft_membership ms;

    if (inject->atlas.strike_count == 0 || !simmember_serves(m) ||
        node_status(m->node).role != RAFT_LEADER || simcluster_is_deposed(inject->cluster, m)) {
        return;
    }
    raft_membership_to_come(m->node->raft, m->node->raft->conf_count, &ms);
    struct simatlas_group group = atlas_group_of(&ms);
    simatlas_set_group(&inject->atlas, &group);
}

static void mark_damaged(struct inject_active *a, uint32_t lost)
{
    struct inject *inject = a->inject;
    uint32_t i = a->at->i;

    inject->damage[i].life = a->at->life;
    inject->damage[i].passes = a->at->node != NULL ? a->at->node->counted.scrub_passes : 0;
    inject->damage[i].lost |= lost;
    inject->damage[i].is_silent |=
        (lost & ORACLE_LOST_ALL) != 0 || simatlas_is_silent(atlas_kind(a->row.kind));
    simatlas_struck(&inject->atlas, i, atlas_kind(a->row.kind), SIMATLAS_WHOLE);
}

void inject_end_tricks(struct simmember *m)
{
    for (size_t trick = 0; trick < SIMDISK_TRICKS; trick++) {
        simdisk_play(simhost_disk(m->host), (enum simdisk_trick)trick, SIMDISK_ANY, 0);
    }
    simdisk_fail(simhost_disk(m->host), WORLD_READ, OK, 0);
}

/* Damage at rest, `number` times; the node goes on, and finds it when it reads. */
static enum inject_outcome harm(struct inject_active *a, enum simdisk_harm harm,
                                enum simdisk_class class)
{
    struct simdisk *disk = simhost_disk(a->at->host);
    enum inject_outcome outcome = INJECT_NO_TARGET;
    struct simdisk_spot spot;

    for (uint64_t i = 0; i < u64_max(a->row.number, 1); i++) {
        if (simdisk_harm(disk, harm, class, &spot) == OK) {
            a->inject->spot = spot;
            outcome = INJECT_DONE;
        }
    }
    if (outcome == INJECT_DONE) {
        mark_damaged(a, ORACLE_LOST_TAIL);
        /* A scrub reads the files that are there: that one is gone or short, only a start finds. */
        bool is_seen = harm == SIMDISK_HARM_ROT || harm == SIMDISK_HARM_SPOILED;
        a->inject->damage[a->at->i].needs_start |= !is_seen;
    }
    return outcome;
}

static enum inject_outcome play(struct inject_active *a)
{
    static const struct {
        enum simdisk_trick trick;
        enum simdisk_class class;
    } tricks[] = {
        {SIMDISK_MISDIRECTED_WRITE, SIMDISK_SNAPSHOT},
        {SIMDISK_LOST_WRITE, SIMDISK_SNAPSHOT},
        {SIMDISK_MISDIRECTED_READ, SIMDISK_LOG},
        {SIMDISK_MISDIRECTED_READ, SIMDISK_SNAPSHOT},
    };
    CHECK(a->row.mode < COUNT_OF(tricks));
    simdisk_play(simhost_disk(a->at->host), tricks[a->row.mode].trick, tricks[a->row.mode].class,
                 1);
    mark_damaged(a, ORACLE_LOST_TAIL);
    return INJECT_DONE;
}

static bool never_survives(void *ctx, uint64_t unit)
{
    (void)ctx;
    (void)unit;
    return false;
}

/* Power is lost, and the host comes back with its disk as it was when the row began: a restored
 * backup. Where that would be one loss too many, with its own. */
static void end_of_old_disk(struct inject_active *a)
{
    struct simdisk *kept = a->at->kept_disk;

    a->at->kept_disk = NULL;
    if (!may_lose(a)) {
        simdisk_free(kept);
        return;
    }
    inject_kill(a->inject, a->at, true, 0);
    simdisk_close_all(kept);
    simdisk_cut_power(kept, never_survives, NULL);
    /* Its contents are of then, its faults are over. */
    simdisk_heal(kept);
    simdisk_set_capacity(kept, a->inject->cluster->settings->disk_bytes);
    simhost_replace_disk(a->at->host, kept);
    mark_damaged(a, ORACLE_LOST_ALL);
    inject_restart(a->inject, a->at);
}

enum inject_outcome inject_begin_loss(struct inject_active *a)
{
    if (a->at->state == MEMBER_BLANK || !a->at->was_ready || a->at->is_agent) {
        return INJECT_NO_TARGET;
    }
    if (a->row.kind == FAULT_LIE) {
        if (a->inject->damage[a->at->i].is_lying) {
            return INJECT_SPARED;
        }
        simdisk_lie(simhost_disk(a->at->host), true); /* it loses at the end, if it may */
        a->inject->damage[a->at->i].is_lying = true;
        return INJECT_DONE;
    }
    if (a->row.kind == FAULT_OLD_DISK) {
        if (a->at->kept_disk != NULL) {
            return INJECT_SPARED;
        }
        a->at->kept_disk = simdisk_clone(simhost_disk(a->at->host)); /* likewise */
        return INJECT_DONE;
    }
    if (!may_lose(a)) {
        return INJECT_SPARED;
    }
    switch ((int)a->row.kind) {
    case FAULT_ROT:
        return harm(a, SIMDISK_HARM_ROT, rot_classes[a->row.mode]);
    case FAULT_SPOIL:
        return harm(a, SIMDISK_HARM_SPOILED, rot_classes[a->row.mode + 1]);
    case FAULT_CUT_FILE:
        return harm(a, SIMDISK_HARM_CUT, rot_classes[a->row.mode + 1]);
    case FAULT_LOSE_FILE:
        return harm(a, SIMDISK_HARM_VANISHED, rot_classes[a->row.mode + 1]);
    case FAULT_MISDIRECT:
        return play(a);
    case FAULT_FAIL_READ:
        simdisk_fail(simhost_disk(a->at->host), WORLD_READ, ERR_IO, (uint32_t)a->row.number);
        mark_damaged(a, ORACLE_LOST_TAIL);
        return INJECT_DONE;
    case FAULT_WIPE:
        inject_kill(a->inject, a->at, true, 0);
        simdisk_wipe(simhost_disk(a->at->host));
        mark_damaged(a, ORACLE_LOST_ALL);
        return INJECT_DONE;
    default:
        CHECK_UNREACHABLE("no fault of a disk that loses");
    }
}

/* Power is lost, and what was never durable with it; where that would be one loss too many, all of
 * it happens to survive. */
static void end_of_lies(struct inject_active *a)
{
    struct simdisk *disk = simhost_disk(a->at->host);
    bool loses = a->at->state == MEMBER_UP && may_lose(a);

    if (!loses) {
        simdisk_write_back(disk);
    }
    a->inject->damage[a->at->i].is_lying = false;
    inject_kill(a->inject, a->at, true, a->row.number);
    simdisk_lie(disk, false);
    if (loses) {
        mark_damaged(a, ORACLE_LOST_ALL);
    }
}

void inject_end_loss(struct inject_active *a)
{
    switch ((int)a->row.kind) {
    case FAULT_LIE:
        end_of_lies(a);
        inject_restart(a->inject, a->at);
        break;
    case FAULT_OLD_DISK:
        end_of_old_disk(a);
        break;
    case FAULT_WIPE:
        inject_restart(a->inject, a->at);
        break;
    default:
        break;
    }
}
