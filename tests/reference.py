"""Slow, obvious twins of the fast code, for tests to compare with. Imports nothing of hdmatt.

Each function is the formula in loops: no cleverness, no library that could share a mistake with the fast one. One
section a module:

    metrics    sad, mse, mad, grad, conn, seam
    datasets   pillow_bicubic, adobe_composite
    cpc        slow_rank, slow_region_read
    stitch     slow_stitch
    multilevel    cost_of_colours, best_colours
"""

import math
from fractions import Fraction

import numpy as np

# --------------------------------------------------------------------------------------------------------------------
# metrics: uint8 mattes and trimap in, the unit of the paper out (SAD, Grad, Conn in thousands)
# --------------------------------------------------------------------------------------------------------------------


def unknown_pixels(trimap):
    return [(y, x) for y in range(trimap.shape[0]) for x in range(trimap.shape[1]) if trimap[y, x] == 128]


def sad(prediction, truth, trimap):
    return sum(abs(int(prediction[at]) / 255 - int(truth[at]) / 255) for at in unknown_pixels(trimap)) / 1000


def mad(prediction, truth, trimap):
    return sad(prediction, truth, trimap) * 1000 / len(unknown_pixels(trimap))


def mse(prediction, truth, trimap):
    inside = unknown_pixels(trimap)
    return sum((int(prediction[at]) / 255 - int(truth[at]) / 255) ** 2 for at in inside) / len(inside)


def grad(prediction, truth, trimap):
    sigma, epsilon = 1.4, 0.01
    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * epsilon)))

    def gauss(x):
        return math.exp(-(x**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))

    offsets = range(-half, half + 1)
    filter_ = {(i, j): gauss(i) * -j * gauss(j) / sigma**2 for i in offsets for j in offsets}
    length = math.sqrt(sum(value**2 for value in filter_.values()))
    filter_ = {at: value / length for at, value in filter_.items()}

    def stretched(matte):
        low, high = int(matte.min()), int(matte.max())
        if low == high:
            return np.clip(matte.astype(float), 0, 1)
        return (matte.astype(float) - low) / (high - low)

    def magnitude(matte, y, x):
        height, width = matte.shape
        along_x = along_y = 0.0
        for (i, j), value in filter_.items():  # convolution: the filter is turned by half a turn
            along_x += value * matte[min(max(y - i, 0), height - 1), min(max(x - j, 0), width - 1)]
            along_y += value * matte[min(max(y - j, 0), height - 1), min(max(x - i, 0), width - 1)]
        return math.hypot(along_x, along_y)

    p, t = stretched(prediction), stretched(truth)
    return sum((magnitude(p, y, x) - magnitude(t, y, x)) ** 2 for y, x in unknown_pixels(trimap)) / 1000


def conn(prediction, truth, trimap):
    height, width = truth.shape
    p = {(y, x): Fraction(int(prediction[y, x]), 255) for y in range(height) for x in range(width)}
    t = {(y, x): Fraction(int(truth[y, x]), 255) for y in range(height) for x in range(width)}
    level = {}
    for k in range(1, 11):
        threshold = Fraction(k, 10)
        omega = largest_component({at for at in p if p[at] >= threshold and t[at] >= threshold})
        for at in p:
            if at not in level and at not in omega:
                level[at] = threshold - Fraction(1, 10)

    def phi(matte, at):
        above = matte[at] - level.get(at, 1)
        return 1 - (above if above >= Fraction(15, 100) else 0)

    return float(sum(abs(phi(p, at) - phi(t, at)) for at in unknown_pixels(trimap)) / 1000)


def largest_component(pixels):
    """4 neighbours; of equally large ones the one that comes first down the columns, as bwconncomp lists them."""
    best, left = set(), set(pixels)
    for start in sorted(pixels, key=lambda at: (at[1], at[0])):
        if start not in left:
            continue
        component, edge = set(), [start]
        left.discard(start)
        while edge:
            y, x = edge.pop()
            component.add((y, x))
            for neighbour in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if neighbour in left:
                    left.discard(neighbour)
                    edge.append(neighbour)
        if len(component) > len(best):
            best = component
    return best


def seam(prediction, truth, trimap, rows, columns, band):
    inside = set(unknown_pixels(trimap))
    on, away = [], []
    for y, x in inside:
        for neighbour, crossed, position in (((y, x + 1), columns, x), ((y + 1, x), rows, y)):
            if neighbour in inside:
                error = [int(prediction[at]) - int(truth[at]) for at in ((y, x), neighbour)]
                near = any(border - band <= position and position + 1 < border + band for border in crossed)
                (on if near else away).append(abs(error[1] - error[0]))
    return (sum(on) / len(on)) / (sum(away) / len(away))


# --------------------------------------------------------------------------------------------------------------------
# datasets: the official way to compose a test picture
# --------------------------------------------------------------------------------------------------------------------


def pillow_bicubic(picture, height, width):
    """Enlarge as Pillow does: across first, then down, 8 bits between, weights in units of 2^-22."""

    def kernel(x):
        x = abs(x)
        if x < 1:
            return (1.5 * x - 2.5) * x * x + 1
        return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2 else 0.0

    def line(values, target):
        result = []
        for i in range(target):
            centre = (i + 0.5) * (len(values) / target)
            first, last = max(int(centre - 1.5), 0), min(int(centre + 2.5), len(values))
            weights = [kernel(j - centre + 0.5) for j in range(first, last)]
            fixed = [int(w / sum(weights) * 2**22 + math.copysign(0.5, w)) for w in weights]
            total = sum(int(values[first + j]) * w for j, w in enumerate(fixed)) + 2**21
            result.append(min(max(total >> 22, 0), 255))
        return result

    wide = np.array([[line(row[:, c], width) for c in range(3)] for row in picture]).transpose(0, 2, 1)
    return np.array([[line(wide[:, x, c], height) for x in range(width)] for c in range(3)]).transpose(2, 1, 0)


