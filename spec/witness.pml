/*
 * Raft with witnesses: the in-sync rule of docs/raft.md#witnesses, as raft_witness.c has it.
 *
 * WHAT IS MODELLED. R replicas and W witnesses elect, replicate, commit, shrink and grow the in-sync
 * set I, and crash; the leader's own disk lags behind what it sends. Any node may stand still for as
 * long as it likes, which is also how one dies, or loses its disk for good: it never acts again, and
 * what must hold has to hold without it.
 *
 *   here                        rule   code
 *   MAY_CAMPAIGN                3      raft_is_promotable, raft_in_sync_has
 *   find_cut, lets_lead         4      in_sync_cut, raft_in_sync_lets_lead
 *   choose                      2      raft_commit_candidate, raft_advance_commit
 *   compare (HOLDS_BACK)        4      raft_in_sync_sendable
 *   may_change                  6      in_sync_judge, raft_tick_in_sync
 *   lead                               raft_become_leader
 *   take                               follower_store, raft_acknowledge
 *   sync, leave                        RAFT_EVENT_DURABLE; a crash, or a step down
 *
 * WHAT MUST HOLD.
 *   I4, I5  whoever leads has all that was committed, and what is committed stays the same. With I19
 *           (a replica leads, so with the payloads) that is promise 1: an acknowledged write is never
 *           lost, whoever dies.
 *   I16     progress is possible: in every state, of any ALIVE nodes (a majority, unless said
 *           otherwise) among which a replica is in sync, one could be elected by the others' logs as
 *           they are. It is not enough that an election may succeed after somebody else is back.
 *
 * WHAT IS LEFT OUT, AND WHY THAT IS SOUND.
 *   - Elections are one step, by a majority that votes at that moment. Voters vote at different times
 *     in truth; but a vote takes a node out of the terms before, so nothing that it does in between
 *     depends on them, and each vote can be moved to the moment of the last one. A failed election
 *     is a voter that stands still. What a candidate forgets in a crash, and late votes, are
 *     spec/persist.pml.
 *   - Hence only the highest term has messages: a node that is not among the voters of a term can
 *     take what it still takes of the term before before they vote, and a leader that is deposed can
 *     do what it still does before, too. For the same reason nobody's term has to be remembered, and
 *     a late message is one that was taken in time, as nothing is ever taken back within a term.
 *   - A follower's disk: what it stores has no effect before it is durable, as acknowledgements and
 *     votes wait for that. A lost message is one that is not taken.
 *   - An acknowledgement counts when it is made. A commit that a leader learns later, or never, is
 *     counted all the same: what must hold is harder.
 *   - Time: nobody is barred from voting by having heard a leader, and a leader takes a replica out
 *     of the set whenever it likes. That is more than the code does.
 *   - Membership changes, snapshots, damage (spec/repair.pml) are not here.
 *   - Entries of one message are taken one by one, which passes through every state that a longer
 *     message leads to.
 *   - Voters apply late (p reaches far back) where that makes an election easier, for safety; and at
 *     once where they vote in I16.
 *   - The first leader is replica 0: replicas are alike.
 *
 * BOUNDS. T terms, K entries in a log. spec/check.py has the list of runs; docs/models.md the states.
 *
 * WRONG VARIANTS, by -D.
 *   COUNT_THE_WITNESS          a majority is enough: the witness counts as a copy
 *   SET_DECIDES_AT_ONCE        the newest set of the leader's log decides about all of it
 *   ACK_BEFORE_SYNC            the witness acknowledges before its disk has it
 *   WITNESS_LEADS              a witness campaigns
 *   NO_CUT                     votes compare whole logs alone (track record: "a witness ahead")
 *   CUT_BY_WITNESSES_ONLY      rule 4 until commit cf82fca ("an out-of-sync replica with a tail")
 *   WITNESS_REFUSES_OUTSIDERS  rule 3 of commit f9ffead ("a witness that knew an old in-sync set")
 *   REFUSE_OUTSIDERS           all voters do ("a full voter refused candidates")
 *   CHANGE_SENT_AT_ONCE        a set is sent before the leader's own disk has it
 * and three that are no bugs here: CUT_AT_NEWEST_SET (rule 4 until 2105423: it takes three replicas to
 * block, where today's rule blocks as well), OUTSIDER_CAMPAIGNS (rule 3 dropped: nothing breaks),
 * and WITNESS_LAST.
 *
 * WHAT IT FOUND. With three replicas, or two witnesses, the rules are safe but one death can block:
 * see docs/models.md. WITNESS_LAST is a rule that the checker finds neither unsafe nor blocking
 * there: a witness is sent the log only up to an entry of which min(|I|, N - q + 1) members of its I
 * have a durable copy, and stores what comes in one message whole or not at all; rules 3 and 4 go,
 * any replica campaigns and votes are Raft's.
 */
