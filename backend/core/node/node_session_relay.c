/*
 * Renewals and their answers between an agent and the leader, where another member serves the
 * agent. They go as notes between the two members (docs/formats/ha-lease.md):
 *
 *     RELAY    from the member that serves it, to the leader: kind u8 = 35, version u8 = 1, the
 *              agent u64, a RENEW
 *     RELAYED  from the leader to that member: kind u8 = 36, version u8 = 1, the agent u64, a GRANT
 *              or a REFUSE
 *
 * The leader learns by the first which way the second takes: an answer goes where the newest
 * renewal came from, since a stream whose other end has gone elsewhere may not know it yet. Which
 * is the newest its number says: a member that the agent has left may relay late. A renewal arrives
 * later by the relay than it was sent, and so counts from later: that is on the safe side, as any
 * delay is.
 */
#include <string.h>

#include "core/base/cursor.h"
#include "core/base/mem.h"
#include "core/ha/ha_lease.h"
#include "core/node/node_session_int.h"

enum { NOTE_RELAY = 35, NOTE_RELAYED = 36, RELAY_VERSION = 1 };

#define RELAY_HEADER_BYTES 10

_Static_assert(HA_NOTE_BYTES_MAX + RELAY_HEADER_BYTES <= NODE_NOTE_BYTES_MAX, "a relay is a note");

static void relay_send(struct node_sessions *s, node_id to, uint8_t kind, node_id agent,
                       struct bytes note)
{
    struct buf b;

    buf_init(&b);
    buf_put_u8(&b, kind);
    buf_put_u8(&b, RELAY_VERSION);
    buf_put_u64(&b, agent);
    buf_put(&b, note.data, note.len);
    const enum err ignored = node_note(s->node, to, buf_view(&b));
    (void)ignored; /* without promise: the agent renews again */
    s->counted.relayed++;
    buf_deinit(&b);
}

/* --- the way to the leader ---------------------------------------------------------------------
 */

static struct agent_renewed renewed_now(const struct node_sessions *s, const struct ha_renew *renew)
{
    return (struct agent_renewed){
        .at = world_now(s->world), .boot = renew->boot, .number = renew->number};
}

enum ha_farewell agent_take_renewal(struct agent_session *a, struct bytes bytes)
{
    struct node_sessions *s = a->sessions;
    struct ha_note note;
    const enum err e = ha_note_decode(bytes, &note);

    if (e != OK || note.kind != HA_NOTE_RENEW || strcmp(note.as.renew.host, a->host) != 0) {
        return HA_FAREWELL_PROTOCOL;
    }
    a->renewed = renewed_now(s, &note.as.renew);
    if (!agent_node_serves(s)) {
        return HA_FAREWELL_NONE;
    }
    const struct raft_status status = node_status(s->node);
    if (status.role == RAFT_LEADER) {
        (void)node_ha_note(s->ha, a->id, bytes);
    } else if (status.leader != NODE_NONE) {
        relay_send(s, status.leader, NOTE_RELAY, a->id, bytes);
    }
    return HA_FAREWELL_NONE;
}

/* Where it is, or belongs. */
static size_t route_place(const struct node_sessions *s, node_id agent)
{
    size_t low = 0;
    size_t high = s->n_routes;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (s->routes[middle].agent < agent) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Where there are too many, all are learned anew: each agent renews several times a second. */
static void route_learn(struct node_sessions *s, node_id agent, node_id via,
                        const struct ha_renew *renew)
{
    size_t at = route_place(s, agent);

    if (at < s->n_routes && s->routes[at].agent == agent &&
        ha_renew_is_older(renew, s->routes[at].renewed.boot, s->routes[at].renewed.number)) {
        return;
    }
    if (at == s->n_routes || s->routes[at].agent != agent) {
        if (s->n_routes == NODE_ROUTES_MAX) {
            s->n_routes = 0;
            at = 0;
        }
        mem_grow((void **)&s->routes, &s->routes_cap, s->n_routes + 1, sizeof(s->routes[0]));
        memmove(&s->routes[at + 1], &s->routes[at], (s->n_routes - at) * sizeof(s->routes[0]));
        s->n_routes++;
        s->routes[at].agent = agent;
    }
    s->routes[at].via = via;
    s->routes[at].renewed = renewed_now(s, renew);
}

/* --- the way back ------------------------------------------------------------------------------
 */

/* A grant says how new a picture must be to act on it. */
static void answer_here(struct agent_session *a, struct bytes bytes)
{
    const struct ha_frame frame = {.kind = HA_FRAME_ANSWER, .as.note = bytes};
    struct ha_note note;

    agent_frame_out(a, &frame);
    if (ha_note_decode(bytes, &note) == OK && note.kind == HA_NOTE_GRANT &&
        note.as.grant.revision <= INT64_MAX) {
        agent_owe(a, (int64_t)note.as.grant.revision);
    }
}

/* Numbers of two boots say nothing of each other. */
static bool renewed_is_newer(const struct agent_renewed *x, const struct agent_renewed *than)
{
    return x->boot == than->boot ? x->number > than->number : x->at > than->at;
}

/* To an agent that this member serves, or that another does. */
void agent_answer(void *ctx, node_id to, struct bytes note)
{
    struct node_sessions *s = ctx;
    struct agent_session *a = agent_find(s, to);
    const size_t at = route_place(s, to);
    const struct agent_route *route =
        at < s->n_routes && s->routes[at].agent == to ? &s->routes[at] : NULL;

    if (a != NULL && (route == NULL || !renewed_is_newer(&route->renewed, &a->renewed))) {
        answer_here(a, note);
    } else if (route != NULL) {
        relay_send(s, route->via, NOTE_RELAYED, to, note);
    }
}

/* Of what came by a relay, `from` is the member, which has checked who the agent is. */
static void relay_take(struct node_sessions *s, node_id from, uint8_t kind, node_id agent,
                       struct bytes bytes)
{
    struct ha_note note;
    struct agent_session *a = agent_find(s, agent);

    if (ha_note_decode(bytes, &note) != OK) {
        return; /* of a member of another release */
    }
    if (kind == NOTE_RELAY && note.kind == HA_NOTE_RENEW &&
        ha_session_id(s->cluster, note.as.renew.host) == agent) {
        route_learn(s, agent, from, &note.as.renew);
        (void)node_ha_note(s->ha, agent, bytes);
    } else if (kind == NOTE_RELAYED && note.kind != HA_NOTE_RENEW && a != NULL) {
        answer_here(a, bytes);
    }
}

bool node_sessions_note(struct node_sessions *s, node_id from, struct bytes note)
{
    struct cursor c;

    cursor_init(&c, note);
    const uint8_t kind = cursor_u8(&c);
    if (!cursor_ok(&c) || (kind != NOTE_RELAY && kind != NOTE_RELAYED)) {
        return false;
    }
    const uint8_t version = cursor_u8(&c);
    const node_id agent = cursor_u64(&c);
    if (cursor_ok(&c) && version == RELAY_VERSION && s->node != NULL) {
        relay_take(s, from, kind, agent, cursor_take(&c, cursor_left(&c)));
    }
    return true;
}
