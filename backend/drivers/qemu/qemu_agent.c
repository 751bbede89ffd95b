/*
 * PING and EXEC, by the agent within the guest. It is connected to when it is first needed. What it
 * says are a guest's words: decoded as QMP's are, and bounded.
 *
 * A guest that has stopped to answer would find all that it was asked meanwhile when it goes on. So
 * when a request's time is over, and nobody else waits for an answer, its connection ends, and QEMU
 * throws away what was not read.
 */
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "drivers/qemu/qemu_int.h"
#include "drivers/qemu/qmp_message.h"

/* How often a program is looked at: soon at first. */
#define LOOK_FIRST (10 * NANOS_PER_MS)
#define LOOK_LAST  (500 * NANOS_PER_MS)

/* All words of a command, in base64 and JSON, at most: what a program is given is no more. */
_Static_assert(WORLD_COMMAND_INPUT_MAX_BYTES + WORLD_COMMAND_BYTES_MAX <= QMP_LINE_MAX_BYTES / 2,
               "a command is a line");

bool qemu_call_is_for_agent(const struct qemu_call *call)
{
    return call->request->op == WORLD_VM_PING || call->request->op == WORLD_VM_EXEC;
}

/* Agents send no events. */
static void agent_event(void *owner, const char *name, const json_t *data)
{
    (void)owner;
    (void)name;
    (void)data;
}

/* The next request connects anew. */
static void agent_lost(void *owner)
{
    (void)owner;
}

void qemu_agent_init(struct qemu_machine *m)
{
    qmp_init(&m->agent, m->driver->loop);
    m->agent.is_agent = true;
    m->agent.event = agent_event;
    m->agent.lost = agent_lost;
    m->agent.owner = m;
}

/* --- base64 ----------------------------------------------------------------------------------- */

static json_t *encoded(struct bytes bytes)
{
    unsigned char *text = mem_alloc(4 * (bytes.len / 3 + 1) + 1);

    CHECK(bytes.len <= WORLD_COMMAND_INPUT_MAX_BYTES);
    const int n = EVP_EncodeBlock(text, bytes.data, (int)bytes.len);
    json_t *json = json_stringn((const char *)text, (size_t)n);
    mem_free(text);
    return json;
}

/* False: it is no base64. */
static bool decode_says(const json_t *value, bool is_cut, struct world_command_says *says)
{
    const char *text = json_string_value(value);
    const size_t n = text != NULL ? strlen(text) : 0;
    unsigned char *bytes = mem_alloc(n + 1);
    const int got = n % 4 == 0 ? EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)n) : -1;

    if (n > 0 && got < 0) {
        mem_free(bytes);
        return false;
    }
    /* The padding was decoded as zeros. */
    size_t length = n > 0 ? (size_t)got : 0;
    for (size_t i = n; i > 0 && n - i < 2 && text[i - 1] == '='; i--) {
        length--;
    }
    says->kept = says->buffer != NULL ? (size_t)u64_min(says->room, length) : 0;
    says->total = length + (is_cut ? 1 : 0); /* more than it kept, who knows how much */
    if (says->kept > 0) {
        memcpy(says->buffer, bytes, says->kept);
    }
    mem_free(bytes);
    return true;
}

/* --- the conversation ------------------------------------------------------------------------- */

static void agent_send(struct qemu_call *call, const char *execute, json_t *arguments,
                       void (*done)(struct qmp_command *, enum err, const json_t *, const char *))
{
    struct qemu_machine *m = call->machine;

    call->command = (struct qmp_command){.done = done, .owner = call};
    qmp_send(&m->agent, &call->command, execute, arguments);
    if (m->agent.state == QMP_CLOSED && qmp_connect(&m->agent, m->dir, QEMU_FILE_AGENT) != OK) {
        qemu_call_answer(call, ERR_CLOSED, WORLD_VM_UNKNOWN);
    }
}

static void agent_refused(struct qemu_call *call, enum err result, const char *text)
{
    if (result == ERR_REFUSED && text != NULL) {
        qemu_tell(call->driver, call->machine->record.name, "its agent refuses: %.200s", text);
    }
    qemu_call_answer(call, result, WORLD_VM_UNKNOWN);
}

static void ping_answered(struct qmp_command *command, enum err result, const json_t *body,
                          const char *text)
{
    (void)body;
    agent_refused(command->owner, result, text);
}

static void program_looked(struct qmp_command *command, enum err result, const json_t *body,
                           const char *text);

static void program_look(struct world_timer *timer)
{
    struct qemu_call *call = timer->owner;

    agent_send(call, "guest-exec-status", json_pack("{s:I}", "pid", (json_int_t)call->program),
               program_looked);
}

