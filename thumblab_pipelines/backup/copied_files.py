"""Copy files into a backup, and keep the undamaged files of an earlier backup."""

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from thumblab_core.releases.release import file_checksum


@dataclass
class CopiedFiles:
    """The files of the backup in `folder`. `earlier`: the checksums of the files that an earlier backup left there.

    `sums`: the checksum of every file that is in the backup so far, by its path. `copied`: number of files that were
    written. `kept`: number of files that an earlier backup had written. `bytes`: number of bytes that were written.
    `cut_short`: the files that have another size in the lab, although only damage can change them.
    """

    folder: Path
    earlier: dict[str, str]
    sums: dict[str, str] = field(default_factory=dict)
    copied: int = 0
    kept: int = 0
    bytes: int = 0
    cut_short: set[str] = field(default_factory=set)

    def keep_same(self, source: Path, key: str, never_changes: bool) -> str | None:
        """Return the checksum of the copy of `source` in the backup, or None if the backup has no usable copy.

        `never_changes`: whether only damage can change the size of `source`. Then an undamaged copy is kept even if its
        size differs. Raises `FileNotFoundError` if the lab has deleted the file.
        """
        size, target = source.stat().st_size, self.folder / key
        if not target.is_file():
            return None
        checksum = self.earlier.get(key)
        if target.stat().st_size != size:
            if not never_changes or checksum is None or file_checksum(target) != checksum:
                return None
            self.kept += 1
            self.cut_short.add(key)
            return checksum
        # A copy without a stored checksum may be damaged, because the machine may have crashed during an earlier
        # backup. So the copy is compared with `source`.
        if checksum is None:
            checksum = file_checksum(target)
            if checksum != file_checksum(source):
                return None
        self.kept += 1
        return checksum

    def copy(self, source: Path, target: Path) -> str:
        """Copy a file completely or not at all, and return the checksum of the copied bytes."""
        target.parent.mkdir(parents=True, exist_ok=True)
        aside, digest = target.with_name(f".new-{target.name}"), hashlib.sha256()
        with source.open("rb") as reading, aside.open("wb") as writing:
            while block := reading.read(2**20):
                digest.update(block)
                writing.write(block)
                self.bytes += len(block)
        shutil.copymode(source, aside)
        aside.replace(target)
        self.copied += 1
        return digest.hexdigest()

    def usable(self, key: str) -> str | None:
        """Return the checksum of a file that an earlier backup has written, if the file is still there."""
        return self.earlier.get(key) if (self.folder / key).is_file() else None

    def keep(self, key: str, checksum: str) -> None:
        """Take an undamaged file of the earlier backup into the new backup, without copying it."""
        if key not in self.sums:
            self.sums[key] = checksum
            self.kept += 1
