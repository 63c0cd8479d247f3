// Resolves names and turns a syntax tree into kernels. Device functions are copied into their callers, so that the
// running machine knows neither calls nor a stack.
#include <algorithm>
#include <functional>

#include "ptx_build.h"
#include "ptx_float.h"

namespace cudasim::ptx {

namespace {

struct Symbol {
  bool is_register = false;
  Type type = Type::None;
  Slot slot;
  Variable variable;  // address already set, except for dynamic shared memory
  bool dynamic_shared = false;
};

using Scope = std::map<std::string, Symbol>;

const std::map<std::string, Special>& special_names() {
  static const std::map<std::string, Special> names = {{"%tid.x", Special::TidX},
                                                       {"%tid.y", Special::TidY},
                                                       {"%tid.z", Special::TidZ},
                                                       {"%ntid.x", Special::NtidX},
                                                       {"%ntid.y", Special::NtidY},
                                                       {"%ntid.z", Special::NtidZ},
                                                       {"%ctaid.x", Special::CtaidX},
                                                       {"%ctaid.y", Special::CtaidY},
                                                       {"%ctaid.z", Special::CtaidZ},
                                                       {"%nctaid.x", Special::NctaidX},
                                                       {"%nctaid.y", Special::NctaidY},
                                                       {"%nctaid.z", Special::NctaidZ},
                                                       {"%laneid", Special::LaneId},
                                                       {"%warpid", Special::WarpId},
                                                       {"%nwarpid", Special::NWarpId},
                                                       {"%smid", Special::SmId},
                                                       {"%nsmid", Special::NSmId},
                                                       {"%gridid", Special::GridId},
                                                       {"%lanemask_eq", Special::LaneMaskEq},
                                                       {"%lanemask_lt", Special::LaneMaskLt},
                                                       {"%lanemask_le", Special::LaneMaskLe},
                                                       {"%lanemask_gt", Special::LaneMaskGt},
                                                       {"%lanemask_ge", Special::LaneMaskGe},
                                                       {"%dynamic_smem_size", Special::DynamicShared},
                                                       {"%total_smem_size", Special::TotalShared}};
  return names;
}

// Whether a register of type `reg` may stand where an instruction wants `type`.
bool agrees(Type reg, Type type, bool may_be_wider) {
  if (reg == Type::Pred || type == Type::Pred) return reg == type;
  uint32_t r = size_of(reg);
  uint32_t t = size_of(type);
  if (may_be_wider && r > t) return !is_float(reg) && (!is_float(type));
  if (r != t) return false;
  if (is_bits(reg) || is_bits(type)) return true;
  return is_float(reg) || is_float(type) ? reg == type : true;
}

class Decoder final : public Builder {
 public:
  Decoder(const SyntaxTree& tree, const Scope& globals, Kernel& kernel) : tree_(tree), kernel_(kernel) {
    scopes_.push_back(globals);
    tree_target = tree.target;
    tree_version = tree.version;
    kernel_.register_names.emplace_back();  // index 0: constants and special registers, always written
  }

  void run(const Function& f) {
    entry_ = &f;
    Scope parameters;
    uint64_t offset = 0;
    for (const Variable& declared : f.parameters) {
      Symbol s;
      s.variable = declared;
      if (declared.bytes == 0) throw ParseError(declared.line, "parameter '" + declared.name + "' has no size");
      offset = (offset + declared.alignment - 1) / declared.alignment * declared.alignment;
      s.variable.address = offset;
      offset += declared.bytes;
      kernel_.parameters.push_back(s.variable);
      define(parameters, declared.name, s, declared.line);
    }
    if (offset > 4096) throw ParseError(f.line, "more than 4096 bytes of parameters");
    kernel_.parameter_bytes = static_cast<uint32_t>(offset);
    scopes_.push_back(parameters);
    body(f, false);
    scopes_.pop_back();
    if (kernel_.code.empty() || kernel_.code.back().flow != Flow::Exit || kernel_.code.back().guarded) {
      Instruction end;
      end.flow = Flow::Exit;
      end.line = f.body.empty() ? f.line : f.body.back().line;
      kernel_.code.push_back(end);
    }
    uint32_t dynamic = (kernel_.shared_bytes + 127) / 128 * 128;
    for (size_t c : dynamic_constants_) kernel_.constants[c].bits += kSharedBase + dynamic;
    if (uses_dynamic_) kernel_.shared_bytes = dynamic;
    kernel_.local_bytes = (kernel_.local_bytes + 15) / 16 * 16;
  }

