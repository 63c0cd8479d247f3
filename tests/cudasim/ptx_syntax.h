// A PTX module as written: declarations and statements, names not yet resolved.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ptx.h"

namespace cudasim::ptx {

struct Operand {
  enum Kind { Name, Integer, Float32, Float64, Address, Vector, Pair, List, Sink } kind = Name;
  std::string text;            // name, or the base of an address (empty: absolute)
  uint64_t bits = 0;           // integer or the pattern of a float
  int64_t offset = 0;          // of an address
  bool negated = false;        // !p
  std::vector<Operand> parts;  // vector, pair p|q, list of a call
};

struct RegisterDeclaration {
  std::string name;
  Type type = Type::None;
  int line = 0;
};

// One element of a body: a label, a scope's bound, a declaration or an instruction.
struct Statement {
  enum Kind { Label, Open, Close, Registers, Storage, Operation } kind = Operation;
  int line = 0;
  std::string name;                    // label, or opcode ("ld")
  std::vector<std::string> modifiers;  // "global", "v4", "f32"
  std::string guard;
  bool guard_negated = false;
  std::vector<Operand> operands;
  std::vector<RegisterDeclaration> registers;
  Variable variable;
};

struct Function {
  bool is_entry = false;
  std::string name;
  int line = 0;
  std::vector<Variable> parameters;                      // .param
  std::vector<RegisterDeclaration> register_parameters;  // .reg parameters of a .func; with `order` true for .param
  std::vector<bool> parameter_is_register;
  std::vector<Variable> results;
  std::vector<RegisterDeclaration> register_results;
  std::vector<bool> result_is_register;
  uint32_t max_threads[3] = {0, 0, 0};
  uint32_t required_threads[3] = {0, 0, 0};
  bool has_body = false;
  std::vector<Statement> body;
};

struct SyntaxTree {
  int version = 0;
  int target = 0;
  std::vector<Variable> variables;
  std::vector<Function> functions;
  std::shared_ptr<std::vector<std::string>> source;
};

SyntaxTree parse(const std::string& text);
bool parse_type(const std::string& text, Type* type);

}  // namespace cudasim::ptx
