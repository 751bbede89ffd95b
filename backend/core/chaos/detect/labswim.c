#include "core/chaos/detect/labswim.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

/* The stream of a request, as the one who is asked sees it: who asked, plus one. */
#define STREAM_OF(host) ((uint64_t)(host) + 1)

/* The lab has one name for all hosts; the port tells them apart. */
#define LABSWIM_HOST "lab"

/* What a process takes to read a datagram, decrypted and decoded. */
#define LABSWIM_COST (15 * NANOS_PER_US)

/* A member that runs so much later than it wanted to was stalled, and says so to its protocol. */
#define LABSWIM_STALL (500 * NANOS_PER_MS)

/* On a machine where many wake at once. Fitted to memberlist (bench/peers): with none, suspicions
 * leave with the first answers of a member that wakes, and come back before it is blocked again. */
#define PROBER_TURN_MAX (10 * NANOS_PER_MS)

enum { LABEL_PROBERS = 1, LABEL_SEEDS = 2 };

const char *labswim_name(enum labswim_protocol protocol)
{
    static const char *const names[] = {
#define LABSWIM_NAME(protocol, name) name,
        LABSWIM_TABLE(LABSWIM_NAME)
#undef LABSWIM_NAME
    };
    CHECK(protocol < LABSWIM_PROTOCOLS);
    return names[protocol];
}

static void labswim_send(struct labswim *s, uint32_t from, const struct swim_send *send)
{
    const struct bytes message = {s->update.bytes.data + send->offset, send->len};

    if (send->how == SWIM_SEND_REPLY) {
        labnet_send(s->net, from, (uint32_t)send->stream - 1, LABNET_ANSWER, message);
        return;
    }
    CHECK(send->at.port > 0 && send->at.port <= s->config.hosts);
    labnet_send(s->net, from, send->at.port - 1U,
                send->how == SWIM_SEND_STREAM ? LABNET_STREAM : LABNET_DATAGRAM, message);
}

/* Who probes in a block stands in that send. In memberlist, and in the paper's experiments, the
 * prober is a thread of its own: the timers of suspicions run on, but there is no further probe
 * until the block ends; then it is one of many threads that wake, has its turn after
 * PROBER_TURN_MAX at the latest, and judges the probe. Ours as shipped has no such excuse: it has
 * one thread, and all of it runs on. */
static void labswim_hold_prober(struct labswim *s, uint32_t id, uint32_t probe_before)
{
    struct swim *swim = &s->hosts[id].swim;
    nanos until = labnet_blocked_until(s->net, id);
    if (s->config.protocol != LABSWIM_SHIPPED && until > labnet_now(s->net) &&
        swim->probe.sequence != probe_before && swim->probe_at < until) {
        swim->probe_at = until + prng_below(&s->prng, PROBER_TURN_MAX);
    }
}

static void labswim_step(struct labswim *s, uint32_t id, struct swim_event *event)
{
    struct labswim_host *host = &s->hosts[id];
    const struct swim_update *u = &s->update;

    uint32_t probe = host->swim.probe.sequence;
    event->now = labnet_now(s->net);
    swim_step(&host->swim, event, &s->update);
    labswim_hold_prober(s, id, probe);
    for (size_t i = 0; i < u->n_sends; i++) {
        labswim_send(s, id, &u->sends[i]);
    }
    for (size_t i = 0; i < u->n_changes && s->config.changed != NULL; i++) {
        s->config.changed(s->config.ctx, id, &u->changes[i]);
    }
    for (size_t i = 0; i < u->n_reports && s->config.reported != NULL; i++) {
        s->config.reported(s->config.ctx, id, &u->reports[i]);
    }
    host->deadline = u->deadline;
    labnet_set_deadline(s->net, id, u->deadline);
}

/* Was the process standing until now? Then what it missed is nobody's fault. */
static void labswim_wake(struct labswim *s, uint32_t id)
{
    struct labswim_host *host = &s->hosts[id];
    if (s->config.protocol == LABSWIM_SHIPPED &&
        u64_sub_sat(labnet_now(s->net), host->deadline) >= LABSWIM_STALL) {
        labswim_step(s, id, &(struct swim_event){.kind = SWIM_EVENT_WOKE});
    }
}

