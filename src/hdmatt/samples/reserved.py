"""Photographs that no training sees, because test pictures of ours are made of them. Knows no files.

BACKGROUNDS    their file names; benchmarks/wide_unknown.py lays its drawings over them
"""

BACKGROUNDS = (
    "cinnamon-garden-passage-by-joshua-peisach.jpg",
    "cinnamon-golden-rocks-of-magic-by-joshua-peisach.jpg",
    "cinnamon-sculpture-of-bones-by-joshua-peisach.jpg",
    "cinnamon-snowy-abyss-by-joshua-peisach.jpg",
    "immich-handwritten-notes.jpg",
    "immich-japanese-shop.jpg",
    "lomiri-life-by-aitzol-berasategi.jpg",
    "lomiri-picture-1a-by-freespace.jpg",
    "lomiri-seeding-by-clements-engelhardt.jpg",
    "mate-blue-lobster.jpg",
    "mate-hans-jurgen-mager-indri.jpg",
    "nextcloud-library.jpg",
    "nextcloud-toucan.jpg",
    "pop-jad-limcaco-183877.jpg",
    "pop-nasa-89127.jpg",
    "solus-blue-wallpaper.jpg",
    "solus-hermitecrab2560x1600.jpg",
    "solus-twigonometry.jpg",
    "solus-vents-du-sud.jpg",
    "solus-white-and-multicolored.jpg",
    "wp24-art-gallery.jpg",
)
