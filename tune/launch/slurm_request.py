"""Makes the request of a Slurm job from a command's options and a site's profile."""

from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence

from tune.launch.errors import LaunchError
from tune.launch.sbatch_options import NAMED, merged_options
from tune.launch.site import SiteProfile
from tune.launch.slurm import SlurmRequest


def request_of(
    parsed: Namespace, site: SiteProfile, name: str, words: Sequence[str]
) -> SlurmRequest:
    """Return the request for a run; options of the command override those of the site.

    Args:
        parsed: Options of `tune launch slurm`.
        site: Profile of the site.
        name: Name of the run.
        words: The spec, and the options of `tune run`.

    Raises:
        LaunchError: A value breaks a rule, or no time limit is given.
    """
    gpus = parsed.gpus_per_node or site.gpus_per_node or "0"
    cpus = site.cpus_per_node if parsed.cpus_per_node is None else parsed.cpus_per_node
    theirs = merged_options(_named(site), site.sbatch, where="--site: ")
    given = merged_options(_named(parsed), _further(parsed.sbatch), where="")
    time = parsed.time or site.time
    if time is None:
        raise LaunchError("--time is missing; give the time limit of one allocation, as 4:00:00")
    return SlurmRequest(
        name=name,
        words=tuple(words),
        nodes=parsed.nodes,
        time=time,
        gpus_per_node=gpus,
        cpus_per_node=cpus,
        options={**theirs, **given},
        setup=(*site.setup, *parsed.setup),
        python=parsed.python or site.python,
        stage_data=parsed.stage_data or site.stage_data,
    )


def _named(source: Namespace | SiteProfile) -> Mapping[str, str | None]:
    return {name: getattr(source, name) for name in NAMED}


def _further(given: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    for key, count in Counter(key for key, _ in given).items():
        if count > 1:
            raise LaunchError(f"--sbatch {key} is given {count} times; keep one of them")
    return dict(given)
