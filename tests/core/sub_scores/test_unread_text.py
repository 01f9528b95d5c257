"""Test the engines of the text reader, and text in a picture that the text reader cannot read.

Text that cannot be read still counts for the legibility of the picture, but it is not compared with the title.
"""

from importlib.resources import files

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from thumblab_core.encoders.load import title_encoder
from thumblab_core.images import Pixels
from thumblab_core.sub_scores import Box, Meter, TextLine, Title, UnreadLine, text
from thumblab_core.sub_scores.explanations import explain
from thumblab_core.sub_scores.layout import legibility
from thumblab_core.sub_scores.scripts import is_misread
from thumblab_core.sub_scores.title_match import doubtful, latin

FONT = str(files("matplotlib") / "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf")
FOREIGN = [
    "ШОКИРУЮЩАЯ ПРАВДА",
    "Как испечь хлеб",
    "НОВЫЙ ТЕЛЕФОН",
    "كيف تصنع الخبز",
    "هاتف جديد",
    "האמת המזעזעת",
    "სიმართლე ახლა",
    "Ճշմարտություն",
    "ΝΕΟ ΤΗΛΕΦΩΝΟ",
    "Πώς να φτιάξεις ψωμί",
    "טלפון חדש",
]


@pytest.fixture(scope="module")
def meter() -> Meter:
    return Meter(None, title_encoder("minilm"))


def written(*lines: str, size: int = 48, ink: tuple[int, int, int] = (255, 255, 255), ground: int = 40) -> Pixels:
    picture = Image.new("RGB", (640, 360), (ground, ground, ground + 20))
    draw, font = ImageDraw.Draw(picture), ImageFont.truetype(FONT, size)
    for row, line in enumerate(lines):
        draw.text((30, 60 + 2 * size * row), line, font=font, fill=ink)
    return np.asarray(picture)


@pytest.mark.parametrize("text", FOREIGN)
def test_text_in_another_alphabet_is_detected_as_unread(meter: Meter, text: str) -> None:
    measurement = meter.measure(written(text, size=56), Title("Something in English"))
    assert measurement.evidence.texts == ()
    (line,) = measurement.evidence.unread
    assert 0.7 < line.letters / len(text.replace(" ", "")) < 1.6
    match = measurement.scores["title_match"]
    assert match.value is None
    assert "text was found that this reader cannot read" in match.reason
    assert measurement.evidence.legibility is not None
    assert "text that this reader cannot read" in measurement.scores["hierarchy"].reason


def test_look_alike_letters_are_unread_under_a_title_in_their_alphabet(meter: Meter) -> None:
    picture = written("МОСКВА")  # The text reader reads this as the Latin letters MOCKBA, with high confidence.
    measurement = meter.measure(picture, Title("Москва за три дня"))
    assert measurement.evidence.texts == ()
    assert len(measurement.evidence.unread) == 1
    assert measurement.scores["title_match"].value is None
    assert "MOCKBA" not in measurement.scores["hierarchy"].reason


@pytest.mark.parametrize(
    ("text", "confidence", "title", "expected"),
    [
        ("MOCKBA", 1.0, "Москва за три дня", True),
        ("TO KOHEL", 0.9, "Это конец", True),
        ("iPhone 15 Pro", 0.99, "Новый iPhone 15 Pro", False),
        ("MOCKBA", 1.0, "Three days in Moscow", False),
        ("THE END", 0.99, "震惊真相", False),
        ("THE END", 0.9, "🔥 The end?!", False),
    ],
)
def test_a_line_is_doubtful_depending_on_the_alphabet_of_the_title(
    text: str, confidence: float, title: str, expected: bool
) -> None:
    assert doubtful(TextLine(Box(0, 0, 0.5, 0.1), text, confidence, 9.0), title) is expected


@pytest.mark.parametrize(
    ("reading", "confidence", "expected"),
    [
        ("H ΣOKAPIΣTIKH", 0.995, True), ("να φτιξει", 0.81, True), ("on7 nix7", 0.81, True), ("UTn 11970", 0.9, True),
        ("n nx 1uvn 7x", 0.81, True), ("uuñəua", 0.88, True), ("Əla qiymət", 0.97, False), ("5 Ω resistor", 0.9, False),
        ("iPhone 15 Pro", 0.85, False), ("MP3 vs 4K", 0.85, False), ("100km/h", 0.85, False), ("2nd place", 0.85, False),
        ("Größte Überraschung", 0.85, False), ("Sự thật gây sốc", 0.85, False), ("震惊真相", 0.85, False),
        ("パンの作り方", 0.85, False), ("mp3 player", 0.99, False), ("様々な人々", 0.99, False),
        ("NFTs", 0.94, False), ("TVs", 0.65, False), ("CEOs", 0.94, False), ("5 GHz", 0.9, False), ("20 MWh", 0.9, False),
        ("iPhone15", 0.94, False), ("Top 10min", 0.94, False), ("mp3", 0.86, False), ("web3", 0.86, False),
        ("100days", 0.86, False), ("mp3", 0.84, True), ("UTn", 0.94, True),
        ("10º vs 20º", 0.99, False), ("1ª y 2ª parte", 0.99, False), ("〆切は〆日", 0.85, False),
    ],
)  # fmt: skip
def test_a_reading_of_another_script_is_recognised_by_its_letters(
    reading: str, confidence: float, expected: bool
) -> None:
    assert is_misread(reading, confidence) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Überraschung: 10 Tipps!", True), ("𝐁𝐨𝐥𝐝 words", True), ("42 🔥", True), ("Sự thật gây sốc", True),
        ("震惊真相", False), ("Новый iPhone", False), ("日本の朝ごはん", False), ("كيف تصنع الخبز", False),
    ],
)  # fmt: skip
def test_latin_text_is_recognised_by_its_letters(text: str, expected: bool) -> None:
    assert latin(text) is expected


