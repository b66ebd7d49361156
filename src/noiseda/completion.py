r"""Completion in a shell: a script of plain text, made once, so that a press of TAB starts no Python.

It completes commands, flags, values that can be listed (strategies after ``--help``, presets after ``--config``) and
paths. Where there is nothing to offer (a number) it offers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from noiseda.errors import UserError
from noiseda.signatures import Parameter
from noiseda.suggestions import nearest


@dataclass(frozen=True)
class Value:
    """What may follow a flag.

    Args:
        choices: the words there are.
        path: whether it may be a path.
    """

    choices: tuple[str, ...] = ()
    path: bool = False


@dataclass(frozen=True)
class Words:
    """What may follow a command.

    Args:
        flags: flag -> what may follow it; None where nothing does.
        paths: whether it takes paths without a flag.
    """

    flags: Mapping[str, Value | None]
    paths: bool


def words_of(parameters: Sequence[Parameter], more: Mapping[str, Value | None]) -> Words:
    """What may follow a command that takes some parameters.

    Args:
        parameters: those of its function.
        more: further flags.
    """
    named = [one for one in parameters if not one.positional]
    flags = {flag(one.name): None if one.switch else Value(one.choices, one.path) for one in named}
    return Words(flags | {"--help": None} | dict(more), len(named) < len(parameters))


def flag(name: str) -> str:
    """The flag of a setting: a section's settings keep the name that they have in YAML."""
    return f"--{name if '.' in name else name.replace('_', '-')}"


def script(shell: str, commands: Mapping[str, Words], topics: Sequence[str] = ()) -> str:
    """The script that teaches a shell to complete.

    Args:
        shell: one of :data:`SHELLS`.
        commands: command -> what may follow it.
        topics: what ``noiseda --help`` takes, beside the commands.

    Raises:
        UserError: another shell.
    """
    if shell not in SHELLS:
        raise UserError(f"--completion must be one of {', '.join(SHELLS)}, not {shell!r}{nearest(shell, SHELLS)}")
    asked = Value((*_first(commands), *topics))
    opening = Words({"--help": asked, "--version": None, "--completion": Value(tuple(SHELLS))}, paths=False)
    return SHELLS[shell](opening, commands)


def _bash(opening: Words, commands: Mapping[str, Words]) -> str:
    return _filled(_BASH, opening, commands)


def _zsh(opening: Words, commands: Mapping[str, Words]) -> str:
    return _filled(_ZSH, opening, commands)


def _filled(frame: str, opening: Words, commands: Mapping[str, Words]) -> str:
    return frame.replace("GROUPS", "|".join(_groups(commands))).replace("CASES", _cases(opening, commands))


def _groups(commands: Mapping[str, Words]) -> dict[str, list[str]]:
    """First words of commands that have two -> the second ones."""
    groups: dict[str, list[str]] = {}
    for first, _, second in (name.partition(" ") for name in commands):
        if second:
            groups.setdefault(first, []).append(second)
    return groups


def _cases(opening: Words, commands: Mapping[str, Words]) -> str:
    """What may follow which words, as bash and zsh both read it.

    Their variables: ``command``, ``flag`` (the word before), ``word`` (what is begun of the next); ``choices`` and
    ``files`` are set.
    """
    lines = ['case "$command $flag" in']
    for name, words in {"": opening, **commands}.items():
        kinds: dict[Value, list[str]] = {}
        for one, value in words.flags.items():
            if value is not None:
                kinds.setdefault(value, []).append(f"'{name} {one}'")
        for value, patterns in kinds.items():
            lines.append(f"    {'|'.join(patterns)}) choices='{' '.join(value.choices)}'{' files=1' * value.path};;")
    lines += ["    *)", '    case "$command:$word" in']
    lines += [f"    :-*) choices='{' '.join(opening.flags)}';;", f"    :*) choices='{' '.join(_first(commands))}';;"]
    lines += [f"    '{group} ':*) choices='{' '.join(inner)}';;" for group, inner in _groups(commands).items()]
    for name, words in commands.items():
        lines.append(f"    '{name}':{'-' * words.paths}*) choices='{' '.join(words.flags)}';;")
    return "\n    ".join([*lines, "    *) files=1;;", "    esac;;", "esac"])


