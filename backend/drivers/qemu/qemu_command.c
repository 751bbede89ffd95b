/* STOP, PAUSE, RESUME, QUERY, KILL and LIST. */
#include <stdio.h>
#include <string.h>

#include "drivers/qemu/qemu_int.h"

struct qemu_machine *qemu_call_machine(struct qemu_call *call)
{
    const struct world_vm_spec *spec = &call->request->spec;
    struct qemu_machine *m = qemu_machine_find(call->driver, spec->name);

    if (m == NULL || m->phase == QEMU_GONE) {
        qemu_call_answer(call, ERR_NOT_FOUND, WORLD_VM_UNKNOWN);
        return NULL;
    }
    if (spec->epoch != 0 && spec->epoch != m->record.epoch) {
        qemu_call_answer(call, ERR_REFUSED, WORLD_VM_UNKNOWN);
        return NULL;
    }
    return m;
}

/* QEMU closes its socket a moment before its process is gone, and its exit is to be told first: the
 * end of the process answers, or the deadline, if it lives on. */
static bool answers_with_its_end(enum err result)
{
    return result == ERR_CLOSED;
}

static void command_answered(struct qmp_command *command, enum err result, const json_t *body,
                             const char *text)
{
    struct qemu_call *call = command->owner;
    struct qemu_machine *m = call->machine;
    enum world_vm_state state = WORLD_VM_UNKNOWN;

    if (answers_with_its_end(result)) {
        return;
    }
    if (result == ERR_REFUSED && text != NULL) {
        qemu_tell(call->driver, m->record.name, "QEMU refuses: %s", text);
        (void)snprintf(call->why, sizeof call->why, "QEMU refuses: %s", text);
    }
    if (result == OK && call->request->op == WORLD_VM_QUERY) {
        state = qemu_state_of(body);
        call->request->is_disk_lost = qemu_is_io_error(body) && m->is_disk_lost;
        if (qemu_is_io_error(body)) {
            (void)snprintf(call->why, sizeof call->why, "its disk fails: %s",
                           m->io_error[0] != '\0' ? m->io_error
                                                  : "it has no room left, or cannot be written");
        }
        qemu_machine_judge(m, body);
    }
    qemu_call_answer(call, result, state);
}

/* To a QEMU that waits for a guest, `cont` would mean to let it run once it has come. */
static void resume_looked(struct qmp_command *command, enum err result, const json_t *body,
                          const char *text)
{
    struct qemu_call *call = command->owner;
    struct qemu_machine *m = call->machine;

    if (result != OK) {
        command_answered(command, result, body, text);
    } else if (qemu_state_of(body) == WORLD_VM_WAITING) {
        qemu_call_answer(call, ERR_REFUSED, WORLD_VM_UNKNOWN);
    } else {
        call->command = (struct qmp_command){.done = command_answered, .owner = call};
        qmp_send(&m->qmp, &call->command, "cont", NULL);
    }
}

void qemu_command_begin(struct qemu_call *call)
{
    static const char *const commands[WORLD_VM_OPS] = {
        [WORLD_VM_STOP] = "system_powerdown",
        [WORLD_VM_PAUSE] = "stop",
        [WORLD_VM_RESUME] = "query-status",
        [WORLD_VM_QUERY] = "query-status",
    };
    struct qemu_machine *m = qemu_call_machine(call);

    if (m == NULL) {
        return;
    }
    call->machine = m;
    const bool is_resume = call->request->op == WORLD_VM_RESUME;
    call->command = (struct qmp_command){
        .done = is_resume ? resume_looked : command_answered,
        .owner = call,
    };
    qmp_send(&m->qmp, &call->command, commands[call->request->op], NULL);
}

void qemu_kill_begin(struct qemu_call *call)
{
    struct qemu_machine *m = qemu_call_machine(call);

    if (m == NULL) {
        return;
    }
    call->machine = m;
    if (m->phase == QEMU_PREPARED) {
        m->is_doomed = true;
    } else {
        qemu_machine_kill(m, WORLD_VM_KILLED);
    }
}

/* --- LIST ------------------------------------------------------------------------------------- */

