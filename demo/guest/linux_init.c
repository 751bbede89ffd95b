/*
 * The first and only program of a Linux guest (`make demo GUEST=linux`): it does on Debian's cloud
 * kernel what the tiny guest (guest_main.c) does on the bare machine, in the same words and with
 * the same bytes on its disk, so that whoever watches needs not know which of the two runs.
 *
 * It loads the modules of /modules in the order of their names, goes on where sector 0 of /dev/vda
 * says that it was, and each 100 ms writes the counter there, durably (O_DIRECT and O_DSYNC: the
 * write returns once the disk has flushed), before it prints "tick N". The power button, which
 * Linux has as the key KEY_POWER of an input device, ends it: "BYE N", and the machine is off.
 *
 * As process 1 it must not return: what it cannot do it says, and the kernel's panic ends the
 * machine.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECTOR_BYTES 512
#define TICK_MS      100
#define DISK         "/dev/vda"
#define DISK_TRIES   100 /* of 100 ms */
#define BUTTONS_MAX  8

struct sector {
    char magic[8];
    uint64_t counter; /* low byte first, as this machine has it */
    char rest[SECTOR_BYTES - 16];
};

_Static_assert(sizeof(struct sector) == SECTOR_BYTES, "a sector is written as a whole");

static const char magic[8] = {'N', 'O', 'V', 'A', 'C', 'T', 'R', '1'};

static int64_t uptime_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The nodes of devices; and the console, which the kernel had no node to open for us. */
static void devices_open(void)
{
    (void)mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    const int console = open("/dev/console", O_RDWR);
    for (int fd = 0; console >= 0 && fd <= 2; fd++) {
        (void)dup2(console, fd);
    }
    (void)setvbuf(stdout, NULL, _IONBF, 0);
}

static void modules_load(void)
{
    struct dirent **names = NULL;
    const int count = scandir("/modules", &names, NULL, alphasort);

    for (int i = 0; i < count; i++) {
        char path[300];
        (void)snprintf(path, sizeof path, "/modules/%s", names[i]->d_name);
        if (names[i]->d_name[0] != '.') {
            const int fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0) {
                (void)printf("no module %s\n", names[i]->d_name);
            }
            (void)close(fd);
        }
        free(names[i]);
    }
    free(names);
}

/* -1: there is none. */
static int vda_open(void)
{
    int fd = -1;

    for (int i = 0; fd < 0 && i < DISK_TRIES; i++) {
        fd = open(DISK, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);
        if (fd < 0) {
            (void)usleep(TICK_MS * 1000);
        }
    }
    return fd;
}

static int buttons_open(struct pollfd buttons[BUTTONS_MAX])
{
    int count = 0;

    for (int i = 0; i < BUTTONS_MAX; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "/dev/input/event%d", i);
        const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0) {
            buttons[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
        }
    }
    return count;
}

/* Waits until then, or until the power button is pressed: true. */
static bool pressed_before(struct pollfd *buttons, int count, int64_t until)
{
    for (int64_t now = uptime_ms(); now < until; now = uptime_ms()) {
        if (poll(buttons, (nfds_t)count, (int)(until - now)) <= 0) {
            continue;
        }
        for (int i = 0; i < count; i++) {
            struct input_event event;
            while (read(buttons[i].fd, &event, sizeof event) == (ssize_t)sizeof event) {
                if (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1) {
                    return true;
                }
            }
        }
    }
    return false;
}

int main(void)
{
    static alignas(4096) struct sector sector;
    struct pollfd buttons[BUTTONS_MAX];
    uint64_t n = 0;

    devices_open();
    modules_load();
    const int disk = vda_open();
    const int count = buttons_open(buttons);
    const bool is_read = disk >= 0 && pread(disk, &sector, sizeof sector, 0) == SECTOR_BYTES;
    const bool is_known = is_read && memcmp(sector.magic, magic, sizeof magic) == 0;
    if (is_known) {
        n = sector.counter + 1;
    }
    (void)printf("READY start=%lu %s\n", n, is_known ? "disk" : is_read ? "empty" : "none");
    for (int64_t next = uptime_ms();; n++) {
        memcpy(sector.magic, magic, sizeof magic);
        sector.counter = n;
        if (disk < 0 || pwrite(disk, &sector, sizeof sector, 0) == SECTOR_BYTES) {
            (void)printf("tick %lu\n", n);
        } else {
            (void)printf("EIO\n");
        }
        next += TICK_MS;
        if (pressed_before(buttons, count, next)) {
            (void)printf("BYE %lu\n", n);
            (void)reboot(RB_POWER_OFF);
        }
        if (uptime_ms() > next + TICK_MS) {
            next = uptime_ms(); /* it stood still for a while, and does not make up for it */
        }
    }
}
