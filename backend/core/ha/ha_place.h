/*
 * ha_place: where machines go. Pure: a picture of the records, and what was seen of the hosts, in;
 * a host, or the reason of each host why not, out. The same picture gives the same answer, whoever
 * leads: ties are broken by names.
 *
 * A LEDGER is made of a view once, holds what the machines have taken of each host, and is brought
 * up to date by each decision (ha_ledger_take, ha_ledger_release) until it is made anew. It borrows
 * the view, which must not change meanwhile.
 *
 * A machine has its place, and takes the room of its host, in all phases in which it runs there,
 * may run there, or is to run there again: STARTING, RUNNING, STOPPING, RESTARTING, RECOVERING.
 * What a machine takes whose record cannot be read is not known, and counts as nothing.
 *
 * A HOST FITS when: it is readable, enabled, up and not quarantined; its agent has said what it
 * has; it is allowed by the machine (`allowed`, `sites`); its agent has probed the machine's
 * storage, which is declared; it is covered (see below); machines that it is `with`, and that are
 * at home on a host, are there; none that it is `apart` from is there; memory and processors
 * suffice; fewer than starts_at_once are starting there (for a live move: are starting or coming,
 * so that no start waits for a copy, and moves wait for starts). `with` and `apart` bind both
 * sides, whichever of the two names the other, and `with` binds those that are with one that is
 * with it, too. Of those that must come with it and are still to be placed all this must hold as
 * well, and there must be room for all of them: or the first would take a place where the others
 * can never follow.
 *
 * COVERED: a machine on shared storage may come back elsewhere only where the loss of its host can
 * be proved without a person: by a tested fence device, or by an armed watchdog (bare metal, and a
 * policy other than `keep`). On other hosts it is not placed. One on a host's own disk may be.
 *
 * AMONG HOSTS THAT FIT: those that are not degraded, then the earliest of `preferred`, then that
 * with the smallest share of its memory taken, then with the fewest machines, then by name.
 */
#ifndef NOVACRON_HA_PLACE_H
#define NOVACRON_HA_PLACE_H

#include "core/ha/ha_view.h"

/* What was observed of one host, beyond records. */
struct ha_seen {
    const char *host;
    bool is_up;           /* in no cut, and its lease holds */
    bool is_degraded;     /* slow, or its score is low: it is taken last */
    bool is_tripped;      /* machines cannot be started here (a breaker): as if it were disabled */
    bool is_fence_tested; /* every device of one level has answered STATUS of late */
};

enum ha_why_not {
    HA_FITS,
    HA_NOT_READABLE, /* its record */
    HA_NOT_ENABLED,
    HA_NOT_UP,      /* it is lost, fenced, or has no lease */
    HA_NOT_TRUSTED, /* quarantined */
    HA_NOT_TRIPPED, /* machines keep failing there */
    HA_NOT_HEARD,   /* its agent has written no record */
    HA_NOT_AVOIDED, /* the caller wants another host */
    HA_NOT_ALLOWED,
    HA_NOT_SITE,
    HA_NOT_DECLARED, /* no readable record says what the storage is */
    HA_NOT_STORAGE,  /* its agent could not use the storage */
    HA_NOT_COVERED,
    HA_NOT_WITH,        /* `other`, which it must be with, is elsewhere, or cannot be there */
    HA_NOT_APART,       /* `other`, which it must be apart from, is there */
    HA_NOT_CPUS_AT_ALL, /* the machine has more processors than the host */
    HA_NOT_MEMORY,
    HA_NOT_CPUS,
    HA_NOT_RATE, /* as many are starting there as may at once */
    HA_WHY_NOTS
};

struct ha_verdict {
    enum ha_why_not why;
    bool is_degraded;
    const char *other; /* WITH, APART: a machine; borrowed from the view. Else NULL */
    uint64_t need;     /* MEMORY in MiB, CPUS, RATE */
    uint64_t have;
};

struct ha_room; /* what the ledger has of one host, in ha_place_int.h */
struct ha_seat; /* what it has of one machine */

struct ha_ledger {
    const struct ha_view *view; /* borrowed */
    struct ha_settings settings;
    bool ignores_seen;     /* nothing was observed */
    struct ha_room *rooms; /* one an entry of HA_HOST, in the same order */
    size_t n_rooms;
    struct ha_seat *seats; /* one an entry of HA_VM, in the same order */
    size_t n_seats;
};

/* `seen`: in any order; a host that is not in it is not up. NULL: nothing was observed, and the
 * records alone decide (for the CLI): a host whose fate is `up` is up, and fence devices count as
 * tested. Settings that cannot be read are the defaults here: they decide about room, not safety.
 */
