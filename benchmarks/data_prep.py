"""The time to prepare a full-size Kaggle CSV with `data_prep`, and with a pandas loop over rows.

Both read pixels and votes, clean, label by the FER2013 study's rule, split by class and write
Parquet. Only `data_prep` checks every value, finds byte-identical pictures and keeps them in one
split.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from sklearn.model_selection import train_test_split

from benchmarks.harness import Result, in_process
from data_prep.fer2013 import MAX_UNKNOWN_VOTES, prepare_fer2013
from data_prep.synthetic import draw_raw, write_raw
from data_prep.votes import CLASSES

ROWS = 35_887
OTHERS = ("happiness", "surprise", "sadness", "anger", "disgust", "fear", "neutral")


def ours(images: str, votes: str, out: str) -> dict[str, Any]:
    """Prepare the dataset with `data_prep`."""
    begun = time.perf_counter()
    manifest = prepare_fer2013(
        images=Path(images), votes=Path(votes), out=Path(out), near_duplicates=False
    )
    return _figures(begun, manifest.images)


def row_by_row(images: str, votes: str, out: str) -> dict[str, Any]:
    """Prepare the dataset with a loop over the rows of two data frames."""
    begun = time.perf_counter()
    pictures, tags = pd.read_csv(images), pd.read_csv(votes)
    pixels, labels = [], []
    for (_, picture), (_, vote) in zip(pictures.iterrows(), tags.iterrows(), strict=True):
        if vote["NF"] > 0 or vote["unknown"] > MAX_UNKNOWN_VOTES:
            continue
        label = _label(vote)
        if label is not None:
            labels.append(label)
            pixels.append(np.array(picture["pixels"].split(), dtype=np.uint8).tobytes())
    frame = pd.DataFrame({"label": labels, "pixels": pixels})
    train, rest = train_test_split(frame, test_size=0.3, stratify=frame["label"], random_state=0)
    val, test = train_test_split(rest, test_size=0.5, stratify=rest["label"], random_state=0)
    for part, name in ((train, "train"), (val, "val"), (test, "test")):
        part.assign(split=name).to_parquet(f"{out}-{name}.parquet")
    return _figures(begun, len(frame))


def _label(vote: "pd.Series[Any]") -> str | None:
    others = {
        name: max(vote[other] for other in OTHERS if other != name) for name in ("anger", "neutral")
    }
    if vote["anger"] > 2 or vote["anger"] > others["anger"]:
        return CLASSES[0]
    if vote["neutral"] > others["neutral"]:
        if vote["sadness"] == 0 and vote["anger"] == 0:
            return CLASSES[2]
        if vote["neutral"] > 6:
            return CLASSES[3]
    mixed = vote["sadness"] != 0 and vote["neutral"] != 0
    unmixed = vote["fear"] == 0 and vote["happiness"] == 0
    return CLASSES[1] if mixed and unmixed and vote["anger"] + 2 < vote["sadness"] else None


def _figures(begun: float, pictures: int) -> dict[str, Any]:
    seconds = time.perf_counter() - begun
    peak = psutil.Process().memory_info()
    return {"seconds": seconds, "pictures": pictures, "bytes": peak.rss}


def run(rows: int = ROWS) -> Iterator[Result]:
    """Measure both sides on synthetic faces in the format of FER2013."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        images, votes = map(str, write_raw(root, draw_raw(rows, seed=0)))
        mine = in_process(ours, images, votes, str(root / "ours"))
        other = in_process(row_by_row, images, votes, str(root / "pandas"))
    if mine["pictures"] != other["pictures"]:
        raise RuntimeError(f"both sides should keep the same number of pictures: {mine}, {other}")
    yield Result(
        name="data_prep",
        unit="seconds for the CSV",
        ours=mine["seconds"],
        others={"pandas row by row": other["seconds"]},
        smaller_is_better=True,
        details={
            "rows": rows,
            "pictures kept": mine["pictures"],
            "memory after, ours": f"{mine['bytes'] / 1e9:.2f} GB",
            "memory after, pandas": f"{other['bytes'] / 1e9:.2f} GB",
        },
    )
