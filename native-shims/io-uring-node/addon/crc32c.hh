#pragma once

#include <cstddef>
#include <cstdint>

// The CRC32C of `length` bytes, continuing `seed` (0 to begin).
uint32_t crc32c(uint32_t seed, const uint8_t* bytes, size_t length);

// The implementations that this processor can run, the one in use first; nullptr behind the last.
const char* crc32cImplementation(size_t at);

// The same by one of them; false: this processor does not have it.
bool crc32cBy(const char* name, uint32_t seed, const uint8_t* bytes, size_t length, uint32_t* result);
