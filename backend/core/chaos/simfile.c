/* The files of a simulated host: when a request completes. What it does is the disk's (simdisk.h).
 */
#include "core/base/check.h"
#include "core/chaos/simworld_int.h"

static void file_completed(void *arg)
{
    struct world_file_request *request = arg;
    struct simhost *host = request->world;

    simdisk_settle(host->disk, request);
    simworld_mix_file(host->sim, request);
    request->done(request);
}

static void sim_submit(void *self, struct world_file_request *request)
{
    struct simhost *host = self;
    nanos latency = SIMDISK_OP_LATENCY + host->extra_operation;

    CHECK(request->lane < WORLD_LANES && request->done != NULL);
    if (request->op == WORLD_SYNC || request->op == WORLD_SYNC_DIR) {
        latency += SIMDISK_SYNC_LATENCY + host->extra_sync;
    } else if (request->op == WORLD_READ || request->op == WORLD_WRITE) {
        latency += request->length * NANOS_PER_S / SIMDISK_BYTE_RATE;
    }
    simdisk_execute(host->disk, request);
    nanos begin = u64_max(host->lane_free[request->lane], host->sim->now);
    host->lane_free[request->lane] = begin + latency;
    request->world = host;
    simworld_schedule(host->sim, host, begin + latency, file_completed, NULL, request);
}

const struct world_file_ops simfile_ops = {sim_submit};

void simhost_stall(struct simhost *host, enum world_lane lane, nanos until)
{
    CHECK(lane < WORLD_LANES);
    host->lane_free[lane] = u64_max(host->lane_free[lane], until);
}

void simhost_slow(struct simhost *host, nanos operation, nanos sync)
{
    host->extra_operation = operation;
    host->extra_sync = sync;
}
