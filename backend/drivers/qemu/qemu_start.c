/* START: a thread prepares and makes the process, the loop sees it through. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drivers/qemu/qemu_args.h"
#include "drivers/qemu/qemu_holder.h"
#include "drivers/qemu/qemu_int.h"

/* What is kept of QEMU's last words. */
#define LOG_TAIL_BYTES 4096

/* Owned by its machine until the thread has handed it back. */
struct qemu_job {
    struct qemu_job *next; /* of those that are done */
    struct qemu_machine *machine;
    struct qemu_driver *driver; /* the thread reads what does not change, and what it locks */
    pthread_t thread;
    struct qemu_definition definition; /* owned */
    struct qemu_record record;
    bool is_incoming;
    char image[QEMU_PATH_MAX_BYTES + WORLD_NAME_MAX_BYTES];
    bool is_block;
    char real[QEMU_PATH_MAX_BYTES + WORLD_NAME_MAX_BYTES]; /* the image behind all links */

    enum err result;
    char why[QEMU_TEXT_MAX_BYTES];
    struct qemu_process process; /* OK: it waits behind its gate, and is written down */
    int dir;                     /* -1: none */
    bool is_new;
};

/* --- the thread's part ------------------------------------------------------------------------ */

__attribute__((format(printf, 3, 4))) static enum err job_fails(struct qemu_job *job, enum err e,
                                                                const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(job->why, sizeof job->why, format, args);
    va_end(args);
    return e;
}

/* Opens the file without touching it, below the folder, also by way of links. */
static int open_beneath(const char *folder, const char *rest)
{
    const struct open_how how = {
        .flags = O_PATH | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    const int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return -1;
    }
    const int fd = (int)syscall(SYS_openat2, dir, rest, &how, sizeof how);
    const int error = errno;
    (void)close(dir);
    errno = error;
    return fd;
}

/* What is left of the path behind the folder; NULL: it is not in it. */
static const char *path_behind(const char *path, const char *folder)
{
    const size_t n = strcmp(folder, "/") == 0 ? 0 : strlen(folder);
    const bool is_in = strncmp(path, folder, n) == 0 && path[n] == '/' && path[n + 1] != '\0';

    return is_in ? path + n + 1 : NULL;
}

/* Where an open file is, behind all links; "" where that does not fit. */
static void path_of_file(int fd, char *ret, size_t cap)
{
    char link[64];

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, ret, cap);
    ret[n > 0 && (size_t)n < cap ? (size_t)n : 0] = '\0';
}

/* It is a file that the definition may name. */
static enum err file_check(struct qemu_job *job, const char *what, const char *path, bool *is_block)
{
    const struct qemu_driver *driver = job->driver;
    struct stat stat;
    const char *rest = NULL;
    size_t folder = 0;

    while (folder < driver->folder_count &&
           (rest = path_behind(path, driver->folders[folder])) == NULL) {
        folder++;
    }
    if (rest == NULL) {
        return job_fails(job, ERR_DENIED, "the %s %.160s is in no directory that it may be in",
                         what, path);
    }
    const int fd = open_beneath(driver->folders[folder], rest);
    const int error = fd >= 0 && fstat(fd, &stat) != 0 ? errno : fd < 0 ? errno : 0;
    if (fd >= 0 && is_block != NULL) {
        path_of_file(fd, job->real, sizeof job->real);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (error != 0) {
        return job_fails(job, qemu_err(error), "the %s %.120s: %s", what, path,
                         error == EXDEV ? "leads out of the directory that it is to be in"
                                        : strerror(error));
    }
    if (!S_ISREG(stat.st_mode) && !(S_ISBLK(stat.st_mode) && is_block != NULL)) {
        return job_fails(job, ERR_INVALID, "the %s %.160s is no file", what, path);
    }
    if (is_block != NULL) {
        *is_block = S_ISBLK(stat.st_mode);
    }
    return OK;
}

static enum err job_find_files(struct qemu_job *job)
{
    const struct qemu_definition *d = &job->definition;
    const char *volume = job->record.volume;
    const char *path = d->disk_path != NULL ? d->disk_path : volume;

