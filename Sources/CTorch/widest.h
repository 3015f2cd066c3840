// WIDEST marks a function for the fastest instructions of the processor at hand, where the compiler can leave the choice
// to the start of the program.
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#define WIDEST __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDEST
#endif
