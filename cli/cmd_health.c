/* `novacron members` and `novacron health HOST`: the hosts as gossip has them at the member that
 * answers. */
#include <stdio.h>
#include <string.h>

#include <novacronpb.pb-c.h>

#include "api/pb_wire.h"
#include "cli/remote.h"

/* Lines of the chart, and what one of them stands for. */
#define CHART_LINES    8
#define PHI_A_LINE     1.0F
#define CHART_COLUMNS  60
#define SECONDS_A_DAY  86400
#define SECONDS_A_HOUR 3600

static void health_print_span(uint64_t seconds, char *text, size_t n)
{
    if (seconds >= SECONDS_A_DAY) {
        (void)snprintf(text, n, "%llud%lluh", (unsigned long long)(seconds / SECONDS_A_DAY),
                       (unsigned long long)(seconds % SECONDS_A_DAY / SECONDS_A_HOUR));
    } else if (seconds >= SECONDS_A_HOUR) {
        (void)snprintf(text, n, "%lluh%llum", (unsigned long long)(seconds / SECONDS_A_HOUR),
                       (unsigned long long)(seconds % SECONDS_A_HOUR / 60));
    } else {
        (void)snprintf(text, n, "%llum%llus", (unsigned long long)(seconds / 60),
                       (unsigned long long)(seconds % 60));
    }
}

static const char *health_or_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

/* Between it and the member that answers. */
static bool health_is_blocked(const Novacronpb__HostMember *m)
{
    return strcmp(m->reach, "streams") == 0;
}

static void health_print_member(const Novacronpb__MembersResponse *all,
                                const Novacronpb__HostMember *m)
{
    char span[32];

    health_print_span(m->seconds, span, sizeof span);
    (void)printf("%-16llx  %-8s %8s  %-16s %-24s %-6s%s%s%s\n", (unsigned long long)m->id, m->state,
                 span, health_or_dash(m->name), m->address, health_or_dash(m->view),
                 m->id == all->leader ? " leader" : "",
                 m->id == all->self ? " answers"
                 : m->neighbour     ? " neighbour"
                                    : "",
                 health_is_blocked(m) ? " tcp-only" : "");
}

static void health_print_members(const Novacronpb__MembersResponse *all)
{
    const char *blocked = NULL;

    for (size_t i = 0; i < all->n_members; i++) {
        health_print_member(all, all->members[i]);
        blocked = health_is_blocked(all->members[i]) ? all->members[i]->address : blocked;
    }
    if (blocked != NULL) {
        (void)printf("tcp-only: UDP is blocked between there and the member that answers; open "
                     "the UDP port of the same number, as of %s.\n",
                     blocked);
    }
    if (all->awareness > 0) {
        (void)printf("The member that answers doubts itself: it is slow, or badly connected.\n");
    }
    if (all->braked) {
        (void)printf("The leader misses half of the hosts, and calls none of them lost.\n");
    }
}

enum cli_exit cmd_members(const struct cli_call *call)
{
    struct remote r;
    Novacronpb__MembersResponse *all = NULL;
    enum cli_exit e = remote_open(&r, "members", call);

    if (e != CLI_OK) {
        return e;
    }
    e = remote_call(&r, "/novacronpb.Health/Members");
    if (e == CLI_OK) {
        all = novacronpb__members_response__unpack(NULL, r.response.len, r.response.data);
        e = all != NULL ? CLI_OK : remote_failed(&r, "the answer makes no sense");
    }
    for (size_t i = 0; all != NULL && i < all->n_members; i++) {
        e = strcmp(all->members[i]->state, "dead") == 0 ? CLI_DAMAGED : e;
    }
    if (all != NULL && r.json) {
        remote_print(&novacronpb__members_response__descriptor, buf_view(&r.response));
    } else if (all != NULL) {
        health_print_members(all);
    }
    if (all != NULL) {
        novacronpb__members_response__free_unpacked(all, NULL);
    }
    remote_close(&r);
    return e;
}

/* A column a second, the latest at the right; what does not fit is left out at the left. */
static void health_print_chart(const Novacronpb__HostResponse *h)
{
    size_t n = h->n_phi < CHART_COLUMNS ? h->n_phi : CHART_COLUMNS;
    const float *phi = h->phi + (h->n_phi - n);

    (void)printf("\nphi, the last %zu s; from 8 on silence is no accident\n", n);
    for (int line = CHART_LINES; line > 0; line--) {
        (void)printf("%3d |", line);
        for (size_t i = 0; i < n; i++) {
            float above = phi[i] - (float)(line - 1) * PHI_A_LINE;

            (void)putchar(above >= PHI_A_LINE ? '#' : above > PHI_A_LINE / 4 ? '.' : ' ');
        }
        (void)putchar('\n');
    }
    (void)printf("    +");
    for (size_t i = 0; i < n; i++) {
        (void)putchar('-');
    }
    (void)putchar('\n');
}

static void health_print_host(const Novacronpb__HostResponse *h)
{
    const Novacronpb__HostMember *m = h->member;
    char span[32];

    health_print_span(m->seconds, span, sizeof span);
    (void)printf("%s (%llx) at %s: %s for %s", health_or_dash(m->name), (unsigned long long)m->id,
                 m->address, m->state, span);
    if (m->neighbour) {
        (void)printf(", score %u of 100", h->score);
    }
    (void)putchar('\n');
    if (m->view[0] != '\0') {
        (void)printf("the leader's view: %s, %u of its observers report it\n", m->view, m->reports);
    }
    for (size_t i = 0; i < h->n_rungs; i++) {
        (void)printf("  %-16s %-8s %s\n", h->rungs[i]->name, h->rungs[i]->state,
                     h->rungs[i]->reason);
    }
    if (h->n_phi > 0) {
        health_print_chart(h);
    }
}

enum cli_exit cmd_health(const struct cli_call *call)
{
    struct remote r;
    Novacronpb__HostResponse *host = NULL;
    const char *name = call->arguments[0];
    enum cli_exit e = remote_open(&r, "health", call);

    if (e != CLI_OK) {
        return e;
    }
    pb_put_bytes(&r.request, 1, (struct bytes){(const uint8_t *)name, strlen(name)});
    e = remote_call(&r, "/novacronpb.Health/Host");
    if (e == CLI_OK) {
        host = novacronpb__host_response__unpack(NULL, r.response.len, r.response.data);
        e = host != NULL && host->member != NULL ? CLI_OK
                                                 : remote_failed(&r, "the answer makes no sense");
    }
    if (e == CLI_OK) {
        if (r.json) {
            remote_print(&novacronpb__host_response__descriptor, buf_view(&r.response));
        } else {
            health_print_host(host);
        }
        e = strcmp(host->member->state, "alive") == 0 ? CLI_OK : CLI_DAMAGED;
    }
    if (host != NULL) {
        novacronpb__host_response__free_unpacked(host, NULL);
    }
    remote_close(&r);
    return e;
}
