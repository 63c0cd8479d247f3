// Convolution by oneDNN; every call into its convolutions is here. A stig_conv2d is one direction of one shape for a
// single image, with all primitives made at creation; the images of a batch are run one after the other.
//
// Winograd transforms all of its input before it multiplies, which for many channels takes hundreds of megabytes and
// leaves the cache. Such a convolution is done in parts of its input channels: forward, their results are added up;
// backward, each part is a result of its own.
#include <algorithm>
#include <dnnl.hpp>
#include <memory>
#include <unordered_map>
#include <utility>

#include "common.h"

namespace stig {
namespace {

using dnnl::memory;
using Descriptor = memory::desc;
using Tag = memory::format_tag;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

using Type = memory::data_type;

// Scratch memory above which Winograd is done in parts, and the fewest channels of a part: below, transforming the
// results weighs more than the products.
constexpr size_t winograd_scratch = size_t{48} << 20;
constexpr int64_t winograd_channels = 64;

Type type_of(int32_t type) { return type == STIG_BF16 ? Type::bf16 : Type::f32; }
size_t size_of(int32_t type) { return type == STIG_BF16 ? 2 : 4; }
Tag tag_of(int64_t block) { return block == 16 ? Tag::nChw16c : Tag::nchw; }

Descriptor laid_out(const memory::dims& extents, Tag tag, Type type = Type::f32) {
  return Descriptor(extents, type, tag);
}

dnnl::primitive_attr caller_scratch() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

std::string shape(const stig_conv2d_desc& d) {
  return "convolution " + std::to_string(d.ic) + "x" + std::to_string(d.ih) + "x" + std::to_string(d.iw) + " -> " +
         std::to_string(d.oc) + "x" + std::to_string(d.oh) + "x" + std::to_string(d.ow) + ", kernel " +
         std::to_string(d.kh) + "x" + std::to_string(d.kw) + ", stride " + std::to_string(d.stride) + ", padding " +
         std::to_string(d.padding);
}

// One direction of a convolution as oneDNN would do it with these layouts (Tag::any: its own choice); empty if it
// cannot. add: to what is in dst already.
dnnl::primitive_desc implementation(const stig_conv2d_desc& d, int32_t direction, dnnl::algorithm algorithm,
                                    Tag src_tag, Tag dst_tag, bool add = false) {
  // In bfloat16 both factors are; the result may be float32.
  const Type factor = d.bf16 ? Type::bf16 : Type::f32;
  const Descriptor src = laid_out({1, d.ic, d.ih, d.iw}, src_tag, factor);
  const Descriptor dst = laid_out({1, d.oc, d.oh, d.ow}, dst_tag, type_of(d.dst_type));
  const Descriptor weights = laid_out({d.oc, d.ic, d.kh, d.kw}, Tag::any, factor);
  const Descriptor bias = d.with_bias && !add ? laid_out({d.oc}, Tag::x) : Descriptor();
  const memory::dims stride{d.stride, d.stride};
  const memory::dims padding{d.padding, d.padding};
  dnnl::primitive_attr attributes = caller_scratch();
  if (add) {
    dnnl::post_ops sum;
    sum.append_sum(1);
    attributes.set_post_ops(sum);
  }

  // The training form of the forward pass takes plain-sized weights for Winograd too; the inference form would want
  // weights transformed beforehand, four times as large, for a gain of a few per cent.
  const dnnl::convolution_forward::desc forward(dnnl::prop_kind::forward_training, algorithm, src, weights, bias, dst,
                                                stride, padding, padding);
  const dnnl::convolution_forward::primitive_desc forward_pd(forward, attributes, engine(), true);
  if (direction == STIG_CONV2D_FORWARD || !forward_pd) return forward_pd;
  if (direction == STIG_CONV2D_BACKWARD_DATA) {
    const dnnl::convolution_backward_data::desc backward(algorithm, src, weights, dst, stride, padding, padding);
    return dnnl::convolution_backward_data::primitive_desc(backward, attributes, engine(), forward_pd, true);
  }
  const dnnl::convolution_backward_weights::desc backward(algorithm, src, weights, bias, dst, stride, padding, padding);
  return dnnl::convolution_backward_weights::primitive_desc(backward, attributes, engine(), forward_pd, true);
}

// Fast implementations are those generated for the shape; the rest are reference loops and im2col.
bool generated(const dnnl::primitive_desc& pd) { return pd && std::string(pd.impl_info_str()).rfind("jit", 0) == 0; }

// How a convolution is done: in how many parts of its input channels, and one of them.
struct Choice {
  dnnl::primitive_desc pd;
  int64_t parts = 1;
  dnnl::primitive_desc next;  // forward: the part that adds to those before it
};

stig_conv2d_desc part_of(stig_conv2d_desc d, int64_t parts) {
  d.ic /= parts;
  return d;
}

// What Winograd F(4x4, 3x3) transforms: 36 numbers for every 4 x 4 pixels of every channel in and out, and for every
// pair of channels. What the library really takes depends on the number of threads, and results must not.
size_t winograd_bytes(const stig_conv2d_desc& d) {
  const int64_t tiles = ((d.oh + 3) / 4) * ((d.ow + 3) / 4);
  return static_cast<size_t>(36 * (d.ic * tiles + d.ic * d.oc + d.oc * tiles)) * sizeof(float);
}

// Winograd in as few parts as keep within its scratch memory; empty if oneDNN has none.
Choice choose_winograd(const stig_conv2d_desc& d, int32_t direction) {
  Choice choice;
  for (int64_t parts = 2;
       winograd_bytes(part_of(d, choice.parts)) > winograd_scratch && d.ic / parts >= winograd_channels; ++parts) {
    if (d.src_block == 16 && d.ic % (16 * parts) == 0) choice.parts = parts;
  }
  const auto make = [&](bool add) {
    return implementation(part_of(d, choice.parts), direction, dnnl::algorithm::convolution_winograd,
                          tag_of(d.src_block), tag_of(d.dst_block), add);
  };
  choice.pd = make(false);
  if (choice.parts > 1 && direction == STIG_CONV2D_FORWARD) choice.next = make(true);
  return generated(choice.pd) && (!choice.next || generated(choice.next)) ? choice : Choice{};
}

// Winograd if wanted, else direct convolution in the caller's layouts, else in layouts of the library's choice.
Choice choose(const stig_conv2d_desc& d, int32_t direction) {
  if (d.winograd && !d.bf16) {
    const Choice winograd = choose_winograd(d, direction);
    if (winograd.pd) return winograd;
  }
  const Tag src = tag_of(d.src_block);
  const Tag dst = tag_of(d.dst_block);
  const auto as_given = implementation(d, direction, dnnl::algorithm::convolution_direct, src, dst);
  if (generated(as_given)) return {as_given, 1, {}};
  const auto as_chosen = implementation(d, direction, dnnl::algorithm::convolution_direct, Tag::any, Tag::any);
  if (generated(as_chosen) || (as_chosen && !as_given)) return {as_chosen, 1, {}};
  if (!as_given) {
    throw Error(STIG_UNSUPPORTED, "oneDNN has no " + shape(d) + (d.bf16 ? ", in bfloat16 on this processor" : ""));
  }
  return {as_given, 1, {}};
}

// A tensor in the caller's and in the library's layout, and the way from one to the other where they differ.
struct Operand {
  Operand() = default;
  Operand(const Descriptor& of_caller, const Descriptor& of_library, bool to_library)
      : callers(of_caller), library(of_library) {
    if (callers == library) return;
    const Descriptor& from = to_library ? callers : library;
    const Descriptor& to = to_library ? library : callers;
    const dnnl::reorder::primitive_desc pd(engine(), from, engine(), to, caller_scratch());
    scratchpad = pd.scratchpad_desc();
    reorder = dnnl::reorder(pd);
  }
  bool differs() const { return static_cast<bool>(reorder); }

