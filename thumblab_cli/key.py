"""`thumblab key`: the API key that the scoring service asks for."""

import click


@click.command()
def command() -> None:
    """Print the API key of the scoring service, made on first use."""
    from thumblab_core.api_key import api_key

    click.echo(api_key())