def _first(commands: Mapping[str, Words]) -> list[str]:
    """The first words of commands."""
    return list(dict.fromkeys(name.split()[0] for name in commands))


_BASH = r"""# Completion of noiseda in bash: eval "$(noiseda --completion bash)"
_noiseda() {
    local word=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD-1]} command= choices= files= reply
    if [[ $word == = ]]; then  # --flag=value are three words here
        word=
    elif [[ $flag == = ]]; then
        flag=${COMP_WORDS[COMP_CWORD-2]}
    fi
    if (( COMP_CWORD > 1 )); then
        command=${COMP_WORDS[1]}
        case $command in
            GROUPS) if (( COMP_CWORD > 2 )); then command+=" ${COMP_WORDS[2]}"; else command+=" "; fi;;
            -*) command=;;
        esac
    fi
    CASES
    COMPREPLY=()
    while IFS= read -r reply; do
        COMPREPLY+=("$reply")
    done < <(compgen -W "$choices" -- "$word"; if [[ $files ]]; then compgen -f -- "$word"; fi)
    if [[ $files ]]; then compopt -o filenames 2> /dev/null; else compopt +o default 2> /dev/null; fi
    return 0
}
complete -o default -F _noiseda noiseda
"""

_ZSH = r"""#compdef noiseda
# Completion of noiseda in zsh: eval "$(noiseda --completion zsh)", after compinit
_noiseda() {
    local word=${words[CURRENT]} flag=${words[CURRENT-1]} command= choices= files=
    if [[ $word == --*=* ]]; then
        flag=${word%%=*} word=${word#*=}
        compset -P '*='
    fi
    if (( CURRENT > 2 )); then
        command=${words[2]}
        case $command in
            GROUPS) if (( CURRENT > 3 )); then command+=" ${words[3]}"; else command+=" "; fi;;
            -*) command=;;
        esac
    fi
    CASES
    [[ -n $choices ]] && compadd -- ${=choices}
    [[ -n $files ]] && _files
}
if [[ ${funcstack[1]} == _noiseda ]]; then
    _noiseda "$@"
else
    compdef _noiseda noiseda
fi
"""


def _fish(opening: Words, commands: Mapping[str, Words]) -> str:
    lines = [_FISH, *_fish_flags("__fish_use_subcommand", opening)]
    lines.append(f"complete -c noiseda -n __fish_use_subcommand -a '{' '.join(_first(commands))}'")
    for group, inner in _groups(commands).items():
        lines.append(f"complete -c noiseda -n '__noiseda_is {group}' -a '{' '.join(inner)}'")
    for name, words in commands.items():
        lines += _fish_flags(f"__noiseda_begins {name}", words)
    return "\n".join(lines) + "\n"


def _fish_flags(condition: str, words: Words) -> list[str]:
    begin = f"complete -c noiseda -n '{condition}'"
    lines = [f"{begin} -F"] if words.paths else []
    for one, value in words.flags.items():
        line = f"{begin} -l {one.removeprefix('--')}"
        if value is not None:
            line += " -r -F" if value.path else " -r -f"
            line += f" -a '{' '.join(value.choices)}'" if value.choices else ""
        lines.append(line)
    return lines


_FISH = r"""# Completion of noiseda in fish: noiseda --completion fish | source
function __noiseda_is
    set -l given (commandline -opc)
    test "$given[2..]" = "$argv"
end
function __noiseda_begins
    set -l given (commandline -opc)
    test (count $given) -gt (count $argv); and test "$given[2..$(math (count $argv) + 1)]" = "$argv"
end
complete -c noiseda -f"""

SHELLS: dict[str, Callable[[Words, Mapping[str, Words]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
"""Shell -> what writes its script."""
