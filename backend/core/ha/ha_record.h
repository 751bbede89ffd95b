/*
 * ha: virtual machines survive the loss of their host.
 *
 * What lives here: the records under /novacron/ (this file), the picture of all of them
 * (ha_view.h), the rules, each a pure function (ha_place.h, ha_restart.h, ha_proof.h), host leases
 * (ha_lease.h), the manager, which works on the leader (ha_keeper.h), the agent, which works on
 * every host (ha_agent.h), and what joins them on a world and a store (ha_member.h). Who may call
 * it: core/node, the daemon, the simulator, the CLI (records only). What it follows: docs/ha.md,
 * and the rules of ownership in docs/models.md, which spec/ownership.pml checks.
 *
 * RECORDS are JSON objects in the store, one a key, as docs/formats/ha-records.md has them field by
 * field. Decoders are for untrusted bytes: operators and other programs can write any key. Names
 * are of lower-case letters, digits, '-', '_' and '.', begin with a letter or digit, and fit with
 * their zero into HA_NAME_BYTES.
 *
 * A field that is unknown is an error in what an operator writes, where it is most likely a typing
 * mistake, and is passed over in what programs write, so that versions may be mixed. A field that
 * is missing has its default (docs/formats/ha-records.md), or is an error where there is none.
 */
#ifndef NOVACRON_HA_RECORD_H
#define NOVACRON_HA_RECORD_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/types.h"
#include "core/world/world.h"

#define HA_NAME_BYTES 64

/* Texts for people: reasons and evidence. Longer ones are cut. */
#define HA_TEXT_BYTES 256

/* Values of parameters, words of commands, addresses. */
#define HA_VALUE_BYTES 256
/* The path of a field in a record, "restart.limit" or "levels[0][1]", with its zero. */
#define HA_PATH_BYTES 128

#define HA_PREFIX "/novacron/"

/* How many names one list of a record may have: hosts, machines, storages, devices. */
#define HA_LIST_MAX 32

/* Levels of fence devices of a host, and devices of a level: all of a level must say off. */
#define HA_FENCE_LEVELS_MAX  4
#define HA_FENCE_DEVICES_MAX 4

/* A command within a guest, the program's path first. */
#define HA_COMMAND_WORDS_MAX 8

/* The largest value of a record, in bytes. */
#define HA_RECORD_BYTES_MAX (64 * 1024)

struct ha_names {
    uint32_t n;
    char name[HA_LIST_MAX][HA_NAME_BYTES];
};

/* The longest key, with a final zero. */
#define HA_KEY_BYTES (sizeof HA_PREFIX + 16 + 2 * HA_NAME_BYTES)

enum ha_kind {
    HA_VM,
    HA_HOST,
    HA_DEVICE,
    HA_STORAGE,
    HA_SETTINGS,
    HA_CONFIRMED,
    HA_OWNER,
    HA_FATE,
    HA_AGENT,
    HA_REPORT,
    HA_INCIDENT,
    HA_EVENT,
    HA_SIGHT,
    HA_KINDS
};

/* --- what an operator writes ------------------------------------------------------------------ */

/* What becomes of a machine when its host has lost its lease. */
enum ha_policy { HA_POLICY_STOP, HA_POLICY_PAUSE, HA_POLICY_KEEP, HA_POLICIES };

/* What becomes of a machine that stands still since its shared storage fails on its host. */
enum ha_loss { HA_LOSS_RESTART, HA_LOSS_KEEP, HA_LOSSES };

struct ha_restart_rule {
    uint32_t delay_ms;     /* before the first restart; doubled each time, with jitter ... */
    uint32_t delay_max_ms; /* ... up to this */
    uint32_t here_max;     /* restarts on one host before another is tried */
    uint32_t limit;        /* failures within `window_s`; then the machine is FAILED */
    uint32_t window_s;     /* one failure is forgiven after window_s / limit without one */
    uint32_t stable_s;     /* a run so long forgives all */
};

/* What a machine is asked, to learn whether it does what it is for. */
enum ha_ask {
    HA_ASK_NOTHING,
    HA_ASK_AGENT, /* does the agent within its guest answer? */
    HA_ASK_EXEC,  /* does a command, run by that agent, exit with 0? */
    HA_ASK_TCP,   /* does anybody take a connection? */
    HA_ASK_HTTP,  /* is the answer to a GET as expected? */
    HA_ASKS
};

