"""Keys that look like others or like something else: over S3 and over REST they are only names, byte for byte."""

import json
import os
import unicodedata
import urllib.error
import urllib.request
from urllib.parse import quote

from place import all_of, bucket, client, expect, keys_of, refused
from wire import send, signed

API = os.environ["S3_API"]
TOKEN = os.environ["S3_TOKEN"]

# Looks the same, and is not: composed and decomposed letters, and signs that stand for a letter.
TWINS = [
    ("\u00e4", "a\u0308"),
    ("caf\u00e9/men\u00fc.txt", "cafe\u0301/menu\u0308.txt"),
    ("\ud55c\uae00", "\u1112\u1161\u11ab\u1100\u1173\u11af"),
    ("\u00c5ngstr\u00f6m", "\u212bngstr\u00f6m"),
    ("\ufb01le", "file"),
]
# Turns the letters after it around, is nothing to be seen, or stands at the beginning of texts.
ODD = ["photo\u202egnp.exe", "\u202e", "a\u200bb", "ab", "\ufeffa", "a\u2028b", "\u0430dmin", "admin", "tab\there", "line\nend", "\x7f"]
# As long as keys may be, in characters of two, three and four bytes.
LONG = ["\u00e4" * 512, "\u20ac" * 341 + "x", "\U0001f600" * 256]
TOO_LONG = ["\u00e4" * 512 + "x", "\u20ac" * 342, "\U0001f600" * 256 + "\u00e4"]


def rest(method, path, body=None):
    """Status and bytes of what REST answers."""
    request = urllib.request.Request(f"{API}/api/v1/buckets/{path}", method=method, data=body)
    request.add_header("Authorization", f"Bearer {TOKEN}")
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.read()


def rest_keys(name, **asked):
    """All keys, as REST lists them, a few at a time."""
    found, query = [], "&".join(f"{word}={quote(text, safe='')}" for word, text in asked.items())
    after = ""
    while True:
        status, page = rest("GET", f"{name}/objects?limit=3&{query}&after={quote(after, safe='')}")
        expect("a page", status, 200)
        page = json.loads(page)
        found += [it["key"] for it in page["objects"]]
        if not page["next"]:
            return found
        after = page["next"]["after"]


def by_bytes(keys):
    return sorted(keys, key=lambda key: key.encode())


def of(key):
    """Bytes that no other key has."""
    return b"what is at " + key.encode()


def everywhere(s3, name, keys):
    """All of these are there and nothing else, each with its own bytes, over S3 and over REST."""
    expect("listed by S3", keys_of(s3, name, PaginationConfig={"PageSize": 3}), by_bytes(keys))
    expect("listed by REST", rest_keys(name), by_bytes(keys))
    for key in keys:
        expect(f"{key[:20]!a} by S3", s3.get_object(Bucket=name, Key=key)["Body"].read(), of(key))
        expect(f"{key[:20]!a} by REST", rest("GET", f"{name}/objects/{quote(key, safe='')}"), (200, of(key)))


def twins_are_two_objects():
    s3, name = client(), bucket("names-twins")
    both = [key for pair in TWINS for key in pair]
    for one, two in TWINS:
        expect("they look alike", unicodedata.normalize("NFKC", one), unicodedata.normalize("NFKC", two))
        s3.put_object(Bucket=name, Key=one, Body=of(one), Metadata={"who": "one"})
        expect("by REST", rest("PUT", f"{name}/objects/{quote(two)}", of(two))[0] in (200, 201), True)
    everywhere(s3, name, both)
    versions = s3.list_object_versions(Bucket=name)["Versions"]
    expect("listed with versions", [it["Key"] for it in versions], by_bytes(both))
    expect("below one of them", keys_of(s3, name, Prefix="caf\u00e9/"), ["caf\u00e9/men\u00fc.txt"])
    expect("below the other", rest_keys(name, prefix="cafe\u0301/"), ["cafe\u0301/menu\u0308.txt"])
    groups = s3.list_objects_v2(Bucket=name, Delimiter="/")["CommonPrefixes"]
    expect("groups", [it["Prefix"] for it in groups], by_bytes(["caf\u00e9/", "cafe\u0301/"]))
    one, two = TWINS[0]
    s3.copy_object(Bucket=name, Key=two, CopySource={"Bucket": name, "Key": one})
    expect("one over the other", s3.get_object(Bucket=name, Key=two)["Body"].read(), of(one))
    s3.put_object(Bucket=name, Key=two, Body=of(two))
    gone = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": one} for one, _ in TWINS]})
    expect("deleted", sorted(it["Key"] for it in gone["Deleted"]), sorted(one for one, _ in TWINS))
    everywhere(s3, name, [two for _, two in TWINS])
    for _, two in TWINS:
        expect("deleted by REST", rest("DELETE", f"{name}/objects/{quote(two)}")[0], 204)
    s3.delete_bucket(Bucket=name)


