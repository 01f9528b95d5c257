"""Tests of blocks and tasks on a cluster of two nodes: their order, their errors, and the work that a dead worker
loses.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from slow_work import Doubling, Ending, note, noted

from thumblab_core.errors import LabError
from thumblab_core.settings import Settings
from thumblab_pipelines.ray_cluster import computed
from thumblab_pipelines.ray_cluster.cluster import Cluster, cluster_of
from thumblab_pipelines.ray_cluster.connection import ClusterError
from thumblab_pipelines.ray_cluster.tasks import IN_THIS_PROCESS, tasks_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def chosen(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(computed, "_BLOCK", 3)
    return Settings(data_dir=tmp_path, ray_address=address)


def connected(chosen: Settings) -> Cluster:
    cluster = cluster_of(chosen)
    assert cluster is not None
    return cluster


def test_results_have_the_order_of_the_items_and_both_nodes_compute_them(chosen: Settings, tmp_path: Path) -> None:
    places: Counter[str] = Counter()
    doubled = list(computed.computed(chosen, Doubling(tmp_path / "log", 0.2), range(30), places))
    assert doubled == [2 * number for number in range(30)]
    assert sum(places.values()) == 30
    assert len(places) == 2
    assert str(connected(chosen)) == f"Ray cluster {chosen.ray_address}, nodes: 2, workers: 2"


def test_more_items_than_are_prepared_at_once_are_all_computed(
    chosen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computed, "_BLOCKS_AT_ONCE", 2)
    taken = []

    def items() -> "range":
        for number in range(15):
            taken.append(number)
            yield number

    stream = computed.computed(chosen, Doubling(tmp_path / "log"), items(), Counter())
    assert next(stream) == 0
    assert len(taken) == 6, "only the items of two blocks may be taken before the first result"
    assert list(stream) == [2 * number for number in range(1, 15)]


def test_an_error_of_the_lab_in_a_worker_is_raised_as_it_is_and_is_not_tried_again(
    chosen: Settings, tmp_path: Path
) -> None:
    with pytest.raises(LabError, match=r"^-4 cannot be doubled; use a positive number$"):
        list(computed.computed(chosen, Doubling(tmp_path / "log"), [1, 2, 3, -4], Counter()))
    assert Counter(block for _, block in noted(tmp_path / "log", "begin"))["-4"] == 1


def test_a_block_that_ends_its_worker_each_time_is_given_up_and_the_error_is_clear(
    chosen: Settings, tmp_path: Path
) -> None:
    with pytest.raises(ClusterError, match=r"the Ray cluster lost the processes of this work .* start the work again"):
        list(computed.computed(chosen, Ending(tmp_path / "log"), [1, 2, 3, 4, 5, 6], Counter()))
    assert Counter(block for _, block in noted(tmp_path / "log", "begin"))["4"] == 4


def kill_once(log: Path, number: int) -> int:
    note(log, "begin", number)
    if number == 3 and not noted(log, "killed"):
        note(log, "killed", number)
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_a_killed_task_is_computed_again_and_no_other(chosen: Settings, tmp_path: Path) -> None:
    results = tasks_of(chosen).map(partial(kill_once, tmp_path / "log"), range(6))
    assert results == [0, 1, 4, 9, 16, 25]
    begun = Counter(block for _, block in noted(tmp_path / "log", "begin"))
    assert begun == {"0": 1, "1": 1, "2": 1, "3": 2, "4": 1, "5": 1}


def tell_twice(tell: Callable[..., None], number: int) -> None:
    tell("first", number)
    tell("second", number)


def broken(*told: object) -> None:
    raise KeyError("a listener")


def test_what_workers_tell_is_heard_before_the_work_is_over(chosen: Settings) -> None:
    heard: list[tuple[str, int]] = []
    cluster = connected(chosen)
    with cluster.hearing(lambda *told: heard.append(told)) as tell:
        cluster.map(partial(tell_twice, tell), [1, 2])
    with pytest.raises(KeyError, match="a listener"), cluster.hearing(broken) as tell:
        assert cluster.map(partial(tell_twice, tell), [1]) == [None]
    assert sorted(heard) == [("first", 1), ("first", 2), ("second", 1), ("second", 2)]


def test_without_an_address_tasks_run_in_this_process(tmp_path: Path) -> None:
    assert tasks_of(Settings(data_dir=tmp_path)) is IN_THIS_PROCESS


def test_workers_compute_with_as_many_threads_as_they_have_cores(chosen: Settings) -> None:
    assert connected(chosen).map(cores_of_worker, [0]) == [1]
    with pytest.raises(LabError, match=r"no node of the Ray cluster .* has 2 cores and 0 GPUs for a worker"):
        cluster_of(chosen.model_copy(update={"ray_worker_cpus": 2}))


def cores_of_worker(_: int) -> int:
    from thumblab_core.computing.cores import usable_cores

    return usable_cores()