static void program_look_later(struct qemu_call *call)
{
    const struct world *w = call->driver->world;

    call->look = (struct world_timer){.fire = program_look, .owner = call};
    world_timer_set(w, &call->look, world_now(w) + call->look_every);
    call->look_every = u64_min(2 * call->look_every, LOOK_LAST);
}

static bool program_ended(const json_t *body, struct world_command_request *command)
{
    const json_t *code = json_object_get(body, "exitcode");
    const json_t *signal = json_object_get(body, "signal");
    const json_t *how = json_is_integer(signal) ? signal : code;
    const json_int_t status = json_is_integer(how) ? json_integer_value(how) : -1;

    if (status < 0 || status > INT32_MAX ||
        !decode_says(json_object_get(body, "out-data"),
                     json_is_true(json_object_get(body, "out-truncated")), &command->output) ||
        !decode_says(json_object_get(body, "err-data"),
                     json_is_true(json_object_get(body, "err-truncated")), &command->errors)) {
        return false;
    }
    command->end = how == signal ? WORLD_COMMAND_SIGNALED : WORLD_COMMAND_EXITED;
    command->status = (int32_t)status;
    command->result = OK;
    return true;
}

static void program_looked(struct qmp_command *command, enum err result, const json_t *body,
                           const char *text)
{
    struct qemu_call *call = command->owner;

    if (result != OK) {
        agent_refused(call, result, text);
    } else if (!json_is_true(json_object_get(body, "exited"))) {
        program_look_later(call);
    } else {
        const bool is_right = program_ended(body, call->request->command);
        qemu_call_answer(call, is_right ? OK : ERR_PROTOCOL, WORLD_VM_UNKNOWN);
    }
}

static void program_begun(struct qmp_command *command, enum err result, const json_t *body,
                          const char *text)
{
    struct qemu_call *call = command->owner;
    const json_t *program = json_object_get(body, "pid");

    if (result != OK) {
        agent_refused(call, result, text);
    } else if (!json_is_integer(program)) {
        qemu_call_answer(call, ERR_PROTOCOL, WORLD_VM_UNKNOWN);
    } else {
        call->program = json_integer_value(program);
        call->look_every = LOOK_FIRST;
        program_look_later(call);
    }
}

/* Words that are no UTF-8 cannot be said; NULL. */
static json_t *words_of(const char *const *words)
{
    json_t *list = json_array();

    for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
        if (i >= WORLD_COMMAND_STRINGS_MAX ||
            json_array_append_new(list, json_string(words[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static void exec_begin(struct qemu_call *call)
{
    const struct world_command_request *command = call->request->command;
    json_t *path = command->arguments[0] != NULL ? json_string(command->arguments[0]) : NULL;
    json_t *arguments = path != NULL ? words_of(command->arguments + 1) : NULL;
    json_t *environment = arguments != NULL ? words_of(command->environment) : NULL;

    if (environment == NULL || command->input.len > WORLD_COMMAND_INPUT_MAX_BYTES) {
        json_decref(path);
        json_decref(arguments);
        json_decref(environment);
        qemu_call_answer(call, ERR_INVALID, WORLD_VM_UNKNOWN);
        return;
    }
    json_t *all = json_pack("{s:o, s:o, s:o, s:b}", "path", path, "arg", arguments, "env",
                            environment, "capture-output", 1);
    CHECK(all != NULL);
    if (command->input.len > 0) {
        CHECK(json_object_set_new(all, "input-data", encoded(command->input)) == 0);
    }
    agent_send(call, "guest-exec", all, program_begun);
}

void qemu_agent_begin(struct qemu_call *call)
{
    struct qemu_machine *m = qemu_call_machine(call);

    if (m == NULL) {
        return;
    }
    call->machine = m;
    if (m->phase == QEMU_PREPARED || faccessat(m->dir, QEMU_FILE_AGENT, F_OK, 0) != 0) {
        qemu_call_answer(call, ERR_UNSUPPORTED, WORLD_VM_UNKNOWN);
    } else if (call->request->op == WORLD_VM_EXEC) {
        exec_begin(call);
    } else {
        agent_send(call, "guest-ping", NULL, ping_answered);
    }
}

void qemu_agent_expired(struct qemu_call *call)
{
    struct qemu_machine *m = call->machine;

    qmp_cancel(&m->agent, &call->command);
    if (m->agent.commands == NULL) {
        qmp_drop(&m->agent);
    }
    qemu_call_answer(call, ERR_TIMEOUT, WORLD_VM_UNKNOWN);
}
