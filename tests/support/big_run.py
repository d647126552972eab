"""Writes a run directory with thousands of trials in seconds, for tests of large runs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.run_factory import CLASSES, INFO, TYPES, by
from tune.run.directory import (
    LEDGER_FILE,
    MEASUREMENTS_FILE,
    PREDICTIONS_DIR,
    PROVENANCE_FILE,
    TRIALS_FILE,
)
from tune.run.tables import predictions_table, trials_table, write_table
from tune.run.trial import MEASURED, METRICS, TIMINGS, Status

BIG_INFO = replace(
    INFO,
    searched=("kernel_size", "blocks", "channels", "conv_depth", "learning_rate", "weight_decay"),
    tied={},
    **by("random"),
    rungs=(11, 33),
)


def write_big_run(
    run: Path, *, trials: int, epochs: int, pictures: int = 2400, stops: bool = True, seed: int = 0
) -> Path:
    """Write tables, ledger and predictions of a random search, with early stops if ``stops``."""
    rng = np.random.default_rng(seed)
    configs = {
        "family": ["resnet"] * trials,
        "kernel_size": rng.choice([3, 5, 7], trials),
        "blocks": rng.choice([2, 4, 8], trials),
        "channels": rng.choice([8, 16, 32], trials),
        "conv_depth": rng.choice([1, 2, 3], trials),
        "fc_layers": [1] * trials,
        "pool_size": [8] * trials,
        "learning_rate": 10 ** rng.uniform(-4, -1, trials),
        "weight_decay": 10 ** rng.uniform(-6, -2, trials),
        "batch_size": [64] * trials,
        "epochs": [epochs] * trials,
        "seed": [0] * trials,
        "fold": [None] * trials,
    }
    skill = (
        0.55
        + 0.01 * (configs["kernel_size"] == 5)
        - 0.05 * np.abs(np.log10(configs["learning_rate"]) + 2.7)
    )
    skill += rng.normal(0, 0.02, trials)
    last = np.full(trials, epochs)
    order = np.argsort(-skill)
    if stops:
        last[order[trials // 9 :]] = min(33, epochs)
        last[order[trials // 3 :]] = min(11, epochs)
    labels = rng.integers(0, len(CLASSES), pictures)
    _write(run, configs, skill, last, labels, rng)
    return run


def _write(run, configs, skill, last, labels, rng):
    run.mkdir(parents=True)
    trials, epochs = len(skill), int(max(last))
    ids = [f"{number:012x}" for number in range(trials)]
    reach = 1 - np.exp(-np.arange(1, epochs + 1) / (epochs / 8))
    accuracy = 0.25 + (skill[:, None] - 0.25) * reach + rng.normal(0, 0.006, (trials, epochs))
    accuracy = (accuracy * len(labels)).round() / len(labels)
    shown = np.arange(epochs) < last[:, None]
    best = np.where(shown, accuracy, -1).argmax(axis=1)
    columns = {name: accuracy for name in METRICS if name != "val_loss"}
    columns |= {"val_loss": 1.9 - 1.5 * accuracy, "train_loss": 1.8 - 1.7 * accuracy}
    columns |= {"train_accuracy": accuracy + 0.05, "learning_rate": np.full_like(accuracy, 1e-3)}
    columns |= {"seconds": np.full_like(accuracy, 2.0), "images_per_second": accuracy * 1000}
    rows = []
    for number, trial_id in enumerate(ids):
        whole = last[number] == epochs
        row = {name: _plain(values[number]) for name, values in configs.items()}
        row |= {"trial_id": trial_id, "configuration_id": f"c{trial_id}", "number": number}
        row |= {"name": f"B{row['channels']}_N{row['blocks']}_K{row['kernel_size']}_{number}"}
        row |= {"phase": "search", "replicate": 0, "host": "node", "device": "cpu"}
        row |= {"status": str(Status.COMPLETED if whole else Status.EARLY_STOPPED)}
        row |= {"reason": "" if whole else f"below the best third at rung {last[number]}"}
        row |= {"epochs_trained": int(last[number]), "best_epoch": int(best[number]) + 1}
        row |= {f"best_{n}": columns[n][number, best[number]] for n in METRICS}
        row |= {f"last_{n}": columns[n][number, last[number] - 1] for n in METRICS}
        row |= {"parameters": 40_000 + 9_000 * row["blocks"] * row["channels"]}
        row |= {"seconds": 2.0 * last[number], "device_seconds": 2.0 * last[number]}
        rows.append(row)
    pq.write_table(trials_table(rows, BIG_INFO, TYPES), run / TRIALS_FILE)
    flat = {"trial_id": np.repeat(ids, last), "epoch": np.nonzero(shown)[1] + 1}
    flat |= {name: columns[name][shown] for name in (*MEASURED, *TIMINGS)}
    pq.write_table(pa.table(flat), run / MEASUREMENTS_FILE)
    _write_ledger(run, rows, columns)
    for number, trial_id in enumerate(ids):
        _write_predictions(run, trial_id, labels, accuracy[number, best[number]], rng)
    dataset = {"path": str(run / "nowhere"), "fingerprint": "f" * 64}
    (run / PROVENANCE_FILE).write_text(json.dumps({"dataset": dataset}))


def _write_ledger(run, rows, columns):
    names = (*MEASURED, *TIMINGS)
    now = 1_790_000_000.0
    with (run / LEDGER_FILE).open("w") as ledger:
        ledger.write('{"event": "sweep_started", "time": 0}\n')
        for row in rows:
            trial = row["trial_id"]
            event = {"event": "trial_started", "trial": trial, "devices": 1.0, "time": now}
            ledger.write(json.dumps(event) + "\n")
            for epoch in range(row["epochs_trained"]):
                now += 2
                values = {name: float(columns[name][row["number"], epoch]) for name in names}
                event = {"event": "measurement", "trial": trial, "epoch": epoch + 1}
                ledger.write(json.dumps({**event, "values": values, "time": now}) + "\n")
            end = {"event": "trial_ended", "trial": trial, "status": row["status"], "time": now}
            ledger.write(json.dumps({**end, "reason": row["reason"]}) + "\n")


def _write_predictions(run, trial_id, labels, accuracy, rng):
    right = rng.permutation(len(labels)) < round(accuracy * len(labels))
    predicted = np.where(right, labels, (labels + 1) % len(CLASSES))
    probabilities = np.full((len(labels), len(CLASSES)), 0.1, np.float32)
    probabilities[np.arange(len(labels)), predicted] = 0.7
    table = predictions_table(
        image_ids=[f"drawn/{i:05d}" for i in range(len(labels))],
        labels=labels,
        probabilities=probabilities,
        split="val",
        epoch=1,
        classes=CLASSES,
    )
    write_table(table, run / PREDICTIONS_DIR / f"{trial_id}.parquet")


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value
