"""The scorer, which loads the releases and models that an answer needs, and makes answers from pictures.

The service and `thumblab score` use the scorer.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from thumblab_core.errors import LabError
from thumblab_core.fetch import Fetcher
from thumblab_core.library_note import read_note
from thumblab_core.ranking.skill import ONE_TITLE, PACKAGE
from thumblab_core.releases.place import polled_place
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_serving.loading.cache import AnyCache, Cache, OwnedCaches
from thumblab_serving.loading.channel_adapters import AdapterChoice, ServedAdapters
from thumblab_serving.loading.channel_names import ChannelNames
from thumblab_serving.loading.database import ServiceDatabase
from thumblab_serving.loading.encoding import Encoders
from thumblab_serving.loading.faults import Backoff, message
from thumblab_serving.loading.kept_predictions import PredictionKeeper
from thumblab_serving.loading.served_release import PATIENCE_S
from thumblab_serving.loading.served_releases import NotReadyError, Resolved, ServedReleases
from thumblab_serving.loading.stored_library import Placement, StoredLibraries
from thumblab_serving.loading.sub_score_meters import SubScoreMeters
from thumblab_serving.schemas.answer import ScoreAnswer
from thumblab_serving.schemas.evidence import EvidenceOut
from thumblab_serving.schemas.request import ScoreForm
from thumblab_serving.scoring.answer import compose_answer
from thumblab_serving.scoring.canary import Canary, drawn_thumbnail
from thumblab_serving.scoring.degraded_sentences import first_title_limits, skill_doubts
from thumblab_serving.scoring.evidence_order import evidence_of, order_by_evidence
from thumblab_serving.scoring.intake import EXAMINING, Candidate, ExaminedPicture, Intake, Source
from thumblab_serving.scoring.kept_answer import kept_prediction
from thumblab_serving.scoring.near_identical import group_near_identical, split_by_title
from thumblab_serving.scoring.packages import GridTitles, grid_titles, rank_packages
from thumblab_serving.scoring.plan import plan_test
from thumblab_serving.scoring.proven_skill import has_proven_skill
from thumblab_serving.scoring.rank import RankingContext, rank
from thumblab_serving.scoring.seen_people import FaceSearch, SeenPeople, with_people
from thumblab_serving.scoring.similarity import CACHED_PLACEMENTS, Similarity, choose_similarity
from thumblab_serving.scoring.sub_scores import CACHED_EVIDENCE
from thumblab_serving.scoring.why import explained
from thumblab_serving.workers.registry import WorkerState
from thumblab_serving.workers.shared_cache import SharedCache

_SHORT_WAIT_S = 0.8
"""Maximum number of seconds that `follow_pointers` waits for a release once the model is loaded.

