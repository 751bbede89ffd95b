/* Shared storage: locks, openings, writes, and what must never be true of them. */
#include <string.h>

#include "core/base/say.h"
#include "core/chaos/simvm_int.h"

struct simvolume *simvolume_find(const struct simworld *sim, const char *name)
{
    struct simvolume *volume = sim->volumes;

    while (volume != NULL && strcmp(volume->name, name) != 0) {
        volume = volume->next;
    }
    return volume;
}

struct simvolume *simvolume_new(struct simworld *sim, const char *name)
{
    struct simvolume *volume = mem_alloc_zero(sizeof *volume);

    CHECK(strlen(name) < sizeof volume->name && simvolume_find(sim, name) == NULL);
    memcpy(volume->name, name, strlen(name) + 1);
    volume->sim = sim;
    volume->next = sim->volumes;
    sim->volumes = volume;
    return volume;
}

void simvolume_deinit(struct simworld *sim)
{
    while (sim->volumes != NULL) {
        struct simvolume *volume = sim->volumes;
        sim->volumes = volume->next;
        mem_free(volume->owners);
        mem_free(volume->cut_off);
        mem_free(volume);
    }
    buf_deinit(&sim->violation);
}

bool simvolume_is_cut(const struct simvolume *volume, const struct simhost *host)
{
    for (size_t i = 0; i < volume->cut_count; i++) {
        if (volume->cut_off[i] == host) {
            return true;
        }
    }
    return false;
}

void simvolume_cut(struct simvolume *volume, const struct simhost *host, bool is_cut)
{
    size_t kept = 0;

    for (size_t i = 0; i < volume->cut_count; i++) {
        if (volume->cut_off[i] != host) {
            volume->cut_off[kept++] = volume->cut_off[i];
        }
    }
    volume->cut_count = kept;
    if (is_cut) {
        mem_grow((void **)&volume->cut_off, &volume->cut_cap, kept + 1, sizeof(host));
        volume->cut_off[volume->cut_count++] = host;
    }
}

void simvolume_forget_lock(struct simvolume *volume)
{
    volume->holder = NULL;
}

void simvolume_grant_all(struct simvolume *volume, bool grants_all)
{
    volume->grants_all = grants_all;
}

void simvolume_set_linger(struct simvolume *volume, nanos linger)
{
    volume->linger = linger;
}

void simvolume_set_flight(struct simvolume *volume, nanos flight)
{
    volume->flight = flight;
}

/* "12.0s: I12: volume v: HOST WHAT EPOCH, THEN NEWER", unless something was broken before. */
static void note_violation(struct simvolume *volume, const char *rule, const struct simhost *host,
                           const char *what, uint64_t epoch, const char *then, uint64_t newer)
{
    struct buf *text = &volume->sim->violation;

    if (text->len > 0) {
        return;
    }
    say_seconds(text, volume->sim->now);
    say(text, ": ");
    say(text, rule);
    say(text, ": volume ");
    say(text, volume->name);
    say(text, ": ");
    say(text, host->name);
    say(text, what);
    say_u64(text, epoch);
    say(text, then);
    say_u64(text, newer);
    (void)say_end(text);
}

const char *simvm_violation(const struct simworld *sim)
{
    return sim->violation.len == 0 ? NULL : (const char *)sim->violation.data;
}

