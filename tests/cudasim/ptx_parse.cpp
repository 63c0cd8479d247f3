#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "ptx_syntax.h"

namespace cudasim::ptx {

namespace {

struct TypeRow {
  const char* name;
  Type type;
  uint32_t size;
};

const TypeRow kTypes[] = {
    {"none", Type::None, 0}, {"pred", Type::Pred, 4},     {"b8", Type::B8, 1},     {"b16", Type::B16, 2},
    {"b32", Type::B32, 4},   {"b64", Type::B64, 8},       {"u8", Type::U8, 1},     {"u16", Type::U16, 2},
    {"u32", Type::U32, 4},   {"u64", Type::U64, 8},       {"s8", Type::S8, 1},     {"s16", Type::S16, 2},
    {"s32", Type::S32, 4},   {"s64", Type::S64, 8},       {"f16", Type::F16, 2},   {"f16x2", Type::F16x2, 4},
    {"bf16", Type::BF16, 2}, {"bf16x2", Type::BF16x2, 4}, {"tf32", Type::TF32, 4}, {"f32", Type::F32, 4},
    {"f64", Type::F64, 8},
};

struct Token {
  enum Kind { End, Name, Number, Float32, Float64, Text, Sign } kind = End;
  std::string text;
  uint64_t bits = 0;
  int line = 0;
  bool spaced = false;  // white space before it
};

bool starts_name(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' || c == '%';
}
bool in_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$'; }

std::vector<Token> tokenize(const std::string& text) {
  std::vector<Token> tokens;
  int line = 1;
  bool spaced = true;
  size_t i = 0;
  const size_t n = text.size();
  while (i < n) {
    char c = text[i];
    if (c == '\n') {
      ++line;
      ++i;
      spaced = true;
      continue;
    }
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      ++i;
      spaced = true;
      continue;
    }
    if (c == '/' && i + 1 < n && text[i + 1] == '/') {
      while (i < n && text[i] != '\n') ++i;
      continue;
    }
    if (c == '/' && i + 1 < n && text[i + 1] == '*') {
      int start = line;
      i += 2;
      while (i + 1 < n && !(text[i] == '*' && text[i + 1] == '/')) {
        if (text[i] == '\n') ++line;
        ++i;
      }
      if (i + 1 >= n) throw ParseError(start, "comment without an end");
      i += 2;
      spaced = true;
      continue;
    }
    if (static_cast<unsigned char>(c) >= 0x80) throw ParseError(line, "a character outside ASCII");
    Token token;
    token.line = line;
    token.spaced = spaced;
    spaced = false;
    if (c == '"') {
      size_t end = text.find('"', i + 1);
      if (end == std::string::npos) throw ParseError(line, "string without an end");
      token.kind = Token::Text;
      token.text = text.substr(i + 1, end - i - 1);
      i = end + 1;
    } else if (starts_name(c)) {
      size_t end = i + 1;
      while (end < n && in_name(text[end])) ++end;
      token.kind = Token::Name;
      token.text = text.substr(i, end - i);
      i = end;
    } else if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
      size_t end = i;
      bool afterDot = i > 0 && text[i - 1] == '.';
      if (!afterDot && c == '0' && i + 1 < n && std::strchr("fFdD", text[i + 1]) != nullptr) {
        bool single = text[i + 1] == 'f' || text[i + 1] == 'F';
        size_t digits = single ? 8 : 16;
        end = i + 2;
        while (end < n && std::isxdigit(static_cast<unsigned char>(text[end])) != 0) ++end;
        if (end - i - 2 != digits)
          throw ParseError(line, "a float literal needs " + std::to_string(digits) + " hexadecimal digits");
        token.kind = single ? Token::Float32 : Token::Float64;
        token.text = text.substr(i, end - i);
        token.bits = std::strtoull(token.text.c_str() + 2, nullptr, 16);
      } else {
        while (end < n &&
               (in_name(text[end]) ||
                (!afterDot && text[end] == '.' && end + 1 < n &&
                 std::isdigit(static_cast<unsigned char>(text[end + 1])) != 0) ||
                (!afterDot && (text[end] == '+' || text[end] == '-') && std::strchr("eE", text[end - 1]) != nullptr &&
                 text.compare(i, 2, "0x") != 0 && text.compare(i, 2, "0X") != 0)))
          ++end;
        token.text = text.substr(i, end - i);
        bool hex = token.text.size() > 1 && (token.text[1] == 'x' || token.text[1] == 'X');
        bool real = !hex && !afterDot && token.text.find_first_of(".eE") != std::string::npos;
        if (real) {
          char* rest = nullptr;
          double value = std::strtod(token.text.c_str(), &rest);
          if (*rest != 0) throw ParseError(line, "'" + token.text + "' is not a number");
          token.kind = Token::Float64;
          std::memcpy(&token.bits, &value, 8);
        } else {
          token.kind = Token::Number;
          std::string digits = token.text;
          if (digits.back() == 'U' || digits.back() == 'u') digits.pop_back();
          char* rest = nullptr;
          errno = 0;
          bool binary = digits.size() > 2 && (digits[1] == 'b' || digits[1] == 'B') && digits[0] == '0';
          token.bits = binary ? std::strtoull(digits.c_str() + 2, &rest, 2) : std::strtoull(digits.c_str(), &rest, 0);
          if (errno != 0 || (*rest != 0 && !afterDot))
            throw ParseError(line, "'" + token.text + "' is not a number of 64 bits");
        }
      }
      i = end;
    } else {
      token.kind = Token::Sign;
      token.text = text.compare(i, 2, "::") == 0 ? "::" : std::string(1, c);
      i += token.text.size();
    }
    tokens.push_back(token);
  }
  Token end;
  end.line = line;
  tokens.push_back(end);
  return tokens;
}

