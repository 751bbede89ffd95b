#include "api/otlp/otlp_export.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "api/otlp/otlp_int.h"
#include "core/base/check.h"
#include "core/base/mem.h"

/* The thread is woken when so many wait; otherwise it looks each OTLP_FLUSH. */
#define WAKE_SPANS (OTLP_QUEUE_SPANS / 4)

/* At the end: for a request that was told to end at once. */
#define END_PATIENCE NANOS_PER_S

#define RESOURCE_BYTES 128

_Static_assert(OTLP_BATCH_SPANS <= OTLP_QUEUE_SPANS, "a batch is of one half");

struct otlp_half {
    struct trace_span *spans; /* owned; OTLP_QUEUE_SPANS */
    size_t n;
};

struct otlp {
    struct otlp_endpoint endpoint;
    struct otlp_resource resource;
    char texts[4][RESOURCE_BYTES]; /* what it points to */
    pthread_t thread;
    pthread_mutex_t lock; /* of what is between here ... */
    pthread_cond_t wake;
    struct otlp_half gathering;
    bool is_ending;
    nanos end_by; /* of otlp_clock, once it is ending */
    struct otlp_counters counters;
    /* ... and here. The rest is the thread's. */
    struct otlp_half sending;
    struct otlp_post post;
    struct breaker breaker;
    int end_fd; /* readable when requests must end at once */
    struct buf body;
};

/* --- the loop's side ------------------------------------------------------------------------- */

static void otlp_take(void *ctx, const struct trace_span *span)
{
    struct otlp *o = ctx;
    CHECK(pthread_mutex_lock(&o->lock) == 0);
    bool has_room = o->gathering.n < OTLP_QUEUE_SPANS;
    if (has_room) {
        o->gathering.spans[o->gathering.n++] = *span;
        o->counters.taken++;
    } else {
        o->counters.dropped++;
    }
    bool is_due = o->gathering.n == WAKE_SPANS;
    CHECK(pthread_mutex_unlock(&o->lock) == 0);
    if (is_due) {
        CHECK(pthread_cond_signal(&o->wake) == 0);
    }
}

struct trace_sink otlp_sink(struct otlp *o)
{
    return (struct trace_sink){.ctx = o, .take = otlp_take};
}

struct otlp_counters otlp_counters_read(struct otlp *o)
{
    CHECK(pthread_mutex_lock(&o->lock) == 0);
    struct otlp_counters c = o->counters;
    CHECK(pthread_mutex_unlock(&o->lock) == 0);
    c.waiting = c.taken - c.exported - c.failed;
    return c;
}

/* --- the thread's side ----------------------------------------------------------------------- */

static struct timespec timespec_of(nanos at)
{
    return (struct timespec){.tv_sec = (time_t)(at / NANOS_PER_S),
                             .tv_nsec = (long)(at % NANOS_PER_S)};
}

/* What must be added to the world's clock (CLOCK_BOOTTIME) to make it the time since 1970. */
static int64_t epoch_now(void)
{
    struct timespec real = {0};
    struct timespec boot = {0};
    (void)clock_gettime(CLOCK_REALTIME, &real);
    (void)clock_gettime(CLOCK_BOOTTIME, &boot);
    return ((int64_t)real.tv_sec - (int64_t)boot.tv_sec) * (int64_t)NANOS_PER_S +
           (int64_t)real.tv_nsec - (int64_t)boot.tv_nsec;
}

/* Sleeps, unless it is the end. True: it is. */
static bool otlp_pause(struct otlp *o, nanos span)
{
    struct timespec until = timespec_of(otlp_clock() + span);
    CHECK(pthread_mutex_lock(&o->lock) == 0);
    while (!o->is_ending && pthread_cond_timedwait(&o->wake, &o->lock, &until) == 0) {
    }
    bool is_ending = o->is_ending;
    CHECK(pthread_mutex_unlock(&o->lock) == 0);
    return is_ending;
}

static void otlp_count(struct otlp *o, const struct otlp_counters *more)
{
    CHECK(pthread_mutex_lock(&o->lock) == 0);
    o->counters.requests += more->requests;
    o->counters.requests_failed += more->requests_failed;
    o->counters.exported += more->exported;
    o->counters.failed += more->failed;
    o->counters.breaker = o->breaker.state;
    o->counters.rejected += more->rejected;
    CHECK(pthread_mutex_unlock(&o->lock) == 0);
}