    if (path[0] == '/') {
        (void)snprintf(job->image, sizeof job->image, "%s", path);
    } else {
        const char *folder = job->driver->folders[0];
        (void)snprintf(job->image, sizeof job->image, "%s/%s",
                       strcmp(folder, "/") == 0 ? "" : folder, path);
    }
    TRY(file_check(job, "image", job->image, &job->is_block));
    if (d->kernel != NULL) {
        TRY(file_check(job, "kernel", d->kernel, NULL));
    }
    if (d->initrd != NULL) {
        TRY(file_check(job, "initrd", d->initrd, NULL));
    }
    if (d->firmware != NULL) {
        TRY(file_check(job, "firmware", d->firmware, NULL));
    }
    return OK;
}

static enum err job_open_place(struct qemu_job *job)
{
    const int run = job->driver->run;

    job->is_new = mkdirat(run, job->record.name, 0700) == 0;
    if (!job->is_new && errno != EEXIST) {
        return job_fails(job, qemu_err(errno), "its directory: %s", strerror(errno));
    }
    job->dir = openat(run, job->record.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (job->dir < 0) {
        return job_fails(job, qemu_err(errno), "its directory: %s", strerror(errno));
    }
    qemu_place_clear(job->dir);
    qemu_log_turn(job->dir, QEMU_FILE_CONSOLE, job->driver->log_bytes_max);
    (void)renameat(job->dir, QEMU_FILE_LOG, job->dir, QEMU_FILE_LOG ".1");
    return OK;
}

static enum err job_make_process(struct qemu_job *job, int log, int qmp)
{
    const struct qemu_launch launch = {
        .binary = job->driver->binary,
        .name = job->record.name,
        .accel = qemu_accel_choose(job->driver),
        .image = job->image,
        .is_block = job->is_block,
        .is_incoming = job->is_incoming,
    };
    struct qemu_args args;

    qemu_args_make(&args, &launch, &job->definition);
    enum err e = qemu_process_make(args.words, job->dir, log, qmp, &job->process);
    qemu_args_deinit(&args);
    return e == OK ? OK : job_fails(job, e, "no process could be made: %s", err_text(e));
}

/* Keeps the gate shut: it has never been QEMU. */
static void process_throw_away(struct qemu_process *process)
{
    (void)close(process->gate);
    (void)syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0);
    (void)waitid(P_PIDFD, (id_t)process->pidfd, &(siginfo_t){.si_code = 0}, WEXITED);
    (void)close(process->pidfd);
}

static enum err job_write_down(struct qemu_job *job)
{
    job->record.pid = job->process.pid;
    job->record.began = qemu_process_began(job->process.pid);
    const enum err e = job->record.began != 0
                           ? qemu_record_write(job->dir, QEMU_FILE_STARTING, &job->record)
                           : ERR_IO;
    if (e != OK) {
        process_throw_away(&job->process);
        return job_fails(job, e, "it cannot be written down in the run directory: %s", err_text(e));
    }
    return OK;
}

static enum err job_steps(struct qemu_job *job)
{
    int qmp = -1;

