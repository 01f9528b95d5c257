"""Test the ids that `thumblab score` gives to pictures."""

import os

from thumblab_cli.scoring.picture_ids import picture_ids


def test_a_picture_that_is_named_twice_keeps_its_name_as_its_id() -> None:
    assert picture_ids(["a.jpg", "b.jpg", "a.jpg"]) == {"a.jpg": "a.jpg", "b.jpg": "b.jpg"}


def test_names_that_cannot_be_ids_get_distinct_ones() -> None:
    names = ["a\nb.jpg", "a\tb.jpg", "x" * 200 + ".jpg", os.fsdecode(b"\xff.jpg")]
    ids = picture_ids(names)
    assert list(ids) == names
    assert list(ids.values())[:2] == ["a?b.jpg", "a?b.jpg (2)"]
    assert len(set(ids.values())) == 4
    assert max(map(len, ids.values())) == 128
