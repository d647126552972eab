import io

import numpy as np
import pytest

from data_prep.csv_rows import read_blocks
from data_prep.rejections import BadInputError, Rejections


def read(text, *, columns=None, rejections=None, **more):
    """All blocks of a CSV: the row numbers and the cells, each in one list."""
    blocks = list(
        read_blocks(
            io.BytesIO(text if isinstance(text, bytes) else text.encode()),
            file="my rows.csv",
            columns=columns,
            rejections=rejections or Rejections(),
            **more,
        )
    )
    rows = [row for block in blocks for row in block.rows.tolist()]
    return rows, [record for block in blocks for record in block.cells.to_pylist()], blocks


def noted(rejections):
    return [(one.image_id, one.file, one.row, one.reason) for one in rejections._rows]


def test_cells_are_text_in_the_order_of_the_columns_asked_for():
    rows, cells, blocks = read("a, b ,c\n1,02,x\n3,,y\n", columns=("c", "b"))
    assert rows == [0, 1]
    assert cells == [{"c": "x", "b": "02"}, {"c": "y", "b": ""}]
    assert blocks[0].cells.schema.names == ["c", "b"]


def test_a_byte_order_mark_does_not_count():
    assert read(b"\xef\xbb\xbfa,b\n1,2\n")[1] == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("block_bytes", [64, 1 << 22])
def test_rows_keep_their_numbers_whatever_is_left_out_before_them(monkeypatch, block_bytes):
    monkeypatch.setattr("data_prep.csv_rows.BLOCK_BYTES", block_bytes)
    bad = {0, 7, 8, 9, 30, 61, 62, 98}
    lines = [f"{row},x{row}" + ",more" * (row in bad) for row in range(99)]
    rejections = Rejections(skip_bad=True)
    rows, cells, blocks = read(
        "\n".join(["number,name", *lines]) + "\n",
        rejections=rejections,
        identify=lambda row: f"picture {row}",
    )
    assert rows == [row for row in range(99) if row not in bad]
    assert cells == [{"number": str(row), "name": f"x{row}"} for row in rows]
    assert (len(blocks) > 3) is (block_bytes == 64)
    assert all(len(block.rows) == len(block.cells) for block in blocks)
    reason = "3 cells where the header has 2"
    assert noted(rejections) == [
        (f"picture {row}", "my rows.csv", row, reason) for row in sorted(bad)
    ]


def test_the_names_are_checked_before_any_row_is_read():
    def check(names):
        assert names == ["a", "b"]
        raise BadInputError("seen")

    with pytest.raises(BadInputError, match="seen"):
        read("a,b \n1,2,3\n", check=check)


def test_missing_columns_are_named_with_those_that_are_there():
    message = "^my rows.csv: column x, y is missing \\(its header has a, b\\); give the file"
    with pytest.raises(BadInputError, match=message):
        read("a,b\n1,2\n", columns=("x", "b", "y"))


@pytest.mark.parametrize("text", ["", "\n", " , \n1,2\n"])
def test_a_file_without_a_header_is_empty(text):
    with pytest.raises(BadInputError, match=r"^my rows.csv: is empty"):
        read(text)


def test_a_file_that_is_no_text_is_no_csv():
    with pytest.raises(BadInputError, match=r"^my rows.csv: is not a CSV file"):
        read(b"a\x00b\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image_id,age\na,1\n".encode("utf-16"), "is in UTF-16; save it as CSV in UTF-8"),
        ("image_id,\xe4ge\na,1\n".encode("latin-1"), "is in another encoding than UTF-8; save it"),
        ("image_id,age\na,\xe4\n".encode("latin-1"), "is in another encoding than UTF-8; save it"),
        (b"image_id,age\ra,1\r", "its lines end in carriage returns alone, as on old Macs; save"),
        (b"image_id;age\na;1\n", "its columns are separated by semicolons; save it again with"),
        (b"image_id\tage\na\t1\n", "its columns are separated by tabs; save it again with commas"),
    ],
)
@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_csv_of_another_kind_is_refused_by_its_kind(content, message, skip_bad):
    with pytest.raises(BadInputError, match=rf"^my.csv: {message}"):
        list(
            read_blocks(
                io.BytesIO(content), file="my.csv", columns=None,
                rejections=Rejections(skip_bad=skip_bad),
            )
        )  # fmt: skip


class BreaksOff(io.BytesIO):
    """A stream that fails behind its first bytes, as a damaged archive does."""

    def read(self, size=-1):
        if self.tell() > 50_000:
            raise EOFError("the stream\nended")
        return super().read(size)


def test_what_was_read_before_a_file_breaks_off_can_be_used(monkeypatch):
    monkeypatch.setattr("data_prep.csv_rows.BLOCK_BYTES", 64)
    text = "a,b\n" + "".join(f"{row:04d},x\n" for row in range(9999))
    rejections = Rejections(skip_bad=True)
    stream = BreaksOff(text.encode())
    blocks = list(read_blocks(stream, file="f", columns=None, rejections=rejections))
    rows = np.concatenate([block.rows for block in blocks]).tolist()
    assert rows == list(range(len(rows)))
    assert 0 < len(rows) < 9999
    reason = "cannot be read to its end (the stream ended)"
    assert noted(rejections) == [("", "f", len(rows), reason)]
