#include "core/node/node_session.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/ha/ha_session.h"
#include "core/node/node_session_int.h"

_Static_assert(NODE_SESSION_PATIENCE > HA_SESSION_SILENCE, "its own end gives up first");
_Static_assert(NODE_SESSION_TXNS_MAX > HA_SESSION_TXNS_MAX, "its own end keeps to fewer");

/* Ready, and with a store that says what the group has decided. */
bool agent_node_serves(const struct node_sessions *s)
{
    if (s->node == NULL || !node_is_ready(s->node) || node_is_halted(s->node)) {
        return false;
    }
    const struct raft_status status = node_status(s->node);
    const struct raft_member *own = raft_membership_lookup(status.membership, status.id);
    return own != NULL && (own->roles & RAFT_WITNESS) == 0 && !status.installing;
}

struct agent_session *agent_find(struct node_sessions *s, node_id id)
{
    struct agent_session *a = s->first;

    while (a != NULL && !(a->is_served && a->id == id)) {
        a = a->next;
    }
    return a;
}

static void agent_tell(const struct agent_session *a, const char *how)
{
    const struct node_sessions *s = a->sessions;

    if (s->events.told != NULL) {
        s->events.told(s->events.ctx, a->host, &a->from, how);
    }
}

/* --- the end of one ----------------------------------------------------------------------------
 */

static void agent_free(struct agent_session *a)
{
    agent_feed_end(a);
    ha_frames_deinit(&a->frames);
    mem_free(a);
}

/* Its stream is gone already, or nothing more is to be said on it. */
void agent_gone(struct agent_session *a, const char *how)
{
    struct node_sessions *s = a->sessions;
    struct agent_session **at = &s->first;

    while (*at != a) {
        at = &(*at)->next;
    }
    *at = a->next;
    if (a->stream != NULL) {
        s->world->net->stream_close(s->world->self, a->stream);
    }
    s->counted.sessions -= a->is_served;
    agent_tell(a, how);
    agent_free(a);
}

void agent_send_away(struct agent_session *a, enum ha_farewell why)
{
    struct node_sessions *s = a->sessions;
    const struct ha_frame frame = {.kind = HA_FRAME_REFUSED, .as.why = why};
    struct buf b;

    s->counted.refused += !a->is_served;
    s->counted.cut_off += why == HA_FAREWELL_SLOW || why == HA_FAREWELL_PROTOCOL;
    buf_init(&b);
    ha_frame_encode(&frame, &b);
    const enum err ignored = s->world->net->stream_send(s->world->self, a->stream, buf_view(&b));
    (void)ignored; /* it finds out by the end of the stream, too */
    buf_deinit(&b);
    agent_gone(a, ha_farewell_text(why));
}

/* --- who comes ---------------------------------------------------------------------------------
 */

static bool agent_bears_name(const struct agent_session *a, const char *name)
{
    const struct world *w = a->sessions->world;

    return w->net->stream_may_be == NULL || w->net->stream_may_be(w->self, a->stream, name);
}

static enum ha_farewell agent_judge(const struct agent_session *a, const struct ha_hello *hello)
{
    const struct node_sessions *s = a->sessions;

    if (hello->version != HA_SESSION_VERSION) {
        return HA_FAREWELL_VERSION;
    }
    if (hello->cluster != s->cluster) {
        return HA_FAREWELL_CLUSTER;
    }
    if (!agent_bears_name(a, hello->host)) {
        return HA_FAREWELL_NAME;
    }
    if (!agent_node_serves(s)) {
        return HA_FAREWELL_UNFIT;
    }
    const struct raft_membership *ms = node_status(s->node).membership;
    /* Whether it has a view or not: it has known what this member may not know. */
    if (RAFT_LINEAGE_COUNT(hello->lineage) > RAFT_LINEAGE_COUNT(ms->lineage)) {
        return HA_FAREWELL_LINEAGE;
    }
    if (hello->term > node_status(s->node).term) {
        return HA_FAREWELL_TERM;
    }
    if (raft_membership_lookup(ms, ha_session_id(s->cluster, hello->host)) != NULL) {
        return HA_FAREWELL_MEMBER;
    }
    if (!node_records_have_host(node_store(s->node), hello->host)) {
        return HA_FAREWELL_STRANGER;
    }
    return s->counted.sessions < NODE_SESSIONS_MAX ? HA_FAREWELL_NONE : HA_FAREWELL_FULL;
}

