/* The daemon's side of the guard: against a guard in this process, which can be silent, die and
 * come back as another one; and against novacron-guard itself. */
#include "drivers/guard/guard_client.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guard/guard_core.h"
#include "guard/guard_socket.h"
#include "tests/support/test.h"
#include "world/linux/linux_world.h"

#define S        NANOS_PER_S
#define PATIENCE (20 * S)

/* A guard in this process. */
struct own_guard {
    struct guard guard;
    int listen;
    int lock;
    int peer; /* -1: nobody */
    uint64_t instance;
    bool is_silent;
    enum err says;  /* to a HOLD, in the place of what it is; OK: what it is */
    uint32_t taken; /* messages */
    uint32_t holds; /* of these */
};

struct room {
    char dir[64];
    char path[96];
    struct linux_world *lw;
    const struct world *world;
    struct guard_client *client;
    struct own_guard own;
    bool has_own;
    char told[WORLD_NAME_MAX_BYTES]; /* the machine that was told of last; "": none */
    enum err told_result;
    uint32_t tellings;
};

static void own_open(struct room *r)
{
    const struct guard_config config = {.lease_max = 60 * S, .feed_every = S};
    uint64_t instance = r->own.instance + 1;

    r->own = (struct own_guard){.peer = -1, .instance = instance};
    guard_init(&r->own.guard, &config);
    assert_int_equal(guard_socket_listen(r->path, (gid_t)-1, &r->own.listen, &r->own.lock), OK);
    r->has_own = true;
}

static void own_close(struct room *r)
{
    if (r->own.peer >= 0) {
        (void)close(r->own.peer);
    }
    (void)close(r->own.listen);
    (void)close(r->own.lock);
    r->has_own = false;
}

static enum err own_do(struct own_guard *own, struct guard_received *received, nanos now)
{
    const struct guard_message *m = &received->message;
    uint32_t slot = 0;
    bool is_new = false;

    for (size_t i = 0; i < GUARD_FDS_MAX; i++) {
        if (received->fds[i] >= 0) {
            (void)close(received->fds[i]);
        }
    }
    if (m->kind == GUARD_LEASE) {
        return guard_lease(&own->guard, now, m->until);
    }
    own->holds += m->kind == GUARD_HOLD;
    if (m->kind == GUARD_HOLD && own->says != OK) {
        return own->says;
    }
    return m->kind == GUARD_HOLD
               ? guard_hold(&own->guard, now, m->name, m->epoch, m->pid, &slot, &is_new)
               : OK;
}

static void own_turn(struct room *r)
{
    struct own_guard *own = &r->own;
    struct guard_received received;
    uid_t uid = 0;

    if (!r->has_own || own->is_silent) {
        return;
    }
    if (own->peer < 0) {
        own->peer = guard_socket_accept(own->listen, 0, &uid);
    }
    while (own->peer >= 0 && guard_socket_receive(own->peer, &received) == OK) {
        own->taken++;
        const struct guard_answer answer = {
            .result = own_do(own, &received, world_now(r->world)),
            .number = received.message.number,
            .instance = own->instance,
            .watchdog = WORLD_WATCHDOG_ARMED,
            .watchdog_timeout = 11 * S,
            .lease_until = own->guard.lease_until,
            .machines = own->guard.count,
        };
        assert_true(guard_socket_answer(own->peer, &answer));
    }
}

static void room_told(void *ctx, const char *machine, enum err result)
{
    struct room *r = ctx;

    (void)snprintf(r->told, sizeof r->told, "%s", machine);
    r->told_result = result;
    r->tellings++;
}

