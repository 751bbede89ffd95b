#include "core/recovery/recovery_table.h"

#include "core/base/check.h"

#define SET(value) (1U << (value))
#define ANY        (~0U)

/* Columns: sets of values. */
#define OURS    SET(IDENTITY_OURS)
#define ABSENT  SET(IDENTITY_ABSENT)
#define UNKNOWN (SET(IDENTITY_ABSENT) | SET(IDENTITY_DAMAGED))
#define USABLE  (OURS | UNKNOWN)
#define NO_LOG  (SET(LOG_ABSENT) | SET(LOG_UNBEGUN))
#define GOOD    (SET(LOG_WHOLE) | SET(LOG_TORN) | SET(LOG_HEALED))
#define NONE    SET(SNAPSHOT_NONE)
#define COVERED (SET(SNAPSHOT_NONE) | SET(SNAPSHOT_COVERS))
#define MISSING SET(SNAPSHOT_MISSING)

/* clang-format off */
static const struct recovery_row rows[] = {
/*   identity                     log                     snapshot  role              verdict */
    /* Another's, or of another time: hands off. */
    {SET(IDENTITY_OTHER_VERSION), ANY,                    ANY,      ANY,              RECOVERY_UNREADABLE,
     "the identity file has a format version that this release does not know"},
    {SET(IDENTITY_FOREIGN),       ANY,                    ANY,      ANY,              RECOVERY_FOREIGN,
     "the identity file names another cluster or node"},
    {USABLE,                      SET(LOG_OTHER_VERSION), ANY,      ANY,              RECOVERY_UNREADABLE,
     "a segment has a format version that this release does not know"},
    {USABLE,                      SET(LOG_FOREIGN),       ANY,      ANY,              RECOVERY_FOREIGN,
     "a segment belongs to another cluster or node"},

    /* No log. Only a node that never took part may begin with nothing; and one that was interrupted
     * on its way there, as the identity file is written last. */
    {ABSENT,                      NO_LOG,                 NONE,     SET(ROLE_NEW),    RECOVERY_EMPTY,
     "a new disk"},
    {ABSENT,                      NO_LOG,                 NONE,     SET(ROLE_MEMBER), RECOVERY_WIPED,
     "this node is a member, and its disk is empty"},
    {ABSENT,                      NO_LOG,                 ~NONE,    ANY,              RECOVERY_WIPED,
     "there is a snapshot, and no log"},
    {USABLE & ~ABSENT,            NO_LOG,                 ANY,      ANY,              RECOVERY_WIPED,
     "this node has run on this disk, and its log is gone"},

    /* A log that can be vouched for. Its segments name their owner, so the identity can be rewritten. */
    {OURS,                        SET(LOG_WHOLE),         COVERED,  ANY,              RECOVERY_CLEAN,
     "the log is whole"},
    {OURS,                        SET(LOG_TORN),          COVERED,  ANY,              RECOVERY_TORN_TAIL,
     "the last write was interrupted, and never acknowledged"},
    {OURS,                        SET(LOG_HEALED),        COVERED,  ANY,              RECOVERY_HEALED,
     "damaged places were repaired, or held nothing that is not known from elsewhere"},
    {UNKNOWN,                     GOOD,                   COVERED,  ANY,              RECOVERY_HEALED,
     "the identity file is missing or damaged; the log names its owner"},

    /* A log with holes. Nothing is truncated; peers repair it. */
    {USABLE,                      SET(LOG_DAMAGED),       ANY,      ANY,              RECOVERY_DAMAGED,
     "entries that were durable are unreadable"},
    {USABLE,                      SET(LOG_DOUBT),         ANY,      ANY,              RECOVERY_DAMAGED,
     "the end of the log is unreadable, and may hold acknowledged entries and votes"},
    {USABLE,                      GOOD,                   MISSING,  ANY,              RECOVERY_DAMAGED,
     "no whole snapshot reaches the first entry of the log"},
};
/* clang-format on */

struct verdict_facts {
    const char *name;
    const char *meaning;
    bool may_run;
    bool may_vote;
};

static const struct verdict_facts verdicts[RECOVERY_VERDICTS] = {
#define RECOVERY_FACTS(name, text, run, vote, meaning) [name] = {text, meaning, run, vote},
    RECOVERY_VERDICT_TABLE(RECOVERY_FACTS)
#undef RECOVERY_FACTS
};

const struct recovery_row *recovery_rows(size_t *count)
{
    *count = COUNT_OF(rows);
    return rows;
}

bool recovery_row_matches(const struct recovery_row *row, const struct recovery_findings *found)
{
    return (row->identity & SET(found->identity)) != 0 && (row->log & SET(found->log)) != 0 &&
           (row->snapshot & SET(found->snapshot)) != 0 && (row->role & SET(found->role)) != 0;
}

const struct recovery_row *recovery_decide(const struct recovery_findings *found)
{
    const struct recovery_row *match = NULL;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (recovery_row_matches(&rows[i], found)) {
            CHECK(match == NULL);
            match = &rows[i];
        }
    }
    CHECK(match != NULL);
    return match;
}

const char *recovery_verdict_name(enum recovery_verdict verdict)
{
    CHECK(verdict < RECOVERY_VERDICTS);
    return verdicts[verdict].name;
}

const char *recovery_verdict_meaning(enum recovery_verdict verdict)
{
    CHECK(verdict < RECOVERY_VERDICTS);
    return verdicts[verdict].meaning;
}

bool recovery_may_run(enum recovery_verdict verdict)
{
    CHECK(verdict < RECOVERY_VERDICTS);
    return verdicts[verdict].may_run;
}

bool recovery_may_vote(enum recovery_verdict verdict)
{
    CHECK(verdict < RECOVERY_VERDICTS);
    return verdicts[verdict].may_vote;
}
