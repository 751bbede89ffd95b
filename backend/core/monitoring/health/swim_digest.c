/*
 * Differences between two tables, found by digests: what rumors did not carry, this does.
 *
 *     A to B: SYNC, a hash of all that A holds. Equal: that is all.
 *     B to A: BUCKETS, a hash for each part of the members
 *     A to B: what A holds of the parts that differ, and its own BUCKETS, as the answer
 *     B to A: what B holds of them
 *
 * A statement that is no news changes nothing, so it does not matter what is lost or comes twice.
 * Tables differ for a while after each change, while rumors are about; nobody asks then.
 */
#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/le.h"
#include "core/monitoring/health/swim_int.h"

/* Members in one bucket, where there are buckets enough. */
#define SWIM_BUCKET_MEMBERS 8

/* Datagrams with members in one answer. The next exchange goes on. */
#define SWIM_SYNC_DATAGRAMS 4

/* Who joins compares with somebody so often, for so long. Nothing tells when it is complete, but
 * that nobody answers any more. */
#define SWIM_JOIN_INTERVAL (200 * NANOS_PER_MS)
#define SWIM_JOIN_SPAN     (3 * NANOS_PER_S)

/* For so long after a change rumors have the word. */
#define SWIM_SYNC_QUIET (3 * NANOS_PER_S)

/* What opens a text, and a BUCKETS without its hashes. */
#define SWIM_BUCKETS_HEAD_BYTES 32

_Static_assert(SWIM_BUCKETS_MAX * 4 + SWIM_BUCKETS_HEAD_BYTES <= SWIM_TEXT_MAX_BYTES,
               "buckets fit a datagram");

static uint64_t swim_member_digest(const struct swim_member *m)
{
    uint64_t state = m->state == SWIM_SUSPECT ? SWIM_ALIVE : m->state;

    return hash_u64(hash_u64(m->id, m->incarnation), state);
}

static uint32_t swim_bucket_of(node_id id, uint32_t buckets)
{
    return (uint32_t)(hash_u64(UINT64_C(0x6275636b65747321), id) & (buckets - 1));
}

static uint32_t swim_bucket_count(const struct swim *s)
{
    uint32_t n = 16;

    while (n < SWIM_BUCKETS_MAX && n * SWIM_BUCKET_MEMBERS < s->n_members) {
        n *= 2;
    }
    return n;
}

static uint64_t swim_digest(const struct swim *s)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < s->n_members; i++) {
        sum += swim_member_digest(&s->members[i]);
    }
    return sum;
}

static void swim_buckets_fill(const struct swim *s, uint32_t n, uint32_t *buckets)
{
    for (uint32_t i = 0; i < n; i++) {
        buckets[i] = 0;
    }
    for (uint32_t i = 0; i < s->n_members; i++) {
        buckets[swim_bucket_of(s->members[i].id, n)] +=
            (uint32_t)swim_member_digest(&s->members[i]);
    }
}

void swim_digest_send(struct swim *s, uint32_t to, struct swim_update *u)
{
    struct swim_message m = {.type = SWIM_SYNC, .digest = swim_digest(s)};

    if (s->now < s->joining_until) {
        m.flags = SWIM_FLAG_JOIN;
        s->sync_at = s->now + SWIM_JOIN_INTERVAL;
    }
    swim_text_begin(s);
    swim_text_put(s, &m);
    swim_text_send(s, to, u);
}

void swim_join_send(struct swim *s, const struct world_endpoint *at, struct swim_update *u)
{
    struct swim_message sync = {
        .type = SWIM_SYNC, .flags = SWIM_FLAG_JOIN, .digest = swim_digest(s)};
    struct swim_message self;

    s->joining_until = s->now + SWIM_JOIN_SPAN;
    s->sync_at = u64_min(s->sync_at, s->now + SWIM_JOIN_INTERVAL);
    swim_describe(s, 0, &self);
    swim_text_begin(s);
    swim_text_put(s, &self);
    swim_text_put(s, &sync);
    swim_text_send_bare(s, SWIM_SEND_DATAGRAM, NODE_NONE, at, 0, u);
}