#ifndef R
#define R 2 /* replicas: nodes 0 .. R - 1 */
#endif
#ifndef W
#define W 1 /* witnesses: nodes R .. R + W - 1 */
#endif
#ifndef T
#define T 3 /* terms */
#endif
#ifndef K
#define K 5 /* indexes of the log */
#endif

#define N (R + W)
#define Q (N / 2 + 1)
#define COPIES (N - Q + 1)
#define ALL ((1 << R) - 1) /* the set that all logs begin with */
#define NOBODY N
#define HAS(set, n) (((set) >> (n)) & 1)

/* --- variants --------------------------------------------------------------------------------- */

#ifdef WITNESS_LAST
#define OUTSIDER_CAMPAIGNS
#define NO_CUT
#endif
#ifdef COUNT_THE_WITNESS
#define COPIES_ASKED 0
#else
#define COPIES_ASKED COPIES
#endif
#ifdef SET_DECIDES_AT_ONCE
#define DECIDES_AT size[leader]
#else
#define DECIDES_AT top
#endif
#ifdef WITNESS_LEADS
#define MAY_CAMPAIGN(n) (HAS(set, n) || n >= R)
#elif defined(OUTSIDER_CAMPAIGNS)
#define MAY_CAMPAIGN(n) (n < R)
#define CAMPAIGNS(n) true
#else
#define MAY_CAMPAIGN(n) HAS(set, n)
#endif
#ifndef CAMPAIGNS
#define CAMPAIGNS(n) HAS(newest[n], n)
#endif
#ifdef NO_CUT
#define MAY_CUT(v) false
#elif defined(CUT_BY_WITNESSES_ONLY)
#define MAY_CUT(v) (v >= R)
#else
#define MAY_CUT(v) true
#endif
#ifdef CUT_AT_NEWEST_SET
#define CUT_IS_NEWEST true
#else
#define CUT_IS_NEWEST false
#endif
#ifdef CHANGE_SENT_AT_ONCE
#define HOLDS_BACK false
#else
#define HOLDS_BACK (durable < top)
#endif
#ifndef ALIVE
#define ALIVE Q
#endif
#ifdef SAFETY_ONLY
#define SAFETY_ALONE true
#else
#define SAFETY_ALONE false
#endif

/* --- state ------------------------------------------------------------------------------------ */

/* The logs, as arrays of terms. All of a log is on its disk, but for the leader's, and where a
 * witness acknowledges too early. */
byte entry[N * K];
byte size[N];
#define LOG(n, i) entry[(n) * K + (i) - 1]
#define LAST_TERM(n) (size[n] == 0 -> 0 : LOG(n, size[n]))

/* What the entry of a term at an index says: 0 for an ordinary one, else an in-sync set. */
byte kind[(T + 1) * K];
#define KIND(t, i) kind[(t) * K + (i) - 1]

byte term;                 /* the highest that anybody won */
byte leader = NOBODY;      /* who leads in it, until it is gone */
byte durable;              /* of the leader's log */
byte acked[N];             /* in this term */

byte chosen;               /* what was ever committed: entries 1 .. chosen, of these terms */
byte chosen_term[K + 1];

#ifdef ACK_BEFORE_SYNC
byte stored[N]; /* of the log of a node that does not lead */
#endif

/* Scratch, not a part of the state. */
hidden byte h, i, j, k, m, n_in, n_all, set, older, top, cut, cut_term;
hidden byte found, ok, unanimous;
hidden byte newest[N], stands[N], in_sync[N], would[R];

/* --- what a log says -------------------------------------------------------------------------- */

/* set: the one that decides at `at` in the log of n. */
inline find_set(n, at) {
    set = ALL;
    i = at;
    do
    :: i == 0 -> break
    :: else ->
        if
        :: KIND(LOG(n, i), i) != 0 -> set = KIND(LOG(n, i), i); break
        :: else -> i--
        fi
    od
}

