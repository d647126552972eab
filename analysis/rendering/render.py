"""Writes a table as Markdown, CSV, LaTeX (booktabs) or JSON."""

from collections.abc import Callable, Mapping

from analysis.rendering.table import Table, View

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
    """Write every view with its title, then the notes."""
    parts = []
    for view in table.views:
        aligned = ["right" if number else "left" for number in view.is_number(table.frame)]
        shown = view.shown(table.frame).map(_markdown_text)
        text = shown.rename(columns=_markdown_text).to_markdown(
            index=False, tablefmt="pipe", disable_numparse=True, colalign=aligned
        )
        parts.append(f"**{view.title}**\n\n{text}\n")
    return "\n".join([*parts, " ".join(table.notes) + "\n"])


def to_latex(table: Table) -> str:
    """Write every view as a booktabs table, with the notes as comments at the top."""
    notes = "".join(f"% {note}\n" for note in table.notes)
    views = [_latex_view(table, view, number) for number, view in enumerate(table.views, start=1)]
    return "\n".join([notes, *views])


def _latex_view(table: Table, view: View, number: int) -> str:
    # Not pandas' styler, which takes seconds for the thousands of rows of a large sweep.
    shown = view.shown(table.frame).map(_latex_text)
    aligned = "".join("r" if right else "l" for right in view.is_number(table.frame))
    label = f"tab:{table.name}".replace("_", "-") + (f"-{number}" if number > 1 else "")
    lines = [
        r"\begin{table}[htbp]",
        rf"\caption{{{_latex_text(view.title)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{aligned}}}",
        r"\toprule",
        " & ".join(map(_latex_text, shown.columns)) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in shown.itertuples(index=False, name=None)),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """Write the frame with full precision."""
    return table.frame.to_csv(index=False, lineterminator="\n")


def to_json(table: Table) -> str:
    """Write the frame as a list of rows with full precision; missing values are null."""
    text = table.frame.to_json(orient="records", indent=2, double_precision=15, force_ascii=False)
    return text + "\n"


def _markdown_text(text: str) -> str:
    """Return the text of a cell: a bar would end the cell, and a line break the row."""
    return _one_line(text).replace("|", "\\|")


def _latex_text(text: str) -> str:
    return _one_line(text).translate(_LATEX)


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "latex": to_latex,
    "json": to_json,
}
"""Value of `--format` → function that writes a table."""

SUFFIXES: Mapping[str, str] = {"md": ".md", "csv": ".csv", "latex": ".tex", "json": ".json"}
"""Value of `--format` → file suffix."""
