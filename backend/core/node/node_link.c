/*
 * Messages to and from peers, over the world's streams.
 *
 * A node opens two streams to each peer and sends on them; what it receives comes in on those that
 * peers opened. One is for the log, one for snapshots, so that a snapshot never delays a heartbeat.
 * A stream begins with a hello and goes on with frames; docs/formats/peer-stream.md has them byte
 * by byte. A frame that does not check, or a hello of another cluster or node, ends the stream.
 *
 *     frame:  length u32, CRC32C of what follows u32, a message (raft_message.h);
 *             with the highest bit of the length set, a note instead (node_hash.c)
 *
 * Nothing is kept for a peer that cannot be reached: Raft sends again what still matters.
 */
#include <string.h>

#include "core/base/crc.h"
#include "core/base/cursor.h"
#include "core/node/node_int.h"

#define LINK_NOTE 0x80000000U /* the bit of a frame's length that marks a note */

_Static_assert(RAFT_MESSAGE_BYTES_MAX < LINK_NOTE, "a frame's length");

static void link_tell_refused(const struct node *n, node_id peer, const struct world_endpoint *at,
                              const char *why)
{
    if (n->events.refused) {
        n->events.refused(n->events.ctx, peer, at, why);
    }
}

static const struct node_peer *link_peer(const struct node *n, node_id id)
{
    for (uint32_t i = 0; i < n->cfg.peer_count; i++) {
        if (n->cfg.peers[i].id == id) {
            return &n->cfg.peers[i];
        }
    }
    return NULL;
}

/* Is there nothing in what the other end proved that says it is not this peer? */
static bool link_may_be(const struct node *n, const struct world_stream *stream,
                        const struct node_peer *peer)
{
    const struct world_net_ops *net = n->world->net;
    return !peer || peer->name[0] == '\0' || !net->stream_may_be ||
           net->stream_may_be(n->world->self, stream, peer->name);
}

/* --- the way out ----------------------------------------------------------------------------- */

static void link_connect(struct node_out *out);
static void link_lost(struct node_out *out);

static void link_hello(struct node_out *out)
{
    struct node *n = out->link->node;
    const struct node_hello hello = {.kind = out->kind,
                                     .cluster = n->cfg.cluster,
                                     .from = n->cfg.id,
                                     .to = out->link->peer,
                                     .lineage = node_lineage(n),
                                     .level = (uint8_t)n->cfg.program_level};
    struct buf b;
    buf_init(&b);
    node_hello_encode(&hello, &b);
    enum err ignored = n->world->net->stream_send(n->world->self, out->stream, buf_view(&b));
    (void)ignored; /* the first bytes of a stream always fit its queue */
    buf_deinit(&b);
}

static void link_drop_outgoing(struct node_out *out)
{
    struct node *n = out->link->node;
    n->world->net->stream_close(n->world->self, out->stream);
    link_lost(out);
}

static void link_on_opened(struct world_stream_sink *sink)
{
    struct node_out *out = sink->owner;
    struct node *n = out->link->node;
    out->is_open = true;
    out->opened_at = world_now(n->world);
    if (!link_may_be(n, out->stream, link_peer(n, out->link->peer))) {
        link_tell_refused(n, out->link->peer, &out->link->at,
                          "the certificate at its address does not bear its name");
        link_drop_outgoing(out);
    }
}

/* A peer says nothing on a stream that we opened, unless it refuses it. */
static void link_on_answer(struct world_stream_sink *sink, struct bytes bytes)
{
    struct node_out *out = sink->owner;
    struct node *n = out->link->node;
    size_t room = NODE_REFUSAL_BYTES - out->answer.len;
    if (room == 0) {
        return;
    }
    buf_put(&out->answer, bytes.data, bytes.len < room ? bytes.len : room);
    if (out->answer.len == NODE_REFUSAL_BYTES) {
        enum node_refusal why = node_refusal_decode(buf_view(&out->answer));
        if (why != NODE_REFUSAL_NONE) {
            link_tell_refused(n, out->link->peer, &out->link->at, node_refusal_told_text(why));
            node_lineage_refused(n, out->link->peer, why);
        }
    }
}

static void link_on_writable(struct world_stream_sink *sink)
{
    (void)sink; /* what did not fit was dropped: Raft sends again */
}

static void link_tell_lost(struct node *n, enum raft_event_type type, node_id peer)
{
    if (n->state == NODE_RUNNING) {
        enum err ignored = node_tell(n, (struct raft_event){.type = type, .node = peer});
        (void)ignored;
        world_timer_set(n->world, &n->turn, world_now(n->world));
    }
}