  Slot source(const Operand& o, Type type, uint32_t* wide = nullptr) override {
    if (o.negated) fail("'!' is not possible here");
    switch (o.kind) {
      case Operand::Integer:
      case Operand::Float32:
      case Operand::Float64:
        if (wide != nullptr) *wide = std::max(size_of(type), 2u);
        return immediate(o, type);
      case Operand::Name:
        break;
      default:
        fail("a register or a constant expected");
    }
    auto special = special_names().find(o.text);
    if (special != special_names().end()) {
      uint32_t bytes = special->second == Special::GridId ? 8 : 4;
      if (size_of(type) != bytes || is_float(type)) fail("'" + o.text + "' has " + std::to_string(8 * bytes) + " bits");
      if (wide != nullptr) *wide = bytes;
      return special_slot(special->second, bytes);
    }
    const Symbol* s = lookup(o.text);
    if (s == nullptr) fail("'" + o.text + "' is not declared");
    if (s->is_register) {
      if (o.offset != 0) fail("an offset needs an address");
      return checked(*s, o.text, type, wide);
    }
    bool small =
        s->variable.space == Space::Shared || s->variable.space == Space::Local || s->variable.space == Space::Param;
    if (is_float(type) || type == Type::Pred || size_of(type) < (small ? 4u : 8u))
      fail("the address of '" + o.text + "' does not fit this type");
    if (wide != nullptr) *wide = size_of(type);
    return symbol_address(*s, o.offset, size_of(type));
  }

  Slot target(const Operand& o, Type type, uint32_t* wide = nullptr) override {
    if (o.kind == Operand::Sink) {
      uint32_t bytes = std::max(size_of(type), 2u);
      if (wide != nullptr) *wide = bytes;
      return new_register("_", bytes);
    }
    if (o.kind != Operand::Name || o.negated) fail("a register expected as the target");
    const Symbol* s = lookup(o.text);
    if (s == nullptr) fail("'" + o.text + "' is not declared");
    if (!s->is_register) fail("'" + o.text + "' is not a register");
    return checked(*s, o.text, type, wide);
  }

  void address(const Operand& o, Space* space, uint32_t bytes) override {
    i.immediate = 0;
    if (o.text.empty()) {
      i.s[0] = constant(static_cast<uint64_t>(o.offset), Type::U64);
      i.base_is_64 = true;
    } else {
      const Symbol* s = lookup(o.text);
      if (s == nullptr) fail("'" + o.text + "' is not declared");
      if (s->is_register) {
        uint32_t size = size_of(s->type);
        if (is_float(s->type) || size < 4 || s->type == Type::Pred) fail("'" + o.text + "' cannot hold an address");
        bool small = *space == Space::Shared || *space == Space::Local || *space == Space::Param;
        if (size != 8 && !small) fail("an address in this state space has 64 bits");
        i.s[0] = s->slot;
        i.base_is_64 = size == 8;
        i.immediate = o.offset;
      } else {
        const Variable& v = s->variable;
        Space lives = v.space;
        bool function_parameter = *space == Space::Param && lives == Space::Local;
        if (!function_parameter && *space != Space::Generic && *space != lives)
          fail("'" + o.text + "' lies in another state space");
        if (*space == Space::Generic && lives != Space::Global && lives != Space::Const) {
          fail("a generic access to '" + o.text + "' needs cvta first");
        }
        bool known_size = !s->dynamic_shared;
        if (known_size && (o.offset < 0 || static_cast<uint64_t>(o.offset) + bytes > v.bytes)) {
          fail("access to " + std::to_string(bytes) + " bytes at offset " + std::to_string(o.offset) + " of '" +
               o.text + "', which has " + std::to_string(v.bytes));
        }
        if (function_parameter) *space = Space::Local;
        i.s[0] = symbol_address(*s, o.offset, 8);
        i.base_is_64 = true;
      }
    }
    i.source_count = static_cast<uint8_t>(std::max<int>(i.source_count, 1));
  }

