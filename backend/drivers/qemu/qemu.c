#include "drivers/qemu/qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/qemu/qemu_int.h"
#include "drivers/qemu/qemu_probe.h"

/* How long the lock of the run directory is waited for: a second. */
#define LOCK_TRIES    100
#define LOCK_EVERY_US 10000

/* How often logs are looked at. */
#define ROTATE_EVERY NANOS_PER_S

void qemu_tell(struct qemu_driver *driver, const char *machine, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (driver->told == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    driver->told(driver->told_ctx, machine, text);
}

/* --- requests --------------------------------------------------------------------------------- */

void qemu_calls_kick(struct qemu_driver *driver)
{
    if (!driver->turn.is_set) {
        world_timer_set(driver->world, &driver->turn, world_now(driver->world));
    }
}

/* Off the list, with all that it waits for. */
static void call_take(struct qemu_call *call)
{
    struct qemu_driver *driver = call->driver;
    struct qemu_call **at = &driver->calls;

    while (*at != call) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = call->next;
    world_timer_cancel(driver->world, &call->deadline);
    world_timer_cancel(driver->world, &call->look);
    if (call->command.id != 0) {
        struct qemu_machine *m = call->machine;
        qmp_cancel(qemu_call_is_for_agent(call) ? &m->agent : &m->qmp, &call->command);
    }
    qemu_list_cancel(call);
}

void qemu_call_answer(struct qemu_call *call, enum err result, enum world_vm_state state)
{
    struct world_vm_request *request = call->request;

    call_take(call);
    qemu_calls_kick(call->driver);
    memcpy(request->why, call->why, sizeof request->why);
    mem_free(call);
    request->result = result;
    request->state = state;
    request->done(request);
}

static void call_expired(struct world_timer *timer)
{
    struct qemu_call *call = timer->owner;

    if (call->is_begun && call->request->op == WORLD_VM_START) {
        qemu_start_expired(call);
    } else if (call->is_begun && call->request->op == WORLD_VM_LIST) {
        qemu_list_expired(call);
    } else if (call->is_begun && call->request->op == WORLD_VM_MIGRATE) {
        qemu_move_expired(call);
    } else if (call->is_begun && qemu_call_is_for_agent(call)) {
        qemu_agent_expired(call);
    } else {
        qemu_call_answer(call, ERR_TIMEOUT, WORLD_VM_UNKNOWN);
    }
}

static bool jumps_queue(const struct qemu_call *call)
{
    return call->request->op == WORLD_VM_KILL || call->request->op == WORLD_VM_LIST ||
           qemu_call_is_for_agent(call);
}

/* Is an earlier request for the same machine under way? */
static bool call_must_wait(const struct qemu_call *call)
{
    if (jumps_queue(call)) {
        return false;
    }
    for (const struct qemu_call *at = call->driver->calls; at != call; at = at->next) {
        if (!jumps_queue(at) && strcmp(at->request->spec.name, call->request->spec.name) == 0) {
            return true;
        }
    }
    return false;
}

static void request_begin(struct qemu_call *call)
{
    call->is_begun = true;
    switch (call->request->op) {
    case WORLD_VM_START:
        qemu_start_begin(call);
        return;
    case WORLD_VM_KILL:
        qemu_kill_begin(call);
        return;
    case WORLD_VM_LIST:
        qemu_list_begin(call);
        return;
    case WORLD_VM_MIGRATE:
        qemu_move_begin(call);
        return;
    case WORLD_VM_PING:
    case WORLD_VM_EXEC:
        qemu_agent_begin(call);
        return;
    case WORLD_VM_STOP:
    case WORLD_VM_PAUSE:
    case WORLD_VM_RESUME:
    case WORLD_VM_QUERY:
        qemu_command_begin(call);
        return;
    case WORLD_VM_OPS:
        break;
    }
    CHECK_UNREACHABLE("no such operation");
}

static struct qemu_call *call_that_may_begin(const struct qemu_driver *driver, uint64_t ticket)
{
    struct qemu_call *call = driver->calls;

    while (call != NULL && (call->is_begun || call->ticket > ticket || call_must_wait(call))) {
        call = call->next;
    }
    return call;
}

/* What is submitted meanwhile has its own turn. */
static void calls_turn(struct world_timer *timer)
{
    struct qemu_driver *driver = timer->owner;
    const uint64_t ticket = driver->last_ticket;
    struct qemu_call *call = NULL;

    while ((call = call_that_may_begin(driver, ticket)) != NULL) {
        request_begin(call);
    }
}

static void qemu_submit(void *self, struct world_vm_request *request)
{
    struct qemu_driver *driver = self;
    struct qemu_call *call = mem_alloc_zero(sizeof *call);
    struct qemu_call **at = &driver->calls;

    CHECK(request->op < WORLD_VM_OPS && request->done != NULL);
    CHECK(request->op == WORLD_VM_LIST || request->spec.name != NULL);
    CHECK(request->op != WORLD_VM_START || request->spec.volume != NULL);
    CHECK(request->op != WORLD_VM_LIST || request->entry != NULL);
    CHECK(request->op != WORLD_VM_EXEC || request->command != NULL);
    call->driver = driver;
    call->request = request;
    call->ticket = ++driver->last_ticket;
    call->deadline = (struct world_timer){.fire = call_expired, .owner = call};
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = call;
    if (request->deadline != NANOS_FOREVER) {
        world_timer_set(driver->world, &call->deadline, request->deadline);
    }
    qemu_calls_kick(driver);
}

static void qemu_watch_exits(void *self, struct world_vm_sink *sink)
{
    struct qemu_driver *driver = self;
    driver->sink = sink;
}

const struct world_vm_ops qemu_vm_ops = {qemu_submit, qemu_watch_exits};

/* --- logs, the accelerator -------------------------------------------------------------------- */

static void logs_rotate(struct world_timer *timer)
{
    struct qemu_driver *driver = timer->owner;

    for (const struct qemu_machine *m = driver->machines; m != NULL; m = m->next) {
        if (m->dir >= 0 && m->watch != NULL) {
            qemu_log_turn(m->dir, QEMU_FILE_CONSOLE, driver->log_bytes_max);
            qemu_log_turn(m->dir, QEMU_FILE_LOG, driver->log_bytes_max);
        }
    }
    world_timer_set(driver->world, timer, world_now(driver->world) + ROTATE_EVERY);
}

const char *qemu_accel_choose(struct qemu_driver *driver)
{
    if (driver->accel != QEMU_ACCEL_AUTO) {
        return driver->accel == QEMU_ACCEL_KVM ? "kvm" : "tcg";
    }
    CHECK(pthread_mutex_lock(&driver->probing) == 0);
    if (!driver->is_probed) {
        driver->kvm_runs = qemu_probe_kvm(driver->binary, driver->run) == QEMU_PROBE_RUNS;
        driver->is_probed = true;
    }
    const bool kvm_runs = driver->kvm_runs;
    CHECK(pthread_mutex_unlock(&driver->probing) == 0);
    return kvm_runs ? "kvm" : "tcg";
}

static void *prober_main(void *arg)
{
    (void)qemu_accel_choose(arg);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

static bool path_is_one(const char *path)
{
    json_t *text = path != NULL ? json_string(path) : NULL;
    const bool is_one = text != NULL && path[0] == '/' && strlen(path) < QEMU_PATH_MAX_BYTES;

    json_decref(text);
    return is_one;
}

static bool config_is_one(const struct qemu_config *config)
{
    bool is_one = path_is_one(config->run_dir) && config->folder_count > 0 &&
                  config->folder_count <= QEMU_FOLDERS_MAX &&
                  (config->binary == NULL || path_is_one(config->binary));

    for (size_t i = 0; is_one && i < config->folder_count; i++) {
        is_one = path_is_one(config->folders[i]);
    }
    return is_one;
}

/* The run directory, ours alone while it is open. */
static enum err run_open(const char *path, int *ret)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return qemu_err(errno);
    }
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return qemu_err(errno);
    }
    /* Where our forerunner died while it made a process, that process holds the lock, too, for the
     * moment until it is its program. */
    for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
        if (errno != EWOULDBLOCK || tries >= LOCK_TRIES) {
            const enum err e = errno == EWOULDBLOCK ? ERR_BUSY : qemu_err(errno);
            (void)close(fd);
            return e;
        }
        (void)usleep(LOCK_EVERY_US);
    }
    *ret = fd;
    return OK;
}