@pytest.mark.parametrize("title", ["震惊真相", "Шокирующая правда", "日本の朝ごはん"])
def test_a_title_in_another_alphabet_is_not_compared_with_text(meter: Meter, title: str) -> None:
    match = meter.measure(written("HELLO THERE"), Title(title)).scores["title_match"]
    assert match.value is None
    assert match.reason


def test_read_text_is_compared_where_only_a_little_is_unread(meter: Meter) -> None:
    measurement = meter.measure(written("BEST CAMERA PHONE", "ИГРА"), Title("The best camera phone"))
    assert [line.text for line in measurement.evidence.texts or ()] == ["BEST CAMERA PHONE"]
    assert len(measurement.evidence.unread) == 1
    assert measurement.evidence.title_match_by == "text"


def test_texture_is_not_detected_as_text(meter: Meter) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (180, 320, 3), np.uint8)
    for picture in (noise, np.full((180, 320, 3), 90, np.uint8)):
        measurement = meter.measure(picture, Title("a title"))
        assert (measurement.evidence.texts, measurement.evidence.unread) == ((), ())
        assert "no readable text" in measurement.scores["title_match"].reason


def test_unread_text_counts_for_legibility_and_badge_overlap(meter: Meter) -> None:
    small, large = UnreadLine(Box(0.1, 0.1, 0.5, 0.05), 3.5, 21.0), UnreadLine(Box(0.1, 0.1, 0.5, 0.2), 14.0, 21.0)
    assert legibility([small]) == 0
    assert legibility([large]) == 1
    picture = Image.fromarray(written())
    ImageDraw.Draw(picture).text((535, 310), "ИГРАТЬ", font=ImageFont.truetype(FONT, 22), fill="white")
    measurement = meter.measure(np.asarray(picture))
    assert len(measurement.evidence.unread) == 1
    assert measurement.evidence.badge_overlap > 0.3
    assert "length badge" in measurement.scores["hierarchy"].reason


def test_text_goes_with_a_title_only_if_it_matches_this_title_better_than_other_titles(meter: Meter) -> None:
    picture = written("BEST CAMERA PHONE", size=40)
    own, other, nonsense = (
        meter.measure(picture, Title(title)).scores["title_match"]
        for title in ("The best camera phone", "Pasta with lemon", "asdf")
    )
    assert "goes with the title" in own.reason
    for score in (other, nonsense):
        assert not score.reason.endswith(" goes with the title")
    evidence = meter.measure(picture, Title("The best camera phone")).evidence
    assert "may or may not go with the title" in explain("title_match", 0.07, evidence, weak=False).reason
    assert "shares little" in explain("title_match", 0.0, evidence, weak=True).reason


def test_with_a_text_tower_the_reason_says_that_a_good_match_was_not_measured(meter: Meter) -> None:
    picture = np.array([1, 0], np.float32)
    for cosine in (0.15, 0.24, 0.4):
        title = np.array([cosine, np.sqrt(1 - cosine**2)], np.float32)
        match = meter.measure(written("HELLO"), Title("hello", picture, title)).scores["title_match"]
        assert "not measured" in match.reason


@pytest.mark.parametrize("height", [7.6, 7.96, 7.4, 4.1])
def test_the_height_of_small_text_is_rounded_down(meter: Meter, height: float) -> None:
    evidence = meter.measure(written("HELLO")).evidence
    line = TextLine(Box(0.1, 0.1, 0.4, 0.1), "HELLO", 0.99, height, 21.0)
    small = type(evidence)(**{**vars(evidence), "texts": (line,), "unread": (), "legibility": 0.4})
    hierarchy = explain("hierarchy", 0.5, small)
    assert f"is {int(10 * height) / 10:.1f} px high" in hierarchy.reason
    assert "at least 8 px" in (hierarchy.fix or "")


def test_low_contrast_is_named_where_it_makes_text_unreadable(meter: Meter) -> None:
    faint = meter.measure(written("LARGE WORDS", size=72, ink=(70, 70, 90)))
    (line,) = faint.evidence.texts or faint.evidence.unread
    assert line.contrast < 2
    hierarchy = faint.scores["hierarchy"]
    assert f"has a contrast of {int(10 * line.contrast) / 10:.1f} to 1" in hierarchy.reason
    assert "3 to 1" in (hierarchy.fix or "")
    strong = meter.measure(written("LARGE WORDS", size=72)).scores["hierarchy"]
    assert "contrast" not in strong.reason


def test_only_one_thread_of_one_process_uses_an_engine_and_later_readers_use_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    side = 96  # No other test detects text in pictures of this size.
    with text._borrowed(side) as first, text._borrowed(side) as second:
        assert first is not second
    with text._borrowed(side) as again:
        assert again in (first, second)
    monkeypatch.setattr(text.os, "getpid", lambda: 0)  # Imitate a forked process, which has inherited the engines.
    with text._borrowed(side) as own:
        assert own not in (first, second)