    TRY(job_find_files(job));
    TRY(job_open_place(job));
    enum err e = qemu_socket_listen(job->dir, QEMU_FILE_QMP, &qmp);
    if (e != OK) {
        return job_fails(job, e, "its socket in the run directory: %s", err_text(e));
    }
    const int log =
        openat(job->dir, QEMU_FILE_LOG, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) {
        e = job_fails(job, qemu_err(errno), "its log: %s", strerror(errno));
    } else {
        e = job_make_process(job, log, qmp);
        (void)close(log);
    }
    (void)close(qmp);
    return e == OK ? job_write_down(job) : e;
}

static void *job_main(void *arg)
{
    struct qemu_job *job = arg;
    struct qemu_driver *driver = job->driver;

    job->result = job_steps(job);
    CHECK(pthread_mutex_lock(&driver->lock) == 0);
    job->next = driver->done_jobs;
    driver->done_jobs = job;
    CHECK(pthread_mutex_unlock(&driver->lock) == 0);
    CHECK(uv_async_send(&driver->async) == 0);
    return NULL;
}

/* --- the end of a START ----------------------------------------------------------------------- */

void qemu_start_blame(struct qemu_machine *m, const char *format, ...)
{
    char why[WORLD_WHY_BYTES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    qemu_tell(m->driver, m->record.name, "it could not be started: %s", why);
    if (m->start != NULL && m->start->why[0] == '\0') {
        memcpy(m->start->why, why, sizeof why);
    }
}

/* The machine is not to be: kills it, and answers with `verdict` once it has ended. */
static void start_give_up(struct qemu_machine *m, enum err verdict)
{
    if (m->phase == QEMU_BOOTING) {
        m->phase = QEMU_ENDING;
        m->verdict = verdict;
        qemu_machine_kill(m, WORLD_VM_CRASHED);
    }
}

/* The image cannot be locked: by whom it is, as far as this host knows. */
static void blame_holder(struct qemu_machine *m)
{
    char holder[WORLD_WHY_BYTES / 2];

    if (m->image == NULL || !qemu_holder_find(m->driver, m->image, holder, sizeof holder)) {
        (void)snprintf(holder, sizeof holder,
                       "by no QEMU that can be seen on this host; another host may have it");
    }
    qemu_start_blame(m, "its image is locked: another process has it open: %s", holder);
}

/* The last line of QEMU's log, without its time and program. */
static const char *log_last_line(const struct qemu_machine *m, char tail[LOG_TAIL_BYTES + 1])
{
    size_t n = qemu_file_read(m->dir, QEMU_FILE_LOG, tail, LOG_TAIL_BYTES);

    while (n > 0 && tail[n - 1] == '\n') {
        tail[--n] = '\0';
    }
    const char *line = strrchr(tail, '\n');
    line = line != NULL ? line + 1 : tail;
    const char *behind = strstr(line, "qemu-system-");
    behind = behind != NULL ? strstr(behind, ": ") : NULL;
    return behind != NULL ? behind + 2 : line;
}

/* What QEMU said. Of an image it says the whole option, longer than the reason, and where the file
 * is in JSON. */
static void blame_words(struct qemu_machine *m, const char *line)
{
    const char *behind = strncmp(line, "-blockdev {", 11) == 0 ? strstr(line, "}: ") : NULL;

    if (behind == NULL || m->image == NULL) {
        qemu_start_blame(m, "%s", line[0] != '\0' ? line : "QEMU ended without a word");
        return;
    }
    while (strstr(behind + 1, "}: ") != NULL) {
        behind = strstr(behind + 1, "}: ");
    }
    qemu_start_blame(m, "its image %.150s: %s", m->image, behind + 3);
}

static enum err verdict_of_log(struct qemu_machine *m)
{
    char tail[LOG_TAIL_BYTES + 1];
    const char *line = log_last_line(m, tail);
    enum err e = ERR_IO;

    if (strstr(tail, "Failed to get \"") != NULL ||
        strstr(tail, "Is another process using") != NULL) {
        blame_holder(m);
        return ERR_REFUSED;
    }
    if (strstr(tail, "Permission denied") != NULL) {
        e = ERR_DENIED;
    }
    blame_words(m, line);
    return e;
}

enum err qemu_start_verdict(struct qemu_machine *m)
{
    if (m->start == NULL) {
        return OK;
    }
    if (m->verdict != OK) {
        return m->verdict;
    }
    return m->end == WORLD_VM_KILLED ? ERR_CLOSED : verdict_of_log(m);
}

void qemu_start_expired(struct qemu_call *call)
{
    struct qemu_machine *m = call->machine;

    qemu_start_blame(m, "it took too long, and is given up: %s",
                     m->phase == QEMU_PREPARED
                         ? "its image, or another of its files, does not answer"
                         : "QEMU was there, and its guest did not run yet");
    m->start = NULL;
    if (m->phase == QEMU_PREPARED) {
        m->is_doomed = true;
    } else {
        m->is_told = true;
        m->phase = QEMU_ENDING;
        qemu_machine_kill(m, WORLD_VM_KILLED);
    }
    qemu_call_answer(call, ERR_TIMEOUT, WORLD_VM_UNKNOWN);
}

/* --- the guard -------------------------------------------------------------------------------- */

/* A question to the guard, which outlives its machine where that ends first. */
struct qemu_hold_call {
    struct qemu_hold hold;
    struct qemu_machine *machine; /* NULL: nobody asks any more */
    char name[WORLD_NAME_MAX_BYTES];
};

static void boot_release(struct qemu_machine *m);

static void hold_due(struct world_timer *timer)
{
    qemu_hold_adopted(timer->owner);
}

static void hold_retry(struct qemu_machine *m)
{
    const struct world *w = m->driver->world;

    m->hold_again = (struct world_timer){.fire = hold_due, .owner = m};
    world_timer_set(w, &m->hold_again, u64_add_sat(world_now(w), QEMU_HOLD_AGAIN));
}

/* It was started as one that the guard holds, and is counted on to end by it: a guard that was
 * late, away or without a lease is asked until it has it. The same reason is told once. */
static void live_hold_answered(struct qemu_machine *m, enum err result)
{
    if (result != OK && result != m->unheld) {
        qemu_tell(m->driver, m->record.name, "the guard does not hold it: %s", err_text(result));
    } else if (result == OK && m->unheld != OK) {
        qemu_tell(m->driver, m->record.name, "the guard holds it now");
    }
    m->unheld = result;
    if (result != OK) {
        hold_retry(m);
    }
}

static void hold_answered(struct qemu_hold *hold, enum err result)
{
    struct qemu_hold_call *call = hold->owner;
    struct qemu_machine *m = call->machine;

    (void)close(hold->pidfd);
    mem_free(call);
    if (m == NULL) {
        return;
    }
    m->hold = NULL;
    if (m->phase != QEMU_BOOTING) {
        live_hold_answered(m, result);
        return;
    }
    if (result != OK) {
        qemu_start_blame(m, "the guard does not take it: %s", err_text(result));
        start_give_up(m, ERR_DENIED);
        return;
    }
    boot_release(m);
}

void qemu_hold_forget(struct qemu_machine *m)
{
    if (m->hold != NULL) {
        m->hold->machine = NULL;
        m->hold = NULL;
    }
    world_timer_cancel(m->driver->world, &m->hold_again);
}

bool qemu_hold_begin(struct qemu_machine *m)
{
    const struct qemu_guard *guard = &m->driver->guard;
    const int pidfd = guard->hold != NULL ? fcntl(m->pidfd, F_DUPFD_CLOEXEC, 0) : -1;

    if (pidfd < 0) {
        const char *what = guard->hold != NULL
                               ? "it is to be guarded, and no descriptor is left for that"
                               : "it is to be guarded, and there is no guard here";
        if (m->start != NULL) {
            qemu_start_blame(m, "%s", what);
        } else if (m->unheld != ERR_BUSY) {
            m->unheld = ERR_BUSY;
            qemu_tell(m->driver, m->record.name, "%s", what);
        }
        return false;
    }
    struct qemu_hold_call *call = mem_alloc_zero(sizeof *call);
    memcpy(call->name, m->record.name, sizeof call->name);
    call->machine = m;
    call->hold = (struct qemu_hold){
        .held = hold_answered,
        .name = call->name,
        .epoch = m->record.epoch,
        .pidfd = pidfd,
        .owner = call,
    };
    m->hold = call;
    guard->hold(guard->ctx, &call->hold);
    return true;
}

void qemu_hold_adopted(struct qemu_machine *m)
{
    if (!qemu_hold_begin(m) && m->driver->guard.hold != NULL) {
        hold_retry(m);
    }
}

/* --- the steps after the thread ----------------------------------------------------------------
 */

void qemu_boot_send(struct qemu_machine *m, const char *execute, json_t *arguments,
                    void (*done)(struct qmp_command *, enum err, const json_t *, const char *))
{
    m->boot = (struct qmp_command){.done = done, .owner = m};
    qmp_send(&m->qmp, &m->boot, execute, arguments);
}

bool qemu_boot_goes_on(struct qemu_machine *m, const char *step, enum err result, const char *text)
{
    if (m->phase != QEMU_BOOTING) {
        return false;
    }
    if (result != OK) {
        qemu_start_blame(m, "%s: %s", step, text != NULL ? text : err_text(result));
        start_give_up(m, ERR_IO);
    }
    return result == OK;
}

void qemu_start_done(struct qemu_machine *m, const json_t *status)
{
    struct qemu_call *call = m->start;

    m->phase = QEMU_LIVE;
    m->start = NULL;
    m->is_told = true;
    m->is_new = false;
    const enum world_vm_state state = qemu_state_of(status);
    /* It may have ended already; that is told as an exit. */
    qemu_machine_judge(m, status);
    qemu_call_answer(call, OK, state);
}

static void boot_runs(struct qmp_command *command, enum err result, const json_t *body,
                      const char *text)
{
    struct qemu_machine *m = command->owner;

    if (!qemu_boot_goes_on(m, "query-status", result, text)) {
        return;
    }
    qemu_start_done(m, body);
}

static void boot_released(struct qmp_command *command, enum err result, const json_t *body,
                          const char *text)
{
    struct qemu_machine *m = command->owner;

    (void)body;
    if (qemu_boot_goes_on(m, "cont", result, text)) {
        qemu_boot_send(m, "query-status", NULL, boot_runs);
    }
}

/* Its name first: from then on it may run, and whoever comes after us has to believe that it did.
 */
static void boot_release(struct qemu_machine *m)
{
    if (renameat(m->dir, QEMU_FILE_STARTING, m->dir, QEMU_FILE_MACHINE) != 0) {
        const enum err e = qemu_err(errno);
        qemu_start_blame(m, "it cannot be written down in the run directory: %s", strerror(errno));
        start_give_up(m, e);
        return;
    }
    if (m->is_incoming) {
        qemu_wait_begin(m);
    } else {
        qemu_boot_send(m, "cont", NULL, boot_released);
    }
}

static void boot_greeted(struct qmp_command *command, enum err result, const json_t *body,
                         const char *text)
{
    struct qemu_machine *m = command->owner;

    (void)body;
    if (!qemu_boot_goes_on(m, "query-status", result, text)) {
        return;
    }
    if (!m->record.is_guarded) {
        boot_release(m);
    } else if (!qemu_hold_begin(m)) {
        start_give_up(m, ERR_DENIED);
    }
}

/* --- the thread hands over -------------------------------------------------------------------- */

static void job_free(struct qemu_job *job)
{
    qemu_definition_deinit(&job->definition);
    mem_free(job);
}

/* There is no process. */
static void prepare_failed(struct qemu_machine *m, const struct qemu_job *job)
{
    struct qemu_driver *driver = m->driver;
    struct qemu_call *call = driver->calls;

    if (job->dir >= 0 && job->is_new) {
        (void)qemu_place_remove(driver->run, job->dir, m->record.name);
    } else if (job->dir >= 0) {
        qemu_place_clear(job->dir);
    }
    if (m->start != NULL) {
        qemu_start_blame(m, "%s", job->why);
    }
    m->start = NULL;
    const enum err result = job->result;
    while (call != NULL) {
        if (call->machine != m) {
            call = call->next;
            continue;
        }
        call->machine = NULL;
        qemu_call_answer(call, call->request->op == WORLD_VM_KILL ? OK : result, WORLD_VM_UNKNOWN);
        call = driver->calls;
    }
}

static void prepare_done(struct qemu_machine *m, struct qemu_job *job)
{
    m->job = NULL;
    m->dir = job->dir;
    m->is_new = job->is_new;
    if (job->result != OK) {
        prepare_failed(m, job);
        qemu_machine_free(m);
        return;
    }
    m->record = job->record;
    if (job->real[0] != '\0') {
        const size_t n = strlen(job->real) + 1;
        m->image = memcpy(mem_alloc(n), job->real, n);
    }
    m->phase = QEMU_BOOTING;
    qemu_machine_watch(m, job->process.pidfd);
    if (m->is_doomed) {
        (void)close(job->process.gate);
        m->phase = QEMU_ENDING;
        qemu_machine_kill(m, WORLD_VM_KILLED);
        return;
    }
    qemu_process_release(&job->process);
    qemu_boot_send(m, "query-status", NULL, boot_greeted);
    qemu_machine_connect(m);
}

void qemu_jobs_done(uv_async_t *async)
{
    struct qemu_driver *driver = async->data;

    CHECK(pthread_mutex_lock(&driver->lock) == 0);
    struct qemu_job *job = driver->done_jobs;
    driver->done_jobs = NULL;
    CHECK(pthread_mutex_unlock(&driver->lock) == 0);
    while (job != NULL) {
        struct qemu_job *next = job->next;
        CHECK(pthread_join(job->thread, NULL) == 0);
        prepare_done(job->machine, job);
        job_free(job);
        job = next;
    }
}

void qemu_job_drop(struct qemu_machine *m)
{
    struct qemu_job *job = m->job;

    if (job == NULL) {
        return;
    }
    CHECK(pthread_join(job->thread, NULL) == 0);
    if (job->result == OK) {
        process_throw_away(&job->process);
    }
    if (job->dir >= 0 && job->is_new) {
        (void)qemu_place_remove(m->driver->run, job->dir, m->record.name);
    } else if (job->dir >= 0) {
        qemu_place_clear(job->dir);
    }
    m->dir = job->dir;
    m->job = NULL;
    job_free(job);
}

/* --- the beginning ---------------------------------------------------------------------------- */

static enum err spec_check(const struct world_vm_spec *spec, struct qemu_definition *ret,
                           char ret_why[WORLD_WHY_BYTES])
{
    char why[QEMU_TEXT_MAX_BYTES];
    const size_t volume = strlen(spec->volume);

    if (!qemu_name_is_one(spec->name)) {
        (void)snprintf(ret_why, WORLD_WHY_BYTES,
                       "it cannot be called so: letters, digits, '-', '_', '.'");
        return ERR_INVALID;
    }
    if (volume == 0 || volume >= WORLD_NAME_MAX_BYTES ||
        strspn(spec->volume, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             "-_.+@:/") != volume) {
        (void)snprintf(ret_why, WORLD_WHY_BYTES, "its volume cannot be called so");
        return ERR_INVALID;
    }
    char *whole = NULL;
    enum err e = qemu_definition_complete(spec, &whole, why);
    if (e == OK) {
        const struct bytes json = {(const uint8_t *)whole, whole != NULL ? strlen(whole) : 0};
        e = qemu_definition_decode(whole != NULL ? json : spec->definition, ret, why);
    }
    free(whole);
    if (e != OK) {
        (void)snprintf(ret_why, WORLD_WHY_BYTES, "its definition: %.200s", why);
    }
    return e;
}

/* Of the same name, ended before our time: nobody asked for it. */
static void drop_gone(struct qemu_driver *driver, const char *name)
{
    struct qemu_machine *m = qemu_machine_find(driver, name);

    if (m != NULL && m->phase == QEMU_GONE) {
        qemu_machine_tell_exit(m);
        qemu_machine_free(m);
    }
}

static size_t machine_count(const struct qemu_driver *driver)
{
    size_t n = 0;

    for (const struct qemu_machine *m = driver->machines; m != NULL; m = m->next) {
        n++;
    }
    return n;
}

void qemu_start_begin(struct qemu_call *call)
{
    struct qemu_driver *driver = call->driver;
    const struct world_vm_spec *spec = &call->request->spec;
    struct qemu_record record = {.epoch = spec->epoch, .is_guarded = spec->is_guarded};
    struct qemu_definition definition;

    const enum err e = spec_check(spec, &definition, call->why);
    if (e != OK) {
        qemu_tell(driver, spec->name, "it could not be started: %s", call->why);
        qemu_call_answer(call, e, WORLD_VM_UNKNOWN);
        return;
    }
    drop_gone(driver, spec->name);
    if (qemu_machine_find(driver, spec->name) != NULL ||
        machine_count(driver) >= QEMU_MACHINES_MAX) {
        const struct qemu_machine *here = qemu_machine_find(driver, spec->name);
        const bool is_here = here != NULL;
        qemu_definition_deinit(&definition);
        if (is_here) {
            (void)snprintf(call->why, sizeof call->why,
                           "a machine of this name lives here already, in epoch %" PRIu64,
                           here->record.epoch);
        } else {
            (void)snprintf(call->why, sizeof call->why, "there are %d machines here already",
                           QEMU_MACHINES_MAX);
        }
        qemu_call_answer(call, is_here ? ERR_EXISTS : ERR_BUSY, WORLD_VM_UNKNOWN);
        return;
    }
    memcpy(record.name, spec->name, strlen(spec->name) + 1);
    memcpy(record.volume, spec->volume, strlen(spec->volume) + 1);
    memcpy(record.boot, driver->boot, sizeof record.boot);
    record.order = driver->last_order + 1;
    struct qemu_machine *m = qemu_machine_new(driver, &record);
    struct qemu_job *job = mem_alloc_zero(sizeof *job);
    m->phase = QEMU_PREPARED;
    m->start = call;
    m->job = job;
    call->machine = m;
    job->machine = m;
    job->driver = driver;
    job->definition = definition;
    job->record = record;
    job->is_incoming = spec->is_incoming;
    m->is_incoming = spec->is_incoming;
    job->dir = -1;
    const int error = pthread_create(&job->thread, NULL, job_main, job);
    if (error != 0) {
        m->job = NULL;
        job_free(job);
        qemu_machine_free(m);
        call->machine = NULL;
        (void)snprintf(call->why, sizeof call->why, "no thread could be made: %s", strerror(error));
        qemu_call_answer(call, qemu_err(error), WORLD_VM_UNKNOWN);
    }
}