def adobe_composite(foreground, alpha, background):
    result = np.zeros(foreground.shape, np.uint8)
    for y, x, c in np.ndindex(*foreground.shape):
        share = int(alpha[y, x]) / 255
        result[y, x, c] = int(share * int(foreground[y, x, c]) + (1 - share) * int(background[y, x, c]))
    return result


# ---------------------------------------------------------------- context (network/cpc.py)
def slow_rank(query, query_label, candidates):
    """Eq. 1 and 2 as written: the double sum over all pixel pairs, then softmax. Lists of vectors in, list out."""
    scores = []
    for candidate in candidates:
        score = 0.0
        for q, label in zip(query, query_label, strict=True):
            if label != 1:  # q_U is 0 outside the unknown region
                continue
            for c in candidate:
                score += float(q @ c)
        scores.append(score)
    top = max(scores)
    shares = [math.exp(score - top) for score in scores]
    return [share / sum(shares) for share in shares]


def slow_region_read(query, keys, values, labels, region, *, form, scale):
    """The sum of eq. 3 for one query pixel and one region, pixel by pixel.

    "literal" multiplies keys and values outside the region by 0 and leaves them in the softmax; "strict" leaves
    them out and reads 0 from an empty region.
    """
    logits, read = [], np.zeros(values.shape[1])
    inside = [label == region for label in labels]
    for key, here in zip(keys, inside, strict=True):
        if here:
            logits.append(scale * float(query @ key))
        else:
            logits.append(0.0 if form == "literal" else -math.inf)
    if not len(logits) or max(logits) == -math.inf:
        return read
    total = sum(math.exp(logit - max(logits)) for logit in logits)
    for logit, value, here in zip(logits, values, inside, strict=True):
        if here:
            read += math.exp(logit - max(logits)) / total * value
    return read


# ---------------------------------------------------------------- stitching (patches/stitch.py)
def slow_stitch(patches, height, width, *, size, overlap):
    """The paper's blending: every pixel is the mean of the patches over it, weighted by the distance to their border.

    `patches` is {(first row, first column): size x size values}. The distance counts in pixels, 1 for a patch's
    outermost pixels, and no further than overlap + 1.
    """
    picture = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            total = weights = 0.0
            for (top, left), values in patches.items():
                row, column = y - top, x - left
                if 0 <= row < size and 0 <= column < size:
                    weight = min(row + 1, size - row, column + 1, size - column, overlap + 1)
                    total += weight * float(values[row, column])
                    weights += weight
            picture[y, x] = total / weights if weights else 0.0
    return picture


# ---------------------------------------------------------------- foreground colours (pictures/colours/multilevel.py)
def neighbour_pairs(height, width):
    across = [((y, x), (y, x + 1)) for y in range(height) for x in range(width - 1)]
    return across + [((y, x), (y + 1, x)) for y in range(height - 1) for x in range(width)]


def cost_of_colours(picture, alpha, foreground, background, epsilon=1e-5):
    """What a foreground and a background of a picture cost, term by term."""
    cost = 0.0
    for at in np.ndindex(*alpha.shape):
        share = float(alpha[at])
        cost += ((share * foreground[at] + (1 - share) * background[at] - picture[at]) ** 2).sum()
    for here, there in neighbour_pairs(*alpha.shape):
        weight = epsilon + abs(float(alpha[here]) - float(alpha[there]))
        for colours in (foreground, background):
            cost += weight * ((colours[here] - colours[there]) ** 2).sum()
    return cost


def best_colours(picture, alpha, epsilon=1e-5, foreground=None):
    """Foreground and background of least cost: one equation a term, all of them by least squares in float64.

    With a foreground, that one and the best background for it.
    """
    height, width = alpha.shape
    pixels = height * width
    rows, rights = [], []

    def add(terms, right, weight):
        row = np.zeros(2 * pixels)
        for index, factor in terms:
            row[index] = factor
        rows.append(math.sqrt(weight) * row)
        rights.append(math.sqrt(weight) * np.asarray(right, float))

    def number(at):
        return at[0] * width + at[1]

    for at in np.ndindex(height, width):
        share = float(alpha[at])
        add([(number(at), share), (pixels + number(at), 1 - share)], picture[at], 1.0)
        if foreground is not None:
            add([(number(at), 1.0)], foreground[at], 1e12)
    for here, there in neighbour_pairs(height, width):
        weight = epsilon + abs(float(alpha[here]) - float(alpha[there]))
        for layer in (0, pixels):
            add([(layer + number(here), 1.0), (layer + number(there), -1.0)], np.zeros(3), weight)
    matrix, right = np.array(rows), np.array(rights)
    solution = np.linalg.solve(matrix.T @ matrix, matrix.T @ right)
    return solution[:pixels].reshape(height, width, 3), solution[pixels:].reshape(height, width, 3)


def unpacked_bits(encoded: bytes) -> bytes:
    """PackBits decoded, a header at a time (TIFF 6.0, section 9)."""
    out, at = b"", 0
    while at < len(encoded):
        header = encoded[at]
        assert header != 128
        count = header + 1 if header < 128 else 1
        out += encoded[at + 1 : at + 1 + count] * (1 if header < 128 else 257 - header)
        at += 1 + count
    assert at == len(encoded)
    return out
