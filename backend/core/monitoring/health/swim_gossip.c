#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/monitoring/health/swim_int.h"

/* How many rumors are looked at for one datagram: more do not fit. */
#define SWIM_RUMORS_A_DATAGRAM 64

#define SWIM_TRANSMITS_MIN 12

uint32_t swim_transmit_limit(const struct swim *s)
{
    uint32_t limit = s->config.retransmit_mult * swim_ceil_log10(s->n_live + 1);

    /* With observers there are few rumors, and whom one misses waits for a comparison of digests:
     * e^-12 of them. */
    return s->config.rings > 0 && limit < SWIM_TRANSMITS_MIN ? SWIM_TRANSMITS_MIN : limit;
}

static struct swim_rumor *swim_rumor_find(struct swim *s, uint32_t at)
{
    for (size_t i = 0; i < s->n_rumors; i++) {
        if (s->rumors[i].member == at) {
            return &s->rumors[i];
        }
    }
    return NULL;
}

void swim_rumor_put(struct swim *s, uint32_t at, node_id by)
{
    struct swim_rumor *rumor = swim_rumor_find(s, at);

    if (rumor == NULL) {
        mem_grow((void **)&s->rumors, &s->rumors_cap, s->n_rumors + 1, sizeof(*s->rumors));
        rumor = &s->rumors[s->n_rumors++];
    }
    *rumor = (struct swim_rumor){.member = at, .by = by, .sequence = s->rumor_sequence++};
    rumor->is_about_self = at == 0;
    if (s->gossip_at == NANOS_FOREVER) {
        s->gossip_at = s->now;
        if (s->config.rings == 0) {
            /* SWIM and memberlist gossip on ticks; how soon the next one comes is chance. */
            s->gossip_at += 1 + prng_below(&s->prng, s->config.gossip_interval);
        }
    }
}

void swim_rumor_drop(struct swim *s, uint32_t at)
{
    struct swim_rumor *rumor = swim_rumor_find(s, at);

    if (rumor != NULL) {
        *rumor = s->rumors[--s->n_rumors];
    }
}

/* What we say of ourselves comes first, since others may wait for it to take something back; then
 * what was told least often, then the latest. */
static bool swim_rumor_before(const struct swim_rumor *a, const struct swim_rumor *b)
{
    uint32_t a_rank = a->is_about_self ? a->transmits / 2U : a->transmits;
    uint32_t b_rank = b->is_about_self ? b->transmits / 2U : b->transmits;

    if (a_rank != b_rank) {
        return a_rank < b_rank;
    }
    return a->sequence > b->sequence;
}

static void swim_rumor_encode(struct swim *s, const struct swim_rumor *rumor)
{
    const struct swim_member *m = &s->members[rumor->member];
    struct swim_message message = {.id = m->id, .incarnation = m->incarnation, .by = rumor->by};

    switch ((enum swim_state)m->state) {
    case SWIM_ALIVE:
        swim_describe(s, rumor->member, &message);
        break;
    case SWIM_SUSPECT:
        if (s->config.rings > 0) {
            swim_describe(s, rumor->member, &message);
        } else {
            message.type = SWIM_SUSPECT_OF;
        }
        break;
    case SWIM_DEAD:
        message.type = SWIM_DEAD_OF;
        break;
    case SWIM_LEFT:
        message.type = SWIM_DEAD_OF;
        message.by = m->id;
        break;
    case SWIM_STATES:
        CHECK_UNREACHABLE("no such state");
    }
    swim_message_encode(&s->text, &message);
}

void swim_rumors_fill(struct swim *s, size_t max)
{
    uint32_t chosen[SWIM_RUMORS_A_DATAGRAM];
    size_t n = 0;
    uint32_t limit = swim_transmit_limit(s);

    for (uint32_t i = 0; i < s->n_rumors; i++) {
        size_t place = n < SWIM_RUMORS_A_DATAGRAM ? n++ : n;

        while (place > 0 && swim_rumor_before(&s->rumors[i], &s->rumors[chosen[place - 1]])) {
            if (place < SWIM_RUMORS_A_DATAGRAM) {
                chosen[place] = chosen[place - 1];
            }
            place--;
        }
        if (place < SWIM_RUMORS_A_DATAGRAM) {
            chosen[place] = i;
        }
    }
    for (size_t i = 0; i < n; i++) {
        size_t before = s->text.len;

        swim_rumor_encode(s, &s->rumors[chosen[i]]);
        if (s->text.len > max) {
            s->text.len = before;
            continue;
        }
        s->rumors[chosen[i]].transmits++;
    }
    for (size_t i = s->n_rumors; i > 0; i--) {
        if (s->rumors[i - 1].transmits >= limit) {
            s->rumors[i - 1] = s->rumors[--s->n_rumors];
        }
    }
}

void swim_gossip_tick(struct swim *s, struct swim_update *u)
{
    uint32_t to[8];
    uint32_t n = 0;

    if (s->now < s->gossip_at) {
        return;
    }
    if (s->n_rumors == 0) {
        s->gossip_at = NANOS_FOREVER;
        return;
    }
    s->gossip_at = s->now + s->config.gossip_interval;
    n = swim_pick(s, (uint32_t)u64_min(s->config.gossip_fanout, COUNT_OF(to)), 0, to);
    for (uint32_t i = 0; i < n && s->n_rumors > 0; i++) {
        swim_text_begin(s);
        swim_text_send(s, to[i], u);
    }
}
