"""Read lists that YouTube gives page by page. Reading stops early if a list seems endless.

YouTube may send the same page token again and again, or page after page without items. Reading an endless list would
spend the quota of the day.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Generic

from thumblab_pipelines.youtube.answers import Page, T
from thumblab_pipelines.youtube.errors import ErrorKind, YouTubeError

MAX_PAGES_WITHOUT_NEW_ITEMS = 5
"""Reading stops after this number of pages in a row without a new item."""

MAX_PAGES = 400
"""Maximum number of pages of a list. An uploads playlist ends at 20,000 videos, which are 400 pages of 50."""

MAX_SEARCH_PAGES = 10
"""Maximum number of pages of a search. A search returns at most 500 items, which are 10 pages of 50."""


class Paging(Generic[T]):
    """The reading position in one of YouTube's lists, and the keys of the items that were read.

    `what`: the name of the list in remarks. `key`: a function that returns the key of an item, such as its id. An item
    is new if no earlier page had its key. An item with the key None, such as a private video, is never new. Reading
    starts at the first page, or where an earlier process stopped after `pages` pages. In the second case, `cursor` is
    the token of the next page. `most`: maximum number of pages.

    Attributes
    ----------
    cursor : token of the next page to read. None at the end of the list.
    remark : why reading stopped before the last page of the list, or None if reading reached the last page.
    """

    def __init__(
        self,
        what: str,
        key: Callable[[T], Hashable | None],
        most: int = MAX_PAGES,
        pages: int = 0,
        cursor: str | None = None,
    ) -> None:
        self.cursor = cursor
        self.remark: str | None = None
        self._what = what
        self._key = key
        self._most = most
        self._pages = pages
        self._pages_without_new_items = 0
        self._tokens = {cursor}
        self._known: set[Hashable] = set()

    def take(self, page: Page[T]) -> list[T]:
        """Return the new items of `page`, which was read at `cursor`, and move `cursor` to the next page.

        If the list seems endless, set `cursor` to None and `remark` to the reason.
        """
        keyed = {key: item for item in page.items if (key := self._key(item)) is not None}
        fresh = {key: item for key, item in keyed.items() if key not in self._known}
        self._known |= fresh.keys()
        self._pages += 1
        self._pages_without_new_items = 0 if fresh else self._pages_without_new_items + 1
        self.cursor = page.cursor
        if page.cursor is not None:
            if page.cursor in self._tokens:
                self._stop("YouTube gave the same token for the next page again")
            elif self._pages_without_new_items >= MAX_PAGES_WITHOUT_NEW_ITEMS:
                self._stop(f"{MAX_PAGES_WITHOUT_NEW_ITEMS} pages in a row had no new item")
            elif self._pages >= self._most:
                self._stop(f"no list of this kind has more than {self._most} pages")
        self._tokens.add(page.cursor)
        return list(fresh.values())

    def refused(self, error: YouTubeError) -> None:
        """Stop reading the list if `error` says that YouTube refused the page token `cursor`. Otherwise raise
        `error`."""
        if error.kind is not ErrorKind.REQUEST or not error.reason or self.cursor is None:
            raise error
        self._stop(f"YouTube refused its own token for the next page ({error.reason})")

    def _stop(self, reason: str) -> None:
        self.cursor = None
        self.remark = f"{self._what} was not read beyond page {self._pages}: {reason}"


def pages(paging: Paging[T], ask: Callable[[str | None], Page[T]]) -> Iterator[list[T]]:
    """Yield the new items of each page until the list ends. `ask`: a function that returns the page of a token."""
    while True:
        try:
            page = ask(paging.cursor)
        except YouTubeError as error:
            paging.refused(error)
            return
        yield paging.take(page)
        if paging.cursor is None:
            return
