"""Promises of importing the Reporting API's reach, against the emulator over real sockets."""

import json
import logging
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import insert, select, text

from demo import faults
from demo.catalogues.synthetic import synthetic_catalogue
from demo.emulator import Emulator
from demo.faults import Fault
from demo.messages import Reply, json_reply
from demo.reporting import ReachReport, reach_csv
from thumblab_core.database.tables import channels, reach_reports, video_reach, videos
from thumblab_core.errors import LabError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr.reach import ReachImport, check_reach, import_reach
from thumblab_pipelines.owner_ctr.reach_api import client

SECRET, REFRESH = "GOCSPX-SecretOfTheClient", "1//RefreshTokenOfTheOwner"
CHANNEL = "UC0123456789012345678901"
DAY = date(2026, 11, 1)
A, B, C = "video_aaaaa", "video_bbbbb", "video_ccccc"

Row = tuple[str, int, float]


def report(day: date, *rows: Row, later: int = 0) -> ReachReport:
    """Of one day; `later` is the hours after its first version, for a correction."""
    made = datetime.fromisoformat(f"{day + timedelta(days=1)}T12:00:00+00:00") + timedelta(hours=later)
    table = reach_csv((day, CHANNEL, video_id, shown, rate) for video_id, shown, rate in rows)
    return ReachReport(day, day + timedelta(days=1), table, made)


@dataclass
class Owner:
    """A lab, an emulator that it is aimed at, and a sign-in of the channel's owner."""

    lab: Lab
    emulator: Emulator

    def run(self) -> ReachImport:
        return import_reach(self.lab)

    def start(self, *reports: ReachReport) -> ReachImport:
        """Have the job placed first, and then the reports made."""
        self.emulator.reach_reports = list(reports)
        return self.run()

    def stored(self) -> dict[tuple[str, date], tuple[int, float]]:
        with self.lab.engine.connect() as connection:
            rows = connection.execute(select(video_reach).where(video_reach.c.source == "reach")).all()
        return {(row.video_id, row.day): (row.impressions, row.click_through_rate) for row in rows}


@pytest.fixture(scope="module")
def database(open_lab: Callable[..., Lab]) -> Lab:
    return open_lab()


@pytest.fixture
def sign_in(tmp_path: Path) -> Path:
    path = tmp_path / "owner.json"
    fields = {"client_id": "id.apps", "client_secret": SECRET, "refresh_token": REFRESH}
    path.write_text(json.dumps({"type": "authorized_user", **fields}))
    return path


@pytest.fixture
def owner(database: Lab, open_lab: Callable[..., Lab], sign_in: Path) -> Iterator[Owner]:
    with database.engine.begin() as connection:
        for table in (video_reach, reach_reports, videos, channels):
            connection.execute(table.delete())
    with Emulator(synthetic_catalogue(videos=60), refresh_token=REFRESH) as emulator:
        chosen = {"youtube_endpoint": emulator.endpoint, "youtube_owner_credentials": sign_in}
        yield Owner(open_lab(beside=database, youtube_first_wait_s=0.0, **chosen), emulator)


def settings(owner: Owner, **changed: Any) -> Lab:
    return replace(owner.lab, settings=owner.lab.settings.model_copy(update=changed))


def refusal(owner: Owner) -> LabError:
    with pytest.raises(LabError) as caught:
        owner.run()
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_first_run_places_the_job_and_says_how_long_youtube_takes(owner: Owner) -> None:
    first, second = owner.run(), owner.run()
    assert (first.job_is_new, second.job_is_new) == (True, False)
    for found in (first, second):
        assert found.reports == 0
        assert "YouTube has made no report yet" in found.note
        assert "48 hours" in found.note
        assert all(verdict.passed for verdict in check_reach(found))


