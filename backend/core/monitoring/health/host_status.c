#include "core/monitoring/health/host_status.h"

#include "core/base/check.h"
#include "core/base/cursor.h"
#include "core/monitoring/health/gray.h"

#include <string.h>

/* A count stands for itself up to here, and a measure likewise, either way. */
#define COUNT_MAX   UINT32_C(0xFFFF)
#define MEASURE_MAX ((INT64_C(1) << 33) - 1)

/* Their bytes, and those of a time, as varints. */
#define COUNT_BYTES 3
#define WORD_BYTES  5

#define RUNG_BYTES (1 + WORD_BYTES + 2 * COUNT_BYTES + WORD_BYTES)
#define PEER_BYTES (8 + 1 + WORD_BYTES + 1 + 1)

/* Of the network a host does not tell: that is for others to judge. */
_Static_assert(HOST_NAME_MAX_BYTES + 2 + (RUNGS - 1) * RUNG_BYTES + 1 +
                       HOST_STATUS_PEERS_MAX * PEER_BYTES <=
                   SWIM_META_MAX_BYTES,
               "a status fits metadata");

static uint64_t measure_fold(int64_t v)
{
    return v < 0 ? ((uint64_t)(-(v + 1)) << 1) + 1 : (uint64_t)v << 1;
}

static int64_t measure_unfold(uint64_t v)
{
    return (v & 1) != 0 ? -(int64_t)(v >> 1) - 1 : (int64_t)(v >> 1);
}

static int64_t clamp_measure(int64_t v)
{
    return v > MEASURE_MAX ? MEASURE_MAX : v < -MEASURE_MAX ? -MEASURE_MAX : v;
}

/* --- Writing -------------------------------------------------------------------------------------
 */

static void put_told_rung(struct buf *b, enum rung rung, const struct host_told_rung *told)
{
    buf_put_u8(b, (uint8_t)((uint32_t)rung * 4 + (uint32_t)told->state));
    buf_put_varint(b, told->since);
    buf_put_varint(b, u64_min(told->bad, COUNT_MAX));
    buf_put_varint(b, u64_min(told->asked, COUNT_MAX));
    buf_put_varint(b, measure_fold(clamp_measure(told->measure)));
}

static void put_told_peer(struct buf *b, const struct host_told_peer *told)
{
    buf_put_u64(b, told->id);
    buf_put_u8(b, told->symptoms);
    buf_put_varint(b, told->since);
    buf_put_u8(b, told->loss_percent);
    buf_put_u8(b, told->slower);
}

void host_status_encode(struct buf *b, const struct host_status *status)
{
    size_t before = b->len;
    uint32_t rungs = 0;

    CHECK(status->n_peers <= HOST_STATUS_PEERS_MAX);
    for (enum rung i = 0; i < RUNGS; i++) {
        rungs += i != RUNG_NETWORK && status->rungs[i].state != RUNG_UNKNOWN ? 1 : 0;
    }
    buf_put(b, status->name, strnlen(status->name, sizeof status->name - 1));
    buf_put_u8(b, 0);
    buf_put_u8(b, HOST_STATUS_VERSION);
    buf_put_u8(b, (uint8_t)rungs);
    for (enum rung i = 0; i < RUNGS; i++) {
        if (i != RUNG_NETWORK && status->rungs[i].state != RUNG_UNKNOWN) {
            put_told_rung(b, i, &status->rungs[i]);
        }
    }
    buf_put_u8(b, (uint8_t)status->n_peers);
    for (uint32_t i = 0; i < status->n_peers; i++) {
        put_told_peer(b, &status->peers[i]);
    }
    CHECK(b->len - before <= SWIM_META_MAX_BYTES);
}

/* --- Reading -------------------------------------------------------------------------------------
 */

static uint32_t take_word(struct cursor *c, uint64_t max)
{
    uint64_t v = cursor_varint(c);

    if (v > max) {
        c->failed = true;
        return 0;
    }
    return (uint32_t)v;
}

static void take_told_rung(struct cursor *c, struct host_status *status)
{
    uint8_t which = cursor_u8(c);
    struct host_told_rung told = {.state = (enum rung_state)(which & 3)};

    told.since = take_word(c, UINT32_MAX);
    told.bad = take_word(c, COUNT_MAX);
    told.asked = take_word(c, COUNT_MAX);
    told.measure = clamp_measure(measure_unfold(cursor_varint(c)));
    if (which / 4 < RUNGS && which / 4 != RUNG_NETWORK) {
        status->rungs[which / 4] = told;
    }
}

static void take_told_peer(struct cursor *c, struct host_told_peer *told)
{
    told->id = cursor_u64(c);
    told->symptoms = cursor_u8(c) & ((1U << GRAY_SYMPTOMS) - 1);
    told->since = take_word(c, UINT32_MAX);
    told->loss_percent = cursor_u8(c);
    told->slower = cursor_u8(c);
    c->failed |= told->id == NODE_NONE || told->loss_percent > 100;
}

/* False: it is no status, or one of another version. */
static bool take_told(struct cursor *c, struct host_status *status)
{
    uint8_t n = 0;

    if (cursor_u8(c) != HOST_STATUS_VERSION) {
        return false;
    }
    n = cursor_u8(c);
    for (uint8_t i = 0; i < n && cursor_ok(c); i++) {
        take_told_rung(c, status);
    }
    status->n_peers = cursor_u8(c);
    if (status->n_peers > HOST_STATUS_PEERS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < status->n_peers; i++) {
        take_told_peer(c, &status->peers[i]);
    }
    return cursor_done(c);
}

void host_status_decode(struct bytes meta, struct host_status *ret)
{
    const uint8_t *zero = meta.len > 0 ? memchr(meta.data, 0, meta.len) : NULL;
    size_t name = zero != NULL ? (size_t)(zero - meta.data) : meta.len;
    struct cursor c;

    memset(ret, 0, sizeof *ret);
    if (zero != NULL) {
        cursor_init(&c, (struct bytes){zero + 1, meta.len - name - 1});
        ret->is_told = take_told(&c, ret);
        if (!ret->is_told) {
            memset(ret, 0, sizeof *ret);
        }
    }
    name = u64_min(name, sizeof ret->name - 1);
    if (name > 0) {
        memcpy(ret->name, meta.data, name);
    }
}
