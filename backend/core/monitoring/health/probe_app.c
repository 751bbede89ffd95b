#include "core/monitoring/health/probe_app.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/say.h"

const char *app_kind_name(enum app_kind kind)
{
    static const char *const names[] = {
#define APP_KIND_NAME(kind, name) name,
        APP_KIND_TABLE(APP_KIND_NAME)
#undef APP_KIND_NAME
    };

    CHECK(kind < APP_KINDS);
    return names[kind];
}

static enum err check_arguments(const char *const *arguments, const char *const *environment,
                                const char **why)
{
    size_t strings = 0;
    size_t bytes = 0;

    if (arguments == NULL || arguments[0] == NULL || arguments[0][0] != '/') {
        *why = "the command is a list of the program's absolute path and its arguments";
        return ERR_INVALID;
    }
    for (size_t i = 0; arguments[i] != NULL; i++, strings++) {
        bytes += strlen(arguments[i]) + 1;
    }
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++, strings++) {
        bytes += strlen(environment[i]) + 1;
    }
    if (strings > WORLD_COMMAND_STRINGS_MAX || bytes > WORLD_COMMAND_BYTES_MAX) {
        *why = "the command has at most 60 arguments, of 32 KiB together";
        return ERR_INVALID;
    }
    return OK;
}

enum err app_config_check(const struct app_config *config, const char **why)
{
    CHECK(config->kind < APP_KINDS);
    if (config->kind == APP_COMMAND) {
        return check_arguments(config->arguments, config->environment, why);
    }
    if (config->at.host[0] == '\0' || config->at.port == 0) {
        *why = "the endpoint is a host and a port";
        return ERR_INVALID;
    }
    return config->kind == APP_HTTP ? http_expect_check(&config->http, why) : OK;
}

/* --- verdicts -------------------------------------------------------------------------------- */

/* Ends the question, and tells what came of it. The bytes of the reason are whoever's. */
static void app_tell(struct app_probe *p, enum probe_outcome outcome, struct buf *reason)
{
    struct app_verdict verdict = {
        .outcome = outcome,
        .took = u64_sub_sat(world_now(p->world), p->began),
    };
    size_t n = u64_min(reason->len, sizeof verdict.reason - 1);

    for (size_t i = 0; i < n; i++) {
        bool is_plain = reason->data[i] >= ' ' && reason->data[i] < 0x7f;
        verdict.reason[i] = is_plain ? (char)reason->data[i] : '?';
    }
    buf_deinit(reason);
    if (p->plain != NULL) {
        p->world->plain->close(p->world->self, p->plain);
        p->plain = NULL;
    }
    http_answer_free(p->answer);
    p->answer = NULL;
    p->is_busy = false;
    if (p->answered != NULL) {
        p->answered(p, &verdict);
    }
}

static void say_within(struct buf *b, const struct app_probe *p)
{
    /* Asked a little after the time that its deadline was counted from. */
    nanos rounded = p->deadline - p->began + NANOS_PER_MS - 1;

    say(b, " within ");
    say_u64(b, rounded / NANOS_PER_MS);
    say(b, " ms");
}

/* --- connections ----------------------------------------------------------------------------- */

/* Whatever came, nothing follows. */
static void app_tell_answer(struct app_probe *p)
{
    bool is_well = http_answer_end(p->answer) == HTTP_WELL;
    struct buf reason;

    buf_init(&reason);
    http_answer_say(&reason, p->answer);
    app_tell(p, is_well ? PROBE_OK : PROBE_FAILURE, &reason);
}

static void app_opened(struct world_plain_sink *sink)
{
    struct app_probe *p = sink->owner;
    struct buf text;

    p->is_open = true;
    buf_init(&text);
    if (p->config.kind == APP_TCP) {
        say(&text, "connected");
        app_tell(p, PROBE_OK, &text);
        return;
    }
    _Static_assert(HTTP_PROBE_PATH_MAX_BYTES + HTTP_PROBE_HOST_MAX_BYTES + 1024 <
                       WORLD_PLAIN_QUEUE_MAX_BYTES,
                   "a request fits");
    http_expect_ask(&text, &p->config.http, &p->config.at);
    CHECK(p->world->plain->send(p->world->self, p->plain, buf_view(&text)) == OK);
    buf_deinit(&text);
}

static void app_received(struct world_plain_sink *sink, struct bytes bytes)
{
    struct app_probe *p = sink->owner;

    if (http_answer_take(p->answer, bytes) != HTTP_UNDECIDED) {
        app_tell_answer(p);
    }
}

static void say_unopened(struct buf *b, const struct app_probe *p, enum err why)
{
    switch ((int)why) {
    case ERR_REFUSED:
        say(b, "connection refused");
        break;
    case ERR_NOT_FOUND:
        say(b, "nobody has the name ");
        say(b, p->config.at.host);
        break;
    case ERR_CLOSED:
        say(b, "there is no way to it");
        break;
    case ERR_TIMEOUT:
        say(b, "no connection");
        say_within(b, p);
        break;
    default:
        say(b, err_text(why));
        break;
    }
}

