/*
 * Three whole nodes in one process and thread, on real disks and sockets: puts of clients that each
 * have one under way, with the leader's API left out. Says what a put costs the cluster in CPU,
 * all three nodes together, and how long it takes.
 *
 * `bench-cluster DIR` runs below DIR (default /var/tmp).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/bench.h"
#include "core/base/check.h"
#include "core/node/node.h"
#include "pki/pki.h"
#include "world/linux/linux_tls.h"
#include "world/linux/linux_world.h"

#define MEMBERS     3
#define FIRST_PORT  23790
#define CLIENTS_MAX 256
#define VALUE_BYTES 100
#define SPAN        (2 * NANOS_PER_S)
#define WARM_UP     NANOS_PER_S
#define SAMPLES_MAX 1000000

struct runner {
    struct linux_world *lw;
    struct node *node;
    struct linux_tls *tls;
};

struct client {
    struct node_request request;
    struct buf body;
    nanos began;
    bool is_idle;
};

struct cluster {
    struct runner runners[MEMBERS];
    char root[200];
    struct client clients[CLIENTS_MAX];
    uint32_t client_count;
    struct node *leader;
    uint64_t key;
    uint64_t done;
    uint64_t *samples;
    size_t sample_count;
};

static struct cluster cluster;

static void runner_halted(void *ctx, enum err error, const char *why)
{
    (void)ctx;
    fprintf(stderr, "bench-cluster: halted: %s: %s\n", err_text(error), why);
    exit(1);
}

static struct linux_tls *runner_tls(const char *dir, const char *name)
{
    char why[LINUX_TLS_WHY_BYTES];
    char paths[3][256];
    int64_t now = (int64_t)time(NULL);
    const struct pki_member member = {.name = name, .span = {now - 60, now + 86400}};
    struct linux_tls *tls = NULL;

    CHECK(pki_issue(dir, &member, why) == OK);
    (void)snprintf(paths[0], sizeof paths[0], "%s/ca.crt", dir);
    (void)snprintf(paths[1], sizeof paths[1], "%s/%s.crt", dir, name);
    (void)snprintf(paths[2], sizeof paths[2], "%s/%s.key", dir, name);
    const struct linux_tls_files files = {paths[0], paths[1], paths[2]};
    CHECK(linux_tls_open(&files, why, &tls) == OK);
    return tls;
}

static void runner_open(uint32_t i, bool has_tls, const char *pki)
{
    struct runner *r = &cluster.runners[i];
    struct linux_net_config net = linux_net_config_default();
    struct node_config config = node_config_default(i + 1);
    struct raft_membership founders = {0};
    char root[256];
    char name[16];
    char command[300];

    (void)snprintf(root, sizeof root, "%s/%u-%d", cluster.root, i, has_tls);
    (void)snprintf(command, sizeof command, "mkdir %s", root);
    CHECK(system(command) == 0);
    (void)snprintf(name, sizeof name, "host-%u", i);
    r->tls = has_tls ? runner_tls(pki, name) : NULL;
    net.tls = r->tls;
    CHECK(linux_world_open(root, &r->lw) == OK);
    CHECK(linux_world_configure_net(r->lw, &net) == OK);
    config.dir = "node";
    config.cluster = 1;
    config.port = (uint16_t)(FIRST_PORT + i);
    config.peer_count = MEMBERS;
    config.scrub_bytes_per_s = 0;
    for (uint32_t k = 0; k < MEMBERS; k++) {
        raft_membership_insert(&founders, k + 1, RAFT_VOTER);
        config.peers[k] =
            (struct node_peer){.id = k + 1, .at = {"127.0.0.1", (uint16_t)(FIRST_PORT + k)}};
        (void)snprintf(config.peers[k].name, sizeof config.peers[k].name, "host-%u", k);
    }
    config.founders = &founders;
    const struct node_events events = {.halted = runner_halted};
    r->node = node_open(linux_world_table(r->lw), &config, &events);
}

static void all_turn(void)
{
    size_t ran = 0;

    for (uint32_t i = 0; i < MEMBERS; i++) {
        ran += linux_world_poll(cluster.runners[i].lw, 0);
    }
    if (ran == 0) {
        (void)linux_world_poll(cluster.runners[0].lw, 20 * NANOS_PER_US);
    }
}

static struct node *find_leader(void)
{
    for (uint32_t i = 0; i < MEMBERS; i++) {
        struct node *node = cluster.runners[i].node;
        if (node_is_ready(node) && node_status(node).role == RAFT_LEADER) {
            return node;
        }
    }
    return NULL;
}

static void client_done(struct node_request *request)
{
    struct client *c = request->owner;

    CHECK(request->result == OK);
    if (cluster.sample_count < SAMPLES_MAX) {
        cluster.samples[cluster.sample_count++] = bench_now() - c->began;
    }
    cluster.done++;
    c->is_idle = true;
}

static void client_put(struct client *c)
{
    static const uint8_t value[VALUE_BYTES] = {7};
    uint64_t key = cluster.key++ % 100000;
    const struct store_put_request put = {.key = {(const uint8_t *)&key, sizeof key},
                                          .value = {value, sizeof value}};

    buf_clear(&c->body);
    store_put_encode(&c->body, &put);
    c->request = (struct node_request){
        .kind = STORE_KIND_PUT, .body = buf_view(&c->body), .done = client_done, .owner = c};
    c->is_idle = false;
    c->began = bench_now();
    CHECK(node_propose(cluster.leader, &c->request) == OK);
}

static nanos cluster_cpu(void)
{
    struct rusage r;
    CHECK(getrusage(RUSAGE_SELF, &r) == 0);
    return ((nanos)r.ru_utime.tv_sec + (nanos)r.ru_stime.tv_sec) * NANOS_PER_S +
           ((nanos)r.ru_utime.tv_usec + (nanos)r.ru_stime.tv_usec) * NANOS_PER_US;
}

static void run_clients(nanos span)
{
    nanos until = bench_now() + span;

    while (bench_now() < until) {
        for (uint32_t i = 0; i < cluster.client_count; i++) {
            if (cluster.clients[i].is_idle) {
                client_put(&cluster.clients[i]);
            }
        }
        all_turn();
    }
}

static int compare_spans(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void run_with(uint32_t clients, const char *kind)
{
    char name[64];

    cluster.client_count = clients;
    run_clients(WARM_UP);
    cluster.done = 0;
    cluster.sample_count = 0;
    nanos cpu = cluster_cpu();
    nanos began = bench_now();
    run_clients(SPAN);
    nanos spent = bench_now() - began;
    double each = (double)(cluster_cpu() - cpu) / (double)cluster.done / (double)NANOS_PER_US;
    qsort(cluster.samples, cluster.sample_count, sizeof *cluster.samples, compare_spans);
    (void)snprintf(name, sizeof name, "cluster_%s_%u_puts", kind, clients);
    bench_report(name, bench_rate(cluster.done, spent), "a second");
    (void)snprintf(name, sizeof name, "cluster_%s_%u_p50", kind, clients);
    bench_report(name, (double)cluster.samples[cluster.sample_count / 2] / 1e3, "us");
    (void)snprintf(name, sizeof name, "cluster_%s_%u_p99", kind, clients);
    bench_report(name, (double)cluster.samples[cluster.sample_count * 99 / 100] / 1e3, "us");
    (void)snprintf(name, sizeof name, "cluster_%s_%u_cpu", kind, clients);
    bench_report(name, each, "us");
    /* What is under way belongs to nodes that go on. */
    for (uint32_t i = 0; i < clients; i++) {
        while (!cluster.clients[i].is_idle) {
            all_turn();
        }
    }
}

