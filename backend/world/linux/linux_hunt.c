/*
 * Finding the processes that belong to a command and have left its group, by what the kernel tells
 * of all processes in /proc, and killing them. Runs on a thread: reading another process's
 * environment waits for that process's memory to be free.
 *
 * A process is named by a number, which may come to mean another one at any time. So a pidfd is
 * opened first, then the process is looked at, once more, and the signal goes to the pidfd.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "world/linux/linux_world_int.h"

/* While the list of processes is read others are born; so it is read again until nothing is found,
 * so often at most, with a pause in which the killed can die. */
#define PASSES_MAX 8
#define PASS_PAUSE (10 * NANOS_PER_MS)

/* So much of an environment is looked at. */
#define ENVIRONMENT_BYTES (32 * 1024)

/* The longest line of /proc/PID/stat that is looked at: the session is its sixth field. */
#define STAT_BYTES 512

/* The first bytes of a process's file; returns how many, at most max. */
static size_t hunt_read(const char *number, const char *file, char *bytes, size_t max)
{
    char path[64];
    size_t count = 0;
    ssize_t n = 1;

    (void)snprintf(path, sizeof path, "/proc/%.20s/%s", number, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    while (n > 0 && count < max) {
        n = read(fd, bytes + count, max - count);
        count += n > 0 ? (size_t)n : 0;
    }
    (void)close(fd);
    return count;
}

/* "PID (NAME) STATE PPID PGRP SESSION ...": a name may contain anything. Is it alive, and of the
 * session? */
static bool is_alive(const char *number, pid_t session, bool *is_of_session)
{
    char line[STAT_BYTES + 1];
    char state = 'Z';
    int parent = 0;
    int group = 0;
    int its_session = 0;
    size_t n = hunt_read(number, "stat", line, STAT_BYTES);

    line[n] = '\0';
    const char *after = strrchr(line, ')');
    if (after == NULL ||
        sscanf(after + 1, " %c %d %d %d", &state, &parent, &group, &its_session) != 4) {
        return false;
    }
    *is_of_session = its_session == session;
    return state != 'Z' && state != 'X';
}

static bool is_prey(const char *number, pid_t session, const char *mark, char *environment)
{
    bool is_of_session = false;

    if (!is_alive(number, session, &is_of_session)) {
        return false;
    }
    if (is_of_session) {
        return true;
    }
    size_t n = hunt_read(number, "environ", environment, ENVIRONMENT_BYTES);
    return memmem(environment, n, mark, strlen(mark) + 1) != NULL;
}

static void hunt_kill(const char *number, pid_t session, const char *mark, char *environment)
{
    int fd = pidfd_open((pid_t)strtol(number, NULL, 10), 0);

    if (fd >= 0 && is_prey(number, session, mark, environment)) {
        (void)pidfd_send_signal(fd, SIGKILL, NULL, 0);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* Returns how many were found. */
static size_t hunt_once(pid_t session, const char *mark, char *environment)
{
    size_t found = 0;
    const struct dirent *entry = NULL;
    DIR *proc = opendir("/proc");

    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0]) != 0 &&
            is_prey(entry->d_name, session, mark, environment)) {
            found++;
            hunt_kill(entry->d_name, session, mark, environment);
        }
    }
    if (proc != NULL) {
        (void)closedir(proc);
    }
    return found;
}

void linux_hunt(pid_t session, const char *mark)
{
    const struct timespec pause = {.tv_nsec = (long)PASS_PAUSE};
    char environment[ENVIRONMENT_BYTES];

    for (int i = 0; i < PASSES_MAX && hunt_once(session, mark, environment) > 0; i++) {
        (void)nanosleep(&pause, NULL);
    }
}
