"""List how YouTube Studio names the columns of a table in each language.

docs/own-channel.md gives the source of each name. Only names from a real export, or from public text about real
exports, are listed. `studio_shape.py` recognises any other column by its values.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

VIDEO, TITLE, PUBLISHED, DURATION = "video", "title", "published", "duration"
VIEWS, WATCH_HOURS, IMPRESSIONS, RATE = "views", "watch_hours", "impressions", "rate"
SHOWN_IN_FEED, STAYED = "shown_in_feed", "stayed"

FIELDS = {
    VIDEO: "Content",
    TITLE: "Video title",
    PUBLISHED: "Video publish time",
    DURATION: "Duration",
    VIEWS: "Views",
    WATCH_HOURS: "Watch time (hours)",
    IMPRESSIONS: "Impressions",
    RATE: "Impressions click-through rate (%)",
    SHOWN_IN_FEED: "Shown in feed",
    STAYED: "Stayed to watch (%)",
}
"""The lab's names of the columns that it uses, each with the name in present English exports."""

ENGLISH = "English"

NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    ENGLISH: {
        VIDEO: ("Content", "Video", "Video ID"),
        TITLE: ("Video title",),
        PUBLISHED: ("Video publish time",),
        DURATION: ("Duration", "Video duration", "Video length"),
        VIEWS: ("Views",),
        WATCH_HOURS: ("Watch time (hours)",),
        IMPRESSIONS: ("Impressions", "Thumbnail impressions"),
        RATE: (
            "Impressions click-through rate (%)",
            "Thumbnail impressions click-through rate (%)",
            "Thumbnail click-through rate (%)",
        ),
        SHOWN_IN_FEED: ("Shown in feed",),
        STAYED: ("Viewed (vs. swiped away) (%)", "Stayed to watch (%)"),
    },
    "German": {
        VIDEO: ("Inhalt", "Inhalte", "Video", "Videos"),
        TITLE: ("Videotitel",),
        PUBLISHED: ("Veröffentlichungszeitpunkt des Videos",),
        DURATION: ("Dauer",),
        VIEWS: ("Aufrufe",),
        WATCH_HOURS: ("Wiedergabezeit (Stunden)",),
        IMPRESSIONS: ("Impressionen", "Thumbnail-Impressionen"),
        RATE: ("Klickrate der Impressionen (%)", "Thumbnail-Klickrate (%)"),
    },
    "Spanish (Spain)": {
        VIDEO: ("Contenido",),
        TITLE: ("Título del vídeo",),
        PUBLISHED: ("Hora de publicación del vídeo",),
        DURATION: ("Duración",),
        VIEWS: ("Visualizaciones",),
        WATCH_HOURS: ("Tiempo de visualización (horas)",),
        IMPRESSIONS: ("Impresiones",),
        RATE: ("Porcentaje de clics de las impresiones (%)",),
    },
    "Spanish (Latin America)": {
        VIDEO: ("Contenido",),
        TITLE: ("Título del video",),
        PUBLISHED: ("Tiempo de publicación del video", "Hora de publicación del video"),
        DURATION: ("Duración",),
        VIEWS: ("Vistas",),
        WATCH_HOURS: ("Tiempo de reproducción (horas)",),
        IMPRESSIONS: ("Impresiones", "Impresiones de miniaturas"),
        RATE: ("Tasa de clics de las impresiones (%)", "Tasa de clics de las miniaturas (%)"),
        STAYED: ("Se quedaron para mirar (%)",),
    },
    "Portuguese": {
        VIDEO: ("Conteúdo",),
        TITLE: ("Título do vídeo",),
        PUBLISHED: ("Horário de publicação do vídeo",),
        DURATION: ("Duração",),
        VIEWS: ("Visualizações",),
        WATCH_HOURS: ("Tempo de exibição (horas)",),
        IMPRESSIONS: ("Impressões",),
        RATE: ("Taxa de cliques de impressões (%)",),
    },
    "French": {
        VIDEO: ("Contenu",),
        TITLE: ("Titre de la vidéo",),
        PUBLISHED: ("Heure de publication de la vidéo",),
        DURATION: ("Durée",),
        VIEWS: ("Vues",),
        WATCH_HOURS: ("Durée de visionnage (heures)",),
        IMPRESSIONS: ("Impressions",),
        RATE: ("Taux de clics par impression (%)",),
        STAYED: ("Ont continué de regarder (%)",),
    },
    "Italian": {
        VIDEO: ("Contenuti",),
        PUBLISHED: ("Ora pubblicazione video",),
        DURATION: ("Durata",),
        VIEWS: ("Visualizzazioni",),
        WATCH_HOURS: ("Tempo di visualizzazione (ore)",),
        IMPRESSIONS: ("Impressioni",),
        STAYED: ("Ha continuato a guardare (%)",),
    },
    "Russian": {
        VIDEO: ("Контент",),
        TITLE: ("Название видео",),
        PUBLISHED: ("Время публикации видео",),
        DURATION: ("Продолжительность",),
        VIEWS: ("Просмотры",),
        WATCH_HOURS: ("Время просмотра (часы)",),
        IMPRESSIONS: ("Показы", "Показы значков видео"),
        RATE: ("CTR для значков видео (%)",),
        STAYED: ("Продолжили смотреть (%)",),
    },
    "Turkish": {
        VIDEO: ("İçerik",),
        TITLE: ("Video başlığı",),
        PUBLISHED: ("Videonun yayınlanma tarihi",),
        DURATION: ("Süre",),
        VIEWS: ("Görüntüleme",),
        WATCH_HOURS: ("İzlenme süresi (saat)",),
        IMPRESSIONS: ("Gösterimler",),
        RATE: ("Gösterim tıklama oranı (%)",),
    },
    "Japanese": {
        VIDEO: ("コンテンツ",),
        TITLE: ("動画のタイトル",),
        PUBLISHED: ("動画公開時刻",),
        DURATION: ("長さ",),
        VIEWS: ("視聴回数",),
        WATCH_HOURS: ("総再生時間（単位: 時間）",),
        IMPRESSIONS: ("インプレッション数",),
        RATE: ("インプレッションのクリック率 (%)",),
        STAYED: ("視聴を継続 (%)",),
    },
    "Korean": {
        VIDEO: ("콘텐츠", "동영상"),
        TITLE: ("동영상 제목",),
        PUBLISHED: ("동영상 게시 시간",),
        DURATION: ("길이",),
        VIEWS: ("조회수",),
        WATCH_HOURS: ("시청 시간(단위: 시간)",),
        IMPRESSIONS: ("노출수",),
        RATE: ("노출 클릭률 (%)",),
    },
    "Indonesian": {
        VIDEO: ("Konten",),
        TITLE: ("Judul video",),
        PUBLISHED: ("Waktu publikasi video",),
        DURATION: ("Durasi",),
        VIEWS: ("Penayangan",),
        WATCH_HOURS: ("Waktu tonton (jam)",),
        IMPRESSIONS: ("Tayangan",),
        RATE: ("Rasio klik-tayang dari tayangan (%)",),
    },
}
"""The names of the columns by language. Dutch, Polish and Hindi are missing, because no source for their names was
found. The columns of Dutch, Polish and Hindi tables are recognised by their values."""