/* False: it was sent away. */
static bool agent_take_hello(struct agent_session *a, const struct ha_hello *hello)
{
    struct node_sessions *s = a->sessions;
    const enum ha_farewell why = agent_judge(a, hello);

    memcpy(a->host, hello->host, sizeof(a->host));
    if (why != HA_FAREWELL_NONE) {
        agent_send_away(a, why);
        return false;
    }
    a->id = ha_session_id(s->cluster, hello->host);
    struct agent_session *before = agent_find(s, a->id);
    if (before != NULL) {
        agent_send_away(before, HA_FAREWELL_REPLACED);
    }
    a->is_served = true;
    s->counted.sessions++;
    s->counted.served++;
    agent_tell(a, "served");
    agent_feed_begin(a, hello);
    return agent_feed_pump(a, true);
}

/* --- what it says ------------------------------------------------------------------------------
 */

/* Bytes that were never sent cannot have been taken, and none is taken twice. */
static bool agent_take_taken(struct agent_session *a, uint64_t taken)
{
    if (taken > a->sent || taken < a->taken) {
        return false;
    }
    if (taken > a->taken) {
        a->taken = taken;
        a->taken_at = world_now(a->sessions->world);
    }
    return true;
}

/* False: it was sent away. */
static bool agent_take(struct agent_session *a, const struct ha_frame *frame)
{
    enum ha_farewell why = HA_FAREWELL_PROTOCOL;

    if (!a->is_served) {
        if (frame->kind == HA_FRAME_HELLO) {
            return agent_take_hello(a, &frame->as.hello);
        }
    } else if (frame->kind == HA_FRAME_TXN) {
        why = agent_take_txn(a, frame->as.txn.number, frame->as.txn.body);
    } else if (frame->kind == HA_FRAME_RENEWAL) {
        why = agent_take_renewal(a, frame->as.note);
    } else if (frame->kind == HA_FRAME_TAKEN && agent_take_taken(a, frame->as.taken)) {
        return agent_feed_pump(a, false);
    }
    if (why != HA_FAREWELL_NONE) {
        agent_send_away(a, why);
    }
    return why == HA_FAREWELL_NONE;
}

static void agent_on_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct agent_session *a = sink->owner;
    struct ha_frame frame;
    enum err e = OK;

    a->heard_at = world_now(a->sessions->world);
    ha_frames_put(&a->frames, bytes);
    while ((e = ha_frames_next(&a->frames, &frame, NULL)) == OK) {
        if (!agent_take(a, &frame)) {
            return;
        }
    }
    if (e == ERR_PROTOCOL) {
        agent_send_away(a, HA_FAREWELL_PROTOCOL);
    }
}

static void agent_on_writable(struct world_stream_sink *sink)
{
    struct agent_session *a = sink->owner;

    if (a->is_served) {
        (void)agent_feed_pump(a, false);
    }
}

static void agent_on_closed(struct world_stream_sink *sink, enum err why)
{
    struct agent_session *a = sink->owner;

    (void)why;
    a->stream = NULL;
    agent_gone(a, "closed");
}

static void agent_on_opened(struct world_stream_sink *sink)
{
    (void)sink;
}

/* --- time --------------------------------------------------------------------------------------
 */

static void sessions_tick_soon(struct node_sessions *s)
{
    if (!s->is_ticking) {
        s->is_ticking = true;
        world_timer_set(s->world, &s->tick, world_now(s->world) + HA_SESSION_BEAT);
    }
}

/* A word about everybody, and who says or takes nothing for too long goes. */
static void agent_beat(struct agent_session *a, nanos now)
{
    if (now >= a->heard_at + NODE_SESSION_PATIENCE) {
        agent_gone(a, "silent");
        return;
    }
    if (!a->is_served) {
        return;
    }
    if (a->taken == a->sent) {
        a->taken_at = now;
    }
    if (!agent_node_serves(a->sessions)) {
        agent_send_away(a, HA_FAREWELL_UNFIT);
    } else if (now >= a->taken_at + NODE_SESSION_PATIENCE) {
        agent_send_away(a, HA_FAREWELL_SLOW);
    } else {
        (void)agent_feed_pump(a, true);
    }
}

