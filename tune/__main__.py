"""The commands of `python -m tune`; each is a module of its name in `tune/commands`."""

import argparse
import importlib
import sys

from fairsweep.command_line import end, run_command

COMMANDS = {
    "keys": "Explain the keys of a spec and the hyperparameters.",
    "plan": "Show what a sweep would take; train nothing.",
    "run": "Run a sweep.",
    "resume": "Continue a stopped or killed run.",
    "extend": "Extend a run; trials that are already trained are kept.",
    "status": "Show the status of a run.",
    "list": "Show the status of every run below runs/.",
    "serve": "Show runs on a live page in the browser.",
    "stop": "Ask a running sweep to checkpoint and stop.",
    "test": "Measure the incumbent on the test split.",
    "kfold": "Train the incumbent, or a spec's grid, on every fold of train and val.",
    "retrain": "Train the incumbent again, with more weight on groups of pictures.",
    "predict": "Classify new pictures with the incumbent; prints a CSV row for each.",
    "export": "Write a trained network as ONNX, for use without Fairsweep.",
    "latency": "Measure how large and how fast the networks of a run are.",
    "copy": "Copy a run, even while it is running.",
    "launch": "Write the script or manifest that runs a sweep on a cluster.",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    parsed = _parser(words).parse_args(words)
    return run_command("tune", lambda: int(parsed.handler(parsed)))


def _parser(words: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tune", description="Search hyperparameters of image classifiers."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, description in COMMANDS.items():
        command = commands.add_parser(name, help=description, description=description)
        if words and words[0] == name:
            # Imported only for its own command: some import torch or Ray, which takes seconds.
            module = importlib.import_module(f"tune.commands.{name}")
            command.epilog = f"example: python -m tune {name} {module.EXAMPLE}".rstrip()
            module.add_arguments(command)
            command.set_defaults(handler=module.run)
    return parser


if __name__ == "__main__":
    end(main())