static void swim_buckets_send(struct swim *s, uint32_t to, uint32_t n, uint8_t flags,
                              bool introduces, struct swim_update *u)
{
    struct swim_message m = {.type = SWIM_BUCKETS, .flags = flags, .n_buckets = n};
    uint32_t buckets[SWIM_BUCKETS_MAX];
    uint8_t bytes[SWIM_BUCKETS_MAX * 4];

    swim_buckets_fill(s, n, buckets);
    for (uint32_t i = 0; i < n; i++) {
        le32_store(bytes + (size_t)i * 4, buckets[i]);
    }
    m.buckets = (struct bytes){bytes, (size_t)n * 4};
    swim_text_begin(s);
    if (introduces) {
        struct swim_message self;

        swim_describe(s, 0, &self);
        swim_text_put(s, &self);
        if (s->text.len + SWIM_BUCKETS_HEAD_BYTES + m.buckets.len > SWIM_TEXT_MAX_BYTES) {
            /* Of a large cluster and long names: one after the other. */
            swim_text_send_bare(s, SWIM_SEND_DATAGRAM, s->members[to].id, &s->members[to].at, 0, u);
            swim_text_begin(s);
        }
    }
    swim_text_put(s, &m);
    swim_text_send_bare(s, SWIM_SEND_DATAGRAM, s->members[to].id, &s->members[to].at, 0, u);
}

void swim_hear_sync(struct swim *s, uint32_t from, const struct swim_message *m,
                    struct swim_update *u)
{
    /* Where changes never end, one exchange in four is held all the same. */
    bool joins = (m->flags & SWIM_FLAG_JOIN) != 0;
    bool is_time =
        joins || s->changed_at + SWIM_SYNC_QUIET <= s->now || prng_chance(&s->prng, 1, 4);

    if (s->config.digest_sync && is_time && m->digest != swim_digest(s)) {
        swim_buckets_send(s, from, swim_bucket_count(s), 0, joins, u);
    }
}

/* Sends the members of the buckets that differ, from a random one on, so that what did not fit has
 * its turn another time. */
static void swim_send_difference(struct swim *s, uint32_t to, const struct swim_message *theirs,
                                 const uint32_t *ours, struct swim_update *u)
{
    uint32_t start = (uint32_t)prng_below(&s->prng, s->n_members);
    uint32_t datagrams = 0;
    bool is_empty = true;

    swim_text_begin(s);
    for (uint32_t i = 0; i < s->n_members && datagrams < SWIM_SYNC_DATAGRAMS; i++) {
        uint32_t at = (start + i) % s->n_members;
        uint32_t bucket = swim_bucket_of(s->members[at].id, theirs->n_buckets);
        struct swim_message m;

        if (ours[bucket] == le32_load(theirs->buckets.data + (size_t)bucket * 4)) {
            continue;
        }
        if (s->text.len + SWIM_MESSAGE_MAX_BYTES > SWIM_TEXT_MAX_BYTES) {
            swim_text_send_bare(s, SWIM_SEND_DATAGRAM, s->members[to].id, &s->members[to].at, 0, u);
            swim_text_begin(s);
            datagrams++;
        }
        swim_describe(s, at, &m);
        swim_text_put(s, &m);
        is_empty = false;
    }
    if (!is_empty && datagrams < SWIM_SYNC_DATAGRAMS) {
        swim_text_send_bare(s, SWIM_SEND_DATAGRAM, s->members[to].id, &s->members[to].at, 0, u);
    }
}

void swim_hear_buckets(struct swim *s, uint32_t from, const struct swim_message *m,
                       struct swim_update *u)
{
    uint32_t ours[SWIM_BUCKETS_MAX];

    if (!s->config.digest_sync) {
        return;
    }
    if (s->now < s->joining_until) {
        s->sync_at = u64_min(s->sync_at, s->now + SWIM_JOIN_INTERVAL);
    }
    swim_buckets_fill(s, m->n_buckets, ours);
    swim_send_difference(s, from, m, ours, u);
    if ((m->flags & SWIM_FLAG_ANSWER) == 0) {
        swim_buckets_send(s, from, m->n_buckets, SWIM_FLAG_ANSWER, false, u);
    }
}
