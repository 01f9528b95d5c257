"""Remove the files of installed packages that the scoring service never opens: `python deploy/trim.py SITE_PACKAGES`.

The wheels of OpenVINO and other packages contain tests, C++ headers, drivers for graphics processors and readers of
model formats that the service does not use. A test installs the service's packages, trims them, and scores a picture.
"""

import shutil
import sys
from pathlib import Path

UNUSED = (
    "openvino/include",
    "openvino/libs/cache.json",
    "openvino/libs/libopenvino_intel_gpu_plugin*",
    "openvino/libs/libopenvino_intel_npu_*",
    "openvino/libs/libopenvino_gguf_frontend*",
    "openvino/libs/libopenvino_jax_frontend*",
    "openvino/libs/libopenvino_paddle_frontend*",
    "openvino/libs/libopenvino_tensorflow_*",
    "scipy/**/tests",
    "sklearn/**/tests",
    "pywt/tests",
)
"""Patterns of unused files and folders below the folder of packages."""


def trim(packages: Path) -> int:
    """Delete the files and folders below `packages` that match `UNUSED`. Return the number of bytes that were freed."""
    freed = 0
    for pattern in UNUSED:
        for path in sorted(packages.glob(pattern)):
            if path.is_dir():
                freed += sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
                shutil.rmtree(path)
            elif path.exists():
                freed += path.lstat().st_size
                path.unlink()
    return freed


if __name__ == "__main__":
    print(f"{trim(Path(sys.argv[1])) / 1e6:.0f} MB removed")