void node_peer_died(struct node *n, node_id peer)
{
    link_tell_lost(n, RAFT_EVENT_STREAM_RESET, peer);
}

/* A stream that lasted is opened again soon; one that did not, because it was refused perhaps,
 * after ever longer pauses. */
static void link_lost(struct node_out *out)
{
    struct node *n = out->link->node;
    nanos now = world_now(n->world);
    if (out->is_open && now >= out->opened_at + NODE_STREAM_PROVEN) {
        out->backoff = NODE_RECONNECT_MIN;
    }
    out->stream = NULL;
    out->is_open = false;
    world_timer_set(n->world, &out->retry, now + out->backoff);
    out->backoff = u64_min(out->backoff * 2, NODE_RECONNECT_MAX);
    if (out == &out->link->out[NODE_STREAM_LOG]) {
        link_tell_lost(n, RAFT_EVENT_UNREACHABLE, out->link->peer);
    }
}

static void link_on_out_closed(struct world_stream_sink *sink, enum err why)
{
    (void)why;
    link_lost(sink->owner);
}

static void link_on_retry(struct world_timer *timer)
{
    struct node_out *out = timer->owner;
    if (out->link->node->state == NODE_RUNNING) {
        link_connect(out);
    }
}

static void link_connect(struct node_out *out)
{
    struct node *n = out->link->node;
    out->sink = (struct world_stream_sink){.opened = link_on_opened,
                                           .received = link_on_answer,
                                           .writable = link_on_writable,
                                           .closed = link_on_out_closed,
                                           .owner = out};
    buf_clear(&out->answer);
    out->stream = n->world->net->connect(n->world->self, &out->link->at, &out->sink);
    link_hello(out);
}

/* Its place in `links`, or -1. */
static int link_slot(const struct node *n, node_id peer)
{
    for (uint32_t i = 0; i < n->cfg.peer_count; i++) {
        if (n->links[i].peer == peer && n->links[i].node) {
            return (int)i;
        }
    }
    return -1;
}

/* NULL: no address is known of it. */
static struct node_link *link_find(struct node *n, node_id peer)
{
    int slot = link_slot(n, peer);
    return slot < 0 ? NULL : &n->links[slot];
}

static enum node_stream_kind link_kind(enum raft_message_type type)
{
    return type == RAFT_MSG_SNAP_CHUNK ? NODE_STREAM_BULK : NODE_STREAM_LOG;
}

static bool link_send(struct node *n, node_id to, enum node_stream_kind kind, struct bytes frame)
{
    struct node_link *link = link_find(n, to);
    struct node_out *out = link ? &link->out[kind] : NULL;
    bool sent =
        out && out->stream && n->world->net->stream_send(n->world->self, out->stream, frame) == OK;
    n->counted.frames_dropped += !sent;
    if (link) {
        link->frames_sent += sent;
        link->frames_dropped += !sent;
        link->bytes_sent += sent ? frame.len : 0;
    }
    return sent;
}

static void link_seal(struct buf *frame, uint32_t mark)
{
    uint32_t length = (uint32_t)(frame->len - NODE_FRAME_HEADER_BYTES);
    buf_set_u32(frame, 0, length | mark);
    buf_set_u32(frame, 4, crc32c(0, frame->data + NODE_FRAME_HEADER_BYTES, length));
}

static void link_send_message(struct node *n, const struct raft_message *m)
{
    link_seal(&n->scratch, 0);
    (void)link_send(n, m->to, link_kind(m->type), buf_view(&n->scratch));
    if (n->events.sent) {
        n->events.sent(n->events.ctx, m);
    }
}

void node_send(struct node *n, const struct raft_message *m)
{
    buf_clear(&n->scratch);
    buf_put_u64(&n->scratch, 0);
    raft_message_encode(m, &n->scratch);
    link_send_message(n, m);
}

void node_send_encoded(struct node *n, const struct raft_message *m, struct bytes encoded)
{
    buf_clear(&n->scratch);
    buf_put_u64(&n->scratch, 0);
    buf_put(&n->scratch, encoded.data, encoded.len);
    link_send_message(n, m);
}

bool node_send_note(struct node *n, node_id to, struct bytes note)
{
    buf_clear(&n->scratch);
    buf_put_u64(&n->scratch, 0);
    buf_put(&n->scratch, note.data, note.len);
    link_seal(&n->scratch, LINK_NOTE);
    return link_send(n, to, NODE_STREAM_LOG, buf_view(&n->scratch));
}

