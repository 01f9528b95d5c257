"""Describe the code and the files that a process of the cluster sees.

Ray sends this module to the nodes as source code, so it also runs on a node where the lab is not installed. The module
must therefore import only the standard library.
"""

import hashlib
import importlib.metadata
import importlib.util
import platform
import re
from pathlib import Path

CODE = "code of the lab"
MISSING = "missing"
_PACKAGES = ("thumblab_core", "thumblab_pipelines")


def describe(path: str, text: str) -> tuple[dict[str, str], bool]:
    """Return the result of `versions` on this node, and the result of `sees` for the file `path`."""
    return versions(), sees(path, text)


def versions() -> dict[str, str]:
    """Return the versions of Python, of the lab's code and of each package that the lab requires, by name.

    The version of the lab's code is a digest of its modules, because a changed checkout still has the same version
    number. A package that is not installed has the version `MISSING`.
    """
    found = {"Python": platform.python_version(), CODE: _code()}
    try:
        requirements = importlib.metadata.requires("thumblab") or []
    except importlib.metadata.PackageNotFoundError:
        return found
    for requirement in requirements:
        needs_extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", requirement)
        name = re.match(r"[\w.-]+", requirement)
        if name and (needs_extra is None or needs_extra[1] in ("pipelines", "ray")):
            try:
                found[name[0]] = importlib.metadata.version(name[0])
            except importlib.metadata.PackageNotFoundError:
                found[name[0]] = MISSING
    return found


def _code() -> str:
    digest = hashlib.sha256()
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            return MISSING
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*.py")):
            digest.update(f"{package}/{path.relative_to(root)} ".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def sees(path: str, text: str) -> bool:
    """Return whether the file `path` exists on this node and has the content `text`."""
    try:
        return Path(path).read_text() == text
    except OSError:
        return False
