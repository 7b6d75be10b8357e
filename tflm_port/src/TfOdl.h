// TfOdl: models that keep learning on the board.
//
// A model of TensorFlow Lite Micro with a training graph; its library comes first:
//
//   #include <Chirale_TensorFlowLite.h>
//   #include <TfOdl.h>
//
// Then, with model_data.h of an export (examples/Teach has the whole sketch):
//
//   static tflite::MicroMutableOpResolver<5 + tfodl::kOpCount> resolver;
//   static tfodl::TflmLearner learner(model_train_tflite, resolver,
//                                     tfodl::MakeArena<9000>(), 9000);
//   static tfodl::BoardStorage storage;
//   static tfodl::ArduinoDevice device(learner, storage, Serial);
//
//   setup():  tfodl::AddFullyConnected(resolver); ...; tfodl::AddOps(resolver); device.begin();
//   loop():   device.poll();                                  // answers tf-odl teach, saves
//             tfodl::Step step = device.predict(sample);      // step.prediction, step.probability
//             device.learn(sample, label);                    // one training step
//
// Without it there is LinearLearner, for features that something else computes.
#ifndef TFODL_H_
#define TFODL_H_

#include "tfodl/board/device.h"
#include "tfodl/learner.h"
#include "tfodl/linear_learner.h"
#include "tfodl/ops/has_tflm.h"
#include "tfodl/session.h"
#include "tfodl/state.h"

#if TFODL_HAS_TFLM
#include "tfodl/ops/register.h"
#include "tfodl/reselect_step.h"
#include "tfodl/tflm_learner.h"
#endif

#if defined(ARDUINO)
#include "tfodl/arduino/arduino_device.h"
#include "tfodl/arduino/arena.h"
#include "tfodl/arduino/board_storage.h"
#endif

#endif  // TFODL_H_