enum err node_note(struct node *n, node_id to, struct bytes note)
{
    CHECK(note.len <= NODE_NOTE_BYTES_MAX);
    if (n->state != NODE_RUNNING || n->is_stopping) {
        return ERR_CLOSED;
    }
    if (store_feature_level(n->store) < NODE_NOTE_LEVEL) {
        return ERR_UNSUPPORTED;
    }
    if (!link_find(n, to)) {
        return ERR_NOT_FOUND;
    }
    struct buf b;
    buf_init(&b);
    buf_put_u8(&b, NODE_NOTE_OWNER);
    buf_put(&b, note.data, note.len);
    bool sent = node_send_note(n, to, buf_view(&b));
    buf_deinit(&b);
    return sent ? OK : ERR_BUSY;
}

/* --- the way in ------------------------------------------------------------------------------ */

/* Does it answer streams: of members, or of other founders before it runs? */
static bool link_takes_streams(const struct node *n)
{
    return n->state == NODE_RUNNING || (n->state == NODE_RECOVERING && n->is_new);
}

static void link_drop_incoming(struct node_incoming *in)
{
    if (in->stream) {
        in->node->world->net->stream_close(in->node->world->self, in->stream);
        in->stream = NULL;
    }
    world_timer_cancel(in->node->world, &in->hello_due);
    buf_clear(&in->pending);
}

static enum node_refusal link_judge(const struct node_incoming *in, const struct node_hello *hello)
{
    const struct node *n = in->node;
    if (hello->cluster != n->cfg.cluster) {
        return NODE_REFUSAL_CLUSTER;
    }
    if (hello->from == n->cfg.id) {
        return NODE_REFUSAL_SAME_ID;
    }
    if (hello->to != n->cfg.id) {
        return NODE_REFUSAL_ADDRESSEE;
    }
    const struct node_peer *peer = link_peer(n, hello->from);
    if (hello->kind == NODE_STREAM_ASK || n->state != NODE_RUNNING) {
        return link_may_be(n, in->stream, peer) ? NODE_REFUSAL_NONE : NODE_REFUSAL_NAME;
    }
    enum node_refusal lineage = node_lineage_judge(n, hello);
    if (lineage != NODE_REFUSAL_NONE) {
        return lineage;
    }
    if (!peer) {
        return NODE_REFUSAL_UNKNOWN;
    }
    if (n->store && hello->level < store_feature_level(n->store)) {
        return NODE_REFUSAL_LEVEL;
    }
    return link_may_be(n, in->stream, peer) ? NODE_REFUSAL_NONE : NODE_REFUSAL_NAME;
}

/* Tells our owner why, and the other end, unless it is a stranger. */
static void link_refuse(struct node_incoming *in, node_id from, enum node_refusal why)
{
    struct node *n = in->node;
    if (why != NODE_REFUSAL_STRANGE) {
        struct buf b;
        buf_init(&b);
        node_refusal_encode(why, &b);
        enum err ignored = n->world->net->stream_send(n->world->self, in->stream, buf_view(&b));
        (void)ignored; /* the first bytes of a stream always fit its queue */
        buf_deinit(&b);
    }
    link_tell_refused(n, from, &in->from, node_refusal_text(why));
}

/* Tells a founder that asks what this member is to it: also one that is not known here. */
static void link_answer_founder(struct node_incoming *in)
{
    struct node *n = in->node;
    struct buf b;
    buf_init(&b);
    node_presence_encode(node_presence(n), &b);
    enum err ignored = n->world->net->stream_send(n->world->self, in->stream, buf_view(&b));
    (void)ignored; /* the first bytes of a stream always fit its queue */
    buf_deinit(&b);
}

/* False: the stream ends, as it was refused, or answered. */
static bool link_read_hello(struct node_incoming *in, struct bytes bytes)
{
    struct node_hello hello = {.from = NODE_NONE};
    enum node_refusal why = node_hello_decode(bytes, &hello);
    if (why == NODE_REFUSAL_NONE) {
        why = link_judge(in, &hello);
    }
    if (why == NODE_REFUSAL_NONE && hello.kind == NODE_STREAM_ASK) {
        link_answer_founder(in);
        return false;
    }
    if (why == NODE_REFUSAL_NONE && in->node->state != NODE_RUNNING) {
        node_ask_heard(in->node, &hello);
        return false; /* there is no Raft yet that it could speak to */
    }
    if (why != NODE_REFUSAL_NONE) {
        link_refuse(in, hello.from, why);
        return false;
    }
    world_timer_cancel(in->node->world, &in->hello_due);
    in->peer = hello.from;
    in->kind = hello.kind;
    struct node_link *link = link_find(in->node, hello.from);
    if (link) {
        link->level = hello.level;
        link->heard = world_now(in->node->world);
    }
    return true;
}

