/*
 * Do the members hold the same state? Each notes a hash of its store at every NODE_HASH_EVERY-th
 * entry and tells the others. Hashes of one entry are compared by value; replicas that hold a
 * majority's are right.
 *
 *   - This member differs from a majority: what it would answer, or pass on in a snapshot, is
 * wrong. It halts; with its disk emptied it comes back as a member that lost its log, and is given
 * a snapshot.
 *   - Another one differs: the owner is told who.
 *   - All have spoken and no majority agrees: nobody knows what is right. Writes are refused until
 *     one does, and the owner is told.
 */
#include <string.h>

#include "core/base/cursor.h"
#include "core/base/probe.h"
#include "core/node/node_int.h"

#define HASH_REPORT_BYTES 17
#define HASH_REPORT_KIND  1

static uint64_t *hash_slot(struct node_hashes *h, raft_index index)
{
    for (size_t i = 0; i < NODE_HASHES_KEPT; i++) {
        if (h->index[i] == index) {
            return &h->hash[i];
        }
    }
    return NULL;
}

static void hash_keep(struct node_hashes *h, raft_index index, uint64_t hash)
{
    h->index[h->next] = index;
    h->hash[h->next] = hash;
    h->next = (h->next + 1) % NODE_HASHES_KEPT;
}

/* The members with state, in order, and what each said about `index`. */
struct hash_tally {
    node_id id[RAFT_MEMBERS_MAX];
    uint64_t hash[RAFT_MEMBERS_MAX];
    unsigned spoken;
    unsigned replicas;
};

static void hash_gather(struct node *n, raft_index index, struct hash_tally *ret)
{
    memset(ret, 0, sizeof(*ret));
    const struct raft_membership *ms = raft_status(n->raft).membership;
    for (uint32_t i = 0; i < ms->n; i++) {
        if (!raft_member_is_full_voter(&ms->member[i])) {
            continue;
        }
        ret->replicas++;
        struct node_hashes *h = &n->hashes;
        for (uint32_t k = 0; k < n->cfg.peer_count && ms->member[i].id != n->cfg.id; k++) {
            h = n->links[k].peer == ms->member[i].id ? &n->links[k].hashes : h;
        }
        bool known = h != &n->hashes || ms->member[i].id == n->cfg.id;
        const uint64_t *hash = known ? hash_slot(h, index) : NULL;
        if (hash) {
            ret->id[ret->spoken] = ms->member[i].id;
            ret->hash[ret->spoken++] = *hash;
        }
    }
}

static unsigned hash_count(const struct hash_tally *t, uint64_t hash)
{
    unsigned count = 0;
    for (unsigned i = 0; i < t->spoken; i++) {
        count += t->hash[i] == hash;
    }
    return count;
}

static void hash_tell(struct node *n, node_id member)
{
    if (n->events.diverged) {
        n->events.diverged(n->events.ctx, member);
    }
}

static void hash_judge(struct node *n, raft_index index)
{
    struct hash_tally t;
    hash_gather(n, index, &t);
    for (unsigned i = 0; i < t.spoken; i++) {
        if (hash_count(&t, t.hash[i]) < quorum_size(t.replicas)) {
            continue;
        }
        n->is_disputed = false;
        PROBE(NODE_HASH_AGREED);
        for (unsigned k = 0; k < t.spoken; k++) {
            if (t.hash[k] != t.hash[i]) {
                hash_tell(n, t.id[k]);
            }
            if (t.hash[k] != t.hash[i] && t.id[k] == n->cfg.id) {
                node_halt(n, ERR_CORRUPT, "this member's state differs from a majority's");
                return;
            }
        }
        return;
    }
    if (t.spoken == t.replicas && t.replicas > 0 && !n->is_disputed) {
        n->is_disputed = true;
        hash_tell(n, NODE_NONE);
    }
}

void node_hash_applied(struct node *n)
{
    if (n->applied % NODE_HASH_EVERY != 0 || n->is_witness) {
        return;
    }
    uint64_t hash = store_hash(n->store);
    hash_keep(&n->hashes, n->applied, hash);
    struct buf report;
    buf_init(&report);
    buf_put_u8(&report, HASH_REPORT_KIND);
    buf_put_u64(&report, n->applied);
    buf_put_u64(&report, hash);
    for (uint32_t i = 0; i < n->cfg.peer_count; i++) {
        if (n->links[i].node) {
            (void)node_send_note(n, n->links[i].peer, buf_view(&report));
        }
    }
    buf_deinit(&report);
    hash_judge(n, n->applied);
}

bool node_hash_received(struct node *n, node_id from, struct bytes note)
{
    struct cursor c;
    cursor_init(&c, note);
    uint8_t kind = cursor_u8(&c);
    raft_index index = cursor_u64(&c);
    uint64_t hash = cursor_u64(&c);
    if (!cursor_done(&c) || note.len != HASH_REPORT_BYTES || kind != HASH_REPORT_KIND) {
        return false;
    }
    for (uint32_t i = 0; i < n->cfg.peer_count; i++) {
        if (n->links[i].node && n->links[i].peer == from) {
            hash_keep(&n->links[i].hashes, index, hash);
            hash_judge(n, index);
        }
    }
    return true;
}