static void labswim_received(void *ctx, uint32_t id, uint32_t from, enum labnet_kind kind,
                             struct bytes message)
{
    struct labswim *s = ctx;
    struct swim_event event = {
        .kind = kind == LABNET_DATAGRAM ? SWIM_EVENT_DATAGRAM : SWIM_EVENT_STREAM,
        .stream = kind == LABNET_STREAM ? STREAM_OF(from) : 0,
        .at = s->hosts[from].at,
        .bytes = message,
    };
    labswim_wake(s, id);
    labswim_step(s, id, &event);
}

static void labswim_fired(void *ctx, uint32_t id)
{
    struct labswim *s = ctx;
    labswim_wake(s, id);
    labswim_step(s, id, &(struct swim_event){.kind = SWIM_EVENT_TIME});
}

static void labswim_start(struct labswim *s, uint32_t id)
{
    struct labswim_host *host = &s->hosts[id];
    struct swim_config config;
    struct prng seeds =
        labnet_fork(s->net, LABEL_SEEDS + 16 * (uint64_t)id + 65536 * host->instance);

    memset(&config, 0, sizeof config);
    switch (s->config.protocol) {
    case LABSWIM_PLAIN:
        swim_config_plain(&config);
        break;
    case LABSWIM_LIFEGUARD:
        swim_config_lifeguard(&config);
        break;
    case LABSWIM_SHIPPED:
    case LABSWIM_PROTOCOLS:
        swim_config_shipped(&config);
        break;
    }
    config.self = labswim_id(id);
    config.instance = ++host->instance;
    config.seed = prng_u64(&seeds);
    config.at = host->at;
    if (s->config.tune != NULL) {
        s->config.tune(s->config.ctx, &config);
    }
    swim_init(&host->swim, &config, &(struct seal_cipher){NULL, &seal_stand_in}, &s->ring,
              labnet_now(s->net));
    /* Hosts were not started at once: the first thing each does is up to a second away. */
    nanos at = labnet_now(s->net) + prng_below(&seeds, NANOS_PER_S);
    host->deadline = at;
    labnet_set_deadline(s->net, id, at);
}

void labswim_open(struct labswim *s, const struct labswim_config *config)
{
    static const uint8_t key[SEAL_KEY_BYTES] = {1};

    *s = (struct labswim){.config = *config};
    CHECK(seal_ring_put(&s->ring, key, true) == OK);
    swim_update_init(&s->update);
    s->hosts = mem_alloc_zero(config->hosts * sizeof *s->hosts);
    s->net = labnet_open(&(struct labnet_options){
        .hosts = config->hosts,
        .seed = config->seed,
        .latency = config->latency,
        .cost = LABSWIM_COST,
        .sink = {labswim_received, labswim_fired, s},
    });
    s->prng = labnet_fork(s->net, LABEL_PROBERS);
    labnet_run(s->net, NANOS_PER_S);
    for (uint32_t i = 0; i < config->hosts; i++) {
        memcpy(s->hosts[i].at.host, LABSWIM_HOST, sizeof LABSWIM_HOST);
        s->hosts[i].at.port = (uint16_t)(i + 1);
        labswim_start(s, i);
    }
    for (uint32_t i = 0; i < config->hosts && !config->is_apart; i++) {
        for (uint32_t k = 0; k < config->hosts; k++) {
            swim_assume(&s->hosts[i].swim, labswim_id(k), s->hosts[k].instance, &s->hosts[k].at);
        }
    }
}

void labswim_close(struct labswim *s)
{
    for (uint32_t i = 0; i < s->config.hosts; i++) {
        swim_deinit(&s->hosts[i].swim);
    }
    labnet_close(s->net);
    swim_update_deinit(&s->update);
    mem_free(s->hosts);
}

void labswim_run(struct labswim *s, nanos until)
{
    labnet_run(s->net, until);
}

void labswim_join(struct labswim *s, uint32_t host, uint32_t seed)
{
    struct swim_event event = {.kind = SWIM_EVENT_JOIN, .at = s->hosts[seed].at};
    labswim_step(s, host, &event);
}

void labswim_lead(struct labswim *s, uint32_t host, node_id leader)
{
    struct swim_event event = {.kind = SWIM_EVENT_LEADER, .id = leader};
    labswim_step(s, host, &event);
}

void labswim_crash(struct labswim *s, uint32_t host)
{
    labnet_crash(s->net, host);
}

enum swim_state labswim_state(const struct labswim *s, uint32_t observer, uint32_t subject)
{
    const struct swim_member *m = swim_find(&s->hosts[observer].swim, labswim_id(subject));
    return m == NULL ? SWIM_LEFT : (enum swim_state)m->state;
}
