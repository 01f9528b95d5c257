"""Write a niche report as one HTML file that can be sent to somebody.

The file loads nothing from outside: it has no script, it contains its pictures, and its content security policy forbids
all requests. All text is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from importlib import resources

from thumblab_core.images import WIDE, ImageError
from thumblab_core.images.small_copy import small_copy
from thumblab_core.niche_report.niche_figures import FLAG, Finding, NicheReport
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.niche_report.report import Made
from thumblab_pipelines.niche_report.sentences import (
    HOW,
    agreement,
    change,
    left_out,
    number,
    outcome,
    rule,
    scope,
    size,
    usual,
)

_WIDTH = 240
"""Width of a picture in pixels. A picture of this width has about 8 KB."""
_QUALITY = 70
_AXIS = (10.0, 330.0)
"""The left and the right end of the axis of a drawing, in units of the drawing."""


@dataclass(frozen=True)
class ShownVideo:
    """A video that is shown as an example. `picture`: its reduced thumbnail as JPEG, or None if the thumbnail cannot be
    read."""

    title: str
    channel: str
    multiple: float
    picture: bytes | None


def shown_videos(lab: Lab, made: Made) -> dict[str, ShownVideo]:
    """Return the videos of all examples by id, with their stored thumbnails."""
    named = {
        video for finding in made.report.findings for pair in finding.examples for video in (pair.winner, pair.other)
    }
    rows = made.videos[made.videos.video_id.isin(named)]
    columns = rows.video_id, rows.title, rows.channel, rows.outlier_multiple.to_numpy(float), rows.sha256
    return {
        str(video_id): ShownVideo(str(title), str(channel), float(multiple), _picture(lab, str(sha256)))
        for video_id, title, channel, multiple, sha256 in zip(*columns, strict=True)
    }


def html(report: NicheReport, videos: Mapping[str, ShownVideo]) -> str:
    """Return the page as HTML. `videos` has the videos of the examples. An example is left out if `videos` lacks one of
    its videos."""
    style = resources.files(__package__).joinpath("page.css").read_text()
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    title = f"What winners in {report.niche} do"
    day = report.made_at.date().isoformat()
    as_of = "" if report.as_of is None else f", from views until {report.as_of.date().isoformat()}"
    articles = "\n".join(_article(finding, videos) for finding in report.findings)
    facts = [scope(report), rule(report), left_out(report)]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
<header>
<h1>{escape(title)}</h1>
<p class="outcome">{escape(outcome(report))}</p>
{"".join(f"<p>{escape(fact)}</p>" for fact in facts if fact)}
</header>
<section class="note">
<h2>What this does not show</h2>
{_list(report.caveats)}
</section>
{articles}
<section>
<h2>How it is measured</h2>
{_list(HOW)}
</section>
<footer>Made by Thumbnail Lab on {day}{as_of}.</footer>
</main>
</body>
</html>
"""


def _article(finding: Finding, videos: Mapping[str, ShownVideo]) -> str:
    changed = change(finding)
    facts = {"Difference": size(finding), "Usual": usual(finding), "Holds": agreement(finding)}
    rows = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    pairs = "".join(
        _pair(videos[pair.winner], videos[pair.other])
        for pair in finding.examples
        if pair.winner in videos and pair.other in videos
    )
    chosen = '<p class="soft">Chosen because they show the difference:</p>'
    return f"""<article>
<p class="part">{escape(finding.part)}</p>
<h2>{escape(finding.words)}</h2>
{_drawing(finding)}
<dl>{rows}</dl>
{f'<p class="change">{escape(changed)}.</p>' if changed else ""}
{f'{chosen}<div class="examples">{pairs}</div>' if pairs else ""}
</article>"""


def _drawing(finding: Finding) -> str:
    """Return a drawing of the share and its interval, on an axis from 0 to 100 %."""
    share = finding.share
    left, right = _AXIS

    def at(value: float) -> str:
        return f"{left + value * (right - left):.1f}"

    middle = at(0.5)
    ends = ("less often", "more often") if finding.kind == FLAG else ("less", "more")
    return f"""<svg viewBox="0 0 340 40" role="img" aria-label="{escape(size(finding))}">
<line class="track" x1="{left}" x2="{right}" y1="14" y2="14"/>
<line class="middle" x1="{middle}" x2="{middle}" y1="3" y2="26"/>
<line class="interval" x1="{at(share.low)}" x2="{at(share.high)}" y1="14" y2="14"/>
<circle class="dot" cx="{at(share.value)}" cy="14" r="6"/>
<text x="{left}" y="37">{ends[0]}</text>
<text x="{middle}" y="37" text-anchor="middle">no difference</text>
<text x="{right}" y="37" text-anchor="end">{ends[1]}</text>
</svg>"""


def _pair(winner: ShownVideo, other: ShownVideo) -> str:
    figures = _figure(winner, "Winner", ' class="won"') + _figure(other, "Other", "")
    return f'<div class="pair"><h3><bdi>{escape(winner.channel)}</bdi></h3>{figures}</div>'


def _figure(video: ShownVideo, role: str, marked: str) -> str:
    if video.picture is None:
        picture = '<div class="nothing">The picture cannot be read.</div>'
    else:
        data = base64.b64encode(video.picture).decode()
        picture = f'<img src="data:image/jpeg;base64,{data}" alt="" width="{_WIDTH}" height="{round(_WIDTH / WIDE)}">'
    caption = f"<b>{role}: {number(video.multiple)} ×</b><bdi>{escape(video.title)}</bdi>"
    return f"<figure{marked}>{picture}<figcaption>{caption}</figcaption></figure>"


def _list(sentences: tuple[str, ...]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"


def _picture(lab: Lab, sha256: str) -> bytes | None:
    """Return a stored thumbnail as a small JPEG, cropped to 16:9 by the same amount on both sides."""
    try:
        return small_copy(lab.images.get(sha256), _WIDTH, _QUALITY)
    except (ImageError, OSError):
        return None
