"""Test the part "My channel" of the page. tests/e2e has a lab with a Dagster, in which an import really runs."""

import json
from datetime import UTC, datetime

import pytest
from accessibility import LOOKS, focused, scheme, violations
from browser import KEY, SCRIPTS, drag
from channel_reports import DONE, FITTED, NAME, RUNNING, UNRECOGNISED, end

from thumblab_core.keys.named_keys import OWN_KEY
from thumblab_core.ranking.channel_adapters import ChannelAdapterInfo, ChannelAdapters
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_serving.channels.export_store import ExportStore


def test_an_export_dropped_anywhere_opens_my_channel_and_pictures_stay_with_the_comparison(
    browser, service, files, export
):
    browser.open(f"{service.url}/#key={KEY}")
    drag(browser, 5, 5, {"items": [], "files": [str(export), str(files[0])]})
    browser.wait("!document.getElementById('view-channel').hidden")
    assert browser.texts("#exports-chosen span") == [NAME]
    assert browser.text("#channel-problem").startswith("Left out: 1 of the files")
    drag(browser, 5, 5, {"items": [], "files": [str(export)]})
    browser.wait("document.getElementById('channel-problem').hidden")
    assert browser.count("#exports-chosen li") == 1, "the page must not send the same file twice"
    drag(browser, 5, 5, {"items": [], "files": [str(files[0])]})
    browser.wait("!document.getElementById('view-compare').hidden")
    assert browser.count("#chosen li") == 1


def test_an_incomplete_form_says_what_to_do_and_a_lab_without_dagster_what_to_start(browser, service, export):
    browser.open(f"{service.url}/#channel")
    browser.evaluate("sessionStorage.clear()")
    browser.open(f"{service.url}/#channel")
    browser.click("#learn")
    assert "Choose the export" in browser.text("#channel-problem")
    browser.choose(export, field="#exports")
    browser.click("#learn")
    assert "API key" in browser.text("#channel-problem")
    assert focused(browser) == "channel-key"
    browser.evaluate(f"document.getElementById('channel-key').value = '{KEY}'")
    browser.click("#learn")
    browser.wait("!document.getElementById('channel-problem').hidden")
    browser.wait("document.getElementById('channel-problem').textContent.includes('Dagster')")
    assert "thumblab" not in browser.text("#channel-problem"), "a person at the page may have no shell"
    assert "start the lab with `thumblab up`" in browser.text("#channel-problem-whole li")
    assert not browser.evaluate("document.getElementById('learn').disabled"), (
        "the page must allow to send the export again"
    )


def test_the_page_shows_progress_and_results_and_one_click_compares_for_the_channel(browser, follow):
    stored = follow()
    browser.wait("document.querySelectorAll('#learning-steps li').length === 2")
    assert browser.texts("#learning-steps li:first-child span") == ["Reading your export", "done"]
    assert browser.texts("#learning-steps li:last-child span") == ["Downloading your thumbnails", "120 of 300"]
    assert browser.text("#learning-now") == "Step 2 of 4: Downloading your thumbnails, 120 of 300"
    assert browser.text("#learning-elapsed").endswith(" min so far")
    assert not browser.evaluate("document.getElementById('nav-learning').hidden"), (
        "the other parts of the page must also show that the import is running"
    )
    assert browser.evaluate("document.getElementById('learn').disabled")
    end(browser, stored, DONE)
    assert browser.text("#learning-title") == "The lab has learnt My <b>channel</b>"
    assert focused(browser) == "learning-title"
    assert browser.text("#learnt-skill") == "On your last 40 videos it would have ordered 63 of 100 pairs right."
    why = browser.text("#learnt-skill-why")
    assert why.startswith("The 95 % interval is 55 to 71, from 412 pairs. That is better than chance.")
    assert "The model alone, without the adaptation to your channel, orders 52 right. So the adaptation helps." in why
    facts = dict(zip(browser.texts("#learnt-facts dt"), browser.texts("#learnt-facts dd"), strict=True))
    assert facts["Videos"] == "300, 290 of them new to the lab"
    assert facts["Not imported"].startswith("1312: Shorts")
    assert "aaaaaaaaaaa: https://i.ytimg.com answered 404" in facts["Without a thumbnail"]
    assert facts["True click-through rate"] == "known for 280 videos. Of all impressions, 4.3% are clicked"
    assert browser.texts("#learnt-notes .problem") == ["Not read: broken.zip is a damaged .zip file"]
    browser.click("#compare-for-channel")
    browser.wait("document.activeElement.id === 'title'")
    assert browser.evaluate("[document.getElementById('channel').value, document.getElementById('niche').value]") == [
        "UCmine",
        "gaming",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("meal-prep: measuring", "Step 5 of 6: Measuring your thumbnails, 3 of 9"),
        ("tech: building the index", "Step 6 of 6: Making the library of your niche, 3 of 9"),
        ("training", "Step 8 of 9: Learning what is watched, 3 of 9"),
        ("training without the channels of the evaluation (1 of 3)", "Learning without some of the channels, "),
        ("evaluating the model", "Step 9 of 9: Counting how often it is right, 3 of 9"),
    ],
)
def test_each_step_has_words_and_a_number(browser, service, name, expected):
    browser.open(service.url)
    steps = [{"name": "reading exports", "done": 1, "total": 1}, {"name": name, "done": 3, "total": 9}]
    words = browser.evaluate(
        f"import('{SCRIPTS}/import_steps.js').then((m) => m.stepNow({json.dumps({'steps': steps})}, true))"
    )
    assert words.startswith(expected)


