/*
 * Questions that only the leader may answer. It alone counts down the TTLs of leases, and it alone
 * may renew them, after it made sure that it still leads (a deposed leader that renewed would
 * promise what the new one does not keep, etcd-io/etcd#15247). It alone can say whether a change of
 * the membership fits.
 *
 *     etcd_ask --leads--> barrier --> the store answers
 *        |                               ^
 *        +--follows--> note to the leader -> etcd_api_note there, as its own question
 *                      note back      <-----------+
 *
 * A member that is no leader asks by a note over the stream that it has with the leader anyway:
 * authenticated already, and needing no address of the leader's clients. Notes get lost; a question
 * is asked again after ETCD_ASK_AGAIN, and whenever another leads. Asking twice does no harm: what
 * is renewed is renewed again, and a change that was made is not made again.
 *
 * The notes, integers little-endian:
 *     question: kind u8 (enum etcd_question_kind), sequence u64, lease or member i64,
 *               change u8 (enum etcd_change; 0 where it is none), priority u8
 *     answer:   kind u8 + 128, sequence u64, result u8 (0: answered), ttl or enum err i64,
 *               granted i64
 */
#include "api/etcd/etcd_int.h"
#include "core/base/cursor.h"

#define ASK_ANSWER 128

enum ask_result { ASK_ANSWERED = 0, ASK_ELSEWHERE = 1 };

static void ask_end(struct etcd_question *q, enum err result)
{
    CHECK(store_avl_remove(&q->api->questions, &q->sequence) == &q->node);
    etcd_wait_cancel(&q->wait);
    q->done(q, result);
}

void etcd_ask_cancel(struct etcd_question *q)
{
    if (store_avl_find(&q->api->questions, &q->sequence) == &q->node) {
        CHECK(store_avl_remove(&q->api->questions, &q->sequence) == &q->node);
        etcd_wait_cancel(&q->wait);
    }
}

bool etcd_change_is_made(const struct etcd_api *api, node_id member, enum etcd_change change,
                         uint8_t priority)
{
    const struct raft_member *m = raft_membership_lookup(node_status(api->node).membership, member);
    switch (change) {
    case ETCD_CHANGE_REMOVE:
        return m == NULL;
    case ETCD_CHANGE_PROMOTE:
        return m && (m->roles & RAFT_VOTER);
    case ETCD_CHANGE_DEMOTE:
        return m && (m->roles & RAFT_LEARNER);
    case ETCD_CHANGE_PRIORITY:
        return m && m->priority == priority;
    case ETCD_CHANGE_ADD_LEARNER:
    case ETCD_CHANGE_ADD_VOTER:
    case ETCD_CHANGE_ADD_WITNESS:
    case ETCD_CHANGES:
    default:
        return m != NULL;
    }
}

/* The leader begins to change the membership; false: not at this moment. What a voter is to be
 * begins as a learner that is promoted when it has caught up: so a newcomer that never comes costs
 * no quorum. */
static bool ask_change(struct etcd_question *q)
{
    static const struct raft_conf_single singles[] = {
        [ETCD_CHANGE_ADD_LEARNER] = {.op = RAFT_ADD_LEARNER},
        [ETCD_CHANGE_ADD_VOTER] = {.op = RAFT_ADD_LEARNER, .auto_promote = true},
        [ETCD_CHANGE_PROMOTE] = {.op = RAFT_ADD_VOTER},
        [ETCD_CHANGE_REMOVE] = {.op = RAFT_REMOVE},
        [ETCD_CHANGE_ADD_WITNESS] = {.op = RAFT_ADD_WITNESS},
        [ETCD_CHANGE_DEMOTE] = {.op = RAFT_ADD_LEARNER},
        [ETCD_CHANGE_PRIORITY] = {.op = RAFT_UPDATE},
    };
    const struct raft_member *m =
        raft_membership_lookup(node_status(q->api->node).membership, (node_id)q->subject);
    bool keeps_priority = m && q->change != ETCD_CHANGE_PRIORITY;
    node_id member = (node_id)q->subject;
    enum err result = OK;
    if (!etcd_change_is_made(q->api, member, q->change, q->priority)) {
        struct raft_conf_change change = {.n = 1};
        change.single[0] = singles[q->change];
        change.single[0].node = member;
        change.single[0].priority = keeps_priority ? m->priority : q->priority;
        result = node_change(q->api->node, &change);
    }
    q->left = (struct etcd_lease_left){.ttl = (int64_t)result};
    return result != ERR_PENDING && result != ERR_DROPPED && result != ERR_BUSY;
}

