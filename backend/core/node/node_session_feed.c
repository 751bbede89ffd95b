/*
 * What an agent is told: at first everything, page by page at one revision, if it has nothing that
 * one can go on from; then what the watch tells. A step reads one page or one response, and only
 * while less than the window is on its way to the agent.
 *
 * That a revision is reached is told behind changes, and when the agent waits for it; of what else
 * the store has applied, which is none of the agent's business and may be thousands of revisions a
 * second, it hears with the next beat.
 */
#include <string.h>

#include "core/base/le.h"
#include "core/base/mem.h"
#include "core/node/node_session_int.h"

/* Changes that one step of the watch looks at. */
#define FEED_WATCH_BUDGET 512

/* --- frames ------------------------------------------------------------------------------------
 */

/* Frames go whole, in their order; what does not fit waits. False: something waits. */
static bool feed_flush(struct agent_session *a)
{
    const struct world *w = a->sessions->world;

    while (a->out_at < a->out.len) {
        const uint8_t *at = a->out.data + a->out_at;
        const struct bytes frame = {at, HA_FRAME_HEADER_BYTES + le32_load(at)};
        if (w->net->stream_send(w->self, a->stream, frame) != OK) {
            return false;
        }
        a->out_at += frame.len;
    }
    buf_clear(&a->out);
    a->out_at = 0;
    return true;
}

void agent_frame_out(struct agent_session *a, const struct ha_frame *frame)
{
    const size_t before = a->out.len;

    ha_frame_encode(frame, &a->out);
    a->sent += frame->kind == HA_FRAME_WELCOME ? 0 : a->out.len - before;
    (void)feed_flush(a);
}

static void feed_close_frame(struct agent_session *a)
{
    if (a->gathered.len > 0) {
        a->has_news = true;
        const struct ha_frame frame = {.kind = HA_FRAME_CHANGES,
                                       .as.changes = buf_view(&a->gathered)};
        agent_frame_out(a, &frame);
        buf_clear(&a->gathered);
    }
}

/* --- changes -----------------------------------------------------------------------------------
 */

static bool key_is_of_host(const struct agent_session *a, struct bytes text)
{
    struct ha_key key;

    return ha_key_parse(text, &key) == OK && key.kind == HA_HOST && strcmp(key.name, a->host) == 0;
}

static void agent_on_changed(void *ctx, const struct ha_change *change)
{
    struct agent_session *a = ctx;
    struct ha_change told = *change;

    if (change->is_delete && key_is_of_host(a, change->key)) {
        a->is_host_gone = true;
    }
    if (!ha_session_tells(change->key)) {
        return;
    }
    if (told.value.len > HA_SESSION_VALUE_MAX) {
        told.value.len = 0;
    }
    ha_change_encode(&told, &a->gathered);
    if (a->gathered.len >= HA_SESSION_CHANGES_BYTES) {
        feed_close_frame(a);
    }
}

void agent_feed_begin(struct agent_session *a, const struct ha_hello *hello)
{
    struct node_sessions *s = a->sessions;
    struct store *store = node_store(s->node);
    const uint32_t lineage = node_status(s->node).membership->lineage;
    const bool goes_on = hello->revision > 0 && hello->lineage == lineage &&
                         (int64_t)hello->revision >= store_compact_revision(store);
    const struct ha_frame welcome = {.kind = HA_FRAME_WELCOME,
                                     .as.welcome = {.lineage = lineage, .goes_on = goes_on}};
    const int64_t from = goes_on ? (int64_t)hello->revision : store_revision(store);

    a->taken_at = world_now(s->world);
    if (!goes_on) {
        a->page_revision = from;
        node_records_begin(&a->page);
    }
    a->watch = node_records_watch(store, from + 1);
    agent_frame_out(a, &welcome);
}

/* One page or one response. OK: there may be more; ERR_PENDING: there is no more now;
 * ERR_COMPACTED: it cannot go on. */
static enum err feed_step(struct agent_session *a)
{
    const struct node_records_ear ear = {.ctx = a, .changed = agent_on_changed};
    struct store *store = node_store(a->sessions->node);
    enum store_watch_next next = STORE_WATCH_AGAIN;
    int64_t ignored = 0;

    if (a->page.has_more) {
        TRY(node_records_read(&a->page, store, a->page_revision, &ear));
        feed_close_frame(a);
        return OK;
    }
    buf_clear(&a->page.response);
    while (next == STORE_WATCH_AGAIN) {
        next = store_watch_next(a->watch, FEED_WATCH_BUDGET, &ignored, &a->page.response);
    }
    if (next == STORE_WATCH_IDLE) {
        return ERR_PENDING;
    }
    const bool goes_on = node_records_tell(buf_view(&a->page.response), &ear);
    feed_close_frame(a);
    return goes_on ? OK : ERR_COMPACTED;
}

