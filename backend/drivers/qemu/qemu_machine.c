/* Machines: their process, their QMP, their end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drivers/qemu/qemu_int.h"
#include "drivers/qemu/qemu_watch.h"

/* A QMP that was lost is tried again so often; and a QEMU that was asked to end has so long. */
#define CONNECT_AGAIN (200 * NANOS_PER_MS)
#define QUIT_PATIENCE (2 * NANOS_PER_S)

struct qemu_machine *qemu_machine_find(const struct qemu_driver *driver, const char *name)
{
    struct qemu_machine *m = driver->machines;

    while (m != NULL && strcmp(m->record.name, name) != 0) {
        m = m->next;
    }
    return m;
}

static void machine_later(struct qemu_machine *m, nanos span)
{
    const struct world *w = m->driver->world;
    world_timer_set(w, &m->retry, world_now(w) + span);
}

/* --- QMP -------------------------------------------------------------------------------------- */

void qemu_machine_connect(struct qemu_machine *m)
{
    if (m->qmp.state == QMP_CLOSED && qmp_connect(&m->qmp, m->dir, QEMU_FILE_QMP) != OK) {
        machine_later(m, CONNECT_AGAIN);
    }
}

static void machine_retries(struct world_timer *timer)
{
    struct qemu_machine *m = timer->owner;

    if (m->phase == QEMU_ENDING) {
        qemu_machine_kill(m, m->end);
    } else {
        qemu_machine_connect(m);
    }
}

static void machine_qmp_lost(void *owner)
{
    struct qemu_machine *m = owner;

    /* Most often its process is about to be found dead. */
    if (m->phase != QEMU_ENDING) {
        machine_later(m, CONNECT_AGAIN);
    }
}

static void look_answered(struct qmp_command *command, enum err result, const json_t *body,
                          const char *text)
{
    (void)text;
    if (result == OK) {
        qemu_machine_judge(command->owner, body);
    }
}

static void machine_look(struct qemu_machine *m)
{
    if (m->look.id == 0 && m->phase == QEMU_LIVE) {
        m->look = (struct qmp_command){.done = look_answered, .owner = m};
        qmp_send(&m->qmp, &m->look, "query-status", NULL);
    }
}

/* Nothing is concluded from an event alone: its status tells what holds. */
static void machine_event(void *owner, const char *name, const json_t *data)
{
    struct qemu_machine *m = owner;

    if (strcmp(name, "SHUTDOWN") == 0 || strcmp(name, "STOP") == 0 ||
        strcmp(name, "GUEST_PANICKED") == 0) {
        machine_look(m);
    } else if (strcmp(name, "MIGRATION") == 0) {
        qemu_move_event(m);
    } else if (strcmp(name, "BLOCK_IO_ERROR") == 0) {
        const char *reason = json_string_value(json_object_get(data, "reason"));
        m->is_disk_lost = json_is_false(json_object_get(data, "nospace"));
        (void)snprintf(m->io_error, sizeof m->io_error, "%s", reason != NULL ? reason : "");
    } else if (strcmp(name, "WATCHDOG") == 0) {
        qemu_tell(m->driver, m->record.name, "its watchdog has run out");
    }
}

static const char *status_word(const json_t *status)
{
    const char *word = json_string_value(json_object_get(status, "status"));
    return word != NULL ? word : "";
}

enum world_vm_state qemu_state_of(const json_t *status)
{
    static const char *const still[] = {
        "paused",         "io-error", "watchdog",   "suspended", "prelaunch",      "shutdown",
        "finish-migrate", "save-vm",  "restore-vm", "debug",     "guest-panicked", "internal-error",
    };
    const char *word = status_word(status);

    for (size_t i = 0; i < COUNT_OF(still); i++) {
        if (strcmp(word, still[i]) == 0) {
            return WORLD_VM_PAUSED;
        }
    }
    return strcmp(word, "running") == 0       ? WORLD_VM_RUNNING
           : strcmp(word, "inmigrate") == 0   ? WORLD_VM_WAITING
           : strcmp(word, "postmigrate") == 0 ? WORLD_VM_MOVED
                                              : WORLD_VM_UNKNOWN;
}

bool qemu_is_io_error(const json_t *status)
{
    return strcmp(status_word(status), "io-error") == 0;
}

static void quit_answered(struct qmp_command *command, enum err result, const json_t *body,
                          const char *text)
{
    (void)command;
    (void)result;
    (void)body;
    (void)text; /* whatever it says: its process ends, or is killed in a while */
}

