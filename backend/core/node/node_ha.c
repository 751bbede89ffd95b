#include "core/node/node_ha.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/node/node_records.h"
#include "core/store/store_pb.h"

/* Changes that one step of the watch looks at. */
#define HA_WATCH_BUDGET 4096

/* Who has every right, where rights are asked for. */
#define HA_USER "root"

/* Of TxnResponse. */
enum { TXN_SUCCEEDED = 2 };

/* One transaction under way. */
struct ha_proposal {
    struct node_request request;
    struct node_ha *ha;
    struct ha_txn *txn; /* NULL: forgotten */
    struct buf body;    /* owned: whoever asked may be gone before the node is done with it */
    struct ha_proposal *next;
    bool is_over; /* the node never had it */
    enum err error;
};

/* One confirmation, or barrier, under way. */
struct ha_reading {
    struct node_read read; /* of a barrier only the result is used */
    struct node_ha *ha;
    struct ha_confirm *confirm; /* NULL: forgotten */
    struct ha_reading *next;
    bool is_over;
    bool was_leader;
    uint64_t term;
    bool is_barrier;
    raft_index behind; /* a barrier's: the log's end when it began */
};

/* A note to this member itself. */
struct ha_own_note {
    struct ha_own_note *next;
    size_t len;
    uint8_t bytes[HA_NOTE_BYTES_MAX];
};

struct node_ha {
    const struct world *world;           /* borrowed */
    struct node *node;                   /* borrowed; NULL: not attached */
    const struct node_ha_router *router; /* borrowed; NULL: none */
    struct ha_store store;
    const struct ha_feed *feed; /* borrowed; NULL: nobody listens */
    struct store_stream *stream;
    struct ha_proposal *proposals; /* owned */
    struct ha_reading *readings;   /* owned */
    struct ha_own_note *notes;     /* owned, oldest first */
    struct ha_own_note **notes_end;
    struct world_timer soon; /* for what is over before it began, and for notes to ourselves */
    struct buf response;
    struct node_records_page page;
    bool pumping;
    bool is_anew; /* all is to be told again */
};

static bool ha_node_is_ready(const struct node_ha *h)
{
    return h->node != NULL && node_is_ready(h->node) && !node_is_halted(h->node);
}

/* --- the feed ----------------------------------------------------------------------------------
 */

/* All there is, page by page, at one revision. Nothing is written meanwhile: this is one call. */
static void ha_feed_begin(struct node_ha *h)
{
    const struct node_records_ear ear = {.ctx = h->feed->ctx, .changed = h->feed->changed};
    struct store *store = node_store(h->node);

    h->feed->began(h->feed->ctx);
    node_records_begin(&h->page);
    while (h->page.has_more) {
        const enum err e = node_records_read(&h->page, store, 0, &ear);
        CHECK(e == OK);
    }
    h->stream = node_records_watch(store, store_revision(store) + 1);
}

static void ha_feed_stop(struct node_ha *h)
{
    if (h->stream != NULL) {
        store_stream_close(h->stream);
        h->stream = NULL;
    }
}

/* Tells everything that the store has by now. */
static void ha_feed_pump(struct node_ha *h)
{
    enum store_watch_next next = STORE_WATCH_AGAIN;
    int64_t revision;

    if (h->feed == NULL || h->pumping || !ha_node_is_ready(h)) {
        return;
    }
    const struct node_records_ear ear = {.ctx = h->feed->ctx, .changed = h->feed->changed};
    h->pumping = true;
    if (h->is_anew) {
        ha_feed_stop(h);
    }
    h->is_anew = false;
    if (h->stream == NULL) {
        ha_feed_begin(h);
    }
    buf_clear(&h->response);
    while (next != STORE_WATCH_IDLE) {
        next = store_watch_next(h->stream, HA_WATCH_BUDGET, &revision, &h->response);
        if (next == STORE_WATCH_RESPONSE) {
            if (!node_records_tell(buf_view(&h->response), &ear)) {
                ha_feed_stop(h);
                ha_feed_begin(h);
            }
            buf_clear(&h->response);
        }
    }
    h->feed->reached(h->feed->ctx, store_revision(node_store(h->node)));
    h->pumping = false;
}

/* --- transactions ------------------------------------------------------------------------------
 */

