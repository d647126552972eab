"""The documentation: its site builds without warnings, and its commands and specs are right."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

import analysis.__main__
import data_prep.__main__
import tune.__main__
from tune.sweep.spec import parse_spec

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
PAGE_NAME = re.compile(r"docs/[\w/]+\.md")
COMMAND = re.compile(r"python -m (data_prep|tune|analysis) ([a-z]\w*)([^#\n|>`]*)")
PROGRAMS = {
    "data_prep": data_prep.__main__.main,
    "tune": tune.__main__.main,
    "analysis": analysis.__main__.main,
}


def specs():
    """Return the whole specs in the documentation that need no code of a user."""
    found = []
    for page in PAGES:
        for language, text in BLOCK.findall(page.read_text()):
            values = yaml.safe_load(text) if language == "yaml" else {}
            if {"name", "space"} <= values.keys() and not re.search(r"[a-z]:[A-Za-z]", text):
                found.append(pytest.param(values, id=page.stem))
    return found


def commands():
    """Return the commands in the documentation, with the options that it gives them."""
    found = {}
    for page in PAGES:
        for program, command, words in COMMAND.findall(page.read_text()):
            options = re.findall(r"(?<=\s)--[a-z][\w-]*", words)
            found.setdefault(f"{program} {command}", set()).update(options)
    del found["tune launch"]  # Its own commands have the options.
    return found


@pytest.mark.parametrize("command", commands())
def test_a_command_in_the_documentation_exists_with_its_options(command, capsys):
    program, name = command.split()
    with pytest.raises(SystemExit) as end:
        PROGRAMS[program]([name, "--help"])
    assert end.value.code == 0
    assert commands()[command] <= set(re.findall(r"--[a-z][\w-]*", capsys.readouterr().out))


def pages_named_in_messages():
    """Return the pages of the documentation that the code names, in messages above all."""
    parts = ("fairsweep", "data_prep", "models", "tune", "analysis")
    files = (file for part in parts for file in (ROOT / part).rglob("*.py"))
    return sorted({page for file in files for page in re.findall(PAGE_NAME, file.read_text())})


@pytest.mark.parametrize("page", pages_named_in_messages())
def test_a_page_that_a_message_names_exists(page):
    assert (ROOT / page).is_file()


def test_the_pages_that_errors_name_are_found():
    named = {"docs/datasets.md", "docs/own_training.md", "docs/slurm.md", "docs/sweeps.md"}
    assert named <= set(pages_named_in_messages())


@pytest.mark.parametrize("values", specs())
def test_a_spec_in_the_documentation_is_accepted(values):
    assert parse_spec(values).search_space.names()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "sphinx", "-q", "--fail-on-warning", "docs", str(out)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


class Links(HTMLParser):
    """Collects what a page points to, and the ids that it has."""

    def __init__(self, text):
        super().__init__()
        self.places, self.ids, self.loaded = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids.add(found.get("id"))
        if tag == "a" and "href" in found:
            self.places.append(found["href"])
        if tag in ("script", "img", "link"):
            self.loaded.append(found.get("src") or found.get("href") or "")


@pytest.mark.long
def test_every_link_of_the_site_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site):
    pages = {page: Links(page.read_text()) for page in site.rglob("*.html")}
    assert len(pages) > 20
    for page, links in pages.items():
        for place in (*links.places, *links.loaded):
            parts = urlsplit(place)
            if parts.scheme:
                assert place not in links.loaded, f"{page.name} loads {place}"
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert target.exists(), f"{page.name}: {place}"
            if parts.fragment and target in pages:
                assert parts.fragment in pages[target].ids, f"{page.name}: {place}"


@pytest.mark.long
def test_the_site_explains_every_command_key_and_hyperparameter(site):
    said = (site / "reference/commands.html").read_text()
    for words in ("tune retrain", "data_prep images", "analysis import"):
        assert words in said
    assert 'id="resources-trials-at-once"' in (site / "reference/spec.html").read_text()
    assert 'id="label-smoothing"' in (site / "reference/hyperparameters.html").read_text()