/* Rule 4: from where on is every set in the log of v one with c and without v? What lies before the
 * newest set up to `applied` is not looked at. */
inline find_cut(v, c, applied) {
    found = false;
    i = size[v];
    do
    :: i == 0 ->
        if
        :: HAS(ALL, c) && !HAS(ALL, v) -> found = true; cut = 0
        :: else
        fi;
        break
    :: else ->
        if
        :: KIND(LOG(v, i), i) == 0 -> i--
        :: else ->
            set = KIND(LOG(v, i), i);
            if
            :: HAS(set, c) && !HAS(set, v) ->
                found = true;
                cut = i;
                if
                :: CUT_IS_NEWEST || (i <= applied && LOG(v, i) == chosen_term[i]) -> break
                :: else -> i--
                fi
            :: else -> break
            fi
        fi
    od
}

/* ok: may c lead, by the log of v? */
inline lets_lead(v, c, applied) {
    ok = LAST_TERM(c) > LAST_TERM(v) || (LAST_TERM(c) == LAST_TERM(v) && size[c] >= size[v]);
    if
    :: !ok && MAY_CUT(v) ->
        find_cut(v, c, applied);
        if
        :: found ->
            cut_term = (cut == 0 -> 0 : LOG(v, cut));
            ok = LAST_TERM(c) > cut_term || (LAST_TERM(c) == cut_term && size[c] >= cut)
        :: else
        fi
    :: else
    fi;
#ifdef REFUSE_OUTSIDERS
    find_set(v, size[v]);
    ok = ok && HAS(set, c)
#endif
#ifdef WITNESS_REFUSES_OUTSIDERS
    find_set(v, size[v]);
    ok = ok && (v < R || HAS(set, c))
#endif
}

/* --- what must hold --------------------------------------------------------------------------- */

/* Rule 2: the largest index of the leader's term that satisfies its own set, and those before it. */
inline choose() {
    top = size[leader];
    do
    :: top == 0 -> break
    :: top > 0 && LOG(leader, top) != term -> top = 0; break
    :: else ->
        find_set(leader, DECIDES_AT);
        n_all = 0; n_in = 0; m = 0; j = 0;
        do
        :: j == N -> break
        :: else ->
            if
            :: acked[j] >= top -> n_all++; n_in = n_in + HAS(set, j)
            :: else
            fi;
            m = m + HAS(set, j);
            j++
        od;
        if
        :: m > COPIES_ASKED -> m = COPIES_ASKED
        :: else
        fi;
        if
        :: n_all >= Q && n_in >= m -> break
        :: else -> top--
        fi
    od;
    i = 1;
    do
    :: i > top -> break
    :: i <= top && i <= chosen ->
        assert(LOG(leader, i) == chosen_term[i]); /* state machine safety */
        i++
    :: else ->
        chosen = i;
        chosen_term[i] = LOG(leader, i);
        i++
    od
}

inline check_leader(n) {
    assert(n < R); /* I19, I21: a witness has no data to lead with */
    i = 1;
    do
    :: i > chosen -> break
    :: else ->
        assert(size[n] >= i && LOG(n, i) == chosen_term[i]); /* I4: leader completeness */
        i++
    od
}

/* Forgets what entries said that no log holds any more. */
inline forget_kinds() {
    i = 1;
    do
    :: i > T -> break
    :: else ->
        j = 1;
        do
        :: j > K -> break
        :: else ->
            if
            :: KIND(i, j) != 0 ->
                found = false;
                k = 0;
                do
                :: k == N -> break
                :: else -> found = found || LOG(k, j) == i; k++
                od;
                if
                :: !found -> KIND(i, j) = 0
                :: else
                fi
            :: else
            fi;
            j++
        od;
        i++
    od
}

/* Progress is possible: each ALIVE nodes with a replica that is in sync could elect one of their own.
 * In sync is a replica that is in the newest set of each of their logs, but for sets that its own log
 * goes on from, and in all sets of its own log from the committed one on. */