static void link_on_hello_due(struct world_timer *timer)
{
    struct node_incoming *in = timer->owner;
    link_tell_refused(in->node, NODE_NONE, &in->from, "it did not say who it is");
    link_drop_incoming(in);
}

/* The peer has opened this stream in place of an earlier one, whose end nobody may have told: a
 * host that loses its power says nothing. Raft is told nothing either, as the peer is there. */
static void link_replace(struct node_incoming *in)
{
    for (size_t i = 0; i < NODE_INCOMING_MAX; i++) {
        struct node_incoming *old = &in->node->incoming[i];
        if (old != in && old->stream && old->peer == in->peer && old->kind == in->kind) {
            link_drop_incoming(old);
        }
    }
}

/* A message from a peer. False: it is no message, or not the peer's own. */
static bool link_read_message(struct node_incoming *in, struct raft_message_space *space,
                              struct bytes bytes)
{
    struct raft_message m;
    if (raft_message_decode(bytes, space, &m) != OK || m.from != in->peer) {
        return false;
    }
    struct node_link *link = link_find(in->node, in->peer);
    if (link) {
        link->heard = world_now(in->node->world);
    }
    enum err ignored =
        node_tell(in->node, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &m});
    (void)ignored; /* a refusal is Raft's affair, and counted there */
    return true;
}

/* A note: of the node itself, or of its owner. False: of nobody. */
static bool link_read_note(struct node_incoming *in, struct bytes note)
{
    struct node *n = in->node;
    if (note.len == 0 || note.data[0] != NODE_NOTE_OWNER) {
        return node_hash_received(n, in->peer, note);
    }
    if (note.len > NODE_NOTE_BYTES_MAX + 1) {
        return false;
    }
    if (n->events.note) {
        n->events.note(n->events.ctx, in->peer, (struct bytes){note.data + 1, note.len - 1});
    }
    return true;
}

/* Takes one hello or frame from the front. Returns how many bytes it had; 0: not whole yet. Clears
 * *good where the stream must end. */
static size_t link_take(struct node_incoming *in, struct raft_message_space *space,
                        struct bytes bytes, bool *good)
{
    struct cursor c;
    cursor_init(&c, bytes);
    if (in->peer == NODE_NONE) {
        if (bytes.len < NODE_HELLO_BYTES) {
            return 0;
        }
        *good = link_read_hello(in, cursor_take(&c, NODE_HELLO_BYTES));
        if (*good) {
            link_replace(in);
        }
        return NODE_HELLO_BYTES;
    }
    if (bytes.len < NODE_FRAME_HEADER_BYTES) {
        return 0;
    }
    uint32_t marked = cursor_u32(&c);
    uint32_t length = marked & ~LINK_NOTE;
    uint32_t crc = cursor_u32(&c);
    if (length > RAFT_MESSAGE_BYTES_MAX) {
        *good = false;
        return 0;
    }
    if (cursor_left(&c) < length) {
        return 0;
    }
    struct bytes message = cursor_take(&c, length);
    *good =
        crc32c(0, message.data, message.len) == crc &&
        (marked & LINK_NOTE ? link_read_note(in, message) : link_read_message(in, space, message));
    return NODE_FRAME_HEADER_BYTES + length;
}

/* Who takes a stream that begins so, and is none of a member's. The openings of all three kinds
 * begin alike, and their third byte tells them apart (docs/formats/peer-stream.md). */
static struct world_listener *link_taker(const struct node *n, struct bytes bytes)
{
    bool is_agent = bytes.len > 2 && memcmp(bytes.data, "NCA", 3) == 0;
    return is_agent ? n->cfg.agents : n->cfg.guest;
}

