/*
 * Private to the QEMU driver.
 *
 *     qemu.c          the driver; requests, and which may begin
 *     qemu_start.c    START: its thread, and the steps after it
 *     qemu_machine.c  machines: their process, their QMP, their end
 *     qemu_move.c     MIGRATE, and machines that wait
 *     qemu_agent.c    PING and EXEC
 *     qemu_holder.c   who has an image that cannot be locked
 *     qemu_command.c  STOP, PAUSE, RESUME, QUERY, KILL, LIST
 *     qemu_adopt.c    what is found in the run directory
 *
 * WHO LIVES HOW LONG. A call is freed when it is answered, a machine when its process has ended
 * (machine_ended, called by the loop alone, so never within a callback of its QMP's).
 */
#ifndef NOVACRON_DRIVERS_QEMU_QEMU_INT_H
#define NOVACRON_DRIVERS_QEMU_QEMU_INT_H

#include <pthread.h>
#include <uv.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "drivers/qemu/qemu.h"
#include "drivers/qemu/qemu_definition.h"
#include "drivers/qemu/qemu_place.h"
#include "drivers/qemu/qemu_process.h"
#include "drivers/qemu/qmp.h"

/*
 *   PREPARED --thread is done--> BOOTING --its guest runs--> LIVE ---.
 *      |                            |                                |--process ended--> freed
 *      '--fails: freed              '--given up--> ENDING -----------'
 *
 *   GONE: found ended at the start of the driver; waits for the first LIST.
 */
enum qemu_phase {
    QEMU_PREPARED, /* a thread is at it; there may be a process, behind its gate */
    QEMU_BOOTING,  /* its process lives, its guest has not run */
    QEMU_LIVE,
    QEMU_ENDING, /* killed, and not to be used any more */
    QEMU_GONE
};

struct qemu_job; /* of qemu_start.c */

struct qemu_machine {
    struct qemu_machine *next; /* in the order in which they were started */
    struct qemu_driver *driver;
    struct qemu_record record;
    enum qemu_phase phase;
    int dir;                  /* its directory; -1: not yet */
    int pidfd;                /* the watch's; -1: none */
    struct qemu_watch *watch; /* of its process; NULL: none */
    struct qmp qmp;
    struct qmp agent;              /* connected when it is first needed */
    struct qmp_command look;       /* query-status, when something is odd */
    struct qmp_command cancel;     /* of a move that was called off */
    struct world_timer retry;      /* of connecting */
    struct qemu_job *job;          /* PREPARED; owned */
    struct qemu_call *start;       /* that waits for it; NULL: none */
    struct qmp_command boot;       /* the step of START that is under way */
    struct qemu_hold_call *hold;   /* under way, with the guard; not owned */
    struct world_timer hold_again; /* it lives, and the guard did not take it */
    enum err unheld;       /* why the guard does not hold it, as was told; OK: nothing was */
    enum world_vm_end end; /* what its end will have been */
    enum err verdict;      /* BOOTING: why it was given up; OK: it was not, or its log says why */
    bool is_incoming;      /* BOOTING: it will wait for a guest */
    bool is_told;          /* its exit is */
    bool is_new;           /* its directory was made by the START that is under way */
    bool is_doomed;        /* PREPARED: killed once it is there */
    char *image;       /* where its image is in truth, behind all links; owned; NULL: not known */
    bool is_disk_lost; /* ... and it was not for want of room */
    char io_error[96]; /* what QEMU last said of a disk that fails; "": nothing */
};

/* Of a LIST: a machine that it waits for. */
struct qemu_asked {
    struct qemu_machine *machine; /* NULL: it ended meanwhile */
    struct qemu_call *call;
    struct qmp_command command;
    enum world_vm_state state;
    bool is_answered;
};

struct qemu_call {
    struct qemu_call *next; /* oldest first */
    struct qemu_driver *driver;
    struct world_vm_request *request; /* borrowed */
    struct world_timer deadline;
    struct qemu_machine *machine; /* whose end it waits for, or that it has sent a command to */
    struct qmp_command command;
    struct world_timer look; /* MIGRATE, EXEC: when it is asked how far it is */
    nanos look_every;
    int64_t program;           /* EXEC: its number in the guest */
    char why[WORLD_WHY_BYTES]; /* of its answer, in QEMU's words where it has any */
    struct qemu_asked *asked;  /* LIST; owned */
    size_t asked_count;
    uint64_t ticket;
    bool is_begun;
};

struct qemu_driver {
    struct uv_loop_s *loop;
    const struct world *world;
    struct world_vm_sink *sink;
    struct qemu_machine *machines;
    struct qemu_call *calls;
    struct world_timer turn; /* requests were submitted, or may begin now */
    struct world_timer rotate;
    struct qemu_guard guard;
    void (*told)(void *ctx, const char *machine, const char *text);
    void *told_ctx;
    char *binary;                    /* owned */
    char *folders[QEMU_FOLDERS_MAX]; /* owned */
    size_t folder_count;
    uint64_t log_bytes_max;
    size_t places_max;
    uint64_t last_order;
    int run;
    char boot[QEMU_BOOT_ID_BYTES];
    uv_async_t async; /* a job is done */
    enum qemu_accel accel;
    char move_bind[WORLD_HOST_MAX_BYTES + 2]; /* as in an URI */
    uint64_t last_ticket;
    pthread_t prober; /* where `has_prober` */
    bool has_prober;

