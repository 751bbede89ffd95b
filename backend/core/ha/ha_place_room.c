/* When room is short: who yields, and how many hosts could be lost. */
#include "core/ha/ha_place_int.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/base/sort.h"

/* --- yielding --------------------------------------------------------------------------------- */

/* One machine that could yield. */
struct yielder {
    const struct ha_vm *vm;
    uint32_t at;
};

/* The lowest priority first, then the largest, then by name. */
static int yielder_compare(const void *a, const void *b)
{
    const struct yielder *x = a;
    const struct yielder *y = b;

    if (x->vm->priority != y->vm->priority) {
        return x->vm->priority < y->vm->priority ? -1 : 1;
    }
    if (x->vm->memory_mib != y->vm->memory_mib) {
        return x->vm->memory_mib > y->vm->memory_mib ? -1 : 1;
    }
    return x->at < y->at ? -1 : x->at > y->at;
}

static size_t yielders_of(const struct ha_ledger *l, const struct ha_room *room,
                          const struct ha_vm *vm, struct yielder *list)
{
    size_t n = 0;

    for (uint32_t i = room->first; i != HA_NOBODY; i = l->seats[i].next) {
        const struct ha_seat *seat = &l->seats[i];
        bool may_yield =
            seat->phase == HA_STARTING || seat->phase == HA_RUNNING || seat->phase == HA_RESTARTING;
        if (may_yield && seat->vm != NULL && seat->vm->priority < vm->priority) {
            list[n++] = (struct yielder){.vm = seat->vm, .at = i};
        }
    }
    sort_items(list, n, sizeof *list, yielder_compare);
    return n;
}

/* Does the machine fit once those of the list have yielded that are kept in it? */
static bool yield_suffices(const struct ha_ledger *l, uint32_t room, const struct ha_vm *vm,
                           const struct yielder *list, size_t n)
{
    const struct ha_look look = {.ask = {0}, .ignores_room = false};
    struct ha_ledger trial;

    ha_ledger_copy(&trial, l);
    for (size_t i = 0; i < n; i++) {
        ha_seat_release(&trial, list[i].at);
        trial.seats[list[i].at].phase = HA_STOPPED;
        trial.seats[list[i].at].is_unknown = true; /* it is not to come with the machine */
    }
    bool fits = ha_room_look(&trial, room, vm, &look).why == HA_FITS;
    ha_ledger_deinit(&trial);
    return fits;
}

/* Takes out again, the highest priority first, whose room is not needed after all. */
static size_t yield_trim(const struct ha_ledger *l, uint32_t room, const struct ha_vm *vm,
                         struct yielder *list, size_t n)
{
    for (size_t i = n; i > 0; i--) {
        struct yielder left_out = list[i - 1];
        memmove(list + i - 1, list + i, (n - i) * sizeof *list);
        if (yield_suffices(l, room, vm, list, n - 1)) {
            n--;
        } else {
            memmove(list + i, list + i - 1, (n - i) * sizeof *list);
            list[i - 1] = left_out;
        }
    }
    return n;
}

/* The shortest beginning of the list that suffices, without whom it does not need; 0: none does. */
static size_t yield_choose(const struct ha_ledger *l, uint32_t room, const struct ha_vm *vm,
                           struct yielder *list, size_t n)
{
    for (size_t i = 1; i <= n && i <= HA_LIST_MAX; i++) {
        if (yield_suffices(l, room, vm, list, i)) {
            return yield_trim(l, room, vm, list, i);
        }
    }
    return 0;
}

void ha_place_yield(const struct ha_ledger *l, const struct ha_vm *vm, struct ha_yield *ret)
{
    const struct ha_look look = {.ask = {0}, .ignores_room = true};
    struct yielder *list = mem_alloc((l->n_seats + 1) * sizeof *list);
    uint32_t best = UINT32_MAX; /* the highest priority that yields */

    memset(ret, 0, sizeof *ret);
    for (uint32_t i = 0; i < l->n_rooms; i++) {
        if (ha_room_look(l, i, vm, &look).why != HA_FITS) {
            continue;
        }
        size_t n = yield_choose(l, i, vm, list, yielders_of(l, &l->rooms[i], vm, list));
        uint32_t highest = n > 0 ? list[n - 1].vm->priority : UINT32_MAX;
        if (n == 0 || highest > best || (highest == best && n >= ret->n)) {
            continue;
        }
        best = highest;
        ret->host = l->rooms[i].name;
        ret->n = (uint32_t)n;
        for (size_t j = 0; j < n; j++) {
            ret->vm[j] = list[j].vm->name;
        }
    }
    mem_free(list);
}

/* --- losses ----------------------------------------------------------------------------------- */