  Descriptor callers, library, scratchpad;
  dnnl::reorder reorder;
  size_t offset = 0;  // of the library's form in the scratch memory
};

void check_desc(const stig_conv2d_desc* d, int32_t direction) {
  require(d != nullptr, "desc is null");
  require(direction == STIG_CONV2D_FORWARD || direction == STIG_CONV2D_BACKWARD_DATA ||
              direction == STIG_CONV2D_BACKWARD_WEIGHTS,
          "unknown direction " + std::to_string(direction));
  require(
      d->ic > 0 && d->ih > 0 && d->iw > 0 && d->oc > 0 && d->kh > 0 && d->kw > 0 && d->stride > 0 && d->padding >= 0,
      shape(*d) + " has an extent out of range");
  require(d->oh == (d->ih + 2 * d->padding - d->kh) / d->stride + 1 &&
              d->ow == (d->iw + 2 * d->padding - d->kw) / d->stride + 1 && d->oh > 0 && d->ow > 0,
          shape(*d) + " has extents that do not fit together");
  require((d->src_block == 1 || (d->src_block == 16 && d->ic % 16 == 0)) &&
              (d->dst_block == 1 || (d->dst_block == 16 && d->oc % 16 == 0)),
          shape(*d) + ": blocks must be 1, or 16 with channels a multiple of 16");
  require((d->src_type == STIG_F32 && d->dst_type == STIG_F32) || (d->bf16 && direction == STIG_CONV2D_FORWARD),
          shape(*d) + ": bfloat16 is for forward convolutions that compute in it");
}

}  // namespace
}  // namespace stig