class Parser {
 public:
  explicit Parser(const std::string& text) : tokens_(tokenize(text)) {
    tree_.source = std::make_shared<std::vector<std::string>>();
    size_t start = 0;
    while (start <= text.size()) {
      size_t end = text.find('\n', start);
      if (end == std::string::npos) end = text.size();
      tree_.source->push_back(text.substr(start, end - start));
      start = end + 1;
    }
  }

  SyntaxTree run() {
    directive("version");
    Token version = next();
    if (version.kind != Token::Float64) fail(version, ".version needs MAJOR.MINOR");
    tree_.version = std::atoi(version.text.c_str()) * 10 + std::atoi(version.text.c_str() + version.text.find('.') + 1);
    directive("target");
    Token target = name("a target");
    if (target.text.compare(0, 3, "sm_") != 0) fail(target, "unknown target '" + target.text + "'");
    tree_.target = std::atoi(target.text.c_str() + 3);
    while (accept(",")) next();
    if (at(".") && tokens_[position_ + 1].text == "address_size") {
      position_ += 2;
      Token size = next();
      if (size.bits != 64) fail(size, "only .address_size 64 is supported");
    } else {
      fail(peek(), ".address_size 64 expected");
    }
    while (peek().kind != Token::End) top_level();
    return std::move(tree_);
  }

 private:
  [[noreturn]] static void fail(const Token& token, const std::string& message) {
    throw ParseError(token.line, message);
  }
  const Token& peek() const { return tokens_[position_]; }
  Token next() {
    Token token = tokens_[position_];
    if (token.kind != Token::End) ++position_;
    return token;
  }
  bool at(const char* sign) const { return peek().kind == Token::Sign && peek().text == sign; }
  bool accept(const char* sign) {
    if (!at(sign)) return false;
    ++position_;
    return true;
  }
  void expect(const char* sign) {
    if (!accept(sign)) {
      fail(peek(), std::string("'") + sign + "' expected before " +
                       (peek().kind == Token::End ? "the end of the text" : "'" + peek().text + "'"));
    }
  }
  Token name(const char* what) {
    Token token = next();
    if (token.kind != Token::Name) fail(token, std::string(what) + " expected before '" + token.text + "'");
    return token;
  }
  void directive(const char* word) {
    Token first = peek();
    expect(".");
    Token token = name("a directive");
    if (token.text != word) fail(first, std::string(".") + word + " expected before ." + token.text);
  }
  bool at_directive(const char* word) const { return at(".") && tokens_[position_ + 1].text == word; }
  int64_t integer(const char* what) {
    bool negative = accept("-");
    Token token = next();
    if (token.kind != Token::Number) fail(token, std::string(what) + " expected before '" + token.text + "'");
    int64_t value = static_cast<int64_t>(token.bits);
    return negative ? -value : value;
  }
  Type type() {
    expect(".");
    Token token = next();
    Type result = Type::None;
    if (!parse_type(token.text, &result)) fail(token, "unknown type '." + token.text + "'");
    return result;
  }

