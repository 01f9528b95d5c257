"""Test that the dataclasses of the client have the same fields as the answers of the service."""

from thumblab_serving.client_models import FOLDER, formatted, modules, openapi


def test_the_models_of_the_client_are_current() -> None:
    texts = modules(openapi())
    assert {path.stem for path in FOLDER.glob("*.py")} == set(texts)
    for module, text in texts.items():
        written = (FOLDER / f"{module}.py").read_text(encoding="utf-8")
        assert written == formatted(text), (
            "the client's models are out of date; run `python -m thumblab_serving.client_models`"
        )
