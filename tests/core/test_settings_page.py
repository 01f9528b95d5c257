"""Test docs/settings.md. The page explains every setting, and agrees with the code."""

from thumblab_core.settings import Settings
from thumblab_core.settings_page import PAGE, page


def test_every_setting_is_explained() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "docs/settings.md is out of date; run `python -m thumblab_core.settings_page`"
    )
