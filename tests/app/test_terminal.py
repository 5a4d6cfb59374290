"""What a run folder says can't drive the terminal."""

from elman.app import terminal
from elman.app.progress import Watcher


def test_control_characters_do_not_reach_a_terminal(capsys):
    evil = "label\x1b[2J\x07 fine\ttab\nnext"
    terminal.note(evil)
    Watcher().say(evil)
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert shown.count("next") == 2


def test_a_pipe_gets_results_to_the_letter(capsys):
    terminal.result("a\x1bb", end="")
    assert capsys.readouterr().out == "a\x1bb"
