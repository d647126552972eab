"""Summarizes a prepared dataset, as plain values or as printed tables."""

from typing import Any

from rich.console import Console
from rich.table import Table

from data_prep.group_columns import split_words
from data_prep.inspection import Copies, Inspection, copies_across_words, most_frequent
from data_prep.manifest import COPIES_FILE, DatasetManifest
from data_prep.splits import SHARES
from fairsweep.class_balance import balance_words
from fairsweep.split_leaks import leak_words

MOST_PAIRS = 5
"""Maximum number of label pairs in the sentence about duplicates with different labels."""
MOST_ROWS = 60
"""Maximum number of rows of a table by source; beyond it, only sums are printed."""
VOTES = {
    "nf_votes": "NF votes",
    "unknown_votes_where_nf_is_0": "unknown votes, where NF has none",
}
"""Distribution of votes in a manifest's details → its printed name."""


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
        "channels": manifest.channels,
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
        f"{manifest.name}: {manifest.images:,} {'gray' if manifest.channels == 1 else 'colour'} "
        f"pictures of {height}×{width} pixels, "
        f"labelled by the rule {manifest.label_rule!r}"
    )
    if "found" in manifest.details:
        console.print(_found(manifest))
    for key, votes in VOTES.items():
        if key in manifest.details:
            counts = "; ".join(f"{n}: {rows:,}" for n, rows in manifest.details[key].items())
            console.print(f"rows by number of {votes}: {counts}")
    console.print(_steps(manifest), _classes(manifest))
    if len(manifest.details.get("sources", ())) > 1 and "found" in manifest.details:
        details = manifest.details
        console.print(
            _sources(manifest),
            f"{details['repeated']:,} pictures are in an earlier source too, "
            f"{details['repeated_with_another_label']:,} of them under another label; "
            "rejected.csv lists each with its original",
        )
    duplicates = manifest.duplicates
    console.print(
        f"groups of duplicates: {duplicates['groups']:,}, with {duplicates['surplus']:,} surplus "
        f"copies; validation and test pictures with a copy in train: "
        f"{duplicates['across_splits']:,} (split {manifest.split_method!r}, seed "
        f"{manifest.split_seed})"
    )
    copies = manifest.details.get("copies_across_splits")
    if copies and copies["groups"]:
        console.print(
            f"{copies['groups']:,} groups of duplicates lie in several of the given splits, "
            f"{copies['groups_of_several_labels']:,} of them with several labels; {COPIES_FILE} "
            "lists their pictures"
        )
    leaking = manifest.details.get("leaking_columns", {})
    for sentence in leak_words(leaking, manifest.split_method):
        console.print(sentence)
    notes = manifest.details.get("group_columns")
    if notes:
        empty = ", ".join(f"{count:,} in {name}" for name, count in notes["empty_cells"].items())
        console.print(
            f"group columns: {notes['unknown_ids']:,} ids match no picture, "
            f"{notes['pictures_without']:,} pictures have no row, empty cells: {empty or 'none'}"
        )
    if "annotated" in manifest.details:
        console.print(split_words(manifest.details["annotated"]))
    console.print(f"fingerprint {manifest.fingerprint}")


def print_inspection(manifest: DatasetManifest, found: Inspection, console: Console) -> None:
    """Print the findings from the files of a dataset, with advice."""
    if found.reasons:
        table = Table("reason", title="Left out, as in rejected.csv", title_justify="left")
        table.add_column("rows", justify="right")
        for reason, count in most_frequent(found.reasons).items():
            table.add_row(reason, f"{count:,}")
        console.print(table)
    if found.copies is not None:
        console.print(_mixed(found.copies))
        leaks = copies_across_words(found.copies.leaks())
        if leaks:
            given = manifest.split_method == "given"
            way_out = f"{COPIES_FILE} lists them" if given else "split 'grouped' avoids it"
            console.print(f"{leaks}: accuracy on these is too high; {way_out}")
    console.print(balance_words(manifest.counts))


