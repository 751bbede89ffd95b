/*
 * The schema of the configuration's file, and complaints about what does not fit it. libcyaml says
 * what is wrong and where through its log; the first line of that and the innermost place become
 * one sentence, and to an unknown key belongs the known one that looks most like it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cyaml/cyaml.h>

#include "core/base/check.h"
#include "novacrond/daemon_config_int.h"

#define STRING_MAX 1000

/* Those of the QEMU driver, and of a host's record. */
#define MACHINE_FOLDERS_MAX  8
#define MACHINE_STORAGES_MAX 32

#define LINE_BYTES   256
#define OPTIONAL     (CYAML_FLAG_OPTIONAL)
#define OPTIONAL_PTR (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

#define TEXT(key, type, member)                                                                    \
    CYAML_FIELD_STRING_PTR(key, OPTIONAL_PTR, struct type, member, 1, STRING_MAX)

const char *const daemon_role_names[] = {"member", "agent", NULL};
const char *const daemon_state_names[] = {"new", "existing", NULL};
const char *const daemon_timing_names[] = {"lan", "stretch", NULL};
const char *const daemon_level_names[] = {"info", "warn", "error", "debug", NULL};
const char *const daemon_format_names[] = {"text", "json", NULL};

static const cyaml_strval_t role_values[] = {{"member", 0}, {"agent", 1}};
static const cyaml_strval_t state_values[] = {{"new", 0}, {"existing", 1}};
static const cyaml_strval_t timing_values[] = {{"lan", 0}, {"stretch", 1}};
static const cyaml_strval_t level_values[] = {{"info", 0}, {"warn", 1}, {"error", 2}, {"debug", 3}};
static const cyaml_strval_t kind_values[] = {
    {"tcp", APP_TCP}, {"http", APP_HTTP}, {"command", APP_COMMAND}};
static const cyaml_strval_t format_values[] = {{"text", 0}, {"json", 1}};

static const cyaml_strval_t accel_values[] = {{"auto", 0}, {"kvm", 1}, {"tcg", 2}};

static const cyaml_schema_field_t tls_fields[] = {
    TEXT("ca", daemon_tls_settings, ca),
    TEXT("cert", daemon_tls_settings, cert),
    TEXT("key", daemon_tls_settings, key),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t member_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct daemon_member_settings, name, 1,
                           STRING_MAX),
    CYAML_FIELD_STRING_PTR("peer", CYAML_FLAG_POINTER, struct daemon_member_settings, peer, 1,
                           STRING_MAX),
    TEXT("id", daemon_member_settings, id),
    CYAML_FIELD_BOOL("witness", OPTIONAL, struct daemon_member_settings, witness),
    CYAML_FIELD_UINT_PTR("priority", OPTIONAL_PTR, struct daemon_member_settings, priority),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t member_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct daemon_member_settings, member_fields),
};

