"""The folder of one import: the exports that the service has stored, and the report that the job writes.

channel-imports/<import_id>/facts.json             who sent the exports and when; the service writes it
channel-imports/<import_id>/exports/<n>/<name>     an export, as it was sent; deleted when the import has ended
channel-imports/<import_id>/report.json            the report; replaced as a whole, so it is never half written
"""

import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from thumblab_core.channel_imports.report import ImportReport
from thumblab_core.errors import LabError

IMPORTS = "channel-imports"
"""The name of the folder of all imports, in the lab's data folder."""

EXPORTS = "exports"

FACTS = "facts.json"

_ID = re.compile(r"[0-9a-f]{32}")
_REPORT = "report.json"


@dataclass(frozen=True)
class ImportFacts:
    """The facts about an import. The service writes them when it stores the exports.

    `owner` identifies the API key that sent the import, in the form of `NamedKey.owner`. `by_lab` says whether this key
    has the scope `admin`. A key with this scope may change all channels.
    """

    created_at: AwareDatetime
    owner: str
    files: list[str]
    by_lab: bool = False

    @property
    def acts_for(self) -> str | None:
        """The owner whose channels the import may change. None stands for the lab, which may change all channels."""
        return None if self.by_lab else self.owner


_FACTS_FORM = TypeAdapter(ImportFacts)


class ImportFolder:
    """The folder of the import `import_id` in a data folder. Raises `LabError` if `import_id` is not a valid id."""

    def __init__(self, data_dir: Path, import_id: str) -> None:
        if not is_import_id(import_id):
            raise LabError(f"{import_id[:40]!r} is not the id of an import, which has 32 hexadecimal digits")
        self.import_id = import_id
        self.path = data_dir / IMPORTS / import_id

    def facts(self) -> ImportFacts | None:
        """Return the facts, or None if their file is missing or cannot be read."""
        try:
            return _FACTS_FORM.validate_json((self.path / FACTS).read_bytes())
        except (OSError, ValidationError):
            return None

    def write_facts(self, facts: ImportFacts) -> None:
        """Write the facts, either completely or not at all. Raises `OSError` if they cannot be written."""
        new = self.path / f"{FACTS}.new"
        new.write_bytes(_FACTS_FORM.dump_json(facts))
        new.replace(self.path / FACTS)

    def report(self) -> ImportReport | None:
        """Return the report, or None before the job writes a report. Raises `LabError` if the file is damaged."""
        try:
            return ImportReport.model_validate_json((self.path / _REPORT).read_bytes())
        except FileNotFoundError:
            return None
        except (ValidationError, OSError) as error:
            raise LabError(f"the report on the import cannot be read ({type(error).__name__})") from None

    def write_report(self, report: ImportReport) -> None:
        """Replace the report. Does nothing if the folder of the import was deleted."""
        # The job and several requests to the service may write a report at the same time, so each has its own file.
        new = self.path / f"{_REPORT}.{secrets.token_hex(4)}.new"
        try:
            new.write_text(report.model_dump_json())
            new.replace(self.path / _REPORT)
        except FileNotFoundError:
            return

    def delete_exports(self) -> None:
        """Delete the exports. Their figures are private, so the exports are kept only as long as the import needs them."""
        shutil.rmtree(self.path / EXPORTS, ignore_errors=True)


def is_import_id(text: str) -> bool:
    """Return whether `text` has the form of the id of an import. Only such a text may become a part of a path."""
    return _ID.fullmatch(text) is not None
