/* Three whole nodes on real disks and real sockets with TLS, in one process: they elect, replicate,
 * outlive a reset of their streams and the death of their leader, and let nobody else in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/node/node.h"
#include "tests/support/test.h"
#include "tests/world/linux_pair.h"
#include "tests/world/tls_fixture.h"
#include "world/linux/linux_world_int.h"

#define MEMBERS  3
#define CLUSTER  77
#define PATIENCE (20 * NANOS_PER_S)

struct real_member {
    struct linux_world *lw; /* NULL: down */
    struct node *node;
    struct linux_tls *tls;
    char root[80];
    char name[8];
    bool is_ready;
    bool is_member;
    uint32_t refusals;
    const char *refused_why; /* of the node's last one */
};

struct real_cluster {
    struct real_member member[MEMBERS];
    struct tls_fixture certificates;
    struct raft_membership founders;
    uint16_t ports[MEMBERS];
};

static void real_on_ready(void *ctx, enum recovery_verdict verdict, const char *why)
{
    struct real_member *m = ctx;
    (void)verdict;
    (void)why;
    m->is_ready = true;
}

static void real_on_halted(void *ctx, enum err error, const char *why)
{
    struct real_member *m = ctx;
    print_message("# %s halted: %s: %s\n", m->name, err_text(error), why);
    fail();
}

static void real_on_refused(void *ctx, node_id peer, const struct world_endpoint *at,
                            const char *why)
{
    struct real_member *m = ctx;
    if (m->refusals < 3) {
        print_message("# %s: member %llu at %s: %s\n", m->name, (unsigned long long)peer, at->host,
                      why);
    }
    m->refusals++;
    m->refused_why = why;
}

static void real_on_refused_below(void *ctx, const struct world_endpoint *peer, enum err error,
                                  const char *why)
{
    struct real_member *m = ctx;
    print_message("# %s: %s: %s: %s\n", m->name, peer->host, err_name(error), why);
}

static void real_member_start(struct real_cluster *c, uint32_t i, uint64_t cluster)
{
    struct real_member *m = &c->member[i];
    struct linux_net_config net = linux_net_config_default();
    struct node_config config = node_config_default(i + 1);

    net.tls = m->tls;
    net.refused = real_on_refused_below;
    net.ctx = m;
    config.dir = "node";
    config.cluster = cluster;
    config.founders = &c->founders;
    config.is_member = m->is_member;
    config.port = c->ports[i];
    config.peer_count = MEMBERS;
    config.segment_bytes = 16 * 1024 * 1024;
    config.raft.stall_timeout = 0; /* the disks of a test machine are what they are */
    for (uint32_t k = 0; k < MEMBERS; k++) {
        struct node_peer *peer = &config.peers[k];
        *peer = (struct node_peer){.id = k + 1, .at = {"127.0.0.1", c->ports[k]}};
        memcpy(peer->name, c->member[k].name, sizeof c->member[k].name);
    }
    assert_int_equal(linux_world_open(m->root, &m->lw), OK);
    assert_int_equal(linux_world_configure_net(m->lw, &net), OK);
    const struct node_events events = {
        .ctx = m, .ready = real_on_ready, .halted = real_on_halted, .refused = real_on_refused};
    m->is_ready = false;
    m->node = node_open(linux_world_table(m->lw), &config, &events);
    m->is_member = true;
}

static void real_member_kill(struct real_cluster *c, uint32_t i)
{
    struct real_member *m = &c->member[i];
    linux_world_close(m->lw);
    node_close(m->node);
    m->lw = NULL;
    m->node = NULL;
}

static void real_cluster_open(struct real_cluster *c)
{
    memset(c, 0, sizeof *c);
    tls_fixture_open(&c->certificates);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        struct real_member *m = &c->member[i];
        (void)snprintf(m->name, sizeof m->name, "host-%u", i + 1);
        tls_fixture_issue(&c->certificates, m->name, -1, 5);
        m->tls = tls_fixture_load(&c->certificates, &c->certificates, m->name);
        (void)snprintf(m->root, sizeof m->root, "/var/tmp/novacron-network-XXXXXX");
        assert_non_null(mkdtemp(m->root));
        raft_membership_insert(&c->founders, i + 1, RAFT_VOTER);
        c->ports[i] = linux_pair_free_port();
    }
}

