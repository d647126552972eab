"""Finds the classes of sources if the user names none, and labels that differ only in case."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from data_prep.layout import folded
from data_prep.rejections import BadInputError
from data_prep.sources_file import Source, SourcesFile

Labels = Mapping[str, int]
"""A source's label → number of pictures."""
JOINED_BY = ("|", ";")
"""Characters with which tables join several labels of a picture."""


def with_classes(file: SourcesFile, labels: Sequence[Labels]) -> SourcesFile:
    """Return the sources file with its classes, or with those found in the sources.

    Numbers are sorted by value, names alphabetically. Of spellings that ``fold_case`` joins, the
    most frequent is used.

    Args:
        file: The sources file.
        labels: Labels of each source.

    Raises:
        BadInputError: There are fewer than two classes, a limit names an unknown class, or a label
            joins several others, such as ``a|b``.
    """
    if file.classes:
        return file
    counts = Counter[str]()
    for source, theirs in zip(file.sources, labels, strict=True):
        for label, count in theirs.items():
            ours = source.class_of(label, ())
            if ours is not None:
                counts[ours] += count
    names = sorted(counts)
    if any(source.fold_case for source in file.sources):
        names = sorted(_one_of_each(counts))
    if all(name.isascii() and name.isdigit() for name in names):
        names.sort(key=int)
    _check(file, names)
    _refuse_several(names)
    return file.model_copy(update={"classes": tuple(names)})


def _one_of_each(counts: Counter[str]) -> list[str]:
    """Return the most frequent spelling of each name; in a tie, the first in sorted order."""
    spellings = defaultdict[str, list[str]](list)
    for name in sorted(counts):
        spellings[folded(name)].append(name)
    return [max(names, key=counts.__getitem__) for names in spellings.values()]


def _check(file: SourcesFile, names: Sequence[str]) -> None:
    shown = ", ".join(str(source.path or source.dataset) for source in file.sources)
    if len(names) < 2:
        only = f"only the class {names[0]!r}" if names else "no class"
        raise BadInputError(
            f"{shown}: {only} was found, but at least two are needed; give a folder for each "
            "class, or a CSV with a row for each picture (labels); if its columns have unusual "
            "names, say which one is the label (columns); if it has a column for each class, give "
            "it as votes; docs/datasets.md lists what can be read"
        )
    for source in file.sources:
        unknown = next((name for name in source.limit if name not in names), None)
        if unknown is not None:
            raise BadInputError(
                f"source {source.name!r} limits the class {unknown!r}, but the classes found are "
                f"{', '.join(names)}; correct its limit"
            )


def _refuse_several(names: Sequence[str]) -> None:
    known = set(names)
    for name in names:
        for separator in JOINED_BY:
            parts = name.split(separator)
            if len(parts) > 1 and known.issuperset(part.strip() for part in parts):
                raise BadInputError(
                    f"the label {name!r} joins {len(parts)} others; several labels per picture are "
                    "not supported: give each picture one label, or name the classes that you want "
                    "in a sources file (classes)"
                )


def alike(source: Source, labels: Labels, classes: Sequence[str]) -> Iterator[str]:
    """Yield a line for labels that differ only in case or white space from others or a class."""
    if source.fold_case:
        return
    spellings = defaultdict[str, set[str]](set)
    for name in labels:
        spellings[folded(name)].add(name)
    for name in classes if source.map is None else source.map:
        if folded(name) in spellings:
            spellings[folded(name)].add(name)
    for names in spellings.values():
        if len(names) > 1:
            yield (
                f"labels {' and '.join(map(repr, sorted(names)))} of source {source.name!r} differ "
                "only in case or white space, but count as different labels; fold_case merges them"
            )
