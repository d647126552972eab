import pytest

from fairsweep.errors import UserError
from fairsweep.urls import check_url, is_url


@pytest.mark.parametrize(
    "place",
    ["data/a@b", "s3://b/faces", "s3://b/me@home/x", "s3://b/x?region=eu&scheme=http", "gs://b/x"],
)
def test_a_place_without_keys_is_taken(place):
    assert check_url(place) == place


@pytest.mark.parametrize(
    "place",
    [
        "s3://HUSH:HUSH@b/faces",
        "s3://HUSH@b/faces?region=eu",
        "s3://b/faces?region=eu&Secret_Key=HUSH",
        "gs://b/faces?access_token=HUSH",
        "s3://b/faces?X-Amz-Signature=HUSH",
    ],
)
def test_keys_in_a_url_are_refused_and_not_shown(place):
    with pytest.raises(UserError, match=r"must not hold keys.*://b/faces; set AWS_") as refused:
        check_url(place)
    assert "HUSH" not in str(refused.value)


def test_a_url_names_its_scheme():
    assert is_url("file:///a")
    assert not is_url("a//b:c")