  void top_level() {
    Token first = peek();
    expect(".");
    Token word = name("a directive");
    const std::string& w = word.text;
    if (w == "visible" || w == "weak" || w == "common") return;
    if (w == "extern") {
      extern_next_ = true;
      return;
    }
    if (w == "entry" || w == "func") {
      function(w == "entry");
    } else if (w == "global" || w == "const" || w == "shared") {
      Space space = w == "global" ? Space::Global : w == "const" ? Space::Const : Space::Shared;
      bool is_extern = extern_next_;
      extern_next_ = false;
      variable_list(space, is_extern, [&](const Variable& v) { tree_.variables.push_back(v); });
    } else if (w == "file") {
      while (peek().line == first.line && peek().kind != Token::End) next();
    } else if (w == "section") {
      while (!accept("}")) {
        if (next().kind == Token::End) fail(first, ".section without an end");
      }
    } else if (w == "pragma") {
      next();
      expect(";");
    } else {
      fail(first, "unknown directive '." + w + "'");
    }
  }

  // After the state space: [.align N] .type name[array] [= initialiser] {, name...} ;
  template <typename Sink>
  void variable_list(Space space, bool is_extern, Sink&& sink) {
    uint32_t alignment = 0;
    if (at_directive("align")) {
      position_ += 2;
      alignment = static_cast<uint32_t>(integer("an alignment"));
      if (alignment == 0 || (alignment & (alignment - 1)) != 0) fail(peek(), "alignment is not a power of two");
    }
    if (at_directive("v2") || at_directive("v4")) fail(peek(), "vector variables are not supported");
    Type element = type();
    if (element == Type::Pred) fail(peek(), "a predicate has no storage");
    do {
      Variable v = declarator(space, element, alignment);
      v.is_extern = is_extern;
      if (accept("=")) initialise(v);
      sink(v);
    } while (accept(","));
    expect(";");
  }

  Variable declarator(Space space, Type element, uint32_t alignment) {
    Variable v;
    Token token = name("a variable's name");
    v.name = token.text;
    v.line = token.line;
    v.space = space;
    v.type = element;
    v.alignment = alignment == 0 ? size_of(element) : alignment;
    if (v.alignment < size_of(element)) fail(token, "alignment of '" + v.name + "' is smaller than its element");
    v.bytes = size_of(element);
    while (accept("[")) {
      v.is_array = true;
      if (accept("]")) {
        v.bytes = 0;
      } else {
        int64_t extent = integer("an extent");
        if (extent <= 0) fail(token, "extent of '" + v.name + "' is not positive");
        v.bytes *= static_cast<uint64_t>(extent);
        expect("]");
      }
    }
    return v;
  }

  void initialise(Variable& v) {
    Token first = peek();
    auto element = [&] {
      bool negative = accept("-");
      Token token = next();
      uint64_t bits = token.bits;
      if (v.type == Type::F32 && token.kind == Token::Float64) {
        double wide;
        std::memcpy(&wide, &bits, 8);
        float narrow = static_cast<float>(negative ? -wide : wide);
        bits = 0;
        std::memcpy(&bits, &narrow, 4);
      } else if (token.kind == Token::Number) {
        if (is_float(v.type)) fail(token, "a float variable needs float initialisers");
        if (negative) bits = 0 - bits;
      } else if (token.kind != Token::Float32 && token.kind != Token::Float64) {
        fail(token, "initialisers are numbers here");
      } else if (negative) {
        bits ^= token.kind == Token::Float32 ? 1ull << 31 : 1ull << 63;
      }
      const auto* raw = reinterpret_cast<const uint8_t*>(&bits);
      v.initial.insert(v.initial.end(), raw, raw + size_of(v.type));
    };
    if (accept("{")) {
      if (!at("}")) {
        do element();
        while (accept(","));
      }
      expect("}");
    } else {
      element();
    }
    if (v.bytes == 0) v.bytes = v.initial.size();
    if (v.initial.size() > v.bytes) fail(first, "more initialisers than elements in '" + v.name + "'");
  }

