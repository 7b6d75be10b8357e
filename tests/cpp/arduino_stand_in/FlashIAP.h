// Stand-in for mbed's header of the flash the program lies in.
#ifndef TFODL_TESTS_FLASH_IAP_H_
#define TFODL_TESTS_FLASH_IAP_H_

#include <stdint.h>

extern uint32_t g_rom_end;
#define FLASHIAP_APP_ROM_END_ADDR g_rom_end

#endif  // TFODL_TESTS_FLASH_IAP_H_
