"""Test that a @handle belongs to one channel at a time."""

from collections.abc import Callable

from thumblab_core.database.channels import find_channel
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.records import ChannelRecord, save_channels


def test_a_handle_that_is_seen_on_another_channel_is_taken_from_the_channel_that_had_it(
    open_lab: Callable[..., Lab],
) -> None:
    lab = open_lab()

    def owners(*handles: str) -> list[str | None]:
        with lab.engine.connect() as connection:
            found = [find_channel(connection, handle) for handle in handles]
        return [None if channel is None else channel.channel_id for channel in found]

    def see(*seen: tuple[str, str | None]) -> None:
        with lab.engine.begin() as connection:
            save_channels(connection, [ChannelRecord(id_, id_, handle=handle) for id_, handle in seen])

    see(("UCa", "@first"), ("UCb", "@second"), ("UCc", None))
    see(("UCc", "@first"))
    assert owners("@first", "@second") == ["UCc", "UCb"]
    with lab.engine.connect() as connection:
        former = find_channel(connection, "UCa")
    assert former is not None
    assert former.handle is None
    see(("UCb", "@first"), ("UCc", "@second"))  # Two channels exchange their @handles.
    assert owners("@first", "@second") == ["UCb", "UCc"]
    # The answer has no @handle for this channel. The channel may still have its old @handle, so the lab keeps the old
    # @handle.
    see(("UCb", None))
    assert owners("@first", "@second") == ["UCb", "UCc"]
