#include "tests/core/consensus/etcd_raft_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/cursor.h"
#include "tests/support/datadriven.h"
#include "tests/support/text.h"

/* etcd-raft's letters, and ours: a witness, and a learner that is promoted by itself. */
static const struct {
    char letter;
    enum raft_conf_op op;
    bool auto_promote;
} conf_letters[] = {{'v', RAFT_ADD_VOTER, false},   {'l', RAFT_ADD_LEARNER, false},
                    {'r', RAFT_REMOVE, false},      {'u', RAFT_UPDATE, false},
                    {'w', RAFT_ADD_WITNESS, false}, {'a', RAFT_ADD_LEARNER, true}};

const char *etcd_role_name(enum raft_role role)
{
    static const char *const names[] = {[RAFT_FOLLOWER] = "StateFollower",
                                        [RAFT_PRE_CANDIDATE] = "StatePreCandidate",
                                        [RAFT_CANDIDATE] = "StateCandidate",
                                        [RAFT_LEADER] = "StateLeader"};
    CHECK(role < RAFT_ROLES);
    return names[role];
}

/* The ids of the members with any of these roles, between the given brackets. */
static void describe_ids(const struct raft_membership *ms, uint8_t roles, const char *open,
                         const char *close, struct buf *out)
{
    const char *gap = "";
    text_add(out, "%s", open);
    for (uint32_t i = 0; i < ms->n; i++) {
        if (ms->member[i].roles & roles) {
            text_add(out, "%s%" PRIu64, gap, ms->member[i].id);
            gap = " ";
        }
    }
    text_add(out, "%s", close);
}

void etcd_describe_membership(const struct raft_membership *ms, struct buf *out)
{
    static const struct {
        uint8_t role;
        const char *open;
    } parts[] = {{RAFT_VOTER_OUTGOING, "&&("},
                 {RAFT_LEARNER, " learners=("},
                 {RAFT_LEARNER_NEXT, " learners_next=("},
                 {RAFT_WITNESS, " witnesses=("},
                 {RAFT_IN_SYNC, " in_sync=("}};
    describe_ids(ms, RAFT_VOTER, "voters=(", ")", out);
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (raft_membership_count(ms, parts[i].role) > 0) {
            describe_ids(ms, parts[i].role, parts[i].open, ")", out);
        }
    }
    text_add(out, "%s", ms->auto_leave ? " autoleave" : "");
}

void etcd_describe_snapshot(const struct raft_snapshot *s, struct buf *out)
{
    const struct raft_membership *ms = &s->membership;
    text_add(out, "Index:%" PRIu64 " Term:%" PRIu64 " ConfState:", s->index, s->term);
    describe_ids(ms, RAFT_VOTER, "Voters:[", "]", out);
    describe_ids(ms, RAFT_VOTER_OUTGOING, " VotersOutgoing:[", "]", out);
    describe_ids(ms, RAFT_LEARNER, " Learners:[", "]", out);
    describe_ids(ms, RAFT_LEARNER_NEXT, " LearnersNext:[", "]", out);
    text_add(out, " AutoLeave:%s", ms->auto_leave ? "true" : "false");
    if (raft_membership_has_witness(ms)) {
        describe_ids(ms, RAFT_WITNESS, " Witnesses:[", "]", out);
        describe_ids(ms, RAFT_IN_SYNC, " InSync:[", "]", out);
    }
    if (s->size > 0) {
        text_add(out, " Size:%" PRIu64, s->size);
    }
}

void etcd_describe_hard_state(const struct raft_hard_state *hs, struct buf *out)
{
    text_add(out, "Term:%" PRIu64, hs->term);
    if (hs->vote != NODE_NONE) {
        text_add(out, " Vote:%" PRIu64, hs->vote);
    }
    text_add(out, " Commit:%" PRIu64, hs->commit);
}

void etcd_describe_progress(const struct raft_member *m, const struct raft_progress *pr,
                            struct buf *out)
{
    static const char *const states[] = {[RAFT_PROBE] = "StateProbe",
                                         [RAFT_REPLICATE] = "StateReplicate",
                                         [RAFT_SNAPSHOT] = "StateSnapshot"};
    text_add(out, "%" PRIu64 ": %s match=%" PRIu64 " next=%" PRIu64, m->id, states[pr->state],
             pr->match, pr->next);
    text_add(out, "%s", m->roles & RAFT_LEARNER ? " learner" : "");
    text_add(out, "%s", raft_progress_is_paused(pr) ? " paused" : "");
    if (pr->pending_snapshot > 0) {
        text_add(out, " pendingSnap=%" PRIu64, pr->pending_snapshot);
    }
    text_add(out, "%s", pr->recent_active ? "" : " inactive");
    if (pr->inflights.count > 0) {
        text_add(out, " inflight=%" PRIu32 "%s", pr->inflights.count,
                 raft_inflights_full(&pr->inflights) ? "[full]" : "");
    }
    text_add(out, "\n");
}

