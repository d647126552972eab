"""What is read from the list of a processor's flags."""

import platform

import pytest

from fairsweep.processor import bf16_instructions, processor_name


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


def test_a_machine_is_named_by_its_first_processor(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("model\t\t: 85\nmodel name\t: Fast (R): 9 \nmodel name\t: Slow\n")
    assert processor_name(cpuinfo) == "Fast (R): 9"
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    cpuinfo.write_text("Features\t: fp\n")
    assert processor_name(cpuinfo) == processor_name(tmp_path / "gone") == "aarch64"
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert processor_name(cpuinfo) == "arm"
