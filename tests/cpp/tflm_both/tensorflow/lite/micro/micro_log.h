// Stand-in for both generations, see their c/common.h.
#ifndef TFODL_TESTS_MICRO_LOG_H_
#define TFODL_TESTS_MICRO_LOG_H_

void MicroPrintf(const char* format, ...);

#endif  // TFODL_TESTS_MICRO_LOG_H_
