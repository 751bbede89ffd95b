#include "core/chaos/sim/tla_trace.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/say.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"

void tla_trace_init(struct tla_trace *t, void (*line)(void *ctx, const char *line), void *ctx)
{
    memset(t, 0, sizeof *t);
    t->line = line;
    t->ctx = ctx;
    buf_init(&t->text);
}

void tla_trace_deinit(struct tla_trace *t)
{
    buf_deinit(&t->text);
}

void tla_trace_opened(struct tla_trace *t, uint32_t i)
{
    t->node[i].is_known = false;
}

/* --- events ---------------------------------------------------------------------------------- */

static void tla_put_text(struct buf *b, const char *key, const char *text)
{
    say(b, ",\"");
    say(b, key);
    say(b, "\":\"");
    say(b, text);
    say(b, "\"");
}

static void tla_put_number(struct buf *b, const char *key, uint64_t number)
{
    say(b, ",\"");
    say(b, key);
    say(b, "\":");
    say_u64(b, number);
}

/* Ids are texts. */
static void tla_put_id(struct buf *b, const char *key, node_id id)
{
    say(b, ",\"");
    say(b, key);
    say(b, "\":\"");
    say_u64(b, id);
    say(b, "\"");
}

static void put_members(struct buf *b, const struct raft_membership *ms, uint8_t role)
{
    bool is_first = true;

    say(b, "[");
    for (uint32_t i = 0; i < ms->n; i++) {
        if (ms->member[i].roles & role) {
            say(b, is_first ? "\"" : ",\"");
            say_u64(b, ms->member[i].id);
            say(b, "\"");
            is_first = false;
        }
    }
    say(b, "]");
}

static const char *role_text(enum raft_role role)
{
    switch (role) {
    case RAFT_LEADER:
        return "StateLeader";
    case RAFT_CANDIDATE:
        return "StateCandidate";
    case RAFT_FOLLOWER:
    case RAFT_PRE_CANDIDATE:
    case RAFT_ROLES:
        break;
    }
    return "StateFollower";
}

static void event_begin(struct tla_trace *t, const char *name, const struct raft *r)
{
    struct raft_status status = raft_status(r);
    struct buf *b = &t->text;

    buf_clear(b);
    say(b, "{\"tag\":\"trace\",\"event\":{\"name\":\"");
    say(b, name);
    say(b, "\"");
    tla_put_id(b, "nid", status.id);
    say(b, ",\"state\":{\"term\":");
    say_u64(b, status.term);
    tla_put_id(b, "vote", status.vote);
    tla_put_number(b, "commit", status.committed);
    say(b, "}");
    tla_put_text(b, "role", role_text(status.role));
    tla_put_number(b, "log", status.last);
    tla_put_number(b, "applied", status.applied);
    say(b, ",\"conf\":[");
    put_members(b, status.membership, RAFT_VOTER);
    say(b, ",");
    put_members(b, status.membership, RAFT_VOTER_OUTGOING);
    say(b, "]");
}

static void event_end(struct tla_trace *t)
{
    say(&t->text, "}}");
    t->line(t->ctx, say_end(&t->text));
}

static void tell_event(struct tla_trace *t, const char *name, const struct raft *r)
{
    event_begin(t, name, r);
    event_end(t);
}

static void put_message(struct buf *b, const struct raft_message *m)
{
    bool is_snapshot = m->type == RAFT_MSG_SNAP;
    uint64_t entries = is_snapshot ? m->snapshot->index : m->entry_count;

    say(b, ",\"msg\":{\"type\":\"");
    say(b, raft_message_name(m->type));
    say(b, "\"");
    tla_put_number(b, "term", m->term);
    tla_put_id(b, "from", m->from);
    tla_put_id(b, "to", m->to);
    tla_put_number(b, "entries", entries);
    tla_put_number(b, "logTerm", is_snapshot ? 0 : m->log_term);
    tla_put_number(b, "index", is_snapshot ? 0 : m->index);
    tla_put_number(b, "commit", m->commit);
    tla_put_id(b, "vote", NODE_NONE);
    say(b, m->reject ? ",\"reject\":true" : ",\"reject\":false");
    tla_put_number(b, "rejectHint", m->hint);
    say(b, "}");
}

/* How the vocabulary calls it without "Send" or "Receive"; NULL: it has no word. */
static const char *message_word(enum raft_message_type type)
{
    switch ((int)type) {
    case RAFT_MSG_APP:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_SNAP:
        return "AppendEntriesRequest";
    case RAFT_MSG_APP_RESP:
    case RAFT_MSG_HEARTBEAT_RESP:
        return "AppendEntriesResponse";
    case RAFT_MSG_VOTE:
        return "RequestVoteRequest";
    case RAFT_MSG_VOTE_RESP:
        return "RequestVoteResponse";
    default:
        return NULL;
    }
}

static void tell_message(struct tla_trace *t, const char *verb, const struct raft *r,
                         const struct raft_message *m)
{
    char name[32] = {0};
    const char *word = message_word(m->type);

    CHECK(word != NULL && strlen(verb) + strlen(word) < sizeof name);
    memcpy(name, verb, strlen(verb));
    memcpy(name + strlen(verb), word, strlen(word));
    event_begin(t, name, r);
    put_message(&t->text, m);
    event_end(t);
}

/* What a candidate or leader says to itself is told, too: the model counts it. */
static void tell_to_itself(struct tla_trace *t, const struct raft *r, enum raft_message_type type)
{
    struct raft_status status = raft_status(r);
    const struct raft_message m = {.type = type,
                                   .from = status.id,
                                   .to = status.id,
                                   .term = status.term,
                                   .index = type == RAFT_MSG_APP_RESP ? status.last : 0};
    tell_message(t, "Send", r, &m);
}

