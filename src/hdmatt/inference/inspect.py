"""The features, similarities and selected contexts of one patch, as `run` computes them, for figures/attention.py."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from hdmatt.inference.cut import PatchPixels, RowBand, cut_row, read_known_colours
from hdmatt.inference.device_workers import device_workers, uploaded_inputs
from hdmatt.inference.options import Counters, Plan, RowSource
from hdmatt.inference.pool import bodies_of, fill_pool, rank_candidates
from hdmatt.network.cpc import Context, rank
from hdmatt.network.inputs import labels
from hdmatt.network.model import HDMatt
from hdmatt.patches.windows import Part, Window


class Inspection(NamedTuple):
    """One query, its candidates' similarities, and its contexts."""

    inputs: Tensor  # 1 6 P P, as network/inputs.py makes them
    deep: Tensor  # 1 C P/8 P/8, encoder output
    label: Tensor  # 1 P/8 P/8
    similarity: dict[Window, float]  # eq. 1 (means) of all candidates but the query itself
    scores: dict[Window, float]  # eq. 2 over them
    contexts: dict[Window, Context]  # the top K of them, best first


def inspect_patch(plan: Plan, query: Window, picture: RowSource, trimap: RowSource, model: HDMatt) -> Inspection:
    """Encode one of the plan's queries and select its contexts, exactly as `run` does, without decoding it.

    Of a picture much narrower than a patch `run` computes a part of the patch; here it is the whole one.
    """
    plan = replace(plan, part=Part(0, query.size, 0, query.size), options=replace(plan.options, whole_picture=False))
    counters, workers = Counters(), device_workers(plan, model)
    model, link = workers[0].model, workers[0].link
    known_colours = read_known_colours(picture, trimap, counters) if plan.known_colours else None
    pool = fill_pool(plan, picture, trimap, known_colours, workers, counters)
    pixels, marks = PatchPixels(picture, plan), RowBand(trimap, plan.options.band)
    patches = next(cut_row(plan, [query], pixels, marks, known_colours, picture.info.encoding))
    with workers[0].computing():
        inputs, surroundings = uploaded_inputs(workers[0], link.upload(patches.arrays()))
        body = bodies_of([query], model.encoder.stem(inputs, surroundings), workers[0], pool)
        label = labels(inputs)
        summary = model.cpc.summaries(body.deep, label)[0]
        chosen = rank_candidates(plan, query, summary, pool)
        others = [candidate for candidate in pool.contexts if candidate != query]
        keys = torch.stack([pool.contexts[w].summary_C for w in others] or [summary])[: len(others)]
        similarity = dict(zip(others, (keys @ summary).tolist(), strict=True))
        scores = dict(zip(others, rank(summary, keys).tolist(), strict=True))
    contexts = {window: pool.contexts[window] for window in chosen}
    return Inspection(inputs, body.deep, label, similarity, scores, contexts)
