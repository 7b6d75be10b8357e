// $model on a board that keeps learning, taught over the serial port:
//
//   tf-odl teach EXPORT_DIR
//
// What was learned and saved is there again after a power cut. sample.h has the form of a sample
// and what the outputs are, for sensors of your own. Written by tf-odl export.
#include <Chirale_TensorFlowLite.h>
#include <TfOdl.h>

#include "model_data.h"
#include "model_ops.h"

static tflite::MicroMutableOpResolver<kForwardOps + tfodl::kOpCount> resolver;
static tfodl::TflmLearner learner(model_train_tflite, resolver, tfodl::MakeArena<kArenaBytes>(),
                                  kArenaBytes);
static tfodl::BoardStorage storage;
static tfodl::ArduinoDevice device(learner, storage, Serial);

void setup() {
  Serial.begin(115200);
  pinMode(LED_BUILTIN, OUTPUT);
  AddForwardOps(resolver);
  tfodl::$add_ops(resolver);
  while (!device.begin()) delay(1000);  // TensorFlow Lite Micro has printed why
  device.saveEvery(600);                // seconds; only if something was learned
}

void loop() {
  device.poll();  // answers the PC, saves when it is time

  // A sensor of your own: fill a sample and call
  //   device.predict(sample)          float[] or int8_t[] of the model's input
$learn
  digitalWrite(LED_BUILTIN, device.stats()->samples % 2 == 0 ? LOW : HIGH);
}
