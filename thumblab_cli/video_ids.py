"""Take the ids of videos as arguments of a command."""

import click

VIDEO_IDS_SETTINGS = {"ignore_unknown_options": True, "help_option_names": ["--help"]}
"""The `context_settings` of a `VideoIdsCommand`."""


class VideoIdsCommand(click.Command):
    """A command that takes video ids as arguments, even if an id begins with a hyphen.

    One YouTube id in 64 begins with a hyphen, and some ids begin with `-h`. click would read an id that begins with
    `-h` as the option `-h`. This class reads only the argument `-h` itself as the option.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = args[: args.index("--")] if "--" in args else args
        return super().parse_args(ctx, ["--help"] if "-h" in options else args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help that click writes for an ordinary command with the same parameters.

        click does not know that this class accepts `-h`, so click's help for this class would not list this option.
        """
        ordinary = click.Command(self.name, params=self.params, help=self.help)
        names = ["-h", "--help"]
        shown = click.Context(ordinary, parent=ctx.parent, info_name=ctx.info_name, help_option_names=names)
        ordinary.format_help(shown, formatter)
