/* Which transaction may follow which, of one host's fate. */
#include "core/ha/ha_proof.h"

#include <string.h>

#define TO(phase) (1U << (phase))

/* From each phase, the phases that one transaction may lead to. What is gone was barred before: so
 * nothing leads from UP to GONE. */
static const uint32_t next_fates[HA_HOST_PHASES] = {
    [HA_HOST_UP] = TO(HA_HOST_UP) | TO(HA_HOST_LOST) | TO(HA_HOST_FENCING),
    [HA_HOST_LOST] = TO(HA_HOST_LOST) | TO(HA_HOST_UP) | TO(HA_HOST_FENCING) | TO(HA_HOST_GONE),
    [HA_HOST_FENCING] = TO(HA_HOST_FENCING) | TO(HA_HOST_UP) | TO(HA_HOST_GONE),
    [HA_HOST_GONE] = TO(HA_HOST_GONE) | TO(HA_HOST_UP) | TO(HA_HOST_FENCING),
};

static const char *losses_may_follow(const struct ha_fate *before, const struct ha_fate *after)
{
    bool stays_up = before->phase == HA_HOST_UP && after->phase == HA_HOST_UP;

    if (after->losses > before->losses && after->losses - before->losses > 1) {
        return "more than one loss was counted";
    }
    if (after->losses < before->losses && !stays_up) {
        return "losses vanished";
    }
    if (before->is_quarantined && !after->is_quarantined && !stays_up) {
        return "a quarantine vanished";
    }
    return NULL;
}

const char *ha_fate_may_follow(const struct ha_fate *before, const struct ha_fate *after)
{
    if (after == NULL) {
        return before != NULL && before->phase == HA_HOST_FENCING ? "a fence was forgotten" : NULL;
    }
    if (before == NULL) {
        return after->phase == HA_HOST_GONE ? "it is gone without having been barred" : NULL;
    }
    if ((next_fates[before->phase] & TO(after->phase)) == 0) {
        return after->phase == HA_HOST_GONE ? "it is gone without having been barred"
                                            : "this phase does not follow that one";
    }
    bool becomes_gone = before->phase != HA_HOST_GONE && after->phase == HA_HOST_GONE;
    if (becomes_gone && strcmp(before->incident, after->incident) != 0) {
        return "it is gone by a proof for another incident";
    }
    if (after->term < before->term) {
        return "a leader of an older term wrote it";
    }
    if (after->fence_count < before->fence_count) {
        return "an operator's fence was forgotten";
    }
    return losses_may_follow(before, after);
}
