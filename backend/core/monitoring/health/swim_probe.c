#include <string.h>

#include "core/base/check.h"
#include "core/monitoring/health/swim_int.h"

/* A helper says that it tried when this much of the timeout has passed [Dadgar17 §IV.A]. */
#define SWIM_NACK_PERCENT 80

void swim_awareness_add(struct swim *s, int32_t delta)
{
    int64_t score = (int64_t)s->awareness + delta;

    if (s->config.awareness_max == 0 || score < 0) {
        score = 0;
    } else if (score >= s->config.awareness_max) {
        score = (int64_t)s->config.awareness_max - 1;
    }
    s->awareness = (uint32_t)score;
}

uint32_t swim_next_sequence(struct swim *s)
{
    s->sequence++;
    if (s->sequence == 0) {
        s->sequence = 1;
    }
    return s->sequence;
}

static void swim_probe_judge(struct swim *s, struct swim_update *u)
{
    struct swim_probe *p = &s->probe;
    uint32_t at = p->sequence == 0 ? SWIM_NOBODY : swim_index(s, p->target);
    bool failed = at != SWIM_NOBODY && !p->acked;

    p->sequence = 0;
    if (!failed) {
        return;
    }
    s->counters[SWIM_PROBES_FAILED]++;
    /* Helpers who do not even say that they tried cast doubt on us. */
    if (s->config.nack && p->nacks_expected > 0) {
        swim_awareness_add(s, (int32_t)(p->nacks_expected - p->nacks));
    } else {
        swim_awareness_add(s, 1);
    }
    if (swim_is_live(&s->members[at])) {
        swim_hear_suspect(s, p->target, s->members[at].incarnation, s->config.self, u);
    }
}

static void swim_ping(struct swim *s, uint32_t at, uint32_t sequence, struct swim_update *u)
{
    const struct swim_member *m = &s->members[at];
    struct swim_message ping = {.type = SWIM_PING, .sequence = sequence, .id = m->id};

    swim_text_begin(s);
    swim_text_put(s, &ping);
    if (s->config.buddy && m->state == SWIM_SUSPECT && m->place != 0) {
        struct swim_message suspicion = {
            .type = SWIM_SUSPECT_OF,
            .id = m->id,
            .incarnation = m->incarnation,
            .by = s->suspicions[m->place - 1].accusers[0],
        };

        swim_text_put(s, &suspicion);
    }
    swim_text_send(s, at, u);
}

static void swim_probe_begin(struct swim *s, struct swim_update *u)
{
    uint32_t at = swim_next_in_order(s);
    uint32_t stretch = s->awareness + 1;
    nanos interval = s->config.probe_interval * stretch;
    nanos timeout = s->config.probe_timeout * (s->config.scale_timeout ? stretch : 1);

    s->probe_at = s->now + interval;
    if (at == SWIM_NOBODY) {
        return;
    }
    s->probe = (struct swim_probe){
        .sequence = swim_next_sequence(s),
        .target = s->members[at].id,
        .ask_helpers_at = s->now + timeout,
        .deadline = s->now + interval,
    };
    s->counters[SWIM_PROBES]++;
    swim_ping(s, at, s->probe.sequence, u);
}

/* The direct probe was in vain: others try, and so does a stream. */
static void swim_probe_ask_helpers(struct swim *s, struct swim_update *u)
{
    uint32_t target = swim_index(s, s->probe.target);
    uint32_t helpers[8];
    uint32_t n = 0;
    struct swim_message request = {
        .type = SWIM_PING_REQ,
        .sequence = s->probe.sequence,
        .id = s->probe.target,
        .flags = s->config.nack ? SWIM_FLAG_NACK : 0,
    };

    s->probe.ask_helpers_at = NANOS_FOREVER;
    if (target == SWIM_NOBODY || !swim_is_live(&s->members[target])) {
        return;
    }
    n = swim_pick(s, (uint32_t)u64_min(s->config.indirect_probes, COUNT_OF(helpers)), target,
                  helpers);
    for (uint32_t i = 0; i < n; i++) {
        swim_text_begin(s);
        swim_text_put(s, &request);
        swim_text_send(s, helpers[i], u);
    }
    s->probe.nacks_expected = s->config.nack ? n : 0;
    if (s->config.stream_fallback) {
        request.type = SWIM_PING;
        request.flags = 0;
        swim_text_begin(s);
        swim_text_put(s, &request);
        swim_text_send_bare(s, SWIM_SEND_STREAM, s->probe.target, &s->members[target].at, 0, u);
    }
}

