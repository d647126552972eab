from tune.watchdog import LEAST_SECONDS, PATIENCE, Watchdog


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_trial_is_stuck_after_many_times_its_own_epoch():
    clock = Clock()
    watchdog = Watchdog(clock)
    watchdog.hear("slow", 100.0)
    watchdog.hear("quick", 10.0)
    clock.now = PATIENCE * 10 + 1
    assert watchdog.stuck() == ["quick"]
    clock.now = PATIENCE * 100 + 1
    assert watchdog.stuck() == ["slow", "quick"]
    watchdog.hear("slow", 100.0)
    watchdog.end("quick")
    assert watchdog.stuck() == []


def test_very_short_epochs_do_not_make_it_impatient():
    clock = Clock()
    watchdog = Watchdog(clock)
    watchdog.hear("a", 0.001)
    clock.now = LEAST_SECONDS - 1
    assert watchdog.stuck() == []
