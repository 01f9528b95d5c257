"""Tests of changed thumbnails and titles.

Training uses the thumbnail and the title that a video showed while its views were counted.
"""

import io
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import delete, insert, text, update

from thumblab_core.database.tables import channels, thumbnail_versions, video_reach, video_stats, videos, views_at_age
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.load import image_encoder, title_encoder
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.images import decode, digest
from thumblab_core.images.perceptual import perceptual_hash
from thumblab_core.releases.release import Release
from thumblab_pipelines.channels import adapter_videos
from thumblab_pipelines.channels.adapter_videos import encode_channel_videos, read_channel_videos
from thumblab_pipelines.dataset.corpus import exclude, read_corpus
from thumblab_pipelines.dataset.snapshot import read_snapshot
from thumblab_pipelines.features import check_vectors
from thumblab_pipelines.features import embed as embed_step
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.features.encoding import delete_encoding_failures
from thumblab_pipelines.features.stored_vectors import read_vectors, stored_vectors_query
from thumblab_pipelines.features.views_at_age import compute_views_at_age
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.retention.expiry import shorten_histories
from thumblab_pipelines.videos.versions import Shown, Unchanged, first_versions_query, record

PUBLISHED = datetime(2026, 9, 1, tzinfo=UTC)


def after(hours: float) -> datetime:
    return PUBLISHED + timedelta(hours=hours)