static void sessions_on_tick(struct world_timer *timer)
{
    struct node_sessions *s = timer->owner;
    struct agent_session *next = NULL;

    s->is_ticking = false;
    for (struct agent_session *a = s->first; a != NULL; a = next) {
        next = a->next;
        agent_beat(a, world_now(s->world));
    }
    if (s->first != NULL) {
        sessions_tick_soon(s);
    }
}

/* --- the way in --------------------------------------------------------------------------------
 */

/* One more stream owes its hello: if there are too many, the oldest of those goes. */
static void sessions_make_room(struct node_sessions *s)
{
    struct agent_session *oldest = NULL;
    uint32_t n = 0;

    for (struct agent_session *a = s->first; a != NULL; a = a->next) {
        if (!a->is_served) {
            n++;
            oldest = a; /* new ones are put in front */
        }
    }
    if (n >= NODE_SESSIONS_NEW_MAX) {
        agent_gone(oldest, "it did not say who it is, and others came");
    }
}

static struct world_stream_sink *sessions_on_accepted(struct world_listener *listener,
                                                      struct world_stream *stream,
                                                      const struct world_endpoint *from)
{
    struct node_sessions *s = listener->owner;
    struct agent_session *a = mem_alloc_zero(sizeof(*a));

    sessions_make_room(s);
    a->sessions = s;
    a->stream = stream;
    a->from = *from;
    a->heard_at = world_now(s->world);
    ha_frames_init(&a->frames, true);
    node_records_page_init(&a->page);
    buf_init(&a->gathered);
    buf_init(&a->out);
    a->sink = (struct world_stream_sink){.opened = agent_on_opened,
                                         .received = agent_on_received,
                                         .writable = agent_on_writable,
                                         .closed = agent_on_closed,
                                         .owner = a};
    a->next = s->first;
    s->first = a;
    sessions_tick_soon(s);
    return &a->sink;
}

/* --- what the node tells -----------------------------------------------------------------------
 */

static void sessions_pump(struct node_sessions *s, bool says_reached)
{
    struct agent_session *next = NULL;

    if (!agent_node_serves(s)) {
        return;
    }
    for (struct agent_session *a = s->first; a != NULL; a = next) {
        next = a->next;
        if (a->is_served) {
            (void)agent_feed_pump(a, says_reached);
        }
    }
}

void node_sessions_advanced(struct node_sessions *s)
{
    sessions_pump(s, false);
}

void node_sessions_leader_changed(struct node_sessions *s)
{
    sessions_pump(s, true);
}

/* --- life --------------------------------------------------------------------------------------
 */

struct node_sessions *node_sessions_open(const struct world *world, struct node_ha *ha,
                                         uint64_t cluster,
                                         const struct node_sessions_events *events)
{
    struct node_sessions *s = mem_alloc_zero(sizeof(*s));

    s->world = world;
    s->ha = ha;
    s->cluster = cluster;
    s->events = *events;
    s->router = (struct node_ha_router){.ctx = s, .note = agent_answer};
    s->listener = (struct world_listener){.accepted = sessions_on_accepted, .owner = s};
    s->tick = (struct world_timer){.fire = sessions_on_tick, .owner = s};
    node_ha_route(ha, &s->router);
    return s;
}

void node_sessions_close(struct node_sessions *s)
{
    node_ha_route(s->ha, NULL);
    world_timer_cancel(s->world, &s->tick);
    while (s->first != NULL) {
        struct agent_session *next = s->first->next;
        agent_free(s->first);
        s->first = next;
    }
    while (s->orphans != NULL) {
        struct agent_deal *next = s->orphans->next;
        ha_txn_deinit(&s->orphans->txn);
        mem_free(s->orphans);
        s->orphans = next;
    }
    mem_free(s->routes);
    mem_free(s);
}

void node_sessions_attach(struct node_sessions *s, struct node *node)
{
    s->node = node;
}

struct world_listener *node_sessions_listener(struct node_sessions *s)
{
    return &s->listener;
}

void node_sessions_figures(const struct node_sessions *s, struct node_sessions_figures *ret)
{
    *ret = s->counted;
}

const char *node_sessions_host(const struct node_sessions *s, size_t i)
{
    for (const struct agent_session *a = s->first; a != NULL; a = a->next) {
        if (a->is_served && i-- == 0) {
            return a->host;
        }
    }
    return NULL;
}
