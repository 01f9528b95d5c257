"""`thumblab people`: find, group and name the people in thumbnails."""

import importlib

import click

from thumblab_cli.which_lab import offer_demo

_SUBCOMMANDS = {
    "pipeline": ("steps", "Detect faces, group them and show the figures. With --full, train and group again."),
    "detect": ("steps", "Find and embed the faces of pictures that were not searched yet."),
    "cluster": ("steps", "Match faces to named people, and group all other faces into unknown clusters."),
    "assign": ("steps", "Put new faces into the clusters that there are. No other face moves."),
    "train": ("steps", "Train the matching head on the people who have a name."),
    "stats": ("look", "Show how many faces there are, and who is on how many thumbnails."),
    "show": ("look", "List the clusters, or the faces of one of them."),
    "changes": ("look", "List what people changed, the newest first."),
    "label": ("change", "Give a cluster the name of a person."),
    "unlabel": ("change", "Remove the name of a cluster."),
    "owner": ("change", "Say that a person runs the channel."),
    "merge": ("change", "Merge a cluster into another cluster."),
    "unmerge": ("change", "Take a merge back."),
    "move": ("change", "Put faces into a cluster, or into a new one."),
    "not": ("change", "Say that a face is not this person."),
    "undo": ("change", "Take the last change back."),
    "forget": ("forget", "Delete a person, a face or the faces of a picture everywhere."),
}


class _People(click.Group):
    """The commands of `thumblab people`. Only the module of the called subcommand is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_SUBCOMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _SUBCOMMANDS:
            return None
        module, help_text = _SUBCOMMANDS[name]
        command: click.Command = getattr(importlib.import_module(f"thumblab_cli.commands.people.{module}"), f"{name}_")
        command.short_help = help_text
        offer_demo(command, f"people {name}")
        return command


@click.group(cls=_People)
def command() -> None:
    """Find, group and name the people in thumbnails.

    The search for people is off by default. THUMBLAB_PEOPLE=own searches the thumbnails of your own channels.
    THUMBLAB_PEOPLE=all searches the thumbnails of the whole library. You enter the names. The lab never guesses who
    somebody is. Read docs/people.md about consent first.
    """
