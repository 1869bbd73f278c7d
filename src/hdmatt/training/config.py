"""What a training run depends on, as data: the configuration, the presets, changes by name.

Knows no training loop and no files but a run's config.json, and what its state is called. training/backbone.py shares
the rules. Top to bottom:

    TrainConfig     everything a run depends on
    PRESETS         the paper's recipe, and shorter ones for a CPU, a GPU and the ablation
    changed         a configuration with `rate=3e-4` or `sample.scales=0.5,1,2` applied
    schedule        the rate at a step: warm-up, then cosine
    settings        a configuration as NAME=VALUE lines, what `changed` takes
    check           refuse what cannot work
    check_start     refuse a start that the recipe cannot have
    require         refuse by the first rule that is not kept
    check_folder    refuse to overwrite a run, or to resume none
    write_config, read_config    config.json of a run's folder
    card_of         what a weights file says of its training
"""

import json
import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hdmatt.errors import InputError
from hdmatt.network.config import ModelConfig
from hdmatt.samples.config import SampleConfig
from hdmatt.system.files import replacing

PARTS = ("alpha", "composition", "laplacian", "gradient")  # of the loss, see losses.total
CHANCES = (  # of a sample
    "procedural", "merge", "similar", "shade", "smooth", "faults", "wide", "blunt", "forgotten", "clutter", "elsewhere",
)  # fmt: skip
PRECISIONS = ("auto", "32-true", "bf16-mixed")
STATE = "state.safetensors"  # of a run's folder: what --resume takes
Rules = Sequence[tuple[bool, str]]  # what must hold, and what to say when it does not


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run depends on; written into its folder.

    Attributes:
        groups: Composites a step, over all processes; `groups * sample.group` patches are trained on.
        part: "all", or "coarse": only what is computed at stride 8 (layer2 to the context module) is trained, by the
            alpha it gives there. For a model with `coarse`; a step costs a fraction and all of it goes to the part that
            learns slowest (the log). "decoder": context module and decoder; the encoder stays as it is. Both need
            weights to start from.
        repeat: Groups taken from one canvas, for machines whose processor cannot draw enough canvases; a divisor of
            the groups of a process and `spread` steps.
        spread: Steps, one after the other, over which these are spread, so that a step has more canvases; a divisor of
            `repeat`.
        steps: Length of the schedule: warm-up, then cosine from `rate` to `rate * floor`.
        rewarm: Steps of a second warm-up where a run goes on from rounded weights (slices.py).
        topk: Context patches a query looks at (random ones of its group).
        detach: No gradient into the context patches, only through the query.
        norm: "batch": batch norm with the batch's statistics (of all GPUs together, where there are several; on CPU
            processes each has its own). "frozen": with the stored statistics, which do not change; needs weights to
            start from.
        losses: Weight of each part of the loss, see losses.total.
        lean: An error counts 1 + lean times at foreground, 1 - lean times at background, in `losses` and `coarse` but
            not in the probes'; see losses.leaned.
        probes: Weight of the probes' loss, see losses.Probes; 0: none.
        coarse: Weight of the loss of alpha at stride 8, for a model with `coarse`; 0: none.
        betas, clip, decay, ema: Adam's betas, gradient-norm limit (0: none), decay of the weights (times the rate each
            step, apart from the gradient), EMA of the weights.
        workers: Processes that make samples, for each process that trains.
        precision: "32-true" or "bf16-mixed"; "auto" is the latter where the device multiplies bfloat16 faster
            (runtime.has_bf16), and stands in config.json as what it was.
        compile: torch.compile of encoder and decoder; what does not compile runs as it is.
        save_every: Steps between checkpoints and rows of the curve.
        validate_every: Steps between validations, on held-out samples and on test sets where some are named; the last
            step of a call is validated, too. 0: none, but for test sets at the last step.
        held_out: Composites of the held-out samples, see training/validate.py.
        tensorboard: Curves for TensorBoard beside curve.csv.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    sample: SampleConfig = field(default_factory=SampleConfig)
    seed: int = 0
    part: Literal["all", "coarse", "decoder"] = "all"
    groups: int = 8
    repeat: int = 1
    spread: int = 1
    steps: int = 200_000
    warmup: int = 0
    rewarm: int = 100
    rate: float = 5e-4
    floor: float = 0.0
    topk: int = 3
    detach: bool = False
    norm: Literal["batch", "frozen"] = "batch"
    losses: dict[str, float] = field(default_factory=lambda: {"alpha": 0.5, "composition": 0.5})
    betas: tuple[float, float] = (0.9, 0.999)
    decay: float = 1e-4
    clip: float = 0.0
    lean: float = 0.0
    probes: float = 0.0
    coarse: float = 1.0
    ema: float = 0.0
    workers: int = 1
    precision: str = "32-true"
    compile: bool = False
    save_every: int = 200
    validate_every: int = 2000
    held_out: int = 8
    tensorboard: bool = True


