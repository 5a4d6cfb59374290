"""What a run leaves on disk, and loading it back."""

from elman.artifacts.run_folder import RunConfig, RunFolder, create_run, next_free, open_run

__all__ = ["RunConfig", "RunFolder", "create_run", "next_free", "open_run"]
