"""The weights in the package, by name. Loads no torch and opens no file."""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"


def models() -> dict[str, Path]:
    """Name -> file of every model in the package."""
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}
