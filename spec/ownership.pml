/*
 * Who may run a VM: host leases, the guard, the watchdog, the bound P and fence proofs, checked before the
 * HA manager is coded. The rules are those of docs/models.md#ownership; the guard is backend/guard/guard_core.c.
 *
 * WHAT IS MODELLED. One host that runs a VM, with an agent, a guard and a hardware watchdog; the leader, and
 * the leader after it. Time passes in steps, and in each the host's and the leader's clocks advance by as
 * much as they like between slow and fast. Messages take as long as they like, or for ever.
 *
 *   renew       the agent notes its clock, and then sends a renewal
 *   confirm     after it arrived, a quorum confirms the leader; not if a new one is elected
 *   grant       the leader counts from its receipt; the lease ends L after what the agent noted
 *   look, feed  the guard sees that the lease holds, and then feeds the watchdog; it may stall in between, and
 *               feeds late then
 *   stall       guard and agent do not run, and the VM does
 *   kill        at the lease's end the guard kills the VM, if it runs at all
 *   reset       TIMEOUT after it was last fed, at the latest, the watchdog resets the host; so W, from the end of
 *               the lease to the reset, is twice that
 *   I/O         what the VM sent lands for as long as D after it ended, however it ended
 *   elect       a new leader counts the full P from its first commit
 *   fence       power is cut and read back; the leader waits D
 *   stop        the agent says "stopped" once the process is gone, and with it what it sent
 *   start       the VM starts elsewhere
 *
 * WHAT MUST HOLD (I11 to I13). When the VM starts elsewhere, nothing of the old one can write any more.
 *
 * NUMBERS. A step is SLOW to FAST units of a clock: with 2 and 4, rho is 1/3. W and D are steps of real time. A
 * step is 3 units, so that P >= (1 + rho) (L / (1 - rho) + W + D) is 2 L + 4 W + 4 D units.
 *
 * WHAT IS LEFT OUT, AND WHY THAT IS SOUND.
 *   - One renewal at a time is on its way. An older one that is granted late ends earlier.
 *   - A third leader, and an L that changes: to the host, each leader does what the one before did. For the
 *     lease that is so where each counts with the longest one that may still hold. A grant of a shorter lease
 *     ends no longer one; and the token, by which alone a leader knows of those before, says the longest until
 *     it is over (docs/ha.md, "Leases"; tests/core/ha/test_ha_leaders.c).
 *   - What a command carries (epochs) and volumes that check them: they guard against more than this.
 *   - The watchdog may fire too early, the guard kill too early: that is a VM that ends, with less in flight.
 *
 * WRONG VARIANTS, by -D.
 *   LEASE_FROM_ARRIVAL     the lease counts from when the grant arrived
 *   GRANT_UNCONFIRMED      a leader grants without asking a quorum
 *   CONFIRMED_BEFORE       it was confirmed before the renewal arrived
 *   NEW_LEADER_AT_ONCE     a new leader knows of no lease, and waits for none
 *   NO_DRIFT               P = L + W + D
 *   NO_WATCHDOG_TIME       P without W
 *   ONE_TIMEOUT            W is the watchdog's time-out, once
 *   NO_IO_TIME             P without D
 *   UNATTESTED             a host without a watchdog, and time taken for a proof
 *   KEEP                   a VM that runs on by its policy, and time taken for a proof
 *   VIRTUAL_HOST           the host is a VM that may be paused, clock, watchdog and all
 *   HOST_SLEEPS            the host may be suspended: the clock counts, the watchdog does not, and the VM runs
 *                          again before the guard does
 *   OFF_WITHOUT_READ_BACK  "already off", by a device that nobody reached, is a proof
 *   FENCE_AT_ONCE          a fence proof without waiting for D
 *   STARTS_ALONE           a host that was fenced comes back, and starts the VM by itself
 *   SAYS_STOPPED_EARLY     the agent says "stopped" while what the VM sent may still land
 */
