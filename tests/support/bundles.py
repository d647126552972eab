"""Sweeps whose trials may be fused, simulated without a worker."""

from tests.support.ledgers import keep_in
from tests.support.sweeps import WORKER, figures, small_spec
from tune.sweep.bundle import Fusing
from tune.sweep.sweep import Sweep

WHOLE = {"scheduler": {"name": "none"}, "space": {"kernel_size": [3, 5]}, "replicates": 4}


def searched(**changes):
    """A sweep whose search is finished but whose replicates are not trained, and its ledger."""
    events = []
    sweep = Sweep(small_spec(**{**WHOLE, **changes}), fingerprint="f", commit=keep_in(events))
    sweep.begin()
    for _ in sweep.spec.space["kernel_size"]:
        play_one(sweep, sweep.next_bundle(2))
    return sweep, events


def play_one(sweep, bundle):
    for trial_id in bundle.trials:
        sweep.start(trial_id, 1.0)
        while not sweep.report(trial_id, *next_report(sweep, trial_id), WORKER):
            pass


def next_report(sweep, trial_id, **changes):
    epoch = len(sweep.trials[trial_id].measurements) + 1
    return epoch, figures(trial_id, epoch, **changes)


def decided(bundle, **changes):
    known = {"trials": tuple(bundle.trials), "fused": True, "gain": 1.5, "channels_last": False}
    return Fusing(**{**known, **changes})
