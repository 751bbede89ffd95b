#include "core/monitoring/health/swim_wire.h"

#include <string.h>

/* Of a MEMBER's state. */
#define SWIM_STATE_BY_STREAM 0x80U

static void swim_put_string(struct buf *b, const void *data, size_t n)
{
    buf_put_bytes(b, (struct bytes){n > 0 ? data : NULL, n});
}

static size_t swim_site_length(const char site[SWIM_SITE_MAX_BYTES])
{
    size_t n = 0;

    while (n < SWIM_SITE_MAX_BYTES && site[n] != '\0') {
        n++;
    }
    return n;
}

static void swim_put_member(struct buf *b, const struct swim_message *m)
{
    buf_put_varint(b, m->id);
    buf_put_varint(b, m->incarnation);
    buf_put_u8(b, (uint8_t)(m->state | (m->by_stream ? SWIM_STATE_BY_STREAM : 0)));
    buf_put_u8(b, m->version);
    swim_put_string(b, m->site, swim_site_length(m->site));
    swim_put_string(b, m->at.host, strlen(m->at.host));
    buf_put_u16(b, m->at.port);
    buf_put_bytes(b, m->meta);
}

void swim_message_encode(struct buf *b, const struct swim_message *m)
{
    buf_put_u8(b, (uint8_t)m->type);
    switch (m->type) {
    case SWIM_PING:
    case SWIM_PING_REQ:
        buf_put_varint(b, m->sequence);
        buf_put_varint(b, m->id);
        buf_put_u8(b, m->flags);
        break;
    case SWIM_ACK:
    case SWIM_NACK:
        buf_put_varint(b, m->sequence);
        break;
    case SWIM_MEMBER:
        swim_put_member(b, m);
        break;
    case SWIM_SUSPECT_OF:
    case SWIM_DEAD_OF:
        buf_put_varint(b, m->id);
        buf_put_varint(b, m->incarnation);
        buf_put_varint(b, m->by);
        break;
    case SWIM_STATE:
        buf_put_u8(b, m->flags);
        break;
    case SWIM_BEAT:
        buf_put_varint(b, m->sequence);
        buf_put_varint(b, m->echo);
        buf_put_u8(b, (uint8_t)(m->received | m->flags));
        buf_put_varint(b, m->promise_ms);
        break;
    case SWIM_LOOK:
        buf_put_varint(b, m->sequence);
        buf_put_varint(b, m->id);
        buf_put_varint(b, m->incarnation);
        break;
    case SWIM_ACCUSE:
    case SWIM_REPORT:
        buf_put_varint(b, m->id);
        buf_put_varint(b, m->incarnation);
        buf_put_u8(b, m->flags);
        if (m->type == SWIM_REPORT) {
            buf_put_varint(b, m->age_ms);
        }
        break;
    case SWIM_SYNC:
        buf_put_u8(b, m->flags);
        buf_put_u64(b, m->digest);
        break;
    case SWIM_BUCKETS:
        buf_put_u8(b, m->flags);
        buf_put_u16(b, (uint16_t)m->n_buckets);
        buf_put(b, m->buckets.data, m->buckets.len);
        break;
    case SWIM_NOTE:
        buf_put_bytes(b, m->note);
        break;
    case SWIM_MESSAGE_TYPES:
        break;
    }
}

static uint32_t swim_take_sequence(struct cursor *c)
{
    uint64_t v = cursor_varint(c);

    if (v > UINT32_MAX) {
        c->failed = true;
    }
    return (uint32_t)v;
}

/* A string without a zero in it, which goes where one is appended or padded. */
static void swim_take_string(struct cursor *c, char *to, size_t max)
{
    struct bytes text = cursor_bytes(c, max);

    if (!cursor_ok(c) || (text.len > 0 && memchr(text.data, 0, text.len) != NULL)) {
        c->failed = true;
        return;
    }
    if (text.len > 0) {
        memcpy(to, text.data, text.len);
    }
}

