#include "tests/drivers/qemu/qemu_lab.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/check.h"
#include "drivers/qemu/qemu_place.h"
#include "tests/support/test.h"

/* Names of laboratories of this program begin so; its sweeper looks for them. */
static char lab_prefix[48];

/* --- the sweeper ------------------------------------------------------------------------------ */

/* Calls for each process that works below the directory; returns how many there are. */
static size_t each_process(const char *dir, void (*meet)(pid_t pid))
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry = NULL;
    size_t count = 0;

    CHECK(proc != NULL);
    while ((entry = readdir(proc)) != NULL) {
        char path[300];
        char cwd[256];
        (void)snprintf(path, sizeof path, "/proc/%s/cwd", entry->d_name);
        const ssize_t n = entry->d_name[0] >= '1' && entry->d_name[0] <= '9'
                              ? readlink(path, cwd, sizeof cwd - 1)
                              : -1;
        cwd[n > 0 ? n : 0] = '\0';
        if (n > 0 && strncmp(cwd, dir, strlen(dir)) == 0) {
            count++;
            meet((pid_t)strtol(entry->d_name, NULL, 10));
        }
    }
    (void)closedir(proc);
    return count;
}

static void kill_process(pid_t pid)
{
    (void)kill(pid, SIGKILL);
}

static void leave_process(pid_t pid)
{
    (void)pid;
}

static void sweep(const char *dir)
{
    /* A process that is being killed is counted until its working directory is gone. */
    for (int i = 0; i < 1000 && each_process(dir, kill_process) > 0; i++) {
        (void)usleep(5000);
    }
}

/* Waits for the end of the test, however it comes, in a session of its own. */
static void sweeper_begin(void)
{
    int ends[2];

    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child != 0) {
        (void)close(ends[0]); /* the other stays open for as long as we live */
        return;
    }
    char byte;
    char command[96];
    (void)setsid();
    (void)close(ends[1]);
    /* Whoever waits for our output is not to wait for this. */
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)dup2(null, 1);
    (void)dup2(null, 2);
    while (read(ends[0], &byte, 1) > 0) {
    }
    sweep(lab_prefix);
    (void)snprintf(command, sizeof command, "rm -rf %s*", lab_prefix);
    (void)!system(command);
    _exit(0);
}

int qemu_lab_missing(void)
{
#ifdef TINY_GUEST
    const bool has_guest = access(TINY_GUEST, R_OK) == 0;
#else
    const bool has_guest = false;
#endif
    if (!has_guest || access(QEMU_BINARY, X_OK) != 0) {
        (void)printf("1..0 # SKIP %s\n",
                     has_guest ? "there is no " QEMU_BINARY : "the tiny guest could not be built");
        return 77;
    }
    (void)snprintf(lab_prefix, sizeof lab_prefix, "/var/tmp/novacron-qemu-%d-", (int)getpid());
    sweeper_begin();
    return 0;
}

/* --- the laboratory --------------------------------------------------------------------------- */

static void make_image(const struct qemu_lab *lab, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", lab->images, name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 1024 * 1024), 0);
    (void)close(fd);
}

static void lab_told(void *ctx, const char *machine, const char *text)
{
    struct qemu_lab *lab = ctx;
    const size_t n = strlen(lab->told);

    print_message("# %s: %s\n", machine != NULL ? machine : "driver", text);
    (void)snprintf(lab->told + n, sizeof lab->told - n, "%s: %s\n", machine, text);
}

static void lab_exited(struct world_vm_sink *sink, const struct world_vm_exit *exit)
{
    struct qemu_lab *lab = sink->owner;
    assert_true(lab->exit_count < QEMU_LAB_EXITS_MAX);
    lab->exits[lab->exit_count++] = *exit;
}

static void lab_guests(char *path, size_t cap)
{
#ifdef TINY_GUEST
    (void)snprintf(path, cap, "%s", TINY_GUEST);
    *strrchr(path, '/') = '\0';
#else
    (void)snprintf(path, cap, "/");
#endif
}

void qemu_lab_open(struct qemu_lab *lab)
{
    memset(lab, 0, sizeof *lab);
    (void)snprintf(lab->root, sizeof lab->root, "%sXXXXXX", lab_prefix);
    assert_non_null(mkdtemp(lab->root));
    (void)snprintf(lab->run, sizeof lab->run, "%s/run", lab->root);
    (void)snprintf(lab->images, sizeof lab->images, "%s/images", lab->root);
    assert_int_equal(mkdir(lab->images, 0700), 0);
    make_image(lab, "disk");
    make_image(lab, "other");
    lab_guests(lab->guests, sizeof lab->guests);
    lab->config = (struct qemu_config){
        .run_dir = lab->run,
        .folders = {lab->images, lab->guests, "/usr/share/qemu"},
        .folder_count = 3,
        .accel = QEMU_ACCEL_TCG,
        .told = lab_told,
        .ctx = lab,
    };
    lab->sink = (struct world_vm_sink){lab_exited, lab};
    assert_int_equal(linux_world_open("/", &lab->lw), OK);
    lab->w = linux_world_table(lab->lw);
    qemu_lab_driver_open(lab);
}

void qemu_lab_driver_open(struct qemu_lab *lab)
{
    assert_int_equal(qemu_open(linux_world_loop(lab->lw), lab->w, &lab->config, &lab->driver), OK);
    linux_world_plug_vm(lab->lw, &qemu_vm_ops, lab->driver);
    lab->w->vm->watch(lab->w->self, &lab->sink);
}

