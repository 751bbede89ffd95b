/* `novacron member` and `novacron cluster`: who belongs to a cluster, and how each is. */
#include <stdio.h>
#include <string.h>

#include <etcdserverpb.pb-c.h>

#include "api/pb_wire.h"
#include "cli/remote.h"

enum { ADD_LEARNER = REMOTE_OPTIONS };
enum { ADD_URLS_FIELD = 1, ADD_LEARNER_FIELD };
enum { NAMED_ID = 1 };

#define BYTES_PER_MB 1e6

static void member_print(const Etcdserverpb__Member *m)
{
    (void)printf("%-16llx  %-8s %-16s %-28s %s\n", (unsigned long long)m->id,
                 m->islearner         ? "learner"
                 : m->name[0] == '\0' ? "unstarted"
                                      : "voter",
                 m->name[0] != '\0' ? m->name : "-", m->n_peerurls > 0 ? m->peerurls[0] : "-",
                 m->n_clienturls > 0 ? m->clienturls[0] : "-");
}

enum cli_exit cmd_member_list(const struct cli_call *call)
{
    struct remote r;
    enum cli_exit e = remote_open(&r, "member list", call);
    if (e != CLI_OK) {
        return e;
    }
    e = remote_call(&r, "/etcdserverpb.Cluster/MemberList");
    if (e == CLI_OK && r.json) {
        remote_print(&etcdserverpb__member_list_response__descriptor, buf_view(&r.response));
    } else if (e == CLI_OK) {
        Etcdserverpb__MemberListResponse *list =
            etcdserverpb__member_list_response__unpack(NULL, r.response.len, r.response.data);
        for (size_t i = 0; list != NULL && i < list->n_members; i++) {
            member_print(list->members[i]);
        }
        if (list != NULL) {
            etcdserverpb__member_list_response__free_unpacked(list, NULL);
        }
    }
    remote_close(&r);
    return e;
}

/* What goes into the new member's configuration. */
static void member_print_added(const char *name, const Etcdserverpb__MemberAddResponse *added)
{
    (void)printf("# %s is member %llx. Its novacrond.yaml, beside peer, client and data_dir:\n"
                 "name: %s\nid: %llx\ncluster:\n"
                 "  name: ...   # as on the others\n  state: existing\n  members:\n",
                 name, (unsigned long long)added->member->id, name,
                 (unsigned long long)added->member->id);
    for (size_t i = 0; i < added->n_members; i++) {
        const Etcdserverpb__Member *m = added->members[i];
        const char *url = m->n_peerurls > 0 ? m->peerurls[0] : "";
        const char *host = strstr(url, "://");
        if (m->id != added->member->id && m->name[0] != '\0' && host != NULL) {
            (void)printf("    - {name: %s, id: %llx, peer: \"%s\"}\n", m->name,
                         (unsigned long long)m->id, host + strlen("://"));
        }
    }
}

enum cli_exit cmd_member_add(const struct cli_call *call)
{
    struct remote r;
    enum cli_exit e = remote_open(&r, "member add", call);
    if (e != CLI_OK) {
        return e;
    }
    pb_put_text(&r.request, ADD_URLS_FIELD, call->arguments[1]);
    pb_put_varint(&r.request, ADD_LEARNER_FIELD, call->options[ADD_LEARNER] != NULL);
    e = remote_call(&r, "/etcdserverpb.Cluster/MemberAdd");
    if (e == CLI_OK && r.json) {
        remote_print(&etcdserverpb__member_add_response__descriptor, buf_view(&r.response));
    } else if (e == CLI_OK) {
        Etcdserverpb__MemberAddResponse *added =
            etcdserverpb__member_add_response__unpack(NULL, r.response.len, r.response.data);
        if (added != NULL && added->member != NULL) {
            member_print_added(call->arguments[0], added);
        }
        if (added != NULL) {
            etcdserverpb__member_add_response__free_unpacked(added, NULL);
        }
    }
    remote_close(&r);
    return e;
}

static enum cli_exit member_change(const struct cli_call *call, const char *command,
                                   const char *path, const char *done,
                                   const struct ProtobufCMessageDescriptor *type)
{
    struct remote r;
    uint64_t id = 0;
    enum cli_exit e = remote_open(&r, command, call);
    if (e != CLI_OK) {
        return e;
    }
    if (!remote_id(call->arguments[0], &id)) {
        e = remote_wrong(&r, "no member's id, which `member list` prints", call->arguments[0]);
    } else {
        pb_put_varint(&r.request, NAMED_ID, id);
        e = remote_call(&r, path);
    }
    if (e == CLI_OK && r.json) {
        remote_print(type, buf_view(&r.response));
    } else if (e == CLI_OK) {
        (void)printf("%llx %s\n", (unsigned long long)id, done);
    }
    remote_close(&r);
    return e;
}

enum cli_exit cmd_member_promote(const struct cli_call *call)
{
    return member_change(call, "member promote", "/etcdserverpb.Cluster/MemberPromote", "votes now",
                         &etcdserverpb__member_promote_response__descriptor);
}

enum cli_exit cmd_member_remove(const struct cli_call *call)
{
    return member_change(call, "member remove", "/etcdserverpb.Cluster/MemberRemove",
                         "is removed; stop it, and delete its data_dir",
                         &etcdserverpb__member_remove_response__descriptor);
}

/* --- cluster --------------------------------------------------------------------------------- */

static bool status_print(struct remote *r, const char *endpoint)
{
    char why[256] = "";
    if (!remote_try(r, "/etcdserverpb.Maintenance/Status", why, sizeof why)) {
        (void)printf("%-30s does not answer: %s\n", endpoint, why);
        return false;
    }
    if (r->json) {
        remote_print(&etcdserverpb__status_response__descriptor, buf_view(&r->response));
        return true;
    }
    Etcdserverpb__StatusResponse *s =
        etcdserverpb__status_response__unpack(NULL, r->response.len, r->response.data);
    if (s == NULL || s->header == NULL) {
        return false;
    }
    (void)printf("%-30s %-16llx %-8s term %llu  index %llu  applied %llu  %.1f MB%s\n", endpoint,
                 (unsigned long long)s->header->member_id,
                 s->leader == 0                      ? "LEADERLESS"
                 : s->leader == s->header->member_id ? "leader"
                 : s->islearner                      ? "learner"
                                                     : "follower",
                 (unsigned long long)s->raftterm, (unsigned long long)s->raftindex,
                 (unsigned long long)s->raftappliedindex, (double)s->dbsizeinuse / BYTES_PER_MB,
                 s->n_errors > 0 ? "  ALARM" : "");
    bool is_well = s->leader != 0 && s->n_errors == 0;
    etcdserverpb__status_response__free_unpacked(s, NULL);
    return is_well;
}

enum cli_exit cmd_cluster_status(const struct cli_call *call)
{
    struct remote r;
    bool all_well = true;
    enum cli_exit e = remote_open(&r, "cluster status", call);
    if (e != CLI_OK) {
        return e;
    }
    for (size_t i = 0; i < r.endpoint_count && e == CLI_OK; i++) {
        e = remote_aim(&r, i);
        buf_clear(&r.request);
        all_well = e == CLI_OK && status_print(&r, r.endpoints[i]) && all_well;
    }
    remote_close(&r);
    return e != CLI_OK ? e : all_well ? CLI_OK : CLI_DAMAGED;
}