static void ha_proposal_unlink(struct ha_proposal *p)
{
    struct ha_proposal **at = &p->ha->proposals;

    while (*at != p) {
        at = &(*at)->next;
    }
    *at = p->next;
}

static enum ha_txn_outcome ha_outcome_of(const struct node_request *request)
{
    struct store_pb pb;
    struct store_pb_field f;
    bool has_succeeded = false;

    if (request->result != OK) {
        return request->result == ERR_UNKNOWN ? HA_TXN_UNKNOWN : HA_TXN_REFUSED;
    }
    if (request->is_duplicate) {
        return HA_TXN_UNKNOWN; /* applied, but whether its guards held was not kept */
    }
    if (request->status != STORE_OK) {
        return HA_TXN_REFUSED;
    }
    store_pb_init(&pb, buf_view(&request->response));
    while (store_pb_next(&pb, &f)) {
        if (f.number == TXN_SUCCEEDED) {
            has_succeeded = store_pb_bool(&pb, &f);
        }
    }
    return has_succeeded ? HA_TXN_APPLIED : HA_TXN_STALE;
}

static void ha_proposal_end(struct ha_proposal *p, enum ha_txn_outcome outcome, enum err error)
{
    struct ha_txn *txn = p->txn;

    ha_proposal_unlink(p);
    if (txn != NULL) {
        txn->outcome = outcome;
        txn->error = error;
        txn->revision = p->request.revision;
        txn->done(txn);
    }
    buf_deinit(&p->body);
    mem_free(p);
}

static void ha_on_applied(struct node_request *request)
{
    struct ha_proposal *p = request->owner;
    enum err error =
        request->result == OK && request->status != STORE_OK ? ERR_DENIED : request->result;

    ha_feed_pump(p->ha);
    ha_proposal_end(p, ha_outcome_of(request), error);
}

static void ha_soon(struct node_ha *h)
{
    world_timer_set(h->world, &h->soon, world_now(h->world));
}

static void ha_submit(void *self, struct ha_txn *txn)
{
    struct node_ha *h = self;
    struct ha_proposal *p = mem_alloc_zero(sizeof(*p));

    CHECK(txn->done != NULL);
    p->ha = h;
    p->txn = txn;
    p->next = h->proposals;
    h->proposals = p;
    p->request.kind = STORE_KIND_TXN;
    buf_put(&p->body, txn->body.data, txn->body.len);
    p->request.body = buf_view(&p->body);
    p->request.done = ha_on_applied;
    p->request.owner = p;
    p->error = ha_node_is_ready(h) ? OK : ERR_CLOSED;
    if (p->error == OK && store_auth_is_enabled(node_store(h->node))) {
        p->request.user = (struct bytes){(const uint8_t *)HA_USER, sizeof(HA_USER) - 1};
        p->request.auth_revision = store_auth_revision(node_store(h->node));
    }
    if (p->error == OK) {
        p->error = node_propose(h->node, &p->request);
    }
    if (p->error != OK) {
        p->is_over = true;
        ha_soon(h);
    }
}

/* --- confirmations -----------------------------------------------------------------------------
 */

static void ha_reading_end(struct ha_reading *r, enum err result)
{
    struct node_ha *h = r->ha;
    struct ha_confirm *confirm = r->confirm;
    struct ha_reading **at = &h->readings;

    while (*at != r) {
        at = &(*at)->next;
    }
    *at = r->next;
    if (confirm != NULL) {
        struct raft_status status = {.role = RAFT_FOLLOWER};
        if (ha_node_is_ready(h)) {
            status = node_status(h->node);
        }
        confirm->result = result;
        confirm->is_leader =
            result == OK && r->was_leader && status.role == RAFT_LEADER && status.term == r->term;
        confirm->term = r->term;
        confirm->revision = result == OK ? store_revision(node_store(h->node)) : 0;
        confirm->done(confirm);
    }
    mem_free(r);
}

static void ha_on_read(struct node_read *read)
{
    struct ha_reading *r = read->owner;

    ha_feed_pump(r->ha);
    ha_reading_end(r, read->result);
}

static struct ha_reading *ha_reading_new(struct node_ha *h, struct ha_confirm *confirm)
{
    struct ha_reading *r = mem_alloc_zero(sizeof(*r));

