#include "core/monitoring/health/health_agent.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/monitoring/health/detector.h"

/* While nobody is known, and later. */
#define HEALTH_JOIN_INTERVAL (NANOS_PER_S)
#define HEALTH_SEED_INTERVAL (30 * NANOS_PER_S)

/* Until then others may tell us that our instance is an old one. */
#define HEALTH_START_SPAN (15 * NANOS_PER_S)

#define HEALTH_CURVE_INTERVAL NANOS_PER_S

/* A leader that died is told of so often, and for so long. */
#define HEALTH_LED_INTERVAL (NANOS_PER_S / 2)
#define HEALTH_LED_SPAN     (15 * NANOS_PER_S)

/* phi is drawn up to here; beyond it says nothing more. */
#define HEALTH_PHI_MAX 99.0

/* A neighbour, as the detector has it. */
struct health_curve {
    node_id peer; /* NODE_NONE: free */
    uint32_t beat;
    struct detector detector;
    uint32_t points;
    float phi[HEALTH_CURVE_POINTS]; /* the latest is at (points - 1) % HEALTH_CURVE_POINTS */
};

struct health_agent {
    const struct world *world; /* borrowed */
    struct health_agent_config config;
    struct health_agent_events events;
    struct swim swim;
    struct swim_update update;
    struct cut cut;
    struct cut_update cut_update;
    bool leads;
    nanos opened_at;
    nanos join_at;
    nanos curve_at;
    node_id led_by;      /* who led last, as this member knows; NODE_NONE: nobody else yet */
    nanos led_silent_at; /* since when it is silent; 0: it is not */
    nanos led_told_at;
    uint32_t next_seed;
    struct world_datagram_sink sink;
    struct world_listener listener; /* where the port is not shared */
    struct health_streams *streams; /* owned */
    struct world_timer timer;
    uint8_t meta[SWIM_META_MAX_BYTES]; /* what the configuration points to */
    struct health_curve curves[SWIM_OBSERVERS_MAX];
};

void health_agent_config_default(struct health_agent_config *config)
{
    memset(config, 0, sizeof(*config));
    swim_config_shipped(&config->swim);
    cut_config_default(&config->cut);
}

/* --- Cuts ----------------------------------------------------------------------------------------
 */

static void agent_cut_step(struct health_agent *a, struct cut_event event)
{
    event.now = world_now(a->world);
    cut_step(&a->cut, &event, &a->cut_update);
    for (size_t i = 0; i < a->cut_update.n_changes && a->events.cut != NULL; i++) {
        a->events.cut(a->events.ctx, &a->cut_update.changes[i], a->cut_update.view);
    }
}

static void agent_cut_hear(struct health_agent *a, const struct swim_change *change)
{
    struct cut_event event = {
        .kind = CUT_EVENT_ALIVE, .id = change->id, .incarnation = change->incarnation};

    if (change->kind == SWIM_DIED) {
        event.kind = CUT_EVENT_DEAD;
        event.since = world_now(a->world);
    } else if (change->kind == SWIM_WENT) {
        event.kind = CUT_EVENT_LEFT;
    } else if (change->kind == SWIM_SUSPECTED || change->kind == SWIM_DISPLACED ||
               change->kind == SWIM_BY_STREAM || change->kind == SWIM_BY_DATAGRAM) {
        return;
    }
    agent_cut_step(a, event);
}

/* Where one word will do, it must not be that of somebody whose ears alone are bad. */
static void agent_cut_report(struct health_agent *a, const struct swim_report *report)
{
    bool is_alone = report->down && report->n_observers == 1;

    if (is_alone && a->events.hears != NULL &&
        a->events.hears(a->events.ctx, report->subject, a->config.cut.alone_span)) {
        agent_cut_step(a, (struct cut_event){.kind = CUT_EVENT_HEARD, .id = report->subject});
        return;
    }
    agent_cut_step(a, (struct cut_event){.kind = CUT_EVENT_REPORT, .report = *report});
}

/* A new leader begins with all that it knows of. Whom it holds for dead was somebody's member: the
 * observers say the rest, again and again. */
