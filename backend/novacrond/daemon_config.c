#include "novacrond/daemon_config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/otlp/otlp_export.h"
#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/ha/ha_record.h"
#include "core/ha/ha_session.h"
#include "core/monitoring/health/swim.h"
#include "novacrond/daemon_config_int.h"

#define FILE_BYTES_MAX (1024 * 1024)
#define QUOTA_MIB      2048
#define QUOTA_MIB_MIN  16
#define QUOTA_MIB_MAX  (1024 * 1024)

/* Of calls that nobody else traces: one in a thousand. */
#define TRACE_RATIO "0.001"

_Static_assert(ETCD_QUOTA_BYTES == QUOTA_MIB * 1024ULL * 1024ULL, "etcd's quota is the default");

/* What the checks share. */
struct checking {
    const char *name;
    struct bytes text;
    char *why;
    struct daemon_config *config;
};

/* The line of the file in which the setting `path` ("peer.listen") begins; 0: it is not there. */
static unsigned long line_of(struct bytes text, const char *path)
{
    const char *dot = strchr(path, '.');
    size_t outer = dot != NULL ? (size_t)(dot - path) : 0;
    bool is_inside = outer == 0;
    unsigned long line = 1;
    for (size_t at = 0; at < text.len; line++) {
        const char *begin = (const char *)text.data + at;
        const char *end = memchr(begin, '\n', text.len - at);
        size_t len = end != NULL ? (size_t)(end - begin) : text.len - at;
        size_t indent = 0;
        at += len + 1;
        while (indent < len && (begin[indent] == ' ' || begin[indent] == '-')) {
            indent++;
        }
        if (outer > 0 && indent == 0 && len > 0) {
            is_inside = len > outer && memcmp(begin, path, outer) == 0 && begin[outer] == ':';
        }
        const char *key = dot != NULL ? dot + 1 : path;
        size_t key_len = strlen(key);
        if (is_inside && (outer == 0) == (indent == 0) && len > indent + key_len &&
            memcmp(begin + indent, key, key_len) == 0 && begin[indent + key_len] == ':') {
            return line;
        }
    }
    return 0;
}

/* Says what is wrong with a setting, and returns ERR_INVALID. */
__attribute__((format(printf, 3, 4))) static enum err complain(const struct checking *c,
                                                               const char *path, const char *format,
                                                               ...)
{
    unsigned long line = line_of(c->text, path);
    va_list args;
    int at = line > 0 ? snprintf(c->why, DAEMON_WHY_BYTES, "%s:%lu: %s: ", c->name, line, path)
                      : snprintf(c->why, DAEMON_WHY_BYTES, "%s: %s: ", c->name, path);
    va_start(args, format);
    if (at > 0 && at < DAEMON_WHY_BYTES) {
        (void)vsnprintf(c->why + at, (size_t)(DAEMON_WHY_BYTES - at), format, args);
    }
    va_end(args);
    return ERR_INVALID;
}

/* --- addresses and ids ----------------------------------------------------------------------- */

bool daemon_endpoint_parse(const char *text, struct world_endpoint *ret)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    if (colon == NULL || colon == text || colon[1] < '0' || colon[1] > '9') {
        return false;
    }
    unsigned long port = strtoul(colon + 1, &end, 10);
    const char *host = text;
    size_t len = (size_t)(colon - text);
    if (host[0] == '[' && host[len - 1] == ']' && len > 2) {
        host++;
        len -= 2;
    } else if (memchr(host, ':', len) != NULL) {
        return false;
    }
    if (*end != '\0' || port == 0 || port > UINT16_MAX || len >= sizeof ret->host ||
        memchr(host, '/', len) != NULL) {
        return false;
    }
    memset(ret, 0, sizeof *ret);
    memcpy(ret->host, host, len);
    ret->port = (uint16_t)port;
    return true;
}

bool daemon_is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

static bool is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

