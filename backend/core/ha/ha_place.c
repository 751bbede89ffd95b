#include "core/ha/ha_place.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/say.h"
#include "core/ha/ha_place_int.h"

/* --- one host for one machine ----------------------------------------------------------------- */

/* The host's own state, whatever the machine. */
static enum ha_why_not room_why_not(const struct ha_room *room, const struct ha_place_ask *ask)
{
    if (room->host == NULL) {
        return HA_NOT_READABLE;
    }
    if (!room->host->is_enabled) {
        return HA_NOT_ENABLED;
    }
    if (room->is_quarantined) {
        return HA_NOT_TRUSTED; /* before "not up", which it outlasts */
    }
    if (!room->is_up) {
        return HA_NOT_UP;
    }
    if (room->is_tripped) {
        return HA_NOT_TRIPPED;
    }
    if (room->agent == NULL) {
        return HA_NOT_HEARD;
    }
    bool is_avoided = (ask->avoid != NULL && strcmp(ask->avoid, room->name) == 0) ||
                      (ask->only != NULL && strcmp(ask->only, room->name) != 0);
    return is_avoided ? HA_NOT_AVOIDED : HA_FITS;
}

/* Can the loss of the host be proved without a person, for a machine of this policy? */
static bool room_is_covered(const struct ha_room *room, enum ha_policy policy)
{
    const struct ha_agent_record *agent = room->agent;
    bool has_fence = room->host->n_levels > 0 && room->is_fence_tested;
    bool has_watchdog =
        room->host->is_bare_metal && agent->watchdog_ms > 0 &&
        (agent->watchdog == WORLD_WATCHDOG_READY || agent->watchdog == WORLD_WATCHDOG_ARMED);

    return has_fence || (has_watchdog && policy != HA_POLICY_KEEP);
}

/* What the machine's record says of hosts. */
static enum ha_why_not room_why_not_allowed(const struct ha_ledger *l, const struct ha_room *room,
                                            const struct ha_vm *vm)
{
    if (vm->allowed.n > 0 && !ha_names_have(&vm->allowed, room->name)) {
        return HA_NOT_ALLOWED;
    }
    if (vm->sites.n > 0 && !ha_names_have(&vm->sites, room->host->site)) {
        return HA_NOT_SITE;
    }
    if (vm->storage[0] == '\0') {
        return HA_FITS; /* on the own disk of the one host that is allowed */
    }
    if (ha_view_storage(l->view, vm->storage) == NULL) {
        return HA_NOT_DECLARED;
    }
    if (!ha_names_have(&room->agent->storages, vm->storage)) {
        return HA_NOT_STORAGE;
    }
    return room_is_covered(room, vm->policy) ? HA_FITS : HA_NOT_COVERED;
}

static bool seat_is_apart(const struct ha_seat *seat, const struct ha_vm *vm)
{
    return ha_names_have(&vm->apart, seat->name) ||
           (seat->has_apart && ha_names_have(&seat->vm->apart, vm->name));
}

/* A machine in the room, or on its way there, that `vm` must be apart from; NULL: none. */
static const char *room_apart(const struct ha_ledger *l, const struct ha_room *room,
                              const struct ha_vm *vm)
{
    for (uint32_t i = room->first; i != HA_NOBODY; i = l->seats[i].next) {
        if (seat_is_apart(&l->seats[i], vm)) {
            return l->seats[i].name;
        }
    }
    for (uint32_t i = room->first_coming; i != HA_NOBODY; i = l->seats[i].next_coming) {
        if (seat_is_apart(&l->seats[i], vm)) {
            return l->seats[i].name;
        }
    }
    return NULL;
}

/* Is the machine at home there, so that others must come to it? One that leaves, or whose host is
 * lost, is not. */
static bool seat_is_home(const struct ha_seat *seat)
{
    return seat->is_placed && (seat->phase == HA_STARTING || seat->phase == HA_RUNNING ||
                               seat->phase == HA_RESTARTING);
}

/* What the machine, and those that must come with it, need; and what hinders one of those. */
struct group_need {
    uint64_t memory;
    uint64_t cpus;
    enum ha_why_not why;
    const char *other;
};

static struct group_need group_look(const struct ha_ledger *l, uint32_t at, const struct ha_vm *vm,
                                    uint32_t self)
{
    const struct ha_room *room = &l->rooms[at];
    struct group_need need = {.memory = vm->memory_mib, .cpus = vm->cpus, .why = HA_FITS};
    uint32_t group = self != HA_NOBODY ? l->seats[self].group : HA_NOBODY;
    uint32_t member = group != HA_NOBODY ? l->seats[group].first_in_group : HA_NOBODY;

    for (; member != HA_NOBODY; member = l->seats[member].next_in_group) {
        const struct ha_seat *seat = &l->seats[member];
        bool is_elsewhere = seat_is_home(seat) && seat->room != at;
        bool comes_too = ha_seat_waits(seat);
        if (member == self || (!is_elsewhere && !comes_too)) {
            continue;
        }
        if (is_elsewhere || room_why_not_allowed(l, room, seat->vm) != HA_FITS ||
            room_apart(l, room, seat->vm) != NULL) {
            need.why = HA_NOT_WITH;
            need.other = seat->name;
            return need;
        }
        need.memory += seat->vm->memory_mib;
        need.cpus += seat->vm->cpus;
    }
    return need;
}

