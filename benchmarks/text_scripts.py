"""Count, for each writing system, how often the text reader recognises that it cannot read a line.

    python -m benchmarks.text_scripts [FOLDER]

The program looks for fonts in FOLDER and in the folders below it. The default is /usr/share/fonts. A writing system
without a font is left out, and the output says so. Debian's packages fonts-noto-core, fonts-nanum and
fonts-droid-fallback have the fonts for all writing systems of this benchmark.

Each line is drawn in three styles: white on a dark background, black on yellow, and yellow with an outline on a blurred
background. Each picture has one of four outcomes:
- *read*: the reader returns a text that is nearly the same as the line;
- *misread*: the reader returns a text that differs clearly from the line;
- *unread*: the reader finds a line, and reports that it cannot read the line;
- *missed*: the reader finds no line.
"""

# ruff: noqa: E501  each row of the table of lines is one writing system

import argparse
import difflib
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from thumblab_core.images import Pixels
from thumblab_core.sub_scores import TextLine
from thumblab_core.sub_scores.text import TextReader

_DEJAVU, _CJK = "DejaVuSans-Bold.ttf", "DroidSansFallback*.ttf"
_LINES: dict[str, tuple[str, tuple[str, ...]]] = {
    "Latin, English": (_DEJAVU, ("THE SHOCKING TRUTH", "How to bake bread", "NEW PHONE 2026", "I was wrong", "SALE", "Top 10 tips")),
    "Latin, accents": (_DEJAVU, ("ŞOK GERÇEKLER", "Nasıl ekmek yapılır", "Jak upiec chleb", "Sự thật gây sốc", "Größte Überraschung", "ÇILGIN")),
    "Chinese": (_CJK, ("震惊真相", "如何烤面包", "新手机评测", "最好的电脑", "千万别这样做", "我错了")),
    "Japanese": (_CJK, ("衝撃の真実", "パンの作り方", "新しいスマホ", "絶対にやるな", "おすすめ十選", "まちがい")),
    "Korean": ("NanumGothicBold.ttf", ("충격적인 진실", "빵 만드는 법", "새로운 휴대폰", "절대 하지 마세요", "최고의 노트북", "내가 틀렸다")),
    "Cyrillic": (_DEJAVU, ("ШОКИРУЮЩАЯ ПРАВДА", "Как испечь хлеб", "НОВЫЙ ТЕЛЕФОН", "Я ошибался", "МОСКВА", "НЕ ДЕЛАЙ ЭТОГО")),
    "Greek": (_DEJAVU, ("Η ΣΟΚΑΡΙΣΤΙΚΗ ΑΛΗΘΕΙΑ", "Πώς να φτιάξεις ψωμί", "ΝΕΟ ΤΗΛΕΦΩΝΟ", "Έκανα λάθος", "Το καλύτερο", "ΜΗΝ ΤΟ ΚΑΝΕΙΣ")),
    "Devanagari": ("NotoSansDevanagari-Bold.ttf", ("चौंकाने वाला सच", "रोटी कैसे बनाएं", "नया फोन", "मैं गलत था", "सबसे अच्छा लैपटॉप", "ऐसा मत करो")),
    "Bengali": ("NotoSansBengali-Bold.ttf", ("চমকপ্রদ সত্য", "রুটি কীভাবে বানাবেন", "নতুন ফোন", "আমি ভুল ছিলাম", "সেরা ল্যাপটপ", "এটা করবেন না")),
    "Tamil": ("NotoSansTamil-Bold.ttf", ("அதிர்ச்சி உண்மை", "ரொட்டி செய்வது எப்படி", "புதிய போன்", "நான் தவறு", "சிறந்த மடிக்கணினி", "இதை செய்யாதே")),
    "Telugu": ("NotoSansTelugu-Bold.ttf", ("షాకింగ్ నిజం", "రొట్టె ఎలా చేయాలి", "కొత్త ఫోన్", "నేను తప్పు", "ఉత్తమ ల్యాప్‌టాప్", "ఇలా చేయకండి")),
    "Thai": ("NotoSansThai-Bold.ttf", ("ความจริงที่น่าตกใจ", "วิธีทำขนมปัง", "โทรศัพท์ใหม่", "ฉันผิดเอง", "แล็ปท็อปที่ดีที่สุด", "อย่าทำแบบนี้")),
    "Arabic": ("NotoSansArabic-Bold.ttf", ("الحقيقة الصادمة", "كيف تصنع الخبز", "هاتف جديد", "كنت مخطئا", "أفضل حاسوب", "لا تفعل هذا")),
    "Hebrew": ("NotoSansHebrew-Bold.ttf", ("האמת המזעזעת", "איך לאפות לחם", "טלפון חדש", "טעיתי", "המחשב הטוב ביותר", "אל תעשו את זה")),
    "Georgian, Armenian": (_DEJAVU, ("სიმართლე ახლა", "ახალი ტელეფონი", "როგორ გამოვაცხოთ", "Ճշմարտություն", "Նոր հեռախոս", "Ինչպես թխել հաց")),
}  # fmt: skip
_READ_FROM = 0.8
"""A reading counts as right if it is at least this similar (0 to 1) to the drawn line of text. The number is below 1,
because the reader may leave out accents.
"""
_OUTCOMES = ("read", "unread", "misread", "missed")


def drawings(font: Path, line: str, seed: int) -> Iterator[Pixels]:
    """Yield three pictures of the text `line` in different styles, uint8 [360, 640, 3] RGB."""
    place, grounds = random.Random(seed), np.random.default_rng(seed)
    blurred = Image.fromarray(grounds.integers(0, 120, (12, 20, 3), np.uint8)).resize(
        (640, 360), Image.Resampling.BICUBIC
    )
    styles = (
        (72, (255, 255, 255), Image.new("RGB", (640, 360), (40, 40, 60)), 0),
        (48, (20, 20, 20), Image.new("RGB", (640, 360), (240, 220, 60)), 0),
        (40, (255, 230, 0), blurred, 3),
    )
    for size, ink, picture, outline in styles:
        at = (place.randint(10, 40), place.randint(30, 200))
        letters = ImageFont.truetype(str(font), size)
        ImageDraw.Draw(picture).text(at, line, ink, letters, stroke_width=outline, stroke_fill="black")
        yield np.asarray(picture)


def outcome(reader: TextReader, picture: Pixels, line: str) -> str:
    """Return the outcome (one of `_OUTCOMES`) when `reader` reads a picture that shows the text `line`."""
    found = reader.read(picture)
    text = "".join(one.text for one in found if isinstance(one, TextLine))
    if not text:
        return "unread" if found else "missed"
    read, drawn = (part.replace(" ", "").casefold() for part in (text, line))
    return "read" if difflib.SequenceMatcher(None, read, drawn).ratio() >= _READ_FROM else "misread"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("/usr/share/fonts"))
    folder = parser.parse_args().folder
    reader, console = TextReader(), Console()
    table = Table("script", "pictures", *_OUTCOMES, box=SIMPLE_HEAD, title="Text drawn in several scripts")
    for name, (pattern, lines) in _LINES.items():
        font = next(iter(sorted(folder.rglob(pattern))), None)
        if font is None:
            console.print(f"{name} is left out: there is no font {pattern} in {folder}")
            continue
        pictures = [(picture, line) for seed, line in enumerate(lines) for picture in drawings(font, line, seed)]
        counts = Counter(outcome(reader, picture, line) for picture, line in pictures)
        table.add_row(name, str(len(pictures)), *(str(counts[one]) for one in _OUTCOMES))
    console.print(table)


if __name__ == "__main__":
    main()