#define SLOW 2
#define FAST 4
#define L 4
#define TIMEOUT 2
#ifdef ONE_TIMEOUT
#define W TIMEOUT
#else
#define W (2 * TIMEOUT - 1) /* late by less than a time-out: by a step less, at most */
#endif
#define D 1
#ifdef NO_DRIFT
#define P (L + 3 * W + 3 * D)
#elif defined(NO_WATCHDOG_TIME)
#define P (2 * L + 4 * D)
#elif defined(NO_IO_TIME)
#define P (2 * L + 4 * W)
#else
#define P (2 * L + 4 * W + 4 * D)
#endif

#define LATE (L + 1) /* at L itself, as just before it, the guard may still have fed the watchdog */

mtype = { none, sent, arrived, confirmed, granted };

/* The host. */
bit runs = 1;            /* the VM */
byte landing;            /* steps for which what the VM sent may still land */
bit is_stalled;
bit is_frozen;           /* asleep, or a paused VM itself: nothing runs */
byte lease_age;          /* on its clock, since it noted what is granted; ends at LATE */
byte fed;                /* steps since the watchdog was fed; ends at TIMEOUT */
bit has_looked;          /* the guard, and the lease held; it has not fed yet */
bit is_off;
bit says_stopped;

/* One renewal. */
mtype renewal = none;
bit to_new;              /* it went to the new leader */
byte noted;              /* on the host's clock, since; ends at LATE */
byte received;           /* on the leader's clock, since; ends at P */

/* The leader of the moment. */
byte since;              /* its receipt of the last renewal granted, or its first commit; ends at P */
bit is_new;
bit was_confirmed;
bit is_fenced;
byte fence_age;          /* on its clock; ends at FENCE_WAIT */
bit started;

#ifdef FENCE_AT_ONCE
#define FENCE_WAIT 0
#else
#define FENCE_WAIT (4 * D)
#endif
#ifdef LEASE_FROM_ARRIVAL
#define GRANTED_AGE 0
#else
#define GRANTED_AGE noted
#endif
#ifdef GRANT_UNCONFIRMED
#define MAY_CONFIRM true
#elif defined(CONFIRMED_BEFORE)
#define MAY_CONFIRM (to_new || was_confirmed)
#else
#define MAY_CONFIRM (to_new || !is_new)
#endif
#ifdef SAYS_STOPPED_EARLY
#define IS_STOPPED (!runs)
#else
#define IS_STOPPED (!runs && landing == 0)
#endif
#ifdef NEW_LEADER_AT_ONCE
#define NEW_SINCE P
#else
#define NEW_SINCE 0
#endif
#ifdef UNATTESTED
#define HAS_WATCHDOG false
#else
#define HAS_WATCHDOG true
#endif
#ifdef KEEP
#define IS_KILLED false
#else
#define IS_KILLED true
#endif

#ifdef KEEP
#define MAY_FEED true
#else
#define MAY_FEED (lease_age <= L)
#endif

#define lease_holds (lease_age < L)
#define guard_runs (!is_stalled && !is_frozen && !is_off)
#define may_write (runs || landing > 0)

inline grow(age, by, end) {
    age = (age + by > end -> end : age + by)
}

inline check() {
    assert(!started || !may_write)
}

inline end_vm() {
    landing = (runs -> D : landing);
    runs = 0
}

/* In each step, first what has to happen at its end; the guard is not late if it runs. */
inline pass(l, a) {
    landing = (landing > 0 -> landing - 1 : 0);
    if
    :: is_frozen ->
#ifdef HOST_SLEEPS
        grow(lease_age, a, LATE);
        grow(noted, a, LATE)
#else
        skip
#endif
    :: else ->
        grow(lease_age, a, LATE);
        if
        :: renewal != none -> grow(noted, a, LATE)
        :: else
        fi;
        if
        :: HAS_WATCHDOG && runs -> grow(fed, 1, TIMEOUT)
        :: else
        fi;
        if
        :: fed == TIMEOUT && guard_runs && MAY_FEED -> fed = 0; has_looked = 0
        :: fed == TIMEOUT && !(guard_runs && MAY_FEED) -> end_vm(); is_stalled = 0
        :: else
        fi
    fi;
    if
    :: renewal == arrived || renewal == confirmed -> grow(received, l, P)
    :: else
    fi;
    grow(since, l, P);
    if
    :: is_fenced -> grow(fence_age, l, FENCE_WAIT)
    :: else
    fi;
    if
    :: !runs -> fed = 0; lease_age = LATE; has_looked = 0
    :: else
    fi;
    check()
}