  Slot constant(uint64_t bits, Type type) override {
    uint32_t bytes = type == Type::Pred ? 4 : std::max(size_of(type), 2u);
    if (type == Type::Pred) bits = bits != 0 ? kAllLanes : 0;
    auto key = std::make_pair(type == Type::Pred ? 1u : bytes, bits);
    auto found = constants_.find(key);
    if (found != constants_.end()) return found->second;
    Slot slot;
    slot.offset = take_bytes(type == Type::Pred ? 4 : bytes * kWarp);
    kernel_.constants.push_back({slot, type == Type::Pred ? 0 : bytes, bits});
    constants_.emplace(key, slot);
    return slot;
  }

 private:
  uint32_t take_bytes(uint32_t bytes) {
    uint32_t offset = (kernel_.register_bytes + 63) / 64 * 64;
    kernel_.register_bytes = offset + bytes;
    return offset;
  }

  Slot new_register(const std::string& name, uint32_t bytes, bool predicate = false) {
    Slot slot;
    slot.index = static_cast<uint32_t>(kernel_.register_names.size());
    slot.offset = take_bytes(predicate ? 4 : bytes * kWarp);
    kernel_.register_names.push_back(name);
    return slot;
  }

  Slot special_slot(Special kind, uint32_t bytes) {
    for (const SpecialRegister& s : kernel_.specials) {
      if (s.kind == kind) return s.slot;
    }
    Slot slot;
    slot.offset = take_bytes(bytes * kWarp);
    kernel_.specials.push_back({slot, kind});
    return slot;
  }

  Slot checked(const Symbol& s, const std::string& name, Type type, uint32_t* wide) const {
    if (!agrees(s.type, type, wide != nullptr)) {
      fail("'" + name + "' is a register of type ." + name_of(s.type) + " where ." + name_of(type) + " is wanted");
    }
    if (wide != nullptr) *wide = size_of(s.type);
    return s.slot;
  }

  Slot immediate(const Operand& o, Type type) {
    if (o.kind == Operand::Integer) {
      if (is_float(type)) fail("an integer literal where ." + std::string(name_of(type)) + " is wanted");
      if (type == Type::Pred) return constant(o.bits, type);
      uint32_t width = 8 * size_of(type);
      if (width < 64) {
        auto value = static_cast<int64_t>(o.bits);
        if (value >= (1ll << width) || value < -(1ll << (width - 1)))
          fail("the literal does not fit ." + std::string(name_of(type)));
        return constant(o.bits & ((1ull << width) - 1), type);
      }
      return constant(o.bits, type);
    }
    bool single_type = type == Type::F32 || type == Type::B32;
    bool double_type = type == Type::F64 || type == Type::B64;
    if (o.kind == Operand::Float32 && single_type) return constant(o.bits, type);
    if (o.kind == Operand::Float64 && double_type) return constant(o.bits, type);
    if (o.kind == Operand::Float64 && type == Type::F32) {
      return constant(bit_cast<uint32_t>(static_cast<float>(bit_cast<double>(o.bits))), type);
    }
    if (o.kind == Operand::Float32 && type == Type::F64) {
      return constant(bit_cast<uint64_t>(static_cast<double>(bit_cast<float>(static_cast<uint32_t>(o.bits)))), type);
    }
    fail("a float literal where ." + std::string(name_of(type)) + " is wanted");
  }