    CHECK(confirm->done != NULL);
    r->ha = h;
    r->confirm = confirm;
    r->next = h->readings;
    h->readings = r;
    return r;
}

static void ha_confirm(void *self, struct ha_confirm *confirm)
{
    struct node_ha *h = self;
    struct ha_reading *r = ha_reading_new(h, confirm);

    r->read.done = ha_on_read;
    r->read.owner = r;
    if (ha_node_is_ready(h)) {
        struct raft_status status = node_status(h->node);
        r->was_leader = status.role == RAFT_LEADER;
        r->term = status.term;
        r->read.result = node_read(h->node, &r->read);
    } else {
        r->read.result = ERR_CLOSED;
    }
    if (r->read.result != OK) {
        r->is_over = true;
        ha_soon(h);
    }
}

/* Within a term a leader's log only grows, and what it has applied is what it had. */
static void ha_barrier_look(struct ha_reading *r, const struct raft_status *status)
{
    if (status->role != RAFT_LEADER || status->term != r->term) {
        r->read.result = ERR_NOT_LEADER;
        r->is_over = true;
    } else if (node_applied(r->ha->node) >= r->behind) {
        r->read.result = OK;
        r->is_over = true;
    }
    if (r->is_over) {
        ha_soon(r->ha);
    }
}

/* The node has applied something, or somebody else leads. */
static void ha_barriers_look(struct node_ha *h)
{
    if (h->readings == NULL || !ha_node_is_ready(h)) {
        return;
    }
    const struct raft_status status = node_status(h->node);
    for (struct ha_reading *r = h->readings; r != NULL; r = r->next) {
        if (r->is_barrier && !r->is_over) {
            ha_barrier_look(r, &status);
        }
    }
}

/* Requests that wait for their number are not in the log; nor has any of them ended. */
static void ha_barrier(void *self, struct ha_confirm *barrier)
{
    struct node_ha *h = self;
    struct ha_reading *r = ha_reading_new(h, barrier);

    r->is_barrier = true;
    if (ha_node_is_ready(h)) {
        const struct raft_status status = node_status(h->node);
        r->was_leader = status.role == RAFT_LEADER;
        r->term = status.term;
        r->behind = status.last;
        ha_barrier_look(r, &status);
    } else {
        r->read.result = ERR_CLOSED;
        r->is_over = true;
        ha_soon(h);
    }
}

/* --- notes, and what is over before it began ---------------------------------------------------
 */

static void ha_note(void *self, node_id to, struct bytes note)
{
    struct node_ha *h = self;

    CHECK(note.len <= HA_NOTE_BYTES_MAX && ha_note_is(note));
    if (to != h->store.member && h->router != NULL && h->node != NULL &&
        !node_peer_known(h->node, to)) {
        h->router->note(h->router->ctx, to, note);
        return;
    }
    if (to != h->store.member) {
        enum err ignored = h->node != NULL ? node_note(h->node, to, note) : ERR_CLOSED;
        (void)ignored; /* without promise */
        return;
    }
    struct ha_own_note *own = mem_alloc_zero(sizeof(*own));
    own->len = note.len;
    memcpy(own->bytes, note.data, note.len);
    *h->notes_end = own;
    h->notes_end = &own->next;
    ha_soon(h);
}

static struct ha_proposal *ha_proposal_over(struct node_ha *h)
{
    struct ha_proposal *p = h->proposals;

    while (p != NULL && !p->is_over) {
        p = p->next;
    }
    return p;
}

static struct ha_reading *ha_reading_over(struct node_ha *h)
{
    struct ha_reading *r = h->readings;

    while (r != NULL && !r->is_over) {
        r = r->next;
    }
    return r;
}

/* Of each kind what was there when the turn began: who is told may ask again, and is told no in the
 * next turn. */