static void list_finish(struct qemu_call *call)
{
    struct world_vm_request *request = call->request;

    for (size_t i = 0; i < call->asked_count; i++) {
        const struct qemu_asked *asked = &call->asked[i];
        if (asked->machine == NULL) {
            continue;
        }
        const struct qemu_record *record = &asked->machine->record;
        struct world_vm_found found = {
            .epoch = record->epoch, .state = asked->state, .is_guarded = record->is_guarded};
        memcpy(found.name, record->name, sizeof found.name);
        memcpy(found.volume, record->volume, sizeof found.volume);
        request->entry(request, &found);
    }
    qemu_call_answer(call, OK, WORLD_VM_UNKNOWN);
}

static void list_finish_if_complete(struct qemu_call *call)
{
    for (size_t i = 0; i < call->asked_count; i++) {
        if (call->asked[i].machine != NULL && !call->asked[i].is_answered) {
            return;
        }
    }
    list_finish(call);
}

/* Who has not answered by now is listed all the same. */
void qemu_list_expired(struct qemu_call *call)
{
    list_finish(call);
}

static void asked_answered(struct qmp_command *command, enum err result, const json_t *body,
                           const char *text)
{
    struct qemu_asked *asked = command->owner;
    struct qemu_machine *m = asked->machine;

    (void)text;
    if (result == OK) {
        asked->state = qemu_state_of(body);
        qemu_machine_judge(m, body);
    }
    /* One that is about to end is waited for: its exit tells more than its state. */
    asked->is_answered = m->phase != QEMU_ENDING;
    list_finish_if_complete(asked->call);
}

/* Those that ended before our time are news. */
static void list_tell_gone(struct qemu_driver *driver)
{
    struct qemu_machine *m = driver->machines;

    while (m != NULL && driver->sink != NULL) {
        struct qemu_machine *next = m->next;
        if (m->phase == QEMU_GONE) {
            qemu_place_clear(m->dir);
            qemu_machine_tell_exit(m);
            qemu_machine_free(m);
        }
        m = next;
    }
}

static bool machine_is_listed(const struct qemu_machine *m)
{
    return m->phase != QEMU_PREPARED && m->phase != QEMU_GONE;
}

void qemu_list_begin(struct qemu_call *call)
{
    struct qemu_driver *driver = call->driver;
    const nanos patience = world_now(driver->world) + QEMU_LIST_PATIENCE;
    size_t count = 0;

    list_tell_gone(driver);
    for (const struct qemu_machine *m = driver->machines; m != NULL; m = m->next) {
        count += machine_is_listed(m) ? 1 : 0;
    }
    call->asked = mem_alloc_zero((count + 1) * sizeof *call->asked);
    for (struct qemu_machine *m = driver->machines; m != NULL; m = m->next) {
        if (!machine_is_listed(m)) {
            continue;
        }
        struct qemu_asked *asked = &call->asked[call->asked_count++];
        *asked = (struct qemu_asked){.machine = m, .call = call};
        asked->command = (struct qmp_command){.done = asked_answered, .owner = asked};
        m->is_told = true;
        if (m->phase != QEMU_ENDING) {
            qmp_send(&m->qmp, &asked->command, "query-status", NULL);
        }
    }
    if (patience < call->request->deadline) {
        world_timer_set(driver->world, &call->deadline, patience);
    }
    list_finish_if_complete(call);
}

void qemu_list_cancel(struct qemu_call *call)
{
    for (size_t i = 0; i < call->asked_count; i++) {
        if (call->asked[i].command.id != 0) {
            qmp_cancel(&call->asked[i].machine->qmp, &call->asked[i].command);
        }
    }
    mem_free(call->asked);
    call->asked = NULL;
    call->asked_count = 0;
}

static void list_forget(struct qemu_call *call, const struct qemu_machine *m)
{
    for (size_t i = 0; i < call->asked_count; i++) {
        struct qemu_asked *asked = &call->asked[i];
        if (asked->machine == m) {
            if (asked->command.id != 0) {
                qmp_cancel(&asked->machine->qmp, &asked->command);
            }
            asked->machine = NULL;
        }
    }
}

void qemu_list_lost(struct qemu_driver *driver, const struct qemu_machine *m)
{
    struct qemu_call *call = driver->calls;

    for (; call != NULL; call = call->next) {
        list_forget(call, m);
    }
    call = driver->calls;
    while (call != NULL) {
        struct qemu_call *next = call->next;
        if (call->asked != NULL) {
            list_finish_if_complete(call);
            /* Answered or not: `done` may only have added calls, at the end. */
        }
        call = next;
    }
}