/* One question, how often it is asked, and what its answers mean (monitoring/health/probe_set.h).
 */
struct ha_check {
    enum ha_ask ask;
    struct {
        uint32_t n;
        char word[HA_COMMAND_WORDS_MAX][HA_VALUE_BYTES];
    } command;                    /* EXEC */
    char address[HA_VALUE_BYTES]; /* TCP, HTTP: a name or address, as the machine's host sees it */
    uint32_t port;                /* likewise */
    char path[HA_VALUE_BYTES];    /* HTTP; empty: "/" */
    uint32_t status;              /* HTTP; 0: 200 to 399 */
    uint32_t delay_ms;            /* before the first time */
    uint32_t period_ms;
    uint32_t timeout_ms;
    uint32_t failures;  /* in a row, and it has failed */
    uint32_t successes; /* in a row, and it is well */
};

struct ha_vm {
    char name[HA_NAME_BYTES];
    bool is_wanted;              /* "desired": "running" or "stopped" */
    uint64_t start_count;        /* raised by `vm start`: a FAILED machine is tried anew */
    char move_to[HA_NAME_BYTES]; /* by `vm migrate`: empty, or where it shall go */
    bool moves_offline;          /* ... stopped here and started there, and not live */
    enum ha_policy policy;
    enum ha_loss on_storage_loss;
    uint32_t storage_loss_ms; /* for so long it must stand still first */
    uint32_t priority;        /* the higher, the sooner; 100 unless said */
    uint32_t memory_mib;
    uint32_t cpus;
    char volume[WORLD_NAME_MAX_BYTES];
    char storage[HA_NAME_BYTES]; /* shared; empty: on the own disk of the one host that `allowed`
                                    has then, restarted in place only */
    struct ha_names allowed;     /* hosts; none: all */
    struct ha_names preferred;   /* hosts, the first first */
    struct ha_names sites;       /* allowed; none: all */
    struct ha_names with;        /* machines: on the same host as these */
    struct ha_names apart;       /* machines: never on the same host as these */
    struct ha_names after;       /* machines that run before this one is started */
    struct ha_restart_rule restart;
    uint32_t stop_ms;  /* an ordered stop may take so long; then it is killed */
    uint32_t start_ms; /* a start may take so long */
    uint32_t mute_ms;  /* its process may leave QMP unanswered for so long; then it is ended as a
                          failure. 0: for ever */
    uint32_t move_ms;  /* a live move may take so long; then it stays where it is */
    uint32_t move_pause_ms;    /* its guest may stand still so long at the end of one */
    struct ha_check startup;   /* until it is well the two others are not asked; too many failures
                                  end the machine, as ... */
    struct ha_check liveness;  /* ... do those of this one */
    struct ha_check readiness; /* is only told */
    struct bytes definition;   /* JSON of the driver's (world_vm_spec); borrowed from the record */
};

struct ha_fence_level {
    uint32_t n;
    char device[HA_FENCE_DEVICES_MAX][HA_NAME_BYTES];
};

struct ha_host {
    char name[HA_NAME_BYTES];
    char site[HA_NAME_BYTES];
    uint32_t memory_mib; /* for machines; 0: what its agent says */
    uint32_t cpus;       /* likewise */
    bool is_enabled;     /* false: nothing is placed here */
    bool is_bare_metal;  /* it is never paused as a whole, and never sleeps while it runs machines;
                            nothing proves that, so false unless said */
    struct ha_names storages;
    uint64_t fence_count; /* raised by `host fence`: it is switched off once for each */
    uint32_t n_levels;
    struct ha_fence_level levels[HA_FENCE_LEVELS_MAX]; /* tried in this order */
};

#define HA_PARAMETERS_MAX 32

struct ha_device {
    char name[HA_NAME_BYTES];
    char agent[HA_NAME_BYTES]; /* fence_ipmilan */
    bool is_outlet;            /* STATUS tells of an outlet's power, and not of the host's: it says
                                  nothing about what another device has switched off */
    uint32_t timeout_ms;       /* of one command */
    uint32_t n_parameters;
    struct {
        char key[HA_NAME_BYTES];
        char value[HA_VALUE_BYTES];
    } parameters[HA_PARAMETERS_MAX];
};