static void agent_cut_begin(struct health_agent *a)
{
    cut_init(&a->cut, &a->config.cut, world_now(a->world));
    for (uint32_t i = 0; i < a->swim.n_members; i++) {
        const struct swim_member *m = &a->swim.members[i];
        struct cut_event event = {
            .kind = CUT_EVENT_ALIVE, .id = m->id, .incarnation = m->incarnation};

        if (m->state == SWIM_LEFT) {
            continue;
        }
        agent_cut_step(a, event);
        if (m->state == SWIM_DEAD) {
            event.kind = CUT_EVENT_DEAD;
            event.since = m->since;
            agent_cut_step(a, event);
        }
    }
}

/* --- Curves --------------------------------------------------------------------------------------
 */

static void agent_curve_listen(const struct health_agent *a, struct health_curve *curve,
                               const struct swim_edge *edge)
{
    nanos interval = u64_max(edge->promise_ms, 100) * NANOS_PER_MS;
    struct detector_config config = detector_config_of(DETECTOR_PHI_NORMAL, interval);

    curve->beat = 0;
    detector_init(&curve->detector, &config, world_now(a->world));
}

static struct health_curve *agent_curve_of(struct health_agent *a, const struct swim_edge *edge)
{
    struct health_curve *free_curve = NULL;

    for (uint32_t i = 0; i < COUNT_OF(a->curves); i++) {
        if (a->curves[i].peer == edge->peer) {
            return &a->curves[i];
        }
        free_curve = a->curves[i].peer == NODE_NONE ? &a->curves[i] : free_curve;
    }
    if (free_curve != NULL) {
        free_curve->peer = edge->peer;
        free_curve->points = 0;
        agent_curve_listen(a, free_curve, edge);
    }
    return free_curve;
}

/* Beats that came go to the detectors; who is no neighbour any longer has none. */
static void agent_curves_feed(struct health_agent *a)
{
    for (uint32_t i = 0; i < a->swim.n_edges; i++) {
        const struct swim_edge *edge = &a->swim.edges[i];
        struct health_curve *curve = edge->theirs > 0 ? agent_curve_of(a, edge) : NULL;

        if (curve != NULL && edge->theirs < curve->beat) {
            /* It counts anew, after a restart, say: to a detector those would be old beats. */
            agent_curve_listen(a, curve, edge);
        }
        if (curve != NULL && edge->theirs != curve->beat) {
            curve->beat = edge->theirs;
            (void)detector_heartbeat(&curve->detector, edge->theirs, edge->theirs_at);
        }
    }
}

static void agent_curves_draw(struct health_agent *a)
{
    nanos now = world_now(a->world);

    for (uint32_t i = 0; i < COUNT_OF(a->curves); i++) {
        struct health_curve *curve = &a->curves[i];
        bool is_neighbour = false;
        double phi = 0;

        for (uint32_t k = 0; k < a->swim.n_edges; k++) {
            is_neighbour = is_neighbour || a->swim.edges[k].peer == curve->peer;
        }
        if (!is_neighbour) {
            curve->peer = NODE_NONE;
            continue;
        }
        phi = detector_phi(&curve->detector, now);
        curve->phi[curve->points++ % HEALTH_CURVE_POINTS] =
            (float)(phi < HEALTH_PHI_MAX ? phi : HEALTH_PHI_MAX);
    }
}

double health_agent_phi(const struct health_agent *a, node_id peer)
{
    for (uint32_t i = 0; i < COUNT_OF(a->curves) && peer != NODE_NONE; i++) {
        if (a->curves[i].peer == peer) {
            return detector_phi(&a->curves[i].detector, world_now(a->world));
        }
    }
    return 0;
}

uint32_t health_agent_curve(const struct health_agent *a, node_id peer,
                            float ret[HEALTH_CURVE_POINTS])
{
    for (uint32_t i = 0; i < COUNT_OF(a->curves); i++) {
        const struct health_curve *curve = &a->curves[i];
        uint32_t n = (uint32_t)u64_min(curve->points, HEALTH_CURVE_POINTS);

        if (curve->peer != peer || peer == NODE_NONE) {
            continue;
        }
        for (uint32_t k = 0; k < n; k++) {
            ret[k] = curve->phi[(curve->points - n + k) % HEALTH_CURVE_POINTS];
        }
        return n;
    }
    return 0;
}

