"""Test which names of people the lab accepts."""

import pytest

from thumblab_core.errors import LabError
from thumblab_core.people.names import clean_name


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Alice", "Alice"),
        ("  Ann \u00a0 Marie ", "Ann Marie"),
        ("Zoe\u0301", "Zo\u00e9"),
        ("\U0001f98a", "\U0001f98a"),
        ("\u0928\u093f\u0932", "\u0928\u093f\u0932"),
        ("Person", "Person"),
        ("Persona non grata", "Persona non grata"),
        ("Clu", "Clu"),
    ],
)
def test_a_name_is_kept_in_normal_form(given: str, name: str) -> None:
    assert clean_name(given) == name


@pytest.mark.parametrize(
    "given",
    [
        "person_0123456789ab",
        "Person_x",
        "PERSON_",
        "unknown_cluster_0123456789ab",
        "Unknown_Cluster_7",
        "clu_0123456789ab",
        "  clu_1",
        "\uff30erson_1",
    ],
)
def test_a_name_that_looks_like_the_id_of_a_cluster_is_refused(given: str) -> None:
    with pytest.raises(LabError, match="looks like the id of a cluster"):
        clean_name(given)


@pytest.mark.parametrize(
    "given", ["", " ", "\u2800", "\u2800 \u2800", "\u0301", "\u0301\u0308", "\ufe0f", "\u3164", "\uffa0", "\u3000"]
)
def test_a_name_that_shows_nothing_is_refused(given: str) -> None:
    with pytest.raises(LabError, match="empty"):
        clean_name(given)


@pytest.mark.parametrize("given", ["a\u200db", "a\tb", "\u200b", "a\u202eb"])
def test_a_name_with_hidden_characters_is_refused(given: str) -> None:
    with pytest.raises(LabError, match="control or invisible"):
        clean_name(given)
