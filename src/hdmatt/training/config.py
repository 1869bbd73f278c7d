"""What a training run depends on, as data: the configuration, changes by name, config.json.

Knows no training loop. The types carry the limits of each setting (pydantic checks them); what several settings must
agree in is checked here. Read top to bottom:

    TrainConfig, LossWeights    everything a run depends on
    changed         a configuration with `rate=3e-4` or `sample.scales=0.5,1,2` applied
    settings        a configuration as NAME=VALUE lines, which `changed` takes
    check_config    refuse what cannot work
    check_start     refuse a start that the configuration cannot have
    check_folder    refuse to overwrite a run, or to resume none
    write_config, read_config, parse_config    config.json of a run's folder, also of older versions
    card_of         what a weights file says of its training
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import TypeAdapter, ValidationError

from hdmatt.errors import InputError
from hdmatt.inference.names import Blend
from hdmatt.network.config import ModelConfig, current_names
from hdmatt.samples.config import Chance, SampleConfig
from hdmatt.system.files import replacing

STATE = "state.safetensors"  # of a run's folder: what --resume takes
HELD_OUT = 2**31  # the seed of held-out samples: runs have smaller ones

AtLeast0 = Annotated[float, Ge(0), Lt(float("inf"))]
Natural = Annotated[int, Ge(0)]
Positive = Annotated[int, Ge(1)]
BelowOne = Annotated[float, Ge(0), Lt(1)]
TrainingPrecision = Literal["auto", "32-true", "bf16-mixed"]


@dataclass(frozen=True)
class LossWeights:
    """Weight of each part of the loss (training/losses.py); a part of weight 0 is not computed.

    Attributes:
        alpha, composition: The two parts of eq. 4.
        laplacian, gradient: Errors of the Laplacian pyramid and of the gradient.
        probes: Alpha and colours read off the decoder's inner maps, in training only.
        coarse: Alpha at stride 8, of a model that has one.
    """

    alpha: AtLeast0 = 0.5
    composition: AtLeast0 = 0.5
    laplacian: AtLeast0 = 0.0
    gradient: AtLeast0 = 0.0
    probes: AtLeast0 = 0.0
    coarse: AtLeast0 = 1.0


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run depends on; written into its folder.

    Attributes:
        part: "all", or "decoder": context module and decoder learn, the encoder stays as it is; needs weights to start
            from.
        groups: Composites a step, over all processes; `groups * sample.group` patches are trained on.
        pieces: Parts of a step's batch, one after the other, whose gradients are added: less memory, the same step.
        steps_per_composite: Steps, one after the other, that get a group of patches of one composite each; for
            machines whose processor cannot draw enough composites.
        steps: Length of the schedule: warm-up, then cosine from `rate` to `rate * floor`.
        rewarm: Steps of a second warm-up where a run goes on from rounded weights.
        topk: Context patches of a query (K).
        contexts: Which of the other patches of its group these are: "random" ones, or those with the highest "score"
            by eq. 1, as in the paper and when a picture is matted. The choice by score has no gradient.
        detach: No gradient into the context patches, only through the query.
        extra_channel_faults: Chances that a composite's extra channels are missing, blurred, or those of another
            patch: then texture and shape must carry the answer. Together at most 1.
        norm: "batch": batch norm with the batch's statistics (of all GPUs together, where there are several; on CPU
            processes each has its own). "frozen": with the stored statistics, which do not change; needs weights to
            start from.
        losses: Weight of each part of the loss.
        blend: Which blending weight multiplies the loss of each pixel (patches/stitch.py). The paper takes the one that
            patches are joined with, which is "paper", linear, in paper mode. All presets train with it, although
            pictures are joined with "smooth" unless paper mode is asked for.
        foreground_weight: An error at foreground counts so many times, one at background 2 - that; 1: the same. Not in
            `losses.probes`. See losses.weighted_error.
        betas, clip, decay, ema: Adam's betas, gradient-norm limit (0: none), decay of the weights (times the rate each
            step, apart from the gradient), EMA of the weights.
        workers: Processes that make samples, for each process that trains.
        precision: "32-true" or "bf16-mixed"; "auto" is the latter where the device multiplies bfloat16 faster, and
            config.json says which it was.
        compile: torch.compile of encoder and decoder; what does not compile runs as it is.
        save_every: Steps between checkpoints and rows of the curve.
        validate_every: Steps between validations, on held-out samples and on test sets where some are named; the last
            step of a call is validated, too. 0: none, but for test sets at the last step.
        held_out: Composites of the held-out samples, see training/validate.py.
        tensorboard: Curves for TensorBoard beside curve.jsonl.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    sample: SampleConfig = field(default_factory=SampleConfig)
    seed: Annotated[int, Ge(0), Lt(HELD_OUT)] = 0
    part: Literal["all", "decoder"] = "all"
    groups: Positive = 8
    pieces: Positive = 1
    steps_per_composite: Positive = 1
    steps: Positive = 200_000
    warmup: Natural = 0
    rewarm: Natural = 100
    rate: AtLeast0 = 5e-4
    floor: Chance = 0.0
    topk: Natural = 3
    contexts: Literal["random", "score"] = "random"
    detach: bool = False
    extra_channel_faults: tuple[Chance, Chance, Chance] = (0.0, 0.0, 0.0)
    norm: Literal["batch", "frozen"] = "batch"
    losses: LossWeights = field(default_factory=LossWeights)
    blend: Blend = "paper"
    foreground_weight: Annotated[float, Gt(0), Lt(2)] = 1.0
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999)
    decay: AtLeast0 = 1e-4
    clip: AtLeast0 = 0.0
    ema: BelowOne = 0.0
    workers: Natural = 1
    precision: TrainingPrecision = "32-true"
    compile: bool = False
    save_every: Positive = 200
    validate_every: Natural = 2000
    held_out: Positive = 8
    tensorboard: bool = True


def changed(config: TrainConfig, changes: Sequence[str]) -> TrainConfig:
    """The configuration with `NAME=VALUE` applied, one after the other; names nest with dots.

    Args:
        changes: As "rate=3e-4", "sample.scales=0.5,1,2", "losses.gradient=0.2", "model.cpc=none".

    Raises:
        InputError: No such name, or a value that it cannot have.
    """
    values = asdict(config)
    for change in changes:
        name, separator, text = change.partition("=")
        if not separator:
            raise InputError(f"--set {change!r} has no '='", hint="Write NAME=VALUE, like rate=3e-4.")
        _set(values, name.strip(), text.strip(), f"--set {change}")
        _validated(values, f"--set {change}: ")
    return _validated(values, "")


def settings(config: TrainConfig) -> list[str]:
    """Every setting as NAME=VALUE, in the words that `changed` takes."""
    return [f"{name}={text}" for name, text in _settings(asdict(config), "")]


def check_config(config: TrainConfig, *, processes: int = 1) -> None:
    """Raise InputError for a configuration that cannot work, naming the first thing to change."""
    _validated(asdict(config), "")
    sample, model = config.sample, config.model
    rules = [
        (sample.tone[0] <= sample.tone[1], f"sample.tone is {sample.tone}, but the lower number must come first"),
        (
            sample.defocus + sample.wall <= 1,
            f"sample.defocus and sample.wall are {sample.defocus} and {sample.wall}, together more than 1",
        ),
        (
            not (sample.rotation and model.extra_channels and model.surroundings),
            f"sample.rotation is {sample.rotation}, but the extra channels describe the surroundings of upright "
            "patches only (model.extra_channels and model.surroundings)",
        ),
        (model.width >= 1, f"model.width is {model.width}, but at least 1 is needed"),
        (any(asdict(config.losses).values()), "losses are all 0, but one at least must be above"),
        (
            config.topk == 0 or config.topk < sample.group,
            f"topk is {config.topk}, but a patch of a group of {sample.group} has {sample.group - 1} others to look at",
        ),
        (
            sum(config.extra_channel_faults) <= 1,
            f"extra_channel_faults are {config.extra_channel_faults}, together more than 1",
        ),
        (
            not any(config.extra_channel_faults) or model.extra_channels,
            f"extra_channel_faults are {config.extra_channel_faults}, but model.extra_channels is false",
        ),
        (
            not sample.whole_picture or config.steps_per_composite == 1,
            f"steps_per_composite is {config.steps_per_composite}, but only one group has the composite as a patch",
        ),
        (config.groups % processes == 0, f"groups is {config.groups}, which {processes} processes cannot share evenly"),
        (
            config.groups % (processes * config.pieces) == 0,
            f"groups is {config.groups}, which {processes} processes cannot share in {config.pieces} pieces",
        ),
    ]
    for kept, wrong in rules:
        if not kept:
            raise InputError(wrong, hint="Change it with --set NAME=VALUE, or choose another preset.")


def check_start(config: TrainConfig, *, weights: bool, backbone: bool) -> None:
    """Raise InputError for a run whose frozen parts would stay random, or that is given two starts.

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


