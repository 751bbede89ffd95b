/*
 * Requests between node_propose and their outcome.
 *
 *     node_propose --> urgent, queued --room--> waiting --applied--> done
 *                                                |   ^
 *                          another leader, refused   |
 *                                                v   |
 *                                                again
 *
 * OVERLOAD. What is proposed and not applied is limited, in number and in bytes; what comes on top
 * waits here, without a number, and costs Raft, the log and the peers nothing. The limit of bytes
 * is this node's part of what a leader takes before it commits, so that a leader refuses hardly
 * anything that it was sent; the limit of numbers is what the store remembers, so that each request
 * under way may be proposed again and is applied once. A queue whose head has waited for
 * NODE_QUEUE_PATIENCE takes no more: a request that would time out in it is refused at once, and
 * its client knows that it was not applied. Reads, and with them the renewals of leases, do not
 * wait here.
 */
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/node/node_int.h"

_Static_assert(NODE_FLIGHT_BYTES_MIN >= STORE_REQUEST_BYTES_MAX + NODE_REQUEST_OVERHEAD_BYTES,
               "the largest request may be under way");

static void list_init(struct node_request_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void list_push(struct node_request_list *list, struct node_request *request)
{
    request->next = NULL;
    *list->end = request;
    list->end = &request->next;
}

/* Takes out the one that `at` points to, a link of the list. */
static struct node_request *list_take(struct node_request_list *list, struct node_request **at)
{
    struct node_request *request = *at;
    *at = request->next;
    if (!*at) {
        list->end = at;
    }
    return request;
}

static void list_move_all(struct node_request_list *from, struct node_request_list *to)
{
    if (from->first) {
        *to->end = from->first;
        to->end = from->end;
        list_init(from);
    }
}

void node_requests_init(struct node *n)
{
    list_init(&n->requests.urgent);
    list_init(&n->requests.queued);
    list_init(&n->requests.again);
    list_init(&n->requests.waiting);
}

static uint64_t request_bytes(const struct node_request *request)
{
    return request->body.len + request->user.len + NODE_REQUEST_OVERHEAD_BYTES;
}

void node_finish_request(struct node *n, struct node_request *request, enum err result)
{
    request->result = result;
    n->counted.requests_failed += result != OK;
    request->next = NULL;
    *n->finished_end = request;
    n->finished_end = &request->next;
}

/* --- numbers --------------------------------------------------------------------------------- */

/* Positive, and as good as unique; the same whenever the request is proposed again. */
static uint64_t request_assigned_id(node_id id, const struct node_request *request)
{
    uint64_t mixed = hash_u64(hash_u64(hash_u64(0, id), request->boot), request->sequence);
    return u64_max(mixed & INT64_MAX, 1);
}

/* A boot number that was lost with its disk may have been drawn below the one before, and the store
 * refuses what an earlier life may have proposed. By what it knows, this life starts beyond; far
 * enough that another life which did the same before is not met. */
static void request_check_boot(struct node *n)
{
    uint64_t known = store_origin_boot(n->store, n->cfg.id);
    if (known > n->boot) {
        uint8_t bytes[8] = {0};
        n->world->random->fill(n->world->self, bytes, NODE_BOOT_JUMP_BYTES);
        uint64_t jump;
        PROBE(NODE_BOOT_OVERTAKEN);
        memcpy(&jump, bytes, sizeof(jump));
        n->boot = known + 1 + jump;
    }
}

static void request_number(struct node *n, struct node_request *request)
{
    if (request->sequence == 0) {
        request_check_boot(n);
        request->boot = n->boot;
        request->sequence = ++n->sequence;
        n->requests.flight_count++;
        n->requests.flight_bytes += request_bytes(request);
    }
}

static void request_leave_flight(struct node *n, const struct node_request *request)
{
    CHECK(n->requests.flight_count > 0 && n->requests.flight_bytes >= request_bytes(request));
    n->requests.flight_count--;
    n->requests.flight_bytes -= request_bytes(request);
}

/* --- proposing ------------------------------------------------------------------------------- */

/* The least TTL of a lease, as etcd has it: a change of leader must fit into it. */
static uint32_t request_lease_ttl_min(const struct node *n)
{
    nanos least = n->cfg.raft.election_timeout / 2 * 3;
    return (uint32_t)((least + NANOS_PER_S - 1) / NANOS_PER_S);
}

static void request_encode(struct node *n, const struct node_request *request, struct buf *b)
{
    struct store_envelope e = {
        .kind = (uint8_t)request->kind,
        .feature_level = (uint16_t)store_kind_level((uint8_t)request->kind),
        .origin = n->cfg.id,
        .boot = request->boot,
        .sequence = request->sequence,
        .auth_revision = request->auth_revision,
        .user = request->user,
        /* For a lease without an id. */
        .assigned_id = request_assigned_id(n->cfg.id, request),
        .term = request->term,
        .body = request->body,
    };
    if (request->kind == STORE_KIND_LEASE_GRANT) {
        e.lease_ttl_min_s = request_lease_ttl_min(n);
    }
    store_envelope_encode(b, &e);
}

/* This node's part of what a leader takes: with those of the others it fits. Half of a leader's
 * memory for entries is left for those that are committed, and not applied or durable yet. */
static uint64_t request_flight_bytes_max(const struct node *n)
{
    const struct raft_config *raft = &n->cfg.raft;
    uint64_t limit = raft->max_uncommitted_bytes;
    uint64_t all = u64_min(limit == 0 ? UINT64_MAX : limit, raft->max_cached_bytes / 2);
    uint32_t members = raft_status(n->raft).membership->n;
    return u64_max(all / u64_max(members, 1), NODE_FLIGHT_BYTES_MIN);
}

static bool requests_let(const struct node *n, const struct node_request *request, uint64_t most)
{
    const struct node_requests *q = &n->requests;
    return q->flight_count == 0 ||
           (q->flight_count < NODE_FLIGHT_MAX && q->flight_bytes + request_bytes(request) <= most);
}

/* Since when the oldest that waits has waited behind others. */
static nanos requests_oldest(const struct node *n)
{
    return u64_max(n->requests.queued.first->taken_at, n->requests.led_since);
}

/* Whoever has waited for half of his time would hardly be answered in the other half: proposed now,
 * he would cost the others their time, and learn in the end that nobody knows. */
static void requests_drop_late(struct node *n)
{
    struct node_requests *q = &n->requests;
    nanos now = world_now(n->world);
    while (q->queued.first && raft_status(n->raft).leader != NODE_NONE &&
           now - requests_oldest(n) > n->cfg.request_timeout / 2) {
        struct node_request *request = list_take(&q->queued, &q->queued.first);
        q->queued_bytes -= request_bytes(request);
        node_finish_request(n, request, ERR_BUSY);
        PROBE(NODE_REQUEST_EXPIRED);
    }
}

/* The next one to be proposed, taken out of its list and numbered; NULL: none, or none may. */
static struct node_request *requests_next(struct node *n, uint64_t most)
{
    struct node_requests *q = &n->requests;
    struct node_request *request = NULL;
    if (q->again.first) {
        request = list_take(&q->again, &q->again.first);
    } else {
        struct node_request_list *list = q->urgent.first ? &q->urgent : &q->queued;
        if (!list->first || !requests_let(n, list->first, most)) {
            return NULL;
        }
        request = list_take(list, &list->first);
        q->queued_bytes -= request_bytes(request);
    }
    request_number(n, request);
    return request;
}

/* One proposal to Raft, of as many as it takes. False: there is nothing to propose. */
static bool requests_propose_some(struct node *n, uint64_t most)
{
    struct bytes payloads[NODE_TURN_ENTRIES];
    size_t ends[COUNT_OF(payloads)];
    struct node_request_list group;
    uint32_t count = 0;
    list_init(&group);
    buf_clear(&n->scratch);
    while (count < COUNT_OF(payloads) && (count == 0 || n->scratch.len < NODE_TURN_BYTES)) {
        struct node_request *request = requests_next(n, most);
        if (!request) {
            break;
        }
        request_encode(n, request, &n->scratch);
        ends[count++] = n->scratch.len;
        list_push(&group, request);
    }
    if (count == 0) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        size_t begin = i == 0 ? 0 : ends[i - 1];
        payloads[i] = (struct bytes){n->scratch.data + begin, ends[i] - begin};
    }
    nanos now = world_now(n->world);
    struct raft_event e = {.type = RAFT_EVENT_PROPOSE};
    e.propose.payloads = payloads;
    e.propose.n = count;
    enum err result = node_tell(n, e);
    /* Refused at the moment: with a leader, or room, they are proposed again. */
    for (struct node_request *r = group.first; r; r = r->next) {
        r->is_accepted = r->is_accepted || result == OK;
        r->proposed_at = now;
    }
    list_move_all(&group, &n->requests.waiting);
    return true;
}

