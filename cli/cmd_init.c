/* `novacron cluster init`: the files of a new cluster's members, from a few words. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "api/json_wire.h"
#include "cli/command.h"
#include "cli/health_keys.h"
#include "cli/member_file.h"
#include "core/base/say.h"
#include "pki/pki.h"

/* The options, in the order of the table. */
enum {
    INIT_DIR,
    INIT_PLAINTEXT,
    INIT_WITNESS,
    INIT_LEADER,
    INIT_DATA_DIR,
    INIT_ETC,
    INIT_TIMING,
    INIT_JSON
};

#define CA_DAYS            3650
#define SECONDS_PER_DAY    86400
#define HEAD_START_SECONDS 3600
#define PRIORITY_PREFERRED 200

struct init {
    struct member_words members[CLI_ARGUMENTS_MAX];
    size_t count;
    struct member_file file;
    const char *dir;
    char ca[MEMBER_PATH_BYTES];
    char keys[MEMBER_PATH_BYTES]; /* of health */
    char why[DAEMON_WHY_BYTES];
};

static enum cli_exit init_failed(const char *why, enum err e)
{
    (void)fprintf(stderr, "novacron cluster init: %s\n", why);
    return e == ERR_INVALID ? CLI_USAGE : CLI_UNREADABLE;
}

static struct member_words *init_find(struct init *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->members[i].name, name) == 0) {
            return &s->members[i];
        }
    }
    return NULL;
}

/* Two members at one place are a cluster that never begins. */
static enum err init_places(struct init *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct member_words *m = &s->members[i];
        for (size_t k = 0; k < i; k++) {
            const struct member_words *other = &s->members[k];
            if (m->peer.port == other->peer.port && strcmp(m->peer.host, other->peer.host) == 0) {
                (void)snprintf(s->why, sizeof s->why,
                               "%s and %s are both at %s, port %u for peers; on one host, write "
                               "NAME=HOST:PEER_PORT:CLIENT_PORT",
                               other->name, m->name, m->peer.host, m->peer.port);
                return ERR_INVALID;
            }
        }
    }
    return OK;
}

static enum err init_words(struct init *s, const struct cli_call *call)
{
    const char *witness = call->options[INIT_WITNESS];
    const char *leader = call->options[INIT_LEADER];
    for (size_t i = 1; i < CLI_ARGUMENTS_MAX && call->arguments[i] != NULL; i++) {
        struct member_words *m = &s->members[s->count];
        if (!member_words_parse(call->arguments[i], NULL, m) || init_find(s, m->name) != NULL) {
            (void)snprintf(s->why, sizeof s->why,
                           "\"%.80s\" is no NAME=HOST, NAME=HOST:PEER_PORT:CLIENT_PORT, or it is "
                           "there twice",
                           call->arguments[i]);
            return ERR_INVALID;
        }
        s->count++;
    }
    const char *named[] = {witness, leader};
    for (size_t i = 0; i < COUNT_OF(named); i++) {
        struct member_words *m = named[i] != NULL ? init_find(s, named[i]) : NULL;
        if (named[i] != NULL && m == NULL) {
            (void)snprintf(s->why, sizeof s->why, "there is no member \"%.80s\"", named[i]);
            return ERR_INVALID;
        }
        if (m != NULL && i == 0) {
            m->is_witness = true;
        } else if (m != NULL) {
            m->priority = PRIORITY_PREFERRED;
        }
    }
    return OK;
}

/* All are composed and checked before the first is written. */
static enum err init_check(struct init *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct buf text;
        buf_init(&text);
        s->file.own = &s->members[i];
        enum err e = member_file_compose(&s->file, &text, s->why);
        buf_deinit(&text);
        TRY(e);
    }
    return OK;
}

static enum err init_authority(struct init *s)
{
    int64_t now = (int64_t)time(NULL);
    const struct pki_span span = {now - HEAD_START_SECONDS,
                                  now + CA_DAYS * (int64_t)SECONDS_PER_DAY};
    TRY(pki_init(s->ca, s->file.cluster_name, span, s->why));
    return member_certify(s->ca, s->dir, MEMBER_ADMIN, "", s->why);
}

