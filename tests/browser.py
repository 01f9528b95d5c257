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
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-port=0 "
    # Draw all pages in one process, without a GPU process. Starting a new process for each page takes as much processor
    # time as the page itself.
    "--in-process-gpu --renderer-process-limit=1 --disable-site-isolation-trials "
    "--disable-features=BackForwardCache,SpareRendererForSitePerProcess,IsolateOrigins,site-per-process"
)


class Browser:
    """One tab of a headless Chromium."""

    def __init__(self, profile):
        self.process = subprocess.Popen(
            [CHROMIUM, *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port_file = profile / "DevToolsActivePort"
        wait_for(lambda: port_file.exists() and len(port_file.read_text().split()) == 2)
        port, path = port_file.read_text().split()
        self.stack = contextlib.ExitStack()
        url = f"ws://127.0.0.1:{port}{path}"  # Send no pings, because a busy machine may not answer a ping in time.
        self.socket = self.stack.enter_context(connect(url, max_size=None, proxy=None, ping_interval=None))
        self.ids = itertools.count(1)
        self.events = []
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        self.stack.close()
        self.process.terminate()
        self.process.wait(20)

    def call(self, method, **params):
        message = {"id": next(self.ids), "method": method, "params": params}
        self.socket.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            answer = json.loads(self.socket.recv(timeout=30))
            if answer.get("id") == message["id"]:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression, seconds=20):
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


def wait_for(condition, seconds=20, problem=lambda: "the condition did not become true"):
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
