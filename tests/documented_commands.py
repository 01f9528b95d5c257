"""List each command in the documents, with the way in which a test runs it, or the reason why no test runs it.

`tests/book/test_commands_parse.py` fails for a command that is in none of the tables below.
"""

AS_IT_STANDS = {
    'thumblab channel add "Content 2015-01-01_2026-11-01 My channel.zip" --niche tech',
    "thumblab channel add --catalogue my-videos",
    "thumblab channel add EXPORT.zip --niche tech",
    'thumblab channel give "My channel" --lab',
    "thumblab channel list",
    "thumblab crawl plan",
    "thumblab crawl status",
    "thumblab experiment plan a.jpg b.jpg",
    "thumblab import FOLDER --serve",
    'thumblab import-studio "Content 2015-01-01_2026-11-01 My channel.zip"',
    "thumblab index status",
    "thumblab key add deploy --scope score --scope admin --requests-per-minute 60",
    "thumblab key add laptop",
    "thumblab key list",
    "thumblab key revoke laptop",
    "thumblab key rotate laptop",
    "thumblab logs",
    "thumblab logs scoring dagster -n 20",
    "thumblab quota",
    "thumblab score a.jpg b.jpg --title T --niche tech",
    'thumblab score a.jpg b.jpg --title T --niche tech --channel "My channel"',
    'thumblab score a.jpg b.jpg --title "My next title" --niche tech --channel "My channel"',
    "thumblab summary",
    "thumblab score videos.csv --out results.csv",
    'thumblab score pictures/ --title "I tested every phone of 2026" --niche tech --out results.csv',
}
"""Commands that a test runs exactly as the document writes them, in a lab with the catalogue of the folder FOLDER."""

_EXPERIMENT = 'thumblab experiment add --channel "My channel" --video {video} --started 2026-11-01 --ended 2026-11-09 '
_TITLE = '--title "My next title" --niche tech'
_DOCTOR = (
    # In the tests, these variables name a proxy at a closed port, so this command runs without the variables.
    "env -u http_proxy -u https_proxy -u HTTP_PROXY -u HTTPS_PROXY thumblab doctor"
)

WITH_OTHER_WORDS: dict[str, list[str]] = {
    "thumblab backup FOLDER": ["thumblab backup copy"],
    "thumblab backup /media/disk/lab": ["thumblab backup copy"],
    "thumblab backup /media/disk/lab --verify": ["thumblab backup copy --verify"],
    "thumblab channel add UC...": ['thumblab channel add "My channel"'],
    'thumblab channel give "My channel" laptop': [
        # The document revokes the key `laptop` in another command, so this command needs another key.
        'thumblab key add carol && thumblab channel give "My channel" carol'
    ],
    'thumblab channel give "My channel" laptop --title "Carol bakes"': [
        'thumblab channel give "My channel" carol --title "Carol bakes"',
        'thumblab channel give "Carol bakes" carol --title "My channel"',
    ],
    "thumblab channel remove UC...": ['thumblab channel remove "My channel"'],
    "thumblab doctor": [_DOCTOR],
    "thumblab doctor --json": [f"{_DOCTOR} --json"],
    "thumblab doctor --quiet": [f"{_DOCTOR} --quiet"],
    "thumblab evaluate [--model RELEASE]                                        show the evaluation of a release": [
        "thumblab evaluate"
    ],
    'thumblab experiment plan a.jpg b.jpg c.jpg --channel @me --title "I rebuilt my desk" --niche tech': [
        'thumblab experiment plan a.jpg b.jpg c.jpg --channel "My channel" --title "I rebuilt my desk" --niche tech'
    ],
    "thumblab experiment add --channel @me --video dQw4w9WgXcQ --started 2026-11-01 --ended 2026-11-09   "
    "--outcome winner --picture a.jpg --picture b.jpg --share 46.1 --share 53.9": [
        _EXPERIMENT + "--outcome winner --picture a.jpg --picture b.jpg --share 46.1 --share 53.9"
    ],
    'thumblab similar --video ID | --image FILE | --text "a red car on a race track"   [--niche N] [-k 10] [--json]': [
        "thumblab similar --video {video} --niche tech --json",
        "thumblab similar --image a.jpg -k 5",
    ],
    'thumblab index search --video ID | --image FILE | --text "a red car"   [--niche N] [--since DAY] [--until DAY]': [
        "thumblab index search --video {video} --niche tech",
        "thumblab index search --image a.jpg --niche tech --since 2020-01-01 --until 2030-01-01",
    ],
    "thumblab index upsert NICHE VIDEO_ID...": ["thumblab index upsert tech {video}"],
    "thumblab index delete NICHE VIDEO_ID...": ["thumblab index delete tech {video}"],
    "thumblab index rebuild [NICHE...]": ["thumblab index rebuild tech"],
    "thumblab index rollback NICHE [--to RELEASE]": ["thumblab index rollback tech"],
    "thumblab index resume NICHE": ["thumblab index resume tech"],
    "thumblab index verify | prune": ["thumblab index verify", "thumblab index prune"],
    "thumblab restore /media/disk/lab": ["THUMBLAB_DATA_DIR=$THUMBLAB_DATA_DIR/restored thumblab restore copy"],
    "thumblab score a.jpg b.jpg --title T --niche tech --channel UC...": [
        'thumblab score a.jpg b.jpg --title T --niche tech --channel "My channel"'
    ],
    "thumblab score .thumblab/demo/candidates/candidate-a.jpg .thumblab/demo/candidates/candidate-b.jpg "
    '--title "I tested every phone of 2026" --niche tech --demo': [f"thumblab score a.jpg b.jpg {_TITLE}"],
    "thumblab library clusters tech": ["thumblab library clusters tech"],
    "thumblab library export tech --out tech.parquet": ["thumblab library export tech --out tech.parquet"],
    "thumblab report niche tech                         a table": ["thumblab report niche tech"],
    "thumblab report niche tech --json                  the same as JSON": ["thumblab report niche tech --json"],
    "thumblab report niche tech --html report.html      also one page with pictures, which you can send to somebody": [
        "thumblab report niche tech --html report.html"
    ],
    "thumblab train --help                     every field of `TrainConfig`": ["thumblab train --help"],
    'curl -s http://127.0.0.1:8000/v1/score -H "X-API-Key: $(thumblab key --demo)"   '
    '-F title="I tested every phone of 2026" -F category=tech   '
    "-F thumbnails=@.thumblab/demo/candidates/candidate-a.jpg "
    "-F thumbnails=@.thumblab/demo/candidates/candidate-b.jpg": [
        'curl -sf {service}/v1/score -H "X-API-Key: $(thumblab key)" -F title="I tested every phone of 2026" '
        "-F category=tech -F thumbnails=@a.jpg -F thumbnails=@b.jpg"
    ],
    'curl -s http://127.0.0.1:8000/v1/score -H "X-API-Key: $(thumblab key)"   '
    '-F titles="I tested every phone of 2026" -F titles="Do not buy this phone" -F category=tech   '
    "-F thumbnails=@a.jpg -F thumbnails=@b.jpg": [
        'curl -sf {service}/v1/score -H "X-API-Key: $(thumblab key)" -F titles="I tested every phone of 2026" '
        '-F titles="Do not buy this phone" -F category=tech -F thumbnails=@a.jpg -F thumbnails=@b.jpg'
    ],
    "KEY=$(thumblab key)": ['KEY=$(thumblab key) && test -n "$KEY"'],
    'curl -H "X-API-Key: $KEY" http://127.0.0.1:8000/internal/index-stats': [
        'curl -sf -H "X-API-Key: $(thumblab key)" {service}/internal/index-stats'
    ],
}
"""Commands in which a test replaces words: a placeholder, a folder or a port."""