/* --- Steps ---------------------------------------------------------------------------------------
 */

static void agent_start_swim(struct health_agent *a, uint64_t instance)
{
    uint8_t seed[8];
    struct swim_event meta = {.kind = SWIM_EVENT_META, .now = world_now(a->world)};

    a->world->random->fill(a->world->self, seed, sizeof(seed));
    memcpy(&a->config.swim.seed, seed, sizeof(seed));
    a->config.swim.instance = instance;
    swim_init(&a->swim, &a->config.swim, &a->config.cipher, &a->config.ring, meta.now);
    meta.bytes = a->config.meta;
    swim_step(&a->swim, &meta, &a->update);
}

/* We were told in time that others know a later start of this member than ours claims to be. */
static void agent_start_over(struct health_agent *a)
{
    uint64_t instance = swim_instance_of(a->swim.displaced_by) + 1;
    node_id leader = a->swim.leader;

    swim_deinit(&a->swim);
    agent_start_swim(a, instance);
    a->swim.leader = leader;
    a->join_at = world_now(a->world);
}

static void agent_carry_out(struct health_agent *a)
{
    struct swim_update *u = &a->update;

    for (size_t i = 0; i < u->n_sends; i++) {
        struct bytes bytes = {u->bytes.data + u->sends[i].offset, u->sends[i].len};

        switch (u->sends[i].how) {
        case SWIM_SEND_DATAGRAM:
            a->world->net->datagram_send(a->world->self, a->config.port, &u->sends[i].at, bytes);
            break;
        case SWIM_SEND_STREAM:
            health_streams_send(a->streams, &u->sends[i].at, u->sends[i].asks, bytes);
            break;
        case SWIM_SEND_REPLY:
            health_streams_reply(a->streams, u->sends[i].stream, bytes);
            break;
        }
    }
    for (size_t i = 0; i < u->n_changes; i++) {
        if (a->leads) {
            agent_cut_hear(a, &u->changes[i]);
        }
        if (a->events.changed != NULL) {
            a->events.changed(a->events.ctx, &u->changes[i]);
        }
    }
    for (size_t i = 0; i < u->n_reports && a->leads; i++) {
        agent_cut_report(a, &u->reports[i]);
    }
}

static void agent_arm(struct health_agent *a)
{
    nanos at = u64_min(a->update.deadline, u64_min(a->join_at, a->curve_at));

    at = a->leads ? u64_min(at, a->cut_update.deadline) : at;
    world_timer_set(a->world, &a->timer, u64_max(at, world_now(a->world)));
}

/* Is the member that led last gone, as far as we can tell? */
static bool agent_led_is_silent(const struct health_agent *a)
{
    const struct swim_member *m = swim_find(&a->swim, a->led_by);
    const struct swim_edge *edge = swim_edge_of(&a->swim, a->led_by);

    return m != NULL && a->led_by != a->config.swim.self &&
           (m->state == SWIM_DEAD || (edge != NULL && edge->stage == SWIM_EDGE_ACCUSING));
}

static void agent_tell_leader(struct health_agent *a)
{
    nanos now = world_now(a->world);

    if (!agent_led_is_silent(a)) {
        a->led_silent_at = 0;
        return;
    }
    if (a->led_silent_at == 0) {
        a->led_silent_at = now;
        a->led_told_at = 0;
    }
    if (a->events.leader_died != NULL && now < a->led_silent_at + HEALTH_LED_SPAN &&
        (a->led_told_at == 0 || a->led_told_at + HEALTH_LED_INTERVAL <= now)) {
        a->led_told_at = now;
        a->events.leader_died(a->events.ctx, a->led_by);
    }
}

/* Whoever hears a note may send one, which is a step: so they are told last, from a copy. */
static void agent_tell_notes(struct health_agent *a)
{
    uint8_t bytes[SWIM_NOTES_MAX][SWIM_NOTE_MAX_BYTES];
    struct swim_note notes[SWIM_NOTES_MAX];
    size_t n = a->events.note != NULL ? a->update.n_notes : 0;

    for (size_t i = 0; i < n; i++) {
        notes[i] = a->update.notes[i];
        if (notes[i].bytes.len > 0) {
            memcpy(bytes[i], notes[i].bytes.data, notes[i].bytes.len);
        }
        notes[i].bytes.data = bytes[i];
    }
    a->update.n_notes = 0;
    for (size_t i = 0; i < n; i++) {
        a->events.note(a->events.ctx, notes[i].from, notes[i].bytes);
    }
}

