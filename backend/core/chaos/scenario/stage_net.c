/* Links, messages that are kept and come late, and clients. */
#include <string.h>

#include "core/base/check.h"
#include "core/base/say.h"
#include "core/chaos/scenario/stage.h"
#include "core/node/node_int.h"

/* Clients that look for somebody who takes a write ask again after this. */
#define WRITE_AGAIN (20 * NANOS_PER_MS)

/* --- links ----------------------------------------------------------------------------------- */

static void say_link(struct stage *st, const struct simmember *from, const char *text,
                     const struct simmember *to)
{
    struct buf *line = sim_line(&st->sim);

    if (line != NULL) {
        say(line, from->name);
        say(line, text);
        say(line, to->name);
        sim_line_end(&st->sim);
    }
}

static void set_link(struct simmember *from, struct simmember *to, bool is_cut, bool acks_pass)
{
    struct simnet_link link = simnet_link_get(from->host, to->host);

    link.is_cut = is_cut;
    link.acks_pass = acks_pass;
    simnet_link_set(from->host, to->host, &link);
}

void stage_cut(struct stage *st, struct simmember *from, struct simmember *to, bool is_cut)
{
    if (!stage_is_over(st)) {
        say_link(st, from, is_cut ? " no longer reaches " : " reaches ", to);
        set_link(from, to, is_cut, is_cut);
    }
}

static void set_links(struct simmember *a, struct simmember *b, bool works)
{
    set_link(a, b, !works, false);
    set_link(b, a, !works, false);
}

void stage_link(struct stage *st, struct simmember *a, struct simmember *b, bool works)
{
    if (!stage_is_over(st)) {
        say_link(st, a, works ? " is linked with " : " is cut off from ", b);
        set_links(a, b, works);
    }
}

void stage_isolate(struct stage *st, struct simmember *m, bool is_alone)
{
    struct buf *line = stage_is_over(st) ? NULL : sim_line(&st->sim);

    if (line != NULL) {
        say(line, m->name);
        say(line, is_alone ? " is alone" : " is back among the others");
        sim_line_end(&st->sim);
    }
    for (uint32_t i = 0; i < st->sim.cluster.n && !stage_is_over(st); i++) {
        if (i != m->i) {
            set_links(m, stage_member(st, i), !is_alone);
        }
    }
}

void stage_link_all(struct stage *st, bool work)
{
    stage_say(st, work ? "all links work" : "no link works");
    for (uint32_t a = 0; a < st->sim.cluster.n && !stage_is_over(st); a++) {
        for (uint32_t b = a + 1; b < st->sim.cluster.n; b++) {
            set_links(stage_member(st, a), stage_member(st, b), work);
        }
    }
}

void stage_lose_streams(struct stage *st, struct simmember *m)
{
    for (uint32_t i = 0; i < st->sim.cluster.n && !stage_is_over(st); i++) {
        if (i != m->i) {
            simnet_reset(m->host, stage_member(st, i)->host);
        }
    }
}

/* --- messages -------------------------------------------------------------------------------- */

void stage_catch(struct stage *st, const struct simmember *from, const struct simmember *to,
                 enum raft_message_type type)
{
    st->catching.is_on = true;
    st->catching.from = from != NULL ? from->id : NODE_NONE;
    st->catching.to = to != NULL ? to->id : NODE_NONE;
    st->catching.type = type;
    st->caught_count = 0;
}

void stage_catch_end(struct stage *st)
{
    st->catching.is_on = false;
}

static bool is_kept(const struct stage *st, uint64_t n)
{
    return n < st->caught_count && st->caught_count - n <= STAGE_CAUGHT_MAX;
}

uint64_t stage_find_caught(struct stage *st, const struct simmember *from,
                           const struct simmember *to)
{
    for (uint64_t n = 0; n < st->caught_count; n++) {
        const struct stage_caught *c = &st->caught[n % STAGE_CAUGHT_MAX];
        if (is_kept(st, n) && c->from == from->id && c->to == to->id) {
            return n;
        }
    }
    return UINT64_MAX;
}

static void deliver_bytes(struct stage *st, struct simmember *to, struct bytes bytes)
{
    struct raft_message_space space = {0};
    struct raft_message m;

    stage_expect(st, simmember_serves(to), "whom a message of the script shall reach serves");
    if (stage_is_over(st)) {
        return;
    }
    CHECK(raft_message_decode(bytes, &space, &m) == OK);
    struct buf *line = sim_line(&st->sim);
    if (line != NULL) {
        say(line, to->name);
        say(line, " gets by the script a ");
        say(line, raft_message_name(m.type));
        sim_line_end(&st->sim);
    }
    enum err ignored =
        node_tell(to->node, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &m});
    (void)ignored; /* as from the network */
    node_pump(to->node);
    st->sim.touched |= 1U << to->i;
    raft_message_space_deinit(&space);
}

