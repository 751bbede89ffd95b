/*
 * `novacron top`: how the members of a cluster are, now and each second. Every round asks who the
 * members are, and each of them for its /metrics, all at one time; the frame is drawn when all have
 * answered or had their time. A member that hangs delays nobody but itself.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/client/page_client.h"
#include "cli/remote.h"
#include "cli/top_members.h"
#include "cli/top_terminal.h"
#include "core/base/check.h"
#include "core/base/mem.h"

/* Options behind those of remote.h, in the order of the table. */
enum { TOP_ONCE = REMOTE_OPTIONS, TOP_INTERVAL };

#define INTERVAL_DEFAULT_S 1.0
#define INTERVAL_MIN_S     0.2
#define INTERVAL_MAX_S     3600.0

/* An answer may take most of a round, and no less than this. */
#define ANSWER_PART 0.9
#define ANSWER_MIN  (500 * NANOS_PER_MS)
#define ANSWER_MAX  (5 * NANOS_PER_S)

/* Rounds for one frame, at most. */
#define ROUNDS_ONCE 3

/* Rows of a frame that is not for a screen. */
#define ROWS_UNBOUNDED 1000

struct top_job {
    struct top *top;
    size_t target;
    struct page_get *get; /* NULL: not under way */
};

struct top {
    struct remote remote;
    bool is_once;
    bool has_screen;
    nanos interval;
    struct top_terminal terminal;
    struct top_members *members; /* owned */
    struct top_job jobs[TOP_TARGETS_MAX];
    struct rpc_client_call *list_call;
    struct buf list;
    size_t known;   /* targets that the client for the list knows of */
    size_t waiting; /* answers of this round */
    unsigned rounds;
    bool is_over;
    bool is_well; /* of the last frame */
    size_t answering;
    uv_timer_t tick;
    uv_poll_t keys;
    uv_signal_t signals[5];
};

/* --- frames ---------------------------------------------------------------------------------- */

static bool view_is_well(const struct top_view *view)
{
    size_t leaders = 0;
    for (size_t i = 0; i < view->count; i++) {
        const struct top_member *m = &view->members[i];
        if (top_trouble(m) != NULL) {
            return false;
        }
        leaders += m->now.figure[TOP_IS_LEADER] > 0 ? 1 : 0;
    }
    return leaders == 1 && view->list_why[0] == '\0';
}

static void top_show(struct top *t)
{
    struct top_view view = top_members_view(t->members);
    struct top_shape shape = top_terminal_shape();
    struct tm tm = {0};
    struct buf b;
    time_t now = time(NULL);
    (void)localtime_r(&now, &tm);
    view.now = (int64_t)now;
    view.utc_offset = (int64_t)tm.tm_gmtoff;
    t->is_well = view_is_well(&view);
    t->answering = 0;
    for (size_t i = 0; i < view.count; i++) {
        t->answering += view.members[i].answers ? 1 : 0;
    }
    buf_init(&b);
    if (t->remote.json) {
        top_frame_json(&view, &b);
    } else if (t->has_screen) {
        top_frame_draw(&view, &shape, &b);
    } else {
        shape.rows = ROWS_UNBOUNDED;
        shape.has_colour = shape.has_colour && isatty(STDOUT_FILENO);
        top_frame_draw(&view, &shape, &b);
    }
    if (t->has_screen) {
        top_terminal_show(buf_view(&b));
    } else {
        (void)fwrite(b.data, 1, b.len, stdout);
        t->is_over = t->is_over || fflush(stdout) != 0; /* nobody reads any more */
    }
    buf_deinit(&b);
}

/* --- rounds ---------------------------------------------------------------------------------- */

static void top_round(struct top *t);

static void top_on_tick(uv_timer_t *timer)
{
    struct top *t = timer->data;
    top_round(t);
}

static void top_quit(struct top *t)
{
    t->is_over = true;
    uv_stop(&t->remote.loop);
}

/* Was each that answers asked twice? Members that only the list named have had one round less. */
static bool top_has_rates(const struct top *t)
{
    for (size_t i = 0; i < t->members->target_count; i++) {
        const struct top_target *target = &t->members->targets[i];
        if (!target->was_asked || (target->answers && !target->before.is_there)) {
            return false;
        }
    }
    return true;
}

