"""The niches of the lab: what a niche is, the table of niches, and the file from which processes without a database
read them (docs/niches.md).
"""

from thumblab_core.niches.names import LARGEST_NICHES as LARGEST_NICHES
from thumblab_core.niches.names import NICHE_PATTERN as NICHE_PATTERN
from thumblab_core.niches.names import NicheConflictError as NicheConflictError
from thumblab_core.niches.names import UnknownNicheError as UnknownNicheError
from thumblab_core.niches.names import is_niche_name as is_niche_name
from thumblab_core.niches.niche import DEFAULT_NAMES as DEFAULT_NAMES
from thumblab_core.niches.niche import DEFAULT_NICHES as DEFAULT_NICHES
from thumblab_core.niches.niche import Niche as Niche
from thumblab_core.niches.niche_file import NicheFile as NicheFile
