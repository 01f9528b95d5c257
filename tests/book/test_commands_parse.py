"""Test that each command in the documents can be run.

Each command must be in a table of `tests/documented_commands.py`. All options, targets and files that the command names
must exist.
"""

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from documented_commands import AS_IT_STANDS, NOT_RUN, NOT_RUN_STARTS, WITH_OTHER_WORDS, reason_not_run, to_run
from documents import DOCUMENTS, ROOT, Line, commands, text_lines

from thumblab_cli.main import cli
from thumblab_cli.niche_type import NicheType

GENERATED = {"docs/reference/cli.md"}
HISTORY = {"CHANGELOG.md"}  # The changelog may name a command that no longer exists.
LINES = [line for path in DOCUMENTS for line in commands(path)]


def plain(command: str) -> str:
    """Return a command in the form that works in an active virtual environment."""
    return command.replace(".venv/bin/thumblab", "thumblab")


def described(line: Line) -> str:
    return f"{line.path}:{line.number}: {line.text}"


def test_every_command_is_in_a_table() -> None:
    unknown = [line for line in LINES if not to_run(plain(line.text)) and reason_not_run(plain(line.text)) is None]
    assert [described(line) for line in unknown] == [], (
        "tests/documented_commands.py lacks these commands. Add each to AS_IT_STANDS or WITH_OTHER_WORDS, so that a "
        "test runs it, or to NOT_RUN with a reason"
    )


def test_every_command_in_the_tables_is_in_a_document() -> None:
    texts = {plain(line.text) for line in LINES}
    assert {*AS_IT_STANDS, *WITH_OTHER_WORDS, *NOT_RUN} - texts == set()
    assert [start for start in NOT_RUN_STARTS if not any(text.startswith(start) for text in texts)] == []


def calls(text: str) -> Iterator[list[str]]:
    """Yield the words of each call of `thumblab` in a shell line, without the word `thumblab`."""
    # In a line of a document, three or more spaces separate a command from its explanation. Cut the explanation off.
    text = re.sub(r"\s{3,}[a-z ]+.*$", "", text) if " | " not in text else text
    text = text.split("  [")[0]
    for call in re.findall(r"(?<![\w/])thumblab ((?:\"[^\"]*\"|[^\"|&;()>])*)", text.replace("[", "").replace("]", "")):
        yield shlex.split(call)


def problem(words: list[str]) -> str | None:
    """Return why the library click refuses the words after `thumblab`, or None if click accepts the words.

    Files that the words name do not have to exist.
    """
    command: click.Command = cli
    context = click.Context(cli, info_name="thumblab", **cli.context_settings)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(context, words[0])
        if inner is None:
            return f"{context.command_path} has no command {words[0]}"
        context = click.Context(inner, parent=context, info_name=words[0], **inner.context_settings)
        command, words = inner, words[1:]
    try:
        values, rest, _ = command.make_parser(context).parse_args(args=list(words))
        chosen = [(p, values.get(p.name)) for p in command.params if isinstance(p.type, click.Choice | NicheType)]
        for parameter, value in chosen:
            for one in value if isinstance(value, list | tuple) else [value]:
                if isinstance(one, str) and not one.isupper():
                    parameter.type.convert(one, parameter, context)
    except click.UsageError as error:
        return error.format_message()
    missing = [p.name for p in command.params if isinstance(p, click.Option) and p.required and p.name not in values]
    if missing and not {"-h", "--help"} & set(words):
        return f"{context.command_path} needs {missing}"
    return f"{context.command_path} takes no {rest}" if rest and not isinstance(command, click.Group) else None


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_call_of_thumblab_has_options_that_exist(path) -> None:
    given = [(described(line), text) for line in commands(path) for text in (to_run(plain(line.text)) or [line.text])]
    refused = [f"{place}: {why}" for place, text in given for call in calls(text) if (why := problem(call)) is not None]
    assert refused == []


def inline_calls(text: str) -> Iterator[list[str]]:
    for call in re.findall(r"`thumblab ([^`]+)`", text):
        yield re.sub(r"[\[\]]|\.\.\.", " ", call).split()


@pytest.mark.parametrize(
    "path",
    [p for p in DOCUMENTS if p.relative_to(ROOT).as_posix() not in GENERATED | HISTORY],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_every_command_named_in_a_sentence_exists_with_its_options(path) -> None:
    prose = "\n".join(line for _, line, kind in text_lines(path) if kind is None)
    unknown = []
    for words in inline_calls(prose):
        for one in split_choices(words):
            command, context = resolved(one)
            options = {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"-h", "--help"}
            if context.parent is None and one and not one[0].startswith("-"):
                unknown.append(f"thumblab {' '.join(one)}: there is no such command")
            bad = {word for word in one if word.startswith("--") and word.partition("=")[0] not in options}
            unknown += [f"thumblab {' '.join(one)}: it has no option {word}" for word in bad if context.parent]
    assert unknown == []


def split_choices(words: list[str]) -> list[list[str]]:
    """Split words such as `index rollback | resume` into commands: `index rollback` and `index resume`."""
    if "|" not in words or words[0] not in ("index", "key", "db", "models", "experiment", "channel"):
        return [[word for word in words if word != "|"]]
    return [[words[0], word] for word in words[1:] if word.isalpha() and word.islower()]


def resolved(words: list[str]) -> tuple[click.Command, click.Context]:
    command: click.Command = cli
    context = click.Context(cli, info_name="thumblab", **cli.context_settings)
    for word in words:
        inner = command.get_command(context, word) if isinstance(command, click.Group) else None
        if inner is None:
            break
        context, command = click.Context(inner, parent=context, info_name=word), inner
    return command, context


def test_a_wrong_option_and_a_wrong_command_are_found() -> None:
    assert "No such option" in (problem(["score", "a.jpg", "--titel", "T"]) or "")
    assert problem(["scores"]) == "thumblab has no command scores"
    assert "is not one of" in (problem(["score", "a.jpg", "--title", "T", "--niche", "cars"]) or "")
    assert problem(["score", "a.jpg", "b.jpg", "--title", "T", "--niche", "tech"]) is None


def test_every_target_of_make_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [text for path in DOCUMENTS if path.name not in HISTORY for _, text, _ in text_lines(path)]
    named = {name for text in texts for name in re.findall(r"(?:^|`)make (?:-C \S+ )?([a-z-]+)", text)}
    assert named - targets == set()


def test_every_module_that_a_document_runs_exists() -> None:
    import importlib.util

    texts = [text for path in DOCUMENTS if path.name not in HISTORY for _, text, _ in text_lines(path)]
    named = {name for text in texts for name in re.findall(r"python -m ([a-z_]+(?:\.[a-z_]+)*)", text)}
    assert named
    assert [name for name in sorted(named) if importlib.util.find_spec(name) is None] == []