static void run_cluster(bool has_tls, const char *pki)
{
    for (uint32_t i = 0; i < MEMBERS; i++) {
        runner_open(i, has_tls, pki);
    }
    while ((cluster.leader = find_leader()) == NULL) {
        all_turn();
    }
    nanos until = bench_now() + 2 * NANOS_PER_S; /* the logs prepare their next segments */
    while (bench_now() < until) {
        all_turn();
    }
    cluster.leader = find_leader();
    CHECK(cluster.leader != NULL);
    static const uint32_t clients[] = {1, 16, 256};
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        run_with(clients[i], has_tls ? "tls" : "plain");
    }
    for (uint32_t i = 0; i < MEMBERS; i++) {
        struct runner *r = &cluster.runners[i];
        linux_world_close(r->lw);
        node_close(r->node);
        if (r->tls != NULL) {
            linux_tls_close(r->tls);
        }
    }
}

int main(int argc, char **argv)
{
    char why[PKI_WHY_BYTES];
    char pki[256];
    char command[256];
    int64_t now = (int64_t)time(NULL);

    (void)snprintf(cluster.root, sizeof cluster.root, "%s/novacron-bench-XXXXXX",
                   argc > 1 ? argv[1] : "/var/tmp");
    CHECK(mkdtemp(cluster.root) != NULL);
    (void)snprintf(pki, sizeof pki, "%s/pki", cluster.root);
    CHECK(pki_init(pki, "bench", (struct pki_span){now - 60, now + 86400}, why) == OK);
    cluster.samples = malloc(SAMPLES_MAX * sizeof *cluster.samples);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        cluster.clients[i].is_idle = true;
    }
    printf(
        "three nodes in one process, each with its log below %s; puts of 8-byte keys and "
        "%d-byte values at the leader; 1, 16 and 256 clients with one put under way each; CPU is "
        "that of all three nodes and of the clients\n",
        cluster.root, VALUE_BYTES);
    run_cluster(false, pki);
    run_cluster(true, pki);
    (void)snprintf(command, sizeof command, "rm -r %s", cluster.root);
    CHECK(system(command) == 0);
    return 0;
}