uint64_t daemon_id_of(const char *cluster, const char *name)
{
    uint64_t id = hash_bytes(hash_bytes(1, cluster, strlen(cluster)), name, strlen(name));
    return id != 0 ? id : 1;
}

static bool id_parse(const char *text, uint64_t *ret)
{
    char *end = NULL;
    errno = 0;
    unsigned long long id = strtoull(text, &end, 16);
    if (*end != '\0' || errno != 0 || id == 0 || text[0] == '-' || text[0] == '+') {
        return false;
    }
    *ret = id;
    return true;
}

static enum err check_endpoint(const struct checking *c, const char *path, const char *text,
                               struct world_endpoint *ret)
{
    if (text == NULL) {
        return complain(c, path, "is missing; write the address and port, as in 10.0.0.1:2380");
    }
    if (!daemon_endpoint_parse(text, ret)) {
        return complain(c, path, "\"%.80s\" is no host:port; write it as in 10.0.0.1:2380", text);
    }
    return OK;
}

/* --- sections -------------------------------------------------------------------------------- */

static enum err check_names(const struct checking *c)
{
    struct daemon_settings *s = c->config->settings;
    if (s->name == NULL) {
        return complain(c, "name", "is missing; write what this member is called, as in host-1");
    }
    if (strlen(s->name) >= WORLD_HOST_MAX_BYTES) {
        return complain(c, "name", "is longer than %d bytes", WORLD_HOST_MAX_BYTES - 1);
    }
    if (s->data_dir == NULL) {
        return complain(c, "data_dir", "is missing; write a directory on a disk of its own");
    }
    if (s->cluster.name == NULL && s->cluster.id == NULL) {
        return complain(c, "cluster.name", "is missing; write the same on all members");
    }
    if (s->cluster.name != NULL) {
        c->config->cluster = daemon_id_of(s->cluster.name, "");
    }
    if (s->cluster.id != NULL && !id_parse(s->cluster.id, &c->config->cluster)) {
        return complain(c, "cluster.id", "\"%.40s\" is no id; write up to 16 hexadecimal digits",
                        s->cluster.id);
    }
    return OK;
}

static enum err check_tls(const struct checking *c, const char *path,
                          const struct daemon_tls_settings *tls)
{
    int count = (tls->ca != NULL) + (tls->cert != NULL) + (tls->key != NULL);
    if (count != 0 && (tls->cert == NULL || tls->key == NULL)) {
        return complain(c, path,
                        "is incomplete; write ca, cert and key, which `novacron ca issue` "
                        "makes");
    }
    return OK;
}

static enum err check_listed(const struct checking *c, uint32_t i)
{
    const struct daemon_settings *s = c->config->settings;
    const struct daemon_member_settings *m = &s->cluster.members[i];
    struct node_peer *peer = &c->config->peers[i];
    if (s->cluster.name == NULL && m->id == NULL) {
        return complain(c, "cluster.members",
                        "%.64s has no id, and without a cluster.name none can be made", m->name);
    }
    peer->id = s->cluster.name != NULL ? daemon_id_of(s->cluster.name, m->name) : 0;
    if (m->id != NULL && !id_parse(m->id, &peer->id)) {
        return complain(c, "cluster.members",
                        "the id \"%.40s\" of %.64s is none; write up to 16 "
                        "hexadecimal digits",
                        m->id, m->name);
    }
    if (!daemon_endpoint_parse(m->peer, &peer->at)) {
        return complain(c, "cluster.members",
                        "\"%.80s\" of %.64s is no host:port; write it as in "
                        "10.0.0.1:2380",
                        m->peer, m->name);
    }
    if (strlen(m->name) >= sizeof peer->name) {
        return complain(c, "cluster.members", "the name %.64s... is too long", m->name);
    }
    (void)snprintf(peer->name, sizeof peer->name, "%s", m->name);
    for (uint32_t k = 0; k < i; k++) {
        if (c->config->peers[k].id == peer->id ||
            strcmp(s->cluster.members[k].name, m->name) == 0) {
            return complain(c, "cluster.members", "%.64s is there twice; take one out", m->name);
        }
    }
    return OK;
}

