#include "core/monitoring/health/swim.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/monitoring/health/swim_int.h"

/* A deadline missed by so much is no matter of a busy loop any more. */
#define SWIM_STALL_SPAN (250 * NANOS_PER_MS)

/* memberlist's figures for a LAN, with the paper's alpha, so that our model of it can be held
 * against it. */
void swim_config_lifeguard(struct swim_config *config)
{
    config->members_max = SWIM_MEMBERS_MAX;
    config->probe_interval = NANOS_PER_S;
    config->probe_timeout = 500 * NANOS_PER_MS;
    config->indirect_probes = 3;
    config->suspicion_alpha = 5;
    config->suspicion_beta = 6;
    config->confirmations = 3;
    config->gossip_interval = 200 * NANOS_PER_MS;
    config->gossip_fanout = 3;
    config->retransmit_mult = 4;
    config->sync_interval = 30 * NANOS_PER_S;
    config->heal_interval = 10 * NANOS_PER_S;
    config->stream_fallback = true;
    config->awareness_max = 8;
    config->scale_timeout = true;
    config->nack = true;
    config->buddy = true;
    config->rings = 0;
    config->beat_spacing = 0;
    config->beat_spacing_small = 0;
    config->watch_margin = 0;
    config->check_timeout = 0;
    config->check_timeout_small = 0;
    config->digest_sync = false;
}

void swim_config_plain(struct swim_config *config)
{
    swim_config_lifeguard(config);
    config->suspicion_beta = 1;
    config->confirmations = 0;
    config->awareness_max = 0;
    config->scale_timeout = false;
    config->nack = false;
    config->buddy = false;
}

void swim_config_shipped(struct swim_config *config)
{
    swim_config_lifeguard(config);
    config->sync_interval = 10 * NANOS_PER_S;
    config->digest_sync = true;
    config->rings = 4;
    config->beat_spacing = 500 * NANOS_PER_MS;
    config->beat_spacing_small = 200 * NANOS_PER_MS;
    config->watch_margin = 400 * NANOS_PER_MS;
    config->check_timeout = NANOS_PER_S;
    config->check_timeout_small = 300 * NANOS_PER_MS;
}

static const char *const swim_state_names[SWIM_STATES] = {"alive", "suspect", "dead", "left"};

const char *swim_state_name(enum swim_state state)
{
    return (unsigned)state < SWIM_STATES ? swim_state_names[state] : "unknown";
}

static const char *const swim_change_names[SWIM_CHANGES] = {
    "joined",    "suspected", "refuted",   "died",         "left",
    "restarted", "updated",   "displaced", "streams-only", "datagrams-again",
};

const char *swim_change_name(enum swim_change_kind kind)
{
    return (unsigned)kind < SWIM_CHANGES ? swim_change_names[kind] : "unknown";
}

static void swim_init_self(struct swim *s)
{
    uint32_t at = swim_table_add(s, s->config.self);
    struct swim_member *self = &s->members[at];

    CHECK(at == 0);
    self->incarnation = s->config.instance << SWIM_REFUTATION_BITS;
    self->at = s->config.at;
    self->version = SWIM_VERSION_MAX;
    memcpy(self->site, s->config.site, sizeof(self->site));
    swim_table_set_state(s, 0, SWIM_ALIVE);
}

void swim_init(struct swim *s, const struct swim_config *config, const struct seal_cipher *cipher,
               const struct seal_ring *ring, nanos now)
{
    CHECK(config->self != NODE_NONE && config->members_max >= 2);
    CHECK(config->members_max <= SWIM_MEMBERS_MAX);
    CHECK(config->instance > 0 && config->instance <= SWIM_INSTANCE_MAX);
    CHECK(ring->n > 0);
    memset(s, 0, sizeof(*s));
    s->config = *config;
    s->cipher = *cipher;
    s->ring = *ring;
    s->sender = (struct seal_sender){.id = config->self, .instance = config->instance};
    s->now = now;
    prng_init(&s->prng, config->seed ^ config->self);
    buf_init(&s->text);
    swim_init_self(s);
    /* Each host begins somewhere in the intervals, or a cluster that starts together acts in step.
     */
    s->probe_at = now + prng_below(&s->prng, config->probe_interval);
    s->sync_at = now + prng_below(&s->prng, config->sync_interval);
    s->heal_at = now + prng_below(&s->prng, config->heal_interval);
    s->gossip_at = NANOS_FOREVER;
    s->leave_at = NANOS_FOREVER;
    s->rings_at = NANOS_FOREVER;
    s->due = NANOS_FOREVER;
    swim_rings_changed(s);
}

