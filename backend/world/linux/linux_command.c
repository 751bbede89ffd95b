#include "world/linux/linux_command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_world_int.h"

/* What one turn of the loop takes in of one output: four pipes full. */
#define READS_PER_TURN 4

/* The variable by which a command's children are found: its name, and a number by chance. */
#define MARK_NAME      "NOVACRON_COMMAND="
#define MARK_MAX_BYTES (sizeof MARK_NAME + 16)

/* The first descriptor that is neither input nor output. */
#define FIRST_FREE_FD 3

/* So long the end of a set waits for the death of what it has killed. */
#define DEATH_WAIT_MS 1000

enum command_state { COMMAND_QUEUED, COMMAND_RUNNING, COMMAND_ENDED };

/* What is watched of a command. */
enum command_watch { WATCH_OUTPUT, WATCH_ERRORS, WATCH_PROCESS, WATCHES };

/* Freed when it is ENDED, its process is reaped, and neither a hunt nor a handle of libuv's refers
 * to it. */
struct linux_command {
    struct linux_command *next; /* of its set, the newest first */
    struct linux_command *next_queued;
    struct linux_commands *set;
    struct world_command_request *request; /* borrowed; NULL: answered */
    struct world_timer deadline;
    enum command_state state;
    enum err failed;  /* ENDED before it ran: what the timer tells */
    bool is_canceled; /* guarded by the set's lock: the thread shall not start it */
    int error;        /* an errno of its start; the thread's, then the loop's */
    pid_t pid;        /* 0: it has no process */
    char **strings;   /* owned: arguments, NULL, environment, NULL; then their bytes */
    char **environment;
    char mark[MARK_MAX_BYTES];
    int child[3];     /* the program's input, output and errors; -1: closed */
    int fds[WATCHES]; /* -1: closed */
    uv_poll_t polls[WATCHES];
    bool is_watched[WATCHES];
    uint32_t handles; /* that libuv has not let go of */
    uv_work_t hunt;
    bool is_hunted; /* now */
    bool was_hunted;
};

struct linux_commands {
    struct linux_world *lw;
    struct linux_command *commands;
    uint32_t count;
    uv_async_t started_some;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* Guarded by the lock. */
    struct linux_command *queued;
    struct linux_command **queued_end;
    struct linux_command *started; /* the newest first */
    bool ends;
    /* The loop's. */
    bool is_closed;
    bool is_async_gone;
};

static void fd_close(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

/* --- the thread that starts ----------------------------------------------------------------------
 */

static int spawn_with(struct linux_command *c, posix_spawn_file_actions_t *actions,
                      posix_spawnattr_t *attributes)
{
    sigset_t all;
    sigset_t none;
    int error = 0;

    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    for (int i = 0; i < (int)COUNT_OF(c->child) && error == 0; i++) {
        error = posix_spawn_file_actions_adddup2(actions, c->child[i], i);
    }
    error = error != 0 ? error : posix_spawn_file_actions_addclosefrom_np(actions, FIRST_FREE_FD);
    error = error != 0 ? error : posix_spawn_file_actions_addchdir_np(actions, "/");
    if (error != 0) {
        return error;
    }
    CHECK(posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF |
                                                   POSIX_SPAWN_SETSIGMASK) == 0);
    CHECK(posix_spawnattr_setsigdefault(attributes, &all) == 0);
    CHECK(posix_spawnattr_setsigmask(attributes, &none) == 0);
    return posix_spawn(&c->pid, c->strings[0], actions, attributes, c->strings, c->environment);
}

/* The address space is lent to the child until it executes the program, not copied; so this takes
 * as long in a large process as in a small one. */
static int command_spawn(struct linux_command *c)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;

    if (posix_spawn_file_actions_init(&actions) != 0) {
        return ENOMEM;
    }
    CHECK(posix_spawnattr_init(&attributes) == 0);
    int error = spawn_with(c, &actions, &attributes);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* A daemon that the kernel is told to spare, and to run first, does not pass that on. What the
 * program starts in this instant is spared yet. */
static void command_level(pid_t pid)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%d/oom_score_adj", pid);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "0", 1);
        (void)close(fd);
    }
    (void)setpriority(PRIO_PGRP, (id_t)pid, 0);
}

