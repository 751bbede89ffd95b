/*
 * The fault atlas: which disk may be damaged now, so that what was promised can still be kept.
 *
 * The promise: an acknowledged write survives while a majority of the voters' disks survives, with
 * one in-sync full replica among them. A simulation that destroys more proves nothing by a loss,
 * and one that destroys much less finds nothing. So before a fault that may destroy what was
 * acknowledged, whoever plans faults asks here, and tells when it has struck and when it is healed.
 * The ideas are those of TigerBeetle's fault atlas (src/testing/storage.zig) and of FoundationDB's
 * simulator, which asks whether it may kill (canKillProcesses).
 *
 * THE MODEL. A replica is damaged from the strike until its node is whole again: it is not
 * impaired, has caught up, and has scrubbed its disk since. With n voters (in a joint membership of
 * each half), f = (n - 1) / 2:
 *
 *   1. At most f members are damaged. Learners count too, as they may become voters.
 *   2. While there is a witness, one member of the in-sync set is not damaged: where the set has
 *      more than f members this follows from rule 1, but exposed, all may hang on one disk.
 *   3. Damage that a node cannot notice (SIMATLAS_LOSES_SILENTLY) needs more: nobody else is
 *      damaged, and every other voter is current, that is, has durably all that any member has
 *      appended, in the highest term that any knows. For a node which lost the end of its log or
 *      its vote without a trace votes as before [docs/recovery.md, "what no log can see alone"]:
 *      one such disk and one voter that lags would elect a leader without what was acknowledged,
 *      or a second one in a term, and no protocol that trusts its disk can prevent that. While all
 *      others are current, no quorum lacks one of them that refuses. But a witness votes for
 *      any member of the in-sync set that asks, and so does a replica that fell out of the set
 *      [docs/raft.md, "Witnesses", rule 4]: while there is a witness, and the replica is in the
 *      set, each majority with it must have another member of the set.
 *   4. A host that is no member may lose what it notices. Nobody may lose silently the entry that
 *      removed it: where it was most of an earlier membership, it would elect itself.
 *
 * STRIPES. Rule 1 speaks of one piece of the log at a time. Damage inside the log that is told by
 * checksums (SIMATLAS_ROT, SIMATLAS_SPOILED) can be confined to a stripe: any number that means the
 * same entries on every replica, such as index / 64. Then every replica may be damaged at once, as
 * long as each stripe is bad on at most f of them, which is what repair entry by entry has to cope
 * with ("helical" damage). A file offset is no such number: logs lay the same entries at different
 * places. Nor is damage at the end of the log, to a segment's first sector, a snapshot, the boot
 * number or a vote confined to anything. All that is SIMATLAS_WHOLE, as is every kind but these
 * two.
 *
 * Faults that destroy nothing need no permission: latency, reads that fail, a full disk, a failed
 * sync and a power cut of an honest disk (both take the node down, which is a matter of quorum, not
 * of damage). A disk that lies is damaged only by a power cut, by any while simdisk_owed says that
 * it owes something, also after it has stopped lying: ask for SIMATLAS_LYING then, or
 * simdisk_write_back first.
 *
 * Decisions depend on the calls alone; there is neither randomness nor memory of the heap in it.
 */
#ifndef NOVACRON_CHAOS_SIMATLAS_H
#define NOVACRON_CHAOS_SIMATLAS_H

#include "core/base/types.h"

/* Replicas are numbered from 0; sets of them are bits of a word. */
#define SIMATLAS_REPLICAS_MAX 64

/* Strikes that are not healed; one more is refused. */
#define SIMATLAS_STRIKES_MAX 256

/* All stripes, and what belongs to none. */
#define SIMATLAS_WHOLE UINT64_MAX

/* kind, can it be confined to a stripe, does the node notice */
#define SIMATLAS_TABLE(X)                                                                          \
    X(SIMATLAS_ROT, SIMATLAS_CONFINED, SIMATLAS_TELLS)                                             \
    X(SIMATLAS_SPOILED, SIMATLAS_CONFINED, SIMATLAS_TELLS)                                         \
    X(SIMATLAS_TRUNCATED, SIMATLAS_SPREAD, SIMATLAS_TELLS)                                         \
    X(SIMATLAS_WIPED, SIMATLAS_SPREAD, SIMATLAS_TELLS)                                             \
    X(SIMATLAS_VANISHED, SIMATLAS_SPREAD, SIMATLAS_LOSES_SILENTLY)                                 \
    X(SIMATLAS_MISDIRECTED, SIMATLAS_SPREAD, SIMATLAS_LOSES_SILENTLY)                              \
    X(SIMATLAS_LOST_WRITE, SIMATLAS_SPREAD, SIMATLAS_LOSES_SILENTLY)                               \
    X(SIMATLAS_LYING, SIMATLAS_SPREAD, SIMATLAS_LOSES_SILENTLY)                                    \
    X(SIMATLAS_OLD_CLONE, SIMATLAS_SPREAD, SIMATLAS_LOSES_SILENTLY)

enum simatlas_kind {
#define SIMATLAS_ENUM(kind, reach, notice) kind,
    SIMATLAS_TABLE(SIMATLAS_ENUM)
#undef SIMATLAS_ENUM
        SIMATLAS_KINDS
};

/* Who takes part, as it is now. Bit i: replica i. */
struct simatlas_group {
    uint64_t voters;   /* witnesses included */
    uint64_t outgoing; /* the voters of the other half of a joint membership; 0: it is not joint */
    uint64_t learners;
    uint64_t witnesses;
    uint64_t in_sync; /* looked at only while there is a witness */
    uint64_t current; /* see rule 3; whoever cannot tell leaves it 0 */
};

struct simatlas_strike {
    uint32_t replica;
    enum simatlas_kind kind;
    uint64_t stripe;
};

/* The caller's storage. */
struct simatlas {
    struct simatlas_group group;
    struct simatlas_strike strikes[SIMATLAS_STRIKES_MAX]; /* in the order they were made */
    size_t strike_count;
    bool has_held;
};

void simatlas_init(struct simatlas *atlas, const struct simatlas_group *group);

/* The membership, or what is known of it, has changed. */
void simatlas_set_group(struct simatlas *atlas, const struct simatlas_group *group);

const char *simatlas_kind_name(enum simatlas_kind kind);

/* May a node lose what it acknowledged by it, and not know? */
bool simatlas_is_silent(enum simatlas_kind kind);

/* May this replica be damaged so, now? One that is in no set may, by what it notices. `stripe`
 * counts only for kinds that can be confined. */
bool simatlas_may(const struct simatlas *atlas, uint32_t replica, enum simatlas_kind kind,
                  uint64_t stripe);

/* It was, with permission or without; a strike beyond SIMATLAS_STRIKES_MAX is a CHECK. */
void simatlas_struck(struct simatlas *atlas, uint32_t replica, enum simatlas_kind kind,
                     uint64_t stripe);

/* Its node is whole again, or was removed for good. */
void simatlas_healed(struct simatlas *atlas, uint32_t replica);

/* The replicas that are damaged, whether they are members or not. */
uint64_t simatlas_damaged(const struct simatlas *atlas);

/* Do rules 1 and 2 hold now, and have all three held ever since init? If not, a loss is not a bug:
 * too much was struck, without permission, or by a change of the members that came upon it. */
bool simatlas_is_within(const struct simatlas *atlas);
bool simatlas_has_held(const struct simatlas *atlas);

#endif