void node_propose_queued(struct node *n)
{
    uint64_t most = request_flight_bytes_max(n);
    requests_drop_late(n);
    while (requests_propose_some(n, most)) {
    }
}

void node_requests_go_on(struct node *n)
{
    const struct node_requests *q = &n->requests;
    const struct node_request *next = q->urgent.first ? q->urgent.first : q->queued.first;
    if (next && !n->turn.is_set && requests_let(n, next, request_flight_bytes_max(n))) {
        world_timer_set(n->world, &n->turn, world_now(n->world));
    }
}

/* There is a leader again, or another one: what waits may have been lost with the old one. The
 * envelope's number keeps it from being applied twice. */
void node_repropose(struct node *n)
{
    struct node_requests *q = &n->requests;
    q->led_since = world_now(n->world);
    if (q->waiting.first) {
        PROBE(NODE_PROPOSED_AGAIN);
        for (struct node_request *r = q->waiting.first; r && MUTANT(RETRY_WITH_NEW_NUMBER);
             r = r->next) {
            r->sequence = ++n->sequence;
        }
        for (const struct node_request *r = q->waiting.first; r; r = r->next) {
            n->counted.requests_again++;
        }
        list_move_all(&q->again, &q->waiting);
        list_move_all(&q->waiting, &q->again);
    }
    if (q->again.first || q->urgent.first || q->queued.first) {
        world_timer_set(n->world, &n->turn, q->led_since);
    }
}

