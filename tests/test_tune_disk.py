"""On a real, tiny disk of its own, where this machine lets us mount one."""

import subprocess
import threading
import time
from types import SimpleNamespace

import pytest

from tests.support.sweeps import small_spec
from tune.run.directory import RunError
from tune.session.disk import SPARE_BYTES, check_space, needed_bytes, wait_for_space
from tune.sweep.sweep import Sweep


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 8 MB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a tmpfs")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_start_without_room_is_refused(small_disk):
    check_space(small_disk, 1_000_000)
    with pytest.raises(RunError, match=r"only \d+ MB are free .* needs 200 MB"):
        check_space(small_disk, SPARE_BYTES)


def test_a_full_disk_pauses_until_there_is_room(small_disk):
    filler = small_disk / "filler"
    filler.write_bytes(b"0" * 6_000_000)
    told = []
    waiting = threading.Thread(
        target=wait_for_space,
        args=(small_disk, 4_000_000),
        kwargs={"tell": told.append, "give_up": lambda: False},
    )
    waiting.start()
    time.sleep(0.2)
    assert waiting.is_alive()
    filler.unlink()
    waiting.join(timeout=10)
    assert not waiting.is_alive()
    assert [line.split()[0] for line in told] == ["paused:", "there"]


def test_a_paused_sweep_can_be_stopped(small_disk):
    told = []
    wait_for_space(small_disk, 10**9, tell=told.append, give_up=lambda: True)
    (line,) = told
    assert line.startswith("paused: less than 1000 MB are free")


def test_larger_networks_need_more_room():
    sweep = Sweep(small_spec(), fingerprint="f")
    assert needed_bytes(sweep) == SPARE_BYTES
    sweep.next_trial().parameters = 1_000_000
    assert needed_bytes(sweep) == SPARE_BYTES + 32_000_000


def test_the_momentum_of_sgd_needs_less_room_than_the_moments_of_adam():
    fixed = {**small_spec().fixed, "optimizer": "sgd"}
    sweep = Sweep(small_spec(fixed=fixed), fingerprint="f")
    sweep.next_trial().parameters = 1_000_000
    assert needed_bytes(sweep) == SPARE_BYTES + 24_000_000


def test_a_moving_average_of_the_weights_needs_room_too():
    fixed = {**small_spec().fixed, "ema_decay": 0.5}
    sweep = Sweep(small_spec(fixed=fixed), fingerprint="f")
    sweep.next_trial().parameters = 1_000_000
    assert needed_bytes(sweep) == SPARE_BYTES + 40_000_000


def test_each_trial_that_runs_needs_room():
    sweep = Sweep(small_spec(), fingerprint="f")
    for _ in range(4):
        trial = sweep.next_trial()
        sweep.start(trial.id, 1.0)
        trial.parameters = 1_000_000
    assert needed_bytes(sweep) == SPARE_BYTES + (4 + 1) * 16_000_000


@pytest.fixture
def free(monkeypatch):
    """A list of what is free at each look at the disk; the last stays."""
    free, folders = [], []

    def usage(folder):
        folders.append(folder)
        return SimpleNamespace(free=free.pop(0) if len(free) > 1 else free[0], total=10**12)

    monkeypatch.setattr("tune.session.disk.shutil.disk_usage", usage)
    monkeypatch.setattr("tune.session.disk.time.sleep", lambda _seconds: None)
    return free


def test_just_enough_room_is_enough(free, tmp_path):
    free.append(500_000_000)
    check_space(tmp_path, 500_000_000)
    told = []
    wait_for_space(tmp_path, 500_000_000, tell=told.append, give_up=lambda: True)
    assert told == []
    with pytest.raises(RunError) as refused:
        check_space(tmp_path, 500_000_001)
    assert str(refused.value).startswith(
        f"only 500 MB are free for {tmp_path}, but a sweep needs 500 MB; "
    )


def test_a_pause_that_is_given_up_does_not_say_that_there_is_room(free, tmp_path):
    free.append(10)
    answers, told = iter([False, False, True]), []
    wait_for_space(tmp_path, 40, tell=told.append, give_up=lambda: next(answers))
    assert [line.split(":")[0] for line in told] == ["paused"]
    assert list(answers) == [], "it asks after each look"


def test_a_pause_lasts_until_there_is_as_much_room_as_is_needed(free, tmp_path):
    free += [10, 11, 12, 40, 41]
    told = []
    wait_for_space(tmp_path, 40, tell=told.append, give_up=lambda: False)
    assert free == [41]
    assert [line.split(":")[0] for line in told] == ["paused", "there is enough space again"]


def test_a_trial_that_has_ended_needs_no_room_but_the_largest_so_far_counts():
    sweep = Sweep(small_spec(scheduler={"name": "none"}), fingerprint="f")
    big, running, _waiting = (sweep.next_trial() for _ in range(3))
    big.parameters, running.parameters = 3_000_000, 1_000_000
    sweep.start(running.id, 1.0)
    sweep.fail(big.id, "no")
    assert needed_bytes(sweep) == 200_000_000 + 16 * 3_000_000 * 2


def test_a_pause_ends_as_soon_as_there_is_just_enough_room(free, tmp_path):
    free += [10, 39, 40, 41, 42]
    told = []
    wait_for_space(tmp_path, 40, tell=told.append, give_up=lambda: False)
    assert free == [41, 42], "it looked no further"
    assert len(told) == 2
