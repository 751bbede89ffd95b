"""What becomes of virtual machines from a moment on, as the system itself shows it: when the process
that was theirs ended, when the next one began, when the counter on their disk went on, and for how
long it stood still at most.
"""

import time

PERIOD = 0.01


class MachineWatch:
    def __init__(self, farm, machines):
        self.farm = farm
        self.machines = list(machines)
        self.old = {m: set(pids) for m, pids in farm.machine_pids().items()}
        self.last = {}  # the counter when its process ended
        self.counters = {m: farm.counter(m) for m in self.machines}
        self.changed = {m: 0.0 for m in self.machines}  # when the counter did
        self.still = {m: 0.0 for m in self.machines}
        self.ended, self.began, self.counted = {}, {}, {}  # seconds from the moment
        self.moment = time.monotonic()

    def look(self):
        now = time.monotonic() - self.moment
        pids = self.farm.machine_pids()
        for m in self.machines:
            self.look_at_counter(m, now)
            old, alive = self.old.get(m, set()), set(pids.get(m, []))
            if m not in self.ended and not alive & old:
                self.ended[m] = now
                self.last[m] = self.farm.counter(m)
            if m not in self.began and alive - old:
                self.began[m] = now
            if m in self.began and m in self.last and m not in self.counted:
                if self.counters[m] > self.last[m]:
                    self.counted[m] = now

    def look_at_counter(self, m, now):
        counter = self.farm.counter(m)
        self.still[m] = max(self.still[m], now - self.changed[m])
        if counter != self.counters[m]:
            self.counters[m], self.changed[m] = counter, now

    def wait(self, is_enough, patience):
        """Until so; false: it is not, after all that time."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            self.look()
            if is_enough():
                return True
            time.sleep(PERIOD)
        return False

    def all_ended(self):
        return all(m in self.ended for m in self.machines)

    def all_count(self):
        return all(m in self.counted for m in self.machines)

    @property
    def longest(self):
        """For which one of them did not count."""
        return max(self.still.values(), default=0.0)