void swim_deinit(struct swim *s)
{
    for (uint32_t i = 0; i < s->n_members; i++) {
        mem_free(s->members[i].meta);
    }
    mem_free(s->members);
    mem_free(s->slots);
    mem_free(s->order);
    mem_free(s->suspicions);
    mem_free(s->rumors);
    mem_free(s->scratch);
    buf_deinit(&s->text);
}

const struct swim_member *swim_find(const struct swim *s, node_id id)
{
    uint32_t at = swim_index(s, id);

    return at == SWIM_NOBODY ? NULL : &s->members[at];
}

void swim_assume(struct swim *s, node_id id, uint64_t instance, const struct world_endpoint *at)
{
    uint32_t index = SWIM_NOBODY;

    if (id == s->config.self || swim_index(s, id) != SWIM_NOBODY) {
        return;
    }
    index = swim_table_add(s, id);
    if (index == SWIM_NOBODY) {
        return;
    }
    s->members[index].incarnation = instance << SWIM_REFUTATION_BITS;
    s->members[index].at = *at;
    s->members[index].version = SWIM_VERSION_MAX;
    swim_table_set_state(s, index, SWIM_ALIVE);
}

void swim_set_keys(struct swim *s, const struct seal_ring *ring)
{
    CHECK(ring->n > 0);
    s->ring = *ring;
}

/* --- What comes ----------------------------------------------------------------------------------
 */

/* What a sender may say depends on whether it is a member, and on the way that it comes. */
struct swim_arrival {
    node_id sender;
    uint32_t from; /* SWIM_NOBODY: no member */
    const struct world_endpoint *at;
    uint64_t stream;
    bool by_stream;
    uint32_t answers; /* that it may still cause */
};

static void swim_hear_state(struct swim *s, const struct swim_arrival *arrival,
                            const struct swim_message *m, struct swim_update *u)
{
    if (arrival->by_stream && (m->flags & SWIM_FLAG_REPLY) != 0 && arrival->stream != 0) {
        swim_send_state(s, SWIM_SEND_REPLY, arrival->sender, NULL, arrival->stream, 0, u);
    }
}

/* Until a sender is a member, all that it may do is introduce itself, and ask whether we live. */
static bool swim_may_say(const struct swim_arrival *arrival, enum swim_message_type type)
{
    return arrival->from != SWIM_NOBODY || type == SWIM_PING || type == SWIM_MEMBER ||
           type == SWIM_STATE;
}

/* What is answered, or makes us ask others. */
static bool swim_asks(enum swim_message_type type)
{
    return type == SWIM_PING || type == SWIM_PING_REQ || type == SWIM_LOOK || type == SWIM_SYNC ||
           type == SWIM_BUCKETS || type == SWIM_STATE;
}