def changed(config: TrainConfig, changes: Sequence[str]) -> TrainConfig:
    """The configuration with `NAME=VALUE` applied, one after the other; names nest with dots.

    Args:
        changes: As "rate=3e-4", "sample.scales=0.5,1,2", "losses.gradient=0.2", "model.cpc=none".

    Raises:
        InputError: No such name, or a value of another kind; the message lists what there is.
    """
    for change in changes:
        name, separator, text = change.partition("=")
        if not separator:
            raise InputError(f"--set {change!r} has no '='", hint="Write NAME=VALUE, like rate=3e-4.")
        config = _changed(config, name.strip().split("."), text.strip(), change)
    return config


def settings(config: TrainConfig) -> list[str]:
    """Every setting as NAME=VALUE, in the words that `changed` takes."""
    return [f"{name}={text}" for name, text in _settings(config, "")]


def schedule(rate: float, step: int, *, steps: int, warmup: int, floor: float = 0.0) -> float:
    """The learning rate at a step: a line up to `rate` over `warmup`, then a cosine to `rate * floor` at `steps`."""
    if step < warmup:
        return rate * (step + 1) / warmup
    share = min(1.0, (step - warmup) / max(1, steps - warmup))
    return rate * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * share)))


def check(config: TrainConfig, *, processes: int = 1) -> None:
    """Raise InputError for a configuration that cannot work, naming the first thing to change."""
    rules = [*_rules_of_samples(config.sample), *_rules_of_batches(config, processes), *_rules_of_learning(config)]
    require(rules, hint="Change it with --set NAME=VALUE, or choose another preset.")


def _rules_of_samples(sample: SampleConfig) -> Rules:
    scales, tone = sample.scales, sample.tone
    return [
        (sample.group >= 1, f"sample.group is {sample.group}, at least 1 is needed"),
        (
            sample.patch >= 32 and sample.patch % 32 == 0,  # else what lies around a turned patch does not turn with it
            f"sample.patch is {sample.patch}, it must be a multiple of 32",
        ),
        (bool(scales) and min(scales, default=0) > 0, f"sample.scales is {scales}, positive numbers are needed"),
        (math.isfinite(max(scales, default=0)), f"sample.scales is {scales}, finite numbers are needed"),
        *(
            (0 <= getattr(sample, n) <= 1, f"sample.{n} is {getattr(sample, n)}, a chance is from 0 to 1")
            for n in CHANCES
        ),
        (sample.band >= 1, f"sample.band is {sample.band}, a radius of at least 1 is needed"),
        (min(sample.drawn, default=0) >= 64, f"sample.drawn is {sample.drawn}, sides of 64 pixels or more are needed"),
        (
            len(tone) == 2 and min(tone, default=0) > 0 and tone[0] <= tone[-1],
            f"sample.tone is {tone}, a range of two positive numbers is needed, the lower one first",
        ),
    ]


