"""The newcomer's walk: a site goes there with aws-cli, its new release before a tenth of all, and back."""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

from place import HOME, KEY, REGION, SECRET, URL, all_of, expect, run

API = os.environ["S3_API"]
TOKEN = os.environ["S3_TOKEN"]
AWS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": URL}
VISITORS = [f"10.0.{number // 250}.{number % 250}" for number in range(1000)]


def aws(*words):
    return run(sys.executable, Path(sys.executable).parent / "aws", *words, environment=AWS)


def api(method, path, body=None):
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{API}{path}", method=method, data=data, headers=headers)
    return json.loads(urllib.request.urlopen(request, timeout=30).read() or "null")


def get(path, **headers):
    """Status, headers and bytes of what a browser gets."""
    request = urllib.request.Request(f"{API}/gateway/walk{path}", headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.headers, answer.read()


def release_of(visitor):
    status, _, page = get("/", **{"X-Forwarded-For": visitor})
    expect("the status", status, 200)
    return 2 if b"Release 2" in page else 1


def release(number):
    root = HOME / f"release-{number}"
    for name, text in {
        "index.html": f"<!doctype html><title>Walk</title><h1>Release {number}</h1>",
        "assets/app.3f2a8c91.js": f"show({number});" * 500,
        "docs/index.html": f"<h1>Documents of {number}</h1>",
        "a b/\u00e4.txt": f"odd names in {number}",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def a_site_is_uploaded_rolled_out_to_a_tenth_and_taken_back():
    aws("s3", "mb", "s3://walk")
    for number in (1, 2):
        aws("s3", "sync", release(number), f"s3://walk/releases/{number}/", "--only-show-errors")
    rollout = {"bucket_by": "ip", "weights": [{"variant": True, "weight": 10}, {"variant": False, "weight": 90}]}
    api("POST", "/api/v1/flags", {"key": "walk", "enabled": True, "default_value": False, "rollout": rollout})
    api("POST", "/api/v1/gateway/routes", {
        "path": "/walk", "match": "prefix", "strip_prefix": True, "flag_key": "walk",
        "bucket": {"name": "walk", "prefix": "releases/1/"},
        "variants": {"true": "bucket:walk/releases/2/", "false": "bucket:walk/releases/1/"},
    })
    seen = {visitor: release_of(visitor) for visitor in VISITORS}
    share = sum(1 for shown in seen.values() if shown == 2)
    expect(f"{share} of 1000 is about a tenth", 75 <= share <= 125, True)
    again = {visitor: release_of(visitor) for visitor in VISITORS[:100]}
    expect("who has it keeps it", again, {visitor: seen[visitor] for visitor in VISITORS[:100]})
    api("PATCH", "/api/v1/flags/walk", {"enabled": False})
    expect("after one change of the flag", {release_of(visitor) for visitor in VISITORS}, {1})
    return f"{share} of 1000 saw release 2"


def browsers_get_what_they_are_used_to():
    status, headers, page = get("/assets/app.3f2a8c91.js", **{"Accept-Encoding": "gzip"})
    expect("a compressed script", (status, headers["Content-Encoding"], headers["Vary"]), (200, "gzip", "Accept-Encoding"))
    expect("its caching", headers["Cache-Control"], "public, max-age=31536000, immutable")
    expect("its size", len(page) < 1000, True)
    status, headers, _ = get("/assets/app.3f2a8c91.js")
    unchanged = get("/assets/app.3f2a8c91.js", **{"If-None-Match": headers["ETag"]})
    expect("what has not changed", (unchanged[0], unchanged[2]), (304, b""))
    status, headers, part = get("/assets/app.3f2a8c91.js", Range="bytes=0-4")
    expect("a part", (status, part), (206, b"show("))
    expect("a directory", get("/docs")[2], b"<h1>Documents of 1</h1>")
    expect("odd names", get("/a%20b/%C3%A4.txt")[2], b"odd names in 1")
    expect("a page's type", get("/")[1]["Content-Type"].split(";")[0], "text/html")
    expect("nothing", get("/nothing")[0], 404)


if __name__ == "__main__":
    all_of([a_site_is_uploaded_rolled_out_to_a_tenth_and_taken_back, browsers_get_what_they_are_used_to])
