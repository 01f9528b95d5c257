"""Find out which columns of a Studio table have decimal commas."""

from functools import cached_property

from thumblab_pipelines.owner_ctr.studio_column_names import RATE
from thumblab_pipelines.owner_ctr.studio_numbers import decimal_commas_in, has_decimal_commas
from thumblab_pipelines.owner_ctr.studio_table import StudioTable


class DecimalCommas:
    """Finds out whether the numbers of a column of the table have decimal commas. Columns of one table may differ,
    because a spreadsheet may change only one column.
    """

    def __init__(self, table: StudioTable) -> None:
        self._table = table
        self._known: dict[str, bool] = {}

    @cached_property
    def _of_rates(self) -> bool:
        return has_decimal_commas(self._table.texts_of(RATE))

    def of(self, name: str, counts: bool = True) -> bool:
        """Return whether the column `name` has decimal commas. `counts`: whether the numbers of the column are
        whole."""
        if name == RATE:
            return self._of_rates
        if name not in self._known:
            self._known[name] = decimal_commas_in(self._table.texts_of(name), self._of_rates, counts)
        return self._known[name]
