"""Keep answers of the service back in a page of the browser, or let requests fail."""

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
    """Keep the answers to all further requests back whose address has `part` in it."""
    page.evaluate(f"'held' in window || {_FETCH}")
    page.evaluate(f"window.slow = {json.dumps(part)}")


def fail(page, part):
    """Let all further requests fail whose address has `part` in it. With None, none fails."""
    page.evaluate(f"'held' in window || {_FETCH}")
    page.evaluate(f"window.failing = {json.dumps(part)}")


def wait_for_held(page, count=1):
    """Wait until so many answers are kept back, and keep no further ones back."""
    page.wait(f"window.held.length === {count}")
    page.evaluate("window.slow = null")


def release(page):
    """Give the page the answers that were kept back, and time to do with them what it does."""
    page.evaluate("window.slow = null; window.held.splice(0).forEach((resolve) => resolve())")
    page.evaluate("new Promise((resolve) => setTimeout(resolve, 300))")
