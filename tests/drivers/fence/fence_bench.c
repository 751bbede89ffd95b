#include "tests/drivers/fence/fence_bench.h"

#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "tests/support/test.h"

const char bench_metadata[] =
    "<?xml version=\"1.0\" ?>\n"
    "<resource-agent name=\"fence_model\" shortdesc=\"a model\">\n"
    "<longdesc>It models.</longdesc>\n"
    "<parameters>\n"
    "<parameter name=\"action\" unique=\"0\" required=\"1\">"
    "<content type=\"string\" default=\"reboot\"/></parameter>\n"
    "<parameter name=\"ip\" required=\"1\" obsoletes=\"ipaddr\">"
    "<getopt mixed=\"-a, --ip=[ip]\"/><content type=\"string\"/></parameter>\n"
    "<parameter name=\"ipaddr\" required=\"1\" deprecated=\"1\">"
    "<getopt mixed=\"-a, --ip=[ip]\"/><content type=\"string\"/></parameter>\n"
    "<parameter name=\"password\" required=\"0\"><content type=\"string\"/></parameter>\n"
    "<parameter name=\"lanplus\" required=\"0\"><content type=\"boolean\"/></parameter>\n"
    "<parameter name=\"ipport\" required=\"0\"><content type=\"integer\"/></parameter>\n"
    "<parameter name=\"power_wait\" required=\"0\"><content type=\"second\"/></parameter>\n"
    "<parameter name=\"method\" required=\"0\"><content type=\"select\">"
    "<option value=\"onoff\"/><option value=\"cycle\"/></content></parameter>\n"
    "</parameters>\n"
    "<actions><action name=\"on\" automatic=\"0\"/><action name=\"off\"/>"
    "<action name=\"reboot\"/><action name=\"status\"/><action name=\"metadata\"/></actions>\n"
    "</resource-agent>\n";

/* A run that is under way: its own memory, freed when it ends. */
struct bench_call {
    struct fence_bench *bench;
    struct world_command_request *request;
    struct world_timer end;
    bool is_power; /* not for metadata */
    bool is_late;
};

struct bench_switch {
    struct fence_bench *bench;
    struct world_timer timer;
    bool is_on;
};

static void bench_switched(struct world_timer *timer)
{
    struct bench_switch *s = timer->owner;

    s->bench->model.is_on = s->is_on;
    mem_free(s);
}

static void bench_switch_later(struct fence_bench *b, bool is_on, nanos at)
{
    struct bench_switch *s = mem_alloc_zero(sizeof *s);

    s->bench = b;
    s->is_on = is_on;
    s->timer = (struct world_timer){.fire = bench_switched, .owner = s};
    world_timer_set(b->world, &s->timer, at);
}

static bool bench_has_line(struct bytes input, const char *line)
{
    char text[BENCH_INPUT_MAX];
    size_t n = u64_min(input.len, sizeof text - 1);

    memcpy(text, input.data, n);
    text[n] = '\0';
    const char *at = strstr(text, line);
    return at != NULL && (at == text || at[-1] == '\n') && at[strlen(line)] == '\n';
}

static void bench_says(struct world_command_says *says, const char *text)
{
    size_t n = strlen(text);

    says->kept = u64_min(n, says->room);
    says->total = n;
    memcpy(says->buffer, text, says->kept);
}

static void bench_exits(struct world_command_request *request, int status)
{
    request->end = WORLD_COMMAND_EXITED;
    request->status = status;
}

static void bench_tells_power(struct fence_bench *b, struct world_command_request *request)
{
    bool is_on = b->model.is_on && !b->model.is_unread;

    bench_exits(request, is_on ? 0 : 2);
    if (!b->model.says_no_words) {
        bench_says(&request->output, is_on ? "Status: ON\n" : "Status: OFF\n");
    }
}

/* What the agent does, before it hangs, if it does. */
static void bench_act(struct fence_bench *b, struct world_command_request *request, nanos end)
{
    const struct bench_model *m = &b->model;
    bool is_off = bench_has_line(request->input, "action=off");

    if (m->errors != NULL) {
        bench_says(&request->errors, m->errors);
    }
    request->result = m->run_result;
    if (bench_has_line(request->input, "action=metadata")) {
        request->result = m->metadata_result;
        bench_exits(request, m->metadata_exit);
        bench_says(&request->output, b->metadata);
    } else if (bench_has_line(request->input, "action=status")) {
        if (m->status_exit != 0) {
            bench_exits(request, m->status_exit);
        } else {
            bench_tells_power(b, request);
        }
    } else if (m->is_unread && is_off) {
        bench_exits(request, 0);
        bench_says(&request->output, "Success: Already OFF\n");
    } else if (m->switch_refuses != 0) {
        bench_exits(request, m->switch_refuses);
    } else {
        bench_exits(request, m->switch_exit);
        if (!m->obeys_not && m->run_result == OK) {
            bench_switch_later(b, !is_off, end + m->switch_lag);
        }
    }
}

static nanos bench_latency(const struct bench_model *m, const struct world_command_request *request)
{
    nanos latency = m->latency != 0 ? m->latency : BENCH_LATENCY;

    if (bench_has_line(request->input, "action=metadata")) {
        return latency;
    }
    nanos own =
        bench_has_line(request->input, "action=status") ? m->status_latency : m->switch_latency;
    return own != 0 ? own : latency;
}

