/*
 * What a founder does before it founds: asks all the others whether there is a group already.
 *
 * A founder with an empty disk cannot know whether it is new or has lost everything, the note of
 * its owner included. If it founded, its vote would be that of a member which forgot whom it had
 * voted for; and where a majority lost everything, they would found the group a second time, over
 * the heads of those that still have the data. So it votes for nothing, and answers nobody but
 * those who ask the same, until *every* other founder has said what it is:
 *
 *     NEW     its disk is empty, too, and it asks; or it has its answers and is about to found
 *     FRESH   it has founded, and nothing has happened since: no vote, no entry. So it is, too, if
 *             it was started again
 *     MEMBER  it has taken part in the group, or knows of one
 *
 *     empty disk --all are NEW or FRESH--> founds        (what recovery says: an empty disk)
 *         |
 *         +-------one of them is MEMBER--> a lost disk   (a wiped one: repaired before it votes)
 *
 * Why it is enough: where a group exists in which anything happened, some founder's disk holds more
 * than FRESH, or all of them were lost and there is nothing left to protect. As long as that
 * founder is away nobody founds, and when it is there it says MEMBER. Why it ends: founders that
 * all begin see each other NEW or FRESH until a majority of them has founded and elected a leader;
 * whoever still asks then comes up as a lost disk and is healed by that leader. Answers count for
 * NODE_ASK_FRESH only, as a disk may be mounted while somebody still asks.
 *
 * Whoever is no founder and opens a stream, knowing the cluster's id and members, is a proof of a
 * group as well.
 *
 * On the wire it is a stream of its own kind: a hello, and an answer of NODE_REFUSAL_BYTES
 * (node_hello.c, docs/formats/peer-stream.md).
 */
#include <string.h>

#include "core/node/node_int.h"

/* One founder that is asked. */
struct ask_peer {
    struct node *node;
    node_id id;
    struct world_endpoint at;
    char name[WORLD_HOST_MAX_BYTES];
    struct world_stream *stream; /* NULL: none */
    struct world_stream_sink sink;
    nanos asked;
    nanos answered; /* 0: not yet */
    struct buf answer;
};

struct node_ask {
    struct node *node;
    void (*decided)(void *ctx, bool is_member);
    void *ctx;
    struct ask_peer peer[NODE_PEERS_MAX];
    uint32_t peer_count;
    struct world_timer timer;
    nanos told; /* when the owner heard last for whom it waits */
    bool is_member;
};

/* --- answering ------------------------------------------------------------------------------- */

enum node_presence node_presence(const struct node *n)
{
    if (n->state != NODE_RUNNING) {
        return n->is_new ? NODE_PRESENCE_NEW : NODE_PRESENCE_MEMBER;
    }
    struct raft_status s = raft_status(n->raft);
    /* The first vote, and the first word of a leader, bring a term. */
    bool is_fresh = s.membership->n > 0 && s.term == 0 && s.last == s.snapshot;
    return is_fresh ? NODE_PRESENCE_FRESH : NODE_PRESENCE_MEMBER;
}

/* --- asking ---------------------------------------------------------------------------------- */

static void ask_hang_up(struct ask_peer *p)
{
    struct node *n = p->node;
    if (p->stream) {
        n->world->net->stream_close(n->world->self, p->stream);
        p->stream = NULL;
    }
}

static void ask_refused(const struct ask_peer *p, const char *why)
{
    const struct node *n = p->node;
    if (n->events.refused) {
        n->events.refused(n->events.ctx, p->id, &p->at, why);
    }
}

static void ask_on_opened(struct world_stream_sink *sink)
{
    struct ask_peer *p = sink->owner;
    const struct world_net_ops *net = p->node->world->net;
    if (p->name[0] != '\0' && net->stream_may_be &&
        !net->stream_may_be(p->node->world->self, p->stream, p->name)) {
        ask_refused(p, "the certificate at its address does not bear its name");
        ask_hang_up(p);
    }
}

static void ask_on_writable(struct world_stream_sink *sink)
{
    (void)sink; /* a hello always fits */
}

static void ask_on_closed(struct world_stream_sink *sink, enum err why)
{
    struct ask_peer *p = sink->owner;
    (void)why;
    p->stream = NULL;
}

/* The end of it is from the loop: this may be in the middle of what a stream brought. */
static void ask_learn_of_group(struct node *n)
{
    n->ask->is_member = true;
    world_timer_set(n->world, &n->ask->timer, world_now(n->world));
}

static bool ask_all_are_new(const struct node_ask *ask, nanos now)
{
    for (uint32_t i = 0; i < ask->peer_count; i++) {
        nanos answered = ask->peer[i].answered;
        if (answered == 0 || now - answered > NODE_ASK_FRESH) {
            return false;
        }
    }
    return true;
}

static void ask_on_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct ask_peer *p = sink->owner;
    struct node *n = p->node;
    size_t room = NODE_REFUSAL_BYTES - p->answer.len;
    buf_put(&p->answer, bytes.data, bytes.len < room ? bytes.len : room);
    if (p->answer.len < NODE_REFUSAL_BYTES) {
        return;
    }
    enum node_refusal why = node_refusal_decode(buf_view(&p->answer));
    enum node_presence presence = node_presence_decode(buf_view(&p->answer));
    ask_hang_up(p);
    if (why != NODE_REFUSAL_NONE) {
        ask_refused(p, node_refusal_told_text(why));
    } else if (presence == NODE_PRESENCE_MEMBER) {
        ask_learn_of_group(n);
    } else if (presence != NODE_PRESENCE_NONE) {
        p->answered = world_now(n->world);
        if (ask_all_are_new(n->ask, p->answered)) {
            world_timer_set(n->world, &n->ask->timer, p->answered);
        }
    }
}

