"""What a plan says of the disk, beside what a sweep leaves there."""

from types import SimpleNamespace

import pytest
import torch

from data_prep.manifest import DatasetManifest
from models.build import count_parameters
from tests.support.sweeps import play, searched_epochs, small_spec
from tune.commands.plan import _size, matrix_rate, plan_sweep, print_plan, training_pictures
from tune.run.directory import CHECKPOINTS_DIR
from tune.session.keeping import Keeper
from tune.sweep.sweep import Sweep

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


def test_a_plan_counts_trials_epochs_and_time(synthetic_dataset, monkeypatch):
    monkeypatch.setattr("tune.commands.plan.matrix_rate", lambda: 1e9)
    manifest = DatasetManifest.read(synthetic_dataset)
    plan = plan_sweep(small_spec(replicates=3, finalists=4), manifest, cores=2)
    assert (len(plan.configurations), plan.trials) == (12, 12 + 4 * 2)
    # Rungs at 1 and 3 of 9 epochs, a third goes on at each: 1 + 2 / 3 + 6 / 9 epochs.
    each = 1 + 2 / 3 + 6 / 9
    assert plan.epochs == pytest.approx(20 * each)
    pictures = sum(manifest.counts["train"].values())
    flop = sum(one.cost.flop_per_picture for one in plan.configurations) / 12
    # Backward and forward take three times the forward pass, at half of the rate of two cores.
    assert plan.seconds == pytest.approx(20 * each * 3 * flop * pictures / (0.5 * 1e9 * 2))
    alone = plan_sweep(small_spec(replicates=3, finalists=4), manifest, cores=1)
    assert alone.seconds == pytest.approx(2 * plan.seconds)
    assert alone.disk_bytes < plan.disk_bytes
    whole = plan_sweep(small_spec(**NONE, replicates=2), manifest, cores=2)
    assert (whole.trials, whole.epochs) == (24, 24 * 9)


def test_a_fold_is_trained_on_all_pictures_outside_test_but_its_own(synthetic_dataset):
    manifest = DatasetManifest.read(synthetic_dataset)
    train, val = (sum(manifest.counts[split].values()) for split in ("train", "val"))
    assert training_pictures(small_spec(), manifest) == train
    folds = small_spec(**NONE, folds=4, repeats=3)
    assert training_pictures(folds, manifest) == (train + val) * 3 // 4
    plan = plan_sweep(folds, manifest, cores=1)
    assert (len(plan.configurations), plan.trials) == (12, 12 * 12)


def test_everything_is_planned_where_everything_is_kept(synthetic_dataset):
    manifest = DatasetManifest.read(synthetic_dataset)
    plan = plan_sweep(small_spec(**NONE, keep="all", replicates=2), manifest, cores=1)
    largest = max(one.cost.checkpoint_bytes for one in plan.configurations)
    assert plan.disk_bytes == largest * 24


def test_paused_trials_keep_their_states_on_disk(synthetic_dataset):
    manifest = DatasetManifest.read(synthetic_dataset)
    plan = plan_sweep(small_spec(scheduler="promotion"), manifest, cores=1)
    stopping = plan_sweep(small_spec(), manifest, cores=1)
    largest = max(one.cost.checkpoint_bytes for one in plan.configurations)
    assert plan.disk_bytes == stopping.disk_bytes + 11 * largest


@pytest.mark.parametrize(("finalists", "epochs"), [(1, 12 + 4 * 2 + 4 / 3 * 6), (6, 12 + 6 * 8)])
def test_finalists_of_a_scheduler_that_pauses_are_planned_whole(
    synthetic_dataset, finalists, epochs
):
    """Twelve trials of nine epochs, with rungs at 1 and 3."""
    manifest = DatasetManifest.read(synthetic_dataset)
    scheduler = {"name": "promotion", "grace_period": 1, "reduction_factor": 3}
    plan = plan_sweep(small_spec(scheduler=scheduler, finalists=finalists), manifest, cores=1)
    assert plan.epochs == pytest.approx(epochs)