/* Who votes with data and who without, and who shall rather lead. */
static enum err check_founders(const struct checking *c)
{
    struct daemon_config *config = c->config;
    const struct daemon_member_settings *members = config->settings->cluster.members;
    uint32_t witnesses = 0;
    for (uint32_t i = 0; i < config->peer_count; i++) {
        witnesses += members[i].witness ? 1 : 0;
        if (members[i].priority != NULL && *members[i].priority > UINT8_MAX) {
            return complain(c, "cluster.members",
                            "the priority of %.64s is no number from 0 (never leads) to %d",
                            members[i].name, UINT8_MAX);
        }
    }
    if (!config->founds) {
        return OK;
    }
    if (witnesses > 0 && 2 * witnesses >= config->peer_count) {
        return complain(c, "cluster.members",
                        "%u of %u are witnesses, which hold no data; more members must hold them",
                        witnesses, config->peer_count);
    }
    for (uint32_t i = 0; i < config->peer_count; i++) {
        uint8_t roles = members[i].witness ? RAFT_VOTER | RAFT_WITNESS
                        : witnesses > 0    ? RAFT_VOTER | RAFT_IN_SYNC
                                           : RAFT_VOTER;
        struct raft_member *m =
            raft_membership_insert(&config->founders, config->peers[i].id, roles);
        if (members[i].priority != NULL) {
            m->priority = (uint8_t)*members[i].priority;
        }
    }
    return OK;
}

/* An agent names the members that may serve it, and is none of them; its id is made of the
 * cluster's and its name, which its certificate bears. */
static enum err check_agent(const struct checking *c, bool is_listed)
{
    struct daemon_config *config = c->config;
    const struct daemon_settings *s = config->settings;
    if (is_listed) {
        return complain(c, "cluster.members",
                        "%.64s is among them; a host that is a member runs machines as such: take "
                        "\"role: agent\" out",
                        s->name);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->cluster.members_count; i++) {
        n += s->cluster.members[i].witness ? 0 : 1;
    }
    if (n == 0 || n > HA_SESSION_VOTERS_MAX) {
        return complain(c, "cluster.members",
                        "has %u that hold data; write the members that vote, from one to %d", n,
                        HA_SESSION_VOTERS_MAX);
    }
    if (s->id != NULL) {
        return complain(c, "id", "is of no use: that of an agent is made of its name; take it out");
    }
    if (s->machines.run_dir == NULL) {
        return complain(c, "machines.run_dir",
                        "is missing; an agent is there to run machines: write a directory, better "
                        "on a tmpfs, as in /run/novacron-machines");
    }
    config->is_agent = true;
    config->id = ha_session_id(config->cluster, s->name);
    return OK;
}

static enum err check_members(const struct checking *c)
{
    struct daemon_config *config = c->config;
    const struct daemon_settings *s = config->settings;
    uint32_t own = UINT32_MAX;
    for (uint32_t i = 0; i < s->cluster.members_count; i++) {
        TRY(check_listed(c, i));
        own = strcmp(s->cluster.members[i].name, s->name) == 0 ? i : own;
    }
    config->peer_count = s->cluster.members_count;
    if (s->role == DAEMON_ROLE_AGENT) {
        return check_agent(c, own != UINT32_MAX);
    }
    if (own == UINT32_MAX && s->id == NULL && s->cluster.name == NULL) {
        return complain(c, "id", "is missing; write that which `novacron cluster join` got");
    }
    config->id = own != UINT32_MAX         ? config->peers[own].id
                 : s->cluster.name != NULL ? daemon_id_of(s->cluster.name, s->name)
                                           : 0;
    if (s->id != NULL && !id_parse(s->id, &config->id)) {
        return complain(c, "id",
                        "\"%.40s\" is no id; write up to 16 hexadecimal digits, as "
                        "`novacron member add` printed them",
                        s->id);
    }
    if (own != UINT32_MAX && config->id != config->peers[own].id) {
        return complain(c, "id", "is another than that of %.64s in cluster.members; take one out",
                        s->name);
    }
    bool is_new = s->cluster.state == DAEMON_STATE_NEW;
    if (is_new && own == UINT32_MAX) {
        return complain(c, "cluster.members",
                        "%.64s is not among them; add it, or write \"state: "
                        "existing\" where it joins a running cluster",
                        s->name);
    }
    if (!is_new && s->cluster.members_count == 0) {
        return complain(c, "cluster.members", "is missing; write at least one member that runs");
    }
    config->founds = is_new;
    TRY(check_founders(c));
    if (own != UINT32_MAX) {
        config->peer_advertise = config->peers[own].at;
    }
    return OK;
}

