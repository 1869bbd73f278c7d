"""Arguments of a type that no annotation names: converted, or an InputError that says what to do.

In a process without the checks of conftest.py, which would refuse them first.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hdmatt

REFUSED = {  # a call -> how its message begins
    "Options(topk='3')": "topk is '3'",
    "Options(patch=320.0)": "patch is 320.0",
    "Options(patch=None)": "patch is None",
    "Options(overlap='64')": "overlap is '64'",
    "Options(candidates=True)": "candidates is True",
    "Options(batch=1.5)": "batch is 1.5",
    "Options(memory=2e9)": "memory is 2000000000.0",
    "Options(memory=[1])": "memory is [1]",
    "Options(small_first='no')": "small_first is 'no'",
    "Options(windows=None)": "windows is None",
    "Options(windows=['grid'])": "windows is ['grid']",
    "Options(blend=1)": "blend is 1",
    "Outputs(alpha=3)": "alpha is an int, we need a path",
    "Outputs(background=(1, 0, 0))": "background is a tuple, we need a path",
    "Outputs(clean='no')": "clean is 'no'",
    "Outputs(bit_depth=8)": "bit_depth is 8",
    "Outputs(bit_depth='12')": "bit_depth is '12'",
    "Outputs(matte_for=np.array(['linear', 'display']))": "matte_for is array",
    "Outputs(invert=1)": "invert is 1",
    "Outputs(matte_range=0.5)": "matte_range is 0.5, we need two numbers",
    "Outputs(matte_range='01')": "matte_range is '01', we need two numbers",
    "Outputs(matte_range=(0.5, 0.5))": "matte_range is 0.5 to 0.5",
    "Outputs(matte_range=(0, 1.5))": "matte_range is 0 to 1.5",
    "Outputs(matte_range=(float('nan'), 1))": "matte_range is nan to 1",
    "NetworkChoice(device=0)": "device is 0",
    "NetworkChoice(model=3)": "the network is an int",
    "InputOptions(max_pixels='1')": "max_pixels is '1'",
    "InputOptions(layer=3)": "the layer is 3",
    "matte(P, T, options={'patch': 320})": "options is a dict",
    "matte(P, T, network=3)": "the network is an int",
    "matte(P, T, strategy=None)": "there is no strategy None",
    "matte(P, T, strategy=['hdmatt'])": "there is no strategy ['hdmatt']",
    "matte(P, T, linear='no')": "linear is 'no'",
    "matte(P, T, max_pixels=None)": "max_pixels is None",
    "matte(P, T, input_layer=3)": "the layer is 3",
    "matte(P, T, progress=3)": "progress is an int",
    "matte(P, None)": "the trimap is None",
    "matte(None, T)": "the picture is None",
    "matte_files(P, 't.png', Outputs('a.png'))": "the picture is a numpy.ndarray, we need a path",
    "matte_files('p.png', None, Outputs('a.png'))": "the trimap is None, we need a path",
    "plan_files(b'p.png', 't.png', Outputs('a.png'))": "the picture is a bytes, we need a path",
    "matte_files('p.png', 't.png', 'a.png')": "outputs is a str",
    "matte_files('p.png', 't.png', Outputs('a.png'), input_options=3)": "input_options is an int",
    "BatchOptions(workers='2')": "workers is '2'",
    "BatchOptions(workers=True)": "workers is True",
    "BatchOptions(threads=1.0)": "threads is 1.0",
    "BatchOptions(max_failures=[1])": "max_failures is [1]",
    "BatchOptions(listed='no')": "listed is 'no'",
    "BatchOptions(sequence=1)": "sequence is 1",
    "BatchOptions(skip_unmatched=None)": "skip_unmatched is None",
    "BatchOptions(overwrite='yes')": "overwrite is 'yes'",
    "BatchOptions(trimaps=3)": "trimaps is an int",
    "BatchOptions(manifest=b'a.csv')": "manifest is a bytes",
    "BatchOptions(root=True)": "root is a bool",
    "BatchOptions(frames=1001)": "frames is 1001",
    "BatchOptions(shard=(1, 4))": "shard is (1, 4)",
    "BatchOptions(band=None)": "band is None",
    "BatchOptions(redo=['all'])": "redo is ['all']",
    "attend(P, T, y='3', x=3)": "y is '3'",
    "attend(P, T, y=3, x=3.5)": "x is 3.5",
    "attend(P, 7, y=3, x=3)": "the trimap is an int",
    "load_model(3)": "the network is an int",
    "score(None, T, T)": "the prediction is None",
    "score(T, 'a.png', T)": "the truth is a str",
    "Stroke(None, 128, AT)": "kind is None",
    "Stroke('brush', '128', AT)": "label is '128'",
    "Stroke('brush', False, AT)": "label is False",
    "Stroke('brush', 128.0, AT)": "label is 128.0",
    "Stroke('brush', 128, None)": "a stroke's points are not finite numbers",
    "Stroke('brush', 128, 7)": "a stroke's points are not finite numbers",
    "Stroke('brush', 128, (('1', '2', '3'),))": "a stroke's points are not finite numbers",
    "Stroke('brush', 128, ((1, 2), (1, 2, 3)))": "a stroke's points are not finite numbers",
    "Stroke('widen', 128, AT, '2')": "widening by a str",
    "Stroke('widen', 128, AT, True)": "widening by a bool",
    "Stroke('widen', 128, AT, float('nan'))": "widening by nan",
    "Session(None)": "the picture is None",
    "Session(P, 7)": "the trimap is an int",
    "Session(P, input_options=3)": "input_options is an int",
    "Matte(None, P)": "alpha is None",
    "Matte(T / 200, P)": "alpha holds values from 0 to 1.275",
    "Matte(T[1:] / 255, P)": "a matte has an alpha of H x W",
    "Matte(T / 255, P, matte_for='Linear')": "matte_for is 'Linear'",
    "Matte(T * np.nan, P)": "alpha holds values from nan to nan",
}
TAKEN = {  # a call -> what it gives
    "Options(topk=np.int64(3), small_first=np.False_)": "Options(topk=3, small_first=False)",
    "NetworkChoice(Somewhere()).model": "Path('a/b')",
    "BatchOptions(workers=np.int64(2), listed=np.True_)": "BatchOptions(workers=2, listed=True)",
    "BatchOptions(trimaps='s3://bucket/trimaps').trimaps": "'s3://bucket/trimaps'",
    "Outputs(Somewhere()).paths()": "[Path('a/b')]",
    "Outputs(matte_range=np.float32([0, 0.5])).matte_range": "(0.0, 0.5)",
    "Matte((T / 255).tolist(), torch.from_numpy(P)).alpha.dtype": "np.dtype('float32')",
    "Stroke('brush', np.uint8(128), np.float32([[1.5, 2.5, 3]]), np.float32(2))": (
        "Stroke('brush', 128, ((1.5, 2.5, 3.0),), 2.0)"
    ),
    "float(Matte(T / 255, P).picture.max())": "1.0",
}
PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
import torch
from hdmatt import *

class Somewhere:
    def __fspath__(self):
        return "a/b"

T = np.tile(np.uint8([0, 128, 255]), (4, 4))
P = np.repeat(T[..., None], 3, axis=2)
AT = ((1.0, 2.0, 3.0),)
found = {}
for call in json.load(sys.stdin):
    try:
        found[call] = ["gave", repr(eval(call))]
    except HDMattError as error:
        found[call] = [type(error).__mro__[-4].__name__ if error.hint else "no hint", error.message]
    except Exception as error:
        found[call] = [type(error).__name__, str(error)]
print(json.dumps([found, {wanted: repr(eval(wanted)) for wanted in sys.argv[1:]}]))
"""


@pytest.mark.release
def test_what_no_annotation_names_is_converted_or_refused_by_name():
    source = {**os.environ, "PYTHONPATH": str(Path(hdmatt.__file__).parents[1])}
    command = [sys.executable, "-c", PROGRAM, *TAKEN.values()]
    calls = json.dumps([*REFUSED, *TAKEN])
    done = subprocess.run(command, input=calls, env=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, wanted = json.loads(done.stdout)
    wrong = {call: found[call] for call, message in REFUSED.items() if not found[call][1].startswith(message)}
    assert wrong == {}
    assert {call: kind for call, (kind, _) in found.items() if kind not in ("HDMattError", "gave")} == {}
    assert {call: found[call][1] for call in TAKEN} == {call: wanted[text] for call, text in TAKEN.items()}
