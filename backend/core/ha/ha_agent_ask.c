/*
 * The questions of a machine's ladder, carried out: PING and EXEC by its driver, connections by the
 * world. Each rung has one question at a time. Those of the driver cannot be taken back: where a
 * machine is not asked any more, what is under way ends at its deadline and is for nobody.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/ha/ha_agent_ladder.h"

static struct ha_asking *asking_of(struct ha_run *run, enum ha_rung rung)
{
    struct ha_ladder *l = run->ladder;

    if (l->askings[rung] == NULL) {
        l->askings[rung] = mem_alloc_zero(sizeof(*l->askings[rung]));
        l->askings[rung]->run = run;
        l->askings[rung]->rung = rung;
    }
    return l->askings[rung];
}

/* --- by the driver ------------------------------------------------------------------------------
 */

/* The last line of what it said, of its errors first. */
static void ask_say_last_words(struct buf *text, const struct ha_asking *q)
{
    const struct world_command_says *says =
        q->command.errors.kept > 0 ? &q->command.errors : &q->command.output;
    size_t end = says->kept;

    while (end > 0 && says->buffer[end - 1] <= ' ') {
        end--;
    }
    size_t begin = end;
    while (begin > 0 && says->buffer[begin - 1] != '\n') {
        begin--;
    }
    if (end > begin) {
        say(text, ": ");
        buf_put(text, says->buffer + begin, end - begin);
    }
}

static void ask_say_driver(struct buf *text, const struct ha_asking *q)
{
    const enum err result = q->request.result;

    if (result == ERR_UNSUPPORTED) {
        say(text, "it was defined without a guest agent");
    } else if (result == ERR_TIMEOUT) {
        say(text, "no answer in time");
    } else if (result != OK) {
        say(text, err_text(result));
    } else if (q->request.op == WORLD_VM_PING) {
        say(text, "it answers");
    } else {
        say(text, q->command.end == WORLD_COMMAND_EXITED ? "exit " : "killed by signal ");
        say_i64(text, q->command.status);
        ask_say_last_words(text, q);
    }
}

/* A machine that has no agent by its definition fails nothing by that: no restart gives it one. */
static enum probe_outcome ask_outcome(const struct ha_asking *q)
{
    if (q->request.result == ERR_UNSUPPORTED) {
        return PROBE_NOT_ASKED;
    }
    if (q->request.result != OK) {
        return PROBE_FAILURE;
    }
    bool is_well = q->request.op == WORLD_VM_PING ||
                   (q->command.end == WORLD_COMMAND_EXITED && q->command.status == 0);

    return is_well ? PROBE_OK : PROBE_FAILURE;
}

static void ask_on_driver(struct world_vm_request *request)
{
    struct ha_asking *q = request->owner;
    struct ha_run *run = q->run;
    struct buf text;

    q->is_busy = false;
    if (!q->is_answered) {
        q->is_answered = true;
        buf_init(&text);
        ask_say_driver(&text, q);
        if (request->result == ERR_UNSUPPORTED && q->rung == HA_RUNG_AGENT) {
            run->ladder->has_no_agent = true;
        }
        ha_ladder_answer(run, q->rung, &q->order, ask_outcome(q), say_end(&text));
        buf_deinit(&text);
    }
    ha_agent_due(run->agent); /* a run that has ended may have waited for this */
}

static void ask_driver(struct ha_asking *q, enum world_vm_op op, const struct probe_order *order)
{
    struct ha_run *run = q->run;
    struct ha_agent *a = run->agent;

    if (q->is_busy) { /* of an earlier time, and until its deadline */
        ha_ladder_answer(run, q->rung, order, PROBE_NOT_ASKED, "");
        return;
    }
    q->order = *order;
    q->is_busy = true;
    q->is_answered = false;
    memset(&q->request, 0, sizeof(q->request));
    q->request.op = op;
    q->request.spec.name = run->vm;
    q->request.spec.epoch = run->epoch;
    q->request.command = op == WORLD_VM_EXEC ? &q->command : NULL;
    q->request.deadline = order->deadline - HA_ANSWER_SLACK;
    q->request.done = ask_on_driver;
    q->request.owner = q;
    a->world->vm->submit(a->world->self, &q->request);
}

void ha_ask_agent(struct ha_run *run, const struct probe_order *order)
{
    if (run->ladder->has_no_agent) {
        ha_ladder_answer(run, HA_RUNG_AGENT, order, PROBE_NOT_ASKED, "");
        return;
    }
    ask_driver(asking_of(run, HA_RUNG_AGENT), WORLD_VM_PING, order);
}

