/*
 * The laboratory's network: messages a second of real time. Its experiments are thousands of runs
 * of a hundred thousand messages each, so that it must do a million a second.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/chaos/detect/labnet.h"

#define HOSTS   1000
#define PERIOD  (100 * NANOS_PER_MS)
#define SECONDS 60
#define BYTES   200

/* Every host asks another one each PERIOD, and is answered. */
struct pingers {
    struct labnet *net;
    struct prng prng;
    uint64_t answers;
};

static const uint8_t payload[BYTES];

static void pinger_received(void *ctx, uint32_t host, uint32_t from, enum labnet_kind kind,
                            struct bytes message)
{
    struct pingers *p = ctx;
    (void)kind;
    if (message.len == BYTES) {
        labnet_send(p->net, host, from, LABNET_DATAGRAM, (struct bytes){payload, BYTES - 1});
    } else {
        p->answers++;
    }
}

static void pinger_fired(void *ctx, uint32_t host)
{
    struct pingers *p = ctx;
    uint32_t to = (uint32_t)prng_below(&p->prng, HOSTS);
    labnet_send(p->net, host, to, LABNET_DATAGRAM, (struct bytes){payload, BYTES});
    labnet_set_deadline(p->net, host, labnet_now(p->net) + PERIOD);
}

int main(void)
{
    static struct pingers p;
    p.net = labnet_open(&(struct labnet_options){
        .hosts = HOSTS, .seed = 1, .sink = {pinger_received, pinger_fired, &p}});
    prng_init(&p.prng, 1);
    for (uint32_t i = 0; i < HOSTS; i++) {
        labnet_set_deadline(p.net, i, i * (PERIOD / HOSTS));
    }
    nanos start = bench_now();
    labnet_run(p.net, SECONDS * NANOS_PER_S);
    nanos spent = bench_now() - start;
    printf("%d hosts, %d bytes, %d virtual seconds: %.2f million messages, %.2f million answers\n",
           HOSTS, BYTES, SECONDS, (double)labnet_messages(p.net) / 1e6, (double)p.answers / 1e6);
    CHECK(p.answers > HOSTS * SECONDS * 9);
    bench_report("labnet_messages_per_s", bench_rate(labnet_messages(p.net), spent), "messages/s");
    labnet_close(p.net);
    return 0;
}