static void feed_say_reached(struct agent_session *a)
{
    const struct raft_status status = node_status(a->sessions->node);
    const struct ha_frame frame = {
        .kind = HA_FRAME_REACHED,
        .as.reached = {.revision = (uint64_t)store_revision(node_store(a->sessions->node)),
                       .term = status.term,
                       .leader = status.leader}};

    a->told = (int64_t)frame.as.reached.revision;
    a->has_news = false;
    agent_frame_out(a, &frame);
}

static void feed_say_outcomes(struct agent_session *a)
{
    struct agent_deal **at = &a->deals;

    while (*at != NULL) {
        struct agent_deal *d = *at;
        if (!d->is_over || d->revision > a->told) {
            at = &d->next;
            continue;
        }
        const struct ha_frame frame = {.kind = HA_FRAME_OUTCOME,
                                       .as.outcome = {.number = d->number,
                                                      .outcome = d->txn.outcome,
                                                      .error = d->txn.error,
                                                      .revision = d->txn.revision}};
        *at = d->next;
        a->deal_count--;
        ha_txn_deinit(&d->txn);
        mem_free(d);
        agent_frame_out(a, &frame);
    }
}

bool agent_feed_pump(struct agent_session *a, bool says_reached)
{
    enum err e = OK;

    if (!agent_node_serves(a->sessions)) {
        return true; /* the next beat sends it away */
    }
    while (e == OK && feed_flush(a) && a->sent - a->taken < NODE_SESSION_WINDOW) {
        e = feed_step(a);
    }
    if (e == ERR_COMPACTED) {
        agent_send_away(a, HA_FAREWELL_ANEW);
        return false;
    }
    const int64_t here = store_revision(node_store(a->sessions->node));
    const bool is_awaited = a->owed > a->told && here >= a->owed;
    if (e == ERR_PENDING && (says_reached || a->has_news || is_awaited)) {
        feed_say_reached(a);
    }
    if (a->is_host_gone) {
        agent_send_away(a, HA_FAREWELL_STRANGER);
        return false;
    }
    feed_say_outcomes(a);
    return true;
}

void agent_owe(struct agent_session *a, int64_t revision)
{
    a->owed = revision > a->owed ? revision : a->owed;
    (void)agent_feed_pump(a, false);
}

/* --- what it asks for --------------------------------------------------------------------------
 */

static void deal_unlink(struct agent_deal **first, const struct agent_deal *deal)
{
    while (*first != deal) {
        first = &(*first)->next;
    }
    *first = deal->next;
}

static void deal_on_done(struct ha_txn *txn)
{
    struct agent_deal *d = txn->owner;
    struct agent_session *a = d->session;

    if (a == NULL) {
        deal_unlink(&d->sessions->orphans, d);
        ha_txn_deinit(&d->txn);
        mem_free(d);
        return;
    }
    d->is_over = true;
    d->revision = txn->outcome == HA_TXN_APPLIED ? txn->revision : 0;
    agent_owe(a, d->revision);
}

enum ha_farewell agent_take_txn(struct agent_session *a, uint64_t number, struct bytes body)
{
    const struct ha_store *store = node_ha_store(a->sessions->ha);
    struct agent_deal *d = mem_alloc_zero(sizeof(*d));
    struct agent_deal **end = &a->deals;

    ha_txn_init(&d->txn);
    if (a->deal_count == NODE_SESSION_TXNS_MAX ||
        ha_session_txn(a->host, a->id, body, &d->txn) != OK) {
        ha_txn_deinit(&d->txn);
        mem_free(d);
        return HA_FAREWELL_PROTOCOL;
    }
    d->session = a;
    d->sessions = a->sessions;
    d->number = number;
    d->txn.done = deal_on_done;
    d->txn.owner = d;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = d;
    a->deal_count++;
    store->ops->submit(store->self, &d->txn);
    return HA_FAREWELL_NONE;
}

void agent_feed_end(struct agent_session *a)
{
    while (a->deals != NULL) {
        struct agent_deal *d = a->deals;
        a->deals = d->next;
        if (d->is_over) {
            ha_txn_deinit(&d->txn);
            mem_free(d);
        } else {
            d->session = NULL;
            d->next = a->sessions->orphans;
            a->sessions->orphans = d;
        }
    }
    if (a->watch != NULL) {
        store_stream_close(a->watch);
    }
    node_records_page_deinit(&a->page);
    buf_deinit(&a->gathered);
    buf_deinit(&a->out);
}