/* A stream that is none of a member's, and has a taker at this port: the place is free again. */
static bool link_hand_over(struct node_incoming *in)
{
    struct node *n = in->node;
    struct bytes bytes = buf_view(&in->pending);
    struct world_listener *guest = link_taker(n, bytes);
    if (in->peer != NODE_NONE || !guest || node_hello_may_begin(bytes)) {
        return false;
    }
    struct world_stream *stream = in->stream;
    struct world_stream_sink *sink = guest->accepted(guest, stream, &in->from);
    if (!sink) {
        link_tell_refused(n, NODE_NONE, &in->from, node_refusal_text(NODE_REFUSAL_STRANGE));
        link_drop_incoming(in);
        return true;
    }
    n->world->net->stream_hand_over(n->world->self, stream, sink);
    in->stream = NULL;
    world_timer_cancel(n->world, &in->hello_due);
    sink->received(sink, bytes);
    buf_clear(&in->pending);
    return true;
}

static void link_on_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct node_incoming *in = sink->owner;
    struct node *n = in->node;
    struct node_link *link = in->peer != NODE_NONE ? link_find(n, in->peer) : NULL;
    if (link) {
        link->bytes_received += bytes.len;
    }
    struct raft_message_space space;
    memset(&space, 0, sizeof(space));
    buf_put(&in->pending, bytes.data, bytes.len);
    if (link_hand_over(in)) {
        return;
    }
    size_t at = 0;
    /* One that is halted, or recovers, answers nobody: no stream is kept for it. */
    bool good = link_takes_streams(n);
    while (good && link_takes_streams(n)) {
        struct bytes rest = {in->pending.data + at, in->pending.len - at};
        size_t taken = link_take(in, &space, rest, &good);
        at += taken;
        if (taken == 0) {
            break;
        }
    }
    raft_message_space_deinit(&space);
    if (good) {
        memmove(in->pending.data, in->pending.data + at, in->pending.len - at);
        in->pending.len -= at;
    } else {
        link_drop_incoming(in);
    }
    node_pump(n);
}

static void link_on_in_closed(struct world_stream_sink *sink, enum err why)
{
    struct node_incoming *in = sink->owner;
    (void)why;
    in->stream = NULL;
    world_timer_cancel(in->node->world, &in->hello_due);
    buf_clear(&in->pending);
    /* A snapshot's pieces are asked for again in time; the end of their stream says nothing of the
     * peer. */
    if (in->peer != NODE_NONE && in->kind == NODE_STREAM_LOG) {
        link_tell_lost(in->node, RAFT_EVENT_STREAM_RESET, in->peer);
    }
}

static void link_on_in_opened(struct world_stream_sink *sink)
{
    (void)sink;
}

/* A free place; or that of whoever has owed its hello for longest, so that strangers who connect
 * and say nothing keep no peer out. NULL: all are peers'. */
static struct node_incoming *link_place(struct node *n)
{
    struct node_incoming *oldest = NULL;
    for (size_t i = 0; i < NODE_INCOMING_MAX; i++) {
        struct node_incoming *in = &n->incoming[i];
        if (!in->stream) {
            return in;
        }
        if (in->peer == NODE_NONE && (!oldest || in->hello_due.at < oldest->hello_due.at)) {
            oldest = in;
        }
    }
    if (oldest) {
        link_tell_refused(n, NODE_NONE, &oldest->from, "it did not say who it is, and others came");
        link_drop_incoming(oldest);
    }
    return oldest;
}

static struct world_stream_sink *link_on_accepted(struct world_listener *listener,
                                                  struct world_stream *stream,
                                                  const struct world_endpoint *from)
{
    struct node *n = listener->owner;
    bool has_guests = n->cfg.guest || n->cfg.agents;
    struct node_incoming *in = link_takes_streams(n) || has_guests ? link_place(n) : NULL;
    if (!in) {
        return NULL;
    }
    in->node = n;
    in->stream = stream;
    in->from = *from;
    in->peer = NODE_NONE;
    in->hello_due = (struct world_timer){.fire = link_on_hello_due, .owner = in};
    world_timer_set(n->world, &in->hello_due, world_now(n->world) + NODE_HELLO_TIMEOUT);
    buf_clear(&in->pending);
    in->sink = (struct world_stream_sink){.opened = link_on_in_opened,
                                          .received = link_on_received,
                                          .writable = link_on_writable,
                                          .closed = link_on_in_closed,
                                          .owner = in};
    return &in->sink;
}

void node_links_part(struct node *n)
{
    for (size_t i = 0; i < NODE_INCOMING_MAX; i++) {
        struct node_incoming *in = &n->incoming[i];
        if (in->stream && in->peer != NODE_NONE &&
            !raft_membership_lookup(raft_status(n->raft).membership, in->peer)) {
            link_drop_incoming(in);
        }
    }
}

nanos node_link_heard(const struct node *n, node_id peer)
{
    int slot = link_slot(n, peer);
    return slot < 0 ? 0 : n->links[slot].heard;
}

