"""What a plan says of the disk, beside what a sweep leaves there."""

import pytest

from data_prep.manifest import DatasetManifest
from models.build import count_parameters
from tests.sweeps import play, small_spec
from tune.keeping import Keeper
from tune.plan import plan_sweep
from tune.schema import CHECKPOINTS_DIR
from tune.sweep import Sweep

NONE = {"scheduler": {"name": "none"}}
ASHA = {"scheduler": {"name": "asha", "grace_period": 3, "reduction_factor": 3}}


def kept_bytes(run, spec, checkpoint):
    """Play a sweep whose trials write sparse files of the sizes of a checkpoint's; keep house."""
    sweep = Sweep(spec, fingerprint="f")
    sweep.begin()
    play(sweep)
    for trial in sweep.trials:
        folder = run / CHECKPOINTS_DIR / trial
        folder.mkdir(parents=True)
        for name, share in (("best.pt", 1), ("last.pt", 3)):
            with (folder / name).open("wb") as file:
                file.truncate(checkpoint * share // 4)
    Keeper(run, sweep).sweep_up()
    return sum(file.stat().st_size for file in run.rglob("*.pt"))


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize(
    ("changes", "beside"),
    [
        ({**NONE, "replicates": 3}, 0),
        ({**ASHA, "replicates": 10, "finalists": 2}, 10),
        ({**ASHA, "finalists": 2}, 2),
    ],
    ids=["all", "replicates", "few"],
)
def test_a_plan_counts_what_stays_on_disk(tmp_path, synthetic_dataset, schedule, changes, beside):
    manifest = DatasetManifest.read(synthetic_dataset)
    fixed = {**small_spec().fixed, "lr_schedule": schedule, "blocks": 1, "channels": 4}
    spec = small_spec(
        **changes, fixed=fixed, space={"weight_decay": [0.1**n for n in range(1, 25)]}
    )
    plan = plan_sweep(spec, manifest, cores=1)
    config = plan.configurations[0].config
    parameters = count_parameters(config, classes=4, image_shape=manifest.image_shape)
    one = {"constant": 16, "cosine": 4}[schedule] * parameters
    kept = kept_bytes(tmp_path, spec, 16 * parameters)
    assert kept > 0
    # One that runs, and the best ten where they are not among the finalists.
    assert kept <= plan.disk_bytes - 16 * parameters <= kept + beside * one
