#include "cli/member_file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/check.h"
#include "pki/pki.h"

#define CERTIFICATE_DAYS   730
#define SECONDS_PER_DAY    86400
#define HEAD_START_SECONDS 3600 /* clocks of members may be behind ours */
#define CA_BYTES_MAX       65536

/* --- words ----------------------------------------------------------------------------------- */

static bool word_is_plain(const char *text, size_t len, const char *also)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '.' || strchr(also, c) != NULL;
        if (!is_plain) {
            return false;
        }
    }
    return len > 0;
}

/* ":PORT" at `*at`, if it is there. */
static bool port_take(const char **at, uint16_t *port)
{
    char *end = NULL;
    if (**at != ':') {
        return true;
    }
    unsigned long number = strtoul(*at + 1, &end, 10);
    if (end == *at + 1 || number == 0 || number > UINT16_MAX) {
        return false;
    }
    *port = (uint16_t)number;
    *at = end;
    return true;
}

bool member_words_parse(const char *text, const char *name, struct member_words *ret)
{
    struct member_words w = {.client_port = MEMBER_CLIENT_PORT, .priority = -1};
    const char *equals = strchr(text, '=');
    const char *host = name != NULL ? text : equals != NULL ? equals + 1 : "";
    size_t name_len = name != NULL ? strlen(name) : equals != NULL ? (size_t)(equals - text) : 0;
    bool is_bracketed = host[0] == '[';
    size_t host_len = strcspn(host + (is_bracketed ? 1 : 0), is_bracketed ? "]" : ":");
    const char *at = host + host_len + (is_bracketed ? 1 : 0);
    host += is_bracketed ? 1 : 0;
    w.peer.port = MEMBER_PEER_PORT;
    if (is_bracketed && *at++ != ']') {
        return false;
    }
    if (name == NULL) {
        name = text;
    }
    /* It is a folder's name, too. */
    if (!word_is_plain(name, name_len, "_") || name_len >= sizeof w.name || name[0] == '.' ||
        !word_is_plain(host, host_len, is_bracketed ? ":" : "") || host_len >= sizeof w.peer.host ||
        !port_take(&at, &w.peer.port) || !port_take(&at, &w.client_port) || *at != '\0') {
        return false;
    }
    memcpy(w.name, name, name_len);
    memcpy(w.peer.host, host, host_len);
    *ret = w;
    return true;
}

/* --- the text -------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void line_put(struct buf *b, const char *format, ...)
{
    char line[2 * MEMBER_PATH_BYTES];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    CHECK(n >= 0 && (size_t)n < sizeof line);
    buf_put(b, line, (size_t)n);
}

static bool host_is_numeric(const char *host)
{
    struct in6_addr ignored;
    return inet_pton(AF_INET, host, &ignored) == 1 || inet_pton(AF_INET6, host, &ignored) == 1;
}

/* "host:port", an IPv6 address in brackets. */
static void endpoint_put(const char *host, uint16_t port, char text[WORLD_HOST_MAX_BYTES + 16])
{
    bool has_colon = strchr(host, ':') != NULL;
    (void)snprintf(text, WORLD_HOST_MAX_BYTES + 16, "%s%.64s%s:%u", has_colon ? "[" : "", host,
                   has_colon ? "]" : "", port);
}

static void listed_put(const struct member_file *f, struct buf *b)
{
    char at[WORLD_HOST_MAX_BYTES + 16];
    for (size_t i = 0; i < f->count; i++) {
        const struct member_words *m = &f->members[i];
        endpoint_put(m->peer.host, m->peer.port, at);
        line_put(b, "    - name: %s\n      peer: \"%s\"\n", m->name, at);
        if (m->id != 0) {
            line_put(b, "      id: \"%llx\"\n", (unsigned long long)m->id);
        }
        if (m->is_witness && f->is_new) {
            line_put(b, "      witness: true\n");
        }
        if (m->priority >= 0 && f->is_new) {
            line_put(b, "      priority: %d\n", m->priority);
        }
    }
}

