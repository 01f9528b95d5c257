"""Write all pages of the reference: `python -m thumblab_cli.reference`."""

from thumblab_cli.reference.pages import PAGES


def main() -> None:
    for path, text in PAGES.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