TOTALS = {"total", "gesamt", "totale", "toplam", "合計", "합계", "итого", "итоговое значение"}
"""The first cell of the row of totals in each known language, case-folded."""

INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
"""Regular expression for soft hyphens, zero-width characters, direction marks and byte order marks."""


def normalized(name: str) -> str:
    """Return a column name in the form that is used for comparisons.

    The result is case-folded and has single spaces. Invisible characters and ` (%)` at the end are removed.
    """
    visible = unicodedata.normalize("NFKC", INVISIBLE.sub("", name)).casefold().strip("\"' ")
    return " ".join(visible.removesuffix("(%)").split())


@cache
def field_of(name: str) -> str | None:
    """Return the lab's name for a column, or None if the column is not known.

    `name`: the normalised name of the column, in any language of `NAMES`.
    """
    return _fields().get(name)


def language_of(names: set[str]) -> str | None:
    """Return the language to which most of the column names in `names` belong. Return None if no name is known."""
    matches = {language: len(names & _names_of(language)) for language in NAMES}
    language = max(matches, key=lambda language: matches[language])
    return language if matches[language] else None


@cache
def _fields() -> dict[str, str]:
    return {normalized(name): field for fields in NAMES.values() for field, names in fields.items() for name in names}


@cache
def _names_of(language: str) -> frozenset[str]:
    return frozenset(normalized(name) for names in NAMES[language].values() for name in names)
