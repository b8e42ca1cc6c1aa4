"""Which flags to try, read from the compiler's own help and from its notes about bad values."""

import re
from dataclasses import dataclass

from opskit.gccmacros.driver import Driver, printable
from opskit.gccmacros.spec import Spec

NO_SUCH_VALUE = "opskit-asks"
OPTIMISE = ("-O0", "-O1", "-O2", "-O3", "-Os", "-Og", "-Oz", "-Ofast")
SANITIZERS = ("address", "thread", "undefined", "leak", "hwaddress", "kernel-address", "memory")
ALWAYS = ("-ansi", "-pthread", "-undef", "-fPIC", "-fPIE", "-static-pie", "-m32", "-m64")
# Flags of the driver that print, write or read something instead of changing how code is seen.
NOT_TRIED = re.compile(
    r"-f(help|version|target-help|time-trace|record-|crash-|proc-stat|serialize|dump|plugin|self-test|preprocessed|directives-only|debug-cpp|wpa|ltrans|"
    r"compare-debug|save-|mem-report|time-report|callgraph|pch|opt-info|diagnostics|message|auto-profile|use-ld|"
    r"profile|random-seed|\w*-report|test-coverage|syntax-only|stats|working-directory|disable-|enable-|modules)"
)
# Synonyms of standards that are listed under a better name.
SYNONYM = re.compile(r"-std=(iso9899.*|(c|gnu)\+\+([012][a-z]|03)|(c|gnu)(89|9x|1x|18))")
# -f flags that gcc and clang turn into macros (GCC: c-family/c-cppbuiltin.cc) are tried one by one. The
# others, and -m flags that only tune code, go in batches: one whose dump does not
# differ at all holds no answer.
TELLING = re.compile(
    r"-f(no-)?(.*math.*|.*nans|.*zeros|.*char.*|.*enums|pic|PIC|pie|PIE|.*stack-protector.*|.*exceptions|rtti|openmp.*|"
    r"openacc|gnu.*|.*precision.*|cx-.*|.*unwind.*|dwarf.*|freestanding|hosted|inline|sanitize.*|cf-protection.*|"
    r"building-libgcc|gimple|short-.*|coroutines|concepts|sized.*|aligned-new.*|blocks|.*finite.*|fast.*|"
    r"trampolines|leading-underscore|threadsafe.*|implicit-constexpr|modules|char8_t)"
)
TUNING = re.compile(
    r"-m(no-)?(.*align-.*|.*split-.*|.*inline-.*|tune.*|vzeroupper|red-zone|.*record.*|fentry.*|skip-.*|push-args|pc(32|64|80)|"
    r"stack.*|sse2avx|tls-.*|gather|veclib.*|.*string.*|intel-syntax|relax.*|needed|dispatch.*|accumulate.*|8bit.*|cld|"
    r"ieee.*|fancy.*|fused.*|recip.*|nop.*|call-.*|indirect.*|harden.*|cet-switch|omit.*|ms-bitfields|rtd|large.*|"
    r"mitigate.*|prefer.*|masm.*|move-.*|store-.*|memcpy.*|memset.*|branch-cost.*|manual-.*|force-.*|fix-.*|low-prec.*|"
    r"asm=.*|address-mode.*|function-return.*|instrument-.*|regparm.*|outline.*|explicit-.*|pc-relative.*|cost-.*)"
)
TARGET_VALUES = ("-march=", "-mcpu=")


@dataclass(frozen=True)
class Candidates:
    """Flags to try one by one, and flags of which nothing is expected, to be tried in batches."""

    single: tuple[str, ...]
    batched: tuple[str, ...]


def find_candidates(driver: Driver, spec: Spec, name: str) -> Candidates:
    """Every flag that the compiler says it has, except those already given. Two to four starts."""
    text = _help_text(driver, spec)
    flags = [*_toggles(text), *_bracketed(text)]
    values = _known_values(text)
    values.update({option: found for option in TARGET_VALUES if (found := _valid_values(driver, spec, option))})
    if "__tune_" not in name:
        values.pop("-mtune=", None)
    flags += [option + value for option, found in values.items() for value in found]
    flags += [*OPTIMISE, *ALWAYS, *(f"-fsanitize={kind}" for kind in SANITIZERS)]
    usable = [
        flag
        for flag in dict.fromkeys(flags)
        if not NOT_TRIED.match(flag) and not SYNONYM.fullmatch(flag) and flag not in spec.words
    ]
    quiet = {flag for flag in usable if _is_quiet(flag)}
    return Candidates(
        tuple(flag for flag in usable if flag not in quiet), tuple(flag for flag in usable if flag in quiet)
    )


