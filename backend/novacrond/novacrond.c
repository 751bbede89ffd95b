/* The program `novacrond`: one member of a cluster. */
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "novacrond/daemon.h"

#define DEFAULT_PATH "/etc/novacron/novacrond.yaml"

/* Allocations of so many bytes are mappings of their own, and so much may be free at the heap's
 * end. */
#define MAPPED_BYTES (256 * 1024)

static const char usage[] =
    "usage: novacrond [--config FILE] [--check] [--restore FILE]\n"
    "\n"
    "Runs one member of a cluster until SIGTERM, which hands its leadership over, or\n"
    "SIGINT. SIGHUP reads the certificates again.\n"
    "\n"
    "  --config FILE  what to read instead of " DEFAULT_PATH "\n"
    "  --check        read the configuration, say what it means or what is wrong, and end\n"
    "  --restore FILE found the cluster with this backup of `novacron snapshot save`, the same\n"
    "                 on all members; only with a new data_dir\n"
    "  --help         this\n"
    "\n"
    "Variables NOVACRON_... override single settings: NOVACRON_CLIENT_LISTEN is listen of\n"
    "the section client. docs/novacrond.md lists the settings.\n"
    "\n"
    "Exit status: 0 stopped as told, 1 something it needs is missing or taken,\n"
    "2 the configuration or the command line is wrong, 3 halted (the disk; the log says why).\n";

void check_report(const char *file, int line, const char *cond)
{
    (void)fprintf(stderr, "novacrond: a bug: %s:%d: %s does not hold; please report it\n", file,
                  line, cond);
}

/* What was needed once, to start or for a snapshot, goes back to the system: by default each large
 * allocation that is freed makes the library keep more of the next ones, and each thread that
 * allocates has a heap of its own. An allocator in the place of the library's, such as a
 * sanitizer's, takes no such advice, and says so. */
static void tame_memory(void)
{
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, MAPPED_BYTES);
}

static void print_meaning(const struct daemon_config *c)
{
    const char *cluster = c->settings->cluster.name;
    (void)printf("%s %s, id %llx, of cluster %s, id %llx\n", c->is_agent ? "agent" : "member",
                 c->settings->name, (unsigned long long)c->id,
                 cluster != NULL ? cluster : "(no name)", (unsigned long long)c->cluster);
    (void)printf("%s with %u members named\n",
                 c->is_agent ? "does not vote, and is served by a member of a running cluster"
                 : c->founds ? "founds the cluster"
                             : "joins, or belongs to, a running cluster",
                 c->peer_count);
    for (uint32_t i = 0; i < c->peer_count; i++) {
        (void)printf("  %s, id %llx, at %s port %u%s\n", c->settings->cluster.members[i].name,
                     (unsigned long long)c->peers[i].id, c->peers[i].at.host, c->peers[i].at.port,
                     c->settings->cluster.members[i].witness ? ", a witness" : "");
    }
    (void)printf("peers: %s%s; clients: %s%s\n", c->peer_url,
                 c->settings->peer.tls.cert == NULL ? " (plaintext)" : "", c->client_urls[0],
                 c->settings->client.tls.cert == NULL ? " (plaintext)" : "");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check", no_argument, NULL, 'k'},
                                            {"restore", required_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *path = DEFAULT_PATH;
    const char *restore = NULL;
    bool is_check = false;
    char why[DAEMON_WHY_BYTES];
    struct daemon_config config;
    int option = 0;
    tame_memory();
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            (void)fputs(usage, stdout);
            return DAEMON_EXIT_OK;
        }
        if (option == '?') {
            (void)fputs(usage, stderr);
            return DAEMON_EXIT_CONFIG;
        }
        path = option == 'c' ? optarg : path;
        restore = option == 'r' ? optarg : restore;
        is_check = is_check || option == 'k';
    }
    if (optind != argc) {
        (void)fputs(usage, stderr);
        return DAEMON_EXIT_CONFIG;
    }
    if (daemon_config_load(path, why, &config) != OK) {
        (void)fprintf(stderr, "novacrond: %s\n", why);
        return DAEMON_EXIT_CONFIG;
    }
    enum daemon_exit status = DAEMON_EXIT_OK;
    if (is_check) {
        print_meaning(&config);
    } else {
        status = daemon_run(&config, restore);
    }
    daemon_config_free(&config);
    return (int)status;
}