static void command_start(struct linux_command *c)
{
    c->error = command_spawn(c);
    if (c->error != 0) {
        c->pid = 0;
        return;
    }
    command_level(c->pid);
    c->fds[WATCH_PROCESS] = pidfd_open(c->pid, 0);
    if (c->fds[WATCH_PROCESS] < 0) { /* nobody could see it end */
        c->error = errno;
        (void)kill(-c->pid, SIGKILL);
        (void)waitpid(c->pid, NULL, 0);
        c->pid = 0;
    }
}

/* The next one to start; NULL: it is over. */
static struct linux_command *thread_take(struct linux_commands *set)
{
    struct linux_command *c = NULL;

    CHECK(pthread_mutex_lock(&set->lock) == 0);
    while (set->queued == NULL && !set->ends) {
        CHECK(pthread_cond_wait(&set->wake, &set->lock) == 0);
    }
    if (!set->ends) {
        c = set->queued;
        set->queued = c->next_queued;
        set->queued_end = set->queued == NULL ? &set->queued : set->queued_end;
    }
    CHECK(pthread_mutex_unlock(&set->lock) == 0);
    return c;
}

static void *thread_run(void *arg)
{
    struct linux_commands *set = arg;

    for (struct linux_command *c = thread_take(set); c != NULL; c = thread_take(set)) {
        CHECK(pthread_mutex_lock(&set->lock) == 0);
        bool is_canceled = c->is_canceled;
        CHECK(pthread_mutex_unlock(&set->lock) == 0);
        c->error = ECANCELED;
        if (!is_canceled) {
            command_start(c);
        }
        CHECK(pthread_mutex_lock(&set->lock) == 0);
        c->next_queued = set->started;
        set->started = c;
        CHECK(pthread_mutex_unlock(&set->lock) == 0);
        CHECK(uv_async_send(&set->started_some) == 0);
    }
    return NULL;
}

/* --- ending --------------------------------------------------------------------------------------
 */

static void set_release(struct linux_commands *set)
{
    if (set->is_closed && set->is_async_gone && set->count == 0) {
        CHECK(pthread_mutex_destroy(&set->lock) == 0);
        CHECK(pthread_cond_destroy(&set->wake) == 0);
        mem_free(set);
    }
}

/* Lets go of it, if nothing is left of it. */
static void command_release(struct linux_command *c)
{
    struct linux_commands *set = c->set;
    struct linux_command **at = &set->commands;

    if (c->state != COMMAND_ENDED || c->request != NULL || c->is_hunted) {
        return;
    }
    if (c->pid != 0) {
        CHECK(waitpid(c->pid, NULL, WNOHANG) != 0 || set->is_closed);
        c->pid = 0;
    }
    if (c->handles > 0) {
        return;
    }
    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    set->count--;
    mem_free(c->strings);
    mem_free(c);
    set_release(set);
}

static void poll_let_go(uv_handle_t *handle)
{
    struct linux_command *c = handle->data;

    c->handles--;
    command_release(c);
}

static void watch_end(struct linux_command *c, enum command_watch i)
{
    if (c->is_watched[i]) {
        c->is_watched[i] = false;
        uv_close((uv_handle_t *)&c->polls[i], poll_let_go);
    }
    fd_close(&c->fds[i]);
}

static void command_answer(struct linux_command *c, enum err result)
{
    struct world_command_request *request = c->request;

    if (request == NULL) {
        return;
    }
    watch_end(c, WATCH_OUTPUT);
    watch_end(c, WATCH_ERRORS);
    linux_time_ops.timer_cancel(c->set->lw, &c->deadline);
    c->request = NULL;
    request->result = result;
    c->set->lw->ran++;
    request->done(request);
}

static void command_hunt(uv_work_t *work)
{
    const struct linux_command *c = work->data;

    linux_hunt(c->pid, c->mark);
}

static void command_was_hunted(uv_work_t *work, int status)
{
    struct linux_command *c = work->data;

    (void)status;
    c->is_hunted = false;
    command_release(c);
}

/* Kills its group, and sets out for who has left it. Its process is not reaped yet, so its number
 * is its own. */
static void command_kill(struct linux_command *c, bool hunts)
{
    (void)kill(-c->pid, SIGKILL);
    if (hunts && !c->was_hunted) {
        c->hunt.data = c;
        c->was_hunted = true;
        c->is_hunted =
            uv_queue_work(&c->set->lw->loop, &c->hunt, command_hunt, command_was_hunted) == 0;
    }
}

/* --- what it says --------------------------------------------------------------------------------
 */