  Slot symbol_address(const Symbol& s, int64_t offset, uint32_t bytes) {
    Type type = bytes == 8 ? Type::U64 : Type::U32;
    if (s.dynamic_shared) {
      uses_dynamic_ = true;
      Slot slot;
      slot.offset = take_bytes(bytes * kWarp);
      dynamic_constants_.push_back(kernel_.constants.size());
      kernel_.constants.push_back({slot, bytes, static_cast<uint64_t>(offset)});
      return slot;
    }
    uint64_t base = s.variable.address;
    if (s.variable.space == Space::Shared && scopes_.front().count(s.variable.name) != 0)
      base = module_shared(s.variable);
    return constant(base + static_cast<uint64_t>(offset), type);
  }

  // A shared variable of the module takes room in the kernels that name it.
  uint64_t module_shared(const Variable& v) {
    auto found = module_shared_.find(v.name);
    if (found != module_shared_.end()) return found->second;
    uint64_t at = place(kernel_.shared_bytes, v) + kSharedBase;
    module_shared_.emplace(v.name, at);
    return at;
  }

  static uint64_t place(uint32_t& total, const Variable& v) {
    uint64_t at = (total + v.alignment - 1) / v.alignment * v.alignment;
    total = static_cast<uint32_t>(at + v.bytes);
    return at;
  }

  static void define(Scope& scope, const std::string& name, const Symbol& symbol, int line) {
    if (!scope.emplace(name, symbol).second) throw ParseError(line, "'" + name + "' is declared twice");
  }

  const Symbol* lookup(const std::string& name) const {
    for (size_t k = scopes_.size(); k-- > 0;) {
      auto found = scopes_[k].find(name);
      if (found != scopes_[k].end()) return &found->second;
      if (k == function_floor_ && k > 1) k = 1;  // a function sees its own scopes and the module's
    }
    return nullptr;
  }

  void declare_registers(const std::vector<RegisterDeclaration>& registers) {
    for (const RegisterDeclaration& r : registers) {
      if (special_names().count(r.name) != 0) throw ParseError(r.line, "'" + r.name + "' is a special register");
      Symbol s;
      s.is_register = true;
      s.type = r.type;
      s.slot = new_register(r.name, size_of(r.type), r.type == Type::Pred);
      kernel_.program_registers += r.type == Type::Pred ? 0 : (size_of(r.type) + 3) / 4;
      define(scopes_.back(), r.name, s, r.line);
    }
  }

  void declare_storage(const Variable& declared, bool inlined) {
    Symbol s;
    s.variable = declared;
    if (declared.bytes == 0) throw ParseError(declared.line, "'" + declared.name + "' has no size");
    if (declared.space == Space::Shared) {
      if (inlined) throw ParseError(declared.line, "shared variables belong into the entry or the module");
      s.variable.address = place(kernel_.shared_bytes, declared) + kSharedBase;
    } else {
      s.variable.space = Space::Local;  // .param of a call is memory of the thread
      s.variable.address = place(kernel_.local_bytes, declared);
    }
    define(scopes_.back(), declared.name, s, declared.line);
  }

  struct Jump {
    size_t instruction;
    std::string label;
    int line;
  };

  // Decodes a body in place; a ret of an inlined function jumps behind it.
  void body(const Function& f, bool inlined) {
    std::map<std::string, uint32_t> labels;
    std::vector<Jump> jumps;
    size_t depth = scopes_.size();
    scopes_.emplace_back();
    for (const Statement& s : f.body) {
      statement = &s;
      switch (s.kind) {
        case Statement::Open:
          scopes_.emplace_back();
          break;
        case Statement::Close:
          scopes_.pop_back();
          break;
        case Statement::Registers:
          declare_registers(s.registers);
          break;
        case Statement::Storage:
          declare_storage(s.variable, inlined);
          break;
        case Statement::Label:
          if (!labels.emplace(s.name, static_cast<uint32_t>(kernel_.code.size())).second)
            fail("label '" + s.name + "' is declared twice");
          break;
        case Statement::Operation:
          operation(s, inlined, jumps);
          break;
      }
    }
    for (const Jump& j : jumps) {
      auto found = labels.find(j.label);
      if (j.label.empty()) {
        kernel_.code[j.instruction].branch = static_cast<uint32_t>(kernel_.code.size());
      } else if (found == labels.end()) {
        throw ParseError(j.line, "label '" + j.label + "' does not exist");
      } else {
        kernel_.code[j.instruction].branch = found->second;
      }
    }
    scopes_.resize(depth);
  }

