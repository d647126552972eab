"""The user's own code in a run: copied when the run begins, checked before it is imported."""

import sys
from collections.abc import Iterator
from pathlib import Path

from fairsweep.errors import UserError
from fairsweep.own_code.copies import write_copy
from fairsweep.own_code.files import OwnCode
from fairsweep.own_code.provided import provide_copies, provided
from fairsweep.own_code.reference import is_timm
from fairsweep.own_code.trust import check_trusted, present, record, trust
from models.timm_network import check_version
from tune.run.directory import CODE_DIR, RunError
from tune.sweep.spec import SweepSpec


def copy_code(run: Path, spec: SweepSpec) -> None:
    """Copy the own code of a new run into it, from where this process found it.

    Raises:
        UserError: Two of a spec's networks have different files of one name.
    """
    codes = [provided(reference, known) for reference, known in spec.own_code.items()]
    write_copy(codes, run / CODE_DIR)
    _remember(codes)
    provide_copies(run / CODE_DIR, spec.own_code)


def refuse_own(run: Path, spec: SweepSpec, command: str) -> None:
    """Refuse to use the networks of a run that own training code trained.

    Raises:
        RunError: The run is one of those.
    """
    if spec.train is not None:
        raise RunError(
            f"`tune {command}` needs a network of ours, but {run} was trained by {spec.train}; use "
            "the weights that your code saves (docs/own_training.md)"
        )


def open_code(run: Path, spec: SweepSpec, *, trust_code: bool = False) -> list[OwnCode]:
    """Let this process import the own code of a run, if the user trusts it.

    Args:
        run: The run directory.
        spec: Its spec.
        trust_code: Whether the user has said that she trusts it.

    Raises:
        UserError: She does not trust it; or the copy in the run is missing or was changed; or
            another version of timm is installed.
    """
    for reference, network in spec.networks.items():
        if is_timm(reference):
            check_version(reference, network.hash)
    codes = provide_copies(run / CODE_DIR, spec.own_code)
    if trust_code:
        _remember(codes)
    else:
        check_trusted(codes, run)
    return codes


def _remember(codes: list[OwnCode]) -> None:
    """Remember that the user trusts these codes; say what follows if her folder refuses it."""
    try:
        trust(codes)
    except OSError as error:
        print(
            f"{record()} cannot be written ({error.strerror}), so a command in another folder will "
            "ask for --trust-code; set XDG_CONFIG_HOME to a folder of your own to avoid that",
            file=sys.stderr,
        )


def changes(run: Path, codes: list[OwnCode]) -> Iterator[str]:
    """Yield a line for each own code that has changed in the current folder since the run began."""
    for code in codes:
        try:
            now = present(code)
        except UserError as error:  # A file that is being edited may not be valid Python.
            yield f"{code.reference} has changed since the run began ({error}); {_WAY_OUT}"
            continue
        if now is None or now.hash == code.hash:
            continue
        before, after = code.files, now.files
        names = {*before, *after}
        changed = sorted(
            name
            for name in names
            if name not in before
            or name not in after
            or before[name].content != after[name].content
        )
        yield (
            f"{code.reference} has changed since the run began ({', '.join(changed)}); {_WAY_OUT} "
            f"({run / CODE_DIR})"
        )


_WAY_OUT = (
    "changed code is another configuration: train it with `python -m tune run` under another "
    "--name; this run goes on with its own copy"
)
