/*
 * One whole node on a real disk, in a process of its own that is killed in the middle, again and
 * again: what it acknowledged is there when it comes back.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/node/node.h"
#include "tests/support/test.h"
#include "world/linux/linux_world.h"

#define ROUNDS      5
#define ACKS        40
#define POLLS_MAX   200000
#define RECORD_SIZE sizeof(uint64_t)

struct solo {
    struct linux_world *lw;
    struct node *node;
    bool ready;
    bool halted;
};

static void solo_on_ready(void *ctx, enum recovery_verdict verdict, const char *why)
{
    (void)verdict;
    (void)why;
    ((struct solo *)ctx)->ready = true;
}

static void solo_on_halted(void *ctx, enum err error, const char *why)
{
    fprintf(stderr, "# halted: %s: %s\n", err_text(error), why);
    ((struct solo *)ctx)->halted = true;
}

static bool solo_leads(const struct solo *s)
{
    return s->ready && node_status(s->node).role == RAFT_LEADER;
}

/* Opens the node below `root` and waits until it leads. */
static bool solo_open(struct solo *s, const char *root)
{
    memset(s, 0, sizeof(*s));
    if (linux_world_open(root, &s->lw) != OK) {
        return false;
    }
    struct raft_membership founders = {0};
    raft_membership_insert(&founders, 1, RAFT_VOTER);
    struct node_config config = node_config_default(1);
    config.dir = "node";
    config.cluster = 7;
    config.founders = &founders;
    config.segment_bytes = 16 * 1024 * 1024;
    config.snapshot_entries = 100;
    config.tail_entries = 10;
    config.raft.election_timeout = 50 * NANOS_PER_MS;
    config.raft.heartbeat_interval = 10 * NANOS_PER_MS;
    config.raft.stall_timeout = 0;
    struct node_events events = {.ctx = s, .ready = solo_on_ready, .halted = solo_on_halted};
    s->node = node_open(linux_world_table(s->lw), &config, &events);
    for (int i = 0; i < POLLS_MAX && !solo_leads(s) && !s->halted; i++) {
        linux_world_poll(s->lw, 10 * NANOS_PER_MS);
    }
    return solo_leads(s);
}

static void solo_close(struct solo *s)
{
    linux_world_close(s->lw);
    node_close(s->node);
}

struct solo_put {
    struct node_request request;
    bool done;
};

static void solo_on_put(struct node_request *request)
{
    ((struct solo_put *)request->owner)->done = true;
}

/* Puts key = value = `i`; false where it was not acknowledged. */
static bool solo_put_number(struct solo *s, uint64_t i)
{
    struct solo_put p = {.done = false};
    struct buf body;
    buf_init(&body);
    struct store_put_request put = {.key = {(const uint8_t *)&i, sizeof(i)},
                                    .value = {(const uint8_t *)&i, sizeof(i)}};
    store_put_encode(&body, &put);
    p.request = (struct node_request){
        .kind = STORE_KIND_PUT, .body = buf_view(&body), .done = solo_on_put, .owner = &p};
    bool begun = node_propose(s->node, &p.request) == OK;
    for (int k = 0; k < POLLS_MAX && begun && !p.done; k++) {
        linux_world_poll(s->lw, 10 * NANOS_PER_MS);
    }
    buf_deinit(&body);
    return p.done && p.request.result == OK;
}

static bool solo_has_number(struct solo *s, uint64_t i)
{
    struct store_range_request range = {.key = {(const uint8_t *)&i, sizeof(i)}, .count_only = true};
    struct buf request;
    struct buf response;
    buf_init(&request);
    buf_init(&response);
    store_range_encode(&request, &range);
    int64_t revision;
    bool ok = store_range_read(node_store(s->node), buf_view(&request), &revision, &response) ==
              STORE_OK;
    bool found = ok && response.len > 0; /* count = 0 is not encoded */
    buf_deinit(&request);
    buf_deinit(&response);
    return found;
}

/* The child: puts numbers from `next` on, and tells of each that was acknowledged. */
static void solo_child(const char *root, uint64_t next, int to_parent)
{
    struct solo s;
    if (!solo_open(&s, root)) {
        _exit(3);
    }
    for (;; next++) {
        if (!solo_put_number(&s, next) || write(to_parent, &next, RECORD_SIZE) != RECORD_SIZE) {
            _exit(4);
        }
    }
}

/* Runs a child until it acknowledged some, kills it, and returns the last number it told of. */
static uint64_t solo_kill_in_the_middle(const char *root, uint64_t next, uint64_t acks)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[0]);
        solo_child(root, next, fds[1]);
    }
    close(fds[1]);
    uint64_t last = next;
    for (uint64_t i = 0; i < acks; i++) {
        assert_int_equal(read(fds[0], &last, RECORD_SIZE), RECORD_SIZE);
    }
    kill(child, SIGKILL);
    while (read(fds[0], &last, RECORD_SIZE) == RECORD_SIZE) {
    }
    close(fds[0]);
    waitpid(child, NULL, 0);
    return last;
}

static void keeps_what_it_acknowledged_through_kill_9(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    char root[] = "/tmp/novacron-node-XXXXXX";
    assert_non_null(mkdtemp(root));
    uint64_t last = 0;
    for (int round = 0; round < ROUNDS; round++) {
        last = solo_kill_in_the_middle(root, last + 1, prng_range(&p, 1, ACKS));
    }
    struct solo s;
    assert_true(solo_open(&s, root));
    /* With the first put of its new term everything before it is committed, too. */
    assert_true(solo_put_number(&s, UINT64_MAX));
    for (uint64_t i = 1; i <= last; i++) {
        assert_true(solo_has_number(&s, i));
    }
    assert_false(solo_has_number(&s, last + ACKS));
    solo_close(&s);
    char command[64];
    snprintf(command, sizeof(command), "rm -rf %s", root);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_it_acknowledged_through_kill_9),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