  void guard(const Statement& s) {
    if (s.guard.empty()) return;
    const Symbol* p = lookup(s.guard);
    if (p == nullptr || !p->is_register || p->type != Type::Pred) fail("'" + s.guard + "' is not a predicate register");
    i.guarded = true;
    i.guard_negated = s.guard_negated;
    i.guard = p->slot;
  }

  void push() {
    i.line = statement->line;
    kernel_.code.push_back(i);
  }

  void operation(const Statement& s, bool inlined, std::vector<Jump>& jumps) {
    i = Instruction();
    modifiers = s.modifiers;
    guard(s);
    if (s.name == "bra") {
      i.uniform = take("uni");
      finish();
      operands(1);
      if (operand(0).kind != Operand::Name) fail("bra needs a label");
      i.flow = Flow::Branch;
      jumps.push_back({kernel_.code.size(), operand(0).text, s.line});
      push();
      return;
    }
    if (s.name == "ret" || s.name == "exit") {
      take("uni");
      finish();
      operands(0, 0);
      if (s.name == "ret" && inlined) {
        i.flow = Flow::Branch;
        jumps.push_back({kernel_.code.size(), "", s.line});
      } else {
        i.flow = Flow::Exit;
      }
      push();
      return;
    }
    if (s.name == "call") {
      take("uni");
      finish();
      call(s);
      return;
    }
    if (!(build_warp(*this) || build_access(*this) || build_convert(*this) || build_alu(*this) || build_float(*this))) {
      fail("unknown instruction '" + s.name + "'");
    }
    push();
  }

  void copy(Slot to, Slot from, Type type) {
    i = Instruction();
    i.d[i.target_count++] = to;
    i.s[i.source_count++] = from;
    i.run = copy_handler(type);
    push();
  }

  void call(const Statement& s) {
    const Operand& results = s.operands[0];
    const std::string& callee = s.operands[1].text;
    const Operand& arguments = s.operands[2];
    const Function* f = nullptr;
    for (const Function& candidate : tree_.functions) {
      if (candidate.name == callee && !candidate.is_entry && candidate.has_body) f = &candidate;
    }
    if (f == nullptr) fail("function '" + callee + "' has no body in this module");
    if (arguments.parts.size() != f->parameters.size() || results.parts.size() != f->results.size()) {
      fail("'" + callee + "' takes " + std::to_string(f->parameters.size()) + " arguments and gives " +
           std::to_string(f->results.size()));
    }
    if (++call_depth_ > 16) fail("calls more than 16 deep, or a recursion");
    size_t skip = kernel_.code.size();
    bool guarded = i.guarded;
    if (guarded) {
      i.flow = Flow::Branch;
      i.guard_negated = !i.guard_negated;
      push();
    }
    Scope formal;
    std::vector<std::pair<Slot, std::pair<Slot, Type>>> outputs;
    auto bind = [&](const Operand& actual, const Variable& v, const RegisterDeclaration& r, bool is_register,
                    bool is_result) {
      Symbol symbol;
      if (is_register) {
        symbol.is_register = true;
        symbol.type = r.type;
        symbol.slot = new_register(r.name, size_of(r.type), r.type == Type::Pred);
        if (is_result) {
          outputs.push_back({target(actual, r.type), {symbol.slot, r.type}});
        } else {
          copy(symbol.slot, source(actual, r.type), r.type);
        }
        define(formal, r.name, symbol, r.line);
        return;
      }
      const Symbol* storage = actual.kind == Operand::Name ? lookup(actual.text) : nullptr;
      if (storage == nullptr || storage->is_register || storage->variable.space != Space::Local) {
        fail("an argument for a .param must be a .param variable of the caller");
      }
      if (storage->variable.bytes != v.bytes || storage->variable.alignment < v.alignment)
        fail("'" + actual.text + "' does not match '" + v.name + "'");
      symbol = *storage;
      define(formal, v.name, symbol, v.line);
    };
    for (size_t k = 0; k < f->parameters.size(); ++k) {
      bind(arguments.parts[k], f->parameters[k], f->register_parameters[k], f->parameter_is_register[k], false);
    }
    for (size_t k = 0; k < f->results.size(); ++k) {
      bind(results.parts[k], f->results[k], f->register_results[k], f->result_is_register[k], true);
    }
    size_t floor = function_floor_;
    scopes_.push_back(formal);
    function_floor_ = scopes_.size() - 1;
    body(*f, true);
    scopes_.pop_back();
    function_floor_ = floor;
    statement = &s;
    for (const auto& o : outputs) copy(o.first, o.second.first, o.second.second);
    if (guarded) kernel_.code[skip].branch = static_cast<uint32_t>(kernel_.code.size());
    --call_depth_;
  }

