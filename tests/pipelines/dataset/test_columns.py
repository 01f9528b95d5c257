"""Test that reading the result of a query as columns gives exactly the values in the database."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from thumblab_core.errors import LabError
from thumblab_pipelines.columns import read_columns
from thumblab_pipelines.features.stored_vectors import read_vectors
from thumblab_pipelines.lab import Lab

ODD = ['a "quoted", title', "two\nlines\r\nand a\rreturn", "", "\\.", "\\N", " ", "Straße 🎬 %s :name", None]


def read(lab: Lab, query: str, types: dict[str, str], **parameters: Any) -> dict[str, list[Any]]:
    with lab.engine.connect() as connection:
        return dict(read_columns(connection, query, types, parameters).to_pydict())


@pytest.mark.parametrize("titles", [ODD, [None], [""], [], ODD * 3_000])
def test_texts_are_read_exactly_and_an_unknown_text_differs_from_an_empty_one(
    open_lab: Callable[..., Lab], titles: list[str | None]
) -> None:
    query = "SELECT title FROM unnest(CAST(:titles AS text[])) WITH ORDINALITY AS given (title, n) ORDER BY n"
    assert read(open_lab(), query, {"title": "string"}, titles=titles) == {"title": titles}


def test_numbers_and_truth_values_are_read_exactly(open_lab: Callable[..., Lab]) -> None:
    columns: dict[str, tuple[str, list[Any]]] = {
        "int64": ("bigint", [2**63 - 1, -(2**63), 2**53 + 1, None]),
        "float64": ("float8", [0.1 + 0.2, 1e-300, np.inf, None]),
        "bool": ("boolean", [True, False, True, None]),
    }
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, (kind, _) in columns.items())
    values = {name: given for name, (_, given) in columns.items()}
    query = f"SELECT * FROM unnest({arrays}) AS given (int64, float64, bool)"
    assert read(open_lab(), query, {name: name for name in columns}, **values) == values


def test_an_error_of_the_database_is_raised_and_the_next_query_is_answered(open_lab: Callable[..., Lab]) -> None:
    lab, types = open_lab(), {"n": "int64"}
    with pytest.raises(Exception, match="division by zero"):
        read(lab, "SELECT 1 / (n - 500) AS n FROM generate_series(1, 1000) AS n", types)
    assert read(lab, "SELECT 1 AS n", types) == {"n": [1]}


def test_vectors_of_different_dimensions_under_one_encoder_are_refused(open_lab: Callable[..., Lab]) -> None:
    lab = open_lab()
    with lab.engine.begin() as connection:
        connection.execute(text("INSERT INTO channels (channel_id, title) VALUES ('c', 'c')"))
        for video_id, vector in (("v", "[1,2,3]"), ("w", "[1,2]")):
            connection.execute(
                text("""INSERT INTO videos (video_id, niche, channel_id, title, published_at, tags, source, refreshed_at)
                        VALUES (:id, 'tech', 'c', 't', now(), '{}', 'catalogue', now())"""),
                {"id": video_id},
            )
            connection.execute(
                text(
                    "INSERT INTO embeddings (video_id, encoder, source_digest, vector) VALUES (:id, 'e', 's', :vector)"
                ),
                {"id": video_id, "vector": vector},
            )
    vectors, stored = read_vectors(lab, ["x", "v", "v"], ["s", "s", "other"], "e")
    assert vectors.tolist() == [[0, 0, 0], [1, 2, 3], [0, 0, 0]]
    assert stored.tolist() == [False, True, False]
    with pytest.raises(LabError, match="the vectors of the encoder e differ in dimension"):
        read_vectors(lab, ["v", "w"], ["s", "s"], "e")