/* Time stands while the guard runs and has to kill. */
#define PASS(l, a) :: d_step { !(runs && guard_runs && !lease_holds && IS_KILLED) && !started -> pass(l, a); skip }

active proctype clocks() {
end:
    do
    PASS(SLOW, SLOW)
    PASS(SLOW, FAST)
    PASS(FAST, SLOW)
    PASS(FAST, FAST)
    PASS(3, 3)
    PASS(3, SLOW)
    PASS(FAST, 3)
    od
}

active proctype host() {
end:
    do
    :: d_step { guard_runs && runs && renewal == none -> renewal = sent; noted = 0 }
    :: d_step { guard_runs && renewal == granted ->
        lease_age = (runs && GRANTED_AGE < lease_age -> GRANTED_AGE : lease_age);
        renewal = none;
        noted = 0;
        check() }
    :: d_step { guard_runs && runs && MAY_FEED && !has_looked -> has_looked = 1 }
    :: d_step { guard_runs && runs && has_looked -> fed = 0; has_looked = 0 }
    :: d_step { guard_runs && runs && !lease_holds && IS_KILLED -> end_vm(); fed = 0; check() }
    :: d_step { runs && !is_stalled && !is_frozen -> is_stalled = 1 }
    :: d_step { is_stalled && !is_frozen -> is_stalled = 0 }
    /* A VM that was ended otherwise: by its user, by a crash of the host. */
    :: d_step { runs -> end_vm(); fed = 0; lease_age = LATE; is_stalled = 0; check() }
    :: d_step { !is_off && !is_frozen && IS_STOPPED -> says_stopped = 1 }
#ifdef STARTS_ALONE
    :: d_step { is_off -> is_off = 0; runs = 1; check() }
#endif
#if defined(VIRTUAL_HOST) || defined(HOST_SLEEPS)
    :: d_step { runs && !is_frozen && landing == 0 -> is_frozen = 1 }
    :: d_step { is_frozen -> is_frozen = 0; is_stalled = 1; check() }
#endif
    od
}

active proctype leader() {
end:
    do
    :: d_step { renewal == sent -> renewal = arrived; to_new = 0; received = 0 }
    :: d_step { renewal == sent && is_new -> renewal = arrived; to_new = 1; received = 0 }
    :: d_step { !is_new && !was_confirmed -> was_confirmed = 1 }
    :: d_step { renewal == arrived && MAY_CONFIRM && !started -> renewal = confirmed }
    :: d_step { renewal == confirmed ->
        renewal = granted;
        since = (to_new == is_new -> received : since);
        to_new = 0;
        received = 0 }
    /* A message that is lost, or a leader that is gone. */
    :: d_step { renewal != none -> renewal = none; to_new = 0; noted = 0; received = 0 }
    :: d_step { !is_new -> is_new = 1; since = NEW_SINCE }
    :: d_step { !is_fenced -> is_fenced = 1; fence_age = 0; is_off = 1; end_vm(); fed = 0; lease_age = LATE; is_stalled = 0 }
#ifdef OFF_WITHOUT_READ_BACK
    :: d_step { !is_fenced -> is_fenced = 1; fence_age = 0 }
#endif
    :: d_step { !started && since == P -> started = 1; check() }
    :: d_step { !started && says_stopped -> started = 1; check() }
    :: d_step { !started && is_fenced && fence_age == FENCE_WAIT -> started = 1; check() }
    od
}