static char *config_copy(const char *text)
{
    const size_t n = strlen(text) + 1;
    return memcpy(mem_alloc(n), text, n);
}

/* Without the slashes at its end, but for the root. */
static char *folder_copy(const char *path)
{
    char *copy = config_copy(path);

    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--) {
        copy[n - 1] = '\0';
    }
    return copy;
}

enum err qemu_open(struct uv_loop_s *loop, const struct world *w, const struct qemu_config *config,
                   struct qemu_driver **ret)
{
    int run = -1;

    if (!config_is_one(config)) {
        return ERR_INVALID;
    }
    const char *bind = config->move_bind != NULL ? config->move_bind : "127.0.0.1";
    char move_bind[sizeof(((struct qemu_driver *)NULL)->move_bind)];
    if (!qemu_host_format(move_bind, sizeof move_bind, bind)) {
        return ERR_INVALID;
    }
    TRY(run_open(config->run_dir, &run));
    struct qemu_driver *driver = mem_alloc_zero(sizeof *driver);
    driver->loop = loop;
    driver->world = w;
    driver->run = run;
    driver->guard = config->guard;
    driver->told = config->told;
    driver->told_ctx = config->ctx;
    driver->accel = config->accel;
    driver->log_bytes_max = config->log_bytes_max != 0 ? config->log_bytes_max : QEMU_LOG_MAX_BYTES;
    driver->places_max = config->places_max != 0 ? config->places_max : QEMU_PLACES_MAX;
    driver->binary = config_copy(config->binary != NULL ? config->binary : QEMU_BINARY);
    driver->folder_count = config->folder_count;
    for (size_t i = 0; i < config->folder_count; i++) {
        driver->folders[i] = folder_copy(config->folders[i]);
    }
    memcpy(driver->move_bind, move_bind, sizeof move_bind);
    qemu_boot_id(driver->boot);
    driver->turn = (struct world_timer){.fire = calls_turn, .owner = driver};
    driver->rotate = (struct world_timer){.fire = logs_rotate, .owner = driver};
    CHECK(pthread_mutex_init(&driver->lock, NULL) == 0);
    CHECK(pthread_mutex_init(&driver->probing, NULL) == 0);
    CHECK(uv_async_init(loop, &driver->async, qemu_jobs_done) == 0);
    driver->async.data = driver;
    if (driver->accel == QEMU_ACCEL_AUTO) {
        driver->has_prober = pthread_create(&driver->prober, NULL, prober_main, driver) == 0;
    }
    qemu_adopt_all(driver);
    world_timer_set(w, &driver->rotate, world_now(w) + ROTATE_EVERY);
    *ret = driver;
    return OK;
}

static void driver_freed(uv_handle_t *handle)
{
    struct qemu_driver *driver = handle->data;

    CHECK(pthread_mutex_destroy(&driver->lock) == 0);
    CHECK(pthread_mutex_destroy(&driver->probing) == 0);
    for (size_t i = 0; i < driver->folder_count; i++) {
        mem_free(driver->folders[i]);
    }
    mem_free(driver->binary);
    mem_free(driver);
}

void qemu_close(struct qemu_driver *driver)
{
    world_timer_cancel(driver->world, &driver->turn);
    world_timer_cancel(driver->world, &driver->rotate);
    while (driver->calls != NULL) {
        struct qemu_call *call = driver->calls;
        call_take(call);
        mem_free(call);
    }
    while (driver->machines != NULL) {
        qemu_job_drop(driver->machines);
        qemu_machine_free(driver->machines);
    }
    if (driver->has_prober) {
        CHECK(pthread_join(driver->prober, NULL) == 0);
    }
    (void)close(driver->run);
    uv_close((uv_handle_t *)&driver->async, driver_freed);
}
