"""Test the features that are computed from the text of a title, such as its length and its hashed words."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from thumblab_core.ranking import title_facts as module
from thumblab_core.ranking.title_facts import BUCKETS, FACTS, WORDS, sparse_title_words, title_facts, title_words

MANY = [
    "How I Built a Tiny House for $900!",
    "",
    "   ",
    "日本の朝ごはん",
    "كيف تصنع الخبز في المنزل",
    "Как испечь хлеб дома?",
    "🔥🔥🔥",
    "!!!???",
    "a",
    "x" * 5_000,
    "line\none\ttab\x00null",
]


def test_every_title_has_a_finite_row() -> None:
    facts, words = title_facts(MANY), title_words(MANY)
    assert facts.shape == (len(MANY), FACTS)
    assert words.shape == (len(MANY), WORDS) == (len(MANY), 2 * BUCKETS)
    for rows in (facts, words):
        assert rows.dtype == np.float32
        assert np.isfinite(rows).all()


def test_no_titles_give_no_rows() -> None:
    assert title_facts([]).shape == (0, FACTS)
    assert title_words([]).shape == (0, WORDS)


@pytest.mark.parametrize("title", MANY)
def test_the_vectors_of_words_and_of_characters_have_length_one_or_zero(title: str) -> None:
    for half in np.split(title_words([title])[0], 2):
        length = float(np.linalg.norm(half))
        assert length == pytest.approx(1, abs=1e-5) or length == 0


def test_words_of_every_alphabet_are_hashed() -> None:
    for title in ("日本の朝ごはん", "كيف تصنع الخبز", "Как испечь хлеб", "नमस्ते दुनिया"):
        for half in np.split(title_words([title])[0], 2):
            assert np.linalg.norm(half) == pytest.approx(1, abs=1e-5), title


def test_a_title_without_words_has_no_hashed_words() -> None:
    assert not title_words([""]).any()
    words, characters = np.split(title_words(["?!"])[0], 2)
    assert not words.any()
    assert characters.any()


def test_the_bucket_of_a_word_never_changes() -> None:
    """Check the buckets of one title.

    A bucket is the column to which the hash function assigns a word. Stored models have a weight for each bucket, so
    another hash function would make all of these models useless.
    """
    words, characters = np.split(title_words(["Unboxing the new phone"])[0], 2)
    # The title has four words and three pairs of neighbouring words. `signs` maps the bucket of each word and pair to
    # the sign that the hash function gives it.
    signs = {20: -1, 158: -1, 391: 1, 412: -1, 475: 1, 748: 1, 931: -1}
    assert {int(place): int(np.sign(words[place])) for place in np.flatnonzero(words)} == signs
    np.testing.assert_allclose(np.abs(words[list(signs)]), 1 / np.sqrt(7), rtol=1e-6)
    assert np.flatnonzero(characters)[:6].tolist() == [10, 61, 84, 115, 119, 158]


def test_a_title_hashes_the_same_alone_among_others_and_in_another_process() -> None:
    together = title_words(MANY)
    for row, title in enumerate(MANY):
        np.testing.assert_array_equal(title_words([title])[0], together[row])
    code = (
        "from thumblab_core.ranking.title_facts import title_words;"
        "print(title_words(['Cats vs dogs'])[0].nonzero()[0].tolist())"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == str(title_words(["Cats vs dogs"])[0].nonzero()[0].tolist())


@pytest.mark.parametrize("count", [1, 4, 5, 120])
def test_only_titles_that_were_not_used_before_are_hashed_and_all_at_once(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[list[str]] = []

    def hash_and_note(titles: Sequence[str]) -> Any:
        hashed.append(list(titles))
        return sparse_title_words(titles)

    known, new = [f"known {count} {n}" for n in range(count)], [f"new {count} {n}" for n in range(3)]
    monkeypatch.setattr(module, "sparse_title_words", hash_and_note)
    rows = title_words(known)
    again = title_words([new[0], *known, *new, known[0]])
    assert hashed == [known, new]
    np.testing.assert_array_equal(again[1 : count + 1], rows)
    np.testing.assert_array_equal(again, sparse_title_words([new[0], *known, *new, known[0]]).toarray())


def test_a_change_of_an_answer_changes_no_later_answer() -> None:
    first = title_words(["kept title"])
    first[:] = 7
    assert np.abs(title_words(["kept title"])).max() <= 1


def test_the_words_of_a_limited_number_of_titles_are_kept() -> None:
    for start in range(0, 600, 100):
        title_words([f"kept {n}" for n in range(start, start + 100)])
    assert len(module._words) == 256
    assert list(module._words)[-1] == "kept 599"
    assert title_words([f"many {n}" for n in range(300)]).shape == (300, WORDS)
    assert list(module._words)[-1] == "kept 599"


def test_titles_that_share_words_are_similar_with_any_case_and_accents() -> None:
    title, same, near, far = title_words(
        ["Café tour in Paris", "cafe TOUR in paris", "Café tour in Rome", "My new phone"]
    )
    np.testing.assert_allclose(title[:BUCKETS], same[:BUCKETS], atol=1e-6)
    assert title @ near > 3 * abs(title @ far)


def test_word_order_changes_the_features() -> None:
    first, second = title_words(["dog bites man", "man bites dog"])
    assert not np.allclose(first[:BUCKETS], second[:BUCKETS])


FACT = {  # The index of each fact's column.
    "length": 0, "words": 1, "capitals": 2, "shouted words": 3, "digits": 4, "question": 5, "exclamation": 6, "bar": 7,
    "colon": 8, "hash": 9, "dollar": 10, "ampersand": 11, "quotes": 12, "brackets": 13, "dots": 14, "asks": 15, "I": 16,
    "you": 17, "vs": 18, "pictograph": 19,
}  # fmt: skip


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("plain words", set()),
        ("Is it?", {"question", "capitals"}),
        ("wow!", {"exclamation"}),
        ("a | b", {"bar"}),
        ("news: today", {"colon"}),
        ("#one", {"hash"}),
        ("$", {"dollar"}),
        ("salt & pepper", {"ampersand"}),
        ("the “best” one", {"quotes"}),
        ("live (part)", {"brackets"}),
        ("live [part]", {"brackets"}),
        ("wait…", {"dots"}),
        ("wait...", {"dots"}),
        ("how it works", {"asks"}),
        ("showhow", set()),
        ("with my hands", {"I"}),
        ("what your cat wants", {"asks", "you"}),
        ("cats VS dogs", {"vs", "capitals", "shouted words"}),
        ("fire 🔥", {"pictograph"}),
        ("it works ✅", {"pictograph"}),
        ("in time ⏰", {"pictograph"}),
        ("step 1️⃣", {"pictograph", "digits"}),
        ("love ❤️ it", {"pictograph"}),
        ("日本の朝ごはん｜旅", set()),
        ("震惊真相！【完整版】", set()),
        ("충격적인 진실", set()),
        ("ﾊﾝｶｸ ｶﾅ", set()),
        ("ⓐ 𝐛𝐨𝐥𝐝 ™", set()),
        ("일본 🔥", {"pictograph"}),
        ("top 10", {"digits"}),
        ("", set()),
    ],
)
def test_each_fact_is_set_exactly_where_it_applies(title: str, expected: set[str]) -> None:
    assert len(FACT) == FACTS
    facts = title_facts([title])[0]
    assert {name for name, column in FACT.items() if facts[column] > 0} - {"length", "words"} == expected


def test_an_older_version_of_the_facts_can_still_be_computed() -> None:
    titles = ["日本の朝ごはん", "fire 🔥", "plain words"]
    assert title_facts(titles, 1)[:, -1].tolist() == [1, 1, 0]
    assert title_facts(titles)[:, -1].tolist() == [0, 1, 0]


def test_shares_and_lengths_are_computed_from_the_title() -> None:
    facts = title_facts(["TOP 10 Cars ever"])[0]
    expected = [16 / 50, 4 / 10, 4 / 11, 1 / 4, 2 / 16]
    np.testing.assert_allclose(facts[:5], expected, rtol=1e-6)