static void real_cluster_close(struct real_cluster *c)
{
    for (uint32_t i = 0; i < MEMBERS; i++) {
        char command[128];
        if (c->member[i].lw != NULL) {
            real_member_kill(c, i);
        }
        linux_tls_close(c->member[i].tls);
        (void)snprintf(command, sizeof command, "rm -r %s", c->member[i].root);
        assert_int_equal(system(command), 0);
    }
    tls_fixture_close(&c->certificates);
}

static void real_cluster_step(struct real_cluster *c)
{
    size_t ran = 0;
    struct linux_world *some = NULL;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        if (c->member[i].lw != NULL) {
            some = c->member[i].lw;
            ran += linux_world_poll(some, 0);
        }
    }
    if (ran == 0) {
        (void)linux_world_poll(some, NANOS_PER_MS / 4);
    }
}

#define REAL_UNTIL(cluster, condition)                                                             \
    do {                                                                                           \
        for (nanos until_ = linux_boottime() + PATIENCE;                                           \
             !(condition) && linux_boottime() < until_;) {                                         \
            real_cluster_step(cluster);                                                            \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

static int real_leader(const struct real_cluster *c)
{
    for (uint32_t i = 0; i < MEMBERS; i++) {
        const struct real_member *m = &c->member[i];
        if (m->node != NULL && m->is_ready && node_status(m->node).role == RAFT_LEADER) {
            return (int)i;
        }
    }
    return -1;
}

struct real_put {
    struct node_request request;
    bool is_done;
};

static void real_put_done(struct node_request *request)
{
    ((struct real_put *)request->owner)->is_done = true;
}

/* Puts `number` under itself at the member that leads, again where its outcome is unknown. */
static void real_put_number(struct real_cluster *c, uint64_t number)
{
    struct store_put_request put = {.key = {(const uint8_t *)&number, sizeof number},
                                    .value = {(const uint8_t *)&number, sizeof number}};
    struct real_put p = {.request = {.result = ERR_UNKNOWN}};
    struct buf body;

    buf_init(&body);
    store_put_encode(&body, &put);
    for (int attempt = 0; attempt < 5 && p.request.result != OK; attempt++) {
        REAL_UNTIL(c, real_leader(c) >= 0);
        p = (struct real_put){.is_done = false};
        p.request = (struct node_request){
            .kind = STORE_KIND_PUT, .body = buf_view(&body), .done = real_put_done, .owner = &p};
        assert_int_equal(node_propose(c->member[real_leader(c)].node, &p.request), OK);
        REAL_UNTIL(c, p.is_done);
    }
    assert_int_equal(p.request.result, OK);
    buf_deinit(&body);
}

static bool real_has_number(const struct real_member *m, uint64_t number)
{
    struct store_range_request range = {.key = {(const uint8_t *)&number, sizeof number},
                                        .count_only = true};
    struct buf request;
    struct buf response;
    int64_t revision = 0;

    buf_init(&request);
    buf_init(&response);
    store_range_encode(&request, &range);
    bool found = m->is_ready &&
                 store_range_read(node_store(m->node), buf_view(&request), &revision, &response) ==
                     STORE_OK &&
                 response.len > 0; /* a count of 0 is not encoded */
    buf_deinit(&request);
    buf_deinit(&response);
    return found;
}

/* Whether all members that are up have it. */
static bool all_have_number(const struct real_cluster *c, uint64_t number)
{
    for (uint32_t i = 0; i < MEMBERS; i++) {
        if (c->member[i].node != NULL && !real_has_number(&c->member[i], number)) {
            return false;
        }
    }
    return true;
}

static void start_all(struct real_cluster *c)
{
    for (uint32_t i = 0; i < MEMBERS; i++) {
        real_member_start(c, i, CLUSTER);
    }
    REAL_UNTIL(c, real_leader(c) >= 0);
}

static void three_nodes_elect_and_replicate(void **state)
{
    struct real_cluster c;
    (void)state;
    real_cluster_open(&c);
    start_all(&c);
    for (uint64_t i = 1; i <= 20; i++) {
        real_put_number(&c, i);
    }
    REAL_UNTIL(&c, all_have_number(&c, 20));
    assert_false(all_have_number(&c, 21));
    real_cluster_close(&c);
}

/* Both ends of every stream are told that the other one has gone. */
static uint32_t reset_all_streams(struct real_member *m)
{
    uint32_t count = 0;
    for (struct world_stream *s = m->lw->streams; s != NULL; s = s->next) {
        if (s->socket != NULL) {
            (void)shutdown(s->socket->fd, SHUT_RDWR);
            count++;
        }
    }
    return count;
}

static void streams_that_are_reset_are_opened_again(void **state)
{
    struct real_cluster c;
    (void)state;
    real_cluster_open(&c);
    start_all(&c);
    real_put_number(&c, 1);
    for (uint64_t i = 2; i < 6; i++) {
        assert_true(reset_all_streams(&c.member[real_leader(&c)]) > 0);
        real_put_number(&c, i);
    }
    REAL_UNTIL(&c, all_have_number(&c, 5));
    real_cluster_close(&c);
}

static void the_death_of_the_leader_costs_an_election(void **state)
{
    struct real_cluster c;
    (void)state;
    real_cluster_open(&c);
    start_all(&c);
    real_put_number(&c, 1);
    uint32_t dead = (uint32_t)real_leader(&c);
    real_member_kill(&c, dead);
    nanos died = linux_boottime();
    real_put_number(&c, 2);
    print_message("# written again after %llu ms\n",
                  (unsigned long long)((linux_boottime() - died) / NANOS_PER_MS));
    real_member_start(&c, dead, CLUSTER);
    REAL_UNTIL(&c, all_have_number(&c, 2));
    real_cluster_close(&c);
}

static void a_member_of_another_cluster_is_refused_on_both_sides(void **state)
{
    struct real_cluster c;
    (void)state;
    real_cluster_open(&c);
    real_member_start(&c, 0, CLUSTER);
    real_member_start(&c, 1, CLUSTER);
    real_member_start(&c, 2, CLUSTER + 1);
    REAL_UNTIL(&c,
               c.member[0].refusals > 1 && c.member[1].refusals > 1 && c.member[2].refusals > 3);
    assert_non_null(strstr(c.member[0].refused_why, "another cluster"));
    assert_non_null(strstr(c.member[2].refused_why, "another cluster"));
    REAL_UNTIL(&c, real_leader(&c) >= 0);
    real_put_number(&c, 1);
    assert_false(real_has_number(&c.member[2], 1));
    real_cluster_close(&c);
}

static void a_certificate_of_another_name_is_refused_on_both_sides(void **state)
{
    struct real_cluster c;
    (void)state;
    real_cluster_open(&c);
    linux_tls_close(c.member[2].tls);
    tls_fixture_issue(&c.certificates, "mallory", -1, 5);
    c.member[2].tls = tls_fixture_load(&c.certificates, &c.certificates, "mallory");
    start_all(&c);
    REAL_UNTIL(&c, c.member[0].refusals > 0 && c.member[2].refusals > 0);
    assert_non_null(strstr(c.member[0].refused_why, "certificate"));
    assert_non_null(strstr(c.member[2].refused_why, "certificate"));
    REAL_UNTIL(&c, real_leader(&c) >= 0);
    real_put_number(&c, 1);
    assert_false(real_has_number(&c.member[2], 1));
    assert_true(node_status(c.member[2].node).role != RAFT_LEADER);
    real_cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_nodes_elect_and_replicate),
        cmocka_unit_test(streams_that_are_reset_are_opened_again),
        cmocka_unit_test(the_death_of_the_leader_costs_an_election),
        cmocka_unit_test(a_member_of_another_cluster_is_refused_on_both_sides),
        cmocka_unit_test(a_certificate_of_another_name_is_refused_on_both_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