static void swim_relays_tick(struct swim *s, struct swim_update *u)
{
    for (size_t i = 0; i < s->n_relays; i++) {
        struct swim_relay *relay = &s->relays[i];

        if (relay->nack_at <= s->now) {
            uint32_t asker = swim_index(s, relay->asker);

            relay->nack_at = NANOS_FOREVER;
            if (asker != SWIM_NOBODY) {
                struct swim_message nack = {.type = SWIM_NACK, .sequence = relay->asked};

                swim_text_begin(s);
                swim_text_put(s, &nack);
                swim_text_send(s, asker, u);
            }
        }
        if (relay->deadline <= s->now) {
            *relay = s->relays[--s->n_relays];
            i--;
        }
    }
}

void swim_probe_tick(struct swim *s, struct swim_update *u)
{
    swim_relays_tick(s, u);
    if (s->probe.sequence != 0 && !s->probe.acked && s->probe.ask_helpers_at <= s->now) {
        swim_probe_ask_helpers(s, u);
    }
    if (s->probe_at <= s->now) {
        swim_probe_judge(s, u);
        swim_probe_begin(s, u);
    }
}

nanos swim_probe_due(const struct swim *s)
{
    nanos due = s->probe_at;

    if (s->probe.sequence != 0 && !s->probe.acked) {
        due = u64_min(due, s->probe.ask_helpers_at);
    }
    for (size_t i = 0; i < s->n_relays; i++) {
        due = u64_min(due, u64_min(s->relays[i].nack_at, s->relays[i].deadline));
    }
    return due;
}

void swim_hear_ping(struct swim *s, node_id from, const struct world_endpoint *at, uint64_t stream,
                    const struct swim_message *m, struct swim_update *u)
{
    struct swim_message ack = {.type = SWIM_ACK, .sequence = m->sequence};
    uint32_t known = swim_index(s, from);

    /* Meant for somebody who had our address before. */
    if (m->id != s->config.self) {
        return;
    }
    swim_text_begin(s);
    swim_text_put(s, &ack);
    if (stream != 0) {
        swim_text_send_bare(s, SWIM_SEND_REPLY, from, NULL, stream, u);
    } else if (known != SWIM_NOBODY) {
        swim_text_send(s, known, u);
    } else {
        /* It may have joined just now. The answer is no longer than the question. */
        swim_text_send_bare(s, SWIM_SEND_DATAGRAM, from, at, 0, u);
    }
}

void swim_hear_ping_req(struct swim *s, uint32_t from, const struct swim_message *m,
                        struct swim_update *u)
{
    uint32_t target = swim_index(s, m->id);
    struct swim_relay *relay = NULL;

    if (target == SWIM_NOBODY || target == 0 || s->n_relays == SWIM_RELAYS_MAX) {
        return;
    }
    relay = &s->relays[s->n_relays++];
    *relay = (struct swim_relay){
        .sequence = swim_next_sequence(s),
        .asked = m->sequence,
        .asker = s->members[from].id,
        .nack_at = NANOS_FOREVER,
        .deadline = s->now + s->config.probe_interval,
    };
    if ((m->flags & SWIM_FLAG_NACK) != 0) {
        relay->nack_at = s->now + s->config.probe_timeout * SWIM_NACK_PERCENT / 100;
    }
    swim_ping(s, target, relay->sequence, u);
}

void swim_hear_ack(struct swim *s, uint32_t from, bool by_stream, const struct swim_message *m,
                   struct swim_update *u)
{
    struct swim_probe *p = &s->probe;

    if (swim_watch_ack(s, from, m->sequence, by_stream, u)) {
        return;
    }
    if (p->sequence != 0 && m->sequence == p->sequence && !p->acked && s->now <= p->deadline) {
        p->acked = true;
        swim_awareness_add(s, -1);
        return;
    }
    for (size_t i = 0; i < s->n_relays; i++) {
        struct swim_relay *relay = &s->relays[i];

        if (relay->sequence == m->sequence) {
            struct swim_message ack = {.type = SWIM_ACK, .sequence = relay->asked};
            uint32_t asker = swim_index(s, relay->asker);

            *relay = s->relays[--s->n_relays];
            if (asker != SWIM_NOBODY) {
                swim_text_begin(s);
                swim_text_put(s, &ack);
                swim_text_send(s, asker, u);
            }
            return;
        }
    }
}

void swim_hear_nack(struct swim *s, const struct swim_message *m)
{
    if (s->probe.sequence != 0 && m->sequence == s->probe.sequence &&
        s->probe.nacks < s->probe.nacks_expected) {
        s->probe.nacks++;
    }
}
