"""Write test tables in the form that YouTube Studio gives its exports in each of its languages."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from thumblab_pipelines.owner_ctr.studio_column_names import FIELDS, NAMES

ORDER = ("video", "title", "published", "duration", "views", "watch_hours", "subscribers", "impressions", "rate")
"""The order in which Studio writes the columns by default."""


@dataclass(frozen=True)
class Language:
    """How YouTube Studio writes a table in one language. `names` contains the names of the columns that the lab uses.
    `total` is the word for the total. `number` formats a number with the given number of decimals, and `day` formats a
    date.
    """

    names: Mapping[str, str]
    total: str
    number: Callable[[float, int], str]
    day: Callable[[date], str]


def points(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}"


def english(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}"


def commas(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}".translate(str.maketrans(",.", ".,"))


def spaces(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}".translate(str.maketrans(",.", "\u202f,"))


def indian(value: float, decimals: int) -> str:
    whole, _, rest = f"{value:.{decimals}f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    groups = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)][::-1]
    return ",".join([*groups, tail]) + (f".{rest}" if rest else "")


def months(pattern: str, *names: str) -> Callable[[date], str]:
    """Return a function that formats a date. The month is written as one of the twelve `names`.

    `d`, `m` and `y` in the pattern stand for the day, the month and the year.
    """

    def write(day: date) -> str:
        return pattern.format(d=day.day, m=names[day.month - 1], y=day.year)

    return write


def studio_day(day: date) -> str:
    return f"{day:%b} {day.day}, {day.year}"


def _known(language: str, **missing: str) -> dict[str, str]:
    return {field: names[0] for field, names in NAMES[language].items()} | missing


_ES = months("{d} {m} {y}", *["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"])
_FR = months(
    "{d} {m} {y}", *["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."]
)
_PT = months(
    "{d} de {m}. de {y}", *["jan", "fev", "mar", "abr", "mai", "jun", "jul", "ago", "set", "out", "nov", "dez"]
)
_IT = months("{d} {m} {y}", *["gen", "feb", "mar", "apr", "mag", "giu", "lug", "ago", "set", "ott", "nov", "dic"])
_NL = months("{d} {m} {y}", *["jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec"])
_PL = months("{d} {m} {y}", *["sty", "lut", "mar", "kwi", "maj", "cze", "lip", "sie", "wrz", "paź", "lis", "gru"])
_RU = months(
    "{d} {m} {y} г.",
    *["янв.", "февр.", "мар.", "апр.", "мая", "июн.", "июл.", "авг.", "сент.", "окт.", "нояб.", "дек."],
)
_TR = months("{d} {m} {y}", *["Oca", "Şub", "Mar", "Nis", "May", "Haz", "Tem", "Ağu", "Eyl", "Eki", "Kas", "Ara"])
_HI = months("{d} {m} {y}", *["जन॰", "फ़र॰", "मार्च", "अप्रैल", "मई", "जून", "जुल॰", "अग॰", "सित॰", "अक्टू॰", "नव॰", "दिस॰"])
_ID = months("{d} {m} {y}", *["Jan", "Feb", "Mar", "Apr", "Mei", "Jun", "Jul", "Agu", "Sep", "Okt", "Nov", "Des"])

LANGUAGES = {
    "English": Language(_known("English"), "Total", english, studio_day),
    "German": Language(_known("German"), "Gesamt", commas, lambda day: f"{day:%d.%m.%Y}"),
    "German, as Studio writes it": Language(_known("German"), "Gesamt", points, studio_day),
    "Spanish (Spain)": Language(_known("Spanish (Spain)"), "Total", commas, _ES),
    "Spanish (Latin America)": Language(_known("Spanish (Latin America)"), "Total", english, _ES),
    "Portuguese": Language(_known("Portuguese"), "Total", commas, _PT),
    "French": Language(_known("French"), "Total", spaces, _FR),
    "Italian": Language(
        _known("Italian", title="Titolo video", rate="Percentuale di clic delle impressioni (%)"),
        "Totale",
        commas,
        _IT,
    ),
    "Dutch": Language(
        {
            "video": "Content",
            "title": "Videotitel",
            "published": "Publicatietijd van video",
            "duration": "Duur",
            "views": "Weergaven",
            "watch_hours": "Kijktijd (uren)",
            "impressions": "Vertoningen",
            "rate": "Klikfrequentie van vertoningen (%)",
        },
        "Totaal",
        commas,
        _NL,
    ),
    "Polish": Language(
        {
            "video": "Treść",
            "title": "Tytuł filmu",
            "published": "Czas publikacji filmu",
            "duration": "Czas trwania",
            "views": "Wyświetlenia",
            "watch_hours": "Czas oglądania (w godzinach)",
            "impressions": "Wyświetlenia",
            "rate": "Współczynnik klikalności wyświetleń (%)",
        },
        "Łącznie",
        spaces,
        _PL,
    ),
    "Russian": Language(_known("Russian"), "Итоговое значение", spaces, _RU),
    "Turkish": Language(_known("Turkish"), "Toplam", commas, _TR),
    "Japanese": Language(_known("Japanese"), "合計", english, lambda day: f"{day.year}年{day.month}月{day.day}日"),
    "Korean": Language(_known("Korean"), "합계", english, lambda day: f"{day.year}. {day.month}. {day.day}."),
    "Hindi": Language(
        {
            "video": "कॉन्टेंट",
            "title": "वीडियो का टाइटल",
            "published": "वीडियो पब्लिश होने का समय",
            "duration": "अवधि",
            "views": "व्यू",
            "watch_hours": "देखने का कुल समय (घंटे)",
            "impressions": "इंप्रेशन",
            "rate": "इंप्रेशन पर क्लिक मिलने की दर (%)",
        },
        "कुल",
        indian,
        _HI,
    ),
    "Indonesian": Language(_known("Indonesian"), "Total", commas, _ID),
}
"""The languages of the tests. The Dutch, Polish and Hindi names, and the Italian names of title and rate, are
translations by the authors. YouTube may use other names. The lab recognises these columns by their values.
"""

VIDEOS = [
    {
        "video": f"video_{n:05d}",
        "title": f"Episode {n}, part 2 ✂",
        "published": date(2025, 1, 3) + timedelta(days=29 * n),
        "duration": 30.0 if n % 4 == 3 else 305.0 + 61 * n,
        "views": 1_234.0 * (n + 1) ** 2,
        "watch_hours": 10.1234 * (n + 1) ** 2,
        "subscribers": float(n),
        "impressions": 23_456.0 * (n + 1),
        "rate": 2.05 + 0.37 * n,
    }
    for n in range(15)
]
"""The videos of the table. Their publication dates cover all months of the year."""

_DECIMALS = {"watch_hours": 4, "rate": 2}


def table(language: Language, separator: str = ",", seconds_as_clock: bool = False) -> str:
    """Return a Studio table in the given language, as CSV. The rows of the table are the videos `VIDEOS`."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerow([language.names.get(field, "Subscribers") for field in ORDER])
    sums = {field: sum(video[field] for video in VIDEOS) for field in ORDER[4:-1]}  # type: ignore[misc]
    sums["rate"] = sum(v["impressions"] * v["rate"] for v in VIDEOS) / sums["impressions"]  # type: ignore[operator]
    writer.writerow([language.total, "", "", "", *(language.number(sums[f], _DECIMALS.get(f, 0)) for f in ORDER[4:])])
    for video in VIDEOS:
        length = video["duration"]
        assert isinstance(length, float)
        clock = f"{int(length) // 60}:{int(length) % 60:02d}"
        numbers = [language.number(video[f], _DECIMALS.get(f, 0)) for f in ORDER[4:]]  # type: ignore[arg-type]
        day = video["published"]
        assert isinstance(day, date)
        written = clock if seconds_as_clock else language.number(length, 0)
        writer.writerow([video["video"], video["title"], language.day(day), written, *numbers])
    return out.getvalue()


assert set(FIELDS) >= set(ORDER) - {"subscribers"}
