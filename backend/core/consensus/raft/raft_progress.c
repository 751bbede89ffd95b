#include "core/consensus/raft/raft_progress.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

bool raft_inflights_full(const struct raft_inflights *in)
{
    return in->count == in->max_messages || (in->max_bytes != 0 && in->bytes >= in->max_bytes);
}

static uint32_t inflights_slot(const struct raft_inflights *in, uint32_t offset)
{
    uint32_t slot = in->start + offset;
    return slot >= in->cap ? slot - in->cap : slot;
}

/* Doubles the ring, and lays what is in flight out from its beginning. */
static void inflights_grow(struct raft_inflights *in)
{
    uint32_t cap = in->cap == 0 ? 8 : in->cap * 2;
    cap = (uint32_t)u64_min(cap, in->max_messages);
    struct raft_inflight *ring = mem_realloc_array(NULL, cap, sizeof(*ring));
    for (uint32_t i = 0; i < in->count; i++) {
        ring[i] = in->ring[inflights_slot(in, i)];
    }
    mem_free(in->ring);
    in->ring = ring;
    in->cap = cap;
    in->start = 0;
}

void raft_inflights_add(struct raft_inflights *in, raft_index index, uint64_t bytes)
{
    CHECK(!raft_inflights_full(in));
    if (in->count == in->cap) {
        inflights_grow(in);
    }
    in->ring[inflights_slot(in, in->count)] = (struct raft_inflight){index, bytes};
    in->count++;
    in->bytes += bytes;
}

void raft_inflights_free_to(struct raft_inflights *in, raft_index index)
{
    while (in->count > 0 && in->ring[in->start].index <= index) {
        in->bytes -= in->ring[in->start].bytes;
        in->start = inflights_slot(in, 1);
        in->count--;
    }
}

void raft_inflights_clear(struct raft_inflights *in)
{
    in->start = 0;
    in->count = 0;
    in->bytes = 0;
}

void raft_progress_init(struct raft_progress *pr, raft_index next, uint32_t max_messages,
                        uint64_t max_bytes)
{
    CHECK(next > 0 && max_messages > 0);
    memset(pr, 0, sizeof(*pr));
    pr->next = next;
    pr->inflights.max_messages = max_messages;
    pr->inflights.max_bytes = max_bytes;
}

void raft_progress_deinit(struct raft_progress *pr)
{
    mem_free(pr->inflights.ring);
    memset(pr, 0, sizeof(*pr));
}

void raft_progress_reset(struct raft_progress *pr, raft_index match, raft_index next)
{
    struct raft_inflights in = pr->inflights;
    raft_inflights_clear(&in);
    memset(pr, 0, sizeof(*pr));
    pr->match = match;
    pr->next = next;
    pr->inflights = in;
}

static void progress_enter(struct raft_progress *pr, enum raft_progress_state state)
{
    pr->append_paused = false;
    pr->loading = false;
    pr->pending_snapshot = 0;
    pr->state = state;
    raft_inflights_clear(&pr->inflights);
}

void raft_progress_become_probe(struct raft_progress *pr)
{
    /* After a snapshot the logs are expected to meet at its end. */
    raft_index snapshot = pr->state == RAFT_SNAPSHOT ? pr->pending_snapshot : 0;
    progress_enter(pr, RAFT_PROBE);
    pr->next = u64_max(pr->match, snapshot) + 1;
    pr->sent_commit = u64_min(pr->sent_commit, pr->next - 1);
}

void raft_progress_become_replicate(struct raft_progress *pr)
{
    progress_enter(pr, RAFT_REPLICATE);
    pr->next = pr->match + 1;
}

void raft_progress_become_snapshot(struct raft_progress *pr, raft_index snapshot, nanos now)
{
    progress_enter(pr, RAFT_SNAPSHOT);
    pr->pending_snapshot = snapshot;
    pr->next = u64_max(snapshot, pr->match) + 1;
    pr->sent_commit = snapshot;
    pr->snapshot_alive = now;
}

void raft_progress_sent(struct raft_progress *pr, uint32_t n, uint64_t bytes)
{
    CHECK(pr->state != RAFT_SNAPSHOT);
    if (pr->state == RAFT_PROBE) {
        pr->append_paused = pr->append_paused || n > 0;
        return;
    }
    if (n > 0) {
        pr->next += n;
        raft_inflights_add(&pr->inflights, pr->next - 1, bytes);
    }
    pr->append_paused = raft_inflights_full(&pr->inflights);
}

bool raft_progress_acked(struct raft_progress *pr, raft_index index)
{
    if (index <= pr->match) {
        return false;
    }
    pr->match = index;
    pr->next = u64_max(pr->next, index + 1);
    pr->append_paused = false;
    return true;
}

bool raft_progress_rejected(struct raft_progress *pr, raft_index rejected, raft_index hint)
{
    if (pr->state == RAFT_REPLICATE) {
        if (rejected <= pr->match) {
            return false;
        }
        pr->next = pr->match + 1;
        pr->sent_commit = u64_min(pr->sent_commit, pr->next - 1);
        return true;
    }
    /* A member that is probed has one append under way: the one that followed next - 1. One that
     * fetches a snapshot has none. */
    if (pr->state == RAFT_SNAPSHOT || pr->next - 1 != rejected) {
        return false;
    }
    pr->next = u64_max(u64_min(rejected, hint + 1), pr->match + 1);
    pr->sent_commit = u64_min(pr->sent_commit, pr->next - 1);
    pr->append_paused = false;
    return true;
}

void raft_progress_regress(struct raft_progress *pr, raft_index lost)
{
    CHECK(lost > 0);
    pr->match = 0;
    progress_enter(pr, RAFT_PROBE);
    pr->next = lost;
    pr->sent_commit = u64_min(pr->sent_commit, pr->next - 1);
}

bool raft_progress_is_paused(const struct raft_progress *pr)
{
    return pr->state == RAFT_SNAPSHOT || pr->append_paused || pr->loading;
}

bool raft_progress_can_bump_commit(const struct raft_progress *pr, raft_index commit)
{
    /* Up to next - 1 the member has, or is about to have, the entries that a commit index needs. */
    return commit > pr->sent_commit && pr->sent_commit < pr->next - 1;
}

void raft_progress_check(const struct raft_progress *pr)
{
    CHECK(pr->match < pr->next);
    CHECK(pr->inflights.count <= pr->inflights.cap || pr->inflights.count == 0);
    CHECK(pr->inflights.count <= pr->inflights.max_messages);
    switch (pr->state) {
    case RAFT_PROBE:
        CHECK(pr->inflights.count == 0 && pr->pending_snapshot == 0);
        break;
    case RAFT_REPLICATE:
        CHECK(pr->pending_snapshot == 0);
        break;
    case RAFT_SNAPSHOT:
        CHECK(pr->inflights.count == 0 && pr->next > pr->pending_snapshot);
        break;
    }
}