/* --- entries --------------------------------------------------------------------------------- */

static void describe_quoted(struct bytes b, struct buf *out)
{
    buf_put_u8(out, '"');
    for (size_t i = 0; i < b.len; i++) {
        uint8_t c = b.data[i];
        if (c == '"' || c == '\\') {
            text_add(out, "\\%c", c);
        } else if (c == '\n') {
            text_add(out, "\\n");
        } else if (isprint(c)) {
            buf_put_u8(out, c);
        } else {
            text_add(out, "\\x%02x", c);
        }
    }
    buf_put_u8(out, '"');
}

static char letter_of(const struct raft_conf_single *single)
{
    for (size_t i = 0; i < COUNT_OF(conf_letters); i++) {
        if (conf_letters[i].op == single->op &&
            conf_letters[i].auto_promote == single->auto_promote) {
            return conf_letters[i].letter;
        }
    }
    return '?';
}

/* A simple change is what etcd-raft calls its first kind. */
static void describe_change(struct bytes payload, struct buf *out)
{
    struct raft_conf_change change;
    if (raft_conf_change_decode(payload, &change) != OK) {
        text_add(out, "EntryConfChangeV2 malformed");
        return;
    }
    bool simple = change.transition == RAFT_TRANSITION_SIMPLE;
    text_add(out, "%s", simple ? "EntryConfChange" : "EntryConfChangeV2");
    for (uint32_t i = 0; i < change.n; i++) {
        text_add(out, " %c%" PRIu64, letter_of(&change.single[i]), change.single[i].node);
    }
}

static void describe_in_sync(struct bytes payload, struct buf *out)
{
    struct cursor c;
    cursor_init(&c, payload);
    text_add(out, "EntryInSync (");
    uint8_t n = cursor_u8(&c);
    for (uint8_t i = 0; i < n; i++) {
        text_add(out, "%s%" PRIu64, i > 0 ? " " : "", cursor_varint(&c));
    }
    text_add(out, ")%s", cursor_done(&c) ? "" : " malformed");
}

void etcd_describe_entry(const struct raft_entry *e, struct buf *out)
{
    text_add(out, "%" PRIu64 "/%" PRIu64 " ", e->term, e->index);
    switch (e->type) {
    case RAFT_ENTRY_NORMAL:
        text_add(out, "EntryNormal ");
        describe_quoted(e->payload, out);
        return;
    case RAFT_ENTRY_CONF:
        describe_change(e->payload, out);
        return;
    case RAFT_ENTRY_IN_SYNC:
        describe_in_sync(e->payload, out);
        return;
    case RAFT_ENTRY_TYPES:
        break;
    }
    CHECK(e->type < RAFT_ENTRY_TYPES);
}

void etcd_describe_entries(const struct raft_entry *entries, uint32_t n, struct buf *out)
{
    for (uint32_t i = 0; i < n; i++) {
        etcd_describe_entry(&entries[i], out);
        text_add(out, "\n");
    }
}

/* --- messages -------------------------------------------------------------------------------- */

struct etcd_message etcd_message_of(const struct raft_message *m)
{
    struct etcd_message e = {
        .type = raft_message_name(m->type),
        .from = m->from,
        .to = m->to,
        .term = m->term,
        .log_term = m->log_term,
        .index = m->index,
        .commit = m->commit,
        .reject = m->reject,
        .hint = m->hint,
        .entries = m->entries,
        .entry_count = m->entry_count,
        .snapshot = m->snapshot,
        .own = m,
    };
    if (m->type == RAFT_MSG_TRANSFER_LEADER) {
        e.from = m->source; /* that project sends it in the name of whom it makes the leader */
    }
    return e;
}

static void describe_target(node_id id, struct buf *out)
{
    if (id == NODE_NONE) {
        text_add(out, "None");
    } else if (id == ETCD_APPEND_THREAD) {
        text_add(out, "AppendThread");
    } else if (id == ETCD_APPLY_THREAD) {
        text_add(out, "ApplyThread");
    } else {
        text_add(out, "%" PRIx64, id);
    }
}

