"""The scorer as one object: what is loaded, and the way from sources to an answer. Used by the service and the command."""

from collections.abc import Sequence

from thumblab_core.fetch import Fetcher
from thumblab_core.niches import Niche
from thumblab_core.settings import Settings
from thumblab_serving.intake import Intake, Source
from thumblab_serving.schemas import ScoreAnswer
from thumblab_serving.scoring import rank
from thumblab_serving.state import State


class Engine:
    """Blocking and safe from many threads; close it when done."""

    def __init__(self, settings: Settings) -> None:
        self.state = State(settings)
        self._intake = Intake(Fetcher(settings.image_hosts))

    def close(self) -> None:
        self._intake.close()

    def score(self, sources: Sequence[Source], title: str, niche: Niche) -> ScoreAnswer:
        """Rank the sources. Raises `NotReadyError`; a source that cannot be read is an error of its item."""
        model, index, no_index = self.state.resolve(niche)
        encoders = self.state.encoders()
        candidates = self._intake.examine(sources, title, encoders)
        return rank(candidates, encoders.words(title), niche, model, index, no_index)
