"""The scorer: it loads the releases and models that an answer needs, and makes answers from pictures.

The service and `thumblab score` use it.
"""

import io
import logging
import threading
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from thumblab_core.errors import LabError
from thumblab_core.fetch import Fetcher
from thumblab_core.library_note import read_note
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_serving.loading.cache import Cache
from thumblab_serving.loading.channel_adapters import ServedAdapters
from thumblab_serving.loading.channel_names import ChannelNames
from thumblab_serving.loading.database import ServiceDatabase
from thumblab_serving.loading.faults import Backoff, message
from thumblab_serving.loading.kept_predictions import PredictionKeeper
from thumblab_serving.loading.served_releases import NotReadyError, ServedReleases
from thumblab_serving.loading.stored_library import StoredLibraries
from thumblab_serving.loading.sub_score_meters import SubScoreMeters
from thumblab_serving.schemas.answer import ScoreAnswer
from thumblab_serving.schemas.request import ScoreForm
from thumblab_serving.scoring.answer import compose_answer
from thumblab_serving.scoring.evidence_order import evidence_of, order_by_evidence
from thumblab_serving.scoring.intake import EXAMINING, Intake, Source
from thumblab_serving.scoring.kept_answer import kept_prediction
from thumblab_serving.scoring.near_identical import group_near_identical
from thumblab_serving.scoring.plan import plan_test
from thumblab_serving.scoring.proven_skill import has_proven_skill
from thumblab_serving.scoring.rank import RankingContext, rank
from thumblab_serving.scoring.similarity import choose_similarity

_log = logging.getLogger("thumblab_serving")


