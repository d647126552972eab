"""The list of mutants keeps up with the code; `python -m tests.mutants` runs them."""

import ast
from collections import defaultdict

import pytest

from tests.mutants.catalogue import PARTS, read_mutants


@pytest.mark.parametrize("part", PARTS)
def test_every_mutant_can_still_be_planted(part):
    of_files = defaultdict(list)
    for mutant in read_mutants(part):
        assert mutant.file.startswith(f"{part}/")
        of_files[mutant.file].append(mutant)
    for mutants in of_files.values():
        alone = [mutant.source() for mutant in mutants]
        try:
            parse(planted_together(mutants))
        except SyntaxError:  # Two change one statement, for example.
            parse(alone)


def parse(sources):
    for source in sources:
        ast.parse(source)


def planted_together(mutants):
    """Yield the file with as many mutants in it as have a place of their own, and so on."""
    source = ""
    for mutant in mutants:
        if source.count(mutant.old) == 1:
            source = source.replace(mutant.old, mutant.new)
        else:
            yield source
            source = mutant.source()
    yield source


def test_no_mutant_is_listed_twice():
    mutants = [mutant.identifier for part in PARTS for mutant in read_mutants(part)]
    assert len(set(mutants)) == len(mutants)