static void describe_message_entries(const struct etcd_message *m, const char *indent,
                                     struct buf *out)
{
    if (m->entry_count == 1) {
        text_add(out, " Entries:[");
        etcd_describe_entry(&m->entries[0], out);
        text_add(out, "]");
    } else if (m->entry_count > 1) {
        text_add(out, " Entries:[");
        for (uint32_t i = 0; i < m->entry_count; i++) {
            text_add(out, "\n%s  ", indent);
            etcd_describe_entry(&m->entries[i], out);
        }
        text_add(out, "\n%s]", indent);
    }
}

/* What etcd-raft's messages do not have, or do not print. Nothing for those that it would send. */
static void describe_own_fields(const struct raft_message *m, struct buf *out)
{
    if (m->context != 0 && m->type != RAFT_MSG_REPAIR && m->type != RAFT_MSG_REPAIR_RESP) {
        text_add(out, " Context:%" PRIu64, m->context);
    }
    if (m->type == RAFT_MSG_SNAP && m->snapshot->size > 0) {
        text_add(out, " Source:%" PRIu64, m->source);
    } else if (m->type == RAFT_MSG_SNAP_FETCH) {
        text_add(out, " Offset:%" PRIu64 " Bytes:%" PRIu64, m->offset, m->hint);
    } else if (m->type == RAFT_MSG_SNAP_CHUNK && !m->reject) {
        text_add(out, " Offset:%" PRIu64 " Bytes:%zu", m->offset, m->chunk.len);
    } else if (m->type == RAFT_MSG_REPAIR && m->index != 0) {
        text_add(out, " Damaged:%" PRIu64 "-%" PRIu64, m->index, m->hint);
    }
    text_add(out, "%s%s", m->lost_log ? " LostLog" : "", m->lost_vote ? " LostVote" : "");
}

static void describe_without_responses(const struct etcd_message *m, const char *indent,
                                       struct buf *out)
{
    text_add(out, "%s", indent);
    describe_target(m->from, out);
    text_add(out, "->");
    describe_target(m->to, out);
    text_add(out, " %s Term:%" PRIu64 " Log:%" PRIu64 "/%" PRIu64, m->type, m->term, m->log_term,
             m->index);
    if (m->reject) {
        text_add(out, " Rejected (Hint: %" PRIu64 ")", m->hint);
    }
    if (m->commit != 0) {
        text_add(out, " Commit:%" PRIu64, m->commit);
    }
    if (m->vote != NODE_NONE) {
        text_add(out, " Vote:%" PRIu64, m->vote);
    }
    if (m->own) {
        describe_own_fields(m->own, out);
    }
    describe_message_entries(m, indent, out);
    if (m->snapshot) {
        text_add(out, "\n%s  Snapshot: ", indent);
        etcd_describe_snapshot(m->snapshot, out);
    }
}

void etcd_describe_message(const struct etcd_message *m, struct buf *out)
{
    describe_without_responses(m, "", out);
    if (m->response_count == 0) {
        return;
    }
    text_add(out, " Responses:[");
    for (uint32_t i = 0; i < m->response_count; i++) {
        text_add(out, "\n");
        describe_without_responses(&m->responses[i], "  ", out);
    }
    text_add(out, "\n]");
}

/* --- reading --------------------------------------------------------------------------------- */

static bool parse_one_change(const char *token, struct raft_conf_single *ret, struct buf *out)
{
    if (strlen(token) < 2) {
        text_add(out, "unknown token %s", token);
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(conf_letters); i++) {
        if (conf_letters[i].letter == token[0]) {
            ret->op = conf_letters[i].op;
            ret->auto_promote = conf_letters[i].auto_promote;
            ret->priority = RAFT_PRIORITY_DEFAULT;
            if (script_number(token + 1, &ret->node)) {
                return true;
            }
            text_add(out, "not a node: %s", token + 1);
            return false;
        }
    }
    text_add(out, "unknown input: %s", token);
    return false;
}

bool etcd_conf_changes_parse(struct bytes text, struct raft_conf_change *ret, struct buf *out)
{
    while (text.len > 0) {
        char token[32];
        size_t n = 0;
        for (; text.len > 0 && *text.data != ' '; text.data++, text.len--) {
            token[n] = (char)*text.data;
            n += n + 1 < sizeof(token);
        }
        token[n] = '\0';
        if (ret->n == RAFT_CONF_CHANGES_MAX ||
            !parse_one_change(token, &ret->single[ret->n], out)) {
            return false;
        }
        ret->n++;
        if (text.len > 0) {
            text.data++;
            text.len--;
        }
    }
    return true;
}
