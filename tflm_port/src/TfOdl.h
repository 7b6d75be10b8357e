// TfOdl: training operators for TensorFlow Lite Micro.
//
// In an Arduino sketch include the TensorFlow Lite Micro library first:
//
//   #include <Chirale_TensorFlowLite.h>
//   #include <TfOdl.h>
//
//   static tflite::MicroMutableOpResolver<kForwardOps + tfodl::kOpCount> resolver;
//   tfodl::AddOps(resolver);
//
// After the first Invoke(), tfodl::CurrentSession() gives access to the weights and the counters.
#ifndef TFODL_H_
#define TFODL_H_

#include "tfodl/ops/register.h"
#include "tfodl/session.h"
#include "tfodl/state.h"

#endif  // TFODL_H_