def test_reports_are_stored_day_by_day_and_read_once(owner: Owner) -> None:
    reports = [report(DAY, (A, 100, 0.05), (B, 50, 0.0)), report(DAY + timedelta(days=1), (A, 300, 0.0412345))]
    found = owner.start(*reports)
    assert (found.reports, found.corrected, found.rows, found.new_days, found.videos) == (2, 0, 3, 2, 2)
    assert (found.first_day, found.last_day, found.problems) == (DAY, DAY + timedelta(days=1), [])
    expected = {(A, DAY): (100, 0.05), (B, DAY): (50, 0.0), (A, DAY + timedelta(days=1)): (300, 0.0412345)}
    assert owner.stored() == expected
    owner.emulator.inject(faults.refusal(500, "backendError"), endpoint="download", times=None)
    again = owner.run()
    assert (again.reports, again.rows) == (0, 0)
    assert "All 2 reports" in again.note
    assert owner.stored() == expected


def test_the_view_of_true_ctr_weighs_the_days_by_their_impressions(owner: Owner) -> None:
    owner.start(report(DAY, (A, 100, 0.1)), report(DAY + timedelta(days=1), (A, 300, 0.02)))
    with owner.lab.engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM true_ctr")).one()
    assert (row.video_id, row.source, row.impressions) == (A, "reach", 400)
    assert row.click_through_rate == pytest.approx(16 / 400)


def test_a_correction_replaces_its_day_whichever_comes_first(owner: Owner) -> None:
    first, corrected = report(DAY, (A, 100, 0.05), (B, 9, 0.1)), report(DAY, (A, 120, 0.06), later=24)
    owner.start(first)
    found = owner.start(first, corrected)
    assert (found.reports, found.corrected, found.new_days) == (1, 1, 0)
    assert owner.stored() == {(A, DAY): (120, 0.06)}, "B is not in the correction"
    found = owner.start(first, corrected, report(DAY, (A, 1, 1.0), later=12))
    assert found.reports == 0
    assert owner.stored() == {(A, DAY): (120, 0.06)}


def test_of_a_day_with_corrections_only_the_newest_is_read(owner: Owner) -> None:
    found = owner.start(*(report(DAY, (A, 100 + n, 0.05), later=(n * 7) % 5) for n in range(5)))
    assert found.reports == 1
    assert owner.stored() == {(A, DAY): (102, 0.05)}  # (2 * 7) % 5 is the latest


def test_an_older_word_is_not_read_when_youtube_no_longer_lists_the_newer(owner: Owner) -> None:
    other = report(DAY - timedelta(days=1), (C, 1, 0.1))
    owner.start(other, report(DAY, (A, 120, 0.06), later=24))
    owner.emulator.inject(faults.refusal(500, "backendError"), endpoint="download", times=None)
    assert owner.start(other, replace(other), report(DAY, (A, 100, 0.05))).reports == 0
    assert owner.stored()[A, DAY] == (120, 0.06)


def test_two_runs_at_once_store_each_report_once(owner: Owner) -> None:
    owner.run()
    owner.emulator.reach_reports = [report(DAY + timedelta(days=n), (A, 10, 0.1)) for n in range(6)]
    with ThreadPoolExecutor() as pool:
        found = [run.result() for run in [pool.submit(owner.run) for _ in range(3)]]
    assert sum(one.reports for one in found) == sum(one.new_days for one in found) == 6
    assert sum(one.impressions for one in found) == 60


@pytest.mark.parametrize(("hours", "kept"), [(-1, False), (1, True)])
def test_a_job_that_was_placed_anew_does_not_undo_a_later_word(owner: Owner, hours: int, kept: bool) -> None:
    day = report(DAY, (A, 120, 0.06))
    with owner.lab.engine.begin() as connection:
        told = {"starts_at": day.created_at, "ends_at": day.created_at, "imported_at": day.created_at}
        made = day.created_at + timedelta(hours=hours)
        connection.execute(insert(reach_reports).values(report_id="old", job_id="expired", created_at=made, **told))
        facts = {"source": "reach", "day": DAY, "report_id": "old", "imported_at": made}
        connection.execute(insert(video_reach).values(video_id=A, impressions=1, click_through_rate=0.5, **facts))
    owner.start(day)
    assert owner.stored() == {(A, DAY): (1, 0.5) if kept else (120, 0.06)}