def twins_are_two_uploads_and_two_histories():
    s3, name = client(), bucket("names-histories")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for pair in TWINS:
        for key in pair:
            at = {"Bucket": name, "Key": key}
            at["UploadId"] = s3.create_multipart_upload(**at)["UploadId"]
            etag = s3.upload_part(PartNumber=1, Body=of(key), **at)["ETag"]
            s3.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}, **at)
        s3.delete_object(Bucket=name, Key=pair[0])
    listed = s3.list_object_versions(Bucket=name)
    expect("hidden", by_bytes(it["Key"] for it in listed["DeleteMarkers"]), by_bytes(one for one, _ in TWINS))
    everywhere(s3, name, [two for _, two in TWINS])


def what_cannot_be_seen_is_kept():
    s3, name = client(), bucket("names-odd")
    for number, key in enumerate(ODD):
        if number % 2:
            s3.put_object(Bucket=name, Key=key, Body=of(key))
        else:
            expect("by REST", rest("PUT", f"{name}/objects/{quote(key, safe='')}", of(key))[0] in (200, 201), True)
    everywhere(s3, name, ODD)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": name, "Key": ODD[0]})
    answer = urllib.request.urlopen(url, timeout=60)
    expect("by a URL", answer.read(), of(ODD[0]))
    told = [value for value in answer.headers.values() if "\u202e" in value]
    expect("headers that are turned around", told, [])
    for key in ["new\u202ename", "\ufeff"]:
        s3.copy_object(Bucket=name, Key=key, CopySource={"Bucket": name, "Key": ODD[0]})
        expect("a copy", s3.get_object(Bucket=name, Key=key)["Body"].read(), of(ODD[0]))


def keys_may_have_1024_bytes_of_any_letters():
    s3, name = client(), bucket("names-long")
    for key in LONG:
        expect("its length", len(key.encode()), 1024)
        s3.put_object(Bucket=name, Key=key, Body=of(key))
    everywhere(s3, name, LONG)
    for key in LONG:
        expect("by its own name", keys_of(s3, name, Prefix=key), [key])
        expect("after it", s3.list_objects_v2(Bucket=name, StartAfter=key).get("Contents", [{"Key": ""}])[0]["Key"] != key, True)
        s3.delete_object(Bucket=name, Key=key)
        expect("by REST", rest("PUT", f"{name}/objects/{quote(key, safe='')}", of(key))[0] in (200, 201), True)
    everywhere(s3, name, LONG)
    for key in TOO_LONG:
        refused("too long", "KeyTooLongError", s3.put_object, Bucket=name, Key=key, Body=b"")
        refused("too long", "KeyTooLongError", s3.create_multipart_upload, Bucket=name, Key=key)
        status, _ = rest("PUT", f"{name}/objects/{quote(key, safe='')}", b"")
        expect("too long by REST", status, 422)
    everywhere(s3, name, LONG)


def what_is_no_text_is_no_key():
    name = bucket("names-none")
    for escaped in ["%ff", "a%c3", "%ed%a0%80", "%c0%af"]:
        status, _ = rest("PUT", f"{name}/objects/{escaped}", b"x")
        expect(f"{escaped} by REST", status in (400, 422), True)
        path, headers = signed("PUT", f"/{name}/{escaped}", {}, b"x")
        expect(f"{escaped} by S3", send("PUT", path, headers, b"x")[0], 400)
    expect("nothing is there", rest_keys(name), [])


if __name__ == "__main__":
    all_of([
        twins_are_two_objects,
        twins_are_two_uploads_and_two_histories,
        what_cannot_be_seen_is_kept,
        keys_may_have_1024_bytes_of_any_letters,
        what_is_no_text_is_no_key,
    ])
