/*
 * Lease reads: raft_read.c and the bar on votes of raft_election.c, under clocks that drift, hosts that
 * sleep, and virtual machines that are paused.
 *
 * WHAT IS MODELLED. A leader of three and two voters. The leader sends heartbeats; each answer brings
 * back when, on the leader's clock, its heartbeat left. Time passes in steps; in each, every clock
 * advances by as much as it likes between slow and fast. A message takes as long as it likes. Nothing
 * has to happen in time: whoever does not act is slow, asleep (its clock counts that, CLOCK_BOOTTIME)
 * or dead. A virtual machine that is paused is different: its clock stands.
 *
 *   here                 code
 *   lease_holds          raft_lease_holds, reads_quorum; X is its `length`
 *   age of a heartbeat   r->now - sent_at
 *   waited               raft_promised_to_wait, raft_vote_is_barred: since leader_heard or booted
 *   transfer             raft_transfer, raft_send_timeout_now: lease_void
 *   resume               RAFT_EVENT_SUSPENDED, raft_on_suspended
 *   restart              raft_new: booted
 *
 * WHAT MUST HOLD (I7 of a lease read). Once another leader is elected, which may commit at once, the
 * lease of the old one does not hold: what it would answer could be stale.
 *
 * WHAT IS LEFT OUT, AND WHY THAT IS SOUND.
 *   - The new leader commits the moment it is elected: sooner than it can.
 *   - Pre-votes change nothing on a voter. Without them there are more elections.
 *   - The old leader never learns of the new term, and does not check its quorum.
 *   - One heartbeat at a time is on its way to and from each voter, for any time. One that was sent
 *     before it and arrives later only makes the voter wait longer, and the lease none (it takes the
 *     newest answer).
 *   - More voters: the quorum of the lease and that of the election share one, which is the argument.
 *   - Ages stop at the bound from where on they make no difference.
 *
 * NUMBERS. A step is SLOW to FAST units of a clock; with 2 and 4 that is a drift d of 1/3. E, the election
 * timeout, is 12 units, and X = E (1 - 2 d) = 4. (The tight bound E (1 - d) / (1 + d) would be 6.)
 *
 * WRONG VARIANTS, by -D.
 *   NO_DRIFT                X = E
 *   COUNT_FROM_ANSWER       the lease counts from when the answer came
 *   CLOCK_STOPS_ASLEEP      sleep is not counted (CLOCK_MONOTONIC)
 *   LEASE_KEPT_OVER_PAUSE   nobody tells the leader that its clock stood
 *   LEASE_KEPT_IN_TRANSFER  a transfer lets voters off, and the lease goes on
 *   VOTES_ANY_TIME          voters grant votes within the lease
 *   RESTART_FORGETS         a voter that restarted keeps no promise
 *   CAMPAIGN_FORGETS        a voter told to campaign forgets whom it heard (until commit 3e6da2c)
 *   TIME_READ_EARLY         the lease is judged by a clock that was read before the request was
 */
#define E 12
#define SLOW 2
#define FAST 4
#ifdef NO_DRIFT
#define X E
#else
#define X 4
#endif
#define VOTERS 2

mtype = { none, there, back };

/* The leader. Ages are on its clock, and end at X. */
mtype beat[VOTERS] = none; /* where the heartbeat to this voter is */
byte beat_age[VOTERS];     /* since it left */
byte acked_age[VOTERS] = X; /* since the newest left that this voter answered */
bit is_void;
bit is_asleep;
bit is_paused;
bit must_tell;      /* it was paused, and has not been told */
bit judged;         /* by the clock that was read, the lease holds */

/* The voters. Ages are on their clocks, and end at E. */
byte waited[VOTERS] = E;
byte supports[VOTERS]; /* in the new term: nobody, or 1 + a voter */
bit hurried[VOTERS];   /* told to campaign by a transfer */
bit elected;

hidden byte i, rate;

#define OTHER(v) (1 - (v))
#define RUNS (!is_asleep && !is_paused && !must_tell)
#define lease_holds (RUNS && !is_void && (acked_age[0] < X || acked_age[1] < X))

inline grow(age, by, end) {
    age = (age + by > end -> end : age + by)
}

inline check() {
#ifdef TIME_READ_EARLY
    assert(!elected || !judged || !RUNS)
#else
    assert(!elected || !lease_holds)
#endif
}

