// The PTX interpreter's internal form: a module's text decoded once into instructions over register slots.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime.h"

namespace cudasim::ptx {

constexpr uint32_t kWarp = 32;
constexpr uint32_t kAllLanes = 0xffffffffu;
constexpr uint32_t kSharedBase =
    1024;  // the first bytes of the shared window are the system's, so that address 0 is never valid
constexpr uint64_t kSharedWindow =
    0x00a5000000000000ull;  // generic addresses; outside every address a process can have
constexpr uint64_t kLocalWindow = 0x00a6000000000000ull;
constexpr uint64_t kWindowMask = 0xffff000000000000ull;

class ParseError : public std::runtime_error {
 public:
  ParseError(int line, const std::string& message, Status status = kInvalidPtx)
      : std::runtime_error(message), line_(line), status_(status) {}
  int line() const { return line_; }
  Status status() const { return status_; }

 private:
  int line_;
  Status status_;
};

enum class Type : uint8_t {
  None,
  Pred,
  B8,
  B16,
  B32,
  B64,
  U8,
  U16,
  U32,
  U64,
  S8,
  S16,
  S32,
  S64,
  F16,
  F16x2,
  BF16,
  BF16x2,
  TF32,
  F32,
  F64
};
uint32_t size_of(Type type);
bool is_float(Type type);
bool is_signed(Type type);
bool is_bits(Type type);
const char* name_of(Type type);

enum class Space : uint8_t { Generic, Global, Shared, Local, Const, Param };

struct Variable {
  std::string name;
  Space space = Space::Generic;
  Type type = Type::None;
  uint32_t alignment = 1;
  uint64_t bytes = 0;
  bool is_extern = false;
  bool is_array = false;
  int line = 0;
  std::vector<uint8_t> initial;
  uint64_t address = 0;  // global and const: device address; shared, local, param: offset in its window
};

// Where a register lives in a warp's register file: 32 lanes at a byte offset, and its index in the initialised masks.
struct Slot {
  uint32_t offset = 0;
  uint32_t index = 0;
};

struct Warp;
struct Instruction;
using Handler = void (*)(Warp& warp, const Instruction& instruction, uint32_t mask);

enum class Flow : uint8_t { Next, Branch, Exit, Barrier, WarpSync };

struct Instruction {
  Handler run = nullptr;
  Flow flow = Flow::Next;
  bool guarded = false;
  bool guard_negated = false;
  bool uniform = false;  // bra.uni: the branch may not diverge
  uint8_t source_count = 0;
  uint8_t target_count = 0;
  uint8_t mode = 0;  // what the handler needs beyond its template: comparison, rounding, shuffle kind ...
  uint8_t mode2 = 0;
  uint8_t vector = 1;
  uint8_t member_source = 0;  // WarpSync: which source holds the member mask
  bool base_is_64 = false;
  bool flush = false;
  bool saturate = false;
  Slot guard;
  Slot d[5];
  Slot s[6];
  int64_t immediate = 0;
  uint32_t branch = 0;
  int32_t line = 0;
};

enum class Special : uint8_t {
  TidX,
  TidY,
  TidZ,
  NtidX,
  NtidY,
  NtidZ,
  CtaidX,
  CtaidY,
  CtaidZ,
  NctaidX,
  NctaidY,
  NctaidZ,
  LaneId,
  WarpId,
  NWarpId,
  SmId,
  NSmId,
  GridId,
  LaneMaskEq,
  LaneMaskLt,
  LaneMaskLe,
  LaneMaskGt,
  LaneMaskGe,
  DynamicShared,
  TotalShared
};

struct Constant {
  Slot slot;
  uint32_t bytes;
  uint64_t bits;
};

struct SpecialRegister {
  Slot slot;
  Special kind;
};

struct Kernel {
  std::string name;
  std::vector<Variable> parameters;
  std::vector<Instruction> code;
  std::vector<std::string> register_names;  // by index
  std::vector<Constant> constants;
  std::vector<SpecialRegister> specials;
  std::shared_ptr<const std::vector<std::string>> source;
  uint32_t parameter_bytes = 0;
  uint32_t register_bytes = 0;
  uint32_t program_registers = 0;  // declared by the program, for the resource estimate
  uint32_t shared_bytes = 0;       // static
  uint32_t local_bytes = 0;
  uint32_t const_bytes = 0;
  uint32_t max_threads[3] = {0, 0, 0};
  uint32_t required_threads[3] = {0, 0, 0};
  int version = 0;
  int target = 0;
};

struct Module {
  int version = 0;                  // 10 * major + minor
  int target = 0;                   // sm_NN
  std::vector<Variable> variables;  // global and const
  std::map<std::string, std::unique_ptr<Kernel>> kernels;
  std::vector<DevicePointer> owned;
};

// Decodes a module; `allocate` gives device memory to its global and constant variables, filled with their initial
// values.
std::unique_ptr<Module> load(const std::string& text, int device_target, int newest_version,
                             const std::function<uint64_t(const Variable&)>& allocate);

struct LaunchShape {
  uint32_t grid[3];
  uint32_t block[3];
  uint32_t dynamic_shared;
};

// Runs every thread of a grid; throws Fault.
void execute(const Kernel& kernel, const LaunchShape& shape, const std::vector<uint8_t>& parameters);
uint64_t instructions_executed();

}  // namespace cudasim::ptx
