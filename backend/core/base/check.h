/*
 * The one assert macro of the tree. It stays on in every build.
 *
 * CHECK(cond) states what only a bug in this program can break. What a disk, a network, QEMU, a
 * peer or an operator can cause is an `enum err`, never a CHECK. When it fails the process aborts,
 * which is safe by design: the log recovers, and the guests outlive the daemon.
 */
#ifndef NOVACRON_BASE_CHECK_H
#define NOVACRON_BASE_CHECK_H

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0)) {                                                        \
            check_failed(__FILE__, __LINE__, #cond);                                               \
        }                                                                                          \
    } while (0)

/* A place that only a bug reaches: the end of a switch over all of an enum. `why` is a string. */
#define CHECK_UNREACHABLE(why) check_failed(__FILE__, __LINE__, "unreachable: " why)

/* Reports through check_report, then aborts. */
__attribute__((noreturn, cold)) void check_failed(const char *file, int line, const char *cond);

/* What a failing CHECK says before it aborts. The core cannot write to anything, so its own
 * definition is weak and silent; programs define a strong one that prints. */
void check_report(const char *file, int line, const char *cond);

#endif
