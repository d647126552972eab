"""Writes a table as Markdown, CSV, LaTeX (booktabs) or JSON."""

from collections.abc import Callable, Mapping

from analysis.tables.table import Table

_LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "–": "--",
    }
)


def to_markdown(table: Table) -> str:
    """Write every view with its title, and the note below."""
    parts = []
    for view in table.views:
        aligned = ["right" if number else "left" for number in view.is_number(table.frame)]
        shown = view.shown(table.frame)
        text = shown.to_markdown(
            index=False, tablefmt="pipe", disable_numparse=True, colalign=aligned
        )
        parts.append(f"**{view.title}**\n\n{text}\n")
    return "\n".join([*parts, " ".join(table.notes) + "\n"])


def to_latex(table: Table) -> str:
    """Write every view as a booktabs table, the note as a comment above."""
    parts = ["".join(f"% {note}\n" for note in table.notes)]
    for number, view in enumerate(table.views):
        shown = view.shown(table.frame).map(_latex_text).rename(columns=_latex_text)
        aligned = "".join("r" if number else "l" for number in view.is_number(table.frame))
        label = f"tab:{table.name}" + (f"-{number + 1}" if number else "")
        parts.append(
            shown.to_latex(
                index=False,
                escape=False,
                column_format=aligned,
                caption=_latex_text(view.title),
                label=label.replace("_", "-"),
                position="htbp",
            )
        )
    return "\n".join(parts)


def to_csv(table: Table) -> str:
    """Write the frame with full precision."""
    return table.frame.to_csv(index=False, lineterminator="\n")


def to_json(table: Table) -> str:
    """Write the frame as a list of rows with full precision; a missing figure is null."""
    text = table.frame.to_json(orient="records", indent=2, double_precision=15, force_ascii=False)
    return text + "\n"


def _latex_text(text: str) -> str:
    return text.translate(_LATEX)


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "latex": to_latex,
    "json": to_json,
}
"""How `--format` is named → how a table is written."""

SUFFIXES: Mapping[str, str] = {"md": ".md", "csv": ".csv", "latex": ".tex", "json": ".json"}
"""File suffix of each format."""