static void ask_connect(struct ask_peer *p)
{
    struct node *n = p->node;
    const struct node_hello hello = {.kind = NODE_STREAM_ASK,
                                     .cluster = n->cfg.cluster,
                                     .from = n->cfg.id,
                                     .to = p->id,
                                     .lineage = NODE_LINEAGE_NONE,
                                     .level = (uint8_t)n->cfg.program_level};
    struct buf b;
    buf_init(&b);
    node_hello_encode(&hello, &b);
    buf_clear(&p->answer);
    p->asked = world_now(n->world);
    p->sink = (struct world_stream_sink){.opened = ask_on_opened,
                                         .received = ask_on_received,
                                         .writable = ask_on_writable,
                                         .closed = ask_on_closed,
                                         .owner = p};
    p->stream = n->world->net->connect(n->world->self, &p->at, &p->sink);
    enum err ignored = n->world->net->stream_send(n->world->self, p->stream, buf_view(&b));
    (void)ignored; /* the first bytes of a stream always fit its queue */
    buf_deinit(&b);
}

static void ask_tell_waits(struct node_ask *ask, nanos now)
{
    const struct node *n = ask->node;
    if (now - ask->told < NODE_ASK_TELL) {
        return;
    }
    ask->told = now;
    for (uint32_t i = 0; i < ask->peer_count && n->events.waits; i++) {
        const struct ask_peer *p = &ask->peer[i];
        if (p->answered == 0 || now - p->answered > NODE_ASK_FRESH) {
            n->events.waits(n->events.ctx, p->id, &p->at);
        }
    }
}

static void ask_on_timer(struct world_timer *timer)
{
    struct node_ask *ask = timer->owner;
    nanos now = world_now(ask->node->world);
    if (ask->is_member || ask_all_are_new(ask, now)) {
        ask->decided(ask->ctx, ask->is_member);
        return;
    }
    ask_tell_waits(ask, now);
    for (uint32_t i = 0; i < ask->peer_count; i++) {
        struct ask_peer *p = &ask->peer[i];
        if (p->stream && now - p->asked >= NODE_ASK_FRESH) {
            ask_hang_up(p); /* whoever is there answers sooner */
        }
        if (!p->stream) {
            ask_connect(p);
        }
    }
    world_timer_set(ask->node->world, timer, now + NODE_ASK_EVERY);
}

void node_ask_heard(struct node *n, const struct node_hello *hello)
{
    bool knows_members = hello->kind != NODE_STREAM_ASK && hello->lineage != NODE_LINEAGE_NONE;
    if (n->ask && knows_members && !raft_membership_lookup(n->cfg.founders, hello->from)) {
        ask_learn_of_group(n);
    }
}

/* --- life ------------------------------------------------------------------------------------ */

bool node_ask_is_due(const struct node *n)
{
    return n->cfg.asks_founders && n->cfg.founders && n->cfg.founders->n > 1 && !n->cfg.is_member &&
           n->cfg.port != 0;
}

void node_ask_begin(struct node *n, void (*decided)(void *ctx, bool is_member), void *ctx)
{
    struct node_ask *ask = mem_alloc_zero(sizeof(*ask));
    ask->node = n;
    ask->decided = decided;
    ask->ctx = ctx;
    ask->told = world_now(n->world);
    ask->timer = (struct world_timer){.fire = ask_on_timer, .owner = ask};
    for (uint32_t i = 0; i < n->cfg.peer_count; i++) {
        const struct node_peer *peer = &n->cfg.peers[i];
        if (peer->id != n->cfg.id && raft_membership_lookup(n->cfg.founders, peer->id)) {
            struct ask_peer *p = &ask->peer[ask->peer_count++];
            p->node = n;
            p->id = peer->id;
            p->at = peer->at;
            memcpy(p->name, peer->name, sizeof(p->name));
            buf_init(&p->answer);
        }
    }
    /* Of one that has no address nothing could be learned. */
    CHECK(ask->peer_count + 1 == n->cfg.founders->n);
    n->ask = ask;
    n->is_new = true;
    node_listen(n);
    if (n->state != NODE_HALTED) {
        world_timer_set(n->world, &ask->timer, world_now(n->world));
    }
}

void node_ask_end(struct node *n)
{
    struct node_ask *ask = n->ask;
    n->is_new = !ask->is_member;
    world_timer_cancel(n->world, &ask->timer);
    for (uint32_t i = 0; i < ask->peer_count; i++) {
        ask_hang_up(&ask->peer[i]);
    }
    node_ask_free(n);
}

void node_ask_free(struct node *n)
{
    struct node_ask *ask = n->ask;
    for (uint32_t i = 0; ask && i < ask->peer_count; i++) {
        buf_deinit(&ask->peer[i].answer);
    }
    mem_free(ask);
    n->ask = NULL;
}
