"""The benchmarks run, and refuse to print a speed for a wrong result."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def run(tmp_path, *options, patch=""):
    code = (
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r}); {patch or 'pass'}; import engine; "
        f"sys.argv = ['engine.py', '--no-jax', '--no-checks', '--seconds', '0', "
        f"*{list(options)!r}, '--out', {str(tmp_path)!r}]; sys.exit(engine.main())"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_engine(tmp_path):
    done = run(tmp_path, "--cells", "rnn,mgu", "--sizes", "4")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "engine.json").read_text())
    assert {row["cell"] for row in report["rows"]} == {"rnn", "mgu"}
    assert report["machine"]["torch"]
    assert "torch.nn" in done.stdout
    assert (tmp_path / "engine.png").stat().st_size > 10_000


def test_a_wrong_result_has_no_speed(tmp_path):
    patch = (
        "import elman.engine.backends as b; old = b.BACKENDS['llvm']; "
        "b.BACKENDS['llvm'] = lambda *a: (lambda y, s: (y * 1.01, s))(*old(*a))"
    )
    done = run(tmp_path, "--cells", "rnn", "--sizes", "4", patch=patch)
    assert done.returncode == 1
    assert "is off by" in done.stderr
    assert " ms" not in done.stdout