/* What trying out losses works on. */
struct losses {
    const struct ha_ledger *ledger;
    size_t *order; /* room for one a seat */
    uint64_t budget;
    uint32_t lost[HA_LOSSES_MAX]; /* rooms */
    uint32_t n;
};

/* Everything that the hosts have is released, and to be placed anew. False: something that has to
 * be is not there, or the budget is spent (`budget` 0). */
static const char *losses_place(struct losses *s, struct ha_ledger *trial)
{
    const struct ha_look look = {.ask = {0}, .ignores_room = false};
    size_t n = ha_place_order(trial, s->order);

    for (size_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)s->order[i];
        const struct ha_seat *before = &s->ledger->seats[at];
        bool was_placed = before->is_placed;
        if (!was_placed || trial->seats[at].vm->storage[0] == '\0') {
            continue; /* it did not run before either, or nothing saves it */
        }
        if (s->budget < trial->n_rooms) {
            s->budget = 0;
            return NULL;
        }
        s->budget -= trial->n_rooms;
        uint32_t room = ha_room_find(trial, trial->seats[at].vm, &look, NULL);
        if (room == HA_NOBODY) {
            return trial->seats[at].name;
        }
        ha_seat_take(trial, at, room);
    }
    return NULL;
}

/* The first machine that finds no place when these hosts are lost; NULL: all do, or the budget is
 * spent. */
static const char *losses_try(struct losses *s)
{
    struct ha_ledger trial;

    ha_ledger_copy(&trial, s->ledger);
    trial.settings.starts_at_once = UINT32_MAX; /* they need not all start at a time */
    for (uint32_t i = 0; i < s->n; i++) {
        struct ha_room *room = &trial.rooms[s->lost[i]];
        room->is_up = false;
        while (room->first != HA_NOBODY) {
            ha_seat_release(&trial, room->first);
        }
    }
    const char *vm = losses_place(s, &trial);
    ha_ledger_deinit(&trial);
    return vm;
}

/* The next combination of s->n of the rooms, in lexicographic order. False: that was the last. */
static bool losses_next(struct losses *s)
{
    uint32_t rooms = (uint32_t)s->ledger->n_rooms;

    for (uint32_t i = s->n; i > 0; i--) {
        if (s->lost[i - 1] < rooms - (s->n - i) - 1) {
            s->lost[i - 1]++;
            for (uint32_t j = i; j < s->n; j++) {
                s->lost[j] = s->lost[j - 1] + 1;
            }
            return true;
        }
    }
    return false;
}

/* Are any `n` losses survived? If not, `ret` says with whom it ends. */
static bool losses_all(struct losses *s, uint32_t n, struct ha_losses *ret)
{
    s->n = n;
    for (uint32_t i = 0; i < n; i++) {
        s->lost[i] = i;
    }
    do {
        const char *vm = losses_try(s);
        if (s->budget == 0) {
            return false;
        }
        if (vm != NULL) {
            ret->vm = vm;
            for (uint32_t i = 0; i < n; i++) {
                ret->hosts[i] = s->ledger->rooms[s->lost[i]].name;
            }
            return false;
        }
    } while (losses_next(s));
    return true;
}

/* As ha_place_losses_survived; more than `most` is not tried. */
static void losses_count(const struct ha_ledger *l, uint64_t budget, uint32_t most,
                         struct ha_losses *ret)
{
    struct losses s = {
        .ledger = l,
        .order = mem_alloc((l->n_seats + 1) * sizeof(size_t)),
        .budget = budget,
    };

    memset(ret, 0, sizeof *ret);
    while (ret->survived < most && losses_all(&s, ret->survived + 1, ret)) {
        ret->survived++;
    }
    ret->is_at_least = ret->vm == NULL;
    mem_free(s.order);
}

void ha_place_losses_survived(const struct ha_ledger *l, uint64_t budget, struct ha_losses *ret)
{
    losses_count(l, budget, (uint32_t)u64_min(HA_LOSSES_MAX, l->n_rooms), ret);
}

bool ha_place_admits(const struct ha_ledger *l, const char *vm, const char *host, uint64_t budget,
                     struct ha_losses *ret)
{
    uint32_t spare = l->settings.spare_hosts;
    struct ha_ledger trial;

    memset(ret, 0, sizeof *ret);
    ret->is_at_least = true;
    if (spare == 0) {
        return true;
    }
    ha_ledger_copy(&trial, l);
    ha_ledger_take(&trial, vm, host);
    losses_count(&trial, budget, (uint32_t)u64_min(spare, l->n_rooms), ret);
    ha_ledger_deinit(&trial);
    return ret->is_at_least;
}