def check_folder(out: Path, *, resume: bool) -> Path:
    """The path of the state in a run's folder, which must be there to be resumed and else must not."""
    state = out / STATE
    if resume and not state.is_file():
        raise InputError(f"{out} holds no run to resume", hint="Start one without --resume.")
    if not resume and state.is_file():
        raise InputError(f"{out} already holds a run", hint="Continue it with --resume, or name another folder.")
    return state


def write_config(config: Any, path: Path) -> None:
    """Write a configuration's dataclass as JSON; renamed into place."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(asdict(config), indent=1), encoding="utf-8")


def read_config(path: Path) -> TrainConfig:
    """The TrainConfig that a run's folder holds; a setting that the file lacks has its default.

    Raises:
        InputError: No such file, or it is no configuration of a run.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"there is no {path}", hint="Name a folder that holds a training run.") from error
    return parse_config(text, str(path))


def parse_config(text: str, source: str) -> TrainConfig:
    """The TrainConfig of a JSON text, also with the names of older versions.

    Args:
        source: Where the text is from, for the error.

    Raises:
        InputError: It is no configuration of a run, or one that this version cannot continue.
    """
    try:
        return _validated(_renamed(json.loads(text)), "")
    except (InputError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"{source} is no configuration of a training run: {error}", hint="Use the version of hdmatt that wrote it."
        ) from error


