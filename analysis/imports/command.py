"""Command line of imports: `python -m analysis import ray|optuna|csv|tensorboard …`."""

import argparse
from pathlib import Path
from typing import Any


def add_import(commands: Any) -> None:
    """Add the command and its tools; nothing slow is imported."""
    command = commands.add_parser(
        "import",
        help="make a run directory from results of Ray Tune, Optuna, TensorBoard or a CSV",
        epilog="example: python -m analysis import ray ~/ray_results/mine --out runs/mine",
    )
    tools = command.add_subparsers(required=True, metavar="TOOL", dest="tool")
    ray = tools.add_parser("ray", help="a results folder of Ray Tune", epilog=_example("ray DIR"))
    ray.add_argument("source", metavar="DIR", type=Path, help="the folder of one experiment")
    optuna = tools.add_parser("optuna", help="a study", epilog=_example("optuna study.db"))
    optuna.add_argument("source", metavar="STORAGE", help="URL, or database or journal file")
    optuna.add_argument("study", metavar="STUDY", nargs="?", help="its name, if there are several")
    csv = tools.add_parser(
        "csv", help="a row per training or epoch (W&B, MLflow)", epilog=_example("csv runs.csv")
    )
    csv.add_argument("source", metavar="FILE", type=Path)
    csv.add_argument("--epoch", metavar="COLUMN", help="epoch or step")
    csv.add_argument(
        "--configuration", metavar="COLUMN", nargs="+", default=[], help="hyperparameters"
    )
    board = tools.add_parser(
        "tensorboard", help="event files", epilog=_example("tensorboard lightning_logs")
    )
    board.add_argument("source", metavar="DIR", type=Path)
    for tool in (ray, optuna, csv, board):
        _add_common(tool)
        tool.set_defaults(command=import_run)


def import_run(options: argparse.Namespace) -> None:
    """Import the results and print what was found."""
    from analysis.imports.choices import Choices
    from analysis.imports.writing import write_run

    choices = Choices(
        metric=options.metric,
        mode=options.mode,
        at=options.at,
        seed=options.seed,
        searcher=options.searcher,
    )
    written = write_run(_read(options), options.out, choices)
    repeated = written.replicated
    told = f"{repeated:,} of them with other seeds" if repeated else "none with other seeds"
    print(
        f"wrote {written.run}: {written.trials:,} trials of {written.configurations:,} "
        f"configurations, {told}; objective: {written.objective['mode']} "
        f"{written.objective['metric']} at the {written.objective['at']} epoch"
    )
    for note in written.notes:
        print(note)


def _read(options: argparse.Namespace) -> Any:
    if options.tool == "ray":
        from analysis.imports.ray_results import read_ray

        return read_ray(options.source)
    if options.tool == "optuna":
        from analysis.imports.optuna_study import read_optuna

        return read_optuna(options.source, options.study)
    if options.tool == "tensorboard":
        from analysis.imports.tensorboard_events import read_tensorboard

        return read_tensorboard(options.source)
    from analysis.imports.csv_file import read_csv

    return read_csv(
        options.source,
        metric=options.metric,
        epoch=options.epoch,
        configuration=options.configuration,
        seed=options.seed,
    )


def _add_common(tool: argparse.ArgumentParser) -> None:
    tool.add_argument("--out", metavar="RUN", type=Path, required=True, help="the run directory")
    tool.add_argument("--metric", metavar="NAME", help="the objective's metric")
    tool.add_argument("--mode", choices=("max", "min"), help="whether larger values are better")
    tool.add_argument(
        "--at", choices=("best", "last"), help="the epoch of a training that counts (default best)"
    )
    tool.add_argument("--seed", metavar="NAME", help="the hyperparameter that is the seed")
    tool.add_argument(
        "--searcher",
        choices=("grid", "random", "adaptive"),
        help="how configurations were chosen, if the results do not tell",
    )


def _example(words: str) -> str:
    return f"example: python -m analysis import {words} --out runs/mine"