/* Notes the opening, and what it breaks. Machines of older epochs that live are looked for. */
static void note_opening(struct simvolume *volume, const struct simvm *vm)
{
    bool is_known = false;

    for (size_t i = 0; i < volume->owner_count; i++) {
        bool is_same = volume->owners[i].epoch == vm->epoch;
        is_known |= is_same && volume->owners[i].host == vm->host;
        if (is_same && volume->owners[i].host != vm->host) {
            note_violation(volume, "I11", vm->host, " opened epoch ", vm->epoch,
                           ", which another host had opened; the newest is ", volume->epoch);
        }
    }
    if (vm->epoch < volume->epoch) {
        note_violation(volume, "I11", vm->host, " opened epoch ", vm->epoch, " behind ",
                       volume->epoch);
    }
    volume->epoch = u64_max(volume->epoch, vm->epoch);
    if (!is_known) {
        mem_grow((void **)&volume->owners, &volume->owner_cap, volume->owner_count + 1,
                 sizeof *volume->owners);
        volume->owners[volume->owner_count++] = (struct simvolume_owner){vm->epoch, vm->host};
    }
    for (size_t i = 0; i < volume->sim->host_count; i++) {
        const struct simvm *other = volume->sim->hosts[i]->vms->machines;
        for (; other != NULL; other = other->next) {
            if (other->volume == volume && other != vm && simvm_has_guest(other) &&
                !other->is_arrived && other->epoch < volume->epoch) {
                note_violation(volume, "I12", other->host, " still runs epoch ", other->epoch,
                               " beside ", volume->epoch);
            }
        }
    }
}

enum err simvolume_open(struct simvolume *volume, const struct simvm *vm)
{
    if (volume->holder != NULL && !volume->grants_all) {
        volume->contentions += volume->holder->host != vm->host;
        return ERR_REFUSED;
    }
    if (volume->sim->now < volume->held_until) {
        return ERR_REFUSED;
    }
    volume->holder = vm;
    note_opening(volume, vm);
    return OK;
}

void simvolume_close(struct simvolume *volume, const struct simvm *vm)
{
    if (volume->holder == vm) {
        volume->holder = NULL;
    }
}

void simvolume_orphan(struct simvolume *volume, const struct simvm *vm)
{
    if (volume->holder == vm) {
        volume->held_until = volume->sim->now + volume->linger;
    }
}

static void write_arrives(struct simvolume *volume, const struct simhost *host, uint64_t epoch)
{
    nanos now = volume->sim->now;
    struct simvolume_row *row = NULL;

    volume->writes++;
    if (volume->row_count > 0) {
        row = &volume->rows[(volume->row_count - 1) % SIMVOLUME_ROWS_MAX];
    }
    if (row == NULL || row->epoch != epoch || row->host != host) {
        row = &volume->rows[volume->row_count++ % SIMVOLUME_ROWS_MAX];
        *row = (struct simvolume_row){.epoch = epoch, .host = host, .first = now};
    }
    row->last = now;
    row->writes++;
    if (epoch < volume->epoch) {
        note_violation(volume, "I12", host, " wrote under epoch ", epoch, " behind ",
                       volume->epoch);
    }
}

/* A write on its way: owned by its event. */
struct flying {
    struct simvolume *volume;
    const struct simhost *host;
    uint64_t epoch;
};

static void flying_arrives(void *arg)
{
    struct flying *flying = arg;
    write_arrives(flying->volume, flying->host, flying->epoch);
    mem_free(flying);
}

void simvolume_write(struct simvolume *volume, const struct simvm *vm)
{
    if (volume->flight == 0) {
        write_arrives(volume, vm->host, vm->epoch);
        return;
    }
    struct flying *flying = mem_alloc(sizeof *flying);
    *flying = (struct flying){volume, vm->host, vm->epoch};
    simworld_schedule(volume->sim, NULL, volume->sim->now + volume->flight, flying_arrives,
                      mem_free, flying);
}

bool simvolume_row_at(const struct simvolume *volume, size_t at, struct simvolume_row *ret)
{
    size_t dropped =
        volume->row_count > SIMVOLUME_ROWS_MAX ? volume->row_count - SIMVOLUME_ROWS_MAX : 0;

    if (at >= volume->row_count - dropped) {
        return false;
    }
    *ret = volume->rows[(dropped + at) % SIMVOLUME_ROWS_MAX];
    return true;
}

uint64_t simvolume_writes(const struct simvolume *volume)
{
    return volume->writes;
}

uint64_t simvolume_epoch(const struct simvolume *volume)
{
    return volume->epoch;
}

uint64_t simvolume_contentions(const struct simvolume *volume)
{
    return volume->contentions;
}

const struct simhost *simvolume_holder(const struct simvolume *volume)
{
    return volume->holder != NULL ? volume->holder->host : NULL;
}