static void agent_step(struct health_agent *a, struct swim_event event)
{
    event.now = world_now(a->world);
    swim_step(&a->swim, &event, &a->update);
    agent_carry_out(a);
    agent_curves_feed(a);
    if (a->swim.is_displaced && event.now - a->opened_at < HEALTH_START_SPAN &&
        swim_instance_of(a->swim.displaced_by) < SWIM_INSTANCE_MAX) {
        agent_start_over(a);
    }
    agent_arm(a);
    agent_tell_leader(a);
    agent_tell_notes(a);
}

static bool agent_knows_address(const struct health_agent *a, const struct world_endpoint *at)
{
    for (uint32_t i = 0; i < a->swim.n_members; i++) {
        const struct swim_member *m = &a->swim.members[i];

        if ((m->state == SWIM_ALIVE || m->state == SWIM_SUSPECT) && m->at.port == at->port &&
            strcmp(m->at.host, at->host) == 0) {
            return true;
        }
    }
    return false;
}

/* To the next seed that is nobody whom we know. */
static void agent_join(struct health_agent *a)
{
    bool is_alone = swim_live_count(&a->swim) < 2;

    a->join_at = world_now(a->world) + (is_alone ? HEALTH_JOIN_INTERVAL : HEALTH_SEED_INTERVAL);
    for (uint32_t tries = 0; tries < a->config.n_seeds; tries++) {
        const struct world_endpoint *seed = &a->config.seeds[a->next_seed++ % a->config.n_seeds];

        if (!agent_knows_address(a, seed)) {
            agent_step(a, (struct swim_event){.kind = SWIM_EVENT_JOIN, .at = *seed});
            return;
        }
    }
}

static void agent_on_timer(struct world_timer *timer)
{
    struct health_agent *a = timer->owner;
    nanos now = world_now(a->world);

    agent_step(a, (struct swim_event){.kind = SWIM_EVENT_TIME});
    if (a->join_at <= now) {
        agent_join(a);
    }
    if (a->curve_at <= now) {
        a->curve_at = now + HEALTH_CURVE_INTERVAL;
        agent_curves_draw(a);
    }
    if (a->leads && a->cut_update.deadline <= now) {
        agent_cut_step(a, (struct cut_event){.kind = CUT_EVENT_TIME});
    }
    agent_arm(a);
}

static void agent_on_datagram(struct world_datagram_sink *sink, const struct world_endpoint *from,
                              struct bytes datagram)
{
    agent_step(sink->owner,
               (struct swim_event){.kind = SWIM_EVENT_DATAGRAM, .at = *from, .bytes = datagram});
}

static node_id agent_on_message(void *ctx, uint64_t token, const struct world_endpoint *from,
                                struct bytes message)
{
    struct health_agent *a = ctx;

    agent_step(a, (struct swim_event){
                      .kind = SWIM_EVENT_STREAM, .stream = token, .at = *from, .bytes = message});
    return a->update.heard;
}

static struct world_stream_sink *agent_on_stream(struct world_listener *listener,
                                                 struct world_stream *stream,
                                                 const struct world_endpoint *from)
{
    return health_agent_accept(listener->owner, stream, from);
}

/* --- From outside --------------------------------------------------------------------------------
 */