struct ha_storage {
    char name[HA_NAME_BYTES];
    char type[HA_NAME_BYTES]; /* file, nfs, rbd, iscsi */
    char path[WORLD_PATH_MAX_BYTES];
    uint32_t flight_ms; /* D: what was sent may land so long after its sender has ended */
};

struct ha_settings {
    uint32_t lease_ms;       /* L */
    uint32_t drift_ppm;      /* rho */
    uint32_t fence_delay_ms; /* up to so long before the first command, drawn anew each time */
    uint32_t fence_priority_delay_ms; /* more, before a host is fenced whose machines have more
                                         priority than those of any host on this side, if this side
                                         has no more than half of the hosts */
    uint32_t fence_retry_ms; /* between rounds over all levels; doubled up to eight times that */
    uint32_t storm_percent;  /* of the hosts that may be fenced within storm_s; at least one, and
                                always fewer than half */
    uint32_t storm_s;
    uint32_t quarantine_losses; /* a host that is lost so often within ... */
    uint32_t quarantine_s;      /* ... this gets nothing until it was up for so long */
    uint32_t starts_at_once;    /* machines that are STARTING at a time, on one host */
    uint32_t cpu_percent;       /* processors of machines for 100 of a host */
    uint32_t expiry_max_ms;     /* the longest P that is tolerated (ha_proof.h) */
    uint32_t spare_hosts;       /* whose loss must stay survivable when a machine is admitted */
};

/* An operator's word that a host is off. */
struct ha_confirmed {
    char host[HA_NAME_BYTES];
    char incident[HA_NAME_BYTES];
    char by[HA_NAME_BYTES];
    char reason[HA_TEXT_BYTES];
};

/* --- what the manager writes ------------------------------------------------------------------ */

enum ha_phase {
    HA_WAITING,  /* nobody owns it: no host fits, or it waits for others */
    HA_STARTING, /* `host` is to start it in `epoch` */
    HA_RUNNING,
    HA_MOVING,   /* `host` runs it in `epoch`, and it is being moved, live, to `to` */
    HA_STOPPING, /* `host` is to stop it */
    HA_STOPPED,
    HA_RESTARTING, /* it has ended in `epoch`, and waits for its delay */
    HA_RECOVERING, /* `host` is lost, and may still run it in `epoch` */
    HA_FAILED,     /* it has failed too often; `reason` says how */
    HA_PHASES
};

enum ha_proof {
    HA_PROOF_NONE,
    HA_PROOF_FENCED,
    HA_PROOF_EXPIRED,
    HA_PROOF_CONFIRMED,
    HA_PROOF_STOPPED,
    HA_PROOF_MOVED, /* its guest stands still on the host before, and all of it is on this one */
    HA_PROOFS
};

struct ha_owner {
    char vm[HA_NAME_BYTES];
    enum ha_phase phase;
    char host[HA_NAME_BYTES]; /* empty in WAITING, and in STOPPED before its first start */
    uint64_t epoch;           /* of the newest start; 0: none yet */
    uint64_t issued;          /* the newest epoch that was given out, also to a machine that waits
                                 for a guest and never runs; up to `epoch`: that is it */
    char to[HA_NAME_BYTES]; /* MOVING: where a machine is to wait for the guest, in `issued` ... */
    char address[WORLD_HOST_MAX_BYTES]; /* ... and does, there; with a port of 0 not yet */
    uint32_t port;
    uint64_t moves;                 /* live, ever */
    char moved_from[HA_NAME_BYTES]; /* where the newest came from */
    uint32_t move_ms;               /* what the newest took, ... */
    uint32_t move_pause_ms;         /* ... and for how long the guest stood still */
    uint64_t term;                  /* of the leader that wrote this */
    enum ha_proof proof;            /* by which `host` could take it over from the one before */
    enum ha_policy policy; /* of this epoch: a change in the spec counts from the next one on */
    char volume[WORLD_NAME_MAX_BYTES]; /* likewise, its disk. Empty: it is not known, as the epoch
                                          was begun by a version that did not keep it */
    char storage[HA_NAME_BYTES];       /* empty, of a disk that is known: its host's own */
    char path[WORLD_PATH_MAX_BYTES];   /* of that storage */
    uint32_t failures;                 /* counted against the limit */
    uint32_t here;                     /* consecutive failures on `host` */
    uint64_t restarts;                 /* ever */
    uint64_t start_count;              /* of the spec, as it was last obeyed */
    char incident[HA_NAME_BYTES];
    char reason[HA_TEXT_BYTES];
};

