/* `novacron cluster join` and `member replace`: let a new member in, and write its configuration
 * with everything that the running cluster knows. With --agent the one that is written is of a host
 * that runs machines and does not vote: then the cluster is only asked, and not changed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <etcdserverpb.pb-c.h>
#include <novacronpb.pb-c.h>

#include "api/json_wire.h"
#include "api/pb_wire.h"
#include "cli/health_keys.h"
#include "cli/member_file.h"
#include "cli/remote.h"
#include "core/base/say.h"
#include "core/ha/ha_session.h"

/* The options, in the order of the table. */
enum {
    JOIN_DIR = REMOTE_OPTIONS,
    JOIN_CA,
    JOIN_PLAINTEXT,
    JOIN_LEARNER,
    JOIN_WITNESS,
    JOIN_PRIORITY,
    JOIN_DATA_DIR,
    JOIN_ETC,
    JOIN_TIMING,
    JOIN_HEALTH_KEYS,
    JOIN_AGENT /* of `cluster join` alone */
};

/* Of MemberRemoveRequest. */
enum { REMOVE_ID = 1 };

struct join {
    struct remote r;
    struct member_words own;
    struct member_words members[NODE_PEERS_MAX];
    struct member_file file;
    uint64_t replaces; /* 0: nobody */
    uint64_t priority; /* one more than it is to be; 0: as usual */
    const char *dir;
    char keys[MEMBER_PATH_BYTES]; /* of health; read where the file has them */
    char why[DAEMON_WHY_BYTES];
};

static enum cli_exit join_failed(const struct join *s, enum err e)
{
    (void)fprintf(stderr, "novacron %s: %s\n", s->r.command, s->why);
    return e == ERR_INVALID ? CLI_USAGE : CLI_UNREADABLE;
}

/* --- what the cluster says ------------------------------------------------------------------- */

/* Without the scheme, as the configuration has it. */
static bool join_take_member(struct join *s, const Etcdserverpb__Member *m)
{
    struct member_words *w = &s->members[s->file.count];
    const char *url = m->n_peerurls > 0 ? m->peerurls[0] : "";
    const char *at = strstr(url, "://");
    *w = (struct member_words){.id = m->id, .priority = -1};
    if (at == NULL || !daemon_endpoint_parse(at + 3, &w->peer)) {
        return true;
    }
    if (w->peer.port == s->own.peer.port && strcmp(w->peer.host, s->own.peer.host) == 0) {
        (void)snprintf(s->why, sizeof s->why,
                       "member %llx (%.64s) is reached at %.100s already; write another HOST, or "
                       "HOST:PEER_PORT:CLIENT_PORT",
                       (unsigned long long)m->id, m->name[0] != '\0' ? m->name : "not started",
                       at + 3);
        return false;
    }
    if (m->name[0] == '\0') {
        return true; /* it has not begun itself */
    }
    (void)snprintf(w->name, sizeof w->name, "%s", m->name);
    if (strcmp(w->name, s->own.name) == 0) {
        (void)snprintf(s->why, sizeof s->why,
                       "there is a member %s already, with id %llx; to put another in its place: "
                       "`novacron member replace %llx NAME HOST`",
                       w->name, (unsigned long long)m->id, (unsigned long long)m->id);
        return false;
    }
    s->file.count++;
    return true;
}

static enum err join_take_list(struct join *s, const Etcdserverpb__MemberListResponse *list)
{
    bool has_replaced = s->replaces == 0;
    s->file.cluster_id = list->header->cluster_id;
    for (size_t i = 0; i < list->n_members && s->file.count < NODE_PEERS_MAX; i++) {
        if (list->members[i]->id == s->replaces) {
            has_replaced = true;
        } else if (!join_take_member(s, list->members[i])) {
            return ERR_EXISTS;
        }
    }
    if (!has_replaced) {
        (void)snprintf(s->why, sizeof s->why, "there is no member %llx; `member list` has them all",
                       (unsigned long long)s->replaces);
        return ERR_NOT_FOUND;
    }
    return OK;
}

