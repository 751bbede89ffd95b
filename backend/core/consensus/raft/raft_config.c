/* The configuration: presets, bounds, and whether the numbers fit each other. */
#include <string.h>

#include "core/consensus/raft/raft.h"
#include "core/consensus/raft/raft_int.h"

struct raft_config raft_config_default(node_id id, uint64_t seed)
{
    struct raft_config c;
    memset(&c, 0, sizeof(c));
    c.id = id;
    c.seed = seed;
    c.removal = RAFT_REMOVAL_HAND_OVER;
#define RAFT_CONFIG_PRESET(key, type, unit, preset, lo, hi, doc) c.key = preset;
    RAFT_CONFIG_TABLE(RAFT_CONFIG_PRESET)
#undef RAFT_CONFIG_PRESET
    return c;
}

struct raft_config raft_config_stretch(node_id id, uint64_t seed)
{
    struct raft_config c = raft_config_default(id, seed);
    /* 50 ms apart is 100 ms for a round trip: an election needs two, and must fit the timeout's
     * spread several times. */
    c.election_timeout = 3 * NANOS_PER_S;
    c.heartbeat_interval = 300 * NANOS_PER_MS;
    c.stall_timeout = 3 * NANOS_PER_S;
    c.reset_campaign_delay = 400 * NANOS_PER_MS;
    /* A window of bandwidth times delay: 100 ms at 10 Gbit/s is 125 MB. */
    c.max_inflight_bytes = 128 * 1024 * 1024;
    c.max_cached_bytes = 256 * 1024 * 1024;
    return c;
}

static bool config_is_outside(uint64_t value, uint64_t lo, uint64_t hi)
{
    return value < lo || value > hi;
}

static bool config_within_bounds(const struct raft_config *c, const char **ret_why)
{
#define RAFT_CONFIG_BOUND(key, type, unit, preset, lo, hi, doc)                                    \
    if (config_is_outside((uint64_t)c->key, (uint64_t)(lo), (uint64_t)(hi))) {                     \
        *ret_why = #key " is outside its bounds";                                                  \
        return false;                                                                              \
    }
    RAFT_CONFIG_TABLE(RAFT_CONFIG_BOUND)
#undef RAFT_CONFIG_BOUND
    return true;
}

enum err raft_config_check(const struct raft_config *c, const char **ret_why)
{
    if (!config_within_bounds(c, ret_why)) {
        return ERR_INVALID;
    }
    const struct {
        bool holds;
        const char *why;
    } relations[] = {
        {c->id != NODE_NONE, "id must not be 0"},
        {c->heartbeat_interval < c->election_timeout,
         "heartbeat_interval must be shorter than election_timeout"},
        {!c->lease_reads || c->check_quorum, "lease_reads needs check_quorum"},
        {c->stall_timeout <= c->election_timeout,
         "stall_timeout must not exceed election_timeout: a stalled leader must go within two"},
        {c->max_inflight_bytes == 0 || c->max_inflight_bytes >= c->max_append_bytes,
         "max_inflight_bytes must hold one append of max_append_bytes"},
        {c->max_cached_bytes / 4 >= c->max_append_bytes,
         "max_cached_bytes must hold four appends of max_append_bytes"},
        {c->max_uncommitted_bytes <= c->max_cached_bytes,
         "max_uncommitted_bytes must not exceed max_cached_bytes"},
    };
    for (size_t i = 0; i < COUNT_OF(relations); i++) {
        if (!relations[i].holds) {
            *ret_why = relations[i].why;
            return ERR_INVALID;
        }
    }
    return OK;
}
