"""What a person says about a compiler, as data: `"gcc -m32"`, `$CC`, a language, a standard."""

import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from opskit.errors import Misuse
from opskit.gccmacros.families import Family, is_cplusplus, recognise

DEFAULTS = ("gcc", "cc", "clang", "tcc")
LANGUAGE_NAMES = {
    "cpp": "c++", "cxx": "c++", "C": "c", "C++": "c++", "objc": "objective-c", "objc++": "objective-c++",
    "asm": "assembler-with-cpp", "assembler": "assembler-with-cpp",
}  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """One way to call one compiler: its command line, its family and the language it is asked about.

    `words` starts with the program, possibly behind wrappers; `program` is the word that names the compiler.
    """

    words: tuple[str, ...]
    program: str
    family: Family
    lang: str

    @property
    def label(self) -> str:
        """What it is called in reports, ready to be pasted into a shell."""
        return shlex.join(self.words)

    @property
    def dump_argv(self) -> tuple[str, ...]:
        """The command line that prints all macros and reads nothing."""
        return (*self.words, *self.family.dump, *self._language, self.family.source_file(self.lang))

    def stdin_argv(self, *options: str) -> tuple[str, ...]:
        """A command line that preprocesses standard input with further options."""
        return (*self.words, "-E", *options, *self._language, "-")

    @property
    def _language(self) -> tuple[str, ...]:
        return self.family.language_words(self.lang)


def parse_spec(
    text: str,
    *,
    lang: str = "",
    std: str = "",
    flags: Sequence[str] = (),
) -> Spec:
    """A Spec from a compiler as a shell would read it, with further flags behind.

    The language is what is asked for, else the last `-x` among the flags, else what the program's name says.
    Raises Misuse for what no shell could split.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise Misuse(f"cannot read the compiler '{text}': {error}", hint="check its quotes") from error
    if not words or words[0].startswith("-"):
        raise Misuse(f"'{text}' names no compiler", hint="write its name first: gcc -m32")
    family, program = recognise(words)
    words = [*words, *flags]
    given, words_left = _take_language(words) if family.languages is None else ("", words)
    chosen = lang or given or ("c++" if is_cplusplus(program) else "c")
    chosen = LANGUAGE_NAMES.get(chosen, chosen)
    if std:
        words_left.append(family.standard + std)
    return Spec(tuple(words_left), program, family, chosen)


def _take_language(words: Sequence[str]) -> tuple[str, list[str]]:
    """The last `-x LANG` of the flags, and the other words; it must not stand beside our own."""
    language, rest = "", []
    pending = iter(words)
    for word in pending:
        if word == "-x":
            language = next(pending, "")
        elif word.startswith("-x"):
            language = word[2:]
        else:
            rest.append(word)
    return language, rest


def default_compiler(lang: str = "") -> str:
    """`$CXX` for C++ and `$CC` otherwise, as make and configure read them, else the first that is found."""
    variable = "CXX" if LANGUAGE_NAMES.get(lang, lang) == "c++" else "CC"
    named = os.environ.get(variable, "").strip()
    return named or next((name for name in DEFAULTS if shutil.which(name)), DEFAULTS[0])
