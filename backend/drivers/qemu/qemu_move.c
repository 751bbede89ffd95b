/* MIGRATE, and machines that wait for a guest. What it means is in qemu.h. */
#include <stdio.h>
#include <string.h>

#include "drivers/qemu/qemu_int.h"

/* How often a move is looked at where no event tells of it; twice as often at first, and so on. */
#define LOOK_FIRST (10 * NANOS_PER_MS)
#define LOOK_LAST  (500 * NANOS_PER_MS)

bool qemu_host_format(char *ret, size_t cap, const char *host)
{
    const size_t n = strlen(host);
    const bool is_v6 = strchr(host, ':') != NULL;

    if (n == 0 || n + 3 > cap ||
        strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:_") != n) {
        return false;
    }
    (void)snprintf(ret, cap, is_v6 ? "[%s]" : "%s", host);
    return true;
}

static json_t *capabilities(const char *const *names, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        CHECK(json_array_append_new(
                  list, json_pack("{s:s, s:b}", "capability", names[i], "state", 1)) == 0);
    }
    return json_pack("{s:o}", "capabilities", list);
}

/* --- the machine that waits ------------------------------------------------------------------- */

static void wait_looked(struct qmp_command *command, enum err result, const json_t *body,
                        const char *text)
{
    struct qemu_machine *m = command->owner;

    if (qemu_boot_goes_on(m, "query-status", result, text)) {
        qemu_start_done(m, body);
    }
}

/* "socket-address": [{"port": "4711", ...}]; 0: it is not there. */
static uint16_t port_of(const json_t *move)
{
    const json_t *at = json_array_get(json_object_get(move, "socket-address"), 0);
    const char *port = json_string_value(json_object_get(at, "port"));
    unsigned number = 0;

    if (port == NULL || sscanf(port, "%5u", &number) != 1 || number > UINT16_MAX) {
        return 0;
    }
    return (uint16_t)number;
}

static void wait_has_port(struct qmp_command *command, enum err result, const json_t *body,
                          const char *text)
{
    struct qemu_machine *m = command->owner;
    const uint16_t port = port_of(body);

    if (!qemu_boot_goes_on(m, "query-migrate", result == OK && port == 0 ? ERR_PROTOCOL : result,
                           text)) {
        return;
    }
    m->start->request->port = port;
    qemu_boot_send(m, "query-status", NULL, wait_looked);
}

static void wait_listens(struct qmp_command *command, enum err result, const json_t *body,
                         const char *text)
{
    struct qemu_machine *m = command->owner;

    (void)body;
    if (qemu_boot_goes_on(m, "migrate-incoming", result, text)) {
        qemu_boot_send(m, "query-migrate", NULL, wait_has_port);
    }
}

static void wait_is_able(struct qmp_command *command, enum err result, const json_t *body,
                         const char *text)
{
    struct qemu_machine *m = command->owner;
    char uri[WORLD_HOST_MAX_BYTES + 16];

    (void)body;
    if (qemu_boot_goes_on(m, "migrate-set-capabilities", result, text)) {
        (void)snprintf(uri, sizeof uri, "tcp:%s:0", m->driver->move_bind);
        qemu_boot_send(m, "migrate-incoming", json_pack("{s:s}", "uri", uri), wait_listens);
    }
}

void qemu_wait_begin(struct qemu_machine *m)
{
    static const char *const names[] = {"late-block-activate"};

    qemu_boot_send(m, "migrate-set-capabilities", capabilities(names, COUNT_OF(names)),
                   wait_is_able);
}

/* --- the machine that sends ------------------------------------------------------------------- */

static void move_looked(struct qmp_command *command, enum err result, const json_t *body,
                        const char *text);

static void move_send(struct qemu_call *call, const char *execute, json_t *arguments,
                      void (*done)(struct qmp_command *, enum err, const json_t *, const char *))
{
    call->command = (struct qmp_command){.done = done, .owner = call};
    qmp_send(&call->machine->qmp, &call->command, execute, arguments);
}

static void move_look(struct qemu_call *call)
{
    world_timer_cancel(call->driver->world, &call->look);
    if (call->command.id == 0) {
        move_send(call, "query-migrate", NULL, move_looked);
    }
}

static void move_look_due(struct world_timer *timer)
{
    move_look(timer->owner);
}

static void move_fails(struct qemu_call *call, enum err result, const char *text)
{
    qemu_tell(call->driver, call->machine->record.name, "it was not moved: %s",
              text != NULL ? text : err_text(result));
    qemu_call_answer(call, result, WORLD_VM_UNKNOWN);
}

/* Its connection to us was lost, and with it the answer: what QEMU is at, it is at. */
static void move_look_later(struct qemu_call *call)
{
    const struct world *w = call->driver->world;

    world_timer_set(w, &call->look, world_now(w) + call->look_every);
    call->look_every = u64_min(2 * call->look_every, LOOK_LAST);
}

/* What QEMU says of a move that is through, in milliseconds. */
static void move_measured(struct qemu_call *call, const json_t *body)
{
    const json_int_t span = json_integer_value(json_object_get(body, "total-time"));
    const json_int_t pause = json_integer_value(json_object_get(body, "downtime"));

    call->request->moved = (struct world_vm_moved){
        .span = (nanos)(span > 0 ? span : 0) * NANOS_PER_MS,
        .pause = (nanos)(pause > 0 ? pause : 0) * NANOS_PER_MS,
    };
}

/* Where the guest is, is told by the machine's status, and not by that of a move, which may be an
 * earlier one. */
