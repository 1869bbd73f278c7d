"""How long, in how much memory, how near to the machine's peak: `hdmatt bench`.

evaluation/scenes.py    scenes at any number of megapixels
speed.py       measured peaks, counted operations, time layer by layer
entry.py       one method on one picture, in a process of its own
run.py         sizes x methods -> rows, their record
plot.py        rows -> an SVG
"""
