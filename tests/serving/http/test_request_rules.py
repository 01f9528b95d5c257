"""Test the rules for numbers and ids in requests, and the words of the errors.

The tests use the request models and no service.
"""

import json
import re
import sys
import unicodedata

import pytest
from pydantic import BaseModel, ValidationError

from thumblab_core.errors import LabError
from thumblab_core.niches import Niche
from thumblab_core.niches.niche import checked
from thumblab_serving.http.problems import validation_message
from thumblab_serving.http.submission import _ids
from thumblab_serving.looking.similar_request import SimilarQuery, SimilarRequest
from thumblab_serving.schemas.batches import BatchesQuery, BatchRequest
from thumblab_serving.schemas.experiments import ExperimentQuery, ExperimentRequest
from thumblab_serving.schemas.item_id import MAX_ID, PATTERN, cleaned_id, is_item_id
from thumblab_serving.schemas.lab import (
    NearChannelOut,
    NewNiche,
    NicheChange,
    NicheCostOut,
    NicheOut,
    NicheSources,
    ProposalOut,
    ProposalRequest,
)
from thumblab_serving.schemas.lab_runs import ItemsRequest, NichesRequest, RebuildRequest, WaitQuery
from thumblab_serving.schemas.library import LibraryPicturesQuery
from thumblab_serving.schemas.niche import context_of
from thumblab_serving.schemas.people import people_requests
from thumblab_serving.schemas.request import ScoreForm, ScoreRequest

OF_NICHES = (NewNiche, NicheChange, ProposalRequest)
BODIES = (ScoreRequest, BatchRequest, ExperimentRequest, NichesRequest, RebuildRequest, ItemsRequest, *OF_NICHES)
QUERIES = (BatchesQuery, ExperimentQuery, WaitQuery, LibraryPicturesQuery)
PYDANTIC = re.compile(r"should|Input|Field|Extra|valid (string|integer|number|list|dict|enum)|\\[xdsuU]|\^|instance")
"""Words of pydantic and characters of regular expressions, which no error message may contain."""


CHECKED_LATER = {
    "url",  # The guard of fetched URLs refuses control characters.
    "webhook",  # The same guard checks this URL.
    "image_base64",  # A decoder reads the bytes.
    "title",  # `visible_title` drops invisible characters.
    "titles",
    "text",
    "name",  # `people.names.clean_name` refuses hidden characters in the name of a person.
    "media_type",  # This field has no effect.
}
"""The texts in requests that may contain a NUL character, because other code checks or cleans them."""


def message(model, value):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(value)
    return validation_message(caught.value)


def paths_to(model: type[BaseModel], *kinds: str):
    """Return each path to a value of one of the `kinds` in the JSON schema of a model, such as ("variants", 0, "title").

    A kind is a type of JSON Schema. A text that has only some allowed values is left out.
    """
    whole = model.model_json_schema()

    def walk(schema, path):
        if "$ref" in schema:
            schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
        for part in schema.get("anyOf", ()):
            yield from walk(part, path)
        if schema.get("type") in kinds and not {"enum", "const"} & set(schema):
            yield path
        for name, field in schema.get("properties", {}).items():
            yield from walk(field, (*path, name))
        if "items" in schema:
            yield from walk(schema["items"], (*path, 0))

    return list(walk(whole, ()))


NUMBERS = [
    (model, path) for model in BODIES for path in paths_to(model, "integer", "number") if model is not ItemsRequest
]
"""All numbers in JSON bodies. `ItemsRequest` is left out, because it accepts a number as the text of an id."""


def test_every_field_of_a_request_or_an_answer_about_niches_is_described():
    for model in (*OF_NICHES, NicheOut, NicheCostOut, NearChannelOut, ProposalOut):
        fields = model.model_json_schema()["properties"]
        assert [name for name, field in fields.items() if not field.get("description")] == [], model.__name__


def test_a_region_and_a_language_are_documented_with_the_pattern_that_a_niche_checks():
    for model in (NewNiche, NicheChange):
        fields = model.model_json_schema()["properties"]
        for name, good, bad in (("region", "AU", "au"), ("language", "pt-BR", "Portuguese")):
            pattern = fields[name]["anyOf"][0]["pattern"]
            assert re.search(pattern, good)
            assert not re.search(pattern, bad)
            checked(Niche("cooking", 26, **{name: good}))
            with pytest.raises(LabError, match=f"the {name} {bad!r} is not"):
                checked(Niche("cooking", 26, **{name: bad}))


def test_the_numbers_of_all_bodies_are_found():
    assert {path for _, path in NUMBERS} >= {("deadline_s",), ("winner",), ("variants", 0, "impressions"), ("dim",)}


@pytest.mark.parametrize(("model", "path"), NUMBERS, ids=lambda value: str(value))
@pytest.mark.parametrize("value", [True, "5", [5], {}])
def test_a_number_of_a_json_body_is_neither_a_text_nor_a_boolean(model, path, value):
    body = value
    for step in reversed(path):
        body = [body] if step == 0 else {step: body}
    found = message(model, body)
    assert f"{'.'.join(map(str, path))}: send a " in found
    assert not PYDANTIC.search(found)


