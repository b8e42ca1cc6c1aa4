/* Compilers that refuse /dev/null or standard input are given this file to list their macros with. */
