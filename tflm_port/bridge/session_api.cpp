// C functions through which Python binds the wheel and reaches the session.
#include <stdint.h>

#include "tfodl/session.h"
#include "wheel_abi.h"

extern "C" {

// handle: the dlopen handle of the wheel's _runtime.so. Returns 0 on failure.
int tfodl_bind_runtime(void* handle) { return tfodl::bridge::BindRuntime(handle) ? 1 : 0; }

const char* tfodl_last_error() { return tfodl::bridge::LastError(); }

// Null before the first invoke.
tfodl::State* tfodl_session_state() { return tfodl::CurrentSession().state; }

const tfodl::Counts* tfodl_session_counts() { return &tfodl::CurrentCounts(); }

uint32_t tfodl_session_variable_count() { return tfodl::CurrentSession().n_variables; }

void* tfodl_session_variable_data(uint32_t index) {
  return tfodl::CurrentSession().variables[index].data;
}

uint32_t tfodl_session_variable_bytes(uint32_t index) {
  return tfodl::CurrentSession().variables[index].bytes;
}

// Null when no reference sample is wanted.
const int8_t* tfodl_session_reference() { return tfodl::WantedReference().data; }

// Null where there is no such mask.
uint8_t* tfodl_session_mask_bits(uint32_t layer) { return tfodl::MaskOfLayer(layer).bits; }

uint32_t tfodl_session_mask_neurons(uint32_t layer) { return tfodl::MaskOfLayer(layer).neurons; }

}  // extern "C"