static void swim_hear(struct swim *s, struct swim_arrival *arrival, const struct swim_message *m,
                      struct swim_update *u)
{
    if (!swim_may_say(arrival, m->type)) {
        s->counters[SWIM_REFUSED_STRANGER]++;
        return;
    }
    if (swim_asks(m->type)) {
        if (arrival->answers == 0) {
            return;
        }
        arrival->answers--;
    }
    switch (m->type) {
    case SWIM_PING:
        swim_hear_ping(s, arrival->sender, arrival->at, arrival->stream, m, u);
        break;
    case SWIM_ACK:
        swim_hear_ack(s, arrival->from, arrival->by_stream, m, u);
        break;
    case SWIM_NACK:
        swim_hear_nack(s, m);
        break;
    case SWIM_PING_REQ:
        swim_hear_ping_req(s, arrival->from, m, u);
        break;
    case SWIM_MEMBER:
        swim_hear_member(s, m, u);
        break;
    case SWIM_SUSPECT_OF:
        swim_hear_suspect(s, m->id, m->incarnation, m->by, u);
        break;
    case SWIM_DEAD_OF:
        swim_hear_dead(s, m->id, m->incarnation, m->by, u);
        break;
    case SWIM_STATE:
        swim_hear_state(s, arrival, m, u);
        break;
    case SWIM_BEAT:
        swim_hear_beat(s, arrival->from, arrival->by_stream, m, u);
        break;
    case SWIM_LOOK:
        swim_hear_look(s, arrival->from, m, u);
        break;
    case SWIM_ACCUSE:
        swim_hear_accuse(s, arrival->from, m, u);
        break;
    case SWIM_REPORT:
        swim_hear_report(s, arrival->from, m, u);
        break;
    case SWIM_SYNC:
        swim_hear_sync(s, arrival->from, m, u);
        break;
    case SWIM_BUCKETS:
        swim_hear_buckets(s, arrival->from, m, u);
        break;
    case SWIM_NOTE:
        if (u->n_notes < SWIM_NOTES_MAX) {
            u->notes[u->n_notes++] = (struct swim_note){arrival->sender, m->note};
        }
        break;
    case SWIM_MESSAGE_TYPES:
        CHECK_UNREACHABLE("no such message");
    }
}

static void swim_hear_text(struct swim *s, struct swim_arrival *arrival, struct bytes text,
                           struct swim_update *u)
{
    struct cursor c;
    uint8_t version = 0;

    cursor_init(&c, text);
    version = cursor_u8(&c);
    if (version < SWIM_VERSION_MIN || version > SWIM_VERSION_MAX) {
        s->counters[SWIM_REFUSED_VERSION]++;
        return;
    }
    (void)cursor_varint(&c);
    while (cursor_left(&c) > 0) {
        struct swim_message m;

        if (swim_message_decode(&c, &m) != OK) {
            s->counters[SWIM_REFUSED_FORMAT]++;
            return;
        }
        swim_hear(s, arrival, &m, u);
        /* The sender may have been a tombstone that gave way to somebody whom it named: what is at
         * its place now is another member, and it is a stranger. */
        arrival->from = swim_index(s, arrival->sender);
    }
    if (!cursor_ok(&c)) {
        s->counters[SWIM_REFUSED_FORMAT]++;
    }
}

static void swim_count_refusal(struct swim *s, enum err e)
{
    enum swim_counter counter = SWIM_REFUSED_FORMAT;

    if (e == ERR_NOT_FOUND) {
        counter = SWIM_REFUSED_LABEL;
    } else if (e == ERR_DENIED) {
        counter = SWIM_REFUSED_KEY;
    } else if (e == ERR_UNSUPPORTED) {
        counter = SWIM_REFUSED_VERSION;
    }
    s->counters[counter]++;
}

/* Who is held for dead is told so, to its face, or it would never know; and who is accused
 * contradicts to the accuser's face, who may be cut off from what the others tell. */
static void swim_face(struct swim *s, const struct swim_arrival *arrival, struct swim_update *u)
{
    const struct swim_member *m = &s->members[arrival->from];
    bool is_doubted = m->state == SWIM_SUSPECT && m->place != 0 && s->config.rings > 0 &&
                      s->suspicions[m->place - 1].deadline != NANOS_FOREVER;

    if (!swim_is_live(m) || is_doubted || (s->was_accused && s->config.rings > 0)) {
        swim_send_greeting(s, arrival->from, arrival->by_stream ? arrival->stream : 0, u);
    }
}

/* An earlier instance of a member lives, or somebody repeats what it once said. In case that it
 * lives it shall know; in the other case this is one datagram a second, whatever comes. */
static void swim_tell_displaced(struct swim *s, uint32_t at, const struct world_endpoint *to,
                                struct swim_update *u)
{
    struct swim_message m;

