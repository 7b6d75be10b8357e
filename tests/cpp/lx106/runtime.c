// What a program needs on an lx106 beside picolibc: a clean start, standard output, and the
// arithmetic that the compiler's library leaves to the ROM of an ESP8266.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int main(void);
int WriteTo(int file, const void* bytes, int size);

extern char bss_start[], bss_end[];

static int PutCharacter(char c, FILE* file) {
  (void)file;
  return WriteTo(1, &c, 1) == 1 ? (unsigned char)c : EOF;
}

static FILE g_output = FDEV_SETUP_STREAM(PutCharacter, NULL, NULL, _FDEV_SETUP_WRITE);
FILE* const stdout = &g_output;

int Run(void) {
  memset(bss_start, 0, (size_t)(bss_end - bss_start));
  return main();
}

// -- integers -----------------------------------------------------------------------------------

static uint64_t Product(uint32_t a, uint32_t b) {
  const uint32_t low = (a & 0xffff) * (b & 0xffff);
  const uint32_t middle = (a >> 16) * (b & 0xffff) + (low >> 16);
  const uint32_t other = (a & 0xffff) * (b >> 16) + (middle & 0xffff);
  const uint32_t high = (a >> 16) * (b >> 16) + (middle >> 16) + (other >> 16);
  return (uint64_t)high << 32 | (other << 16 | (low & 0xffff));
}

uint64_t __muldi3(uint64_t a, uint64_t b) {
  const uint32_t cross = (uint32_t)(a >> 32) * (uint32_t)b + (uint32_t)a * (uint32_t)(b >> 32);
  return Product((uint32_t)a, (uint32_t)b) + ((uint64_t)cross << 32);
}

uint32_t __udivsi3(uint32_t a, uint32_t b) {
  uint32_t quotient = 0;
  uint32_t rest = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const uint32_t carry = rest >> 31;
    rest = rest << 1 | (a >> bit & 1);
    if (carry || rest >= b) {
      rest -= b;
      quotient |= 1u << bit;
    }
  }
  return quotient;
}

uint32_t __umodsi3(uint32_t a, uint32_t b) { return a - b * __udivsi3(a, b); }

// -- IEEE 754 single precision, rounded to nearest, ties to even ----------------------------------

#define INFINITY_BITS 0x7f800000u
#define NAN_BITS 0x7fc00000u
#define SIGN_BIT 0x80000000u

static uint32_t BitsOf(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float FromBits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static int IsNanBits(uint32_t bits) { return (bits & ~SIGN_BIT) > INFINITY_BITS; }
static int IsInfinite(uint32_t bits) { return (bits & ~SIGN_BIT) == INFINITY_BITS; }

// |value| = mantissa * 2^exponent of a finite number.
static uint32_t MantissaOf(uint32_t bits) {
  return (bits & 0x7fffff) | ((bits & INFINITY_BITS) != 0 ? 0x800000 : 0);
}

static int ExponentOf(uint32_t bits) {
  const int biased = (int)(bits >> 23 & 0xff);
  return (biased == 0 ? 1 : biased) - 150;
}

// sign, mantissa * 2^exponent. Bits that were lost below the mantissa are its bit 0.
static float Pack(uint32_t sign, uint64_t mantissa, int exponent) {
  if (mantissa == 0) return FromBits(sign);
  int shift = 40 - __builtin_clzll(mantissa);  // to 24 bits
  if (exponent + shift < -149) shift = -149 - exponent;
  uint64_t kept;
  if (shift <= 0) {
    kept = mantissa << -shift;
  } else if (shift > 63) {
    kept = 0;
  } else {
    const uint64_t half = (uint64_t)1 << (shift - 1);
    const uint64_t lost = mantissa & (half * 2 - 1);
    kept = mantissa >> shift;
    kept += lost > half || (lost == half && (kept & 1) != 0);
  }
  exponent += shift;
  if (kept >> 24 != 0) {
    kept >>= 1;
    ++exponent;
  }
  if (kept < 0x800000) return FromBits(sign | (uint32_t)kept);  // exponent is -149
  if (exponent > 104) return FromBits(sign | INFINITY_BITS);
  return FromBits(sign | (uint32_t)(exponent + 150) << 23 | ((uint32_t)kept & 0x7fffff));
}

float __mulsf3(float x, float y) {
  const uint32_t a = BitsOf(x), b = BitsOf(y), sign = (a ^ b) & SIGN_BIT;
  if (IsNanBits(a) || IsNanBits(b)) return FromBits(NAN_BITS);
  if (IsInfinite(a) || IsInfinite(b)) {
    return FromBits((a & ~SIGN_BIT) == 0 || (b & ~SIGN_BIT) == 0 ? NAN_BITS : sign | INFINITY_BITS);
  }
  return Pack(sign, Product(MantissaOf(a), MantissaOf(b)), ExponentOf(a) + ExponentOf(b));
}

float __addsf3(float x, float y) {
  uint32_t a = BitsOf(x), b = BitsOf(y);
  if (IsNanBits(a) || IsNanBits(b)) return FromBits(NAN_BITS);
  if (IsInfinite(a)) return FromBits(IsInfinite(b) && a != b ? NAN_BITS : a);
  if (IsInfinite(b)) return y;
  if ((a & ~SIGN_BIT) < (b & ~SIGN_BIT)) {
    const uint32_t larger = b;
    b = a;
    a = larger;
  }
  const int distance = ExponentOf(a) - ExponentOf(b);
  const uint64_t large = (uint64_t)MantissaOf(a) << 32;
  uint64_t small = (uint64_t)MantissaOf(b) << 32;
  if (distance > 63) {
    small = small != 0;
  } else if (distance > 0) {
    small = small >> distance | ((small & (((uint64_t)1 << distance) - 1)) != 0);
  }
  const int same_sign = ((a ^ b) & SIGN_BIT) == 0;
  const uint64_t sum = same_sign ? large + small : large - small;
  if (sum == 0) return FromBits(a & b & SIGN_BIT);
  return Pack(a & SIGN_BIT, sum, ExponentOf(a) - 32);
}

float __subsf3(float x, float y) { return __addsf3(x, FromBits(BitsOf(y) ^ SIGN_BIT)); }

float __floatunsisf(uint32_t value) { return Pack(0, value, 0); }

float __floatsisf(int32_t value) {
  return value < 0 ? Pack(SIGN_BIT, 0u - (uint32_t)value, 0) : Pack(0, (uint32_t)value, 0);
}

uint32_t __fixunssfsi(float x) {
  const uint32_t bits = BitsOf(x);
  const int exponent = ExponentOf(bits);
  if ((bits & SIGN_BIT) != 0 || exponent < -31) return 0;
  if (exponent > 8) return UINT32_MAX;
  return exponent < 0 ? MantissaOf(bits) >> -exponent : MantissaOf(bits) << exponent;
}