def test_what_belongs_to_a_finished_import_leaves_the_form_and_the_next_export_stays(
    browser, service, export, tmp_path
):
    """The name of the first channel must not be sent with the export of the next one."""
    browser.open(f"{service.url}/#key={KEY}")
    browser.wait("performance.getEntriesByType('resource').some(({ name }) => name.endsWith('v1/channels/runs'))")
    store = ExportStore(service.app.state.settings)
    stored, _ = store.add([(NAME, b"")], OWN_KEY)
    stored.folder.write_report(RUNNING.model_copy(update={"updated_at": datetime.now(UTC)}))
    browser.evaluate(f"""(() => {{ const ask = window.fetch; window.fetch = async (path, options) => {{
        if (path === 'v1/channels/runs') return Response.json({{ imports: [] }});
        if (path !== 'v1/channels' || options.method !== 'POST') return ask(path, options);
        return ask('v1/channels/runs/{stored.folder.import_id}', {{ headers: options.headers }});
    }}; }})()""")
    browser.click("nav a[href='#channel']")
    browser.choose(export, field="#exports")
    browser.evaluate("""(() => { document.getElementById('channel-name').value = 'My channel';
        document.getElementById('channel-niche').value = 'gaming'; })()""")
    browser.click("#learn")
    browser.wait("document.getElementById('learning').dataset.state === 'running'")
    other = tmp_path / "Another channel.csv"
    other.write_text("Content\n")
    browser.choose(other, field="#exports")
    end(browser, stored, DONE)
    assert browser.texts("#exports-chosen span") == ["Another channel.csv"]
    values = "['channel-name', 'channel-niche'].map((id) => document.getElementById(id).value)"
    assert browser.evaluate(values) == ["", ""]
    browser.evaluate("sessionStorage.removeItem('thumblab-channel-import')")
    store.remove(stored)


@pytest.fixture
def known(service):
    """The ids of two channels that have adapters."""
    adapters = ChannelAdapters(ReleaseStore(service.app.state.settings.releases))
    niches = {"UCnews": "news", "UColder": None}
    for name, niche in niches.items():
        adapters.publish(ChannelAdapterInfo(name, name, "a model", 9, None, niche=niche), None, 9, [], {})
    yield list(niches)
    for name in niches:
        adapters.remove(name)


def test_a_comparison_for_a_channel_of_the_list_is_in_the_niche_of_the_channel(browser, service, known):
    chosen = []
    for name in known:
        browser.open(f"{service.url}/#key={KEY}")
        browser.evaluate("""(() => { const niche = document.getElementById('niche');
            niche.value = 'beauty'; niche.dispatchEvent(new Event('change')); })()""")
        browser.click("nav a[href='#channel']")
        browser.wait("document.querySelectorAll('#known-channels button').length === 2")
        browser.click(f"[aria-label='Compare for it: {name}']")
        chosen.append(
            browser.evaluate("[document.getElementById('channel').value, document.getElementById('niche').value]")
        )
    assert chosen == [["UCnews", "news"], ["UColder", "beauty"]]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"skill": None}, "The skill on your own videos was not measured"),
        ({"adapted": False, "videos": 3, "skill": None}, "Only 3 of your videos can be used, and five are needed"),
    ],
)
def test_the_page_says_if_the_skill_is_unknown_or_the_videos_are_too_few(browser, follow, change, expected):
    stored = follow()
    end(browser, stored, DONE.model_copy(update={"fitted": FITTED.model_copy(update=change)}))
    assert browser.text("#learnt-skill").startswith(expected)
    assert browser.evaluate("document.getElementById('learnt-skill-why').hidden")
    too_few = not change.get("adapted", True)
    assert browser.text("#learning-title").startswith("Too few videos" if too_few else "The lab has learnt")
    assert browser.evaluate("document.getElementById('compare-for-channel').className") == (
        "quiet" if too_few else "main"
    )


