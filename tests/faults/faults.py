"""The faults that the tests must catch: one line of hdmatt each, as a careless change might leave it.

    FAULTS    what is wrong, where, the text as it is, the text as it would be, and the tests that have to see it

A text stands exactly once in its file; `plant.py` stops where it does not, so the list stays true.
"""

from typing import NamedTuple


class Fault(NamedTuple):
    """One wrong line. `file` is below src/hdmatt, `tests` below tests/, several by spaces.

    `release`: the tests are those that only a release needs.
    """

    what: str
    file: str
    right: str
    wrong: str
    tests: str
    release: bool = False


FAULTS = [
    # patches: where they lie, and how they become one picture again
    Fault(
        "the grid's windows are one pixel too far apart",
        "patches/windows.py",
        "        for y in _starts(height, size=size, step=size - overlap)",
        "        for y in _starts(height, size=size, step=size - overlap + 1)",
        "patches",
    ),
    Fault(
        "the picture's last window is forgotten",
        "patches/windows.py",
        "for i in range(count + 1)]",
        "for i in range(count)]",
        "patches",
    ),
    Fault(
        "mirroring repeats the border pixel",
        "patches/windows.py",
        "period = 2 * (length - 1)",
        "period = 2 * length - 1",
        "patches",
    ),
    Fault("the smooth blend is the linear one", "patches/stitch.py", "else ramp * ramp", "else ramp", "patches"),
    Fault(
        "a ramp is one pixel short", "patches/stitch.py", "np.float32(overlap + 1))", "np.float32(overlap))", "patches"
    ),
    Fault(
        "every patch weighs the same in the mean",
        "patches/stitch.py",
        "self._weight[target] += weight[inside]",
        "self._weight[target] += 1",
        "patches",
    ),
    Fault(
        "the fewest windows answer for their margins",
        "patches/cover.py",
        "    return length if start + size >= length else start + size - margin\n\n\ndef _middle",
        "    return length if start + size >= length else start + size\n\n\ndef _middle",
        "patches",
    ),
    # pictures
    Fault(
        "grey 170 is unknown",
        "pictures/trimap.py",
        "    trimap[values >= high] = FOREGROUND",
        "    trimap[values > high] = FOREGROUND",
        "pictures",
    ),
    Fault(
        "a constant of the sRGB curve",
        "pictures/colours/colour.py",
        "((size + 0.055) / 1.055)",
        "((size + 0.05) / 1.05)",
        "pictures",
    ),
    Fault(
        "light is taken for display values",
        "pictures/colours/encoding.py",
        "    if encoding.light:\n        shown",
        "    if not encoding.light:\n        shown",
        "pictures",
    ),
    Fault(
        "red and blue are swapped in the network's input",
        "network/inputs.py",
        "    mean = rgb_BHW3.new_tensor(IMAGENET_MEAN)",
        "    mean = rgb_BHW3.new_tensor(IMAGENET_MEAN[::-1])",
        "network/test_model.py",
    ),
    Fault(
        "a cut-out's colours are multiplied by alpha",
        "pictures/colours/colour.py",
        "np.concatenate([foreground, alpha[..., None]], axis=2)",
        "np.concatenate([foreground * alpha[..., None], alpha[..., None]], axis=2)",
        "pictures",
    ),
    Fault(
        "an EXR's colours are not multiplied by alpha",
        "pictures/writer.py",
        "            pixels[..., :3] *= pixels[..., 3:4]",
        "            pixels[..., :3] *= 1",
        "pictures",
    ),
    Fault(
        "a composite has the background's sign wrong",
        "pictures/colours/colour.py",
        "share * foreground + (1 - share) * background\n",
        "share * foreground + (share - 1) * background\n",
        "pictures",
    ),
    Fault("values are cut off, not rounded", "pictures/writer.py", "np.rint(values, out=values)", "values", "pictures"),
    Fault(
        "values beyond 1 are not clipped",
        "pictures/writer.py",
        "values = band.clip(0, 1)",
        "values = band.clip(0)",
        "pictures",
    ),
    Fault(
        "the foreground's and the background's equations share a sign",
        "pictures/colours/multilevel.py",
        "        means -= np.multiply(rest[::-1], across, out=some)",
        "        means += np.multiply(rest[::-1], across, out=some)",
        "pictures",
    ),
    # system
    Fault(
        "a file is written in place of its hidden copy",
        "system/files.py",
        "            yield hidden.path\n",
        "            yield path\n",
        "system",
    ),
    Fault("GB is GiB", "system/memory.py", 'base = 1000 if match[3] == "b" else 1024', "base = 1024", "system"),
    # overview
    Fault(
        "the smaller matte is trusted where it is unsure",
        "overview/small_matte.py",
        "(low - own_low)",
        "(own_low - low)",
        "overview",
    ),
    Fault(
        "mirrored surroundings keep their cells' order",
        "overview/known_colours.py",
        "    turned = surroundings[:, ::-1].copy()",
        "    turned = surroundings.copy()",
        "overview training/test_validate.py",
    ),
    Fault(
        "the known colours are half a cell off",
        "overview/known_colours.py",
        "np.repeat(((x + centre) / self.cell - 0.5)[None, :]",
        "np.repeat(((x + centre) / self.cell)[None, :]",
        "overview",
    ),
    Fault(
        "the solver's residual has the wrong sign",
        "overview/propagate.py",
        "residual -= length",
        "residual += length",
        "overview",
    ),
    # network
    Fault(
        "eq. 2 takes the least alike",
        "network/cpc.py",
        "argsort(scores, descending=True,",
        "argsort(scores,",
        "network/test_cpc.py",
    ),
    Fault(
        "one context too few",
        "network/cpc.py",
        "stable=True)[:k].tolist()",
        "stable=True)[: max(k - 1, 0)].tolist()",
        "network/test_cpc.py",
    ),
    Fault(
        "eq. 1 takes the mean over all of a query's pixels",
        "network/cpc.py",
        "return (key * unknown).sum(2) / unknown.sum(2).clamp(min=1)",
        "return key.mean(2)",
        "network/test_cpc.py",
    ),
    Fault(
        "eq. 3 forgets the residual",
        "network/cpc.py",
        "found = [own_NV + part for part in parts]",
        "found = [*parts]",
        "network/test_cpc.py",
    ),
    Fault(
        "eq. 3 reads foreground where background is meant",
        "network/attention.py",
        "read_region(query_NC, keys[r], values[r], outside",
        "read_region(query_NC, keys[2 - r], values[2 - r], outside",
        "network/test_cpc.py",
    ),
    Fault(
        "the literal form counts the pixels inside of the region",
        "network/attention.py",
        "outside=len(label_L) - counts[r]",
        "outside=counts[r]",
        "network/test_cpc.py",
    ),
    Fault(
        "a known cell with one unknown pixel is known",
        "network/inputs.py",
        "F.max_pool2d(unknown[:, None], STRIDE)[:, 0] > 0, REGION_UNKNOWN",
        "F.avg_pool2d(unknown[:, None], STRIDE)[:, 0] > 0.5, REGION_UNKNOWN",
        "network/test_model.py",
    ),
    Fault(
        "the decoder unpools with another pooling's places",
        "network/decoder.py",
        "maps = [unpool(at2, stem.index1), stem.full",
        "maps = [unpool(at2, stem.index1.flip(1)), stem.full",
        "network/test_model.py",
    ),
    Fault(
        "a folded norm forgets its epsilon",
        "runtimes/prepare.py",
        "(norm.running_var.double() + norm.eps).sqrt()",
        "(norm.running_var.double() + 10 * norm.eps).sqrt()",
        "runtimes/test_choose.py",
    ),
    Fault(
        "a graph's query values are its context values",
        "runtimes/export.py",
        'for n in ("theta", "delta", "phi", "fuse")}',
        'for n in ("theta", "delta", "phi", "fuse")} | {"delta": folded.cpc.phi}',
        "runtimes/test_export.py",
        release=True,
    ),
    # inference
    Fault(
        "known pixels keep what the network says",
        "patches/stitch.py",
        "return np.where(trimap == UNKNOWN, np.clip(alpha, 0, 1)",
        "return np.where(trimap >= 0, np.clip(alpha, 0, 1)",
        "inference/test_run.py",
    ),
    Fault(
        "alpha is not clipped to 1",
        "patches/stitch.py",
        "np.clip(alpha, 0, 1), (trimap",
        "np.maximum(alpha, 0), (trimap",
        "inference/test_run.py",
    ),
    Fault(
        "a query is its own context",
        "inference/pool.py",
        "for candidate, context in pool.contexts.items() if candidate != w] for w in windows]",
        "for candidate, context in pool.contexts.items()] for w in windows]",
        "inference/test_run.py",
    ),
    Fault(
        "all context patches lie at the picture's top",
        "inference/candidates.py",
        "for position in np.linspace(0, len(among) - 1, min(number, len(among))).round().astype(int):",
        "for position in range(min(number, len(among))):",
        "inference/test_run.py",
    ),
    Fault(
        "a batch's patches get each other's contexts",
        "inference/pool.py",
        "for window, summary in zip(windows, summaries, strict=True)",
        "for window, summary in zip(windows, summaries.flip(0), strict=True)",
        "inference/test_run.py",
    ),
    # samples and training
    Fault(
        "the seed is ignored",
        "samples/sample.py",
        "rng = np.random.default_rng([seed, index])",
        "rng = np.random.default_rng([0, index])",
        "samples/test_sample.py",
    ),
    Fault(
        "the background shines through where alpha is 1",
        "samples/composite.py",
        "    behind *= 1 - a\n",
        "    behind *= a\n",
        "samples/test_sample.py",
    ),
    Fault(
        "eq. 4 without its square root",
        "training/losses.py",
        "torch.sqrt((alpha - truth) ** 2 + EPSILON)",
        "((alpha - truth) ** 2 + EPSILON)",
        "training/test_losses.py",
    ),
    Fault(
        "the composition loss takes the sum for the difference",
        "training/losses.py",
        "(truth - alpha) * (foreground - background)",
        "(truth - alpha) * (foreground + background)",
        "training/test_losses.py",
    ),
    Fault(
        "all levels of the Laplacian pyramid count alike",
        "training/losses.py",
        "loss = loss + 2**level * _mean",
        "loss = loss + _mean",
        "training/test_losses.py",
    ),
    Fault(
        "a loss ignores its weight",
        "training/losses.py",
        "loss = sum((getattr(parts, name) * value for",
        "loss = sum((value for",
        "training/test_losses.py",
    ),
    Fault(
        "errors at background count more, not those at foreground",
        "training/losses.py",
        "(1 + lean * (2 * truth - 1))",
        "(1 - lean * (2 * truth - 1))",
        "training/test_losses.py",
    ),
    Fault(
        "the loss counts known pixels",
        "training/losses.py",
        "return (trimap_B1HW == UNKNOWN).float() * blending_HW",
        "return (trimap_B1HW >= 0).float() * blending_HW",
        "training/test_losses.py",
    ),
    Fault(
        "the EMA forgets what it should keep",
        "training/run.py",
        "get_ema_multi_avg_fn(keep)",
        "get_ema_multi_avg_fn(1 - keep)",
        "training/test_loop.py",
    ),
    Fault(
        "a resumed run starts its moments anew",
        "training/run.py",
        '{"state": moments, "param_groups"',
        '{"state": {}, "param_groups"',
        "training/test_loop.py",
    ),
    Fault(
        "a patch is its own context in training",
        "training/step.py",
        "others = [i for i in members if i != own]",
        "others = list(members)",
        "training/test_loop.py",
    ),
    Fault(
        "by score, training takes the least similar contexts",
        "network/cpc.py",
        "key=lambda i, of=of: -of[i])[:k]",
        "key=lambda i, of=of: of[i])[:k]",
        "network/test_cpc.py",
    ),
    Fault(
        "a patch is turned twice as far as is allowed",
        "samples/sample.py",
        "angle = rng.uniform(-config.rotation, config.rotation)",
        "angle = 2 * rng.uniform(-config.rotation, config.rotation)",
        "samples/test_paper_samples.py",
    ),
    Fault(
        "the rate falls along a line",
        "training/step.py",
        "0.5 * (1 + math.cos(math.pi * share))",
        "(1 - share)",
        "training/test_loop.py",
    ),
    # evaluation
    Fault(
        "SAD over all pixels",
        "evaluation/metrics.py",
        "np.bincount(cv2.absdiff(p[rows], t[rows])[unknown[rows]], minlength=256)",
        "np.bincount(cv2.absdiff(p[rows], t[rows]).ravel(), minlength=256)",
        "evaluation/test_metrics.py",
    ),
    Fault("MSE is divided once by 255", "evaluation/metrics.py", "/ 255**2 /", "/ 255 /", "evaluation"),
    Fault("Grad's sigma", "evaluation/metrics.py", "SIGMA = 1.4 ", "SIGMA = 1.5 ", "evaluation"),
    Fault(
        "Conn's thresholds end at 0.8",
        "evaluation/metrics.py",
        "for tenths in range(1, 11):",
        "for tenths in range(1, 9):",
        "evaluation/test_metrics.py",
    ),
    Fault(
        "Conn's 0.15 is 0.1",
        "evaluation/metrics.py",
        "above_p[above_p * 100 < 15 * 2550] = 0",
        "above_p[above_p * 100 < 10 * 2550] = 0",
        "evaluation/test_metrics.py",
    ),
    Fault(
        "a test picture is rounded, not cut",
        "evaluation/compose.py",
        "+ (1 - share) * background[rows, :width]",
        "+ (1 - share) * background[rows, :width] + 0.5",
        "evaluation/test_testsets.py",
    ),
    Fault(
        "a row of other files is taken for done",
        "evaluation/ledger.py",
        "self.variant, self.name, self.inputs\n",
        'self.variant, self.name, ""\n',
        "evaluation/test_ledger.py",
    ),
    # the edge
    Fault("a caller's mistake leaves with 1", "errors.py", "    exit_code = 2", "    exit_code = 1", "cli"),
    Fault(
        "a palette is asked to hold one colour too many",
        "pictures/files/palette.py",
        "LARGEST = 256",
        "LARGEST = 257",
        "pictures/files/test_palette.py",
    ),
    Fault(
        "two ways of turning a Radiance picture are taken for each other",
        "pictures/files/radiance.py",
        '"+X+Y": 8,',
        '"+X+Y": 6,',
        "pictures/files/test_radiance.py",
    ),
]
