/*
 * A watchdog in user space, for tests: a file system (FUSE) with one file, `watchdog`, which knows
 * the ioctls, the feeding and the magic close of Linux's watchdogs.
 *
 *     fake-watchdog DIRECTORY LOG VICTIMS
 *
 * When it was not fed for its time-out it appends "reset" to LOG, and kills each process whose
 * number is a line of VICTIMS: the host. LOG also tells "armed N" and "disarmed", and "bad close"
 * where it was closed without the magic byte, and stays armed. It proves nothing about hardware; it
 * shows what a guard does with it.
 */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fuse.h>
#include <linux/watchdog.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_PATH  "/watchdog"
#define TICK_NANOS 10000000L

static struct {
    pthread_mutex_t lock;
    const char *log;
    const char *victims;
    int timeout_s;
    double fed_at; /* 0: disarmed */
    int said_magic;
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER, .timeout_s = 60};

static double dog_now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_BOOTTIME, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void dog_log(const char *text, int number)
{
    FILE *log = fopen(dog.log, "a");

    if (log != NULL) {
        (void)fprintf(log, number > 0 ? "%s %d\n" : "%s\n", text, number);
        (void)fclose(log);
    }
}

static void dog_reset(void)
{
    char line[32];
    FILE *victims = fopen(dog.victims, "r");

    dog_log("reset", 0);
    while (victims != NULL && fgets(line, sizeof line, victims) != NULL) {
        long pid = strtol(line, NULL, 10);
        if (pid > 1) {
            (void)kill((pid_t)pid, SIGKILL);
        }
    }
    if (victims != NULL) {
        (void)fclose(victims);
    }
}

static void *dog_watch(void *arg)
{
    const struct timespec tick = {.tv_nsec = TICK_NANOS};

    for (;;) {
        (void)nanosleep(&tick, NULL);
        (void)pthread_mutex_lock(&dog.lock);
        if (dog.fed_at > 0 && dog_now() >= dog.fed_at + dog.timeout_s) {
            dog.fed_at = 0;
            dog_reset();
        }
        (void)pthread_mutex_unlock(&dog.lock);
    }
    return arg;
}

static int dog_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    (void)fi;
    memset(st, 0, sizeof *st);
    if (strcmp(path, "/") == 0) {
        st->st_mode = S_IFDIR | 0755;
        st->st_nlink = 2;
        return 0;
    }
    if (strcmp(path, FILE_PATH) != 0) {
        return -ENOENT;
    }
    st->st_mode = S_IFREG | 0600;
    st->st_nlink = 1;
    return 0;
}

static int dog_open(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    fi->direct_io = 1;
    (void)pthread_mutex_lock(&dog.lock);
    dog.fed_at = dog_now();
    dog.said_magic = 0;
    (void)pthread_mutex_unlock(&dog.lock);
    dog_log("armed", 0);
    return 0;
}

static int dog_write(const char *path, const char *bytes, size_t n, off_t at,
                     struct fuse_file_info *fi)
{
    (void)path;
    (void)at;
    (void)fi;
    (void)pthread_mutex_lock(&dog.lock);
    dog.said_magic = memchr(bytes, 'V', n) != NULL;
    dog.fed_at = dog_now();
    (void)pthread_mutex_unlock(&dog.lock);
    return (int)n;
}

static int dog_release(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    (void)fi;
    (void)pthread_mutex_lock(&dog.lock);
    int is_well = dog.said_magic;
    dog.fed_at = is_well ? 0 : dog.fed_at;
    (void)pthread_mutex_unlock(&dog.lock);
    dog_log(is_well ? "disarmed" : "bad close", 0);
    return 0;
}

static int dog_ioctl(const char *path, unsigned command, void *arg, struct fuse_file_info *fi,
                     unsigned flags, void *out)
{
    static const struct watchdog_info info = {
        .options = WDIOF_SETTIMEOUT | WDIOF_MAGICCLOSE | WDIOF_KEEPALIVEPING,
        .identity = "fake watchdog",
    };
    int result = 0;

    (void)path;
    (void)arg;
    (void)fi;
    (void)flags;
    (void)pthread_mutex_lock(&dog.lock);
    if (command == WDIOC_GETSUPPORT) {
        memcpy(out, &info, sizeof info);
    } else if (command == WDIOC_SETTIMEOUT) {
        memcpy(&dog.timeout_s, out, sizeof dog.timeout_s);
        dog_log("timeout", dog.timeout_s);
    } else if (command == WDIOC_GETTIMEOUT) {
        memcpy(out, &dog.timeout_s, sizeof dog.timeout_s);
    } else {
        result = -ENOTTY;
    }
    (void)pthread_mutex_unlock(&dog.lock);
    return result;
}

static void *dog_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
    pthread_t thread;

    (void)connection;
    config->direct_io = 1;
    (void)pthread_create(&thread, NULL, dog_watch, NULL);
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct fuse_operations operations = {
        .getattr = dog_getattr,
        .open = dog_open,
        .write = dog_write,
        .release = dog_release,
        .ioctl = dog_ioctl,
        .init = dog_init,
    };

    if (argc != 4) {
        return 2;
    }
    dog.log = argv[2];
    dog.victims = argv[3];
    char in_front[] = "-f";
    char *arguments[] = {argv[0], in_front, argv[1], NULL};
    return fuse_main(3, arguments, &operations, NULL);
}
