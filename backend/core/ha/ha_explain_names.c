/* What is wrong between records: names of nothing, and settings that do not go with the rest. */
#include "core/ha/ha_explain.h"

#include <string.h>

#include "core/base/say.h"
#include "core/ha/ha_proof.h"

/* A walk over what records name; `found` is where it stands. */
struct naming {
    const struct ha_view *view;
    ha_missing_told told;
    void *context;
    struct ha_missing_name found;
};

/* One that is unreadable is there all the same, and told elsewhere. */
static void name_look(struct naming *n, enum ha_kind kind, const char *name)
{
    if (name[0] != '\0' && ha_view_find(n->view, kind, name, NULL) == NULL) {
        n->found.kind = kind;
        n->found.name = name;
        n->told(n->context, &n->found);
    }
}

static void name_look_one(struct naming *n, const char *field, enum ha_kind kind, const char *name)
{
    ha_text_set(n->found.path, sizeof n->found.path, field);
    name_look(n, kind, name);
}

static void name_look_all(struct naming *n, const char *field, enum ha_kind kind,
                          const struct ha_names *names)
{
    for (uint32_t i = 0; i < names->n; i++) {
        ha_path_in_list(n->found.path, field, i);
        name_look(n, kind, names->name[i]);
    }
}

static void name_look_vm(struct naming *n, const struct ha_vm *vm)
{
    name_look_one(n, "storage", HA_STORAGE, vm->storage);
    name_look_one(n, "move_to", HA_HOST, vm->move_to);
    name_look_all(n, "allowed", HA_HOST, &vm->allowed);
    name_look_all(n, "preferred", HA_HOST, &vm->preferred);
    name_look_all(n, "with", HA_VM, &vm->with);
    name_look_all(n, "apart", HA_VM, &vm->apart);
    name_look_all(n, "after", HA_VM, &vm->after);
}

static void name_look_host(struct naming *n, const struct ha_host *host)
{
    char level[HA_PATH_BYTES];

    name_look_all(n, "storages", HA_STORAGE, &host->storages);
    for (uint32_t i = 0; i < host->n_levels; i++) {
        ha_path_in_list(level, "levels", i);
        for (uint32_t j = 0; j < host->levels[i].n; j++) {
            ha_path_in_list(n->found.path, level, j);
            name_look(n, HA_DEVICE, host->levels[i].device[j]);
        }
    }
}

void ha_missing_names(const struct ha_view *view, ha_missing_told told, void *context)
{
    struct naming n = {.view = view, .told = told, .context = context};

    for (size_t i = 0; i < ha_view_count(view, HA_VM); i++) {
        const struct ha_vm *vm = ha_view_at(view, HA_VM, i)->record;
        if (vm != NULL) {
            n.found.by_kind = HA_VM;
            n.found.by = vm->name;
            name_look_vm(&n, vm);
        }
    }
    for (size_t i = 0; i < ha_view_count(view, HA_HOST); i++) {
        const struct ha_host *host = ha_view_at(view, HA_HOST, i)->record;
        if (host != NULL) {
            n.found.by_kind = HA_HOST;
            n.found.by = host->name;
            name_look_host(&n, host);
        }
    }
}

void ha_missing_name_tell(const struct ha_missing_name *m, struct buf *text)
{
    say(text, m->path);
    say(text, ": there is no ");
    say(text, ha_kind_word(m->kind));
    say(text, " ");
    say(text, m->name);
}

static void name_tell_line(void *context, const struct ha_missing_name *m)
{
    struct buf *text = context;

    say(text, ha_kind_name(m->by_kind));
    say(text, "/");
    say(text, m->by);
    say(text, ": ");
    ha_missing_name_tell(m, text);
    say(text, "\n");
}

void ha_explain_references(const struct ha_view *view, struct buf *text)
{
    ha_missing_names(view, name_tell_line, text);
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
