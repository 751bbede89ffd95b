/*
 * Three replicas in one process, no disk and no network: what the Raft core itself costs.
 *
 * One thread steps all three. Each turn the leader is given a batch of 64-byte proposals; messages
 * are handed over as structs, every batch is durable at once, and every committed entry is applied
 * by adding up its bytes. A commit is counted when the leader applies it. Allocations are counted
 * by wrapping malloc and its kin, after a warm-up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "core/base/check.h"
#include "core/consensus/raft/raft.h"

#define REPLICAS      3
#define PAYLOAD_BYTES 64
#define BATCH         64
#define WARM_UP       200000
#define ENTRIES       5000000
#define COMPACT_EVERY 20000

static uint64_t allocations;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    allocations++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    allocations++;
    return __real_realloc(p, n);
}

struct replica {
    struct raft *raft;
    raft_index applied;
    raft_term applied_term;
    uint64_t sum;
};

static struct replica replicas[REPLICAS];
static nanos bench_time = NANOS_PER_S;

static void replica_step(struct replica *x, struct raft_event e)
{
    e.now = bench_time;
    if (raft_step(x->raft, &e) != OK) {
        CHECK_UNREACHABLE("nothing here is ever refused");
    }
}

static void replica_apply(struct replica *x, const struct raft_update *u)
{
    for (uint32_t i = 0; i < u->committed_count; i++) {
        const struct bytes *b = &u->committed[i].payload;
        x->sum += b->len == 0 ? 0 : (uint64_t)(b->data[0] + b->data[b->len - 1]);
    }
    if (u->committed_count > 0) {
        x->applied = u->committed[u->committed_count - 1].index;
        x->applied_term = u->committed[u->committed_count - 1].term;
        replica_step(x, (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = x->applied});
    }
}

/* Carries one update out: the batch is durable at once, and messages arrive at once. */
static bool replica_turn(struct replica *x)
{
    if (!raft_has_update(x->raft)) {
        return false;
    }
    struct raft_update u;
    raft_take_update(x->raft, &u);
    for (uint32_t i = 0; i < u.message_count; i++) {
        struct raft_event e = {.type = RAFT_EVENT_MESSAGE, .message = &u.messages[i]};
        replica_step(&replicas[u.messages[i].to - 1], e);
    }
    for (uint32_t i = 0; i < u.message_durable_count; i++) {
        if (u.messages_durable[i].to != raft_status(x->raft).id) {
            struct raft_event e = {.type = RAFT_EVENT_MESSAGE, .message = &u.messages_durable[i]};
            replica_step(&replicas[u.messages_durable[i].to - 1], e);
        }
    }
    /* Stepping itself ends the life of the update: what is to oneself comes last. */
    struct raft_message own[BATCH];
    uint32_t own_count = 0;
    for (uint32_t i = 0; i < u.message_durable_count && own_count < BATCH; i++) {
        if (u.messages_durable[i].to == raft_status(x->raft).id) {
            own[own_count++] = u.messages_durable[i];
        }
    }
    uint64_t seq = u.persist_seq;
    replica_apply(x, &u);
    for (uint32_t i = 0; i < own_count; i++) {
        replica_step(x, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &own[i]});
    }
    if (seq != 0) {
        replica_step(x, (struct raft_event){.type = RAFT_EVENT_DURABLE, .seq = seq});
    }
    return true;
}

static void bench_settle(void)
{
    bool busy = true;
    while (busy) {
        busy = false;
        for (int i = 0; i < REPLICAS; i++) {
            busy = replica_turn(&replicas[i]) || busy;
        }
    }
}

static void bench_compact(void)
{
    for (int i = 0; i < REPLICAS; i++) {
        struct replica *x = &replicas[i];
        struct raft_snapshot s = {.index = x->applied,
                                  .term = x->applied_term,
                                  .membership = *raft_status(x->raft).membership};
        replica_step(x, (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_TAKEN, .snapshot = &s});
        replica_step(x, (struct raft_event){.type = RAFT_EVENT_COMPACT,
                                            .index = raft_compactable(x->raft, 0)});
    }
}

static void bench_start(void)
{
    struct raft_saved saved = {.snapshot = {.index = 1, .term = 1}};
    saved.snapshot.membership.n = REPLICAS;
    for (node_id id = 1; id <= REPLICAS; id++) {
        saved.snapshot.membership.member[id - 1] =
            (struct raft_member){.id = id, .roles = RAFT_VOTER, .priority = RAFT_PRIORITY_DEFAULT};
    }
    for (node_id id = 1; id <= REPLICAS; id++) {
        struct raft_config c = raft_config_default(id, id);
        struct replica *x = &replicas[id - 1];
        x->raft = raft_new(&c, &saved, bench_time);
        x->applied = 1;
        x->applied_term = 1;
        if (raft_load_done(x->raft) != OK) {
            CHECK_UNREACHABLE("an empty log loads");
        }
    }
    replica_step(&replicas[0], (struct raft_event){.type = RAFT_EVENT_CAMPAIGN});
    bench_settle();
    CHECK(raft_status(replicas[0].raft).role == RAFT_LEADER);
}

static void bench_commit(uint64_t entries)
{
    static uint8_t body[BATCH][PAYLOAD_BYTES];
    struct bytes payloads[BATCH];
    for (int i = 0; i < BATCH; i++) {
        payloads[i] = (struct bytes){body[i], PAYLOAD_BYTES};
    }
    raft_index goal = replicas[0].applied + entries;
    raft_index compacted = replicas[0].applied;
    while (replicas[0].applied < goal) {
        struct raft_event e = {.type = RAFT_EVENT_PROPOSE};
        e.propose.payloads = payloads;
        e.propose.n = BATCH;
        replica_step(&replicas[0], e);
        bench_settle();
        if (replicas[0].applied - compacted >= COMPACT_EVERY) {
            bench_compact();
            compacted = replicas[0].applied;
        }
        bench_time += NANOS_PER_US;
    }
}

int main(void)
{
    printf("raft: %d replicas in one process and one thread, no disk, no network;\n"
           "      %d-byte entries, %d a proposal, compacted every %d entries\n",
           REPLICAS, PAYLOAD_BYTES, BATCH, COMPACT_EVERY);
    bench_start();
    bench_commit(WARM_UP);
    uint64_t before = allocations;
    nanos start = bench_now();
    bench_commit(ENTRIES);
    nanos spent = bench_now() - start;
    uint64_t allocated = allocations - before;
    for (int i = 0; i < REPLICAS; i++) {
        bench_keep(replicas[i].sum);
        CHECK(replicas[i].applied >= ENTRIES);
        raft_free(replicas[i].raft);
    }
    bench_report("raft_commits_per_s", bench_rate(ENTRIES, spent), "commits/s");
    bench_report("raft_allocs_per_entry", (double)allocated / ENTRIES, "allocations/entry");
    return 0;
}
