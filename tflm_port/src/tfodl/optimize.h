// Include this first in a source whose loops decide how long a training step takes.
//
// Arduino cores compile for size; these few loops are compiled for speed. Loops that clear memory
// stay loops: the memset of a C library made for size takes five instructions per byte. Nothing is
// moved before registers are given out, as some blocks of assembler need nearly all of them. A
// build without optimization stays one.
#ifndef TFODL_OPTIMIZE_H_
#define TFODL_OPTIMIZE_H_

#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__)
#pragma GCC optimize("O2", "no-schedule-insns", "no-tree-loop-distribute-patterns")
#endif

#include "tfodl/inline.h"

#endif  // TFODL_OPTIMIZE_H_