/* The words are copied: the check may be another one before the driver is done. */
static void ask_exec(struct ha_asking *q, const struct ha_check *check,
                     const struct probe_order *order)
{
    if (!q->is_busy) {
        memset(&q->command, 0, sizeof(q->command));
        memcpy(q->words, check->command.word, sizeof(q->words));
        for (uint32_t i = 0; i < HA_COMMAND_WORDS_MAX; i++) {
            q->arguments[i] = i < check->command.n ? q->words[i] : NULL;
        }
        q->command.arguments = q->arguments;
        q->command.output.buffer = q->output;
        q->command.output.room = sizeof(q->output);
        q->command.errors.buffer = q->errors;
        q->command.errors.room = sizeof(q->errors);
    }
    ask_driver(q, WORLD_VM_EXEC, order);
}

/* --- by the network -----------------------------------------------------------------------------
 */

static void ask_on_called(struct app_probe *probe, const struct app_verdict *verdict)
{
    struct ha_asking *q = probe->owner;

    ha_ladder_answer(q->run, q->rung, &q->order, verdict->outcome, verdict->reason);
    ha_agent_due(q->run->agent);
}

static void ask_stop_calling(struct ha_asking *q)
{
    if (q->app != NULL) {
        app_probe_stop(q->app);
        mem_free(q->app);
        q->app = NULL;
    }
}

static void ask_call(struct ha_asking *q, const struct ha_check *check,
                     const struct probe_order *order)
{
    const struct world *world = q->run->agent->world;
    struct app_config config = {.kind = check->ask == HA_ASK_TCP ? APP_TCP : APP_HTTP,
                                .http = http_expect_of()};
    const char *why = "";

    ask_stop_calling(q);
    ha_text_set(config.at.host, sizeof(config.at.host), check->address);
    config.at.port = (uint16_t)check->port;
    memcpy(q->path, check->path, sizeof(q->path));
    if (q->path[0] != '\0') {
        config.http.path = q->path;
    }
    if (check->status != 0) {
        config.http.status_min = check->status;
        config.http.status_max = check->status;
    }
    if (world->plain == NULL || app_config_check(&config, &why) != OK) {
        ha_ladder_answer(q->run, q->rung, order, PROBE_NOT_ASKED, why);
        return;
    }
    q->order = *order;
    q->app = mem_alloc_zero(sizeof(*q->app));
    app_probe_init(q->app, world, &config, ask_on_called, q);
    CHECK(app_probe_ask(q->app, order->deadline - HA_ANSWER_SLACK) == OK);
}

/* --- either -------------------------------------------------------------------------------------
 */

void ha_ask_guest(struct ha_run *run, const struct probe_order *order)
{
    const struct ha_ladder *l = run->ladder;
    enum probe_purpose purpose = ha_ladder_check_of(l, order->purpose);
    const struct ha_check *check = &l->checks[purpose];
    struct ha_asking *q = asking_of(run, HA_RUNG_STARTUP + purpose);

    switch (check->ask) {
    case HA_ASK_AGENT:
        ask_driver(q, WORLD_VM_PING, order);
        break;
    case HA_ASK_EXEC:
        ask_exec(q, check, order);
        break;
    case HA_ASK_TCP:
    case HA_ASK_HTTP:
        ask_call(q, check, order);
        break;
    case HA_ASK_NOTHING:
    case HA_ASKS:
    default:
        CHECK_UNREACHABLE("a check that is asked asks something");
    }
}

void ha_asks_stop(struct ha_run *run, enum ha_rung from)
{
    for (enum ha_rung i = from; i < HA_RUNGS; i++) {
        struct ha_asking *q = run->ladder->askings[i];
        if (q != NULL) {
            q->is_answered = true;
            ask_stop_calling(q);
        }
    }
}

bool ha_asks_are_busy(const struct ha_run *run)
{
    for (int i = 0; run->ladder != NULL && i < HA_RUNGS; i++) {
        const struct ha_asking *q = run->ladder->askings[i];
        if (q != NULL && q->is_busy) {
            return true;
        }
    }
    return false;
}

void ha_asks_free(struct ha_run *run)
{
    for (int i = 0; i < HA_RUNGS; i++) {
        struct ha_asking *q = run->ladder->askings[i];
        if (q != NULL && q->app != NULL) {
            app_probe_free(q->app);
            mem_free(q->app);
        }
        mem_free(q);
    }
}
