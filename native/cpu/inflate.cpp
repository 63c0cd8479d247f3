// Decompression of whole zlib streams, which PNG files hold.
#include <isa-l/igzip_lib.h>

#include <limits>
#include <string>

#include "common.h"

using namespace stig;

stig_status stig_inflate(const void* src, int64_t src_bytes, void* dst, int64_t dst_bytes) {
  STIG_GUARDED({
    require(src != nullptr && dst != nullptr, "src and dst must not be null");
    // The library counts in 32 bits.
    constexpr int64_t most = std::numeric_limits<uint32_t>::max();
    require(src_bytes > 0 && src_bytes <= most && dst_bytes > 0 && dst_bytes <= most,
            "sizes must be 1 to 2^32 - 1, but are " + std::to_string(src_bytes) + " and " + std::to_string(dst_bytes));
    inflate_state state;
    isal_inflate_init(&state);
    state.crc_flag = ISAL_ZLIB;  // header and checksum are read and compared too
    state.next_in = const_cast<uint8_t*>(static_cast<const uint8_t*>(src));
    state.avail_in = static_cast<uint32_t>(src_bytes);
    state.next_out = static_cast<uint8_t*>(dst);
    state.avail_out = static_cast<uint32_t>(dst_bytes);
    const int result = isal_inflate_stateless(&state);
    require(result == ISAL_DECOMP_OK && state.avail_out == 0 && state.avail_in == 0,
            "the stream is damaged or has another length: result " + std::to_string(result) + ", " +
                std::to_string(state.avail_in) + " bytes left in, " + std::to_string(state.avail_out) + " out");
  });
}