_DEMO = "the demo and its servers have tests of their own: tests/cli/test_demo_lab.py, tests/e2e/test_lab.py"
_UP = "tests/e2e/test_up.py runs it; the test of the other commands runs it too, on free ports"
_INSTALL = "it installs packages from a registry"
_SUITE = "it is what runs the tests"
_FORGET = (
    "tests/pipelines/retention/test_forgotten_videos.py and tests/cli/test_channel_exports.py delete videos of a lab"
)
_YOUTUBE = "it asks YouTube, which needs a key and the network"
_NETWORK = "it reads a file from another server"
_LONG = "it trains or measures for many minutes"
_PULLED = "it needs a clone in which `git pull` has just brought new commits"
_ROOT = "it needs docker, systemd or root"
_RAY = "tests/pipelines/ray_cluster starts nodes of its own"
_ENDLESS = "it runs until it is stopped"
_DAGSTER = "tests/e2e/test_runs_over_http.py sends it"
_EVALUATE = "tests/e2e/test_commands.py and tests/cli/test_evaluate_command.py run it"
_LOOKING = "tests/serving/looking sends it"

NOT_RUN: dict[str, str] = {
    "make demo": _DEMO,
    "make up": _UP,
    "make up ARGS=--demo": _DEMO,
    "make setup": _INSTALL,
    "make test": _SUITE,
    "make test-slow": _SUITE,
    "make test-all": _SUITE,
    "make lint": _SUITE,
    "make bench": _LONG,
    "make bench-scale": _LONG,
    "make secrets": "it writes into the checkout",
    "source .venv/bin/activate": "it changes the shell that it is typed in",
    "cp .env.example .env": "it changes the checkout",
    "cat secrets/api-key": "`make secrets` makes the file",
    "thumblab up": _UP,
    "thumblab mcp": _ENDLESS,
    "thumblab logs --follow": _ENDLESS,
    "python -m demo.emulator": _ENDLESS,
    "python -m demo.emulator --catalogue DIR": _ENDLESS,
    "python -m demo.emulator --vast": _ENDLESS,
    "python -m demo.emulator --port 8095 --videos 600": _ENDLESS,
    "THUMBLAB_DATA_DIR=trial THUMBLAB_IMAGE_ENCODER=builtin THUMBLAB_YOUTUBE_ENDPOINT=http://127.0.0.1:8095 "
    'thumblab channel add export.csv --name "My channel" --niche tech': "it needs the emulator of the line above",
    "THUMBLAB_YOUTUBE_ENDPOINT=http://127.0.0.1:8090/": "it is a setting",
    "thumblab models pull": _NETWORK,
    "thumblab refresh": "`thumblab import --serve` does the same for the imported catalogue",
    "thumblab crawl add @a @b --niche tech": _YOUTUBE,
    "thumblab channel add @handle --niche tech": _YOUTUBE,
    "thumblab channel add UC... --refresh": _YOUTUBE,
    "thumblab channel remove UC... --forget": _FORGET,
    "thumblab channel remove NAME --forget": _FORGET,
    "thumblab video forget ID_OR_LINK ...": _FORGET,
    "thumblab evaluate --catalogue FOLDER --encoder builtin": _EVALUATE,
    "thumblab evaluate --catalogue DIR                                          train on it and evaluate": _EVALUATE,
    "thumblab evaluate --catalogue DIR --model champion --adapt 0.8             evaluate an existing model": _EVALUATE,
    "thumblab evaluate --catalogue DIR --encoder onnx:mobilenet_v1_embedding.onnx": "the ONNX file is not shipped",
    'echo \'{"resize": "squash", "interpolation": "bilinear", "mean": null, "std": null, "near_duplicate": 0.97}\' '
    "> mobilenet_v1_embedding.json": "it writes the file beside an ONNX file that is not shipped",
    "thumblab fine-tune --blocks 4": _LONG,
    "thumblab train --logs runs                and in another shell: tensorboard --logdir runs": _LONG,
    "accelerate launch --multi_gpu --num_processes 2 -m thumblab_cli.main train": "it needs two GPUs",
    "python -m benchmarks.sub_scores CATALOGUE [--faces MODEL]": _LONG,
    "python -m benchmarks.recipe CATALOGUE --encoder onnx:mobilenet_v1_embedding.onnx --sub-scores": _LONG,
    "python -m benchmarks.title_panel DIR": _LONG,
    "python -m benchmarks.title_prior DIR [--final]": _LONG,
    "thumblab train --title-prior titles.parquet": _LONG,
    "pip install ./thumblab_client": _INSTALL,
    "pipx run openapi-python-client generate --url http://127.0.0.1:8000/openapi.json": _INSTALL,
    "docker compose up --build --wait": _ROOT,
    "git log --oneline ORIG_HEAD..HEAD": _PULLED,
    "git diff ORIG_HEAD HEAD -- CHANGELOG.md .env.example": _PULLED,
    "ray start --head --port 6379": _RAY,
    "ray start --address HOST:6379": _RAY,
    "pip install -r requirements.lock -e .[pipelines,serving,ray]": _INSTALL,
    "sudo useradd --system --home-dir /var/lib/thumbnail-lab thumblab": _ROOT,
    "sudo git clone . /srv/thumblab && sudo make -C /srv/thumblab setup": _ROOT,
    "sudo cp /srv/thumblab/deploy/thumblab.service /etc/systemd/system/": _ROOT,
    "sudo systemctl enable --now thumblab": _ROOT,
}
"""Commands that no test of the documents runs, each with the reason. Another test still checks their options and files.
"""

