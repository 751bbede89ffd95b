/* The ledger: who has which place, made of a view and brought up to date by decisions. */
#include "core/ha/ha_place_int.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

/* --- finding ---------------------------------------------------------------------------------- */

uint32_t ha_room_index(const struct ha_ledger *l, const char *host)
{
    size_t low = 0;
    size_t high = l->n_rooms;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(l->rooms[middle].name, host);
        if (order == 0) {
            return (uint32_t)middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return HA_NOBODY;
}

uint32_t ha_seat_index(const struct ha_ledger *l, const char *vm)
{
    size_t low = 0;
    size_t high = l->n_seats;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(l->seats[middle].name, vm);
        if (order == 0) {
            return (uint32_t)middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return HA_NOBODY;
}

/* --- places ----------------------------------------------------------------------------------- */

/* What of a room bounds a seat that starts in it; NULL: it does not start. A guest that goes on
 * where it was moved to boots nothing, and keeps nobody waiting who does. */
static uint32_t *room_count(struct ha_room *r, const struct ha_seat *seat)
{
    if (seat->phase != HA_STARTING) {
        return NULL;
    }
    return seat->is_moved ? &r->coming : &r->starting;
}

/* Its second place, where a machine waits for its guest: all of it is taken there, too. */
static void seat_come(struct ha_ledger *l, uint32_t at, uint32_t room)
{
    struct ha_seat *seat = &l->seats[at];

    if (room == HA_NOBODY || seat->to_room != HA_NOBODY) {
        return;
    }
    struct ha_room *r = &l->rooms[room];
    seat->to_room = room;
    seat->next_coming = r->first_coming;
    r->first_coming = at;
    r->machines++;
    r->coming++;
    r->memory_taken += seat->vm != NULL ? seat->vm->memory_mib : 0;
    r->cpus_taken += seat->vm != NULL ? seat->vm->cpus : 0;
}

static void seat_come_not(struct ha_ledger *l, uint32_t at)
{
    struct ha_seat *seat = &l->seats[at];
    struct ha_room *r = seat->to_room != HA_NOBODY ? &l->rooms[seat->to_room] : NULL;

    if (r == NULL) {
        return;
    }
    uint32_t *link = &r->first_coming;
    while (*link != at) {
        CHECK(*link != HA_NOBODY);
        link = &l->seats[*link].next_coming;
    }
    *link = seat->next_coming;
    r->machines--;
    r->coming--;
    r->memory_taken -= seat->vm != NULL ? seat->vm->memory_mib : 0;
    r->cpus_taken -= seat->vm != NULL ? seat->vm->cpus : 0;
    seat->to_room = HA_NOBODY;
    seat->next_coming = HA_NOBODY;
}

static void seat_sit(struct ha_ledger *l, uint32_t at, uint32_t room)
{
    struct ha_seat *seat = &l->seats[at];

    seat->is_placed = true;
    seat->room = room;
    if (room == HA_NOBODY) {
        return;
    }
    struct ha_room *r = &l->rooms[room];
    seat->next = r->first;
    r->first = at;
    r->machines++;
    uint32_t *count = room_count(r, seat);
    if (count != NULL) {
        (*count)++;
    }
    r->memory_taken += seat->vm != NULL ? seat->vm->memory_mib : 0;
    r->cpus_taken += seat->vm != NULL ? seat->vm->cpus : 0;
}

static void seat_rise(struct ha_ledger *l, uint32_t at)
{
    struct ha_seat *seat = &l->seats[at];
    struct ha_room *r = seat->room != HA_NOBODY ? &l->rooms[seat->room] : NULL;

    seat_come_not(l, at);
    seat->is_placed = false;
    if (r == NULL) {
        return;
    }
    uint32_t *link = &r->first;
    while (*link != at) {
        CHECK(*link != HA_NOBODY);
        link = &l->seats[*link].next;
    }
    *link = seat->next;
    r->machines--;
    uint32_t *count = room_count(r, seat);
    if (count != NULL) {
        (*count)--;
    }
    r->memory_taken -= seat->vm != NULL ? seat->vm->memory_mib : 0;
    r->cpus_taken -= seat->vm != NULL ? seat->vm->cpus : 0;
    seat->room = HA_NOBODY;
    seat->next = HA_NOBODY;
}

void ha_seat_take(struct ha_ledger *l, uint32_t at, uint32_t room)
{
    const bool is_moved = room != HA_NOBODY && l->seats[at].to_room == room;

    seat_rise(l, at);
    l->seats[at].phase = HA_STARTING;
    l->seats[at].is_moved = is_moved;
    seat_sit(l, at, room);
}

void ha_seat_release(struct ha_ledger *l, uint32_t at)
{
    seat_rise(l, at);
    l->seats[at].phase = HA_WAITING;
}

void ha_ledger_take(struct ha_ledger *l, const char *vm, const char *host)
{
    uint32_t seat = ha_seat_index(l, vm);
    uint32_t room = ha_room_index(l, host);

    if (seat != HA_NOBODY && room != HA_NOBODY) {
        ha_seat_take(l, seat, room);
    }
}

void ha_ledger_come(struct ha_ledger *l, const char *vm, const char *host)
{
    uint32_t seat = ha_seat_index(l, vm);

    if (seat != HA_NOBODY && l->seats[seat].is_placed) {
        seat_come(l, seat, ha_room_index(l, host));
    }
}

void ha_ledger_release(struct ha_ledger *l, const char *vm)
{
    uint32_t seat = ha_seat_index(l, vm);

    if (seat != HA_NOBODY) {
        ha_seat_release(l, seat);
    }
}

bool ha_seat_waits(const struct ha_seat *seat)
{
    return seat->vm != NULL && seat->vm->is_wanted && !seat->is_placed && !seat->is_unknown &&
           seat->phase != HA_FAILED;
}

/* --- groups ----------------------------------------------------------------------------------- */

static uint32_t group_root(const struct ha_ledger *l, uint32_t at)
{
    while (l->seats[at].group != at) {
        at = l->seats[at].group;
    }
    return at;
}

/* Joins the groups of both; the smaller index is the root, so that the outcome depends on names. */
static void group_join(struct ha_ledger *l, uint32_t a, uint32_t b)
{
    uint32_t x = group_root(l, a);
    uint32_t y = group_root(l, b);

    if (x < y) {
        l->seats[y].group = x;
    } else {
        l->seats[x].group = y;
    }
}

/* Everybody points at the root, and the members of each are a chain in the order of names. */
static void groups_make(struct ha_ledger *l)
{
    for (uint32_t i = 0; i < l->n_seats; i++) {
        l->seats[i].group = i;
        l->seats[i].next_in_group = HA_NOBODY;
        l->seats[i].first_in_group = HA_NOBODY;
    }
    for (uint32_t i = 0; i < l->n_seats; i++) {
        const struct ha_vm *vm = l->seats[i].vm;
        for (uint32_t j = 0; vm != NULL && j < vm->with.n; j++) {
            uint32_t other = ha_seat_index(l, vm->with.name[j]);
            if (other != HA_NOBODY) {
                group_join(l, i, other);
            }
        }
    }
    for (size_t i = l->n_seats; i > 0; i--) {
        struct ha_seat *seat = &l->seats[i - 1];
        seat->group = group_root(l, (uint32_t)i - 1);
        seat->next_in_group = l->seats[seat->group].first_in_group;
        l->seats[seat->group].first_in_group = (uint32_t)i - 1;
    }
}

/* --- making one ------------------------------------------------------------------------------- */

static void room_fill(struct ha_ledger *l, struct ha_room *room, const struct ha_entry *entry)
{
    const struct ha_fate *fate = ha_view_fate(l->view, entry->key.name);
    bool has_fate = ha_view_find(l->view, HA_FATE, entry->key.name, NULL) != NULL;

    room->name = entry->key.name;
    room->host = entry->record;
    room->agent = ha_view_agent(l->view, entry->key.name);
    room->first = HA_NOBODY;
    room->first_coming = HA_NOBODY;
    /* A fate that cannot be read is not "up". */
    room->is_up = l->ignores_seen && (!has_fate || (fate != NULL && fate->phase == HA_HOST_UP));
    room->is_fence_tested = l->ignores_seen;
    room->is_tripped = fate != NULL && fate->is_tripped; /* unless the manager knows better */
    room->is_quarantined = fate != NULL && fate->is_quarantined;
    if (room->host == NULL) {
        return;
    }
    uint32_t memory = room->agent != NULL ? room->agent->memory_mib : 0;
    uint32_t cpus = room->agent != NULL ? room->agent->cpus : 0;
    room->memory_mib = room->host->memory_mib != 0 ? room->host->memory_mib : memory;
    room->cpus = room->host->cpus != 0 ? room->host->cpus : cpus;
}

static void room_see(struct ha_ledger *l, const struct ha_seen *seen)
{
    uint32_t at = ha_room_index(l, seen->host);

    if (at == HA_NOBODY) {
        return;
    }
    struct ha_room *room = &l->rooms[at];
    const struct ha_fate *fate = ha_view_fate(l->view, seen->host);
    bool has_fate = ha_view_find(l->view, HA_FATE, seen->host, NULL) != NULL;
    bool is_lost = has_fate && (fate == NULL || fate->phase != HA_HOST_UP);
    room->is_up = seen->is_up && !is_lost;
    room->is_degraded = seen->is_degraded;
    room->is_tripped = seen->is_tripped;
    room->is_fence_tested = seen->is_fence_tested;
}

static void seat_fill(struct ha_ledger *l, uint32_t at, const struct ha_entry *entry)
{
    struct ha_seat *seat = &l->seats[at];
    const struct ha_owner *owner = ha_view_owner(l->view, entry->key.name);

    seat->name = entry->key.name;
    seat->vm = entry->record;
    seat->has_apart = seat->vm != NULL && seat->vm->apart.n > 0;
    seat->room = HA_NOBODY;
    seat->next = HA_NOBODY;
    seat->to_room = HA_NOBODY;
    seat->next_coming = HA_NOBODY;
    seat->phase = owner != NULL ? owner->phase : HA_WAITING;
    seat->is_moved = owner != NULL && owner->proof == HA_PROOF_MOVED;
    seat->is_unknown =
        owner == NULL && ha_view_find(l->view, HA_OWNER, entry->key.name, NULL) != NULL;
    if (owner != NULL && ha_phase_has_host(owner->phase)) {
        seat_sit(l, at, ha_room_index(l, owner->host));
        if (owner->phase == HA_MOVING) {
            seat_come(l, at, ha_room_index(l, owner->to));
        }
    }
}

void ha_ledger_init(struct ha_ledger *l, const struct ha_view *view, const struct ha_seen *seen,
                    size_t n)
{
    const struct ha_settings *settings = ha_view_settings(view);

    memset(l, 0, sizeof *l);
    l->view = view;
    l->settings = settings != NULL ? *settings : view->defaults;
    l->ignores_seen = seen == NULL;
    l->n_rooms = ha_view_count(view, HA_HOST);
    l->n_seats = ha_view_count(view, HA_VM);
    l->rooms = mem_alloc_zero((l->n_rooms + 1) * sizeof *l->rooms);
    l->seats = mem_alloc_zero((l->n_seats + 1) * sizeof *l->seats);
    for (size_t i = 0; i < l->n_rooms; i++) {
        room_fill(l, &l->rooms[i], ha_view_at(view, HA_HOST, i));
    }
    for (size_t i = 0; seen != NULL && i < n; i++) {
        room_see(l, &seen[i]);
    }
    for (size_t i = 0; i < l->n_seats; i++) {
        seat_fill(l, (uint32_t)i, ha_view_at(view, HA_VM, i));
    }
    groups_make(l);
}

void ha_ledger_copy(struct ha_ledger *to, const struct ha_ledger *from)
{
    *to = *from;
    to->rooms = mem_alloc((from->n_rooms + 1) * sizeof *to->rooms);
    to->seats = mem_alloc((from->n_seats + 1) * sizeof *to->seats);
    memcpy(to->rooms, from->rooms, from->n_rooms * sizeof *to->rooms);
    memcpy(to->seats, from->seats, from->n_seats * sizeof *to->seats);
}

void ha_ledger_deinit(struct ha_ledger *l)
{
    mem_free(l->rooms);
    mem_free(l->seats);
    memset(l, 0, sizeof *l);
}