static void tls_put(const struct member_file *f, bool is_plain_allowed, struct buf *b)
{
    if (f->has_certificates) {
        line_put(b,
                 "  tls:\n    ca: \"%s/ca.crt\"\n    cert: \"%s/%s.crt\"\n    key: \"%s/%s.key\"\n",
                 f->etc, f->etc, f->own->name, f->etc, f->own->name);
    } else if (is_plain_allowed) {
        line_put(b, "  allow_plaintext: true\n");
    }
}

static void file_put(const struct member_file *f, struct buf *b)
{
    const struct member_words *own = f->own;
    char at[WORLD_HOST_MAX_BYTES + 16];
    const char *listen = host_is_numeric(own->peer.host) ? own->peer.host : "0.0.0.0";
    bool is_plain = !f->has_certificates && !daemon_is_loopback(listen);
    line_put(b,
             "# The %s %s, as `novacron cluster %s` wrote it. docs/novacrond.md lists the "
             "settings.\nname: %s\n",
             f->is_agent ? "host" : "member", own->name, f->is_new ? "init" : "join", own->name);
    if (f->is_agent) {
        line_put(b, "role: agent\n");
    } else if (own->id != 0) {
        line_put(b, "id: \"%llx\"\n", (unsigned long long)own->id);
    }
    line_put(b, "data_dir: \"%s\"\ncluster:\n", f->data_dir);
    if (f->cluster_name != NULL) {
        line_put(b, "  name: %s\n", f->cluster_name);
    }
    if (f->cluster_id != 0) {
        line_put(b, "  id: \"%llx\"\n", (unsigned long long)f->cluster_id);
    }
    line_put(b, "  state: %s\n  members:\n", f->is_new ? "new" : "existing");
    listed_put(f, b);
    endpoint_put(listen, own->peer.port, at);
    line_put(b, "peer:\n  listen: \"%s\"\n", at);
    endpoint_put(own->peer.host, own->peer.port, at);
    line_put(b, "  advertise: \"%s\"\n", at);
    tls_put(f, is_plain, b);
    endpoint_put(listen, own->client_port, at);
    line_put(b, "client:\n  listen: \"%s\"\n", at);
    endpoint_put(own->peer.host, own->client_port, at);
    line_put(b, "  advertise: \"http%s://%s\"\n", f->has_certificates ? "s" : "", at);
    line_put(b, "%s", f->has_certificates ? "  require_certificate: true\n" : "");
    tls_put(f, is_plain, b);
    if (f->has_health_keys) {
        line_put(b, "health:\n  keys: \"%s/health.keys\"\n", f->etc);
    }
    if (f->timing != NULL) {
        line_put(b, "timing: %s\n", f->timing);
    }
    if (f->is_agent) {
        line_put(b, "machines:\n  run_dir: " MEMBER_RUN_DIR "\n  folders: [" MEMBER_IMAGES "]\n"
                    "  guard: " MEMBER_GUARD "\n");
    }
}

/* Whether it can have a certificate: found out before anything is written. */
static enum err names_check(const struct member_words *own, char why[DAEMON_WHY_BYTES])
{
    const char *host = own->peer.host;
    const struct pki_member member = {.name = own->name, .hosts = &host, .host_count = 1};
    _Static_assert(DAEMON_WHY_BYTES >= PKI_WHY_BYTES, "one buffer for both");
    if (strcmp(own->name, MEMBER_ADMIN) == 0) {
        (void)snprintf(why, DAEMON_WHY_BYTES,
                       "no member is called \"%s\": that certificate is for whoever runs "
                       "`novacron`",
                       MEMBER_ADMIN);
        return ERR_INVALID;
    }
    return pki_names_check(&member, why);
}

enum err member_file_compose(const struct member_file *f, struct buf *text,
                             char why[DAEMON_WHY_BYTES])
{
    const char *words[] = {f->etc, f->data_dir, f->cluster_name != NULL ? f->cluster_name : "x",
                           f->timing != NULL ? f->timing : "lan"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strlen(words[i]) >= MEMBER_PATH_BYTES / 4 ||
            !word_is_plain(words[i], strlen(words[i]), "_/+@")) {
            (void)snprintf(why, DAEMON_WHY_BYTES, "\"%.80s\": letters, digits and \"/_-.+@\" alone",
                           words[i]);
            return ERR_INVALID;
        }
    }
    if (f->has_certificates) {
        TRY(names_check(f->own, why));
    }
    struct daemon_config config;
    file_put(f, text);
    enum err e = daemon_config_parse("novacrond.yaml", buf_view(text), NULL, why, &config);
    if (e == OK) {
        daemon_config_free(&config);
    }
    return e;
}