static enum err init_write(struct init *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct member_words *m = &s->members[i];
        struct buf text;
        buf_init(&text);
        s->file.own = m;
        enum err e = member_file_compose(&s->file, &text, s->why);
        e = e == OK ? member_file_write(s->dir, m->name, buf_view(&text), s->why) : e;
        buf_deinit(&text);
        TRY(e);
        TRY(health_keys_copy(s->keys, s->dir, m->name, s->why));
        if (s->file.has_certificates) {
            TRY(member_certify(s->ca, s->dir, m->name, m->peer.host, s->why));
        }
    }
    return OK;
}

/* Made if it is missing; not what lies above it. */
static enum err init_directory(struct init *s)
{
    if (mkdir(s->dir, S_IRWXU | S_IRGRP | S_IXGRP) != 0 && errno != EEXIST) {
        (void)snprintf(s->why, sizeof s->why, "%.200s cannot be made: %s", s->dir, strerror(errno));
        return ERR_IO;
    }
    return OK;
}

static void init_explain(const struct init *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const char *name = s->members[i].name;
        (void)printf("%s/%s/  belongs into %s on %s\n", s->dir, name, s->file.etc,
                     s->members[i].peer.host);
    }
    if (s->file.has_certificates) {
        (void)printf(
            "%s/admin/  is for `novacron --cacert ca.crt --cert admin.crt --key admin.key`\n"
            "%s/ca.key  lets anybody in: keep it off the members; `cluster join` needs it\n",
            s->dir, s->ca);
    }
    (void)printf("%s  is what hosts watch each other with; `cluster join` needs it, too\n",
                 s->keys);
    (void)printf(
        "Then, on each: novacrond --config %s/novacrond.yaml. The cluster begins when all of "
        "them run.\n",
        s->file.etc);
}

static void init_explain_json(const struct init *s)
{
    struct buf b;
    buf_init(&b);
    say(&b, "{\"etc\":");
    json_put_string(&b, s->file.etc);
    if (s->file.has_certificates) {
        say(&b, ",\"ca\":");
        json_put_string(&b, s->ca);
    }
    say(&b, ",\"health_keys\":");
    json_put_string(&b, s->keys);
    say(&b, ",\"members\":[");
    for (size_t i = 0; i < s->count; i++) {
        char dir[MEMBER_PATH_BYTES];
        (void)snprintf(dir, sizeof dir, "%s/%s", s->dir, s->members[i].name);
        say(&b, i > 0 ? ",{\"name\":" : "{\"name\":");
        json_put_string(&b, s->members[i].name);
        say(&b, ",\"host\":");
        json_put_string(&b, s->members[i].peer.host);
        say(&b, ",\"dir\":");
        json_put_string(&b, dir);
        say(&b, "}");
    }
    say(&b, "]}\n");
    (void)fwrite(b.data, 1, b.len, stdout);
    buf_deinit(&b);
}

enum cli_exit cmd_cluster_init(const struct cli_call *call)
{
    struct init s = {.dir = call->options[INIT_DIR] != NULL ? call->options[INIT_DIR] : "."};
    const char *etc = call->options[INIT_ETC];
    const char *data_dir = call->options[INIT_DATA_DIR];
    enum err e = init_words(&s, call);
    s.file = (struct member_file){.cluster_name = call->arguments[0],
                                  .is_new = true,
                                  .members = s.members,
                                  .count = s.count,
                                  .has_certificates = call->options[INIT_PLAINTEXT] == NULL,
                                  .has_health_keys = true,
                                  .etc = etc != NULL ? etc : MEMBER_ETC,
                                  .data_dir = data_dir != NULL ? data_dir : MEMBER_DATA_DIR,
                                  .timing = call->options[INIT_TIMING]};
    if (snprintf(s.ca, sizeof s.ca, "%s/ca", s.dir) >= (int)sizeof s.ca) {
        return init_failed("the directory's name is too long", ERR_INVALID);
    }
    health_keys_place(s.file.has_certificates ? s.ca : NULL, s.dir, s.keys);
    e = e == OK ? init_places(&s) : e;
    e = e == OK ? init_check(&s) : e;
    e = e == OK ? init_directory(&s) : e;
    e = e == OK && s.file.has_certificates ? init_authority(&s) : e;
    e = e == OK ? health_keys_make(s.keys, s.why) : e;
    e = e == OK ? init_write(&s) : e;
    if (e != OK) {
        return init_failed(s.why, e);
    }
    if (call->options[INIT_JSON] != NULL) {
        init_explain_json(&s);
    } else {
        init_explain(&s);
    }
    return CLI_OK;
}