static const cyaml_schema_field_t cluster_fields[] = {
    TEXT("name", daemon_cluster_settings, name),
    TEXT("id", daemon_cluster_settings, id),
    CYAML_FIELD_ENUM("state", OPTIONAL | CYAML_FLAG_STRICT, struct daemon_cluster_settings, state,
                     state_values, COUNT_OF(state_values)),
    CYAML_FIELD_SEQUENCE("members", OPTIONAL_PTR, struct daemon_cluster_settings, members,
                         &member_value, 0, NODE_PEERS_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t peer_fields[] = {
    TEXT("listen", daemon_peer_settings, listen),
    TEXT("advertise", daemon_peer_settings, advertise),
    CYAML_FIELD_BOOL("allow_plaintext", OPTIONAL, struct daemon_peer_settings, allow_plaintext),
    CYAML_FIELD_MAPPING("tls", OPTIONAL, struct daemon_peer_settings, tls, tls_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t client_fields[] = {
    TEXT("listen", daemon_client_settings, listen),
    TEXT("advertise", daemon_client_settings, advertise),
    CYAML_FIELD_BOOL("allow_plaintext", OPTIONAL, struct daemon_client_settings, allow_plaintext),
    CYAML_FIELD_BOOL("require_certificate", OPTIONAL, struct daemon_client_settings,
                     require_certificate),
    CYAML_FIELD_MAPPING("tls", OPTIONAL, struct daemon_client_settings, tls, tls_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t log_fields[] = {
    CYAML_FIELD_ENUM("level", OPTIONAL | CYAML_FLAG_STRICT, struct daemon_log_settings, level,
                     level_values, COUNT_OF(level_values)),
    CYAML_FIELD_ENUM("format", OPTIONAL | CYAML_FLAG_STRICT, struct daemon_log_settings, format,
                     format_values, COUNT_OF(format_values)),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t tracing_fields[] = {
    TEXT("endpoint", daemon_tracing_settings, endpoint),
    TEXT("ratio", daemon_tracing_settings, ratio),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t word_value = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, STRING_MAX),
};

static const cyaml_schema_field_t probe_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct daemon_probe_settings, name, 1,
                           STRING_MAX),
    CYAML_FIELD_ENUM("kind", CYAML_FLAG_STRICT, struct daemon_probe_settings, kind, kind_values,
                     COUNT_OF(kind_values)),
    TEXT("target", daemon_probe_settings, target),
    TEXT("host", daemon_probe_settings, host),
    TEXT("status", daemon_probe_settings, status),
    TEXT("text", daemon_probe_settings, text),
    CYAML_FIELD_SEQUENCE("command", OPTIONAL_PTR, struct daemon_probe_settings, command,
                         &word_value, 0, WORLD_COMMAND_STRINGS_MAX),
    CYAML_FIELD_UINT("period_ms", OPTIONAL, struct daemon_probe_settings, period_ms),
    CYAML_FIELD_UINT("timeout_ms", OPTIONAL, struct daemon_probe_settings, timeout_ms),
    CYAML_FIELD_UINT("failures", OPTIONAL, struct daemon_probe_settings, failures),
    CYAML_FIELD_UINT("successes", OPTIONAL, struct daemon_probe_settings, successes),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t probe_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct daemon_probe_settings, probe_fields),
};

static const cyaml_schema_field_t health_fields[] = {
    TEXT("keys", daemon_health_settings, keys),
    TEXT("site", daemon_health_settings, site),
    CYAML_FIELD_BOOL("off", OPTIONAL, struct daemon_health_settings, off),
    CYAML_FIELD_SEQUENCE("probes", OPTIONAL_PTR, struct daemon_health_settings, probes,
                         &probe_value, 0, HEALTH_APPS_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t string_value = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, STRING_MAX),
};

static const cyaml_schema_field_t machines_fields[] = {
    TEXT("run_dir", daemon_machines_settings, run_dir),
    CYAML_FIELD_SEQUENCE("folders", OPTIONAL_PTR, struct daemon_machines_settings, folders,
                         &string_value, 0, MACHINE_FOLDERS_MAX),
    CYAML_FIELD_SEQUENCE("storages", OPTIONAL_PTR, struct daemon_machines_settings, storages,
                         &string_value, 0, MACHINE_STORAGES_MAX),
    TEXT("guard", daemon_machines_settings, guard),
    TEXT("move_address", daemon_machines_settings, move_address),
    CYAML_FIELD_UINT("memory_mib", OPTIONAL, struct daemon_machines_settings, memory_mib),
    CYAML_FIELD_UINT("cpus", OPTIONAL, struct daemon_machines_settings, cpus),
    CYAML_FIELD_ENUM("accel", OPTIONAL | CYAML_FLAG_STRICT, struct daemon_machines_settings, accel,
                     accel_values, COUNT_OF(accel_values)),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t top_fields[] = {
    TEXT("name", daemon_settings, name),
    CYAML_FIELD_ENUM("role", OPTIONAL | CYAML_FLAG_STRICT, struct daemon_settings, role,
                     role_values, COUNT_OF(role_values)),
    TEXT("id", daemon_settings, id),
    TEXT("data_dir", daemon_settings, data_dir),
    CYAML_FIELD_MAPPING("cluster", OPTIONAL, struct daemon_settings, cluster, cluster_fields),
    CYAML_FIELD_MAPPING("peer", OPTIONAL, struct daemon_settings, peer, peer_fields),
    CYAML_FIELD_MAPPING("client", OPTIONAL, struct daemon_settings, client, client_fields),
    CYAML_FIELD_ENUM("timing", OPTIONAL | CYAML_FLAG_STRICT, struct daemon_settings, timing,
                     timing_values, COUNT_OF(timing_values)),
    CYAML_FIELD_UINT("quota_mib", OPTIONAL, struct daemon_settings, quota_mib),
    CYAML_FIELD_UINT("snapshot_entries", OPTIONAL, struct daemon_settings, snapshot_entries),
    CYAML_FIELD_MAPPING("log", OPTIONAL, struct daemon_settings, log, log_fields),
    CYAML_FIELD_MAPPING("tracing", OPTIONAL, struct daemon_settings, tracing, tracing_fields),
    CYAML_FIELD_MAPPING("health", OPTIONAL, struct daemon_settings, health, health_fields),
    CYAML_FIELD_MAPPING("machines", OPTIONAL, struct daemon_settings, machines, machines_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t top_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct daemon_settings, top_fields),
};

/* --- complaints ------------------------------------------------------------------------------ */

struct complaint {
    char what[LINE_BYTES];
    char outer[LINE_BYTES]; /* the fields around the place, inside out: "tls", "peer" */
    unsigned long line;
};

static void complaint_take(struct complaint *c, char *text)
{
    static const char prefix[] = "Load: ";
    text[strcspn(text, "\n")] = '\0';
    if (strncmp(text, prefix, strlen(prefix)) == 0) {
        if (c->what[0] == '\0' && strstr(text, "Backtrace") == NULL) {
            (void)snprintf(c->what, sizeof c->what, "%s", text + strlen(prefix));
        }
        return;
    }
    const char *line = strstr(text, "(line: ");
    if (line != NULL && c->line == 0) {
        c->line = strtoul(line + strlen("(line: "), NULL, 10);
    }
    char *field = strstr(text, "field '");
    if (field == NULL) {
        return;
    }
    field += strlen("field '");
    field[strcspn(field, "'")] = '\0';
    size_t at = strlen(c->outer);
    (void)snprintf(c->outer + at, sizeof c->outer - at, "%s%s", at > 0 ? " of " : "", field);
}

__attribute__((format(printf, 3, 0))) static void schema_log(cyaml_log_t level, void *ctx,
                                                             const char *format, va_list args)
{
    char text[LINE_BYTES];
    if (level >= CYAML_LOG_ERROR) {
        (void)vsnprintf(text, sizeof text, format, args);
        complaint_take(ctx, text);
    }
}

#define WORD_MAX 32

/* Insertions, deletions and exchanges that make one word of another. */
static size_t word_distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1];
    size_t lb = strlen(b);
    if (strlen(a) > WORD_MAX || lb > WORD_MAX) {
        return WORD_MAX;
    }
    for (size_t k = 0; k <= lb; k++) {
        row[k] = k;
    }
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < lb; k++) {
            size_t exchanged = corner + (a[i] != b[k]);
            corner = row[k + 1];
            size_t moved = (row[k] < row[k + 1] ? row[k] : row[k + 1]) + 1;
            row[k + 1] = exchanged < moved ? exchanged : moved;
        }
    }
    return row[lb];
}