static void says_take(struct world_command_says *says, const uint8_t *bytes, size_t n)
{
    size_t fits = says->buffer == NULL ? 0 : u64_min(says->room - says->kept, n);

    if (fits > 0) {
        memcpy(says->buffer + says->kept, bytes, fits);
        says->kept += fits;
    }
    says->total += n;
}

/* True: there may be more, now or later. */
static bool command_hear(struct linux_command *c, enum command_watch i)
{
    uint8_t *bytes = linux_net_buffer(c->set->lw);
    struct world_command_says *says = i == WATCH_OUTPUT ? &c->request->output : &c->request->errors;

    for (int times = 0; times < READS_PER_TURN; times++) {
        ssize_t n = read(c->fds[i], bytes, LINUX_READ_BYTES);
        if (n > 0) {
            says_take(says, bytes, (size_t)n);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            return false;
        } else {
            return true;
        }
    }
    return true;
}

/* What it has said until now. True: somebody may still say more. */
static bool command_hear_rest(struct linux_command *c)
{
    bool is_held = false;

    for (enum command_watch i = WATCH_OUTPUT; i <= WATCH_ERRORS && c->request != NULL; i++) {
        is_held |= c->fds[i] >= 0 && command_hear(c, i);
    }
    return is_held;
}

static void command_said(uv_poll_t *poll, int status, int events)
{
    struct linux_command *c = poll->data;
    enum command_watch i = poll == &c->polls[WATCH_OUTPUT] ? WATCH_OUTPUT : WATCH_ERRORS;

    (void)events;
    if (status != 0 || !command_hear(c, i)) {
        watch_end(c, i);
    }
}

/* --- running -------------------------------------------------------------------------------------
 */

/* Its process is a zombie. */
static void command_ended(uv_poll_t *poll, int status, int events)
{
    struct linux_command *c = poll->data;
    siginfo_t info = {0};

    (void)status;
    (void)events;
    CHECK(waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOWAIT) == 0);
    watch_end(c, WATCH_PROCESS);
    command_kill(c, false);
    if (command_hear_rest(c)) {
        command_kill(c, true);
    }
    c->state = COMMAND_ENDED;
    if (c->request != NULL) {
        bool has_exited = info.si_code == CLD_EXITED;
        c->request->end = has_exited ? WORLD_COMMAND_EXITED : WORLD_COMMAND_SIGNALED;
        c->request->status = info.si_status;
    }
    command_answer(c, OK);
    command_release(c);
}

/* False: epoll has no room. */
static bool command_watch_one(struct linux_command *c, enum command_watch i, uv_poll_cb ready)
{
    if (uv_poll_init(&c->set->lw->loop, &c->polls[i], c->fds[i]) != 0) {
        return false;
    }
    c->polls[i].data = c;
    c->is_watched[i] = true;
    c->handles++;
    CHECK(uv_poll_start(&c->polls[i], UV_READABLE, ready) == 0);
    return true;
}

static bool command_watch(struct linux_command *c)
{
    if (c->request != NULL && (!command_watch_one(c, WATCH_OUTPUT, command_said) ||
                               !command_watch_one(c, WATCH_ERRORS, command_said))) {
        return false;
    }
    return command_watch_one(c, WATCH_PROCESS, command_ended);
}

static enum err start_err(int error)
{
    switch (error) {
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return ERR_BUSY;
    case ENOEXEC:
        return ERR_INVALID;
    case E2BIG:
        return ERR_TOO_LARGE;
    default:
        return linux_err(error);
    }
}

/* Nobody would see it end. It has only just begun, so its death is not far. */
static void command_lose(struct linux_command *c)
{
    command_kill(c, false);
    (void)waitpid(c->pid, NULL, 0);
    c->pid = 0;
    watch_end(c, WATCH_PROCESS);
    c->state = COMMAND_ENDED;
    command_answer(c, ERR_BUSY);
    command_release(c);
}

/* It comes back from the thread. */
static void command_started(struct linux_command *c)
{
    for (size_t i = 0; i < COUNT_OF(c->child); i++) {
        fd_close(&c->child[i]);
    }
    if (c->error != 0) {
        c->state = COMMAND_ENDED;
        command_answer(c, start_err(c->error));
        command_release(c);
        return;
    }
    c->state = COMMAND_RUNNING;
    if (!command_watch(c)) {
        command_lose(c);
    } else if (c->request == NULL) {
        command_kill(c, true);
    }
}

