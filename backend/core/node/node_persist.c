/*
 * From an update to the log and back. Batches go to the log in Raft's order, and are complete in
 * it. One whose snapshot is still being loaded, or for which the log has no room, waits with copies
 * of its entries, and those behind it wait, too.
 *
 * Without space on the disk a node must still be able to vote, or a full disk would cost a quorum:
 * a batch that waits for room then has its hard state written from the log's reserve, and its votes
 * are sent. They promise nothing about the entries that wait; acknowledgements of those do, and
 * stay.
 */
#include <string.h>

#include "core/base/cursor.h"
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/node/node_int.h"

static void batch_free(struct node_batch *b)
{
    buf_deinit(&b->payloads);
    buf_deinit(&b->frames);
    mem_free(b->entries);
    mem_free(b->repairs);
    mem_free(b);
}

void node_batches_free(struct node *n)
{
    while (n->batches) {
        struct node_batch *b = n->batches;
        n->batches = b->next;
        batch_free(b);
    }
}

/* --- messages that wait ---------------------------------------------------------------------- */

static void batch_keep_messages(struct node_batch *b, const struct raft_update *u)
{
    for (uint32_t i = 0; i < u->message_durable_count; i++) {
        buf_put_u64(&b->frames, u->messages_durable[i].to);
        size_t at = b->frames.len;
        buf_put_u32(&b->frames, 0);
        raft_message_encode(&u->messages_durable[i], &b->frames);
        buf_set_u32(&b->frames, at, (uint32_t)(b->frames.len - at - sizeof(uint32_t)));
    }
}

/* What may be answered on a full disk, once term and vote are on it. A request for votes may not:
 * it speaks of the entries that have no room. */
static bool batch_is_vote(enum raft_message_type type)
{
    return type == RAFT_MSG_VOTE_RESP || type == RAFT_MSG_PRE_VOTE_RESP;
}

/* Sends what waited for the batch; with `only_votes`, its votes, and without them, what was not
 * sent that way before. */
static void batch_release(struct node *n, struct node_batch *b, bool only_votes)
{
    struct raft_message_space space;
    memset(&space, 0, sizeof(space));
    size_t at = 0;
    while (at < b->frames.len) {
        struct cursor c;
        cursor_init(&c, (struct bytes){b->frames.data + at, b->frames.len - at});
        node_id to = cursor_u64(&c);
        struct bytes bytes = cursor_take(&c, cursor_u32(&c));
        at = (size_t)(c.at - b->frames.data);
        struct raft_message m;
        CHECK(raft_message_decode(bytes, &space, &m) == OK);
        bool vote = batch_is_vote(m.type);
        if (only_votes ? !vote : vote && b->votes_sent) {
            continue;
        }
        if (to != n->cfg.id) {
            node_send_encoded(n, &m, bytes);
            continue;
        }
        enum err ignored =
            node_tell(n, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &m});
        (void)ignored; /* an acknowledgement to oneself may be of a term that is over */
    }
    raft_message_space_deinit(&space);
    b->votes_sent = b->votes_sent || only_votes;
}

/* --- into the log ---------------------------------------------------------------------------- */

static struct wal_entry entry_of(const struct raft_entry *e)
{
    return (struct wal_entry){
        .index = e->index, .term = e->term, .type = (uint8_t)e->type, .payload = e->payload};
}

static const struct wal_entry *batch_convert(struct node *n, const struct raft_entry *entries,
                                             size_t count)
{
    mem_grow((void **)&n->wal_entries, &n->wal_entry_cap, count, sizeof(n->wal_entries[0]));
    for (size_t i = 0; i < count; i++) {
        n->wal_entries[i] = entry_of(&entries[i]);
    }
    return n->wal_entries;
}

/* How many of the entries go into the log at once: at most half a batch of it, so that there is a
 * place for them sooner or later, whatever an update gathered. */
static size_t batch_part(const struct node *n, const struct wal_entry *entries, size_t count)
{
    uint64_t bytes = 0;
    size_t part = 0;
    while (part < count) {
        bytes += WAL_RECORD_HEADER_BYTES + entries[part].payload.len;
        if (part > 0 && bytes > n->cfg.batch_bytes / 2) {
            break;
        }
        part++;
    }
    return part;
}

/* The batch's hard state. Where that of a later batch went ahead of it, for want of room, the term
 * and vote that were promised then stay in the log. */
static struct wal_hard_state batch_hard(const struct node *n, const struct node_batch *b)
{
    struct wal_hard_state hard = b->hard;
    const struct wal_hard_state *ahead = &wal_log(n->wal)->hard;
    bool is_newer = ahead->term > hard.term || (ahead->term == hard.term && hard.vote == NODE_NONE);
    if (is_newer) {
        hard.term = ahead->term;
        hard.vote = ahead->vote;
    }
    return hard;
}

/* Goes on where an earlier attempt ended. A commit index is written with the entries up to it, not
 * before. */
