#include "tests/core/ha/place_bench.h"

#include <string.h>

void placing_init(struct place_bench *b, uint32_t hosts)
{
    struct ha_storage storage;

    memset(b, 0, sizeof *b);
    ha_view_init(&b->view);
    ha_record_defaults(HA_STORAGE, &storage);
    ha_text_set(storage.name, sizeof storage.name, "nfs");
    ha_text_set(storage.type, sizeof storage.type, "nfs");
    ha_text_set(storage.path, sizeof storage.path, "/srv");
    VIEW_PUT(&b->view, &storage);
    b->n = hosts;
    for (uint32_t i = 0; i < hosts; i++) {
        b->names[i][0] = (char)('a' + i);
        const struct ha_host host = host_named(b->names[i], 1000, 4);
        const struct ha_agent_record agent = agent_of(b->names[i]);
        VIEW_PUT(&b->view, &host);
        VIEW_PUT(&b->view, &agent);
        b->seen[i] = (struct ha_seen){b->names[i], true, false, false, true};
    }
}

void placing_deinit(struct place_bench *b)
{
    ha_ledger_deinit(&b->ledger);
    ha_view_deinit(&b->view);
}

void placing_begin(struct place_bench *b)
{
    ha_ledger_deinit(&b->ledger);
    ha_ledger_init(&b->ledger, &b->view, b->seen, b->n);
}

const char *placing_placed(struct place_bench *b, const struct ha_vm *vm)
{
    const struct ha_place_ask ask = {0};

    placing_begin(b);
    b->found = ha_place_find(&b->ledger, vm, &ask, b->verdicts);
    return b->found != NULL ? b->found : "none";
}

void placing_put_running(struct place_bench *b, const struct ha_vm *vm, enum ha_phase phase,
                         const char *host)
{
    const struct ha_owner owner = owner_of(vm->name, phase, host, 1);

    VIEW_PUT(&b->view, vm);
    VIEW_PUT(&b->view, &owner);
}

void placing_put_host(struct place_bench *b, const char *name, void (*change)(struct ha_host *))
{
    struct ha_host host = *ha_view_host(&b->view, name);

    change(&host);
    VIEW_PUT(&b->view, &host);
}
