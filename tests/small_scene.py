"""A picture whose foreground and background are known, for the tests of colours."""

import numpy as np

from hdmatt.pictures.colours.colour import composite


def scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Foreground, background, alpha and picture, float32: smooth colours and a disc with a soft rim of 40 pixels."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    foreground = np.stack([0.6 + 0.3 * np.sin(x / 90), 0.4 + 0.2 * np.cos(y / 70), 0.3 + 0.2 * np.sin(x / 50)], -1)
    background = np.stack([0.2 + 0.2 * np.cos(x / 60), 0.5 + 0.2 * np.sin(y / 80), 0.7 + 0.2 * np.cos(y / 50)], -1)
    radius = np.hypot(y - height / 2, x - width / 2)
    alpha = np.clip((0.35 * min(height, width) - radius) / 40 + 0.5, 0, 1).astype(np.float32)
    return foreground, background, alpha, composite(foreground, alpha, background)
