"""Test that each answer agrees with the release that it names, while other releases are promoted."""

import threading
from typing import Any

import pytest


@pytest.mark.slow
def test_ids_and_facts_are_of_the_named_release_while_releases_change(looked: Any) -> None:
    """Publish five releases, and promote one after the other while four threads send queries.

    Each release lacks seven of the 35 videos, and each video is missing in only one release. The items of a release
    contain the number of the release.
    """
    parts = [[n for n in range(35) if n % 5 != part] for part in range(5)]
    releases = [looked.data.publish(part, release=number + 1) for number, part in enumerate(parts)]
    of = {release.release_id: (number + 1, parts[number]) for number, release in enumerate(releases)}
    answers: list[dict[str, Any]] = []
    failures: list[str] = []
    done = threading.Event()

    def ask(first: int) -> None:
        at = first
        while not done.is_set():
            query = {"video_id": f"v{at % 35}", "niche": "tech", "k": 10, "offset": at % 3, "diversity": (at % 2) * 0.5}
            reply = looked.service.client.get("/v1/similar", params=query)
            if reply.status_code != 200:
                failures.append(reply.text)
            else:
                answers.append(reply.json() | {"of": query["video_id"]})
            at += 4

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    looked.lab.promote(releases[0])
    try:
        for thread in threads:
            thread.start()
        for turn in range(15):
            seen = len(answers)
            looked.lab.promote(releases[turn % 5])
            while len(answers) < seen + 8 and not failures:
                done.wait(0.01)
    finally:
        done.set()
        for thread in threads:
            thread.join()
        looked.lab.promote(looked.release)
    assert not failures, failures[0]
    named = {answer["searched"][0]["release"] for answer in answers} & set(of)
    assert len(named) == 5
    for answer in answers:
        (searched,) = answer["searched"]
        if searched["release"] not in of:  # The first answers may come from the earlier release.
            continue
        number, videos = of[searched["release"]]
        assert answer["total"] == len(videos) - (int(answer["of"][1:]) in videos)
        for item in answer["items"]:
            video = int(item["video_id"][1:])
            assert video in videos
            assert item["video_id"] != answer["of"]
            assert item["views"] == 1_000 * video + number
            assert item["picture_url"].endswith(f"/{number}.jpg")
