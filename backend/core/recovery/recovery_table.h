/*
 * What a disk is worth after a restart: one table from what was found to one verdict. Pure;
 * recovery asks it, docs/recovery.md prints it, and a test asserts that exactly one row matches
 * each of all combinations.
 */
#ifndef NOVACRON_RECOVERY_RECOVERY_TABLE_H
#define NOVACRON_RECOVERY_RECOVERY_TABLE_H

#include <stddef.h>

#include "core/base/types.h"

/* The file that says whose directory this is. */
enum found_identity {
    IDENTITY_ABSENT,
    IDENTITY_OURS,
    IDENTITY_DAMAGED,
    IDENTITY_FOREIGN,       /* another cluster's or node's */
    IDENTITY_OTHER_VERSION, /* written by a release that this one does not know */
    IDENTITY_KINDS
};

/* The segments (wal_scan.h). */
enum found_log {
    LOG_ABSENT,  /* no file */
    LOG_UNBEGUN, /* files, but no batch in them, and no sign of one */
    LOG_WHOLE,
    LOG_TORN,    /* whole, but for a last batch that was never durable */
    LOG_HEALED,  /* damaged in places whose contents are known from elsewhere */
    LOG_DAMAGED, /* entries are unreadable; which ones is known */
    LOG_DOUBT,   /* the end is unreadable: entries and votes may be forgotten */
    LOG_FOREIGN,
    LOG_OTHER_VERSION,
    LOG_KINDS
};

/* The newest whole snapshot file, against the first entry of the log. */
enum found_snapshot {
    SNAPSHOT_NONE,    /* and the log reaches back to the first entry */
    SNAPSHOT_COVERS,  /* all that the log no longer holds; newest or stale */
    SNAPSHOT_MISSING, /* entries are in neither */
    SNAPSHOT_KINDS
};

/* What the configuration says of this node. */
enum found_role { ROLE_NEW, ROLE_MEMBER, ROLE_KINDS };

struct recovery_findings {
    enum found_identity identity;
    enum found_log log;
    enum found_snapshot snapshot;
    enum found_role role;
};

/* verdict, may it run (accept a log), may it vote and lead, what it means */
#define RECOVERY_VERDICT_TABLE(X)                                                                  \
    X(RECOVERY_EMPTY, "empty", true, true, "a new disk of a new node")                             \
    X(RECOVERY_CLEAN, "clean", true, true, "everything is there")                                  \
    X(RECOVERY_TORN_TAIL, "torn-tail", true, true,                                                 \
      "a write that was never acknowledged was dropped")                                           \
    X(RECOVERY_HEALED, "healed", true, true, "damaged in places, all contents are known")          \
    X(RECOVERY_DAMAGED, "damaged", true, false,                                                    \
      "entries or votes are lost here: neither votes nor leads until peers repaired them")         \
    X(RECOVERY_WIPED, "wiped", true, false,                                                        \
      "a member without its log: neither votes nor leads until it caught up")                      \
    X(RECOVERY_FOREIGN, "foreign", false, false, "the disk of another cluster or node")            \
    X(RECOVERY_UNREADABLE, "unreadable", false, false, "it cannot be read: halts, changes nothing")

enum recovery_verdict {
#define RECOVERY_ENUM(name, text, run, vote, meaning) name,
    RECOVERY_VERDICT_TABLE(RECOVERY_ENUM)
#undef RECOVERY_ENUM
        RECOVERY_VERDICTS
};

/* One row. A column is a set: bit n stands for the value n of its enum. */
struct recovery_row {
    uint32_t identity;
    uint32_t log;
    uint32_t snapshot;
    uint32_t role;
    enum recovery_verdict verdict;
    const char *why;
};

/* All rows; `*count` is how many. */
const struct recovery_row *recovery_rows(size_t *count);

bool recovery_row_matches(const struct recovery_row *row, const struct recovery_findings *found);

/* The one row that matches. */
const struct recovery_row *recovery_decide(const struct recovery_findings *found);

const char *recovery_verdict_name(enum recovery_verdict verdict);
const char *recovery_verdict_meaning(enum recovery_verdict verdict);

/* May the node take part at all; may it vote, and stand for election? */
bool recovery_may_run(enum recovery_verdict verdict);
bool recovery_may_vote(enum recovery_verdict verdict);

#endif