static enum cli_exit join_look(struct join *s)
{
    enum cli_exit e = remote_call(&s->r, "/etcdserverpb.Cluster/MemberList");
    if (e != CLI_OK) {
        return e;
    }
    Etcdserverpb__MemberListResponse *list =
        etcdserverpb__member_list_response__unpack(NULL, s->r.response.len, s->r.response.data);
    enum err result = ERR_CORRUPT;
    (void)snprintf(s->why, sizeof s->why, "the list of members makes no sense");
    if (list != NULL && list->header != NULL) {
        result = join_take_list(s, list);
    }
    if (list != NULL) {
        etcdserverpb__member_list_response__free_unpacked(list, NULL);
    }
    return result == OK ? CLI_OK : join_failed(s, result);
}

/* With which key do hosts watch each other? "": with none of their own; a member that does not tell
 * watches nobody, or is of an earlier release, and keys that are there do no harm. */
static enum cli_exit join_look_keys(struct join *s, const struct cli_call *call)
{
    const char *given = call->options[JOIN_HEALTH_KEYS];
    char ignored[DAEMON_WHY_BYTES];
    enum err e = OK;
    if (given != NULL) {
        (void)snprintf(s->keys, sizeof s->keys, "%s", given);
    } else {
        health_keys_place(call->options[JOIN_CA], s->dir, s->keys);
    }
    buf_clear(&s->r.request);
    if (!remote_try(&s->r, "/novacronpb.Health/Members", ignored, sizeof ignored)) {
        s->file.has_health_keys = given != NULL || health_keys_exist(s->keys);
        return CLI_OK;
    }
    Novacronpb__MembersResponse *all =
        novacronpb__members_response__unpack(NULL, s->r.response.len, s->r.response.data);
    if (all == NULL) {
        return remote_failed(&s->r, "the answer makes no sense");
    }
    s->file.has_health_keys = all->key[0] != '\0';
    if (s->file.has_health_keys) {
        e = health_keys_check(s->keys, all->key, s->why);
    } else if (given != NULL) {
        (void)snprintf(s->why, sizeof s->why, "the cluster's hosts use no health.keys");
        e = ERR_INVALID;
    }
    novacronpb__members_response__free_unpacked(all, NULL);
    return e == OK ? CLI_OK : join_failed(s, e);
}

/* --- the changes ----------------------------------------------------------------------------- */

static enum cli_exit join_remove(struct join *s)
{
    buf_clear(&s->r.request);
    pb_put_varint(&s->r.request, REMOVE_ID, s->replaces);
    enum cli_exit e = remote_call(&s->r, "/etcdserverpb.Cluster/MemberRemove");
    if (e == CLI_OK && !s->r.json) {
        (void)printf("%llx is removed; it must not run again with the disk that it has\n",
                     (unsigned long long)s->replaces);
    }
    return e;
}

static enum cli_exit join_add(struct join *s, const struct cli_call *call)
{
    char url[WORLD_HOST_MAX_BYTES + 32];
    bool has_colon = strchr(s->own.peer.host, ':') != NULL;
    (void)snprintf(url, sizeof url, "http%s://%s%s%s:%u", s->file.has_certificates ? "s" : "",
                   has_colon ? "[" : "", s->own.peer.host, has_colon ? "]" : "", s->own.peer.port);
    const struct remote_added member = {.name = s->own.name,
                                        .url = url,
                                        .is_learner = call->options[JOIN_LEARNER] != NULL,
                                        .is_witness = s->own.is_witness,
                                        .priority = s->priority};
    enum cli_exit e = remote_add_member(&s->r, &member);
    if (e != CLI_OK) {
        return e;
    }
    Etcdserverpb__MemberAddResponse *added =
        etcdserverpb__member_add_response__unpack(NULL, s->r.response.len, s->r.response.data);
    s->own.id = added != NULL && added->member != NULL ? added->member->id : 0;
    if (added != NULL) {
        etcdserverpb__member_add_response__free_unpacked(added, NULL);
    }
    return s->own.id != 0 ? CLI_OK : CLI_UNREADABLE;
}