def _mixed(copies: Copies) -> str:
    """Return a sentence about groups of duplicates with several labels."""
    if not copies.several:
        return "no picture has a copy"
    if not copies.mixed:
        return f"in each of the {len(copies.several):,} groups of duplicates all labels agree"
    pairs = copies.label_pairs().most_common()
    told = ", ".join(f"{a} / {b} {count:,}" for (a, b), count in pairs[:MOST_PAIRS])
    more = f", and {len(pairs) - MOST_PAIRS:,} more" if len(pairs) > MOST_PAIRS else ""
    return (
        f"in {len(copies.mixed):,} of {len(copies.several):,} groups of duplicates labels differ: "
        f"{told}{more}"
    )


def _steps(manifest: DatasetManifest) -> Table:
    table = Table("cleaning step", title="Cleaning", title_justify="left")
    for column in ("removed", "left"):
        table.add_column(column, justify="right")
    for step in manifest.steps:
        table.add_row(step["step"], f"{step['removed']:,}", f"{step['left']:,}")
    return table


def _classes(manifest: DatasetManifest) -> Table:
    """Pictures of each class and split; a row per class, because there can be many."""
    table = Table("class", title="Pictures", title_justify="left")
    for column in (*manifest.counts, "all"):
        table.add_column(column, justify="right")
    for name in manifest.classes:
        of_split = [counts[name] for counts in manifest.counts.values()]
        table.add_row(name, *(f"{n:,}" for n in of_split), f"{sum(of_split):,}")
    totals = [sum(counts.values()) for counts in manifest.counts.values()]
    table.add_row("all", *(f"{total:,}" for total in totals), f"{manifest.images:,}")
    return table


def _found(manifest: DatasetManifest) -> Table:
    """Pictures of each source and folder, before any were left out."""
    found = manifest.details["found"]
    subsets = sorted({one["subset"] for one in found}, key=(*SHARES, "").index)
    table = Table("source", "folder", "class", title="Found", title_justify="left")
    for subset in subsets:
        table.add_column(subset or "pictures", justify="right")
    counts = {(one["source"], one["folder"], one["subset"]): one["pictures"] for one in found}
    rows = dict.fromkeys((one["source"], one["folder"], one["class"]) for one in found)
    if len(rows) > MOST_ROWS:
        return _found_in_short(manifest)
    for source, folder, ours in rows:
        cells = [f"{counts.get((source, folder, subset), 0):,}" for subset in subsets]
        table.add_row(source, folder, ours or "left out", *cells)
    return table


def _found_in_short(manifest: DatasetManifest) -> Table:
    """Pictures of each source, before any were left out."""
    table = Table("source", title="Found (each folder: --json)", title_justify="left")
    for column in ("folders", "pictures", "left-out folders", "their pictures"):
        table.add_column(column, justify="right")
    for source in dict.fromkeys(one["source"] for one in manifest.details["found"]):
        own = [one for one in manifest.details["found"] if one["source"] == source]
        out = [one for one in own if one["class"] is None]
        cells = [
            count
            for rows in (own, out)
            for count in (len({one["folder"] for one in rows}), sum(r["pictures"] for r in rows))
        ]
        table.add_row(source, *(f"{count:,}" for count in cells))
    return table


def _sources(manifest: DatasetManifest) -> Table:
    """Pictures of each source, class and split in the dataset; only sums for many classes."""
    sources: dict[str, dict[str, dict[str, int]]] = manifest.details["sources"]
    if sum(map(len, sources.values())) > MOST_ROWS:
        sources = {
            source: {
                f"all {len(classes):,}": {
                    split: sum(of_split[split] for of_split in classes.values()) for split in SHARES
                }
            }
            for source, classes in sources.items()
        }
    table = Table("source", "class", title="Merged", title_justify="left")
    for split in SHARES:
        table.add_column(split, justify="right")
    table.add_column("all", justify="right")
    for source, classes in sources.items():
        for name, of_split in classes.items():
            cells = [*of_split.values(), sum(of_split.values())]
            table.add_row(source, name, *(f"{count:,}" for count in cells))
    return table
