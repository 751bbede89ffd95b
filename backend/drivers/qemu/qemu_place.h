/*
 * Where a machine has its files, and the one that says which machine it is.
 *
 * THE RECORD, `starting` and later `machine`: one JSON object, with exactly these members:
 *
 *     format   1
 *     name     text, as the directory is called
 *     volume   text
 *     epoch    text, a decimal number: JSON's numbers have no 64 bits everywhere
 *     guarded  true or false
 *     order    a number; machines that were started later have a higher one
 *     boot     text, the kernel's boot_id
 *     pid      a number
 *     began    text, a decimal number: when the process was started, in ticks since the boot. Pid
 *              and this are one process, and never another one
 *
 * It is written whole into a file of another name, and renamed; there is no sync, since no machine
 * survives what a sync is against.
 */
#ifndef NOVACRON_DRIVERS_QEMU_QEMU_PLACE_H
#define NOVACRON_DRIVERS_QEMU_QEMU_PLACE_H

#include <sys/types.h>

#include "core/base/err.h"
#include "core/world/world.h"

#define QEMU_RECORD_MAX_BYTES 4096
#define QEMU_BOOT_ID_BYTES    37

#define QEMU_FILE_STARTING "starting"
#define QEMU_FILE_MACHINE  "machine"
#define QEMU_FILE_QMP      "qmp"
#define QEMU_FILE_AGENT    "agent"
#define QEMU_FILE_LOG      "qemu.log"
#define QEMU_FILE_CONSOLE  "console.log"

struct qemu_record {
    char name[WORLD_NAME_MAX_BYTES];
    char volume[WORLD_NAME_MAX_BYTES];
    char boot[QEMU_BOOT_ID_BYTES];
    uint64_t epoch;
    uint64_t order;
    uint64_t began;
    pid_t pid;
    bool is_guarded;
};

/* Letters, digits, '-', '_' and '.', the first no '.': it is the name of a directory. */
bool qemu_name_is_one(const char *name);

/* ERR_CORRUPT: it is no record. */
MUST_USE enum err qemu_record_decode(struct bytes json, struct qemu_record *ret);

/* In the directory, as the file `name`. Our errors of base/err.h, by qemu_err. */
MUST_USE enum err qemu_record_write(int dir, const char *name, const struct qemu_record *record);
MUST_USE enum err qemu_record_read(int dir, const char *name, struct qemu_record *ret);

/* The bytes of a small file, cut at `max`, with a zero behind them; returns how many. */
size_t qemu_file_read(int dir, const char *name, char *bytes, size_t max);

/* This boot's id; "" where the kernel tells none. */
void qemu_boot_id(char boot[QEMU_BOOT_ID_BYTES]);

/* When the process was started; 0: there is none. */
uint64_t qemu_process_began(pid_t pid);

/* Of which process that is, if it lives: a pidfd, or -1. */
int qemu_process_find(pid_t pid, uint64_t began);

/* What a machine leaves that no one needs: all but its logs; or those, too, and the directory;
 * false: it has other files, and stays. */
void qemu_place_clear(int dir);
bool qemu_place_remove(int run, int dir, const char *name);

/* A log that grew beyond `max` bytes: its last `max` become FILE.1, and it is empty again. */
void qemu_log_turn(int dir, const char *name, uint64_t max);

/* An errno of the files and processes here. */
enum err qemu_err(int error);

#endif
