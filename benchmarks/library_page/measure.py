"""Measure the page of the library in a browser. `__main__` describes the measurements."""

import importlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.service.lab import KEY, make_lab
from benchmarks.service.measure import running
from demo.planted_map import publish_planted_map
from thumblab_core.releases.release_store import ReleaseStore

POINTS = (10_000, 100_000, 1_000_000)
_NICHES = ("gaming", "news", "beauty")
_FRAMES = 60
_PATIENCE_S = 120
_MOST_WEBGL = 100_000
_CHROMIUM = Path("/usr/bin/chromium")

_LOADED = """(() => {
    const look = () => {
        const map = window.libraryMap;
        if (map?.model && map.ratio && !map.pending) window.loadedAt = performance.now();
        else requestAnimationFrame(look);
    };
    look();
})()"""
"""A script that stores the time at which the whole map has been drawn."""

_MOVE = """(async (zoom) => {
    const map = window.libraryMap;
    map.camera.whole();
    map.camera.zoomAt(zoom);
    map.move();
    await new Promise((resolve) => setTimeout(resolve, 3000));
    map.frames = [];
    for (let frame = 0; frame < %d; frame += 1) {
        map.camera.pan(frame %% 20 < 10 ? 6 : -6, 3);
        map.move();
        await new Promise(requestAnimationFrame);
    }
    const { frames } = map;
    map.frames = null;
    return frames;
})(%s)"""

_WEBGL = """((count) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 800 });
    const gl = canvas.getContext('webgl2');
    if (!gl) return null;
    const shader = (type, source) => {
        const made = gl.createShader(type);
        gl.shaderSource(made, source);
        gl.compileShader(made);
        return made;
    };
    const program = gl.createProgram();
    gl.attachShader(program, shader(gl.VERTEX_SHADER, `#version 300 es
        in vec2 place;
        void main() { gl_Position = vec4(place, 0.0, 1.0); gl_PointSize = 4.0; }`));
    gl.attachShader(program, shader(gl.FRAGMENT_SHADER, `#version 300 es
        precision mediump float;
        out vec4 colour;
        void main() {
            float cover = smoothstep(0.5, 0.35, length(gl_PointCoord - 0.5));
            colour = vec4(0.2, 0.4, 0.6, 1.0) * cover;
        }`));
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, Float32Array.from({ length: 2 * count }, () => 2 * Math.random() - 1), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(gl.getAttribLocation(program, 'place'), 2, gl.FLOAT, false, 0, 0);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    const times = [];
    for (let frame = 0; frame < 5; frame += 1) {
        const start = performance.now();
        gl.clear(gl.COLOR_BUFFER_BIT);
        gl.drawArrays(gl.POINTS, 0, count);
        gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); // It waits until all is drawn.
        times.push(performance.now() - start);
    }
    return Math.min(...times);
})(%d)"""


def measure(points: Sequence[int], console: Console) -> None:
    """Print the times for random maps. `points` has the number of points of each map. If Chromium is missing, print
    only a line that says so.
    """
    if not _CHROMIUM.exists():
        console.print(f"The page of the library was not measured, because the browser {_CHROMIUM} is missing.")
        return
    table = Table(title="The page of the library in a headless Chromium", title_justify="left", box=SIMPLE_HEAD)
    for column in ("points", "load, s", "frame, ms", "p50", "p95", "near, ms", "p50", "p95", "WebGL"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        settings = make_lab(Path(folder), "builtin")
        store = ReleaseStore(settings.releases)
        for niche, count in zip(_NICHES, points, strict=False):
            publish_planted_map(store, count, niche)
        with running("served", folder, "builtin") as server, tempfile.TemporaryDirectory() as profile:
            browser = _browser(Path(profile))
            try:
                for niche, count in zip(_NICHES, points, strict=False):
                    url = f"http://127.0.0.1:{server.port}/library?niche={niche}#key={KEY}"
                    table.add_row(f"{count:,}", *_times(browser, url, count))
            finally:
                browser.close()
    console.print(table)


def _browser(profile: Path) -> Any:
    """Return a browser of the class `Browser` in the tests.

    The folder tests/ is not a Python package, so it is added to the import path.
    """
    sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))
    browser = importlib.import_module("browser").Browser(profile)
    browser.size(1280)
    browser.call("Page.addScriptToEvaluateOnNewDocument", source=_LOADED)
    return browser


def _times(browser: Any, url: str, count: int) -> list[str]:
    browser.call("Page.navigate", url="about:blank")
    browser.call("Page.navigate", url=url)
    deadline = time.monotonic() + _PATIENCE_S
    while not browser.evaluate("window.loadedAt ?? 0"):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the map was not drawn: {browser.text('#problem')}")
        time.sleep(0.1)
    cells = [f"{browser.evaluate('window.loadedAt') / 1000:.2f}"]
    for zoom in (1, 12):
        frames = browser.evaluate(_MOVE % (_FRAMES, json.dumps(zoom)))
        cells += [
            f"{min(frames):.1f}",
            f"{statistics.median(frames):.1f}",
            f"{statistics.quantiles(frames, n=20)[-1]:.1f}",
        ]
    webgl = browser.evaluate(_WEBGL % count) if count <= _MOST_WEBGL else None
    return [*cells, "" if webgl is None else f"{webgl:.0f}"]