using namespace stig;

struct stig_conv2d {
  stig_conv2d(const stig_conv2d_desc& shape_of, int32_t direction_of)
      : desc(shape_of), direction(direction_of), stream(engine()) {
    using dnnl::query;
    const Choice choice = choose(desc, direction);
    const dnnl::primitive_desc& pd = choice.pd;
    parts = choice.parts;
    const int64_t part_ic = desc.ic / parts;
    const bool forward = direction == STIG_CONV2D_FORWARD;
    const bool backward_data = direction == STIG_CONV2D_BACKWARD_DATA;
    const auto map = [](int64_t c, int64_t h, int64_t w, int64_t block, int32_t type) {
      return laid_out({1, c, h, w}, tag_of(block), type_of(type));
    };
    src = Operand(map(part_ic, desc.ih, desc.iw, desc.src_block, desc.src_type),
                  pd.query_md(backward_data ? query::diff_src_md : query::src_md), !backward_data);
    dst = Operand(map(desc.oc, desc.oh, desc.ow, desc.dst_block, desc.dst_type),
                  pd.query_md(forward ? query::dst_md : query::diff_dst_md), !forward);
    const bool backward_weights = direction == STIG_CONV2D_BACKWARD_WEIGHTS;
    const auto plain = laid_out({desc.oc, part_ic, desc.kh, desc.kw}, Tag::oihw);
    const auto packed = pd.query_md(backward_weights ? query::diff_weights_md : query::weights_md);
    weights = Operand(plain, packed, !backward_weights);
    bias = laid_out({desc.oc}, Tag::x);
    scratchpad = pd.scratchpad_desc();
    primitive = dnnl::primitive(pd.get());
    if (choice.next) {
      next_primitive = dnnl::primitive(choice.next.get());
      next_scratchpad = choice.next.scratchpad_desc();
    }

    // Scratch memory: the library's own first, then what the library wants in another layout.
    reserve(std::max({scratchpad.get_size(), next_scratchpad ? next_scratchpad.get_size() : 0,
                      src.scratchpad.get_size(), dst.scratchpad.get_size(), weights.scratchpad.get_size()}));
    if (parts > 1) plain_part = reserve(plain.get_size());
    if (src.differs()) src.offset = reserve(src.library.get_size());
    if (dst.differs()) dst.offset = reserve(dst.library.get_size());
    if (backward_weights) {
      weights.offset = reserve(packed.get_size());
      next_weights = reserve(packed.get_size());
      bias_sum = reserve(bias.get_size());
      next_bias = reserve(bias.get_size());
    }
  }

  // Takes bytes of scratch memory and returns their offset.
  size_t reserve(size_t bytes) {
    const size_t offset = scratch_bytes;
    scratch_bytes += (bytes + 63) / 64 * 64;
    return offset;
  }