static void top_answered(struct top *t)
{
    CHECK(t->waiting > 0);
    t->waiting--;
    if (t->waiting > 0) {
        return;
    }
    t->rounds++;
    bool is_last = t->is_once && t->rounds > 1 && (top_has_rates(t) || t->rounds == ROUNDS_ONCE);
    if (!t->is_once || is_last) {
        top_show(t);
    }
    if (is_last || t->is_over) {
        top_quit(t);
    }
}

static void top_on_page(void *arg, int status, struct bytes body, const char *why)
{
    struct top_job *job = arg;
    struct top_target *target = &job->top->members->targets[job->target];
    char text[TOP_WHY_BYTES];
    job->get = NULL;
    if (status == 200) {
        top_members_page(target, body, uv_hrtime());
    } else {
        (void)snprintf(text, sizeof text, "its /metrics answers HTTP %d", status);
        top_members_no_page(target, status != 0 ? text : why, (int64_t)time(NULL));
    }
    top_answered(job->top);
}

static nanos top_patience(const struct top *t)
{
    nanos part = (nanos)((double)t->interval * ANSWER_PART);
    return u64_min(u64_max(part, ANSWER_MIN), ANSWER_MAX);
}

static void top_ask_page(struct top *t, size_t i)
{
    struct top_job *job = &t->jobs[i];
    *job = (struct top_job){.top = t, .target = i};
    const struct page_request request = {
        .endpoint = t->members->targets[i].url,
        .path = "/metrics",
        .tls = t->remote.tls,
        .timeout = top_patience(t),
        .done = top_on_page,
        .arg = job,
    };
    if (page_get_begin(&t->remote.io, &request, &job->get) != OK) {
        job->get = NULL;
        top_members_no_page(&t->members->targets[i], "no URL, or https without --cacert",
                            (int64_t)time(NULL));
        return;
    }
    t->waiting++;
}

static void top_on_list(void *arg, struct bytes message)
{
    struct top *t = arg;
    buf_clear(&t->list);
    buf_put(&t->list, message.data, message.len);
}

static void top_on_list_done(void *arg, int status, const char *text)
{
    struct top *t = arg;
    t->list_call = NULL;
    if (status == RPC_OK) {
        top_members_list(t->members, buf_view(&t->list));
    } else {
        top_members_no_list(t->members, text[0] != '\0' ? text : rpc_status_name(status));
    }
    top_answered(t);
}

/* Whoever answers may say who the members are. */
static void top_widen(struct top *t)
{
    const char *urls[RPC_ENDPOINTS_MAX];
    size_t count = u64_min(t->members->target_count, RPC_ENDPOINTS_MAX);
    if (count == t->known) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        urls[i] = t->members->targets[i].url;
    }
    t->known = count;
    (void)remote_turn_to(&t->remote, urls, count, top_patience(t) / 2); /* or as it was */
}

static void top_round(struct top *t)
{
    static const struct rpc_client_ops ops = {.message = top_on_list, .done = top_on_list_done};
    CHECK(uv_timer_start(&t->tick, top_on_tick, t->interval / NANOS_PER_MS, 0) == 0);
    if (t->waiting > 0) {
        return; /* longer than a round: it goes on */
    }
    top_widen(t);
    buf_clear(&t->list);
    t->waiting++;
    t->list_call = rpc_client_start(t->remote.client, "/etcdserverpb.Cluster/MemberList",
                                    top_patience(t), &ops, t);
    (void)rpc_client_send(t->list_call, (struct bytes){NULL, 0}, true);
    size_t count = t->members->target_count;
    for (size_t i = 0; i < count; i++) {
        top_ask_page(t, i);
    }
}

/* --- keys and signals ------------------------------------------------------------------------ */

static void top_on_key(uv_poll_t *poll, int status, int events)
{
    struct top *t = poll->data;
    char keys[64];
    (void)events;
    ssize_t n = status == 0 ? read(STDIN_FILENO, keys, sizeof keys) : -1;
    if (n <= 0) {
        top_quit(t); /* the terminal is gone */
    }
    for (ssize_t i = 0; i < n; i++) {
        if (keys[i] == 'q' || keys[i] == 'Q') {
            top_quit(t);
        }
    }
}