/* --- files ----------------------------------------------------------------------------------- */

static enum err file_failed(const char *what, const char *path, char *why)
{
    (void)snprintf(why, DAEMON_WHY_BYTES, "cannot %s %.300s: %.100s", what, path, strerror(errno));
    return errno == EEXIST ? ERR_EXISTS : ERR_IO;
}

enum err member_dir_make(const char *dir, const char *name, char why[DAEMON_WHY_BYTES])
{
    char path[MEMBER_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    bool is_made =
        (mkdir(dir, 0755) == 0 || errno == EEXIST) && (mkdir(path, 0700) == 0 || errno == EEXIST);
    return is_made ? OK : file_failed("make", path, why);
}

static enum err file_put_new(const char *path, struct bytes text, char *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        return file_failed("make", path, why);
    }
    bool is_whole = write(fd, text.data, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    is_whole = close(fd) == 0 && is_whole;
    if (!is_whole) {
        enum err e = file_failed("write", path, why);
        (void)unlink(path);
        return e;
    }
    return OK;
}

enum err member_file_write(const char *dir, const char *name, struct bytes text,
                           char why[DAEMON_WHY_BYTES])
{
    char path[MEMBER_PATH_BYTES];
    TRY(member_dir_make(dir, name, why));
    (void)snprintf(path, sizeof path, "%s/%s/novacrond.yaml", dir, name);
    return file_put_new(path, text, why);
}

/* How many bytes it has; 0: it cannot be read, or is too long. */
static size_t authority_read(const char *path, uint8_t bytes[CA_BYTES_MAX])
{
    FILE *f = fopen(path, "re");
    size_t n = f != NULL ? fread(bytes, 1, CA_BYTES_MAX, f) : 0;
    bool is_read = f != NULL && ferror(f) == 0 && n < CA_BYTES_MAX;
    if (f != NULL) {
        (void)fclose(f);
    }
    return is_read ? n : 0;
}

static enum err authority_copy(const char *ca, const char *dir, const char *name, char *why)
{
    char from[MEMBER_PATH_BYTES];
    char to[MEMBER_PATH_BYTES];
    uint8_t bytes[CA_BYTES_MAX];
    uint8_t there[CA_BYTES_MAX];
    (void)snprintf(from, sizeof from, "%s/ca.crt", ca);
    (void)snprintf(to, sizeof to, "%s/%s/ca.crt", dir, name);
    size_t n = authority_read(from, bytes);
    if (n == 0) {
        return file_failed("read", from, why);
    }
    enum err e = file_put_new(to, (struct bytes){bytes, n}, why);
    bool is_copied = e == ERR_EXISTS && authority_read(to, there) == n &&
                     memcmp(bytes, there, n) == 0; /* by an attempt before */
    return is_copied ? OK : e;
}

enum err member_certify(const char *ca, const char *dir, const char *name, const char *host,
                        char why[DAEMON_WHY_BYTES])
{
    static const char *const suffixes[] = {"crt", "key"};
    const char *hosts[] = {host, "localhost", "127.0.0.1"};
    int64_t now = (int64_t)time(NULL);
    const struct pki_member member = {
        .name = name,
        .hosts = hosts,
        .host_count = host[0] != '\0' ? COUNT_OF(hosts) : 0,
        .span = {now - HEAD_START_SECONDS, now + CERTIFICATE_DAYS * (int64_t)SECONDS_PER_DAY}};
    TRY(member_dir_make(dir, name, why));
    TRY(pki_issue(ca, &member, why));
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        char from[MEMBER_PATH_BYTES];
        char to[MEMBER_PATH_BYTES];
        (void)snprintf(from, sizeof from, "%s/%s.%s", ca, name, suffixes[i]);
        (void)snprintf(to, sizeof to, "%s/%s/%s.%s", dir, name, name, suffixes[i]);
        if (rename(from, to) != 0) {
            return file_failed("move", from, why);
        }
    }
    return authority_copy(ca, dir, name, why);
}
