"""The manual's own way from nothing to a rollout, as a newcomer types it; and the keys that `flagbase bucket key` makes."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from place import HOME, all_of, client, expect, keys_of, refused
from server import Server

MANUAL = Path(__file__).parents[2] / "docs" / "src" / "sites.md"
SECTION = "## From nothing to a rollout"
VISITORS = [f"10.1.{number // 250}.{number % 250}" for number in range(1000)]
AWS = Path(sys.executable).parent / "aws"


class Shell:
    """A shell in which one block after the other is run, as in one terminal."""

    def __init__(self, server, home):
        self.server, self.home = server, home
        programs = home / "bin"
        programs.mkdir(parents=True)
        (programs / "flagbase").symlink_to(os.environ["FLAGBASE_BIN"])
        (programs / "aws").write_text(f"#!/bin/sh\nexec '{sys.executable}' '{AWS}' \"$@\"\n")
        (programs / "aws").chmod(0o755)
        (home / "work").mkdir()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FLAGBASE_", "S3_"))},
            "HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}", "FLAGBASE_SERVER": server.url,
        }

    def run(self, block, fails=False):
        """What a block prints. The addresses are ours in place of those that the manual has."""
        block = block.replace("http://localhost:8080", self.server.url).replace("http://localhost:9000", self.server.s3)
        # Where S3 is, if not on port 9000, is for whoever chose another port to say.
        block = re.sub(r'^eval "\$\(flagbase bucket key .*$', rf"\g<0>\nexport AWS_ENDPOINT_URL={self.server.s3}", block, flags=re.M)
        # Variables stay from block to block.
        script = f"set -eu\n{block}\nenv -0 > '{self.home}/variables'\n"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.home / "work", env=self.environment, capture_output=True, text=True, timeout=300
        )
        if (done.returncode != 0) != fails:
            raise AssertionError(f"ended with {done.returncode}:\n{block}\n{done.stdout}{done.stderr}")
        if not fails:
            words = (self.home / "variables").read_text().split("\0")
            self.environment = dict(word.split("=", 1) for word in words if "=" in word)
        return done.stdout + (done.stderr if fails else "")

    def page(self, **headers):
        request = urllib.request.Request(f"{self.server.url}/gateway/shop/", headers=headers)
        return urllib.request.urlopen(request, timeout=30).read().decode()


def blocks():
    """The blocks of the section, each with what it is for: a word that stands in none of the others."""
    text = MANUAL.read_text().split(SECTION)[1].split("\n## ")[0]
    found = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    named = {}
    for name, word in {
        "account": "/auth/register", "files": "mkdir -p release-1", "upload": "bucket sync", "s3": "aws s3 sync",
        "route": "route add", "developers": "role equals developer", "tenth": "--rollout 10", "back": "flag disable",
    }.items():
        holding = [block for block in found if word in block]
        expect(f"blocks of {SECTION} with `{word}`", len(holding), 1)
        named[name] = holding[0]
    expect(f"blocks of {SECTION}", len(found), len(named))
    return named


def releases(pages):
    return [int(number) for number in re.findall(r"<h1>Release (\d)</h1>", pages)]


def walked(name, uploads):
    """Walks from nothing to the end; `uploads` are the blocks that bring the files there."""
    manual = blocks()
    with Server(HOME / name / "server") as server:
        shell = Shell(server, HOME / name)
        for block in ["account", "files"]:
            shell.run(manual[block])
        for block in uploads(manual):
            shell.run(block)
        expect("everybody sees", releases(shell.run(manual["route"])), [1])
        expect("a developer and a visitor see", releases(shell.run(manual["developers"])), [2, 1])
        shell.run("flagbase override set new-shop false")
        told = shell.run('curl -sS http://localhost:8080/gateway/shop/ -H "Authorization: Bearer $(flagbase whoami --token)"')
        expect("a session of one's own sees", releases(told), [1])
        shell.run("flagbase override remove new-shop")
        expect("figures are shown", "requests" in shell.run(manual["tenth"]).lower(), True)
        seen = {visitor: releases(shell.page(**{"X-Forwarded-For": visitor})) for visitor in VISITORS}
        share = sum(1 for shown in seen.values() if shown == [2])
        expect(f"{share} of {len(VISITORS)} is about a tenth", 75 <= share <= 125, True)
        for visitor in VISITORS[:100]:
            expect("who has it keeps it", releases(shell.page(**{"X-Forwarded-For": visitor})), seen[visitor])
        shell.run(manual["back"])
        after = {tuple(releases(shell.page(**{"X-Forwarded-For": visitor}))) for visitor in VISITORS}
        expect("after taking it back", after, {(1,)})
    return f"{share} of {len(VISITORS)} saw release 2"


def the_manual_leads_from_nothing_to_a_rollout_and_back():
    return walked("command", lambda manual: [manual["upload"]])


def the_manual_does_so_with_aws_cli():
    create = lambda block: "".join(line for line in block.splitlines(True) if "bucket create" in line)
    return walked("aws", lambda manual: [create(manual["upload"]), manual["s3"]])


def keys_are_as_narrow_as_they_were_made():
    with Server(HOME / "keys" / "server") as server:
        shell = Shell(server, HOME / "keys")
        shell.run(blocks()["account"])
        shell.run("flagbase bucket create kept && flagbase bucket create other && echo text > a.txt")
        mine = use(shell, "flagbase bucket key kept/mine/")
        shell.run("aws s3 cp a.txt s3://kept/mine/a.txt && aws s3 ls s3://kept/mine/ && aws s3 cp s3://kept/mine/a.txt back.txt")
        expect("what came back", shell.run("cat back.txt"), "text\n")
        narrow = client(*mine, at=server.s3)
        refused("what is not there", "NoSuchKey", narrow.get_object, Bucket="kept", Key="mine/none")
        refused("its head", "404", narrow.head_object, Bucket="kept", Key="mine/none")
        refused("what is not there, elsewhere", "AccessDenied", narrow.get_object, Bucket="kept", Key="none")
        for words in ["cp a.txt s3://kept/theirs.txt", "ls s3://kept/", "ls s3://other/", "cp a.txt s3://other/mine/a.txt", "mb s3://third"]:
            denied(shell, words)
        # The shortest time that a key may have is a minute, so it runs while the others are looked at.
        ending, ends = keyed(server, shell, "flagbase bucket key kept --expires-in 1m"), time.monotonic() + 61
        expect("not yet", ending.get_object(Bucket="kept", Key="mine/a.txt")["Body"].read(), b"text\n")
        late = url_of(ending)
        told = shell.run("flagbase bucket key kept --expires-in 59s", fails=True)
        expect(f"too short: {told}", "lifetime" in told, True)
        a_key_for_reading(shell, server)
        a_key_that_is_withdrawn(shell, server)
        time.sleep(max(0, ends - time.monotonic()))
        refused("a key that ended", "InvalidAccessKeyId", ending.get_object, Bucket="kept", Key="mine/a.txt")
        refused("its writes", "InvalidAccessKeyId", ending.put_object, Bucket="kept", Key="mine/b.txt", Body=b"")
        expect("its URL", opened(late), (403, "InvalidAccessKeyId"))
        expect("what is there", sorted(keys_of(keyed(server, shell, "flagbase bucket key kept"), "kept")), ["mine/a.txt"])
        expect("the first key", client(*mine, at=server.s3).get_object(Bucket="kept", Key="mine/a.txt")["Body"].read(), b"text\n")


def a_key_for_reading(shell, server):
    use(shell, "flagbase bucket key kept/mine/ --read-only")
    expect("reading", shell.run("aws s3 cp s3://kept/mine/a.txt -"), "text\n")
    expect("listing", "a.txt" in shell.run("aws s3 ls s3://kept/mine/"), True)
    for words in ["cp a.txt s3://kept/mine/b.txt", "cp a.txt s3://kept/mine/a.txt", "rm s3://kept/mine/a.txt",
                  "cp s3://kept/mine/a.txt s3://kept/mine/c.txt", "rb s3://kept", "cp s3://kept/mine/a.txt s3://other/a.txt"]:
        denied(shell, words)
    for words in ["create-multipart-upload --key mine/b", "put-object-tagging --key mine/a.txt --tagging TagSet=[]",
                  "put-bucket-versioning --versioning-configuration Status=Enabled", "delete-bucket-policy"]:
        operation, more = words.split(" ", 1) if " " in words else (words, "")
        told = shell.run(f"aws s3api {operation} --bucket kept {more}", fails=True)
        expect(f"{words}: {told}", "AccessDenied" in told, True)
    expect("what is there", shell.run("aws s3 ls s3://kept/mine/ | wc -l").strip(), "1")


def a_key_that_is_withdrawn(shell, server):
    revoked = keyed(server, shell, "flagbase bucket key kept --name withdrawn")
    expect("before", revoked.get_object(Bucket="kept", Key="mine/a.txt")["Body"].read(), b"text\n")
    reading = url_of(revoked)
    writing = revoked.generate_presigned_url("put_object", Params={"Bucket": "kept", "Key": "mine/late"})
    begun = revoked.create_multipart_upload(Bucket="kept", Key="mine/parts")["UploadId"]
    expect("before, by URL", opened(reading), (200, ""))
    ids = [key["id"] for key in json.loads(shell.run("flagbase key list -o json")) if key["name"] == "withdrawn"]
    shell.run(f"flagbase key revoke --yes {ids[0]}")
    for call, more in [(revoked.get_object, {"Key": "mine/a.txt"}), (revoked.put_object, {"Key": "mine/late", "Body": b"x"}),
                       (revoked.list_objects_v2, {}), (revoked.delete_object, {"Key": "mine/a.txt"}),
                       (revoked.upload_part, {"Key": "mine/parts", "UploadId": begun, "PartNumber": 1, "Body": b"x"})]:
        refused("after", "InvalidAccessKeyId", call, Bucket="kept", **more)
    expect("after, by URL", opened(reading), (403, "InvalidAccessKeyId"))
    expect("after, by URL, writing", opened(writing, b"late"), (403, "InvalidAccessKeyId"))


def use(shell, command):
    """Takes the key that a command prints into the shell, as the manual says. Returns its two halves."""
    shell.run(f'eval "$({command})"')
    return shell.environment["AWS_ACCESS_KEY_ID"], shell.environment["AWS_SECRET_ACCESS_KEY"]


def keyed(server, shell, command):
    """A client with the key that a command prints."""
    made = json.loads(shell.run(f"{command} -o json"))
    return client(made["access_key_id"], made["secret_access_key"], at=server.s3)


def denied(shell, words):
    told = shell.run(f"aws s3 {words}", fails=True)
    expect(f"aws s3 {words}: {told}", "AccessDenied" in told, True)


def url_of(s3):
    return s3.generate_presigned_url("get_object", Params={"Bucket": "kept", "Key": "mine/a.txt"}, ExpiresIn=3600)


def opened(url, body=None):
    """Status and code of what a URL gives."""
    request = urllib.request.Request(url, data=body, method="GET" if body is None else "PUT")
    try:
        return urllib.request.urlopen(request, timeout=60).status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode().split("<Code>")[1].split("</Code>")[0]


if __name__ == "__main__":
    all_of([
        the_manual_leads_from_nothing_to_a_rollout_and_back,
        the_manual_does_so_with_aws_cli,
        keys_are_as_narrow_as_they_were_made,
    ])