    /* What threads use, too. */
    pthread_mutex_t lock; /* of done_jobs */
    struct qemu_job *done_jobs;
    pthread_mutex_t probing; /* of the two below; held while KVM is tried */
    bool is_probed;
    bool kvm_runs;
};

/* --- qemu.c --- */

__attribute__((format(printf, 3, 4))) void qemu_tell(struct qemu_driver *driver,
                                                     const char *machine, const char *format, ...);

/* Answers, and frees it. */
void qemu_call_answer(struct qemu_call *call, enum err result, enum world_vm_state state);

/* Requests that waited for another may begin, in a turn of their own. */
void qemu_calls_kick(struct qemu_driver *driver);

/* The name of the accelerator to use. Blocks while it is found out; for threads. */
const char *qemu_accel_choose(struct qemu_driver *driver);

/* --- qemu_machine.c --- */

struct qemu_machine *qemu_machine_find(const struct qemu_driver *driver, const char *name);
struct qemu_machine *qemu_machine_new(struct qemu_driver *driver, const struct qemu_record *record);

/* Its process, which it watches from now on; takes the pidfd. */
void qemu_machine_watch(struct qemu_machine *machine, int pidfd);

/* Connects to its QMP, now or as soon as it can. */
void qemu_machine_connect(struct qemu_machine *machine);

/* SIGKILL. Its end is told as `end`, unless it was known to end otherwise. */
void qemu_machine_kill(struct qemu_machine *machine, enum world_vm_end end);

/* What a status of QEMU's means for who asks. */
enum world_vm_state qemu_state_of(const json_t *status);

/* Has the guest been stopped since its disk fails? */
bool qemu_is_io_error(const json_t *status);

/* Acts on a status that means an end. */
void qemu_machine_judge(struct qemu_machine *machine, const json_t *status);

/* Off the list, with all that it has. */
void qemu_machine_free(struct qemu_machine *machine);

void qemu_machine_tell_exit(struct qemu_machine *machine);

/* --- qemu_start.c --- */

void qemu_start_begin(struct qemu_call *call);
/* The deadline came. */
void qemu_start_expired(struct qemu_call *call);
/* Why the START of the machine fails: is told, and answered to whoever waits for it. Of several
 * reasons the first is answered. */
__attribute__((format(printf, 2, 3))) void qemu_start_blame(struct qemu_machine *machine,
                                                            const char *format, ...);
/* Its process has ended: what the START that waits for it, if there is one, is to answer. Tells why
 * it failed. */
enum err qemu_start_verdict(struct qemu_machine *machine);
/* A thread has handed its job back. */
void qemu_jobs_done(uv_async_t *async);
/* Waits for the thread, and throws away what it made. */
void qemu_job_drop(struct qemu_machine *machine);
/* Asks the guard to hold it; false: it cannot be asked, which is told. */
bool qemu_hold_begin(struct qemu_machine *machine);
/* Asks it for one that lives, as often as it takes. */
void qemu_hold_adopted(struct qemu_machine *machine);
void qemu_hold_forget(struct qemu_machine *machine);

void qemu_start_done(struct qemu_machine *machine, const json_t *status);
/* The next step of a START. `arguments` is taken over. */
void qemu_boot_send(struct qemu_machine *machine, const char *execute, json_t *arguments,
                    void (*done)(struct qmp_command *, enum err, const json_t *, const char *));
/* False, and the START given up, where QEMU did not do as it was told. */
bool qemu_boot_goes_on(struct qemu_machine *machine, const char *step, enum err result,
                       const char *text);

/* --- qemu_move.c --- */

/* The machine is to wait: what is done in the place of `cont`. */
void qemu_wait_begin(struct qemu_machine *machine);
void qemu_move_begin(struct qemu_call *call);
void qemu_move_expired(struct qemu_call *call);
/* QEMU says that something has become of the move. */
void qemu_move_event(struct qemu_machine *machine);
/* "tcp:HOST:" for an URI of QEMU's; false: it is no host's name or address. */
bool qemu_host_format(char *ret, size_t cap, const char *host);

/* --- qemu_agent.c --- */

void qemu_agent_init(struct qemu_machine *machine);
void qemu_agent_begin(struct qemu_call *call);
void qemu_agent_expired(struct qemu_call *call);
bool qemu_call_is_for_agent(const struct qemu_call *call);

/* --- qemu_command.c --- */

/* The machine that the request is for; NULL: answered. */
struct qemu_machine *qemu_call_machine(struct qemu_call *call);
void qemu_command_begin(struct qemu_call *call);
void qemu_kill_begin(struct qemu_call *call);
void qemu_list_begin(struct qemu_call *call);
void qemu_list_expired(struct qemu_call *call);
/* The machine has ended, and its exit was told. */
void qemu_list_lost(struct qemu_driver *driver, const struct qemu_machine *machine);
/* A machine is asked no more. */
void qemu_list_cancel(struct qemu_call *call);

/* --- qemu_adopt.c --- */

void qemu_adopt_all(struct qemu_driver *driver);

/* Of the directories that no machine uses, the oldest are removed. */
void qemu_places_prune(struct qemu_driver *driver);

#endif
