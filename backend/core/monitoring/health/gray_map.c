#include "core/monitoring/health/gray_map.h"

#include "core/base/check.h"
#include "core/base/sort.h"

#include <string.h>

/* Pairs in which a host has to be bad before it is a cause, and not the end of a bad path. */
#define CAUSE_PAIRS_MIN 2

void gray_map_init(struct gray_map *m)
{
    m->report_count = 0;
    m->host_count = 0;
}

/* The first host whose id is not below `host`. */
static uint32_t place_of_host(const struct gray_map *m, node_id host)
{
    uint32_t low = 0;
    uint32_t high = m->host_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (m->hosts[middle].host < host) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool add_host(struct gray_map *m, node_id host)
{
    uint32_t at = place_of_host(m, host);

    if (at < m->host_count && m->hosts[at].host == host) {
        return true;
    }
    if (m->host_count == GRAY_HOSTS_MAX) {
        return false;
    }
    memmove(&m->hosts[at + 1], &m->hosts[at], (m->host_count - at) * sizeof m->hosts[0]);
    m->hosts[at] = (struct gray_tally){.host = host};
    m->host_count++;
    return true;
}

static int order_reports(const void *a, const void *b)
{
    const struct gray_report *x = a;
    const struct gray_report *y = b;

    if (x->observer != y->observer) {
        return x->observer < y->observer ? -1 : 1;
    }
    return x->subject < y->subject ? -1 : x->subject > y->subject;
}

enum err gray_map_add(struct gray_map *m, node_id observer, node_id subject, bool is_degraded)
{
    for (uint32_t i = 0; i < m->report_count; i++) {
        if (m->reports[i].observer == observer && m->reports[i].subject == subject) {
            m->reports[i].is_degraded = is_degraded;
            return OK;
        }
    }
    if (m->report_count == GRAY_REPORTS_MAX || !add_host(m, observer) || !add_host(m, subject)) {
        return ERR_TOO_LARGE;
    }
    m->reports[m->report_count++] =
        (struct gray_report){.observer = observer, .subject = subject, .is_degraded = is_degraded};
    return OK;
}

static void count_pairs(struct gray_map *m)
{
    for (uint32_t i = 0; i < m->host_count; i++) {
        m->hosts[i] = (struct gray_tally){.host = m->hosts[i].host};
    }
    for (uint32_t i = 0; i < m->report_count; i++) {
        const struct gray_report *r = &m->reports[i];
        struct gray_tally *subject = &m->hosts[place_of_host(m, r->subject)];
        struct gray_tally *observer = &m->hosts[place_of_host(m, r->observer)];
        bool is_bad = r->is_degraded && !r->is_explained;

        subject->as_subject++;
        subject->bad_subject += is_bad;
        observer->as_observer++;
        observer->bad_observer += is_bad;
    }
}

static bool is_cause(uint32_t bad, uint32_t pairs)
{
    return bad >= CAUSE_PAIRS_MIN && bad * 2 >= pairs;
}

/* The cause that accounts for the most bad pairs; false: there is none. */
static bool find_cause(const struct gray_map *m, struct gray_verdict *found)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < m->host_count; i++) {
        const struct gray_tally *t = &m->hosts[i];

        if (is_cause(t->bad_subject, t->as_subject) && t->bad_subject + t->bad_observer > most) {
            most = t->bad_subject + t->bad_observer;
            *found = (struct gray_verdict){GRAY_BLAME_HOST, t->host, NODE_NONE, t->bad_subject,
                                           t->as_subject};
        } else if (is_cause(t->bad_observer, t->as_observer) && t->bad_observer > most) {
            most = t->bad_observer;
            *found = (struct gray_verdict){GRAY_BLAME_VIEW, t->host, NODE_NONE, t->bad_observer,
                                           t->as_observer};
        }
    }
    return most > 0;
}

static void explain_pairs(struct gray_map *m, const struct gray_verdict *cause)
{
    for (uint32_t i = 0; i < m->report_count; i++) {
        struct gray_report *r = &m->reports[i];
        bool is_seen = cause->blame == GRAY_BLAME_HOST && r->subject == cause->host;

        r->is_explained |= is_seen || r->observer == cause->host;
    }
}

/* Was this path told already, by the report in the other direction? */
static bool is_told(const struct gray_verdict *verdicts, uint32_t n, const struct gray_report *r)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct gray_verdict *v = &verdicts[i];

        if (v->blame == GRAY_BLAME_PATH && v->host == r->subject && v->other == r->observer) {
            return true;
        }
    }
    return false;
}

uint32_t gray_map_join(struct gray_map *m, struct gray_verdict *verdicts, uint32_t capacity)
{
    uint32_t found = 0;

    sort_items(m->reports, m->report_count, sizeof m->reports[0], order_reports);
    for (uint32_t i = 0; i < m->report_count; i++) {
        m->reports[i].is_explained = false;
    }
    count_pairs(m);
    while (found < capacity && find_cause(m, &verdicts[found])) {
        explain_pairs(m, &verdicts[found]);
        count_pairs(m);
        found++;
    }
    for (uint32_t i = 0; i < m->report_count && found < capacity; i++) {
        const struct gray_report *r = &m->reports[i];

        if (r->is_degraded && !r->is_explained && !is_told(verdicts, found, r)) {
            verdicts[found++] =
                (struct gray_verdict){GRAY_BLAME_PATH, r->observer, r->subject, 1, 1};
        }
    }
    return found;
}