/* "https://host:port"; IPv6 addresses in brackets. */
static void url_put(bool is_tls, const struct world_endpoint *at, char url[ETCD_URL_BYTES_MAX])
{
    const struct world_endpoint copy = *at;
    char text[ETCD_URL_BYTES_MAX];
    bool has_colon = strchr(copy.host, ':') != NULL;
    int n =
        snprintf(text, sizeof text, "http%s://%s%.*s%s:%u", is_tls ? "s" : "", has_colon ? "[" : "",
                 WORLD_HOST_MAX_BYTES - 1, copy.host, has_colon ? "]" : "", copy.port);
    CHECK(n > 0 && (size_t)n < sizeof text);
    memcpy(url, text, (size_t)n + 1);
}

static enum err check_peer(const struct checking *c)
{
    struct daemon_config *config = c->config;
    const struct daemon_peer_settings *p = &config->settings->peer;
    TRY(check_endpoint(c, "peer.listen", p->listen, &config->peer_listen));
    TRY(check_tls(c, "peer.tls", &p->tls));
    if (p->tls.cert != NULL && p->tls.ca == NULL) {
        return complain(c, "peer.tls", "has no ca; write the file of the cluster's own authority");
    }
    if (p->advertise != NULL) {
        TRY(check_endpoint(c, "peer.advertise", p->advertise, &config->peer_advertise));
    } else if (config->peer_advertise.port == 0) {
        config->peer_advertise = config->peer_listen;
    }
    if (is_wildcard(config->peer_advertise.host)) {
        return complain(c, "peer.advertise", "is missing; write where peers reach this member");
    }
    if (p->tls.cert == NULL && !p->allow_plaintext &&
        !daemon_is_loopback(config->peer_listen.host)) {
        return complain(c, "peer.tls",
                        "is missing, and %.64s is no loopback address; write ca, "
                        "cert and key, or \"allow_plaintext: true\" where nobody "
                        "else can listen",
                        config->peer_listen.host);
    }
    url_put(p->tls.cert != NULL, &config->peer_advertise, config->peer_url);
    size_t witnesses = 0;
    for (uint32_t i = 0; i < config->peer_count && witnesses < ETCD_WITNESSES_MAX; i++) {
        if (config->settings->cluster.members[i].witness) {
            url_put(p->tls.cert != NULL, &config->peers[i].at, config->witness_urls[witnesses++]);
        }
    }
    return OK;
}

static enum err check_client_urls(const struct checking *c, const char *list)
{
    size_t count = 0;
    for (const char *at = list; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, ",");
        struct world_endpoint ignored;
        char url[ETCD_URL_BYTES_MAX];
        bool fits = len < sizeof url && count + 1 < ETCD_URLS_MAX;
        (void)snprintf(url, sizeof url, "%.*s", fits ? (int)len : 0, at);
        const char *rest = strncmp(url, "http://", 7) == 0    ? url + 7
                           : strncmp(url, "https://", 8) == 0 ? url + 8
                                                              : "";
        if (!fits || !daemon_endpoint_parse(rest, &ignored)) {
            return complain(c, "client.advertise",
                            "\"%.80s\" is no list of URLs; write it as in "
                            "https://10.0.0.1:2379",
                            list);
        }
        c->config->client_urls[count++] = daemon_string(at, len);
        at = at[len] == ',' ? at + len + 1 : NULL;
    }
    return OK;
}