inline check_electable() {
    h = 0;
    do
    :: h == N -> break
    :: else ->
        find_set(h, size[h]);
        newest[h] = set;
        stands[h] = i;
        in_sync[h] = HAS(set, h);
        do
        :: i == 0 -> break
        :: i > 0 && i <= chosen && LOG(h, i) == chosen_term[i] -> break
        :: else -> j = i - 1; find_set(h, j); in_sync[h] = in_sync[h] && HAS(set, h)
        od;
        h++
    od;
    h = 0;
    do
    :: h == R || SAFETY_ALONE -> break
    :: else ->
        would[h] = 0;
        k = 0;
        do
        :: k == N -> break
        :: k < N && !CAMPAIGNS(h) -> break
        :: else ->
            lets_lead(k, h, chosen);
            would[h] = would[h] | (ok << k);
            k++
        od;
        h++
    od;
    m = 1;
    do
    :: m == (1 << N) || SAFETY_ALONE -> break
    :: else ->
        n_all = 0; found = false; ok = false; h = 0;
        do
        :: h == N -> break
        :: h < N && !HAS(m, h) -> h++
        :: else ->
            n_all++;
            if
            :: h < R ->
                n_in = 0; unanimous = in_sync[h]; j = 0;
                do
                :: j == N -> break
                :: j < N && !HAS(m, j) -> j++
                :: else ->
                    n_in = n_in + HAS(would[h], j);
                    k = stands[j];
                    unanimous = unanimous && (HAS(newest[j], h) ||
                        (size[h] >= k && LOG(h, (k == 0 -> 1 : k)) == LOG(j, (k == 0 -> 1 : k))));
                    j++
                od;
                found = found || unanimous;
                ok = ok || n_in >= Q
            :: else
            fi;
            h++
        od;
        assert(n_all != ALIVE || !found || ok); /* somebody can be elected */
        m++
    od
}

inline done() {
    forget_kinds();
    check_electable()
}

/* --- what happens ----------------------------------------------------------------------------- */

inline append(what) {
    size[leader]++;
    LOG(leader, size[leader]) = term;
    KIND(term, size[leader]) = what
}

/* ok: would all of these vote for n, which campaigns? */
inline may_lead(n, voters) {
    find_set(n, size[n]);
    unanimous = MAY_CAMPAIGN(n);
    h = 0;
    do
    :: h == N || !unanimous -> break
    :: else ->
        if
        :: HAS(voters, h) && h != n -> lets_lead(h, n, 0); unanimous = ok
        :: else
        fi;
        h++
    od
}

inline lead(n, voters) {
    term++;
    printf("%d leads in term %d, by votes %d, with %d entries\n", n, term, voters, size[n]);
    check_leader(n);
    j = 0;
    do
    :: j == N -> break
    :: else ->
        acked[j] = 0;
#ifdef ACK_BEFORE_SYNC
        if
        :: HAS(voters, j) -> stored[j] = size[j]
        :: else
        fi;
#endif
        j++
    od;
    leader = n;
    durable = size[n];
    acked[n] = durable;
    append(0);
    done()
}

inline sync() {
    printf("%d: its log is on its disk up to %d\n", leader, size[leader]);
    durable = size[leader];
    acked[leader] = durable;
    choose();
    done()
}

inline leave() {
    printf("%d leads no more, and has %d of %d entries\n", leader, durable, size[leader]);
    do
    :: size[leader] == durable -> break
    :: else -> LOG(leader, size[leader]) = 0; size[leader]--
    od;
    durable = 0;
    leader = NOBODY;
    j = 0;
    do
    :: j == N -> break
    :: else -> acked[j] = 0; j++
    od;
    done()
}

/* top: up to where the leader sends its log. i: up to where it is that of n. */
inline compare(n) {
#ifdef WITNESS_LAST
    top = size[leader];
    do
    :: top == 0 || n < R -> break
    :: else ->
        find_set(leader, top);
        n_in = 0; m = 0; j = 0;
        do
        :: j == R -> break
        :: else -> m = m + HAS(set, j); n_in = n_in + (HAS(set, j) && acked[j] >= top); j++
        od;
        if
        :: n_in >= m || n_in >= COPIES -> break
        :: else -> top--
        fi
    od;
#else
    top = 1;
    do
    :: top > size[leader] -> break
    :: top <= size[leader] && KIND(LOG(leader, top), top) != 0 && HOLDS_BACK -> break
    :: else -> top++
    od;
    top--;
#endif
    i = 0;
    do
    :: i < size[n] && i < top && LOG(n, i + 1) == LOG(leader, i + 1) -> i++
    :: else -> break
    od
}