static void commands_started(uv_async_t *async)
{
    struct linux_commands *set = async->data;
    struct linux_command *first = NULL;

    CHECK(pthread_mutex_lock(&set->lock) == 0);
    while (set->started != NULL) { /* the order in which they were submitted */
        struct linux_command *c = set->started;
        set->started = c->next_queued;
        c->next_queued = first;
        first = c;
    }
    CHECK(pthread_mutex_unlock(&set->lock) == 0);
    while (first != NULL) {
        struct linux_command *c = first;
        first = c->next_queued;
        command_started(c);
    }
}

static void command_late(struct world_timer *timer)
{
    struct linux_command *c = timer->owner;

    if (c->state == COMMAND_ENDED) { /* it could not even be queued */
        command_answer(c, c->failed);
        command_release(c);
        return;
    }
    CHECK(pthread_mutex_lock(&c->set->lock) == 0);
    c->is_canceled = true;
    CHECK(pthread_mutex_unlock(&c->set->lock) == 0);
    if (c->state == COMMAND_RUNNING) {
        command_kill(c, true);
        (void)command_hear_rest(c);
    }
    command_answer(c, ERR_TIMEOUT);
}

/* --- submitting ----------------------------------------------------------------------------------
 */

/* How many strings up to the NULL, whose bytes are added to `bytes`. */
static size_t strings_count(const char *const *strings, size_t *bytes)
{
    size_t count = 0;

    while (strings != NULL && strings[count] != NULL && count <= WORLD_COMMAND_STRINGS_MAX) {
        *bytes += strlen(strings[count]) + 1;
        count++;
    }
    return count;
}

static char *strings_copy(char **to, const char *const *from, size_t count, char *bytes)
{
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(from[i]) + 1;
        memcpy(bytes, from[i], n);
        to[i] = bytes;
        bytes += n;
    }
    to[count] = NULL;
    return bytes;
}

static enum err command_copy(struct linux_command *c, const struct world_command_request *request)
{
    size_t bytes = 0;
    size_t arguments = strings_count(request->arguments, &bytes);
    size_t environment = strings_count(request->environment, &bytes);
    uint64_t chance = 0;

    if (arguments == 0 || request->arguments[0][0] != '/') {
        return ERR_INVALID;
    }
    if (arguments + environment > WORLD_COMMAND_STRINGS_MAX || bytes > WORLD_COMMAND_BYTES_MAX ||
        request->input.len > WORLD_COMMAND_INPUT_MAX_BYTES) {
        return ERR_TOO_LARGE;
    }
    (void)!getrandom(&chance, sizeof chance, GRND_NONBLOCK);
    (void)snprintf(c->mark, sizeof c->mark, MARK_NAME "%016" PRIx64, chance);
    size_t pointers = arguments + 1 + 1 + environment + 1;
    c->strings = mem_alloc(pointers * sizeof *c->strings + bytes);
    char *free_bytes = (char *)(c->strings + pointers);
    c->environment = c->strings + arguments + 1;
    c->environment[0] = c->mark;
    free_bytes = strings_copy(c->strings, request->arguments, arguments, free_bytes);
    (void)strings_copy(c->environment + 1, request->environment, environment, free_bytes);
    return OK;
}

/* The descriptor, or a copy of it that stands in nobody's way when 0, 1 and 2 are set; -1: none. */
static int fd_lift(int fd)
{
    if (fd < 0 || fd >= FIRST_FREE_FD) {
        return fd;
    }
    int lifted = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    (void)close(fd);
    return lifted;
}

/* A file in memory rather than a pipe: whether and when the program reads it is nobody's concern.
 */
static int input_open(struct bytes input)
{
    if (input.len == 0) {
        return fd_lift(open("/dev/null", O_RDONLY | O_CLOEXEC));
    }
    int fd = fd_lift(memfd_create("input", MFD_CLOEXEC));
    if (fd >= 0 && pwrite(fd, input.data, input.len, 0) != (ssize_t)input.len) {
        fd_close(&fd);
    }
    return fd;
}

static bool pipe_open(int *ours, int *theirs)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return false;
    }
    *ours = fd_lift(ends[0]);
    *theirs = fd_lift(ends[1]);
    return *ours >= 0 && *theirs >= 0 && fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
}

static enum err command_open(struct linux_command *c, const struct world_command_request *request)
{
    if (c->set->count > LINUX_COMMANDS_MAX) {
        return ERR_BUSY;
    }
    TRY(command_copy(c, request));
    c->child[0] = input_open(request->input);
    if (c->child[0] < 0 || !pipe_open(&c->fds[WATCH_OUTPUT], &c->child[1]) ||
        !pipe_open(&c->fds[WATCH_ERRORS], &c->child[2])) {
        return start_err(errno);
    }
    return OK;
}