def test_a_whole_number_may_be_written_with_a_point():
    item = {"id": "a", "title": "t", "thumbnails": [{"id": "p", "url": "u"}]}
    assert BatchRequest.model_validate({"items": [item], "deadline_s": 60.0}).deadline_s == 60


@pytest.mark.parametrize("model", [*BODIES, *QUERIES, ScoreForm], ids=lambda model: model.__name__)
@pytest.mark.parametrize("value", [None, True, -1, 10**30, 0.5, "", "a\0b", "x" * 3_000, [], [[]], {}, {"": 1}])
def test_no_error_has_words_of_pydantic_or_a_pattern(model, value):
    wrong = [value, *({name: value} for name in model.model_fields), *({name: [value]} for name in model.model_fields)]
    wrong += [{name: [dict.fromkeys(("id", "url", "title", "impressions"), value)]} for name in model.model_fields]
    for body in wrong:
        try:
            model.model_validate(body)
        except ValidationError as error:
            assert not PYDANTIC.search(validation_message(error)), validation_message(error)


TEXTS = [
    (model, path)
    for model in (*BODIES, *QUERIES, SimilarQuery, SimilarRequest, *people_requests.BODIES)
    if not issubclass(model, NicheSources)
    for path in dict.fromkeys(paths_to(model, "string"))
    if not CHECKED_LATER & set(path)
]
"""The texts in requests that must not contain a NUL character.

The texts of a new or changed niche are left out, because `niche.checked` refuses hidden characters in them.
"""


@pytest.mark.parametrize(("model", "path"), TEXTS, ids=lambda value: str(value))
def test_a_text_of_a_request_has_no_nul_which_no_database_can_store(model, path):
    body = "a\0b"
    for step in reversed(path):
        body = [body] if step == 0 else {step: body}
    assert f"{'.'.join(map(str, path))}: " in message(model, body)


def test_the_rule_of_a_channel_is_printed_in_words():
    assert message(ScoreForm, {"title": "t", "channel_id": "a\nb"}) == (
        "channel_id: the name of the channel is blank or has control characters; give its id (UC...), its exact title, its "
        "@handle, or its link with /channel/ or /@handle"
    )


def forms(id_):
    """Return one scoring request and two batches. In each request, `id_` is the id of a picture or of an item."""
    thumbnail = {"id": id_, "url": "https://i.ytimg.com/a"}
    score = {"title": "t", "thumbnails": [thumbnail]}
    return (
        (ScoreRequest, score),
        (BatchRequest, {"items": [{**score, "id": "a"}]}),
        (
            BatchRequest,
            {"items": [{"title": "t", "thumbnails": [{**thumbnail, "id": "p"}], "id": id_}]},
        ),
    )


@pytest.mark.parametrize(
    "bad", ["", "x" * 129, "a\nb", "a\x85b", "a\u202eb", "a\u200bb", "a\u2028b", "a\u2029b", "\ufeff", "\ud800"]
)
def test_an_id_that_could_mislead_a_reader_is_refused_in_json_and_numbered_in_a_form(bad):
    for model, body in forms(bad):
        assert "id: an id has 1 to 128 characters, without line breaks" in message(model, body)
    assert _ids(["good.jpg", bad]) == ["thumbnail-1", "thumbnail-2"]
    assert is_item_id(cleaned_id(bad))


@pytest.mark.parametrize("good", ["a", "x" * 128, "über ünique 日本.jpg", "=1+1", "a\u00a0b", "🙂", "\u0627"])
def test_any_other_text_is_an_id(good):
    for model, body in forms(good):
        model.model_validate(body)
    assert _ids([good]) == [good]
    assert cleaned_id(good) == good


def test_exactly_the_control_format_and_separator_characters_are_left_out():
    wrong = [
        f"{number:x}"
        for number in range(sys.maxunicode + 1)
        if (category := unicodedata.category(chr(number))) not in ("Cn", "Mn")
        and is_item_id(chr(number)) == (category in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    ]
    assert wrong == []
    assert re.fullmatch(PATTERN, "a b") and not re.fullmatch(PATTERN, "a\u202eb")
    assert len(json.dumps(PATTERN, ensure_ascii=False).encode()) < 400
    assert MAX_ID == 128


@pytest.mark.parametrize(
    ("niches", "wrong"),
    [
        ({"categories": ["cooking", "gaming"]}, None),
        ({"categories": ["cooking"], "category": None}, "category: send a text"),
        ({"categories": ["baking"]}, "categories.0: send one of 'cooking' or 'gaming'"),
        ({"categories": ["cooking"], "category": "gaming"}, "body: give either category or categories"),
        ({"category": "gaming"}, None),
        ({}, "category: send one of 'cooking' or 'gaming'"),
    ],
)
def test_a_lab_without_the_default_niche_takes_requests_that_name_its_niches(niches, wrong):
    body = {"title": "t", "thumbnails": [{"id": "a", "url": "u"}], **niches}
    context = context_of(("cooking", "gaming"))
    if wrong is None:
        asked = ScoreRequest.model_validate(body, context=context).niches
        assert asked == tuple(niches.get("categories", ["gaming"]))
        return
    with pytest.raises(ValidationError) as caught:
        ScoreRequest.model_validate(body, context=context)
    assert validation_message(caught.value) == wrong
