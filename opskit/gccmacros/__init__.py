"""gccmacros: every predefined macro of a compiler, where it comes from, and which flag changes it.

It asks the compilers themselves and never runs what they build; it writes no file that was not asked for.
"""