static enum err join_compose(struct join *s, struct buf *text)
{
    buf_clear(text);
    return member_file_compose(&s->file, text, s->why);
}

/* Everything that can go wrong here goes wrong before the cluster is changed. */
static enum cli_exit join_prepare(struct join *s, const struct cli_call *call, struct buf *text)
{
    char path[MEMBER_PATH_BYTES];
    s->own.id = 1; /* stands for the one that it will get */
    enum err e = join_compose(s, text);
    e = e == OK ? member_dir_make(s->dir, s->own.name, s->why) : e;
    (void)snprintf(path, sizeof path, "%s/%s/novacrond.yaml", s->dir, s->own.name);
    FILE *f = e == OK ? fopen(path, "re") : NULL;
    if (f != NULL) {
        (void)fclose(f);
        (void)snprintf(s->why, sizeof s->why, "%.300s is there already", path);
        e = ERR_EXISTS;
    }
    if (e == OK && s->file.has_health_keys) {
        e = health_keys_copy(s->keys, s->dir, s->own.name, s->why);
    }
    if (e == OK && call->options[JOIN_CA] != NULL) {
        e = member_certify(call->options[JOIN_CA], s->dir, s->own.name, s->own.peer.host, s->why);
    }
    return e == OK ? CLI_OK : join_failed(s, e);
}

/* Nothing is added: the members that vote serve whoever has a certificate and a record. */
static void join_explain_agent(const struct join *s)
{
    (void)printf("%s is a host that does not vote.\n%s/%s/  belongs into %s on %s\n"
                 "Declare the host (`novacron apply`; docs/manifests.md): no member serves it "
                 "before that. Then, there:\nnovacrond --config %s/novacrond.yaml. Its machines: "
                 "the section `machines` of that file.\n",
                 s->own.name, s->dir, s->own.name, s->file.etc, s->own.peer.host, s->file.etc);
}

