"""The list of mutants keeps up with the code; `python -m tests.mutants` runs them."""

import ast

import pytest

from tests.mutants.catalogue import PARTS, read_mutants


@pytest.mark.parametrize("part", PARTS)
def test_every_mutant_can_still_be_planted(part):
    for mutant in read_mutants(part):
        assert mutant.file.startswith(f"{part}/")
        ast.parse(mutant.source())


def test_no_mutant_is_listed_twice():
    mutants = [mutant.identifier for part in PARTS for mutant in read_mutants(part)]
    assert len(set(mutants)) == len(mutants)