  void check_call(int32_t wanted_direction, const stig_tensor* s, const char* s_name, const stig_tensor* d,
                  const char* d_name, const void* scratch) const {
    require(direction == wanted_direction, "the convolution was made for another direction");
    check_extents(s, s_name, s ? s->n : 0, desc.ic, desc.ih, desc.iw);
    check_extents(d, d_name, s->n, desc.oc, desc.oh, desc.ow);
    require(s->block == desc.src_block && d->block == desc.dst_block && s->type == desc.src_type &&
                d->type == desc.dst_type,
            std::string(s_name) + " " + stig::describe(*s) + " or " + d_name + " " + stig::describe(*d) +
                " is not in the layout the convolution was made for");
    check_scratch(scratch);
  }

  void check_scratch(const void* scratch) const {
    require(scratch_bytes == 0 || (scratch != nullptr && reinterpret_cast<uintptr_t>(scratch) % 64 == 0),
            "scratch must be memory at a multiple of 64 bytes");
  }

  static void* at(void* scratch, size_t offset) { return static_cast<char*>(scratch) + offset; }
  // oneDNN has no memory of constants; it writes only to what it is asked to compute.
  static memory wrap(const Descriptor& descriptor, const void* data) {
    return memory(descriptor, engine(), const_cast<void*>(data));
  }

  void reorder(const Operand& operand, const Descriptor& from, const void* src_data, const Descriptor& to,
               void* dst_data, void* scratch) {
    operand.reorder.execute(stream, {{DNNL_ARG_FROM, wrap(from, src_data)},
                                     {DNNL_ARG_TO, wrap(to, dst_data)},
                                     {DNNL_ARG_SCRATCHPAD, wrap(operand.scratchpad, scratch)}});
  }

  // An input in the library's layout, in place or through scratch memory.
  const void* imported(const Operand& operand, const void* data, void* scratch) {
    if (!operand.differs()) return data;
    reorder(operand, operand.callers, data, operand.library, at(scratch, operand.offset), scratch);
    return at(scratch, operand.offset);
  }

  // Where an output is to be computed, and what brings it to the caller afterwards.
  static void* target(const Operand& operand, void* data, void* scratch) {
    return operand.differs() ? at(scratch, operand.offset) : data;
  }
  void exported(const Operand& operand, void* data, void* scratch) {
    if (operand.differs())
      reorder(operand, operand.library, at(scratch, operand.offset), operand.callers, data, scratch);
  }

  void execute(std::unordered_map<int, memory>&& arguments, void* scratch, bool next = false) {
    arguments.emplace(DNNL_ARG_SCRATCHPAD, wrap(next ? next_scratchpad : scratchpad, scratch));
    (next ? next_primitive : primitive).execute(stream, arguments);
    stream.wait();
  }

  // Part p of an image of src; its channels lie together, as parts are whole blocks.
  void* src_part(const stig_tensor& t, int64_t i, int64_t p) const {
    const int64_t first = i * t.batch_stride + p * (desc.ic / parts) * desc.ih * desc.iw;
    return static_cast<char*>(t.data) + static_cast<size_t>(first) * size_of(desc.src_type);
  }
  void* dst_image(const stig_tensor& t, int64_t i) const {
    return static_cast<char*>(t.data) + static_cast<size_t>(i * t.batch_stride) * size_of(desc.dst_type);
  }

  // The packed form of part p of the weights.
  template <typename T>
  T* packed_part(T* packed, int64_t p) const {
    using Byte = std::conditional_t<std::is_const_v<T>, const char, char>;
    return static_cast<Byte*>(packed) + static_cast<size_t>(p) * weights.library.get_size();
  }

  // body(part, whole, count) for the runs of consecutive weights of part p, offsets into the part and into all weights.
  template <typename Body>
  void each_run(int64_t p, Body&& body) const {
    const int64_t run = desc.ic / parts * desc.kh * desc.kw;
    for (int64_t o = 0; o < desc.oc; ++o) body(o * run, (o * parts + p) * run, run);
  }