def card_of(config: TrainConfig, numbers: Mapping[str, Any]) -> dict[str, str]:
    """What weights say of their training: what it cost, and what else makes two trainings comparable.

    Args:
        numbers: A run's position as its state holds it, see run.Run.numbers.
    """
    card = {
        "steps": str(numbers["step"]),
        "patches": str(numbers.get("before", 0) + numbers.get("seen", 0)),  # since random weights, where cards told
        "topk": str(config.topk),
        "patch": str(config.sample.patch),
        "scales": ",".join(map(str, config.sample.scales)),
        "seed": str(config.seed),
        "part": config.part,
        "foreground_weight": str(config.foreground_weight),
    }
    return card | ({"pictures": numbers["pictures"]} if numbers.get("pictures") else {})


_ADAPTER = TypeAdapter(TrainConfig)


def _validated(values: Mapping[str, Any], where: str) -> TrainConfig:
    """The configuration of nested values, texts included; `where` begins the error's message."""
    _refuse_unknown(values, asdict(TrainConfig()), "", where)
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
        wanted = first["msg"].removeprefix("Input ").split(", unable")[0]
        raise InputError(
            f"{where}{name} is {first['input']!r}, but {wanted}",
            hint="Change it with --set NAME=VALUE; hdmatt train --show lists all settings.",
        ) from error


def _refuse_unknown(values: Mapping[str, Any], known: Mapping[str, Any], prefix: str, where: str) -> None:
    for name, value in values.items():
        if name not in known:
            raise InputError(f"{where}there is no {prefix + name!r}", hint=f"There are: {_listed(known, prefix)}.")
        if isinstance(known[name], dict) and isinstance(value, Mapping):
            _refuse_unknown(value, known[name], f"{prefix}{name}.", where)


def _listed(known: Mapping[str, Any], prefix: str) -> str:
    return ", ".join(prefix + name for name in known)


def _set(values: dict[str, Any], path: str, text: str, where: str) -> None:
    """Put the text where the dotted path leads; with commas where there are several values."""
    *above, last = path.split(".")
    place, prefix = values, ""
    for name in above:
        if name in place and not isinstance(place[name], dict):
            raise InputError(f"{where}: {prefix + name} has no parts", hint=f"Write {prefix + name}=VALUE.")
        _refuse_unknown({name: {}}, place, prefix, f"{where}: ")
        place, prefix = place[name], f"{prefix}{name}."
    _refuse_unknown({last: None}, place, prefix, f"{where}: ")
    if isinstance(place[last], dict):
        parts = _listed(place[last], f"{path}.")
        raise InputError(f"{where}: {path} has parts", hint=f"Change one of them: {parts}.")
    place[last] = text.split(",") if isinstance(place[last], tuple | list) else text


def _settings(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{name}.")
        else:
            words = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            yield prefix + name, words.lower() if isinstance(value, bool) else words


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a config.json with the names of this version."""
    sample, losses = values.get("sample", {}), values.setdefault("losses", {})
    if "crops" in sample:
        sample["scales"] = sample.pop("crops")
    if "overview" in sample:
        sample["whole_picture"] = sample.pop("overview")
    for name in ("probes", "coarse"):
        if name in values:
            losses[name] = values.pop(name)
    if "hint_faults" in values:
        values["extra_channel_faults"] = values.pop("hint_faults")
    values["model"] = current_names(values.get("model", {}))
    if "lean" in values:
        values["foreground_weight"] = 1 + values.pop("lean")
    repeat, spread = values.pop("repeat", 1), values.pop("spread", 1)
    if repeat != spread:
        raise ValueError(f"repeat is {repeat} and spread {spread}, but only equal ones can go on")
    return {"steps_per_composite": repeat, **values}
