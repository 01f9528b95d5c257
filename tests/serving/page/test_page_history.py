"""Test the history of comparisons, which the browser keeps, and the outcomes that are sent to the lab."""

import json
from hashlib import sha256

import pytest
from browser import KEY, SCRIPTS, fill
from late_answers import hold, release, wait_for_held
from sqlalchemy import create_engine, text

CHANNEL = "UC" + "c" * 22
COMPARISONS = f"import('{SCRIPTS}/comparisons.js')"


@pytest.fixture(scope="module")
def stocked(lab_at, run, migrated_database, tmp_path_factory):
    """A running service with a model, a library and a database."""
    lab = lab_at(tmp_path_factory.mktemp("stocked"), database_url=migrated_database())
    lab.promote(lab.index("tech"))
    lab.promote(lab.model())
    with run(lab.settings) as service:
        service.lab = lab
        yield service


@pytest.fixture(autouse=True)
def empty_history(browser, stocked):
    browser.open(f"{stocked.url}/#history")
    browser.wait("document.getElementById('history-size').textContent !== ''")
    if not browser.evaluate("document.getElementById('clear').hidden"):
        clear(browser)


def show_history(browser):
    browser.click("nav a[href='#history']")
    browser.wait("!document.getElementById('view-history').hidden")
    browser.wait("document.getElementById('history-size').textContent !== ''")


def clear(browser):
    browser.click("#clear")
    browser.click("#confirm-yes")
    browser.wait("document.querySelectorAll('.past').length === 0")


def compare(browser, service, *paths, title):
    fill(browser, service, *paths, title=title)
    show_history(browser)
    browser.wait(f"document.querySelector('.past h3')?.textContent === {json.dumps(title)}")


def test_each_comparison_is_kept_and_shown_again_with_its_pictures(browser, stocked, files):
    compare(browser, stocked, *files, title="The first title")
    compare(browser, stocked, *files[:2], title="The <i>second</i> title")
    assert browser.texts(".past h3") == ["The <i>second</i> title", "The first title"]
    assert browser.evaluate("[...document.querySelectorAll('.past')].map(n => n.querySelectorAll('img').length)") == [
        2,
        3,
    ]
    assert browser.text("#history-size").startswith("2 comparisons with ")
    browser.open(f"{stocked.url}/#history")
    browser.wait("document.querySelectorAll('.past').length === 2")
    browser.evaluate("document.querySelectorAll('.past')[1].querySelector('button').click()")
    browser.wait("!document.getElementById('result').hidden")
    assert browser.evaluate("location.hash") == "#compare"
    assert browser.evaluate("document.getElementById('title').value") == "The first title"
    assert browser.count("#chosen li") == browser.count(".card") == 3
    browser.wait("[...document.querySelectorAll('.card .picture img')].every(n => n.naturalWidth === 320)")
    assert browser.evaluate("document.getElementById('outdated').hidden")
    assert browser.text("#asked dd") == "The first title"
    assert browser.complaints() == []


def test_one_comparison_or_all_can_be_deleted(browser, stocked, files):
    compare(browser, stocked, *files[:2], title="One")
    compare(browser, stocked, *files[:2], title="Two")
    browser.evaluate("[...document.querySelectorAll('.past button')].find(n => n.textContent === 'Delete').click()")
    browser.wait("document.querySelectorAll('.past').length === 1")
    assert browser.texts(".past h3") == ["One"]
    browser.click("#clear")
    browser.click("#confirm-no")
    assert browser.count(".past") == 1
    clear(browser)
    assert browser.text("#history-size").startswith("Nothing is kept yet")


def test_a_live_answer_replaces_the_comparison_before(browser, stocked, files):
    fill(browser, stocked, *files[:2], title="A title that is")
    browser.click("#live")
    browser.evaluate("""(() => { const field = document.getElementById('title'); field.value = 'A title that is typed';
        field.dispatchEvent(new Event('input', { bubbles: true })); })()""")
    browser.wait("document.querySelector('#asked dd').textContent === 'A title that is typed'")
    browser.click("#live")
    show_history(browser)
    browser.wait("document.querySelector('.past h3')?.textContent === 'A title that is typed'")
    assert browser.count(".past") == 1


