"""The commands of language models as a user types them."""

import csv
import io
import json
import subprocess
import sys

import pytest

import elman
from elman.app.main import run as run_elman

SMALL = (
    "--hidden-size=8", "--batch-size=4", "--sequence-length=16", "--steps=20", "--evaluate-every=10"
)  # fmt: skip


@pytest.fixture
def program(capsys):
    def run(*arguments, code=0):
        capsys.readouterr()
        got = run_elman([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert got == code, err
        return out, err

    return run


@pytest.fixture
def trained(tmp_path, text_file, program):
    program("train", "language", text_file, "--run", tmp_path / "run", *SMALL)
    return tmp_path / "run"


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text('it was the age\n\nso, "it" §\nwas of\n', encoding="utf-8")
    return path


def test_score_prints_a_row_for_every_line(program, trained, lines):
    rows = list(csv.DictReader(io.StringIO(program("score", trained, lines, "--format", "csv")[0])))
    assert [row["text"] for row in rows] == ["it was the age", "", 'so, "it" §', "was of"]
    assert [row["unknown"] for row in rows] == ["0", "0", "3", "0"]
    model = elman.load(trained)
    expected = model.score("was of").mean().item()
    assert float(rows[3]["nats_per_character"]) == pytest.approx(expected, rel=1e-4)
    assert (rows[1]["perplexity"], rows[2]["perplexity"]) == ("", "inf")

    found = [json.loads(line) for line in
             program("score", trained, lines, "--format", "jsonl")[0].splitlines()]  # fmt: skip
    assert [one["text"] for one in found] == [row["text"] for row in rows]
    assert (found[1]["perplexity"], found[2]["perplexity"]) == (None, None)
    table, _ = program("score", trained, lines, "--unknown", "skip")
    assert len(table.splitlines()) == 5
    assert "inf" not in table


def test_score_filters_a_corpus(program, trained, lines):
    out, err = program("score", trained, lines, "--max-perplexity", 1e9, "--format", "text")
    assert out == "it was the age\nwas of\n"
    assert err == "printed 2 of 4 lines\n"
    assert "at least 1" in program("score", trained, lines, "--max-perplexity", 0.5, code=2)[1]
    assert "never seen" in program("score", trained, lines, "--unknown", "error", code=2)[1]
    assert "no file" in program("score", trained, "nowhere.txt", code=1)[1]


def test_score_reads_standard_input(trained):
    arguments = [sys.executable, "-m", "elman", "score", str(trained), "-", "--format", "text"]
    done = subprocess.run(arguments, input="was\r\nit", text=True, capture_output=True)
    assert done.stdout == "was\nit\n", done.stderr


def test_beam_search(program, trained):
    search = ("generate", trained, "--prompt", "it was", "--beam", 3, "--length", 12)
    out, err = program(*search, "--log-probability")
    best = elman.load(trained).beam_search("it was", 12, beam=3)
    assert out == f"it was{best[0].text}\n"
    assert f"log-probability {best[0].log_probability:.4f} nats" in err
    assert "seed" not in err  # nothing is drawn
    out, _ = program(*search, "--samples", 2)
    assert out.splitlines()[0] == "--- 1 of 3"
    assert f"it was{best[1].text}\n" in out
    assert "--top-k says how to draw" in program(*search, "--top-k", 3, code=2)[1]
    assert "--seed says how to draw" in program(*search, "--seed", 3, code=2)[1]
    assert "at most --beam, 3" in program(*search, "--samples", 4, code=2)[1]
    assert "give --beam" in program("generate", trained, "--length-penalty", 0, code=2)[1]


def test_allowed_characters(program, trained):
    out, _ = program("generate", trained, "--allow", "a-f ", "--length", 50, "--seed", 1)
    assert len(out) == 51
    assert set(out) <= set("abcdef \n")
    assert "can write" in program("generate", trained, "--allow", "§", code=2)[1]
    assert "a class" in program("generate", trained, "--allow", "z-a", code=2)[1]


def converse(monkeypatch, program, trained, text, *options):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return program("generate", trained, "--interactive", "--seed", 1, "--length", 9, *options)


def test_a_conversation_carries_its_state(monkeypatch, program, trained):
    out, err = converse(monkeypatch, program, trained, "it was\n\nthe")
    assert err == ""
    turns = out.splitlines()
    assert [len(turn) for turn in turns] == [9, 9, 9]
    writer = elman.load(trained).writer(seed=1)
    for turn, said in zip(turns, ("it was", "", "the"), strict=True):
        writer.read(said)
        assert "".join(writer.write(9, elman.tasks.language.Sampling())) == turn


def test_commands_of_a_conversation(monkeypatch, program, trained):
    greedy = elman.load(trained).generate("it was", 9, temperature=0)
    out, _ = converse(
        monkeypatch, program, trained, "was\n/reset\n/temperature 0\nit was\n/reset\n/length 2\n"
        "it was\n/allow a\n\n/allow\n/reset\n/length 9\n/stop " + greedy[4] + "\nit was\n"
    )  # fmt: skip
    assert out.splitlines()[1:] == [greedy, greedy[:2], "aa", greedy[: greedy.index(greedy[4])]]


def test_a_mistake_in_a_conversation_costs_a_line(monkeypatch, program, trained):
    text = "/temperature hot\n/top-p 3\n/frobnicate\n/length -1\n//§\n/help\n/reset\nit\n"
    out, err = converse(monkeypatch, program, trained, text)
    assert len(out.splitlines()) == 1
    for part in ("a number", "top_p must be", "no command /frobnicate", "0 or more", "never seen"):
        assert part in err
    assert "Traceback" not in err
    both = ("generate", trained, "--interactive")
    assert "leave --beam out" in program(*both, "--beam", 3, code=2)[1]
    assert "leave --samples out" in program(*both, "--samples", 2, code=2)[1]


def test_a_pipe_gets_each_character_as_it_comes(trained):
    arguments = [sys.executable, "-m", "elman", "generate", str(trained), "--length=1000000000"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert len(child.stdout.read(20)) == 20  # long before the end
        child.stdout.close()
        assert child.wait(timeout=30) == 0
        assert child.stderr.read().decode().splitlines()[1:] == []  # the seed, and nothing else


def test_infill(program, trained):
    best, second, *_ = elman.load(trained).infill("it w_s the b_st")
    assert program("infill", trained, "it w_s the b_st")[0] == best.text + "\n"
    out, _ = program("infill", trained, "it w?s the b?st", "--gap", "?", "--top", 2)
    assert [line[8:] for line in out.splitlines()] == [best.text, second.text]
    assert out.split("%")[0].strip() == f"{100 * best.probability:.1f}"
    assert "choose another with --gap" in program("infill", trained, "it was", code=2)[1]