def _rules_of_batches(config: TrainConfig, processes: int) -> Rules:
    group, share = config.sample.group, config.groups // processes
    return [
        (config.steps >= 1, f"steps is {config.steps}, at least 1 is needed"),
        (config.groups >= 1, f"groups is {config.groups}, at least 1 is needed"),
        (config.seed >= 0, f"seed is {config.seed}, it must not be negative"),
        (config.topk >= 0, f"topk is {config.topk}, it must not be negative"),
        (
            config.topk == 0 or config.topk < group,
            f"topk is {config.topk}, but a patch of a group of {group} has {group - 1} others to look at",
        ),
        (config.repeat >= 1, f"repeat is {config.repeat}, at least 1 is needed"),
        (config.groups % processes == 0, f"groups is {config.groups}, which {processes} processes cannot share evenly"),
        (
            config.spread >= 1 and config.repeat % max(1, config.spread) == 0,
            f"spread is {config.spread}, which does not divide repeat, {config.repeat}",
        ),
        (
            config.repeat >= 1 and share * config.spread % config.repeat == 0,
            f"repeat is {config.repeat}, which does not divide the {share} groups of a process"
            + f" and {config.spread} steps" * (config.spread > 1),
        ),
        (config.workers >= 0, f"workers is {config.workers}, it must not be negative"),
        (config.save_every >= 1, f"save_every is {config.save_every}, at least 1 is needed"),
        (config.validate_every >= 0 and config.held_out >= 1, "validate_every must be 0 or more, held_out 1 or more"),
    ]


def _rules_of_learning(config: TrainConfig) -> Rules:
    coarse = config.part == "coarse"
    return [
        (config.model.width >= 1, f"model.width is {config.model.width}, at least 1 is needed"),
        (config.rate >= 0, f"rate is {config.rate}, it must not be negative"),
        (0 <= config.floor <= 1, f"floor is {config.floor}, a share of the rate from 0 to 1"),
        (config.warmup >= 0 and config.rewarm >= 0, "warmup and rewarm must not be negative"),
        (all(0 <= b < 1 for b in config.betas), f"betas are {config.betas}, from 0 to below 1"),
        (0 <= config.ema < 1, f"ema is {config.ema}, from 0 to below 1"),
        (config.clip >= 0 and config.decay >= 0, "clip and decay must not be negative"),
        (
            set(config.losses) <= set(PARTS) and any(v > 0 for v in config.losses.values()),
            f"losses are {config.losses}; parts are {', '.join(PARTS)}, one at least above 0",
        ),
        (-1 < config.lean < 1, f"lean is {config.lean}, it must lie between -1 and 1"),
        (config.coarse >= 0 and config.probes >= 0, "coarse and probes are weights, they must not be negative"),
        (
            not coarse or config.model.coarse,
            "part is 'coarse', but the model has no coarse alpha (model.coarse=true)",
        ),
        (not coarse or config.coarse > 0, "part is 'coarse', but its loss has no weight (coarse is 0)"),
        (config.precision in PRECISIONS, f"precision is {config.precision!r}, there are {', '.join(PRECISIONS)}"),
    ]


def check_start(config: TrainConfig, *, weights: bool, backbone: bool) -> None:
    """Raise InputError for a run that would start from random numbers where they would stay, or stay half random.

    Args:
        weights: Whether it starts from weights of a whole network: `init`, or a run that is resumed.
        backbone: Whether it is given an encoder.
    """
    if not weights and (config.part != "all" or config.norm == "frozen"):
        what = "norm" if config.part == "all" else "part"
        raise InputError(
            f"{what} is {getattr(config, what)!r}, "
            "and there are no weights to start from: what does not learn would stay random",
            hint="Name weights with --init, or start with a preset that trains all (gpu-s, cpu-128).",
        )
    if weights and backbone:
        raise InputError(
            "weights of a whole network and a backbone are given", hint="Leave out --backbone, or --init and --resume."
        )


def require(rules: Rules, *, hint: str) -> None:
    """Raise InputError with the words of the first rule that is not kept."""
    for kept, wrong in rules:
        if not kept:
            raise InputError(wrong, hint=hint)


def check_folder(out: Path, *, resume: bool) -> Path:
    """The path of the state in a run's folder, which must be there to be resumed and else must not."""
    state = out / STATE
    if resume and not state.is_file():
        raise InputError(f"{out} holds no run to resume", hint="Start one without --resume.")
    if not resume and state.is_file():
        raise InputError(f"{out} already holds a run", hint="Continue it with --resume, or name another folder.")
    return state


