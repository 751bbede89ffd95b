/*
 * The records of HA (core/ha/ha_record.h) as the commands see them: read from a running cluster as
 * one picture, and changed by guarded transactions, so that nobody's change is lost by ours.
 */
#ifndef NOVACRON_CLI_RECORDS_H
#define NOVACRON_CLI_RECORDS_H

#include "cli/remote.h"
#include "core/ha/ha_view.h"

/* All that lies under /novacron/, at one revision. `view` is empty, and the caller's. */
enum cli_exit records_load(struct remote *r, struct ha_view *view);

/* Who manages, and what else is known of the answer. */
struct records_head {
    uint64_t term;         /* of the cluster, as who answered knows it */
    uint64_t token_term;   /* of /novacron/leader, the newest manager's; 0: nobody has begun */
    uint64_t token_member; /* who it is */
    const char *endpoint;  /* of a stale answer: whose it is; else NULL */
};

/* The same, with its head. Where no quorum can be had for it, what the first member that answers
 * knows by itself, which may be old: `endpoint` says so. */
enum cli_exit records_load_any(struct remote *r, struct ha_view *view, struct records_head *head);

/* Opens a connection, and loads. On anything but CLI_OK it has said why, and nothing is open. */
enum cli_exit records_open(struct remote *r, struct ha_view *view, const char *command,
                           const struct cli_call *call);
void records_close(struct remote *r, struct ha_view *view);

/* One change: the record is put, or with NULL the key deleted, if the key was last changed at
 * `mod_revision` (0: if it is not there). */
struct records_change {
    enum ha_kind kind;
    const char *name;
    const void *record;
    uint64_t mod_revision;
};

/* All of them, or none. Complains where somebody else has changed one of them meanwhile. */
enum cli_exit records_write(struct remote *r, const struct records_change *changes, size_t n);

/* The entry of a record that must be there and be readable; NULL: it has complained. */
const struct ha_entry *records_get(const struct remote *r, const struct ha_view *view,
                                   enum ha_kind kind, const char *name);

/* Is this agent a member's? That of a host which does not vote has an id made of its name. The
 * records were loaded. */
bool records_host_votes(const struct remote *r, const struct ha_agent_record *agent);

/* A record as JSON, indented, or in one line. */
void records_print(enum ha_kind kind, const void *record, bool in_one_line);

/* One that cannot be read, as JSON in one line: {"key":...,"unreadable":...}. */
void records_print_unreadable(const struct ha_entry *entry);

/* What `health` says of a machine of that name; where there is none, it complains with `unless`. */
enum cli_exit vm_health_of(struct remote *r, const char *name, const char *unless);

/* The commands. */
enum cli_exit cmd_apply(const struct cli_call *call);
enum cli_exit cmd_vm_apply(const struct cli_call *call);
enum cli_exit cmd_vm_list(const struct cli_call *call);
enum cli_exit cmd_vm_show(const struct cli_call *call);
enum cli_exit cmd_vm_start(const struct cli_call *call);
enum cli_exit cmd_vm_stop(const struct cli_call *call);
enum cli_exit cmd_vm_migrate(const struct cli_call *call);
enum cli_exit cmd_vm_delete(const struct cli_call *call);
enum cli_exit cmd_vm_health(const struct cli_call *call);
enum cli_exit cmd_vm_explain(const struct cli_call *call);
enum cli_exit cmd_host_apply(const struct cli_call *call);
enum cli_exit cmd_host_list(const struct cli_call *call);
enum cli_exit cmd_host_show(const struct cli_call *call);
enum cli_exit cmd_host_fence(const struct cli_call *call);
enum cli_exit cmd_host_confirm_off(const struct cli_call *call);
enum cli_exit cmd_status(const struct cli_call *call);
enum cli_exit cmd_events(const struct cli_call *call);
enum cli_exit cmd_incident_list(const struct cli_call *call);
enum cli_exit cmd_incident_show(const struct cli_call *call);

#endif
