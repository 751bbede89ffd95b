/*
 * host_status: what a host tells all others of itself: its name, how its own rungs are, and which
 * of its neighbours it sees badly. It travels as the member's metadata (swim.h), so it reaches
 * every member, also those that join later; and it is told anew only when something has changed.
 *
 *     name     text, up to the first zero byte; a member of an earlier release has nothing else
 *     0        u8
 *     version  u8: HOST_STATUS_VERSION; of another one the rest is not looked at
 *     rungs    u8, and so many times:
 *                which and how   u8: 4 * enum rung + enum rung_state
 *                since           varint, seconds of the Unix epoch on its own wall clock
 *                bad, asked      varints: probes or the like that speak against it, of so many
 *                measure         varint, zigzag: see below
 *     peers    u8, and so many times:
 *                id              u64
 *                symptoms        u8: bit i: enum gray_symptom i
 *                since           varint, as above
 *                loss            u8, per cent of requests
 *                slower          u8, so many times slower than usual, at worst
 *
 * Integers are little-endian (buf.h). A rung of a number that is not known here is skipped, so
 * numbers of rungs are never given away anew. Whoever tells lies only of itself, or of how it sees
 * others, and nobody is condemned for that (gray_map.h).
 *
 * Measures: of RUNG_STORAGE the last write, in microseconds; of RUNG_CLOCK by how much the others'
 * clocks are ahead, in milliseconds; of RUNG_DAEMON its longest stall of late, in milliseconds.
 */
#ifndef NOVACRON_HEALTH_HOST_STATUS_H
#define NOVACRON_HEALTH_HOST_STATUS_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/types.h"
#include "core/monitoring/health/host_score.h"
#include "core/monitoring/health/swim.h"

#define HOST_STATUS_VERSION 1

/* Neighbours of which it tells at most. Who sees more than these badly has a view that is bad. */
#define HOST_STATUS_PEERS_MAX 6

/* With its final zero. */
#define HOST_NAME_MAX_BYTES WORLD_HOST_MAX_BYTES

struct host_told_rung {
    enum rung_state state; /* RUNG_UNKNOWN: it says nothing of it */
    uint32_t since;
    uint32_t bad;
    uint32_t asked;
    int64_t measure;
};

struct host_told_peer {
    node_id id;
    uint8_t symptoms;
    uint32_t since;
    uint8_t loss_percent;
    uint8_t slower;
};

struct host_status {
    char name[HOST_NAME_MAX_BYTES];
    bool is_told; /* false: only the name is */
    struct host_told_rung rungs[RUNGS];
    uint32_t n_peers;
    struct host_told_peer peers[HOST_STATUS_PEERS_MAX];
};

/* At most SWIM_META_MAX_BYTES, which fits whatever the status says. */
void host_status_encode(struct buf *b, const struct host_status *status);

/* Never fails: what makes no sense is not told. */
void host_status_decode(struct bytes meta, struct host_status *ret);

#endif