static void bench_run_ends(struct world_timer *timer)
{
    struct bench_call *call = timer->owner;
    struct world_command_request *request = call->request;

    call->bench->at_once -= call->is_power;
    if (call->is_late) {
        request->result = ERR_TIMEOUT;
        request->end = WORLD_COMMAND_NO_END;
    } else {
        bench_act(call->bench, request, world_now(call->bench->world));
    }
    mem_free(call);
    request->done(request);
}

static void bench_submit(void *self, struct world_command_request *request)
{
    struct fence_bench *b = self;
    struct bench_call *call = mem_alloc_zero(sizeof *call);
    nanos now = world_now(b->world);
    nanos span = bench_latency(&b->model, request);

    assert_true(b->run_count < BENCH_RUNS_MAX);
    struct bench_run *run = &b->runs[b->run_count++];
    (void)snprintf(run->path, sizeof run->path, "%s", request->arguments[0]);
    assert_null(request->arguments[1]); /* nothing on the command line */
    memcpy(run->input, request->input.data, u64_min(request->input.len, BENCH_INPUT_MAX - 1));
    run->begun = now;
    run->deadline = request->deadline;
    call->bench = b;
    call->request = request;
    call->is_power = !bench_has_line(request->input, "action=metadata");
    b->at_once += call->is_power;
    b->at_once_max = u64_max(b->at_once_max, b->at_once);
    call->is_late = u64_add_sat(now, span) > request->deadline;
    if (call->is_late && span == BENCH_FOR_EVER) {
        bench_act(b, request, now);
    }
    call->end = (struct world_timer){.fire = bench_run_ends, .owner = call};
    world_timer_set(b->world, &call->end, u64_min(u64_add_sat(now, span), request->deadline));
}

static const struct world_command_ops bench_commands = {bench_submit};

static void bench_told(void *ctx, const char *device, enum fence_news news, const char *why)
{
    struct fence_bench *b = ctx;

    assert_true(b->news_count < BENCH_REPORTS);
    struct bench_news *n = &b->news[b->news_count++];
    n->news = news;
    (void)snprintf(n->device, sizeof n->device, "%s", device);
    (void)snprintf(n->why, sizeof n->why, "%s", why);
}

void bench_open(struct fence_bench *b)
{
    memset(b, 0, sizeof *b);
    b->sim = simworld_new(1);
    b->world = simhost_world(simhost_new(b->sim, "a", 1 << 20));
    b->metadata = bench_metadata;
    b->model.is_on = true;
    b->driver =
        fence_driver_open(b->world, &bench_commands, b, &(struct fence_listener){bench_told, b});
}

void bench_end(struct fence_bench *b)
{
    bench_pass(b, 3600 * NANOS_PER_S);
    assert_true(fence_driver_is_idle(b->driver));
    fence_driver_close(b->driver);
    simworld_free(b->sim);
}

void bench_configure(struct fence_bench *b)
{
    const struct fence_param params[] = {{"ip", "10.0.0.1"}, {"password", "hush"}};
    struct fence_device_report report;
    char why[FENCE_WHY_MAX_BYTES];

    assert_int_equal(
        fence_driver_set(b->driver,
                         &(struct fence_device_config){BENCH_DEVICE, BENCH_AGENT, params, 2, false},
                         why, sizeof why),
        OK);
    bench_pass(b, NANOS_PER_S);
    assert_int_equal(fence_driver_report(b->driver, BENCH_DEVICE, &report), OK);
    assert_int_equal(report.state, FENCE_READY);
}

void bench_pass(struct fence_bench *b, nanos span)
{
    simworld_run(b->sim, simworld_now(b->sim) + span);
}

static void order_answered(struct world_power_request *request)
{
    struct bench_order *order = request->owner;

    assert_false(order->is_done);
    order->is_done = true;
    order->at = world_now(order->bench->world);
}

void bench_send(struct bench_order *order, struct fence_bench *b, enum world_power_op op,
                const char *device, nanos patience)
{
    memset(order, 0, sizeof *order);
    order->bench = b;
    order->request = (struct world_power_request){
        .op = op,
        .device = device,
        .deadline = world_now(b->world) + patience,
        .done = order_answered,
        .owner = order,
        .state = WORLD_POWER_IS_ON,
    };
    fence_power_ops.submit(b->driver, &order->request);
    assert_false(order->is_done);
}

struct bench_order bench_ask(struct fence_bench *b, enum world_power_op op, nanos patience)
{
    struct bench_order order;
    nanos begin = world_now(b->world);

    bench_send(&order, b, op, BENCH_DEVICE, patience);
    while (!order.is_done) {
        assert_true(simworld_step(b->sim));
    }
    assert_true(order.at <= begin + patience);
    return order;
}

size_t bench_runs_of(const struct fence_bench *b, const char *line)
{
    size_t count = 0;

    for (size_t i = 0; i < b->run_count; i++) {
        struct bytes input = {(const uint8_t *)b->runs[i].input, strlen(b->runs[i].input)};
        count += bench_has_line(input, line);
    }
    return count;
}

size_t bench_news_of(const struct fence_bench *b, enum fence_news news)
{
    size_t count = 0;

    for (size_t i = 0; i < b->news_count; i++) {
        count += b->news[i].news == news;
    }
    return count;
}
