/*
 * The parameters of a fence device: checked against what its agent says of itself, and written as
 * the agent reads them: `key=value` lines on its standard input, where no other user of the host
 * sees them, as on a command line.
 *
 * A name that the agent does not know would be skipped by it with a warning that nobody reads, a
 * value that it reads differently would reach another machine, or none; so all of that is an error
 * while the device is configured. What is wrong is said with names, and never with values, which
 * may be secrets.
 *
 * NOT TAKEN, whatever an agent knows: `action`, `help` and `version`, with which a request to
 * switch off would do something else, and succeed; `debug` and `debug_file`, which write passwords
 * into a file; `missing_as_off`, by which a machine that a device does not know is off.
 */
#ifndef NOVACRON_DRIVERS_FENCE_FENCE_PARAMS_H
#define NOVACRON_DRIVERS_FENCE_FENCE_PARAMS_H

#include "core/base/buf.h"
#include "drivers/fence/fence_metadata.h"

/* Of one device; and the longest value, with its final zero. */
#define FENCE_PARAMS_MAX      64
#define FENCE_VALUE_MAX_BYTES 1024

struct fence_param {
    const char *name;
    const char *value;
};

enum fence_action { FENCE_STATUS, FENCE_OFF, FENCE_ON, FENCE_METADATA };

/* What can be said without knowing the agent: ERR_INVALID and why. */
MUST_USE enum err fence_params_check(const struct fence_param *params, size_t count, char *why,
                                     size_t why_bytes);

/* Against the metadata; they have passed the check above. ERR_INVALID: names that the agent does
 * not know, required ones that are missing, values of the wrong kind, all in one `why`; or an agent
 * that is of no use for power: one that cannot tell it, or one that cuts off storage or network. */
MUST_USE enum err fence_params_fit(const struct fence_metadata *m, const struct fence_param *params,
                                   size_t count, char *why, size_t why_bytes);

/* What the agent reads. Where it knows a wait after a switch, and nobody has set one, there is
 * none: whether the power has gone is found by asking for it. */
void fence_params_write(const struct fence_metadata *m, const struct fence_param *params,
                        size_t count, enum fence_action action, struct buf *out);

/* Does a parameter of this name hold something that may not be shown? */
bool fence_param_is_secret(const char *name);

/* Replaces secrets in a text by as many '*', also where it repeats them within other words. */
void fence_params_hide(const struct fence_param *params, size_t count, char *text);

#endif