    if (s->displaced_told_at != 0 && s->displaced_told_at + NANOS_PER_S > s->now) {
        return;
    }
    s->displaced_told_at = s->now;
    swim_describe(s, at, &m);
    m.meta.len = 0;
    m.state = SWIM_ALIVE; /* whatever has become of it: there was a younger one */
    swim_text_begin(s);
    swim_text_put(s, &m);
    swim_text_send_bare(s, SWIM_SEND_DATAGRAM, NODE_NONE, to, 0, u);
}

static void swim_hear_envelope(struct swim *s, const struct swim_event *event, bool by_stream,
                               struct swim_update *u)
{
    size_t limit = by_stream ? SWIM_STREAM_MAX_BYTES : WORLD_DATAGRAM_MAX_BYTES;
    struct swim_arrival arrival = {.at = &event->at, .stream = event->stream};
    struct seal_opened opened;
    enum err e = OK;

    s->counters[SWIM_RECEIVED]++;
    if (event->bytes.len > limit) {
        s->counters[SWIM_REFUSED_FORMAT]++;
        return;
    }
    if (s->scratch_cap < event->bytes.len) {
        mem_grow((void **)&s->scratch, &s->scratch_cap, event->bytes.len, 1);
    }
    e = seal_unwrap(&s->cipher, &s->ring, &s->config.label, event->bytes, s->scratch, &opened);
    if (e != OK) {
        swim_count_refusal(s, e);
        return;
    }
    arrival.by_stream = by_stream;
    arrival.sender = opened.sender;
    arrival.from = swim_index(s, opened.sender);
    arrival.answers = arrival.from == SWIM_NOBODY ? 1 : SWIM_ANSWERS_MAX;
    if (arrival.from == 0) {
        /* Our own, come back, or that of one who claims our id. The latter is heard of. */
        return;
    }
    if (arrival.from != SWIM_NOBODY) {
        e = seal_window_admit(&s->members[arrival.from].window, opened.instance, opened.counter);
        if (e != OK) {
            s->counters[SWIM_REFUSED_REPLAY]++;
            if (e == ERR_REFUSED && !by_stream) {
                swim_tell_displaced(s, arrival.from, &event->at, u);
            }
            return;
        }
    }
    s->was_accused = false;
    swim_hear_text(s, &arrival, opened.text, u);
    u->heard = arrival.from != SWIM_NOBODY ? arrival.sender : NODE_NONE;
    if (arrival.from != SWIM_NOBODY) {
        swim_watch_heard(s, arrival.from, u);
    }
    /* An answer on a stream of ours has no way back, and needs none. */
    if (arrival.from != SWIM_NOBODY && s->config.rings > 0 && (!by_stream || arrival.stream != 0)) {
        swim_face(s, &arrival, u);
    }
}

/* --- What we are asked to do ---------------------------------------------------------------------
 */

static void swim_leave(struct swim *s)
{
    if (s->is_leaving) {
        return;
    }
    s->is_leaving = true;
    swim_table_set_state(s, 0, SWIM_LEFT);
    swim_rumor_put(s, 0, s->config.self);
    /* Long enough for the rumor to be told as often as it may. */
    s->leave_at = s->now + s->config.gossip_interval *
                               (2 + swim_transmit_limit(s) / (1 + s->config.gossip_fanout));
}

static void swim_set_meta(struct swim *s, struct bytes meta)
{
    struct swim_member *self = &s->members[0];

    CHECK(meta.len <= SWIM_META_MAX_BYTES);
    mem_free(self->meta);
    self->meta = NULL;
    self->meta_len = (uint16_t)meta.len;
    if (meta.len > 0) {
        self->meta = mem_alloc(meta.len);
        memcpy(self->meta, meta.data, meta.len);
    }
    swim_incarnation_raise(s, 0);
}

static void swim_send_note(struct swim *s, node_id to, struct bytes note, struct swim_update *u)
{
    struct swim_message m = {.type = SWIM_NOTE, .note = note};
    uint32_t at = swim_index(s, to);

    CHECK(note.len <= SWIM_NOTE_MAX_BYTES);
    if (at == SWIM_NOBODY || at == 0 || !swim_is_live(&s->members[at]) || s->has_left) {
        return;
    }
    swim_text_begin(s);
    swim_text_put(s, &m);
    swim_text_send_bare(s, SWIM_SEND_DATAGRAM, to, &s->members[at].at, 0, u);
}