static enum err batch_append_entries(struct node *n, struct node_batch *b,
                                     const struct wal_entry *entries, size_t count)
{
    bool has_marks = b->has_hard || b->install.index != 0;
    while (b->entries_done < count || (has_marks && !b->has_begun)) {
        /* Without entries there is no array to point into. */
        const struct wal_entry *rest = b->entries_done < count ? entries + b->entries_done : NULL;
        size_t part = batch_part(n, rest, count - b->entries_done);
        size_t done = b->entries_done + part;
        struct wal_hard_state hard = batch_hard(n, b);
        if (done < count) {
            hard.commit = u64_min(hard.commit, entries[done - 1].index);
        }
        struct wal_append append = {.seq = n->wal_seq + 1,
                                    .hard = b->has_hard ? &hard : NULL,
                                    .entries = rest,
                                    .entry_count = part};
        if (!b->has_begun) {
            append.snapshot_index = b->install.index;
            append.snapshot_term = b->install.term;
        }
        TRY(wal_append(n->wal, &append));
        n->wal_seq++;
        b->has_begun = true;
        b->entries_done = done;
    }
    return OK;
}

static enum err batch_append_repairs(struct node *n, struct node_batch *b,
                                     const struct wal_entry *repairs, size_t count)
{
    while (b->repairs_done < count) {
        struct wal_append append = {
            .seq = n->wal_seq + 1, .entries = repairs + b->repairs_done, .is_repair = true};
        append.entry_count = batch_part(n, append.entries, count - b->repairs_done);
        TRY(wal_append(n->wal, &append));
        n->wal_seq++;
        b->repairs_done += append.entry_count;
    }
    return OK;
}

static void batch_copy_entries(struct node_batch *b, struct wal_entry **to, size_t *count,
                               const struct raft_entry *from, size_t n)
{
    if (n == 0) {
        return;
    }
    *to = mem_realloc_array(NULL, n, sizeof(**to));
    *count = n;
    for (size_t i = 0; i < n; i++) {
        (*to)[i] = entry_of(&from[i]);
        /* As an offset at first: the buffer moves while it grows. */
        (*to)[i].payload.data = (const uint8_t *)(uintptr_t)b->payloads.len;
        buf_put(&b->payloads, from[i].payload.data, from[i].payload.len);
    }
}

static void batch_settle(struct node_batch *b, struct wal_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t offset = (size_t)(uintptr_t)entries[i].payload.data;
        entries[i].payload.data = entries[i].payload.len == 0 ? NULL : b->payloads.data + offset;
    }
}

static void batch_keep_entries(struct node_batch *b, const struct raft_update *u)
{
    batch_copy_entries(b, &b->entries, &b->entry_count, u->entries, u->entry_count);
    batch_copy_entries(b, &b->repairs, &b->repair_count, u->repairs, u->repair_count);
    batch_settle(b, b->entries, b->entry_count);
    batch_settle(b, b->repairs, b->repair_count);
}

/* The log has no room. Raft is told that the disk stands: it gives its leadership up, and does not
 * campaign. */
static void node_note_space(struct node *n, bool lacks)
{
    n->lacks_space = lacks;
    world_timer_set(n->world, &n->tick, world_now(n->world));
}

static void batch_wait_for_log(struct node *n, struct node_batch *b, enum err why)
{
    b->state = BATCH_WAITS_LOG;
    PROBE(NODE_BATCH_WAITS);
    if (why == ERR_NO_SPACE && !n->lacks_space) {
        node_note_space(n, true);
    } else if (why != ERR_NO_SPACE && why != ERR_BUSY) {
        node_halt(n, why, "the log took no more: the disk failed, or an entry broke its rules");
    }
}

void node_persist(struct node *n, const struct raft_update *u)
{
    if (u->persist_seq == 0) {
        return;
    }
    struct node_batch *b = mem_alloc_zero(sizeof(*b));
    b->raft_seq = u->persist_seq;
    buf_init(&b->payloads);
    buf_init(&b->frames);
    /* A commit index alone is not worth a write: the next batch that has one carries it. */
    b->has_hard =
        (u->must_sync && !(MUTANT(TERM_NOT_PERSISTED) && u->entry_count == 0)) || u->install;
    b->hard = (struct wal_hard_state){u->hard_state.term, u->hard_state.vote, u->hard_state.commit};
    batch_keep_messages(b, u);
    bool behind = false;
    for (const struct node_batch *other = n->batches; other; other = other->next) {
        behind = behind || other->state != BATCH_WRITTEN;
    }
    if (u->install) {
        b->install = *u->install;
        b->state = BATCH_WAITS_INSTALL;
        batch_keep_entries(b, u);
    } else if (behind) {
        b->state = BATCH_WAITS_LOG;
        batch_keep_entries(b, u);
    } else {
        const struct wal_entry *entries = batch_convert(n, u->entries, u->entry_count);
        enum err e = batch_append_entries(n, b, entries, u->entry_count);
        if (e == OK && u->repair_count > 0) {
            const struct wal_entry *repairs = batch_convert(n, u->repairs, u->repair_count);
            e = batch_append_repairs(n, b, repairs, u->repair_count);
        }
        b->state = BATCH_WRITTEN;
        b->wal_seq = n->wal_seq;
        if (e != OK) {
            batch_keep_entries(b, u);
            batch_wait_for_log(n, b, e);
        }
    }
    *n->batches_end = b;
    n->batches_end = &b->next;
    if (u->install) {
        node_install(n, u->install);
    }
}

