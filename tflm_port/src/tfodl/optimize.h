// Include this first in a source whose loops decide how long a training step takes.
//
// Arduino cores compile for size; these few loops are compiled for speed. Loops that clear memory
// stay loops: the memset of a C library made for size takes five instructions per byte. A build
// without optimization stays one.
#ifndef TFODL_OPTIMIZE_H_
#define TFODL_OPTIMIZE_H_

#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__)
#pragma GCC optimize("O2", "no-tree-loop-distribute-patterns")
#endif

// For the small functions of those loops, which compiling for size would call.
// And for the loops themselves: on their own they find enough registers.
#if defined(__GNUC__)
#define TFODL_INLINE inline __attribute__((always_inline))
#define TFODL_NOINLINE __attribute__((noinline))
#else
#define TFODL_INLINE inline
#define TFODL_NOINLINE
#endif

#endif  // TFODL_OPTIMIZE_H_