static nanos otlp_deadline(struct otlp *o)
{
    nanos deadline = otlp_clock() + OTLP_TIMEOUT;
    CHECK(pthread_mutex_lock(&o->lock) == 0);
    deadline = o->is_ending ? u64_min(deadline, o->end_by) : deadline;
    CHECK(pthread_mutex_unlock(&o->lock) == 0);
    return deadline;
}

/* One request, if the breaker lets it go. An answer that says no is an answer. */
static enum otlp_outcome otlp_try(struct otlp *o, struct otlp_counters *more)
{
    struct breaker_permit permit;
    if (o->body.len == 0 || !breaker_acquire(&o->breaker, otlp_clock(), &permit)) {
        more->rejected = 1;
        return OTLP_LATER;
    }
    enum otlp_outcome outcome =
        otlp_post(&o->post, &o->endpoint, buf_view(&o->body), otlp_deadline(o));
    breaker_report(&o->breaker, &permit, outcome == OTLP_LATER ? BREAKER_FAILED : BREAKER_OK,
                   otlp_clock());
    more->requests = 1;
    more->requests_failed = outcome != OTLP_TAKEN;
    return outcome;
}

/* One batch, as often as may help. At the end of everything there is one try. */
static void otlp_send(struct otlp *o, const struct trace_span *spans, size_t n)
{
    nanos pause = OTLP_PAUSE;
    bool is_ending = false;
    buf_clear(&o->body);
    if (breaker_retry_at(&o->breaker) <= otlp_clock()) { /* else nobody will read it */
        otlp_encode(&o->resource, spans, n, epoch_now(), &o->body);
    }
    for (int attempt = 1;; attempt++) {
        struct otlp_counters more = {0};
        enum otlp_outcome outcome = otlp_try(o, &more);
        bool is_open = breaker_retry_at(&o->breaker) > otlp_clock();
        bool is_last = outcome != OTLP_LATER || attempt == OTLP_TRIES || is_ending || is_open;
        more.exported = outcome == OTLP_TAKEN ? n : 0;
        more.failed = is_last && outcome != OTLP_TAKEN ? n : 0;
        otlp_count(o, &more);
        if (is_last) {
            return;
        }
        is_ending = otlp_pause(o, pause);
        pause *= 2;
    }
}

/* Waits until there is something to send, and takes all of it. False: it is the end, and there is
 * nothing left. */
static bool otlp_swap(struct otlp *o)
{
    CHECK(pthread_mutex_lock(&o->lock) == 0);
    struct timespec until = timespec_of(otlp_clock() + OTLP_FLUSH);
    while (!o->is_ending && o->gathering.n < WAKE_SPANS &&
           pthread_cond_timedwait(&o->wake, &o->lock, &until) == 0) {
    }
    struct otlp_half gathered = o->gathering;
    o->gathering = o->sending;
    o->gathering.n = 0;
    o->sending = gathered;
    bool is_over = o->is_ending && gathered.n == 0;
    CHECK(pthread_mutex_unlock(&o->lock) == 0);
    return !is_over;
}

static void *otlp_main(void *arg)
{
    struct otlp *o = arg;
    while (otlp_swap(o)) {
        for (size_t at = 0; at < o->sending.n; at += OTLP_BATCH_SPANS) {
            otlp_send(o, o->sending.spans + at,
                      (size_t)u64_min(o->sending.n - at, OTLP_BATCH_SPANS));
        }
    }
    otlp_post_close(&o->post);
    return NULL;
}

/* A collector that is slow costs the thread's time alone; only one that does not take anything is
 * given a rest. */
static void otlp_begin_breaker(struct otlp *o)
{
    struct breaker_config config = breaker_config_of(NANOS_FOREVER);
    uint64_t seed = (uint64_t)(uintptr_t)o ^ otlp_clock();
    config.failure_percent = 101;
    config.slow_percent = 101;
    config.failures_in_row = 2 * OTLP_TRIES;
    config.open_first = OTLP_OPEN_FIRST;
    config.open_max = OTLP_OPEN_MAX;
    config.permits = 1;
    config.successes = 1;
    config.permit_timeout = 2 * OTLP_TIMEOUT;
    CHECK(breaker_config_check(&config) == OK);
    breaker_init(&o->breaker, &config, seed, otlp_clock());
}

