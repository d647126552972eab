"""The user's own training code for tests, in a folder of its own, and sweeps of it."""

import textwrap

import pytest

from tune.sweep.spec import parse_spec

CURVE = """
def train(*, rate: float, depth: int = 3, epochs: int, seed: int, state=None):
    epoch = 0 if state is None else state["epoch"]
    while epoch < epochs:
        epoch += 1
        with open("trained.txt", "a") as log:
            log.write(f"{rate} {seed} {epoch}\\n")
        yield {"val_f1": 1 - 0.5 ** (epoch * rate) + 0.001 * seed, "cost": depth}, {"epoch": epoch}
"""
"""A curve that rises with the rate, and a log of every epoch that is trained."""
SPEC = {
    "name": "own", "train": "mine.training:train", "objective": "val_f1",
    "fixed": {"epochs": 3}, "space": {"rate": [0.1, 0.5]},
}  # fmt: skip


@pytest.fixture(name="folder")
def folder_fixture(tmp_path, monkeypatch):
    """The current folder of a user; trust is kept in it."""
    folder = tmp_path / "of a user"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    return folder


def write_code(folder, text=CURVE):
    (folder / "mine").mkdir(exist_ok=True)
    (folder / "mine" / "training.py").write_text(textwrap.dedent(text))


def own_spec(**changes):
    return parse_spec({**SPEC, **changes})


def run_own(folder, text=CURVE, **changes):
    """Write the code and train a sweep of it in this process; return its directory and state."""
    # Here, because it is slow to import for Ray's workers.
    from tests.support.in_process import start

    write_code(folder, text)
    return start(own_spec(**changes), folder / "runs")


def ends(sweep):
    """The status and the reason of each trial, in order."""
    return [(str(trial.status), trial.reason) for trial in sweep.trials.values()]