enum ha_fate_phase {
    HA_HOST_UP,
    HA_HOST_LOST,    /* in a cut; nothing was done yet, and it may come back */
    HA_HOST_FENCING, /* it is to be switched off, and this is not taken back */
    HA_HOST_GONE,    /* proved, by `proof` */
    HA_HOST_PHASES
};

struct ha_fate {
    char host[HA_NAME_BYTES];
    enum ha_fate_phase phase;
    enum ha_proof proof; /* of GONE */
    uint64_t term;       /* of the leader that wrote this */
    uint64_t boot;       /* of its agent, when it was lost: a later one is another life */
    char incident[HA_NAME_BYTES];
    uint32_t losses; /* of late */
    bool is_quarantined;
    bool is_tripped;            /* machines cannot be started here: it gets none for a while */
    uint32_t attempts;          /* rounds of its present fence */
    bool is_asked;              /* FENCING: by an operator, whatever is heard of it */
    uint64_t fence_count;       /* of the host's record, as it was last obeyed */
    char reason[HA_TEXT_BYTES]; /* what is known, and what would resolve it */
};

/* One step of an incident, for its timeline: at `at_ms` after it was opened something was over that
 * had taken `took_ms`, or happened at once. */
#define HA_STEPS_MAX 64
struct ha_step {
    uint64_t at_ms;
    uint64_t took_ms;
    uint64_t epoch;           /* of the machine that it is about; 0: it is about none */
    char what[HA_NAME_BYTES]; /* detected, fence, fenced, placed, started, ... */
    char who[HA_NAME_BYTES];  /* the host, machine or device */
    char detail[HA_TEXT_BYTES];
};

struct ha_incident {
    char id[HA_NAME_BYTES];
    char trace[40]; /* its trace id, as W3C writes it */
    char host[HA_NAME_BYTES];
    uint64_t opened_wall_ms;
    uint64_t unheard_ms; /* so long before, its host was heard last */
    bool is_closed;
    uint32_t n_steps;
    struct ha_step steps[HA_STEPS_MAX];
};

struct ha_event {
    uint64_t number;
    uint64_t wall_ms;
    char what[HA_NAME_BYTES];
    char host[HA_NAME_BYTES];
    char vm[HA_NAME_BYTES];
    char incident[HA_NAME_BYTES];
    char detail[HA_TEXT_BYTES];
};

/* The power of a host was read as "on" by this device, as its record was at `revision`: what says
 * "off" later is then no device that cannot say anything else. */
struct ha_sight {
    char device[HA_NAME_BYTES];
    uint64_t revision;
};

/* --- what an agent writes --------------------------------------------------------------------- */

struct ha_agent_record {
    char host[HA_NAME_BYTES];
    node_id member;
    uint64_t boot; /* grows with each start of the host's daemon */
    uint32_t memory_mib;
    uint32_t cpus;
    enum world_watchdog watchdog;
    uint32_t watchdog_ms;     /* W */
    struct ha_names storages; /* that it could write to, and read back */
};

enum ha_report_state {
    HA_REPORT_RUNS,
    HA_REPORT_STOPPED, /* its process is reaped, and with it what it sent; final for the epoch */
    HA_REPORT_WAITS,   /* its process waits for a guest, or has one that never ran in this epoch */
    HA_REPORT_MOVED,   /* its guest stands still here, all of it is at the machine that waits in
                          `to_epoch`, and the agent has promised not to let it go on before the
                          owner's record says that this move is over */
    HA_REPORT_STATES
};

/* The rungs of a machine's ladder above its process, from the lowest. */
enum ha_rung {
    HA_RUNG_QMP,   /* its process answers on QMP */
    HA_RUNG_AGENT, /* the agent within its guest answers */
    HA_RUNG_STARTUP,
    HA_RUNG_LIVENESS,
    HA_RUNG_READINESS,
    HA_RUNGS
};

