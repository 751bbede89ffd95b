/* `novacron members` and `novacron health HOST`: the hosts as gossip has them at the member that
 * answers. Of a machine, `health` is in cmd_vm_health.c. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <novacronpb.pb-c.h>

#include "api/pb_wire.h"
#include "cli/plain.h"
#include "cli/records.h"
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

/* What came from the cluster, or a dash. */
struct health_word {
    char text[256];
};

static const char *health_plain(const char *text, struct health_word *word)
{
    return text[0] != '\0' ? plain_copy(text, word->text, sizeof word->text) : "-";
}

static bool health_is_well(const Novacronpb__HostMember *m)
{
    return strcmp(m->state, "alive") == 0 && strcmp(m->condition, "degraded") != 0 &&
           strcmp(m->condition, "failing") != 0;
}

/* Between it and the member that answers. */
static bool health_is_blocked(const Novacronpb__HostMember *m)
{
    return strcmp(m->reach, "streams") == 0;
}

static void health_print_member(const Novacronpb__MembersResponse *all,
                                const Novacronpb__HostMember *m)
{
    struct health_word words[5];
    char span[32];

    health_print_span(m->seconds, span, sizeof span);
    (void)printf("%-16llx  %-8s %8s  %-16s %-24s %-6s %-9s%s%s%s\n", (unsigned long long)m->id,
                 health_plain(m->state, &words[0]), span, health_plain(m->name, &words[1]),
                 health_plain(m->address, &words[2]), health_plain(m->view, &words[3]),
                 health_plain(m->condition, &words[4]), m->id == all->leader ? " leader" : "",
                 m->id == all->self ? " answers"
                 : m->neighbour     ? " neighbour"
                                    : "",
                 health_is_blocked(m) ? " tcp-only" : "");
    if (m->reason[0] != '\0') {
        (void)printf("    %s\n", health_plain(m->reason, &words[0]));
    }
}

static void health_print_members(const Novacronpb__MembersResponse *all)
{
    const char *blocked = NULL;
    struct health_word word;

    for (size_t i = 0; i < all->n_members; i++) {
        health_print_member(all, all->members[i]);
        blocked = health_is_blocked(all->members[i]) ? all->members[i]->address : blocked;
    }
    if (blocked != NULL) {
        (void)printf("tcp-only: UDP is blocked between there and the member that answers; open "
                     "the UDP port of the same number, as of %s.\n",
                     health_plain(blocked, &word));
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
        bool is_gone = strcmp(all->members[i]->state, "left") == 0;

        e = is_gone || health_is_well(all->members[i]) ? e : CLI_DAMAGED;
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

/* ", since 22:38:01 (3m12s)", by this machine's clock; nothing where it is not known. */
static void health_print_since(uint64_t since)
{
    time_t at = (time_t)since;
    time_t now = time(NULL);
    struct tm tm = {0};
    char clock[32] = "";
    char span[32];

    if (since == 0 || localtime_r(&at, &tm) == NULL) {
        return;
    }
    (void)strftime(clock, sizeof clock, now - at < SECONDS_A_DAY ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S",
                   &tm);
    health_print_span(now > at ? (uint64_t)(now - at) : 0, span, sizeof span);
    (void)printf(", since %s (%s)", clock, span);
}

static void health_print_rungs(const Novacronpb__HostResponse *h)
{
    struct health_word words[3];

    for (size_t i = 0; i < h->n_rungs; i++) {
        const Novacronpb__HostRung *r = h->rungs[i];
        bool is_bad = strcmp(r->state, "degraded") == 0 || strcmp(r->state, "broken") == 0;

        (void)printf("  %-12s %-9s %s", health_plain(r->name, &words[0]),
                     health_plain(r->state, &words[1]), health_plain(r->reason, &words[2]));
        if (is_bad) {
            health_print_since(r->since);
        }
        if (r->points > 0) {
            (void)printf(", -%u", r->points);
        }
        (void)putchar('\n');
    }
}

/* Where all agree there is nothing to show that the ladder does not say. */
static void health_print_observers(const Novacronpb__HostResponse *h)
{
    struct health_word words[2];
    bool differ = false;

    for (size_t i = 0; i < h->n_observers; i++) {
        differ = differ || h->observers[i]->badly;
    }
    if (!differ) {
        return;
    }
    (void)printf("as its observers see it\n");
    for (size_t i = 0; i < h->n_observers; i++) {
        const Novacronpb__HostObserver *o = h->observers[i];

        (void)printf("  %-16s %s", health_plain(o->name, &words[0]), o->badly ? "badly: " : "well");
        if (o->badly) {
            (void)printf("%s", health_plain(o->reason, &words[1]));
            health_print_since(o->since);
        }
        (void)putchar('\n');
    }
}

static void health_print_host(const Novacronpb__HostResponse *h)
{
    const Novacronpb__HostMember *m = h->member;
    struct health_word words[4];
    char span[32];

    health_print_span(m->seconds, span, sizeof span);
    (void)printf("%s (%llx) at %s: %s for %s, %s", health_plain(m->name, &words[0]),
                 (unsigned long long)m->id, health_plain(m->address, &words[1]),
                 health_plain(m->state, &words[2]), span, health_plain(m->condition, &words[3]));
    if (strcmp(m->condition, "unknown") != 0) {
        (void)printf(", score %u of 100", h->score);
    }
    (void)putchar('\n');
    if (m->view[0] != '\0') {
        (void)printf("the leader's view: %s, %u of its observers report it\n",
                     health_plain(m->view, &words[0]), m->reports);
    }
    health_print_rungs(h);
    health_print_observers(h);
    if (h->beats != NULL) {
        (void)printf("from here: %u of its last 16 beats came, %u of ours came there; round trip "
                     "%.1f ms, phi %.1f\n",
                     h->beats->from_it, h->beats->to_it, h->beats->round_trip_us / 1e3,
                     h->beats->phi);
    }
    if (health_is_blocked(m)) {
        (void)printf("from here: by TCP alone: UDP is blocked; open the UDP port of the same "
                     "number\n");
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
    char why[512];
    enum cli_exit e = remote_open(&r, "health", call);

    if (e != CLI_OK) {
        return e;
    }
    pb_put_bytes(&r.request, 1, (struct bytes){(const uint8_t *)name, strlen(name)});
    /* A host that is known goes first, so that it is told of without a quorum, too. */
    if (!remote_try(&r, "/novacronpb.Health/Host", why, sizeof why)) {
        e = vm_health_of(&r, name, why);
        remote_close(&r);
        return e;
    }
    host = novacronpb__host_response__unpack(NULL, r.response.len, r.response.data);
    e = host != NULL && host->member != NULL ? CLI_OK
                                             : remote_failed(&r, "the answer makes no sense");
    if (e == CLI_OK) {
        if (r.json) {
            remote_print(&novacronpb__host_response__descriptor, buf_view(&r.response));
        } else {
            health_print_host(host);
        }
        e = health_is_well(host->member) ? CLI_OK : CLI_DAMAGED;
    }
    if (host != NULL) {
        novacronpb__host_response__free_unpacked(host, NULL);
    }
    remote_close(&r);
    return e;
}