static const struct {
    const char *name; /* as it ends the list of outer fields */
    const cyaml_schema_field_t *fields;
} sections[] = {
    {"tls", tls_fields},           {"members", member_fields},  {"cluster", cluster_fields},
    {"probes", probe_fields},      {"peer", peer_fields},       {"client", client_fields},
    {"log", log_fields},           {"tracing", tracing_fields}, {"health", health_fields},
    {"machines", machines_fields},
};

/* The keys that could stand where one was not understood. */
static const cyaml_schema_field_t *section_of(const char *outer)
{
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        if (strncmp(outer, sections[i].name, strlen(sections[i].name)) == 0) {
            return sections[i].fields;
        }
    }
    return top_fields;
}

static void say_keys(const cyaml_schema_field_t *fields, const char *key, char *text, size_t n)
{
    const char *nearest = NULL;
    size_t best = 4; /* more than three changes make another word */
    size_t at = 0;
    for (const cyaml_schema_field_t *f = fields; f->key != NULL; f++) {
        size_t distance = word_distance(key, f->key);
        if (distance < best) {
            best = distance;
            nearest = f->key;
        }
    }
    if (nearest != NULL) {
        (void)snprintf(text, n, "did you mean \"%s\"?", nearest);
        return;
    }
    at += (size_t)snprintf(text, n, "known here:");
    for (const cyaml_schema_field_t *f = fields; f->key != NULL && at < n; f++) {
        at += (size_t)snprintf(text + at, n - at, " %s", f->key);
    }
}