void qemu_lab_driver_close(struct qemu_lab *lab)
{
    if (lab->driver != NULL) {
        qemu_close(lab->driver);
        lab->driver = NULL;
        linux_world_plug_vm(lab->lw, NULL, NULL);
    }
}

void qemu_lab_close(struct qemu_lab *lab)
{
    char command[96];

    qemu_lab_driver_close(lab);
    linux_world_close(lab->lw);
    sweep(lab->root);
    /* Ours to bury. */
    (void)snprintf(command, sizeof command, "rm -rf %s", lab->root);
    assert_int_equal(system(command), 0);
}

struct bytes qemu_lab_definition(const char *append)
{
    static char text[2048];
#ifdef TINY_GUEST
    const int n = snprintf(text, sizeof text,
                           "{\"memory_mib\": 16, \"firmware\": \"/usr/share/qemu/qboot.rom\","
                           " \"boot\": {\"kernel\": \"%s\", \"append\": \"%s\"},"
                           " \"disk\": {\"bus\": \"ide\", \"cache\": \"writeback\"},"
                           " \"watchdog\": \"pause\", \"guest_agent\": \"serial\"}",
                           TINY_GUEST, append);
#else
    const int n = snprintf(text, sizeof text, "{%s}", append);
#endif
    return (struct bytes){(const uint8_t *)text, (size_t)n};
}

/* --- requests --------------------------------------------------------------------------------- */

static void lab_entry(struct world_vm_request *request, const struct world_vm_found *found)
{
    struct qemu_lab_call *call = request->owner;
    assert_true(call->count < COUNT_OF(call->listed) && !call->is_done);
    call->listed[call->count++] = *found;
}

static void lab_done(struct world_vm_request *request)
{
    struct qemu_lab_call *call = request->owner;
    assert_false(call->is_done);
    call->is_done = true;
    call->exits_at_done = call->lab->exit_count;
}

void qemu_lab_prepare(struct qemu_lab_call *call, struct qemu_lab *lab, enum world_vm_op op,
                      struct world_vm_spec spec, nanos patience)
{
    memset(call, 0, sizeof *call);
    call->lab = lab;
    call->request = (struct world_vm_request){
        .op = op,
        .spec = spec,
        .deadline = world_now(lab->w) + patience,
        .entry = lab_entry,
        .done = lab_done,
        .owner = call,
    };
}

void qemu_lab_send(struct qemu_lab_call *call, struct qemu_lab *lab, enum world_vm_op op,
                   struct world_vm_spec spec, nanos patience)
{
    qemu_lab_prepare(call, lab, op, spec, patience);
    lab->w->vm->submit(lab->w->self, &call->request);
    assert_false(call->is_done);
}

void qemu_lab_step(struct qemu_lab *lab)
{
    (void)linux_world_poll(lab->lw, NANOS_PER_MS);
}

/* A bound for the whole, far above what it takes. */
static bool lab_goes_on(struct qemu_lab *lab, nanos since)
{
    qemu_lab_step(lab);
    return world_now(lab->w) - since < 2 * QEMU_LAB_PATIENCE;
}

void qemu_lab_await(struct qemu_lab_call *call)
{
    const nanos since = world_now(call->lab->w);

    while (!call->is_done) {
        assert_true(lab_goes_on(call->lab, since));
    }
}

enum err qemu_lab_ask(struct qemu_lab *lab, enum world_vm_op op, const char *name)
{
    struct qemu_lab_call call;

    qemu_lab_send(&call, lab, op, (struct world_vm_spec){.name = name}, QEMU_LAB_PATIENCE);
    qemu_lab_await(&call);
    return call.request.result;
}

enum err qemu_lab_start(struct qemu_lab *lab, const char *name, const char *volume)
{
    struct qemu_lab_call call;
    const struct world_vm_spec spec = {
        .name = name, .volume = volume, .epoch = 1, .definition = qemu_lab_definition("")};

    qemu_lab_send(&call, lab, WORLD_VM_START, spec, QEMU_LAB_PATIENCE);
    qemu_lab_await(&call);
    return call.request.result;
}

void qemu_lab_await_exits(struct qemu_lab *lab, size_t count)
{
    const nanos since = world_now(lab->w);

    while (lab->exit_count < count) {
        assert_true(lab_goes_on(lab, since));
    }
    assert_int_equal(lab->exit_count, count);
}

/* --- looking at it from outside ----------------------------------------------------------------
 */

const char *qemu_lab_file(const struct qemu_lab *lab, const char *name, const char *file)
{
    static char text[65536];
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s/%s", lab->run, name, file);
    (void)qemu_file_read(AT_FDCWD, path, text, sizeof text - 1);
    return text;
}

pid_t qemu_lab_pid(const struct qemu_lab *lab, const char *name)
{
    struct qemu_record record;
    const char *text = qemu_lab_file(lab, name, QEMU_FILE_MACHINE);
    const struct bytes json = {(const uint8_t *)text, strlen(text)};

    return qemu_record_decode(json, &record) == OK ? record.pid : 0;
}

pid_t qemu_lab_signal(const struct qemu_lab *lab, const char *name, int signal)
{
    const pid_t pid = qemu_lab_pid(lab, name);

    assert_true(pid > 1);
    assert_int_equal(kill(pid, signal), 0);
    return pid;
}

void qemu_lab_await_console(struct qemu_lab *lab, const char *name, const char *text)
{
    const nanos since = world_now(lab->w);

    while (strstr(qemu_lab_file(lab, name, QEMU_FILE_CONSOLE), text) == NULL) {
        assert_true(lab_goes_on(lab, since));
    }
}

size_t qemu_lab_processes(const struct qemu_lab *lab)
{
    return each_process(lab->root, leave_process);
}