static void swim_tick(struct swim *s, struct swim_update *u)
{
    if (s->leave_at <= s->now) {
        s->has_left = true;
        s->leave_at = NANOS_FOREVER;
    }
    if (s->has_left || s->is_displaced) {
        return;
    }
    swim_expire_suspicions(s, u);
    if (s->config.rings == 0) {
        swim_probe_tick(s, u);
    }
    swim_watch_tick(s, u);
    swim_gossip_tick(s, u);
    swim_sync_tick(s, u);
}

static nanos swim_due(const struct swim *s)
{
    nanos due = u64_min(s->gossip_at, u64_min(s->sync_at, s->heal_at));

    if (s->has_left || s->is_displaced) {
        return NANOS_FOREVER;
    }
    due = u64_min(due, s->config.rings == 0 ? swim_probe_due(s) : swim_watch_due(s));
    due = u64_min(due, s->leave_at);
    return u64_min(due, swim_suspicions_due(s));
}

void swim_step(struct swim *s, const struct swim_event *event, struct swim_update *u)
{
    bool woke = event->kind == SWIM_EVENT_WOKE;

    CHECK(event->now >= s->now);
    s->now = event->now;
    /* A deadline that was missed by much: we were stalled, whoever else was not. */
    woke = woke || s->now > u64_add_sat(s->due, SWIM_STALL_SPAN);
    buf_clear(&u->bytes);
    u->n_sends = 0;
    u->n_changes = 0;
    u->n_reports = 0;
    u->heard = NODE_NONE;
    u->n_notes = 0;
    if (woke && s->config.rings > 0 && !s->has_left && !s->is_displaced) {
        swim_watch_wake(s, u);
    }
    switch (event->kind) {
    case SWIM_EVENT_TIME:
        break;
    case SWIM_EVENT_DATAGRAM:
    case SWIM_EVENT_STREAM:
        if (!s->has_left) {
            swim_hear_envelope(s, event, event->kind == SWIM_EVENT_STREAM, u);
        }
        break;
    case SWIM_EVENT_JOIN:
        if (s->config.digest_sync) {
            swim_join_send(s, &event->at, u);
        }
        if (!s->config.digest_sync || swim_joins_by_stream(s)) {
            swim_send_state(s, SWIM_SEND_STREAM, NODE_NONE, &event->at, 0,
                            SWIM_FLAG_JOIN | SWIM_FLAG_REPLY, u);
        }
        break;
    case SWIM_EVENT_LEAVE:
        swim_leave(s);
        break;
    case SWIM_EVENT_META:
        swim_set_meta(s, event->bytes);
        break;
    case SWIM_EVENT_LEADER:
        swim_watch_led(s, event->id);
        break;
    case SWIM_EVENT_WOKE:
        break;
    case SWIM_EVENT_NOTE:
        swim_send_note(s, event->id, event->bytes, u);
        break;
    }
    swim_tick(s, u);
    s->due = swim_due(s);
    u->deadline = s->due;
}

void swim_check(const struct swim *s)
{
    uint32_t live = 0;

    CHECK(s->n_members >= 1 && s->n_members <= s->config.members_max);
    CHECK(s->members[0].id == s->config.self);
    CHECK(swim_instance_of(s->members[0].incarnation) == s->sender.instance);
    for (uint32_t i = 0; i < s->n_members; i++) {
        const struct swim_member *m = &s->members[i];

        live += swim_is_live(m) ? 1 : 0;
        CHECK(swim_index(s, m->id) == i);
        CHECK(m->place <= s->n_suspicions);
        CHECK(m->place == 0 || s->suspicions[m->place - 1].member == i);
        CHECK(m->place == 0 || m->state == SWIM_SUSPECT);
    }
    CHECK(live == s->n_live);
    for (size_t i = 0; i < s->n_rumors; i++) {
        CHECK(s->rumors[i].member < s->n_members);
    }
}
