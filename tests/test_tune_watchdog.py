import time

from tune.execution.watchdog import (
    FIRST_SECONDS,
    LEAST_SECONDS,
    PATIENCE,
    STALL_SECONDS,
    STOP_EPOCHS,
    STOP_SECONDS,
    Watchdog,
)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now

    def look(self, watchdog, until):
        """Go on to a time and look on the way as a driver does; return who is stuck then."""
        while self.now < until:
            self.now = min(until, self.now + STALL_SECONDS / 2)
            stuck = watchdog.stuck()
        return stuck


def test_a_trial_is_stuck_after_many_times_its_own_epoch():
    clock = Clock()
    watchdog = Watchdog(clock)
    watchdog.hear("slow", 100.0)
    watchdog.hear("quick", 10.0)
    assert clock.look(watchdog, PATIENCE * 10 + 1) == ["quick"]
    assert clock.look(watchdog, PATIENCE * 100 + 1) == ["slow", "quick"]
    watchdog.hear("slow", 100.0)
    watchdog.end("quick")
    assert watchdog.stuck() == []


def test_the_time_that_passes_counts_and_not_that_of_the_driver(monkeypatch):
    monkeypatch.setattr("tune.execution.watchdog.LEAST_SECONDS", 0.01)
    watchdog = Watchdog()
    watchdog.hear("a", 0.0)
    time.sleep(0.1)  # Longer than the limit, and without processor time.
    assert watchdog.stuck() == ["a"]


def test_a_trial_that_was_killed_is_not_stuck_a_second_time():
    clock = Clock()
    watchdog = Watchdog(clock)
    watchdog.hear("a", 1.0)
    assert clock.look(watchdog, LEAST_SECONDS + 1) == ["a"]
    assert watchdog.killed("a") == LEAST_SECONDS + 1
    assert clock.look(watchdog, LEAST_SECONDS + 20) == []


def test_very_short_epochs_do_not_make_it_impatient():
    clock = Clock()
    watchdog = Watchdog(clock)
    watchdog.hear("a", 0.001)
    assert clock.look(watchdog, LEAST_SECONDS - 1) == []
    assert clock.look(watchdog, LEAST_SECONDS + 1) == ["a"]


def test_nobody_is_stuck_for_the_time_in_which_the_driver_did_not_listen():
    clock = Clock()
    watchdog = Watchdog(clock)
    watchdog.hear("a", 1.0)
    clock.look(watchdog, 100.0)
    clock.now += 600.0
    assert watchdog.stuck() == []
    assert clock.look(watchdog, 600.0 + LEAST_SECONDS - 1) == []
    assert clock.look(watchdog, 600.0 + LEAST_SECONDS + 1) == ["a"]


def test_the_longest_epoch_of_a_trial_counts_and_not_its_last():
    clock = Clock()
    watchdog = Watchdog(clock)
    watchdog.hear("a", 50.0)
    watchdog.hear("a", 10.0)
    assert clock.look(watchdog, PATIENCE * 50) == []
    assert clock.look(watchdog, PATIENCE * 50 + 1) == ["a"]
    watchdog.end("a")
    watchdog.hear("a", 10.0)
    assert clock.look(watchdog, clock.now + PATIENCE * 10 + 1) == ["a"], "a new attempt counts anew"


def test_a_driver_that_looks_often_enough_gives_no_time_away():
    clock = Clock()
    watchdog = Watchdog(clock)
    watchdog.hear("a", 1.0)
    while clock.now < LEAST_SECONDS:
        clock.now += STALL_SECONDS
        stuck = watchdog.stuck()
    assert stuck == []
    clock.now += STALL_SECONDS
    assert watchdog.stuck() == ["a"]
    assert (PATIENCE, LEAST_SECONDS, STALL_SECONDS) == (20, 120.0, 10.0)


def test_a_first_epoch_has_an_hour_and_each_further_attempt_four_times_as_long():
    clock = Clock()
    watchdog = Watchdog(clock)
    begun = 0.0
    for limit in (FIRST_SECONDS, 4 * FIRST_SECONDS, 16 * FIRST_SECONDS):
        watchdog.begin("a")
        assert clock.look(watchdog, begun + limit) == []
        assert clock.look(watchdog, begun + limit + 1) == ["a"]
        assert watchdog.killed("a") == limit + 1
        assert watchdog.stuck() == []
        begun = clock.now
    assert FIRST_SECONDS == 3600.0


def test_a_trial_that_ended_before_its_first_epoch_is_not_stuck():
    clock = Clock()
    watchdog = Watchdog(clock)
    watchdog.begin("a")
    watchdog.end("a")
    assert clock.look(watchdog, FIRST_SECONDS + 1) == []
    assert watchdog.late_to_stop(STOP_SECONDS + 1) == []


def test_a_first_epoch_has_as_long_as_the_longest_of_the_others_suggests():
    clock = Clock()
    watchdog = Watchdog(clock)
    watchdog.begin("a")
    watchdog.hear("b", 1000.0)
    assert clock.look(watchdog, PATIENCE * 1000.0) == []
    watchdog.begin("a")  # It waited for memory until now.
    assert clock.look(watchdog, PATIENCE * 1000.0 + 1) == ["b"]
    watchdog.hear("a", 1.0)
    clock.now += 1
    assert watchdog.stuck() == ["b"], "its first epoch has ended"


def test_workers_that_are_told_to_stop_have_time_for_their_epochs():
    watchdog = Watchdog(Clock())
    watchdog.begin("new")
    watchdog.hear("quick", 1.0)
    assert watchdog.late_to_stop(STOP_SECONDS) == []
    assert set(watchdog.late_to_stop(STOP_SECONDS + 1)) == {"new", "quick"}
    watchdog.hear("slow", 100.0)
    assert watchdog.late_to_stop(STOP_EPOCHS * 100.0) == ["quick"]
    assert set(watchdog.late_to_stop(STOP_EPOCHS * 100.0 + 1)) == {"new", "quick", "slow"}
    watchdog.end("slow")
    assert "slow" not in watchdog.late_to_stop(10_000.0)


def test_a_first_epoch_is_not_too_long_for_a_time_in_which_the_driver_did_not_listen():
    clock = Clock()
    watchdog = Watchdog(clock)
    watchdog.begin("a")
    clock.look(watchdog, 100.0)
    clock.now += 9000.0
    assert watchdog.stuck() == []
    assert clock.look(watchdog, 9000.0 + FIRST_SECONDS - 1) == []
    assert clock.look(watchdog, 9000.0 + FIRST_SECONDS + 1) == ["a"]


def test_a_stop_waits_a_minute_or_three_epochs():
    assert (STOP_SECONDS, STOP_EPOCHS) == (60.0, 3)
