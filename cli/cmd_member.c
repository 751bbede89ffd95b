/* `novacron member` and `novacron cluster`: who belongs to a cluster, and how each is. */
#include <stdio.h>
#include <string.h>

#include <etcdserverpb.pb-c.h>

#include "api/json_wire.h"
#include "api/pb_wire.h"
#include "cli/hint.h"
#include "cli/remote.h"
#include "core/base/say.h"

enum { ADD_LEARNER = REMOTE_OPTIONS, ADD_WITNESS, ADD_PRIORITY };
enum { NAMED_ID = 1, UPDATE_URLS_FIELD, UPDATE_DEMOTE_FIELD = 101, UPDATE_PRIORITY_FIELD };

#define BYTES_PER_MB 1e6

static void member_print(const Etcdserverpb__Member *m)
{
    char priority[16] = "-";
    if (m->novacronpriority > 0) {
        (void)snprintf(priority, sizeof priority, "%u", m->novacronpriority - 1);
    }
    (void)printf("%-16llx  %-9s %8s %-16s %-28s %s\n", (unsigned long long)m->id,
                 m->islearner         ? "learner"
                 : m->novacronwitness ? "witness"
                 : m->name[0] == '\0' ? "unstarted"
                                      : "voter",
                 priority, m->name[0] != '\0' ? m->name : "-",
                 m->n_peerurls > 0 ? m->peerurls[0] : "-",
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
    uint64_t priority = 0;
    enum cli_exit e = remote_open(&r, "member add", call);
    if (e != CLI_OK) {
        return e;
    }
    if (!remote_priority(call->options[ADD_PRIORITY], &priority)) {
        e = remote_wrong(&r, "no priority from 0 to 255", call->options[ADD_PRIORITY]);
        remote_close(&r);
        return e;
    }
    e = remote_add_member(&r,
                          &(struct remote_added){.name = call->arguments[0],
                                                 .url = call->arguments[1],
                                                 .is_learner = call->options[ADD_LEARNER] != NULL,
                                                 .is_witness = call->options[ADD_WITNESS] != NULL,
                                                 .priority = priority});
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

/* `field` of the request gets `number`, or the second argument as a text where it is that of the
 * URLs; 0: there is nothing but the id. */
static enum cli_exit member_change_with(const struct cli_call *call, const char *command,
                                        const char *path, const char *done,
                                        const struct ProtobufCMessageDescriptor *type,
                                        uint32_t field, uint64_t number)
{
    struct remote r;
    uint64_t id = 0;
    enum cli_exit e = remote_open(&r, command, call);
    if (e != CLI_OK) {
        return e;
    }
    if (!remote_id(call->arguments[0], &id)) {
        e = remote_wrong(&r, "this is no member's id, which `novacron member list` prints",
                         call->arguments[0]);
    } else {
        pb_put_varint(&r.request, NAMED_ID, id);
        if (field == UPDATE_URLS_FIELD) {
            pb_put_text(&r.request, field, call->arguments[1]);
        } else if (field != 0) {
            pb_put_varint(&r.request, field, number);
        }
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

static enum cli_exit member_change(const struct cli_call *call, const char *command,
                                   const char *path, const char *done,
                                   const struct ProtobufCMessageDescriptor *type)
{
    return member_change_with(call, command, path, done, type, 0, 0);
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

enum cli_exit cmd_member_demote(const struct cli_call *call)
{
    return member_change_with(call, "member demote", "/etcdserverpb.Cluster/MemberUpdate",
                              "is a learner now", &etcdserverpb__member_update_response__descriptor,
                              UPDATE_DEMOTE_FIELD, 1);
}

enum cli_exit cmd_member_update(const struct cli_call *call)
{
    return member_change_with(
        call, "member update", "/etcdserverpb.Cluster/MemberUpdate", "is reached there now",
        &etcdserverpb__member_update_response__descriptor, UPDATE_URLS_FIELD, 0);
}

enum cli_exit cmd_member_priority(const struct cli_call *call)
{
    uint64_t priority = 0;
    if (!remote_priority(call->arguments[1], &priority)) {
        (void)fprintf(
            stderr,
            "novacron member priority: PRIORITY is a number from 0 to 255, and not \"%s\"\n",
            call->arguments[1]);
        return CLI_USAGE;
    }
    return member_change_with(call, "member priority", "/etcdserverpb.Cluster/MemberUpdate",
                              "has it now", &etcdserverpb__member_update_response__descriptor,
                              UPDATE_PRIORITY_FIELD, priority);
}

/* --- cluster --------------------------------------------------------------------------------- */

/* As one object a line, also of an endpoint that does not answer. */
static void status_print_json(const struct remote *r, const char *endpoint, const char *why)
{
    struct buf text;
    buf_init(&text);
    say(&text, "{\"endpoint\":");
    json_put_string(&text, endpoint);
    if (why != NULL) {
        say(&text, ",\"error\":");
        json_put_string(&text, why);
    } else {
        say(&text, ",\"status\":");
        json_encode(&etcdserverpb__status_response__descriptor, buf_view(&r->response), &text);
    }
    say(&text, "}\n");
    (void)fwrite(text.data, 1, text.len, stdout);
    buf_deinit(&text);
}

static void status_print_text(const Etcdserverpb__StatusResponse *s, const char *endpoint)
{
    char priority[24] = "";
    if (s->novacronpriority > 0) {
        (void)snprintf(priority, sizeof priority, "  priority %u", s->novacronpriority - 1);
    }
    (void)printf("%-30s %-16llx %-10s term %llu  index %llu  applied %llu  %.1f MB%s%s%s%s\n",
                 endpoint, (unsigned long long)s->header->member_id,
                 s->leader == 0                      ? "LEADERLESS"
                 : s->leader == s->header->member_id ? "leader"
                 : s->islearner                      ? "learner"
                 : s->novacronwitness                ? "witness"
                                                     : "follower",
                 (unsigned long long)s->raftterm, (unsigned long long)s->raftindex,
                 (unsigned long long)s->raftappliedindex, (double)s->dbsizeinuse / BYTES_PER_MB,
                 priority, s->n_errors > 0 ? "  ALARM" : "", s->novacronexposed ? "  EXPOSED" : "",
                 s->novacronimpaired ? "  IMPAIRED" : "");
}

static bool status_print(struct remote *r, const char *endpoint)
{
    char why[256] = "";
    if (!remote_try(r, "/etcdserverpb.Maintenance/Status", why, sizeof why)) {
        if (r->json) {
            status_print_json(r, endpoint, why);
        } else {
            const char *hint = hint_for(why);
            (void)printf("%-30s does not answer: %s%s%s\n", endpoint, why, hint != NULL ? "; " : "",
                         hint != NULL ? hint : "");
        }
        return false;
    }
    Etcdserverpb__StatusResponse *s =
        etcdserverpb__status_response__unpack(NULL, r->response.len, r->response.data);
    if (s == NULL || s->header == NULL) {
        return false;
    }
    if (r->json) {
        status_print_json(r, endpoint, NULL);
    } else {
        status_print_text(s, endpoint);
    }
    bool is_well =
        s->leader != 0 && s->n_errors == 0 && !s->novacronexposed && !s->novacronimpaired;
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
