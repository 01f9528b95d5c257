"""Run the whole lab on a large synthetic catalogue: collect videos and pictures, encode them, estimate views, make
pairs, train a model and evaluate it.

    python -m benchmarks.scale.whole [--videos N] [--channels N] [--folder DIR]

The emulator of YouTube runs in another process, and computes each video of its catalogue when it is requested. The lab
collects the videos over HTTP, with one day's quota. The pictures are encoded by the built-in encoder, which needs no
weights and takes the place of a neural encoder. Sub-scores are not measured.

After each step, a line shows the processor time of the step, its seconds on the clock, and the peak memory of this
process so far. With the default of 200,000 videos, the run takes hours on two cores.

A second run with the same `--folder` continues where the first run stopped.
"""

import argparse
import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

_KEY = "AIzaSecretOfTheBenchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=200_000, help="number of videos (default: %(default)s)")
    parser.add_argument("--channels", type=int, default=1_500, help="number of channels (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="data folder of the lab (default: a temporary folder)")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="thumblab-whole-") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        # If root starts the embedded server, the server runs as another user. This user must be able to enter the
        # folder.
        folder.chmod(0o755)
        with _emulator(options.channels, options.videos) as endpoint:
            _run(folder, endpoint, options.channels, options.videos)


def _run(folder: Path, endpoint: str, channels: int, videos: int) -> None:
    from demo.catalogues.vast import vast_catalogue
    from thumblab_core.embedded_postgres import server
    from thumblab_core.settings import Settings
    from thumblab_pipelines.collection.crawl import crawl
    from thumblab_pipelines.collection.crawl_names import add_channels
    from thumblab_pipelines.collection.download import download_thumbnails
    from thumblab_pipelines.dataset.pairs import build_pairs
    from thumblab_pipelines.features.baselines import compute_baselines
    from thumblab_pipelines.features.embed import embed
    from thumblab_pipelines.features.views_at_age import compute_views_at_age
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.models.build import build_model

    settings = Settings(
        _env_file=None,
        data_dir=folder / "lab",
        image_encoder="builtin",
        youtube_endpoint=endpoint,
        youtube_api_key=_KEY,
        train_only_on_opted_in=False,
    )
    lab = Lab.open(settings)
    try:
        catalogue = vast_catalogue(channels, videos)
        listed = [channel for channel in map(catalogue.channel, catalogue.channel_ids) if channel is not None]
        for niche in lab.niches:
            add_channels(lab, niche, [channel.channel_id for channel in listed if channel.niche == niche])
        _each(lab.niches, "crawl", lambda niche: crawl(lab, niche).videos_looked_at)
        _each(lab.niches, "download", lambda niche: download_thumbnails(lab, niche).downloaded)
        _each(lab.niches, "embed", lambda niche: embed(lab, niche).images)
        _each(lab.niches, "histories", lambda niche: compute_views_at_age(lab, niche).estimated)
        _each(lab.niches, "baselines", lambda niche: compute_baselines(lab, niche).channels)
        _each([""], "pairs", lambda _: sum(build_pairs(lab).release.info["pairs"].values()))
        _each([""], "figures of the model", lambda _: len(build_model(lab).evaluations))
    finally:
        lab.engine.dispose()
        server.stop(settings, force=True)


def _each(names: Iterable[str], step: str, work: Callable[[str], int]) -> None:
    """Call `work` for each name. Print the sum of the results, and the time and the memory of this step."""
    before, start = _cpu(), time.monotonic()
    total = sum(work(name) for name in names)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"{step}: {total:,}; {_cpu() - before:,.1f} s of processor time, {time.monotonic() - start:,.1f} s, "
        f"peak {peak / 1e6:,.0f} MB",
        flush=True,
    )


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def _emulator(channels: int, videos: int) -> Iterator[str]:
    """Serve the catalogue from another process, so that its memory is not measured. Yield the address of the server."""
    here, there = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(there, channels, videos))
    process.start()
    try:
        yield here.recv()
        here.send(None)
    finally:
        process.join(10)
        if process.is_alive():
            process.terminate()


def _serve(pipe: Connection, channels: int, videos: int) -> None:
    from demo.catalogues.vast import vast_catalogue
    from demo.emulator import Emulator

    with Emulator(vast_catalogue(channels, videos), key=_KEY, daily_units=10_000) as emulator:
        pipe.send(emulator.endpoint)
        pipe.recv()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