enum ha_rung_state {
    HA_RUNG_UNASKED, /* nobody asks */
    HA_RUNG_WAITING, /* there is no verdict yet */
    HA_RUNG_WELL,
    HA_RUNG_BAD,
    HA_RUNG_STATES
};

struct ha_rung_view {
    enum ha_rung_state state;
    uint64_t since_ms;          /* the wall clock of its host when it became so */
    char answer[HA_TEXT_BYTES]; /* the last one then */
};

struct ha_report {
    char host[HA_NAME_BYTES];
    char vm[HA_NAME_BYTES];
    uint64_t epoch;
    uint64_t boot;
    enum ha_report_state state;
    enum world_vm_end end; /* of STOPPED: how its process ended, if it ever ran */
    bool lost_storage;     /* of STOPPED: its agent has killed it, since its storage failed here */
    enum err error;        /* of STOPPED: why it could not be started; OK: it ran */
    uint64_t to_epoch;     /* of MOVED; of RUNS, while MOVING: the move that has failed */
    char address[WORLD_HOST_MAX_BYTES]; /* of WAITS */
    uint32_t port;                      /* likewise */
    uint32_t move_ms;                   /* of MOVED: what it took */
    uint32_t move_pause_ms;             /* likewise: since when its guest stood still */
    bool is_unwell; /* of STOPPED: its agent has killed it, since it had failed a probe; or
                       did not answer for mute_ms */
    struct ha_rung_view rungs[HA_RUNGS]; /* of RUNS */
    char detail[HA_TEXT_BYTES];
};

/* --- names ------------------------------------------------------------------------------------ */

/* Static strings, as JSON has them ("running"); never NULL. `ha_kind_name` is the folder of the
 * kind's keys: "vms", "settings". */
const char *ha_kind_name(enum ha_kind kind);

/* What a record of the kind is of, as people call it: "machine", "fence device". */
const char *ha_kind_word(enum ha_kind kind);
const char *ha_policy_name(enum ha_policy policy);
const char *ha_loss_name(enum ha_loss loss);
const char *ha_phase_name(enum ha_phase phase);
const char *ha_proof_name(enum ha_proof proof);
const char *ha_fate_phase_name(enum ha_fate_phase phase);
const char *ha_report_state_name(enum ha_report_state state);
const char *ha_vm_end_name(enum world_vm_end end);
const char *ha_watchdog_name(enum world_watchdog watchdog);
const char *ha_ask_name(enum ha_ask ask);
const char *ha_rung_name(enum ha_rung rung);
const char *ha_rung_state_name(enum ha_rung_state state);

/* The check of a machine that a rung stands for; NULL: of QMP and AGENT, which every machine is
 * asked. */
const struct ha_check *ha_vm_check(const struct ha_vm *vm, enum ha_rung rung);

/* Appends what is asked, in words: "GET http://HOST:80/health", "run /usr/bin/check". */
void ha_check_say(struct buf *text, const struct ha_check *check);

/* Is it a name, as the top of this file has them? */
bool ha_name_is_valid(struct bytes name);

/* Copies a name or text into a field of `size` bytes. A text that is too long is cut where a
 * character ends; what is not UTF-8, or a control character, becomes '?'. */
void ha_text_set(char *field, size_t size, const char *text);
void ha_text_set_bytes(char *field, size_t size, struct bytes text);

bool ha_names_have(const struct ha_names *names, const char *name);

/* The disk that the machine has by its record, and by that of its storage (NULL: there is none), is
 * that of the owner's epoch from here on. */
void ha_owner_set_disk(struct ha_owner *owner, const struct ha_vm *vm,
                       const struct ha_storage *storage);

/* Has the machine another disk by those records than the one that its epoch was started with, as
 * far as that is known? Where it is moved to while it runs, it would open that one. */
bool ha_owner_disk_differs(const struct ha_owner *owner, const struct ha_vm *vm,
                           const struct ha_storage *storage);

/* Why it is not moved then. */
#define HA_DISK_DIFFERS                                                                            \
    "its disk is another in its record than the one it was started with: `--offline` starts it "   \
    "on that"

/* The newest epoch of the machine that was given out: the next one is above it. */
static inline uint64_t ha_owner_issued(const struct ha_owner *owner)
{
    return owner->issued > owner->epoch ? owner->issued : owner->epoch;
}