void qemu_machine_judge(struct qemu_machine *m, const json_t *status)
{
    const char *word = status_word(status);

    if (m->phase != QEMU_LIVE) {
        return;
    }
    if (strcmp(word, "shutdown") == 0) {
        m->phase = QEMU_ENDING;
        m->end = WORLD_VM_SHUT_DOWN;
        m->boot = (struct qmp_command){.done = quit_answered, .owner = m};
        qmp_send(&m->qmp, &m->boot, "quit", NULL);
        machine_later(m, QUIT_PATIENCE);
    } else if (strcmp(word, "guest-panicked") == 0 || strcmp(word, "internal-error") == 0 ||
               strcmp(word, "prelaunch") == 0) {
        /* The last: whoever started it died before its guest ran. */
        qemu_tell(m->driver, m->record.name, "it is killed, since QEMU calls it %s", word);
        m->phase = QEMU_ENDING;
        qemu_machine_kill(m, WORLD_VM_CRASHED);
    } else if (qemu_is_io_error(status)) {
        qemu_tell(m->driver, m->record.name, "it stands still, since its disk fails: %s",
                  m->io_error[0] != '\0' ? m->io_error : "it has no room, or cannot be written");
    }
}

/* --- the process ------------------------------------------------------------------------------ */

void qemu_machine_kill(struct qemu_machine *m, enum world_vm_end end)
{
    if (m->pidfd >= 0 && syscall(SYS_pidfd_send_signal, m->pidfd, SIGKILL, NULL, 0) == 0) {
        m->end = m->end == WORLD_VM_SHUT_DOWN ? WORLD_VM_SHUT_DOWN : end;
    }
}

struct qemu_machine *qemu_machine_new(struct qemu_driver *driver, const struct qemu_record *record)
{
    struct qemu_machine *m = mem_alloc_zero(sizeof *m);
    struct qemu_machine **at = &driver->machines;

    m->driver = driver;
    m->record = *record;
    m->dir = -1;
    m->pidfd = -1;
    m->end = WORLD_VM_CRASHED;
    m->retry = (struct world_timer){.fire = machine_retries, .owner = m};
    qmp_init(&m->qmp, driver->loop);
    m->qmp.event = machine_event;
    m->qmp.lost = machine_qmp_lost;
    m->qmp.owner = m;
    qemu_agent_init(m);
    while (*at != NULL && (*at)->record.order < record->order) {
        at = &(*at)->next;
    }
    m->next = *at;
    *at = m;
    driver->last_order = u64_max(driver->last_order, record->order);
    return m;
}

static void machine_take(struct qemu_machine *m)
{
    struct qemu_machine **at = &m->driver->machines;

    while (*at != NULL && *at != m) {
        at = &(*at)->next;
    }
    if (*at == m) {
        *at = m->next;
    }
}

void qemu_machine_free(struct qemu_machine *m)
{
    CHECK(m->job == NULL);
    machine_take(m);
    qemu_hold_forget(m);
    world_timer_cancel(m->driver->world, &m->retry);
    qmp_deinit(&m->qmp);
    qmp_deinit(&m->agent);
    qemu_watch_close(m->watch);
    if (m->dir >= 0) {
        (void)close(m->dir);
    }
    mem_free(m->image);
    mem_free(m);
}

void qemu_machine_tell_exit(struct qemu_machine *m)
{
    struct world_vm_sink *sink = m->driver->sink;
    struct world_vm_exit exit = {.epoch = m->record.epoch, .end = m->end};

    memcpy(exit.name, m->record.name, sizeof exit.name);
    if (sink != NULL) {
        sink->exited(sink, &exit);
    }
}

/* Calls that waited for its end, or for an answer that will not come. */
static void answer_waiting(struct qemu_driver *driver, const struct qemu_machine *m,
                           enum err verdict)
{
    struct qemu_call *call = driver->calls;

    while (call != NULL) {
        if (call->machine != m) {
            call = call->next;
            continue;
        }
        const enum world_vm_op op = call->request->op;
        const enum err e = op == WORLD_VM_KILL ? OK : op == WORLD_VM_START ? verdict : ERR_CLOSED;
        qemu_call_answer(call, e, WORLD_VM_UNKNOWN);
        call = driver->calls; /* `done` may have changed the list */
    }
}

/* The loop says so: called from nowhere else. */
static void machine_ended(void *owner)
{
    struct qemu_machine *m = owner;
    struct qemu_driver *driver = m->driver;
    siginfo_t info;

    /* Ours are ours to bury; those that were adopted are not, and this fails. */
    (void)waitid(P_PIDFD, (id_t)m->pidfd, &info, WEXITED | WNOHANG);
    qemu_watch_close(m->watch);
    m->watch = NULL;
    m->pidfd = -1;
    machine_take(m);
    const enum err verdict = qemu_start_verdict(m);
    if (m->is_new) {
        (void)qemu_place_remove(driver->run, m->dir, m->record.name);
    } else {
        qemu_place_clear(m->dir);
    }
    qemu_places_prune(driver);
    if (m->is_told) {
        qemu_machine_tell_exit(m);
    }
    qemu_list_lost(driver, m);
    answer_waiting(driver, m, verdict);
    qemu_machine_free(m);
}

void qemu_machine_watch(struct qemu_machine *m, int pidfd)
{
    m->pidfd = pidfd;
    m->watch = qemu_watch_open(m->driver->loop, pidfd, machine_ended, m);
}
