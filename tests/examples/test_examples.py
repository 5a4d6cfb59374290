"""The example scripts, run as a reader runs them."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(script, *arguments, cwd=None):
    return subprocess.run(
        [sys.executable, str(EXAMPLES / script), *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "names"
    folder.mkdir()
    vowels = ["".join(letters) for letters in itertools.product("aeiou", repeat=3)]
    consonants = ["".join(letters) for letters in itertools.product("kln", "rstz", "bdf")]
    (folder / "Vowels.txt").write_text("\n".join(vowels))
    (folder / "Consonants.txt").write_text("\n".join(["Šż", "bcd", "bcd", " bcd ", *consonants]))
    return folder


def untimed(printed):
    return [line.split("s  ")[-1] for line in printed.splitlines()]


def test_simple_rnn_prints_five_predictions():
    done = run("simple_rnn.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "(5, 1)"


def test_names_learns_and_repeats_with_its_seed(tmp_path, data):
    options = (
        *("--data", data, "--iterations", 3000, "--print-every", 500, "--plot-every", 100),
        *("--predict", "aeé", "Łß"),
    )  # fmt: skip
    first, second = (run("names.py", *options, cwd=tmp_path) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert untimed(first.stdout) == untimed(second.stdout)
    assert "2 languages, 165 lines, 2 repeats or empty dropped" in first.stdout
    accuracy = re.search(r"held-out names: ([\d.]+)% right", first.stdout)
    assert float(accuracy[1]) > 90
    assert "1500  50%" in first.stdout
    assert "Vowels" in first.stdout.split("aeé")[-1].splitlines()[1]
    assert "Łß: no letter that the model knows" in first.stdout
    for picture in ("loss.png", "confusion.png"):
        assert (tmp_path / "names_run" / picture).read_bytes().startswith(b"\x89PNG")


def test_names_through_the_compiled_loop(tmp_path, data):
    options = (
        *("--data", data, "--iterations", 1000, "--print-every", 500, "--plot-every", 100),
        *("--predict", "aea"),
    )  # fmt: skip
    loop, scan = (run("names.py", *options, *more, cwd=tmp_path) for more in ((), ("--scan",)))
    assert scan.returncode == 0, scan.stderr
    assert re.search(r"through elman.scan, [\d.]+ times as fast", scan.stdout)
    losses = [re.findall(r"s  ([\d.]+)  \w+ / ", done.stdout) for done in (loop, scan)]
    assert len(losses[0]) == 2
    assert [float(x) for x in losses[1]] == pytest.approx([float(x) for x in losses[0]], abs=2e-3)


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("--data", "nowhere"), "no folder nowhere", 2),
        (("--data", ".", "--iterations", "0"), "at least 1", 2),
        (("--data", "."), "one .txt file for each", 1),
    ],
)
def test_names_says_what_is_wrong(tmp_path, arguments, words, code):
    done = run("names.py", *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