static enum err check_client(const struct checking *c)
{
    struct daemon_config *config = c->config;
    const struct daemon_client_settings *p = &config->settings->client;
    struct world_endpoint *listen = &config->client_listen;
    char url[ETCD_URL_BYTES_MAX];
    TRY(check_endpoint(c, "client.listen", p->listen, listen));
    TRY(check_tls(c, "client.tls", &p->tls));
    if (p->require_certificate && p->tls.ca == NULL) {
        return complain(c, "client.require_certificate",
                        "needs client.tls.ca: whose certificates?");
    }
    if (p->tls.cert == NULL && !p->allow_plaintext && !daemon_is_loopback(listen->host)) {
        return complain(c, "client.tls",
                        "is missing, and %.64s is no loopback address; write cert "
                        "and key, or \"allow_plaintext: true\" where nobody else "
                        "can listen",
                        listen->host);
    }
    if (p->advertise != NULL) {
        return check_client_urls(c, p->advertise);
    }
    if (is_wildcard(listen->host)) {
        return complain(c, "client.advertise",
                        "is missing; write where clients reach this member, "
                        "as in https://10.0.0.1:2379");
    }
    url_put(p->tls.cert != NULL, listen, url);
    return check_client_urls(c, url);
}

static enum err check_tracing(const struct checking *c)
{
    const struct daemon_tracing_settings *t = &c->config->settings->tracing;
    const char *ratio = t->ratio != NULL ? t->ratio : TRACE_RATIO;
    char why[OTLP_WHY_BYTES];
    char *end = NULL;
    if (t->ratio != NULL && t->endpoint == NULL) {
        return complain(c, "tracing.ratio", "is of no use without tracing.endpoint");
    }
    if (t->endpoint != NULL && otlp_endpoint_check(t->endpoint, why) != OK) {
        return complain(c, "tracing.endpoint", "\"%.80s\" %s", t->endpoint, why);
    }
    c->config->trace_ratio = strtod(ratio, &end);
    bool is_number = end != ratio && *end == '\0' && strspn(ratio, "0123456789.") == strlen(ratio);
    if (!is_number || c->config->trace_ratio > 1) {
        return complain(c, "tracing.ratio",
                        "\"%.40s\" is no part of all calls; write a number "
                        "from 0 to 1",
                        ratio);
    }
    return OK;
}

static enum err check_paths(const struct checking *c, const char *path, char *const *paths,
                            uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (paths[i][0] != '/') {
            return complain(c, path, "\"%.80s\" is no path from the root", paths[i]);
        }
    }
    return OK;
}

/* One at which others find this host: not "any". */
static bool is_numeric_address(const char *text)
{
    struct in6_addr v6;
    struct in_addr v4;

    if (inet_pton(AF_INET, text, &v4) == 1) {
        return v4.s_addr != INADDR_ANY;
    }
    return inet_pton(AF_INET6, text, &v6) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&v6);
}

static enum err check_machines(const struct checking *c)
{
    struct daemon_machines_settings *m = &c->config->settings->machines;
    const bool says_more = m->folders_count > 0 || m->storages_count > 0 || m->guard != NULL ||
                           m->move_address != NULL || m->memory_mib != 0 || m->cpus != 0;