  stig_conv2d_desc desc;
  int32_t direction;
  dnnl::stream stream;
  int64_t parts = 1;  // of the input channels
  dnnl::primitive primitive, next_primitive;
  Operand src, dst, weights;  // src and weights: of one part
  Descriptor bias, scratchpad, next_scratchpad;
  size_t plain_part = 0, next_weights = 0, bias_sum = 0, next_bias = 0;  // offsets into scratch memory
  size_t scratch_bytes = 0;
};

stig_status stig_conv2d_create(const stig_conv2d_desc* desc, int32_t direction, stig_conv2d** out) {
  STIG_GUARDED({
    require(out != nullptr, "out is null");
    *out = nullptr;
    check_desc(desc, direction);
    *out = std::make_unique<stig_conv2d>(*desc, direction).release();
  });
}

void stig_conv2d_destroy(stig_conv2d* conv) { delete conv; }

stig_status stig_conv2d_sizes(const stig_conv2d* conv, int64_t* packed_bytes, int64_t* scratch_bytes) {
  STIG_GUARDED({
    require(conv != nullptr && packed_bytes != nullptr && scratch_bytes != nullptr, "an argument is null");
    const bool takes_weights = conv->direction != STIG_CONV2D_BACKWARD_WEIGHTS;
    *packed_bytes = takes_weights ? conv->parts * static_cast<int64_t>(conv->weights.library.get_size()) : 0;
    *scratch_bytes = static_cast<int64_t>(conv->scratch_bytes);
  });
}

stig_status stig_conv2d_pack_weights(stig_conv2d* conv, const float* weights, void* packed, void* scratch) {
  STIG_GUARDED({
    require(conv != nullptr && weights != nullptr && packed != nullptr, "an argument is null");
    require(conv->direction != STIG_CONV2D_BACKWARD_WEIGHTS, "a convolution for gradients of weights takes no weights");
    conv->check_scratch(scratch);
    const Operand& operand = conv->weights;
    for (int64_t p = 0; p < conv->parts; ++p) {
      const float* plain = weights;
      if (conv->parts > 1) {
        float* gathered = static_cast<float*>(conv->at(scratch, conv->plain_part));
        conv->each_run(p, [=](int64_t part, int64_t whole, int64_t count) {
          std::copy(weights + whole, weights + whole + count, gathered + part);
        });
        plain = gathered;
      }
      void* to = conv->packed_part(packed, p);
      if (operand.differs()) {
        conv->reorder(operand, operand.callers, plain, operand.library, to, scratch);
      } else {
        std::copy(plain, plain + operand.library.get_size() / sizeof(float), static_cast<float*>(to));
      }
    }
  });
}

stig_status stig_conv2d_forward(stig_conv2d* conv, const stig_tensor* src, const void* packed, const float* bias,
                                const stig_tensor* dst, void* scratch) {
  STIG_GUARDED({
    require(conv != nullptr && packed != nullptr, "an argument is null");
    conv->check_call(STIG_CONV2D_FORWARD, src, "src", dst, "dst", scratch);
    require((bias != nullptr) == (conv->desc.with_bias != 0), "bias must be given exactly if the convolution has one");
    for (int64_t i = 0; i < src->n; ++i) {
      void* y = conv->target(conv->dst, conv->dst_image(*dst, i), scratch);
      for (int64_t p = 0; p < conv->parts; ++p) {
        const void* x = conv->imported(conv->src, conv->src_part(*src, i, p), scratch);
        std::unordered_map<int, memory> arguments{
            {DNNL_ARG_SRC, conv->wrap(conv->src.library, x)},
            {DNNL_ARG_WEIGHTS, conv->wrap(conv->weights.library, conv->packed_part(packed, p))},
            {DNNL_ARG_DST, conv->wrap(conv->dst.library, y)}};
        if (bias && p == 0) arguments.emplace(DNNL_ARG_BIAS, conv->wrap(conv->bias, bias));
        conv->execute(std::move(arguments), scratch, p > 0);
      }
      conv->exported(conv->dst, conv->dst_image(*dst, i), scratch);
    }
  });
}

