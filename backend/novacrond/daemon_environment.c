/* NOVACRON_... variables: each overrides one setting of the file, by its path in capitals. A
 * variable of that prefix which is none of these is an error: it was meant to do something. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/types.h"
#include "novacrond/daemon_config_int.h"

enum variable_kind { VARIABLE_TEXT, VARIABLE_NUMBER, VARIABLE_BOOL, VARIABLE_CHOICE };

struct variable {
    const char *name;
    enum variable_kind kind;
    size_t offset;
    const char *const *choices;
};

#define PREFIX     "NOVACRON_"
#define AT(member) offsetof(struct daemon_settings, member)

static const struct variable variables[] = {
    {"NAME", VARIABLE_TEXT, AT(name), NULL},
    {"ROLE", VARIABLE_CHOICE, AT(role), daemon_role_names},
    {"ID", VARIABLE_TEXT, AT(id), NULL},
    {"DATA_DIR", VARIABLE_TEXT, AT(data_dir), NULL},
    {"CLUSTER_NAME", VARIABLE_TEXT, AT(cluster.name), NULL},
    {"CLUSTER_ID", VARIABLE_TEXT, AT(cluster.id), NULL},
    {"CLUSTER_STATE", VARIABLE_CHOICE, AT(cluster.state), daemon_state_names},
    {"PEER_LISTEN", VARIABLE_TEXT, AT(peer.listen), NULL},
    {"PEER_ADVERTISE", VARIABLE_TEXT, AT(peer.advertise), NULL},
    {"PEER_ALLOW_PLAINTEXT", VARIABLE_BOOL, AT(peer.allow_plaintext), NULL},
    {"PEER_TLS_CA", VARIABLE_TEXT, AT(peer.tls.ca), NULL},
    {"PEER_TLS_CERT", VARIABLE_TEXT, AT(peer.tls.cert), NULL},
    {"PEER_TLS_KEY", VARIABLE_TEXT, AT(peer.tls.key), NULL},
    {"CLIENT_LISTEN", VARIABLE_TEXT, AT(client.listen), NULL},
    {"CLIENT_ADVERTISE", VARIABLE_TEXT, AT(client.advertise), NULL},
    {"CLIENT_ALLOW_PLAINTEXT", VARIABLE_BOOL, AT(client.allow_plaintext), NULL},
    {"CLIENT_REQUIRE_CERTIFICATE", VARIABLE_BOOL, AT(client.require_certificate), NULL},
    {"CLIENT_TLS_CA", VARIABLE_TEXT, AT(client.tls.ca), NULL},
    {"CLIENT_TLS_CERT", VARIABLE_TEXT, AT(client.tls.cert), NULL},
    {"CLIENT_TLS_KEY", VARIABLE_TEXT, AT(client.tls.key), NULL},
    {"TIMING", VARIABLE_CHOICE, AT(timing), daemon_timing_names},
    {"QUOTA_MIB", VARIABLE_NUMBER, AT(quota_mib), NULL},
    {"SNAPSHOT_ENTRIES", VARIABLE_NUMBER, AT(snapshot_entries), NULL},
    {"HEALTH_KEYS", VARIABLE_TEXT, AT(health.keys), NULL},
    {"HEALTH_SITE", VARIABLE_TEXT, AT(health.site), NULL},
    {"HEALTH_OFF", VARIABLE_BOOL, AT(health.off), NULL},
    {"LOG_LEVEL", VARIABLE_CHOICE, AT(log.level), daemon_level_names},
    {"LOG_FORMAT", VARIABLE_CHOICE, AT(log.format), daemon_format_names},
    {"TRACING_ENDPOINT", VARIABLE_TEXT, AT(tracing.endpoint), NULL},
    {"TRACING_RATIO", VARIABLE_TEXT, AT(tracing.ratio), NULL},
};

/* Variables of the tests and of the build, which are nothing to the daemon. */
static const char *const strangers[] = {"SEED", "SCALE"};

static bool set_text(void *at, const char *value)
{
    char **text = at;
    if (value[0] == '\0') {
        return false;
    }
    free(*text); /* cyaml_mem is realloc and free */
    *text = daemon_string(value, strlen(value));
    return true;
}

static bool set_number(void *at, const char *value)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0) {
        return false;
    }
    *(uint64_t *)at = number;
    return true;
}

static bool set_bool(void *at, const char *value)
{
    bool is_true = strcmp(value, "true") == 0;
    if (!is_true && strcmp(value, "false") != 0) {
        return false;
    }
    *(bool *)at = is_true;
    return true;
}

static bool set_choice(void *at, const char *value, const char *const *choices)
{
    for (unsigned i = 0; choices[i] != NULL; i++) {
        if (strcmp(value, choices[i]) == 0) {
            memcpy(at, &i, sizeof i); /* an enum of small numbers */
            return true;
        }
    }
    return false;
}

static bool variable_set(const struct variable *v, struct daemon_settings *settings,
                         const char *value)
{
    void *at = (uint8_t *)settings + v->offset;
    switch (v->kind) {
    case VARIABLE_TEXT:
        return set_text(at, value);
    case VARIABLE_NUMBER:
        return set_number(at, value);
    case VARIABLE_BOOL:
        return set_bool(at, value);
    case VARIABLE_CHOICE:
        return set_choice(at, value, v->choices);
    }
    return false;
}

static void variable_tell(const struct variable *v, const char *value, char *why)
{
    static const char *const fixes[] = {"write something, or unset it", "write a number",
                                        "write true or false", ""};
    size_t at = (size_t)snprintf(why, DAEMON_WHY_BYTES, "%s%s=\"%.64s\" is no value for it; %s",
                                 PREFIX, v->name, value, fixes[v->kind]);
    for (size_t i = 0; v->choices != NULL && v->choices[i] != NULL; i++) {
        at += (size_t)snprintf(why + at, DAEMON_WHY_BYTES - at, "%s%s", i > 0 ? " or " : "write ",
                               v->choices[i]);
    }
}

static const struct variable *variable_find(const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT_OF(variables); i++) {
        if (strlen(variables[i].name) == len && memcmp(variables[i].name, name, len) == 0) {
            return &variables[i];
        }
    }
    return NULL;
}

static bool is_stranger(const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT_OF(strangers); i++) {
        if (strlen(strangers[i]) == len && memcmp(strangers[i], name, len) == 0) {
            return true;
        }
    }
    return false;
}

enum err daemon_environment_apply(char *const *env, struct daemon_settings *settings,
                                  char why[DAEMON_WHY_BYTES])
{
    for (; env != NULL && *env != NULL; env++) {
        const char *equals = strchr(*env, '=');
        if (strncmp(*env, PREFIX, strlen(PREFIX)) != 0 || equals == NULL) {
            continue;
        }
        const char *name = *env + strlen(PREFIX);
        size_t len = (size_t)(equals - name);
        const struct variable *v = variable_find(name, len);
        if (v == NULL && is_stranger(name, len)) {
            continue;
        }
        if (v == NULL) {
            (void)snprintf(why, DAEMON_WHY_BYTES,
                           "%s%.*s in the environment is no setting; unset it, or see "
                           "docs/novacrond.md for those there are",
                           PREFIX, (int)(len < 64 ? len : 64), name);
            return ERR_INVALID;
        }
        if (!variable_set(v, settings, equals + 1)) {
            variable_tell(v, equals + 1, why);
            return ERR_INVALID;
        }
    }
    return OK;
}
