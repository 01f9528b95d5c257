"""One guard for every list that YouTube gives page by page.

A token can come again for ever, and pages can go on without an item: following such a list would spend the day's quota.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Generic

from thumblab_pipelines.youtube.answers import Page, T
from thumblab_pipelines.youtube.errors import Trouble, YouTubeError

MOST_BARREN = 5
"""Pages in a row without anything new after which a list is at its end."""

MOST_PAGES = 400
"""No list is longer: uploads end at 20,000 videos, 50 a page."""

MOST_PAGES_OF_A_SEARCH = 10
"""A search reaches 500 deep, 50 a page."""


class Paging(Generic[T]):
    """Follows one list, from its first page or from where an earlier process left it (`pages`, `cursor`).

    An item is new where no page before had its key; one whose key is None, such as a private video, never is. `cursor` is
    the token to read next, None at the end; `remark` says why the list was left before YouTube ended it, where it was.
    """

    def __init__(
        self,
        what: str,
        key: Callable[[T], Hashable | None],
        most: int = MOST_PAGES,
        pages: int = 0,
        cursor: str | None = None,
    ) -> None:
        self.cursor = cursor
        self.remark: str | None = None
        self._what = what
        self._key = key
        self._most = most
        self._pages = pages
        self._barren = 0
        self._tokens = {cursor}
        self._known: set[Hashable] = set()

    def take(self, page: Page[T]) -> list[T]:
        """The new items of the page that `cursor` named, which now names the one after it."""
        keyed = {key: item for item in page.items if (key := self._key(item)) is not None}
        fresh = {key: item for key, item in keyed.items() if key not in self._known}
        self._known |= fresh.keys()
        self._pages += 1
        self._barren = 0 if fresh else self._barren + 1
        self.cursor = page.cursor
        if page.cursor is not None:
            if page.cursor in self._tokens:
                self._leave("YouTube gave the same token for the next page again")
            elif self._barren >= MOST_BARREN:
                self._leave(f"{MOST_BARREN} pages in a row had nothing new")
            elif self._pages >= self._most:
                self._leave(f"no such list has more than {self._most} pages")
        self._tokens.add(page.cursor)
        return list(fresh.values())

    def refused(self, error: YouTubeError) -> None:
        """End the list where YouTube refuses the token that it gave. Raises any other error."""
        if error.trouble is not Trouble.REQUEST or not error.reason or self.cursor is None:
            raise error
        self._leave(f"YouTube refused its own token for the next one ({error.reason})")

    def _leave(self, why: str) -> None:
        self.cursor = None
        self.remark = f"{self._what} was left after page {self._pages}: {why}"


def pages(paging: Paging[T], ask: Callable[[str | None], Page[T]]) -> Iterator[list[T]]:
    """The new items of each page, until the list ends or the caller has enough."""
    while True:
        try:
            page = ask(paging.cursor)
        except YouTubeError as error:
            paging.refused(error)
            return
        yield paging.take(page)
        if paging.cursor is None:
            return
