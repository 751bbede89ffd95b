/*
 * A laboratory of real QEMU processes, under software emulation: a directory with images and a run
 * directory, a world, and the driver. Whatever becomes of the test, no process of its stays: a
 * sweeper outlives it, and kills what still works below its directory.
 */
#ifndef NOVACRON_TESTS_DRIVERS_QEMU_QEMU_LAB_H
#define NOVACRON_TESTS_DRIVERS_QEMU_QEMU_LAB_H

#include <sys/types.h>

#include "drivers/qemu/qemu.h"
#include "world/linux/linux_world.h"

#define QEMU_LAB_EXITS_MAX 16
#define QEMU_LAB_PATIENCE  (60 * NANOS_PER_S)

struct qemu_lab {
    char root[64];
    char run[80];
    char images[80];
    char guests[1024]; /* the directory of the tiny guest */
    struct linux_world *lw;
    const struct world *w;
    struct qemu_driver *driver; /* NULL: none */
    struct qemu_config config;  /* for the next driver */
    struct world_vm_sink sink;
    struct world_vm_exit exits[QEMU_LAB_EXITS_MAX];
    size_t exit_count;
    char told[8192]; /* all that the driver told, a line each */
};

/* For main: 0 where the tests can run, else what it returns, having said why. Starts the sweeper.
 */
int qemu_lab_missing(void);

/* With the images "disk" and "other", empty. */
void qemu_lab_open(struct qemu_lab *lab);
/* Kills what lives. */
void qemu_lab_close(struct qemu_lab *lab);

void qemu_lab_driver_open(struct qemu_lab *lab);
void qemu_lab_driver_close(struct qemu_lab *lab);

/* A machine for the tiny guest, whose command line is `append`. Static. */
struct bytes qemu_lab_definition(const char *append);

/* One request, from its submission to its end. */
struct qemu_lab_call {
    struct world_vm_request request;
    struct qemu_lab *lab;
    bool is_done;
    size_t exits_at_done;
    struct world_vm_found listed[8];
    size_t count;
};

/* Fills in the request, for the caller to submit. */
void qemu_lab_prepare(struct qemu_lab_call *call, struct qemu_lab *lab, enum world_vm_op op,
                      struct world_vm_spec spec, nanos patience);
void qemu_lab_send(struct qemu_lab_call *call, struct qemu_lab *lab, enum world_vm_op op,
                   struct world_vm_spec spec, nanos patience);
void qemu_lab_await(struct qemu_lab_call *call);
enum err qemu_lab_ask(struct qemu_lab *lab, enum world_vm_op op, const char *name);
/* A START of the tiny guest on the volume, with epoch 1. */
enum err qemu_lab_start(struct qemu_lab *lab, const char *name, const char *volume);

void qemu_lab_step(struct qemu_lab *lab);
void qemu_lab_await_exits(struct qemu_lab *lab, size_t count);

/* The process of a machine, by what the run directory says. 0: it says nothing. */
pid_t qemu_lab_pid(const struct qemu_lab *lab, const char *name);

/* Sends a signal to it, which there has to be: 0 would be ourselves. Returns its pid. */
pid_t qemu_lab_signal(const struct qemu_lab *lab, const char *name, int signal);

/* Waits until the machine's console has said the text. */
void qemu_lab_await_console(struct qemu_lab *lab, const char *name, const char *text);

/* A file of a machine's, static, with a zero behind it; "" where it is missing. */
const char *qemu_lab_file(const struct qemu_lab *lab, const char *name, const char *file);

/* Processes that work in the laboratory. */
size_t qemu_lab_processes(const struct qemu_lab *lab);

#endif