@pytest.mark.slow
def test_the_oldest_comparisons_are_deleted_beyond_the_limit(browser, stocked, files):
    compare(browser, stocked, *files[:2], title="The newest")
    deleted = browser.evaluate(
        COMPARISONS
        + """.then(async ({ keep, stored, MOST_COMPARISONS }) => {
        const [newest] = await stored();
        const { id, ...old } = newest;
        // `keep` would read all comparisons after each of them. So all but the last are stored at once.
        const request = indexedDB.open('thumblab', 1);
        await new Promise((resolve) => { request.onsuccess = resolve; });
        const transaction = request.result.transaction('comparisons', 'readwrite');
        for (let n = 1; n < MOST_COMPARISONS; n += 1) {
            const at = `2020-01-01T00:00:${String(n).padStart(3, '0')}Z`;
            transaction.objectStore('comparisons').put({ ...old, at });
        }
        await new Promise((resolve) => { transaction.oncomplete = resolve; });
        request.result.close();
        const before = (await stored()).length;
        const last = await keep({ ...old, at: '2021-01-01T00:00:00Z' });
        const oldest = (await stored()).at(-1).at;
        return [before, last.deleted, (await stored()).length, oldest, MOST_COMPARISONS];
    })"""
    )
    assert deleted == [200, 1, 200, "2020-01-01T00:00:002Z", 200]
    large = browser.evaluate(
        COMPARISONS
        + """.then(async ({ keep, stored, MOST_BYTES }) => {
        const [{ id, ...newest }] = await stored();
        const pictures = [{ name: 'large', file: new Blob([new Uint8Array(MOST_BYTES)]) }];
        await keep({ ...newest, at: '2999-01-01T00:00:00Z', pictures });
        return (await stored()).map((one) => one.at.slice(0, 4));
    })"""
    )
    assert large == ["2999"]


def outcome(browser, **fields):
    """Fill in and send the form that reports an outcome. Return the error that the page shows, or an empty text."""
    for name, value in fields.items():
        browser.evaluate(f"document.getElementById('outcome-{name}').value = {json.dumps(value)}")
    browser.click("#outcome-send")
    browser.wait("!document.getElementById('outcome-send').disabled")
    return (
        ""
        if browser.evaluate("document.getElementById('outcome-problem').hidden")
        else browser.text("#outcome-problem")
    )


def test_an_outcome_becomes_an_experiment_with_the_tested_pictures(browser, stocked, files):
    compare(browser, stocked, *files, title="What was tested")
    browser.evaluate(
        "[...document.querySelectorAll('.past button')].find(n => n.textContent.startsWith('Add')).click()"
    )
    browser.wait("document.getElementById('outcome').open")
    assert outcome(browser) == "Mark the picture that won."
    names = browser.evaluate(
        "[...document.querySelectorAll('#outcome-variants input[type=checkbox]')].map(n => n.name)"
    )
    browser.evaluate("document.querySelectorAll('#outcome-variants input[type=radio]')[1].click()")
    assert "channel" in outcome(browser)
    assert "video" in outcome(browser, channel=CHANNEL)
    assert "first day" in outcome(browser, video="https://youtu.be/dQw4w9WgXcQ?t=4")
    assert outcome(browser, started="2020-11-30", ended="2020-11-01"), (
        "the page must show the reason that the service gives"
    )
    assert outcome(browser, started="2020-11-01", ended="2020-11-09") == ""
    browser.wait("document.querySelectorAll('.past .outcome').length === 1")
    assert f"{names[1]} won" in browser.text(".past .outcome")
    with create_engine(stocked.lab.settings.database_url.get_secret_value()).connect() as connection:
        row = connection.execute(text("SELECT channel_id, video_id, winner FROM experiments")).one()
        stored = connection.execute(text("SELECT sha256 FROM experiment_variants ORDER BY position")).scalars().all()
    assert tuple(row) == (CHANNEL, "dQw4w9WgXcQ", 2)
    by_name = {path.name: sha256(path.read_bytes()).hexdigest() for path in files}
    assert stored == [by_name[name] for name in names[:2]]
    browser.open(f"{stocked.url}/#history")
    browser.wait("document.querySelectorAll('.past .outcome').length === 1")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("dQw4w9WgXcQ", "dQw4w9WgXcQ"),
        (" https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=1 ", "dQw4w9WgXcQ"),
        ("youtu.be/dQw4w9WgXcQ", "dQw4w9WgXcQ"),
        ("https://studio.youtube.com/video/dQw4w9WgXcQ/edit", "dQw4w9WgXcQ"),
        ("https://www.youtube.com/shorts/dQw4w9WgXcQ", "dQw4w9WgXcQ"),
        ("not a video", "not a video"),
        ("", ""),
    ],
)
def test_a_video_is_found_in_each_kind_of_link(browser, given, expected):
    found = browser.evaluate(f"import('{SCRIPTS}/outcome.js').then(m => m.videoId({json.dumps(given)}))")
    assert found == expected


def test_a_browser_that_keeps_nothing_says_so_and_ranks(browser, stocked, files):
    browser.open(f"{stocked.url}/#key={KEY}")
    browser.evaluate("""Object.defineProperty(window, 'indexedDB', { configurable: true,
        value: { open() { throw new DOMException('it is turned off', 'SecurityError'); } } }); undefined""")
    browser.evaluate("document.getElementById('title').value = 'Not kept'")
    browser.choose(*files[:2])
    browser.click("#go")
    browser.wait("!document.getElementById('kept').hidden")
    assert "could not store it (it is turned off)" in browser.text("#kept")
    assert browser.count(".card") == 2


