"""Test the names by which a person can choose a channel: an id, a title, a @handle or a link."""

import pytest

from thumblab_core.errors import LabError
from thumblab_core.given_text import channel_name

ID = "UCBJycsmduvYEL83R_U4JriQ"


@pytest.mark.parametrize("start", ["https://www.youtube.com", "http://youtube.com", "m.youtube.com", "youtube.com"])
@pytest.mark.parametrize("end", ["", "/", "/videos", "?view=0", "/about?x=1#y"])
def test_a_link_is_read_as_the_id_or_the_handle_in_it(start: str, end: str) -> None:
    assert channel_name(f" {start}/channel/{ID}{end} ") == ID
    assert channel_name(f"{start}/@mkbhd{end}") == "@mkbhd"


def test_a_link_of_studio_and_an_escaped_handle_are_read() -> None:
    assert channel_name(f"https://studio.youtube.com/channel/{ID}/videos/upload?filter=%5B%5D") == ID
    assert channel_name("https://www.youtube.com/@%E3%83%86%E3%82%B9%E3%83%88") == "@テスト"


@pytest.mark.parametrize(
    "name", [ID, "@mkbhd", "Marques Brownlee", "a/b: the channel", "youtube.com fans", "5-Minute Crafts"]
)
def test_any_other_name_is_kept(name: str) -> None:
    assert channel_name(f" {name}\n") == name


@pytest.mark.parametrize(
    "link",
    [
        "https://youtube.com/c/name",
        "https://www.youtube.com/user/name",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://youtu.be/dQw4w9WgXcQ",
        "youtube.com/c/name",
        f"https://evil.example/channel/{ID}",
        f"https://evil.example/youtube.com/channel/{ID}",
        f"https://youtube.com.evil.example/channel/{ID}",
        f"https://youtube.com@evil.example/channel/{ID}",
        "https://www.youtube.com/channel/../x",
        "https://www.youtube.com/channel/",
        "//www.youtube.com",
    ],
)
def test_another_link_is_refused_with_the_ways_to_name_a_channel(link: str) -> None:
    with pytest.raises(LabError, match=r"is not a link to a channel; give its id \(UC\.\.\.\)"):
        channel_name(link)


@pytest.mark.parametrize(
    "handle", ["@%00", "@a%0Ab", "@a%7F", "@%C2%85a", "@%20", "@a%20b", "@%E2%80%8B", "@%ED%B0%80", "@%ff", "@a%2Fb"]
)
def test_a_link_with_escapes_that_are_not_a_handle_is_refused(handle: str) -> None:
    with pytest.raises(LabError, match=rf"the @handle in 'https://youtube\.com/{handle}' .+; give its id \(UC\.\.\.\)"):
        channel_name(f"https://youtube.com/{handle}")


@pytest.mark.parametrize("text", ["", "  ", "\u200b", "a\0b", "\udc80"])
def test_a_blank_or_broken_name_is_refused(text: str) -> None:
    with pytest.raises(LabError, match=r"give its id \(UC\.\.\.\)"):
        channel_name(text)
