"""docs/serve.md holds: its examples run, and it names what there is."""

import http.client
import json
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from tests.web.conftest import Running
from web.problem_kinds import BY_SLUG

PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")


def test_what_programs_ask_is_answered(server: Running) -> None:
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
    addresses = [word for line in block.splitlines() for word in shlex.split(line) if word.startswith("http")]
    assert len(addresses) >= 4
    for address in addresses:
        asked = http.client.HTTPConnection(urlsplit(server.url).netloc)
        asked.request("GET", address.removeprefix("http://127.0.0.1:8765"))
        answer = asked.getresponse()
        body = answer.read()
        assert answer.status == 200, (address, body[:500])
        if "/search?" in address:
            assert len(json.loads(body)["hits"]) == 3
        if "/metrics" in address:
            for name in set(re.findall(r"`((?:http|aliens)_[a-z_]+)`", PAGE)):
                assert name.encode() in body
        asked.close()


def test_every_status_of_a_problem_is_explained() -> None:
    told = set(map(int, re.findall(r"\b([45]\d\d)\b", PAGE)))
    assert {kind.status for kind in BY_SLUG.values()} - {405, 500} <= told
