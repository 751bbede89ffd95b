/*
 * Results. A function that can fail for a reason outside the program returns `enum err` and is
 * marked MUST_USE; what only a bug can cause is a CHECK (base/check.h). An errno becomes one of
 * these at the edge of the world (backend/world) and nowhere else.
 *
 * On any result but OK, out-parameters are untouched.
 */
#ifndef NOVACRON_BASE_ERR_H
#define NOVACRON_BASE_ERR_H

#define MUST_USE __attribute__((warn_unused_result))

/* name, text for people. The text completes the sentence "cannot do this: ...". */
#define ERR_TABLE(X)                                                                               \
    X(OK, "ok")                                                                                    \
    /* what a caller or an operator asked for */                                                   \
    X(ERR_INVALID, "the request is malformed")                                                     \
    X(ERR_REFUSED, "the current state forbids it")                                                 \
    X(ERR_NOT_FOUND, "there is no such thing")                                                     \
    X(ERR_EXISTS, "it exists already")                                                             \
    X(ERR_TOO_LARGE, "it is larger than the declared limit")                                       \
    X(ERR_UNSUPPORTED, "this version or feature level does not know it")                           \
    /* bytes that came from a disk or a peer */                                                    \
    X(ERR_TRUNCATED, "the bytes end too early")                                                    \
    X(ERR_CORRUPT, "the bytes fail their checks")                                                  \
    X(ERR_PROTOCOL, "the peer broke the protocol")                                                 \
    /* consensus */                                                                                \
    X(ERR_NO_LEADER, "no leader is known")                                                         \
    X(ERR_NOT_LEADER, "this node does not lead")                                                   \
    X(ERR_DROPPED, "the proposal was dropped")                                                     \
    X(ERR_BUSY, "a queue is full; try again later")                                                \
    X(ERR_PENDING, "another change of this kind is under way")                                     \
    X(ERR_UNKNOWN, "the outcome is unknown")                                                       \
    X(ERR_COMPACTED, "it was compacted away")                                                      \
    X(ERR_FUTURE, "it has not happened yet")                                                       \
    /* the world */                                                                                \
    X(ERR_IO, "the device reported an error")                                                      \
    X(ERR_NO_SPACE, "no space is left on the device")                                              \
    X(ERR_TIMEOUT, "it took longer than allowed")                                                  \
    X(ERR_CANCELED, "it was canceled")                                                             \
    X(ERR_CLOSED, "the other side has gone")                                                       \
    X(ERR_DENIED, "permission is missing")

enum err {
#define ERR_ENUM(name, text) name,
    ERR_TABLE(ERR_ENUM)
#undef ERR_ENUM
        ERR_COUNT
};

/* The name as written above ("ERR_BUSY"), and its text. Never NULL, also for values that are not
 * in the table. Static strings. */
const char *err_name(enum err e);
const char *err_text(enum err e);

/* Leaves the calling function with the error of `expr`, if it has one. */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        enum err try_err_ = (expr);                                                                \
        if (try_err_ != OK) {                                                                      \
            return try_err_;                                                                       \
        }                                                                                          \
    } while (0)

#endif
