#include "api/rpc.h"

#include "core/base/types.h"

const char *rpc_status_name(int status)
{
    static const char *const names[RPC_STATUS_COUNT] = {
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    };
    return status >= 0 && status < RPC_STATUS_COUNT ? names[status] : names[RPC_UNKNOWN];
}
