/*
 * Whom to blame for a gray failure. What observers see differently is the sign of one: each reports
 * which of its subjects it sees degraded and which well, and where the reports meet they are a map
 * of pairs. A host that many find degraded is degraded itself. A host that finds many others
 * degraded, which nobody else does, has a bad view: its own network card, or its own overload.
 * Where two see each other badly and everybody else sees both well, it is the path between them.
 *
 * So the pairs are explained by as few causes as possible: whoever accounts for the most bad pairs,
 * being bad in at least half of its pairs and in two of them, is a cause; its pairs are explained;
 * and so on. A degraded host explains what it sees of others, too. What is left are paths. Equal
 * ones are taken in the order of their ids: the result depends on the reports, and not on their
 * order.
 */
#ifndef NOVACRON_HEALTH_GRAY_MAP_H
#define NOVACRON_HEALTH_GRAY_MAP_H

#include "core/base/err.h"
#include "core/base/types.h"

/* Reports that are joined at once: ten observers of each of three hundred hosts, and more; and the
 * hosts in them. */
#define GRAY_REPORTS_MAX 4096
#define GRAY_HOSTS_MAX   1024

enum gray_blame {
    GRAY_BLAME_HOST, /* the host is degraded, as others see it */
    GRAY_BLAME_VIEW, /* the host sees others badly whom nobody else does */
    GRAY_BLAME_PATH, /* the path between two hosts is degraded */
};

struct gray_report {
    node_id observer;
    node_id subject;
    bool is_degraded;
    bool is_explained;
};

/* The pairs of one host: as a subject, and as an observer. */
struct gray_tally {
    node_id host;
    uint32_t as_subject;
    uint32_t as_observer;
    uint32_t bad_subject; /* of which nothing explains yet */
    uint32_t bad_observer;
};

struct gray_map {
    struct gray_report reports[GRAY_REPORTS_MAX];
    uint32_t report_count;
    struct gray_tally hosts[GRAY_HOSTS_MAX]; /* in the order of their ids */
    uint32_t host_count;
};

struct gray_verdict {
    enum gray_blame blame;
    node_id host;
    node_id other;  /* GRAY_BLAME_PATH: the far end; otherwise NODE_NONE */
    uint32_t bad;   /* pairs that say so */
    uint32_t pairs; /* of so many */
};

void gray_map_init(struct gray_map *m);

/* What an observer says of a subject; the last word counts. ERR_TOO_LARGE: the map is full. */
enum err gray_map_add(struct gray_map *m, node_id observer, node_id subject,
                      bool is_degraded) MUST_USE;

/* Joins the reports into at most `capacity` verdicts, the weightiest causes first, then paths;
 * returns how many. */
uint32_t gray_map_join(struct gray_map *m, struct gray_verdict *verdicts, uint32_t capacity);

#endif
