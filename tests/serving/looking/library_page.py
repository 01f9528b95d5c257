"""Publish library maps of the videos of the fixture `looked`, and control the page `/library` in the browser."""

import io
import json
from datetime import date
from itertools import pairwise

import numpy as np
from browser import KEY, drag
from PIL import Image

from thumblab_core.images import digest
from thumblab_core.library_map.atlases import HEIGHT, WIDTH
from thumblab_core.library_map.files import LIBRARY_MAP, MapContent, write_map
from thumblab_core.library_map.map_figures import Cluster, Growth, Multiple
from thumblab_core.library_map.points import Points
from thumblab_core.sub_scores import NAMES

GROUPS = (("cars", "race"), ("bread", "bake"), ("phone", "unboxing"), ("tokyo", "night"))
"""The words of the groups of the map. Video number n is in the group n modulo four, and has the title n modulo four."""
CORNERS = ((0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8))


def places(count):
    """Return the places of the videos, float [count, 2]. The videos of each group are near one corner of the map."""
    rng = np.random.default_rng(0)
    return np.array([CORNERS[n % 4] for n in range(count)]) + rng.uniform(-0.12, 0.12, (count, 2))


def publish_map(looked, scope="tech", numbers=None):
    """Publish and promote a map of the videos, with their pictures. If `numbers` is given, the map has only the videos
    with these indices in `looked.data.items`.
    """
    numbers = range(len(looked.data.items)) if numbers is None else numbers
    items = [looked.data.items[n] for n in numbers]
    xy = places(len(looked.data.items))[list(numbers)]
    epoch = date(1970, 1, 1)
    group = np.array([n % 4 for n in numbers], np.int32)
    by_sha = {digest(data): data for data in looked.data.pictures}
    points = Points(
        x=xy[:, 0].astype(np.float32),
        y=xy[:, 1].astype(np.float32),
        video_id=[item.video_id for item in items],
        title=[item.title for item in items],
        channel=[item.channel for item in items],
        niche=["tech"] * len(items),
        published_day=np.array([(item.published_on - epoch).days for item in items], np.int32),
        outlier_multiple=np.array([item.outlier_multiple or np.nan for item in items], np.float32),
        views_per_hour=np.array([item.views_per_hour for item in items], np.float32),
        cluster=group,
        fine_cluster=np.full(len(items), -1, np.int32),
        sub_scores={name: _scores(name, group) for name in NAMES},
        tile=np.arange(len(items), dtype=np.int32),
    )
    content = MapContent(points, clusters_of(points, xy), [digest(looked.data.pictures[n]) for n in numbers])

    def load(sha256):
        picture = Image.open(io.BytesIO(by_sha[sha256])).convert("RGB").resize((WIDTH, HEIGHT))
        return np.asarray(picture)

    release = looked.lab.store.publish(
        LIBRARY_MAP, scope, lambda folder: write_map(folder, content, load), {"videos": len(items)}
    )
    looked.lab.store.serving.promote(release)
    return release


def _scores(name, group):
    """Return the sub-score `name` of each video. The videos of group 0 have a higher contrast than the other videos."""
    rng = np.random.default_rng(len(name))
    values = rng.uniform(0.3, 0.5, len(group))
    return np.where((group == 0) & (name == "contrast"), values + 0.4, values).astype(np.float32)


def clusters_of(points, xy):
    growth = Growth(weeks=(1, 2, 3, 4), recent=4, before=6, ratio=1.5, low=1.1, high=2.0, rising=True)
    found = []
    for number, words in enumerate(GROUPS):
        rows = np.flatnonzero(points.cluster == number)
        if len(rows) == 0:
            continue
        found.append(
            Cluster(
                level=0,
                id=number,
                parent=None,
                label=words,
                traits=("Stronger contrast than elsewhere",) if number == 0 else (),
                medoid=points.video_id[rows[0]],
                x=float(xy[rows, 0].mean()),
                y=float(xy[rows, 1].mean()),
                videos=len(rows),
                channels=1,
                outlier_multiple=Multiple(median=1.8, low=1.2, high=2.5, videos=len(rows)),
                growth=growth,
            )
        )
    return found


def open_library(page, service, niche="tech"):
    page.open(f"{service.url}/library?niche={niche}#key={KEY}", ready="look")
    page.wait("!document.getElementById('map-parts').hidden && document.getElementById('count').textContent !== ''")


def on_canvas(page, x, y):
    """Return the position in the window, in CSS pixels, of the place (x, y) on the map."""
    return page.evaluate(f"""(() => {{
        const box = document.getElementById('frame').getBoundingClientRect();
        const [px, py] = window.libraryMap.camera.toCanvas({x}, {y});
        return [box.left + px, box.top + py];
    }})()""")


def mouse(page, kind, x, y, **more):
    page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)


def draw_lasso(page, corners):
    """Draw a lasso around corners of the map, with the mouse."""
    path = [on_canvas(page, x, y) for x, y in [*corners, corners[0]]]
    mouse(page, "mousePressed", *path[0], button="left", buttons=1, clickCount=1)
    for before, after in pairwise(path):
        for share in (0.25, 0.5, 0.75, 1):
            place = [a + (b - a) * share for a, b in zip(before, after, strict=True)]
            mouse(page, "mouseMoved", *place, button="left", buttons=1)
    mouse(page, "mouseReleased", *path[-1], button="left", clickCount=1)


def search(page, text, where="titles"):
    page.evaluate(f"""(() => {{
        const choice = document.getElementById('search-in');
        choice.value = {json.dumps(where)};
        choice.dispatchEvent(new Event('change'));
        const field = document.getElementById('search');
        field.value = {json.dumps(text)};
        field.form.requestSubmit();
    }})()""")


def found(page):
    """Return the titles of the videos that the search found, in the order in which the page shows the videos."""
    return page.texts("#found-list .video-title")


def requested(page):
    """Return the addresses of all requests that the page sent."""
    events = [event["params"] for event in page.events if event["method"] == "Network.requestWillBeSent"]
    return [event["request"]["url"] for event in events]


def choose(page, field, value):
    """Set a field, and send the event that a browser sends when a person changes the field."""
    page.evaluate(f"""(() => {{
        const field = document.getElementById({json.dumps(field)});
        field.value = {json.dumps(value)};
        field.dispatchEvent(new Event('change'));
    }})()""")


def drop_picture(page, path):
    """Drop a picture file onto the page."""
    drag(page, 300, 300, {"items": [], "files": [str(path)]})


def shown(page, selector):
    return page.evaluate(f"document.querySelector({json.dumps(selector)}).checkVisibility()")


def settle(page):
    """Wait until the requested pictures have arrived, and the page has drawn the map with these pictures."""
    page.wait("window.libraryMap.model.atlas.running === 0")
    page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")


def pixel(page, video_id):
    """Return the colour of a video's point as [red, green, blue]."""
    return page.evaluate(f"""(() => {{
        const {{ camera, model, ratio }} = window.libraryMap;
        const row = model.points.find({json.dumps(video_id)});
        const [px, py] = camera.toCanvas(model.points.x[row], model.points.y[row]);
        const canvas = document.getElementById('points');
        return [...canvas.getContext('2d').getImageData(px * ratio, py * ratio, 1, 1).data].slice(0, 3);
    }})()""")
