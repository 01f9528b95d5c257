"""The last step of the demo. The scoring service ranks the candidates, and the ranking is compared with the truth."""

from typing import TYPE_CHECKING, Any

from rich.console import Console

from thumblab_cli.demo.candidates import DemoThumbnail
from thumblab_cli.printing.tables import table
from thumblab_core.errors import LabError

if TYPE_CHECKING:
    from thumblab_core.settings import Settings


def rank_candidates(console: Console, url: str, settings: "Settings", candidates: list[DemoThumbnail]) -> None:
    """Print how the service at `url` ranks the candidates, and which candidate is truly the best.

    The pictures stay in the subfolder `candidates` of the data folder.
    """
    folder = settings.data_dir / "candidates"
    folder.mkdir(exist_ok=True)
    for candidate in candidates:
        (folder / candidate.name).with_suffix(".jpg").write_bytes(candidate.image)
    answer = _answer(url, settings, candidates)
    by_name = {candidate.name: candidate for candidate in candidates}
    columns = ("rank", "thumbnail", "score", "wins", "similarity", candidates[0].truth_name)
    title = f"POST /v1/score: “{candidates[0].title}” in {candidates[0].niche}"
    ranking = table(*columns, words=("thumbnail",), title=title)
    for item in sorted(answer["thumbnails"], key=lambda item: item["rank"] or len(candidates) + 1):
        ranking.add_row(
            str(item["rank"] or "—"),
            item["id"],
            "—" if item["score"] is None else f"{item['score']:.0f}",
            "—" if item["win_probability"] is None else f"{item['win_probability']:.0%}",
            f"{item['similarity_score']:.0f} %",
            by_name[item["id"]].truth,
        )
    console.print(ranking)
    best = max(candidates, key=lambda candidate: candidate.truth_value)
    verdict = answer["verdict"].replace("_", " ")
    if answer["winner"] is None:
        console.print(f"No winner ({verdict}); the thumbnail that is really the best is {best.name}.")
    else:
        truth = "which is the truth" if answer["winner"] == best.name else f"where the truth is {best.name}"
        console.print(f"Winner: {answer['winner']} ({verdict}), {truth}.")
    for sentence in answer["degraded"]:
        console.print(f"degraded: {sentence}")


def _answer(url: str, settings: "Settings", candidates: list[DemoThumbnail]) -> dict[str, Any]:
    import base64

    import httpx

    from thumblab_core.keys.generated_key import api_key

    body = {
        "title": candidates[0].title,
        "category": candidates[0].niche,
        "thumbnails": [{"id": c.name, "image_base64": base64.b64encode(c.image).decode()} for c in candidates],
    }
    headers = {"X-API-Key": api_key(settings)}
    # The timeout is long because the first request has to wait until the encoders and the model are loaded.
    reply = httpx.post(f"{url}/v1/score", json=body, headers=headers, timeout=120, trust_env=False)
    if reply.status_code != httpx.codes.OK:
        raise LabError(f"the scoring service answered {reply.status_code}: {reply.text[:300]}")
    answer: dict[str, Any] = reply.json()
    return answer
