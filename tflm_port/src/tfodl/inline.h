// Which functions the compiler inlines, where its own choice is not the best one.
#ifndef TFODL_INLINE_H_
#define TFODL_INLINE_H_

// For the small functions of loops, which compiling for size would call.
// And for the loops themselves: on their own they find enough registers.
#if defined(__GNUC__)
#define TFODL_INLINE inline __attribute__((always_inline))
#define TFODL_NOINLINE __attribute__((noinline))
#else
#define TFODL_INLINE inline
#define TFODL_NOINLINE
#endif

// In a source that is compiled for speed: functions around the loops, which are made small all the
// same, and loops that only such functions call.
#if defined(__GNUC__)
#define TFODL_COLD __attribute__((cold, noinline))
#define TFODL_HOT __attribute__((hot, noinline))
#else
#define TFODL_COLD
#define TFODL_HOT
#endif

// Hides from the compiler what a variable is: where an index counts up to 0 from below and
// addresses all arrays from their ends, it would make a pointer for each of them, and a comparison.
#if defined(__GNUC__)
#define TFODL_OPAQUE(variable) __asm__("" : "+r"(variable))
#else
#define TFODL_OPAQUE(variable)
#endif

// For a single loop without floats in a source that is compiled for size: most of the code only
// decides what those loops work on.
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__)
#define TFODL_FAST __attribute__((noinline, optimize("O2")))
#else
#define TFODL_FAST
#endif

#endif  // TFODL_INLINE_H_
