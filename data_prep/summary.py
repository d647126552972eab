"""Says what a prepared dataset holds: as plain values for a machine, as tables for a person."""

from typing import Any

from rich.console import Console
from rich.table import Table

from data_prep.manifest import DatasetManifest


def summary(manifest: DatasetManifest) -> dict[str, Any]:
    """Return the facts about a dataset as plain values, ready for JSON."""
    classes = {
        name: sum(of_class[name] for of_class in manifest.counts.values())
        for name in manifest.classes
    }
    return {
        "name": manifest.name,
        "images": manifest.images,
        "image_shape": list(manifest.image_shape),
        "classes": classes,
        "splits": {split: dict(counts) for split, counts in manifest.counts.items()},
        "duplicates": dict(manifest.duplicates),
        "steps": [dict(step) for step in manifest.steps],
        "label_rule": manifest.label_rule,
        "split_method": manifest.split_method,
        "split_seed": manifest.split_seed,
        "mean": manifest.mean,
        "std": manifest.std,
        "details": dict(manifest.details),
        "versions": dict(manifest.versions),
        "fingerprint": manifest.fingerprint,
    }


def print_summary(manifest: DatasetManifest, console: Console) -> None:
    """Print the facts about a dataset as tables and sentences."""
    height, width = manifest.image_shape
    console.print(
        f"{manifest.name}: {manifest.images:,} pictures of {height}×{width} pixels, "
        f"labelled by the rule {manifest.label_rule!r}"
    )
    console.print(_steps(manifest), _classes(manifest))
    duplicates = manifest.duplicates
    console.print(
        f"{duplicates['groups']:,} groups of duplicates hold {duplicates['surplus']:,} surplus "
        f"copies; {duplicates['across_splits']:,} validation and test pictures have a copy in "
        f"train (split {manifest.split_method!r}, seed {manifest.split_seed})"
    )
    notes = manifest.details.get("group_columns")
    if notes:
        empty = ", ".join(f"{count:,} in {name}" for name, count in notes["empty_cells"].items())
        console.print(
            f"group columns: {notes['unknown_ids']:,} ids are of no picture here, "
            f"{notes['pictures_without']:,} pictures have no row, empty cells: {empty or 'none'}"
        )
    console.print(f"fingerprint {manifest.fingerprint}")


def _steps(manifest: DatasetManifest) -> Table:
    table = Table("cleaning step", title="Cleaning", title_justify="left")
    for column in ("removed", "left"):
        table.add_column(column, justify="right")
    for step in manifest.steps:
        table.add_row(step["step"], f"{step['removed']:,}", f"{step['left']:,}")
    return table


def _classes(manifest: DatasetManifest) -> Table:
    table = Table("split", title="Pictures", title_justify="left")
    for column in (*manifest.classes, "all"):
        table.add_column(column, justify="right")
    for split, counts in manifest.counts.items():
        table.add_row(split, *(f"{n:,}" for n in counts.values()), f"{sum(counts.values()):,}")
    totals = [sum(counts[name] for counts in manifest.counts.values()) for name in manifest.classes]
    table.add_row("all", *(f"{total:,}" for total in totals), f"{manifest.images:,}")
    return table