static void ha_on_soon(struct world_timer *timer)
{
    struct node_ha *h = timer->owner;
    struct ha_own_note *note = h->notes;
    struct ha_proposal *over;
    struct ha_reading *read;
    uint32_t proposals = 0;
    uint32_t readings = 0;

    for (struct ha_proposal *p = h->proposals; p != NULL; p = p->next) {
        proposals += p->is_over;
    }
    for (struct ha_reading *r = h->readings; r != NULL; r = r->next) {
        readings += r->is_over;
    }
    h->notes = NULL;
    h->notes_end = &h->notes;
    ha_feed_pump(h);
    while (note != NULL) {
        struct ha_own_note *next = note->next;
        if (h->feed != NULL) {
            h->feed->noted(h->feed->ctx, h->store.member, (struct bytes){note->bytes, note->len});
        }
        mem_free(note);
        note = next;
    }
    for (; proposals > 0 && (over = ha_proposal_over(h)) != NULL; proposals--) {
        ha_proposal_end(over, HA_TXN_REFUSED, over->error);
    }
    for (; readings > 0 && (read = ha_reading_over(h)) != NULL; readings--) {
        ha_reading_end(read, read->read.result);
    }
}

static struct ha_leader ha_leads(void *self)
{
    struct node_ha *h = self;

    if (!ha_node_is_ready(h)) {
        return (struct ha_leader){.leader = NODE_NONE};
    }
    struct raft_status status = node_status(h->node);
    return (struct ha_leader){
        .leader = status.leader, .is_self = status.role == RAFT_LEADER, .term = status.term};
}

static void ha_set_feed(void *self, const struct ha_feed *feed)
{
    struct node_ha *h = self;

    for (struct ha_proposal *p = h->proposals; p != NULL; p = p->next) {
        p->txn = NULL;
    }
    for (struct ha_reading *r = h->readings; r != NULL; r = r->next) {
        r->confirm = NULL;
    }
    ha_feed_stop(h);
    h->feed = feed;
    if (feed != NULL) {
        ha_soon(h);
    }
}

static void ha_anew(void *self)
{
    struct node_ha *h = self;

    h->is_anew = true;
    ha_soon(h);
}

/* --- life --------------------------------------------------------------------------------------
 */

static const struct ha_store_ops node_ha_ops = {
    .submit = ha_submit,
    .confirm = ha_confirm,
    .barrier = ha_barrier,
    .note = ha_note,
    .leads = ha_leads,
    .feed = ha_set_feed,
    .anew = ha_anew,
};

struct node_ha *node_ha_open(const struct world *world, node_id member)
{
    struct node_ha *h = mem_alloc_zero(sizeof(*h));

    h->world = world;
    h->store = (struct ha_store){.self = h, .member = member, .ops = &node_ha_ops};
    h->notes_end = &h->notes;
    h->soon.fire = ha_on_soon;
    h->soon.owner = h;
    buf_init(&h->response);
    node_records_page_init(&h->page);
    return h;
}

void node_ha_close(struct node_ha *h)
{
    while (h->proposals != NULL) {
        struct ha_proposal *next = h->proposals->next;
        buf_deinit(&h->proposals->body);
        mem_free(h->proposals);
        h->proposals = next;
    }
    while (h->readings != NULL) {
        struct ha_reading *next = h->readings->next;
        mem_free(h->readings);
        h->readings = next;
    }
    while (h->notes != NULL) {
        struct ha_own_note *next = h->notes->next;
        mem_free(h->notes);
        h->notes = next;
    }
    ha_feed_stop(h);
    world_timer_cancel(h->world, &h->soon);
    buf_deinit(&h->response);
    node_records_page_deinit(&h->page);
    mem_free(h);
}

void node_ha_attach(struct node_ha *h, struct node *node)
{
    h->node = node;
}

void node_ha_route(struct node_ha *h, const struct node_ha_router *router)
{
    h->router = router;
}

const struct ha_store *node_ha_store(struct node_ha *h)
{
    return &h->store;
}

void node_ha_ready(struct node_ha *h)
{
    node_ha_advanced(h);
    node_ha_leader_changed(h);
}

void node_ha_advanced(struct node_ha *h)
{
    ha_feed_pump(h);
    ha_barriers_look(h);
}

void node_ha_leader_changed(struct node_ha *h)
{
    ha_barriers_look(h);
    if (h->feed != NULL) {
        h->feed->leader_changed(h->feed->ctx);
    }
}

bool node_ha_note(struct node_ha *h, node_id from, struct bytes note)
{
    if (!ha_note_is(note)) {
        return false;
    }
    if (h->feed != NULL && note.len <= HA_NOTE_BYTES_MAX) {
        h->feed->noted(h->feed->ctx, from, note);
    }
    return true;
}