bool ha_room_has_memory(const struct ha_room *room, uint64_t taken, uint64_t need)
{
    return taken + need <= room->memory_mib;
}

bool ha_room_has_cpus(const struct ha_ledger *l, const struct ha_room *room, uint64_t taken,
                      uint64_t need)
{
    return (taken + need) * 100 <= room->cpus * l->settings.cpu_percent;
}

/* The record of the machine `self`, if it has taken this room; NULL: it has not. */
static const struct ha_vm *room_self(const struct ha_ledger *l, const struct ha_room *room,
                                     uint32_t self)
{
    uint32_t at = self != HA_NOBODY ? l->seats[self].room : HA_NOBODY;

    return at != HA_NOBODY && &l->rooms[at] == room ? l->seats[self].vm : NULL;
}

/* Memory, processors, and how many start at a time. Copies take minutes: a move begins where there
 * is a start to spare, and a start never waits for a move. */
static struct ha_verdict room_look_size(const struct ha_ledger *l, const struct ha_room *room,
                                        const struct ha_vm *vm, uint32_t at,
                                        const struct group_need *need, bool is_live)
{
    uint32_t starting = room->starting + (is_live ? room->coming : 0);
    const struct ha_vm *self = room_self(l, room, at);
    uint64_t memory = room->memory_taken - (self != NULL ? self->memory_mib : 0);
    uint64_t cpus = room->cpus_taken - (self != NULL ? self->cpus : 0);
    uint64_t all_cpus = room->cpus * l->settings.cpu_percent / 100;
    struct ha_verdict v = {.why = HA_FITS, .is_degraded = room->is_degraded};

    if (vm->cpus > room->cpus) {
        v.why = HA_NOT_CPUS_AT_ALL;
        v.need = vm->cpus;
        v.have = room->cpus;
    } else if (!ha_room_has_memory(room, memory, need->memory)) {
        v.why = HA_NOT_MEMORY;
        v.need = need->memory;
        v.have = u64_sub_sat(room->memory_mib, memory);
    } else if (!ha_room_has_cpus(l, room, cpus, need->cpus)) {
        v.why = HA_NOT_CPUS;
        v.need = need->cpus;
        v.have = u64_sub_sat(all_cpus, cpus);
    } else if (starting >= l->settings.starts_at_once) {
        v.why = HA_NOT_RATE;
        v.need = l->settings.starts_at_once;
        v.have = starting;
    }
    return v;
}

/* `self`: the seat of the machine, or NOBODY. */
static struct ha_verdict room_look_by(const struct ha_ledger *l, uint32_t at,
                                      const struct ha_vm *vm, uint32_t self,
                                      const struct ha_look *look)
{
    const struct ha_room *room = &l->rooms[at];
    struct ha_verdict v = {.why = room_why_not(room, &look->ask), .is_degraded = room->is_degraded};

    if (v.why == HA_FITS) {
        v.why = room_why_not_allowed(l, room, vm);
    }
    if (v.why != HA_FITS) {
        return v;
    }
    struct group_need need = group_look(l, at, vm, self);
    if (need.why != HA_FITS) {
        v.why = need.why;
        v.other = need.other;
        return v;
    }
    v.other = room_apart(l, room, vm);
    if (v.other != NULL) {
        v.why = HA_NOT_APART;
        return v;
    }
    struct ha_verdict size = room_look_size(l, room, vm, self, &need, look->ask.is_live);
    bool is_of_room = size.why == HA_NOT_MEMORY || size.why == HA_NOT_CPUS;
    return look->ignores_room && is_of_room ? v : size;
}

struct ha_verdict ha_room_look(const struct ha_ledger *l, uint32_t at, const struct ha_vm *vm,
                               const struct ha_look *look)
{
    return room_look_by(l, at, vm, ha_seat_index(l, vm->name), look);
}

/* --- the best of them ------------------------------------------------------------------------- */

static uint32_t preference_of(const struct ha_vm *vm, const char *host)
{
    for (uint32_t i = 0; i < vm->preferred.n; i++) {
        if (strcmp(vm->preferred.name[i], host) == 0) {
            return i;
        }
    }
    return vm->preferred.n;
}

/* What the room would have taken with the machine. */
static uint64_t room_memory_with(const struct ha_ledger *l, const struct ha_room *room,
                                 const struct ha_vm *vm, uint32_t at)
{
    const struct ha_vm *self = room_self(l, room, at);

    return room->memory_taken - (self != NULL ? self->memory_mib : 0) + vm->memory_mib;
}