class Scorer:
    """An object that scores thumbnails with the promoted releases.

    Its methods block the calling thread. Many threads may use it at the same time. Close it after use. With a `keeper`,
    answers can be kept as predictions. The keeper is closed together with the scorer.
    """

    def __init__(self, settings: Settings, keeper: PredictionKeeper | None = None) -> None:
        self.keeper = keeper
        self.library_note = read_note(settings.data_dir)
        self.releases = ServedReleases(settings)
        self.measuring = SubScoreMeters(settings)
        self.database = ServiceDatabase(settings)
        self.stored_libraries = StoredLibraries(self.database, settings.library_days)
        self.adapters = ServedAdapters(ReleaseStore(settings.releases))
        self.channel_names = ChannelNames(ReleaseStore(settings.releases), self.database)
        fetcher = Fetcher(settings.image_hosts, any_public_host=settings.serving_any_public_host)
        self.intake = Intake(fetcher, self.measuring, settings.serving_fetch_s)
        self._rehearsing = threading.Lock()
        self._rehearsed = False
        self._failure: str | None = None
        self._backoff = Backoff()

    @property
    def rehearsed(self) -> bool:
        """Whether a rehearsal succeeded. In a rehearsal, the service makes an answer for itself.

        Some code and models are loaded only when they are first used. The rehearsal uses them, so no request has to
        wait until they are loaded.
        """
        return self._rehearsed

    @property
    def rehearsal_failure(self) -> str | None:
        """Why the last rehearsal failed. None if it succeeded, or if there was none yet."""
        return self._failure

    @property
    def caches(self) -> dict[str, Cache[Any]]:
        """All caches, by the names under which the metrics show them.

        The caches of the encoders appear once the encoders are warm.
        """
        own: dict[str, Cache[Any]] = {"looks": self.measuring.measurements, "appearances": self.intake.appearances}
        caches = own | self.adapters.caches
        encoders = self.releases.warm_encoders
        return caches if encoders is None else caches | {"pictures": encoders.pictures, "titles": encoders.titles}

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self.intake.close()
        self.database.close()
        if self.keeper is not None:
            self.keeper.close()

    def load(self) -> None:
        """Load encoders, meters and promoted releases. Raises `NotReadyError` if encoders or meters fail to load."""
        encoders = self.releases.encoders()
        try:
            self.measuring.warm(encoders)
        except LabError as error:
            raise NotReadyError(str(error)) from None
        self.releases.load()
        self.stored_libraries.warm()
        if self.keeper is not None:
            self.keeper.warm()
        self.follow_pointers()

    def follow_pointers(self) -> None:
        """Load the releases that were promoted since the last call.

        Then make a rehearsal, if none has succeeded yet and everything that it needs is loaded. If another thread loads
        or rehearses already, this call does not wait for that thread. `Backoff` says when a failed rehearsal is tried
        again.
        """
        self.releases.follow_pointers()
        indices = self.releases.indices.values()
        can_answer = self.releases.model.loaded is not None and any(slot.loaded for slot in indices)
        if can_answer and self.measuring.is_warm and not self._rehearsed and self._rehearsing.acquire(blocking=False):
            try:
                if self._backoff.due:
                    self._rehearse()
            finally:
                self._rehearsing.release()

    def score(self, sources: Sequence[Source], form: ScoreForm, keep: bool = False) -> ScoreAnswer:
        """Return the answer for the pictures of a request. A picture that cannot be read has an error in the answer.

        With `keep`, the answer is kept as a prediction, if this object has a keeper and a picture could be read. Raises
        `NotReadyError` if no model can be used, or if an encoder or a meter cannot be loaded.
        """
        if form.channel_id is not None:
            form = form.model_copy(update={"channel_id": self.channel_names.id_of(form.channel_id)})
        releases = self.releases.resolve(form.category)
        encoders = self.releases.encoders()
        # The encoder of the first fingerprint measures `title_match`. If the niche has an index, this is the encoder of
        # the index, because it also measured the sub-scores of the library. Otherwise, it is the encoder of the model.
        of_index = [releases.index.value.encoder] if releases.index is not None else []
        model_encoder = releases.model.value.model.config.image_encoder
        fingerprints = list(dict.fromkeys([*of_index, model_encoder]))
        try:
            meter_version = self.measuring.version(encoders, fingerprints[0])
        except LabError as error:  # The fault is in the settings, and not in a picture.
            raise NotReadyError(str(error)) from None
        similarity = choose_similarity(form.category, releases, self.stored_libraries, meter_version)
        candidates = self.intake.examine(sources, form.title, encoders, fingerprints)
        pictures = {candidate.id: candidate.picture for candidate in candidates if candidate.picture is not None}
        placements = similarity.place(pictures)
        channel = None if form.channel_id is None else self.adapters.choose(form.channel_id, releases.model)
        query = RankingContext(form.title, encoders.title_vector(form.title), form.category, channel)
        near_duplicate = encoders.by_fingerprint(model_encoder).near_duplicate
        near_identical = group_near_identical(pictures, model_encoder, near_duplicate)
        ranking = rank(pictures, near_identical, query, releases.model.value)
        if not has_proven_skill(releases.model.value, channel):
            ranking = order_by_evidence(ranking, evidence_of(pictures, placements))
        answer = compose_answer(candidates, query, releases, ranking, placements)
        if keep and self.keeper is not None and pictures:
            self.keeper.keep(kept_prediction(form, answer, pictures))
        plan = plan_test(pictures, ranking, form.channel_id, self.database)
        return answer.model_copy(update={"test_plan": plan})

    def _rehearse(self) -> None:
        niche = next(niche for niche, slot in self.releases.indices.items() if slot.loaded)
        # There is one picture for each examining thread, so that each thread loads what it needs.
        sources = [Source(str(number), data=_drawn_thumbnail(number)) for number in range(EXAMINING)]
        try:
            self.score(sources, ScoreForm(title="warm", category=niche))
        except Exception as error:  # noqa: BLE001  a broken runtime may raise anything; /health shows it and the service lives on
            self._failure = f"the first answer could not be made ({message(error)})"
            self._backoff.failed(error)
            _log.warning("%s; next try in %.0f seconds", self._failure, self._backoff.seconds)
        else:
            self._rehearsed, self._failure = True, None


def _drawn_thumbnail(number: int) -> bytes:
    """Draw a picture with some text in it, and return it as a JPEG. Each number gives a different picture."""
    image = Image.new("RGB", (640, 360), (20, 60, 90 + 10 * number))
    font = ImageFont.load_default(size=90)
    ImageDraw.Draw(image).text((40, 120), f"READY {number}", fill="white", font=font)
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()
