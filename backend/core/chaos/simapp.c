#include "core/chaos/simapp.h"

#include <string.h>

#include "core/chaos/simcall_int.h"
#include "core/chaos/simnet_int.h"

/* Label of the generators of applications; the number of the host is added. */
#define APP_CHILDREN 4000000

struct simapp {
    struct simapp *next;
    uint16_t port;
    struct buf answer;
    struct simapp_conduct conduct;
    uint64_t calls;
};

struct simapps {
    struct simapp *apps;   /* owned list */
    struct simcall *calls; /* owned: of plain connections of the host's process */
    struct prng prng;
};

/* A connection of the host's process; the request of its call. */
struct world_plain {
    struct simcall *call;
    struct world_endpoint to;
    struct world_plain_sink *sink; /* borrowed */
    size_t queued;                 /* bytes that were sent, and not taken */
    bool is_open;
    bool is_answered; /* an answer is on its way, or was */
    struct buf said;  /* what the application says, of which told_at bytes have arrived */
    size_t told_at;
};

/* --- applications ---------------------------------------------------------------------------- */

void simapp_init(struct simhost *host)
{
    host->apps = mem_alloc_zero(sizeof *host->apps);
    host->apps->prng = prng_fork(&host->sim->prng, APP_CHILDREN + host->source);
}

static void plain_destroy(struct world_plain *plain)
{
    buf_deinit(&plain->said);
    mem_free(plain);
}

void simapp_forget(struct simhost *host)
{
    for (struct simcall *call = host->apps->calls; call != NULL; call = call->next) {
        plain_destroy(call->request);
    }
    simcall_forget(&host->apps->calls);
}

void simapp_deinit(struct simhost *host)
{
    while (host->apps->apps != NULL) {
        struct simapp *app = host->apps->apps;
        host->apps->apps = app->next;
        buf_deinit(&app->answer);
        mem_free(app);
    }
    mem_free(host->apps);
}

static struct simapp *app_find(const struct simhost *host, uint16_t port)
{
    struct simapp *app = host->apps->apps;

    while (app != NULL && app->port != port) {
        app = app->next;
    }
    return app;
}

static struct simapp *app_get(const struct simhost *host, uint16_t port)
{
    struct simapp *app = app_find(host, port);

    CHECK(app != NULL);
    return app;
}

void simapp_run(struct simhost *host, uint16_t port, struct bytes answer)
{
    struct simapp *app = app_find(host, port);

    if (app == NULL) {
        app = mem_alloc_zero(sizeof *app);
        app->port = port;
        app->next = host->apps->apps;
        host->apps->apps = app;
    }
    buf_clear(&app->answer);
    buf_put(&app->answer, answer.data, answer.len);
}

void simapp_behave(struct simhost *host, uint16_t port, const struct simapp_conduct *conduct)
{
    const struct simapp_conduct well = {.manner = SIMAPP_ANSWERS};

    app_get(host, port)->conduct = conduct != NULL ? *conduct : well;
}

uint64_t simapp_calls(const struct simhost *host, uint16_t port)
{
    return app_get(host, port)->calls;
}

/* --- connections ----------------------------------------------------------------------------- */

static void end_plain(struct simcall *call, enum err why)
{
    struct world_plain *plain = call->request;
    struct world_plain_sink *sink = plain->sink;

    simworld_mix(call->host->sim, (uint64_t)why);
    simcall_close(call);
    plain_destroy(plain);
    sink->closed(sink, why);
}

static void plain_expired(struct simcall *call)
{
    end_plain(call, ERR_TIMEOUT);
}

static void app_ended(struct simcall *call)
{
    end_plain(call, ERR_CLOSED);
}

/* The next piece arrives. The sink may close the connection, so it is called last. */
static void app_says(struct simcall *call)
{
    struct world_plain *plain = call->request;
    size_t left = plain->said.len - plain->told_at;
    size_t n = left > 1 ? prng_range(&call->host->apps->prng, 1, left) : left;
    struct bytes piece = {plain->said.data + plain->told_at, n};

    plain->told_at += n;
    simcall_after(call, SIMAPP_LATENCY, plain->told_at < plain->said.len ? app_says : app_ended);
    simworld_mix(call->host->sim, n);
    plain->sink->received(plain->sink, piece);
}