/* --- life ------------------------------------------------------------------------------------ */

enum err otlp_endpoint_check(const char *endpoint, char why[OTLP_WHY_BYTES])
{
    struct otlp_endpoint parsed;
    if (otlp_endpoint_parse(endpoint, &parsed)) {
        return OK;
    }
    (void)snprintf(why, OTLP_WHY_BYTES, "%s",
                   strncmp(endpoint, "https://", 8) == 0
                       ? "is https, which spans are not sent over; write the http:// URL of a "
                         "collector on this host"
                       : "is no URL of a collector; write it as in "
                         "http://127.0.0.1:4318/v1/traces");
    return ERR_INVALID;
}

static void otlp_copy_resource(struct otlp *o, const struct otlp_resource *resource)
{
    const char *const from[] = {resource->service, resource->version, resource->instance,
                                resource->cluster};
    const char **const to[] = {&o->resource.service, &o->resource.version, &o->resource.instance,
                               &o->resource.cluster};
    for (size_t i = 0; i < COUNT_OF(from); i++) {
        (void)snprintf(o->texts[i], RESOURCE_BYTES, "%s", from[i] != NULL ? from[i] : "");
        *to[i] = from[i] != NULL ? o->texts[i] : NULL;
    }
}

enum err otlp_open(const char *endpoint, const struct otlp_resource *resource,
                   char why[OTLP_WHY_BYTES], struct otlp **ret)
{
    TRY(otlp_endpoint_check(endpoint, why));
    struct otlp *o = mem_alloc_zero(sizeof *o);
    pthread_condattr_t monotonic;
    sigset_t all;
    sigset_t before;
    CHECK(otlp_endpoint_parse(endpoint, &o->endpoint));
    otlp_copy_resource(o, resource);
    o->gathering.spans = mem_alloc(OTLP_QUEUE_SPANS * sizeof(struct trace_span));
    o->sending.spans = mem_alloc(OTLP_QUEUE_SPANS * sizeof(struct trace_span));
    buf_init(&o->body);
    o->end_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(o->end_fd >= 0);
    o->post = (struct otlp_post){.fd = -1, .end = o->end_fd};
    otlp_begin_breaker(o);
    CHECK(pthread_mutex_init(&o->lock, NULL) == 0);
    CHECK(pthread_condattr_init(&monotonic) == 0);
    CHECK(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&o->wake, &monotonic) == 0);
    CHECK(pthread_condattr_destroy(&monotonic) == 0);
    /* Signals are the loop's. */
    CHECK(sigfillset(&all) == 0 && pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    CHECK(pthread_create(&o->thread, NULL, otlp_main, o) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    *ret = o;
    return OK;
}

/* False: the thread goes on. */
static bool otlp_join(struct otlp *o, nanos patience)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct timespec until =
        timespec_of((nanos)now.tv_sec * NANOS_PER_S + (nanos)now.tv_nsec + patience);
    return pthread_timedjoin_np(o->thread, NULL, &until) == 0;
}

void otlp_close(struct otlp *o, nanos patience)
{
    const uint64_t one = 1;
    CHECK(pthread_mutex_lock(&o->lock) == 0);
    o->is_ending = true;
    o->end_by = otlp_clock() + patience;
    CHECK(pthread_mutex_unlock(&o->lock) == 0);
    CHECK(pthread_cond_broadcast(&o->wake) == 0);
    if (!otlp_join(o, patience)) {
        CHECK(write(o->end_fd, &one, sizeof one) == sizeof one); /* a request is under way */
        if (!otlp_join(o, END_PATIENCE)) {
            CHECK(pthread_detach(o->thread) == 0);
            return;
        }
    }
    (void)close(o->end_fd);
    CHECK(pthread_cond_destroy(&o->wake) == 0);
    CHECK(pthread_mutex_destroy(&o->lock) == 0);
    mem_free(o->gathering.spans);
    mem_free(o->sending.spans);
    buf_deinit(&o->body);
    mem_free(o);
}
