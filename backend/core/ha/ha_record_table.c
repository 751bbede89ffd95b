#include "core/ha/ha_record_int.h"

#include "core/base/check.h"

/* The largest machine and host: 16 TiB, and more processors than any board has. */
#define MEMORY_MIB_MAX (16U << 20)
#define CPUS_MAX       4096U

#define HOUR_MS 3600000U
#define DAY_S   86400U

#define FIELD(record, member, key, kind)                                                           \
    .name = (key), .type = (kind), .offset = offsetof(struct record, member),                      \
    .size = sizeof(((struct record *)0)->member)

/* A name, word or text that may be empty, and one that may not be missing. */
#define CHARS(record, member, type)                                                                \
    {                                                                                              \
        FIELD(record, member, #member, type)                                                       \
    }
#define CHARS_NEEDED(record, member, type)                                                         \
    {                                                                                              \
        FIELD(record, member, #member, type), .is_required = true                                  \
    }

#define NUMBER(record, member, type, low, high, given)                                             \
    {                                                                                              \
        FIELD(record, member, #member, type), .least = (low), .most = (high), .preset = (given)    \
    }
#define NUMBER_NEEDED(record, member, type, low, high)                                             \
    {                                                                                              \
        FIELD(record, member, #member, type), .least = (low), .most = (high), .is_required = true  \
    }
#define COUNTER(record, member) NUMBER(record, member, HA_TYPE_U64, 0, UINT64_MAX, 0)
#define FLAG(record, member, key, given)                                                           \
    {                                                                                              \
        FIELD(record, member, key, HA_TYPE_BOOL), .preset = (given)                                \
    }

/* An enum that is the first of its values unless said; and one that has to be said. */
#define CHOICE(record, member, names, count)                                                       \
    {                                                                                              \
        FIELD(record, member, #member, HA_TYPE_ENUM), .name_of = (names), .values = (count)        \
    }
#define CHOICE_NEEDED(record, member, names, count)                                                \
    {                                                                                              \
        FIELD(record, member, #member, HA_TYPE_ENUM), .name_of = (names), .values = (count),       \
                                                      .is_required = true                          \
    }

#define TABLE(record, list, operators)                                                             \
    {                                                                                              \
        .fields = (list), .n = COUNT_OF(list), .size = sizeof(struct record),                      \
        .is_operators = (operators)                                                                \
    }

/* Tables of names take numbers, as a field's value is one. */
#define NAMES_OF(function, name, type)                                                             \
    static const char *function(uint32_t value)                                                    \
    {                                                                                              \
        return name((enum type)value);                                                             \
    }

NAMES_OF(policy_name_at, ha_policy_name, ha_policy)
NAMES_OF(loss_name_at, ha_loss_name, ha_loss)
NAMES_OF(phase_name_at, ha_phase_name, ha_phase)
NAMES_OF(proof_name_at, ha_proof_name, ha_proof)
NAMES_OF(fate_phase_name_at, ha_fate_phase_name, ha_fate_phase)
NAMES_OF(report_state_name_at, ha_report_state_name, ha_report_state)
NAMES_OF(vm_end_name_at, ha_vm_end_name, world_vm_end)
NAMES_OF(watchdog_name_at, ha_watchdog_name, world_watchdog)
NAMES_OF(err_name_at, err_name, err)
NAMES_OF(ask_name_at, ha_ask_name, ha_ask)
NAMES_OF(rung_state_name_at, ha_rung_state_name, ha_rung_state)

/* The error of a report is an enum of another header, as wide as the others here. */
_Static_assert(sizeof(enum err) == sizeof(uint32_t) && sizeof(enum ha_phase) == sizeof(uint32_t),
               "enums are read and written as uint32_t");

static const struct ha_field restart_fields[] = {
    NUMBER(ha_restart_rule, delay_ms, HA_TYPE_U32, 0, HOUR_MS, 500),
    NUMBER(ha_restart_rule, delay_max_ms, HA_TYPE_U32, 0, HOUR_MS, 60000),
    NUMBER(ha_restart_rule, here_max, HA_TYPE_U32, 1, 1000, 3),
    NUMBER(ha_restart_rule, limit, HA_TYPE_U32, 1, 1000, 10),
    NUMBER(ha_restart_rule, window_s, HA_TYPE_U32, 1, 7 * DAY_S, 3600),
    NUMBER(ha_restart_rule, stable_s, HA_TYPE_U32, 1, DAY_S, 600),
};

static bool check_asks(const void *check)
{
    return ((const struct ha_check *)check)->ask != HA_ASK_NOTHING;
}

static bool check_is_call(const void *check)
{
    enum ha_ask ask = ((const struct ha_check *)check)->ask;

    return ask == HA_ASK_TCP || ask == HA_ASK_HTTP;
}

static bool check_is_http(const void *check)
{
    return ((const struct ha_check *)check)->ask == HA_ASK_HTTP;
}

#define CHECK_NUMBER(member, low, high, given, when)                                               \
    {                                                                                              \
        FIELD(ha_check, member, #member, HA_TYPE_U32), .least = (low), .most = (high),             \
                                                       .preset = (given), .applies = (when)        \
    }

static const struct ha_field check_fields[] = {
    CHOICE(ha_check, ask, ask_name_at, HA_ASKS),
    {FIELD(ha_check, command, "command", HA_TYPE_COMMAND)},
    CHARS(ha_check, address, HA_TYPE_WORD),
    CHECK_NUMBER(port, 0, 65535, 0, check_is_call),
    CHARS(ha_check, path, HA_TYPE_WORD),
    CHECK_NUMBER(status, 0, 599, 0, check_is_http),
    CHECK_NUMBER(delay_ms, 0, HOUR_MS, 0, check_asks),
    CHECK_NUMBER(period_ms, 500, HOUR_MS, 10000, check_asks),
    CHECK_NUMBER(timeout_ms, 100, HOUR_MS, 3000, check_asks),
    CHECK_NUMBER(failures, 1, 1000, 3, check_asks),
    CHECK_NUMBER(successes, 1, 1000, 1, check_asks),
};

static const struct ha_table check_table = TABLE(ha_check, check_fields, true);

static bool vm_has_startup(const void *vm)
{
    return check_asks(&((const struct ha_vm *)vm)->startup);
}

static bool vm_has_liveness(const void *vm)
{
    return check_asks(&((const struct ha_vm *)vm)->liveness);
}

static bool vm_has_readiness(const void *vm)
{
    return check_asks(&((const struct ha_vm *)vm)->readiness);
}

static const struct ha_table restart_table = TABLE(ha_restart_rule, restart_fields, true);

static const struct ha_field vm_fields[] = {
    CHARS_NEEDED(ha_vm, name, HA_TYPE_NAME),
    {FIELD(ha_vm, is_wanted, "desired", HA_TYPE_WANTED), .preset = true},
    COUNTER(ha_vm, start_count),
    CHARS(ha_vm, move_to, HA_TYPE_NAME),
    FLAG(ha_vm, moves_offline, "move_offline", false),
    CHOICE(ha_vm, policy, policy_name_at, HA_POLICIES),
    CHOICE(ha_vm, on_storage_loss, loss_name_at, HA_LOSSES),
    NUMBER(ha_vm, storage_loss_ms, HA_TYPE_U32, 0, HOUR_MS, 60000),
    NUMBER(ha_vm, priority, HA_TYPE_U32, 0, 1000, 100),
    NUMBER_NEEDED(ha_vm, memory_mib, HA_TYPE_U32, 1, MEMORY_MIB_MAX),
    NUMBER(ha_vm, cpus, HA_TYPE_U32, 1, CPUS_MAX, 1),
    CHARS_NEEDED(ha_vm, volume, HA_TYPE_WORD),
    CHARS(ha_vm, storage, HA_TYPE_NAME),
    {FIELD(ha_vm, allowed, "allowed", HA_TYPE_NAMES)},
    {FIELD(ha_vm, preferred, "preferred", HA_TYPE_NAMES)},
    {FIELD(ha_vm, sites, "sites", HA_TYPE_NAMES)},
    {FIELD(ha_vm, with, "with", HA_TYPE_NAMES)},
    {FIELD(ha_vm, apart, "apart", HA_TYPE_NAMES)},
    {FIELD(ha_vm, after, "after", HA_TYPE_NAMES)},
    {FIELD(ha_vm, restart, "restart", HA_TYPE_OBJECT), .table = &restart_table},
    NUMBER(ha_vm, stop_ms, HA_TYPE_U32, 0, HOUR_MS, 30000),
    NUMBER(ha_vm, start_ms, HA_TYPE_U32, 100, HOUR_MS, 60000),
    NUMBER(ha_vm, move_ms, HA_TYPE_U32, 1000, DAY_S * 1000, 300000),
    NUMBER(ha_vm, move_pause_ms, HA_TYPE_U32, 1, 60000, 300),
    NUMBER(ha_vm, mute_ms, HA_TYPE_U32, 0, HOUR_MS, 60000),
    {FIELD(ha_vm, startup, "startup", HA_TYPE_OBJECT), .table = &check_table,
     .applies = vm_has_startup},
    {FIELD(ha_vm, liveness, "liveness", HA_TYPE_OBJECT), .table = &check_table,
     .applies = vm_has_liveness},
    {FIELD(ha_vm, readiness, "readiness", HA_TYPE_OBJECT), .table = &check_table,
     .applies = vm_has_readiness},
    {FIELD(ha_vm, definition, "definition", HA_TYPE_RAW)},
};

static const struct ha_field host_fields[] = {
    CHARS_NEEDED(ha_host, name, HA_TYPE_NAME),
    CHARS(ha_host, site, HA_TYPE_NAME),
    NUMBER(ha_host, memory_mib, HA_TYPE_U32, 0, MEMORY_MIB_MAX, 0),
    NUMBER(ha_host, cpus, HA_TYPE_U32, 0, CPUS_MAX, 0),
    FLAG(ha_host, is_enabled, "enabled", true),
    FLAG(ha_host, is_bare_metal, "bare_metal", false),
    {FIELD(ha_host, storages, "storages", HA_TYPE_NAMES)},
    COUNTER(ha_host, fence_count),
    {FIELD(ha_host, n_levels, "levels", HA_TYPE_LEVELS)},
};

static const struct ha_field device_fields[] = {
    CHARS_NEEDED(ha_device, name, HA_TYPE_NAME),
    CHARS_NEEDED(ha_device, agent, HA_TYPE_NAME),
    FLAG(ha_device, is_outlet, "outlet", false),
    NUMBER(ha_device, timeout_ms, HA_TYPE_U32, 100, 600000, 20000),
    {FIELD(ha_device, n_parameters, "parameters", HA_TYPE_PARAMETERS)},
};

static const struct ha_field storage_fields[] = {
    CHARS_NEEDED(ha_storage, name, HA_TYPE_NAME),
    CHARS_NEEDED(ha_storage, type, HA_TYPE_NAME),
    CHARS_NEEDED(ha_storage, path, HA_TYPE_WORD),
    NUMBER(ha_storage, flight_ms, HA_TYPE_U32, 0, HOUR_MS, 5000),
};

static const struct ha_field settings_fields[] = {
    NUMBER(ha_settings, lease_ms, HA_TYPE_U32, 1000, 600000, 9000),
    NUMBER(ha_settings, drift_ppm, HA_TYPE_U32, 1, 100000, 1000),
    NUMBER(ha_settings, fence_delay_ms, HA_TYPE_U32, 0, 60000, 100),
    NUMBER(ha_settings, fence_priority_delay_ms, HA_TYPE_U32, 0, 60000, 0),
    NUMBER(ha_settings, fence_retry_ms, HA_TYPE_U32, 100, 600000, 2000),
    NUMBER(ha_settings, storm_percent, HA_TYPE_U32, 1, 49, 30),
    NUMBER(ha_settings, storm_s, HA_TYPE_U32, 1, DAY_S, 600),
    NUMBER(ha_settings, quarantine_losses, HA_TYPE_U32, 1, 1000, 3),
    NUMBER(ha_settings, quarantine_s, HA_TYPE_U32, 1, 7 * DAY_S, 1800),
    NUMBER(ha_settings, starts_at_once, HA_TYPE_U32, 1, 1000, 4),
    NUMBER(ha_settings, cpu_percent, HA_TYPE_U32, 10, 10000, 400),
    NUMBER(ha_settings, expiry_max_ms, HA_TYPE_U32, 1000, 2 * HOUR_MS, 30000),
    NUMBER(ha_settings, spare_hosts, HA_TYPE_U32, 0, 3, 0),
};

static const struct ha_field confirmed_fields[] = {
    CHARS_NEEDED(ha_confirmed, host, HA_TYPE_NAME),
    CHARS_NEEDED(ha_confirmed, incident, HA_TYPE_NAME),
    CHARS_NEEDED(ha_confirmed, by, HA_TYPE_TEXT),
    CHARS_NEEDED(ha_confirmed, reason, HA_TYPE_TEXT),
};

static bool owner_is_moving(const void *record)
{
    return ((const struct ha_owner *)record)->phase == HA_MOVING;
}

static bool owner_has_issued(const void *record)
{
    return ((const struct ha_owner *)record)->issued > ((const struct ha_owner *)record)->epoch;
}

static bool owner_has_moved(const void *record)
{
    return ((const struct ha_owner *)record)->moves > 0;
}

static const struct ha_field owner_fields[] = {
    CHARS_NEEDED(ha_owner, vm, HA_TYPE_NAME),
    CHOICE_NEEDED(ha_owner, phase, phase_name_at, HA_PHASES),
    CHARS(ha_owner, host, HA_TYPE_NAME),
    COUNTER(ha_owner, epoch),
    {FIELD(ha_owner, issued, "issued", HA_TYPE_U64), .most = UINT64_MAX,
     .applies = owner_has_issued},
    CHARS(ha_owner, to, HA_TYPE_NAME),
    CHARS(ha_owner, address, HA_TYPE_WORD),
    {FIELD(ha_owner, port, "port", HA_TYPE_U32), .most = UINT16_MAX, .applies = owner_is_moving},
    {FIELD(ha_owner, moves, "moves", HA_TYPE_U64), .most = UINT64_MAX, .applies = owner_has_moved},
    CHARS(ha_owner, moved_from, HA_TYPE_NAME),
    {FIELD(ha_owner, move_ms, "move_ms", HA_TYPE_U32), .most = UINT32_MAX,
     .applies = owner_has_moved},
    {FIELD(ha_owner, move_pause_ms, "move_pause_ms", HA_TYPE_U32), .most = UINT32_MAX,
     .applies = owner_has_moved},
    COUNTER(ha_owner, term),
    CHOICE(ha_owner, proof, proof_name_at, HA_PROOFS),
    CHOICE(ha_owner, policy, policy_name_at, HA_POLICIES),
    CHARS(ha_owner, volume, HA_TYPE_WORD),
    CHARS(ha_owner, storage, HA_TYPE_NAME),
    CHARS(ha_owner, path, HA_TYPE_WORD),
    NUMBER(ha_owner, failures, HA_TYPE_U32, 0, UINT32_MAX, 0),
    NUMBER(ha_owner, here, HA_TYPE_U32, 0, UINT32_MAX, 0),
    COUNTER(ha_owner, restarts),
    COUNTER(ha_owner, start_count),
    CHARS(ha_owner, incident, HA_TYPE_NAME),
    CHARS(ha_owner, reason, HA_TYPE_TEXT),
};

static const struct ha_field fate_fields[] = {
    CHARS_NEEDED(ha_fate, host, HA_TYPE_NAME),
    CHOICE_NEEDED(ha_fate, phase, fate_phase_name_at, HA_HOST_PHASES),
    CHOICE(ha_fate, proof, proof_name_at, HA_PROOFS),
    COUNTER(ha_fate, term),
    COUNTER(ha_fate, boot),
    CHARS(ha_fate, incident, HA_TYPE_NAME),
    NUMBER(ha_fate, losses, HA_TYPE_U32, 0, UINT32_MAX, 0),
    FLAG(ha_fate, is_quarantined, "quarantined", false),
    FLAG(ha_fate, is_tripped, "tripped", false),
    NUMBER(ha_fate, attempts, HA_TYPE_U32, 0, UINT32_MAX, 0),
    FLAG(ha_fate, is_asked, "asked", false),
    COUNTER(ha_fate, fence_count),
    CHARS(ha_fate, reason, HA_TYPE_TEXT),
};

static const struct ha_field agent_fields[] = {
    CHARS_NEEDED(ha_agent_record, host, HA_TYPE_NAME),
    {FIELD(ha_agent_record, member, "member", HA_TYPE_ID), .is_required = true},
    COUNTER(ha_agent_record, boot),
    NUMBER(ha_agent_record, memory_mib, HA_TYPE_U32, 0, UINT32_MAX, 0),
    NUMBER(ha_agent_record, cpus, HA_TYPE_U32, 0, UINT32_MAX, 0),
    CHOICE(ha_agent_record, watchdog, watchdog_name_at, WORLD_WATCHDOG_STATES),
    NUMBER(ha_agent_record, watchdog_ms, HA_TYPE_U32, 0, UINT32_MAX, 0),
    {FIELD(ha_agent_record, storages, "storages", HA_TYPE_NAMES)},
};

static bool report_has_ended(const void *record)
{
    return ((const struct ha_report *)record)->state == HA_REPORT_STOPPED;
}

static bool report_waits(const void *record)
{
    return ((const struct ha_report *)record)->state == HA_REPORT_WAITS;
}

static bool report_is_moved(const void *record)
{
    return ((const struct ha_report *)record)->state == HA_REPORT_MOVED;
}

static bool report_is_about_move(const void *record)
{
    return ((const struct ha_report *)record)->to_epoch != 0;
}
static const struct ha_field rung_fields[] = {
    CHOICE(ha_rung_view, state, rung_state_name_at, HA_RUNG_STATES),
    COUNTER(ha_rung_view, since_ms),
    CHARS(ha_rung_view, answer, HA_TYPE_TEXT),
};

static const struct ha_table rung_table = TABLE(ha_rung_view, rung_fields, false);

/* One that nobody asks is left out, and so are those of a machine that does not run. */
#define RUNG_APPLIES(function, rung)                                                               \
    static bool function(const void *record)                                                       \
    {                                                                                              \
        const struct ha_report *r = record;                                                        \
        return !report_has_ended(r) && r->rungs[rung].state != HA_RUNG_UNASKED;                    \
    }

RUNG_APPLIES(report_has_qmp, HA_RUNG_QMP)
RUNG_APPLIES(report_has_agent, HA_RUNG_AGENT)
RUNG_APPLIES(report_has_startup, HA_RUNG_STARTUP)
RUNG_APPLIES(report_has_liveness, HA_RUNG_LIVENESS)
RUNG_APPLIES(report_has_readiness, HA_RUNG_READINESS)

#define RUNG(rung, key, when)                                                                      \
    {                                                                                              \
        FIELD(ha_report, rungs[rung], key, HA_TYPE_OBJECT), .table = &rung_table,                  \
                                                            .applies = (when)                      \
    }

static const struct ha_field report_fields[] = {
    CHARS_NEEDED(ha_report, host, HA_TYPE_NAME),
    CHARS_NEEDED(ha_report, vm, HA_TYPE_NAME),
    NUMBER_NEEDED(ha_report, epoch, HA_TYPE_U64, 1, UINT64_MAX),
    COUNTER(ha_report, boot),
    CHOICE_NEEDED(ha_report, state, report_state_name_at, HA_REPORT_STATES),
    {FIELD(ha_report, end, "end", HA_TYPE_ENUM), .name_of = vm_end_name_at,
     .values = WORLD_VM_CRASHED + 1, .applies = report_has_ended},
    {FIELD(ha_report, error, "error", HA_TYPE_ENUM), .name_of = err_name_at, .values = ERR_COUNT,
     .applies = report_has_ended},
    FLAG(ha_report, lost_storage, "lost_storage", false),
    {FIELD(ha_report, to_epoch, "to_epoch", HA_TYPE_U64), .most = UINT64_MAX,
     .applies = report_is_about_move},
    CHARS(ha_report, address, HA_TYPE_WORD),
    {FIELD(ha_report, port, "port", HA_TYPE_U32), .most = UINT16_MAX, .applies = report_waits},
    {FIELD(ha_report, move_ms, "move_ms", HA_TYPE_U32), .most = UINT32_MAX,
     .applies = report_is_moved},
    {FIELD(ha_report, move_pause_ms, "move_pause_ms", HA_TYPE_U32), .most = UINT32_MAX,
     .applies = report_is_moved},
    {FIELD(ha_report, is_unwell, "unwell", HA_TYPE_BOOL), .applies = report_has_ended},
    CHARS(ha_report, detail, HA_TYPE_TEXT),
    RUNG(HA_RUNG_QMP, "qmp", report_has_qmp),
    RUNG(HA_RUNG_AGENT, "agent", report_has_agent),
    RUNG(HA_RUNG_STARTUP, "startup", report_has_startup),
    RUNG(HA_RUNG_LIVENESS, "liveness", report_has_liveness),
    RUNG(HA_RUNG_READINESS, "readiness", report_has_readiness),
};

static const struct ha_field step_fields[] = {
    COUNTER(ha_step, at_ms),           COUNTER(ha_step, took_ms),
    COUNTER(ha_step, epoch),           CHARS(ha_step, what, HA_TYPE_TEXT),
    CHARS(ha_step, who, HA_TYPE_TEXT), CHARS(ha_step, detail, HA_TYPE_TEXT),
};

static const struct ha_table step_table = TABLE(ha_step, step_fields, false);

static const struct ha_field incident_fields[] = {
    CHARS_NEEDED(ha_incident, id, HA_TYPE_NAME),
    CHARS(ha_incident, trace, HA_TYPE_TEXT),
    CHARS(ha_incident, host, HA_TYPE_NAME),
    COUNTER(ha_incident, opened_wall_ms),
    COUNTER(ha_incident, unheard_ms),
    FLAG(ha_incident, is_closed, "closed", false),
    {FIELD(ha_incident, n_steps, "steps", HA_TYPE_STEPS), .table = &step_table},
};

static const struct ha_field event_fields[] = {
    NUMBER_NEEDED(ha_event, number, HA_TYPE_U64, 0, UINT64_MAX),
    COUNTER(ha_event, wall_ms),
    CHARS(ha_event, what, HA_TYPE_TEXT),
    CHARS(ha_event, host, HA_TYPE_TEXT),
    CHARS(ha_event, vm, HA_TYPE_TEXT),
    CHARS(ha_event, incident, HA_TYPE_TEXT),
    CHARS(ha_event, detail, HA_TYPE_TEXT),
};

static const struct ha_field sight_fields[] = {
    CHARS_NEEDED(ha_sight, device, HA_TYPE_NAME),
    COUNTER(ha_sight, revision),
};

static const struct ha_table tables[HA_KINDS] = {
    [HA_VM] = TABLE(ha_vm, vm_fields, true),
    [HA_HOST] = TABLE(ha_host, host_fields, true),
    [HA_DEVICE] = TABLE(ha_device, device_fields, true),
    [HA_STORAGE] = TABLE(ha_storage, storage_fields, true),
    [HA_SETTINGS] = TABLE(ha_settings, settings_fields, true),
    [HA_CONFIRMED] = TABLE(ha_confirmed, confirmed_fields, true),
    [HA_OWNER] = TABLE(ha_owner, owner_fields, false),
    [HA_FATE] = TABLE(ha_fate, fate_fields, false),
    [HA_AGENT] = TABLE(ha_agent_record, agent_fields, false),
    [HA_REPORT] = TABLE(ha_report, report_fields, false),
    [HA_INCIDENT] = TABLE(ha_incident, incident_fields, false),
    [HA_EVENT] = TABLE(ha_event, event_fields, false),
    [HA_SIGHT] = TABLE(ha_sight, sight_fields, false),
};

const struct ha_table *ha_table_of(enum ha_kind kind)
{
    CHECK(kind < HA_KINDS);
    return &tables[kind];
}

size_t ha_record_size(enum ha_kind kind)
{
    return ha_table_of(kind)->size;
}
