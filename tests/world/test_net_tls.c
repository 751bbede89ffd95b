/* The contract of the network, held against the real world with TLS: to whoever uses a stream,
 * nothing is different. */
#include "tests/support/test.h"
#include "tests/world/linux_pair.h"
#include "tests/world/tls_fixture.h"

static struct linux_pair tls_pair;
static struct tls_fixture certificates;
static struct linux_tls *tls_a;
static struct linux_tls *tls_b;

static void tls_place_open(struct net_bench *bench)
{
    tls_pair = (struct linux_pair){
        .config_a = linux_net_config_default(),
        .config_b = linux_net_config_default(),
    };
    tls_pair.config_a.tls = tls_a;
    tls_pair.config_b.tls = tls_b;
    linux_pair_open(&tls_pair);
    linux_pair_bench(&tls_pair, bench);
}

static void tls_place_close(struct net_bench *bench)
{
    linux_pair_close(bench->own);
}

static void tls_place_step(struct net_bench *bench)
{
    linux_pair_step(bench->own);
}

static void tls_place_kill_b(struct net_bench *bench)
{
    linux_pair_kill_b(bench->own);
}

int main(void)
{
    struct net_place place = {"TLS", tls_place_open, tls_place_close, tls_place_step,
                              tls_place_kill_b};
    tls_fixture_open(&certificates);
    tls_fixture_issue(&certificates, "a", -1, 5);
    tls_fixture_issue(&certificates, "b", -1, 5);
    tls_a = tls_fixture_load(&certificates, &certificates, "a");
    tls_b = tls_fixture_load(&certificates, &certificates, "b");
    int failed = net_contract_run(&place);
    linux_tls_close(tls_a);
    linux_tls_close(tls_b);
    tls_fixture_close(&certificates);
    return failed;
}