def write_config(config: TrainConfig, path: Path) -> None:
    """Write config.json; renamed into place."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(asdict(config), indent=1), encoding="utf-8")


def read_config(path: Path) -> TrainConfig:
    """The TrainConfig that a run's folder holds; what an older version did not know has its default.

    Raises:
        InputError: No such file, or it is no configuration of a run.
    """
    try:
        return parse_config(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"there is no {path}", hint="Name a folder that holds a training run.") from error
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} is no configuration of a training run: {error}", hint="Use the version of hdmatt that wrote it."
        ) from error


def card_of(config: TrainConfig, numbers: Mapping[str, Any]) -> dict[str, str]:
    """What weights say of their training: what it cost, and what else makes two trainings comparable.

    Args:
        numbers: A run's position as its state holds it, see train.Run.numbers.
    """
    card = {
        "steps": str(numbers["step"]),
        "patches": str(numbers.get("before", 0) + numbers.get("seen", 0)),  # since random weights, where cards told
        "topk": str(config.topk),
        "patch": str(config.sample.patch),
        "scales": ",".join(map(str, config.sample.scales)),
        "seed": str(config.seed),
        "part": config.part,
        "lean": str(config.lean),
    }
    return card | ({"pictures": numbers["pictures"]} if numbers.get("pictures") else {})


def parse_config(text: str) -> TrainConfig:
    """The TrainConfig of a JSON text. Raises TypeError, ValueError or KeyError when it is none."""
    values: dict[str, Any] = json.loads(text)
    sample: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in values["sample"].items()}
    values["model"] = ModelConfig(**values["model"])
    values["sample"] = SampleConfig(**sample)
    values["betas"] = tuple(values["betas"])
    return TrainConfig(**values)


def _settings(config: Any, prefix: str) -> Iterator[tuple[str, str]]:
    values = config if isinstance(config, Mapping) else {f.name: getattr(config, f.name) for f in fields(config)}
    for name, value in values.items():
        if is_dataclass(value) or isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{name}.")
        else:
            words = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            yield prefix + name, words.lower() if isinstance(value, bool) else words


def _changed(config: Any, path: list[str], text: str, change: str) -> Any:
    name, *rest = path
    names = [f.name for f in fields(config)]
    if name not in names:
        raise InputError(f"--set {change}: there is no {name!r}", hint=f"There are: {', '.join(names)}.")
    value = getattr(config, name)
    if is_dataclass(value):
        if not rest:
            below = ", ".join(f"{name}.{f.name}" for f in fields(value))
            raise InputError(f"--set {change}: {name} has parts", hint=f"Change one of them: {below}.")
        return replace(config, **{name: _changed(value, rest, text, change)})
    if isinstance(value, Mapping):
        if len(rest) != 1 or rest[0] not in PARTS:
            raise InputError(
                f"--set {change}: {name} is a weight by part", hint=f"Parts: {', '.join(f'{name}.{p}' for p in PARTS)}."
            )
        weights = {**typing.cast("Mapping[str, float]", value), rest[0]: _parsed(text, float, change)}
        return replace(config, **{name: weights})
    if rest:
        raise InputError(f"--set {change}: {name} has no parts", hint=f"Write {name}=VALUE.")
    return replace(config, **{name: _parsed(text, typing.get_type_hints(type(config))[name], change)})


def _parsed(text: str, kind: Any, change: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    try:
        if origin is Literal:
            if text not in inner:
                raise ValueError(f"one of {', '.join(inner)}")
            return text
        if origin is tuple:
            try:
                numbers = tuple(inner[0](part) for part in text.split(","))
            except ValueError as error:
                raise ValueError("whole numbers with commas" if inner[0] is int else "numbers with commas") from error
            if inner[-1] is not Ellipsis and len(numbers) != len(inner):
                raise ValueError(f"{len(inner)} numbers with commas")
            return numbers
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError) as error:
        names: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number"}
        wanted = names.get(kind) or str(error)
        raise InputError(f"--set {change}: {text!r} does not fit", hint=f"Give {wanted}.") from error
