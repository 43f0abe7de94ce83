"""The command: what it says where it cannot work, and what it makes of a process that ends too early."""

import json

import pytest

from tests.reliability import fuzzing
from tests.reliability.fuzzing import decoder
from tests.reliability.fuzzing.targets import TARGETS

LOG = """#2	INITED cov: 120 ft: 121 corp: 1/1b exec/s: 0 rss: 40Mb
#967	REDUCE cov: 681 ft: 2176 corp: 275/6Kb lim: 8 exec/s: 0 rss: 46Mb L: 2/5 MS: 1 EraseBytes-
stat::number_of_executed_units: 1000
stat::new_units_added:          101
"""


@pytest.mark.parametrize("missing", ["atheris", "interpreted"])
def test_it_says_why_it_cannot_fuzz(monkeypatch, capsys, missing):
    monkeypatch.setattr(fuzzing, "find_spec", lambda name: None if missing == "atheris" else object())
    monkeypatch.setattr(fuzzing, "build", lambda: "compiled")
    assert fuzzing.main(["--target", "decoder"]) == 2
    assert missing in capsys.readouterr().err


def test_it_reads_what_a_process_has_done(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps({"executions": 7, "found": ["KeyError"]}))
    done = fuzzing._read("decoder", 0, tmp_path, LOG)
    assert (done.executions, done.edges, done.corpus, done.added, done.found) == (7, 681, 275, 101, ["KeyError"])


def test_a_process_that_ends_without_a_summary_is_a_finding(tmp_path):
    assert "ended with 70" in fuzzing._read("decoder", 70, tmp_path, LOG).found[0]


def test_it_replays_a_finding(tmp_path, monkeypatch, capsys):
    path = tmp_path / "input.bin"
    path.write_bytes(b"\x05\x00\xc0\x00")
    assert fuzzing.main(["--target", "decoder", "--replay", str(path)]) == 0
    monkeypatch.setattr(decoder, "check_repeats", lambda packet, decoder: 1 / 0)
    assert fuzzing.main(["--target", "decoder", "--replay", str(path)]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_every_target_has_inputs_to_begin_with():
    assert all(target.load()[1] for target in TARGETS.values())
