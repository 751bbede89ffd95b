/* Committed entries into the store, outcomes to those who wait; and old entries back from the log.
 */
#include <string.h>

#include "core/node/node_int.h"

/* --- outcomes -------------------------------------------------------------------------------- */

static void apply_one(struct node *n, const struct raft_entry *e, nanos committed_at)
{
    struct store_entry entry = {.index = e->index, .term = e->term, .now = world_now(n->world)};
    /* What Raft itself wrote has no effect on the store but that its index is reached. */
    if (e->type == RAFT_ENTRY_NORMAL) {
        entry.payload = e->payload;
        n->applied_bytes += e->payload.len;
    }
    struct store_result result;
    memset(&result, 0, sizeof(result));
    struct buf response;
    buf_init(&response);
    enum err applied = store_apply(n->store, &entry, &result, &response);
    if (applied != OK) {
        buf_deinit(&response);
        node_halt(n, applied, "the log holds an entry that this program cannot apply");
        return;
    }
    bool ours = entry.payload.len > 0 && result.origin == n->cfg.id;
    struct node_request *request = ours ? node_take_request(n, result.boot, result.sequence) : NULL;
    if (!request) {
        buf_deinit(&response);
        return;
    }
    request->status = result.status;
    request->revision = result.revision;
    request->is_duplicate = result.duplicate;
    request->committed_at = committed_at;
    buf_deinit(&request->response);
    request->response = response;
    bool known = result.status != STORE_OUTCOME_UNKNOWN;
    node_finish_request(n, request, known ? OK : ERR_UNKNOWN);
}

static void load_free(struct node_load *load)
{
    wal_read_deinit(&load->read);
    buf_deinit(&load->payloads);
    mem_free(load->entries);
    mem_free(load->offsets);
    mem_free(load);
}

static void apply_forget_load(struct node *n)
{
    if (n->apply_load) {
        load_free(n->apply_load);
        n->apply_load = NULL;
    }
}

void node_apply(struct node *n, const struct raft_update *u)
{
    if (u->committed_count == 0) {
        return;
    }
    nanos now = world_now(n->world);
    for (uint32_t i = 0; i < u->committed_count && n->state == NODE_RUNNING; i++) {
        const struct raft_entry *e = &u->committed[i];
        if (!n->is_witness) {
            apply_one(n, e, now);
        }
        n->applied = e->index;
        n->applied_term = e->term;
        n->has_applied = true;
        if (n->events.applied && n->state == NODE_RUNNING) {
            n->events.applied(n->events.ctx, e);
        }
        node_hash_applied(n);
    }
    if (n->state != NODE_RUNNING) {
        return;
    }
    enum err ignored =
        node_tell(n, (struct raft_event){.type = RAFT_EVENT_APPLIED, .index = n->applied});
    (void)ignored;
    if (n->apply_load && n->apply_load->count > 0 &&
        n->apply_load->entries[n->apply_load->count - 1].index <= n->applied) {
        apply_forget_load(n);
    }
    const struct raft_member *own =
        raft_membership_lookup(raft_status(n->raft).membership, n->cfg.id);
    n->is_witness = n->is_witness || (own && (own->roles & RAFT_WITNESS));
}

/* --- old entries ----------------------------------------------------------------------------- */

static void load_tell(struct node *n, struct node_load *load)
{
    struct raft_event e = {.type = RAFT_EVENT_LOADED};
    e.loaded.peer = load->wanted.peer;
    e.loaded.first = load->wanted.first;
    e.loaded.entries = load->entries;
    e.loaded.n = (uint32_t)load->count;
    e.loaded.repair = load->wanted.repair;
    enum err ignored = node_tell(n, e);
    (void)ignored;
    if (load->wanted.peer == n->cfg.id && load->wanted.repair == 0 && load->count > 0) {
        apply_forget_load(n);
        n->apply_load = load; /* lives until it is applied */
    } else {
        load_free(load);
    }
}

static void load_on_entry(struct wal_read *read, const struct wal_entry *entry)
{
    struct node_load *load = read->owner;
    if (load->count == RAFT_MESSAGE_ENTRIES_MAX ||
        entry->index != load->wanted.first + load->count) {
        return;
    }
    mem_grow((void **)&load->entries, &load->cap, load->count + 1, sizeof(load->entries[0]));
    mem_grow((void **)&load->offsets, &load->offset_cap, load->count + 1, sizeof(load->offsets[0]));
    load->offsets[load->count] = load->payloads.len;
    load->entries[load->count++] = (struct raft_entry){.index = entry->index,
                                                       .term = entry->term,
                                                       .type = (enum raft_entry_type)entry->type,
                                                       .payload = {NULL, entry->payload.len}};
    buf_put(&load->payloads, entry->payload.data, entry->payload.len);
}

static void load_unlink(struct node *n, struct node_load *load)
{
    for (struct node_load **at = &n->loads; *at; at = &(*at)->next) {
        if (*at == load) {
            *at = load->next;
            return;
        }
    }
}

/* The log took it for sound, and it is not: nobody else reads it before the scrub does. */
static void load_tell_damage(struct node *n, raft_index lo, raft_index hi)
{
    struct raft_event e = {.type = RAFT_EVENT_DAMAGED, .damaged = {lo, hi}};
    enum err ignored = node_tell(n, e);
    (void)ignored;
}

static void load_on_done(struct wal_read *read, enum err result)
{
    struct node_load *load = read->owner;
    struct node *n = load->node;
    raft_index lo = read->lo;
    raft_index hi = read->hi;
    load_unlink(n, load);
    for (size_t i = 0; i < load->count; i++) {
        struct bytes *payload = &load->entries[i].payload;
        payload->data = payload->len == 0 ? NULL : load->payloads.data + load->offsets[i];
    }
    if (n->state != NODE_RUNNING) {
        load_free(load);
        return;
    }
    load_tell(n, load); /* what was read before an error is good */
    if (result == ERR_CORRUPT) {
        load_tell_damage(n, lo, hi);
    }
    node_pump(n);
}

void node_begin_loads(struct node *n, const struct raft_update *u)
{
    for (uint32_t i = 0; i < u->load_count; i++) {
        struct node_load *load = mem_alloc_zero(sizeof(*load));
        load->node = n;
        load->wanted = u->loads[i];
        buf_init(&load->payloads);
        load->read.lo = load->wanted.first;
        load->read.hi = load->wanted.last;
        load->read.bytes_max = load->wanted.max_bytes;
        load->read.entry = load_on_entry;
        load->read.done = load_on_done;
        load->read.owner = load;
        bool begun = load->wanted.first <= load->wanted.last && wal_read(n->wal, &load->read) == OK;
        struct node_load **list = begun ? &n->loads : &n->loads_failed;
        load->next = *list;
        *list = load;
    }
}

/* What failed at once is told when stepping is allowed again. */
void node_loads_failed(struct node *n)
{
    while (n->loads_failed && n->state == NODE_RUNNING) {
        struct node_load *load = n->loads_failed;
        n->loads_failed = load->next;
        load_tell(n, load);
    }
}

void node_loads_free(struct node *n)
{
    apply_forget_load(n);
    struct node_load **lists[] = {&n->loads, &n->loads_failed};
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        while (*lists[i]) {
            struct node_load *load = *lists[i];
            *lists[i] = load->next;
            load_free(load);
        }
    }
}