inline take(n) {
    h = i + 1;
    printf("%d takes entry %d\n", n, h);
    do
    :: size[n] < h -> break
    :: else -> LOG(n, size[n]) = 0; size[n]--
    od;
    size[n] = h;
    LOG(n, h) = LOG(leader, h);
#ifdef WITNESS_LAST
    do
    :: h < top && n >= R -> h++; LOG(n, h) = LOG(leader, h)
    :: else -> break
    od;
    size[n] = h;
#endif
    acked[n] = h;
#ifdef ACK_BEFORE_SYNC
    if
    :: n < R -> stored[n] = h
    :: n >= R && stored[n] >= h -> stored[n] = h - 1
    :: else
    fi;
#endif
    choose();
    done()
}

/* ok: may the leader propose this set? One that grows only on settled ground, by who has it. */
inline may_change(next) {
    find_set(leader, size[leader]);
    older = set;
    m = i; /* where it stands */
    ok = HAS(next, leader) && next != older;
    if
    :: ok && (next & ~older & ALL) != 0 ->
        j = 1;
        do
        :: LOG(leader, j) == term -> break
        :: else -> j++
        od;
        m = (m < j -> j : m);
        ok = chosen >= m && chosen_term[m] == LOG(leader, m);
        j = 0;
        do
        :: j == R -> break
        :: else -> ok = ok && (!HAS(next & ~older, j) || acked[j] >= m); j++
        od
    :: else
    fi
}

inline change(next) {
    printf("%d makes the set %d, at %d\n", leader, next, size[leader] + 1);
    append(next);
    done()
}

inline forget(n) {
    printf("%d crashes, and has %d of %d entries\n", n, stored[n], size[n]);
    do
    :: size[n] == stored[n] -> break
    :: else -> LOG(n, size[n]) = 0; size[n]--
    od;
    done()
}

inline propose() {
    printf("%d proposes entry %d\n", leader, size[leader] + 1);
    append(0);
    done()
}

/* Replicas are alike: the first leader is 0. */
#define ELECT(voters)                                                                       \
    :: d_step { term < T && size[n] < K && HAS(voters, n) && voters < (1 << N) &&           \
            (leader == NOBODY || durable == size[leader]) && (term > 0 || n == 0) ->        \
        may_lead(n, voters);                                                                \
        if                                                                                  \
        :: unanimous -> lead(n, voters)                                                     \
        :: else                                                                             \
        fi;                                                                                 \
        skip }

#define CHANGE(next)                                                                        \
    :: d_step { leader == n && size[n] < K && next <= ALL ->                                \
        may_change(next);                                                                   \
        if                                                                                  \
        :: ok -> change(next)                                                               \
        :: else                                                                             \
        fi;                                                                                 \
        skip }

active [N] proctype node() {
    byte n = _pid;
end:
    do
#if N == 3
    ELECT(3) ELECT(5) ELECT(6)
#elif N == 4
    ELECT(7) ELECT(11) ELECT(13) ELECT(14)
#else
    ELECT(7) ELECT(11) ELECT(13) ELECT(14) ELECT(19)
    ELECT(21) ELECT(22) ELECT(25) ELECT(26) ELECT(28)
#endif
    CHANGE(1) CHANGE(2) CHANGE(3)
#if R >= 3
    CHANGE(4) CHANGE(5) CHANGE(6) CHANGE(7)
#endif
#if R >= 4
    CHANGE(8) CHANGE(9) CHANGE(10) CHANGE(11) CHANGE(12) CHANGE(13) CHANGE(14) CHANGE(15)
#endif
    :: d_step { leader == n && size[n] < K -> propose(); skip }
    :: d_step { leader == n && durable < size[n] -> sync(); skip }
    :: d_step { leader == n && durable < size[n] -> leave(); skip }
#ifdef ACK_BEFORE_SYNC
    :: d_step { n >= R && stored[n] < size[n] -> forget(n); skip }
    :: d_step { n >= R && stored[n] < size[n] -> stored[n] = size[n]; skip }
#endif
    :: d_step { leader != NOBODY && leader != n ->
        compare(n);
        if
        :: i < top -> take(n)
        :: else
        fi;
        skip }
    od
}