static void app_closed(struct world_plain_sink *sink, enum err why)
{
    struct app_probe *p = sink->owner;
    struct buf reason;

    p->plain = NULL;
    if (p->is_open && why != ERR_TIMEOUT) {
        app_tell_answer(p);
        return;
    }
    buf_init(&reason);
    if (!p->is_open) {
        say_unopened(&reason, p, why);
    } else {
        http_answer_say(&reason, p->answer);
        say_within(&reason, p);
    }
    app_tell(p, why == ERR_NO_SPACE ? PROBE_NOT_ASKED : PROBE_FAILURE, &reason);
}

static void app_connect(struct app_probe *p)
{
    p->is_open = false;
    p->sink = (struct world_plain_sink){
        .opened = app_opened,
        .received = app_received,
        .closed = app_closed,
        .owner = p,
    };
    if (p->config.kind == APP_HTTP) {
        p->answer = http_answer_new(&p->config.http);
    }
    p->plain = p->world->plain->connect(p->world->self, &p->config.at, p->deadline, &p->sink);
}

/* --- commands -------------------------------------------------------------------------------- */

/* The last line that is not empty. */
static struct bytes last_line(struct bytes text)
{
    size_t end = text.len;
    size_t begin = 0;

    while (end > 0 && text.data[end - 1] <= ' ') {
        end--;
    }
    for (begin = end; begin > 0 && text.data[begin - 1] != '\n'; begin--) {
    }
    return (struct bytes){text.data + begin, end - begin};
}

/* Programs tell why they failed in their errors, or else at the end of what they say. */
static void say_last_words(struct buf *b, const struct world_command_request *request)
{
    struct bytes line = last_line((struct bytes){request->errors.buffer, request->errors.kept});

    if (line.len == 0) {
        line = last_line((struct bytes){request->output.buffer, request->output.kept});
    }
    if (line.len > 0) {
        say(b, ": ");
        buf_put(b, line.data, line.len);
    }
}

static void say_command(struct buf *b, const struct app_probe *p)
{
    const struct world_command_request *request = &p->command;

    switch ((int)request->result) {
    case OK:
        say(b, request->end == WORLD_COMMAND_EXITED ? "exit " : "killed by signal ");
        say_i64(b, request->status);
        say_last_words(b, request);
        break;
    case ERR_TIMEOUT:
        say(b, "no exit");
        say_within(b, p);
        say_last_words(b, request);
        break;
    case ERR_NOT_FOUND:
        say(b, "no such program: ");
        say(b, p->config.arguments[0]);
        break;
    case ERR_DENIED:
        say(b, "may not be executed: ");
        say(b, p->config.arguments[0]);
        break;
    case ERR_BUSY:
        say(b, "this host has no room for another program");
        break;
    default:
        say(b, err_text(request->result));
        break;
    }
}

static void app_command_done(struct world_command_request *request)
{
    struct app_probe *p = request->owner;
    bool is_well =
        request->result == OK && request->end == WORLD_COMMAND_EXITED && request->status == 0;
    struct buf reason;

    buf_init(&reason);
    say_command(&reason, p);
    if (request->result == ERR_BUSY) {
        app_tell(p, PROBE_NOT_ASKED, &reason);
    } else {
        app_tell(p, is_well ? PROBE_OK : PROBE_FAILURE, &reason);
    }
}

static void app_run(struct app_probe *p)
{
    p->command = (struct world_command_request){
        .arguments = p->config.arguments,
        .environment = p->config.environment,
        .output = {.buffer = p->output, .room = sizeof p->output},
        .errors = {.buffer = p->errors, .room = sizeof p->errors},
        .deadline = p->deadline,
        .done = app_command_done,
        .owner = p,
    };
    p->world->command->submit(p->world->self, &p->command);
}

/* --- life ------------------------------------------------------------------------------------ */

void app_probe_init(struct app_probe *p, const struct world *world, const struct app_config *config,
                    void (*answered)(struct app_probe *probe, const struct app_verdict *verdict),
                    void *owner)
{
    memset(p, 0, sizeof *p);
    p->world = world;
    p->config = *config;
    p->answered = answered;
    p->owner = owner;
}

enum err app_probe_ask(struct app_probe *p, nanos deadline)
{
    if (p->is_busy) {
        return ERR_PENDING;
    }
    p->is_busy = true;
    p->began = world_now(p->world);
    p->deadline = u64_max(deadline, p->began);
    if (p->config.kind == APP_COMMAND) {
        app_run(p);
    } else {
        app_connect(p);
    }
    return OK;
}

void app_probe_stop(struct app_probe *p)
{
    p->answered = NULL;
    if (p->plain != NULL) {
        p->world->plain->close(p->world->self, p->plain);
        p->plain = NULL;
        p->is_busy = false;
    }
    http_answer_free(p->answer);
    p->answer = NULL;
}

void app_probe_free(struct app_probe *p)
{
    http_answer_free(p->answer);
    p->answer = NULL;
}