void stage_deliver(struct stage *st, uint64_t n)
{
    stage_expect(st, is_kept(st, n), "the message that shall arrive was sent");
    if (!stage_is_over(st)) {
        const struct stage_caught *c = &st->caught[n % STAGE_CAUGHT_MAX];
        deliver_bytes(st, stage_member(st, (uint32_t)c->to - 1), buf_view(&c->bytes));
    }
}

struct raft_message stage_message(enum raft_message_type type, const struct simmember *from,
                                  const struct simmember *to)
{
    return (struct raft_message){
        .type = type, .from = from->id, .to = to->id, .term = stage_status(from).term};
}

void stage_forge(struct stage *st, const struct raft_message *message)
{
    struct buf bytes;

    buf_init(&bytes);
    raft_message_encode(message, &bytes);
    deliver_bytes(st, stage_member(st, (uint32_t)message->to - 1), buf_view(&bytes));
    buf_deinit(&bytes);
}

/* --- clients --------------------------------------------------------------------------------- */

size_t stage_ask(struct stage *st, struct simmember *m, enum simcall_kind kind, uint32_t key)
{
    size_t call;

    if (stage_is_over(st) || !simclients_ask(&st->sim.clients, kind, m->i, key, &call)) {
        return STAGE_NO_CALL;
    }
    return call;
}

bool stage_is_pending(const struct stage *st, size_t call)
{
    return call != STAGE_NO_CALL && st->sim.clients.calls[call].is_pending;
}

bool stage_is_ok(const struct stage *st, size_t call)
{
    return call != STAGE_NO_CALL && !st->sim.clients.calls[call].is_pending &&
           st->sim.clients.calls[call].outcome == SIMCALL_OK;
}

uint64_t stage_value(const struct stage *st, size_t call)
{
    return call != STAGE_NO_CALL ? st->sim.clients.calls[call].value : 0;
}

static uint64_t ask_and_wait(struct stage *st, struct simmember *m, enum simcall_kind kind,
                             uint32_t key, nanos bound)
{
    size_t call = stage_ask(st, m, kind, key);

    stage_expect(st, call != STAGE_NO_CALL, "the member takes a client's request");
    STAGE_UNTIL(st, bound, !stage_is_pending(st, call), "a request returns");
    stage_expect(st, stage_is_ok(st, call), "a request succeeds");
    return stage_value(st, call);
}

uint64_t stage_put(struct stage *st, struct simmember *m, uint32_t key, nanos bound)
{
    return ask_and_wait(st, m, SIMCALL_PUT, key, bound);
}

uint64_t stage_get(struct stage *st, struct simmember *m, uint32_t key, nanos bound)
{
    return ask_and_wait(st, m, SIMCALL_GET, key, bound);
}

void stage_put_many(struct stage *st, struct simmember *m, uint32_t count)
{
    for (uint32_t i = 0; i < count && !stage_is_over(st); i++) {
        (void)stage_put(st, m, i % STAGE_WRITE_KEY, SCENARIO_TIMEOUT);
    }
}

/* Asks whoever has nothing under way; true: some write has succeeded. */
static bool write_somewhere(struct stage *st, size_t calls[SIM_HOSTS_MAX], uint32_t key)
{
    bool is_done = false;

    for (uint32_t i = 0; i < st->sim.cluster.n; i++) {
        is_done = is_done || stage_is_ok(st, calls[i]);
    }
    for (uint32_t i = 0; i < st->sim.cluster.n && !is_done; i++) {
        if (!stage_is_pending(st, calls[i])) {
            calls[i] = stage_ask(st, stage_member(st, i), SIMCALL_PUT, key + i);
        }
    }
    return is_done;
}

void stage_write(struct stage *st, nanos bound)
{
    const uint32_t key = STAGE_WRITE_KEY + st->write_key++ % 4 * SIM_HOSTS_MAX;
    nanos until = stage_now(st) + bound;
    size_t calls[SIM_HOSTS_MAX];
    bool is_done = false;

    for (size_t i = 0; i < SIM_HOSTS_MAX; i++) {
        calls[i] = STAGE_NO_CALL;
    }
    while (!is_done && !stage_is_over(st) && stage_now(st) < until) {
        is_done = write_somewhere(st, calls, key);
        if (!is_done) {
            sim_pass(&st->sim, u64_min(stage_now(st) + WRITE_AGAIN, until));
        }
    }
    stage_expect(st, is_done || write_somewhere(st, calls, key), "a write succeeds somewhere");
}

void stage_load(struct stage *st)
{
    simclients_start(&st->sim.clients);
}

uint64_t stage_written(const struct stage *st)
{
    return st->sim.clients.counts[SIMCALL_PUT][SIMCALL_OK];
}