static void top_on_signal(uv_signal_t *handle, int number)
{
    struct top *t = handle->data;
    if (number == SIGWINCH) {
        top_show(t);
    } else if (number == SIGTSTP) {
        top_terminal_leave(&t->terminal);
        (void)raise(SIGSTOP);
        top_terminal_enter(&t->terminal);
        top_show(t);
    } else {
        top_quit(t);
    }
}

static void top_listen(struct top *t)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP};
    _Static_assert(COUNT_OF(numbers) == COUNT_OF(t->signals), "one handle each");
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        CHECK(uv_signal_init(&t->remote.loop, &t->signals[i]) == 0);
        t->signals[i].data = t;
        bool is_wanted = t->has_screen || i < 2;
        CHECK(!is_wanted || uv_signal_start(&t->signals[i], top_on_signal, numbers[i]) == 0);
    }
    if (t->has_screen && isatty(STDIN_FILENO)) {
        CHECK(uv_poll_init(&t->remote.loop, &t->keys, STDIN_FILENO) == 0);
        t->keys.data = t;
        CHECK(uv_poll_start(&t->keys, UV_READABLE, top_on_key) == 0);
    }
}

/* --- the command ----------------------------------------------------------------------------- */

static bool top_interval(const char *text, nanos *ret)
{
    char *end = NULL;
    double seconds = text != NULL ? strtod(text, &end) : INTERVAL_DEFAULT_S;
    bool is_good = (text == NULL || (end != text && *end == '\0')) && seconds >= INTERVAL_MIN_S &&
                   seconds <= INTERVAL_MAX_S;
    if (is_good) {
        *ret = (nanos)(seconds * 1e9);
    }
    return is_good;
}

static void top_close(struct top *t)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&t->tick,       (uv_handle_t *)&t->signals[0],
                              (uv_handle_t *)&t->signals[1], (uv_handle_t *)&t->signals[2],
                              (uv_handle_t *)&t->signals[3], (uv_handle_t *)&t->signals[4]};
    for (size_t i = 0; i < TOP_TARGETS_MAX; i++) {
        if (t->jobs[i].get != NULL) {
            page_get_drop(t->jobs[i].get);
        }
    }
    if (t->list_call != NULL) {
        rpc_client_cancel(t->list_call);
    }
    for (size_t i = 0; i < COUNT_OF(handles); i++) {
        uv_close(handles[i], NULL);
    }
    if (t->keys.data != NULL) {
        uv_close((uv_handle_t *)&t->keys, NULL);
    }
    remote_close(&t->remote);
    buf_deinit(&t->list);
    mem_free(t->members);
}

enum cli_exit cmd_top(const struct cli_call *call)
{
    struct top *t = mem_alloc_zero(sizeof *t);
    enum cli_exit e = remote_open(&t->remote, "top", call);
    if (e != CLI_OK) {
        mem_free(t);
        return e;
    }
    t->members = mem_alloc_zero(sizeof *t->members);
    buf_init(&t->list);
    CHECK(uv_timer_init(&t->remote.loop, &t->tick) == 0);
    t->tick.data = t;
    t->is_once = call->options[TOP_ONCE] != NULL || (!t->remote.json && !top_terminal_is_there());
    t->has_screen = !t->is_once && !t->remote.json;
    top_listen(t);
    if (!top_interval(call->options[TOP_INTERVAL], &t->interval)) {
        e = remote_wrong(&t->remote, "--interval takes seconds, from 0.2 to 3600",
                         call->options[TOP_INTERVAL]);
    } else {
        for (size_t i = 0; i < t->remote.endpoint_count; i++) {
            top_members_watch(t->members, t->remote.endpoints[i]);
        }
        if (t->has_screen) {
            top_terminal_enter(&t->terminal);
        }
        top_round(t);
        while (!t->is_over) {
            (void)uv_run(&t->remote.loop, UV_RUN_DEFAULT);
        }
        top_terminal_leave(&t->terminal);
        e = !t->is_once         ? CLI_OK
            : t->answering == 0 ? CLI_UNREADABLE
            : t->is_well        ? CLI_OK
                                : CLI_DAMAGED;
    }
    top_close(t);
    mem_free(t);
    return e;
}