static void say_values(const char *field, char *text, size_t n)
{
    static const struct {
        const char *field;
        const char *values;
    } known[] = {
        {"role", "write member or agent"},
        {"state", "write new or existing"},
        {"timing", "write lan or stretch"},
        {"level", "write error, warn, info or debug"},
        {"format", "write text or json"},
        {"accel", "write auto, kvm or tcg"},
        {"memory_mib", "write a number of MiB"},
        {"cpus", "write a number"},
        {"quota_mib", "write a number of MiB"},
        {"snapshot_entries", "write a number"},
        {"allow_plaintext", "write true or false"},
        {"require_certificate", "write true or false"},
        {"off", "write true or false"},
        {"kind", "write tcp, http or command"},
        {"command", "write a list: the program's path, then its arguments"},
        {"period_ms", "write a number of milliseconds"},
        {"timeout_ms", "write a number of milliseconds"},
        {"failures", "write a number"},
        {"successes", "write a number"},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        size_t len = strlen(known[i].field);
        if (strncmp(field, known[i].field, len) == 0 && (field[len] == '\0' || field[len] == ' ')) {
            (void)snprintf(text, n, "%s", known[i].values);
        }
    }
}

static void complaint_tell(const struct complaint *c, const char *name, cyaml_err_t e, char *why)
{
    static const char unknown[] = "Unexpected key: ";
    static const char missing[] = "Missing required mapping field: ";
    static const char twice[] = "Mapping field already seen";
    char fix[LINE_BYTES] = "see docs/novacrond.md";
    char place[LINE_BYTES] = "";
    if (c->outer[0] != '\0') {
        (void)snprintf(place, sizeof place, " (in %.200s)", c->outer);
    }
    if (strncmp(c->what, unknown, strlen(unknown)) == 0) {
        const char *key = c->what + strlen(unknown);
        say_keys(section_of(c->outer), key, fix, sizeof fix);
        (void)snprintf(why, DAEMON_WHY_BYTES, "%s:%lu: unknown key \"%.64s\"%.128s; %.200s", name,
                       c->line, key, place, fix);
        return;
    }
    if (strncmp(c->what, missing, strlen(missing)) == 0) {
        (void)snprintf(fix, sizeof fix, "add \"%.64s: ...\"", c->what + strlen(missing));
    } else if (strncmp(c->what, twice, strlen(twice)) == 0) {
        (void)snprintf(fix, sizeof fix, "take one of the two out");
    } else {
        say_values(c->outer, fix, sizeof fix);
    }
    (void)snprintf(why, DAEMON_WHY_BYTES, "%s:%lu: %.160s%.128s; %.128s", name, c->line,
                   c->what[0] != '\0' ? c->what : cyaml_strerror(e), place, fix);
}

/* --- loading --------------------------------------------------------------------------------- */

static const cyaml_config_t quiet = {.mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};

enum err daemon_schema_load(const char *name, struct bytes text, char why[DAEMON_WHY_BYTES],
                            struct daemon_settings **ret)
{
    struct complaint c = {0};
    cyaml_config_t config = quiet;
    cyaml_data_t *loaded = NULL;
    config.log_fn = schema_log;
    config.log_ctx = &c;
    cyaml_err_t e = cyaml_load_data(text.data, text.len, &config, &top_value, &loaded, NULL);
    if (e == CYAML_OK && loaded != NULL) {
        *ret = loaded;
        return OK;
    }
    if (e == CYAML_OK) {
        (void)snprintf(why, DAEMON_WHY_BYTES, "%s is empty; see docs/novacrond.md for an example",
                       name);
    } else {
        complaint_tell(&c, name, e, why);
    }
    return ERR_INVALID;
}

void daemon_schema_free(struct daemon_settings *settings)
{
    CHECK(cyaml_free(&quiet, &top_value, settings, 0) == CYAML_OK);
}

char *daemon_string(const char *text, size_t len)
{
    char *copy = cyaml_mem(NULL, NULL, len + 1);
    CHECK(copy != NULL);
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}
