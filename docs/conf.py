"""Builds the documentation as a site that works offline: `make docs`, then build/docs/index.html.

The reference of commands and of spec keys is made from the program itself when the site is built,
so that it cannot differ from it.
"""

import io
import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout, suppress
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import analysis.__main__  # noqa: E402 - after the path is set
import data_prep.__main__  # noqa: E402
import tune.__main__  # noqa: E402
from tune.sweep.reference import Key, hyperparameters, spec_keys  # noqa: E402

project = "Fairsweep"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "Fairsweep"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
autodoc_typehints = "description"
autodoc_member_order = "bysource"
exclude_patterns = ["python.ipynb"]

PROGRAMS: dict[str, Callable[[list[str]], int]] = {
    "data_prep": data_prep.__main__.main,
    "tune": tune.__main__.main,
    "analysis": analysis.__main__.main,
}
COLUMNS = "90"
"""Width of the commands' help."""


def setup(app: Sphinx) -> None:
    """Fill the generated pages when they are read."""
    app.connect("source-read", _fill)


def _fill(_app: Sphinx, page: str, source: list[str]) -> None:
    if page in PAGES:
        source[0] += PAGES[page]()


def home_page() -> str:
    """Return the README with links that are right inside ``docs/``."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = text.replace("[CONTRIBUTING.md](CONTRIBUTING.md)", "`CONTRIBUTING.md`")
    return text.replace("](docs/", "](")


def spec_page() -> str:
    """Return the reference of the keys of a spec."""
    return "\n".join(_sections(spec_keys().values()))


def hyperparameters_page() -> str:
    """Return the reference of hyperparameters."""
    return "\n".join(_sections(hyperparameters().values()))


def _sections(keys: Iterable[Key]) -> Iterable[str]:
    for key in keys:
        facts = {"Values": key.allowed, "Default": key.default and f"`{key.default}`"}
        facts["Families"] = ", ".join(key.families)
        yield f"## `{key.name}`\n"
        yield f"{key.meaning}\n"
        yield "\n".join(f"- {name}: {text}" for name, text in facts.items() if text) + "\n"
        yield f"```yaml\n{key.example}\n```\n"


def commands_page() -> str:
    """Return the help of every command."""
    parts = []
    for program, main in PROGRAMS.items():
        overview = help_of(main, [])
        parts.append(f"## `python -m {program}`\n\n```text\n{overview}```\n")
        for name in command_names(overview):
            said = help_of(main, [name])
            parts.append(f"### `{program} {name}`\n\n```text\n{said}```\n")
    return "\n".join(parts)


def help_of(main: Callable[[list[str]], int], words: list[str]) -> str:
    """Return what a command prints for ``--help``."""
    said = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = COLUMNS
    try:
        with redirect_stdout(said), suppress(SystemExit):
            main([*words, "--help"])
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before
    return said.getvalue()


def command_names(overview: str) -> list[str]:
    """Return the names of the commands that a program's help lists."""
    return re.findall(r"^    ([a-z]\w*)\b", overview, flags=re.MULTILINE)


PAGES: dict[str, Callable[[], str]] = {
    "index": home_page,
    "reference/spec": spec_page,
    "reference/hyperparameters": hyperparameters_page,
    "reference/commands": commands_page,
}
"""Page → the function that makes the rest of it."""