def _is_quiet(flag: str) -> bool:
    if flag.startswith("-mtune="):
        return False
    if flag.startswith("-f"):
        return not TELLING.fullmatch(flag)
    return bool(TUNING.fullmatch(flag))


def _help_text(driver: Driver, spec: Spec) -> str:
    """gcc's list with the state of every flag; from clang the flags that a shell would complete."""
    language = "c++" if spec.lang == "c++" else "c"
    asked = driver.attempt(spec, (*spec.words, "-Q", "--help=target", "--help=common", f"--help={language}"))
    if asked.code == 0 and "[enabled]" in asked.text:
        return asked.text
    rows = [row for prefix in ("-m", "-f", "-std=,") for row in _completed(driver, spec, prefix)]
    return "".join(f"  {row}\n" for row in rows)


def _completed(driver: Driver, spec: Spec, prefix: str) -> list[str]:
    """clang --autocomplete=-m: flag, tab, help. Negative forms are left out unless they tell something."""
    done = driver.attempt(spec, (*spec.words, f"--autocomplete={prefix}"))
    flags = [line.partition("\t")[0].strip() for line in done.text.splitlines()] if done.code == 0 else []
    if prefix == "-std=,":
        wanted = r"(c|gnu)\+\+\d\w" if spec.lang == "c++" else r"(c|gnu)\d\w"
        return [f"-std={flag}" for flag in flags if re.fullmatch(wanted, flag)]
    return [flag for flag in flags if not re.match(r"-[mf]no-", flag) or TELLING.fullmatch(flag)]


def _toggles(text: str) -> list[str]:
    """The other state of every flag that can be switched: `[disabled]` on, `[enabled]` off."""
    found = []
    for flag, state in re.findall(
        r"^  (-[mf][\w.+-]*\w|-std=[\w+]+)(?![^ \t\n])[ \t]*(\S.*)?$", text, re.MULTILINE
    ):
        if state.startswith(("[ignored]", "-std=")):
            continue
        found.append(_negated(flag) if state.startswith("[enabled]") else flag)
    return found


def _negated(flag: str) -> str:
    kind, rest = flag[:2], flag[2:]
    return kind + rest.removeprefix("no-") if rest.startswith("no-") else f"{kind}no-{rest}"


def _bracketed(text: str) -> list[str]:
    """`-fvisibility=[default|hidden]`: one flag for each."""
    rows = re.findall(r"^  (-[mf][\w-]+=)\[([\w|.-]+)\]", text, re.MULTILINE)
    return [option + value for option, values in rows for value in values.split("|")]


def _known_values(text: str) -> dict[str, list[str]]:
    """gcc's lists: `Known ABIs (for use with the -mabi= option):` and the values on the next lines."""
    found: dict[str, list[str]] = {}
    for head, body in re.findall(r"^  Known (.*):\n((?:    \S.*\n)+)", text, re.MULTILINE):
        for option in re.findall(r"-m[\w-]+=", head):
            found[option] = body.split()
    return found


def _valid_values(driver: Driver, spec: Spec, option: str) -> list[str]:
    """The values that the compiler names when it is given a wrong one."""
    words = (option + NO_SUCH_VALUE, *spec.family.dump, *spec.family.language_words(spec.lang))
    done = driver.attempt(spec, (*spec.words, *words, spec.family.source_file(spec.lang)))
    note = re.search(r"valid (?:arguments|target CPU values)([^:]*): ([^\n]+)", printable(done.error_text))
    if note is None or ("=" in note[1] and option not in note[1]):
        return []
    values = re.split(r"[,;\s]+", note[2].partition("; did you mean")[0])
    return [value for value in values if re.fullmatch(r"[\w.+-]+", value) and value != "native"]