def test_the_page_stops_following_an_import_that_is_gone_and_says_so(browser, service, follow):
    ExportStore(service.app.state.settings).remove(follow())
    browser.wait("document.getElementById('learning-now').textContent.startsWith('This API key has no such import')")
    assert browser.text("#learning-title") == "The lab has no report on this import any more"
    assert "is not in the list of channels below, send the exports again" in browser.text("#learning-now")
    assert not browser.evaluate("document.getElementById('learn').disabled")


def test_the_page_says_that_an_import_that_could_not_be_started_must_be_sent_again(browser, service, follow):
    stored = follow(first=None)
    assert browser.text("#learning-title") == "Waiting for its turn"
    ExportStore(service.app.state.settings).remove(stored)
    browser.wait("document.getElementById('learning').dataset.state === 'failed'")
    assert browser.text("#learning-title") == "The lab could not learn your channel"
    assert browser.text("#learning-now") == (
        "The lab could not start this import, so your exports were not imported. Send them again."
    )
    assert focused(browser) == "learning-title"
    assert not browser.evaluate("document.getElementById('learn').disabled")
    follow.another(RUNNING)
    browser.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    browser.wait("document.getElementById('learning').dataset.state === 'running'")


@pytest.mark.parametrize("by_link", [False, True], ids=["typed", "by link"])
def test_an_import_is_followed_again_after_a_new_key_is_given(browser, follow, by_link):
    stored = follow()
    browser.evaluate("sessionStorage.setItem('thumblab-key', 'revoked')")
    browser.wait("document.getElementById('channel-problem').textContent.includes('API key')")
    assert focused(browser) == "channel-key"
    if by_link:
        browser.evaluate(f"location.hash = 'key={KEY}'")
    else:
        browser.call("Input.insertText", text=KEY)
        browser.press("Enter", text="\r")
    end(browser, stored, DONE)
    assert browser.evaluate("document.getElementById('channel-problem').hidden"), "the form must not be sent"
    assert browser.evaluate("document.getElementById('channel-key-field').hidden")


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_axe_finds_nothing_in_my_channel_and_nothing_scrolls_sideways(browser, service, follow, export, width, dark):
    scheme(browser, dark)
    browser.size(width)
    stored = follow()
    browser.choose(export, field="#exports")
    for what, last in (("running", None), ("columns", UNRECOGNISED), ("done", DONE)):
        if last is not None:
            end(browser, stored, last)
            if last is UNRECOGNISED:
                browser.wait("!document.getElementById('columns').hidden")
                browser.evaluate("sessionStorage.removeItem('thumblab-channel-import')")
        browser.wait("document.querySelectorAll('#known-channels button').length === 2")
        assert violations(browser) == [], what
        assert browser.evaluate("document.documentElement.scrollWidth") <= width, what
        if last is UNRECOGNISED:
            stored = follow()
    browser.call("Emulation.setEmulatedMedia", features=[])
    browser.size(1280)


def test_a_channel_is_learnt_with_the_keyboard_alone(browser, service, export):
    browser.size(1280)
    browser.open(f"{service.url}/#key={KEY}")
    browser.click("nav a[href='#channel']")
    browser.choose(export, field="#exports")
    reached = []
    for _ in range(20):
        browser.press("Tab")
        reached.append(focused(browser))
        if reached[-1] == "channel-niche":
            browser.call("Input.insertText", text="T")
            browser.press("ArrowDown")
        if reached[-1] == "learn":
            break
    assert [name for name in reached if name in ("exports", "channel-niche", "channel-name", "learn")] == [
        "exports",
        "channel-niche",
        "channel-name",
        "learn",
    ]
    browser.press("Enter", text="\r")
    browser.wait("!document.getElementById('channel-problem').hidden")
    browser.wait("document.getElementById('channel-problem').textContent.includes('Dagster')")
    assert "thumblab" not in browser.text("#channel-problem"), "a person at the page may have no shell"
    assert "start the lab with `thumblab up`" in browser.text("#channel-problem-whole li")