static struct simhost *named_host(struct simhost *from, const char *name)
{
    static const char *const own[] = {"127.0.0.1", "::1", "localhost"};

    for (size_t i = 0; i < COUNT_OF(own); i++) {
        if (strcmp(name, own[i]) == 0) {
            return from;
        }
    }
    return simworld_find(from->sim, name);
}

static void app_babble(struct simcall *call, struct buf *said)
{
    struct prng *prng = &call->host->apps->prng;

    for (uint64_t n = prng_range(prng, 1, SIMAPP_BABBLE_BYTES); n > 0; n--) {
        buf_put_u8(said, (uint8_t)prng_u64(prng));
    }
}

/* What was sent has reached the application, and it has thought about it. */
static void app_answers(struct simcall *call)
{
    struct world_plain *plain = call->request;
    const struct simhost *target = named_host(call->host, plain->to.host);
    const struct simapp *app = app_get(target, plain->to.port);

    plain->queued = 0;
    switch (app->conduct.manner) {
    case SIMAPP_REFUSES:
        end_plain(call, ERR_CLOSED);
        return;
    case SIMAPP_IS_MUTE:
    case SIMAPP_HANGS:
        return; /* the deadline ends it */
    case SIMAPP_BABBLES:
        app_babble(call, &plain->said);
        break;
    case SIMAPP_ANSWERS:
        buf_put(&plain->said, app->answer.data, app->answer.len);
        break;
    case SIMAPP_BREAKS_OFF:
        buf_put(&plain->said, app->answer.data, app->answer.len / 2);
        break;
    }
    if (plain->said.len > 0) {
        app_says(call);
    } else {
        app_ended(call);
    }
}

static void await_answer(struct world_plain *plain)
{
    const struct simhost *target = named_host(plain->call->host, plain->to.host);
    const struct simapp *app = app_get(target, plain->to.port);

    plain->is_answered = true;
    simcall_after(plain->call, SIMAPP_LATENCY + app->conduct.delay, app_answers);
}

static bool is_reached(struct simhost *from, struct simhost *to)
{
    return to == from ||
           (simlink_passes(simlink_get(from, to)) && simlink_passes(simlink_get(to, from)));
}

/* The call reaches the kernel of the application's host, or does not. */
static void reach_app(struct simcall *call)
{
    struct world_plain *plain = call->request;
    struct simhost *target = named_host(call->host, plain->to.host);
    struct simapp *app = target != NULL ? app_find(target, plain->to.port) : NULL;

    if (target == NULL) {
        end_plain(call, ERR_NOT_FOUND);
    } else if (!is_reached(call->host, target)) {
        return; /* the deadline ends it */
    } else if (app == NULL || app->conduct.manner == SIMAPP_REFUSES) {
        end_plain(call, ERR_REFUSED);
    } else if (app->conduct.manner != SIMAPP_IS_MUTE) {
        app->calls++;
        plain->is_open = true;
        if (plain->queued > 0) {
            await_answer(plain);
        }
        plain->sink->opened(plain->sink);
    }
}

/* --- the table ------------------------------------------------------------------------------- */

static struct world_plain *simplain_connect(void *self, const struct world_endpoint *to,
                                            nanos deadline, struct world_plain_sink *sink)
{
    struct simhost *host = self;
    struct world_plain *plain = mem_alloc_zero(sizeof *plain);

    simhost_power_on(host);
    plain->to = *to;
    plain->sink = sink;
    plain->call = simcall_open(&host->apps->calls, host, plain, deadline, plain_expired);
    simcall_after(plain->call, SIMAPP_LATENCY, reach_app);
    return plain;
}

static enum err simplain_send(void *self, struct world_plain *plain, struct bytes bytes)
{
    CHECK(plain->call->host == self);
    if (plain->queued + bytes.len > WORLD_PLAIN_QUEUE_MAX_BYTES) {
        return ERR_BUSY;
    }
    plain->queued += bytes.len;
    if (plain->is_open && !plain->is_answered) {
        await_answer(plain);
    }
    return OK;
}

static void simplain_close(void *self, struct world_plain *plain)
{
    CHECK(plain->call->host == self);
    simcall_close(plain->call);
    plain_destroy(plain);
}

const struct world_plain_ops simplain_ops = {
    .connect = simplain_connect,
    .send = simplain_send,
    .close = simplain_close,
};
