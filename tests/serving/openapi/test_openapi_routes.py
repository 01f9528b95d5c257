"""Test which routes the OpenAPI document lists."""

import json

import httpx


def test_openapi_lists_the_routes_and_both_ways_to_send_pictures(service):
    document = httpx.get(f"{service.url}/openapi.json").json()
    batches = {f"/v1/batches{path}" for path in ("", "/{batch_id}", "/{batch_id}/results", "/{batch_id}/cancel")}
    paths = {"/v1/score", "/v1/experiments", "/v1/library/pictures", "/v1/lab", "/health", "/ready", "/metrics"}
    documented = {path for path in document["paths"] if not path.startswith(("/internal/", "/admin/", "/api/"))}
    channels = {"/v1/channels", "/v1/channels/runs", "/v1/channels/runs/{import_id}"}
    assert documented == paths | batches | channels | {
        "/v1/similar",
        "/v1/videos/{video_id}",
        "/v1/videos/{video_id}/thumbnails/{sha256}",
        "/v1/library/{niche}/report",
        "/v1/library/{niche}/clusters",
        *(
            f"/v1/library/{{niche}}/map{rest}"
            for rest in ("", "/atlases", "/atlases/{sha256}", "/tiles/{level}/{x}/{y}")
        ),
    }
    for path, schema in (("/v1/score", "ScoreRequest"), ("/v1/experiments", "ExperimentRequest")):
        post = document["paths"][path]["post"]
        assert set(post["requestBody"]["content"]) == {"application/json", "multipart/form-data"}
        assert len(post["security"]) == 2
        assert {"200", "401", "413", "422", "503"} <= set(post["responses"])
        assert document["components"]["schemas"][schema]["examples"]
    listing = document["paths"]["/v1/experiments"]["get"]
    assert [parameter["name"] for parameter in listing["parameters"]] == ["channel_id", "limit", "cursor"]
    assert len(listing["security"]) == 2
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(document["components"]["schemas"])
