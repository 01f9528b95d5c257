"""Test the page's reader of Arrow files in a browser, with files that pyarrow has written and with damaged files."""

import base64
import json

import numpy as np
import pyarrow as pa
import pytest
from browser import SCRIPTS

DAMAGES = 400
HELPERS = """Object.assign(window, {
    bytesOf: (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)),
    valuesOf: (bytes) => {
        const { rows, columns } = window.arrow.readArrow(bytes.buffer);
        const value = (column, row) => (ArrayBuffer.isView(column) ? column[row] : column.at(row));
        const values = (column) => Array.from({ length: rows }, (_, row) => value(column, row));
        return Object.fromEntries([...columns].map(([name, column]) => [name, values(column)]));
    },
}); undefined"""


def encoded(data):
    return base64.b64encode(data).decode()


def written(table, **options):
    out = pa.BufferOutputStream()
    with pa.ipc.new_file(out, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in table.to_batches():
            writer.write_batch(batch)
    return out.getvalue().to_pybytes()


def table_of(rows=50):
    rng = np.random.default_rng(0)
    words = pa.array([["tech", "news"][n % 2] for n in range(rows)]).dictionary_encode()
    return pa.table(
        {
            "x": pa.array(rng.random(rows).astype(np.float32)),
            "day": pa.array(rng.integers(-9, 9, rows).astype(np.int32)),
            "title": pa.array([f"Ünï {n} 🎬" * (n % 4) for n in range(rows)], pa.string()),
            "niche": words.cast(pa.dictionary(pa.int8(), pa.string())),
            "wide": words.cast(pa.dictionary(pa.int16(), pa.string())),
        }
    )


@pytest.fixture
def page(browser, service):
    browser.open(f"{service.url}/people", ready="browse")
    return browser


@pytest.fixture
def read(page):
    """Return a function that reads a file in the browser. It returns the file's columns as lists, or the error as a
    text.
    """
    page.evaluate(f"import('{SCRIPTS}/map/arrow.js').then((module) => {{ window.arrow = module; }})")
    page.evaluate(HELPERS)

    def one(data):
        return page.evaluate(f"""(() => {{
            try {{
                return window.valuesOf(window.bytesOf('{encoded(data)}'));
            }} catch (error) {{
                return error instanceof window.arrow.ArrowError ? error.message : `${{error.name}}: ${{error.message}}`;
            }}
        }})()""")

    return one


@pytest.mark.parametrize("rows", [0, 1, 50])
def test_all_types_of_a_map_are_read(read, rows):
    table = table_of(rows)
    found = read(written(table))
    for name in table.column_names:
        assert (
            found[name] == pytest.approx(table[name].to_pylist())
            if name == "x"
            else found[name] == table[name].to_pylist()
        )


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        (table_of(), {"compression": "lz4"}, "compressed"),
        (pa.table({"x": pa.array([1.0, None], pa.float32())}), {}, "null values"),
        (pa.table({"x": pa.array([1.0], pa.float64())}), {}, "type"),
        (
            pa.table({"x": pa.chunked_array([pa.array([1], pa.int32()), pa.array([2], pa.int32())])}),
            {},
            "several record",
        ),
    ],
    ids=["compressed", "nulls", "float64", "two batches"],
)
def test_other_files_are_refused_with_the_reason(read, table, options, words):
    assert words in read(written(table, **options))


def test_a_damaged_file_is_refused_or_read_but_never_breaks_the_page(page, read):
    data = written(table_of())
    page.evaluate(f"window.whole = window.bytesOf('{encoded(data)}')")
    rng = np.random.default_rng(1)
    damages = [
        [[int(rng.integers(0, len(data))), int(rng.integers(0, 256))] for _ in range(n % 4 + 1)] for n in range(DAMAGES)
    ]
    cuts = rng.integers(0, len(data), 40).tolist()
    outcomes = page.evaluate(f"""(() => {{
        const outcomes = {{}};
        const attempt = (bytes) => {{
            let outcome = 'read';
            try {{
                window.valuesOf(bytes);
            }} catch (error) {{
                outcome = error instanceof window.arrow.ArrowError ? 'refused' : `${{error.name}}: ${{error.message}}`;
            }}
            outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        }};
        for (const changes of {json.dumps(damages)}) {{
            const bytes = window.whole.slice();
            for (const [at, value] of changes) bytes[at] = value;
            attempt(bytes);
        }}
        for (const end of {json.dumps(cuts)}) attempt(window.whole.slice(0, end));
        return outcomes;
    }})()""")
    assert set(outcomes) == {"read", "refused"}
    assert outcomes["refused"] >= 40 + DAMAGES // 10