static void swim_take_member(struct cursor *c, struct swim_message *m)
{
    m->id = cursor_varint(c);
    m->incarnation = cursor_varint(c);
    m->state = cursor_u8(c);
    m->by_stream = (m->state & SWIM_STATE_BY_STREAM) != 0;
    m->state &= SWIM_STATE_BY_STREAM - 1;
    m->version = cursor_u8(c);
    swim_take_string(c, m->site, SWIM_SITE_MAX_BYTES);
    swim_take_string(c, m->at.host, WORLD_HOST_MAX_BYTES - 1);
    m->at.port = cursor_u16(c);
    m->meta = cursor_bytes(c, SWIM_META_MAX_BYTES);
    if (m->id == NODE_NONE || m->state >= SWIM_STATES ||
        swim_instance_of(m->incarnation) > SWIM_INSTANCE_MAX) {
        c->failed = true;
    }
}

static void swim_take_buckets(struct cursor *c, struct swim_message *m)
{
    uint32_t n = 0;

    m->flags = cursor_u8(c);
    n = cursor_u16(c);
    if (n == 0 || n > SWIM_BUCKETS_MAX || (n & (n - 1)) != 0) {
        c->failed = true;
        return;
    }
    m->buckets = cursor_take(c, (size_t)n * 4);
    m->n_buckets = n;
}

enum err swim_message_decode(struct cursor *c, struct swim_message *ret)
{
    struct swim_message m = {.type = SWIM_MESSAGE_TYPES};
    uint8_t type = cursor_u8(c);

    if (type < SWIM_PING || type >= SWIM_MESSAGE_TYPES) {
        return cursor_ok(c) ? ERR_PROTOCOL : ERR_TRUNCATED;
    }
    m.type = (enum swim_message_type)type;
    switch (m.type) {
    case SWIM_PING:
    case SWIM_PING_REQ:
        m.sequence = swim_take_sequence(c);
        m.id = cursor_varint(c);
        m.flags = cursor_u8(c);
        break;
    case SWIM_ACK:
    case SWIM_NACK:
        m.sequence = swim_take_sequence(c);
        break;
    case SWIM_MEMBER:
        swim_take_member(c, &m);
        break;
    case SWIM_SUSPECT_OF:
    case SWIM_DEAD_OF:
        m.id = cursor_varint(c);
        m.incarnation = cursor_varint(c);
        m.by = cursor_varint(c);
        break;
    case SWIM_STATE:
        m.flags = cursor_u8(c);
        break;
    case SWIM_BEAT:
        m.sequence = swim_take_sequence(c);
        m.echo = swim_take_sequence(c);
        m.received = cursor_u8(c);
        m.flags = m.received & (SWIM_FLAG_BLOCKED | SWIM_FLAG_WANTED);
        m.received ^= m.flags;
        c->failed = c->failed || m.received > SWIM_BEATS_TOLD;
        m.promise_ms = swim_take_sequence(c);
        break;
    case SWIM_LOOK:
        m.sequence = swim_take_sequence(c);
        m.id = cursor_varint(c);
        m.incarnation = cursor_varint(c);
        break;
    case SWIM_ACCUSE:
    case SWIM_REPORT:
        m.id = cursor_varint(c);
        m.incarnation = cursor_varint(c);
        m.flags = cursor_u8(c);
        m.age_ms = m.type == SWIM_REPORT ? swim_take_sequence(c) : 0;
        break;
    case SWIM_SYNC:
        m.flags = cursor_u8(c);
        m.digest = cursor_u64(c);
        break;
    case SWIM_BUCKETS:
        swim_take_buckets(c, &m);
        break;
    case SWIM_NOTE:
        m.note = cursor_bytes(c, SWIM_NOTE_MAX_BYTES);
        break;
    case SWIM_MESSAGE_TYPES:
        break;
    }
    if (!cursor_ok(c)) {
        return ERR_TRUNCATED;
    }
    *ret = m;
    return OK;
}
