// The layout of the option structs and the sizes of state and report as data, so that a test can
// compare them with the Python side.
#include <stddef.h>
#include <stdint.h>

#include "tfodl/conv_options.h"
#include "tfodl/decision.h"
#include "tfodl/join_options.h"
#include "tfodl/loss_options.h"
#include "tfodl/options.h"
#include "tfodl/accumulate_options.h"
#include "tfodl/float_head_options.h"
#include "tfodl/fully_connected_options.h"
#include "tfodl/rate_options.h"
#include "tfodl/reselect_options.h"
#include "tfodl/state.h"

namespace {

const char* WordName(uint32_t) { return "u32"; }
const char* WordName(int32_t) { return "i32"; }
const char* WordName(float) { return "f32"; }

struct Field {
  const char* options;
  const char* name;
  uint32_t offset;
  const char* word;
};

#define TFODL_FIELD(type, field) \
  {#type, #field, static_cast<uint32_t>(offsetof(tfodl::type, field)), \
   WordName(tfodl::type().field)}
#define TFODL_SKIP_FIELD(type, field) \
  {#type, #field, static_cast<uint32_t>(offsetof(tfodl::type, skip.field)), \
   WordName(tfodl::type().skip.field)}

const Field kFields[] = {
    TFODL_FIELD(SeedOptions, abi_version),
    TFODL_FIELD(SeedOptions, sentinel),
    TFODL_FIELD(SeedOptions, rng_seed),
    TFODL_FIELD(SeedOptions, learning_rate),
    TFODL_FIELD(SeedOptions, n_variables),
    TFODL_FIELD(SeedOptions, n_masks),
    TFODL_FIELD(XentOptions, abi_version),
    TFODL_FIELD(XentOptions, logits_scale),
    TFODL_SKIP_FIELD(XentOptions, skip_rule),
    TFODL_SKIP_FIELD(XentOptions, d_min),
    TFODL_SKIP_FIELD(XentOptions, d_max),
    TFODL_SKIP_FIELD(XentOptions, beta),
    TFODL_SKIP_FIELD(XentOptions, threshold),
    TFODL_FIELD(LayerOptions, abi_version),
    TFODL_FIELD(LayerOptions, flags),
    TFODL_FIELD(LayerOptions, layer),
    TFODL_FIELD(LayerOptions, in_h),
    TFODL_FIELD(LayerOptions, in_w),
    TFODL_FIELD(LayerOptions, in_c),
    TFODL_FIELD(LayerOptions, out_h),
    TFODL_FIELD(LayerOptions, out_w),
    TFODL_FIELD(LayerOptions, out_c),
    TFODL_FIELD(LayerOptions, kernel_h),
    TFODL_FIELD(LayerOptions, kernel_w),
    TFODL_FIELD(LayerOptions, stride_h),
    TFODL_FIELD(LayerOptions, stride_w),
    TFODL_FIELD(LayerOptions, pad_top),
    TFODL_FIELD(LayerOptions, pad_left),
    TFODL_FIELD(LayerOptions, x_scale),
    TFODL_FIELD(LayerOptions, x_zero_point),
    TFODL_FIELD(LayerOptions, act_min),
    TFODL_FIELD(LayerOptions, act_max),
    TFODL_FIELD(LayerOptions, sparsifier),
    TFODL_FIELD(LayerOptions, s_min),
    TFODL_FIELD(LayerOptions, s_max),
    TFODL_FIELD(LayerOptions, damping),
    TFODL_FIELD(LayerOptions, n_scales),
    TFODL_FIELD(PoolOptions, abi_version),
    TFODL_FIELD(PoolOptions, in_h),
    TFODL_FIELD(PoolOptions, in_w),
    TFODL_FIELD(PoolOptions, in_c),
    TFODL_FIELD(PoolOptions, out_h),
    TFODL_FIELD(PoolOptions, out_w),
    TFODL_FIELD(PoolOptions, filter_h),
    TFODL_FIELD(PoolOptions, filter_w),
    TFODL_FIELD(PoolOptions, stride_h),
    TFODL_FIELD(PoolOptions, stride_w),
    TFODL_FIELD(PoolOptions, pad_top),
    TFODL_FIELD(PoolOptions, pad_left),
    TFODL_FIELD(PoolOptions, act_min),
    TFODL_FIELD(PoolOptions, act_max),
    TFODL_FIELD(AddOptions, abi_version),
    TFODL_FIELD(AddOptions, count),
    TFODL_FIELD(AddOptions, act_min),
    TFODL_FIELD(AddOptions, act_max),
    TFODL_FIELD(CropOptions, abi_version),
    TFODL_FIELD(CropOptions, in_h),
    TFODL_FIELD(CropOptions, in_w),
    TFODL_FIELD(CropOptions, in_c),
    TFODL_FIELD(CropOptions, out_h),
    TFODL_FIELD(CropOptions, out_w),
    TFODL_FIELD(CropOptions, out_c),
    TFODL_FIELD(CropOptions, top),
    TFODL_FIELD(CropOptions, left),
    TFODL_FIELD(CropOptions, first_c),
    TFODL_FIELD(LossOptions, abi_version),
    TFODL_FIELD(LossOptions, scale),
    TFODL_FIELD(LossOptions, zero_point),
    TFODL_FIELD(LossOptions, target_scale),
    TFODL_FIELD(LossOptions, target_zero_point),
    TFODL_SKIP_FIELD(LossOptions, skip_rule),
    TFODL_SKIP_FIELD(LossOptions, d_min),
    TFODL_SKIP_FIELD(LossOptions, d_max),
    TFODL_SKIP_FIELD(LossOptions, beta),
    TFODL_SKIP_FIELD(LossOptions, threshold),
    TFODL_FIELD(ReselectOptions, abi_version),
    TFODL_FIELD(ReselectOptions, rule),
    TFODL_FIELD(ReselectOptions, interval),
    TFODL_FIELD(ReselectOptions, budget),
    TFODL_FIELD(ReselectOptions, n_references),
    TFODL_FIELD(ReselectOptions, mu),
    TFODL_FIELD(ReselectOptions, n_layers),
    TFODL_FIELD(RateOptions, abi_version),
    TFODL_FIELD(RateOptions, schedule),
    TFODL_FIELD(RateOptions, samples),
    TFODL_FIELD(RateOptions, warm_up),
    TFODL_FIELD(RateOptions, factor),
    TFODL_FIELD(RateOptions, clip),
    TFODL_FIELD(AccumulateOptions, abi_version),
    TFODL_FIELD(AccumulateOptions, samples),
    TFODL_FIELD(AccumulateOptions, rule),
    TFODL_FIELD(AccumulateOptions, n_layers),
    TFODL_FIELD(FloatHeadOptions, abi_version),
    TFODL_FIELD(FloatHeadOptions, x_zero_point),
    TFODL_FIELD(FloatHeadOptions, y_zero_point),
    TFODL_FIELD(FloatHeadOptions, n_factors),
    TFODL_FIELD(ConvOptions, abi_version),
    TFODL_FIELD(ConvOptions, in_h),
    TFODL_FIELD(ConvOptions, in_w),
    TFODL_FIELD(ConvOptions, in_c),
    TFODL_FIELD(ConvOptions, out_h),
    TFODL_FIELD(ConvOptions, out_w),
    TFODL_FIELD(ConvOptions, out_c),
    TFODL_FIELD(ConvOptions, kernel_h),
    TFODL_FIELD(ConvOptions, kernel_w),
    TFODL_FIELD(ConvOptions, stride_h),
    TFODL_FIELD(ConvOptions, stride_w),
    TFODL_FIELD(ConvOptions, pad_top),
    TFODL_FIELD(ConvOptions, pad_left),
    TFODL_FIELD(ConvOptions, y_c),
    TFODL_FIELD(ConvOptions, first_c),
    TFODL_FIELD(ConvOptions, x_zero_point),
    TFODL_FIELD(ConvOptions, y_zero_point),
    TFODL_FIELD(ConvOptions, act_min),
    TFODL_FIELD(ConvOptions, act_max),
    TFODL_FIELD(FullyConnectedOptions, abi_version),
    TFODL_FIELD(FullyConnectedOptions, rows),
    TFODL_FIELD(FullyConnectedOptions, in_c),
    TFODL_FIELD(FullyConnectedOptions, out_c),
    TFODL_FIELD(FullyConnectedOptions, x_zero_point),
    TFODL_FIELD(FullyConnectedOptions, y_zero_point),
    TFODL_FIELD(FullyConnectedOptions, act_min),
    TFODL_FIELD(FullyConnectedOptions, act_max),
    TFODL_FIELD(FullyConnectedOptions, n_scales),
};

#undef TFODL_FIELD

constexpr uint32_t kFieldCount = sizeof(kFields) / sizeof(kFields[0]);

}  // namespace

extern "C" {

uint32_t tfodl_option_field_count() { return kFieldCount; }

// The array of {options, name, offset, word} records.
const void* tfodl_option_fields() { return kFields; }

uint32_t tfodl_abi_version() { return tfodl::kAbiVersion; }

uint32_t tfodl_state_words() { return tfodl::kStateWords; }

uint32_t tfodl_report_floats() { return tfodl::kReportFloats; }

}  // extern "C"