/* Time passes: l, a and b are what the three clocks make of it. */
inline pass(l, a, b) {
    i = 0;
    do
    :: i == VOTERS || is_paused -> break
#ifdef CLOCK_STOPS_ASLEEP
    :: is_asleep -> break
#endif
    :: else ->
        if
        :: beat[i] != none -> grow(beat_age[i], l, X)
        :: else
        fi;
        grow(acked_age[i], l, X);
        i++
    od;
    grow(waited[0], a, E);
    grow(waited[1], b, E);
    check()
}

#define PASS(l, a, b) :: d_step { !elected || RUNS || must_tell || is_asleep || is_paused -> pass(l, a, b); skip }

active proctype clocks() {
end:
    do
    PASS(SLOW, SLOW, SLOW)
    PASS(SLOW, SLOW, FAST)
    PASS(SLOW, FAST, SLOW)
    PASS(SLOW, FAST, FAST)
    PASS(FAST, SLOW, SLOW)
    PASS(FAST, SLOW, FAST)
    PASS(FAST, FAST, SLOW)
    PASS(FAST, FAST, FAST)
    PASS(3, 3, 3)
    PASS(3, FAST, FAST)
    PASS(SLOW, 3, 3)
    PASS(3, SLOW, FAST)
    PASS(3, FAST, SLOW)
    od
}

#define BEAT(v)                                                                                 \
    :: d_step { RUNS && beat[v] == none && !elected -> beat[v] = there; beat_age[v] = 0 }       \
    :: d_step { RUNS && beat[v] == back -> beat[v] = none; HEARD_BACK(v); beat_age[v] = 0; check() } \
    :: d_step { beat[v] != none -> beat[v] = none; beat_age[v] = 0 }

#ifdef COUNT_FROM_ANSWER
#define HEARD_BACK(v) acked_age[v] = 0
#else
#define HEARD_BACK(v) acked_age[v] = (beat_age[v] < acked_age[v] -> beat_age[v] : acked_age[v])
#endif
#ifdef LEASE_KEPT_IN_TRANSFER
#define VOID_IN_TRANSFER is_void
#else
#define VOID_IN_TRANSFER 1
#endif
#ifdef LEASE_KEPT_OVER_PAUSE
#define TELL 0
#else
#define TELL 1
#endif

active proctype leader() {
end:
    do
    BEAT(0)
    BEAT(1)
    :: d_step { RUNS && !hurried[0] -> is_void = VOID_IN_TRANSFER; hurried[0] = 1 }
    :: d_step { RUNS -> is_asleep = 1 }
    :: d_step { is_asleep -> is_asleep = 0; check() }
    :: d_step { RUNS -> is_paused = 1 }
    :: d_step { is_paused -> is_paused = 0; must_tell = TELL; check() }
    :: d_step { must_tell -> must_tell = 0; is_void = 1 }
#ifdef TIME_READ_EARLY
    :: d_step { lease_holds -> judged = 1 }
    :: d_step { judged -> judged = 0 }
#endif
    od
}

#ifdef VOTES_ANY_TIME
#define MAY_VOTE(v) true
#else
#define MAY_VOTE(v) (waited[v] == E)
#endif

active [VOTERS] proctype voter() {
    byte v = _pid - 2;
end:
    do
    /* A heartbeat. One that has gone on to the new term takes no more from the old leader. */
    :: d_step { beat[v] == there && supports[v] == 0 -> beat[v] = back; waited[v] = 0 }
    /* Its own promise binds a candidate as well, unless the leader itself sent it. */
    :: d_step { supports[v] == 0 && (waited[v] == E || hurried[v]) -> supports[v] = v + 1 }
    /* The other one's request. */
    :: d_step { supports[v] == 0 && supports[OTHER(v)] == OTHER(v) + 1 &&
            (MAY_VOTE(v) || hurried[OTHER(v)]) ->
        supports[v] = OTHER(v) + 1;
        elected = 1;
        check() }
    :: d_step { supports[v] == 0 ->
#ifdef RESTART_FORGETS
        waited[v] = E;
#else
        waited[v] = 0;
#endif
        hurried[v] = 0 }
#ifdef CAMPAIGN_FORGETS
    :: d_step { supports[v] == 0 -> waited[v] = E }
#endif
    od
}
