#include "tests/world/linux_pair.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/test.h"

static void pair_refused(void *ctx, const struct world_endpoint *peer, enum err error,
                         const char *why)
{
    struct linux_pair *p = ctx;
    p->refusals++;
    p->refusal = error;
    (void)snprintf(p->why, sizeof p->why, "%s", why);
    print_message("# %s port %u: %s: %s\n", peer->host, peer->port, err_name(error), why);
}

static struct linux_world *pair_open_one(struct linux_pair *p, struct linux_net_config *config)
{
    struct linux_world *lw = NULL;

    config->refused = pair_refused;
    config->ctx = p;
    assert_int_equal(linux_world_open("/", &lw), OK);
    assert_int_equal(linux_world_configure_net(lw, config), OK);
    return lw;
}

void linux_pair_open(struct linux_pair *p)
{
    p->refusals = 0;
    p->why[0] = '\0';
    p->a = pair_open_one(p, &p->config_a);
    p->b = pair_open_one(p, &p->config_b);
}

void linux_pair_close(struct linux_pair *p)
{
    linux_world_close(p->a);
    linux_pair_kill_b(p);
}

void linux_pair_step(struct linux_pair *p)
{
    size_t ran = linux_world_poll(p->a, 0);

    ran += p->b != NULL ? linux_world_poll(p->b, 0) : 0;
    if (ran == 0) {
        (void)linux_world_poll(p->a, NANOS_PER_MS);
    }
}

void linux_pair_kill_b(struct linux_pair *p)
{
    if (p->b != NULL) {
        linux_world_close(p->b);
        p->b = NULL;
    }
}

uint16_t linux_pair_free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    (void)close(fd);
    return ntohs(at.sin_port);
}

void linux_pair_bench(struct linux_pair *p, struct net_bench *bench)
{
    *bench = (struct net_bench){
        .a = linux_world_table(p->a),
        .b = linux_world_table(p->b),
        .at_a = {"127.0.0.1", linux_pair_free_port()},
        .at_b = {"127.0.0.1", linux_pair_free_port()},
        .own = p,
    };
}
