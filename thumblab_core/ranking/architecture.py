"""The architecture of a ranking model, and its predictions."""

from collections.abc import Callable
from dataclasses import dataclass, field

from thumblab_core.arrays import Float32s
from thumblab_core.ranking.inputs import VERSION, InputLayout

FACTS_LENGTH = 0.5
"""Length of the block of title facts in the standardised inputs. The blocks of picture and title have length 1."""
CONSTANT = 1e-4
"""Standard deviation up to which an input counts as constant."""
FARTHEST = 5.0
"""An input is clipped at this number of standard deviations from its mean."""


@dataclass(frozen=True)
class RankerConfig:
    """The architecture of a model, the fingerprints of its encoders, and the version of its inputs."""

    image_encoder: str
    title_encoder: str
    image_dimension: int
    title_dimension: int
    hidden: int = 512
    version: int = VERSION

    @property
    def layout(self) -> InputLayout:
        """The layout of the inputs. It says what each column means."""
        return InputLayout(self.image_dimension, self.title_dimension, self.version)

    @property
    def dense(self) -> int:
        """Number of the inputs that the trunk reads."""
        return self.layout.dense

    @property
    def inputs(self) -> int:
        """Number of all inputs. In the shapes of arrays, this number is called d."""
        return self.layout.total


@dataclass
class Predictions:
    """Predictions for n thumbnails: scores [n] in log views, and engagement [n] from 0 to 1.

    The engagement is computed by `absolute_head` at its first use, because many answers do not show it. Only one thread
    at a time may use this object.
    """

    score: Float32s
    absolute_head: Callable[[], Float32s]
    _engagement: Float32s | None = field(default=None, init=False, repr=False)

    @property
    def engagement(self) -> Float32s:
        if self._engagement is None:
            self._engagement = self.absolute_head()
        return self._engagement
