/* Private to the Linux world: linux_world.c is the loop, its threads and timers, linux_file.c what
 * the threads execute. */
#ifndef NOVACRON_WORLD_LINUX_LINUX_WORLD_INT_H
#define NOVACRON_WORLD_LINUX_LINUX_WORLD_INT_H

#include <pthread.h>

#include "world/linux/linux_world.h"

struct linux_queue {
    struct world_file_request *first;
    struct world_file_request *last;
};

/* Guarded by `lock`: all but `lw` and `thread`. */
struct linux_lane {
    struct linux_world *lw;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct linux_queue queue;
    bool ends;
};

struct linux_world {
    struct world table;
    int root;
    int event_fd;
    struct linux_lane lanes[WORLD_LANES];
    pthread_mutex_t done_lock;
    struct linux_queue done;    /* guarded by done_lock */
    struct world_timer *timers; /* by (at, order of setting) */
};

/* On a lane's thread: the system calls. */
void linux_file_execute(int root, struct world_file_request *request);

/* On the loop's thread: tells the names that LIST found, in order. */
void linux_file_finish(struct world_file_request *request);

/* Frees what a request that will not be finished has. */
void linux_file_forget(struct world_file_request *request);

#endif
