#include "core/chaos/simatlas.h"

#include <string.h>

#include "core/base/check.h"

enum reach { SIMATLAS_CONFINED, SIMATLAS_SPREAD };
enum notice { SIMATLAS_TELLS, SIMATLAS_LOSES_SILENTLY };

static const struct {
    const char *name;
    enum reach reach;
    enum notice notice;
} kinds[] = {
#define KIND_ROW(kind, reach, notice) {#kind, reach, notice},
    SIMATLAS_TABLE(KIND_ROW)
#undef KIND_ROW
};

static uint64_t bit_of(uint32_t replica)
{
    CHECK(replica < SIMATLAS_REPLICAS_MAX);
    return UINT64_C(1) << replica;
}

static uint32_t set_size(uint64_t set)
{
    return (uint32_t)__builtin_popcountll(set);
}

static uint64_t members_of(const struct simatlas_group *group)
{
    return group->voters | group->outgoing | group->learners;
}

/* May so many members be damaged under these voters? */
static bool half_bears(uint64_t voters, uint64_t damaged)
{
    return voters == 0 || set_size(damaged) <= (set_size(voters) - 1) / 2;
}

/* Rules 1 and 2, for what is damaged in one stripe. */
static bool group_bears(const struct simatlas_group *group, uint64_t damaged)
{
    uint64_t members = damaged & members_of(group);
    bool is_in_sync_left = group->witnesses == 0 || (group->in_sync & ~damaged) != 0;

    return members == 0 || (half_bears(group->voters, members) &&
                            half_bears(group->outgoing, members) && is_in_sync_left);
}

/* The replicas that are damaged in this stripe; SIMATLAS_WHOLE: those that are so in all of them.
 */
static uint64_t damaged_in(const struct simatlas *atlas, uint64_t stripe)
{
    uint64_t damaged = 0;

    for (size_t i = 0; i < atlas->strike_count; i++) {
        const struct simatlas_strike *strike = &atlas->strikes[i];
        if (strike->stripe == SIMATLAS_WHOLE || strike->stripe == stripe) {
            damaged |= bit_of(strike->replica);
        }
    }
    return damaged;
}

/* Rules 1 and 2 in every stripe, were `more` damaged in `stripe` as well. */
static bool all_stripes_bear(const struct simatlas *atlas, uint64_t more, uint64_t stripe)
{
    if (!group_bears(&atlas->group, damaged_in(atlas, stripe) | more)) {
        return false;
    }
    for (size_t i = 0; i < atlas->strike_count; i++) {
        uint64_t at = atlas->strikes[i].stripe;
        uint64_t here = stripe == SIMATLAS_WHOLE || stripe == at ? more : 0;
        if (!group_bears(&atlas->group, damaged_in(atlas, at) | here)) {
            return false;
        }
    }
    return true;
}

/* Is there no majority of these voters with `replica`, but without another one of the in-sync set?
 */
static bool half_refuses(const struct simatlas_group *group, uint64_t voters, uint64_t replica)
{
    uint64_t granting = voters & ~(group->in_sync & ~replica);

    return (group->in_sync & voters & replica) == 0 || set_size(granting) <= set_size(voters) / 2;
}

/* Rule 3. */
static bool may_be_silent(const struct simatlas *atlas, uint64_t replica)
{
    const struct simatlas_group *group = &atlas->group;
    uint64_t others = (group->voters | group->outgoing) & ~replica;
    uint64_t damaged = simatlas_damaged(atlas) & members_of(group) & ~replica;

    bool is_refused = group->witnesses == 0 || (half_refuses(group, group->voters, replica) &&
                                                half_refuses(group, group->outgoing, replica));

    return damaged == 0 && (others & ~group->current) == 0 && is_refused;
}

void simatlas_init(struct simatlas *atlas, const struct simatlas_group *group)
{
    memset(atlas, 0, sizeof *atlas);
    atlas->group = *group;
    atlas->has_held = true;
}

void simatlas_set_group(struct simatlas *atlas, const struct simatlas_group *group)
{
    atlas->group = *group;
    atlas->has_held &= simatlas_is_within(atlas);
}

const char *simatlas_kind_name(enum simatlas_kind kind)
{
    CHECK(kind < SIMATLAS_KINDS);
    return kinds[kind].name;
}

static uint64_t stripe_of(enum simatlas_kind kind, uint64_t stripe)
{
    CHECK(kind < SIMATLAS_KINDS);
    return kinds[kind].reach == SIMATLAS_CONFINED ? stripe : SIMATLAS_WHOLE;
}

bool simatlas_is_silent(enum simatlas_kind kind)
{
    return kinds[kind].notice == SIMATLAS_LOSES_SILENTLY;
}

bool simatlas_may(const struct simatlas *atlas, uint32_t replica, enum simatlas_kind kind,
                  uint64_t stripe)
{
    uint64_t bit = bit_of(replica);

    stripe = stripe_of(kind, stripe);
    if (atlas->strike_count == SIMATLAS_STRIKES_MAX) {
        return false;
    }
    if ((bit & members_of(&atlas->group)) == 0) {
        return !simatlas_is_silent(kind);
    }
    return all_stripes_bear(atlas, bit, stripe) &&
           (!simatlas_is_silent(kind) || may_be_silent(atlas, bit));
}

void simatlas_struck(struct simatlas *atlas, uint32_t replica, enum simatlas_kind kind,
                     uint64_t stripe)
{
    CHECK(atlas->strike_count < SIMATLAS_STRIKES_MAX);
    atlas->has_held &= simatlas_may(atlas, replica, kind, stripe);
    atlas->strikes[atlas->strike_count++] =
        (struct simatlas_strike){replica, kind, stripe_of(kind, stripe)};
}

void simatlas_healed(struct simatlas *atlas, uint32_t replica)
{
    size_t kept = 0;

    for (size_t i = 0; i < atlas->strike_count; i++) {
        if (atlas->strikes[i].replica != replica) {
            atlas->strikes[kept++] = atlas->strikes[i];
        }
    }
    atlas->strike_count = kept;
}

uint64_t simatlas_damaged(const struct simatlas *atlas)
{
    uint64_t damaged = 0;

    for (size_t i = 0; i < atlas->strike_count; i++) {
        damaged |= bit_of(atlas->strikes[i].replica);
    }
    return damaged;
}

bool simatlas_is_within(const struct simatlas *atlas)
{
    return all_stripes_bear(atlas, 0, SIMATLAS_WHOLE);
}

bool simatlas_has_held(const struct simatlas *atlas)
{
    return atlas->has_held;
}