/* Without room: the hard state goes into the reserve, so that votes can be given. A batch without
 * one (a pre-vote promises nothing) waits for those before it. */
static void batch_write_vote(struct node *n, struct node_batch *b)
{
    if (b->vote_written) {
        return;
    }
    if (!b->has_hard) {
        b->vote_written = true;
        b->wal_seq = n->wal_seq;
        return;
    }
    /* No commit index: what it covers waits, too, and the log may have other entries there. */
    struct wal_hard_state hard = batch_hard(n, b);
    hard.commit = wal_log(n->wal)->hard.commit;
    struct wal_append append = {.seq = n->wal_seq + 1, .hard = &hard};
    if (wal_append(n->wal, &append) == OK) {
        n->wal_seq++;
        b->vote_written = true;
        b->wal_seq = n->wal_seq;
    }
}

void node_persist_retry(struct node *n)
{
    for (struct node_batch *b = n->batches; b && n->state == NODE_RUNNING; b = b->next) {
        if (b->state == BATCH_WAITS_INSTALL) {
            break;
        }
        if (b->state == BATCH_WRITTEN) {
            continue;
        }
        enum err e = batch_append_entries(n, b, b->entries, b->entry_count);
        if (e == OK) {
            e = batch_append_repairs(n, b, b->repairs, b->repair_count);
        }
        if (e != OK) {
            batch_wait_for_log(n, b, e);
            break;
        }
        b->state = BATCH_WRITTEN;
        b->wal_seq = n->wal_seq;
    }
    bool waits = false;
    for (struct node_batch *b = n->batches; b; b = b->next) {
        waits = waits || b->state == BATCH_WAITS_LOG;
        if (b->state == BATCH_WAITS_LOG && n->lacks_space) {
            batch_write_vote(n, b);
        }
    }
    if (n->lacks_space && !waits && wal_status(n->wal) == WAL_OK) {
        node_note_space(n, false);
    }
    wal_flush(n->wal);
}

/* --- and back -------------------------------------------------------------------------------- */

/* Batches that are durable are complete, in order. */
void node_persist_complete(struct node *n)
{
    for (struct node_batch *b = n->batches; b && n->state == NODE_RUNNING; b = b->next) {
        bool vote_durable = b->vote_written && b->wal_seq <= n->wal_durable;
        if (b->state == BATCH_WAITS_LOG && vote_durable && !b->votes_sent) {
            batch_release(n, b, true);
            PROBE(NODE_VOTE_AHEAD);
        }
    }
    while (n->batches && n->batches->state == BATCH_WRITTEN &&
           n->batches->wal_seq <= n->wal_durable && n->state == NODE_RUNNING) {
        struct node_batch *b = n->batches;
        n->batches = b->next;
        if (!n->batches) {
            n->batches_end = &n->batches;
        }
        batch_release(n, b, false);
        enum err ignored =
            node_tell(n, (struct raft_event){.type = RAFT_EVENT_DURABLE, .seq = b->raft_seq});
        (void)ignored;
        batch_free(b);
    }
}

static void persist_on_durable(void *ctx, uint64_t seq)
{
    struct node *n = ctx;
    n->wal_durable = seq;
    if (n->state == NODE_RUNNING) {
        node_persist_complete(n);
        node_pump(n);
    }
}

static void persist_on_status(void *ctx, enum wal_status status, enum err why)
{
    struct node *n = ctx;
    if (status == WAL_FAILED) {
        node_halt(n, why, "a write or sync of the log failed: what is on the disk is unknown");
        return;
    }
    if (n->state == NODE_RUNNING) {
        node_note_space(n, status == WAL_NO_SPACE);
    }
}

static void persist_on_synced(void *ctx, nanos latency)
{
    (void)ctx;
    (void)latency; /* Raft measures its batches itself */
}

static void persist_on_room(void *ctx)
{
    struct node *n = ctx;
    if (n->state == NODE_RUNNING) {
        node_persist_retry(n);
        node_persist_complete(n);
        node_pump(n);
    }
}

struct wal_events node_wal_events(struct node *n)
{
    return (struct wal_events){.ctx = n,
                               .durable = persist_on_durable,
                               .status = persist_on_status,
                               .synced = persist_on_synced,
                               .room = persist_on_room};
}

bool node_persist_marker(struct node *n, const struct raft_snapshot *s)
{
    struct wal_append append = {
        .seq = n->wal_seq + 1, .snapshot_index = s->index, .snapshot_term = s->term};
    if (wal_append(n->wal, &append) != OK) {
        return false;
    }
    n->wal_seq++;
    wal_flush(n->wal);
    return true;
}
