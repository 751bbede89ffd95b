/* A file descriptor on the loop: told when it is ready, closed together with its handle. */
#ifndef NOVACRON_DRIVERS_QEMU_QEMU_WATCH_H
#define NOVACRON_DRIVERS_QEMU_QEMU_WATCH_H

struct qemu_watch; /* opaque */
struct uv_loop_s;

/* Takes the descriptor, and waits until it is readable, or has ended. `ready` may close it. */
struct qemu_watch *qemu_watch_open(struct uv_loop_s *loop, int fd, void (*ready)(void *owner),
                                   void *owner);

/* Whether it shall be told, too, when it can be written. */
void qemu_watch_want_write(struct qemu_watch *watch, int wants);

/* Nothing is told any more. NULL is allowed. */
void qemu_watch_close(struct qemu_watch *watch);

#endif
