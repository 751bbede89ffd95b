#include "tests/core/ha/ha_samples.h"

#include <string.h>

#include "core/base/check.h"
#include "core/ha/ha_record_int.h"

void sample_name(struct prng *p, char ret[HA_NAME_BYTES])
{
    static const char first[] = "abcxyz0189";
    static const char rest[] = "abcxyz0189-_.";
    size_t n = prng_chance(p, 1, 8) ? HA_NAME_BYTES - 1 : prng_range(p, 1, 8);

    memset(ret, 0, HA_NAME_BYTES);
    for (size_t i = 0; i < n; i++) {
        ret[i] =
            i == 0 ? first[prng_below(p, sizeof first - 1)] : rest[prng_below(p, sizeof rest - 1)];
    }
}

static void sample_chars(struct prng *p, const struct ha_field *field, char *at)
{
    uint8_t bytes[HA_TEXT_BYTES];
    size_t n = prng_range(p, field->is_required ? 1 : 0, field->size - 1);

    if (field->type == HA_TYPE_NAME) {
        if (field->is_required || prng_chance(p, 1, 2)) {
            sample_name(p, at);
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        bool is_plain = field->type == HA_TYPE_WORD || i == 0 || prng_chance(p, 3, 4);
        bytes[i] = (uint8_t)(is_plain ? prng_range(p, '!', '~') : prng_below(p, 256));
    }
    ha_text_set_bytes(at, field->size, (struct bytes){bytes, n});
}

static void sample_names(struct prng *p, char (*name)[HA_NAME_BYTES], uint32_t least, uint32_t most,
                         uint32_t *n)
{
    *n = (uint32_t)prng_range(p, least, prng_chance(p, 1, 4) ? most : u64_max(least, 2));
    for (uint32_t i = 0; i < *n; i++) {
        sample_name(p, name[i]);
        /* Names of a list differ: the first two letters count them. */
        name[i][0] = (char)('a' + i % 26);
        name[i][1] = (char)('a' + i / 26);
    }
}

static void sample_fields(struct prng *p, const struct ha_table *table, void *record);

static void sample_inner(struct prng *p, const struct ha_field *field, void *record)
{
    void *at = (char *)record + field->offset;

    if (field->type == HA_TYPE_NAMES) {
        struct ha_names *names = at;
        sample_names(p, names->name, 0, HA_LIST_MAX, &names->n);
    } else if (field->type == HA_TYPE_OBJECT) {
        sample_fields(p, field->table, at);
    } else if (field->type == HA_TYPE_COMMAND) {
        struct ha_check *check = record;
        check->command.n =
            check->ask == HA_ASK_EXEC ? (uint32_t)prng_range(p, 1, HA_COMMAND_WORDS_MAX) : 0;
        for (uint32_t i = 0; i < check->command.n; i++) {
            ha_text_set(check->command.word[i], HA_VALUE_BYTES, "/bin/a \"b\" \\c");
        }
    } else if (field->type == HA_TYPE_RAW) {
        static const char text[] = "{\"disk\": {\"x\":[1.5, null]}}";
        bool is_empty = prng_chance(p, 1, 2);
        *(struct bytes *)at = is_empty ? (struct bytes){NULL, 0}
                                       : (struct bytes){(const uint8_t *)text, sizeof text - 1};
    } else if (field->type == HA_TYPE_LEVELS) {
        struct ha_host *host = record;
        host->n_levels = (uint32_t)prng_range(p, 0, HA_FENCE_LEVELS_MAX);
        for (uint32_t i = 0; i < host->n_levels; i++) {
            sample_names(p, host->levels[i].device, 1, HA_FENCE_DEVICES_MAX, &host->levels[i].n);
        }
    } else if (field->type == HA_TYPE_PARAMETERS) {
        struct ha_device *device = record;
        char keys[HA_PARAMETERS_MAX][HA_NAME_BYTES];
        sample_names(p, keys, 0, HA_PARAMETERS_MAX, &device->n_parameters);
        for (uint32_t i = 0; i < device->n_parameters; i++) {
            memcpy(device->parameters[i].key, keys[i], HA_NAME_BYTES);
            ha_text_set(device->parameters[i].value, HA_VALUE_BYTES, "a \"b\" \\c");
        }
    } else {
        struct ha_incident *incident = record;
        CHECK(field->type == HA_TYPE_STEPS);
        incident->n_steps = (uint32_t)prng_range(p, 0, HA_STEPS_MAX);
        for (uint32_t i = 0; i < incident->n_steps; i++) {
            sample_fields(p, field->table, &incident->steps[i]);
        }
    }
}

static void sample_fields(struct prng *p, const struct ha_table *table, void *record)
{
    for (size_t i = 0; i < table->n; i++) {
        const struct ha_field *field = &table->fields[i];
        void *at = (char *)record + field->offset;
        uint64_t edge = prng_chance(p, 1, 2) ? field->least : field->most;
        bool is_edge = prng_chance(p, 1, 4);
        bool is_object = field->type == HA_TYPE_OBJECT; /* what is in it says whether it applies */
        if (!is_object && field->applies != NULL && !field->applies(record)) {
            continue;
        }
        if (field->type <= HA_TYPE_TEXT) {
            sample_chars(p, field, at);
        } else if (field->type == HA_TYPE_U32) {
            *(uint32_t *)at = (uint32_t)(is_edge ? edge : prng_range(p, field->least, field->most));
        } else if (field->type == HA_TYPE_U64) {
            *(uint64_t *)at = is_edge ? edge : prng_range(p, field->least, field->most);
        } else if (field->type == HA_TYPE_ID) {
            *(uint64_t *)at = prng_range(p, 1, UINT64_MAX);
        } else if (field->type == HA_TYPE_BOOL || field->type == HA_TYPE_WANTED) {
            *(bool *)at = prng_chance(p, 1, 2);
        } else if (field->type == HA_TYPE_ENUM) {
            *(uint32_t *)at = (uint32_t)prng_below(p, field->values);
        } else {
            sample_inner(p, field, record);
        }
    }
}

/* What is of another question's is nothing. */
static void make_check_sensible(struct ha_check *check)
{
    if (check->ask == HA_ASK_TCP || check->ask == HA_ASK_HTTP) {
        ha_text_set(check->address, sizeof check->address, "10.0.0.7");
        check->port = check->port == 0 ? 80 : check->port;
    } else {
        memset(check->address, 0, sizeof check->address);
    }
    if (check->ask == HA_ASK_HTTP && check->path[0] != '\0') {
        check->path[0] = '/';
    } else if (check->ask != HA_ASK_HTTP) {
        memset(check->path, 0, sizeof check->path);
    }
    check->status = check->status < 100 ? 0 : check->status;
}

/* Brings a machine into accord with what is checked across its fields. */
static void make_vm_sensible(struct ha_vm *vm)
{
    vm->apart.n = 0;
    vm->name[0] = '0'; /* no name of a list begins so: it is in none of its own */
    vm->restart.delay_max_ms = vm->restart.delay_max_ms < vm->restart.delay_ms
                                   ? vm->restart.delay_ms
                                   : vm->restart.delay_max_ms;
    vm->mute_ms = vm->mute_ms < 10000 ? 0 : vm->mute_ms;
    make_check_sensible(&vm->startup);
    make_check_sensible(&vm->liveness);
    make_check_sensible(&vm->readiness);
    if (vm->allowed.n > 0) {
        vm->preferred = vm->allowed;
        ha_text_set(vm->move_to, sizeof vm->move_to, vm->allowed.name[0]);
    }
    if (vm->allowed.n != 1 && vm->storage[0] == '\0') {
        ha_text_set(vm->storage, sizeof vm->storage, "nfs");
    }
}

/* Of one that is moving there is all, of another nothing. */
static void make_owner_sensible(struct ha_owner *owner)
{
    bool is_moving = owner->phase == HA_MOVING;
    bool has_port = is_moving && owner->port != 0;

    owner->issued = is_moving ? owner->epoch + 1 : 0;
    owner->port = has_port ? owner->port : 0;
    ha_text_set(owner->to, sizeof owner->to, is_moving ? "node-b" : "");
    ha_text_set(owner->address, sizeof owner->address, has_port ? "10.0.0.2" : "");
    if (owner->moves == 0) {
        owner->move_ms = 0;
        owner->move_pause_ms = 0;
    }
}

/* Whoever has ended stands on no rung; and of one that nobody asks nothing is said. */
static void make_report_sensible(struct ha_report *report)
{
    if (report->state == HA_REPORT_WAITS) {
        ha_text_set(report->address, sizeof report->address, report->port != 0 ? "10.0.0.2" : "");
    }
    for (enum ha_rung i = 0; i < HA_RUNGS; i++) {
        if (report->state != HA_REPORT_RUNS || report->rungs[i].state == HA_RUNG_UNASKED) {
            memset(&report->rungs[i], 0, sizeof report->rungs[i]);
        }
    }
}

void sample_record(struct prng *p, enum ha_kind kind, void *record)
{
    ha_record_defaults(kind, record);
    sample_fields(p, ha_table_of(kind), record);
    if (kind == HA_VM) {
        make_vm_sensible(record);
    } else if (kind == HA_REPORT) {
        make_report_sensible(record);
    } else if (kind == HA_FATE) {
        struct ha_fate *fate = record;
        fate->proof = fate->phase == HA_HOST_GONE ? HA_PROOF_FENCED : HA_PROOF_NONE;
    } else if (kind == HA_OWNER) {
        struct ha_owner *owner = record;
        ha_text_set(owner->host, sizeof owner->host, owner->phase == HA_WAITING ? "" : "node-a");
        owner->epoch = owner->epoch == 0 ? 1 : owner->epoch / 4 + 1;
        make_owner_sensible(owner);
    }
}

/* --- views ------------------------------------------------------------------------------------ */

void view_put_record(struct ha_view *v, enum ha_kind kind, const void *record)
{
    struct ha_key key;
    char text[HA_KEY_BYTES];
    struct buf json;

    ha_record_key(kind, record, &key);
    ha_key_format(kind, key.name, key.vm, text);
    buf_init(&json);
    ha_record_encode(kind, record, &json);
    ha_view_put(v, (struct bytes){(const uint8_t *)text, strlen(text)}, buf_view(&json),
                v->revision + 1, v->revision + 1);
    buf_deinit(&json);
}

void view_put_text(struct ha_view *v, const char *key, const char *text)
{
    ha_view_put(v, (struct bytes){(const uint8_t *)key, strlen(key)},
                (struct bytes){(const uint8_t *)text, strlen(text)}, v->revision + 1,
                v->revision + 1);
}

void view_delete_key(struct ha_view *v, const char *key)
{
    ha_view_delete(v, (struct bytes){(const uint8_t *)key, strlen(key)}, v->revision + 1);
}

struct ha_vm vm_named(const char *name, uint32_t memory_mib)
{
    struct ha_vm vm;

    ha_record_defaults(HA_VM, &vm);
    ha_text_set(vm.name, sizeof vm.name, name);
    ha_text_set(vm.volume, sizeof vm.volume, name);
    ha_text_set(vm.storage, sizeof vm.storage, "nfs");
    vm.memory_mib = memory_mib;
    return vm;
}

struct ha_host host_named(const char *name, uint32_t memory_mib, uint32_t cpus)
{
    struct ha_host host;

    ha_record_defaults(HA_HOST, &host);
    ha_text_set(host.name, sizeof host.name, name);
    host.memory_mib = memory_mib;
    host.cpus = cpus;
    host.n_levels = 1;
    host.levels[0].n = 1;
    ha_text_set(host.levels[0].device[0], HA_NAME_BYTES, name);
    return host;
}

struct ha_agent_record agent_of(const char *host)
{
    struct ha_agent_record agent;

    ha_record_defaults(HA_AGENT, &agent);
    ha_text_set(agent.host, sizeof agent.host, host);
    agent.member = 1;
    agent.memory_mib = 1024;
    agent.cpus = 1;
    names_add(&agent.storages, "nfs");
    return agent;
}

struct ha_owner owner_of(const char *vm, enum ha_phase phase, const char *host, uint64_t epoch)
{
    struct ha_owner owner;

    ha_record_defaults(HA_OWNER, &owner);
    ha_text_set(owner.vm, sizeof owner.vm, vm);
    ha_text_set(owner.host, sizeof owner.host, host);
    owner.phase = phase;
    owner.epoch = epoch;
    return owner;
}

void names_add(struct ha_names *names, const char *name)
{
    CHECK(names->n < HA_LIST_MAX);
    ha_text_set(names->name[names->n++], HA_NAME_BYTES, name);
}

/* --- transactions ----------------------------------------------------------------------------- */

bool txn_is_guarded(const struct ha_txn *txn, const char *key, int64_t revision)
{
    struct ha_txn guard;
    const struct bytes all = buf_view(&txn->body);

    ha_txn_init(&guard);
    ha_txn_guard(&guard, (struct bytes){(const uint8_t *)key, strlen(key)}, revision);
    const struct bytes part = buf_view(&guard.body);
    const bool has = memmem(all.data, all.len, part.data, part.len) != NULL;
    ha_txn_deinit(&guard);
    return has;
}

bool txn_names(const struct ha_txn *txn, const char *key)
{
    const struct bytes all = buf_view(&txn->body);

    return memmem(all.data, all.len, key, strlen(key)) != NULL;
}