static void join_explain_json(const struct join *s)
{
    struct buf b;
    char path[MEMBER_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s/novacrond.yaml", s->dir, s->own.name);
    buf_init(&b);
    say(&b, "{\"id\":\"");
    say_hex(&b, s->own.id);
    say(&b, "\",\"file\":");
    json_put_string(&b, path);
    say(&b, "}\n");
    (void)fwrite(b.data, 1, b.len, stdout);
    buf_deinit(&b);
}

static void join_explain(const struct join *s)
{
    if (s->r.json) {
        join_explain_json(s);
        return;
    }
    if (s->file.is_agent) {
        join_explain_agent(s);
        return;
    }
    (void)printf("%s is member %llx%s.\n%s/%s/  belongs into %s on %s; then, there: novacrond "
                 "--config %s/novacrond.yaml\n",
                 s->own.name, (unsigned long long)s->own.id,
                 s->own.is_witness ? ", a witness" : ", and votes once it has caught up", s->dir,
                 s->own.name, s->file.etc, s->own.peer.host, s->file.etc);
}

static enum cli_exit join_words(struct join *s, const struct cli_call *call, const char *name,
                                const char *host)
{
    const char *wanted = call->options[JOIN_PRIORITY];
    if (!member_words_parse(host, name, &s->own)) {
        return remote_wrong(&s->r, "no HOST, or HOST:PEER_PORT:CLIENT_PORT, or the name is none",
                            host);
    }
    if (!remote_priority(wanted, &s->priority)) {
        return remote_wrong(&s->r, "no priority from 0 to 255", wanted);
    }
    if (call->options[JOIN_CA] == NULL && call->options[JOIN_PLAINTEXT] == NULL) {
        (void)snprintf(s->why, sizeof s->why,
                       "where is the cluster's authority? --ca DIR makes the certificate; "
                       "--plaintext where members have none");
        return join_failed(s, ERR_INVALID);
    }
    s->own.is_witness = call->options[JOIN_WITNESS] != NULL;
    if (s->file.is_agent && (s->own.is_witness || call->options[JOIN_LEARNER] != NULL ||
                             call->options[JOIN_PRIORITY] != NULL)) {
        (void)snprintf(s->why, sizeof s->why,
                       "--agent is of a host that does not vote: without --witness, --learner and "
                       "--priority");
        return join_failed(s, ERR_INVALID);
    }
    return CLI_OK;
}

static enum cli_exit join_run(struct join *s, const struct cli_call *call, const char *name,
                              const char *host)
{
    struct buf text;
    buf_init(&text);
    enum cli_exit e = join_words(s, call, name, host);
    e = e == CLI_OK ? join_look(s) : e;
    e = e == CLI_OK ? join_look_keys(s, call) : e;
    e = e == CLI_OK ? join_prepare(s, call, &text) : e;
    e = e == CLI_OK && s->replaces != 0 ? join_remove(s) : e;
    bool is_removed = e == CLI_OK && s->replaces != 0;
    if (s->file.is_agent) {
        s->own.id = ha_session_id(s->file.cluster_id, name);
    } else {
        e = e == CLI_OK ? join_add(s, call) : e;
    }
    if (e != CLI_OK && is_removed) {
        (void)fprintf(stderr,
                      "%llx was removed, and nobody added: `novacron cluster join` goes on "
                      "from here\n",
                      (unsigned long long)s->replaces);
    }
    if (e == CLI_OK) {
        enum err result = join_compose(s, &text);
        result = result == OK ? member_file_write(s->dir, name, buf_view(&text), s->why) : result;
        e = result != OK ? join_failed(s, result) : CLI_OK;
        if (e != CLI_OK && !s->file.is_agent) {
            (void)fprintf(stderr,
                          "it was added as member %llx: `novacron member remove %llx` takes "
                          "that back\n",
                          (unsigned long long)s->own.id, (unsigned long long)s->own.id);
        }
    }
    if (e == CLI_OK) {
        join_explain(s);
    }
    buf_deinit(&text);
    return e;
}

static enum cli_exit join_open(struct join *s, const char *command, const struct cli_call *call)
{
    const char *etc = call->options[JOIN_ETC];
    const char *data_dir = call->options[JOIN_DATA_DIR];
    s->dir = call->options[JOIN_DIR] != NULL ? call->options[JOIN_DIR] : ".";
    s->file = (struct member_file){.own = &s->own,
                                   .members = s->members,
                                   .has_certificates = call->options[JOIN_CA] != NULL,
                                   .etc = etc != NULL ? etc : MEMBER_ETC,
                                   .data_dir = data_dir != NULL ? data_dir : MEMBER_DATA_DIR,
                                   .timing = call->options[JOIN_TIMING]};
    return remote_open(&s->r, command, call);
}

enum cli_exit cmd_cluster_join(const struct cli_call *call)
{
    struct join s = {.replaces = 0};
    enum cli_exit e = join_open(&s, "cluster join", call);
    s.file.is_agent = call->options[JOIN_AGENT] != NULL;
    if (e == CLI_OK) {
        e = join_run(&s, call, call->arguments[0], call->arguments[1]);
        remote_close(&s.r);
    }
    return e;
}

enum cli_exit cmd_member_replace(const struct cli_call *call)
{
    struct join s = {.replaces = 0};
    enum cli_exit e = join_open(&s, "member replace", call);
    if (e != CLI_OK) {
        return e;
    }
    if (!remote_id(call->arguments[0], &s.replaces) || s.replaces == 0) {
        e = remote_wrong(&s.r, "no member's id, which `member list` prints", call->arguments[0]);
    } else {
        e = join_run(&s, call, call->arguments[1], call->arguments[2]);
    }
    remote_close(&s.r);
    return e;
}