def test_a_printed_plan_tells_each_configuration_and_the_sums(
    synthetic_dataset, monkeypatch, capsys
):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("tune.commands.plan.matrix_rate", lambda: 1e7)
    monkeypatch.setattr("tune.commands.plan._MOST_ROWS", 3)
    manifest = DatasetManifest.read(synthetic_dataset)
    spec = small_spec(space={"weight_decay": [0.01 * n for n in range(1, 6)]})
    plan = plan_sweep(spec, manifest, cores=1)
    print_plan(plan, spec, manifest)
    lines = capsys.readouterr().out.splitlines()
    first = plan.configurations[0]
    assert lines[1].split()[:3] == [
        first.config.name, f"{first.cost.parameters:,}", f"{first.cost.flop_per_picture / 1e6:.0f}",
    ]  # fmt: skip
    sizes = [_size(first.cost.memory_bytes), _size(first.cost.checkpoint_bytes)]
    assert lines[1].split()[3:] == " ".join(sizes).split()
    assert lines[0].split() == [
        "configuration", "parameters", "MFLOP/picture", "memory", "checkpoint",
    ]  # fmt: skip
    assert lines[4].strip() == "and 2 more"
    pictures = sum(manifest.counts["train"].values())
    assert lines[5] == (
        f"5 trials of 5 configurations, about {plan.epochs:.0f} epochs of {pictures:,} pictures "
        "in all"
    )
    assert lines[6] == "(expecting asha to stop trials at each rung)"
    assert lines[7] == (
        f"up to {plan.disk_bytes / 1e6:.3g} MB of checkpoints at once, and about "
        f"{plan.seconds / 60:.0f} minutes on this machine's CPU cores"
    )
    assert plan.seconds > 120


def test_the_rate_of_matrix_products_is_measured_on_one_thread(monkeypatch):
    """A product of two matrices of n × n takes n³ multiplications and as many additions."""
    now, threads = 0.0, []

    def product(_left, _right):
        nonlocal now
        now += 0.25
        threads.append(torch.get_num_threads())

    monkeypatch.setattr("tune.commands.plan.torch.mm", product)
    monkeypatch.setattr("tune.commands.plan.time.perf_counter", lambda: now)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert matrix_rate(1.0) == 2 * 768**3 / 0.25
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    # One to warm up, and four in a second.
    assert threads == [1] * 5


def test_a_plan_of_a_random_search_names_each_configuration_once(synthetic_dataset):
    manifest = DatasetManifest.read(synthetic_dataset)
    spec = small_spec(**NONE, searcher={"name": "random", "samples": 12})
    planned = plan_sweep(spec, manifest, cores=1).configurations
    assert len({one.config.configuration_id for one in planned}) == len(planned) == 12


def test_a_rung_beyond_the_last_epoch_of_a_trial_cuts_nothing(synthetic_dataset):
    manifest = DatasetManifest.read(synthetic_dataset)
    spec = small_spec(**ASHA, **searched_epochs(3, 10))
    # Rungs at 3 and 9: the short trial has 3 epochs; the long one 3 + 6 / 3 + 1 / 9.
    assert plan_sweep(spec, manifest, cores=1).epochs == pytest.approx(3 + 3 + 2 + 1 / 9)


def test_pictures_of_a_fold_are_rounded_once():
    manifest = SimpleNamespace(counts={"train": {"a": 5, "b": 2}, "val": {"a": 4, "b": 0}})
    assert training_pictures(small_spec(**NONE, folds=4), manifest) == 8, "three quarters of 11"
    assert training_pictures(small_spec(), manifest) == 7


@pytest.mark.parametrize(
    ("count", "words"), [(999, "999 B"), (1000, "1 kB"), (2.5e9, "2.5 GB"), (3e12, "3 TB")]
)
def test_sizes_are_told_in_the_largest_unit_that_they_fill(count, words):
    assert _size(count) == words


def test_a_plan_counts_the_epochs_of_each_bracket(synthetic_dataset):
    manifest = DatasetManifest.read(synthetic_dataset)
    space = {"weight_decay": [0.01 * n for n in range(1, 12)]}
    plan = plan_sweep(small_spec(space=space, scheduler="hyperband"), manifest, cores=1)
    # Of eleven trials, six are compared at epochs 1 and 3, three at 3, and two are trained whole.
    first, second = 1 + 2 / 3 + 6 / 9, 3 + 6 / 3
    assert plan.epochs == pytest.approx(6 * first + 3 * second + 2 * 9)