def drawn(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 16, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((320, 180), Image.Resampling.BILINEAR).save(file, "JPEG")
    return file.getvalue()


OLD, NEW, OTHER = drawn(1), drawn(2), drawn(3)


class Changing:
    """A lab with three videos of one channel, each counted at the ages of 30 and 200 hours.

    The video `picture` changes its picture and title. `title` changes only its title, and `same` changes nothing.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        facts = {"niche": "tech", "channel_id": "c", "published_at": PUBLISHED, "duration_s": 600, "aspect_ratio": 1.78}
        more_facts = {"tags": [], "source": "catalogue", "refreshed_at": PUBLISHED, "format": "video"}
        names = ("picture", "title", "same")
        with lab.engine.begin() as connection:
            connection.execute(insert(channels).values(channel_id="c", title="c"))
            connection.execute(
                insert(videos), [{"video_id": n, "title": f"The old {n}", **facts, **more_facts} for n in names]
            )
            connection.execute(
                insert(video_stats),
                [
                    {"video_id": name, "observed_at": after(age), "view_count": 100 * age, "era": "playback_start"}
                    for name in names
                    for age in (30, 200)
                ],
            )
            connection.execute(
                insert(views_at_age),
                [
                    {"video_id": n, "age_hours": age, "views": 90 * age, "era": "playback_start"}
                    | {"before_hours": age, "after_hours": age}
                    for n in names
                    for age in (24, 168)
                ],
            )
            record(
                connection, [self.shown(name, 20, data) for name, data in zip(names, (OLD, OTHER, NEW), strict=True)]
            )
            record(connection, [Unchanged(name, after(50)) for name in names])
            connection.execute(update(videos).where(videos.c.video_id == "title").values(title="The new title"))
            connection.execute(update(videos).where(videos.c.video_id == "picture").values(title="The new picture"))
            record(
                connection,
                [self.shown("picture", 100, NEW), Unchanged("title", after(100)), Unchanged("same", after(100))],
            )

    def shown(self, name: str, hours: float, data: bytes) -> Shown:
        self.lab.images.put(data)
        pixels = decode(data).pixels
        return Shown(name, after(hours), digest(data), 320, 180, perceptual_hash(pixels))


@pytest.fixture
def changing(open_lab: Callable[..., Lab]) -> Changing:
    return Changing(open_lab())


def encoders(lab: Lab) -> tuple[str, str]:
    return image_encoder(lab.settings).fingerprint, title_encoder(lab.settings.title_encoder).fingerprint


def test_a_training_row_holds_the_version_shown_while_its_views_were_counted(changing: Changing) -> None:
    corpus = read_corpus(changing.lab, "i", "t").set_index("video_id")
    assert corpus.sha256.to_dict() == {"picture": digest(OLD), "title": digest(OTHER), "same": digest(NEW)}
    assert corpus.title.to_dict() == {name: f"The old {name}" for name in ("picture", "title", "same")}
    # The counts at 30 hours are from before the change. The counts at 200 hours are from after the change.
    assert corpus.views.to_dict() == {"picture": 3_000, "title": 3_000, "same": 20_000}
    assert corpus.age_hours.to_dict() == {"picture": 30, "title": 30, "same": 200}
    assert corpus.views_at_24.to_dict() == dict.fromkeys(("picture", "title", "same"), 90 * 24)
    assert corpus.views_at_168[["picture", "title"]].isna().all()
    assert corpus.views_at_168["same"] == 90 * 168


def test_views_at_an_age_are_unknown_if_a_count_behind_them_is_from_after_the_change(changing: Changing) -> None:
    lab = changing.lab
    with lab.engine.begin() as connection:
        counts = [
            {"video_id": name, "observed_at": after(age), "view_count": 100 * age, "era": "playback_start"}
            for name in ("picture", "title")
            for age in (160, 184)
        ]
        connection.execute(insert(video_stats), counts)
        versions = thumbnail_versions.c
        later = update(thumbnail_versions).where(versions.first_seen == after(100))
        connection.execute(later.values(first_seen=after(190), last_seen=after(190)))
        for name, last_seen in (("picture", 170), ("title", 184)):
            first = (versions.video_id == name) & (versions.first_seen == after(20))
            connection.execute(update(thumbnail_versions).where(first).values(last_seen=after(last_seen)))
    compute_views_at_age(lab, "tech")
    corpus = read_corpus(lab, "i", "t").set_index("video_id")
    # The views at 168 hours are interpolated between the counts at 160 and 184 hours. The video `picture` was last seen
    # with its first picture at 170 hours, so its count at 184 hours may contain views of the new picture.
    assert (corpus.age_hours["picture"], corpus.age_hours["title"]) == (160, 184)
    assert np.isnan(corpus.views_at_168["picture"])
    assert 16_000 < corpus.views_at_168["title"] < 18_400


def test_a_rate_is_unused_from_the_last_day_of_the_first_version_on_in_utc(
    changing: Changing, use_time_zone: Callable[[Lab, str], None]
) -> None:
    # The first version was last seen on 3 September at 02:00 in UTC. In Honolulu, this is still 2 September.
    use_time_zone(changing.lab, "Pacific/Honolulu")
    rate = {"source": "studio", "impressions": 100, "click_through_rate": 0.05, "imported_at": after(60)}
    for day, is_used in ((date(2026, 9, 2), True), (date(2026, 9, 3), False)):
        with changing.lab.engine.begin() as connection:
            connection.execute(delete(video_reach))
            connection.execute(insert(video_reach).values(video_id="picture", day=day, **rate))
        corpus = read_corpus(changing.lab, "i", "t").set_index("video_id")
        assert bool(np.isfinite(corpus.click_through_rate["picture"])) == is_used


def test_earlier_versions_have_their_own_vectors_and_are_encoded_once(changing: Changing) -> None:
    lab = changing.lab
    image, title = encoders(lab)
    embedded = embed(lab, "tech")
    # `earlier` counts one picture and two titles, which videos showed before they were changed.
    assert (embedded.images, embedded.titles, embedded.earlier) == (3, 3, 3)
    again = embed(lab, "tech")
    assert (again.images, again.titles, again.earlier) == (0, 0, 0)
    corpus = read_corpus(lab, image, title)
    assert corpus.encoded.all()
    snapshot, available = read_snapshot(lab, corpus, image, title)
    assert available.all()
    expected = image_encoder(lab.settings).encode_images([decode(data).pixels for data in (OLD, NEW, OTHER)])
    by_name = dict(zip(corpus.video_id, snapshot.images, strict=True))
    for name, vector in zip(("picture", "same", "title"), expected, strict=True):
        np.testing.assert_allclose(by_name[name], vector, atol=1e-5)
    words = title_encoder(lab.settings.title_encoder).encode_texts(corpus.title.tolist())
    np.testing.assert_allclose(snapshot.titles, words, atol=1e-5)
    # The library still uses the vector of the current picture.
    now, _ = read_vectors(lab, ["picture"], [digest(NEW)], image)
    np.testing.assert_allclose(now[0], expected[1], atol=1e-5)


def test_a_new_title_alone_is_a_new_version_but_not_a_thumbnail_swap(changing: Changing) -> None:
    with changing.lab.engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT video_id, title, sha256, first_seen, last_seen FROM thumbnail_versions ORDER BY video_id, first_seen"
            )
        ).all()
        swaps = connection.execute(text("SELECT video_id FROM thumbnail_changes")).scalars().all()
    versions = [(row.video_id, row.title, row.first_seen, row.last_seen) for row in rows]
    assert versions == [
        ("picture", "The old picture", after(20), after(50)),
        ("picture", "The new picture", after(100), after(100)),
        ("same", "The old same", after(20), after(100)),
        ("title", "The old title", after(20), after(50)),
        ("title", "The new title", after(100), after(100)),
    ]
    assert swaps == ["picture"]


def test_a_channel_adapter_uses_the_versions_shown_while_views_were_counted(changing: Changing) -> None:
    lab = changing.lab
    model = model_of(lab)
    assert encode_channel_videos(lab, "c", model) == 6
    assert encode_channel_videos(lab, "c", model) == 0
    channel_videos, left_out = read_channel_videos(lab, "c", model)
    assert left_out == {}
    channel_videos = channel_videos.set_index("video_id")
    assert channel_videos.sha256.to_dict() == {"picture": digest(OLD), "title": digest(OTHER), "same": digest(NEW)}
    assert channel_videos.title["picture"] == "The old picture"
    assert channel_videos.views.to_dict() == {"picture": 3_000, "title": 3_000, "same": 20_000}


def model_of(lab: Lab) -> Release:
    image, title = encoders(lab)
    info = {"image_encoder": image, "title_encoder": title}
    return Release("model", "all", "m", lab.settings.data_dir, "", None, info, {})


def test_a_video_whose_first_versions_were_deleted_is_excluded_and_counted(
    changing: Changing,
) -> None:
    lab = changing.lab
    with lab.engine.begin() as connection:
        connection.execute(update(videos).values(source="youtube"))
        shorten_histories(connection, "tech", after(60))
    for _ in range(2):
        kept, excluded = exclude(read_corpus(lab, "i", "t").assign(encoded=True), only_opted_in=False)
        assert kept.video_id.tolist() == ["same"]
        assert excluded["what it showed first is not kept"] == 2
        assert read_channel_videos(lab, "c", model_of(lab))[1] == {
            "what it showed first is not kept": 2,
            "not encoded": 1,
        }
        with lab.engine.begin() as connection:  # After another change of the thumbnail, the counts must stay the same.
            record(connection, [changing.shown("picture", 300, OTHER)])
            shorten_histories(connection, "tech", after(250))


def test_a_changed_title_ends_the_first_version_before_the_picture_is_fetched_again(
    changing: Changing,
) -> None:
    lab = changing.lab
    with lab.engine.begin() as connection:
        connection.execute(update(videos).where(videos.c.video_id == "same").values(title="The new same"))
    row = read_corpus(lab, "i", "t").set_index("video_id").loc["same"]
    assert (row.title, row.views) == ("The old same", 3_000)


def test_the_second_of_two_titles_at_the_same_moment_replaces_the_first(changing: Changing) -> None:
    lab = changing.lab
    with lab.engine.begin() as connection:
        # At 100 hours, each of the two videos gets a new title. The earlier title of the video `title` was first seen
        # at 100 hours too, so the new title replaces it. The earlier title of the video `same` was first seen at 20
        # hours, so the new title makes a new version.
        connection.execute(update(videos).where(videos.c.video_id != "picture").values(title="Corrected"))
        for _ in range(2):
            record(connection, [Unchanged("title", after(100)), Unchanged("same", after(100))])
        rows = connection.execute(
            text(
                "SELECT video_id, title FROM thumbnail_versions WHERE video_id <> 'picture' ORDER BY video_id, first_seen"
            )
        ).all()
    versions = [tuple(row) for row in rows]
    assert versions == [
        ("same", "The old same"),
        ("same", "Corrected"),
        ("title", "The old title"),
        ("title", "Corrected"),
    ]


def test_a_video_that_changed_before_its_first_count_is_excluded_and_counted(changing: Changing) -> None:
    lab = changing.lab
    before = read_corpus(lab, "i", "t").set_index("video_id").loc[["same"]]
    with lab.engine.begin() as connection:
        of_picture = (video_stats.c.video_id == "picture") & (video_stats.c.observed_at < after(50))
        connection.execute(delete(video_stats).where(of_picture | (video_stats.c.video_id == "title")))
        connection.execute(update(thumbnail_versions).where(thumbnail_versions.c.video_id == "title").values(title="t"))
        connection.execute(update(videos).where(videos.c.video_id == "title").values(title="t"))
        connection.execute(
            delete(thumbnail_versions).where(
                thumbnail_versions.c.video_id == "title", thumbnail_versions.c.first_seen > after(50)
            )
        )
    kept, excluded = exclude(read_corpus(lab, "i", "t").assign(encoded=True), only_opted_in=False)
    assert (excluded["changed before it was first counted"], excluded["no count of views"]) == (1, 1)
    expected, _ = exclude(before.reset_index().assign(encoded=True), only_opted_in=False)
    assert kept.equals(expected[kept.columns])
    left_out = read_channel_videos(lab, "c", model_of(lab))[1]
    assert left_out == {"changed before it was first counted": 1, "no count of views": 1, "not encoded": 1}


class FailingPictures(BuiltinEncoder):
    """An encoder that returns zeros for every picture, and counts the pictures."""

    seen = 0

    def encode_prepared(self, prepared: Sequence[Vectors]) -> Vectors:
        self.seen += len(prepared)
        return super().encode_prepared(prepared) * 0


def test_a_failed_picture_is_tried_once_and_again_only_on_request(
    changing: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, encoder = changing.lab, FailingPictures()
    for module in (embed_step, check_vectors):
        monkeypatch.setattr(module, "image_encoder", lambda _: encoder)
    embedded = embed(lab, "tech")
    # The picture encoder got the three current pictures and the earlier picture, but returned only zeros, which are not
    # valid vectors. `earlier` counts the two earlier titles, which the title encoder encoded.
    assert (embedded.images, embedded.earlier, encoder.seen) == (0, 2, 4)
    assert "picture: its earlier or tested thumbnail: the encoder gives no vector" in "; ".join(embedded.without)
    assert embed(lab, "tech").earlier == 0
    assert encoder.seen == 4
    (complete, _) = check_vectors.check_embeddings(lab, "tech")
    assert "`thumblab index rebuild tech`" in complete.explanation
    delete_encoding_failures(lab, "tech")
    embed(lab, "tech")
    assert encoder.seen == 8


def test_a_channel_adapter_counts_encoded_inputs_and_reports_failures(
    changing: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, encoder, model = changing.lab, FailingPictures(), model_of(changing.lab)
    warnings: list[str] = []
    # This test does not use caplog, because other tests in this process may disable this logger.
    monkeypatch.setattr(adapter_videos._log, "warning", lambda line, *values: warnings.append(line % values))
    monkeypatch.setattr(adapter_videos, "named_image_encoder", lambda *_: encoder)
    assert encode_channel_videos(lab, "c", model) == 3
    assert sum("the encoder gives no vector" in sentence for sentence in warnings) == 3
    assert encode_channel_videos(lab, "c", model) == 0
    assert encoder.seen == 3


def test_queries_for_one_channel_read_only_its_own_videos(changing: Changing) -> None:
    with changing.lab.engine.connect() as connection:
        for query in (first_versions_query("v.channel_id = 'd'"), stored_vectors_query("video_id IN (SELECT 'd')")):
            assert connection.execute(text(query)).all() == []
        query = first_versions_query("v.channel_id = 'c'")
        assert connection.execute(text(f"SELECT count(*) FROM ({query}) p")).scalar() == 3