/* Does the owner's host run the machine, or may it? */
static inline bool ha_phase_may_run(enum ha_phase phase)
{
    return phase == HA_STARTING || phase == HA_RUNNING || phase == HA_MOVING ||
           phase == HA_STOPPING || phase == HA_RECOVERING;
}

/* ... or has the machine ended there, to be started anew: has it a place on a host? */
static inline bool ha_phase_has_host(enum ha_phase phase)
{
    return ha_phase_may_run(phase) || phase == HA_RESTARTING;
}

/* Where in a list of a record: "levels", 1 is "levels[1]". `list` is the path of a list, which is
 * short: they are not called by whoever writes records. */
void ha_path_in_list(char ret[HA_PATH_BYTES], const char *list, uint32_t at);

/* --- keys ------------------------------------------------------------------------------------- */

/* `name`: "" for settings; of an event its number, as ha_event_name writes it. `vm`: of a report
 * alone, "" elsewhere. */
struct ha_key {
    enum ha_kind kind;
    char name[HA_NAME_BYTES];
    char vm[HA_NAME_BYTES];
};

/* The key as a string. `name` and `vm` as in struct ha_key; NULL is "". */
void ha_key_format(enum ha_kind kind, const char *name, const char *vm, char ret[HA_KEY_BYTES]);

/* All keys of a kind begin with this: "/novacron/vms/". Of settings it is the whole key. */
void ha_key_folder(enum ha_kind kind, char ret[HA_KEY_BYTES]);

/* ERR_NOT_FOUND: it is under no folder of ours; ERR_INVALID: it is, and is malformed. */
MUST_USE enum err ha_key_parse(struct bytes key, struct ha_key *ret);

/* Twenty digits, so that names sort as numbers do. */
void ha_event_name(uint64_t number, char ret[HA_NAME_BYTES]);

/* --- the codec -------------------------------------------------------------------------------- */

/* Which kind of record `*record` is, by its type. */
#define HA_KIND_OF(record)                                                                         \
    _Generic(*(record), struct ha_vm                                                               \
             : HA_VM, struct ha_host                                                               \
             : HA_HOST, struct ha_device                                                           \
             : HA_DEVICE, struct ha_storage                                                        \
             : HA_STORAGE, struct ha_settings                                                      \
             : HA_SETTINGS, struct ha_confirmed                                                    \
             : HA_CONFIRMED, struct ha_owner                                                       \
             : HA_OWNER, struct ha_fate                                                            \
             : HA_FATE, struct ha_agent_record                                                     \
             : HA_AGENT, struct ha_report                                                          \
             : HA_REPORT, struct ha_incident                                                       \
             : HA_INCIDENT, struct ha_event                                                        \
             : HA_EVENT, struct ha_sight                                                           \
             : HA_SIGHT)

/* The size of the kind's struct; and a struct of that kind with all its defaults. */
size_t ha_record_size(enum ha_kind kind);
void ha_record_defaults(enum ha_kind kind, void *record);

/* The key that this record belongs under. */
void ha_record_key(enum ha_kind kind, const void *record, struct ha_key *ret);

/* Appends the record as one JSON object: equal records give equal bytes. `record` is a struct of
 * the kind and well-formed (ha_record_check); what a program puts together and is not is a bug. */
void ha_record_encode(enum ha_kind kind, const void *record, struct buf *json);
#define HA_ENCODE(record, json) ha_record_encode(HA_KIND_OF(record), record, json)

/* Fills `*record` from one JSON object. ERR_INVALID: it is none of this kind, and `why` (appended
 * to; may be NULL) says which field, what is wrong with it and what is allowed, for an operator.
 * ERR_TOO_LARGE: above HA_RECORD_BYTES_MAX. `definition` of a VM points into `json`. */
MUST_USE enum err ha_record_decode(enum ha_kind kind, struct bytes json, void *record,
                                   struct buf *why);
#define HA_DECODE(json, record, why) ha_record_decode(HA_KIND_OF(record), json, record, why)

/* Is the struct one that decoding could have given? Says why not as ha_record_decode does. */
MUST_USE enum err ha_record_check(enum ha_kind kind, const void *record, struct buf *why);
#define HA_CHECK_RECORD(record, why) ha_record_check(HA_KIND_OF(record), record, why)

#endif