  // "( .param .u64 a, .reg .f32 b )" of a function.
  void parameter_list(std::vector<Variable>* variables, std::vector<RegisterDeclaration>* registers,
                      std::vector<bool>* is_register) {
    expect("(");
    if (accept(")")) return;
    do {
      Token first = peek();
      expect(".");
      std::string space = name("a state space").text;
      if (space == "reg") {
        RegisterDeclaration r;
        r.type = type();
        Token token = name("a parameter's name");
        r.name = token.text;
        r.line = token.line;
        registers->push_back(r);
        is_register->push_back(true);
        variables->emplace_back();
      } else if (space == "param") {
        uint32_t alignment = 0;
        if (at_directive("align")) {
          position_ += 2;
          alignment = static_cast<uint32_t>(integer("an alignment"));
        }
        Type element = type();
        if (at_directive("ptr")) {  // .ptr {.space} {.align N}: says what the parameter points to
          position_ += 2;
          while (at(".")) {
            ++position_;
            if (name("an attribute").text == "align") integer("an alignment");
          }
        }
        Variable v = declarator(Space::Param, element, alignment);
        variables->push_back(v);
        is_register->push_back(false);
        registers->emplace_back();
      } else {
        fail(first, "a parameter is .param or .reg");
      }
    } while (accept(","));
    expect(")");
  }

  void function(bool is_entry) {
    Function f;
    f.is_entry = is_entry;
    extern_next_ = false;
    if (at("(")) parameter_list(&f.results, &f.register_results, &f.result_is_register);
    Token token = name("a function's name");
    f.name = token.text;
    f.line = token.line;
    if (at("(")) parameter_list(&f.parameters, &f.register_parameters, &f.parameter_is_register);
    while (at(".")) {
      ++position_;
      Token word = name("a directive");
      if (word.text == "maxntid" || word.text == "reqntid") {
        uint32_t* into = word.text == "maxntid" ? f.max_threads : f.required_threads;
        into[0] = static_cast<uint32_t>(integer("a count"));
        into[1] = into[2] = 1;
        for (int i = 1; i < 3 && accept(","); ++i) into[i] = static_cast<uint32_t>(integer("a count"));
      } else if (word.text == "minnctapersm" || word.text == "maxnreg" || word.text == "maxnctapersm") {
        integer("a count");
      } else if (word.text == "noreturn") {
        continue;
      } else if (word.text == "pragma") {
        next();
        expect(";");
      } else {
        fail(word, "unknown directive '." + word.text + "'");
      }
    }
    if (accept(";")) {
      tree_.functions.push_back(std::move(f));
      return;
    }
    expect("{");
    f.has_body = true;
    int depth = 1;
    while (depth > 0) {
      Statement s;
      s.line = peek().line;
      if (accept("{")) {
        s.kind = Statement::Open;
        ++depth;
        f.body.push_back(s);
      } else if (accept("}")) {
        s.kind = Statement::Close;
        --depth;
        if (depth > 0) f.body.push_back(s);
      } else if (at(".")) {
        declaration(f.body);
      } else {
        statement(f.body);
      }
    }
    tree_.functions.push_back(std::move(f));
  }

  void declaration(std::vector<Statement>& body) {
    Token first = peek();
    expect(".");
    std::string word = name("a directive").text;
    Statement s;
    s.line = first.line;
    if (word == "reg") {
      s.kind = Statement::Registers;
      if (at_directive("v2") || at_directive("v4")) fail(first, "vector registers are not supported");
      Type t = type();
      if (size_of(t) == 1) fail(first, "registers of 8 bits are not supported");
      do {
        Token token = name("a register's name");
        RegisterDeclaration r;
        r.type = t;
        r.line = token.line;
        if (accept("<")) {
          int64_t count = integer("a count");
          expect(">");
          for (int64_t i = 0; i < count; ++i) {
            r.name = token.text + std::to_string(i);
            s.registers.push_back(r);
          }
        } else {
          r.name = token.text;
          s.registers.push_back(r);
        }
      } while (accept(","));
      expect(";");
      body.push_back(s);
    } else if (word == "shared" || word == "local" || word == "param") {
      s.kind = Statement::Storage;
      Space space = word == "shared" ? Space::Shared : word == "local" ? Space::Local : Space::Param;
      variable_list(space, false, [&](const Variable& v) {
        if (!v.initial.empty()) throw ParseError(v.line, "'" + v.name + "' cannot be initialised in this state space");
        s.variable = v;
        body.push_back(s);
      });
    } else if (word == "loc") {
      while (peek().line == first.line && peek().kind != Token::End) next();
    } else if (word == "pragma") {
      next();
      expect(";");
    } else {
      fail(first, "unknown directive '." + word + "' in a body");
    }
  }

