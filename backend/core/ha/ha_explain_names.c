/* What is wrong between records: names of nothing, and settings that do not go with the rest. */
#include "core/ha/ha_explain.h"

#include <string.h>

#include "core/base/say.h"
#include "core/ha/ha_proof.h"

/* The record that names others, as it is told: "vms/web". */
struct namer {
    const struct ha_view *view;
    enum ha_kind kind;
    const char *name;
    struct buf *text;
};

/* One that is unreadable is there all the same, and told elsewhere. */
static void name_check(const struct namer *n, const char *field, enum ha_kind kind,
                       const char *what, const char *name)
{
    if (ha_view_find(n->view, kind, name, NULL) != NULL) {
        return;
    }
    say(n->text, ha_kind_name(n->kind));
    say(n->text, "/");
    say(n->text, n->name);
    say(n->text, ": ");
    say(n->text, field);
    say(n->text, ": there is no ");
    say(n->text, what);
    say(n->text, " ");
    say(n->text, name);
    say(n->text, "\n");
}

static void name_check_all(const struct namer *n, const char *field, enum ha_kind kind,
                           const char *what, const struct ha_names *names)
{
    for (uint32_t i = 0; i < names->n; i++) {
        name_check(n, field, kind, what, names->name[i]);
    }
}

static void name_check_vm(const struct namer *n, const struct ha_vm *vm)
{
    if (vm->storage[0] != '\0') {
        name_check(n, "storage", HA_STORAGE, "storage", vm->storage);
    }
    if (vm->move_to[0] != '\0') {
        name_check(n, "move_to", HA_HOST, "host", vm->move_to);
    }
    name_check_all(n, "allowed", HA_HOST, "host", &vm->allowed);
    name_check_all(n, "preferred", HA_HOST, "host", &vm->preferred);
    name_check_all(n, "with", HA_VM, "machine", &vm->with);
    name_check_all(n, "apart", HA_VM, "machine", &vm->apart);
    name_check_all(n, "after", HA_VM, "machine", &vm->after);
}

static void name_check_host(const struct namer *n, const struct ha_host *host)
{
    name_check_all(n, "storages", HA_STORAGE, "storage", &host->storages);
    for (uint32_t i = 0; i < host->n_levels; i++) {
        for (uint32_t j = 0; j < host->levels[i].n; j++) {
            name_check(n, "levels", HA_DEVICE, "device", host->levels[i].device[j]);
        }
    }
}

void ha_explain_references(const struct ha_view *view, struct buf *text)
{
    for (size_t i = 0; i < ha_view_count(view, HA_VM); i++) {
        const struct ha_vm *vm = ha_view_at(view, HA_VM, i)->record;
        if (vm != NULL) {
            name_check_vm(&(struct namer){view, HA_VM, vm->name, text}, vm);
        }
    }
    for (size_t i = 0; i < ha_view_count(view, HA_HOST); i++) {
        const struct ha_host *host = ha_view_at(view, HA_HOST, i)->record;
        if (host != NULL) {
            name_check_host(&(struct namer){view, HA_HOST, host->name, text}, host);
        }
    }
}

/* Only a hardware watchdog is counted on, and only on bare metal. */
static nanos longest_watchdog(const struct ha_view *view)
{
    nanos longest = 0;

    for (size_t i = 0; i < ha_view_count(view, HA_AGENT); i++) {
        const struct ha_agent_record *agent = ha_view_at(view, HA_AGENT, i)->record;
        const struct ha_host *host = agent != NULL ? ha_view_host(view, agent->host) : NULL;
        bool counts =
            host != NULL && host->is_bare_metal &&
            (agent->watchdog == WORLD_WATCHDOG_READY || agent->watchdog == WORLD_WATCHDOG_ARMED);
        longest = counts ? u64_max(longest, agent->watchdog_ms * NANOS_PER_MS) : longest;
    }
    return longest;
}

static nanos longest_flight(const struct ha_view *view)
{
    nanos longest = 0;

    for (size_t i = 0; i < ha_view_count(view, HA_STORAGE); i++) {
        const struct ha_storage *storage = ha_view_at(view, HA_STORAGE, i)->record;
        longest = storage != NULL ? u64_max(longest, storage->flight_ms * NANOS_PER_MS) : longest;
    }
    return longest;
}

void ha_explain_settings(const struct ha_view *view, struct buf *text)
{
    const struct ha_settings *settings = ha_view_settings(view);
    size_t before = text->len;

    if (settings == NULL) {
        say(text, "settings: they cannot be read, so that nothing is proved by time: ");
        say(text, ha_view_find(view, HA_SETTINGS, "", NULL)->why);
    } else {
        enum err error =
            ha_settings_check(settings, longest_watchdog(view), longest_flight(view), text);
        if (error != OK && text->len == before) {
            say(text, err_text(error));
        }
    }
    if (text->len > before) {
        say(text, "\n");
    }
}