    if (m->run_dir == NULL && says_more) {
        return complain(c, "machines.run_dir",
                        "is missing; write a directory, better on a tmpfs, as in "
                        "/run/novacron-machines");
    }
    if (m->run_dir == NULL) {
        return OK;
    }
    TRY(check_paths(c, "machines.run_dir", &m->run_dir, 1));
    TRY(check_paths(c, "machines.folders", m->folders, m->folders_count));
    TRY(check_paths(c, "machines.guard", &m->guard, m->guard != NULL));
    if (m->folders_count == 0) {
        return complain(c, "machines.folders",
                        "is missing; write the directories in which images may be");
    }
    for (uint32_t i = 0; i < m->storages_count; i++) {
        const struct bytes name = {(const uint8_t *)m->storages[i], strlen(m->storages[i])};
        if (!ha_name_is_valid(name)) {
            return complain(c, "machines.storages", "\"%.64s\" is no name of a storage",
                            m->storages[i]);
        }
    }
    if (m->move_address != NULL && !is_numeric_address(m->move_address)) {
        return complain(c, "machines.move_address",
                        "\"%.64s\" is no numeric address; write one of this host, of a network "
                        "that is trusted",
                        m->move_address);
    }
    const struct bytes host = {(const uint8_t *)c->config->settings->name,
                               strlen(c->config->settings->name)};
    if (!ha_name_is_valid(host)) {
        return complain(c, "name",
                        "a host of machines is called by lower-case letters, digits, '-', '_' and "
                        "'.'");
    }
    return OK;
}

static enum err check_all(const struct checking *c)
{
    struct daemon_settings *s = c->config->settings;
    TRY(check_names(c));
    TRY(check_members(c));
    TRY(check_peer(c));
    TRY(check_client(c));
    TRY(check_tracing(c));
    if (s->health.site != NULL && strlen(s->health.site) > SWIM_SITE_MAX_BYTES) {
        return complain(c, "health.site", "is longer than %d bytes", SWIM_SITE_MAX_BYTES);
    }
    TRY(check_machines(c));
    TRY(daemon_config_check_probes(c->name, c->text, c->why, c->config));
    s->quota_mib = s->quota_mib != 0 ? s->quota_mib : QUOTA_MIB;
    if (s->quota_mib < QUOTA_MIB_MIN || s->quota_mib > QUOTA_MIB_MAX) {
        return complain(c, "quota_mib", "must lie between %d and %d", QUOTA_MIB_MIN, QUOTA_MIB_MAX);
    }
    return OK;
}

/* --- loading --------------------------------------------------------------------------------- */

enum err daemon_config_parse(const char *name, struct bytes text, char *const *env,
                             char why[DAEMON_WHY_BYTES], struct daemon_config *ret)
{
    struct daemon_config config = {0};
    TRY(daemon_schema_load(name, text, why, &config.settings));
    struct checking c = {.name = name, .text = text, .why = why, .config = &config};
    enum err e = daemon_environment_apply(env, config.settings, why);
    if (e == OK) {
        e = check_all(&c);
    }
    if (e != OK) {
        daemon_config_free(&config);
        return e;
    }
    *ret = config;
    return OK;
}

enum err daemon_config_load(const char *path, char why[DAEMON_WHY_BYTES], struct daemon_config *ret)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        (void)snprintf(why, DAEMON_WHY_BYTES, "cannot open %s: %s; name the file with --config",
                       path, strerror(errno));
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_DENIED;
    }
    uint8_t *text = mem_alloc(FILE_BYTES_MAX);
    size_t n = fread(text, 1, FILE_BYTES_MAX, f);
    enum err e = ferror(f) != 0 ? ERR_IO : n == FILE_BYTES_MAX ? ERR_TOO_LARGE : OK;
    (void)fclose(f);
    if (e != OK) {
        (void)snprintf(why, DAEMON_WHY_BYTES, "cannot read %s: %s", path, err_text(e));
    } else {
        e = daemon_config_parse(path, (struct bytes){text, n}, environ, why, ret);
    }
    mem_free(text);
    return e;
}

void daemon_config_free(struct daemon_config *config)
{
    for (size_t i = 0; i < ETCD_URLS_MAX; i++) {
        free(config->client_urls[i]);
        config->client_urls[i] = NULL;
    }
    mem_free(config->probes);
    config->probes = NULL;
    daemon_schema_free(config->settings);
    config->settings = NULL;
}
