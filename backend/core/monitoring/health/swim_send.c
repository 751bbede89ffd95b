#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/monitoring/health/swim_int.h"

void swim_update_init(struct swim_update *u)
{
    memset(u, 0, sizeof(*u));
    buf_init(&u->bytes);
}

void swim_update_deinit(struct swim_update *u)
{
    buf_deinit(&u->bytes);
    mem_free(u->sends);
    mem_free(u->changes);
    mem_free(u->reports);
}

void swim_change_push(struct swim_update *u, enum swim_change_kind kind,
                      const struct swim_member *m, node_id by, bool originated)
{
    mem_grow((void **)&u->changes, &u->changes_cap, u->n_changes + 1, sizeof(*u->changes));
    u->changes[u->n_changes++] = (struct swim_change){
        .kind = kind,
        .id = m->id,
        .by = by,
        .originated = originated,
        .incarnation = m->incarnation,
    };
}

void swim_text_begin(struct swim *s)
{
    buf_clear(&s->text);
    buf_put_u8(&s->text, SWIM_VERSION_MIN);
    buf_put_varint(&s->text,
                   s->members[0].incarnation & ((UINT64_C(1) << SWIM_REFUTATION_BITS) - 1));
}

void swim_text_put(struct swim *s, const struct swim_message *m)
{
    swim_message_encode(&s->text, m);
}

void swim_text_send_bare(struct swim *s, enum swim_send_how how, node_id to,
                         const struct world_endpoint *at, uint64_t stream, struct swim_update *u)
{
    struct swim_send send = {.how = how, .to = to, .stream = stream, .offset = u->bytes.len};

    send.asks = how == SWIM_SEND_STREAM;
    size_t room = s->text.len + SEAL_OVERHEAD_MAX_BYTES;
    bool is_datagram = how == SWIM_SEND_DATAGRAM;

    if (s->is_displaced) {
        return;
    }
    if (at != NULL) {
        send.at = *at;
    }
    send.len = seal_wrap(&s->cipher, &s->ring, &s->config.label, &s->sender, buf_view(&s->text),
                         buf_extend(&u->bytes, room));
    u->bytes.len = send.offset + send.len;
    mem_grow((void **)&u->sends, &u->sends_cap, u->n_sends + 1, sizeof(*u->sends));
    u->sends[u->n_sends++] = send;
    CHECK(!is_datagram || send.len <= WORLD_DATAGRAM_MAX_BYTES);
    s->counters[is_datagram ? SWIM_SENT_DATAGRAMS : SWIM_SENT_STREAMS]++;
    s->counters[is_datagram ? SWIM_SENT_BYTES : SWIM_SENT_STREAM_BYTES] += send.len;
}

void swim_text_send(struct swim *s, uint32_t to, struct swim_update *u)
{
    swim_rumors_fill(s, SWIM_TEXT_MAX_BYTES);
    swim_text_send_bare(s, SWIM_SEND_DATAGRAM, s->members[to].id, &s->members[to].at, 0, u);
}