/* --- what changed ---------------------------------------------------------------------------- */

static uint64_t conf_hash(const struct raft_membership *ms)
{
    uint64_t hash = ms->n;

    for (uint32_t i = 0; i < ms->n; i++) {
        uint8_t votes = ms->member[i].roles & (RAFT_VOTER | RAFT_VOTER_OUTGOING);
        hash = hash_u64(hash_u64(hash, ms->member[i].id), votes);
    }
    return hash;
}

static void tell_conf(struct tla_trace *t, const struct raft *r)
{
    event_begin(t, "ApplyConfChange", r);
    say(&t->text, ",\"prop\":{\"cc\":{\"newconf\":");
    put_members(&t->text, raft_status(r).membership, RAFT_VOTER);
    say(&t->text, "}}");
    event_end(t);
}

/* The first that is heard of a node: it founds the group, or it comes back. */
static void tell_first(struct tla_trace *t, struct tla_node *n, const struct raft *r)
{
    struct raft_status status = raft_status(r);
    bool founds = status.term == 0 && status.last == 1;

    if (founds) {
        tell_conf(t, r);
    }
    tell_event(t, founds ? "Bootstrap" : "InitState", r);
    n->is_known = true;
    n->owes_ready = false;
}

static void tell_role(struct tla_trace *t, const struct tla_node *n, const struct raft *r)
{
    struct raft_status status = raft_status(r);
    bool campaigns = status.role == RAFT_CANDIDATE || status.role == RAFT_LEADER;

    bool campaigned = n->role == RAFT_CANDIDATE || n->role == RAFT_LEADER;

    if (campaigns && (!campaigned || n->term != status.term)) {
        tell_event(t, "BecomeCandidate", r);
        tell_to_itself(t, r, RAFT_MSG_VOTE_RESP);
    }
    if (status.role == RAFT_LEADER && (n->role != RAFT_LEADER || n->term != status.term)) {
        tell_event(t, "BecomeLeader", r);
    }
    if (!campaigns && (n->term != status.term || campaigned)) {
        tell_event(t, "BecomeFollower", r);
    }
}

/* Tells what Raft has done since it was last looked at. */
static void tell_changes(struct tla_trace *t, uint32_t i, struct node *node)
{
    struct tla_node *n = &t->node[i];
    const struct raft *r = node->raft;
    struct raft_status status = raft_status(r);
    uint64_t conf = conf_hash(status.membership);

    if (!n->is_known) {
        tell_first(t, n, r);
    } else {
        tell_role(t, n, r);
        if (status.role == RAFT_LEADER && status.last > n->last) {
            for (raft_index k = n->last; k < status.last; k++) {
                tell_event(t, "Replicate", r);
            }
            tell_to_itself(t, r, RAFT_MSG_APP_RESP);
            n->owes_ready = true;
        }
        if (status.role == RAFT_LEADER && status.committed > n->commit) {
            tell_event(t, "Commit", r);
        }
        if (conf != n->conf) {
            tell_conf(t, r);
        }
    }
    n->role = status.role;
    n->term = status.term;
    n->vote = status.vote;
    n->commit = status.committed;
    n->last = status.last;
    n->conf = conf;
}

static void tell_ready(struct tla_trace *t, uint32_t i, const struct raft *r)
{
    if (t->node[i].owes_ready) {
        t->node[i].owes_ready = false;
        tell_event(t, "Ready", r);
    }
}

static bool listens(const struct tla_trace *t, const struct node *node)
{
    return t->line != NULL && node->raft != NULL && node->state == NODE_RUNNING;
}

void tla_trace_stepping(struct tla_trace *t, uint32_t i, struct node *node,
                        const struct raft_event *e)
{
    if (!listens(t, node)) {
        return;
    }
    tell_changes(t, i, node);
    if (e->type == RAFT_EVENT_MESSAGE && message_word(e->message->type) != NULL) {
        tell_ready(t, i, node->raft);
        tell_message(t, "Receive", node->raft, e->message);
    } else if (e->type == RAFT_EVENT_CHANGE && e->change->n == 1 &&
               raft_status(node->raft).role == RAFT_LEADER) {
        static const char *const actions[RAFT_CONF_OPS] = {[RAFT_ADD_VOTER] = "AddNewServer",
                                                           [RAFT_REMOVE] = "RemoveServer",
                                                           [RAFT_ADD_LEARNER] = "AddLearner"};
        const char *action = actions[e->change->single[0].op];
        if (action != NULL) {
            event_begin(t, "ChangeConf", node->raft);
            say(&t->text, ",\"prop\":{\"cc\":{\"changes\":[{\"nid\":\"");
            say_u64(&t->text, e->change->single[0].node);
            say(&t->text, "\",\"action\":\"");
            say(&t->text, action);
            say(&t->text, "\"}]}}");
            event_end(t);
        }
    }
}

void tla_trace_sent(struct tla_trace *t, uint32_t i, struct node *node,
                    const struct raft_message *m)
{
    if (!listens(t, node) || message_word(m->type) == NULL) {
        return;
    }
    tell_changes(t, i, node);
    tell_message(t, "Send", node->raft, m);
    t->node[i].owes_ready = true;
}

void tla_trace_stepped(struct tla_trace *t, uint32_t i, struct node *node)
{
    if (listens(t, node)) {
        tell_changes(t, i, node);
        tell_ready(t, i, node->raft);
    }
}