stig_status stig_conv2d_backward_data(stig_conv2d* conv, const stig_tensor* diff_dst, const void* packed,
                                      const stig_tensor* diff_src, void* scratch) {
  STIG_GUARDED({
    require(conv != nullptr && packed != nullptr, "an argument is null");
    conv->check_call(STIG_CONV2D_BACKWARD_DATA, diff_src, "diff_src", diff_dst, "diff_dst", scratch);
    for (int64_t i = 0; i < diff_dst->n; ++i) {
      const void* dy = conv->imported(conv->dst, conv->dst_image(*diff_dst, i), scratch);
      for (int64_t p = 0; p < conv->parts; ++p) {
        void* dx = conv->target(conv->src, conv->src_part(*diff_src, i, p), scratch);
        conv->execute({{DNNL_ARG_DIFF_DST, conv->wrap(conv->dst.library, dy)},
                       {DNNL_ARG_WEIGHTS, conv->wrap(conv->weights.library, conv->packed_part(packed, p))},
                       {DNNL_ARG_DIFF_SRC, conv->wrap(conv->src.library, dx)}},
                      scratch);
        conv->exported(conv->src, conv->src_part(*diff_src, i, p), scratch);
      }
    }
  });
}

stig_status stig_conv2d_backward_weights(stig_conv2d* conv, const stig_tensor* src, const stig_tensor* diff_dst,
                                         float* diff_weights, float* diff_bias, void* scratch) {
  STIG_GUARDED({
    require(conv != nullptr && diff_weights != nullptr, "an argument is null");
    conv->check_call(STIG_CONV2D_BACKWARD_WEIGHTS, src, "src", diff_dst, "diff_dst", scratch);
    require(diff_bias == nullptr || conv->desc.with_bias, "diff_bias is given, but the convolution has no bias");
    // The first image's gradient starts the sum, in the library's layout; the others are added in their order.
    float* sum = static_cast<float*>(conv->at(scratch, conv->weights.offset));
    float* next = static_cast<float*>(conv->at(scratch, conv->next_weights));
    float* next_bias = static_cast<float*>(conv->at(scratch, conv->next_bias));
    for (int64_t p = 0; p < conv->parts; ++p) {
      // The gradient of the bias is that of the first part.
      float* bias_sum = diff_bias && p == 0 ? diff_bias : static_cast<float*>(conv->at(scratch, conv->bias_sum));
      for (int64_t i = 0; i < src->n; ++i) {
        const void* x = conv->imported(conv->src, conv->src_part(*src, i, p), scratch);
        const void* dy = conv->imported(conv->dst, conv->dst_image(*diff_dst, i), scratch);
        std::unordered_map<int, memory> arguments{
            {DNNL_ARG_SRC, conv->wrap(conv->src.library, x)},
            {DNNL_ARG_DIFF_DST, conv->wrap(conv->dst.library, dy)},
            {DNNL_ARG_DIFF_WEIGHTS, conv->wrap(conv->weights.library, i == 0 ? sum : next)}};
        if (conv->desc.with_bias) {
          arguments.emplace(DNNL_ARG_DIFF_BIAS, conv->wrap(conv->bias, i == 0 ? bias_sum : next_bias));
        }
        conv->execute(std::move(arguments), scratch);
        if (i == 0) continue;
        const int64_t count = static_cast<int64_t>(conv->weights.library.get_size() / sizeof(float));
        parallel_chunks(count, [&](int64_t begin, int64_t end) {
          for (int64_t k = begin; k < end; ++k) sum[k] += next[k];
        });
        for (int64_t k = 0; diff_bias && p == 0 && k < conv->desc.oc; ++k) diff_bias[k] += next_bias[k];
      }
      float* plain = conv->parts == 1 ? diff_weights : static_cast<float*>(conv->at(scratch, conv->plain_part));
      if (conv->weights.differs()) {
        conv->exported(conv->weights, plain, scratch);
      } else {
        std::copy(sum, sum + conv->weights.library.get_size() / sizeof(float), plain);
      }
      if (conv->parts == 1) continue;
      conv->each_run(p, [=](int64_t part, int64_t whole, int64_t count) {
        std::copy(plain + part, plain + part + count, diff_weights + whole);
      });
    }
  });
}
