"""Devices by name: which this machine has, and what a name stands for. Loads torch only when it looks.

pick_device    "auto", "cpu", "cuda:all", ... -> names of torch devices
names, kind    the devices of a name, and their kind
"""

from hdmatt.errors import InputError


def names(device: str) -> tuple[str, ...]:
    """The devices of "cpu", "cuda:0" or "cuda:0,cuda:1"."""
    return tuple(device.split(","))


def kind(device: str) -> str:
    """ "cpu", "cuda" or "mps": several devices are of one kind."""
    return names(device)[0].partition(":")[0]


def pick_device(name: str = "auto", *, several: bool = True) -> str:
    """A torch device, or several as "cuda:0,cuda:1": "auto" takes one, CUDA, then Apple's MPS, then the CPU.

    Args:
        name: "auto", "cpu", "cuda", "cuda:1", "mps"; several of one kind by commas; "cuda:all". A device may be named
            twice.
        several: Whether more than one can be used.

    Raises:
        InputError: A named device is not there, the devices are of several kinds, or only one can be used.
    """
    import torch

    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    found = [*gpus, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]
    if name == "auto":
        return found[0]
    wanted: list[str] = []
    for part in map(str.strip, name.split(",")):
        meant = gpus if part == "cuda:all" else ["cuda:0" if part == "cuda" else part]
        if not meant or any(one not in found for one in meant):
            forms = "; several GPUs by commas, or cuda:all" if several and gpus else ""
            raise InputError(
                f"there is no device {part!r} on this machine",
                hint=f"Choose auto, or one of: {', '.join(found)}{forms}.",
            )
        wanted += meant
    if len({kind(one) for one in wanted}) > 1:
        raise InputError(f"the devices {name!r} are of several kinds", hint="Give GPUs only, like cuda:0,cuda:1.")
    if len(wanted) > 1 and not several:
        raise InputError(f"{name!r} are {len(wanted)} devices, this takes one", hint=f"Give --device {wanted[0]}.")
    return ",".join(wanted)
