"""The table of trimaps: what its numbers mean, and that the page shows the records."""

import json

import numpy as np

from benchmarks import trimaps


def test_the_page_shows_the_records():
    records = json.loads(trimaps.RESULTS.read_text(encoding="utf-8"))["pictures"]
    assert trimaps.table(records) in trimaps.PAGE.read_text(encoding="utf-8")


def test_the_numbers_of_a_trimap_are_shares_of_the_soft_pixels_and_of_all():
    alpha = np.array([[0, 0.3, 0.7, 1], [0, 0.5, 0.97, 1]], np.float32)  # four are soft
    trimap = np.array([[0, 128, 255, 255], [128, 128, 128, 0]], np.uint8)
    assert trimaps.numbers(alpha, trimap) == {"covered": 0.75, "unknown": 0.5, "wrong": 0.5}


def test_a_rough_mask_has_no_strand():
    alpha = np.zeros((200, 200), np.float32)
    alpha[80:160, 60:140] = 1
    alpha[20:80, 99:101] = 1
    mask = trimaps.rough_mask(alpha)
    assert not mask[:76].any() and mask[90:150, 70:130].all()
