/* The same as empty.c, for compilers that tell the language by the name of the file. */