static void command_close_all(struct linux_command *c)
{
    for (size_t i = 0; i < COUNT_OF(c->child); i++) {
        fd_close(&c->child[i]);
    }
    for (enum command_watch i = 0; i < WATCHES; i++) {
        watch_end(c, i);
    }
}

static void says_begin(struct world_command_says *says)
{
    CHECK(says->room <= WORLD_COMMAND_SAYS_MAX_BYTES);
    says->kept = 0;
    says->total = 0;
}

void linux_commands_submit(struct linux_commands *set, struct world_command_request *request)
{
    struct linux_command *c = mem_alloc_zero(sizeof *c);
    nanos due = request->deadline;

    CHECK(!set->is_closed && request->done != NULL);
    says_begin(&request->output);
    says_begin(&request->errors);
    request->end = WORLD_COMMAND_NO_END;
    request->status = 0;
    *c = (struct linux_command){
        .next = set->commands,
        .set = set,
        .request = request,
        .deadline = {.fire = command_late, .owner = c},
        .child = {-1, -1, -1},
        .fds = {-1, -1, -1},
    };
    set->commands = c;
    set->count++;
    c->failed = command_open(c, request);
    if (c->failed != OK) {
        command_close_all(c);
        c->state = COMMAND_ENDED;
        due = 0;
    }
    if (due != NANOS_FOREVER) {
        linux_time_ops.timer_set(set->lw, &c->deadline, due);
    }
    if (c->failed == OK) {
        CHECK(pthread_mutex_lock(&set->lock) == 0);
        *set->queued_end = c;
        set->queued_end = &c->next_queued;
        CHECK(pthread_cond_signal(&set->wake) == 0);
        CHECK(pthread_mutex_unlock(&set->lock) == 0);
    }
}

static void commands_submit(void *self, struct world_command_request *request)
{
    linux_commands_submit(self, request);
}

const struct world_command_ops linux_command_ops = {.submit = commands_submit};

/* --- life ----------------------------------------------------------------------------------------
 */

uint32_t linux_commands_count(const struct linux_commands *set)
{
    return set->count;
}

/* An ignored SIGCHLD, which a program may have been started with, would take the status of every
 * child away. */
static void heed_children(void)
{
    struct sigaction action;

    CHECK(sigaction(SIGCHLD, NULL, &action) == 0);
    if (action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT) != 0) {
        (void)signal(SIGCHLD, SIG_DFL);
    }
}

struct linux_commands *linux_commands_open(struct linux_world *lw)
{
    struct linux_commands *set = mem_alloc_zero(sizeof *set);

    heed_children();
    set->lw = lw;
    set->queued_end = &set->queued;
    CHECK(uv_async_init(&lw->loop, &set->started_some, commands_started) == 0);
    set->started_some.data = set;
    CHECK(pthread_mutex_init(&set->lock, NULL) == 0);
    CHECK(pthread_cond_init(&set->wake, NULL) == 0);
    CHECK(pthread_create(&set->thread, NULL, thread_run, set) == 0);
    return set;
}

static void async_let_go(uv_handle_t *handle)
{
    struct linux_commands *set = handle->data;

    set->is_async_gone = true;
    set_release(set);
}

/* What hangs in the kernel is left to the parent of all. */
static void command_forget(struct linux_command *c)
{
    if (c->pid != 0) {
        struct pollfd death = {.fd = c->fds[WATCH_PROCESS], .events = POLLIN};
        (void)kill(-c->pid, SIGKILL);
        (void)poll(&death, 1, DEATH_WAIT_MS);
    }
    linux_time_ops.timer_cancel(c->set->lw, &c->deadline);
    c->request = NULL;
    c->state = COMMAND_ENDED;
    command_close_all(c);
    command_release(c);
}

void linux_commands_close(struct linux_commands *set)
{
    CHECK(pthread_mutex_lock(&set->lock) == 0);
    set->ends = true;
    CHECK(pthread_cond_signal(&set->wake) == 0);
    CHECK(pthread_mutex_unlock(&set->lock) == 0);
    CHECK(pthread_join(set->thread, NULL) == 0);
    set->is_closed = true;
    for (struct linux_command *c = set->commands, *next = NULL; c != NULL; c = next) {
        next = c->next;
        command_forget(c);
    }
    uv_close((uv_handle_t *)&set->started_some, async_let_go);
}
