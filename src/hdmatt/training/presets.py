"""Named configurations: the paper's recipe, and shorter ones for a CPU, a GPU and the ablation.

PRESETS    by name; each says what it is for
"""

from dataclasses import replace

from hdmatt.network.config import ModelConfig
from hdmatt.samples.config import SampleConfig
from hdmatt.training.config import LossWeights, TrainConfig

_SMALL = ModelConfig(width=32, normed=True, coarse=True, hints=True)
_LIGHT = (1.0, 2.2)  # from the paper's composites to a sensor's, see SampleConfig.tone
_GPU = TrainConfig(
    model=_SMALL,
    sample=SampleConfig(
        patch=320,
        scales=(0.35, 0.5, 0.75, 1.0, 1.0, 1.5, 1.5, 2.0, 2.5),
        group=4,
        procedural=0.35,
        drawn=(480, 720, 960),
        merge=0.1,
        similar=0.25,
        shade=0.2,
        faults=0.3,
        band=32.0,
        wide=0.1,
        blunt=0.45,
        forgotten=0.15,
        clutter=0.15,
        tone=_LIGHT,
    ),
    groups=16,
    steps_per_composite=8,
    steps=40_000,
    warmup=300,
    rate=7e-4,
    floor=0.01,
    losses=LossWeights(laplacian=0.5, probes=0.2),
    foreground_weight=1.2,
    clip=1.0,
    ema=0.999,
    workers=15,
    precision="bf16-mixed",
    save_every=250,
    validate_every=5000,
    held_out=16,
)
_CPU = TrainConfig(
    model=_SMALL,
    sample=SampleConfig(
        patch=128,
        scales=(0.5, 0.75, 1.0, 1.5, 2.0),
        group=3,
        procedural=0.25,
        merge=0.08,
        similar=0.08,
        faults=0.2,
        band=24.0,
        wide=0.15,
        elsewhere=0.1,
        tone=_LIGHT,
    ),
    groups=3,
    steps=6000,
    warmup=60,
    rate=6e-4,
    floor=0.2,
    topk=2,
    losses=LossWeights(alpha=0.6, composition=0.4, laplacian=0.5, probes=0.2),
    clip=1.0,
    ema=0.998,
    precision="auto",
)
_CPU_160 = replace(
    _CPU,
    sample=replace(
        _CPU.sample,
        patch=160,
        group=2,
        scales=(0.5, 1.0, 1.5, 2.0, 3.0),
        procedural=0.45,
        merge=0.04,
        similar=0.12,
        faults=0.3,
        band=20.0,
        wide=0.06,
        blunt=0.45,
        elsewhere=0.0,
    ),
    steps=10500,
    warmup=100,
    rate=6e-4,
    floor=0.01,
    topk=1,
    losses=replace(_CPU.losses, probes=0.3),
    seed=1,
)
PRESETS: dict[str, TrainConfig] = {
    # the paper's recipe; docs/paper.md lists what differs. The samples, four composites of eight patches a step, take
    # the processor of a GPU machine
    "paper": TrainConfig(
        model=ModelConfig(form="literal", scaled=False),
        sample=SampleConfig(
            group=8,
            layout="whole",
            alike=False,
            rotation=15.0,
            longest=0,
            procedural=0.0,
            merge=0.5,
            similar=0.0,
            defocus=0.0,
            wall=0.0,
            faults=0.0,
            wide=0.0,
            blunt=0.0,
            elsewhere=0.0,
        ),
        groups=4,
        contexts="score",
        workers=15,
    ),
    # two cores, from random weights: small patches, so that there are many steps
    "cpu-128": _CPU,
    # from the weights of the one above: larger patches, pairs of more composites
    "cpu-160": _CPU_160,
    # from the weights of the one above and their norms counted at 320 (`hdmatt train norms`), which stay: the size that
    # the network is used on, at which a step has few patches for a batch norm. Made for --devices 2 --threads 1
    "cpu-320": replace(
        _CPU_160,
        sample=replace(
            _CPU_160.sample,
            patch=320,
            scales=(0.5, 0.75, 1.0, 1.0, 1.5, 2.0, 2.5, 3.0),
            procedural=0.4,
            drawn=(480, 720, 960),
            similar=0.2,
            shade=0.2,
            band=32.0,
            wide=0.1,
            elsewhere=0.4,
        ),
        groups=4,
        steps=2600,
        warmup=80,
        rate=4e-4,
        norm="frozen",
        ema=0.995,
        save_every=100,
        held_out=16,
        seed=3,
    ),
    # from finished weights: a sixth of them, everything but the encoder, on pictures as soft as photographs
    "cpu-decoder": replace(
        _GPU,
        part="decoder",
        sample=replace(_GPU.sample, scales=(0.5, 0.75, 1.0, 1.0, 1.0, 1.5, 2.0), band=28.0, wide=0.2, tone=(1.3, 2.2)),
        groups=4,
        steps_per_composite=1,
        steps=300,
        warmup=20,
        rate=2e-4,
        norm="frozen",
        losses=replace(_GPU.losses, probes=0.0),
        ema=0.98,
        workers=1,
        precision="auto",
        save_every=20,
        validate_every=100,
        seed=41,
    ),
    # hdmatt-s on one GPU: 64 patches a step, 32 from a canvas (4 a step, of 16 canvases) so that 15 workers keep up
    "gpu-s": _GPU,
    # hdmatt-r34 on one GPU: the paper's width and batch
    "gpu-r34": replace(_GPU, model=replace(_SMALL, width=64), groups=8, rate=4e-4),
    # a row of the ablation: groups of eight, so that K = 7 is possible and K alone differs
    "gpu-ablation": replace(
        _GPU,
        sample=replace(_GPU.sample, group=8),
        groups=4,
        steps_per_composite=4,
        steps=4000,
        warmup=200,
        ema=0.998,
        validate_every=2000,
    ),
    # the same without a GPU, from a common start (`paper/ablation.py start`)
    "cpu-ablation": replace(
        _CPU,
        sample=replace(_CPU.sample, patch=160, group=4),
        groups=2,
        steps=400,
        warmup=50,
        topk=3,
        floor=0.01,
        rate=8e-4,
        ema=0.99,
        validate_every=200,
    ),
    # a dry run: seconds on any machine, of no use but to see that everything fits together
    "tiny": TrainConfig(
        model=ModelConfig(width=4),
        sample=SampleConfig(patch=64, group=2, procedural=0.2),
        groups=2,
        steps=200,
        warmup=5,
        rewarm=5,
        rate=1e-3,
        topk=1,
        losses=LossWeights(probes=0.1),
        clip=1.0,
        ema=0.9,
        workers=0,
        save_every=10,
        validate_every=50,
        held_out=2,
        tensorboard=False,
    ),
}
