/*
 * Machines whose disk fails while their host is well: a store that is gone for this host.
 * QEMU stops the guest at the first I/O that fails, before the guest hears of it, and keeps what it
 * was about to write; so nothing is lost while the store is away, and the guest goes on where it
 * stood when it is told to.
 *
 *     WELL --QUERY says why--> STALLED --RESUME, and its I/O succeeds--> WELL
 *                                 |
 *                                 +--for storage_loss_ms, and another host has the store--> KILL
 *
 * RESUME is tried every HA_RESUME_EVERY (ha_agent_run.c). A store that is full stays WELL here: it
 * is as full elsewhere, and its machine waits for room.
 *
 * The last for machines that are on shared storage and whose rule is `restart`. It is reported as
 * STOPPED like any end, which is the proof by which the machine is started elsewhere; and as the
 * loss of its storage, so that it is not tried here first. Where no other host that is up could use
 * the store by its agent's last probe, the machine stays as it is: what all have lost comes back to
 * all. The host is not fenced for it, and its other machines do not mind.
 *
 * A store that takes I/O and never answers is no failure that QEMU sees: the machine then stands in
 * the kernel, where nothing ends it but the store or the host's power.
 */
#include <string.h>

#include "core/base/mutant.h"
#include "core/ha/ha_agent_int.h"

void ha_run_stalls(struct ha_run *run, bool is_stalled)
{
    if (is_stalled != (run->stalled_at != 0)) {
        run->stalled_at = is_stalled ? u64_max(ha_agent_now(run->agent), 1) : 0;
    }
}

/* Has another host, that is up, said that it can use the storage? */
static bool stall_has_refuge(const struct ha_agent *a, const char *storage)
{
    for (size_t i = 0; i < ha_view_count(a->view, HA_AGENT); i++) {
        const struct ha_agent_record *other = ha_view_at(a->view, HA_AGENT, i)->record;
        const struct ha_fate *fate = other != NULL ? ha_view_fate(a->view, other->host) : NULL;
        if (other != NULL && strcmp(other->host, a->config.host) != 0 &&
            ha_names_have(&other->storages, storage) &&
            (fate == NULL || fate->phase == HA_HOST_UP)) {
            return true;
        }
    }
    return false;
}

bool ha_run_stall_is_over(struct ha_run *run, nanos now)
{
    const struct ha_vm *vm = ha_view_vm(run->agent->view, run->vm);

    if (run->stalled_at == 0 || vm == NULL || vm->storage[0] == '\0' ||
        vm->on_storage_loss != HA_LOSS_RESTART) {
        return false;
    }
    nanos due = u64_add_sat(run->stalled_at, (nanos)vm->storage_loss_ms * NANOS_PER_MS);
    if (now < due && !MUTANT(HA_STORAGE_IMPATIENT)) {
        ha_agent_want(run->agent, due);
        return false;
    }
    if (!stall_has_refuge(run->agent, vm->storage)) {
        return false; /* looked at again with each answer of its process */
    }
    ha_agent_say(run->agent, "storage lost", run->vm,
                 "it is ended here, to be started on a host that has its storage");
    run->has_lost_storage = true;
    return true;
}
