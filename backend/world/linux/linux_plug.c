/* The parts of the table that have a self of their own: those that drivers fill, and commands. */
#include "world/linux/linux_command.h"
#include "world/linux/linux_world_int.h"

static void linux_power_submit(void *self, struct world_power_request *request)
{
    const struct linux_world *lw = self;

    lw->power_driver->submit(lw->power_self, request);
}

static void linux_vm_submit(void *self, struct world_vm_request *request)
{
    const struct linux_world *lw = self;

    lw->vm_driver->submit(lw->vm_self, request);
}

static void linux_vm_watch(void *self, struct world_vm_sink *sink)
{
    const struct linux_world *lw = self;

    lw->vm_driver->watch(lw->vm_self, sink);
}

static void linux_guard_submit(void *self, struct world_guard_request *request)
{
    const struct linux_world *lw = self;

    lw->guard_driver->submit(lw->guard_self, request);
}

void linux_world_plug_power(struct linux_world *lw, const struct world_power_ops *ops, void *self)
{
    static const struct world_power_ops through = {.submit = linux_power_submit};

    lw->power_driver = ops;
    lw->power_self = self;
    lw->table.power = ops != NULL ? &through : NULL;
}

void linux_world_plug_vm(struct linux_world *lw, const struct world_vm_ops *ops, void *self)
{
    static const struct world_vm_ops through = {.submit = linux_vm_submit, .watch = linux_vm_watch};

    lw->vm_driver = ops;
    lw->vm_self = self;
    lw->table.vm = ops != NULL ? &through : NULL;
}

void linux_world_plug_guard(struct linux_world *lw, const struct world_guard_ops *ops, void *self)
{
    static const struct world_guard_ops through = {.submit = linux_guard_submit};

    lw->guard_driver = ops;
    lw->guard_self = self;
    lw->table.guard = ops != NULL ? &through : NULL;
}

/* The first one starts their thread. */
static void linux_command_submit(void *self, struct world_command_request *request)
{
    struct linux_world *lw = self;

    if (lw->commands == NULL) {
        lw->commands = linux_commands_open(lw);
    }
    linux_commands_submit(lw->commands, request);
}

const struct world_command_ops linux_world_command_ops = {.submit = linux_command_submit};

void linux_plug_close(struct linux_world *lw)
{
    if (lw->commands != NULL) {
        linux_commands_close(lw->commands);
    }
}
