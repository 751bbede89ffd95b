/*
 * Any bytes as what clients of the etcd services, and other members' owners, send. A round is a
 * method, a byte of options, a length and a message:
 *
 *     bit 0  the client sends no more after it       bit 2  the call stays open, for later rounds
 *     bit 1  time passes                             bit 3  the message goes to an open call
 *
 * With method 255 the message is a note from member 2. Whatever comes, the services answer it or
 * end the call, and the member keeps its invariants.
 */
#include "tests/fuzz/fuzz_target.h"

#include "core/base/cursor.h"
#include "tests/api/api_cluster.h"

#define ROUNDS_MAX 64
#define OPEN_MAX   8

#define NOTE_METHOD 255

enum { HALF_CLOSES = 1, WAITS = 2, STAYS = 4, GOES_ON = 8 };

struct fuzz_calls {
    struct api_cluster c;
    struct rpc_call *open[OPEN_MAX];
    size_t next;
};

static struct rpc_call *round_call(struct fuzz_calls *f, uint8_t method, uint8_t options)
{
    struct rpc_call *last = f->next > 0 ? f->open[(f->next - 1) % OPEN_MAX] : NULL;
    if ((options & GOES_ON) && last) {
        return last;
    }
    const char *path = f->c.methods[method % f->c.method_count]->path;
    return fake_call_open(f->c.member[0].api, f->c.methods, f->c.method_count, path, NULL);
}

static void round_end(struct fuzz_calls *f, struct rpc_call *call, uint8_t options)
{
    if (options & WAITS) {
        api_cluster_run(&f->c, 20 * NANOS_PER_MS);
    }
    fake_call_turn(call);
    fake_call_drain(call);
    if (options & GOES_ON) {
        return; /* it is among those that are open, if it was before */
    }
    if (!(options & STAYS)) {
        fake_call_close(call);
        return;
    }
    struct rpc_call **place = &f->open[f->next++ % OPEN_MAX];
    if (*place) {
        fake_call_close(*place);
    }
    *place = call;
}

static void run_round(struct fuzz_calls *f, uint8_t method, uint8_t options, struct bytes message)
{
    if (method == NOTE_METHOD) {
        etcd_api_note(f->c.member[0].api, 2, message);
        return;
    }
    bool had_one = f->next > 0;
    options = had_one ? options : options & (uint8_t)~GOES_ON;
    struct rpc_call *call = round_call(f, method, options);
    if (call->method->shape == RPC_BIDI || !(options & GOES_ON)) {
        fake_call_message(call, message); /* the others get one */
    }
    if (options & HALF_CLOSES) {
        fake_call_half_close(call);
    }
    round_end(f, call, options);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct fuzz_calls f;
    struct cursor c;
    f = (struct fuzz_calls){.next = 0};
    api_cluster_init(&f.c, 1, 1);
    api_cluster_start(&f.c);
    cursor_init(&c, (struct bytes){bytes, n});
    for (int i = 0; i < ROUNDS_MAX && cursor_left(&c) > 0; i++) {
        uint8_t method = cursor_u8(&c);
        uint8_t options = cursor_u8(&c);
        struct bytes message = cursor_bytes(&c, n);
        if (cursor_ok(&c)) {
            run_round(&f, method, options, message);
        }
    }
    api_cluster_run(&f.c, 50 * NANOS_PER_MS);
    store_check(node_store(f.c.member[0].node));
    for (size_t i = 0; i < OPEN_MAX; i++) {
        if (f.open[i]) {
            fake_call_close(f.open[i]);
        }
    }
    api_cluster_run(&f.c, 50 * NANOS_PER_MS);
    api_cluster_deinit(&f.c);
    return 0;
}