NOT_RUN_STARTS: dict[str, str] = {
    "curl -s http://127.0.0.1:8000/v1/batches": _NETWORK,
    "curl -s http://127.0.0.1:8000/v1/experiments": "tests/serving/http/test_experiments.py sends it",
    'curl -H "X-API-Key: $KEY" http://127.0.0.1:8000/v1/channels': "tests/serving and tests/e2e send exports",
    'curl -H "X-API-Key: $KEY" \'http://127.0.0.1:8000/v1/similar': _LOOKING,
    'curl -H "X-API-Key: $KEY" http://127.0.0.1:8000/v1/similar': _LOOKING,
    'curl -H "X-API-Key: $KEY" http://127.0.0.1:8000/v1/videos': _LOOKING,
    "curl -X POST -H": _DAGSTER,
    "thumblab move ": "tests/serving/moved/test_move_to_store.py runs it with a store",
    "thumblab niche ": "tests/cli/test_niche_commands.py runs these",
    "thumblab people ": "the face networks are not shipped; tests/pipelines/people and tests/cli/people run these",
}
"""The beginnings of long commands that no test of the documents runs, each with the reason."""


def reason_not_run(command: str) -> str | None:
    """Return the reason why no test of the documents runs `command`.

    Return None if a test runs the command, or if the command is in no table.
    """
    return NOT_RUN.get(command) or next(
        (reason for start, reason in NOT_RUN_STARTS.items() if command.startswith(start)), None
    )


def to_run(command: str) -> list[str]:
    """Return the commands that a test runs in place of `command`.

    The result may have placeholders that the test fills in.
    """
    return [command] if command in AS_IT_STANDS else WITH_OTHER_WORDS.get(command, [])
