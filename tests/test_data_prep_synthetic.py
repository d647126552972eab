import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import nn

from data_prep.manifest import DatasetManifest
from data_prep.reader import read_dataset
from data_prep.splits import split_dataset
from data_prep.synthetic import RawFaces, draw_raw, prepare_synthetic, write_raw
from data_prep.votes import VOTE_NAMES, label
from tests.support.fer_factory import read_rows


@pytest.fixture
def one_thread():
    """Several threads on so little work cost more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    out = tmp_path_factory.mktemp("faces") / "synthetic"
    prepare_synthetic(out=out, images=800)
    return read_dataset(out)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """300 faces of seed 5, in a folder with a space."""
    out = tmp_path_factory.mktemp("small") / "my faces"
    return prepare_synthetic(out=out, images=300, seed=5, near_duplicates=False), read_dataset(out)


@pytest.fixture(scope="module")
def raw():
    return draw_raw(1000, seed=1)


def test_the_seed_decides_on_faces_votes_split_and_folds(small):
    manifest, dataset = small
    raw = draw_raw(300, seed=5)
    rows = np.array([int(one.removeprefix("fer2013/")) for one in dataset.image_ids])
    np.testing.assert_array_equal(dataset.pixels, raw.pixels[rows])
    labels = label(raw.votes, "published")
    kept = (raw.votes[:, 9] == 0) & (raw.votes[:, 8] <= 4) & (labels >= 0)
    assert rows.tolist() == np.flatnonzero(kept).tolist()
    np.testing.assert_array_equal(dataset.labels, labels[rows])
    assert manifest.split_seed == 5
    splits, folds = split_dataset(
        dataset.labels,
        dataset.duplicate_groups,
        classes=manifest.classes,
        method="grouped",
        seed=5,
    )
    np.testing.assert_array_equal(dataset.splits, splits)
    np.testing.assert_array_equal(dataset.folds, folds)


def test_what_the_user_decides_reaches_the_dataset(small, tmp_path):
    assert small[0].name == "my faces"
    assert small[0].details["near_duplicates"] is False
    assert small[0].details["rows"] == 300
    named = prepare_synthetic(out=tmp_path / "out", images=200, name="other", near_duplicates=True)
    assert named.name == "other"
    assert named.details["near_duplicates"] is True
    assert named.split_seed == 0


def test_faces_and_votes_are_those_of_earlier_releases():
    """Frozen: every draw after another one decides the sums below.

    Rounding in float32 turns one pixel in thousands by one gray value.
    """
    raw = draw_raw(400, seed=5)
    assert raw.votes.sum(axis=0).tolist() == [1837, 148, 205, 771, 678, 97, 72, 63, 116, 13]
    assert raw.pixels.mean() == pytest.approx(118.213, abs=0.01)
    # Sums over blocks of changing sign show what the mean hides, such as the curve of a mouth.
    signs = np.kron(np.random.default_rng(1).choice([-1, 1], (12, 12)), np.ones((4, 4)))
    seen = (raw.pixels * signs).mean(axis=(1, 2))
    assert (seen.mean(), seen.std()) == pytest.approx((6.4392, 3.8604), abs=1e-4)
    assert not np.array_equal(raw.votes, draw_raw(400, seed=6).votes)


def test_kaggles_and_fer_plus_files_say_what_was_drawn(tmp_path):
    """Four fifths are Training, then a tenth each; only where all saw no face is no picture."""
    generator = np.random.default_rng(2)
    pixels = generator.integers(0, 256, (30, 48, 48), dtype=np.uint8)
    votes = generator.multinomial(10, np.full(10, 0.1), 30)
    votes[4], votes[5] = [0] * 9 + [10], [1] + [0] * 8 + [9]
    pictures, voted = write_raw(tmp_path, RawFaces(pixels=pixels, votes=votes))
    assert (pictures.name, voted.name) == ("fer2013.csv", "fer2013new.csv")
    usages = ["Training"] * 24 + ["PublicTest"] * 3 + ["PrivateTest"] * 3
    header, *rows = read_rows(pictures)
    assert header == ["emotion", "pixels", "Usage"]
    assert [row[2] for row in rows] == usages
    assert [list(map(int, row[1].split())) for row in rows] == pixels.reshape(30, -1).tolist()
    header, *rows = read_rows(voted)
    assert header == ["Usage", "Image name", *VOTE_NAMES]
    names = [f"fer{row:07d}.png" for row in range(30)]
    names[4] = ""
    assert [row[:2] for row in rows] == [list(one) for one in zip(usages, names, strict=True)]
    assert [list(map(int, row[2:])) for row in rows] == votes.tolist()


def test_some_pictures_are_byte_for_byte_copies(small, raw):
    """About six in a hundred are copies; half of them byte for byte."""
    _, first, counts = np.unique(
        raw.pixels.reshape(1000, -1), axis=0, return_index=True, return_counts=True
    )
    assert 15 <= counts.sum() - len(first) <= 50
    assert small[0].duplicates["surplus"] > 0


def test_some_pictures_are_of_no_face(raw):
    """One in a hundred, which gets a few or all votes for it; of the others none."""
    votes = raw.votes[:, 9]
    assert 3 <= (votes > 0).sum() <= 20
    assert (votes == 10).any()
    assert ((votes > 0) & (votes < 10)).any()


@pytest.mark.parametrize("count", [0, -3])
def test_there_must_be_a_face_to_draw(count):
    with pytest.raises(ValueError, match=f"images must be at least 1, but got {count}"):
        draw_raw(count, seed=0)
    assert draw_raw(1, seed=0).pixels.shape == (1, 48, 48)


def test_ten_taggers_disagree(faces, raw):
    votes = raw.votes
    assert set(votes.sum(axis=1)) == {10}
    assert 0.2 < (votes.max(axis=1) <= 6).mean() < 0.8
    assert 0.01 < (faces.soft_labels.max(axis=1) < 0.75).mean() < 0.5


def test_every_class_is_well_populated(faces):
    shares = np.bincount(faces.labels) / len(faces.labels)
    assert shares.min() > 0.15
    assert shares.max() < 0.35


def test_planted_copies_are_found_and_kept_on_one_side(faces):
    duplicates = faces.manifest.duplicates
    assert duplicates["groups"] > 15
    assert duplicates["across_splits"] == 0


def test_the_manifest_is_that_of_fer2013(faces, synthetic_dataset):
    small = DatasetManifest.read(synthetic_dataset)
    assert small.classes == faces.manifest.classes == ("angry", "bored", "focused", "neutral")
    assert next(step["left"] for step in faces.manifest.steps) == 800
    assert 900 < small.images < 1500


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_a_linear_model_is_above_chance_and_a_network_is_clearly_better(tmp_path):
    """With 495 pictures a standard error is 0.02, so the gaps asked for are five of them."""
    assert prepare_synthetic(out=tmp_path / "synthetic").details["rows"] == 4000
    faces = read_dataset(tmp_path / "synthetic")
    values = (faces.pixels / np.float32(255) - faces.manifest.mean) / faces.manifest.std
    train, val = faces.rows("train"), faces.rows("val")
    chance = np.bincount(faces.labels[val]).max() / len(val)
    flat = values.astype(np.float32).reshape(len(values), -1)
    linear = LogisticRegression(C=1e-3, tol=1e-2).fit(flat[train], faces.labels[train])
    linear_accuracy = linear.score(flat[val], faces.labels[val])
    network_accuracy = train_small_network(values, faces.labels, train, val)
    assert linear_accuracy > chance + 0.1
    assert network_accuracy > linear_accuracy + 0.1


def train_small_network(values, labels, train, val, epochs=6) -> float:
    torch.manual_seed(0)
    pictures = torch.tensor(values, dtype=torch.float32)[:, None]
    targets = torch.tensor(labels)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 32, 3, 1, 1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 36, 64), nn.ReLU(), nn.Linear(64, 4),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    steps = epochs * -(-len(train) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.tensor(train)[torch.randperm(len(train))].split(64):
            batch = pictures[rows].flip(-1) if torch.rand(()) < 0.5 else pictures[rows]
            loss = nn.functional.cross_entropy(network(batch), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        return float((network(pictures[val]).argmax(1) == targets[val]).float().mean())