def test_a_slow_outcome_is_kept_with_its_own_comparison(browser, stocked, files):
    compare(browser, stocked, *files, title="What was tested")
    compare(browser, stocked, *files[:2], title="What came later")
    hold(browser, "v1/experiments")
    open_outcome = "[...document.querySelectorAll('.past')].{}.querySelectorAll('button')[1].click()"
    browser.evaluate(open_outcome.format("at(-1)"))
    browser.evaluate("document.querySelectorAll('#outcome-variants input[type=radio]')[0].click()")
    for name, value in {"channel": CHANNEL, "video": "aaaaaaaaaaa", "started": "2020-11-01"}.items():
        browser.evaluate(f"document.getElementById('outcome-{name}').value = {json.dumps(value)}")
    browser.click("#outcome-send")
    wait_for_held(browser)
    browser.click("#outcome-cancel")
    browser.evaluate(open_outcome.format("at(0)"))
    release(browser)
    browser.wait("document.querySelectorAll('.past .outcome').length === 1")
    assert browser.evaluate("document.getElementById('outcome').open"), "the form of the other comparison stays open"
    titled = "document.querySelector('.past .outcome').closest('.past').querySelector('h3').textContent"
    assert browser.evaluate(titled) == "What was tested"
    browser.click("#outcome-cancel")


SEEN = {
    "threshold": 0.7,
    "thumbnails": [{"id": "one.jpg", "faces": [{"box": [0, 0, 1, 1], "person": {"name": "Zenobia Quill"}}]}],
    "people": [{"person_id": "person_0123456789ab", "name": "Zenobia Quill"}],
    "note": "",
}
STORED = """new Promise((resolve) => {
    const request = indexedDB.open('thumblab', 1);
    request.onsuccess = () => {
        const all = request.result.transaction('comparisons').objectStore('comparisons').getAll();
        all.onsuccess = () => { request.result.close(); resolve(JSON.stringify(all.result)); };
    };
})"""


def test_who_is_seen_in_a_picture_is_never_kept(browser, stocked, files):
    compare(browser, stocked, *files[:2], title="Without anybody")
    browser.evaluate(f"""(() => {{ const ask = window.fetch; window.fetch = async (path, options) => {{
        const reply = await ask(path, options);
        if (!path.startsWith('v1/score')) return reply;
        window.answeredWithPeople = path;
        return Response.json({{ ...(await reply.json()), people: {json.dumps(SEEN)} }});
    }}; }})()""")
    browser.click("nav a[href='#compare']")
    browser.evaluate("document.getElementById('title').value = 'With somebody'")
    browser.evaluate("document.getElementById('go').click()")
    browser.wait("document.querySelector('#asked dd')?.textContent === 'With somebody'")
    assert browser.evaluate("window.answeredWithPeople") == "v1/score?people=false", "nobody must be searched for"
    show_history(browser)
    browser.wait("document.querySelector('.past h3')?.textContent === 'With somebody'")
    kept = browser.evaluate(STORED)
    assert "With somebody" in kept
    assert "Zenobia" not in kept
    given = browser.evaluate(
        COMPARISONS
        + f""".then(async ({{ keep, stored }}) => {{
        const [{{ id, ...newest }}] = await stored();
        const answer = {{ ...newest.answer, people: {json.dumps(SEEN)} }};
        await keep({{ ...newest, answer: {{ ...answer, other_niches: [answer] }} }});
        return {STORED};
    }})"""
    )
    assert given.count("With somebody") > kept.count("With somebody")
    assert "Zenobia" not in given


def test_who_is_seen_is_deleted_from_comparisons_that_were_kept_before(browser, stocked, files):
    compare(browser, stocked, *files[:2], title="An old one")
    before = browser.evaluate(
        f"""new Promise((resolve) => {{
        const request = indexedDB.open('thumblab', 1);
        request.onsuccess = () => {{
            const transaction = request.result.transaction('comparisons', 'readwrite');
            const store = transaction.objectStore('comparisons');
            store.getAll().onsuccess = ({{ target }}) => {{
                const [one] = target.result;
                store.put({{ ...one, answer: {{ ...one.answer, people: {json.dumps(SEEN)} }} }});
            }};
            transaction.oncomplete = () => {{ request.result.close(); resolve({STORED}); }};
        }};
    }})"""
    )
    assert "Zenobia" in before
    browser.open(f"{stocked.url}/#history")
    browser.wait("document.querySelectorAll('.past').length === 1")
    read = browser.evaluate(
        COMPARISONS + ".then(async ({ stored }) => (await stored()).map(({ answer }) => answer.people ?? null))"
    )
    assert read == [None]
    assert "Zenobia" not in browser.evaluate(STORED)
    assert "An old one" in browser.evaluate(STORED)
