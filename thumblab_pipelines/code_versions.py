"""Compute versions of code. A function's version changes if, and only if, code that the function can reach has changed.

The reachable code is found without running it. Each top-level function, class and constant of a module is a definition.
A definition reaches every definition whose name it mentions. The mentioned definition may be in the same module, or in
another module of the lab that the module imports.

Changes of comments, docstrings, line breaks and unreachable code do not change the version. Changes in the modules of
`_NO_RESULTS`, and in packages that are not the lab's, do not change the version either.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGES = ("thumblab_core", "thumblab_pipelines")
_NO_RESULTS = (
    "thumblab_core.access_settings",
    "thumblab_core.computing",
    "thumblab_core.data_folder",
    "thumblab_core.database.engine",
    "thumblab_core.database.schema",
    "thumblab_core.database.urls",
    "thumblab_core.durable_files",
    "thumblab_core.embedded_postgres",
    "thumblab_core.errors",
    "thumblab_core.releases",
    "thumblab_core.running",
    "thumblab_core.setting_groups",
    "thumblab_core.settings",
    "thumblab_pipelines.lab",
    "thumblab_pipelines.progress",
    "thumblab_pipelines.ray_cluster",
)
"""Modules and packages that decide where and how data is stored, but not what the data is."""

_Name = tuple[str, str]
"""The key of a definition: the name of its module, and the name of the definition. If the second name is empty, the key
means the whole module."""


@dataclass(frozen=True)
class _Definition:
    """The digest of a definition's code, and the keys of the definitions that it mentions."""

    digest: bytes
    mentions: frozenset[_Name]


def code_version(*functions: Callable[..., Any]) -> str:
    """Return a version of the code that `functions` can reach, as twelve hex digits."""
    waiting: list[_Name] = [(function.__module__, function.__qualname__.split(".")[0]) for function in functions]
    reached: dict[_Name, bytes] = {}
    while waiting:
        module, name = waiting.pop()
        if not _counts(module):
            continue
        for own in [name] if name else list(_module(module).statements):
            if (module, own) not in reached:
                definition = _module(module).definition(own)
                reached[module, own] = definition.digest
                waiting += definition.mentions
    code = hashlib.sha256()
    for (module, own), digest in sorted(reached.items()):
        code.update(f"{module}.{own} ".encode() + digest)
    return code.hexdigest()[:12]


class _Module:
    """A module of the lab. `statements`: its top-level statements, by the names that they define."""

    def __init__(self, name: str, source: bytes) -> None:
        self._name = name
        self._imported: dict[str, _Name] = {}
        self.statements: dict[str, list[ast.stmt]] = {}
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.ImportFrom):
                self._imported |= _imports(statement)
            for own in _names(statement):
                self.statements.setdefault(own, []).append(statement)

    def definition(self, name: str) -> _Definition:
        """Return the definition `name`. If the module only imports the name, the definition has no code of its own."""
        digest, mentions = hashlib.sha256(), set()
        # The module may import this name instead of defining it. In this case, the version depends on the definition in
        # the other module.
        if name in self._imported:
            mentions.add(self._imported[name])
        for statement in self.statements.get(name, []):
            read = _Reader()
            read.node(statement)
            digest.update("\n".join(read.tokens).encode())
            imported = self._imported | read.imported
            for own, attribute in read.mentioned:
                module, target = imported.get(own, (self._name, own if own in self.statements else None))
                if target == "" and attribute:
                    mentions.add((module, attribute))
                elif target is not None:
                    mentions.add((module, target))
        return _Definition(digest.digest(), frozenset(mentions))


class _Reader:
    """Reads the code of a statement: its tokens without docstrings, the names that it mentions, and its imports.

    A name that occurs as `name.attribute` is stored with this attribute. A name that occurs alone is stored with an
    empty attribute.
    """

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.mentioned: set[tuple[str, str]] = set()
        self.imported: dict[str, _Name] = {}

    def node(self, node: ast.AST) -> None:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # This node is a docstring, which does not change the version.
        if isinstance(node, ast.Name):
            self.mentioned.add((node.id, ""))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            self.mentioned.add((node.value.id, node.attr))
            self.tokens.append(f"{node.value.id}.{node.attr}")
            return
        elif isinstance(node, ast.ImportFrom):
            self.imported |= _imports(node)
        self.tokens.append(type(node).__name__)
        for field in node._fields:
            value = getattr(node, field, None)
            if isinstance(value, ast.AST):
                self.node(value)
            elif isinstance(value, list):
                self.tokens.append(f"{field} {len(value)}")
                for item in value:
                    if isinstance(item, ast.AST):
                        self.node(item)
                    else:
                        self.tokens.append(repr(item))
            else:
                self.tokens.append(repr(value))


@cache
def _counts(module: str) -> bool:
    return module.split(".")[0] in _PACKAGES and not any(
        module == left_out or module.startswith(f"{left_out}.") for left_out in _NO_RESULTS
    )


@cache
def _module(name: str) -> _Module:
    spec = importlib.util.find_spec(name)
    assert spec is not None, name
    assert spec.origin is not None, name
    return _Module(name, Path(spec.origin).read_bytes())


def _names(statement: ast.stmt) -> list[str]:
    """Return the names that a top-level statement defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def _imports(statement: ast.ImportFrom) -> dict[str, _Name]:
    """Return the definition of each name that a statement imports from the lab."""
    if not statement.module or not _counts(statement.module):
        return {}
    found: dict[str, _Name] = {}
    for alias in statement.names:
        of_module = _is_module(statement.module, alias.name)
        target = (f"{statement.module}.{alias.name}", "") if of_module else (statement.module, alias.name)
        found[alias.asname or alias.name] = target
    return found


@cache
def _is_module(package: str, name: str) -> bool:
    spec = importlib.util.find_spec(package)
    places = (spec.submodule_search_locations if spec is not None else None) or []
    return any((Path(place) / f"{name}.py").is_file() or (Path(place) / name).is_dir() for place in places)
