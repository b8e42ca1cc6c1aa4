"""What kinds of macros there are: the first pattern that matches a name decides."""

import re
from functools import cache

CATEGORIES: dict[str, str] = {
    "compiler": (
        r"__GN(UC|AT|UG)\w*__|__GNUC\w*|__GXX_\w+|__clang\w*|__llvm__|__VERSION__|__TINYC__|__SUNPRO_C+|__INTEL\w*|"
        r"__ICC|__ZIG\w*|_MSC_\w+|_MSVC_(?!LANG)\w+|__BASE_FILE__|__USER_LABEL_PREFIX__|__REGISTER_PREFIX__|__xlC__|"
        r"__CUDACC\w*|__EMSCRIPTEN\w*|__PGI\w*|__NVCOMPILER\w*"
    ),
    "standard": (
        r"_?_STDC\w*|_*LANGUAGE_C_*|__cplusplus|__cpp_\w+|__STRICT_ANSI__|_MSVC_LANG|__OBJC\w*|__ASSEMBLER__|_OPENMP|_OPENACC|"
        r"__DEPRECATED|__EXCEPTIONS|__GXX_RTTI|__BOOL_\w+|_GNU_SOURCE|__CHAR_UNSIGNED__"
    ),
    "platform": (
        r"_*(linux|unix|gnu_linux|ELF|APPLE\w*|MACH|FreeBSD\w*|NetBSD\w*|OpenBSD\w*|DragonFly\w*|sun|SunOS\w*|svr4|SVR4|"
        r"MINGW\d*|CYGWIN\w*|ANDROID\w*|HAIKU|HURD|GNU|MSDOS|WINDOWS|WINNT|WIN32|WIN64|Fuchsia|AIX\w*|hpux|QNX\w*|"
        r"VXWORKS\w*|wasi|UCLIBC|BIONIC|MUSL|ENVIRONMENT_\w+)_*|_?WIN(32|64|NT)(__)?|_REENTRANT|_DEBUG|_MT|_DLL"
    ),
    "instructions": (
        r"__(MMX|SSE|SSSE|AVX|AES|VAES|PCLMUL|VPCLMULQDQ|SHA|FMA|BMI|F16C|LZCNT|POPCNT|RDRND|RDSEED|RDPID|ADX|XSAVE|"
        r"XOP|TBM|LWP|ABM|PRFCHW|PREFETCHWT|FXSR|CLFLUSHOPT|CLWB|CLZERO|CLDEMOTE|MWAITX|PKU|SGX|GFNI|MOVDIR|MOVBE|"
        r"WAITPKG|WBNOINVD|PTWRITE|PCONFIG|SHSTK|SERIALIZE|TSXLDTRK|ENQCMD|UINTR|HRESET|KL|WIDEKL|AMX|RTM|HLE|"
        r"FSGSBASE|CRC32|LAHF_SAHF|3dNOW|GCC_HAVE_SSE)\w*__|__3dNOW\w*__|__ARM_FEATURE_\w+|__ARM_NEON\w*|__ARM_FP\w*|"
        r"__riscv_(?!xlen|flen|cmodel|float_abi|abi)\w+|__ALTIVEC__|__VSX__|__VEC__|__APPLE_ALTIVEC__|__POWER\d+_\w+|"
        r"_ARCH_PWR\w*|__mips_(dsp|msa|hard|soft)\w*|__AVR_HAVE_\w+|__VX__|__HTM__|__SEG_[FG]S"
    ),
    "architecture": (
        r"_*(x86_64|amd64|i[3-6]?86|pentium\w*|k8|k6|core\w*|haswell|skylake\w*|znver\d|athlon\w*|nocona|atom|tune_\w+|"
        r"aarch64|arm|thumb\d?|powerpc(64)?|ppc(64)?|PPC(64)?|POWERPC|riscv\w*|s390x?|sparc\w*|mips\w*|MIPS\w*|m68k|"
        r"mc68\d+|sh\d?|SH\d\w*|alpha\w*|hppa\w*|arc\w*|avr\w*|AVR\w*|zarch|wasm\w*|bpf|BPF\w*|loongarch\w*|xtensa\w*|"
        r"hexagon\w*|M_X64|M_AMD64|M_IX86\w*|M_ARM\w*|M_FP|R4000)_*|__ARM_\w+|__THUMB\w*|__AARCH64\w*|_R3000|R3000|_ARCH_\w+|"
        r"__CORE_\w+|_M_\w+|__PPC\w*|__ARC\w*|__arch\w*__|__code_model_\w+__"
    ),
    "abi": (
        r"_?_?I?LP(32|64)(__)?|__SIZEOF_\w+|__\w*BYTE_ORDER\w*__|__ORDER_\w+|__(PIC|pic|PIE|pie)__|__BIGGEST_\w+|"
        r"__\w*ENDIAN\w*|__REGISTER_\w+|_CALL_\w+|__ARM_EABI__|__ARM_PCS\w*|_ABI\w*|__LONG_DOUBLE_\w+|"
        r"__FLOAT_WORD_ORDER__|__POINTER_WIDTH__|__BITINT_\w+|__STACK_\w+|__USER_LABEL\w*|_MIPS_(SZ|ISA|SIM)\w*|"
        r"_NATIVE_\w+|_INTEGRAL_MAX_BITS|__\w+_ABI_?\w*__|__REG_\w+"
    ),
    "float": (
        r"__\w+_([FI]BIT|EPSILON)__|__(FLT|DBL|LDBL|DEC|BFLT)\d*X?_\w+|__FP_FAST_\w+|__GCC_IEC_\w+|__FINITE_MATH_ONLY__|__FAST_MATH__|"
        r"__(NO_)?(MATH_ERRNO|SIGNED_ZEROS|TRAPPING_MATH)__|__(RECIPROCAL|ASSOCIATIVE|ROUNDING)_MATH__|"
        r"__NO_SIGNED_ZEROS__|__NO_MATH_ERRNO__|__NO_TRAPPING_MATH__|__SUPPORT_SNAN__|__DECIMAL\w+|__SSE2?_MATH__|"
        r"__HAVE_FLOAT\w*|__FLOAT128__|__SIZEOF_FLOAT\w*|__DECIMAL_DIG__|__CX_\w+"
    ),
    "limits": r"__\w+_(MAX|MIN|WIDTH)_*|__CHAR_BIT__|__SIG_ATOMIC_M\w+",
    "types": r"__\w+_(TYPE|FMT[a-zA-Z]|C_SUFFIX)__|__U?INT\w*_C|__\w+_TYPE__",
    "atomics": r"__(GCC|CLANG)_ATOMIC_\w+|__GCC_HAVE_SYNC\w+|__ATOMIC_\w+|"
    r"__(OPENCL|HIP)_MEMORY_SCOPE_\w+|__GCC_DESTRUCTIVE\w+|"
    r"__GCC_CONSTRUCTIVE\w+|__MEMORY_SCOPE_\w+",
    "code": (
        r"__OPTIMIZE\w*__|__NO_INLINE__|__SSP\w*__|__CET__|__SANITIZE_\w+|__GCC_HAVE_\w+|__GCC_ASM_\w+|_FORTIFY_SOURCE|"
        r"__CONSTANT_CFSTRINGS__|__BLOCKS__|__PRAGMA_\w+|__GCC_\w+|__UNWIND\w*|__SEH__|__pic\w*__|__NO_\w+|_FILE_OFFSET\w*|"
        r"__HAVE_SPECULATION_SAFE_VALUE"
    ),
    "builtins": r"__(builtin|BUILTIN)_\w+|__has_\w+",
    "other": r".*",
}  # fmt: skip

_PATTERNS = [(name, re.compile(pattern)) for name, pattern in CATEGORIES.items()]


@cache
def categorise(name: str) -> str:
    """The category of a macro's name."""
    return next(category for category, pattern in _PATTERNS if pattern.fullmatch(name))