/* --- taking and ending ----------------------------------------------------------------------- */

/* What the group itself asks for must get through whatever clients do: the ends of leases, alarms,
 * where members are reached. */
static bool request_is_urgent(const struct node_request *request)
{
    return request->kind == STORE_KIND_LEASE_EXPIRE || request->kind == STORE_KIND_ALARM ||
           request->kind == STORE_KIND_MEMBER_SET;
}

static bool requests_wait_too_long(const struct node *n, nanos now)
{
    if (!n->requests.queued.first || raft_status(n->raft).leader == NODE_NONE) {
        return false; /* without a leader they wait for one, not for each other */
    }
    return now - requests_oldest(n) > NODE_QUEUE_PATIENCE;
}

enum err node_propose(struct node *n, struct node_request *request)
{
    if (n->state != NODE_RUNNING || n->is_stopping) {
        return ERR_CLOSED;
    }
    if (n->is_disputed || n->is_witness) {
        return ERR_REFUSED;
    }
    if (n->lacks_space) {
        return ERR_NO_SPACE;
    }
    nanos now = world_now(n->world);
    bool urgent = request_is_urgent(request);
    bool is_much = n->requests.queued_bytes + request_bytes(request) > NODE_QUEUED_BYTES_MAX;
    if (n->request_count == NODE_REQUESTS_MAX ||
        (!urgent && (is_much || requests_wait_too_long(n, now)))) {
        n->counted.requests_shed++;
        PROBE(NODE_REQUEST_SHED);
        return ERR_BUSY;
    }
    n->request_count++;
    n->counted.requests++;
    /* Proposed again, it still says when it was decided: that a lease is due is so in one term. */
    request->term = raft_status(n->raft).term;
    request->sequence = 0;
    request->taken_at = now;
    request->deadline = now + n->cfg.request_timeout;
    request->is_accepted = false;
    request->is_duplicate = false;
    buf_init(&request->response);
    n->requests.queued_bytes += request_bytes(request);
    list_push(urgent ? &n->requests.urgent : &n->requests.queued, request);
    world_timer_set(n->world, &n->turn, now);
    return OK;
}

static struct node_request *list_take_number(struct node_request_list *list, uint64_t boot,
                                             uint64_t sequence)
{
    for (struct node_request **at = &list->first; *at; at = &(*at)->next) {
        if ((*at)->boot == boot && (*at)->sequence == sequence) {
            return list_take(list, at);
        }
    }
    return NULL;
}

struct node_request *node_take_request(struct node *n, uint64_t boot, uint64_t sequence)
{
    struct node_request *request = list_take_number(&n->requests.waiting, boot, sequence);
    if (!request) {
        request = list_take_number(&n->requests.again, boot, sequence);
    }
    if (request) {
        request_leave_flight(n, request);
    }
    return request;
}

/* Those whose time is over. What was never given to Raft was not applied, and will not be. */
static void requests_expire(struct node *n, struct node_request_list *list, nanos now)
{
    bool is_led = raft_status(n->raft).leader != NODE_NONE;
    struct node_request **at = &list->first;
    while (*at) {
        if (now < (*at)->deadline) {
            at = &(*at)->next;
            continue;
        }
        struct node_request *request = list_take(list, at);
        enum err why = ERR_NO_LEADER;
        if (request->sequence == 0) {
            n->requests.queued_bytes -= request_bytes(request);
            why = is_led ? ERR_BUSY : ERR_NO_LEADER;
        } else {
            request_leave_flight(n, request);
            why = request->is_accepted ? ERR_UNKNOWN : ERR_NO_LEADER;
        }
        node_finish_request(n, request, why);
        PROBE(NODE_REQUEST_EXPIRED);
    }
}

/* What Raft refused for the moment is proposed again while there is a leader to take it. */
static void requests_retry_refused(struct node *n)
{
    struct node_requests *q = &n->requests;
    if (raft_status(n->raft).leader == NODE_NONE) {
        return;
    }
    struct node_request **at = &q->waiting.first;
    while (*at) {
        if ((*at)->is_accepted) {
            at = &(*at)->next;
            continue;
        }
        list_push(&q->again, list_take(&q->waiting, at));
        n->counted.requests_again++;
        world_timer_set(n->world, &n->turn, world_now(n->world));
    }
}

void node_requests_tick(struct node *n, nanos now)
{
    struct node_request_list *lists[] = {&n->requests.waiting, &n->requests.again,
                                         &n->requests.urgent, &n->requests.queued};
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        requests_expire(n, lists[i], now);
    }
    requests_retry_refused(n);
}
