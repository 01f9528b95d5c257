"""A plain FastAPI handler, as in a tutorial: decode, encode, search and rank in one function.

    python -m benchmarks.service.obvious FOLDER ENCODER PORT

The handler has no limits, no API key, no sub-scores and no releases.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, File, Form, UploadFile
from PIL import Image

from benchmarks.service.lab import LIBRARY, VIT, weights
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.protocol import Vectors, unit


def create_app(folder: Path, encoder: str) -> FastAPI:
    import faiss

    app = FastAPI()
    encode = _open_clip(folder) if encoder == VIT else _builtin()
    random = np.random.default_rng(0)
    dimension = encode([Image.new("RGB", (64, 36))]).shape[1]
    index = faiss.IndexFlatIP(dimension)
    index.add(unit(random.standard_normal((LIBRARY, dimension))))
    names = [f"{n:011d}" for n in range(LIBRARY)]
    slopes = random.standard_normal(dimension).astype(np.float32)

    @app.post("/v1/score")
    def score(title: Annotated[str, Form()], thumbnails: Annotated[list[UploadFile], File()]) -> dict[str, Any]:
        vectors = encode([Image.open(sent.file).convert("RGB") for sent in thumbnails])
        similarities, rows = index.search(vectors, 5)
        scores = vectors @ slopes
        chances = np.exp(scores - scores.max())
        chances /= chances.sum()
        return {
            "title": title,
            "thumbnails": [
                {
                    "id": sent.filename,
                    "score": float(scores[n]),
                    "win_probability": float(chances[n]),
                    "neighbours": [
                        {"video_id": names[row], "similarity": float(similarity)}
                        for row, similarity in zip(rows[n], similarities[n], strict=True)
                    ],
                }
                for n, sent in enumerate(thumbnails)
            ],
        }

    return app


def _open_clip(folder: Path) -> Any:
    """Return a function that encodes pictures in the way that the README of open_clip shows."""
    from thumblab_core.encoders import torchvision_operators  # noqa: F401, I001

    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(VIT, pretrained=str(weights(folder)))
    model.eval()

    def encode(pictures: list[Any]) -> Vectors:
        with torch.no_grad():
            vectors = model.encode_image(torch.stack([preprocess(picture) for picture in pictures]))
        return np.asarray(torch.nn.functional.normalize(vectors, dim=-1).numpy())

    return encode


def _builtin() -> Any:
    encoder = BuiltinEncoder()
    return lambda pictures: encoder.encode_images([np.asarray(picture) for picture in pictures])


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(create_app(Path(sys.argv[1]), sys.argv[2]), port=int(sys.argv[3]), log_level="warning")
