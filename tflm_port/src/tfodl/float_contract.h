// Include this last, in every source that computes with floats.
//
// A fused multiply-add rounds once where two operations round twice, so the same source would give
// other bits on a Cortex-M4F or an ESP32 than on a PC. The library forbids the fusion.
#ifndef TFODL_FLOAT_CONTRACT_H_
#define TFODL_FLOAT_CONTRACT_H_

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#endif  // TFODL_FLOAT_CONTRACT_H_