enum err health_agent_open(const struct world *world, const struct health_agent_config *config,
                           const struct health_agent_events *events, struct health_agent **ret)
{
    struct health_agent *a = mem_alloc_zero(sizeof(*a));
    enum err e = OK;

    CHECK(config->n_seeds <= HEALTH_SEEDS_MAX && config->meta.len <= SWIM_META_MAX_BYTES);
    a->world = world;
    a->config = *config;
    a->events = *events;
    if (config->meta.len > 0) {
        memcpy(a->meta, config->meta.data, config->meta.len);
    }
    a->config.meta.data = a->meta;
    a->sink = (struct world_datagram_sink){.received = agent_on_datagram, .owner = a};
    a->timer = (struct world_timer){.fire = agent_on_timer, .owner = a};
    a->listener = (struct world_listener){.accepted = agent_on_stream, .owner = a};
    e = world->net->datagram_open(world->self, config->port, &a->sink);
    if (e == OK && !config->shares_port) {
        e = world->net->listen(world->self, config->port, &a->listener);
        if (e != OK) {
            world->net->datagram_close(world->self, config->port);
        }
    }
    if (e != OK) {
        mem_free(a);
        return e;
    }
    a->opened_at = world_now(world);
    a->join_at = a->opened_at;
    a->curve_at = a->opened_at + HEALTH_CURVE_INTERVAL;
    a->streams = health_streams_open(
        world, &(struct health_streams_events){.ctx = a, .received = agent_on_message});
    swim_update_init(&a->update);
    cut_update_init(&a->cut_update);
    a->cut_update.deadline = NANOS_FOREVER;
    agent_start_swim(a, config->swim.instance);
    agent_arm(a);
    *ret = a;
    return OK;
}

void health_agent_close(struct health_agent *a)
{
    world_timer_cancel(a->world, &a->timer);
    a->world->net->datagram_close(a->world->self, a->config.port);
    if (!a->config.shares_port) {
        a->world->net->listen_close(a->world->self, a->config.port);
    }
    health_streams_close(a->streams);
    swim_deinit(&a->swim);
    swim_update_deinit(&a->update);
    if (a->leads) {
        cut_deinit(&a->cut);
    }
    cut_update_deinit(&a->cut_update);
    mem_free(a);
}

void health_agent_lead(struct health_agent *a, node_id leader)
{
    bool leads = leader == a->config.swim.self;

    if (a->leads && !leads) {
        cut_deinit(&a->cut);
        a->cut_update.deadline = NANOS_FOREVER;
    } else if (!a->leads && leads) {
        agent_cut_begin(a);
    }
    a->leads = leads;
    a->led_by = leader != NODE_NONE ? leader : a->led_by;
    agent_step(a, (struct swim_event){.kind = SWIM_EVENT_LEADER, .id = leader});
}

void health_agent_leave(struct health_agent *a)
{
    agent_step(a, (struct swim_event){.kind = SWIM_EVENT_LEAVE});
}

void health_agent_note(struct health_agent *a, node_id to, struct bytes bytes)
{
    agent_step(a, (struct swim_event){.kind = SWIM_EVENT_NOTE, .id = to, .bytes = bytes});
}

void health_agent_set_meta(struct health_agent *a, struct bytes meta)
{
    CHECK(meta.len <= SWIM_META_MAX_BYTES);
    memmove(a->meta, meta.data, meta.len);
    a->config.meta = (struct bytes){a->meta, meta.len};
    agent_step(a, (struct swim_event){.kind = SWIM_EVENT_META, .bytes = a->config.meta});
}

void health_agent_woke(struct health_agent *a, nanos judges_from)
{
    for (uint32_t i = 0; i < COUNT_OF(a->curves); i++) {
        if (a->curves[i].peer != NODE_NONE) {
            detector_excuse(&a->curves[i].detector, judges_from);
        }
    }
    agent_step(a, (struct swim_event){.kind = SWIM_EVENT_WOKE});
}

void health_agent_set_keys(struct health_agent *a, const struct seal_ring *ring)
{
    a->config.ring = *ring;
    swim_set_keys(&a->swim, ring);
}

const struct swim *health_agent_swim(const struct health_agent *a)
{
    return &a->swim;
}

struct world_stream_sink *health_agent_accept(struct health_agent *a, struct world_stream *stream,
                                              const struct world_endpoint *from)
{
    return health_streams_accept(a->streams, stream, from);
}

const struct health_streams *health_agent_streams(const struct health_agent *a)
{
    return a->streams;
}

const struct cut *health_agent_cut(const struct health_agent *a)
{
    return a->leads ? &a->cut : NULL;
}

nanos health_agent_now(const struct health_agent *a)
{
    return world_now(a->world);
}
