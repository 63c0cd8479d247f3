// Turns one statement into one instruction: what the families of instructions (ptx_alu.cpp, ptx_convert.cpp,
// ptx_access.cpp) share.
#pragma once

#include <initializer_list>
#include <string>

#include "ptx_syntax.h"

namespace cudasim::ptx {

class Builder {
 public:
  virtual ~Builder() = default;

  Instruction i;
  const Statement* statement = nullptr;
  std::vector<std::string> modifiers;  // not yet consumed

  [[noreturn]] void fail(const std::string& message) const { throw ParseError(statement->line, message); }

  // Consumes a modifier if it is there.
  bool take(const std::string& modifier) {
    for (size_t k = 0; k < modifiers.size(); ++k) {
      if (modifiers[k] == modifier) {
        modifiers.erase(modifiers.begin() + static_cast<std::ptrdiff_t>(k));
        return true;
      }
    }
    return false;
  }
  void ignore(std::initializer_list<const char*> names) {
    for (const char* name : names) take(name);
  }
  // The last type modifier, where an instruction's type stands; operands follow it.
  Type take_type() {
    for (size_t k = modifiers.size(); k-- > 0;) {
      Type type;
      if (parse_type(modifiers[k], &type)) {
        modifiers.erase(modifiers.begin() + static_cast<std::ptrdiff_t>(k));
        return type;
      }
    }
    fail("'" + statement->name + "' without a type");
  }
  void finish() const {
    if (!modifiers.empty()) fail("'." + modifiers.front() + "' is not known on '" + statement->name + "'");
  }
  void operands(size_t least, size_t most = 0) const {
    size_t n = statement->operands.size();
    if (n < least || n > (most == 0 ? least : most)) {
      fail("'" + statement->name + "' with " + std::to_string(n) + " operands");
    }
  }
  const Operand& operand(size_t k) const { return statement->operands.at(k); }
  void require(int target, int version, const std::string& what) const {
    if (tree_target < target || tree_version < version) {
      fail(what + " requires .target sm_" + std::to_string(target) + " or higher and .version " +
           std::to_string(version / 10) + "." + std::to_string(version % 10) + " or later");
    }
  }

  // wide: the register may be wider than the type (ld, st, cvt). Returns the register's size in bytes through it.
  virtual Slot source(const Operand& operand, Type type, uint32_t* wide = nullptr) = 0;
  virtual Slot target(const Operand& operand, Type type, uint32_t* wide = nullptr) = 0;
  // [base + offset] of an access in `space`; sets s[0], immediate, base_is_64; checks .param bounds.
  virtual void address(const Operand& operand, Space* space, uint32_t bytes) = 0;
  virtual Slot constant(uint64_t bits, Type type) = 0;

  void add_source(const Operand& o, Type type, uint32_t* wide = nullptr) {
    i.s[i.source_count] = source(o, type, wide), ++i.source_count;
  }
  void add_target(const Operand& o, Type type, uint32_t* wide = nullptr) {
    i.d[i.target_count] = target(o, type, wide), ++i.target_count;
  }

  int tree_target = 0;
  int tree_version = 0;
};

Handler copy_handler(Type type);  // d[0] = s[0]

// Each returns false when the opcode is not of its family.
bool build_alu(Builder& b);  // leaves the float forms of shared names to build_float
bool build_float(Builder& b);
bool build_convert(Builder& b);
bool build_access(Builder& b);
bool build_warp(Builder& b);

}  // namespace cudasim::ptx