static void room_open(struct room *r, bool has_own)
{
    memset(r, 0, sizeof *r);
    (void)snprintf(r->dir, sizeof r->dir, "/tmp/novacron-guard-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    (void)snprintf(r->path, sizeof r->path, "%s/guard.sock", r->dir);
    assert_int_equal(linux_world_open("/", &r->lw), OK);
    r->world = linux_world_table(r->lw);
    if (has_own) {
        own_open(r);
    }
    r->client = guard_client_open(linux_world_loop(r->lw), r->world, r->path);
    guard_client_listen(r->client, room_told, r);
    linux_world_plug_guard(r->lw, &guard_client_ops, r->client);
}

static void room_close(struct room *r)
{
    char lock[112];

    linux_world_plug_guard(r->lw, NULL, NULL);
    guard_client_close(r->client);
    linux_world_close(r->lw);
    if (r->has_own) {
        own_close(r);
    }
    (void)snprintf(lock, sizeof lock, "%s.lock", r->path);
    (void)unlink(lock);
    (void)unlink(r->path);
    assert_int_equal(rmdir(r->dir), 0);
}

static void room_turn(struct room *r)
{
    (void)linux_world_poll(r->lw, NANOS_PER_MS);
    own_turn(r);
}

struct asked {
    struct world_guard_request request;
    struct guard_hold hold;
    bool is_done;
    enum err result;
};

static void asked_done(struct world_guard_request *request)
{
    struct asked *asked = request->owner;
    asked->is_done = true;
    asked->result = request->result;
}

static void asked_held(struct guard_hold *hold, enum err result)
{
    struct asked *asked = hold->owner;
    asked->is_done = true;
    asked->result = result;
}

static void room_wait(struct room *r, const struct asked *asked)
{
    nanos end = world_now(r->world) + PATIENCE;

    while (!asked->is_done) {
        assert_true(world_now(r->world) < end);
        room_turn(r);
    }
}

static struct asked room_ask(struct room *r, enum world_guard_op op, nanos span, nanos patience)
{
    struct asked asked = {0};
    nanos now = world_now(r->world);

    asked.request = (struct world_guard_request){
        .op = op,
        .until = op == WORLD_GUARD_LEASE ? now + span : 0,
        .deadline = now + patience,
        .done = asked_done,
        .owner = &asked,
        .machines = 99,
    };
    r->world->guard->submit(r->world->self, &asked.request);
    assert_false(asked.is_done);
    room_wait(r, &asked);
    return asked;
}

static enum err hold_process(struct room *r, const char *name, pid_t pid)
{
    struct asked asked = {0};
    int pidfd = pidfd_open(pid, 0);

    assert_true(pidfd >= 0);
    asked.hold = (struct guard_hold){
        .held = asked_held,
        .name = name,
        .epoch = 7,
        .pidfd = pidfd,
        .cgroup_kill = -1,
        .deadline = world_now(r->world) + PATIENCE,
        .owner = &asked,
    };
    guard_client_hold(r->client, &asked.hold);
    assert_false(asked.is_done);
    room_wait(r, &asked);
    (void)close(pidfd);
    return asked.result;
}

static pid_t process_start(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)execl("/bin/sleep", "sleep", "1000", (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

static void process_end(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static void without_a_guard_nothing_is_known(void **state)
{
    (void)state;
    struct room r;

    room_open(&r, false);
    struct asked asked = room_ask(&r, WORLD_GUARD_STATUS, 0, PATIENCE);
    assert_int_equal(asked.result, ERR_CLOSED);
    assert_int_equal(asked.request.watchdog, WORLD_WATCHDOG_NONE);
    assert_int_equal(asked.request.machines, 0);
    assert_int_equal(room_ask(&r, WORLD_GUARD_LEASE, S, PATIENCE).result, ERR_CLOSED);
    pid_t pid = process_start();
    assert_int_equal(hold_process(&r, "vm", pid), ERR_CLOSED);
    assert_int_equal(guard_client_kept(r.client), 0);
    process_end(pid);
    room_close(&r);
}

static void tells_what_the_guard_tells(void **state)
{
    (void)state;
    struct room r;

    room_open(&r, true);
    struct asked asked = room_ask(&r, WORLD_GUARD_LEASE, 20 * S, PATIENCE);
    assert_int_equal(asked.result, OK);
    assert_int_equal(asked.request.watchdog, WORLD_WATCHDOG_ARMED);
    assert_int_equal(asked.request.watchdog_timeout, 11 * S);
    assert_int_equal(asked.request.lease_until, asked.request.until);
    asked = room_ask(&r, WORLD_GUARD_LEASE, S, PATIENCE); /* earlier */
    assert_int_equal(asked.result, ERR_INVALID);
    assert_int_equal(asked.request.lease_until, r.own.guard.lease_until);
    pid_t pid = process_start();
    assert_int_equal(hold_process(&r, "vm", pid), OK);
    assert_int_equal(r.own.guard.machines[0].pid, pid);
    assert_int_equal(r.own.guard.machines[0].epoch, 7);
    assert_int_equal(room_ask(&r, WORLD_GUARD_STATUS, 0, PATIENCE).request.machines, 1);
    process_end(pid);
    room_close(&r);
}

static void a_silent_guard_is_a_deadline(void **state)
{
    (void)state;
    struct room r;

    room_open(&r, true);
    r.own.is_silent = true;
    struct asked asked = room_ask(&r, WORLD_GUARD_STATUS, 0, 50 * NANOS_PER_MS);
    assert_int_equal(asked.result, ERR_TIMEOUT);
    assert_int_equal(asked.request.machines, 0);
    /* The answer that comes late is nobody's, and the next one is taken for what it is. */
    r.own.is_silent = false;
    assert_int_equal(room_ask(&r, WORLD_GUARD_STATUS, 0, PATIENCE).result, OK);
    assert_int_equal(r.own.taken, 2);
    room_close(&r);
}

static void what_waits_when_the_guard_dies_is_closed(void **state)
{
    (void)state;
    struct room r;
    struct asked asked = {0};

    room_open(&r, true);
    assert_int_equal(room_ask(&r, WORLD_GUARD_STATUS, 0, PATIENCE).result, OK);
    r.own.is_silent = true;
    asked.request = (struct world_guard_request){
        .op = WORLD_GUARD_STATUS,
        .deadline = world_now(r.world) + PATIENCE,
        .done = asked_done,
        .owner = &asked,
    };
    r.world->guard->submit(r.world->self, &asked.request);
    room_turn(&r);
    own_close(&r);
    room_wait(&r, &asked);
    assert_int_equal(asked.result, ERR_CLOSED);
    own_open(&r);
    assert_int_equal(room_ask(&r, WORLD_GUARD_STATUS, 0, PATIENCE).result, OK);
    room_close(&r);
}

static void a_guard_that_is_started_anew_is_told_all_of_it_unasked(void **state)
{
    (void)state;
    struct room r;
    nanos end = 0;

    room_open(&r, true);
    nanos until = room_ask(&r, WORLD_GUARD_LEASE, 50 * S, PATIENCE).request.until;
    pid_t lives = process_start();
    pid_t ends = process_start();
    assert_int_equal(hold_process(&r, "lives", lives), OK);
    assert_int_equal(hold_process(&r, "ends", ends), OK);
    process_end(ends);
    assert_int_equal(guard_client_kept(r.client), 1);
    own_close(&r);
    for (int i = 0; i < 20; i++) {
        room_turn(&r);
    }
    own_open(&r);
    end = world_now(r.world) + PATIENCE;
    while (r.own.guard.count == 0) {
        assert_true(world_now(r.world) < end);
        room_turn(&r);
    }
    assert_int_equal(r.own.guard.lease_until, until);
    assert_int_equal(r.own.guard.count, 1);
    assert_string_equal(r.own.guard.machines[0].name, "lives");
    assert_int_equal(r.own.guard.machines[0].pid, lives);
    assert_int_equal(r.own.taken, 2);
    process_end(lives);
    room_close(&r);
}

/* It is taken once there is room, a lease, or whatever was missing; and is told of. */
static void what_a_guard_that_is_started_anew_refuses_is_said_until_it_is_taken(void **state)
{
    (void)state;
    struct room r;

    room_open(&r, true);
    assert_int_equal(room_ask(&r, WORLD_GUARD_LEASE, 50 * S, PATIENCE).result, OK);
    pid_t pid = process_start();
    assert_int_equal(hold_process(&r, "vm", pid), OK);
    own_close(&r);
    for (int i = 0; i < 20; i++) {
        room_turn(&r);
    }
    own_open(&r);
    r.own.says = ERR_BUSY;
    nanos began = world_now(r.world);
    while (r.own.holds < 3) {
        assert_true(world_now(r.world) < began + PATIENCE);
        room_turn(&r);
    }
    assert_true(world_now(r.world) >= began + GUARD_CLIENT_HOLD_AGAIN); /* no storm */
    for (int i = 0; i < 20; i++) {
        room_turn(&r);
    }
    assert_string_equal(r.told, "vm");
    assert_int_equal(r.told_result, ERR_BUSY);
    assert_int_equal(r.tellings, 1);
    assert_int_equal(r.own.guard.count, 0);
    r.own.says = OK;
    while (r.own.guard.count == 0 || r.told_result != OK) {
        assert_true(world_now(r.world) < began + PATIENCE);
        room_turn(&r);
    }
    assert_int_equal(r.own.guard.machines[0].pid, pid);
    assert_int_equal(r.tellings, 2);
    uint32_t holds = r.own.holds;
    while (world_now(r.world) < began + 5 * GUARD_CLIENT_HOLD_AGAIN) {
        room_turn(&r);
    }
    assert_int_equal(r.own.holds, holds); /* what is held is said no more */
    process_end(pid);
    room_close(&r);
}

static void a_crowd_of_requests_is_answered_in_full(void **state)
{
    (void)state;
    struct room r;
    static struct asked asked[1000];

    room_open(&r, true);
    memset(asked, 0, sizeof asked);
    for (size_t i = 0; i < COUNT_OF(asked); i++) {
        asked[i].request = (struct world_guard_request){
            .op = WORLD_GUARD_STATUS,
            .deadline = world_now(r.world) + PATIENCE,
            .done = asked_done,
            .owner = &asked[i],
        };
        r.world->guard->submit(r.world->self, &asked[i].request);
    }
    for (size_t i = 0; i < COUNT_OF(asked); i++) {
        room_wait(&r, &asked[i]);
        assert_int_equal(asked[i].result, OK);
    }
    room_close(&r);
}

/* --- the program itself --------------------------------------------------------------------------
 */

static bool find_guard(char *ret, size_t room)
{
    ssize_t n = readlink("/proc/self/exe", ret, room - 1);

    ret[n > 0 ? n : 0] = '\0';
    for (int i = 0; i < 2; i++) { /* BUILD/tests/this */
        char *slash = strrchr(ret, '/');
        if (slash == NULL) {
            return false;
        }
        *slash = '\0';
    }
    size_t at = strlen(ret);
    (void)snprintf(ret + at, room - at, "/backend/guard/novacron-guard");
    return access(ret, X_OK) == 0;
}

static pid_t guard_start(struct room *r, const char *program)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)close(STDERR_FILENO);
        (void)execl(program, program, "--socket", r->path, (char *)NULL);
        _exit(127);
    }
    nanos end = world_now(r->world) + PATIENCE;
    while (room_ask(r, WORLD_GUARD_STATUS, 0, PATIENCE).result != OK) {
        assert_true(world_now(r->world) < end);
    }
    return pid;
}

static void the_guard_itself_ends_what_it_was_handed_and_is_told_again(void **state)
{
    (void)state;
    struct room r;
    char program[512];
    int status = 0;

    if (!find_guard(program, sizeof program)) {
        print_message("# novacron-guard is not built\n");
        skip();
    }
    room_open(&r, false);
    pid_t guard = guard_start(&r, program);
    assert_int_equal(room_ask(&r, WORLD_GUARD_LEASE, 4 * S, PATIENCE).result, OK);
    pid_t held = process_start();
    assert_int_equal(hold_process(&r, "vm", held), OK);
    process_end(guard);
    guard = guard_start(&r, program);
    nanos end = world_now(r.world) + PATIENCE;
    while (room_ask(&r, WORLD_GUARD_STATUS, 0, PATIENCE).request.machines == 0) {
        assert_true(world_now(r.world) < end);
    }
    while (waitpid(held, &status, WNOHANG) == 0) {
        assert_true(world_now(r.world) < end);
        room_turn(&r);
    }
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    (void)kill(guard, SIGTERM);
    assert_int_equal(waitpid(guard, &status, 0), guard);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    room_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_guard_nothing_is_known),
        cmocka_unit_test(tells_what_the_guard_tells),
        cmocka_unit_test(a_silent_guard_is_a_deadline),
        cmocka_unit_test(what_waits_when_the_guard_dies_is_closed),
        cmocka_unit_test(a_guard_that_is_started_anew_is_told_all_of_it_unasked),
        cmocka_unit_test(what_a_guard_that_is_started_anew_refuses_is_said_until_it_is_taken),
        cmocka_unit_test(a_crowd_of_requests_is_answered_in_full),
        cmocka_unit_test(the_guard_itself_ends_what_it_was_handed_and_is_told_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
