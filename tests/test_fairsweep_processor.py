"""What is read from the list of a processor's flags."""

import pytest

from fairsweep.processor import bf16_instructions


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16\n",
            ("AVX-512 BF16", "AMX"),
        ),
        ("flags\t\t: fpu avx2 avx512f avx512_bf16\n\nflags : avx2\n", ("AVX-512 BF16",)),
        ("flags\t\t: fpu avx2 avx512f\nbugs\t: amx_bf16\n", ()),
        ("Features\t: fp asimd bf16\n", ("Arm BF16",)),
        ("processor\t: 0\n", None),
    ],
)
def test_instructions_for_bf16_are_found_among_the_flags(tmp_path, text, found):
    (tmp_path / "cpuinfo").write_text(text)
    assert bf16_instructions(tmp_path / "cpuinfo") == found


def test_without_a_list_nothing_is_known(tmp_path):
    assert bf16_instructions(tmp_path / "cpuinfo") is None
