"""Random steps, compiled and as plain loops.

    python -m tests.engine.fuzz --steps 10000 --seed 0 --workers 2

`body` writes the statements of a step, `operations` says which there are, `cases` puts the source
of a whole case together, `check` runs and judges one, `runner` runs many in processes of their own,
so that one that dies or hangs has a name. A seed determines everything.
"""
