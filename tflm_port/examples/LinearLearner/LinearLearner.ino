// A board that learns to tell classes of feature vectors apart, taught over the serial port:
//
//   tf-odl teach --port PORT --data hapt --data-dir DIR
//
// The features are the 561 of the data set HAPT (six activities of a person who carries a phone),
// with mean 0 and deviation 1. Softmax regression needs no TensorFlow Lite Micro. What was learned
// and saved is there again after a power cut.
#include <TfOdl.h>

static const tfodl::LinearModel model(561, 6);  // features, classes
static constexpr uint32_t kArenaBytes = tfodl::LinearLearner::ArenaBytes(561, 6);

static tfodl::LinearLearner learner(model, tfodl::MakeArena<kArenaBytes>(), kArenaBytes);
static tfodl::BoardStorage storage;
static tfodl::ArduinoDevice device(learner, storage, Serial);

void setup() {
  Serial.begin(115200);
  pinMode(LED_BUILTIN, OUTPUT);
  while (!device.begin()) delay(1000);  // the arena is too small
  device.saveEvery(600);                // seconds; only if something was learned
}

void loop() {
  device.poll();  // answers the PC, saves when it is time

  // A sensor of your own: compute its features and call
  //   device.predict(features)          float[561] or int8_t[561]
  //   device.learn(features, label)     where you know the class, for instance from a button
  digitalWrite(LED_BUILTIN, device.stats()->samples % 2 == 0 ? LOW : HIGH);
}
