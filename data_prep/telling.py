"""What the user should know about how sources were read: counts, and ways to read them better."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from data_prep.class_names import alike
from data_prep.collecting import MAX_TEXT, SourceImages
from data_prep.sources_file import Source, SourcesFile
from data_prep.walking import not_read


def pictures_found(file: SourcesFile, parts: Sequence[SourceImages]) -> Iterator[dict[str, Any]]:
    """Count the pictures of each source by folder and subset."""
    for source, part in zip(file.sources, parts, strict=True):
        for (theirs, subset), count in sorted(part.found.items()):
            yield {
                "source": source.name,
                "folder": theirs or "no label",
                "subset": subset,
                "class": source.class_of(theirs, file.classes),
                "pictures": count,
            }


def how_read(file: SourcesFile, parts: Sequence[SourceImages]) -> Iterator[str]:
    """Warn of files that were not read, and of pictures that could be read in another way."""
    yield from _margins(file, parts)
    yield from _files(file, parts)
    for source, part in zip(file.sources, parts, strict=True):
        labels = Counter(theirs for theirs, _ in part.found)
        yield from alike(source, labels, file.classes)
        yield from _pixels(source, part, file)
        if part.long_columns:
            yield (
                f"columns of {source.name!r} with texts of more than {MAX_TEXT} characters are "
                f"left out: {', '.join(part.long_columns)}"
            )
        for text, count in sorted(part.odd_subsets.items()):
            yield (
                f"{count:,} pictures of {source.name!r} have the split {text!r}, which is not "
                "train, val or test"
            )


def _pixels(source: Source, part: SourceImages, file: SourcesFile) -> Iterator[str]:
    """Warn where pictures lose their colour, or become larger than they are."""
    if part.in_colour:
        yield f"the pictures of {source.name!r} are made gray; set colour to keep their colours"
    if source.path is None:
        return
    sides = {*part.columns["width"].to_pylist(), *part.columns["height"].to_pylist()}
    if len(sides) == 1 and min(sides) < file.image_size:
        side, size = min(sides), file.image_size
        yield (
            f"all pictures of {source.name!r} are {side}×{side} pixels and are enlarged to "
            f"{size}×{size}; image_size {side} keeps them as they are"
        )


def _files(file: SourcesFile, parts: Sequence[SourceImages]) -> Iterator[str]:
    """Warn of files that are not read, and of pictures that could be read in another way."""
    for source, part in zip(file.sources, parts, strict=True):
        if part.passed_over:
            yield f"{source.name!r}: {not_read(part.passed_over)}; rejected.csv lists each"
        for bits, count in sorted(part.of_bits.items()):
            yield (
                f"{count:,} of the {len(part.ids):,} pictures of {source.name!r} use {bits} bits "
                f"of their files' 16 and are read as {bits} bits; if they are only dark, save all "
                "pictures as 8 bits"
            )
        if part.with_frames:
            yield (
                f"{part.with_frames:,} pictures of {source.name!r} have several frames; only the "
                "first is read"
            )


def _margins(file: SourcesFile, parts: Sequence[SourceImages]) -> Iterator[str]:
    """Warn of sources whose pictures have margins that nobody asked to trim."""
    for source, part in zip(file.sources, parts, strict=True):
        if 2 * part.with_margin > len(part.ids) and not source.trim_margin:
            yield (
                f"{part.with_margin:,} of the {len(part.ids):,} pictures of {source.name!r} have "
                "a margin of one colour, which hides their copies in other sources and makes "
                "different pictures alike; set trim_margin: true (images: --trim-margin)"
            )