void ha_ledger_init(struct ha_ledger *l, const struct ha_view *view, const struct ha_seen *seen,
                    size_t n);
void ha_ledger_deinit(struct ha_ledger *l);

/* The machine is to start on the host (as one that is STARTING); it has left its host. Names that
 * the ledger does not have are passed over. */
void ha_ledger_take(struct ha_ledger *l, const char *vm, const char *host);
void ha_ledger_release(struct ha_ledger *l, const char *vm);

/* The machine, which has its place, is to have another on the host, until its guest is moved there
 * or is not. */
void ha_ledger_come(struct ha_ledger *l, const char *vm, const char *host);

/* How a machine is to be placed. Zeroed: anywhere. */
struct ha_place_ask {
    const char *avoid; /* not here: it failed here, or moves away. NULL: no such host */
    const char *only;  /* here, or nowhere: `vm migrate` named it. NULL: no such host */
    bool is_live;      /* its guest is to come there while it runs on */
};

/* The host for the machine, or NULL: none fits. Borrowed from the view. A machine that has a place
 * already is looked at as if it had none. `verdicts`: NULL, or room for one a host, in the order of
 * the view's hosts. `vm` need not be in the view: it may be one that somebody means to
 * write. */
const char *ha_place_find(const struct ha_ledger *l, const struct ha_vm *vm,
                          const struct ha_place_ask *ask, struct ha_verdict *verdicts);

/* One verdict as a sentence: "node-b: 2048 MiB are needed, 512 MiB are free". */
void ha_verdict_tell(const char *host, const struct ha_verdict *verdict, struct buf *text);

/* --- order ------------------------------------------------------------------------------------ */

enum ha_wait {
    HA_WAIT_NOT,
    HA_WAIT_AFTER,    /* `other` does not run yet */
    HA_WAIT_UNWANTED, /* `other` is not wanted, or has FAILED: a person has to decide */
    HA_WAIT_MISSING,  /* there is no machine `other` */
    HA_WAIT_CIRCLE    /* it waits for itself, by way of `other` */
};

/* What the machine waits for by `after`; `*other` is borrowed from the view, or NULL. */
enum ha_wait ha_place_waits(const struct ha_ledger *l, const struct ha_vm *vm, const char **other);

/* The order in which machines start that could all start now: by their priority, or the highest of
 * those that wait for them, whichever is more; those that others wait for first; then by name.
 * Fills `order` (room for one an entry of HA_VM) with indices into the view's HA_VM entries of all
 * wanted machines that have no place, and returns how many. */
size_t ha_place_order(const struct ha_ledger *l, size_t *order);

/* --- capacity --------------------------------------------------------------------------------- */

/* Whose room would do for a machine that fits nowhere for want of memory or processors: machines of
 * lower priority, the lowest first, on one host. n is 0 where that would not do either. */
struct ha_yield {
    const char *host; /* borrowed from the view, as the names are */
    uint32_t n;
    const char *vm[HA_LIST_MAX];
};
void ha_place_yield(const struct ha_ledger *l, const struct ha_vm *vm, struct ha_yield *ret);

/* Hosts that may be lost together, at most, so that this is worked out. */
#define HA_LOSSES_MAX 3

struct ha_losses {
    uint32_t
        survived;     /* any so many hosts may be lost, and every protected machine finds a place */
    bool is_at_least; /* more was not tried: too many combinations, or HA_LOSSES_MAX is reached */
    const char *vm;   /* with one more: the first machine that finds none; NULL: is_at_least */
    const char *hosts[HA_LOSSES_MAX]; /* ... when these are lost; NULL behind the last */
};

/* How many losses of hosts the machines that have a place now would survive. Conservative: it
 * places as recovery would, in its order, and does not search for a better packing. Machines of a
 * host's own disk do not count, as nothing saves them. `budget` bounds the work, in looks at one
 * host for one machine; a million take about half a second. */
void ha_place_losses_survived(const struct ha_ledger *l, uint64_t budget, struct ha_losses *ret);

/* With this machine on `host`, may so many hosts still be lost as the settings keep in reserve
 * (spare_hosts)? For machines that are started anew: whoever recovers, restarts or moves is not
 * asked. `ret` says what would be survived. True also where the budget was spent before that is
 * known: nobody is refused for what could not be worked out. */
bool ha_place_admits(const struct ha_ledger *l, const char *vm, const char *host, uint64_t budget,
                     struct ha_losses *ret);

#endif
