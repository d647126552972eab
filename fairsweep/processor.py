"""Which processor this machine has, and which arithmetic that has in hardware."""

import platform
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
_BF16 = {"avx512_bf16": "AVX-512 BF16", "amx_bf16": "AMX", "bf16": "Arm BF16"}
"""Flag of a processor → name of its instructions that multiply in bfloat16."""


def bf16_instructions(cpuinfo: Path = CPUINFO) -> tuple[str, ...] | None:
    """Return the instructions for bfloat16 that the processor has; None if this is not known.

    Only Linux lists them, in ``/proc/cpuinfo``: ``flags`` of an x86 and ``Features`` of an Arm
    processor.
    """
    if not cpuinfo.is_file():
        return None
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo.read_text("utf-8"), re.MULTILINE)
    flags = {flag for line in lines for flag in line.split()}
    return tuple(name for flag, name in _BF16.items() if flag in flags) if flags else None


def processor_name(cpuinfo: Path = CPUINFO) -> str:
    """Return the name of this machine's processor."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
