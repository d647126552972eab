"""Words of users are printed as they stand."""

import pytest

from fairsweep.terminal import plain_console


@pytest.mark.parametrize("stderr", [False, True])
def test_brackets_and_colons_are_no_styles_and_no_signs(capsys, stderr):
    plain_console(stderr=stderr).print("[blocks] and :warning:")
    told = capsys.readouterr()
    assert (told.err if stderr else told.out) == "[blocks] and :warning:\n"
    assert (told.out if stderr else told.err) == ""
