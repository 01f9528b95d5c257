"""Delay the answers that a page in the browser gets from the service, or let the requests of the page fail."""

import json

_FETCH = """(() => {
    const real = window.fetch;
    Object.assign(window, { slow: null, failing: null, held: [] });
    window.fetch = async (path, options) => {
        const is = (part) => part !== null && String(path).includes(part);
        if (is(window.failing)) return Response.json({ detail: 'it failed' }, { status: 503 });
        const slow = is(window.slow);
        const reply = await real(path, options);
        if (!slow) return reply;
        const body = await reply.blob();
        await new Promise((resolve) => window.held.push(resolve));
        return new Response(body, { status: reply.status, headers: reply.headers });
    };
})()"""


def hold(page, part):
    """Hold back the answers to all further requests whose address contains `part`."""
    page.evaluate(f"'held' in window || {_FETCH}")
    page.evaluate(f"window.slow = {json.dumps(part)}")


def fail(page, part):
    """Make all further requests fail if their address contains `part`. If `part` is None, no request fails."""
    page.evaluate(f"'held' in window || {_FETCH}")
    page.evaluate(f"window.failing = {json.dumps(part)}")


def wait_for_held(page, count=1):
    """Wait until `count` answers are held back, and hold back no further answers."""
    page.wait(f"window.held.length === {count}")
    page.evaluate("window.slow = null")


def release(page):
    """Deliver the held answers to the page, and wait until the page has had time to use the answers."""
    page.evaluate("window.slow = null; window.held.splice(0).forEach((resolve) => resolve())")
    page.evaluate("new Promise((resolve) => setTimeout(resolve, 300))")