def test_many_reports_are_paged_through(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PAGE", 2)
    days = [DAY - timedelta(days=n) for n in range(5)]
    found = owner.start(*(report(day, (A, 10, 0.1)) for day in days))
    assert found.reports == 5
    assert set(owner.stored()) == {(A, day) for day in days}


@pytest.mark.parametrize("endpoint", ["jobs", "reports"])
def test_a_list_whose_token_comes_again_for_ever_is_read_once_with_a_remark(owner: Owner, endpoint: str) -> None:
    def again(reply: Reply) -> Reply:
        return json_reply(200, json.loads(reply.body) | {"nextPageToken": "the same"})

    owner.start(report(DAY, (A, 10, 0.1)))
    owner.emulator.inject(Fault(upon=again), endpoint=endpoint, times=10)
    owner.emulator.reach_reports.append(report(DAY + timedelta(days=1), (A, 10, 0.1)))
    found = owner.run()
    assert found.reports == 1
    assert len(owner.stored()) == 2
    if endpoint == "reports":  # of the jobs, the first page has the one that is looked for
        assert found.remarks == [
            "YouTube's list of reports was not read beyond page 2: YouTube gave the same token for the next page again"
        ]


def test_a_run_that_breaks_off_keeps_what_it_has_and_the_next_goes_on(owner: Owner) -> None:
    reports = [report(DAY + timedelta(days=n), (A, 10 + n, 0.1)) for n in range(4)]
    owner.emulator.inject(faults.refusal(503, "backendError"), endpoint="download", times=None, after=2)
    owner.emulator.reach_reports = reports
    assert refusal(owner).transient
    assert len(owner.stored()) == 2
    owner.emulator.heal()
    assert owner.run().reports == 2
    assert len(owner.stored()) == 4


@pytest.mark.parametrize("endpoint", ["jobs", "reports", "download"])
@pytest.mark.parametrize(
    "fault",
    [
        faults.refusal(500, "backendError"),
        faults.refusal(429, "RATE_LIMIT_EXCEEDED"),
        faults.html_error(502),
        faults.hang_up(),
        faults.cut_off(),
    ],
    ids=["500", "429", "html", "hangup", "cut"],
)
def test_passing_trouble_is_waited_out(owner: Owner, endpoint: str, fault: Fault) -> None:
    owner.emulator.inject(fault, endpoint=endpoint, times=3)
    assert owner.start(report(DAY, (A, 10, 0.1))).reports == 1
    assert len(owner.stored()) == 1


def test_a_bad_row_is_named_and_the_others_go_in(owner: Owner) -> None:
    good = [(f"video_{n:05d}", 10, 0.1) for n in range(20)]
    bad: list[Row] = [("short", 10, 0.1), (A, -1, 0.1), (B, 10, 1.5), (good[0][0], 7, 0.1), (C, 0, 0.0)]
    found = owner.start(report(DAY, *good, *bad))
    assert [problem.line for problem in found.problems] == [22, 23, 24, 25]
    said = [problem.problem for problem in found.problems]
    for sentence, part in zip(said, ("no id of a video", "is no count", "above 1", "told twice"), strict=True):
        assert part in sentence
        assert "report 1 of 2026-11-01" in sentence
    assert (found.rows, found.without_impressions, len(owner.stored())) == (25, 1, 20)
    assert [verdict.passed for verdict in check_reach(found)] == [False, True]


def test_rates_that_are_no_fractions_are_refused_as_a_whole(owner: Owner) -> None:
    percent = report(DAY, *((f"video_{n:05d}", 1000, rate) for n, rate in enumerate((5.1, 0.9, 3.0))))
    good = report(DAY + timedelta(days=1), (A, 10, 0.1))
    found = owner.start(percent, good)
    assert len(found.refused) == 1
    assert "2 of its 3 click-through rates are above 1" in found.refused[0]
    assert set(owner.stored()) == {(A, DAY + timedelta(days=1))}
    assert not check_reach(found)[0].passed
    assert "above 1" in str(refusal(owner)), "it is tried again, and refused again"


def test_half_of_all_impressions_clicked_is_not_believed() -> None:
    passed = {clicks: check_reach(ReachImport(impressions=2_000, clicks=clicks))[1].passed for clicks in (900, 1_100)}
    assert passed == {900: True, 1_100: False}


@pytest.mark.parametrize("content", ["", "<html>no</html>", "date,video_id\n20261101,x\n", "\0\0", '"' + "x" * 200_000])
def test_what_is_no_report_is_refused_and_tried_again(owner: Owner, content: str) -> None:
    day = report(DAY, (A, 10, 0.1))
    owner.emulator.reach_reports = [replace(day, csv=content)]
    assert "report 1 of 2026-11-01: it" in str(refusal(owner))
    assert owner.start(day).reports == 1


def test_the_token_goes_to_the_api_alone_whatever_the_url_of_a_report(owner: Owner) -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(target=_listen, args=(other, heard), daemon=True).start()
        elsewhere = f"http://127.0.0.1:{other.getsockname()[1]}/"
        own = owner.emulator.endpoint
        for url in (
            elsewhere,
            own.replace("127.0.0.1", "localhost"),
            own.replace("//", "//u:p@"),
            "file:///etc/passwd",
        ):
            moved = Fault(
                upon=lambda reply, url=url: replace(reply, body=reply.body.replace(own.encode(), url.encode()))
            )  # type: ignore[misc]
            owner.emulator.inject(moved, endpoint="reports")
            owner.emulator.reach_reports = [report(DAY, (A, 10, 0.1))]
            assert "would give the owner's token away" in str(refusal(owner))
        for endpoint in ("download", "reports", "token"):
            away = Reply(302, "text/plain", b"", {"Location": elsewhere})
            owner.emulator.inject(Fault(instead=lambda _, away=away: away), endpoint=endpoint)  # type: ignore[misc]
            refusal(owner)
    assert heard == []
    assert owner.stored() == {}


def _listen(server: socket.socket, heard: list[bytes]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            heard.append(connection.recv(65_536))


def test_a_report_that_is_too_large_is_left_alone(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LARGEST_REPORT", 200)
    small = report(DAY + timedelta(days=1), (A, 10, 0.1))
    found = owner.start(report(DAY, *((f"video_{n:05d}", 10, 0.1) for n in range(9))), small)
    assert "is larger than" in found.refused[0]
    assert set(owner.stored()) == {(A, DAY + timedelta(days=1))}


def test_videos_that_the_lab_has_are_counted(owner: Owner) -> None:
    now = owner.emulator.now
    with owner.lab.engine.begin() as connection:
        connection.execute(insert(channels).values(channel_id="c", title="c"))
        facts = {"niche": "tech", "channel_id": "c", "title": "t", "published_at": now, "tags": [], "source": "youtube"}
        connection.execute(insert(videos).values(video_id=A, refreshed_at=now, **facts))
    found = owner.start(report(DAY, (A, 10, 0.1), (B, 10, 0.1)))
    assert (found.videos, found.in_library) == (2, 1)


SIGN_INS = {
    "not JSON": ("nothing", "is no JSON file"),
    "a list": ("[]", "is no JSON file"),
    "the client": ({"installed": {"client_secret": SECRET}}, "with which nobody has signed in yet"),
    "a service account": ({"type": "service_account", "private_key": SECRET}, "is a service account"),
    "another type": ({"type": "external_account", "client_secret": SECRET}, "of another type"),
    "no token": ({"type": "authorized_user", "client_id": "i", "client_secret": SECRET}, "lacks refresh_token"),
}


@pytest.mark.parametrize("case", SIGN_INS)
def test_a_wrong_sign_in_is_one_sentence_without_what_is_in_it(owner: Owner, sign_in: Path, case: str) -> None:
    content, sentence = SIGN_INS[case]
    sign_in.write_text(content if isinstance(content, str) else json.dumps(content))
    error = refusal(owner)
    assert sentence in str(error)
    assert not error.transient
    assert SECRET not in "".join(traceback.format_exception(error))


def test_no_sign_in_is_one_sentence_that_says_what_to_do(owner: Owner, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="put THUMBLAB_YOUTUBE_OWNER_CREDENTIALS=FILE into"):
        import_reach(settings(owner, youtube_owner_credentials=None))
    with pytest.raises(LabError, match=r"names .*none\.json, which cannot be read \(No such file"):
        import_reach(settings(owner, youtube_owner_credentials=tmp_path / "none.json"))


def test_secrets_are_sent_over_tls_alone(owner: Owner, sign_in: Path) -> None:
    sign_in.write_text(json.dumps({**json.loads(sign_in.read_text()), "token_uri": "http://token.example/"}))
    with pytest.raises(LabError, match="is no https:// address"):
        import_reach(settings(owner, youtube_endpoint=None))


def test_a_sign_in_that_was_revoked_says_to_sign_in_again(owner: Owner, sign_in: Path) -> None:
    sign_in.write_text(sign_in.read_text().replace(REFRESH, "1//another"))
    error = refusal(owner)
    assert "refused the sign-in of the channel's owner (invalid_grant); sign in again" in str(error)
    assert not error.transient


@pytest.mark.parametrize("reason", ["accessNotConfigured", "SERVICE_DISABLED"])
def test_an_api_that_is_not_enabled_says_to_enable_it(owner: Owner, reason: str) -> None:
    owner.emulator.inject(faults.refusal(403, reason), endpoint="jobs", times=None)
    assert "enable the YouTube Reporting API" in str(refusal(owner))


def test_a_sign_in_without_the_scope_says_to_sign_in_again(owner: Owner) -> None:
    owner.emulator.inject(faults.refusal(403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), endpoint="jobs", times=None)
    assert "yt-analytics.readonly" in str(refusal(owner))


def test_lasting_trouble_is_one_sentence_and_worth_another_run(owner: Owner) -> None:
    owner.emulator.stop()
    error = refusal(owner)
    assert "could not be reached" in str(error)
    assert error.transient


@pytest.mark.parametrize("endpoint", ["token", "jobs", "reports", "download"])
def test_no_secret_is_ever_logged_or_told(
    owner: Owner, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], endpoint: str
) -> None:
    """Where the server sends back what it was sent, too."""
    sent: list[str] = []

    def echo(request: Any) -> Reply:
        sent.append(request.headers.get("Authorization", "") + request.body.decode())
        words = {"error": "invalid_grant " + sent[-1], "error_description": sent[-1]}
        if endpoint != "token":
            words = {"error": {"code": 403, "message": sent[-1], "errors": [{"reason": sent[-1]}]}}  # type: ignore[dict-item]
        return json_reply(403, words)

    owner.emulator.reach_reports = [report(DAY, (A, 10, 0.1))]
    owner.emulator.inject(Fault(instead=echo), endpoint=endpoint, times=None)
    with caplog.at_level(logging.DEBUG):
        error = refusal(owner)
    out = capfd.readouterr()
    told = "".join(traceback.format_exception(error)) + caplog.text + out.out + out.err + repr(error.__dict__)
    secrets = [SECRET, REFRESH, REFRESH.replace("/", "%2F")]
    if endpoint != "token":
        assert sent[0].startswith("Bearer ya29.")
        secrets.append(sent[0].removeprefix("Bearer ").split("{")[0])
    else:
        assert SECRET in sent[0]
    for secret in secrets:
        assert secret not in told


def test_the_asset_stores_the_reports_and_its_checks_pass(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    owner.emulator.reach_reports = [report(DAY, (A, 100, 0.05))]
    result = _materialize(owner.lab, monkeypatch)
    assert result.success
    metadata = result.asset_materializations_for_node("true_ctr")[0].metadata
    assert (metadata["new_days"].value, metadata["dagster/row_count"].value) == (1, 1)
    assert {e.check_name: e.passed for e in result.get_asset_check_evaluations()} == {
        "readable": True,
        "plausible": True,
    }
    assert owner.stored() == {(A, DAY): (100, 0.05)}


def test_the_asset_without_a_sign_in_fails_once_and_says_why(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _materialize(settings(owner, youtube_owner_credentials=None), monkeypatch)
    assert not result.success
    failures = result.filter_events(lambda e: e.is_step_failure or e.is_step_up_for_retry)
    assert len(failures) == 1
    assert "THUMBLAB_YOUTUBE_OWNER_CREDENTIALS" in str(failures[0].step_failure_data.user_failure_data.description)


def _materialize(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Any:
    from thumblab_pipelines.defs.collection.true_ctr import true_ctr
    from thumblab_pipelines.defs.resources import LabResource

    monkeypatch.setattr(LabResource, "open", lambda _: lab)
    assets: Sequence[Any] = [true_ctr]
    return dg.materialize(assets, resources={"lab": LabResource()}, raise_on_error=False)