/* The leader's own answer; false: it cannot be given now. */
static bool ask_answer(struct etcd_question *q, struct store *store)
{
    struct etcd_api *api = q->api;
    nanos now = etcd_now(api);
    bool answers = true;
    buf_clear(&api->scratch);
    if (node_status(api->node).role != RAFT_LEADER) {
        answers = false;
    } else if (q->kind == ETCD_ASK_CHANGE) {
        return ask_change(q);
    } else if (q->kind == ETCD_ASK_RENEW) {
        enum store_renewal r = store_lease_renew(store, q->subject, now, &api->scratch);
        answers = r == STORE_RENEWED || r == STORE_RENEW_GONE;
    } else {
        store_lease_time_to_live(store, q->subject, false, now, &api->scratch);
    }
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, buf_view(&api->scratch));
    q->left = (struct etcd_lease_left){0};
    while (answers && store_pb_next(&pb, &f)) {
        if (f.number == 3) {
            q->left.ttl = store_pb_i64(&pb, &f);
        } else if (f.number == 4) {
            q->left.granted = store_pb_i64(&pb, &f);
        }
    }
    return answers;
}

static void ask_on_wait(struct etcd_wait *wait, enum err result)
{
    struct etcd_question *q = wait->owner;
    enum etcd_error why;
    struct store *store = result == OK ? etcd_store(q->api, &why) : NULL;
    if (store && ask_answer(q, store)) {
        ask_end(q, OK);
    } else {
        q->asked = 0;
    }
}

/* Asks whoever leads now, if that is known. */
static void ask_somebody(struct etcd_question *q)
{
    struct etcd_api *api = q->api;
    if (!api->node || !node_is_ready(api->node)) {
        return;
    }
    etcd_wait_cancel(&q->wait);
    q->asked = etcd_now(api);
    struct raft_status status = node_status(api->node);
    if (status.role == RAFT_LEADER) {
        q->wait.done = ask_on_wait;
        q->wait.owner = q;
        etcd_wait_begin(api, &q->wait);
        return;
    }
    if (q->from != NODE_NONE || status.leader == NODE_NONE) {
        q->asked = 0; /* what came by a note is not passed on */
        return;
    }
    struct buf note;
    buf_init(&note);
    buf_put_u8(&note, (uint8_t)q->kind);
    buf_put_u64(&note, q->sequence);
    buf_put_u64(&note, (uint64_t)q->subject);
    buf_put_u8(&note, (uint8_t)q->change);
    buf_put_u8(&note, q->priority);
    enum err result = node_note(api->node, status.leader, buf_view(&note));
    buf_deinit(&note);
    if (result != OK) {
        q->asked = 0;
    }
}

void etcd_ask(struct etcd_api *api, struct etcd_question *q)
{
    q->api = api;
    q->sequence = ++api->question_sequence;
    q->began = etcd_now(api);
    q->deadline = q->began + ETCD_REQUEST_TIMEOUT;
    store_link_init(&q->wait.link);
    store_avl_insert(&api->questions, &q->sequence, &q->node);
    ask_somebody(q);
}

static struct etcd_question *ask_from(struct etcd_api *api, uint64_t sequence)
{
    return (void *)store_avl_seek(&api->questions, &sequence);
}

/* Those that wait for too long end, those that got no answer are asked again; `all` that were not
 * answered: there may be another leader, or an expiry was applied. */
void etcd_questions_pulse(struct etcd_api *api, bool all)
{
    nanos now = etcd_now(api);
    struct etcd_question *q = ask_from(api, 0);
    while (q) {
        uint64_t next = q->sequence + 1;
        bool waits_here = q->asked && !store_link_is_alone(&q->wait.link);
        bool is_old = now - q->asked >= ETCD_ASK_AGAIN;
        if (now >= q->deadline) {
            ask_end(q, ERR_TIMEOUT);
        } else if (q->asked == 0 || (!waits_here && (is_old || all))) {
            ask_somebody(q);
        }
        q = next == 0 ? NULL : ask_from(api, next);
    }
}