static void move_judged(struct qmp_command *command, enum err result, const json_t *body,
                        const char *text)
{
    struct qemu_call *call = command->owner;
    const enum world_vm_state state = qemu_state_of(body);
    const char *word = json_string_value(json_object_get(body, "status"));

    if (result == ERR_CLOSED || (word != NULL && strcmp(word, "finish-migrate") == 0)) {
        move_look_later(call);
    } else if (result != OK) {
        move_fails(call, ERR_UNKNOWN, text);
    } else if (state == WORLD_VM_MOVED) {
        qemu_call_answer(call, OK, WORLD_VM_MOVED);
    } else {
        move_fails(call, ERR_CLOSED, call->why[0] != '\0' ? call->why : NULL);
    }
}

static void move_looked(struct qmp_command *command, enum err result, const json_t *body,
                        const char *text)
{
    static const char *const ends[] = {"completed", "failed", "cancelled", "none"};
    struct qemu_call *call = command->owner;
    const char *status = json_string_value(json_object_get(body, "status"));
    const char *why = json_string_value(json_object_get(body, "error-desc"));
    bool is_over = result == OK && status == NULL;

    for (size_t i = 0; result == OK && status != NULL && i < COUNT_OF(ends); i++) {
        is_over |= strcmp(status, ends[i]) == 0;
    }
    (void)snprintf(call->why, sizeof call->why, "%s", why != NULL ? why : "");
    if (is_over) {
        move_measured(call, body);
        move_send(call, "query-status", NULL, move_judged);
    } else if (result == OK || result == ERR_CLOSED) {
        move_look_later(call);
    } else {
        move_fails(call, ERR_UNKNOWN, text);
    }
}

static void move_begun(struct qmp_command *command, enum err result, const json_t *body,
                       const char *text)
{
    struct qemu_call *call = command->owner;

    (void)body;
    if (result == ERR_REFUSED) {
        move_fails(call, ERR_CLOSED, text);
    } else {
        move_look_later(call);
    }
}

static void move_go(struct qemu_call *call)
{
    const struct world_endpoint *to = &call->request->to;
    char host[WORLD_HOST_MAX_BYTES + 2];
    char uri[WORLD_HOST_MAX_BYTES + 16];

    CHECK(qemu_host_format(host, sizeof host, to->host));
    (void)snprintf(uri, sizeof uri, "tcp:%s:%u", host, to->port);
    move_send(call, "migrate", json_pack("{s:s}", "uri", uri), move_begun);
}

static void move_is_bound(struct qmp_command *command, enum err result, const json_t *body,
                          const char *text)
{
    struct qemu_call *call = command->owner;

    (void)body;
    if (result != OK) {
        move_fails(call, result, text);
    } else {
        move_go(call);
    }
}

static void move_is_able(struct qmp_command *command, enum err result, const json_t *body,
                         const char *text)
{
    struct qemu_call *call = command->owner;
    const nanos pause = call->request->pause_max;

    (void)body;
    if (result != OK) {
        move_fails(call, result, text);
    } else if (pause == 0) {
        move_go(call);
    } else {
        move_send(call, "migrate-set-parameters",
                  json_pack("{s:I}", "downtime-limit", (json_int_t)(pause / NANOS_PER_MS)),
                  move_is_bound);
    }
}

static void move_may_begin(struct qmp_command *command, enum err result, const json_t *body,
                           const char *text)
{
    static const char *const names[] = {"events", "return-path", "auto-converge"};
    struct qemu_call *call = command->owner;

    if (result != OK) {
        move_fails(call, result, text);
        return;
    }
    const enum world_vm_state state = qemu_state_of(body);
    qemu_machine_judge(call->machine, body);
    if (state != WORLD_VM_RUNNING && state != WORLD_VM_PAUSED) {
        move_fails(call, ERR_REFUSED, "it has no guest");
        return;
    }
    move_send(call, "migrate-set-capabilities", capabilities(names, COUNT_OF(names)), move_is_able);
}

void qemu_move_begin(struct qemu_call *call)
{
    char host[WORLD_HOST_MAX_BYTES + 2];
    struct qemu_machine *m = qemu_call_machine(call);

    if (m == NULL) {
        return;
    }
    call->machine = m;
    call->look = (struct world_timer){.fire = move_look_due, .owner = call};
    call->look_every = LOOK_FIRST;
    if (!qemu_host_format(host, sizeof host, call->request->to.host) ||
        call->request->to.port == 0) {
        move_fails(call, ERR_INVALID, "there is no such host");
        return;
    }
    move_send(call, "query-status", NULL, move_may_begin);
}

void qemu_move_event(struct qemu_machine *m)
{
    for (struct qemu_call *call = m->driver->calls; call != NULL; call = call->next) {
        if (call->machine == m && call->request->op == WORLD_VM_MIGRATE && call->look.is_set) {
            move_look(call);
            return;
        }
    }
}

/* --- called off ------------------------------------------------------------------------------- */

static void cancel_answered(struct qmp_command *command, enum err result, const json_t *body,
                            const char *text)
{
    (void)command;
    (void)result;
    (void)body;
    (void)text; /* what became of it, QUERY tells */
}

void qemu_move_expired(struct qemu_call *call)
{
    struct qemu_machine *m = call->machine;

    if (m->cancel.id == 0) {
        m->cancel = (struct qmp_command){.done = cancel_answered};
        qmp_send(&m->qmp, &m->cancel, "migrate_cancel", NULL);
    }
    qemu_call_answer(call, ERR_TIMEOUT, WORLD_VM_UNKNOWN);
}
