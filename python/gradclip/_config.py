"""What this installation is and does."""

from typing import Any, Literal, overload

from gradclip._gradclip import _config


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show the version, the instruction set, the number of threads and the compiler.

    Parameters
    ----------
    mode : {'stdout', 'dicts'}
        Print a few lines, or return what they say.

    Returns
    -------
    dict or None
        With ``mode='dicts'``: 'version'; 'isa' with 'in_use', 'available' on this processor, best
        first, and 'not_built' for want of compiler support; 'threads' with 'num_threads' and
        'usable_cpus'; 'compiler'.

    Raises
    ------
    ValueError
        mode is something else.

    Examples
    --------
    >>> import gradclip
    >>> sorted(gradclip.show_config(mode="dicts"))
    ['compiler', 'isa', 'threads', 'version']
    """
    config: dict[str, Any] = _config()
    if mode == "dicts":
        return config
    if mode != "stdout":
        raise ValueError(f"mode must be 'stdout' or 'dicts', not {mode!r}")
    isa, threads = config["isa"], config["threads"]
    print(f"gradclip {config['version']}")
    print(f"  instruction set: {isa['in_use']} (available: {', '.join(isa['available'])})")
    if isa["not_built"]:
        print(f"  not built, for want of compiler support: {', '.join(isa['not_built'])}")
    print(f"  threads: {threads['num_threads']} (usable processors: {threads['usable_cpus']})")
    print(f"  compiler: {config['compiler']}")
    return None