uint8_t node_link_level(const struct node *n, node_id peer)
{
    int slot = link_slot(n, peer);
    return slot < 0 ? 0 : n->links[slot].level;
}

/* --- life ------------------------------------------------------------------------------------ */

/* Opens the streams to the peer in this place of the configuration. */
static void link_open(struct node *n, uint32_t i)
{
    struct node_link *link = &n->links[i];
    link->node = n;
    link->peer = n->cfg.peers[i].id;
    link->at = n->cfg.peers[i].at;
    link->frames_sent = link->frames_dropped = 0;
    link->bytes_sent = link->bytes_received = 0;
    memset(&link->hashes, 0, sizeof(link->hashes));
    link->level = 0;
    link->heard = 0;
    for (int kind = 0; kind < NODE_STREAM_KINDS; kind++) {
        struct node_out *out = &link->out[kind];
        out->link = link;
        out->kind = (enum node_stream_kind)kind;
        out->backoff = NODE_RECONNECT_MIN;
        out->retry = (struct world_timer){.fire = link_on_retry, .owner = out};
        link_connect(out);
    }
}

void node_listen(struct node *n)
{
    if (n->is_listening) {
        return;
    }
    CHECK(n->world->net);
    n->listener = (struct world_listener){.accepted = link_on_accepted, .owner = n};
    if (n->world->net->listen(n->world->self, n->cfg.port, &n->listener) != OK) {
        node_halt(n, ERR_EXISTS, "the peer port is taken");
        return;
    }
    n->is_listening = true;
}

void node_links_open(struct node *n)
{
    if (n->cfg.port == 0) {
        return;
    }
    node_listen(n);
    if (!n->is_listening) {
        return;
    }
    for (uint32_t i = 0; i < n->cfg.peer_count; i++) {
        if (n->cfg.peers[i].id != n->cfg.id) {
            link_open(n, i);
        }
    }
}

/* A place for one more peer: one that was left, or the next. */
static uint32_t link_free_slot(const struct node *n)
{
    uint32_t i = 0;
    while (i < n->cfg.peer_count && n->links[i].node) {
        i++;
    }
    return i;
}

static void link_close(struct node_link *link)
{
    struct node *n = link->node;
    for (int kind = 0; kind < NODE_STREAM_KINDS; kind++) {
        struct node_out *out = &link->out[kind];
        world_timer_cancel(n->world, &out->retry);
        if (out->stream) {
            n->world->net->stream_close(n->world->self, out->stream);
            out->stream = NULL;
        }
        out->is_open = false;
    }
    link->node = NULL;
    link->peer = NODE_NONE;
}

enum err node_peer_set(struct node *n, const struct node_peer *peer)
{
    if (n->state != NODE_RUNNING) {
        return ERR_CLOSED;
    }
    if (peer->id == n->cfg.id || !n->is_listening) {
        return OK;
    }
    struct node_link *link = link_find(n, peer->id);
    if (link && link->at.port == peer->at.port && strcmp(link->at.host, peer->at.host) == 0) {
        return OK;
    }
    struct node_hashes hashes = {0};
    uint8_t level = 0;
    nanos heard = 0;
    if (link) {
        hashes = link->hashes;
        level = link->level;
        heard = link->heard;
        link_close(link);
    }
    uint32_t slot = link_free_slot(n);
    if (slot == NODE_PEERS_MAX) {
        return ERR_BUSY;
    }
    n->cfg.peers[slot] = *peer;
    n->cfg.peer_count = (uint32_t)u64_max(n->cfg.peer_count, slot + 1);
    link_open(n, slot);
    n->links[slot].hashes = hashes;
    n->links[slot].level = level;
    n->links[slot].heard = heard;
    return OK;
}

bool node_peer_known(const struct node *n, node_id peer)
{
    return link_slot(n, peer) >= 0;
}

void node_peer_drop(struct node *n, node_id peer)
{
    struct node_link *link = n->state == NODE_RUNNING ? link_find(n, peer) : NULL;
    if (link) {
        link_close(link);
    }
}

void node_links_free(struct node *n)
{
    for (size_t i = 0; i < NODE_INCOMING_MAX; i++) {
        buf_deinit(&n->incoming[i].pending);
    }
    for (uint32_t i = 0; i < n->cfg.peer_count; i++) {
        for (int kind = 0; kind < NODE_STREAM_KINDS; kind++) {
            buf_deinit(&n->links[i].out[kind].answer);
        }
    }
}