/* --- notes ----------------------------------------------------------------------------------- */

static void ask_reply(struct etcd_api *api, node_id to, enum etcd_question_kind kind,
                      uint64_t sequence, enum ask_result result, struct etcd_lease_left left)
{
    struct buf note;
    buf_init(&note);
    buf_put_u8(&note, (uint8_t)(kind + ASK_ANSWER));
    buf_put_u64(&note, sequence);
    buf_put_u8(&note, (uint8_t)result);
    buf_put_u64(&note, (uint64_t)left.ttl);
    buf_put_u64(&note, (uint64_t)left.granted);
    enum err ignored = node_note(api->node, to, buf_view(&note));
    (void)ignored; /* it is asked again */
    buf_deinit(&note);
}

static void ask_on_foreign(struct etcd_question *q, enum err result)
{
    if (q->api->node && node_is_ready(q->api->node)) {
        enum ask_result said = result == OK ? ASK_ANSWERED : ASK_ELSEWHERE;
        ask_reply(q->api, q->from, q->kind, q->from_sequence, said, q->left);
    }
    mem_free(q);
}

static void ask_for_other(struct etcd_api *api, node_id from, enum etcd_question_kind kind,
                          struct cursor *c)
{
    uint64_t sequence = cursor_u64(c);
    int64_t subject = (int64_t)cursor_u64(c);
    uint8_t change = cursor_u8(c);
    uint8_t priority = cursor_u8(c);
    if (!cursor_done(c) || change >= ETCD_CHANGES || api->questions.count >= ETCD_QUESTIONS_MAX) {
        return;
    }
    if (node_status(api->node).role != RAFT_LEADER) {
        ask_reply(api, from, kind, sequence, ASK_ELSEWHERE, (struct etcd_lease_left){0});
        return;
    }
    struct etcd_question *q = mem_alloc_zero(sizeof(*q));
    q->kind = kind;
    q->subject = subject;
    q->change = (enum etcd_change)change;
    q->priority = priority;
    q->from = from;
    q->from_sequence = sequence;
    q->done = ask_on_foreign;
    etcd_ask(api, q);
}

static void ask_take_answer(struct etcd_api *api, enum etcd_question_kind kind, struct cursor *c)
{
    uint64_t sequence = cursor_u64(c);
    uint8_t result = cursor_u8(c);
    struct etcd_lease_left left = {.ttl = (int64_t)cursor_u64(c)};
    left.granted = (int64_t)cursor_u64(c);
    struct etcd_question *q = (void *)store_avl_find(&api->questions, &sequence);
    if (!cursor_done(c) || !q || q->kind != kind || q->from != NODE_NONE) {
        return;
    }
    if (result != ASK_ANSWERED) {
        q->asked = 0;
        return;
    }
    q->left = left;
    ask_end(q, OK);
}

/* What it says is checked here: a member may be of another release. */
void etcd_api_note(struct etcd_api *api, node_id from, struct bytes note)
{
    if (!api->node || !node_is_ready(api->node)) {
        return;
    }
    struct cursor c;
    cursor_init(&c, note);
    uint8_t kind = cursor_u8(&c);
    switch (kind) {
    case ETCD_ASK_RENEW:
    case ETCD_ASK_TTL:
    case ETCD_ASK_CHANGE:
        ask_for_other(api, from, (enum etcd_question_kind)kind, &c);
        break;
    case ETCD_ASK_RENEW + ASK_ANSWER:
    case ETCD_ASK_TTL + ASK_ANSWER:
    case ETCD_ASK_CHANGE + ASK_ANSWER:
        ask_take_answer(api, (enum etcd_question_kind)(kind - ASK_ANSWER), &c);
        break;
    case ETCD_NOTE_PEERS:
        etcd_upkeep_note(api, &c);
        break;
    default:
        break;
    }
}

/* At the stop: what others asked is forgotten, what this member asked ended with its calls. */
void etcd_questions_free(struct etcd_api *api)
{
    for (struct etcd_question *q = ask_from(api, 0); q; q = ask_from(api, 0)) {
        CHECK(store_avl_remove(&api->questions, &q->sequence) == &q->node);
        etcd_wait_cancel(&q->wait);
        if (q->from != NODE_NONE) {
            mem_free(q);
        }
    }
}
