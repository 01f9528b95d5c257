"""Control a headless Chromium over the DevTools protocol, for the tests of web pages."""

import base64
import contextlib
import itertools
import json
import subprocess
import time
from pathlib import Path

from websockets.sync.client import connect

from thumblab_serving.routes.page import VERSION

CHROMIUM = Path("/usr/bin/chromium")
KEY = "key-of-the-tests-0123456789"
SCRIPTS = f"/page/{VERSION}"
"""The folder from which the page loads its scripts."""
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync --remote-debugging-port=0 "
    # Draw all pages in one process, without a GPU process. Starting a new process for each page takes as much processor
    # time as the page itself.
    "--in-process-gpu --renderer-process-limit=1 --disable-site-isolation-trials "
    "--disable-features=BackForwardCache,SpareRendererForSitePerProcess,IsolateOrigins,site-per-process"
)


STARTS = 3
"""The number of attempts to start Chromium. On a busy machine, Chromium sometimes ends or hangs while it starts."""


def start_chromium(profile):
    """Start Chromium, and return its process and the URL of its DevTools protocol.

    If Chromium does not start, the error shows the output of each attempt.
    """
    written = []
    for attempt in range(STARTS):
        folder = profile / f"start-{attempt}"
        folder.mkdir(parents=True)
        log = folder / "chromium.log"
        with log.open("w") as output:
            command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={folder}", "about:blank"]
            process = subprocess.Popen(command, stdout=output, stderr=output)
        address = folder / "DevToolsActivePort"
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if address.exists() and len(words := address.read_text().split()) == 2:
                port, path = words
                return process, f"ws://127.0.0.1:{port}{path}"
            time.sleep(0.05)
        end(process)
        written.append(f"start {attempt + 1} (status {process.returncode}):\n{log.read_text()}")
    raise AssertionError(f"{CHROMIUM} did not start:\n" + "\n".join(written))


def end(process):
    """End a process, and kill it if it does not end within 20 s."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(20)


class Browser:
    """One tab of a headless Chromium."""

    def __init__(self, profile):
        self.process, url = start_chromium(profile)
        self.stack = contextlib.ExitStack()
        # Send no pings, because a busy machine may not answer a ping in time.
        self.socket = self.stack.enter_context(
            connect(url, max_size=None, proxy=None, ping_interval=None, open_timeout=60)
        )
        self.ids = itertools.count(1)
        self.events = []
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        self.stack.close()
        end(self.process)

    def call(self, method, **params):
        message = {"id": next(self.ids), "method": method, "params": params}
        self.socket.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            answer = json.loads(self.socket.recv(timeout=120))
            if answer.get("id") == message["id"]:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression, seconds=60):
        """Wait until `expression` is true. If it does not become true, the error shows the text of the page."""
        wait_for(
            lambda: self.evaluate(expression),
            seconds,
            lambda: f"{expression} did not become true; the page shows:\n{self.evaluate('document.body.innerText')}",
        )

    def leave(self):
        """Leave the page, and delete the events that the browser has reported about the page."""
        self.call("Page.navigate", url="about:blank")
        self.wait("location.href === 'about:blank' && document.readyState === 'complete'")
        self.events.clear()

    def open(self, url, ready="form"):
        """Open a page, and wait until it has the element with the id `ready`."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.wait(f"document.readyState === 'complete' && !!document.getElementById({json.dumps(ready)})")

    def choose(self, *paths, field="#files"):
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=field)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def press(self, key, code=None, text="", modifiers=0, times=1):
        """Press and release a key, as a person at a keyboard does."""
        numbers = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowRight": 39, "ArrowDown": 40}
        shared = {"key": key, "code": code or key, "modifiers": modifiers, "windowsVirtualKeyCode": numbers.get(key, 0)}
        for _ in range(times):
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **shared)
            self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def size(self, width, height=900):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def texts(self, selector):
        return self.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map(n => n.textContent)")

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")

    def count(self, selector):
        return self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")

    def click(self, selector):
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def screenshot(self, path, width, height, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self):
        """Return the page's exceptions and logged errors, such as violations of the content security policy."""
        self.evaluate("1")
        return [
            event
            for event in self.events
            if event["method"] == "Runtime.exceptionThrown"
            or (event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error")
        ]


def wait_for(condition, seconds=60, problem=lambda: "the condition did not become true"):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, problem()
        time.sleep(0.05)


def drag(browser, x, y, data):
    """Drag `data` onto the page and drop it at the point (x, y)."""
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data={"dragOperationsMask": 1, **data})


def paste(browser, *paths):
    """Paste pictures into the page, as a person does after copying them in another program."""
    pictures = [base64.b64encode(path.read_bytes()).decode() for path in paths]
    browser.evaluate(f"""(() => {{
        const data = new DataTransfer();
        for (const text of {json.dumps(pictures)}) {{
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            data.items.add(new File([bytes], 'image.png', {{ type: 'image/png' }}));
        }}
        document.body.dispatchEvent(new ClipboardEvent('paste', {{ clipboardData: data, bubbles: true }}));
    }})()""")


def fill(browser, service, *paths, title="I tested every phone under $200"):
    """Open the page, choose pictures, send the form, and wait for an answer or an error."""
    browser.events.clear()
    browser.open(f"{service.url}/#key={KEY}")
    browser.evaluate(f"document.getElementById('title').value = {json.dumps(title)}")
    browser.choose(*paths)
    browser.evaluate("document.getElementById('go').click()")
    browser.wait("!document.getElementById('result').hidden || !document.getElementById('problem').hidden")
