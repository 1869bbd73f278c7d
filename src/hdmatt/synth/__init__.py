"""Training samples made on the fly, deterministic in (seed, index). NumPy and OpenCV only.

assets.py       packs of foregrounds and backgrounds, decoded once
procedural.py   foregrounds drawn without any file
sample.py       one composite, cut into a group of patches that serve each other as context
faults.py       what cameras do to a picture: exposure, blur, noise, JPEG, chroma shift
"""
