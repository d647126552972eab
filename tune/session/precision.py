"""Says before a sweep starts if its precision is slow on this machine."""

from fairsweep.processor import bf16_instructions
from models.config import TrainConfig
from tune.sweep.spec import SweepSpec


def precision_note(spec: SweepSpec) -> str | None:
    """Return a line if a spec asks for bf16 where neither a GPU nor the processor has it.

    Results are those of bf16 all the same, only later, so this is no error.
    """
    if not _asks_for_bf16(spec) or bf16_instructions() != ():
        return None
    import torch  # Imported late, because it takes seconds, and few get here.

    if torch.cuda.is_available():
        return None
    return (
        "note: precision bf16 is several times slower than float32 on this machine, which has no "
        "GPU, and a processor without AVX-512 BF16 and AMX; use float32 unless trials run elsewhere"
    )


def _asks_for_bf16(spec: SweepSpec) -> bool:
    if spec.train is not None:
        return False
    space = spec.search_space
    configs = (spec.config(space.at(p), seed=spec.seed) for p in space.samples_of_each())
    return any(isinstance(c, TrainConfig) and c.precision == "bf16" for c in configs)
