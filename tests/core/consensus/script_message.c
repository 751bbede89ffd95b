#include "tests/core/consensus/script_message.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "tests/support/text.h"

struct script_message *script_message_new(enum script_message_kind kind, node_id from, node_id to)
{
    static const char *const types[] = {
        [SCRIPT_APPEND] = "MsgStorageAppend",
        [SCRIPT_APPEND_DONE] = "MsgStorageAppendResp",
        [SCRIPT_APPLY] = "MsgStorageApply",
        [SCRIPT_APPLY_DONE] = "MsgStorageApplyResp",
    };
    struct script_message *m = mem_alloc_zero(sizeof(*m));
    buf_init(&m->bytes);
    m->kind = kind;
    m->shown.type = types[kind];
    m->shown.from = from;
    m->shown.to = to;
    return m;
}

struct script_message *script_message_of_raft(const struct raft_message *message)
{
    struct script_message *m = script_message_new(SCRIPT_RAFT, message->from, message->to);
    raft_message_encode(message, &m->bytes);
    enum err e = raft_message_decode(buf_view(&m->bytes), &m->space, &m->raft);
    CHECK(e == OK);
    m->shown = etcd_message_of(&m->raft);
    return m;
}

void script_message_free(struct script_message *m)
{
    buf_deinit(&m->bytes);
    raft_message_space_deinit(&m->space);
    entry_list_deinit(&m->entries);
    entry_list_deinit(&m->repairs);
    script_queue_deinit(&m->responses);
    mem_free(m->shown_responses);
    mem_free(m);
}

void script_message_show(struct script_message *m)
{
    if (m->has_hard_state) {
        m->shown.term = m->hard_state.term;
        m->shown.vote = m->hard_state.vote;
        m->shown.commit = m->hard_state.commit;
    }
    m->shown.entries = m->entries.entries;
    m->shown.entry_count = (uint32_t)m->entries.n;
    m->shown.snapshot = m->has_snapshot ? &m->snapshot : NULL;
    size_t n = m->responses.n;
    m->shown_responses = mem_realloc_array(NULL, n, sizeof(m->shown_responses[0]));
    for (size_t i = 0; i < n; i++) {
        m->shown_responses[i] = m->responses.items[i]->shown;
    }
    m->shown.responses = m->shown_responses;
    m->shown.response_count = (uint32_t)n;
}

void script_message_print(const struct script_message *m, struct buf *out)
{
    etcd_describe_message(&m->shown, out);
    text_add(out, "\n");
}

void script_message_print_bare(const struct script_message *m, struct buf *out)
{
    struct etcd_message bare = m->shown;
    bare.response_count = 0;
    etcd_describe_message(&bare, out);
    text_add(out, "\n");
}

void script_queue_push(struct script_queue *q, struct script_message *m)
{
    mem_grow((void **)&q->items, &q->cap, q->n + 1, sizeof(struct script_message *));
    q->items[q->n++] = m;
}

struct script_message *script_queue_shift(struct script_queue *q)
{
    if (q->n == 0) {
        return NULL;
    }
    struct script_message *m = q->items[0];
    q->n--;
    memmove(q->items, q->items + 1, q->n * sizeof(struct script_message *));
    return m;
}

void script_queue_append(struct script_queue *to, struct script_queue *from)
{
    for (size_t i = 0; i < from->n; i++) {
        script_queue_push(to, from->items[i]);
    }
    from->n = 0;
}

void script_queue_deinit(struct script_queue *q)
{
    for (size_t i = 0; i < q->n; i++) {
        script_message_free(q->items[i]);
    }
    mem_free(q->items);
    memset(q, 0, sizeof(*q));
}
