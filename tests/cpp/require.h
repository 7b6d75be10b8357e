// For the test programs.
#ifndef TFODL_TESTS_REQUIRE_H_
#define TFODL_TESTS_REQUIRE_H_

#include <stdio.h>
#include <stdlib.h>

// Ends the program with a message unless something holds.
inline void Require(bool holds, const char* what) {
  if (holds) return;
  printf("FAILED: %s\n", what);
  exit(1);
}

#endif  // TFODL_TESTS_REQUIRE_H_