/* Is `a` the better of two that fit? Where nothing tells them apart it is not: the first by name
 * stays. */
static bool room_is_better(const struct ha_ledger *l, const struct ha_room *a,
                           const struct ha_room *b, const struct ha_vm *vm, uint32_t self)
{
    if (a->is_degraded != b->is_degraded) {
        return b->is_degraded;
    }
    uint32_t x = preference_of(vm, a->name);
    uint32_t y = preference_of(vm, b->name);
    if (x != y) {
        return x < y;
    }
    /* Shares of memory, as fractions: both sums are far below 2^32 MiB. */
    uint64_t p = room_memory_with(l, a, vm, self) * b->memory_mib;
    uint64_t q = room_memory_with(l, b, vm, self) * a->memory_mib;
    if (p != q) {
        return p < q;
    }
    return a->machines - (room_self(l, a, self) != NULL ? 1 : 0) <
           b->machines - (room_self(l, b, self) != NULL ? 1 : 0);
}

uint32_t ha_room_find(const struct ha_ledger *l, const struct ha_vm *vm, const struct ha_look *look,
                      struct ha_verdict *verdicts)
{
    uint32_t self = ha_seat_index(l, vm->name);
    uint32_t best = HA_NOBODY;

    for (uint32_t i = 0; i < l->n_rooms; i++) {
        struct ha_verdict v = room_look_by(l, i, vm, self, look);
        if (verdicts != NULL) {
            verdicts[i] = v;
        }
        if (v.why == HA_FITS &&
            (best == HA_NOBODY || room_is_better(l, &l->rooms[i], &l->rooms[best], vm, self))) {
            best = i;
        }
    }
    return best;
}

const char *ha_place_find(const struct ha_ledger *l, const struct ha_vm *vm,
                          const struct ha_place_ask *ask, struct ha_verdict *verdicts)
{
    const struct ha_look look = {.ask = *ask, .ignores_room = false};
    uint32_t found = ha_room_find(l, vm, &look, verdicts);

    return found != HA_NOBODY ? l->rooms[found].name : NULL;
}

/* --- telling ---------------------------------------------------------------------------------- */

/* why, the sentence behind the host's name; with "%o" for the other machine, "%n" and "%h" for what
 * is needed and what is there */
#define WHY_NOT_TABLE(X)                                                                           \
    X(HA_FITS, "it fits")                                                                          \
    X(HA_NOT_READABLE, "its record cannot be read")                                                \
    X(HA_NOT_ENABLED, "it is disabled")                                                            \
    X(HA_NOT_UP, "it is not up")                                                                   \
    X(HA_NOT_TRUSTED, "it is quarantined: it was lost too often of late")                          \
    X(HA_NOT_TRIPPED, "machines cannot be started there")                                          \
    X(HA_NOT_HEARD, "its agent has not said yet what it has")                                      \
    X(HA_NOT_AVOIDED, "another host is wanted")                                                    \
    X(HA_NOT_ALLOWED, "`allowed` does not name it")                                                \
    X(HA_NOT_SITE, "it is at none of the machine's `sites`")                                       \
    X(HA_NOT_DECLARED, "no record says what the machine's storage is")                             \
    X(HA_NOT_STORAGE, "its agent could not use the machine's storage")                             \
    X(HA_NOT_COVERED,                                                                              \
      "neither a tested fence device nor a hardware watchdog covers it: its loss could not be "    \
      "proved")                                                                                    \
    X(HA_NOT_WITH, "the machine must be with %o, which is elsewhere, or cannot be there")          \
    X(HA_NOT_APART, "%o is there, from which the machine must be apart")                           \
    X(HA_NOT_CPUS_AT_ALL, "the machine has %n processors, and the host %h")                        \
    X(HA_NOT_MEMORY, "%n MiB of memory are needed, and %h are free")                               \
    X(HA_NOT_CPUS, "%n processors are needed, and %h are free")                                    \
    X(HA_NOT_RATE, "%h machines are starting there, and no more than %n do at a time")

static const char *const why_not_texts[HA_WHY_NOTS] = {
#define WHY_NOT_TEXT(why, text) [why] = text,
    WHY_NOT_TABLE(WHY_NOT_TEXT)
#undef WHY_NOT_TEXT
};

void ha_verdict_tell(const char *host, const struct ha_verdict *v, struct buf *text)
{
    CHECK(v->why < HA_WHY_NOTS);
    say(text, host);
    say(text, ": ");
    for (const char *at = why_not_texts[v->why]; *at != '\0'; at++) {
        if (*at != '%') {
            buf_put_u8(text, (uint8_t)*at);
            continue;
        }
        at++;
        if (*at == 'o') {
            say(text, v->other != NULL ? v->other : "another");
        } else {
            say_u64(text, *at == 'n' ? v->need : v->have);
        }
    }
    if (v->why == HA_FITS && v->is_degraded) {
        say(text, ", but is degraded");
    }
}