  const SyntaxTree& tree_;
  Kernel& kernel_;
  const Function* entry_ = nullptr;
  std::vector<Scope> scopes_;
  size_t function_floor_ = 0;
  int call_depth_ = 0;
  std::map<std::pair<uint32_t, uint64_t>, Slot> constants_;
  std::map<std::string, uint64_t> module_shared_;
  std::vector<size_t> dynamic_constants_;
  bool uses_dynamic_ = false;
};

}  // namespace

std::unique_ptr<Module> load(const std::string& text, int device_target, int newest_version,
                             const std::function<uint64_t(const Variable&)>& allocate) {
  SyntaxTree tree = parse(text);
  if (tree.version > newest_version) {
    throw ParseError(1,
                     "Unsupported .version " + std::to_string(tree.version / 10) + "." +
                         std::to_string(tree.version % 10) + "; current version is '" +
                         std::to_string(newest_version / 10) + "." + std::to_string(newest_version % 10) + "'",
                     kUnsupportedPtxVersion);
  }
  if (tree.target > device_target) {
    throw ParseError(1, "SM version specified by .target is higher than default SM version assumed");
  }
  auto module = std::make_unique<Module>();
  module->version = tree.version;
  module->target = tree.target;
  Scope globals;
  for (const Variable& declared : tree.variables) {
    Symbol s;
    s.variable = declared;
    if (declared.space == Space::Shared) {
      s.dynamic_shared = declared.is_extern;
      if (!declared.is_extern && declared.bytes == 0)
        throw ParseError(declared.line, "'" + declared.name + "' has no size");
    } else {
      if (declared.is_extern || declared.bytes == 0)
        throw ParseError(declared.line, "'" + declared.name + "' has no definition in this module");
      s.variable.address = allocate(s.variable);
      module->owned.push_back(s.variable.address);
      module->variables.push_back(s.variable);
    }
    if (!globals.emplace(declared.name, s).second)
      throw ParseError(declared.line, "'" + declared.name + "' is declared twice");
  }
  for (const Function& f : tree.functions) {
    if (!f.is_entry) continue;
    if (!f.has_body) throw ParseError(f.line, "entry '" + f.name + "' has no body");
    auto kernel = std::make_unique<Kernel>();
    kernel->name = f.name;
    kernel->source = tree.source;
    kernel->version = tree.version;
    kernel->target = tree.target;
    std::copy_n(f.max_threads, 3, kernel->max_threads);
    std::copy_n(f.required_threads, 3, kernel->required_threads);
    for (const Variable& v : module->variables)
      kernel->const_bytes += v.space == Space::Const ? static_cast<uint32_t>(v.bytes) : 0;
    Decoder(tree, globals, *kernel).run(f);
    if (!module->kernels.emplace(f.name, std::move(kernel)).second)
      throw ParseError(f.line, "entry '" + f.name + "' is declared twice");
  }
  return module;
}

}  // namespace cudasim::ptx