  void statement(std::vector<Statement>& body) {
    Statement s;
    s.line = peek().line;
    if (accept("@")) {
      s.guard_negated = accept("!");
      s.guard = name("a predicate").text;
    }
    Token word = name("an instruction");
    if (s.guard.empty() && accept(":")) {
      s.kind = Statement::Label;
      s.name = word.text;
      body.push_back(s);
      return;
    }
    s.name = word.text;
    s.line = word.line;
    while (accept(".")) {
      std::string modifier = next().text;
      while (accept("::")) modifier += "::" + next().text;
      s.modifiers.push_back(modifier);
    }
    if (s.name == "call") {
      call_operands(s);
    } else if (!at(";")) {
      do s.operands.push_back(operand());
      while (accept(","));
    }
    expect(";");
    body.push_back(s);
  }

  // call (results), name, (arguments);  each part but the name may be missing
  void call_operands(Statement& s) {
    auto list = [&] {
      Operand o;
      o.kind = Operand::List;
      expect("(");
      if (!at(")")) {
        do o.parts.push_back(operand());
        while (accept(","));
      }
      expect(")");
      return o;
    };
    Operand empty;
    empty.kind = Operand::List;
    Operand results = empty;
    if (at("(")) {
      results = list();
      expect(",");
    }
    Operand callee;
    callee.text = name("a function's name").text;
    Operand arguments = empty;
    if (accept(",")) arguments = list();
    s.operands = {results, callee, arguments};
  }

  Operand operand() {
    Operand o;
    if (accept("[")) {
      o.kind = Operand::Address;
      if (peek().kind == Token::Name) {
        o.text = next().text;
        if (accept("+")) {
          o.offset = integer("an offset");
        } else if (at("-")) {
          o.offset = integer("an offset");
        }
      } else {
        o.offset = integer("an address");
      }
      expect("]");
      return o;
    }
    if (accept("{")) {
      o.kind = Operand::Vector;
      do o.parts.push_back(operand());
      while (accept(","));
      expect("}");
      return o;
    }
    o.negated = accept("!");
    bool negative = accept("-");
    Token token = next();
    switch (token.kind) {
      case Token::Number:
        o.kind = Operand::Integer;
        o.bits = negative ? 0 - token.bits : token.bits;
        return o;
      case Token::Float32:
        o.kind = Operand::Float32;
        o.bits = negative ? token.bits ^ (1ull << 31) : token.bits;
        return o;
      case Token::Float64:
        o.kind = Operand::Float64;
        o.bits = negative ? token.bits ^ (1ull << 63) : token.bits;
        return o;
      case Token::Name:
        break;
      default:
        fail(token, "an operand expected before '" + token.text + "'");
    }
    if (negative) fail(token, "a name cannot be negated here");
    if (token.text == "_") {
      o.kind = Operand::Sink;
      return o;
    }
    o.text = token.text;
    if (token.text[0] == '%' && at(".") && !peek().spaced) {
      ++position_;
      o.text += "." + name("a component").text;
    }
    if (token.text == "WARP_SZ") {
      o.kind = Operand::Integer;
      o.bits = kWarp;
      return o;
    }
    if (accept("|")) {
      Operand pair;
      pair.kind = Operand::Pair;
      pair.parts.push_back(o);
      pair.parts.push_back(operand());
      return pair;
    }
    if (accept("+")) {
      o.offset = integer("an offset");
    }
    return o;
  }

  std::vector<Token> tokens_;
  size_t position_ = 0;
  bool extern_next_ = false;
  SyntaxTree tree_;
};

}  // namespace

uint32_t size_of(Type type) { return kTypes[static_cast<size_t>(type)].size; }
const char* name_of(Type type) { return kTypes[static_cast<size_t>(type)].name; }
bool is_float(Type t) { return t >= Type::F16; }
bool is_signed(Type t) { return t >= Type::S8 && t <= Type::S64; }
bool is_bits(Type t) { return t >= Type::B8 && t <= Type::B64; }

bool parse_type(const std::string& text, Type* type) {
  for (size_t i = 1; i < sizeof kTypes / sizeof kTypes[0]; ++i) {
    if (text == kTypes[i].name) {
      *type = kTypes[i].type;
      return true;
    }
  }
  return false;
}

SyntaxTree parse(const std::string& text) { return Parser(text).run(); }

}  // namespace cudasim::ptx
