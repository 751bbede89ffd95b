#include <string.h>

#include "core/base/check.h"
#include "core/monitoring/health/swim_int.h"

#define SWIM_LONELY_INTERVAL NANOS_PER_S

void swim_send_state(struct swim *s, enum swim_send_how how, node_id to,
                     const struct world_endpoint *at, uint64_t stream, uint8_t flags,
                     struct swim_update *u)
{
    struct swim_message state = {.type = SWIM_STATE, .flags = flags};

    swim_text_begin(s);
    swim_text_put(s, &state);
    for (uint32_t i = 0; i < s->n_members; i++) {
        struct swim_message m;

        if (s->text.len > SWIM_STREAM_MAX_BYTES - 1024) {
            break;
        }
        swim_describe(s, i, &m);
        swim_message_encode(&s->text, &m);
    }
    swim_text_send_bare(s, how, to, at, stream, u);
}

void swim_send_greeting(struct swim *s, uint32_t to, uint64_t stream, struct swim_update *u)
{
    const struct swim_member *m = &s->members[to];
    struct swim_message said = {
        .type = SWIM_DEAD_OF,
        .id = m->id,
        .incarnation = m->incarnation,
        .by = m->state == SWIM_LEFT ? m->id : s->config.self,
    };
    struct swim_message self;

    swim_text_begin(s);
    if (m->state != SWIM_ALIVE) {
        swim_text_put(s, &said);
    }
    swim_describe(s, 0, &self);
    swim_text_put(s, &self);
    if (stream != 0) {
        swim_text_send_bare(s, SWIM_SEND_REPLY, m->id, NULL, stream, u);
    } else {
        swim_text_send(s, to, u);
    }
}

/* With observers, one who is left alone has nobody else to ask, and asks often. */
static nanos swim_heal_span(const struct swim *s)
{
    bool is_alone = s->config.rings > 0 && s->n_live == 1;

    return is_alone ? u64_min(SWIM_LONELY_INTERVAL, s->config.heal_interval)
                    : s->config.heal_interval;
}

/* One who is dead or gone, at random: it may live again, or may have lived all the time behind a
 * partition. It gets a probe, and what we hold of it; if it lives, it contradicts. */
static void swim_heal(struct swim *s, struct swim_update *u)
{
    uint32_t start = (uint32_t)prng_below(&s->prng, s->n_members);

    for (uint32_t i = 0; i < s->n_members; i++) {
        uint32_t at = (start + i) % s->n_members;
        const struct swim_member *m = &s->members[at];

        if (!swim_is_live(m) && at != 0 && m->at.port != 0) {
            swim_send_greeting(s, at, 0, u);
            swim_text_stream(s, at, true, u);
            swim_watch_dead(s, at, u);
            return;
        }
    }
}

void swim_sync_tick(struct swim *s, struct swim_update *u)
{
    uint32_t to = 0;

    if (s->heal_at <= s->now) {
        s->heal_at = s->now + swim_heal_span(s);
        if (s->n_live < s->n_members) {
            swim_heal(s, u);
        }
    }
    if (s->sync_at <= s->now) {
        s->sync_at = s->now + (s->config.digest_sync ? s->config.sync_interval
                                                     : swim_sync_span(&s->config, s->n_live));
        if (swim_pick(s, 1, 0, &to) == 1 && s->config.digest_sync &&
            !swim_streams_to(s, s->members[to].id)) {
            swim_digest_send(s, to, u);
        } else if (to != 0) {
            swim_send_state(s, SWIM_SEND_STREAM, s->members[to].id, &s->members[to].at, 0,
                            SWIM_FLAG_REPLY, u);
        }
    }
}