`/health` calls `follow_pointers`, and must answer within a second.
"""

_log = logging.getLogger("thumblab_serving")


class InterruptedScoringError(Exception):
    """The error that `pace` raises to end `Scorer.score`. It does not count as a failure."""


class Scorer:
    """An object that scores thumbnails with the promoted releases.

    Its methods block the calling thread. Many threads may use it at the same time. Close it after use. With a `keeper`,
    answers can be kept as predictions. The keeper is closed together with the scorer. With `shared`, the workers of the
    service share the results that were computed from pictures and titles.
    """

    def __init__(
        self, settings: Settings, keeper: PredictionKeeper | None = None, shared: SharedCache | None = None
    ) -> None:
        self.keeper = keeper
        self.library_note = read_note(settings.data_dir)
        self.releases = ServedReleases(settings, shared)
        self.measuring = SubScoreMeters(settings, shared)
        self.database = ServiceDatabase(settings)
        self.stored_libraries = StoredLibraries(self.database, settings.library_days)
        self.adapters = ServedAdapters(ReleaseStore(polled_place(settings)))
        self.channel_names = ChannelNames(ReleaseStore(polled_place(settings)), self.database)
        fetcher = Fetcher(settings.image_hosts, any_public_host=settings.serving_any_public_host)
        self.intake = Intake(fetcher, self.measuring, settings.serving_fetch_s, shared)
        self.people = SeenPeople(settings)
        self.canary = Canary(self._score_drawn_pictures)
        self._placements = OwnedCaches[Placement](*CACHED_PLACEMENTS)
        self._evidence = Cache[EvidenceOut](*CACHED_EVIDENCE)
        self._rehearsing = threading.Lock()
        self._rehearsed = False
        self._failure: str | None = None
        self._backoff = Backoff()

    @property
    def rehearsed(self) -> bool:
        """Whether a rehearsal succeeded. In a rehearsal, the service makes an answer for itself.

        Some code and models are loaded only at their first use. The rehearsal uses them, so no request has to wait for
        this loading.
        """
        return self._rehearsed

    @property
    def rehearsal_failure(self) -> str | None:
        """Why the last rehearsal failed. None if the rehearsal succeeded, or if there was no rehearsal yet."""
        return self._failure

    @property
    def is_ready(self) -> bool:
        """Whether the service can answer requests: everything is loaded, and two checks have succeeded.

        The checks are the rehearsal (an answer that the service makes for itself) and the canary (a drawn picture).
        """
        has_index = any(slot.can_serve for slot in self.releases.indices.values())
        is_loaded = self.releases.model.loaded is not None and has_index
        is_warm = self.releases.warm_encoders is not None and self.measuring.is_warm and self._rehearsed
        return is_loaded and is_warm and self.canary.failure is None

    @property
    def state(self) -> WorkerState:
        """The state of this worker, which is shared with the other workers of the service."""
        # Each property is read once, because another thread may forget the release between two reads.
        slots = [(f"{slot.kind}/{slot.scope}", slot.loaded, slot.refusal) for slot in self.releases.slots]
        return WorkerState(
            self.is_ready,
            {name: loaded.release_id for name, loaded, _ in slots if loaded is not None},
            {name: refusal.reason for name, _, refusal in slots if refusal is not None},
        )

    @property
    def caches(self) -> dict[str, AnyCache]:
        """All caches, by their names in the metrics. The caches of the encoders are included once the encoders are warm."""
        own: dict[str, AnyCache] = {"placements": self._placements, "evidence": self._evidence}
        caches = own | {"appearances": self.intake.facts} | self.measuring.caches | self.adapters.caches
        encoders = self.releases.warm_encoders
        return caches if encoders is None else caches | {"pictures": encoders.pictures, "titles": encoders.titles}

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self.canary.close()
        self.intake.close()
        self.database.close()
        self.people.close()
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

        If a release takes longer than a second to load, loading continues in the background. If no model is loaded yet,
        the call waits at most a few seconds for the model.

        Then make a rehearsal if none has succeeded yet, and if all parts that a rehearsal needs are loaded. If another
        thread is making a rehearsal, this call does not wait for that thread. `Backoff` says when a failed rehearsal is
        tried again.
        """
        self.releases.follow_pointers(PATIENCE_S if self.releases.model.loaded is None else _SHORT_WAIT_S)
        indices = self.releases.indices.values()
        can_answer = self.releases.model.loaded is not None and any(slot.loaded for slot in indices)
        if can_answer and self.measuring.is_warm and not self._rehearsed and self._rehearsing.acquire(blocking=False):
            try:
                if self._backoff.due:
                    self._rehearse()
            finally:
                self._rehearsing.release()

    def score(
        self,
        sources: Sequence[Source],
        form: ScoreForm,
        keep: bool = False,
        pace: Callable[[], None] | None = None,
        *,
        owner: str | None,
        see_people: bool = False,
    ) -> ScoreAnswer:
        """Return the answer for the pictures of a request. A picture that cannot be read has an error in the answer.

        `owner` identifies the API key of the request. Private figures of a channel are used only if the channel belongs
        to this owner (see `thumblab_core.database.channels.Channel.belongs_to`). None stands for the lab.

        With `keep`, the answer is kept as a prediction, if this object has a keeper and a picture could be read. With
        several niches, only the answer for the first niche is kept. With several titles, no answer is kept.

        With `pace`, the pictures are examined one after the other, and `pace` is called before each picture. So a batch
        can wait for other requests. If `pace` raises `InterruptedScoringError`, the scoring ends with this error.

        With `see_people`, the answer says who is seen, if the settings and `SeenPeople` allow it.

        After any failure, the canary checks whether good pictures can still be scored. Raises `NotReadyError` if no
        model can be used, or if an encoder or a meter cannot be loaded.
        """
        if form.channel_id is not None:
            form = form.model_copy(update={"channel_id": self.channel_names.id_of(form.channel_id)})
        # Only the lab may see the names of people. For a key with the scope `admin`, `owner` is None too.
        search, unsaid = self.people.search(form.channel_id, owner is None) if see_people else (None, [])
        try:
            answer = self._answers(sources, form, keep, (pace, search), owner)
        except (NotReadyError, InterruptedScoringError):
            raise
        except Exception:
            self.canary.alarm()
            raise
        if any(thumbnail.error is not None for thumbnail in answer.thumbnails):
            self.canary.alarm()
        return with_people(answer, search, unsaid, [source.id for source in sources])

    def _answers(
        self,
        sources: Sequence[Source],
        form: ScoreForm,
        keep: bool,
        how: "_How",
        owner: str | None,
    ) -> ScoreAnswer:
        """Do the work of `score`, but look for no people, and do not start the canary after a failure."""
        first = self.releases.resolve(form.niches[0])
        # The same model answers for all niches, even if another model is promoted meanwhile.
        others = [replace(self.releases.resolve(niche), model=first.model) for niche in form.niches[1:]]
        encoders = self.releases.encoders()
        examined: dict[tuple[str, ...], list[Candidate]] = {}
        answers = []
        for niche, releases in zip(form.niches, [first, *others], strict=True):
            fingerprints = _fingerprints(releases)
            try:
                meter_version = self.measuring.version(encoders, fingerprints[0])
            except LabError as error:  # The fault is in the settings, and not in a picture.
                raise NotReadyError(str(error)) from None
            if fingerprints not in examined:  # Niches usually have the same encoders, so pictures are examined once.
                examined[fingerprints] = self._examine(sources, form, encoders, fingerprints, how)
            similarity = choose_similarity(niche, releases, self.stored_libraries, meter_version, self._placements)
            asked = _Asked(form, examined[fingerprints], grid_titles(sources, form, encoders), owner)
            answers.append(self._answer(niche, releases, asked, similarity))
        answer, pictures = answers[0], _readable(examined[_fingerprints(first)])
        has_one_title = answer.packages is None and answer.question == ONE_TITLE
        if keep and self.keeper is not None and pictures and has_one_title:
            self.keeper.keep(kept_prediction(form, answer, pictures, self.channel_names))
        return answer.model_copy(update={"other_niches": answers[1:]}) if answers[1:] else answer

    def _examine(
        self,
        sources: Sequence[Source],
        form: ScoreForm,
        encoders: Encoders,
        fingerprints: tuple[str, ...],
        how: "_How",
    ) -> list[Candidate]:
        """Examine the pictures with the encoders that have these fingerprints, and return the candidates."""
        pace, search = how
        also = None if search is None else search.look
        if pace is None:
            return self.intake.examine(sources, form.all_titles[0], encoders, fingerprints, also)
        candidates = []
        for source in sources:
            pace()
            candidates += self.intake.examine([source], form.all_titles[0], encoders, fingerprints, also)
        return candidates

    def _answer(self, niche: str, releases: Resolved, asked: "_Asked", similarity: Similarity) -> ScoreAnswer:
        """Return the answer for one niche."""
        ranker, form = releases.model.value, asked.form
        pictures = _readable(asked.candidates)
        placements = similarity.place(pictures)
        channel = None if form.channel_id is None else self._choose_adapter(form.channel_id, releases)
        query = RankingContext({name: asked.titles.of(name) for name in pictures}, niche, channel)
        model_encoder = ranker.model.config.image_encoder
        near_duplicate = self.releases.encoders().by_fingerprint(model_encoder).near_duplicate
        look_alikes = group_near_identical(pictures, model_encoder, near_duplicate)
        near_identical = split_by_title(look_alikes, {name: title.text for name, title in query.titles.items()})
        ranking = rank(pictures, near_identical, query, ranker)
        if not has_proven_skill(ranker, channel, query.question):
            ranking = order_by_evidence(ranking, evidence_of(pictures, placements))
        ranking = explained(ranking, query, ranker)
        titled = [(candidate, asked.titles.of(candidate.id).text) for candidate in asked.candidates]
        answer = compose_answer(titled, query, releases, ranking, placements, self._evidence)
        added: dict[str, object] = {}
        if query.question == ONE_TITLE:
            added["test_plan"] = plan_test(pictures, ranking, form.channel_id, asked.owner, self.database)
        if len(form.all_titles) > 1:
            packages = rank_packages(pictures, look_alikes, asked.titles, query, ranker)
            doubts = skill_doubts(ranker, channel, PACKAGE) if pictures else []
            limits = first_title_limits(ranker, query, ranking) if pictures else []
            own = [sentence for sentence in limits if sentence not in doubts]
            added["packages"] = packages.model_copy(update={"first_title_limits": own})
            added["degraded"] = list(dict.fromkeys([*answer.degraded, *doubts]))
        return answer.model_copy(update=added)

    def _choose_adapter(self, channel_id: str, releases: Resolved) -> AdapterChoice:
        return replace(self.adapters.choose(channel_id, releases.model), title=self.channel_names.title_of(channel_id))

    def _rehearse(self) -> None:
        try:
            self._score_drawn_pictures()
        except Exception as error:  # noqa: BLE001  a broken runtime may raise any error; `/health` shows it
            self._failure = f"the first answer could not be made ({message(error)})"
            self._backoff.failed(error)
            _log.warning("%s; next try in %.0f seconds", self._failure, self._backoff.seconds)
        else:
            self._rehearsed, self._failure = True, None

    def _score_drawn_pictures(self) -> None:
        """Draw new pictures and score them. Raises an exception if a picture cannot be scored."""
        slots = self.releases.indices
        niche = next((niche for niche, slot in slots.items() if slot.loaded), next(iter(slots)))
        # There is one picture for each examining thread, so that each thread loads what it needs.
        sources = [Source(str(number), data=drawn_thumbnail()) for number in range(EXAMINING)]
        answer = self._answers(sources, ScoreForm(title="warm", category=niche), False, (None, None), owner=None)
        for thumbnail in answer.thumbnails:
            if thumbnail.error is not None:
                raise LabError(thumbnail.error)


_How = tuple[Callable[[], None] | None, FaceSearch | None]
"""How pictures are examined: the argument `pace` of `Scorer.score`, and the search for people. Each may be None."""


@dataclass(frozen=True)
class _Asked:
    """The parts of a request: its fields, its examined pictures, its titles, and the owner of its key (see `score`)."""

    form: ScoreForm
    candidates: Sequence[Candidate]
    titles: GridTitles
    owner: str | None


def _fingerprints(releases: Resolved) -> tuple[str, ...]:
    """Return the fingerprints of the image encoders that a request needs.

    The first fingerprint identifies the encoder that measures `title_match`. It is the encoder of the niche's index,
    because the same encoder measured the sub-scores of the library. Without an index, it is the encoder of the model.
    """
    of_index = [releases.index.value.encoder] if releases.index is not None else []
    return tuple(dict.fromkeys([*of_index, releases.model.value.model.config.image_encoder]))


def _readable(candidates: Sequence[Candidate]) -> dict[str, ExaminedPicture]:
    return {candidate.id: candidate.picture for candidate in candidates if candidate.picture is not None}
